//! The atomic writer and sub-paths on a real file system.

use super::{Ready, files, subpath};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn file(path: &str, text: &str) -> Ready {
    Ready { path: path.into(), bytes: text.into(), mode: 0o644, uid: None }
}

fn names(dir: &Path) -> Vec<String> {
    let mut all: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    all.retain(|n| !n.starts_with("..2"));
    all.sort();
    all
}

#[test]
fn files_are_replaced_together_and_only_when_they_differ() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    files::write(d, &[file("a", "1"), file("sub/b", "2")], None).unwrap();
    assert_eq!(names(d), ["..data", "a", "sub"]);
    assert_eq!(fs::read_to_string(d.join("sub/b")).unwrap(), "2");
    let first = fs::read_link(d.join("..data")).unwrap();
    files::write(d, &[file("a", "1"), file("sub/b", "2")], None).unwrap();
    assert_eq!(fs::read_link(d.join("..data")).unwrap(), first);
    files::write(d, &[file("a", "3"), file("c", "4")], None).unwrap();
    assert_ne!(fs::read_link(d.join("..data")).unwrap(), first);
    assert_eq!(names(d), ["..data", "a", "c"]);
    assert_eq!(fs::read_to_string(d.join("a")).unwrap(), "3");
    assert!(!d.join(first).exists());
}

#[test]
fn a_path_that_leads_out_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(files::write(dir.path(), &[file("../x", "1")], None).is_err());
}

#[test]
fn sub_paths_stay_inside() {
    let dir = tempfile::tempdir().unwrap();
    let volume = dir.path().join("v");
    fs::create_dir(&volume).unwrap();
    std::os::unix::fs::symlink("/etc", volume.join("out")).unwrap();
    fs::set_permissions(&volume, fs::Permissions::from_mode(0o777)).unwrap();
    let made = subpath::resolve(&volume, "a/b", true).unwrap();
    assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o7777, 0o777);
    assert_eq!(made, volume.join("a/b").canonicalize().unwrap());
    assert!(subpath::resolve(&volume, "out/passwd", false).is_err());
}
