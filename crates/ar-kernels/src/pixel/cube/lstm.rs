//! The recurrence of a layer on a GPU: the states of all cells in one launch, their slopes in another.
//!
//! A cube walks the wavefronts of one image in one direction, and all of its units meet after each. What they hand
//! on, h forwards and the gates' slopes backwards, goes through the results themselves in global memory, which the
//! cube has in its cache. A line is a cell's row where wavefronts are diagonals, its column where they are rows;
//! a unit computes one hidden unit of a few lines, so that a weight is read once for all of them. No float is added
//! atomically: gradients of the weights are products, and the initial states' are summed in the order of the batch.

use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::Shape;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use crate::cube::{MOST_UNITS, contiguous, count_launch, cubes, empty, sigmoid};
use crate::pixel::Lstm;
use crate::pixel::gpu::by_rows;

/// Lines of a unit.
const LINES: usize = 4;
/// Taps of the states: those of the cells before it that a cell reads.
const MOST_TAPS: usize = 3;
/// Most hidden units that the kernels take: what they add to h₀ and c₀ fits the 16 KiB of shared memory that every
/// device has.
pub(in crate::pixel) const MOST_HIDDEN: usize = 340;

/// The pixel of a line in a wavefront, counted in the image, as the direction sees it: `column` counts from where
/// the direction begins.
#[cube]
fn pixel_of(row: usize, column: usize, width: usize, mirrored: bool) -> usize {
    row * width + select(mirrored, width - 1 - column, column)
}

/// The number of wavefronts.
#[cube]
fn wavefronts(height: usize, width: usize, #[comptime] rows: bool) -> usize {
    let mut count = height;
    if comptime!(!rows) {
        count = height + width - 1;
    }
    count
}

/// The number of lines.
#[cube]
fn lines_of(height: usize, width: usize, #[comptime] rows: bool) -> usize {
    let mut count = height;
    if comptime!(rows) {
        count = width;
    }
    count
}

/// Taps of the states of a kind.
const fn taps_of(rows: bool) -> usize {
    if rows { 3 } else { 2 }
}

/// Where the cells of some lines from `line` on are in wavefront t, as pixels from `base` on, and whether they are
/// there; of one that is not, `base`. Nothing is where the unit has nothing to do.
#[cube]
fn cells_of(
    t: usize,
    line: usize,
    has_work: bool,
    base: usize,
    lines: usize,
    width: usize,
    mirrored: bool,
    there: &mut Array<u32>,
    at: &mut Array<usize>,
    #[comptime] rows: bool,
) {
    #[unroll]
    for l in 0..LINES {
        let mut row = line + l;
        let mut valid = has_work && row < lines && t >= row && t - row < width;
        let mut column = select(valid, t - row, 0);
        if comptime!(rows) {
            valid = has_work && line + l < lines;
            row = t;
            column = line + l;
        }
        there[l] = u32::cast_from(valid);
        at[l] = base + select(valid, pixel_of(row, column, width, mirrored), 0);
    }
}

