//! Classification by Bayes' rule, and how right and how honest it is.
//!
//! ```text
//! p(y | x) = p(x | y) p(y) / p(x),   p(x) = Σ_y p(x | y) p(y)
//!
//! accuracy    (1/N) Σ_n [y_n = argmax_y p(y | x_n)]
//! log-loss    −(1/N) Σ_n log p(y_n | x_n)                                 nats
//! Brier       (1/N) Σ_n Σ_y (p(y | x_n) − [y = y_n])²
//! ECE         Σ_m |B_m|/N · |accuracy of B_m − mean confidence of B_m|
//! ```
//!
//! The confidence of a prediction is its p(y | x); B_m are the predictions whose confidence is in the m-th
//! of M bins of equal width, (m/M, (m+1)/M].
//!
//! With a temperature T other than 1 the posterior is p(x | y)^(1/T) p(y), normalised: Bayes' rule no
//! longer, but a model's p(x | y) counts dependent variables as independent evidence where it has not
//! learned what they share, and is too sure. p(x) stays that of T = 1.
//!
//! # References
//! - Brier, *Verification of Forecasts Expressed in Terms of Probability*, 1950.
//! - Guo, Pleiss, Sun, Weinberger, *On Calibration of Modern Neural Networks*, ICML 2017,
//!   arXiv:1706.04599, Eq. 3 (ECE, 15 bins in its tables) and Section 4.2 (temperature).

use prob_core::bayes;
use prob_core::logspace::logsumexp;

use super::scoring::{for_chunks, log_probs};
use crate::foundation::error::Error;
use crate::foundation::examples::Examples;
use crate::model::Model;

/// log p(x | y) of each example for each class: of one model with classes, or of one model per class.
///
/// `progress` hears how many of `examples.len()` times `models.len()` evaluations are done.
///
/// # Shapes
/// Returns `[examples, classes]`.
///
/// # Panics
/// When there is no model, or a single one that has no classes, or the examples are not of the
/// models' number and kind of variables.
pub fn log_likelihoods(
    models: &[Model],
    examples: &dyn Examples,
    mut progress: impl FnMut(usize),
) -> Vec<f64> {
    let n = examples.len();
    if let [model] = models {
        let classes = model.classes().expect("a single model has classes");
        let mut out = Vec::with_capacity(n * classes);
        for_chunks(model, examples, |values| {
            out.extend(model.log_prob_per_class(values));
            progress(out.len() / classes);
        });
        return out;
    }
    let classes = models.len();
    assert!(classes > 0, "no model");
    let mut out = vec![0.0; n * classes];
    for (y, model) in models.iter().enumerate() {
        let column = log_probs(model, examples, |done| progress(y * n + done));
        for (row, log_prob) in column.into_iter().enumerate() {
            out[row * classes + y] = log_prob;
        }
    }
    out
}

/// log p(row with y in the place of one of its columns) + ln K of each example for each of K labels of the column, so
/// that with an even prior Bayes' rule gives p(y | the other columns), and their own log-probability as evidence: p(y) is
/// the model's.
///
/// `progress` hears how many of `examples.len()` times `labels` evaluations are done.
///
/// # Shapes
/// Returns `[examples, labels]`.
///
/// # Panics
/// When the model is of no columns, or the examples are not of its columns.
pub fn log_joints(
    model: &Model,
    examples: &dyn Examples,
    column: usize,
    labels: usize,
    mut progress: impl FnMut(usize),
) -> Vec<f64> {
    let (width, more) = (examples.variables(), (labels as f64).ln());
    let mut out = Vec::with_capacity(examples.len() * labels);
    for_chunks(model, examples, |values| {
        let mut rows = values.reals().to_vec();
        let first = out.len();
        out.resize(first + rows.len() / width * labels, 0.0);
        for y in 0..labels {
            rows.iter_mut().skip(column).step_by(width).for_each(|cell| *cell = y as f64);
            for (row, log_prob) in model.log_prob(&rows[..]).into_iter().enumerate() {
                out[first + row * labels + y] = log_prob + more;
            }
        }
        progress(out.len());
    });
    out
}

