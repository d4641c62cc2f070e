//! Importing archives: OCI layouts, `docker save` archives, and files that are both at once.
//!
//! Answers to the OCI image layout specification, Docker's image specification v1.2 (`manifest.json`) and the name
//! annotations of containerd (`io.containerd.image.name`) and the OCI (`org.opencontainers.image.ref.name`).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::archive::Archive;
use super::digest::Digest;
use super::index::Record;
use super::layers::{Expected, Lease};
use super::manifest::{ConfigFile, Descriptor, Document, Index, Manifest, Platform, chain_ids};
use super::reference::Reference;
use super::{ImageError, ImageStore, guard};
use crate::cri::ImageStatus;

const CONTAINERD_NAME: &str = "io.containerd.image.name";
const OCI_NAME: &str = "org.opencontainers.image.ref.name";
/// Deepest nesting of indexes in a layout.
const MAX_INDEX_DEPTH: usize = 4;

/// One image found in an archive.
struct Found {
    config: Vec<u8>,
    /// In the archive: member name, blob digest if known, size.
    layers: Vec<LayerSource>,
    names: Vec<String>,
    /// Manifest, or the index that lists it.
    target: Option<Digest>,
    documents: Vec<(Digest, Vec<u8>)>,
}

struct LayerSource {
    member: String,
    digest: Option<Digest>,
}

/// An entry of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl ImageStore {
    /// Imports every image of an archive (or layout directory) that can run here. Blocks.
    pub fn import(&self, path: &Path) -> Result<Vec<ImageStatus>, ImageError> {
        let scratch = self.new_tmp("import")?;
        let result = self.import_with(path, &scratch);
        self.delete_later(scratch);
        if result.is_err() {
            // Layers that were good belong to no image now; what stays goes with the next collection.
            let _ = self.collect();
        }
        result
    }

    fn import_with(&self, path: &Path, scratch: &Path) -> Result<Vec<ImageStatus>, ImageError> {
        let archive = Archive::open(path, scratch)?;
        let mut found = BTreeMap::new();
        let oci = archive.document("index.json")?;
        let docker = archive.document("manifest.json")?;
        if oci.is_none() && docker.is_none() {
            let why = format!("{}: neither index.json nor manifest.json in it", path.display());
            return Err(ImageError::Malformed { what: "image archive", why });
        }
        if let Some(bytes) = oci {
            read_layout(&archive, &bytes, &mut found)?;
        }
        if let Some(bytes) = docker {
            read_docker(&archive, &bytes, &mut found)?;
        }
        let mut done = Vec::new();
        for (id, image) in found {
            self.import_one(&archive, &id, image)?;
            done.extend(self.index().status(&id));
        }
        Ok(done)
    }

    fn import_one(&self, archive: &Archive, id: &Digest, image: Found) -> Result<(), ImageError> {
        let config = ConfigFile::parse(&image.config)?;
        config.check(image.layers.len(), &Platform::ours())?;
        let chain = chain_ids(&config.rootfs.diff_ids);
        let _lease = Lease::take(self, &chain);
        let mut size_bytes = image.documents.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        for (i, layer) in image.layers.iter().enumerate() {
            let missing = || ImageError::NotFound { what: format!("layer {} in the archive", layer.member) };
            let (reader, size) = archive.member(&layer.member)?.ok_or_else(missing)?;
            size_bytes += size;
            let expected = Expected { digest: layer.digest.clone(), diff_id: config.rootfs.diff_ids[i].clone() };
            self.import_layer(&chain, i, &expected, reader)?;
        }
        for (digest, bytes) in &image.documents {
            self.save_document(digest, bytes)?;
        }
        let record = Record {
            target: image.target,
            documents: image.documents.into_iter().map(|(digest, _)| digest).collect(),
            chain,
            size_bytes,
            config: config.config,
            pinned: false,
        };
        self.commit_image(id, record, &image.names)
    }

    fn import_layer(&self, chain: &[Digest], i: usize, expected: &Expected, reader: impl Read) -> Result<(), ImageError> {
        let lock = guard(&self.inner.locks).get(&chain[i]);
        let _held = lock.blocking_lock();
        if self.has_layer(&chain[i]) {
            return Ok(());
        }
        self.unpack_layer(&chain[i], &chain[..i], expected, reader)
    }
}

