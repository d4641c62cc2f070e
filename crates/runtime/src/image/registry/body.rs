//! Bodies of answers: small ones whole, blobs streamed to a file and resumed where they broke off.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::image::ImageError;
use crate::image::digest::Hasher;
use crate::image::manifest::{Descriptor, MAX_DOCUMENT_BYTES};

/// How long a body may stand still before it counts as cut off.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Most of an error page that is read.
const MAX_ERROR_BYTES: u64 = 64 * 1024;

/// The next piece of a body; `None` at its end. The error says how the stream broke.
pub(super) async fn chunk(body: &mut Incoming) -> Result<Option<Bytes>, String> {
    loop {
        match tokio::time::timeout(STALL_TIMEOUT, body.frame()).await {
            Err(_) => return Err(format!("no data for {} s", STALL_TIMEOUT.as_secs())),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err("unexpected EOF".to_owned()),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// A whole document, refused when it is too large.
pub(super) async fn document(mut body: Incoming) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(data) = chunk(&mut body).await? {
        if (bytes.len() + data.len()) as u64 > MAX_DOCUMENT_BYTES {
            return Err(format!("larger than {MAX_DOCUMENT_BYTES} bytes"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// The beginning of an error page; what cannot be read is left out.
pub(super) async fn error_page(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(Some(data)) = chunk(&mut body).await {
        bytes.extend_from_slice(&data);
        if bytes.len() as u64 > MAX_ERROR_BYTES {
            break;
        }
    }
    bytes
}

/// A blob on its way into a file.
pub(crate) struct Download<'a> {
    pub(crate) blob: &'a Descriptor,
    file: std::fs::File,
    hasher: Hasher,
    /// Bytes written; a broken transfer goes on from here.
    pub(super) at: u64,
    progress: &'a (dyn Fn(u64) + Send + Sync),
}

impl<'a> Download<'a> {
    /// Starts with an empty file; `progress` hears how many bytes came.
    pub(crate) fn new(blob: &'a Descriptor, file: std::fs::File, progress: &'a (dyn Fn(u64) + Send + Sync)) -> Download<'a> {
        Download { blob, file, hasher: Hasher::like(&blob.digest), at: 0, progress }
    }

    /// What the blob is called in error texts.
    pub(super) fn name(&self) -> String {
        format!("layer-{}", self.blob.digest)
    }

    /// The server began anew instead of going on.
    pub(super) fn restart(&mut self) -> Result<(), ImageError> {
        use std::io::Seek;
        let doing = || ImageError::io("restart a download");
        self.file.set_len(0).map_err(doing())?;
        self.file.rewind().map_err(doing())?;
        self.hasher = Hasher::like(&self.blob.digest);
        self.at = 0;
        Ok(())
    }

    /// Adds bytes to the file. Pages of the page cache take them; the thread is not kept waiting for a disk.
    pub(super) fn write(&mut self, data: &[u8]) -> Result<(), ImageError> {
        let after = self.at + data.len() as u64;
        if after > self.blob.size {
            return Err(ImageError::WrongSize { blob: self.name(), actual: after, expected: self.blob.size });
        }
        self.file.write_all(data).map_err(ImageError::io(format!("write {}", self.name())))?;
        self.hasher.update(data);
        self.at = after;
        (self.progress)(data.len() as u64);
        Ok(())
    }

    /// Checks size and digest once the body has ended.
    pub(super) fn verify(&self) -> Result<(), ImageError> {
        let (blob, expected) = (self.name(), self.blob.digest.clone());
        if self.at != self.blob.size {
            return Err(ImageError::WrongSize { blob, actual: self.at, expected: self.blob.size });
        }
        let actual = self.hasher.so_far();
        if actual == expected { Ok(()) } else { Err(ImageError::WrongDigest { blob, actual, expected }) }
    }
}
