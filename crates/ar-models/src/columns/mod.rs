//! Events whose variables are of different types: the columns of a table.
//!
//! A row of such an event is one f64 per column:
//!
//! | column | a cell is | missing |
//! |---|---|---|
//! | [`Column::Category`] | the index of its label; the number of labels for any other label | one of the labels |
//! | [`Column::Grid`], [`Column::Real`] | the number | NaN |
//!
//! A [`Region`] says what is known of a cell: a row is drawn, filled in, or found probable under such conditions.
//!
//! [`Units`] is what the columns look like in training, by which numbers are standardized; [`ColumnNade`] is the
//! NADE of such events, and [`ColumnTables`] are tables of those that are all categories. Their [`ColumnMade`](crate::made::ColumnMade) and
//! [`ColumnOrderless`](crate::orderless::ColumnOrderless) stand beside those of bits.

mod cell;
mod conditional;
mod given;
mod layout;
mod listed;
mod nade;
pub(crate) mod normal;
mod region;
mod steps;
mod tables;
mod units;

use ar_kernels::blocks::Input;
use serde::{Deserialize, Serialize};

use crate::error::Error;

pub(crate) use cell::{gaussian_between, index};
pub(crate) use conditional::Cells;
pub use conditional::{ColumnConditional, MixedConditional};
pub use given::{Draws, Effort};
pub(crate) use given::{draws, exact, probability};
pub use layout::Links;
pub(crate) use layout::{Layout, Mixtures, Origin};
pub(crate) use listed::{Placed, Rows};
pub use nade::{ColumnNade, ColumnNadeConfig};
pub use region::Region;
pub(crate) use steps::{ColumnSteps, ColumnWalker};
pub use tables::ColumnTables;
pub use units::Units;
pub(crate) use units::{check, on_grid};

/// Components of a mixture where a config does not say.
pub(crate) fn default_components() -> usize {
    8
}

/// Whether these are what a config that leaves them out means.
pub(crate) fn are_default_components(components: &usize) -> bool {
    *components == default_components()
}

/// Checks the key `model.components`.
pub(crate) fn check_components(components: usize) -> Result<(), Error> {
    if (1..=1 << 12).contains(&components) {
        return Ok(());
    }
    Err(Error::Config {
        key: "model.components",
        value: components.to_string(),
        expected: "1 to 4096 components".into(),
    })
}

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
