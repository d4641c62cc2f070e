//! The scheduler's shell over the in-memory world.

use super::{SchedulerConfig, SchedulerDeps, SchedulerHandle, start_scheduler};
use crate::events::Recorder;
use crate::ApiFactory;
use cache::{Interest, Source};
use kinds::api::core::v1::{
    Container, Event, Node, PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimVolumeSource, Pod, PodCondition,
    PodSpec, ResourceRequirements, Volume,
};
use kinds::api::storage::v1::StorageClass;
use kinds::{Api, ApiError, DeleteOptions, Fut, Kind, Object, ObjectKey, Patch, QuantityText, Resource, Revision, Target, WriteOptions};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::World;
use testkit::build::{meta, node};
use tokio_util::sync::CancellationToken;

/// The world with what a scheduler also needs: bindings and patches of pod status.
struct Cluster {
    world: Arc<World>,
    refuses: AtomicBool,
}

impl Cluster {
    fn bind(&self, target: &Target, object: &Object) -> Result<Object, ApiError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(ApiError::internal("no"));
        }
        let Object::Binding(b) = object else { return Err(ApiError::bad_request("no binding")) };
        let key = &target.key;
        let node = b.target.name.clone();
        self.world.edit::<Pod>(&key.namespace, &key.name, |p| p.spec.get_or_insert_default().node_name = node);
        Ok(object.clone())
    }
    fn status(&self, target: &Target, patch: &Patch) -> Object {
        let body: serde_json::Value = serde_json::from_slice(&patch.body).expect("JSON");
        let text = |v: &serde_json::Value| v.as_str().map(str::to_owned);
        self.world.edit::<Pod>(&target.key.namespace, &target.key.name, |p| {
            let status = p.status.get_or_insert_default();
            let all = status.conditions.get_or_insert_default();
            for c in body["status"]["conditions"].as_array().into_iter().flatten() {
                all.retain(|o| o.type_ != c["type"]);
                all.push(PodCondition {
                    type_: text(&c["type"]).expect("a type"),
                    status: text(&c["status"]).expect("a status"),
                    reason: text(&c["reason"]),
                    message: text(&c["message"]),
                    ..PodCondition::default()
                });
            }
            if let Some(n) = body["status"].get("nominatedNodeName") {
                status.nominated_node_name = text(n);
            }
        });
        Arc::clone(&self.world.get::<Pod>(&target.key.namespace, &target.key.name)).as_ref().clone().into()
    }
}

impl Api for Cluster {
    fn get(&self, target: Target) -> Fut<'_, Object> {
        Api::get(&*self.world, target)
    }
    fn list(&self, resource: Resource, namespace: String) -> Fut<'_, (Vec<Object>, Revision)> {
        Api::list(&*self.world, resource, namespace)
    }
    fn create(&self, target: Target, object: Object, options: WriteOptions) -> Fut<'_, Object> {
        match target.subresource {
            "binding" => Box::pin(std::future::ready(self.bind(&target, &object))),
            _ => Api::create(&*self.world, target, object, options),
        }
    }
    fn update(&self, target: Target, object: Object, options: WriteOptions) -> Fut<'_, Object> {
        Api::update(&*self.world, target, object, options)
    }
    fn patch(&self, target: Target, patch: Patch, options: WriteOptions) -> Fut<'_, Object> {
        match target.subresource {
            "status" => Box::pin(std::future::ready(Ok(self.status(&target, &patch)))),
            _ => Api::patch(&*self.world, target, patch, options),
        }
    }
    fn delete(&self, target: Target, options: DeleteOptions) -> Fut<'_, Option<Object>> {
        Api::delete(&*self.world, target, options)
    }
}

struct Running {
    world: Arc<World>,
    cluster: Arc<Cluster>,
    metrics: base::metrics::Registry,
    shutdown: CancellationToken,
    handle: SchedulerHandle,
}

