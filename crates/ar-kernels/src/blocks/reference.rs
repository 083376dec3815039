//! The recurrence in plain tensor operations: the oracle of the kernels, and the fallback on devices
//! without one.
//!
//! It is differentiable by burn's autodiff, with respect to `x` too, and works in any precision.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::{Blocks, Weights};

/// Outputs of every position, one step at a time.
///
/// # Shapes
/// `x` is `[batch, features]`, returns `[batch, outputs]`, both by blocks in the order of the walk.
pub fn outputs(x: Tensor<2>, weights: Weights, blocks: &Blocks) -> Tensor<2> {
    let [batch, _] = x.dims();
    let [hidden] = weights.c.dims();
    if batch == 0 || blocks.dim() == 0 {
        return Tensor::empty([batch, blocks.outputs()], (&x.device(), x.dtype()));
    }
    let mut a = weights.c.unsqueeze::<2>().expand([batch, hidden]);
    let mut each = Vec::with_capacity(blocks.dim());
    for t in 0..blocks.dim() {
        let (features, outputs) = (blocks.features_of(t), blocks.outputs_of(t));
        let rho_t = weights.rho.clone().narrow(0, t, 1).unsqueeze::<2>(); // [1, 1]
        let h = relu(a.clone().mul(rho_t)); // [batch, hidden]
        if !outputs.is_empty() {
            let v_t = weights.v.clone().narrow(0, outputs.start, outputs.len());
            each.push(h.matmul(v_t.transpose())); // [batch, outputs of t]
        }
        if !features.is_empty() {
            let x_t = x.clone().narrow(1, features.start, features.len());
            let w_t = weights.w.clone().narrow(0, features.start, features.len());
            a = a + x_t.matmul(w_t); // [batch, hidden]
        }
    }
    Tensor::cat(each, 1) + weights.b.unsqueeze::<2>()
}
