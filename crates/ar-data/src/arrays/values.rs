//! What the readers of arrays share: how they go on from row to row, and bytes as values.

use crate::bytes::Input;
use crate::dataset::Values;
use crate::error::{Error, Flaw, Place, Result};
use crate::options::{Kind, ReadOptions};
use std::path::Path;

/// What a reader of rows met. Errors of the file as a whole are no step.
pub(crate) enum Step {
    /// A row, whose values were added.
    Row,
    /// A row that is not as it should be; some of its values may have been added. The next row can be
    /// read all the same.
    Bad(Error),
    /// The end of the file, in the right place.
    End,
}

/// The values of a format whose elements are bytes: symbols of 256 levels unless stated.
pub(crate) fn symbols_of_bytes(
    input: &Input,
    data: Vec<u8>,
    options: &ReadOptions,
    place: impl Fn(usize) -> Place,
) -> Result<Values> {
    let levels = match options.kind {
        Some(Kind::Real) => {
            return Ok(Values::Reals { data: data.into_iter().map(f64::from).collect() });
        }
        Some(Kind::Binary) => 2,
        _ => options.levels.unwrap_or(256),
    };
    match data.iter().position(|&value| u16::from(value) >= levels) {
        None => Ok(Values::Symbols { data, levels }),
        Some(index) => {
            let (expected, hint) = if levels == 2 {
                ("0 or 1".to_owned(), "read it as symbols and choose binarize = \"threshold\"")
            } else {
                (format!("0 to {}", levels - 1), "state a larger levels")
            };
            let found = data[index].to_string();
            Err(input.malformed(place(index), Flaw::OutOfRange, expected, found).advise(hint))
        }
    }
}

/// The error about a number that is no label.
pub(crate) fn wrong_label(path: &Path, place: Place, value: f64) -> Error {
    Error::malformed(path, place, Flaw::OutOfRange, "a label from 0 to 255", value.to_string())
        .advise(
            "labels number at most 256 classes from 0: numpy.unique(labels, return_inverse=True)[1] numbers \
             those that there are",
        )
}
