//! The likelihoods of columns on `&[f32]` slices, shared by the flex and ndarray adapters. Rows are independent, so
//! threads take some each; within a row everything is computed in double precision.

use rayon::prelude::*;

use super::mixture::Component;
use super::{Head, Heads, category, mixture};

/// Rows that a thread takes at a time.
const CHUNK: usize = 16;

/// log p of one value, and where `slope` is there the gradient of its outputs, times the factor in it.
fn column(
    outputs: &[f32],
    x: f32,
    head: &Head,
    slope: Option<(&mut [f32], f64)>,
    scratch: &mut Vec<Component>,
) -> f64 {
    match *head {
        Head::Category { labels, other } => category::log_prob(outputs, x, labels, other, slope),
        Head::Number { components, family, floor, missing } => {
            let number = mixture::Number { components, family, floor, missing };
            number.log_prob(outputs, x, slope, scratch)
        }
    }
}

/// log p of each value.
///
/// # Shapes
/// `outputs` is `[batch, outputs of all columns]`, `x` and the result are `[batch, columns]`.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn log_prob(outputs: &[f32], x: &[f32], heads: &Heads) -> Vec<f32> {
    let (columns, width) = (heads.all().len(), heads.outputs());
    assert_eq!(x.len() * width, outputs.len() * columns, "as many rows of outputs as of values");
    let mut out = vec![0.0_f32; x.len()];
    out.par_chunks_mut(CHUNK * columns)
        .zip(x.par_chunks(CHUNK * columns))
        .zip(outputs.par_chunks(CHUNK * width))
        .for_each(|((out, x), outputs)| {
            let scratch = &mut Vec::new();
            let rows = out.chunks_exact_mut(columns).zip(x.chunks_exact(columns));
            for ((out, x), outputs) in rows.zip(outputs.chunks_exact(width)) {
                for ((out, &x), (head, at)) in out.iter_mut().zip(x).zip(heads.with_outputs()) {
                    *out = finite(column(&outputs[at], x, head, None, scratch));
                }
            }
        });
    out
}

/// The gradient of the outputs, from that of the log-probabilities.
///
/// # Shapes
/// `x` and `grad` are `[batch, columns]`, `outputs` and the result `[batch, outputs of all columns]`.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn slope(outputs: &[f32], x: &[f32], grad: &[f32], heads: &Heads) -> Vec<f32> {
    let (columns, width) = (heads.all().len(), heads.outputs());
    assert_eq!(x.len() * width, outputs.len() * columns, "as many rows of outputs as of values");
    assert_eq!(x.len(), grad.len(), "one gradient per value");
    let mut out = vec![0.0_f32; outputs.len()];
    out.par_chunks_mut(CHUNK * width)
        .zip(outputs.par_chunks(CHUNK * width))
        .zip(x.par_chunks(CHUNK * columns).zip(grad.par_chunks(CHUNK * columns)))
        .for_each(|((out, outputs), (x, grad))| {
            let scratch = &mut Vec::new();
            let rows = out.chunks_exact_mut(width).zip(outputs.chunks_exact(width));
            let values = x.chunks_exact(columns).zip(grad.chunks_exact(columns));
            for ((out, outputs), (x, grad)) in rows.zip(values) {
                for ((&x, &grad), (head, at)) in x.iter().zip(grad).zip(heads.with_outputs()) {
                    let slope = Some((&mut out[at.clone()], f64::from(grad)));
                    column(&outputs[at], x, head, slope, scratch);
                }
            }
        });
    out
}

/// In single precision; what is too unlikely for it is the least that it has, and not impossible.
fn finite(log_prob: f64) -> f32 {
    if log_prob == f64::NEG_INFINITY {
        f32::NEG_INFINITY
    } else {
        log_prob.max(f64::from(f32::MIN)) as f32
    }
}
