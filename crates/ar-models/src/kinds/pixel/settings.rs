//! What a config says of a network: which it is, and its sizes.

use serde::{Deserialize, Serialize};

use crate::foundation::checks::check_classes;
use crate::foundation::error::Error;
use crate::parts::heads::levels::Likelihood;

/// Which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelKind {
    /// Row LSTM.
    RowLstm,
    /// Diagonal LSTM from left to right alone.
    DiagonalLstm,
    /// Diagonal BiLSTM.
    DiagonalBilstm,
    /// PixelCNN.
    PixelCnn,
}

impl PixelKind {
    /// The name in a config.
    pub fn name(self) -> &'static str {
        match self {
            Self::RowLstm => "row-lstm",
            Self::DiagonalLstm => "diagonal-lstm",
            Self::DiagonalBilstm => "diagonal-bilstm",
            Self::PixelCnn => "pixel-cnn",
        }
    }
}

/// The sizes of a network, as they stand in a config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelSettings {
    /// Layers between the input convolution and the head.
    pub layers: usize,
    /// Hidden maps h of a layer; the maps between layers have 2h.
    pub hidden: usize,
    /// Maps of the head.
    #[serde(default = "head")]
    pub head: usize,
    /// Whether a layer's input is added to its output.
    #[serde(default = "yes")]
    pub residual: bool,
    /// Whether the head sees every layer's map, each through a 1×1 convolution, instead of the last.
    #[serde(default)]
    pub skip: bool,
    /// Whether the backward pass of a fused recurrent layer computes its gates again instead of keeping
    /// them: a third more time, for memory of one map per layer. PixelCNN keeps only its maps anyway.
    #[serde(default)]
    pub recompute: bool,
    /// Classes of the labels that a layer has biases for; none for a network that sees no labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// How symbols of more than two levels are described.
    #[serde(default, skip_serializing_if = "Likelihood::is_default")]
    pub likelihood: Likelihood,
    /// Components of a mixture.
    #[serde(default = "components", skip_serializing_if = "are_default_components")]
    pub components: usize,
}

/// Those of the paper of the mixture.
fn components() -> usize {
    10
}

fn are_default_components(given: &usize) -> bool {
    *given == components()
}

fn head() -> usize {
    32
}

fn yes() -> bool {
    true
}

impl PixelSettings {
    /// `layers` layers of `hidden` maps, and every other setting as when a config leaves it out.
    pub fn new(layers: usize, hidden: usize) -> Self {
        Self {
            layers,
            hidden,
            head: head(),
            residual: true,
            skip: false,
            recompute: false,
            classes: None,
            likelihood: Likelihood::Softmax,
            components: components(),
        }
    }
}

/// The most maps of a layer and layers of a network, far above any real one.
const MOST: usize = 1 << 14;

impl PixelSettings {
    /// Checks every value, for images of so many levels.
    ///
    /// # Errors
    /// The first impossible value.
    pub fn check(&self, levels: Option<usize>) -> Result<(), Error> {
        for (key, value) in [
            ("model.layers", self.layers),
            ("model.hidden", self.hidden),
            ("model.head", self.head),
        ] {
            if value == 0 || value > MOST {
                return Err(Error::Config {
                    key,
                    value: value.to_string(),
                    expected: format!("1 to {MOST}"),
                });
            }
        }
        check_classes(self.classes)?;
        self.likelihood.check(levels, self.components)
    }
}
