//! A die: one of `classes` symbols, with unnormalised log-probabilities as parameters.
//!
//! ```text
//! log p(k) = l_k − log Σ_j e^{l_j}
//! entropy  = − Σ_k p_k log p_k,   with 0 log 0 = 0
//! ```
//!
//! # Other
//! A column of words has the symbols `0..m` for the m words that were seen and one more, the last,
//! number m, for any other: `other`. Laplace's estimate ([`Categorical::with_other`]) gives it mass
//! though it was never seen, so a new word is unlikely and not impossible:
//!
//! ```text
//! p(k) = (n_k + α) / (n + (m + 1) α),     p(other) = α / (n + (m + 1) α),     n = Σ_k n_k
//! ```

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorCreationOptions, TensorData};
use rand::Rng;

use super::{check_batch, check_values, empty_like, from_host_int, to_host, uniform};
use crate::error::Error;
use crate::traits::{Density, Sample};

/// How far given probabilities may be from summing to 1, enough for f32 rows of a few thousand.
pub const SUM_TOLERANCE: f64 = 1e-5;

/// The symbol that `u` from [0, 1) decides: the first k with `u < cumulative_k`, in f64.
///
/// ```text
/// cumulative_k = (Σ_{j ≤ k} e^{l_j − max}) / (Σ_j e^{l_j − max})
/// ```
///
/// Should rounding leave the last cumulative below `u`, the last symbol of positive probability is
/// drawn. A symbol of probability 0 never is.
///
/// # Panics
/// When every logit is `-inf` or one is NaN, or there are none.
///
/// ```
/// use prob_core::dist::categorical::draw;
/// let logits = [0.5f64.ln(), f64::NEG_INFINITY, 0.5f64.ln()];
/// assert_eq!(draw(&logits, 0.4999), 0);
/// assert_eq!(draw(&logits, 0.5001), 2);
/// ```
pub fn draw(logits: &[f64], u: f64) -> usize {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = logits.iter().map(|l| (l - max).exp()).sum();
    let mut running = 0.0;
    let mut last = None;
    for (k, l) in logits.iter().enumerate() {
        let mass = (l - max).exp();
        running += mass;
        if u < running / total {
            return k;
        }
        if mass > 0.0 {
            last = Some(k);
        }
    }
    last.expect("at least one symbol of positive probability")
}

/// `log((count + α) / (total + m α))` in place; uniform where there is nothing to go by.
pub(crate) fn counts_to_log_probs(counts: &mut [f64], pseudo_count: f64) {
    let states = counts.len() as f64;
    let total = counts.iter().sum::<f64>() + states * pseudo_count;
    for count in counts {
        *count = if total > 0.0 { ((*count + pseudo_count) / total).ln() } else { -states.ln() };
    }
}

pub(crate) fn check_pseudo_count(pseudo_count: f64) -> Result<(), Error> {
    if pseudo_count.is_finite() && pseudo_count >= 0.0 {
        Ok(())
    } else {
        Err(Error::PseudoCount(pseudo_count))
    }
}

/// A batch of dice over the symbols `0..classes`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use prob_core::{Density, dist::Categorical};
/// let device = Device::default();
/// let die = Categorical::from_logits(Tensor::from_data([[0.0; 6]], &device)).unwrap();
/// // One row of parameters serves any batch; 6 is no side of this die.
/// let nats: Vec<f32> =
///     die.log_prob(Tensor::from_data([0, 5, 6], &device)).try_into_vec_as().unwrap();
/// assert!((nats[0] + 6f32.ln()).abs() < 1e-6 && nats[0] == nats[1]);
/// assert_eq!(nats[2], f32::NEG_INFINITY);
/// ```
#[derive(Debug, Clone)]
pub struct Categorical {
    logits: Tensor<2>,
}

impl Categorical {
    /// From unnormalised log-probabilities; `-inf` is an impossible symbol.
    ///
    /// # Shapes
    /// `logits`: `[batch, classes]`.
    ///
    /// # Errors
    /// When there are no classes, a logit is NaN or `+inf`, or a row is all `-inf`.
    pub fn from_logits(logits: Tensor<2>) -> Result<Self, Error> {
        let classes = check_classes(&logits, "logits")?;
        let values = to_host(&logits);
        check_values("logit", "a number below infinity", &values, classes, |l| l < f64::INFINITY)?;
        for (row, values) in values.chunks_exact(classes).enumerate() {
            if values.iter().all(|&l| l == f64::NEG_INFINITY) {
                return Err(Error::Parameter {
                    parameter: "logit",
                    row,
                    value: f64::NEG_INFINITY,
                    expected: "a finite number for at least one class",
                });
            }
        }
        Ok(Self { logits })
    }

