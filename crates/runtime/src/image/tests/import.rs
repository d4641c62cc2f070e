//! Import, unpack, resolve, mount and remove.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::json;
use tar::EntryType;
use tempfile::TempDir;

use super::compose::*;
use crate::image::{Digest, ImageError, ImageStore, Reference};

fn store() -> (TempDir, ImageStore) {
    let dir = TempDir::new().expect("temp dir");
    let store = ImageStore::open(&dir.path().join("images")).expect("open");
    (dir, store)
}

fn import(store: &ImageStore, dir: &TempDir, bytes: &[u8]) -> Result<String, ImageError> {
    let path = write(dir.path(), "image.tar", bytes);
    store.import(&path).map(|all| all[0].id.clone())
}

/// Imports an image of these layers and returns the layer directories, top first.
fn layers_of(store: &ImageStore, dir: &TempDir, layers: Vec<LayerTar>) -> Result<Vec<PathBuf>, ImageError> {
    let image = TestImage::new(layers.into_iter().map(LayerTar::bytes).collect(), json!({}));
    let id = import(store, dir, &oci_archive(&image, "test:1"))?;
    store.prepare_rootfs(&id, "probe").map(|r| r.lowerdirs)
}

/// The store as the next process finds it.
fn reopened(store: ImageStore) -> ImageStore {
    let dir = store.dir().to_owned();
    drop(store);
    ImageStore::open(&dir).expect("reopen")
}

fn leftovers(store: &ImageStore) -> usize {
    let count = |sub: &str| fs::read_dir(store.dir().join(sub)).expect("list").count();
    count("tmp") + count("snapshots") + count("rootfs") + count("blobs/sha256")
}

#[test]
fn references_are_normalised() {
    let full = |text: &str| Reference::parse(text).map(|r| r.to_string()).map_err(|e| e.to_string());
    assert_eq!(full("redis"), Ok("docker.io/library/redis:latest".into()));
    assert_eq!(full("jpetazzo/shpod:v1"), Ok("docker.io/jpetazzo/shpod:v1".into()));
    assert_eq!(full("index.docker.io/redis"), Ok("docker.io/library/redis:latest".into()));
    assert_eq!(full("localhost:5000/a/b"), Ok("localhost:5000/a/b:latest".into()));
    assert_eq!(full("timonel.local/dockercoins/worker:v0.1"), Ok("timonel.local/dockercoins/worker:v0.1".into()));
    let digest = format!("a@sha256:{}", "0".repeat(64));
    assert_eq!(full(&digest), Ok(format!("docker.io/library/{digest}")));
    for bad in ["", "Redis", "a//b", "a:", "a:b:c", "-a", "a@sha256:12", "a b", "localhost:99999999/a"] {
        assert!(full(bad).is_err(), "{bad}");
    }
    assert!(full("docker.io/Redis").is_err_and(|e| e.contains("must be lowercase")));
}

#[test]
fn an_oci_archive_is_imported_found_and_removed() {
    if skip_unless_root("an_oci_archive_is_imported_found_and_removed") {
        return;
    }
    let (dir, store) = store();
    let config = json!({"Env": ["A=1"], "Cmd": ["run"], "Entrypoint": null, "User": "app:grp",
                        "Volumes": {"/data": {}}, "StopSignal": "SIGUSR1", "WorkingDir": "/srv"});
    let image = TestImage::new(vec![LayerTar::new().dir("etc", 0o750).file("etc/a", "hello").bytes()], config);
    let id = import(&store, &dir, &oci_archive(&image, "docker.io/library/web:1.0")).expect("import");
    assert_eq!(id, image.id.to_string());
    for name in ["web:1.0", "docker.io/library/web:1.0", &id, &image.id.hex()[..12]] {
        let found = store.get(name).expect("get").expect("present");
        assert_eq!(found.repo_tags, ["docker.io/library/web:1.0"]);
        assert_eq!((found.uid, found.username.as_deref()), (None, Some("app")));
    }
    let by_digest = format!("web@{}", Digest::of(&image.manifest));
    assert!(store.get(&by_digest).expect("get").is_some());
    assert!(store.get("web").expect("get").is_none());
    let read = store.config(&id).expect("config");
    assert_eq!((read.env, read.cmd, read.volumes), (vec!["A=1".into()], vec!["run".into()], vec!["/data".into()]));

    // The store survives being opened anew.
    let again = reopened(store);
    assert_eq!(again.list().len(), 1);
    again.remove("web:1.0").expect("remove");
    again.remove("web:1.0").expect("remove twice");
    assert_eq!((again.list().len(), leftovers(&again)), (0, 0));
}

