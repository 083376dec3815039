//! The pages of a Parquet file, none of which is decoded before the memory it takes is known.
//!
//! The decoder takes as much memory as the header of a page says: for the page, for the entries of a dictionary, and
//! for the lengths of words that are written as differences. A [`Checked`] reader stands before it, reads each header
//! first and refuses the page whose numbers cannot be. All readers of a row group share a [`Budget`].

use super::thrift::{PageHeader, PageKind};
use crate::error::{Error, Flaw, Place};
use flate2::read::MultiGzDecoder;
use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The most that a byte of the codecs becomes whose output has no bound of its own.
const GZIP_MAX_RATIO: u64 = 1032;
const LZ4_MAX_RATIO: u64 = 255;

/// The memory that pages may take, and what is wrong with one that may not.
pub(super) struct Budget {
    path: PathBuf,
    limit: u64,
    /// Bytes of the pages that are in memory.
    held: AtomicU64,
    complaint: Mutex<Option<Error>>,
}

impl Budget {
    pub(super) fn new(path: PathBuf, limit: u64) -> Self {
        Self { path, limit, held: AtomicU64::new(0), complaint: Mutex::new(None) }
    }

    /// What was wrong with a page, where it was not the decoder that failed.
    pub(super) fn complaint(&self) -> Option<Error> {
        self.complaint.lock().ok()?.take()
    }
}

/// One row group of a file.
pub(super) struct Group {
    pub(super) file: Arc<File>,
    pub(super) metadata: Arc<ParquetMetaData>,
    pub(super) group: usize,
    pub(super) budget: Arc<Budget>,
}

