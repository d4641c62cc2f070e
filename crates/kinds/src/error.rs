//! The API's error: `metav1.Status` with Kubernetes' own code, reason and message, plus a text for the log alone.

use crate::field::FieldErrors;
use crate::resource::Resource;
use std::borrow::Cow;
use std::fmt;

/// One cause inside `status.details`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldManagerConflict`, …
    pub reason: String,
    pub message: String,
    /// The field's path.
    pub field: String,
}

/// `status.details`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    pub name: String,
    pub group: String,
    /// The resource's plural, or the kind where validation failed.
    pub kind: String,
    pub uid: String,
    pub causes: Vec<Cause>,
    pub retry_after_s: Option<i32>,
}

/// An answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason, e.g. `NotFound`; empty for unknown. Webhooks may give any.
    pub reason: Cow<'static, str>,
    pub message: String,
    pub details: Option<Box<Details>>,
    /// Texts for `Warning: 299` headers that go with the refusal.
    pub warnings: Vec<String>,
    /// Where an expired list may go on (`metadata.continue`).
    pub resume: Option<String>,
    /// More for the log, never for the client.
    pub internal: Option<String>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

impl ApiError {
    /// The same with warnings.
    #[must_use]
    pub fn warning(mut self, warnings: &[String]) -> Self {
        self.warnings.extend_from_slice(warnings);
        self
    }

    /// An error without details.
    pub fn new(code: u16, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), message: message.into(), details: None, warnings: Vec::new(), resume: None, internal: None }
    }

    fn about(mut self, resource: &Resource, name: &str) -> Self {
        self.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: resource.group().to_owned(),
            kind: resource.plural().to_owned(),
            ..Details::default()
        }));
        self
    }

    /// Adds details.
    #[must_use]
    pub fn with_details(mut self, details: Details) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// Asks the client to come back after that many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: i32) -> Self {
        self.details.get_or_insert_default().retry_after_s = Some(seconds);
        self
    }

    /// Adds a text for the log.
    #[must_use]
    pub fn log(mut self, internal: impl fmt::Display) -> Self {
        self.internal = Some(internal.to_string());
        self
    }

    /// 404: `pods "web" not found`.
    #[must_use]
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} \"{name}\" not found")).about(resource, name)
    }
    /// 409: `pods "web" already exists`.
    #[must_use]
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{resource} \"{name}\" already exists")).about(resource, name)
    }
    /// 409: `Operation cannot be fulfilled on pods "web": why`.
    pub fn conflict(resource: &Resource, name: &str, why: impl fmt::Display) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}"))
            .about(resource, name)
    }
    /// The conflict of a stale `resourceVersion`.
    #[must_use]
    pub fn modified(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }
    /// 403: `pods "web" is forbidden: why`.
    pub fn forbidden(resource: &Resource, name: &str, why: impl fmt::Display) -> Self {
        let subject = if name.is_empty() { format!("{resource} is") } else { format!("{resource} \"{name}\" is") };
        Self::new(403, "Forbidden", format!("{subject} forbidden: {why}")).about(resource, name)
    }
    /// 422 with every field error: `Pod "web" is invalid: spec.x: Required value`.
    #[must_use]
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &FieldErrors) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let text = errors.aggregate();
        let details = Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes: errors.causes(),
            ..Details::default()
        };
        Self::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {text}")).with_details(details)
    }
    /// 422 for options of a request (`ListOptions`, `CreateOptions` …) that are wrong.
    #[must_use]
    pub fn invalid_options(kind: &str, wrong: impl FnOnce(&mut FieldErrors)) -> Self {
        let mut errors = FieldErrors::default();
        wrong(&mut errors);
        Self::invalid("meta.k8s.io", kind, "", &errors)
    }
    /// 405 for a verb that a resource does not have.
    #[must_use]
    pub fn no_such_verb() -> Self {
        let text = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", text).with_details(Details::default())
    }
    /// 400 with the given text.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }
    /// 401.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }
    /// 410: the revision asked for is compacted away.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }
    /// 405.
    #[must_use]
    pub fn method_not_supported(resource: &Resource, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind \"{resource}\"");
        Self::new(405, "MethodNotAllowed", message).about(resource, "")
    }
    /// 404 for a path that nothing serves.
    #[must_use]
    pub fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource").with_details(Details::default())
    }
    /// 429, come back in `seconds`.
    pub fn too_many_requests(message: impl Into<String>, seconds: i32) -> Self {
        Self::new(429, "TooManyRequests", message).retry_after(seconds)
    }
    /// 500: `Internal error occurred: …`.
    pub fn internal(error: impl fmt::Display) -> Self {
        let mut e = Self::new(500, "InternalError", format!("Internal error occurred: {error}"));
        let cause = Cause { message: error.to_string(), ..Cause::default() };
        e.details = Some(Box::new(Details { causes: vec![cause], ..Details::default() }));
        e
    }
    /// 503.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }
    /// 504: `Timeout: …`.
    pub fn timeout(message: impl fmt::Display) -> Self {
        Self::new(504, "Timeout", format!("Timeout: {message}"))
    }
    /// 413.
    #[must_use]
    pub fn too_large(limit_bytes: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit_bytes}"))
    }

    /// Whether the object was not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.reason == "NotFound"
    }
    /// Whether the object was there already.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.reason == "AlreadyExists"
    }
    /// Whether a precondition or resource version did not hold.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.reason == "Conflict"
    }
    /// Whether trying the same again later can help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.code, 409 | 429 | 500 | 502 | 503 | 504)
    }
}
