//! The kernels of the columns: for each, the distribution that a stored cell spreads around itself.
//!
//! ```text
//! number      x, c there:        (1 − m) N(z_x; z_c, h²) / s,   or on a grid   (1 − m) exp(−(z_x − z_c)²/2h²) / θ(h s/δ)
//!             c missing:         N(0, 1) in the place of N(z_c, h²), on a grid around the point nearest to z = 0
//! label       x, c known:        (1 − ε) [(1 − λ) 1(x = c) + λ/L]
//! ordered     x, c known:        (1 − ε) exp(−(z_x − z_c)²/2h²) / Σ_y exp(−(z_y − z_c)²/2h²)
//! missing     same or not:       1 − λ/2  or  λ/2;   m = ε in a column that never had a missing number
//! ```
//!
//! Here z = (x − mean)/s, δ is the step of a grid, L the number of labels, and θ(r) = Σ_k exp(−k²/2r²) over all whole
//! k: a grid looks the same from each of its points, so one number normalizes all kernels of a column. ε is the share
//! of what training never saw: another label, or a missing number where there was none.

use std::f64::consts::{SQRT_2, TAU};

use prob_core::{standard_normal, uniform};
use rand::Rng;

use crate::foundation::column::Column;
use crate::parts::columns::on_grid;

/// The widths of the kernels.
#[derive(Clone, Debug, PartialEq)]
pub struct Bandwidths {
    /// h of each column of numbers or of ordered labels, in standard deviations of the column; 1 of others.
    pub numbers: Vec<f64>,
    /// λ: how often a label is drawn from all alike.
    pub labels: f64,
}

/// What is known of a column besides the bandwidths.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cells {
    pub(super) column: Column,
    /// The numbers that labels stand for, of ordered ones; NaN of a label that stands for a missing one.
    pub(super) values: Vec<f64>,
    pub(super) mean: f64,
    pub(super) scale: f64,
    /// ε.
    pub(super) unseen: f64,
}

impl Cells {
    /// Whether h is of any meaning.
    pub(super) fn has_numbers(&self) -> bool {
        !matches!(self.column, Column::Category { .. }) || !self.values.is_empty()
    }

    /// Whether λ is.
    pub(super) fn has_labels(&self) -> bool {
        match self.column {
            Column::Category { labels } => {
                labels > 1 && (self.values.is_empty() || self.values.iter().any(|v| v.is_nan()))
            }
            Column::Grid { can_be_missing, .. } | Column::Real { can_be_missing } => can_be_missing,
        }
    }

    fn z(&self, x: f64) -> f64 {
        // A square of what is farther has no place in f64.
        ((x - self.mean) / self.scale).clamp(-1e100, 1e100)
    }

    /// The kernel of a width.
    pub(super) fn kernel(&self, h: f64, lambda: f64) -> Kernel {
        match self.column {
            Column::Category { labels } => Kernel::Label(Label::new(self, labels, h, lambda)),
            Column::Grid { step, can_be_missing } => {
                Kernel::Number(Number::new(self, Some(step), can_be_missing, h, lambda))
            }
            Column::Real { can_be_missing } => {
                Kernel::Number(Number::new(self, None, can_be_missing, h, lambda))
            }
        }
    }
}

/// The kernel of a column.
#[derive(Clone, Debug)]
pub(super) enum Kernel {
    Label(Label),
    Number(Number),
}

impl Kernel {
    /// log K(x | c), in nats.
    pub(super) fn log(&self, x: f64, c: f64) -> f64 {
        match self {
            Self::Label(label) => label.log(label.index(x), label.index(c)),
            Self::Number(number) => number.log(x, c),
        }
    }

    /// A cell around c, given that it is nothing that training never saw.
    pub(super) fn draw(&self, c: f64, rng: &mut dyn Rng) -> f64 {
        match self {
            Self::Label(label) => label.draw(label.index(c), rng) as f64,
            Self::Number(number) => number.draw(c, rng),
        }
    }
}

