//! The ImageService verbs of the seam, for the embedded runtime to hand through.

use std::path::PathBuf;

use super::ImageStore;
use crate::cri::{ImageStatus, RuntimeError};

impl ImageStore {
    /// The image of that name, tag, digest or id, if present.
    pub fn image_status(&self, reference: &str) -> Result<Option<ImageStatus>, RuntimeError> {
        Ok(self.get(reference)?)
    }

    /// Removes an image; disk work happens off the async threads.
    pub async fn remove_image(&self, reference: &str) -> Result<(), RuntimeError> {
        let (store, reference) = (self.clone(), reference.to_owned());
        blocking(move || Ok(store.remove(&reference)?)).await
    }

    /// (bytes used, inodes used, directory) of the image file system.
    pub async fn image_fs(&self) -> Result<(u64, u64, PathBuf), RuntimeError> {
        let store = self.clone();
        blocking(move || {
            let usage = store.fs_usage()?;
            Ok((usage.bytes, usage.inodes, store.dir().to_owned()))
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
) -> Result<T, RuntimeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(RuntimeError::Internal(format!("image store: {e}"))),
    }
}
