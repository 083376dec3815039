//! What the outputs of a network say of a symbol: bits, a softmax over levels, or a mixture of logistics on them.
//!
//! | | outputs of a symbol | p(x) |
//! |---|---|---|
//! | two levels | 1 | σ(o) of a 1 |
//! | [`Likelihood::Softmax`] of m levels | m | softmax(o)_x, whatever the order of levels |
//! | [`Likelihood::LogisticMixture`] of K components | 3K | the mass of K logistics in the cell of the level, the tails in the outer ones ([`ar_kernels::levels`]) |
//!
//! # References
//! Salimans, Karpathy, Chen, Kingma, *PixelCNN++*, ICLR 2017, arXiv:1701.05517, Eq. 2.

use ar_kernels::columns::{self, Head, Heads};
use ar_kernels::levels::{self, Mixture};
use burn::tensor::{Int, Tensor};
use prob_core::dist::bernoulli;
use prob_core::dist::discretized_logistic::log_mass;
use prob_core::logspace::logsumexp;
use serde::{Deserialize, Serialize};

use super::bernoulli_rows;
use crate::foundation::checks::check_components;
use crate::foundation::error::Error;
use crate::parts::tensors::floats;

/// How symbols of more than two levels are described.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likelihood {
    /// A softmax: an output for each level, none of which is nearer to one than to another.
    #[default]
    Softmax,
    /// A mixture of logistics on the line of levels, of which the outer ones take the tails.
    LogisticMixture,
}

impl Likelihood {
    /// Whether it is what a config that leaves it out means.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the keys `model.likelihood` and `model.components` for symbols of so many levels.
    ///
    /// # Errors
    /// When there is no line of levels for a mixture to stand on, or too many components on it.
    pub(crate) fn check(self, levels: Option<usize>, components: usize) -> Result<(), Error> {
        if self == Self::LogisticMixture && levels.is_none_or(|levels| levels <= 2) {
            let found = match levels {
                Some(levels) => format!("{levels} levels"),
                None => "columns of different types".into(),
            };
            return Err(Error::Config {
                key: "model.likelihood",
                value: "logistic-mixture".into(),
                expected: format!("no such key but for symbols of more than 2 levels, not {found}"),
            });
        }
        check_components(components)
    }
}

/// What the outputs of one symbol mean.
#[derive(Clone, Debug)]
pub(crate) enum SymbolHead {
    /// The logit of a 1.
    Bit,
    /// Logits of all levels.
    Softmax(Heads),
    /// Weights, means and scales.
    Mixture(Mixture),
}

/// Log-masses below this are computed as logarithms from the start.
const SMALL: f64 = 1e-280;

impl SymbolHead {
    /// Of symbols of `levels`; `components` of a mixture.
    pub(crate) fn new(levels: usize, likelihood: Likelihood, components: usize) -> Self {
        match likelihood {
            _ if levels == 2 => Self::Bit,
            Likelihood::Softmax => {
                Self::Softmax(Heads::new(vec![Head::Category { labels: levels, other: 0.0 }]))
            }
            Likelihood::LogisticMixture => Self::Mixture(Mixture { levels, components }),
        }
    }

    /// Outputs of a symbol.
    pub(crate) fn outputs(&self) -> usize {
        match self {
            Self::Bit => 1,
            Self::Softmax(heads) => heads.outputs(),
            Self::Mixture(mixture) => mixture.outputs(),
        }
    }

    /// log p of each symbol; `-inf` of what is none of the levels.
    ///
    /// # Shapes
    /// `outputs` is `[batch, variables, outputs of a symbol]`, `x` and the result are `[batch, variables]`.
    pub(crate) fn log_prob(&self, outputs: Tensor<3>, x: Tensor<2, Int>) -> Tensor<2> {
        let [batch, variables, width] = outputs.dims();
        let x = floats(x, &outputs);
        let rows = batch * variables;
        match self {
            Self::Bit => bernoulli::log_prob(outputs.reshape([batch, variables]), x),
            _ if rows == 0 => x,
            Self::Softmax(heads) => {
                columns::log_prob(outputs.reshape([rows, width]), x.reshape([rows, 1]), heads)
                    .reshape([batch, variables])
            }
            Self::Mixture(mixture) => {
                levels::log_prob(outputs.reshape([rows, width]), x.reshape([rows]), *mixture)
                    .reshape([batch, variables])
            }
        }
    }

