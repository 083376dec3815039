//! Parts that models share.

pub(crate) mod dropout;
pub(crate) mod mixture;
pub(crate) mod permute;

use burn::tensor::kind::Basic;
use burn::tensor::{Device, Int, Tensor, TensorData};
use prob_core::ordering::Ordering;
use prob_core::standard_normal;
use rand::Rng;

/// Weights from N(0, scale²).
pub(crate) fn normal<const D: usize>(
    shape: [usize; D],
    scale: f64,
    rng: &mut dyn Rng,
    device: &Device,
) -> Tensor<D> {
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|_| (standard_normal(rng) * scale) as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The rows `rows` of `x`, in that order.
pub(crate) fn rows<const D: usize, K: Basic>(x: &Tensor<D, K>, rows: &[usize]) -> Tensor<D, K> {
    let indices: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    let indices = TensorData::new(indices, [rows.len()]);
    x.clone().select(0, Tensor::<1, Int>::from_data(indices, &x.device()))
}

/// `weights`, 0 where the mask of the same shape is.
pub(crate) fn masked<const D: usize>(weights: Tensor<D>, mask: Vec<f32>) -> Tensor<D> {
    let mask = TensorData::new(mask, weights.dims());
    let mask = Tensor::<D>::from_data(mask, (&weights.device(), weights.dtype()));
    weights * mask
}

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
