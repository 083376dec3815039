//! Anomalies by their likelihood: conformal p-values, and how well scores tell two sets apart.
//!
//! A held-out set of normal events gives log-likelihoods s_1 … s_n. If a new event is normal too, its
//! s is one of n + 1 exchangeable numbers, and the rank of a symmetric nonconformity a among them
//! is a p-value, whatever the model and the data:
//!
//! ```text
//! p = (1 + #{i : a_i ≥ a}) / (n + 1),    P(p ≤ α) ≤ α
//!
//! low likelihood:  a = −s
//! typicality:      a = |−s − Ĥ|,   Ĥ = the mean of −s over all n + 1
//! ```
//!
//! Low likelihood alone is not enough: a simple event can be likelier than the events a model was
//! trained on, and then only the two-sided test can see it. Neither is sure to.
//!
//! Ĥ is of the n and the new event together (full conformal prediction), so that the n + 1
//! nonconformities are exchangeable as they stand; with Ĥ from the n alone the bound would hold
//! only nearly. An event outside the support, s = −∞, is as nonconforming as can be and left out
//! of Ĥ.
//!
//! Scores of several kinds may be looked at together ([`JointCalibration`]): the least of their ranks is ranked again.
//!
//! Two sets are told apart by a score that is higher for anomalies:
//!
//! ```text
//! AUROC = P(a > b) + ½ P(a = b),         a of an anomaly, b of a normal event
//! AP    = Σ_k (R_k − R_{k−1}) P_k,       recall R_k and precision P_k at the k-th distinct score
//! ```
//!
//! # References
//! V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a Random World", 2005, section 2.2.
//! E. Nalisnick et al., "Do Deep Generative Models Know What They Don't Know?", 2019,
//! arXiv:1810.09136, and "Detecting Out-of-Distribution Inputs to Deep Generative Models Using
//! Typicality", 2019, arXiv:1906.02994, its test with M = 1. J. Hanley and B. McNeil, "The meaning and
//! use of the area under a receiver operating characteristic (ROC) curve", Radiology 143, 1982.
//!
//! # Deviations from the papers
//! The typicality test of arXiv:1906.02994 takes its threshold from a bootstrap over batches; here it
//! is a conformal rank, which needs no assumption on the scores.

mod joint;

use crate::error::Error;

pub use joint::JointCalibration;

/// Distances of typicality that differ by less than this, relative to what they were computed from,
/// are ties: rounding must not make an event look stranger than it is.
const TIE: f64 = 1e-9;

/// Log-likelihoods of held-out normal events, to rank new ones among.
///
/// ```
/// use prob_core::anomaly::Calibration;
///
/// let normal = Calibration::new(vec![-10.0, -11.0, -12.0, -13.0])?;
/// assert_eq!(normal.low_likelihood(-20.0), 1.0 / 5.0);
/// // Likelier than all of them: unsuspicious to the one test, not to the other.
/// assert_eq!(normal.low_likelihood(-1.0), 1.0);
/// assert_eq!(normal.typicality(-1.0), 1.0 / 5.0);
/// # Ok::<(), prob_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Ascending; first those outside the support.
    sorted: Vec<f64>,
    /// How many are `-inf`.
    outside: usize,
    /// Sum of the others.
    sum: f64,
}

impl Calibration {
    /// From the log-likelihoods of normal events that the model was not fitted to, in nats. Of none at
    /// all every p-value is 1.
    ///
    /// # Errors
    /// [`Error::Parameter`] if one is NaN or `inf`.
    pub fn new(mut log_probs: Vec<f64>) -> Result<Self, Error> {
        if let Some(row) = log_probs.iter().position(|s| s.is_nan() || *s == f64::INFINITY) {
            return Err(Error::Parameter {
                parameter: "log_probs",
                row,
                value: log_probs[row],
                expected: "a number below inf",
            });
        }
        log_probs.sort_unstable_by(f64::total_cmp);
        let outside = log_probs.partition_point(|&s| s == f64::NEG_INFINITY);
        let sum = log_probs[outside..].iter().sum();
        Ok(Self { sorted: log_probs, outside, sum })
    }

    /// The number of events, n.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The smallest p-value there can be, 1 / (n + 1): below it no test rejects anything.
    pub fn smallest_p(&self) -> f64 {
        self.p(0)
    }

    /// The mean of −s over the events inside the support, an estimate of the model's entropy in nats;
    /// NaN if there is none.
    pub fn entropy_nats(&self) -> f64 {
        -self.sum / (self.len() - self.outside) as f64
    }

    /// The one-sided p-value of an event with this log-likelihood: small where few normal events are
    /// as unlikely. NaN of NaN.
    pub fn low_likelihood(&self, log_prob: f64) -> f64 {
        if log_prob.is_nan() {
            return f64::NAN;
        }
        self.p(self.sorted.partition_point(|&s| s <= log_prob))
    }

