//! MADE, the masked autoencoder for distribution estimation, over binary variables.
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
//! # Deviations from the paper
//! Weights U start as He et al. 2015 (arXiv:1502.01852, Eq. 10) propose for ReLU, V from N(0, 0.01²), A at 0,
//! and output biases at the log-odds of the training means.

mod masks;

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use prob_core::dist::{Bernoulli, bernoulli};
use prob_core::ordering::{Ordering, OrderingKind};
use prob_core::{Autoregressive, Density, Sample};
use rand::Rng;
use rand::rngs::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use masks::Connectivity;

use crate::error::Error;
use crate::heads::{bernoulli_rows, impossible_from_outside_on};
use crate::layers::mixture::{self, Posterior};
use crate::layers::permute::Permutation;
use crate::layers::{log_odds_in_walk, masked, normal, rows};
use crate::neural::{Neural, device_of, event_tensor, floats};
use crate::randomness::{Purpose, stream};

/// The sizes and masks of a network, as they stand in a config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeSettings {
    /// Hidden units of each layer.
    pub hidden: Vec<usize>,
    /// The order of the walk.
    #[serde(default)]
    pub ordering: OrderingKind,
    /// Whether outputs also see the variables before them without a hidden layer between.
    #[serde(default)]
    pub direct: bool,
    /// Number of masks K that the likelihood averages over.
    #[serde(default = "one_mask")]
    pub masks: usize,
    /// The seed of the masks.
    #[serde(default = "mask_seed")]
    pub mask_seed: u64,
}

fn one_mask() -> usize {
    1
}

fn mask_seed() -> u64 {
    1
}

/// The most hidden layers, hidden units of a layer, and masks, far above any real ones.
const MOST_LAYERS: usize = 64;
const MOST_HIDDEN: usize = 1 << 20;
const MOST_MASKS: usize = 4096;

impl MadeSettings {
    /// Layers of `hidden` units in raster order, and every other setting as when a config leaves it out.
    pub fn new(hidden: Vec<usize>) -> Self {
        let ordering = OrderingKind::default();
        Self { hidden, ordering, direct: false, masks: one_mask(), mask_seed: mask_seed() }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// The first impossible value.
    pub fn check(&self) -> Result<(), Error> {
        let fits = |units: &usize| (1..=MOST_HIDDEN).contains(units);
        if !((1..=MOST_LAYERS).contains(&self.hidden.len()) && self.hidden.iter().all(fits)) {
            return Err(Error::Config {
                key: "model.hidden",
                value: format!("{:?}", self.hidden),
                expected: format!("1 to {MOST_LAYERS} layers, each of 1 to {MOST_HIDDEN} units"),
            });
        }
        if !(1..=MOST_MASKS).contains(&self.masks) {
            return Err(Error::Config {
                key: "model.masks",
                value: self.masks.to_string(),
                expected: format!("1 to {MOST_MASKS}"),
            });
        }
        Ok(())
    }

    /// How to make such a network that walks along `ordering`.
    pub fn config(&self, ordering: Ordering) -> MadeConfig {
        let Self { hidden, direct, masks, mask_seed, .. } = self.clone();
        MadeConfig { ordering, hidden, direct, masks, mask_seed }
    }
}

/// How to make a [`Made`].
#[derive(Clone, Debug)]
pub struct MadeConfig {
    /// The order of the walk; its length is the number of variables.
    pub ordering: Ordering,
    /// Hidden units of each layer.
    pub hidden: Vec<usize>,
    /// Whether outputs also see the variables before them without a hidden layer between.
    pub direct: bool,
    /// Number of masks K.
    pub masks: usize,
    /// The seed of the masks.
    pub mask_seed: u64,
}

impl MadeConfig {
    /// Layers of `hidden` units, one mask, and no direct connections.
    pub fn new(ordering: Ordering, hidden: Vec<usize>) -> Self {
        MadeSettings::new(hidden).config(ordering)
    }

    /// The generator of each mask's degrees; the k-th is the same whatever their number.
    fn streams(&self) -> impl Iterator<Item = ChaCha8Rng> {
        (0..self.masks as u64).map(|k| stream(self.mask_seed, Purpose::Connectivity, k))
    }

    /// The connectivity of each mask.
    fn connectivities(&self) -> Vec<Connectivity> {
        let draw = |mut rng| Connectivity::draw(self.ordering.clone(), &self.hidden, &mut rng);
        self.streams().map(draw).collect()
    }

    /// Number of weights that such a network stores, and how many of them some mask lets through.
    pub fn parameters(&self) -> [usize; 2] {
        let (dim, hidden) = (self.ordering.len(), &self.hidden);
        let sizes: Vec<usize> =
            [dim].into_iter().chain(hidden.iter().copied()).chain([dim]).collect();
        let between = sizes.windows(2).map(|pair| pair[0] * pair[1]).sum::<usize>();
        let direct = if self.direct { dim * dim } else { 0 };
        let biases = hidden.iter().sum::<usize>() + dim;
        let free = masks::free_weights(dim, hidden, self.direct, self.streams());
        [between + direct + biases, free + biases]
    }

