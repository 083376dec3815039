//! No conditional sees the present or the future.

use burn::tensor::Tensor;

use super::{Law, LawViolation, distance, require};
use crate::dist::to_host;
use crate::ordering::Ordering;

/// Causal, by derivatives: `jacobian_row(i)[j] = ∂ (conditional of variable i) / ∂ x_j` is exactly 0
/// for every j that the ordering does not visit before i, and not 0 for all the others together.
///
/// A model whose conditionals look at nothing at all has only zeros and fails, on purpose.
///
/// # Errors
/// With the first forbidden entry, or that all allowed ones are 0.
pub fn causal_jacobian(
    ordering: &Ordering,
    mut jacobian_row: impl FnMut(usize) -> Vec<f64>,
) -> Law {
    let variables = ordering.len();
    let mut sees_something = variables < 2;
    for i in 0..variables {
        let row = jacobian_row(i);
        assert!(row.len() == variables, "{} derivatives, expected {variables}", row.len());
        for (j, derivative) in row.into_iter().enumerate() {
            if ordering.position_of(j) >= ordering.position_of(i) {
                require("causal", derivative.abs(), 0.0, || {
                    format!("the conditional of variable {i} moves with variable {j}")
                })?;
            } else {
                sees_something |= derivative != 0.0;
            }
        }
    }
    saw_something(sees_something)
}

fn saw_something(sees_something: bool) -> Law {
    if sees_something {
        return Ok(());
    }
    Err(LawViolation {
        law: "causal",
        detail: "no conditional moves with any earlier variable".to_owned(),
        gap: 0.0,
        allowed: 0.0,
    })
}

/// [`causal_jacobian`] by automatic differentiation of `conditionals`, which maps events to one
/// number per variable that describes its conditional, for example the logits.
///
/// Every row of the batch is checked: the derivative reported is the largest in size over rows.
///
/// # Shapes
/// `x` and what `conditionals` returns: `[batch, variables]` in event order.
///
/// # Errors
/// As for [`causal_jacobian`].
pub fn causal_autodiff(
    ordering: &Ordering,
    x: Tensor<2>,
    conditionals: impl Fn(Tensor<2>) -> Tensor<2>,
) -> Law {
    let [batch, variables] = x.dims();
    causal_jacobian(ordering, |i| {
        let leaf = x.clone().detach().autodiff().require_grad();
        let output = conditionals(leaf.clone()).narrow(1, i, 1);
        let Some(grad) = leaf.grad(&output.sum().backward()) else {
            return vec![0.0; variables];
        };
        let grad = to_host(&grad);
        let column = |j: usize| (0..batch).map(move |r| r * variables + j);
        let largest = |j: usize| {
            // Through the bits of |g| so that NaN is not lost.
            column(j)
                .map(|at| grad[at].abs())
                .fold(0.0, |a, g| if g > a || g.is_nan() { g } else { a })
        };
        (0..variables).map(largest).collect()
    })
}

/// Causal, by changing symbols: whatever x_j becomes, the conditionals of the variables up to and
/// with j in the ordering stay the same bit for bit; and some later conditional changes somewhere.
///
/// A model whose conditionals look at nothing at all fails, on purpose.
///
/// # Shapes
/// `events`: `[rows, variables]` in event order. `conditionals` maps such rows to
/// `[rows, variables, width]`: for each variable `width` numbers that describe its conditional
/// (logits, or all log-probabilities; not the log-probability of the symbol that is there, which
/// changes with it).
///
/// # Errors
/// With the first conditional that moved, or that none did.
pub fn causal_perturbation(
    ordering: &Ordering,
    states: usize,
    events: &[u8],
    mut conditionals: impl FnMut(&[u8]) -> Vec<f64>,
) -> Law {
    let variables = ordering.len();
    assert!(!events.is_empty(), "no events, expected at least one");
    let before = conditionals(events);
    let width = before.len() / events.len();
    assert!(width > 0 && width * events.len() == before.len(), "conditionals of uneven width");
    let mut sees_something = variables < 2;
    for j in 0..variables {
        for shift in 1..states {
            let mut changed = events.to_vec();
            for event in changed.chunks_exact_mut(variables) {
                event[j] = ((usize::from(event[j]) + shift) % states) as u8;
            }
            let after = conditionals(&changed);
            for (at, (a, b)) in before.chunks(width).zip(after.chunks(width)).enumerate() {
                let (row, i) = (at / variables, at % variables);
                let gap = a.iter().zip(b).map(|(a, b)| distance(*a, *b)).fold(0.0, f64::max);
                let moved = a.iter().zip(b).any(|(a, b)| a.to_bits() != b.to_bits());
                if ordering.position_of(i) > ordering.position_of(j) {
                    sees_something |= moved;
                } else if moved {
                    return Err(LawViolation {
                        law: "causal",
                        detail: format!(
                            "row {row}: the conditional of variable {i} moves with variable {j}"
                        ),
                        gap,
                        allowed: 0.0,
                    });
                }
            }
        }
    }
    saw_something(sees_something)
}
