//! What the API server warns of when pods and templates are written.

use crate::read::{amount, items, s};
use kinds::Path;
use kinds::api::core::v1::{Container, Pod, PodSpec, PodTemplateSpec};
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
    let mut secrets = BTreeSet::new();
    for (i, r) in items(&p.image_pull_secrets).iter().enumerate() {
        if !secrets.insert(&r.name) {
            all.push(format!("{}: duplicate name {:?}", path.child("imagePullSecrets"), r.name));
        } else if r.name.is_empty() {
            all.push(format!("{}: invalid empty name {:?}", path.child("imagePullSecrets").index(i).child("name"), r.name));
        }
    }
    for (group, list) in [("initContainers", items(&p.init_containers)), ("containers", p.containers.as_slice())] {
        for (i, c) in list.iter().enumerate() {
            container(c, &path.child(group).index(i), all);
        }
    }
    for (i, v) in items(&p.volumes).iter().enumerate() {
        let at = path.child("volumes").index(i);
        let sourceless = |p: &kinds::api::core::v1::ProjectedVolumeSource| {
            let empty = kinds::api::core::v1::VolumeProjection::default();
            items(&p.sources).is_empty() || items(&p.sources).contains(&empty)
        };
        if v.projected.as_ref().is_some_and(sourceless) {
            all.push(format!("volume {:?} (Projected) has no sources provided", v.name));
        }
        if v.git_repo.is_some() {
            all.push(format!("{}: deprecated in v1.11, and disabled by default in v1.33+", at.child("gitRepo")));
        }
    }
    duplicate_ports(p, path, all);
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
            let key = (port.container_port, s(&port.protocol).to_owned(), format!("{:?}/{}", port.host_port, s(&port.host_ip)));
            if let Some(first) = seen.get(&key) {
                all.push(format!("{at}: duplicate port definition with {first}"));
            } else {
                seen.insert(key, at);
            }
        }
    }
}
