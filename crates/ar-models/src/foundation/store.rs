//! Named arrays as safetensors, in memory: the one format of models and checkpoints.
//!
//! A file for the disk holds its own digest among its texts: the SHA-256 of the whole file, with zeros
//! in the place of the digest. Whether a file without one may be read, as versions before wrote it, is
//! for the reader to say.

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest as _, Sha256};

use super::error::Error;

/// The one entry of the file's own metadata: all texts, as JSON.
const METADATA: &str = "chainrule";

/// The text that holds the digest of the file, and its length in hexadecimal.
const DIGEST: &str = "sha256";
const DIGEST_LEN: usize = 64;

/// Name, shape and values.
pub(crate) type NamedArray = (String, Vec<usize>, Vec<f32>);

/// Named arrays and named texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Arrays {
    pub(crate) f32s: Vec<NamedArray>,
    pub(crate) f64s: Vec<(String, Vec<usize>, Vec<f64>)>,
    pub(crate) texts: Vec<(String, String)>,
}

impl Arrays {
    /// The file, with its own digest in it.
    pub(crate) fn into_checked_bytes(mut self) -> Result<Vec<u8>, Error> {
        let blank = "0".repeat(DIGEST_LEN);
        self.texts.push((DIGEST.into(), blank.clone()));
        let mut bytes = self.to_bytes()?;
        let at = place_of(&bytes, &blank)
            .ok_or_else(|| Error::Stored("no place for the digest in the header".into()))?;
        let digest = digest_around(&bytes, at);
        bytes[at..at + DIGEST_LEN].copy_from_slice(digest.as_bytes());
        Ok(bytes)
    }

    /// The content alone.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut arrays: Vec<(&str, Dtype, &[usize], Vec<u8>)> = Vec::new();
        for (name, shape, values) in &self.f32s {
            let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            arrays.push((name, Dtype::F32, shape, bytes));
        }
        for (name, shape, values) in &self.f64s {
            let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            arrays.push((name, Dtype::F64, shape, bytes));
        }
        let views = arrays
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                Ok((*name, TensorView::new(*dtype, shape.to_vec(), bytes).map_err(stored)?))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        // One entry, because safetensors keeps its metadata in a hash map: several would be written in
        // a different order every time, and equal models must be equal files.
        let texts: BTreeMap<&str, &str> =
            self.texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let texts = serde_json::to_string(&texts)
            .map_err(|error| Error::Stored(format!("not JSON: {error}")))?;
        let metadata = HashMap::from([(METADATA.to_owned(), texts)]);
        safetensors::serialize(views, Some(metadata)).map_err(stored)
    }

    /// What a file holds, and whether it is known to be as it was written: whether it had a digest.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<(Self, bool), Error> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(stored)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(stored)?;
        let mut out = Self::default();
        if let Some(texts) = metadata.metadata().as_ref().and_then(|m| m.get(METADATA)) {
            let texts: BTreeMap<String, String> = serde_json::from_str(texts)
                .map_err(|error| Error::Stored(format!("entry `{METADATA}`: {error}")))?;
            out.texts = texts.into_iter().collect();
        }
        let digest = out.texts.iter().position(|(name, _)| name == DIGEST);
        if let Some(at) = digest {
            check_digest(bytes, &out.texts.remove(at).1)?;
        }
        for (name, view) in tensors.iter() {
            let (name, shape) = (name.to_owned(), view.shape().to_vec());
            match view.dtype() {
                Dtype::F32 => {
                    let values = view.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b));
                    out.f32s.push((name, shape, values.collect()));
                }
                Dtype::F64 => {
                    let values = view.data().as_chunks().0.iter().map(|&b| f64::from_le_bytes(b));
                    out.f64s.push((name, shape, values.collect()));
                }
                other => {
                    return Err(Error::Stored(format!(
                        "the stored array `{name}` holds {other:?}, expected F32 or F64"
                    )));
                }
            }
        }
        Ok((out, digest.is_some()))
    }

    /// The error of a file of a version that writes digests, and that has none.
    pub(crate) fn unchecked() -> Error {
        Error::Stored("the file is not as it was written: it states no SHA-256 of itself".into())
    }

    /// Refuses weights that are not finite, and log-probabilities (the f64 arrays of tables) that are no
    /// numbers: whatever was computed with them would be no number either.
    pub(crate) fn check_finite(&self) -> Result<(), Error> {
        let refuse = |name: &str, at: usize, value: &dyn core::fmt::Display, expected: &str| {
            Err(Error::Stored(format!(
                "the stored array `{name}` holds {value} at position {at}, expected {expected}"
            )))
        };
        for (name, _, values) in &self.f32s {
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                return refuse(name, at, &values[at], "finite numbers");
            }
        }
        for (name, _, values) in &self.f64s {
            // What is impossible has log-probability −∞.
            if let Some(at) = values.iter().position(|v| v.is_nan() || *v == f64::INFINITY) {
                return refuse(name, at, &values[at], "numbers below infinity");
            }
        }
        Ok(())
    }

    pub(crate) fn text(&self, key: &str) -> Result<&str, Error> {
        self.texts
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, text)| text.as_str())
            .ok_or_else(|| Error::Stored(format!("the file has no entry `{key}`")))
    }
}

