//! The last step: find the program and become it. Errors are worded as runc words them, because users see them in
//! `kubectl describe` (`exec: "foo": executable file not found in $PATH`).

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::{Init, InitError, plain};
use crate::container::sys;

/// Replaces this process; returns only to say why not.
pub(super) fn replace(init: &mut Init) -> Result<(), InitError> {
    let env = last_wins(&init.spec.env);
    let Some(name) = init.spec.argv.first() else {
        return Err(InitError("no command specified".to_owned()));
    };
    let search = env.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or_default();
    let program = find(name, search)?;
    let c_strings = |list: &[String]| list.iter().map(|s| CString::new(s.as_str())).collect::<Result<Vec<_>, _>>();
    let bad = |_| InitError(format!("exec {}: invalid argument", program.display()));
    let (argv, env) = (c_strings(&init.spec.argv).map_err(bad)?, c_strings(&env).map_err(bad)?);
    let path = CString::new(program.as_os_str().as_encoded_bytes()).map_err(bad)?;
    let error = sys::execve(&path, &argv, &env);
    Err(InitError(format!("exec {}: {}", program.display(), plain(&error.to_string()))))
}

/// One entry a variable: the last, at the place of the first.
pub(super) fn last_wins(env: &[String]) -> Vec<String> {
    let key = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    let mut out: Vec<String> = Vec::with_capacity(env.len());
    let mut places = std::collections::HashMap::with_capacity(env.len());
    for entry in env {
        match places.entry(key(entry)) {
            std::collections::hash_map::Entry::Occupied(place) => out[*place.get()] = entry.clone(),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(out.len());
                out.push(entry.clone());
            }
        }
    }
    out
}

/// The file a command names: itself when it has a slash, else the first executable of `$PATH`.
fn find(name: &str, search: &str) -> Result<PathBuf, InitError> {
    let fail = |what: String| Err(InitError(format!("exec: {name:?}: {what}")));
    if name.contains('/') {
        return match executable(Path::new(name)) {
            Ok(()) => Ok(PathBuf::from(name)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => fail(format!("stat {name}: no such file or directory")),
            Err(e) => fail(plain(&e.to_string())),
        };
    }
    let mut denied = false;
    for dir in search.split(':') {
        let candidate = Path::new(if dir.is_empty() { "." } else { dir }).join(name);
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => denied = true,
            Err(_) => {}
        }
    }
    if denied { fail("permission denied".to_owned()) } else { fail("executable file not found in $PATH".to_owned()) }
}

fn executable(path: &Path) -> io::Result<()> {
    let meta = fs::metadata(path)?;
    if meta.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    access(path, AccessFlags::X_OK).map_err(io::Error::from)
}
