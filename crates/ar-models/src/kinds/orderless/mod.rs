//! Order-agnostic NADE over binary variables: one network for every ordering, so that any variables can be
//! asked for given any others. Over columns of different types it is
//! [`ColumnOrderless`].
//!
//! ```text
//! p(x_i = 1 | x_o) = σ(b_i + V_i · h_L),   h_l = φ(c_l + h_{l−1} U_l),   h_1 = φ(c_1 + Σ_{j∈o} (x_j W_j + M_j))
//! ```
//!
//! o is any set of observed variables. The first layer is fed [x ∘ m, m] with m_j = 1 for j in o: W_j is what
//! the value of variable j says, M_j that it is known. So an ordering o of the variables gives a
//! distribution, and K orderings an ensemble (EoNADE):
//!
//! ```text
//! p_o(x) = Π_t p(x_{o_t} | x_{o_<t})
//! p(x) = 1/K Σ_k p_{o_k}(x)
//! ```
//!
//! The mean is of joint probabilities; a mean of logits or of log-probabilities over orderings is no
//! distribution. The orderings of one network agree only as far as it has learned to.
//!
//! **Training** minimises the mean of −log p_o(x) over all orderings, by an unbiased estimate that costs one
//! pass: of each example a number d − 1 of observed variables is drawn, which, and
//!
//! ```text
//! loss = D / (D − d + 1) · Σ_{t≥d} −log p(x_{o_t} | x_{o_<d})
//! ```
//!
//! This is no likelihood of any one model: by Jensen's inequality its expectation is at least the NLL of the
//! ensemble over all orderings. Dropout may leave out units behind each φ.
//!
//! **Evaluation** is exact, along one ordering or the mixture of several. Along an ordering the first layer
//! grows by a row of W and M per variable, as in NADE. A network of one sigmoid layer then *is* a NADE over
//! 2D positions, each variable and after it a constant 1 whose row of W is M_j, and runs on its kernel. One
//! of more layers costs D products of matrices.
//!
//! **Any variables given any others**: an ordering that starts with the observed ones makes
//! p(missing | observed) the product of the rest. Each mask has its exact conditional distribution; those
//! of different masks need not be conditionals of one joint distribution.
//!
//! # References
//! - Uria, Murray, Larochelle, *A Deep and Tractable Density Estimator*, ICML 2014, arXiv:1310.1757, Eqs. 6
//!   to 9 (training), Section 3.1 (masks as input), Section 4 (ensembles).
//! - Uria, Côté, Gregor, Murray, Larochelle, *Neural Autoregressive Distribution Estimation*, 2016,
//!   arXiv:1605.02226, Sections 4 and 5.
//!
//! # Deviations from the paper
//! Weights W, M and U start as Glorot and Bengio 2010 or, for rectified units, He et al. 2015
//! (arXiv:1502.01852, Eq. 10) propose, V from N(0, 0.01²), and output biases at the log-odds of the training
//! means. There is no pre-training of the first layers.

mod along;
mod columns;
mod given;
mod network;
mod settings;

use std::sync::Arc;

use ar_kernels::blocks::Blocks;
use ar_kernels::nade::{self, Weights, cpu};
use burn::module::{Module, Param};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use prob_core::dist::{Bernoulli, bernoulli};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density, Sample, uniform};
use rand::Rng;

pub use along::{Along, AnyOrdering, Ensemble, OrderlessState};
use along::{Observed, complete_along, log_prob_conditional};
pub use columns::{ColumnOrderless, ColumnOrderlessConfig};
pub use network::Layer;
use network::{Initial, Network};
pub use settings::{Activation, MOST_ORDERINGS, OrderlessConfig, OrderlessSettings};

use crate::parts::heads::{bernoulli_rows, impossible_from_outside_on, outside};
use crate::parts::layers::dropout::Dropout;
use crate::parts::layers::{log_odds_in_walk, rows};
use crate::parts::neural::Neural;
use crate::parts::tensors::{device_of, floats};
use crate::parts::walk;

