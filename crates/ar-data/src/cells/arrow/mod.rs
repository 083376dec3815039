//! Parquet and Arrow IPC: tables that know the types of their columns.
//!
//! | module | what it holds |
//! |---|---|
//! | [`parquet`] | Parquet, a batch of a row group at a time |
//! | [`ipc`] | Arrow IPC, the file (Feather version 2) and the stream, a record batch at a time |
//! | [`cells`] | from Arrow's arrays to cells |
//! | [`pages`], [`thrift`] | what a Parquet file states of its sizes, checked before memory is taken |
//!
//! Only columns that are wanted are decoded, and of a file no more is in memory than one batch. The decoders are
//! those of the Arrow project. They trust the sizes that a file states, so these are checked here first against
//! the file and the memory there is; and they panic on some broken files, which is caught and made an error of.
//!
//! # References
//!
//! Apache Parquet, `parquet-format`; Apache Arrow, "Arrow Columnar Format", section "Serialization and
//! Interprocess Communication".

mod cells;
mod ipc;
mod pages;
mod parquet;
mod thrift;

use super::{Described, Source};
use crate::bytes::MAX_CONTENT_BYTES;
use crate::columns::Sink;
use crate::error::{Error, Flaw, Place, Result};
use crate::memory::available_memory;
use crate::panics::caught;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Schema};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

pub(crate) use ipc::open as open_ipc;
pub use ipc::{StreamContent, stream_content};
pub(crate) use parquet::open as open_parquet;

/// A file of either format.
struct Table {
    path: PathBuf,
    /// Parquet or Arrow IPC.
    format: &'static str,
    /// Bytes of the file.
    size: u64,
    names: Vec<String>,
    types: Vec<DataType>,
}

impl Table {
    fn new(path: &Path, format: &'static str, size: u64) -> Self {
        Self { path: path.to_owned(), format, size, names: Vec::new(), types: Vec::new() }
    }

    /// With columns of a schema.
    fn with(mut self, schema: &Schema) -> Result<Self> {
        if schema.fields().is_empty() {
            return Err(self.malformed(Place::File, Flaw::Empty, "columns", "none"));
        }
        self.names = schema.fields().iter().map(|field| field.name().clone()).collect();
        self.types = schema.fields().iter().map(|field| field.data_type().clone()).collect();
        Ok(self)
    }

    /// The columns that a sink wants.
    ///
    /// # Errors
    ///
    /// When one of them has no cells.
    fn wanted(&self, sink: &Sink) -> Result<Vec<usize>> {
        let wanted: Vec<usize> = (0..self.types.len()).filter(|&at| sink.wants(at)).collect();
        let refused: Vec<usize> =
            wanted.iter().copied().filter(|&at| !cells::has_cells(&self.types[at])).collect();
        let Some(&first) = refused.first() else { return Ok(wanted) };
        let expected = "columns of numbers, truth values, words or times";
        let mut found =
            format!("{:?} of type {}", self.names[first], cells::name(&self.types[first]));
        if refused.len() > 1 {
            found += &format!(" and {} more like it", refused.len() - 1);
        }
        Err(self.malformed(Place::File, Flaw::Unsupported, expected, found).advise(
            "leave such columns out with drop, or save what they hold as columns of their own",
        ))
    }

    fn malformed(
        &self,
        place: Place,
        flaw: Flaw,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Error {
        Error::malformed(&self.path, place, flaw, expected, found)
    }

    /// What a decoder answers about `what`.
    fn decoded<T, E: fmt::Display>(
        &self,
        place: Place,
        what: &str,
        decode: impl FnOnce() -> Result<T, E>,
    ) -> Result<T> {
        // The decoders find most faults of a file but not all: some offsets and counts are used as they stand, and
        // a panic is then the only thing between a broken file and a wrong number.
        let why = match caught(decode) {
            Ok(Ok(decoded)) => return Ok(decoded),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic,
        };
        let mut why = why.as_str();
        for prefix in ["Parquet argument error: ", "Parquet error: "] {
            why = why.strip_prefix(prefix).unwrap_or(why);
        }
        let expected = format!("{} ({what})", self.format);
        Err(self.malformed(place, Flaw::Corrupt, expected, why))
    }

    /// The error about `bytes` that have no room in memory.
    fn too_large(&self, place: Place, what: &str, bytes: u64, limit: u64) -> Error {
        let expected = format!("at most {limit} bytes in {what}");
        self.malformed(place, Flaw::TooLarge, expected, format!("{bytes}"))
            .advise("save the table with fewer rows in each row group or record batch")
    }
}

/// The most memory that decoding may take: half of what there is, as the columns that are made of it need as much.
fn memory_limit() -> u64 {
    available_memory().map_or(MAX_CONTENT_BYTES, |bytes| bytes / 2)
}

/// Opens a regular file, and its size.
fn open_file(path: &Path) -> Result<(File, u64)> {
    let failed = |error| Error::io(path, "open", error);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        let error = std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file");
        return Err(Error::io(path, "read", error));
    }
    Ok((file, metadata.len()))
}

