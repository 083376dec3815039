//! Model configs as they stand in a TOML file, and what they must satisfy.

use num_bigint::BigUint;
use prob_core::joint::{DEFAULT_PSEUDO_COUNT, topological_order};
use prob_core::ordering::{Ordering, OrderingKind};
use serde::{Deserialize, Serialize};

use crate::foundation::checks::{are_default_components, check_classes, default_components};
use crate::foundation::error::Error;
use crate::kinds::made::MadeSettings;
use crate::kinds::orderless::OrderlessSettings;
use crate::kinds::pixel::{ImageLayout, PixelKind, PixelSettings};
use crate::kinds::rnade::RnadeSettings;
use crate::kinds::tables::{ColumnTables, Contexts, Family};
use crate::kinds::window::KernelSettings;
use crate::parts::heads::levels::Likelihood;

pub use crate::foundation::event::EventSpec;

/// The `[model]` table of a config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ModelConfig {
    /// Every event alike.
    Uniform {},
    /// Every variable on its own.
    Independent {
        /// Laplace's pseudo-count per state.
        #[serde(default = "pseudo_count")]
        pseudo_count: f64,
    },
    /// A Markov chain along an ordering.
    Markov {
        /// How many predecessors each variable sees.
        order: usize,
        /// The order of the walk.
        #[serde(default)]
        ordering: OrderingKind,
        /// Laplace's pseudo-count per state.
        #[serde(default = "pseudo_count")]
        pseudo_count: f64,
    },
    /// Earlier pixels at fixed offsets.
    Neighbourhood {
        /// `[row, column]` offsets, each before its pixel in raster order.
        offsets: Vec<[isize; 2]>,
        /// Laplace's pseudo-count per state.
        #[serde(default = "pseudo_count")]
        pseudo_count: f64,
    },
    /// A directed acyclic graph.
    BayesianNetwork {
        /// The parents of each variable.
        parents: Vec<Vec<usize>>,
        /// Laplace's pseudo-count per state.
        #[serde(default = "pseudo_count")]
        pseudo_count: f64,
    },
    /// One probability per event.
    FullTable {
        /// Laplace's pseudo-count per event.
        #[serde(default = "pseudo_count")]
        pseudo_count: f64,
    },
    /// A Parzen window.
    Kernel(KernelSettings),
    /// Logistic autoregression (fully visible belief net).
    Logistic {
        /// The order of the walk.
        #[serde(default)]
        ordering: OrderingKind,
    },
    /// Neural autoregressive distribution estimator.
    Nade {
        /// Hidden units.
        hidden: usize,
        /// The order of the walk.
        #[serde(default)]
        ordering: OrderingKind,
        /// Standard deviation of the initial weights.
        #[serde(default = "init_scale")]
        init_scale: f64,
        /// Classes of the labels that there are biases for; none for a model that sees no labels.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        classes: Option<usize>,
        /// Components of the mixture of each column of numbers, or of each symbol that is described by one; of no
        /// meaning to bits.
        #[serde(default = "default_components", skip_serializing_if = "are_default_components")]
        components: usize,
        /// How symbols of more than two levels are described.
        #[serde(default, skip_serializing_if = "Likelihood::is_default")]
        likelihood: Likelihood,
    },
    /// Masked autoencoder for distribution estimation.
    Made(MadeSettings),
    /// Neural autoregressive density estimator of real numbers.
    Rnade(RnadeSettings),
    /// Order-agnostic NADE: one ordering, or the ensemble over several.
    OrderlessNade(OrderlessSettings),
    /// PixelRNN with row LSTM layers.
    RowLstm(PixelSettings),
    /// PixelRNN with diagonal LSTM layers, left to right alone.
    DiagonalLstm(PixelSettings),
    /// PixelRNN with diagonal BiLSTM layers.
    DiagonalBilstm(PixelSettings),
    /// PixelCNN.
    PixelCnn(PixelSettings),
}

fn pseudo_count() -> f64 {
    DEFAULT_PSEUDO_COUNT
}

