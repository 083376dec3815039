//! How much of a kernel lies in a region, and draws from there.
//!
//! ```text
//! a label                    Σ_{y ∈ R} K(y | c)
//! a real number              p(there) (Φ((high − c)/hs) − Φ((low − c)/hs))
//! on a grid                  p(there) Σ_{low ≤ c + kδ ≤ high} exp(−k²/2r²) / θ(r),   r = h s/δ
//! ```
//!
//! The sum over a grid has its terms where they are few. Elsewhere it is the integral with the first terms of Euler and
//! Maclaurin at the middles between points, f the Gaussian, a and b the first and the last point:
//!
//! ```text
//! Σ_{k=a}^b f(k) = ∫_{a−½}^{b+½} f − [f′]/24 + 7 [f‴]/5760 − 31 [f⁗′]/967680 + …
//! ```
//!
//! # References
//! - Abramowitz and Stegun, *Handbook of Mathematical Functions*, 1964, 23.1.31 (the midpoint form).

use std::f64::consts::TAU;

use prob_core::logspace::logsumexp;
use prob_core::uniform;
use rand::Rng;

use super::kernels::{Kernel, Label, Number, ROUNDED, draw_theta, log_theta};
use crate::parts::columns::normal::log_between;
use crate::parts::columns::{Region, gaussian_between, index, on_grid};

/// From this r on, and up to this slope −f′/f between two points, a sum over a grid is made of the integral: what is left
/// out is 10^-9 of it at most.
const SMOOTH: f64 = 32.0;
const STEEP: f64 = 0.3;
/// Draws before those that fit are searched for.
const TRIES: usize = 64;

impl Kernel {
    /// ln of how much of the kernel around c lies in a region, in nats; of a real number its density. `range` is that of
    /// the numbers of training.
    pub(super) fn log_mass(&self, region: &Region, c: f64, range: (f64, f64)) -> f64 {
        if let Region::Value(x) = region {
            return self.log(*x, c);
        }
        match self {
            Self::Label(label) => match region {
                Region::Labels(allowed) => logsumexp(&label.within(c, allowed)),
                Region::Seen => label.seen(),
                _ => 0.0,
            },
            Self::Number(number) => match region {
                Region::Any | Region::Labels(_) => 0.0,
                Region::Seen => {
                    let there = number.log_within(range, c);
                    match number.can_be_missing() {
                        true => logsumexp(&[there, number.log_missing(c)]),
                        false => there,
                    }
                }
                Region::Between(low, high) => number.log_within((*low, *high), c),
                _ => number.log_within(range, c),
            },
        }
    }

    /// A cell around c, given that it lies in a region; of what is impossible there, anything of the region.
    pub(super) fn draw_within(
        &self,
        region: &Region,
        c: f64,
        range: (f64, f64),
        rng: &mut dyn Rng,
    ) -> f64 {
        match (self, region) {
            (_, Region::Value(x)) => *x,
            (Self::Label(label), Region::Labels(allowed)) => {
                index(&label.within(c, allowed), uniform(rng)) as f64
            }
            (Self::Label(_), _) => self.draw(c, rng),
            (Self::Number(number), Region::Between(low, high)) => {
                number.draw_within((*low, *high), c, rng)
            }
            (Self::Number(number), Region::Present) => number.draw_within(range, c, rng),
            (Self::Number(number), _) => {
                let share = number.log_missing(c) - self.log_mass(&Region::Seen, c, range);
                if number.can_be_missing() && uniform(rng) < share.exp() {
                    return f64::NAN;
                }
                number.draw_within(range, c, rng)
            }
        }
    }
}

impl Label {
    /// ln K(x | c) of each label, the one without a name last; `-inf` of those that are not allowed.
    fn within(&self, c: f64, allowed: &[bool]) -> Vec<f64> {
        let c = self.index(c);
        let of = |x: usize| match allowed.get(x) {
            Some(true) => self.log(x, c),
            _ => f64::NEG_INFINITY,
        };
        (0..=self.labels()).map(of).collect()
    }
}

