//! Admission webhooks against a real HTTPS server on loopback: matching, patches, refusals, failures, a second round.

use super::*;
use crate::pki::{Authority, Request as Ask4, Usage};
use base64::Engine;
use bytes::Bytes;
use cache::{Entry, Snapshot, Tables, Write};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kinds::api::core::v1::ConfigMap;
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{ApiError, Kind, Object, ObjectMeta, Resource, Revision, WriteOptions};
use parking_lot::Mutex;
use registry::admit::{Connect, Ask, Given, Hooks, Notes, Phase, Round};
use rules::{Config, Ctx, Gates, Operation};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use testkit::FakeIds;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A server, and what it was asked.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) ca: String,
    pub(crate) asked: Arc<Mutex<Vec<Value>>>,
    /// Connections that were made.
    dialled: Arc<AtomicUsize>,
}

/// A webhook server: what it answers is the `response`, the uid filled in.
async fn server(answer: impl Fn(&str, &Value) -> Value + Send + Sync + 'static) -> Server {
    serve(move |path, _, question| {
        let mut response = answer(path, &question["request"]);
        response["uid"] = question["request"]["uid"].clone();
        json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response })
    })
    .await
}

/// A server of JSON on loopback with a certificate of an authority of its own.
pub(crate) async fn serve(answer: impl Fn(&str, &http::HeaderMap, &Value) -> Value + Send + Sync + 'static) -> Server {
    serve_over(&[], answer).await
}

/// The same with these application protocols.
async fn serve_over(
    protocols: &[&str],
    answer: impl Fn(&str, &http::HeaderMap, &Value) -> Value + Send + Sync + 'static,
) -> Server {
    let now = jiff::Timestamp::now();
    let ca = Authority::create("webhooks", Duration::from_secs(3600), now).expect("made");
    let request = Ask4 {
        common_name: "hook".into(),
        organizations: vec![],
        dns_names: vec!["localhost".into(), "s.n.svc".into()],
        addresses: vec![[127, 0, 0, 1].into()],
        usage: Usage::Server,
        lifetime: Duration::from_secs(3600),
    };
    let issued = ca.issue(request, now).expect("issued");
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(issued.certificate.as_bytes()).collect::<Result<_, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut tls = tls.with_no_client_auth().with_single_cert(chain, key).expect("fits");
    tls.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    let tls = Arc::new(tls);
    let dialled = Arc::new(AtomicUsize::new(0));
    let dials = Arc::clone(&dialled);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (answer, seen) = (Arc::new(answer), Arc::clone(&asked));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            dials.fetch_add(1, Ordering::Relaxed);
            let (acceptor, answer, seen) = (TlsAcceptor::from(Arc::clone(&tls)), Arc::clone(&answer), Arc::clone(&seen));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(tcp).await else { return };
                let service = service_fn(move |r: http::Request<hyper::body::Incoming>| {
                    let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                    async move {
                        let (parts, body) = r.into_parts();
                        let body = body.collect().await.expect("a body").to_bytes();
                        let question: Value = serde_json::from_slice(&body).unwrap_or_default();
                        let told = answer(parts.uri.path(), &parts.headers, &question);
                        seen.lock().push(question);
                        Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(told.to_string()))))
                    }
                });
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                    return;
                }
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Server { port, ca: ca.pem().to_owned(), asked, dialled }
}

impl Server {
    fn hook(&self, name: &str, more: Value) -> Value {
        let encode = |b: &str| base64::engine::general_purpose::STANDARD.encode(b);
        let mut hook = json!({
            "name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 10,
            "clientConfig": { "url": format!("https://127.0.0.1:{}/{name}", self.port), "caBundle": encode(&self.ca) },
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["*"] }],
        });
        for (k, v) in more.as_object().expect("members") {
            hook[k] = v.clone();
        }
        hook
    }
}

