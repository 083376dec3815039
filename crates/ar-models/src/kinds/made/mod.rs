//! MADE, the masked autoencoder for distribution estimation, over binary variables; over columns of different types it
//! is [`ColumnMade`].
//!
//! ```text
//! h_0 = x;   h_l = ReLU(c_l + h_{l−1} (U_l ∘ M_l))
//! p(x_i = 1 | those before it) = σ(b_i + h_L (V ∘ M_V)_i + x (A ∘ M_A)_i)
//!
//! M_l[j, k] = 1 if m_l(k) ≥ m_{l−1}(j),   M_V[k, i] = 1 if m_0(i) > m_L(k),   M_A[j, i] = 1 if m_0(i) > m_0(j)
//! ```
//!
//! m_0(i) is the place of variable i in the ordering, from 1; m_l(k) of a hidden unit is drawn evenly from
//! the least of the layer below to D − 1: the unit may know that many variables, the first in the ordering.
//! So one pass through a feed-forward network gives all D conditionals. The direct connections A are an
//! option. Masks are drawn from their own seed and multiplied into the weights at every use; they are not
//! stored.
//!
//! A variable may have several features and several outputs: they have the m_0 of their variable.
//!
//! With **residual blocks** (ResMADE) all hidden layers have the same units, which keep their m_1, so that what a unit
//! is added to knows no less than it:
//!
//! ```text
//! a_1 = c_1 + x (U_1 ∘ M_1)
//! a_{k+1} = a_k + c_{2k+1} + ReLU(c_{2k} + ReLU(a_k) (U_{2k} ∘ M)) (U_{2k+1} ∘ M),   M[j, k] = 1 if m_1(k) ≥ m_1(j)
//! h_L = ReLU(a of the last block)
//! ```
//!
//! In training **dropout** may leave out units behind each ReLU, in residual blocks those between its two layers.
//!
//! With K masks the network is K distributions p_k that share their weights, and the model is their mixture
//!
//! ```text
//! p(x) = 1/K Σ_k p_k(x)
//! p(x_t | x_<t) = Σ_k p(k | x_<t) p_k(x_t | x_<t),   p(k | x_<t) ∝ Π_{s<t} p_k(x_s | x_<s)
//! ```
//!
//! The mean is of joint probabilities; a mean of logits over masks is no distribution.
//!
//! # References
//! Germain, Gregor, Murray, Larochelle, *MADE: Masked Autoencoder for Distribution Estimation*, ICML 2015,
//! arXiv:1502.03509, Eqs. 8 to 13 (masks), Sections 4.2 and 4.3 (several masks and orderings).
//!
//! Residual blocks: Durkan, Nash, *Autoregressive Energy Machines*, ICML 2019, arXiv:1904.05626, Section 3.2.
//!
//! # Deviations from the papers
//! Weights U start as He et al. 2015 (arXiv:1502.01852, Eq. 10) propose for ReLU, V and the second layer of a residual
//! block from N(0, 0.01²), A at 0, and output biases at the log-odds of the training means. Degrees are drawn in
//! ResMADE too, which spreads them evenly.

mod columns;
mod masks;
mod network;
mod settings;

use std::sync::Arc;

use ar_kernels::blocks::Blocks;
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use prob_core::dist::{Bernoulli, bernoulli};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density, Sample};
use rand::Rng;

pub use columns::{ColumnMade, ColumnMadeConfig};
use masks::Connectivity;
pub use network::Layer;
#[cfg(test)]
use network::Masked;
use network::{Initial, Network, Walks};
pub use settings::{MadeConfig, MadeSettings};

use crate::parts::heads::{bernoulli_rows, impossible_from_outside_on};
use crate::parts::layers::dropout::Dropout;
use crate::parts::layers::permute::Permutation;
use crate::parts::layers::{log_odds_in_walk, mixture};
use crate::parts::neural::Neural;
use crate::parts::tensors::{device_of, event_tensor, floats};

impl MadeConfig {
    /// U drawn from N(0, 2/fan-in), V from N(0, 0.01²), A = 0, hidden biases 0, and b such that with V = 0
    /// every variable has the probability `means[i]` (event order).
    ///
    /// # Panics
    /// When there is no hidden layer or no mask, or `means` does not have one value in (0, 1) per
    /// variable.
    pub fn init(&self, means: &[f64], rng: &mut dyn Rng, device: &Device) -> Made {
        let dim = self.ordering.len();
        let blocks = Blocks::alike(dim, 1, 1);
        let Initial { layers, v, a } = Initial::draw(self, &blocks, rng, device);
        let log_odds = log_odds_in_walk(means, &Ordering::raster(dim));
        Made {
            layers,
            v,
            a,
            b: Param::from_tensor(Tensor::from_data(TensorData::new(log_odds, [dim]), device)),
            members: self.connectivities(&blocks),
            config: self.clone(),
        }
    }
}

