//! What must be true of every model, as functions that tests call (feature `laws`).
//!
//! | Law | Says | Function |
//! |---|---|---|
//! | normalised | `Σ_x exp(log_prob(x)) = 1`, by enumeration | [`normalised`], [`normalised_rows`], [`sums_to_one`], [`integrates_to_one`] |
//! | support | nothing is possible outside it, and nobody conditions on it | [`support`], [`support_rows`], [`support_per_variable`] |
//! | chain rule | the stepped conditionals sum to `log_prob` | [`chain_rule`] |
//! | causal | a conditional does not move when the present or future does | [`causal_jacobian`], [`causal_autodiff`], [`causal_perturbation`] |
//! | gradient | the gradient is the slope | [`gradient`] |
//! | sampler | frequencies match `log_prob` | [`sampler`], [`sampler_cells`] |
//! | round trip | what was loaded is what was saved | [`round_trip`] |
//! | same draws | a fast sampler is the plain walk | [`same_draws`] |
//! | same walks | selected walks go on as they would have | [`same_walks`] |
//!
//! No law is enough alone. A mask that leaks its diagonal fails normalisation; a sigmoid applied twice
//! keeps mass 1 and stays causal, and only the chain rule and the sampler notice. So a test of a law
//! also shows a model that breaks it and expects the [`LawViolation`].
//!
//! ```
//! use prob_core::joint::{Independent, Symbols, Tabular};
//! use prob_core::laws;
//! let data = Symbols::new(&[0, 1, 2, 1, 1, 0], 2, 3).unwrap();
//! let model = Independent::fit(data, 1.0).unwrap();
//! laws::normalised_rows(2, 3, 1e-12, |rows| model.log_prob_rows(rows)).unwrap();
//! // The negative control: the same numbers, a tenth of a nat too high.
//! let high = |rows: &[u8]| model.log_prob_rows(rows).iter().map(|l| l + 0.1).collect();
//! let violation = laws::normalised_rows(2, 3, 1e-12, high).unwrap_err();
//! assert!((violation.gap - 0.10517).abs() < 1e-5);
//! ```

use burn::tensor::{Device, Int, Tensor};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use crate::dist::{from_host_int, standard_normal, to_host};
use crate::traits::Density;

mod causal;
mod chi_square;
mod sampler;
mod support;
mod walk;

pub use causal::{causal_autodiff, causal_jacobian, causal_perturbation};
pub use chi_square::{chi_square_critical_value, chi_square_p_value};
pub use sampler::{sampler, sampler_cells};
pub use support::{support, support_per_variable, support_rows};
pub use walk::{chain_rule, plain_walk, same_draws, same_walks};

/// Events that one batch of an enumeration holds.
const BATCH: usize = 4096;

/// More events than this are not enumerated.
const MOST_EVENTS: u64 = 1 << 24;

/// A law that does not hold: which one, where, and by how much.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{law}: {detail}; off by {gap:e}, allowed {allowed:e}")]
pub struct LawViolation {
    /// Name of the law.
    pub law: &'static str,
    /// What was found, and where.
    pub detail: String,
    /// Size of the violation, in the law's own measure.
    pub gap: f64,
    /// What would still have been accepted.
    pub allowed: f64,
}

/// The outcome of checking a law.
pub type Law = Result<(), LawViolation>;

/// Holds when `gap <= allowed`; a gap of NaN never does.
fn require(law: &'static str, gap: f64, allowed: f64, detail: impl FnOnce() -> String) -> Law {
    if gap <= allowed { Ok(()) } else { Err(LawViolation { law, detail: detail(), gap, allowed }) }
}

/// Distance of two log-probabilities, 0 when both are `-inf`.
fn distance(a: f64, b: f64) -> f64 {
    if a == b { 0.0 } else { (a - b).abs() }
}