fn world(kind: Kind, hooks: Vec<Value>) -> Snapshot {
    let mut tables = Tables::default();
    let config = json!({ "metadata": { "name": "c" }, "webhooks": hooks });
    let namespace = json!({ "metadata": { "name": "a", "labels": { "on": "yes" } } });
    for (i, (kind, tree)) in [(kind, config), (Kind::Namespace, namespace)].into_iter().enumerate() {
        let resource = Resource::from(kind);
        let object = codec::from_value(&resource, tree).expect("an object");
        let revision = Revision(i as u64 + 1);
        let json = codec::encode(&object).into();
        let entry = Arc::new(Entry::new(object.key(), object, json, revision));
        tables.apply(Write { resource, key: entry.key.clone(), revision, entry: Some(entry) });
    }
    tables.snapshot()
}

fn map(data: &[(&str, &str)]) -> Object {
    ConfigMap {
        metadata: ObjectMeta { name: Some("m".into()), namespace: Some("a".into()), ..ObjectMeta::default() },
        data: Some(data.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()),
        ..ConfigMap::default()
    }
    .into()
}

struct Outcome {
    object: Result<Option<Object>, ApiError>,
    notes: Arc<Notes>,
    round: Round,
}

/// Runs one phase on a ConfigMap's create.
async fn run(snapshot: &Snapshot, phase: Phase, object: Object, dry_run: bool) -> Outcome {
    let request = request(Kind::ConfigMap, "", Operation::Create, dry_run);
    let options = WriteOptions { dry_run, ..WriteOptions::default() };
    asked(snapshot, phase, (&request, Given::Create(&options)), Some(object), None).await
}

fn request(kind: Kind, subresource: &'static str, operation: Operation, dry_run: bool) -> rules::Request {
    rules::Request { operation, resource: kind.into(), subresource, namespace: "a".into(), name: "m".into(), dry_run }
}

async fn asked(
    snapshot: &Snapshot,
    phase: Phase,
    (request, given): (&rules::Request, Given<'_>),
    object: Option<Object>,
    connect: Option<Connect<'_>>,
) -> Outcome {
    let caller = registry::Caller::noted(Arc::new(rules::User::new("joe", &["dev"])));
    let (gates, config) = (Gates::default(), settings());
    let ctx = Ctx { now: jiff::Timestamp::UNIX_EPOCH, snapshot, user: &caller.user, gates: &gates, config: &config, ids: &FakeIds::default() };
    let ask = Ask { ctx: &ctx, request, caller: &caller, given, settle: &|_| {}, connect };
    let metrics = Arc::new(HookMetrics::new(&base::metrics::Registry::default()));
    let hooks = Webhooks::new(Arc::new(Caller::default()), Arc::new(FakeIds::default()), metrics);
    assert!(hooks.concern(phase, &ask));
    let mut round = Round::default();
    let object = match phase {
        Phase::Mutate => hooks.mutate(&ask, object, None, &mut round).await,
        Phase::Validate => hooks.validate(&ask, object.as_ref(), None).await.map(|()| None),
    };
    Outcome { object, notes: caller.notes.clone().expect("noted"), round }
}

fn settings() -> Config {
    Config {
        service_cidrs: vec![],
        node_ports: (30_000, 32_767),
        cluster_domain: "cluster.local".into(),
        advertise_address: std::net::Ipv4Addr::LOCALHOST.into(),
        secure_port: 6443,
        plugins: rules::Plugins::default(),
        admission: rules::AdmissionSettings::default(),
    }
}

fn patch(operations: Value) -> Value {
    let text = base64::engine::general_purpose::STANDARD.encode(operations.to_string());
    json!({ "allowed": true, "patch": text, "patchType": "JSONPatch", "warnings": ["careful"], "auditAnnotations": { "k": "v" } })
}

fn value<'a>(o: &'a Outcome, key: &str) -> Option<&'a str> {
    let Ok(Some(Object::ConfigMap(m))) = &o.object else { panic!("{:?}", o.object) };
    m.data.as_ref()?.get(key).map(String::as_str)
}

