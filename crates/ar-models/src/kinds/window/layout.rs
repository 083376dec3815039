//! The stored rows as they are gone through, and the sums over them.
//!
//! ```text
//! cost_i = −log Π_t K_t(x_t | x_{i,t}) = const + Σ_{t a number} (a_t − a_{i,t})² + …,   a = z/(√2 h)
//! log Σ_i exp(−cost_i)
//! ```
//!
//! Nearly all of the time goes into squares. Numbers without holes stand in blocks of [`LANES`] rows, column by column
//! within a block, so that the sums of a block stay in registers; some rows go through a tile of blocks that stays in
//! the cache. A row's sum is made in one order whatever the number of threads.

use rayon::prelude::*;

use super::kernels::{Bandwidths, Cells, Kernel};

/// Rows of a block.
const LANES: usize = 8;
/// Stored rows of a tile, in whole blocks.
const TILE: usize = 64 * LANES;
/// Rows that go through a tile one after the other.
const GROUP: usize = 16;

/// What is beyond so many nats of the likeliest row adds nothing that an f64 of the sum holds: 10^6 e^−52 < 2^−53.
const NEGLIGIBLE: f64 = 52.0;

/// Stored rows under kernels.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) kernels: Vec<Kernel>,
    /// Number of stored rows.
    len: usize,
    /// Columns of numbers that are all there.
    plain: Vec<usize>,
    /// a of these: `[blocks, plain columns, LANES]`.
    numbers: Vec<f64>,
    /// All other columns.
    others: Vec<(usize, Other)>,
}

/// A column that is no plain one.
#[derive(Clone, Debug)]
enum Other {
    /// a of each row; NaN where it is missing.
    Holes(Vec<f64>),
    /// Of each row the index of its label.
    Labels(Vec<u32>),
}

/// A row as it is compared with stored ones.
struct Query {
    /// What does not depend on the stored row.
    constant: f64,
    /// a of the plain columns; those that are missing contribute nothing here.
    numbers: Vec<f64>,
    /// Which plain columns those are.
    are_missing: Vec<bool>,
    has_missing: bool,
    others: Vec<Term>,
}

/// What a column that is no plain one adds to the cost.
enum Term {
    /// A number: the cost of its square, and that around a missing centre.
    Number { at: f64, there: f64, around_missing: f64 },
    /// A missing number: the cost beside one, and beside a missing one.
    Missing { there: f64, both: f64 },
    /// The cost of each label as the centre.
    Label(Vec<f64>),
}

/// log Σ exp(−cost) of the costs so far.
#[derive(Clone, Copy)]
struct Sum {
    least: f64,
    sum: f64,
}

impl Sum {
    const EMPTY: Self = Self { least: f64::INFINITY, sum: 0.0 };

    fn add(&mut self, costs: &[f64]) {
        let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
        if least < self.least {
            self.sum *= (least - self.least).exp();
            self.least = least;
        }
        for &cost in costs {
            let above = cost - self.least;
            if above < NEGLIGIBLE {
                self.sum += (-above).exp();
            }
        }
    }

    fn log(self) -> f64 {
        self.sum.ln() - self.least
    }
}

/// log Σ exp(−cost).
pub(super) fn log_sum(costs: &[f64]) -> f64 {
    let mut sum = Sum::EMPTY;
    costs.chunks(TILE).for_each(|costs| sum.add(costs));
    if sum.least == f64::INFINITY { f64::NEG_INFINITY } else { sum.log() }
}

/// Makes Σ exp(−cost) one, and returns what its logarithm was.
pub(super) fn normalize(costs: &mut [f64]) -> f64 {
    let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
    costs.iter_mut().for_each(|cost| *cost -= least);
    let sum = log_sum(costs);
    costs.iter_mut().for_each(|cost| *cost += sum);
    sum - least
}

