//! A real `kill -9` in the middle of a write load, many times on one directory: this test binary runs itself as the
//! writer, reads from its standard output what was acknowledged, kills it, and opens the store.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use store::{Embedded, Engine, Expect, Options, RangeRequest, Txn};

const KILLS: usize = 20;
const WRITERS: usize = 16;
/// Set to the data directory in the process that writes.
const WRITER_DIR: &str = "STORE_KILL_TEST_DIR";

/// A value that shows where it was torn: the number, over and over.
fn value(n: u64) -> Vec<u8> {
    n.to_le_bytes().repeat(1 + (n % 200) as usize)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime")
}

/// The writer's process: prints `KEY N` after each acknowledgement, until it is killed.
fn write_until_killed(dir: &str) {
    let options = Options { segment_bytes: 256 * 1024, ..Options::default() };
    let store = Arc::new(Embedded::open(dir, options).expect("the store opens"));
    let first = store.revision().0 + 1;
    let runtime = runtime();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        runtime.spawn(async move {
            for n in (first..).step_by(WRITERS) {
                let n = n + writer as u64;
                let key = format!("key-{writer}-{}", n % 50);
                let done = store.commit(Txn::put(key.clone(), value(n), Expect::Any)).await.expect("it commits");
                writeln!(std::io::stdout(), "{key} {n} {}", done.revision).expect("the parent listens");
            }
        });
    }
    runtime.block_on(async {
        loop {
            let to = store.watch(store::WatchRequest::prefix("", store::Revision::ZERO)).expect("open").next().await;
            let to = store::Revision(to.expect("alive").revision.0.saturating_sub(2000));
            // Too early is no matter: there will be more to compact.
            let _ = store.compact(to).await;
        }
    });
}

#[test]
fn kill_9_loses_nothing_acknowledged() {
    if let Ok(dir) = std::env::var(WRITER_DIR) {
        write_until_killed(&dir);
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let mut acknowledged: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for kill in 0..KILLS {
        let mut writer = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "kill_9_loses_nothing_acknowledged", "--nocapture"])
            .env(WRITER_DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the writer starts");
        let mut lines = BufReader::new(writer.stdout.take().expect("it is piped")).lines();
        let mut note = |line: &str| {
            let mut words = line.split(' ');
            let (Some(key), Some(n), Some(revision)) = (words.next(), words.next(), words.next()) else { return };
            let (Ok(n), Ok(revision)) = (n.parse(), revision.parse()) else { return };
            if key.starts_with("key-") {
                acknowledged.insert(key.into(), (n, revision));
            }
        };
        // Another moment each time: after so many acknowledgements.
        for line in lines.by_ref().take(50 + kill * 137) {
            note(&line.expect("a line"));
        }
        writer.kill().expect("it is killed");
        // What it had printed before it died counts too; a last line may be cut off.
        lines.map_while(Result::ok).for_each(|line| note(&line));
        writer.wait().expect("it is gone");
        check(dir.path(), &acknowledged, kill);
    }
}

fn check(dir: &std::path::Path, acknowledged: &BTreeMap<String, (u64, u64)>, kill: usize) {
    let store = Embedded::open(dir, Options::default()).unwrap_or_else(|e| panic!("after kill {kill}: {e}"));
    let found = runtime().block_on(store.range(RangeRequest::prefix("key-"))).expect("readable").kvs;
    let found: BTreeMap<String, _> =
        found.into_iter().map(|kv| (String::from_utf8_lossy(&kv.key).into_owned(), kv)).collect();
    assert!(!acknowledged.is_empty());
    for (key, (n, revision)) in acknowledged {
        let kv = found.get(key).unwrap_or_else(|| panic!("after kill {kill}: {key} is lost"));
        let there = u64::from_le_bytes(kv.value[..8].try_into().expect("eight bytes"));
        assert!(kv.mod_revision.0 >= *revision && there >= *n, "after kill {kill}: {key} went back to {there} from {n}");
    }
    for kv in found.values() {
        let n = u64::from_le_bytes(kv.value[..8].try_into().expect("eight bytes"));
        assert_eq!(kv.value, value(n), "after kill {kill}: a torn value");
    }
}