/// h of every cell. `gates` is written to if `keep`.
#[cube(launch_unchecked)]
fn states_kernel(
    z: &[f32],
    weights: &[f32],
    initial: &[f32],
    h: &mut [f32],
    cells: &mut [f32],
    gates: &mut [f32],
    height: u32,
    width: u32,
    directions: u32,
    #[comptime] hidden: usize,
    #[comptime] rows: bool,
    #[comptime] keep: bool,
    #[comptime] units: usize,
) {
    let height = height as usize;
    let width = width as usize;
    let directions = directions as usize;
    let image = CUBE_POS / directions;
    let d = CUBE_POS % directions;
    let mirrored = d == 1;
    let base = image * height * width;
    let unit = UNIT_POS as usize;
    let taps = comptime!(taps_of(rows));
    let wide = comptime!(4 * hidden);

    // What h₀ adds to the gates through each tap.
    let mut first = Shared::<[f32]>::new_slice(comptime!(MOST_TAPS * 4 * hidden));
    let rounds = comptime!((taps * 4 * hidden).div_ceil(units));
    for round in 0..rounds {
        let at = round * units + unit;
        if at < comptime!(taps * 4 * hidden) {
            let tap = at / wide;
            let mut sum = 0.0f32;
            for k in 0..hidden {
                let weight = weights[((d * taps + tap) * hidden + k) * wide + at % wide];
                sum += initial[d * 2 * hidden + k] * weight;
            }
            first[at] = sum;
        }
    }
    sync_cube();

    let lines = lines_of(height, width, rows);
    let groups = (lines + LINES - 1) / LINES;
    let turns = (groups * hidden + units - 1) / units;
    let mut there = Array::<u32>::new(comptime!(LINES));
    let mut at = Array::<usize>::new(comptime!(LINES));
    let mut seen = Array::<u32>::new(comptime!(LINES));
    let mut from = Array::<usize>::new(comptime!(LINES));
    let mut sums = Array::<f32>::new(comptime!(4 * LINES));
    let steps = wavefronts(height, width, rows);
    for t in 0..steps {
        for turn in 0..turns {
            let item = turn * units + unit;
            let j = item % hidden;
            let line = item / hidden * LINES;
            let has_work = item < groups * hidden;
            cells_of(t, line, has_work, base, lines, width, mirrored, &mut there, &mut at, rows);
            #[unroll]
            for l in 0..LINES {
                let pixel = at[l];
                #[unroll]
                for gate in 0..4 {
                    sums[4 * l + gate] = z[(pixel * directions + d) * wide + gate * hidden + j];
                }
            }
            #[unroll]
            for tap in 0..taps {
                #[unroll]
                for l in 0..LINES {
                    let mut row = line + l;
                    let mut column = select(t >= row, t - row, 0);
                    // Whether the tap sees a cell, and whether it sees h₀ instead.
                    let mut cell = row > 0;
                    let mut start = false;
                    if comptime!(rows) {
                        let beside = line + l + tap;
                        let inside = beside >= 1 && beside <= width;
                        column = select(inside, beside - 1, 0);
                        cell = inside && t > 0;
                        start = inside && t == 0;
                        row = select(t > 0, t - 1, 0);
                    } else if comptime!(tap == 0) {
                        row = select(cell, row - 1, 0);
                    } else {
                        cell = column > 0;
                        start = column == 0;
                        column = select(cell, column - 1, 0);
                    }
                    let valid = there[l] == 1;
                    cell = cell && valid;
                    seen[l] = u32::cast_from(cell);
                    let pixel = base + select(cell, pixel_of(row, column, width, mirrored), 0);
                    from[l] = (pixel * directions + d) * hidden;
                    if start && valid {
                        #[unroll]
                        for gate in 0..4 {
                            sums[4 * l + gate] += first[tap * wide + gate * hidden + j];
                        }
                    }
                }
                for k in 0..hidden {
                    let row = ((d * taps + tap) * hidden + k) * wide + j;
                    let o = weights[row];
                    let f = weights[row + hidden];
                    let i = weights[row + 2 * hidden];
                    let g = weights[row + 3 * hidden];
                    #[unroll]
                    for l in 0..LINES {
                        let value = select(seen[l] == 1, h[from[l] + k], 0.0f32);
                        sums[4 * l] += value * o;
                        sums[4 * l + 1] += value * f;
                        sums[4 * l + 2] += value * i;
                        sums[4 * l + 3] += value * g;
                    }
                }
            }
            #[unroll]
            for l in 0..LINES {
                if there[l] == 1 {
                    let cell = (at[l] * directions + d) * hidden + j;
                    let mut begins = t == line + l;
                    let mut back = 1usize.runtime();
                    if comptime!(rows) {
                        begins = t == 0;
                        back = width;
                    }
                    // In a mirrored image the cell before is the one to the right.
                    let step = back * directions * hidden;
                    let mut before = initial[(d * 2 + 1) * hidden + j];
                    if !begins {
                        let place = select(mirrored, cell + step, cell - step);
                        before = cells[place];
                    }
                    let o = sigmoid(sums[4 * l]);
                    let f = sigmoid(sums[4 * l + 1]);
                    let i = sigmoid(sums[4 * l + 2]);
                    let g = sums[4 * l + 3].tanh();
                    let c = f * before + i * g;
                    cells[cell] = c;
                    h[cell] = o * c.tanh();
                    if comptime!(keep) {
                        let kept = (at[l] * directions + d) * wide + j;
                        gates[kept] = o;
                        gates[kept + hidden] = f;
                        gates[kept + 2 * hidden] = i;
                        gates[kept + 3 * hidden] = g;
                    }
                }
            }
        }
        sync_storage();
    }
}

