//! Pulling from a registry, with everything that goes wrong on the way.

use std::fs;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tempfile::TempDir;

use super::compose::*;
use super::server::{Mood, Server};
use crate::cri::Auth;
use crate::image::manifest::Platform;
use crate::image::{Digest, ImageStore, RegistryConfig, guard};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime")
}

struct Bench {
    server: Server,
    store: ImageStore,
    image: TestImage,
    runtime: tokio::runtime::Runtime,
    _dir: TempDir,
}

/// Bytes that do not compress, so that a layer can be cut in the middle.
fn noise(seed: u64, count: usize) -> String {
    let mut x = seed | 1;
    let mut step = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        char::from(b'!' + (x % 90) as u8)
    };
    (0..count).map(|_| step()).collect()
}

fn bench() -> Bench {
    let dir = TempDir::new().expect("temp dir");
    let store = ImageStore::open(&dir.path().join("images")).expect("open");
    let layers = (1..=3).map(|i| LayerTar::new().file(&format!("f{i}"), &noise(i, 40_000)).bytes()).collect();
    let image = TestImage::new(layers, json!({"Cmd": ["x"]}));
    let server = Server::start();
    server.add(&image, "demo/web", "1");
    Bench { server, store, image, runtime: runtime(), _dir: dir }
}

impl Bench {
    fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.server.host)
    }

    fn pull(&self, rest: &str, auth: Option<Auth>) -> Result<String, String> {
        self.runtime.block_on(self.store.pull(&self.name(rest), auth, None)).map_err(|e| e.to_string())
    }

    fn nothing_left(&self) {
        for sub in ["tmp", "snapshots", "blobs/sha256"] {
            assert_eq!(fs::read_dir(self.store.dir().join(sub)).expect("list").count(), 0, "{sub}");
        }
    }
}

fn user(name: &str, password: &str) -> Option<Auth> {
    Some(Auth { username: name.into(), password: password.into(), token: None })
}

#[test]
fn an_image_is_pulled_once_and_known_by_tag_and_digest() {
    if skip_unless_root("an_image_is_pulled_once_and_known_by_tag_and_digest") {
        return;
    }
    let b = bench();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = heard.clone();
    let name = b.name("demo/web:1");
    let pull = b.store.pull(&name, None, Some(Arc::new(move |p| guard(&ears).push(p))));
    let (id, twin) = b.runtime.block_on(async { tokio::join!(pull, b.store.pull(&name, None, None)) });
    assert_eq!((id.expect("pull"), twin.expect("pull")), (b.image.id.to_string(), b.image.id.to_string()));
    let status = b.store.get(&b.name("demo/web:1")).expect("get").expect("present");
    assert_eq!(status.repo_digests, [b.name(&format!("demo/web@{}", Digest::of(&b.image.manifest)))]);
    let blobs: usize = b.image.blobs().iter().map(|blob| blob.len()).sum();
    assert_eq!(status.size_bytes, blobs as u64);
    let last = *guard(&heard).last().expect("progress");
    assert_eq!((last.layers_done, last.bytes_done), (3, last.bytes_total));
    // One pull for two callers; again, only the digest is asked for.
    assert_eq!(b.server.seen("GET /v2/demo/web/blobs"), 4);
    b.pull("demo/web:1", None).expect("pull again");
    b.pull(&format!("demo/web@{}", Digest::of(&b.image.manifest)), None).expect("by digest");
    assert_eq!(b.server.seen("GET /v2"), 5);
    assert_eq!(fs::read_dir(b.store.dir().join("tmp")).expect("list").count(), 0);
}

#[test]
fn a_cut_off_blob_is_resumed_or_leaves_nothing() {
    if skip_unless_root("a_cut_off_blob_is_resumed_or_leaves_nothing") {
        return;
    }
    let b = bench();
    b.server.mood(Mood::Cut { after: 5_000, times: 3 });
    b.pull("demo/web:1", None).expect("resumed");
    assert_eq!(b.server.seen(" 206"), 3);
    b.store.remove(&b.image.id.to_string()).expect("remove");
    b.nothing_left();
    b.server.mood(Mood::Cut { after: 0, times: 1000 });
    let error = b.pull("demo/web:1", None).expect_err("cut off");
    assert!(error.starts_with("failed to pull and unpack image") && error.contains("unexpected EOF"), "{error}");
    b.nothing_left();
}

#[test]
fn wrong_bytes_are_refused() {
    if skip_unless_root("wrong_bytes_are_refused") {
        return;
    }
    let b = bench();
    b.server.mood(Mood::Lie);
    let error = b.pull("demo/web:1", None).expect_err("refused");
    assert!(error.contains("unexpected commit digest sha256:"), "{error}");
    b.nothing_left();
}

