//! Files of any length, a chunk of rows at a time.
//!
//! [`read_path`](crate::read_path) holds a whole file in memory and stops at the first fault.
//! [`Chunks`] holds a chunk of it, and a row with a fault is handed over as such, with its place, so
//! that those after it are read all the same. Rows are numbered from 0 and bad ones count, so a row
//! keeps its number whatever is wrong with others. A fault of the file as a whole (a wrong header, an
//! end too early, a broken gzip stream) still ends the reading.
//!
//! What decides about a whole file must be stated, since no chunk can know it: the shape of an event,
//! and the kind. Labels are not read.

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::input::Input;
use crate::numbers::Numbers;
use crate::read::{Column, Format, Kind, ReadOptions, Step, format_of, name_of};
use crate::{cifar10, idx, images, npy, table};
use std::ops::Range;
use std::path::Path;

/// The most content that one row of a text may take, for each of its values; a number in the fullest
/// notation has 24 characters.
const MOST_BYTES_PER_VALUE: u64 = 64;

/// What a row may take besides: separators, blanks and blank lines before it.
const MOST_BYTES_PER_ROW: u64 = 1 << 20;

/// A file that is read a chunk at a time: an iterator over [`Chunk`]s, which ends with the file or with
/// the first error.
///
/// ```
/// use ar_data::{Chunks, Kind, ReadOptions};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("coins.csv");
/// std::fs::write(&path, "0,1\n1,x\n1,1\n")?;
/// let options = ReadOptions { kind: Some(Kind::Binary), shape: Some(vec![2]), ..Default::default() };
/// let chunks = Chunks::open(&path, &options, 100)?.collect::<Result<Vec<_>, _>>()?;
/// let [chunk] = &chunks[..] else { panic!() };
/// assert_eq!(chunk.data.symbols()?.0, [0, 1, 1, 1]);
/// assert_eq!((chunk.rows.clone(), chunk.data.number(1), chunk.bad[0].row), (0..3, 2, 1));
/// assert!(chunk.bad[0].error.to_string().ends_with("expected a number, found \"x\""));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Chunks {
    name: String,
    shape: Vec<usize>,
    options: ReadOptions,
    rows: Rows,
    rows_per_chunk: usize,
    next_row: u64,
    is_done: bool,
}

/// Some rows of a file.
#[derive(Debug)]
pub struct Chunk {
    /// The rows that are as they should be; [`Dataset::number`] says which.
    pub data: Dataset,
    /// The others, in order.
    pub bad: Vec<BadRow>,
    /// All of them.
    pub rows: Range<u64>,
}

/// A row that is not as it should be.
#[derive(Debug)]
pub struct BadRow {
    /// Which one, from 0, headers and empty lines not counted.
    pub row: u64,
    /// What is wrong, and where in the file.
    pub error: Error,
}

enum Rows {
    Table(table::Rows),
    Npy(npy::Rows),
    Idx(idx::Rows),
    Cifar10(cifar10::Rows),
    Images(images::Rows),
}

impl Chunks {
    /// Opens a file, or a folder of images, to be read `rows` rows at a time. The format follows as for
    /// [`read_path`](crate::read_path).
    ///
    /// `options` must state the shape and the kind (or the levels, which imply symbols). Symbols
    /// without levels have, in each chunk, as many as its largest value asks for; bytes of images
    /// always 256. The limit on the content is one on each image of a folder; a row of text may take
    /// 64 bytes a value and a MiB, and the file any number of them.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the system refuses, [`Error::Malformed`] if the header is not one of the
    /// format, [`Error::Inconsistent`] if the options say too little, contradict each other, or the
    /// header states events of another size.
    ///
    /// # Panics
    ///
    /// If `rows` is 0.
    pub fn open(path: &Path, options: &ReadOptions, rows: usize) -> Result<Self> {
        assert!(rows > 0, "a chunk of no rows");
        options.check()?;
        let Some(shape) = &options.shape else {
            return Err(unstated("shape"));
        };
        if options.kind.is_none() && options.levels.is_none() {
            return Err(unstated("kind"));
        }
        // A dataset of no events checks the shape.
        let none = Numbers::new(options).finish();
        let event_len = Dataset::new("options", none, shape)?.event_len();
        let mut of_bytes = options.clone();
        if options.kind != Some(Kind::Real) && options.kind != Some(Kind::Binary) {
            of_bytes.levels = options.levels.or(Some(256));
        }
        let (rows_of_file, options) = if path.is_dir() {
            (Rows::Images(images::Rows::of_folder(path, &of_bytes)?), of_bytes)
        } else {
            let mut input = Input::open(path, u64::MAX)?;
            input.begin_row(row_cap(event_len));
            match format_of(&mut input, options)? {
                Format::Table => {
                    let rows = table::Rows::new(input, Some(event_len), &options.drop)?;
                    (Rows::Table(rows), options.clone())
                }
                Format::Npy => (Rows::Npy(npy::Rows::new(input, options.rows)?), options.clone()),
                Format::Idx => (Rows::Idx(idx::Rows::new(input)?), of_bytes),
                Format::Cifar10 => (Rows::Cifar10(cifar10::Rows::new(input)?), of_bytes),
                Format::Png => (Rows::Images(images::Rows::of_file(path, &of_bytes)), of_bytes),
            }
        };
        let found: Option<&[usize]> = match &rows_of_file {
            Rows::Npy(rows) => Some(&rows.shape),
            Rows::Idx(rows) => Some(&rows.shape),
            Rows::Cifar10(_) => Some(&cifar10::SHAPE),
            // Each row or image for itself.
            Rows::Table(_) | Rows::Images(_) => None,
        };
        if let Some(found) = found
            && found.iter().product::<usize>() != event_len
        {
            return Err(Error::inconsistent(
                path.display().to_string(),
                "shape",
                format!("events of shape {shape:?} or another of {event_len} values"),
                format!("{found:?}"),
            ));
        }
        Ok(Self {
            name: name_of(path),
            shape: shape.clone(),
            options,
            rows: rows_of_file,
            rows_per_chunk: rows,
            next_row: 0,
            is_done: false,
        })
    }

