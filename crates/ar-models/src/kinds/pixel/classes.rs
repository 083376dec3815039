//! Which class an image may be of, while its values are chosen.

use ar_kernels::pixel::walk::Scalar;
use prob_core::logspace::logsumexp;

use crate::parts::heads::levels::SymbolHead;

/// Where the walks of one image, one per class, have come: which class it may be of.
///
/// ```text
/// p(x_t | x_<t) = Σ_y p(y | x_<t) p(x_t | x_<t, y)
/// ```
#[derive(Clone, Debug, Default)]
pub(super) struct Mixture {
    /// log p(y | x_<t), `[classes]`; empty before the first value.
    log_posterior: Vec<f64>,
    /// log p(x_t | x_<t, y), `[classes, levels]`.
    log_probs: Vec<f64>,
}

impl Mixture {
    /// log p(x_t | x_<t) of every symbol, from the logits in each class, `[classes, logits of a value]`,
    /// as they are in the precision of the walk.
    pub(super) fn conditional<E: Scalar>(
        &mut self,
        head: &SymbolHead,
        classes: usize,
        logits: &[E],
    ) -> Vec<f64> {
        if self.log_posterior.is_empty() {
            self.log_posterior = vec![-(classes as f64).ln(); classes];
        }
        self.log_probs.clear();
        for logits in logits.chunks_exact(logits.len() / classes) {
            let logits = head.logits(logits.iter().map(|l| l.to_f64()));
            let sum = logsumexp(&logits);
            self.log_probs.extend(logits.iter().map(|logit| logit - sum));
        }
        let levels = self.log_probs.len() / classes;
        let of = |symbol| E::from_f64(logsumexp(&self.joint(symbol))).to_f64();
        (0..levels).map(of).collect()
    }

    /// log p(x_t = symbol, y | x_<t), `[classes]`; `-inf` for what is no symbol.
    fn joint(&self, symbol: usize) -> Vec<f64> {
        let levels = self.log_probs.len() / self.log_posterior.len();
        let rows = self.log_probs.chunks_exact(levels).zip(&self.log_posterior);
        rows.map(|(row, weight)| weight + row.get(symbol).unwrap_or(&f64::NEG_INFINITY)).collect()
    }

    /// The value that `choose` makes of the logits of every symbol, from those of each walk of the image,
    /// `[walks, logits of a value]`.
    pub(super) fn choose<E: Scalar>(
        &mut self,
        head: &SymbolHead,
        walks: usize,
        logits: &[E],
        choose: impl FnOnce(&[f64]) -> u8,
    ) -> u8 {
        if walks == 1 {
            return choose(&head.logits(logits.iter().map(|l| l.to_f64())));
        }
        let value = choose(&self.conditional(head, walks, logits));
        self.observe(value);
        value
    }

    /// Moves on past a value. One that no class can have says nothing about the class.
    pub(super) fn observe(&mut self, symbol: u8) {
        let joint = self.joint(symbol.into());
        let sum = logsumexp(&joint);
        if sum.is_finite() {
            self.log_posterior = joint.into_iter().map(|log_prob| log_prob - sum).collect();
        }
    }
}
