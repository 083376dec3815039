//! The recurrence of NADE over blocks of features and outputs, for all positions at once: that of RNADE, and of
//! tables whose columns are of different types.
//!
//! ```text
//! a_1 = c;   h_t = max(0, ρ_t a_t);   o_[t] = b_[t] + V_[t] h_t;   a_{t+1} = a_t + Σ_f x_f W_f   over the features f of t
//! ```
//!
//! | variable t | features | outputs |
//! |---|---|---|
//! | a real number under K Gaussians (RNADE) | 1 | 3K |
//! | a number on a grid under K logistics | 1 | 3K |
//! | a category of m labels | m, of which at most one is 1: the input is its index ([`Input::Label`]) | m |
//! | a number that may be missing | 1, and whether it is missing | 3K + 1 |
//!
//! [`outputs`] runs it as one op with a hand-written backward pass where the device and the precision have a
//! kernel (flex and ndarray in f32), and as plain tensor operations ([`mod@reference`]) elsewhere. [`cpu`] has
//! the kernels themselves, on slices.
//!
//! The outputs of t are the parameters of p(x_t | x_<t); what they mean is not the recurrence's business.
//!
//! # References
//! Uria, Murray, Larochelle, *RNADE: The real-valued neural autoregressive density-estimator*, NIPS 2013,
//! arXiv:1306.0186, Eqs. 4 to 8.
//!
//! # Deviations from the paper
//! - Blocks; the paper has one feature for each variable.
//! - The activations are recomputed in the backward pass (a_t = a_{t+1} − Σ_f x_f W_f) instead of stored, so that
//!   the recurrence takes O(batch·H) memory beside its outputs.

mod autodiff;
pub mod cpu;
mod layout;
pub mod reference;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

#[cfg(any(feature = "flex", feature = "ndarray"))]
use crate::slices::Slices;

pub(crate) use layout::label;
pub use layout::{Blocks, Input};

/// Trainable tensors of the recurrence. Those of position t of the ordering are its block of rows.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Input weights W, `[features, hidden]`.
    pub w: Tensor<2>,
    /// Hidden biases c, `[hidden]`.
    pub c: Tensor<1>,
    /// What the activations of each position are scaled by, ρ, `[dim]`.
    pub rho: Tensor<1>,
    /// Output weights V, `[outputs, hidden]`.
    pub v: Tensor<2>,
    /// Output biases b, `[outputs]`.
    pub b: Tensor<1>,
}

impl Weights {
    /// Checks that they are of these blocks, and rows of inputs too.
    ///
    /// # Panics
    /// When the shapes do not belong together.
    pub(crate) fn check(&self, x: &Tensor<2>, blocks: &Blocks) {
        let ([_, inputs], [hidden]) = (x.dims(), self.c.dims());
        assert_eq!(inputs, blocks.inputs(), "x must be [batch, inputs]");
        assert_eq!(self.v.dims(), [blocks.outputs(), hidden], "v must be [outputs, hidden]");
        assert_eq!(self.w.dims(), [blocks.features(), hidden], "w must be [features, hidden]");
        assert_eq!(self.rho.dims(), [blocks.dim()], "rho must be [dim]");
        assert_eq!(self.b.dims(), [blocks.outputs()], "b must be [outputs]");
    }
}

/// o of every position.
///
/// Differentiable with respect to the weights; `x` is data and gets no gradient.
///
/// # Shapes
/// `x` is `[batch, inputs]`, returns `[batch, outputs]`, both by blocks in the order of the walk; see [`Input`].
///
/// # Panics
/// When the shapes do not belong together.
pub fn outputs(x: Tensor<2>, weights: Weights, blocks: &Blocks) -> Tensor<2> {
    let [batch, _] = x.dims();
    weights.check(&x, blocks);
    // An empty batch needs no kernel, and `x` with a gradient (a Jacobian, say) needs the reference.
    if batch == 0 || blocks.inputs() == 0 || !crate::has_kernel(&weights.w) || x.is_require_grad() {
        return reference::outputs(x, weights, blocks);
    }
    Tensor::from_dispatch(<Dispatch as BlockOps>::block_outputs(
        x.into_dispatch(),
        weights.w.into_dispatch(),
        weights.c.into_dispatch(),
        weights.rho.into_dispatch(),
        weights.v.into_dispatch(),
        weights.b.into_dispatch(),
        blocks.clone(),
    ))
}

/// The backend operations behind [`outputs`].
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray")
)]
#[expect(clippy::too_many_arguments, reason = "one argument per tensor is how burn dispatches")]
pub trait BlockOps: Backend {
    /// Outputs `[batch, outputs]` from `x` `[batch, inputs]` and the weights.
    fn block_outputs(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        c: FloatTensor<Self>,
        rho: FloatTensor<Self>,
        v: FloatTensor<Self>,
        b: FloatTensor<Self>,
        blocks: Blocks,
    ) -> FloatTensor<Self>;

    /// Gradients of the weights as one tensor `[cpu::gradient_len]`, from those of the outputs.
    fn block_gradients(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        c: FloatTensor<Self>,
        rho: FloatTensor<Self>,
        v: FloatTensor<Self>,
        b: FloatTensor<Self>,
        grad_outputs: FloatTensor<Self>,
        blocks: Blocks,
    ) -> FloatTensor<Self>;
}

/// W, c, ρ, V and b as slices.
#[cfg(any(feature = "flex", feature = "ndarray"))]
pub(crate) fn params<'a, B: Slices>(
    [w, c, rho, v, b]: &'a [B::Contiguous; 5],
    blocks: &'a Blocks,
) -> cpu::Params<'a> {
    cpu::Params {
        w: B::as_slice(w),
        c: B::as_slice(c),
        rho: B::as_slice(rho),
        v: B::as_slice(v),
        b: B::as_slice(b),
        blocks,
    }
}

/// Implements [`BlockOps`] for a backend whose tensors are host slices.
#[cfg(any(feature = "flex", feature = "ndarray"))]
macro_rules! on_slices {
    ($backend:ty) => {
        impl BlockOps for $backend {
            fn block_outputs(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                c: FloatTensor<Self>,
                rho: FloatTensor<Self>,
                v: FloatTensor<Self>,
                b: FloatTensor<Self>,
                blocks: Blocks,
            ) -> FloatTensor<Self> {
                let [x, weights @ ..] = [x, w, c, rho, v, b].map(Self::contiguous);
                let (x, params) = (Self::as_slice(&x), params::<Self>(&weights, &blocks));
                let shape = [x.len() / blocks.inputs(), blocks.outputs()];
                Self::from_vec(cpu::forward(x, params), burn::tensor::Shape::new(shape))
            }

            fn block_gradients(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                c: FloatTensor<Self>,
                rho: FloatTensor<Self>,
                v: FloatTensor<Self>,
                b: FloatTensor<Self>,
                grad_outputs: FloatTensor<Self>,
                blocks: Blocks,
            ) -> FloatTensor<Self> {
                let [x, grad, weights @ ..] =
                    [x, grad_outputs, w, c, rho, v, b].map(Self::contiguous);
                let (x, params) = (Self::as_slice(&x), params::<Self>(&weights, &blocks));
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
