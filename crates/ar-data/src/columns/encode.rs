//! Columns as the homogeneous events that a model of today describes: symbols of one number of levels, or
//! real numbers.

use super::builder::{Builder, Dictionary, Part, Refused, State, within};
use super::number::as_byte;
use super::schema::{Schema, Type, Variable, listed, number_of};
use crate::dataset::Values;
use crate::error::{Error, Flaw, Result};
use std::path::Path;

/// What the values of all variables become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// A symbol for each outcome of a category.
    Symbols {
        /// As many as the variable with the most outcomes has, at least 2.
        levels: u16,
    },
    /// A number.
    Reals,
}

impl Schema {
    /// The symbols that all variables can be; `None` if one is a number, or has more than 256 outcomes.
    pub fn symbols(&self) -> Option<Encoding> {
        let levels: Option<Vec<usize>> = self.variables.iter().map(Variable::levels).collect();
        let levels = levels?.into_iter().max()?.max(2);
        u16::try_from(levels)
            .ok()
            .filter(|&levels| levels <= 256)
            .map(|levels| Encoding::Symbols { levels })
    }

    /// The numbers that all variables can be; `None` if one is of words.
    pub fn reals(&self) -> Option<Encoding> {
        let is_number = |variable: &Variable| variable.kind.is_numeric();
        self.variables.iter().all(is_number).then_some(Encoding::Reals)
    }

    /// Checks that all variables can be so encoded.
    ///
    /// # Errors
    ///
    /// [`Error::Unsuitable`] with the variables that cannot.
    pub fn check(&self, path: &Path, encoding: Encoding) -> Result<()> {
        let suits = |variable: &Variable| match encoding {
            // Codes above the levels are refused cell by cell: a file of fewer levels may hold none.
            Encoding::Symbols { levels } => match variable.kind {
                Type::Codes { .. } if !variable.can_be_missing => true,
                _ => variable.levels().is_some_and(|own| own <= usize::from(levels)),
            },
            Encoding::Reals => variable.kind.is_numeric(),
        };
        let others: Vec<&Variable> = self.variables.iter().filter(|v| !suits(v)).collect();
        if others.is_empty() {
            return Ok(());
        }
        let titles = listed(
            others.iter().map(|variable| format!("{} ({})", variable.title(), variable.kind)),
        );
        let what = match encoding {
            Encoding::Symbols { levels } => format!("a category of at most {levels} outcomes"),
            Encoding::Reals => "a number".to_owned(),
        };
        Err(Error::unsuitable(
            path,
            vec![format!("not {what}: {titles}")],
            "leave them out with drop",
        ))
    }

    /// Builders for the columns of a file, `[width]`, that take what the encoding has a place for.
    pub(crate) fn builders(
        &self,
        columns: &[usize],
        width: usize,
        encoding: Encoding,
    ) -> Vec<Option<Builder>> {
        let mut builders = vec![None; width];
        for (variable, &column) in self.variables.iter().zip(columns) {
            let builder = match encoding {
                Encoding::Symbols { levels } => Builder::of(variable, levels),
                Encoding::Reals => {
                    Builder::of(&Variable { kind: Type::Real, ..variable.clone() }, 0)
                }
            };
            builders[column] = Some(builder);
        }
        builders
    }
}

/// Rows that are laid out at a time: as many as stay in the cache beside each other.
const TILE: usize = 64;

/// Lays columns out row by row behind `out`.
fn interleave<T: Copy + Default, S: Copy>(
    columns: &[&[S]],
    out: &mut Vec<T>,
    value: impl Fn(S) -> T + Copy,
) {
    let (rows, width) = (columns.first().map_or(0, |column| column.len()), columns.len());
    let start = out.len();
    out.resize(start + rows * width, T::default());
    for (tile, out) in out[start..].chunks_mut((TILE * width).max(1)).enumerate() {
        let first = tile * TILE;
        for (k, column) in columns.iter().enumerate() {
            let column = &column[first..(first + TILE).min(rows)];
            for (row, &from) in column.iter().enumerate() {
                out[row * width + k] = value(from);
            }
        }
    }
}

