//! A Parzen window: every stored row spreads a kernel around itself.
//!
//! ```text
//! p(x) = 1/n Σ_i Π_t K_t(x_t | x_{i,t})                                                (1)
//! p(x_t | x_S) = Σ_i w_i(x_S) K_t(x_t | x_{i,t}),   w_i ∝ Π_{s ∈ S} K_s(x_s | x_{i,s})   (2)
//! ```
//!
//! Each K is a distribution (`kernels.rs`), so p is one, and so are its conditionals given any variables: the model is
//! autoregressive in every ordering at once, and what is missing is drawn from p(missing | observed) exactly, by drawing
//! a row i by its weight and then each cell around that row's. Nothing is learned but how wide the kernels are
//! (`bandwidth.rs`); the rows are the model, and are stored with it.
//!
//! It describes columns of different types, symbols (as categories) and real numbers.
//!
//! # References
//! - Parzen, *On estimation of a probability density function and mode*, Annals of Mathematical Statistics 33, 1962,
//!   Eq. 1.2; Rosenblatt 1956.
//! - Categories: Aitchison and Aitken, *Multivariate binary discrimination by the kernel method*, Biometrika 63, 1976,
//!   Eq. 2.
//! - Ordered categories: Wang and van Ryzin, *A class of smooth estimators for discrete distributions*, Biometrika 68,
//!   1981.
//!
//! # Deviations from the papers
//! - λ is the probability of a draw from all labels alike, so that one λ suits categories of any number of labels:
//!   Aitchison and Aitken's is 1 − λ (L − 1)/L.
//! - Wang and van Ryzin's kernel falls geometrically with the distance of labels; here it falls like a Gaussian of
//!   their numbers, with the bandwidth of all other numbers.
//! - Numbers on a grid have the Gaussian's values there, normalized over the grid, and not the masses of its cells.

mod axes;
mod bandwidth;
mod fast;
mod given;
mod kernels;
mod layout;
mod regions;
mod settings;
mod walker;

use std::borrow::Cow;
use std::sync::OnceLock;

use prob_core::ordering::Ordering;
use prob_core::uniform;
use rand::Rng;
use rand::seq::index::sample;
use rayon::prelude::*;

use crate::foundation::column::Column;
use crate::foundation::error::Error;
use crate::foundation::event::{EventSpec, check_values};
use crate::foundation::examples::{Examples, Rows, Values, for_chunks, read_rows};
use crate::foundation::randomness::{Purpose, stream};
use crate::foundation::store::Arrays;
use crate::parts::columns::Units;
use crate::parts::walk::Completions;

use fast::Fast;
pub use kernels::Bandwidths;
use kernels::Cells;
use layout::{Layout, log_sum, normalize};
pub use settings::{Bandwidth, KernelSettings, MAX_ROWS};

/// Bandwidths that a window over such events chooses.
pub fn free_bandwidths(settings: &KernelSettings, event: &EventSpec) -> usize {
    let columns = columns_of(event);
    let numbers = |t: usize| {
        !matches!(columns[t], Column::Category { .. }) || !event.label_values(t).is_empty()
    };
    let numbers = (0..columns.len()).filter(|&t| numbers(t)).count();
    let cells = blank(event, &columns, vec![0.0; columns.len()], vec![1.0; columns.len()], 0.5);
    let labels = usize::from(cells.iter().any(Cells::has_labels));
    labels
        + match settings.bandwidth {
            Bandwidth::Common => numbers.min(1),
            Bandwidth::PerColumn => numbers,
        }
}

/// What each variable of an event is.
fn columns_of(event: &EventSpec) -> Vec<Column> {
    match (&event.columns, event.levels) {
        (Some(columns), _) => columns.clone(),
        (None, Some(labels)) => vec![Column::Category { labels }; event.variables()],
        (None, None) => vec![Column::Real { can_be_missing: false }; event.variables()],
    }
}

/// The cells of columns in these units.
fn blank(
    event: &EventSpec,
    columns: &[Column],
    means: Vec<f64>,
    scales: Vec<f64>,
    unseen: f64,
) -> Vec<Cells> {
    let units = columns.iter().zip(means).zip(scales).enumerate();
    let cells = |(t, ((&column, mean), scale))| {
        let values = event.label_values(t).to_vec();
        Cells { column, values, mean, scale, unseen }
    };
    units.map(cells).collect()
}

