//! Hidden units that are left out by chance in training.
//!
//! ```text
//! h ← h ∘ d / (1 − p),   d of each unit and example 0 with probability p, else 1
//! ```
//!
//! # References
//! Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, *Dropout: A Simple Way to Prevent Neural Networks from
//! Overfitting*, JMLR 15, 2014, Section 4.
//!
//! # Deviations from the paper
//! What is kept is scaled up in training, instead of the weights being scaled down after it.

use burn::tensor::{Tensor, TensorData};
use rand::Rng;

use crate::foundation::error::Error;

/// The share of hidden units to leave out of a pass, and the dice that say which: one word for each unit, row by row,
/// layer by layer. None is drawn where nothing is left out.
pub(crate) struct Dropout<'a> {
    dice: Option<(f64, &'a mut dyn Rng)>,
}

impl<'a> Dropout<'a> {
    /// Every unit stays, as in evaluation.
    pub(crate) fn none() -> Self {
        Self { dice: None }
    }

    /// A share `rate` is left out.
    pub(crate) fn new(rate: f64, rng: &'a mut dyn Rng) -> Self {
        Self { dice: (rate > 0.0).then_some((rate, rng)) }
    }

    /// What is left of the hidden units `[batch, units]`.
    pub(crate) fn of(&mut self, h: Tensor<2>) -> Tensor<2> {
        let Some((rate, rng)) = &mut self.dice else { return h };
        let shape = h.dims();
        let (least, scale) = ((*rate * 2.0_f64.powi(32)) as u64, (1.0 / (1.0 - *rate)) as f32);
        let keep = |_| if u64::from(rng.next_u32()) < least { 0.0 } else { scale };
        let kept: Vec<f32> = (0..shape[0] * shape[1]).map(keep).collect();
        let like = (&h.device(), h.dtype());
        h * Tensor::from_data(TensorData::new(kept, shape), like)
    }
}

/// Checks the key `model.dropout`.
pub(crate) fn check(rate: f64) -> Result<(), Error> {
    if (0.0..1.0).contains(&rate) {
        return Ok(());
    }
    Err(Error::Config {
        key: "model.dropout",
        value: rate.to_string(),
        expected: "0 ≤ dropout < 1".into(),
    })
}

/// Whether a rate is that of a config which leaves it out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
pub(crate) fn is_none(rate: &f64) -> bool {
    *rate == 0.0
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    use super::*;
    use crate::parts::tensors::host_f64;

    #[test]
    fn a_share_is_left_out_and_the_mean_stays() {
        let device = Device::default();
        let ones = || Tensor::<2>::ones([100, 100], &device);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let left = host_f64(Dropout::new(0.2, &mut rng).of(ones()));
        assert!(left.iter().all(|&h| h == 0.0 || h == 1.25), "scaled by 1 / (1 − p)");
        let out = left.iter().filter(|&&h| h == 0.0).count();
        // Five standard deviations of 10,000 throws: 0.04 · 5 · 100.
        assert!((1_800..2_200).contains(&out), "{out} of 10000");
        assert_eq!(host_f64(Dropout::none().of(ones())), [1.0; 10_000]);
        // Nothing is drawn where nothing is left out.
        let mut same = ChaCha8Rng::seed_from_u64(1);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(host_f64(Dropout::new(0.0, &mut rng).of(ones())), [1.0; 10_000]);
        assert_eq!(rng.next_u32(), same.next_u32());
    }
}
