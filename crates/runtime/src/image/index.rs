//! What the store knows about its images, and the one small JSON file in which it survives.
//!
//! The file is replaced as a whole: written beside, fsynced, renamed, and its directory fsynced. A reader sees the old
//! or the new one, never a mixture.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ImageError;
use super::digest::Digest;
use super::manifest::ImageConfig;
use super::reference::Reference;
use super::unpack::Unpacked;
use crate::cri::ImageStatus;

/// Version of the file's form.
const VERSION: u32 = 1;
/// Shortest prefix of an id that is looked up.
const MIN_ID_PREFIX: usize = 4;

/// Everything that is persisted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Index {
    #[serde(default)]
    version: u32,
    /// By id: the digest of the image's config.
    #[serde(default)]
    pub images: BTreeMap<Digest, Record>,
    /// `registry/name:tag` and `registry/name@digest` to image ids.
    #[serde(default)]
    pub names: BTreeMap<String, Digest>,
    /// Sizes of unpacked layers by chain id.
    #[serde(default)]
    pub layers: BTreeMap<Digest, LayerRecord>,
}

/// One image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// What its names point at: a manifest, or an index that lists it. None for archives of old `docker save`.
    pub target: Option<Digest>,
    /// Blobs (index, manifest, config) kept for it.
    pub documents: Vec<Digest>,
    /// Chain ids of its layers, bottom first.
    pub chain: Vec<Digest>,
    /// Compressed size: config, manifest and layers.
    pub size_bytes: u64,
    pub config: ImageConfig,
    #[serde(default)]
    pub pinned: bool,
}

/// One unpacked layer.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    pub bytes: u64,
    pub inodes: u64,
}

impl From<Unpacked> for LayerRecord {
    fn from(u: Unpacked) -> LayerRecord {
        LayerRecord { bytes: u.bytes, inodes: u.inodes }
    }
}

impl Index {
    /// Reads the file; a missing one is an empty store.
    pub(crate) fn load(path: &Path) -> Result<Index, ImageError> {
        let bytes = match fs::read(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Index::default()),
            other => other.map_err(ImageError::io(format!("read {}", path.display())))?,
        };
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let bad = |e: serde_json::Error| ImageError::Malformed { what: "image index", why: e.to_string() };
        let Version { version } = serde_json::from_slice(&bytes).map_err(bad)?;
        if version > VERSION {
            return Err(ImageError::NewerIndex { found: version, known: VERSION });
        }
        serde_json::from_slice(&bytes).map_err(bad)
    }

    /// Replaces the file durably.
    pub(crate) fn save(&mut self, path: &Path) -> Result<(), ImageError> {
        self.version = VERSION;
        let bytes = serde_json::to_vec(self)
            .map_err(|e| ImageError::Malformed { what: "image index", why: e.to_string() })?;
        write_durably(path, &bytes).map_err(ImageError::io(format!("write {}", path.display())))
    }

    /// Finds an image by id, id prefix, name, tag or digest.
    pub(crate) fn resolve(&self, text: &str) -> Result<Option<Digest>, ImageError> {
        if let Ok(id) = Digest::parse(text)
            && self.images.contains_key(&id)
        {
            return Ok(Some(id));
        }
        if let Ok(reference) = Reference::parse(text)
            && let Some(id) = self.by_reference(&reference)
        {
            return Ok(Some(id));
        }
        let prefix = text.strip_prefix("sha256:").unwrap_or(text);
        if prefix.len() < MIN_ID_PREFIX || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let mut found = self.images.keys().filter(|id| id.hex().starts_with(prefix));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(ImageError::Ambiguous(text.to_owned())),
            (one, _) => Ok(one.cloned()),
        }
    }

    fn by_reference(&self, reference: &Reference) -> Option<Digest> {
        if let Some(id) = self.names.get(&reference.key()) {
            return Some(id.clone());
        }
        // An imported image has no name with its digest, yet its manifest is known to be that one.
        let digest = reference.digest.as_ref()?;
        let tags = format!("{}:", reference.name());
        self.names
            .range(tags.clone()..)
            .take_while(|(name, _)| name.starts_with(&tags))
            .find(|(_, id)| self.images.get(*id).is_some_and(|r| r.documents.contains(digest)))
            .map(|(_, id)| id.clone())
    }

    /// The image as the CRI reports it.
    pub(crate) fn status(&self, id: &Digest) -> Option<ImageStatus> {
        let record = self.images.get(id)?;
        let names = self.names.iter().filter(|(_, to)| *to == id).map(|(name, _)| name.clone());
        let (repo_digests, repo_tags) = names.partition(|name| name.contains('@'));
        let user = record.config.user.split(':').next().unwrap_or("");
        let uid = user.parse::<i64>().ok();
        Some(ImageStatus {
            id: id.to_string(),
            repo_tags,
            repo_digests,
            size_bytes: record.size_bytes,
            uid,
            username: (uid.is_none() && !user.is_empty()).then(|| user.to_owned()),
            pinned: record.pinned,
        })
    }

    /// Every layer that an image needs.
    pub(crate) fn used_layers(&self) -> BTreeSet<Digest> {
        self.images.values().flat_map(|r| r.chain.iter().cloned()).collect()
    }

    /// Every document that an image needs.
    pub(crate) fn used_documents(&self) -> BTreeSet<Digest> {
        self.images.values().flat_map(|r| r.documents.iter().cloned()).collect()
    }
}

/// Writes a file so that after a crash either the old or the whole new contents are there.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = dir.join(name);
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(dir)?.sync_all()
}
