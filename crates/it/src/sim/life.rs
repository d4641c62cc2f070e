//! One life of the program: the real store, registry, manager and scheduler over the fake disk, and a kubelet a machine,
//! from opening to the moment at which everything in memory is dropped.

use super::chance::{Chance, SimClock};
use super::gate::{Gate, GatedApi, GatedSource, Way};
use super::machine::Machine;
use super::truth::Truth;
use super::{heart, kubelet};
use base::{Clock, Ids};
use cache::{Snapshot, Source};
use kinds::Api;
use parking_lot::Mutex;
use registry::bootstrap::Values;
use registry::{Caller, Feed, LocalApi, Registry, Settings};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::{Drive, Embedded, Engine, MemoryDisk, Options};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// Small, so that segments roll and are rewritten.
const SEGMENT_BYTES: u64 = 256 * 1024;
const RING_EVENTS: usize = 256;
const RING_BYTES: usize = 1 << 20;
/// History older than this is compacted.
const COMPACT_EVERY: Duration = Duration::from_secs(90);
/// How long the program may take to come up.
const START_MAX: Duration = Duration::from_secs(120);

/// What survives the program.
pub struct Outside {
    pub disk: MemoryDisk,
    pub machines: Vec<Arc<Machine>>,
    pub chance: Arc<Chance>,
    /// How long earlier lives lasted together.
    pub elapsed: Duration,
}

/// A running program.
pub struct Life {
    pub registry: Arc<Registry>,
    pub engine: Arc<Embedded>,
    pub clock: SimClock,
    pub scheduler: manager::SchedulerHandle,
    pub controllers: controllers::Config,
    /// By component: `manager`, `scheduler`, and the machines' names.
    pub gates: BTreeMap<String, Arc<Gate>>,
    pub truth: Arc<Mutex<Truth>>,
    /// The store said that it cannot go on.
    pub died: watch::Receiver<Option<String>>,
    /// What a sync takes, in virtual milliseconds.
    pub sync_ms: Arc<AtomicU64>,
    chance: Arc<Chance>,
    kubelets: BTreeMap<String, Vec<AbortHandle>>,
    _manager: manager::Handle,
}

fn options(chance: &Arc<Chance>, sync_ms: &Arc<AtomicU64>, died: watch::Sender<Option<String>>) -> Options {
    let (chance, sync_ms) = (Arc::clone(chance), Arc::clone(sync_ms));
    let pace = move || -> store::Fut<'static, ()> {
        let ms = sync_ms.load(Ordering::Relaxed) + chance.below(2);
        Box::pin(async move { tokio::time::sleep(Duration::from_millis(ms)).await })
    };
    Options {
        on_fatal: Arc::new(move |line| drop(died.send_replace(Some(line.to_owned())))),
        segment_bytes: SEGMENT_BYTES,
        ring_events: RING_EVENTS,
        ring_bytes: RING_BYTES,
        drive: Drive::Task(Arc::new(pace)),
        begin: store::Revision::ZERO,
    }
}

fn rules_config() -> rules::Config {
    rules::Config {
        service_cidrs: vec!["10.96.0.0/16".parse().expect("a range")],
        node_ports: (30_000, 32_767),
        cluster_domain: "cluster.local".into(),
        advertise_address: std::net::Ipv4Addr::new(10, 0, 0, 1).into(),
        secure_port: 6443,
        plugins: rules::Plugins::default(),
        admission: rules::AdmissionSettings::default(),
    }
}

fn values() -> Values {
    Values {
        service_cidr: "10.96.0.0/16".into(),
        service_cidr_first_ip: "10.96.0.1".into(),
        advertise_address: "10.0.0.1".into(),
        apiserver_port: 6443,
        client_ca_pem: "ca".into(),
        requestheader_ca_pem: "ca".into(),
        date: "2026-01-01".into(),
    }
}

impl Life {
    /// Opens everything; machines with power start their kubelets. The error is what the program would end with.
    ///
    /// # Errors
    /// The store or the registry cannot be opened.
    pub async fn begin(outside: &Outside, truth: Arc<Mutex<Truth>>) -> Result<Self, String> {
        let clock = SimClock::new(outside.elapsed);
        let (died_in, died) = watch::channel(None);
        let sync_ms = Arc::new(AtomicU64::new(1));
        let options = options(&outside.chance, &sync_ms, died_in);
        let engine = Embedded::open_on(Arc::new(outside.disk.clone()), options).map_err(|e| e.to_string())?;
        let engine = Arc::new(engine);
        let settings = Settings { config: rules_config(), gates: rules::Gates::default(), hooks: None };
        let (time, ids) = (Arc::new(clock) as Arc<dyn Clock>, Arc::clone(&outside.chance) as Arc<dyn Ids>);
        let opened = Registry::open(Arc::clone(&engine) as Arc<dyn Engine>, Arc::clone(&time), Arc::clone(&ids), settings);
        let (registry, follow) = opened.await.map_err(|e| e.to_string())?;
        truth.lock().reopened(&registry.snapshot())?;
        tokio::spawn(super::truth::follow(Arc::clone(&truth), Arc::clone(&registry), &*engine));
        let failed = Arc::clone(&truth);
        tokio::spawn(async move {
            if let Err(e) = follow.await {
                failed.lock().offend(format!("the image stopped: {e}"));
            }
        });
        let boot = tokio::time::timeout(START_MAX, registry.bootstrap(&values())).await;
        boot.map_err(|_| "bootstrapping hangs".to_owned())?.map_err(|e| e.to_string())?;
        let mut gates: BTreeMap<String, Arc<Gate>> = BTreeMap::new();
        for name in ["manager", "scheduler"].into_iter().map(str::to_owned).chain(outside.machines.iter().map(|m| m.name.clone())) {
            gates.insert(name, Arc::default());
        }
        let controllers = controllers::Config {
            root_ca_pem: "ca".into(),
            cluster_cidrs: vec!["10.244.0.0/16".parse().expect("a range")],
            service_cidrs: vec!["10.96.0.0/16".parse().expect("a range")],
            decode: |kind, tree| codec::from_value(&kind.into(), tree.clone()).ok(),
            quota_used: rules::admission::quota::used,
            started: Some(clock.now()),
            ..controllers::Config::default()
        };
        let shutdown = CancellationToken::new();
        let manager = start_manager(&registry, &gates["manager"], &time, &ids, &controllers, &shutdown);
        let scheduler = start_scheduler(&registry, &gates["scheduler"], &time, &ids, &manager, &shutdown);
        tokio::spawn(compact(Arc::clone(&registry)));
        let chance = Arc::clone(&outside.chance);
        let mut life = Self {
            registry,
            engine,
            clock,
            scheduler,
            controllers,
            gates,
            truth,
            died,
            sync_ms,
            chance,
            kubelets: BTreeMap::new(),
            _manager: manager,
        };
        outside.machines.iter().filter(|m| m.is_up()).for_each(|m| life.start_kubelet(m));
        Ok(life)
    }