/// ∂L/∂z of every cell, and ∂L/∂c₀ of every line, `[batch, directions, lines, hidden]`. `weights` are transposed,
/// `[directions, taps, 4 hidden, hidden]`.
#[cube(launch_unchecked)]
fn slopes_kernel(
    gates: &[f32],
    cells: &[f32],
    weights: &[f32],
    initial: &[f32],
    grad: &[f32],
    slopes: &mut [f32],
    carry: &mut [f32],
    height: u32,
    width: u32,
    directions: u32,
    #[comptime] hidden: usize,
    #[comptime] rows: bool,
    #[comptime] units: usize,
) {
    let height = height as usize;
    let width = width as usize;
    let directions = directions as usize;
    let image = CUBE_POS / directions;
    let d = CUBE_POS % directions;
    let mirrored = d == 1;
    let base = image * height * width;
    let unit = UNIT_POS as usize;
    let taps = comptime!(taps_of(rows));
    let wide = comptime!(4 * hidden);
    let lines = lines_of(height, width, rows);
    let groups = (lines + LINES - 1) / LINES;
    let turns = (groups * hidden + units - 1) / units;
    let mut there = Array::<u32>::new(comptime!(LINES));
    let mut at = Array::<usize>::new(comptime!(LINES));
    let mut seen = Array::<u32>::new(comptime!(LINES));
    let mut from = Array::<usize>::new(comptime!(LINES));
    let mut sums = Array::<f32>::new(comptime!(LINES));
    let steps = wavefronts(height, width, rows);
    for back in 0..steps {
        let t = steps - 1 - back;
        for turn in 0..turns {
            let item = turn * units + unit;
            let j = item % hidden;
            let line = item / hidden * LINES;
            let has_work = item < groups * hidden;
            cells_of(t, line, has_work, base, lines, width, mirrored, &mut there, &mut at, rows);
            #[unroll]
            for l in 0..LINES {
                let pixel = at[l];
                sums[l] = grad[(pixel * directions + d) * hidden + j];
            }
            // What the cells say that saw this one, through the tap that they saw it by.
            #[unroll]
            for tap in 0..taps {
                #[unroll]
                for l in 0..LINES {
                    let mut row = line + l;
                    let mut column = select(t >= row, t - row, 0);
                    let mut cell = row + 1 < height;
                    if comptime!(rows) {
                        let beside = line + l + 1;
                        let inside = beside >= tap && beside - tap < width;
                        column = select(inside, beside - tap, 0);
                        cell = inside && t + 1 < height;
                        row = t + 1;
                    } else if comptime!(tap == 0) {
                        row += 1;
                    } else {
                        cell = column + 1 < width;
                        column += 1;
                    }
                    cell = cell && there[l] == 1;
                    seen[l] = u32::cast_from(cell);
                    let pixel = base + select(cell, pixel_of(row, column, width, mirrored), 0);
                    from[l] = (pixel * directions + d) * wide;
                }
                for m in 0..wide {
                    let weight = weights[((d * taps + tap) * wide + m) * hidden + j];
                    #[unroll]
                    for l in 0..LINES {
                        sums[l] += select(seen[l] == 1, slopes[from[l] + m], 0.0f32) * weight;
                    }
                }
            }
            #[unroll]
            for l in 0..LINES {
                if there[l] == 1 {
                    let cell = (at[l] * directions + d) * hidden + j;
                    let kept = (at[l] * directions + d) * wide + j;
                    let mut begins = t == line + l;
                    let mut ends = t + 1 == line + l + width;
                    let mut back = 1usize.runtime();
                    if comptime!(rows) {
                        begins = t == 0;
                        ends = t + 1 == height;
                        back = width;
                    }
                    let step = back * directions * hidden;
                    let mut before = initial[(d * 2 + 1) * hidden + j];
                    if !begins {
                        let place = select(mirrored, cell + step, cell - step);
                        before = cells[place];
                    }
                    let own = ((image * directions + d) * lines + line + l) * hidden + j;
                    let mut of_cell = 0.0f32;
                    if !ends {
                        of_cell = carry[own];
                    }
                    let o = gates[kept];
                    let f = gates[kept + hidden];
                    let i = gates[kept + 2 * hidden];
                    let g = gates[kept + 3 * hidden];
                    let active = cells[cell].tanh();
                    of_cell += sums[l] * o * (1.0 - active * active);
                    slopes[kept] = sums[l] * active * (o * (1.0 - o));
                    slopes[kept + hidden] = of_cell * before * (f * (1.0 - f));
                    slopes[kept + 2 * hidden] = of_cell * g * (i * (1.0 - i));
                    slopes[kept + 3 * hidden] = of_cell * i * (1.0 - g * g);
                    carry[own] = of_cell * f;
                }
            }
        }
        sync_storage();
    }
}