/// A MADE over binary variables: the mixture of the distributions under its masks.
///
/// ```
/// use ar_models::made::MadeConfig;
/// use burn::tensor::{Device, Tensor};
/// use prob_core::{Density, ordering::Ordering};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
///
/// let mut rng = ChaCha8Rng::seed_from_u64(1);
/// let device = Device::default();
/// let config = MadeConfig { masks: 3, ..MadeConfig::new(Ordering::raster(2), vec![8, 8]) };
/// let made = config.init(&[0.5, 0.5], &mut rng, &device);
/// let all = Tensor::from_data([[0, 0], [0, 1], [1, 0], [1, 1]], &device);
/// let mass = made.log_prob(all).exp().sum().into_scalar::<f32>();
/// assert!((mass - 1.0).abs() < 1e-6);
/// ```
#[derive(Module, Debug)]
pub struct Made {
    /// The hidden layers; row i of the first one's U belongs to variable i.
    pub layers: Vec<Layer>,
    /// Output weights V, `[last hidden, dim]`; column i belongs to variable i, here and below.
    pub v: Param<Tensor<2>>,
    /// Direct connections A, `[dim, dim]`.
    pub a: Option<Param<Tensor<2>>>,
    /// Output biases b, `[dim]`.
    pub b: Param<Tensor<1>>,
    #[module(skip)]
    members: Arc<[Connectivity]>,
    #[module(skip)]
    config: MadeConfig,
}

impl Made {
    /// Number of masks K.
    pub fn masks(&self) -> usize {
        self.members.len()
    }

    fn network(&self) -> Network<'_> {
        let Self { layers, v, a, b, members, config } = self;
        Network { layers, v, a: a.as_ref(), b, members, config }
    }

    /// Logit of p_k(x_i = 1 | those before it) under the mask k for every variable, all at once.
    ///
    /// Values are floats so that the Jacobian can be taken; a variable's column never influences its
    /// own logit or an earlier one.
    ///
    /// # Shapes
    /// `x` and the result are `[batch, variables]` in event order.
    ///
    /// # Panics
    /// When there is no such mask, or `x` does not have one column per variable.
    pub fn logits_under(&self, mask: usize, x: Tensor<2>) -> Tensor<2> {
        let network = self.network();
        network.outputs(&network.masked(mask), x, &mut Dropout::none())
    }

    /// log p_k(x) under the mask k.
    ///
    /// # Shapes
    /// `x` is `[batch, variables]` in event order; returns `[batch]`.
    ///
    /// # Panics
    /// As [`logits_under`](Self::logits_under).
    pub fn log_prob_under(&self, mask: usize, x: Tensor<2, Int>) -> Tensor<1> {
        self.log_prob_with(mask, x, &mut Dropout::none())
    }

    /// The same without the units that dropout leaves out.
    fn log_prob_with(
        &self,
        mask: usize,
        x: Tensor<2, Int>,
        dropout: &mut Dropout<'_>,
    ) -> Tensor<1> {
        let (x, network) = (floats(x, &self.b.val()), self.network());
        bernoulli_rows(network.outputs(&network.masked(mask), x.clone(), dropout), x)
    }

    /// log p_k(x_i | those before it) under the mask k for each variable, `[batch, variables]`.
    fn log_prob_per_variable_under(&self, mask: usize, x: Tensor<2, Int>) -> Tensor<2> {
        let x = floats(x, &self.b.val());
        bernoulli::log_prob(self.logits_under(mask, x.clone()), x)
    }
}

impl Density for Made {
    type Event = Tensor<2, Int>;

    /// # Panics
    /// When an event does not have one column per variable.
    fn log_prob(&self, x: Tensor<2, Int>) -> Tensor<1> {
        let under = |mask| self.log_prob_under(mask, x.clone());
        mixture::log_prob(Tensor::stack((0..self.masks()).map(under).collect(), 1))
    }
}

impl Sample for Made {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2, Int> {
        let dim = self.event_len();
        event_tensor(&self.complete(&vec![None; n * dim], rng), dim, &device_of(self))
    }
}

/// Where each walk of a batch has come, under every mask.
#[derive(Clone, Debug)]
pub struct MadeState(Walks);

impl MadeState {
    /// Logits of p_k(x_t = 1 | x_<t), `[batch, K]`.
    fn logits(&self) -> Tensor<2> {
        Tensor::cat(self.0.next.clone(), 1)
    }
}

impl Autoregressive for Made {
    type State = MadeState;
    type Conditional = Bernoulli;

    fn event_len(&self) -> usize {
        self.config.ordering.len()
    }

    fn init_state(&self, batch: usize) -> MadeState {
        MadeState(self.network().walks(batch))
    }

    fn conditional(&self, state: &MadeState) -> Bernoulli {
        let _ = state.0.variable(&self.config.ordering);
        state.0.posterior.conditional(&state.logits())
    }

    fn advance(&self, state: &mut MadeState, x_t: Tensor<1, Int>) {
        let _ = state.0.variable(&self.config.ordering);
        assert_eq!(x_t.dims()[0], state.0.batch(), "one value per walk");
        let logits = state.logits();
        let x_t = floats(x_t, &logits).unsqueeze_dim::<2>(1); // [batch, 1]
        state.0.posterior.observe(&logits, &x_t);
        self.network().advance(&mut state.0, x_t);
    }

