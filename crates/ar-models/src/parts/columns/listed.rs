//! The numbers of a column as training had them, as a component of its mixtures.
//!
//! ```text
//! p(x) = c(x) / n                  c(x) of n rows of training have x
//! p(x) = (c(x) − 1) / (n − 1)      of a row of training, while it is learned from: what the other rows say of it
//! ```
//!
//! A network learns by the second one how much the list is worth for rows that are not on it: a number that occurs once
//! says nothing. Where numbers of a column recur one by one, as prices or the weights of a survey do, no smooth component
//! finds them, and there are too many for a [spike](super::Units) each.
//!
//! # References
//! To judge an empirical distribution by leaving one out is deleted estimation: Jelinek, Mercer, *Probability distribution
//! estimation from sparse data*, 1985.

use std::collections::HashMap;
use std::sync::Arc;

/// The most numbers of a column that are listed: the commonest ones.
const MOST: usize = 1 << 15;
/// Different numbers of all columns that are counted.
const COUNTED: usize = 1 << 22;
/// Intervals of as many rows each that a smooth distribution is made of, beside which a list has to be worth something.
const INTERVALS: u64 = 64;
/// What it has to be worth, in nats a row.
const WORTH: f64 = 0.01;
/// A span of indices that is looked up in a table in the place of a search.
const SPAN: i64 = 1 << 16;

/// Which rows are asked about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rows {
    /// Any ones.
    Any,
    /// Those that the list is of, each of which is left out of it.
    Training,
}

/// Numbers on a grid, as multiples of its step, and how often each occurs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listed {
    /// Ascending.
    indices: Vec<i64>,
    /// Σ c of those before each, and of all.
    sums: Vec<u64>,
    /// Rows of training with numbers, of which there are more than in the sums where not all are listed.
    rows: u64,
    /// Which of the indices from the first to the last are listed, from 1, if they are not too far apart.
    table: Vec<u32>,
}

impl Listed {
    /// Indices, ascending, and how often each occurs in so many rows; `None` where that is no list.
    pub(crate) fn new(entries: &[(i64, u64)], rows: u64) -> Option<Self> {
        let ascending = entries.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if entries.is_empty() || !ascending || entries.iter().any(|&(_, times)| times == 0) {
            return None;
        }
        let indices: Vec<i64> = entries.iter().map(|&(index, _)| index).collect();
        let mut sums = vec![0_u64];
        for &(_, times) in entries {
            sums.push(sums.last().expect("it begins with 0").checked_add(times)?);
        }
        if sums[indices.len()] > rows || rows < 2 {
            return None;
        }
        let mut table = Vec::new();
        let (first, last) = (indices[0], indices[indices.len() - 1]);
        if let Some(span) = last.checked_sub(first).filter(|span| *span < SPAN) {
            table.resize(span as usize + 1, 0);
            (1..).zip(&indices).for_each(|(k, index)| table[(index - first) as usize] = k);
        }
        Some(Self { indices, sums, rows, table })
    }

    /// Rows of training with numbers.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The indices, ascending, and how often each occurs.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (i64, u64)> {
        let times = self.sums.windows(2).map(|pair| pair[1] - pair[0]);
        self.indices.iter().copied().zip(times)
    }

    /// How many numbers there are.
    pub(crate) fn len(&self) -> usize {
        self.indices.len()
    }

    /// ln p of an index; −∞ of one that is not listed.
    pub(crate) fn log_prob(&self, index: i64, of: Rows) -> f64 {
        let Some(k) = self.place(index) else { return f64::NEG_INFINITY };
        match of {
            Rows::Any => self.share(k, k + 1).ln(),
            Rows::Training => {
                let others = self.sums[k + 1] - self.sums[k] - 1;
                (others as f64 / (self.rows - 1) as f64).ln()
            }
        }
    }

    /// Where an index is listed.
    fn place(&self, index: i64) -> Option<usize> {
        if self.table.is_empty() {
            return self.indices.binary_search(&index).ok();
        }
        let offset = index.checked_sub(self.indices[0]).and_then(|k| usize::try_from(k).ok())?;
        (*self.table.get(offset)? as usize).checked_sub(1)
    }

    /// How many of the list are below a number, in steps of the grid.
    pub(crate) fn below(&self, steps: f64) -> usize {
        self.indices.partition_point(|&index| (index as f64) < steps)
    }

    /// What the entries from one to another have of all.
    pub(crate) fn share(&self, from: usize, to: usize) -> f64 {
        let all = self.sums[self.indices.len()] as f64;
        self.sums[to].saturating_sub(self.sums[from]) as f64 / all
    }

    /// The index of the entries from one to another below which a share `u` of them is.
    pub(crate) fn quantile(&self, from: usize, to: usize, u: f64) -> i64 {
        let (low, high) = (self.sums[from] as f64, self.sums[to] as f64);
        let at = low + u * (high - low);
        let k = self.sums.partition_point(|&sum| sum as f64 <= at);
        self.indices[k.saturating_sub(1).clamp(from, to.max(from + 1) - 1)]
    }
}