#[test]
fn old_docker_archives_and_compressed_ones_are_imported() {
    if skip_unless_root("old_docker_archives_and_compressed_ones_are_imported") {
        return;
    }
    let (dir, store) = store();
    let layers = vec![LayerTar::new().file("a", "1").bytes(), LayerTar::new().file("b", "2").bytes()];
    let image = TestImage::new(layers.clone(), json!({}));
    let archive = gzip(&docker_archive(&image, &layers, "web:2"));
    let id = import(&store, &dir, &archive).expect("import");
    let root = store.prepare_rootfs(&id, "c1").expect("prepare");
    assert_eq!(fs::read_to_string(root.lowerdirs[0].join("b")).expect("b"), "2");
    assert_eq!(fs::read_to_string(root.lowerdirs[1].join("a")).expect("a"), "1");
    // zstd layers are told apart by their first bytes.
    let plain = LayerTar::new().file("z", &"zstd ".repeat(1000)).bytes();
    let image = TestImage::compressed(vec![(zstd(&plain), Digest::of(&plain))], json!({}));
    let id = import(&store, &dir, &oci_archive(&image, "web:3")).expect("import");
    let root = store.prepare_rootfs(&id, "c2").expect("prepare");
    assert_eq!(fs::metadata(root.lowerdirs[0].join("z")).expect("z").len(), 5000);
}

#[test]
fn whiteouts_links_modes_and_times_are_kept() {
    if skip_unless_root("whiteouts_links_modes_and_times_are_kept") {
        return;
    }
    let (dir, store) = store();
    // A capability set whose bytes hold a newline.
    let capability = [1, 0, 0, 2, b'\n', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let long = format!("deep/{}/end", "x".repeat(150));
    let bottom = LayerTar::new()
        .dir("./", 0o755)
        .dir("tmp", 0o1777)
        .dir("usr", 0o755)
        .dir("usr/bin", 0o711)
        .symlink("bin", "usr/bin")
        .file("usr/bin/gone", "x")
        .raw(EntryType::Regular, "usr/bin/su", "", 0o4755, b"su")
        .hard("usr/bin/su2", "usr/bin/su")
        .raw(EntryType::Fifo, "pipe", "", 0o600, b"");
    let top = LayerTar::new()
        .file("bin/.wh.gone", "")
        .file("bin/tool", "in usr/bin")
        .hard("bin/su3", "usr/bin/su")
        .file("tmp/.wh..wh..opq", "")
        .pax(&[("SCHILY.xattr.security.capability", &capability), ("path", long.as_bytes()),
               ("mtime", b"1600000000.25"), ("uid", b"70000")], "short", b"caps");
    let dirs = layers_of(&store, &dir, vec![bottom, top]).expect("import");
    let (top, bottom) = (&dirs[0], &dirs[1]);
    let mode = |p: &Path| fs::symlink_metadata(p).expect("stat").permissions().mode() & 0o7777;
    assert_eq!(mode(&bottom.join("usr/bin/su")), 0o4755);
    assert_eq!(mode(&bottom.join("tmp")), 0o1777);
    assert_eq!(fs::metadata(bottom.join("usr/bin/su2")).expect("stat").nlink(), 2);
    assert_eq!(fs::metadata(bottom.join("usr/bin")).expect("stat").mtime(), 1_700_000_000);
    assert!(fs::symlink_metadata(bottom.join("pipe")).expect("stat").file_type().is_fifo());
    // The upper layer wrote through the lower one's symlink, into a directory that looks like the lower one.
    assert!(!top.join("bin").exists());
    assert_eq!(mode(&top.join("usr/bin")), 0o711);
    assert_eq!(fs::read_to_string(top.join("usr/bin/tool")).expect("tool"), "in usr/bin");
    assert_eq!(mode(&top.join("usr/bin/su3")), 0o4755);
    let gone = fs::symlink_metadata(top.join("usr/bin/gone")).expect("stat");
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    let mut value = [0u8; 64];
    let n = rustix::fs::getxattr(top.join("tmp"), "trusted.overlay.opaque", &mut value[..]).expect("opaque");
    assert_eq!(&value[..n], b"y");
    let deep = top.join(&long);
    let n = rustix::fs::getxattr(&deep, "security.capability", &mut value[..]).expect("capability");
    assert_eq!(&value[..n], capability);
    let meta = fs::metadata(&deep).expect("stat");
    assert_eq!((meta.mtime(), meta.mtime_nsec(), meta.uid()), (1_600_000_000, 250_000_000, 70_000));
}

#[test]
fn nothing_escapes_a_layer() {
    if skip_unless_root("nothing_escapes_a_layer") {
        return;
    }
    let (dir, store) = store();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).expect("mkdir");
    fs::write(outside.join("victim"), "safe").expect("write");
    let out = outside.to_str().expect("utf-8");
    let layer = LayerTar::new()
        .symlink("abs", out)
        .file("abs/victim", "evil")
        .symlink("up", "../../../../../../../..")
        .file("up/evil", "x")
        .file("../../../evil2", "x")
        .symlink("loop1", "loop2")
        .symlink("victim", &format!("{out}/victim"))
        .file("victim", "replaced");
    let dirs = layers_of(&store, &dir, vec![layer]).expect("import");
    assert_eq!(fs::read_to_string(outside.join("victim")).expect("victim"), "safe");
    assert_eq!(fs::read_dir(&outside).expect("list").count(), 1);
    assert!(dirs[0].join("evil").exists() && dirs[0].join("evil2").exists());
    assert_eq!(fs::read_to_string(dirs[0].join(out.trim_start_matches('/')).join("victim")).expect("inside"), "evil");
    assert_eq!(fs::read_to_string(dirs[0].join("victim")).expect("victim"), "replaced");
    // A hard link to something outside does not find it.
    let evil = LayerTar::new().symlink("abs2", out).hard("stolen", "abs2/victim");
    let error = layers_of(&store, &dir, vec![evil]).expect_err("refused").to_string();
    assert!(error.contains("failed to extract layer") && error.contains("stolen"), "{error}");
}

