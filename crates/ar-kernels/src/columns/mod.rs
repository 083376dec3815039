//! The log-likelihood of columns of different types from the outputs of a network, as one op.
//!
//! ```text
//! category       log p(x) = ln(1 − ε) + o_x − log Σ_y exp o_y,     ln ε of a label that training never saw
//! a number       log p(x) = log σ(−o_0) + log Σ_k π_k p_k(x),      log σ(o_0) where it is missing
//! on a grid      p_k = σ((z + h − μ_k)/s_k) − σ((z − h − μ_k)/s_k)
//! a real one     p_k = N(z; μ_k, s_k) / unit
//! a listed one    p_k = a mass that is known, whatever the outputs are
//!                π = softmax(o^π),  μ = o^μ,  s = exp(o^s) + floor
//! ```
//!
//! z is the number in standardized units and h half a step of the grid in the same. The masses of a grid add up to
//! exactly 1 over all its points; a real number has a density in its own units. A number that was never missing in
//! training has no output o_0, and ε in the place of its σ(o_0).
//!
//! [`log_prob`] is one operation with a hand-written gradient where the device and the precision have a kernel
//! (flex and ndarray in f32), and plain tensor operations ([`mod@reference`]) elsewhere.
//!
//! # References
//! - Salimans, Karpathy, Chen, Kingma, *PixelCNN++*, ICLR 2017, arXiv:1701.05517, Eq. 2, without edges: the grid
//!   has no end.
//! - Uria, Murray, Larochelle, *RNADE*, NIPS 2013, arXiv:1306.0186, Eqs. 9 to 11.

mod autodiff;
mod category;
pub mod cpu;
pub(crate) mod lanes;
mod mixture;
pub mod reference;

use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use crate::blocks::Blocks;
#[cfg(any(feature = "flex", feature = "ndarray"))]
use crate::slices::Slices;

/// What a column is, and what its outputs mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Head {
    /// One of `labels` labels; the value is its index, or `labels` for any other one.
    Category {
        /// Known labels, of which each has an output.
        labels: usize,
        /// ε, the probability of a label that is none of them.
        other: f64,
    },
    /// A number under a mixture.
    Number {
        /// Components K, of which each has three outputs: all o^π, then all o^μ, then all o^s.
        components: usize,
        /// Whether there is one more, of which only the weight is an output, behind the other o^π: its ln p stands beside
        /// the value, −∞ where it has none.
        listed: bool,
        /// The family of the components.
        family: Family,
        /// The least scale, in standardized units.
        floor: f64,
        /// Whether it can be missing, as a value that is NaN says.
        missing: Missing,
    },
}

/// What the components of a mixture are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Family {
    /// Logistics on a grid: a mass.
    Grid {
        /// h, half a step in standardized units.
        half: f64,
    },
    /// Gaussians: a density.
    Gaussian {
        /// ln of a standardized unit in units of the data, which a density is divided by.
        log_unit: f64,
    },
}

/// The probability that a number is missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Missing {
    /// By an output of its own, the first one.
    Learned,
    /// ε, where none was missing in training.
    Never(f64),
}

impl Head {
    /// Outputs that it takes.
    pub fn outputs(&self) -> usize {
        match *self {
            Self::Category { labels, .. } => labels,
            Self::Number { components, listed, missing, .. } => {
                3 * components + usize::from(listed) + usize::from(missing == Missing::Learned)
            }
        }
    }

    /// How many numbers say what its value is: one, and the ln p of a component that is listed.
    pub fn targets(&self) -> usize {
        1 + usize::from(matches!(self, Self::Number { listed: true, .. }))
    }
}

/// The columns of a table, in the order of their outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Heads {
    heads: Arc<[Head]>,
    /// Where the outputs of each begin, and where the last ones end.
    starts: Arc<[usize]>,
    /// Where the targets of each begin, and where the last ones end.
    targets: Arc<[usize]>,
    /// What each output is multiplied by, and what is added, before it means anything.
    links: Option<Arc<Links>>,
}

#[derive(Debug, PartialEq)]
struct Links {
    gains: Vec<f64>,
    shifts: Vec<f64>,
    /// The same in single precision.
    single: [Vec<f32>; 2],
}

impl Heads {
    /// Columns with these heads.
    pub fn new(heads: Vec<Head>) -> Self {
        let starts = |of: fn(&Head) -> usize| {
            let ends = heads.iter().scan(0, |end, head| {
                *end += of(head);
                Some(*end)
            });
            core::iter::once(0).chain(ends).collect()
        };
        let (starts, targets) = (starts(Head::outputs), starts(Head::targets));
        Self { starts, targets, heads: heads.into(), links: None }
    }

    /// The same, of outputs that are `shift + gain · o` before they mean anything.
    ///
    /// # Panics
    /// When there is not one of each for every output.
    #[must_use]
    pub fn linked(self, gains: &[f64], shifts: &[f64]) -> Self {
        assert!([gains, shifts].iter().all(|each| each.len() == self.outputs()), "one per output");
        let single = [gains, shifts].map(|each| each.iter().map(|&x| x as f32).collect());
        let links = Links { gains: gains.to_vec(), shifts: shifts.to_vec(), single };
        Self { links: Some(Arc::new(links)), ..self }
    }

