//! IDX, the format of MNIST and Fashion-MNIST.
//!
//! ```text
//! byte 0-1  zero
//! byte 2    element type: 0x08 is u8, the only one read here
//! byte 3    number of axes
//! then      each axis, big-endian u32; the first one counts examples
//! then      the elements, row-major, and nothing more
//! ```
//!
//! # References
//!
//! Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "File
//! formats for the MNIST database".

use super::numbers::Numbers;
use crate::bytes::Input;
use crate::dataset::Dataset;
use crate::error::{Flaw, Place, Result};
use crate::read::{ReadOptions, Step, name_of, symbols_of_bytes};

/// Whether a file starts like IDX.
pub(crate) fn is_magic(start: &[u8]) -> bool {
    matches!(start, [0, 0, 0x08..=0x0e, 1..=255, ..])
}

/// Reads images or other events of bytes: two axes or more.
pub(crate) fn read(input: &mut Input, options: &ReadOptions) -> Result<Dataset> {
    let axes = header(input)?;
    let (count, event) = examples(input, &axes)?;
    let data = elements(input, &axes, count, options.rows)?;
    let start = 4 + 4 * axes.len() as u64;
    let values = symbols_of_bytes(input, data, options, |index| Place::Byte(start + index as u64))?;
    let shape: Vec<usize> = event.iter().map(|&axis| axis as usize).collect();
    Dataset::new(name_of(input.path()), values, &shape)
}

/// The examples of a file, one at a time.
pub(crate) struct Rows {
    pub(crate) input: Input,
    /// The shape of one example.
    pub(crate) shape: Vec<usize>,
    /// Examples that are still to come.
    left: u32,
    /// What the elements are called in errors.
    what: String,
    example: Vec<u8>,
}

impl Rows {
    /// Reads the header.
    pub(crate) fn new(mut input: Input) -> Result<Self> {
        let axes = header(&mut input)?;
        let (left, event) = examples(&input, &axes)?;
        let shape = event.iter().map(|&axis| axis as usize).collect();
        let what = check_room(&input, &axes, left, left)?.0;
        Ok(Self { input, shape, left, what, example: Vec::new() })
    }

    /// Adds the next example to `numbers`.
    pub(crate) fn next(&mut self, numbers: &mut Numbers) -> Result<Step> {
        let Self { input, shape, left, what, example } = self;
        if *left == 0 {
            input.end(what)?;
            return Ok(Step::End);
        }
        *left -= 1;
        let start = input.offset();
        example.resize(shape.iter().product(), 0);
        input.fill(example, what)?;
        Ok(numbers.push_bytes(example).map_or_else(
            |(index, refused)| {
                let place = Place::Byte(start + index as u64);
                Step::Bad(refused.at(input.path(), place, example[index].to_string()))
            },
            |()| Step::Row,
        ))
    }
}

/// The number of examples and the axes of one.
fn examples<'a>(input: &Input, axes: &'a [u32]) -> Result<(u32, &'a [u32])> {
    match axes {
        [count, event @ ..] if !event.is_empty() => Ok((*count, event)),
        _ => Err(too_few_axes(input)),
    }
}

/// Reads labels: one axis.
pub(crate) fn read_labels(input: &mut Input) -> Result<Vec<u8>> {
    let axes = header(input)?;
    let [count] = axes[..] else {
        let found = format!("{} axes", axes.len());
        return Err(input.malformed(Place::Byte(3), Flaw::WrongMagic, "one axis of labels", found));
    };
    elements(input, &axes, count, None)
}

fn too_few_axes(input: &Input) -> crate::Error {
    input
        .malformed(Place::Byte(3), Flaw::Unsupported, "two axes or more", "one axis")
        .advise("this is a file of labels; name the file of images")
}

