//! Container logs in the CRI's format: `<RFC 3339 time, nanoseconds> <stdout|stderr> <F|P> <text>`, where `P` marks a line
//! that goes on (the CRI's logging design: lines are cut at 16 KiB). Rotation is the kubelet's: the file is reopened by
//! path when it says so.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// The longest piece of a line.
pub(super) const MAX_PIECE_BYTES: usize = 16 * 1024;

/// Which stream a piece came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// One container's log file.
pub(super) struct Log {
    path: PathBuf,
    file: Option<File>,
    /// Text since the last newline, a buffer a stream.
    unfinished: [Vec<u8>; 2],
}

impl Log {
    /// Opens (makes) the file. An empty path logs nothing.
    pub(super) fn open(path: PathBuf) -> io::Result<Log> {
        let mut log = Log { path, file: None, unfinished: [Vec::new(), Vec::new()] };
        log.reopen()?;
        Ok(log)
    }

    /// Goes on in a new file at the same path.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if self.path.as_os_str().is_empty() {
            return Ok(());
        }
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent)?;
        }
        self.file = Some(OpenOptions::new().append(true).create(true).mode(0o640).open(&self.path)?);
        Ok(())
    }

    /// Takes output as it comes and writes the lines that are whole.
    pub(super) fn take(&mut self, stream: Stream, mut bytes: &[u8]) {
        let mut out = Vec::with_capacity(bytes.len() + 64);
        let time = timestamp(SystemTime::now());
        let rest = &mut self.unfinished[stream as usize];
        while !bytes.is_empty() {
            let room = MAX_PIECE_BYTES - rest.len();
            match bytes.iter().take(room + 1).position(|b| *b == b'\n') {
                Some(end) => {
                    piece(&mut out, &time, stream, "F", rest, &bytes[..end]);
                    bytes = &bytes[end + 1..];
                }
                None if bytes.len() > room => {
                    piece(&mut out, &time, stream, "P", rest, &bytes[..room]);
                    bytes = &bytes[room..];
                }
                None => {
                    rest.extend_from_slice(bytes);
                    break;
                }
            }
        }
        self.write(&out);
    }

    /// The stream has ended: what is left is a line that never got its end.
    pub(super) fn finish(&mut self, stream: Stream) {
        let mut rest = std::mem::take(&mut self.unfinished[stream as usize]);
        if !rest.is_empty() {
            let mut out = Vec::new();
            piece(&mut out, &timestamp(SystemTime::now()), stream, "P", &mut rest, &[]);
            self.write(&out);
        }
    }

    /// A full disk loses log lines, never the container.
    fn write(&mut self, bytes: &[u8]) {
        if let Some(file) = &mut self.file {
            let _ = file.write_all(bytes);
        }
    }
}

fn piece(out: &mut Vec<u8>, time: &str, stream: Stream, tag: &str, rest: &mut Vec<u8>, bytes: &[u8]) {
    for part in [time, " ", stream.name(), " ", tag, " "] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(rest);
    rest.clear();
    rest.shrink_to(0);
    out.extend_from_slice(bytes);
    out.push(b'\n');
}

/// RFC 3339 in UTC with nine decimals.
pub(super) fn timestamp(time: SystemTime) -> String {
    const DAY: u64 = 86_400;
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / DAY, since.as_secs() % DAY);
    let (year, month, day) = civil(days as i64);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:09}Z",
        second / 3600,
        second % 3600 / 60,
        second % 60,
        since.subsec_nanos()
    )
}

/// Year, month, day of a day number since 1970-01-01 (Gregorian; eras of 400 years that start in March).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}
