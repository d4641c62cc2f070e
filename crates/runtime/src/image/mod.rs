//! Images of the embedded container runtime: stored, imported, pulled, unpacked, and turned into root file systems.
//!
//! Answers to the CRI's ImageService, the OCI image and distribution specifications, and "Images" in Kubernetes'
//! documentation. On disk, below the directory given to [`ImageStore::open`]:
//! ```text
//! index.json          what there is: images, names, layers      (replaced durably)
//! blobs/sha256/…      manifests, indexes and configs            (verified, durable)
//! snapshots/<chain>/  unpacked layers: fs/                      (complete or absent)
//! rootfs/<container>/ upper/ work/ merged/ layers.json          (one container's writable layer)
//! tmp/                whatever is being made                    (emptied at start-up)
//! *.lock              who owns the store, who is its guest, who changes the index
//! ```
//! Compressed layers are not kept: they are checked while they are unpacked and never needed again.

mod archive;
mod cri;
mod decompress;
mod digest;
mod error;
mod import;
mod index;
mod layers;
mod manifest;
mod pull;
mod reference;
mod registry;
mod rootfs;
mod sharing;
mod tarstream;
mod unpack;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use digest::Digest;
pub use error::ImageError;
pub use manifest::ImageConfig;
pub use pull::{OnProgress, Progress};
pub use reference::Reference;
pub use registry::RegistryConfig;
pub use rootfs::{Rootfs, WritableUsage};

use crate::cri::ImageStatus;
use index::{Index, Record};
use layers::ChainLocks;
use pull::Pulls;
use sharing::{Sharing, Stamp};

/// The node's images. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct ImageStore {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    state: Mutex<State>,
    /// Held while the index file is being replaced.
    commit: Mutex<()>,
    locks: Mutex<ChainLocks>,
    next_tmp: AtomicU64,
    registries: RegistryConfig,
    pulls: Mutex<Pulls>,
    sharing: Sharing,
}

/// What is in memory.
struct State {
    index: Arc<Index>,
    /// The file that `index` was read from or written to.
    stamp: Option<Stamp>,
    /// Layers of images on their way, by how many want them.
    leases: HashMap<Digest, u32>,
    /// Layers that containers stand on, by container id.
    containers: BTreeMap<String, Vec<Digest>>,
}