    /// Gains and shifts of all outputs, if they have any.
    pub(crate) fn links(&self) -> Option<(&[f64], &[f64])> {
        self.links.as_deref().map(|links| (&links.gains[..], &links.shifts[..]))
    }

    /// Gains and shifts of some of the outputs in single precision, if they have any.
    pub(crate) fn link(&self, at: core::ops::Range<usize>) -> Option<(&[f32], &[f32])> {
        let [gains, shifts] = &self.links.as_deref()?.single;
        Some((&gains[at.clone()], &shifts[at]))
    }

    /// Each column.
    pub fn all(&self) -> &[Head] {
        &self.heads
    }

    /// Outputs of all columns.
    pub fn outputs(&self) -> usize {
        self.starts[self.heads.len()]
    }

    /// Targets of all columns.
    pub fn targets(&self) -> usize {
        self.targets[self.heads.len()]
    }

    /// Where the targets of a column are among all.
    pub fn targets_of(&self, column: usize) -> core::ops::Range<usize> {
        self.targets[column]..self.targets[column + 1]
    }

    /// Whether the outputs of every column are those of its position.
    pub(crate) fn are_of(&self, blocks: &Blocks) -> bool {
        self.heads.len() == blocks.dim()
            && self.with_outputs().enumerate().all(|(t, (_, at))| at == blocks.outputs_of(t))
    }

    /// Each column with its outputs among all.
    pub(crate) fn with_outputs(&self) -> impl Iterator<Item = (&Head, core::ops::Range<usize>)> {
        self.heads.iter().zip(self.starts.windows(2).map(|pair| pair[0]..pair[1]))
    }
}

/// log p of each value, in nats.
///
/// Differentiable with respect to `outputs`; `x` is data and gets no gradient.
///
/// # Shapes
/// `outputs` is `[batch, outputs of all columns]`, `x` is `[batch, targets]` and the result `[batch, columns]`. A
/// category is the index of its label, a number stands in standardized units, NaN is a missing one; where a component is
/// listed, its ln p is the next target.
///
/// # Panics
/// When the shapes do not belong together.
pub fn log_prob(outputs: Tensor<2>, x: Tensor<2>, heads: &Heads) -> Tensor<2> {
    let [batch, width] = outputs.dims();
    assert_eq!(width, heads.outputs(), "outputs must be [batch, outputs of all columns]");
    assert_eq!(x.dims(), [batch, heads.targets()], "x must be [batch, targets]");
    if batch == 0
        || heads.all().is_empty()
        || !crate::has_kernel(&outputs)
        || !crate::has_kernel(&x)
    {
        return reference::log_prob(outputs, x, heads);
    }
    Tensor::from_dispatch(<Dispatch as ColumnOps>::column_log_prob(
        outputs.into_dispatch(),
        x.into_dispatch(),
        heads.clone(),
    ))
}

/// The backend operations behind [`log_prob`].
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray")
)]
pub trait ColumnOps: Backend {
    /// Log-probabilities `[batch, columns]`.
    fn column_log_prob(
        outputs: FloatTensor<Self>,
        x: FloatTensor<Self>,
        heads: Heads,
    ) -> FloatTensor<Self>;

    /// Gradient of the outputs, from that of the log-probabilities.
    fn column_slope(
        outputs: FloatTensor<Self>,
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        heads: Heads,
    ) -> FloatTensor<Self>;
}

/// Implements [`ColumnOps`] for a backend whose tensors are host slices.
#[cfg(any(feature = "flex", feature = "ndarray"))]
macro_rules! on_slices {
    ($backend:ty) => {
        impl ColumnOps for $backend {
            fn column_log_prob(
                outputs: FloatTensor<Self>,
                x: FloatTensor<Self>,
                heads: Heads,
            ) -> FloatTensor<Self> {
                let [outputs, x] = [outputs, x].map(Self::contiguous);
                let out = cpu::log_prob(Self::as_slice(&outputs), Self::as_slice(&x), &heads);
                let shape = [out.len() / heads.all().len(), heads.all().len()];
                Self::from_vec(out, burn::tensor::Shape::new(shape))
            }

            fn column_slope(
                outputs: FloatTensor<Self>,
                x: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                heads: Heads,
            ) -> FloatTensor<Self> {
                let shape = burn::backend::TensorMetadata::shape(&outputs);
                let [outputs, x, grad] = [outputs, x, grad].map(Self::contiguous);
                let [outputs, x, grad] = [&outputs, &x, &grad].map(Self::as_slice);
                Self::from_vec(cpu::slope(outputs, x, grad, &heads), shape)
            }
        }
    };
}

#[cfg(feature = "flex")]
on_slices!(burn::backend::Flex);
#[cfg(feature = "ndarray")]
on_slices!(burn::backend::NdArray);
