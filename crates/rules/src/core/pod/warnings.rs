//! What the API server warns of when pods and templates are written.

use crate::read::{amount, items, s};
use kinds::Path;
use kinds::api::core::v1::{Container, Pod, PodSpec, PodTemplateSpec, Volume};
use std::collections::{BTreeMap, BTreeSet};

/// Warnings about a pod; an update warns only where the stored one did not already.
pub(super) fn pod(n: &Pod, o: Option<&Pod>) -> Vec<String> {
    let mut all = Vec::new();
    let none = PodSpec::default();
    spec(n.spec.as_ref().unwrap_or(&none), &Path::new("spec"), &mut all);
    if let Some(o) = o {
        let mut before = Vec::new();
        spec(o.spec.as_ref().unwrap_or(&none), &Path::new("spec"), &mut before);
        let before: BTreeSet<String> = before.into_iter().collect();
        all.retain(|w| !before.contains(w));
    } else if let Some(name) = &n.metadata.name {
        let why = crate::names::dns_label(name);
        if !why.is_empty() && n.spec.as_ref().is_none_or(|x| s(&x.hostname).is_empty()) {
            let list = why.join(" ");
            all.push(format!("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [{list}]"));
        }
    }
    all
}

/// Warnings about a template.
pub(crate) fn template(t: &PodTemplateSpec, path: &Path) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(x) = &t.spec {
        spec(x, &path.child("spec"), &mut all);
    }
    all
}

const OLD_NODE_LABELS: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    ("failure-domain.beta.kubernetes.io/region", "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead"),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
];

fn spec(p: &PodSpec, path: &Path, all: &mut Vec<String>) {
    for (label, why) in OLD_NODE_LABELS {
        if p.node_selector.as_ref().is_some_and(|n| n.contains_key(*label)) {
            all.push(format!("{}: {why}", path.child("nodeSelector").key(label)));
        }
    }
    named_twice(p, path, all);
    for (group, list) in [("initContainers", items(&p.init_containers)), ("containers", p.containers.as_slice())] {
        for (i, c) in list.iter().enumerate() {
            container(c, &path.child(group).index(i), all);
        }
    }
    for (i, v) in items(&p.volumes).iter().enumerate() {
        volume(v, &path.child("volumes").index(i), all);
    }
    affinity(p, path, all);
    duplicate_ports(p, path, all);
}

/// Hosts and secrets that stand twice, or have no name.
fn named_twice(p: &PodSpec, path: &Path, all: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (i, a) in items(&p.host_aliases).iter().enumerate().filter(|(_, a)| !seen.insert(&a.ip)) {
        all.push(format!("{}: duplicate ip {:?}", path.child("hostAliases").index(i).child("ip"), a.ip));
    }
    let secrets = items(&p.image_pull_secrets);
    let at = |i: usize| path.child("imagePullSecrets").index(i).child("name");
    let mut seen = BTreeSet::new();
    for (i, r) in secrets.iter().enumerate().filter(|(_, r)| !seen.insert(&r.name)) {
        all.push(format!("{}: duplicate name {:?}", at(i), r.name));
    }
    for (i, r) in secrets.iter().enumerate().filter(|(_, r)| r.name.is_empty()) {
        all.push(format!("{}: invalid empty name {:?}", at(i), r.name));
    }
}

fn volume(v: &Volume, at: &Path, all: &mut Vec<String>) {
    for (name, set, since) in [
        ("photonPersistentDisk", v.photon_persistent_disk.is_some(), "v1.11, non-functional in v1.16+"),
        ("gitRepo", v.git_repo.is_some(), "v1.11, and disabled by default in v1.33+"),
        ("scaleIO", v.scale_io.is_some(), "v1.16, non-functional in v1.22+"),
        ("flocker", v.flocker.is_some(), "v1.22, non-functional in v1.25+"),
        ("storageOS", v.storageos.is_some(), "v1.22, non-functional in v1.25+"),
        ("quobyte", v.quobyte.is_some(), "v1.22, non-functional in v1.25+"),
        ("glusterfs", v.glusterfs.is_some(), "v1.25, non-functional in v1.26+"),
        ("cephfs", v.cephfs.is_some(), "v1.28, non-functional in v1.31+"),
        ("rbd", v.rbd.is_some(), "v1.28, non-functional in v1.31+"),
    ] {
        if set {
            all.push(format!("{}: deprecated in {since}", at.child(name)));
        }
    }
    if let Some(t) = v.ephemeral.as_ref().and_then(|e| e.volume_claim_template.as_ref()) {
        all.extend(crate::core::claim::warnings(&t.spec, &at.child("ephemeral").child("volumeClaimTemplate").child("spec")));
    }
    super::overlaps::warn(v, all);
}