/// What the taps of every cell saw of the states before it, `[directions, cells, taps hidden]`.
#[cube(launch_unchecked)]
fn before_kernel(
    h: &[f32],
    initial: &[f32],
    out: &mut [f32],
    pixels: u32,
    height: u32,
    width: u32,
    directions: u32,
    hidden: u32,
    #[comptime] rows: bool,
) {
    let pixels = pixels as usize;
    let height = height as usize;
    let width = width as usize;
    let directions = directions as usize;
    let hidden = hidden as usize;
    let at = ABSOLUTE_POS;
    if at >= pixels * directions * hidden {
        terminate!();
    }
    let taps = comptime!(taps_of(rows));
    let k = at % hidden;
    let pixel = at / hidden % pixels;
    let d = at / hidden / pixels;
    let column = pixel % width;
    let row = pixel / width % height;
    let start = initial[d * 2 * hidden + k];
    let to = (d * pixels + pixel) * taps * hidden + k;
    #[unroll]
    for tap in 0..taps {
        let mut cell = row > 0;
        let mut begins = false;
        let mut back = width;
        let mut forward = 0usize.runtime();
        if comptime!(rows) {
            let inside = column + tap >= 1 && column + tap <= width;
            begins = row == 0 && inside;
            cell = row > 0 && inside;
            // One row up, and one column left to one column right.
            back = width + 1;
            forward = tap.runtime();
        } else if comptime!(tap == 1) {
            let mirrored = d == 1;
            begins = column == select(mirrored, width - 1, 0);
            cell = !begins;
            back = select(mirrored, 0, 1);
            forward = select(mirrored, 1, 0);
        }
        let from = select(cell, pixel + forward - back, 0);
        let mut value = select(begins, start, 0.0f32);
        if cell {
            value = h[(from * directions + d) * hidden + k];
        }
        out[to + tap * hidden] = value;
    }
}

