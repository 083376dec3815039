//! Gradients that an op hands on as one flat tensor.

use burn::backend::Backend;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Shape, Slice};

/// Registers each parameter's part of the packed gradients, those of `shapes` one after the other, with its
/// node of the graph; a parameter without one is not tracked.
pub(crate) fn register<B: Backend>(
    packed: &FloatTensor<B>,
    parameters: impl IntoIterator<Item = (Option<NodeId>, Shape)>,
    grads: &mut Gradients,
) {
    let mut start = 0;
    for (node, shape) in parameters {
        let end = start + shape.num_elements();
        if let Some(node) = node {
            let part = B::float_slice(packed.clone(), &[Slice::from(start..end)]);
            grads.register::<B>(node, B::float_reshape(part, shape));
        }
        start = end;
    }
}
