//! What a paper reports, and how the experiment differs from the paper's.

use serde::{Deserialize, Serialize};

/// The `[paper]` table: what is claimed elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paper {
    /// Test NLL in nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) test_nll_nats: Option<f64>,
    /// Test cost in bits per dimension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) test_bits_per_dim: Option<f64>,
    /// Test NLL in standardized units, in nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) test_nll_standardized_nats: Option<f64>,
    /// Which paper, and where in it.
    pub(crate) source: String,
}

/// The `[deviations]` table: how the experiment differs from the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deviations {
    /// One sentence each.
    pub(crate) notes: Vec<String>,
}
