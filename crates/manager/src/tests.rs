//! The whole manager over the in-memory world: a deployment becomes pods, and events tell of it.

use crate::{ApiFactory, Config, Deps, start};
use cache::{Interest, Source};
use controllers::Subject;
use kinds::api::apps::v1::ReplicaSet;
use kinds::api::core::v1::{ConfigMap, Event, Pod, ServiceAccount};
use kinds::{Api, ApiError, Kind};
use std::sync::Arc;
use testkit::World;
use testkit::build::{deployment, namespace};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

struct Running {
    world: Arc<World>,
    metrics: base::metrics::Registry,
    shutdown: CancellationToken,
    handle: crate::Handle,
}

fn running(world: World) -> Running {
    let world = Arc::new(world);
    let for_api = Arc::clone(&world);
    let api: ApiFactory = Arc::new(move |_| Arc::clone(&for_api) as Arc<dyn Api>);
    let shutdown = CancellationToken::new();
    let metrics = base::metrics::Registry::default();
    let deps = Deps {
        source: Arc::clone(&world) as Arc<dyn Source>,
        api,
        clock: Arc::clone(&world.clock) as Arc<dyn base::Clock>,
        ids: Arc::clone(&world.ids) as Arc<dyn base::Ids>,
        metrics: metrics.clone(),
        leading: None,
        shutdown: shutdown.clone(),
    };
    Running { world, metrics, shutdown, handle: start(Config::default(), deps) }
}

/// Waits for changes until the condition holds.
async fn until(world: &World, what: &str, condition: impl Fn(&World) -> bool) {
    let mut changes = world.subscribe(Interest::Everything);
    let wait = async {
        while !condition(world) {
            changes.next().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn a_deployment_becomes_pods_and_events() {
    let r = running(World::default());
    r.world.given(namespace("default"));
    r.world.given(deployment("web", 3));
    until(&r.world, "three pods", |w| w.all::<Pod>().len() == 3).await;
    until(&r.world, "the account and the bundle", |w| {
        !w.all::<ServiceAccount>().is_empty() && !w.all::<ConfigMap>().is_empty()
    })
    .await;
    until(&r.world, "events", |w| w.all::<Event>().len() >= 4).await;
    let told: Vec<String> = r.world.all::<Event>().iter().filter_map(|e| e.reason.clone()).collect();
    assert!(told.iter().any(|r| r == "ScalingReplicaSet") && told.iter().filter(|r| *r == "SuccessfulCreate").count() == 3);
    assert!(r.metrics.expose().contains("workqueue_adds_total{name=\"replicaset\"}"));
    r.world.erase::<kinds::api::apps::v1::Deployment>("default", "web");
    until(&r.world, "garbage", |w| w.all::<Pod>().is_empty() && w.all::<ReplicaSet>().is_empty()).await;
    r.shutdown.cancel();
    r.handle.stopped().await;
}

#[tokio::test]
async fn what_failed_is_tried_again() {
    let w = World::default();
    w.refuse(|verb, o| (verb == "create" && o.kind() == Some(Kind::Pod)).then(|| ApiError::unavailable("not now")));
    w.given(deployment("web", 1));
    let r = running(w);
    until(&r.world, "the failure told", |w| {
        w.all::<ReplicaSet>().iter().any(|s| s.status.as_ref().is_some_and(|s| s.conditions.is_some()))
    })
    .await;
    r.world.accept();
    until(&r.world, "the pod", |w| w.all::<Pod>().len() == 1).await;
    r.shutdown.cancel();
    r.handle.stopped().await;
}

#[test]
fn queues_hold_a_subject_once_and_again_after_it_ran() {
    let mut q = crate::queue::Queue::default();
    let (now, s) = (Instant::now(), Subject::named(Kind::Pod, "a", "b"));
    assert!(q.add(s.clone(), now) && !q.add(s.clone(), now));
    assert!(q.take(now).is_some() && q.take(now).is_none());
    assert!(q.add(s.clone(), now), "while it runs");
    assert!(q.take(now).is_none());
    assert!(q.done(&s, now).1 && q.take(now).is_some());
    assert!(!q.done(&s, now).1);
    assert_eq!((q.failed(&s), q.failed(&s)), (1, 2));
}

#[test]
fn of_two_dates_the_earlier_counts() {
    let mut t = crate::timers::Timers::default();
    let (now, s) = (Instant::now(), Subject::named(Kind::Pod, "a", "b"));
    let ms = |n| now + std::time::Duration::from_millis(n);
    t.set((0, s.clone()), ms(50));
    t.set((0, s.clone()), ms(10));
    t.set((0, s.clone()), ms(90));
    assert_eq!(t.next(), Some(ms(10)));
    assert!(t.pop(ms(5)).is_none());
    assert_eq!(t.pop(ms(10)), Some((0, s)));
    assert!(t.pop(ms(100)).is_none(), "the later date is gone");
}
