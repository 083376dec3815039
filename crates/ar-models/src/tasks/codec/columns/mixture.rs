//! How much of a mixture lies between two numbers.
//!
//! ```text
//! F(b) − F(a) = Σ_k π_k [F_k(b) − F_k(a)],     u = (z − μ_k) / s_k
//! logistic   F_k = 1 / (1 + e^−u)
//! Gaussian   F_k = erfc(−u / √2) / 2
//! a list     F_k = what its entries below z have of all
//! ```
//!
//! A difference is one of the tails on whose side the interval lies, so that it keeps its digits. Where all of that is
//! nearly 0 the logarithms of the masses are compared: of a logistic by log σ(b) + log σ(−a) + log(1 − e^(a−b)), of a
//! Gaussian by [`crate::parts::columns::normal`].
//!
//! exp, ln and erfc are those of the crate `libm`, which makes them of operations that IEEE 754 defines.

use ar_kernels::columns::Family;

use crate::parts::columns::Placed;
use crate::parts::columns::normal::{log_1m_exp, log_between as log_normal};
use crate::tasks::codec::coder::Split;

/// Parameters, as weights and in standardized units.
#[derive(Clone, Debug, Default)]
pub(super) struct Mixture {
    weights: Vec<f64>,
    means: Vec<f64>,
    scales: Vec<f64>,
    is_gaussian: bool,
    least_scale: f64,
    /// The component that has the last weight, if it is a list.
    list: Option<Placed>,
}

/// Of each component what lies below and above a point.
#[derive(Clone, Debug, Default)]
pub(super) struct Point {
    /// In standardized units.
    pub(super) z: f64,
    tails: Vec<Tails>,
    /// Entries of the list below.
    listed: usize,
}

#[derive(Clone, Copy, Debug)]
struct Tails {
    u: f64,
    below: f64,
    above: f64,
}

/// An interval is narrow if it is so small beside every component.
const NARROW: f64 = 0.01;

/// Masses below this lose digits, and then there are none.
const LEAST: f64 = 1e-200;

impl Mixture {
    /// From the outputs of a head, without that of a missing number.
    pub(super) fn set(
        &mut self,
        outputs: &[f64],
        (family, floor): (Family, f64),
        list: Option<&Placed>,
    ) {
        let components = outputs.len() / 3;
        let (logits, rest) = outputs.split_at(components + usize::from(list.is_some()));
        let (means, log_scales) = rest.split_at(components);
        self.list = list.cloned();
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        self.weights.clear();
        self.weights.extend(logits.iter().map(|logit| libm::exp(logit - most)));
        let sum: f64 = self.weights.iter().sum();
        self.weights.iter_mut().for_each(|weight| *weight /= sum);
        self.means.clear();
        self.means.extend(means);
        self.scales.clear();
        self.scales.extend(log_scales.iter().map(|log_scale| libm::exp(*log_scale) + floor));
        self.is_gaussian = matches!(family, Family::Gaussian { .. });
        self.least_scale = self.scales.iter().copied().fold(f64::INFINITY, f64::min);
    }

    /// Moves a point to z.
    pub(super) fn place(&self, point: &mut Point, z: f64) {
        point.z = z;
        point.listed = self.list.as_ref().map_or(0, |list| list.below(z));
        point.tails.clear();
        point.tails.extend(self.means.iter().zip(&self.scales).map(|(mean, scale)| {
            let u = (z - mean) / scale;
            let lesser = if self.is_gaussian {
                0.5 * libm::erfc(u.abs() * core::f64::consts::FRAC_1_SQRT_2)
            } else {
                let e = libm::exp(-u.abs());
                e / (1.0 + e)
            };
            let (below, above) =
                if u < 0.0 { (lesser, 1.0 - lesser) } else { (1.0 - lesser, lesser) };
            Tails { u, below, above }
        }));
    }

    /// What lies between two points.
    pub(super) fn mass(&self, low: &Point, high: &Point) -> f64 {
        let each = self.weights.iter().zip(low.tails.iter().zip(&high.tails));
        let smooth: f64 = each.map(|(weight, (low, high))| weight * between(*low, *high)).sum();
        smooth + self.of_list(low.listed, high.listed)
    }

    /// What the entries of the list from one to another have of everything.
    fn of_list(&self, from: usize, to: usize) -> f64 {
        self.list.as_ref().map_or(0.0, |list| self.weights[self.means.len()] * list.share(from, to))
    }

    /// Whether between two points all cells of a grid are alike.
    pub(super) fn is_even(&self, low: &Point, high: &Point) -> bool {
        high.z - low.z < NARROW * self.least_scale && low.listed == high.listed
    }

