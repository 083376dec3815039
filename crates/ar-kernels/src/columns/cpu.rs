//! The likelihoods of columns on `&[f32]` slices, shared by the flex and ndarray adapters. Rows are independent, so
//! threads take some each. Columns of numbers and those of few labels have a row in each lane, the others some of their
//! labels. All is single precision without cancellation: see the module `lanes` and the tests, which compare it
//! with double precision.

use core::marker::PhantomData;

use rayon::prelude::*;

use super::lanes::{LANES, Lane, affine, scale};
use super::mixture::{Component, Number};
use super::{Head, Heads, category};
use crate::memory::zeros;
use crate::simd::{Isa, Lanes, dispatch};

/// Labels from which on a category has them in the lanes.
const MANY: usize = 12;

/// Room for what is between the outputs of a column and its likelihood.
#[derive(Default)]
pub(crate) struct Scratch {
    components: Vec<Component>,
}

/// log p of a column, of the row in each lane, from its value and ln p of that by the component that is listed. The
/// outputs become the gradient of themselves, times `factor` if there is one; otherwise nothing is known of them.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn column<L: Lanes<Elem = f32>>(
    head: &Head,
    link: Option<(&[f32], &[f32])>,
    outputs: &mut [Lane],
    [x, log_listed]: [&Lane; 2],
    factor: Option<&Lane>,
    scratch: &mut Scratch,
) -> Lane {
    if let Some((gains, shifts)) = link {
        for ((own, gain), shift) in outputs.iter_mut().zip(gains).zip(shifts) {
            // SAFETY: the caller's.
            unsafe { affine::<L>(own, *gain, *shift) };
        }
    }
    let log_probs = match *head {
        // SAFETY: the caller's.
        Head::Category { other, .. } => unsafe {
            category::log_probs::<L>(outputs, x, other, factor)
        },
        Head::Number { components, listed, family, floor, missing } => {
            let number = Number { components, listed, family, floor, missing };
            number.log_probs(outputs, x, log_listed, factor, &mut scratch.components)
        }
    };
    if let (Some(_), Some((gains, _))) = (factor, link) {
        for (slope, gain) in outputs.iter_mut().zip(gains) {
            // SAFETY: the caller's.
            unsafe { scale::<L>(slope, &[*gain; LANES]) };
        }
    }
    log_probs
}

/// Log-probabilities of at most [`LANES`] rows, and where there are gradients of them, those of the outputs.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn tile<L: Lanes<Elem = f32>>(
    _: PhantomData<L>,
    outputs: &[f32],
    x: &[f32],
    heads: &Heads,
    log_probs: Option<&mut [f32]>,
    slope: Option<(&[f32], &mut [f32])>,
) {
    let (columns, width) = (heads.all().len(), heads.outputs());
    let (targets, n) = (heads.targets(), x.len() / heads.targets());
    let (mut log_probs, mut slope) = (log_probs, slope);
    let (mut lanes, mut scratch) = (Vec::<Lane>::new(), Scratch::default());
    let mut row = Vec::new();
    for (c, (head, at)) in heads.with_outputs().enumerate() {
        let target = heads.targets_of(c).start;
        let link = heads.link(at.clone());
        let mut of_column = [0.0; LANES];
        if let Head::Category { labels: MANY.., other } = *head {
            for r in 0..n {
                row.clear();
                let own = &outputs[r * width..][at.clone()];
                match link {
                    Some((gains, shifts)) => {
                        let linked = own.iter().zip(gains).zip(shifts);
                        row.extend(linked.map(|((o, gain), shift)| o * gain + shift));
                    }
                    None => row.extend_from_slice(own),
                }
                let factor = slope.as_ref().map(|(grad, _)| grad[r * columns + c]);
                of_column[r] = category::log_prob(&mut row, x[r * targets + target], other, factor);
                if let Some((_, out)) = &mut slope {
                    let out = &mut out[r * width..][at.clone()];
                    match link {
                        Some((gains, _)) => {
                            for ((out, slope), gain) in out.iter_mut().zip(&row).zip(gains) {
                                *out = slope * gain;
                            }
                        }
                        None => out.copy_from_slice(&row),
                    }
                }
            }
        } else {
            lanes.clear();
            lanes.resize(at.len(), [0.0; LANES]);
            let (mut own, mut factor) = ([0.0; LANES], [0.0; LANES]);
            let mut listed = [f32::NEG_INFINITY; LANES];
            for r in 0..n {
                own[r] = x[r * targets + target];
                if head.targets() > 1 {
                    listed[r] = x[r * targets + target + 1];
                }
            }
            // SAFETY: the caller's.
            unsafe { to_lanes::<L>(&outputs[at.start..], width, n, &mut lanes) };
            if let Some((grad, _)) = &slope {
                (0..n).for_each(|r| factor[r] = grad[r * columns + c]);
            }
            let by = slope.is_some().then_some(&factor);
            // SAFETY: the caller's.
            of_column =
                unsafe { column::<L>(head, link, &mut lanes, [&own, &listed], by, &mut scratch) };
            if let Some((_, out)) = &mut slope {
                // SAFETY: the caller's.
                unsafe { from_lanes::<L>(&lanes, n, &mut out[at.start..], width) };
            }
        }
        if let Some(log_probs) = &mut log_probs {
            (0..n).for_each(|r| log_probs[r * columns + c] = of_column[r]);
        }
    }
}