/// What x says about y, for each of a set of examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Posteriors {
    classes: usize,
    log_posterior: Vec<f64>,
    log_evidence: Vec<f64>,
}

impl Posteriors {
    /// Bayes' rule with the evidence of the likelihoods divided by `temperature`, which is 1 for
    /// nothing else.
    ///
    /// # Shapes
    /// `log_likelihoods` is `[n, classes]`, `log_prior` is `[classes]`.
    ///
    /// # Errors
    /// When a log-likelihood is NaN, the prior does not sum to 1, or the temperature is not above 0.
    ///
    /// # Panics
    /// When the likelihoods are not whole rows.
    ///
    /// ```
    /// use ar_models::classification::Posteriors;
    /// // x is three times as likely under the first of two classes.
    /// let log_likelihoods = [0.75_f64.ln(), 0.25_f64.ln()];
    /// let even = [0.5_f64.ln(); 2];
    /// let posteriors = Posteriors::new(&log_likelihoods, &even, 1.0)?;
    /// assert_eq!(posteriors.prediction(0), Some(0));
    /// assert!((posteriors.log_posterior(0)[0].exp() - 0.75).abs() < 1e-15);
    /// assert!((posteriors.log_evidence()[0] - 0.5_f64.ln()).abs() < 1e-15);
    /// # Ok::<(), ar_models::Error>(())
    /// ```
    pub fn new(
        log_likelihoods: &[f64],
        log_prior: &[f64],
        temperature: f64,
    ) -> Result<Self, Error> {
        let classes = log_prior.len();
        if !(temperature.is_finite() && temperature > 0.0) {
            return Err(Error::Config {
                key: "temperature",
                value: temperature.to_string(),
                expected: "a finite number above 0".into(),
            });
        }
        assert!(classes > 0 && log_likelihoods.len().is_multiple_of(classes), "whole rows");
        let mut log_posterior = Vec::with_capacity(log_likelihoods.len());
        let mut log_evidence = Vec::with_capacity(log_likelihoods.len() / classes);
        for row in log_likelihoods.chunks_exact(classes) {
            let tempered: Vec<f64> = row.iter().map(|log_prob| log_prob / temperature).collect();
            log_posterior.extend(bayes::log_posterior_of(&tempered, log_prior)?);
            let joint: Vec<f64> = row.iter().zip(log_prior).map(|(l, prior)| l + prior).collect();
            log_evidence.push(logsumexp(&joint));
        }
        Ok(Self { classes, log_posterior, log_evidence })
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.log_evidence.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.log_evidence.is_empty()
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// log p(y | x) of one example, `[classes]`; NaN where x is impossible under every class.
    pub fn log_posterior(&self, row: usize) -> &[f64] {
        &self.log_posterior[row * self.classes..(row + 1) * self.classes]
    }

    /// log p(x), `[n]`.
    pub fn log_evidence(&self) -> &[f64] {
        &self.log_evidence
    }

    /// argmax p(y | x), the first of several; `None` where x is impossible under every class.
    pub fn prediction(&self, row: usize) -> Option<usize> {
        let log_posterior = self.log_posterior(row);
        let possible = !log_posterior.iter().any(|l| l.is_nan());
        let first = |&a: &usize, &b: &usize| log_posterior[a].total_cmp(&log_posterior[b]);
        possible.then(|| (0..self.classes).rev().max_by(first)).flatten()
    }
}

/// Predictions of about the same confidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Bin {
    /// The least confidence, which itself is not in the bin.
    pub above: f64,
    /// The most confidence.
    pub to: f64,
    /// Number of predictions.
    pub count: usize,
    /// Mean confidence; NaN of none.
    pub confidence: f64,
    /// Fraction that is right; NaN of none.
    pub accuracy: f64,
}

