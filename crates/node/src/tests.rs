//! A whole node against fakes of its ports: an API and source in memory, a runtime and a network that obey.

mod fake;
mod server;

use self::fake::{Cluster, FakeNetwork, FakeRuntime};
use crate::{Config, Deps, Handle, start};
use jiff::Timestamp;
use kinds::api::core::v1::*;
use kinds::{ObjectMeta, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

struct SystemClock;
impl base::Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

struct Counted;
impl base::Ids for Counted {
    fn uid(&self) -> String {
        "u".into()
    }
    fn below(&self, _: u64) -> u64 {
        0
    }
}

struct Lab {
    cluster: Arc<Cluster>,
    runtime: Arc<FakeRuntime>,
    _dir: tempfile::TempDir,
    node: Option<Handle>,
    config: Config,
}

impl Lab {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            node_name: "n1".into(),
            hostname: "n1".into(),
            node_ips: vec!["192.168.1.1".parse().unwrap()],
            root_dir: dir.path().join("kubelet"),
            log_dir: dir.path().join("logs"),
            manifest_dir: None,
            cluster_dns: vec!["10.96.0.10".parse().unwrap()],
            cluster_domain: "cluster.local".into(),
            pods_max: 110,
            labels: BTreeMap::new(),
            taints: Vec::new(),
            listen: None,
            kubelet_version: "v1.36.0".into(),
            api_clients: vec!["api".into()],
            eviction_hard: pods::eviction::Thresholds::default(),
        };
        let mut lab =
            Self { cluster: Arc::default(), runtime: Arc::new(FakeRuntime::new()), _dir: dir, node: None, config };
        lab.start().await;
        lab
    }

    async fn start(&mut self) {
        let deps = Deps {
            api: self.cluster.clone(),
            source: self.cluster.clone(),
            runtime: self.runtime.clone(),
            network: Arc::new(FakeNetwork::default()),
            clock: Arc::new(SystemClock),
            ids: Arc::new(Counted),
            tls: None,
            metrics: base::metrics::Registry::default(),
            read_manifest: None,
        };
        self.node = Some(start(self.config.clone(), deps).await.unwrap());
    }

    async fn stop(&mut self) {
        self.node.take().unwrap().stop().await;
    }

    async fn until(&self, what: &str, holds: impl Fn(&Pod) -> bool) -> Arc<Pod> {
        let found = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                let changed = self.cluster.changed();
                if let Some(p) = self.cluster.pod("web").filter(|p| holds(p)) {
                    return p;
                }
                changed.await;
            }
        });
        match found.await {
            Ok(p) => p,
            Err(_) => panic!("{what}: {:?}\n{:?}", self.cluster.pod("web").and_then(|p| p.status.clone()), self.runtime.log()),
        }
    }

    async fn until_gone(&self) {
        let gone = tokio::time::timeout(Duration::from_secs(10), async {
            while self.cluster.pod("web").is_some() {
                self.cluster.changed().await;
            }
        });
        assert!(gone.await.is_ok(), "the pod stays: {:?}", self.cluster.pod("web"));
    }
}

fn pod() -> Pod {
    let web = Container { name: "web".into(), image: Some("busybox:1".into()), ..Container::default() };
    Pod {
        metadata: ObjectMeta {
            name: Some("web".into()),
            namespace: Some("default".into()),
            uid: Some("uid-1".into()),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            node_name: Some("n1".into()),
            containers: vec![web],
            restart_policy: Some("Always".into()),
            termination_grace_period_seconds: Some(5),
            ..PodSpec::default()
        }),
        status: None,
    }
}

#[tokio::test]
async fn a_pod_lives_and_dies() {
    let lab = Lab::new().await;
    lab.cluster.put(pod().into());
    let p = lab.until("ready", kinds::pod::is_ready).await;
    assert_eq!(p.status.as_ref().unwrap().pod_ip.as_deref(), Some("10.244.0.5"));
    let mut dying = (*p).clone();
    dying.metadata.deletion_timestamp = Some(Time(Timestamp::now()));
    dying.metadata.deletion_grace_period_seconds = Some(5);
    lab.cluster.put(dying.into());
    lab.until_gone().await;
    assert_eq!(lab.runtime.log(), ["run", "create web", "start web", "stop web 5", "stop sandbox", "remove sandbox"]);
    assert!(!lab.config.root_dir.join("pods/uid-1").exists());
}

