//! Tables of conditionals over columns that are all categories, each of its own labels.
//!
//! ```text
//! p(x_i = a     | c) = (1 − ε) (count(a, c) + α) / (count(c) + m_i α)    a one of the m_i labels of column i
//! p(x_i = other | c) = ε                                                 ε = 1 / (n + 1) for n training rows
//! ```
//!
//! c is what the context of the column shows; where that holds a label that training never saw, nothing was counted, and
//! the column's own frequencies stand in the place of those given c. A table has a row for each combination of the
//! labels of its context and an entry for each label of its column, so that it is as large as these are. A missing cell is
//! a label; the share ε of any other one is as in every model of columns ([`Units`]).
//!
//! Rows of training that hold another label themselves, as a second training file may, are left out of the counts.

use std::sync::Arc;

use ar_kernels::columns::Head;
use burn::tensor::{DType, Device, Float, Tensor, TensorData};
use num_bigint::BigUint;
use prob_core::joint::{BayesianNetwork, ConditionalTable, Independent, Markov, Symbols, Tabular};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density, Sample};
use rand::Rng;
use rayon::prelude::*;

use crate::foundation::column::{Column, check_cells};
use crate::foundation::error::Error;
use crate::foundation::event::EventSpec;
use crate::foundation::examples::{Examples, for_chunks};
use crate::foundation::store::Arrays;
use crate::parts::columns::{ChooseCell, ColumnConditional, ColumnWalker, Units};
use crate::parts::value::ValueKind;
use crate::parts::walk;
use crate::parts::walker::Arithmetic;

/// The most labels of a column: with any other one they fit a byte.
const MOST_LABELS: usize = 255;

/// Rows that a thread evaluates at a time.
const ROWS_A_TASK: usize = 64;

/// Names of the arrays in the file, with the position of their column behind them.
const TABLE: &str = "table.";
const ALONE: &str = "alone.";
/// ε, as of all models of columns.
const UNSEEN: &str = "columns.unseen";

/// A Markov chain, a Bayesian network or independent variables over columns of categories.
///
/// ```
/// use ar_models::{columns::Column, config::{EventSpec, ModelConfig}, examples::InMemory, model::Model};
/// let columns = [2, 3].map(|labels| Column::Category { labels });
/// let data = InMemory::reals(vec![0.0, 2.0, 1.0, 1.0, 0.0, 2.0], 2);
/// let config: ModelConfig = serde_json::from_str(r#"{ "kind": "markov", "order": 1 }"#).unwrap();
/// let model = Model::fit(&config, &EventSpec::columns(columns.to_vec()), &data)?;
/// // A 0, then a 2: (2 + 1) / (3 + 2) and (2 + 1) / (2 + 3), each but for the share 1/4 of any other label.
/// let log_prob = model.log_prob(&[0.0, 2.0][..])[0];
/// assert!((log_prob - (0.75_f64 * 0.75 * 0.6 * 0.6).ln()).abs() < 1e-12);
/// # Ok::<(), ar_models::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ColumnTables {
    kind: &'static str,
    ordering: Ordering,
    /// In the order of the walk.
    tables: Vec<ConditionalTable>,
    /// ln of the frequencies of the labels of each column that has a context, in the order of the walk; none of another.
    alone: Vec<Vec<f64>>,
    units: Arc<Units>,
}

/// Labels of each column, if all are categories of few enough.
fn levels_of(event: &EventSpec) -> Option<Vec<usize>> {
    let labels = |column: &Column| match *column {
        Column::Category { labels } if labels <= MOST_LABELS => Some(labels),
        _ => None,
    };
    event.columns.as_ref()?.iter().map(labels).collect()
}

/// What the column at each position is given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Contexts<'a> {
    /// Nothing.
    None,
    /// As many columns before it.
    Last(usize),
    /// Of each column, in event order, its parents.
    Parents(&'a [Vec<usize>]),
}

/// Which tables there are.
#[derive(Clone, Debug)]
pub(crate) struct Family<'a> {
    /// The name of the kind in a config.
    pub(crate) kind: &'static str,
    /// The order of the walk.
    pub(crate) ordering: Ordering,
    pub(crate) contexts: Contexts<'a>,
    /// Laplace's pseudo-count.
    pub(crate) pseudo_count: f64,
}

/// The tables of a family, by the functions of prob-core.
macro_rules! of_family {
    ($family:expr, $independent:expr, $markov:expr, $network:expr) => {
        match $family.contexts {
            Contexts::None => $independent?.into_tables(),
            Contexts::Last(order) => $markov(order, $family.ordering.clone())?.into_tables(),
            Contexts::Parents(parents) => $network(parents)?.into_tables(),
        }
    };
}

