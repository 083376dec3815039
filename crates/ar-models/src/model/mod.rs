//! Every kind of model behind one enum, on host symbols: what a program that reads its model from a
//! config works with.
//!
//! | module | what it holds |
//! |---|---|
//! | this one | how models are made, what they are, and how likely rows are |
//! | `given` | what is drawn and what is probable, given what is known |
//! | `stored` | a model as a file, and back |

pub mod config;

use ar_kernels::Isa;
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use num_bigint::BigUint;
use prob_core::Density;
use prob_core::joint::{
    BayesianNetwork, FullTable, Independent, Markov, Neighbourhood, Symbols, Tabular, Uniform,
};
use prob_core::ordering::Ordering;

use crate::foundation::error::Error;
use crate::foundation::event::{EventSpec, check_values};
use crate::foundation::examples::{Examples, Values, for_chunks, read_all};
use crate::foundation::randomness::{Purpose, stream};
use crate::foundation::standardization::Standardization;
use crate::kinds::logistic::{Logistic, LogisticConfig};
use crate::kinds::made::{ColumnMade, ColumnMadeConfig, Made};
use crate::kinds::nade::{
    ColumnNade, ColumnNadeConfig, LevelNade, LevelNadeConfig, Nade, NadeConfig,
};
use crate::kinds::orderless::{ColumnOrderless, ColumnOrderlessConfig, OrderlessNade};
use crate::kinds::pixel::{ImageLayout, Pixel, PixelConfig};
use crate::kinds::rnade::Rnade;
use crate::kinds::tables::ColumnTables;
use crate::kinds::window::KernelWindow;
use crate::parts::columns::{ColumnSteps, ColumnWalker, Layout, Mixtures, Origin, Units};
use crate::parts::neural::Neural;
use crate::parts::tensors::{device_of, host_f64, label_tensor};
use crate::parts::value::ValueKind;
use crate::parts::walker::{Tabulated, Walker};
use config::{Checked, ModelConfig};

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
    /// [`ColumnTables`], tables over columns of categories.
    ColumnTables(ColumnTables),
    /// [`KernelWindow`].
    Kernel(KernelWindow),
    /// [`Logistic`].
    Logistic(Logistic),
    /// [`Nade`].
    Nade(Nade),
    /// [`LevelNade`], NADE of symbols of more than two levels.
    LevelNade(LevelNade),
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

macro_rules! from {
    ($($kind:ident($model:ty)),* $(,)?) => {
        $(impl From<$model> for Model {
            fn from(model: $model) -> Self {
                Self::$kind(model)
            }
        })*
    };
}

from! {
    Kernel(KernelWindow),
    Logistic(Logistic),
    Nade(Nade),
    LevelNade(LevelNade),
    ColumnNade(ColumnNade),
    Made(Made),
    ColumnMade(ColumnMade),
    Rnade(Rnade),
    OrderlessNade(OrderlessNade),
    ColumnOrderless(ColumnOrderless),
    Pixel(Pixel),
}