    /// The level count of symbols, where it does not follow from the values.
    pub fn levels(&self) -> Option<u16> {
        match self.options.kind {
            Some(Kind::Binary) => Some(2),
            _ => self.options.levels,
        }
    }

    /// The names in the header of a table, once the first chunk was read.
    pub fn columns(&self) -> Option<&[String]> {
        match &self.rows {
            Rows::Table(rows) => rows.columns(),
            _ => None,
        }
    }

    /// How much has been read, and how much there is: bytes of the file as it is stored, or images of
    /// a folder.
    pub fn progress(&mut self) -> (u64, u64) {
        match &mut self.rows {
            Rows::Images(rows) => rows.progress(),
            rows => rows.input().map_or((0, 0), |input| input.progress()),
        }
    }

    fn chunk(&mut self) -> Result<Option<Chunk>> {
        let first = self.next_row;
        let mut numbers = Numbers::new(&self.options);
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        let event_len = self.shape.iter().product();
        let most = self.options.rows.map_or(u64::MAX, |rows| rows as u64);
        while self.next_row - first < self.rows_per_chunk as u64 {
            if self.next_row == most {
                self.is_done = true;
                break;
            }
            let before = numbers.len();
            if let Some(input) = self.rows.input() {
                input.begin_row(row_cap(event_len));
            }
            match self.rows.next(event_len, &mut numbers)? {
                Step::Row => good.push(self.next_row),
                Step::Bad(error) => {
                    numbers.truncate(before);
                    bad.push(BadRow { row: self.next_row, error });
                }
                Step::End => {
                    self.is_done = true;
                    break;
                }
            }
            self.next_row += 1;
        }
        if first == self.next_row {
            return Ok(None);
        }
        let data = Dataset::new(&self.name, numbers.finish(), &self.shape)?.with_numbers(good)?;
        let data = match self.columns() {
            Some(columns) => data.with_columns(columns.to_vec())?,
            None => data,
        };
        Ok(Some(Chunk { data, bad, rows: first..self.next_row }))
    }
}

impl Iterator for Chunks {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let chunk = self.chunk();
        self.is_done |= chunk.is_err();
        chunk.transpose()
    }
}

impl Rows {
    fn next(&mut self, event_len: usize, numbers: &mut Numbers) -> Result<Step> {
        match self {
            Self::Table(rows) => rows.next(numbers),
            Self::Npy(rows) => rows.next(numbers),
            Self::Idx(rows) => rows.next(numbers),
            Self::Cifar10(rows) => rows.next(numbers),
            Self::Images(rows) => Ok(rows.next(event_len, numbers)),
        }
    }

    /// The one file under all rows, if it is one.
    fn input(&mut self) -> Option<&mut Input> {
        match self {
            Self::Table(rows) => Some(rows.input()),
            Self::Npy(rows) => Some(&mut rows.input),
            Self::Idx(rows) => Some(&mut rows.input),
            Self::Cifar10(rows) => Some(&mut rows.input),
            Self::Images(_) => None,
        }
    }
}

fn row_cap(event_len: usize) -> u64 {
    MOST_BYTES_PER_VALUE.saturating_mul(event_len as u64).saturating_add(MOST_BYTES_PER_ROW)
}

fn unstated(what: &'static str) -> Error {
    Error::inconsistent("options", what, "a stated one, to read a file in chunks", "none")
}

/// How many levels the symbols of a file ask for: one more than the largest, at least 2. Rows in which not
/// all values are symbols below `most` levels are left out; `None` if all are such. Columns in `drop` are
/// not looked at. `progress` hears [`Chunks::progress`] after each chunk.
///
/// # Errors
///
/// Those of [`Chunks::open`] and of reading to the end.
pub fn scan_levels(
    path: &Path,
    shape: &[usize],
    drop: &[Column],
    most: u16,
    mut progress: impl FnMut((u64, u64)),
) -> Result<Option<u16>> {
    let options = ReadOptions {
        kind: Some(Kind::Symbols),
        levels: Some(most),
        shape: Some(shape.to_vec()),
        drop: drop.to_vec(),
        ..ReadOptions::default()
    };
    let mut chunks = Chunks::open(path, &options, 1024)?;
    let mut largest = None;
    while let Some(chunk) = chunks.next() {
        largest = largest.max(chunk?.data.symbols()?.0.iter().copied().max());
        progress(chunks.progress());
    }
    Ok(largest.map(|largest| (u16::from(largest) + 1).max(2)))
}
