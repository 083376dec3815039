//! NADE over the columns of a table as one op: the recurrence of [`blocks`], whose outputs at a position become the
//! likelihood of a column ([`columns`]) before they leave the cache.
//!
//! ```text
//! a_1 = c;   h_t = max(0, ρ_t a_t);   o = b_[t] + V_[t] h_t;   log p(x_t | o);   a_{t+1} = a_t + Σ_f x_f W_f
//! ```
//!
//! [`log_prob`] has a hand-written backward pass where the device and the precision have a kernel (flex and ndarray in
//! f32). It keeps ∂ log p / ∂o of the forward pass, which is all that a gradient needs of it, whatever the loss. Elsewhere
//! it is [`blocks::outputs`] and then [`columns::log_prob`], of which each has its own oracle.

mod autodiff;
pub mod cpu;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use crate::blocks::{self, Blocks, Weights};
use crate::columns::{self, Heads};
#[cfg(any(feature = "flex", feature = "ndarray"))]
use crate::slices::Slices;

/// log p of each value, in nats.
///
/// Differentiable with respect to the weights; `x` and `targets` are data and get no gradient.
///
/// # Shapes
/// `x` is `[batch, inputs]` as [`blocks`] takes it, `targets` `[batch, targets]` as [`columns`] does, both in the order
/// of the walk; returns `[batch, columns]`.
///
/// # Panics
/// When the shapes do not belong together.
pub fn log_prob(
    x: Tensor<2>,
    targets: Tensor<2>,
    weights: Weights,
    blocks: &Blocks,
    heads: &Heads,
) -> Tensor<2> {
    let [batch, inputs] = x.dims();
    weights.check(&x, blocks);
    assert_eq!(targets.dims(), [batch, heads.targets()], "targets must be [batch, targets]");
    let is_empty = batch == 0 || inputs == 0 || blocks.outputs() == 0;
    // `x` with a gradient (a Jacobian, say) needs the plain operations.
    if is_empty || !crate::has_kernel(&weights.w) || x.is_require_grad() {
        return columns::log_prob(blocks::outputs(x, weights, blocks), targets, heads);
    }
    Tensor::from_dispatch(<Dispatch as ColumnNadeOps>::column_nade_log_prob(
        x.into_dispatch(),
        targets.into_dispatch(),
        weights.w.into_dispatch(),
        weights.c.into_dispatch(),
        weights.rho.into_dispatch(),
        weights.v.into_dispatch(),
        weights.b.into_dispatch(),
        blocks.clone(),
        heads.clone(),
    ))
}

/// The backend operations behind [`log_prob`].
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray")
)]
#[expect(clippy::too_many_arguments, reason = "one argument per tensor is how burn dispatches")]
pub trait ColumnNadeOps: Backend {
    /// Log-probabilities `[batch, columns]` of `targets` `[batch, targets]` from `x` `[batch, inputs]` and the weights.
    fn column_nade_log_prob(
        x: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        w: FloatTensor<Self>,
        c: FloatTensor<Self>,
        rho: FloatTensor<Self>,
        v: FloatTensor<Self>,
        b: FloatTensor<Self>,
        blocks: Blocks,
        heads: Heads,
    ) -> FloatTensor<Self>;

    /// The same, and the slopes that the backward pass needs.
    fn column_nade_kept(
        x: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        w: FloatTensor<Self>,
        c: FloatTensor<Self>,
        rho: FloatTensor<Self>,
        v: FloatTensor<Self>,
        b: FloatTensor<Self>,
        blocks: Blocks,
        heads: Heads,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of the weights as one tensor, from those of the log-probabilities and the slopes.
    fn column_nade_gradients(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        c: FloatTensor<Self>,
        rho: FloatTensor<Self>,
        v: FloatTensor<Self>,
        b: FloatTensor<Self>,
        slopes: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        blocks: Blocks,
    ) -> FloatTensor<Self>;
}

/// Implements [`ColumnNadeOps`] for a backend whose tensors are host slices.
#[cfg(any(feature = "flex", feature = "ndarray"))]
macro_rules! on_slices {
    ($backend:ty) => {
        impl ColumnNadeOps for $backend {
            fn column_nade_log_prob(
                x: FloatTensor<Self>,
                targets: FloatTensor<Self>,
                w: FloatTensor<Self>,
                c: FloatTensor<Self>,
                rho: FloatTensor<Self>,
                v: FloatTensor<Self>,
                b: FloatTensor<Self>,
                blocks: Blocks,
                heads: Heads,
            ) -> FloatTensor<Self> {
                let batch = burn::backend::TensorMetadata::shape(&targets)[0];
                let shape = burn::tensor::Shape::new([batch, blocks.dim()]);
                let [x, targets, weights @ ..] =
                    [x, targets, w, c, rho, v, b].map(Self::contiguous);
                let params = blocks::params::<Self>(&weights, &blocks);
                let [x, targets] = [&x, &targets].map(Self::as_slice);
                Self::from_vec(cpu::log_prob(x, targets, params, &heads), shape)
            }

            fn column_nade_kept(
                x: FloatTensor<Self>,
                targets: FloatTensor<Self>,
                w: FloatTensor<Self>,
                c: FloatTensor<Self>,
                rho: FloatTensor<Self>,
                v: FloatTensor<Self>,
                b: FloatTensor<Self>,
                blocks: Blocks,
                heads: Heads,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                let batch = burn::backend::TensorMetadata::shape(&targets)[0];
                let shape = burn::tensor::Shape::new([batch, blocks.dim()]);
                let [x, targets, weights @ ..] =
                    [x, targets, w, c, rho, v, b].map(Self::contiguous);
                let params = blocks::params::<Self>(&weights, &blocks);
                let [x, targets] = [&x, &targets].map(Self::as_slice);
                let (log_probs, slopes) = cpu::forward(x, targets, params, &heads);
                let len = slopes.len();
                (
                    Self::from_vec(log_probs, shape),
                    Self::from_vec(slopes, burn::tensor::Shape::new([len])),
                )
            }

            fn column_nade_gradients(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                c: FloatTensor<Self>,
                rho: FloatTensor<Self>,
                v: FloatTensor<Self>,
                b: FloatTensor<Self>,
                slopes: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                blocks: Blocks,
            ) -> FloatTensor<Self> {
                let [x, slopes, grad, weights @ ..] =
                    [x, slopes, grad, w, c, rho, v, b].map(Self::contiguous);
                let params = blocks::params::<Self>(&weights, &blocks);
                let [x, slopes, grad] = [&x, &slopes, &grad].map(Self::as_slice);
                let packed = cpu::backward(x, params, slopes, grad);
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
