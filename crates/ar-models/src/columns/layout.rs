//! Where the features and outputs of columns are, how cells become features, and outputs likelihoods: what every
//! network over columns begins and ends with.

use core::ops::Range;
use std::sync::Arc;

use ar_kernels::blocks::Blocks;
use ar_kernels::columns::{self, Family, Head, Heads};
use burn::tensor::{DType, Tensor, TensorData};
use prob_core::ordering::Ordering;

use super::units::Frequencies;
use super::{ColumnConditional, Units};

/// How columns of numbers are described.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mixtures {
    /// Components K of each mixture.
    pub(crate) components: usize,
    /// The least scale of a Gaussian, in standard deviations of its column.
    pub(crate) min_scale: f64,
}

/// The columns of an event one after the other, in some order.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// That of their blocks: the order of a walk, or the raster order for that of the event.
    order: Ordering,
    units: Arc<Units>,
    blocks: Blocks,
    heads: Heads,
    links: Links,
}

impl Layout {
    /// The columns of `units` in this order.
    ///
    /// # Panics
    /// When the units or the links are of other columns.
    pub(crate) fn new(order: Ordering, units: Units, origin: &Origin, mixtures: Mixtures) -> Self {
        let dim = order.len();
        assert_eq!(units.columns().len(), dim, "units of every column");
        let walk = order.as_slice();
        let Mixtures { components, min_scale } = mixtures;
        let heads: Vec<Head> = walk.iter().map(|&i| units.head(i, components, min_scale)).collect();
        let features: Vec<usize> = walk.iter().map(|&i| units.columns()[i].features()).collect();
        let outputs: Vec<usize> = heads.iter().map(Head::outputs).collect();
        let (blocks, heads) = (Blocks::new(&features, &outputs), Heads::new(heads));
        let links = match origin {
            Origin::Training(frequencies) => Links::of(&heads, walk, frequencies),
            Origin::Stored(links) => links.clone(),
        };
        assert_eq!(links.gains.len(), blocks.outputs(), "a link of every output");
        Self { order, units: Arc::new(units), blocks, heads, links }
    }

    /// The columns, by the place of their block.
    pub(crate) fn order(&self) -> &Ordering {
        &self.order
    }

    /// What the columns look like.
    pub(crate) fn units(&self) -> &Units {
        &self.units
    }

    /// Where the features and outputs of each place are.
    pub(crate) fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// What the outputs are before they are parameters.
    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    /// The features of each row, `[batch, features]`, and its cells as the heads take them, `[batch, columns]`, both
    /// in the order of the blocks.
    ///
    /// # Shapes
    /// `x` is `[batch, columns]` in event order.
    ///
    /// # Panics
    /// When there is not one value for every column.
    pub(crate) fn encoded(&self, x: Tensor<2>, dtype: DType) -> (Tensor<2>, Tensor<2>) {
        let [batch, dim] = x.dims();
        assert_eq!(dim, self.order.len(), "one value for every column");
        let device = x.device();
        let values: Vec<f64> = x.into_data().iter::<f64>().collect();
        let mut features = Vec::with_capacity(batch * self.blocks.features());
        let mut targets = Vec::with_capacity(batch * dim);
        for row in values.chunks_exact(dim.max(1)) {
            for &i in self.order.as_slice() {
                self.units.push_features(i, row[i], &mut features);
                targets.push(self.units.target(i, row[i]));
            }
        }
        let features = TensorData::new(features, [batch, self.blocks.features()]);
        let targets = TensorData::new(targets, [batch, dim]);
        let like = (&device, dtype);
        (Tensor::from_data(features, like), Tensor::from_data(targets, like))
    }

    /// The features of one place, `[batch, features of it]`, from its cells, of the precision of `like`.
    pub(crate) fn features_of(&self, place: usize, x: Tensor<1>, like: &Tensor<2>) -> Tensor<2> {
        let ([batch], width) = (x.dims(), self.blocks.features_of(place).len());
        let i = self.order.as_slice()[place];
        let mut features = Vec::with_capacity(batch * width);
        for x in x.into_data().iter::<f64>() {
            self.units.push_features(i, x, &mut features);
        }
        let features = TensorData::new(features, [batch, width]);
        Tensor::from_data(features, (&like.device(), like.dtype()))
    }