#[tokio::test]
async fn objects_are_changed_one_webhook_after_the_other() {
    let s = server(|path, request| {
        let seen = request["object"]["data"].as_object().map_or(0, serde_json::Map::len);
        patch(json!([{ "op": "add", "path": format!("/data{path}"), "value": seen.to_string() }]))
    })
    .await;
    let w = world(Kind::MutatingWebhookConfiguration, vec![s.hook("one", json!({})), s.hook("two", json!({}))]);
    let done = run(&w, Phase::Mutate, map(&[("x", "y")]), false).await;
    assert_eq!((value(&done, "one"), value(&done, "two")), (Some("1"), Some("2")));
    assert_eq!(done.notes.warnings(), ["careful"]);
    let told = done.notes.annotations();
    assert_eq!(told["one/k"], "v");
    assert_eq!(
        told["mutation.webhook.admission.k8s.io/round_0_index_1"],
        r#"{"configuration":"c","mutated":true,"webhook":"two"}"#
    );
    let first = &s.asked.lock()[0]["request"];
    assert_eq!(first["kind"], json!({ "group": "", "version": "v1", "kind": "ConfigMap" }));
    assert_eq!(first["requestResource"], json!({ "group": "", "version": "v1", "resource": "configmaps" }));
    assert_eq!((&first["oldObject"], &first["operation"], &first["dryRun"]), (&Value::Null, &json!("CREATE"), &json!(false)));
    assert_eq!(first["userInfo"], json!({ "username": "joe", "groups": ["dev"] }));
    assert_eq!(first["options"], json!({ "kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1" }));
}

#[tokio::test]
async fn selectors_and_rules_choose() {
    let s = server(|path, _| patch(json!([{ "op": "add", "path": format!("/data{path}"), "value": "" }]))).await;
    let only = |labels: Value| json!({ "namespaceSelector": { "matchLabels": labels } });
    let rules = |version: &str| json!({ "rules": [{ "apiGroups": ["*"], "apiVersions": [version], "resources": ["*"], "operations": ["CREATE"] }] });
    let hooks = vec![
        s.hook("in", only(json!({ "on": "yes" }))),
        s.hook("out", only(json!({ "on": "no" }))),
        s.hook("object", json!({ "objectSelector": { "matchLabels": { "x": "y" } } })),
        s.hook("v1", rules("v1")),
        s.hook("v2", rules("v2")),
    ];
    let done = run(&world(Kind::MutatingWebhookConfiguration, hooks), Phase::Mutate, map(&[]), false).await;
    let called = ["in", "out", "object", "v1", "v2"].map(|k| value(&done, k).is_some());
    assert_eq!(called, [true, false, false, true, false]);
}

#[tokio::test]
async fn refusals_are_worded_as_upstream_words_them() {
    let s = server(|path, _| match path {
        "/code" => json!({ "allowed": false, "status": { "code": 418, "message": "no tea", "reason": "Teapot" } }),
        "/reason" => json!({ "allowed": false, "status": { "reason": "Because" } }),
        "/patch" => json!({ "allowed": true, "patch": "W10=", "patchType": "JSONPatch" }),
        _ => json!({ "allowed": false }),
    })
    .await;
    for (name, code, text) in [
        ("code", 418, "admission webhook \"code\" denied the request: no tea"),
        ("reason", 400, "admission webhook \"reason\" denied the request: Because"),
        ("bare", 400, "admission webhook \"bare\" denied the request without explanation"),
        (
            "patch",
            500,
            "Internal error occurred: failed calling webhook \"patch\": received invalid webhook response: validating webhook may not return response.patch",
        ),
    ] {
        let w = world(Kind::ValidatingWebhookConfiguration, vec![s.hook(name, json!({}))]);
        let e = run(&w, Phase::Validate, map(&[]), false).await.object.expect_err(name);
        assert_eq!((e.code, e.message.as_str()), (code, text));
    }
}

