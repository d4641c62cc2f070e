//! Availability, registration and identity headers as tables.

use super::*;
use cache::{Entry, Tables, Write};
use http::HeaderMap;
use kinds::{Kind, Resource, Revision, Time};
use rules::User;
use serde_json::json;

fn world(objects: Vec<(Kind, Value)>) -> Snapshot {
    let mut tables = Tables::default();
    for (i, (kind, tree)) in objects.into_iter().enumerate() {
        let resource = Resource::from(kind);
        let object = codec::from_value(&resource, tree).expect("an object");
        let (revision, json) = (Revision(i as u64 + 1), codec::encode(&object).into());
        let entry = Arc::new(Entry::new(object.key(), object, json, revision));
        tables.apply(Write { resource, key: entry.key.clone(), revision, entry: Some(entry) });
    }
    tables.snapshot()
}

fn service(port: i32) -> (Kind, Value) {
    (Kind::Service, json!({ "metadata": { "name": "s", "namespace": "n" }, "spec": { "ports": [{ "port": port }] } }))
}

fn slice(ready: bool) -> (Kind, Value) {
    let labels = json!({ "kubernetes.io/service-name": "s" });
    (
        Kind::EndpointSlice,
        json!({
            "metadata": { "name": "s-1", "namespace": "n", "labels": labels }, "addressType": "IPv4",
            "ports": [{ "name": "", "port": 8443 }],
            "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": ready } }],
        }),
    )
}

#[test]
fn what_stands_between_a_service_and_its_server() {
    let reference = ServiceReference { name: Some("s".into()), namespace: Some("n".into()), port: None };
    for (objects, reason, message) in [
        (vec![], "ServiceNotFound", "service/s in \"n\" is not present"),
        (vec![service(80)], "ServicePortError", "service/s in \"n\" is not listening on port 443"),
        (vec![service(443)], "EndpointsNotFound", "cannot find endpointslices for service/s in \"n\""),
        (
            vec![service(443), slice(false)],
            "MissingEndpoints",
            "endpoints for service/s in \"n\" have no addresses with port name \"\"",
        ),
    ] {
        let verdict = available::reachable(&world(objects), &reference).expect_err(reason);
        assert_eq!((verdict.available, verdict.reason, verdict.message.as_str()), (false, reason, message));
    }
    let whole = world(vec![service(443), slice(true)]);
    assert!(available::reachable(&whole, &reference).is_ok());
    assert_eq!(crate::webhook::place::addresses(&whole, "n", "s", 443), Ok(vec![("10.0.0.1".to_owned(), 8443)]));
}

/// A small API server of its own, as the layer sees it.
#[tokio::test]
async fn a_server_is_asked_in_our_name() {
    let server = crate::webhook::tests::serve(|path, headers, _| {
        let who = headers.get("x-remote-user").and_then(|v| v.to_str().ok()).unwrap_or_default();
        match path {
            "/apis/g.io/v1" => json!({ "kind": "APIResourceList", "resources": [{ "name": who }] }),
            "/openapi/v2" => json!({ "swagger": "2.0", "paths": { "/apis/g.io/v1/xs": {} } }),
            _ => json!({ "paths": { "apis/g.io/v1": { "serverRelativeURL": "/openapi/v3/apis/g.io/v1?hash=abc" } } }),
        }
    })
    .await;
    let slice = |port: u16| {
        let mut slice = slice(true).1;
        slice["ports"][0]["port"] = port.into();
        slice["endpoints"][0]["addresses"][0] = "127.0.0.1".into();
        (Kind::EndpointSlice, slice)
    };
    let now = jiff::Timestamp::now();
    let hour = std::time::Duration::from_secs(3600);
    let ca = crate::pki::Authority::create("front", hour, now).expect("made");
    let request = crate::pki::Request {
        common_name: "front-proxy-client".into(),
        organizations: vec![],
        dns_names: vec![],
        addresses: vec![],
        usage: crate::pki::Usage::Client,
        lifetime: hour,
    };
    let identity = identity(&ca.issue(request, now).expect("issued"));
    let layer = Aggregator::new(Arc::default(), identity, &Metrics::default());
    let reference = ServiceReference { name: Some("s".into()), namespace: Some("n".into()), port: None };
    let spec = APIServiceSpec {
        group: Some("g.io".into()),
        version: Some("v1".into()),
        service: Some(reference),
        ca_bundle: Some(kinds::ByteString(server.ca.clone().into_bytes())),
        ..APIServiceSpec::default()
    };
    let service_object = APIService { spec: Some(spec), ..APIService::default() };
    let (verdict, remote) = layer.check(&world(vec![service(443), slice(server.port)]), &service_object).await;
    assert_eq!(verdict, available::passed());
    assert_eq!(remote.resources["resources"][0]["name"], "system:kube-aggregator");
    assert_eq!((remote.stale, remote.openapi.as_deref()), (false, Some("hash=abc")));
    assert!(remote.v2.is_some());
    assert_eq!(server.asked.lock().len(), 3);
    let (verdict, remote) = layer.check(&world(vec![service(443), slice(1)]), &service_object).await;
    let why = "failing or missing response from https://s.n.svc:443/apis/g.io/v1: Get \"https://s.n.svc:443/apis/g.io/v1\": dial tcp 127.0.0.1:1: connect: connection refused";
    assert_eq!((verdict.reason, verdict.message.as_str(), remote.stale), ("FailedDiscoveryCheck", why, true));
}

