//! NADE, the neural autoregressive distribution estimator, over binary variables; [`LevelNade`] is that over symbols
//! of more levels.
//!
//! ```text
//! p(x) = Π_t p(x_t | x_<t),   p(x_t = 1 | x_<t) = σ(b_t + V_t · h_t),   h_t = σ(c + W_<t x_<t)
//! ```
//!
//! All conditionals share W, so that h_{t+1} follows from h_t in O(H): log p(x) costs O(D·H), not
//! O(D²·H). Positions t count along the ordering; row t of W, V and b belongs to position t, not to
//! variable t.
//!
//! With `classes = K` the hidden units and the outputs have a bias per class y beside those of all,
//!
//! ```text
//! p(x_t = 1 | x_<t, y) = σ(b_t + B_yt + V_t · h_t),   h_t = σ(c + C_y + W_<t x_<t)
//! ```
//!
//! and without a label the density is the mixture 1/K Σ_y p(x | y), whose walk is K walks side by side.
//! To the kernel a label is K bits before the first variable, one of which is 1 and whose input weights
//! are C.
//!
//! # References
//! - Larochelle and Murray, *The Neural Autoregressive Distribution Estimator*, AISTATS 2011,
//!   Eqs. 10 to 12.
//! - Uria, Côté, Gregor, Murray, Larochelle, *Neural Autoregressive Distribution Estimation*, 2016,
//!   arXiv:1605.02226, Eqs. 2 to 5.
//! - Biases per class: Larochelle and Bengio, *Classification using Discriminative Restricted Boltzmann
//!   Machines*, ICML 2008, Eq. 1 (their U is our C).
//!
//! # Deviations from the paper
//! Output biases start at the log-odds of the training means, not at 0. The biases per class are not in
//! the papers on NADE.

mod columns;
mod levels;

use std::collections::BTreeSet;

use ar_kernels::Isa;
use ar_kernels::nade::{self, HostWeights, Weights, cpu};
use burn::module::{Module, Param};
use burn::tensor::activation::{log_softmax, sigmoid};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use prob_core::dist::{Bernoulli, bernoulli};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density, Sample, uniform};
use rand::Rng;

use crate::parts::heads::{bernoulli_rows, impossible_from_outside_on};
use crate::parts::layers::mixture::{self, Posterior};
use crate::parts::layers::permute::Permutation;
use crate::parts::layers::{log_odds_in_walk, normal, rows};
use crate::parts::neural::Neural;
use crate::parts::tensors::{device_of, event_tensor, floats};
use crate::parts::walk::{self, Completions, Particles};
use crate::parts::walker::{Arithmetic, Choose, Stepped, Walker};

pub use columns::{ColumnNade, ColumnNadeConfig};
pub use levels::{LevelNade, LevelNadeConfig, LevelNadeState, Likelihood};

/// How to make a [`Nade`].
#[derive(Clone, Debug)]
pub struct NadeConfig {
    /// The order of the walk; its length is the number of variables.
    pub ordering: Ordering,
    /// Hidden units H.
    pub hidden: usize,
    /// Standard deviation of the initial W and V.
    pub init_scale: f64,
    /// Classes K of the labels that there are biases for; none for a model of x alone.
    pub classes: Option<usize>,
}

impl NadeConfig {
    /// Settings of the papers: weights from N(0, 0.01²).
    pub fn new(ordering: Ordering, hidden: usize) -> Self {
        Self { ordering, hidden, init_scale: 0.01, classes: None }
    }

