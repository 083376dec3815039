//! The likelihoods in plain tensor operations: the oracle of the kernel, and the fallback on devices without one.
//!
//! They are differentiable by burn's autodiff and work in any precision.

use burn::tensor::activation::{log_sigmoid, log_softmax};
use burn::tensor::{Int, Tensor, TensorData};

use super::{Family, Head, Heads, Missing};

/// log p of each value.
///
/// # Shapes
/// `outputs` is `[batch, outputs of all columns]`, `x` is `[batch, targets]`, the result `[batch, columns]`.
pub fn log_prob(outputs: Tensor<2>, x: Tensor<2>, heads: &Heads) -> Tensor<2> {
    let [batch, targets] = x.dims();
    if batch == 0 || targets == 0 {
        return x;
    }
    let outputs = match heads.links() {
        Some((gains, shifts)) => {
            let like = (&outputs.device(), outputs.dtype());
            let row = |values: &[f64]| {
                Tensor::<2>::from_data(TensorData::new(values.to_vec(), [1, values.len()]), like)
            };
            outputs.mul(row(gains)) + row(shifts)
        }
        None => outputs,
    };
    let each = heads.with_outputs().enumerate().map(|(column, (head, at))| {
        let outputs = outputs.clone().narrow(1, at.start, at.len());
        let at_x = heads.targets_of(column);
        let x = x.clone().narrow(1, at_x.start, at_x.len()); // [batch, targets of the column]
        match *head {
            Head::Category { labels, other } => category(outputs, x, labels, other),
            Head::Number { components, listed, family, floor, missing } => {
                number(outputs, x, (components, listed), (family, floor), missing)
            }
        }
    });
    Tensor::cat(each.collect(), 1)
}

/// `outputs` is `[batch, labels]`, `x` and the result are `[batch, 1]`.
fn category(outputs: Tensor<2>, x: Tensor<2>, labels: usize, other: f64) -> Tensor<2> {
    let is_other = x.clone().equal_scalar(labels as f64);
    let none = x.clone().lower_scalar(0.0).bool_or(x.clone().greater_scalar(labels as f64));
    let none = none.bool_or(x.clone().round().not_equal(x.clone()));
    let index: Tensor<2, Int> = x.clamp(0.0, labels as f64 - 1.0).int();
    let known = log_softmax(outputs, 1).gather(1, index).add_scalar((-other).ln_1p());
    known.mask_fill(is_other, other.ln()).mask_fill(none, f64::NEG_INFINITY)
}

/// `outputs` is `[batch, 3·components (+ 1) (+ 1)]`, `x` `[batch, 1 (+ 1)]`, the result `[batch, 1]`.
fn number(
    outputs: Tensor<2>,
    x: Tensor<2>,
    (components, listed): (usize, bool),
    (family, floor): (Family, f64),
    missing: Missing,
) -> Tensor<2> {
    let value = x.clone().narrow(1, 0, 1);
    let is_missing = value.clone().is_nan();
    let z = value.mask_fill(is_missing.clone(), 0.0);
    let (first, logits) =
        (usize::from(missing == Missing::Learned), components + usize::from(listed));
    let log_weights = log_softmax(outputs.clone().narrow(1, first, logits), 1);
    let part = |k: usize| outputs.clone().narrow(1, first + logits + k * components, components);
    let (means, scales) = (part(0), part(1).exp().add_scalar(floor));
    let u = (z - means) / scales.clone(); // [batch, components]
    let each = match family {
        Family::Gaussian { log_unit } => {
            let constant = 0.5 * core::f64::consts::TAU.ln() + log_unit;
            u.clone().mul(u).mul_scalar(-0.5) - scales.log() - constant
        }
        Family::Grid { half } => {
            let d = scales.recip().mul_scalar(2.0 * half);
            let near = log_sigmoid(u.clone() + d.clone().mul_scalar(0.5));
            let far = log_sigmoid((u - d.clone().mul_scalar(0.5)).neg());
            near + far + d.neg().exp().neg().log1p()
        }
    };
    let each = if listed { Tensor::cat(vec![each, x.narrow(1, 1, 1)], 1) } else { each };
    let joint = log_weights + each;
    let most = joint.clone().max_dim(1).detach();
    let mixture = (joint - most.clone()).exp().sum_dim(1).log() + most; // [batch, 1]
    match missing {
        Missing::Never(share) => {
            mixture.add_scalar((-share).ln_1p()).mask_fill(is_missing, share.ln())
        }
        Missing::Learned => {
            let bit = outputs.narrow(1, 0, 1);
            let there = mixture + log_sigmoid(bit.clone().neg());
            there.mask_where(is_missing, log_sigmoid(bit))
        }
    }
}