fn header(input: &mut Input) -> Result<Vec<u32>> {
    if input.peek()?.is_empty() {
        return Err(input.malformed(Place::File, Flaw::Empty, "an IDX file", "no bytes"));
    }
    let magic: [u8; 4] = input.array("IDX magic")?;
    let [0, 0, element, axes] = magic else {
        return Err(wrong_magic(input, magic));
    };
    if !is_magic(&magic) {
        return Err(wrong_magic(input, magic));
    }
    if element != 0x08 {
        let expected = "elements of type 0x08 (unsigned bytes)";
        let found = format!("type {element:#04x}");
        return Err(input.malformed(Place::Byte(2), Flaw::Unsupported, expected, found));
    }
    (0..axes).map(|_| Ok(u32::from_be_bytes(input.array("IDX axis")?))).collect()
}

fn wrong_magic(input: &Input, magic: [u8; 4]) -> crate::Error {
    let expected = "00 00, an element type from 08 to 0e and a number of axes";
    let found = magic.map(|byte| format!("{byte:02x}")).join(" ");
    input.malformed(Place::Byte(0), Flaw::WrongMagic, expected, found)
}

/// The elements of all `count` examples, or of at most the first `rows`.
fn elements(input: &mut Input, axes: &[u32], count: u32, rows: Option<usize>) -> Result<Vec<u8>> {
    let read = rows.map_or(count, |rows| count.min(u32::try_from(rows).unwrap_or(u32::MAX)));
    let (what, len) = check_room(input, axes, count, read)?;
    let mut data = Vec::new();
    input.append(&mut data, len, &what)?;
    if read == count {
        input.end(&what)?;
    }
    Ok(data)
}

/// What the elements are called in errors, and how many there are in the first `read` of `count`
/// examples; the file can hold them.
fn check_room(input: &Input, axes: &[u32], count: u32, read: u32) -> Result<(String, u64)> {
    let what = format!("elements ({count} examples, axes {axes:?})");
    if axes.contains(&0) {
        let expected = "axes of at least 1";
        return Err(input.malformed(Place::Byte(4), Flaw::Empty, expected, format!("{axes:?}")));
    }
    // The product may pass u64; saturated, it is above every limit.
    let event = axes.iter().skip(1);
    let len = event.fold(u64::from(read), |len, &axis| len.saturating_mul(u64::from(axis)));
    input.check_room(len, &what)?;
    Ok((what, len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use std::path::Path;

    pub(crate) fn idx(axes: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, axes.len() as u8];
        axes.iter().for_each(|axis| bytes.extend(axis.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    fn parse(bytes: Vec<u8>, options: &ReadOptions) -> Result<Dataset> {
        read(&mut Input::from_bytes(Path::new("dir/images"), bytes, 1 << 30)?, options)
    }

    #[test]
    fn images_and_labels_are_read() {
        let data = parse(idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 255]), &ReadOptions::default()).unwrap();
        assert_eq!((data.len(), data.shape()), (2, &[1, 3][..]));
        assert_eq!(data.symbols().unwrap(), (&[1, 2, 3, 4, 5, 255][..], 256));
        assert_eq!(data.name(), "images");
        let labels = idx(&[3], &[9, 0, 1]);
        let mut input = Input::from_bytes(Path::new("labels"), labels, 100).unwrap();
        assert_eq!(read_labels(&mut input).unwrap(), [9, 0, 1]);
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
        let binary = ReadOptions { kind: Some(Kind::Binary), ..ReadOptions::default() };
        let huge = idx(&[u32::MAX, u32::MAX, u32::MAX], &[]);
        for (bytes, options, flaw, message) in [
            (vec![], &open, Flaw::Empty, "expected an IDX file, found no bytes"),
            (
                good[..20].to_vec(),
                &open,
                Flaw::Truncated,
                "byte 16: truncated: expected 6 bytes of elements (2 examples, axes [2, 1, 3]), \
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
            (with(2, 0x0d), &open, Flaw::Unsupported, "byte 2: unsupported"),
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
