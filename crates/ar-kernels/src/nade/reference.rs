//! The recurrence in plain tensor operations: the oracle of the kernels, and the fallback on devices
//! without one.
//!
//! It is differentiable by burn's autodiff, with respect to `x` too, and works in any precision.

use burn::tensor::{Tensor, activation::sigmoid};

use super::Weights;

/// Logit of p(x_t = 1 | x_<t) for every position, one step at a time.
///
/// # Shapes
/// `x` is `[batch, dim]` in the order of the walk; returns `[batch, dim]`.
pub fn logits(x: Tensor<2>, weights: Weights) -> Tensor<2> {
    let [batch, dim] = x.dims();
    let [_, hidden] = weights.w.dims();
    if batch == 0 || dim == 0 {
        return x;
    }
    let mut a = weights.c.unsqueeze::<2>().expand([batch, hidden]);
    let mut logits = Vec::with_capacity(dim);
    for t in 0..dim {
        let v_t = weights.v.clone().narrow(0, t, 1); // [1, hidden]
        let w_t = weights.w.clone().narrow(0, t, 1); // [1, hidden]
        let x_t = x.clone().narrow(1, t, 1); // [batch, 1]
        logits.push(sigmoid(a.clone()).mul(v_t).sum_dim(1)); // [batch, 1]
        a = a + x_t.mul(w_t); // [batch, hidden]
    }
    Tensor::cat(logits, 1) + weights.b.unsqueeze::<2>()
}