/// A list where numbers are standardized: z = (steps · step − mean) / scale.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    pub(super) list: Arc<Listed>,
    pub(super) step: f64,
    pub(super) mean: f64,
    pub(super) scale: f64,
}

impl Placed {
    /// ln p of a number; −∞ of one that is not listed, or missing.
    pub(crate) fn log_prob(&self, x: f64, of: Rows) -> f64 {
        let index = steps(x, self.step);
        index.map_or(f64::NEG_INFINITY, |index| self.list.log_prob(index, of))
    }

    /// z of the entry from one to another below which a share `u` of them is.
    pub(crate) fn quantile(&self, from: usize, to: usize, u: f64) -> f64 {
        (self.list.quantile(from, to, u) as f64 * self.step - self.mean) / self.scale
    }

    /// How many of the list are below z.
    pub(crate) fn below(&self, z: f64) -> usize {
        self.list.below((self.mean + self.scale * z) / self.step)
    }

    /// What the entries from one to another have of all.
    pub(crate) fn share(&self, from: usize, to: usize) -> f64 {
        self.list.share(from, to)
    }

    /// How many numbers there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }
}

/// How many steps of its grid a number is from 0, if so many can be told apart; none of a missing one.
pub(super) fn steps(x: f64, step: f64) -> Option<i64> {
    const MOST: f64 = (1_u64 << 53) as f64;
    let steps = (x / step).round();
    (steps.abs() < MOST).then_some(steps as i64)
}

/// Counts the numbers of a column.
#[derive(Debug)]
pub(crate) struct Count {
    counts: HashMap<i64, u64>,
    most: usize,
    /// Rows whose number is not counted: it came when there were too many.
    late: u64,
}

impl Count {
    /// Of one of so many columns.
    pub(crate) fn of_one_of(columns: usize) -> Self {
        let most = (COUNTED / columns.max(1)).min(2 * MOST);
        Self { counts: HashMap::new(), most, late: 0 }
    }

    /// Adds a number; one that has no index is as if it occurred once.
    pub(crate) fn add(&mut self, index: Option<i64>) {
        let Some(index) = index else {
            self.late += 1;
            return;
        };
        if let Some(count) = self.counts.get_mut(&index) {
            *count += 1;
        } else if self.counts.len() < self.most {
            self.counts.insert(index, 1);
        } else {
            self.late += 1;
        }
    }

    /// The list of all numbers but some, and its share of a mixture with smooth components, if it is worth anything
    /// beside them.
    pub(crate) fn listed(mut self, but: &[i64]) -> Option<(Listed, f64)> {
        for index in but {
            self.counts.remove(index);
        }
        let mut counts: Vec<(i64, u64)> = self.counts.into_iter().collect();
        counts.sort_unstable();
        let rows = counts.iter().map(|(_, c)| c).sum::<u64>() + self.late;
        let mut entries = counts.clone();
        if entries.len() > MOST {
            entries.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
            entries.truncate(MOST);
            entries.sort_unstable();
        }
        let listed = Listed::new(&entries, rows)?;
        // How many times as likely as under the smooth distribution is each number by the other rows.
        let ratios: Vec<(f64, f64)> = counts
            .iter()
            .zip(smooth(&counts))
            .map(|(&(index, c), smooth)| {
                (c as f64, listed.log_prob(index, Rows::Training).exp() / smooth)
            })
            .chain([(self.late as f64, 0.0)])
            .collect();
        let rows = rows as f64;
        // Expectation and maximization of the share.
        let mut share = 0.5;
        for _ in 0..50 {
            let own = |&(c, ratio): &(f64, f64)| c * share * ratio / (1.0 - share + share * ratio);
            share = (ratios.iter().map(own).sum::<f64>() / rows).min(0.999);
        }
        let worth = |&(c, ratio): &(f64, f64)| c * (1.0 - share + share * ratio).ln();
        let worth = ratios.iter().map(worth).sum::<f64>() / rows;
        (worth > WORTH && share > 1e-3).then_some((listed, share))
    }
}

