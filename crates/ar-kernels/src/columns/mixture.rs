//! A number: whether it is missing, and where it is not a mixture.

use super::lanes::{LANES, Lane, each, exp, larger, ln, one_minus_exp};
use super::{Family, Missing};

/// A column of numbers; see [`super::Head::Number`].
#[derive(Clone, Copy)]
pub(super) struct Number {
    pub(super) components: usize,
    pub(super) listed: bool,
    pub(super) family: Family,
    pub(super) floor: f64,
    pub(super) missing: Missing,
}

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

impl Number {
    /// log p of each lane's `x` in standardized units, or of its being missing where it is NaN; `listed` is ln p of the
    /// component that is. The outputs become the gradient of themselves, times `factor` if there is one. `scratch` is
    /// room for the components.
    #[inline(always)]
    pub(super) fn log_probs(
        &self,
        outputs: &mut [Lane],
        x: &Lane,
        listed: &Lane,
        factor: Option<&Lane>,
        scratch: &mut Vec<Component>,
    ) -> Lane {
        let (there, missing, outputs) = match self.missing {
            Missing::Never(share) => {
                ([(-share).ln_1p() as f32; LANES], [share.ln() as f32; LANES], outputs)
            }
            Missing::Learned => {
                let (bit, outputs) = outputs.split_first_mut().expect("its bit");
                let e = each(|k| exp(-bit[k].abs()));
                let log = each(|k| ln(1.0 + e[k]));
                let there = each(|k| -larger(bit[k], 0.0) - log[k]);
                let missing = each(|k| -larger(-bit[k], 0.0) - log[k]);
                if let Some(factor) = factor {
                    let share = each(|k| (if bit[k] >= 0.0 { 1.0 } else { e[k] }) / (1.0 + e[k]));
                    *bit = each(|k| factor[k] * (f32::from(x[k].is_nan()) - share[k]));
                }
                (there, missing, outputs)
            }
        };
        let z = each(|k| if x[k].is_nan() { 0.0 } else { x[k] });
        let factor = factor.map(|factor| each(|k| if x[k].is_nan() { 0.0 } else { factor[k] }));
        let mixture = self.mixture(outputs, &z, listed, factor.as_ref(), scratch);
        each(|k| if x[k].is_nan() { missing[k] } else { there[k] + mixture[k] })
    }

    /// log Σ_k π_k p_k.
    #[inline(always)]
    fn mixture(
        &self,
        outputs: &mut [Lane],
        z: &Lane,
        listed: &Lane,
        factor: Option<&Lane>,
        scratch: &mut Vec<Component>,
    ) -> Lane {
        let count = self.components;
        let (logits, rest) = outputs.split_at_mut(count + usize::from(self.listed));
        let (means, log_scales) = rest.split_at_mut(count);
        let mut most = [f32::NEG_INFINITY; LANES];
        for logits in &*logits {
            most = each(|k| larger(most[k], logits[k]));
        }
        scratch.clear();
        scratch.resize(logits.len(), Component::default());
        let mut weights = [0.0; LANES];
        for (own, logits) in scratch.iter_mut().zip(&*logits) {
            own.weight = each(|k| exp(logits[k] - most[k]));
            weights = each(|k| weights[k] + own.weight[k]);
        }
        let log_weights = each(|k| most[k] + ln(weights[k]));
        let mut most = [f32::NEG_INFINITY; LANES];
        for (j, own) in scratch.iter_mut().enumerate() {
            match self.family {
                _ if j == count => own.joint = *listed,
                Family::Gaussian { log_unit } => {
                    self.gaussian(
                        own,
                        z,
                        &means[j],
                        &log_scales[j],
                        (HALF_LN_TAU + log_unit) as f32,
                    );
                }
                Family::Grid { half } => {
                    self.logistic(own, z, &means[j], &log_scales[j], half as f32);
                }
            }
            own.joint = each(|k| own.joint[k] + (logits[j][k] - log_weights[k]));
            most = each(|k| larger(most[k], own.joint[k]));
        }
        let mut sum = [0.0; LANES];
        for own in scratch.iter_mut() {
            own.joint = each(|k| exp(own.joint[k] - most[k]));
            sum = each(|k| sum[k] + own.joint[k]);
        }
        if let Some(factor) = factor {
            let by_sum = each(|k| 1.0 / sum[k]);
            let by_weights = each(|k| 1.0 / weights[k]);
            for (j, own) in scratch.iter().enumerate() {
                let posterior = each(|k| factor[k] * (own.joint[k] * by_sum[k]));
                logits[j] = each(|k| posterior[k] - factor[k] * (own.weight[k] * by_weights[k]));
                if j < count {
                    means[j] = each(|k| posterior[k] * own.by_mean[k]);
                    log_scales[j] = each(|k| posterior[k] * own.by_log_scale[k]);
                }
            }
        }
        // What is too unlikely for single precision is the least that it has, and not impossible.
        each(|k| larger(most[k] + ln(sum[k]), f32::MIN))
    }

