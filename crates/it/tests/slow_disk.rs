//! The disk that takes seven seconds a sync (etcd's clusters fall apart on such a one): leases survive and nodes stay
//! Ready, reads go on at once, and every write is answered.

use base::Clock;
use it::sim::chance::Chance;
use it::sim::laws;
use it::sim::life::{Life, Outside};
use it::sim::machine::Machine;
use it::sim::step::Load;
use it::sim::workload;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use store::MemoryDisk;
use tokio::time::{Instant, sleep};

const SYNC_MS: u64 = 7_000;
/// A write that comes just too late for one batch waits for two syncs; one that builds on another write for four.
const WRITE_MAX: Duration = Duration::from_millis(4 * SYNC_MS + 1_000);

#[tokio::test(start_paused = true)]
async fn leases_survive_a_disk_of_seven_seconds() {
    let outside = Outside {
        disk: MemoryDisk::default(),
        machines: (0..3).map(|n| Arc::new(Machine::new(n))).collect(),
        chance: Arc::new(Chance::new(7)),
        elapsed: Duration::ZERO,
    };
    let life = Life::begin(&outside, Arc::default()).await.expect("it starts");
    sleep(Duration::from_secs(30)).await;
    workload::create_namespace(&life, 0).await.expect("created");
    workload::create_load(&life, Load::Deployment, 0, 0, 4).await.expect("created");
    sleep(Duration::from_secs(60)).await;
    life.sync_ms.store(SYNC_MS, Ordering::Relaxed);
    for round in 0..40u64 {
        let began = Instant::now();
        let snapshot = life.snapshot();
        for machine in &outside.machines {
            assert!(laws::is_ready_node(&snapshot, &machine.name), "{} at {}", machine.name, life.clock.now());
        }
        let listed = life.registry.list(&kinds::Kind::Pod.into(), &registry::ListQuery::default()).expect("reads go on");
        assert!(!listed.entries.is_empty() && began.elapsed().is_zero());
        workload::scale(&life, Load::Deployment, 0, 0, 4 + round % 3).await.expect("a write is answered");
        assert!(began.elapsed() <= WRITE_MAX, "a write took {:?}", began.elapsed());
        sleep(Duration::from_secs(5)).await;
    }
    laws::always(&life, &outside.machines).expect("the laws hold");
}
