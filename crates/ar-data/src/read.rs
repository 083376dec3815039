//! One entry for every file format.

use crate::arrays::{self, cifar10, idx, images};
use crate::bytes::Input;
use crate::cells::npy::{self, Array};
use crate::cells::npz;
use crate::columns::{Encoding, Schema, Table, TableOptions, Type, Variable};
use crate::dataset::{Dataset, Values, check_levels};
use crate::error::{Error, Flaw, Place, Result, shown};
use crate::foreign;
use crate::memory::content_limit;
use std::fmt;
use std::path::Path;
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
    /// What of this concerns a table.
    fn of_table(&self) -> TableOptions {
        let Self { drop, rows, max_bytes, .. } = self.clone();
        TableOptions { drop, rows, max_bytes, ..TableOptions::default() }
    }

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

/// What a reader of rows met. Errors of the file as a whole are no step.
pub(crate) enum Step {
    /// A row, whose values were added.
    Row,
    /// A row that is not as it should be; some of its values may have been added. The next row can be
    /// read all the same.
    Bad(Error),
    /// The end of the file, in the right place.
    End,
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

/// The error about a number that is no label.
pub(crate) fn wrong_label(path: &Path, place: Place, value: f64) -> Error {
    Error::malformed(path, place, Flaw::OutOfRange, "a label from 0 to 255", value.to_string())
        .advise(
            "labels number at most 256 classes from 0: numpy.unique(labels, return_inverse=True)[1] numbers \
             those that there are",
        )
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Table,
    Npy,
    Npz,
    Parquet,
    Arrow,
    Png,
    Cifar10,
    Idx,
}

impl Format {
    /// Whether the file is columns, which have types of their own.
    pub(crate) fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Npz | Self::Parquet | Self::Arrow)
    }
}

/// The format of a file, by its name or its first bytes.
///
/// # Errors
///
/// If no format is recognized, or it is one that is not read.
pub(crate) fn format_of(input: &mut Input) -> Result<Format> {
    let by_name = format_by_name(input.path());
    if matches!(by_name, None | Some(Format::Table))
        && let Some((found, hint)) = foreign::recognize(&name_of(input.path()), input.peek()?)
    {
        let expected = "a table, an array or an image";
        return Err(input.malformed(Place::File, Flaw::Unsupported, expected, found).advise(hint));
    }
    match by_name {
        Some(format) => Ok(format),
        None => format_by_content(input),
    }
}

fn format_by_name(path: &Path) -> Option<Format> {
    let name = name_of(path).to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if name.ends_with("-ubyte") {
        return Some(Format::Idx);
    }
    match name.rsplit_once('.')?.1 {
        "amat" | "data" | "csv" | "tsv" | "tab" | "txt" | "dat" => Some(Format::Table),
        "npy" => Some(Format::Npy),
        "npz" => Some(Format::Npz),
        "parquet" | "pq" => Some(Format::Parquet),
        "arrow" | "arrows" | "feather" | "ipc" => Some(Format::Arrow),
        "png" => Some(Format::Png),
        "bin" => Some(Format::Cifar10),
        "idx" => Some(Format::Idx),
        end if end.starts_with("idx") && end.ends_with("-ubyte") => Some(Format::Idx),
        _ => None,
    }
}

fn format_by_content(input: &mut Input) -> Result<Format> {
    let start = input.peek()?;
    let is_text = |byte: &u8| *byte >= b' ' || byte.is_ascii_whitespace();
    Ok(match start {
        _ if start.starts_with(npy::MAGIC) => Format::Npy,
        _ if start.starts_with(images::MAGIC) => Format::Png,
        _ if start.starts_with(npz::ZIP_MAGIC) => Format::Npz,
        _ if start.starts_with(b"PAR1") => Format::Parquet,
        _ if start.starts_with(b"ARROW1") => Format::Arrow,
        _ if idx::is_magic(start) => Format::Idx,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Format::Table,
        _ if start.iter().all(is_text) => Format::Table,
        _ => {
            let found = shown(&start[..start.len().min(8)]);
            let expected = "IDX, .npy, .npz, Parquet, Arrow, PNG or a table of text";
            return Err(input.malformed(Place::Byte(0), Flaw::WrongMagic, expected, found).advise(
                "the format follows from the name (.csv .tsv .txt .dat .data .amat .npy .npz .parquet \
                 .arrow .png .bin -ubyte, text and IDX also .gz) or from the first bytes",
            ));
        }
    })
}

/// The values of a format whose elements are bytes: symbols of 256 levels unless stated.
pub(crate) fn symbols_of_bytes(
    input: &Input,
    data: Vec<u8>,
    options: &ReadOptions,
    place: impl Fn(usize) -> Place,
) -> Result<Values> {
    let levels = match options.kind {
        Some(Kind::Real) => {
            return Ok(Values::Reals { data: data.into_iter().map(f64::from).collect() });
        }
        Some(Kind::Binary) => 2,
        _ => options.levels.unwrap_or(256),
    };
    match data.iter().position(|&value| u16::from(value) >= levels) {
        None => Ok(Values::Symbols { data, levels }),
        Some(index) => {
            let (expected, hint) = if levels == 2 {
                ("0 or 1".to_owned(), "read it as symbols and choose binarize = \"threshold\"")
            } else {
                (format!("0 to {}", levels - 1), "state a larger levels")
            };
            let found = data[index].to_string();
            Err(input.malformed(place(index), Flaw::OutOfRange, expected, found).advise(hint))
        }
    }
}

/// What a dataset read from `path` is called.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_follow_from_names() {
        for (name, format) in [
            ("a/train-images-idx3-ubyte.gz", Some(Format::Idx)),
            ("train-images.idx3-ubyte", Some(Format::Idx)),
            ("x.amat.gz", Some(Format::Table)),
            ("nips.train.data", Some(Format::Table)),
            ("X.CSV.GZ", Some(Format::Table)),
            ("a.npy", Some(Format::Npy)),
            ("data_batch_1.bin", Some(Format::Cifar10)),
            ("a.png", Some(Format::Png)),
            ("noext", None),
            ("a.zip", None),
        ] {
            assert_eq!(format_by_name(Path::new(name)), format, "{name}");
        }
    }

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
