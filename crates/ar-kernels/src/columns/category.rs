//! A category: a softmax over its labels, and a share for any other one.

/// log p of the label with index `x`, and the gradient of the logits times the factor in `slope`. What is no index of
/// a label, nor `labels` for any other one, is impossible.
pub(super) fn log_prob(
    logits: &[f32],
    x: f32,
    labels: usize,
    other: f64,
    slope: Option<(&mut [f32], f64)>,
) -> f64 {
    let label = x as usize;
    if label as f32 != x || label > labels {
        return f64::NEG_INFINITY;
    }
    if label == labels {
        return other.ln();
    }
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let relative = |logit: f32| f64::from(logit) - f64::from(most);
    let sum: f64 = logits.iter().map(|&logit| relative(logit).exp()).sum();
    if let Some((slope, factor)) = slope {
        for (y, (slope, &logit)) in slope.iter_mut().zip(logits).enumerate() {
            let p = relative(logit).exp() / sum;
            *slope = (factor * (f64::from(u8::from(y == label)) - p)) as f32;
        }
    }
    (-other).ln_1p() + relative(logits[label]) - sum.ln()
}
