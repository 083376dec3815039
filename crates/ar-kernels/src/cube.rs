//! What the CubeCL kernels share: launches on whatever a [`CubeBackend`] computes on (CUDA, Vulkan, Metal, WebGPU).
//!
//! A kernel is written once. What differs between devices is decided here from the device's properties: how many
//! units a cube has, and whether sums over a cube go by plane operations or by shared memory alone.
//!
//! Sums have a fixed order: a device gives the same bits for the same input, whatever else it does. No kernel
//! adds floats atomically; what cubes have in common is summed by a second launch.

use std::sync::atomic::{AtomicU64, Ordering};

use burn::backend::TensorMetadata;
use burn::tensor::{DType, Shape};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::features::Plane;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

/// Most units of a cube that every device has.
pub(crate) const MOST_UNITS: usize = 256;

static LAUNCHES: AtomicU64 = AtomicU64::new(0);

/// How many of this crate's kernels the process has launched on a GPU, for tests that count them.
pub fn launches() -> u64 {
    LAUNCHES.load(Ordering::Relaxed)
}

/// To be called beside every launch.
pub(crate) fn count_launch() {
    LAUNCHES.fetch_add(1, Ordering::Relaxed);
}

/// Whether a cube's sums may go by plane operations: where there are some, and all planes have one size.
/// (Software Vulkan has none; on some drivers the size differs from one plane of a launch to the next.)
pub(crate) fn has_planes(client: &Client) -> bool {
    let properties = client.properties();
    let hardware = &properties.hardware;
    properties.features.plane.contains(Plane::Ops)
        && hardware.plane_size_min == hardware.plane_size_max
}

/// The tensor in row-major order, without gaps.
///
/// # Panics
/// When its elements are not f32.
pub(crate) fn contiguous(tensor: CubeTensor) -> CubeTensor {
    assert_eq!(tensor.dtype(), DType::F32, "kernels compute in f32");
    into_contiguous(tensor)
}

/// Memory for a result, beside `like`.
pub(crate) fn empty<const D: usize>(like: &CubeTensor, shape: [usize; D]) -> CubeTensor {
    let (client, device) = (like.client.clone(), like.device.clone());
    empty_device_contiguous_dtype(client, device, Shape::new(shape), DType::F32)
}

/// As many cubes, in up to three dimensions; a kernel looks at its linear position, and there may be more of
/// them than asked for.
pub(crate) fn cubes(client: &Client, count: usize) -> CubeCount {
    cubecl::calculate_cube_count_elemwise(client, count, CubeDim::new_single())
}

/// `σ(a)`.
#[cube]
pub(crate) fn sigmoid(a: f32) -> f32 {
    1.0 / (1.0 + (-a).exp())
}

/// `log(1 + e^z)`, as the CPU kernel computes it: a series, since a device's logarithm need not be exact near 1.
#[cube]
pub(crate) fn softplus(z: f32) -> f32 {
    // log1p(e) = 2 artanh(s), s = e / (2 + e) <= 1/3, as a series in s².
    let e = (-z.abs()).exp();
    let s = e / (2.0 + e);
    let q = s * s;
    let mut series = comptime!(1.0f32 / 15.0).runtime();
    series = series * q + comptime!(1.0f32 / 13.0);
    series = series * q + comptime!(1.0f32 / 11.0);
    series = series * q + comptime!(1.0f32 / 9.0);
    series = series * q + comptime!(1.0f32 / 7.0);
    series = series * q + comptime!(1.0f32 / 5.0);
    series = series * q + comptime!(1.0f32 / 3.0);
    series = series * q + 1.0;
    select(z > 0.0, z, 0.0f32) + 2.0 * s * series
}

/// Sum of `values[start..start + n]`, in order, by one unit.
#[cube]
pub(crate) fn sum_of(values: &Shared<[f32]>, start: usize, n: usize) -> f32 {
    let mut sum = 0.0f32;
    for i in 0..n {
        sum += values[start + i];
    }
    sum
}
