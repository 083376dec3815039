//! A weighted sum of Gaussians on the line.
//!
//! ```text
//! p(x) = Σ_k w_k N(x; μ_k, σ_k),   w = softmax(logits),   σ_k = exp(log_scale_k)
//! ```
//!
//! # References
//! The conditional of RNADE: Uria, Murray and Larochelle 2013, arXiv 1306.0186.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use rand::Rng;

use super::normal::HALF_LN_TAU;
use super::{
    categorical, check_batch, check_values, empty_like, from_host, standard_normal, to_host,
    uniform,
};
use crate::error::Error;
use crate::logspace::logsumexp_dim;
use crate::traits::{Density, Sample};

/// A batch of mixtures. (A mixture's entropy has no closed form.)
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use prob_core::{Density, dist::GaussianMixture};
/// let device = Device::default();
/// let row = |values: [f32; 2]| Tensor::<2>::from_data([values], &device);
/// // Two equal components are one Gaussian.
/// let mixture =
///     GaussianMixture::new(row([0.3, -0.3]), row([0.0, 0.0]), row([0.0, 0.0])).unwrap();
/// let nats: f32 = mixture.log_prob(Tensor::from_data([0.0], &device)).into_scalar();
/// assert!((nats + 0.9189385).abs() < 1e-6);
/// ```
#[derive(Debug, Clone)]
pub struct GaussianMixture {
    logits: Tensor<2>,
    means: Tensor<2>,
    log_scales: Tensor<2>,
}

impl GaussianMixture {
    /// From unnormalised log-weights, means and logarithms of the standard deviations.
    ///
    /// # Shapes
    /// All three: `[batch, components]`.
    ///
    /// # Errors
    /// When the shapes differ or there are no components; when a logit is NaN or `+inf` or a row of
    /// them all `-inf`; when a mean or log-scale is not finite, or a scale is 0 or infinite in f64.
    pub fn new(logits: Tensor<2>, means: Tensor<2>, log_scales: Tensor<2>) -> Result<Self, Error> {
        let usable = |s: f64| s.exp() > 0.0 && s.exp().is_finite();
        check_mixture(&logits, &means, &log_scales, usable)?;
        Ok(Self { logits, means, log_scales })
    }

    /// From parameters that are good by how they were computed; nothing is read back to the host.
    ///
    /// # Shapes
    /// All three: `[batch, components]`.
    pub fn new_unchecked(logits: Tensor<2>, means: Tensor<2>, log_scales: Tensor<2>) -> Self {
        Self { logits, means, log_scales }
    }

    /// The distribution of `scale · x + shift`, for a `scale` above 0.
    #[must_use]
    pub fn affine(self, scale: f64, shift: f64) -> Self {
        Self {
            logits: self.logits,
            means: self.means.mul_scalar(scale).add_scalar(shift),
            log_scales: self.log_scales.add_scalar(scale.ln()),
        }
    }

    /// Number of parameter rows.
    pub fn batch(&self) -> usize {
        self.logits.dims()[0]
    }

    /// Expected value, `Σ_k w_k μ_k`, `[batch]`.
    pub fn mean(&self) -> Tensor<1> {
        let batch = self.batch();
        if batch == 0 {
            return empty_like(&self.logits);
        }
        let weights = log_softmax(self.logits.clone(), 1).exp();
        (weights * self.means.clone()).sum_dim(1).reshape([batch])
    }
}

/// What parameters of a location and scale mixture must be; `usable` says which log-scales are.
///
/// # Errors
/// When the shapes differ or there are no components; when a logit is NaN or `+inf` or a row of them all
/// `-inf`; when a mean is not finite or a log-scale not usable.
pub(super) fn check_mixture(
    logits: &Tensor<2>,
    means: &Tensor<2>,
    log_scales: &Tensor<2>,
    usable: impl Fn(f64) -> bool,
) -> Result<(), Error> {
    for (what, got) in [("means", means.dims()), ("log-scales", log_scales.dims())] {
        if got != logits.dims() {
            return Err(Error::Shape {
                what,
                got: got.to_vec(),
                expected: format!("{:?}, that of the logits", logits.dims()),
            });
        }
    }
    super::Categorical::from_logits(logits.clone())?;
    let components = logits.dims()[1];
    check_values("mean", "a finite number", &to_host(means), components, f64::is_finite)?;
    check_values(
        "log-scale",
        "a finite number whose exponential is one too, above 0",
        &to_host(log_scales),
        components,
        usable,
    )
}