/// Adds the rows of columns that are of the kind that the encoding wants.
pub(crate) fn append(parts: &[&Part], values: &mut Values) {
    match values {
        Values::Symbols { data, .. } => {
            let bytes: Vec<std::borrow::Cow<'_, [u8]>> = parts
                .iter()
                .map(|part| match &part.values {
                    State::Bytes(values) => values.as_slice().into(),
                    // Symbols have at most 256 levels.
                    State::Codes(values) => {
                        values.iter().map(|&code| code as u8).collect::<Vec<_>>().into()
                    }
                    State::Numbers(_) => Vec::new().into(),
                })
                .collect();
            let columns: Vec<&[u8]> = bytes.iter().map(|column| &column[..]).collect();
            interleave(&columns, data, |byte| byte);
        }
        Values::Reals { data } => {
            let numbers: Vec<std::borrow::Cow<'_, [f64]>> = parts
                .iter()
                .map(|part| match &part.values {
                    State::Numbers(values) => values.as_slice().into(),
                    State::Bytes(values) => {
                        values.iter().map(|&byte| f64::from(byte)).collect::<Vec<_>>().into()
                    }
                    State::Codes(values) => {
                        values.iter().map(|&code| f64::from(code)).collect::<Vec<_>>().into()
                    }
                })
                .collect();
            let columns: Vec<&[f64]> = numbers.iter().map(|column| &column[..]).collect();
            interleave(&columns, data, |number| number);
        }
    }
}

