//! What a column of a table is, and which values it can have.

use ar_kernels::blocks::Input;
use serde::{Deserialize, Serialize};

use super::error::Error;

/// What a column is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Column {
    /// One of some labels, or another one, which is finitely unlikely.
    Category {
        /// Known labels, at least 1.
        labels: usize,
    },
    /// A number on the grid of the multiples of `step`, with a mass.
    Grid {
        /// The step, above 0: 1 for whole numbers, 0.01 for two decimal places.
        step: f64,
        /// Whether one was missing in training.
        can_be_missing: bool,
    },
    /// A number with a density.
    Real {
        /// Whether one was missing in training.
        can_be_missing: bool,
    },
}

impl Column {
    /// Why a value can be none of this column, in words; `None` where it can.
    pub(crate) fn refuse(&self, value: f64) -> Option<String> {
        match *self {
            Self::Category { labels } => {
                let is_index = (0.0..=labels as f64).contains(&value) && value.fract() == 0.0;
                (!is_index).then(|| format!("a whole number from 0 to {labels}"))
            }
            Self::Grid { .. } | Self::Real { .. } => {
                value.is_infinite().then(|| "a finite number, or NaN where it is missing".into())
            }
        }
    }

    /// Features that it gives to the columns after it.
    pub fn features(&self) -> usize {
        match *self {
            Self::Category { labels } => labels,
            Self::Grid { can_be_missing, .. } | Self::Real { can_be_missing } => {
                1 + usize::from(can_be_missing)
            }
        }
    }

    /// How its features stand in a row of the input of the recurrence: a category as the index of its label.
    pub fn input(&self) -> Input {
        match *self {
            Self::Category { labels } => Input::Label(labels),
            _ => Input::Numbers(self.features()),
        }
    }

    /// Numbers that describe its conditional, as a mixture of `components` if it is one of numbers.
    pub fn outputs(&self, components: usize) -> usize {
        match *self {
            Self::Category { labels } => labels,
            Self::Grid { can_be_missing, .. } | Self::Real { can_be_missing } => {
                3 * components + usize::from(can_be_missing)
            }
        }
    }
}

/// Checks that the values of rows, which an error calls `set`, can be those of the columns; `first` is the index of
/// the first row.
///
/// # Errors
/// With the first that cannot.
pub(crate) fn check_cells(
    columns: &[Column],
    set: &'static str,
    first: usize,
    values: &[f64],
) -> Result<(), Error> {
    for (row, values) in values.chunks_exact(columns.len()).enumerate() {
        for (variable, (&value, column)) in values.iter().zip(columns).enumerate() {
            if let Some(expected) = column.refuse(value) {
                return Err(Error::Value {
                    set,
                    row: first + row,
                    variable,
                    found: value.to_string(),
                    expected,
                });
            }
        }
    }
    Ok(())
}
