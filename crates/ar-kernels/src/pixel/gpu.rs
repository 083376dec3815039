//! Convolutions and recurrent layers on a GPU, made of products and of the ops of [`super::cube`].
//!
//! A convolution is a product: its taps are gathered into one matrix. A layer is three: the inputs of all gates of
//! all directions at once, the recurrence (one op, whose launch walks all wavefronts of all directions), and what
//! it adds to the map. Products, sums and their gradients are burn's.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::ops::PadMode;
use burn::tensor::{Shape, Tensor};

use super::{Convolution, Kind, Lstm, Tap, Weights};

/// [`super::convolution`].
pub(super) fn convolution(
    spec: &Convolution,
    x: Tensor<4>,
    weights: Tensor<3>,
    bias: Tensor<2>,
) -> Tensor<4> {
    let [batch, height, width, _] = x.dims();
    let [taps, cin, cout] = weights.dims();
    let [rows, _] = bias.dims();
    let x = if spec.rectify { burn::tensor::activation::relu(x) } else { x };
    let seen = gather(x, &spec.taps).reshape([batch * height * width, taps * cin]);
    let y = seen.matmul(weights.reshape([taps * cin, cout]));
    y.reshape([batch, height, width, cout]) + bias.reshape([rows, 1, 1, cout])
}

/// [`super::lstm`].
pub(super) fn lstm(spec: Lstm, x: Tensor<4>, weights: Weights) -> Tensor<4> {
    let [batch, height, width, channels] = x.dims();
    let [count, taps, _, gates] = weights.input_to_state.dims();
    let [_, rows, _] = weights.bias.dims();
    let hidden = gates / 4;
    let cells = batch * height * width;
    let directions = spec.directions();
    // All directions read their inputs at the same taps.
    let seen = gather(x.clone(), &directions[0].input_taps).reshape([cells, taps * channels]);
    let side_by_side = |tensor: Tensor<3>| tensor.swap_dims(0, 1);
    let product = side_by_side(weights.input_to_state.reshape([count, taps * channels, gates]));
    let z = seen.matmul(product.reshape([taps * channels, count * gates]));
    let bias = side_by_side(weights.bias).reshape([rows, 1, 1, count * gates]);
    let z = z.reshape([batch, height, width, count * gates]) + bias;
    let h = Tensor::<4>::from_dispatch(<Dispatch as StateOps>::pixel_states(
        z.into_dispatch(),
        weights.state_to_state.into_dispatch(),
        weights.initial.into_dispatch(),
        spec,
    ));
    let of = |(d, direction): (usize, &super::Direction)| {
        let own = h.clone().narrow(3, d * hidden, hidden);
        match direction.shift {
            0 => Some(own),
            // All of it enters below the image.
            shift if shift >= height => None,
            shift => Some(
                own.narrow(1, 0, height - shift)
                    .pad([(0, 0), (shift, 0), (0, 0), (0, 0)], PadMode::Constant(0.0)),
            ),
        }
    };
    let sum = directions.iter().enumerate().filter_map(of).reduce(|a, b| a + b);
    let sum = sum.expect("a layer has a direction").reshape([cells, hidden]);
    let y = sum.matmul(weights.up).reshape([batch, height, width, channels])
        + weights.up_bias.reshape([1, 1, 1, channels]);
    if spec.residual { y + x } else { y }
}

/// What the taps see of every pixel, 0 outside.
///
/// # Shapes
/// `x` is `[batch, height, width, channels]`; returns `[batch, height, width, taps channels]`.
fn gather(x: Tensor<4>, taps: &[Tap]) -> Tensor<4> {
    if taps == [[0, 0]] {
        return x;
    }
    Tensor::from_dispatch(<Dispatch as StateOps>::pixel_gather(x.into_dispatch(), taps.to_vec()))
}

/// What is gathered, and the recurrence. There is no such op on a host device.
#[backend_extension(Autodiff, Cube, Fusion)]
pub(crate) trait StateOps: Backend {
    /// What the taps see, `[batch, height, width, taps channels]`.
    #[fusion(dtype = x, shape = wide(x, taps.len()))]
    fn pixel_gather(x: FloatTensor<Self>, taps: Vec<Tap>) -> FloatTensor<Self>;

    /// The adjoint of that, `[batch, height, width, channels]`.
    #[fusion(dtype = seen, shape = narrow(seen, taps.len()))]
    fn pixel_scatter(seen: FloatTensor<Self>, taps: Vec<Tap>) -> FloatTensor<Self>;

