//! What a caller states about a table.

use super::cell::MISSING;
use crate::memory::content_limit;
use crate::options::Column;

/// A type that a caller states of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stated {
    /// One of the labels that occur, even if they are numbers.
    Category,
    /// Whole numbers.
    Integer,
    /// Multiples of 10^−places; of as many places as occur where none are stated.
    Decimal {
        /// Digits after the decimal mark.
        places: Option<u8>,
    },
    /// Any number.
    Real,
}

/// What a caller states about a table. The default states nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableOptions {
    /// Columns that are left out.
    pub drop: Vec<Column>,
    /// The column that says what class a row is of, which is no variable; of a `.npz` also the key of an array
    /// beside the table.
    pub label: Option<Column>,
    /// Words that count as missing.
    pub missing: Vec<String>,
    /// What columns are, where inference would be wrong.
    pub types: Vec<(Column, Stated)>,
    /// Whether the first line of a text is names.
    pub header: Option<bool>,
    /// The array of a `.npz`.
    pub key: Option<String>,
    /// At most so many rows, the first of the file.
    pub rows: Option<usize>,
    /// The most content to take, in bytes. Open: what memory has room for when reading begins, see
    /// [`content_limit`].
    pub max_bytes: Option<u64>,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self {
            drop: Vec::new(),
            label: None,
            missing: MISSING.map(str::to_owned).to_vec(),
            types: Vec::new(),
            header: None,
            key: None,
            rows: None,
            max_bytes: None,
        }
    }
}

impl TableOptions {
    /// The limit on the content: the one stated, or what memory has room for now.
    pub(crate) fn limit(&self) -> u64 {
        self.max_bytes.unwrap_or_else(content_limit)
    }

    /// The same with the limit of this moment, so that it is asked for once.
    pub(crate) fn limited(&self) -> Self {
        Self { max_bytes: Some(self.limit()), ..self.clone() }
    }
}