/// Where blocks of [`LANES`] of so many outputs begin; the last one may overlap the one before it, and where there are
/// fewer there is none.
#[inline(always)]
fn blocks_of(outputs: usize) -> impl Iterator<Item = usize> {
    let blocks = if outputs < LANES { 0 } else { outputs.div_ceil(LANES) };
    (0..blocks).map(move |block| (block * LANES).min(outputs - LANES))
}

/// The outputs of `n` rows, `width` apart, a row in each lane.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn to_lanes<L: Lanes<Elem = f32>>(
    outputs: &[f32],
    width: usize,
    n: usize,
    lanes: &mut [Lane],
) {
    let mut done = 0;
    if n == LANES {
        for k in blocks_of(lanes.len()) {
            let from: [&[f32]; LANES] =
                core::array::from_fn(|r| &outputs[r * width + k..][..LANES]);
            let to = lanes[k..k + LANES].as_flattened_mut();
            // SAFETY: the caller's; a row is as many as there are lanes, and so are these.
            unsafe { L::transpose(&from.map(<[f32]>::as_ptr), to.as_mut_ptr()) };
            done = k + LANES;
        }
    }
    for (k, lane) in lanes.iter_mut().enumerate().skip(done) {
        for (r, lane) in lane.iter_mut().enumerate().take(n) {
            *lane = outputs[r * width + k];
        }
    }
}

/// What [`to_lanes`] reads.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn from_lanes<L: Lanes<Elem = f32>>(
    lanes: &[Lane],
    n: usize,
    outputs: &mut [f32],
    width: usize,
) {
    let mut done = 0;
    let mut block = [[0.0; LANES]; LANES];
    for k in blocks_of(lanes.len()) {
        let from: [*const f32; LANES] = core::array::from_fn(|lane| lanes[k + lane].as_ptr());
        // SAFETY: the caller's; a lane is a row, and there are as many.
        unsafe { L::transpose(&from, block.as_flattened_mut().as_mut_ptr()) };
        for (r, row) in block.iter().enumerate().take(n) {
            outputs[r * width + k..][..LANES].copy_from_slice(row);
        }
        done = k + LANES;
    }
    for (k, lane) in lanes.iter().enumerate().skip(done) {
        for (r, &lane) in lane.iter().enumerate().take(n) {
            outputs[r * width + k] = lane;
        }
    }
}

dispatch! {
    /// [`tile`] for what the processor has.
    fn tile_f32(
        outputs: &[f32],
        x: &[f32],
        heads: &Heads,
        log_probs: Option<&mut [f32]>,
        slope: Option<(&[f32], &mut [f32])>,
    ) = tile
}

/// log p of each value.
///
/// # Shapes
/// `outputs` is `[batch, outputs of all columns]`, `x` is `[batch, targets]`, the result `[batch, columns]`.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn log_prob(outputs: &[f32], x: &[f32], heads: &Heads) -> Vec<f32> {
    let (columns, width) = (heads.all().len(), heads.outputs());
    let targets = heads.targets();
    assert_eq!(x.len() * width, outputs.len() * targets, "as many rows of outputs as of values");
    let mut out = vec![0.0_f32; x.len() / targets * columns];
    let isa = Isa::detect();
    out.par_chunks_mut(LANES * columns)
        .zip(x.par_chunks(LANES * targets))
        .zip(outputs.par_chunks(LANES * width))
        .for_each(|((out, x), outputs)| tile_f32(isa, outputs, x, heads, Some(out), None));
    out
}

/// The gradient of the outputs, from that of the log-probabilities.
///
/// # Shapes
/// `x` is `[batch, targets]`, `grad` `[batch, columns]`, `outputs` and the result `[batch, outputs of all columns]`.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn slope(outputs: &[f32], x: &[f32], grad: &[f32], heads: &Heads) -> Vec<f32> {
    let (columns, width) = (heads.all().len(), heads.outputs());
    let targets = heads.targets();
    assert_eq!(x.len() * width, outputs.len() * targets, "as many rows of outputs as of values");
    assert_eq!(x.len() * columns, grad.len() * targets, "one gradient per value");
    let mut out = zeros(outputs.len());
    let isa = Isa::detect();
    out.par_chunks_mut(LANES * width)
        .zip(outputs.par_chunks(LANES * width))
        .zip(x.par_chunks(LANES * targets).zip(grad.par_chunks(LANES * columns)))
        .for_each(|((out, outputs), (x, grad))| {
            tile_f32(isa, outputs, x, heads, None, Some((grad, out)));
        });
    out
}