#[tokio::test]
async fn failures_count_by_their_policy() {
    let s = server(|_, _| json!({ "allowed": true })).await;
    let other = server(|_, _| json!({ "allowed": true })).await;
    let foreign = json!({ "clientConfig": other.hook("x", json!({}))["clientConfig"].clone() });
    let mut stranger = s.hook("stranger", json!({}));
    stranger["clientConfig"]["caBundle"] = foreign["clientConfig"]["caBundle"].clone();
    let fails = |w: Value| async move {
        let w = world(Kind::ValidatingWebhookConfiguration, vec![w]);
        run(&w, Phase::Validate, map(&[]), false).await
    };
    let e = fails(stranger.clone()).await.object.expect_err("unknown authority").message;
    let why = "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    let url = format!("https://127.0.0.1:{}/stranger?timeout=10s", s.port);
    assert_eq!(e, format!("Internal error occurred: failed calling webhook \"stranger\": failed to call webhook: Post {url:?}: {why}"));
    stranger["failurePolicy"] = "Ignore".into();
    let open = fails(stranger).await;
    assert!(open.object.is_ok());
    assert_eq!(open.notes.annotations()["failed-open.validating.webhook.admission.k8s.io/round_0_index_0"], "stranger");
    let service = json!({ "clientConfig": { "service": { "namespace": "a", "name": "none", "path": "/p" } } });
    let e = fails(s.hook("gone", service)).await.object.expect_err("no service").message;
    assert!(e.ends_with("Post \"https://none.a.svc:443/p?timeout=10s\": service \"none\" not found"), "{e}");
}

