//! Ownership and conflicts as the documentation of server-side apply describes them.

use serde_json::{Value, json};

use super::*;

fn deployment() -> Shape<'static> {
    Shape::of_kind("apps", "v1", "Deployment")
}

fn writer<'a>(manager: &'a str, now: &'a str) -> Writer<'a> {
    Writer { manager, api_version: "apps/v1", subresource: "", now, ignore: &["status"], versions: None }
}

const T1: &str = "2026-01-01T00:00:00Z";
const T2: &str = "2026-01-01T00:00:10Z";

fn object(spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "default"}, "spec": spec})
}

fn fields(object: &Value, manager: &str) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().expect("entries");
    entries.iter().find(|e| e["manager"] == manager).map_or(Value::Null, |e| e["fieldsV1"].clone())
}

fn nginx(image: &str) -> Value {
    json!({"selector": {"matchLabels": {"app": "n"}}, "template": {"metadata": {"labels": {"app": "n"}},
        "spec": {"containers": [{"name": "n", "image": image, "ports": [{"containerPort": 80}]}]}}})
}

#[test]
fn a_creation_owns_what_it_states_as_upstream_writes_it() {
    let mut new = object(nginx("i:1"));
    new["metadata"]["labels"] = json!({"x": "y"});
    new["spec"]["strategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}});
    track(None, &mut new, deployment(), writer("kubectl-create", T1));
    let expect = json!({
        "f:metadata": {"f:labels": {".": {}, "f:x": {}}},
        "f:spec": {
            "f:selector": {},
            "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}},
            "f:template": {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"n\"}": {".": {}, "f:image": {}, "f:name": {},
                    "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}, "f:resources": {}}}}
            }
        }
    });
    assert_eq!(fields(&new, "kubectl-create"), expect);
    let entry = &new["metadata"]["managedFields"][0];
    assert_eq!((&entry["operation"], &entry["apiVersion"], &entry["time"], &entry["fieldsType"]), (&json!("Update"), &json!("apps/v1"), &json!(T1), &json!("FieldsV1")));
}

#[test]
fn an_update_takes_fields_over() {
    let mut live = object(json!({"replicas": 1, "paused": true}));
    track(None, &mut live, deployment(), writer("a", T1));
    let mut new = live.clone();
    new["spec"]["replicas"] = json!(2);
    new["spec"].as_object_mut().expect("map").remove("paused");
    track(Some(&live), &mut new, deployment(), writer("b", T2));
    assert_eq!(fields(&new, "b"), json!({"f:spec": {"f:replicas": {}}}));
    assert_eq!(fields(&new, "a"), Value::Null);
    let mut same = new.clone();
    track(Some(&new), &mut same, deployment(), writer("c", T2));
    assert_eq!(same, new, "a write that changes nothing owns nothing");
}

#[test]
fn apply_merges_and_owns_its_configuration() {
    let first = apply(None, &object(nginx("i:1")), deployment(), writer("kubectl", T1), false).expect("applies");
    let expect = json!({"f:spec": {"f:selector": {}, "f:template": {"f:metadata": {"f:labels": {"f:app": {}}},
        "f:spec": {"f:containers": {"k:{\"name\":\"n\"}": {".": {}, "f:image": {}, "f:name": {}, "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}}});
    assert_eq!(fields(&first, "kubectl"), expect);
    let again = apply(Some(&first), &object(nginx("i:1")), deployment(), writer("kubectl", T2), false).expect("applies");
    assert_eq!(again, first, "applying again changes nothing, not even the time");
}

#[test]
fn conflicts_are_worded_as_documented() {
    let mut live = object(json!({"replicas": 1, "minReadySeconds": 1}));
    track(None, &mut live, deployment(), writer("kubectl-client-side-apply", T1));
    let error = apply(Some(&live), &object(json!({"replicas": 3})), deployment(), writer("me", T2), false).expect_err("a conflict");
    assert_eq!(error.to_string(), r#"Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas"#);
    let error = apply(Some(&live), &object(json!({"replicas": 3, "minReadySeconds": 2})), deployment(), writer("me", T2), false).expect_err("conflicts");
    assert_eq!(error.to_string(), "Apply failed with 2 conflicts: conflicts with \"kubectl-client-side-apply\" using apps/v1:\n- .spec.minReadySeconds\n- .spec.replicas");
    let forced = apply(Some(&live), &object(json!({"replicas": 3})), deployment(), writer("me", T2), true).expect("forced");
    assert_eq!(forced["spec"]["replicas"], 3);
    assert_eq!(fields(&forced, "kubectl-client-side-apply"), json!({"f:spec": {"f:minReadySeconds": {}}}));
}

#[test]
fn the_same_value_is_shared_without_conflict() {
    let first = apply(None, &object(json!({"replicas": 3})), deployment(), writer("a", T1), false).expect("applies");
    let second = apply(Some(&first), &object(json!({"replicas": 3})), deployment(), writer("b", T2), false).expect("shared");
    assert_eq!(fields(&second, "a"), fields(&second, "b"));
    let nothing = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "default"}});
    let third = apply(Some(&second), &nothing, deployment(), writer("a", T2), false).expect("applies");
    assert_eq!(third["spec"]["replicas"], 3, "b still owns it");
    assert_eq!(fields(&third, "a"), Value::Null);
    let last = apply(Some(&third), &nothing, deployment(), writer("b", T2), false).expect("applies");
    assert_eq!(last, nothing, "nobody owns it any more");
}

#[test]
fn list_items_go_when_nobody_owns_them() {
    let two = object(json!({"template": {"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}}}));
    let one = object(json!({"template": {"spec": {"containers": [{"name": "b", "image": "2"}]}}}));
    let mut live = apply(None, &two, deployment(), writer("me", T1), false).expect("applies");
    live["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
    let next = apply(Some(&live), &one, deployment(), writer("me", T2), false).expect("applies");
    assert_eq!(next["spec"]["template"]["spec"]["containers"], json!([{"name": "b", "image": "2"}]));
}

#[test]
fn what_the_schema_does_not_declare_is_refused() {
    let error = apply(None, &object(json!({"foo": 1})), deployment(), writer("me", T1), false).expect_err("refused");
    assert_eq!(error.to_string(), "failed to create typed patch object (default/a; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema");
    let twice = object(json!({"template": {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}}));
    let error = apply(None, &twice, deployment(), writer("me", T1), false).expect_err("refused");
    assert!(error.to_string().ends_with(r#": .spec.template.spec.containers: duplicate entries for key [name="a"]"#), "{error}");
    let mut managed = object(json!({}));
    managed["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    assert_eq!(apply(None, &managed, deployment(), writer("me", T1), false).expect_err("refused").to_string(), "metadata.managedFields must be nil");
}

#[test]
fn objects_without_managers_start_with_before_first_apply() {
    let live = object(json!({"replicas": 1}));
    let error = apply(Some(&live), &object(json!({"replicas": 2})), deployment(), writer("me", T1), false).expect_err("a conflict");
    assert_eq!(error.to_string(), r#"Apply failed with 1 conflict: conflict with "before-first-apply" using apps/v1: .spec.replicas"#);
    let mut new = live.clone();
    new["spec"]["replicas"] = json!(5);
    track(Some(&live), &mut new, deployment(), writer("me", T1));
    assert_eq!(new["metadata"].get("managedFields"), None, "an update does not start tracking");
}

#[test]
fn kubectl_takes_over_what_it_applied_from_the_client() {
    let mut live = object(json!({"replicas": 1}));
    let text = live.to_string();
    live["metadata"]["annotations"] = json!({LAST_APPLIED: text});
    track(None, &mut live, deployment(), writer("kubectl-client-side-apply", T1));
    let next = apply(Some(&live), &object(json!({"replicas": 2})), deployment(), writer("kubectl", T2), false).expect("its own");
    assert!(next["metadata"]["annotations"][LAST_APPLIED].as_str().is_some_and(|text| text.contains("\"replicas\":2")));
    let mut upgraded = live.clone();
    assert!(upgrade_client_side(&mut upgraded, &["kubectl-client-side-apply"], "kubectl"));
    assert_eq!(upgraded["metadata"]["managedFields"][0]["operation"], "Apply");
    assert!(apply(Some(&live), &object(json!({"replicas": 2})), deployment(), writer("me", T2), false).is_err());
}

#[test]
fn managed_fields_can_be_cleared_and_are_capped() {
    let mut live = object(json!({"replicas": 1}));
    track(None, &mut live, deployment(), writer("a", T1));
    let mut cleared = live.clone();
    cleared["metadata"]["managedFields"] = json!([{}]);
    track(Some(&live), &mut cleared, deployment(), writer("a", T2));
    assert_eq!(cleared["metadata"].get("managedFields"), None);
    for n in 0..15 {
        let mut next = live.clone();
        next["metadata"]["labels"][format!("l{n}")] = json!("x");
        let now = format!("2026-01-01T00:01:{n:02}Z");
        track(Some(&live), &mut next, deployment(), writer(&format!("m{n}"), &now));
        live = next;
    }
    let entries = live["metadata"]["managedFields"].as_array().expect("entries");
    assert_eq!(entries.len(), MAX_UPDATE_MANAGERS);
    assert!(entries.iter().any(|e| e["manager"] == ANCIENT_CHANGES));
}

#[test]
fn the_status_endpoint_owns_only_status() {
    let mut live = object(json!({"replicas": 1}));
    track(None, &mut live, deployment(), writer("a", T1));
    let mut new = live.clone();
    new["spec"]["replicas"] = json!(9);
    new["status"] = json!({"replicas": 1, "conditions": [{"type": "Available", "status": "True"}]});
    let status = Writer { subresource: "status", ignore: &["spec"], ..writer("controller", T2) };
    track(Some(&live), &mut new, deployment(), status);
    assert_eq!(fields(&new, "controller"), json!({"f:status": {"f:conditions": {".": {}, "k:{\"type\":\"Available\"}": {".": {}, "f:status": {}, "f:type": {}}}, "f:replicas": {}}}));
    assert_eq!(fields(&new, "a"), json!({"f:spec": {"f:replicas": {}}}));
    assert!(same_but_times(&live, &live) && !same_but_times(&live, &new));
}

#[test]
fn custom_resources_merge_by_their_structural_schema() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "size": {"type": "integer"},
        "hosts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "properties": {"name": {"type": "string"}, "port": {"type": "integer"}}}},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}});
    let shape = Shape::Custom(&schema);
    let custom = |spec: Value| json!({"apiVersion": "e.com/v1", "kind": "T", "metadata": {"name": "x"}, "spec": spec});
    let a = custom(json!({"size": 1, "hosts": [{"name": "a", "port": 1}], "tags": ["x"], "any": {"deep": {"er": 1}}}));
    let b = custom(json!({"hosts": [{"name": "b", "port": 2}], "tags": ["y"]}));
    let first = apply(None, &a, shape, writer("a", T1), false).expect("applies");
    assert_eq!(fields(&first, "a")["f:spec"]["f:any"], json!({"f:deep": {".": {}, "f:er": {}}}));
    let second = apply(Some(&first), &b, shape, writer("b", T2), false).expect("applies");
    assert_eq!(second["spec"]["tags"], json!(["x", "y"]));
    assert_eq!(second["spec"]["hosts"].as_array().map(Vec::len), Some(2));
    let third = apply(Some(&second), &custom(json!({})), shape, writer("a", T2), false).expect("applies");
    assert_eq!(third["spec"], json!({"hosts": [{"name": "b", "port": 2}], "tags": ["y"]}));
    assert!(apply(None, &custom(json!({"no": 1})), shape, writer("a", T1), false).is_err());
}

mod laws {
    use super::*;
    use proptest::prelude::*;

    fn config() -> impl Strategy<Value = Value> {
        let labels = proptest::option::of(proptest::collection::btree_map("[a-c]", "[x-z]", 0..3));
        let containers = proptest::collection::btree_map("[a-d]", (proptest::option::of("[x-z]"), proptest::collection::btree_map("[A-C]", "[0-9]", 0..3)), 0..3);
        (labels, containers, proptest::option::of(0..3)).prop_map(|(labels, containers, replicas)| {
            let containers: Vec<Value> = containers.into_iter().map(|(name, (image, env))| {
                let env: Vec<Value> = env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
                let mut c = json!({"name": name, "env": env});
                if let Some(image) = image { c["image"] = json!(image); }
                c
            }).collect();
            let mut object = object(json!({"template": {"spec": {"containers": containers}}}));
            if let Some(labels) = labels { object["metadata"]["labels"] = json!(labels); }
            if let Some(n) = replicas { object["spec"]["replicas"] = json!(n); }
            object
        })
    }

    proptest! {
        #[test]
        fn field_sets_survive_their_json(value in config()) {
            let set = field_set(&value, deployment());
            prop_assert_eq!(Set::from_fields_v1(&set.to_fields_v1()), Some(set));
        }

        #[test]
        fn applying_twice_is_applying_once(a in config(), b in config()) {
            let first = apply(None, &a, deployment(), writer("a", T1), false).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let once = apply(Some(&first), &b, deployment(), writer("b", T1), true).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let twice = apply(Some(&once), &b, deployment(), writer("b", T2), false).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(once, twice);
        }

        #[test]
        fn what_is_applied_is_there_and_nothing_stays_unowned(a in config(), b in config()) {
            let first = apply(None, &a, deployment(), writer("m", T1), false).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let second = apply(Some(&first), &b, deployment(), writer("m", T2), false).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let mut bare = second.clone();
            bare["metadata"].as_object_mut().expect("map").remove("managedFields");
            let (left, right) = (stripped(&field_set(&bare, deployment()), &[]), stripped(&field_set(&b, deployment()), &[]));
            prop_assert!(right.without(&left).is_empty());
            prop_assert!(left.orphans(&right).is_empty(), "{:?}", left.orphans(&right).paths());
        }

        #[test]
        fn any_json_is_read_or_refused(text in r#"\{("[fkvi.]:?[a-z"{}0-9]{0,6}":\{\},?){0,3}\}"#) {
            if let Ok(value) = serde_json::from_str::<Value>(&text) {
                let _ = Set::from_fields_v1(&value);
            }
        }
    }
}

#[test]
fn a_request_without_a_manager_is_its_user_agent() {
    assert_eq!(manager_name("", "kubectl/v1.36.0 (linux/amd64)"), "kubectl");
    assert_eq!(manager_name("me", "kubectl/v1"), "me");
    assert_eq!(manager_name("", &"x".repeat(500)).len(), MAX_MANAGER_BYTES);
}

/// Two versions that differ in the name of one field.
#[derive(Debug)]
struct Renamed(Value);

impl super::Versions for Renamed {
    fn turned(&self, object: &Value, to: &str) -> Option<Value> {
        let (from, into) = match to {
            "e.x/v1" => ("size", "replicas"),
            "e.x/v2" => ("replicas", "size"),
            _ => return None,
        };
        let mut turned = object.clone();
        turned["apiVersion"] = to.into();
        if let Some(value) = turned["spec"].as_object_mut().and_then(|spec| spec.remove(from)) {
            turned["spec"][into] = value;
        }
        Some(turned)
    }

    fn shape(&self, _: &str) -> Shape<'_> {
        Shape::Custom(&self.0)
    }
}

#[test]
fn owners_in_other_versions_know_fields_by_other_names() {
    let field = json!({"type": "integer"});
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"replicas": field, "size": field, "other": field}}}});
    let versions = Renamed(schema.clone());
    let shape = Shape::Custom(&schema);
    let by = |manager, api_version| Writer { api_version, ignore: &[], versions: Some(&versions), ..writer(manager, T1) };
    let config = |version: &str, spec: Value| json!({"apiVersion": version, "kind": "Boat", "metadata": {"name": "b"}, "spec": spec});
    let turned = |object: &Value, to: &str| super::Versions::turned(&versions, object, to).expect("a version");

    let first = apply(None, &config("e.x/v1", json!({"replicas": 1, "other": 1})), shape, by("a", "e.x/v1"), false).expect("applies");
    let seen = turned(&first, "e.x/v2");
    // The same field under its other name: a conflict, as its owner knows it.
    let change = config("e.x/v2", json!({"size": 2}));
    match apply(Some(&seen), &change, shape, by("b", "e.x/v2"), false).expect_err("a has it") {
        ApplyError::Conflicts { message, .. } => assert_eq!(message, "Apply failed with 1 conflict: conflict with \"a\": .spec.replicas"),
        other => panic!("{other}"),
    }
    let forced = apply(Some(&seen), &change, shape, by("b", "e.x/v2"), true).expect("is forced");
    assert_eq!((fields(&forced, "a"), fields(&forced, "b")), (json!({"f:spec": {"f:other": {}}}), json!({"f:spec": {"f:size": {}}})));

    // A plain update takes it over too, and one that does not touch it leaves it.
    let mut updated = seen.clone();
    updated["spec"]["size"] = 3.into();
    track(Some(&seen), &mut updated, shape, by("c", "e.x/v2"));
    assert_eq!((fields(&updated, "a"), fields(&updated, "c")), (json!({"f:spec": {"f:other": {}}}), json!({"f:spec": {"f:size": {}}})));

    // The same applier in the other version: what it gives up goes, what it still has stays under its new name.
    let moved = apply(Some(&seen), &config("e.x/v2", json!({"size": 1})), shape, by("a", "e.x/v2"), false).expect("applies");
    assert_eq!((&moved["spec"], fields(&moved, "a")), (&json!({"size": 1}), json!({"f:spec": {"f:size": {}}})));
    assert_eq!(moved["metadata"]["managedFields"][0]["apiVersion"], "e.x/v2");

    // What somebody else owns in another version stays.
    let shared = apply(Some(&seen), &config("e.x/v2", json!({"size": 1})), shape, by("d", "e.x/v2"), false).expect("the same value");
    let left = apply(Some(&turned(&shared, "e.x/v1")), &config("e.x/v1", json!({"other": 1})), shape, by("a", "e.x/v1"), false).expect("applies");
    assert_eq!(left["spec"], json!({"replicas": 1, "other": 1}));

    // Owners in a version that is gone own nothing.
    let mut old = seen.clone();
    old["metadata"]["managedFields"][0]["apiVersion"] = "e.x/v0".into();
    updated["metadata"] = json!({"name": "b"});
    track(Some(&old), &mut updated, shape, by("c", "e.x/v2"));
    assert!(updated["metadata"]["managedFields"].as_array().expect("a list").iter().all(|e| e["manager"] != "a"));
}
