//! The hand-written backward pass as a node of burn's autodiff graph.

use burn::backend::Autodiff;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::{BlockOps, Blocks};
use crate::packed;

impl<B: BlockOps, C: CheckpointStrategy> BlockOps for Autodiff<B, C> {
    fn block_outputs(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        c: FloatTensor<Self>,
        rho: FloatTensor<Self>,
        v: FloatTensor<Self>,
        b: FloatTensor<Self>,
        blocks: Blocks,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct BlockBackward;

        impl<B: BlockOps> Backward<B, 5> for BlockBackward {
            /// x, W, c, ρ, V, b. Nothing of the forward pass but its inputs.
            type State = ([FloatTensor<B>; 6], Blocks);

            fn backward(
                self,
                ops: Ops<Self::State, 5>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let grad = grads.consume::<B>(&ops.node);
                let ([x, w, c, rho, v, b], blocks) = ops.state;
                let shapes = [w.shape(), c.shape(), rho.shape(), v.shape(), b.shape()];
                let gradients = B::block_gradients(x, w, c, rho, v, b, grad, blocks);
                let nodes = ops.parents.map(|parent| parent.map(|node| node.id));
                packed::register::<B>(&gradients, nodes.into_iter().zip(shapes), grads);
            }
        }

        let nodes = [w.node(), c.node(), rho.node(), v.node(), b.node()];
        match BlockBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let inputs = [x, w, c, rho, v, b].map(|tensor| tensor.into_primitive());
                let [x, w, c, rho, v, b] = inputs.clone();
                let outputs = B::block_outputs(x, w, c, rho, v, b, blocks.clone());
                prep.finish((inputs, blocks), outputs)
            }
            OpsKind::UnTracked(prep) => {
                let inputs = [x, w, c, rho, v, b].map(|tensor| tensor.into_primitive());
                let [x, w, c, rho, v, b] = inputs;
                prep.finish(B::block_outputs(x, w, c, rho, v, b, blocks))
            }
        }
    }

    fn block_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Blocks,
    ) -> FloatTensor<Self> {
        unreachable!("the backward pass runs on the inner backend")
    }
}
