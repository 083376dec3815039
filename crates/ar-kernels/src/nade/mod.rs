//! The recurrence of NADE, for all positions at once.
//!
//! ```text
//! a_1 = c;   logit_t = b_t + V_t · σ(a_t);   a_{t+1} = a_t + W_t x_t          O(D·H) per image
//! ```
//!
//! [`logits`] runs it as one op with a hand-written backward pass where the device and the precision
//! have a kernel (flex, ndarray, CUDA and wgpu in f32), and as plain tensor operations ([`mod@reference`])
//! elsewhere. [`draw`] is the walk whose values are drawn, on the device. [`cpu`] has the kernels of host
//! devices, on slices, and the walk position by position that draws, completes and codes.
//!
//! # References
//! - Larochelle and Murray, *The Neural Autoregressive Distribution Estimator*, AISTATS 2011,
//!   Eqs. 10 and 11 and Algorithm 1.
//! - Uria, Côté, Gregor, Murray, Larochelle, *Neural Autoregressive Distribution Estimation*, 2016,
//!   arXiv:1605.02226, Section 2.
//!
//! # Deviations from the paper
//! The activations are recomputed in the backward pass (a_t = a_{t+1} − W_t x_t) instead of stored,
//! so that memory is O(batch·H). σ(a) is recomputed only where x_t ≠ 0: elsewhere a did not move.

mod autodiff;
pub mod cpu;
#[cfg(feature = "cube")]
mod cube;
pub mod reference;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
#[cfg(feature = "cube")]
use burn::tensor::Shape;
use burn::tensor::Tensor;

#[cfg(any(feature = "flex", feature = "ndarray"))]
use crate::slices::Slices;

/// Trainable tensors of the recurrence. Row t belongs to position t of the ordering.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Input weights W, `[dim, hidden]`.
    pub w: Tensor<2>,
    /// Output weights V, `[dim, hidden]`.
    pub v: Tensor<2>,
    /// Output biases b, `[dim]`.
    pub b: Tensor<1>,
    /// Hidden biases c, `[hidden]`.
    pub c: Tensor<1>,
}

/// Logit of p(x_t = 1 | x_<t) for every position.
///
/// Differentiable with respect to the weights; `x` is data and gets no gradient.
///
/// # Shapes
/// `x` is `[batch, dim]` in the order of the walk; returns `[batch, dim]`.
///
/// # Panics
/// When the shapes do not belong together.
pub fn logits(x: Tensor<2>, weights: Weights) -> Tensor<2> {
    let [batch, dim] = x.dims();
    weights.check(dim);
    // An empty batch needs no kernel, and `x` with a gradient (a Jacobian, say) needs the reference.
    if batch == 0 || dim == 0 || !weights.have_kernel() || x.is_require_grad() {
        return reference::logits(x, weights);
    }
    Tensor::from_dispatch(<Dispatch as NadeOps>::nade_logits(
        x.into_dispatch(),
        weights.w.into_dispatch(),
        weights.v.into_dispatch(),
        weights.b.into_dispatch(),
        weights.c.into_dispatch(),
    ))
}

/// The walk that draws: x_t is 1 where its logit, given what was drawn before, is above
/// `thresholds[·, t]`, else 0. The threshold of a uniform u is log(u / (1 − u)), since logit > threshold where
/// u < p(x_t = 1 | x_<t); that of a bit that is known is −∞ or ∞. `None` where the device or the precision has
/// no kernel.
///
/// # Shapes
/// `thresholds` is `[batch, dim]` in the order of the walk; returns `[batch, dim]`.
///
/// # Panics
/// When the shapes do not belong together.
pub fn draw(thresholds: Tensor<2>, weights: Weights) -> Option<Tensor<2>> {
    let [batch, dim] = thresholds.dims();
    weights.check(dim);
    if batch == 0 || dim == 0 || !weights.have_kernel() {
        return None;
    }
    Some(Tensor::from_dispatch(<Dispatch as NadeOps>::nade_draw(
        thresholds.into_dispatch(),
        weights.w.into_dispatch(),
        weights.v.into_dispatch(),
        weights.b.into_dispatch(),
        weights.c.into_dispatch(),
    )))
}

impl Weights {
    fn check(&self, dim: usize) {
        let [_, hidden] = self.w.dims();
        assert_eq!(self.w.dims(), [dim, hidden], "w must be [dim, hidden]");
        assert_eq!(self.v.dims(), [dim, hidden], "v must be [dim, hidden]");
        assert_eq!(self.b.dims(), [dim], "b must be [dim]");
        assert_eq!(self.c.dims(), [hidden], "c must be [hidden]");
    }