    /// W and V drawn from N(0, init_scale²), c, C and B = 0, and b such that with zero weights every variable
    /// has the probability `means[i]` (event order).
    ///
    /// # Panics
    /// When `means` does not have one value in (0, 1) per variable.
    pub fn init(&self, means: &[f64], rng: &mut dyn Rng, device: &Device) -> Nade {
        let (dim, hidden) = (self.ordering.len(), self.hidden);
        let (w, v) = (
            normal([dim, hidden], self.init_scale, rng, device),
            normal([dim, hidden], self.init_scale, rng, device),
        );
        let log_odds = log_odds_in_walk(means, &self.ordering);
        let of_classes = |width| {
            let zeros = |classes| Param::from_tensor(Tensor::zeros([classes, width], device));
            self.classes.map(zeros)
        };
        Nade {
            w: Param::from_tensor(w),
            v: Param::from_tensor(v),
            b: Param::from_tensor(Tensor::from_data(TensorData::new(log_odds, [dim]), device)),
            c: Param::from_tensor(Tensor::zeros([hidden], device)),
            class_b: of_classes(dim),
            class_c: of_classes(hidden),
            ordering: Permutation::new(self.ordering.clone()),
        }
    }
}

/// A NADE over binary variables.
///
/// ```
/// use ar_models::nade::NadeConfig;
/// use burn::tensor::{Device, Tensor};
/// use prob_core::{Density, ordering::Ordering};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
///
/// let mut rng = ChaCha8Rng::seed_from_u64(1);
/// let device = Device::default();
/// let nade = NadeConfig::new(Ordering::raster(2), 8).init(&[0.5, 0.5], &mut rng, &device);
/// let all = Tensor::from_data([[0, 0], [0, 1], [1, 0], [1, 1]], &device);
/// let mass = nade.log_prob(all).exp().sum().into_scalar::<f32>();
/// assert!((mass - 1.0).abs() < 1e-6);
/// ```
#[derive(Module, Debug)]
pub struct Nade {
    /// Input weights W, `[dim, hidden]`; row t belongs to position t.
    pub w: Param<Tensor<2>>,
    /// Output weights V, `[dim, hidden]`.
    pub v: Param<Tensor<2>>,
    /// Output biases b, `[dim]`.
    pub b: Param<Tensor<1>>,
    /// Hidden biases c, `[hidden]`.
    pub c: Param<Tensor<1>>,
    /// What is added to b for each class, B, `[classes, dim]`.
    pub class_b: Option<Param<Tensor<2>>>,
    /// What is added to c for each class, C, `[classes, hidden]`.
    pub class_c: Option<Param<Tensor<2>>>,
    #[module(skip)]
    ordering: Permutation,
}

/// The biases of one class, or of none.
type Class = Option<usize>;

impl Nade {
    /// The network of one class, or that without any.
    fn weights(&self, class: Class) -> Weights {
        let (mut b, mut c) = (self.b.val(), self.c.val());
        if let (Some(class), Some((class_b, class_c))) = (class, self.of_classes()) {
            b = b + class_b.narrow(0, class, 1).squeeze_dim(0);
            c = c + class_c.narrow(0, class, 1).squeeze_dim(0);
        }
        Weights { w: self.w.val(), v: self.v.val(), b, c }
    }

    /// B and C.
    fn of_classes(&self) -> Option<(Tensor<2>, Tensor<2>)> {
        Some((self.class_b.as_ref()?.val(), self.class_c.as_ref()?.val()))
    }

    /// Logit of p(x_i = 1 | those before it) for every variable, all at once.
    ///
    /// Values are floats so that the Jacobian can be taken; a variable's column never influences its
    /// own logit or an earlier one.
    ///
    /// # Shapes
    /// `x` and the result are `[batch, variables]` in event order.
    ///
    /// # Panics
    /// When the model has classes: see [`logits_given`](Self::logits_given).
    pub fn logits(&self, x: Tensor<2>) -> Tensor<2> {
        assert!(self.class_b.is_none(), "a model with classes has logits given a label only");
        self.ordering.to_event(nade::logits(self.ordering.to_walk(x), self.weights(None)))
    }

    /// The same given a label.
    ///
    /// # Shapes
    /// `x` and the result are `[batch, variables]` in event order, `labels` is `[batch]`.
    ///
    /// # Panics
    /// When the model has no classes, or there is not one label per row.
    pub fn logits_given(&self, x: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
        self.ordering.to_event(self.walk_logits_given(self.ordering.to_walk(x), labels))
    }

