//! The file: a header, then the streams.

use sha2::{Digest as _, Sha256};

use crate::foundation::fault::Fault;
use crate::parts::walker::Arithmetic;

pub(super) const MAGIC: [u8; 4] = *b"\x89CHR";
const VERSION: u8 = 1;

/// The most axes of a shape, and values of all events: limits of what a file may claim before anything is
/// allocated for it.
const MOST_AXES: u64 = 8;
pub(super) const MOST_VALUES: u64 = 1 << 31;

const ISAS: [&str; 3] = ["portable", "avx2", "avx512"];

const BACKENDS: [&str; 5] = ["flex", "ndarray", "cuda", "wgpu", "another"];

impl Arithmetic {
    pub(super) fn code(self) -> u8 {
        let place = |names: &[&str], name| names.iter().position(|n| *n == name).unwrap_or(0) as u8;
        match self {
            Self::Plain => 0,
            Self::Lanes(isa) => 1 + place(&ISAS, isa),
            Self::Tensors { backend, isa } => {
                16 * (1 + place(&BACKENDS, backend)) + place(&ISAS, isa)
            }
        }
    }

    pub(super) fn of_code(code: u8) -> Option<Self> {
        let isa = |k: u8| ISAS.get(usize::from(k)).copied();
        match code {
            0 => Some(Self::Plain),
            1..16 => Some(Self::Lanes(isa(code - 1)?)),
            _ => {
                let backend = BACKENDS.get(usize::from(code / 16 - 1)).copied()?;
                Some(Self::Tensors { backend, isa: isa(code % 16)? })
            }
        }
    }
}

/// Whether the compressed values are those of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// They are.
    Unchanged,
    /// They are bits made of grey levels.
    Binarized,
    /// They are levels made of finer ones.
    Requantized,
}

impl Source {
    const ALL: [Self; 3] = [Self::Unchanged, Self::Binarized, Self::Requantized];

    /// `unchanged`, `binarized` or `requantized`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Binarized => "binarized",
            Self::Requantized => "requantized",
        }
    }
}

/// A stream: the events of some walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// What a file of symbols says of itself; that of a table is a [`super::TableHeader`].
///
/// | field | bytes |
/// |---|---|
/// | magic, `89 43 48 52` | 4 |
/// | version of the format, 1 | 1 |
/// | what computed the conditionals ([`Arithmetic`]) | 1 |
/// | whether the values are those of the input ([`Source`]) | 1 |
/// | digest of the model | 8 |
/// | levels, number of axes, each axis, number of events, events that walk together, number of streams | a varint each |
/// | of each stream: its events, its bytes | a varint each |
/// | digest of the events | 16 |
/// | digest of all streams | 8 |
/// | digest of the header up to here | 4 |
/// | the streams, each whole words of 32 bits, little-endian | the rest |
///
/// A varint is LEB128: seven bits a byte, the lowest first. Digests are the first bytes of SHA-256: of the
/// model, its `[model]` table, shape and levels as JSON and its safetensors; of the events, their values in
/// event order, a byte each. Labels are not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What computed the conditionals.
    pub arithmetic: Arithmetic,
    /// Whether the values are those of the input.
    pub source: Source,
    /// Number of values of each variable.
    pub levels: usize,
    /// Shape of an event.
    pub shape: Vec<usize>,
    /// Number of events.
    pub events: usize,
    pub(super) model: [u8; 8],
    pub(super) together: usize,
    pub(super) streams: Vec<Stream>,
    pub(super) content: [u8; 16],
}

/// The first bytes of a SHA-256.
pub(super) fn first<const N: usize>(digest: Sha256) -> [u8; N] {
    let digest: [u8; 32] = digest.finalize().into();
    core::array::from_fn(|i| digest[i])
}

pub(super) fn digest_of<const N: usize>(bytes: &[u8]) -> [u8; N] {
    first(Sha256::new_with_prefix(bytes))
}

pub(super) fn write_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Adds what there is in each stream.
pub(super) fn write_streams(out: &mut Vec<u8>, streams: &[Stream]) {
    for stream in streams {
        write_varint(out, stream.events);
        write_varint(out, stream.bytes);
    }
}

/// Adds the digests of all streams and of the header, and the streams.
pub(super) fn write_end(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend(digest_of::<8>(payload));
    let own = digest_of::<4>(out);
    out.extend(own);
    out.extend(payload);
}

