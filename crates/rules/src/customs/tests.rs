//! Tables and laws of `customs`.

use super::*;
use kinds::FieldErrors;
use serde_json::json;

fn version(schema: Value) -> Version {
    let raw = json!({ "type": "object", "properties": { "spec": schema } });
    super::version(&json!({ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": raw } }))
}

fn errors(schema: Value, spec: Value) -> String {
    let mut e = FieldErrors::default();
    validate(&version(schema), &json!({ "spec": spec }), &mut e);
    e.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[test]
fn objects_are_judged_in_kubernetes_words() {
    let field = |s: Value| json!({ "type": "object", "properties": { "f": s } });
    let cases = [
        (json!({ "type": "integer" }), json!("a"), "spec.f: Invalid value: \"string\": spec.f in body must be of type integer: \"string\""),
        (json!({ "type": "integer", "format": "int32" }), json!("a"), "spec.f: Invalid value: \"string\": spec.f in body must be of type integer: \"string\""),
        (json!({ "type": "string" }), json!(null), "spec.f: Invalid value: \"null\": spec.f in body must be of type string: \"null\""),
        (json!({ "type": "string", "nullable": true }), json!(null), ""),
        (json!({ "type": "integer" }), json!(3.0), ""),
        (json!({ "type": "integer" }), json!(3.5), "spec.f: Invalid value: \"number\": spec.f in body must be of type integer: \"number\""),
        (json!({ "x-kubernetes-int-or-string": true }), json!(true), "spec.f: Invalid value: \"boolean\": spec.f in body must be of type integer,string: \"boolean\""),
        (json!({ "type": "string", "enum": ["a", "b"] }), json!("c"), "spec.f: Unsupported value: \"c\": supported values: \"a\", \"b\""),
        (json!({ "type": "string", "pattern": "^\\d+$" }), json!("x"), "spec.f: Invalid value: \"x\": spec.f in body should match '^\\d+$'"),
        (json!({ "type": "string", "maxLength": 2 }), json!("xyz"), "spec.f: Too long: may not be more than 2 bytes"),
        (json!({ "type": "string", "minLength": 2 }), json!("x"), "spec.f: Invalid value: \"x\": spec.f in body should be at least 2 chars long"),
        (json!({ "type": "integer", "minimum": 1 }), json!(0), "spec.f: Invalid value: 0: spec.f in body should be greater than or equal to 1"),
        (json!({ "type": "integer", "maximum": 10, "exclusiveMaximum": true }), json!(10), "spec.f: Invalid value: 10: spec.f in body should be less than 10"),
        (json!({ "type": "integer", "maximum": 1_000_000 }), json!(1_000_001), "spec.f: Invalid value: 1000001: spec.f in body should be less than or equal to 1e+06"),
        (json!({ "type": "array", "maxItems": 1, "items": { "type": "string" } }), json!(["a", "b"]), "spec.f: Too many: 2: must have at most 1 item"),
        (json!({ "type": "array", "minItems": 1, "items": { "type": "string" } }), json!([]), "spec.f: Invalid value: 0: spec.f in body should have at least 1 items"),
        (json!({ "type": "array", "items": { "type": "string" } }), json!([1]), "spec.f[0]: Invalid value: \"integer\": spec.f[0] in body must be of type string: \"integer\""),
        (json!({ "type": "object", "required": ["a"] }), json!({}), "spec.f.a: Required value"),
        (json!({ "type": "array", "x-kubernetes-list-type": "set", "items": { "type": "string" } }), json!(["a", "a"]), "spec.f[1]: Duplicate value: \"a\""),
        (json!({ "type": "string", "format": "date-time" }), json!("x"), "spec.f: Invalid value: \"x\": spec.f in body must be of type date-time: \"x\""),
        (json!({ "type": "object", "oneOf": [{ "required": ["a"] }, { "required": ["b"] }] }), json!({ "a": 1, "b": 2 }), "<nil>: Invalid value: \"\": \"spec.f\" must validate one and only one schema (oneOf). Found 2 valid alternatives"),
        (json!({ "type": "integer", "not": { "enum": [3] } }), json!(3), "<nil>: Invalid value: \"\": \"spec.f\" must not validate the schema (not)"),
    ];
    for (schema, value, wanted) in cases {
        assert_eq!(errors(field(schema.clone()), json!({ "f": value })), wanted, "{schema}");
    }
    let map = json!({ "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
        "items": { "type": "object", "properties": { "k": { "type": "string" } } } });
    assert_eq!(errors(field(map), json!({ "f": [{ "k": "a" }, { "k": "a" }] })), "spec.f[1]: Duplicate value: {\"k\":\"a\"}");
}

#[test]
fn unknown_fields_go_and_defaults_come() {
    let v = version(json!({ "type": "object", "properties": {
        "replicas": { "type": "integer", "default": 1 },
        "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        "labels": { "type": "object", "additionalProperties": { "type": "string" } },
        "ports": { "type": "array", "items": { "type": "object", "properties": { "protocol": { "type": "string", "default": "TCP" } } } },
        "object": { "type": "object", "x-kubernetes-embedded-resource": true, "properties": { "spec": { "type": "object" } } },
        "note": { "type": "string" },
    } }));
    let Value::Object(mut body) = json!({ "extra": 1, "spec": {
        "imag": "x", "free": { "a": { "b": 1 } }, "labels": { "x": "y" }, "ports": [{ "nam": "p" }], "note": null,
        "object": { "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "x" }, "more": 1 },
    } }) else { unreachable!() };
    let gone = prune(&v.schema, &mut body);
    assert_eq!(gone, ["extra", "spec.imag", "spec.object.more", "spec.ports[0].nam"]);
    default(&v.schema, &mut body);
    assert_eq!(Value::Object(body), json!({ "spec": {
        "replicas": 1, "free": { "a": { "b": 1 } }, "labels": { "x": "y" }, "ports": [{ "protocol": "TCP" }],
        "object": { "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "x" } },
    } }));
}

#[test]
fn what_was_wrong_before_is_let_pass() {
    let v = version(json!({ "type": "object", "properties": { "f": { "type": "string", "maxLength": 1 }, "g": { "type": "string" } } }));
    let old = json!({ "spec": { "f": "long", "g": "a" } });
    let judge = |new: Value| {
        let mut e = FieldErrors::default();
        validate_update(&v, &new, &old, &mut e);
        e.0.len()
    };
    assert_eq!(judge(json!({ "spec": { "f": "long", "g": "b" } })), 0);
    assert_eq!(judge(json!({ "spec": { "f": "longer", "g": "a" } })), 1);
}

#[test]
fn patterns_mean_what_re2_means() {
    for (pattern, text, fits) in [
        (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a-b", true),
        (r"^[\w-]+$", "a-b_c", true),
        (r"^[[]x$", "[x", true),
        (r"^\d$", "\u{0663}", false),
        (r"^[a&&b]$", "&", true),
        (r"^[^\s]+$", "a b", false),
        (r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$", "1.5Gi", true),
        (r"^[^:]+:[[:digit:]]+/?$", "a:1", true),
    ] {
        let r = pattern::compile(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
        assert_eq!(r.is_match(text), fits, "{pattern}");
    }
}
