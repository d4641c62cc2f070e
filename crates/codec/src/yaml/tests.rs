//! YAML as kubectl reads and prints it.

use serde_json::{Value, json};

use super::{documents, parse, write};

fn read(text: &str) -> Value {
    parse(text).expect("YAML").value
}

#[test]
fn plain_scalars_follow_yaml_1_1() {
    let table = [
        ("yes", json!(true)), ("On", json!(true)), ("n", json!(false)), ("~", Value::Null), ("", Value::Null), ("null", Value::Null),
        ("010", json!(8)), ("0o10", json!(8)), ("0x1F", json!(31)), ("1_000", json!(1000)), ("-5", json!(-5)), ("1.5", json!(1.5)), ("1e3", json!(1000)),
        ("18446744073709551615", json!(u64::MAX)), ("1.0", json!(1)), ("09", json!(9)),
        ("\"yes\"", json!("yes")), ("'1'", json!("1")), ("12:30", json!("12:30")), ("2024-01-01", json!("2024-01-01")), ("100m", json!("100m")), ("1Gi", json!("1Gi")),
        ("!!str 1", json!("1")), ("!!int \"3\"", json!(3)), ("a: b", json!({"a": "b"})), ("-", json!([null])),
    ];
    for (text, value) in table {
        assert_eq!(read(text), value, "{text}");
    }
}

#[test]
fn keys_become_strings_and_duplicates_are_told() {
    assert_eq!(read("1: a\ntrue: b\n"), json!({"1": "a", "true": "b"}));
    let document = parse("a: 1\nb: 2\na: 3\n").expect("YAML");
    assert_eq!(document.value, json!({"a": 3, "b": 2}));
    assert_eq!(document.strict_error().as_deref(), Some("yaml: unmarshal errors:\n  line 3: key \"a\" already set in map"));
}

#[test]
fn anchors_merges_and_many_documents() {
    assert_eq!(read("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\ne: *x\n"), json!({"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}, "e": {"b": 1, "c": 2}}));
    let all: Vec<Value> = documents("---\na: 1\n---\n# nothing\n---\nb: 2\n...\n").expect("YAML").into_iter().map(|d| d.value).collect();
    assert_eq!(all, [json!({"a": 1}), json!({"b": 2})]);
    let bomb: String = (0..40).map(|i| if i == 0 { "x0: &x0 [a]\n".to_owned() } else { format!("x{i}: &x{i} [*x{p}, *x{p}, *x{p}]\n", p = i - 1) }).collect();
    assert!(parse(&bomb).is_err());
    assert!(parse(&"[".repeat(100_000)).is_err());
    assert!(parse("a: b: c").expect_err("no YAML").to_string().starts_with("yaml: line 1"));
}

#[test]
fn an_object_prints_as_kubectl_prints_it() {
    let value = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"creationTimestamp": "2024-01-01T00:00:00Z", "labels": {"a10": "1", "a2": "x"}, "annotations": {"k": "{\"a\":1}\n"}},
        "spec": {"containers": [{"name": "c", "args": ["-c", "a\nb", ""], "ports": [{"containerPort": 80}], "resources": {}}], "list": [], "nested": [["a", "b"]], "yes": "yes", "number": "010", "nothing": null}});
    let expect = r#"apiVersion: v1
kind: Pod
metadata:
  annotations:
    k: |
      {"a":1}
  creationTimestamp: "2024-01-01T00:00:00Z"
  labels:
    a2: x
    a10: "1"
spec:
  containers:
  - args:
    - -c
    - |-
      a
      b
    - ""
    name: c
    ports:
    - containerPort: 80
    resources: {}
  list: []
  nested:
  - - a
    - b
  nothing: null
  number: "010"
  "yes": "yes"
"#;
    assert_eq!(write(&value), expect);
}