/// Whether streams can be those of so many events.
pub(super) fn have_events(streams: &[Stream], events: usize) -> bool {
    let sum = streams.iter().fold(0_u64, |n, stream| n.saturating_add(stream.events as u64));
    let are_whole = streams.iter().all(|s| s.events > 0 && s.bytes.is_multiple_of(4));
    sum == events as u64 && are_whole
}

impl Header {
    /// The whole file.
    pub(super) fn write(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let source = Source::ALL.iter().position(|s| *s == self.source).unwrap_or(0);
        out.extend([VERSION, self.arithmetic.code(), source as u8]);
        out.extend(self.model);
        write_varint(&mut out, self.levels);
        write_varint(&mut out, self.shape.len());
        for &axis in &self.shape {
            write_varint(&mut out, axis);
        }
        for value in [self.events, self.together, self.streams.len()] {
            write_varint(&mut out, value);
        }
        write_streams(&mut out, &self.streams);
        out.extend(self.content);
        write_end(&mut out, payload);
        out
    }

    /// Reads a file's header and checks the whole file against its digests.
    ///
    /// Takes memory for the shape and the streams alone, at most some times the file's own length.
    ///
    /// # Errors
    /// When the file is no such file, of another version, incomplete or altered.
    pub fn read(file: &[u8]) -> Result<Self, Fault> {
        Self::read_with_payload(file).map(|(header, _)| header)
    }

    /// The header, and the bytes of the streams.
    pub(super) fn read_with_payload(file: &[u8]) -> Result<(Self, &[u8]), Fault> {
        let mut fields = Fields { file, at: 0 };
        if fields.bytes::<4>().ok() != Some(MAGIC) {
            return Err(Fault::Foreign);
        }
        let [version, arithmetic, source] = fields.bytes()?;
        if version != VERSION {
            return Err(Fault::Version { found: version, expected: VERSION });
        }
        let model = fields.bytes()?;
        let levels = fields.varint(256)?;
        let axes = fields.varint(MOST_AXES)?;
        let shape: Vec<usize> =
            (0..axes).map(|_| fields.varint(MOST_VALUES)).collect::<Result<_, _>>()?;
        let events = fields.varint(MOST_VALUES)?;
        let together = fields.varint(MOST_VALUES)?;
        // A stream takes two bytes of the header at least.
        let streams = fields.varint(file.len() as u64 / 2)?;
        let streams = fields.streams(streams, MOST_VALUES)?;
        let content = fields.bytes()?;
        let payload_digest = fields.end_of_header()?;
        let (Some(arithmetic), Some(source)) =
            (Arithmetic::of_code(arithmetic), Source::ALL.get(usize::from(source)).copied())
        else {
            return Err(Fault::Damaged("header"));
        };
        let payload = fields.payload(&streams, payload_digest)?;
        let header =
            Self { arithmetic, source, levels, shape, events, model, together, streams, content };
        header.check_sizes()?;
        Ok((header, payload))
    }

    /// What digests cannot tell: that the numbers belong together and stay within the limits.
    fn check_sizes(&self) -> Result<(), Fault> {
        let variables = self.shape.iter().fold(1_u64, |n, &axis| n.saturating_mul(axis as u64));
        // Of no events too: the variables of one are counted elsewhere.
        let values = variables.saturating_mul(self.events.max(1) as u64);
        if values > MOST_VALUES {
            return Err(Fault::TooLarge { values, most: MOST_VALUES });
        }
        let have = have_events(&self.streams, self.events);
        if !have || self.together == 0 || self.levels == 0 {
            return Err(Fault::Damaged("header"));
        }
        Ok(())
    }

