//! NADE over columns on `&[f32]` slices, shared by the flex and ndarray adapters: what a tile of rows has for outputs
//! at a position goes to the likelihood of its column while it is in the cache, a row in each lane of both.

use core::marker::PhantomData;
use core::ops::Range;

use rayon::prelude::*;

use crate::blocks::cpu::{
    GROUPS, Outputs, Params, Slopes, backward_from, forward_tile, rows, tile_rows,
};
use crate::columns::Heads;
use crate::columns::cpu::{Scratch, column};
use crate::memory::zeros;
use crate::simd::{Isa, LANES, Lane, Lanes, dispatch};

/// What becomes of the outputs of a tile.
struct Scores<'a> {
    heads: &'a Heads,
    /// `[rows, targets]`.
    targets: &'a [f32],
    /// `[rows, columns]`.
    log_probs: &'a mut [f32],
    /// The outputs of a position, `[groups, most of a position]`, or where the slopes are kept those of all,
    /// `[groups, outputs]`.
    lanes: &'a mut [Lane],
    kept: bool,
    scratch: Scratch,
}

impl Outputs for Scores<'_> {
    #[inline(always)]
    fn room(&mut self, _: usize, range: Range<usize>) -> [&mut [Lane]; GROUPS] {
        let groups = self.targets.len().div_ceil(LANES * self.heads.targets());
        let (first, second) = self.lanes.split_at_mut(self.lanes.len() / groups);
        let range = if self.kept { range } else { 0..range.len() };
        let second = if groups > 1 { &mut second[range.clone()] } else { &mut [] };
        [&mut first[range], second]
    }

    #[inline(always)]
    unsafe fn take<L: Lanes<Elem = f32>>(&mut self, t: usize, range: Range<usize>) {
        let (heads, kept) = (self.heads, self.kept);
        let (columns, width) = (heads.all().len(), heads.targets());
        let target = heads.targets_of(t);
        let (head, link) = (&heads.all()[t], heads.link(range.clone()));
        let groups = self.targets.len().div_ceil(LANES * width);
        let stride = self.lanes.len() / groups;
        let range = if kept { range } else { 0..range.len() };
        let rows = self.targets.chunks(LANES * width);
        let rows = rows.zip(self.log_probs.chunks_mut(LANES * columns));
        for (lanes, (targets, log_probs)) in self.lanes.chunks_exact_mut(stride).zip(rows) {
            // Of what is no row the slope is zero.
            let (mut x, mut factor) = ([0.0; LANES], [0.0; LANES]);
            let mut listed = [f32::NEG_INFINITY; LANES];
            for (r, row) in targets.chunks_exact(width).enumerate() {
                (x[r], factor[r]) = (row[target.start], 1.0);
                if target.len() > 1 {
                    listed[r] = row[target.start + 1];
                }
            }
            let factor = kept.then_some(&factor);
            let own = &mut lanes[range.clone()];
            // SAFETY: the caller's.
            let each =
                unsafe { column::<L>(head, link, own, [&x, &listed], factor, &mut self.scratch) };
            for (row, log_prob) in log_probs.chunks_exact_mut(columns).zip(each) {
                row[t] = log_prob;
            }
        }
    }
}

/// Log-probabilities of one tile of rows, and the slopes of its outputs where there is room for them.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn tile<L: Lanes<Elem = f32>>(
    _: PhantomData<L>,
    x: &[f32],
    targets: &[f32],
    params: Params<'_>,
    heads: &Heads,
    log_probs: &mut [f32],
    slopes: Option<&mut [f32]>,
) {
    let (kept, scratch) = (slopes.is_some(), Scratch::default());
    let mut own = Vec::new();
    let lanes = match slopes {
        Some(slopes) => slopes.as_chunks_mut().0,
        None => {
            own.resize(GROUPS * params.blocks.most_outputs(), [0.0; LANES]);
            let groups = targets.len().div_ceil(LANES * heads.targets());
            &mut own[..groups * params.blocks.most_outputs()]
        }
    };
    let mut out = Scores { heads, targets, log_probs, lanes, kept, scratch };
    // SAFETY: the caller's.
    unsafe { forward_tile::<L>(x, params, &mut out) }
}

dispatch! {
    /// [`tile`] for what the processor has.
    fn tile_f32(
        x: &[f32],
        targets: &[f32],
        params: Params<'_>,
        heads: &Heads,
        log_probs: &mut [f32],
        slopes: Option<&mut [f32]>,
    ) = tile
}

/// Checks that all belong together; how many rows there are.
fn batch(x: &[f32], targets: &[f32], params: Params<'_>, heads: &Heads) -> usize {
    params.hidden();
    let (blocks, batch) = (params.blocks, rows(x, params.blocks.inputs()));
    assert_eq!(targets.len(), batch * heads.targets(), "as many rows of targets as of inputs");
    assert!(heads.are_of(blocks), "the outputs of every column are those of its position");
    batch
}

/// log p of each value.
///
/// # Shapes
/// `x` is `[batch, inputs]`, `targets` `[batch, targets]`, and the result `[batch, columns]`, by positions of the walk.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn log_prob(x: &[f32], targets: &[f32], params: Params<'_>, heads: &Heads) -> Vec<f32> {
    log_prob_on(Isa::detect(), x, targets, params, heads)
}

