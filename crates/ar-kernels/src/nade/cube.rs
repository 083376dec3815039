//! The NADE recurrence on a GPU: each op one launch, two for the gradients of a batch of several groups.
//!
//! # Forward and drawing
//! A cube walks the positions of a few images; its units share the hidden units, whose activations stay in
//! registers. A unit's part of V_t · h_t goes to shared memory; after a window of positions the rows of that
//! table are summed, so that the cube meets twice in a window and not at every position. Drawing needs x_t before
//! it can go on, and meets at every position.
//!
//! # Backward
//! Given ∂L/∂logit, hidden units are independent: a unit has one of them, for a group of images whose activations
//! stay in registers, and walks the positions forwards (the activations after all) and back. Groups are summed by a
//! second launch.
//!
//! As on the CPU, σ(a) is recomputed only where x_t ≠ 0. Which images those are is the same for all units of a
//! cube, so no branch diverges.

use burn::backend::TensorMetadata;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use super::NadeOps;
use super::cpu::gradient_len;
use crate::cube::{
    MOST_UNITS, contiguous, count_launch, cubes, empty, has_planes, sigmoid, sum_of,
};

/// Most hidden units of one unit of a cube.
const MOST_PER_UNIT: usize = 64;
/// Most hidden units that the kernels take.
pub(super) const MOST_HIDDEN: usize = MOST_UNITS * MOST_PER_UNIT;
/// Most rows of the table of partial sums, and about how many numbers it has: of the 16 KiB of shared memory that
/// every device has, half.
const MOST_ROWS: usize = 32;
const TABLE: usize = 2048;
/// Images of a group of the backward pass, and the most groups there are: a group's gradients are as large as the
/// weights.
const GROUP: usize = 16;
const MOST_GROUPS: usize = 16;

/// How a cube shares its work, the same for forward pass and drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    /// Units of a cube.
    units: usize,
    /// Hidden units of a unit.
    per_unit: usize,
    /// Images of a cube.
    images: usize,
    planes: bool,
}

impl Plan {
    fn new(client: &Client, batch: usize, hidden: usize) -> Self {
        let planes = has_planes(client);
        let units = if planes {
            // Few enough units that each has work between two barriers.
            hidden.div_ceil(4).next_power_of_two().clamp(32, MOST_UNITS)
        } else {
            // A software device takes the units of a cube one vector after the other.
            let narrow = hidden.div_ceil(16).next_power_of_two();
            narrow.clamp(32, MOST_UNITS)
        };
        let per_unit = hidden.div_ceil(units);
        // Rows of W and V are read once for the images of a cube, but a GPU must have cubes for all its processors.
        let busy = match client.properties().hardware.num_streaming_multiprocessors {
            Some(processors) => 2 * processors as usize,
            None if planes => 256,
            None => 1,
        };
        let images = match batch / busy {
            _ if per_unit > 16 => 1,
            0 | 1 => 1,
            2 | 3 => 2,
            _ => 4,
        };
        Self { units, per_unit, images, planes }
    }
}

/// `into[i] = Σ_j h[i, j] V_t[j]` over the hidden units of this unit.
#[cube]
fn partial_sums(
    v: &[f32],
    row: usize,
    hidden: usize,
    h: &Array<f32>,
    into: &mut Array<f32>,
    #[comptime] units: usize,
    #[comptime] per_unit: usize,
    #[comptime] images: usize,
) {
    let unit = UNIT_POS as usize;
    #[unroll]
    for i in 0..images {
        into[i] = 0.0;
    }
    #[unroll]
    for j in 0..per_unit {
        let k = unit + j * units;
        let weight = v[row + select(k < hidden, k, 0)];
        #[unroll]
        for i in 0..images {
            into[i] += h[i * per_unit + j] * weight;
        }
    }
}

/// `a += x W_t`, `h = σ(a)` for image `i`.
#[cube]
fn advance(
    w: &[f32],
    row: usize,
    hidden: usize,
    x: f32,
    a: &mut Array<f32>,
    h: &mut Array<f32>,
    #[comptime] i: usize,
    #[comptime] units: usize,
    #[comptime] per_unit: usize,
) {
    let unit = UNIT_POS as usize;
    #[unroll]
    for j in 0..per_unit {
        let k = unit + j * units;
        let alive = k < hidden;
        let moved = a[i * per_unit + j] + x * w[row + select(alive, k, 0)];
        a[i * per_unit + j] = moved;
        h[i * per_unit + j] = select(alive, sigmoid(moved), 0.0f32);
    }
}

