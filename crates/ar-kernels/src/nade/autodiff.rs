//! The hand-written backward pass as a node of burn's autodiff graph.

use burn::backend::Autodiff;
use burn::backend::AutodiffBackend;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::NadeOps;
use crate::packed;

impl<B: NadeOps, C: CheckpointStrategy> NadeOps for Autodiff<B, C> {
    fn nade_logits(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        v: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct NadeBackward;

        impl<B: NadeOps> Backward<B, 4> for NadeBackward {
            /// x, W, V, b, c. Nothing of the forward pass but its inputs.
            type State = [FloatTensor<B>; 5];

            fn backward(
                self,
                ops: Ops<Self::State, 4>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let grad = grads.consume::<B>(&ops.node);
                let [x, w, v, b, c] = ops.state;
                let shapes = [w.shape(), v.shape(), b.shape(), c.shape()];
                let gradients = B::nade_gradients(x, w, v, b, c, grad);
                let nodes = ops.parents.map(|parent| parent.map(|node| node.id));
                packed::register::<B>(&gradients, nodes.into_iter().zip(shapes), grads);
            }
        }

        let nodes = [w.node(), v.node(), b.node(), c.node()];
        match NadeBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let inputs = [x, w, v, b, c].map(|tensor| tensor.into_primitive());
                let [x, w, v, b, c] = inputs.clone();
                prep.finish(inputs, B::nade_logits(x, w, v, b, c))
            }
            OpsKind::UnTracked(prep) => {
                let [x, w, v, b, c] = [x, w, v, b, c].map(|tensor| tensor.into_primitive());
                prep.finish(B::nade_logits(x, w, v, b, c))
            }
        }
    }

    fn nade_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        unreachable!("the backward pass runs on the inner backend")
    }

    /// Bits have no gradient.
    fn nade_draw(
        thresholds: FloatTensor<Self>,
        w: FloatTensor<Self>,
        v: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [thresholds, w, v, b, c] =
            [thresholds, w, v, b, c].map(|tensor| tensor.into_primitive());
        <Self as AutodiffBackend>::from_inner(B::nade_draw(thresholds, w, v, b, c))
    }
}
