//! Arrow IPC, a record batch at a time.
//!
//! ```text
//! stream:  message of the schema, then messages of dictionaries and record batches, and an end
//! file:    "ARROW1" and two zeros, a stream, a footer (the schema, and where the messages are),
//!          the length of the footer as a little-endian i32, "ARROW1"
//! message: 0xffffffff (not in files before 2019), length of the metadata as a little-endian i32,
//!          metadata, body
//! ```
//!
//! A record batch is as long as it was saved. Its buffers may be compressed, each by itself, with lz4 or zstd.

use super::{Batch, Batches, Reader, Table, cells, memory_limit, open_file};
use crate::cells::Source;
use crate::error::{Error, Flaw, Place, Result, shown};
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::FileDecoder;
use arrow_ipc::{Block, Message, MessageHeader, root_as_footer, root_as_message};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

const MAGIC: &[u8; 6] = b"ARROW1";

/// Of the first version of Feather, which is another format.
const FEATHER_1: &[u8; 4] = b"FEA1";

/// Bytes before the first message of a file, and at its end: the length of the footer, and the magic.
const HEAD_BYTES: u64 = 8;
const TAIL_BYTES: u64 = 10;

/// Before the length of the metadata of a message.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Opens a file of Arrow IPC, of either kind.
///
/// # Errors
///
/// When the system refuses, or the file does not begin with the schema of a table.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Source>> {
    open_within(path, memory_limit())
}

/// The same with messages that take at most `limit` bytes of memory.
pub(super) fn open_within(path: &Path, limit: u64) -> Result<Box<dyn Source>> {
    let (mut file, size) = open_file(path)?;
    let table = Table::new(path, "Arrow IPC", size);
    let io = |error| Error::io(path, "read", error);
    let mut start = Vec::new();
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start).map_err(io)?;
    if start.is_empty() {
        return Err(table.malformed(Place::File, Flaw::Empty, "Arrow IPC", "no bytes"));
    }
    if start.starts_with(FEATHER_1) {
        let expected = "Feather of version 2, which is Arrow IPC";
        return Err(table
            .malformed(Place::Byte(0), Flaw::Unsupported, expected, "version 1")
            .advise("save the table again, as version 2 or as Parquet"));
    }
    let mut messages = Messages { file, limit, at: 0, listed: None };
    let (schema, version) = if start == MAGIC {
        let (schema, version, blocks) = messages.footer(&table)?;
        messages.listed = Some(blocks.into_iter());
        (schema, version)
    } else {
        let Some((block, buffer)) = messages.next(&table)? else {
            let expected = "a message of the schema";
            return Err(table.malformed(Place::Byte(0), Flaw::Truncated, expected, "the end"));
        };
        let place = Place::Byte(block.offset().unsigned_abs());
        let message = message(&table, place, &buffer)?;
        let Some(schema) = message.header_as_schema() else {
            let found = format!("one of {:?}", message.header_type());
            return Err(table.malformed(place, Flaw::WrongMagic, "a message of the schema", found));
        };
        (schema_of(&table, place, schema)?, message.version())
    };
    let table = table.with(&schema)?;
    let decoder = FileDecoder::new(Arc::clone(&schema), version);
    let batches = Ipc {
        messages,
        decoder,
        schema,
        version,
        wanted: Vec::new(),
        is_all_null: false,
        span: (0, 0),
    };
    Ok(Box::new(Reader::new(table, batches)))
}

/// The message that a buffer begins with.
fn message<'b>(table: &Table, place: Place, buffer: &'b [u8]) -> Result<Message<'b>> {
    let length = if buffer.starts_with(&CONTINUATION) { 8 } else { 4 };
    let metadata = buffer.get(length..).unwrap_or(&[]);
    table.decoded(place, "a message", || root_as_message(metadata))
}

fn schema_of(table: &Table, place: Place, schema: arrow_ipc::Schema<'_>) -> Result<SchemaRef> {
    if !schema.endianness().equals_to_target_endianness() {
        let expected = "numbers in the byte order of this machine";
        return Err(table.malformed(place, Flaw::Unsupported, expected, "the other order"));
    }
    let schema: Schema = table.decoded(place, "a schema", || try_fb_to_schema(schema))?;
    Ok(Arc::new(schema))
}

