//! Layers whose weights are masked by degrees, as those of MADE are: a unit above sees one below if its degree is no
//! less.
//!
//! ```text
//! linear   y = c + x (W ∘ M)                    M[j, k] = 1 if above(k) ≥ below(j)
//! rows     y = c + Σ_f x_f (W ∘ M)_f            over the features f of a row, of which a label has one that is not 0
//! ```
//!
//! Each is one op with a hand-written backward pass where the device and the precision have a kernel (flex and ndarray
//! in f32), and plain tensor operations ([`mod@reference`]) elsewhere; [`cpu`] has the kernels themselves, on slices. With
//! the units of both sides sorted by degree the mask is a staircase: half of the product is zeros that [`linear`] never
//! computes, and the mask is applied where the weights are packed. [`rows`] looks up the row of a label instead of
//! multiplying ones and zeros; its gradient is a sum into that row.
//!
//! # References
//! Germain, Gregor, Murray, Larochelle, *MADE: Masked Autoencoder for Distribution Estimation*, ICML 2015,
//! arXiv:1502.03509, Eqs. 8 to 13.

mod autodiff;
pub mod cpu;
mod degrees;
pub mod reference;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use crate::blocks::Blocks;
#[cfg(any(feature = "flex", feature = "ndarray"))]
use crate::slices::Slices;

pub use degrees::Degrees;

/// `c + x (W ∘ M)`.
///
/// Differentiable with respect to all three.
///
/// # Shapes
/// `x` is `[batch, below]`, `w` `[below, above]`, `c` `[above]`; returns `[batch, above]`.
///
/// # Panics
/// When the shapes do not belong together.
pub fn linear(x: Tensor<2>, w: Tensor<2>, c: Tensor<1>, degrees: &Degrees) -> Tensor<2> {
    let [batch, below] = x.dims();
    assert_eq!([below, c.dims()[0]], w.dims(), "w must be [below, above]");
    assert_eq!(w.dims(), degrees.dims(), "one degree for every unit");
    if batch == 0 || w.shape().num_elements() == 0 || !crate::has_kernel(&w) {
        return reference::linear(x, w, c, degrees);
    }
    Tensor::from_dispatch(<Dispatch as MaskedOps>::masked_linear(
        x.into_dispatch(),
        w.into_dispatch(),
        c.into_dispatch(),
        degrees.clone(),
    ))
}

/// `c + Σ_f x_f (W ∘ M)_f`.
///
/// Differentiable with respect to the weights; `x` is data and gets no gradient.
///
/// # Shapes
/// `x` is `[batch, inputs]` as [`blocks`](crate::blocks) takes it, `w` `[features, above]`, `c` `[above]`; returns
/// `[batch, above]`.
///
/// # Panics
/// When the shapes do not belong together.
pub fn rows(
    x: Tensor<2>,
    w: Tensor<2>,
    c: Tensor<1>,
    degrees: &Degrees,
    blocks: &Blocks,
) -> Tensor<2> {
    let [batch, inputs] = x.dims();
    assert_eq!(inputs, blocks.inputs(), "x must be [batch, inputs]");
    assert_eq!([blocks.features(), c.dims()[0]], w.dims(), "w must be [features, above]");
    assert_eq!(w.dims(), degrees.dims(), "one degree for every feature and unit");
    // `x` with a gradient (a Jacobian, say) needs the plain operations.
    let is_empty = batch == 0 || inputs == 0 || w.shape().num_elements() == 0;
    if is_empty || !crate::has_kernel(&w) || x.is_require_grad() {
        return reference::rows(x, w, c, degrees, blocks);
    }
    Tensor::from_dispatch(<Dispatch as MaskedOps>::masked_rows(
        x.into_dispatch(),
        w.into_dispatch(),
        c.into_dispatch(),
        degrees.clone(),
        blocks.clone(),
    ))
}

/// The backend operations behind [`linear`] and [`rows`].
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray")
)]
pub trait MaskedOps: Backend {
    /// `[batch, above]` from `x` `[batch, below]`, `w` `[below, above]` and `c` `[above]`.
    fn masked_linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        c: FloatTensor<Self>,
        degrees: Degrees,
    ) -> FloatTensor<Self>;

    /// Gradients of x (empty unless it is `asked` for), W and c, from that of the result.
    fn masked_linear_gradients(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        degrees: Degrees,
        asked: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// `[batch, above]` from `x` `[batch, inputs]`, `w` `[features, above]` and `c` `[above]`.
    fn masked_rows(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        c: FloatTensor<Self>,
        degrees: Degrees,
        blocks: Blocks,
    ) -> FloatTensor<Self>;

    /// Gradients of W and c, from that of the result.
    fn masked_rows_gradients(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        degrees: Degrees,
        blocks: Blocks,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// Implements [`MaskedOps`] for a backend whose tensors are host slices.
#[cfg(any(feature = "flex", feature = "ndarray"))]
macro_rules! on_slices {
    ($backend:ty) => {
        impl MaskedOps for $backend {
            fn masked_linear(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                c: FloatTensor<Self>,
                degrees: Degrees,
            ) -> FloatTensor<Self> {
                let [x, w, c] = [x, w, c].map(Self::contiguous);
                let [x, w, c] = [&x, &w, &c].map(Self::as_slice);
                let [below, above] = degrees.dims();
                let shape = burn::tensor::Shape::new([x.len() / below, above]);
                Self::from_vec(cpu::linear(x, w, c, &degrees), shape)
            }

            fn masked_linear_gradients(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                degrees: Degrees,
                asked: bool,
            ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
                let [x, w, grad] = [x, w, grad].map(Self::contiguous);
                let [x, w, grad] = [&x, &w, &grad].map(Self::as_slice);
                let [below, above] = degrees.dims();
                let [of_x, of_w, of_c] = cpu::linear_gradients(x, w, grad, &degrees, asked);
                let x_shape = [of_x.len() / below, below];
                (
                    Self::from_vec(of_x, burn::tensor::Shape::new(x_shape)),
                    Self::from_vec(of_w, burn::tensor::Shape::new([below, above])),
                    Self::from_vec(of_c, burn::tensor::Shape::new([above])),
                )
            }

            fn masked_rows(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                c: FloatTensor<Self>,
                degrees: Degrees,
                blocks: Blocks,
            ) -> FloatTensor<Self> {
                let [x, w, c] = [x, w, c].map(Self::contiguous);
                let [x, w, c] = [&x, &w, &c].map(Self::as_slice);
                let shape = burn::tensor::Shape::new([x.len() / blocks.inputs(), c.len()]);
                Self::from_vec(cpu::rows(x, w, c, &degrees, &blocks), shape)
            }

            fn masked_rows_gradients(
                x: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                degrees: Degrees,
                blocks: Blocks,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                let [x, grad] = [x, grad].map(Self::contiguous);
                let [x, grad] = [&x, &grad].map(Self::as_slice);
                let [of_w, of_c] = cpu::rows_weights(x, grad, &degrees, &blocks);
                let [features, above] = degrees.dims();
                (
                    Self::from_vec(of_w, burn::tensor::Shape::new([features, above])),
                    Self::from_vec(of_c, burn::tensor::Shape::new([above])),
                )
            }
        }
    };
}

#[cfg(feature = "flex")]
on_slices!(burn::backend::Flex);
#[cfg(feature = "ndarray")]
on_slices!(burn::backend::NdArray);
