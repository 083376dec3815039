//! What is in each column of a table, and what looks wrong with it.

use super::builder::State;
use super::number::like_a_number;
use super::schema::{Schema, Type, Variable, number_of};
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
    /// Cells of a column of numbers that are words, with one of them; they are none of the values.
    pub words: Option<(u64, String)>,
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
    /// Nearly every row has another number, which an identifier has, and many a measurement.
    Distinct,
    /// One value throughout.
    Constant,
    /// Its values are words, though they look like numbers.
    LikeNumbers {
        /// One of them.
        example: String,
    },
    /// Some cells of a column of numbers are words.
    Words {
        /// How many.
        count: u64,
        /// One of them.
        example: String,
    },
    /// The values of another column.
    Copy {
        /// Which one.
        of: String,
    },
    /// One row has nearly all of the variance.
    Dominated {
        /// Its number in the file, from 0.
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
            Self::Distinct => f.write_str(
                "another number in nearly every row: leave it out if it is an identifier",
            ),
            Self::LikeNumbers { example } => write!(
                f,
                "words that look like numbers, such as {example:?}: write them as plain numbers (1234.5), or \
                 leave the column out"
            ),
            Self::Words { count, example } => {
                let are = if *count == 1 { "cell is a word" } else { "cells are words" };
                write!(
                    f,
                    "{count} {are}, such as {example:?}: what stands for a missing value belongs into \
                     data.missing; data.bad_rows = \"skip\" leaves such rows out"
                )
            }
            Self::Constant => f.write_str("one value throughout"),
            Self::Copy { of } => write!(f, "a copy of {of}"),
            Self::Dominated { row, value, percent } => {
                write!(f, "row {row} (from 0), {value}, has {percent} % of its variance")
            }
        }
    }
}

impl Warning {
    /// Whether such a column is better left out.
    pub fn is_no_variable(&self) -> bool {
        matches!(self, Self::Index | Self::Identifier | Self::Constant | Self::Copy { .. })
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
                words: None,
                warnings: Vec::new(),
            };
        };
        let is_number = variable.kind.outcomes().is_none();
        let values = self.values(column, is_number.then_some(dictionary.labels()));
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
        let is_of_pandas = variable.name.as_deref() == Some("__index_level_0__");
        let like_numbers = match &variable.kind {
            Type::Category { labels } => like_numbers(labels),
            _ => None,
        };
        if counts_rows || is_of_pandas || (is_unnamed && distinct == rows && rows >= ENOUGH) {
            warnings.push(Warning::Index);
        } else if 10 * distinct >= 9 * rows && rows >= ENOUGH {
            let is_name = matches!(&variable.kind, Type::Category { .. });
            // Whole numbers nearly all of which differ, and many more of them than rows would need.
            let is_key =
                variable.kind == Type::Integer && facts.most - facts.least > 20.0 * rows as f64;
            if is_name && like_numbers.is_none() {
                warnings.push(Warning::Identifier);
            } else if is_key {
                // Prices, squares and nanoseconds are as wide apart: a name or a sequence says more.
                let is_sure = says_identifier(variable.name.as_deref())
                    || (distinct == values.len() && is_sequence(&values));
                warnings.push(if is_sure { Warning::Identifier } else { Warning::Distinct });
            }
        }
        warnings.extend(like_numbers.map(|example| Warning::LikeNumbers { example }));
        let words = is_number.then(|| self.word_among(column, dictionary.labels())).flatten();
        let words = words.map(|example| (facts.words, example));
        if let Some((count, example)) = words.clone() {
            warnings.push(Warning::Words { count, example });
        }
        if is_number && rows >= ENOUGH {
            warnings.extend(self.dominated(column, &values));
        }
        let labels = if is_number { &[] } else { dictionary.labels() };
        let (mode, mode_count) = self.most_frequent(counts, column, labels).unzip();
        Profile {
            distinct,
            missing: facts.missing,
            range: (facts.numbers > 0 && (facts.words == 0 || is_number))
                .then_some((facts.least, facts.most)),
            mode,
            mode_count: mode_count.unwrap_or_default(),
            words,
            warnings,
        }
    }

    /// A word of a column of numbers, whose codes `labels` are.
    fn word_among(&self, column: usize, labels: &[String]) -> Option<String> {
        let among = self.parts(column).find_map(|part| Some(part.words.first()?.1.clone()));
        among.or_else(|| labels.iter().find(|label| number_of(label).is_none()).cloned())
    }

    /// The numbers of a column, without those that are missing; codes of words, or the numbers that these `labels`
    /// are.
    fn values(&self, column: usize, labels: Option<&[String]>) -> Vec<f64> {
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
                    all.extend(rows.filter_map(|(_, &code)| match labels {
                        Some(labels) => number_of(labels.get(code as usize)?),
                        None => Some(f64::from(code)),
                    }));
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
        let row = self.row_of(column, far)?;
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
        let is_text = !words.is_empty()
            && self.parts(column).any(|part| matches!(part.values, State::Codes(_)));
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

/// A label that looks like a number but is none, if all labels that are no numbers are such.
fn like_numbers(labels: &[String]) -> Option<String> {
    let mut words = labels.iter().filter(|label| number_of(label).is_none()).peekable();
    let first = (*words.peek()?).clone();
    words.all(|word| like_a_number(word)).then_some(first)
}

/// Whether one of the words of a name says that the column tells rows apart.
fn says_identifier(name: Option<&str>) -> bool {
    const SAY: [&str; 7] = ["id", "key", "index", "uuid", "no", "nr", "number"];
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for character in name.unwrap_or_default().chars() {
        if !character.is_alphabetic() || (was_lower && character.is_uppercase()) {
            words.push(String::new());
        }
        was_lower = character.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| character.is_alphabetic()) {
            word.extend(character.to_lowercase());
        }
    }
    words.iter().any(|word| SAY.contains(&word.as_str()))
}

