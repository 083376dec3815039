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
//! An array of two axes is a table without names, of more axes one of images ([`crate::arrays`]). The elements
//! are booleans, integers, floats of 2, 4, 8 or 16 bytes, times, or strings, in either byte order. In
//! Fortran order the columns lie one after the other; such an array is taken into memory as it is.
//!
//! The header is parsed here, without recursion and within a length limit: a general parser of Python
//! literals follows nested brackets as deep as a file likes.
//!
//! # References
//!
//! NumPy documentation, `numpy.lib.format`.

use super::{Described, Source};
use crate::bytes::Input;
use crate::columns::{Cell, Sink};
use crate::error::{Error, Flaw, Place, Result, shown};
use std::path::Path;

pub(crate) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// NumPy itself pads headers to a few hundred bytes.
const MAX_HEADER_BYTES: u32 = 1 << 16;

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element {
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
    /// Times and durations, which are whole numbers of their unit.
    Time,
    /// Bytes, with zeros at the end.
    Bytes,
    /// Characters of 4 bytes, with zeros at the end.
    Characters,
}

/// Bytes that are decoded at a time.
const PIECE: usize = 1 << 18;

/// An array before its elements are read.
pub(crate) struct Array {
    pub(crate) input: Input,
    element: Element,
    descr: String,
    fortran_order: bool,
    /// All axes.
    pub(crate) axes: Vec<usize>,
    /// Where the elements begin.
    start: u64,
    /// Examples that have been read, and those that are to be.
    done: usize,
    most: usize,
    /// The elements of an array in Fortran order.
    whole: Option<Vec<u8>>,
    piece: Vec<u8>,
}

impl Array {
    /// Reads the header. At most `rows` examples are to be read.
    pub(crate) fn open(mut input: Input, rows: Option<usize>) -> Result<Self> {
        let (element, header) = header(&mut input)?;
        let Header { descr, fortran_order, shape: axes } = header;
        if axes.contains(&0) {
            let found = format!("shape {axes:?}");
            return Err(input.malformed(Place::File, Flaw::Empty, "axes of at least 1", found));
        }
        let [count, event @ ..] = &axes[..] else {
            return Err(too_few_axes(&input, &axes));
        };
        let most = rows.map_or(*count, |rows| (*count).min(rows as u64));
        let needed = if fortran_order { *count } else { most };
        let len = event.iter().fold(needed, |len, &axis| len.saturating_mul(axis));
        let what = what(&axes, element);
        input.check_room(len.saturating_mul(element.bytes as u64), &what)?;
        let start = input.offset();
        let axes: Vec<usize> = axes.iter().map(|&axis| axis as usize).collect();
        let most = most as usize;
        let (whole, piece) = (None, Vec::new());
        Ok(Self { input, element, descr, fortran_order, axes, start, done: 0, most, whole, piece })
    }

    /// Whether the columns lie one after the other, so that all elements are needed for the first example.
    fn is_by_columns(&self) -> bool {
        self.fortran_order && self.axes.len() > 1
    }

    /// What the elements are called in errors.
    fn what(&self) -> String {
        let axes: Vec<u64> = self.axes.iter().map(|&axis| axis as u64).collect();
        what(&axes, self.element)
    }

    /// The shape of an example.
    pub(crate) fn event(&self) -> &[usize] {
        &self.axes[1..]
    }

    /// The error about an array that has no examples of several values.
    pub(crate) fn too_few_axes(&self) -> Error {
        let axes: Vec<u64> = self.axes.iter().map(|&axis| axis as u64).collect();
        too_few_axes(&self.input, &axes)
    }

    /// Whether the elements are numbers.
    pub(crate) fn is_numeric(&self) -> bool {
        !matches!(self.element.kind, Kind::Bytes | Kind::Characters)
    }

    pub(crate) fn is_float(&self) -> bool {
        self.element.kind == Kind::Float
    }

    /// Examples that are still to come.
    pub(crate) fn left(&self) -> usize {
        self.most - self.done
    }

    /// Calls `take` with the index of each element of the next example in C order, its place and its value.
    pub(crate) fn example(&mut self, mut take: impl FnMut(Place, f64)) -> Result<()> {
        let width = self.event().iter().product();
        let rows = self.rows(1)?;
        for k in 0..width {
            take(rows.place(0, k), rows.number(0, k));
        }
        Ok(())
    }

    /// Checks that nothing follows the last example.
    pub(crate) fn end(&mut self) -> Result<()> {
        if self.most == self.axes[0] && !self.is_by_columns() {
            let what = self.what();
            self.input.end(&what)?;
        }
        Ok(())
    }

