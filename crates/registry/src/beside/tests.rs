//! Two servers over one store decide at the same time, and nothing is given away twice.

use crate::masters::Master;
use crate::presence::Presence;
use crate::repair::Leaks;
use crate::{Caller, Registry};
use base::{Clock, Ids};
use bytes::Bytes;
use futures_util::future::join_all;
use kinds::api::core::v1::{ConfigMap, Endpoints, Namespace, ResourceQuota, ResourceQuotaSpec, Service, ServicePort, ServiceSpec};
use kinds::api::coordination::v1::Lease;
use kinds::api::networking::v1::IPAddress;
use kinds::{ApiError, DeleteOptions, Kind, Object, ObjectKey, ObjectMeta, QuantityText, Target, WriteOptions};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::{
    Committed, CommitError, Embedded, Engine, Feed, FeedError, Fut, KeyValue, MemoryDisk, Op, Options, RangeError, RangeRequest,
    RangeResult, Revision, Txn, WatchRequest,
};
use testkit::FakeClock;

/// One store for several servers: what a writer hands along does not reach the others.
struct Common(Embedded);

impl Engine for Common {
    fn commit(&self, mut txn: Txn) -> Fut<'_, Result<Committed, CommitError>> {
        for op in &mut txn.ops {
            if let Op::Put { companion, .. } = &mut op.op {
                *companion = None;
            }
        }
        self.0.commit(txn)
    }
    fn get(&self, key: Bytes, at: Option<Revision>) -> Fut<'_, Result<Option<KeyValue>, RangeError>> {
        self.0.get(key, at)
    }
    fn range(&self, request: RangeRequest) -> Fut<'_, Result<RangeResult, RangeError>> {
        self.0.range(request)
    }
    fn watch(&self, request: WatchRequest) -> Result<Box<dyn Feed>, FeedError> {
        self.0.watch(request)
    }
    fn compact(&self, to: Revision) -> Fut<'_, Result<(), RangeError>> {
        self.0.compact(to)
    }
    fn revision(&self) -> Revision {
        self.0.revision()
    }
    fn latest(&self) -> Fut<'_, Result<Revision, RangeError>> {
        self.0.latest()
    }
    fn compacted(&self) -> Revision {
        self.0.compacted()
    }
    fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }
    fn expires(&self) -> bool {
        true
    }
    fn close(&self) -> Fut<'_, ()> {
        self.0.close()
    }
}

/// Both servers draw the same numbers: they want the same address and port in the same instant.
#[derive(Default)]
struct Alike(AtomicU64);
impl Ids for Alike {
    fn uid(&self) -> String {
        format!("00000000-0000-4000-8000-{:012}", self.0.fetch_add(1, Ordering::Relaxed))
    }
    fn below(&self, _: u64) -> u64 {
        0
    }
}

async fn server(engine: &Arc<Common>, clock: &Arc<FakeClock>) -> Arc<Registry> {
    let settings = crate::tests::settings(&["10.96.0.0/16"], None);
    let engine: Arc<dyn Engine> = Arc::clone(engine) as _;
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    let (registry, follow) = Registry::open(engine, clock, Arc::new(Alike::default()), settings).await.expect("loads");
    tokio::spawn(follow);
    registry
}

async fn pair() -> (Arc<Common>, Arc<FakeClock>, [Arc<Registry>; 2]) {
    let engine = Arc::new(Common(Embedded::open_on(Arc::new(MemoryDisk::default()), Options::default()).expect("opens")));
    let clock = Arc::new(FakeClock::default());
    let servers = [server(&engine, &clock).await, server(&engine, &clock).await];
    for name in ["a", "default", "kube-system"] {
        let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
        create(&servers[0], Kind::Namespace, "", Namespace { metadata, ..Namespace::default() }).await.expect("a namespace");
    }
    servers[1].catch_up().await.expect("the store answers");
    (engine, clock, servers)
}

fn caller() -> Caller {
    Caller::new("me", &["system:masters"])
}

async fn create(registry: &Registry, kind: Kind, namespace: &str, object: impl Into<Object>) -> Result<Object, ApiError> {
    let target = Target::new(kind, ObjectKey::new(namespace, ""));
    let answer = registry.create(&caller(), &target, object.into(), &WriteOptions::default()).await?;
    Ok(answer.entry.object().clone())
}

fn meta(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.into()), namespace: Some("a".into()), ..ObjectMeta::default() }
}

fn service(name: &str, ip: Option<&str>, port: Option<i32>) -> Service {
    let ports = vec![ServicePort { port: 80, node_port: port, ..ServicePort::default() }];
    let spec = ServiceSpec { type_: Some("NodePort".into()), cluster_ip: ip.map(Into::into), ports: Some(ports), ..ServiceSpec::default() };
    Service { metadata: meta(name), spec: Some(spec), ..Service::default() }
}