#[test]
fn strings_are_quoted_only_where_they_must_be() {
    let table = [
        ("true", "\"true\""), ("1", "\"1\""), ("1.5", "\"1.5\""), ("null", "\"null\""), ("~", "\"~\""), ("", "\"\""), ("2024-01-01", "\"2024-01-01\""), ("12:30", "\"12:30\""),
        ("a: b", "'a: b'"), ("a:b", "a:b"), ("a #b", "'a #b'"), ("a#b", "a#b"), ("- a", "'- a'"), ("-a", "-a"), ("*", "'*'"), ("'a'", "'''a'''"), ("{}", "'{}'"), ("a,b", "a,b"),
        (" a", "' a'"), ("a ", "'a '"), ("a\tb", "\"a\\tb\""), ("é", "é"), ("\u{1f600}", "\"\\U0001F600\""), ("a \nb", "\"a \\nb\""), ("---", "'---'"), ("\"a\"", "'\"a\"'"), ("@a", "'@a'"), ("a:", "'a:'"), ("=", "="), ("<<", "\"<<\""),
    ];
    for (text, expect) in table {
        assert_eq!(write(&json!(text)), format!("{expect}\n"), "{text:?}");
    }
}

#[test]
fn long_lines_fold_at_spaces() {
    let text = "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }. preemption: 0/1 nodes are available";
    let expect = "message: '0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready:\n  }. preemption: 0/1 nodes are available'\n";
    assert_eq!(write(&json!({"message": text})), expect);
}

mod laws {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[a-z:#\\- '\"\n\t0-9.{}\\[\\],&*!|>%@`~]{0,12}", "(true|no|010|1e5|null|2024-01-01|1:20|a +b| {3}[a-z ]{90,120})", "\\PC{0,8}"];
        let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from), text.prop_map(Value::from)];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from), proptest::collection::btree_map("[a-z0-9:# ]{1,6}", inner, 0..4).prop_map(|m| m.into_iter().collect::<Value>())]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in value()) {
            let text = write(&value);
            let back = parse(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
            prop_assert_eq!(&back.value, &value, "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            let _ = documents(&text);
        }
    }
}

#[test]
fn a_text_alone_reads_as_it_was_written() {
    for text in [" a\nb", "\n", "\na\n", "  a\n\n b\n", " \n ", "a\n b", "--- a\nb", &format!(" {}\nb", "word ".repeat(40))] {
        let value = json!(text);
        assert_eq!(read(&write(&value)), value, "{text:?} is written\n{}", write(&value));
        let inner = json!({"a": [text]});
        assert_eq!(read(&write(&inner)), inner, "{text:?} is written\n{}", write(&inner));
    }
}

/// Each alias is as deep as what it repeats: a few kilobytes could nest a million levels, which nothing can walk.
#[test]
fn aliases_are_bounded_in_depth_and_size() {
    let nested = |levels: usize, inner: &str| format!("{}{inner}{}", "[".repeat(levels), "]".repeat(levels));
    let chain = |links: usize| {
        let link = |n: usize| format!("a{n}: &a{n} {}\n", nested(60, &if n == 0 { "x".to_owned() } else { format!("*a{}", n - 1) }));
        (0..links).map(link).collect::<String>()
    };
    assert!(parse(&chain(2)).is_ok());
    let refused = |text: &str| parse(text).expect_err("refused").to_string();
    assert!(refused(&chain(3)).ends_with("exceeded max depth"), "{}", refused(&chain(3)));
    let repeated = |times: usize| format!("s: &s {}\nl: [{}]\n", "y".repeat(200_000), vec!["*s"; times].join(","));
    assert_eq!(read(&repeated(10))["l"].as_array().map(Vec::len), Some(10));
    assert_eq!(refused(&repeated(100)), "yaml: document contains excessive aliasing");
    // What is kept of anchors within anchors counts too.
    let within = format!("{}[{}]", (0..100).map(|n| format!("[&w{n} ")).collect::<String>(), vec!["1"; 50_000].join(",")) + &"]".repeat(100);
    assert_eq!(refused(&within), "yaml: document contains excessive aliasing");
}