impl Layout {
    /// Of rows, `[len, columns]`.
    pub(super) fn new(cells: &[Cells], rows: &[f64], bandwidths: &Bandwidths) -> Self {
        let width = cells.len();
        let len = rows.len() / width;
        let kernels: Vec<Kernel> = cells
            .iter()
            .zip(&bandwidths.numbers)
            .map(|(cells, &h)| cells.kernel(h, bandwidths.labels))
            .collect();
        let (mut plain, mut others) = (Vec::new(), Vec::new());
        for (t, kernel) in kernels.iter().enumerate() {
            let cells = rows.iter().skip(t).step_by(width);
            match kernel {
                Kernel::Label(label) => {
                    let codes = cells.map(|&x| label.index(x) as u32);
                    others.push((t, Other::Labels(codes.collect())));
                }
                Kernel::Number(number) if cells.clone().any(|x| x.is_nan()) => {
                    others.push((t, Other::Holes(cells.map(|&x| number.at(x)).collect())));
                }
                Kernel::Number(_) => plain.push(t),
            }
        }
        let mut numbers = vec![0.0; len.next_multiple_of(LANES) * plain.len()];
        for (k, &t) in plain.iter().enumerate() {
            let Kernel::Number(number) = &kernels[t] else { continue };
            for (i, row) in rows.chunks_exact(width).enumerate() {
                let block = i / LANES * plain.len();
                numbers[(block + k) * LANES + i % LANES] = number.at(row[t]);
            }
        }
        Self { kernels, len, plain, numbers, others }
    }

    fn query(&self, row: &[f64]) -> Query {
        let mut query = Query {
            constant: 0.0,
            numbers: Vec::with_capacity(self.plain.len()),
            are_missing: Vec::with_capacity(self.plain.len()),
            has_missing: false,
            others: Vec::with_capacity(self.others.len()),
        };
        for &t in &self.plain {
            let Kernel::Number(number) = &self.kernels[t] else { continue };
            let is_missing = row[t].is_nan();
            query.constant -= if is_missing { number.missing } else { number.there };
            query.numbers.push(if is_missing { 0.0 } else { number.at(row[t]) });
            query.are_missing.push(is_missing);
            query.has_missing |= is_missing;
        }
        let term = |&(t, _): &(usize, Other)| Term::of(&self.kernels[t], row[t]);
        query.others.extend(self.others.iter().map(term));
        query
    }

    /// The costs of the stored rows from `first` on.
    fn costs(&self, query: &Query, first: usize, costs: &mut [f64]) {
        let width = self.plain.len();
        if width == 0 {
            costs.fill(query.constant);
        } else {
            let blocks = &self.numbers[first * width..];
            for (costs, block) in costs.chunks_mut(LANES).zip(blocks.chunks_exact(LANES * width)) {
                let mut sums = [query.constant; LANES];
                if query.has_missing {
                    for (k, centres) in block.as_chunks::<LANES>().0.iter().enumerate() {
                        if !query.are_missing[k] {
                            add_squares(query.numbers[k], centres, &mut sums);
                        }
                    }
                } else {
                    for (at, centres) in query.numbers.iter().zip(block.as_chunks::<LANES>().0) {
                        add_squares(*at, centres, &mut sums);
                    }
                }
                costs.copy_from_slice(&sums[..costs.len()]);
            }
        }
        for (term, (_, other)) in query.others.iter().zip(&self.others) {
            term.add(other, first, costs);
        }
    }

    /// log Σ_i Π_t K_t of each row, in nats; `without` names for each a stored row that is left out.
    ///
    /// # Shapes
    /// `rows` is `[n, columns]`; returns `[n]`.
    pub(super) fn log_sums(&self, rows: &[f64], without: Option<&[usize]>) -> Vec<f64> {
        let width = self.kernels.len();
        let n = rows.len() / width;
        let mut sums = vec![0.0; n];
        sums.par_chunks_mut(GROUP).enumerate().for_each(|(group, out)| {
            let of = group * GROUP..group * GROUP + out.len();
            let rows = rows[of.start * width..of.end * width].chunks_exact(width);
            let queries: Vec<Query> = rows.map(|row| self.query(row)).collect();
            let mut sums = [Sum::EMPTY; GROUP];
            let mut costs = [0.0; TILE];
            for first in (0..self.len).step_by(TILE) {
                let costs = &mut costs[..TILE.min(self.len - first)];
                for ((k, query), sum) in queries.iter().enumerate().zip(&mut sums) {
                    self.costs(query, first, costs);
                    if let Some(own) = without.map(|without| without[of.start + k])
                        && let Some(cost) = own.checked_sub(first).and_then(|i| costs.get_mut(i))
                    {
                        *cost = f64::INFINITY;
                    }
                    sum.add(costs);
                }
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = if sum.least == f64::INFINITY { f64::NEG_INFINITY } else { sum.log() };
            }
        });
        sums
    }