async fn delete(registry: &Registry, name: &str) {
    let target = Target::new(Kind::Service, ObjectKey::new("a", name));
    registry.delete(&caller(), &target, &DeleteOptions::default()).await.expect("deleted");
}

#[tokio::test]
async fn addresses_and_ports_are_given_away_once() {
    let (_engine, _clock, servers) = pair().await;
    let names: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
    let made = names.iter().enumerate().map(|(n, name)| create(&servers[n % 2], Kind::Service, "a", service(name, None, None)));
    let made: Vec<Object> = join_all(made).await.into_iter().collect::<Result<_, _>>().expect("all created");
    let all: Vec<&Arc<Service>> = made.iter().map(|o| o.typed::<Service>().expect("a service")).collect();
    let ips: BTreeSet<_> = all.iter().flat_map(|s| super::addresses(s)).collect();
    let ports: BTreeSet<_> = all.iter().flat_map(|s| super::node_ports(s)).collect();
    assert_eq!((ips.len(), ports.len()), (20, 20));
    servers[0].catch_up().await.expect("the store answers");
    let snapshot = servers[0].snapshot();
    let held: BTreeSet<_> = snapshot.list::<IPAddress>("").filter_map(|a| a.metadata.name.as_ref()?.parse().ok()).collect();
    assert_eq!(held, ips);
    let (record, _) = servers[1].port_record().await.expect("readable");
    assert_eq!(record.taken().collect::<BTreeSet<_>>(), ports);
    for (n, name) in names.iter().enumerate() {
        servers[n % 2].catch_up().await.expect("the store answers");
        delete(&servers[n % 2], name).await;
    }
    servers[0].catch_up().await.expect("the store answers");
    assert_eq!(servers[0].snapshot().list::<IPAddress>("").count(), 0);
    assert_eq!(servers[0].port_record().await.expect("readable").0.taken().count(), 0);
}

#[tokio::test]
async fn of_two_who_ask_for_the_same_one_gets_it() {
    let (_engine, _clock, servers) = pair().await;
    let ask = |n: usize, name: &'static str| create(&servers[n], Kind::Service, "a", service(name, Some("10.96.0.9"), None));
    let (x, y) = tokio::join!(ask(0, "x"), ask(1, "y"));
    let refused = x.and(y).expect_err("one address");
    assert!(refused.message.contains("failed to allocate IP 10.96.0.9: provided IP is already allocated"), "{}", refused.message);
    let ask = |n: usize, name: &'static str| create(&servers[n], Kind::Service, "a", service(name, None, Some(30_500)));
    let (x, y) = tokio::join!(ask(0, "p"), ask(1, "q"));
    let refused = x.and(y).expect_err("one port");
    assert!(refused.message.contains("provided port is already allocated"), "{}", refused.message);
}

#[tokio::test]
async fn a_quota_is_not_exceeded_by_two() {
    let (_engine, _clock, servers) = pair().await;
    let hard = [("configmaps".to_owned(), QuantityText("5".into()))].into();
    let quota = ResourceQuota { metadata: meta("q"), spec: Some(ResourceQuotaSpec { hard: Some(hard), ..Default::default() }), status: None };
    create(&servers[0], Kind::ResourceQuota, "a", quota).await.expect("a quota");
    servers[1].catch_up().await.expect("the store answers");
    let all = (0..16).map(|n| create(&servers[n % 2], Kind::ConfigMap, "a", ConfigMap { metadata: meta(&format!("m{n}")), ..ConfigMap::default() }));
    let (made, refused): (Vec<_>, Vec<_>) = join_all(all).await.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (5, 11));
    let texts: BTreeSet<String> = refused.into_iter().filter_map(Result::err).map(|e| e.message).collect();
    assert!(texts.iter().all(|t| t.contains("exceeded quota: q, requested: configmaps=1, used: configmaps=5, limited: configmaps=5")), "{texts:?}");
    servers[0].catch_up().await.expect("the store answers");
    let held = servers[0].snapshot().get::<ResourceQuota>("a", "q").and_then(|q| q.status.clone()).and_then(|s| s.used);
    assert_eq!(held.and_then(|u| u.get("configmaps").cloned()), Some(QuantityText("5".into())));
}