    /// From logits that are good by how they were computed; nothing is read back to the host.
    ///
    /// # Shapes
    /// `logits`: `[batch, classes]`.
    pub fn from_logits_unchecked(logits: Tensor<2>) -> Self {
        Self { logits }
    }

    /// From log-probabilities that are normalised already.
    ///
    /// # Shapes
    /// `log_probs`: `[batch, classes]`.
    ///
    /// # Errors
    /// As [`from_logits`](Self::from_logits), and when a row's probabilities do not sum to 1 within
    /// [`SUM_TOLERANCE`].
    pub fn from_log_probs(log_probs: Tensor<2>) -> Result<Self, Error> {
        let dist = Self::from_logits(log_probs)?;
        let probs: Vec<f64> = to_host(&dist.logits).into_iter().map(f64::exp).collect();
        check_sums(&probs, dist.classes())?;
        Ok(dist)
    }

    /// From probabilities, including 0 and 1.
    ///
    /// # Shapes
    /// `probs`: `[batch, classes]`.
    ///
    /// # Errors
    /// When there are no classes, a probability is negative or NaN, or a row does not sum to 1
    /// within [`SUM_TOLERANCE`].
    pub fn from_probs(probs: Tensor<2>) -> Result<Self, Error> {
        let classes = check_classes(&probs, "probabilities")?;
        let values = to_host(&probs);
        check_values("probability", "0 to 1", &values, classes, |p| {
            (0.0..=1.0 + SUM_TOLERANCE).contains(&p)
        })?;
        check_sums(&values, classes)?;
        Ok(Self { logits: probs.log() })
    }

    /// Laplace's estimate from how often each of m labels was seen, with one more symbol, number m, for
    /// any `other`, that was seen never: a single row of `m + 1` classes. No labels at all leave
    /// `other` alone, with probability 1.
    ///
    /// # Shapes
    /// `counts`: `[labels]`.
    ///
    /// # Errors
    /// When the pseudo-count is not a finite number above 0: with 0, `other` would have no mass.
    ///
    /// ```
    /// use burn::tensor::{DType, Device, Tensor};
    /// use prob_core::{Density, dist::Categorical};
    /// let device = Device::default();
    /// let words = Categorical::with_other(&[7, 2], 1.0, (&device, DType::F64)).unwrap();
    /// // (7 + 1) / (9 + 3), and 1 / 12 for a word that is neither.
    /// let x = Tensor::from_data([0, 2, 3], &device);
    /// let nats: Vec<f64> = words.log_prob(x).try_into_vec_as().unwrap();
    /// assert!((nats[0] - (8.0f64 / 12.0).ln()).abs() < 1e-15);
    /// assert!((nats[1] - (1.0f64 / 12.0).ln()).abs() < 1e-15);
    /// assert_eq!(nats[2], f64::NEG_INFINITY);
    /// ```
    pub fn with_other(
        counts: &[u64],
        pseudo_count: f64,
        options: impl Into<TensorCreationOptions>,
    ) -> Result<Self, Error> {
        if !(pseudo_count.is_finite() && pseudo_count > 0.0) {
            return Err(Error::Parameter {
                parameter: "pseudo-count",
                row: 0,
                value: pseudo_count,
                expected: "a finite number above 0, or `other` has no mass",
            });
        }
        let mut counts: Vec<f64> = counts.iter().map(|&n| n as f64).chain([0.0]).collect();
        counts_to_log_probs(&mut counts, pseudo_count);
        let shape = [1, counts.len()];
        Ok(Self { logits: Tensor::from_data(TensorData::new(counts, shape), options) })
    }

    /// The unnormalised log-probabilities, `[batch, classes]`.
    pub fn logits(&self) -> &Tensor<2> {
        &self.logits
    }

    /// Number of parameter rows.
    pub fn batch(&self) -> usize {
        self.logits.dims()[0]
    }

    /// Number of symbols.
    pub fn classes(&self) -> usize {
        self.logits.dims()[1]
    }

