//! Why a patch could not be applied, in the words that clients of Kubernetes see.

/// A patch that cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is malformed (400 BadRequest).
    #[error("{0}")]
    Malformed(String),
    /// The patch is well-formed but does not fit the object (422 Invalid for JSON patch, as its `test` fails).
    #[error("{0}")]
    Unprocessable(String),
    /// A `test` of a JSON patch that does not hold (422 Invalid).
    #[error("{0}")]
    TestFailed(String),
    /// The patch is larger than the server accepts (413 RequestEntityTooLarge).
    #[error("{0}")]
    TooLarge(String),
}

impl PatchError {
    pub(crate) fn malformed(text: impl Into<String>) -> Self {
        Self::Malformed(text.into())
    }
}
