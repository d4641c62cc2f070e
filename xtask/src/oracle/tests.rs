//! The parts of the oracle that need no servers.

use super::compare::{self, elide};
use super::http::Reply;
use super::{corpus, mutate, normalise};
use serde_json::{Value, json};

fn reply(code: u16, body: &Value) -> Reply {
    Reply { code, headers: Vec::new(), body: body.to_string().into() }
}

#[test]
fn the_corpus_is_readable() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/oracle"));
    let seeds = corpus::seeds(&root.join("seeds")).expect("seeds");
    assert!(seeds.len() > 50, "{}", seeds.len());
    assert!(!corpus::scripts(&root.join("scripts")).expect("scripts").is_empty());
}

#[test]
fn every_field_is_tried() {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
    let ty = schema::types().by_gvk("", "v1", "ConfigMap").expect("a type");
    let all = mutate::mutants(&object, ty, &[]);
    let has = |path: &str, change: &str| all.iter().any(|m| m.path == path && m.change == change);
    assert!(has("data", "removed") && has("data", "bad key") && has("data.k", "Bad_Value!") && has("immutable", "+true"));
    assert!(has("bogusField", "unknown field") && all.iter().all(|m| m.object["metadata"]["name"] == "a"));
}

#[test]
fn choices_of_a_server_are_no_difference() {
    let a = json!({"metadata": {"uid": "9f4cf4ff-0fb9-4d79-b7e3-0123456789ab", "resourceVersion": "7"}, "message": "at 2026-11-21T10:00:00Z"});
    let b = json!({"metadata": {"uid": "1f4cf4ff-0fb9-4d79-b7e3-0123456789ab", "resourceVersion": "9"}, "message": "at 2026-11-21T10:00:01Z"});
    assert_eq!(normalise::tree(a), normalise::tree(b));
}

#[test]
fn causes_are_compared_one_by_one() {
    let status = |causes: Value| json!({"kind": "Status", "status": "Failure", "message": "m", "details": {"causes": causes}});
    let one = json!({"reason": "FieldValueInvalid", "field": "spec.a[0]", "message": "Invalid value: \"x\": bad"});
    let found = compare::replies(&reply(422, &status(json!([one]))), &reply(422, &status(json!([]))));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].signature, "missing spec.a[]: Invalid value: \"\": bad");
}

#[test]
fn trees_differ_by_path() {
    let mut found = Vec::new();
    compare::trees("", &json!({"a": [{"b": 1}], "c": 2}), &json!({"a": [{"b": 2}], "d": 3}), &mut found);
    let signatures: Vec<_> = found.iter().map(|d| d.signature.as_str()).collect();
    assert_eq!(signatures, [".a[].b: 1 | 2", ".c: 2 | \"<absent>\"", ".d: \"<absent>\" | 3"]);
    assert_eq!(elide("x[12]: \"y\" z"), "x[]: \"\" z");
}
