//! A file opened for reading, plain or gzip, with its content counted, capped and, on request,
//! hashed.
//!
//! Every reader of this crate sits on [`Input`], so the rules live once: nothing is trusted but the
//! bytes themselves, a block is only allocated if the file can hold it, and a decompression bomb
//! ends at the cap.

use crate::cells::Charset;
use crate::error::{Error, Flaw, Place, Result};
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The most content (decompressed bytes) that is read from one file where neither the caller says
/// otherwise nor the system tells how much memory it has: 1 GiB. The largest built-in file has 78.4
/// MB.
pub const MAX_CONTENT_BYTES: u64 = 1 << 30;

/// Deflate cannot expand one byte to more than this many.
const DEFLATE_MAX_RATIO: u64 = 1032;

const BUFFER_BYTES: usize = 1 << 16;

/// The content of one file.
pub(crate) struct Input {
    path: PathBuf,
    reader: BufReader<Counted>,
    gzip: bool,
    /// The size of the file itself (compressed, if it is compressed).
    stored: u64,
    /// How much of that has been read.
    fetched: Rc<Cell<u64>>,
    cap: u64,
    /// Where the cap is one on each row, see [`Input::begin_row`].
    row_cap: Option<u64>,
    /// What makes UTF-8 of UTF-16.
    decoder: Option<encoding_rs::Decoder>,
    /// The content, of what is read from memory and is no stream.
    memory: Option<Cursor<Vec<u8>>>,
}

/// Counts what is read from the file itself.
struct Metered {
    inner: Box<dyn Read>,
    fetched: Rc<Cell<u64>>,
}

impl Read for Metered {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.fetched.set(self.fetched.get() + read as u64);
        Ok(read)
    }
}

/// Counts, hashes and caps what passes.
struct Counted {
    inner: Box<dyn Read>,
    count: u64,
    cap: u64,
    hash: Option<Sha256>,
}

/// Marks the error that the cap raises inside `io::Error`.
#[derive(Debug, thiserror::Error)]
#[error("content above the size limit")]
struct AboveCap;

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.count += read as u64;
        if self.count > self.cap {
            return Err(io::Error::other(AboveCap));
        }
        if let Some(hash) = &mut self.hash {
            hash.update(&buf[..read]);
        }
        Ok(read)
    }
}

impl Input {
    /// Standard input, whose content may have up to `cap` bytes.
    pub(crate) fn stdin(cap: u64) -> Result<Self> {
        // How much there is does not show before the end.
        Self::new(Path::new("-"), Box::new(io::stdin()), cap, cap)
    }