    /// Reads the next examples, of which there must be so many.
    fn rows(&mut self, rows: usize) -> Result<Rows<'_>> {
        let width: usize = self.axes[1..].iter().product();
        let first = self.done;
        self.done += rows;
        if self.whole.is_none() {
            let what = self.what();
            if self.is_by_columns() {
                let bytes = self.axes[0] * width * self.element.bytes;
                let mut whole = Vec::new();
                self.input.append(&mut whole, bytes as u64, &what)?;
                self.input.end(&what)?;
                self.whole = Some(whole);
            } else {
                self.piece.resize(rows * width * self.element.bytes, 0);
                self.input.fill(&mut self.piece, &what)?;
            }
        }
        let order = match self.whole {
            Some(_) => Order::Fortran { axes: &self.axes, first },
            None => Order::C { width },
        };
        let data = self.whole.as_deref().unwrap_or(&self.piece);
        let start = match self.whole {
            Some(_) => self.start,
            None => self.start + (first * width * self.element.bytes) as u64,
        };
        Ok(Rows { data, element: self.element, order, start })
    }
}

/// Some examples.
struct Rows<'a> {
    data: &'a [u8],
    element: Element,
    order: Order<'a>,
    /// Where in the file the data begins.
    start: u64,
}

enum Order<'a> {
    /// Row by row, of so many elements.
    C { width: usize },
    /// The whole array with the first axis running fastest, from example `first` on.
    Fortran { axes: &'a [usize], first: usize },
}

impl Rows<'_> {
    /// Where the element `k`, in C order, of an example is in the data.
    #[inline]
    fn at(&self, row: usize, k: usize) -> usize {
        match self.order {
            Order::C { width } => row * width + k,
            Order::Fortran { axes, first } => {
                // The index of each axis of the event, the last one running fastest in k.
                let (mut left, mut inner) = (k, axes[1..].iter().product::<usize>());
                let (mut at, mut stride) = (first + row, axes[0]);
                for &axis in &axes[1..] {
                    inner /= axis;
                    at += left / inner * stride;
                    left %= inner;
                    stride *= axis;
                }
                at
            }
        }
    }

    #[inline]
    fn raw(&self, row: usize, k: usize) -> &[u8] {
        let bytes = self.element.bytes;
        &self.data[self.at(row, k) * bytes..][..bytes]
    }

    #[inline]
    fn number(&self, row: usize, k: usize) -> f64 {
        self.element.decode(self.raw(row, k))
    }

    fn place(&self, row: usize, k: usize) -> Place {
        Place::Byte(self.start + (self.at(row, k) * self.element.bytes) as u64)
    }
}

/// A table without names: an array of two axes, or of one, which is a column.
pub(crate) struct Npy {
    array: Array,
    width: usize,
    /// A column of a `.npz` beside it, with its name.
    beside: Option<(String, Array)>,
}

impl Npy {
    pub(crate) fn new(array: Array, beside: Option<(String, Array)>) -> Result<Self> {
        let [rows, ref rest @ ..] = array.axes[..] else {
            return Err(array.too_few_axes());
        };
        let width = rest.iter().product::<usize>();
        if let Some((name, beside)) = &beside
            && beside.axes.iter().product::<usize>() != rows
        {
            let expected = format!("one value for each of {rows} rows");
            let found = format!("shape {:?}", beside.axes);
            return Err(Error::inconsistent(
                format!("{}: {name}", array.input.path().display()),
                "labels",
                expected,
                found,
            ));
        }
        Ok(Self { array, width, beside })
    }
}

impl Source for Npy {
    fn path(&self) -> &Path {
        self.array.input.path()
    }

    fn names(&self) -> Option<&[String]> {
        None
    }

    fn width(&self) -> usize {
        self.width + usize::from(self.beside.is_some())
    }

    fn beside(&self) -> Option<&str> {
        self.beside.as_ref().map(|(name, _)| name.as_str())
    }

    fn describe(&self) -> Described {
        let (element, fortran_order) = (self.array.descr.clone(), self.array.fortran_order);
        Described::Array { element, fortran_order }
    }

    fn progress(&self) -> (u64, u64) {
        match self.array.whole {
            Some(_) => (self.array.done as u64, self.array.most as u64),
            None => self.array.input.progress(),
        }
    }

