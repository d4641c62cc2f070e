//! JSON patch and merge patch: the cases of their RFCs, and the limits.

use serde_json::{Value, json};

use crate::json::{MAX_OPERATIONS, apply};
use crate::{PatchError, merge};

fn check(mut object: Value, patch: Value, expect: Result<Value, PatchError>) {
    let done = apply(&mut object, patch.to_string().as_bytes());
    assert_eq!(done.map(|()| object), expect);
}

#[test]
fn operations_apply_in_order() {
    check(json!({"a": [1]}), json!([{"op": "add", "path": "/a/-", "value": 2}, {"op": "replace", "path": "/a/0", "value": 0}]), Ok(json!({"a": [0, 2]})));
    check(json!({"a": 1}), json!([{"op": "move", "from": "/a", "path": "/b"}, {"op": "copy", "from": "/b", "path": "/c"}]), Ok(json!({"b": 1, "c": 1})));
    check(json!({"a~b": {"c/d": 1}}), json!([{"op": "remove", "path": "/a~0b/c~1d"}]), Ok(json!({"a~b": {}})));
    check(json!({"a": 1}), json!([{"op": "test", "path": "/b", "value": null}]), Ok(json!({"a": 1})));
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |text: &str| Err(PatchError::Unprocessable(text.to_owned()));
    check(json!({"a": 1}), json!([{"op": "test", "path": "/a", "value": 2}]), Err(PatchError::TestFailed("testing value /a failed: test failed".to_owned())));
    check(json!({}), json!([{"op": "remove", "path": "/a"}]), refused("remove operation does not apply: doc is missing key: /a: missing value"));
    check(json!({}), json!([{"op": "add", "path": "/a/b", "value": 1}]), refused("add operation does not apply: doc is missing path: /a/b: missing value"));
    assert!(matches!(apply(&mut json!({}), b"{}"), Err(PatchError::Malformed(_))));
    assert!(matches!(apply(&mut json!({}), b"["), Err(PatchError::Malformed(_))));
    let many: Vec<Value> = (0..=MAX_OPERATIONS).map(|_| json!({"op": "test", "path": "/a", "value": null})).collect();
    check(json!({}), json!(many), Err(PatchError::TooLarge("The allowed maximum operations in a JSON patch is 10000, got 10001".to_owned())));
}

#[test]
fn no_patch_is_a_list_without_operations() {
    check(json!({"a": 1}), json!(null), Ok(json!({"a": 1})));
}

/// Forty operations would make a terabyte of it.
#[test]
fn copies_of_copies_end() {
    let double = json!({"op": "copy", "from": "/a", "path": "/a/-"});
    let mut target = json!({"a": ["x".repeat(1000)]});
    let done = apply(&mut target, json!(vec![double; 40]).to_string().as_bytes());
    assert!(matches!(&done, Err(PatchError::Unprocessable(why)) if why.starts_with("Unable to complete the copy")), "{done:?}");
}

/// A patch can put together what no parser would have let in.
#[test]
fn depth_ends() {
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let add = |path: &str, levels| format!("{{\"op\":\"add\",\"path\":{path:?},\"value\":{}}}", nested(levels));
    let patch = |one: &str, two: &str| format!("[{one},{two}]");
    let below = format!("/a{}", "/0".repeat(99));
    let mut target = json!({});
    apply(&mut target, patch(&add("/a", 99), &add(&below, 27)).as_bytes()).expect("127 levels");
    assert!(serde_json::from_str::<Value>(&target.to_string()).is_ok(), "it can be read again");
    let done = apply(&mut json!({}), patch(&add("/a", 99), &add(&below, 28)).as_bytes());
    assert_eq!(done, Err(PatchError::Unprocessable("the patch leads to more than 127 levels".to_owned())));
    let deeper = json!([{"op": "add", "path": "/b", "value": {}}, {"op": "move", "from": "/a", "path": "/b/a"}]);
    assert!(matches!(apply(&mut target, deeper.to_string().as_bytes()), Err(PatchError::Unprocessable(_))));
}

#[test]
fn merge_patches_of_the_rfc() {
    let table = [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!([1]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ];
    for (mut target, patch, expect) in table {
        merge::apply(&mut target, patch);
        assert_eq!(target, expect);
    }
}

#[test]
fn the_three_way_merge_patch_keeps_what_others_set() {
    let (original, modified) = (json!({"a": 1, "gone": 1, "m": {"x": 1, "y": 1}}), json!({"a": 2, "m": {"x": 1}}));
    let mut current = json!({"a": 1, "gone": 1, "theirs": 1, "m": {"x": 1, "y": 1, "z": 1}});
    let patch = merge::three_way(&original, &modified, &current);
    merge::apply(&mut current, patch);
    assert_eq!(current, json!({"a": 2, "theirs": 1, "m": {"x": 1, "z": 1}}));
}
