//! Tables and laws of `src`.

use crate::*;
use bytes::Bytes;
use kinds::api::core::v1::{Pod, PodSpec};
use kinds::{Kind, Object, ObjectKey, ObjectMeta, Resource, Revision};
use std::sync::Arc;

fn pod(ns: &str, name: &str, node: &str, rev: u64) -> Write {
    let object = Object::from(Pod {
        metadata: ObjectMeta { name: Some(name.into()), namespace: Some(ns.into()), ..Default::default() },
        spec: Some(PodSpec { node_name: Some(node.into()), ..Default::default() }),
        ..Default::default()
    });
    let key = object.key();
    let entry = Entry { key: key.clone(), object, json: Bytes::from_static(b"{}"), revision: Revision(rev) };
    Write { resource: Kind::Pod.into(), key, revision: Revision(rev), entry: Some(Arc::new(entry)) }
}

#[test]
fn snapshots_do_not_change_and_indexes_follow() {
    let mut t = Tables::default();
    t.apply(pod("a", "x", "n1", 1));
    let before = t.snapshot();
    t.apply(pod("a", "x", "n2", 2));
    t.apply(pod("b", "y", "n2", 3));
    let after = t.snapshot();
    assert_eq!(before.pods_on("n1").count(), 1);
    assert_eq!((after.pods_on("n1").count(), after.pods_on("n2").count()), (0, 2));
    assert_eq!(after.list::<Pod>("a").count(), 1);
    assert_eq!(after.list::<Pod>("").count(), 2);
    let gone = Write { entry: None, revision: Revision(4), ..pod("a", "x", "", 4) };
    assert!(t.apply(gone).expect("was there").new.is_none());
    assert_eq!(t.snapshot().pods_on("n2").count(), 1);
    t.audit().expect("sound");
}

#[test]
fn the_journal_tells_what_it_lost() {
    let (mut t, mut j) = (Tables::default(), Journal::new(Revision(0)));
    for n in 1..=5 {
        j.push(Arc::new(t.apply(pod("a", &format!("p{n}"), "", n)).expect("new")));
    }
    assert_eq!(j.after(Revision(2), 10).expect("known").len(), 3);
    assert_eq!(j.after(Revision(0), 2).expect("known").len(), 2);
    j.forget(Revision(3));
    assert_eq!(j.after(Revision(2), 10).unwrap_err(), Lost { complete_after: Revision(3) });
    assert_eq!(j.after(Revision(3), 10).expect("known").len(), 2);
    assert_eq!(Resource::from(Kind::Pod).to_string(), "pods");
    assert_eq!(ObjectKey::new("a", "b").to_string(), "a/b");
}
