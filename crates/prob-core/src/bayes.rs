//! Bayes' rule over models of each class, in log space.
//!
//! ```text
//! p(y | x) = p(x | y) p(y) / Σ_y' p(x | y') p(y')
//! ```
//!
//! Any [`Density`] classifies: fit one model per class, add the log prior, normalise. `models[y]` is
//! the model of class y and `log_prior[y]` its log prior in nats, `-inf` for a class that cannot be.

use burn::tensor::Tensor;

use crate::dist::check_values;
use crate::error::Error;
use crate::logspace::{logsumexp, logsumexp_dim};
use crate::traits::Density;

/// How far a prior may be from summing to 1.
const SUM_TOLERANCE: f64 = 1e-9;

/// `log p(x, y) = log p(x | y) + log p(y)` for every class.
///
/// # Shapes
/// Returns `[batch, classes]`.
///
/// # Errors
/// When there are no models, or the prior does not have one entry per model or does not sum to 1.
pub fn log_joint<M: Density>(
    models: &[M],
    log_prior: &[f64],
    x: M::Event,
) -> Result<Tensor<2>, Error> {
    if models.is_empty() {
        return Err(Error::Empty("models"));
    }
    check_prior(log_prior, models.len())?;
    let columns: Vec<Tensor<2>> = models
        .iter()
        .zip(log_prior)
        .map(|(model, &prior)| {
            let log_likelihood = model.log_prob(x.clone());
            let [batch] = log_likelihood.dims();
            log_likelihood.add_scalar(prior).reshape([batch, 1])
        })
        .collect();
    Ok(Tensor::cat(columns, 1)) // [batch, classes]
}

/// `log p(y | x)` for every class. Where x is impossible under every class there is no posterior:
/// that row is NaN.
///
/// # Shapes
/// Returns `[batch, classes]`.
///
/// # Errors
/// As for [`log_joint`].
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use prob_core::bayes;
/// use prob_core::joint::{Independent, Symbols};
/// // A coin that falls 1 three times in four, and one that does so one time in four.
/// let fit = |values: &[u8]| Independent::fit(Symbols::new(values, 1, 2).unwrap(), 0.0).unwrap();
/// let models = [fit(&[1, 1, 1, 0]), fit(&[1, 0, 0, 0])];
/// let prior = bayes::log_prior_from_counts(&[1, 1], 0.0).unwrap();
/// let x = Tensor::from_data([[1], [0]], &Device::default());
/// let posterior = bayes::log_posterior(&models, &prior, x).unwrap().exp();
/// let p: Vec<f64> = posterior.try_into_vec_as().unwrap();
/// assert!((p[0] - 0.75).abs() < 1e-6 && (p[2] - 0.25).abs() < 1e-6);
/// ```
pub fn log_posterior<M: Density>(
    models: &[M],
    log_prior: &[f64],
    x: M::Event,
) -> Result<Tensor<2>, Error> {
    Ok(condition(log_joint(models, log_prior, x)?))
}

/// [`log_posterior`] of one event from what is already known: `log p(x | y)` for each class, in f64 on
/// the host.
///
/// # Errors
/// When there are no classes, a log-likelihood is NaN, or the prior does not have one entry per class
/// or does not sum to 1.
///
/// ```
/// use prob_core::bayes::log_posterior_of;
/// // Likelihoods far below the smallest f64, a factor of 3 apart.
/// let posterior = log_posterior_of(&[-2000.0, -2000.0 + 3f64.ln()], &[0.5f64.ln(); 2]).unwrap();
/// assert!((posterior[1].exp() - 0.75).abs() < 1e-12);
/// ```
pub fn log_posterior_of(log_likelihoods: &[f64], log_prior: &[f64]) -> Result<Vec<f64>, Error> {
    if log_likelihoods.is_empty() {
        return Err(Error::Empty("classes"));
    }
    check_prior(log_prior, log_likelihoods.len())?;
    check_values("log-likelihood", "a number", log_likelihoods, 1, |l| !l.is_nan())?;
    // Beside a likelihood of e^(−10²⁰) a prior would be lost: what is common to all is taken off first.
    let most = log_likelihoods.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let common = if most.abs() > FAR && most.is_finite() { most } else { 0.0 };
    let joint: Vec<f64> =
        log_likelihoods.iter().zip(log_prior).map(|(l, p)| (l - common) + p).collect();
    let evidence = logsumexp(&joint);
    Ok(joint.into_iter().map(|l| l - evidence).collect())
}

