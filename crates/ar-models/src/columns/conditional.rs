//! p(x_t | x_<t) of a column.

use std::sync::Arc;

use ar_kernels::columns::{self, Head, Heads};
use burn::tensor::{Tensor, TensorData};
use prob_core::{Density, Sample};
use rand::Rng;

use super::cell::Cell;
use super::{Region, Units};
use crate::neural::data_dtype;

/// The conditional of one column, one row of parameters for each row of a batch.
#[derive(Clone, Debug)]
pub struct ColumnConditional {
    pub(super) units: Arc<Units>,
    /// The column, in event order.
    pub(super) column: usize,
    pub(super) head: Head,
    /// `[batch, outputs of the head]`
    pub(super) outputs: Tensor<2>,
}

impl ColumnConditional {
    /// The outputs on the host, a row after the other, and how many there are of each.
    pub(super) fn host(&self) -> (Vec<f64>, usize) {
        let [_, width] = self.outputs.dims();
        (self.outputs.to_data().iter::<f64>().collect(), width)
    }

    /// The distribution of one cell, given the outputs of its row.
    pub(super) fn cell<'a>(&'a self, outputs: &'a [f64]) -> Cell<'a> {
        Cell { units: &self.units, column: self.column, head: self.head, outputs }
    }
}

/// An event is `[batch]`: indices of labels, or numbers, NaN where one is missing.
impl Density for ColumnConditional {
    type Event = Tensor<1>;

    fn log_prob(&self, x: Tensor<1>) -> Tensor<1> {
        let [n] = x.dims();
        let target = |x: f64| self.units.target(self.column, x);
        let targets: Vec<f64> = x.into_data().iter::<f64>().map(target).collect();
        let like = (&self.outputs.device(), self.outputs.dtype());
        let targets = Tensor::from_data(TensorData::new(targets, [n, 1]), like);
        columns::log_prob(self.outputs.clone(), targets, &Heads::new(vec![self.head])).reshape([n])
    }
}

/// Given that nothing is drawn that training never saw: no other label, no number beyond its range, and no missing number
/// in a column without any.
impl Sample for ColumnConditional {
    /// # Panics
    /// When `n` is not the number of rows.
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<1> {
        let [batch, _] = self.outputs.dims();
        assert_eq!(n, batch, "one draw for each row");
        let (outputs, width) = self.host();
        let row = |row| self.cell(row).draw(&Region::Seen, rng);
        let drawn: Vec<f64> = outputs.chunks_exact(width).map(row).collect();
        let device = self.outputs.device();
        Tensor::from_data(TensorData::new(drawn, [n]), (&device, data_dtype(&device)))
    }
}
