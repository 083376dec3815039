//! Rows under conditions: draws given where some cells lie, and how probable that is.
//!
//! ```text
//! for t in 0..D, for each of N particles j:
//!     w_j ← w_j · p(x_t ∈ R_t | x_<t of j)
//!     x_t of j ~ p(x_t | x_t ∈ R_t, x_<t of j)
//! p(x_0 ∈ R_0, …) ≈ the mean of w
//! ```
//!
//! A particle draws allowed values alone and pays for it with the mass they have, so that no walk is lost however
//! improbable the conditions are; the mean of the weights is unbiased. For draws given the conditions particles are
//! resampled by their weights, as in [`crate::parts::walk::monte_carlo`]; for a probability they walk on their own, so that
//! their spread is its standard error. Where the columns up to the last condition are categories of few labels, their
//! values are enumerated instead, and the probability is exact.
//!
//! # References
//! - Yang et al., *Deep Unsupervised Cardinality Estimation*, VLDB 2019, arXiv:1905.04278, Section 5.1 (progressive
//!   sampling).
//! - Doucet and Johansen, *A Tutorial on Particle Filtering and Smoothing: Fifteen years later*, 2009, Section 3.5.

use burn::tensor::{Device, Float};
use prob_core::logspace::{log_mean_exp, logsumexp};
use prob_core::{Autoregressive, uniform};
use rand::Rng;

use super::conditional::Cells;
use super::region::Region;
use crate::foundation::column::Column;
use crate::parts::value::ValueKind;
use crate::parts::walk::{effective, systematic};

/// How much is done for each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Walks at a time.
    pub particles: usize,
    /// Rows that are chosen among them.
    pub samples: usize,
}

/// Rows under conditions.
#[derive(Clone, Debug, PartialEq)]
pub struct Draws {
    /// `[n, samples, columns]` in event order.
    pub values: Vec<f64>,
    /// ln of an unbiased estimate of the probability of each row's conditions, `[n]`, in nats; a density where a value
    /// of a real column is among them.
    pub log_prob: Vec<f64>,
}

/// Rows drawn given where their cells lie.
///
/// Uniforms: row by row, as many as the cells of a position need; then one per row that is resampled; at the end one per
/// row.
///
/// # Shapes
/// `regions` is `[n, columns]` in event order.
///
/// # Panics
/// When `regions` is not whole rows, or nothing is to be done.
pub(crate) fn draws<M>(
    model: &M,
    ordering: &[usize],
    regions: &[Region],
    effort: Effort,
    device: &Device,
    rng: &mut dyn Rng,
) -> Draws
where
    M: Autoregressive<Conditional: Cells>,
{
    let (columns, Effort { particles, samples }) = (ordering.len(), effort);
    assert!(columns > 0 && regions.len().is_multiple_of(columns), "whole rows");
    assert!(particles > 0 && samples > 0, "0 particles or samples, expected at least 1");
    let n = regions.len() / columns;
    let mut walks = Walks::start(model, n * particles, columns);
    let mut log_prob = vec![0.0; n];
    if n == 0 {
        return Draws { values: Vec::new(), log_prob };
    }
    for (t, &i) in ordering.iter().enumerate() {
        walks.step(model, i, device, |walk| &regions[walk / particles * columns + i], rng);
        if t + 1 == columns {
            break;
        }
        let mut ancestors: Vec<usize> = (0..n * particles).collect();
        for (row, weights) in walks.log_weights.chunks_exact_mut(particles).enumerate() {
            if effective(weights) >= particles as f64 / 2.0 {
                continue;
            }
            let first = row * particles;
            let chosen = systematic(weights, particles, uniform(rng));
            for (ancestor, chosen) in ancestors[first..first + particles].iter_mut().zip(chosen) {
                *ancestor = first + chosen;
            }
            log_prob[row] += log_mean_exp(weights);
            weights.fill(0.0);
        }
        if !ancestors.is_sorted_by(|a, b| a < b) {
            walks.select(model, &ancestors);
        }
    }
    let mut values = Vec::with_capacity(n * samples * columns);
    for (row, weights) in walks.log_weights.chunks_exact(particles).enumerate() {
        log_prob[row] += log_mean_exp(weights);
        for chosen in systematic(weights, samples, uniform(rng)) {
            values.extend_from_slice(walks.row(row * particles + chosen));
        }
    }
    Draws { values, log_prob }
}

/// ln of the weights of `particles` independent walks under the conditions of one row; their mean is an unbiased estimate
/// of the probability.
pub(crate) fn probability<M>(
    model: &M,
    ordering: &[usize],
    regions: &[Region],
    particles: usize,
    device: &Device,
    rng: &mut dyn Rng,
) -> Vec<f64>
where
    M: Autoregressive<Conditional: Cells>,
{
    let mut walks = Walks::start(model, particles, ordering.len());
    for &i in &ordering[..after_last(ordering, regions)] {
        walks.step(model, i, device, |_| &regions[i], rng);
    }
    walks.log_weights
}