/// For each of some ascending indices with their counts, p under a distribution that is even within intervals of about
/// as many rows each.
fn smooth(counts: &[(i64, u64)]) -> Vec<f64> {
    let rows: u64 = counts.iter().map(|(_, c)| c).sum();
    let (least, mut out) = (rows.div_ceil(INTERVALS), Vec::with_capacity(counts.len()));
    let mut start = 0;
    while start < counts.len() {
        let (mut own, mut end) = (0, start);
        while end < counts.len() && (own < least || end < start + 2) {
            own += counts[end].1;
            end += 1;
        }
        // An interval ends where the next one begins.
        let next = counts.get(end).map_or(counts[end - 1].0.saturating_add(1), |next| next.0);
        let cells = next.saturating_sub(counts[start].0).max(1) as f64;
        out.resize(end, own as f64 / rows as f64 / cells);
        start = end;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(values: impl Iterator<Item = i64>) -> Count {
        let mut count = Count::of_one_of(1);
        values.for_each(|value| count.add(Some(value)));
        count
    }

    #[test]
    fn a_list_is_a_distribution() {
        // Near each other, and too far for a table.
        for far in [3, 1 << 40] {
            let listed = Listed::new(&[(-7, 3), (0, 1), (far, 4)], 8).unwrap();
            let p = |x, of| listed.log_prob(x, of).exp();
            let all: f64 = [-7, -1, 0, far].into_iter().map(|x| p(x, Rows::Any)).sum();
            assert!((all - 1.0).abs() < 1e-12, "{all}");
            assert_eq!([-8, 1, far + 1, i64::MIN].map(|x| p(x, Rows::Any)), [0.0; 4]);
            // What the other rows say of each row of training.
            let others = [-7, 0, far].map(|x| (7.0 * p(x, Rows::Training)).round());
            assert_eq!(others, [2.0, 0.0, 3.0]);
            let below = [-7.5, -6.5, 0.5, 1e300].map(|x| listed.below(x));
            assert_eq!(below, [0, 1, 2, 3]);
            assert_eq!(listed.share(1, 3), 5.0 / 8.0);
            let drawn =
                |from, to| [0.0, 0.3, 0.5, 0.99, 1.0 - 1e-17].map(|u| listed.quantile(from, to, u));
            assert_eq!(drawn(0, 3), [-7, -7, far, far, far]);
            assert_eq!(drawn(1, 2), [0; 5]);
            assert_eq!(listed.entries().collect::<Vec<_>>(), [(-7, 3), (0, 1), (far, 4)]);
        }
        for none in [&[][..], &[(1, 1), (1, 1)], &[(1, 0)], &[(1, 3)]] {
            assert!(Listed::new(none, 2).is_none(), "{none:?}");
        }
    }

    #[test]
    fn what_recurs_is_listed_and_what_is_smooth_is_not() {
        // Numbers far from each other, each of them three times, and as many that occur once.
        let often = (0..3000).map(|k| 1010 * (k % 1000));
        let once = (0..3000).map(|k| 332 * k + 7);
        let (listed, share) = count(often.chain(once)).listed(&[0]).unwrap();
        assert_eq!(listed.len(), 999 + 3000);
        assert_eq!(listed.log_prob(1010, Rows::Any), (3.0_f64 / 5997.0).ln());
        // The other rows say something of half of all rows.
        assert!((0.4..0.6).contains(&share), "{share}");
        // A slope, and an even distribution whose numbers recur by chance.
        let slope = (0..100_i64).flat_map(|x| std::iter::repeat_n(x, 20 + x as usize));
        assert!(count(slope).listed(&[]).is_none());
        let mut state = 1_u64;
        let even = (0..5000).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 50) as i64
        });
        assert!(count(even).listed(&[]).is_none());
    }

    #[test]
    fn numbers_that_come_late_are_as_if_they_occurred_once() {
        let mut count = Count { counts: HashMap::new(), most: 10, late: 0 };
        (0..1000).for_each(|k| count.add(Some(1_000_003 * (k % 20))));
        let (listed, share) = count.listed(&[]).unwrap();
        assert_eq!((listed.len(), listed.rows()), (10, 1000));
        assert!((0.4..0.6).contains(&share), "{share}");
    }
}
