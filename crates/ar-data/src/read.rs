//! One entry for every file format.

use crate::arrays::values::wrong_label;
use crate::arrays::{self, cifar10, idx, images};
use crate::bytes::Input;
use crate::cells::npy::Array;
use crate::columns::{Encoding, Schema, Table, TableOptions, Type, Variable};
use crate::dataset::Dataset;
use crate::error::{Error, Flaw, Place, Result};
use crate::format::{Format, format_of};
use crate::memory::content_limit;
use crate::options::{Kind, ReadOptions, above_limit};
use std::path::Path;

impl ReadOptions {
    /// What of this concerns a table.
    fn of_table(&self) -> TableOptions {
        let Self { drop, rows, max_bytes, .. } = self.clone();
        TableOptions { drop, rows, max_bytes, ..TableOptions::default() }
    }
}

/// Reads a file or a folder of PNG images.
///
/// The format follows from the name: `.amat`, `.data`, `.csv`, `.tsv`, `.txt`, `.dat` are tables of text,
/// `.npy` and `.npz` are NumPy's, `.parquet` and `.arrow` tables, `.png` an image, `.bin` a CIFAR-10 batch,
/// `*-ubyte` and `*.idx` are IDX; text, `.npy` and IDX also as `.gz`. Any other name is settled by the first
/// bytes. All values become one kind; for columns of their own types see [`Table`].
///
/// # Errors
///
/// [`Error::Io`] if the system refuses, [`Error::Malformed`] if the file does not hold what its
/// format promises or is larger than the limit, [`Error::Inconsistent`] if the options contradict
/// each other or the file.
///
/// ```
/// use ar_data::{ReadOptions, read_path};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("coins.csv");
/// std::fs::write(&path, "0,1\n1,x\n")?;
/// let error = read_path(&path, &ReadOptions::default()).unwrap_err();
/// assert!(error.to_string().ends_with(
///     "coins.csv: line 2, column 2: not a number: expected a number, found \"x\""
/// ));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn read_path(path: &Path, options: &ReadOptions) -> Result<Dataset> {
    options.check()?;
    let options = &options.limited();
    let limit = options.limit();
    let data = if path.is_dir() {
        images::read_folder(path, options)
    } else if options.rows.is_some() {
        let input = Input::open(path, u64::MAX)?;
        read_input(input.capped(limit), options)
    } else {
        Input::open(path, limit).and_then(|input| read_input(input, options))
    };
    shaped(path, data.map_err(|error| above_limit(error, options.rows, limit))?, options)
}

/// Reads the content of a file from memory; `name` stands for its path.
///
/// # Errors
///
/// Those of [`read_path`].
pub fn read_bytes(name: &Path, bytes: Vec<u8>, options: &ReadOptions) -> Result<Dataset> {
    options.check()?;
    let options = &options.limited();
    let input = match options.rows {
        Some(_) => Input::from_bytes(name, bytes, u64::MAX)?.capped(options.limit()),
        None => Input::from_bytes(name, bytes, options.limit())?,
    };
    shaped(name, read_input(input, options)?, options)
}

fn shaped(path: &Path, data: Dataset, options: &ReadOptions) -> Result<Dataset> {
    let Some(shape) = &options.shape else {
        return Ok(data);
    };
    // The name alone would not tell which of two files of one name is meant.
    let name = data.name().to_owned();
    Ok(data.with_name(path.display().to_string()).with_shape(shape)?.with_name(name))
}

fn read_input(mut input: Input, options: &ReadOptions) -> Result<Dataset> {
    let format = format_of(&mut input)?;
    if !options.drop.is_empty() && !format.is_table() {
        return Err(no_columns(input.path()));
    }
    match format {
        Format::Table | Format::Npz | Format::Parquet | Format::Arrow => {
            let of_table = options.of_table();
            let table = Table::of_input(input, format, &of_table)?;
            homogeneous(table, options)
        }
        Format::Npy => arrays::npy::read(Array::open(input, options.rows)?, options),
        Format::Png => images::read(&mut input, options),
        Format::Cifar10 => cifar10::read(&mut input, options),
        Format::Idx => idx::read(input, options).map(|(data, _)| data),
    }
}