    /// A handle on the API for a person.
    #[must_use]
    pub fn api(&self) -> LocalApi {
        LocalApi::new(Arc::clone(&self.registry), Caller::new("admin", &["system:masters"]))
    }
    /// What the image shows.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.registry.snapshot()
    }
    /// Opens, pauses or cuts a component's way.
    pub fn gate(&self, component: &str, way: Way) {
        if let Some(gate) = self.gates.get(component) {
            gate.set(way, self.snapshot());
        }
    }
    /// Starts the kubelet of a machine that has power.
    pub fn start_kubelet(&mut self, machine: &Arc<Machine>) {
        let (name, gate) = (machine.name.clone(), Arc::clone(&self.gates[&machine.name]));
        let caller = Caller::new(&format!("system:node:{name}"), &["system:nodes", "system:authenticated"]);
        let api: Arc<dyn Api> = Arc::new(LocalApi::new(Arc::clone(&self.registry), caller));
        let deps = kubelet::Deps {
            machine: Arc::clone(machine),
            api: Arc::new(GatedApi { inner: api, gate: Arc::clone(&gate) }),
            source: gated(&self.registry, &gate),
            clock: self.clock,
            chance: Arc::new(Chance::new(self.chance.next())),
        };
        let tasks = vec![
            tokio::spawn(heart::run(deps.clone())).abort_handle(),
            tokio::spawn(kubelet::run(deps)).abort_handle(),
        ];
        self.kubelets.insert(name, tasks);
    }
    /// Kills the kubelet of a machine.
    pub fn stop_kubelet(&mut self, machine: &Machine) {
        self.kubelets.remove(&machine.name).into_iter().flatten().for_each(|t| t.abort());
    }
    /// Whether the machine's kubelet runs.
    #[must_use]
    pub fn has_kubelet(&self, machine: &Machine) -> bool {
        self.kubelets.contains_key(&machine.name)
    }
}

fn gated(registry: &Arc<Registry>, gate: &Arc<Gate>) -> Arc<dyn Source> {
    let inner: Arc<dyn Source> = Arc::new(Feed(Arc::clone(registry.image())));
    Arc::new(GatedSource { inner, gate: Arc::clone(gate) })
}

fn start_manager(
    registry: &Arc<Registry>,
    gate: &Arc<Gate>,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn Ids>,
    config: &controllers::Config,
    shutdown: &CancellationToken,
) -> manager::Handle {
    let (of, way) = (Arc::clone(registry), Arc::clone(gate));
    let api: manager::ApiFactory = Arc::new(move |user: &str| {
        let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
        let inner: Arc<dyn Api> = Arc::new(LocalApi::new(Arc::clone(&of), Caller::new(user, &groups)));
        Arc::new(GatedApi { inner, gate: Arc::clone(&way) }) as Arc<dyn Api>
    });
    let deps = manager::Deps {
        source: gated(registry, gate),
        api,
        clock: Arc::clone(clock),
        ids: Arc::clone(ids),
        metrics: base::metrics::Registry::default(),
        leading: None,
        shutdown: shutdown.clone(),
    };
    manager::start(manager::Config { controllers: config.clone(), disabled: Vec::new() }, deps)
}

fn start_scheduler(
    registry: &Arc<Registry>,
    gate: &Arc<Gate>,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn Ids>,
    manager: &manager::Handle,
    shutdown: &CancellationToken,
) -> manager::SchedulerHandle {
    let caller = Caller::new("system:kube-scheduler", &["system:authenticated"]);
    let inner: Arc<dyn Api> = Arc::new(LocalApi::new(Arc::clone(registry), caller));
    let deps = manager::SchedulerDeps {
        source: gated(registry, gate),
        api: Arc::new(GatedApi { inner, gate: Arc::clone(gate) }),
        clock: Arc::clone(clock),
        ids: Arc::clone(ids),
        recorder: manager.recorder.clone(),
        metrics: base::metrics::Registry::default(),
        leading: None,
        shutdown: shutdown.clone(),
    };
    manager::start_scheduler(&manager::SchedulerConfig::default(), deps)
}

/// As the program's own loop, only more often.
async fn compact(registry: Arc<Registry>) {
    let mut before = registry.snapshot().revision();
    loop {
        tokio::time::sleep(COMPACT_EVERY).await;
        // A store that is gone says so elsewhere.
        let _ = registry.compact(before).await;
        registry.expire_events().await;
        before = registry.snapshot().revision();
    }
}
