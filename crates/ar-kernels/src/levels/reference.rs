//! The likelihood in plain tensor operations: the oracle of the kernel, and the fallback on devices without one.
//!
//! It is differentiable by burn's autodiff and works in any precision.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_sigmoid, log_softmax};

use super::Mixture;

/// From there on a scale is e^80, as far as single precision goes.
const MOST_LOG_SCALE: f64 = 80.0;

/// Widths of a cell, in scales, below which three terms of a series are exact to 1e-15.
const NARROW: f64 = 1e-3;

/// log p of each level.
///
/// # Shapes
/// `outputs` is `[rows, 3K]`, `x` and the result are `[rows]`.
pub fn log_prob(outputs: Tensor<2>, x: Tensor<1>, mixture: Mixture) -> Tensor<1> {
    let ([rows, _], components) = (outputs.dims(), mixture.components);
    if rows == 0 {
        return x;
    }
    let (half, last) = (mixture.half(), (mixture.levels - 1) as f64);
    let x = x.reshape([rows, 1]);
    let is_first = x.clone().equal_scalar(0.0).expand([rows, components]);
    let is_last = x.clone().equal_scalar(last).expand([rows, components]);
    let is_none = x.clone().lower_scalar(0.0).bool_or(x.clone().greater_scalar(last));
    let is_none = is_none.bool_or(x.clone().round().not_equal(x.clone()));
    let part = |k: usize| outputs.clone().narrow(1, k * components, components);
    let log_weights = log_softmax(part(0), 1);
    // What follows a symbol that is no level may be of any size, and the logarithm of a cell stays a number all the same.
    let by_scale = part(2).clamp_max(MOST_LOG_SCALE).exp().add_scalar(mixture.floor()).recip();
    let offset = x.mul_scalar(2.0 * half).sub_scalar(1.0) - part(1); // [rows, components]
    let high = offset.clone().add_scalar(half) * by_scale.clone();
    let low = offset.sub_scalar(half) * by_scale.clone();
    let width = by_scale.mul_scalar(2.0 * half);
    let below = log_sigmoid(high).mask_fill(is_last.clone(), 0.0);
    let above = log_sigmoid(low.neg()).mask_fill(is_first.clone(), 0.0);
    // log(1 − e^−d), by its series where e^−d has lost digits; each branch sees its own arguments alone, or the other's
    // gradient would be ∞ · 0.
    let is_narrow = width.clone().lower_scalar(NARROW);
    let wide = width.clone().clamp_min(NARROW).neg().exp().neg().log1p();
    let narrow = width.clamp_max(NARROW);
    let narrow = narrow.clone().log() - narrow.clone().mul_scalar(0.5)
        + narrow.clone().mul(narrow).div_scalar(24.0);
    let cell = wide.mask_where(is_narrow, narrow).mask_fill(is_first.bool_or(is_last), 0.0);
    let joint = log_weights + below + above + cell;
    let most = joint.clone().max_dim(1).detach();
    let log_prob = (joint - most.clone()).exp().sum_dim(1).log() + most; // [rows, 1]
    log_prob.mask_fill(is_none, f64::NEG_INFINITY).reshape([rows])
}
