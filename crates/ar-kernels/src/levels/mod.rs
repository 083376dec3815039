//! The log-likelihood of levels, whole numbers from 0 to m − 1, under a mixture of logistics whose parameters are the
//! outputs of a network, as one op.
//!
//! ```text
//! p(x) = Σ_k π_k [σ((u + h − μ_k) / s_k) − σ((u − h − μ_k) / s_k)],     u = 2x / (m − 1) − 1,   h = 1 / (m − 1)
//!        with 0 for the second σ where x = 0, and 1 for the first where x = m − 1
//!        π = softmax(o^π),  μ = o^μ,  s = exp(o^s) + h / 16
//! ```
//!
//! The first level takes the whole left tail and the last one the whole right tail, so that the masses of the m levels
//! add up to exactly 1. At the least scale nearly all of a component is in one cell, and narrower ones would gain
//! nothing.
//!
//! [`log_prob`] is one operation with a hand-written gradient where the device and the precision have a kernel (flex
//! and ndarray in f32), and plain tensor operations ([`mod@reference`]) elsewhere.
//!
//! # References
//! Salimans, Karpathy, Chen, Kingma, *PixelCNN++*, ICLR 2017, arXiv:1701.05517, Eq. 2.
//!
//! # Deviations from the paper
//! - A least scale in the place of a least log-scale of −7; log σ(b) + log σ(−a) + log(1 − e^−(b − a)) in the place of
//!   the density at the middle of a cell where the difference of the σ is small (see
//!   `prob_core::dist::discretized_logistic`).
//! - The means of a colour do not depend linearly on the colours before it: what a network knows of those is its
//!   business.

mod autodiff;
pub mod cpu;
mod lanes;
pub mod reference;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

#[cfg(any(feature = "flex", feature = "ndarray"))]
use crate::slices::Slices;

/// A mixture of logistics on levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mixture {
    /// Levels m, at least 2.
    pub levels: usize,
    /// Components K, of which each has three outputs: all o^π, then all o^μ, then all o^s.
    pub components: usize,
}

impl Mixture {
    /// Outputs that it takes.
    pub fn outputs(&self) -> usize {
        3 * self.components
    }

    /// h, half the distance of two levels where all of them are from −1 to 1.
    pub fn half(&self) -> f64 {
        1.0 / (self.levels - 1) as f64
    }

    /// The least scale.
    pub fn floor(&self) -> f64 {
        self.half() / 16.0
    }
}

/// log p of each level, in nats; `-inf` for what is none of them.
///
/// Differentiable with respect to `outputs`; `x` is data and gets no gradient.
///
/// # Shapes
/// `outputs` is `[rows, 3K]`, `x` and the result are `[rows]`.
///
/// # Panics
/// When the shapes do not belong together.
pub fn log_prob(outputs: Tensor<2>, x: Tensor<1>, mixture: Mixture) -> Tensor<1> {
    let [rows, width] = outputs.dims();
    assert_eq!(width, mixture.outputs(), "outputs must be [rows, 3 components]");
    assert_eq!(x.dims(), [rows], "x must be [rows]");
    if rows == 0 || !crate::has_kernel(&outputs) || !crate::has_kernel(&x) {
        return reference::log_prob(outputs, x, mixture);
    }
    Tensor::from_dispatch(<Dispatch as LevelOps>::level_log_prob(
        outputs.into_dispatch(),
        x.into_dispatch(),
        mixture,
    ))
}

/// The backend operations behind [`log_prob`].
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray")
)]
pub trait LevelOps: Backend {
    /// Log-probabilities `[rows]`.
    fn level_log_prob(
        outputs: FloatTensor<Self>,
        x: FloatTensor<Self>,
        mixture: Mixture,
    ) -> FloatTensor<Self>;

    /// Gradient of the outputs, from that of the log-probabilities.
    fn level_slope(
        outputs: FloatTensor<Self>,
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        mixture: Mixture,
    ) -> FloatTensor<Self>;
}

/// Implements [`LevelOps`] for a backend whose tensors are host slices.
#[cfg(any(feature = "flex", feature = "ndarray"))]
macro_rules! on_slices {
    ($backend:ty) => {
        impl LevelOps for $backend {
            fn level_log_prob(
                outputs: FloatTensor<Self>,
                x: FloatTensor<Self>,
                mixture: Mixture,
            ) -> FloatTensor<Self> {
                let shape = burn::backend::TensorMetadata::shape(&x);
                let [outputs, x] = [outputs, x].map(Self::contiguous);
                let out = cpu::log_prob(Self::as_slice(&outputs), Self::as_slice(&x), mixture);
                Self::from_vec(out, shape)
            }

            fn level_slope(
                outputs: FloatTensor<Self>,
                x: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                mixture: Mixture,
            ) -> FloatTensor<Self> {
                let shape = burn::backend::TensorMetadata::shape(&outputs);
                let [outputs, x, grad] = [outputs, x, grad].map(Self::contiguous);
                let [outputs, x, grad] = [&outputs, &x, &grad].map(Self::as_slice);
                Self::from_vec(cpu::slope(outputs, x, grad, mixture), shape)
            }
        }
    };
}

#[cfg(feature = "flex")]
on_slices!(burn::backend::Flex);
#[cfg(feature = "ndarray")]
on_slices!(burn::backend::NdArray);