    /// log p of all symbols of each event, `[batch]`.
    pub(crate) fn log_prob_of_events(&self, outputs: Tensor<3>, x: Tensor<2, Int>) -> Tensor<1> {
        let [batch, variables] = x.dims();
        match self {
            Self::Bit => {
                let x = floats(x, &outputs);
                bernoulli_rows(outputs.reshape([batch, variables]), x)
            }
            _ => self.log_prob(outputs, x).sum_dim(1).reshape([batch]),
        }
    }

    /// One logit for each level, from the outputs of a symbol: what its conditional on the host is made of.
    pub(crate) fn logits(&self, outputs: impl Iterator<Item = f64>) -> Vec<f64> {
        match self {
            Self::Bit => core::iter::once(0.0).chain(outputs).collect(),
            Self::Softmax(_) => outputs.collect(),
            Self::Mixture(mixture) => log_masses(*mixture, &outputs.collect::<Vec<f64>>()),
        }
    }

    /// Outputs of a symbol before anything is learned, from how often each level occurs in training if that is known:
    /// those frequencies, or components that stand at its quantiles and reach as far as the next ones; and without
    /// them all levels alike, or components all along the levels.
    pub(crate) fn start(&self, counts: Option<&[u64]>) -> Vec<f32> {
        match self {
            Self::Bit => vec![0.0],
            Self::Softmax(heads) => {
                let Some(counts) = counts else { return vec![0.0; heads.outputs()] };
                let total = (counts.iter().sum::<u64>() + counts.len() as u64) as f64;
                counts.iter().map(|&count| ((count as f64 + 1.0) / total).ln() as f32).collect()
            }
            Self::Mixture(mixture) => start(*mixture, counts),
        }
    }
}

/// [`SymbolHead::start`] of a mixture. A tenth of the rows counts as spread over all levels, so that what is nearly
/// always one level has components for the others too.
fn start(mixture: Mixture, counts: Option<&[u64]>) -> Vec<f32> {
    let Mixture { levels, components } = mixture;
    let total = counts.map_or(0, |counts| counts.iter().sum::<u64>()) as f64;
    let spread = if total > 0.0 { 0.1 * total / levels as f64 } else { 1.0 };
    let of = |x: usize| counts.map_or(0.0, |counts| counts[x] as f64) + spread;
    let all: f64 = (0..levels).map(of).sum();
    // Where a share of the mass lies below, from −1 to 1, each level spread over its cell.
    let quantile = |share: f64| {
        let (mut x, mut left) = (0, share * all);
        while x + 1 < levels && left > of(x) {
            left -= of(x);
            x += 1;
        }
        (2.0 * (x as f64 + (left / of(x)).min(1.0)) - 1.0) * mixture.half() - 1.0
    };
    let share = |k: f64| k / components as f64;
    let means = (0..components).map(|k| quantile(share(k as f64 + 0.5)) as f32);
    let log_scales = (0..components).map(|k| {
        let reach = 0.5 * (quantile(share(k as f64 + 1.0)) - quantile(share(k as f64)));
        reach.max(mixture.half()).ln() as f32
    });
    core::iter::repeat_n(0.0, components).chain(means).chain(log_scales).collect()
}

/// log p of every level, by operations that are alike on every machine where the levels are not far from all
/// components.
fn log_masses(mixture: Mixture, outputs: &[f64]) -> Vec<f64> {
    let Mixture { levels, components } = mixture;
    let (half, floor, last) = (mixture.half(), mixture.floor(), levels - 1);
    let (logits, rest) = outputs.split_at(components);
    let (means, log_scales) = rest.split_at(components);
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits.iter().map(|logit| libm::exp(logit - most)).collect();
    let by_weights = 1.0 / weights.iter().sum::<f64>();
    let mut masses = vec![0.0; levels];
    for ((weight, mean), log_scale) in weights.iter().zip(means).zip(log_scales) {
        let by_scale = 1.0 / (libm::exp(log_scale.min(80.0)) + floor);
        let (weight, cell) = (weight * by_weights, -libm::expm1(-2.0 * half * by_scale));
        // What lies above the lower end of a cell; that of the first one is at −∞.
        let mut above_low = 1.0;
        for (x, mass) in masses.iter_mut().enumerate() {
            let z = (2.0 * half * x as f64 - 1.0 + half - mean) * by_scale;
            let e = libm::exp(-z.abs());
            let (large, small) = (1.0 / (1.0 + e), e / (1.0 + e));
            let (below, above) = if z >= 0.0 { (large, small) } else { (small, large) };
            *mass += weight
                * match x {
                    0 => below,
                    x if x == last => above_low,
                    // σ(b) − σ(a) = σ(b) σ(−a) (1 − e^(a − b)), of which no factor cancels.
                    _ => below * above_low * cell,
                };
            above_low = above;
        }
    }
    let log = |(x, mass): (usize, f64)| {
        if mass > SMALL { libm::log(mass) } else { log_mass_of(mixture, outputs, x) }
    };
    masses.into_iter().enumerate().map(log).collect()
}