    /// Opens a file whose content may have up to `cap` bytes.
    pub(crate) fn open(path: &Path, cap: u64) -> Result<Self> {
        let failed = |error| Error::io(path, "open", error);
        // A device or a pipe may have no end. Asked before it is opened, because to open a pipe is
        // to wait for its other end.
        if !path.metadata().map_err(failed)?.is_file() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(Error::io(path, "read", error));
        }
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        Self::new(path, Box::new(file), metadata.len(), cap)
    }

    /// Reads from memory what the caller calls `path`.
    pub(crate) fn from_bytes(path: &Path, bytes: Vec<u8>, cap: u64) -> Result<Self> {
        let stored = bytes.len() as u64;
        // An archive is read from its end: it needs the bytes, not a stream of them.
        let memory = bytes.starts_with(b"PK").then(|| Cursor::new(bytes.clone()));
        let input = Self::new(path, Box::new(Cursor::new(bytes)), stored, cap)?;
        Ok(Self { memory, ..input })
    }

    fn new(path: &Path, inner: Box<dyn Read>, stored: u64, cap: u64) -> Result<Self> {
        let fetched = Rc::new(Cell::new(0));
        let inner = Metered { inner, fetched: Rc::clone(&fetched) };
        let mut inner = BufReader::with_capacity(BUFFER_BYTES, inner);
        let start = inner.fill_buf().map_err(|error| Error::io(path, "read", error))?;
        let gzip = start.starts_with(&[0x1f, 0x8b]);
        let inner: Box<dyn Read> =
            if gzip { Box::new(MultiGzDecoder::new(inner)) } else { Box::new(inner) };
        let counted = Counted { inner, count: 0, cap, hash: None };
        let reader = BufReader::with_capacity(BUFFER_BYTES, counted);
        let path = path.to_owned();
        let input = Self {
            path,
            reader,
            gzip,
            stored,
            fetched,
            cap,
            row_cap: None,
            decoder: None,
            memory: None,
        };
        if !gzip && stored > cap {
            return Err(input.above_cap(&format!("a file of {stored} bytes")));
        }
        Ok(input)
    }

    /// With another cap, on what is read and not on the file: for the first rows of a long one. To
    /// be called before the first read.
    pub(crate) fn capped(mut self, cap: u64) -> Self {
        self.cap = cap;
        self.reader.get_mut().cap = cap;
        self
    }

    /// Also computes the SHA-256 of the content. To be called before the first read.
    pub(crate) fn hashed(mut self) -> Self {
        debug_assert_eq!(self.reader.get_ref().count, 0, "nothing has been read yet");
        self.reader.get_mut().hash = Some(Sha256::new());
        self
    }

    /// Whether the file is on disk as it is, and can be opened again by its path.
    pub(crate) fn is_on_disk(&self) -> bool {
        !self.gzip && self.path.is_file()
    }

    /// The whole content, where it is in memory and nothing has been read.
    pub(crate) fn in_memory(&self) -> Option<Cursor<Vec<u8>>> {
        self.memory.clone()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file itself that have been read, and how many it has.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.fetched.get(), self.stored)
    }

    /// Starts a row, which may take up to `cap` bytes of content: for files that are longer than any
    /// cap as a whole.
    pub(crate) fn begin_row(&mut self, cap: u64) {
        self.row_cap = Some(cap);
        let counted = self.reader.get_mut();
        counted.cap = counted.count.saturating_add(cap);
    }

    /// How many bytes of content have been consumed.
    pub(crate) fn offset(&self) -> u64 {
        self.reader.get_ref().count - self.reader.buffer().len() as u64
    }

    /// The next bytes without consuming them; empty at the end.
    pub(crate) fn peek(&mut self) -> Result<&[u8]> {
        match self.reader.fill_buf() {
            Ok(_) => Ok(self.reader.buffer()),
            Err(error) => Err(self.read_error(error)),
        }
    }

    pub(crate) fn skip(&mut self, bytes: usize) {
        self.reader.consume(bytes);
    }

    /// Reads exactly `N` bytes, which are `what`.
    pub(crate) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    /// Goes over a byte order mark, and has [`block`](Self::block) make UTF-8 of what is UTF-16 by it or by its
    /// zeros. To be called before the first read.
    pub(crate) fn transcode(&mut self) -> Result<Charset> {
        let start = self.peek()?;
        if start.starts_with(b"\xef\xbb\xbf") {
            self.skip(3);
            return Ok(Charset::Utf8);
        }
        match wide(start) {
            Wide::Four => Err(self
                .malformed(Place::File, Flaw::Unsupported, "UTF-8, UTF-16 or Latin-1", "UTF-32")
                .advise("convert it: `iconv -f UTF-32 -t UTF-8 FILE > NEW`")),
            Wide::Two(encoding) => {
                self.decoder = Some(encoding.new_decoder());
                Ok(Charset::Utf16)
            }
            Wide::No => Ok(Charset::Utf8),
        }
    }

    /// Whether the file may be longer than any cap.
    pub(crate) fn is_stream(&self) -> bool {
        self.cap == u64::MAX
    }

    /// Appends at most `most` bytes of text; false at the end of the file.
    pub(crate) fn block(&mut self, text: &mut Vec<u8>, most: usize) -> Result<bool> {
        let before = text.len();
        loop {
            let read = match self.reader.fill_buf() {
                Ok(ahead) => ahead.len().min(most - (text.len() - before)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.read_error(error)),
            };
            let ahead = &self.reader.buffer()[..read];
            match &mut self.decoder {
                None => text.extend_from_slice(ahead),
                Some(decoder) => {
                    let mut decoded = String::with_capacity(
                        decoder.max_utf8_buffer_length(read).unwrap_or(3 * read + 16),
                    );
                    let (..) = decoder.decode_to_string(ahead, &mut decoded, read == 0);
                    text.extend_from_slice(decoded.as_bytes());
                    if read == 0 {
                        self.decoder = None;
                    }
                }
            }
            self.reader.consume(read);
            if read == 0 {
                return Ok(false);
            }
            if text.len() - before >= most / 2 {
                return Ok(true);
            }
        }
    }

    /// The error about a row that takes more than `cap` bytes.
    pub(crate) fn above_row_cap(&self, cap: u64) -> Error {
        let expected = format!("at most {cap} bytes of content in a row");
        self.malformed(Place::File, Flaw::TooLarge, expected, "more")
    }

    /// Fills `bytes`, which are `what`.
    pub(crate) fn fill(&mut self, bytes: &mut [u8], what: &str) -> Result<()> {
        let start = self.offset();
        let mut filled = 0;
        while filled < bytes.len() {
            match self.reader.read(&mut bytes[filled..]) {
                Ok(0) => return Err(self.truncated(start, bytes.len() as u64, filled, what)),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.read_error(error)),
            }
        }
        Ok(())
    }

    /// Checks that the file can hold `len` more bytes, before anything is allocated for them.
    pub(crate) fn check_room(&self, len: u64, what: &str) -> Result<()> {
        let start = self.offset();
        if start.checked_add(len).is_none_or(|end| end > self.cap) {
            return Err(self.above_cap(&format!("a header that states {len} bytes of {what}")));
        }
        let most =
            if self.gzip { self.stored.saturating_mul(DEFLATE_MAX_RATIO) } else { self.stored };
        let left = most.saturating_sub(start);
        if left < len {
            let found = if self.gzip {
                format!("a compressed file of {} bytes, which cannot hold them", self.stored)
            } else {
                format!("{left}")
            };
            let expected = format!("{len} bytes of {what}");
            return Err(self.malformed(Place::Byte(start), Flaw::Truncated, expected, found));
        }
        Ok(())
    }

    /// Appends exactly `len` bytes of `what` to `out`.
    pub(crate) fn append(&mut self, out: &mut Vec<u8>, len: u64, what: &str) -> Result<()> {
        self.check_room(len, what)?;
        let start = self.offset();
        let before = out.len();
        if usize::try_from(len).map_or(true, |len| out.try_reserve_exact(len).is_err()) {
            return Err(self.no_memory(len));
        }
        match self.reader.by_ref().take(len).read_to_end(out) {
            Ok(read) if read as u64 == len => Ok(()),
            Ok(_) => Err(self.truncated(start, len, out.len() - before, what)),
            Err(error) => Err(self.read_error(error)),
        }
    }

    /// Checks that nothing follows.
    pub(crate) fn end(&mut self, after: &str) -> Result<()> {
        let offset = self.offset();
        let more = self.peek()?.len();
        if more == 0 {
            return Ok(());
        }
        let found = if self.gzip {
            format!("{more} or more bytes after it")
        } else {
            format!("{} bytes after it", self.stored.saturating_sub(offset))
        };
        let expected = format!("the end of the file after {after}");
        Err(self.malformed(Place::Byte(offset), Flaw::Oversized, expected, found))
    }

    /// Reads to the end and returns the SHA-256 of the whole content in hexadecimal.
    pub(crate) fn digest(mut self) -> Result<String> {
        loop {
            let ahead = self.peek()?.len();
            if ahead == 0 {
                break;
            }
            self.skip(ahead);
        }
        let hash = self.reader.get_mut().hash.take().unwrap_or_default();
        Ok(hex(&hash.finalize()))
    }

    pub(crate) fn malformed(
        &self,
        place: Place,
        flaw: Flaw,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Error {
        Error::malformed(&self.path, place, flaw, expected, found)
    }

    pub(crate) fn no_memory(&self, len: u64) -> Error {
        let error =
            io::Error::new(io::ErrorKind::OutOfMemory, format!("no memory for {len} bytes"));
        Error::io(&self.path, "read", error)
    }

    fn truncated(&self, start: u64, len: u64, found: usize, what: &str) -> Error {
        let expected = format!("{len} bytes of {what}");
        let found = format!("{found} before the end of the file");
        self.malformed(Place::Byte(start), Flaw::Truncated, expected, found)
    }

    fn above_cap(&self, found: &str) -> Error {
        let expected = match self.row_cap {
            Some(cap) => format!("at most {cap} bytes of content in a row"),
            None => format!("at most {} bytes of content", self.cap),
        };
        self.malformed(Place::File, Flaw::TooLarge, expected, found)
    }

    /// What an error of the reader underneath means.
    fn read_error(&self, error: io::Error) -> Error {
        if error.get_ref().is_some_and(|inner| inner.is::<AboveCap>()) {
            return self.above_cap("more");
        }
        let place = Place::Byte(self.reader.get_ref().count);
        match error.kind() {
            io::ErrorKind::UnexpectedEof if self.gzip => {
                self.malformed(place, Flaw::Truncated, "more of the gzip stream", "its end")
            }
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData if self.gzip => {
                self.malformed(place, Flaw::Corrupt, "a gzip stream", error.to_string())
            }
            _ => Error::io(&self.path, "read", error),
        }
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How many bytes the characters of a text have.
enum Wide {
    No,
    Two(&'static encoding_rs::Encoding),
    Four,
}

/// What the byte order mark of a text says, or else which bytes of its beginning are zeros: those of UTF-8 are never,
/// and in wide ones most of the upper halves of what separates values, of digits and of plain letters.
fn wide(start: &[u8]) -> Wide {
    let start = &start[..start.len().min(1 << 12) & !3];
    if start.starts_with(b"\xff\xfe\0\0") || start.starts_with(b"\0\0\xfe\xff") {
        return Wide::Four;
    }
    if let Some((encoding, _)) = encoding_rs::Encoding::for_bom(start) {
        return Wide::Two(encoding);
    }
    let zeros: [usize; 4] =
        std::array::from_fn(|k| start.iter().skip(k).step_by(4).filter(|byte| **byte == 0).count());
    let units = start.len() / 4;
    let are = |k: usize| units > 0 && 4 * zeros[k] >= 3 * units;
    match [are(0), are(1), are(2), are(3)] {
        [false, true, true, true] | [true, true, true, false] => Wide::Four,
        [false, true, false, true] => Wide::Two(encoding_rs::UTF_16LE),
        [true, false, true, false] => Wide::Two(encoding_rs::UTF_16BE),
        _ => Wide::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn input(bytes: Vec<u8>, cap: u64) -> Result<Input> {
        Input::from_bytes(Path::new("f"), bytes, cap)
    }

    #[test]
    fn plain_and_gzip_have_the_same_content_and_digest() {
        let content = b"abc";
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for stored in [content.to_vec(), gzip(content), [gzip(b"a"), gzip(b"bc")].concat()] {
            let mut file = input(stored.clone(), 3).unwrap();
            assert_eq!(file.array::<3>("letters").unwrap(), *content);
            assert_eq!(file.offset(), 3);
            file.end("letters").unwrap();
            assert_eq!(input(stored, 3).unwrap().hashed().digest().unwrap(), known);
        }
    }

    #[test]
    fn a_bomb_ends_at_the_cap() {
        let bomb = gzip(&vec![0; 1 << 20]);
        assert!(bomb.len() < 2000);
        let error = input(bomb, 1000).unwrap().digest().unwrap_err();
        assert_eq!(error.flaw(), Some(Flaw::TooLarge));
        assert_eq!(
            error.to_string(),
            "f: too large: expected at most 1000 bytes of content, found more"
        );
        let error = input(vec![0; 1001], 1000).err().unwrap();
        assert_eq!(error.flaw(), Some(Flaw::TooLarge));
    }

    #[test]
    fn a_block_is_refused_before_it_is_allocated() {
        let mut out = Vec::new();
        for (bytes, len, flaw) in [
            (vec![0; 10], 11, Flaw::Truncated),
            (vec![0; 10], 1 << 40, Flaw::TooLarge),
            (vec![0; 10], u64::MAX, Flaw::TooLarge),
            (gzip(&[0; 10]), 1 << 20, Flaw::Truncated),
            (gzip(&[0; 10]), 11, Flaw::Truncated),
        ] {
            let mut file = input(bytes, 1 << 30).unwrap();
            let error = file.append(&mut out, len, "pixels").unwrap_err();
            assert_eq!(error.flaw(), Some(flaw), "{error}");
        }
        assert!(out.capacity() < 100, "{}", out.capacity());
    }

    #[test]
    fn broken_gzip_is_named() {
        let whole = gzip(&[7; 1000]);
        let mut cut = whole.clone();
        cut.truncate(whole.len() - 9);
        let mut bent = whole.clone();
        let crc = whole.len() - 8;
        bent[crc] ^= 1;
        let garbage = [&whole[..], b"garbage after the stream"].concat();
        for (bytes, flaw) in
            [(cut, Flaw::Truncated), (bent, Flaw::Corrupt), (garbage, Flaw::Corrupt)]
        {
            let error = input(bytes, 2000).unwrap().digest().unwrap_err();
            assert_eq!(error.flaw(), Some(flaw), "{error}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_pipe_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe.csv");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [&pipe, Path::new("/dev/zero")] {
            let error = Input::open(path, 10).err().unwrap().to_string();
            assert!(error.ends_with("cannot read: not a regular file"), "{error}");
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Input::open(dir.path(), 10), Err(Error::Io { .. })));
        assert!(matches!(Input::open(&dir.path().join("none"), 10), Err(Error::Io { .. })));
    }
}