/// All `states^variables` events in lexicographic order, the last variable fastest.
///
/// # Shapes
/// Returns `[states^variables, variables]` in row-major order.
///
/// # Panics
/// When there are more than 2²⁴ events, or `states` is not in `1..=256`.
///
/// ```
/// assert_eq!(prob_core::laws::enumerate_support(2, 2), [0, 0, 0, 1, 1, 0, 1, 1]);
/// ```
pub fn enumerate_support(variables: usize, states: usize) -> Vec<u8> {
    assert!((1..=256).contains(&states), "{states} states, expected 1 to 256");
    let events = (0..variables)
        .try_fold(1u64, |n, _| n.checked_mul(states as u64).filter(|&n| n <= MOST_EVENTS))
        .unwrap_or_else(|| {
            panic!("{states}^{variables} events, expected at most {MOST_EVENTS} to enumerate")
        });
    let mut values = Vec::with_capacity(events as usize * variables);
    for event in 0..events {
        let mut rest = event;
        let start = values.len();
        values.resize(start + variables, 0);
        for digit in values[start..].iter_mut().rev() {
            *digit = (rest % states as u64) as u8;
            rest /= states as u64;
        }
    }
    values
}

fn event_tensor(rows: &[u8], variables: usize, device: &Device) -> Tensor<2, Int> {
    let values = rows.iter().map(|&v| i64::from(v)).collect();
    from_host_int(values, [rows.len() / variables, variables], device)
}

/// Log-probability of every event in f64, a batch at a time.
fn enumerate_log_probs(
    variables: usize,
    states: usize,
    mut log_prob_rows: impl FnMut(&[u8]) -> Vec<f64>,
) -> Vec<f64> {
    assert!(variables > 0, "0 variables, expected at least 1");
    let events = enumerate_support(variables, states);
    events
        .chunks(BATCH * variables)
        .flat_map(|rows| {
            let log_probs = log_prob_rows(rows);
            assert!(
                log_probs.len() == rows.len() / variables,
                "{} log-probabilities for {} events",
                log_probs.len(),
                rows.len() / variables
            );
            log_probs
        })
        .collect()
}

/// Total mass 1: the f64 sum over all events is within `tolerance` of it.
///
/// With f32 log-probabilities a tolerance of 1e-5 is what rounding needs; in f64 take 1e-10.
///
/// # Errors
/// With the mass that is missing or too much.
pub fn normalised<M>(
    model: &M,
    variables: usize,
    states: usize,
    device: &Device,
    tolerance: f64,
) -> Law
where
    M: Density<Event = Tensor<2, Int>>,
{
    normalised_rows(variables, states, tolerance, |rows| {
        to_host(&model.log_prob(event_tensor(rows, variables, device)))
    })
}

/// [`normalised`] for log-probabilities on the host: `[rows, variables]` to `[rows]`.
///
/// # Errors
/// With the mass that is missing or too much.
pub fn normalised_rows(
    variables: usize,
    states: usize,
    tolerance: f64,
    log_prob_rows: impl FnMut(&[u8]) -> Vec<f64>,
) -> Law {
    let log_probs = enumerate_log_probs(variables, states, log_prob_rows);
    let mass: f64 = log_probs.iter().map(|l| l.exp()).sum();
    require("normalised", (mass - 1.0).abs(), tolerance, || {
        format!("{} events have total mass {mass}", log_probs.len())
    })
}

/// Total mass 1 of log-probabilities that the caller enumerated, for example over as much of a grid as
/// holds all but a negligible part of the mass.
///
/// # Errors
/// With the mass that is missing or too much.
///
/// ```
/// use prob_core::laws::sums_to_one;
/// sums_to_one([0.25f64.ln(), f64::NEG_INFINITY, 0.75f64.ln()], 1e-15).unwrap();
/// assert!(sums_to_one([0.25f64.ln(), 0.7f64.ln()], 1e-15).is_err());
/// ```
pub fn sums_to_one(log_probs: impl IntoIterator<Item = f64>, tolerance: f64) -> Law {
    let (mut events, mut mass) = (0, 0.0);
    for log_prob in log_probs {
        events += 1;
        mass += log_prob.exp();
    }
    require("normalised", (mass - 1.0f64).abs(), tolerance, || {
        format!("{events} events have total mass {mass}")
    })
}

/// Total mass 1 of a density on the line, by Simpson's rule with `intervals` intervals (made even)
/// from `lower` to `upper`, which must hold all but a negligible part of the mass.
///
/// # Errors
/// With the mass that is missing or too much.
pub fn integrates_to_one(
    lower: f64,
    upper: f64,
    intervals: usize,
    tolerance: f64,
    log_density: impl FnMut(&[f64]) -> Vec<f64>,
) -> Law {
    let mass = integral(lower, upper, intervals, log_density);
    require("normalised", (mass - 1.0).abs(), tolerance, || {
        format!("the density integrates to {mass} from {lower} to {upper}")
    })
}

