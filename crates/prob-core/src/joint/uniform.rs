//! The bottom of every ladder: each event alike.
//!
//! ```text
//! p(x) = m^−n
//! ```

use super::DEFAULT_MEMORY_LIMIT_BYTES;
use super::tables::{Structure, Tables};
use super::tabular::impl_tabular;
use crate::error::Error;
use crate::ordering::Ordering;

/// The uniform distribution over all `m^n` events; nothing is fitted, so it has no parameters.
///
/// ```
/// use prob_core::joint::{Tabular, Uniform};
/// let model = Uniform::new(64, 2).unwrap();
/// assert_eq!(model.free_parameters().to_string(), "0");
/// let nats = model.log_prob_rows(&[1; 64])[0];
/// assert!((nats + 64.0 * 2f64.ln()).abs() < 1e-12);
/// ```
#[derive(Debug, Clone)]
pub struct Uniform {
    tables: Tables,
}

impl Uniform {
    /// For `variables` variables of `states` states.
    ///
    /// # Errors
    /// When there are no variables, or `states` is not in `1..=256`.
    pub fn new(variables: usize, states: usize) -> Result<Self, Error> {
        let structure = Structure {
            model: "uniform",
            ordering: Ordering::raster(variables),
            levels: vec![states; variables],
            contexts: vec![Vec::new(); variables],
        };
        Ok(Self { tables: structure.uniform(DEFAULT_MEMORY_LIMIT_BYTES)? })
    }
}

impl_tabular!(
    Uniform,
    arrays: |_| Vec::new(),
    parameters: |_| num_bigint::BigUint::from(0u8)
);
