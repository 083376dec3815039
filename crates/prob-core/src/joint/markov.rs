//! A chain of order k along an ordering, with a table of its own at every position.
//!
//! ```text
//! p(x) = Π_t p(x_{i(t)} | x_{i(t−k)}, …, x_{i(t−1)}),   i(t) = ordering[t]
//! ```
//!
//! The first k positions see only what there is. Order 0 is [`Independent`](super::Independent);
//! order n − 1 is the full table by the chain rule.

use super::tables::{Structure, Tables, all_arrays, check_memory, count_parameters, rows_of};
use super::tabular::impl_tabular;
use super::{DEFAULT_MEMORY_LIMIT_BYTES, Symbols};
use crate::error::Error;
use crate::ordering::Ordering;

/// A Markov chain of order k: `Σ_t m^min(t, k) (m − 1)` parameters.
///
/// ```
/// use prob_core::joint::{Markov, Symbols, Tabular};
/// use prob_core::ordering::Ordering;
/// // The second variable copies the first.
/// let data = Symbols::new(&[0, 0, 1, 1], 2, 2).unwrap();
/// let model = Markov::fit(1, Ordering::raster(2), data, 0.0).unwrap();
/// assert_eq!(model.free_parameters().to_string(), "3");
/// assert_eq!(model.log_prob_rows(&[1, 1, 1, 0]), [0.5f64.ln(), f64::NEG_INFINITY]);
/// ```
#[derive(Debug, Clone)]
pub struct Markov {
    order: usize,
    tables: Tables,
}

impl Markov {
    /// Laplace's estimate with `pseudo_count` per state in every context.
    ///
    /// # Errors
    /// When the ordering does not have the data's number of variables, the pseudo-count is negative
    /// or not finite, or the tables exceed [`DEFAULT_MEMORY_LIMIT_BYTES`].
    pub fn fit(
        order: usize,
        ordering: Ordering,
        data: Symbols<'_>,
        pseudo_count: f64,
    ) -> Result<Self, Error> {
        Self::fit_within(order, ordering, data, pseudo_count, DEFAULT_MEMORY_LIMIT_BYTES)
    }

    /// [`fit`](Self::fit) with another memory limit.
    ///
    /// # Errors
    /// As for `fit`.
    pub fn fit_within(
        order: usize,
        ordering: Ordering,
        data: Symbols<'_>,
        pseudo_count: f64,
        limit_bytes: u64,
    ) -> Result<Self, Error> {
        let structure = structure(order, ordering, data.levels(), limit_bytes)?;
        Ok(Self { order, tables: structure.fit(data, pseudo_count, limit_bytes)? })
    }

    /// From stored [`table_arrays`](super::Tabular::table_arrays): one per position.
    /// `levels` are the states of each variable, in event order.
    ///
    /// # Errors
    /// When their number or length does not fit, or a row does not sum to 1.
    pub fn from_tables(
        order: usize,
        ordering: Ordering,
        levels: &[usize],
        tables: Vec<Vec<f64>>,
    ) -> Result<Self, Error> {
        let structure = structure(order, ordering, levels.to_vec(), u64::MAX)?;
        Ok(Self { order, tables: structure.stored(tables)? })
    }

    /// How many variables back each conditional looks.
    pub fn order(&self) -> usize {
        self.order
    }
}

fn structure(
    order: usize,
    ordering: Ordering,
    levels: Vec<usize>,
    limit_bytes: u64,
) -> Result<Structure, Error> {
    const MODEL: &str = "Markov chain";
    let (visits, variables) = (ordering.as_slice(), levels.len());
    if visits.len() != variables {
        return Err(Error::Variables { what: MODEL, got: visits.len(), expected: variables });
    }
    // The lists of contexts grow with the order too, so the last table is checked before them: of
    // equal variables it is the largest.
    let last = &visits[variables.saturating_sub(order.saturating_add(1))..];
    check_memory(MODEL, rows_of(last.iter().map(|&i| levels[i])), limit_bytes)?;
    let contexts = (0..visits.len()).map(|t| visits[t.saturating_sub(order)..t].to_vec()).collect();
    Ok(Structure { model: MODEL, ordering, levels, contexts })
}

impl_tabular!(
    Markov,
    arrays: |model| all_arrays(&model.tables),
    parameters: |model| count_parameters(&model.tables)
);