    /// log p of each cell from the outputs of a network.
    ///
    /// # Shapes
    /// `outputs` is `[batch, outputs]`, `targets` and the result are `[batch, columns]`, in the order of the blocks.
    pub(crate) fn log_probs(&self, outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<2> {
        let parameters = self.links.parameters(outputs, 0..self.blocks.outputs());
        columns::log_prob(parameters, targets, &self.heads)
    }

    /// The conditional of one place from its outputs, `[batch, outputs of it]`.
    pub(crate) fn conditional(&self, place: usize, outputs: Tensor<2>) -> ColumnConditional {
        ColumnConditional {
            units: Arc::clone(&self.units),
            column: self.order.as_slice()[place],
            head: self.heads.all()[place],
            outputs: self.links.parameters(outputs, self.blocks.outputs_of(place)),
        }
    }
}

/// What the outputs of a network become before they are parameters: `shift + gain · o`.
///
/// The mean of a component moves in units of its own reach, since a step of the optimizer is as long for every
/// weight: one that is small for a component that spreads over all values is thousands of cells for one that stands on
/// a single value of a column with far ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Links {
    pub(crate) gains: Vec<f64>,
    pub(crate) shifts: Vec<f64>,
}

/// Where links come from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Training(Frequencies),
    Stored(Links),
}

impl Links {
    /// Such that zeros are labels with the frequencies of training, and mixtures whose components stand at its
    /// quantiles and reach as far as the next ones.
    fn of(heads: &Heads, walk: &[usize], frequencies: &Frequencies) -> Self {
        let mut links = Self { gains: Vec::new(), shifts: Vec::new() };
        for (head, &i) in heads.all().iter().zip(walk) {
            links.push(head, &frequencies.counts[i], &frequencies.values[i]);
        }
        links
    }

    fn push(&mut self, head: &Head, counts: &[u64], values: &[f64]) {
        match *head {
            Head::Category { labels, .. } => {
                let count = |label: usize| counts[label] as f64 + 1.0;
                let total: f64 = (0..labels).map(count).sum();
                self.shifts.extend((0..labels).map(|label| (count(label) / total).ln()));
            }
            Head::Number { components, family, floor, missing } => {
                if missing == columns::Missing::Learned {
                    self.shifts.push(((counts[1] as f64 + 1.0) / (counts[0] as f64 + 1.0)).ln());
                }
                let (before, share) = (self.shifts.len(), |k: f64| k / components as f64);
                let quantile = |share: f64| {
                    let at = (share * values.len() as f64) as usize;
                    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or_default()
                };
                let least = match family {
                    Family::Grid { half } => half,
                    Family::Gaussian { .. } => 0.05_f64.max(2.0 * floor),
                };
                let reach = |k: usize| {
                    let (low, high) = (share(k as f64), share(k as f64 + 1.0));
                    (0.5 * (quantile(high) - quantile(low))).max(least)
                };
                self.shifts.extend(std::iter::repeat_n(0.0, components));
                self.shifts.extend((0..components).map(|k| quantile(share(k as f64 + 0.5))));
                self.shifts.extend((0..components).map(|k| (reach(k) - floor).ln()));
                self.gains.resize(before + components, 1.0);
                self.gains.extend((0..components).map(reach));
            }
        }
        self.gains.resize(self.shifts.len(), 1.0);
    }

    /// The parameters of some of the outputs.
    ///
    /// # Shapes
    /// `outputs` and the result are `[batch, at.len()]`.
    fn parameters(&self, outputs: Tensor<2>, at: Range<usize>) -> Tensor<2> {
        let like = (&outputs.device(), outputs.dtype());
        let row = |values: &[f64]| {
            Tensor::<2>::from_data(
                TensorData::new(values[at.clone()].to_vec(), [1, at.len()]),
                like,
            )
        };
        outputs.mul(row(&self.gains)) + row(&self.shifts)
    }
}
