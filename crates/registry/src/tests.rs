//! The verbs over an in-memory disk.

use crate::list::{Continue, ListQuery};
use crate::*;
use kinds::api::core::v1::ConfigMap;
use kinds::{Kind, Object, ObjectKey, ObjectMeta, Patch, PatchKind, Resource, Target, WriteOptions};
use std::sync::Arc;
use store::{Embedded, MemoryDisk, Options};
use testkit::{FakeClock, FakeIds};

pub(crate) async fn open(disk: Arc<MemoryDisk>) -> Arc<Registry> {
    open_with(disk, None).await
}

/// What a server is told, with these networks for services.
pub(crate) fn settings(service_cidrs: &[&str], hooks: Option<Arc<dyn Hooks>>) -> Settings {
    let config = rules::Config {
        service_cidrs: service_cidrs.iter().map(|n| n.parse().expect("a network")).collect(),
        node_ports: (30_000, 32_767),
        cluster_domain: "cluster.local".into(),
        advertise_address: std::net::Ipv4Addr::LOCALHOST.into(),
        secure_port: 6443,
        plugins: rules::Plugins::default(),
        admission: rules::AdmissionSettings::default(),
    };
    Settings { config, gates: rules::Gates::default(), hooks }
}

pub(crate) async fn open_with(disk: Arc<MemoryDisk>, hooks: Option<Arc<dyn Hooks>>) -> Arc<Registry> {
    let engine = Embedded::open_on(disk, Options::default()).expect("opens");
    let (clock, ids) = (Arc::new(FakeClock::default()), Arc::new(FakeIds::default()));
    let (registry, follow) = Registry::open(Arc::new(engine), clock, ids, settings(&[], hooks)).await.expect("loads");
    tokio::spawn(follow);
    let namespace = kinds::api::core::v1::Namespace {
        metadata: ObjectMeta { name: Some("a".into()), ..ObjectMeta::default() },
        ..Default::default()
    };
    let target = Target::new(Kind::Namespace, ObjectKey::default());
    let made = registry.create(&caller(), &target, namespace.into(), &WriteOptions::default()).await;
    assert!(made.is_ok() || registry.get(&Kind::Namespace.into(), &ObjectKey::cluster("a")).is_ok());
    registry
}

fn map(name: &str, value: &str) -> Object {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.into()), namespace: Some("a".into()), ..ObjectMeta::default() },
        data: Some([("k".to_owned(), value.to_owned())].into()),
        ..ConfigMap::default()
    }
    .into()
}

fn target(name: &str) -> Target {
    Target::new(Kind::ConfigMap, ObjectKey::new("a", name))
}

pub(crate) fn caller() -> Caller {
    Caller::new("tester", &["system:masters"])
}

