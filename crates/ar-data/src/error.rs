//! The one error type of this crate.
//!
//! A message is a lower-case fragment that names the file, the place in it, what was expected and
//! what was found. Advice is kept apart, in [`Error::hint`], so that a program can print it on a
//! line of its own.

use std::path::{Path, PathBuf};
use std::{fmt, io};

/// A `Result` with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a file and a checked dataset.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was attempted: "open", "read", "write", …
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },

    /// A file does not hold what its format promises.
    #[error(transparent)]
    Malformed(#[from] Box<Malformed>),

    /// A known file has other content than it should.
    #[error(
        "{}: wrong content: expected sha256 {expected}, found {found}",
        path.display()
    )]
    Digest {
        /// The file.
        path: PathBuf,
        /// The digest of the right content (decompressed bytes), in hexadecimal.
        expected: String,
        /// The digest found.
        found: String,
    },

    /// A dataset name that is neither built in nor a path that exists.
    #[error("unknown dataset {name:?}: expected a path that exists or one of {known}")]
    UnknownName {
        /// What was asked for.
        name: String,
        /// The built-in names, comma-separated.
        known: String,
        /// The built-in name that is closest, if one is close.
        nearest: Option<&'static str>,
    },

    /// A built-in dataset whose files are not on this machine.
    #[error(
        "{name}: file {file} (plain or .gz) not found; looked in {}{}",
        list(looked),
        others(similar)
    )]
    NotFound {
        /// The dataset.
        name: &'static str,
        /// The first file that is missing.
        file: &'static str,
        /// The folders searched, in order.
        looked: Vec<PathBuf>,
        /// What is there under a name that begins alike.
        similar: Vec<PathBuf>,
    },

    /// A split that the dataset does not have.
    #[error("{name}: no {split} split")]
    NoSplit {
        /// The dataset.
        name: String,
        /// The split asked for.
        split: crate::split::Split,
    },

    /// Values, shapes, labels or options that contradict each other.
    #[error("{name}: {what}: expected {expected}, found {found}")]
    Inconsistent {
        /// The dataset or option concerned.
        name: String,
        /// The part concerned: "shape", "labels", "levels", …
        what: &'static str,
        /// What would be right.
        expected: String,
        /// What is there.
        found: String,
        /// What to do about it.
        hint: Option<String>,
    },

    /// A table whose columns are not those of a schema.
    #[error("{}: does not suit what was trained on: {}", path.display(), differences.join("; "))]
    Unsuitable {
        /// The file.
        path: PathBuf,
        /// Every difference.
        differences: Vec<String>,
        /// What to do about it.
        hint: String,
    },

    /// A word that is not one of the allowed ones.
    #[error("unknown {what} {found:?}: expected {expected}")]
    UnknownWord {
        /// What the word names: "split", "kind".
        what: &'static str,
        /// The word.
        found: String,
        /// The allowed words.
        expected: &'static str,
    },

    /// No mirror gave the right file.
    #[error("{name}: cannot fetch {file}: {}", attempts(tried))]
    Fetch {
        /// The dataset.
        name: String,
        /// The file.
        file: String,
        /// Every mirror tried, in order, and why it failed.
        tried: Vec<Attempt>,
    },
}

/// One mirror that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The address.
    pub url: String,
    /// The reason.
    pub why: String,
}

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}{flaw}: expected {expected}, found {found}", path.display(), before(*place))]
pub struct Malformed {
    /// The file.
    pub path: PathBuf,
    /// The place in it.
    pub place: Place,
    /// The kind of fault.
    pub flaw: Flaw,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A place in a file. Lines and columns count from 1, bytes from 0; a column is the number of the
/// value in its line, and bytes count the decompressed content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    File,
    /// A byte offset.
    Byte(u64),
    /// A line of text.
    Line(u64),
    /// A value in a line of text.
    Cell {
        /// The line.
        line: u64,
        /// The value in it.
        column: u64,
    },
    /// A value of a row of a file that is no text.
    Row {
        /// The row.
        row: u64,
        /// The value in it.
        column: u64,
    },
    /// A pixel of an image; both count from 0.
    Pixel {
        /// Row from the top.
        row: u64,
        /// Column from the left.
        column: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("the file"),
            Self::Byte(offset) => write!(f, "byte {offset}"),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Cell { line, column } => write!(f, "line {line}, column {column}"),
            Self::Row { row, column } => write!(f, "row {row}, column {column}"),
            Self::Pixel { row, column } => write!(f, "pixel row {row}, column {column}"),
        }
    }
}

/// A place as it stands before a fault; that a file is meant as a whole goes without saying.
fn before(place: Place) -> String {
    if place == Place::File { String::new() } else { format!("{place}: ") }
}

/// The kinds of fault a file can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flaw {
    /// The file ends too early.
    Truncated,
    /// The file goes on after its end.
    Oversized,
    /// The content is larger than the stated limit.
    TooLarge,
    /// The first bytes, or the header after them, are not those of the format.
    WrongMagic,
    /// A value is not a number.
    NonNumeric,
    /// A row or an image has another size than the first one.
    Ragged,
    /// There is nothing to read.
    Empty,
    /// A number is not one of those allowed.
    OutOfRange,
    /// A cell has no value.
    Missing,
    /// A label is none of those known.
    Unknown,
    /// A compressed stream or a checksum is broken.
    Corrupt,
    /// Well-formed, but a variant this crate does not read.
    Unsupported,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated",
            Self::Oversized => "oversized",
            Self::TooLarge => "too large",
            Self::WrongMagic => "wrong magic",
            Self::NonNumeric => "not a number",
            Self::Ragged => "ragged",
            Self::Empty => "empty",
            Self::OutOfRange => "out of range",
            Self::Missing => "missing",
            Self::Unknown => "unknown label",
            Self::Corrupt => "corrupt",
            Self::Unsupported => "unsupported",
        })
    }
}

