//! Host paths: the types that are checked, and those that are created (docs: "hostPath volume types").

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

/// Checks a path of the node against its type, or creates it.
pub(super) fn check(path: &Path, type_: &str) -> Result<(), String> {
    let shown = path.display();
    let found = fs::metadata(path).ok();
    let must = |holds: bool, what: &str| {
        if holds { Ok(()) } else { Err(format!("hostPath type check failed: {shown} is not {what}")) }
    };
    match (type_, found) {
        ("", _) => Ok(()),
        ("DirectoryOrCreate", None) => {
            fs::create_dir_all(path).map_err(|e| format!("mkdir {shown}: {e}"))?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(|e| format!("chmod {shown}: {e}"))
        }
        ("FileOrCreate", None) => {
            fs::File::create(path).map_err(|e| format!("open {shown}: {e}"))?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).map_err(|e| format!("chmod {shown}: {e}"))
        }
        ("Directory" | "DirectoryOrCreate", f) => must(f.is_some_and(|m| m.is_dir()), "a directory"),
        ("File" | "FileOrCreate", f) => must(f.is_some_and(|m| m.is_file()), "a file"),
        ("Socket", f) => must(f.is_some_and(|m| m.file_type().is_socket()), "a socket file"),
        ("CharDevice", f) => must(f.is_some_and(|m| m.file_type().is_char_device()), "a character device"),
        ("BlockDevice", f) => must(f.is_some_and(|m| m.file_type().is_block_device()), "a block device"),
        (other, _) => Err(format!("{other} is an invalid volume type")),
    }
}
