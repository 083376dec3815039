//! The hand-written backward passes as nodes of burn's autodiff graph.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::{Convolution, Lstm, PixelOps};

const INNER: &str = "the backward pass runs on the inner backend";

impl<B: PixelOps, C: CheckpointStrategy> PixelOps for Autodiff<B, C> {
    fn pixel_convolution(
        x: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        spec: Convolution,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct ConvolutionBackward;

        impl<B: PixelOps> Backward<B, 3> for ConvolutionBackward {
            /// x, weights, bias. Nothing of the forward pass but its inputs.
            type State = ([FloatTensor<B>; 3], Convolution);

            fn backward(
                self,
                ops: Ops<Self::State, 3>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let grad = grads.consume::<B>(&ops.node);
                let ([x, weights, bias], spec) = ops.state;
                let want_x = ops.parents[0].is_some();
                let (x, weights, bias) =
                    B::pixel_convolution_gradients(x, weights, bias, grad, spec, want_x);
                for (parent, grad) in ops.parents.into_iter().zip([x, weights, bias]) {
                    if let Some(node) = parent {
                        grads.register::<B>(node.id, grad);
                    }
                }
            }
        }

        let nodes = [x.node(), weights.node(), bias.node()];
        match ConvolutionBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let inputs = [x, weights, bias].map(|tensor| tensor.into_primitive());
                let [x, weights, bias] = inputs.clone();
                let y = B::pixel_convolution(x, weights, bias, spec.clone());
                prep.finish((inputs, spec), y)
            }
            OpsKind::UnTracked(prep) => {
                let [x, weights, bias] = [x, weights, bias].map(|tensor| tensor.into_primitive());
                prep.finish(B::pixel_convolution(x, weights, bias, spec))
            }
        }
    }

    fn pixel_convolution_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Convolution,
        _: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{INNER}")
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
        #[derive(Debug)]
        struct LstmBackward;

        impl<B: PixelOps> Backward<B, 7> for LstmBackward {
            /// x and the weights; gates and cells.
            type State = ([FloatTensor<B>; 7], [FloatTensor<B>; 2], Lstm);

            fn backward(
                self,
                ops: Ops<Self::State, 7>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let grad = grads.consume::<B>(&ops.node);
                let ([x, is, ss, bias, initial, up, up_bias], [gates, cells], spec) = ops.state;
                let (x, is, ss, bias, initial, up, up_bias) = B::pixel_lstm_gradients(
                    x, is, ss, bias, initial, up, up_bias, gates, cells, grad, spec,
                );
                let all = [x, is, ss, bias, initial, up, up_bias];
                for (parent, grad) in ops.parents.into_iter().zip(all) {
                    if let Some(node) = parent {
                        grads.register::<B>(node.id, grad);
                    }
                }
            }
        }

        let all = [x, input_to_state, state_to_state, bias, initial, up, up_bias];
        let nodes = all.each_ref().map(|tensor| tensor.node());
        match LstmBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let inputs = all.map(|tensor| tensor.into_primitive());
                let [x, is, ss, bias, initial, up, up_bias] = inputs.clone();
                let (y, gates, cells) =
                    B::pixel_lstm_kept(x, is, ss, bias, initial, up, up_bias, spec);
                prep.finish((inputs, [gates, cells], spec), y)
            }
            OpsKind::UnTracked(prep) => {
                let [x, is, ss, bias, initial, up, up_bias] =
                    all.map(|tensor| tensor.into_primitive());
                prep.finish(B::pixel_lstm(x, is, ss, bias, initial, up, up_bias, spec))
            }
        }
    }

    fn pixel_lstm_kept(
        _: FloatTensor<Self>,
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

    fn pixel_lstm_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Lstm,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    ) {
        unreachable!("{INNER}")
    }
}