/// `a = c`, `h = σ(c)`; h of a hidden unit that is none is 0.
#[cube]
fn start(
    c: &[f32],
    hidden: usize,
    a: &mut Array<f32>,
    h: &mut Array<f32>,
    #[comptime] units: usize,
    #[comptime] per_unit: usize,
    #[comptime] images: usize,
) {
    let unit = UNIT_POS as usize;
    #[unroll]
    for j in 0..per_unit {
        let k = unit + j * units;
        let alive = k < hidden;
        let value = c[select(alive, k, 0)];
        #[unroll]
        for i in 0..images {
            a[i * per_unit + j] = value;
            h[i * per_unit + j] = select(alive, sigmoid(value), 0.0f32);
        }
    }
}

#[cube(launch_unchecked)]
fn logits_kernel(
    x: &[f32],
    w: &[f32],
    v: &[f32],
    b: &[f32],
    c: &[f32],
    out: &mut [f32],
    batch: u32,
    dim: u32,
    hidden: u32,
    #[comptime] units: usize,
    #[comptime] per_unit: usize,
    #[comptime] images: usize,
    #[comptime] planes: bool,
) {
    let batch = batch as usize;
    let dim = dim as usize;
    let hidden = hidden as usize;
    let unit = UNIT_POS as usize;
    let first = CUBE_POS * images;
    if first >= batch {
        terminate!();
    }
    // One row per position of the window and image; a row is a little longer than the cube, so that units that sum
    // rows do not meet in one bank.
    let stride = comptime!(units + 1);
    let rows = comptime!((TABLE / units).min(MOST_ROWS));
    let window = comptime!(rows / images);
    let mut table = Shared::<[f32]>::new_slice(comptime!(rows * stride));
    let mut a = Array::<f32>::new(comptime!(images * per_unit));
    let mut h = Array::<f32>::new(comptime!(images * per_unit));
    let mut sums = Array::<f32>::new(images);
    start(c, hidden, &mut a, &mut h, units, per_unit, images);

    let windows = (dim + window - 1) / window;
    for block in 0..windows {
        let begin = block * window;
        let left = dim - begin;
        let count = select(left < window, left, window);
        for s in 0..count {
            let t = begin + s;
            let row = t * hidden;
            partial_sums(v, row, hidden, &h, &mut sums, units, per_unit, images);
            #[unroll]
            for i in 0..images {
                table[(s * images + i) * stride + unit] = sums[i];
                let image = select(first + i < batch, first + i, first);
                let value = x[image * dim + t];
                if value != 0.0 {
                    advance(w, row, hidden, value, &mut a, &mut h, i, units, per_unit);
                }
            }
        }
        sync_cube();
        let filled = count * images;
        if comptime!(planes) {
            let size = PLANE_DIM as usize;
            let lane = UNIT_POS_PLANE as usize;
            let in_cube = units / size;
            // As many turns for every plane, so that all of a plane are there for its sum.
            let turns = (filled + in_cube - 1) / in_cube;
            for turn in 0..turns {
                let r = turn * in_cube + PLANE_POS as usize;
                let from = select(r < filled, r, 0) * stride;
                let mut part = 0.0f32;
                for k in 0..in_cube {
                    part += table[from + k * size + lane];
                }
                let sum = plane_sum(part);
                let image = first + r % images;
                if lane == 0 && r < filled && image < batch {
                    let t = begin + r / images;
                    out[image * dim + t] = b[t] + sum;
                }
            }
        } else {
            let turns = (filled + units - 1) / units;
            for turn in 0..turns {
                let r = turn * units + unit;
                let image = first + r % images;
                if r < filled && image < batch {
                    let t = begin + r / images;
                    out[image * dim + t] = b[t] + sum_of(&table, r * stride, units);
                }
            }
        }
        sync_cube();
    }
}