/// Gradients of h₀ and c₀, `[directions, 2, hidden]`: a cube per direction.
#[cube(launch_unchecked)]
fn initial_kernel(
    slopes: &[f32],
    weights: &[f32],
    carry: &[f32],
    out: &mut [f32],
    batch: u32,
    height: u32,
    width: u32,
    directions: u32,
    #[comptime] hidden: usize,
    #[comptime] rows: bool,
    #[comptime] units: usize,
) {
    let batch = batch as usize;
    let height = height as usize;
    let width = width as usize;
    let directions = directions as usize;
    let d = CUBE_POS_X as usize;
    let unit = UNIT_POS as usize;
    let taps = comptime!(taps_of(rows));
    let wide = comptime!(4 * hidden);
    let lines = lines_of(height, width, rows);
    // Slopes of the gates of all cells that saw h₀, by tap.
    let mut sums = Shared::<[f32]>::new_slice(comptime!(MOST_TAPS * 4 * hidden));
    let rounds = comptime!((taps * 4 * hidden).div_ceil(units));
    for round in 0..rounds {
        let at = round * units + unit;
        if at < comptime!(taps * 4 * hidden) {
            let tap = at / wide;
            let mut sum = 0.0f32;
            for image in 0..batch {
                for line in 0..lines {
                    let mut saw = tap == 1;
                    let mut column = select(d == 1, width - 1, 0);
                    let mut row = line;
                    if comptime!(rows) {
                        saw = line + tap >= 1 && line + tap <= width;
                        column = line;
                        row = 0usize.runtime();
                    }
                    if saw {
                        let pixel = (image * height + row) * width + column;
                        sum += slopes[(pixel * directions + d) * wide + at % wide];
                    }
                }
            }
            sums[at] = sum;
        }
    }
    sync_cube();
    let rounds = comptime!(hidden.div_ceil(units));
    for round in 0..rounds {
        let k = round * units + unit;
        if k < hidden {
            let mut of_h = 0.0f32;
            for m in 0..comptime!(taps * 4 * hidden) {
                let weight = weights[((d * taps + m / wide) * hidden + k) * wide + m % wide];
                of_h += sums[m] * weight;
            }
            let mut of_c = 0.0f32;
            for image in 0..batch {
                for line in 0..lines {
                    of_c += carry[((image * directions + d) * lines + line) * hidden + k];
                }
            }
            out[d * 2 * hidden + k] = of_h;
            out[(d * 2 + 1) * hidden + k] = of_c;
        }
    }
}

/// A layer's sizes.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    height: usize,
    width: usize,
    directions: usize,
    hidden: usize,
    taps: usize,
}

impl Sizes {
    fn of(map: &CubeTensor, weights: &CubeTensor) -> Self {
        let [batch, height, width, _] = map.shape().dims();
        let [directions, taps, hidden, _] = weights.shape().dims();
        Self { batch, height, width, directions, hidden, taps }
    }

    fn pixels(&self) -> usize {
        self.batch * self.height * self.width
    }

    fn lines(&self, spec: Lstm) -> usize {
        if by_rows(spec) { self.width } else { self.height }
    }

    /// Units of a cube: one per item of a wavefront, as far as there are any.
    fn units(&self, spec: Lstm, client: &Client) -> usize {
        let most = client.properties().hardware.max_units_per_cube.min(512) as usize;
        let items = self.lines(spec).div_ceil(LINES) * self.hidden;
        items.next_power_of_two().clamp(32, most.max(32))
    }
}

/// h, the activated gates where they are to be kept, and the cells.
pub(super) fn states(
    z: CubeTensor,
    state_to_state: CubeTensor,
    initial: CubeTensor,
    spec: Lstm,
    keep: bool,
) -> [CubeTensor; 3] {
    let [z, weights, initial] = [z, state_to_state, initial].map(contiguous);
    let sizes = Sizes::of(&z, &weights);
    let Sizes { batch, height, width, directions, hidden, .. } = sizes;
    let map = [batch, height, width, directions * hidden];
    let [h, cells] = [map, map].map(|shape| empty(&z, shape));
    let gates =
        empty(&z, if keep { [batch, height, width, directions * 4 * hidden] } else { [1; 4] });
    let client = z.client.clone();
    let units = sizes.units(spec, &client);
    count_launch();
    // SAFETY: `pixel::lstm` has checked the shapes. There is a cube for every image and direction; an index of a
    // cell that is none is replaced by that of the image's first, and nothing is written there.
    unsafe {
        states_kernel::launch_unchecked(
            &client,
            CubeCount::Static((batch * directions) as u32, 1, 1),
            CubeDim::new_1d(units as u32),
            z.into_buffer_arg(),
            weights.into_buffer_arg(),
            initial.into_buffer_arg(),
            h.clone().into_buffer_arg(),
            cells.clone().into_buffer_arg(),
            gates.clone().into_buffer_arg(),
            height as u32,
            width as u32,
            directions as u32,
            hidden,
            by_rows(spec),
            keep,
            units,
        );
    }
    [h, gates, cells]
}

