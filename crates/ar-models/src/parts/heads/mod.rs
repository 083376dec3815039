//! The likelihood of an output layer, by the fastest path that is equal to the plain one.

pub(crate) mod levels;

use burn::tensor::{Bool, Int, Tensor};
use prob_core::dist::bernoulli;

/// log p of each row of bits `x` under `logits`, in nats; `-inf` for a row with another symbol.
///
/// # Shapes
/// `logits` and `x` are `[batch, dim]`; returns `[batch]`.
pub(crate) fn bernoulli_rows(logits: Tensor<2>, x: Tensor<2>) -> Tensor<1> {
    ar_kernels::bernoulli::log_prob(&logits, &x)
        .unwrap_or_else(|| bernoulli::log_prob(logits, x).sum_dim(1).squeeze_dim(1))
}

/// Where a symbol is not below `levels`.
///
/// # Shapes
/// `x` and the result are `[batch, variables]`.
pub(crate) fn outside(x: &Tensor<2, Int>, levels: usize) -> Tensor<2, Bool> {
    x.clone().lower_scalar(0).bool_or(x.clone().greater_equal_scalar(levels as i64))
}

/// `log_probs`, and `-inf` from the first symbol of a row on that is not below `levels`: what comes
/// later is conditioned on what cannot be.
///
/// # Shapes
/// `log_probs`, `x` and the result are `[batch, variables]`, in the order of the walk.
pub(crate) fn impossible_from_outside_on(
    log_probs: Tensor<2>,
    x: &Tensor<2, Int>,
    levels: usize,
) -> Tensor<2> {
    let outside = outside(x, levels);
    // Nearly always there is nothing to do, and looking costs less than the sums over rows.
    if x.dims().contains(&0) || !outside.clone().any().into_scalar::<bool>() {
        return log_probs;
    }
    let seen = outside.int().cumsum(1).greater_scalar(0);
    log_probs.mask_fill(seen, f64::NEG_INFINITY)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tolerance};

    use super::*;

    #[test]
    fn the_fused_rows_are_the_plain_rows() {
        let device = Device::default().autodiff();
        let logits = [[-30.0_f32, -1.5, 0.0], [0.25, 3.0, 50.0], [0.5, -2.0, 1.0]];
        // The last row is impossible; its other symbols have a slope all the same.
        let x =
            Tensor::<2>::from_data([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 7.0, 0.0]], &device);
        let run = |fused: bool| {
            let logits = Tensor::<2>::from_data(logits, &device).require_grad();
            let rows = if fused {
                ar_kernels::bernoulli::log_prob(&logits, &x)
                    .expect("the default device has a kernel")
            } else {
                bernoulli::log_prob(logits.clone(), x.clone()).sum_dim(1).squeeze_dim(1)
            };
            let weights = Tensor::<1>::from_data([1.0, -2.0, 3.0], &device);
            let grads = (rows.clone() * weights).sum().backward();
            (rows.inner().into_data(), logits.grad(&grads).unwrap().into_data())
        };
        let (fused, plain) = (run(true), run(false));
        let tolerance = Tolerance::<f32>::rel_abs(1e-6, 1e-7);
        fused.0.assert_approx_eq(&plain.0, tolerance);
        fused.1.assert_approx_eq(&plain.1, tolerance);
    }
}
