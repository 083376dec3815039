//! p(x_t | x_<t) of a column.

use std::sync::Arc;

use ar_kernels::columns::{self, Head, Heads};
use burn::tensor::{Tensor, TensorData};
use prob_core::logspace::{logsumexp, logsumexp_dim};
use prob_core::{Density, Sample, uniform};
use rand::Rng;

use super::cell::{Cell, index};
use super::listed::Rows;
use super::region::Region;
use super::units::Units;
use crate::parts::tensors::{data_dtype, host_f64};

/// The conditional of one column, one row of parameters for each row of a batch.
#[derive(Clone, Debug)]
pub struct ColumnConditional {
    pub(crate) units: Arc<Units>,
    /// The column, in event order.
    pub(crate) column: usize,
    pub(crate) head: Head,
    /// `[batch, outputs of the head]`
    pub(crate) outputs: Tensor<2>,
}

impl ColumnConditional {
    /// The outputs on the host, a row after the other, and how many there are of each.
    fn host(&self) -> (Vec<f64>, usize) {
        let [_, width] = self.outputs.dims();
        (self.outputs.to_data().iter::<f64>().collect(), width)
    }

    /// The distribution of one cell, given the outputs of its row.
    fn cell<'a>(&'a self, outputs: &'a [f64]) -> Cell<'a> {
        Cell { units: &self.units, column: self.column, head: self.head, outputs }
    }
}

/// An event is `[batch]`: indices of labels, or numbers, NaN where one is missing.
impl Density for ColumnConditional {
    type Event = Tensor<1>;

    fn log_prob(&self, x: Tensor<1>) -> Tensor<1> {
        let [n] = x.dims();
        let width = self.head.targets();
        let mut targets = vec![0.0; n * width];
        for (own, x) in targets.chunks_exact_mut(width).zip(x.into_data().iter::<f64>()) {
            self.units.write_targets(self.column, x, Rows::Any, own, |x| x);
        }
        let like = (&self.outputs.device(), self.outputs.dtype());
        let targets = Tensor::from_data(TensorData::new(targets, [n, width]), like);
        columns::log_prob(self.outputs.clone(), targets, &Heads::new(vec![self.head])).reshape([n])
    }
}

/// Given that nothing is drawn that training never saw: no other label, no number beyond its range, and no missing number
/// in a column without any.
impl Sample for ColumnConditional {
    /// # Panics
    /// When `n` is not the number of rows.
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<1> {
        seen(self, &self.outputs, n, rng)
    }
}

/// The mixture of several conditionals of one column, as those under different masks, each row with weights of its own.
#[derive(Clone, Debug)]
pub struct MixedConditional {
    members: Vec<ColumnConditional>,
    /// Logarithms of the weights, `[batch, members]`.
    log_weights: Tensor<2>,
}

impl MixedConditional {
    /// `log_weights` are those of the members, `[batch, members]`.
    pub(crate) fn new(members: Vec<ColumnConditional>, log_weights: Tensor<2>) -> Self {
        Self { members, log_weights }
    }

    /// log p of each value under each member, `[batch, members]`.
    pub(crate) fn log_prob_per_member(&self, x: Tensor<1>) -> Tensor<2> {
        Tensor::stack(self.members.iter().map(|member| member.log_prob(x.clone())).collect(), 1)
    }
}

/// An event is as for [`ColumnConditional`].
impl Density for MixedConditional {
    type Event = Tensor<1>;

    fn log_prob(&self, x: Tensor<1>) -> Tensor<1> {
        let [n] = x.dims();
        match &self.members[..] {
            [one] => one.log_prob(x),
            _ if n == 0 => x,
            _ => {
                let joint = self.log_weights.clone() + self.log_prob_per_member(x);
                logsumexp_dim(joint, 1).reshape([n])
            }
        }
    }
}

/// Given that nothing is drawn that training never saw, as of a [`ColumnConditional`].
impl Sample for MixedConditional {
    /// # Panics
    /// When `n` is not the number of rows.
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<1> {
        seen(self, &self.members[0].outputs, n, rng)
    }
}

/// A conditional whose cells have probabilities of regions, and draws within them.
pub(crate) trait Cells: Density<Event = Tensor<1>> {
    /// Its parameters on the host.
    fn cells(&self) -> HostCells<'_>;
}

impl Cells for ColumnConditional {
    fn cells(&self) -> HostCells<'_> {
        HostCells { members: vec![HostMember::of(self)], log_weights: Vec::new() }
    }
}

impl Cells for MixedConditional {
    fn cells(&self) -> HostCells<'_> {
        let log_weights = match self.members.len() {
            1 => Vec::new(),
            _ => host_f64(self.log_weights.clone()),
        };
        HostCells { members: self.members.iter().map(HostMember::of).collect(), log_weights }
    }
}

/// The cells of a conditional on the host, one for each row of a batch:
///
/// ```text
/// p(R) = Σ_k w_k p_k(R);   given the region, k ~ w_k p_k(R), then a draw of p_k within it
/// ```
pub(crate) struct HostCells<'a> {
    members: Vec<HostMember<'a>>,
    /// `[batch, members]`, none of a single one.
    log_weights: Vec<f64>,
}

struct HostMember<'a> {
    conditional: &'a ColumnConditional,
    /// `[batch, width]`
    outputs: Vec<f64>,
    width: usize,
}

impl<'a> HostMember<'a> {
    fn of(conditional: &'a ColumnConditional) -> Self {
        let (outputs, width) = conditional.host();
        Self { conditional, outputs, width }
    }

    fn cell(&self, row: usize) -> Cell<'_> {
        self.conditional.cell(&self.outputs[row * self.width..(row + 1) * self.width])
    }
}

impl HostCells<'_> {
    /// ln of each member's weight and the probability of a region under it.
    fn log_masses(&self, row: usize, region: &Region) -> Vec<f64> {
        let weights = &self.log_weights[row * self.members.len()..][..self.members.len()];
        let of =
            |(member, weight): (&HostMember<'_>, &f64)| weight + member.cell(row).log_mass(region);
        self.members.iter().zip(weights).map(of).collect()
    }

    /// ln p of a region, in nats.
    pub(crate) fn log_mass(&self, row: usize, region: &Region) -> f64 {
        match &self.members[..] {
            [one] => one.cell(row).log_mass(region),
            _ => logsumexp(&self.log_masses(row, region)),
        }
    }

    /// A draw from a region.
    pub(crate) fn draw(&self, row: usize, region: &Region, rng: &mut dyn Rng) -> f64 {
        match (&self.members[..], region) {
            (_, Region::Value(x)) => *x,
            ([one], _) => one.cell(row).draw(region, rng),
            _ => {
                let k = index(&self.log_masses(row, region), uniform(rng));
                self.members[k].cell(row).draw(region, rng)
            }
        }
    }
}

/// A draw for each row of what training could have had, of the shape and device of the outputs.
fn seen(cells: &impl Cells, outputs: &Tensor<2>, n: usize, rng: &mut dyn Rng) -> Tensor<1> {
    let [batch, _] = outputs.dims();
    assert_eq!(n, batch, "one draw for each row");
    let cells = cells.cells();
    let drawn: Vec<f64> = (0..n).map(|row| cells.draw(row, &Region::Seen, rng)).collect();
    let device = outputs.device();
    Tensor::from_data(TensorData::new(drawn, [n]), (&device, data_dtype(&device)))
}
