//! Rotation: a log that has become too long is moved away and a new one begun; the oldest go
//! (docs: "Log rotation": 10 MiB, 5 files).

use jiff::Timestamp;
use std::fs;
use std::path::{Path, PathBuf};

/// A log longer than this is rotated.
pub(crate) const SIZE_MAX_BYTES: u64 = 10 << 20;
/// At most this many files a container, the present one counted.
pub(crate) const FILES_MAX: usize = 5;

/// Older logs of the same container, oldest first: `0.log.20261121-080000`.
pub(crate) fn rotated(log: &Path) -> Vec<PathBuf> {
    let (Some(dir), Some(name)) = (log.parent(), log.file_name()) else { return Vec::new() };
    let prefix = format!("{}.", name.to_string_lossy());
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut old: Vec<PathBuf> =
        entries.filter(|e| e.file_name().to_string_lossy().starts_with(&prefix)).map(|e| e.path()).collect();
    old.sort();
    old
}

/// Moves the log away if it is too long. Gives whether the runtime must begin a new one.
pub(crate) fn move_away(log: &Path, now: Timestamp) -> std::io::Result<bool> {
    let long = fs::metadata(log).is_ok_and(|m| m.len() > SIZE_MAX_BYTES);
    if !long {
        return Ok(false);
    }
    let old = rotated(log);
    for path in old.iter().take((old.len() + 2).saturating_sub(FILES_MAX)) {
        fs::remove_file(path)?;
    }
    let mut to = log.as_os_str().to_owned();
    to.push(now.strftime(".%Y%m%d-%H%M%S").to_string());
    fs::rename(log, PathBuf::from(to))?;
    Ok(true)
}
