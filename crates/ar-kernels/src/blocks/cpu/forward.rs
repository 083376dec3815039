//! Outputs of all positions, tile by tile of rows.

use core::marker::PhantomData;
use core::ops::Range;

use rayon::prelude::*;

use super::{Params, rows};
use crate::blocks::Input;
use crate::blocks::layout::label;
use crate::simd::{Aligned, Isa, LANES, Lane, Lanes, dispatch};

/// Registers of rows of a tile; the last one may have one.
const REGISTERS: usize = 2;
/// Outputs that are in registers at a time.
const OUTPUTS: usize = 6;
/// The most groups of [`LANES`] rows of a tile.
pub(crate) const GROUPS: usize = 2;

/// Rows of a tile, of which all but the last have as many.
pub(crate) fn tile_rows(isa: Isa) -> usize {
    REGISTERS * isa.lanes()
}

/// What takes the outputs of a tile, position by position.
pub(crate) trait Outputs {
    /// Room for the outputs of position t, which are `range` of all: a row of the tile in each lane, for each group of
    /// rows. A group that has no row may have no room.
    fn room(&mut self, t: usize, range: Range<usize>) -> [&mut [Lane]; GROUPS];

    /// The outputs are there, but for lanes beyond the last row, of which nothing is known.
    ///
    /// # Safety
    /// The contract of [`Lanes`].
    unsafe fn take<L: Lanes<Elem = f32>>(&mut self, t: usize, range: Range<usize>);
}

/// `o[m] = b[m] + V[m] · h` for `M` outputs from `m` on, the first of which goes to `at` of each group.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn product<L: Lanes<Elem = f32>, const R: usize, const M: usize>(
    h: &[f32],
    params: Params<'_>,
    m: usize,
    room: &mut [&mut [Lane]; GROUPS],
    at: usize,
) {
    let hidden = params.c.len();
    let width = R * L::N;
    assert!(h.len() == hidden * width && params.v.len() >= (m + M) * hidden, "units of h and V");
    // SAFETY: the caller's; a unit of h has `width` rows, and V has `M` rows from m on.
    unsafe {
        let v = params.v.as_ptr().add(m * hidden);
        let mut h = h.as_ptr();
        let mut sums = [[L::splat(0.0); R]; M];
        for k in 0..hidden {
            let mut units = [L::splat(0.0); R];
            for (i, unit) in units.iter_mut().enumerate() {
                *unit = L::load(h.add(i * L::N));
            }
            for (j, sums) in sums.iter_mut().enumerate() {
                let v = L::splat(*v.add(j * hidden + k));
                for (sum, &unit) in sums.iter_mut().zip(&units) {
                    *sum = v.mul_add(unit, *sum);
                }
            }
            h = h.add(width);
        }
        for (j, sums) in sums.into_iter().enumerate() {
            let b = L::splat(params.b[m + j]);
            for (i, sum) in sums.into_iter().enumerate() {
                let (group, lane) = (i * L::N / LANES, i * L::N % LANES);
                sum.add(b).store(room[group][at + j][lane..][..L::N].as_mut_ptr());
            }
        }
    }
}

/// a += x_f W_f over the features f of a position, for a tile of `R` registers of rows, each in a lane of `a`.
/// `nothing` is a row of zeros.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn advance<L: Lanes<Elem = f32>, const R: usize>(
    x: &[f32],
    params: Params<'_>,
    t: usize,
    nothing: &[f32],
    a: &mut [f32],
) {
    let (blocks, hidden, width) = (params.blocks, params.c.len(), R * L::N);
    let inputs = blocks.inputs();
    let (at, features) = (blocks.inputs_of(t).start, blocks.features_of(t));
    match blocks.input(t) {
        Input::Numbers(_) => {
            for (k, f) in features.enumerate() {
                let mut x_f = [0.0; GROUPS * LANES];
                for (x_f, row) in x_f.iter_mut().zip(x.chunks_exact(inputs)) {
                    *x_f = row[at + k];
                }
                let w = &params.w[f * hidden..][..hidden];
                for (a, &w) in a.chunks_exact_mut(width).zip(w) {
                    // SAFETY: the caller's; there are `width` rows of a, and no more than of `x_f`.
                    unsafe {
                        let w = L::splat(w);
                        for i in 0..R {
                            let a = a.as_mut_ptr().add(i * L::N);
                            let x = L::load(x_f.as_ptr().add(i * L::N));
                            L::load(a).add(x.mul(w)).store(a);
                        }
                    }
                }
            }
        }
        Input::Label(labels) => {
            let own = |row: &[f32]| match label(row[at], labels) {
                Some(index) => &params.w[(features.start + index) * hidden..][..hidden],
                None => &nothing[..hidden],
            };
            let narrow = width.min(LANES);
            for (group, rows) in x.chunks(narrow * inputs).enumerate() {
                let mut w = [&nothing[..hidden]; LANES];
                for (w, row) in w.iter_mut().zip(rows.chunks_exact(inputs)) {
                    *w = own(row);
                }
                if hidden < LANES || narrow < LANES {
                    for (k, a) in a.chunks_exact_mut(width).enumerate() {
                        let a = &mut a[group * narrow..][..narrow];
                        a.iter_mut().zip(w).for_each(|(a, w)| *a += w[k]);
                    }
                    continue;
                }
                let mut done = 0;
                while done < hidden {
                    // The last block begins early enough to be a whole one.
                    let first = done.min(hidden - LANES);
                    let mut block = [[0.0; LANES]; LANES];
                    let from = w.map(|w| w[first..][..LANES].as_ptr());
                    // SAFETY: the caller's; each row has so many units from the first one on.
                    unsafe { L::transpose(&from, block.as_flattened_mut().as_mut_ptr()) };
                    for (k, block) in block.iter().enumerate().skip(done - first) {
                        let a = &mut a[(first + k) * width + group * LANES..][..LANES];
                        a.iter_mut().zip(block).for_each(|(a, w)| *a += w);
                    }
                    done = first + LANES;
                }
            }
        }
    }
}