    /// The same in the order of the walk.
    fn walk_logits_given(&self, x: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
        let (class_b, class_c) = self.of_classes().expect("the model has classes");
        let ([batch, dim], [classes, hidden]) = (x.dims(), class_c.dims());
        assert_eq!(labels.dims(), [batch], "one label per row");
        if batch == 0 {
            return x;
        }
        let like = (&x.device(), x.dtype());
        let label = labels.clone().one_hot::<2>(classes).float().cast(x.dtype());
        // The logits of the label's own bits are not asked for.
        let nothing = Tensor::zeros([classes, hidden], like);
        let weights = Weights {
            w: Tensor::cat(vec![class_c, self.w.val()], 0),
            v: Tensor::cat(vec![nothing, self.v.val()], 0),
            b: Tensor::cat(vec![Tensor::zeros([classes], like), self.b.val()], 0),
            c: self.c.val(),
        };
        let logits = nade::logits(Tensor::cat(vec![label, x], 1), weights);
        logits.narrow(1, classes, dim) + class_b.select(0, labels)
    }

    /// log p(x_t | x_<t), given a label where there are classes, in the order of the walk.
    fn walk_log_probs(&self, x: Tensor<2, Int>, class: Class) -> Tensor<2> {
        let x = floats(x, &self.b.val());
        bernoulli::log_prob(nade::logits(x.clone(), self.weights(class)), x)
    }

    /// log p(x), given a label where there are classes, of values in the order of the walk.
    fn walk_log_prob(&self, x: Tensor<2, Int>, class: Class) -> Tensor<1> {
        let x = floats(x, &self.b.val());
        bernoulli_rows(nade::logits(x.clone(), self.weights(class)), x)
    }

    /// Walks of one event.
    fn beside(&self) -> usize {
        self.classes().unwrap_or(1)
    }

    /// The state before the first variable, for a walk given each of `labels`.
    ///
    /// # Panics
    /// When the model has no classes, or a label is not below them.
    pub fn init_state_given(&self, labels: &[u8]) -> NadeState {
        let classes = self.classes().expect("the model has classes");
        assert!(labels.iter().all(|&y| usize::from(y) < classes), "a label of {classes} classes");
        let state = self.init_state(labels.len());
        let like = (&state.logits.device(), state.logits.dtype());
        NadeState { posterior: Posterior::known(labels, classes, like), ..state }
    }

    /// p(x | y) as a model of its own, which has no classes.
    ///
    /// # Panics
    /// When there is no such class.
    pub fn given(&self, class: usize) -> Self {
        assert!(class < self.beside(), "class {class} of {}", self.beside());
        let Weights { b, c, .. } = self.weights(Some(class));
        Self {
            b: Param::from_tensor(b.detach()),
            c: Param::from_tensor(c.detach()),
            class_b: None,
            class_c: None,
            ..self.clone()
        }
    }
}

impl Density for Nade {
    type Event = Tensor<2, Int>;

    /// # Panics
    /// When an event does not have one column per variable.
    fn log_prob(&self, x: Tensor<2, Int>) -> Tensor<1> {
        match self.classes() {
            Some(_) => mixture::log_prob(self.log_prob_per_class(x)),
            None => self.walk_log_prob(self.ordering.to_walk(x), None),
        }
    }
}

impl Sample for Nade {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2, Int> {
        let dim = self.event_len();
        event_tensor(&self.complete(&vec![None; n * dim], rng), dim, &device_of(self))
    }
}

/// Where each walk of a batch has come.
#[derive(Clone, Debug)]
pub struct NadeState {
    position: usize,
    /// a_t, `[batch · K, hidden]`; without classes K is 1.
    a: Tensor<2>,
    /// Which class.
    posterior: Posterior,
    /// Logits of p(x_t = 1 | x_<t, y), `[batch, K]`.
    logits: Tensor<2>,
}

