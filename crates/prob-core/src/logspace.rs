//! Sums of probabilities that are held as logarithms.
//!
//! ```text
//! log Σ_k exp(a_k) = m + log Σ_k exp(a_k − m),   m = max_k a_k
//! ```
//!
//! The host functions work in f64. `-inf` is the logarithm of zero everywhere, NaN stays NaN.
//!
//! # References
//! log1mexp: Martin Mächler, "Accurately computing log(1 − exp(−|a|))", 2012 (R package Rmpfr),
//! equation 7: two branches that meet at ln 2.

use std::f64::consts::LN_2;

use burn::tensor::Tensor;

/// `log Σ exp(a_k)`; the sum of nothing is zero, so `-inf`.
///
/// ```
/// use prob_core::logspace::logsumexp;
/// assert_eq!(logsumexp(&[-1000.0, -1000.0]), -1000.0 + 2f64.ln());
/// assert_eq!(logsumexp(&[]), f64::NEG_INFINITY);
/// assert_eq!(logsumexp(&[f64::NEG_INFINITY, 0.0]), 0.0);
/// ```
pub fn logsumexp(values: &[f64]) -> f64 {
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if max.is_infinite() {
        // All -inf, or one +inf; `a − max` would be inf − inf. f64::max drops NaN, so look again.
        return if values.iter().any(|v| v.is_nan()) { f64::NAN } else { max };
    }
    max + values.iter().map(|v| (v - max).exp()).sum::<f64>().ln()
}

/// `log (1/n Σ exp(a_k))`: the average of probabilities held as logarithms, as for an ensemble.
///
/// Averaging the logarithms themselves is not a distribution. The mean of nothing is NaN.
///
/// ```
/// use prob_core::logspace::log_mean_exp;
/// assert_eq!(log_mean_exp(&[-700.0, -700.0, -700.0]), -700.0);
/// assert!((log_mean_exp(&[0.2f64.ln(), 0.4f64.ln()]) - 0.3f64.ln()).abs() < 1e-15);
/// ```
pub fn log_mean_exp(values: &[f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    logsumexp(values) - (values.len() as f64).ln()
}

/// `log (exp(a) + exp(b))`.
///
/// ```
/// use prob_core::logspace::log_add;
/// assert!((log_add(0.3f64.ln(), 0.4f64.ln()) - 0.7f64.ln()).abs() < 1e-15);
/// assert_eq!(log_add(f64::NEG_INFINITY, -3.0), -3.0);
/// ```
pub fn log_add(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    let (high, low) = if a >= b { (a, b) } else { (b, a) };
    if high.is_infinite() {
        return high;
    }
    high + (low - high).exp().ln_1p()
}

/// `log (1 − exp(a))` for `a ≤ 0`, accurate near both ends; NaN for `a > 0`.
///
/// ```
/// use prob_core::logspace::log1mexp;
/// assert_eq!(log1mexp(0.0), f64::NEG_INFINITY);
/// assert_eq!(log1mexp(f64::NEG_INFINITY), 0.0);
/// // 1 − exp(−1e-20) is 1e-20; the plain formula gives log 0.
/// assert!((log1mexp(-1e-20) - 1e-20f64.ln()).abs() < 1e-12);
/// ```
pub fn log1mexp(a: f64) -> f64 {
    if a > 0.0 {
        f64::NAN
    } else if a > -LN_2 {
        (-a.exp_m1()).ln()
    } else {
        (-a.exp()).ln_1p()
    }
}

/// `log Σ exp(a)` along dimension `dim` of a tensor, which becomes 1.
///
/// `-inf` where every entry is `-inf`. Differentiable; the maximum is only a shift, so no gradient
/// flows through it.
///
/// # Shapes
/// `[.., classes, ..]` to `[.., 1, ..]`.
///
/// # Panics
/// When `dim` is not a dimension, or has size 0.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use prob_core::logspace::logsumexp_dim;
/// let a = Tensor::<2>::from_data([[0.0, 0.0], [f32::NEG_INFINITY; 2]], &Device::default());
/// let sum: Vec<f64> = logsumexp_dim(a, 1).try_into_vec_as().unwrap();
/// assert!((sum[0] - 2f64.ln()).abs() < 1e-6 && sum[1] == f64::NEG_INFINITY);
/// ```
pub fn logsumexp_dim<const D: usize>(a: Tensor<D>, dim: usize) -> Tensor<D> {
    let max = a.clone().detach().max_dim(dim);
    let impossible = max.clone().equal_scalar(f64::NEG_INFINITY);
    let shift = max.mask_fill(impossible, 0.0);
    (a - shift.clone()).exp().sum_dim(dim).log() + shift
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nan_and_infinities_go_through() {
        let inf = f64::INFINITY;
        assert!(logsumexp(&[f64::NAN, -inf]).is_nan());
        assert!(logsumexp(&[f64::NAN, 1.0]).is_nan());
        assert_eq!(logsumexp(&[inf, 1.0]), inf);
        assert_eq!(logsumexp(&[-inf, -inf]), -inf);
        assert_eq!(log_add(-inf, -inf), -inf);
        assert_eq!(log_add(inf, 0.0), inf);
        assert!(log_add(f64::NAN, 0.0).is_nan());
        assert!(log_mean_exp(&[]).is_nan());
        assert!(log1mexp(0.1).is_nan());
    }

    proptest! {
        #[test]
        fn the_sum_shifts_with_its_terms(
            values in prop::collection::vec(-50.0f64..50.0, 1..20), shift in -600.0f64..600.0,
        ) {
            let plain = logsumexp(&values);
            let shifted: Vec<f64> = values.iter().map(|v| v + shift).collect();
            prop_assert!((logsumexp(&shifted) - plain - shift).abs() < 1e-10);
            let direct = values.iter().map(|v| v.exp()).sum::<f64>().ln();
            prop_assert!((plain - direct).abs() < 1e-12 * (1.0 + direct.abs()));
        }

        #[test]
        fn adding_the_complement_gives_one(a in -30.0f64..-1e-9) {
            prop_assert!(log_add(a, log1mexp(a)).abs() < 1e-14);
        }
    }
}