/// The messages of a file, each as it is stored.
struct Messages {
    file: File,
    /// The most bytes of memory that a message may take.
    limit: u64,
    /// Where the next message of a stream begins.
    at: u64,
    /// Where messages are in a file that has a list of them.
    listed: Option<std::vec::IntoIter<Block>>,
}

impl Messages {
    /// The schema of a file, its version and where its dictionaries and record batches are, in this order.
    fn footer(
        &mut self,
        table: &Table,
    ) -> Result<(SchemaRef, arrow_ipc::MetadataVersion, Vec<Block>)> {
        let io = |error| Error::io(&table.path, "read", error);
        if table.size < HEAD_BYTES + TAIL_BYTES {
            let (expected, found) = ("a footer".to_owned(), format!("{} bytes", table.size));
            return Err(table.malformed(Place::File, Flaw::Truncated, expected, found));
        }
        let mut tail = [0; TAIL_BYTES as usize];
        self.file.seek(SeekFrom::End(-(TAIL_BYTES as i64))).map_err(io)?;
        self.file.read_exact(&mut tail).map_err(io)?;
        let [a, b, c, d, magic @ ..] = tail;
        if &magic != MAGIC {
            let place = Place::Byte(table.size - MAGIC.len() as u64);
            return Err(table.malformed(place, Flaw::Truncated, "ARROW1", shown(&magic)));
        }
        let most = table.size - HEAD_BYTES - TAIL_BYTES;
        let length = i32::from_le_bytes([a, b, c, d]);
        let Some(bytes) = u64::try_from(length).ok().filter(|&bytes| bytes <= most) else {
            let place = Place::Byte(table.size - TAIL_BYTES);
            let expected = format!("a footer of at most {most} bytes");
            return Err(table.malformed(place, Flaw::Truncated, expected, length.to_string()));
        };
        let start = table.size - TAIL_BYTES - bytes;
        let place = Place::Byte(start);
        let buffer = self.load(table, start, bytes, "the footer")?;
        let footer = table.decoded(place, "the footer", || root_as_footer(&buffer))?;
        let Some(schema) = footer.schema() else {
            return Err(table.malformed(place, Flaw::Corrupt, "a schema in the footer", "none"));
        };
        let schema = schema_of(table, place, schema)?;
        let dictionaries = footer.dictionaries().into_iter().flatten();
        let blocks: Vec<Block> =
            dictionaries.chain(footer.recordBatches().into_iter().flatten()).copied().collect();
        for block in &blocks {
            let end = u64::try_from(block.offset()).ok().zip(bytes_of(block));
            let end = end.and_then(|(offset, bytes)| offset.checked_add(bytes));
            if end.is_none_or(|end| end > start) {
                let expected = format!("messages before byte {start}, where the footer begins");
                let found = format!(
                    "one from byte {} with {} bytes of metadata and {} of body",
                    block.offset(),
                    block.metaDataLength(),
                    block.bodyLength()
                );
                return Err(table.malformed(place, Flaw::Corrupt, expected, found));
            }
        }
        Ok((schema, footer.version(), blocks))
    }

    /// The next message, and where it is; none after the last.
    fn next(&mut self, table: &Table) -> Result<Option<(Block, Buffer)>> {
        let block = match &mut self.listed {
            Some(blocks) => blocks.next(),
            None => self.find(table)?,
        };
        let Some(block) = block else { return Ok(None) };
        let start = block.offset().unsigned_abs();
        let bytes = bytes_of(&block).unwrap_or(0);
        let buffer = self.load(table, start, bytes, "a record batch")?;
        self.at = start + bytes;
        Ok(Some((block, buffer)))
    }