fn blob_member(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

fn blob(archive: &Archive, digest: &Digest) -> Result<Option<Vec<u8>>, ImageError> {
    let Some(bytes) = archive.document(&blob_member(digest))? else { return Ok(None) };
    if digest.matches(&bytes) {
        return Ok(Some(bytes));
    }
    Err(ImageError::WrongDigest { blob: digest.to_string(), actual: Digest::of(&bytes), expected: digest.clone() })
}

fn read_layout(archive: &Archive, bytes: &[u8], found: &mut BTreeMap<Digest, Found>) -> Result<(), ImageError> {
    let index: Index =
        serde_json::from_slice(bytes).map_err(|e| ImageError::Malformed { what: "index.json", why: e.to_string() })?;
    let ours = Platform::ours();
    let mut unfit = false;
    for descriptor in &index.manifests {
        let fits = descriptor.platform.is_none() || Index { manifests: vec![descriptor.clone()] }.for_platform(&ours).len() == 1;
        if !fits || !read_descriptor(archive, descriptor, found)? {
            unfit = true;
        }
    }
    if unfit && found.is_empty() {
        return Err(ImageError::NoPlatform { ours: format!("{}/{}", ours.os, ours.architecture) });
    }
    Ok(())
}

/// Takes in the image that a descriptor of `index.json` leads to; false when there is none for this machine.
fn read_descriptor(
    archive: &Archive,
    top: &Descriptor,
    found: &mut BTreeMap<Digest, Found>,
) -> Result<bool, ImageError> {
    let mut documents = Vec::new();
    let mut candidates = vec![(0, top.digest.clone())];
    while let Some((depth, digest)) = candidates.pop() {
        // Archives of one platform leave the manifests of the others out.
        let Some(bytes) = blob(archive, &digest)? else { continue };
        match Document::parse(&bytes)? {
            Document::Index(index) if depth < MAX_INDEX_DEPTH => {
                documents.push((digest, bytes));
                let best = index.for_platform(&Platform::ours());
                candidates.extend(best.into_iter().rev().map(|d| (depth + 1, d.digest.clone())));
            }
            Document::Index(_) => {}
            Document::Manifest(manifest) => {
                documents.push((digest, bytes));
                return read_manifest(archive, top, &manifest, documents, found);
            }
        }
    }
    Ok(false)
}

fn read_manifest(
    archive: &Archive,
    top: &Descriptor,
    manifest: &Manifest,
    mut documents: Vec<(Digest, Vec<u8>)>,
    found: &mut BTreeMap<Digest, Found>,
) -> Result<bool, ImageError> {
    let id = manifest.config.digest.clone();
    let missing = || ImageError::NotFound { what: format!("config {id} in the archive") };
    let config = blob(archive, &id)?.ok_or_else(missing)?;
    let runnable = ConfigFile::parse(&config).is_ok_and(|c| c.check(manifest.layers.len(), &Platform::ours()).is_ok());
    if !runnable && top.platform.is_none() && found.is_empty() {
        ConfigFile::parse(&config)?.check(manifest.layers.len(), &Platform::ours())?;
    }
    documents.push((id.clone(), config.clone()));
    let layers = manifest.layers.iter();
    let image = found.entry(id).or_insert_with(|| Found {
        config,
        layers: layers.map(|l| LayerSource { member: blob_member(&l.digest), digest: Some(l.digest.clone()) }).collect(),
        names: Vec::new(),
        target: Some(top.digest.clone()),
        documents,
    });
    add_name(image, oci_name(top)?);
    Ok(true)
}

fn add_name(image: &mut Found, name: Option<String>) {
    if let Some(name) = name
        && !image.names.contains(&name)
    {
        image.names.push(name);
    }
}

/// containerd writes whole names; others write a whole name or only a tag, which alone says nothing.
fn oci_name(descriptor: &Descriptor) -> Result<Option<String>, ImageError> {
    if let Some(name) = descriptor.annotations.get(CONTAINERD_NAME) {
        return Reference::parse(name).map(|r| Some(r.key()));
    }
    let name = descriptor.annotations.get(OCI_NAME).filter(|n| n.contains(['/', ':']));
    name.map(|n| Reference::parse(n).map(|r| r.key())).transpose()
}

fn read_docker(archive: &Archive, bytes: &[u8], found: &mut BTreeMap<Digest, Found>) -> Result<(), ImageError> {
    let entries: Vec<DockerEntry> =
        serde_json::from_slice(bytes).map_err(|e| ImageError::Malformed { what: "manifest.json", why: e.to_string() })?;
    for entry in entries {
        let missing = || ImageError::NotFound { what: format!("config {} in the archive", entry.config) };
        let config = archive.document(&entry.config)?.ok_or_else(missing)?;
        let id = Digest::of(&config);
        let named = entry.config.rsplit('/').next().unwrap_or("").trim_end_matches(".json");
        if let Ok(expected) = Digest::parse(&format!("sha256:{named}"))
            && expected != id
        {
            return Err(ImageError::WrongDigest { blob: entry.config, actual: id, expected });
        }
        let image = found.entry(id.clone()).or_insert_with(|| Found {
            layers: entry.layers.unwrap_or_default().into_iter().map(docker_layer).collect(),
            names: Vec::new(),
            target: None,
            documents: vec![(id, config.clone())],
            config,
        });
        for tag in entry.repo_tags.unwrap_or_default() {
            add_name(image, Some(Reference::parse(&tag)?.key()));
        }
    }
    Ok(())
}

fn docker_layer(member: String) -> LayerSource {
    // Newer docker writes blobs by digest; in older archives only the diff id can be checked.
    let digest = member.strip_prefix("blobs/sha256/").and_then(|hex| Digest::parse(&format!("sha256:{hex}")).ok());
    LayerSource { member, digest }
}