/// Outputs of at most `R` registers of rows.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn forward_rows<L: Lanes<Elem = f32>, const R: usize>(
    x: &[f32],
    params: Params<'_>,
    out: &mut impl Outputs,
) {
    let (blocks, width) = (params.blocks, R * L::N);
    // A row in each lane, `[hidden, width]`.
    let mut a = Aligned::zeros(params.c.len() * width);
    let mut h = Aligned::zeros(params.c.len() * width);
    for (a, &c) in a.chunks_exact_mut(width).zip(params.c) {
        a.fill(c);
    }
    let nothing = vec![0.0; params.c.len()];
    for t in 0..blocks.dim() {
        // SAFETY: the caller's; both are whole registers.
        unsafe {
            let rho = L::splat(params.rho[t]);
            for (h, a) in h.chunks_exact_mut(L::N).zip(a.chunks_exact(L::N)) {
                rho.mul(L::load(a.as_ptr())).relu().store(h.as_mut_ptr());
            }
        }
        let range = blocks.outputs_of(t);
        let room = &mut out.room(t, range.clone());
        let mut m = range.start;
        while m < range.end {
            let at = m - range.start;
            // SAFETY: the caller's.
            m += unsafe {
                match range.end - m {
                    1 => {
                        product::<L, R, 1>(&h, params, m, room, at);
                        1
                    }
                    2..OUTPUTS => {
                        product::<L, R, 2>(&h, params, m, room, at);
                        2
                    }
                    _ => {
                        product::<L, R, OUTPUTS>(&h, params, m, room, at);
                        OUTPUTS
                    }
                }
            };
        }
        // SAFETY: the caller's.
        unsafe {
            out.take::<L>(t, range);
            advance::<L, R>(x, params, t, &nothing, &mut a);
        }
    }
}

/// Outputs of one tile of at most [`tile_rows`] rows.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn forward_tile<L: Lanes<Elem = f32>>(
    x: &[f32],
    params: Params<'_>,
    out: &mut impl Outputs,
) {
    // SAFETY: the caller's.
    unsafe {
        if x.len() > L::N * params.blocks.inputs() {
            forward_rows::<L, REGISTERS>(x, params, out);
        } else {
            forward_rows::<L, 1>(x, params, out);
        }
    }
}

/// Outputs as a matrix, `[rows, outputs]`.
struct Matrix<'a> {
    out: &'a mut [f32],
    outputs: usize,
    scratch: [Vec<Lane>; GROUPS],
}

impl Outputs for Matrix<'_> {
    #[inline(always)]
    fn room(&mut self, _: usize, range: Range<usize>) -> [&mut [Lane]; GROUPS] {
        self.scratch.each_mut().map(|lanes| &mut lanes[..range.len()])
    }

    #[inline(always)]
    unsafe fn take<L: Lanes<Elem = f32>>(&mut self, _: usize, range: Range<usize>) {
        for (rows, lanes) in self.out.chunks_mut(LANES * self.outputs).zip(&self.scratch) {
            for first in (0..range.len()).step_by(LANES) {
                let len = LANES.min(range.len() - first);
                // Beyond the last output any other one will do.
                let mut from = [lanes[0].as_ptr(); LANES];
                for (from, lanes) in from.iter_mut().zip(&lanes[first..][..len]) {
                    *from = lanes.as_ptr();
                }
                let mut block = [[0.0; LANES]; LANES];
                // SAFETY: the caller's; each output has so many lanes.
                unsafe { L::transpose(&from, block.as_flattened_mut().as_mut_ptr()) };
                for (row, block) in rows.chunks_exact_mut(self.outputs).zip(&block) {
                    row[range.start + first..][..len].copy_from_slice(&block[..len]);
                }
            }
        }
    }
}

/// Outputs of one tile of rows as a matrix.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn matrix_tile<L: Lanes<Elem = f32>>(
    _: PhantomData<L>,
    x: &[f32],
    params: Params<'_>,
    out: &mut [f32],
) {
    let most = params.blocks.most_outputs();
    let scratch = [vec![[0.0; LANES]; most], vec![[0.0; LANES]; most]];
    let mut out = Matrix { out, outputs: params.blocks.outputs(), scratch };
    // SAFETY: the caller's.
    unsafe { forward_tile::<L>(x, params, &mut out) }
}

dispatch! {
    /// [`matrix_tile`] for what the processor has.
    fn matrix_tile_f32(x: &[f32], params: Params<'_>, out: &mut [f32]) = matrix_tile
}

/// o of every position: `out[i, m] = b[m] + V[m] · max(0, ρ_t (c + Σ x_f W_f))` for the outputs m of t, over the
/// features f of all positions before t.
///
/// # Shapes
/// `x` is `[batch, inputs]`, the result `[batch, outputs]`, both by blocks in the order of the walk.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn forward(x: &[f32], params: Params<'_>) -> Vec<f32> {
    params.hidden();
    let (inputs, outputs) = (params.blocks.inputs(), params.blocks.outputs());
    let mut out = vec![0.0; rows(x, inputs) * outputs];
    if outputs == 0 {
        return out;
    }
    let isa = Isa::detect();
    let tile = tile_rows(isa);
    x.par_chunks(tile * inputs)
        .zip(out.par_chunks_mut(tile * outputs))
        .for_each(|(x, out)| matrix_tile_f32(isa, x, params, out));
    out
}
