//! Columns as the events that models describe: symbols of one number of levels, real numbers, or columns of their own
//! types.

use super::builder::{Builder, Part, State};
use super::schema::{Encoding, Schema, Type, Variable, listed};
use crate::dataset::Values;
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::path::Path;

impl Schema {
    /// No values of its variables, with room for so many rows.
    pub(crate) fn values(&self, encoding: Encoding, rows: usize) -> Values {
        let capacity = rows * self.variables.len();
        match encoding {
            Encoding::Symbols { levels } => {
                Values::Symbols { data: Vec::with_capacity(capacity), levels }
            }
            Encoding::Reals => Values::Reals { data: Vec::with_capacity(capacity) },
            Encoding::Columns | Encoding::Cells => Values::Columns {
                data: Vec::with_capacity(capacity),
                variables: self.variables.clone().into(),
            },
        }
    }

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
            Encoding::Columns | Encoding::Cells => true,
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
            Encoding::Reals | Encoding::Columns | Encoding::Cells => "a number".to_owned(),
        };
        Err(Error::unsuitable(
            path,
            vec![format!("not {what}: {titles}")],
            "leave them out with drop",
        ))
    }

    /// Builders for the columns of a file, `[width]`, that take what the encoding has a place for; and for its
    /// column of classes.
    pub(crate) fn builders(
        &self,
        columns: &[usize],
        label: Option<usize>,
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
                Encoding::Columns => Builder::of_column(variable),
                Encoding::Cells => Builder::of_cells(variable),
            };
            builders[column] = Some(builder);
        }
        if let (Some(column), Some(own)) = (label, &self.label) {
            builders[column] = Some(Builder::of_label(own));
        }
        builders
    }
}

/// Rows that are laid out at a time: as many as stay in the cache beside each other.
const TILE: usize = 64;

/// Columns whose cells are written beside each other at a time.
const BESIDE: usize = 16;

/// Lays columns out row by row behind `out`.
fn interleave<T: Copy + Default>(columns: &[Cow<'_, [T]>], out: &mut Vec<T>) {
    let (rows, width) = (columns.first().map_or(0, |column| column.len()), columns.len());
    let start = out.len();
    out.resize(start + rows * width, T::default());
    for (tile, out) in out[start..].chunks_mut((TILE * width).max(1)).enumerate() {
        let first = tile * TILE;
        let here = first..(first + TILE).min(rows);
        let (groups, rest) = columns.as_chunks::<BESIDE>();
        for (group, columns) in groups.iter().enumerate() {
            let columns: [&[T]; BESIDE] = columns.each_ref().map(|column| &column[here.clone()]);
            for (row, out) in out.chunks_exact_mut(width).enumerate() {
                let out = &mut out[group * BESIDE..(group + 1) * BESIDE];
                for (out, column) in out.iter_mut().zip(columns) {
                    *out = column[row];
                }
            }
        }
        for (k, column) in rest.iter().enumerate() {
            let k = groups.len() * BESIDE + k;
            for (row, &value) in column[here.clone()].iter().enumerate() {
                out[row * width + k] = value;
            }
        }
    }
}

/// Adds the rows of columns that are of the kind that the encoding wants.
pub(crate) fn append(parts: &[&Part], values: &mut Values) {
    match values {
        Values::Symbols { data, .. } => {
            let columns = parts.iter().map(|part| match &part.values {
                State::Bytes(values) => Cow::Borrowed(&values[..]),
                // Symbols have at most 256 levels.
                State::Codes(values) => values.iter().map(|&code| code as u8).collect(),
                State::Numbers(_) => unreachable!("a variable of symbols is no number"),
            });
            interleave(&columns.collect::<Vec<Cow<'_, [u8]>>>(), data);
        }
        Values::Reals { data } | Values::Columns { data, .. } => {
            let columns = parts.iter().map(|part| match &part.values {
                State::Numbers(values) => Cow::Borrowed(&values[..]),
                State::Codes(values) => values.iter().map(|&code| f64::from(code)).collect(),
                State::Bytes(_) => unreachable!("a real variable is a number"),
            });
            interleave(&columns.collect::<Vec<Cow<'_, [f64]>>>(), data);
        }
    }
}

/// The classes that a column of labels holds, of which there are at most 256.
pub(crate) fn labels(part: Option<&Part>) -> Option<impl Iterator<Item = u8>> {
    match &part?.values {
        State::Codes(codes) => Some(codes.iter().map(|&code| code as u8)),
        State::Bytes(_) | State::Numbers(_) => None,
    }
}