impl ColumnTables {
    /// What an event must be, in words; `None` where it is.
    pub(crate) fn refuse(event: &EventSpec) -> Option<String> {
        levels_of(event).is_none().then(|| format!("categories of at most {MOST_LABELS} labels"))
    }

    /// Entries of the tables of a model that need not exist, and how many of them are free.
    ///
    /// # Panics
    /// When the events are [refused](Self::refuse).
    pub(crate) fn size_of(family: &Family<'_>, event: &EventSpec) -> [BigUint; 2] {
        let levels = levels_of(event).expect("the config was checked against the event");
        let walk = family.ordering.as_slice();
        let (mut entries, mut free) = (BigUint::ZERO, BigUint::ZERO);
        for (t, &i) in walk.iter().enumerate() {
            let context = match family.contexts {
                Contexts::None => &[],
                Contexts::Last(order) => &walk[t.saturating_sub(order)..t],
                Contexts::Parents(parents) => &parents[i][..],
            };
            let rows = context.iter().fold(BigUint::from(1_u8), |rows, &j| rows * levels[j]);
            // And one where the context is of another label.
            let rows = rows + u8::from(!context.is_empty());
            entries += &rows * levels[i];
            free += rows * (levels[i] - 1);
        }
        [entries, free]
    }

    /// Counts, in one pass.
    ///
    /// # Errors
    /// When a cell is none of its column, or the tables would be too large.
    pub(crate) fn fit(
        family: &Family<'_>,
        event: &EventSpec,
        train: &dyn Examples,
    ) -> Result<Self, Error> {
        let levels = levels_of(event).expect("the config was checked against the event");
        let columns = event.columns.as_deref().unwrap_or_default();
        let mut labels = Vec::new();
        for_chunks(train, 1, |first, values| {
            check_cells(columns, "training", first, values.reals())?;
            for row in values.reals().chunks_exact(columns.len()) {
                if row.iter().zip(&levels).all(|(&x, &labels)| x < labels as f64) {
                    labels.extend(row.iter().map(|&x| x as u8));
                }
            }
            Ok::<(), Error>(())
        })?;
        let data = Symbols::of_levels(&labels, &levels)?;
        let alpha = family.pseudo_count;
        let tables = of_family!(
            family,
            Independent::fit(data, alpha),
            |order, ordering| Markov::fit(order, ordering, data, alpha),
            |parents: &[_]| BayesianNetwork::fit(parents, data, alpha)
        );
        let alone = Independent::fit(data, alpha)?.into_tables();
        let alone_of = |table: &ConditionalTable| match table.context() {
            [] => Vec::new(),
            _ => alone[table.variable()].log_probs().to_vec(),
        };
        let alone = tables.iter().map(alone_of).collect();
        let unseen = 1.0 / (train.len() as f64 + 1.0);
        Self::new(family, event, tables, alone, unseen)
    }

    fn new(
        family: &Family<'_>,
        event: &EventSpec,
        tables: Vec<ConditionalTable>,
        alone: Vec<Vec<f64>>,
        unseen: f64,
    ) -> Result<Self, Error> {
        let columns = event.columns.as_deref().unwrap_or_default();
        let (means, scales) = (vec![0.0; columns.len()], vec![1.0; columns.len()]);
        let units = Arc::new(Units::new(columns, means, scales, unseen)?);
        let (kind, ordering) = (family.kind, family.ordering.clone());
        Ok(Self { kind, ordering, tables, alone, units })
    }

    /// Adds what [`restore`](Self::restore) takes.
    pub(crate) fn store(&self, arrays: &mut Arrays) {
        let tables = self.tables.iter().map(|table| (TABLE, table.log_probs()));
        let alone = self.alone.iter().map(|alone| (ALONE, &alone[..]));
        for (t, (name, values)) in tables.enumerate().chain(alone.enumerate()) {
            if !values.is_empty() {
                arrays.f64s.push((format!("{name}{t}"), vec![values.len()], values.to_vec()));
            }
        }
        arrays.f64s.push((UNSEEN.into(), vec![1], vec![self.units.unseen()]));
    }