/// x_t = 1 where the logit is above `thresholds[image, t]`.
#[cube(launch_unchecked)]
fn draw_kernel(
    thresholds: &[f32],
    w: &[f32],
    v: &[f32],
    b: &[f32],
    c: &[f32],
    out: &mut [f32],
    batch: u32,
    dim: u32,
    hidden: u32,
    #[comptime] units: usize,
    #[comptime] per_unit: usize,
    #[comptime] images: usize,
    #[comptime] planes: bool,
) {
    let batch = batch as usize;
    let dim = dim as usize;
    let hidden = hidden as usize;
    let unit = UNIT_POS as usize;
    let first = CUBE_POS * images;
    if first >= batch {
        terminate!();
    }
    // Two tables in turn: who is behind still reads the one while the other is written.
    let mut table = Shared::<[f32]>::new_slice(comptime!(2 * images * units));
    let mut a = Array::<f32>::new(comptime!(images * per_unit));
    let mut h = Array::<f32>::new(comptime!(images * per_unit));
    let mut sums = Array::<f32>::new(images);
    start(c, hidden, &mut a, &mut h, units, per_unit, images);

    for t in 0..dim {
        let row = t * hidden;
        let from = t % 2 * comptime!(images * units);
        partial_sums(v, row, hidden, &h, &mut sums, units, per_unit, images);
        #[unroll]
        for i in 0..images {
            if comptime!(planes) {
                let sum = plane_sum(sums[i]);
                if UNIT_POS_PLANE == 0 {
                    table[from + i * units + PLANE_POS as usize] = sum;
                }
            } else {
                table[from + i * units + unit] = sums[i];
            }
        }
        sync_cube();
        #[unroll]
        for i in 0..images {
            let image = select(first + i < batch, first + i, first);
            let mut parts = units.runtime();
            if comptime!(planes) {
                parts = units / PLANE_DIM as usize;
            }
            // Every unit adds up the same numbers in the same order, and so draws the same bit.
            let logit = b[t] + sum_of(&table, from + i * units, parts);
            let bit = select(logit > thresholds[image * dim + t], 1.0f32, 0.0f32);
            if unit == 0 && first + i < batch {
                out[image * dim + t] = bit;
            }
            if bit != 0.0 {
                advance(w, row, hidden, bit, &mut a, &mut h, i, units, per_unit);
            }
        }
    }
}

/// Gradients of the weights by the images of each group, `[groups, gradient_len]`.
#[cube(launch_unchecked)]
fn gradients_kernel(
    x: &[f32],
    w: &[f32],
    v: &[f32],
    c: &[f32],
    grad: &[f32],
    out: &mut [f32],
    batch: u32,
    dim: u32,
    hidden: u32,
    groups: u32,
    #[comptime] images: usize,
) {
    let batch = batch as usize;
    let dim = dim as usize;
    let hidden = hidden as usize;
    let groups = groups as usize;
    let k = (CUBE_POS_X * CUBE_DIM_X + UNIT_POS_X) as usize;
    let group = CUBE_POS_Y as usize;
    if k >= hidden {
        terminate!();
    }
    let of_w = group * (2 * dim * hidden + dim + hidden);
    let of_v = of_w + dim * hidden;
    let of_b = of_v + dim * hidden;
    let of_c = of_b + dim;
    let mut a = Array::<f32>::new(images);
    let mut h = Array::<f32>::new(images);
    // ∂L/∂a.
    let mut slope = Array::<f32>::new(images);

    let together = groups * images;
    let rounds = (batch + together - 1) / together;
    for round in 0..rounds {
        let first = (round * groups + group) * images;
        // A group beyond the batch has zero gradients, to be written once.
        if round == 0 || first < batch {
            #[unroll]
            for i in 0..images {
                a[i] = c[k];
                slope[i] = 0.0;
            }
            for t in 0..dim {
                let weight = w[t * hidden + k];
                #[unroll]
                for i in 0..images {
                    let image = select(first + i < batch, first + i, 0);
                    a[i] += x[image * dim + t] * weight;
                }
            }
            #[unroll]
            for i in 0..images {
                h[i] = sigmoid(a[i]);
            }
            for back in 0..dim {
                let t = dim - 1 - back;
                let at = t * hidden + k;
                let weight = w[at];
                let output = v[at];
                let mut grad_w = 0.0f32;
                let mut grad_v = 0.0f32;
                let mut grad_b = 0.0f32;
                #[unroll]
                for i in 0..images {
                    let there = first + i < batch;
                    let image = select(there, first + i, 0);
                    let value = x[image * dim + t];
                    if value != 0.0 {
                        grad_w += value * slope[i];
                        a[i] -= value * weight;
                        h[i] = sigmoid(a[i]);
                    }
                    let g = select(there, grad[image * dim + t], 0.0f32);
                    let active = h[i];
                    grad_v += g * active;
                    grad_b += g;
                    slope[i] += g * output * (active * (1.0 - active));
                }
                if round > 0 {
                    grad_w += out[of_w + at];
                    grad_v += out[of_v + at];
                }
                out[of_w + at] = grad_w;
                out[of_v + at] = grad_v;
                if k == 0 {
                    if round > 0 {
                        grad_b += out[of_b + t];
                    }
                    out[of_b + t] = grad_b;
                }
            }
            let mut grad_c = 0.0f32;
            #[unroll]
            for i in 0..images {
                grad_c += slope[i];
            }
            if round > 0 {
                grad_c += out[of_c + k];
            }
            out[of_c + k] = grad_c;
        }
    }
}