/// Selectors that select nothing, and values that no label has.
fn affinity(p: &PodSpec, path: &Path, all: &mut Vec<String>) {
    let mut none = |at: Path| all.push(format!("{at}: a null labelSelector results in matching no pod"));
    for (i, _) in items(&p.topology_spread_constraints).iter().enumerate().filter(|(_, c)| c.label_selector.is_none()) {
        none(path.child("topologySpreadConstraints").index(i).child("labelSelector"));
    }
    let Some(a) = &p.affinity else { return };
    let path = path.child("affinity");
    let pods = a.pod_affinity.as_ref().map(|x| (&x.required_during_scheduling_ignored_during_execution, &x.preferred_during_scheduling_ignored_during_execution));
    let anti = a.pod_anti_affinity.as_ref().map(|x| (&x.required_during_scheduling_ignored_during_execution, &x.preferred_during_scheduling_ignored_during_execution));
    for (name, lists) in [("podAffinity", pods), ("podAntiAffinity", anti)] {
        let Some((required, preferred)) = lists else { continue };
        let at = path.child(name);
        for (i, _) in items(required).iter().enumerate().filter(|(_, t)| t.label_selector.is_none()) {
            none(at.child("requiredDuringSchedulingIgnoredDuringExecution").index(i).child("labelSelector"));
        }
        for (i, _) in items(preferred).iter().enumerate().filter(|(_, t)| t.pod_affinity_term.label_selector.is_none()) {
            let at = at.child("preferredDuringSchedulingIgnoredDuringExecution").index(i);
            none(at.child("podAffinityTerm").child("labelSelector"));
        }
    }
    let at = path.child("nodeAffinity").child("preferredDuringSchedulingIgnoredDuringExecution");
    let terms = a.node_affinity.as_ref().map(|n| items(&n.preferred_during_scheduling_ignored_during_execution));
    for (i, t) in terms.unwrap_or_default().iter().enumerate() {
        for (j, r) in items(&t.preference.match_expressions).iter().enumerate() {
            for (k, v) in items(&r.values).iter().enumerate() {
                for why in crate::names::label_value(v) {
                    let at = at.index(i).child("preference").child("matchExpressions").index(j).child("values").index(k);
                    all.push(format!("{at}: {v} is invalid, {why}"));
                }
            }
        }
    }
}

fn container(c: &Container, at: &Path, all: &mut Vec<String>) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (i, v) in items(&c.env).iter().enumerate() {
        if !seen.insert(&v.name) {
            let path = at.child("env").index(i);
            all.push(format!("{path}: hides previous definition of {:?}, which may be dropped when using apply", v.name));
        }
    }
    let groups = [
        ("requests", c.resources.as_ref().and_then(|r| r.requests.as_ref())),
        ("limits", c.resources.as_ref().and_then(|r| r.limits.as_ref())),
    ];
    for (name, map) in groups {
        for (k, q) in map.into_iter().flatten() {
            if (k == "memory" || k == "ephemeral-storage") && !amount(q).is_integer() {
                let path = at.child("resources").child(name).key(k);
                all.push(format!("{path}: fractional byte value {:?} is invalid, must be an integer", q.0));
            }
        }
    }
}

fn duplicate_ports(p: &PodSpec, path: &Path, all: &mut Vec<String>) {
    let mut seen: BTreeMap<(i32, String, String), String> = BTreeMap::new();
    for (i, c) in p.containers.iter().enumerate() {
        for (j, port) in items(&c.ports).iter().enumerate() {
            let at = path.child("containers").index(i).child("ports").index(j).to_string();
            if !s(&port.host_ip).is_empty() && port.host_port.unwrap_or_default() == 0 {
                let (name, protocol, ip) = (s(&port.name), s(&port.protocol), s(&port.host_ip));
                let shown = format!("{{Name:{name} HostPort:0 ContainerPort:{} Protocol:{protocol} HostIP:{ip}}}", port.container_port);
                all.push(format!("{at}: hostIP set without hostPort: {shown}"));
            }
            let key = (port.container_port, s(&port.protocol).to_owned(), format!("{:?}/{}", port.host_port, s(&port.host_ip)));
            if let Some(first) = seen.get(&key) {
                all.push(format!("{at}: duplicate port definition with {first}"));
            } else {
                seen.insert(key, at);
            }
        }
    }
}
