//! The Bernoulli log-likelihood of rows of bits from their logits, as one op.
//!
//! ```text
//! log p(x) = −Σ_t log(1 + exp((1 − 2 x_t) l_t)),     ∂/∂l_t = x_t − σ(l_t)
//! ```
//!
//! The same number as prob-core's elementwise `bernoulli::log_prob` summed over a row, without a
//! dozen passes over `[batch, dim]`.

pub mod cpu;
#[cfg(feature = "cube")]
mod cube;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
#[cfg(feature = "cube")]
use burn::tensor::Shape;
use burn::tensor::Tensor;

#[cfg(any(feature = "flex", feature = "ndarray"))]
use crate::slices::Slices;

/// log p of each row of `x` under independent coins with `logits`, in nats; `-inf` for a row in
/// which one is neither 0 nor 1.
///
/// Differentiable with respect to `logits`; `x` is data and gets no gradient. `None` where the device
/// or the precision has no kernel (see [`crate::has_kernel`]): then use plain tensor operations.
///
/// # Shapes
/// `logits` and `x` are `[batch, dim]`; returns `[batch]`.
pub fn log_prob(logits: &Tensor<2>, x: &Tensor<2>) -> Option<Tensor<1>> {
    let [batch, dim] = logits.dims();
    let has_kernel = |tensor| crate::has_kernel(tensor) || crate::has_cube_kernel(tensor);
    if batch == 0 || dim == 0 || !has_kernel(logits) || !has_kernel(x) {
        return None;
    }
    assert_eq!(x.dims(), [batch, dim], "x and logits must both be [batch, dim]");
    Some(Tensor::from_dispatch(<Dispatch as BernoulliOps>::bernoulli_log_prob(
        logits.clone().into_dispatch(),
        x.clone().into_dispatch(),
    )))
}

/// The backend operations behind [`log_prob`].
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Fusion: cfg(feature = "cube")
)]
pub trait BernoulliOps: Backend {
    /// Log-probabilities `[batch]` from logits and bits, `[batch, dim]`.
    #[fusion(dtype = logits, shape = Shape::new([logits[0]]))]
    fn bernoulli_log_prob(logits: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Gradient of the logits, `[batch, dim]`, from that of the log-probabilities, `[batch]`.
    #[fusion(dtype = logits, shape = logits)]
    fn bernoulli_slope(
        logits: FloatTensor<Self>,
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// Implements [`BernoulliOps`] for a backend whose tensors are host slices.
#[cfg(any(feature = "flex", feature = "ndarray"))]
macro_rules! on_slices {
    ($backend:ty) => {
        impl BernoulliOps for $backend {
            fn bernoulli_log_prob(
                logits: FloatTensor<Self>,
                x: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                let [batch, dim] = burn::backend::TensorMetadata::shape(&logits).dims();
                let [logits, x] = [logits, x].map(Self::contiguous);
                let out = cpu::log_prob(Self::as_slice(&logits), Self::as_slice(&x), dim);
                Self::from_vec(out, burn::tensor::Shape::new([batch]))
            }

            fn bernoulli_slope(
                logits: FloatTensor<Self>,
                x: FloatTensor<Self>,
                grad: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                let shape = burn::backend::TensorMetadata::shape(&logits);
                let [_, dim] = shape.dims();
                let [logits, x, grad] = [logits, x, grad].map(Self::contiguous);
                let [logits, x, grad] = [&logits, &x, &grad].map(Self::as_slice);
                Self::from_vec(cpu::log_prob_backward(logits, x, grad, dim), shape)
            }
        }
    };
}

#[cfg(feature = "flex")]
on_slices!(burn::backend::Flex);
#[cfg(feature = "ndarray")]
on_slices!(burn::backend::NdArray);

impl<B: BernoulliOps, C: CheckpointStrategy> BernoulliOps for Autodiff<B, C> {
    fn bernoulli_log_prob(logits: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct BernoulliBackward;

        impl<B: BernoulliOps> Backward<B, 1> for BernoulliBackward {
            /// Logits and x.
            type State = [FloatTensor<B>; 2];

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [parent] = ops.parents;
                let grad = grads.consume::<B>(&ops.node);
                let [logits, x] = ops.state;
                if let Some(node) = parent {
                    grads.register::<B>(node.id, B::bernoulli_slope(logits, x, grad));
                }
            }
        }

        match BernoulliBackward.prepare::<C>([logits.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (logits, x) = (logits.into_primitive(), x.into_primitive());
                prep.finish([logits.clone(), x.clone()], B::bernoulli_log_prob(logits, x))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::bernoulli_log_prob(logits.into_primitive(), x.into_primitive()))
            }
        }
    }

    fn bernoulli_slope(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        unreachable!("the backward pass runs on the inner backend")
    }
}