/// Log-likelihoods beyond this have no digits left for a prior's.
const FAR: f64 = 1e6;

/// `log p(x, y)` to `log p(y | x)`, `[batch, classes]`.
fn condition(joint: Tensor<2>) -> Tensor<2> {
    if joint.dims()[0] == 0 {
        return joint;
    }
    let evidence = logsumexp_dim(joint.clone(), 1); // [batch, 1]
    // −inf − (−inf) is NaN: exactly the rows without a posterior.
    joint - evidence
}

/// `log p(x) = log Σ_y p(x | y) p(y)`: the density of the mixture of all classes.
///
/// # Shapes
/// Returns `[batch]`.
///
/// # Errors
/// As for [`log_joint`].
pub fn log_evidence<M: Density>(
    models: &[M],
    log_prior: &[f64],
    x: M::Event,
) -> Result<Tensor<1>, Error> {
    let joint = log_joint(models, log_prior, x)?;
    let [batch, _] = joint.dims();
    if batch == 0 {
        return Ok(joint.reshape([0]));
    }
    Ok(logsumexp_dim(joint, 1).reshape([batch]))
}

/// Log prior from the number of examples of each class, with a pseudo-count for each.
///
/// # Errors
/// When there are no classes, the pseudo-count is negative or not finite, or everything is 0.
///
/// ```
/// let prior = prob_core::bayes::log_prior_from_counts(&[2, 0], 1.0).unwrap();
/// assert_eq!(prior, [0.75f64.ln(), 0.25f64.ln()]);
/// ```
pub fn log_prior_from_counts(counts: &[u64], pseudo_count: f64) -> Result<Vec<f64>, Error> {
    if !pseudo_count.is_finite() || pseudo_count < 0.0 {
        return Err(Error::PseudoCount(pseudo_count));
    }
    let weights: Vec<f64> = counts.iter().map(|&n| n as f64 + pseudo_count).collect();
    let total: f64 = weights.iter().sum();
    if total == 0.0 {
        return Err(Error::Empty("examples of any class"));
    }
    Ok(weights.into_iter().map(|w| (w / total).ln()).collect())
}

