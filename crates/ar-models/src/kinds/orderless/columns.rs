//! Order-agnostic NADE over the columns of a table: any columns given any others.
//!
//! ```text
//! o_[i] = b_[i] + V_[i] h_L,   h_1 = φ(c_1 + Σ_{j∈known} (Σ_f x_f W_f + M_j))
//! p(x_i | those known) = p(x_i | o_[i])
//! ```
//!
//! The network is that of [`crate::kinds::orderless`]; features f of column j, outputs and likelihoods are those of
//! [`ColumnNade`](crate::kinds::nade::ColumnNade). What is not known has no features and no M_j. A cell that is missing in the data
//! is known to be missing, which its features say; one that is not known may be anything, missing too.
//!
//! # References
//! - Uria, Murray, Larochelle, *A Deep and Tractable Density Estimator*, ICML 2014, arXiv:1310.1757, Eqs. 6 to 9.
//! - Uria, Côté, Gregor, Murray, Larochelle, *Neural Autoregressive Distribution Estimation*, 2016,
//!   arXiv:1605.02226, Sections 4 and 5.
//!
//! # Deviations from the papers
//! Variables are of different types, and numbers conditioned on as asinh z. Initial weights are those of
//! [`crate::kinds::orderless`].

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Bool, Device, Float, Int, Tensor, TensorData};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density, Sample};
use rand::Rng;

use super::along::{
    Along, AnyOrdering, Ensemble, Observed, OrderlessState, complete_along, log_prob_conditional,
};
use super::network::{Initial, Layer, Network};
use super::settings::OrderlessConfig;
use crate::parts::columns::{ColumnConditional, Layout, Mixtures, Origin, Rows, Units};
use crate::parts::layers::dropout::Dropout;
use crate::parts::neural::Neural;
use crate::parts::value::ValueKind;

/// How to make a [`ColumnOrderless`].
#[derive(Clone, Debug)]
pub struct ColumnOrderlessConfig {
    /// The hidden layers and orderings.
    pub(crate) network: OrderlessConfig,
    /// How numbers are described.
    pub(crate) mixtures: Mixtures,
}

impl ColumnOrderlessConfig {
    /// Weights as those of [`OrderlessConfig::init`], and b = 0: nearly, labels have the frequencies of training and
    /// components stand where its numbers are.
    ///
    /// # Panics
    /// When the units or the links are of other columns.
    pub(crate) fn init(
        &self,
        units: Units,
        origin: &Origin,
        rng: &mut dyn Rng,
        device: &Device,
    ) -> ColumnOrderless {
        let settings = &self.network.settings;
        let order = Ordering::raster(self.network.ordering.len());
        let layout = Layout::new(order, units, origin, self.mixtures);
        let Initial { w, m, c, layers, v } = Initial::draw(settings, layout.blocks(), rng, device);
        let b = Tensor::zeros([layout.blocks().outputs()], device);
        ColumnOrderless {
            w,
            m,
            c,
            layers,
            v,
            b: Param::from_tensor(b),
            orderings: self.network.orderings(settings.orderings),
            layout,
            config: self.clone(),
        }
    }
}

/// An order-agnostic NADE over columns.
///
/// As a density and a walk it is the distribution along its one [`ordering`](Neural::ordering). There are
/// also [`along`](Self::along) any other, the [`ensemble`](Self::ensemble) over several, and
/// [`log_prob_conditional`](Self::log_prob_conditional).
#[derive(Module, Debug)]
pub struct ColumnOrderless {
    /// W, `[features, first hidden]`, by columns in event order.
    pub w: Param<Tensor<2>>,
    /// M, `[columns, first hidden]`; row i is what it says that column i is known.
    pub m: Param<Tensor<2>>,
    /// Biases of the first layer, `[first hidden]`.
    pub c: Param<Tensor<1>>,
    /// The hidden layers above the first.
    pub layers: Vec<Layer>,
    /// Output weights V, `[outputs, last hidden]`, by columns in event order.
    pub v: Param<Tensor<2>>,
    /// Output biases b, `[outputs]`.
    pub b: Param<Tensor<1>>,
    #[module(skip)]
    orderings: Arc<[Ordering]>,
    #[module(skip)]
    layout: Layout,
    #[module(skip)]
    config: ColumnOrderlessConfig,
}

impl ColumnOrderless {
    /// The orderings of the ensemble; the first is that of the walk.
    pub fn orderings(&self) -> &[Ordering] {
        &self.orderings
    }

