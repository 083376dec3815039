//! The conditional of a single cell, on the host: how probable a region is, and draws from one.
//!
//! ```text
//! a category         p(R) = Σ_{y ∈ R} p(y)
//! a number           p(low ≤ x ≤ high) = p(there) Σ_k π_k (F_k(high) − F_k(low)),
//!                    F_k a logistic, from cell edge to cell edge on a grid, or a Gaussian, or the sum of a list
//! given the region   k ~ π_k (F_k(high) − F_k(low)),   then component k between low and high
//! ```
//!
//! Differences of F are taken in logarithms and on the side of the mean where both are small, so that a region far out in
//! a tail has its probability and draws of its own.

use ar_kernels::columns::{Family, Head, Missing};
use core::f64::consts::PI;
use prob_core::dist::discretized_logistic;
use prob_core::logspace::{log_add, log1mexp, logsumexp};
use prob_core::{standard_normal, uniform};
use rand::Rng;

use super::listed::Rows;
use super::normal::{log_between, log_tail};
use super::region::Region;
use super::units::Units;

/// The distribution of one cell given those before it in its row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell<'a> {
    pub(crate) units: &'a Units,
    /// The column, in event order.
    pub(crate) column: usize,
    pub(crate) head: Head,
    /// The parameters that `head` takes.
    pub(crate) outputs: &'a [f64],
}

/// A mixture of numbers in standardized units.
#[derive(Clone, Copy)]
struct Mixture<'a> {
    logits: &'a [f64],
    means: &'a [f64],
    log_scales: &'a [f64],
    floor: f64,
    family: Family,
    /// What the list of a column says, if it has one.
    units: &'a Units,
    column: usize,
}

/// Draws of a Gaussian before its part is searched for instead.
const TRIES: usize = 64;

impl<'a> Cell<'a> {
    /// ln p that the number is there, ln p that it is missing, and the mixture of where it is.
    fn number(&self) -> Option<(f64, f64, Mixture<'a>)> {
        let Head::Number { components, listed, family, floor, missing } = self.head else {
            return None;
        };
        let (there, gone, outputs) = match missing {
            Missing::Never(share) => ((-share).ln_1p(), share.ln(), self.outputs),
            Missing::Learned => {
                let bit = self.outputs[0];
                (-softplus(bit), -softplus(-bit), &self.outputs[1..])
            }
        };
        let (logits, rest) = outputs.split_at(components + usize::from(listed));
        let (means, log_scales) = rest.split_at(components);
        let Self { units, column, .. } = *self;
        let mixture = Mixture { logits, means, log_scales, floor, family, units, column };
        Some((there, gone, mixture))
    }

    /// ln p of a label, the last of which is any other one.
    fn log_labels(&self, other: f64) -> impl Iterator<Item = f64> + use<'a> {
        let all = logsumexp(self.outputs);
        let seen = (-other).ln_1p();
        self.outputs.iter().map(move |logit| seen + logit - all).chain([other.ln()])
    }

    /// ln p of a region, in nats; of the value of a real column the density in the units of the data.
    pub(crate) fn log_mass(&self, region: &Region) -> f64 {
        if let Head::Category { other, .. } = self.head {
            let mut labels = self.log_labels(other);
            return match region {
                Region::Value(label) => labels.nth(*label as usize).unwrap_or(f64::NEG_INFINITY),
                Region::Labels(allowed) => {
                    let own: Vec<f64> = labels
                        .zip(allowed.iter())
                        .filter_map(|(log_prob, is_in)| is_in.then_some(log_prob))
                        .collect();
                    logsumexp(&own)
                }
                Region::Seen => (-other).ln_1p(),
                Region::Any | Region::Present | Region::Between(..) => 0.0,
            };
        }
        let Some((there, gone, mixture)) = self.number() else { return f64::NEG_INFINITY };
        match region {
            Region::Any | Region::Labels(_) => 0.0,
            Region::Present => self.within(there, mixture, self.units.range(self.column)),
            Region::Seen => {
                let there = self.within(there, mixture, self.units.range(self.column));
                if self.can_be_missing() { log_add(there, gone) } else { there }
            }
            Region::Value(x) if x.is_nan() => gone,
            Region::Value(x) => there + mixture.log_prob(*x),
            Region::Between(low, high) => self.within(there, mixture, (*low, *high)),
        }
    }

    /// ln p that the number is there and from the first to the second.
    fn within(&self, there: f64, mixture: Mixture<'_>, (low, high): (f64, f64)) -> f64 {
        match self.units.edges(self.column, low, high) {
            Some((low, high)) => there + logsumexp(&mixture.log_masses(low, high)),
            None => f64::NEG_INFINITY,
        }
    }

    /// Whether a number was missing in training.
    fn can_be_missing(&self) -> bool {
        matches!(self.head, Head::Number { missing: Missing::Learned, .. })
    }

    /// A draw from a region, as the module says.
    pub(crate) fn draw(&self, region: &Region, rng: &mut dyn Rng) -> f64 {
        if let Region::Value(x) = region {
            return *x;
        }
        let Some((_, gone, mixture)) = self.number() else {
            let Head::Category { other, .. } = self.head else { return f64::NAN };
            let mut weights: Vec<f64> = self.log_labels(other).collect();
            match region {
                Region::Labels(allowed) => {
                    let excluded =
                        weights.iter_mut().zip(allowed.iter()).filter(|(_, is_in)| !**is_in);
                    excluded.for_each(|(weight, _)| *weight = f64::NEG_INFINITY);
                }
                Region::Any => {}
                _ => weights[self.outputs.len()] = f64::NEG_INFINITY,
            }
            return index(&weights, uniform(rng)) as f64;
        };
        let may_be_missing = match region {
            Region::Any => true,
            Region::Seen => self.can_be_missing(),
            _ => false,
        };
        let (low, high) = match region {
            Region::Between(low, high) => (*low, *high),
            Region::Any => (f64::NEG_INFINITY, f64::INFINITY),
            _ => self.units.range(self.column),
        };
        // Of what is drawn, which part is missing.
        let share = gone - self.log_mass(region);
        if may_be_missing && uniform(rng) < share.exp() {
            return f64::NAN;
        }
        let z = self.units.edges(self.column, low, high);
        let z = z.map_or(f64::NAN, |(from, to)| mixture.draw(from, to, rng));
        self.units.number(self.column, z).clamp(low, high)
    }
}

