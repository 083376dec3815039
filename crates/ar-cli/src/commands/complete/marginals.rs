//! What the cells of a column cost by how often each value occurs in training, whatever else is in the row: what filling in
//! is measured against.

use std::collections::BTreeMap;

use ar_data::{Schema, Type, Variable};
use ar_models::examples::read_all_reals;

use crate::data::Prepared;

/// How each column is distributed in training.
pub(super) struct Marginals {
    columns: Vec<Marginal>,
    /// The commonest label, or the median.
    middles: Vec<f64>,
}

enum Marginal {
    /// Values that occur, and the cost of any other one.
    Counts { costs: BTreeMap<u64, f64>, other: f64 },
    /// A normal distribution, of a real column.
    Normal { mean: f64, spread: f64 },
}

impl Marginals {
    pub(super) fn of(train: &Prepared, schema: &Schema) -> Self {
        let values = read_all_reals(train, 0);
        let width = schema.variables.len();
        let (mut columns, mut middles) = (Vec::new(), Vec::new());
        for (i, variable) in schema.variables.iter().enumerate() {
            let column = values.iter().skip(i).step_by(width).copied();
            // A cell that was hidden is one that is there.
            let mut there: Vec<f64> = column.filter(|&x| !is_missing(variable, x)).collect();
            there.sort_unstable_by(f64::total_cmp);
            columns.push(Marginal::of(variable, &there));
            middles.push(match variable.levels() {
                Some(_) => commonest(&there),
                None => there.get(there.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN),
            });
        }
        Self { columns, middles }
    }

    /// The commonest label of a column, or the median of its numbers.
    pub(super) fn middle(&self, i: usize) -> f64 {
        self.middles[i]
    }

    /// −ln of the probability of a value of a column, or of its density where the column is real.
    pub(super) fn cost(&self, i: usize, x: f64) -> f64 {
        match &self.columns[i] {
            Marginal::Counts { costs, other } => costs.get(&x.to_bits()).copied().unwrap_or(*other),
            Marginal::Normal { mean, spread } => {
                let z = (x - mean) / spread;
                0.5 * z * z + spread.ln() + 0.5 * (2.0 * core::f64::consts::PI).ln()
            }
        }
    }
}

impl Marginal {
    /// Of sorted values. Of numbers on a grid those that never occurred share the fraction of values that occurred once
    /// (Good 1953, *The population frequencies of species*, Eq. 9), over the range; labels have one more than counted.
    fn of(variable: &Variable, values: &[f64]) -> Self {
        let n = values.len().max(1) as f64;
        let step = match variable.kind {
            Type::Real => {
                let mean = values.iter().sum::<f64>() / n;
                let spread = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
                return Self::Normal { mean, spread: spread.max(1e-12) };
            }
            Type::Integer => Some(1.0),
            Type::Decimal { places } => Some(1.0 / 10_f64.powi(i32::from(places))),
            Type::Category { .. } | Type::Codes { .. } => None,
        };
        let runs: Vec<&[f64]> = values.chunk_by(|a, b| a == b).collect();
        let Some(step) = step else {
            let total = n + variable.levels().unwrap_or(runs.len()) as f64;
            let cost = |run: &&[f64]| (run[0].to_bits(), (total / (run.len() + 1) as f64).ln());
            return Self::Counts { costs: runs.iter().map(cost).collect(), other: total.ln() };
        };
        let once = runs.iter().filter(|run| run.len() == 1).count() as f64;
        let new = (once / n).clamp(1.0 / (n + 1.0), 0.999);
        let range = values.last().zip(values.first()).map_or(0.0, |(last, first)| last - first);
        let cells = (range / step + 1.0 - runs.len() as f64).max(1.0);
        let cost = |run: &&[f64]| (run[0].to_bits(), -((1.0 - new) * run.len() as f64 / n).ln());
        Self::Counts { costs: runs.iter().map(cost).collect(), other: (cells / new).ln() }
    }
}

/// The commonest of sorted values, of equally common ones the first.
pub(super) fn commonest(values: &[f64]) -> f64 {
    let runs = values.chunk_by(|a, b| a == b);
    let best = runs.min_by_key(|run| core::cmp::Reverse(run.len()));
    best.map_or(f64::NAN, |run| run[0])
}

/// Whether a cell is missing: rows of the run's own data have missing labels as an outcome of their own.
pub(super) fn is_missing(variable: &Variable, x: f64) -> bool {
    let is_label = variable.levels().is_some_and(|levels| x == (levels - 1) as f64);
    x.is_nan() || variable.can_be_missing && is_label
}
