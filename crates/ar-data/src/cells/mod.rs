//! The formats of tables: from bytes to cells.
//!
//! | module | format |
//! |---|---|
//! | [`text`] | lines of values, in any [`dialect`] |
//! | [`npy`] | NumPy's arrays, and those in a `.npz` |
//! | [`rows`] | rows in memory |
//! | [`arrow`] | Parquet and Arrow IPC (feature `arrow`) |

#[cfg(feature = "arrow")]
pub(crate) mod arrow;
mod cuts;
pub(crate) mod dialect;
pub(crate) mod npy;
pub(crate) mod npz;
pub(crate) mod rows;
pub(crate) mod text;

use crate::columns::{Cell, Sink};
use crate::error::Result;
pub use dialect::{Charset, Dialect, Header, Separator};
use std::fmt;
use std::path::Path;

/// A table of any format, read from its first row to its last.
pub(crate) trait Source {
    /// The file.
    fn path(&self) -> &Path;

    /// The names of its columns, where it has them.
    fn names(&self) -> Option<&[String]>;

    /// How many columns it has.
    fn width(&self) -> usize;

    /// Whether the first column is names of rows.
    fn row_names(&self) -> bool {
        false
    }

    /// The name of the last column, where it is one of labels that stands beside a table without names.
    fn beside(&self) -> Option<&str> {
        None
    }

    /// What a user should know of how it was read.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Some cells of a column from the beginning of the file, which are still to be read.
    fn sampled(&self, column: usize) -> Box<dyn Iterator<Item = Cell<'_>> + '_> {
        let _ = column;
        Box::new(std::iter::empty())
    }

    /// How it is written.
    fn describe(&self) -> Described;

    /// How much has been read, and how much there is, in bytes of the file as it is stored.
    fn progress(&self) -> (u64, u64);

    /// Reads at most `most` rows, bad ones included; false at the end.
    ///
    /// # Errors
    ///
    /// When the file as a whole is malformed.
    fn read(&mut self, most: usize, sink: &mut Sink) -> Result<bool>;
}

/// How a table is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Described {
    /// As text.
    Text(Dialect),
    /// As an array.
    Array {
        /// NumPy's name of the type of an element.
        element: String,
        /// Whether the columns lie one after the other.
        fortran_order: bool,
    },
    /// In a format that knows the types of its columns: its name, and they.
    Typed {
        /// Parquet or Arrow IPC.
        format: &'static str,
        /// A type for each column.
        types: Vec<String>,
    },
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(dialect) => write!(f, "text {dialect}"),
            Self::Array { element, fortran_order } => {
                let order = if *fortran_order { "Fortran" } else { "C" };
                write!(f, "NumPy array of {element} in {order} order")
            }
            Self::Typed { format, .. } => f.write_str(format),
        }
    }
}