    /// The same weights with an ensemble of `count` orderings, of which the first are the same.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn with_orderings(mut self, count: usize) -> Self {
        assert!(count > 0, "0 orderings, expected at least 1");
        self.orderings = self.config.network.orderings(count);
        self
    }

    /// The distribution along `ordering`.
    ///
    /// # Panics
    /// When the ordering is not of the model's columns.
    pub fn along(&self, ordering: Ordering) -> Along<'_, Self> {
        Along::of(self, ordering)
    }

    /// The mixture over [`orderings`](Self::orderings).
    pub fn ensemble(&self) -> Ensemble<'_, Self> {
        Ensemble { model: self }
    }

    /// Where the features and outputs of each column are, and what they mean.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    fn network(&self) -> Network<'_> {
        let Self { w, m, c, layers, v, b, config, .. } = self;
        Network { w, m, c, layers, v, b, activation: config.network.settings.activation }
    }

    /// The distribution along the ordering of the walk.
    fn walk(&self) -> Along<'_, Self> {
        self.along(self.orderings[0].clone())
    }

    /// log p of each column given those before it along an ordering, `[batch, columns]` in event order.
    fn log_probs_along(&self, ordering: &Ordering, x: Tensor<2>) -> Tensor<2> {
        let [batch, dim] = x.dims();
        let (features, targets) = self.layout.encoded(x, Rows::Any, self.b.dtype());
        if batch == 0 {
            return targets.narrow(1, 0, dim);
        }
        let (network, blocks) = (self.network(), self.layout.blocks());
        let mut known = network.nothing_known(batch);
        let mut outputs = vec![None; dim];
        for &i in ordering.as_slice() {
            outputs[i] = Some(network.outputs_at(known.clone(), blocks.outputs_of(i)));
            let at = blocks.features_of(i);
            let own = features.clone().narrow(1, at.start, at.len());
            known = network.reveal(known, i, (own, at));
        }
        self.layout.log_probs(Tensor::cat(outputs.into_iter().flatten().collect(), 1), targets)
    }

    /// An estimate of the mean over all orderings of −log p_o(x), one draw for each row, `[batch]` in nats:
    /// unbiased, and at least the NLL of the ensemble over all orderings in expectation.
    ///
    /// # Shapes
    /// `x` is `[batch, columns]` in event order.
    pub fn ordering_loss(&self, x: Tensor<2>, rng: &mut dyn Rng) -> Tensor<1> {
        let [batch, dim] = x.dims();
        let like = (&x.device(), self.b.dtype());
        let Observed { mask, scales } = Observed::draw([batch, dim], rng, like);
        let (features, targets) = self.layout.encoded(x, Rows::Training, self.b.dtype());
        let seen = features * self.of_features(&mask);
        let mut dropout = Dropout::new(self.config.network.settings.dropout, rng);
        let outputs = self.network().outputs_given(seen, mask.clone(), &mut dropout);
        // Known columns cost nothing.
        let costs = self.layout.log_probs(outputs, targets).neg();
        costs.mask_fill(mask.greater_scalar(0.5), 0.0).sum_dim(1).reshape([batch]) * scales
    }

    /// What holds for each column as what holds for each of its features, `[batch, features]`.
    fn of_features(&self, columns: &Tensor<2>) -> Tensor<2> {
        let blocks = self.layout.blocks();
        let owner: Vec<i64> =
            (0..blocks.dim()).flat_map(|i| blocks.features_of(i).map(move |_| i as i64)).collect();
        let owner = TensorData::new(owner, [blocks.features()]);
        columns.clone().select(1, Tensor::<1, Int>::from_data(owner, &columns.device()))
    }

    /// log p(x_missing | x_observed), exact, in nats: of the mixture over
    /// [`orderings`](Self::orderings), each with the observed columns moved to its front. `-inf`
    /// for a row with what is no label, whether it is missing or observed.
    ///
    /// # Shapes
    /// `x` is `[batch, columns]` in event order, `observed` `[columns]`; returns `[batch]`.
    ///
    /// # Panics
    /// When `observed` does not have one entry per column.
    pub fn log_prob_conditional(&self, x: Tensor<2>, observed: &[bool]) -> Tensor<1> {
        log_prob_conditional(self, x, observed)
    }
}

impl AnyOrdering for ColumnOrderless {
    fn orderings(&self) -> &[Ordering] {
        &self.orderings
    }

