//! Every kind of model behind one enum, on host symbols: what a program that reads its model from a
//! config works with.

use std::collections::BTreeMap;

use ar_kernels::Isa;
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use num_bigint::BigUint;
use prob_core::joint::{
    BayesianNetwork, FullTable, Independent, Markov, Neighbourhood, Symbols, Tabular, Uniform,
};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density};
use rand::Rng;

use crate::columns::{
    self, Column, ColumnNade, ColumnNadeConfig, ColumnSteps, ColumnWalker, Draws, Effort, Layout,
    Links, Mixtures, Origin, Region, Units,
};
use crate::config::{EventSpec, ModelConfig};
use crate::error::Error;
use crate::examples::{Examples, Rows, Values, check_values, for_chunks, read_all};
use crate::logistic::{Logistic, LogisticConfig};
use crate::made::{ColumnMade, ColumnMadeConfig, Made};
use crate::nade::{Nade, NadeConfig};
use crate::neural::{self, HostOf, Neural, ValueKind, device_of, host_f64, label_tensor};
use crate::orderless::{ColumnOrderless, ColumnOrderlessConfig, OrderlessNade};
use crate::pixel::{ImageLayout, Pixel, PixelConfig};
use crate::randomness::{Purpose, stream};
use crate::rnade::Rnade;
use crate::standardization::Standardization;
use crate::store::Arrays;
use crate::walk::{Completions, Tabulated, Walker, monte_carlo};
use crate::window::KernelWindow;

/// A model of any kind.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Model {
    /// [`Uniform`].
    Uniform(Uniform),
    /// [`Independent`].
    Independent(Independent),
    /// [`Markov`].
    Markov(Markov),
    /// [`Neighbourhood`].
    Neighbourhood(Neighbourhood),
    /// [`BayesianNetwork`].
    BayesianNetwork(BayesianNetwork),
    /// [`FullTable`].
    FullTable(FullTable),
    /// [`KernelWindow`].
    Kernel(KernelWindow),
    /// [`Logistic`].
    Logistic(Logistic),
    /// [`Nade`].
    Nade(Nade),
    /// [`ColumnNade`], NADE of columns of different types.
    ColumnNade(ColumnNade),
    /// [`Made`].
    Made(Made),
    /// [`ColumnMade`], MADE of columns of different types.
    ColumnMade(ColumnMade),
    /// [`Rnade`].
    Rnade(Rnade),
    /// [`OrderlessNade`]; of several orderings, the ensemble.
    OrderlessNade(OrderlessNade),
    /// [`ColumnOrderless`], the same of columns of different types.
    ColumnOrderless(ColumnOrderless),
    /// [`Pixel`].
    Pixel(Pixel),
}

impl From<KernelWindow> for Model {
    fn from(model: KernelWindow) -> Self {
        Self::Kernel(model)
    }
}

impl From<Logistic> for Model {
    fn from(model: Logistic) -> Self {
        Self::Logistic(model)
    }
}

impl From<Nade> for Model {
    fn from(model: Nade) -> Self {
        Self::Nade(model)
    }
}

impl From<ColumnNade> for Model {
    fn from(model: ColumnNade) -> Self {
        Self::ColumnNade(model)
    }
}

impl From<Made> for Model {
    fn from(model: Made) -> Self {
        Self::Made(model)
    }
}

impl From<ColumnMade> for Model {
    fn from(model: ColumnMade) -> Self {
        Self::ColumnMade(model)
    }
}

impl From<Rnade> for Model {
    fn from(model: Rnade) -> Self {
        Self::Rnade(model)
    }
}

impl From<OrderlessNade> for Model {
    fn from(model: OrderlessNade) -> Self {
        Self::OrderlessNade(model)
    }
}

impl From<ColumnOrderless> for Model {
    fn from(model: ColumnOrderless) -> Self {
        Self::ColumnOrderless(model)
    }
}

impl From<Pixel> for Model {
    fn from(model: Pixel) -> Self {
        Self::Pixel(model)
    }
}

/// Runs one expression for whichever tabular model it is, another for a window, another for whichever neural one; or
/// one of the latter for symbols and one for real numbers.
macro_rules! each {
    (
        $model:expr,
        tabular $t:ident => $tabular:expr,
        window $w:ident => $window:expr,
        neural $n:ident => $neural:expr $(,)?
    ) => {
        each!($model, tabular $t => $tabular, window $w => $window, symbols $n => $neural, reals $n => $neural)
    };
    (
        $model:expr,
        tabular $t:ident => $tabular:expr,
        window $w:ident => $window:expr,
        symbols $n:ident => $symbols:expr,
        reals $r:ident => $reals:expr $(,)?
    ) => {
        match $model {
            Model::Uniform($t) => $tabular,
            Model::Independent($t) => $tabular,
            Model::Markov($t) => $tabular,
            Model::Neighbourhood($t) => $tabular,
            Model::BayesianNetwork($t) => $tabular,
            Model::FullTable($t) => $tabular,
            Model::Kernel($w) => $window,
            Model::Logistic($n) => $symbols,
            Model::Nade($n) => $symbols,
            Model::Made($n) => $symbols,
            Model::OrderlessNade($n) => $symbols,
            Model::Pixel($n) => $symbols,
            Model::ColumnNade($r) => $reals,
            Model::ColumnMade($r) => $reals,
            Model::ColumnOrderless($r) => $reals,
            Model::Rnade($r) => $reals,
        }
    };
}

/// Runs one expression for whichever model with classes it is.
macro_rules! with_classes {
    ($model:expr, $n:ident => $neural:expr $(,)?) => {
        match $model {
            Model::Nade($n) if $n.classes().is_some() => $neural,
            Model::Pixel($n) if $n.classes().is_some() => $neural,
            model => no_classes(model),
        }
    };
}

fn no_classes(model: &Model) -> ! {
    panic!("a model of kind `{}` without classes is given no labels", model.kind())
}

