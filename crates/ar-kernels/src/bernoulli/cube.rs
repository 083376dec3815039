//! The Bernoulli log-likelihood on a GPU: a cube per row, and one launch for the slopes.

use burn::backend::TensorMetadata;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use super::BernoulliOps;
use crate::cube::{
    MOST_UNITS, contiguous, count_launch, cubes, empty, has_planes, sigmoid, softplus, sum_of,
};

/// `minus_infinity` is an argument because WGSL has no constant of that value.
#[cube(launch_unchecked)]
fn rows_kernel(
    logits: &[f32],
    x: &[f32],
    out: &mut [f32],
    batch: u32,
    dim: u32,
    minus_infinity: f32,
    #[comptime] units: usize,
    #[comptime] planes: bool,
) {
    let dim = dim as usize;
    let unit = UNIT_POS as usize;
    let row = CUBE_POS;
    if row >= batch as usize {
        terminate!();
    }
    let mut sums = Shared::<[f32]>::new_slice(units);
    // How far the symbols are from being bits, Σ |x² − x|.
    let mut outside = Shared::<[f32]>::new_slice(units);
    let mut sum = 0.0f32;
    let mut off = 0.0f32;
    let turns = (dim + units - 1) / units;
    for turn in 0..turns {
        let t = turn * units + unit;
        if t < dim {
            let value = x[row * dim + t];
            sum -= softplus((1.0 - 2.0 * value) * logits[row * dim + t]);
            off += (value * value - value).abs();
        }
    }
    let mut parts = units.runtime();
    if comptime!(planes) {
        parts = units / PLANE_DIM as usize;
        sum = plane_sum(sum);
        off = plane_sum(off);
        if UNIT_POS_PLANE == 0 {
            sums[PLANE_POS as usize] = sum;
            outside[PLANE_POS as usize] = off;
        }
    } else {
        sums[unit] = sum;
        outside[unit] = off;
    }
    sync_cube();
    if unit == 0 {
        let log_prob = sum_of(&sums, 0, parts);
        let impossible = sum_of(&outside, 0, parts) > 0.0;
        out[row] = select(impossible, minus_infinity, log_prob);
    }
}

#[cube(launch_unchecked)]
fn slopes_kernel(logits: &[f32], x: &[f32], grad: &[f32], out: &mut [f32], len: u32, dim: u32) {
    let at = ABSOLUTE_POS;
    if at >= len as usize {
        terminate!();
    }
    let value = x[at];
    let slope = grad[at / dim as usize] * (value - sigmoid(logits[at]));
    out[at] = select(value * value == value, slope, 0.0f32);
}

impl BernoulliOps for CubeBackend {
    fn bernoulli_log_prob(logits: CubeTensor, x: CubeTensor) -> CubeTensor {
        let [batch, dim] = logits.shape().dims();
        let [logits, x] = [logits, x].map(contiguous);
        let out = empty(&x, [batch]);
        let client = x.client.clone();
        let planes = has_planes(&client);
        let units = if planes { dim.next_power_of_two().clamp(32, MOST_UNITS) } else { 32 };
        count_launch();
        // SAFETY: `log_prob` has checked the shapes; a cube beyond the batch and a unit beyond the row read nothing.
        unsafe {
            rows_kernel::launch_unchecked(
                &client,
                cubes(&client, batch),
                CubeDim::new_1d(units as u32),
                logits.into_buffer_arg(),
                x.into_buffer_arg(),
                out.clone().into_buffer_arg(),
                batch as u32,
                dim as u32,
                f32::NEG_INFINITY,
                units,
                planes,
            );
        }
        out
    }

    fn bernoulli_slope(logits: CubeTensor, x: CubeTensor, grad: CubeTensor) -> CubeTensor {
        let [batch, dim] = logits.shape().dims();
        let [logits, x, grad] = [logits, x, grad].map(contiguous);
        let out = empty(&x, [batch, dim]);
        let client = x.client.clone();
        let len = batch * dim;
        count_launch();
        // SAFETY: a unit beyond the tensor ends at once.
        unsafe {
            slopes_kernel::launch_unchecked(
                &client,
                cubes(&client, len.div_ceil(MOST_UNITS)),
                CubeDim::new_1d(MOST_UNITS as u32),
                logits.into_buffer_arg(),
                x.into_buffer_arg(),
                grad.into_buffer_arg(),
                out.clone().into_buffer_arg(),
                len as u32,
                dim as u32,
            );
        }
        out
    }
}