/// Reads a file of labels: IDX or a `.npy` of one axis.
///
/// # Errors
///
/// [`Error::Io`] if the system refuses, [`Error::Malformed`] if the file holds no labels from 0 to 255.
pub fn read_labels(path: &Path) -> Result<Vec<u8>> {
    let mut input = Input::open(path, content_limit())?;
    match format_of(&mut input)? {
        Format::Idx => idx::read_labels(input).map(|(labels, _)| labels),
        Format::Npy => {
            let mut array = Array::open(input, None)?;
            let mut labels = Vec::new();
            let mut wrong = None;
            for _ in 0..array.left() {
                array.example(|place, value| match crate::columns::as_byte(value) {
                    Some(label) => labels.push(label),
                    None => wrong = wrong.or(Some((place, value))),
                })?;
            }
            match wrong {
                None => Ok(labels),
                Some((place, value)) => Err(wrong_label(path, place, value)),
            }
        }
        _ => Err(input.malformed(
            Place::File,
            Flaw::Unsupported,
            "labels as IDX of one axis or .npy",
            "another format",
        )
        .advise("in Python: numpy.save('labels.npy', labels); a column of a table is named with data.label")),
    }
}

/// The error about columns that are to be left out of images.
pub(crate) fn no_columns(path: &Path) -> Error {
    let name = path.display().to_string();
    Error::inconsistent(name, "drop", "a table", "another kind of file")
        .advise("columns can be left out of tables: text, Parquet, Arrow, .npz")
}

/// Reads a text of values of one kind, and gives the file back for its digest.
pub(crate) fn read_text(input: Input, options: &ReadOptions) -> Result<(Dataset, Input)> {
    let (table, input) = Table::of_text(input, &options.of_table())?;
    Ok((homogeneous(table, options)?, input))
}

/// A table as values of one kind.
fn homogeneous(table: Table, options: &ReadOptions) -> Result<Dataset> {
    let symbols = Encoding::Symbols { levels: 256 };
    let inferred = match options.kind {
        Some(Kind::Real) => None,
        _ => table.infer(Some(symbols)).ok().and_then(|schema| {
            let is_code = |variable: &Variable| {
                matches!(variable.kind, Type::Codes { .. }) && !variable.can_be_missing
            };
            schema.variables.iter().all(is_code).then_some(schema)
        }),
    };
    let own = inferred.as_ref().and_then(Schema::symbols);
    let encoding = match (options.kind, options.levels) {
        (Some(Kind::Real), _) => Encoding::Reals,
        (Some(Kind::Binary), _) => Encoding::Symbols { levels: 2 },
        (_, Some(levels)) => Encoding::Symbols { levels },
        (Some(Kind::Symbols), None) => own.unwrap_or(symbols),
        (None | Some(Kind::Columns), None) => own.unwrap_or(Encoding::Reals),
    };
    let schema = table.all_as(encoding);
    let (data, bad) = table.dataset(&schema, encoding)?;
    match bad.into_iter().next() {
        Some(bad) => Err(bad.error),
        None => Ok(data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_settled_by_the_content() {
        let read =
            |bytes: &[u8]| read_bytes(Path::new("thing"), bytes.to_vec(), &ReadOptions::default());
        assert_eq!(read(b"0 1\n").unwrap().shape(), [2]);
        assert_eq!(read(&[0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7]).unwrap().shape(), [1]);
        let error = read(b"\x01\x02\x03\x04....").unwrap_err();
        assert_eq!(error.flaw(), Some(Flaw::WrongMagic));
        assert!(error.hint().unwrap().contains(".npy"));
        assert_eq!(read(b"").unwrap_err().flaw(), Some(Flaw::Empty));
    }

    #[test]
    fn contradicting_options_are_refused() {
        let read =
            |options: ReadOptions| read_bytes(Path::new("d/t.csv"), b"0,1\n".to_vec(), &options);
        let open = ReadOptions::default;
        for (options, word) in [
            (ReadOptions { levels: Some(1), ..open() }, "levels: expected 2 to 256, found 1"),
            (ReadOptions { kind: Some(Kind::Binary), levels: Some(3), ..open() }, "binary"),
            (ReadOptions { kind: Some(Kind::Real), levels: Some(3), ..open() }, "real"),
            (
                ReadOptions { shape: Some(vec![3]), ..open() },
                "d/t.csv: shape: expected a shape of 2 values, found [3], which has 3",
            ),
            (ReadOptions { shape: Some(vec![]), ..open() }, "axes"),
        ] {
            let message = read(options).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
        let data = read(ReadOptions { shape: Some(vec![2, 1]), ..open() }).unwrap();
        assert_eq!((data.shape(), data.name()), (&[2, 1][..], "t.csv"));
    }

    #[test]
    fn kinds_round_trip() {
        for kind in [Kind::Binary, Kind::Symbols, Kind::Real] {
            assert_eq!(kind.to_string().parse::<Kind>().unwrap(), kind);
        }
        assert!("bits".parse::<Kind>().is_err());
    }
}
