//! What taps see of a map, and the adjoint of that, on a GPU: a unit for every number of the map.

use burn::backend::TensorMetadata;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use crate::cube::{MOST_UNITS, contiguous, count_launch, cubes, empty};
use crate::pixel::Tap;

/// Whether there is such a pixel.
#[cube]
fn is_inside(row: i32, column: i32, height: u32, width: u32) -> bool {
    row >= 0 && row < height as i32 && column >= 0 && column < width as i32
}

#[cube(launch_unchecked)]
fn gather_kernel(
    x: &[f32],
    out: &mut [f32],
    len: u32,
    height: u32,
    width: u32,
    channels: u32,
    #[comptime] taps: Vec<[i32; 2]>,
) {
    let at = ABSOLUTE_POS;
    if at >= len as usize {
        terminate!();
    }
    let pixel = at as u32 / channels;
    let channel = at as u32 % channels;
    let column = pixel % width;
    let row = pixel / width % height;
    let count = comptime!(taps.len());
    #[unroll]
    for k in 0..count {
        let up = comptime!(taps[k][0]);
        let side = comptime!(taps[k][1]);
        let inside = is_inside(row as i32 + up, column as i32 + side, height, width);
        let step = (up * width as i32 + side) * channels as i32;
        let from = select(inside, at as i32 + step, 0);
        let value = select(inside, x[from as usize], 0.0f32);
        out[(pixel as usize * count + k) * channels as usize + channel as usize] = value;
    }
}

#[cube(launch_unchecked)]
fn scatter_kernel(
    seen: &[f32],
    out: &mut [f32],
    len: u32,
    height: u32,
    width: u32,
    channels: u32,
    #[comptime] taps: Vec<[i32; 2]>,
) {
    let at = ABSOLUTE_POS;
    if at >= len as usize {
        terminate!();
    }
    let pixel = at as u32 / channels;
    let channel = at as u32 % channels;
    let column = pixel % width;
    let row = pixel / width % height;
    let count = comptime!(taps.len());
    let mut sum = 0.0f32;
    #[unroll]
    for k in 0..count {
        let up = comptime!(taps[k][0]);
        let side = comptime!(taps[k][1]);
        // The pixel that saw this one through the tap.
        let inside = is_inside(row as i32 - up, column as i32 - side, height, width);
        let from = select(inside, pixel as i32 - up * width as i32 - side, 0);
        let place = (from as usize * count + k) * channels as usize + channel as usize;
        sum += select(inside, seen[place], 0.0f32);
    }
    out[at] = sum;
}

/// Launches a kernel that goes from a tensor to another, with a unit for every number of a map of this shape.
macro_rules! launch {
    ($kernel:ident, $from:expr, $to:expr, $map:expr, $taps:expr) => {{
        let (from, to, [batch, height, width, channels]) = (contiguous($from), $to, $map);
        let (client, len) = (from.client.clone(), batch * height * width * channels);
        let taps = $taps.iter().map(|tap| tap.map(|step| step as i32)).collect();
        count_launch();
        // SAFETY: a tap outside the image reads the first pixel instead; a unit beyond the map ends at once.
        unsafe {
            $kernel::launch_unchecked(
                &client,
                cubes(&client, len.div_ceil(MOST_UNITS)),
                CubeDim::new_1d(MOST_UNITS as u32),
                from.into_buffer_arg(),
                to.clone().into_buffer_arg(),
                len as u32,
                height as u32,
                width as u32,
                channels as u32,
                taps,
            );
        }
        to
    }};
}

/// What the taps see, `[batch, height, width, taps channels]`.
pub(super) fn gather(x: CubeTensor, taps: &[Tap]) -> CubeTensor {
    let map @ [batch, height, width, channels] = x.shape().dims();
    let out = empty(&x, [batch, height, width, taps.len() * channels]);
    launch!(gather_kernel, x, out, map, taps)
}

/// The adjoint of that, `[batch, height, width, channels]`.
pub(super) fn scatter(seen: CubeTensor, taps: &[Tap]) -> CubeTensor {
    let [batch, height, width, all] = seen.shape().dims();
    let map = [batch, height, width, all / taps.len()];
    let out = empty(&seen, map);
    launch!(scatter_kernel, seen, out, map, taps)
}
