//! Ciphers, rotation, a KMS plugin in the test's own hands, and values as they lie in the store.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry::sealing::Sealer;
use std::collections::BTreeMap;

fn keys(kind: &str, names: &[(&str, u8, usize)]) -> String {
    let keys: Vec<String> =
        names.iter().map(|(n, byte, len)| format!("{{name: {n}, secret: '{}'}}", STANDARD.encode(vec![*byte; *len]))).collect();
    format!("{{{kind}: {{keys: [{}]}}}}", keys.join(", "))
}

fn file(resources: &str, providers: &[String]) -> String {
    format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: {resources}\n  providers: [{}]\n",
        providers.join(", ")
    )
}

async fn sealer(text: &str) -> Encryption {
    Encryption { groups: ArcSwap::from_pointee(build(text).await.expect("a configuration")) }
}

const PATH: &str = "/registry/secrets/a/s";

#[tokio::test]
async fn every_cipher_round_trips_in_upstreams_form() {
    for (provider, mark) in [
        (keys("aescbc", &[("k", 1, 32)]), "k8s:enc:aescbc:v1:k:"),
        (keys("aescbc", &[("k", 1, 16)]), "k8s:enc:aescbc:v1:k:"),
        (keys("aesgcm", &[("k", 2, 24)]), "k8s:enc:aesgcm:v1:k:"),
        (keys("aesgcm", &[("k", 2, 32)]), "k8s:enc:aesgcm:v1:k:"),
        (keys("secretbox", &[("k", 3, 32)]), "k8s:enc:secretbox:v1:k:"),
    ] {
        let s = sealer(&file("[secrets]", &[provider])).await;
        for plain in [&b""[..], b"x", b"exactly sixteen!", &[7; 5000]] {
            let sealed = s.seal("secrets", PATH, plain).expect("seals");
            assert!(sealed.starts_with(mark.as_bytes()));
            assert_eq!(s.open("secrets", PATH, &sealed).await.expect("opens").0, plain);
            let mut broken = sealed.clone();
            *broken.last_mut().expect("not empty") ^= 1;
            if !mark.contains("aescbc") {
                assert!(s.open("secrets", PATH, &broken).await.is_err(), "{mark}");
            }
            if mark.contains("aesgcm") {
                assert!(s.open("secrets", "/registry/secrets/b/s", &sealed).await.is_err(), "a value belongs to its path");
            }
        }
    }
}

/// The example of NaCl's documentation (tests/secretbox.c), so that other implementations' values can be read.
#[tokio::test]
async fn secretbox_is_nacls() {
    let hex = |t: &str| (0..t.len()).step_by(2).map(|i| u8::from_str_radix(&t[i..i + 2], 16).expect("hex")).collect::<Vec<u8>>();
    let key = hex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
    let nonce = hex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37");
    let boxed = hex("f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5");
    let text = file("[secrets]", &[format!("{{secretbox: {{keys: [{{name: k, secret: '{}'}}]}}}}", STANDARD.encode(key))]);
    let stored = [b"k8s:enc:secretbox:v1:k:".as_slice(), &nonce, &boxed].concat();
    let plain = sealer(&text).await.open("secrets", PATH, &stored).await.expect("opens").0;
    assert_eq!(plain[..6], hex("be075fc53c81"));
    assert_eq!(plain.len(), 131);
}

#[tokio::test]
async fn the_first_key_writes_and_all_read() {
    let old = sealer(&file("[secrets, configmaps]", &[keys("aescbc", &[("one", 1, 32)]), "{identity: {}}".into()])).await;
    let sealed = old.seal("secrets", PATH, b"v").expect("seals");
    let both = [keys("aesgcm", &[("two", 2, 32)]), keys("aescbc", &[("one", 1, 32)])];
    let new = sealer(&file("[secrets, configmaps]", &both)).await;
    let (plain, by) = new.open("secrets", PATH, &sealed).await.expect("opens");
    assert_eq!((plain.as_slice(), by.as_str()), (&b"v"[..], "aescbc:v1:one"));
    assert_eq!(new.seals_with("secrets").as_deref(), Some("aesgcm:v1:two"));
    assert_eq!(new.seals_with("pods"), None);
    let gone = sealer(&file("[secrets]", &[keys("aesgcm", &[("two", 2, 32)])])).await;
    assert_eq!(gone.open("secrets", PATH, &sealed).await.expect_err("no key"), "no matching prefix found");
    let last = sealer(&file("[secrets]", &["{identity: {}}".into(), keys("aescbc", &[("one", 1, 32)])])).await;
    assert_eq!(last.seals_with("secrets"), None);
    assert_eq!(last.open("secrets", PATH, &sealed).await.expect("opens").0, b"v");
}

