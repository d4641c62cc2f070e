//! `pods/resize`: cpu and memory of containers, and of a pod as a whole, as long as its QoS class stays.
//! KEP-1287 (containers), KEP-5419 (pods as a whole).

use super::update::spec;
use crate::read::items;
use kinds::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use kinds::{FieldErrors, Path, QuantityText};
use std::collections::BTreeMap;

const RESIZABLE: [&str; 2] = ["cpu", "memory"];
const MIRROR: &str = "kubernetes.io/config.mirror";

type Amounts = Option<BTreeMap<String, QuantityText>>;

/// A resize; the parts that cannot change through it were put back before.
pub fn validate(n: &Pod, o: &Pod, e: &mut FieldErrors) {
    let path = Path::new("spec");
    let (new, old) = (spec(n), spec(o));
    super::spec::validate(&new, &path, e);
    let fixed = o.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(MIRROR));
    let windows = old.os.as_ref().is_some_and(|os| os.name == "windows");
    for (is, why) in [(fixed, "static pods cannot be resized"), (windows, "windows pods cannot be resized")] {
        if is {
            e.0.clear();
            // The path of nothing, as it is printed.
            e.forbidden(&Path::new("[]"), why);
            return;
        }
    }
    if kinds::pod::qos_class(&new) != kinds::pod::qos_class(&old) {
        // The class that the status still tells.
        let told = n.status.as_ref().and_then(|st| st.qos_class.clone()).unwrap_or_default();
        e.invalid(&path, told, "Pod QOS Class may not change as a result of resizing");
    }
    let statuses = o.status.as_ref().map(|s| items(&s.container_statuses)).unwrap_or_default();
    // An old kubelet tells of no container what it has.
    if statuses.iter().find(|c| c.state.as_ref().is_some_and(|s| s.running.is_some())).is_some_and(|c| c.resources.is_none()) {
        e.forbidden(&path, "Pod running on node without support for resize");
    }
    let mut rest = new.clone();
    as_a_whole(&mut rest, &old, &path, e);
    if o.status.as_ref().is_some_and(|s| !items(&s.node_allocatable_resource_claim_statuses).is_empty()) {
        e.forbidden(&path, "pods with node allocatable resource claims cannot be resized");
    }
    if !same_containers(&new, &old, &path, e) {
        return;
    }
    containers(&mut rest, &old, &path, e);
    if e.is_empty() && rest != old {
        e.forbidden(&path, "only cpu and memory resources are mutable");
    }
}

/// Whether a pod asks for resources as a whole.
fn asks(p: &PodSpec) -> bool {
    let any = |m: &Amounts| m.as_ref().is_some_and(|m| !m.is_empty());
    p.resources.as_ref().is_some_and(|r| any(&r.requests) || any(&r.limits))
}

fn as_a_whole(rest: &mut PodSpec, old: &PodSpec, path: &Path, e: &mut FieldErrors) {
    if !asks(rest) && !asks(old) {
        return;
    }
    let at = path.child("resources");
    let (Some(now), was) = (rest.resources.clone(), old.resources.clone().unwrap_or_default()) else {
        e.forbidden(&at, "pod-level resources cannot be removed");
        return;
    };
    for (name, now, was) in [("requests", &now.requests, &was.requests), ("limits", &now.limits, &was.limits)] {
        if removed(now, was) {
            e.forbidden(&at.child(name), format!("pod-level resource {name} cannot be removed"));
        }
    }
    restore(&mut rest.resources, old.resources.as_ref());
    if !alike(rest.resources.as_ref(), old.resources.as_ref()) {
        e.forbidden(path, "only cpu and memory resources are mutable at pod-level");
    }
    rest.resources.clone_from(&old.resources);
}

