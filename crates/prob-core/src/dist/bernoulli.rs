//! A coin with the logit of its probability as parameter.
//!
//! ```text
//! p(x = 1) = σ(l) = 1 / (1 + e^−l),     l = log p − log(1 − p)
//! log p(x) = x l − softplus(l) = −softplus((1 − 2x) l),     softplus(z) = log(1 + e^z)
//! entropy  = log(1 + e^−|l|) + |l| σ(−|l|)
//! ```

use burn::tensor::activation::sigmoid as tensor_sigmoid;
use burn::tensor::{DType, Int, Tensor};
use rand::Rng;

use super::{check_batch, check_values, empty_like, float_dtype, from_host_int, to_host, uniform};
use crate::error::Error;
use crate::traits::{Density, Sample};

/// Elementwise log-probability of `x` under `logits`, in nats: the one Bernoulli likelihood of the
/// project. `-inf` where `x` is neither 0 nor 1, with the gradient 0.
///
/// Computed as `−softplus((1 − 2x) l)`, which equals `x l − softplus(l)` for x of 0 and 1 but keeps
/// its precision in the tails, has exact values at `l = ±inf`, and a gradient `x − σ(l)` that
/// neither overflows nor vanishes early.
///
/// # Shapes
/// `logits` and `x` alike, or one broadcasting to the other; returns their common shape.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use prob_core::dist::bernoulli::log_prob;
/// let device = Device::default();
/// let logits = Tensor::<1>::from_data([0.0, 200.0, 200.0, f32::INFINITY, 0.0], &device);
/// let x = Tensor::<1>::from_data([1.0, 0.0, 1.0, 1.0, 2.0], &device);
/// let nats: Vec<f32> = log_prob(logits, x).try_into_vec_as().unwrap();
/// assert_eq!(nats, [-2f32.ln(), -200.0, 0.0, 0.0, f32::NEG_INFINITY]);
/// ```
pub fn log_prob<const D: usize>(logits: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
    // 0 and 1 are the numbers that are their own square.
    let outside = x.clone().mul(x.clone()).not_equal(x.clone());
    let sign = x.mul_scalar(-2.0).add_scalar(1.0);
    let log_probs = softplus(logits * sign).neg();
    let shape = log_probs.dims();
    // burn expands nothing to no rows, not even what has none.
    let outside = if outside.dims() == shape { outside } else { outside.expand(shape) };
    log_probs.mask_fill(outside, f64::NEG_INFINITY)
}

/// `log(1 + e^z)`, exact to rounding everywhere, with the gradient σ(z).
///
/// burn's own switches to the identity at z = 20, which is 2e-9 off in f64; the usual
/// `max(z, 0) + log1p(e^−|z|)` has gradient 0 at z = 0 under autodiff, where an untrained model sits.
pub(super) fn softplus<const D: usize>(z: Tensor<D>) -> Tensor<D> {
    // Where 1 + e^z rounds to e^z, and e^z is still finite.
    let linear_from = match z.dtype() {
        DType::F64 => 40.0,
        DType::F16 => 10.0,
        _ => 20.0,
    };
    let linear = z.clone().greater_scalar(linear_from);
    // Clipped before exp, so that the branch not taken has no inf · 0 in its gradient.
    let curved = z.clone().mask_fill(linear.clone(), linear_from).exp().log1p();
    curved.mask_where(linear, z)
}

/// σ(l) in f64 on the host, 0 at `-inf` and 1 at `+inf`.
///
/// ```
/// use prob_core::dist::bernoulli::sigmoid;
/// assert_eq!(sigmoid(0.0), 0.5);
/// assert_eq!(sigmoid(f64::NEG_INFINITY), 0.0);
/// ```
pub fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// The draw that `u` from [0, 1) decides: 1 exactly if `u < σ(logit)`.
///
/// ```
/// use prob_core::dist::bernoulli::draw;
/// assert!(draw(0.0, 0.49) && !draw(0.0, 0.5));
/// assert!(!draw(f64::NEG_INFINITY, 0.0));
/// ```
pub fn draw(logit: f64, u: f64) -> bool {
    u < sigmoid(logit)
}

/// A batch of coins; an event is 0 or 1 for each.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use prob_core::{Density, dist::Bernoulli};
/// let device = Device::default();
/// let coins = Bernoulli::from_probs(Tensor::from_data([0.5, 0.0, 1.0], &device)).unwrap();
/// let x = Tensor::from_data([1, 1, 1], &device);
/// let nats: Vec<f32> = coins.log_prob(x).try_into_vec_as().unwrap();
/// assert_eq!(nats, [-2f32.ln(), f32::NEG_INFINITY, 0.0]);
/// assert!(Bernoulli::from_probs(Tensor::from_data([1.5], &device)).is_err());
/// ```
#[derive(Debug, Clone)]
pub struct Bernoulli {
    logits: Tensor<1>,
}

