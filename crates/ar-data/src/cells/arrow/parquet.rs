//! Parquet, a batch of a row group at a time.
//!
//! ```text
//! "PAR1"
//! for each row group, for each column: pages, the first of which may be a dictionary of the others
//! metadata: the schema, and where the columns of each row group are
//! length of the metadata, little-endian u32
//! "PAR1"
//! ```
//!
//! Row groups are read one after the other, and of each a batch of some MiB of all wanted columns at a time. Words
//! that are stored as places in a dictionary come as such, others as views of the page they stand in, so that no
//! word is copied on its way to a cell.

use super::pages::{Budget, Group};
use super::{Batch, Batches, Reader, Table, cells, memory_limit, open_file, portion, thrift};
use crate::cells::Source;
use crate::error::{Error, Flaw, Place, Result, shown};
use ::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
};
use ::parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels};
use ::parquet::basic::{Compression, Encoding, Type};
use ::parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetStatisticsPolicy, RowGroupMetaData,
};
use arrow_schema::{ArrowError, DataType, Field, Fields, SchemaRef};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

const MAGIC: &[u8; 4] = b"PAR1";

/// Of a file whose metadata is encrypted.
const ENCRYPTED_MAGIC: &[u8; 4] = b"PARE";

/// Bytes at the end: the length of the metadata, and the magic.
const TAIL_BYTES: u64 = 8;

/// Bytes of decoded values that a batch is to have.
const BATCH_BYTES: usize = 8 << 20;

/// Rows beyond which a batch of few columns gains nothing.
const MOST_BATCH_ROWS: usize = 1 << 16;

/// Opens a Parquet file.
///
/// # Errors
///
/// When the system refuses, or the metadata is not that of a table.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Source>> {
    open_within(path, memory_limit())
}

/// The same with decoding that takes at most `limit` bytes of memory.
pub(super) fn open_within(path: &Path, limit: u64) -> Result<Box<dyn Source>> {
    let (mut file, size) = open_file(path)?;
    let table = Table::new(path, "Parquet", size);
    check_metadata(&table, &mut file, limit)?;
    // Least and largest values of columns are of no use here.
    let options = ArrowReaderOptions::new()
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll);
    let loaded =
        table.decoded(Place::File, "the metadata", || ArrowReaderMetadata::load(&file, options))?;
    let table = table.with(loaded.schema())?;
    let metadata = Arc::clone(loaded.metadata());
    let mut rows: u64 = 0;
    for (index, group) in metadata.row_groups().iter().enumerate() {
        let of_group = u64::try_from(group.num_rows()).ok();
        rows = of_group.and_then(|of_group| rows.checked_add(of_group)).ok_or_else(|| {
            let expected = format!("a number of rows of row group {}", index + 1);
            table.malformed(Place::File, Flaw::Corrupt, expected, group.num_rows().to_string())
        })?;
    }
    let stated = metadata.file_metadata().num_rows();
    if u64::try_from(stated) != Ok(rows) {
        let expected = format!("{rows} rows, as the row groups have");
        return Err(table.malformed(Place::File, Flaw::Corrupt, expected, stated.to_string()));
    }
    let groups = Groups {
        file: Arc::new(file),
        schema: Arc::clone(loaded.schema()),
        budget: Arc::new(Budget::new(path.to_owned(), limit)),
        metadata,
        wanted: Vec::new(),
        leaves: Vec::new(),
        batch_rows: 1,
        levels: None,
        next_group: 0,
        reader: None,
        left: 0,
        rows,
        before: 0,
        last: 0,
    };
    Ok(Box::new(Reader::new(table, groups)))
}

/// Checks what stands around the metadata, and the shape of the schema in it.
fn check_metadata(table: &Table, file: &mut File, limit: u64) -> Result<()> {
    let io = |error| Error::io(&table.path, "read", error);
    let mut magic = [0; 4];
    let mut tail = [0; TAIL_BYTES as usize];
    let least = MAGIC.len() as u64 + TAIL_BYTES;
    if table.size < least {
        let expected = format!("{least} bytes or more");
        return Err(table.malformed(
            Place::File,
            Flaw::Truncated,
            expected,
            table.size.to_string(),
        ));
    }
    file.read_exact(&mut magic).map_err(io)?;
    file.seek(SeekFrom::End(-(TAIL_BYTES as i64))).map_err(io)?;
    file.read_exact(&mut tail).map_err(io)?;
    let [a, b, c, d, end @ ..] = tail;
    if &end == ENCRYPTED_MAGIC {
        let expected = "a file that is not encrypted";
        return Err(table.malformed(Place::File, Flaw::Unsupported, expected, "an encrypted one"));
    }
    let at_end = table.size - MAGIC.len() as u64;
    for (found, at, flaw) in [(magic, 0, Flaw::WrongMagic), (end, at_end, Flaw::Truncated)] {
        if &found != MAGIC {
            return Err(table.malformed(Place::Byte(at), flaw, "PAR1", shown(&found)));
        }
    }
    let bytes = u64::from(u32::from_le_bytes([a, b, c, d]));
    let most = table.size - least;
    if bytes > most {
        let expected = format!("metadata of at most {most} bytes");
        let place = Place::Byte(table.size - TAIL_BYTES);
        return Err(table.malformed(place, Flaw::Truncated, expected, bytes.to_string()));
    }
    // Decoded metadata takes some times the memory that it takes in the file.
    if bytes.saturating_mul(16) > limit {
        return Err(table.too_large(Place::File, "the metadata", bytes, limit / 16));
    }
    let start = table.size - TAIL_BYTES - bytes;
    let mut metadata = vec![0; bytes as usize];
    file.seek(SeekFrom::Start(start)).map_err(io)?;
    file.read_exact(&mut metadata).map_err(io)?;
    thrift::check_schema(&metadata).map_err(|error| {
        let expected = "a schema in the metadata";
        table.malformed(Place::Byte(start), Flaw::Corrupt, expected, error.to_string())
    })
}

