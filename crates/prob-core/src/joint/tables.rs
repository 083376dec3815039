//! The engine under every tabular family: one table of log-probabilities per variable.

use burn::tensor::{DType, Device, FloatDType, Int, Tensor};
use num_bigint::BigUint;
use rand::Rng;
use rayon::prelude::*;

use super::symbols::{Symbols, check_levels};
use crate::dist::categorical::{check_pseudo_count, counts_to_log_probs};
use crate::dist::{Categorical, categorical, from_host, from_host_int, to_host_int, uniform};
use crate::error::Error;
use crate::logspace::logsumexp;
use crate::ordering::Ordering;

/// How far a stored row may be from summing to 1.
const SUM_TOLERANCE: f64 = 1e-9;

/// Rows of data that one parallel task evaluates.
const ROWS_A_TASK: usize = 64;

/// `p(x_i | context)` for one variable, as log-probabilities in nats.
#[derive(Debug, Clone, PartialEq)]
pub struct ConditionalTable {
    variable: usize,
    context: Vec<usize>,
    /// Number of states of each variable of the context.
    context_levels: Vec<usize>,
    states: usize,
    log_probs: Vec<f64>,
}

impl ConditionalTable {
    /// Event index i of the variable.
    pub fn variable(&self) -> usize {
        self.variable
    }

    /// Event indices of the variables it looks at, the most significant digit of the row number
    /// first.
    pub fn context(&self) -> &[usize] {
        &self.context
    }

    /// Number of states of the variable.
    pub fn states(&self) -> usize {
        self.states
    }

    /// `[product of the states of the context, states]` in row-major order.
    pub fn log_probs(&self) -> &[f64] {
        &self.log_probs
    }

    /// The distribution in the context that `event` (`[variables]`, in event order) shows.
    ///
    /// # Panics
    /// When a symbol of the context is not below the number of states of its variable.
    pub fn row(&self, event: &[u8]) -> &[f64] {
        self.find_row(event).expect("symbols below the number of states")
    }

    /// The same; none when a symbol of the context is not below the number of states of its variable.
    ///
    /// ```
    /// use prob_core::joint::{Markov, Symbols, Tabular};
    /// use prob_core::ordering::Ordering;
    /// let data = Symbols::of_levels(&[0, 2, 1, 1], &[2, 3]).unwrap();
    /// let chain = Markov::fit(1, Ordering::raster(2), data, 0.0).unwrap();
    /// let second = &chain.tables()[1];
    /// assert_eq!(second.find_row(&[1, 0]).map(|row| row[1]), Some(0.0));
    /// assert_eq!(second.find_row(&[2, 0]), None);
    /// ```
    pub fn find_row(&self, event: &[u8]) -> Option<&[f64]> {
        let start = self.row_start(event)?;
        Some(&self.log_probs[start..start + self.states])
    }

    /// Where the row for `event` starts; none when its context holds an impossible symbol.
    #[inline]
    fn row_start(&self, event: &[u8]) -> Option<usize> {
        let mut row = 0;
        for (&i, &states) in self.context.iter().zip(&self.context_levels) {
            let symbol = usize::from(event[i]);
            if symbol >= states {
                return None;
            }
            row = row * states + symbol;
        }
        Some(row * self.states)
    }

    /// Log-probability of the variable's symbol in `event`, `-inf` outside the support.
    #[inline]
    fn log_prob(&self, event: &[u8]) -> f64 {
        let symbol = usize::from(event[self.variable]);
        match self.row_start(event) {
            Some(start) if symbol < self.states => self.log_probs[start + symbol],
            _ => f64::NEG_INFINITY,
        }
    }
}

/// All tables of a model in the order of the walk.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    ordering: Ordering,
    /// Number of states of each variable, in event order.
    levels: Vec<usize>,
    tables: Vec<ConditionalTable>,
    device: Device,
    dtype: Option<FloatDType>,
}

/// What each variable looks at, by position in the ordering, before any table exists.
pub(super) struct Structure {
    pub(super) model: &'static str,
    pub(super) ordering: Ordering,
    /// Number of states of each variable, in event order.
    pub(super) levels: Vec<usize>,
    /// `contexts[t]`: event indices, all visited before position t.
    pub(super) contexts: Vec<Vec<usize>>,
}

