//! Every variable by itself.
//!
//! ```text
//! p(x) = Π_i p(x_i)
//! ```

use super::tables::{Structure, Tables, all_arrays, count_parameters};
use super::tabular::impl_tabular;
use super::{DEFAULT_MEMORY_LIMIT_BYTES, Symbols};
use crate::error::Error;
use crate::ordering::Ordering;

/// Independent variables, each with its own distribution: `n (m − 1)` parameters.
///
/// ```
/// use prob_core::joint::{Independent, Symbols, Tabular};
/// let data = Symbols::new(&[0, 1, 1, 1], 2, 2).unwrap();
/// let model = Independent::fit(data, 0.0).unwrap();
/// assert_eq!(model.free_parameters().to_string(), "2");
/// assert_eq!(model.log_prob_rows(&[0, 1, 0, 0]), [0.5f64.ln(), f64::NEG_INFINITY]);
/// ```
#[derive(Debug, Clone)]
pub struct Independent {
    tables: Tables,
}

impl Independent {
    /// Laplace's estimate with `pseudo_count` per state.
    ///
    /// # Errors
    /// When the pseudo-count is negative or not finite, or the tables exceed
    /// [`DEFAULT_MEMORY_LIMIT_BYTES`].
    pub fn fit(data: Symbols<'_>, pseudo_count: f64) -> Result<Self, Error> {
        Self::fit_within(data, pseudo_count, DEFAULT_MEMORY_LIMIT_BYTES)
    }

    /// [`fit`](Self::fit) with another memory limit.
    ///
    /// # Errors
    /// As for `fit`.
    pub fn fit_within(
        data: Symbols<'_>,
        pseudo_count: f64,
        limit_bytes: u64,
    ) -> Result<Self, Error> {
        let structure = structure(data.levels());
        Ok(Self { tables: structure.fit(data, pseudo_count, limit_bytes)? })
    }

    /// From stored [`table_arrays`](super::Tabular::table_arrays): one per variable, in event order, of
    /// so many states each.
    ///
    /// # Errors
    /// When their number or length does not fit, or a row does not sum to 1.
    pub fn from_tables(levels: &[usize], tables: Vec<Vec<f64>>) -> Result<Self, Error> {
        Ok(Self { tables: structure(levels.to_vec()).stored(tables)? })
    }
}

fn structure(levels: Vec<usize>) -> Structure {
    Structure {
        model: "independent",
        ordering: Ordering::raster(levels.len()),
        contexts: vec![Vec::new(); levels.len()],
        levels,
    }
}

impl_tabular!(
    Independent,
    arrays: |model| all_arrays(&model.tables),
    parameters: |model| count_parameters(&model.tables)
);
