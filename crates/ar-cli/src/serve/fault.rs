//! What goes wrong with a request, as JSON: what, and what to do about it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::failure::Failure;

/// The body of an answer that is none.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// What went wrong.
    pub(crate) error: Trouble,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Trouble {
    /// `request`, `data`, `run`, `limit`, `busy`, `token`, or `internal`.
    pub(crate) kind: String,
    /// In words.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: String,
}

/// Options of the commands that are keys of requests here.
const OPTIONS: [&str; 5] = ["class", "given", "levels", "target", "samples"];

/// An error with its status.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    pub(crate) trouble: Trouble,
}

impl Fault {
    pub(crate) fn new(
        status: StatusCode,
        kind: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let trouble = Trouble { kind: kind.to_owned(), message: message.into(), hint: hint.into() };
        Self { status, trouble }
    }

    /// 422: a request that makes no sense for the model.
    pub(crate) fn request(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "request", message, hint)
    }

    /// 413: more than is taken at once.
    pub(crate) fn too_large(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "limit", message, hint)
    }

    /// 429: as much as can be done is being done.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message, "ask again in a second")
    }

    /// The same without the name of a file that is none of the client's.
    pub(crate) fn without(mut self, path: &std::path::Path) -> Self {
        let path = path.display().to_string();
        self.trouble.message = self.trouble.message.replace(&path, "rows.arrow");
        self
    }

    /// 500: our failure.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        let hint = crate::error::REPORT;
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message, hint)
    }
}

impl From<anyhow::Error> for Fault {
    fn from(error: anyhow::Error) -> Self {
        let refused = Failure::from(&error).refused;
        let status = match refused.kind {
            "internal" | "io" | "machine" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        if refused.kind != "usage" {
            return Self::new(status, refused.kind, refused.message, refused.hint);
        }
        // What is an option of the command line is a key of the request here.
        let as_key = |text: String| {
            OPTIONS.iter().fold(text, |text, option| text.replace(&format!("--{option}"), option))
        };
        Self::new(status, "request", as_key(refused.message), as_key(refused.hint))
    }
}

impl From<ar_data::Error> for Fault {
    fn from(error: ar_data::Error) -> Self {
        Self::from(anyhow::Error::from(error))
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = self.status;
        let body = axum::body::Body::from(
            serde_json::to_vec(&ErrorBody { error: self.trouble }).unwrap_or_default(),
        );
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}
