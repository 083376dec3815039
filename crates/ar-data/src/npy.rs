//! NumPy's `.npy`: one array, the first axis counting examples.
//!
//! ```text
//! byte 0-5  \x93NUMPY
//! byte 6-7  version 1.0, 2.0 or 3.0
//! then      length of the header, little-endian u16 (version 1) or u32
//! then      header, a Python dictionary with 'descr', 'fortran_order' and 'shape'
//! then      the elements, and nothing more
//! ```
//!
//! Booleans and integers are symbols or reals by their values; floats are reals unless a kind is
//! stated. The header is parsed here, without recursion and within a length limit: a general parser
//! of Python literals follows nested brackets as deep as a file likes.
//!
//! # References
//!
//! NumPy documentation, `numpy.lib.format`.

use crate::dataset::Dataset;
use crate::error::{Flaw, Place, Result, shown};
use crate::input::Input;
use crate::numbers::Numbers;
use crate::read::{ReadOptions, Step, name_of};

pub(crate) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// NumPy itself pads headers to a few hundred bytes.
const MAX_HEADER_BYTES: u32 = 1 << 16;

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Element {
    kind: Kind,
    bytes: usize,
    big_endian: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Unsigned,
    Signed,
    Float,
}

/// Elements that are decoded at a time.
const PIECE: usize = 1 << 12;

/// Reads an array of two axes or more.
pub(crate) fn read(input: Input, options: &ReadOptions) -> Result<Dataset> {
    let mut rows = Rows::new(input, options.rows)?;
    let mut numbers = match rows.element.kind {
        Kind::Float => Numbers::of_floats(options),
        _ => Numbers::new(options),
    };
    // The header was checked against the file, so neither product is too large.
    let count = rows.left as usize * rows.shape.iter().product::<usize>();
    if !numbers.reserve(count) {
        return Err(rows.input.no_memory(count as u64));
    }
    loop {
        match rows.next(&mut numbers)? {
            Step::Row => {}
            Step::Bad(error) => return Err(error),
            Step::End => break,
        }
    }
    Dataset::new(name_of(rows.input.path()), numbers.finish(), &rows.shape)
}

/// The examples of an array, one at a time.
pub(crate) struct Rows {
    pub(crate) input: Input,
    element: Element,
    /// The shape of one example.
    pub(crate) shape: Vec<usize>,
    /// Examples that are still to come.
    left: u64,
    /// Whether the file ends after them.
    is_whole: bool,
    /// What the elements are called in errors.
    what: String,
    piece: Vec<u8>,
}

impl Rows {
    /// Reads the header. At most `rows` examples are still to come.
    pub(crate) fn new(mut input: Input, rows: Option<usize>) -> Result<Self> {
        let (element, axes) = header(&mut input)?;
        let [left, event @ ..] = &axes[..] else {
            return Err(too_few_axes(&input, &axes));
        };
        if event.is_empty() {
            return Err(too_few_axes(&input, &axes));
        }
        if axes.contains(&0) {
            let found = format!("shape {axes:?}");
            return Err(input.malformed(Place::File, Flaw::Empty, "axes of at least 1", found));
        }
        let stated = *left;
        let left = rows.map_or(stated, |rows| stated.min(rows as u64));
        let count = event.iter().fold(left, |len, &axis| len.saturating_mul(axis));
        let what = format!("elements (shape {axes:?}, {} bytes each)", element.bytes);
        input.check_room(count.saturating_mul(element.bytes as u64), &what)?;
        let (is_whole, shape) = (left == stated, event.iter().map(|&axis| axis as usize).collect());
        let piece = vec![0; element.bytes * PIECE];
        Ok(Self { input, element, shape, left, is_whole, what, piece })
    }