    fn select(&self, state: &MadeState, walks: &[usize]) -> MadeState {
        MadeState(state.0.select(walks))
    }
}

impl Neural for Made {
    type Kind = Int;

    fn ordering(&self) -> &Ordering {
        &self.config.ordering
    }

    fn log_prob_per_variable(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let [batch, _] = x.dims();
        let ordering = Permutation::new(self.config.ordering.clone());
        let under = |mask| ordering.to_walk(self.log_prob_per_variable_under(mask, x.clone()));
        let log_probs = if batch == 0 || self.masks() == 1 {
            under(0)
        } else {
            let all = Tensor::stack::<3>((0..self.masks()).map(under).collect(), 2);
            mixture::log_prob_per_variable(all)
        };
        let x = ordering.to_walk(x.clone());
        ordering.to_event(impossible_from_outside_on(log_probs, &x, 2))
    }

    /// h_L, the mean over the masks, `[batch, last hidden]`.
    fn features(&self, x: Tensor<2, Int>) -> Option<Tensor<2>> {
        Some(self.network().features(&floats(x, &self.b.val())))
    }

    fn training_loss(
        &self,
        x: Tensor<2, Int>,
        _: Option<Tensor<1, Int>>,
        rng: &mut dyn Rng,
    ) -> Tensor<1> {
        let mut dropout = Dropout::new(self.config.dropout, rng);
        let mut under = |mask| self.log_prob_with(mask, x.clone(), &mut dropout);
        mixture::log_prob(Tensor::stack((0..self.masks()).map(&mut under).collect(), 1)).neg()
    }

    fn complete(&self, observed: &[Option<u8>], rng: &mut dyn Rng) -> Vec<u8> {
        crate::parts::walk::complete(self, observed, rng)
    }

    /// Number of weights that some mask lets through.
    fn free_parameters(&self) -> usize {
        self.config.parameters()[1]
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use prob_core::laws::{causal_autodiff, normalised_rows};
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    use super::*;
    use crate::parts::layers::{masked, normal};
    use crate::parts::neural::map_weights;
    use crate::parts::tensors::host_f64;

    #[test]
    fn a_mask_that_leaks_its_diagonal_breaks_the_laws() {
        const DIM: usize = 6;
        let (mut rng, device) = (ChaCha8Rng::seed_from_u64(1), Device::default().autodiff());
        let config = MadeConfig::new(Ordering::raster(DIM), vec![20]);
        let made = config.init(&[0.5; DIM], &mut rng, &device);
        let made =
            map_weights(made, |_, weight| normal(weight.dims(), 1.0, &mut rng, &Device::default()));
        // Weights are masked anew for every pass, since a backward pass consumes its graph.
        let network = made.network();
        let good = || network.masked(0);
        // M_V with ≥ in the place of >.
        let leaky_v = || masked(made.v.val(), made.members[0].leaky_output());
        let leaky = || Masked { v: leaky_v(), ..good() };
        let logits = |weights: &Masked, x| network.outputs(weights, x, &mut Dropout::none());
        let laws = |weights: &dyn Fn() -> Masked| {
            let rows = |rows: &[u8]| {
                let values = rows.iter().map(|&x| f32::from(x)).collect::<Vec<f32>>();
                let shape = [rows.len() / DIM, DIM];
                let x = Tensor::from_data(TensorData::new(values, shape), &device);
                host_f64(bernoulli_rows(logits(&weights(), x.clone()), x))
            };
            let x = Tensor::ones([1, DIM], &device);
            let logits = |x| logits(&weights(), x);
            [normalised_rows(DIM, 2, 1e-4, rows), causal_autodiff(&made.config.ordering, x, logits)]
        };
        for law in laws(&good) {
            law.unwrap();
        }
        for law in laws(&leaky) {
            law.unwrap_err();
        }
    }

    #[test]
    fn features_are_the_last_hidden_layer_the_mean_over_the_masks() {
        let (mut rng, device) = (ChaCha8Rng::seed_from_u64(2), Device::default());
        let config = MadeConfig { masks: 3, ..MadeConfig::new(Ordering::raster(4), vec![5]) };
        let made = config.init(&[0.5; 4], &mut rng, &device);
        let x = [1.0, 0.0, 1.0, 1.0];
        let c = host_f64(made.layers[0].c.val());
        let mut expected = vec![0.0; 5];
        for mask in 0..3 {
            let u = host_f64(made.network().masked(mask).layers[0].clone());
            for (k, expected) in expected.iter_mut().enumerate() {
                let a = c[k] + (0..4).map(|i| x[i] * u[i * 5 + k]).sum::<f64>();
                *expected += a.max(0.0) / 3.0;
            }
        }
        let event = Tensor::from_data([[1, 0, 1, 1]], &device);
        let found = host_f64(made.features(event).unwrap());
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        assert!(expected.iter().any(|&h| h > 0.0));
    }
}