/// A Parzen window.
///
/// ```
/// use ar_models::{columns::Column, config::EventSpec, examples::InMemory};
/// use ar_models::window::{KernelSettings, KernelWindow};
///
/// // A label, and a number that is near 0 for the one and near 10 for the other.
/// let event = EventSpec::columns(vec![
///     Column::Category { labels: 2 },
///     Column::Real { can_be_missing: false },
/// ]);
/// let rows = (0..200).flat_map(|i| [f64::from(i % 2), f64::from(10 * (i % 2)) + f64::from(i % 7)]);
/// let data = InMemory::reals(rows.collect(), 2);
/// let window = KernelWindow::fit(&KernelSettings::default(), &event, &data)?;
/// // Exact given any variables: which label has a number near 10?
/// let weights = window.log_weights(&[None, Some(12.0)]);
/// assert!(window.log_prob_given(&weights, 0, 1.0) > 0.9_f64.ln());
/// # Ok::<(), ar_models::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct KernelWindow {
    ordering: Ordering,
    cells: Vec<Cells>,
    /// `[rows, variables]`, NaN where a number is missing.
    rows: Vec<f64>,
    bandwidths: Bandwidths,
    free: usize,
    is_real: bool,
    left_out: Option<f64>,
    layout: Layout,
    /// The least and the largest number of each column; all numbers where there is none.
    ranges: Vec<(f64, f64)>,
    /// Made when it is first asked for; `None` inside where f32 does not suit the rows.
    fast: OnceLock<Option<Fast>>,
}

/// Names of the arrays in the file.
const ROWS: &str = "window.rows";
const MEANS: &str = "window.means";
const WIDTHS: &str = "window.scales";
const UNSEEN: &str = "window.unseen";
const NUMBERS: &str = "window.bandwidths.numbers";
const LABELS: &str = "window.bandwidths.labels";
const LEFT_OUT: &str = "window.leave_one_out";
const VALUES: &str = "window.label_values";

/// What stands for a missing number in the file, whose arrays hold no NaN. No number is infinite.
const MISSING: f64 = f64::NEG_INFINITY;

impl KernelWindow {
    /// Keeps rows, and chooses bandwidths by them.
    ///
    /// # Errors
    /// When there are no rows, or a value is none of its variable.
    pub fn fit(
        settings: &KernelSettings,
        event: &EventSpec,
        train: &dyn Examples,
    ) -> Result<Self, Error> {
        const TRAINING: &str = "training";
        if train.is_empty() {
            return Err(Error::Empty(TRAINING));
        }
        for_chunks(train, 1, |first, values| check_values(TRAINING, first, event, values))?;
        let columns = columns_of(event);
        let cells = match event.levels {
            // Of symbols nothing but the levels is possible.
            Some(_) => {
                let (means, scales) = (vec![0.0; columns.len()], vec![1.0; columns.len()]);
                blank(event, &columns, means, scales, 0.0)
            }
            None => {
                let (units, frequencies) = Units::fit(&columns, train)?;
                // Real numbers of a homogeneous event are never missing.
                let unseen = if event.columns.is_some() { units.unseen() } else { 0.0 };
                let (means, scales) = (units.means().to_vec(), units.scales().to_vec());
                let mut cells = blank(event, &columns, means, scales, unseen);
                for (cells, counts) in cells.iter_mut().zip(&frequencies.counts) {
                    standardize(cells, counts);
                }
                cells
            }
        };
        let mut rng = stream(settings.rows_seed, Purpose::Rows, 0);
        let kept = if train.len() > settings.max_rows {
            let mut kept = sample(&mut rng, train.len(), settings.max_rows).into_vec();
            kept.sort_unstable();
            kept
        } else {
            (0..train.len()).collect()
        };
        let rows = match read_rows(train, 1, &kept) {
            Rows::Reals(rows) => rows,
            Rows::Symbols(rows) => rows.into_iter().map(f64::from).collect(),
        };
        let (bandwidths, left_out) = bandwidth::choose(&cells, &rows, settings.bandwidth, &mut rng);
        Self::new(settings, event, cells, rows, bandwidths, left_out)
    }

    fn new(
        settings: &KernelSettings,
        event: &EventSpec,
        cells: Vec<Cells>,
        rows: Vec<f64>,
        bandwidths: Bandwidths,
        left_out: Option<f64>,
    ) -> Result<Self, Error> {
        let layout = Layout::new(&cells, &rows, &bandwidths);
        let ordering = settings.ordering.build(&event.shape)?;
        let free = free_bandwidths(settings, event);
        let is_real = event.levels.is_none();
        let ranges = (0..cells.len()).map(|t| range(rows.iter().skip(t).step_by(cells.len())));
        let (ranges, fast) = (ranges.collect(), OnceLock::new());
        Ok(Self {
            ordering,
            cells,
            rows,
            bandwidths,
            free,
            is_real,
            left_out,
            layout,
            ranges,
            fast,
        })
    }

