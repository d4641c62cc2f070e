//! Reading logs for the API: tail, since, timestamps, a byte limit, following across rotations, woken by inotify
//! (docs: "kubectl logs", PodLogOptions).

use super::{parse, rotate};
use crate::watch::FileWatch;
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use std::future::Future;
use std::io::{self, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;

const CHUNK_BYTES: usize = 64 << 10;
/// A line is never held in memory beyond this.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What is asked of a log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) follow: bool,
    pub(crate) timestamps: bool,
    pub(crate) tail_lines: Option<u64>,
    pub(crate) limit_bytes: Option<u64>,
    pub(crate) since: Option<Timestamp>,
    /// Only standard output, or only standard error.
    pub(crate) stdout: Option<bool>,
}

/// The reader on the other side has gone, or has enough.
struct Enough;

struct Out {
    ask: Ask,
    left: u64,
    /// The last entry was a part of a line: its rest gets no timestamp.
    mid_line: bool,
    sink: mpsc::Sender<Bytes>,
}

impl Out {
    async fn entry(&mut self, raw: &[u8]) -> Result<(), Enough> {
        let Some(l) = parse::line(raw) else { return Ok(()) };
        if self.ask.stdout.is_some_and(|wanted| wanted != l.stdout) {
            return Ok(());
        }
        if let Some(since) = self.ask.since
            && l.time.parse::<Timestamp>().is_ok_and(|t| t < since)
        {
            return Ok(());
        }
        let mut text = BytesMut::with_capacity(l.content.len() + l.time.len() + 1);
        if self.ask.timestamps && !self.mid_line {
            text.extend_from_slice(l.time.as_bytes());
            text.extend_from_slice(b" ");
        }
        text.extend_from_slice(l.content);
        self.mid_line = l.partial;
        let room = usize::try_from(self.left).unwrap_or(usize::MAX);
        text.truncate(room);
        self.left -= text.len() as u64;
        self.sink.send(text.freeze()).await.map_err(|_| Enough)?;
        if self.left == 0 { Err(Enough) } else { Ok(()) }
    }

    /// Whole entries of a buffer; what is left over stays in it.
    async fn drain(&mut self, buffer: &mut BytesMut) -> Result<(), Enough> {
        while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
            let raw = buffer.split_to(end + 1);
            self.entry(&raw).await?;
        }
        if buffer.len() > LINE_BYTES_MAX {
            buffer.clear();
        }
        Ok(())
    }
}

/// Where in a file its last `want` lines begin, and how many lines there are from there.
async fn tail_start(file: &mut File, want: u64) -> io::Result<(u64, u64)> {
    let mut at = file.metadata().await?.len();
    let mut found = 0u64;
    let mut chunk = vec![0u8; CHUNK_BYTES];
    let mut last = true;
    while at > 0 {
        let n = CHUNK_BYTES.min(usize::try_from(at).unwrap_or(CHUNK_BYTES));
        at -= n as u64;
        file.seek(SeekFrom::Start(at)).await?;
        file.read_exact(&mut chunk[..n]).await?;
        for i in (0..n).rev() {
            if chunk[i] == b'\n' && !std::mem::replace(&mut last, false) {
                found += 1;
                if found == want {
                    return Ok((at + i as u64 + 1, found));
                }
            }
            last = false;
        }
    }
    let any = file.metadata().await?.len() > 0;
    Ok((0, found + u64::from(any)))
}

/// The files to read, oldest first, and where to begin in the first.
async fn plan(log: &Path, tail: Option<u64>) -> (Vec<PathBuf>, u64) {
    let mut files = rotate::rotated(log);
    files.push(log.to_owned());
    let Some(mut want) = tail else { return (files, 0) };
    if want == 0 {
        let end = tokio::fs::metadata(log).await.map_or(0, |m| m.len());
        return (vec![log.to_owned()], end);
    }
    let mut chosen = Vec::new();
    let mut offset = 0;
    while let Some(path) = files.pop() {
        let Ok(mut file) = File::open(&path).await else { continue };
        let Ok((start, found)) = tail_start(&mut file, want).await else { continue };
        chosen.insert(0, path);
        offset = start;
        want = want.saturating_sub(found);
        if want == 0 {
            break;
        }
    }
    (chosen, offset)
}

async fn copy(file: &mut File, buffer: &mut BytesMut, out: &mut Out) -> Result<(), Enough> {
    loop {
        buffer.reserve(CHUNK_BYTES);
        match file.read_buf(buffer).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(_) => out.drain(buffer).await?,
        }
    }
}

/// Sends a log's text into `sink`. When following, `ended` resolves once the container has ended.
pub(crate) async fn read(log: PathBuf, ask: Ask, sink: mpsc::Sender<Bytes>, ended: impl Future<Output = ()> + Send) {
    let left = ask.limit_bytes.unwrap_or(u64::MAX);
    let mut out = Out { left, mid_line: false, sink, ask };
    // Whoever asked has gone, or has all that was asked for.
    let _ = run(&log, &mut out, ended).await;
}

async fn run(log: &Path, out: &mut Out, ended: impl Future<Output = ()> + Send) -> Result<(), Enough> {
    // Watching begins before reading, so that nothing is missed between the two.
    let watch = log.parent().filter(|_| out.ask.follow).and_then(|dir| {
        let w = FileWatch::new().ok()?;
        w.logs(dir).ok().map(|()| w)
    });
    let (files, offset) = plan(log, out.ask.tail_lines).await;
    let mut buffer = BytesMut::new();
    let mut current = None;
    for (i, path) in files.iter().enumerate() {
        let Ok(mut file) = File::open(path).await else { continue };
        if i == 0 && offset > 0 && file.seek(SeekFrom::Start(offset)).await.is_err() {
            continue;
        }
        copy(&mut file, &mut buffer, out).await?;
        current = Some(file);
    }
    let Some(watch) = watch else { return Ok(()) };
    follow(log, current, &watch, &mut buffer, out, ended).await
}

async fn inode(file: Option<&File>) -> u64 {
    match file {
        Some(f) => f.metadata().await.map_or(0, |m| m.ino()),
        None => 0,
    }
}

async fn follow(
    log: &Path,
    mut current: Option<File>,
    watch: &FileWatch,
    buffer: &mut BytesMut,
    out: &mut Out,
    ended: impl Future<Output = ()> + Send,
) -> Result<(), Enough> {
    let mut ended = std::pin::pin!(ended);
    let mut over = false;
    loop {
        if let Some(file) = &mut current {
            copy(file, buffer, out).await?;
        }
        // After a rotation the path leads to another file.
        let now = tokio::fs::metadata(log).await.map_or(0, |m| m.ino());
        if now != 0 && now != inode(current.as_ref()).await {
            current = File::open(log).await.ok();
            buffer.clear();
            continue;
        }
        if over {
            return Ok(());
        }
        tokio::select! {
            () = &mut ended => over = true,
            changed = watch.changed() => if changed.is_err() { return Err(Enough) },
            () = out.sink.closed() => return Err(Enough),
        }
    }
}
