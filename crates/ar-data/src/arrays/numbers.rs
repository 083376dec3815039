//! Numbers on their way into a dataset: the one place that decides between symbols and reals.
//!
//! With no kind stated, numbers that are all whole and within 0 to 255 are symbols of as many
//! levels as the largest one asks for, at least 2; anything else makes the whole file reals.

use super::values::Step;
use crate::dataset::Values;
use crate::error::{Error, Flaw, Place, Result};
use crate::options::{Kind, ReadOptions};
use std::path::Path;

/// Collects numbers in file order.
pub(crate) struct Numbers {
    kind: Option<Kind>,
    /// The level count that symbols are checked against, if one is stated.
    levels: Option<u16>,
    symbols: Vec<u8>,
    reals: Vec<f64>,
    is_real: bool,
    largest: u8,
}

/// Why a number was refused.
pub(crate) struct Refused {
    pub(crate) flaw: Flaw,
    pub(crate) expected: String,
    pub(crate) hint: Option<&'static str>,
}

impl Refused {
    /// The error about a value that was found in `place`.
    pub(crate) fn at(self, path: &Path, place: Place, found: String) -> Error {
        let error = Error::malformed(path, place, self.flaw, self.expected, found);
        match self.hint {
            Some(hint) => error.advise(hint),
            None => error,
        }
    }
}

impl Numbers {
    /// Numbers of the kind and the levels that the options state.
    pub(crate) fn new(options: &ReadOptions) -> Self {
        let (kind, levels) = match (options.kind, options.levels) {
            (Some(Kind::Binary), _) => (Some(Kind::Binary), Some(2)),
            (None, Some(levels)) => (Some(Kind::Symbols), Some(levels)),
            stated => stated,
        };
        Self {
            kind,
            levels,
            symbols: Vec::new(),
            reals: Vec::new(),
            is_real: kind == Some(Kind::Real),
            largest: 0,
        }
    }

    /// The numbers of an array: floats are reals unless the options say otherwise, whatever they are.
    pub(crate) fn of_array(is_float: bool, options: &ReadOptions) -> Self {
        let mut numbers = Self::new(options);
        numbers.is_real |= is_float && numbers.kind.is_none();
        numbers
    }

    /// Takes rows to the end; `next` adds one.
    pub(crate) fn fill(&mut self, mut next: impl FnMut(&mut Self) -> Result<Step>) -> Result<()> {
        loop {
            match next(self)? {
                Step::Row => {}
                Step::Bad(error) => return Err(error),
                Step::End => return Ok(()),
            }
        }
    }

    /// Makes room for values that are known to come; false if there is no memory for them.
    pub(crate) fn reserve(&mut self, values: usize) -> bool {
        if self.is_real {
            self.reals.try_reserve_exact(values).is_ok()
        } else {
            self.symbols.try_reserve_exact(values).is_ok()
        }
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        if self.is_real { self.reals.len() } else { self.symbols.len() }
    }