/// ln of the probability of the conditions of one row, in nats, where the values of the columns up to the last
/// condition are at most `most` and can be enumerated; `None` elsewhere.
pub(crate) fn exact<M>(
    model: &M,
    ordering: &[usize],
    columns: &[Column],
    regions: &[Region],
    most: usize,
    device: &Device,
) -> Option<f64>
where
    M: Autoregressive<Conditional: Cells>,
{
    let end = after_last(ordering, regions);
    let Some((&last, before)) = ordering[..end].split_last() else { return Some(0.0) };
    let allowed = |i: usize| -> Option<Vec<f64>> {
        match (&regions[i], columns[i]) {
            (Region::Value(x), _) => Some(vec![*x]),
            (Region::Labels(labels), Column::Category { .. }) => {
                let is_in = |(label, is_in): (usize, &bool)| is_in.then_some(label as f64);
                Some(labels.iter().enumerate().filter_map(is_in).collect())
            }
            (_, Column::Category { labels }) => {
                Some((0..=labels).map(|label| label as f64).collect())
            }
            _ => None,
        }
    };
    let values: Vec<Vec<f64>> = before.iter().map(|&i| allowed(i)).collect::<Option<_>>()?;
    values
        .iter()
        .try_fold(1_usize, |all, own| all.checked_mul(own.len()).filter(|all| *all <= most))?;
    let mut walks = Walks::start(model, 1, ordering.len());
    for (&i, values) in before.iter().zip(&values) {
        // Each walk goes on with each value.
        let count = walks.log_weights.len();
        let every: Vec<usize> =
            (0..count).flat_map(|walk| values.iter().map(move |_| walk)).collect();
        walks.log_weights = every.iter().map(|&walk| walks.log_weights[walk]).collect();
        walks.select(model, &every);
        let regions: Vec<Region> = values.iter().map(|&value| Region::Value(value)).collect();
        walks.step(model, i, device, |walk| &regions[walk % regions.len()], &mut NoDraws);
    }
    walks.weigh(model, |_| &regions[last]);
    Some(logsumexp(&walks.log_weights))
}

/// How many positions there are up to the last condition.
fn after_last(ordering: &[usize], regions: &[Region]) -> usize {
    ordering.iter().rposition(|&i| !regions[i].is_any()).map_or(0, |last| last + 1)
}

/// Many rows on their way.
struct Walks<S> {
    state: S,
    columns: usize,
    /// `[walks, columns]` in event order.
    x: Vec<f64>,
    /// `[walks]`
    log_weights: Vec<f64>,
}

impl<S> Walks<S> {
    fn start<M: Autoregressive<State = S>>(model: &M, walks: usize, columns: usize) -> Self {
        let state = model.init_state(walks);
        Self { state, columns, x: vec![0.0; walks * columns], log_weights: vec![0.0; walks] }
    }

    fn row(&self, walk: usize) -> &[f64] {
        &self.x[walk * self.columns..(walk + 1) * self.columns]
    }

    /// Weighs the region of column `i` in each walk, and goes on with a draw from it.
    fn step<'r, M>(
        &mut self,
        model: &M,
        i: usize,
        device: &Device,
        region: impl Fn(usize) -> &'r Region,
        rng: &mut dyn Rng,
    ) where
        M: Autoregressive<State = S, Conditional: Cells>,
    {
        let conditional = model.conditional(&self.state);
        let cells = conditional.cells();
        let mut x_t = Vec::with_capacity(self.log_weights.len());
        for (walk, log_weight) in self.log_weights.iter_mut().enumerate() {
            let region = region(walk);
            *log_weight += cells.log_mass(walk, region);
            let x = cells.draw(walk, region, rng);
            self.x[walk * self.columns + i] = x;
            x_t.push(x);
        }
        let x_t = Float::to_device(&x_t, 1, device).reshape([x_t.len()]);
        model.advance(&mut self.state, x_t);
    }

    /// Weighs a last region.
    fn weigh<'r, M>(&mut self, model: &M, region: impl Fn(usize) -> &'r Region)
    where
        M: Autoregressive<State = S, Conditional: Cells>,
    {
        let conditional = model.conditional(&self.state);
        let cells = conditional.cells();
        for (walk, log_weight) in self.log_weights.iter_mut().enumerate() {
            *log_weight += cells.log_mass(walk, region(walk));
        }
    }

    fn select<M: Autoregressive<State = S>>(&mut self, model: &M, walks: &[usize]) {
        self.state = model.select(&self.state, walks);
        self.x = walks.iter().flat_map(|&walk| self.row(walk)).copied().collect();
    }
}

/// For walks whose values are all given.
struct NoDraws;

impl rand::TryRng for NoDraws {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        unreachable!("a value that is known is not drawn")
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        unreachable!("a value that is known is not drawn")
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Self::Error> {
        unreachable!("a value that is known is not drawn")
    }
}
