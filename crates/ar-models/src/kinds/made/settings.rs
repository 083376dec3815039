//! What a config says of a network: its sizes and masks.

use std::sync::Arc;

use ar_kernels::blocks::Blocks;
use prob_core::ordering::{Ordering, OrderingKind};
use rand::rngs::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::masks::{Connectivity, Hidden, free_weights};
use crate::foundation::checks::{are_default_components, check_components, default_components};
use crate::foundation::column::Column;
use crate::foundation::error::Error;
use crate::foundation::randomness::{Purpose, stream};
use crate::parts::layers::dropout;

/// The sizes and masks of a network, as they stand in a config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeSettings {
    /// Hidden units of each layer.
    pub hidden: Vec<usize>,
    /// The order of the walk.
    #[serde(default)]
    pub ordering: OrderingKind,
    /// Whether outputs also see the variables before them without a hidden layer between.
    #[serde(default)]
    pub direct: bool,
    /// Number of masks K that the likelihood averages over.
    #[serde(default = "one_mask")]
    pub masks: usize,
    /// The seed of the masks.
    #[serde(default = "mask_seed")]
    pub mask_seed: u64,
    /// Whether the hidden layers behind the first are residual blocks of two each.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub residual: bool,
    /// Share of the hidden units that training leaves out by chance.
    #[serde(default, skip_serializing_if = "dropout::is_none")]
    pub dropout: f64,
    /// Components of the mixture of each column of numbers; of no meaning to bits.
    #[serde(default = "default_components", skip_serializing_if = "are_default_components")]
    pub components: usize,
}

fn one_mask() -> usize {
    1
}

fn mask_seed() -> u64 {
    1
}

/// The most hidden layers, hidden units of a layer, and masks, far above any real ones.
const MOST_LAYERS: usize = 64;
const MOST_HIDDEN: usize = 1 << 20;
const MOST_MASKS: usize = 4096;

impl MadeSettings {
    /// Layers of `hidden` units in raster order, and every other setting as when a config leaves it out.
    pub fn new(hidden: Vec<usize>) -> Self {
        Self {
            hidden,
            ordering: OrderingKind::default(),
            direct: false,
            masks: one_mask(),
            mask_seed: mask_seed(),
            residual: false,
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
        if !(1..=MOST_MASKS).contains(&self.masks) {
            return Err(Error::Config {
                key: "model.masks",
                value: self.masks.to_string(),
                expected: format!("1 to {MOST_MASKS}"),
            });
        }
        let alike = self.hidden.iter().all(|units| *units == self.hidden[0]);
        if self.residual && !(alike && self.hidden.len() >= 3 && self.hidden.len() % 2 == 1) {
            return Err(Error::Config {
                key: "model.hidden",
                value: format!("{:?}", self.hidden),
                expected: "3, 5, 7, … layers of equally many units with model.residual: the first, and two for each \
                           block"
                    .into(),
            });
        }
        dropout::check(self.dropout)?;
        check_components(self.components)
    }

    /// How to make such a network that walks along `ordering`.
    pub fn config(&self, ordering: Ordering) -> MadeConfig {
        let Self { hidden, direct, masks, mask_seed, residual, dropout, .. } = self.clone();
        MadeConfig { ordering, hidden, direct, masks, mask_seed, residual, dropout }
    }
}

/// How to make a [`Made`](super::Made).
#[derive(Clone, Debug)]
pub struct MadeConfig {
    /// The order of the walk; its length is the number of variables.
    pub ordering: Ordering,
    /// Hidden units of each layer.
    pub hidden: Vec<usize>,
    /// Whether outputs also see the variables before them without a hidden layer between.
    pub direct: bool,
    /// Number of masks K.
    pub masks: usize,
    /// The seed of the masks.
    pub mask_seed: u64,
    /// Whether the hidden layers behind the first are residual blocks of two each.
    pub residual: bool,
    /// Share of the hidden units that training leaves out.
    pub dropout: f64,
}

impl MadeConfig {
    /// Layers of `hidden` units, one mask, and no direct connections.
    pub fn new(ordering: Ordering, hidden: Vec<usize>) -> Self {
        MadeSettings::new(hidden).config(ordering)
    }

    /// The generator of each mask's degrees; the k-th is the same whatever their number.
    fn streams(&self) -> impl Iterator<Item = ChaCha8Rng> {
        (0..self.masks as u64).map(|k| stream(self.mask_seed, Purpose::Connectivity, k))
    }

    fn hidden(&self) -> Hidden<'_> {
        Hidden { units: &self.hidden, residual: self.residual }
    }

    /// The connectivity of each mask between the features and outputs of the variables, in event order.
    pub(crate) fn connectivities(&self, blocks: &Blocks) -> Arc<[Connectivity]> {
        let draw = |mut rng| {
            Connectivity::draw(self.ordering.clone(), blocks.clone(), self.hidden(), &mut rng)
        };
        self.streams().map(draw).collect()
    }

    /// Number of weights that such a network over bits stores, and how many of them some mask lets through.
    pub fn parameters(&self) -> [usize; 2] {
        self.parameters_of(&Blocks::alike(self.ordering.len(), 1, 1))
    }

    /// The same over these columns, in event order, whose numbers are described by mixtures of `components`.
    ///
    /// # Panics
    /// When there is not one column for every variable of the ordering.
    pub fn column_parameters(&self, columns: &[Column], components: usize) -> [usize; 2] {
        let walk = self.ordering.as_slice().iter().map(|&i| columns[i]);
        let (features, outputs): (Vec<_>, Vec<_>) =
            walk.map(|column| (column.features(), column.outputs(components))).unzip();
        self.parameters_of(&Blocks::new(&features, &outputs))
    }

    /// The same with these blocks, in the order of the walk.
    pub(super) fn parameters_of(&self, blocks: &Blocks) -> [usize; 2] {
        let (inputs, outputs, hidden) = (blocks.features(), blocks.outputs(), &self.hidden);
        let sizes: Vec<usize> =
            [inputs].into_iter().chain(hidden.iter().copied()).chain([outputs]).collect();
        let between = sizes.windows(2).map(|pair| pair[0] * pair[1]).sum::<usize>();
        let direct = if self.direct { inputs * outputs } else { 0 };
        let biases = hidden.iter().sum::<usize>() + outputs;
        let free = free_weights(blocks, self.hidden(), self.direct, self.streams());
        [between + direct + biases, free + biases]
    }
}