    /// Forgets all values but the first `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.symbols.truncate(len);
        self.reals.truncate(len);
    }

    /// Adds the bytes of an event, or says where and why one was refused.
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) -> Result<(), (usize, Refused)> {
        bytes.iter().enumerate().try_for_each(|(index, &value)| {
            self.push_byte(value).map_err(|refused| (index, refused))
        })
    }

    /// Adds a number that is a byte.
    pub(crate) fn push_byte(&mut self, value: u8) -> Result<(), Refused> {
        if self.is_real {
            self.reals.push(f64::from(value));
            return Ok(());
        }
        if self.levels.is_some_and(|levels| u16::from(value) >= levels) {
            return Err(self.refused());
        }
        self.largest = self.largest.max(value);
        self.symbols.push(value);
        Ok(())
    }

    /// Adds any number.
    pub(crate) fn push(&mut self, value: f64) -> Result<(), Refused> {
        if !self.is_real {
            // Both zeros are the symbol 0.
            if value.fract() == 0.0 && (0.0..=255.0).contains(&value) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "checked"
                )]
                return self.push_byte(value as u8);
            }
            if self.kind.is_some() {
                return Err(self.refused());
            }
            self.reals = self.symbols.drain(..).map(f64::from).collect();
            self.symbols = Vec::new();
            self.is_real = true;
        }
        if !value.is_finite() {
            return Err(Refused {
                flaw: Flaw::OutOfRange,
                expected: "a finite number".to_owned(),
                hint: Some(
                    "a value that is not there has no place in an image: leave such examples out, or fill \
                     them in, as numpy.nan_to_num(array) does",
                ),
            });
        }
        // Both zeros are one number.
        self.reals.push(value + 0.0);
        Ok(())
    }

    fn refused(&self) -> Refused {
        let (expected, hint) = match (self.kind, self.levels) {
            (Some(Kind::Binary), _) => (
                "0 or 1".to_owned(),
                "read the file as kind = \"symbols\" and choose binarize = \"threshold\"",
            ),
            (_, Some(levels)) => (
                format!("a whole number from 0 to {}", levels.saturating_sub(1)),
                "state a larger levels, or kind = \"real\"",
            ),
            _ => ("a whole number from 0 to 255".to_owned(), "state kind = \"real\""),
        };
        Refused { flaw: Flaw::OutOfRange, expected, hint: Some(hint) }
    }

    /// The values, as symbols or reals.
    pub(crate) fn finish(mut self) -> Values {
        if self.is_real {
            self.reals.shrink_to_fit();
            return Values::Reals { data: self.reals };
        }
        self.symbols.shrink_to_fit();
        let levels = self.levels.unwrap_or_else(|| (u16::from(self.largest) + 1).max(2));
        Values::Symbols { data: self.symbols, levels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(options: ReadOptions, values: &[f64]) -> Option<Values> {
        let mut numbers = Numbers::new(&options);
        for &value in values {
            numbers.push(value).ok()?;
        }
        let collected = numbers.finish();
        assert_eq!(collected.len(), values.len());
        Some(collected)
    }

    fn stated(kind: Option<Kind>, levels: Option<u16>) -> ReadOptions {
        ReadOptions { kind, levels, ..ReadOptions::default() }
    }

    #[test]
    fn the_kind_is_what_the_numbers_need() {
        let open = || stated(None, None);
        let symbols = |data: &[u8], levels| Some(Values::Symbols { data: data.to_vec(), levels });
        let reals = |data: &[f64]| Some(Values::Reals { data: data.to_vec() });
        assert_eq!(collect(open(), &[0.0, -0.0]), symbols(&[0, 0], 2));
        assert_eq!(collect(open(), &[0.0, 16.0]), symbols(&[0, 16], 17));
        assert_eq!(collect(open(), &[255.0]), symbols(&[255], 256));
        assert_eq!(collect(open(), &[3.0, 256.0, 1.0]), reals(&[3.0, 256.0, 1.0]));
        assert_eq!(collect(open(), &[3.0, -1.0]), reals(&[3.0, -1.0]));
        assert_eq!(collect(open(), &[1e39]), reals(&[1e39]));
        assert_eq!(collect(open(), &[f64::NAN]), None);
        assert_eq!(collect(stated(None, Some(17)), &[16.0]), symbols(&[16], 17));
        assert_eq!(collect(stated(None, Some(17)), &[17.0]), None);
        assert_eq!(collect(stated(Some(Kind::Binary), None), &[1.0]), symbols(&[1], 2));
        assert_eq!(collect(stated(Some(Kind::Binary), None), &[2.0]), None);
        assert_eq!(collect(stated(Some(Kind::Symbols), None), &[0.5]), None);
        assert_eq!(collect(stated(Some(Kind::Real), None), &[1.0]), reals(&[1.0]));
    }
}