    /// U drawn from N(0, 2/fan-in), V from N(0, 0.01²), A = 0, hidden biases 0, and b such that with V = 0
    /// every variable has the probability `means[i]` (event order).
    ///
    /// # Panics
    /// When there is no hidden layer or no mask, or `means` does not have one value in (0, 1) per
    /// variable.
    pub fn init(&self, means: &[f64], rng: &mut dyn Rng, device: &Device) -> Made {
        assert!(self.masks > 0, "0 masks, expected at least 1");
        let dim = self.ordering.len();
        let last = *self.hidden.last().expect("at least one hidden layer");
        let inputs = std::iter::once(dim).chain(self.hidden.iter().copied());
        let layers = inputs.zip(&self.hidden).map(|(inputs, &outputs)| {
            let scale = (2.0 / inputs.max(1) as f64).sqrt();
            Layer {
                u: Param::from_tensor(normal([inputs, outputs], scale, rng, device)),
                c: Param::from_tensor(Tensor::zeros([outputs], device)),
            }
        });
        let layers = layers.collect();
        let log_odds = log_odds_in_walk(means, &Ordering::raster(dim));
        Made {
            layers,
            v: Param::from_tensor(normal([last, dim], 0.01, rng, device)),
            a: self.direct.then(|| Param::from_tensor(Tensor::zeros([dim, dim], device))),
            b: Param::from_tensor(Tensor::from_data(TensorData::new(log_odds, [dim]), device)),
            members: self.connectivities().into(),
            config: self.clone(),
        }
    }
}

/// A hidden layer.
#[derive(Module, Debug)]
pub struct Layer {
    /// Weights U, `[in, out]`; the mask is multiplied in at every use.
    pub u: Param<Tensor<2>>,
    /// Biases c, `[out]`.
    pub c: Param<Tensor<1>>,
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

/// The weights under one mask.
#[derive(Clone, Debug)]
struct Masked {
    layers: Vec<Tensor<2>>,
    v: Tensor<2>,
    a: Option<Tensor<2>>,
}

impl Made {
    /// Number of masks K.
    pub fn masks(&self) -> usize {
        self.members.len()
    }

    /// Number of weights that some mask lets through.
    pub fn free_parameters(&self) -> usize {
        self.config.parameters()[1]
    }

    fn masked(&self, mask: usize) -> Masked {
        let masks = &self.members[mask];
        let layers = self.layers.iter().zip(masks.hidden());
        Masked {
            layers: layers.map(|(layer, mask)| masked(layer.u.val(), mask)).collect(),
            v: masked(self.v.val(), masks.output()),
            a: self.a.as_ref().map(|a| masked(a.val(), masks.direct())),
        }
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
        self.logits_with(&self.masked(mask), x)
    }

    fn logits_with(&self, masked: &Masked, x: Tensor<2>) -> Tensor<2> {
        let last = self.last_hidden(masked, x.clone());
        let logits = last.matmul(masked.v.clone()) + self.b.val().unsqueeze();
        match &masked.a {
            Some(a) => logits + x.matmul(a.clone()),
            None => logits,
        }
    }

    /// h_L, `[batch, last hidden]`, from the values.
    fn last_hidden(&self, masked: &Masked, x: Tensor<2>) -> Tensor<2> {
        let first = x.matmul(masked.layers[0].clone()) + self.layers[0].c.val().unsqueeze();
        self.above_first(masked, first)
    }

    /// h_L, `[batch, last hidden]`, from what the first layer rectifies, `[batch, first hidden]`.
    fn above_first(&self, masked: &Masked, first: Tensor<2>) -> Tensor<2> {
        let layers = self.layers.iter().zip(&masked.layers).skip(1);
        layers.fold(relu(first), |h, (layer, u)| {
            relu(h.matmul(u.clone()) + layer.c.val().unsqueeze())
        })
    }