fn log_prob_on(
    isa: Isa,
    x: &[f32],
    targets: &[f32],
    params: Params<'_>,
    heads: &Heads,
) -> Vec<f32> {
    let (batch, dim) = (batch(x, targets, params, heads), heads.all().len());
    let mut out = vec![0.0; batch * dim];
    let tile = tile_rows(isa);
    x.par_chunks(tile * params.blocks.inputs())
        .zip(targets.par_chunks(tile * heads.targets()))
        .zip(out.par_chunks_mut(tile * dim))
        .for_each(|((x, targets), out)| tile_f32(isa, x, targets, params, heads, out, None));
    out
}

/// [`log_prob`], and what [`backward`] needs.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn forward(
    x: &[f32],
    targets: &[f32],
    params: Params<'_>,
    heads: &Heads,
) -> (Vec<f32>, Vec<f32>) {
    forward_on(Isa::detect(), x, targets, params, heads)
}

fn forward_on(
    isa: Isa,
    x: &[f32],
    targets: &[f32],
    params: Params<'_>,
    heads: &Heads,
) -> (Vec<f32>, Vec<f32>) {
    let (batch, dim) = (batch(x, targets, params, heads), heads.all().len());
    let (mut out, outputs) = (vec![0.0; batch * dim], heads.outputs());
    let mut slopes = zeros(batch.next_multiple_of(LANES) * outputs);
    let tile = tile_rows(isa);
    x.par_chunks(tile * params.blocks.inputs())
        .zip(targets.par_chunks(tile * heads.targets()))
        .zip(out.par_chunks_mut(tile * dim).zip(slopes.par_chunks_mut(tile * outputs)))
        .for_each(|((x, targets), (out, slopes))| {
            tile_f32(isa, x, targets, params, heads, out, Some(slopes));
        });
    (out, slopes)
}

/// Gradients of the parameters, [`gradient_len`](crate::blocks::cpu::gradient_len) of them, from those of the
/// log-probabilities and the slopes that [`forward`] found.
///
/// # Shapes
/// `grad` is `[batch, columns]`.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn backward(x: &[f32], params: Params<'_>, slopes: &[f32], grad: &[f32]) -> Vec<f32> {
    backward_from(Isa::detect(), x, params, Slopes::Rows { slopes, factors: grad })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::{Blocks, Input};
    use crate::columns::{Family, Head, Missing};

    #[test]
    fn instruction_sets_agree() {
        let number = |listed, family, missing| Head::Number {
            components: 3,
            listed,
            family,
            floor: 0.01,
            missing,
        };
        let each = [
            (Input::Label(30), Head::Category { labels: 30, other: 0.01 }),
            (Input::Numbers(1), number(true, Family::Grid { half: 0.1 }, Missing::Learned)),
            (
                Input::Numbers(1),
                number(false, Family::Gaussian { log_unit: 0.5 }, Missing::Never(0.1)),
            ),
            (Input::Label(3), Head::Category { labels: 3, other: 0.01 }),
        ];
        let widths: Vec<usize> = each.iter().map(|(_, head)| head.outputs()).collect();
        let inputs: Vec<Input> = each.iter().map(|(input, _)| *input).collect();
        let blocks = Blocks::of(&inputs, &widths);
        let heads = Heads::new(each.iter().map(|(_, head)| *head).collect());
        // Not from 0: a unit that is exactly that may be on either side of its kink when it is recomputed.
        let wave = |n: usize, by: f32| -> Vec<f32> {
            (0..n).map(|k| (0.4 + k as f32 * by).sin() * 0.5).collect()
        };
        for (batch, hidden) in [(1, 3), (7, 16), (19, 20), (40, 33), (300, 70)] {
            let w = wave(blocks.features() * hidden, 0.7);
            let (c, v) = (wave(hidden, 1.1), wave(blocks.outputs() * hidden, 0.3));
            let (rho, b) = (wave(blocks.dim(), 1.7), wave(blocks.outputs(), 0.9));
            let params = Params { w: &w, c: &c, rho: &rho, v: &v, b: &b, blocks: &blocks };
            let (mut x, mut targets) = (Vec::new(), Vec::new());
            for i in 0..batch {
                let (label, z, other) = ((i % 31) as f32, (i % 5) as f32 * 0.4, (i % 4) as f32);
                x.extend([label, z, -z, other]);
                let z_or_none = if i % 6 == 1 { f32::NAN } else { z };
                targets.extend([label, z_or_none, -1.0 - z, -z, other]);
            }
            let grad = wave(batch * blocks.dim(), 0.37);
            let run = |isa: Isa| {
                let (log_probs, slopes) = forward_on(isa, &x, &targets, params, &heads);
                let plain = log_prob_on(isa, &x, &targets, params, &heads);
                assert!(plain == log_probs, "{isa:?}");
                let slopes = Slopes::Rows { slopes: &slopes, factors: &grad };
                [log_probs, backward_from(isa, &x, params, slopes)].concat()
            };
            let portable = run(Isa::Portable);
            let scale = portable.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
            for isa in Isa::available() {
                for (k, (a, b)) in run(isa).iter().zip(&portable).enumerate() {
                    assert!(
                        (a - b).abs() <= 2e-5 * scale,
                        "{isa:?}, {batch} rows of {hidden} units, result {k}: {a} and {b}"
                    );
                }
            }
        }
    }
}
