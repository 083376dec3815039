//! Rows under conditions: where cells lie is known, and no more.
//!
//! ```text
//! p(x ∈ R) = 1/n Σ_i Π_t K_t(R_t | x_{i,t})
//! x ~ p(x | x ∈ R):   a row i by Π_t K_t(R_t | x_{i,t}), then each cell from its kernel within its region
//! ```
//!
//! Both are exact, whatever the regions and whichever columns they are of.

use prob_core::uniform;
use rand::Rng;
use rayon::prelude::*;

use super::KernelWindow;
use super::kernels::Kernel;
use super::layout::log_sum;
use crate::parts::columns::{Draws, Region};

/// What a region costs around each stored row, but for the least of them.
struct Costs {
    least: f64,
    above: Vec<f64>,
}

impl KernelWindow {
    /// The same region but for what the stored rows never saw, as networks have it of training rows.
    fn seen(&self, t: usize, region: &Region) -> Region {
        let (least, most) = self.ranges[t];
        match *region {
            Region::Any => Region::Seen,
            Region::Between(low, high) => {
                let low = if low.is_infinite() && least <= high { least } else { low };
                let high = if high.is_infinite() && low <= most { most } else { high };
                Region::Between(low, high)
            }
            _ => region.clone(),
        }
    }

    fn costs(&self, t: usize, region: &Region) -> Costs {
        let mut above = vec![0.0; self.stored()];
        let (kernel, range) = (&self.layout.kernels[t], self.ranges[t]);
        let cells = || self.rows.iter().skip(t).step_by(self.cells.len());
        match (region, kernel) {
            (Region::Any, _) => {}
            (Region::Value(x), _) => self.layout.add_own(t, *x, &mut above),
            (_, Kernel::Label(label)) => {
                let of = |c: usize| -kernel.log_mass(region, c as f64, range);
                let of_centres: Vec<f64> = (0..=label.labels()).map(of).collect();
                for (above, &c) in above.iter_mut().zip(cells()) {
                    *above = of_centres[label.index(c)];
                }
            }
            _ => {
                for (above, &c) in above.iter_mut().zip(cells()) {
                    *above = -kernel.log_mass(region, c, range);
                }
            }
        }
        let least = above.iter().copied().fold(f64::INFINITY, f64::min);
        match least.is_finite() {
            true => above.iter_mut().for_each(|cost| *cost -= least),
            false => above.fill(0.0),
        }
        Costs { least, above }
    }

    /// Adds up the costs of the regions of a row; what is common to all stored rows is returned.
    fn add_costs(&self, regions: &[Region], known: &Known<'_>, costs: &mut [f64]) -> f64 {
        let mut common = 0.0;
        for (t, region) in regions.iter().enumerate().filter(|(_, region)| !region.is_any()) {
            let own;
            let Costs { least, above } = match known.find(t, region) {
                Some(found) => found,
                None => {
                    own = self.costs(t, region);
                    &own
                }
            };
            common += least;
            costs.iter_mut().zip(above).for_each(|(cost, above)| *cost += above);
        }
        common
    }

    /// ln p that the cells of a row lie in these regions, exact, in nats; a density where a value of a real column is
    /// among them.
    ///
    /// # Shapes
    /// `regions` is `[variables]` in event order.
    ///
    /// # Panics
    /// When `regions` is not a row.
    pub fn log_prob_of_regions(&self, regions: &[Region]) -> f64 {
        assert_eq!(regions.len(), self.cells.len(), "an entry for each variable");
        let mut costs = self.alike();
        let common = self.add_costs(regions, &Known(Vec::new()), &mut costs);
        log_sum(&costs) - common
    }