impl State {
    fn index_mut(&mut self) -> &mut Index {
        Arc::make_mut(&mut self.index)
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every critical section leaves the value whole, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ImageStore {
    /// Opens the store in `dir`, creating it, and removes what an earlier process left unfinished.
    pub fn open(dir: &Path) -> Result<ImageStore, ImageError> {
        ImageStore::open_with(dir, RegistryConfig::default())
    }

    /// As `open`, with mirrors, plain HTTP registries or certificate authorities of one's own.
    pub fn open_with(dir: &Path, registries: RegistryConfig) -> Result<ImageStore, ImageError> {
        for sub in ["", "blobs/sha256", "blobs/sha512", "snapshots", "rootfs", "tmp"] {
            let path = dir.join(sub);
            fs::create_dir_all(&path).map_err(ImageError::io(format!("create {}", path.display())))?;
        }
        let dir = dir.canonicalize().map_err(ImageError::io(format!("resolve {}", dir.display())))?;
        let sharing = Sharing::join(&dir)?;
        let stamp = Stamp::of(&dir.join("index.json"));
        let index = Index::load(&dir.join("index.json"))?;
        let containers = rootfs::load_users(&dir)?;
        let state = State { index: Arc::new(index), stamp, leases: HashMap::new(), containers };
        let store = ImageStore {
            inner: Arc::new(Inner {
                dir,
                state: Mutex::new(state),
                commit: Mutex::new(()),
                locks: Mutex::default(),
                next_tmp: AtomicU64::new(0),
                registries,
                pulls: Mutex::default(),
                sharing,
            }),
        };
        if let Some(alone) = store.inner.sharing.alone() {
            store.sweep()?;
            drop(alone);
        }
        Ok(store)
    }

    /// Where the store is.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    fn state(&self) -> MutexGuard<'_, State> {
        guard(&self.inner.state)
    }

    /// The index as it is on disk now. One that cannot be read any more leaves the last one standing: what it names is
    /// still there, and the next change tells.
    fn index(&self) -> Arc<Index> {
        let _ = self.refresh();
        self.state().index.clone()
    }

    /// Every image, by id.
    pub fn list(&self) -> Vec<ImageStatus> {
        let index = self.index();
        index.images.keys().filter_map(|id| index.status(id)).collect()
    }

    /// The image of that id, id prefix, name, tag or digest, if present.
    pub fn get(&self, reference: &str) -> Result<Option<ImageStatus>, ImageError> {
        let index = self.index();
        Ok(index.resolve(reference)?.and_then(|id| index.status(&id)))
    }

    /// How a container of the image starts by default.
    pub fn config(&self, reference: &str) -> Result<ImageConfig, ImageError> {
        let index = self.index();
        let found = index.resolve(reference)?.and_then(|id| index.images.get(&id).map(|r| r.config.clone()));
        found.ok_or_else(|| ImageError::NotFound { what: format!("image {reference:?}") })
    }

    /// Exempts an image from the kubelet's garbage collection, or no longer.
    pub fn set_pinned(&self, reference: &str, pinned: bool) -> Result<(), ImageError> {
        self.change(|index| {
            let id = index.resolve(reference)?;
            let record = id.and_then(|id| index.images.get_mut(&id));
            let record = record.ok_or_else(|| ImageError::NotFound { what: format!("image {reference:?}") })?;
            record.pinned = pinned;
            Ok(())
        })
    }

    /// Removes an image with all its names, as the CRI does; one that is not there is fine. Layers that containers or
    /// other images stand on stay until those are gone.
    pub fn remove(&self, reference: &str) -> Result<(), ImageError> {
        let Some(id) = self.index().resolve(reference)? else { return Ok(()) };
        self.change(|index| {
            index.images.remove(&id);
            index.names.retain(|_, to| *to != id);
            Ok(())
        })?;
        self.collect()
    }

    /// Takes one name away; the image goes when it was the last.
    pub fn untag(&self, name: &str) -> Result<(), ImageError> {
        let key = Reference::parse(name)?.key();
        self.change(|index| {
            let gone = index.names.remove(&key);
            let gone = gone.ok_or_else(|| ImageError::NotFound { what: format!("image {name:?}") })?;
            if !index.names.values().any(|id| *id == gone) {
                index.images.remove(&gone);
            }
            Ok(())
        })?;
        self.collect()
    }

    /// Gives an image one more name.
    pub fn tag(&self, reference: &str, name: &str) -> Result<(), ImageError> {
        let key = Reference::parse(name)?.key();
        self.change(|index| {
            let id = index.resolve(reference)?;
            let id = id.ok_or_else(|| ImageError::NotFound { what: format!("image {reference:?}") })?;
            index.names.insert(key, id);
            Ok(())
        })
    }

    /// Makes an image whose layers are unpacked visible under its names, durably.
    fn commit_image(&self, id: &Digest, record: Record, names: &[String]) -> Result<(), ImageError> {
        // One flush of the file system covers every file of every layer.
        let dir = File::open(self.dir()).map_err(ImageError::io("open the image store"))?;
        rustix::fs::syncfs(&dir).map_err(|e| ImageError::io("flush layers to disk")(e.into()))?;
        self.change(|index| {
            let pinned = index.images.get(id).is_some_and(|old| old.pinned);
            index.images.insert(id.clone(), Record { pinned: pinned || record.pinned, ..record });
            for name in names {
                // A tag that moves leaves its old image behind: reachable by id, and by digest if it has one.
                index.names.insert(name.clone(), id.clone());
            }
            Ok(())
        })
    }

    /// Changes the index: first on disk, then in memory.
    fn change(&self, edit: impl FnOnce(&mut Index) -> Result<(), ImageError>) -> Result<(), ImageError> {
        let _commit = guard(&self.inner.commit);
        let _file = self.lock_index()?;
        self.refresh()?;
        let mut next = (*self.state().index).clone();
        edit(&mut next)?;
        let path = self.dir().join("index.json");
        next.save(&path)?;
        let mut state = self.state();
        state.stamp = Stamp::of(&path);
        // Layers may have come meanwhile; they only ever go under the commit lock.
        next.layers = state.index.layers.clone();
        state.index = Arc::new(next);
        Ok(())
    }

    /// Removes layers and documents that nothing needs any more; left to the store's owner, for when it is alone.
    pub fn collect(&self) -> Result<(), ImageError> {
        let commit = guard(&self.inner.commit);
        let Some(_alone) = self.inner.sharing.alone() else { return Ok(()) };
        let _file = self.lock_index()?;
        self.refresh()?;
        let mut state = self.state();
        let mut used = state.index.used_layers();
        used.extend(state.containers.values().flatten().cloned());
        used.extend(state.leases.keys().cloned());
        let dead: BTreeSet<Digest> = state.index.layers.keys().filter(|c| !used.contains(*c)).cloned().collect();
        let idle = state.leases.is_empty();
        if !dead.is_empty() {
            let index = state.index_mut();
            index.layers.retain(|chain, _| !dead.contains(chain));
        }
        let mut index = (*state.index).clone();
        drop(state);
        if !dead.is_empty() {
            let path = self.dir().join("index.json");
            index.save(&path)?;
            self.state().stamp = Stamp::of(&path);
        }
        for chain in &dead {
            self.discard(&self.dir().join("snapshots").join(chain.hex()))?;
        }
        // Documents of images on their way are not in the index yet.
        if idle {
            self.sweep_blobs(&index.used_documents())?;
        }
        drop(commit);
        Ok(())
    }

    /// Start-up: nothing of `tmp`, no layer and no document that nothing refers to.
    fn sweep(&self) -> Result<(), ImageError> {
        for path in children(&self.dir().join("tmp"))? {
            remove_any(&path)?;
        }
        let (mut used, documents) = {
            let state = self.state();
            let mut used = state.index.used_layers();
            used.extend(state.containers.values().flatten().cloned());
            (used, state.index.used_documents())
        };
        let mut present = BTreeSet::new();
        for path in children(&self.dir().join("snapshots"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match Digest::parse(&format!("sha256:{name}")) {
                Ok(chain) if used.remove(&chain) => drop(present.insert(chain)),
                _ => remove_any(&path)?,
            }
        }
        self.forget_broken(&present);
        self.sweep_blobs(&documents)
    }

    /// An image whose layer is gone from the disk (someone deleted it) must be fetched anew.
    fn forget_broken(&self, present: &BTreeSet<Digest>) {
        let mut state = self.state();
        let index = state.index_mut();
        index.layers.retain(|chain, _| present.contains(chain));
        for chain in present {
            index.layers.entry(chain.clone()).or_default();
        }
        index.images.retain(|_, record| record.chain.iter().all(|c| present.contains(c)));
        let images = index.images.keys().cloned().collect::<BTreeSet<_>>();
        index.names.retain(|_, id| images.contains(id));
    }

    fn sweep_blobs(&self, used: &BTreeSet<Digest>) -> Result<(), ImageError> {
        for algorithm in ["sha256", "sha512"] {
            for path in children(&self.dir().join("blobs").join(algorithm))? {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                match Digest::parse(&format!("{algorithm}:{name}")) {
                    Ok(digest) if used.contains(&digest) => {}
                    _ => remove_any(&path)?,
                }
            }
        }
        Ok(())
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.dir().join("blobs").join(digest.algorithm()).join(digest.hex())
    }

    /// Keeps a document whose digest has been checked.
    fn save_document(&self, digest: &Digest, bytes: &[u8]) -> Result<(), ImageError> {
        let path = self.blob_path(digest);
        if path.exists() {
            return Ok(());
        }
        index::write_durably(&path, bytes).map_err(ImageError::io(format!("write {}", path.display())))
    }

    /// The bytes of a manifest, index or config that is kept.
    pub fn document(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        let path = self.blob_path(digest);
        let bytes = fs::read(&path).map_err(ImageError::io(format!("read {}", path.display())))?;
        if !digest.matches(&bytes) {
            let actual = Digest::of(&bytes);
            return Err(ImageError::WrongDigest { blob: digest.to_string(), actual, expected: digest.clone() });
        }
        Ok(bytes)
    }

    fn new_tmp(&self, what: &str) -> Result<PathBuf, ImageError> {
        let n = self.inner.next_tmp.fetch_add(1, Ordering::Relaxed);
        let path = self.dir().join("tmp").join(format!("{what}-{}-{n}", std::process::id()));
        fs::create_dir(&path).map_err(ImageError::io(format!("create {}", path.display())))?;
        Ok(path)
    }

    /// Takes a directory out of sight at once and deletes it.
    fn discard(&self, path: &Path) -> Result<(), ImageError> {
        let n = self.inner.next_tmp.fetch_add(1, Ordering::Relaxed);
        let trash = self.dir().join("tmp").join(format!("trash-{}-{n}", std::process::id()));
        match fs::rename(path, &trash) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(ImageError::io(format!("remove {}", path.display()))(e)),
            Ok(()) => {
                self.delete_later(trash);
                Ok(())
            }
        }
    }

    /// Deletes something under `tmp`; what cannot be deleted now goes at the next start-up.
    fn delete_later(&self, path: PathBuf) {
        // Nothing refers to it any more, so a failure costs disk space only.
        let _ = remove_any(&path);
    }
}

fn children(dir: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let doing = || ImageError::io(format!("list {}", dir.display()));
    let entries = fs::read_dir(dir).map_err(doing())?;
    entries.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>().map_err(doing())
}

fn remove_any(path: &Path) -> Result<(), ImageError> {
    let result = match fs::symlink_metadata(path) {
        Ok(m) if m.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match result {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(ImageError::io(format!("remove {}", path.display()))(e))
        }
        _ => Ok(()),
    }
}