fn init_scale() -> f64 {
    0.01
}

/// A model of columns is given no labels, nor is a NADE of more than two levels.
fn check_no_classes(classes: Option<usize>, event: &EventSpec) -> Result<(), Error> {
    match classes {
        None => Ok(()),
        Some(classes) => Err(Error::Config {
            key: "model.classes",
            value: classes.to_string(),
            expected: format!(
                "none for {}; a run per class with data.class classifies",
                event.values()
            ),
        }),
    }
}

/// A config and the events that it was checked against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked<'a> {
    config: &'a ModelConfig,
    event: &'a EventSpec,
}

impl<'a> Checked<'a> {
    pub(crate) fn config(self) -> &'a ModelConfig {
        self.config
    }

    pub(crate) fn event(self) -> &'a EventSpec {
        self.event
    }
}

impl ModelConfig {
    /// The names that `kind` may take.
    pub const KINDS: [&'static str; 16] = [
        "uniform",
        "independent",
        "markov",
        "neighbourhood",
        "bayesian-network",
        "full-table",
        "kernel",
        "logistic",
        "nade",
        "made",
        "rnade",
        "orderless-nade",
        "row-lstm",
        "diagonal-lstm",
        "diagonal-bilstm",
        "pixel-cnn",
    ];

    /// The name in a config.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Uniform {} => "uniform",
            Self::Independent { .. } => "independent",
            Self::Markov { .. } => "markov",
            Self::Neighbourhood { .. } => "neighbourhood",
            Self::BayesianNetwork { .. } => "bayesian-network",
            Self::FullTable { .. } => "full-table",
            Self::Kernel(_) => "kernel",
            Self::Logistic { .. } => "logistic",
            Self::Nade { .. } => "nade",
            Self::Made(_) => "made",
            Self::Rnade(_) => "rnade",
            Self::OrderlessNade(_) => "orderless-nade",
            Self::RowLstm(_)
            | Self::DiagonalLstm(_)
            | Self::DiagonalBilstm(_)
            | Self::PixelCnn(_) => self.pixel().map_or("", |(kind, _)| kind.name()),
        }
    }

    /// Kind and sizes of a PixelRNN or PixelCNN.
    pub fn pixel(&self) -> Option<(PixelKind, &PixelSettings)> {
        match self {
            Self::RowLstm(settings) => Some((PixelKind::RowLstm, settings)),
            Self::DiagonalLstm(settings) => Some((PixelKind::DiagonalLstm, settings)),
            Self::DiagonalBilstm(settings) => Some((PixelKind::DiagonalBilstm, settings)),
            Self::PixelCnn(settings) => Some((PixelKind::PixelCnn, settings)),
            _ => None,
        }
    }

    /// Number of classes of the labels that the model is given; `None` for a model of x alone.
    pub fn classes(&self) -> Option<usize> {
        match self {
            Self::Nade { classes, .. } => *classes,
            _ => self.pixel().and_then(|(_, settings)| settings.classes),
        }
    }

    /// Components of the mixture of each column of numbers, of a model that can describe columns of different types;
    /// `None` for any other.
    pub fn components(&self) -> Option<usize> {
        match self {
            Self::Nade { components, .. } => Some(*components),
            Self::Made(settings) => Some(settings.components),
            Self::OrderlessNade(settings) => Some(settings.components),
            _ => None,
        }
    }

    /// Whether the model can describe columns of different types.
    pub fn describes_columns(&self) -> bool {
        self.components().is_some() || matches!(self, Self::Kernel(_))
    }

    /// Whether the model can describe columns that are all categories, each of its own labels, and no others.
    pub fn describes_categories(&self) -> bool {
        matches!(
            self,
            Self::Independent { .. } | Self::Markov { .. } | Self::BayesianNetwork { .. }
        )
    }

    /// Laplace's pseudo-count, of a model that counts; 1 elsewhere.
    pub(crate) fn pseudo_count(&self) -> f64 {
        match self {
            Self::Independent { pseudo_count }
            | Self::Markov { pseudo_count, .. }
            | Self::Neighbourhood { pseudo_count, .. }
            | Self::BayesianNetwork { pseudo_count, .. }
            | Self::FullTable { pseudo_count } => *pseudo_count,
            _ => 1.0,
        }
    }

    /// Whether the model is trained by gradients (and takes a `[train]` table).
    pub fn is_neural(&self) -> bool {
        !matches!(
            self,
            Self::Uniform {}
                | Self::Independent { .. }
                | Self::Markov { .. }
                | Self::Neighbourhood { .. }
                | Self::BayesianNetwork { .. }
                | Self::FullTable { .. }
                | Self::Kernel(_)
        )
    }

    /// Whether it describes real numbers, and not symbols.
    pub fn is_real(&self) -> bool {
        matches!(self, Self::Rnade(_))
    }

    /// The tables of columns that it describes.
    ///
    /// # Errors
    /// When their structure is impossible.
    ///
    /// # Panics
    /// When it does not [describe categories](Self::describes_categories).
    pub(crate) fn family(&self, event: &EventSpec) -> Result<Family<'_>, prob_core::Error> {
        let (ordering, contexts) = match self {
            Self::Independent { .. } => (Ordering::raster(event.variables()), Contexts::None),
            Self::Markov { order, ordering, .. } => {
                (ordering.build(&event.shape)?, Contexts::Last(*order))
            }
            Self::BayesianNetwork { parents, .. } => {
                (topological_order(parents)?, Contexts::Parents(parents))
            }
            _ => unreachable!("`check` knows which models have tables of columns"),
        };
        Ok(Family { kind: self.kind(), ordering, contexts, pseudo_count: self.pseudo_count() })
    }

    /// The ordering of the walk. Families that have no choice walk in raster order.
    ///
    /// # Errors
    /// When the ordering does not exist for the event's shape.
    pub fn ordering(&self, event: &EventSpec) -> Result<Ordering, Error> {
        if self.pixel().is_some() {
            return Ok(ImageLayout::of(self.kind(), &event.shape)?.ordering());
        }
        let kind = match self {
            Self::Markov { ordering, .. }
            | Self::Logistic { ordering }
            | Self::Nade { ordering, .. } => *ordering,
            Self::Made(settings) => settings.ordering,
            Self::Rnade(settings) => settings.ordering,
            Self::OrderlessNade(settings) => settings.ordering,
            Self::Kernel(settings) => settings.ordering,
            Self::BayesianNetwork { parents, .. } => {
                return Ok(topological_order(parents)?);
            }
            _ => OrderingKind::Raster,
        };
        Ok(kind.build(&event.shape)?)
    }

    /// The config with such events, once it has been [checked](Self::check).
    pub(crate) fn checked<'a>(&'a self, event: &'a EventSpec) -> Result<Checked<'a>, Error> {
        self.check(event)?;
        Ok(Checked { config: self, event })
    }

    /// Checks the values, and that the model can describe such events.
    ///
    /// # Errors
    /// The first impossible value or mismatch.
    pub fn check(&self, event: &EventSpec) -> Result<(), Error> {
        let pseudo_count = self.pseudo_count();
        if !(pseudo_count.is_finite() && pseudo_count >= 0.0) {
            return Err(Error::Config {
                key: "model.pseudo_count",
                value: pseudo_count.to_string(),
                expected: "a finite number, 0 or more".into(),
            });
        }
        if let Some((_, settings)) = self.pixel() {
            settings.check(event.levels)?;
            if !event.levels.is_some_and(|levels| (2..=256).contains(&levels)) {
                return Err(Error::Mismatch {
                    model: self.kind(),
                    needed: "values of 2 to 256 levels".into(),
                    found: event.values(),
                });
            }
            let image = ImageLayout::of(self.kind(), &event.shape)?;
            let narrowest = settings.hidden.min(settings.head);
            if narrowest < image.colours {
                return Err(Error::Config {
                    key: if settings.hidden < image.colours {
                        "model.hidden"
                    } else {
                        "model.head"
                    },
                    value: narrowest.to_string(),
                    expected: "at least 3 for colour images: one map per colour".into(),
                });
            }
            return Ok(());
        }
        if let Self::Kernel(settings) = self {
            return settings.check().and_then(|()| self.ordering(event).map(|_| ()));
        }
        if let Self::Rnade(settings) = self {
            if !event.is_real() {
                return Err(Error::Mismatch {
                    model: self.kind(),
                    needed: "real numbers".into(),
                    found: event.values(),
                });
            }
            return settings.check().and_then(|()| self.ordering(event).map(|_| ()));
        }
        let has_levels = event.levels.is_some_and(|levels| (3..=256).contains(&levels));
        if self.components().is_some() && event.columns.is_some()
            || has_levels && matches!(self, Self::Nade { .. })
        {
            check_no_classes(self.classes(), event)?;
        } else if self.is_neural() && event.levels != Some(2) {
            return Err(Error::Mismatch {
                model: self.kind(),
                needed: "binary data (2 levels)".into(),
                found: event.values(),
            });
        } else if self.describes_categories() && event.columns.is_some() {
            if let Some(needed) = ColumnTables::refuse(event) {
                let found = event.values();
                return Err(Error::Mismatch { model: self.kind(), needed, found });
            }
        } else if event.levels.is_none() {
            return Err(Error::Mismatch {
                model: self.kind(),
                needed: "symbols (values of 2 to 256 levels)".into(),
                found: event.values(),
            });
        }
        check_classes(self.classes())?;
        match self {
            Self::Nade { .. } => {
                self.check_nade(event).and_then(|()| self.ordering(event).map(|_| ()))
            }
            Self::Markov { order, .. } if *order >= event.variables() => Err(Error::Config {
                key: "model.order",
                value: order.to_string(),
                expected: format!(
                    "less than the number of variables, {}; {} is the full chain rule",
                    event.variables(),
                    event.variables().saturating_sub(1)
                ),
            }),
            Self::Neighbourhood { .. } if event.shape.len() != 2 => Err(Error::Mismatch {
                model: "neighbourhood",
                needed: "an image of shape [rows, columns]".into(),
                found: format!("shape {:?}", event.shape),
            }),
            Self::BayesianNetwork { parents, .. } if parents.len() != event.variables() => {
                Err(Error::Config {
                    key: "model.parents",
                    value: format!("{} lists", parents.len()),
                    expected: format!("one list per variable, {}", event.variables()),
                })
            }
            Self::Made(settings) => {
                settings.check().and_then(|()| self.ordering(event).map(|_| ()))
            }
            Self::OrderlessNade(settings) => {
                settings.check().and_then(|()| self.ordering(event).map(|_| ()))
            }
            _ => self.ordering(event).map(|_| ()),
        }
    }

    fn check_nade(&self, event: &EventSpec) -> Result<(), Error> {
        let Self::Nade { hidden, init_scale, components, likelihood, .. } = self else {
            return Ok(());
        };
        let refuse = |key, value: String, expected: &str| {
            Err(Error::Config { key, value, expected: expected.into() })
        };
        if !(1..=1 << 20).contains(hidden) {
            return refuse("model.hidden", hidden.to_string(), "1 to 1048576 hidden units");
        }
        if !(init_scale.is_finite() && *init_scale >= 0.0) {
            let expected = "a finite number, 0 or more";
            return refuse("model.init_scale", init_scale.to_string(), expected);
        }
        likelihood.check(event.levels, *components)
    }
}

impl ColumnTables {
    /// Entries of the tables of a model that need not exist, and how many of them are free.
    ///
    /// # Errors
    /// When its structure is impossible.
    ///
    /// # Panics
    /// When [`ModelConfig::check`] refuses the config for such events.
    pub fn size(config: &ModelConfig, event: &EventSpec) -> Result<[BigUint; 2], prob_core::Error> {
        Ok(Self::size_of(&config.family(event)?, event))
    }
}
