//! What is in each column of a table, and what looks wrong with it.

use super::builder::State;
use super::schema::{Schema, Type, Variable};
use super::table::Table;
use std::collections::HashMap;
use std::fmt;

/// A column in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Distinct values.
    pub distinct: usize,
    /// Cells without a value.
    pub missing: u64,
    /// The least and the largest number, of a column of numbers.
    pub range: Option<(f64, f64)>,
    /// The most frequent value, as a label is written.
    pub mode: Option<String>,
    /// How often that occurs.
    pub mode_count: u64,
    /// What looks wrong with it as a variable.
    pub warnings: Vec<Warning>,
}

/// What may be wrong with a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// It counts the rows.
    Index,
    /// Nearly every row has another value, which is no measurement.
    Identifier,
    /// One value throughout.
    Constant,
    /// The values of another column.
    Copy {
        /// Which one.
        of: String,
    },
    /// One row has nearly all of the variance.
    Dominated {
        /// Its number in the file, from 1.
        row: u64,
        /// Its value.
        value: String,
        /// Its share of the variance, in percent.
        percent: u8,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index => f.write_str("counts the rows: an index"),
            Self::Identifier => f.write_str("another value in nearly every row: an identifier"),
            Self::Constant => f.write_str("one value throughout"),
            Self::Copy { of } => write!(f, "a copy of {of}"),
            Self::Dominated { row, value, percent } => {
                write!(f, "row {row} ({value}) has {percent} % of its variance")
            }
        }
    }
}

impl Warning {
    /// Whether such a column is better left out.
    pub fn is_no_variable(&self) -> bool {
        !matches!(self, Self::Dominated { .. })
    }
}

/// Rows from which on that many distinct values mean something.
const ENOUGH: usize = 10;

/// The share of the variance of one row from which on it is said, in percent.
const NEARLY_ALL: f64 = 90.0;

impl Table {
    /// What is in each variable of a schema of this table.
    pub fn profile(&self, schema: &Schema) -> Vec<Profile> {
        let mut copies: HashMap<u64, String> = HashMap::new();
        schema.variables.iter().map(|variable| self.profile_of(variable, &mut copies)).collect()
    }

    fn profile_of(&self, variable: &Variable, copies: &mut HashMap<u64, String>) -> Profile {
        let column = variable.column;
        let Some((facts, dictionary)) = &self.facts[column] else {
            return Profile {
                distinct: 0,
                missing: 0,
                range: None,
                mode: None,
                mode_count: 0,
                warnings: Vec::new(),
            };
        };
        let is_number = variable.kind.outcomes().is_none();
        let values = self.values(column);
        let mut counts: HashMap<u64, u64> = HashMap::new();
        values.iter().for_each(|value| *counts.entry(value.to_bits()).or_default() += 1);
        let distinct = match &variable.kind {
            Type::Category { labels } => labels.len(),
            _ => counts.len(),
        };
        let mut warnings = Vec::new();
        if distinct <= 1 {
            warnings.push(Warning::Constant);
        } else if let Some(of) = self.copy_of(variable, copies) {
            warnings.push(Warning::Copy { of });
        }
        let rows = self.len();
        let counts_rows = matches!(variable.kind, Type::Integer | Type::Codes { .. })
            && values.len() == rows
            && rows >= ENOUGH
            && values.windows(2).all(|pair| pair[1] == pair[0] + 1.0)
            && matches!(values.first(), Some(&first) if first == 0.0 || first == 1.0);
        // A column without a name is what programs write the numbers of rows into.
        let is_unnamed = variable.name.as_deref() == Some("");
        if counts_rows || (is_unnamed && distinct == rows && rows >= ENOUGH) {
            warnings.push(Warning::Index);
        } else if 10 * distinct >= 9 * rows && rows >= ENOUGH {
            let is_name = matches!(&variable.kind, Type::Category { .. });
            // Whole numbers nearly all of which differ, and many more of them than rows would need.
            let is_key =
                variable.kind == Type::Integer && facts.most - facts.least > 20.0 * rows as f64;
            if is_name || is_key {
                warnings.push(Warning::Identifier);
            }
        }
        if is_number && rows >= ENOUGH {
            warnings.extend(self.dominated(column, &values));
        }
        let (mode, mode_count) = self.most_frequent(counts, column, dictionary.labels()).unzip();
        Profile {
            distinct,
            missing: facts.missing,
            range: (facts.numbers > 0 && facts.words == 0).then_some((facts.least, facts.most)),
            mode,
            mode_count: mode_count.unwrap_or_default(),
            warnings,
        }
    }