impl Mixture<'_> {
    fn scale(&self, k: usize) -> f64 {
        self.log_scales[k].exp() + self.floor
    }

    /// ln π_k.
    fn log_weights(&self) -> Vec<f64> {
        let all = logsumexp(self.logits);
        self.logits.iter().map(|logit| logit - all).collect()
    }

    /// log Σ_k π_k p_k(x).
    fn log_prob(&self, x: f64) -> f64 {
        let z = self.units.target(self.column, x);
        let of = |(k, log_weight): (usize, f64)| {
            if k == self.means.len() {
                return log_weight + self.units.log_listed(self.column, x, Rows::Any);
            }
            let (mean, scale) = (self.means[k], self.scale(k));
            log_weight
                + match self.family {
                    Family::Grid { half } => {
                        discretized_logistic::log_mass(z - mean, [half, half], scale.ln())
                    }
                    Family::Gaussian { log_unit } => {
                        let u = (z - mean) / scale;
                        -0.5 * u * u - scale.ln() - 0.5 * (2.0 * PI).ln() - log_unit
                    }
                }
        };
        let each: Vec<f64> = self.log_weights().into_iter().enumerate().map(of).collect();
        logsumexp(&each)
    }

    /// ln π_k + ln (F_k(high) − F_k(low)) of each component.
    fn log_masses(&self, low: f64, high: f64) -> Vec<f64> {
        let of = |(k, log_weight): (usize, f64)| {
            if k == self.means.len() {
                let listed = self.units.listed(self.column);
                let share =
                    listed.map_or(0.0, |list| list.share(list.below(low), list.below(high)));
                return log_weight + share.ln();
            }
            let scale = self.scale(k);
            let (a, b) = ((low - self.means[k]) / scale, (high - self.means[k]) / scale);
            log_weight
                + match self.family {
                    Family::Grid { .. } => log_logistic_between(a, b),
                    Family::Gaussian { .. } => log_between(a, b),
                }
        };
        self.log_weights().into_iter().enumerate().map(of).collect()
    }

    /// A draw between two points.
    fn draw(&self, low: f64, high: f64, rng: &mut dyn Rng) -> f64 {
        let k = index(&self.log_masses(low, high), uniform(rng));
        if k == self.means.len()
            && let Some(list) = self.units.listed(self.column)
        {
            return list.quantile(list.below(low), list.below(high), uniform(rng));
        }
        let (mean, scale) = (self.means[k], self.scale(k));
        let (a, b) = ((low - mean) / scale, (high - mean) / scale);
        let u = match self.family {
            Family::Grid { .. } => logistic_between(a, b, uniform(rng)),
            Family::Gaussian { .. } => gaussian_between(a, b, rng),
        };
        (mean + scale * u).clamp(low, high)
    }
}

/// The index that a uniform number falls on under a softmax.
pub(crate) fn index(logits: &[f64], uniform: f64) -> usize {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weight = |logit: &f64| (logit - most).exp();
    let mut left = uniform * logits.iter().map(weight).sum::<f64>();
    let mut last = 0;
    for (k, logit) in logits.iter().enumerate() {
        let weight = weight(logit);
        if weight > 0.0 {
            last = k;
        }
        left -= weight;
        if left < 0.0 {
            return k;
        }
    }
    last
}

/// ln(1 + e^x), without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// ln(e^high − e^low) for low ≤ high.
fn log_difference(low: f64, high: f64) -> f64 {
    if low == f64::NEG_INFINITY { high } else { high + log1mexp(low - high) }
}

