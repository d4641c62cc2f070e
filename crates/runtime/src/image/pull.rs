//! Pulling: resolve, fetch what is missing, unpack in order, commit.
//!
//! Laws: (1) pulls of one image with the same credentials are one pull; (2) layers are fetched in parallel and unpacked
//! bottom up, each as soon as it and the one below are there; (3) nothing is visible before everything is.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, try_join_all};
use tokio::sync::{Semaphore, watch};

use super::digest::Digest;
use super::index::Record;
use super::layers::{Expected, Lease};
use super::manifest::{ConfigFile, Descriptor, Document, Manifest, Platform, chain_ids};
use super::reference::Reference;
use super::registry::{Download, Session};
use super::{ImageError, ImageStore, guard};
use crate::cri::{Auth, RuntimeError};

/// Most blobs that are fetched at once, over all pulls.
const MAX_DOWNLOADS: usize = 4;
/// Most layers that are unpacked at once, over all pulls.
const MAX_UNPACKS: usize = 2;
/// Deepest nesting of indexes.
const MAX_INDEX_DEPTH: usize = 4;

/// How far a pull is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub bytes_done: u64,
    /// Of the layers that have to be fetched; grows while that becomes known.
    pub bytes_total: u64,
    pub layers_done: u64,
    pub layers_total: u64,
}

/// Hears of progress; called often, must be quick.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

type Outcome = Result<String, Failure>;

/// A pull's error, for each of those that wait for it.
#[derive(Clone, Debug)]
struct Failure {
    why: String,
    not_found: bool,
}

/// Pulls that are under way, and the bounds of them all.
pub(crate) struct Pulls {
    running: HashMap<(String, Digest), Shared<BoxFuture<'static, Outcome>>>,
    downloads: Arc<Semaphore>,
    unpacks: Arc<Semaphore>,
}

impl Default for Pulls {
    fn default() -> Pulls {
        Pulls {
            running: HashMap::new(),
            downloads: Arc::new(Semaphore::new(MAX_DOWNLOADS)),
            unpacks: Arc::new(Semaphore::new(MAX_UNPACKS)),
        }
    }
}

#[derive(Default)]
struct Meter {
    bytes_done: AtomicU64,
    bytes_total: AtomicU64,
    layers_done: AtomicU64,
    layers_total: AtomicU64,
    listener: Option<OnProgress>,
}

impl Meter {
    fn add(&self, counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
        if let Some(listener) = &self.listener {
            let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
            listener(Progress {
                bytes_done: get(&self.bytes_done),
                bytes_total: get(&self.bytes_total),
                layers_done: get(&self.layers_done),
                layers_total: get(&self.layers_total),
            });
        }
    }
}

/// What one pull carries along.
struct Pull {
    store: ImageStore,
    reference: Reference,
    session: Session,
    meter: Meter,
}

impl ImageStore {
    /// Pulls and unpacks an image; returns its id. The pull goes on if the caller stops waiting.
    pub async fn pull_image(&self, reference: &str, auth: Option<Auth>) -> Result<String, RuntimeError> {
        Ok(self.pull(reference, auth, None).await?)
    }

    /// As `pull_image`; a caller that joins a pull under way is not told of its progress.
    pub async fn pull(&self, reference: &str, auth: Option<Auth>, listener: Option<OnProgress>) -> Result<String, ImageError> {
        let reference = Reference::parse(reference)?;
        let key = (reference.to_string(), fingerprint(auth.as_ref()));
        let shared = {
            let mut pulls = guard(&self.inner.pulls);
            match pulls.running.get(&key) {
                Some(shared) => shared.clone(),
                None => {
                    let shared = self.start(key.clone(), reference.clone(), auth, listener);
                    pulls.running.insert(key, shared.clone());
                    shared
                }
            }
        };
        shared.await.map_err(|Failure { why, not_found }| ImageError::Pull { reference: reference.to_string(), why, not_found })
    }