#[test]
fn resources_by_wildcard() {
    let covers = |pattern: &str, resource: &str| Group { resources: vec![pattern.into()], providers: Vec::new() }.covers(resource);
    assert!(covers("secrets", "secrets") && !covers("secrets", "configmaps"));
    assert!(covers("*.*", "secrets") && covers("*.*", "deployments.apps"));
    assert!(covers("*.", "secrets") && !covers("*.", "deployments.apps"));
    assert!(covers("*.apps", "deployments.apps") && !covers("*.apps", "secrets"));
    assert!(covers("crontabs.stable.example.com", "crontabs.stable.example.com"));
}

#[tokio::test]
async fn wrong_files_are_refused() {
    for text in [
        file("[secrets]", &[]),
        file("[]", &["{identity: {}}".into()]),
        file("[secrets]", &["{}".into()]),
        file("[secrets]", &["{identity: {}, aesgcm: {keys: []}}".into()]),
        file("[secrets]", &[keys("aescbc", &[("k", 1, 31)])]),
        file("[secrets]", &[keys("secretbox", &[("k", 1, 16)])]),
        file("[secrets]", &["{kms: {name: k, endpoint: 'unix:///x'}}".into()]),
        file("[secrets]", &["{kms: {apiVersion: v2, name: k, endpoint: 'tcp://x'}}".into()]),
        file("[secrets]", &["{rot13: {}}".into()]),
    ] {
        assert!(matches!(build(&text).await, Err(EncryptionError::Parse(_))), "{text}");
    }
}

/// A KMS plugin that "seals" by reversing, and whose key can be turned.
async fn plugin(socket: std::path::PathBuf, key_id: Arc<parking_lot::Mutex<String>>, calls: Arc<parking_lot::Mutex<Vec<String>>>) {
    use grpc::{Field, Writer, fields};
    use http_body_util::{BodyExt, StreamBody};
    let listener = tokio::net::UnixListener::bind(socket).expect("binds");
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (key_id, calls) = (Arc::clone(&key_id), Arc::clone(&calls));
        let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let (key_id, calls) = (key_id.lock().clone(), Arc::clone(&calls));
            async move {
                let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
                calls.lock().push(method.clone());
                let body = request.into_body().collect().await.expect("a body").to_bytes();
                let message = fields(&body[5..]).expect("a message");
                let first = message.iter().find_map(|(t, f)| match f { Field::Bytes(b) if *t == 1 => Some(b.to_vec()), _ => None });
                let turned: Vec<u8> = first.unwrap_or_default().into_iter().rev().collect();
                let mut w = Writer::default();
                match method.as_str() {
                    "Status" => {
                        w.bytes(1, b"v2");
                        w.bytes(2, b"ok");
                        w.bytes(3, key_id.as_bytes());
                    }
                    "Encrypt" => {
                        w.bytes(1, &turned);
                        w.bytes(2, key_id.as_bytes());
                        w.map(3, &BTreeMap::from([("a.example.com".to_owned(), b"note".to_vec())]));
                    }
                    _ => w.bytes(1, &turned),
                }
                let mut framed = vec![0];
                framed.extend((w.0.len() as u32).to_be_bytes());
                framed.extend(&w.0);
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
                let frames = [http_body::Frame::data(bytes::Bytes::from(framed)), http_body::Frame::trailers(trailers)];
                let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, std::convert::Infallible>)));
                Ok::<_, std::convert::Infallible>(http::Response::new(body))
            }
        });
        tokio::spawn(hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
            .serve_connection(hyper_util::rt::TokioIo::new(stream), service));
    }
}

