//! The way back from a file to a cluster: the file is read whole before anything is written, and the embedded store
//! appears under its name only when it is complete. With etcd the pairs are written where they belong; a restore that was
//! cut off leaves keys there, and the next one says so. Resource versions go on behind the backup's: the embedded store begins
//! far behind, and etcd's revision, which only writes move, is raised by writing.

use crate::args::RestoreOptions;
use crate::backup::{End, FORMAT, KEY_FILE_MAX_BYTES, keys, write_private};
use crate::places::Places;
use anyhow::{Context, Result, anyhow, bail};
use flate2::read::GzDecoder;
use futures_util::stream::{self, StreamExt};
use registry::backup::{Piece, REVISION_BUMP, Reader, Restore};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use store::{Embedded, Engine, Expect, Options, Revision, Txn};

/// Longest part of the store in a backup.
const PART_MAX_BYTES: u64 = 256 << 20;

/// The key that is written to raise etcd's revision; it lies outside of the cluster's and goes afterwards.
const RAISE_KEY: &str = "/timonel/raise";
/// The most writes for that, how many before etcd is looked at again, and how many at the same time.
const RAISE_MAX: u64 = 5_000_000;
const RAISE_ROUND: u64 = 10_000;
const RAISE_AT_ONCE: usize = 256;

/// What a backup holds beside the store's pairs.
struct Found {
    keys: Vec<(String, Vec<u8>)>,
    end: End,
}

