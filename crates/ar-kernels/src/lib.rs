//! Fused kernels of autoregressive models as burn backend extensions, forward and backward.
//!
//! | Module | What it computes in one op |
//! |---|---|
//! | [`nade`] | the recurrence of NADE over all positions: logits, gradients, and the walk |
//! | [`blocks`] | the recurrence over blocks of features and outputs, that of RNADE and of mixed columns |
//! | [`pixel`] | the convolutions and recurrent layers of PixelRNN, and their cached walk |
//! | [`bernoulli`] | the log-likelihood of rows of bits from their logits |
//! | [`columns`] | the log-likelihood of columns of different types from their outputs |
//! | [`column_nade`] | both: NADE over columns of different types, from the recurrence to the log-likelihood |
//! | [`levels`] | the log-likelihood of levels under a mixture of logistics with both edges |
//! | [`masked`] | layers whose weights are masked by degrees, those of MADE |
//! | [`window`] | (not an operation) sums over stored rows, as a Parzen window needs them |
//! | [`memory`] | (not an operation) freed memory is kept for the next step |
//! | [`update`] | Adam and momentum steps, one pass over the weights |
//!
//! Each has its kernels as functions on slices, vectorised for what the processor has and bit-identical
//! for any number of threads, and an adapter that makes it an operation on burn tensors with a
//! hand-written gradient. On devices without a kernel the recurrences and the image operations fall
//! back to plain tensor operations, which are also their oracle in tests.
//!
//! ```
//! use ar_kernels::nade::{self, Weights};
//! use burn::tensor::{Device, Tensor};
//!
//! let device = Device::default();
//! let weights = Weights {
//!     w: Tensor::from_data([[1.0], [0.0]], &device), // what x_1 adds to the hidden unit
//!     v: Tensor::from_data([[0.0], [2.0]], &device), // what the hidden unit adds to logit 2
//!     b: Tensor::from_data([0.5, 0.0], &device),
//!     c: Tensor::from_data([0.0], &device),
//! };
//! let x = Tensor::from_data([[0.0, 0.0], [1.0, 0.0]], &device);
//! let logits: Vec<f32> = nade::logits(x, weights).into_data().iter::<f32>().collect();
//! assert_eq!(logits[..3], [0.5, 1.0, 0.5]); // 2 σ(0) = 1
//! assert!((logits[3] - 2.0 / (1.0 + (-1.0_f32).exp())).abs() < 1e-6); // 2 σ(1)
//! ```

pub mod bernoulli;
pub mod blocks;
pub mod column_nade;
pub mod columns;
#[cfg(feature = "cube")]
mod cube;
pub mod levels;
pub mod masked;
pub mod memory;
pub mod nade;
mod packed;
pub mod pixel;
mod simd;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod slices;
pub mod update;
pub mod window;

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device, Tensor};

#[cfg(feature = "cube")]
pub use cube::launches;
pub use simd::Isa;

/// Whether `tensor` is on a device and of a precision that this crate has kernels for: f32 on flex or
/// ndarray, tracked by autodiff or not.
pub fn has_kernel<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && is_host(tensor.device().as_dispatch())
}

/// Whether `tensor` is on a device and of a precision that this crate has CubeCL kernels for: f32 on CUDA or
/// wgpu, tracked by autodiff or not. Which operations have one is said beside them.
pub(crate) fn has_cube_kernel<const D: usize>(tensor: &Tensor<D>) -> bool {
    cfg!(feature = "cube")
        && tensor.dtype() == DType::F32
        && name_of(tensor.device().as_dispatch()) == "cube"
}

fn is_host(device: &DispatchDevice) -> bool {
    matches!(name_of(device), "flex" | "ndarray")
}

/// The backend that computes on `device`: flex, ndarray, cube (CUDA or wgpu), or `another`.
pub fn backend_name(device: &Device) -> &'static str {
    name_of(device.as_dispatch())
}

/// The name of the hardware behind `device` and the bytes that it may be asked to hold, as far as it tells; `None`
/// on the host. Opens the device.
pub fn hardware(device: &Device) -> Option<(String, Option<u64>)> {
    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    if let DispatchDevice::Cube(device) = device.as_dispatch() {
        let client = device.client();
        let properties = client.properties();
        return Some((properties.identity.name.clone(), properties.memory.max_memory()));
    }
    let _ = device;
    None
}

fn name_of(device: &DispatchDevice) -> &'static str {
    if let DispatchDevice::Autodiff(inner) = device {
        return name_of(inner);
    }
    #[cfg(feature = "flex")]
    if matches!(device, DispatchDevice::Flex(_)) {
        return "flex";
    }
    #[cfg(feature = "ndarray")]
    if matches!(device, DispatchDevice::NdArray(_)) {
        return "ndarray";
    }
    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    if matches!(device, DispatchDevice::Cube(_)) {
        return "cube";
    }
    "another"
}

/// The example of README.md, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
