//! A number: whether it is missing, and where it is not a mixture.

use super::{Family, Missing};

/// A column of numbers; see [`super::Head::Number`].
#[derive(Clone, Copy)]
pub(super) struct Number {
    pub(super) components: usize,
    pub(super) family: Family,
    pub(super) floor: f64,
    pub(super) missing: Missing,
}

/// log p_k, and its derivatives by the mean and by the logarithm of the scale.
#[derive(Clone, Copy)]
pub(super) struct Component {
    log_prob: f64,
    by_mean: f64,
    by_log_scale: f64,
}

impl Number {
    /// log p of `x` in standardized units, or of its being missing where it is NaN, and the gradient of the outputs
    /// times the factor in `slope`. `scratch` is room for the components.
    pub(super) fn log_prob(
        &self,
        outputs: &[f32],
        x: f32,
        slope: Option<(&mut [f32], f64)>,
        scratch: &mut Vec<Component>,
    ) -> f64 {
        let (there, missing, outputs, slope) = match self.missing {
            Missing::Never(share) => ((-share).ln_1p(), share.ln(), outputs, slope),
            Missing::Learned => {
                let (bit, outputs) = (f64::from(outputs[0]), &outputs[1..]);
                let slope = slope.map(|(slope, factor)| {
                    let is_missing = f64::from(u8::from(x.is_nan()));
                    slope[0] = (factor * (is_missing - sigmoid(bit))) as f32;
                    (&mut slope[1..], factor)
                });
                (-softplus(bit), -softplus(-bit), outputs, slope)
            }
        };
        if x.is_nan() {
            missing
        } else {
            there + self.mixture(outputs, f64::from(x), slope, scratch)
        }
    }

    /// log Σ_k π_k p_k.
    fn mixture(
        &self,
        outputs: &[f32],
        z: f64,
        slope: Option<(&mut [f32], f64)>,
        scratch: &mut Vec<Component>,
    ) -> f64 {
        let count = self.components;
        let (logits, rest) = outputs.split_at(count);
        let (means, log_scales) = rest.split_at(count);
        let most_logit = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let weights: f64 = logits.iter().map(|&logit| (f64::from(logit) - most_logit).exp()).sum();
        let log_weights = most_logit + weights.ln();
        let each = |k: usize| {
            let raw = f64::from(log_scales[k]).exp();
            let scale = raw + self.floor;
            let own = component(self.family, z, f64::from(means[k]), scale);
            // ∂ ln s / ∂ o^s, since s = exp(o^s) + floor.
            Component { by_log_scale: own.by_log_scale * raw / scale, ..own }
        };
        scratch.clear();
        scratch.extend((0..count).map(each));
        let joint = |k: usize, own: &Component| f64::from(logits[k]) - log_weights + own.log_prob;
        let joints = || scratch.iter().enumerate().map(|(k, own)| joint(k, own));
        let most = joints().fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            return most;
        }
        let sum: f64 = joints().map(|joint| (joint - most).exp()).sum();
        let log_prob = most + sum.ln();
        if let Some((slope, factor)) = slope {
            for (k, own) in scratch.iter().enumerate() {
                let posterior = (joint(k, own) - log_prob).exp();
                let weight = (f64::from(logits[k]) - log_weights).exp();
                slope[k] = (factor * (posterior - weight)) as f32;
                slope[count + k] = (factor * posterior * own.by_mean) as f32;
                slope[2 * count + k] = (factor * posterior * own.by_log_scale) as f32;
            }
        }
        log_prob
    }
}

fn component(family: Family, z: f64, mean: f64, scale: f64) -> Component {
    let u = (z - mean) / scale;
    match family {
        Family::Gaussian { log_unit } => Component {
            log_prob: -0.5 * u * u - scale.ln() - HALF_LN_TAU - log_unit,
            by_mean: u / scale,
            by_log_scale: u * u - 1.0,
        },
        // σ(b) − σ(a) = σ(b) σ(−a) (1 − e^(a−b)), of which no factor cancels.
        Family::Grid { half } => {
            let d = 2.0 * half / scale;
            let (a, b) = (u - 0.5 * d, u + 0.5 * d);
            Component {
                log_prob: -softplus(-b) - softplus(a) + ln_1m_exp(d),
                by_mean: (sigmoid(a) - sigmoid(-b)) / scale,
                by_log_scale: a * sigmoid(a) - b * sigmoid(-b) - d / d.exp_m1(),
            }
        }
    }
}

/// ½ ln 2π.
const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;

/// ln(1 + e^x), without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// ln(1 − e^−d) for d > 0 (Mächler 2012, "Accurately computing log(1 − exp(−|a|))", Eq. 7).
fn ln_1m_exp(d: f64) -> f64 {
    if d > core::f64::consts::LN_2 { (-(-d).exp()).ln_1p() } else { (-(-d).exp_m1()).ln() }
}

fn sigmoid(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}
