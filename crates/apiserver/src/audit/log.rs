//! The log backend: one line an event, to a file that turns over by size and age, or to standard output.
//! Docs: "Auditing: Log backend". Lines go to the page cache at once ("blocking"), or through a buffer ("batch"), whose
//! overflow is counted and lost; nothing waits for the disk.

use super::{AuditError, Record};
use base::metrics::Counter;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp, civil};
use parking_lot::Mutex;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

/// Size at which a file turns over when none is given.
const SIZE_DEFAULT_MB: u64 = 100;
/// The time in the name of a file that turned over.
const STAMP: &str = "%Y-%m-%dT%H-%M-%S";

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Legacy,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Stdout,
    File(PathBuf),
}

/// How events go to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Through a buffer of so many events.
    Batch(usize),
    /// At once.
    Blocking,
    /// At once, and a request whose arrival cannot be written fails.
    Strict,
}

/// The log's flags.
#[derive(Clone, Debug)]
pub struct LogOptions {
    pub mode: Mode,
    /// Events that are larger lose their objects.
    pub truncate: Option<usize>,
    pub target: Target,
    pub format: Format,
    /// Days that old files are kept; 0: for ever.
    pub max_age_days: u32,
    /// Old files that are kept; 0: all.
    pub max_backups: usize,
    /// Megabytes of a file; 0: 100.
    pub max_size_mb: u64,
    pub compress: bool,
}

struct Open {
    file: File,
    size: u64,
}

/// The log.
pub(super) struct Log {
    writer: Arc<Writer>,
    buffer: Option<SyncSender<Bytes>>,
    thread: Option<JoinHandle<()>>,
}

struct Writer {
    options: LogOptions,
    open: Mutex<Option<Open>>,
    lost: Arc<Counter>,
}

impl Log {
    pub(super) fn open(options: LogOptions, lost: Arc<Counter>) -> Result<Self, AuditError> {
        let mode = options.mode;
        let writer = Arc::new(Writer::open(options, lost)?);
        let Mode::Batch(size) = mode else { return Ok(Self { writer, buffer: None, thread: None }) };
        let (buffer, events) = mpsc::sync_channel::<Bytes>(size.max(1));
        let own = Arc::clone(&writer);
        let thread = std::thread::Builder::new().name("audit-log".into()).spawn(move || {
            for line in events {
                own.put(&line);
            }
        });
        let thread = thread.map_err(|source| AuditError::Log { path: "its thread".into(), source })?;
        Ok(Self { writer, buffer: Some(buffer), thread: Some(thread) })
    }

    /// Writes an event; `false` when its request must not go on.
    pub(super) fn write(&self, record: &Record) -> bool {
        let options = &self.writer.options;
        let line = match options.format {
            Format::Legacy => record.legacy.clone().into(),
            Format::Json => match record.fitting(options.truncate) {
                Some(json) => [&json[..], b"\n"].concat().into(),
                None => {
                    self.writer.lost.inc();
                    return true;
                }
            },
        };
        match &self.buffer {
            Some(buffer) => {
                if buffer.try_send(line).is_err() {
                    self.writer.lost.inc();
                }
                true
            }
            None => self.writer.put(&line) || options.mode != Mode::Strict,
        }
    }
}

impl Drop for Log {
    /// What is in the buffer is written before the process ends.
    fn drop(&mut self) {
        self.buffer = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Writer {
    fn open(options: LogOptions, lost: Arc<Counter>) -> Result<Self, AuditError> {
        let open = match &options.target {
            Target::Stdout => None,
            Target::File(path) => {
                Some(append(path).map_err(|source| AuditError::Log { path: path.display().to_string(), source })?)
            }
        };
        Ok(Self { options, open: Mutex::new(open), lost })
    }

    /// Writes a line; `false` when that failed.
    fn put(&self, line: &[u8]) -> bool {
        let done = self.append(line);
        if let Err(e) = &done {
            self.lost.inc();
            tracing::error!(err = %e, "An audit event could not be written");
        }
        done.is_ok()
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let Target::File(path) = &self.options.target else {
            return io::stdout().lock().write_all(line);
        };
        let mut open = self.open.lock();
        let most = match self.options.max_size_mb {
            0 => SIZE_DEFAULT_MB,
            n => n,
        } * 1024 * 1024;
        if open.as_ref().is_some_and(|o| o.size + line.len() as u64 > most && o.size > 0) {
            *open = None;
            self.turn_over(path, Timestamp::now())?;
        }
        if open.is_none() {
            *open = Some(append(path)?);
        }
        let Some(o) = open.as_mut() else { return Ok(()) };
        o.file.write_all(line)?;
        o.size += line.len() as u64;
        Ok(())
    }

    fn turn_over(&self, path: &Path, now: Timestamp) -> io::Result<()> {
        let (stem, extension) = names(path);
        let stamp = format!("{}.{:03}", now.strftime(STAMP), now.subsec_millisecond());
        let old = path.with_file_name(format!("{stem}-{stamp}{extension}"));
        fs::rename(path, &old)?;
        if self.options.compress {
            compress(&old)?;
        }
        self.forget_old(path, now)
    }

    fn forget_old(&self, path: &Path, now: Timestamp) -> io::Result<()> {
        let (stem, extension) = names(path);
        let mut old: Vec<(Timestamp, PathBuf)> = fs::read_dir(path.parent().unwrap_or(Path::new(".")))?
            .filter_map(Result::ok)
            .filter_map(|e| {
                let name = e.file_name().into_string().ok()?;
                let name = name.strip_suffix(".gz").unwrap_or(&name);
                let stamp = name.strip_prefix(&stem)?.strip_prefix('-')?.strip_suffix(&extension)?;
                let at = civil::DateTime::strptime(STAMP, stamp.split('.').next()?).ok()?;
                Some((at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp(), e.path()))
            })
            .collect();
        old.sort_by(|a, b| b.cmp(a));
        let age = SignedDuration::from_hours(24 * i64::from(self.options.max_age_days));
        for (at, file) in old.iter().enumerate().filter(|(i, (at, _))| {
            (self.options.max_backups > 0 && *i >= self.options.max_backups)
                || (self.options.max_age_days > 0 && now.duration_since(*at) > age)
        }).map(|(_, o)| o) {
            tracing::debug!(file = %file.display(), from = %at, "An old audit log is removed");
            fs::remove_file(file)?;
        }
        Ok(())
    }
}

fn names(path: &Path) -> (String, String) {
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    (stem, path.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default())
}

fn append(path: &Path) -> io::Result<Open> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        fs::create_dir_all(dir)?;
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let size = file.metadata()?.len();
    Ok(Open { file, size })
}

fn compress(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    let mut packed = flate2::write::GzEncoder::new(File::create(&name)?, flate2::Compression::default());
    io::copy(&mut File::open(path)?, &mut packed)?;
    packed.finish()?.sync_all()?;
    fs::remove_file(path)
}
