//! What a config says of a network: its sizes and orderings.

use std::sync::Arc;

use ar_kernels::blocks::Blocks;
use burn::tensor::Tensor;
use burn::tensor::activation::{relu, sigmoid};
use prob_core::ordering::{Ordering, OrderingKind};
use serde::{Deserialize, Serialize};

use super::along::orderings;
use crate::foundation::checks::{are_default_components, check_components, default_components};
use crate::foundation::column::Column;
use crate::foundation::error::Error;
use crate::parts::layers::dropout;

/// What the hidden units compute, φ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// 1 / (1 + e^−a), as in NADE.
    #[default]
    Sigmoid,
    /// max(a, 0).
    Relu,
}

impl Activation {
    pub(crate) fn of<const D: usize>(self, a: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Sigmoid => sigmoid(a),
            Self::Relu => relu(a),
        }
    }

    /// Variance of initial weights times the number of inputs.
    pub(crate) fn gain(self) -> f64 {
        match self {
            Self::Sigmoid => 1.0,
            Self::Relu => 2.0,
        }
    }
}

/// The sizes and orderings of a network, as they stand in a config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderlessSettings {
    /// Hidden units of each layer.
    pub hidden: Vec<usize>,
    /// What the hidden units compute.
    #[serde(default)]
    pub activation: Activation,
    /// The order of the walk, and of the first member of the ensemble.
    #[serde(default)]
    pub ordering: OrderingKind,
    /// Number of orderings K that the likelihood averages over.
    #[serde(default = "one")]
    pub orderings: usize,
    /// The seed of the orderings behind the first.
    #[serde(default = "seed")]
    pub ordering_seed: u64,
    /// Share of the hidden units that training leaves out by chance.
    #[serde(default, skip_serializing_if = "dropout::is_none")]
    pub dropout: f64,
    /// Components of the mixture of each column of numbers; of no meaning to bits.
    #[serde(default = "default_components", skip_serializing_if = "are_default_components")]
    pub components: usize,
}

fn one() -> usize {
    1
}

fn seed() -> u64 {
    1
}

/// The most hidden layers, hidden units of a layer, and orderings, far above any real ones.
const MOST_LAYERS: usize = 64;
const MOST_HIDDEN: usize = 1 << 20;
/// The most orderings of an ensemble.
pub const MOST_ORDERINGS: usize = 4096;

impl OrderlessSettings {
    /// Layers of `hidden` units, and every other setting as when a config leaves it out.
    pub fn new(hidden: Vec<usize>) -> Self {
        Self {
            hidden,
            activation: Activation::default(),
            ordering: OrderingKind::default(),
            orderings: one(),
            ordering_seed: seed(),
            dropout: 0.0,
            components: default_components(),
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// The first impossible value.
    pub fn check(&self) -> Result<(), Error> {
        let fits = |units: &usize| (1..=MOST_HIDDEN).contains(units);
        if !((1..=MOST_LAYERS).contains(&self.hidden.len()) && self.hidden.iter().all(fits)) {
            return Err(Error::Config {
                key: "model.hidden",
                value: format!("{:?}", self.hidden),
                expected: format!("1 to {MOST_LAYERS} layers, each of 1 to {MOST_HIDDEN} units"),
            });
        }
        if !(1..=MOST_ORDERINGS).contains(&self.orderings) {
            return Err(Error::Config {
                key: "model.orderings",
                value: self.orderings.to_string(),
                expected: format!("1 to {MOST_ORDERINGS}"),
            });
        }
        dropout::check(self.dropout)?;
        check_components(self.components)
    }

    /// How to make such a network that walks along `ordering`.
    pub fn config(&self, ordering: Ordering) -> OrderlessConfig {
        OrderlessConfig { ordering, settings: self.clone() }
    }
}

/// How to make an [`OrderlessNade`](super::OrderlessNade).
#[derive(Clone, Debug)]
pub struct OrderlessConfig {
    /// The order of the walk; its length is the number of variables.
    pub ordering: Ordering,
    /// Everything else.
    pub settings: OrderlessSettings,
}

impl OrderlessConfig {
    /// One sigmoid layer of `hidden` units and one ordering.
    pub fn new(ordering: Ordering, hidden: usize) -> Self {
        OrderlessSettings::new(vec![hidden]).config(ordering)
    }

    /// Number of weights of such a network over bits.
    pub fn parameters(&self) -> usize {
        self.parameters_of(&Blocks::alike(self.ordering.len(), 1, 1))
    }

    /// The same over these columns, whose numbers are described by mixtures of so many components.
    pub fn column_parameters(&self, columns: &[Column]) -> usize {
        let widths =
            |column: &Column| (column.features(), column.outputs(self.settings.components));
        let (features, outputs): (Vec<_>, Vec<_>) = columns.iter().map(widths).unzip();
        self.parameters_of(&Blocks::new(&features, &outputs))
    }

    pub(super) fn parameters_of(&self, blocks: &Blocks) -> usize {
        let (hidden, outputs) = (&self.settings.hidden, blocks.outputs());
        let above: usize = hidden.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum();
        let first = (blocks.features() + blocks.dim() + 1) * hidden[0];
        first + above + outputs * (hidden[hidden.len() - 1] + 1)
    }

    /// The orderings of an ensemble of `count`; the k-th is the same whatever their number.
    pub(crate) fn orderings(&self, count: usize) -> Arc<[Ordering]> {
        orderings(&self.ordering, count, self.settings.ordering_seed)
    }
}
