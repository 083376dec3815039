//! NumPy's arrays of more than two axes, or of two that a caller takes as one event: see [`crate::cells::npy`]
//! for the format.

use super::numbers::Numbers;
use super::values::Step;
use crate::cells::npy::Array;
use crate::dataset::{Dataset, name_of};
use crate::error::{Flaw, Place, Result};
use crate::options::ReadOptions;

/// Reads an array of two axes or more.
pub(crate) fn read(array: Array, options: &ReadOptions) -> Result<Dataset> {
    let mut rows = Rows::new(array)?;
    let mut numbers = Numbers::of_array(rows.array.is_float(), options);
    // The header was checked against the file, so neither product is too large.
    let count = rows.array.left() * rows.shape().iter().product::<usize>();
    if !numbers.reserve(count) {
        return Err(rows.array.input.no_memory(count as u64));
    }
    numbers.fill(|numbers| rows.next(numbers))?;
    let shape = rows.shape().to_vec();
    Dataset::new(name_of(rows.array.input.path()), numbers.finish(), &shape)
}

/// The examples of an array, one at a time.
pub(crate) struct Rows {
    pub(crate) array: Array,
}

impl Rows {
    pub(crate) fn new(array: Array) -> Result<Self> {
        if array.axes.len() < 2 {
            return Err(array.too_few_axes());
        }
        if !array.is_numeric() {
            let expected = "an array of numbers";
            return Err(array.input.malformed(Place::File, Flaw::Unsupported, expected, "text"));
        }
        Ok(Self { array })
    }

    /// The shape of one example.
    pub(crate) fn shape(&self) -> &[usize] {
        self.array.event()
    }

    /// Adds the next example to `numbers`.
    pub(crate) fn next(&mut self, numbers: &mut Numbers) -> Result<Step> {
        if self.array.left() == 0 {
            self.array.end()?;
            return Ok(Step::End);
        }
        let mut refused = None;
        self.array.example(|place, value| {
            if refused.is_none()
                && let Err(why) = numbers.push(value)
            {
                refused = Some((why, place, value));
            }
        })?;
        Ok(refused.map_or(Step::Row, |(why, place, value)| {
            Step::Bad(why.at(self.array.input.path(), place, value.to_string()))
        }))
    }
}

#[cfg(test)]
mod tests {
    use crate::cells::npy::MAGIC;
    use crate::error::Flaw;
    use crate::{Dataset, Error, ReadOptions, Result, Values, read_bytes};
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
        let options = ReadOptions { max_bytes: Some(1 << 20), ..options.clone() };
        read_bytes(Path::new("a.npy"), bytes, &options)
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
    fn fortran_order_is_another_layout_of_the_same_array() {
        let c = npy("|u1", "(2, 3, 2)", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        // Value (i, j, k) is 6 i + 2 j + k; the first index runs fastest.
        let mut fortran = npy("|u1", "(2, 3, 2)", &[0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11]);
        let at = fortran.windows(5).position(|word| word == b"False").unwrap();
        fortran.splice(at..at + 5, *b"True ");
        assert_eq!(parse(c).unwrap(), parse(fortran.clone()).unwrap());
        let first = ReadOptions { rows: Some(1), ..ReadOptions::default() };
        assert_eq!(parse_with(fortran, &first).unwrap().symbols().unwrap().0, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn rarer_floats_have_their_values() {
        let half: Vec<u8> =
            [0x3c00_u16, 0xc000, 0x0001, 0x7bff].iter().flat_map(|x| x.to_le_bytes()).collect();
        let data = parse(npy("<f2", "(4, 1)", &half)).unwrap();
        assert_eq!(data.reals().unwrap(), [1.0, -2.0, 2_f64.powi(-24), 65_504.0]);
        // 1 and −0.5 in the extended precision of x86.
        let mut extended = [0_u8; 32];
        extended[7] = 0x80;
        extended[8..10].copy_from_slice(&16_383_u16.to_le_bytes());
        extended[23] = 0x80;
        extended[24..26].copy_from_slice(&(16_382_u16 | 0x8000).to_le_bytes());
        let data = parse(npy("<f16", "(2, 1)", &extended)).unwrap();
        assert_eq!(data.reals().unwrap(), [1.0, -0.5]);
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
            (npy("<c8", "(2, 3)", &[]), Flaw::Unsupported, "found \"<c8\""),
            (npy("|u1", "(2, -3)", &[]), Flaw::WrongMagic, "dictionary"),
            (npy("|u1", "(99999999, 99999999999)", &[]), Flaw::TooLarge, "too large"),
            (npy("<f8", "(4294967296, 4294967296)", &[]), Flaw::TooLarge, "too large"),
            (npy("|u1", "(1000, 1000)", &[]), Flaw::Truncated, "truncated"),
            (nan, Flaw::OutOfRange, "out of range: expected a finite number"),
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
