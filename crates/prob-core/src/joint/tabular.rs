//! The face that all tabular families show.

use burn::tensor::{Device, FloatDType, Int, Tensor};
use num_bigint::BigUint;

use super::tables::{ConditionalTable, TableState};
use crate::dist::Categorical;
use crate::ordering::Ordering;
use crate::traits::{Autoregressive, Sample};

/// What every tabular model offers on the host, in f64.
///
/// ```
/// use prob_core::joint::{Independent, Symbols, Tabular};
/// let data = Symbols::new(&[0, 1, 0, 1, 1, 1], 2, 2).unwrap();
/// let model = Independent::fit(data, 1.0).unwrap();
/// // Laplace: (2 + 1) / (3 + 2) for a 0 in front, (3 + 1) / (3 + 2) for a 1 behind.
/// let nats = model.log_prob_rows(&[0, 1]);
/// assert!((nats[0] - (3.0 / 5.0 * 4.0 / 5.0f64).ln()).abs() < 1e-15);
/// ```
pub trait Tabular:
    Autoregressive<Event = Tensor<2, Int>, State = TableState, Conditional = Categorical>
    + Sample
    + Clone
{
    /// Number of variables.
    fn variables(&self) -> usize {
        self.ordering().len()
    }

    /// Number of states of every variable; where they differ, of the one with the most.
    fn states(&self) -> usize;

    /// Number of states of each variable, in event order.
    fn levels(&self) -> &[usize];

    /// The order in which the walk visits the variables.
    fn ordering(&self) -> &Ordering;

    /// The conditionals, in the order of the walk.
    fn tables(&self) -> &[ConditionalTable];

    /// The same, of a model that is no longer wanted.
    fn into_tables(self) -> Vec<ConditionalTable>;

    /// The arrays that `from_tables` of the same type takes back, so that a model can be stored and
    /// restored bit for bit. Empty for a model without parameters.
    fn table_arrays(&self) -> Vec<&[f64]>;

    /// Number of free parameters; the same as the formula in [`count`](crate::count).
    fn free_parameters(&self) -> BigUint;

    /// Log-probability of each row in nats, `-inf` outside the support.
    ///
    /// # Shapes
    /// `values`: `[rows, variables]` in row-major order and event order; returns `[rows]`.
    ///
    /// # Panics
    /// When the values do not fill whole rows.
    fn log_prob_rows(&self, values: &[u8]) -> Vec<f64>;

    /// Log-probability of each variable given those visited before it, in nats. It is `-inf` for a
    /// symbol outside the support and for a variable whose context holds one.
    ///
    /// # Shapes
    /// `values`: `[rows, variables]` in event order; returns the same shape and order.
    ///
    /// # Panics
    /// When the values do not fill whole rows.
    fn log_prob_per_variable(&self, values: &[u8]) -> Vec<f64>;

    /// Where the tensors of samples and conditionals are made; [`Device::default`] at first.
    /// Log-probabilities are always on the device of the events.
    fn with_device(self, device: &Device) -> Self;

    /// The float type of log-probabilities and conditionals, instead of the device's default.
    fn with_dtype(self, dtype: FloatDType) -> Self;

    /// Bytes that the tables take.
    fn table_bytes(&self) -> usize {
        self.tables().iter().map(|t| size_of_val(t.log_probs())).sum()
    }
}

/// Implements the traits for a family that keeps its tables in a field `tables`, and how it
/// evaluates rows.
macro_rules! impl_tabular {
    ($family:ty, arrays: $arrays:expr, parameters: $parameters:expr $(, rows: $rows:expr)?) => {
        /// An event is `[batch, variables]` of symbols in event order; a row with a symbol outside
        /// the support has log-probability `-inf`.
        ///
        /// # Panics
        /// When the number of columns is not the number of variables.
        impl $crate::traits::Density for $family {
            type Event = burn::tensor::Tensor<2, burn::tensor::Int>;

            fn log_prob(&self, x: Self::Event) -> burn::tensor::Tensor<1> {
                use $crate::joint::Tabular;
                self.tables.log_prob_tensor(&x, |values| self.log_prob_rows(values))
            }
        }

        /// One uniform per variable and row, in the order of the walk.
        impl $crate::traits::Sample for $family {
            fn sample(&self, n: usize, rng: &mut dyn rand::Rng) -> Self::Event {
                self.tables.sample(n, rng)
            }
        }

        /// # Panics
        /// `advance` panics on a symbol outside the support.
        impl $crate::traits::Autoregressive for $family {
            type State = $crate::joint::TableState;
            type Conditional = $crate::dist::Categorical;

            fn event_len(&self) -> usize {
                self.tables.ordering().len()
            }

            fn init_state(&self, batch: usize) -> Self::State {
                self.tables.init_state(batch)
            }

            fn conditional(&self, state: &Self::State) -> Self::Conditional {
                self.tables.conditional(state)
            }

            fn advance(
                &self,
                state: &mut Self::State,
                x_t: burn::tensor::Tensor<1, burn::tensor::Int>,
            ) {
                self.tables.advance(state, &x_t);
            }

            fn select(&self, state: &Self::State, walks: &[usize]) -> Self::State {
                state.select(walks)
            }
        }

        impl $crate::joint::Tabular for $family {
            fn states(&self) -> usize {
                self.tables.states()
            }

            fn levels(&self) -> &[usize] {
                self.tables.levels()
            }

            fn ordering(&self) -> &$crate::ordering::Ordering {
                self.tables.ordering()
            }

            fn tables(&self) -> &[$crate::joint::ConditionalTable] {
                self.tables.tables()
            }

            fn into_tables(self) -> Vec<$crate::joint::ConditionalTable> {
                self.tables.into_tables()
            }

            fn table_arrays(&self) -> Vec<&[f64]> {
                let arrays: fn(&Self) -> Vec<&[f64]> = $arrays;
                arrays(self)
            }

            fn free_parameters(&self) -> num_bigint::BigUint {
                let parameters: fn(&Self) -> num_bigint::BigUint = $parameters;
                parameters(self)
            }

            fn log_prob_rows(&self, values: &[u8]) -> Vec<f64> {
                impl_tabular!(@rows self, values $(, $rows)?)
            }

            fn log_prob_per_variable(&self, values: &[u8]) -> Vec<f64> {
                self.tables.log_prob_per_variable(values)
            }

            fn with_device(mut self, device: &burn::tensor::Device) -> Self {
                self.tables.set_device(device);
                self
            }

            fn with_dtype(mut self, dtype: burn::tensor::FloatDType) -> Self {
                self.tables.set_dtype(dtype);
                self
            }
        }
    };
    (@rows $model:ident, $values:ident) => {
        $model.tables.log_prob_rows($values)
    };
    (@rows $model:ident, $values:ident, $rows:expr) => {{
        let rows: fn(&Self, &[u8]) -> Vec<f64> = $rows;
        rows($model, $values)
    }};
}
pub(super) use impl_tabular;