/// Gradients of z, the weights and the initial states.
pub(super) fn gradients(
    h: CubeTensor,
    gates: CubeTensor,
    cells: CubeTensor,
    state_to_state: CubeTensor,
    initial: CubeTensor,
    grad: CubeTensor,
    spec: Lstm,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let [h, gates, cells, weights, initial, grad] =
        [h, gates, cells, state_to_state, initial, grad].map(contiguous);
    let sizes = Sizes::of(&gates, &weights);
    let Sizes { batch, height, width, directions, hidden, taps } = sizes;
    let (pixels, rows) = (sizes.pixels(), by_rows(spec));
    let client = h.client.clone();
    let units = sizes.units(spec, &client);

    let transposed = contiguous(CubeBackend::float_swap_dims(weights.clone(), 2, 3));
    let slopes = empty(&h, [batch, height, width, directions * 4 * hidden]);
    let carry = empty(&h, [batch, directions, sizes.lines(spec), hidden]);
    count_launch();
    // SAFETY: as in `states`.
    unsafe {
        slopes_kernel::launch_unchecked(
            &client,
            CubeCount::Static((batch * directions) as u32, 1, 1),
            CubeDim::new_1d(units as u32),
            gates.into_buffer_arg(),
            cells.into_buffer_arg(),
            transposed.into_buffer_arg(),
            initial.clone().into_buffer_arg(),
            grad.into_buffer_arg(),
            slopes.clone().into_buffer_arg(),
            carry.clone().into_buffer_arg(),
            height as u32,
            width as u32,
            directions as u32,
            hidden,
            rows,
            units,
        );
    }

    let before = empty(&h, [directions, pixels, taps * hidden]);
    let len = directions * pixels * hidden;
    count_launch();
    // SAFETY: a tap outside the image reads nothing; a unit beyond the cells ends at once.
    unsafe {
        before_kernel::launch_unchecked(
            &client,
            cubes(&client, len.div_ceil(MOST_UNITS)),
            CubeDim::new_1d(MOST_UNITS as u32),
            h.into_buffer_arg(),
            initial.clone().into_buffer_arg(),
            before.clone().into_buffer_arg(),
            pixels as u32,
            height as u32,
            width as u32,
            directions as u32,
            hidden as u32,
            rows,
        );
    }
    let by_direction =
        CubeBackend::float_reshape(slopes.clone(), Shape::new([pixels, directions, 4 * hidden]));
    let by_direction = CubeBackend::float_swap_dims(by_direction, 0, 1);
    let of_weights =
        CubeBackend::float_matmul(CubeBackend::float_swap_dims(before, 1, 2), by_direction);
    let of_weights = CubeBackend::float_reshape(of_weights, weights.shape());

    let of_initial = empty(&initial, [directions, 2, hidden]);
    count_launch();
    // SAFETY: a cube reads its direction's weights, slopes and carry, and writes its gradients.
    unsafe {
        initial_kernel::launch_unchecked(
            &client,
            CubeCount::Static(directions as u32, 1, 1),
            CubeDim::new_1d(units as u32),
            slopes.clone().into_buffer_arg(),
            weights.into_buffer_arg(),
            carry.into_buffer_arg(),
            of_initial.clone().into_buffer_arg(),
            batch as u32,
            height as u32,
            width as u32,
            directions as u32,
            hidden,
            rows,
            units,
        );
    }
    (slopes, of_weights, of_initial)
}