#[test]
fn broken_layers_are_told_and_leave_nothing() {
    if skip_unless_root("broken_layers_are_told_and_leave_nothing") {
        return;
    }
    let (dir, store) = store();
    let plain = LayerTar::new().file("a", &"data ".repeat(5000)).bytes();
    let packed = gzip(&plain);
    let check = |blob: Vec<u8>, diff_id: &Digest, expect: &str| {
        let image = TestImage::compressed(vec![(blob, diff_id.clone())], json!({}));
        let error = import(&store, &dir, &oci_archive(&image, "bad:1")).expect_err("refused").to_string();
        assert!(error.contains(expect), "{error}");
        assert_eq!(leftovers(&store), 0);
    };
    let diff_id = Digest::of(&plain);
    check(packed[..packed.len() / 2].to_vec(), &diff_id, "unexpected EOF");
    check(gzip(&plain[..8192]), &diff_id, "unexpected EOF");
    check(packed.clone(), &Digest::of(b"other"), "wrong diff id calculated on extraction");
    check(b"this is no archive at all, but it is long enough".repeat(20), &diff_id, "invalid tar header");
    // A blob whose bytes are not those its digest names.
    let image = TestImage::new(vec![plain], json!({}));
    let mut archive = oci_archive(&image, "bad:2");
    let blob = &image.layers[0].0;
    let at = archive.windows(blob.len()).position(|w| w == blob.as_slice()).expect("blob");
    archive[at + blob.len() / 2] ^= 0x55;
    let error = import(&store, &dir, &archive).expect_err("refused").to_string();
    assert!(error.contains("unexpected commit digest"), "{error}");
    assert_eq!(leftovers(&store), 0);
    let error = import(&store, &dir, &tar_of(&[("x".into(), b"y")])).expect_err("refused").to_string();
    assert!(error.contains("neither index.json nor manifest.json"), "{error}");
}

#[test]
fn layers_of_containers_outlive_their_image() {
    if skip_unless_root("layers_of_containers_outlive_their_image") {
        return;
    }
    let (dir, store) = store();
    let image = TestImage::new(vec![LayerTar::new().file("a", "1").bytes()], json!({}));
    let id = import(&store, &dir, &oci_archive(&image, "web:1")).expect("import");
    let root = store.prepare_rootfs(&id, "c1").expect("prepare");
    store.remove(&id).expect("remove");
    assert!(root.lowerdirs[0].join("a").exists());
    let store = reopened(store);
    assert!(root.lowerdirs[0].join("a").exists());
    assert_eq!(store.rootfs_ids(), ["c1"]);
    store.remove_rootfs("c1").expect("remove rootfs");
    store.remove_rootfs("c1").expect("twice");
    assert_eq!(leftovers(&store), 0);
    assert!(matches!(store.prepare_rootfs(&id, "c2"), Err(ImageError::NotFound { .. })));
}

