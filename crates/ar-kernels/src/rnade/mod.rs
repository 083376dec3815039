//! The recurrence of RNADE, for all positions at once.
//!
//! ```text
//! a_1 = c;   h_t = max(0, ρ_t a_t);   o_t = b_t + V_t h_t;   a_{t+1} = a_t + W_t x_t
//! ```
//!
//! [`outputs`] runs it as one op with a hand-written backward pass where the device and the precision have a
//! kernel (flex and ndarray in f32), and as plain tensor operations ([`mod@reference`]) elsewhere. [`cpu`] has
//! the kernels themselves, on slices.
//!
//! o_t holds the parameters of p(x_t | x_<t), for a mixture of K Gaussians 3K of them; what they mean is
//! not the recurrence's business.
//!
//! # References
//! Uria, Murray, Larochelle, *RNADE: The real-valued neural autoregressive density-estimator*, NIPS 2013,
//! arXiv:1306.0186, Eqs. 4 to 8.
//!
//! # Deviations from the paper
//! The activations are recomputed in the backward pass (a_t = a_{t+1} − W_t x_t) instead of stored, so that
//! the recurrence takes O(batch·H) memory beside its outputs.

mod autodiff;
pub mod cpu;
pub mod reference;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

#[cfg(any(feature = "flex", feature = "ndarray"))]
use crate::slices::Slices;

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
/// Differentiable with respect to the weights; `x` is data and gets no gradient.
///
/// # Shapes
/// `x` is `[batch, dim]` in the order of the walk; returns `[batch, dim, outputs]`.
///
/// # Panics
/// When the shapes do not belong together.
pub fn outputs(x: Tensor<2>, weights: Weights) -> Tensor<3> {
    let [batch, dim] = x.dims();
    let [_, outputs, hidden] = weights.v.dims();
    assert_eq!(weights.v.dims(), [dim, outputs, hidden], "v must be [dim, outputs, hidden]");
    assert_eq!(weights.w.dims(), [dim, hidden], "w must be [dim, hidden]");
    assert_eq!(weights.c.dims(), [hidden], "c must be [hidden]");
    assert_eq!(weights.rho.dims(), [dim], "rho must be [dim]");
    assert_eq!(weights.b.dims(), [dim, outputs], "b must be [dim, outputs]");
    // An empty batch needs no kernel, and `x` with a gradient (a Jacobian, say) needs the reference.
    if batch == 0 || dim == 0 || !crate::has_kernel(&weights.w) || x.is_require_grad() {
        return reference::outputs(x, weights);
    }
    Tensor::from_dispatch(<Dispatch as RnadeOps>::rnade_outputs(
        x.into_dispatch(),
        weights.w.into_dispatch(),
        weights.c.into_dispatch(),
        weights.rho.into_dispatch(),
        weights.v.into_dispatch(),
        weights.b.into_dispatch(),
    ))
}

/// The backend operations behind [`outputs`].
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray")
)]
pub trait RnadeOps: Backend {
    /// Outputs `[batch, dim, outputs]` from `x` `[batch, dim]` and the weights.
    fn rnade_outputs(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        c: FloatTensor<Self>,
        rho: FloatTensor<Self>,
        v: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Gradients of the weights as one tensor `[cpu::gradient_len]`, from those of the outputs.
    fn rnade_gradients(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        c: FloatTensor<Self>,
        rho: FloatTensor<Self>,
        v: FloatTensor<Self>,
        b: FloatTensor<Self>,
        grad_outputs: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// W, c, ρ, V and b as slices.
#[cfg(any(feature = "flex", feature = "ndarray"))]
fn params<B: Slices>([w, c, rho, v, b]: &[B::Contiguous; 5]) -> cpu::Params<'_> {
    cpu::Params {
        w: B::as_slice(w),
        c: B::as_slice(c),
        rho: B::as_slice(rho),
        v: B::as_slice(v),
        b: B::as_slice(b),
    }
}

/// Implements [`RnadeOps`] for a backend whose tensors are host slices.
#[cfg(any(feature = "flex", feature = "ndarray"))]
macro_rules! on_slices {
    ($backend:ty) => {
        impl RnadeOps for $backend {
            fn rnade_outputs(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                c: FloatTensor<Self>,
                rho: FloatTensor<Self>,
                v: FloatTensor<Self>,
                b: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                let [x, weights @ ..] = [x, w, c, rho, v, b].map(Self::contiguous);
                let (x, params) = (Self::as_slice(&x), params::<Self>(&weights));
                let dim = params.rho.len();
                let shape = [x.len() / dim, dim, params.b.len() / dim];
                Self::from_vec(cpu::forward(x, params), burn::tensor::Shape::new(shape))
            }

            fn rnade_gradients(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                c: FloatTensor<Self>,
                rho: FloatTensor<Self>,
                v: FloatTensor<Self>,
                b: FloatTensor<Self>,
                grad_outputs: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                let [x, grad, weights @ ..] =
                    [x, grad_outputs, w, c, rho, v, b].map(Self::contiguous);
                let (x, params) = (Self::as_slice(&x), params::<Self>(&weights));
                let packed = cpu::backward(x, params, Self::as_slice(&grad));
                let len = packed.len();
                Self::from_vec(packed, burn::tensor::Shape::new([len]))
            }
        }
    };
}

#[cfg(feature = "flex")]
on_slices!(burn::backend::Flex);
#[cfg(feature = "ndarray")]
on_slices!(burn::backend::NdArray);
