//! A mixture of logistics on levels, of a row in each lane.

use super::Mixture;
use crate::columns::lanes::{LANES, Lane, each, exp, larger, ln, one_minus_exp};

/// Of one component of the row in each lane.
#[derive(Clone, Copy, Default)]
pub(super) struct Component {
    /// e^(o^π − max o^π)
    weight: Lane,
    /// ln π_k p_k, and what is left of it after the logarithm of the sum of all.
    joint: Lane,
    by_mean: Lane,
    by_log_scale: Lane,
}

/// Where each lane's level is.
struct Cells {
    /// x.
    at: Lane,
    is_first: [bool; LANES],
    is_last: [bool; LANES],
}

/// log p of each lane's level `x`; `-inf` for what is none. The outputs become the gradient of themselves, times
/// `factor` if there is one. `components` is room for as many as there are.
#[inline(always)]
pub(super) fn log_probs(
    mixture: Mixture,
    outputs: &mut [Lane],
    x: &Lane,
    factor: Option<&Lane>,
    components: &mut [Component],
) -> Lane {
    let (half, last) = (mixture.half() as f32, (mixture.levels - 1) as f32);
    let is_level: [bool; LANES] =
        core::array::from_fn(|k| x[k] >= 0.0 && x[k] <= last && (x[k] as i32) as f32 == x[k]);
    let cells = Cells {
        at: each(|k| if is_level[k] { x[k] } else { 0.0 }),
        is_first: core::array::from_fn(|k| x[k] == 0.0),
        is_last: core::array::from_fn(|k| x[k] == last),
    };
    let (logits, rest) = outputs.split_at_mut(mixture.components);
    let (means, log_scales) = rest.split_at_mut(mixture.components);
    let mut most = [f32::NEG_INFINITY; LANES];
    for logits in &*logits {
        most = each(|k| larger(most[k], logits[k]));
    }
    let mut weights = [0.0; LANES];
    for (own, logits) in components.iter_mut().zip(&*logits) {
        own.weight = each(|k| exp(logits[k] - most[k]));
        weights = each(|k| weights[k] + own.weight[k]);
    }
    let log_weights = each(|k| most[k] + ln(weights[k]));
    let mut most = [f32::NEG_INFINITY; LANES];
    for (j, own) in components.iter_mut().enumerate() {
        logistic(own, &cells, &means[j], &log_scales[j], [half, mixture.floor() as f32]);
        own.joint = each(|k| own.joint[k] + (logits[j][k] - log_weights[k]));
        most = each(|k| larger(most[k], own.joint[k]));
    }
    let mut sum = [0.0; LANES];
    for own in components.iter_mut() {
        own.joint = each(|k| exp(own.joint[k] - most[k]));
        sum = each(|k| sum[k] + own.joint[k]);
    }
    if let Some(factor) = factor {
        let factor = each(|k| if is_level[k] { factor[k] } else { 0.0 });
        let by_sum = each(|k| 1.0 / sum[k]);
        let by_weights = each(|k| 1.0 / weights[k]);
        for (j, own) in components.iter().enumerate() {
            let posterior = each(|k| factor[k] * (own.joint[k] * by_sum[k]));
            logits[j] = each(|k| posterior[k] - factor[k] * (own.weight[k] * by_weights[k]));
            means[j] = each(|k| posterior[k] * own.by_mean[k]);
            log_scales[j] = each(|k| posterior[k] * own.by_log_scale[k]);
        }
    }
    // What is too unlikely for single precision is the least that it has, and not impossible.
    let possible = each(|k| larger(most[k] + ln(sum[k]), f32::MIN));
    each(|k| if is_level[k] { possible[k] } else { f32::NEG_INFINITY })
}

/// σ(b) − σ(a) = σ(b) σ(−a) (1 − e^(a−b)), of which no factor cancels; of the first level σ(b) and of the last one σ(−a)
/// alone.
#[inline(always)]
fn logistic(
    own: &mut Component,
    cells: &Cells,
    mean: &Lane,
    log_scale: &Lane,
    [half, floor]: [f32; 2],
) {
    let Cells { at, is_first, is_last } = cells;
    let raw = each(|k| exp(log_scale[k]));
    let by_scale = each(|k| 1.0 / (raw[k] + floor));
    let d = each(|k| 2.0 * half * by_scale[k]);
    // In steps from level to level, so that the difference is exact next to the mean and the upper end of a cell is the
    // lower one of the next: what rounding moves is the mean, for all levels alike.
    let center = each(|k| ((mean[k] + 1.0) * (0.5 / half)).clamp(-1e30, 1e30));
    let u = each(|k| ((at[k] - center[k]) * d[k]).clamp(-1e38, 1e38));
    let a = each(|k| u[k] - 0.5 * d[k]);
    let b = each(|k| u[k] + 0.5 * d[k]);
    let exp_d = each(|k| exp(-d[k]));
    // A component that is wider than single precision has a mass in a cell all the same.
    let cell = each(|k| larger(one_minus_exp(d[k], exp_d[k]), f32::MIN_POSITIVE));
    let (exp_a, exp_b) = (each(|k| exp(-a[k].abs())), each(|k| exp(-b[k].abs())));
    let (by_a, by_b) = (each(|k| 1.0 / (1.0 + exp_a[k])), each(|k| 1.0 / (1.0 + exp_b[k])));
    // σ(−a) and σ(b), but for e^−a or e^b where those are small; 1 where there is no such end.
    let over = each(|k| if is_first[k] { 1.0 } else { by_a[k] });
    let under = each(|k| if is_last[k] { 1.0 } else { by_b[k] });
    let part = each(|k| if is_first[k] || is_last[k] { 1.0 } else { cell[k] });
    let log = each(|k| ln(part[k] * over[k] * under[k]));
    let beyond_a = each(|k| if is_first[k] { 0.0 } else { larger(a[k], 0.0) });
    let beyond_b = each(|k| if is_last[k] { 0.0 } else { larger(-b[k], 0.0) });
    own.joint = each(|k| log[k] - beyond_a[k] - beyond_b[k]);
    // σ(a) and σ(−b), 0 where there is no such end.
    let above = each(|k| (if a[k] >= 0.0 { 1.0 } else { exp_a[k] }) * by_a[k]);
    let above = each(|k| if is_first[k] { 0.0 } else { above[k] });
    let below = each(|k| (if b[k] >= 0.0 { exp_b[k] } else { 1.0 }) * by_b[k]);
    let below = each(|k| if is_last[k] { 0.0 } else { below[k] });
    own.by_mean = each(|k| (above[k] - below[k]) * by_scale[k]);
    let width = each(|k| d[k] * exp_d[k] / cell[k]);
    let width = each(|k| if is_first[k] || is_last[k] { 0.0 } else { width[k] });
    let slope = each(|k| a[k] * above[k] - b[k] * below[k] - width[k]);
    own.by_log_scale = each(|k| slope[k] * (raw[k] * by_scale[k]));
}
