//! Mixtures of models that share their weights: over masks, classes or orderings.
//!
//! ```text
//! p(x) = 1/K Σ_k p_k(x)
//! p(x_t | x_<t) = Σ_k p(k | x_<t) p_k(x_t | x_<t),   p(k | x_<t) ∝ Π_{s<t} p_k(x_s | x_<s)
//! ```
//!
//! The mean is of joint probabilities. The second line needs that all members walk in one order.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use prob_core::logspace::logsumexp_dim;

/// log 1/K Σ_k p_k(x), from log p_k(x) of each member.
///
/// # Shapes
/// `log_probs` is `[batch, members]`; returns `[batch]`.
pub(crate) fn log_prob(log_probs: Tensor<2>) -> Tensor<1> {
    let [batch, members] = log_probs.dims();
    if batch == 0 || members == 1 {
        return log_probs.reshape([batch]);
    }
    logsumexp_dim(log_probs, 1).reshape([batch]) - (members as f64).ln()
}

/// The conditionals of the mixture, from the log-probabilities in each member,
/// `[batch, variables, members]`, both in the order of the walk.
pub(crate) fn conditionals(log_probs: Tensor<3>) -> Tensor<2> {
    let [batch, variables, members] = log_probs.dims();
    // What is common to all members is no evidence for any.
    let evidence = log_probs.clone() - log_probs.clone().mean_dim(2);
    let none = Tensor::zeros([batch, 1, members], (&evidence.device(), evidence.dtype()));
    let before = Tensor::cat(vec![none, evidence.narrow(1, 0, variables - 1)], 1).cumsum(1);
    logsumexp_dim(log_softmax(before, 2) + log_probs, 2).reshape([batch, variables])
}