    /// Adds the next example to `numbers`.
    pub(crate) fn next(&mut self, numbers: &mut Numbers) -> Result<Step> {
        let Self { input, element, shape, left, is_whole, what, piece } = self;
        if *left == 0 {
            if *is_whole {
                input.end(what)?;
            }
            return Ok(Step::End);
        }
        *left -= 1;
        let mut refused = None;
        let mut bytes_left = shape.iter().product::<usize>() * element.bytes;
        while bytes_left > 0 {
            let bytes = bytes_left.min(piece.len());
            let start = input.offset();
            input.fill(&mut piece[..bytes], what)?;
            bytes_left -= bytes;
            for (index, raw) in piece[..bytes].chunks_exact(element.bytes).enumerate() {
                let value = element.decode(raw);
                // What follows a bad value is read all the same: the next example comes after it.
                if refused.is_none()
                    && let Err(why) = numbers.push(value)
                {
                    let place = Place::Byte(start + (index * element.bytes) as u64);
                    refused = Some(why.at(input.path(), place, value.to_string()));
                }
            }
        }
        Ok(refused.map_or(Step::Row, Step::Bad))
    }
}

fn too_few_axes(input: &Input, axes: &[u64]) -> crate::Error {
    let expected = "two axes or more, the first counting examples";
    input
        .malformed(Place::File, Flaw::Unsupported, expected, format!("shape {axes:?}"))
        .advise("reshape the array to [examples, 1]")
}

fn header(input: &mut Input) -> Result<(Element, Vec<u64>)> {
    if input.peek()?.is_empty() {
        return Err(input.malformed(Place::File, Flaw::Empty, "a .npy file", "no bytes"));
    }
    let magic: [u8; 6] = input.array("NumPy magic")?;
    if &magic != MAGIC {
        let found = shown(&magic);
        return Err(input.malformed(Place::Byte(0), Flaw::WrongMagic, "\\x93NUMPY", found));
    }
    let [major, minor] = input.array("version")?;
    let len = match major {
        1 => u32::from(u16::from_le_bytes(input.array("header length")?)),
        2 | 3 => u32::from_le_bytes(input.array("header length")?),
        _ => {
            let found = format!("version {major}.{minor}");
            let expected = "version 1, 2 or 3";
            return Err(input.malformed(Place::Byte(6), Flaw::Unsupported, expected, found));
        }
    };
    if len > MAX_HEADER_BYTES {
        let expected = format!("a header of at most {MAX_HEADER_BYTES} bytes");
        let found = len.to_string();
        return Err(input
            .malformed(Place::Byte(8), Flaw::TooLarge, expected, found)
            .advise("NumPy writes headers of a few hundred bytes: save the array again"));
    }
    let start = input.offset();
    let mut text = Vec::new();
    input.append(&mut text, u64::from(len), "header")?;
    let bad = |expected: &str| {
        input.malformed(Place::Byte(start), Flaw::WrongMagic, expected, shown(&text))
    };
    let header = Header::parse(&text).ok_or_else(|| {
        bad("a dictionary of 'descr', 'fortran_order' and 'shape' with a plain element type")
    })?;
    if header.fortran_order {
        return Err(input
            .malformed(Place::Byte(start), Flaw::Unsupported, "C order", "Fortran order")
            .advise("save np.ascontiguousarray(array)"));
    }
    let element = Element::parse(header.descr).ok_or_else(|| {
        let expected = "an element type among b1, u1 to u8, i1 to i8, f4, f8";
        let found = shown(header.descr.as_bytes());
        input.malformed(Place::Byte(start), Flaw::Unsupported, expected, found)
    })?;
    Ok((element, header.shape))
}

impl Element {
    fn parse(descr: &str) -> Option<Self> {
        let (order, rest) = match descr.as_bytes() {
            [order @ (b'<' | b'>' | b'|' | b'='), rest @ ..] => (*order, rest),
            rest => (b'=', rest),
        };
        let (kind, bytes) = match rest {
            b"b1" | b"?" => (Kind::Bool, 1),
            [b'u', size @ (b'1' | b'2' | b'4' | b'8')] => (Kind::Unsigned, size - b'0'),
            [b'i', size @ (b'1' | b'2' | b'4' | b'8')] => (Kind::Signed, size - b'0'),
            [b'f', size @ (b'4' | b'8')] => (Kind::Float, size - b'0'),
            _ => return None,
        };
        // A file written with the native order of an unknown machine: nearly all are little.
        Some(Self { kind, bytes: usize::from(bytes), big_endian: order == b'>' })
    }

