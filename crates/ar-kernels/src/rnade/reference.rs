//! The recurrence in plain tensor operations: the oracle of the kernels, and the fallback on devices
//! without one.
//!
//! It is differentiable by burn's autodiff, with respect to `x` too, and works in any precision.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::Weights;

/// Outputs of every position, one step at a time.
///
/// # Shapes
/// `x` is `[batch, dim]` in the order of the walk; returns `[batch, dim, outputs]`.
pub fn outputs(x: Tensor<2>, weights: Weights) -> Tensor<3> {
    let [batch, dim] = x.dims();
    let [_, outputs, hidden] = weights.v.dims();
    if batch == 0 || dim == 0 {
        return Tensor::empty([batch, dim, outputs], (&x.device(), x.dtype()));
    }
    let mut a = weights.c.unsqueeze::<2>().expand([batch, hidden]);
    let mut each = Vec::with_capacity(dim);
    for t in 0..dim {
        let w_t = weights.w.clone().narrow(0, t, 1); // [1, hidden]
        let v_t = weights.v.clone().narrow(0, t, 1).reshape([outputs, hidden]);
        let rho_t = weights.rho.clone().narrow(0, t, 1).unsqueeze::<2>(); // [1, 1]
        let x_t = x.clone().narrow(1, t, 1); // [batch, 1]
        let h = relu(a.clone().mul(rho_t)); // [batch, hidden]
        each.push(h.matmul(v_t.transpose()).unsqueeze_dim::<3>(1)); // [batch, 1, outputs]
        a = a + x_t.mul(w_t); // [batch, hidden]
    }
    Tensor::cat(each, 1) + weights.b.unsqueeze::<3>()
}
