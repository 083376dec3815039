//! The same in plain tensor operations: the oracle of the kernels, and the fallback on devices without one.
//!
//! They are differentiable by burn's autodiff, with respect to `x` too, and work in any precision.

use burn::tensor::{Tensor, TensorData};

use super::Degrees;
use crate::blocks::{Blocks, reference::one_hot};

/// `c + x (W ∘ M)`.
///
/// # Shapes
/// `x` is `[batch, below]`, `w` `[below, above]`, `c` `[above]`; returns `[batch, above]`.
pub fn linear(x: Tensor<2>, w: Tensor<2>, c: Tensor<1>, degrees: &Degrees) -> Tensor<2> {
    let mask = TensorData::new(degrees.mask(), w.dims());
    let mask = Tensor::<2>::from_data(mask, (&w.device(), w.dtype()));
    x.matmul(w * mask) + c.unsqueeze()
}

/// `c + Σ_f x_f (W ∘ M)_f`.
///
/// # Shapes
/// `x` is `[batch, inputs]`, `w` `[features, above]`, `c` `[above]`; returns `[batch, above]`.
pub fn rows(
    x: Tensor<2>,
    w: Tensor<2>,
    c: Tensor<1>,
    degrees: &Degrees,
    blocks: &Blocks,
) -> Tensor<2> {
    let [batch, _] = x.dims();
    if batch == 0 || blocks.inputs() == 0 {
        return c.unsqueeze::<2>().expand([batch, w.dims()[1]]);
    }
    let features = |t: usize| {
        let at = blocks.inputs_of(t);
        one_hot(x.clone().narrow(1, at.start, at.len()), blocks.input(t)) // [batch, features of t]
    };
    let read = (0..blocks.dim()).filter(|&t| !blocks.features_of(t).is_empty());
    linear(Tensor::cat(read.map(features).collect(), 1), w, c, degrees)
}