#[test]
fn start_up_removes_what_was_left_unfinished() {
    if skip_unless_root("start_up_removes_what_was_left_unfinished") {
        return;
    }
    let (dir, store) = store();
    let image = TestImage::new(vec![LayerTar::new().file("a", "1").bytes()], json!({}));
    import(&store, &dir, &oci_archive(&image, "web:1")).expect("import");
    let before = leftovers(&store);
    fs::create_dir_all(store.dir().join("tmp/layer-9/fs")).expect("mkdir");
    fs::create_dir_all(store.dir().join("snapshots").join("f".repeat(64)).join("fs")).expect("mkdir");
    fs::write(store.dir().join("blobs/sha256").join("e".repeat(64)), "x").expect("write");
    let again = reopened(store);
    assert_eq!((leftovers(&again), again.list().len()), (before, 1));
    // A store of a newer program is not touched.
    fs::write(again.dir().join("index.json"), r#"{"version":2}"#).expect("write");
    assert!(ImageStore::open(again.dir()).is_err_and(|e| e.to_string().contains("newer version")));
}

#[test]
fn a_guest_imports_beside_the_owner() {
    if skip_unless_root("a_guest_imports_beside_the_owner") {
        return;
    }
    let (dir, owner) = store();
    let first = TestImage::new(vec![LayerTar::new().file("a", "1").bytes()], json!({}));
    import(&owner, &dir, &oci_archive(&first, "first:1")).expect("import");
    fs::create_dir_all(owner.dir().join("tmp/layer-of-the-owner")).expect("mkdir");
    // Locks are the open file's, so a second store of one process is as one of another process.
    let guest = ImageStore::open(owner.dir()).expect("open as a guest");
    assert!(owner.dir().join("tmp/layer-of-the-owner").exists(), "a guest sweeps nothing");
    fs::remove_dir(owner.dir().join("tmp/layer-of-the-owner")).expect("rmdir");
    let second = TestImage::new(vec![LayerTar::new().file("b", "2").bytes()], json!({"Cmd": ["x"]}));
    let id = import(&guest, &dir, &oci_archive(&second, "second:1")).expect("import");
    assert_eq!(owner.list().len(), 2);
    assert!(owner.prepare_rootfs("second:1", "c1").expect("prepare").lowerdirs[0].join("b").exists());
    owner.tag("second:1", "second:2").expect("tag");
    assert_eq!(guest.get("second:2").expect("get").map(|i| i.id), Some(id));
    // What the guest takes away is deleted when the owner is alone again.
    guest.remove("first:1").expect("remove");
    assert_eq!(owner.list().len(), 1);
    let layers = || fs::read_dir(owner.dir().join("snapshots")).expect("list").count();
    owner.collect().expect("collect");
    assert_eq!(layers(), 2);
    drop(guest);
    owner.collect().expect("collect");
    assert_eq!(layers(), 1);
    // A guest that outlives the owner becomes it.
    let heir = ImageStore::open(owner.dir()).expect("open");
    drop(owner);
    heir.remove("second:1").expect("remove");
    heir.remove_rootfs("c1").expect("remove rootfs");
    assert_eq!(leftovers(&heir), 0);
}

/// Runs in a mount namespace of its own, so that nothing can be left mounted.
fn in_private_mounts(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            use rustix::mount::{MountPropagationFlags, mount_change};
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).expect("unshare");
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).expect("private");
            work();
        });
        run.join().expect("mount test");
    });
}

#[test]
fn an_overlay_of_many_layers_is_mounted_and_measured() {
    if skip_unless_root("an_overlay_of_many_layers_is_mounted_and_measured") {
        return;
    }
    let (dir, store) = store();
    let mut layers = vec![LayerTar::new().dir("d", 0o755).file("d/hidden", "x").file("gone", "x").bytes()];
    layers.extend((0..70).map(|i| LayerTar::new().file(&format!("f{i}"), "x").bytes()));
    layers.push(LayerTar::new().file(".wh.gone", "").file("d/.wh..wh..opq", "").file("d/new", "y").bytes());
    let image = TestImage::new(layers, json!({}));
    let id = import(&store, &dir, &oci_archive(&image, "many:1")).expect("import");
    in_private_mounts(|| {
        let root = store.prepare_rootfs(&id, "c1").expect("prepare");
        root.mount().expect("mount");
        let names = |sub: &str| {
            let mut names: Vec<_> = fs::read_dir(root.merged.join(sub)).expect("list").map(|e| e.expect("entry").file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names("").len(), 71);
        assert_eq!(names("d"), ["new"]);
        assert_eq!(store.rootfs_usage("c1").expect("usage").inodes, 0);
        fs::write(root.merged.join("written"), vec![1u8; 100_000]).expect("write");
        // Delayed allocation: blocks are counted once the file is on its way to the disk.
        fs::File::open(root.upper.join("written")).expect("open").sync_all().expect("sync");
        let usage = store.rootfs_usage("c1").expect("usage");
        assert!(usage.bytes >= 100_000 && usage.inodes == 1, "{usage:?}");
        store.remove_rootfs("c1").expect("remove");
        assert!(!root.merged.exists());
        // The way for kernels before 6.5.
        let root = store.prepare_rootfs(&id, "c2").expect("prepare");
        root.mount_by_fds().expect("mount");
        assert!(root.merged.join("f69").exists() && !root.merged.join("gone").exists());
        store.remove_rootfs("c2").expect("remove");
    });
}