/// Where a digest stands in the header of a file.
fn place_of(bytes: &[u8], digest: &str) -> Option<usize> {
    let length = u64::from_le_bytes(*bytes.first_chunk()?);
    let header = bytes.get(..usize::try_from(length).ok()?.checked_add(8)?)?;
    header.windows(DIGEST_LEN).position(|window| window == digest.as_bytes())
}

/// The digest of a file with zeros in place of the digest at `at`, in hexadecimal.
fn digest_around(bytes: &[u8], at: usize) -> String {
    let digest = Sha256::new_with_prefix(&bytes[..at])
        .chain_update([b'0'; DIGEST_LEN])
        .chain_update(&bytes[at + DIGEST_LEN..])
        .finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a file is as it was written.
fn check_digest(bytes: &[u8], digest: &str) -> Result<(), Error> {
    let place = if digest.len() == DIGEST_LEN { place_of(bytes, digest) } else { None };
    if place.is_some_and(|at| digest_around(bytes, at) == digest) {
        return Ok(());
    }
    Err(Error::Stored(
        "the file is not as it was written: its SHA-256 is not the one that it states".into(),
    ))
}

fn stored(error: safetensors::SafeTensorError) -> Error {
    Error::Stored(format!("not a readable safetensors file: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_come_back_bit_for_bit() {
        let arrays = Arrays {
            f32s: vec![("w".into(), vec![2, 1], vec![1.5, f32::MIN_POSITIVE / 2.0])],
            f64s: vec![("t".into(), vec![2], vec![-0.0, f64::NEG_INFINITY])],
            texts: vec![("a".into(), "x".into()), ("b".into(), "y".into())],
        };
        let (back, is_checked) = Arrays::from_bytes(&arrays.to_bytes().unwrap()).unwrap();
        assert!(back == arrays && !is_checked);
        assert!(back.f64s[0].2[0].is_sign_negative());
    }

    #[test]
    fn a_flipped_bit_anywhere_is_an_error() {
        let arrays = Arrays {
            f32s: vec![("w".into(), vec![3], vec![1.0, 2.0, 3.0])],
            texts: vec![("a".into(), "x".into())],
            ..Arrays::default()
        };
        let bytes = arrays.clone().into_checked_bytes().unwrap();
        assert_eq!(Arrays::from_bytes(&bytes).unwrap(), (arrays.clone(), true));
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // But for the names of the digest and of all texts: without one it says that it is unchecked.
            if let Ok((found, is_checked)) = Arrays::from_bytes(&flipped) {
                assert_eq!(found.f32s, arrays.f32s, "bit {bit}");
                assert!(!is_checked, "bit {bit}");
            }
        }
        // Without a digest in it, nothing can be told.
        let mut unchecked = arrays.to_bytes().unwrap();
        *unchecked.last_mut().unwrap() ^= 1;
        assert!(Arrays::from_bytes(&unchecked).is_ok());
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let arrays = Arrays { f32s: vec![("w".into(), vec![1], vec![1.0])], ..Arrays::default() };
        let bytes = arrays.to_bytes().unwrap();
        for cut in 0..bytes.len() {
            assert!(Arrays::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}
