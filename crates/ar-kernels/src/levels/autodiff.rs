//! The hand-written gradient as a node of burn's autodiff graph.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::{LevelOps, Mixture};

impl<B: LevelOps, C: CheckpointStrategy> LevelOps for Autodiff<B, C> {
    fn level_log_prob(
        outputs: FloatTensor<Self>,
        x: FloatTensor<Self>,
        mixture: Mixture,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct LevelBackward;

        impl<B: LevelOps> Backward<B, 1> for LevelBackward {
            /// Outputs and x.
            type State = ([FloatTensor<B>; 2], Mixture);

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [parent] = ops.parents;
                let grad = grads.consume::<B>(&ops.node);
                let ([outputs, x], mixture) = ops.state;
                if let Some(node) = parent {
                    grads.register::<B>(node.id, B::level_slope(outputs, x, grad, mixture));
                }
            }
        }

        match LevelBackward.prepare::<C>([outputs.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (outputs, x) = (outputs.into_primitive(), x.into_primitive());
                let result = B::level_log_prob(outputs.clone(), x.clone(), mixture);
                prep.finish(([outputs, x], mixture), result)
            }
            OpsKind::UnTracked(prep) => {
                let (outputs, x) = (outputs.into_primitive(), x.into_primitive());
                prep.finish(B::level_log_prob(outputs, x, mixture))
            }
        }
    }

    fn level_slope(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Mixture,
    ) -> FloatTensor<Self> {
        unreachable!("the backward pass runs on the inner backend")
    }
}
