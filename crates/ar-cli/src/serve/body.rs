//! What a request brings: JSON, or a table.

use std::io::Write as _;

use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tempfile::NamedTempFile;

use super::fault::Fault;

/// A request's body, by what it says it is.
pub(crate) enum Body {
    Json(Vec<u8>),
    Csv(Vec<u8>),
    /// An Arrow stream, which is read from a file without a name of its own.
    Arrow(NamedTempFile),
}

impl Body {
    /// # Errors
    /// When it is something else.
    pub(crate) fn json(&self) -> Result<&[u8], Fault> {
        match self {
            Self::Json(bytes) => Ok(bytes),
            _ => Err(Fault::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "request",
                "a table, expected JSON",
                "only /score takes text/csv and application/vnd.apache.arrow.stream",
            )),
        }
    }
}

/// What JSON says.
///
/// # Errors
/// When it is none, 400, or not what is asked for, 422.
pub(crate) fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    // Serde would take an array for an object whose keys may all be left out.
    if bytes.trim_ascii_start().first().is_some_and(|first| *first == b'[') {
        return Err(Fault::request("the body: an array", "the body has to be one JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let (status, hint) = match error.classify() {
            Category::Data => {
                (StatusCode::UNPROCESSABLE_ENTITY, "GET /v1/openapi.json says what is expected")
            }
            _ => (StatusCode::BAD_REQUEST, "the body has to be one JSON object"),
        };
        Fault::new(status, "request", format!("the body: {error}"), hint)
    })
}

/// Bytes as a file, which is gone when nobody reads it any more.
///
/// # Errors
/// When there is no room for it.
pub(crate) fn spooled(bytes: &[u8]) -> Result<NamedTempFile, Fault> {
    let write = || -> std::io::Result<NamedTempFile> {
        let mut file = tempfile::Builder::new().prefix("rows").suffix(".arrow").tempfile()?;
        file.write_all(bytes)?;
        Ok(file)
    };
    write().map_err(|error| Fault::internal(format!("no room for an Arrow stream: {error}")))
}