/// Brings a part that was read without a schema to what a variable is in an encoding; cells without a place
/// are refused.
pub(crate) fn encode(
    part: Part,
    dictionary: &Dictionary,
    variable: &Variable,
    encoding: Encoding,
) -> (Part, Vec<Refused>) {
    let mut refused = Vec::new();
    let title = variable.title();
    let mut refuse = |row: u32, flaw, expected: &str, found: String, hint: Option<&str>| {
        let expected = format!("{expected}{}", within(&title));
        refused.push(Refused { row, flaw, expected, found, hint: hint.map(str::to_owned) });
    };
    let Part { values, missing, words } = part;
    let values = match (encoding, &variable.kind) {
        (Encoding::Reals, _) => {
            let numbers: Vec<f64> = match values {
                State::Numbers(values) => values,
                State::Bytes(values) => values.into_iter().map(f64::from).collect(),
                State::Codes(values) => {
                    let numbers: Vec<Option<f64>> =
                        dictionary.labels().iter().map(|label| number_of(label)).collect();
                    let mut is_missing = missing.iter().peekable();
                    let rows = values.into_iter().zip(0_u32..);
                    let number = |(code, row): (u32, u32)| {
                        if is_missing.next_if(|missing| **missing == row).is_some() {
                            return 0.0;
                        }
                        numbers.get(code as usize).copied().flatten().unwrap_or_else(|| {
                            let word = dictionary.labels().get(code as usize).cloned();
                            let found = format!("{:?}", word.unwrap_or_default());
                            refuse(
                                row,
                                Flaw::NonNumeric,
                                "a number",
                                found,
                                Some(super::builder::NO_NUMBER),
                            );
                            0.0
                        })
                    };
                    rows.map(number).collect()
                }
            };
            for &row in &missing {
                let found = "a missing value".to_owned();
                refuse(row, Flaw::Missing, "a number", found, Some(super::builder::FILL));
            }
            for (row, word) in words {
                let hint = Some(super::builder::NO_NUMBER);
                refuse(row, Flaw::NonNumeric, "a number", format!("{word:?}"), hint);
            }
            State::Numbers(numbers)
        }
        (Encoding::Symbols { levels }, Type::Category { labels }) => {
            let known = Dictionary::of(labels);
            let hole = labels.len() as u32;
            let _ = levels;
            let mut codes: Vec<u32> = match values {
                State::Codes(values) => {
                    let map: Vec<u32> = dictionary
                        .labels()
                        .iter()
                        .map(|label| known.find(label).unwrap_or(0))
                        .collect();
                    values
                        .into_iter()
                        .map(|code| map.get(code as usize).copied().unwrap_or(0))
                        .collect()
                }
                State::Bytes(values) => {
                    let map: Vec<u32> = (0..=255_u8)
                        .map(|byte| known.find(&byte.to_string()).unwrap_or(0))
                        .collect();
                    values.into_iter().map(|byte| map[usize::from(byte)]).collect()
                }
                State::Numbers(values) => {
                    let mut last = (f64::NAN, 0);
                    let code = |value: f64| {
                        if value != last.0 {
                            let label = super::number::canonical(value);
                            last = (value, known.find(&label).unwrap_or(0));
                        }
                        last.1
                    };
                    values.into_iter().map(code).collect()
                }
            };
            for (row, word) in words {
                codes[row as usize] = known.find(&word).unwrap_or(0);
            }
            for &row in &missing {
                codes[row as usize] = hole;
                if !variable.can_be_missing {
                    let found = "a missing value".to_owned();
                    refuse(row, Flaw::Missing, "a label", found, Some(super::builder::FILL));
                }
            }
            State::Codes(codes)
        }
        (Encoding::Symbols { levels }, kind) => {
            let most = match kind {
                Type::Codes { levels } if variable.can_be_missing => *levels,
                _ => levels,
            };
            let hole = match kind {
                Type::Codes { levels } if variable.can_be_missing => Some(*levels as u8),
                _ => None,
            };
            let expected = match most {
                2 => "0 or 1".to_owned(),
                most => format!("a whole number from 0 to {}", most - 1),
            };
            let numbers: Vec<Option<f64>> =
                dictionary.labels().iter().map(|label| number_of(label)).collect();
            let mut bytes: Vec<u8> = Vec::with_capacity(values.len());
            let take = |value: f64| as_byte(value).filter(|&byte| u16::from(byte) < most);
            let is_none = |row: u32| {
                missing.binary_search(&row).is_ok()
                    || words.binary_search_by_key(&row, |(row, _)| *row).is_ok()
            };
            let all: Vec<Option<f64>> = match values {
                State::Bytes(values) if values.iter().all(|&byte| u16::from(byte) < most) => {
                    bytes = values;
                    Vec::new()
                }
                State::Bytes(values) => {
                    values.into_iter().map(|byte| Some(f64::from(byte))).collect()
                }
                State::Numbers(values) => values.into_iter().map(Some).collect(),
                State::Codes(values) => values
                    .into_iter()
                    .map(|code| numbers.get(code as usize).copied().flatten())
                    .collect(),
            };
            for (value, row) in all.into_iter().zip(0_u32..) {
                let byte = value.and_then(take);
                bytes.push(byte.unwrap_or(0));
                if byte.is_none() && !is_none(row) {
                    let found = value.map_or_else(|| "a word".to_owned(), super::number::canonical);
                    refuse(row, Flaw::OutOfRange, &expected, found, None);
                }
            }
            for (row, word) in &words {
                let hint = Some(super::builder::NO_NUMBER);
                refuse(*row, Flaw::NonNumeric, &expected, format!("{word:?}"), hint);
            }
            for &row in &missing {
                match hole {
                    Some(hole) => bytes[row as usize] = hole,
                    None => {
                        let found = "a missing value".to_owned();
                        refuse(row, Flaw::Missing, &expected, found, Some(super::builder::FILL));
                    }
                }
            }
            State::Bytes(bytes)
        }
    };
    (Part { values, missing: Vec::new(), words: Vec::new() }, refused)
}
