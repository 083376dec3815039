//! Bernoulli log-likelihoods of logits, on slices.

use core::marker::PhantomData;

use rayon::prelude::*;

use crate::simd::{Isa, Lanes, dispatch, exp_f32, sigmoid_f32};

/// Accumulators of a row's sum: enough for any vector register, and fixed, so that the order of
/// summation does not depend on the processor.
const ACCUMULATORS: usize = 16;
/// Values per task.
const GRAIN: usize = 1 << 13;

/// `log(1 + e^z)` for |error| of a few units in the last place, without a branch.
#[inline(always)]
fn softplus(z: f32) -> f32 {
    // log1p(e) = 2 artanh(s), s = e / (2 + e) <= 1/3, as a series in s².
    let e = exp_f32(-z.abs());
    let s = e / (2.0 + e);
    let q = s * s;
    let mut series = 1.0 / 15.0;
    for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        series = series * q + 1.0 / odd;
    }
    let positive = if z > 0.0 { z } else { 0.0 };
    positive + 2.0 * s * series
}

/// The larger of two numbers, in one instruction: of a NaN it makes the first.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// # Safety
/// Plain Rust; `unsafe` only for the sake of [`dispatch!`].
#[inline(always)]
unsafe fn rows<L: Lanes>(
    _: PhantomData<L>,
    logits: &[f32],
    x: &[f32],
    dim: usize,
    out: &mut [f32],
) {
    for ((logits, x), out) in logits.chunks_exact(dim).zip(x.chunks_exact(dim)).zip(out.iter_mut())
    {
        let mut sums = [0.0_f32; ACCUMULATORS];
        // How far the symbols are from being bits: |x² − x|, the largest.
        let mut outside = [0.0_f32; ACCUMULATORS];
        let (logit_blocks, logit_rest) = logits.as_chunks::<ACCUMULATORS>();
        let (x_blocks, x_rest) = x.as_chunks::<ACCUMULATORS>();
        for (logits, x) in logit_blocks.iter().zip(x_blocks) {
            for lane in 0..ACCUMULATORS {
                sums[lane] += softplus((1.0 - 2.0 * x[lane]) * logits[lane]);
                outside[lane] = larger(outside[lane], (x[lane] * x[lane] - x[lane]).abs());
            }
        }
        for (lane, (logit, x)) in logit_rest.iter().zip(x_rest).enumerate() {
            sums[lane] += softplus((1.0 - 2.0 * x) * logit);
            outside[lane] = larger(outside[lane], (x * x - x).abs());
        }
        if outside.iter().any(|&outside| outside > 0.0) {
            *out = f32::NEG_INFINITY;
            continue;
        }
        // The last additions in double: they are few, and the sum is what a likelihood is quoted by.
        *out = -sums.iter().map(|&sum| f64::from(sum)).sum::<f64>() as f32;
    }
}

/// # Safety
/// Plain Rust; `unsafe` only for the sake of [`dispatch!`].
#[inline(always)]
unsafe fn slopes<L: Lanes>(
    _: PhantomData<L>,
    logits: &[f32],
    x: &[f32],
    grad: &[f32],
    dim: usize,
    out: &mut [f32],
) {
    for (((logits, x), &grad), out) in
        logits.chunks_exact(dim).zip(x.chunks_exact(dim)).zip(grad).zip(out.chunks_exact_mut(dim))
    {
        for ((&logit, &x), out) in logits.iter().zip(x).zip(out) {
            let slope = grad * (x - sigmoid_f32(logit));
            *out = if x * x == x { slope } else { 0.0 };
        }
    }
}

dispatch! {
    fn rows_on(logits: &[f32], x: &[f32], dim: usize, out: &mut [f32]) = rows
}

dispatch! {
    fn slopes_on(logits: &[f32], x: &[f32], grad: &[f32], dim: usize, out: &mut [f32]) = slopes
}

/// `out[i] = Σ_t log p(x[i, t])` with `p(1) = σ(logit)`; `-inf` where one of a row is neither 0 nor
/// 1.
///
/// # Shapes
/// `logits` and `x` are `[batch, dim]`; returns `[batch]`, in nats.
///
/// # Panics
/// When the slices are not whole rows of one shape.
pub fn log_prob(logits: &[f32], x: &[f32], dim: usize) -> Vec<f32> {
    log_prob_on(Isa::detect(), logits, x, dim)
}

fn log_prob_on(isa: Isa, logits: &[f32], x: &[f32], dim: usize) -> Vec<f32> {
    assert!(dim > 0 && logits.len().is_multiple_of(dim) && logits.len() == x.len(), "[batch, dim]");
    let mut out = vec![0.0; logits.len() / dim];
    let rows = GRAIN.div_ceil(dim);
    out.par_chunks_mut(rows)
        .zip(logits.par_chunks(rows * dim).zip(x.par_chunks(rows * dim)))
        .for_each(|(out, (logits, x))| rows_on(isa, logits, x, dim, out));
    out
}

