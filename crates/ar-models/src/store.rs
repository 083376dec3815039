//! Named arrays as safetensors, in memory: the one format of models and checkpoints.

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::error::Error;

/// The one entry of the file's own metadata: all texts, as JSON.
const METADATA: &str = "chainrule";

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

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(stored)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(stored)?;
        let mut out = Self::default();
        if let Some(texts) = metadata.metadata().as_ref().and_then(|m| m.get(METADATA)) {
            let texts: BTreeMap<String, String> = serde_json::from_str(texts)
                .map_err(|error| Error::Stored(format!("entry `{METADATA}`: {error}")))?;
            out.texts = texts.into_iter().collect();
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
        Ok(out)
    }

    pub(crate) fn text(&self, key: &str) -> Result<&str, Error> {
        self.texts
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, text)| text.as_str())
            .ok_or_else(|| Error::Stored(format!("the file has no entry `{key}`")))
    }
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
        let back = Arrays::from_bytes(&arrays.to_bytes().unwrap()).unwrap();
        assert_eq!(back, arrays);
        assert!(back.f64s[0].2[0].is_sign_negative());
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