    fn read(&mut self, most: usize, sink: &mut Sink) -> Result<bool> {
        let of_row = (self.width * self.array.element.bytes).max(1);
        let mut left = most;
        while left > 0 && self.array.left() > 0 {
            let count = (PIECE / of_row).max(1).min(left).min(self.array.left());
            left -= count;
            push(&self.array.rows(count)?, count, 0, self.width, sink);
            if let Some((_, beside)) = &mut self.beside {
                push(&beside.rows(count)?, count, self.width, 1, sink);
            }
            sink.end_rows(count);
        }
        if self.array.left() == 0 {
            self.array.end()?;
            return Ok(false);
        }
        Ok(true)
    }
}

/// Gives columns of some rows to the sink, from column `first` of the file on.
fn push(rows: &Rows<'_>, count: usize, first: usize, width: usize, sink: &mut Sink) {
    let element = rows.element;
    for k in (0..width).filter(|k| sink.wants(first + k)).collect::<Vec<_>>() {
        let column = first + k;
        let raw = (0..count).map(|row| rows.raw(row, k));
        match element.kind {
            Kind::Bool | Kind::Unsigned | Kind::Signed | Kind::Time if element.bytes == 1 => {
                let is_signed = element.kind == Kind::Signed;
                sink.cells(
                    column,
                    raw.map(|raw| {
                        Cell::Whole(match is_signed {
                            true => i64::from(raw[0].cast_signed()),
                            false => i64::from(raw[0]),
                        })
                    }),
                );
            }
            Kind::Float => sink.cells(column, raw.map(|raw| Cell::Float(element.decode(raw)))),
            Kind::Unsigned if raw.clone().any(|raw| element.is_beyond_i64(raw)) => {
                for raw in raw.collect::<Vec<_>>() {
                    // The digits, which are exact.
                    match element.is_beyond_i64(raw) {
                        true => {
                            sink.cell(column, Cell::Text(element.word(raw).to_string().as_bytes()));
                        }
                        false => sink.cell(column, element.whole(raw)),
                    }
                }
            }
            Kind::Bool | Kind::Unsigned | Kind::Signed | Kind::Time => {
                sink.cells(column, raw.map(|raw| element.whole(raw)));
            }
            Kind::Bytes => sink.cells(column, raw.map(|raw| Cell::Text(without_zeros(raw)))),
            Kind::Characters => {
                for raw in raw.collect::<Vec<_>>() {
                    let characters = raw.chunks_exact(4).map(|raw| element.word(raw) as u32);
                    let text: String = characters
                        .take_while(|&character| character != 0)
                        .map(|character| char::from_u32(character).unwrap_or('\u{fffd}'))
                        .collect();
                    sink.cell(column, Cell::Text(text.as_bytes()));
                }
            }
        }
    }
}

fn without_zeros(raw: &[u8]) -> &[u8] {
    let end = raw.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &raw[..end]
}

fn what(axes: &[u64], element: Element) -> String {
    format!("elements (shape {axes:?}, {} bytes each)", element.bytes)
}

fn too_few_axes(input: &Input, axes: &[u64]) -> Error {
    let expected = "two axes or more, the first counting examples";
    input
        .malformed(Place::File, Flaw::Unsupported, expected, format!("shape {axes:?}"))
        .advise("reshape the array to [examples, 1]")
}

fn header(input: &mut Input) -> Result<(Element, Header)> {
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
    let words = String::from_utf8_lossy(&text).into_owned();
    let unsupported = |found: &str, hint: &str| {
        let expected = "an element type among b1, u1 to u8, i1 to i8, f2 to f16, M8, m8, S, U";
        input.malformed(Place::Byte(start), Flaw::Unsupported, expected, found).advise(hint)
    };
    let Some(header) = Header::parse(&text) else {
        if words.contains("'descr': [") {
            return Err(unsupported(
                "records of several fields",
                "save the fields as columns: np.lib.recfunctions.structured_to_unstructured(array), or \
                 pandas.DataFrame(array).to_parquet('table.parquet') to keep their names",
            ));
        }
        let expected =
            "a dictionary of 'descr', 'fortran_order' and 'shape' with a plain element type";
        let found = shown(&text);
        return Err(input.malformed(Place::Byte(start), Flaw::WrongMagic, expected, found));
    };
    let Some(element) = Element::parse(&header.descr) else {
        let hint = match header.descr.trim_start_matches(['<', '>', '|', '=']).as_bytes() {
            [b'O', ..] => {
                "Python objects are pickled, which runs code when it is read: save \
                 array.astype(float), or words as pandas.DataFrame(array).to_parquet('table.parquet')"
            }
            [b'c', ..] => {
                "a complex number is two real ones: save np.concatenate([array.real, array.imag], axis=1)"
            }
            _ => "save array.astype(np.float64)",
        };
        return Err(unsupported(&shown(header.descr.as_bytes()), hint));
    };
    Ok((element, header))
}

