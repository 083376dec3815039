//! Causal operations on images: convolutions over taps, and the recurrent layers of PixelRNN.
//!
//! ```text
//! convolution:   y[p] = b + Σ_taps W[tap] · a[p + tap],    a = x or max(x, 0), 0 outside
//! LSTM:          [o, f, i, g] = b + Σ K_is[tap] · x[p + tap] + Σ K_ss[tap] · h[p + tap];  σ on o, f, i and tanh on g
//!                c[p] = f ⊙ c[before p] + i ⊙ g;   h[p] = o ⊙ tanh(c[p])
//! layer:         y[p] = x[p] + U · Σ_directions h[p, as much lower as its direction enters] + b_U
//! ```
//!
//! | [`Kind`] | K_is reads | K_ss reads | c comes from | directions |
//! |---|---|---|---|---|
//! | `Row` | (0, −1), (0, 0) | (−1, −1), (−1, 0), (−1, 1) | (−1, 0) | 1 |
//! | `Diagonal` | (0, 0) | (−1, 0), (0, −1) | (0, −1) | left to right |
//! | `DiagonalBoth` | (0, 0) | (−1, 0), (0, ∓1) | (0, ∓1) | both; right to left enters one row lower |
//!
//! Maps are `[batch, height, width, channels]`. States before the first cell are h₀ and c₀, which are
//! learned: above the first row (`Row`), or beside the first column (`Diagonal`); everything else
//! outside is 0.
//!
//! Each is one op with a hand-written gradient where the device and the precision have a kernel (flex and
//! ndarray in f32), a few products and kernels on CUDA and wgpu (in f32), and plain tensor operations
//! ([`mod@reference`]) elsewhere. Gates and cells are all that the layer keeps for its gradient, or nothing
//! (`recompute`).
//!
//! # References
//! van den Oord, Kalchbrenner, Kavukcuoglu, *Pixel Recurrent Neural Networks*, ICML 2016,
//! arXiv:1601.06759, Section 3 and Eq. 3.
//!
//! # Deviations from the paper
//! Eq. 3 prints σ for all four gates; g is tanh, as in every LSTM. Diagonals have no cells outside the
//! image: the paper's skewed map has, and their states, computed from padding, would enter from the left.

mod autodiff;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod convolution;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "cube")]
mod gpu;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod lstm;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod product;
pub mod reference;
pub mod walk;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

#[cfg(any(feature = "flex", feature = "ndarray"))]
use crate::slices::Slices;

/// A step from a pixel, `[rows, columns]`.
pub type Tap = [isize; 2];

/// A convolution that reads its input at fixed taps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Where the input is read.
    pub taps: Vec<Tap>,
    /// Whether the input is rectified first.
    pub rectify: bool,
}

impl Convolution {
    /// The taps of a `size × size` kernel that lie before its centre in raster order, and the centre if
    /// `centre`.
    ///
    /// # Panics
    /// When `size` is even.
    ///
    /// ```
    /// use ar_kernels::pixel::Convolution;
    /// assert_eq!(Convolution::causal(3, true).taps, [[-1, -1], [-1, 0], [-1, 1], [0, -1], [0, 0]]);
    /// assert_eq!(Convolution::causal(7, false).taps.len(), 24);
    /// ```
    pub fn causal(size: usize, centre: bool) -> Self {
        assert!(size % 2 == 1, "a kernel of {size}, expected an odd size");
        let reach = (size / 2) as isize;
        let all = (-reach..=0).flat_map(|row| (-reach..=reach).map(move |column| [row, column]));
        let before = |tap: &Tap| *tap < [0, 0] || (centre && *tap == [0, 0]);
        Self { taps: all.filter(before).collect(), rectify: false }
    }

    /// The same with a rectified input.
    #[must_use]
    pub fn rectified(self) -> Self {
        Self { rectify: true, ..self }
    }