/// The row groups of a file.
struct Groups {
    file: Arc<File>,
    metadata: Arc<ParquetMetaData>,
    schema: SchemaRef,
    budget: Arc<Budget>,
    wanted: Vec<usize>,
    /// Of each wanted column: where its pages are among those of all parts of all columns.
    leaves: Vec<usize>,
    batch_rows: usize,
    /// How the wanted columns are decoded, and which of them as dictionaries.
    levels: Option<(Vec<bool>, FieldLevels)>,
    next_group: usize,
    reader: Option<ParquetRecordBatchReader>,
    /// Rows of the row group that are still to come.
    left: u64,
    /// Rows of the file, those before the batch that came last, and those in it.
    rows: u64,
    before: u64,
    last: u64,
}

impl Batches for Groups {
    fn begin(&mut self, table: &Table, wanted: &[usize]) -> Result<()> {
        let descriptor = self.metadata.file_metadata().schema_descr();
        let mut leaf_of = vec![0; table.types.len()];
        for leaf in (0..descriptor.num_columns()).rev() {
            if let Some(of) = leaf_of.get_mut(descriptor.get_column_root_idx(leaf)) {
                *of = leaf;
            }
        }
        wanted.clone_into(&mut self.wanted);
        self.leaves = wanted.iter().map(|&column| leaf_of[column]).collect();
        let of_row: usize = wanted.iter().map(|&column| bytes_of(&table.types[column])).sum();
        self.batch_rows = (BATCH_BYTES / of_row.max(1)).clamp(1, MOST_BATCH_ROWS);
        Ok(())
    }

    fn next(&mut self, table: &Table) -> Result<Option<Batch>> {
        loop {
            let Some(reader) = &mut self.reader else {
                match self.metadata.row_groups().get(self.next_group) {
                    None => return Ok(None),
                    // It need not have pages.
                    Some(group) if group.num_rows() == 0 => self.next_group += 1,
                    Some(_) => self.open_group(table)?,
                }
                continue;
            };
            let place = Place::File;
            let what = format!("rows from {} on", self.before + self.last + 1);
            let decoded = table.decoded(place, &what, || -> std::result::Result<_, ArrowError> {
                let Some(batch) = reader.next().transpose()? else { return Ok(None) };
                cells::plain(&batch).map(Some)
            });
            match decoded.map_err(|error| self.budget.complaint().unwrap_or(error))? {
                Some((columns, rows)) if rows as u64 <= self.left => {
                    self.left -= rows as u64;
                    self.before += self.last;
                    self.last = rows as u64;
                    return Ok(Some(Batch::new(&self.wanted, &columns, rows)));
                }
                None if self.left == 0 => self.reader = None,
                _ => {
                    let of = self.metadata.row_group(self.next_group - 1).num_rows();
                    let expected = format!("{of} rows in row group {}", self.next_group);
                    return Err(table.malformed(place, Flaw::Corrupt, expected, "others"));
                }
            }
        }
    }

    fn span(&self, table: &Table) -> (u64, u64) {
        let bytes = |rows| portion(table.size, rows, self.rows);
        (bytes(self.before), bytes(self.before + self.last))
    }
}