/// `out[e] = Σ_g parts[g, e]`, in order.
#[cube(launch_unchecked)]
fn sum_groups_kernel(parts: &[f32], out: &mut [f32], len: u32, groups: u32) {
    let len = len as usize;
    let e = ABSOLUTE_POS;
    if e >= len {
        terminate!();
    }
    let mut sum = 0.0f32;
    for g in 0..groups as usize {
        sum += parts[g * len + e];
    }
    out[e] = sum;
}

/// Launches a walk over the positions: of bits, or of thresholds that draw them, to as many numbers.
macro_rules! walk {
    ($kernel:ident, $from:expr, $w:expr, $v:expr, $b:expr, $c:expr) => {{
        let [batch, dim] = $from.shape().dims();
        let [hidden] = $c.shape().dims();
        let [from, w, v, b, c] = [$from, $w, $v, $b, $c].map(contiguous);
        let out = empty(&from, [batch, dim]);
        let client = from.client.clone();
        let plan = Plan::new(&client, batch, hidden);
        count_launch();
        // SAFETY: `logits` and `draw` have checked the shapes; an index beyond the batch or the hidden units is
        // replaced by one within before it is read, and not written to.
        unsafe {
            $kernel::launch_unchecked(
                &client,
                cubes(&client, batch.div_ceil(plan.images)),
                CubeDim::new_1d(plan.units as u32),
                from.into_buffer_arg(),
                w.into_buffer_arg(),
                v.into_buffer_arg(),
                b.into_buffer_arg(),
                c.into_buffer_arg(),
                out.clone().into_buffer_arg(),
                batch as u32,
                dim as u32,
                hidden as u32,
                plan.units,
                plan.per_unit,
                plan.images,
                plan.planes,
            );
        }
        out
    }};
}

impl NadeOps for CubeBackend {
    fn nade_logits(
        x: CubeTensor,
        w: CubeTensor,
        v: CubeTensor,
        b: CubeTensor,
        c: CubeTensor,
    ) -> CubeTensor {
        walk!(logits_kernel, x, w, v, b, c)
    }

    fn nade_gradients(
        x: CubeTensor,
        w: CubeTensor,
        v: CubeTensor,
        b: CubeTensor,
        c: CubeTensor,
        grad_logits: CubeTensor,
    ) -> CubeTensor {
        let [batch, dim] = x.shape().dims();
        let [hidden] = c.shape().dims();
        drop(b);
        let [x, w, v, c, grad] = [x, w, v, c, grad_logits].map(contiguous);
        let client = x.client.clone();
        let len = gradient_len(dim, hidden);
        let images = GROUP.min(batch.next_power_of_two());
        let groups = batch.div_ceil(images).min(MOST_GROUPS);
        let parts = empty(&x, [groups * len]);
        let units = hidden.next_power_of_two().clamp(32, 64);
        count_launch();
        // SAFETY: as in `walk`; a unit writes to its own hidden unit's gradients only.
        unsafe {
            gradients_kernel::launch_unchecked(
                &client,
                CubeCount::Static(hidden.div_ceil(units) as u32, groups as u32, 1),
                CubeDim::new_1d(units as u32),
                x.into_buffer_arg(),
                w.into_buffer_arg(),
                v.into_buffer_arg(),
                c.into_buffer_arg(),
                grad.into_buffer_arg(),
                parts.clone().into_buffer_arg(),
                batch as u32,
                dim as u32,
                hidden as u32,
                groups as u32,
                images,
            );
        }
        if groups == 1 {
            return parts;
        }
        let out = empty(&parts, [len]);
        count_launch();
        // SAFETY: a unit beyond the gradients ends at once.
        unsafe {
            sum_groups_kernel::launch_unchecked(
                &client,
                cubes(&client, len.div_ceil(MOST_UNITS)),
                CubeDim::new_1d(MOST_UNITS as u32),
                parts.into_buffer_arg(),
                out.clone().into_buffer_arg(),
                len as u32,
                groups as u32,
            );
        }
        out
    }

    fn nade_draw(
        thresholds: CubeTensor,
        w: CubeTensor,
        v: CubeTensor,
        b: CubeTensor,
        c: CubeTensor,
    ) -> CubeTensor {
        walk!(draw_kernel, thresholds, w, v, b, c)
    }
}
