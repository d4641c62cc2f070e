//! Layers, image configs, and the archive that is an OCI layout and a `docker save` file at once.
//!
//! Answers to the OCI image specification 1.1 and Docker's image specification v1.2. Deterministic: entries sorted,
//! times zero, owners numeric, gzip without name and time.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One layer: path to entry. Later entries replace earlier ones.
#[derive(Default)]
pub(super) struct Layer(BTreeMap<String, Entry>);

enum Entry {
    Dir { mode: u32, owner: (u64, u64) },
    File { bytes: Vec<u8>, mode: u32 },
    Symlink(String),
}

impl Layer {
    fn put(&mut self, path: &str, entry: Entry) {
        self.0.insert(path.trim_matches('/').to_owned(), entry);
    }

    pub(super) fn dir(&mut self, path: &str, mode: u32, owner: (u64, u64)) {
        self.put(path, Entry::Dir { mode, owner });
    }

    pub(super) fn symlink(&mut self, path: &str, target: &str) {
        self.put(path, Entry::Symlink(target.to_owned()));
    }

    pub(super) fn text(&mut self, path: &str, text: &str) {
        self.put(path, Entry::File { bytes: text.as_bytes().to_vec(), mode: 0o644 });
    }

    pub(super) fn file(&mut self, path: &str, from: &Path, mode: u32) -> Result<()> {
        let bytes = fs::read(from).with_context(|| format!("read {}", from.display()))?;
        self.put(path, Entry::File { bytes, mode });
        Ok(())
    }

    /// The archive, with the parents that nobody named.
    fn tar(&self) -> Result<Vec<u8>> {
        let mut all: BTreeMap<&str, Option<&Entry>> = self.0.iter().map(|(p, e)| (p.as_str(), Some(e))).collect();
        for path in self.0.keys() {
            let mut path = path.as_str();
            while let Some((parent, _)) = path.rsplit_once('/') {
                all.entry(parent).or_insert(None);
                path = parent;
            }
        }
        let mut tar = Builder::new(Vec::new());
        for (path, entry) in all {
            let mut header = Header::new_gnu();
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            match entry {
                None => directory(&mut tar, header, path, 0o755)?,
                Some(Entry::Dir { mode, owner }) => {
                    header.set_uid(owner.0);
                    header.set_gid(owner.1);
                    directory(&mut tar, header, path, *mode)?;
                }
                Some(Entry::File { bytes, mode }) => {
                    header.set_mode(*mode);
                    header.set_size(bytes.len() as u64);
                    tar.append_data(&mut header, path, bytes.as_slice())?;
                }
                Some(Entry::Symlink(target)) => {
                    header.set_entry_type(EntryType::Symlink);
                    header.set_mode(0o777);
                    tar.append_link(&mut header, path, target)?;
                }
            }
        }
        Ok(tar.into_inner()?)
    }
}

fn directory(tar: &mut Builder<Vec<u8>>, mut header: Header, path: &str, mode: u32) -> Result<()> {
    header.set_entry_type(EntryType::Directory);
    header.set_mode(mode);
    Ok(tar.append_data(&mut header, format!("{path}/"), std::io::empty())?)
}

/// How a container of the image starts.
#[derive(Clone, Default)]
pub(super) struct Config {
    pub(super) entrypoint: Vec<String>,
    pub(super) cmd: Vec<String>,
    pub(super) user: String,
    pub(super) workdir: String,
    pub(super) volumes: Vec<String>,
    pub(super) ports: Vec<String>,
    pub(super) stop_signal: String,
}

