//! Figures of the embedded engine on this machine: `bench [DIR] [COUNT] [WRITERS] [VALUE_BYTES]`. Prints creates a
//! second (each acknowledged after its fsync), the latencies, resident memory, and how long opening takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::{Embedded, Engine, Expect, Options, Txn};

fn memory(label: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let fields = status.lines().filter(|l| l.starts_with("VmRSS") || l.starts_with("VmHWM"));
    let fields: Vec<String> = fields.map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    println!("{label}: {}", fields.join(", "));
}

fn argument(n: usize, default: usize) -> usize {
    std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(default)
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

async fn writer(store: Arc<Embedded>, writer: usize, count: usize, value: Vec<u8>) -> Vec<Duration> {
    let mut latencies = Vec::with_capacity(count);
    for n in 0..count {
        let key = format!("/registry/configmaps/default/bench-{writer:03}-{n:08}");
        let begun = Instant::now();
        store.commit(Txn::put(key, value.clone(), Expect::Absent)).await.expect("a create on an empty store");
        latencies.push(begun.elapsed());
    }
    latencies
}

fn main() {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "/tmp/store-bench".into());
    let (count, writers, value_bytes) = (argument(2, 100_000), argument(3, 64), argument(4, 1024));
    let value: Vec<u8> = (0..value_bytes as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    memory("before opening");
    let begun = Instant::now();
    let store = Arc::new(Embedded::open(&dir, Options::default()).expect("the data directory opens"));
    println!("empty start: {:?}", begun.elapsed());
    memory("empty store");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let begun = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|w| runtime.spawn(writer(Arc::clone(&store), w, count / writers, value.clone())))
        .collect();
    let mut latencies: Vec<Duration> =
        runtime.block_on(async { futures(tasks).await }).into_iter().flatten().collect();
    let took = begun.elapsed();
    latencies.sort_unstable();
    println!(
        "{} creates of {value_bytes} bytes, {writers} at once: {:.0}/s, p50 {:?}, p99 {:?}, max {:?}",
        latencies.len(),
        latencies.len() as f64 / took.as_secs_f64(),
        percentile(&latencies, 50),
        percentile(&latencies, 99),
        percentile(&latencies, 100),
    );
    drop(latencies);
    memory("after the load (key index and recent events)");
    println!("on disk: {} MiB in {} segments", store.size_bytes() >> 20, store.stats().segments);
    runtime.block_on(store.close());
    drop(store);
    let begun = Instant::now();
    let store = Embedded::open(&dir, Options::default()).expect("the data directory opens again");
    println!("start with that data: {:?}, revision {}", begun.elapsed(), store.revision());
}

async fn futures<T>(tasks: Vec<tokio::task::JoinHandle<T>>) -> Vec<T> {
    let mut done = Vec::with_capacity(tasks.len());
    for task in tasks {
        done.push(task.await.expect("a writer ends"));
    }
    done
}
