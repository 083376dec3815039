//! Gradients that an op hands on as one flat tensor.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Shape, Slice};

/// One parameter's part of the packed gradients.
pub(crate) fn unpack<B: Backend>(
    packed: FloatTensor<B>,
    range: core::ops::Range<usize>,
    shape: Shape,
) -> FloatTensor<B> {
    B::float_reshape(B::float_slice(packed, &[Slice::from(range)]), shape)
}