    /// h of all cells, `[batch, height, width, directions hidden]`, from the inputs of their gates, `[batch,
    /// height, width, directions 4 hidden]`.
    #[fusion(dtype = z, shape = narrow(z, 4))]
    fn pixel_states(
        z: FloatTensor<Self>,
        state_to_state: FloatTensor<Self>,
        initial: FloatTensor<Self>,
        spec: Lstm,
    ) -> FloatTensor<Self>;

    /// The same, and the activated gates and the cells, as z and h.
    #[fusion(meta = |z, _k, _initial, _spec| {
        let h = TensorSpec::new(narrow(&z.shape, 4), z.dtype);
        (h.clone(), z.clone(), h)
    })]
    fn pixel_states_kept(
        z: FloatTensor<Self>,
        state_to_state: FloatTensor<Self>,
        initial: FloatTensor<Self>,
        spec: Lstm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of z, the weights and the initial states.
    #[fusion(meta = |_h, gates, _cells, k, initial, _grad, _spec| {
        (gates.clone(), k.clone(), initial.clone())
    })]
    fn pixel_states_gradients(
        h: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        cells: FloatTensor<Self>,
        state_to_state: FloatTensor<Self>,
        initial: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        spec: Lstm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// A map of `times` as many channels.
fn wide(map: &Shape, times: usize) -> Shape {
    let [batch, height, width, channels] = map.dims();
    Shape::new([batch, height, width, times * channels])
}

/// A map of one channel where this has `times`.
fn narrow(map: &Shape, times: usize) -> Shape {
    let [batch, height, width, channels] = map.dims();
    Shape::new([batch, height, width, channels / times])
}

const INNER: &str = "the backward pass runs on the inner backend";

impl<B: StateOps, C: CheckpointStrategy> StateOps for Autodiff<B, C> {
    fn pixel_gather(x: FloatTensor<Self>, taps: Vec<Tap>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct GatherBackward;

        impl<B: StateOps> Backward<B, 1> for GatherBackward {
            type State = Vec<Tap>;

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [parent] = ops.parents;
                let grad = grads.consume::<B>(&ops.node);
                if let Some(node) = parent {
                    grads.register::<B>(node.id, B::pixel_scatter(grad, ops.state));
                }
            }
        }

        match GatherBackward.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish(taps.clone(), B::pixel_gather(x.into_primitive(), taps))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::pixel_gather(x.into_primitive(), taps)),
        }
    }

    fn pixel_scatter(_: FloatTensor<Self>, _: Vec<Tap>) -> FloatTensor<Self> {
        unreachable!("{INNER}")
    }

    fn pixel_states(
        z: FloatTensor<Self>,
        state_to_state: FloatTensor<Self>,
        initial: FloatTensor<Self>,
        spec: Lstm,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct StatesBackward;

        impl<B: StateOps> Backward<B, 3> for StatesBackward {
            /// h, gates and cells, or z alone, to compute them again; the weights and initial states.
            type State = (Vec<FloatTensor<B>>, [FloatTensor<B>; 2], Lstm);

            fn backward(
                self,
                ops: Ops<Self::State, 3>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let grad = grads.consume::<B>(&ops.node);
                let (kept, [k, initial], spec) = ops.state;
                let (h, gates, cells) = match <[FloatTensor<B>; 3]>::try_from(kept) {
                    Ok([h, gates, cells]) => (h, gates, cells),
                    Err(mut inputs) => {
                        let z = inputs.remove(0);
                        B::pixel_states_kept(z, k.clone(), initial.clone(), spec)
                    }
                };
                let (z, k, initial) =
                    B::pixel_states_gradients(h, gates, cells, k, initial, grad, spec);
                for (parent, grad) in ops.parents.into_iter().zip([z, k, initial]) {
                    if let Some(node) = parent {
                        grads.register::<B>(node.id, grad);
                    }
                }
            }
        }

        let nodes = [z.node(), state_to_state.node(), initial.node()];
        let [z, k, initial] = [z, state_to_state, initial].map(|tensor| tensor.into_primitive());
        match StatesBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let weights = [k.clone(), initial.clone()];
                let (kept, h) = if spec.recompute {
                    (vec![z.clone()], B::pixel_states(z, k, initial, spec))
                } else {
                    let (h, gates, cells) = B::pixel_states_kept(z, k, initial, spec);
                    (vec![h.clone(), gates, cells], h)
                };
                prep.finish((kept, weights, spec), h)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::pixel_states(z, k, initial, spec)),
        }
    }

    fn pixel_states_kept(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Lstm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{INNER}")
    }

    fn pixel_states_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Lstm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{INNER}")
    }
}

/// Whether states walk row by row.
pub(super) fn by_rows(spec: Lstm) -> bool {
    spec.kind == Kind::Row
}