    /// Whether [`logits`] and [`draw`] run as kernels, by the device, the precision and the number of hidden units.
    pub fn have_kernel(&self) -> bool {
        #[cfg(feature = "cube")]
        if crate::has_cube_kernel(&self.w) {
            return (1..=cube::MOST_HIDDEN).contains(&self.c.dims()[0]);
        }
        crate::has_kernel(&self.w)
    }

    /// The same on the host, in f32.
    pub fn on_host(self) -> HostWeights {
        fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
            x.into_data().iter::<f32>().collect()
        }
        HostWeights { w: host(self.w), v: host(self.v), b: host(self.b), c: host(self.c) }
    }
}

/// [`Weights`] on the host, for the walks of [`cpu`].
#[derive(Clone, Debug)]
pub struct HostWeights {
    w: Vec<f32>,
    v: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl HostWeights {
    /// As slices.
    pub fn params(&self) -> cpu::Params<'_, f32> {
        cpu::Params { w: &self.w, v: &self.v, b: &self.b, c: &self.c }
    }
}

/// The backend operations behind [`logits`].
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Fusion: cfg(feature = "cube")
)]
pub trait NadeOps: Backend {
    /// Logits `[batch, dim]` from `x` `[batch, dim]` and the weights.
    #[fusion(dtype = x, shape = x)]
    fn nade_logits(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        v: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Gradients of the weights as one tensor `[cpu::gradient_len]`, from those of the logits.
    #[fusion(dtype = x, shape = Shape::new([cpu::gradient_len(w[0], w[1])]))]
    fn nade_gradients(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        v: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        grad_logits: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Bits `[batch, dim]` from their thresholds `[batch, dim]` and the weights.
    #[fusion(dtype = thresholds, shape = thresholds)]
    fn nade_draw(
        thresholds: FloatTensor<Self>,
        w: FloatTensor<Self>,
        v: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// Implements [`NadeOps`] for a backend whose tensors are host slices.
#[cfg(any(feature = "flex", feature = "ndarray"))]
macro_rules! on_slices {
    ($backend:ty) => {
        impl NadeOps for $backend {
            fn nade_logits(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                v: FloatTensor<Self>,
                b: FloatTensor<Self>,
                c: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                let shape = burn::backend::TensorMetadata::shape(&x);
                let [x, w, v, b, c] = [x, w, v, b, c].map(Self::contiguous);
                let params = cpu::Params {
                    w: Self::as_slice(&w),
                    v: Self::as_slice(&v),
                    b: Self::as_slice(&b),
                    c: Self::as_slice(&c),
                };
                Self::from_vec(cpu::forward(Self::as_slice(&x), params), shape)
            }

            fn nade_gradients(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                v: FloatTensor<Self>,
                b: FloatTensor<Self>,
                c: FloatTensor<Self>,
                grad_logits: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                let [x, w, v, b, c, grad] = [x, w, v, b, c, grad_logits].map(Self::contiguous);
                let params = cpu::Params {
                    w: Self::as_slice(&w),
                    v: Self::as_slice(&v),
                    b: Self::as_slice(&b),
                    c: Self::as_slice(&c),
                };
                let packed = cpu::backward(Self::as_slice(&x), params, Self::as_slice(&grad));
                let len = packed.len();
                Self::from_vec(packed, burn::tensor::Shape::new([len]))
            }

            fn nade_draw(
                thresholds: FloatTensor<Self>,
                w: FloatTensor<Self>,
                v: FloatTensor<Self>,
                b: FloatTensor<Self>,
                c: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                let shape = burn::backend::TensorMetadata::shape(&thresholds);
                let [thresholds, w, v, b, c] = [thresholds, w, v, b, c].map(Self::contiguous);
                let params = cpu::Params {
                    w: Self::as_slice(&w),
                    v: Self::as_slice(&v),
                    b: Self::as_slice(&b),
                    c: Self::as_slice(&c),
                };
                let drawn = cpu::draw(Self::as_slice(&thresholds), params);
                Self::from_vec(drawn, shape)
            }
        }
    };
}

#[cfg(feature = "flex")]
on_slices!(burn::backend::Flex);
#[cfg(feature = "ndarray")]
on_slices!(burn::backend::NdArray);