    /// The order in which costs per variable are told.
    pub fn ordering(&self) -> &Ordering {
        &self.ordering
    }

    /// Number of stored rows.
    pub fn stored(&self) -> usize {
        self.rows.len() / self.cells.len()
    }

    /// The widths of the kernels.
    pub fn bandwidths(&self) -> &Bandwidths {
        &self.bandwidths
    }

    /// h where one was chosen for all columns of numbers; `None` where there is none, or each has its own.
    pub fn common_width(&self) -> Option<f64> {
        let columns = self.cells.iter().zip(&self.bandwidths.numbers);
        let mut widths = columns.filter(|(cells, _)| cells.has_numbers()).map(|(_, &h)| h);
        let first = widths.next()?;
        widths.all(|h| h == first).then_some(first)
    }

    /// Whether there are columns of numbers, or of labels that stand for some.
    pub fn has_numbers(&self) -> bool {
        self.cells.iter().any(Cells::has_numbers)
    }

    /// λ, where there are labels.
    pub fn share_of_labels(&self) -> Option<f64> {
        self.cells.iter().any(Cells::has_labels).then_some(self.bandwidths.labels)
    }

    /// The mean of −log p(row) under the window of all other rows, in nats, over those rows that the bandwidths were
    /// chosen by; `None` for a single row.
    pub fn leave_one_out_nll_nats(&self) -> Option<f64> {
        self.left_out.map(|log_prob| -log_prob)
    }

    /// Number of bandwidths that were chosen.
    pub fn free_parameters(&self) -> usize {
        self.free
    }

    /// Bytes of the stored rows.
    pub fn row_bytes(&self) -> usize {
        size_of_val(&self.rows[..])
    }

