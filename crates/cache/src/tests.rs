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
    let entry = Entry::new(key.clone(), object, Bytes::from_static(b"{}"), Revision(rev));
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

#[test]
fn a_table_as_it_stood_before_changes() {
    let mut t = Tables::default();
    t.apply(pod("a", "x", "n1", 1));
    t.apply(pod("a", "y", "n1", 2));
    let then = t.snapshot();
    let gone = |name: &str, n| Write { entry: None, revision: Revision(n), ..pod("a", name, "", n) };
    let writes = [pod("a", "x", "n2", 3), gone("y", 4), pod("a", "z", "", 5), pod("a", "y", "n3", 6), gone("x", 7)];
    let changes: Vec<_> = writes.into_iter().filter_map(|w| t.apply(w)).map(Arc::new).collect();
    let shown = |table: &Table| table.iter().map(|e| (e.key.to_string(), e.revision)).collect::<Vec<_>>();
    let (now, pods) = (t.snapshot(), Kind::Pod.into());
    let now = now.table(&pods).expect("pods");
    assert_eq!(shown(&now.before(&changes)), shown(then.table(&pods).expect("pods")));
    let after_four = changes.split_at(2).1;
    assert_eq!(shown(&now.before(after_four)), [("a/x".to_owned(), Revision(3))]);
}

/// Keys are ordered as their text is, because the store's are.
#[test]
fn keys_are_ordered_as_they_are_written() {
    let names = ["", "a", "a-", "a-b", "a.b", "a0", "ab", "b"];
    let keys = names.into_iter().flat_map(|ns| names.into_iter().map(move |n| ObjectKey::new(ns, n)));
    let keys: Vec<_> = keys.filter(|k| !k.namespace.is_empty()).collect();
    for a in &keys {
        for b in &keys {
            assert_eq!(a.cmp(b), a.to_string().cmp(&b.to_string()), "{a} {b}");
        }
    }
}

#[test]
fn ranges_keep_to_their_namespace_and_marks_pass_over_nothing_that_matches() {
    let mut t = Tables::default();
    let names = [("a", "x"), ("a", "y"), ("a-b", "x"), ("b", "x")];
    for (n, (ns, name)) in names.into_iter().enumerate() {
        let mut write = pod(ns, name, "", n as u64 + 1);
        let entry = write.entry.take().expect("a put");
        let mut object = entry.object().clone();
        let labels = [("app".to_owned(), name.to_owned()), ("n".to_owned(), n.to_string())];
        object.meta_mut().labels = Some(labels.into());
        let entry = Entry::new(entry.key.clone(), object, entry.json.clone(), entry.revision);
        t.apply(Write { entry: Some(Arc::new(entry)), ..write });
    }
    let snapshot = t.snapshot();
    let table = snapshot.table(&Kind::Pod.into()).expect("pods");
    let keys = |ns: &str, after: Option<&ObjectKey>| table.range(ns, after).map(|e| e.key.to_string()).collect::<Vec<_>>();
    assert_eq!(keys("a", None), ["a/x", "a/y"]);
    assert_eq!(keys("a", Some(&ObjectKey::new("a", "x"))), ["a/y"]);
    assert_eq!(keys("a", Some(&ObjectKey::new("b", "x"))), Vec::<String>::new());
    assert_eq!(keys("", None), ["a-b/x", "a/x", "a/y", "b/x"]);
    assert_eq!(keys("", Some(&ObjectKey::new("a", "y"))), ["b/x"]);
    for (text, count) in [("app=x", 3), ("app=y,n=1", 1), ("n in (0,1)", 2), ("!app", 0), ("app!=x", 1), ("", 4)] {
        let selector = kinds::Selector::parse(text).expect("a selector");
        let found = table.marked("", None, Marks::demanded(&selector));
        let found = found.filter(|e| selector.matches(e.meta().labels.as_ref())).count();
        assert_eq!(found, count, "{text}");
    }
}

fn decoded_again(_: &Resource, json: &Bytes) -> Object {
    let name = String::from_utf8(json.to_vec()).expect("a name");
    Pod { metadata: ObjectMeta { name: Some(name), ..ObjectMeta::default() }, ..Pod::default() }.into()
}

/// What nobody read between two rounds gives up its object, in tables and journals alike; who asks later sees the same.
#[test]
fn objects_that_rest_are_let_go_and_come_back() {
    let (mut t, mut journal) = (Tables::default(), Journal::new(Revision::ZERO));
    let resource: Resource = Kind::Pod.into();
    for (name, n) in [("read", 1), ("resting", 2)] {
        let object = decoded_again(&resource, &Bytes::from(name));
        let entry = Entry::new(ObjectKey::new("", name), object, Bytes::from(name), Revision(n)).decoded_by(resource.clone(), decoded_again);
        let write = Write { resource: resource.clone(), key: entry.key.clone(), revision: Revision(n), entry: Some(Arc::new(entry)) };
        journal.push(Arc::new(t.apply(write).expect("a change")));
    }
    let round = |t: &mut Tables, journal: &mut Journal| {
        let mut round = Cooling::new();
        t.cool(&resource, &mut round);
        journal.cool(&mut round);
        round.dropped()
    };
    let key = ObjectKey::new("", "read");
    assert_eq!(round(&mut t, &mut journal), 0, "both were read when they were applied");
    assert_eq!(t.snapshot().entry(&resource, &key).expect("there").meta().name.as_deref(), Some("read"));
    assert_eq!(round(&mut t, &mut journal), 1);
    let now = t.snapshot();
    let shown: Vec<_> = now.table(&resource).expect("pods").iter().map(|e| (e.key.name.clone(), e.is_decoded())).collect();
    assert_eq!(shown, [("read".to_owned(), true), ("resting".to_owned(), false)]);
    let changes = journal.after(Revision::ZERO, 9).expect("all");
    let resting = changes[1].new.as_ref().expect("a side");
    assert!(!resting.is_decoded() && Arc::ptr_eq(resting, now.entry(&resource, &resting.key).expect("there")));
    assert_eq!(resting.meta().name.as_deref(), Some("resting"));
    assert!(resting.is_decoded());
    assert_eq!(round(&mut t, &mut journal), 1, "what was read stays, what rests goes");
}