impl Model {
    /// Fits a tabular model by counting, in one pass, or a window.
    ///
    /// # Errors
    /// When the config is impossible for such data, the data is not such events, the tables would
    /// be too large, or there is nothing to count.
    ///
    /// # Panics
    /// When the config is of a neural model.
    pub fn fit(
        config: &ModelConfig,
        event: &EventSpec,
        train: &dyn Examples,
    ) -> Result<Self, Error> {
        config.check(event)?;
        event.check_rows(TRAINING, train)?;
        if let ModelConfig::Kernel(settings) = config {
            return Ok(KernelWindow::fit(settings, event, train)?.into());
        }
        if train.is_empty() && !matches!(config, ModelConfig::Uniform {}) {
            return Err(Error::Empty(TRAINING));
        }
        let values = read_all(train, 1);
        check_values(TRAINING, 0, event, (&values).into())?;
        let levels = levels(event);
        let data = Symbols::new(&values, event.variables(), levels)?;
        Ok(match config {
            ModelConfig::Uniform {} => Self::Uniform(Uniform::new(event.variables(), levels)?),
            ModelConfig::Independent { pseudo_count } => {
                Self::Independent(Independent::fit(data, *pseudo_count)?)
            }
            ModelConfig::Markov { order, pseudo_count, .. } => {
                Self::Markov(Markov::fit(*order, config.ordering(event)?, data, *pseudo_count)?)
            }
            ModelConfig::Neighbourhood { offsets, pseudo_count } => {
                let (shape, offsets) = (rows_columns(event), pairs(offsets));
                Self::Neighbourhood(Neighbourhood::fit(shape, &offsets, data, *pseudo_count)?)
            }
            ModelConfig::BayesianNetwork { parents, pseudo_count } => {
                Self::BayesianNetwork(BayesianNetwork::fit(parents, data, *pseudo_count)?)
            }
            ModelConfig::FullTable { pseudo_count } => {
                Self::FullTable(FullTable::fit(data, *pseudo_count)?)
            }
            ModelConfig::Kernel(_) => unreachable!("it is fitted above"),
            ModelConfig::Logistic { .. }
            | ModelConfig::Nade { .. }
            | ModelConfig::Made(_)
            | ModelConfig::Rnade(_)
            | ModelConfig::OrderlessNade(_)
            | ModelConfig::RowLstm(_)
            | ModelConfig::DiagonalLstm(_)
            | ModelConfig::DiagonalBilstm(_)
            | ModelConfig::PixelCnn(_) => {
                panic!("`{}` is trained, not fitted", config.kind())
            }
        })
    }

    /// A neural model before its first step: initial weights from `seed`, output biases from the
    /// means of `train`.
    ///
    /// # Errors
    /// When the config is impossible for such data, the data is not such events, or there is
    /// nothing to train on.
    ///
    /// # Panics
    /// When the config is of a tabular model.
    pub fn init(
        config: &ModelConfig,
        event: &EventSpec,
        train: &dyn Examples,
        seed: u64,
        device: &Device,
    ) -> Result<Self, Error> {
        config.check(event)?;
        event.check_rows(TRAINING, train)?;
        if train.is_empty() {
            return Err(Error::Empty(TRAINING));
        }
        let start = match (&event.columns, event.levels) {
            (Some(columns), _) => {
                let (units, frequencies) = Units::fit(columns, train)?;
                Start::Units(units, Origin::Training(frequencies))
            }
            (None, Some(_)) => Start::Means(means(train, event)?),
            (None, None) => Start::Standardization(Standardization::fit(train, 1)?),
        };
        Self::init_with(config, event, &start, seed, device)
    }

    fn init_with(
        config: &ModelConfig,
        event: &EventSpec,
        start: &Start,
        seed: u64,
        device: &Device,
    ) -> Result<Self, Error> {
        let ordering = config.ordering(event)?;
        let mut rng = stream(seed, Purpose::Init, 0);
        let means = match (config, start) {
            (ModelConfig::Rnade(settings), Start::Standardization(standardization)) => {
                let config = settings.config(ordering);
                return Ok(config.init(standardization.clone(), &mut rng, device).into());
            }
            (
                ModelConfig::Nade { hidden, init_scale, components, .. },
                Start::Units(units, origin),
            ) => {
                let config = ColumnNadeConfig {
                    ordering,
                    hidden: *hidden,
                    components: *components,
                    init_scale: *init_scale,
                    min_scale: LEAST_SCALE,
                };
                let units = units.clone();
                return Ok(config.init(units, origin, &mut rng, device).into());
            }
            (ModelConfig::OrderlessNade(settings), Start::Units(units, origin)) => {
                let mixtures = Mixtures { components: settings.components, min_scale: LEAST_SCALE };
                let config = ColumnOrderlessConfig { network: settings.config(ordering), mixtures };
                return Ok(config.init(units.clone(), origin, &mut rng, device).into());
            }
            (ModelConfig::Made(settings), Start::Units(units, origin)) => {
                let mixtures = Mixtures { components: settings.components, min_scale: LEAST_SCALE };
                let config = ColumnMadeConfig { network: settings.config(ordering), mixtures };
                return Ok(config.init(units.clone(), origin, &mut rng, device).into());
            }
            (_, Start::Means(means)) => means,
            (_, Start::Standardization(_) | Start::Units(..)) => {
                unreachable!("`ModelConfig::check` knows which models are of such events")
            }
        };
        Ok(match config {
            ModelConfig::Logistic { .. } => {
                Self::Logistic(LogisticConfig { ordering }.init(means, device))
            }
            ModelConfig::Nade { hidden, init_scale, classes, .. } => {
                let (hidden, init_scale, classes) = (*hidden, *init_scale, *classes);
                let config = NadeConfig { ordering, hidden, init_scale, classes };
                Self::Nade(config.init(means, &mut rng, device))
            }
            ModelConfig::Made(settings) => {
                Self::Made(settings.config(ordering).init(means, &mut rng, device))
            }
            ModelConfig::OrderlessNade(settings) => {
                Self::OrderlessNade(settings.config(ordering).init(means, &mut rng, device))
            }
            ModelConfig::RowLstm(_)
            | ModelConfig::DiagonalLstm(_)
            | ModelConfig::DiagonalBilstm(_)
            | ModelConfig::PixelCnn(_) => {
                let (kind, settings) = config.pixel().expect("one of the four");
                let pixel = PixelConfig {
                    kind,
                    settings: settings.clone(),
                    image: ImageLayout::of(config.kind(), &event.shape)?,
                    levels: levels(event),
                };
                let mean = means.iter().sum::<f64>() / means.len() as f64;
                Self::Pixel(pixel.init(mean, &mut rng, device))
            }
            _ => panic!("`{}` is fitted, not trained", config.kind()),
        })
    }