/// log[(1 − λ) 1(same) + λ/n], of one of n outcomes.
fn log_of_outcomes(lambda: f64, n: usize, same: bool) -> f64 {
    (if same { 1.0 - lambda } else { 0.0 } + lambda / n as f64).ln()
}

/// What a label without an order costs: as the centre's, as another one, and as one that training never saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcomes {
    labels: usize,
    same: f64,
    other: f64,
    unseen: f64,
}

impl Outcomes {
    /// −log K(x | c) where c is x, and by how much it is more elsewhere.
    pub(super) fn costs(&self, x: f64) -> (f64, f64) {
        if x as usize >= self.labels {
            return (-self.unseen, 0.0);
        }
        (-self.same, self.same - self.other)
    }
}

/// The kernel of a category.
#[derive(Clone, Debug)]
pub(super) struct Label {
    labels: usize,
    /// log ε, and log (1 − ε).
    unseen: f64,
    seen: f64,
    lambda: f64,
    /// Of ordered labels z/(√2 h); NaN of a missing one.
    at: Vec<f64>,
    /// Of each ordered label as the centre, log Σ_y exp(−(z_y − z_c)²/2h²).
    norms: Vec<f64>,
    has_missing: bool,
}

impl Label {
    fn new(cells: &Cells, labels: usize, h: f64, lambda: f64) -> Self {
        let at: Vec<f64> = cells.values.iter().map(|&v| cells.z(v) / (SQRT_2 * h)).collect();
        let norm = |&c: &f64| {
            let masses = at.iter().filter(|at| !at.is_nan()).map(|at| (-(at - c).powi(2)).exp());
            masses.sum::<f64>().ln()
        };
        Self {
            labels,
            unseen: cells.unseen.ln(),
            seen: (-cells.unseen).ln_1p(),
            lambda,
            norms: at.iter().map(norm).collect(),
            has_missing: at.iter().any(|at| at.is_nan()),
            at,
        }
    }

    /// log (1 − ε), of any known label.
    pub(super) fn seen(&self) -> f64 {
        self.seen
    }

    /// Number of known labels.
    pub(super) fn labels(&self) -> usize {
        self.labels
    }

    /// What labels cost around known ones, where they have no order.
    pub(super) fn outcomes(&self) -> Option<Outcomes> {
        let of = |same| self.seen + log_of_outcomes(self.lambda, self.labels, same);
        let (labels, same, other, unseen) = (self.labels, of(true), of(false), self.unseen);
        self.at.is_empty().then_some(Outcomes { labels, same, other, unseen })
    }

    /// The label that a cell is; the number of labels for any other one.
    pub(super) fn index(&self, x: f64) -> usize {
        (x as usize).min(self.labels)
    }

    /// log K(x | c).
    pub(super) fn log(&self, x: usize, c: usize) -> f64 {
        if x >= self.labels {
            return self.unseen;
        }
        let log = if c >= self.labels {
            // Nobody knows which label is like one that has no name.
            -(self.labels as f64).ln()
        } else if self.at.is_empty() {
            log_of_outcomes(self.lambda, self.labels, x == c)
        } else {
            let (x, norm, c) = (self.at[x], self.norms[c], self.at[c]);
            let missing = match self.has_missing {
                true => log_of_outcomes(self.lambda, 2, x.is_nan() == c.is_nan()),
                false => 0.0,
            };
            missing
                + match (x.is_nan(), c.is_nan()) {
                    (true, _) => 0.0,
                    (false, true) => -((self.labels - 1) as f64).ln(),
                    (false, false) => -(x - c).powi(2) - norm,
                }
        };
        self.seen + log
    }

    /// log K(x | c) of every centre c, the label without a name last.
    pub(super) fn of_centres(&self, x: f64) -> Vec<f64> {
        let x = self.index(x);
        (0..=self.labels).map(|c| self.log(x, c)).collect()
    }