/// An event is `[batch]` of reals; `±inf` has log-density `-inf`.
///
/// # Panics
/// When the event's batch is not the parameters', unless there is a single row of parameters.
impl Density for GaussianMixture {
    type Event = Tensor<1>;

    fn log_prob(&self, x: Self::Event) -> Tensor<1> {
        let [n] = x.dims();
        check_batch(self.batch(), n);
        if n == 0 {
            return empty_like(&self.logits);
        }
        let x = x.cast(self.logits.dtype()).reshape([n, 1]);
        let z = (x - self.means.clone()) * self.log_scales.clone().neg().exp(); // [batch, components]
        let each = z.square().mul_scalar(-0.5) - self.log_scales.clone().add_scalar(HALF_LN_TAU);
        let joint = each + log_softmax(self.logits.clone(), 1);
        logsumexp_dim(joint, 1).reshape([n])
    }
}

/// Three uniforms per draw, in row order: one for the component, two for the Gaussian.
///
/// # Panics
/// When `n` is not the number of parameter rows, unless there is a single row.
impl Sample for GaussianMixture {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Self::Event {
        let [rows, components] = self.logits.dims();
        check_batch(rows, n);
        let (logits, means) = (to_host(&self.logits), to_host(&self.means));
        let log_scales = to_host(&self.log_scales);
        let draws = (0..n)
            .map(|r| {
                let start = if rows == 1 { 0 } else { r * components };
                let k = start + categorical::draw(&logits[start..start + components], uniform(rng));
                means[k] + log_scales[k].exp() * standard_normal(rng)
            })
            .collect();
        from_host(draws, [n], &self.logits.device(), self.logits.dtype())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{DType, Device};
    use rand::{SeedableRng, rngs::ChaCha8Rng};

    fn row(values: &[f64], dtype: DType) -> Tensor<2> {
        from_host(values.to_vec(), [1, values.len()], &Device::default(), dtype)
    }

    fn events(values: &[f64], dtype: DType) -> Tensor<1> {
        from_host(values.to_vec(), [values.len()], &Device::default(), dtype)
    }

    fn mixture(
        logits: &[f64],
        means: &[f64],
        log_scales: &[f64],
    ) -> Result<GaussianMixture, Error> {
        let f = DType::F64;
        GaussianMixture::new(row(logits, f), row(means, f), row(log_scales, f))
    }

    #[test]
    fn log_prob_is_the_weighted_sum_far_into_the_tails() {
        let (weights, means, scales) = ([0.2f64, 0.5, 0.3], [-2.0, 0.0, 5.0], [0.5f64, 2.0, 0.1]);
        let dist = mixture(&weights.map(f64::ln), &means, &scales.map(f64::ln)).unwrap();
        for x in [-3.0, 0.0, 5.0, 4.3] {
            let direct: f64 = (0..3)
                .map(|k| {
                    let z = (x - means[k]) / scales[k];
                    weights[k] * (-0.5 * z * z).exp() / (scales[k] * std::f64::consts::TAU.sqrt())
                })
                .sum();
            let got = to_host(&dist.log_prob(events(&[x], DType::F64)))[0];
            assert!((got - direct.ln()).abs() < 1e-13, "{x}: {got} for {}", direct.ln());
        }
        let far = to_host(&dist.log_prob(events(&[200.0, -200.0, f64::INFINITY], DType::F64)));
        assert!((far[0] - (0.5f64.ln() - 2f64.ln() - HALF_LN_TAU - 5000.0)).abs() < 1e-9);
        assert_eq!(far[2], f64::NEG_INFINITY);
        let mean = to_host(&dist.mean())[0];
        assert!((mean - (0.2 * -2.0 + 0.3 * 5.0)).abs() < 1e-14);
    }

