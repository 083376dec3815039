//! Host slices of CPU backends' tensors: the seam between burn's primitives and the kernels.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;

/// A backend whose float tensors are f32 slices on the host.
pub(crate) trait Slices: Backend {
    /// The tensor with its elements contiguous, in row-major order.
    type Contiguous;

    /// Makes `tensor` contiguous; free when it is already.
    ///
    /// # Panics
    /// When the elements are not f32.
    fn contiguous(tensor: FloatTensor<Self>) -> Self::Contiguous;

    /// The elements, in row-major order.
    fn as_slice(tensor: &Self::Contiguous) -> &[f32];

    /// A tensor that owns `data`.
    fn from_vec(data: Vec<f32>, shape: Shape) -> FloatTensor<Self>;
}

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::Flex;
    use burn::backend::flex::{FlexTensor, Layout};
    use burn::backend::tensor::FloatTensor;
    use burn::tensor::{Bytes, DType, Shape};

    use super::Slices;

    impl Slices for Flex {
        type Contiguous = FlexTensor;

        fn contiguous(tensor: FloatTensor<Self>) -> FlexTensor {
            assert_eq!(tensor.dtype(), DType::F32, "kernels compute in f32");
            if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
        }

        fn as_slice(tensor: &FlexTensor) -> &[f32] {
            tensor.as_slice().expect("a contiguous f32 tensor is a slice")
        }

        fn from_vec(data: Vec<f32>, shape: Shape) -> FloatTensor<Self> {
            FlexTensor::new(Bytes::from_elems(data), Layout::contiguous(shape), DType::F32)
        }
    }
}

#[cfg(feature = "ndarray")]
mod ndarray {
    use burn::backend::NdArray;
    use burn::backend::ndarray::{NdArrayTensor, SharedArray};
    use burn::backend::tensor::FloatTensor;
    use burn::tensor::{Shape, TensorData};

    use super::Slices;

    impl Slices for NdArray {
        type Contiguous = SharedArray<f32>;

        fn contiguous(tensor: FloatTensor<Self>) -> SharedArray<f32> {
            let NdArrayTensor::F32(storage) = tensor else { panic!("kernels compute in f32") };
            let array = storage.into_shared();
            if array.is_standard_layout() {
                array
            } else {
                array.as_standard_layout().into_owned().into_shared()
            }
        }

        fn as_slice(array: &SharedArray<f32>) -> &[f32] {
            array.as_slice().expect("an array in standard layout is a slice")
        }

        fn from_vec(data: Vec<f32>, shape: Shape) -> FloatTensor<Self> {
            NdArrayTensor::from_data(TensorData::new(data, shape))
        }
    }
}
