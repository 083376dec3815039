//! A category: a softmax over its labels, and a share for any other one.

use super::lanes::{LANES, Lane, each, exp, larger, ln, scale};
use crate::simd::Lanes;

/// What a value is of a category.
#[derive(Clone, Copy, PartialEq)]
enum Value {
    Label(usize),
    Other,
    /// What is no index of a label, nor `labels` for any other one, is impossible.
    Impossible,
}

#[inline(always)]
fn value(x: f32, labels: usize) -> Value {
    let label = x as usize;
    if label as f32 != x || label > labels {
        Value::Impossible
    } else if label == labels {
        Value::Other
    } else {
        Value::Label(label)
    }
}

/// log p of the label with index `x`. `logits` become the gradient of themselves, times `factor` if there is one.
#[inline(always)]
pub(super) fn log_prob(logits: &mut [f32], x: f32, other: f64, factor: Option<f32>) -> f32 {
    let value = value(x, logits.len());
    let Value::Label(label) = value else {
        logits.fill(0.0);
        return if value == Value::Other { other.ln() as f32 } else { f32::NEG_INFINITY };
    };
    let own = logits[label];
    let (whole, rest) = logits.as_chunks_mut::<LANES>();
    let mut most = [f32::NEG_INFINITY; LANES];
    for logits in &*whole {
        most = each(|k| larger(most[k], logits[k]));
    }
    let most = most.iter().chain(&*rest).fold(f32::NEG_INFINITY, |a, &b| larger(a, b));
    let mut sums = [0.0; LANES];
    for logits in whole.iter_mut() {
        *logits = each(|k| exp(logits[k] - most));
        sums = each(|k| sums[k] + logits[k]);
    }
    let mut sum: f32 = sums.iter().sum();
    for logit in rest.iter_mut() {
        *logit = exp(*logit - most);
        sum += *logit;
    }
    if let Some(factor) = factor {
        let by = -factor / sum;
        logits.iter_mut().for_each(|p| *p *= by);
        logits[label] += factor;
    }
    (-other).ln_1p() as f32 + (own - most) - ln(sum)
}

/// [`log_prob`] of a row in each lane.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn log_probs<L: Lanes<Elem = f32>>(
    logits: &mut [Lane],
    x: &Lane,
    other: f64,
    factor: Option<&Lane>,
) -> Lane {
    let labels = logits.len();
    let values: [Value; LANES] = core::array::from_fn(|k| value(x[k], labels));
    let mut own = [0.0; LANES];
    for (k, value) in values.iter().enumerate() {
        if let Value::Label(label) = *value {
            own[k] = logits[label][k];
        }
    }
    // A NaN, which this may pass over, is found by the sum.
    let mut most = [f32::NEG_INFINITY; LANES];
    for logits in &*logits {
        most = each(|k| if logits[k] > most[k] { logits[k] } else { most[k] });
    }
    let mut sum = [0.0; LANES];
    if let Some(factor) = factor {
        for logits in logits.iter_mut() {
            *logits = each(|k| exp(logits[k] - most[k]));
            sum = each(|k| sum[k] + logits[k]);
        }
        let factor = each(|k| if matches!(values[k], Value::Label(_)) { factor[k] } else { 0.0 });
        let by = each(|k| -factor[k] / sum[k]);
        for logits in logits.iter_mut() {
            // SAFETY: the caller's.
            unsafe { scale::<L>(logits, &by) };
        }
        for (k, value) in values.iter().enumerate() {
            if let Value::Label(label) = *value {
                logits[label][k] += factor[k];
            }
        }
    } else {
        for logits in &*logits {
            sum = each(|k| sum[k] + exp(logits[k] - most[k]));
        }
    }
    let log = each(|k| (own[k] - most[k]) - ln(sum[k]));
    let (known, unknown) = ((-other).ln_1p() as f32, other.ln() as f32);
    each(|k| match values[k] {
        Value::Label(_) => known + log[k],
        Value::Other => unknown,
        Value::Impossible => f32::NEG_INFINITY,
    })
}