impl Structure {
    /// Entries of each table.
    ///
    /// # Errors
    /// When there is not a number of states for each variable, or all together exceed `limit_bytes`,
    /// with `extra` entries kept elsewhere.
    fn table_sizes(&self, extra: BigUint, limit_bytes: u64) -> Result<Vec<usize>, Error> {
        check_levels(&self.levels)?;
        let (got, expected) = (self.ordering.len(), self.levels.len());
        if got != expected {
            return Err(Error::Variables { what: self.model, got, expected });
        }
        let size = |(context, &variable): (&Vec<usize>, &usize)| {
            rows_of(context.iter().map(|&i| self.levels[i])) * self.levels[variable]
        };
        let sizes: Vec<BigUint> =
            self.contexts.iter().zip(self.ordering.as_slice()).map(size).collect();
        let entries: BigUint = sizes.iter().sum::<BigUint>() + extra;
        check_memory(self.model, entries, limit_bytes)?;
        Ok(sizes.iter().map(|s| usize::try_from(s).expect("within the limit")).collect())
    }

    fn with_log_probs(self, log_probs: Vec<Vec<f64>>) -> Tables {
        let tables = log_probs
            .into_iter()
            .zip(self.contexts)
            .zip(self.ordering.as_slice())
            .map(|((log_probs, context), &variable)| ConditionalTable {
                variable,
                context_levels: context.iter().map(|&i| self.levels[i]).collect(),
                context,
                states: self.levels[variable],
                log_probs,
            })
            .collect();
        Tables {
            ordering: self.ordering,
            levels: self.levels,
            tables,
            device: Device::default(),
            dtype: None,
        }
    }

    /// Laplace's estimate from data.
    pub(super) fn fit(
        self,
        data: Symbols<'_>,
        pseudo_count: f64,
        limit_bytes: u64,
    ) -> Result<Tables, Error> {
        check_pseudo_count(pseudo_count)?;
        if self.ordering.len() != data.variables() {
            return Err(Error::Variables {
                what: self.model,
                got: self.ordering.len(),
                expected: data.variables(),
            });
        }
        let sizes = self.table_sizes(BigUint::from(0u8), limit_bytes)?;
        let log_probs = sizes.iter().map(|&size| vec![0.0; size]).collect();
        let mut tables = self.with_log_probs(log_probs);
        // Each task owns some tables and reads all rows. Counts are whole numbers, exact in f64 up
        // to 2^53, so neither the split nor the order of rows can change them.
        let a_task = tables.tables.len().div_ceil(4 * rayon::current_num_threads()).max(1);
        tables.tables.par_chunks_mut(a_task).for_each(|tables| {
            for event in data.values().chunks_exact(data.variables()) {
                for table in tables.iter_mut() {
                    let start = table.row_start(event).expect("checked symbols");
                    table.log_probs[start + usize::from(event[table.variable])] += 1.0;
                }
            }
            for table in tables {
                for counts in table.log_probs.chunks_exact_mut(table.states) {
                    counts_to_log_probs(counts, pseudo_count);
                }
            }
        });
        Ok(tables)
    }

    /// All rows uniform.
    pub(super) fn uniform(self, limit_bytes: u64) -> Result<Tables, Error> {
        let sizes = self.table_sizes(BigUint::from(0u8), limit_bytes)?;
        let table =
            |(size, &variable): (usize, &usize)| vec![-(self.levels[variable] as f64).ln(); size];
        let log_probs = sizes.into_iter().zip(self.ordering.as_slice()).map(table).collect();
        Ok(self.with_log_probs(log_probs))
    }

    /// From stored log-probabilities, in the order of the walk, kept bit for bit.
    pub(super) fn stored(self, log_probs: Vec<Vec<f64>>) -> Result<Tables, Error> {
        check_count("tables", log_probs.len(), self.ordering.len())?;
        // The arrays exist already, so the limit that matters was the one they were made under.
        let sizes = self.table_sizes(BigUint::from(0u8), u64::MAX)?;
        for (t, (log_probs, size)) in log_probs.iter().zip(sizes).enumerate() {
            check_count(&format!("entries of table {t}"), log_probs.len(), size)?;
            check_rows(log_probs, self.levels[self.ordering[t]])?;
        }
        Ok(self.with_log_probs(log_probs))
    }

    /// From log-probabilities that are right by how they were made; `extra` counts entries that the
    /// model keeps besides its tables.
    pub(super) fn derived(
        self,
        extra: BigUint,
        limit_bytes: u64,
        make: impl FnOnce(&[usize]) -> Vec<Vec<f64>>,
    ) -> Result<Tables, Error> {
        let sizes = self.table_sizes(extra, limit_bytes)?;
        let log_probs = make(&sizes);
        Ok(self.with_log_probs(log_probs))
    }
}

/// Number of rows of a table: one for each way in which variables of so many states each can be.
pub(super) fn rows_of(levels: impl Iterator<Item = usize>) -> BigUint {
    levels.fold(BigUint::from(1u8), |rows, states| rows * states)
}

