//! One p-value of scores of several kinds.
//!
//! A normal event is rarely surprising by any of K scores, an anomaly by one, and which one nothing says beforehand. So
//! the least of the ranks of an event's scores is ranked among those of the n normal ones. With s_{i,k} score k of
//! event i, of the n and the new one, n + 1:
//!
//! ```text
//! r_{i,k} = #{j : s_{j,k} ≤ s_{i,k}},    m_i = min_k r_{i,k},    p = #{i : m_i ≤ m} / (n + 1)
//! ```
//!
//! The new event takes part in the ranks of the others (full conformal prediction), so the m are exchangeable as they
//! stand and P(p ≤ α) ≤ α however the scores depend on each other, where the least of K p-values is too small and K
//! times it (Bonferroni) larger than need be.

use crate::error::Error;

/// Scores of several kinds of held-out normal events, all higher for what is more normal.
///
/// ```
/// use prob_core::anomaly::JointCalibration;
///
/// // Two scores of each of three events.
/// let normal = JointCalibration::new(2, vec![-10.0, 5.0, -11.0, 6.0, -12.0, 7.0])?;
/// assert_eq!(normal.p(&[-10.5, 1.0]), 1.0 / 2.0);
/// assert_eq!(normal.p(&[-10.5, 6.5]), 1.0);
/// # Ok::<(), prob_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct JointCalibration {
    kinds: usize,
    /// The scores of each kind, ascending.
    sorted: Vec<Vec<f64>>,
    /// The least rank of each event among the n, ascending.
    least: Vec<usize>,
    /// Their scores in that order, `[n, kinds]`.
    scores: Vec<f64>,
}

impl JointCalibration {
    /// From the scores of normal events that no score was fitted to.
    ///
    /// # Shapes
    /// `scores` is `[n, kinds]`.
    ///
    /// # Errors
    /// [`Error::Parameter`] if one is NaN.
    ///
    /// # Panics
    /// When there is no kind, or `scores` is not whole events.
    pub fn new(kinds: usize, scores: Vec<f64>) -> Result<Self, Error> {
        assert!(kinds > 0 && scores.len().is_multiple_of(kinds), "whole events of {kinds} scores");
        if let Some(at) = scores.iter().position(|s| s.is_nan()) {
            return Err(Error::Parameter {
                parameter: "scores",
                row: at / kinds,
                value: scores[at],
                expected: "a number",
            });
        }
        let sorted: Vec<Vec<f64>> = (0..kinds)
            .map(|k| {
                let mut own: Vec<f64> = scores.iter().skip(k).step_by(kinds).copied().collect();
                own.sort_unstable_by(f64::total_cmp);
                own
            })
            .collect();
        let mut events: Vec<(usize, &[f64])> =
            scores.chunks_exact(kinds).map(|event| (least_rank(&sorted, event), event)).collect();
        events.sort_by_key(|(least, _)| *least);
        let least = events.iter().map(|(least, _)| *least).collect();
        let scores = events.iter().flat_map(|(_, event)| *event).copied().collect();
        Ok(Self { kinds, sorted, least, scores })
    }

    /// The number of events, n.
    pub fn len(&self) -> usize {
        self.least.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.least.is_empty()
    }

    /// The p-value of an event with these scores: small where few normal events are as surprising by any of them. NaN
    /// if one is NaN.
    ///
    /// # Panics
    /// When there is not one score of each kind.
    pub fn p(&self, event: &[f64]) -> f64 {
        assert_eq!(event.len(), self.kinds, "one score of each kind");
        if event.iter().any(|s| s.is_nan()) {
            return f64::NAN;
        }
        // The new event is one of those that are not above it.
        let own = 1 + least_rank(&self.sorted, event);
        // Its coming raises by one the ranks of the others that are not below it, so of those whose least rank is its own
        // it counts which ones have it of a score that is below.
        let below = self.least.partition_point(|&least| least < own);
        let tied = self.least[below..].partition_point(|&least| least == own);
        let events = self.scores[below * self.kinds..].chunks_exact(self.kinds).take(tied);
        let keeps = |other: &[f64]| {
            let each = other.iter().zip(event).zip(&self.sorted);
            let mut each =
                each.map(|((&other, &new), sorted)| other < new && rank(sorted, other) == own);
            each.any(|keeps| keeps)
        };
        let as_extreme = below + events.filter(|other| keeps(other)).count();
        (1 + as_extreme) as f64 / (self.len() + 1) as f64
    }
}