#[tokio::test]
async fn what_got_lost_is_mended() {
    let (engine, clock, servers) = pair().await;
    let r = &servers[0];
    create(r, Kind::Service, "a", service("s", Some("10.96.0.9"), Some(30_001))).await.expect("created");
    // A server that came between its two writes, and a store from before there were records.
    let (mut record, expect) = r.port_record().await.expect("readable");
    record.release(30_001);
    record.take(30_002);
    engine.commit(Txn::put(crate::ports::KEY, record.encode(), expect)).await.expect("written");
    let lost = r.address_op("10.96.0.77".parse().expect("an address"), &ObjectKey::new("a", "nobody")).expect("encodes");
    engine.commit(Txn { ops: vec![lost] }).await.expect("written");
    engine.commit(Txn::delete("/registry/ipaddresses/10.96.0.9", store::Expect::Any)).await.expect("gone");
    clock.advance(Duration::from_secs(120));
    let mut leaks = Leaks::default();
    for round in 1..=3 {
        r.repair_allocations(&mut leaks).await.expect("mended");
        let taken: Vec<u16> = r.port_record().await.expect("readable").0.taken().collect();
        assert_eq!(taken, if round < 3 { vec![30_001, 30_002] } else { vec![30_001] });
    }
    r.catch_up().await.expect("the store answers");
    let names: Vec<_> = r.snapshot().list::<IPAddress>("").filter_map(|a| a.metadata.name.clone()).collect();
    assert_eq!(names, ["10.96.0.9"]);
}

#[tokio::test]
async fn the_record_of_another_range_is_made_anew() {
    let (engine, _clock, servers) = pair().await;
    create(&servers[0], Kind::Service, "a", service("s", None, Some(30_500))).await.expect("created");
    let mut theirs = crate::ports::Record::new((20_000, 40_000));
    theirs.take(25_000);
    engine.commit(Txn::put(crate::ports::KEY, theirs.encode(), store::Expect::Any)).await.expect("written");
    let again = create(&servers[1], Kind::Service, "a", service("t", None, Some(30_500))).await.expect_err("taken");
    assert!(again.message.contains("provided port is already allocated"), "{}", again.message);
    create(&servers[1], Kind::Service, "a", service("t", None, Some(30_501))).await.expect("created");
    let (record, _) = servers[0].port_record().await.expect("readable");
    assert_eq!(record.taken().collect::<Vec<_>>(), [30_500, 30_501]);
}

#[tokio::test]
async fn every_living_server_is_an_endpoint() {
    let (_engine, _clock, servers) = pair().await;
    let master = |n: u8| Master { address: [10, 0, 0, n].into(), port: 6443 };
    let addresses = || async {
        servers[0].catch_up().await.expect("the store answers");
        let found = servers[0].snapshot().get::<Endpoints>("default", "kubernetes").cloned().expect("endpoints");
        let all = found.subsets.iter().flatten().flat_map(|s| s.addresses.iter().flatten()).map(|a| a.ip.clone());
        all.collect::<Vec<_>>()
    };
    servers[0].renew_master(master(2)).await.expect("renewed");
    servers[1].catch_up().await.expect("the store answers");
    servers[1].renew_master(master(1)).await.expect("renewed");
    assert_eq!(addresses().await, ["10.0.0.1", "10.0.0.2"]);
    servers[0].withdraw_master(master(2)).await.expect("withdrawn");
    assert_eq!(addresses().await, ["10.0.0.1"]);
    servers[1].catch_up().await.expect("the store answers");
    servers[1].withdraw_master(master(1)).await.expect("withdrawn");
    assert_eq!(addresses().await, ["10.0.0.1"], "the last one stays");
}

#[tokio::test]
async fn a_lease_says_who_a_server_is() {
    let (_engine, clock, servers) = pair().await;
    let r = &servers[0];
    let of = |host: &str, uid: &str| Presence::of(host, ([10, 0, 0, 1], 6443).into(), uid);
    let all = || r.snapshot().list::<Lease>("kube-system").cloned().collect::<Vec<_>>();
    r.renew_presence(&of("vm", "1")).await.expect("written");
    r.renew_presence(&of("other", "2")).await.expect("written");
    let name = |l: &Arc<Lease>| l.metadata.name.clone().unwrap_or_default();
    let first = all().into_iter().find(|l| l.metadata.labels.as_ref().is_some_and(|l| l["kubernetes.io/hostname"] == "vm")).expect("a lease");
    // As kube-apiserver v1.36.2 calls itself on a host of this name.
    assert_eq!(name(&first), "apiserver-wlv32tlttr4jl3gtroqexyxapa");
    assert_eq!(first.spec.as_ref().and_then(|s| s.holder_identity.clone()), Some(format!("{}_1", name(&first))));
    clock.advance(Duration::from_secs(3_601));
    r.renew_presence(&of("vm", "3")).await.expect("renewed");
    r.sweep_presence().await.expect("swept");
    assert_eq!(all().iter().map(name).collect::<Vec<_>>(), [name(&first)]);
}
