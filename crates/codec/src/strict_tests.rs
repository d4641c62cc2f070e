//! Strict findings and type errors as Kubernetes words them.

use crate::strict::{Findings, check};

fn deployment(json: &str) -> Findings {
    check(json.as_bytes(), schema::types().by_gvk("apps", "v1", "Deployment")).expect("JSON")
}

fn strict(json: &str, expect: &[&str]) {
    assert_eq!(deployment(json).strict, expect);
}

fn shape(json: &str, expect: &str) {
    assert_eq!(deployment(json).shape.as_deref(), Some(expect));
}

#[test]
fn a_good_object_has_no_findings() {
    let json = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","labels":{"x":"y"},"creationTimestamp":null},
        "spec":{"replicas":3,"strategy":{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":1}},
        "template":{"spec":{"containers":[{"name":"a","resources":{"limits":{"cpu":1,"memory":"1Gi"}},"livenessProbe":{"httpGet":{"port":80}}}],
        "volumes":[{"name":"v","configMap":{"name":"c"}}]}}}}"#;
    assert_eq!(deployment(json), Findings::default());
}

#[test]
fn unknown_fields_have_their_paths() {
    strict(r#"{"foo":1,"spec":{"foo":{"bar":1},"Replicas":1}}"#, &[r#"unknown field "foo""#, r#"unknown field "spec.foo""#, r#"unknown field "spec.Replicas""#]);
    strict(r#"{"spec":{"template":{"spec":{"containers":[{"name":"a"},{"nam":"b"}]}}}}"#, &[r#"unknown field "spec.template.spec.containers[1].nam""#]);
}

#[test]
fn duplicate_fields_have_their_paths_once() {
    strict(r#"{"spec":{"replicas":1,"replicas":2,"replicas":3}}"#, &[r#"duplicate field "spec.replicas""#]);
    strict(r#"{"metadata":{"labels":{"a":"1","a":"2"}}}"#, &[r#"duplicate field "metadata.labels.a""#]);
    assert_eq!(check(br#"{"spec":{"a":{"b":1,"b":2}}}"#, None).expect("JSON").strict, [r#"duplicate field "spec.a.b""#]);
    let many = format!("{{{}}}", (0..500).map(|i| format!("\"f{i}\":1")).collect::<Vec<_>>().join(","));
    assert_eq!(deployment(&many).strict.len(), crate::strict::MAX_FINDINGS);
}

#[test]
fn the_message_is_one_line() {
    let found = deployment(r#"{"spec":{"a":1,"b":2}}"#);
    assert_eq!(found.strict_message().as_deref(), Some(r#"strict decoding error: unknown field "spec.a", unknown field "spec.b""#));
}

#[test]
fn wrong_types_in_gos_words() {
    shape(r#"{"spec":{"replicas":"3"}}"#, "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32");
    shape(r#"{"spec":{"replicas":1.5}}"#, "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32");
    shape(r#"{"metadata":{"labels":{"a":1}}}"#, "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string");
    shape(
        r#"{"spec":{"template":{"spec":{"containers":[{"env":[{"name":"a","value":1}]}]}}}}"#,
        "json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string",
    );
    shape(r#"{"spec":{"template":{"spec":{"containers":{}}}}}"#, "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container");
    shape(r#"{"spec":[]}"#, "json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec");
    shape("[]", "json: cannot unmarshal array into Go value of type v1.Deployment");
    shape(
        r#"{"spec":{"template":{"spec":{"containers":[{"resources":{"limits":{"cpu":"x"}}}]}}}}"#,
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    );
    shape(r#"{"metadata":{"creationTimestamp":"x"}}"#, r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#);
}

#[test]
fn syntax_errors_in_gos_words() {
    let error = |json: &str| check(json.as_bytes(), None).expect_err("no JSON").to_string();
    assert_eq!(error(""), "unexpected end of JSON input");
    assert_eq!(error("{"), "unexpected end of JSON input");
    assert_eq!(error("{a"), "invalid character 'a' looking for beginning of object key string");
    assert_eq!(error(r#"{"a" 1}"#), "invalid character '1' after object key");
    assert_eq!(error(r#"{"a":1 "b"}"#), "invalid character '\"' after object key:value pair");
    assert_eq!(error("[1 2]"), "invalid character '2' after array element");
    assert_eq!(error("hello"), "invalid character 'h' looking for beginning of value");
    assert_eq!(error("tru "), "invalid character ' ' in literal true (expecting 'e')");
    assert_eq!(error("{} x"), "invalid character 'x' after top-level value");
    assert_eq!(error(&"[".repeat(100_000)), "exceeded max depth");
}

#[test]
fn durations_as_go_writes_them() {
    use crate::duration::{format, parse};
    for text in ["0s", "1ns", "1.5µs", "2ms", "1s", "1.5s", "1m0s", "1h0m0s", "-2h3m4.5s"] {
        assert_eq!(parse(text).map(format).as_deref(), Some(text));
    }
    assert_eq!(parse("90m"), Some(5_400_000_000_000));
    assert_eq!(["", "1", "s", "1x", "99999999999h"].map(parse), [None; 5]);
    assert_eq!(parse("0"), Some(0));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = check(&bytes, schema::types().by_gvk("apps", "v1", "Deployment"));
    }

    #[test]
    fn it_accepts_what_serde_json_accepts(text in r#"[\[\]{}",:0-9a\\u. \-etrufalsn]{0,24}"#) {
        let ours = check(text.as_bytes(), None).is_ok();
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        proptest::prop_assert!(ours || !theirs, "{}", text);
    }
}
