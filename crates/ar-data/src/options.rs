//! What a caller knows about a file.

use crate::dataset::check_levels;
use crate::error::{Error, Flaw, Result};
use crate::memory::content_limit;
use std::fmt;
use std::str::FromStr;

/// What the values of a dataset are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Symbols 0 and 1.
    Binary,
    /// Symbols from 0 up to a level count of at most 256.
    Symbols,
    /// Real numbers.
    Real,
    /// Columns of types of their own, of a table; only with a schema.
    Columns,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Binary => "binary",
            Self::Symbols => "symbols",
            Self::Real => "real",
            Self::Columns => "columns",
        })
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        [Self::Binary, Self::Symbols, Self::Real, Self::Columns]
            .into_iter()
            .find(|kind| kind.to_string() == word)
            .ok_or_else(|| Error::UnknownWord {
                what: "kind",
                found: word.to_owned(),
                expected: "binary, symbols, real or columns",
            })
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// By its name in the header.
    Name(String),
    /// By its index, from 0, or from the end where it is negative: −1 is the last one.
    Index(i64),
}

/// What the caller knows about a file. What is left open follows from the file; the default leaves all open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// What the values are. Open: bytes of images are symbols of 256 levels; tables and integer
    /// arrays, of `.npy` or IDX, are symbols if all values are whole and within 0 to 255, else reals;
    /// float arrays are reals.
    pub kind: Option<Kind>,
    /// The level count of symbols, 2 to 256; stating it implies [`Kind::Symbols`]. Open: for
    /// tables and integer arrays what the largest value asks for, at least 2.
    pub levels: Option<u16>,
    /// The shape of one event. Open: that of the file; a table has `[columns]`.
    pub shape: Option<Vec<usize>>,
    /// Columns of a table that are left out, whatever is in them; only for tables.
    pub drop: Vec<Column>,
    /// At most so many rows, the first of the file, or images of a folder. The rest is not read:
    /// neither its faults nor its values count, and what is left open follows from what was read.
    /// Open: all.
    pub rows: Option<usize>,
    /// The most content (decompressed bytes) to take from one file, or from one folder of images.
    /// Open: what memory has room for when reading begins, see [`content_limit`].
    pub max_bytes: Option<u64>,
}

impl ReadOptions {
    /// The limit on the content: the one stated, or what memory has room for now.
    pub(crate) fn limit(&self) -> u64 {
        self.max_bytes.unwrap_or_else(content_limit)
    }

    /// The same with the limit of this moment, so that it is asked for once.
    pub(crate) fn limited(&self) -> Self {
        Self { max_bytes: Some(self.limit()), ..self.clone() }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.rows == Some(0) {
            return Err(Error::inconsistent("options", "rows", "1 or more", "0"));
        }
        if self.kind == Some(Kind::Columns) {
            return Err(Error::inconsistent(
                "options",
                "kind",
                "one kind for all values",
                "columns",
            )
            .advise("columns of their own types are those of a table, which is read by a schema"));
        }
        let Some(levels) = self.levels else {
            return Ok(());
        };
        check_levels("options", levels)?;
        let wrong = match self.kind {
            Some(Kind::Binary) if levels != 2 => "2 with kind = \"binary\"",
            Some(Kind::Real) => "none with kind = \"real\"",
            _ => return Ok(()),
        };
        Err(Error::inconsistent("options", "levels", wrong, levels.to_string()))
    }
}

/// An error about a file that is too large, with the ways there are to read it.
pub(crate) fn above_limit(error: Error, rows: Option<usize>, max_bytes: u64) -> Error {
    if error.flaw() != Some(Flaw::TooLarge) || error.hint().is_some() {
        return error;
    }
    let limit = max_bytes as f64 / (1 << 20) as f64;
    let fewer = match rows {
        None => "data.train_examples = N reads the first N rows of a training file alone",
        Some(_) => "lower data.train_examples",
    };
    error.advise(format!(
        "{limit:.0} MiB of content are read at once, a quarter of the memory that is free: \
         `chainrule score` reads files of any length, {fewer}, and a .npy of u8 takes less than text"
    ))
}