impl Element {
    fn parse(descr: &str) -> Option<Self> {
        let (order, rest) = match descr.as_bytes() {
            [order @ (b'<' | b'>' | b'|' | b'='), rest @ ..] => (*order, rest),
            rest => (b'=', rest),
        };
        let length = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok()?;
            digits.parse::<usize>().ok().filter(|len| (1..=1 << 20).contains(len))
        };
        let (kind, bytes) = match rest {
            b"b1" | b"?" => (Kind::Bool, 1),
            [b'u', size @ (b'1' | b'2' | b'4' | b'8')] => {
                (Kind::Unsigned, usize::from(size - b'0'))
            }
            [b'i', size @ (b'1' | b'2' | b'4' | b'8')] => (Kind::Signed, usize::from(size - b'0')),
            [b'f', size @ (b'2' | b'4' | b'8')] => (Kind::Float, usize::from(size - b'0')),
            b"f16" => (Kind::Float, 16),
            [b'M' | b'm', b'8', ..] => (Kind::Time, 8),
            [b'S' | b'a', digits @ ..] => (Kind::Bytes, length(digits)?),
            [b'U', digits @ ..] => (Kind::Characters, 4 * length(digits)?),
            _ => return None,
        };
        // A file written with the native order of an unknown machine: nearly all are little.
        Some(Self { kind, bytes, big_endian: order == b'>' })
    }

    /// The bits of an element of at most 8 bytes.
    #[inline]
    fn word(self, raw: &[u8]) -> u64 {
        let mut word = [0; 8];
        for (to, &from) in word.iter_mut().zip(raw) {
            *to = from;
        }
        if self.big_endian {
            word[..raw.len().min(8)].reverse();
        }
        u64::from_le_bytes(word)
    }

    /// Whether an unsigned integer is larger than any signed one.
    fn is_beyond_i64(self, raw: &[u8]) -> bool {
        self.bytes == 8 && i64::try_from(self.word(raw)).is_err()
    }

    /// A whole number within what 64 bits with a sign hold.
    fn whole(self, raw: &[u8]) -> Cell<'static> {
        let word = self.word(raw);
        let unused = 64 - 8 * self.bytes as u32;
        match self.kind {
            Kind::Bool => Cell::Whole(i64::from(word != 0)),
            // What NumPy calls NaT.
            Kind::Time if word == 1 << 63 => Cell::Missing,
            _ => Cell::Whole((word << unused).cast_signed() >> unused),
        }
    }

    /// The value of one element; integers beyond 2^53 are rounded.
    #[inline]
    fn decode(self, raw: &[u8]) -> f64 {
        if self.bytes == 16 {
            return self.extended(raw);
        }
        let word = self.word(raw);
        let unused = 64 - 8 * self.bytes as u32;
        match (self.kind, self.bytes) {
            (Kind::Float, 2) => half(word as u16),
            (Kind::Float, 4) => f64::from(f32::from_bits(word as u32)),
            (Kind::Float, _) => f64::from_bits(word),
            (Kind::Bool, _) => f64::from(u8::from(word != 0)),
            (Kind::Unsigned, _) => word as f64,
            _ => ((word << unused).cast_signed() >> unused) as f64,
        }
    }

    /// The extended precision of x86, 80 bits in 16 bytes: sign and exponent above a mantissa whose first bit
    /// is written out.
    fn extended(self, raw: &[u8]) -> f64 {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&raw[..16]);
        if self.big_endian {
            bytes.reverse();
        }
        let all = u128::from_le_bytes(bytes);
        let (mantissa, head) = (all as u64, (all >> 64) as u16);
        let exponent = i32::from(head & 0x7fff);
        let sign = if head >> 15 == 1 { -1.0 } else { 1.0 };
        if exponent == 0x7fff {
            return if mantissa << 1 == 0 { sign * f64::INFINITY } else { f64::NAN };
        }
        // 2^1023 is the largest power: two factors reach further.
        let power = exponent - 16_383 - 63;
        sign * mantissa as f64 * 2_f64.powi(power / 2) * 2_f64.powi(power - power / 2)
    }
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[derive(Debug, PartialEq, Eq)]
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<u64>,
}

impl Header {
    /// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim();
        let mut rest = text.strip_prefix('{')?.strip_suffix('}')?.trim_start();
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, after) = string(rest)?;
            rest = after.trim_start().strip_prefix(':')?.trim_start();
            match key {
                "descr" if descr.is_none() => {
                    let (value, after) = string(rest)?;
                    descr = Some(value.to_owned());
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