impl Error {
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Malformed(malformed) => malformed.hint.clone(),
            Self::Inconsistent { hint, .. } => hint.clone(),
            Self::Unsuitable { hint, .. } => Some(hint.clone()),
            Self::Digest { path, .. } => Some(format!(
                "delete {} and fetch it again, or read it by its path",
                path.display()
            )),
            Self::UnknownName { nearest, .. } => {
                nearest.map(|nearest| format!("did you mean {nearest:?}?"))
            }
            Self::NotFound { name, file, similar, .. } => Some(format!(
                "{}run `chainrule data fetch {name}`, or point --data-dir or CHAINRULE_DATA at the \
                 folder that holds it",
                match &similar[..] {
                    [] => String::new(),
                    _ => format!("unpack or rename it to {file}, or "),
                }
            )),
            Self::Fetch { name, .. } => Some(format!(
                "without a network, put the files in a folder {name} under --data-dir or \
                 CHAINRULE_DATA"
            )),
            _ => None,
        }
    }

    /// The file or folder, where the error is about one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. } | Self::Digest { path, .. } | Self::Unsuitable { path, .. } => {
                Some(path)
            }
            Self::Malformed(malformed) => Some(&malformed.path),
            _ => None,
        }
    }

    /// The place in the file, where the error is about one and not about the file as a whole.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Malformed(malformed) => {
                Some(malformed.place).filter(|&place| place != Place::File)
            }
            _ => None,
        }
    }

    /// The kind of fault, where the error is about a malformed file.
    pub fn flaw(&self) -> Option<Flaw> {
        match self {
            Self::Malformed(malformed) => Some(malformed.flaw),
            _ => None,
        }
    }

    pub(crate) fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), action, source }
    }

    pub(crate) fn malformed(
        path: &Path,
        place: Place,
        flaw: Flaw,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Malformed(Box::new(Malformed {
            path: path.to_owned(),
            place,
            flaw,
            expected: expected.into(),
            found: found.into(),
            hint: None,
        }))
    }

    pub(crate) fn inconsistent(
        name: impl Into<String>,
        what: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Inconsistent {
            name: name.into(),
            what,
            expected: expected.into(),
            found: found.into(),
            hint: None,
        }
    }

    pub(crate) fn unsuitable(
        path: &Path,
        differences: Vec<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Unsuitable { path: path.to_owned(), differences, hint: hint.into() }
    }

    /// The same error with advice.
    #[must_use]
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        match &mut self {
            Self::Malformed(malformed) => malformed.hint = Some(advice.into()),
            Self::Inconsistent { hint, .. } => *hint = Some(advice.into()),
            _ => {}
        }
        self
    }
}

fn list(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return "no folder (no data folder is set and there is no user cache folder)".to_owned();
    }
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Files that are not the one looked for.
fn others(similar: &[PathBuf]) -> String {
    if similar.is_empty() {
        return String::new();
    }
    format!("; found {}, which is not it", list(similar))
}

fn attempts(tried: &[Attempt]) -> String {
    if tried.is_empty() {
        return "no mirror is known".to_owned();
    }
    tried
        .iter()
        .map(|attempt| format!("{}: {}", attempt.url, attempt.why))
        .collect::<Vec<_>>()
        .join("; ")
}

/// The found text of a cell, short and printable.
pub(crate) fn shown(text: &[u8]) -> String {
    const LONGEST: usize = 32;
    let mut shown: String = String::from_utf8_lossy(text).chars().take(LONGEST).collect();
    if shown.is_empty() {
        return "nothing".to_owned();
    }
    if shown.len() < text.len() && text.len() > LONGEST {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_about_a_file_knows_which_and_where_in_it() {
        let malformed = |place| {
            Error::malformed(Path::new("a.csv"), place, Flaw::Ragged, "2 values", "3 values")
        };
        let cell = malformed(Place::Cell { line: 2, column: 3 });
        assert_eq!(
            cell.to_string(),
            "a.csv: line 2, column 3: ragged: expected 2 values, found 3 values"
        );
        assert_eq!(
            cell.place().map(|place| place.to_string()).as_deref(),
            Some("line 2, column 3")
        );
        let whole = malformed(Place::File);
        assert_eq!(whole.to_string(), "a.csv: ragged: expected 2 values, found 3 values");
        let io = Error::io(Path::new("a.csv"), "read", io::ErrorKind::NotFound.into());
        for error in [&cell, &whole, &io] {
            assert_eq!(error.file(), Some(Path::new("a.csv")), "{error}");
        }
        let name = Error::UnknownWord { what: "split", found: "dev".into(), expected: "train" };
        for error in [&whole, &io, &name] {
            assert_eq!(error.place(), None, "{error}");
        }
        assert_eq!(name.file(), None);
    }
}
