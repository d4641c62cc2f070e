//! Background, foreground and orphan deletion, and owners that are not.

use super::*;
use crate::harness::Harness;
use kinds::api::core::v1::ConfigMap;
use kinds::owner::controller_ref;
use kinds::{DeleteOptions, ObjectKey, OwnerReference, Target};
use testkit::build::meta;

fn map(name: &str, owners: Vec<OwnerReference>) -> ConfigMap {
    let mut metadata = meta("default", name);
    metadata.owner_references = (!owners.is_empty()).then_some(owners);
    ConfigMap { metadata, ..ConfigMap::default() }
}

fn delete(h: &Harness, name: &str, how: &str) {
    let options = DeleteOptions { propagation_policy: Some(how.to_owned()), ..DeleteOptions::default() };
    h.world.delete(&Target::new(Kind::ConfigMap, ObjectKey::new("default", name)), &options).expect("deleted");
}

fn names(h: &Harness) -> Vec<String> {
    h.world.all::<ConfigMap>().iter().filter_map(|m| m.metadata.name.clone()).collect()
}

/// a <- b <- c, and d owned by both a and e.
fn family() -> Harness {
    let h = Harness::new(&[&CONTROLLER]);
    let a = h.world.given(map("a", vec![]));
    let b = h.world.given(map("b", vec![controller_ref(&*a)]));
    h.world.given(map("c", vec![controller_ref(&*b)]));
    let e = h.world.given(map("e", vec![]));
    let second = OwnerReference { controller: None, ..controller_ref(&*e) };
    h.world.given(map("d", vec![controller_ref(&*a), second]));
    h
}

#[test]
fn background_takes_the_line_and_spares_the_shared() {
    let mut h = family();
    h.settle();
    assert_eq!(names(&h).len(), 5, "nothing to do while owners exist");
    delete(&h, "a", "Background");
    h.settle();
    assert_eq!(names(&h), ["d", "e"]);
    assert_eq!(h.world.get::<ConfigMap>("default", "d").metadata.owner_references.as_ref().map(Vec::len), Some(1));
}

#[test]
fn foreground_waits_for_what_blocks() {
    let mut h = family();
    h.world.edit::<ConfigMap>("default", "c", |c| c.metadata.finalizers = Some(vec!["test/hold".to_owned()]));
    delete(&h, "a", "Foreground");
    h.settle();
    assert_eq!(names(&h), ["a", "b", "c", "d", "e"], "c is held, so b and a wait");
    h.world.edit::<ConfigMap>("default", "c", |c| c.metadata.finalizers = None);
    h.world.erase::<ConfigMap>("default", "c");
    h.settle();
    assert_eq!(names(&h), ["d", "e"]);
}

#[test]
fn orphans_are_let_go() {
    let mut h = family();
    delete(&h, "a", "Orphan");
    h.settle();
    assert_eq!(names(&h), ["b", "c", "d", "e"]);
    assert!(h.world.get::<ConfigMap>("default", "b").metadata.owner_references.is_none());
}

#[test]
fn another_uid_is_another_owner_and_unknown_kinds_delete_nothing() {
    let mut h = Harness::new(&[&CONTROLLER]);
    let a = h.world.given(map("a", vec![]));
    let stale = OwnerReference { uid: "gone".to_owned(), ..controller_ref(&*a) };
    h.world.given(map("b", vec![stale]));
    let unknown = OwnerReference { api_version: "x.io/v1".into(), kind: "X".into(), name: "x".into(), ..controller_ref(&*a) };
    h.world.given(map("c", vec![unknown]));
    h.settle();
    assert_eq!(names(&h), ["a", "c"]);
}

#[test]
fn a_change_wakes_owners_and_dependents() {
    let h = family();
    let before = h.world.changes().len();
    delete(&h, "a", "Background");
    let change = &h.world.changes()[before];
    let woken: Vec<String> = wakes(change, &h.world.snapshot()).into_iter().map(|s| s.key.name).collect();
    assert_eq!(woken, ["b", "d"]);
}