#[test]
fn what_is_not_there_is_said_as_containerd_says_it() {
    let b = bench();
    let name = b.name("demo/web:nope");
    let error = b.runtime.block_on(b.store.pull(&name, None, None)).expect_err("404");
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        format!("failed to pull and unpack image \"{name}\": failed to resolve reference \"{name}\": {name}: not found")
    );
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address");
    let error = b.runtime.block_on(b.store.pull(&format!("{free}/x:1"), None, None)).expect_err("refused");
    assert_eq!(
        error.to_string(),
        format!(
            "failed to pull and unpack image \"{free}/x:1\": failed to resolve reference \"{free}/x:1\": failed to do request: \
             Head \"http://{free}/v2/x/manifests/1\": dial tcp {free}: connect: connection refused"
        )
    );
    let error = b.runtime.block_on(b.store.pull("timonel.invalid/x:1", None, None)).expect_err("no host").to_string();
    assert!(error.ends_with("dial tcp: lookup timonel.invalid: no such host"), "{error}");
}

#[test]
fn a_busy_registry_is_asked_again() {
    if skip_unless_root("a_busy_registry_is_asked_again") {
        return;
    }
    let b = bench();
    b.server.mood(Mood::Busy { times: 3 });
    b.pull("demo/web:1", None).expect("patience");
    assert_eq!(b.server.seen(" 429"), 3);
    b.server.mood(Mood::Busy { times: 1000 });
    let error = b.pull("demo/web:1", None).expect_err("too busy");
    assert!(error.contains("unexpected status from HEAD request to http://"), "{error}");
    assert!(error.ends_with("429 Too Many Requests"), "{error}");
}

#[test]
fn registries_that_ask_who_we_are_are_told() {
    if skip_unless_root("registries_that_ask_who_we_are_are_told") {
        return;
    }
    let b = bench();
    b.server.require_basic("ann", "s3cret");
    let denied = "pull access denied, repository does not exist or may require authorization: authorization failed";
    let error = b.pull("demo/web:1", None).expect_err("anonymous");
    assert!(error.ends_with(&format!("{denied}: no basic auth credentials")), "{error}");
    let error = b.pull("demo/web:1", user("ann", "wrong")).expect_err("wrong password");
    assert!(error.ends_with(denied), "{error}");
    b.server.redirect_blobs();
    b.pull("demo/web:1", user("ann", "s3cret")).expect("basic");
    b.store.remove(&b.image.id.to_string()).expect("remove");

    b.server.require_token();
    let error = b.pull("demo/web:1", user("ann", "wrong")).expect_err("no token");
    assert!(error.contains("failed to authorize: failed to fetch oauth token: unexpected status from GET"), "{error}");
    b.pull("demo/web:1", user("ann", "s3cret")).expect("token");
    let token = Auth { token: Some("stale".into()), ..Auth::default() };
    b.store.remove(&b.image.id.to_string()).expect("remove");
    let error = b.pull("demo/web:1", Some(token)).expect_err("no user for the token service");
    assert!(error.contains("failed to fetch anonymous token"), "{error}");
}

#[test]
fn an_index_leads_to_our_platform() {
    if skip_unless_root("an_index_leads_to_our_platform") {
        return;
    }
    let b = bench();
    let ours = Platform::ours();
    let entry = |digest: &Digest, os: &str, arch: &str| {
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1,
               "platform": {"os": os, "architecture": arch}})
    };
    let manifest = Digest::of(&b.image.manifest);
    let other = Digest::of(b"other");
    let list = |entries: Vec<serde_json::Value>| json!({"schemaVersion": 2, "manifests": entries}).to_string().into_bytes();
    let good = list(vec![entry(&other, "linux", "s390x"), entry(&manifest, "linux", &ours.architecture)]);
    let alien = list(vec![entry(&other, "linux", "s390x"), entry(&other, "unknown", "unknown")]);
    let index_type = "application/vnd.oci.image.index.v1+json";
    b.server.put_manifest("demo/web", "multi", index_type, &good);
    b.server.put_manifest("demo/web", "alien", index_type, &alien);
    assert_eq!(b.pull("demo/web:multi", None), Ok(b.image.id.to_string()));
    let status = b.store.get(&b.name("demo/web:multi")).expect("get").expect("present");
    assert_eq!(status.repo_digests, [b.name(&format!("demo/web@{}", Digest::of(&good)))]);
    let error = b.pull("demo/web:alien", None).expect_err("alien");
    assert!(error.contains("no match for platform in manifest"), "{error}");
}

#[test]
fn a_mirror_is_asked_first_and_then_the_registry() {
    if skip_unless_root("a_mirror_is_asked_first_and_then_the_registry") {
        return;
    }
    let b = bench();
    let mirrors = [("_default".to_owned(), vec![format!("http://{}", b.server.host)])].into();
    let config = RegistryConfig { mirrors, ..RegistryConfig::default() };
    let store = ImageStore::open_with(&b.store.dir().with_file_name("mirrored"), config).expect("open");
    b.runtime.block_on(store.pull("registry.invalid/demo/web:1", None, None)).expect("from the mirror");
    assert!(b.server.seen("?ns=registry.invalid") > 0);
    assert!(store.get("registry.invalid/demo/web:1").expect("get").is_some());
    let error = b.runtime.block_on(store.pull("registry.invalid/demo/none:1", None, None)).expect_err("nowhere");
    assert!(error.to_string().ends_with("lookup registry.invalid: no such host"), "{error}");
}