impl Bernoulli {
    /// From log-odds; `±inf` is a coin that always falls the same way.
    ///
    /// # Shapes
    /// `logits`: `[batch]`.
    ///
    /// # Errors
    /// When a logit is NaN.
    pub fn from_logits(logits: Tensor<1>) -> Result<Self, Error> {
        check_values("logit", "a number", &to_host(&logits), 1, |l| !l.is_nan())?;
        Ok(Self { logits })
    }

    /// From log-odds that are not NaN by how they were computed; nothing is read back to the host.
    ///
    /// # Shapes
    /// `logits`: `[batch]`.
    pub fn from_logits_unchecked(logits: Tensor<1>) -> Self {
        Self { logits }
    }

    /// From probabilities of a 1, including 0 and 1.
    ///
    /// # Shapes
    /// `probs`: `[batch]`.
    ///
    /// # Errors
    /// When a probability is outside [0, 1] or NaN.
    pub fn from_probs(probs: Tensor<1>) -> Result<Self, Error> {
        check_values("probability", "0 to 1", &to_host(&probs), 1, |p| (0.0..=1.0).contains(&p))?;
        Ok(Self { logits: probs.clone().log() - probs.neg().log1p() })
    }

    /// The log-odds, `[batch]`.
    pub fn logits(&self) -> &Tensor<1> {
        &self.logits
    }

    /// Number of parameter rows.
    pub fn batch(&self) -> usize {
        self.logits.dims()[0]
    }

    /// Probability of a 1, which is also the expected value, `[batch]`.
    pub fn mean(&self) -> Tensor<1> {
        tensor_sigmoid(self.logits.clone())
    }

    /// Entropy in nats, `[batch]`; 0 where the outcome is certain.
    pub fn entropy(&self) -> Tensor<1> {
        // From 1000 on e^−a is 0 in every dtype, and 1000 · 0 is 0 where inf · 0 would be NaN.
        let a = self.logits.clone().abs().clamp_max(1000.0);
        let tail = a.clone().neg().exp();
        tail.clone().log1p() + a * tail.clone() / tail.add_scalar(1.0)
    }
}

/// An event is `[batch]` of 0 and 1; anything else has log-probability `-inf`.
///
/// # Panics
/// When the event's batch is not the parameters', unless there is a single row of parameters.
impl Density for Bernoulli {
    type Event = Tensor<1, Int>;

    fn log_prob(&self, x: Self::Event) -> Tensor<1> {
        let [n] = x.dims();
        check_batch(self.batch(), n);
        if n == 0 {
            return empty_like(&self.logits);
        }
        log_prob(self.logits.clone(), x.cast(float_dtype(&self.logits)))
    }
}

/// One uniform per draw, in row order.
///
/// # Panics
/// When `n` is not the number of parameter rows, unless there is a single row.
impl Sample for Bernoulli {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Self::Event {
        let logits = to_host(&self.logits);
        check_batch(logits.len(), n);
        let row = |r: usize| {
            if logits.len() == 1 { logits[0] } else { logits[r] }
        };
        let draws = (0..n).map(|r| i64::from(draw(row(r), uniform(rng)))).collect();
        from_host_int(draws, [n], &self.logits.device())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use rand::{SeedableRng, rngs::ChaCha8Rng};

    const LOGITS: [f64; 13] = [
        f64::NEG_INFINITY,
        -1e30,
        -700.0,
        -50.0,
        -20.5,
        -1.0,
        0.0,
        1e-3,
        3.0,
        20.5,
        45.0,
        1e30,
        f64::INFINITY,
    ];

    fn tensor(values: &[f64], dtype: DType) -> Tensor<1> {
        let data = TensorData::new(values.to_vec(), [values.len()]);
        Tensor::from_data(data, (&Device::default(), dtype))
    }

    /// The definition in f64, by the branch that is exact on each side.
    fn exact(l: f64, x: f64) -> f64 {
        let z = (1.0 - 2.0 * x) * l;
        if z > 0.0 { -z - (-z).exp().ln_1p() } else { -z.exp().ln_1p() }
    }

