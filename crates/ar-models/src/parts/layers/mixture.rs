//! The even mixture of K distributions that walk side by side: under masks, classes or orderings.
//!
//! ```text
//! p(x) = 1/K Σ_k p_k(x)
//! p(x_t | x_<t) = Σ_k p(k | x_<t) p_k(x_t | x_<t),   p(k | x_<t) ∝ Π_{s<t} p_k(x_s | x_<s)
//! ```
//!
//! The mean is of joint probabilities; a mean of logits over k is another distribution, and a mean of
//! log-probabilities none.

use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Tensor, TensorData};
use prob_core::dist::{Bernoulli, bernoulli};
use prob_core::logspace::logsumexp_dim;

use super::rows;

/// log p(x) of each row, from log p_k(x).
///
/// # Shapes
/// `log_probs` is `[batch, K]`; returns `[batch]`.
pub(crate) fn log_prob(log_probs: Tensor<2>) -> Tensor<1> {
    let [batch, components] = log_probs.dims();
    if batch == 0 || components == 1 {
        return log_probs.reshape([batch]);
    }
    logsumexp_dim(log_probs, 1).reshape([batch]) - (components as f64).ln()
}

/// log p(x_t | x_<t) of each variable, from log p_k(x_t | x_<t).
///
/// # Shapes
/// `log_probs` is `[batch, variables, K]`, the result `[batch, variables]`, both in the order of the walk.
pub(crate) fn log_prob_per_variable(log_probs: Tensor<3>) -> Tensor<2> {
    let [batch, variables, components] = log_probs.dims();
    if batch == 0 || variables == 0 {
        return log_probs.reshape([batch, variables]);
    }
    // What is common to all is no evidence for any.
    let evidence = log_probs.clone() - log_probs.clone().mean_dim(2);
    let none = Tensor::zeros([batch, 1, components], (&evidence.device(), evidence.dtype()));
    let before = Tensor::cat(vec![none, evidence.narrow(1, 0, variables - 1)], 1).cumsum(1);
    logsumexp_dim(log_softmax(before, 2) + log_probs, 2).reshape([batch, variables])
}

/// How likely each of the K is after what has been seen.
#[derive(Clone, Debug)]
pub(crate) struct Posterior {
    /// log p(k | x_<t) but for what is common to all k, `[batch, K]`.
    log_weights: Tensor<2>,
}

impl Posterior {
    /// Before the first variable: all alike.
    pub(crate) fn even(batch: usize, components: usize, like: (&Device, DType)) -> Self {
        Self { log_weights: Tensor::zeros([batch, components], like) }
    }

    /// Where k is known for each walk of the batch.
    pub(crate) fn known(members: &[u8], components: usize, like: (&Device, DType)) -> Self {
        let mut log_weights = vec![f32::NEG_INFINITY; members.len() * components];
        for (row, &member) in members.iter().enumerate() {
            log_weights[row * components + usize::from(member)] = 0.0;
        }
        let data = TensorData::new(log_weights, [members.len(), components]);
        Self { log_weights: Tensor::from_data(data, like) }
    }

    /// p(x_t | x_<t) of a bit from its logit under each k, `[batch, K]`.
    pub(crate) fn conditional(&self, logits: &Tensor<2>) -> Bernoulli {
        let [batch, components] = logits.dims();
        if components == 1 || batch == 0 {
            return Bernoulli::from_logits_unchecked(logits.clone().reshape([batch]));
        }
        let log_weights = self.log_probs();
        let log_prob_of = |x_t: Tensor<2>| {
            let each = bernoulli::log_prob(logits.clone(), x_t);
            logsumexp_dim(log_weights.clone() + each, 1).reshape([batch])
        };
        let log_odds = log_prob_of(logits.ones_like()) - log_prob_of(logits.zeros_like());
        Bernoulli::from_logits_unchecked(log_odds)
    }

    /// log p(k | x_<t), `[batch, K]`.
    pub(crate) fn log_probs(&self) -> Tensor<2> {
        log_softmax(self.log_weights.clone(), 1)
    }

    /// Those of some walks of the batch, in that order.
    pub(crate) fn select(&self, walks: &[usize]) -> Self {
        Self { log_weights: rows(&self.log_weights, walks) }
    }

    /// Moves on past the bits x_t, `[batch, 1]`, whose logits under each k were `logits`, `[batch,
    /// K]`. What is no bit no k can have, so it says nothing about k.
    pub(crate) fn observe(&mut self, logits: &Tensor<2>, x_t: &Tensor<2>) {
        let x_t = x_t.clone().expand(logits.dims());
        let outside = x_t.clone().mul(x_t.clone()).not_equal(x_t.clone());
        let evidence = bernoulli::log_prob(logits.clone(), x_t).mask_fill(outside, 0.0);
        self.learn(evidence);
    }

    /// Moves on past a value whose log-probability under each k was `evidence`, `[batch, K]`.
    pub(crate) fn learn(&mut self, evidence: Tensor<2>) {
        self.log_weights = self.log_weights.clone() + evidence;
    }
}