    /// Where the next message of a stream is.
    fn find(&mut self, table: &Table) -> Result<Option<Block>> {
        let place = Place::Byte(self.at);
        let left = table.size - self.at;
        if left == 0 {
            // The end of a stream may be that of the file.
            return Ok(None);
        }
        let truncated = |what: &str, bytes: u64| {
            let (expected, found) = (format!("{bytes} bytes of {what}"), left.to_string());
            table.malformed(place, Flaw::Truncated, expected, found)
        };
        let mut prefix = 4;
        let length = loop {
            if left < prefix {
                return Err(truncated("the length of a message", prefix));
            }
            let buffer = self.load(table, self.at, prefix, "a message")?;
            match buffer.last_chunk() {
                Some(&CONTINUATION) if prefix == 4 => prefix = 8,
                last => break i32::from_le_bytes(*last.unwrap_or(&[0; 4])),
            }
        };
        if length == 0 {
            return match left - prefix {
                0 => Ok(None),
                more => {
                    let place = Place::Byte(self.at + prefix);
                    let expected = "the end of the file after the end of the stream";
                    Err(table.malformed(place, Flaw::Oversized, expected, format!("{more} bytes")))
                }
            };
        }
        let Ok(bytes) = u64::try_from(length) else {
            let found = length.to_string();
            let expected = "the length of a message";
            let flaw = if self.at == 0 { Flaw::WrongMagic } else { Flaw::Corrupt };
            return Err(table.malformed(place, flaw, expected, found));
        };
        let metadata = prefix + bytes;
        if left < metadata {
            return Err(truncated("a message", metadata));
        }
        let buffer = self.load(table, self.at, metadata, "a message")?;
        let body = message(table, place, &buffer)?.bodyLength();
        match u64::try_from(body).ok().and_then(|body| metadata.checked_add(body)) {
            Some(all) if all <= left => {
                let metadata = i32::try_from(metadata).unwrap_or(i32::MAX);
                Ok(Some(Block::new(self.at.cast_signed(), metadata, body)))
            }
            _ => Err(truncated("the body of a message", body.unsigned_abs())),
        }
    }

    /// Bytes of the file that are in it.
    fn load(&mut self, table: &Table, start: u64, bytes: u64, what: &str) -> Result<Buffer> {
        if bytes > self.limit {
            return Err(table.too_large(Place::Byte(start), what, bytes, self.limit));
        }
        let failed = |error| Error::io(&table.path, "read", error);
        let buffer = MutableBuffer::try_from_len_zeroed(bytes as usize);
        let mut buffer = buffer.map_err(|_| failed(io::ErrorKind::OutOfMemory.into()))?;
        self.file.seek(SeekFrom::Start(start)).map_err(failed)?;
        self.file.read_exact(&mut buffer).map_err(failed)?;
        Ok(buffer.into())
    }

    /// Checks what the header of a record batch says against its body: counts, places and sizes in memory.
    fn check(
        &self,
        table: &Table,
        place: Place,
        batch: arrow_ipc::RecordBatch<'_>,
        body: &[u8],
        is_all_null: bool,
    ) -> Result<()> {
        let corrupt = |expected: &str, found: String| {
            Err(table.malformed(place, Flaw::Corrupt, expected, found))
        };
        let is_compressed = batch.compression().is_some();
        let mut content: u64 = 0;
        for buffer in batch.buffers().into_iter().flatten() {
            let start = usize::try_from(buffer.offset()).ok();
            let bytes = start.zip(usize::try_from(buffer.length()).ok());
            let bytes =
                bytes.and_then(|(start, length)| body.get(start..start.checked_add(length)?));
            let Some(bytes) = bytes else {
                let found = format!("{} from byte {} of it", buffer.length(), buffer.offset());
                return corrupt("buffers inside the body of a message", found);
            };
            let stored = bytes.len() as u64;
            // Before its content a compressed buffer says how many bytes that has, or -1 if it is not compressed.
            let of_buffer = match bytes.first_chunk() {
                Some(stated) if is_compressed => match i64::from_le_bytes(*stated) {
                    -1 => stored,
                    stated => u64::try_from(stated).unwrap_or(u64::MAX),
                },
                _ => stored,
            };
            content = content.saturating_add(of_buffer);
        }
        let all = content.saturating_add(body.len() as u64);
        if is_compressed && all > self.limit {
            return Err(table.too_large(place, "a record batch", all, self.limit));
        }
        let nodes = batch.nodes().into_iter().flatten();
        let nodes = nodes.map(|node| (node.length(), node.null_count()));
        for (length, nulls) in nodes.chain([(batch.length(), 0)]) {
            if length < 0 || nulls < 0 || nulls > length {
                let found = format!("{length} rows, {nulls} of them null");
                return corrupt("a number of rows", found);
            }
        }
        // A value takes a bit or more, but for null.
        if batch.length().unsigned_abs() / 8 > content && !is_all_null {
            let found = format!("{} rows in {content} bytes", batch.length());
            return corrupt("at most 8 rows in a byte", found);
        }
        Ok(())
    }
}