#[tokio::test]
async fn a_crash_is_seen_and_restarted() {
    let lab = Lab::new().await;
    lab.cluster.put(pod().into());
    lab.until("ready", kinds::pod::is_ready).await;
    lab.runtime.exit("web", 3);
    let p = lab
        .until("restarted", |p| {
            let s = p.status.as_ref().and_then(|s| s.container_statuses.as_ref()).map(|s| s[0].clone());
            s.is_some_and(|s| s.restart_count == 1 && s.ready)
        })
        .await;
    let s = &p.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0];
    assert_eq!(s.last_state.as_ref().unwrap().terminated.as_ref().unwrap().exit_code, 3);
}

#[tokio::test]
async fn a_restarted_node_adopts_what_runs_and_removes_what_nobody_wants() {
    let mut lab = Lab::new().await;
    lab.cluster.put(pod().into());
    lab.until("ready", kinds::pod::is_ready).await;
    lab.stop().await;
    lab.runtime.stray("old");
    lab.start().await;
    lab.runtime.until(|log| log.iter().filter(|l| *l == "remove sandbox").count() == 1).await;
    assert_eq!(lab.runtime.log()[..3], ["run", "create web", "start web"]);
    assert!(!lab.runtime.log()[3..].iter().any(|l| l.starts_with("start")));
    lab.runtime.exit("web", 1);
    lab.until("restarted", |p| {
        let s = p.status.as_ref().and_then(|s| s.container_statuses.as_ref()).map(|s| s[0].clone());
        s.is_some_and(|s| s.restart_count == 1 && s.ready)
    })
    .await;
}

#[tokio::test]
async fn the_node_registers_with_a_lease() {
    let lab = Lab::new().await;
    let node = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let changed = lab.cluster.changed();
            let s = lab.cluster.snapshot_now();
            let lease = s.get::<kinds::api::coordination::v1::Lease>("kube-node-lease", "n1");
            if let (Some(n), Some(_)) = (s.get::<Node>("", "n1"), lease) {
                return Arc::clone(n);
            }
            changed.await;
        }
    });
    let node = node.await.expect("registers");
    assert!(kinds::conditions::node_is_ready(&node));
    let info = node.status.as_ref().unwrap().node_info.as_ref().unwrap();
    assert_eq!(info.container_runtime_version, "timonel://0.1.0");
    assert_eq!(node.metadata.labels.as_ref().unwrap()["kubernetes.io/hostname"], "n1");
}

#[tokio::test]
async fn config_maps_are_mounted_and_follow_changes() {
    let lab = Lab::new().await;
    let mut p = pod();
    let spec = p.spec.as_mut().unwrap();
    let source = ConfigMapVolumeSource { name: "conf".into(), ..ConfigMapVolumeSource::default() };
    spec.volumes = Some(vec![Volume { name: "v".into(), config_map: Some(source), ..Volume::default() }]);
    spec.containers[0].volume_mounts =
        Some(vec![VolumeMount { name: "v".into(), mount_path: "/etc/conf".into(), ..VolumeMount::default() }]);
    lab.cluster.put(p.into());
    let map = |text: &str| ConfigMap {
        metadata: ObjectMeta { name: Some("conf".into()), namespace: Some("default".into()), ..ObjectMeta::default() },
        data: Some([("k".to_owned(), text.to_owned())].into()),
        ..ConfigMap::default()
    };
    lab.cluster.until_event("MountVolume.SetUp failed for volume \"v\" : configmap \"conf\" not found").await;
    lab.cluster.put(map("one").into());
    lab.until("ready", kinds::pod::is_ready).await;
    let file = lab.config.root_dir.join("pods/uid-1/volumes/kubernetes.io~configmap/v/k");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one");
    lab.cluster.put(map("two").into());
    let watch = crate::watch::FileWatch::new().unwrap();
    watch.directory(file.parent().unwrap()).unwrap();
    while std::fs::read_to_string(&file).unwrap() != "two" {
        tokio::time::timeout(Duration::from_secs(10), watch.changed()).await.expect("is updated").unwrap();
    }
}