    #[test]
    fn log_prob_is_exact_at_every_size_of_logit() {
        for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-15)] {
            for x in [0.0, 1.0] {
                let xs = tensor(&[x; LOGITS.len()], dtype);
                let got = log_prob(tensor(&LOGITS, dtype), xs);
                assert_eq!(got.dtype(), dtype);
                for (&l, got) in LOGITS.iter().zip(to_host(&got)) {
                    let want = exact(l, x);
                    let want = if dtype == DType::F32 { f64::from(want as f32) } else { want };
                    assert!(
                        got == want || (got - want).abs() <= tolerance * want.abs(),
                        "l = {l}, x = {x}, {dtype:?}: {got} for {want}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_gradient_is_x_minus_sigmoid_at_every_finite_logit() {
        let logits: Vec<f64> = LOGITS.iter().copied().filter(|l| l.is_finite()).collect();
        for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-15)] {
            for x in [0.0, 1.0] {
                let leaf = tensor(&logits, dtype).autodiff().require_grad();
                let loss = log_prob(leaf.clone(), tensor(&vec![x; logits.len()], dtype)).sum();
                let grad = leaf.grad(&loss.backward()).expect("the leaf is tracked");
                for (&l, got) in logits.iter().zip(to_host(&grad)) {
                    // x − σ(l), written so that it does not cancel.
                    let want = (2.0 * x - 1.0) * sigmoid((1.0 - 2.0 * x) * l);
                    assert!((got - want).abs() <= tolerance, "l = {l}, x = {x}: {got} for {want}");
                    let relative = (got - want).abs() / want.abs().max(1e-30);
                    assert!(relative < 1e-5, "l = {l}, x = {x}: {got} for {want}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_bit_is_impossible_and_moves_no_logit() {
        for dtype in [DType::F32, DType::F64] {
            let leaf = tensor(&[0.3; 6], dtype).autodiff().require_grad();
            let log_probs =
                log_prob(leaf.clone(), tensor(&[-1.0, 0.5, 2.0, 7.0, 1e30, 1.0], dtype));
            let grad = leaf.grad(&log_probs.clone().sum().backward()).expect("it is tracked");
            let (log_probs, grad) = (to_host(&log_probs.inner()), to_host(&grad));
            assert_eq!(log_probs[..5], [f64::NEG_INFINITY; 5]);
            assert_eq!(grad[..5], [0.0; 5]);
            assert!(log_probs[5].is_finite() && (grad[5] - sigmoid(-0.3)).abs() < 1e-6);
        }
    }

    #[test]
    fn a_second_sigmoid_would_be_noticed() {
        // Negative control for the values above: probabilities where logits belong.
        let logits = tensor(&[4.0], DType::F32);
        let twice = log_prob(tensor_sigmoid(logits.clone()), tensor(&[1.0], DType::F32));
        let once = log_prob(logits, tensor(&[1.0], DType::F32));
        assert!(to_host(&once)[0] - to_host(&twice)[0] > 0.2);
    }

    #[test]
    fn entropy_is_zero_when_certain_and_ln_2_when_fair() {
        let probs = [0.0, 1.0, 0.5, 0.1];
        let coins = Bernoulli::from_probs(tensor(&probs, DType::F64)).unwrap();
        let got = to_host(&coins.entropy());
        let tenth = -(0.1f64 * 0.1f64.ln() + 0.9 * 0.9f64.ln());
        assert_eq!(got[..2], [0.0, 0.0]);
        assert!((got[2] - 2f64.ln()).abs() < 1e-15 && (got[3] - tenth).abs() < 1e-15);
        assert_eq!(to_host(&coins.mean())[..3], [0.0, 1.0, 0.5]);
    }

    #[test]
    fn symbols_other_than_0_and_1_are_impossible() {
        let coin = Bernoulli::from_logits(tensor(&[0.3], DType::F32)).unwrap();
        let x = Tensor::<1, Int>::from_data([-1, 2, 7, 0], &Device::default());
        let got = to_host(&coin.log_prob(x));
        assert!(got[..3].iter().all(|&v| v == f64::NEG_INFINITY) && got[3].is_finite());
    }

    #[test]
    fn an_empty_batch_stays_empty() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for rows in [0, 1] {
            let coins = Bernoulli::from_logits(tensor(&vec![0.3; rows], DType::F64)).unwrap();
            let x = coins.sample(0, &mut rng);
            assert_eq!(x.dims(), [0]);
            assert_eq!(coins.log_prob(x).dims(), [0]);
            assert_eq!(
                coins.log_prob(from_host_int(vec![], [0], &Device::default())).dtype(),
                DType::F64
            );
            assert_eq!((coins.entropy().dims(), coins.mean().dims()), ([rows], [rows]));
        }
    }

    #[test]
    fn bad_parameters_are_errors_that_name_them() {
        let error = Bernoulli::from_logits(tensor(&[0.0, f64::NAN], DType::F32)).unwrap_err();
        assert_eq!(error.to_string(), "logit NaN in row 1, expected a number");
        for p in [-0.1, 1.1, f64::NAN] {
            assert!(Bernoulli::from_probs(tensor(&[p], DType::F64)).is_err(), "{p}");
        }
    }

    #[test]
    fn sampling_takes_one_uniform_per_row_in_order() {
        let logits = [-2.0, 0.5, f64::INFINITY, f64::NEG_INFINITY];
        let coins = Bernoulli::from_logits(tensor(&logits, DType::F32)).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let got = super::super::to_host_int(&coins.sample(4, &mut rng));
        let mut again = ChaCha8Rng::seed_from_u64(3);
        let want: Vec<i64> =
            logits.iter().map(|&l| i64::from(uniform(&mut again) < sigmoid(l))).collect();
        assert_eq!(got, want);
        assert_eq!(got[2..], [1, 0]);
        assert_eq!(rng.next_u64(), again.next_u64());
    }

    #[test]
    #[should_panic(expected = "a batch of 3 against 2 rows of parameters")]
    fn a_batch_of_another_size_is_refused() {
        let coins = Bernoulli::from_logits(tensor(&[0.0, 0.0], DType::F32)).unwrap();
        coins.log_prob(Tensor::from_data([0, 1, 1], &Device::default()));
    }
}
