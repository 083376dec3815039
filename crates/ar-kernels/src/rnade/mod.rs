//! The recurrence of RNADE, for all positions at once.
//!
//! ```text
//! a_1 = c;   h_t = max(0, ρ_t a_t);   o_t = b_t + V_t h_t;   a_{t+1} = a_t + W_t x_t
//! ```
//!
//! o_t holds the parameters of p(x_t | x_<t), for a mixture of K Gaussians 3K of them; what they mean is
//! not the recurrence's business.
//!
//! # References
//! Uria, Murray, Larochelle, *RNADE: The real-valued neural autoregressive density-estimator*, NIPS 2013,
//! arXiv:1306.0186, Eqs. 4 to 8.

pub mod reference;

use burn::tensor::Tensor;

/// Trainable tensors of the recurrence. Row t belongs to position t of the ordering.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Input weights W, `[dim, hidden]`.
    pub w: Tensor<2>,
    /// Hidden biases c, `[hidden]`.
    pub c: Tensor<1>,
    /// What the activations of each position are scaled by, ρ, `[dim]`.
    pub rho: Tensor<1>,
    /// Output weights V, `[dim, outputs, hidden]`.
    pub v: Tensor<3>,
    /// Output biases b, `[dim, outputs]`.
    pub b: Tensor<2>,
}

/// o_t of every position.
///
/// # Shapes
/// `x` is `[batch, dim]` in the order of the walk; returns `[batch, dim, outputs]`.
///
/// # Panics
/// When the shapes do not belong together.
pub fn outputs(x: Tensor<2>, weights: Weights) -> Tensor<3> {
    let [_, dim] = x.dims();
    let [_, outputs, hidden] = weights.v.dims();
    assert_eq!(weights.v.dims(), [dim, outputs, hidden], "v must be [dim, outputs, hidden]");
    assert_eq!(weights.w.dims(), [dim, hidden], "w must be [dim, hidden]");
    assert_eq!(weights.c.dims(), [hidden], "c must be [hidden]");
    assert_eq!(weights.rho.dims(), [dim], "rho must be [dim]");
    assert_eq!(weights.b.dims(), [dim, outputs], "b must be [dim, outputs]");
    reference::outputs(x, weights)
}
