//! The recurrence in plain tensor operations: the oracle of the kernels, and the fallback on devices
//! without one.
//!
//! It is differentiable by burn's autodiff, with respect to `x` too, and works in any precision.

use burn::tensor::activation::relu;
use burn::tensor::{Int, Tensor, TensorData};

use super::{Blocks, Input, Weights};

/// Outputs of every position, one step at a time.
///
/// # Shapes
/// `x` is `[batch, inputs]`, returns `[batch, outputs]`, both by blocks in the order of the walk.
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
            let (input, at) = (blocks.input(t), blocks.inputs_of(t));
            let x_t = one_hot(x.clone().narrow(1, at.start, at.len()), input); // [batch, features of t]
            let w_t = weights.w.clone().narrow(0, features.start, features.len());
            a = a + x_t.matmul(w_t); // [batch, hidden]
        }
    }
    Tensor::cat(each, 1) + weights.b.unsqueeze::<2>()
}

/// a after all positions, c + Σ_f x_f W_f, of which no gradient is asked often enough for a kernel.
///
/// # Shapes
/// `x` is `[batch, inputs]`, `w` `[features, hidden]`, `c` `[hidden]`; returns `[batch, hidden]`.
pub fn activations(x: Tensor<2>, w: Tensor<2>, c: Tensor<1>, blocks: &Blocks) -> Tensor<2> {
    let ([batch, _], [hidden]) = (x.dims(), c.dims());
    let mut a = c.unsqueeze::<2>().expand([batch, hidden]);
    for t in 0..blocks.dim() {
        let (features, at) = (blocks.features_of(t), blocks.inputs_of(t));
        if !features.is_empty() {
            let x_t = one_hot(x.clone().narrow(1, at.start, at.len()), blocks.input(t));
            a = a + x_t.matmul(w.clone().narrow(0, features.start, features.len()));
        }
    }
    a
}

/// The features of a position, `[batch, features]`, from its inputs.
pub(crate) fn one_hot(x: Tensor<2>, input: Input) -> Tensor<2> {
    let Input::Label(labels) = input else { return x };
    let [batch, _] = x.dims();
    let each: Vec<i64> = (0..labels as i64).collect();
    let each = Tensor::<2, Int>::from_data(TensorData::new(each, [1, labels]), &x.device());
    let x = x.expand([batch, labels]);
    let dtype = x.dtype();
    each.float().cast(dtype).expand([batch, labels]).equal(x).float().cast(dtype)
}
