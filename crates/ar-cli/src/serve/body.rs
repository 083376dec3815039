//! What a request brings, JSON or a table, and what an answer is.

use std::io::Write as _;

use axum::http::StatusCode;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use tempfile::NamedTempFile;

use super::fault::Fault;
use super::limits::Limits;

/// What is answered, as JSON.
pub(crate) trait Answer: Serialize {
    /// How many rows are in it.
    fn rows(&self) -> usize;
}

/// A request's body, by what it says it is.
pub(crate) enum Body {
    Json(Vec<u8>),
    Csv(Vec<u8>),
    /// An Arrow stream, which is read from a file that is gone when it has been.
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

/// How many rows a body has, before they take any memory; 0 where it is none.
pub(crate) fn rows_in(bytes: &[u8]) -> u64 {
    #[derive(Deserialize)]
    struct Rows {
        #[serde(default)]
        rows: Vec<IgnoredAny>,
    }
    serde_json::from_slice(bytes).map_or(0, |Rows { rows }| rows.len() as u64)
}

/// What JSON with rows says, of which there are no more than are taken.
///
/// # Errors
/// Those of [`parsed`], and 413.
pub(crate) fn counted<T: DeserializeOwned>(bytes: &[u8], limits: &Limits) -> Result<T, Fault> {
    limits.check_rows(rows_in(bytes))?;
    parsed(bytes)
}

/// Bytes as a file, which is gone when nobody reads it any more.
///
/// # Errors
/// When there is no room for it, or it is no stream of as many rows as are taken.
pub(crate) fn spooled(bytes: &[u8], limits: &Limits) -> Result<NamedTempFile, Fault> {
    check_stream(bytes, limits)?;
    let write = || -> std::io::Result<NamedTempFile> {
        let mut file = tempfile::Builder::new().prefix("rows").suffix(".arrow").tempfile()?;
        file.write_all(bytes)?;
        Ok(file)
    };
    write().map_err(|error| Fault::internal(format!("no room for an Arrow stream: {error}")))
}

/// # Errors
/// When it is none, has more rows than are taken, or could become any size.
#[cfg(feature = "arrow")]
fn check_stream(bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
    let Some(content) = ar_data::stream_content(bytes) else {
        return Err(Fault::request(
            "the body is no Arrow stream",
            "pyarrow.ipc.new_stream writes one",
        ));
    };
    if content.is_compressed {
        return Err(Fault::request(
            "the body is a compressed Arrow stream",
            "send it as it is: what is limited is what it becomes",
        ));
    }
    limits.check_rows(content.rows)
}

#[cfg(not(feature = "arrow"))]
fn check_stream(_: &[u8], _: &Limits) -> Result<(), Fault> {
    let hint = "send text/csv or JSON, or build with the feature arrow";
    Err(Fault::request("this program was built without Arrow", hint))
}
