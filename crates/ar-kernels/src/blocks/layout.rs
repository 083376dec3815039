//! Where the features and outputs of each position are.

use core::ops::Range;
use std::sync::Arc;

/// How a position's features stand in a row of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// So many features, one after the other.
    Numbers(usize),
    /// So many features of which at most one is 1: its index. Any other number says that none is.
    Label(usize),
}

impl Input {
    /// Features, each of which has a row of W.
    pub fn features(self) -> usize {
        match self {
            Self::Numbers(features) | Self::Label(features) => features,
        }
    }

    /// Numbers of a row of the input.
    pub fn width(self) -> usize {
        match self {
            Self::Numbers(features) => features,
            Self::Label(_) => 1,
        }
    }
}

/// Which of `labels` features `x` is the index of, if it is.
#[inline(always)]
pub(crate) fn label(x: f32, labels: usize) -> Option<usize> {
    let index = x as usize;
    (index as f32 == x && index < labels).then_some(index)
}

/// How many features and outputs each position of a walk has, and so where they begin.
///
/// ```
/// use ar_kernels::blocks::{Blocks, Input};
///
/// // A category of 4 labels, then a number under 2 Gaussians.
/// let blocks = Blocks::of(&[Input::Label(4), Input::Numbers(1)], &[4, 6]);
/// assert_eq!((blocks.dim(), blocks.inputs(), blocks.features(), blocks.outputs()), (2, 2, 5, 10));
/// assert_eq!((blocks.features_of(1), blocks.outputs_of(1)), (4..5, 4..10));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// What each position reads, `[dim]`.
    each: Arc<[Input]>,
    /// Where each position begins in a row of the input, and where the last one ends, `[dim + 1]`.
    inputs: Arc<[usize]>,
    /// Likewise the features, `[dim + 1]`.
    features: Arc<[usize]>,
    /// Likewise the outputs, `[dim + 1]`.
    outputs: Arc<[usize]>,
}

impl Blocks {
    /// Positions with so many features, all numbers, and outputs each.
    ///
    /// # Panics
    /// When these are not as many as those.
    pub fn new(features: &[usize], outputs: &[usize]) -> Self {
        let each: Vec<Input> = features.iter().map(|&features| Input::Numbers(features)).collect();
        Self::of(&each, outputs)
    }

    /// Positions that read these inputs and have so many outputs each.
    ///
    /// # Panics
    /// When these are not as many as those.
    pub fn of(each: &[Input], outputs: &[usize]) -> Self {
        assert_eq!(each.len(), outputs.len(), "one number of each for every position");
        Self {
            each: each.into(),
            inputs: starts(each.iter().map(|input| input.width())),
            features: starts(each.iter().map(|input| input.features())),
            outputs: starts(outputs.iter().copied()),
        }
    }

    /// `dim` positions that are alike.
    pub fn alike(dim: usize, features: usize, outputs: usize) -> Self {
        Self::new(&vec![features; dim], &vec![outputs; dim])
    }

    /// Number of positions.
    pub fn dim(&self) -> usize {
        self.features.len() - 1
    }

    /// What a position reads.
    pub fn input(&self, position: usize) -> Input {
        self.each[position]
    }

    /// Numbers of a row of the input.
    pub fn inputs(&self) -> usize {
        self.inputs[self.dim()]
    }

    /// Those of a position.
    pub fn inputs_of(&self, position: usize) -> Range<usize> {
        self.inputs[position]..self.inputs[position + 1]
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

    /// The most outputs of a position.
    pub(crate) fn most_outputs(&self) -> usize {
        self.outputs.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
    }
}

fn starts(widths: impl Iterator<Item = usize>) -> Arc<[usize]> {
    let ends = widths.scan(0, |end, width| {
        *end += width;
        Some(*end)
    });
    core::iter::once(0).chain(ends).collect()
}
