//! NADE over the columns of a table.
//!
//! ```text
//! a_1 = c;   h_t = max(0, ρ_t a_t);   o_[t] = b_[t] + V_[t] h_t;   a_{t+1} = a_t + Σ_f x_f W_f
//! p(x) = Π_t p(x_t | o_[t])
//! ```
//!
//! The outputs are parameters after a fixed shift and gain each ([`Links`]).
//!
//! A category gives one feature per label and takes a softmax of as many outputs; a number gives asinh z and takes a
//! mixture of logistics on its grid, or of Gaussians; see [`ar_kernels::blocks`] and [`ar_kernels::columns`]. So
//! log p(x) is the logarithm of a mass in the columns on a grid and the categories, and of a density in the units of
//! the data in the real ones.
//!
//! # References
//! - Uria, Côté, Gregor, Murray, Larochelle, *Neural Autoregressive Distribution Estimation*, 2016, arXiv:1605.02226,
//!   Sections 2 and 3.
//! - The likelihood of numbers on a grid: Salimans, Karpathy, Chen, Kingma, *PixelCNN++*, 2017, arXiv:1701.05517,
//!   Eq. 2.
//!
//! # Deviations from the papers
//! Variables are of different types. Numbers are conditioned on as asinh z, so that one far away moves the hidden units
//! by its logarithm.

use std::sync::Arc;

use ar_kernels::blocks::{self, Blocks, Input, Weights};
use ar_kernels::columns::{self, Family, Head, Heads};
use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Element, Float, Tensor, TensorData};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density, Sample};
use rand::Rng;
use rayon::prelude::*;

use super::units::Frequencies;
use super::{ColumnConditional, Units};
use crate::layers::{normal, rows};
use crate::neural::{Neural, ValueKind, device_of};
use crate::walk;

/// Rows that a thread encodes at a time.
const ENCODED: usize = 64;

/// How to make a [`ColumnNade`].
#[derive(Clone, Debug)]
pub struct ColumnNadeConfig {
    /// The order of the walk; its length is the number of columns.
    pub ordering: Ordering,
    /// Hidden units H.
    pub hidden: usize,
    /// Components K of each mixture.
    pub components: usize,
    /// Standard deviation of the initial W, V and c.
    pub init_scale: f64,
    /// The least scale of a Gaussian, in standard deviations of its column.
    pub min_scale: f64,
}

impl ColumnNadeConfig {
    /// W, V and c drawn from N(0, init_scale²), and b = 0: with zero weights labels have the frequencies of training,
    /// and components stand where its numbers are.
    ///
    /// # Panics
    /// When the units or the links are of other columns.
    pub(crate) fn init(
        &self,
        units: Units,
        origin: &Origin,
        rng: &mut dyn Rng,
        device: &Device,
    ) -> ColumnNade {
        let dim = self.ordering.len();
        assert_eq!(units.columns().len(), dim, "units of every column");
        let (blocks, heads) = self.layout(&units);
        let hidden = self.hidden;
        let w = normal([blocks.features(), hidden], self.init_scale, rng, device);
        let v = normal([blocks.outputs(), hidden], self.init_scale, rng, device);
        let c = normal([hidden], self.init_scale, rng, device);
        let rho: Vec<f32> = (1..=dim).map(|t| 1.0 / (t as f32).sqrt()).collect();
        let walk = self.ordering.as_slice();
        let links = match origin {
            Origin::Training(frequencies) => Links::of(&heads, walk, frequencies),
            Origin::Stored(links) => links.clone(),
        };
        let heads = heads.linked(&links.gains, &links.shifts);
        let b = Tensor::zeros([blocks.outputs()], device);
        ColumnNade {
            w: Param::from_tensor(w),
            c: Param::from_tensor(c),
            rho: Param::from_tensor(Tensor::from_data(TensorData::new(rho, [dim]), device)),
            v: Param::from_tensor(v),
            b: Param::from_tensor(b),
            ordering: self.ordering.clone(),
            units: Arc::new(units),
            blocks,
            heads,
            links,
        }
    }

    /// Where the features and outputs of each position are, and what the outputs mean.
    fn layout(&self, units: &Units) -> (Blocks, Heads) {
        let walk = self.ordering.as_slice();
        let heads: Vec<Head> =
            walk.iter().map(|&i| units.head(i, self.components, self.min_scale)).collect();
        let inputs: Vec<Input> = walk.iter().map(|&i| units.columns()[i].input()).collect();
        let outputs: Vec<usize> = heads.iter().map(Head::outputs).collect();
        (Blocks::of(&inputs, &outputs), Heads::new(heads))
    }
}