    #[test]
    fn an_affine_map_moves_the_density_and_keeps_its_mass() {
        let dist = mixture(&[0.0, 1.0], &[-1.0, 2.0], &[0.3, -0.5]).unwrap();
        let moved = dist.clone().affine(2.5, 7.0);
        for x in [-2.0, 0.4, 3.0] {
            let before = to_host(&dist.log_prob(events(&[x], DType::F64)))[0];
            let after = to_host(&moved.log_prob(events(&[2.5 * x + 7.0], DType::F64)))[0];
            assert!((after - (before - 2.5f64.ln())).abs() < 1e-12);
        }
    }

    #[test]
    fn a_component_of_weight_zero_is_not_there() {
        let dist = mixture(&[0.0, f64::NEG_INFINITY], &[1.0, 9.0], &[0.0, 0.0]).unwrap();
        let got = to_host(&dist.log_prob(events(&[1.0, 9.0], DType::F64)));
        assert!(
            (got[0] + HALF_LN_TAU).abs() < 1e-14 && (got[1] + HALF_LN_TAU + 32.0).abs() < 1e-13
        );
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert!(to_host(&dist.sample(1000, &mut rng)).iter().all(|&x| x < 7.0));
    }

    #[test]
    fn gradients_are_finite_where_one_component_explains_everything() {
        let f = DType::F32;
        let leaves =
            [row(&[0.0, f64::NEG_INFINITY], f), row(&[0.0, 40.0], f), row(&[0.0, -3.0], f)]
                .map(|leaf| leaf.autodiff().require_grad());
        let [logits, means, log_scales] = leaves.clone();
        let dist = GaussianMixture::new_unchecked(logits, means, log_scales);
        let grads = dist.log_prob(events(&[0.5], f)).sum().backward();
        for leaf in leaves {
            let grad = to_host(&leaf.grad(&grads).unwrap());
            assert!(grad.iter().all(|g| g.is_finite()), "{grad:?}");
        }
    }

    #[test]
    fn bad_parameters_are_errors_that_name_them() {
        let message = |l: &[f64], m: &[f64], s: &[f64]| mixture(l, m, s).unwrap_err().to_string();
        assert!(message(&[0.0], &[0.0, 1.0], &[0.0]).contains("means of shape [1, 2]"));
        assert!(message(&[f64::NAN], &[0.0], &[0.0]).contains("logit NaN"));
        assert!(message(&[0.0], &[f64::INFINITY], &[0.0]).contains("mean inf"));
        assert!(message(&[0.0], &[0.0], &[f64::NEG_INFINITY]).contains("log-scale -inf"));
        assert!(message(&[0.0], &[0.0], &[1e4]).contains("log-scale 10000"));
    }

    #[test]
    fn an_empty_batch_stays_empty() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let none = || Tensor::<2>::empty([0, 2], &Device::default());
        for dist in [
            GaussianMixture::new(none(), none(), none()).unwrap(),
            mixture(&[0.0, 0.0], &[0.0, 1.0], &[0.0, 0.0]).unwrap(),
        ] {
            let x = dist.sample(0, &mut rng);
            assert_eq!(dist.log_prob(x).dims(), [0]);
            assert_eq!(dist.mean().dims(), [dist.batch()]);
        }
    }

    #[test]
    fn draws_have_the_mixture_mean_and_variance() {
        let dist =
            mixture(&[0.25f64.ln(), 0.75f64.ln()], &[-1.0, 3.0], &[0.0, 0.5f64.ln()]).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let x = to_host(&dist.sample(100_000, &mut rng));
        let mean = x.iter().sum::<f64>() / 1e5;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 1e5;
        // Exactly 2 and 3.4375; standard errors 0.006 and about 0.015, the bounds are five of them.
        assert!((mean - 2.0).abs() < 0.03, "{mean}");
        assert!((variance - 3.4375).abs() < 0.08, "{variance}");
    }
}