/// Whether `entries` f64 numbers stay within the limit.
pub(super) fn check_memory(
    model: &'static str,
    entries: BigUint,
    limit_bytes: u64,
) -> Result<(), Error> {
    let needed_bytes = entries * size_of::<f64>();
    if needed_bytes > BigUint::from(limit_bytes.min(isize::MAX as u64)) {
        return Err(Error::TooLarge { model, needed_bytes, limit_bytes });
    }
    Ok(())
}

fn check_count(what: &str, got: usize, expected: usize) -> Result<(), Error> {
    if got == expected {
        Ok(())
    } else {
        Err(Error::Table { what: format!("number of {what}"), got, expected })
    }
}

/// Every row of `columns` log-probabilities must sum to 1; this also refuses NaN and `+inf`.
pub(super) fn check_rows(log_probs: &[f64], columns: usize) -> Result<(), Error> {
    for (row, log_probs) in log_probs.chunks_exact(columns).enumerate() {
        let sum = logsumexp(log_probs).exp();
        let close = (sum - 1.0).abs() <= SUM_TOLERANCE;
        if !close {
            return Err(Error::NotNormalised { row, sum, tolerance: SUM_TOLERANCE });
        }
    }
    Ok(())
}

impl Tables {
    pub(super) fn ordering(&self) -> &Ordering {
        &self.ordering
    }

    pub(super) fn levels(&self) -> &[usize] {
        &self.levels
    }

    /// Number of states of the variable with the most.
    pub(super) fn states(&self) -> usize {
        self.levels.iter().copied().max().unwrap_or_default()
    }

    pub(super) fn tables(&self) -> &[ConditionalTable] {
        &self.tables
    }

    pub(super) fn into_tables(self) -> Vec<ConditionalTable> {
        self.tables
    }

    pub(super) fn set_device(&mut self, device: &Device) {
        self.device = device.clone();
    }

    /// Speaks tensors as `other` does.
    pub(super) fn speak_like(&mut self, other: &Self) {
        self.device = other.device.clone();
        self.dtype = other.dtype;
    }

    pub(super) fn set_dtype(&mut self, dtype: FloatDType) {
        self.dtype = Some(dtype);
    }

    /// The float type that the model's tensors have on `device`.
    fn dtype_on(&self, device: &Device) -> DType {
        self.dtype.unwrap_or(device.settings().float_dtype).into()
    }

    /// Splits values into rows.
    ///
    /// # Panics
    /// When they do not fill whole rows.
    #[track_caller]
    pub(super) fn check_whole_rows(&self, values: &[u8]) {
        let variables = self.ordering.len();
        assert!(
            values.len().is_multiple_of(variables),
            "{} values, expected a multiple of {variables} variables",
            values.len()
        );
    }

    /// Sum over the tables, in the order of the walk.
    pub(super) fn log_prob_rows(&self, values: &[u8]) -> Vec<f64> {
        self.check_whole_rows(values);
        self.map_rows(values, |event| self.tables.iter().map(|table| table.log_prob(event)).sum())
    }

    /// One number per row, in parallel; each row is computed by itself, so threads change nothing.
    pub(super) fn map_rows(
        &self,
        values: &[u8],
        f: impl Fn(&[u8]) -> f64 + Send + Sync,
    ) -> Vec<f64> {
        let variables = self.ordering.len();
        values.par_chunks_exact(variables).with_min_len(ROWS_A_TASK).map(f).collect()
    }

    pub(super) fn log_prob_per_variable(&self, values: &[u8]) -> Vec<f64> {
        self.check_whole_rows(values);
        let variables = self.ordering.len();
        let mut costs = vec![0.0; values.len()];
        costs
            .par_chunks_exact_mut(variables)
            .zip(values.par_chunks_exact(variables))
            .with_min_len(ROWS_A_TASK)
            .for_each(|(costs, event)| {
                for table in &self.tables {
                    costs[table.variable] = table.log_prob(event);
                }
            });
        costs
    }

    /// An int tensor's rows as symbols. Whatever does not fit a byte becomes 255; with 256 states
    /// that would be a symbol, so such rows are named apart.
    fn symbols_of(&self, x: &Tensor<2, Int>) -> (Vec<u8>, Vec<bool>) {
        let variables = self.ordering.len();
        let values = to_host_int(x);
        let outside = |(&v, &states): (&i64, &usize)| v < 0 || v >= states as i64;
        let rows = values.chunks_exact(variables);
        let impossible = rows.map(|row| row.iter().zip(&self.levels).any(outside)).collect();
        (values.iter().map(|&v| u8::try_from(v).unwrap_or(u8::MAX)).collect(), impossible)
    }

