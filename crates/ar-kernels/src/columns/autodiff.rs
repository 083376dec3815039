//! The hand-written gradient as a node of burn's autodiff graph.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::{ColumnOps, Heads};

impl<B: ColumnOps, C: CheckpointStrategy> ColumnOps for Autodiff<B, C> {
    fn column_log_prob(
        outputs: FloatTensor<Self>,
        x: FloatTensor<Self>,
        heads: Heads,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct ColumnBackward;

        impl<B: ColumnOps> Backward<B, 1> for ColumnBackward {
            /// Outputs and x.
            type State = ([FloatTensor<B>; 2], Heads);

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [parent] = ops.parents;
                let grad = grads.consume::<B>(&ops.node);
                let ([outputs, x], heads) = ops.state;
                if let Some(node) = parent {
                    grads.register::<B>(node.id, B::column_slope(outputs, x, grad, heads));
                }
            }
        }

        match ColumnBackward.prepare::<C>([outputs.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (outputs, x) = (outputs.into_primitive(), x.into_primitive());
                let result = B::column_log_prob(outputs.clone(), x.clone(), heads.clone());
                prep.finish(([outputs, x], heads), result)
            }
            OpsKind::UnTracked(prep) => {
                let (outputs, x) = (outputs.into_primitive(), x.into_primitive());
                prep.finish(B::column_log_prob(outputs, x, heads))
            }
        }
    }

    fn column_slope(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Heads,
    ) -> FloatTensor<Self> {
        unreachable!("the backward pass runs on the inner backend")
    }
}