#[tokio::test]
async fn options_of_a_connection_can_be_changed() {
    let s = server(|_, question| {
        let container = question["object"]["container"].as_str().unwrap_or_default().to_owned();
        patch(json!([{ "op": "add", "path": "/container", "value": container + "x" }]))
    })
    .await;
    let rules = json!([{ "operations": ["CONNECT"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/exec"] }]);
    let hooks = vec![s.hook("first", json!({ "rules": rules })), s.hook("second", json!({ "rules": rules }))];
    let w = world(Kind::MutatingWebhookConfiguration, hooks);
    let options = json!({ "kind": "PodExecOptions", "apiVersion": "v1", "command": ["sh"] });
    let connect = Connect { kind: "PodExecOptions", options: &options };
    let request = request(Kind::Pod, "exec", Operation::Connect, false);
    let outcome = asked(&w, Phase::Mutate, (&request, Given::Nothing), None, Some(connect)).await;
    assert_eq!(outcome.object, Ok(None));
    let changed = json!({ "kind": "PodExecOptions", "apiVersion": "v1", "command": ["sh"], "container": "xx" });
    assert_eq!(outcome.round.options, Some(changed));
}

#[tokio::test]
async fn dry_runs_need_a_webhook_without_side_effects() {
    let s = server(|_, _| json!({ "allowed": true })).await;
    let w = world(Kind::ValidatingWebhookConfiguration, vec![s.hook("some", json!({ "sideEffects": "Some" }))]);
    let e = run(&w, Phase::Validate, map(&[]), true).await.object.expect_err("side effects");
    assert_eq!((e.code, e.message.as_str()), (400, "admission webhook \"some\" does not support dry run"));
    assert!(run(&w, Phase::Validate, map(&[]), false).await.object.is_ok());
    assert_eq!(s.asked.lock().len(), 1);
}

/// A definition whose conversion webhook is `s`, and one of its objects.
fn custom(s: &Server) -> (CustomResourceDefinition, Object) {
    let bundle = base64::engine::general_purpose::STANDARD.encode(&s.ca);
    let client = json!({ "url": format!("https://127.0.0.1:{}/convert", s.port), "caBundle": bundle });
    let crd = json!({
        "metadata": { "name": "xs.g.io" },
        "spec": {
            "group": "g.io", "scope": "Namespaced", "names": { "plural": "xs", "kind": "X" },
            "conversion": { "strategy": "Webhook", "webhook": { "conversionReviewVersions": ["v1"], "clientConfig": client } },
            "versions": [{ "name": "v1", "served": true, "storage": true }, { "name": "v2", "served": true, "storage": false }],
        },
    });
    let crd = codec::from_value(&Kind::CustomResourceDefinition.into(), crd).expect("a definition");
    let Object::CustomResourceDefinition(crd) = crd else { panic!("a definition") };
    let resource = registry::customs::resource_of(&crd);
    let object = json!({
        "apiVersion": "g.io/v1", "kind": "X", "spec": { "a": 1 },
        "metadata": { "name": "x", "namespace": "a", "uid": "u", "labels": { "l": "1" }, "generation": 3 },
    });
    (CustomResourceDefinition::clone(&crd), codec::from_value(&resource, object).expect("an object"))
}

async fn convert(edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Result<Object, ApiError> {
    let s = serve(move |_, _, question| {
        let mut objects = question["request"]["objects"].clone();
        for o in objects.as_array_mut().expect("objects") {
            o["apiVersion"] = question["request"]["desiredAPIVersion"].clone();
            edit(o);
        }
        let result = json!({ "status": "Success" });
        let uid = &question["request"]["uid"];
        let response = json!({ "uid": uid, "result": result, "convertedObjects": objects });
        json!({ "kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "response": response })
    })
    .await;
    let (crd, object) = custom(&s);
    let metrics = Arc::new(HookMetrics::new(&base::metrics::Registry::default()));
    let hooks = Webhooks::new(Arc::new(Caller::default()), Arc::new(FakeIds::default()), metrics);
    let all = hooks.convert(&Tables::default().snapshot(), &crd, vec![object.clone(), object], "g.io/v2").await?;
    assert_eq!(all[0], all[1]);
    Ok(all[0].clone())
}

#[tokio::test]
async fn a_conversion_changes_content_labels_and_annotations_only() {
    let done = convert(|o| {
        o["spec"] = json!({ "b": 2 });
        o["metadata"]["labels"] = json!({ "l": "2" });
        o["metadata"]["generation"] = 7.into();
    });
    let done = done.await.expect("converted");
    assert_eq!(done.api_version(), "g.io/v2");
    assert_eq!(codec::to_value(&done)["spec"], json!({ "b": 2 }));
    assert_eq!(done.meta().labels.as_ref().map(|l| l["l"].clone()), Some("2".to_owned()));
    assert_eq!(done.meta().generation, Some(3));
    let e = convert(|o| o["metadata"]["name"] = "y".into()).await.expect_err("another object");
    let why = "conversion webhook for g.io/v1, Kind=X returned invalid converted object at index 0: must have the same name: x != y";
    assert_eq!((e.code, e.message.as_str()), (500, why));
    let e = convert(|o| o["apiVersion"] = "g.io/v3".into()).await.expect_err("another version");
    assert!(e.message.ends_with("invalid groupVersion (expected g.io/v2, received g.io/v3)"), "{}", e.message);
}

/// Many calls share one connection of a server that speaks HTTP/2; calls go on when it was closed.
#[tokio::test]
async fn http2_is_spoken_where_the_server_does() {
    for (protocols, shared) in [(&["h2", "http/1.1"][..], true), (&["http/1.1"][..], false)] {
        let s = serve_over(protocols, |path, headers, _| json!({ "path": path, "host": headers.contains_key("host") })).await;
        let place = super::place::Place::of_url(&format!("https://127.0.0.1:{}/x?timeout=1s", s.port), s.ca.as_bytes()).expect("a place");
        let caller = Caller::default();
        let post = || caller.post(&place, b"{}".to_vec(), Duration::from_secs(10));
        let first: Value = serde_json::from_slice(&post().await.expect("answered")).expect("JSON");
        assert_eq!(first, json!({ "path": "/x", "host": !shared }));
        let all = futures_util::future::join_all((0..8).map(|_| post())).await;
        assert!(all.iter().all(Result::is_ok));
        let dialled = s.dialled.load(Ordering::Relaxed);
        assert_eq!(dialled == 1, shared, "{dialled} connections");
    }
}