/// Runs one expression for whichever tabular model of symbols it is, another for tables of columns, another for a window,
/// another for whichever neural one; or one of the latter for symbols and one for real numbers.
macro_rules! each {
    (
        $model:expr,
        tabular $t:ident => $tabular:expr,
        columns $c:ident => $columns:expr,
        window $w:ident => $window:expr,
        neural $n:ident => $neural:expr $(,)?
    ) => {
        $crate::model::each!(
            $model,
            tabular $t => $tabular,
            columns $c => $columns,
            window $w => $window,
            symbols $n => $neural,
            reals $n => $neural,
        )
    };
    (
        $model:expr,
        tabular $t:ident => $tabular:expr,
        columns $c:ident => $columns:expr,
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
            Model::ColumnTables($c) => $columns,
            Model::Kernel($w) => $window,
            Model::Logistic($n) => $symbols,
            Model::Nade($n) => $symbols,
            Model::LevelNade($n) => $symbols,
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

/// Runs one expression for whichever network it is.
macro_rules! network {
    ($model:expr, $n:ident => $neural:expr $(,)?) => {
        $crate::model::each!(
            $model,
            tabular _t => unreachable!("a table is no network"),
            columns _t => unreachable!("a table is no network"),
            window _w => unreachable!("a window is no network"),
            neural $n => $neural,
        )
    };
}

pub(crate) use {each, network};

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

mod given;
mod stored;

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
        Self::fit_checked(config.checked(event)?, train)
    }

    /// [`fit`](Self::fit) of a config that has been checked.
    pub(crate) fn fit_checked(checked: Checked<'_>, train: &dyn Examples) -> Result<Self, Error> {
        let (config, event) = (checked.config(), checked.event());
        event.check_rows(TRAINING, train)?;
        if let ModelConfig::Kernel(settings) = config {
            return Ok(KernelWindow::fit(settings, event, train)?.into());
        }
        if train.is_empty() && !matches!(config, ModelConfig::Uniform {}) {
            return Err(Error::Empty(TRAINING));
        }
        if event.columns.is_some() {
            return Ok(Self::ColumnTables(ColumnTables::fit(
                &config.family(event)?,
                event,
                train,
            )?));
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
            _ => panic!("`{}` is trained, not fitted", config.kind()),
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
        Self::init_checked(config.checked(event)?, train, seed, device)
    }

    /// [`init`](Self::init) of a config that has been checked.
    pub(crate) fn init_checked(
        checked: Checked<'_>,
        train: &dyn Examples,
        seed: u64,
        device: &Device,
    ) -> Result<Self, Error> {
        let (config, event) = (checked.config(), checked.event());
        event.check_rows(TRAINING, train)?;
        if train.is_empty() {
            return Err(Error::Empty(TRAINING));
        }
        let start = match (&event.columns, event.levels) {
            (Some(columns), _) => {
                let (units, frequencies) = Units::fit(columns, train)?;
                Start::Units(units, Origin::Training(frequencies))
            }
            (None, Some(levels)) if levels > 2 && matches!(config, ModelConfig::Nade { .. }) => {
                Start::Counts(counts(train, event, levels)?)
            }
            (None, Some(_)) => Start::Means(means(train, event)?),
            (None, None) => Start::Standardization(Standardization::fit(train, 1)?),
        };
        Self::init_with(checked, &start, seed, device)
    }

    fn init_with(
        checked: Checked<'_>,
        start: &Start,
        seed: u64,
        device: &Device,
    ) -> Result<Self, Error> {
        let (config, event) = (checked.config(), checked.event());
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
            (
                ModelConfig::Nade { hidden, init_scale, components, likelihood, .. },
                Start::Counts(counts),
            ) => {
                let config = LevelNadeConfig {
                    ordering,
                    levels: levels(event),
                    hidden: *hidden,
                    init_scale: *init_scale,
                    likelihood: *likelihood,
                    components: *components,
                };
                return Ok(config.init(counts, &mut rng, device).into());
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
            (_, Start::Counts(_) | Start::Standardization(_) | Start::Units(..)) => {
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
            Self::ColumnTables(model) => model.kind(),
            Self::Kernel(_) => "kernel",
            Self::Logistic(_) => "logistic",
            Self::Nade(_) | Self::LevelNade(_) | Self::ColumnNade(_) => "nade",
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
            columns model => model.ordering(),
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
        each!(
            self,
            tabular model => model.free_parameters(),
            columns model => model.free_parameters(),
            window model => BigUint::from(model.free_parameters()),
            neural model => BigUint::from(Neural::free_parameters(model)),
        )
    }

    /// Bytes that the weights, tables or stored rows take.
    pub fn parameter_bytes(&self) -> usize {
        each!(
            self,
            tabular model => model.table_bytes(),
            columns model => model.table_bytes(),
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
                columns model => model.log_prob_rows(rows.reals()),
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
            columns model => model.log_prob_per_variable(rows.reals()),
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
            columns _model => return None,
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
        each!(
            self,
            tabular _model => None,
            columns _model => None,
            window _model => None,
            neural model => model.classes(),
        )
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

    /// What the columns of a model that walks through them look like.
    fn units(&self) -> Option<&Units> {
        match self {
            Self::ColumnTables(model) => Some(model.units()),
            _ => self.layout().map(Layout::units),
        }
    }

    /// The walk for an entropy coder over `levels` symbols, on an instruction set where it has kernels;
    /// none for a model of real numbers.
    pub(crate) fn walker(&self, levels: usize, isa: Isa) -> Option<Box<dyn Walker + '_>> {
        each!(
            self,
            tabular model => Some(Box::new(Tabulated(model.tables()))),
            columns _model => None,
            window model => model.walker(),
            neural model => Neural::walker(model, levels, isa),
        )
    }

    /// The walk of an entropy coder over columns; `None` where the variables are no columns.
    pub(crate) fn column_walker(&self) -> Option<Box<dyn ColumnWalker + '_>> {
        match self {
            Self::ColumnNade(model) => Some(Box::new(ColumnSteps { model, units: model.units() })),
            Self::ColumnTables(model) => Some(Box::new(model)),
            _ => None,
        }
    }
}

/// What an error calls the set that a model is made from.
const TRAINING: &str = "training";

/// What a neural model starts from besides its weights.
enum Start {
    /// Means of symbols.
    Means(Vec<f64>),
    /// How often each level of each symbol occurs, `[variables, levels]`.
    Counts(Vec<u64>),
    /// What real variables are standardized by.
    Standardization(Standardization),
    /// What columns look like, and where outputs start.
    Units(Units, Origin),
}

/// The least scale of a Gaussian of a real column, in standard deviations.
const LEAST_SCALE: f64 = 0.01;

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

/// How often each level of each variable occurs, `[variables, levels]`.
///
/// # Errors
/// When a symbol is not one of the event's; each is read here, so that no other pass needs to look.
fn counts(train: &dyn Examples, event: &EventSpec, levels: usize) -> Result<Vec<u64>, Error> {
    let variables = event.variables();
    let mut counts = vec![0_u64; variables * levels];
    for_chunks(train, 1, |first, values| {
        check_values(TRAINING, first, event, values)?;
        for row in values.symbols().chunks_exact(variables) {
            for (counts, &x) in counts.chunks_exact_mut(levels).zip(row) {
                counts[usize::from(x)] += 1;
            }
        }
        Ok::<(), Error>(())
    })?;
    Ok(counts)
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
    f: impl Fn(&M, Tensor<2, M::Kind>, Tensor<1, Int>) -> Vec<f64> + Sync,
) -> Vec<f64> {
    let rows = M::Kind::of(rows);
    let variables = model.ordering().len();
    assert_eq!(rows.len(), labels.len() * variables, "one label per row");
    let device = device_of(model);
    let batches = rows.chunks(model.batch() * variables).zip(labels.chunks(model.batch()));
    let each = |(rows, labels)| {
        let x = M::Kind::to_device(rows, variables, &device);
        f(model, x, label_tensor(labels, &device))
    };
    // See `in_batches`.
    rayon::scope(|_| batches.flat_map(each).collect())
}

/// Evaluates a neural model over rows, a batch at a time.
fn in_batches<M: Neural, T: Send>(
    model: &M,
    rows: Values<'_>,
    f: impl Fn(&M, Tensor<2, M::Kind>) -> Vec<T> + Sync,
) -> Vec<T> {
    let rows = M::Kind::of(rows);
    let variables = model.event_len();
    assert_eq!(rows.len() % variables, 0, "{} values are not whole rows", rows.len());
    let device = device_of(model);
    let batches = rows.chunks(model.batch() * variables);
    let each = |rows| f(model, M::Kind::to_device(rows, variables, &device));
    // One way into the pool for all: from outside it, every parallel loop wakes a thread and waits for it.
    rayon::scope(|_| batches.flat_map(each).collect())
}