    /// The name of its kind in a config.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Uniform(_) => "uniform",
            Self::Independent(_) => "independent",
            Self::Markov(_) => "markov",
            Self::Neighbourhood(_) => "neighbourhood",
            Self::BayesianNetwork(_) => "bayesian-network",
            Self::FullTable(_) => "full-table",
            Self::Kernel(_) => "kernel",
            Self::Logistic(_) => "logistic",
            Self::Nade(_) | Self::ColumnNade(_) => "nade",
            Self::Made(_) | Self::ColumnMade(_) => "made",
            Self::Rnade(_) => "rnade",
            Self::OrderlessNade(_) | Self::ColumnOrderless(_) => "orderless-nade",
            Self::Pixel(model) => model.kind().name(),
        }
    }

    /// The order of the walk.
    pub fn ordering(&self) -> &Ordering {
        each!(
            self,
            tabular model => Tabular::ordering(model),
            window model => model.ordering(),
            neural model => Neural::ordering(model),
        )
    }

    /// Number of variables of an event.
    pub fn variables(&self) -> usize {
        self.ordering().len()
    }

    /// Number of free parameters.
    pub fn free_parameters(&self) -> BigUint {
        match self {
            // The masked half of U is not a parameter.
            Self::Logistic(model) => {
                let n = BigUint::from(model.ordering().len());
                &n * (&n + 1_u8) / 2_u8
            }
            Self::Nade(model) => BigUint::from(model.num_params()),
            Self::ColumnNade(model) => BigUint::from(model.free_parameters()),
            Self::Rnade(model) => BigUint::from(model.num_params()),
            Self::Made(model) => BigUint::from(model.free_parameters()),
            Self::ColumnMade(model) => BigUint::from(model.free_parameters()),
            Self::OrderlessNade(model) => BigUint::from(model.num_params()),
            Self::ColumnOrderless(model) => BigUint::from(model.free_parameters()),
            Self::Pixel(model) => BigUint::from(model.free_parameters()),
            _ => each!(
                self,
                tabular model => model.free_parameters(),
                window model => BigUint::from(model.free_parameters()),
                neural _model => unreachable!("every neural model is named above"),
            ),
        }
    }

    /// Bytes that the weights, tables or stored rows take.
    pub fn parameter_bytes(&self) -> usize {
        each!(
            self,
            tabular model => model.table_bytes(),
            window model => model.row_bytes(),
            neural model => model.num_params() * size_of::<f32>(),
        )
    }

    /// log p(x) of each row, in nats; `-inf` outside the support.
    ///
    /// # Shapes
    /// `rows` is `[n, variables]` in event order; returns `[n]`.
    ///
    /// # Panics
    /// When `rows` is not whole rows, or not of the model's kind of values.
    pub fn log_prob<'a>(&self, rows: impl Into<Values<'a>>) -> Vec<f64> {
        let rows = rows.into();
        match self {
            Self::OrderlessNade(model) => {
                in_batches(model, rows, |model, x| host_f64(model.ensemble().log_prob(x)))
            }
            Self::ColumnOrderless(model) => {
                in_batches(model, rows, |model, x| host_f64(model.ensemble().log_prob(x)))
            }
            _ => each!(
                self,
                tabular model => model.log_prob_rows(rows.symbols()),
                window model => model.log_prob(rows),
                neural model => in_batches(model, rows, |model, x| host_f64(model.log_prob(x))),
            ),
        }
    }

    /// log p(x_i | those before it) for each variable, in nats; of an ensemble over orderings, those of its
    /// first. It is `-inf` for a symbol outside the support and for a variable that looks at one.
    ///
    /// # Shapes
    /// `rows` and the result are `[n, variables]` in event order.
    ///
    /// # Panics
    /// When `rows` is not whole rows, or not of the model's kind of values.
    pub fn log_prob_per_variable<'a>(&self, rows: impl Into<Values<'a>>) -> Vec<f64> {
        let rows = rows.into();
        each!(
            self,
            tabular model => model.log_prob_per_variable(rows.symbols()),
            window model => model.log_prob_per_variable(rows),
            neural model => {
                in_batches(model, rows, |model, x| host_f64(model.log_prob_per_variable(x)))
            },
        )
    }

    /// What the model makes of each whole row: see [`Neural::features`]. `None` for a model without
    /// hidden units.
    ///
    /// # Shapes
    /// `rows` is `[n, variables]` in event order; returns `[n, features]`.
    ///
    /// # Panics
    /// When `rows` is not whole rows.
    pub fn features<'a>(&self, rows: impl Into<Values<'a>>) -> Option<Vec<f32>> {
        let batches: Vec<Option<Vec<f32>>> = each!(
            self,
            tabular _model => return None,
            window _model => return None,
            neural model => in_batches(model, rows.into(), |model, x| {
                let features = model.features(x);
                vec![features.map(|features| features.into_data().iter::<f32>().collect())]
            }),
        );
        let batches: Option<Vec<Vec<f32>>> = batches.into_iter().collect();
        batches.map(|batches| batches.concat())
    }

    /// Number of classes of the labels that the model can be given; `None` for a model of x alone.
    pub fn classes(&self) -> Option<usize> {
        each!(self, tabular _model => None, window _model => None, neural model => model.classes())
    }

    /// log p(x | y) of each row, in nats; `-inf` outside the support.
    ///
    /// # Shapes
    /// `rows` is `[n, variables]` in event order, `labels` and the result are `[n]`.
    ///
    /// # Panics
    /// When the model has no classes, `rows` is not whole rows, or there is not one label per row.
    pub fn log_prob_given<'a>(&self, rows: impl Into<Values<'a>>, labels: &[u8]) -> Vec<f64> {
        let rows = rows.into();
        with_classes!(self, model => in_labelled_batches(model, rows, labels, |model, x, labels| {
            host_f64(model.log_prob_given(x, labels))
        }))
    }

    /// log p(x | y) of each row for every class y, in nats; `log_prob` is their mixture.
    ///
    /// # Shapes
    /// `rows` is `[n, variables]` in event order; returns `[n, classes]`.
    ///
    /// # Panics
    /// When the model has no classes, or `rows` is not whole rows.
    pub fn log_prob_per_class<'a>(&self, rows: impl Into<Values<'a>>) -> Vec<f64> {
        let rows = rows.into();
        with_classes!(self, model => {
            in_batches(model, rows, |model, x| host_f64(model.log_prob_per_class(x)))
        })
    }

    /// log p(x_i | those before it, y) for each variable, in nats.
    ///
    /// # Shapes
    /// `rows` and the result are `[n, variables]` in event order, `labels` is `[n]`.
    ///
    /// # Panics
    /// When the model has no classes, `rows` is not whole rows, or there is not one label per row.
    pub fn log_prob_per_variable_given<'a>(
        &self,
        rows: impl Into<Values<'a>>,
        labels: &[u8],
    ) -> Vec<f64> {
        let rows = rows.into();
        with_classes!(self, model => in_labelled_batches(model, rows, labels, |model, x, labels| {
            host_f64(model.log_prob_per_variable_given(x, labels))
        }))
    }

    /// [`complete`](Self::complete) given each row's label; [`sample`](Self::sample) given it, where
    /// nothing is observed.
    ///
    /// # Shapes
    /// `observed` and the result are `[n, variables]` in event order, `labels` is `[n]`.
    ///
    /// # Panics
    /// When the model has no classes, or a label is not below them.
    pub fn complete_given(
        &self,
        observed: &[Option<u8>],
        labels: &[u8],
        rng: &mut dyn Rng,
    ) -> Vec<u8> {
        with_classes!(self, model => model.complete_given(observed, labels, rng))
    }

    /// What the model standardizes real variables by; `None` for a model of symbols.
    pub fn standardization(&self) -> Option<&Standardization> {
        match self {
            Self::Rnade(model) => Some(model.standardization()),
            _ => None,
        }
    }

    /// What a model of columns of different types begins and ends with.
    fn layout(&self) -> Option<&Layout> {
        match self {
            Self::ColumnNade(model) => Some(model.layout()),
            Self::ColumnMade(model) => Some(model.layout()),
            Self::ColumnOrderless(model) => Some(model.layout()),
            _ => None,
        }
    }

    /// `n` independent draws, `[n, variables]` in event order.
    ///
    /// # Panics
    /// When the model is one of real numbers.
    pub fn sample(&self, n: usize, rng: &mut dyn Rng) -> Vec<u8> {
        self.complete(&vec![None; n * self.variables()], rng)
    }

    /// `n` independent draws of either kind, `[n, variables]` in event order.
    pub fn sample_rows(&self, n: usize, rng: &mut dyn Rng) -> Rows {
        match self {
            Self::Kernel(model) if model.is_real() => {
                Rows::Reals(self.complete_reals(&vec![None; n * self.variables()], rng))
            }
            Self::Rnade(_)
            | Self::ColumnNade(_)
            | Self::ColumnMade(_)
            | Self::ColumnOrderless(_) => {
                Rows::Reals(self.complete_reals(&vec![None; n * self.variables()], rng))
            }
            _ => Rows::Symbols(self.sample(n, rng)),
        }
    }

    /// [`complete`](Self::complete) for real numbers.
    ///
    /// # Panics
    /// When the model is one of symbols.
    pub fn complete_reals(&self, observed: &[Option<f64>], rng: &mut dyn Rng) -> Vec<f64> {
        match self {
            Self::Rnade(model) => model.complete(observed, rng),
            Self::ColumnNade(model) => model.complete(observed, rng),
            Self::ColumnMade(model) => model.complete(observed, rng),
            Self::ColumnOrderless(model) => model.ensemble().complete(observed, rng),
            Self::Kernel(model) if model.is_real() => model.complete(observed, rng),
            _ => panic!("a model of kind `{}` draws symbols, not real numbers", self.kind()),
        }
    }

    /// Draws what is not observed: of a model that [takes any mask](Self::takes_any_mask) from
    /// p(missing | observed), of any other in the order of the walk (see [`crate::walk::complete`] for what
    /// that conditions on).
    ///
    /// # Shapes
    /// `observed` and the result are `[n, variables]` in event order.
    ///
    /// # Panics
    /// When the model is one of real numbers.
    pub fn complete(&self, observed: &[Option<u8>], rng: &mut dyn Rng) -> Vec<u8> {
        if let Self::OrderlessNade(model) = self {
            return model.ensemble().complete(observed, rng);
        }
        each!(
            self,
            tabular model => {
                let ordering = Tabular::ordering(model).as_slice();
                crate::walk::walk::<_, Int>(model, ordering, observed, &Device::default(), rng)
            },
            window model => model.complete_symbols(observed, rng),
            symbols model => model.complete(observed, rng),
            reals _model => {
                panic!("a model of kind `{}` draws real numbers, not symbols", self.kind())
            },
        )
    }

    /// Rows drawn given where their cells lie ([`Region`]), by sequential Monte Carlo, and given that they hold nothing
    /// else that training never saw; `None` of a model that [answers for no regions](Self::takes_regions).
    ///
    /// # Shapes
    /// `regions` is `[n, variables]` in event order.
    ///
    /// # Panics
    /// When `regions` is not whole rows, or the effort is none.
    pub fn draws_given(
        &self,
        regions: &[Region],
        effort: Effort,
        rng: &mut dyn Rng,
    ) -> Option<Draws> {
        let (ordering, width) = (self.ordering().as_slice(), self.variables());
        if let Self::ColumnOrderless(model) = self {
            return Some(model.draws_given(regions, effort, rng));
        }
        let units = self.layout()?.units();
        let seen = |(at, region)| units.seen(at % width, region);
        let regions: Vec<Region> = regions.iter().enumerate().map(seen).collect();
        match self {
            Self::ColumnNade(model) => {
                Some(columns::draws(model, ordering, &regions, effort, &device_of(model), rng))
            }
            Self::ColumnMade(model) => {
                Some(columns::draws(model, ordering, &regions, effort, &device_of(model), rng))
            }
            _ => None,
        }
    }

    /// ln of the probability that the cells of a row lie in these regions, in nats, where that can be enumerated. A model that takes any mask has a probability along each ordering with the known cells first.
    ///
    /// # Shapes
    /// `regions` is `[variables]` in event order.
    pub fn log_prob_of_regions(&self, regions: &[Region]) -> Option<f64> {
        let ordering = self.ordering().as_slice();
        let (of, most) = (self.layout()?.units().columns(), MOST_ENUMERATED);
        match self {
            Self::ColumnNade(model) => {
                columns::exact(model, ordering, of, regions, most, &device_of(model))
            }
            Self::ColumnMade(model) => {
                columns::exact(model, ordering, of, regions, most, &device_of(model))
            }
            Self::ColumnOrderless(model) => model.log_prob_of_regions(regions, most),
            _ => None,
        }
    }

    /// Logarithms of `particles` independent numbers whose expectation is the probability that the cells of a row lie in
    /// these regions; `None` of a model that [answers for no regions](Self::takes_regions).
    ///
    /// # Shapes
    /// `regions` is `[variables]` in event order.
    pub fn log_weights_of_regions(
        &self,
        regions: &[Region],
        particles: usize,
        rng: &mut dyn Rng,
    ) -> Option<Vec<f64>> {
        let ordering = self.ordering().as_slice();
        match self {
            Self::ColumnNade(model) => {
                let device = device_of(model);
                Some(columns::probability(model, ordering, regions, particles, &device, rng))
            }
            Self::ColumnMade(model) => {
                let device = device_of(model);
                Some(columns::probability(model, ordering, regions, particles, &device, rng))
            }
            Self::ColumnOrderless(model) => {
                Some(model.log_weights_of_regions(regions, particles, rng))
            }
            _ => None,
        }
    }

    /// ln p that cell `i` of a row lies in each of `regions` given the values that `row` knows of other cells, exact, of
    /// columns of different types and a model that [takes any mask](Self::takes_any_mask); `None` elsewhere.
    ///
    /// # Shapes
    /// `row` is `[variables]` in event order; returns one for each of `regions`.
    pub fn log_probs_of_cell(
        &self,
        row: &[Region],
        i: usize,
        regions: &[Region],
    ) -> Option<Vec<f64>> {
        match self {
            Self::ColumnOrderless(model) => Some(model.log_probs_of_cell(row, i, regions)),
            _ => None,
        }
    }

    /// Whether it draws rows given regions of their cells, and says how probable these are.
    pub fn takes_regions(&self) -> bool {
        self.layout().is_some()
    }

    /// Whether `complete` draws from p(missing | observed) whatever is observed, not only where that is a
    /// prefix of the ordering.
    pub fn takes_any_mask(&self) -> bool {
        matches!(self, Self::OrderlessNade(_) | Self::ColumnOrderless(_) | Self::Kernel(_))
    }

    /// Number of orderings that the likelihood is a mean over, of a model that takes any; `None` elsewhere.
    pub fn orderings(&self) -> Option<usize> {
        match self {
            Self::OrderlessNade(model) => Some(model.orderings().len()),
            Self::ColumnOrderless(model) => Some(model.orderings().len()),
            _ => None,
        }
    }

    /// The same model over `orderings` orderings, where it takes any; `None` elsewhere.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn with_orderings(self, orderings: usize) -> Option<Self> {
        match self {
            Self::OrderlessNade(model) => Some(model.with_orderings(orderings).into()),
            Self::ColumnOrderless(model) => Some(model.with_orderings(orderings).into()),
            _ => None,
        }
    }

    /// log p(missing | observed) of each row, exact, in nats, where the model [takes any
    /// mask](Self::takes_any_mask); `None` elsewhere. It is `-inf` for a row with a symbol outside
    /// the support, whether that is missing or observed.
    ///
    /// # Shapes
    /// `rows` and `observed` are `[n, variables]` in event order; returns `[n]`.
    ///
    /// # Panics
    /// When `rows` is not whole rows, or `observed` has another size.
    pub fn log_prob_conditional<'a>(
        &self,
        rows: impl Into<Values<'a>>,
        observed: &[bool],
    ) -> Option<Vec<f64>> {
        let rows = rows.into();
        match self {
            Self::Kernel(model) => Some(model.log_prob_conditional(rows, observed)),
            Self::OrderlessNade(model) => {
                let given = |x, mask: &[bool]| host_f64(model.log_prob_conditional(x, mask));
                Some(by_mask(model, rows, observed, given))
            }
            Self::ColumnOrderless(model) => {
                let given = |x, mask: &[bool]| host_f64(model.log_prob_conditional(x, mask));
                Some(by_mask(model, rows, observed, given))
            }
            _ => None,
        }
    }

    /// [`monte_carlo`] over the model's walk: completions that tend to draws from
    /// p(missing | observed), and estimates of log p(observed). Given a label per row of `observed`, of
    /// p(· | y).
    ///
    /// # Shapes
    /// `observed` is `[n, variables]` in event order; the completions `[n, samples, variables]`.
    ///
    /// # Panics
    /// When `observed` is not whole rows, there are no particles, labels are given to a model without
    /// classes, or the model is one of real numbers.
    pub fn complete_monte_carlo(
        &self,
        observed: &[Option<u8>],
        labels: Option<&[u8]>,
        (particles, samples): (usize, usize),
        rng: &mut dyn Rng,
    ) -> Completions {
        let (ordering, counts) = (self.ordering().as_slice(), (particles, samples));
        if let Some(labels) = labels {
            let of_walks = labels.iter().flat_map(|&y| std::iter::repeat_n(y, particles));
            let of_walks: Vec<u8> = of_walks.collect();
            return with_classes!(self, model => {
                let start = |_| model.init_state_given(&of_walks);
                monte_carlo(model, start, ordering, observed, counts, &device_of(model), rng)
            });
        }
        each!(
            self,
            tabular model => {
                let start = |walks| model.init_state(walks);
                monte_carlo::<_, Int>(model, start, ordering, observed, counts, &Device::default(), rng)
            },
            window model => model.complete_symbols_exactly(observed, samples, rng),
            symbols model => {
                let start = |walks| model.init_state(walks);
                monte_carlo(model, start, ordering, observed, counts, &device_of(model), rng)
            },
            reals _model => {
                panic!("a model of kind `{}` draws real numbers, not symbols", self.kind())
            },
        )
    }

    /// The walk for an entropy coder over `levels` symbols, on an instruction set where it has kernels;
    /// none for a model of real numbers.
    pub(crate) fn walker(&self, levels: usize, isa: Isa) -> Option<Box<dyn Walker + '_>> {
        each!(
            self,
            tabular model => Some(Box::new(Tabulated(model.tables()))),
            window model => model.walker(),
            neural model => Neural::walker(model, levels, isa),
        )
    }

    /// The walk of an entropy coder over columns; `None` where the variables are no columns.
    pub(crate) fn column_walker(&self) -> Option<Box<dyn ColumnWalker + '_>> {
        match self {
            Self::ColumnNade(model) => Some(Box::new(ColumnSteps { model, units: model.units() })),
            _ => None,
        }
    }

    /// The model as a safetensors file that holds its own SHA-256.
    ///
    /// # Errors
    /// When the format refuses it, which it does not for these shapes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        self.arrays(FORMAT).into_checked_bytes()
    }

    /// What the model's file holds, as bytes that a digest of the model is made of: those of the first
    /// format, so that compressed files stay those of their model.
    pub(crate) fn content_bytes(&self) -> Result<Vec<u8>, Error> {
        self.arrays(FORMAT_1).to_bytes()
    }

    fn arrays(&self, format: &str) -> Arrays {
        let mut arrays = Arrays::default();
        each!(
            self,
            tabular model => {
                for (k, table) in model.table_arrays().into_iter().enumerate() {
                    arrays.f64s.push((format!("table.{k}"), vec![table.len()], table.to_vec()));
                }
            },
            window model => model.store(&mut arrays),
            neural model => {
                for weight in neural::weights(model) {
                    arrays.f32s.push((weight.name, weight.shape, host_f32(weight.values)));
                }
            },
        );
        if let Some(standardization) = self.standardization() {
            let (means, scales) = (standardization.means(), standardization.scales());
            for (name, values) in [(MEANS, means), (SCALES, scales)] {
                arrays.f64s.push((name.into(), vec![values.len()], values.to_vec()));
            }
        }
        if let Some(layout) = self.layout() {
            let units = layout.units();
            let (links, unseen) = (layout.links(), &[units.unseen()][..]);
            let ranges = (0..units.columns().len()).map(|i| units.range(i));
            let (lows, highs): (Vec<f64>, Vec<f64>) = ranges.unzip();
            let spikes: Vec<f64> = units.spikes().iter().map(|&count| count as f64).collect();
            for (name, values) in [
                (COLUMN_MEANS, units.means()),
                (COLUMN_SCALES, units.scales()),
                (COLUMN_LOWS, &lows),
                (COLUMN_HIGHS, &highs),
                (COLUMN_SPIKES, &spikes),
                (UNSEEN, unseen),
                (GAINS, &links.gains),
                (SHIFTS, &links.shifts),
            ] {
                arrays.f64s.push((name.into(), vec![values.len()], values.to_vec()));
            }
        }
        arrays.texts.push(("format".into(), format.into()));
        arrays.texts.push(("kind".into(), self.kind().into()));
        arrays
    }

    /// The model that [`to_bytes`](Self::to_bytes) stored, given the config it was made from.
    ///
    /// # Errors
    /// When the bytes are not such a file, are not as they were written, hold what is no finite number,
    /// or do not belong to the config.
    pub fn from_bytes(
        config: &ModelConfig,
        event: &EventSpec,
        bytes: &[u8],
        device: &Device,
    ) -> Result<Self, Error> {
        config.check(event)?;
        let (arrays, is_checked) = Arrays::from_bytes(bytes)?;
        let is_of_old = arrays.text("format")? == FORMAT_1;
        let format = if is_of_old { FORMAT_1 } else { FORMAT };
        for (key, expected) in [("format", format), ("kind", config.kind())] {
            let found = arrays.text(key)?;
            if found != expected {
                return Err(Error::Stored(format!(
                    "the stored model has {key} `{found}`, expected `{expected}`"
                )));
            }
        }
        if !is_checked && !is_of_old {
            return Err(Arrays::unchecked());
        }
        arrays.check_finite()?;
        if let ModelConfig::Kernel(settings) = config {
            return Ok(KernelWindow::restore(settings, event, &arrays)?.into());
        }
        if config.is_neural() {
            let start = match (&event.columns, event.levels) {
                (Some(columns), _) => {
                    let units = arrays.units(columns)?;
                    let links = arrays.links(&units, config)?;
                    Start::Units(units, Origin::Stored(links))
                }
                (None, Some(_)) => Start::Means(vec![0.5; event.variables()]),
                (None, None) => Start::Standardization(arrays.standardization(event.variables())?),
            };
            let blank = Self::init_with(config, event, &start, 0, device)?;
            return Ok(match blank {
                Self::Logistic(model) => Self::Logistic(neural::load_weights(model, &arrays.f32s)?),
                Self::Nade(model) => Self::Nade(neural::load_weights(model, &arrays.f32s)?),
                Self::ColumnNade(model) => {
                    Self::ColumnNade(neural::load_weights(model, &arrays.f32s)?)
                }
                Self::Made(model) => Self::Made(neural::load_weights(model, &arrays.f32s)?),
                Self::ColumnMade(model) => {
                    Self::ColumnMade(neural::load_weights(model, &arrays.f32s)?)
                }
                Self::Rnade(model) => Self::Rnade(neural::load_weights(model, &arrays.f32s)?),
                Self::OrderlessNade(model) => {
                    Self::OrderlessNade(neural::load_weights(model, &arrays.f32s)?)
                }
                Self::ColumnOrderless(model) => {
                    Self::ColumnOrderless(neural::load_weights(model, &arrays.f32s)?)
                }
                Self::Pixel(model) => Self::Pixel(neural::load_weights(model, &arrays.f32s)?),
                _ => unreachable!("`init_with` makes neural models"),
            });
        }
        let tables = tables_in_order(arrays)?;
        let (n, states) = (event.variables(), levels(event));
        Ok(match config {
            ModelConfig::Uniform {} => Self::Uniform(Uniform::new(n, states)?),
            ModelConfig::Independent { .. } => {
                Self::Independent(Independent::from_tables(n, states, tables)?)
            }
            ModelConfig::Markov { order, .. } => {
                let ordering = config.ordering(event)?;
                Self::Markov(Markov::from_tables(*order, ordering, states, tables)?)
            }
            ModelConfig::Neighbourhood { offsets, .. } => {
                let (shape, offsets) = (rows_columns(event), pairs(offsets));
                Self::Neighbourhood(Neighbourhood::from_tables(shape, &offsets, states, tables)?)
            }
            ModelConfig::BayesianNetwork { parents, .. } => {
                Self::BayesianNetwork(BayesianNetwork::from_tables(parents, states, tables)?)
            }
            ModelConfig::FullTable { .. } => {
                Self::FullTable(FullTable::from_tables(n, states, tables)?)
            }
            ModelConfig::Logistic { .. }
            | ModelConfig::Nade { .. }
            | ModelConfig::Made(_)
            | ModelConfig::Rnade(_)
            | ModelConfig::OrderlessNade(_)
            | ModelConfig::RowLstm(_)
            | ModelConfig::DiagonalLstm(_)
            | ModelConfig::DiagonalBilstm(_)
            | ModelConfig::PixelCnn(_)
            | ModelConfig::Kernel(_) => {
                unreachable!("neural models and windows are loaded above")
            }
        })
    }
}