impl OrderlessConfig {
    /// The network before its first step, whose outputs have the probabilities `means[i]` (event order) but
    /// for what small V make of the hidden units.
    ///
    /// # Panics
    /// When `means` does not have one value in (0, 1) per variable.
    pub fn init(&self, means: &[f64], rng: &mut dyn Rng, device: &Device) -> OrderlessNade {
        let dim = self.ordering.len();
        let blocks = Blocks::alike(dim, 1, 1);
        let Initial { w, m, c, layers, v } = Initial::draw(&self.settings, &blocks, rng, device);
        let log_odds = log_odds_in_walk(means, &Ordering::raster(dim));
        OrderlessNade {
            w,
            m,
            c,
            layers,
            v,
            b: Param::from_tensor(Tensor::from_data(TensorData::new(log_odds, [dim]), device)),
            orderings: self.orderings(self.settings.orderings),
            config: self.clone(),
        }
    }
}

/// An order-agnostic NADE over binary variables.
///
/// As a density and a walk it is the distribution along its one [`ordering`](Neural::ordering). There are
/// also [`along`](Self::along) any other, the [`ensemble`](Self::ensemble) over several, and
/// [`log_prob_conditional`](Self::log_prob_conditional).
///
/// ```
/// use ar_models::orderless::OrderlessConfig;
/// use burn::tensor::{Device, Tensor};
/// use prob_core::{Density, ordering::Ordering};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
///
/// let mut rng = ChaCha8Rng::seed_from_u64(1);
/// let device = Device::default();
/// let model = OrderlessConfig::new(Ordering::raster(2), 8).init(&[0.5, 0.5], &mut rng, &device);
/// let all = Tensor::from_data([[0, 0], [0, 1], [1, 0], [1, 1]], &device);
/// let mass = |log_prob: Tensor<1>| log_prob.exp().sum().into_scalar::<f32>();
/// assert!((mass(model.log_prob(all.clone())) - 1.0).abs() < 1e-6);
/// let backwards = Ordering::reverse_raster(2);
/// assert!((mass(model.along(backwards).log_prob(all.clone())) - 1.0).abs() < 1e-6);
/// // p(x_0 = 0 | x_1 = 1) + p(x_0 = 1 | x_1 = 1)
/// let both = Tensor::from_data([[0, 1], [1, 1]], &device);
/// let given = model.log_prob_conditional(both, &[false, true]);
/// assert!((mass(given) - 1.0).abs() < 1e-6);
/// ```
#[derive(Module, Debug)]
pub struct OrderlessNade {
    /// W, `[dim, first hidden]`; row i is what the value of variable i says.
    pub w: Param<Tensor<2>>,
    /// M, `[dim, first hidden]`; row i is what it says that variable i is known.
    pub m: Param<Tensor<2>>,
    /// Biases of the first layer, `[first hidden]`.
    pub c: Param<Tensor<1>>,
    /// The hidden layers above the first.
    pub layers: Vec<Layer>,
    /// Output weights V, `[dim, last hidden]`.
    pub v: Param<Tensor<2>>,
    /// Output biases b, `[dim]`.
    pub b: Param<Tensor<1>>,
    #[module(skip)]
    orderings: Arc<[Ordering]>,
    #[module(skip)]
    config: OrderlessConfig,
}

/// A logit of which the other value's probability is 0 in f32 and f64.
const CERTAIN: f64 = 1e4;

impl OrderlessNade {
    /// The orderings of the ensemble; the first is that of the walk.
    pub fn orderings(&self) -> &[Ordering] {
        &self.orderings
    }

