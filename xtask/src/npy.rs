//! A reader of the two `.npy` types that `chainrule` writes: `u8` samples and `f32` cost maps.

use anyhow::{Context as _, Result, bail, ensure};
use std::path::Path;

/// An array in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Array {
    /// Length of each axis, outermost first.
    pub(crate) shape: Vec<usize>,
    /// `shape.iter().product()` values.
    pub(crate) values: Vec<f32>,
}

impl Array {
    /// `count` entries of the outermost axis, evenly spaced from the first on; all of them when
    /// there are no more.
    pub(crate) fn evenly_spaced(mut self, count: usize) -> Self {
        let Some(&total) = self.shape.first() else {
            return self;
        };
        if count >= total {
            return self;
        }
        let length = self.values.len() / total;
        let picked = (0..count).map(|i| i * total / count);
        let entry = |i: usize| self.values[i * length..(i + 1) * length].iter().copied();
        self.values = picked.flat_map(entry).collect();
        self.shape[0] = count;
        self
    }
}

/// Reads a file.
///
/// # Errors
///
/// When the file cannot be read or is not such an array; the error names the file.
pub(crate) fn read(path: &Path) -> Result<Array> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&bytes).with_context(|| format!("{} is not an array that xtask reads", path.display()))
}

/// Parses the bytes of a file of format version 1 to 3.
fn parse(bytes: &[u8]) -> Result<Array> {
    ensure!(bytes.starts_with(b"\x93NUMPY"), "wrong magic: expected \\x93NUMPY");
    let (length_bytes, start) = match bytes.get(6) {
        Some(1) => (bytes.get(8..10), 10),
        Some(2 | 3) => (bytes.get(8..12), 12),
        other => bail!("format version {other:?}: expected 1, 2 or 3"),
    };
    let length_bytes = length_bytes.context("the header is truncated")?;
    let length = length_bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    let header = bytes.get(start..start + length).context("the header is truncated")?;
    let header = std::str::from_utf8(header).context("the header is not text")?;
    let data = &bytes[start + length..];

    ensure!(field(header, "fortran_order")?.starts_with("False"), "column-major order");
    let shape = field(header, "shape")?;
    let shape = shape
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
        .with_context(|| format!("shape {shape:?}: expected a tuple"))?
        .0
        .split(',')
        .map(str::trim)
        .filter(|axis| !axis.is_empty())
        .map(|axis| axis.parse().with_context(|| format!("axis {axis:?}: expected a length")))
        .collect::<Result<Vec<usize>>>()?;
    let count = shape
        .iter()
        .try_fold(1_usize, |product, &axis| product.checked_mul(axis))
        .with_context(|| format!("shape {shape:?} overflows"))?;

    let descr = field(header, "descr")?;
    let values = if descr.starts_with("'|u1'") {
        data.iter().map(|&byte| f32::from(byte)).collect::<Vec<_>>()
    } else if descr.starts_with("'<f4'") {
        ensure!(data.len().is_multiple_of(4), "{} bytes of f32 data", data.len());
        data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    } else {
        bail!("element type {descr}: expected '|u1' or '<f4'");
    };
    ensure!(values.len() == count, "{} values for shape {shape:?}", values.len());
    Ok(Array { shape, values })
}

/// The text after `'name':` in the header's dictionary.
fn field<'a>(header: &'a str, name: &str) -> Result<&'a str> {
    header
        .split_once(&format!("'{name}':"))
        .map(|(_, rest)| rest.trim_start())
        .with_context(|| format!("the header has no '{name}'"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The bytes of a version 1 file.
    pub(crate) fn file(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn both_types_and_every_rank_are_read() {
        let bytes = file("|u1", "(2, 1, 3)", &[0, 1, 2, 3, 4, 255]);
        let expected = Array { shape: vec![2, 1, 3], values: vec![0., 1., 2., 3., 4., 255.] };
        assert_eq!(parse(&bytes).unwrap(), expected);

        let data = [0.5_f32, -1.25].map(f32::to_le_bytes).concat();
        let expected = Array { shape: vec![2], values: vec![0.5, -1.25] };
        assert_eq!(parse(&file("<f4", "(2,)", &data)).unwrap(), expected);
        assert_eq!(parse(&file("<f4", "()", &data[..4])).unwrap().values, [0.5]);
    }

    #[test]
    fn evenly_spaced_entries_cover_the_array_and_few_entries_are_all_kept() {
        let values = (0..20_u8).map(f32::from).collect();
        let array = Array { shape: vec![10, 2], values };
        let picked = array.clone().evenly_spaced(3);
        assert_eq!(picked.shape, [3, 2]);
        assert_eq!(picked.values, [0., 1., 6., 7., 12., 13.]);
        assert_eq!(array.clone().evenly_spaced(10), array);
    }

    #[test]
    fn malformed_files_are_errors_that_say_what_was_expected() {
        let good = file("|u1", "(3,)", &[1, 2, 3]);
        for length in 0..good.len() {
            assert!(parse(&good[..length]).is_err(), "a file cut to {length} bytes");
        }
        for (bytes, expected) in [
            (file("|u1", "(4,)", &[1, 2, 3]), "3 values for shape [4]"),
            (file("<f8", "(1,)", &[0; 8]), "expected '|u1' or '<f4'"),
            (file("|u1", "(x,)", &[0]), "expected a length"),
            (file("|u1", "(18446744073709551615, 2)", &[0]), "overflows"),
            (b"PK\x03\x04".to_vec(), "wrong magic"),
        ] {
            let message = format!("{:#}", parse(&bytes).unwrap_err());
            assert!(message.contains(expected), "{message:?} should contain {expected:?}");
        }
    }
}
