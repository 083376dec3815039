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
//! [`Units`] is what the columns look like in training, by which numbers are standardized. The models of such events
//! stand beside those of bits: [`ColumnNade`](crate::nade::ColumnNade), [`ColumnMade`](crate::made::ColumnMade) and
//! [`ColumnOrderless`](crate::orderless::ColumnOrderless); [`ColumnTables`](crate::tables::ColumnTables) are of columns
//! that are all categories.

mod cell;
mod conditional;
mod given;
mod layout;
mod listed;
pub(crate) mod normal;
mod region;
mod steps;
mod units;

pub use crate::foundation::column::Column;
pub(crate) use cell::{gaussian_between, index};
pub(crate) use conditional::Cells;
pub use conditional::{ColumnConditional, MixedConditional};
pub use given::{Draws, Effort};
pub(crate) use given::{draws, exact, probability};
pub use layout::Links;
pub(crate) use layout::{Layout, Mixtures, Origin};
pub(crate) use listed::{Placed, Rows};
pub use region::Region;
pub(crate) use steps::{ChooseCell, ColumnSteps, ColumnWalker};
pub use units::Units;
pub(crate) use units::on_grid;
