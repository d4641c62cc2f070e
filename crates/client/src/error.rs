//! What can go wrong between us and a server; a `metav1.Status` becomes `kinds::ApiError`.

use kinds::ApiError;
use kinds::error::{Cause, Details};
use serde_json::Value;

/// A request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server's own words.
    #[error("{0}")]
    Api(Box<ApiError>),
    /// Nobody listens there.
    #[error("The connection to the server {0} was refused - did you specify the right host or port?")]
    Refused(String),
    /// No connection, or one that broke.
    #[error("Unable to connect to the server: {0}")]
    Connect(String),
    /// Kubeconfig, certificates, keys, plugins.
    #[error("{0}")]
    Config(String),
    /// A configuration that is wrong in itself.
    #[error("Error in configuration: {0}")]
    Configuration(String),
    /// An answer that makes no sense.
    #[error("{0}")]
    Answer(String),
    /// `--request-timeout` has passed.
    #[error("context deadline exceeded")]
    TimedOut,
}

impl Error {
    /// The server's error, if it is one.
    #[must_use]
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(e) => Some(e),
            _ => None,
        }
    }

    /// Whether the server says that the object is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.api().is_some_and(ApiError::is_not_found)
    }
}

const REASONS: &[&str] = &[
    "Unauthorized",
    "Forbidden",
    "NotFound",
    "AlreadyExists",
    "Conflict",
    "Gone",
    "Invalid",
    "ServerTimeout",
    "StoreReadError",
    "Timeout",
    "TooManyRequests",
    "BadRequest",
    "MethodNotAllowed",
    "NotAcceptable",
    "RequestEntityTooLarge",
    "UnsupportedMediaType",
    "InternalError",
    "Expired",
    "ServiceUnavailable",
];

/// A `metav1.Status` as an error.
#[must_use]
pub(crate) fn from_status(status: &Value, http: u16) -> ApiError {
    let text = |v: &Value, k: &str| v[k].as_str().unwrap_or_default().to_owned();
    let reason = status["reason"].as_str().unwrap_or_default();
    let reason = REASONS.iter().find(|r| **r == reason).copied().unwrap_or_default();
    let code = status["code"].as_u64().and_then(|c| u16::try_from(c).ok()).filter(|c| *c != 0).unwrap_or(http);
    let error = ApiError::new(code, reason, text(status, "message"));
    let details = &status["details"];
    if !details.is_object() {
        return error;
    }
    let causes = details["causes"].as_array().into_iter().flatten();
    error.with_details(Details {
        name: text(details, "name"),
        group: text(details, "group"),
        kind: text(details, "kind"),
        uid: text(details, "uid"),
        causes: causes.map(|c| Cause { reason: text(c, "reason"), message: text(c, "message"), field: text(c, "field") }).collect(),
        retry_after_s: details["retryAfterSeconds"].as_i64().and_then(|n| i32::try_from(n).ok()),
    })
}

/// An answer that is no success, whatever its body is.
#[must_use]
pub(crate) fn from_answer(http: u16, body: &[u8]) -> Error {
    if let Ok(status) = serde_json::from_slice::<Value>(body)
        && status["kind"] == "Status"
    {
        return Error::Api(Box::new(from_status(&status, http)));
    }
    let text = String::from_utf8_lossy(body).trim().to_owned();
    let (reason, message) = match http {
        401 => ("Unauthorized", "the server has asked for the client to provide credentials".to_owned()),
        403 => ("Forbidden", format!("unknown: {text}")),
        404 => ("NotFound", "the server could not find the requested resource".to_owned()),
        405 => ("MethodNotAllowed", "the server does not allow this method on the requested resource".to_owned()),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request".to_owned()),
        _ if text.is_empty() => ("", format!("an error on the server (\"unknown\") has prevented the request from succeeding ({http})")),
        _ => ("InternalError", format!("an error on the server ({text:?}) has prevented the request from succeeding")),
    };
    Error::Api(Box::new(ApiError::new(http, reason, message)))
}
