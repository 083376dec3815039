//! p(x_t | x_<t) of a column.

use std::sync::Arc;

use ar_kernels::columns::{self, Family, Head, Heads, Missing};
use burn::tensor::{Tensor, TensorData};
use prob_core::logspace::logsumexp_dim;
use prob_core::{Density, Sample, standard_normal, uniform};
use rand::Rng;

use super::Units;
use crate::neural::{data_dtype, host_f64};

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
    /// A value of the row with these outputs.
    fn draw(&self, outputs: &[f64], rng: &mut dyn Rng) -> f64 {
        match self.head {
            // What training never saw is not drawn: nobody can say what it would be.
            Head::Category { .. } => index(outputs, uniform(rng)) as f64,
            Head::Number { components, family, floor, missing } => {
                let (is_missing, outputs) = match missing {
                    Missing::Never(_) => (false, outputs),
                    Missing::Learned => {
                        let share = 1.0 / (1.0 + (-outputs[0]).exp());
                        (uniform(rng) < share, &outputs[1..])
                    }
                };
                let k = index(&outputs[..components], uniform(rng));
                let mean = outputs[components + k];
                let scale = outputs[2 * components + k].exp() + floor;
                let z = match family {
                    Family::Gaussian { .. } => mean + scale * standard_normal(rng),
                    // The inverse of σ((z − μ)/s); the grid's point whose cell it is in has the cell's mass.
                    Family::Grid { .. } => {
                        let u = uniform(rng).max(f64::MIN_POSITIVE);
                        mean + scale * (u.ln() - (-u).ln_1p())
                    }
                };
                if is_missing { f64::NAN } else { self.units.number(self.column, z) }
            }
        }
    }
}

/// The label that a uniform number falls on under a softmax.
fn index(logits: &[f64], uniform: f64) -> usize {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weight = |logit: &f64| (logit - most).exp();
    let mut left = uniform * logits.iter().map(weight).sum::<f64>();
    for (k, logit) in logits.iter().enumerate() {
        left -= weight(logit);
        if left < 0.0 {
            return k;
        }
    }
    logits.len() - 1
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

/// Given that nothing is drawn that training never saw: neither another label, nor a missing number in a column
/// without any.
impl Sample for ColumnConditional {
    /// # Panics
    /// When `n` is not the number of rows.
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<1> {
        let [batch, width] = self.outputs.dims();
        assert_eq!(n, batch, "one draw for each row");
        let outputs: Vec<f64> = self.outputs.to_data().iter::<f64>().collect();
        let drawn: Vec<f64> = outputs.chunks_exact(width).map(|row| self.draw(row, rng)).collect();
        let device = self.outputs.device();
        Tensor::from_data(TensorData::new(drawn, [n]), (&device, data_dtype(&device)))
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

/// A member by its weight, where there are several, and a draw from it.
impl Sample for MixedConditional {
    /// # Panics
    /// When `n` is not the number of rows.
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<1> {
        let first = &self.members[0];
        if self.members.len() == 1 {
            return first.sample(n, rng);
        }
        let [batch, width] = first.outputs.dims();
        assert_eq!(n, batch, "one draw for each row");
        let outputs: Vec<Vec<f64>> =
            self.members.iter().map(|member| host_f64(member.outputs.clone())).collect();
        let weights = host_f64(self.log_weights.clone());
        let rows = weights.chunks_exact(self.members.len()).enumerate();
        let drawn: Vec<f64> = rows
            .map(|(row, weights)| {
                let k = index(weights, uniform(rng));
                self.members[k].draw(&outputs[k][row * width..(row + 1) * width], rng)
            })
            .collect();
        let device = first.outputs.device();
        Tensor::from_data(TensorData::new(drawn, [n]), (&device, data_dtype(&device)))
    }
}