fn bytes_of(block: &Block) -> Option<u64> {
    let metadata = u64::try_from(block.metaDataLength()).ok().filter(|&bytes| bytes >= 8)?;
    metadata.checked_add(u64::try_from(block.bodyLength()).ok()?)
}

/// The record batches of a file.
struct Ipc {
    messages: Messages,
    decoder: FileDecoder,
    schema: SchemaRef,
    version: arrow_ipc::MetadataVersion,
    wanted: Vec<usize>,
    /// Whether no wanted column has values.
    is_all_null: bool,
    span: (u64, u64),
}

impl Batches for Ipc {
    fn begin(&mut self, table: &Table, wanted: &[usize]) -> Result<()> {
        wanted.clone_into(&mut self.wanted);
        self.is_all_null = wanted.iter().all(|&column| table.types[column] == DataType::Null);
        self.decoder = FileDecoder::new(Arc::clone(&self.schema), self.version)
            .with_projection(self.wanted.clone());
        Ok(())
    }

    fn next(&mut self, table: &Table) -> Result<Option<Batch>> {
        loop {
            let Some((block, buffer)) = self.messages.next(table)? else { return Ok(None) };
            let start = block.offset().unsigned_abs();
            let place = Place::Byte(start);
            let message = message(table, place, &buffer)?;
            let body = buffer.get(block.metaDataLength().unsigned_abs() as usize..).unwrap_or(&[]);
            match message.header_type() {
                MessageHeader::DictionaryBatch => {
                    let batch = message.header_as_dictionary_batch().and_then(|batch| batch.data());
                    if let Some(batch) = batch {
                        self.messages.check(table, place, batch, body, false)?;
                    }
                    let decoder = &mut self.decoder;
                    table.decoded(place, "a dictionary", || {
                        decoder.read_dictionary(&block, &buffer)
                    })?;
                }
                MessageHeader::RecordBatch => {
                    if let Some(batch) = message.header_as_record_batch() {
                        self.messages.check(table, place, batch, body, self.is_all_null)?;
                    }
                    let decoded = table.decoded(
                        place,
                        "a record batch",
                        || -> std::result::Result<_, ArrowError> {
                            let Some(batch) = self.decoder.read_record_batch(&block, &buffer)?
                            else {
                                return Ok(None);
                            };
                            cells::plain(&batch).map(Some)
                        },
                    )?;
                    self.span = (start, self.messages.at);
                    if let Some((columns, rows)) = decoded {
                        return Ok(Some(Batch::new(&self.wanted, &columns, rows)));
                    }
                }
                other => {
                    let expected = "a message of a dictionary or a record batch";
                    let found = format!("one of {other:?}");
                    return Err(table.malformed(place, Flaw::Corrupt, expected, found));
                }
            }
        }
    }

    fn span(&self, _: &Table) -> (u64, u64) {
        self.span
    }
}
/// What the messages of an Arrow stream say of it, before any of it is decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamContent {
    /// Rows of all batches.
    pub rows: u64,
    /// Whether a batch is compressed, so that nothing says how much it will be.
    pub is_compressed: bool,
}

/// Looks through an Arrow stream in memory; `None` where it is none, or ends early.
pub fn stream_content(bytes: &[u8]) -> Option<StreamContent> {
    let mut content = StreamContent::default();
    let mut rest = bytes;
    let length = |rest: &mut &[u8]| -> Option<usize> {
        let (four, after) = rest.split_first_chunk()?;
        *rest = after;
        Some(u32::from_le_bytes(*four) as usize)
    };
    loop {
        // Before version 0.15 there was no mark before the length.
        let size = match length(&mut rest) {
            None => return Some(content),
            Some(0xffff_ffff) => length(&mut rest)?,
            Some(size) => size,
        };
        if size == 0 {
            return Some(content);
        }
        let message = root_as_message(rest.get(..size)?).ok()?;
        let batch = match message.header_type() {
            MessageHeader::RecordBatch => message.header_as_record_batch(),
            MessageHeader::DictionaryBatch => message.header_as_dictionary_batch()?.data(),
            _ => None,
        };
        if let Some(batch) = batch {
            content.rows = content.rows.checked_add(u64::try_from(batch.length()).ok()?)?;
            content.is_compressed |= batch.compression().is_some();
        }
        let body = usize::try_from(message.bodyLength()).ok()?;
        rest = rest.get(size.checked_add(body)?..)?;
    }
}