    /// How far the taps reach: `[up, down, left, right]`.
    fn border(&self) -> [usize; 4] {
        let reach = |f: fn(&Tap) -> isize| self.taps.iter().map(f).max().unwrap_or(0).max(0);
        [reach(|t| -t[0]), reach(|t| t[0]), reach(|t| -t[1]), reach(|t| t[1])].map(|n| n as usize)
    }
}

/// How the states of a layer walk through the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Row LSTM: row by row, from three states of the row above.
    Row,
    /// Diagonal LSTM, left to right.
    Diagonal,
    /// Diagonal BiLSTM.
    DiagonalBoth,
}

/// A recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lstm {
    /// How its states walk.
    pub kind: Kind,
    /// Whether the input is added to the output.
    pub residual: bool,
    /// Whether the backward pass computes gates and cells again instead of keeping them.
    pub recompute: bool,
}

/// One way through the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direction {
    /// Where the input of a cell is read, `[rows, columns]` from the cell.
    pub input_taps: Vec<Tap>,
    /// Where the states before it are.
    pub state_taps: Vec<Tap>,
    /// Where its c comes from.
    pub cell_tap: Tap,
    /// How many rows lower than computed the result enters.
    pub shift: usize,
}

impl Lstm {
    /// The directions, one or two.
    pub fn directions(&self) -> Vec<Direction> {
        let diagonal = |side: isize, shift: usize| Direction {
            input_taps: vec![[0, 0]],
            state_taps: vec![[-1, 0], [0, side]],
            cell_tap: [0, side],
            shift,
        };
        match self.kind {
            Kind::Row => vec![Direction {
                input_taps: vec![[0, -1], [0, 0]],
                state_taps: vec![[-1, -1], [-1, 0], [-1, 1]],
                cell_tap: [-1, 0],
                shift: 0,
            }],
            Kind::Diagonal => vec![diagonal(-1, 0)],
            Kind::DiagonalBoth => vec![diagonal(-1, 0), diagonal(1, 1)],
        }
    }
}

/// Trainable tensors of a recurrent layer.
#[derive(Clone, Debug)]
pub struct Weights {
    /// K_is, `[directions, taps, channels, 4 hidden]`, gates in the order o, f, i, g.
    pub input_to_state: Tensor<4>,
    /// K_ss, `[directions, taps, hidden, 4 hidden]`.
    pub state_to_state: Tensor<4>,
    /// Biases of the gates, `[directions, 1, 4 hidden]`, or `[directions, batch, 4 hidden]` where each
    /// image has its own.
    pub bias: Tensor<3>,
    /// h₀ and c₀, `[directions, 2, hidden]`.
    pub initial: Tensor<3>,
    /// U, `[hidden, channels]`.
    pub up: Tensor<2>,
    /// b_U, `[channels]`.
    pub up_bias: Tensor<1>,
}

/// Whether an op on `x` runs as a kernel.
fn fused(x: &Tensor<4>) -> bool {
    crate::has_kernel(x) && x.dims().iter().all(|&n| n > 0)
}

#[cfg(feature = "cube")]
fn has_cube_kernel(x: &Tensor<4>) -> bool {
    crate::has_cube_kernel(x) && x.dims().iter().all(|&n| n > 0)
}

