//! Where the features and outputs of columns are, how cells become features, and outputs likelihoods: what every
//! network over columns begins and ends with.

use core::ops::Range;
use std::sync::Arc;

use ar_kernels::blocks::{Blocks, Input};
use ar_kernels::columns::{self, Family, Head, Heads};
use burn::tensor::{DType, Element, Tensor, TensorData};
use prob_core::ordering::Ordering;
use rayon::prelude::*;

use super::conditional::ColumnConditional;
use super::listed::Rows;
use super::units::{Frequencies, Units};

/// Rows that a thread encodes at a time.
const ENCODED: usize = 64;

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
    /// Of the outputs of a network, the links among them.
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
        let inputs: Vec<Input> = walk.iter().map(|&i| units.columns()[i].input()).collect();
        let outputs: Vec<usize> = heads.iter().map(Head::outputs).collect();
        let (blocks, heads) = (Blocks::of(&inputs, &outputs), Heads::new(heads));
        let links = match origin {
            Origin::Training(frequencies) => Links::of(&heads, walk, frequencies),
            Origin::Stored(links) => links.clone(),
        };
        let heads = heads.linked(&links.gains, &links.shifts);
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

    /// What the outputs of each place mean.
    pub(crate) fn heads(&self) -> &Heads {
        &self.heads
    }

    /// What the outputs are before they are parameters.
    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    /// How many outputs stay where they are.
    pub(crate) fn fixed_outputs(&self) -> usize {
        self.links.gains.iter().filter(|gain| **gain == 0.0).count()
    }

    /// How many outputs of a place a network decides: all but those that stay where they are.
    pub(crate) fn free_outputs_of(&self, place: usize) -> usize {
        let gains = &self.links.gains[self.blocks.outputs_of(place)];
        gains.iter().filter(|gain| **gain != 0.0).count()
    }

    /// The features of each row, `[batch, features]`, and its cells as the heads take them, `[batch, targets]`, both
    /// in the order of the blocks.
    ///
    /// # Shapes
    /// `x` is `[batch, columns]` in event order.
    ///
    /// # Panics
    /// When there is not one value for every column.
    pub(crate) fn encoded(&self, x: Tensor<2>, of: Rows, dtype: DType) -> (Tensor<2>, Tensor<2>) {
        self.encoded_by(Encoding::Features, x, of, dtype)
    }

    /// The same with a row as [`ar_kernels::blocks`] takes it, `[batch, inputs]`: the index of a label in the place of
    /// its features.
    ///
    /// # Panics
    /// When there is not one value for every column.
    pub(crate) fn inputs(&self, x: Tensor<2>, of: Rows, dtype: DType) -> (Tensor<2>, Tensor<2>) {
        self.encoded_by(Encoding::Inputs, x, of, dtype)
    }

    fn encoded_by(
        &self,
        encoding: Encoding,
        x: Tensor<2>,
        of: Rows,
        dtype: DType,
    ) -> (Tensor<2>, Tensor<2>) {
        let [_, dim] = x.dims();
        assert_eq!(dim, self.order.len(), "one value for every column");
        let like = (&x.device(), dtype);
        let values = x.into_data().convert::<f64>();
        let values = values.as_slice::<f64>().expect("they were converted");
        let (own, targets) = match dtype {
            DType::F32 => self.encoded_as(encoding, values, of, |x| x as f32),
            _ => self.encoded_as(encoding, values, of, |x| x),
        };
        (Tensor::from_data(own, like), Tensor::from_data(targets, like))
    }

    fn encoded_as<E: Element + Default>(
        &self,
        encoding: Encoding,
        values: &[f64],
        of: Rows,
        to: fn(f64) -> E,
    ) -> (TensorData, TensorData) {
        let (dim, blocks, heads) = (self.order.len(), &self.blocks, &self.heads);
        let (all_targets, width) = (
            heads.targets(),
            match encoding {
                Encoding::Features => blocks.features(),
                Encoding::Inputs => blocks.inputs(),
            },
        );
        let batch = values.len() / dim;
        let mut own = vec![E::default(); batch * width];
        let mut targets = vec![E::default(); batch * all_targets];
        own.par_chunks_mut(ENCODED * width)
            .zip(targets.par_chunks_mut(ENCODED * all_targets))
            .zip(values.par_chunks(ENCODED * dim))
            .for_each(|((own, targets), values)| {
                let rows = own.chunks_exact_mut(width).zip(targets.chunks_exact_mut(all_targets));
                for ((own, targets), row) in rows.zip(values.chunks_exact(dim)) {
                    for (place, &i) in self.order.as_slice().iter().enumerate() {
                        match encoding {
                            Encoding::Features => {
                                let own = &mut own[blocks.features_of(place)];
                                self.units.write_features(i, row[i], own, to);
                            }
                            Encoding::Inputs => {
                                let own = &mut own[blocks.inputs_of(place)];
                                self.units.write_input(i, row[i], own, to);
                            }
                        }
                        let targets = &mut targets[heads.targets_of(place)];
                        self.units.write_targets(i, row[i], of, targets, to);
                    }
                }
            });
        (TensorData::new(own, [batch, width]), TensorData::new(targets, [batch, all_targets]))
    }

    /// The features of one place, `[batch, features of it]`, from its cells, of the precision of `like`.
    pub(crate) fn features_of(&self, place: usize, x: Tensor<1>, like: &Tensor<2>) -> Tensor<2> {
        let ([batch], width) = (x.dims(), self.blocks.features_of(place).len());
        let i = self.order.as_slice()[place];
        let mut features = vec![0.0; batch * width];
        for (x, own) in x.into_data().iter::<f64>().zip(features.chunks_exact_mut(width)) {
            self.units.write_features(i, x, own, |x| x);
        }
        let features = TensorData::new(features, [batch, width]);
        Tensor::from_data(features, (&like.device(), like.dtype()))
    }

    /// log p of each cell from the outputs of a network.
    ///
    /// # Shapes
    /// `outputs` is `[batch, outputs]`, `targets` `[batch, targets]`, and the result `[batch, columns]`, in the order of the
    /// blocks.
    pub(crate) fn log_probs(&self, outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<2> {
        columns::log_prob(outputs, targets, &self.heads)
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

/// How cells are given to a network.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    /// A feature for every label.
    Features,
    /// The index of a label.
    Inputs,
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

/// ln of a scale that adds nothing to the least one.
const NARROW: f64 = -30.0;

/// Where links come from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Training(Frequencies),
    Stored(Links),
}

impl Links {
    /// Such that zeros are labels with the frequencies of training, and mixtures whose components stand at its
    /// quantiles and reach as far as the next ones; and one component on each spike, in a single cell, of which the
    /// outputs say the weight alone; and the list, with the weight that it is worth.
    fn of(heads: &Heads, walk: &[usize], frequencies: &Frequencies) -> Self {
        let mut links = Self { gains: Vec::new(), shifts: Vec::new() };
        for (head, &i) in heads.all().iter().zip(walk) {
            links.push(
                head,
                &frequencies.counts[i],
                &frequencies.values[i],
                &frequencies.spikes[i],
                frequencies.listed[i],
            );
        }
        links
    }

    fn push(
        &mut self,
        head: &Head,
        counts: &[u64],
        values: &[f64],
        spikes: &[(f64, f64)],
        of_list: f64,
    ) {
        match *head {
            Head::Category { labels, .. } => {
                let count = |label: usize| counts[label] as f64 + 1.0;
                let total: f64 = (0..labels).map(count).sum();
                self.shifts.extend((0..labels).map(|label| (count(label) / total).ln()));
            }
            Head::Number { components, listed, family, floor, missing } => {
                if missing == columns::Missing::Learned {
                    self.shifts.push(((counts[1] as f64 + 1.0) / (counts[0] as f64 + 1.0)).ln());
                }
                let before = self.shifts.len();
                let components = components - spikes.len();
                let share = |k: f64| k / components as f64;
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
                let smooth = 1.0 - spikes.iter().map(|(_, share)| share).sum::<f64>();
                let smooth = smooth.max(1e-3);
                let log_share = (smooth * (1.0 - of_list) / components as f64).ln();
                let none = || std::iter::repeat_n(0.0, spikes.len());
                self.shifts.extend(std::iter::repeat_n(log_share, components));
                self.shifts.extend(spikes.iter().map(|(_, share)| share.ln()));
                self.shifts.extend(listed.then(|| (smooth * of_list).ln()));
                self.shifts.extend((0..components).map(|k| quantile(share(k as f64 + 0.5))));
                self.shifts.extend(spikes.iter().map(|(z, _)| z));
                self.shifts.extend((0..components).map(|k| (reach(k) - floor).ln()));
                self.shifts.extend(spikes.iter().map(|_| NARROW));
                self.gains.resize(before + components + spikes.len() + usize::from(listed), 1.0);
                self.gains.extend((0..components).map(reach));
                self.gains.extend(none());
                self.gains.resize(self.gains.len() + components, 1.0);
                self.gains.extend(none());
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
