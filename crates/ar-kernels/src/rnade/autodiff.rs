//! The hand-written backward pass as a node of burn's autodiff graph.

use burn::backend::Autodiff;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::RnadeOps;
use crate::packed;

impl<B: RnadeOps, C: CheckpointStrategy> RnadeOps for Autodiff<B, C> {
    fn rnade_outputs(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        c: FloatTensor<Self>,
        rho: FloatTensor<Self>,
        v: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct RnadeBackward;

        impl<B: RnadeOps> Backward<B, 5> for RnadeBackward {
            /// x, W, c, ρ, V, b. Nothing of the forward pass but its inputs.
            type State = [FloatTensor<B>; 6];

            fn backward(
                self,
                ops: Ops<Self::State, 5>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let grad = grads.consume::<B>(&ops.node);
                let [x, w, c, rho, v, b] = ops.state;
                let shapes = [w.shape(), c.shape(), rho.shape(), v.shape(), b.shape()];
                let gradients = B::rnade_gradients(x, w, c, rho, v, b, grad);
                let nodes = ops.parents.map(|parent| parent.map(|node| node.id));
                packed::register::<B>(&gradients, nodes.into_iter().zip(shapes), grads);
            }
        }

        let nodes = [w.node(), c.node(), rho.node(), v.node(), b.node()];
        match RnadeBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let inputs = [x, w, c, rho, v, b].map(|tensor| tensor.into_primitive());
                let [x, w, c, rho, v, b] = inputs.clone();
                prep.finish(inputs, B::rnade_outputs(x, w, c, rho, v, b))
            }
            OpsKind::UnTracked(prep) => {
                let inputs = [x, w, c, rho, v, b].map(|tensor| tensor.into_primitive());
                let [x, w, c, rho, v, b] = inputs;
                prep.finish(B::rnade_outputs(x, w, c, rho, v, b))
            }
        }
    }

    fn rnade_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        unreachable!("the backward pass runs on the inner backend")
    }
}
