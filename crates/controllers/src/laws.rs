//! Laws of all controllers together: by wakes alone and in any order they come to the same rest.

use crate::harness::Harness;
use crate::{cronjob, daemonset, deployment, endpoints, endpointslice, garbage, job, namespace, podgc, replicas, statefulset};
use kinds::api::apps::v1::{DaemonSet, DaemonSetSpec, Deployment, ReplicaSet, StatefulSet, StatefulSetSpec};
use kinds::api::batch::v1::{Job, JobSpec};
use kinds::api::core::v1::{ConfigMap, Endpoints, Namespace, Pod, Service, ServicePort, ServiceSpec};
use kinds::api::discovery::v1::EndpointSlice;
use kinds::owner::controller_ref;
use kinds::{DeleteOptions, Kind, ObjectKey, OwnerReference, Target};
use proptest::prelude::*;
use std::collections::BTreeSet;
use testkit::build::{self, labels, meta, selector, template};

fn everything() -> Harness {
    Harness::with_json(&[
        &namespace::CONTROLLER,
        &deployment::CONTROLLER,
        &replicas::REPLICASET,
        &daemonset::CONTROLLER,
        &statefulset::CONTROLLER,
        &job::CONTROLLER,
        &cronjob::CONTROLLER,
        &endpoints::CONTROLLER,
        &endpointslice::CONTROLLER,
        &garbage::CONTROLLER,
        &podgc::CONTROLLER,
    ])
}

/// One workload of each kind in `default`, with a service.
fn workloads(h: &Harness, replicas: i32) {
    h.world.given(build::namespace("default"));
    (0..2).for_each(|n| drop(h.world.given(build::node(&format!("n{n}")))));
    h.world.given(build::deployment("web", replicas));
    let service = ServiceSpec {
        selector: Some(labels(&[("app", "web")])),
        ports: Some(vec![ServicePort { port: 80, ..ServicePort::default() }]),
        cluster_ip: Some("10.96.0.9".into()),
        ..ServiceSpec::default()
    };
    h.world.given(Service { metadata: meta("default", "web"), spec: Some(service), status: None });
    let agent = DaemonSetSpec {
        selector: selector(&[("app", "agent")]),
        template: template("agent", "v1"),
        ..DaemonSetSpec::default()
    };
    h.world.given(DaemonSet { metadata: meta("default", "agent"), spec: Some(agent), status: None });
    let db = StatefulSetSpec {
        replicas: Some(replicas),
        selector: selector(&[("app", "db")]),
        template: template("db", "v1"),
        ..StatefulSetSpec::default()
    };
    h.world.given(StatefulSet { metadata: meta("default", "db"), spec: Some(db), status: None });
    let work = JobSpec {
        selector: Some(selector(&[("app", "work")])),
        template: template("work", "v1"),
        parallelism: Some(2),
        completions: Some(2),
        ..JobSpec::default()
    };
    h.world.given(Job { metadata: meta("default", "work"), spec: Some(work), status: None });
}

fn delete(h: &Harness, kind: Kind, namespace: &str, name: &str, how: &str) {
    let options = DeleteOptions { propagation_policy: Some(how.to_owned()), ..DeleteOptions::default() };
    h.world.delete(&Target::new(kind, ObjectKey::new(namespace, name)), &options).expect("deleted");
}

fn ready(h: &Harness, app: &str) -> usize {
    let of = labels(&[("app", app)]);
    let wanted = kinds::Selector::from_map(&of);
    let pods = h.world.all::<Pod>();
    pods.iter().filter(|p| wanted.matches(p.metadata.labels.as_ref()) && kinds::pod::is_ready(p)).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn workloads_come_to_the_same_rest_in_any_order(order in proptest::collection::vec(0usize..1000, 64), replicas in 0i32..4) {
        let mut at = 0;
        let mut pick = |n: usize| { at += 1; order[at % order.len()] % n };
        let mut h = everything();
        workloads(&h, replicas);
        h.settle_by_wakes(&mut pick);
        let n = usize::try_from(replicas).expect("small");
        prop_assert_eq!([ready(&h, "web"), ready(&h, "db"), ready(&h, "agent"), ready(&h, "work")], [n, n, 2, 2]);
        let addresses: usize = h.world.all::<EndpointSlice>().iter().map(|s| s.endpoints.as_ref().map_or(0, Vec::len)).sum();
        prop_assert_eq!(addresses, n);
        // A new image, a node less, and then the namespace goes.
        h.wait(1);
        h.world.edit::<Deployment>("default", "web", |d| {
            d.spec.as_mut().expect("spec").template.spec.as_mut().expect("spec").containers[0].image = Some("v2".into());
        });
        h.world.erase::<kinds::api::core::v1::Node>("", "n1");
        h.settle_by_wakes(&mut pick);
        prop_assert_eq!([ready(&h, "web"), ready(&h, "agent")], [n, 1]);
        prop_assert_eq!(h.world.all::<ReplicaSet>().len(), 2);
        delete(&h, Kind::Namespace, "", "default", "Background");
        h.settle_by_wakes(&mut pick);
        prop_assert!(h.world.all::<Namespace>().is_empty());
        prop_assert!(h.world.all::<Pod>().is_empty() && h.world.all::<Endpoints>().is_empty());
    }

    /// Objects live while a way of living owners leads to them, whatever the order of looking.
    #[test]
    fn garbage_is_what_no_living_owner_holds(
        edges in proptest::collection::vec((0usize..12, 0usize..12, any::<bool>()), 0..24),
        gone in proptest::collection::btree_set(0usize..12, 0..4),
        foreground in any::<bool>(),
        order in proptest::collection::vec(0usize..1000, 32),
    ) {
        let mut h = Harness::new(&[&garbage::CONTROLLER]);
        let edges: Vec<_> = edges.into_iter().filter(|(from, to, _)| from < to).collect();
        let mut made: Vec<std::sync::Arc<ConfigMap>> = Vec::new();
        for n in 0..12 {
            let mut owners: Vec<OwnerReference> = Vec::new();
            for (from, _, blocks) in edges.iter().filter(|(_, to, _)| *to == n) {
                let r = OwnerReference { controller: None, block_owner_deletion: Some(*blocks), ..controller_ref(&*made[*from]) };
                if !owners.iter().any(|o| o.uid == r.uid) {
                    owners.push(r);
                }
            }
            let mut metadata = meta("default", &format!("o{n:02}"));
            metadata.owner_references = (!owners.is_empty()).then_some(owners);
            made.push(h.world.given(ConfigMap { metadata, ..ConfigMap::default() }));
        }
        for n in &gone {
            delete(&h, Kind::ConfigMap, "default", &format!("o{n:02}"), if foreground { "Foreground" } else { "Background" });
        }
        let mut alive = BTreeSet::new();
        for n in 0..12 {
            let owners: Vec<usize> = edges.iter().filter(|(_, to, _)| *to == n).map(|(from, ..)| *from).collect();
            if !gone.contains(&n) && (owners.is_empty() || owners.iter().any(|o| alive.contains(o))) {
                alive.insert(n);
            }
        }
        let mut at = 0;
        h.settle_by_wakes(|n| { at += 1; order[at % order.len()] % n });
        let left: BTreeSet<usize> = h.world.all::<ConfigMap>().iter()
            .filter_map(|m| m.metadata.name.as_deref()?.strip_prefix('o')?.parse().ok()).collect();
        prop_assert_eq!(left, alive);
    }
}
