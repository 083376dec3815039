//! `calibration.safetensors`: what the validation rows of a run scored when it was trained, so that others are ranked
//! among them (`chainrule score --calibrate valid`) where the run's own data is not.

use anyhow::{Context as _, Result, bail};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::error::Internal;

/// Scores of the validation rows, in their order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Calibration {
    /// log p(x) in nats.
    pub(crate) log_prob: Vec<f64>,
    /// What rows are ranked by where the run keeps a window.
    pub(crate) window: Option<Vec<f64>>,
}

const LOG_PROB: &str = "log_prob_nats";
const WINDOW: &str = "window_nats";

impl Calibration {
    /// The file.
    ///
    /// # Errors
    /// Never, for what a calibration holds.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let little = |values: &[f64]| values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let mut arrays: Vec<(&str, Vec<u8>)> = vec![(LOG_PROB, little(&self.log_prob))];
        arrays.extend(self.window.as_deref().map(|scores| (WINDOW, little(scores))));
        let views = arrays.iter().map(|(name, bytes)| {
            let view = TensorView::new(Dtype::F64, vec![self.log_prob.len()], bytes)?;
            Ok((*name, view))
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        safetensors::serialize(views, None).context(Internal("scores are no safetensors"))
    }

    /// What a file holds.
    ///
    /// # Errors
    /// When it is none of [`to_bytes`](Self::to_bytes).
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let tensors = SafeTensors::deserialize(bytes).context("no safetensors file")?;
        let read = |name: &str| -> Result<Option<Vec<f64>>> {
            let Ok(view) = tensors.tensor(name) else { return Ok(None) };
            if view.dtype() != Dtype::F64 || view.shape().len() != 1 {
                bail!(
                    "`{name}` is {:?} {:?}, expected F64 of one axis",
                    view.dtype(),
                    view.shape()
                );
            }
            let eight = view.data().as_chunks::<8>().0;
            Ok(Some(eight.iter().map(|&eight| f64::from_le_bytes(eight)).collect()))
        };
        let log_prob = read(LOG_PROB)?.with_context(|| format!("no array `{LOG_PROB}`"))?;
        let window = read(WINDOW)?;
        if window.as_ref().is_some_and(|window| window.len() != log_prob.len()) {
            bail!("`{WINDOW}` and `{LOG_PROB}` are not of the same rows");
        }
        Ok(Self { log_prob, window })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_was_written_to_the_bit() {
        let log_prob = vec![-1.0, f64::NEG_INFINITY, -1e-300, 0.1 + 0.2];
        for window in [None, Some(vec![1.0, 2.0, f64::MIN_POSITIVE, -0.0])] {
            let calibration = Calibration { log_prob: log_prob.clone(), window };
            let bytes = calibration.to_bytes().unwrap();
            assert_eq!(Calibration::from_bytes(&bytes).unwrap(), calibration);
            for end in 0..bytes.len() {
                assert!(Calibration::from_bytes(&bytes[..end]).is_err(), "{end}");
            }
        }
    }
}
