//! What the tests of this crate share: a context over a handful of objects, with a counting source of chance.

use crate::context::{Config, Ctx, Gates, User};
use base::Ids;
use bytes::Bytes;
use cache::{Entry, Snapshot, Tables, Write};
use kinds::{Object, Revision};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Chance that counts up.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Ids for Counter {
    fn uid(&self) -> String {
        format!("uid-{}", self.0.fetch_add(1, Ordering::Relaxed))
    }
    fn below(&self, bound: u64) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) % bound
    }
}

/// A world: what is stored, who asks, and how the cluster is set up.
pub(crate) struct World {
    pub snapshot: Snapshot,
    pub user: User,
    pub gates: Gates,
    pub config: Config,
    pub ids: Counter,
}

impl World {
    pub(crate) fn new(objects: Vec<Object>) -> Self {
        let mut tables = Tables::default();
        for (i, object) in objects.into_iter().enumerate() {
            let (key, revision) = (object.key(), Revision(i as u64 + 1));
            let resource = object.resource();
            let entry = Arc::new(Entry::new(key.clone(), object, Bytes::from_static(b"{}"), revision));
            tables.apply(Write { resource, key, revision, entry: Some(entry) });
        }
        Self {
            snapshot: tables.snapshot(),
            user: User::new("alice", &["system:authenticated"]),
            gates: Gates::default(),
            config: Config {
                service_cidrs: vec!["10.96.0.0/12".parse().expect("a network")],
                node_ports: (30_000, 32_767),
                cluster_domain: "cluster.local".into(),
                advertise_address: "192.0.2.1".parse().expect("an address"),
                secure_port: 6443,
                plugins: crate::Plugins::default(),
                admission: crate::AdmissionSettings::default(),
            },
            ids: Counter::default(),
        }
    }

    pub(crate) fn ctx(&self) -> Ctx<'_> {
        Ctx {
            now: jiff::Timestamp::UNIX_EPOCH,
            snapshot: &self.snapshot,
            user: &self.user,
            gates: &self.gates,
            config: &self.config,
            ids: &self.ids,
        }
    }
}
