//! `timonel backup` and `timonel restore`: a cluster's state and its keys in one file, from either engine into either.
//! The file is a gzipped tar: `FORMAT`, the `pki` directory, the store in parts (`registry::backup`), and `end.json`, without
//! which it is not whole. Docs: "Operating etcd clusters for Kubernetes: Backing up / Restoring an etcd cluster".

use crate::args::{BackupOptions, RestoreOptions};
use crate::engine::EngineFlags;
use crate::places::Places;
use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use client::RequestBody;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use registry::backup::{Pages, Piece, Reader};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Embedded, Engine, OpenError};

/// The format of the file.
pub(crate) const FORMAT: &str = "timonel-backup format 1\n";
/// The store is cut into parts of about this size.
const PART_BYTES: usize = 1 << 20;
/// Longest file of the pki directory.
pub(crate) const KEY_FILE_MAX_BYTES: u64 = 1 << 20;

/// The last entry.
#[derive(Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) revision: u64,
    pub(crate) objects: u64,
    taken_at: String,
    version: String,
}

/// Where the pairs come from.
enum From {
    /// A running server.
    Server(Incoming),
    /// An engine that this process opened.
    Engine(Arc<dyn Engine>, Pages),
}

impl From {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        match self {
            Self::Engine(_, pages) => Ok(pages.next().await?),
            Self::Server(body) => loop {
                match body.frame().await.transpose().context("the server broke off")? {
                    None => return Ok(None),
                    Some(frame) => {
                        if let Ok(data) = frame.into_data() {
                            return Ok(Some(data));
                        }
                    }
                }
            },
        }
    }
}

/// Writes the backup; the file appears only when it is whole.
pub(crate) fn backup(options: &BackupOptions) -> Result<i32> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let places = Places::new(&options.place.data_dir);
    let unfinished = unfinished(&options.file);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let end = runtime.block_on(async {
        let from = open(&places, &options.engine).await?;
        let done = write(from, &places, &unfinished).await;
        done.inspect_err(|_| {
            // What is left of it is of no use to anybody.
            let _ = fs::remove_file(&unfinished);
        })
    })?;
    fs::rename(&unfinished, &options.file).with_context(|| format!("writing {}", options.file.display()))?;
    let directory = options.file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all().with_context(|| format!("writing {}", directory.display()))?;
    println!("{}: {} objects as of revision {}, and the cluster's keys", options.file.display(), end.objects, end.revision);
    println!("keep it as safe as the cluster itself; bring it back with `timonel restore {}`", options.file.display());
    Ok(0)
}

fn unfinished(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".unfinished");
    name.into()
}

/// The engine where nobody holds it, else the server that does.
async fn open(places: &Places, flags: &EngineFlags) -> Result<From> {
    let engine: Arc<dyn Engine> = if flags.is_shared() {
        flags.connect().await?
    } else {
        let dir = places.store();
        if !dir.exists() {
            bail!("there is no cluster in {}: name its directory with --data-dir, or its etcd with --etcd-servers", places.root().display());
        }
        match Embedded::open(dir, store::Options::default()) {
            Ok(engine) => Arc::new(engine),
            Err(OpenError::Locked { .. }) => return server(places).await,
            Err(e) => return Err(e.into()),
        }
    };
    let pages = Pages::new(Arc::clone(&engine));
    Ok(From::Engine(engine, pages))
}

async fn server(places: &Places) -> Result<From> {
    let file = places.admin_kubeconfig();
    let overrides = client::Overrides::default();
    let config = client::Kubeconfig::load(Some(&file)).and_then(|k| k.config(&overrides));
    let config = config.with_context(|| format!("reading {}", file.display()))?;
    let client = client::Client::new(config)?;
    let answer = client.send(http::Method::GET, apiserver::BACKUP_PATH, "*/*", RequestBody::Empty).await;
    let answer = answer.context("asking the running server")?;
    Ok(From::Server(answer.into_body()))
}

async fn write(mut from: From, places: &Places, file: &Path) -> Result<End> {
    // What an earlier try left may be for others to read: it is made anew.
    if let Err(e) = fs::remove_file(file)
        && e.kind() != std::io::ErrorKind::NotFound
    {
        return Err(e).with_context(|| format!("removing {}", file.display()));
    }
    let out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let out = out.with_context(|| format!("writing {}", file.display()))?;
    let mut tar = tar::Builder::new(GzEncoder::new(out, Compression::default()));
    append(&mut tar, "FORMAT", FORMAT.as_bytes())?;
    for (name, content) in keys(&places.pki())? {
        append(&mut tar, &format!("pki/{name}"), &content)?;
    }
    let (mut reader, mut part, mut parts, mut end) = (Reader::default(), Vec::new(), 0, None);
    while let Some(bytes) = from.next().await? {
        reader.push(&bytes);
        while let Some(piece) = reader.next()? {
            if let Piece::End { pairs, revision } = piece {
                end = Some((pairs, revision));
            }
        }
        part.extend_from_slice(&bytes);
        if part.len() >= PART_BYTES {
            append(&mut tar, &format!("store/{parts:08}"), &std::mem::take(&mut part))?;
            parts += 1;
        }
    }
    append(&mut tar, &format!("store/{parts:08}"), &part)?;
    let (objects, revision) = end.ok_or_else(|| anyhow!("the server broke off before the end"))?;
    let end = End { revision: revision.0, objects, taken_at: jiff::Timestamp::now().to_string(), version: env!("CARGO_PKG_VERSION").to_owned() };
    append(&mut tar, "end.json", &serde_json::to_vec(&end)?)?;
    tar.into_inner()?.finish()?.sync_all().with_context(|| format!("writing {}", file.display()))?;
    if let From::Engine(engine, _) = from {
        engine.close().await;
    }
    Ok(end)
}

fn append(tar: &mut tar::Builder<GzEncoder<File>>, name: &str, content: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o600);
    header.set_cksum();
    tar.append_data(&mut header, name, content).with_context(|| format!("writing {name}"))
}

/// The files of the pki directory by name.
pub(crate) fn keys(dir: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let listed = fs::read_dir(dir).with_context(|| format!("reading {}: the cluster's keys are part of its backup", dir.display()))?;
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.metadata()?.len() <= KEY_FILE_MAX_BYTES {
            found.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a backup into an engine that holds no cluster.
pub(crate) fn restore(options: &RestoreOptions) -> Result<i32> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(crate::restore::run(options))?;
    Ok(0)
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().with_context(|| format!("writing {}", path.display()))
}
