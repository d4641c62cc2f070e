//! What can go wrong with images, in the words that containerd uses where Kubernetes' users see them.

use std::io;

use super::digest::Digest;
use crate::cri::RuntimeError;

/// The one error of the image half of the runtime.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("{doing}: {source}")]
    Io { doing: String, source: io::Error },
    #[error("invalid digest {0:?}")]
    InvalidDigest(String),
    #[error("failed to parse image reference {reference:?}: {why}")]
    InvalidReference { reference: String, why: String },
    #[error("malformed {what}: {why}")]
    Malformed { what: &'static str, why: String },
    #[error("{0}: not supported")]
    Unsupported(String),
    #[error("no match for platform in manifest: not found (this machine is {ours})")]
    NoPlatform { ours: String },
    #[error("{what}: not found")]
    NotFound { what: String },
    #[error("image id prefix {0:?} is ambiguous")]
    Ambiguous(String),
    #[error("failed commit on ref {blob:?}: unexpected commit digest {actual}, expected {expected}: failed precondition")]
    WrongDigest { blob: String, actual: Digest, expected: Digest },
    #[error("failed commit on ref {blob:?}: unexpected commit size {actual}, expected {expected}: failed precondition")]
    WrongSize { blob: String, actual: u64, expected: u64 },
    #[error("wrong diff id calculated on extraction {actual:?}, expected {expected:?}")]
    WrongDiffId { actual: Digest, expected: Digest },
    #[error("failed to extract layer {diff_id}: {source}")]
    Extract { diff_id: Digest, source: io::Error },
    #[error("index of the image store has version {found}, this program knows {known}: it was written by a newer version")]
    NewerIndex { found: u32, known: u32 },
    /// A registry answered, but not with what was asked for; or did not answer.
    #[error("{0}")]
    Registry(String),
    #[error("failed to pull and unpack image {reference:?}: {why}")]
    Pull { reference: String, why: String, not_found: bool },
    #[error("the image store is shutting down")]
    Stopped,
}

impl ImageError {
    /// Wraps an I/O error with what was being done.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> ImageError {
        let doing = doing.into();
        move |source| ImageError::Io { doing, source }
    }

    /// Whether the thing asked for does not exist (gRPC's `NotFound`).
    pub fn is_not_found(&self) -> bool {
        matches!(
            self,
            ImageError::NotFound { .. } | ImageError::NoPlatform { .. } | ImageError::Pull { not_found: true, .. }
        )
    }
}

impl From<ImageError> for RuntimeError {
    fn from(error: ImageError) -> RuntimeError {
        match error {
            ImageError::Io { doing, source } => RuntimeError::Io { doing, source },
            ImageError::NotFound { what } => RuntimeError::NotFound { what },
            e @ (ImageError::InvalidReference { .. } | ImageError::InvalidDigest(_) | ImageError::Ambiguous(_)) => {
                RuntimeError::InvalidArgument(e.to_string())
            }
            e @ (ImageError::Pull { .. } | ImageError::Registry(_)) => RuntimeError::ImagePull(e.to_string()),
            e => RuntimeError::Internal(e.to_string()),
        }
    }
}