/// What an error calls the set that a model is made from.
const TRAINING: &str = "training";

/// What a neural model starts from besides its weights.
enum Start {
    /// Means of symbols.
    Means(Vec<f64>),
    /// What real variables are standardized by.
    Standardization(Standardization),
    /// What columns look like, and where outputs start.
    Units(Units, Origin),
}

/// The least scale of a Gaussian of a real column, in standard deviations.
const LEAST_SCALE: f64 = 0.01;

/// Names of a standardization's arrays in the file.
const MEANS: &str = "standardization.means";
const SCALES: &str = "standardization.scales";
/// Names of the arrays of columns' units.
const COLUMN_MEANS: &str = "columns.means";
const COLUMN_SCALES: &str = "columns.scales";
/// The most rows that are enumerated for a probability.
const MOST_ENUMERATED: usize = 1 << 14;

const COLUMN_LOWS: &str = "columns.lows";
const COLUMN_HIGHS: &str = "columns.highs";
const COLUMN_SPIKES: &str = "columns.spikes";
const UNSEEN: &str = "columns.unseen";
const GAINS: &str = "columns.gains";
const SHIFTS: &str = "columns.shifts";

impl Arrays {
    /// An array of so many numbers.
    fn numbers(&self, name: &str, len: usize) -> Result<Vec<f64>, Error> {
        let found = self.f64s.iter().find(|(found, ..)| found == name);
        let values = found.map(|(.., values)| values.clone());
        values.filter(|values| values.len() == len).ok_or_else(|| {
            Error::Stored(format!("the stored model has no `{name}` of {len} values"))
        })
    }