impl Nade {
    /// The logits of position t, `[batch, K]`, from a_t.
    fn logits_at(&self, t: usize, a: Tensor<2>) -> Tensor<2> {
        let [walks, _] = a.dims();
        let v_t = self.v.val().narrow(0, t, 1); // [1, hidden]
        let b_t = self.b.val().narrow(0, t, 1).unsqueeze::<2>(); // [1, 1]
        let dots = sigmoid(a).mul(v_t).sum_dim(1); // [batch · K, 1]
        let logits = dots.reshape([walks / self.beside(), self.beside()]) + b_t; // [batch, K]
        match self.of_classes() {
            Some((class_b, _)) => logits + class_b.narrow(1, t, 1).transpose(),
            None => logits,
        }
    }
}

impl Autoregressive for Nade {
    type State = NadeState;
    type Conditional = Bernoulli;

    fn event_len(&self) -> usize {
        self.ordering.ordering().len()
    }

    fn init_state(&self, batch: usize) -> NadeState {
        let ([hidden], c) = (self.c.dims(), self.c.val().unsqueeze::<2>());
        let first = match self.of_classes() {
            Some((_, class_c)) => c + class_c, // [K, hidden]
            None => c,
        };
        let [components, _] = first.dims();
        let posterior = Posterior::even(batch, components, (&first.device(), first.dtype()));
        let a = first.unsqueeze::<3>().expand([batch, components, hidden]);
        let a = a.reshape([batch * components, hidden]);
        let logits = self.logits_at(0, a.clone());
        NadeState { position: 0, a, posterior, logits }
    }

    fn conditional(&self, state: &NadeState) -> Bernoulli {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} variables");
        state.posterior.conditional(&state.logits)
    }

    fn advance(&self, state: &mut NadeState, x_t: Tensor<1, Int>) {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} variables");
        let ([walks, _], components) = (state.a.dims(), self.beside());
        let batch = walks / components;
        assert_eq!(x_t.dims()[0], batch, "one value per walk");
        let w_t = self.w.val().narrow(0, t, 1); // [1, hidden]
        let x_t = floats(x_t, &state.a).unsqueeze_dim::<2>(1); // [batch, 1]
        if components > 1 {
            state.posterior.observe(&state.logits, &x_t);
        }
        let of_walks = x_t.expand([batch, components]).reshape([walks, 1]);
        state.a = state.a.clone() + of_walks.mul(w_t); // [batch · K, hidden]
        state.position += 1;
        if state.position < self.event_len() {
            state.logits = self.logits_at(state.position, state.a.clone());
        }
    }

    fn select(&self, state: &NadeState, walks: &[usize]) -> NadeState {
        let beside = self.beside();
        let all: Vec<usize> =
            walks.iter().flat_map(|walk| walk * beside..(walk + 1) * beside).collect();
        NadeState {
            position: state.position,
            a: rows(&state.a, &all),
            posterior: state.posterior.select(walks),
            logits: rows(&state.logits, walks),
        }
    }
}

impl Neural for Nade {
    type Kind = Int;

    fn ordering(&self) -> &Ordering {
        self.ordering.ordering()
    }

    fn log_prob_per_variable(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let x = self.ordering.to_walk(x);
        let of = |class| self.walk_log_probs(x.clone(), class);
        let log_probs = match self.classes() {
            None => of(None),
            Some(classes) => {
                let all = Tensor::stack((0..classes).map(Some).map(of).collect(), 2);
                mixture::log_prob_per_variable(all)
            }
        };
        self.ordering.to_event(impossible_from_outside_on(log_probs, &x, 2))
    }

    fn classes(&self) -> Option<usize> {
        self.class_b.as_ref().map(|class_b| class_b.dims()[0])
    }

    /// # Panics
    /// When the model has no classes, or there is not one label per row.
    fn log_prob_given(&self, x: Tensor<2, Int>, labels: Tensor<1, Int>) -> Tensor<1> {
        let x = floats(self.ordering.to_walk(x), &self.b.val());
        bernoulli_rows(self.walk_logits_given(x.clone(), labels), x)
    }

    /// One pass each.
    fn log_prob_per_class(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let classes = self.classes().expect("the model has classes");
        let x = self.ordering.to_walk(x);
        let of = |class| self.walk_log_prob(x.clone(), Some(class));
        Tensor::stack((0..classes).map(of).collect(), 1)
    }

