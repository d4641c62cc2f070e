//! The JSON documents of an image: descriptor, manifest, index, config.
//!
//! Answers to the OCI image specification 1.1 and Docker's image manifest v2 schema 2, whose shapes are the same. Read
//! leniently: what registries really serve has null lists, missing media types and fields of other tools.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::ImageError;
use super::digest::{Digest, Hasher};

/// Media types of manifests and indexes that we accept, in the order we prefer them.
pub(crate) const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// Largest manifest, index or config that is read.
pub(crate) const MAX_DOCUMENT_BYTES: u64 = 8 * 1024 * 1024;
/// Most layers an image may have (overlayfs takes 500 lower directories).
pub(crate) const MAX_LAYERS: usize = 500;

fn null_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// Points at a blob.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default, deserialize_with = "null_default")]
    pub media_type: String,
    pub digest: Digest,
    #[serde(default)]
    pub size: u64,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// What a manifest of an index is for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Platform {
    #[serde(default, deserialize_with = "null_default")]
    pub architecture: String,
    #[serde(default, deserialize_with = "null_default")]
    pub os: String,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// A manifest or an index, told apart by what it holds.
#[derive(Clone, Debug)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Index),
}

/// One image for one platform.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub config: Descriptor,
    #[serde(default, deserialize_with = "null_default")]
    pub layers: Vec<Descriptor>,
}

/// Images for several platforms, or the table of contents of a layout.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Index {
    #[serde(default, deserialize_with = "null_default")]
    pub manifests: Vec<Descriptor>,
}

impl Document {
    /// Parses either kind; Docker's schema 1 and artifacts without a config are refused by name.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Document, ImageError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            #[serde(default)]
            schema_version: u32,
            config: Option<serde::de::IgnoredAny>,
            manifests: Option<serde::de::IgnoredAny>,
        }
        let bad = |e: serde_json::Error| ImageError::Malformed { what: "manifest", why: e.to_string() };
        let shape: Shape = serde_json::from_slice(bytes).map_err(bad)?;
        match shape {
            Shape { manifests: Some(_), config: None, .. } => {
                Ok(Document::Index(serde_json::from_slice(bytes).map_err(bad)?))
            }
            Shape { config: Some(_), .. } => Ok(Document::Manifest(serde_json::from_slice(bytes).map_err(bad)?)),
            Shape { schema_version: 1, .. } => Err(ImageError::Unsupported(
                "media type \"application/vnd.docker.distribution.manifest.v1+prettyjws\" is no longer supported".into(),
            )),
            _ => Err(ImageError::Malformed { what: "manifest", why: "neither a manifest nor an index".into() }),
        }
    }
}

impl Index {
    /// The manifests that can run here, best first. Entries without a platform count last.
    pub(crate) fn for_platform(&self, ours: &Platform) -> Vec<&Descriptor> {
        let mut found: Vec<(u32, &Descriptor)> = self
            .manifests
            .iter()
            .filter_map(|d| Some((rank(ours, d.platform.as_ref())?, d)))
            .collect();
        found.sort_by_key(|(rank, _)| *rank);
        found.into_iter().map(|(_, d)| d).collect()
    }
}

fn rank(ours: &Platform, theirs: Option<&Platform>) -> Option<u32> {
    let Some(theirs) = theirs else { return Some(100) };
    if theirs.os != ours.os || theirs.architecture != ours.architecture {
        return None;
    }
    match (ours.variant.as_str(), theirs.variant.as_str()) {
        (a, b) if a == b => Some(0),
        (_, "") => Some(1),
        // amd64/v2 and up need instructions that not every machine has; arm variants go down from ours.
        ("", "v1") => Some(2),
        ("", "v8") if ours.architecture == "arm64" => Some(0),
        ("v7", "v6") => Some(3),
        ("v7", "v5") | ("v6", "v5") => Some(4),
        _ => None,
    }
}

impl Platform {
    /// The platform of this build.
    pub(crate) fn ours() -> Platform {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", ""),
            "aarch64" => ("arm64", ""),
            "arm" => ("arm", "v7"),
            "riscv64" => ("riscv64", ""),
            "powerpc64" => ("ppc64le", ""),
            other => (other, ""),
        };
        Platform { architecture: architecture.into(), os: "linux".into(), variant: variant.into() }
    }
}

/// The config blob of an image.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ConfigFile {
    #[serde(default, deserialize_with = "null_default")]
    pub architecture: String,
    #[serde(default, deserialize_with = "null_default")]
    pub os: String,
    #[serde(default, deserialize_with = "null_default")]
    pub config: ImageConfig,
    #[serde(default, deserialize_with = "null_default")]
    pub rootfs: RootfsSection,
}

/// The list of uncompressed layer digests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RootfsSection {
    #[serde(default, deserialize_with = "null_default")]
    pub diff_ids: Vec<Digest>,
}

/// How a container of the image is started by default.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct ImageConfig {
    /// `user`, `uid`, `user:group`, `uid:gid`; empty is root.
    #[serde(default, deserialize_with = "null_default")]
    pub(crate) user: String,
    #[serde(default, deserialize_with = "null_default")]
    pub env: Vec<String>,
    #[serde(default, deserialize_with = "null_default")]
    pub entrypoint: Vec<String>,
    #[serde(default, deserialize_with = "null_default")]
    pub cmd: Vec<String>,
    #[serde(default, deserialize_with = "null_default")]
    pub working_dir: String,
    #[serde(default, deserialize_with = "null_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_default")]
    pub stop_signal: String,
    #[serde(default, deserialize_with = "paths")]
    pub volumes: Vec<String>,
    #[serde(default, deserialize_with = "paths")]
    pub exposed_ports: Vec<String>,
}

/// `{"/data": {}}` in images, a plain list in our own index.
fn paths<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Map(BTreeMap<String, serde::de::IgnoredAny>),
        List(Vec<String>),
    }
    Ok(match Option::<Either>::deserialize(d)? {
        None => Vec::new(),
        Some(Either::Map(map)) => map.into_keys().collect(),
        Some(Either::List(list)) => list,
    })
}

impl ConfigFile {
    /// Parses a config blob.
    pub(crate) fn parse(bytes: &[u8]) -> Result<ConfigFile, ImageError> {
        serde_json::from_slice(bytes).map_err(|e| ImageError::Malformed { what: "image config", why: e.to_string() })
    }

    /// Refuses a config that does not fit its manifest or this machine.
    pub(crate) fn check(&self, layers: usize, ours: &Platform) -> Result<(), ImageError> {
        if self.rootfs.diff_ids.len() != layers {
            return Err(ImageError::Malformed {
                what: "image config",
                why: format!("mismatched image rootfs and manifest layers: {} and {layers}", self.rootfs.diff_ids.len()),
            });
        }
        if layers > MAX_LAYERS {
            return Err(ImageError::Unsupported(format!("{layers} layers, at most {MAX_LAYERS} can be mounted")));
        }
        let other_os = !self.os.is_empty() && self.os != ours.os;
        if other_os || (!self.architecture.is_empty() && self.architecture != ours.architecture) {
            return Err(ImageError::NoPlatform { ours: format!("{}/{}", ours.os, ours.architecture) });
        }
        Ok(())
    }
}

/// Chain ids of a list of layers: each names a layer on top of all those below it.
pub(crate) fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let next = match chain.last() {
            None => diff_id.clone(),
            Some(parent) => {
                let mut hasher = Hasher::sha256();
                hasher.update(format!("{parent} {diff_id}").as_bytes());
                hasher.finish()
            }
        };
        chain.push(next);
    }
    chain
}
