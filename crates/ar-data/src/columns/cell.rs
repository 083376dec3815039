//! Cells as formats have them, and what they are the notation of.

use super::number::{Number, as_double, canonical, is_whole};
use std::borrow::Cow;

/// Cells that count as missing unless a caller says otherwise.
pub const MISSING: [&str; 16] = [
    "", "?", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-nan", "NAN", "NULL", "null", "<null>",
    "<NA>", "None", "none",
];

/// A cell as its format has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell<'a> {
    /// Text, of whatever it may be the notation.
    Text(&'a [u8]),
    /// A whole number.
    Whole(i64),
    /// A binary number.
    Float(f64),
    /// True or false.
    #[cfg_attr(not(feature = "arrow"), expect(dead_code, reason = "of Parquet and Arrow alone"))]
    Bool(bool),
    /// Nothing.
    Missing,
}

/// How text is to be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Notation {
    /// Words that count as missing.
    missing: Vec<Vec<u8>>,
    /// Those of the words that are numbers, in whatever notation a file has them.
    missing_numbers: Vec<f64>,
    /// Whether one of them is a number.
    pub(super) numbers_can_be_missing: bool,
    /// Whether the decimal mark is a comma.
    pub(crate) comma: bool,
    /// Whether bytes that are no UTF-8 are Latin-1.
    pub(crate) latin1: bool,
}

impl Notation {
    pub(crate) fn new(missing: &[String]) -> Self {
        let number = |word: &String| Number::parse(word.as_bytes(), false);
        let missing_numbers: Vec<f64> =
            missing.iter().filter_map(number).map(|number| number.value).collect();
        Self {
            numbers_can_be_missing: !missing_numbers.is_empty(),
            missing_numbers,
            missing: missing.iter().map(|word| word.clone().into_bytes()).collect(),
            comma: false,
            latin1: false,
        }
    }

    pub(crate) fn is_missing(&self, text: &[u8]) -> bool {
        self.missing.iter().any(|word| word == text)
            || (self.numbers_can_be_missing
                && Number::parse(text, self.comma)
                    .is_some_and(|number| self.is_missing_number(number.value)))
    }

    pub(super) fn is_missing_number(&self, value: f64) -> bool {
        self.missing_numbers.contains(&value)
    }

    pub(super) fn text<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        decode(bytes, self.latin1)
    }
}

/// Text of bytes that are UTF-8, or else Latin-1 where that was found, or else with marks for what is neither.
pub(crate) fn decode(bytes: &[u8], latin1: bool) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) if latin1 => Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()),
        Err(_) => Cow::Owned(String::from_utf8_lossy(bytes).into_owned()),
    }
}

/// Whether text that is no number can be ruled out at a glance: most cells of tables are numbers, and no word
/// for a missing one begins like them.
pub(super) fn begins_a_number(text: &[u8]) -> bool {
    matches!(text, [b'0'..=b'9', ..] | [b'-' | b'+' | b'.', b'0'..=b'9' | b'.', ..])
}

/// The number that a cell is.
pub(super) fn number(cell: Cell<'_>, notation: &Notation) -> Option<Number> {
    match cell {
        Cell::Text(text) => Number::parse(text, notation.comma),
        // One that no double is the same as is a word, so that it stays apart from its neighbours.
        Cell::Whole(value) => as_double(value).map(|value| Number { value, places: 0 }),
        Cell::Float(value) => {
            let places = if is_whole(value) { 0 } else { Number::FLOAT };
            // Both zeros are one number.
            Some(Number { value: value + 0.0, places })
        }
        Cell::Bool(_) | Cell::Missing => None,
    }
}

/// The word that a cell is.
pub(super) fn word_of<'a>(cell: Cell<'a>, notation: &Notation) -> Cow<'a, str> {
    match cell {
        Cell::Text(bytes) => notation.text(bytes),
        Cell::Whole(value) => Cow::Owned(value.to_string()),
        Cell::Float(value) => Cow::Owned(canonical(value)),
        Cell::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        Cell::Missing => Cow::Borrowed("a missing value"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_stands_for_a_missing_one_does_so_however_it_is_written() {
        let notation = Notation::new(&["NA".to_owned(), "-999".to_owned()]);
        for text in ["NA", "-999", "-999.0", "-9.99e2"] {
            assert!(notation.is_missing(text.as_bytes()), "{text}");
        }
        for text in ["", "na", "999", "-999.5"] {
            assert!(!notation.is_missing(text.as_bytes()), "{text}");
        }
        assert!(notation.is_missing_number(-999.0));
    }
}