fn identity(issued: &crate::pki::Issued) -> Identity {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = CertificateDer::pem_slice_iter(issued.certificate.as_bytes()).collect::<Result<_, _>>().expect("certificates");
    Identity { chain, key: PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("a key") }
}

#[test]
fn a_verdict_is_written_once() {
    let now = |s| Time(jiff::Timestamp::from_second(s).expect("in range"));
    let first = available::conclude(&APIService::default(), &available::failed("why".into()), now(1)).expect("new");
    assert!(!is_available(&first));
    assert!(available::conclude(&first, &available::failed("why".into()), now(2)).is_none());
    let second = available::conclude(&first, &available::failed("other".into()), now(2)).expect("another message");
    let since = |s: &APIService| s.status.clone().and_then(|s| s.conditions).map(|c| c[0].last_transition_time.clone());
    assert_eq!(since(&second), Some(Some(now(1))));
    let third = available::conclude(&second, &available::passed(), now(3)).expect("available");
    assert!(is_available(&third));
    assert_eq!(since(&third), Some(Some(now(3))));
}

#[test]
fn definitions_get_their_services_and_lose_them() {
    let crd = json!({
        "metadata": { "name": "xs.g.io" },
        "spec": {
            "group": "g.io", "scope": "Cluster", "names": { "plural": "xs", "kind": "X" },
            "versions": [
                { "name": "v1", "served": true, "storage": true },
                { "name": "v2", "served": true, "storage": false },
                { "name": "v3", "served": false, "storage": false },
            ],
        },
    });
    let kept = |name: &str, by: &str| {
        (Kind::APIService, json!({ "metadata": { "name": name, "labels": { register::MANAGED: by } }, "spec": { "groupPriorityMinimum": 1, "versionPriority": 1 } }))
    };
    let work = register::plan(&world(vec![
        (Kind::CustomResourceDefinition, crd),
        kept("v2.g.io", "true"),
        kept("v3.g.io", "true"),
        kept("v1.apps", "onstart"),
    ]));
    let made: Vec<String> = work.create.iter().map(|o| o.key().name).collect();
    assert_eq!((made, work.delete), (vec!["v1.g.io".to_owned()], vec!["v3.g.io".to_owned()]));
}

#[test]
fn only_the_one_who_asks_is_told_of() {
    let mut all = HeaderMap::new();
    all.insert("x-remote-group", "system:masters".parse().expect("a value"));
    let mut user = User::new("joe", &["dev", "ops"]);
    user.extra.insert("example.com/Scopes".into(), vec!["a".into()]);
    headers::identify(&mut all, &user, true);
    let groups: Vec<_> = all.get_all("x-remote-group").iter().filter_map(|v| v.to_str().ok()).collect();
    assert_eq!((all["x-remote-user"].to_str().ok(), groups), (Some("joe"), vec!["dev", "ops"]));
    assert_eq!(all["x-remote-extra-example.com%2fscopes"], "a");
    let back = crate::authn::remote_user(&all).expect("a user");
    assert_eq!((back.name, back.groups, back.extra["example.com/scopes"].clone()), ("joe".into(), vec!["dev".to_owned(), "ops".into()], vec!["a".to_owned()]));
}