/// How well posteriors agree with labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// Number of examples.
    pub examples: usize,
    /// Examples that are impossible under every class, and have no posterior: they count as wrong, with
    /// an infinite log-loss, and are in no bin.
    pub impossible: usize,
    /// Fraction of right predictions.
    pub accuracy: f64,
    /// Its standard error, √(accuracy (1 − accuracy) / N).
    pub accuracy_stderr: f64,
    /// Mean of −log p(y | x), in nats.
    pub log_loss_nats: f64,
    /// Brier's score, 0 to 2.
    pub brier: f64,
    /// Mean confidence.
    pub confidence: f64,
    /// The expected calibration error, 0 to 1.
    pub calibration_error: f64,
    /// The bins it is made of.
    pub bins: Vec<Bin>,
    /// `confusion[y][z]`: examples of class y that are taken for class z.
    pub confusion: Vec<Vec<u64>>,
}

/// Bins of the expected calibration error, as many as in Guo et al. 2017.
pub const BINS: usize = 15;

impl Quality {
    /// Of predictions, given the class of each example.
    ///
    /// # Panics
    /// When there is not one class per example, or one is not below the number of classes.
    pub fn of(posteriors: &Posteriors, truth: &[usize]) -> Self {
        assert_eq!(truth.len(), posteriors.len(), "one class per example");
        let (n, classes) = (truth.len() as f64, posteriors.classes());
        let mut confusion = vec![vec![0_u64; classes]; classes];
        let mut bins = [(0_usize, 0.0, 0_usize); BINS];
        let (mut log_loss, mut brier, mut impossible) = (0.0, 0.0, 0);
        for (row, &class) in truth.iter().enumerate() {
            let Some(prediction) = posteriors.prediction(row) else {
                impossible += 1;
                log_loss = f64::INFINITY;
                // As far from the truth as nothing said.
                brier += 1.0;
                continue;
            };
            let log_posterior = posteriors.log_posterior(row);
            confusion[class][prediction] += 1;
            log_loss -= log_posterior[class];
            let miss =
                |y: usize| (log_posterior[y].exp() - f64::from(u8::from(y == class))).powi(2);
            brier += (0..classes).map(miss).sum::<f64>();
            let confidence = log_posterior[prediction].exp();
            let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
            let (count, sum, right) = &mut bins[bin];
            (*count, *sum) = (*count + 1, *sum + confidence);
            *right += usize::from(prediction == class);
        }
        let right: u64 = (0..classes).map(|y| confusion[y][y]).sum();
        let accuracy = right as f64 / n;
        let gap = |&(_, sum, right): &(usize, f64, usize)| (right as f64 - sum).abs();
        Self {
            examples: truth.len(),
            impossible,
            accuracy,
            accuracy_stderr: (accuracy * (1.0 - accuracy) / n).sqrt(),
            log_loss_nats: log_loss / n,
            brier: brier / n,
            confidence: bins.iter().map(|(_, sum, _)| sum).sum::<f64>() / n,
            calibration_error: bins.iter().map(gap).sum::<f64>() / n,
            bins: bins
                .into_iter()
                .enumerate()
                .map(|(m, (count, sum, right))| Bin {
                    above: m as f64 / BINS as f64,
                    to: (m + 1) as f64 / BINS as f64,
                    count,
                    confidence: sum / count as f64,
                    accuracy: right as f64 / count as f64,
                })
                .collect(),
            confusion,
        }
    }
}

