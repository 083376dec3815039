//! Nothing is possible outside the support.

use burn::tensor::{Device, Int, Tensor};

use super::{Law, distance, require};
use crate::dist::{from_host_int, to_host};
use crate::ordering::Ordering;
use crate::traits::Density;

const LAW: &str = "support";

/// Rows of the support that the law starts from.
const ROWS: usize = 3;

/// The support: an event with a symbol outside `0..states`, wherever it stands, has log-probability
/// `-inf`, and the events beside it in the batch have what they have by themselves, within
/// `tolerance` nats.
///
/// # Errors
/// With the first event that is possible, or not a number, or moved by the one beside it.
pub fn support<M>(
    model: &M,
    variables: usize,
    states: usize,
    device: &Device,
    tolerance: f64,
) -> Law
where
    M: Density<Event = Tensor<2, Int>>,
{
    let outside = [-1, states as i64, 255, 256, 1 << 30];
    over(variables, states, &outside, tolerance, |events| {
        let shape = [events.len() / variables, variables];
        to_host(&model.log_prob(from_host_int(events.to_vec(), shape, device)))
    })
}

/// [`support`] for log-probabilities on the host: `[rows, variables]` to `[rows]`.
///
/// # Errors
/// As for [`support`].
///
/// # Panics
/// When there are 256 states, which leave no byte outside.
pub fn support_rows(
    variables: usize,
    states: usize,
    tolerance: f64,
    mut log_prob_rows: impl FnMut(&[u8]) -> Vec<f64>,
) -> Law {
    over(variables, states, &bytes_outside(states), tolerance, |events| {
        log_prob_rows(&bytes(events))
    })
}

/// The support, variable by variable: the log-probability of a symbol outside `0..states` is
/// `-inf`. Those of the variables before it in the ordering stay what they are, within `tolerance`
/// nats; one behind it either does not look at it and stays too, or is `-inf`, since there is no
/// such condition.
///
/// # Shapes
/// `log_probs` maps `[rows, variables]` to the same shape, both in event order.
///
/// # Errors
/// With the first variable that is something else.
///
/// # Panics
/// When there are 256 states, which leave no byte outside.
pub fn support_per_variable(
    ordering: &Ordering,
    states: usize,
    tolerance: f64,
    mut log_probs: impl FnMut(&[u8]) -> Vec<f64>,
) -> Law {
    let variables = ordering.len();
    let inside = events_inside(variables, states);
    let before = log_probs(&bytes(&inside));
    for symbol in bytes_outside(states) {
        for outside in 0..variables {
            let after = log_probs(&bytes(&with(&inside, variables, outside, symbol)));
            for (at, (&before, &after)) in before.iter().zip(&after).enumerate() {
                let i = at % variables;
                let (t, of) = (ordering.position_of(i), ordering.position_of(outside));
                let moved = distance(before, after);
                let gap = match distance(after, f64::NEG_INFINITY) {
                    impossible if t == of => impossible,
                    impossible if t > of => moved.min(impossible),
                    _ => moved,
                };
                // The smaller of a number and NaN is the number; NaN is no log-probability.
                let gap = if after.is_nan() { after } else { gap };
                require(LAW, gap, tolerance, || {
                    format!(
                        "variable {i} has log_prob {after} where variable {outside} is {symbol}, \
                         and {before} where that is possible"
                    )
                })?;
            }
        }
    }
    Ok(())
}

/// The law over the symbols `outside`.
fn over(
    variables: usize,
    states: usize,
    outside: &[i64],
    tolerance: f64,
    mut log_probs: impl FnMut(&[i64]) -> Vec<f64>,
) -> Law {
    let inside = events_inside(variables, states);
    let alone = log_probs(&inside);
    let possible = |symbol: &i64| (0..states as i64).contains(symbol);
    for &symbol in outside.iter().filter(|symbol| !possible(symbol)) {
        let everywhere = vec![symbol; inside.len()];
        let at_one = (0..variables).map(|i| (Some(i), with(&inside, variables, i, symbol)));
        for (variable, impossible) in at_one.chain([(None, everywhere)]) {
            let place = || match variable {
                Some(i) => format!("variable {i} is {symbol}"),
                None => format!("every variable is {symbol}"),
            };
            // Each impossible event between two of the support.
            let rows = inside.chunks_exact(variables).zip(impossible.chunks_exact(variables));
            let batch: Vec<i64> = rows.flat_map(|(a, b)| [a, b].concat()).collect();
            let found = log_probs(&batch);
            require(LAW, found.len().abs_diff(2 * ROWS) as f64, 0.0, || {
                format!("{} log-probabilities of {} events", found.len(), 2 * ROWS)
            })?;
            for (row, (beside, &alone)) in found.chunks_exact(2).zip(&alone).enumerate() {
                require(LAW, distance(beside[1], f64::NEG_INFINITY), 0.0, || {
                    format!("row {row} has log_prob {} where {}", beside[1], place())
                })?;
                require(LAW, distance(beside[0], alone), tolerance, || {
                    let found = beside[0];
                    format!(
                        "row {row} has log_prob {found}, and {alone} without one where {}",
                        place()
                    )
                })?;
            }
        }
    }
    Ok(())
}

/// The smallest events, the largest, and some between.
fn events_inside(variables: usize, states: usize) -> Vec<i64> {
    let (variables, states) = (variables as i64, states as i64);
    let smallest = (0..variables).map(|_| 0);
    let largest = (0..variables).map(|_| states - 1);
    smallest.chain(largest).chain((0..variables).map(|i| (5 * i + 1) % states)).collect()
}

/// The events with `symbol` in place of one variable.
fn with(events: &[i64], variables: usize, variable: usize, symbol: i64) -> Vec<i64> {
    let mut events = events.to_vec();
    events.iter_mut().skip(variable).step_by(variables).for_each(|value| *value = symbol);
    events
}

/// The least and the largest byte that is no symbol.
fn bytes_outside(states: usize) -> [i64; 2] {
    assert!(states < 256, "{states} states, expected at most 255 to have a byte outside");
    [states as i64, 255]
}

fn bytes(events: &[i64]) -> Vec<u8> {
    let byte = |&value: &i64| u8::try_from(value).expect("these symbols are bytes");
    events.iter().map(byte).collect()
}
