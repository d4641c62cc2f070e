//! The cases of the Kubernetes documentation and the laws of strategic merge patch.

use serde_json::{Value, json};

use super::{apply, diff, three_way};
use crate::Shape;

fn deployment() -> Shape<'static> {
    Shape::of_kind("apps", "v1", "Deployment")
}

fn spec(containers: Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": containers}}}})
}

fn check(kind: Shape<'_>, mut object: Value, patch: Value, expect: Value) {
    apply(&mut object, patch, kind).expect("the patch applies");
    assert_eq!(object, expect);
}

fn refuse(kind: Shape<'_>, mut object: Value, patch: Value, text: &str) {
    let error = apply(&mut object, patch, kind).expect_err("the patch is refused");
    assert_eq!(error.to_string(), text);
}

#[test]
fn containers_merge_by_name_in_the_order_of_both() {
    check(
        deployment(),
        spec(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}])),
        spec(json!([{"name": "b", "image": "2"}, {"name": "c", "image": "1"}])),
        spec(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c", "image": "1"}])),
    );
    check(deployment(), spec(json!([{"name": "a"}, {"name": "b"}])), spec(json!([{"name": "c"}])), spec(json!([{"name": "c"}, {"name": "a"}, {"name": "b"}])));
}

#[test]
fn tolerations_are_replaced() {
    let spec = |list: Value| json!({"spec": {"template": {"spec": {"tolerations": list}}}});
    check(deployment(), spec(json!([{"key": "a"}])), spec(json!([{"key": "b"}])), spec(json!([{"key": "b"}])));
}

#[test]
fn directives_delete_and_replace() {
    let before = spec(json!([{"name": "a"}, {"name": "b"}]));
    check(deployment(), before.clone(), spec(json!([{"name": "a", "$patch": "delete"}])), spec(json!([{"name": "b"}])));
    check(deployment(), before.clone(), spec(json!([{"name": "c"}, {"$patch": "replace"}])), spec(json!([{"name": "c"}])));
    refuse(deployment(), before, spec(json!([{"image": "c"}])), "map: map[image:c] does not contain declared merge key: name");
    check(
        deployment(),
        json!({"metadata": {"labels": {"a": "1"}}}),
        json!({"metadata": {"labels": {"$patch": "replace", "b": "2"}}}),
        json!({"metadata": {"labels": {"b": "2"}}}),
    );
    check(deployment(), json!({}), json!({"metadata": {"$patch": "x"}}), json!({}));
    refuse(deployment(), json!({"metadata": {}}), json!({"metadata": {"$patch": "x"}}), "unknown patch type: x in map: map[$patch:x]");
}

#[test]
fn null_removes_and_unknown_maps_are_refused() {
    check(deployment(), json!({"metadata": {"labels": {"a": "1", "b": "2"}}}), json!({"metadata": {"labels": {"a": null}}}), json!({"metadata": {"labels": {"b": "2"}}}));
    check(deployment(), json!({}), json!({"spec": {"foo": {"a": null, "b": 1}}}), json!({"spec": {"foo": {"b": 1}}}));
    refuse(deployment(), json!({"spec": {"foo": {}}}), json!({"spec": {"foo": {}}}), "unable to find api field in struct DeploymentSpec for the json field \"foo\"");
}

#[test]
fn retain_keys_drops_the_other_strategy() {
    check(
        deployment(),
        json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}),
        json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
        json!({"spec": {"strategy": {"type": "Recreate"}}}),
    );
    let recreate = json!({"spec": {"strategy": {"$retainKeys": [], "type": "Recreate"}}});
    refuse(deployment(), json!({"spec": {"strategy": {}}}), recreate.clone(), "patch content doesn't match retainKeys list");
    check(deployment(), json!({}), recreate, json!({"spec": {"strategy": {"type": "Recreate"}}}));
}

