//! The engine against real etcd members (Debian's `etcd-server`), on loopback, each with a directory of its own.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use store::{CommitError, Engine, Etcd, EtcdOptions, Expect, FeedError, RangeError, RangeRequest, Revision, Txn, WatchRequest};
use tempfile::TempDir;
use tokio::time::timeout;

/// Nothing here takes that long on a machine that works at all.
const LIMIT: Duration = Duration::from_secs(60);

/// Members of one cluster; they go with it.
struct Members {
    running: Vec<Child>,
    clients: Vec<String>,
    _dir: TempDir,
}

impl Drop for Members {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn etcd_is_here() -> bool {
    Command::new("etcd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Ports that were free a moment ago, all different.
fn ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("loopback")).collect();
    held.iter().map(|l| l.local_addr().expect("bound").port()).collect()
}

fn start(count: usize) -> Members {
    let dir = tempfile::tempdir().expect("a directory");
    let ports = ports(count * 2);
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let cluster: Vec<String> = (0..count).map(|n| format!("m{n}={}", url(ports[n]))).collect();
    let member = |n: usize| {
        let (peer, client) = (url(ports[n]), url(ports[count + n]));
        let mut etcd = Command::new("etcd");
        etcd.arg("--data-dir").arg(dir.path().join(format!("m{n}"))).args(["--name", &format!("m{n}")]);
        etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        etcd.args(["--initial-cluster", &cluster.join(","), "--unsafe-no-fsync"]);
        etcd.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("etcd starts")
    };
    let running = (0..count).map(member).collect();
    let clients = (0..count).map(|n| url(ports[count + n])).collect();
    Members { running, clients, _dir: dir }
}

/// Connects as soon as a member answers writes.
async fn connect(members: &Members) -> Etcd {
    let options = EtcdOptions { endpoints: members.clients.clone(), ..EtcdOptions::default() };
    timeout(LIMIT, async {
        loop {
            if let Ok(etcd) = Etcd::connect(&options).await {
                if etcd.commit(Txn::put("/probe", "1", Expect::Any)).await.is_ok() {
                    return etcd;
                }
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("etcd answers")
}

async fn put(etcd: &Etcd, key: &str, value: &str, expect: Expect) -> Result<Revision, CommitError> {
    etcd.commit(Txn::put(key.to_owned(), value.to_owned(), expect)).await.map(|c| c.revision)
}

macro_rules! needs_etcd {
    ($name:literal) => {
        if !etcd_is_here() {
            println!("SKIP {}: there is no etcd on PATH (Debian: etcd-server)", $name);
            return;
        }
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_is_a_store() {
    needs_etcd!("one_member_is_a_store");
    let members = start(1);
    let etcd = connect(&members).await;
    let first = put(&etcd, "/r/a", "1", Expect::Absent).await.expect("absent");
    let Err(CommitError::Conflict { key, found }) = put(&etcd, "/r/a", "2", Expect::Absent).await else {
        panic!("it is there already")
    };
    assert_eq!((key, found.map(|f| f.mod_revision)), (Bytes::from("/r/a"), Some(first)));
    let second = put(&etcd, "/r/a", "2", Expect::At(first)).await.expect("as expected");
    assert!(second > first);
    let old = etcd.get("/r/a".into(), Some(first)).await.expect("history").expect("there");
    assert_eq!((old.value, old.version), (Bytes::from("1"), 1));
    let none = etcd.commit(Txn::delete("/r/none", Expect::Any)).await.expect("no error");
    assert!(!none.changed, "deleting nothing changes nothing");
    assert!(matches!(put(&etcd, "/r/b", "x", Expect::At(first)).await, Err(CommitError::Conflict { found: None, .. })));
    assert!(etcd.size_bytes() > 0);
    let future = etcd.get("/r/a".into(), Some(Revision(second.0 + 1000))).await;
    assert!(matches!(future, Err(RangeError::Future { .. })), "{future:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_ranges_come_in_pages_of_one_revision() {
    needs_etcd!("large_ranges_come_in_pages_of_one_revision");
    let members = start(1);
    let etcd = connect(&members).await;
    for block in 0..25 {
        let txn = (0..100).fold(Txn::default(), |t, n| t.and_put(format!("/r/{:05}", block * 100 + n), "v", Expect::Absent, None));
        etcd.commit(txn).await.expect("absent");
    }
    let all = etcd.range(RangeRequest::prefix("/r/")).await.expect("readable");
    assert_eq!((all.kvs.len(), all.count, all.more), (2500, 2500, false));
    assert!(all.kvs.windows(2).all(|w| w[0].key < w[1].key));
    let some = etcd.range(RangeRequest { limit: 1500, ..RangeRequest::prefix("/r/") }).await.expect("readable");
    assert_eq!((some.kvs.len(), some.count, some.more), (1500, 2500, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feeds_are_ordered_complete_and_tell_progress() {
    needs_etcd!("feeds_are_ordered_complete_and_tell_progress");
    let members = start(1);
    let etcd = connect(&members).await;
    let from = etcd.revision().next();
    let mut feed = etcd.watch(WatchRequest::prefix("/registry/", from)).expect("a feed");
    for n in 0..50 {
        put(&etcd, &format!("/registry/r/{n}"), "v", Expect::Absent).await.expect("absent");
    }
    etcd.commit(Txn::delete("/registry/r/0", Expect::Any)).await.expect("deleted");
    let mut seen = Vec::new();
    while seen.len() < 51 {
        let batch = timeout(LIMIT, feed.next()).await.expect("in time").expect("a batch");
        seen.extend(batch.events);
    }
    assert!(seen.windows(2).all(|w| w[0].revision < w[1].revision));
    assert!(seen[50].put.is_none() && seen[50].key == "/registry/r/0");
    // Somebody else writes outside the range: the feed hears that time went on.
    let outside = put(&etcd, "/elsewhere", "v", Expect::Any).await.expect("written");
    let latest = etcd.latest().await.expect("answers");
    assert!(latest >= outside);
    let quiet = timeout(LIMIT, feed.next()).await.expect("in time").expect("a batch");
    assert!(quiet.events.is_empty() && quiet.revision >= outside, "{quiet:?}");
    etcd.compact(latest).await.expect("compacts");
    assert!(matches!(etcd.get("/registry/r/1".into(), Some(from)).await, Err(RangeError::Compacted { .. })));
    assert!(matches!(etcd.watch(WatchRequest::prefix("/registry/", from)).err(), Some(FeedError::Compacted { .. })));
    etcd.close().await;
    assert!(matches!(timeout(LIMIT, feed.next()).await.expect("in time"), Err(FeedError::Closed)));
}

/// An answer about progress can overtake events that are on their way (etcd-io/etcd#15220, in etcd until 3.4.25 and 3.5.8).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consistent_reads_lose_no_event_of_others() {
    needs_etcd!("consistent_reads_lose_no_event_of_others");
    const WRITES: u64 = 1500;
    let members = start(1);
    let (ours, others) = (connect(&members).await, connect(&members).await);
    let mut feed = ours.watch(WatchRequest::prefix("/registry/", ours.revision().next())).expect("a feed");
    let writing = tokio::spawn(async move {
        for n in 0..WRITES {
            put(&others, &format!("/registry/r/{n:05}"), "v", Expect::Absent).await.expect("absent");
        }
    });
    let reading = tokio::spawn(async move {
        let mut newest = Revision::ZERO;
        while !writing.is_finished() {
            newest = ours.latest().await.expect("answers");
        }
        (ours, newest)
    });
    let (mut seen, mut at) = (Vec::new(), Revision::ZERO);
    while (seen.len() as u64) < WRITES {
        let batch = timeout(LIMIT, feed.next()).await.expect("in time").expect("a batch");
        assert!(batch.events.iter().all(|e| e.revision > at), "{at} was said to be all");
        at = batch.revision;
        seen.extend(batch.events.into_iter().map(|e| String::from_utf8_lossy(&e.key).into_owned()));
    }
    assert!(seen.windows(2).all(|w| w[0] < w[1]), "each once, in order");
    let (_ours, newest) = reading.await.expect("no panic");
    assert!(at >= newest || timeout(LIMIT, feed.next()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_death_of_a_member_loses_nothing() {
    needs_etcd!("the_death_of_a_member_loses_nothing");
    let mut members = start(3);
    let etcd = connect(&members).await;
    let mut feed = etcd.watch(WatchRequest::prefix("/r/", etcd.revision().next())).expect("a feed");
    let mut acknowledged = Vec::new();
    for n in 0..300 {
        if n == 100 {
            // The one that the engine speaks with first.
            members.running[0].kill().expect("killed");
        }
        let key = format!("/r/{n:04}");
        match put(&etcd, &key, "v", Expect::Absent).await {
            // A read index is no older, whoever leads meanwhile (etcd's issue 21385).
            Ok(revision) => {
                assert!(etcd.latest().await.is_ok_and(|latest| latest >= revision), "{key}");
                acknowledged.push(key);
            }
            Err(CommitError::Unknown(_) | CommitError::Unavailable(_)) => {}
            Err(e) => panic!("{key}: {e}"),
        }
    }
    assert!(acknowledged.len() > 250, "{} of 300", acknowledged.len());
    let there = etcd.range(RangeRequest::prefix("/r/")).await.expect("readable");
    let there: Vec<String> = there.kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect();
    assert!(acknowledged.iter().all(|k| there.contains(k)));
    let mut fed = Vec::new();
    while fed.len() < there.len() {
        let batch = timeout(LIMIT, feed.next()).await.expect("in time").expect("a batch");
        fed.extend(batch.events.into_iter().map(|e| String::from_utf8_lossy(&e.key).into_owned()));
    }
    assert_eq!(fed, there, "each once, in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_a_lifetime_goes_by_itself() {
    needs_etcd!("what_has_a_lifetime_goes_by_itself");
    let members = start(1);
    let etcd = connect(&members).await;
    assert!(etcd.expires());
    let mut feed = etcd.watch(WatchRequest::prefix("/r/", etcd.revision().next())).expect("a feed");
    let txn = Txn::put("/r/short", "v", Expect::Absent).living(Some(Duration::from_secs(1)));
    etcd.commit(txn.and_put("/r/long", "v", Expect::Absent, None)).await.expect("absent");
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let batch = timeout(LIMIT, feed.next()).await.expect("in time").expect("a batch");
        seen.extend(batch.events);
    }
    assert!(seen[2].put.is_none() && seen[2].key == "/r/short", "{seen:?}");
    assert!(etcd.get("/r/long".into(), None).await.expect("answers").is_some());
    // It has gone: who renews it now is told (etcd's issue 20615).
    let late = etcd.commit(Txn::put("/r/short", "v", Expect::At(seen[0].revision)).living(Some(Duration::from_secs(1)))).await;
    assert!(matches!(late, Err(CommitError::Conflict { found: None, .. })), "{late:?}");
}

/// etcd's issue 20418: who was away for a while reads nothing old.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_paused_asks_before_it_reads() {
    needs_etcd!("a_server_that_was_paused_asks_before_it_reads");
    let members = start(1);
    let (paused, busy) = (connect(&members).await, connect(&members).await);
    let mut feed = paused.watch(WatchRequest::prefix("/r/", paused.revision().next())).expect("a feed");
    let mut last = Revision::ZERO;
    for n in 0..50 {
        last = put(&busy, &format!("/r/{n:02}"), "v", Expect::Absent).await.expect("absent");
    }
    assert!(paused.revision() < last, "it has heard of nothing yet");
    assert!(paused.latest().await.expect("answers") >= last);
    let mut told = Vec::new();
    while told.last() < Some(&last) {
        told.extend(timeout(LIMIT, feed.next()).await.expect("in time").expect("a batch").events.iter().map(|e| e.revision));
    }
    assert!(told.len() == 50 && told.is_sorted());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_is_seen_by_nobody_here() {
    needs_etcd!("a_prefix_is_seen_by_nobody_here");
    let members = start(1);
    let plain = connect(&members).await;
    let options = EtcdOptions { endpoints: members.clients.clone(), prefix: "/teams/a".into(), ..EtcdOptions::default() };
    let etcd = Etcd::connect(&options).await.expect("answers");
    let mut feed = etcd.watch(WatchRequest::prefix("/registry/", plain.revision().next())).expect("a feed");
    for n in 0..3 {
        put(&etcd, &format!("/registry/x/{n}"), "v", Expect::Absent).await.expect("absent");
    }
    let Err(CommitError::Conflict { key, .. }) = put(&etcd, "/registry/x/0", "w", Expect::Absent).await else { panic!("it is there") };
    assert_eq!(key, "/registry/x/0");
    let keys = |r: store::RangeResult| r.kvs.into_iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect::<Vec<_>>();
    let here = keys(etcd.range(RangeRequest::prefix("/registry/")).await.expect("readable"));
    assert_eq!(here, ["/registry/x/0", "/registry/x/1", "/registry/x/2"]);
    let there = keys(plain.range(RangeRequest::prefix("/teams/a/")).await.expect("readable"));
    assert_eq!(there, ["/teams/a/x/0", "/teams/a/x/1", "/teams/a/x/2"]);
    let batch = timeout(LIMIT, feed.next()).await.expect("in time").expect("a batch");
    assert!(batch.events.iter().all(|e| e.key.starts_with(b"/registry/x/")), "{batch:?}");
    assert!(etcd.get("/registry/x/1".into(), None).await.expect("answers").is_some());
}