/// ln(σ(b) − σ(a)).
fn log_logistic_between(a: f64, b: f64) -> f64 {
    // Where both are above the mean, the same below it, where σ is small.
    let (a, b) = if a > 0.0 { (-b, -a) } else { (a, b) };
    log_difference(-softplus(-a), -softplus(-b))
}

/// The point between a and b below which a share `u` of the logistic between them is.
fn logistic_between(a: f64, b: f64, u: f64) -> f64 {
    if a > 0.0 {
        return -logistic_between(-b, -a, u);
    }
    let u = u.max(f64::MIN_POSITIVE);
    let (log_a, log_b) = (-softplus(-a), -softplus(-b));
    // σ(a) + u (σ(b) − σ(a)) in logarithms.
    let log_p = log_b + (u + (1.0 - u) * (log_a - log_b).exp()).ln();
    (log_p - log1mexp(log_p.min(-f64::MIN_POSITIVE))).clamp(a, b)
}

/// ln Φ(x).
fn log_phi(x: f64) -> f64 {
    if x < 0.0 { log_tail(-x) } else { (-log_tail(x).exp()).ln_1p() }
}

/// A draw of a standard Gaussian between a and b.
pub(crate) fn gaussian_between(a: f64, b: f64, rng: &mut dyn Rng) -> f64 {
    for _ in 0..TRIES {
        let x = standard_normal(rng);
        if (a..=b).contains(&x) {
            return x;
        }
    }
    // Far out, or a narrow part: by bisection of its distribution, on the side where Φ is small.
    if a > 0.0 {
        return -gaussian_part(-b, -a, uniform(rng));
    }
    gaussian_part(a, b, uniform(rng))
}

/// The point between a and b below which a share `u` of the Gaussian between them is.
fn gaussian_part(a: f64, b: f64, u: f64) -> f64 {
    let (log_a, log_b) = (log_phi(a), log_phi(b));
    let u = u.max(f64::MIN_POSITIVE);
    let target = log_b + (u + (1.0 - u) * (log_a - log_b).exp()).ln();
    // 1e4 standard deviations below b nothing is left.
    let (mut low, mut high) = (a.max(b.min(0.0) - 1e4), b.min(1e4));
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if log_phi(middle) < target { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_distribution_add_up_even_in_its_tails() {
        for between in [log_logistic_between, log_between] {
            let ends = [f64::NEG_INFINITY, -40.0, -6.0, -0.3, 0.0, 0.2, 5.0, 7.0, f64::INFINITY];
            let parts: f64 = ends.windows(2).map(|ends| between(ends[0], ends[1]).exp()).sum();
            assert!((parts - 1.0).abs() < 1e-14, "{parts}");
            // Neither side of the mean loses what the other has.
            for (a, b) in [(30.0, 31.0), (100.0, 140.0), (3.0, f64::INFINITY)] {
                let (above, below) = (between(a, b), between(-b, -a));
                assert!(above.is_finite() && above == below, "{a} to {b}: {above} {below}");
            }
        }
        // Against series of higher precision (mpmath 1.3: log(ncdf(-30) - ncdf(-31))).
        assert!((log_between(30.0, 31.0) + 454.321_243_956_304_6).abs() < 1e-9);
        assert!(
            (log_logistic_between(100.0, 101.0) + 100.0 - (-1.0f64).exp().mul_add(-1.0, 1.0).ln())
                .abs()
                < 1e-12
        );
    }

    #[test]
    fn quantiles_are_those_of_the_part() {
        for (a, b) in [(-1.0, 2.0), (3.0, 9.0), (-50.0, -49.0), (60.0, f64::INFINITY)] {
            for u in [1e-9, 0.25, 0.5, 0.99] {
                let x = logistic_between(a, b, u);
                let share = (log_logistic_between(a, x) - log_logistic_between(a, b)).exp();
                // Above the mean the share is counted from the other end.
                let expected = if a > 0.0 { 1.0 - u } else { u };
                assert!((share - expected).abs() < 1e-6, "{a} {b} {u} {share}");
            }
        }
        for (a, b) in [(-1.0, 2.0), (-9.0, -8.0), (-40.0, -39.0)] {
            for u in [0.25, 0.5, 0.99] {
                let x = gaussian_part(a, b, u);
                let share = (log_between(a, x) - log_between(a, b)).exp();
                assert!((share - u).abs() < 1e-6, "{a} {b} {u} {share}");
            }
        }
    }

    #[test]
    fn the_index_of_a_softmax_has_weight() {
        let inf = f64::NEG_INFINITY;
        assert_eq!(index(&[0.0, 0.0, inf], 0.999_999_999), 1);
        assert_eq!(index(&[inf, 0.0, 0.0, inf], 0.0), 1);
        assert_eq!(index(&[inf, 0.0, inf], 1.0 - 1e-17), 1);
    }
}