    /// Normalised log-probabilities, `[batch, classes]`.
    pub fn log_probs(&self) -> Tensor<2> {
        if self.batch() == 0 {
            return self.logits.clone();
        }
        log_softmax(self.logits.clone(), 1)
    }

    /// Probabilities, `[batch, classes]`.
    pub fn probs(&self) -> Tensor<2> {
        self.log_probs().exp()
    }

    /// Expected value of the symbol read as a number, `Σ_k k p_k`, `[batch]`.
    pub fn mean(&self) -> Tensor<1> {
        let [batch, classes] = self.logits.dims();
        if batch == 0 {
            return empty_like(&self.logits);
        }
        let symbols = Tensor::<1, Int>::arange(0..classes as i64, &self.logits.device())
            .cast(super::float_dtype(&self.logits))
            .reshape([1, classes]);
        (self.probs() * symbols).sum_dim(1).reshape([batch])
    }

    /// Entropy in nats, `[batch]`; 0 where the outcome is certain.
    pub fn entropy(&self) -> Tensor<1> {
        let batch = self.batch();
        if batch == 0 {
            return empty_like(&self.logits);
        }
        let log_probs = self.log_probs();
        let impossible = log_probs.clone().equal_scalar(f64::NEG_INFINITY);
        let probs = log_probs.clone().exp();
        (probs * log_probs.mask_fill(impossible, 0.0)).sum_dim(1).reshape([batch]).neg()
    }
}

fn check_classes(parameters: &Tensor<2>, what: &'static str) -> Result<usize, Error> {
    match parameters.dims() {
        [_, 0] => Err(Error::Shape {
            what,
            got: parameters.dims().to_vec(),
            expected: "[batch, classes] with at least one class".to_owned(),
        }),
        [_, classes] => Ok(classes),
    }
}

fn check_sums(probs: &[f64], classes: usize) -> Result<(), Error> {
    for (row, probs) in probs.chunks_exact(classes).enumerate() {
        let sum: f64 = probs.iter().sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(Error::NotNormalised { row, sum, tolerance: SUM_TOLERANCE });
        }
    }
    Ok(())
}

/// An event is `[batch]` of symbols; one outside `0..classes` has log-probability `-inf`.
///
/// # Panics
/// When the event's batch is not the parameters', unless there is a single row of parameters.
impl Density for Categorical {
    type Event = Tensor<1, Int>;

    fn log_prob(&self, x: Self::Event) -> Tensor<1> {
        let [rows, classes] = self.logits.dims();
        let [n] = x.dims();
        check_batch(rows, n);
        if n == 0 {
            return empty_like(&self.logits);
        }
        let outside =
            x.clone().lower_scalar(0).bool_or(x.clone().greater_equal_scalar(classes as i64)); // [batch]
        // gather does not take an index out of range, so those read class 0 and are masked after.
        let index = x.mask_fill(outside.clone(), 0).reshape([n, 1]);
        let log_probs = self.log_probs().expand([n, classes]);
        let chosen: Tensor<1> = log_probs.gather(1, index).reshape([n]);
        chosen.mask_fill(outside, f64::NEG_INFINITY)
    }
}

/// One uniform per draw, in row order; see [`draw`].
///
/// # Panics
/// When `n` is not the number of parameter rows, unless there is a single row.
impl Sample for Categorical {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Self::Event {
        let [rows, classes] = self.logits.dims();
        check_batch(rows, n);
        let logits = to_host(&self.logits);
        let row = |r: usize| {
            let r = if rows == 1 { 0 } else { r };
            &logits[r * classes..(r + 1) * classes]
        };
        let draws = (0..n).map(|r| draw(row(r), uniform(rng)) as i64).collect();
        from_host_int(draws, [n], &self.logits.device())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::to_host_int;
    use burn::tensor::{DType, Device};
    use rand::{SeedableRng, rngs::ChaCha8Rng};

    fn tensor<const B: usize, const C: usize>(rows: [[f64; C]; B], dtype: DType) -> Tensor<2> {
        let data = TensorData::new(rows.into_iter().flatten().collect(), [B, C]);
        Tensor::from_data(data, (&Device::default(), dtype))
    }

    fn symbols(x: &[i64]) -> Tensor<1, Int> {
        from_host_int(x.to_vec(), [x.len()], &Device::default())
    }