/// What the outputs of the recurrence become before they are parameters: `shift + gain · o`.
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
    /// outputs say the weight alone.
    fn of(heads: &Heads, walk: &[usize], frequencies: &Frequencies) -> Self {
        let mut links = Self { gains: Vec::new(), shifts: Vec::new() };
        for (head, &i) in heads.all().iter().zip(walk) {
            links.push(
                head,
                &frequencies.counts[i],
                &frequencies.values[i],
                &frequencies.spikes[i],
            );
        }
        links
    }

    fn push(&mut self, head: &Head, counts: &[u64], values: &[f64], spikes: &[(f64, f64)]) {
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
                let log_share = (smooth.max(1e-3) / components as f64).ln();
                let none = || std::iter::repeat_n(0.0, spikes.len());
                self.shifts.extend(std::iter::repeat_n(log_share, components));
                self.shifts.extend(spikes.iter().map(|(_, share)| share.ln()));
                self.shifts.extend((0..components).map(|k| quantile(share(k as f64 + 0.5))));
                self.shifts.extend(spikes.iter().map(|(z, _)| z));
                self.shifts.extend((0..components).map(|k| (reach(k) - floor).ln()));
                self.shifts.extend(spikes.iter().map(|_| NARROW));
                self.gains.resize(before + components + spikes.len(), 1.0);
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
    fn parameters(&self, outputs: Tensor<2>, at: core::ops::Range<usize>) -> Tensor<2> {
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

/// A NADE over columns.
#[derive(Module, Debug)]
pub struct ColumnNade {
    /// Input weights W, `[features, hidden]`, by blocks in the order of the walk.
    pub w: Param<Tensor<2>>,
    /// Hidden biases c, `[hidden]`.
    pub c: Param<Tensor<1>>,
    /// Scales of the activations ρ, `[columns]`.
    pub rho: Param<Tensor<1>>,
    /// Output weights V, `[outputs, hidden]`, by blocks in the order of the walk.
    pub v: Param<Tensor<2>>,
    /// Output biases b, `[outputs]`.
    pub b: Param<Tensor<1>>,
    #[module(skip)]
    ordering: Ordering,
    #[module(skip)]
    units: Arc<Units>,
    #[module(skip)]
    blocks: Blocks,
    #[module(skip)]
    heads: Heads,
    #[module(skip)]
    links: Links,
}

impl ColumnNade {
    /// What the columns look like.
    pub fn units(&self) -> &Units {
        &self.units
    }

    /// Number of weights that the likelihood depends on: not those of an output that stays where it is.
    pub(crate) fn free_parameters(&self) -> usize {
        let [hidden] = self.c.dims();
        let fixed = self.links.gains.iter().filter(|gain| **gain == 0.0).count();
        self.num_params() - fixed * (hidden + 1)
    }

    /// What the outputs are before they are parameters.
    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    fn weights(&self) -> Weights {
        Weights {
            w: self.w.val(),
            c: self.c.val(),
            rho: self.rho.val(),
            v: self.v.val(),
            b: self.b.val(),
        }
    }

    /// The input of each row to the recurrence, `[batch, inputs]`, and its cells as the heads take them,
    /// `[batch, columns]`, in the order of the walk.
    fn encoded(&self, x: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let [_, dim] = x.dims();
        assert_eq!(dim, self.ordering.len(), "one value for every column");
        let like = (&x.device(), self.b.dtype());
        let values = x.into_data().convert::<f64>();
        let values = values.as_slice::<f64>().expect("they were converted");
        let (inputs, targets) = match self.b.dtype() {
            DType::F32 => self.encoded_as(values, |x| x as f32),
            _ => self.encoded_as(values, |x| x),
        };
        (Tensor::from_data(inputs, like), Tensor::from_data(targets, like))
    }

    fn encoded_as<E: Element + Default>(
        &self,
        values: &[f64],
        to: fn(f64) -> E,
    ) -> (TensorData, TensorData) {
        let (width, dim) = (self.blocks.inputs(), self.ordering.len());
        let batch = values.len() / dim;
        let mut inputs = vec![E::default(); batch * width];
        let mut targets = vec![E::default(); batch * dim];
        inputs
            .par_chunks_mut(ENCODED * width)
            .zip(targets.par_chunks_mut(ENCODED * dim))
            .zip(values.par_chunks(ENCODED * dim))
            .for_each(|((inputs, targets), values)| {
                let rows = inputs.chunks_exact_mut(width).zip(targets.chunks_exact_mut(dim));
                for ((inputs, targets), row) in rows.zip(values.chunks_exact(dim)) {
                    for (t, &i) in self.ordering.as_slice().iter().enumerate() {
                        let at = self.blocks.inputs_of(t);
                        self.units.write_input(i, row[i], &mut inputs[at], to);
                        targets[t] = to(self.units.target(i, row[i]));
                    }
                }
            });
        (TensorData::new(inputs, [batch, width]), TensorData::new(targets, [batch, dim]))
    }

    /// log p(x_t | x_<t), `[batch, columns]` in the order of the walk.
    fn walk_log_probs(&self, x: Tensor<2>) -> Tensor<2> {
        let (inputs, targets) = self.encoded(x);
        let outputs = blocks::outputs(inputs, self.weights(), &self.blocks);
        columns::log_prob(outputs, targets, &self.heads)
    }
}

impl Density for ColumnNade {
    type Event = Tensor<2>;

    /// # Panics
    /// When an event does not have one value for every column.
    fn log_prob(&self, x: Tensor<2>) -> Tensor<1> {
        let [batch, _] = x.dims();
        self.walk_log_probs(x).sum_dim(1).reshape([batch])
    }
}

impl Sample for ColumnNade {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2> {
        let dim = self.event_len();
        let drawn = self.complete(&vec![None; n * dim], rng);
        Float::to_device(&drawn, dim, &device_of(self))
    }
}

/// a_t of each walk of a batch.
#[derive(Clone, Debug)]
pub struct ColumnNadeState {
    position: usize,
    /// `[batch, hidden]`
    a: Tensor<2>,
}

impl Autoregressive for ColumnNade {
    type State = ColumnNadeState;
    type Conditional = ColumnConditional;

    fn event_len(&self) -> usize {
        self.ordering.len()
    }

    fn init_state(&self, batch: usize) -> ColumnNadeState {
        let [hidden] = self.c.dims();
        ColumnNadeState { position: 0, a: self.c.val().unsqueeze::<2>().expand([batch, hidden]) }
    }

    fn conditional(&self, state: &ColumnNadeState) -> ColumnConditional {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} columns");
        let at = self.blocks.outputs_of(t);
        let v_t = self.v.val().narrow(0, at.start, at.len());
        let b_t = self.b.val().narrow(0, at.start, at.len()).unsqueeze::<2>();
        let rho_t = self.rho.val().narrow(0, t, 1).unsqueeze::<2>(); // [1, 1]
        let h = relu(state.a.clone().mul(rho_t)); // [batch, hidden]
        let outputs = h.matmul(v_t.transpose()) + b_t; // [batch, outputs of t]
        ColumnConditional {
            units: Arc::clone(&self.units),
            column: self.ordering.as_slice()[t],
            head: self.heads.all()[t],
            outputs: self.links.parameters(outputs, at),
        }
    }

    fn advance(&self, state: &mut ColumnNadeState, x_t: Tensor<1>) {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} columns");
        let [batch, _] = state.a.dims();
        assert_eq!(x_t.dims(), [batch], "one value per walk");
        let (i, at) = (self.ordering.as_slice()[t], self.blocks.features_of(t));
        let mut features = Vec::with_capacity(batch * at.len());
        for x in x_t.into_data().iter::<f64>() {
            self.units.push_features(i, x, &mut features);
        }
        let features = TensorData::new(features, [batch, at.len()]);
        let features = Tensor::<2>::from_data(features, (&state.a.device(), state.a.dtype()));
        let w_t = self.w.val().narrow(0, at.start, at.len());
        state.a = state.a.clone() + features.matmul(w_t); // [batch, hidden]
        state.position += 1;
    }

    fn select(&self, state: &ColumnNadeState, walks: &[usize]) -> ColumnNadeState {
        ColumnNadeState { position: state.position, a: rows(&state.a, walks) }
    }
}

impl Neural for ColumnNade {
    type Kind = Float;

    fn ordering(&self) -> &Ordering {
        &self.ordering
    }

    fn log_prob_per_variable(&self, x: Tensor<2>) -> Tensor<2> {
        let [batch, dim] = x.dims();
        let log_probs = self.walk_log_probs(x);
        if batch == 0 {
            return log_probs;
        }
        let positions: Vec<i64> = self.ordering.positions().iter().map(|&t| t as i64).collect();
        let positions = TensorData::new(positions, [dim]);
        let device = log_probs.device();
        log_probs.select(1, Tensor::from_data(positions, &device))
    }

    /// max(0, c + Σ_f x_f W_f), the hidden units after all columns but for a scale.
    fn features(&self, x: Tensor<2>) -> Option<Tensor<2>> {
        let (inputs, _) = self.encoded(x);
        let after =
            blocks::reference::activations(inputs, self.w.val(), self.c.val(), &self.blocks);
        Some(relu(after))
    }

    fn complete(&self, observed: &[Option<f64>], rng: &mut dyn Rng) -> Vec<f64> {
        walk::complete(self, observed, rng)
    }
}