    /// The same weights with an ensemble of `count` orderings, of which the first are the same.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn with_orderings(mut self, count: usize) -> Self {
        assert!(count > 0, "0 orderings, expected at least 1");
        self.orderings = self.config.orderings(count);
        self
    }

    /// The distribution along `ordering`.
    ///
    /// # Panics
    /// When the ordering is not of the model's variables.
    pub fn along(&self, ordering: Ordering) -> Along<'_, Self> {
        Along::of(self, ordering)
    }

    /// The mixture over [`orderings`](Self::orderings).
    pub fn ensemble(&self) -> Ensemble<'_, Self> {
        Ensemble { model: self }
    }

    fn network(&self) -> Network<'_> {
        let Self { w, m, c, layers, v, b, config, .. } = self;
        Network { w, m, c, layers, v, b, activation: config.settings.activation }
    }

    /// Logit of p(x_i = 1 | x_o) for every variable i, known or not, in one pass.
    ///
    /// # Shapes
    /// `x`, `mask` (1 where a variable is known, 0 elsewhere) and the result are `[batch, variables]` in event
    /// order; `x` is read where it is known.
    pub fn logits_given(&self, x: Tensor<2>, mask: Tensor<2>) -> Tensor<2> {
        self.network().outputs_given(x * mask.clone(), mask, &mut Dropout::none())
    }

    /// An estimate of the mean over all orderings of −log p_o(x), one draw for each example, `[batch]` in nats:
    /// unbiased, and at least the NLL of the ensemble over all orderings in expectation.
    ///
    /// # Shapes
    /// `x` is `[batch, variables]` in event order.
    pub fn ordering_loss(&self, x: Tensor<2, Int>, rng: &mut dyn Rng) -> Tensor<1> {
        let like = (&x.device(), self.b.val().dtype());
        let Observed { mask, scales } = Observed::draw(x.dims(), rng, like);
        let x = floats(x, &self.b.val());
        let mut dropout = Dropout::new(self.config.settings.dropout, rng);
        let seen = x.clone() * mask.clone();
        let logits = self.network().outputs_given(seen, mask.clone(), &mut dropout);
        // Known variables cost nothing.
        let known = x.clone().mul_scalar(2.0).sub_scalar(1.0).mul_scalar(CERTAIN);
        bernoulli_rows(logits.mask_where(mask.greater_scalar(0.5), known), x).neg() * scales
    }

    /// log p(x_missing | x_observed), exact, in nats: of the mixture over
    /// [`orderings`](Self::orderings), each with the observed variables moved to its front. `-inf`
    /// for a row that is impossible, whether what is no bit is missing or observed.
    ///
    /// # Shapes
    /// `x` is `[batch, variables]` in event order, `observed` `[variables]`; returns `[batch]`.
    ///
    /// # Panics
    /// When `observed` does not have one entry per variable.
    pub fn log_prob_conditional(&self, x: Tensor<2, Int>, observed: &[bool]) -> Tensor<1> {
        log_prob_conditional(self, x, observed)
    }

    /// Whether the walk along an ordering is that of a NADE.
    fn is_nade(&self) -> bool {
        self.layers.is_empty() && self.config.settings.activation == Activation::Sigmoid
    }
}