    /// log p(x) of each row, in nats.
    ///
    /// # Shapes
    /// `rows` is `[n, variables]` in event order; returns `[n]`.
    ///
    /// # Panics
    /// When `rows` is not whole rows.
    pub fn log_prob<'a>(&self, rows: impl Into<Values<'a>>) -> Vec<f64> {
        let rows = self.cells_of(rows.into());
        let log_n = (self.stored() as f64).ln();
        self.layout.log_sums(&rows, None).into_iter().map(|sum| sum - log_n).collect()
    }

    /// [`log_prob`](Self::log_prob) in f32, ten and more times as fast: for ranking many rows, not for a likelihood that
    /// is quoted. For rows as training has them it is within 10^-4 nats; of what is far from all stored rows it is right
    /// to six digits. It depends on nothing but the row and the window, and on the instruction set.
    ///
    /// # Shapes
    /// `rows` is `[n, variables]` in event order; returns `[n]`.
    ///
    /// # Panics
    /// When `rows` is not whole rows.
    pub fn log_prob_fast<'a>(&self, rows: impl Into<Values<'a>>) -> Vec<f64> {
        let rows = self.cells_of(rows.into());
        let Some(fast) = self.fast.get_or_init(|| Fast::new(&self.layout, &self.rows)) else {
            return self.log_prob(&rows[..]);
        };
        let log_n = (self.stored() as f64).ln();
        let mut sums = fast.log_sums(&self.layout, &rows);
        sums.iter_mut().for_each(|sum| *sum -= log_n);
        sums
    }

    /// [`log_prob`](Self::log_prob) as Equation 1 has it, row by row and kernel by kernel: slow, and what the fast one
    /// is compared with.
    ///
    /// # Panics
    /// When `rows` is not whole rows.
    pub fn log_prob_plain<'a>(&self, rows: impl Into<Values<'a>>) -> Vec<f64> {
        let (rows, width) = (self.cells_of(rows.into()), self.cells.len());
        let of = |row: &[f64]| {
            let stored = self.rows.chunks_exact(width);
            let log_kernels: Vec<f64> = stored
                .map(|centre| {
                    let cells = self.layout.kernels.iter().zip(row.iter().zip(centre));
                    cells.map(|(kernel, (&x, &c))| kernel.log(x, c)).sum()
                })
                .collect();
            prob_core::logspace::log_mean_exp(&log_kernels)
        };
        rows.chunks_exact(width).map(of).collect()
    }

    /// log p(x_t | those before it in the ordering) of each variable, in nats; `-inf` for what is outside the support
    /// and for what comes after it.
    ///
    /// # Shapes
    /// `rows` and the result are `[n, variables]` in event order.
    ///
    /// # Panics
    /// When `rows` is not whole rows.
    pub fn log_prob_per_variable<'a>(&self, rows: impl Into<Values<'a>>) -> Vec<f64> {
        let (rows, width) = (self.cells_of(rows.into()), self.cells.len());
        let mut log_probs = vec![0.0; rows.len()];
        log_probs.par_chunks_mut(width).zip(rows.par_chunks(width)).for_each(|(out, row)| {
            let mut costs = self.alike();
            let mut is_possible = true;
            for &t in self.ordering.as_slice() {
                let least = self.layout.add(t, row[t], &mut costs);
                is_possible &= least.is_finite();
                out[t] = match is_possible {
                    true => normalize(&mut costs) - least,
                    false => f64::NEG_INFINITY,
                };
            }
        });
        log_probs
    }

    /// log w_i of Equation 2 of each stored row, in nats, given some variables of one event: `Some(NaN)` is a number
    /// that is known to be missing. Where what is observed is impossible, they are those of no observation.
    ///
    /// # Panics
    /// When `observed` has another length than an event.
    pub fn log_weights(&self, observed: &[Option<f64>]) -> Vec<f64> {
        assert_eq!(observed.len(), self.cells.len(), "an entry for each variable");
        let mut costs = self.alike();
        if self.observe(observed, &mut costs) == f64::INFINITY {
            costs = self.alike();
        }
        normalize(&mut costs);
        costs.into_iter().map(|cost| -cost).collect()
    }

    /// Costs of rows with the same weight.
    fn alike(&self) -> Vec<f64> {
        vec![(self.stored() as f64).ln(); self.stored()]
    }

    /// Adds the costs of what is observed but for what is common to all rows, which is returned.
    fn observe(&self, observed: &[Option<f64>], costs: &mut [f64]) -> f64 {
        let known = observed.iter().enumerate().filter_map(|(t, x)| x.map(|x| (t, x)));
        known.map(|(t, x)| self.layout.add(t, x, costs)).sum()
    }

    /// log p(x_t | x_S) by the weights that x_S gives: Equation 2.
    pub fn log_prob_given(&self, log_weights: &[f64], t: usize, x: f64) -> f64 {
        let mut costs: Vec<f64> = log_weights.iter().map(|weight| -weight).collect();
        let least = self.layout.add(t, x, &mut costs);
        log_sum(&costs) - least
    }

    /// log p(missing | observed) of each row, in nats.
    ///
    /// # Shapes
    /// `rows` and `observed` are `[n, variables]` in event order; returns `[n]`.
    ///
    /// # Panics
    /// When `rows` is not whole rows.
    pub fn log_prob_conditional<'a>(
        &self,
        rows: impl Into<Values<'a>>,
        observed: &[bool],
    ) -> Vec<f64> {
        let (rows, width) = (self.cells_of(rows.into()), self.cells.len());
        let of = |(row, observed): (&[f64], &[bool])| {
            let part = |wanted: bool| -> Vec<Option<f64>> {
                let cells = row.iter().zip(observed);
                cells.map(|(&x, &is)| (is == wanted).then_some(x)).collect()
            };
            let mut costs = self.alike();
            let of_observed = self.observe(&part(true), &mut costs);
            normalize(&mut costs);
            let of_missing = self.observe(&part(false), &mut costs);
            // What is observed must be possible, too.
            if of_observed.is_finite() { log_sum(&costs) - of_missing } else { f64::NEG_INFINITY }
        };
        rows.par_chunks(width).zip(observed.par_chunks(width)).map(of).collect()
    }

    /// log p(observed) of each row, in nats.
    ///
    /// # Shapes
    /// `observed` is `[n, variables]` in event order; returns `[n]`.
    pub fn log_prob_observed(&self, observed: &[Option<f64>]) -> Vec<f64> {
        let of = |observed: &[Option<f64>]| {
            let mut costs = self.alike();
            let least = self.observe(observed, &mut costs);
            log_sum(&costs) - least
        };
        observed.par_chunks(self.cells.len()).map(of).collect()
    }

    /// Draws what is not observed from p(missing | observed), given that nothing is drawn that training never saw:
    /// neither another label, nor a missing number in a column without any.
    ///
    /// # Shapes
    /// `observed` and the result are `[n, variables]` in event order.
    ///
    /// # Panics
    /// When `observed` is not whole rows.
    pub fn complete(&self, observed: &[Option<f64>], rng: &mut dyn Rng) -> Vec<f64> {
        let (width, stored) = (self.cells.len(), self.stored());
        assert!(observed.len().is_multiple_of(width), "whole rows");
        // Which row is asked for first, so that what takes long is computed by all threads.
        let uniforms: Vec<f64> = observed.chunks_exact(width).map(|_| uniform(rng)).collect();
        let centres: Vec<usize> = observed
            .par_chunks(width)
            .zip(&uniforms)
            .map(|(observed, &u)| {
                if observed.iter().all(Option::is_none) {
                    return ((u * stored as f64) as usize).min(stored - 1);
                }
                index(&self.log_weights(observed), u)
            })
            .collect();
        let mut drawn = Vec::with_capacity(observed.len());
        for (observed, &i) in observed.chunks_exact(width).zip(&centres) {
            let centre = &self.rows[i * width..(i + 1) * width];
            for (t, x) in observed.iter().enumerate() {
                drawn.push(x.unwrap_or_else(|| self.layout.kernels[t].draw(centre[t], rng)));
            }
        }
        drawn
    }

    /// Whether an event is of numbers, and not of symbols.
    pub fn is_real(&self) -> bool {
        self.is_real
    }

    /// [`complete`](Self::complete) for symbols.
    ///
    /// # Panics
    /// When `observed` is not whole rows, or the model is one of numbers.
    pub fn complete_symbols(&self, observed: &[Option<u8>], rng: &mut dyn Rng) -> Vec<u8> {
        assert!(!self.is_real, "a window of numbers draws no symbols");
        let observed: Vec<Option<f64>> = observed.iter().map(|x| x.map(f64::from)).collect();
        self.complete(&observed, rng).into_iter().map(|x| x as u8).collect()
    }

    /// Exactly what [`monte_carlo`](crate::parts::walk::monte_carlo) tends to.
    pub(crate) fn complete_symbols_exactly(
        &self,
        observed: &[Option<u8>],
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Completions {
        let rows = observed.chunks_exact(self.cells.len());
        let each: Vec<Option<u8>> =
            rows.flat_map(|row| std::iter::repeat_n(row, samples).flatten().copied()).collect();
        let values = self.complete_symbols(&each, rng);
        let observed: Vec<Option<f64>> = observed.iter().map(|x| x.map(f64::from)).collect();
        Completions { values, log_prob_observed: self.log_prob_observed(&observed) }
    }

    /// Rows as numbers.
    fn cells_of<'a>(&self, rows: Values<'a>) -> Cow<'a, [f64]> {
        let (found, width) = (rows.len(), self.cells.len());
        assert_eq!(found % width, 0, "{found} values are not whole rows");
        match rows {
            Values::Reals(rows) => rows.into(),
            Values::Symbols(rows) => rows.iter().map(|&x| f64::from(x)).collect(),
        }
    }

    /// Adds what the window is to the arrays of a file.
    pub(crate) fn store(&self, arrays: &mut Arrays) {
        let coded = |&x: &f64| if x.is_nan() { MISSING } else { x };
        let of_cells = |f: &dyn Fn(&Cells) -> f64| self.cells.iter().map(f).collect::<Vec<f64>>();
        let values = self.cells.iter().flat_map(|cells| cells.values.iter().map(coded));
        for (name, values) in [
            (MEANS, of_cells(&|cells| cells.mean)),
            (WIDTHS, of_cells(&|cells| cells.scale)),
            (UNSEEN, of_cells(&|cells| cells.unseen)),
            (NUMBERS, self.bandwidths.numbers.clone()),
            (LABELS, vec![self.bandwidths.labels]),
            (LEFT_OUT, self.left_out.into_iter().collect()),
            (VALUES, values.collect()),
        ] {
            arrays.f64s.push((name.into(), vec![values.len()], values));
        }
        let rows = self.rows.iter().map(coded).collect();
        arrays.f64s.push((ROWS.into(), vec![self.stored(), self.cells.len()], rows));
    }

    /// The window that [`store`](Self::store) put into a file.
    ///
    /// # Errors
    /// When the arrays are not those of a window over such events.
    pub(crate) fn restore(
        settings: &KernelSettings,
        event: &EventSpec,
        arrays: &Arrays,
    ) -> Result<Self, Error> {
        let found = |name: &str| {
            let found = arrays.f64s.iter().find(|(found, ..)| found == name);
            let values = found.map(|(.., values)| values.as_slice());
            values.ok_or_else(|| Error::Stored(format!("the stored model has no `{name}`")))
        };
        let of_columns = |name: &str, fits: &dyn Fn(f64) -> bool, expected: &str| {
            let values = found(name)?;
            if values.len() == event.variables() && values.iter().all(|&x| fits(x)) {
                return Ok(values.to_vec());
            }
            Err(Error::Stored(format!(
                "the stored array `{name}` has {} values, expected {} {expected}",
                values.len(),
                event.variables()
            )))
        };
        let is_width = |x: f64| x.is_finite() && x > 0.0;
        let columns = columns_of(event);
        let means = of_columns(MEANS, &f64::is_finite, "finite numbers")?;
        let scales = of_columns(WIDTHS, &is_width, "numbers above 0")?;
        let unseen = of_columns(UNSEEN, &|x| (0.0..1.0).contains(&x), "shares below 1")?;
        let numbers = of_columns(NUMBERS, &is_width, "numbers above 0")?;
        let &[labels] = found(LABELS)? else {
            return Err(Error::Stored(format!("the stored array `{LABELS}` is not one number")));
        };
        if !(labels > 0.0 && labels <= 1.0) {
            return Err(Error::Stored(format!("the stored λ is {labels}, expected 0 to 1")));
        }
        let decoded = |&x: &f64| if x == MISSING { f64::NAN } else { x };
        let mut cells = blank(event, &columns, means, scales, 0.0);
        cells.iter_mut().zip(unseen).for_each(|(cells, unseen)| cells.unseen = unseen);
        let same = |(a, b): (&f64, f64)| *a == b || (a.is_nan() && b.is_nan());
        let stored: Vec<f64> = found(VALUES)?.iter().map(decoded).collect();
        let values: Vec<f64> = cells.iter().flat_map(|cells| cells.values.clone()).collect();
        if stored.len() != values.len() || !stored.iter().zip(values).all(same) {
            return Err(Error::Stored("the numbers of the labels are not those of the run".into()));
        }
        let rows: Vec<f64> = found(ROWS)?.iter().map(decoded).collect();
        if rows.is_empty() || !rows.len().is_multiple_of(columns.len()) {
            return Err(Error::Stored(format!(
                "the stored array `{ROWS}` has {} values, expected rows of {}",
                rows.len(),
                columns.len()
            )));
        }
        crate::foundation::column::check_cells(&columns, "stored", 0, &rows)?;
        let left_out = found(LEFT_OUT)?.first().copied();
        let bandwidths = Bandwidths { numbers, labels };
        Self::new(settings, event, cells, rows, bandwidths, left_out)
    }
}