impl RowGroups for Group {
    fn num_rows(&self) -> usize {
        usize::try_from(self.metadata.row_group(self.group).num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let group = self.metadata.row_group(self.group);
        let chunk = group.column(column);
        let reader = Checked::new(&self.file, chunk, self.num_rows(), &self.budget)?;
        Ok(Box::new(Once(Some(Box::new(reader)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.metadata.row_group(self.group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// The pages of one column of one row group.
struct Once(Option<Box<dyn PageReader>>);

impl Iterator for Once {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for Once {}

/// Reads the pages of a column that is no list.
struct Checked {
    pages: SerializedPageReader<File>,
    file: Arc<File>,
    budget: Arc<Budget>,
    /// The name of the column.
    column: String,
    codec: Compression,
    /// The least bytes that an entry of a dictionary takes.
    width: u64,
    can_be_null: bool,
    /// Rows of the row group.
    rows: u64,
    /// Where the next header is, and where the last page ends.
    at: u64,
    end: u64,
    /// Bytes in memory of the dictionary and of the page that came last.
    held: [u64; 2],
}

impl Checked {
    fn new(
        file: &Arc<File>,
        chunk: &ColumnChunkMetaData,
        rows: usize,
        budget: &Arc<Budget>,
    ) -> Result<Self> {
        let (at, bytes) = chunk.byte_range();
        let descriptor = chunk.column_descr();
        let width = match descriptor.physical_type() {
            Type::BOOLEAN => 1,
            Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
            Type::INT64 | Type::DOUBLE => 8,
            Type::INT96 => 12,
            Type::FIXED_LEN_BYTE_ARRAY => {
                u64::try_from(descriptor.type_length()).unwrap_or(1).max(1)
            }
        };
        Ok(Self {
            pages: SerializedPageReader::new(Arc::clone(file), chunk, rows, None)?,
            file: Arc::clone(file),
            budget: Arc::clone(budget),
            column: descriptor.name().to_owned(),
            codec: chunk.compression(),
            width,
            can_be_null: descriptor.max_def_level() > 0,
            rows: rows as u64,
            at,
            end: at.saturating_add(bytes),
            held: [0; 2],
        })
    }

    /// Leaves a complaint about the page at `at`, and an error for the decoder to end with.
    fn complain(&self, at: u64, flaw: Flaw, expected: String, found: String) -> ParquetError {
        let expected = format!("{expected} in column {:?}", self.column);
        let mut error = Error::malformed(&self.budget.path, Place::Byte(at), flaw, expected, found);
        if flaw == Flaw::TooLarge {
            error = error.advise("save the table with smaller row groups, or smaller pages");
        }
        if let Ok(mut complaint) = self.budget.complaint.lock() {
            *complaint = Some(error);
        }
        ParquetError::General("a page was refused".to_owned())
    }

    /// Checks the header of the next page.
    fn admit(&mut self) -> Result<()> {
        loop {
            if self.at >= self.end {
                return Ok(());
            }
            let at = self.at;
            let left = self.end - at;
            let header =
                self.file.get_read(at).and_then(|read| Ok(PageHeader::read(read.take(left))?));
            let header = header.map_err(|error| {
                self.complain(at, Flaw::Corrupt, "the header of a page".into(), error.to_string())
            })?;
            if header.stored > left - header.bytes.min(left) {
                let expected = format!("a page of at most {left} bytes");
                let found = header.stored.to_string();
                return Err(self.complain(at, Flaw::Truncated, expected, found));
            }
            self.at += header.bytes + header.stored;
            // The decoder passes over these.
            if header.kind != PageKind::Index {
                return self.check(at, &header);
            }
        }
    }

    fn check(&mut self, at: u64, header: &PageHeader) -> Result<()> {
        let limit = self.budget.limit;
        let is_dictionary = header.kind == PageKind::Dictionary;
        let (most, of) = match is_dictionary {
            true => (header.content / self.width, "entries of a dictionary"),
            false => (self.rows, "values of a page"),
        };
        if header.values > most {
            let (expected, found) = (format!("at most {most} {of}"), header.values.to_string());
            return Err(self.complain(at, Flaw::Corrupt, expected, found));
        }
        // The decoder copies the entries of a dictionary, and takes two lengths of four bytes for a word.
        let of_values = if is_dictionary { header.content } else { 8 * header.values };
        let held = header.stored.saturating_add(header.content).saturating_add(of_values);
        let before = std::mem::replace(&mut self.held[usize::from(!is_dictionary)], held);
        let all = self.budget.held.fetch_add(held.wrapping_sub(before), Ordering::Relaxed);
        let all = all.wrapping_add(held).wrapping_sub(before);
        if all > limit {
            let expected = format!("at most {limit} bytes of pages at a time");
            return Err(self.complain(at, Flaw::TooLarge, expected, all.to_string()));
        }
        self.check_content(at, header)
    }

    /// Checks that a page of a codec without bounds has no more content than it states.
    fn check_content(&self, at: u64, header: &PageHeader) -> Result<()> {
        let ratio = match self.codec {
            Compression::GZIP(_) => GZIP_MAX_RATIO,
            Compression::LZ4 => LZ4_MAX_RATIO,
            _ => return Ok(()),
        };
        let most = header.stored.saturating_mul(ratio);
        if most <= self.budget.limit.saturating_sub(self.budget.held.load(Ordering::Relaxed)) {
            return Ok(());
        }
        let complain = |expected: String, found: String| {
            Err(self.complain(at, Flaw::TooLarge, expected, found))
        };
        if matches!(self.codec, Compression::LZ4) {
            let most = self.budget.limit / ratio;
            return complain(
                format!("a page of LZ4 of at most {most} bytes"),
                header.stored.to_string(),
            );
        }
        let start = at + header.bytes + header.levels;
        let stored = self.file.get_read(start)?.take(header.stored.saturating_sub(header.levels));
        let stated = header.content.saturating_sub(header.levels);
        let mut content = MultiGzDecoder::new(stored).take(stated.saturating_add(1));
        // Where the stream is broken the decoder says so.
        match io::copy(&mut content, &mut io::sink()) {
            Ok(found) if found > stated => {
                complain(format!("a page of {stated} bytes"), "more".into())
            }
            _ => Ok(()),
        }
    }

    /// Checks the numbers of words that a page states a second time, in its content.
    fn check_page(&self, at: u64, page: &Page) -> Result<()> {
        let start = match page {
            // Levels of one bit: runs after their length, or as they are.
            Page::DataPage { buf, def_level_encoding, num_values, .. } if self.can_be_null => {
                match (def_level_encoding, buf.first_chunk()) {
                    (Encoding::RLE, Some(bytes)) => 4 + u64::from(u32::from_le_bytes(*bytes)),
                    (Encoding::RLE, None) => 4,
                    _ => u64::from(*num_values).div_ceil(8),
                }
            }
            Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
                u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len)
            }
            Page::DataPage { .. } | Page::DictionaryPage { .. } => 0,
        };
        let buffer = page.buffer();
        let values =
            usize::try_from(start).ok().and_then(|start| buffer.get(start..)).unwrap_or(&[]);
        let most = u64::from(page.num_values());
        let is_sound = match page.encoding() {
            _ if page.is_dictionary_page() => true,
            Encoding::DELTA_LENGTH_BYTE_ARRAY => differences(values, most).is_some(),
            // Lengths of what words share with the one before, then lengths of what follows.
            Encoding::DELTA_BYTE_ARRAY => differences(values, most)
                .and_then(|end| differences(values.get(end..)?, most))
                .is_some(),
            _ => true,
        };
        if is_sound {
            return Ok(());
        }
        let expected = format!("lengths of at most {most} words");
        Err(self.complain(at, Flaw::Corrupt, expected, "more, or too few bytes".into()))
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        let held = self.held[0] + self.held[1];
        self.budget.held.fetch_sub(held, Ordering::Relaxed);
    }
}

impl Iterator for Checked {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Checked {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let at = self.at;
        self.admit()?;
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page {
            self.check_page(at, page)?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.admit()?;
        self.pages.skip_next_page()
    }
}

/// Where integers end that are written as differences, of which there are at most `most`; none if there are more, or
/// if the bytes end before them.
///
/// ```text
/// lengths of a block and number of its parts, number of integers, first integer
/// then for each block: least difference, bits of each part, parts
/// ```
fn differences(bytes: &[u8], most: u64) -> Option<usize> {
    let mut at = 0;
    let mut number = || {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = bytes.get(at)?;
            at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    };
    let (block, parts, count, _first) = (number()?, number()?, number()?, number()?);
    if count > most || parts == 0 || !block.is_multiple_of(parts) {
        return None;
    }
    let of_part = block / parts;
    let parts = usize::try_from(parts).ok()?;
    let mut left = count.saturating_sub(1);
    while left > 0 {
        // The least difference.
        while bytes.get(at)? & 0x80 != 0 {
            at += 1;
        }
        at += 1;
        let bits = bytes.get(at..at.checked_add(parts)?)?;
        at += parts;
        for &bits in bits {
            // Parts without integers are not there, whatever their bits.
            if left == 0 {
                break;
            }
            left = left.saturating_sub(of_part.max(1));
            let bytes = u64::from(bits).checked_mul(of_part)? / 8;
            at = at.checked_add(usize::try_from(bytes).ok()?)?;
        }
    }
    (at <= bytes.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_end_where_their_blocks_do() {
        // Blocks of 128 in 4 parts.
        let one = [0x80, 1, 4, 1, 10];
        assert_eq!(differences(&one, 1), Some(5));
        assert_eq!(differences(&one, 0), None);
        assert_eq!(differences(&one[..4], 1), None);
        // Five integers: four differences of 2 bits, in a part of 32.
        let five = [&[0x80, 1, 4, 5, 10, 0x81, 0, 2, 9, 9, 9][..], &[0; 8], &[7, 7]].concat();
        assert_eq!(differences(&five, 5), Some(19));
        assert_eq!(differences(&five[..18], 5), None);
        // Billions of integers in no bits are as many as are stated, and no more than there can be.
        let many = [0x80, 1, 4, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0, 0];
        assert_eq!(differences(&many, 1000), None);
        for broken in [&[0x80, 1, 0, 5, 10][..], &[0x80, 1, 3, 5, 10], &[0xff; 30], &[]] {
            assert_eq!(differences(broken, 5), None);
        }
    }
}
