//! A value that may be missing, as an outcome of its own.
//!
//! ```text
//! p(missing) = q
//! p(x)       = (1 − q) p_D(x)
//! ```
//!
//! The factor 1 − q is what makes the two one distribution: the outcomes x alone have the mass 1 − q.
//! Over variables it is the chain rule, p(m | past) p(x | m = 0, past), with the bit m before its value.

use burn::tensor::{Bool, Int, Tensor};
use rand::Rng;

use super::{Bernoulli, check_batch, empty_like};
use crate::traits::{Density, Sample};

/// A batch of values of which some are missing.
#[derive(Debug, Clone)]
pub struct MaybeMissing<E> {
    /// True where there is no value, `[batch]`.
    pub missing: Tensor<1, Bool>,
    /// The values, with anything the distribution has a log-probability for where one is missing: it
    /// is not looked at. (Not NaN, which would reach the gradient of the parameters.)
    pub value: E,
}

/// A batch of coins that say whether a value is missing, and a distribution of those that are not.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use prob_core::Density;
/// use prob_core::dist::{Bernoulli, Categorical, MaybeMissing, WithMissing};
/// let device = Device::default();
/// let missing = Bernoulli::from_probs(Tensor::from_data([0.2], &device)).unwrap();
/// let die = Categorical::from_logits(Tensor::from_data([[0.0; 4]], &device)).unwrap();
/// let x = MaybeMissing {
///     missing: Tensor::from_data([true, false, false], &device),
///     value: Tensor::from_data([0, 3, 4], &device),
/// };
/// let nats: Vec<f32> =
///     WithMissing::new(missing, die).log_prob(x).try_into_vec_as().unwrap();
/// assert!((nats[0] - 0.2f32.ln()).abs() < 1e-6);
/// assert!((nats[1] - (0.8f32 / 4.0).ln()).abs() < 1e-6);
/// assert_eq!(nats[2], f32::NEG_INFINITY);
/// ```
#[derive(Debug, Clone)]
pub struct WithMissing<D> {
    missing: Bernoulli,
    value: D,
}

impl<D> WithMissing<D> {
    /// `missing` is 1 with the probability q that there is no value, and `value` the distribution of
    /// one that is there.
    pub fn new(missing: Bernoulli, value: D) -> Self {
        Self { missing, value }
    }

    /// The coins that say whether a value is missing.
    pub fn missing(&self) -> &Bernoulli {
        &self.missing
    }

    /// The distribution of a value that is there.
    pub fn value(&self) -> &D {
        &self.value
    }
}

/// An event is a [`MaybeMissing`] of the distribution's own events.
///
/// # Panics
/// When the event's batch is not that of the coins, unless there is a single coin, and where the
/// distribution of the values does.
impl<D: Density> Density for WithMissing<D> {
    type Event = MaybeMissing<D::Event>;

    fn log_prob(&self, x: Self::Event) -> Tensor<1> {
        let [n] = x.missing.dims();
        check_batch(self.missing.batch(), n);
        if n == 0 {
            return empty_like(self.missing.logits());
        }
        let coin = self.missing.log_prob(x.missing.clone().int());
        // Filled, not multiplied by 0: an impossible filler has `-inf`, and 0 · inf is NaN.
        let value = self.value.log_prob(x.value).mask_fill(x.missing, 0.0);
        coin + value
    }
}

