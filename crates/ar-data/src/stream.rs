//! Files of any length, a chunk of rows at a time.
//!
//! [`read_path`](crate::read_path) holds a whole file in memory and stops at the first fault.
//! [`Chunks`] holds a chunk of it, and a row with a fault is handed over as such, with its place, so
//! that those after it are read all the same. Rows are numbered from 0 and bad ones count, so a row
//! keeps its number whatever is wrong with others. A fault of the file as a whole (a wrong header, an
//! end too early, a broken gzip stream) still ends the reading.
//!
//! What decides about a whole file must be stated, since no chunk can know it: the shape of an event,
//! and the kind; of tables a [`Schema`] states more ([`Chunks::open_as`]).

use crate::arrays::numbers::Numbers;
use crate::arrays::values::Step;
use crate::arrays::{self, cifar10, idx, images};
use crate::bytes::Input;
use crate::cells::npy::Array;
use crate::chunk::Chunk;
use crate::columns::{BadRow, Encoding, Match, Schema, TableOptions, TableReader};
use crate::dataset::{Dataset, name_of};
use crate::error::{Error, Flaw, Place, Result};
use crate::format::{Format, format_of};
use crate::options::{Kind, ReadOptions};
use crate::read::{no_columns, read_path};
use crate::write::Cell;
use std::path::Path;

/// The most content that one example of an array may take, for each of its values.
const MOST_BYTES_PER_VALUE: u64 = 64;

/// What an example may take besides.
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
/// assert!(chunk.bad[0].error.to_string().ends_with("expected 0 or 1, found \"x\""));
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

/// How a file is to be read as events of what was trained on.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What the columns of a table are.
    pub schema: Schema,
    /// What the values become.
    pub encoding: Encoding,
    /// The shape of an event.
    pub shape: Vec<usize>,
    /// Whether images are black and white: 0 and 255 are the bits.
    pub is_binary: bool,
    /// How closely the columns of a table must be those of the schema.
    pub how: Match,
    /// What else is stated of a table.
    pub table: TableOptions,
}

impl Reading {
    /// What of this concerns images.
    fn options(&self) -> ReadOptions {
        let (kind, levels) = match self.encoding {
            Encoding::Reals | Encoding::Columns | Encoding::Cells => (Kind::Real, None),
            Encoding::Symbols { levels: 2 } if self.is_binary => (Kind::Binary, None),
            Encoding::Symbols { levels } => (Kind::Symbols, Some(levels)),
        };
        let shape = Some(self.shape.clone());
        let Self { table: TableOptions { rows, max_bytes, .. }, .. } = *self;
        ReadOptions { kind: Some(kind), levels, shape, drop: Vec::new(), rows, max_bytes }
    }
}