fn running() -> Running {
    let world = Arc::new(World::default());
    let cluster = Arc::new(Cluster { world: Arc::clone(&world), refuses: AtomicBool::new(false) });
    let for_api = Arc::clone(&cluster);
    let api: ApiFactory = Arc::new(move |_| Arc::clone(&for_api) as Arc<dyn Api>);
    let shutdown = CancellationToken::new();
    let metrics = base::metrics::Registry::default();
    let clock = Arc::clone(&world.clock) as Arc<dyn base::Clock>;
    let recorder = Recorder::start(Arc::clone(&api), Arc::clone(&clock), shutdown.clone());
    let deps = SchedulerDeps {
        source: Arc::clone(&world) as Arc<dyn Source>,
        api: api("system:kube-scheduler"),
        clock,
        ids: Arc::clone(&world.ids) as Arc<dyn base::Ids>,
        recorder,
        metrics: metrics.clone(),
        leading: None,
        shutdown: shutdown.clone(),
    };
    let handle = start_scheduler(&SchedulerConfig::default(), deps);
    Running { world, cluster, metrics, shutdown, handle }
}

async fn until(world: &World, what: &str, condition: impl Fn(&World) -> bool) {
    let mut changes = world.subscribe(Interest::Everything);
    let wait = async {
        while !condition(world) {
            changes.next().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn amounts(pairs: &[(&str, &str)]) -> BTreeMap<String, QuantityText> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), QuantityText((*v).to_owned()))).collect()
}

fn sized(name: &str, cpu: &str) -> Node {
    let mut n = node(name);
    n.status.get_or_insert_default().allocatable = Some(amounts(&[("cpu", cpu), ("memory", "4Gi"), ("pods", "110")]));
    n
}

fn pod(name: &str, cpu: &str, priority: i32) -> Pod {
    let resources = ResourceRequirements { requests: Some(amounts(&[("cpu", cpu)])), ..ResourceRequirements::default() };
    let container = Container { name: "main".into(), resources: Some(resources), ..Container::default() };
    Pod {
        metadata: meta("default", name),
        spec: Some(PodSpec { containers: vec![container], priority: Some(priority), ..PodSpec::default() }),
        status: None,
    }
}

fn node_of(w: &World, name: &str) -> Option<String> {
    w.get::<Pod>("default", name).spec.as_ref().and_then(|s| s.node_name.clone())
}

fn said(w: &World, reason: &str, message: &str) -> bool {
    w.all::<Event>().iter().any(|e| e.reason.as_deref() == Some(reason) && e.message.as_deref() == Some(message))
}

#[tokio::test]
async fn pods_are_bound_and_the_rest_is_told_why() {
    let r = running();
    r.world.given(sized("n1", "2"));
    for n in 0..3 {
        r.world.given(pod(&format!("p{n}"), "600m", 0));
    }
    until(&r.world, "three bound", |w| (0..3).all(|n| node_of(w, &format!("p{n}")).as_deref() == Some("n1"))).await;
    until(&r.world, "told", |w| said(w, "Scheduled", "Successfully assigned default/p0 to n1")).await;
    r.world.given(pod("big", "600m", 0));
    const WHY: &str = "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: \
                       0/1 nodes are available: 1 No preemption victims found for incoming pod.";
    until(&r.world, "told why not", |w| said(w, "FailedScheduling", WHY)).await;
    until(&r.world, "the condition", |w| {
        let p = w.get::<Pod>("default", "big");
        kinds::conditions::pod_condition(&p, "PodScheduled")
            .is_some_and(|c| c.reason.as_deref() == Some("Unschedulable") && c.message.as_deref() == Some(WHY))
    })
    .await;
    assert!(r.handle.why(&ObjectKey::new("default", "big")).is_some());
    r.world.erase::<Pod>("default", "p1");
    until(&r.world, "bound when there is room", |w| node_of(w, "big").is_some()).await;
    r.shutdown.cancel();
    r.handle.stopped().await;
    assert!(r.metrics.expose().contains("scheduler_schedule_attempts_total{profile=\"default-scheduler\",result=\"scheduled\"} 4"));
}