impl Number {
    fn log_missing(&self, c: f64) -> f64 {
        if c.is_nan() { self.both_missing } else { self.missing }
    }

    /// Where numbers are around c, how wide, and ln p that one is there.
    fn around(&self, c: f64) -> (f64, f64, f64) {
        match c.is_nan() {
            true => (self.middle, self.scale, self.missing),
            false => (c, self.h * self.scale, self.both_missing),
        }
    }

    /// ln p that a number is there and from the first to the second.
    fn log_within(&self, (low, high): (f64, f64), c: f64) -> f64 {
        let (centre, width, log_there) = self.around(c);
        let Some(step) = self.step else {
            let z = [low, high].map(|x| (x - centre) / width);
            return log_there
                + if z[0] < z[1] { log_between(z[0], z[1]) } else { f64::NEG_INFINITY };
        };
        let (first, last) = points(low, high, centre, step);
        log_there + log_sum(width / step, first, last) - log_theta(width / step)
    }

    fn draw_within(&self, (low, high): (f64, f64), c: f64, rng: &mut dyn Rng) -> f64 {
        let (centre, width, _) = self.around(c);
        let Some(step) = self.step else {
            let z = gaussian_between((low - centre) / width, (high - centre) / width, rng);
            return (centre + width * z).clamp(low, high);
        };
        let (first, last) = points(low, high, centre, step);
        let k = draw_of_sum(width / step, first, last, rng);
        on_grid(centre + step * k, step)
    }
}

/// The first and the last point of a grid from `low` to `high`, counted from the centre.
fn points(low: f64, high: f64, centre: f64, step: f64) -> (f64, f64) {
    // Numbers are on the grid to a few roundings.
    let near = |x: f64| 1e-9 * x.abs().max(1.0);
    let (first, last) = (low / step, high / step);
    let middle = (centre / step).round();
    let (first, last) = ((first - near(first)).ceil(), (last + near(last)).floor());
    if first.is_nan() || last.is_nan() {
        // From or to infinity there is no point.
        return (f64::INFINITY, f64::NEG_INFINITY);
    }
    (first - middle, last - middle)
}

/// ln Σ exp(−k²/2r²) over all whole k from a to b.
fn log_sum(r: f64, a: f64, b: f64) -> f64 {
    if a > b {
        return f64::NEG_INFINITY;
    }
    if b < 0.0 {
        return log_sum(r, -b, -a);
    }
    let nearest = a.max(0.0);
    if r < SMOOTH || nearest > STEEP * r * r {
        let terms = Terms::new(r, a, b);
        return terms.up.iter().chain(&terms.down).sum::<f64>().ln() - 0.5 * (nearest / r).powi(2);
    }
    let (from, to) = (a - 0.5, b + 0.5);
    let integral = log_between(from / r, to / r) + r.ln() + 0.5 * TAU.ln();
    // The corrections at an end, over the integral; a Gaussian that ends nowhere has none.
    let at = |x: f64| {
        if x.is_infinite() {
            return 0.0;
        }
        let (u, f) = (x / r, (-0.5 * (x / r).powi(2) - integral).exp());
        let first = -u / r;
        let third = (3.0 * u - u.powi(3)) / r.powi(3);
        let fifth = (-15.0 * u + 10.0 * u.powi(3) - u.powi(5)) / r.powi(5);
        if f == 0.0 {
            return 0.0;
        }
        f * (-first / 24.0 + 7.0 * third / 5760.0 - 31.0 * fifth / 967_680.0)
    };
    integral + (at(to) - at(from)).ln_1p()
}

/// exp(−(k² − k_0²)/2r²) outward from k_0, the point nearest to 0 of those from a to b, as long as there is anything.
struct Terms {
    nearest: f64,
    /// From k_0 on.
    up: Vec<f64>,
    /// From k_0 − 1 down.
    down: Vec<f64>,
}

