//! Files of a volume, replaced together: a new timestamped directory, one rename of `..data`, links for the names
//! (docs: "Mounted ConfigMaps are updated automatically").
//!
//! ```text
//!   ..2026_11_21_08_00_00.000000001/app.conf      ..data -> ..2026_11_21_…      app.conf -> ..data/app.conf
//! ```
//! Law: a reader sees all files of one version or all of another, and `..data` always points at a whole one.

use super::Ready;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

const DATA: &str = "..data";
const DATA_NEW: &str = "..data_tmp";

fn err<'a>(what: &'a str, path: &'a Path) -> impl Fn(std::io::Error) -> String + 'a {
    move |e| format!("{what} {}: {e}", path.display())
}

fn mode_of(f: &Ready, group: Option<i64>) -> u32 {
    if group.is_some() { f.mode | 0o440 } else { f.mode }
}

fn unchanged(dir: &Path, files: &[Ready], group: Option<i64>) -> bool {
    let data = dir.join(DATA);
    let same = |f: &Ready| {
        let path = data.join(&f.path);
        let meta = fs::symlink_metadata(&path).ok();
        meta.is_some_and(|m| m.permissions().mode() & 0o777 == mode_of(f, group)) && fs::read(&path).is_ok_and(|b| b == f.bytes)
    };
    fs::symlink_metadata(&data).is_ok() && files.iter().all(same) && count(&data) == files.len()
}

fn count(dir: &Path) -> usize {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|e| if e.path().is_dir() { count(&e.path()) } else { 1 }).sum()
}

fn write_one(root: &Path, f: &Ready, group: Option<i64>) -> Result<(), String> {
    let path = root.join(&f.path);
    let gid = group.and_then(|g| u32::try_from(g).ok());
    let uid = f.uid.and_then(|u| u32::try_from(u).ok());
    let mut dir = root.to_owned();
    for part in Path::new(&f.path).parent().into_iter().flat_map(Path::components) {
        dir.push(part);
        if !dir.is_dir() {
            fs::create_dir(&dir).map_err(err("mkdir", &dir))?;
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).map_err(err("chmod", &dir))?;
        }
    }
    fs::write(&path, &f.bytes).map_err(err("write", &path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode_of(f, group))).map_err(err("chmod", &path))?;
    if uid.is_some() || gid.is_some() {
        chown(&path, uid, gid).map_err(err("chown", &path))?;
    }
    Ok(())
}

fn first_part(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

/// Makes the directory hold exactly these files.
pub(super) fn write(dir: &Path, files: &[Ready], group: Option<i64>) -> Result<(), String> {
    if let Some(bad) = files.iter().find(|f| f.path.starts_with('/') || f.path.split('/').any(|p| p == ".." || p.is_empty())) {
        return Err(format!("invalid path {:?} in volume", bad.path));
    }
    if unchanged(dir, files, group) {
        return Ok(());
    }
    let stamp = Timestamp::now().strftime("..%Y_%m_%d_%H_%M_%S.%9f").to_string();
    let fresh = dir.join(&stamp);
    fs::create_dir(&fresh).map_err(err("mkdir", &fresh))?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).map_err(err("chmod", &fresh))?;
    files.iter().try_for_each(|f| write_one(&fresh, f, group))?;
    let (data, next) = (dir.join(DATA), dir.join(DATA_NEW));
    let old = fs::read_link(&data).ok();
    let _ = fs::remove_file(&next);
    symlink(&stamp, &next).map_err(err("link", &next))?;
    fs::rename(&next, &data).map_err(err("rename", &next))?;
    link_names(dir, files)?;
    if let Some(old) = old.filter(|o| o.as_os_str() != stamp.as_str()) {
        let old = dir.join(old);
        fs::remove_dir_all(&old).map_err(err("remove", &old))?;
    }
    Ok(())
}

fn link_names(dir: &Path, files: &[Ready]) -> Result<(), String> {
    let names: BTreeSet<&str> = files.iter().map(|f| first_part(&f.path)).collect();
    for entry in fs::read_dir(dir).map_err(err("read", dir))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !names.contains(name.as_str()) {
            fs::remove_file(entry.path()).map_err(err("remove", &entry.path()))?;
        }
    }
    for name in names {
        let path = dir.join(name);
        if fs::symlink_metadata(&path).is_err() {
            symlink(Path::new(DATA).join(name), &path).map_err(err("link", &path))?;
        }
    }
    Ok(())
}