/// How many are not above.
fn rank(sorted: &[f64], score: f64) -> usize {
    sorted.partition_point(|&s| s <= score)
}

fn least_rank(sorted: &[Vec<f64>], event: &[f64]) -> usize {
    let ranks = sorted.iter().zip(event).map(|(sorted, &score)| rank(sorted, score));
    ranks.min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::law;
    use super::*;

    type Event = [f64; 3];

    fn joint(others: Vec<Event>, new: Event) -> f64 {
        JointCalibration::new(3, others.concat()).unwrap().p(&new)
    }

    /// The definition, without sorting or searching.
    fn by_definition(others: Vec<Event>, new: Event) -> f64 {
        let all = [others, vec![new]].concat();
        let least = |event: &Event| {
            (0..3).map(|k| all.iter().filter(|other| other[k] <= event[k]).count()).min().unwrap()
        };
        let own = least(&new);
        all.iter().filter(|event| least(event) <= own).count() as f64 / all.len() as f64
    }

    /// Scores that depend on each other, with and without ties.
    fn events() -> impl Strategy<Value = Vec<Event>> {
        let few = (-3_i8..3, -2_i8..2, -4_i8..4).prop_map(|(a, b, c)| [a, a + b, c].map(f64::from));
        let any = (-9.0..9.0_f64, -9.0..9.0_f64).prop_map(|(a, b)| [a, b, -a]);
        let outside = (-9.0..9.0_f64, prop::bool::ANY)
            .prop_map(|(a, out)| [if out { f64::NEG_INFINITY } else { a }, a, 0.0]);
        prop_oneof![
            prop::collection::vec(few, 1..40),
            prop::collection::vec(any, 1..40),
            prop::collection::vec(outside, 1..40),
        ]
    }

    proptest! {
        #[test]
        fn at_most_alpha_of_exchangeable_events_are_flagged(events in events()) {
            prop_assert_eq!(law(&events, joint), Ok(()));
        }

        #[test]
        fn the_searched_rank_is_the_defined_one(events in events(), new in events()) {
            for new in new {
                prop_assert_eq!(joint(events.clone(), new), by_definition(events.clone(), new));
            }
        }
    }

    /// p-values that look right and are not must break the law.
    #[test]
    fn wrong_p_values_break_the_law() {
        let events: Vec<Event> =
            (0..30_u8).map(|i| [i * 7 % 31, i * 11 % 31, i * 13 % 31].map(f64::from)).collect();
        assert_eq!(law(&events, joint), Ok(()));
        let least_p = |others: Vec<Event>, new: Event| {
            let p = |k: usize| 1 + others.iter().filter(|other| other[k] <= new[k]).count();
            (0..3).map(p).min().unwrap() as f64 / (others.len() + 1) as f64
        };
        assert!(law(&events, least_p).is_err());
        // Ranks of the others among themselves, as if the new event were none of them.
        let split = |others: Vec<Event>, new: Event| {
            let least = |event: &Event| {
                let rank = |k: usize| others.iter().filter(|other| other[k] <= event[k]).count();
                (0..3).map(rank).min().unwrap()
            };
            let own = least(&new);
            let extreme = others.iter().filter(|other| least(other) < own).count();
            (1 + extreme) as f64 / (others.len() + 1) as f64
        };
        assert!(law(&events, split).is_err());
    }
}