impl Terms {
    fn new(r: f64, a: f64, b: f64) -> Self {
        const NOTHING: f64 = 1e-18;
        let nearest = 0.0_f64.clamp(a, b.max(a));
        let term = |k: f64| (-0.5 * (k - nearest) / r * ((k + nearest) / r)).exp();
        let go = |from: f64, to: f64, sign: f64| -> Vec<f64> {
            let mut terms = Vec::new();
            let mut k = from;
            while sign * (to - k) >= 0.0 {
                let term = term(k);
                // A term is never lost, however narrow the Gaussian.
                if term < NOTHING {
                    break;
                }
                terms.push(term);
                let next = k + sign;
                if next == k {
                    break;
                }
                k = next;
            }
            terms
        };
        Self { nearest, up: go(nearest, b, 1.0), down: go(nearest - 1.0, a, -1.0) }
    }
}

/// A whole number from a to b, drawn by exp(−k²/2r²).
fn draw_of_sum(r: f64, a: f64, b: f64, rng: &mut dyn Rng) -> f64 {
    if a > b {
        // Of no point there is nothing to draw.
        return 0.0;
    }
    if r >= ROUNDED {
        return (r * gaussian_between((a - 0.5) / r, (b + 0.5) / r, rng)).round().clamp(a, b);
    }
    for _ in 0..TRIES {
        let k = draw_theta(r, rng);
        if (a..=b).contains(&k) {
            return k;
        }
    }
    let Terms { nearest, up, down } = Terms::new(r, a, b);
    let mut left = uniform(rng) * up.iter().chain(&down).sum::<f64>();
    let of = |terms: &[f64], first: f64, sign: f64, left: &mut f64| {
        let found = terms.iter().position(|term| {
            *left -= term;
            *left < 0.0
        });
        found.map(|k| first + sign * k as f64)
    };
    of(&up, nearest, 1.0, &mut left)
        .or_else(|| of(&down, nearest - 1.0, -1.0, &mut left))
        .unwrap_or(nearest)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    use super::*;

    /// Term by term.
    fn plain(r: f64, a: f64, b: f64) -> f64 {
        let all: Vec<f64> = (a as i64..=b as i64).map(|k| -0.5 * (k as f64 / r).powi(2)).collect();
        logsumexp(&all)
    }

    #[test]
    fn sums_over_a_grid_are_those_of_their_terms() {
        for r in [0.01, 0.4, 3.0, 31.9, 32.1, 100.0, 1234.5] {
            for (a, b) in [
                (0.0, 0.0),
                (-3.0, 5.0),
                (2.0, 900.0),
                (-4000.0, -7.0),
                (-1e4, 1e4),
                (500.0, 501.0),
                (5e4, 6e4),
            ] {
                let (found, expected) = (log_sum(r, a, b), plain(r, a, b));
                let allowed = 1e-9 + 1e-13 * expected.abs();
                assert!((found - expected).abs() < allowed, "{r} {a} {b}: {found} {expected}");
            }
            let inf = f64::INFINITY;
            assert!((log_sum(r, -inf, inf) - log_theta(r)).abs() < 1e-12, "{r}");
            assert_eq!(log_sum(r, 3.0, 2.0), -inf);
        }
        // Negative control: the integral alone.
        let integral = log_between(-0.5 / 40.0, 0.5 / 40.0) + 40.0_f64.ln() + 0.5 * TAU.ln();
        assert!((integral - plain(40.0, 0.0, 0.0)).abs() > 1e-6);
    }

    #[test]
    fn draws_from_a_part_of_a_grid_have_its_frequencies() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for (r, a, b) in [(2.0, -1.0, 3.0), (1.5, 9.0, 12.0), (0.3, -4.0, -2.0), (2e3, -5.0, 4.0)] {
            let n = 20_000;
            let drawn: Vec<f64> = (0..n).map(|_| draw_of_sum(r, a, b, &mut rng)).collect();
            let all = plain(r, a, b);
            for k in a as i64..=b as i64 {
                let p = (-0.5 * (k as f64 / r).powi(2) - all).exp();
                let share = drawn.iter().filter(|x| **x == k as f64).count() as f64 / n as f64;
                let error = (p * (1.0 - p) / n as f64).sqrt();
                assert!((share - p).abs() < 5.0 * error + 1e-9, "{r} {k}: {share} {p}");
            }
        }
    }
}