#[test]
fn element_order_and_primitive_lists() {
    check(
        deployment(),
        spec(json!([{"name": "a"}, {"name": "b"}, {"name": "server"}])),
        json!({"spec": {"template": {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}}}),
        spec(json!([{"name": "b"}, {"name": "a"}, {"name": "server"}])),
    );
    check(
        deployment(),
        json!({"metadata": {"finalizers": ["a", "b"]}}),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}}),
        json!({"metadata": {"finalizers": ["c", "b"]}}),
    );
    check(
        deployment(),
        json!({"metadata": {"finalizers": ["a", "b"]}}),
        json!({"metadata": {"$setElementOrder/finalizers": ["c", "b"], "$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}}),
        json!({"metadata": {"finalizers": ["c", "b"]}}),
    );
}

#[test]
fn three_way_removes_what_was_applied_and_keeps_what_others_set() {
    let original = json!({"metadata": {"labels": {"a": "1", "old": "x"}}, "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "a", "image": "1", "command": ["x"]}, {"name": "gone"}]}}}});
    let modified = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "2"}]}}}});
    let mut current = original.clone();
    current["spec"]["replicas"] = json!(5);
    current["metadata"]["labels"]["theirs"] = json!("y");
    current["spec"]["template"]["spec"]["containers"].as_array_mut().expect("list").push(json!({"name": "injected"}));
    let patch = three_way(&original, &modified, &current, deployment());
    apply(&mut current, patch, deployment()).expect("applies");
    assert_eq!(
        current,
        json!({"metadata": {"labels": {"a": "1", "theirs": "y"}}, "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "2"}, {"name": "injected"}]}}}})
    );
}

#[test]
fn a_service_merges_ports_by_port_alone() {
    let service = Shape::of_kind("", "v1", "Service");
    check(
        service,
        json!({"spec": {"ports": [{"port": 80, "name": "http"}, {"port": 443, "name": "https"}]}}),
        json!({"spec": {"ports": [{"port": 80, "nodePort": 30080}]}}),
        json!({"spec": {"ports": [{"port": 80, "name": "http", "nodePort": 30080}, {"port": 443, "name": "https"}]}}),
    );
}

mod laws {
    use super::*;
    use proptest::prelude::*;

    fn object() -> impl Strategy<Value = Value> {
        let labels = proptest::collection::btree_map("[a-c]", "[x-z]", 0..3);
        let container = ("[a-d]", "[x-z]", proptest::collection::vec("[a-c]", 0..3)).prop_map(|(name, image, args)| json!({"name": name, "image": image, "args": args}));
        let containers = proptest::collection::vec(container, 0..4).prop_map(|list| {
            let mut seen = std::collections::BTreeSet::new();
            list.into_iter().filter(|c| seen.insert(c["name"].to_string())).collect::<Vec<_>>()
        });
        let finalizers = proptest::collection::btree_set("[a-d]", 0..4);
        let strategy = prop_oneof![Just(json!({"type": "Recreate"})), (0..3).prop_map(|n| json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": n}}))];
        (labels, containers, finalizers, strategy, 0..3).prop_map(|(labels, containers, finalizers, strategy, replicas)| {
            json!({"metadata": {"labels": labels, "finalizers": finalizers}, "spec": {"replicas": replicas, "strategy": strategy, "template": {"spec": {"containers": containers}}}})
        })
    }

    proptest! {
        #[test]
        fn applying_a_diff_gives_the_target(from in object(), to in object()) {
            let patch = diff(&from, &to, deployment());
            let mut value = from.clone();
            apply(&mut value, patch.clone(), deployment()).map_err(|e| TestCaseError::fail(format!("{e}: {patch}")))?;
            prop_assert_eq!(&value, &to, "patch {}", patch);
        }

        #[test]
        fn a_diff_of_equals_is_empty(object in object()) {
            prop_assert_eq!(diff(&object, &object, deployment()), json!({}));
        }

        #[test]
        fn merge_patch_turns_one_into_the_other(from in object(), to in object()) {
            let mut value = from.clone();
            crate::merge::apply(&mut value, crate::merge::diff(&from, &to));
            prop_assert_eq!(value, to);
        }
    }
}

/// A look through one list for each element of the other takes minutes here.
#[test]
fn long_lists_merge_in_little_time() {
    let containers = |from: usize, n: usize| Value::Array((from..from + n).map(|i| json!({"name": format!("c{i}"), "image": "i"})).collect());
    let mut object = spec(containers(0, 40_000));
    apply(&mut object, spec(containers(20_000, 40_000)), deployment()).expect("the patch applies");
    assert_eq!(object["spec"]["template"]["spec"]["containers"].as_array().map(Vec::len), Some(60_000));
    let merged = crate::apply::merge(&spec(containers(0, 40_000)), &spec(containers(20_000, 40_000)), deployment());
    assert_eq!(merged["spec"]["template"]["spec"]["containers"].as_array().map(Vec::len), Some(60_000));
}