#[tokio::test]
async fn no_nodes_then_one() {
    let r = running();
    r.world.given(pod("p", "100m", 0));
    until(&r.world, "told", |w| said(w, "FailedScheduling", "no nodes available to schedule pods")).await;
    r.world.given(sized("n1", "2"));
    until(&r.world, "bound", |w| node_of(w, "p").is_some()).await;
    r.shutdown.cancel();
}

#[tokio::test]
async fn important_pods_make_room() {
    let r = running();
    r.world.given(sized("n1", "1"));
    r.world.given(pod("low", "800m", 0));
    until(&r.world, "bound", |w| node_of(w, "low").is_some()).await;
    r.world.given(pod("high", "800m", 100));
    until(&r.world, "the victim goes", |w| w.get::<Pod>("default", "low").metadata.deletion_timestamp.is_some()).await;
    until(&r.world, "hope", |w| {
        w.get::<Pod>("default", "high").status.as_ref().is_some_and(|s| s.nominated_node_name.as_deref() == Some("n1"))
    })
    .await;
    until(&r.world, "told", |w| w.all::<Event>().iter().any(|e| e.reason.as_deref() == Some("Preempted"))).await;
    r.world.erase::<Pod>("default", "low");
    until(&r.world, "bound", |w| node_of(w, "high").is_some()).await;
    r.shutdown.cancel();
}

#[tokio::test]
async fn a_refused_binding_is_tried_again() {
    let r = running();
    r.cluster.refuses.store(true, Ordering::SeqCst);
    r.world.given(sized("n1", "1"));
    r.world.given(pod("p", "800m", 0));
    until(&r.world, "told", |w| said(w, "FailedScheduling", "binding rejected: running Bind plugin \"DefaultBinder\": Internal error occurred: no")).await;
    r.cluster.refuses.store(false, Ordering::SeqCst);
    r.world.clock.advance(std::time::Duration::from_secs(11));
    r.world.given(sized("n2", "1"));
    until(&r.world, "bound", |w| node_of(w, "p").is_some()).await;
    assert_eq!(Resource::from(Kind::Pod).plural(), "pods");
    r.shutdown.cancel();
}

#[tokio::test]
async fn a_pod_waits_for_its_volume() {
    let r = running();
    r.world.given(sized("n1", "1"));
    r.world.given(StorageClass {
        metadata: meta("", "later"),
        provisioner: "x".into(),
        volume_binding_mode: Some("WaitForFirstConsumer".into()),
        ..StorageClass::default()
    });
    r.world.given(PersistentVolumeClaim {
        metadata: meta("default", "data"),
        spec: Some(PersistentVolumeClaimSpec { storage_class_name: Some("later".into()), ..PersistentVolumeClaimSpec::default() }),
        status: None,
    });
    let mut p = pod("p", "100m", 0);
    let claim = PersistentVolumeClaimVolumeSource { claim_name: "data".into(), read_only: None };
    let volume = Volume { name: "v".into(), persistent_volume_claim: Some(claim), ..Volume::default() };
    p.spec.get_or_insert_default().volumes = Some(vec![volume]);
    r.world.given(p);
    const NODE: &str = "volume.kubernetes.io/selected-node";
    let noted = |w: &World, key: &str| {
        let c = w.get::<PersistentVolumeClaim>("default", "data");
        c.metadata.annotations.as_ref().and_then(|a| a.get(key).cloned())
    };
    until(&r.world, "the node is told", |w| noted(w, NODE).as_deref() == Some("n1")).await;
    assert_eq!(node_of(&r.world, "p"), None, "its volume is not there yet");
    r.world.edit::<PersistentVolumeClaim>("default", "data", |c| {
        c.spec.get_or_insert_default().volume_name = Some("v".into());
        c.metadata.annotations.get_or_insert_default().insert("pv.kubernetes.io/bind-completed".into(), "yes".into());
    });
    until(&r.world, "bound", |w| node_of(w, "p").is_some()).await;
    r.shutdown.cancel();
}
