//! IDX, the format of MNIST and Fashion-MNIST.
//!
//! ```text
//! byte 0-1  zero
//! byte 2    element type: 08 u8, 09 i8, 0b i16, 0c i32, 0d f32, 0e f64, all big-endian
//! byte 3    number of axes
//! then      each axis, big-endian u32; the first one counts examples
//! then      the elements, row-major, and nothing more
//! ```
//!
//! Bytes (08) are symbols of 256 levels, as in all formats of images. The other types mean what they mean in
//! a `.npy`: whole numbers are symbols if all are within 0 to 255, else reals; floats are reals.
//!
//! # References
//!
//! Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "File
//! formats for the MNIST database".

use super::numbers::Numbers;
use super::values::{Step, symbols_of_bytes, wrong_label};
use crate::bytes::Input;
use crate::columns::as_byte;
use crate::dataset::{Dataset, Values, name_of};
use crate::error::{Flaw, Place, Result};
use crate::options::ReadOptions;

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    U8,
    I8,
    I16,
    I32,
    F32,
    F64,
}

impl Element {
    /// The types that there are, for errors.
    const KNOWN: &str =
        "an element type among 08 (u8), 09 (i8), 0b (i16), 0c (i32), 0d (f32), 0e (f64)";

    fn of(code: u8) -> Option<Self> {
        Some(match code {
            0x08 => Self::U8,
            0x09 => Self::I8,
            0x0b => Self::I16,
            0x0c => Self::I32,
            0x0d => Self::F32,
            0x0e => Self::F64,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// The value of one element.
    fn decode(self, raw: &[u8]) -> f64 {
        let word = raw.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        match self {
            Self::U8 => f64::from(word as u8),
            Self::I8 => f64::from((word as u8).cast_signed()),
            Self::I16 => f64::from((word as u16).cast_signed()),
            Self::I32 => f64::from((word as u32).cast_signed()),
            Self::F32 => f64::from(f32::from_bits(word as u32)),
            Self::F64 => f64::from_bits(word),
        }
    }
}

/// Whether a file starts like IDX.
pub(crate) fn is_magic(start: &[u8]) -> bool {
    matches!(start, [0, 0, 0x08..=0x0e, 1..=255, ..])
}

/// Reads images or other events, two axes or more, and gives the file back for its digest.
pub(crate) fn read(input: Input, options: &ReadOptions) -> Result<(Dataset, Input)> {
    let mut rows = Rows::new(input, options.rows)?;
    let values = if rows.is_bytes() { rows.bytes(options)? } else { rows.numbers(options)? };
    let name = name_of(rows.input.path());
    Ok((Dataset::new(name, values, &rows.shape)?, rows.input))
}

/// The examples of a file, one at a time.
pub(crate) struct Rows {
    pub(crate) input: Input,
    element: Element,
    /// The shape of one example.
    pub(crate) shape: Vec<usize>,
    /// Examples that are still to come.
    left: u32,
    /// Whether the file ends with them.
    is_all: bool,
    /// What the elements are called in errors.
    what: String,
    example: Vec<u8>,
}

impl Rows {
    /// Reads the header. At most `rows` examples are to be read.
    pub(crate) fn new(mut input: Input, rows: Option<usize>) -> Result<Self> {
        let (element, axes) = header(&mut input)?;
        let [count, event @ ..] = &axes[..] else {
            return Err(too_few_axes(&input));
        };
        if event.is_empty() {
            return Err(too_few_axes(&input));
        }
        let left = rows.map_or(*count, |rows| u32::try_from(rows).unwrap_or(u32::MAX).min(*count));
        let what = check_room(&input, element, &axes, left)?;
        let shape = event.iter().map(|&axis| axis as usize).collect();
        let is_all = left == *count;
        Ok(Self { input, element, shape, left, is_all, what, example: Vec::new() })
    }

    /// Whether the elements are bytes, which have 256 levels.
    pub(crate) fn is_bytes(&self) -> bool {
        self.element == Element::U8
    }

    /// Adds the next example to `numbers`.
    pub(crate) fn next(&mut self, numbers: &mut Numbers) -> Result<Step> {
        if self.left == 0 {
            self.end()?;
            return Ok(Step::End);
        }
        let Self { input, element, shape, left, what, example, .. } = self;
        *left -= 1;
        let (start, size) = (input.offset(), element.bytes());
        example.resize(shape.iter().product::<usize>() * size, 0);
        input.fill(example, what)?;
        let pushed = match element {
            Element::U8 => numbers.push_bytes(example),
            _ => example.chunks_exact(size).enumerate().try_for_each(|(index, raw)| {
                numbers.push(element.decode(raw)).map_err(|refused| (index, refused))
            }),
        };
        Ok(pushed.map_or_else(
            |(index, refused)| {
                let place = Place::Byte(start + (index * size) as u64);
                let found = element.decode(&example[index * size..][..size]);
                Step::Bad(refused.at(input.path(), place, found.to_string()))
            },
            |()| Step::Row,
        ))
    }

    /// All examples of a file of bytes, in one piece.
    fn bytes(&mut self, options: &ReadOptions) -> Result<Values> {
        let start = self.input.offset();
        let mut data = Vec::new();
        self.input.append(&mut data, self.values() as u64, &self.what)?;
        self.end()?;
        symbols_of_bytes(&self.input, data, options, |index| Place::Byte(start + index as u64))
    }

    /// All examples of a file of other numbers.
    fn numbers(&mut self, options: &ReadOptions) -> Result<Values> {
        let count = self.values();
        let mut numbers = Numbers::of_array(self.element.is_float(), options);
        if !numbers.reserve(count) {
            return Err(self.input.no_memory(count as u64));
        }
        numbers.fill(|numbers| self.next(numbers))?;
        Ok(numbers.finish())
    }

    /// How many values are still to come; the header was checked against the file, so they are not too many.
    fn values(&self) -> usize {
        self.left as usize * self.shape.iter().product::<usize>()
    }

    /// Checks that nothing follows the last example.
    fn end(&mut self) -> Result<()> {
        if self.is_all { self.input.end(&self.what) } else { Ok(()) }
    }
}

/// Reads labels, one axis, and gives the file back for its digest.
pub(crate) fn read_labels(mut input: Input) -> Result<(Vec<u8>, Input)> {
    let (element, axes) = header(&mut input)?;
    let [count] = axes[..] else {
        let found = format!("{} axes", axes.len());
        return Err(input
            .malformed(Place::Byte(3), Flaw::WrongMagic, "one axis of labels", found)
            .advise(
                "this is a file of images; name the file of their labels (…-labels-idx1-ubyte)",
            ));
    };
    let what = check_room(&input, element, &axes, count)?;
    let (start, size) = (input.offset(), element.bytes());
    let mut raw = Vec::new();
    input.append(&mut raw, u64::from(count) * size as u64, &what)?;
    input.end(&what)?;
    if element == Element::U8 {
        return Ok((raw, input));
    }
    let label = |(index, raw)| {
        let value = element.decode(raw);
        let place = Place::Byte(start + (index * size) as u64);
        as_byte(value).ok_or_else(|| wrong_label(input.path(), place, value))
    };
    let labels = raw.chunks_exact(size).enumerate().map(label).collect::<Result<_>>()?;
    Ok((labels, input))
}

fn too_few_axes(input: &Input) -> crate::Error {
    input
        .malformed(Place::Byte(3), Flaw::Unsupported, "two axes or more", "one axis")
        .advise("this is a file of labels; name the file of images")
}

/// The type of the elements and all axes, of which there is at least one.
fn header(input: &mut Input) -> Result<(Element, Vec<u32>)> {
    if input.peek()?.is_empty() {
        return Err(input.malformed(Place::File, Flaw::Empty, "an IDX file", "no bytes"));
    }
    let magic: [u8; 4] = input.array("IDX magic")?;
    let [0, 0, code, axes @ 1..=255] = magic else {
        let expected = "00 00, an element type from 08 to 0e and a number of axes";
        let found = magic.map(|byte| format!("{byte:02x}")).join(" ");
        return Err(input.malformed(Place::Byte(0), Flaw::WrongMagic, expected, found));
    };
    let Some(element) = Element::of(code) else {
        let found = format!("{code:02x}");
        let error = input.malformed(Place::Byte(2), Flaw::Unsupported, Element::KNOWN, found);
        return Err(error);
    };
    let axes = (0..axes).map(|_| Ok(u32::from_be_bytes(input.array("IDX axis")?)));
    Ok((element, axes.collect::<Result<_>>()?))
}

/// What the elements are called in errors; the file can hold those of the first `read` examples.
fn check_room(input: &Input, element: Element, axes: &[u32], read: u32) -> Result<String> {
    let count = axes.first().copied().unwrap_or_default();
    let what = format!("{} elements ({count} examples, axes {axes:?})", element.name());
    if axes.contains(&0) {
        let expected = "axes of at least 1";
        return Err(input.malformed(Place::Byte(4), Flaw::Empty, expected, format!("{axes:?}")));
    }
    // The product may pass u64; saturated, it is above every limit.
    let bytes = u64::from(read).saturating_mul(element.bytes() as u64);
    let event = axes.iter().skip(1);
    let bytes = event.fold(bytes, |bytes, &axis| bytes.saturating_mul(u64::from(axis)));
    input.check_room(bytes, &what)?;
    Ok(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chunks, Kind, read_labels as labels_of, read_path};
    use std::path::Path;

    fn idx_of(code: u8, axes: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, code, axes.len() as u8];
        axes.iter().for_each(|axis| bytes.extend(axis.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    fn idx(axes: &[u32], data: &[u8]) -> Vec<u8> {
        idx_of(8, axes, data)
    }

    /// Elements of a type.
    fn encoded(code: u8, values: &[f64]) -> Vec<u8> {
        let of = |&value: &f64| match code {
            0x09 => (value as i8).to_be_bytes().to_vec(),
            0x0b => (value as i16).to_be_bytes().to_vec(),
            0x0c => (value as i32).to_be_bytes().to_vec(),
            0x0d => (value as f32).to_be_bytes().to_vec(),
            0x0e => value.to_be_bytes().to_vec(),
            _ => vec![value as u8],
        };
        values.iter().flat_map(of).collect()
    }

    fn input(bytes: Vec<u8>) -> Input {
        Input::from_bytes(Path::new("dir/images"), bytes, 1 << 30).unwrap()
    }

    fn parse(bytes: Vec<u8>, options: &ReadOptions) -> Result<Dataset> {
        read(input(bytes), options).map(|(data, _)| data)
    }

    fn labels(bytes: Vec<u8>) -> Result<Vec<u8>> {
        read_labels(input(bytes)).map(|(labels, _)| labels)
    }

    fn kind(kind: Kind) -> ReadOptions {
        ReadOptions { kind: Some(kind), ..ReadOptions::default() }
    }

    #[test]
    fn images_and_labels_are_read() {
        let data = parse(idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 255]), &ReadOptions::default()).unwrap();
        assert_eq!((data.len(), data.shape()), (2, &[1, 3][..]));
        assert_eq!(data.symbols().unwrap(), (&[1, 2, 3, 4, 5, 255][..], 256));
        assert_eq!(data.name(), "images");
        assert_eq!(labels(idx(&[3], &[9, 0, 1])).unwrap(), [9, 0, 1]);
    }

    #[test]
    fn whole_numbers_are_symbols_where_all_of_them_can_be() {
        let open = ReadOptions::default();
        for code in [0x09, 0x0b, 0x0c] {
            let images = |values: &[f64]| idx_of(code, &[2, 1, 2], &encoded(code, values));
            let data = parse(images(&[0.0, 3.0, 0.0, 3.0]), &open).unwrap();
            assert_eq!(data.shape(), [1, 2], "{code:02x}");
            assert_eq!(data.symbols().unwrap(), (&[0, 3, 0, 3][..], 4), "{code:02x}");
            let below = parse(images(&[0.0, 3.0, -1.0, -128.0]), &open).unwrap();
            assert_eq!(below.reals().unwrap(), [0.0, 3.0, -1.0, -128.0], "{code:02x}");
            let real = parse(images(&[0.0, 3.0, 0.0, 3.0]), &kind(Kind::Real)).unwrap();
            assert_eq!(real.reals().unwrap(), [0.0, 3.0, 0.0, 3.0], "{code:02x}");
        }
        let wide = |code, values: &[f64]| {
            parse(idx_of(code, &[1, 2], &encoded(code, values)), &open).unwrap()
        };
        assert_eq!(wide(0x0b, &[256.0, -32_768.0]).reals().unwrap(), [256.0, -32_768.0]);
        assert_eq!(wide(0x0c, &[255.0, 2e9]).reals().unwrap(), [255.0, 2e9]);
        assert_eq!(wide(0x0c, &[255.0, 1.0]).symbols().unwrap(), (&[255, 1][..], 256));
    }

    #[test]
    fn floats_are_reals_unless_a_kind_is_stated() {
        for code in [0x0d, 0x0e] {
            let bits = idx_of(code, &[2, 2], &encoded(code, &[0.0, 1.0, 1.0, 0.0]));
            let data = parse(bits.clone(), &ReadOptions::default()).unwrap();
            assert_eq!(data.reals().unwrap(), [0.0, 1.0, 1.0, 0.0], "{code:02x}");
            let data = parse(bits, &kind(Kind::Binary)).unwrap();
            assert_eq!(data.symbols().unwrap(), (&[0, 1, 1, 0][..], 2), "{code:02x}");
            let halves = idx_of(code, &[1, 2], &encoded(code, &[0.5, -1e9]));
            let data = parse(halves.clone(), &ReadOptions::default()).unwrap();
            assert_eq!(data.reals().unwrap(), [0.5, -1e9], "{code:02x}");
            let error = parse(halves, &kind(Kind::Symbols)).unwrap_err().to_string();
            assert!(error.contains("byte 12: out of range"), "{error}");
            assert!(error.contains("from 0 to 255, found 0.5"), "{error}");
        }
    }

    #[test]
    fn labels_are_of_any_type_and_from_0_to_255() {
        for code in [0x09, 0x0b, 0x0c, 0x0e] {
            let of = |values: &[f64]| labels(idx_of(code, &[3], &encoded(code, values)));
            assert_eq!(of(&[9.0, 0.0, 127.0]).unwrap(), [9, 0, 127], "{code:02x}");
            let size = Element::of(code).unwrap().bytes();
            let error = of(&[9.0, -1.0, -2.0]).unwrap_err().to_string();
            let place = format!("dir/images: byte {}: out of range", 8 + size);
            assert!(error.starts_with(&place), "{error}");
            assert!(error.ends_with("expected a label from 0 to 255, found -1"), "{error}");
        }
    }

    #[test]
    fn the_first_rows_and_chunks_are_those_of_the_whole() {
        let dir = tempfile::tempdir().unwrap();
        for (code, of_kind) in [(8, Kind::Symbols), (0x0b, Kind::Symbols), (0x0d, Kind::Real)] {
            let path = dir.path().join(format!("{code}-idx2-ubyte"));
            let values: Vec<f64> = (0..10).map(f64::from).collect();
            let bytes = idx_of(code, &[5, 2], &encoded(code, &values));
            std::fs::write(&path, &bytes).unwrap();
            let stated = ReadOptions { shape: Some(vec![2]), ..kind(of_kind) };
            let whole = read_path(&path, &stated).unwrap();
            let mut chunks = Chunks::open(&path, &stated, 2).unwrap();
            assert_eq!(chunks.levels_of_format(), (code == 8).then_some(256));
            let rows: Vec<usize> = chunks.by_ref().map(|chunk| chunk.unwrap().data.len()).collect();
            assert_eq!(rows, [2, 2, 1]);
            let chunks = Chunks::open(&path, &stated, 2).unwrap();
            let (pieces, bad) = chunks.into_whole(&path).unwrap();
            assert!(bad.is_empty());
            assert_eq!(pieces.symbols().ok(), whole.symbols().ok());
            assert_eq!(pieces.reals().ok(), whole.reals().ok());
            // What comes after the first rows does not count, not even that it is not there.
            std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
            assert!(read_path(&path, &stated).is_err());
            let first = ReadOptions { rows: Some(3), ..stated };
            assert_eq!(read_path(&path, &first).unwrap().len(), 3);
            let chunks = Chunks::open(&path, &first, 2).unwrap();
            assert_eq!(chunks.into_whole(&path).unwrap().0.len(), 3);
        }
        let path = dir.path().join("labels-idx1-ubyte");
        std::fs::write(&path, idx_of(0x0c, &[2], &encoded(0x0c, &[7.0, 255.0]))).unwrap();
        assert_eq!(labels_of(&path).unwrap(), [7, 255]);
    }

    #[test]
    fn malformed_files_are_named() {
        let good = idx(&[2, 1, 3], &[1; 6]);
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            bytes
        };
        let open = ReadOptions::default();
        let binary = kind(Kind::Binary);
        let shorts = |data: &[u8]| idx_of(0x0b, &[2, 1, 3], data);
        let huge = idx(&[u32::MAX, u32::MAX, u32::MAX], &[]);
        for (bytes, options, flaw, message) in [
            (vec![], &open, Flaw::Empty, "expected an IDX file, found no bytes"),
            (
                good[..20].to_vec(),
                &open,
                Flaw::Truncated,
                "byte 16: truncated: expected 6 bytes of u8 elements (2 examples, axes [2, 1, 3]), \
                 found 4",
            ),
            (good[..9].to_vec(), &open, Flaw::Truncated, "byte 8: truncated: expected 4 bytes"),
            (
                [&good[..], &[0]].concat(),
                &open,
                Flaw::Oversized,
                "byte 22: oversized: expected the end of the file",
            ),
            (with(0, 1), &open, Flaw::WrongMagic, "found 01 00 08 03"),
            (
                with(2, 0x0a),
                &open,
                Flaw::Unsupported,
                "byte 2: unsupported: expected an element type among 08 (u8), 09 (i8), 0b (i16), \
                 0c (i32), 0d (f32), 0e (f64), found 0a",
            ),
            (with(2, 0x0f), &open, Flaw::Unsupported, "found 0f"),
            (with(3, 0), &open, Flaw::WrongMagic, "found 00 00 08 00"),
            (
                shorts(&[0; 6]),
                &open,
                Flaw::Truncated,
                "expected 12 bytes of i16 elements (2 examples, axes [2, 1, 3]), found 6",
            ),
            (shorts(&[0; 13]), &open, Flaw::Oversized, "byte 28: oversized"),
            (
                idx_of(0x0e, &[1, 2], &encoded(0x0e, &[1.0, f64::NAN])),
                &open,
                Flaw::OutOfRange,
                "byte 20: out of range: expected a finite number, found NaN",
            ),
            // So many elements are allowed, so many bytes are not.
            (idx_of(0x0e, &[1 << 20, 1 << 8], &[]), &open, Flaw::TooLarge, "2147483648 bytes"),
            (with(7, 0), &open, Flaw::Empty, "found [0, 1, 3]"),
            (idx(&[2], &[1; 2]), &open, Flaw::Unsupported, "expected two axes or more"),
            (huge, &open, Flaw::TooLarge, "too large: expected at most 1073741824 bytes"),
            (with(20, 2), &binary, Flaw::OutOfRange, "byte 20: out of range: expected 0 or 1"),
        ] {
            let error = parse(bytes, options).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.flaw(), Some(flaw), "{text}");
            assert!(text.starts_with("dir/images: ") && text.contains(message), "{text}");
        }
    }
}
