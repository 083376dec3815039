//! Logistic autoregression, the fully visible sigmoid belief net: each variable a logistic regression
//! on those before it.
//!
//! ```text
//! p(x_t = 1 | x_<t) = σ(b_t + Σ_{s<t} U_ts x_s)          n(n−1)/2 + n parameters
//! ```
//!
//! # References
//! - Frey, Hinton, Dayan, *Does the wake-sleep algorithm produce good density estimators?*, NIPS 1996.
//! - Bengio and Bengio, *Modeling high-dimensional discrete data with multi-layer neural networks*,
//!   NIPS 2000, compares against it.
//!
//! # Deviations from the paper
//! None. Weights start at zero and biases at the log-odds of the training means.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use prob_core::dist::{Bernoulli, bernoulli};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density, Sample};
use rand::Rng;

use crate::parts::heads::{bernoulli_rows, impossible_from_outside_on};
use crate::parts::layers::permute::Permutation;
use crate::parts::layers::{log_odds_in_walk, rows};
use crate::parts::neural::Neural;
use crate::parts::tensors::{device_of, event_tensor, floats};

/// How to make a [`Logistic`].
#[derive(Clone, Debug)]
pub struct LogisticConfig {
    /// The order of the walk; its length is the number of variables.
    pub ordering: Ordering,
}

impl LogisticConfig {
    /// U = 0 and b the log-odds of `means` (event order).
    ///
    /// # Panics
    /// When `means` does not have one value in (0, 1) per variable.
    pub fn init(&self, means: &[f64], device: &Device) -> Logistic {
        let dim = self.ordering.len();
        let log_odds = log_odds_in_walk(means, &self.ordering);
        Logistic {
            u: Param::from_tensor(Tensor::zeros([dim, dim], device)),
            b: Param::from_tensor(Tensor::from_data(TensorData::new(log_odds, [dim]), device)),
            ordering: Permutation::new(self.ordering.clone()),
        }
    }
}

/// A logistic autoregression over binary variables.
///
/// ```
/// use ar_models::logistic::LogisticConfig;
/// use burn::tensor::{Device, Tensor};
/// use prob_core::{Density, ordering::Ordering};
///
/// let config = LogisticConfig { ordering: Ordering::raster(2) };
/// let model = config.init(&[0.5, 0.25], &Device::default());
/// let x = Tensor::from_data([[1, 0]], &Device::default());
/// assert!((model.log_prob(x).into_scalar::<f32>() - (0.5f32 * 0.75).ln()).abs() < 1e-6);
/// ```
#[derive(Module, Debug)]
pub struct Logistic {
    /// Weights U, `[dim, dim]`: entry (t, s) is what position t makes of position s. Only s < t is
    /// used; the rest stays as it was.
    pub u: Param<Tensor<2>>,
    /// Biases b, `[dim]`.
    pub b: Param<Tensor<1>>,
    #[module(skip)]
    ordering: Permutation,
}

impl Logistic {
    /// U with everything on and above the diagonal zero. The mask is multiplied in here, at every
    /// use, so that no update of the weights can leak.
    fn masked(&self) -> Tensor<2> {
        self.u.val().tril(-1)
    }

    /// Logit of p(x_i = 1 | those before it) for every variable, all at once.
    ///
    /// # Shapes
    /// `x` and the result are `[batch, variables]` in event order.
    pub fn logits(&self, x: Tensor<2>) -> Tensor<2> {
        self.ordering.to_event(self.walk_logits(self.ordering.to_walk(x)))
    }

    /// The same in the order of the walk.
    fn walk_logits(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.masked().transpose()) + self.b.val().unsqueeze::<2>()
    }
}

impl Density for Logistic {
    type Event = Tensor<2, Int>;

    /// # Panics
    /// When an event does not have one column per variable.
    fn log_prob(&self, x: Tensor<2, Int>) -> Tensor<1> {
        let x = floats(self.ordering.to_walk(x), &self.b.val()); // [batch, dim], walk order
        bernoulli_rows(self.walk_logits(x.clone()), x)
    }
}

impl Sample for Logistic {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2, Int> {
        let dim = self.event_len();
        event_tensor(&self.complete(&vec![None; n * dim], rng), dim, &device_of(self))
    }
}

/// The logits of all positions as far as the walk has come: those ahead hold the sum over the prefix.
#[derive(Clone, Debug)]
pub struct LogisticState {
    position: usize,
    /// `[batch, dim]`
    logits: Tensor<2>,
    /// U transposed and masked: row s is what position s adds to every later logit, `[dim, dim]`.
    from: Tensor<2>,
}

impl Autoregressive for Logistic {
    type State = LogisticState;
    type Conditional = Bernoulli;

    fn event_len(&self) -> usize {
        self.ordering.ordering().len()
    }

    fn init_state(&self, batch: usize) -> LogisticState {
        let dim = self.event_len();
        LogisticState {
            position: 0,
            logits: self.b.val().unsqueeze::<2>().expand([batch, dim]),
            from: self.masked().transpose(),
        }
    }

    fn conditional(&self, state: &LogisticState) -> Bernoulli {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} variables");
        let logits = state.logits.clone().narrow(1, t, 1); // [batch, 1]
        Bernoulli::from_logits_unchecked(logits.squeeze_dim::<1>(1))
    }

    fn advance(&self, state: &mut LogisticState, x_t: Tensor<1, Int>) {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} variables");
        assert_eq!(x_t.dims()[0], state.logits.dims()[0], "one value per walk");
        let x_t = floats(x_t, &state.logits).unsqueeze_dim::<2>(1); // [batch, 1]
        let from_t = state.from.clone().narrow(0, t, 1); // [1, dim]
        state.logits = state.logits.clone() + x_t.mul(from_t); // [batch, dim]
        state.position += 1;
    }

    fn select(&self, state: &LogisticState, walks: &[usize]) -> LogisticState {
        LogisticState { logits: rows(&state.logits, walks), ..state.clone() }
    }
}

impl Neural for Logistic {
    type Kind = Int;

    fn ordering(&self) -> &Ordering {
        self.ordering.ordering()
    }

    fn log_prob_per_variable(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let symbols = self.ordering.to_walk(x);
        let x = floats(symbols.clone(), &self.b.val());
        let log_probs = bernoulli::log_prob(self.walk_logits(x.clone()), x);
        self.ordering.to_event(impossible_from_outside_on(log_probs, &symbols, 2))
    }

    fn complete(&self, observed: &[Option<u8>], rng: &mut dyn Rng) -> Vec<u8> {
        crate::parts::walk::complete(self, observed, rng)
    }

    /// The masked half of U is none.
    fn free_parameters(&self) -> usize {
        let n = self.ordering.ordering().len();
        n * (n + 1) / 2
    }
}
