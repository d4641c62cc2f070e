//! The laws. Some hold at every moment; the others when faults have ended and time has passed.

use super::heart::PODS_MAX;
use super::life::Life;
use super::machine::Machine;
use super::watcher::Watcher;
use base::Clock;
use cache::Snapshot;
use controllers::Ctx;
use kinds::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use kinds::api::batch::v1::Job;
use kinds::api::core::v1::{Namespace, Node, Pod, Service};
use kinds::api::discovery::v1::EndpointSlice;
use kinds::pod::{is_ready, is_terminal, requests};
use kinds::{Kind, ObjectKey, ObjectMeta, Quantity};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Law = Result<(), String>;

fn key(meta: &ObjectMeta) -> ObjectKey {
    ObjectKey::of(meta)
}

/// What holds at every moment.
///
/// # Errors
/// The law that is broken.
pub fn always(life: &Life, machines: &[Arc<Machine>]) -> Law {
    let snapshot = life.snapshot();
    room(&snapshot)?;
    snapshot.audit().map_err(|index| format!("the index {index} is not what the tables say"))?;
    let mut running: BTreeMap<String, String> = BTreeMap::new();
    for machine in machines {
        if let Some(offence) = machine.offences().first() {
            return Err(offence.clone());
        }
        for (name, uid) in machine.running() {
            if let Some(other) = running.insert(name.clone(), machine.name.clone()) {
                return Err(format!("two pods are called {name} and run: on {other} and on {} ({uid})", machine.name));
            }
        }
    }
    Ok(())
}

/// Never more pods on a node than it holds.
fn room(snapshot: &Snapshot) -> Law {
    for node in snapshot.list::<Node>("") {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let pods: Vec<_> = snapshot.pods_on(name).filter(|p| !is_terminal(p)).collect();
        if pods.len() as i64 > PODS_MAX {
            return Err(format!("{} pods on {name}", pods.len()));
        }
        let has = |what: &str| {
            let all = node.status.as_ref().and_then(|s| s.allocatable.as_ref())?;
            Quantity::parse(&all.get(what)?.0).ok().map(|q| q.milli_value())
        };
        for what in ["cpu", "memory"] {
            let asks = |p: &&Arc<Pod>| requests(p.spec.as_ref().expect("a spec")).get(what).map_or(0, Quantity::milli_value);
            let sum: i64 = pods.iter().map(asks).sum();
            if has(what).is_some_and(|has| sum > has) {
                return Err(format!("{name}: its pods ask for {sum} thousandths of {what}, it has {:?}", has(what)));
            }
        }
    }
    Ok(())
}

/// What holds when everything has come to rest.
///
/// # Errors
/// The first law that does not hold (yet).
pub fn at_rest(life: &Life, machines: &[Arc<Machine>], watchers: &[Arc<Watcher>]) -> Law {
    let snapshot = life.snapshot();
    replicas(&snapshot)?;
    daemons(&snapshot)?;
    jobs(&snapshot)?;
    namespaces(&snapshot)?;
    pods(&snapshot, machines)?;
    endpoints(&snapshot)?;
    orphans(&snapshot)?;
    fix_point(life, &snapshot)?;
    life.scheduler.audit().map_err(|e| format!("the node table is not what the pods say: {e}"))?;
    let truth = life.truth.lock();
    truth.check()?;
    watchers.iter().try_for_each(|w| w.check(&truth))
}

fn replicas(snapshot: &Snapshot) -> Law {
    for d in snapshot.list::<Deployment>("") {
        let want = d.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
        let s = d.status.clone().unwrap_or_default();
        let have = [s.replicas, s.updated_replicas, s.ready_replicas, s.available_replicas].map(Option::unwrap_or_default);
        if have != [want; 4] {
            return Err(format!("deployment {} wants {want}: {have:?}", key(&d.metadata)));
        }
    }
    for r in snapshot.list::<ReplicaSet>("") {
        let want = r.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
        let s = r.status.clone().unwrap_or_default();
        if (s.replicas, s.ready_replicas.unwrap_or_default()) != (want, want) {
            return Err(format!("replicaset {} wants {want}: {s:?}", key(&r.metadata)));
        }
    }
    for set in snapshot.list::<StatefulSet>("") {
        let want = set.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
        let s = set.status.clone().unwrap_or_default();
        let have = [s.replicas, s.ready_replicas.unwrap_or_default(), s.updated_replicas.unwrap_or_default()];
        if have != [want; 3] {
            return Err(format!("statefulset {} wants {want}: {have:?}", key(&set.metadata)));
        }
    }
    Ok(())
}

fn daemons(snapshot: &Snapshot) -> Law {
    let nodes = snapshot.list::<Node>("").count() as i32;
    for d in snapshot.list::<DaemonSet>("") {
        let s = d.status.clone().unwrap_or_default();
        if (s.desired_number_scheduled, s.number_ready, s.updated_number_scheduled) != (nodes, nodes, Some(nodes).filter(|n| *n > 0)) {
            return Err(format!("daemonset {} on {nodes} nodes: {s:?}", key(&d.metadata)));
        }
    }
    Ok(())
}

fn jobs(snapshot: &Snapshot) -> Law {
    for j in snapshot.list::<Job>("") {
        let spec = j.spec.clone().unwrap_or_default();
        let stands = spec.suspend == Some(true) || spec.parallelism == Some(0);
        let conditions = j.status.as_ref().and_then(|s| s.conditions.clone()).unwrap_or_default();
        let over = conditions.iter().any(|c| c.status == "True" && (c.type_ == "Complete" || c.type_ == "Failed"));
        let active = j.status.as_ref().and_then(|s| s.active).unwrap_or_default();
        if active != 0 || !(over || stands) {
            return Err(format!("job {} is not over: {active} active, {conditions:?}", key(&j.metadata)));
        }
    }
    Ok(())
}

