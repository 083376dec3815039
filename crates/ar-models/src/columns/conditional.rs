//! p(x_t | x_<t) of a column.

use ar_kernels::columns::{Family, Head, Heads, Missing, cpu};
use burn::tensor::{DType, Device, Tensor, TensorData};
use prob_core::{Density, Sample, standard_normal, uniform};
use rand::Rng;

use super::Units;

/// The conditional of one column, one row of parameters for each row of a batch.
#[derive(Clone, Debug)]
pub struct ColumnConditional {
    pub(super) units: Units,
    /// The column, in event order.
    pub(super) column: usize,
    pub(super) head: Head,
    /// `[batch, outputs of the head]`
    pub(super) outputs: Vec<f32>,
    pub(super) device: Device,
    /// The precision of values and log-probabilities.
    pub(super) dtype: DType,
}

impl ColumnConditional {
    fn batch(&self) -> usize {
        self.outputs.len() / self.head.outputs()
    }

    fn tensor(&self, values: Vec<f64>) -> Tensor<1> {
        let n = values.len();
        Tensor::from_data(TensorData::new(values, [n]), (&self.device, self.dtype))
    }

    /// log p of each row's value, in nats.
    ///
    /// # Panics
    /// When there is not one value for each row.
    pub fn log_probs(&self, x: &[f64]) -> Vec<f64> {
        assert_eq!(x.len(), self.batch(), "one value for each row");
        let targets: Vec<f32> = x.iter().map(|&x| self.units.target(self.column, x)).collect();
        let log_probs = cpu::log_prob(&self.outputs, &targets, &Heads::new(vec![self.head]));
        log_probs.into_iter().map(f64::from).collect()
    }

    /// A value of the row with these outputs.
    fn draw(&self, outputs: &[f32], rng: &mut dyn Rng) -> f64 {
        match self.head {
            // What training never saw is not drawn: nobody can say what it would be.
            Head::Category { .. } => index(outputs, uniform(rng)) as f64,
            Head::Number { components, family, floor, missing } => {
                let (is_missing, outputs) = match missing {
                    Missing::Never(_) => (false, outputs),
                    Missing::Learned => {
                        let share = 1.0 / (1.0 + (-f64::from(outputs[0])).exp());
                        (uniform(rng) < share, &outputs[1..])
                    }
                };
                let k = index(&outputs[..components], uniform(rng));
                let mean = f64::from(outputs[components + k]);
                let scale = f64::from(outputs[2 * components + k]).exp() + floor;
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
fn index(logits: &[f32], uniform: f64) -> usize {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: &f32| (f64::from(*logit) - f64::from(most)).exp();
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
        let x: Vec<f64> = x.into_data().iter::<f64>().collect();
        self.tensor(self.log_probs(&x))
    }
}

/// Given that nothing is drawn that training never saw: neither another label, nor a missing number in a column
/// without any.
impl Sample for ColumnConditional {
    /// # Panics
    /// When `n` is not the number of rows.
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<1> {
        assert_eq!(n, self.batch(), "one draw for each row");
        let rows = self.outputs.chunks_exact(self.head.outputs());
        let drawn: Vec<f64> = rows.map(|outputs| self.draw(outputs, rng)).collect();
        self.tensor(drawn)
    }
}