impl Groups {
    fn open_group(&mut self, table: &Table) -> Result<()> {
        let metadata = Arc::clone(&self.metadata);
        let group = metadata.row_group(self.next_group);
        let mut are_coded = Vec::with_capacity(self.wanted.len());
        for (&column, &leaf) in self.wanted.iter().zip(&self.leaves) {
            let chunk = self.check_chunk(table, group, column, leaf)?;
            are_coded.push(is_coded(chunk));
        }
        let known = self.levels.take().filter(|(of, _)| *of == are_coded);
        let (are_coded, levels) = match known {
            Some(levels) => levels,
            None => {
                let levels =
                    table.decoded(Place::File, "the schema", || self.levels(&are_coded))?;
                (are_coded, levels)
            }
        };
        let rows = Group {
            file: Arc::clone(&self.file),
            metadata: Arc::clone(&self.metadata),
            group: self.next_group,
            budget: Arc::clone(&self.budget),
        };
        let what = format!("row group {}", self.next_group + 1);
        let reader = table.decoded(Place::File, &what, || {
            ParquetRecordBatchReader::try_new_with_row_groups(&levels, &rows, self.batch_rows, None)
        })?;
        self.levels = Some((are_coded, levels));
        self.reader = Some(reader);
        self.left = group.num_rows().unsigned_abs();
        self.next_group += 1;
        Ok(())
    }

    /// How the wanted columns are decoded.
    fn levels(&self, are_coded: &[bool]) -> ::parquet::errors::Result<FieldLevels> {
        let descriptor = self.metadata.file_metadata().schema_descr();
        let mut fields: Vec<Field> =
            self.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        for ((&column, &leaf), &is_coded) in self.wanted.iter().zip(&self.leaves).zip(are_coded) {
            let is_bytes = descriptor.column(leaf).physical_type() == Type::BYTE_ARRAY;
            let field = &mut fields[column];
            if let Some(of) = decoded_as(field.data_type(), is_bytes, is_coded) {
                field.set_data_type(of);
            }
        }
        let mask = ProjectionMask::roots(descriptor, self.wanted.iter().copied());
        parquet_to_arrow_field_levels(descriptor, mask, Some(&Fields::from(fields)))
    }

    /// The pages of a wanted column in a row group, if they are in this file and of a codec that is read.
    fn check_chunk<'g>(
        &self,
        table: &Table,
        group: &'g RowGroupMetaData,
        column: usize,
        leaf: usize,
    ) -> Result<&'g ColumnChunkMetaData> {
        let refuse = |flaw, expected: &str, found: String| {
            let (name, group) = (&table.names[column], self.next_group + 1);
            let found = format!("{found} for column {name:?} in row group {group}");
            table.malformed(Place::File, flaw, expected, found)
        };
        let Some(chunk) = group.columns().get(leaf) else {
            return Err(refuse(Flaw::Corrupt, "pages", "none".to_owned()));
        };
        if let Some(file) = chunk.file_path() {
            let found = format!("pages in {file:?}");
            return Err(refuse(Flaw::Unsupported, "pages in the same file", found));
        }
        if let codec @ (Compression::BROTLI(_) | Compression::LZO) = chunk.compression() {
            let expected = "compression by snappy, zstd, gzip, lz4 or none";
            let codec = if codec == Compression::LZO { "lzo" } else { "brotli" };
            return Err(refuse(Flaw::Unsupported, expected, codec.to_owned())
                .advise("save the table with zstd or snappy"));
        }
        let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
        let end = start.checked_add(chunk.compressed_size());
        let is_inside = start >= MAGIC.len() as i64
            && chunk.compressed_size() >= 0
            && end.is_some_and(|end| end.unsigned_abs() <= table.size);
        if !is_inside {
            let found = format!("{} bytes from byte {start}", chunk.compressed_size());
            return Err(refuse(Flaw::Corrupt, "pages inside the file", found));
        }
        Ok(chunk)
    }
}

/// Whether all values of a column in a row group are places in its dictionary.
fn is_coded(chunk: &ColumnChunkMetaData) -> bool {
    chunk.dictionary_page_offset().is_some()
        && chunk.page_encoding_stats_mask().is_some_and(|of| {
            of.is_only(Encoding::RLE_DICTIONARY) || of.is_only(Encoding::PLAIN_DICTIONARY)
        })
}

/// The type that a column is decoded to, where it is another than the one it was saved from: words as they lie in
/// the file, and values of dictionaries that are no words as what they are.
fn decoded_as(of: &DataType, is_bytes: bool, is_coded: bool) -> Option<DataType> {
    let (word, view) = match of {
        DataType::Dictionary(_, values) => {
            let plain = values.as_ref().clone();
            return Some(decoded_as(values, is_bytes, is_coded).unwrap_or(plain));
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if is_bytes => {
            (DataType::Utf8, DataType::Utf8View)
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView if is_bytes => {
            (DataType::Binary, DataType::BinaryView)
        }
        _ => return None,
    };
    match is_coded {
        true => Some(DataType::Dictionary(DataType::Int32.into(), word.into())),
        false => Some(view),
    }
}

/// The bytes that a decoded value takes.
fn bytes_of(of: &DataType) -> usize {
    match of {
        DataType::Boolean | DataType::Null => 1,
        // Short integers are four bytes in the file.
        of => of.primitive_width().map_or(16, |bytes| bytes.max(4)),
    }
}
