//! Labelled vectors, on the host and in chunks on a device.

use burn::tensor::{Device, Tensor, TensorData};

/// Vectors of one length with a label each.
#[derive(Clone, Debug)]
pub struct Labelled {
    pub(super) values: Vec<f32>,
    pub(super) labels: Vec<u8>,
}

impl Labelled {
    /// `values` is `[labels, dim]`.
    ///
    /// # Panics
    /// When there is no vector, or the values are not one row per label.
    pub fn new(values: Vec<f32>, labels: Vec<u8>) -> Self {
        assert!(!labels.is_empty(), "no vectors, expected at least 1");
        assert!(
            !values.is_empty() && values.len().is_multiple_of(labels.len()),
            "{} values are not one row for each of {} labels",
            values.len(),
            labels.len()
        );
        Self { values, labels }
    }

    /// Length of a vector.
    pub fn dim(&self) -> usize {
        self.values.len() / self.labels.len()
    }

    /// Number of vectors.
    pub fn count(&self) -> usize {
        self.labels.len()
    }
}

/// Vectors that are computed with at a time. Sums over a set run chunk by chunk, so that they do not
/// depend on how a product is divided among threads.
pub(super) const CHUNK: usize = 2000;

/// A set in chunks on a device.
#[derive(Debug)]
pub(super) struct Vectors {
    /// Each `[at most CHUNK, dim]`.
    pub(super) chunks: Vec<Tensor<2>>,
    pub(super) labels: Vec<u8>,
    pub(super) dim: usize,
}

impl Vectors {
    pub(super) fn new(set: &Labelled, device: &Device) -> Self {
        let dim = set.dim();
        let chunk = |rows: &[f32]| {
            Tensor::from_data(TensorData::new(rows.to_vec(), [rows.len() / dim, dim]), device)
        };
        let chunks = set.values.chunks(CHUNK * dim).map(chunk).collect();
        Self { chunks, labels: set.labels.clone(), dim }
    }

    /// The fraction of labels that are right.
    pub(super) fn accuracy(&self, predicted: impl ExactSizeIterator<Item = u8>) -> f64 {
        assert_eq!(predicted.len(), self.labels.len(), "one label per vector");
        let right = predicted.zip(&self.labels).filter(|&(found, &label)| found == label).count();
        right as f64 / self.labels.len() as f64
    }
}

/// A tensor's values on the host in f32, row-major.
pub(super) fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().convert::<f32>().try_into_vec().expect("converted to f32")
}