    fn draw(&self, c: usize, rng: &mut dyn Rng) -> usize {
        let mut left = uniform(rng);
        for x in 0..self.labels {
            left -= (self.log(x, c) - self.seen).exp();
            if left < 0.0 {
                return x;
            }
        }
        c.min(self.labels - 1)
    }
}

/// The kernel of a number.
#[derive(Clone, Debug)]
pub(super) struct Number {
    mean: f64,
    pub(super) scale: f64,
    pub(super) step: Option<f64>,
    pub(super) h: f64,
    /// Where numbers are around a missing centre, as a number.
    pub(super) middle: f64,
    /// log K but for the squares: of x there and c there or missing, and of x missing.
    pub(super) there: f64,
    pub(super) around_missing: f64,
    pub(super) missing: f64,
    pub(super) both_missing: f64,
    /// λ/2; 0 in a column without missing numbers.
    flips: f64,
}

impl Number {
    fn new(cells: &Cells, step: Option<f64>, can_be_missing: bool, h: f64, lambda: f64) -> Self {
        let (mean, scale) = (cells.mean, cells.scale);
        let log_norm = |h: f64| match step {
            Some(step) => log_theta(h * scale / step),
            None => (h * scale).ln() + 0.5 * TAU.ln(),
        };
        let outcomes = |same| log_of_outcomes(lambda, 2, same);
        let (same, other) = match can_be_missing {
            true => (outcomes(true), outcomes(false)),
            false => ((-cells.unseen).ln_1p(), cells.unseen.ln()),
        };
        Self {
            mean,
            scale,
            step,
            h,
            middle: step.map_or(mean, |step| on_grid(mean, step)),
            there: same - log_norm(h),
            around_missing: other - log_norm(1.0),
            missing: other,
            both_missing: same,
            flips: if can_be_missing { 0.5 * lambda } else { 0.0 },
        }
    }

    /// Whether training had missing numbers.
    pub(super) fn can_be_missing(&self) -> bool {
        self.flips > 0.0
    }

    /// z/(√2 h), in whose squares a kernel of width h is measured.
    pub(super) fn at(&self, x: f64) -> f64 {
        ((x - self.mean) / self.scale).clamp(-1e100, 1e100) / (SQRT_2 * self.h)
    }

    /// log K(x | c) of a number around a missing centre.
    pub(super) fn around_missing(&self, x: f64) -> f64 {
        let z = ((x - self.middle) / self.scale).clamp(-1e100, 1e100);
        self.around_missing - 0.5 * z * z
    }

    fn log(&self, x: f64, c: f64) -> f64 {
        match (x.is_nan(), c.is_nan()) {
            (false, false) => self.there - (self.at(x) - self.at(c)).powi(2),
            (false, true) => self.around_missing(x),
            (true, false) => self.missing,
            (true, true) => self.both_missing,
        }
    }

    fn draw(&self, c: f64, rng: &mut dyn Rng) -> f64 {
        let flips = self.flips > 0.0 && uniform(rng) < self.flips;
        if flips != c.is_nan() {
            return f64::NAN;
        }
        let (c, h) = if c.is_nan() { (self.middle, 1.0) } else { (c, self.h) };
        match self.step {
            Some(step) => on_grid(c + step * draw_theta(h * self.scale / step, rng), step),
            None => c + h * self.scale * standard_normal(rng),
        }
    }
}

/// Steps of a grid in a bandwidth from which on the sum is an integral to the last bit: by Poisson's formula they differ
/// by 2 exp(−2π²r²) of it.
const WIDE: f64 = 2.0;

/// log Σ_k exp(−k²/2r²) over all whole k.
pub(super) fn log_theta(r: f64) -> f64 {
    if r >= WIDE {
        return r.ln() + 0.5 * TAU.ln();
    }
    // At r = 2 the last of them is e^−200.
    let tail: f64 = (1..=40).map(|k| (-0.5 * (f64::from(k) / r).powi(2)).exp()).sum();
    (2.0 * tail).ln_1p()
}