    /// # Panics
    /// When the model has no classes, or there is not one label per row.
    fn log_prob_per_variable_given(&self, x: Tensor<2, Int>, labels: Tensor<1, Int>) -> Tensor<2> {
        let symbols = self.ordering.to_walk(x);
        let x = floats(symbols.clone(), &self.b.val());
        let log_probs = bernoulli::log_prob(self.walk_logits_given(x.clone(), labels), x);
        self.ordering.to_event(impossible_from_outside_on(log_probs, &symbols, 2))
    }

    /// h after all variables, σ(c + W x), `[batch, hidden]`; with classes its mean under p(y | x).
    fn features(&self, x: Tensor<2, Int>) -> Option<Tensor<2>> {
        let values = floats(self.ordering.to_walk(x.clone()), &self.b.val());
        let a = values.matmul(self.w.val()) + self.c.val().unsqueeze();
        let Some((_, class_c)) = self.of_classes() else {
            return Some(sigmoid(a));
        };
        let posterior = log_softmax(self.log_prob_per_class(x), 1).exp(); // [batch, classes]
        let [classes, _] = class_c.dims();
        let of = |y| {
            sigmoid(a.clone() + class_c.clone().narrow(0, y, 1)) * posterior.clone().narrow(1, y, 1)
        };
        (0..classes).map(of).reduce(|sum, h| sum + h)
    }

    fn complete(&self, observed: &[Option<u8>], rng: &mut dyn Rng) -> Vec<u8> {
        let dim = self.event_len();
        let n = observed.len() / dim.max(1);
        let weights = self.weights(None);
        if n == 0 || self.classes().is_some() || !weights.have_kernel() {
            return walk::complete(self, observed, rng);
        }
        // The order of the plain walk: position by position, row by row.
        let uniforms: Vec<f64> = (0..n * dim).map(|_| uniform(rng)).collect();
        let in_walk = |k: usize| observed[k / dim * dim + self.ordering()[k % dim]];
        let drawn = if ar_kernels::has_kernel(&weights.w) {
            let known: Vec<f32> = (0..n * dim).map(|k| in_walk(k).unwrap_or(0).into()).collect();
            let mask: Vec<bool> = (0..n * dim).map(|k| in_walk(k).is_some()).collect();
            let known = mask.contains(&true).then_some(cpu::Observed { x: &known, mask: &mask });
            cpu::sample(&uniforms, known, weights.on_host().params())
        } else {
            // One launch, on the device.
            let threshold = |k: usize| match in_walk(k) {
                Some(0) => f32::INFINITY,
                Some(_) => f32::NEG_INFINITY,
                None => {
                    let u = uniforms[k % dim * n + k / dim];
                    (u / (1.0 - u)).ln() as f32
                }
            };
            let thresholds: Vec<f32> = (0..n * dim).map(threshold).collect();
            let device = weights.w.device();
            let thresholds = Tensor::from_data(TensorData::new(thresholds, [n, dim]), &device);
            let drawn = nade::draw(thresholds, weights).expect("the weights have a kernel");
            drawn.into_data().iter::<f32>().collect()
        };
        let mut x = vec![0; n * dim];
        for (x, drawn) in x.chunks_exact_mut(dim).zip(drawn.chunks_exact(dim)) {
            for (&i, &value) in self.ordering().as_slice().iter().zip(drawn) {
                x[i] = value as u8;
            }
        }
        x
    }