    /// The value of one element; integers beyond 2^53 are rounded, which no kind distinguishes.
    fn decode(self, raw: &[u8]) -> f64 {
        let mut word = [0; 8];
        for (to, &from) in word.iter_mut().zip(raw) {
            *to = from;
        }
        if self.big_endian {
            word[..self.bytes].reverse();
        }
        let word = u64::from_le_bytes(word);
        let unused = 64 - 8 * self.bytes as u32;
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "see above")]
        #[expect(clippy::cast_possible_truncation, reason = "the upper half is zero")]
        match (self.kind, self.bytes) {
            (Kind::Bool, _) => f64::from(u8::from(word != 0)),
            (Kind::Unsigned, _) => word as f64,
            (Kind::Signed, _) => (((word << unused) as i64) >> unused) as f64,
            (Kind::Float, 4) => f64::from(f32::from_bits(word as u32)),
            (Kind::Float, _) => f64::from_bits(word),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Header<'a> {
    descr: &'a str,
    fortran_order: bool,
    shape: Vec<u64>,
}

impl<'a> Header<'a> {
    /// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim();
        let mut rest = text.strip_prefix('{')?.strip_suffix('}')?.trim_start();
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, after) = string(rest)?;
            rest = after.trim_start().strip_prefix(':')?.trim_start();
            match key {
                "descr" if descr.is_none() => {
                    let (value, after) = string(rest)?;
                    descr = Some(value);
                    rest = after;
                }
                "fortran_order" if fortran_order.is_none() => {
                    let value = rest.starts_with("True");
                    rest = rest.strip_prefix(if value { "True" } else { "False" })?;
                    fortran_order = Some(value);
                }
                "shape" if shape.is_none() => {
                    let (inside, after) = rest.strip_prefix('(')?.split_once(')')?;
                    let inside = inside.trim();
                    let inside = inside.strip_suffix(',').unwrap_or(inside);
                    let axes = inside.split(',').filter(|axis| !axis.trim().is_empty());
                    shape = Some(axes.map(|axis| axis.trim().parse().ok()).collect::<Option<_>>()?);
                    rest = after;
                }
                _ => return None,
            }
            rest = rest.trim_start();
            rest = match rest.strip_prefix(',') {
                Some(after) => after.trim_start(),
                None if rest.is_empty() => rest,
                None => return None,
            };
        }
        Some(Self { descr: descr?, fortran_order: fortran_order?, shape: shape? })
    }
}

