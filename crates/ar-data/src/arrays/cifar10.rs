//! The binary version of CIFAR-10.
//!
//! A file is a row of records and nothing else: one label byte (0 to 9), then 1024 red, 1024 green
//! and 1024 blue bytes, each plane 32 × 32 row-major. Events have the shape `[3, 32, 32]`.
//!
//! # References
//!
//! A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009, and the page "The
//! CIFAR-10 dataset", section "Binary version".

use super::numbers::Numbers;
use super::values::{Step, symbols_of_bytes};
use crate::bytes::Input;
use crate::dataset::{Dataset, name_of};
use crate::error::{Error, Flaw, Place, Result};
use crate::options::ReadOptions;

/// `[channels, rows, columns]`.
pub(crate) const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = SHAPE[0] * SHAPE[1] * SHAPE[2];
const RECORD: usize = 1 + PIXELS;
const CLASSES: u8 = 10;

/// Reads one batch file.
pub(crate) fn read(input: &mut Input, options: &ReadOptions) -> Result<Dataset> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    append(input, &mut pixels, &mut labels, options.rows)?;
    let values = symbols_of_bytes(input, pixels, options, |index| {
        Place::Byte((index / PIXELS * RECORD + 1 + index % PIXELS) as u64)
    })?;
    Dataset::new(name_of(input.path()), values, &SHAPE)?.with_labels(labels)
}

/// Appends the records of one batch file, at most `most`: pixels `[records, 3 * 32 * 32]` and
/// labels `[records]`.
pub(crate) fn append(
    input: &mut Input,
    pixels: &mut Vec<u8>,
    labels: &mut Vec<u8>,
    most: Option<usize>,
) -> Result<(), Error> {
    check_not_empty(input)?;
    let most = most.map_or(usize::MAX, |most| labels.len().saturating_add(most));
    while labels.len() < most && !input.peek()?.is_empty() {
        labels.push(label(input)??);
        input.append(pixels, PIXELS as u64, "pixels")?;
    }
    Ok(())
}

/// The images of one batch file, one at a time.
pub(crate) struct Rows {
    pub(crate) input: Input,
    pixels: Vec<u8>,
}

impl Rows {
    /// Looks whether there are any.
    pub(crate) fn new(mut input: Input) -> Result<Self> {
        check_not_empty(&mut input)?;
        Ok(Self { input, pixels: vec![0; PIXELS] })
    }

    /// Adds the pixels of the next image to `numbers`.
    pub(crate) fn next(&mut self, numbers: &mut Numbers) -> Result<Step> {
        let Self { input, pixels } = self;
        if input.peek()?.is_empty() {
            return Ok(Step::End);
        }
        let label = label(input)?;
        let start = input.offset();
        input.fill(pixels, "pixels")?;
        if let Err(error) = label {
            return Ok(Step::Bad(error));
        }
        Ok(numbers.push_bytes(pixels).map_or_else(
            |(index, refused)| {
                let place = Place::Byte(start + index as u64);
                Step::Bad(refused.at(input.path(), place, pixels[index].to_string()))
            },
            |()| Step::Row,
        ))
    }
}

fn check_not_empty(input: &mut Input) -> Result<()> {
    if !input.peek()?.is_empty() {
        return Ok(());
    }
    let expected = format!("records of {RECORD} bytes");
    Err(input.malformed(Place::File, Flaw::Empty, expected, "no bytes"))
}

/// The label that a record begins with. The inner error is of the record alone.
fn label(input: &mut Input) -> Result<Result<u8>> {
    let start = input.offset();
    let [label] = input.array("label")?;
    if label < CLASSES {
        return Ok(Ok(label));
    }
    let expected = format!("a label from 0 to {}", CLASSES - 1);
    let error = input.malformed(Place::Byte(start), Flaw::OutOfRange, expected, label.to_string());
    Ok(Err(error.advise("only the binary version of CIFAR-10 is read, not CIFAR-100")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn records(labels: &[u8]) -> Vec<u8> {
        labels
            .iter()
            .flat_map(|&label| {
                let mut record = vec![label; RECORD];
                record[1] = 255;
                record
            })
            .collect()
    }

    fn parse(bytes: Vec<u8>) -> Result<Dataset> {
        let mut input = Input::from_bytes(Path::new("batch.bin"), bytes, 1 << 20)?;
        read(&mut input, &ReadOptions::default())
    }

    #[test]
    fn records_become_images_and_labels() {
        let data = parse(records(&[3, 9])).unwrap();
        assert_eq!((data.len(), data.shape()), (2, &SHAPE[..]));
        assert_eq!(data.labels().unwrap(), [3, 9]);
        let (pixels, levels) = data.symbols().unwrap();
        assert_eq!((pixels[0], pixels[1], pixels[PIXELS], levels), (255, 3, 255, 256));
    }

    #[test]
    fn malformed_files_are_named() {
        let good = records(&[3, 9]);
        for (bytes, flaw, message) in [
            (vec![], Flaw::Empty, "batch.bin: empty: expected records of 3073 bytes"),
            (good[..5000].to_vec(), Flaw::Truncated, "byte 3074: truncated: expected 3072 bytes"),
            (
                [&good[..], &[1]].concat(),
                Flaw::Truncated,
                "byte 6147: truncated: expected 3072 bytes of pixels, found 0",
            ),
            (
                records(&[3, 10]),
                Flaw::OutOfRange,
                "byte 3073: out of range: expected a label from 0 to 9, found 10",
            ),
        ] {
            let error = parse(bytes).unwrap_err();
            assert_eq!(error.flaw(), Some(flaw));
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