/// Deletion of namespaces completes, and takes everything along.
fn namespaces(snapshot: &Snapshot) -> Law {
    if let Some(n) = snapshot.list::<Namespace>("").find(|n| n.metadata.deletion_timestamp.is_some()) {
        return Err(format!("namespace {} is still there: {:?}", key(&n.metadata), n.status));
    }
    for (resource, table) in snapshot.tables().filter(|(r, _)| r.namespaced()) {
        let lost = |e: &&Arc<cache::Entry>| snapshot.get::<Namespace>("", &e.key.namespace).is_none();
        if let Some(e) = table.iter().find(lost) {
            return Err(format!("{} {} has no namespace", resource.plural(), e.key));
        }
    }
    Ok(())
}

fn pods(snapshot: &Snapshot, machines: &[Arc<Machine>]) -> Law {
    for p in snapshot.list::<Pod>("") {
        let node = p.spec.as_ref().and_then(|s| s.node_name.clone()).unwrap_or_default();
        if snapshot.get::<Node>("", &node).is_none() {
            return Err(format!("pod {} is on no node ({node:?})", key(&p.metadata)));
        }
        if p.metadata.deletion_timestamp.is_some() {
            return Err(format!("pod {} lingers", key(&p.metadata)));
        }
        if !is_terminal(p) && !is_ready(p) {
            return Err(format!("pod {} is not ready: {:?}", key(&p.metadata), p.status.as_ref().and_then(|s| s.conditions.clone())));
        }
    }
    let known: BTreeSet<&str> = snapshot.list::<Pod>("").filter_map(|p| p.metadata.uid.as_deref()).collect();
    for machine in machines {
        if let Some(uid) = machine.left().iter().find(|u| !known.contains(u.as_str())) {
            return Err(format!("{} still holds something of pod {uid}, which is gone", machine.name));
        }
    }
    Ok(())
}

/// Endpoints are the ready pods.
fn endpoints(snapshot: &Snapshot) -> Law {
    for service in snapshot.list::<Service>("") {
        let name = key(&service.metadata);
        let Some(selector) = service.spec.as_ref().and_then(|s| s.selector.clone()) else { continue };
        let selected = |p: &&Arc<Pod>| selector.iter().all(|(k, v)| p.metadata.labels.as_ref().and_then(|l| l.get(k)) == Some(v));
        let ip = |p: &Arc<Pod>| p.status.as_ref().and_then(|s| s.pod_ip.clone()).unwrap_or_default();
        let want: BTreeSet<String> =
            snapshot.list::<Pod>(&name.namespace).filter(selected).filter(|p| is_ready(p) && !is_terminal(p)).map(ip).collect();
        let slices = snapshot.slices_of(&name.namespace, &name.name).cloned().collect::<Vec<Arc<EndpointSlice>>>();
        let have: BTreeSet<String> = slices
            .iter()
            .flat_map(|s| s.endpoints.iter().flatten())
            .filter(|e| e.conditions.as_ref().and_then(|c| c.ready) != Some(false))
            .flat_map(|e| e.addresses.clone())
            .collect();
        if want != have {
            return Err(format!("service {name}: ready pods {want:?}, endpoints {have:?}"));
        }
    }
    Ok(())
}

/// The garbage collector leaves no orphan: whoever is owned has an owner.
fn orphans(snapshot: &Snapshot) -> Law {
    let uids: BTreeSet<&str> =
        snapshot.tables().flat_map(|(_, t)| t.iter()).filter_map(|e| e.meta().uid.as_deref()).collect();
    for (resource, table) in snapshot.tables() {
        for e in table.iter() {
            let owners = e.meta().owner_references.as_deref().unwrap_or_default();
            if let Some(gone) = owners.iter().find(|o| !uids.contains(o.uid.as_str())) {
                return Err(format!("{} {} is owned by {} {}, which is gone", resource.plural(), e.key, gone.kind, gone.name));
            }
            if e.meta().deletion_timestamp.is_some() {
                return Err(format!("{} {} lingers: {:?}", resource.plural(), e.key, e.meta().finalizers));
            }
        }
    }
    Ok(())
}

/// Planning again makes no changes.
fn fix_point(life: &Life, snapshot: &Snapshot) -> Law {
    let ctx = Ctx { now: life.clock.now(), seed: 1, config: &life.controllers, failed: None };
    for c in controllers::ALL {
        for subject in (c.subjects)(snapshot) {
            let Some(plan) = (c.plan)(snapshot, &subject, &ctx).filter(|p| !p.is_idle()) else { continue };
            let what: Vec<String> = plan.steps().map(|s| format!("{:?}", s.action)).map(|t| t.chars().take(300).collect()).collect();
            return Err(format!("{} would still work on {}: {} {what:?}", c.name, subject.key, plan.because));
        }
    }
    Ok(())
}

/// Whether the node of a machine is Ready in the API.
#[must_use]
pub fn is_ready_node(snapshot: &Snapshot, name: &str) -> bool {
    let node = snapshot.entry(&Kind::Node.into(), &ObjectKey::cluster(name.to_owned()));
    node.and_then(|e| e.object().typed::<Node>()).is_some_and(|n| kinds::conditions::node_is_ready(n))
}