    /// Adds −log K_t(x | x_{i,t}) of each stored row i to its cost, but for the least of them, which is returned: so
    /// what tells the rows apart in other columns is not lost beside a number that is far from all. It is `inf`, and
    /// nothing is added, where x is impossible.
    pub(super) fn add(&self, t: usize, x: f64, costs: &mut [f64]) -> f64 {
        let mut own = vec![0.0; self.len];
        self.add_own(t, x, &mut own);
        let least = own.iter().copied().fold(f64::INFINITY, f64::min);
        if least.is_finite() {
            costs.iter_mut().zip(own).for_each(|(cost, own)| *cost += own - least);
        }
        least
    }

    /// −log K_t(x | x_{i,t}) of each stored row.
    pub(super) fn add_own(&self, t: usize, x: f64, costs: &mut [f64]) {
        if let Some((_, other)) = self.others.iter().find(|(other, _)| *other == t) {
            return Term::of(&self.kernels[t], x).add(other, 0, costs);
        }
        let Some(k) = self.plain.iter().position(|plain| *plain == t) else { return };
        let Kernel::Number(number) = &self.kernels[t] else { return };
        if x.is_nan() {
            costs.fill(-number.missing);
            return;
        }
        let (at, width) = (number.at(x), self.plain.len());
        let blocks = self.numbers.as_chunks::<LANES>().0.iter().skip(k).step_by(width);
        for (costs, centres) in costs.chunks_mut(LANES).zip(blocks) {
            for (cost, centre) in costs.iter_mut().zip(centres) {
                *cost = (at - centre) * (at - centre) - number.there;
            }
        }
    }
}

fn add_squares(at: f64, centres: &[f64; LANES], sums: &mut [f64; LANES]) {
    for (sum, centre) in sums.iter_mut().zip(centres) {
        *sum += (at - centre) * (at - centre);
    }
}

impl Term {
    fn of(kernel: &Kernel, x: f64) -> Self {
        match kernel {
            Kernel::Label(label) => {
                Self::Label(label.of_centres(x).into_iter().map(|log| -log).collect())
            }
            Kernel::Number(number) if x.is_nan() => {
                Self::Missing { there: -number.missing, both: -number.both_missing }
            }
            Kernel::Number(number) => Self::Number {
                at: number.at(x),
                there: -number.there,
                around_missing: -number.around_missing(x),
            },
        }
    }

    /// Adds the costs of the stored rows from `first` on.
    fn add(&self, other: &Other, first: usize, costs: &mut [f64]) {
        match (self, other) {
            (Self::Label(of_centres), Other::Labels(labels)) => {
                for (cost, &label) in costs.iter_mut().zip(&labels[first..]) {
                    *cost += of_centres[label as usize];
                }
            }
            (&Self::Number { at, there, around_missing }, Other::Holes(centres)) => {
                for (cost, &centre) in costs.iter_mut().zip(&centres[first..]) {
                    let square = (at - centre) * (at - centre);
                    *cost += if centre.is_nan() { around_missing } else { there + square };
                }
            }
            (&Self::Missing { there, both }, Other::Holes(centres)) => {
                for (cost, &centre) in costs.iter_mut().zip(&centres[first..]) {
                    *cost += if centre.is_nan() { both } else { there };
                }
            }
            _ => unreachable!("a term is made from the kernel of its column"),
        }
    }
}