    /// log p_k(x) under the mask k.
    ///
    /// # Shapes
    /// `x` is `[batch, variables]` in event order; returns `[batch]`.
    ///
    /// # Panics
    /// As [`logits_under`](Self::logits_under).
    pub fn log_prob_under(&self, mask: usize, x: Tensor<2, Int>) -> Tensor<1> {
        let x = floats(x, &self.b.val());
        bernoulli_rows(self.logits_under(mask, x.clone()), x)
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
pub struct MadeState {
    position: usize,
    /// One per mask.
    walks: Vec<MaskedWalk>,
    /// Which mask.
    posterior: Posterior,
    /// Logits of p_k(x_t = 1 | x_<t), `[batch, K]`.
    logits: Tensor<2>,
}

/// The network under one mask, fed the prefix.
#[derive(Clone, Debug)]
struct MaskedWalk {
    weights: Masked,
    /// What the first layer rectifies, `[batch, first hidden]`.
    first: Tensor<2>,
    /// What the direct connections add to the logits, `[batch, dim]`.
    direct: Option<Tensor<2>>,
}

impl Made {
    /// The logits of the variable that the walks stand before, under every mask, `[batch, K]`.
    fn next_logits(&self, walks: &[MaskedWalk], position: usize) -> Tensor<2> {
        let i = self.config.ordering[position];
        let b_i = self.b.val().narrow(0, i, 1).unsqueeze::<2>(); // [1, 1]
        let logit = |walk: &MaskedWalk| {
            let last = self.above_first(&walk.weights, walk.first.clone());
            let v_i = walk.weights.v.clone().narrow(1, i, 1); // [last hidden, 1]
            let logit = last.matmul(v_i) + b_i.clone(); // [batch, 1]
            match &walk.direct {
                Some(direct) => logit + direct.clone().narrow(1, i, 1),
                None => logit,
            }
        };
        Tensor::cat(walks.iter().map(logit).collect(), 1)
    }
}

impl Autoregressive for Made {
    type State = MadeState;
    type Conditional = Bernoulli;

    fn event_len(&self) -> usize {
        self.config.ordering.len()
    }

    fn init_state(&self, batch: usize) -> MadeState {
        let c = self.layers[0].c.val().unsqueeze::<2>();
        let [_, hidden] = c.dims();
        let nothing = self.b.val().zeros_like().unsqueeze::<2>();
        let walk = |mask| MaskedWalk {
            weights: self.masked(mask),
            first: c.clone().expand([batch, hidden]),
            direct: self.a.as_ref().map(|_| nothing.clone().expand([batch, self.event_len()])),
        };
        let walks: Vec<MaskedWalk> = (0..self.masks()).map(walk).collect();
        let logits = self.next_logits(&walks, 0);
        let posterior = Posterior::even(batch, self.masks(), (&logits.device(), logits.dtype()));
        MadeState { position: 0, walks, posterior, logits }
    }

    fn conditional(&self, state: &MadeState) -> Bernoulli {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} variables");
        state.posterior.conditional(&state.logits)
    }

    fn advance(&self, state: &mut MadeState, x_t: Tensor<1, Int>) {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} variables");
        assert_eq!(x_t.dims()[0], state.logits.dims()[0], "one value per walk");
        let i = self.config.ordering[t];
        let x_t = floats(x_t, &state.logits).unsqueeze_dim::<2>(1); // [batch, 1]
        state.posterior.observe(&state.logits, &x_t);
        for walk in &mut state.walks {
            let u_i = walk.weights.layers[0].clone().narrow(0, i, 1); // [1, first hidden]
            walk.first = walk.first.clone() + x_t.clone().mul(u_i);
            if let (Some(direct), Some(a)) = (&mut walk.direct, &walk.weights.a) {
                *direct = direct.clone() + x_t.clone().mul(a.clone().narrow(0, i, 1));
            }
        }
        state.position += 1;
        if state.position < self.event_len() {
            state.logits = self.next_logits(&state.walks, state.position);
        }
    }

    fn select(&self, state: &MadeState, walks: &[usize]) -> MadeState {
        let walk = |walk: &MaskedWalk| MaskedWalk {
            weights: walk.weights.clone(),
            first: rows(&walk.first, walks),
            direct: walk.direct.as_ref().map(|direct| rows(direct, walks)),
        };
        MadeState {
            position: state.position,
            walks: state.walks.iter().map(walk).collect(),
            posterior: state.posterior.select(walks),
            logits: rows(&state.logits, walks),
        }
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
        let x = floats(x, &self.b.val());
        let under = |mask| self.last_hidden(&self.masked(mask), x.clone());
        let sum = (1..self.masks()).fold(under(0), |sum, mask| sum + under(mask));
        Some(sum.div_scalar(self.masks() as f64))
    }

    fn complete(&self, observed: &[Option<u8>], rng: &mut dyn Rng) -> Vec<u8> {
        crate::walk::complete(self, observed, rng)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use prob_core::laws::{causal_autodiff, normalised_rows};
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    use super::*;
    use crate::neural::{host_f64, map_weights};

    #[test]
    fn a_mask_that_leaks_its_diagonal_breaks_the_laws() {
        const DIM: usize = 6;
        let (mut rng, device) = (ChaCha8Rng::seed_from_u64(1), Device::default().autodiff());
        let config = MadeConfig::new(Ordering::raster(DIM), vec![20]);
        let made = config.init(&[0.5; DIM], &mut rng, &device);
        let made =
            map_weights(made, |_, weight| normal(weight.dims(), 1.0, &mut rng, &Device::default()));
        // Weights are masked anew for every pass, since a backward pass consumes its graph.
        let good = || made.masked(0);
        // M_V with ≥ in the place of >.
        let leaky_v = || masked(made.v.val(), made.members[0].leaky_output());
        let leaky = || Masked { v: leaky_v(), ..good() };
        let laws = |weights: &dyn Fn() -> Masked| {
            let rows = |rows: &[u8]| {
                let values = rows.iter().map(|&x| f32::from(x)).collect::<Vec<f32>>();
                let shape = [rows.len() / DIM, DIM];
                let x = Tensor::from_data(TensorData::new(values, shape), &device);
                host_f64(bernoulli_rows(made.logits_with(&weights(), x.clone()), x))
            };
            let x = Tensor::ones([1, DIM], &device);
            let logits = |x| made.logits_with(&weights(), x);
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
            let u = host_f64(made.masked(mask).layers[0].clone());
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