/// The temperature with the least log-loss on examples of known class, within 1/1000 and 1000.
///
/// Examples whose own class is impossible under any temperature are left out.
///
/// # Shapes
/// `log_likelihoods` is `[n, classes]`, `log_prior` is `[classes]`, `truth` is `[n]`.
///
/// # Panics
/// When the shapes do not belong together.
pub fn fit_temperature(log_likelihoods: &[f64], log_prior: &[f64], truth: &[usize]) -> f64 {
    let classes = log_prior.len();
    assert_eq!(log_likelihoods.len(), truth.len() * classes, "one class per example");
    // The log-loss is convex in 1/T, hence has one valley in log T.
    let loss = |log_t: f64| -> f64 {
        let of = |(row, &class): (&[f64], &usize)| {
            let joint: Vec<f64> =
                row.iter().zip(log_prior).map(|(l, prior)| l / log_t.exp() + prior).collect();
            let loss = logsumexp(&joint) - joint[class];
            if loss.is_finite() { loss } else { 0.0 }
        };
        log_likelihoods.chunks_exact(classes).zip(truth).map(of).sum()
    };
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (-(1000.0_f64.ln()), 1000.0_f64.ln());
    let (mut a, mut b) = (high - golden * (high - low), low + golden * (high - low));
    let (mut at_a, mut at_b) = (loss(a), loss(b));
    while high - low > 1e-6 {
        if at_a <= at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - golden * (high - low);
            at_a = loss(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + golden * (high - low);
            at_b = loss(b);
        }
    }
    f64::midpoint(low, high).exp()
}

#[cfg(test)]
mod tests {
    use prob_core::{standard_normal, uniform};
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    use super::*;

    fn posteriors(probabilities: &[f64], classes: usize) -> Posteriors {
        let log_likelihoods: Vec<f64> = probabilities.iter().map(|p| p.ln()).collect();
        let prior = vec![-(classes as f64).ln(); classes];
        Posteriors::new(&log_likelihoods, &prior, 1.0).unwrap()
    }

    #[test]
    fn the_numbers_are_those_of_a_calculation_by_hand() {
        let p = posteriors(&[0.9, 0.1, 0.6, 0.4, 0.3, 0.7, 0.5, 0.5], 2);
        let predictions: Vec<_> = (0..4).map(|row| p.prediction(row)).collect();
        assert_eq!(predictions, [Some(0), Some(0), Some(1), Some(0)], "the first of two alike");
        let quality = Quality::of(&p, &[0, 1, 1, 1]);
        assert_eq!(quality.confusion, [[1, 0], [2, 1]]);
        assert_eq!(quality.accuracy, 0.5);
        assert_eq!(quality.accuracy_stderr, 0.25);
        let log_loss = -(0.9_f64.ln() + 0.4_f64.ln() + 0.7_f64.ln() + 0.5_f64.ln()) / 4.0;
        assert!((quality.log_loss_nats - log_loss).abs() < 1e-12);
        let brier = 2.0 * (0.01 + 0.36 + 0.09 + 0.25) / 4.0;
        assert!((quality.brier - brier).abs() < 1e-12, "{}", quality.brier);
        // Each is alone in its bin.
        let error = ((1.0 - 0.9) + 0.6 + (1.0 - 0.7) + 0.5) / 4.0;
        assert!((quality.calibration_error - error).abs() < 1e-12);
        assert!((quality.confidence - (0.9 + 0.6 + 0.7 + 0.5) / 4.0).abs() < 1e-12);
        assert_eq!(quality.bins.iter().map(|bin| bin.count).sum::<usize>(), 4);
        let bin = &quality.bins[13]; // 0.9 is in (13/15, 14/15]
        assert_eq!((bin.count, bin.accuracy), (1, 1.0));
        assert!(bin.above < 0.9 && 0.9 <= bin.to && (bin.confidence - 0.9).abs() < 1e-12);
        assert!(quality.bins[0].accuracy.is_nan());
    }