/// Rows of the wanted columns that are in memory, and how many of them a sink has.
#[derive(Default)]
struct Batch {
    /// With the positions of the columns in the file.
    columns: Vec<(usize, ArrayRef)>,
    rows: usize,
    given: usize,
}

impl Batch {
    fn new(wanted: &[usize], columns: &[ArrayRef], rows: usize) -> Self {
        let columns = wanted.iter().copied().zip(columns.iter().cloned()).collect();
        Self { columns, rows, given: 0 }
    }

    fn left(&self) -> usize {
        self.rows - self.given
    }

    /// Gives a sink at most `most` rows, and says how many those were.
    fn give(&mut self, most: usize, sink: &mut Sink) -> usize {
        let count = most.min(self.left());
        for (column, array) in &self.columns {
            let is_whole = count == array.len();
            let slice = if is_whole { array.clone() } else { array.slice(self.given, count) };
            cells::give(sink, *column, &slice);
        }
        sink.end_rows(count);
        self.given += count;
        if self.left() == 0 {
            // What has been given need not wait in memory for the next batch.
            self.columns.clear();
        }
        count
    }
}

/// The batches of a file.
trait Batches {
    /// Settles which columns are read, once and before the first batch.
    fn begin(&mut self, table: &Table, wanted: &[usize]) -> Result<()>;

    /// The next batch, whose columns are those that are wanted.
    fn next(&mut self, table: &Table) -> Result<Option<Batch>>;

    /// The bytes of the file before the batch that came last, and those up to its end.
    fn span(&self, table: &Table) -> (u64, u64);
}

/// A file of either format, from its first row to its last.
struct Reader<B> {
    table: Table,
    batches: B,
    batch: Batch,
    has_begun: bool,
    has_ended: bool,
}

impl<B: Batches> Reader<B> {
    fn new(table: Table, batches: B) -> Self {
        Self { table, batches, batch: Batch::default(), has_begun: false, has_ended: false }
    }
}

impl<B: Batches> Source for Reader<B> {
    fn path(&self) -> &Path {
        &self.table.path
    }

    fn names(&self) -> Option<&[String]> {
        Some(&self.table.names)
    }

    fn width(&self) -> usize {
        self.table.names.len()
    }

    fn describe(&self) -> Described {
        let types = self.table.types.iter().map(cells::name).collect();
        Described::Typed { format: self.table.format, types }
    }

    fn progress(&self) -> (u64, u64) {
        if self.has_ended {
            return (self.table.size, self.table.size);
        }
        let (start, end) = self.batches.span(&self.table);
        (
            start + portion(end - start, self.batch.given as u64, self.batch.rows as u64),
            self.table.size,
        )
    }

    /// The sink of the first call settles which columns are read.
    fn read(&mut self, most: usize, sink: &mut Sink) -> Result<bool> {
        if !self.has_begun {
            let wanted = self.table.wanted(sink)?;
            self.batches.begin(&self.table, &wanted)?;
            self.has_begun = true;
        }
        let mut left = most;
        while left > 0 && !self.has_ended {
            if self.batch.left() == 0 {
                match self.batches.next(&self.table) {
                    Ok(Some(batch)) => self.batch = batch,
                    Ok(None) => self.has_ended = true,
                    Err(error) => {
                        // A decoder is not asked again after it failed.
                        self.has_ended = true;
                        return Err(error);
                    }
                }
                continue;
            }
            left -= self.batch.give(left, sink);
        }
        Ok(!self.has_ended)
    }
}

/// `of`, in proportion to how much `part` is of `whole`.
fn portion(of: u64, part: u64, whole: u64) -> u64 {
    let product = u128::from(of) * u128::from(part.min(whole));
    u64::try_from(product / u128::from(whole.max(1))).unwrap_or(of)
}

#[cfg(test)]
mod tests;
