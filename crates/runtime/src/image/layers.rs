//! Layers on disk: `snapshots/<chain id>/fs`, each unpacked once, complete or absent.
//!
//! A layer is unpacked under `tmp/` and renamed into place when its bytes had the right digest. Until an image that
//! needs it is committed it is held by a lease; after a crash an uncommitted one is removed at start-up.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use super::decompress::Decompressor;
use super::digest::{Digest, HashingReader};
use super::unpack::{Unpacked, unpack};
use super::{ImageError, ImageStore};

/// What a layer's bytes must be.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// Digest of the blob as stored, if known (old docker archives name none).
    pub digest: Option<Digest>,
    /// Digest of the uncompressed archive.
    pub diff_id: Digest,
}

/// Locks by chain id, so that two images that share a layer fetch and unpack it once.
#[derive(Default)]
pub(crate) struct ChainLocks(HashMap<Digest, Weak<tokio::sync::Mutex<()>>>);

impl ChainLocks {
    /// The lock of one chain id.
    pub(crate) fn get(&mut self, chain: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        if let Some(lock) = self.0.get(chain).and_then(Weak::upgrade) {
            return lock;
        }
        self.0.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::default();
        self.0.insert(chain.clone(), Arc::downgrade(&lock));
        lock
    }
}

/// Keeps layers from being collected while an image that will need them is on its way.
pub(crate) struct Lease {
    store: ImageStore,
    chain: Vec<Digest>,
}

impl Lease {
    /// Holds all of `chain`.
    pub(crate) fn take(store: &ImageStore, chain: &[Digest]) -> Lease {
        let mut state = store.state();
        for id in chain {
            *state.leases.entry(id.clone()).or_default() += 1;
        }
        drop(state);
        Lease { store: store.clone(), chain: chain.to_vec() }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.store.state();
        for id in &self.chain {
            if let Some(count) = state.leases.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    state.leases.remove(id);
                }
            }
        }
    }
}

impl ImageStore {
    /// Directory of a finished layer, usable as a lower directory of overlayfs.
    pub(crate) fn layer_dir(&self, chain: &Digest) -> PathBuf {
        self.dir().join("snapshots").join(chain.hex()).join("fs")
    }

    /// Whether the layer is unpacked.
    pub(crate) fn has_layer(&self, chain: &Digest) -> bool {
        self.state().index.layers.contains_key(chain)
    }

    /// Unpacks one layer on top of `below` (bottom first), checks every digest, and makes it visible.
    pub(crate) fn unpack_layer(
        &self,
        chain: &Digest,
        below: &[Digest],
        expected: &Expected,
        source: impl Read,
    ) -> Result<(), ImageError> {
        let tmp = self.new_tmp("layer")?;
        let placed = self.unpack_into(&tmp, below, expected, source).and_then(|u| self.place(chain, &tmp, u));
        if !matches!(placed, Ok(true)) {
            self.delete_later(tmp);
        }
        placed.map(drop)
    }

    /// Makes a finished layer visible; false when another pull was faster.
    fn place(&self, chain: &Digest, tmp: &std::path::Path, unpacked: Unpacked) -> Result<bool, ImageError> {
        let place = self.dir().join("snapshots").join(chain.hex());
        let mut state = self.state();
        if state.index.layers.contains_key(chain) {
            return Ok(false);
        }
        // A directory that no record knows is a leftover that could not be removed, or another process has just made it.
        if place.exists() {
            let Some(_alone) = self.inner.sharing.alone() else {
                state.index_mut().layers.insert(chain.clone(), unpacked.into());
                return Ok(false);
            };
            self.discard(&place)?;
        }
        fs::rename(tmp, &place).map_err(ImageError::io(format!("rename to {}", place.display())))?;
        state.index_mut().layers.insert(chain.clone(), unpacked.into());
        Ok(true)
    }

    fn unpack_into(
        &self,
        tmp: &std::path::Path,
        below: &[Digest],
        expected: &Expected,
        source: impl Read,
    ) -> Result<Unpacked, ImageError> {
        let fs_dir = tmp.join("fs");
        fs::create_dir(&fs_dir).map_err(ImageError::io(format!("create {}", fs_dir.display())))?;
        set_mode(&fs_dir, 0o755)?;
        let open = |path: PathBuf| File::open(&path).map_err(ImageError::io(format!("open {}", path.display())));
        let root = open(fs_dir)?;
        let parents = below.iter().rev().map(|c| open(self.layer_dir(c))).collect::<Result<Vec<_>, _>>()?;
        let extract = |source| ImageError::Extract { diff_id: expected.diff_id.clone(), source };

        let compressed = HashingReader::new(source, expected.digest.as_ref());
        let plain = Decompressor::new(compressed).map_err(extract)?;
        let mut archive = HashingReader::new(plain, Some(&expected.diff_id));
        let outcome = unpack(&mut archive, root, parents);
        let drained = archive.inner_mut().drain_source();
        // A corrupt blob also fails to unpack: say the cause, not the symptom.
        if let (Some(want), Ok(())) = (&expected.digest, &drained) {
            let have = archive.inner_mut().source().digest();
            if have != *want {
                return Err(ImageError::WrongDigest { blob: format!("layer-{want}"), actual: have, expected: want.clone() });
            }
        }
        let unpacked = outcome.map_err(extract)?;
        drained.map_err(extract)?;
        let diff_id = archive.digest();
        if diff_id != expected.diff_id {
            return Err(ImageError::WrongDiffId { actual: diff_id, expected: expected.diff_id.clone() });
        }
        Ok(unpacked)
    }
}

fn set_mode(path: &std::path::Path, mode: u32) -> Result<(), ImageError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(ImageError::io(format!("chmod {}", path.display())))
}