    #[test]
    fn certainty_is_in_the_last_bin_and_an_impossible_example_in_none() {
        let p = posteriors(&[1.0, 0.0, 0.0, 0.0], 2);
        assert_eq!(p.prediction(1), None);
        assert_eq!(p.log_evidence()[1], f64::NEG_INFINITY);
        let quality = Quality::of(&p, &[0, 1]);
        assert_eq!((quality.bins[BINS - 1].count, quality.impossible), (1, 1));
        assert_eq!((quality.accuracy, quality.brier), (0.5, 0.5));
        assert_eq!(quality.log_loss_nats, f64::INFINITY);
        assert_eq!(Quality::of(&posteriors(&[1.0, 0.0], 2), &[1]).log_loss_nats, f64::INFINITY);
    }

    #[test]
    fn priors_decide_where_the_likelihoods_do_not() {
        let prior = [0.2_f64.ln(), 0.8_f64.ln()];
        let p = Posteriors::new(&[-3.0, -3.0], &prior, 1.0).unwrap();
        assert!((p.log_posterior(0)[1] - 0.8_f64.ln()).abs() < 1e-15);
        assert_eq!(p.log_evidence(), [-3.0]);
        for (likelihoods, prior, temperature) in
            [([f64::NAN, 0.0], prior, 1.0), ([0.0; 2], [0.0; 2], 1.0), ([0.0; 2], prior, 0.0)]
        {
            assert!(Posteriors::new(&likelihoods, &prior, temperature).is_err());
        }
    }

    /// Labels drawn from posteriors, and the log-likelihoods whose posteriors they are.
    fn honest(n: usize, sharpness: f64) -> (Vec<f64>, Vec<usize>) {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let log_likelihoods: Vec<f64> =
            (0..3 * n).map(|_| standard_normal(&mut rng) * sharpness).collect();
        let p = Posteriors::new(&log_likelihoods, &[-(3.0_f64.ln()); 3], 1.0).unwrap();
        let draw = |row| {
            let u = uniform(&mut rng);
            let l = p.log_posterior(row);
            usize::from(u >= l[0].exp()) + usize::from(u >= l[0].exp() + l[1].exp())
        };
        let truth = (0..n).map(draw).collect();
        (log_likelihoods, truth)
    }

    #[test]
    fn true_posteriors_are_calibrated_and_sharpened_ones_are_not() {
        let (log_likelihoods, truth) = honest(20_000, 2.0);
        let prior = [-(3.0_f64.ln()); 3];
        let of = |temperature| {
            Quality::of(&Posteriors::new(&log_likelihoods, &prior, temperature).unwrap(), &truth)
        };
        // 15 bins of about 1,300: each off by less than 1/√(4 · 1300) on average.
        let (right, sharp) = (of(1.0), of(0.25));
        assert!(right.calibration_error < 0.015, "{}", right.calibration_error);
        assert!((right.accuracy - right.confidence).abs() < 0.015);
        assert!(sharp.calibration_error > 0.1, "{}", sharp.calibration_error);
        assert_eq!(
            sharp.accuracy, right.accuracy,
            "an even prior and a temperature change no argmax"
        );
        assert!(sharp.log_loss_nats > right.log_loss_nats && sharp.brier > right.brier);
    }

    #[test]
    fn the_temperature_that_was_taken_away_is_found() {
        let (log_likelihoods, truth) = honest(20_000, 2.0);
        let prior = [-(3.0_f64.ln()); 3];
        for temperature in [0.2, 1.0, 8.0] {
            let sharpened: Vec<f64> = log_likelihoods.iter().map(|l| l * temperature).collect();
            let found = fit_temperature(&sharpened, &prior, &truth);
            assert!((found / temperature - 1.0).abs() < 0.05, "{found} for {temperature}");
        }
        // What no temperature can explain is left out.
        let with_impossible = [&[f64::NEG_INFINITY, 0.0, 0.0][..], &log_likelihoods].concat();
        let truth = [&[0][..], &truth].concat();
        assert!((fit_temperature(&with_impossible, &prior, &truth) - 1.0).abs() < 0.05);
    }
}