    /// The two-sided p-value of an event with this log-likelihood: small where few normal events are
    /// as far from the mean, on either side. NaN of NaN.
    pub fn typicality(&self, log_prob: f64) -> f64 {
        if log_prob.is_nan() {
            return f64::NAN;
        }
        if log_prob == f64::NEG_INFINITY {
            return self.p(self.outside);
        }
        let inside = &self.sorted[self.outside..];
        let center = (self.sum + log_prob) / (inside.len() + 1) as f64;
        let distance = (log_prob - center).abs();
        let distance = distance - TIE * (distance + center.abs());
        let below = inside.partition_point(|&s| center - s >= distance);
        let above = inside.len() - inside.partition_point(|&s| s - center < distance);
        // Where the distance is 0 an event may be on both sides.
        self.p(self.outside + (below + above).min(inside.len()))
    }

    fn p(&self, as_extreme: usize) -> f64 {
        (1 + as_extreme) as f64 / (self.len() + 1) as f64
    }
}

/// How far the cost of an event, −log p(x), is from what a typical one costs, in nats: a score that is
/// high for anomalies of both kinds.
///
/// ```
/// assert_eq!(prob_core::anomaly::atypicality(-90.0, 100.0), 10.0);
/// ```
pub fn atypicality(log_prob: f64, entropy_nats: f64) -> f64 {
    (-log_prob - entropy_nats).abs()
}

/// The area under the ROC curve: the chance that an anomaly scores higher than a normal event, a tie
/// counting half. `None` if a set is empty or a score is NaN.
///
/// ```
/// use prob_core::anomaly::auroc;
/// assert_eq!(auroc(&[0.0, 1.0], &[1.0, 2.0]), Some(0.875));
/// ```
pub fn auroc(normal: &[f64], anomalous: &[f64]) -> Option<f64> {
    // Twice the number of pairs in the right order: whole, so exact whatever the sizes.
    let (mut twice_right, mut normal_below) = (0_u128, 0_u128);
    for (normal_here, anomalous_here) in groups(normal, anomalous)? {
        twice_right += anomalous_here as u128 * (2 * normal_below + normal_here as u128);
        normal_below += normal_here as u128;
    }
    let pairs = normal.len() as u128 * anomalous.len() as u128;
    Some(twice_right as f64 / (2 * pairs) as f64)
}

/// The average precision with which anomalies are found from the highest score down, all events of
/// one score at once. By chance it is the fraction of anomalies. `None` if a set is empty or a score
/// is NaN.
///
/// ```
/// use prob_core::anomaly::average_precision;
/// // Half the anomalies at precision 1, the other half at precision 2 of 3.
/// assert_eq!(average_precision(&[0.0, 1.0], &[1.0, 2.0]), Some((1.0 + 2.0 / 3.0) / 2.0));
/// ```
pub fn average_precision(normal: &[f64], anomalous: &[f64]) -> Option<f64> {
    let (mut found, mut taken, mut sum) = (0, 0, 0.0);
    for (normal_here, anomalous_here) in groups(normal, anomalous)?.into_iter().rev() {
        found += anomalous_here;
        taken += anomalous_here + normal_here;
        sum += anomalous_here as f64 * (found as f64 / taken as f64);
    }
    Some(sum / anomalous.len() as f64)
}