/// log p of a level that is far from all components.
fn log_mass_of(mixture: Mixture, outputs: &[f64], x: usize) -> f64 {
    let (half, count) = (mixture.half(), mixture.components);
    let side = |end: usize| if x == end { f64::INFINITY } else { half };
    let reach = [side(0), side(mixture.levels - 1)];
    let at = 2.0 * half * x as f64 - 1.0;
    let joint = |k: usize| {
        let log_scale = (outputs[2 * count + k].min(80.0).exp() + mixture.floor()).ln();
        outputs[k] + log_mass(at - outputs[count + k], reach, log_scale)
    };
    let all: Vec<f64> = (0..count).map(joint).collect();
    logsumexp(&all) - logsumexp(&outputs[..count])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;

    const MIXTURE: Mixture = Mixture { levels: 256, components: 3 };

    /// Wide and narrow, and with all components beyond one end.
    const ROWS: [[f64; 9]; 3] = [
        [0.3, -1.0, 0.5, -0.2, 0.9, 1.3, -1.0, -3.0, -6.0],
        [0.0, 0.1, 0.2, 0.0, 0.5, -0.5, -40.0, -9.0, 1.0],
        [0.0, 0.1, 0.2, -1.5, -1.6, -1.9, -9.0, -7.0, -8.0],
    ];

    #[test]
    fn masses_of_the_walk_are_those_of_the_op_and_add_up_to_one() {
        let device = Device::default();
        let head = SymbolHead::Mixture(MIXTURE);
        for row in ROWS {
            let walked = head.logits(row.into_iter());
            let sum: f64 = walked.iter().map(|l| l.exp()).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{sum}");
            let outputs = TensorData::new(row.repeat(256), [1, 256, 9]);
            let outputs = Tensor::<3>::from_data(outputs, (&device, DType::F64));
            let all: Vec<i32> = (0..256).collect();
            let x = Tensor::<2, Int>::from_data(TensorData::new(all, [1, 256]), &device);
            let found = head.log_prob(outputs, x).into_data().convert::<f64>();
            for (x, (a, b)) in walked.iter().zip(found.iter::<f64>()).enumerate() {
                assert!((a - b).abs() <= 1e-9 * (1.0 + b.abs()), "{x}: {a} and {b}");
            }
        }
        // Far beyond what a number that is no logarithm can hold.
        assert!(head.logits(ROWS[2].into_iter())[255] < -700.0);
    }

    #[test]
    fn levels_start_with_the_frequencies_of_training() {
        let head = SymbolHead::new(4, Likelihood::Softmax, 1);
        let start: Vec<f32> = head.start(Some(&[5, 0, 1, 0]));
        let expected = [0.6_f32, 0.1, 0.2, 0.1].map(f32::ln);
        assert!(start.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{start:?}");
    }

    #[test]
    fn a_mixture_starts_where_the_levels_of_training_are() {
        let head = SymbolHead::new(256, Likelihood::LogisticMixture, 10);
        let mut counts = [0; 256];
        counts[0] = 800;
        counts[200] = 200;
        let nll = |start: Vec<f32>| {
            let logits = head.logits(start.into_iter().map(f64::from));
            -(0.8 * logits[0] + 0.2 * logits[200])
        };
        let (own, even) = (nll(head.start(Some(&counts))), nll(head.start(None)));
        assert!(own < 2.5 && even > 3.5, "{own} and {even}");
    }
}
