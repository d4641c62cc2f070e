//! Results add up over runs, and the table says what the ledger knows.

use super::ledger::{Ledger, placed};
use super::report::{self, Outcome};
use super::{only, quoted};
use serde_json::json;

fn spec(outer: &str, name: &str, state: &str, labels: &[&str]) -> serde_json::Value {
    json!({"LeafNodeType": "It", "ContainerHierarchyTexts": [outer], "LeafNodeText": name, "State": state,
        "ContainerHierarchyLabels": [[]], "LeafNodeLabels": labels})
}

#[test]
fn only_conformance_tests_count() {
    let report = json!([{"SpecReports": [
        spec("[sig-a] X", "works [Conformance]", "passed", &["Conformance"]),
        spec("[sig-a] X", "breaks [Conformance]", "timedout", &["Slow", "Conformance"]),
        spec("[sig-b] Y", "rests [Conformance]", "skipped", &["Conformance"]),
        spec("[sig-b] Y", "something else", "failed", &[]),
        {"LeafNodeType": "AfterSuite", "State": "passed"},
    ]}]);
    let results = report::parse(&report).expect("a report");
    let said: Vec<_> = results.values().copied().collect();
    assert_eq!(said, [Outcome::Failed, Outcome::Passed, Outcome::NotRun]);
    assert_eq!(report::said(&results), "1 passed, 1 failed\n  failed [sig-a] X breaks [Conformance]");
}

#[test]
fn a_run_overrides_what_it_ran() {
    let mut ledger = Ledger::parse("failed\t[sig-a] one\npassed\t[sig-a] two\n-\t[sig-b] three\npassed\t[sig-b] gone\n").expect("lines");
    let run = [("[sig-a] one", Outcome::Passed), ("[sig-a] two", Outcome::NotRun), ("[sig-b] three", Outcome::Failed)];
    ledger.take(&run.into_iter().map(|(n, o)| (n.to_owned(), o)).collect());
    assert_eq!(ledger.text(), "passed\t[sig-a] one\npassed\t[sig-a] two\nfailed\t[sig-b] three\n");
    let table = ledger.table();
    assert!(table.contains("| sig-a | 2 | 2 | 0 | 0 |\n| sig-b | 1 | 0 | 1 | 0 |\n| all | 3 | 2 | 1 | 0 |"), "{table}");
    assert!(table.ends_with("Failed:\n- [sig-b] three\n"), "{table}");
}

#[test]
fn the_table_goes_between_its_markers() {
    let text = "a\n<!-- conformance: made by `cargo xtask conformance` -->\nold\n<!-- conformance: end -->\nb\n";
    assert_eq!(placed(text, "", "new\n").expect("markers"), text.replace("old", "new"));
    assert!(placed(text, " on etcd", "new").is_err());
}

#[test]
fn listed_names_are_matched_as_they_are() {
    assert_eq!(quoted("[a] (b).c"), r"\[a\] \(b\)\.c");
    assert_eq!(only("a.b\n\nc\n"), r"(a\.b|c)$");
    assert_eq!(only("\n"), "");
}