    fn start(
        &self,
        key: (String, Digest),
        reference: Reference,
        auth: Option<Auth>,
        listener: Option<OnProgress>,
    ) -> Shared<BoxFuture<'static, Outcome>> {
        let store = self.clone();
        let task = tokio::spawn(async move {
            let result = store.run(reference, auth, listener).await;
            guard(&store.inner.pulls).running.remove(&key);
            if result.is_err() {
                // Layers that were good belong to no image now; what stays goes with the next collection.
                let _ = tokio::task::spawn_blocking(move || store.collect()).await;
            }
            result.map_err(|e| Failure { not_found: e.is_not_found(), why: e.to_string() })
        });
        let failed = |e: tokio::task::JoinError| Err(Failure { why: e.to_string(), not_found: false });
        task.map(move |joined| joined.unwrap_or_else(failed)).boxed().shared()
    }

    async fn run(&self, reference: Reference, auth: Option<Auth>, listener: Option<OnProgress>) -> Result<String, ImageError> {
        let session = Session::new(&self.inner.registries, &reference, auth)?;
        let meter = Meter { listener, ..Meter::default() };
        let pull = Pull { store: self.clone(), reference, session, meter };
        pull.run().await.map(|id| id.to_string())
    }
}

/// Pulls with other credentials must not ride on this one.
fn fingerprint(auth: Option<&Auth>) -> Digest {
    let Auth { username, password, token } = auth.cloned().unwrap_or_default();
    Digest::of(format!("{username}\0{password}\0{}", token.unwrap_or_default()).as_bytes())
}

impl Pull {
    async fn run(&self) -> Result<Digest, ImageError> {
        let target = self.session.resolve().await.map_err(|e| {
            let why = format!("failed to resolve reference \"{}\": {e}", self.reference);
            if e.is_not_found() { ImageError::NotFound { what: why.trim_end_matches(": not found").to_owned() } } else { ImageError::Registry(why) }
        })?;
        if let Some(expected) = &self.reference.digest
            && *expected != target
        {
            let blob = self.reference.to_string();
            return Err(ImageError::WrongDigest { blob, actual: target, expected: expected.clone() });
        }
        if let Some(id) = self.already_here(&target).await? {
            return Ok(id);
        }
        let (manifest, mut documents) = self.manifest(&target).await?;
        let id = manifest.config.digest.clone();
        let bytes = self.session.blob(&id).await?;
        let config = ConfigFile::parse(&bytes)?;
        config.check(manifest.layers.len(), &Platform::ours())?;
        documents.push((id.clone(), bytes));
        let chain = chain_ids(&config.rootfs.diff_ids);
        let _lease = Lease::take(&self.store, &chain);
        self.layers(&manifest, &config, &chain).await?;
        let sizes = documents.iter().map(|(_, bytes)| bytes.len() as u64).chain(manifest.layers.iter().map(|l| l.size));
        let record = Record {
            size_bytes: sizes.sum(),
            target: Some(target.clone()),
            documents: documents.iter().map(|(digest, _)| digest.clone()).collect(),
            chain,
            config: config.config,
            pinned: false,
        };
        let (store, names, to) = (self.store.clone(), self.names(&target), id.clone());
        off_thread(move || {
            documents.iter().try_for_each(|(digest, bytes)| store.save_document(digest, bytes))?;
            store.commit_image(&to, record, &names)
        })
        .await?;
        Ok(id)
    }

    fn names(&self, target: &Digest) -> Vec<String> {
        let mut names = vec![format!("{}@{target}", self.reference.name())];
        if let (Some(tag), None) = (&self.reference.tag, &self.reference.digest) {
            names.push(format!("{}:{tag}", self.reference.name()));
        }
        names
    }

    /// The registry's image is one that we have: only its names may be new.
    async fn already_here(&self, target: &Digest) -> Result<Option<Digest>, ImageError> {
        let index = self.store.index();
        let found = index.images.iter().find(|(_, r)| r.target.as_ref() == Some(target));
        let Some((id, _)) = found else { return Ok(None) };
        let (store, id, names) = (self.store.clone(), id.clone(), self.names(target));
        if names.iter().all(|name| index.names.get(name) == Some(&id)) {
            return Ok(Some(id));
        }
        off_thread(move || {
            let mut present = true;
            store.change(|index| {
                present = index.images.contains_key(&id);
                if present {
                    index.names.extend(names.into_iter().map(|name| (name, id.clone())));
                }
                Ok(())
            })?;
            Ok(present.then_some(id))
        })
        .await
    }

