//! NADE, the neural autoregressive distribution estimator, over binary variables.
//!
//! ```text
//! p(x) = Π_t p(x_t | x_<t),   p(x_t = 1 | x_<t) = σ(b_t + V_t · h_t),   h_t = σ(c + W_<t x_<t)
//! ```
//!
//! All conditionals share W, so that h_{t+1} follows from h_t in O(H): log p(x) costs O(D·H), not
//! O(D²·H). Positions t count along the ordering; row t of W, V and b belongs to position t, not to
//! variable t.
//!
//! # References
//! - Larochelle and Murray, *The Neural Autoregressive Distribution Estimator*, AISTATS 2011,
//!   Eqs. 10 to 12.
//! - Uria, Côté, Gregor, Murray, Larochelle, *Neural Autoregressive Distribution Estimation*, 2016,
//!   arXiv:1605.02226, Eqs. 2 to 5.
//!
//! # Deviations from the paper
//! Output biases start at the log-odds of the training means, not at 0.

use ar_kernels::nade::{self, Weights};
use burn::module::{Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Int, Tensor, TensorData};
use prob_core::dist::{Bernoulli, bernoulli};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density, Sample, standard_normal, uniform};
use rand::Rng;

use crate::heads::bernoulli_rows;
use crate::layers::permute::Permutation;
use crate::layers::{log_odds_in_walk, rows};
use crate::neural::{Neural, device_of, event_symbols, event_tensor, floats};
use crate::walk;

/// How to make a [`Nade`].
#[derive(Clone, Debug)]
pub struct NadeConfig {
    /// The order of the walk; its length is the number of variables.
    pub ordering: Ordering,
    /// Hidden units H.
    pub hidden: usize,
    /// Standard deviation of the initial W and V.
    pub init_scale: f64,
}

impl NadeConfig {
    /// Settings of the papers: weights from N(0, 0.01²).
    pub fn new(ordering: Ordering, hidden: usize) -> Self {
        Self { ordering, hidden, init_scale: 0.01 }
    }

    /// W and V drawn from N(0, init_scale²), c = 0, and b such that with zero weights every variable
    /// has the probability `means[i]` (event order).
    ///
    /// # Panics
    /// When `means` does not have one value in (0, 1) per variable.
    pub fn init(&self, means: &[f64], rng: &mut dyn Rng, device: &Device) -> Nade {
        let (dim, hidden) = (self.ordering.len(), self.hidden);
        let mut normal = |rows: usize, columns: usize| {
            let values: Vec<f32> = (0..rows * columns)
                .map(|_| (standard_normal(rng) * self.init_scale) as f32)
                .collect();
            Tensor::from_data(TensorData::new(values, [rows, columns]), device)
        };
        let (w, v) = (normal(dim, hidden), normal(dim, hidden));
        let log_odds = log_odds_in_walk(means, &self.ordering);
        Nade {
            w: Param::from_tensor(w),
            v: Param::from_tensor(v),
            b: Param::from_tensor(Tensor::from_data(TensorData::new(log_odds, [dim]), device)),
            c: Param::from_tensor(Tensor::zeros([hidden], device)),
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
    #[module(skip)]
    ordering: Permutation,
}

impl Nade {
    fn weights(&self) -> Weights {
        Weights { w: self.w.val(), v: self.v.val(), b: self.b.val(), c: self.c.val() }
    }

    /// Logit of p(x_i = 1 | those before it) for every variable, all at once.
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
        nade::logits(x, self.weights())
    }
}

impl Density for Nade {
    type Event = Tensor<2, Int>;

    /// # Panics
    /// When an event does not have one column per variable.
    fn log_prob(&self, x: Tensor<2, Int>) -> Tensor<1> {
        let x = floats(self.ordering.to_walk(x), &self.b.val()); // [batch, dim], walk order
        bernoulli_rows(self.walk_logits(x.clone()), x)
    }
}

impl Sample for Nade {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2, Int> {
        let dim = self.event_len();
        event_tensor(&self.complete(&vec![None; n * dim], rng), dim, &device_of(self))
    }
}

/// a_t of each walk of a batch.
#[derive(Clone, Debug)]
pub struct NadeState {
    position: usize,
    /// `[batch, hidden]`
    a: Tensor<2>,
}

impl Autoregressive for Nade {
    type State = NadeState;
    type Conditional = Bernoulli;

    fn event_len(&self) -> usize {
        self.ordering.ordering().len()
    }

    fn init_state(&self, batch: usize) -> NadeState {
        let [hidden] = self.c.dims();
        NadeState { position: 0, a: self.c.val().unsqueeze::<2>().expand([batch, hidden]) }
    }

    fn conditional(&self, state: &NadeState) -> Bernoulli {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} variables");
        let v_t = self.v.val().narrow(0, t, 1); // [1, hidden]
        let b_t = self.b.val().narrow(0, t, 1); // [1]
        let dots = sigmoid(state.a.clone()).mul(v_t).sum_dim(1).squeeze_dim::<1>(1); // [batch]
        Bernoulli::from_logits_unchecked(dots + b_t)
    }

    fn advance(&self, state: &mut NadeState, x_t: Tensor<1, Int>) {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} variables");
        assert_eq!(x_t.dims()[0], state.a.dims()[0], "one value per walk");
        let w_t = self.w.val().narrow(0, t, 1); // [1, hidden]
        let x_t = floats(x_t, &state.a).unsqueeze_dim::<2>(1); // [batch, 1]
        state.a = state.a.clone() + x_t.mul(w_t); // [batch, hidden]
        state.position += 1;
    }

    fn select(&self, state: &NadeState, walks: &[usize]) -> NadeState {
        NadeState { position: state.position, a: rows(&state.a, walks) }
    }
}

impl Neural for Nade {
    type Kind = Int;

    fn ordering(&self) -> &Ordering {
        self.ordering.ordering()
    }

    fn log_prob_per_variable(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let x = floats(self.ordering.to_walk(x), &self.b.val());
        self.ordering.to_event(bernoulli::log_prob(self.walk_logits(x.clone()), x))
    }

    /// h after all variables, σ(c + W x), `[batch, hidden]`.
    fn features(&self, x: Tensor<2, Int>) -> Option<Tensor<2>> {
        let x = floats(self.ordering.to_walk(x), &self.b.val());
        Some(sigmoid(x.matmul(self.w.val()) + self.c.val().unsqueeze()))
    }

    fn complete(&self, observed: &[Option<u8>], rng: &mut dyn Rng) -> Vec<u8> {
        let dim = self.event_len();
        let n = observed.len() / dim.max(1);
        if n == 0 || !ar_kernels::has_kernel(&self.w.val()) {
            return walk::complete(self, observed, rng);
        }
        // The order of the plain walk: position by position, row by row.
        let uniforms: Vec<f64> = (0..n * dim).map(|_| uniform(rng)).collect();
        let known = observed.iter().any(Option::is_some).then(|| {
            let in_walk = |k: usize| observed[k / dim * dim + self.ordering()[k % dim]];
            let x = (0..n * dim).map(|k| f32::from(in_walk(k).unwrap_or(0))).collect();
            let mask = (0..n * dim).map(|k| in_walk(k).is_some()).collect();
            nade::Known { x, mask }
        });
        let drawn = nade::sample(uniforms, known, self.weights()).expect("the device has a kernel");
        event_symbols(self.ordering.to_event(drawn).int())
    }
}
