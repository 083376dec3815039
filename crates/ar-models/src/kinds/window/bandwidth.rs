//! How wide the kernels are: as wide as makes rows likely under the window of all others.
//!
//! ```text
//! h, λ = argmax Σ_q log 1/(n−1) Σ_{i ≠ q} Π_t K_t(x_{q,t}, x_{i,t})
//! ```
//!
//! With the row itself in the sum there is no maximum: the narrower the kernels, the likelier each row under its own.
//!
//! # References
//! Habbema, Hermans, van den Broek, *A stepwise discriminant analysis program using density estimation*, Compstat
//! 1974; Duin, *On the choice of smoothing parameters for Parzen estimators of probability density functions*, IEEE
//! Transactions on Computers C-25, 1976, Eq. 4.

use rand::Rng;
use rand::seq::index::sample;

use super::kernels::{Bandwidths, Cells};
use super::layout::Layout;
use super::settings::Bandwidth;

/// The most rows whose likelihood is looked at, and the most cells that are compared for one choice.
const QUERIES: usize = 2_000;
const CELLS: usize = 200_000_000;
/// Fewer rows than this are not looked at for the sake of time.
const LEAST_QUERIES: usize = 200;
/// The part of them that all values of a bandwidth are tried on.
const ROUGHLY: usize = 4;

/// Values of h that are tried: from 0.02 to 3, each by about a third wider.
const WIDTHS: Range = Range { least: 0.02, most: 3.0, values: 18 };
/// Values of λ that are tried.
const SHARES: Range = Range { least: 1e-4, most: 1.0, values: 13 };
/// Steps of a golden section between two neighbours of the best value.
const SECTIONS: usize = 6;

/// What h and λ are before they are chosen, and where there is nothing to choose by.
const START: f64 = 0.3;

/// Values that are tried, equally far from each other in their logarithms.
#[derive(Clone, Copy)]
struct Range {
    least: f64,
    most: f64,
    values: usize,
}

impl Range {
    fn log_step(self) -> f64 {
        (self.most / self.least).ln() / (self.values - 1) as f64
    }

    /// The best of all values.
    fn best(self, mut of: impl FnMut(f64) -> f64) -> f64 {
        let value = |k: usize| self.least * (k as f64 * self.log_step()).exp();
        let scores: Vec<f64> = (0..self.values).map(|k| of(value(k))).collect();
        let best = (0..self.values).rev().max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        value(best.unwrap_or(0)).min(self.most)
    }

    /// The best value between the neighbours of `near`, by golden section.
    fn refine(self, near: f64, mut of: impl FnMut(f64) -> f64) -> f64 {
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        let mut low = (near.ln() - self.log_step()).max(self.least.ln());
        let mut high = (near.ln() + self.log_step()).min(self.most.ln());
        let inner =
            |low: f64, high: f64| (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
        let (mut a, mut b) = inner(low, high);
        let (mut of_a, mut of_b) = (of(a.exp()), of(b.exp()));
        let (mut best, mut of_best) = (near, of(near));
        for _ in 0..SECTIONS {
            if of_a >= of_b {
                high = b;
                (b, of_b) = (a, of_a);
                a = inner(low, high).0;
                of_a = of(a.exp());
            } else {
                low = a;
                (a, of_a) = (b, of_b);
                b = inner(low, high).1;
                of_b = of(b.exp());
            }
            for (value, score) in [(a, of_a), (b, of_b)] {
                if score > of_best {
                    (best, of_best) = (value.exp(), score);
                }
            }
        }
        best
    }
}

/// Rows, and which of them are looked at.
struct Question<'a> {
    cells: &'a [Cells],
    rows: &'a [f64],
    looked_at: Vec<usize>,
    /// The values of those.
    values: Vec<f64>,
}

impl<'a> Question<'a> {
    fn new(cells: &'a [Cells], rows: &'a [f64], most: usize, rng: &mut dyn Rng) -> Self {
        let width = cells.len();
        let len = rows.len() / width;
        let mut looked_at = sample(rng, len, most.min(len)).into_vec();
        looked_at.sort_unstable();
        let of = |&row: &usize| &rows[row * width..(row + 1) * width];
        let values = looked_at.iter().flat_map(of).copied().collect();
        Self { cells, rows, looked_at, values }
    }

    /// The mean of log p(row) under the window of all others, in nats; of all, where `leaves_out` is false.
    fn log_prob(&self, bandwidths: &Bandwidths, leaves_out: bool) -> f64 {
        let len = self.rows.len() / self.cells.len();
        let layout = Layout::new(self.cells, self.rows, bandwidths);
        let without = leaves_out.then_some(&self.looked_at[..]);
        let sums = layout.log_sums(&self.values, without);
        let others = if leaves_out { len - 1 } else { len };
        sums.iter().sum::<f64>() / sums.len() as f64 - (others as f64).ln()
    }
}