/// Whether numbers go up, nine in ten of them by 1.
fn is_sequence(values: &[f64]) -> bool {
    let by_one = values.windows(2).filter(|pair| pair[1] == pair[0] + 1.0).count();
    values.windows(2).all(|pair| pair[0] < pair[1]) && 10 * by_one >= 9 * (values.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TableOptions, Type};
    use std::path::Path;

    fn profile(name: &str, cell: impl Fn(u64) -> String) -> (Type, Profile) {
        let rows: String = (0..200).map(|row| format!("{};x\n", cell(row))).collect();
        let text = format!("{name};word\n{rows}").into_bytes();
        let table = Table::of_bytes(Path::new("t.csv"), text, &TableOptions::default()).unwrap();
        let schema = table.infer(None).unwrap();
        (schema.variables[0].kind.clone(), table.profile(&schema).swap_remove(0))
    }

    fn warnings(name: &str, cell: impl Fn(u64) -> String) -> Vec<Warning> {
        profile(name, cell).1.warnings
    }

    #[test]
    fn numbers_wide_apart_are_identifiers_only_where_more_says_so() {
        let square = |row: u64| ((row + 3) * (row + 3) * 7919 % 1_000_003).to_string();
        assert_eq!(warnings("income", square), [Warning::Distinct]);
        assert!(!Warning::Distinct.is_no_variable());
        for name in ["id", "customerId", "order_no", "Key", "serial number"] {
            assert_eq!(warnings(name, square), [Warning::Identifier], "{name}");
        }
        for name in ["width", "idea", "nose", "keys"] {
            assert_eq!(warnings(name, square), [Warning::Distinct], "{name}");
        }
        let time = |row: u64| (1_000_000_000_u64 * row).to_string();
        assert_eq!(warnings("time", time), [Warning::Distinct]);
        let ticket = |row: u64| (row + 40 + row / 150 * 1_000_000).to_string();
        assert_eq!(warnings("ticket", ticket), [Warning::Identifier]);
        assert_eq!(warnings("count", |row| row.to_string()), [Warning::Index]);
        assert_eq!(warnings("__index_level_0__", square), [Warning::Index]);
        assert_eq!(warnings("name", |row| format!("n{row}")), [Warning::Identifier]);
    }

    #[test]
    fn integers_that_no_double_is_stay_apart_as_words() {
        let (kind, profile) = profile("ids", |row| (9_007_199_254_740_993 + row).to_string());
        assert_eq!((kind.outcomes(), profile.distinct), (Some(200), 200));
        assert_eq!(profile.warnings, [Warning::Identifier]);
        let Type::Category { labels } = kind else { panic!() };
        for id in ["9007199254740993", "9007199254740994", "9007199254741192"] {
            assert!(labels.iter().any(|label| label == id), "{id}");
        }
        let text = b"x\n1\n2.5\n9007199254740993\n".to_vec();
        let table = Table::of_bytes(Path::new("t.csv"), text, &TableOptions::default()).unwrap();
        let schema = table.all_as(crate::Encoding::Reals);
        let (data, bad) = table.dataset(&schema, crate::Encoding::Reals).unwrap();
        assert_eq!((data.len(), bad.len()), (2, 1));
        let message = bad[0].error.to_string();
        assert!(
            message.contains("expected a whole number that 53 bits hold in \"x\""),
            "{message}"
        );
        assert!(bad[0].error.hint().unwrap().contains("identifier"));
    }

    #[test]
    fn words_that_look_like_numbers_are_said() {
        for mark in ["%", " %", "$"] {
            let found = warnings("x", |row| format!("{}.5{mark}", row + 1));
            let example = format!("1.5{mark}");
            assert_eq!(found, [Warning::LikeNumbers { example }], "{mark}");
        }
        assert_eq!(warnings("x", |row| format!("c{}", row % 5)), []);
    }

    #[test]
    fn words_among_numbers_are_counted_and_the_range_is_that_of_the_numbers() {
        let cell = |row: u64| match row % 50 {
            7 => "n.a.".to_owned(),
            _ => format!("{}.25", row % 90),
        };
        let (_, profile) = profile("x", cell);
        let example = "n.a.".to_owned();
        assert_eq!(profile.words, Some((4, example.clone())));
        assert_eq!(profile.range, Some((0.25, 89.25)));
        assert_eq!(profile.warnings, [Warning::Words { count: 4, example }]);
        let message = profile.warnings[0].to_string();
        assert!(message.starts_with("4 cells are words, such as \"n.a.\": "), "{message}");
    }
}