    #[inline(always)]
    fn gaussian(&self, own: &mut Component, z: &Lane, mean: &Lane, log_scale: &Lane, unit: f32) {
        let floor = self.floor as f32;
        let raw = each(|k| exp(log_scale[k]));
        let by_scale = each(|k| 1.0 / (raw[k] + floor));
        let log_scale = each(|k| ln(raw[k] + floor));
        // Where u² is no number any more, it is as far as it goes.
        let u = each(|k| ((z[k] - mean[k]) * by_scale[k]).clamp(-1.8e19, 1.8e19));
        own.joint = each(|k| -0.5 * u[k] * u[k] - log_scale[k] - unit);
        own.by_mean = each(|k| u[k] * by_scale[k]);
        // ∂ ln s / ∂ o^s, since s = exp(o^s) + floor.
        own.by_log_scale = each(|k| (u[k] * u[k] - 1.0) * (raw[k] * by_scale[k]));
    }

    /// σ(b) − σ(a) = σ(b) σ(−a) (1 − e^(a−b)), of which no factor cancels.
    #[inline(always)]
    fn logistic(&self, own: &mut Component, z: &Lane, mean: &Lane, log_scale: &Lane, half: f32) {
        let floor = self.floor as f32;
        let raw = each(|k| exp(log_scale[k]));
        let by_scale = each(|k| 1.0 / (raw[k] + floor));
        let u = each(|k| ((z[k] - mean[k]) * by_scale[k]).clamp(-1e38, 1e38));
        let d = each(|k| 2.0 * half * by_scale[k]);
        let a = each(|k| u[k] - 0.5 * d[k]);
        let b = each(|k| u[k] + 0.5 * d[k]);
        let exp_d = each(|k| exp(-d[k]));
        let cell = each(|k| one_minus_exp(d[k], exp_d[k]));
        let (exp_a, exp_b) = (each(|k| exp(-a[k].abs())), each(|k| exp(-b[k].abs())));
        let (by_a, by_b) = (each(|k| 1.0 / (1.0 + exp_a[k])), each(|k| 1.0 / (1.0 + exp_b[k])));
        let log = each(|k| ln(cell[k] * by_a[k] * by_b[k]));
        own.joint = each(|k| log[k] - larger(a[k], 0.0) - larger(-b[k], 0.0));
        // σ(a) and σ(−b).
        let above = each(|k| (if a[k] >= 0.0 { 1.0 } else { exp_a[k] }) * by_a[k]);
        let below = each(|k| (if b[k] >= 0.0 { exp_b[k] } else { 1.0 }) * by_b[k]);
        own.by_mean = each(|k| (above[k] - below[k]) * by_scale[k]);
        let slope = each(|k| a[k] * above[k] - b[k] * below[k] - d[k] * exp_d[k] / cell[k]);
        own.by_log_scale = each(|k| slope[k] * (raw[k] * by_scale[k]));
    }
}

/// ½ ln 2π.
const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;