fn check_prior(log_prior: &[f64], classes: usize) -> Result<(), Error> {
    if log_prior.len() != classes {
        return Err(Error::Shape {
            what: "log prior",
            got: vec![log_prior.len()],
            expected: format!("[{classes}], one per model"),
        });
    }
    check_values("log prior", "0 or less", log_prior, 1, |l| l <= SUM_TOLERANCE)?;
    let sum = logsumexp(log_prior).exp();
    if (sum - 1.0).abs() > SUM_TOLERANCE {
        return Err(Error::NotNormalised { row: 0, sum, tolerance: SUM_TOLERANCE });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::{Bernoulli, to_host};
    use burn::tensor::{Device, Int};

    fn coins(probs: &[f64]) -> Vec<Bernoulli> {
        let device = Device::default();
        probs
            .iter()
            .map(|&p| Bernoulli::from_probs(Tensor::from_data([p], &device)).unwrap())
            .collect()
    }

    fn events(x: &[i64]) -> Tensor<1, Int> {
        crate::dist::from_host_int(x.to_vec(), [x.len()], &Device::default())
    }

    #[test]
    fn likelihoods_far_below_all_digits_leave_the_prior() {
        let prior = [0.25f64.ln(), 0.75f64.ln()];
        for far in [-1e7, -1e20, -1e300] {
            let posterior = log_posterior_of(&[far, far], &prior).unwrap();
            assert!(
                posterior.iter().zip(prior).all(|(a, b)| (a - b).abs() < 1e-12),
                "{posterior:?}"
            );
        }
        let certain = log_posterior_of(&[-1e20, -2e20], &prior).unwrap();
        assert_eq!((certain[0], certain[1].exp()), (0.0, 0.0));
    }

    #[test]
    fn the_posterior_is_bayes_rule() {
        let prior = [0.2f64.ln(), 0.3f64.ln(), 0.5f64.ln()];
        let models = coins(&[0.9, 0.5, 0.0]);
        let got = to_host(&log_posterior(&models, &prior, events(&[1, 0])).unwrap().exp());
        let one = 0.2 * 0.9 + 0.3 * 0.5;
        let zero = 0.2 * 0.1 + 0.3 * 0.5 + 0.5;
        let want = [0.18 / one, 0.15 / one, 0.0, 0.02 / zero, 0.15 / zero, 0.5 / zero];
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "{got} for {want}");
        }
        let on_host =
            log_posterior_of(&[0.9f64.ln(), 0.5f64.ln(), f64::NEG_INFINITY], &prior).unwrap();
        assert!(on_host.iter().zip(want).all(|(l, want)| (l.exp() - want).abs() < 1e-15));
        let evidence = to_host(&log_evidence(&models, &prior, events(&[1, 0])).unwrap());
        assert!((evidence[0] - one.ln()).abs() < 1e-6 && (evidence[1] - zero.ln()).abs() < 1e-6);
    }

    #[test]
    fn an_event_impossible_under_every_class_has_no_posterior() {
        let prior = [0.5f64.ln(); 2];
        let models = coins(&[0.0, 0.0]);
        let posterior = to_host(&log_posterior(&models, &prior, events(&[1, 0])).unwrap());
        assert!(
            posterior[..2].iter().all(|p| p.is_nan()) && (posterior[2] + 2f64.ln()).abs() < 1e-6
        );
        let evidence = to_host(&log_evidence(&models, &prior, events(&[1])).unwrap());
        assert_eq!(evidence, [f64::NEG_INFINITY]);
    }

    #[test]
    fn a_class_with_prior_zero_never_wins() {
        let prior = [f64::NEG_INFINITY, 0.0];
        let posterior = log_posterior(&coins(&[0.9, 0.1]), &prior, events(&[1])).unwrap();
        assert_eq!(to_host(&posterior), [f64::NEG_INFINITY, 0.0]);
    }

    #[test]
    fn an_empty_batch_stays_empty() {
        let prior = [0.5f64.ln(); 2];
        let models = coins(&[0.2, 0.7]);
        assert_eq!(log_posterior(&models, &prior, events(&[])).unwrap().dims(), [0, 2]);
        assert_eq!(log_evidence(&models, &prior, events(&[])).unwrap().dims(), [0]);
    }

    #[test]
    fn bad_priors_are_errors() {
        let models = coins(&[0.2, 0.7]);
        let error =
            |prior: &[f64]| log_joint(&models, prior, events(&[1])).unwrap_err().to_string();
        assert_eq!(error(&[0.0]), "log prior of shape [1], expected [2], one per model");
        assert!(error(&[0.0, 0.0]).contains("sum to 2"));
        assert!(error(&[f64::NAN, 0.0]).contains("log prior NaN"));
        let none: [Bernoulli; 0] = [];
        assert_eq!(log_joint(&none, &[], events(&[1])).unwrap_err(), Error::Empty("models"));
        assert!(log_posterior_of(&[f64::NAN], &[0.0]).unwrap_err().to_string().contains("NaN"));
        assert!(log_posterior_of(&[], &[]).is_err());
        assert!(log_prior_from_counts(&[], 1.0).is_err());
        assert!(log_prior_from_counts(&[1], -1.0).is_err());
    }
}