    /// The standardization of so many variables.
    fn standardization(&self, variables: usize) -> Result<Standardization, Error> {
        Standardization::new(self.numbers(MEANS, variables)?, self.numbers(SCALES, variables)?)
    }

    /// The links of the outputs of columns.
    fn links(&self, units: &Units, config: &ModelConfig) -> Result<Links, Error> {
        let Some(components) = config.components() else {
            return Err(Error::Stored(format!("a model `{}` of columns", config.kind())));
        };
        let columns = units.columns().iter().map(|column| column.outputs(components));
        let outputs = columns.sum::<usize>() + 3 * units.spikes().iter().sum::<usize>();
        Ok(Links { gains: self.numbers(GAINS, outputs)?, shifts: self.numbers(SHIFTS, outputs)? })
    }

    /// The units of columns.
    fn units(&self, columns: &[Column]) -> Result<Units, Error> {
        let means = self.numbers(COLUMN_MEANS, columns.len())?;
        let scales = self.numbers(COLUMN_SCALES, columns.len())?;
        let unseen = self.numbers(UNSEEN, 1)?;
        let lows = self.numbers(COLUMN_LOWS, columns.len())?;
        let highs = self.numbers(COLUMN_HIGHS, columns.len())?;
        let unseen = unseen.first().copied().unwrap_or_default();
        let spikes = self.numbers(COLUMN_SPIKES, columns.len())?;
        Units::new(columns, means, scales, unseen)?.with_ranges(&lows, &highs)?.with_spikes(&spikes)
    }
}

