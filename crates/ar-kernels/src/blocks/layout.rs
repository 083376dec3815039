//! Where the features and outputs of each position are.

use core::ops::Range;
use std::sync::Arc;

/// How many features and outputs each position of a walk has, and so where they begin.
///
/// ```
/// use ar_kernels::blocks::Blocks;
///
/// // A category of 4 labels, then a number under 2 Gaussians.
/// let blocks = Blocks::new(&[4, 1], &[4, 6]);
/// assert_eq!((blocks.dim(), blocks.features(), blocks.outputs()), (2, 5, 10));
/// assert_eq!((blocks.features_of(1), blocks.outputs_of(1)), (4..5, 4..10));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Where the features of each position begin, and where the last ones end, `[dim + 1]`.
    features: Arc<[usize]>,
    /// Likewise the outputs, `[dim + 1]`.
    outputs: Arc<[usize]>,
}

impl Blocks {
    /// Positions with so many features and outputs each.
    ///
    /// # Panics
    /// When these are not as many as those.
    pub fn new(features: &[usize], outputs: &[usize]) -> Self {
        assert_eq!(features.len(), outputs.len(), "one number of each for every position");
        Self { features: starts(features), outputs: starts(outputs) }
    }

    /// `dim` positions that are alike.
    pub fn alike(dim: usize, features: usize, outputs: usize) -> Self {
        Self::new(&vec![features; dim], &vec![outputs; dim])
    }

    /// Number of positions.
    pub fn dim(&self) -> usize {
        self.features.len() - 1
    }

    /// Features of all positions.
    pub fn features(&self) -> usize {
        self.features[self.dim()]
    }

    /// Outputs of all positions.
    pub fn outputs(&self) -> usize {
        self.outputs[self.dim()]
    }

    /// The features of a position among all.
    pub fn features_of(&self, position: usize) -> Range<usize> {
        self.features[position]..self.features[position + 1]
    }

    /// The outputs of a position among all.
    pub fn outputs_of(&self, position: usize) -> Range<usize> {
        self.outputs[position]..self.outputs[position + 1]
    }

    /// The most features of a position.
    pub(crate) fn widest(&self) -> usize {
        self.features.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
    }

    /// The most outputs of a position.
    pub(crate) fn most_outputs(&self) -> usize {
        self.outputs.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
    }
}

fn starts(widths: &[usize]) -> Arc<[usize]> {
    let ends = widths.iter().scan(0, |end, width| {
        *end += width;
        Some(*end)
    });
    core::iter::once(0).chain(ends).collect()
}