    /// Fused in f32 and without classes.
    fn walker(&self, levels: usize, isa: Isa) -> Option<Box<dyn Walker + '_>> {
        if self.classes().is_none() && self.b.val().dtype() == DType::F32 {
            Some(Box::new(Fused { weights: self.weights(None).on_host(), isa }))
        } else {
            Some(Box::new(Stepped { model: self, levels }))
        }
    }

    /// Class by class, each in the order of its own walk.
    ///
    /// # Panics
    /// When the model has no classes, there is not one label per row, or a label is not below the
    /// classes.
    fn complete_given(&self, observed: &[Option<u8>], labels: &[u8], rng: &mut dyn Rng) -> Vec<u8> {
        let dim = self.event_len();
        assert!(self.class_b.is_some(), "the model has no classes");
        assert_eq!(observed.len(), labels.len() * dim, "one label per row");
        let mut out = vec![0; observed.len()];
        for class in labels.iter().copied().collect::<BTreeSet<u8>>() {
            let rows: Vec<usize> = (0..labels.len()).filter(|&k| labels[k] == class).collect();
            let own: Vec<Option<u8>> =
                rows.iter().flat_map(|k| &observed[k * dim..(k + 1) * dim]).copied().collect();
            let drawn = self.given(class.into()).complete(&own, rng);
            for (k, event) in rows.into_iter().zip(drawn.chunks_exact(dim)) {
                out[k * dim..(k + 1) * dim].copy_from_slice(event);
            }
        }
        out
    }
}

impl Nade {
    /// [`monte_carlo`](walk::monte_carlo) in one walk on the host; `None` where there is no kernel for it.
    ///
    /// # Shapes
    /// `observed` is `[n, variables]` in event order.
    pub(crate) fn monte_carlo(
        &self,
        observed: &[Option<u8>],
        (particles, samples): (usize, usize),
        rng: &mut dyn Rng,
    ) -> Option<Completions> {
        let weights = self.weights(None);
        if self.classes().is_some()
            || !ar_kernels::has_kernel(&weights.w)
            || self.b.val().dtype() != DType::F32
        {
            return None;
        }
        let walks = Particles::new(self.ordering().as_slice(), observed, particles);
        let (n, host) = (walks.len(), weights.on_host());
        let mut choices =
            Weighing { walks, uniforms: Vec::new(), weighs: false, ancestors: Vec::new(), rng };
        cpu::walk(Isa::detect(), n, host.params(), &mut choices);
        let Weighing { walks, rng, .. } = choices;
        Some(walks.completions(samples, rng))
    }
}

/// Walks that keep what is observed and are weighed by it.
struct Weighing<'a> {
    walks: Particles<'a, u8>,
    /// Of the position that is under way, if anything is drawn there.
    uniforms: Vec<f64>,
    weighs: bool,
    ancestors: Vec<usize>,
    rng: &'a mut dyn Rng,
}

impl cpu::Choices for Weighing<'_> {
    fn choose(&mut self, t: usize, walk: usize, logit: f32) -> f32 {
        if walk == 0 {
            let count = if self.walks.draws_at(t) { self.walks.len() } else { 0 };
            self.uniforms.clear();
            self.uniforms.extend((0..count).map(|_| uniform(self.rng)));
            self.weighs = self.walks.weighs_at(t);
        }
        let known = self.walks.known(t, walk);
        let x = known.map_or_else(|| cpu::bernoulli_draw(self.uniforms[walk], logit), f32::from);
        self.walks.set(t, walk, x as u8);
        if self.weighs {
            // log σ(±logit), without the cancellation of 1 − σ.
            let signed = if x == 0.0 { -f64::from(logit) } else { f64::from(logit) };
            self.walks.weigh(t, walk, signed.min(0.0) - (-signed.abs()).exp().ln_1p());
        }
        x
    }

    fn ancestors(&mut self, t: usize) -> Option<&[usize]> {
        self.ancestors = self.walks.resample(t, self.rng)?;
        Some(&self.ancestors)
    }
}

/// The walk on the host, fused.
#[derive(Debug)]
struct Fused {
    weights: HostWeights,
    isa: Isa,
}

impl Walker for Fused {
    fn together(&self) -> usize {
        cpu::TOGETHER
    }

    fn arithmetic(&self) -> Arithmetic {
        Arithmetic::Lanes(self.isa.name())
    }

    fn walk(&self, n: usize, choose: &mut Choose<'_>) {
        let mut own =
            |t: usize, row: usize, logit: f32| f32::from(choose(t, row, &[0.0, f64::from(logit)]));
        cpu::walk(self.isa, n, self.weights.params(), &mut own);
    }
}