    fn nothing_known(&self, batch: usize) -> Tensor<2> {
        self.network().nothing_known(batch)
    }

    fn conditional_of(&self, i: usize, known: &Tensor<2>) -> ColumnConditional {
        let outputs = self.network().outputs_at(known.clone(), self.layout.blocks().outputs_of(i));
        self.layout.conditional(i, outputs)
    }

    fn reveal(&self, known: Tensor<2>, i: usize, x_i: Tensor<1>) -> Tensor<2> {
        let features = self.layout.features_of(i, x_i, &known);
        self.network().reveal(known, i, (features, self.layout.blocks().features_of(i)))
    }

    fn log_prob_from(&self, ordering: &Ordering, x: Tensor<2>, from: usize) -> Tensor<1> {
        let [batch, dim] = x.dims();
        let log_probs = self.log_probs_along(ordering, x);
        let before: Vec<bool> = ordering.positions().iter().map(|&t| t < from).collect();
        let before = TensorData::new(before, [1, dim]);
        let before = Tensor::<2, Bool>::from_data(before, &log_probs.device());
        log_probs.mask_fill(before.expand([batch, dim]), 0.0).sum_dim(1).reshape([batch])
    }

    fn impossible(&self, x: &Tensor<2>) -> Tensor<1, Bool> {
        let ([batch, dim], columns) = (x.dims(), self.layout.units().columns());
        let values = Float::to_host(x.clone());
        let is_none = |row: &[f64]| {
            row.iter().zip(columns).any(|(&value, column)| column.refuse(value).is_some())
        };
        let rows: Vec<bool> = values.chunks_exact(dim).map(is_none).collect();
        Tensor::from_data(TensorData::new(rows, [batch]), &x.device())
    }
}

impl Density for ColumnOrderless {
    type Event = Tensor<2>;

    /// Along the ordering of the walk.
    ///
    /// # Panics
    /// When an event does not have one value for every column.
    fn log_prob(&self, x: Tensor<2>) -> Tensor<1> {
        self.walk().log_prob(x)
    }
}

impl Sample for ColumnOrderless {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2> {
        self.walk().sample(n, rng)
    }
}

impl Autoregressive for ColumnOrderless {
    type State = OrderlessState;
    type Conditional = ColumnConditional;

    fn event_len(&self) -> usize {
        self.orderings[0].len()
    }

    fn init_state(&self, batch: usize) -> OrderlessState {
        self.walk().init_state(batch)
    }

    fn conditional(&self, state: &OrderlessState) -> ColumnConditional {
        self.walk().conditional(state)
    }

    fn advance(&self, state: &mut OrderlessState, x_t: Tensor<1>) {
        self.walk().advance(state, x_t);
    }

    fn select(&self, state: &OrderlessState, walks: &[usize]) -> OrderlessState {
        self.walk().select(state, walks)
    }
}

impl Neural for ColumnOrderless {
    type Kind = Float;

    fn ordering(&self) -> &Ordering {
        &self.orderings[0]
    }

    fn log_prob_per_variable(&self, x: Tensor<2>) -> Tensor<2> {
        self.log_probs_along(&self.orderings[0], x)
    }

    /// h_L with every column known, `[batch, last hidden]`.
    fn features(&self, x: Tensor<2>) -> Option<Tensor<2>> {
        let [batch, dim] = x.dims();
        let (features, _) = self.layout.encoded(x, Rows::Any, self.b.dtype());
        let all = Tensor::ones([batch, dim], (&features.device(), features.dtype()));
        Some(self.network().last_hidden(features, all, &mut Dropout::none()))
    }

    /// Exact for any mask: along the ordering of the walk with the observed columns moved to its front.
    fn complete(&self, observed: &[Option<f64>], rng: &mut dyn Rng) -> Vec<f64> {
        complete_along(self, &self.orderings[..1], observed, rng)
    }

    fn training_loss(
        &self,
        x: Tensor<2>,
        _: Option<Tensor<1, Int>>,
        rng: &mut dyn Rng,
    ) -> Tensor<1> {
        self.ordering_loss(x, rng)
    }

    fn for_validation(self) -> Self {
        self.with_orderings(1)
    }

    /// Number of weights that the likelihood depends on: not those of an output that stays where it is.
    fn free_parameters(&self) -> usize {
        let [_, hidden] = self.v.dims();
        self.num_params() - self.layout.fixed_outputs() * (hidden + 1)
    }
}