impl Along<'_, OrderlessNade> {
    /// Logit of p(x_i = 1 | those before it) for every variable.
    ///
    /// Values are floats so that the Jacobian can be taken; a variable's column never influences its
    /// own logit or an earlier one.
    ///
    /// # Shapes
    /// `x` and the result are `[batch, variables]` in event order.
    pub fn logits(&self, x: Tensor<2>) -> Tensor<2> {
        self.ordering.to_event(self.walk_logits(self.ordering.to_walk(x)))
    }

    /// The same in the order of the walk.
    fn walk_logits(&self, x: Tensor<2>) -> Tensor<2> {
        if self.model.is_nade() { self.nade_logits(x) } else { self.stepped_logits(x) }
    }

    /// As a NADE of [`nade_weights`](Self::nade_weights).
    fn nade_logits(&self, x: Tensor<2>) -> Tensor<2> {
        let [batch, dim] = x.dims();
        let with_ones = Tensor::stack::<3>(vec![x.clone(), x.ones_like()], 2); // [batch, dim, 2]
        let logits = nade::logits(with_ones.reshape([batch, 2 * dim]), self.nade_weights());
        logits.reshape([batch, dim, 2]).narrow(2, 0, 1).reshape([batch, dim])
    }

    /// The weights of a NADE over 2D positions: each variable, and after it a constant 1.
    fn nade_weights(&self) -> Weights {
        let OrderlessNade { w, m, v, b, c, .. } = self.model;
        let order = self.ordering.ordering().as_slice();
        let pairs = |of_variables: Tensor<2>, of_ones: Tensor<2>| {
            let [dim, hidden] = of_variables.dims();
            Tensor::stack::<3>(vec![of_variables, of_ones], 1).reshape([2 * dim, hidden])
        };
        let v = rows(&v.val(), order);
        let b = rows(&b.val(), order).unsqueeze_dim::<2>(1); // [dim, 1]
        Weights {
            w: pairs(rows(&w.val(), order), rows(&m.val(), order)),
            v: pairs(v.clone(), v.zeros_like()),
            b: pairs(b.clone(), b.zeros_like()).squeeze_dim(1),
            c: c.val(),
        }
    }

    /// Position by position.
    fn stepped_logits(&self, x: Tensor<2>) -> Tensor<2> {
        let [batch, dim] = x.dims();
        if batch == 0 {
            return x;
        }
        let network = self.model.network();
        let mut known = network.nothing_known(batch);
        let mut logits = Vec::with_capacity(dim);
        for (t, &i) in self.ordering().as_slice().iter().enumerate() {
            logits.push(network.outputs_at(known.clone(), i..i + 1)); // [batch, 1]
            known = network.reveal(known, i, (x.clone().narrow(1, t, 1), i..i + 1));
        }
        Tensor::cat(logits, 1)
    }
}

impl AnyOrdering for OrderlessNade {
    fn orderings(&self) -> &[Ordering] {
        &self.orderings
    }

    fn nothing_known(&self, batch: usize) -> Tensor<2> {
        self.network().nothing_known(batch)
    }

    fn conditional_of(&self, i: usize, known: &Tensor<2>) -> Bernoulli {
        let logits = self.network().outputs_at(known.clone(), i..i + 1); // [batch, 1]
        Bernoulli::from_logits_unchecked(logits.squeeze_dim(1))
    }

    fn reveal(&self, known: Tensor<2>, i: usize, x_i: Tensor<1, Int>) -> Tensor<2> {
        let x_i = floats(x_i, &known).unsqueeze_dim(1); // [batch, 1]
        self.network().reveal(known, i, (x_i, i..i + 1))
    }

    fn log_prob_from(&self, ordering: &Ordering, x: Tensor<2, Int>, from: usize) -> Tensor<1> {
        let along = self.along(ordering.clone());
        let x = floats(along.ordering.to_walk(x), &self.b.val()); // [batch, dim], walk order
        let ([batch, dim], logits) = (x.dims(), along.walk_logits(x.clone()));
        match from {
            0 => bernoulli_rows(logits, x),
            from if from == dim => Tensor::zeros([batch], (&x.device(), x.dtype())),
            from => {
                bernoulli_rows(logits.narrow(1, from, dim - from), x.narrow(1, from, dim - from))
            }
        }
    }

    fn impossible(&self, x: &Tensor<2, Int>) -> Tensor<1, Bool> {
        outside(x, 2).any_dim(1).squeeze_dim::<1>(1)
    }