/// Steps in a bandwidth from which on a draw is a rounded Gaussian, whose masses are the same but for 1/(24 r²) of them.
pub(super) const ROUNDED: f64 = 1e3;

/// A whole number k with mass exp(−k²/2r²)/θ(r).
pub(super) fn draw_theta(r: f64, rng: &mut dyn Rng) -> f64 {
    if r >= ROUNDED {
        return (r * standard_normal(rng)).round();
    }
    let mut left = uniform(rng) * log_theta(r).exp() - 1.0;
    let mut k = 0.0;
    while left >= 0.0 && k < 40.0 * r.max(1.0) {
        k += 1.0;
        let mass = (-0.5 * (k / r).powi(2)).exp();
        if left < mass {
            return k;
        }
        left -= mass;
        if left < mass {
            return -k;
        }
        left -= mass;
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(column: Column, values: &[f64]) -> Cells {
        Cells { column, values: values.to_vec(), mean: 0.7, scale: 1.6, unseen: 0.05 }
    }

    #[test]
    fn each_kernel_is_a_distribution_whatever_its_centre() {
        let labels = |labels| (0..=labels).map(|x| x as f64).collect::<Vec<f64>>();
        let grid: Vec<f64> = (-400..=400).map(|k| 0.5 * f64::from(k)).chain([f64::NAN]).collect();
        for (column, values, support) in [
            (Column::Category { labels: 3 }, &[][..], labels(3)),
            (Column::Category { labels: 1 }, &[], labels(1)),
            (Column::Category { labels: 4 }, &[0.0, 1.0, 5.0, 6.0], labels(4)),
            (Column::Category { labels: 4 }, &[0.0, 1.0, 5.0, f64::NAN], labels(4)),
            (Column::Grid { step: 0.5, can_be_missing: true }, &[], grid.clone()),
            (Column::Grid { step: 0.5, can_be_missing: false }, &[], grid.clone()),
        ] {
            for (h, lambda) in [(0.02, 1e-3), (0.3, 0.2), (0.7, 1.0), (3.0, 0.5)] {
                let kernel = cells(column, values).kernel(h, lambda);
                let centres = support.iter().filter(|c| c.is_nan() || c.abs() <= 20.0);
                for &c in centres.filter(|c| !c.is_nan() || column.features() == 2) {
                    let sum: f64 = support.iter().map(|&x| kernel.log(x, c).exp()).sum();
                    assert!((sum - 1.0).abs() < 1e-12, "{column:?} {h} {lambda} at {c}: {sum}");
                }
            }
        }
    }

    #[test]
    fn without_its_normalizer_an_ordered_kernel_is_none() {
        // Negative control: at the end of the labels half of a Gaussian is cut off.
        let cells = cells(Column::Category { labels: 3 }, &[0.0, 1.0, 2.0]);
        let Kernel::Label(mut label) = cells.kernel(0.5, 0.1) else { panic!("a label") };
        let sum = |label: &Label, c| (0..=3).map(|x| label.log(x, c).exp()).sum::<f64>();
        assert!((sum(&label, 0) - 1.0).abs() < 1e-14);
        let middle = label.norms[1];
        label.norms.fill(middle);
        assert!((sum(&label, 1) - 1.0).abs() < 1e-14 && (sum(&label, 0) - 1.0).abs() > 0.05);
    }

    #[test]
    fn the_sum_over_a_grid_goes_over_into_the_integral() {
        let plain = |r: f64| -> f64 {
            (-200..=200).map(|k| (-0.5 * (f64::from(k) / r).powi(2)).exp()).sum()
        };
        for r in [1e-3, 0.1, 0.5, 1.0, 1.99, 2.0, 2.01, 10.0] {
            assert!((log_theta(r) - plain(r).ln()).abs() < 1e-14, "{r}");
        }
        // Negative control: the integral where it is no sum.
        assert!((0.3_f64.ln() + 0.5 * TAU.ln() - plain(0.3).ln()).abs() > 0.2);
    }
}