    /// The tables that [`store`](Self::store) put into a file.
    ///
    /// # Errors
    /// When the arrays are not those of such a model.
    pub(crate) fn restore(
        family: &Family<'_>,
        event: &EventSpec,
        arrays: Arrays,
    ) -> Result<Self, Error> {
        let levels = levels_of(event).expect("the config was checked against the event");
        let mut found: std::collections::BTreeMap<String, Vec<f64>> =
            arrays.f64s.into_iter().map(|(name, _, values)| (name, values)).collect();
        let mut take = |name: String| {
            let missing = || Error::Stored(format!("the stored model has no `{name}`"));
            found.remove(&name).ok_or_else(missing)
        };
        let stored: Vec<Vec<f64>> =
            (0..levels.len()).map(|t| take(format!("{TABLE}{t}"))).collect::<Result<_, _>>()?;
        let tables = of_family!(
            family,
            Independent::from_tables(&levels, stored),
            |order, ordering| Markov::from_tables(order, ordering, &levels, stored),
            |parents: &[_]| BayesianNetwork::from_tables(parents, &levels, stored)
        );
        let mut alone = Vec::with_capacity(levels.len());
        for (t, table) in tables.iter().enumerate() {
            alone.push(match table.context() {
                [] => Vec::new(),
                _ => {
                    let own = take(format!("{ALONE}{t}"))?;
                    // That these add up to 1 is checked as of any table.
                    let of = [levels[table.variable()]];
                    Independent::from_tables(&of, vec![own.clone()])?;
                    own
                }
            });
        }
        let unseen = take(UNSEEN.into())?.first().copied().unwrap_or_default();
        if let Some(name) = found.keys().next() {
            return Err(Error::Stored(format!("unexpected stored array `{name}`")));
        }
        Self::new(family, event, tables, alone, unseen)
    }

    /// The name of its kind in a config.
    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    /// The order of the walk.
    pub fn ordering(&self) -> &Ordering {
        &self.ordering
    }

    /// The labels of each column, and the share of any other one.
    pub fn units(&self) -> &Units {
        &self.units
    }

    /// Number of probabilities that the others do not decide, ε aside.
    pub fn free_parameters(&self) -> BigUint {
        let of = |table: &ConditionalTable| {
            let (entries, own) = (table.log_probs().len(), table.states());
            (entries / own + usize::from(!table.context().is_empty())) * (own - 1)
        };
        self.tables.iter().map(of).sum::<usize>().into()
    }

    /// Bytes that the tables take.
    pub fn table_bytes(&self) -> usize {
        let alone: usize = self.alone.iter().map(|alone| size_of_val(&alone[..])).sum();
        self.tables.iter().map(|table| size_of_val(table.log_probs())).sum::<usize>() + alone
    }

    /// ln of the probabilities of the labels at position t given those before it, given that it is none but them.
    fn labels(&self, t: usize, row: &[u8]) -> &[f64] {
        self.tables[t].find_row(row).unwrap_or(&self.alone[t])
    }

    /// ln p of each cell given those before it, `[variables]`; −∞ for what is no label's index.
    fn cells(&self, row: &[f64], costs: &mut [f64]) {
        let (unseen, columns) = (self.units.unseen(), self.units.columns());
        let labels = as_bytes(row);
        for (t, &i) in self.ordering.as_slice().iter().enumerate() {
            let own = self.labels(t, &labels);
            costs[i] = match columns[i].refuse(row[i]) {
                Some(_) => f64::NEG_INFINITY,
                None => match own.get(row[i] as usize) {
                    Some(log_prob) => (-unseen).ln_1p() + log_prob,
                    None => unseen.ln(),
                },
            };
        }
    }

    /// ln p(x_i | those before it) of each cell, in nats.
    ///
    /// # Shapes
    /// `rows` and the result are `[n, variables]` in event order.
    ///
    /// # Panics
    /// When `rows` is not whole rows.
    pub fn log_prob_per_variable(&self, rows: &[f64]) -> Vec<f64> {
        let width = self.ordering.len();
        assert!(rows.len().is_multiple_of(width), "{} values are not whole rows", rows.len());
        let mut costs = vec![0.0; rows.len()];
        costs
            .par_chunks_exact_mut(width)
            .zip(rows.par_chunks_exact(width))
            .with_min_len(ROWS_A_TASK)
            .for_each(|(costs, row)| self.cells(row, costs));
        costs
    }

    /// ln p(x) of each row, in nats.
    ///
    /// # Shapes
    /// `rows` is `[n, variables]` in event order; returns `[n]`.
    ///
    /// # Panics
    /// When `rows` is not whole rows.
    pub fn log_prob_rows(&self, rows: &[f64]) -> Vec<f64> {
        let walk = self.ordering.as_slice();
        let sum = |costs: &[f64]| walk.iter().map(|&i| costs[i]).sum();
        self.log_prob_per_variable(rows).chunks_exact(walk.len()).map(sum).collect()
    }