    /// Rows drawn given where their cells lie, and given that they hold nothing else that the stored rows never saw: no
    /// other label, no number beyond the range of its column, nothing missing where nothing was.
    ///
    /// # Shapes
    /// `regions` is `[n, variables]` in event order.
    ///
    /// # Panics
    /// When `regions` is not whole rows.
    pub fn draws_given(&self, regions: &[Region], samples: usize, rng: &mut dyn Rng) -> Draws {
        let width = self.cells.len();
        assert!(regions.len().is_multiple_of(width), "whole rows");
        let regions: Vec<Region> =
            regions.iter().enumerate().map(|(at, region)| self.seen(at % width, region)).collect();
        // Many rows have the same cells missing.
        let known = Known::of(self, &regions);
        let uniforms: Vec<f64> =
            (0..regions.len() / width * samples).map(|_| uniform(rng)).collect();
        let choose = |(regions, uniforms): (&[Region], &[f64])| {
            let mut costs = self.alike();
            let common = self.add_costs(regions, &known, &mut costs);
            let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
            let mut all = 0.0;
            let reached: Vec<f64> = costs
                .iter()
                .map(|cost| {
                    all += (least - cost).exp();
                    all
                })
                .collect();
            // The first row that is reached has a weight, also where rounding leaves nothing.
            let row = |u: &f64| {
                let at = reached.partition_point(|&reached| reached <= u * all);
                let last = reached.partition_point(|&reached| reached < all);
                at.min(last)
            };
            let rows: Vec<usize> = uniforms.iter().map(row).collect();
            (log_sum(&costs) - common, rows)
        };
        let chosen: Vec<(f64, Vec<usize>)> =
            regions.par_chunks(width).zip(uniforms.par_chunks(samples)).map(choose).collect();
        let mut values = Vec::with_capacity(regions.len() * samples);
        for (regions, (_, rows)) in regions.chunks_exact(width).zip(&chosen) {
            for &i in rows {
                let centre = &self.rows[i * width..(i + 1) * width];
                for (t, (region, &c)) in regions.iter().zip(centre).enumerate() {
                    let kernel = &self.layout.kernels[t];
                    values.push(kernel.draw_within(region, c, self.ranges[t], rng));
                }
            }
        }
        Draws { values, log_prob: chosen.into_iter().map(|(log_prob, _)| log_prob).collect() }
    }

    /// ln p that cell `i` of a row lies in each of `regions` given the values that `row` knows of other cells, in nats.
    ///
    /// # Shapes
    /// `row` is `[variables]` in event order; returns one for each of `regions`.
    ///
    /// # Panics
    /// When `row` is not a row.
    pub fn log_probs_of_cell(&self, row: &[Region], i: usize, regions: &[Region]) -> Vec<f64> {
        let value = |(t, region): (usize, &Region)| match region {
            Region::Value(x) if t != i => Some(*x),
            _ => None,
        };
        let observed: Vec<Option<f64>> = row.iter().enumerate().map(value).collect();
        let log_weights = self.log_weights(&observed);
        let of = |region: &Region| {
            let Costs { least, above } = self.costs(i, region);
            let costs = above.iter().zip(&log_weights).map(|(cost, weight)| cost - weight);
            log_sum(&costs.collect::<Vec<f64>>()) - least
        };
        regions.iter().map(of).collect()
    }
}

/// What regions that several rows have in common cost.
struct Known<'a>(Vec<(usize, &'a Region, Costs)>);

impl<'a> Known<'a> {
    /// Of all regions but values, which few rows share.
    fn of(window: &KernelWindow, regions: &'a [Region]) -> Self {
        let mut known = Self(Vec::new());
        let width = window.cells.len();
        for (at, region) in regions.iter().enumerate() {
            let is_value = matches!(region, Region::Value(_));
            if !is_value && known.find(at % width, region).is_none() {
                known.0.push((at % width, region, window.costs(at % width, region)));
            }
        }
        known
    }

    fn find(&self, t: usize, region: &Region) -> Option<&Costs> {
        let same = |(of, known, _): &&(usize, &Region, Costs)| *of == t && *known == region;
        self.0.iter().find(same).map(|(.., costs)| costs)
    }
}