/// The convolution of `x` with `weights`.
///
/// # Shapes
/// `x` is `[batch, height, width, in]`, `weights` `[taps, in, out]`, `bias` `[1, out]` or `[batch, out]`;
/// returns `[batch, height, width, out]`.
///
/// # Panics
/// When the shapes do not belong together.
///
/// ```
/// use ar_kernels::pixel::{Convolution, convolution};
/// use burn::tensor::{Device, Tensor};
/// let device = Device::default();
/// let x = Tensor::<4>::from_data([[[[1.0], [2.0], [4.0]]]], &device); // one row of three pixels
/// let left = Convolution { taps: vec![[0, -1]], rectify: false };
/// let y = convolution(&left, x, Tensor::ones([1, 1, 1], &device), Tensor::zeros([1, 1], &device));
/// assert_eq!(y.into_data().iter::<f32>().collect::<Vec<_>>(), [0.0, 1.0, 2.0]);
/// ```
pub fn convolution(
    spec: &Convolution,
    x: Tensor<4>,
    weights: Tensor<3>,
    bias: Tensor<2>,
) -> Tensor<4> {
    let ([batch, _, _, cin], [taps, inputs, out]) = (x.dims(), weights.dims());
    assert_eq!([taps, inputs], [spec.taps.len(), cin], "weights must be [taps, in, out]");
    let [rows, columns] = bias.dims();
    assert!((rows == 1 || rows == batch) && columns == out, "bias must be [1 or batch, out]");
    #[cfg(feature = "cube")]
    if has_cube_kernel(&x) {
        return gpu::convolution(spec, x, weights, bias);
    }
    if !fused(&x) {
        return reference::convolution(spec, x, weights, bias);
    }
    Tensor::from_dispatch(<Dispatch as PixelOps>::pixel_convolution(
        x.into_dispatch(),
        weights.into_dispatch(),
        bias.into_dispatch(),
        spec.clone(),
    ))
}

/// A recurrent layer of PixelRNN.
///
/// # Shapes
/// `x` and the result are `[batch, height, width, channels]`.
///
/// # Panics
/// When the shapes do not belong together.
pub fn lstm(spec: Lstm, x: Tensor<4>, weights: Weights) -> Tensor<4> {
    let [batch, _, _, channels] = x.dims();
    let [count, _, hidden] = weights.initial.dims();
    let directions = spec.directions();
    let gates = 4 * hidden;
    let [is, ss] = [directions[0].input_taps.len(), directions[0].state_taps.len()];
    assert_eq!(
        weights.initial.dims(),
        [directions.len(), 2, hidden],
        "initial: [directions, 2, hidden]"
    );
    assert_eq!(
        weights.input_to_state.dims(),
        [count, is, channels, gates],
        "input_to_state must be [directions, taps, channels, 4 hidden]"
    );
    assert_eq!(
        weights.state_to_state.dims(),
        [count, ss, hidden, gates],
        "state_to_state must be [directions, taps, hidden, 4 hidden]"
    );
    let [of, rows, columns] = weights.bias.dims();
    assert!(
        of == count && (rows == 1 || rows == batch) && columns == gates,
        "bias must be [directions, 1 or batch, 4 hidden]"
    );
    assert_eq!(weights.up.dims(), [hidden, channels], "up must be [hidden, channels]");
    assert_eq!(weights.up_bias.dims(), [channels], "up_bias must be [channels]");
    #[cfg(feature = "cube")]
    if has_cube_kernel(&x) && hidden <= cube::MOST_HIDDEN {
        return gpu::lstm(spec, x, weights);
    }
    if !fused(&x) {
        return reference::lstm(spec, x, weights);
    }
    let Weights { input_to_state, state_to_state, bias, initial, up, up_bias } = weights;
    Tensor::from_dispatch(<Dispatch as PixelOps>::pixel_lstm(
        x.into_dispatch(),
        input_to_state.into_dispatch(),
        state_to_state.into_dispatch(),
        bias.into_dispatch(),
        initial.into_dispatch(),
        up.into_dispatch(),
        up_bias.into_dispatch(),
        spec,
    ))
}

/// Batch and size of a map.
#[cfg(any(feature = "flex", feature = "ndarray"))]
#[derive(Clone, Copy, Debug)]
struct Image {
    batch: usize,
    height: usize,
    width: usize,
}

#[cfg(any(feature = "flex", feature = "ndarray"))]
impl Image {
    fn of(shape: &burn::tensor::Shape) -> Self {
        let [batch, height, width, _] = shape.dims();
        Self { batch, height, width }
    }
    fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }
    fn pixels(&self) -> usize {
        self.height * self.width
    }
}