    /// Draws what is not observed, in the order of the walk; nothing that training never saw.
    ///
    /// # Shapes
    /// `observed` and the result are `[n, variables]` in event order.
    ///
    /// # Panics
    /// When `observed` is not whole rows.
    pub fn complete(&self, observed: &[Option<f64>], rng: &mut dyn Rng) -> Vec<f64> {
        let walk = self.ordering.as_slice();
        walk::walk::<_, Float>(self, walk, observed, &Device::default(), rng)
    }
}

/// The indices of labels; any other one is above those of every column.
fn as_bytes(row: &[f64]) -> Vec<u8> {
    row.iter().map(|&x| x as u8).collect()
}

/// An event is `[batch, columns]`: indices of labels.
impl Density for ColumnTables {
    type Event = Tensor<2>;

    fn log_prob(&self, x: Tensor<2>) -> Tensor<1> {
        let ([batch, _], device) = (x.dims(), x.device());
        let log_probs = self.log_prob_rows(&Float::to_host(x));
        Tensor::from_data(TensorData::new(log_probs, [batch]), (&device, DType::F64))
    }
}

impl Sample for ColumnTables {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2> {
        let width = self.ordering.len();
        let drawn = self.complete(&vec![None; n * width], rng);
        Float::to_device(&drawn, width, &Device::default())
    }
}

/// What walks through the tables have chosen.
#[derive(Clone, Debug)]
pub struct ColumnTablesState {
    position: usize,
    batch: usize,
    /// `[batch, columns]` in event order; 0 where a walk has not been.
    labels: Vec<u8>,
}

impl Autoregressive for ColumnTables {
    type State = ColumnTablesState;
    type Conditional = ColumnConditional;

    fn event_len(&self) -> usize {
        self.ordering.len()
    }

    fn init_state(&self, batch: usize) -> ColumnTablesState {
        ColumnTablesState { position: 0, batch, labels: vec![0; batch * self.ordering.len()] }
    }

    fn conditional(&self, state: &ColumnTablesState) -> ColumnConditional {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} columns");
        let (table, rows) = (&self.tables[t], state.labels.chunks_exact(self.ordering.len()));
        let outputs: Vec<f64> = rows.flat_map(|row| self.labels(t, row)).copied().collect();
        let outputs = TensorData::new(outputs, [state.batch, table.states()]);
        ColumnConditional {
            units: Arc::clone(&self.units),
            column: table.variable(),
            head: self.head(t),
            outputs: Tensor::from_data(outputs, (&Device::default(), DType::F64)),
        }
    }

    fn advance(&self, state: &mut ColumnTablesState, x_t: Tensor<1>) {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} columns");
        assert_eq!(x_t.dims(), [state.batch], "one value per walk");
        let (width, i) = (self.ordering.len(), self.ordering[t]);
        for (row, x) in state.labels.chunks_exact_mut(width).zip(Float::to_host(x_t)) {
            row[i] = x as u8;
        }
        state.position += 1;
    }

    fn select(&self, state: &ColumnTablesState, walks: &[usize]) -> ColumnTablesState {
        let width = self.ordering.len();
        let row = |&walk: &usize| &state.labels[walk * width..(walk + 1) * width];
        let labels = walks.iter().flat_map(row).copied().collect();
        ColumnTablesState { position: state.position, batch: walks.len(), labels }
    }
}

impl ColumnTables {
    /// How the column at position t is described.
    fn head(&self, t: usize) -> Head {
        Head::Category { labels: self.tables[t].states(), other: self.units.unseen() }
    }
}

impl ColumnWalker for &ColumnTables {
    fn units(&self) -> &Units {
        &self.units
    }

    fn walk(&self, n: usize, choose: &mut ChooseCell<'_>) {
        let width = self.ordering.len();
        let mut labels = vec![0; n * width];
        for (t, &i) in self.ordering.as_slice().iter().enumerate() {
            let head = self.head(t);
            for (row, own) in labels.chunks_exact_mut(width).enumerate() {
                own[i] = choose(t, row, &head, self.labels(t, own)) as u8;
            }
        }
    }

    /// Numbers as they stand in the file.
    fn arithmetic(&self) -> Arithmetic {
        Arithmetic::Plain
    }
}
