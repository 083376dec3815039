//! Rows under conditions of an order-agnostic NADE over columns: along each of its orderings with what is known moved to
//! the front.
//!
//! ```text
//! o_k(R): the columns whose value is known, then those with other conditions, then all others; each part as in o_k
//! p(x | R) = 1/K Σ_k p_{o_k(R)}(x | R),    p(R) = 1/K Σ_k p_{o_k(R)}(R)
//! ```
//!
//! So p(missing | observed) is that of [`ColumnOrderless::log_prob_conditional`], and nothing is lost on walks that learn
//! what is known too late.

use burn::tensor::Float;
use prob_core::logspace::{log_mean_exp, logsumexp};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive as _, uniform};
use rand::Rng;

use super::along::AnyOrdering;
use super::columns::ColumnOrderless;
use crate::parts::columns::{self, Cells as _, Draws, Effort, Region};
use crate::parts::tensors::device_of;
use crate::parts::value::ValueKind as _;
use crate::parts::walk::systematic;

/// When a column is walked: known ones first, and the longer that walks can be enumerated the better.
fn turn(region: &Region) -> u8 {
    match region {
        Region::Value(_) => 0,
        Region::Labels(_) => 1,
        Region::Present | Region::Seen | Region::Between(..) => 2,
        Region::Any => 3,
    }
}

fn moved(ordering: &Ordering, turns: &[u8]) -> Ordering {
    let mut moved = ordering.as_slice().to_vec();
    moved.sort_by_key(|&i| turns[i]);
    Ordering::from_vec(moved).expect("a permutation in another order")
}

fn turns(regions: &[Region]) -> Vec<u8> {
    regions.iter().map(turn).collect()
}

/// Rows that walk together, along one ordering.
struct Group {
    member: usize,
    turns: Vec<u8>,
    /// The row, its first sample that is drawn here, and how many are.
    rows: Vec<(usize, usize, usize)>,
}

impl ColumnOrderless {
    /// Rows drawn given where their cells lie; every sample is of an ordering that is drawn for it.
    ///
    /// # Shapes
    /// `regions` is `[n, columns]` in event order.
    pub(crate) fn draws_given(
        &self,
        regions: &[Region],
        effort: Effort,
        rng: &mut dyn Rng,
    ) -> Draws {
        let (dim, members, device) = (self.event_len(), self.orderings().len(), device_of(self));
        let Effort { particles, samples } = effort;
        let n = regions.len() / dim;
        let mut groups: Vec<Group> = Vec::new();
        for (row, regions) in regions.chunks_exact(dim).enumerate() {
            let chosen = match members {
                1 => vec![0; samples],
                _ => systematic(&vec![0.0; members], samples, uniform(rng)),
            };
            let (turns, mut first) = (turns(regions), 0);
            for run in chosen.chunk_by(|a, b| a == b) {
                let own = (row, first, run.len());
                let same = |group: &&mut Group| group.member == run[0] && group.turns == turns;
                match groups.iter_mut().find(same) {
                    Some(group) => group.rows.push(own),
                    None => {
                        let turns = turns.clone();
                        groups.push(Group { member: run[0], turns, rows: vec![own] });
                    }
                }
                first += run.len();
            }
        }
        let units = self.layout().units();
        let mut values = vec![0.0; n * samples * dim];
        let mut weights = vec![Vec::new(); n];
        for Group { member, turns, rows } in groups {
            let ordering = moved(&self.orderings()[member], &turns);
            let most = rows.iter().map(|&(.., count)| count).max().unwrap_or(1);
            let own = |&(row, ..): &(usize, usize, usize)| {
                let regions = &regions[row * dim..(row + 1) * dim];
                regions.iter().enumerate().map(|(i, region)| units.seen(i, region))
            };
            let own: Vec<Region> = rows.iter().flat_map(own).collect();
            let share = (particles * most).div_ceil(samples).max(most);
            let effort = Effort { particles: share, samples: most };
            let along = self.along(ordering.clone());
            let drawn = columns::draws(&along, ordering.as_slice(), &own, effort, &device, rng);
            for (place, (row, first, count)) in rows.into_iter().enumerate() {
                let from = &drawn.values[place * most * dim..][..count * dim];
                values[(row * samples + first) * dim..][..count * dim].copy_from_slice(from);
                weights[row].push(drawn.log_prob[place] + (count as f64).ln());
            }
        }
        let log_prob = weights.iter().map(|own| logsumexp(own) - (samples as f64).ln()).collect();
        Draws { values, log_prob }
    }

    /// ln of the probability that the cells of a row lie in these regions, in nats, where at most so many walks can be
    /// enumerated along each ordering.
    pub(crate) fn log_prob_of_regions(&self, regions: &[Region], most: usize) -> Option<f64> {
        let (turns, columns, device) =
            (turns(regions), self.layout().units().columns(), device_of(self));
        let under = |ordering: &Ordering| {
            let ordering = moved(ordering, &turns);
            let along = self.along(ordering.clone());
            columns::exact(&along, ordering.as_slice(), columns, regions, most, &device)
        };
        let under: Vec<f64> = self.orderings().iter().map(under).collect::<Option<_>>()?;
        Some(log_mean_exp(&under))
    }

    /// Logarithms of independent numbers whose expectation is the probability of the regions of a row, each along an
    /// ordering that is drawn for it.
    pub(crate) fn log_weights_of_regions(
        &self,
        regions: &[Region],
        particles: usize,
        rng: &mut dyn Rng,
    ) -> Vec<f64> {
        let (turns, members, device) = (turns(regions), self.orderings().len(), device_of(self));
        let mut counts = vec![0; members];
        match members {
            1 => counts[0] = particles,
            _ => (0..particles).for_each(|_| {
                counts[((uniform(rng) * members as f64) as usize).min(members - 1)] += 1;
            }),
        }
        let mut weights = Vec::with_capacity(particles);
        for (ordering, count) in self.orderings().iter().zip(counts) {
            if count > 0 {
                let ordering = moved(ordering, &turns);
                let along = self.along(ordering.clone());
                let walk = ordering.as_slice();
                weights.extend(columns::probability(&along, walk, regions, count, &device, rng));
            }
        }
        weights
    }

    /// ln p that cell `i` of a row lies in each of some regions given the values that `row` knows of others: one
    /// conditional of the network.
    pub(crate) fn log_probs_of_cell(
        &self,
        row: &[Region],
        i: usize,
        regions: &[Region],
    ) -> Vec<f64> {
        let device = device_of(self);
        let mut known = self.nothing_known(1);
        for (j, region) in row.iter().enumerate().filter(|&(j, _)| j != i) {
            if let Region::Value(x) = region {
                let x = Float::to_device(&[*x], 1, &device).reshape([1]);
                known = self.reveal(known, j, x);
            }
        }
        let conditional = self.conditional_of(i, &known);
        let cells = conditional.cells();
        regions.iter().map(|region| cells.log_mass(0, region)).collect()
    }
}
