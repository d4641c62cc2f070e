//! The door under contention: turns, time-outs, clients that go away, and what other users notice of a flood.

use super::*;
use http::Method;

async fn registry() -> Arc<Registry> {
    let registry = crate::testing::registry().await;
    registry.keep_flow_objects().await.expect("bootstraps");
    registry
}

fn door(reads: u32, timeout: Duration) -> Arc<Fairness> {
    Fairness::new(Limits { fair: true, reads, writes: 0, timeout }, &base::metrics::Registry::default())
}

fn request(path: &str, query: &str) -> RequestInfo {
    RequestInfo::parse(&Method::GET, path, query)
}

fn user(name: &str) -> User {
    User::new(name, &["system:authenticated"])
}

async fn enter(door: &Arc<Fairness>, registry: &Registry, who: &User, info: &RequestInfo) -> Result<Permit, u16> {
    match door.enter(registry, &Arc::new(who.clone()), &Arc::new(info.clone())).await {
        Entry::In(permit) => Ok(permit.expect("takes seats")),
        Entry::Refused(reply) => Err(reply.status().as_u16()),
    }
}

#[tokio::test]
async fn a_flood_waits_and_is_sent_away_and_leases_pass() {
    let registry = registry().await;
    let door = door(60, Duration::from_secs(60));
    keeper::renew(&door, &registry.snapshot());
    let (flood, info) = (user("flood"), request("/api/v1/pods", ""));
    let mut inside = Vec::new();
    let mut waiting = tokio::task::JoinSet::new();
    // Takes every seat of its level, fills its queues, and is sent away after that.
    for _ in 0..600 {
        let (door, registry, flood, info) = (Arc::clone(&door), Arc::clone(&registry), flood.clone(), info.clone());
        waiting.spawn(async move { enter(&door, &registry, &flood, &info).await });
        tokio::task::yield_now().await;
    }
    let mut refused = 0;
    while let Some(done) = waiting.try_join_next() {
        match done.expect("no panic") {
            Ok(permit) => inside.push(permit),
            Err(429) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(!inside.is_empty() && refused > 100, "inside {} refused {refused}", inside.len());
    // Others are let in at once: administrators, leaders with their leases, nodes.
    let leader = User::new("system:kube-scheduler", &["system:authenticated"]);
    let node = User::new("system:node:n1", &["system:nodes", "system:authenticated"]);
    let admin = User::new("admin", &["system:masters", "system:authenticated"]);
    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x";
    for who in [&leader, &node, &admin] {
        let entered = tokio::time::timeout(Duration::from_millis(1), enter(&door, &registry, who, &request(lease, ""))).await;
        assert!(entered.expect("does not wait").is_ok(), "{}", who.name);
    }
    // Another user of the flooded level is queued, not sent away, and gets a turn (the order is the core's, tested there).
    let (door2, registry2, info2) = (Arc::clone(&door), Arc::clone(&registry), info.clone());
    let small = tokio::spawn(async move { enter(&door2, &registry2, &user("small"), &info2).await });
    tokio::task::yield_now().await;
    let mut rounds = 0;
    while !small.is_finished() {
        inside.pop();
        rounds += 1;
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        while let Some(done) = waiting.try_join_next() {
            inside.extend(done.expect("no panic"));
        }
        assert!(rounds < 1000, "starved");
    }
    assert!(small.await.expect("no panic").is_ok());
    // Clients that go away give their places back.
    waiting.abort_all();
    while waiting.join_next().await.is_some() {}
    inside.clear();
    let plan = door.plan.load_full();
    for level in &plan.levels {
        let core = level.core.lock();
        core.audit().expect("counts hold");
        assert_eq!((core.stats().waiting, core.stats().executing), (0, 0), "{}", level.name);
    }
}

#[tokio::test]
async fn waiting_ends_with_429_and_retry_after() {
    let registry = registry().await;
    let door = door(1, Duration::from_millis(400));
    keeper::renew(&door, &registry.snapshot());
    let (who, info) = (Arc::new(user("u")), Arc::new(request("/api/v1/pods", "")));
    let mut inside = Vec::new();
    let refused = loop {
        match door.enter(&registry, &who, &info).await {
            Entry::In(p) => inside.extend(p),
            Entry::Refused(reply) => break reply,
        }
        assert!(inside.len() < 20);
    };
    assert_eq!(refused.status().as_u16(), 429);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
    assert_eq!(refused.headers()[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    assert!(refused.headers().contains_key(SCHEMA_HEADER) && refused.headers().contains_key(LEVEL_HEADER));
}

/// What has seats is told until it gives them back; exempt requests have no queue.
#[tokio::test]
async fn what_runs_is_dumped() {
    let registry = registry().await;
    let door = door(600, Duration::from_secs(60));
    keeper::renew(&door, &registry.snapshot());
    let admin = User::new("admin", &["system:masters"]);
    let held = [
        enter(&door, &registry, &user("u"), &request("/api/v1/namespaces/a/pods/p", "")).await,
        enter(&door, &registry, &admin, &request("/version", "")).await,
    ];
    let dumped = || super::dump::requests(&door, &door.plan.load_full(), true, registry.now());
    let rows = dumped();
    let of = |user: &str| rows.iter().find(|row| row[10] == user).expect("runs").clone();
    let (common, exempt) = (of("u"), of("admin"));
    assert_eq!(common[..2], ["global-default", "global-default"]);
    assert_ne!(common[2], "-1");
    assert_eq!((&common[3], &common[4], &common[5]), (&"-1".to_owned(), &"u".to_owned(), &common[9]));
    assert_eq!(common[11..], ["get", "/api/v1/namespaces/a/pods/p", "a", "p", "v1", "pods", ""]);
    assert_eq!((&exempt[0], &exempt[2], &exempt[12]), (&"exempt".to_owned(), &"-1".to_owned(), &"/version".to_owned()));
    drop(held);
    assert_eq!(dumped().len(), 1);
}

/// A client opens ten thousand watches of leases: none of them keeps a seat, and leases are still renewed at once.
#[tokio::test]
async fn ten_thousand_watches_take_no_seats() {
    let registry = registry().await;
    let door = door(60, Duration::from_secs(60));
    keeper::renew(&door, &registry.snapshot());
    let path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
    let info = request(path, "watch=true");
    let mut open = Vec::new();
    for _ in 0..10_000 {
        // Its seats are given back when it has begun.
        drop(enter(&door, &registry, &user("flood"), &info).await.expect("a watch begins"));
        open.push(door.watching(&info));
    }
    let leader = User::new("system:kube-scheduler", &["system:authenticated"]);
    let renew = RequestInfo::parse(&Method::PUT, &format!("{path}/x"), "");
    for _ in 0..20 {
        let entered = tokio::time::timeout(Duration::from_secs(5), enter(&door, &registry, &leader, &renew)).await;
        drop(entered.expect("its turn comes").expect("is let in"));
    }
    drop(open);
    assert!(door.watches.lock().is_empty());
}

#[tokio::test]
async fn the_plain_limit() {
    let registry = registry().await;
    let limits = Limits { fair: false, reads: 1, writes: 0, ..Limits::default() };
    let door = Fairness::new(limits, &base::metrics::Registry::default());
    let info = request("/api/v1/pods", "");
    let held = enter(&door, &registry, &user("u"), &info).await;
    assert!(held.is_ok());
    assert_eq!(enter(&door, &registry, &user("u"), &info).await.err(), Some(429));
    let admin = User::new("a", &["system:masters"]);
    assert!(matches!(door.enter(&registry, &Arc::new(admin), &Arc::new(info.clone())).await, Entry::In(None)));
    assert!(matches!(door.enter(&registry, &Arc::new(user("u")), &Arc::new(request("/api/v1/pods", "watch=1"))).await, Entry::In(None)));
    drop(held);
    assert!(enter(&door, &registry, &user("u"), &info).await.is_ok());
}

/// The way in without contention; `cargo test --release` shows the figure that the design promises (below 1 us).
#[tokio::test]
async fn the_fast_path_is_cheap() {
    let registry = registry().await;
    let door = door(600, Duration::from_secs(60));
    keeper::renew(&door, &registry.snapshot());
    let (who, info) = (user("system:serviceaccount:default:x"), request("/api/v1/namespaces/a/pods/p", ""));
    let rounds = 20_000;
    let begun = Instant::now();
    for _ in 0..rounds {
        drop(enter(&door, &registry, &who, &info).await);
    }
    println!("{} ns a request", begun.elapsed().as_nanos() / rounds);
}

#[tokio::test]
async fn bootstrap_objects_are_kept_whole() {
    use kinds::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
    let registry = registry().await;
    let caller = registry::Caller::new("admin", &["system:masters"]);
    let target = |kind: kinds::Kind, name: &str| kinds::Target::new(kind, kinds::ObjectKey::cluster(name));
    let schema = |name: &str| FlowSchema::clone(registry.snapshot().get::<FlowSchema>("", name).expect("is there"));
    let status = schema("global-default").status.expect("a status");
    assert_eq!(status.conditions.expect("told")[0].status.as_deref(), Some("False"));
    // A mandatory object comes back, a suggested one is mended, an owned one is left alone.
    let options = kinds::WriteOptions::default();
    let catch_all = target(kinds::Kind::FlowSchema, "catch-all");
    registry.delete(&caller, &catch_all, &kinds::DeleteOptions::default()).await.expect("deletes");
    let mut mine = schema("global-default");
    mine.spec.as_mut().expect("a spec").matching_precedence = Some(9000);
    registry.update(&caller, &target(kinds::Kind::FlowSchema, "global-default"), mine.into(), &options).await.expect("updates");
    let mut owned = schema("service-accounts");
    owned.spec.as_mut().expect("a spec").matching_precedence = Some(8000);
    owned.metadata.annotations.get_or_insert_default().insert("apf.kubernetes.io/autoupdate-spec".into(), "false".into());
    registry.update(&caller, &target(kinds::Kind::FlowSchema, "service-accounts"), owned.into(), &options).await.expect("updates");
    registry.delete(&caller, &target(kinds::Kind::PriorityLevelConfiguration, "workload-low"), &kinds::DeleteOptions::default()).await.expect("deletes");
    registry.keep_flow_objects().await.expect("keeps");
    let precedence = |name: &str| schema(name).spec.expect("a spec").matching_precedence;
    assert_eq!(
        [precedence("catch-all"), precedence("global-default"), precedence("service-accounts")],
        [Some(10_000), Some(9900), Some(8000)]
    );
    assert!(registry.snapshot().get::<PriorityLevelConfiguration>("", "workload-low").is_some());
    let before = registry.snapshot().revision();
    registry.keep_flow_objects().await.expect("keeps");
    assert_eq!(registry.snapshot().revision(), before, "again changes nothing");
}