/// `∫ exp(log_density)` by Simpson's rule.
pub fn integral(
    lower: f64,
    upper: f64,
    intervals: usize,
    mut log_density: impl FnMut(&[f64]) -> Vec<f64>,
) -> f64 {
    let intervals = intervals.next_multiple_of(2).max(2);
    let step = (upper - lower) / intervals as f64;
    let points: Vec<f64> = (0..=intervals).map(|k| lower + step * k as f64).collect();
    let weighted = |(k, l): (usize, f64)| {
        let weight = match k {
            0 => 1.0,
            k if k == intervals => 1.0,
            k if k % 2 == 1 => 4.0,
            _ => 2.0,
        };
        weight * l.exp()
    };
    log_density(&points).into_iter().enumerate().map(weighted).sum::<f64>() * step / 3.0
}

/// The gradient: along each of `directions` random directions of length 1, the slope of `f` by
/// central differences equals the caller's gradient, within `tolerance` relative to the gradient's
/// length.
///
/// ```text
/// |(f(a + ε d) − f(a − ε d)) / 2ε − g · d| ≤ tolerance · max(|g|, 1)
/// ```
///
/// In f64, ε = 1e-5 leaves an error near 1e-10 for a smooth function of moderate curvature.
///
/// # Errors
/// With the first direction that disagrees.
pub fn gradient(
    mut f: impl FnMut(&[f64]) -> f64,
    at: &[f64],
    gradient: &[f64],
    directions: usize,
    epsilon: f64,
    tolerance: f64,
    seed: u64,
) -> Law {
    assert!(at.len() == gradient.len(), "{} derivatives of {} numbers", gradient.len(), at.len());
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
    for n in 0..directions {
        let mut direction: Vec<f64> = at.iter().map(|_| standard_normal(&mut rng)).collect();
        let length = norm(&direction);
        direction.iter_mut().for_each(|d| *d /= length);
        let mut moved = |by: f64| {
            let point: Vec<f64> = at.iter().zip(&direction).map(|(a, d)| a + by * d).collect();
            f(&point)
        };
        let slope = (moved(epsilon) - moved(-epsilon)) / (2.0 * epsilon);
        let claimed: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        require("gradient", (slope - claimed).abs(), tolerance * norm(gradient).max(1.0), || {
            format!("direction {n}: slope {slope}, gradient {claimed}")
        })?;
    }
    Ok(())
}

/// The round trip: a model that was saved and loaded gives the same log-probabilities, bit for bit.
///
/// # Errors
/// With the first event that differs.
pub fn round_trip<M: Density>(saved: &M, loaded: &M, x: M::Event) -> Law {
    let before = to_host(&saved.log_prob(x.clone()));
    let after = to_host(&loaded.log_prob(x));
    require("round trip", before.len().abs_diff(after.len()) as f64, 0.0, || {
        format!("{} log-probabilities before, {} after", before.len(), after.len())
    })?;
    for (row, (a, b)) in before.iter().zip(&after).enumerate() {
        if a.to_bits() != b.to_bits() {
            return Err(LawViolation {
                law: "round trip",
                detail: format!("row {row}: log_prob {a} before, {b} after"),
                gap: distance(*a, *b),
                allowed: 0.0,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_with_nan_is_a_violation() {
        assert!(normalised_rows(1, 2, 1e9, |rows| vec![f64::NAN; rows.len()]).is_err());
        let slope_of_nan = gradient(|_| f64::NAN, &[0.0], &[0.0], 1, 1e-5, 1e9, 0);
        assert!(slope_of_nan.is_err());
    }

    #[test]
    #[should_panic(expected = "2^784 events")]
    fn too_many_events_are_not_enumerated() {
        enumerate_support(784, 2);
    }

    #[test]
    fn every_event_is_enumerated_once() {
        let events = enumerate_support(3, 4);
        let distinct: std::collections::BTreeSet<&[u8]> = events.chunks(3).collect();
        assert_eq!(distinct.len(), 64);
        assert!(events.iter().all(|&s| s < 4));
    }
}