/// Puts back cpu and memory as they were.
fn restore(now: &mut Option<ResourceRequirements>, was: Option<&ResourceRequirements>) {
    let put = |now: &mut Amounts, was: Option<&BTreeMap<String, QuantityText>>| {
        let map = now.get_or_insert_default();
        for name in RESIZABLE {
            match was.and_then(|w| w.get(name)) {
                Some(q) => drop(map.insert(name.to_owned(), q.clone())),
                None => drop(map.remove(name)),
            }
        }
    };
    let now = now.get_or_insert_default();
    put(&mut now.requests, was.and_then(|w| w.requests.as_ref()));
    put(&mut now.limits, was.and_then(|w| w.limits.as_ref()));
}

/// Empty lists and absent ones are the same.
fn alike(a: Option<&ResourceRequirements>, b: Option<&ResourceRequirements>) -> bool {
    let plain = |r: Option<&ResourceRequirements>| {
        let r = r.cloned().unwrap_or_default();
        (r.requests.unwrap_or_default(), r.limits.unwrap_or_default(), r.claims.unwrap_or_default())
    };
    plain(a) == plain(b)
}

fn removed(now: &Amounts, was: &Amounts) -> bool {
    was.iter().flatten().any(|(name, _)| now.as_ref().is_none_or(|n| !n.contains_key(name)))
}

fn same_containers(new: &PodSpec, old: &PodSpec, path: &Path, e: &mut FieldErrors) -> bool {
    let before = e.len();
    let groups = [
        ("containers", new.containers.as_slice(), old.containers.as_slice()),
        ("initContainers", items(&new.init_containers), items(&old.init_containers)),
    ];
    for (group, now, was) in groups {
        if now.len() != was.len() {
            e.forbidden(&path.child(group), format!("{group} may not be added or removed on resize"));
            continue;
        }
        for (i, _) in now.iter().zip(was).enumerate().filter(|(_, (n, w))| n.name != w.name) {
            e.forbidden(&path.child(group).index(i).child("name"), format!("{group} may not be renamed or reordered on resize"));
        }
    }
    e.len() == before
}

/// Judges what changes of containers, and puts it back.
fn containers(rest: &mut PodSpec, old: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let inits = rest.init_containers.clone().unwrap_or_default();
    for (group, now, was) in [("initContainers", inits.as_slice(), items(&old.init_containers)), ("containers", &rest.containers, &old.containers)] {
        for (i, (c, o)) in now.iter().zip(was).enumerate() {
            kept(c, o, &path.child(group).index(i).child("resources"), e);
        }
    }
    for (c, o) in rest.containers.iter_mut().zip(&old.containers) {
        restore(&mut c.resources, o.resources.as_ref());
        if !put_back(c, o) {
            e.forbidden(path, "only cpu and memory resources are mutable");
        }
    }
    for (i, (c, o)) in rest.init_containers.iter_mut().flatten().zip(items(&old.init_containers)).enumerate() {
        let changed = c != o;
        restore(&mut c.resources, o.resources.as_ref());
        let at = path.child("initContainers").index(i);
        let restarts = items(&c.resize_policy).iter().any(|p| p.restart_policy == "RestartContainer");
        if !put_back(c, o) {
            e.forbidden(&at, "only cpu and memory resources for init or sidecar containers are mutable");
        }
        if changed && restarts && !kinds::pod::is_sidecar(o) {
            e.forbidden(&at, "non-sidecar init containers with a resize policy of RestartContainer cannot be resized");
        }
    }
}

fn kept(c: &Container, o: &Container, at: &Path, e: &mut FieldErrors) {
    let (now, was) = (c.resources.clone().unwrap_or_default(), o.resources.clone().unwrap_or_default());
    for (name, now, was) in [("requests", &now.requests, &was.requests), ("limits", &now.limits, &was.limits)] {
        if removed(now, was) {
            e.forbidden(&at.child(name), format!("resource {name} cannot be removed"));
        }
    }
}

/// The container as it was; whether nothing else than cpu and memory made it another one.
fn put_back(c: &mut Container, o: &Container) -> bool {
    let same = alike(c.resources.as_ref(), o.resources.as_ref());
    c.resources.clone_from(&o.resources);
    c.resize_policy.clone_from(&o.resize_policy);
    same && c == o
}