    /// Variables of an event.
    pub fn variables(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Fields of a header, one after the other.
pub(super) struct Fields<'a> {
    pub(super) file: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Fields<'a> {
    /// What there is in each of so many streams, of at most so many events.
    pub(super) fn streams(&mut self, count: usize, most: u64) -> Result<Vec<Stream>, Fault> {
        let mut streams = Vec::new();
        for _ in 0..count {
            let events = self.varint(most)?;
            streams.push(Stream { events, bytes: self.varint(u64::MAX >> 8)? });
        }
        Ok(streams)
    }

    /// The digest of all streams, once that of the header has been found right.
    pub(super) fn end_of_header(&mut self) -> Result<[u8; 8], Fault> {
        let payload_digest = self.bytes()?;
        let own = digest_of::<4>(&self.file[..self.at]);
        if self.bytes::<4>()? != own {
            return Err(Fault::Damaged("header"));
        }
        Ok(payload_digest)
    }

    /// The bytes of all streams, which is what is left of the file.
    pub(super) fn payload(&self, streams: &[Stream], digest: [u8; 8]) -> Result<&'a [u8], Fault> {
        let payload = &self.file[self.at..];
        let claimed = streams.iter().fold(0_u64, |sum, s| sum.saturating_add(s.bytes as u64));
        if (payload.len() as u64) < claimed {
            return Err(Fault::Truncated);
        }
        if payload.len() as u64 > claimed {
            return Err(Fault::Longer);
        }
        if digest_of::<8>(payload) != digest {
            return Err(Fault::Damaged("content"));
        }
        Ok(payload)
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let field = self.file[self.at..].first_chunk().ok_or(Fault::Truncated)?;
        self.at += N;
        Ok(*field)
    }

    pub(super) fn varint(&mut self, most: u64) -> Result<usize, Fault> {
        let mut value = 0_u64;
        for shift in (0..63).step_by(7) {
            let [byte] = self.bytes()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                // Only the shortest form, so that a header is written one way.
                let shortest = byte > 0 || shift == 0;
                return match usize::try_from(value) {
                    Ok(value) if shortest && value as u64 <= most => Ok(value),
                    _ => Err(Fault::Damaged("header")),
                };
            }
        }
        Err(Fault::Damaged("header"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            arithmetic: Arithmetic::Lanes("avx2"),
            source: Source::Binarized,
            levels: 2,
            shape: vec![28, 28],
            events: 10_000,
            model: *b"12345678",
            together: 64,
            streams: vec![Stream { events: 9_984, bytes: 8 }, Stream { events: 16, bytes: 4 }],
            content: *b"0123456789abcdef",
        }
    }

    #[test]
    fn a_header_comes_back() {
        let payload = [7; 12];
        let file = header().write(&payload);
        assert_eq!(Header::read_with_payload(&file), Ok((header(), &payload[..])));
        // Five of them for the streams.
        assert_eq!(file.len() - payload.len(), 51 + 5);
    }

    #[test]
    fn every_arithmetic_has_a_code_of_its_own() {
        let mut all = vec![Arithmetic::Plain];
        for isa in ISAS {
            all.push(Arithmetic::Lanes(isa));
            all.extend(BACKENDS.map(|backend| Arithmetic::Tensors { backend, isa }));
        }
        for arithmetic in &all {
            assert_eq!(Arithmetic::of_code(arithmetic.code()), Some(*arithmetic));
        }
        let known = (0..=u8::MAX).filter(|&code| Arithmetic::of_code(code).is_some()).count();
        assert_eq!(known, all.len());
    }

    #[test]
    fn a_cut_or_longer_file_is_an_error() {
        let file = header().write(&[7; 12]);
        for cut in 0..file.len() {
            let fault = Header::read(&file[..cut]).unwrap_err();
            assert_eq!(fault, if cut < 4 { Fault::Foreign } else { Fault::Truncated }, "{cut}");
        }
        let longer = [&file[..], &[0]].concat();
        assert_eq!(Header::read(&longer), Err(Fault::Longer));
    }

    #[test]
    fn sizes_beyond_the_limits_are_refused() {
        let payload = [7; 12];
        let refuse = |change: &dyn Fn(&mut Header)| {
            let mut header = header();
            change(&mut header);
            Header::read(&header.write(&payload)).unwrap_err()
        };
        let large = refuse(&|h| {
            h.shape = vec![1 << 20, 1 << 20];
            (h.events, h.streams[0].events) = (1 << 20, (1 << 20) - 16);
        });
        assert!(matches!(large, Fault::TooLarge { .. }), "{large:?}");
        for fault in [
            refuse(&|h| h.levels = 257),
            refuse(&|h| h.levels = 0),
            refuse(&|h| h.shape = vec![1; 9]),
            refuse(&|h| h.together = 0),
            refuse(&|h| h.events = 9),
            refuse(&|h| h.streams = vec![Stream { events: 0, bytes: 4 }; 3]),
            refuse(&|h| (h.streams[0].bytes, h.streams[1].bytes) = (7, 5)),
        ] {
            assert!(matches!(fault, Fault::Damaged("header")), "{fault:?}");
        }
        assert_eq!(refuse(&|h| h.streams[0].bytes = usize::MAX >> 9), Fault::Truncated);
    }
}