/// The coins' uniforms first, in row order, then a draw of the value for every row, missing or not: so
/// every batch costs the same.
///
/// # Panics
/// As the coins and the distribution of the values.
impl<D: Sample> Sample for WithMissing<D> {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Self::Event {
        let missing: Tensor<1, Int> = self.missing.sample(n, rng);
        MaybeMissing { missing: missing.equal_scalar(1), value: self.value.sample(n, rng) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::{Categorical, GaussianMixture, from_host, from_host_int, to_host, uniform};
    use burn::tensor::{DType, Device};
    use rand::{SeedableRng, rngs::ChaCha8Rng};

    fn coin(q: f64) -> Bernoulli {
        Bernoulli::from_probs(from_host(vec![q], [1], &Device::default(), DType::F64)).unwrap()
    }

    fn die(probs: [f64; 3]) -> Categorical {
        let probs = from_host(probs.to_vec(), [1, 3], &Device::default(), DType::F64);
        Categorical::from_probs(probs).unwrap()
    }

    fn event(missing: &[bool], value: &[i64]) -> MaybeMissing<Tensor<1, Int>> {
        MaybeMissing {
            missing: Tensor::from_data(missing, &Device::default()),
            value: from_host_int(value.to_vec(), [value.len()], &Device::default()),
        }
    }

    #[test]
    fn the_value_behind_a_missing_one_is_not_looked_at() {
        let dist = WithMissing::new(coin(0.25), die([0.5, 0.5, 0.0]));
        let got = to_host(&dist.log_prob(event(&[true; 4], &[0, 1, 2, -7])));
        assert!(got.iter().all(|l| (l - 0.25f64.ln()).abs() < 1e-15), "{got:?}");
    }

    #[test]
    fn always_and_never_missing_are_exact() {
        let x = event(&[true, false], &[1, 1]);
        let always = WithMissing::new(coin(1.0), die([0.5, 0.5, 0.0]));
        assert_eq!(to_host(&always.log_prob(x.clone())), [0.0, f64::NEG_INFINITY]);
        let never = WithMissing::new(coin(0.0), die([0.5, 0.5, 0.0]));
        assert_eq!(to_host(&never.log_prob(x)), [f64::NEG_INFINITY, 0.5f64.ln()]);
    }

    #[test]
    fn a_missing_value_moves_its_coin_alone() {
        let row = |values: &[f64]| {
            from_host(values.to_vec(), [1, values.len()], &Device::default(), DType::F64)
                .autodiff()
                .require_grad()
        };
        let (means, log_scales) = (row(&[0.5]), row(&[0.1]));
        let logits = means.zeros_like();
        let reals = GaussianMixture::new_unchecked(logits, means.clone(), log_scales);
        let coins = from_host(vec![0.3], [1], &Device::default(), DType::F64);
        let coins = coins.autodiff().require_grad();
        let dist = WithMissing::new(Bernoulli::from_logits_unchecked(coins.clone()), reals);
        // Behind the missing value stands one that is impossible.
        let value = from_host(vec![f64::INFINITY], [1], &Device::default(), DType::F64);
        let missing = Tensor::from_data([true], &Device::default());
        let log_prob = dist.log_prob(MaybeMissing { missing, value: value.zeros_like() });
        let grads = log_prob.sum().backward();
        assert_eq!(to_host(&means.grad(&grads).unwrap()), [0.0]);
        let by_coin = to_host(&coins.grad(&grads).unwrap())[0];
        assert!((by_coin - 1.0 / (1.0 + 0.3f64.exp())).abs() < 1e-15, "{by_coin}");
        // Without a gradient it is of no account either.
        let missing = Tensor::from_data([true], &Device::default());
        let nats = to_host(&dist.log_prob(MaybeMissing { missing, value }).inner())[0];
        assert!((nats + (-0.3f64).exp().ln_1p()).abs() < 1e-15, "{nats}");
    }

    #[test]
    fn sampling_takes_the_coins_first_and_a_value_for_every_row() {
        let dist = WithMissing::new(coin(0.5), die([0.2, 0.3, 0.5]));
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let x = dist.sample(10, &mut rng);
        let mut again = ChaCha8Rng::seed_from_u64(2);
        let coins: Vec<bool> = (0..10).map(|_| uniform(&mut again) < 0.5).collect();
        let missing: Vec<bool> = x.missing.try_to_vec_as().unwrap();
        assert_eq!(missing, coins);
        // The values': as many again.
        for _ in 0..10 {
            uniform(&mut again);
        }
        assert_eq!(rng.next_u64(), again.next_u64());
    }

    #[test]
    fn an_empty_batch_stays_empty() {
        let dist = WithMissing::new(coin(0.5), die([0.2, 0.3, 0.5]));
        let x = dist.sample(0, &mut ChaCha8Rng::seed_from_u64(0));
        assert_eq!(x.missing.dims(), [0]);
        assert_eq!(dist.log_prob(x).dims(), [0]);
    }
}
