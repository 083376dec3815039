//! A table before its first row is read: how it is opened, and which columns a caller means.

use super::cell::Notation;
use super::options::TableOptions;
use crate::bytes::Input;
use crate::cells::text::Text;
use crate::cells::{Source, npy, npz};
use crate::error::{Error, Flaw, Place, Result};
use crate::format::{Format, format_of};
use crate::options::Column;
use std::path::Path;

/// Opens a table of any format.
///
/// # Errors
///
/// When the system refuses, the header is not one of the format, or the file is no table.
pub(crate) fn open(path: &Path, options: &TableOptions) -> Result<(Box<dyn Source>, Notation)> {
    // The cap is one on the file, or on what is read of its first rows.
    let limit = options.limit();
    let cap = if options.rows.is_some() { u64::MAX } else { limit };
    let mut input =
        if path == Path::new("-") { Input::stdin(cap)? } else { Input::open(path, cap)? };
    if options.rows.is_some() {
        input = input.capped(limit);
    }
    let format = format_of(&mut input)?;
    open_as(input, format, options)
}

/// Opens a table whose format is known.
pub(crate) fn open_as(
    input: Input,
    format: Format,
    options: &TableOptions,
) -> Result<(Box<dyn Source>, Notation)> {
    let mut notation = Notation::new(&options.missing);
    let path = input.path().to_owned();
    if matches!(format, Format::Parquet | Format::Arrow) && !input.is_on_disk() {
        let expected = "a file that is neither compressed as a whole nor standard input";
        return Err(input
            .malformed(Place::File, Flaw::Unsupported, expected, "a stream of bytes")
            .advise("the format is read from its end: write it to a file, or unpack it"));
    }
    let source: Box<dyn Source> = match format {
        Format::Table => Box::new(Text::open(input, &mut notation, options.header)?),
        Format::Npy => {
            let array = npy::Array::open(input, options.rows)?;
            if array.axes.len() < 2 {
                return Err(array.too_few_axes());
            }
            Box::new(npy::Npy::new(array, None)?)
        }
        Format::Npz => {
            let label = match &options.label {
                Some(Column::Name(name)) => Some(name.as_str()),
                _ => None,
            };
            let key = options.key.as_deref();
            let cap = options.limit();
            Box::new(match input.in_memory() {
                Some(bytes) => npz::of(&path, bytes, key, label, options.rows, cap)?,
                None => npz::open(&path, key, label, options.rows, cap)?,
            })
        }
        #[cfg(feature = "arrow")]
        Format::Parquet => crate::cells::arrow::open_parquet(&path)?,
        #[cfg(feature = "arrow")]
        Format::Arrow => crate::cells::arrow::open_ipc(&path)?,
        #[cfg(not(feature = "arrow"))]
        Format::Parquet | Format::Arrow => return Err(without_arrow(&path)),
        Format::Png | Format::Cifar10 | Format::Idx => {
            let name = path.display().to_string();
            let hint = "a table is text, a NumPy array of two axes, Parquet or Arrow";
            return Err(Error::inconsistent(name, "format", "a table", "images").advise(hint));
        }
    };
    if options.key.is_some() && format != Format::Npz {
        let name = path.display().to_string();
        let hint = "only a .npz holds several arrays: remove the key";
        return Err(Error::inconsistent(name, "key", "a .npz", "another kind of file").advise(hint));
    }
    Ok((source, notation))
}

#[cfg(not(feature = "arrow"))]
fn without_arrow(path: &Path) -> Error {
    let expected = "a format that this build reads";
    Error::malformed(path, Place::File, Flaw::Unsupported, expected, "Parquet or Arrow")
        .advise("build with the feature `arrow`, or save the table as .csv or .npy")
}

/// The position of a column in a file, for the option `what`.
///
/// # Errors
///
/// When there is no such column, or several.
pub(crate) fn resolve(source: &dyn Source, what: &'static str, column: &Column) -> Result<usize> {
    let width = source.width();
    let refuse = |expected: String, found: String| {
        Error::inconsistent(source.path().display().to_string(), what, expected, found)
    };
    match (column, source.names()) {
        (Column::Index(index), _) => {
            let from_start = if *index < 0 { width as i64 + index } else { *index };
            match usize::try_from(from_start) {
                Ok(at) if at < width => Ok(at),
                _ => {
                    let expected =
                        format!("an index from 0 to {}, or from -1 to -{width}", width - 1);
                    Err(refuse(expected, index.to_string()))
                }
            }
        }
        (Column::Name(name), None) if source.beside() == Some(name) => Ok(width - 1),
        // A key of a config is always a word.
        (Column::Name(name), None) if name.parse::<i64>().is_ok() => {
            resolve(source, what, &Column::Index(name.parse().unwrap_or_default()))
        }
        (Column::Name(name), None) => {
            let found = format!("the name {name:?} and no header");
            Err(refuse("an index from 0, or a header".to_owned(), found))
        }
        (Column::Name(name), Some(names)) => {
            let found: Vec<usize> =
                (0..names.len()).filter(|&index| names[index] == *name).collect();
            match found[..] {
                [index] => Ok(index),
                [] => {
                    let known = super::schema::listed(names);
                    Err(refuse(format!("one of {known}"), format!("{name:?}")))
                }
                _ => {
                    let places: Vec<String> = found.iter().map(usize::to_string).collect();
                    let found = format!("{name:?} over columns {} (from 0)", places.join(" and "));
                    let hint = format!(
                        "name one of them otherwise, or say which one is meant by its index: {}",
                        places.join(" or ")
                    );
                    Err(refuse("a name that occurs once".to_owned(), found).advise(hint))
                }
            }
        }
    }
}