#[tokio::test]
async fn verbs_in_a_row() {
    let disk = Arc::new(MemoryDisk::default());
    let r = open(Arc::clone(&disk)).await;
    let options = WriteOptions::default();
    let made = r.create(&caller(), &target(""), map("x", "1"), &options).await.expect("created");
    assert!(made.entry.meta().uid.is_some() && codec::managed_fields(&made.entry.json).is_some());
    let again = r.create(&caller(), &target(""), map("x", "1"), &options).await.expect_err("exists");
    assert_eq!(again.message, "configmaps \"x\" already exists");

    let mut stale = map("x", "2");
    stale.meta_mut().resource_version = Some("1".into());
    let fresh = r.update(&caller(), &target("x"), map("x", "2"), &options).await.expect("unconditional");
    assert!(fresh.entry.revision > made.entry.revision);
    assert!(r.update(&caller(), &target("x"), stale, &options).await.expect_err("stale").is_conflict());

    let patch = Patch { kind: PatchKind::Merge, body: br#"{"data":{"l":"3"}}"#.to_vec() };
    let patched = r.patch(&caller(), &target("x"), &patch, &options).await.expect("patched");
    let same = r.patch(&caller(), &target("x"), &patch, &options).await.expect("patched");
    assert_eq!(patched.entry.revision, same.entry.revision, "a patch that changes nothing writes nothing");

    let json = patched.entry.json.clone();
    drop(r);
    let r = open(disk).await;
    assert_eq!(r.get(&Kind::ConfigMap.into(), &ObjectKey::new("a", "x")).expect("kept").json, json);
    r.delete(&caller(), &target("x"), &kinds::DeleteOptions::default()).await.expect("deleted");
    assert!(r.get(&Kind::ConfigMap.into(), &ObjectKey::new("a", "x")).expect_err("gone").is_not_found());
}

#[tokio::test]
async fn pages_show_one_revision() {
    let r = open(Arc::default()).await;
    for n in 0..5 {
        r.create(&caller(), &target(""), map(&format!("m{n}"), ""), &WriteOptions::default()).await.expect("created");
    }
    let query = ListQuery { namespace: "a".into(), limit: 2, ..ListQuery::default() };
    let first = r.list(&Kind::ConfigMap.into(), &query).expect("listed");
    r.create(&caller(), &target(""), map("m22", ""), &WriteOptions::default()).await.expect("created");
    let token = first.next.expect("more").encode();
    assert_eq!(first.remaining, Some(3));
    let page = Some(Continue::decode(&token).expect("our own token"));
    let rest = r.list(&Kind::ConfigMap.into(), &ListQuery { page, limit: 0, ..query }).expect("listed");
    let names: Vec<_> = rest.entries.iter().map(|e| e.key.name.as_str()).collect();
    assert_eq!(names, ["m2", "m3", "m4"]);
    assert_eq!(rest.revision, first.revision);
}

fn shown(listing: &Listing) -> Vec<(String, Option<String>)> {
    let value = |e: &cache::Entry| e.object().typed::<ConfigMap>().and_then(|c| c.data.as_ref()?.get("k").cloned());
    listing.entries.iter().map(|e| (e.key.to_string(), value(e))).collect()
}

/// The image rewinds as far as its journal reaches; a server that began later asks the store. Both must say the same.
#[tokio::test]
async fn every_revision_since_compaction_can_be_listed() {
    let disk: Arc<MemoryDisk> = Arc::default();
    let r = open(Arc::clone(&disk)).await;
    let (maps, options) = (Kind::ConfigMap.into(), WriteOptions::default());
    let space = kinds::api::core::v1::Namespace {
        metadata: ObjectMeta { name: Some("a-b".into()), ..ObjectMeta::default() },
        ..Default::default()
    };
    r.create(&caller(), &Target::new(Kind::Namespace, ObjectKey::default()), space.into(), &options).await.expect("created");
    let mut told = Vec::new();
    let mut tell = |r: &Registry| {
        let now = r.list(&maps, &ListQuery::default()).expect("listed");
        told.push((now.revision, shown(&now)));
    };
    tell(&r);
    for n in 0..7 {
        let namespace = if n % 2 == 0 { "a" } else { "a-b" };
        let mut object = map(&format!("m{n}"), "1");
        object.meta_mut().namespace = Some(namespace.into());
        object.meta_mut().labels = Some([("n".to_owned(), format!("{}", n % 3))].into());
        let target = Target::new(Kind::ConfigMap, ObjectKey::new(namespace, ""));
        r.create(&caller(), &target, object, &options).await.expect("created");
        tell(&r);
    }
    r.update(&caller(), &target("m2"), map("m2", "2"), &options).await.expect("updated");
    tell(&r);
    r.delete(&caller(), &target("m4"), &kinds::DeleteOptions::default()).await.expect("deleted");
    tell(&r);
    every_page(&r, &told).await;
    drop(r);

    let r = open(disk).await;
    every_page(&r, &told).await;
    r.compact(told[3].0).await.expect("compacts");
    every_page(&r, &told[3..]).await;
    let exact = |revision| ListQuery { revision: Some(revision), version_match: VersionMatch::Exact, ..ListQuery::default() };
    let e = r.list_at(&maps, &exact(told[1].0)).await.expect_err("compacted");
    assert_eq!((e.code, e.message.as_str()), (410, "The resourceVersion for the provided list is too old."));
    let page = Some(Continue::behind(told[1].0, &ObjectKey::new("a", "m0"), ""));
    let e = r.list_at(&maps, &ListQuery { page, limit: 2, ..ListQuery::default() }).await.expect_err("compacted");
    let page = Some(Continue::decode(&e.resume.expect("a token for the rest")).expect("ours"));
    let rest = r.list_at(&maps, &ListQuery { page, limit: 2, ..ListQuery::default() }).await.expect("listed");
    assert_eq!(shown(&rest).iter().map(|(k, _)| k.as_str()).collect::<Vec<_>>(), ["a/m2", "a/m6"]);
    assert_eq!(r.list_at(&maps, &exact(kinds::Revision(10_000))).await.expect_err("not yet").code, 504);
}

/// Every revision as it was told, at once, in pages, and by a selector.
async fn every_page(r: &Registry, told: &[(kinds::Revision, Vec<(String, Option<String>)>)]) {
    let maps = Kind::ConfigMap.into();
    for (revision, expected) in told {
        let exact = ListQuery { revision: Some(*revision), version_match: VersionMatch::Exact, ..ListQuery::default() };
        let listing = r.list_at(&maps, &exact).await.expect("kept");
        assert_eq!((shown(&listing), listing.revision), (expected.clone(), *revision));
        let labels = kinds::Selector::parse("n=0").expect("valid");
        let some = r.list_at(&maps, &ListQuery { labels, ..exact.clone() }).await.expect("kept");
        assert!(shown(&some).iter().all(|x| expected.contains(x)));
        let spaced = r.list_at(&maps, &ListQuery { namespace: "a".into(), ..exact.clone() }).await.expect("kept");
        assert_eq!(shown(&spaced), expected.iter().filter(|(k, _)| k.starts_with("a/")).cloned().collect::<Vec<_>>());
        // A limit beside a version means that version exactly.
        let (mut pages, mut query) = (Vec::new(), ListQuery { limit: 2, version_match: VersionMatch::Unset, ..exact });
        loop {
            let page = r.list_at(&maps, &query).await.expect("kept");
            pages.extend(shown(&page));
            assert_eq!(page.remaining.unwrap_or_default(), expected.len() - pages.len());
            let Some(next) = page.next else { break };
            query = ListQuery { page: Some(next), revision: None, ..query };
        }
        assert_eq!(&pages, expected);
    }
}

#[test]
fn continue_tokens_are_kube_apiservers() {
    let token = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NDg5LCJzdGFydCI6ImMxXHUwMDAwIn0";
    let read = Continue::decode(token).expect("its own");
    assert_eq!((read.revision, read.after(true, "a")), (kinds::Revision(489), ObjectKey::new("a", "c1")));
    assert_eq!(read.encode(), token);
    let all = Continue::behind(kinds::Revision(7), &ObjectKey::new("a", "b"), "");
    assert_eq!(Continue::decode(&all.encode()).expect("ours").after(true, ""), ObjectKey::new("a", "b"));
    let cluster = Continue::behind(kinds::Revision::ZERO, &ObjectKey::cluster("n"), "");
    assert_eq!(Continue::decode(&cluster.encode()).expect("ours").after(false, ""), ObjectKey::cluster("n"));
    for (token, why) in [
        ("abc", "invalid character 'i' looking for beginning of value"),
        ("%", "illegal base64 data at input byte 0"),
        ("e30", "server does not recognize this encoded version "),
        ("eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ", "incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
        ("eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MX0", "encoded start key empty (version meta.k8s.io/v1)"),
    ] {
        let e = Continue::decode(token).expect_err(token);
        assert_eq!(e.message, format!("invalid continue token: continue key is not valid: {why}"));
    }
}

#[tokio::test]
async fn a_watch_sees_what_its_selector_sees() {
    let r = open(Arc::default()).await;
    let mut query = WatchQuery { from: Some(r.snapshot().revision()), ..WatchQuery::default() };
    query.list.labels = kinds::Selector::parse("app=web").expect("valid");
    let mut watch = r.watch(&Kind::ConfigMap.into(), &query).expect("starts");
    let mut object = map("x", "1");
    r.create(&caller(), &target(""), map("y", ""), &WriteOptions::default()).await.expect("created");
    r.create(&caller(), &target(""), object.clone(), &WriteOptions::default()).await.expect("created");
    object.meta_mut().labels = Some([("app".to_owned(), "web".to_owned())].into());
    r.update(&caller(), &target("x"), object.clone(), &WriteOptions::default()).await.expect("updated");
    object.meta_mut().labels = None;
    let left = r.update(&caller(), &target("x"), object, &WriteOptions::default()).await.expect("updated");
    assert!(matches!(watch.next().await.expect("event"), WatchEvent::Added(e) if e.key.name == "x"));
    let WatchEvent::Deleted { revision, json, .. } = watch.next().await.expect("event") else { panic!("left") };
    assert_eq!(revision, left.entry.revision);
    let text = String::from_utf8(json.to_vec()).expect("UTF-8");
    assert!(text.contains(&format!("\"resourceVersion\":\"{revision}\"")) && text.contains("\"app\":\"web\""));
}

#[tokio::test]
async fn binding_sets_the_node() {
    use kinds::api::core::v1::{Binding, Container, ObjectReference, Pod, PodSpec};
    let r = open(Arc::default()).await;
    let pod = Pod {
        metadata: ObjectMeta { name: Some("p".into()), namespace: Some("a".into()), ..ObjectMeta::default() },
        spec: Some(PodSpec {
            containers: vec![Container { name: "c".into(), image: Some("i".into()), ..Container::default() }],
            automount_service_account_token: Some(false),
            ..PodSpec::default()
        }),
        ..Pod::default()
    };
    let account = kinds::api::core::v1::ServiceAccount {
        metadata: ObjectMeta { name: Some("default".into()), namespace: Some("a".into()), ..ObjectMeta::default() },
        ..Default::default()
    };
    let accounts = Target::new(Kind::ServiceAccount, ObjectKey::new("a", ""));
    r.create(&caller(), &accounts, account.into(), &WriteOptions::default()).await.expect("created");
    let pods = Target::new(Kind::Pod, ObjectKey::new("a", ""));
    r.create(&caller(), &pods, pod.into(), &WriteOptions::default()).await.expect("created");
    let binding = Binding {
        target: ObjectReference { name: Some("n1".into()), ..ObjectReference::default() },
        ..Binding::default()
    };
    let key = ObjectKey::new("a", "p");
    r.bind(&caller(), &key, &binding, &WriteOptions::default()).await.expect("bound");
    assert_eq!(r.snapshot().pods_on("n1").count(), 1);
    let again = r.bind(&caller(), &key, &binding, &WriteOptions::default()).await.expect_err("bound already");
    assert!(again.message.ends_with("pod p is already assigned to node \"n1\""), "{again}");
}

/// `events.k8s.io/v1` Events are stored as core ones; a patch means the fields of the version that it came in.
#[tokio::test]
async fn views_are_patched_as_they_are_spoken() {
    let r = open(Arc::new(MemoryDisk::default())).await;
    let options = WriteOptions { field_manager: "tester".into(), ..WriteOptions::default() };
    let event = kinds::api::core::v1::Event {
        metadata: ObjectMeta { name: Some("e".into()), namespace: Some("a".into()), ..ObjectMeta::default() },
        involved_object: kinds::api::core::v1::ObjectReference { namespace: Some("a".into()), ..Default::default() },
        message: Some("before".into()),
        ..Default::default()
    };
    let target = Target::new(Kind::Event, ObjectKey::new("a", "e"));
    let at = Target::new(Kind::Event, ObjectKey::new("a", ""));
    r.create(&caller(), &at, event.into(), &options).await.expect("created");
    let asked = Asked { spoken: Resource::Builtin(Kind::EventsEvent), validation: FieldValidation::Strict };
    for (kind, note, body) in [
        (PatchKind::Merge, "merged", r#"{"note":"merged"}"#),
        (PatchKind::Strategic, "strategic", r#"{"note":"strategic"}"#),
        (PatchKind::Json, "json", r#"[{"op":"replace","path":"/note","value":"json"}]"#),
    ] {
        let patch = Patch { kind, body: body.into() };
        let patched = r.patch_checked(&caller(), &target, &patch, &options, &asked).await.expect(note);
        let Object::Event(e) = patched.entry.object() else { panic!("an Event is stored") };
        assert_eq!(e.message.as_deref(), Some(note));
    }
    let body = br#"{"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":"e","labels":{"x":"y"}}}"#.to_vec();
    let patch = Patch { kind: PatchKind::Apply, body };
    let applied = r.patch_checked(&caller(), &target, &patch, &options, &asked).await.expect("applied");
    assert_eq!(applied.entry.meta().labels.as_ref().and_then(|l| l.get("x")).map(String::as_str), Some("y"));
}