/// A quoted string without escapes, and what follows it.
fn string(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    text[1..].split_once(quote)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Flaw;
    use crate::{Error, Values};
    use std::path::Path;

    fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let text =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}      \n");
        let mut bytes = [&MAGIC[..], &[1, 0], &(text.len() as u16).to_le_bytes()].concat();
        bytes.extend(text.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn parse_with(bytes: Vec<u8>, options: &ReadOptions) -> Result<Dataset, Error> {
        read(Input::from_bytes(Path::new("a.npy"), bytes, 1 << 20)?, options)
    }

    fn parse(bytes: Vec<u8>) -> Result<Dataset, Error> {
        parse_with(bytes, &ReadOptions::default())
    }

    #[test]
    fn every_element_type_gives_the_same_symbols() {
        let values = [0_u8, 1, 2, 3, 4, 200];
        let wide = |size: usize, big: bool| {
            values
                .iter()
                .flat_map(|&value| {
                    let mut bytes = vec![0; size];
                    bytes[if big { size - 1 } else { 0 }] = value;
                    bytes
                })
                .collect::<Vec<_>>()
        };
        let singles: Vec<u8> = values.iter().flat_map(|&v| f32::from(v).to_be_bytes()).collect();
        let doubles: Vec<u8> = values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
        let symbols = ReadOptions { levels: Some(256), ..ReadOptions::default() };
        for (descr, data) in [
            ("|u1", wide(1, false)),
            ("<u2", wide(2, false)),
            (">u4", wide(4, true)),
            ("<i2", wide(2, false)),
            ("<i8", wide(8, false)),
            (">i8", wide(8, true)),
            (">f4", singles),
            ("<f8", doubles),
        ] {
            let data = parse_with(npy(descr, "(2, 3, 1)", &data), &symbols).unwrap();
            assert_eq!(data.shape(), [3, 1], "{descr}");
            assert_eq!(data.symbols().unwrap(), (&values[..], 256), "{descr}");
        }
        let data = parse(npy("|b1", "(2,2)", &[0, 1, 1, 0])).unwrap();
        assert_eq!(data.symbols().unwrap(), (&[0, 1, 1, 0][..], 2));
    }

    #[test]
    fn floats_are_reals_and_negative_integers_too() {
        let ones: Vec<u8> = [1.0_f32, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let data = parse(npy("<f4", "(2, 1)", &ones)).unwrap();
        assert_eq!(data.values(), &Values::Reals { data: vec![1.0, 0.0] });
        let data = parse(npy("|i1", "(2, 1)", &[255, 7])).unwrap();
        assert_eq!(data.reals().unwrap(), [-1.0, 7.0]);
    }

    #[test]
    fn malformed_arrays_are_named() {
        let good = npy("|u1", "(2, 3)", &[1; 6]);
        let nan = npy("<f4", "(1, 1)", &f32::NAN.to_le_bytes());
        let mut fortran = good.clone();
        let at = good.windows(5).position(|word| word == b"False").unwrap();
        fortran.splice(at..at + 5, *b"True ");
        let mut long = good.clone();
        long[6] = 2;
        let deep = npy("|u1", &"(".repeat(30_000), &[]);
        for (bytes, flaw, message) in [
            (vec![], Flaw::Empty, "a.npy: empty"),
            (b"\x93NUMPX\x01\x00".to_vec(), Flaw::WrongMagic, "byte 0: wrong magic"),
            (good[..4].to_vec(), Flaw::Truncated, "byte 0: truncated"),
            (good[..30].to_vec(), Flaw::Truncated, "byte 10: truncated"),
            (good[..good.len() - 1].to_vec(), Flaw::Truncated, "6 bytes of elements"),
            ([&good[..], &[0]].concat(), Flaw::Oversized, "oversized"),
            (npy("|u1", "(2, 0)", &[]), Flaw::Empty, "found shape [2, 0]"),
            (npy("|u1", "(2,)", &[1; 2]), Flaw::Unsupported, "two axes"),
            (npy("|u1", "()", &[1]), Flaw::Unsupported, "two axes"),
            (npy("|O", "(2, 3)", &[]), Flaw::Unsupported, "found \"|O\""),
            (npy("<f2", "(2, 3)", &[]), Flaw::Unsupported, "found \"<f2\""),
            (npy("|u1", "(2, -3)", &[]), Flaw::WrongMagic, "dictionary"),
            (npy("|u1", "(99999999, 99999999999)", &[]), Flaw::TooLarge, "too large"),
            (npy("<f8", "(4294967296, 4294967296)", &[]), Flaw::TooLarge, "too large"),
            (npy("|u1", "(1000, 1000)", &[]), Flaw::Truncated, "truncated"),
            (nan, Flaw::OutOfRange, "out of range: expected a finite number"),
            (fortran, Flaw::Unsupported, "expected C order"),
            (long, Flaw::TooLarge, "a header of at most"),
            (deep, Flaw::WrongMagic, "dictionary"),
        ] {
            let error = parse(bytes).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.flaw(), Some(flaw), "{text}");
            assert!(text.contains(message), "{text}");
        }
        let binary = ReadOptions { kind: Some(crate::Kind::Binary), ..ReadOptions::default() };
        let error = parse_with(npy("|u1", "(2, 3)", &[1, 1, 1, 1, 9, 1]), &binary).unwrap_err();
        assert_eq!(error.flaw(), Some(Flaw::OutOfRange));
        assert!(error.to_string().contains("found 9"), "{error}");
    }
}
