//! Parts that models share.

pub(crate) mod permute;

use prob_core::ordering::Ordering;

/// Log-odds of each variable's mean, in the order of the walk: the output biases of a binary model
/// that has learned nothing else yet.
///
/// # Panics
/// When `means` (event order) does not have one value in (0, 1) per variable.
pub(crate) fn log_odds_in_walk(means: &[f64], ordering: &Ordering) -> Vec<f32> {
    assert_eq!(means.len(), ordering.len(), "one mean per variable");
    ordering
        .as_slice()
        .iter()
        .map(|&i| {
            let p = means[i];
            assert!(p > 0.0 && p < 1.0, "the mean of variable {i} is {p}, expected inside (0, 1)");
            (p.ln() - (-p).ln_1p()) as f32
        })
        .collect()
}