pub(crate) async fn run(options: &RestoreOptions) -> Result<()> {
    let file = &options.file;
    let found = check(file).with_context(|| file.display().to_string())?;
    let places = Places::new(&options.place.data_dir);
    same_keys(&places.pki(), &found.keys)?;
    let revision = if options.engine.is_shared() {
        let engine: Arc<dyn Engine> = options.engine.connect().await?;
        check_free(&engine).await.context("etcd")?;
        let raised = raise(&engine, Revision(found.end.revision + options.raise_by)).await.context("raising etcd's revision")?;
        fill(file, &engine).await.context("etcd")?;
        // Who comes with a version from before is told that it is gone, and lists anew.
        engine.compact(raised).await.context("etcd")?;
        raised
    } else {
        embedded(file, &places, &found.end).await?
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(places.pki())?;
    for (name, content) in &found.keys {
        write_private(&places.pki().join(name), content)?;
    }
    println!("restored {} objects, taken at revision {}; resource versions go on behind {}", found.end.objects, found.end.revision, revision.0);
    println!("start it with `timonel up --data-dir {}`{}", places.root().display(), if options.engine.is_shared() { " and the same --etcd flags" } else { "" });
    Ok(())
}

/// Goes through the whole file; for each part of the store in order, `take`.
fn walk(file: &Path, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<Found> {
    let opened = File::open(file)?;
    let mut tar = tar::Archive::new(GzDecoder::new(opened));
    let (mut keys, mut end, mut first) = (Vec::new(), None, true);
    for entry in tar.entries()? {
        let mut entry = entry.context("it is not a backup, or it is damaged")?;
        let name = entry.path().ok().and_then(|p| p.to_str().map(str::to_owned)).unwrap_or_default();
        if entry.size() > PART_MAX_BYTES {
            bail!("{name} is too large to be part of a backup");
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).with_context(|| format!("{name} is damaged"))?;
        if first && content != FORMAT.as_bytes() {
            bail!("it is not a backup that this version reads");
        }
        first = false;
        match name.split_once('/') {
            Some(("pki", key)) if !key.is_empty() && !key.contains(['/', '\\']) && key != ".." && content.len() as u64 <= KEY_FILE_MAX_BYTES => {
                keys.push((key.to_owned(), content));
            }
            Some(("store", _)) => take(&content)?,
            None if name == "FORMAT" => {}
            None if name == "end.json" => end = Some(serde_json::from_slice(&content).context("end.json")?),
            _ => bail!("it holds {name}, which is no part of a backup"),
        }
    }
    let end = end.ok_or_else(|| anyhow!("it was cut off: its end is missing"))?;
    Ok(Found { keys, end })
}

/// Reads everything once, so that nothing is written from a file that is not whole.
fn check(file: &Path) -> Result<Found> {
    let (mut reader, mut seen) = (Reader::default(), None);
    let found = walk(file, |bytes| {
        reader.push(bytes);
        while let Some(piece) = reader.next()? {
            if let Piece::End { pairs, revision } = piece {
                seen = Some((pairs, revision.0));
            }
        }
        Ok(())
    })?;
    reader.finish()?;
    if seen != Some((found.end.objects, found.end.revision)) {
        bail!("its end does not fit what it holds");
    }
    Ok(found)
}

/// A cluster has one set of keys: others in the directory are not written over.
fn same_keys(dir: &Path, wanted: &[(String, Vec<u8>)]) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    for (name, held) in keys(dir)? {
        if wanted.iter().any(|(n, content)| *n == name && *content != held) {
            bail!("{} is another cluster's: restore into an empty --data-dir, or remove that cluster with `timonel uninstall`", dir.join(name).display());
        }
    }
    Ok(())
}

async fn embedded(file: &Path, places: &Places, end: &End) -> Result<Revision> {
    let (store, unfinished) = (places.store(), places.root().join("store.unfinished"));
    if store.exists() {
        bail!("{} holds a cluster already: restore into an empty --data-dir, or remove that cluster with `timonel uninstall`", places.root().display());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(places.root())?;
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(|| format!("removing {}", unfinished.display()))?;
    }
    let begin = Revision(end.revision + REVISION_BUMP);
    let engine: Arc<dyn Engine> = Arc::new(Embedded::open(&unfinished, Options { begin, ..Options::default() })?);
    let done = fill(file, &engine).await;
    engine.close().await;
    drop(engine);
    done?;
    fs::rename(&unfinished, &store).with_context(|| format!("making {}", store.display()))?;
    File::open(places.root())?.sync_all()?;
    Ok(begin)
}

async fn check_free(engine: &Arc<dyn Engine>) -> Result<()> {
    if !Restore::new(Arc::clone(engine)).is_free().await? {
        bail!("there is a cluster already (keys below /registry/): remove it first, or restore elsewhere");
    }
    Ok(())
}

/// Writes beside the cluster's keys until the revision is at least that; gives where it stands then.
async fn raise(engine: &Arc<dyn Engine>, target: Revision) -> Result<Revision> {
    let mut at = engine.latest().await?;
    if target.0.saturating_sub(at.0) > RAISE_MAX {
        bail!(
            "etcd is at revision {} and the backup goes up to {}: more than {RAISE_MAX} writes would be needed to get there. \
             Restore into an embedded store, or into an etcd whose revision was raised (etcdutl snapshot restore --bump-revision)",
            at.0, target.0
        );
    }
    if at < target {
        println!("raising etcd's revision from {} to {} …", at.0, target.0);
    }
    while at < target {
        let round = (target.0 - at.0).min(RAISE_ROUND);
        let writes = stream::iter(0..round).map(|_| engine.commit(Txn::put(RAISE_KEY, "", Expect::Any)));
        let failed = writes.buffer_unordered(RAISE_AT_ONCE).filter_map(async |w| w.err()).collect::<Vec<_>>().await;
        let before = std::mem::replace(&mut at, engine.latest().await?);
        if at == before {
            bail!("{}", failed.first().map_or_else(|| "etcd does not move on".to_owned(), ToString::to_string));
        }
    }
    let done = engine.commit(Txn::delete(RAISE_KEY, Expect::Any)).await?;
    Ok(done.revision)
}

async fn fill(file: &Path, engine: &Arc<dyn Engine>) -> Result<()> {
    check_free(engine).await?;
    let mut restore = Restore::new(Arc::clone(engine));
    // The archive is read in one go and the engine is asynchronous: parts go from one to the other, one at a time.
    let (tx, mut rx) = tokio::sync::mpsc::channel::<Vec<u8>>(1);
    let file = file.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        walk(&file, |part| tx.blocking_send(part.to_vec()).map_err(|_| anyhow!("writing has stopped"))).map(|_| ())
    });
    let mut reader = Reader::default();
    while let Some(part) = rx.recv().await {
        reader.push(&part);
        while let Some(piece) = reader.next()? {
            if let Piece::Pair(key, value) = piece
                && !registry::masters::is_lease(&key)
            {
                restore.put(key, value).await?;
            }
        }
    }
    restore.flush().await?;
    reading.await.context("reading the backup")?
}
