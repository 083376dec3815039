//! What a config says of a window.

use prob_core::ordering::OrderingKind;
use serde::{Deserialize, Serialize};

use crate::foundation::error::Error;

/// Which widths there are to choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bandwidth {
    /// One h for all numbers, in their standard deviations.
    #[default]
    Common,
    /// One h for each column of numbers.
    PerColumn,
}

/// A window as it stands in a config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelSettings {
    /// The most training rows that are kept; of more, so many are drawn.
    #[serde(default = "max_rows")]
    pub max_rows: usize,
    /// The seed of that draw, and of the rows by which bandwidths are chosen.
    #[serde(default = "rows_seed")]
    pub rows_seed: u64,
    /// Which widths are chosen.
    #[serde(default)]
    pub bandwidth: Bandwidth,
    /// The order in which costs per variable are told; log p(x) is the same in any.
    #[serde(default)]
    pub ordering: OrderingKind,
}

/// The rows that a window keeps if a config does not say otherwise.
pub const MAX_ROWS: usize = 10_000;

fn max_rows() -> usize {
    MAX_ROWS
}

fn rows_seed() -> u64 {
    1
}

impl Default for KernelSettings {
    fn default() -> Self {
        let (bandwidth, ordering) = (Bandwidth::default(), OrderingKind::default());
        Self { max_rows: max_rows(), rows_seed: rows_seed(), bandwidth, ordering }
    }
}

impl KernelSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// When no rows are to be kept, or more than 2^24.
    pub fn check(&self) -> Result<(), Error> {
        if (1..=1 << 24).contains(&self.max_rows) {
            return Ok(());
        }
        Err(Error::Config {
            key: "model.max_rows",
            value: self.max_rows.to_string(),
            expected: "1 to 16777216 rows".into(),
        })
    }
}
