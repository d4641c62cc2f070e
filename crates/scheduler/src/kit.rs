//! Tests' tools: a cluster from YAML, and what a profile says of a pod in it.

use crate::cycle::{Outcome, Turn, cycle};
use crate::framework::World;
use crate::nodes::{NodeInfo, NodeTable};
use crate::podinfo::PodInfo;
use crate::profile::{Profile, ProfileConfig};
use cache::Snapshot;
use jiff::Timestamp;
use kinds::api::core::v1::Pod;
use kinds::{Kind, Object, Resource};
use std::sync::Arc;

/// Seconds after some instant.
pub(crate) fn at(s: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + s).expect("a time")
}

/// Reads one object per YAML document; pods and claims are in `default` unless they say otherwise.
pub(crate) fn objects(yaml: &str) -> Vec<Object> {
    let documents = codec::yaml::documents(yaml).unwrap_or_else(|e| panic!("{e:?}\n{yaml}"));
    let mut all = Vec::new();
    for d in documents.into_iter().filter(|d| !d.value.is_null()) {
        let text = |k: &str| d.value[k].as_str().unwrap_or_default().to_owned();
        let kind = Kind::from_api_version(&text("apiVersion"), &text("kind")).unwrap_or_else(|| panic!("{}", text("kind")));
        let mut object = codec::from_value(&Resource::from(kind), d.value.clone()).unwrap_or_else(|e| panic!("{e:?}"));
        let namespaced = kind.namespaced();
        let meta = object.meta_mut();
        if namespaced {
            meta.namespace.get_or_insert_with(|| "default".into());
        }
        let name = meta.name.clone().unwrap_or_default();
        meta.uid.get_or_insert(format!("uid-{name}"));
        all.push(object);
    }
    all
}

/// One pod.
pub(crate) fn pod(yaml: &str) -> Arc<PodInfo> {
    let text = format!("apiVersion: v1\nkind: Pod\n{yaml}");
    let object = objects(&text).pop().expect("a pod");
    Arc::new(PodInfo::new(Arc::clone(object.typed::<Pod>().expect("a pod"))))
}

/// A cluster.
pub(crate) struct Cluster {
    pub table: NodeTable,
    pub snapshot: Snapshot,
    pub profile: Profile,
}

impl Cluster {
    pub(crate) fn new(yaml: &str) -> Self {
        let mut tables = cache::Tables::default();
        for (n, object) in objects(yaml).into_iter().enumerate() {
            let revision = kinds::Revision(n as u64 + 1);
            let (resource, key) = (object.resource(), object.key());
            let entry = cache::Entry::new(key.clone(), object, bytes::Bytes::new(), revision);
            tables.apply(cache::Write { resource, key, revision, entry: Some(Arc::new(entry)) });
        }
        let snapshot = tables.snapshot();
        let table = NodeTable::from_snapshot(&snapshot);
        Self { table, snapshot, profile: Profile::new(&ProfileConfig::default()) }
    }
    pub(crate) fn world(&self) -> World<'_> {
        World { nodes: &self.table, objects: &self.snapshot }
    }
    pub(crate) fn cycle(&self, pod: &Arc<PodInfo>) -> Outcome {
        cycle(&self.world(), &self.profile, pod, &mut Turn { start: 0, seed: 7 })
    }
    /// The node that a pod goes to, or the sentence that says why to none.
    pub(crate) fn says(&self, pod: &Arc<PodInfo>) -> String {
        match self.cycle(pod) {
            Outcome::Bind { node, .. } => node.to_string(),
            Outcome::Unschedulable(why) => why.message(),
            Outcome::Preempt { node, victims, .. } => {
                let names: Vec<&str> = victims.iter().map(|v| v.key.name.as_str()).collect();
                format!("preempt on {node}: {}", names.join(","))
            }
        }
    }
    /// What the first plugin that refuses says of a node; empty when the pod fits.
    pub(crate) fn refuses(&self, pod: &PodInfo, node: &str) -> String {
        let world = self.world();
        let node: &NodeInfo = self.table.get(node).expect("a node");
        for f in &self.profile.filters {
            let said = match f.ready(pod, &world) {
                Err(why) => Err(why),
                Ok(None) => Ok(()),
                Ok(Some(r)) => r.filter.check(pod, node, &world),
            };
            if let Err(why) = said {
                return format!("{}: {}", why.plugin, why.reasons.join(", "));
            }
        }
        String::new()
    }
    /// Weighted scores of all nodes, by name, for one plugin.
    pub(crate) fn scores(&self, pod: &PodInfo, plugin: &str) -> Vec<(String, i64)> {
        let nodes: Vec<&NodeInfo> = self.table.iter().collect();
        let (_, s) = self.profile.scores.iter().find(|(_, s)| s.name() == plugin).expect("a plugin");
        let world = self.world();
        let scores = s.ready(pod, &nodes, &world).map_or_else(|| vec![0; nodes.len()], |r| r.scores(pod, &nodes, &world));
        let mut named: Vec<_> = nodes.iter().map(|n| n.name.to_string()).zip(scores).collect();
        named.sort();
        named
    }
}

/// A node with that name and room, and more YAML (indented by two) for metadata and spec.
pub(crate) fn node(name: &str, cpu: &str, labels: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Node\nmetadata:\n  name: '{name}'\n  labels: {{kubernetes.io/hostname: '{name}'{}{labels}}}\n\
         spec: {{{spec}}}\nstatus:\n  allocatable: {{cpu: '{cpu}', memory: 8Gi, pods: '110'}}\n",
        if labels.is_empty() { "" } else { ", " }
    )
}

/// A pod on a node (or on none), with labels and priority.
pub(crate) fn placed(name: &str, node: &str, cpu: &str, labels: &str, priority: i32) -> String {
    let on = if node.is_empty() { String::new() } else { format!("nodeName: '{node}', ") };
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n\
         spec: {{{on}priority: {priority}, containers: [{{name: c, resources: {{requests: {{cpu: '{cpu}'}}}}}}]}}\n"
    )
}