/// Gradient of a loss with respect to the logits: `grad[i] · (x[i, t] − σ(logit[i, t]))`, and 0
/// where x is neither 0 nor 1.
///
/// # Shapes
/// `logits` and `x` are `[batch, dim]`, `grad` is `[batch]`; returns `[batch, dim]`.
///
/// # Panics
/// When the slices are not of one shape.
pub fn log_prob_backward(logits: &[f32], x: &[f32], grad: &[f32], dim: usize) -> Vec<f32> {
    assert!(dim > 0 && logits.len() == x.len() && logits.len() == grad.len() * dim, "[batch, dim]");
    let isa = Isa::detect();
    let mut out = vec![0.0; logits.len()];
    let rows = GRAIN.div_ceil(dim);
    out.par_chunks_mut(rows * dim)
        .zip(logits.par_chunks(rows * dim).zip(x.par_chunks(rows * dim)))
        .zip(grad.par_chunks(rows))
        .for_each(|((out, (logits, x)), grad)| slopes_on(isa, logits, x, grad, dim, out));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(logit: f64, x: f64) -> f64 {
        let z = (1.0 - 2.0 * x) * logit;
        -(z.max(0.0) + (-z.abs()).exp().ln_1p())
    }

    #[test]
    fn log_prob_is_exact_to_rounding_on_every_instruction_set() {
        for isa in Isa::available() {
            for k in -4000..=4000 {
                let logit = k as f32 * 0.025;
                for x in [0.0, 1.0] {
                    let found = f64::from(log_prob_on(isa, &[logit], &[x], 1)[0]);
                    let expected = exact(f64::from(logit), f64::from(x));
                    // The exponential is clamped at e^-87, the smallest that is a normal f32.
                    let gap = (found - expected).abs();
                    let allowed = 1e-6 * expected.abs() + 2e-38;
                    assert!(gap < allowed, "{isa:?}: logit {logit}, x {x}: {found} {expected}");
                }
            }
        }
    }

    #[test]
    fn the_ends_of_the_line_are_exact() {
        let inf = f32::INFINITY;
        let found = log_prob(&[inf, inf, -inf, -inf], &[1.0, 0.0, 1.0, 0.0], 1);
        assert!(found[0].abs() < 1e-37 && found[3].abs() < 1e-37);
        assert_eq!(found[1..3], [-inf, -inf]);
        assert!(log_prob(&[f32::NAN], &[1.0], 1)[0].is_nan());
    }

    #[test]
    fn a_row_with_what_is_no_bit_is_impossible_and_no_other() {
        // Wherever it stands: in a block of the accumulators and behind them.
        let dim = 2 * ACCUMULATORS + 5;
        let logits = vec![0.5; 3 * dim];
        for symbol in [-1.0, 0.5, 2.0, 7.0, 255.0, 1e30] {
            for at in 0..dim {
                let mut x: Vec<f32> = (0..3 * dim).map(|k| f32::from(k % 3 == 0)).collect();
                let inside = log_prob(&logits, &x, dim);
                x[dim + at] = symbol;
                for isa in Isa::available() {
                    let found = log_prob_on(isa, &logits, &x, dim);
                    assert_eq!(found[1], f32::NEG_INFINITY, "{isa:?}: {symbol} at {at}");
                    assert_eq!([found[0], found[2]], [inside[0], inside[2]]);
                }
                let slopes = log_prob_backward(&logits, &x, &[1.0; 3], dim);
                let expected =
                    (0..dim).map(|t| if t == at { 0.0 } else { x[dim + t] - 0.622_459_3 });
                for (slope, expected) in slopes[dim..2 * dim].iter().zip(expected) {
                    assert!((slope - expected).abs() < 1e-6, "{slope} {expected}");
                }
            }
        }
    }

    #[test]
    fn rows_are_summed_alike_on_every_instruction_set() {
        let dim = 37;
        let logits: Vec<f32> =
            (0..5 * dim).map(|k| ((k * 7919) % 101) as f32 / 10.0 - 5.0).collect();
        let x: Vec<f32> = (0..5 * dim).map(|k| (k % 3 == 0) as u8 as f32).collect();
        for isa in Isa::available() {
            let found = log_prob_on(isa, &logits, &x, dim);
            for (row, found) in found.into_iter().enumerate() {
                let expected: f64 = (row * dim..(row + 1) * dim)
                    .map(|k| exact(f64::from(logits[k]), f64::from(x[k])))
                    .sum();
                assert!((f64::from(found) - expected).abs() < 1e-5 * expected.abs(), "{isa:?}");
            }
        }
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let logits = [-3.0_f32, 0.0, 2.5, 40.0];
        let x = [1.0, 0.0, 1.0, 0.0];
        let slopes = log_prob_backward(&logits, &x, &[0.5, -2.0], 2);
        for (k, slope) in slopes.into_iter().enumerate() {
            let (logit, x) = (f64::from(logits[k]), f64::from(x[k]));
            let numeric = (exact(logit + 1e-6, x) - exact(logit - 1e-6, x)) / 2e-6;
            let expected = numeric * [0.5, -2.0][k / 2];
            assert!((f64::from(slope) - expected).abs() < 1e-6, "{slope} {expected}");
        }
    }
}