    /// Follows indexes to the manifest for this machine.
    async fn manifest(&self, target: &Digest) -> Result<(Manifest, Vec<(Digest, Vec<u8>)>), ImageError> {
        let ours = Platform::ours();
        let mut documents = Vec::new();
        let mut digest = target.clone();
        for _ in 0..=MAX_INDEX_DEPTH {
            let bytes = self.session.manifest(&digest).await?;
            let document = Document::parse(&bytes)?;
            documents.push((digest, bytes));
            match document {
                Document::Manifest(manifest) => return Ok((manifest, documents)),
                Document::Index(index) => {
                    let best: Option<&Descriptor> = index.for_platform(&ours).into_iter().next();
                    let none = || ImageError::NoPlatform { ours: format!("{}/{}", ours.os, ours.architecture) };
                    digest = best.ok_or_else(none)?.digest.clone();
                }
            }
        }
        Err(ImageError::Malformed { what: "index", why: "indexes nested too deep".into() })
    }

    async fn layers(&self, manifest: &Manifest, config: &ConfigFile, chain: &[Digest]) -> Result<(), ImageError> {
        self.meter.add(&self.meter.layers_total, chain.len() as u64);
        let scratch = Scratch { store: &self.store, dir: self.store.new_tmp("pull")? };
        let done: Vec<_> = chain.iter().map(|_| watch::Sender::new(false)).collect();
        let layers = (0..chain.len()).map(|i| {
            let below = i.checked_sub(1).map(|b| done[b].subscribe());
            let expected = Expected { digest: Some(manifest.layers[i].digest.clone()), diff_id: config.rootfs.diff_ids[i].clone() };
            let (finished, blob, dir) = (&done[i], &manifest.layers[i], &scratch.dir);
            async move {
                self.layer(&chain[..=i], blob, expected, below, dir).await?;
                self.meter.add(&self.meter.layers_done, 1);
                finished.send_replace(true);
                Ok::<_, ImageError>(())
            }
        });
        try_join_all(layers).await.map(drop)
    }

    async fn layer(
        &self,
        chain: &[Digest],
        blob: &Descriptor,
        expected: Expected,
        below: Option<watch::Receiver<bool>>,
        scratch: &Path,
    ) -> Result<(), ImageError> {
        let Some((own, parents)) = chain.split_last() else { return Ok(()) };
        let lock = guard(&self.store.inner.locks).get(own);
        let held = lock.lock_owned().await;
        if self.store.has_layer(own) {
            return Ok(());
        }
        let path = scratch.join(format!("{}", chain.len()));
        self.fetch(blob, &path).await?;
        if let Some(mut below) = below {
            below.wait_for(|done| *done).await.map_err(|_| ImageError::Stopped)?;
        }
        let unpacks = guard(&self.store.inner.pulls).unpacks.clone();
        let permit = unpacks.acquire_owned().await.map_err(|_| ImageError::Stopped)?;
        let (store, own, parents) = (self.store.clone(), own.clone(), parents.to_vec());
        off_thread(move || {
            let _until_done = (held, permit);
            let file = std::fs::File::open(&path).map_err(ImageError::io("open a fetched layer"))?;
            // Only needed once: the space is free as soon as the file is closed.
            std::fs::remove_file(&path).map_err(ImageError::io("unlink a fetched layer"))?;
            store.unpack_layer(&own, &parents, &expected, file)
        })
        .await
    }

    async fn fetch(&self, blob: &Descriptor, path: &Path) -> Result<(), ImageError> {
        let downloads = guard(&self.store.inner.pulls).downloads.clone();
        let _permit = downloads.acquire_owned().await.map_err(|_| ImageError::Stopped)?;
        self.meter.add(&self.meter.bytes_total, blob.size);
        let file = std::fs::File::create(path).map_err(ImageError::io(format!("create {}", path.display())))?;
        let progress = |n| self.meter.add(&self.meter.bytes_done, n);
        self.session.download(&mut Download::new(blob, file, &progress)).await
    }
}

/// A directory for the files of one pull.
struct Scratch<'a> {
    store: &'a ImageStore,
    dir: std::path::PathBuf,
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        self.store.delete_later(self.dir.clone());
    }
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(ImageError::Stopped))
}