/// The least and the largest of some numbers that may be missing; all numbers where there is none.
fn range<'a>(cells: impl Iterator<Item = &'a f64>) -> (f64, f64) {
    let (low, high) = cells
        .filter(|x| !x.is_nan())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)));
    if low <= high { (low, high) } else { (f64::MIN, f64::MAX) }
}

/// Brings the numbers of ordered labels to mean 0 and standard deviation 1, by how often each occurs.
fn standardize(cells: &mut Cells, counts: &[u64]) {
    if cells.values.is_empty() {
        return;
    }
    let numbers = || {
        let counted = cells.values.iter().zip(counts);
        counted.filter(|(value, _)| !value.is_nan()).map(|(&value, &n)| (value, n as f64))
    };
    let total = numbers().map(|(_, n)| n).sum::<f64>().max(1.0);
    let mean = numbers().map(|(value, n)| n * value).sum::<f64>() / total;
    let square = numbers().map(|(value, n)| n * (value - mean).powi(2)).sum::<f64>() / total;
    let scale = if square > 0.0 { square.sqrt() } else { 1.0 };
    (cells.mean, cells.scale) = (mean, scale);
}

/// The index that a uniform number falls on under weights that add up to 1.
fn index(log_weights: &[f64], uniform: f64) -> usize {
    let mut left = uniform;
    for (i, weight) in log_weights.iter().enumerate() {
        left -= weight.exp();
        if left < 0.0 {
            return i;
        }
    }
    // Rounding may leave a little: the likeliest is never wrong.
    let likeliest =
        (0..log_weights.len()).max_by(|&a, &b| log_weights[a].total_cmp(&log_weights[b]));
    likeliest.unwrap_or(0)
}
