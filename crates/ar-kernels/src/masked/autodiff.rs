//! The hand-written backward passes as nodes of burn's autodiff graph.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::{Degrees, MaskedOps};
use crate::blocks::Blocks;

const INNER: &str = "the backward pass runs on the inner backend";

impl<B: MaskedOps, C: CheckpointStrategy> MaskedOps for Autodiff<B, C> {
    fn masked_linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        c: FloatTensor<Self>,
        degrees: Degrees,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct LinearBackward;

        impl<B: MaskedOps> Backward<B, 3> for LinearBackward {
            /// x and W.
            type State = ([FloatTensor<B>; 2], Degrees);

            fn backward(
                self,
                ops: Ops<Self::State, 3>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let grad = grads.consume::<B>(&ops.node);
                let ([x, w], degrees) = ops.state;
                let asked = ops.parents[0].is_some();
                let (x, w, c) = B::masked_linear_gradients(x, w, grad, degrees, asked);
                for (node, grad) in ops.parents.into_iter().zip([x, w, c]) {
                    if let Some(node) = node {
                        grads.register::<B>(node.id, grad);
                    }
                }
            }
        }

        let nodes = [x.node(), w.node(), c.node()];
        let [x, w, c] = [x, w, c].map(|tensor| tensor.into_primitive());
        match LinearBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let result = B::masked_linear(x.clone(), w.clone(), c, degrees.clone());
                prep.finish(([x, w], degrees), result)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::masked_linear(x, w, c, degrees)),
        }
    }

    fn masked_linear_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Degrees,
        _: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{INNER}")
    }

    fn masked_rows(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        c: FloatTensor<Self>,
        degrees: Degrees,
        blocks: Blocks,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct RowsBackward;

        impl<B: MaskedOps> Backward<B, 2> for RowsBackward {
            type State = (FloatTensor<B>, Degrees, Blocks);

            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let grad = grads.consume::<B>(&ops.node);
                let (x, degrees, blocks) = ops.state;
                let (w, c) = B::masked_rows_gradients(x, grad, degrees, blocks);
                for (node, grad) in ops.parents.into_iter().zip([w, c]) {
                    if let Some(node) = node {
                        grads.register::<B>(node.id, grad);
                    }
                }
            }
        }

        let nodes = [w.node(), c.node()];
        let [x, w, c] = [x, w, c].map(|tensor| tensor.into_primitive());
        match RowsBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let result = B::masked_rows(x.clone(), w, c, degrees.clone(), blocks.clone());
                prep.finish((x, degrees, blocks), result)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::masked_rows(x, w, c, degrees, blocks)),
        }
    }

    fn masked_rows_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Degrees,
        _: Blocks,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{INNER}")
    }
}