enum Rows {
    Table(Box<TableReader>),
    Npy(arrays::npy::Rows),
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
        let encoding = match (options.kind, options.levels) {
            (Some(Kind::Real), _) => Encoding::Reals,
            (Some(Kind::Binary), _) => Encoding::Symbols { levels: 2 },
            (_, levels) => Encoding::Symbols { levels: levels.unwrap_or(256) },
        };
        // A dataset of no events checks the shape.
        let none = Numbers::new(options).finish();
        let event_len = Dataset::new("options", none, shape)?.event_len();
        let reading = Reading {
            schema: Schema::positions(event_len, encoding),
            encoding,
            shape: shape.clone(),
            is_binary: options.kind == Some(Kind::Binary),
            how: Match { drop: options.drop.clone(), ..Match::default() },
            table: TableOptions { rows: options.rows, ..TableOptions::default() },
        };
        Self::start(path, options, &reading, rows)
    }

    /// Opens a file of any format to be read as events of what was trained on, `rows` at a time.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), and [`Error::Unsuitable`] with every way in which the columns of a table
    /// are not those of the schema.
    ///
    /// # Panics
    ///
    /// If `rows` is 0.
    pub fn open_as(path: &Path, reading: &Reading, rows: usize) -> Result<Self> {
        assert!(rows > 0, "a chunk of no rows");
        Self::start(path, &reading.options(), reading, rows)
    }

    /// Reads a table of text from memory as events of what was trained on, `rows` at a time; `name` stands for its path.
    ///
    /// # Errors
    ///
    /// Those of [`open_as`](Self::open_as), and [`Error::Malformed`] if the bytes are no text: an archive, an image.
    ///
    /// # Panics
    ///
    /// If `rows` is 0.
    pub fn of_text(name: &Path, text: Vec<u8>, reading: &Reading, rows: usize) -> Result<Self> {
        assert!(rows > 0, "a chunk of no rows");
        let is_packed = text.starts_with(&[0x1f, 0x8b]);
        let cap = text.len() as u64;
        let mut input = Input::from_bytes(name, text, cap.max(1))?;
        if is_packed || format_of(&mut input)? != Format::Table {
            let expected = "lines of values between commas";
            return Err(input.malformed(
                Place::File,
                Flaw::Unsupported,
                expected,
                "bytes of another kind",
            ));
        }
        let Reading { schema, encoding, how, table, .. } = reading;
        let reader = TableReader::of_input(input, Format::Table, schema, *encoding, table, how)?;
        Ok(Self::of_table(name, reader, reading, rows))
    }

    /// Reads rows that are in memory as events of what was trained on, `rows` at a time; `name` stands for their path.
    ///
    /// # Shapes
    /// `cells` are `[n, names]`, or `[n, variables]` where the columns have no names.
    ///
    /// # Errors
    ///
    /// [`Error::Unsuitable`] with every way in which the columns are not those of the schema.
    ///
    /// # Panics
    ///
    /// If `rows` is 0, or `cells` are no whole rows.
    pub fn of_rows(
        name: &Path,
        names: Option<Vec<String>>,
        cells: Vec<Cell>,
        reading: &Reading,
        rows: usize,
    ) -> Result<Self> {
        assert!(rows > 0, "a chunk of no rows");
        let width = names.as_ref().map_or(reading.schema.variables.len(), Vec::len);
        let source = crate::cells::rows::Rows::new(name, names, width, cells);
        let Reading { schema, encoding, how, .. } = reading;
        let reader = TableReader::of_rows(source, schema, *encoding, how)?;
        Ok(Self::of_table(name, reader, reading, rows))
    }

    fn of_table(name: &Path, reader: TableReader, reading: &Reading, rows: usize) -> Self {
        Self {
            name: name_of(name),
            shape: reading.shape.clone(),
            options: reading.options(),
            rows: Rows::Table(Box::new(reader)),
            rows_per_chunk: rows,
            next_row: 0,
            is_done: false,
        }
    }

    fn start(path: &Path, options: &ReadOptions, reading: &Reading, rows: usize) -> Result<Self> {
        let Reading { schema, encoding, shape, how, table, .. } = reading;
        let event_len: usize = shape.iter().product();
        let mut of_bytes = options.clone();
        if options.kind != Some(Kind::Real) && options.kind != Some(Kind::Binary) {
            of_bytes.levels = options.levels.or(Some(256));
        }
        let (rows_of_file, options) = if path.is_dir() {
            (Rows::Images(images::Rows::of_folder(path, &of_bytes)?), of_bytes)
        } else {
            let mut input = if path == Path::new("-") {
                Input::stdin(u64::MAX)?
            } else {
                Input::open(path, u64::MAX)?
            };
            let format = format_of(&mut input)?;
            if !how.drop.is_empty() && !format.is_table() && format != Format::Npy {
                return Err(no_columns(path));
            }
            match format {
                Format::Table | Format::Npz | Format::Parquet | Format::Arrow => {
                    let reader =
                        TableReader::of_input(input, format, schema, *encoding, table, how)?;
                    (Rows::Table(Box::new(reader)), options.clone())
                }
                Format::Npy => {
                    let array = Array::open(input, options.rows)?;
                    if array.axes.len() == 2 {
                        let reader = TableReader::of_array(array, schema, *encoding, how)?;
                        (Rows::Table(Box::new(reader)), options.clone())
                    } else if how.drop.is_empty() {
                        (Rows::Npy(arrays::npy::Rows::new(array)?), options.clone())
                    } else {
                        return Err(no_columns(path));
                    }
                }
                Format::Idx => {
                    input.begin_row(row_cap(event_len));
                    let rows = idx::Rows::new(input, options.rows)?;
                    let options = if rows.is_bytes() { of_bytes } else { options.clone() };
                    (Rows::Idx(rows), options)
                }
                Format::Cifar10 => {
                    input.begin_row(row_cap(event_len));
                    (Rows::Cifar10(cifar10::Rows::new(input)?), of_bytes)
                }
                Format::Png => (Rows::Images(images::Rows::of_file(path, &of_bytes)), of_bytes),
            }
        };
        let found: Option<&[usize]> = match &rows_of_file {
            Rows::Npy(rows) => Some(rows.shape()),
            Rows::Idx(rows) => Some(&rows.shape),
            Rows::Cifar10(_) => Some(&cifar10::SHAPE),
            // Each row or image for itself, or by its columns.
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

    /// The level count of the format's values, where that is one for all its files: bytes of images have 256.
    pub fn levels_of_format(&self) -> Option<u16> {
        match &self.rows {
            Rows::Idx(rows) => rows.is_bytes().then_some(256),
            Rows::Cifar10(_) | Rows::Images(_) => Some(256),
            Rows::Table(_) | Rows::Npy(_) => None,
        }
    }

    /// What a user should know of how the columns of a table were matched.
    pub fn remarks(&self) -> &[String] {
        match &self.rows {
            Rows::Table(reader) => reader.remarks(),
            _ => &[],
        }
    }

    /// The level count of symbols, where it does not follow from the values.
    pub fn levels(&self) -> Option<u16> {
        match self.options.kind {
            Some(Kind::Binary) => Some(2),
            _ => self.options.levels,
        }
    }

    /// How much has been read, and how much there is: bytes of the file as it is stored, or images of
    /// a folder.
    pub fn progress(&mut self) -> (u64, u64) {
        match &mut self.rows {
            Rows::Images(rows) => rows.progress(),
            Rows::Table(reader) => reader.progress(),
            rows => rows.input().map_or((0, 0), |input| input.progress()),
        }
    }

    /// Whether the file is a table, whose columns have types of their own.
    pub fn is_table(&self) -> bool {
        matches!(self.rows, Rows::Table(_))
    }

    /// Of each variable the labels that the schema does not have, in the order of their codes in what has been read
    /// since the last call, after which codes begin anew; `None` is a missing cell where training had none. Of
    /// [`Encoding::Cells`] alone.
    pub fn take_others(&mut self) -> Vec<Vec<Option<String>>> {
        match &mut self.rows {
            Rows::Table(reader) => reader.take_others(),
            _ => Vec::new(),
        }
    }

    /// All rows that are still to come as one dataset, and those that could not be read. Errors call the file
    /// `path`.
    ///
    /// # Errors
    ///
    /// Those of reading to the end; [`Error::Malformed`] if there is no row, or the values take more than the
    /// limit on the content.
    pub fn into_whole(mut self, path: &Path) -> Result<(Dataset, Vec<BadRow>)> {
        let (mut whole, mut bad): (Option<Dataset>, Vec<BadRow>) = (None, Vec::new());
        let (mut numbers, mut rows, limit) = (Vec::new(), 0, self.options.limit());
        for chunk in &mut self {
            let chunk = chunk?;
            bad.extend(chunk.bad);
            numbers.extend((0..chunk.data.len()).map(|row| chunk.data.number(row)));
            rows = chunk.rows.end;
            let whole = match &mut whole {
                None => whole.insert(chunk.data),
                Some(whole) => {
                    whole.append(chunk.data);
                    whole
                }
            };
            let of_value = if whole.levels().is_none() { size_of::<f64>() } else { 1 };
            if (whole.values().len() * of_value) as u64 > limit {
                let expected = format!("at most {limit} bytes of values");
                let error = Error::malformed(path, Place::File, Flaw::TooLarge, expected, "more");
                return Err(error.advise("`chainrule score` reads files of any length"));
            }
        }
        let Some(whole) = whole else {
            let expected = "rows of values";
            return Err(Error::malformed(path, Place::File, Flaw::Empty, expected, "none"));
        };
        // Numbers say something only where rows are left out.
        let whole = if numbers.len() as u64 == rows {
            whole.without_numbers()
        } else {
            whole.with_numbers(numbers)?
        };
        Ok((whole, bad))
    }

    fn chunk(&mut self) -> Result<Option<Chunk>> {
        let most = self.options.rows.map_or(u64::MAX, |rows| rows as u64);
        if let Rows::Table(reader) = &mut self.rows {
            let left = usize::try_from(most - self.next_row).unwrap_or(usize::MAX);
            let Some(chunk) = reader.chunk(self.rows_per_chunk.min(left))? else { return Ok(None) };
            self.next_row = chunk.rows.end;
            self.is_done = self.next_row == most;
            let Chunk { data, bad, rows } = chunk;
            return Ok(Some(Chunk { data: data.with_shape(&self.shape)?, bad, rows }));
        }
        let first = self.next_row;
        let mut numbers = Numbers::new(&self.options);
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        let event_len = self.shape.iter().product();
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
            Self::Table(_) => unreachable!("a table is read by its columns"),
            Self::Npy(rows) => rows.next(numbers),
            Self::Idx(rows) => rows.next(numbers),
            Self::Cifar10(rows) => rows.next(numbers),
            Self::Images(rows) => Ok(rows.next(event_len, numbers)),
        }
    }

    /// The one file under all rows, if it is one.
    fn input(&mut self) -> Option<&mut Input> {
        match self {
            Self::Npy(rows) => Some(&mut rows.array.input),
            Self::Idx(rows) => Some(&mut rows.input),
            Self::Cifar10(rows) => Some(&mut rows.input),
            Self::Images(_) | Self::Table(_) => None,
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
/// all values are symbols below `most` levels are left out; `None` if all are such. `progress` hears
/// [`Chunks::progress`] after each chunk.
///
/// # Errors
///
/// Those of [`Chunks::open_as`] and of reading to the end.
pub fn scan_levels(
    path: &Path,
    reading: &Reading,
    most: u16,
    mut progress: impl FnMut((u64, u64)),
) -> Result<Option<u16>> {
    let encoding = Encoding::Symbols { levels: most };
    let reading = Reading { encoding, is_binary: false, ..reading.clone() };
    let mut chunks = Chunks::open_as(path, &reading, 1024)?;
    let mut largest = None;
    while let Some(chunk) = chunks.next() {
        largest = largest.max(chunk?.data.symbols()?.0.iter().copied().max());
        progress(chunks.progress());
    }
    Ok(largest.map(|largest| (u16::from(largest) + 1).max(2)))
}

/// A whole file as events of what was trained on, the rows that could not be read, and what a user should know
/// of how it was matched.
///
/// # Errors
///
/// Those of [`Chunks::open_as`] and of reading to the end; [`Error::Malformed`] if the file is larger than the
/// limit of `reading.table`. Images without a place in the encoding are an error too.
pub fn read_as(path: &Path, reading: &Reading) -> Result<(Dataset, Vec<BadRow>, Vec<String>)> {
    let width: usize = reading.shape.iter().product();
    if !holds_table(path)? {
        let data = read_path(path, &ReadOptions { shape: None, ..reading.options() })?;
        if data.event_len() != width {
            let name = path.display().to_string();
            let expected =
                format!("events of shape {:?} or another of {width} values", reading.shape);
            let found = format!("{:?}, which has {}", data.shape(), data.event_len());
            return Err(Error::inconsistent(name, "shape", expected, found)
                .advise("name data of the kind and size that was trained on"));
        }
        return Ok((data.with_shape(&reading.shape)?, Vec::new(), Vec::new()));
    }
    let chunks = Chunks::open_as(path, reading, (VALUES_OF_A_TABLE / width).max(16))?;
    let remarks = chunks.remarks().to_vec();
    let (whole, bad) = chunks.into_whole(path)?;
    Ok((whole, bad, remarks))
}

/// Values that are read at a time of a table.
const VALUES_OF_A_TABLE: usize = 1 << 20;

/// Whether a file is a table, whose columns have types of their own, and not images: text, Parquet, Arrow, or
/// an array of two axes.
///
/// # Errors
///
/// If it cannot be read, or its format is not known.
pub fn holds_table(path: &Path) -> Result<bool> {
    if path == Path::new("-") {
        return Ok(true);
    }
    if path.is_dir() {
        return Ok(false);
    }
    let mut input = Input::open(path, u64::MAX)?;
    Ok(match format_of(&mut input)? {
        Format::Npy => Array::open(input, Some(1)).is_ok_and(|array| array.axes.len() == 2),
        format => format.is_table(),
    })
}