#[tokio::test]
async fn a_kms_plugin_seals_the_seed() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("kms.sock");
    let (key_id, calls) = (Arc::new(parking_lot::Mutex::new("key-1".to_owned())), Arc::new(parking_lot::Mutex::new(Vec::new())));
    let running = tokio::spawn(plugin(socket.clone(), Arc::clone(&key_id), Arc::clone(&calls)));
    while !socket.exists() {
        tokio::task::yield_now().await;
    }
    let text = file("[secrets]", &[format!("{{kms: {{apiVersion: v2, name: p, endpoint: 'unix://{}'}}}}", socket.display())]);
    let s = sealer(&text).await;
    let sealed = s.seal("secrets", PATH, b"value").expect("seals");
    assert!(sealed.starts_with(b"k8s:enc:kms:v2:p:"));
    assert_eq!(s.seals_with("secrets").as_deref(), Some("kms:v2:p:key-1"));
    assert_eq!(s.open("secrets", PATH, &sealed).await.expect("opens").0, b"value");
    assert_eq!(*calls.lock(), ["Status", "Encrypt"], "neither a write nor a read of our own seed calls the plugin");
    // Another server with another key: the old value is opened by one call, and is known to be of the old key.
    *key_id.lock() = "key-2".to_owned();
    let other = sealer(&text).await;
    for _ in 0..3 {
        let (plain, by) = other.open("secrets", PATH, &sealed).await.expect("opens");
        assert_eq!((plain.as_slice(), by.as_str()), (&b"value"[..], "kms:v2:p:key-1"));
    }
    assert_eq!(other.seals_with("secrets").as_deref(), Some("kms:v2:p:key-2"));
    assert_eq!(calls.lock().iter().filter(|c| *c == "Decrypt").count(), 1);
    running.abort();
    let _ = running.await;
    assert_eq!(s.open("secrets", PATH, &sealed).await.expect("kept").0, b"value");
}

async fn open(disk: &Arc<store::MemoryDisk>, text: Option<&str>) -> Result<(Arc<registry::Registry>, Arc<store::Embedded>), String> {
    let engine = Arc::new(store::Embedded::open_on(Arc::clone(disk) as _, store::Options::default()).expect("opens"));
    let sealer = match text {
        Some(text) => Some(Arc::new(sealer(text).await) as Arc<dyn Sealer>),
        None => None,
    };
    let storage = registry::sealing::Storage { sealer, ..Default::default() };
    let registry = crate::testing::registry_on(Arc::clone(&engine), storage).await.map_err(|e| e.to_string())?;
    Ok((registry, engine))
}

async fn stored(engine: &store::Embedded) -> Vec<u8> {
    use store::Engine as _;
    let found = engine.range(store::RangeRequest::prefix(PATH)).await.expect("reads");
    found.kvs[0].value.to_vec()
}

#[tokio::test]
async fn secrets_lie_sealed_in_the_store_and_are_sealed_anew_by_replacing_them() {
    use kinds::{Kind, ObjectKey, Target, WriteOptions};
    let disk = Arc::new(store::MemoryDisk::default());
    let one = file("[secrets]", &[keys("aesgcm", &[("one", 1, 32)])]);
    let caller = registry::Caller::new("admin", &["system:masters"]);
    let options = WriteOptions::default();
    let target = |kind: Kind, ns: &str, name: &str| Target::new(kind, ObjectKey::new(ns, name));
    {
        let (registry, engine) = open(&disk, Some(&one)).await.expect("opens");
        let json = serde_json::json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "a" } });
        let namespace = codec::from_value(&Kind::Namespace.into(), json).expect("an object");
        registry.create(&caller, &target(Kind::Namespace, "", ""), namespace, &options).await.expect("creates");
        let json = serde_json::json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s", "namespace": "a" }, "stringData": { "k": "hidden" } });
        let secret = codec::from_value(&Kind::Secret.into(), json).expect("an object");
        let made = registry.create(&caller, &target(Kind::Secret, "a", ""), secret, &options).await.expect("creates");
        assert!(made.entry.json.starts_with(b"{"), "what is served is plain");
        assert!(stored(&engine).await.starts_with(b"k8s:enc:aesgcm:v1:one:"));
        store::Engine::close(&*engine).await;
    }
    assert!(open(&disk, None).await.is_err_and(|e| e.contains("--encryption-provider-config")));
    let two = file("[secrets]", &[keys("secretbox", &[("two", 2, 32)]), keys("aesgcm", &[("one", 1, 32)])]);
    let (registry, engine) = open(&disk, Some(&two)).await.expect("opens");
    let entry = registry.get(&Kind::Secret.into(), &ObjectKey::new("a", "s")).expect("is there");
    let same = entry.object().clone();
    let revision = entry.revision;
    let answer = registry.update(&caller, &target(Kind::Secret, "a", "s"), same.clone(), &options).await.expect("replaces");
    assert!(stored(&engine).await.starts_with(b"k8s:enc:secretbox:v1:two:"));
    assert!(answer.entry.revision > revision, "replacing it with itself seals it anew");
    let again = registry.update(&caller, &target(Kind::Secret, "a", "s"), answer.entry.object().clone(), &options).await.expect("replaces");
    assert_eq!(again.entry.revision, answer.entry.revision, "and then changes nothing");
}
