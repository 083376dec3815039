//! The hand-written backward pass as a node of burn's autodiff graph.

use burn::backend::Autodiff;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::ColumnNadeOps;
use crate::blocks::Blocks;
use crate::columns::Heads;
use crate::packed;

const INNER: &str = "the backward pass runs on the inner backend";

impl<B: ColumnNadeOps, C: CheckpointStrategy> ColumnNadeOps for Autodiff<B, C> {
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
        #[derive(Debug)]
        struct ColumnNadeBackward;

        impl<B: ColumnNadeOps> Backward<B, 5> for ColumnNadeBackward {
            /// x, W, c, ρ, V, b; the slopes.
            type State = ([FloatTensor<B>; 6], FloatTensor<B>, Blocks);

            fn backward(
                self,
                ops: Ops<Self::State, 5>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let grad = grads.consume::<B>(&ops.node);
                let ([x, w, c, rho, v, b], slopes, blocks) = ops.state;
                let shapes = [w.shape(), c.shape(), rho.shape(), v.shape(), b.shape()];
                let gradients = B::column_nade_gradients(x, w, c, rho, v, b, slopes, grad, blocks);
                let nodes = ops.parents.map(|parent| parent.map(|node| node.id));
                packed::register::<B>(&gradients, nodes.into_iter().zip(shapes), grads);
            }
        }

        let nodes = [w.node(), c.node(), rho.node(), v.node(), b.node()];
        let targets = targets.into_primitive();
        let tracked = ColumnNadeBackward.prepare::<C>(nodes).compute_bound().stateful();
        let inputs = [x, w, c, rho, v, b].map(|tensor| tensor.into_primitive());
        match tracked {
            OpsKind::Tracked(prep) => {
                let [x, w, c, rho, v, b] = inputs.clone();
                let (log_probs, slopes) =
                    B::column_nade_kept(x, targets, w, c, rho, v, b, blocks.clone(), heads);
                prep.finish((inputs, slopes, blocks), log_probs)
            }
            OpsKind::UnTracked(prep) => {
                let [x, w, c, rho, v, b] = inputs;
                prep.finish(B::column_nade_log_prob(x, targets, w, c, rho, v, b, blocks, heads))
            }
        }
    }

    fn column_nade_kept(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Blocks,
        _: Heads,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{INNER}")
    }

    fn column_nade_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Blocks,
    ) -> FloatTensor<Self> {
        unreachable!("{INNER}")
    }
}
