//! The likelihood of levels on `&[f32]` slices, shared by the flex and ndarray adapters. Rows are independent, so threads
//! take some each, and each lane a row. All is single precision without cancellation; the tests compare it with
//! double precision.

use core::marker::PhantomData;

use rayon::prelude::*;

use super::Mixture;
use super::lanes::{Component, log_probs};
use crate::columns::lanes::{LANES, Lane};
use crate::simd::{Isa, Lanes, dispatch};

/// Rows that a thread takes at a time.
const ROWS: usize = 32 * LANES;

/// Log-probabilities of some rows, and where there are gradients of them, those of the outputs.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn rows<L: Lanes>(
    _: PhantomData<L>,
    outputs: &[f32],
    x: &[f32],
    mixture: Mixture,
    found: Option<&mut [f32]>,
    slope: Option<(&[f32], &mut [f32])>,
) {
    let width = mixture.outputs();
    let (mut found, mut slope) = (found, slope);
    let mut own: Vec<Lane> = vec![[0.0; LANES]; width];
    let mut components = vec![Component::default(); mixture.components];
    for first in (0..x.len()).step_by(LANES) {
        let n = LANES.min(x.len() - first);
        let at = first..first + n;
        let (mut levels, mut factor) = ([0.0; LANES], [0.0; LANES]);
        levels[..n].copy_from_slice(&x[at.clone()]);
        for (r, row) in outputs[first * width..].chunks_exact(width).take(n).enumerate() {
            for (lane, &o) in own.iter_mut().zip(row) {
                lane[r] = o;
            }
        }
        if let Some((grad, _)) = &slope {
            factor[..n].copy_from_slice(&grad[at.clone()]);
        }
        let by = slope.is_some().then_some(&factor);
        let of_rows = log_probs(mixture, &mut own, &levels, by, &mut components);
        if let Some(found) = &mut found {
            found[at].copy_from_slice(&of_rows[..n]);
        }
        if let Some((_, out)) = &mut slope {
            let out = out[first * width..].chunks_exact_mut(width).take(n);
            for (r, row) in out.enumerate() {
                for (out, lane) in row.iter_mut().zip(&own) {
                    *out = lane[r];
                }
            }
        }
    }
}

dispatch! {
    /// [`rows`] for what the processor has.
    fn rows_f32(
        outputs: &[f32],
        x: &[f32],
        mixture: Mixture,
        found: Option<&mut [f32]>,
        slope: Option<(&[f32], &mut [f32])>,
    ) = rows
}

/// log p of each level.
///
/// # Shapes
/// `outputs` is `[rows, 3K]`, `x` and the result are `[rows]`.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn log_prob(outputs: &[f32], x: &[f32], mixture: Mixture) -> Vec<f32> {
    let width = mixture.outputs();
    assert_eq!(x.len() * width, outputs.len(), "as many rows of outputs as levels");
    let mut out = vec![0.0_f32; x.len()];
    let isa = Isa::detect();
    out.par_chunks_mut(ROWS)
        .zip(x.par_chunks(ROWS))
        .zip(outputs.par_chunks(ROWS * width))
        .for_each(|((out, x), outputs)| rows_f32(isa, outputs, x, mixture, Some(out), None));
    out
}

/// The gradient of the outputs, from that of the log-probabilities.
///
/// # Shapes
/// `x` and `grad` are `[rows]`, `outputs` and the result `[rows, 3K]`.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn slope(outputs: &[f32], x: &[f32], grad: &[f32], mixture: Mixture) -> Vec<f32> {
    let width = mixture.outputs();
    assert_eq!(x.len() * width, outputs.len(), "as many rows of outputs as levels");
    assert_eq!(x.len(), grad.len(), "one gradient per level");
    let mut out = vec![0.0_f32; outputs.len()];
    let isa = Isa::detect();
    out.par_chunks_mut(ROWS * width)
        .zip(outputs.par_chunks(ROWS * width))
        .zip(x.par_chunks(ROWS).zip(grad.par_chunks(ROWS)))
        .for_each(|((out, outputs), (x, grad))| {
            rows_f32(isa, outputs, x, mixture, None, Some((grad, out)));
        });
    out
}
