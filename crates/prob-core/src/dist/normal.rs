//! A Gaussian.
//!
//! ```text
//! log p(x) = −½ ((x − μ) / σ)² − log σ − ½ log 2π
//! entropy  = ½ log(2π e) + log σ
//! ```

use burn::tensor::Tensor;
use rand::Rng;

use super::{check_batch, check_values, empty_like, from_host, standard_normal, to_host};
use crate::error::Error;
use crate::traits::{Density, Sample};

/// ½ log 2π.
pub(crate) const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;

/// A batch of Gaussians with means and scales (standard deviations).
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use prob_core::{Density, dist::Normal};
/// let device = Device::default();
/// let mean = Tensor::from_data([0.0, 1.0], &device);
/// let scale = Tensor::from_data([1.0, 2.0], &device);
/// let normal = Normal::new(mean, scale).unwrap();
/// let nats: Vec<f32> =
///     normal.log_prob(Tensor::from_data([0.0, 1.0], &device)).try_into_vec_as().unwrap();
/// assert!((nats[0] + 0.9189385).abs() < 1e-6);
/// assert!((nats[1] - nats[0] + 2f32.ln()).abs() < 1e-6);
/// ```
#[derive(Debug, Clone)]
pub struct Normal {
    mean: Tensor<1>,
    scale: Tensor<1>,
}

impl Normal {
    /// From means and standard deviations.
    ///
    /// # Shapes
    /// `mean` and `scale`: `[batch]`.
    ///
    /// # Errors
    /// When the shapes differ, a mean is not finite, or a scale is not a finite number above 0.
    pub fn new(mean: Tensor<1>, scale: Tensor<1>) -> Result<Self, Error> {
        if mean.dims() != scale.dims() {
            return Err(Error::Shape {
                what: "scale",
                got: scale.dims().to_vec(),
                expected: format!("{:?}, that of the mean", mean.dims()),
            });
        }
        check_values("mean", "a finite number", &to_host(&mean), 1, f64::is_finite)?;
        check_values("scale", "a finite number above 0", &to_host(&scale), 1, |s| {
            s > 0.0 && s.is_finite()
        })?;
        Ok(Self { mean, scale })
    }

    /// From parameters that are good by how they were computed; nothing is read back to the host.
    ///
    /// # Shapes
    /// `mean` and `scale`: `[batch]`.
    pub fn new_unchecked(mean: Tensor<1>, scale: Tensor<1>) -> Self {
        Self { mean, scale }
    }

    /// Number of parameter rows.
    pub fn batch(&self) -> usize {
        self.mean.dims()[0]
    }

    /// Expected value, `[batch]`.
    pub fn mean(&self) -> Tensor<1> {
        self.mean.clone()
    }

    /// Standard deviation, `[batch]`.
    pub fn scale(&self) -> Tensor<1> {
        self.scale.clone()
    }

    /// Differential entropy in nats, `[batch]`.
    pub fn entropy(&self) -> Tensor<1> {
        self.scale.clone().log().add_scalar(HALF_LN_TAU + 0.5)
    }
}

/// An event is `[batch]` of reals; `±inf` has log-density `-inf`.
///
/// # Panics
/// When the event's batch is not the parameters', unless there is a single row of parameters.
impl Density for Normal {
    type Event = Tensor<1>;

    fn log_prob(&self, x: Self::Event) -> Tensor<1> {
        let [n] = x.dims();
        check_batch(self.batch(), n);
        if n == 0 {
            return empty_like(&self.mean);
        }
        let x = x.cast(self.mean.dtype());
        let z = (x - self.mean.clone()) / self.scale.clone();
        z.square().mul_scalar(-0.5) - self.scale.clone().log().add_scalar(HALF_LN_TAU)
    }
}