/// How many normal and anomalous events have each distinct score, in ascending order of the scores.
fn groups(normal: &[f64], anomalous: &[f64]) -> Option<Vec<(usize, usize)>> {
    if normal.is_empty() || anomalous.is_empty() {
        return None;
    }
    let of = |scores: &[f64], is_anomalous: bool| -> Vec<(f64, bool)> {
        scores.iter().map(|&score| (score, is_anomalous)).collect()
    };
    let mut all = [of(normal, false), of(anomalous, true)].concat();
    if all.iter().any(|(score, _)| score.is_nan()) {
        return None;
    }
    all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    // By value, so that both zeros are one score.
    let groups = all.chunk_by(|a, b| a.0 == b.0).map(|group| {
        let anomalous = group.iter().filter(|(_, is_anomalous)| *is_anomalous).count();
        (group.len() - anomalous, anomalous)
    });
    Some(groups.collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The law of a conformal p-value, exactly and without dice: of n + 1 exchangeable events each is
    /// as likely to be the new one, so for every α at most α (n + 1) of them may have p ≤ α when
    /// ranked among the others.
    pub(super) fn law<T: Clone + std::fmt::Debug>(
        scores: &[T],
        p_value: impl Fn(Vec<T>, T) -> f64,
    ) -> Result<(), String> {
        let total = scores.len();
        let mut p: Vec<f64> = (0..total)
            .map(|new| {
                let mut others = scores.to_vec();
                let new = others.swap_remove(new);
                p_value(others, new)
            })
            .collect();
        p.sort_unstable_by(f64::total_cmp);
        // It suffices to look at each p-value as α; a hair for the division.
        for (rank, &alpha) in p.iter().enumerate() {
            let flagged = p[rank..].iter().take_while(|&&p| p == alpha).count() + rank;
            if flagged as f64 > alpha * total as f64 + 1e-6 {
                return Err(format!("{flagged} of {total} have p ≤ {alpha}: {scores:?}"));
            }
        }
        Ok(())
    }

    fn one_sided(others: Vec<f64>, new: f64) -> f64 {
        Calibration::new(others).unwrap().low_likelihood(new)
    }

    fn two_sided(others: Vec<f64>, new: f64) -> f64 {
        Calibration::new(others).unwrap().typicality(new)
    }

    /// The definition, without sorting or searching.
    fn two_sided_by_definition(others: &[f64], new: f64) -> f64 {
        let all = [others, &[new]].concat();
        let inside: Vec<f64> = all.iter().copied().filter(|s| s.is_finite()).collect();
        let entropy = -inside.iter().sum::<f64>() / inside.len() as f64;
        let nonconformity =
            |s: f64| if s.is_finite() { atypicality(s, entropy) } else { f64::INFINITY };
        let a = nonconformity(new);
        let extreme = others.iter().filter(|&&s| nonconformity(s) >= a - 1e-7).count();
        (1 + extreme) as f64 / (others.len() + 1) as f64
    }

    /// Scores with many ties, none, or some outside the support.
    fn scores() -> impl Strategy<Value = Vec<f64>> {
        let few = (-4_i8..0).prop_map(f64::from);
        let any = -900.0..10.0_f64;
        let outside = prop_oneof![4 => -900.0..0.0_f64, 1 => Just(f64::NEG_INFINITY)];
        prop_oneof![
            prop::collection::vec(few, 1..40),
            prop::collection::vec(any, 1..40),
            prop::collection::vec(outside, 1..40),
        ]
    }

    proptest! {
        #[test]
        fn at_most_alpha_of_exchangeable_events_are_flagged(scores in scores()) {
            prop_assert_eq!(law(&scores, one_sided), Ok(()));
            prop_assert_eq!(law(&scores, two_sided), Ok(()));
        }

        #[test]
        fn the_searched_rank_is_the_defined_one(scores in scores(), new in -900.0..10.0_f64) {
            let expected = two_sided_by_definition(&scores, new);
            prop_assert_eq!(two_sided(scores.clone(), new), expected);
            let as_low = scores.iter().filter(|&&s| s <= new).count();
            let expected = (1 + as_low) as f64 / (scores.len() + 1) as f64;
            prop_assert_eq!(one_sided(scores, new), expected);
        }

        #[test]
        fn auroc_counts_pairs(normal in scores(), anomalous in scores()) {
            let pairs = normal.iter().flat_map(|b| anomalous.iter().map(move |a| (a, b)));
            let right: f64 = pairs
                .map(|(a, b)| if a > b { 1.0 } else if a == b { 0.5 } else { 0.0 })
                .sum();
            let expected = right / (normal.len() * anomalous.len()) as f64;
            let found = auroc(&normal, &anomalous).unwrap();
            prop_assert!((found - expected).abs() < 1e-12, "{found} {expected}");
            // Exchanged roles exchange the pairs.
            let other = auroc(&anomalous, &normal).unwrap();
            prop_assert!((found + other - 1.0).abs() < 1e-12);
        }

        #[test]
        fn average_precision_is_that_of_every_threshold(normal in scores(), anomalous in scores()) {
            let at_least = |scores: &[f64], t: f64| scores.iter().filter(|&&s| s >= t).count() as f64;
            let mut thresholds = [&normal[..], &anomalous].concat();
            thresholds.sort_unstable_by(|a, b| b.total_cmp(a));
            thresholds.dedup();
            let (mut recall, mut expected) = (0.0, 0.0);
            for t in thresholds {
                let found = at_least(&anomalous, t);
                let precision = found / (found + at_least(&normal, t));
                let new_recall = found / anomalous.len() as f64;
                expected += (new_recall - recall) * precision;
                recall = new_recall;
            }
            let found = average_precision(&normal, &anomalous).unwrap();
            prop_assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    /// p-values that look right and are not must break the law.
    #[test]
    fn wrong_p_values_break_the_law() {
        let scores: Vec<f64> = (0..30).map(|i| f64::from(i * 7 % 31)).collect();
        let without_the_new_one = |others: Vec<f64>, new: f64| {
            others.iter().filter(|&&s| s <= new).count() as f64 / others.len() as f64
        };
        assert!(law(&scores, without_the_new_one).is_err());
        let ties_ignored = |others: Vec<f64>, new: f64| {
            (1 + others.iter().filter(|&&s| s < new).count()) as f64 / (others.len() + 1) as f64
        };
        assert!(law(&scores, ties_ignored).is_ok(), "there are no ties here");
        assert!(law(&[1.0, 1.0, 2.0], ties_ignored).is_err());
        // The mean of the others alone: the new event is farther from it than they are.
        let mean_of_the_others = |others: Vec<f64>, new: f64| {
            let entropy = -others.iter().sum::<f64>() / others.len() as f64;
            let distance = atypicality(new, entropy);
            let extreme = others.iter().filter(|&&s| atypicality(s, entropy) >= distance).count();
            (1 + extreme) as f64 / (others.len() + 1) as f64
        };
        assert!(law(&[0.0, 1.0], mean_of_the_others).is_err());
        assert!(law(&[0.0, 1.0], two_sided).is_ok());
        // Rejecting both tails at α each.
        let both_tails = |others: Vec<f64>, new: f64| {
            let high: Vec<f64> = others.iter().map(|s| -s).collect();
            one_sided(others, new).min(one_sided(high, -new))
        };
        assert!(law(&scores, both_tails).is_err());
    }

    #[test]
    fn measures_that_ignore_ties_are_told_from_these() {
        // All scores alike: nothing is told apart, whatever the order in memory.
        assert_eq!(auroc(&[1.0; 3], &[1.0; 5]), Some(0.5));
        assert_eq!(average_precision(&[1.0; 3], &[1.0; 5]), Some(5.0 / 8.0));
        assert_eq!(auroc(&[-0.0], &[0.0]), Some(0.5));
        assert_eq!(auroc(&[f64::INFINITY, 1.0], &[f64::INFINITY]), Some(0.75));
    }

    #[test]
    fn the_smallest_p_value_is_that_of_an_event_beyond_all_others() {
        let normal = Calibration::new(vec![-1.0; 99]).unwrap();
        assert_eq!(normal.smallest_p(), 0.01);
        for p in [normal.low_likelihood(-2.0), normal.typicality(-2.0), normal.typicality(0.0)] {
            assert_eq!(p, 0.01);
        }
        assert_eq!((normal.low_likelihood(0.0), normal.typicality(-1.0)), (1.0, 1.0));
        assert_eq!((normal.len(), normal.entropy_nats()), (99, 1.0));
    }

    #[test]
    fn events_outside_the_support_are_the_strangest() {
        let normal = Calibration::new(vec![f64::NEG_INFINITY, -1.0, -2.0, -3.0]).unwrap();
        assert_eq!(normal.entropy_nats(), 2.0);
        let outside = f64::NEG_INFINITY;
        assert_eq!((normal.low_likelihood(outside), normal.typicality(outside)), (0.4, 0.4));
        assert_eq!(normal.typicality(-1e6), 0.4);
        assert!(normal.low_likelihood(f64::NAN).is_nan() && normal.typicality(f64::NAN).is_nan());
    }

    #[test]
    fn edges() {
        let nothing = Calibration::new(vec![]).unwrap();
        assert!(nothing.is_empty() && nothing.entropy_nats().is_nan());
        assert_eq!((nothing.low_likelihood(-9.0), nothing.typicality(-9.0)), (1.0, 1.0));
        let refused = Calibration::new(vec![0.0, f64::NAN]).unwrap_err().to_string();
        assert_eq!(refused, "log_probs NaN in row 1, expected a number below inf");
        assert!(Calibration::new(vec![f64::INFINITY]).is_err());
        assert_eq!((auroc(&[], &[1.0]), average_precision(&[1.0], &[])), (None, None));
        assert_eq!(auroc(&[f64::NAN], &[1.0]), None);
    }

    /// Exchangeable scores by the thousand: the fraction flagged is the binomial one. α = 0.01,
    /// 100,000 new events, significance 1e-6 two-sided: |z| < 4.9, with the spread of the calibration
    /// (a Beta law) in the variance.
    #[test]
    fn about_alpha_of_many_normal_events_are_flagged() {
        use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut draw = || (rng.next_u64() as f64 / 2.0_f64.powi(64)).ln() * 40.0;
        let (n, new, alpha) = (20_000, 100_000, 0.01);
        let normal = Calibration::new((0..n).map(|_| draw()).collect()).unwrap();
        let scores: Vec<f64> = (0..new).map(|_| draw()).collect();
        let variance = alpha * (1.0 - alpha) * (1.0 / f64::from(n) + 1.0 / f64::from(new));
        for test in [Calibration::low_likelihood, Calibration::typicality] {
            let flagged = scores.iter().filter(|&&s| test(&normal, s) <= alpha).count();
            let z = (flagged as f64 / f64::from(new) - alpha) / variance.sqrt();
            assert!(z.abs() < 4.9, "{flagged} of {new}, z = {z}");
        }
    }
}