/// Name and version of the file format.
const FORMAT: &str = "chainrule-model-2";
/// The one before, whose files hold no digest of themselves.
const FORMAT_1: &str = "chainrule-model-1";

/// Rows and columns of an image.
///
/// # Panics
/// When the event is no image, which `ModelConfig::check` has refused.
fn rows_columns(event: &EventSpec) -> [usize; 2] {
    event.shape.as_slice().try_into().expect("the config was checked against the event")
}

/// Number of values of each variable.
///
/// # Panics
/// When they are real numbers, which `ModelConfig::check` has refused.
fn levels(event: &EventSpec) -> usize {
    event.levels.expect("the config was checked against the event")
}

fn pairs(offsets: &[[isize; 2]]) -> Vec<(isize, isize)> {
    offsets.iter().map(|&[row, column]| (row, column)).collect()
}

/// The tables by their number.
fn tables_in_order(arrays: Arrays) -> Result<Vec<Vec<f64>>, Error> {
    let mut tables = vec![None; arrays.f64s.len()];
    for (name, _, values) in arrays.f64s {
        let slot = name
            .strip_prefix("table.")
            .and_then(|k| k.parse::<usize>().ok())
            .and_then(|k| tables.get_mut(k))
            .ok_or_else(|| Error::Stored(format!("unexpected stored array `{name}`")))?;
        *slot = Some(values);
    }
    Ok(tables.into_iter().flatten().collect())
}

