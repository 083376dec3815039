//! Distributions of one variable over burn tensors: the conditionals of every model, and so also the
//! model heads and the training losses.
//!
//! A distribution holds one row of parameters per batch element, or a single row that serves a batch
//! of any size. The dtype of the parameters is the dtype of everything computed from them. Every
//! `log_prob` is differentiable with respect to the parameters.
//!
//! Bad parameters are an [`Error`](crate::Error) at construction. The check reads the parameters back
//! to the host; the `*_unchecked` constructors leave it out for a model that makes a distribution at
//! every step, where NaN parameters then give NaN results.
//!
//! # Draws
//! Samplers take uniforms from the host generator they are given, [`uniform`], and decide in f64 on
//! the host. A discrete sampler takes exactly one uniform per draw, in row order, and inverts the
//! cumulative distribution ([`bernoulli::draw`], [`categorical::draw`]). So a fused sampler can
//! reproduce a plain one draw for draw.

pub mod bernoulli;
pub mod categorical;
pub mod discretized_logistic;
mod grid;
mod missing;
mod mixture;
mod normal;

pub use bernoulli::Bernoulli;
pub use categorical::Categorical;
pub use discretized_logistic::DiscretizedLogisticMixture;
pub use grid::Grid;
pub use missing::{MaybeMissing, WithMissing};
pub use mixture::GaussianMixture;
pub(crate) use normal::HALF_LN_TAU;
pub use normal::Normal;

use burn::tensor::{DType, Device, FloatDType, Int, Tensor, TensorData};
use rand::Rng;

/// A uniform draw from [0, 1): the upper 53 bits of one `next_u64`, times 2⁻⁵³.
///
/// ```
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let mut rng = ChaCha8Rng::seed_from_u64(1);
/// let u = prob_core::uniform(&mut rng);
/// assert!((0.0..1.0).contains(&u));
/// assert_eq!(u, prob_core::uniform(&mut ChaCha8Rng::seed_from_u64(1)));
/// ```
pub fn uniform(rng: &mut dyn Rng) -> f64 {
    const ULP: f64 = 1.0 / (1u64 << 53) as f64;
    (rng.next_u64() >> 11) as f64 * ULP
}

/// A standard normal draw by Box and Muller, from two uniforms: `√(−2 ln(1 − u₁)) cos(2π u₂)`.
///
/// The second normal that the method offers is left, so that every draw costs the same.
pub fn standard_normal(rng: &mut dyn Rng) -> f64 {
    let radius = (-2.0 * (-uniform(rng)).ln_1p()).sqrt();
    radius * (std::f64::consts::TAU * uniform(rng)).cos()
}

/// A tensor's values on the host in f64.
pub(crate) fn to_host<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.try_to_vec_as::<f64>().expect("a float tensor reads back as f64")
}

/// An integer tensor's values on the host.
pub(crate) fn to_host_int<const D: usize>(tensor: &Tensor<D, Int>) -> Vec<i64> {
    tensor.try_to_vec_as::<i64>().expect("an int tensor reads back as i64")
}

/// Host values as a float tensor.
pub(crate) fn from_host<const D: usize>(
    values: Vec<f64>,
    shape: [usize; D],
    device: &Device,
    dtype: DType,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (device, dtype))
}

/// Host symbols as an int tensor of the device's default int type.
pub(crate) fn from_host_int<const D: usize>(
    values: Vec<i64>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D, Int> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// An empty result of the parameters' dtype: burn cannot broadcast one row to no rows.
pub(crate) fn empty_like<const D: usize>(parameters: &Tensor<D>) -> Tensor<1> {
    Tensor::empty([0], (&parameters.device(), parameters.dtype()))
}

pub(crate) fn float_dtype<const D: usize>(tensor: &Tensor<D>) -> FloatDType {
    tensor.dtype().into()
}

/// The contract between parameter rows and batch size.
///
/// # Panics
/// Unless `rows == n` or `rows == 1`.
#[track_caller]
pub(crate) fn check_batch(rows: usize, n: usize) {
    assert!(
        rows == n || rows == 1,
        "a batch of {n} against {rows} rows of parameters, expected as many or a single row"
    );
}

/// The first value that `allowed` refuses, as an error.
pub(crate) fn check_values(
    parameter: &'static str,
    expected: &'static str,
    values: &[f64],
    columns: usize,
    allowed: impl Fn(f64) -> bool,
) -> Result<(), crate::Error> {
    match values.iter().position(|&v| !allowed(v)) {
        None => Ok(()),
        Some(at) => Err(crate::Error::Parameter {
            parameter,
            row: at / columns,
            value: values[at],
            expected,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng, rngs::ChaCha8Rng};

    #[test]
    fn uniform_uses_exactly_53_bits_of_one_word() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let word = ChaCha8Rng::seed_from_u64(5).next_u64();
        let u = uniform(&mut rng);
        assert_eq!((u * (1u64 << 53) as f64) as u64, word >> 11);
    }

    #[test]
    fn standard_normal_has_mean_0_variance_1_and_kurtosis_3() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let n = 200_000;
        let draws: Vec<f64> = (0..n).map(|_| standard_normal(&mut rng)).collect();
        let moment = |k: i32| draws.iter().map(|z| z.powi(k)).sum::<f64>() / n as f64;
        // Standard errors: 0.0022, 0.0032, 0.022; the bounds are five of them.
        assert!(moment(1).abs() < 0.011, "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.016, "{}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.11, "{}", moment(4));
    }
}