/// The tensors of [`Weights`] on the host.
#[cfg(any(feature = "flex", feature = "ndarray"))]
#[derive(Clone, Copy)]
struct Parameters<'a> {
    input_to_state: &'a [f32],
    state_to_state: &'a [f32],
    bias: &'a [f32],
    initial: &'a [f32],
    up: &'a [f32],
    up_bias: &'a [f32],
}

/// The backend operations behind [`convolution`] and [`lstm`].
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray")
)]
#[expect(
    clippy::too_many_arguments,
    clippy::type_complexity,
    reason = "one argument, and one output, per tensor is how burn dispatches"
)]
pub trait PixelOps: Backend {
    /// `[batch, height, width, out]`
    fn pixel_convolution(
        x: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        spec: Convolution,
    ) -> FloatTensor<Self>;

    /// Gradients of x (empty unless `want_x`), weights and bias.
    fn pixel_convolution_gradients(
        x: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        spec: Convolution,
        want_x: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// `[batch, height, width, channels]`
    fn pixel_lstm(
        x: FloatTensor<Self>,
        input_to_state: FloatTensor<Self>,
        state_to_state: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        initial: FloatTensor<Self>,
        up: FloatTensor<Self>,
        up_bias: FloatTensor<Self>,
        spec: Lstm,
    ) -> FloatTensor<Self>;

    /// The same, and the gates and cells that its gradient needs (empty with `spec.recompute`).
    fn pixel_lstm_kept(
        x: FloatTensor<Self>,
        input_to_state: FloatTensor<Self>,
        state_to_state: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        initial: FloatTensor<Self>,
        up: FloatTensor<Self>,
        up_bias: FloatTensor<Self>,
        spec: Lstm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of x and the six tensors of [`Weights`].
    fn pixel_lstm_gradients(
        x: FloatTensor<Self>,
        input_to_state: FloatTensor<Self>,
        state_to_state: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        initial: FloatTensor<Self>,
        up: FloatTensor<Self>,
        up_bias: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        cells: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        spec: Lstm,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    );
}

/// Implements [`PixelOps`] for a backend whose tensors are host slices.
#[cfg(any(feature = "flex", feature = "ndarray"))]
macro_rules! on_slices {
    ($backend:ty) => {
        impl PixelOps for $backend {
            fn pixel_convolution(
                x: FloatTensor<Self>,
                weights: FloatTensor<Self>,
                bias: FloatTensor<Self>,
                spec: Convolution,
            ) -> FloatTensor<Self> {
                let mut shape = burn::backend::TensorMetadata::shape(&x);
                let [_, _, out] = burn::backend::TensorMetadata::shape(&weights).dims();
                let image = Image::of(&shape);
                shape[3] = out;
                let [x, weights, bias] = [x, weights, bias].map(Self::contiguous);
                let [x, weights, bias] = [&x, &weights, &bias].map(Self::as_slice);
                Self::from_vec(convolution::forward(&spec, image, x, weights, bias), shape)
            }

            fn pixel_convolution_gradients(
                x: FloatTensor<Self>,
                weights: FloatTensor<Self>,
                bias: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                spec: Convolution,
                want_x: bool,
            ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
                let shapes = [&x, &weights, &bias].map(burn::backend::TensorMetadata::shape);
                let image = Image::of(&shapes[0]);
                let [x, weights, bias, grad] = [x, weights, bias, grad].map(Self::contiguous);
                let [x, weights, bias, grad] = [&x, &weights, &bias, &grad].map(Self::as_slice);
                let grads = convolution::backward(&spec, image, x, weights, bias, grad, want_x);
                let [x, weights, bias] = shapes;
                let x = if want_x { x } else { burn::tensor::Shape::new([0]) };
                (
                    Self::from_vec(grads.x, x),
                    Self::from_vec(grads.weights, weights),
                    Self::from_vec(grads.bias, bias),
                )
            }

            fn pixel_lstm(
                x: FloatTensor<Self>,
                input_to_state: FloatTensor<Self>,
                state_to_state: FloatTensor<Self>,
                bias: FloatTensor<Self>,
                initial: FloatTensor<Self>,
                up: FloatTensor<Self>,
                up_bias: FloatTensor<Self>,
                spec: Lstm,
            ) -> FloatTensor<Self> {
                let spec = Lstm { recompute: true, ..spec };
                let (y, _, _) = Self::pixel_lstm_kept(
                    x,
                    input_to_state,
                    state_to_state,
                    bias,
                    initial,
                    up,
                    up_bias,
                    spec,
                );
                y
            }

            fn pixel_lstm_kept(
                x: FloatTensor<Self>,
                input_to_state: FloatTensor<Self>,
                state_to_state: FloatTensor<Self>,
                bias: FloatTensor<Self>,
                initial: FloatTensor<Self>,
                up: FloatTensor<Self>,
                up_bias: FloatTensor<Self>,
                spec: Lstm,
            ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
                let shape = burn::backend::TensorMetadata::shape(&x);
                let all = [x, input_to_state, state_to_state, bias, initial, up, up_bias]
                    .map(Self::contiguous);
                let [x, input_to_state, state_to_state, bias, initial, up, up_bias] =
                    all.each_ref().map(Self::as_slice);
                let parameters =
                    Parameters { input_to_state, state_to_state, bias, initial, up, up_bias };
                let forward =
                    lstm::forward(&spec, Image::of(&shape), x, parameters, !spec.recompute);
                let flat = |values: Vec<f32>| {
                    let shape = burn::tensor::Shape::new([values.len()]);
                    Self::from_vec(values, shape)
                };
                (Self::from_vec(forward.y, shape), flat(forward.gates), flat(forward.cells))
            }

            fn pixel_lstm_gradients(
                x: FloatTensor<Self>,
                input_to_state: FloatTensor<Self>,
                state_to_state: FloatTensor<Self>,
                bias: FloatTensor<Self>,
                initial: FloatTensor<Self>,
                up: FloatTensor<Self>,
                up_bias: FloatTensor<Self>,
                gates: FloatTensor<Self>,
                cells: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                spec: Lstm,
            ) -> (
                FloatTensor<Self>,
                FloatTensor<Self>,
                FloatTensor<Self>,
                FloatTensor<Self>,
                FloatTensor<Self>,
                FloatTensor<Self>,
                FloatTensor<Self>,
            ) {
                let all = [x, input_to_state, state_to_state, bias, initial, up, up_bias];
                let shapes = all.each_ref().map(burn::backend::TensorMetadata::shape);
                let all = all.map(Self::contiguous);
                let [x, input_to_state, state_to_state, bias, initial, up, up_bias] =
                    all.each_ref().map(Self::as_slice);
                let parameters =
                    Parameters { input_to_state, state_to_state, bias, initial, up, up_bias };
                let [gates, cells, grad] = [gates, cells, grad].map(Self::contiguous);
                let kept = [&gates, &cells].map(Self::as_slice);
                let image = Image::of(&shapes[0]);
                let grads =
                    lstm::backward(&spec, image, x, parameters, kept, Self::as_slice(&grad));
                let [x, input_to_state, state_to_state, bias, initial, up, up_bias] = shapes;
                (
                    Self::from_vec(grads.x, x),
                    Self::from_vec(grads.input_to_state, input_to_state),
                    Self::from_vec(grads.state_to_state, state_to_state),
                    Self::from_vec(grads.bias, bias),
                    Self::from_vec(grads.initial, initial),
                    Self::from_vec(grads.up, up),
                    Self::from_vec(grads.up_bias, up_bias),
                )
            }
        }
    };
}

#[cfg(feature = "flex")]
on_slices!(burn::backend::Flex);
#[cfg(feature = "ndarray")]
on_slices!(burn::backend::NdArray);