    /// Log-probabilities of a batch of events as a tensor on their device.
    pub(super) fn log_prob_tensor(
        &self,
        x: &Tensor<2, Int>,
        rows: impl FnOnce(&[u8]) -> Vec<f64>,
    ) -> Tensor<1> {
        let [batch, columns] = x.dims();
        let variables = self.ordering.len();
        assert!(columns == variables, "events of {columns} variables, expected {variables}");
        let (values, impossible) = self.symbols_of(x);
        let mut log_probs = rows(&values);
        for (log_prob, impossible) in log_probs.iter_mut().zip(impossible) {
            if impossible {
                *log_prob = f64::NEG_INFINITY;
            }
        }
        let device = x.device();
        from_host(log_probs, [batch], &device, self.dtype_on(&device))
    }

    /// The walk without its tensors: the same uniforms decide the same symbols.
    pub(super) fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2, Int> {
        let variables = self.ordering.len();
        let dtype = self.dtype_on(&self.device);
        let mut values = vec![0u8; n * variables];
        let mut logits = Vec::with_capacity(self.states());
        for table in &self.tables {
            for event in values.chunks_exact_mut(variables) {
                logits.clear();
                logits.extend_from_slice(table.row(event));
                // What the conditional's tensor would have rounded to.
                if dtype != DType::F64 {
                    round_to(dtype, &mut logits);
                }
                event[table.variable] = categorical::draw(&logits, uniform(rng)) as u8;
            }
        }
        let values = values.into_iter().map(i64::from).collect();
        from_host_int(values, [n, variables], &self.device)
    }

    pub(super) fn init_state(&self, batch: usize) -> TableState {
        TableState { position: 0, batch, values: vec![0; batch * self.ordering.len()] }
    }

    pub(super) fn conditional(&self, state: &TableState) -> Categorical {
        let table = self.table_at(state);
        let mut log_probs = Vec::with_capacity(state.batch * table.states);
        for event in state.values.chunks_exact(self.ordering.len()) {
            log_probs.extend_from_slice(table.row(event));
        }
        let shape = [state.batch, table.states];
        let dtype = self.dtype_on(&self.device);
        Categorical::from_logits_unchecked(from_host(log_probs, shape, &self.device, dtype))
    }

    pub(super) fn advance(&self, state: &mut TableState, x_t: &Tensor<1, Int>) {
        let table = self.table_at(state);
        let symbols = to_host_int(x_t);
        assert!(
            symbols.len() == state.batch,
            "a batch of {} symbols, expected {}",
            symbols.len(),
            state.batch
        );
        for (event, &symbol) in state.values.chunks_exact_mut(self.ordering.len()).zip(&symbols) {
            assert!(
                (0..table.states as i64).contains(&symbol),
                "symbol {symbol}, expected 0 to {}",
                table.states - 1
            );
            event[table.variable] = symbol as u8;
        }
        state.position += 1;
    }

    #[track_caller]
    fn table_at(&self, state: &TableState) -> &ConditionalTable {
        let n = self.tables.len();
        assert!(state.position < n, "the walk over {n} variables has ended");
        &self.tables[state.position]
    }
}

/// Rounds as a tensor of `dtype` on the device would.
fn round_to(dtype: DType, values: &mut [f64]) {
    let data = burn::tensor::TensorData::new(values.to_vec(), [values.len()]).convert_dtype(dtype);
    for (value, rounded) in values.iter_mut().zip(data.iter::<f64>()) {
        *value = rounded;
    }
}

/// A batch of walks through the tables: the symbols chosen so far.
#[derive(Debug, Clone)]
pub struct TableState {
    position: usize,
    batch: usize,
    /// `[batch, variables]` in event order; 0 where the walk has not been.
    values: Vec<u8>,
}

impl TableState {
    /// The position t that the walk stands at.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Number of walks.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The symbols so far in event order, `[batch, variables]`; 0 where the walk has not been.
    pub fn values(&self) -> &[u8] {
        &self.values
    }

    /// The walks `walks`, in that order.
    pub(super) fn select(&self, walks: &[usize]) -> Self {
        let variables = self.values.len() / self.batch.max(1);
        let row = |&walk: &usize| &self.values[walk * variables..(walk + 1) * variables];
        let values = walks.iter().flat_map(row).copied().collect();
        Self { position: self.position, batch: walks.len(), values }
    }
}

/// Every table as it is.
pub(super) fn all_arrays(tables: &Tables) -> Vec<&[f64]> {
    tables.tables().iter().map(ConditionalTable::log_probs).collect()
}

/// `Σ contexts · (m − 1)` over the tables.
pub(super) fn count_parameters(tables: &Tables) -> BigUint {
    let free = |table: &ConditionalTable| {
        rows_of(table.context_levels.iter().copied()) * (table.states - 1)
    };
    tables.tables().iter().map(free).sum()
}
