//! Tables and laws of `rbac`.

use super::*;
use cache::{Entry, Tables, Write};
use kinds::{Object, ObjectMeta, Revision};
use std::sync::Arc;

fn meta(ns: &str, name: &str) -> ObjectMeta {
    let ns = (!ns.is_empty()).then(|| ns.to_owned());
    ObjectMeta { name: Some(name.into()), namespace: ns, ..ObjectMeta::default() }
}

fn world(objects: Vec<Object>) -> Snapshot {
    let mut t = Tables::default();
    for (i, object) in objects.into_iter().enumerate() {
        let (key, resource, revision) = (object.key(), object.resource(), Revision(i as u64 + 1));
        let entry = Entry::new(key.clone(), object, Default::default(), revision);
        t.apply(Write { resource, key, revision, entry: Some(Arc::new(entry)) });
    }
    t.snapshot()
}

fn list(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|w| (*w).to_owned()).collect())
}

fn ask(verb: &str, resource: &str, ns: &str, name: &str) -> Attributes {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Attributes {
        verb: verb.into(),
        resource: resource.into(),
        subresource: subresource.into(),
        namespace: ns.into(),
        name: name.into(),
        is_resource: true,
        ..Attributes::default()
    }
}

fn reader() -> Snapshot {
    let rule = PolicyRule {
        api_groups: list(&[""]),
        resources: list(&["pods", "pods/log"]),
        verbs: vec!["get".into(), "list".into()],
        ..PolicyRule::default()
    };
    world(vec![
        Role { metadata: meta("a", "reader"), rules: Some(vec![rule]) }.into(),
        RoleBinding {
            metadata: meta("a", "b"),
            role_ref: RoleRef { api_group: Some("rbac.authorization.k8s.io".into()), kind: "Role".into(), name: "reader".into() },
            subjects: Some(vec![Subject { kind: "User".into(), name: "x".into(), ..Subject::default() }]),
        }
        .into(),
    ])
}

#[test]
fn a_role_allows_in_its_namespace_only() {
    let (world, user) = (reader(), User::new("x", &[]));
    for (attributes, allowed) in [
        (ask("get", "pods", "a", "p"), true),
        (ask("get", "pods/log", "a", "p"), true),
        (ask("get", "pods/exec", "a", "p"), false),
        (ask("create", "pods", "a", ""), false),
        (ask("get", "pods", "b", "p"), false),
        (ask("list", "pods", "", ""), false),
    ] {
        assert_eq!(authorize(&world, &user, &attributes).allowed, allowed, "{attributes:?}");
    }
    assert!(authorize(&world, &User::new("root", &[MASTERS]), &ask("delete", "nodes", "", "n")).allowed);
    assert_eq!(rules_for(&world, &user, "a").resource_rules.len(), 1);
}

#[test]
fn a_refusal_has_the_words_of_kubernetes() {
    let (world, user) = (reader(), User::new("x", &[]));
    let a = ask("list", "pods", "default", "");
    let e = forbidden(&user, &a, &authorize(&world, &user, &a));
    assert_eq!(
        e.message,
        "pods is forbidden: User \"x\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    let a = Attributes { verb: "get".into(), path: "/metrics".into(), ..Attributes::default() };
    assert_eq!(forbidden(&user, &a, &Verdict::default()).message, "forbidden: User \"x\" cannot get path \"/metrics\"");
}