    /// What lies below a point, and what above another one.
    pub(super) fn outside(&self, low: &Point, high: &Point) -> (f64, f64) {
        let each = |point: &Point, of: fn(&Tails) -> f64| -> f64 {
            self.weights.iter().zip(&point.tails).map(|(weight, tails)| weight * of(tails)).sum()
        };
        let entries = self.list.as_ref().map_or(0, Placed::len);
        (
            each(low, |tails| tails.below) + self.of_list(0, low.listed),
            each(high, |tails| tails.above) + self.of_list(high.listed, entries),
        )
    }

    /// The decision whether a number between `low` and `high` is below or above `middle`, given that both halves have
    /// `even` more each.
    pub(super) fn split(&self, low: &Point, middle: &Point, high: &Point, even: f64) -> Split {
        let (first, second) = (self.mass(low, middle) + even, self.mass(middle, high) + even);
        if first + second > LEAST {
            return Split::of(first, second);
        }
        let (first, second) = (self.log_mass(low, middle), self.log_mass(middle, high));
        let most = first.max(second);
        Split::of(libm::exp(first - most), libm::exp(second - most))
    }

    /// The logarithm of what lies between two points.
    fn log_mass(&self, low: &Point, high: &Point) -> f64 {
        let each = |k: usize| {
            if k == self.means.len() {
                return libm::log(self.of_list(low.listed, high.listed));
            }
            let width = (high.z - low.z) / self.scales[k];
            let (low, high) = (low.tails[k].u, high.tails[k].u);
            let own = if self.is_gaussian {
                log_normal(low, high)
            } else {
                log_sigmoid(high) + log_sigmoid(-low) + log_1m_exp(-width)
            };
            libm::log(self.weights[k]) + own
        };
        let most = (0..self.weights.len()).map(each).fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            return most;
        }
        let sum: f64 = (0..self.weights.len()).map(|k| libm::exp(each(k) - most)).sum();
        most + libm::log(sum)
    }
}

fn between(low: Tails, high: Tails) -> f64 {
    let mass = if low.u > 0.0 {
        low.above - high.above
    } else if high.u < 0.0 {
        high.below - low.below
    } else {
        1.0 - low.below - high.above
    };
    // Rounding may leave less than nothing.
    mass.max(0.0)
}

/// log σ(u).
fn log_sigmoid(u: f64) -> f64 {
    if u > 0.0 { -libm::log1p(libm::exp(-u)) } else { u - libm::log1p(libm::exp(u)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixture(family: Family) -> Mixture {
        let mut mixture = Mixture::default();
        mixture.set(&[0.3, -1.0, 0.0, 4.0, -0.5, -2.0], (family, 0.01), None);
        mixture
    }

    const FAMILIES: [Family; 2] = [Family::Grid { half: 0.1 }, Family::Gaussian { log_unit: 0.0 }];

    #[test]
    fn masses_add_up_and_their_logarithms_are_theirs() {
        for family in FAMILIES {
            let mixture = mixture(family);
            let point = |z| {
                let mut point = Point::default();
                mixture.place(&mut point, z);
                point
            };
            let ends: Vec<Point> = (-80..=80).map(|k| point(f64::from(k) / 8.0)).collect();
            let [first, last] = [f64::NEG_INFINITY, f64::INFINITY].map(point);
            let inner: f64 = ends.windows(2).map(|pair| mixture.mass(&pair[0], &pair[1])).sum();
            let outer = mixture.mass(&first, &ends[0]) + mixture.mass(&ends[160], &last);
            assert!((inner + outer - 1.0).abs() < 1e-14, "{family:?}");
            for pair in ends.windows(2) {
                let (mass, log) =
                    (mixture.mass(&pair[0], &pair[1]), mixture.log_mass(&pair[0], &pair[1]));
                assert!((mass.ln() - log).abs() < 1e-9, "{family:?} {}: {mass}, {log}", pair[0].z);
            }
        }
    }

    #[test]
    fn far_out_the_halves_still_differ() {
        for family in FAMILIES {
            let mixture = mixture(family);
            for z in [1e3, 1e5, 1e9] {
                let mut points = [Point::default(), Point::default(), Point::default()];
                for (k, point) in points.iter_mut().enumerate() {
                    mixture.place(point, z + 0.7 * k as f64);
                }
                let [low, middle, high] = points;
                assert_eq!(mixture.mass(&low, &high).max(LEAST), LEAST, "{family:?} {z}");
                let bits = [false, true].map(|is_second| {
                    mixture.split(&low, &middle, &high, 0.0).interval(is_second).bits()
                });
                assert!(bits[0] < 1.0 && bits[1] > 1.0, "{family:?} {z}: {bits:?}");
            }
        }
    }
}