    fn draw_along(
        &self,
        ordering: &Ordering,
        observed: &[Option<u8>],
        rng: &mut dyn Rng,
    ) -> Vec<u8> {
        let (dim, along) = (ordering.len(), self.along(ordering.clone()));
        let n = observed.len() / dim;
        if n == 0 || !(self.is_nade() && ar_kernels::has_kernel(&self.w.val())) {
            return walk::walk::<_, Int>(
                &along,
                ordering.as_slice(),
                observed,
                &device_of(self),
                rng,
            );
        }
        // Each variable, and after it a constant that no uniform is spent on.
        let mut uniforms = vec![0.0; n * 2 * dim];
        for of_position in uniforms.chunks_exact_mut(2 * n) {
            of_position[..n].fill_with(|| uniform(rng));
        }
        let (mut x, mut mask) = (vec![1.0; n * 2 * dim], vec![true; n * 2 * dim]);
        for (k, (x, mask)) in x.iter_mut().zip(&mut mask).enumerate().step_by(2) {
            let (row, t) = (k / (2 * dim), k % (2 * dim) / 2);
            let known = observed[row * dim + ordering[t]];
            (*x, *mask) = (f32::from(known.unwrap_or(0)), known.is_some());
        }
        let known = Some(cpu::Observed { x: &x, mask: &mask });
        let drawn = cpu::sample(&uniforms, known, along.nade_weights().on_host().params());
        let mut events = vec![0; n * dim];
        for (event, drawn) in events.chunks_exact_mut(dim).zip(drawn.as_chunks::<2>().0.chunks(dim))
        {
            for (t, &[value, _]) in drawn.iter().enumerate() {
                event[ordering[t]] = value as u8;
            }
        }
        events
    }
}

impl Density for OrderlessNade {
    type Event = Tensor<2, Int>;

    /// Along the ordering of the walk.
    ///
    /// # Panics
    /// When an event does not have one column per variable.
    fn log_prob(&self, x: Tensor<2, Int>) -> Tensor<1> {
        self.walk().log_prob(x)
    }
}

impl Sample for OrderlessNade {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2, Int> {
        self.walk().sample(n, rng)
    }
}

impl OrderlessNade {
    /// The distribution along the ordering of the walk.
    fn walk(&self) -> Along<'_, Self> {
        self.along(self.config.ordering.clone())
    }
}

impl Autoregressive for OrderlessNade {
    type State = OrderlessState;
    type Conditional = Bernoulli;

    fn event_len(&self) -> usize {
        self.config.ordering.len()
    }

    fn init_state(&self, batch: usize) -> OrderlessState {
        self.walk().init_state(batch)
    }

    fn conditional(&self, state: &OrderlessState) -> Bernoulli {
        self.walk().conditional(state)
    }

    fn advance(&self, state: &mut OrderlessState, x_t: Tensor<1, Int>) {
        self.walk().advance(state, x_t);
    }

    fn select(&self, state: &OrderlessState, walks: &[usize]) -> OrderlessState {
        self.walk().select(state, walks)
    }
}

impl Neural for OrderlessNade {
    type Kind = Int;

    fn ordering(&self) -> &Ordering {
        &self.config.ordering
    }

    fn log_prob_per_variable(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let walk = self.walk();
        let symbols = walk.ordering.to_walk(x);
        let x = floats(symbols.clone(), &self.b.val());
        let log_probs = bernoulli::log_prob(walk.walk_logits(x.clone()), x);
        walk.ordering.to_event(impossible_from_outside_on(log_probs, &symbols, 2))
    }

    /// h_L with every variable known, `[batch, last hidden]`.
    fn features(&self, x: Tensor<2, Int>) -> Option<Tensor<2>> {
        let x = floats(x, &self.b.val());
        let all = x.ones_like();
        Some(self.network().last_hidden(x, all, &mut Dropout::none()))
    }

    /// Exact for any mask: along the ordering of the walk with the observed variables moved to its front.
    fn complete(&self, observed: &[Option<u8>], rng: &mut dyn Rng) -> Vec<u8> {
        complete_along(self, &self.orderings[..1], observed, rng)
    }

    fn training_loss(
        &self,
        x: Tensor<2, Int>,
        _: Option<Tensor<1, Int>>,
        rng: &mut dyn Rng,
    ) -> Tensor<1> {
        self.ordering_loss(x, rng)
    }

    fn for_validation(self) -> Self {
        self.with_orderings(1)
    }
}