/// Laplace's estimate of each variable's mean, strictly inside (0, 1) for bits.
///
/// # Errors
/// When a symbol is not one of the event's; each is read here, so that no other pass needs to look.
fn means(train: &dyn Examples, event: &EventSpec) -> Result<Vec<f64>, Error> {
    let variables = event.variables();
    let mut ones = vec![0_u64; variables];
    for_chunks(train, 1, |first, values| {
        check_values(TRAINING, first, event, values)?;
        for row in values.symbols().chunks_exact(variables) {
            for (ones, &x) in ones.iter_mut().zip(row) {
                *ones += u64::from(x);
            }
        }
        Ok::<(), Error>(())
    })?;
    let total = train.len() as f64;
    Ok(ones.into_iter().map(|ones| (ones as f64 + 1.0) / (total + 2.0)).collect())
}

/// A float tensor's values on the host.
pub(crate) fn host_f32(x: Tensor<1>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

/// Evaluates a neural model over rows and their labels, a batch at a time.
fn in_labelled_batches<M: Neural>(
    model: &M,
    rows: Values<'_>,
    labels: &[u8],
    f: impl Fn(&M, Tensor<2, M::Kind>, Tensor<1, Int>) -> Vec<f64>,
) -> Vec<f64> {
    let rows = M::Kind::of(rows);
    let variables = model.ordering().len();
    assert_eq!(rows.len(), labels.len() * variables, "one label per row");
    let device = device_of(model);
    let batches = rows.chunks(model.batch() * variables).zip(labels.chunks(model.batch()));
    let batches = batches.flat_map(|(rows, labels)| {
        let x = M::Kind::to_device(rows, variables, &device);
        f(model, x, label_tensor(labels, &device))
    });
    batches.collect()
}

/// Evaluates a neural model over rows that are observed in part, those of one mask together, a batch at a time.
fn by_mask<M: Neural>(
    model: &M,
    rows: Values<'_>,
    observed: &[bool],
    f: impl Fn(Tensor<2, M::Kind>, &[bool]) -> Vec<f64>,
) -> Vec<f64> {
    let (rows, variables, device) = (M::Kind::of(rows), model.event_len(), device_of(model));
    assert_eq!(rows.len(), observed.len(), "an entry for each variable of each row");
    let mut of_mask: BTreeMap<&[bool], Vec<usize>> = BTreeMap::new();
    for (row, mask) in observed.chunks_exact(variables).enumerate() {
        of_mask.entry(mask).or_default().push(row);
    }
    let mut log_probs = vec![0.0; rows.len() / variables];
    for (mask, members) in of_mask {
        for members in members.chunks(model.batch()) {
            let of = |&row: &usize| &rows[row * variables..(row + 1) * variables];
            let own: Vec<HostOf<M>> = members.iter().flat_map(of).copied().collect();
            let own = f(M::Kind::to_device(&own, variables, &device), mask);
            for (&row, log_prob) in members.iter().zip(own) {
                log_probs[row] = log_prob;
            }
        }
    }
    log_probs
}

/// Evaluates a neural model over rows, a batch at a time.
fn in_batches<M: Neural, T>(
    model: &M,
    rows: Values<'_>,
    f: impl Fn(&M, Tensor<2, M::Kind>) -> Vec<T>,
) -> Vec<T> {
    let rows = M::Kind::of(rows);
    let variables = model.event_len();
    assert_eq!(rows.len() % variables, 0, "{} values are not whole rows", rows.len());
    let device = device_of(model);
    let batches = rows.chunks(model.batch() * variables);
    batches.flat_map(|rows| f(model, M::Kind::to_device(rows, variables, &device))).collect()
}
