//! Kubeconfig: merging, choosing, overriding; errors from statuses.

use crate::error::{from_answer, from_status};
use crate::kubeconfig::{files, merge};
use crate::{Error, Kubeconfig, Overrides};
use serde_json::json;
use std::path::{Path, PathBuf};

fn sample() -> Kubeconfig {
    let first = json!({
        "current-context": "a",
        "clusters": [{ "name": "c1", "cluster": { "server": "https://one:6443" } }],
        "contexts": [{ "name": "a", "context": { "cluster": "c1", "user": "u1", "namespace": "team" } }],
        "users": [{ "name": "u1", "user": { "token": "first" } }],
    });
    let second = json!({
        "current-context": "b",
        "clusters": [{ "name": "c1", "cluster": { "server": "https://other" } }, { "name": "c2", "cluster": { "server": "two:1", "insecure-skip-tls-verify": true } }],
        "contexts": [{ "name": "b", "context": { "cluster": "c2", "user": "u1" } }],
        "users": [{ "name": "u1", "user": { "token": "second" } }, { "name": "u2", "user": { "username": "x", "password": "y" } }],
    });
    Kubeconfig { merged: merge(vec![first, second]), files: Vec::new() }
}

#[test]
fn the_first_file_to_say_a_thing_wins() {
    let config = sample().config(&Overrides::default()).expect("valid");
    assert_eq!((config.server.as_str(), config.token.as_deref(), config.namespace.as_str()), ("https://one:6443", Some("first"), "team"));
}

#[test]
fn flags_choose_and_override() {
    let o = Overrides { context: Some("b".into()), user: Some("u2".into()), namespace: Some("n".into()), ..Overrides::default() };
    let config = sample().config(&o).expect("valid");
    assert_eq!(config.server, "http://two:1");
    assert!(config.insecure);
    assert_eq!(config.basic, Some(("x".into(), "y".into())));
    assert_eq!(config.namespace, "n");
    let missing = sample().config(&Overrides { context: Some("zz".into()), ..Overrides::default() });
    assert_eq!(missing.expect_err("missing").to_string(), "Error in configuration: context was not found for specified context: zz");
}

#[test]
fn the_flag_wins_over_the_variable_over_the_home() {
    let home = Some("/home/u".into());
    assert_eq!(files(Some(Path::new("/f")), Some("/a:/b".into()), home.clone()), [PathBuf::from("/f")]);
    assert_eq!(files(None, Some("/a::/b".into()), home.clone()), [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert_eq!(files(None, Some("".into()), home), [PathBuf::from("/home/u/.kube/config")]);
}

#[test]
fn statuses_become_errors() {
    let status = json!({ "kind": "Status", "status": "Failure", "message": "pods \"x\" not found", "reason": "NotFound", "details": { "name": "x", "kind": "pods" }, "code": 404 });
    let error = from_status(&status, 404);
    assert!(error.is_not_found());
    assert_eq!(error.details.map(|d| d.kind), Some("pods".to_owned()));
    assert!(matches!(from_answer(404, b"404 page not found"), Error::Api(e) if e.message == "the server could not find the requested resource"));
}
