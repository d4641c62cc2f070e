//! Builds image archives in memory, so that no test needs a network or an engine.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::image::Digest;
use crate::image::manifest::Platform;

/// One layer archive under construction.
pub(crate) struct LayerTar(Builder<Vec<u8>>);

impl LayerTar {
    pub(crate) fn new() -> LayerTar {
        LayerTar(Builder::new(Vec::new()))
    }

    /// Any entry, with the name written as it is (`..` and `/` included).
    pub(crate) fn raw(mut self, kind: EntryType, name: &str, link: &str, mode: u32, data: &[u8]) -> LayerTar {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_size(data.len() as u64);
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0.append(&header, data).expect("compose");
        self
    }

    pub(crate) fn file(self, name: &str, data: &str) -> LayerTar {
        self.raw(EntryType::Regular, name, "", 0o644, data.as_bytes())
    }

    pub(crate) fn dir(self, name: &str, mode: u32) -> LayerTar {
        self.raw(EntryType::Directory, name, "", mode, b"")
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> LayerTar {
        self.raw(EntryType::Symlink, name, target, 0o777, b"")
    }

    pub(crate) fn hard(self, name: &str, target: &str) -> LayerTar {
        self.raw(EntryType::Link, name, target, 0o644, b"")
    }

    /// A file with pax records in front.
    pub(crate) fn pax(mut self, records: &[(&str, &[u8])], name: &str, data: &[u8]) -> LayerTar {
        self.0.append_pax_extensions(records.iter().copied()).expect("compose");
        self.raw(EntryType::Regular, name, "", 0o755, data)
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("compose")
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compose");
    encoder.finish().expect("compose")
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// A whole image: blobs, and what names them.
pub(crate) struct TestImage {
    pub id: Digest,
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
    /// (compressed bytes, diff id)
    pub layers: Vec<(Vec<u8>, Digest)>,
}

impl TestImage {
    pub(crate) fn new(layers: Vec<Vec<u8>>, config: Value) -> TestImage {
        let layers = layers.into_iter().map(|l| (gzip(&l), Digest::of(&l))).collect();
        TestImage::compressed(layers, config)
    }

    pub(crate) fn compressed(layers: Vec<(Vec<u8>, Digest)>, config: Value) -> TestImage {
        let ours = Platform::ours();
        let diff_ids: Vec<&str> = layers.iter().map(|(_, d)| d.as_str()).collect();
        let config = json!({
            "architecture": ours.architecture, "os": ours.os, "config": config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = config.to_string().into_bytes();
        let id = Digest::of(&config);
        let blobs: Vec<Value> = layers
            .iter()
            .map(|(blob, _)| {
                json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                       "digest": Digest::of(blob), "size": blob.len()})
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": id, "size": config.len()},
            "layers": blobs,
        });
        TestImage { id, manifest: manifest.to_string().into_bytes(), config, layers }
    }

    pub(crate) fn blobs(&self) -> Vec<&[u8]> {
        let layers = self.layers.iter().map(|(blob, _)| blob.as_slice());
        layers.chain([self.manifest.as_slice(), self.config.as_slice()]).collect()
    }
}

pub(crate) fn tar_of(members: &[(String, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, data) in members {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, name, *data).expect("compose");
    }
    tar.into_inner().expect("compose")
}

/// An OCI layout archive with one name.
pub(crate) fn oci_archive(image: &TestImage, name: &str) -> Vec<u8> {
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": Digest::of(&image.manifest), "size": image.manifest.len(),
        "annotations": {"io.containerd.image.name": name},
    }]});
    let index = index.to_string();
    let mut members = vec![("index.json".to_owned(), index.as_bytes())];
    members.extend(image.blobs().into_iter().map(|b| (format!("blobs/sha256/{}", Digest::of(b).hex()), b)));
    tar_of(&members)
}

/// A `docker save` archive of the old form: plain layers in directories of their own.
pub(crate) fn docker_archive(image: &TestImage, layers: &[Vec<u8>], name: &str) -> Vec<u8> {
    let config = format!("{}.json", image.id.hex());
    let names: Vec<String> = (0..layers.len()).map(|i| format!("layer{i}/layer.tar")).collect();
    let manifest = json!([{"Config": config, "RepoTags": [name], "Layers": names}]).to_string();
    let mut members = vec![(config, image.config.as_slice()), ("manifest.json".to_owned(), manifest.as_bytes())];
    members.extend(names.into_iter().zip(layers).map(|(n, l)| (n, l.as_slice())));
    tar_of(&members)
}

pub(crate) fn write(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).expect("write archive");
    path
}

/// Layers keep owners and devices, so these tests need root; says so by name when they cannot run.
pub(crate) fn skip_unless_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIP {test}: not root (layers keep owners, devices and trusted attributes)");
    }
    !root
}