/// Two uniforms per draw, in row order; see [`standard_normal`].
///
/// # Panics
/// When `n` is not the number of parameter rows, unless there is a single row.
impl Sample for Normal {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Self::Event {
        let (mean, scale) = (to_host(&self.mean), to_host(&self.scale));
        check_batch(mean.len(), n);
        let draws = (0..n)
            .map(|r| {
                let r = if mean.len() == 1 { 0 } else { r };
                mean[r] + scale[r] * standard_normal(rng)
            })
            .collect();
        from_host(draws, [n], &self.mean.device(), self.mean.dtype())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{DType, Device};
    use rand::{SeedableRng, rngs::ChaCha8Rng};

    fn tensor(values: &[f64], dtype: DType) -> Tensor<1> {
        from_host(values.to_vec(), [values.len()], &Device::default(), dtype)
    }

    fn normal(mean: &[f64], scale: &[f64], dtype: DType) -> Result<Normal, Error> {
        Normal::new(tensor(mean, dtype), tensor(scale, dtype))
    }

    #[test]
    fn log_prob_matches_the_formula_in_the_dtype_of_the_parameters() {
        for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F64, 1e-14)] {
            let dist = normal(&[0.5], &[0.25], dtype).unwrap();
            let got = dist.log_prob(tensor(&[0.5, 1.5, f64::INFINITY], dtype));
            assert_eq!(got.dtype(), dtype);
            let got = to_host(&got);
            let top = -(0.25f64.ln()) - 0.5 * std::f64::consts::TAU.ln();
            assert!((got[0] - top).abs() < tolerance, "{got:?}");
            assert!((got[1] - (top - 8.0)).abs() < tolerance, "{got:?}");
            assert_eq!(got[2], f64::NEG_INFINITY);
        }
    }

    #[test]
    fn entropy_is_the_mean_cost_of_its_own_draws() {
        let dist = normal(&[3.0], &[0.7], DType::F64).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let draws = dist.sample(100_000, &mut rng);
        let cost = -to_host(&dist.log_prob(draws)).iter().sum::<f64>() / 1e5;
        // The cost's standard deviation is √½, so its standard error 0.0022; five of them.
        assert!((cost - to_host(&dist.entropy())[0]).abs() < 0.0112, "{cost}");
    }

    #[test]
    fn bad_parameters_are_errors_that_name_them() {
        let message =
            |mean: &[f64], scale: &[f64]| normal(mean, scale, DType::F32).unwrap_err().to_string();
        assert_eq!(message(&[0.0], &[0.0]), "scale 0 in row 0, expected a finite number above 0");
        for scale in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(normal(&[0.0], &[scale], DType::F32).is_err(), "{scale}");
        }
        assert!(message(&[f64::NAN], &[1.0]).contains("mean NaN"));
        assert!(message(&[0.0], &[1.0, 1.0]).contains("scale of shape [2]"));
    }

    #[test]
    fn an_empty_batch_stays_empty() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for rows in [0, 1] {
            let dist = normal(&vec![0.0; rows], &vec![1.0; rows], DType::F32).unwrap();
            let x = dist.sample(0, &mut rng);
            assert_eq!(dist.log_prob(x).dims(), [0]);
            assert_eq!(dist.entropy().dims(), [rows]);
        }
    }

    #[test]
    fn gradients_match_the_formula() {
        let (mean, scale) = (tensor(&[0.3], DType::F64), tensor(&[1.7], DType::F64));
        let (mean, scale) = (mean.autodiff().require_grad(), scale.autodiff().require_grad());
        let dist = Normal::new_unchecked(mean.clone(), scale.clone());
        let grads = dist.log_prob(tensor(&[2.0], DType::F64)).sum().backward();
        let z: f64 = 1.0;
        let got = to_host(&mean.grad(&grads).unwrap())[0];
        assert!((got - z / 1.7).abs() < 1e-14);
        let got = to_host(&scale.grad(&grads).unwrap())[0];
        assert!((got - (z * z - 1.0) / 1.7).abs() < 1e-14);
    }
}