    /// The numbers of a column, without those that are missing; codes of words.
    fn values(&self, column: usize) -> Vec<f64> {
        let mut all = Vec::with_capacity(self.len());
        for part in self.parts(column) {
            match &part.values {
                State::Bytes(values) => {
                    let rows = values.iter().enumerate().filter(|(row, _)| part.has(*row));
                    all.extend(rows.map(|(_, &byte)| f64::from(byte)));
                }
                State::Numbers(values) => {
                    all.extend(values.iter().copied().filter(|value| !value.is_nan()));
                }
                State::Codes(values) => {
                    let rows = values.iter().enumerate().filter(|(row, _)| part.has(*row));
                    all.extend(rows.map(|(_, &code)| f64::from(code)));
                }
            }
        }
        all
    }

    /// The earlier column with the same values, if there is one.
    fn copy_of(&self, variable: &Variable, copies: &mut HashMap<u64, String>) -> Option<String> {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        variable.kind.is_numeric().hash(&mut hasher);
        if let Type::Category { labels } = &variable.kind {
            labels.hash(&mut hasher);
        }
        for part in self.parts(variable.column) {
            part.missing.hash(&mut hasher);
            match &part.values {
                State::Bytes(values) => values.hash(&mut hasher),
                State::Codes(values) => values.hash(&mut hasher),
                State::Numbers(values) => {
                    values.iter().for_each(|value| value.to_bits().hash(&mut hasher));
                }
            }
        }
        match copies.entry(hasher.finish()) {
            std::collections::hash_map::Entry::Occupied(of) => Some(of.get().clone()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(variable.title());
                None
            }
        }
    }

    /// The row that has nearly all of the variance.
    fn dominated(&self, column: usize, values: &[f64]) -> Option<Warning> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let total: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let far =
            values.iter().copied().max_by(|a, b| (a - mean).abs().total_cmp(&(b - mean).abs()))?;
        // Its share is that of the drop when it goes: the mean moves with it.
        let rest = (n * mean - far) / (n - 1.0);
        let without: f64 =
            values.iter().map(|value| (value - rest).powi(2)).sum::<f64>() - (far - rest).powi(2);
        let percent = 100.0 * (1.0 - without / total);
        if !(percent.is_finite() && percent >= NEARLY_ALL) {
            return None;
        }
        let row = self.row_of(column, far)? + 1;
        let value = super::number::canonical(far);
        Some(Warning::Dominated { row, value, percent: percent.floor() as u8 })
    }

    /// The number of the first row with a value.
    fn row_of(&self, column: usize, value: f64) -> Option<u64> {
        self.chunks.iter().find_map(|chunk| {
            let part = chunk.parts[column].as_ref()?;
            let row = match &part.values {
                State::Bytes(values) => values.iter().position(|&byte| f64::from(byte) == value),
                State::Numbers(values) => values.iter().position(|&other| other == value),
                State::Codes(_) => None,
            };
            row.map(|row| chunk.rows[row].0)
        })
    }

    fn most_frequent(
        &self,
        counts: HashMap<u64, u64>,
        column: usize,
        words: &[String],
    ) -> Option<(String, u64)> {
        let is_text = self.parts(column).any(|part| matches!(part.values, State::Codes(_)));
        let (bits, count) = counts.into_iter().max_by(|a, b| {
            a.1.cmp(&b.1).then_with(|| f64::from_bits(b.0).total_cmp(&f64::from_bits(a.0)))
        })?;
        let value = f64::from_bits(bits);
        let label = if is_text {
            words.get(value as usize).cloned().unwrap_or_default()
        } else {
            super::number::canonical(value)
        };
        Some((label, count))
    }
}