/// What was chosen, and the mean of log p(row) under the window of all other rows; `None` for a single row.
pub(super) fn choose(
    cells: &[Cells],
    rows: &[f64],
    how: Bandwidth,
    rng: &mut dyn Rng,
) -> (Bandwidths, Option<f64>) {
    let most = (CELLS / rows.len().max(1)).clamp(LEAST_QUERIES, QUERIES);
    // Which region is best takes fewer rows to say than which value in it.
    let rough = Question::new(cells, rows, (most / ROUGHLY).max(LEAST_QUERIES), rng);
    let question = Question::new(cells, rows, most, rng);
    let start = vec![START; cells.len()];
    let mut chosen = Bandwidths { numbers: start, labels: START };
    if rows.len() <= cells.len() {
        return (chosen, None);
    }
    let has_numbers = cells.iter().any(Cells::has_numbers);
    let has_labels = cells.iter().any(Cells::has_labels);
    let of_width = |question: &Question<'_>, chosen: &Bandwidths, h: f64| {
        let numbers = vec![h; cells.len()];
        question.log_prob(&Bandwidths { numbers, ..chosen.clone() }, true)
    };
    let of_share = |question: &Question<'_>, chosen: &Bandwidths, lambda: f64| {
        question.log_prob(&Bandwidths { labels: lambda, ..chosen.clone() }, true)
    };
    // What is best for the ones depends on the others.
    for _ in 0..if has_numbers && has_labels { 2 } else { 1 } {
        if has_numbers {
            chosen.numbers = vec![WIDTHS.best(|h| of_width(&rough, &chosen, h)); cells.len()];
        }
        if has_labels {
            chosen.labels = SHARES.best(|lambda| of_share(&rough, &chosen, lambda));
        }
    }
    if has_numbers {
        let h = WIDTHS.refine(chosen.numbers[0], |h| of_width(&question, &chosen, h));
        chosen.numbers = vec![h; cells.len()];
    }
    if has_labels {
        chosen.labels = SHARES.refine(chosen.labels, |lambda| of_share(&question, &chosen, lambda));
    }
    if how == Bandwidth::PerColumn {
        each_column(&question, &mut chosen);
    }
    let log_prob = question.log_prob(&chosen, true);
    (chosen, Some(log_prob))
}

/// How often each column is gone through, and by what its h is multiplied.
const SWEEPS: usize = 2;
const FACTORS: [f64; 4] = [0.5, 0.75, 1.333, 2.0];

/// Makes h of one column after the other as good as it gets while the others stay.
fn each_column(question: &Question<'_>, chosen: &mut Bandwidths) {
    let mut best = question.log_prob(chosen, true);
    for _ in 0..SWEEPS {
        for (t, cells) in question.cells.iter().enumerate() {
            if !cells.has_numbers() {
                continue;
            }
            let h = chosen.numbers[t];
            for factor in FACTORS {
                let mut other = chosen.clone();
                other.numbers[t] = (factor * h).clamp(WIDTHS.least, WIDTHS.most);
                let log_prob = question.log_prob(&other, true);
                if log_prob > best {
                    (*chosen, best) = (other, log_prob);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prob_core::standard_normal;
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    use super::*;
    use crate::foundation::column::Column;

    fn reals(n: usize) -> Vec<Cells> {
        let column = Column::Real { can_be_missing: false };
        vec![Cells { column, values: Vec::new(), mean: 0.0, scale: 1.0, unseen: 0.0 }; n]
    }

    #[test]
    fn h_is_that_of_the_rule_for_gaussians() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let rows: Vec<f64> = (0..2 * 800).map(|_| standard_normal(&mut rng)).collect();
        let (chosen, log_prob) = choose(&reals(2), &rows, Bandwidth::Common, &mut rng);
        // Scott's rule: n^(−1/6) = 0.33 for two variables.
        assert!((0.2..0.5).contains(&chosen.numbers[0]), "{chosen:?}");
        // A Gaussian costs 1 + log 2π nats.
        assert!((log_prob.unwrap() + 2.84).abs() < 0.15, "{log_prob:?}");
    }

    #[test]
    fn a_window_that_keeps_the_own_row_in_picks_the_smallest_bandwidth() {
        // Negative control.
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let rows: Vec<f64> = (0..300).map(|_| standard_normal(&mut rng)).collect();
        let cells = reals(1);
        let question = Question::new(&cells, &rows, QUERIES, &mut rng);
        let best = |leaves_out| {
            let of = |h| Bandwidths { numbers: vec![h], labels: 0.5 };
            WIDTHS.best(|h| question.log_prob(&of(h), leaves_out))
        };
        assert_eq!(best(false), WIDTHS.least);
        assert!(best(true) > 5.0 * WIDTHS.least);
    }

    #[test]
    fn columns_that_differ_get_their_own_widths() {
        // One of two values and a little noise, beside noise alone.
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let row = |i: usize, rng: &mut ChaCha8Rng| {
            let side = if i.is_multiple_of(2) { -1.0 } else { 1.0 };
            [side + 0.05 * standard_normal(rng), standard_normal(rng)]
        };
        let rows: Vec<f64> = (0..400).flat_map(|i| row(i, &mut rng)).collect();
        let chosen = |how| choose(&reals(2), &rows, how, &mut ChaCha8Rng::seed_from_u64(4));
        let (common, of_common) = chosen(Bandwidth::Common);
        let (own, of_own) = chosen(Bandwidth::PerColumn);
        assert_eq!(common.numbers[0], common.numbers[1]);
        assert!(own.numbers[1] > 2.0 * own.numbers[0] && of_own > of_common, "{own:?}");
    }
}