impl Config {
    fn json(&self, title: &str) -> Value {
        let set = |list: &[String]| list.iter().map(|p| (p.clone(), json!({}))).collect::<serde_json::Map<_, _>>();
        // The title keeps images apart that are otherwise alike: an image's id is the digest of its config.
        let mut config = json!({"Env": [PATH], "Labels": {"org.opencontainers.image.title": title}});
        let mut put = |key: &str, value: Value, empty: bool| {
            if !empty {
                config[key] = value;
            }
        };
        put("Entrypoint", json!(self.entrypoint), self.entrypoint.is_empty());
        put("Cmd", json!(self.cmd), self.cmd.is_empty());
        put("User", json!(self.user), self.user.is_empty());
        put("WorkingDir", json!(self.workdir), self.workdir.is_empty());
        put("StopSignal", json!(self.stop_signal), self.stop_signal.is_empty());
        put("Volumes", Value::Object(set(&self.volumes)), self.volumes.is_empty());
        put("ExposedPorts", Value::Object(set(&self.ports)), self.ports.is_empty());
        config
    }
}

/// Layers and a config, ready to be written.
pub(super) struct Image<'a> {
    pub(super) layers: Vec<&'a Layer>,
    pub(super) config: Config,
}

fn sha(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

impl Image<'_> {
    /// Writes the archive under its names; the file appears when it is whole.
    pub(super) fn write(&self, path: &Path, names: &[String]) -> Result<()> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let (mut blobs, mut diff_ids, mut layers) = (BTreeMap::new(), Vec::new(), Vec::new());
        for layer in &self.layers {
            let tar = layer.tar()?;
            let blob = gzip(&tar)?;
            diff_ids.push(format!("sha256:{}", sha(&tar)));
            layers.push(json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                               "digest": format!("sha256:{}", sha(&blob)), "size": blob.len()}));
            blobs.insert(sha(&blob), blob);
        }
        let config = json!({
            "architecture": architecture, "os": "linux", "created": "1970-01-01T00:00:00Z",
            "config": self.config.json(&names[0]), "rootfs": {"type": "layers", "diff_ids": diff_ids},
        })
        .to_string()
        .into_bytes();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                       "digest": format!("sha256:{}", sha(&config)), "size": config.len()},
            "layers": layers,
        })
        .to_string()
        .into_bytes();
        let members = toc(&config, &manifest, &layers, names, architecture);
        blobs.insert(sha(&config), config);
        blobs.insert(sha(&manifest), manifest);
        let blobs = blobs.into_iter().map(|(hex, bytes)| (format!("blobs/sha256/{hex}"), bytes));
        save(path, members.into_iter().chain(blobs))?;
        println!("{} {}", path.display(), names.join(" "));
        Ok(())
    }
}

/// `oci-layout`, `index.json` and `manifest.json`.
fn toc(config: &[u8], manifest: &[u8], layers: &[Value], names: &[String], architecture: &str) -> Vec<(String, Vec<u8>)> {
    let entries: Vec<Value> = names
        .iter()
        .map(|name| {
            json!({"mediaType": "application/vnd.oci.image.manifest.v1+json",
                   "digest": format!("sha256:{}", sha(manifest)), "size": manifest.len(),
                   "platform": {"architecture": architecture, "os": "linux"},
                   "annotations": {"io.containerd.image.name": name,
                                   "org.opencontainers.image.ref.name": name.rsplit(':').next().unwrap_or("latest")}})
        })
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries});
    let blob = |digest: &str| format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"));
    let files: Vec<String> = layers.iter().filter_map(|l| l["digest"].as_str()).map(blob).collect();
    let docker = json!([{"Config": blob(&sha(config)), "RepoTags": names, "Layers": files}]);
    vec![
        ("oci-layout".into(), json!({"imageLayoutVersion": "1.0.0"}).to_string().into_bytes()),
        ("index.json".into(), index.to_string().into_bytes()),
        ("manifest.json".into(), docker.to_string().into_bytes()),
    ]
}

fn save(path: &Path, members: impl Iterator<Item = (String, Vec<u8>)>) -> Result<()> {
    let new = path.with_extension("tar.new");
    let file = fs::File::create(&new).with_context(|| format!("create {}", new.display()))?;
    let mut tar = Builder::new(std::io::BufWriter::new(file));
    for (name, bytes) in members {
        let mut header = Header::new_gnu();
        header.set_mtime(0);
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes.as_slice())?;
    }
    tar.into_inner()?.flush()?;
    fs::rename(&new, path).with_context(|| format!("rename to {}", path.display()))
}
