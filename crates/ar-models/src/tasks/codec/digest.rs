//! By what a file knows the model that it was compressed with.

use sha2::{Digest as _, Sha256};

use super::format::first;
use crate::foundation::error::Error;
use crate::model::Model;

/// The digest of a model and of what it is about: its config, and what its events are.
pub(super) fn digest_of_model(
    model: &Model,
    about: &impl serde::Serialize,
) -> Result<[u8; 8], Error> {
    let about =
        serde_json::to_vec(about).map_err(|error| Error::Stored(format!("not JSON: {error}")))?;
    Ok(first(Sha256::new_with_prefix(about).chain_update(model.content_bytes()?)))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
