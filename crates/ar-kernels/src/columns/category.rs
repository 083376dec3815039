//! A category: a softmax over its labels, and a share for any other one.

use super::lanes::{LANES, Lane, each, exp, larger, ln};

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

/// [`log_prob`] of a row in each lane, of a category with few labels.
#[inline(always)]
pub(super) fn log_probs(logits: &mut [Lane], x: &Lane, other: f64, factor: Option<&Lane>) -> Lane {
    let labels = logits.len();
    let mut most = [f32::NEG_INFINITY; LANES];
    for logits in &*logits {
        most = each(|k| larger(most[k], logits[k]));
    }
    let (mut sum, mut own) = ([0.0; LANES], [0.0; LANES]);
    for (y, logits) in logits.iter_mut().enumerate() {
        let relative = each(|k| logits[k] - most[k]);
        own = each(|k| if x[k] == y as f32 { relative[k] } else { own[k] });
        *logits = each(|k| exp(relative[k]));
        sum = each(|k| sum[k] + logits[k]);
    }
    let log_sum = each(|k| ln(sum[k]));
    let (known, unknown) = ((-other).ln_1p() as f32, other.ln() as f32);
    let values: [Value; LANES] = core::array::from_fn(|k| value(x[k], labels));
    if let Some(factor) = factor {
        let factor = each(|k| if matches!(values[k], Value::Label(_)) { factor[k] } else { 0.0 });
        for (y, logits) in logits.iter_mut().enumerate() {
            let is = each(|k| f32::from(x[k] == y as f32));
            *logits = each(|k| factor[k] * (is[k] - logits[k] / sum[k]));
        }
    }
    each(|k| match values[k] {
        Value::Label(_) => known + own[k] - log_sum[k],
        Value::Other => unknown,
        Value::Impossible => f32::NEG_INFINITY,
    })
}
