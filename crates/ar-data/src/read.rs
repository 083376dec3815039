//! One entry for every file format.

use crate::dataset::{Dataset, Values, check_levels};
use crate::error::{Error, Flaw, Place, Result, shown};
use crate::input::Input;
use crate::memory::content_limit;
use crate::{cifar10, idx, images, npy, table};
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
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Binary => "binary",
            Self::Symbols => "symbols",
            Self::Real => "real",
        })
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        [Self::Binary, Self::Symbols, Self::Real]
            .into_iter()
            .find(|kind| kind.to_string() == word)
            .ok_or_else(|| Error::UnknownWord {
                what: "kind",
                found: word.to_owned(),
                expected: "binary, symbols or real",
            })
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// By its name in the header.
    Name(String),
    /// By its index, from 0.
    Index(usize),
}

/// What the caller knows about a file. What is left open follows from the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// What the values are. Open: bytes of images are symbols of 256 levels; tables and integer
    /// arrays are symbols if all values are whole and within 0 to 255, else reals; float arrays
    /// are reals.
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
    /// The most content (decompressed bytes) to take from one file, or from one folder of images;
    /// less where there is less memory, see [`content_limit`].
    pub max_bytes: u64,
}

impl Default for ReadOptions {
    /// Everything open, and what memory has room for.
    fn default() -> Self {
        let max_bytes = content_limit();
        Self { kind: None, levels: None, shape: None, drop: Vec::new(), rows: None, max_bytes }
    }
}

impl ReadOptions {
    pub(crate) fn check(&self) -> Result<()> {
        if self.rows == Some(0) {
            return Err(Error::inconsistent("options", "rows", "1 or more", "0"));
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
/// The format follows from the name: `.amat`, `.data`, `.csv`, `.tsv`, `.txt`, `.dat` are tables,
/// `.npy` is NumPy's, `.png` an image, `.bin` a CIFAR-10 batch, `*-ubyte` and `*.idx` are IDX; each
/// also as `.gz`. Any other name is settled by the first bytes.
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
    // Files that were read before have taken some of the memory that there was.
    let options =
        &ReadOptions { max_bytes: options.max_bytes.min(content_limit()), ..options.clone() };
    let data = if path.is_dir() {
        images::read_folder(path, options)
    } else if options.rows.is_some() {
        let input = Input::open(path, u64::MAX)?;
        read_input(input.capped(options.max_bytes), options)
    } else {
        Input::open(path, options.max_bytes).and_then(|input| read_input(input, options))
    };
    shaped(path, data.map_err(|error| above_limit(error, options))?, options)
}

/// An error about a file that is too large, with the ways there are to read it.
fn above_limit(error: Error, options: &ReadOptions) -> Error {
    if error.flaw() != Some(Flaw::TooLarge) || error.hint().is_some() {
        return error;
    }
    let limit = options.max_bytes as f64 / (1 << 20) as f64;
    let fewer = match options.rows {
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
    let input = match options.rows {
        Some(_) => Input::from_bytes(name, bytes, u64::MAX)?.capped(options.max_bytes),
        None => Input::from_bytes(name, bytes, options.max_bytes)?,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Table,
    Npy,
    Png,
    Cifar10,
    Idx,
}

fn read_input(mut input: Input, options: &ReadOptions) -> Result<Dataset> {
    match format_of(&mut input, options)? {
        Format::Table => table::read(input, options).map(|(data, _)| data),
        Format::Npy => npy::read(input, options),
        Format::Png => images::read(&mut input, options),
        Format::Cifar10 => cifar10::read(&mut input, options),
        Format::Idx => idx::read(&mut input, options),
    }
}

/// The format of a file, by its name or its first bytes.
///
/// # Errors
///
/// If no format is recognized, or columns are to be left out of what is no table.
pub(crate) fn format_of(input: &mut Input, options: &ReadOptions) -> Result<Format> {
    let format = match format_by_name(input.path()) {
        Some(format) => format,
        None => format_by_content(input)?,
    };
    if !options.drop.is_empty() && format != Format::Table {
        let name = input.path().display().to_string();
        return Err(Error::inconsistent(name, "drop", "a table", "another kind of file")
            .advise("columns can be left out of .csv, .tsv, .txt, .data, .amat and .dat files"));
    }
    Ok(format)
}

fn format_by_name(path: &Path) -> Option<Format> {
    let name = name_of(path).to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if name.ends_with("-ubyte") {
        return Some(Format::Idx);
    }
    match name.rsplit_once('.')?.1 {
        "amat" | "data" | "csv" | "tsv" | "txt" | "dat" => Some(Format::Table),
        "npy" => Some(Format::Npy),
        "png" => Some(Format::Png),
        "bin" => Some(Format::Cifar10),
        "idx" => Some(Format::Idx),
        end if end.starts_with("idx") && end.ends_with("-ubyte") => Some(Format::Idx),
        _ => None,
    }
}

fn format_by_content(input: &mut Input) -> Result<Format> {
    let start = input.peek()?;
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    if start.starts_with(npy::MAGIC) {
        Ok(Format::Npy)
    } else if start.starts_with(images::MAGIC) {
        Ok(Format::Png)
    } else if idx::is_magic(start) {
        Ok(Format::Idx)
    } else if start.iter().all(is_text) {
        Ok(Format::Table)
    } else {
        let found = shown(&start[..start.len().min(8)]);
        let expected = "IDX, .npy, PNG or a table of numbers";
        Err(input.malformed(Place::Byte(0), Flaw::WrongMagic, expected, found).advise(
            "the format follows from the name (.amat .data .csv .tsv .txt .npy .png .bin -ubyte, \
             each also .gz) or from the first bytes",
        ))
    }
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
            return Ok(Values::Reals { data: data.into_iter().map(f32::from).collect() });
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
        let error = read(b"PK\x03\x04....").unwrap_err();
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
