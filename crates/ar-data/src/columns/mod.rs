//! From cells to columns: what a table holds, what its columns are, and which of them a later file means.
//!
//! | module | what it holds |
//! |---|---|
//! | [`schema`] | the types, and whether a file suits them |
//! | [`table`] | a whole table in memory, of which nothing is known yet |
//! | [`reader`] | a file of any length, read by a schema |
//! | [`profile`] | what is in each column, and what looks wrong with it |
//! | [`cell`] | cells as formats have them |
//! | [`builder`], [`sink`] | cells on their way into columns |
//! | [`facts`], [`dictionary`] | what is known of a column on the way |
//! | [`number`] | numbers as people write them |

mod builder;
mod cell;
mod dictionary;
mod encode;
mod facts;
mod number;
mod open;
mod options;
mod profile;
mod reader;
mod schema;
mod sink;
mod table;

#[cfg(all(test, feature = "arrow"))]
pub(crate) use builder::{Builder, State};
pub use cell::MISSING;
pub(crate) use cell::{Cell, Notation, decode};
pub(crate) use number::{Number, as_byte, could_be_thousands};
pub use options::{Stated, TableOptions};
pub use profile::{Profile, Warning};
pub use reader::Match;
pub(crate) use reader::TableReader;
pub use schema::{Encoding, Fit, Label, Schema, Type, Variable, number_of};
pub use sink::BadRow;
pub(crate) use sink::Sink;
pub use table::Table;