    #[test]
    fn log_prob_normalises_and_keeps_zero_and_one_exact() {
        let inf = f64::INFINITY;
        for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-15)] {
            let rows = [[1000.0, 1000.0, -inf], [-inf, 5.0, -inf], [0.0, 1.0, 2.0]];
            let dist = Categorical::from_logits(tensor(rows, dtype)).unwrap();
            let got = to_host(&dist.log_prob(symbols(&[1, 1, 0])));
            let third = -(1f64 + 1f64.exp() + 2f64.exp()).ln();
            for (got, want) in got.iter().zip([-(2f64.ln()), 0.0, third]) {
                assert!((got - want).abs() < tolerance, "{dtype:?}: {got} for {want}");
            }
            assert_eq!(to_host(&dist.log_prob(symbols(&[2, 0, 3]))), [-inf; 3]);
            assert_eq!(dist.log_prob(symbols(&[0, 0, 0])).dtype(), dtype);
        }
    }

    #[test]
    fn from_probs_and_from_log_probs_agree_with_from_logits() {
        let probs = [[0.0, 0.25, 0.75], [1.0, 0.0, 0.0]];
        let logs = probs.map(|row| row.map(f64::ln));
        let by_probs = Categorical::from_probs(tensor(probs, DType::F64)).unwrap();
        let by_logs = Categorical::from_log_probs(tensor(logs, DType::F64)).unwrap();
        for (a, b) in to_host(&by_probs.probs()).iter().zip(to_host(&by_logs.probs())) {
            assert!((a - b).abs() < 1e-15);
        }
        let mean = to_host(&by_probs.mean());
        assert!((mean[0] - 1.75).abs() < 1e-15 && mean[1] == 0.0, "{mean:?}");
        let entropy = to_host(&by_probs.entropy());
        let want = -(0.25 * 0.25f64.ln() + 0.75 * 0.75f64.ln());
        assert!((entropy[0] - want).abs() < 1e-15, "{entropy:?}");
        assert_eq!(entropy[1], 0.0);
    }

    #[test]
    fn a_word_that_was_never_seen_is_unlikely_and_not_impossible() {
        let device = Device::default();
        for alpha in [1e-6, 0.5, 1.0, 20.0] {
            let dist = Categorical::with_other(&[3, 0, 997], alpha, (&device, DType::F64)).unwrap();
            assert_eq!((dist.batch(), dist.classes()), (1, 4));
            let nats = to_host(&dist.log_prob(symbols(&[0, 1, 2, 3])));
            crate::laws::sums_to_one(nats.iter().copied(), 1e-14).unwrap();
            // A label without a count is as likely as any other word.
            assert_eq!(nats[1], nats[3]);
            assert!((nats[3] - (alpha / (1000.0 + 4.0 * alpha)).ln()).abs() < 1e-12, "{nats:?}");
        }
    }

    #[test]
    fn a_constant_column_costs_nearly_nothing_until_it_changes() {
        let device = Device::default();
        let dist = Categorical::with_other(&[10_000], 1.0, (&device, DType::F64)).unwrap();
        let nats = to_host(&dist.log_prob(symbols(&[0, 1])));
        assert!(nats[0] > -1.1e-4 && nats[1] < -9.0 && nats[1].is_finite(), "{nats:?}");
        // A column without a single value.
        let none = Categorical::with_other(&[], 1.0, (&device, DType::F64)).unwrap();
        assert_eq!(to_host(&none.log_prob(symbols(&[0]))), [0.0]);
    }

    #[test]
    fn other_without_mass_is_refused_and_would_be_impossible() {
        // Negative control: the frequencies alone.
        let device = Device::default();
        let plain = Categorical::from_probs(tensor([[0.75, 0.25, 0.0]], DType::F64)).unwrap();
        assert_eq!(to_host(&plain.log_prob(symbols(&[2]))), [f64::NEG_INFINITY]);
        for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = Categorical::with_other(&[3, 1], alpha, (&device, DType::F64)).unwrap_err();
            assert!(error.to_string().contains("or `other` has no mass"), "{error}");
        }
        // The other mistake, smoothing m labels and leaving `other` what is left of 1.
        let smoothed = [4.0 / 6.0, 2.0 / 6.0, 1.0 / 6.0];
        assert!(Categorical::from_probs(tensor([smoothed], DType::F64)).is_err());
    }

    #[test]
    fn one_class_is_certain() {
        let dist = Categorical::from_logits(tensor([[-7.0], [3.0]], DType::F32)).unwrap();
        assert_eq!(to_host(&dist.log_prob(symbols(&[0, 1]))), [0.0, f64::NEG_INFINITY]);
        assert_eq!(to_host(&dist.entropy()), [0.0, 0.0]);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        assert_eq!(to_host_int(&dist.sample(2, &mut rng)), [0, 0]);
    }

    #[test]
    fn an_empty_batch_stays_empty() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let none: Tensor<2> = Tensor::empty([0, 3], &Device::default());
        for dist in [
            Categorical::from_logits(none).unwrap(),
            Categorical::from_logits(tensor([[0.0, 1.0, 2.0]], DType::F32)).unwrap(),
        ] {
            let x = dist.sample(0, &mut rng);
            assert_eq!(x.dims(), [0]);
            assert_eq!(dist.log_prob(x).dims(), [0]);
            assert_eq!(dist.mean().dims(), [dist.batch()]);
            assert_eq!(dist.entropy().dims(), [dist.batch()]);
            assert_eq!(dist.probs().dims(), [dist.batch(), 3]);
        }
    }

    #[test]
    fn bad_parameters_are_errors_that_name_them() {
        let inf = f64::INFINITY;
        let message = |rows: [[f64; 2]; 2]| {
            Categorical::from_logits(tensor(rows, DType::F32)).unwrap_err().to_string()
        };
        assert_eq!(
            message([[0.0, 0.0], [0.0, f64::NAN]]),
            "logit NaN in row 1, expected a number below infinity"
        );
        assert!(message([[inf, 0.0], [0.0, 0.0]]).contains("logit inf in row 0"));
        assert!(message([[0.0, 0.0], [-inf, -inf]]).contains("logit -inf in row 1"));
        let none: Tensor<2> = Tensor::empty([2, 0], &Device::default());
        assert!(Categorical::from_logits(none).unwrap_err().to_string().contains("at least one"));
        for row in [[0.5, 0.4], [1.2, -0.2], [f64::NAN, 1.0]] {
            assert!(Categorical::from_probs(tensor([row], DType::F32)).is_err(), "{row:?}");
        }
        assert!(Categorical::from_log_probs(tensor([[0.0, 0.0]], DType::F32)).is_err());
    }

    #[test]
    fn the_gradient_of_log_prob_is_one_hot_minus_probs() {
        let rows = [[0.5, -1.0, 2.0], [1.0, 0.0, f64::NEG_INFINITY]];
        let leaf = tensor(rows, DType::F64).autodiff().require_grad();
        let dist = Categorical::from_logits_unchecked(leaf.clone());
        let probs = to_host(&dist.probs());
        let grads = dist.log_prob(symbols(&[2, 0])).sum().backward();
        let grad = to_host(&leaf.grad(&grads).expect("the leaf is tracked"));
        for (at, (g, p)) in grad.iter().zip(&probs).enumerate() {
            let one_hot = if at == 2 || at == 3 { 1.0 } else { 0.0 };
            assert!((g - (one_hot - p)).abs() < 1e-14, "{at}: {g}");
        }
    }

    #[test]
    fn draws_invert_the_cumulative_with_one_uniform_per_row() {
        let logits = [[0.1f64.ln(), 0.6f64.ln(), 0.3f64.ln()]];
        let dist = Categorical::from_logits(tensor(logits, DType::F64)).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let got = to_host_int(&dist.sample(50, &mut rng));
        let mut again = ChaCha8Rng::seed_from_u64(9);
        for g in got {
            let u = uniform(&mut again);
            assert_eq!(
                g,
                if u < 0.1 {
                    0
                } else if u < 0.7 {
                    1
                } else {
                    2
                }
            );
        }
        assert_eq!(rng.next_u64(), again.next_u64());
    }

    #[test]
    fn rounding_at_the_upper_end_never_draws_the_impossible() {
        let below_one = 1.0 - f64::EPSILON / 2.0;
        let logits: Vec<f64> =
            (0..7).map(|_| (1.0 / 7.0f64).ln()).chain([f64::NEG_INFINITY; 2]).collect();
        assert_eq!(draw(&logits, below_one), 6);
        assert_eq!(draw(&[f64::NEG_INFINITY, 0.0], 0.0), 1);
    }
}
