//! How fast cycles are: 1,000 pods over 100 nodes, a thousand more over 10,000, and cycles on one node.
//!
//! `cargo run --release -p scheduler --example thousand`

use bytes::Bytes;
use cache::{Entry, Tables, Write};
use jiff::Timestamp;
use kinds::api::apps::v1::{ReplicaSet, ReplicaSetSpec};
use kinds::api::core::v1::{Container, Node, NodeStatus, Pod, PodSpec, ResourceRequirements};
use kinds::{LabelSelector, Object, ObjectMeta, OwnerReference, QuantityText, Revision};
use scheduler::{Brain, Outcome, ProfileConfig};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

type Map<V> = BTreeMap<String, V>;

fn labels(pairs: &[(&str, &str)]) -> Map<String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn amounts(pairs: &[(&str, &str)]) -> Map<QuantityText> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), QuantityText((*v).to_owned()))).collect()
}

fn node(n: usize) -> Object {
    let name = format!("node-{n}");
    let zone = format!("zone-{}", n % 3);
    let on = labels(&[("kubernetes.io/hostname", &name), ("topology.kubernetes.io/zone", &zone)]);
    let allocatable = Some(amounts(&[("cpu", "32"), ("memory", "128Gi"), ("pods", "110")]));
    Object::from(Node {
        metadata: ObjectMeta { name: Some(name), labels: Some(on), ..ObjectMeta::default() },
        status: Some(NodeStatus { allocatable, ..NodeStatus::default() }),
        ..Node::default()
    })
}

fn set() -> Object {
    let selector = LabelSelector { match_labels: Some(labels(&[("app", "web")])), match_expressions: None };
    Object::from(ReplicaSet {
        metadata: ObjectMeta { name: Some("web".into()), namespace: Some("default".into()), uid: Some("set".into()), ..ObjectMeta::default() },
        spec: Some(ReplicaSetSpec { selector, ..ReplicaSetSpec::default() }),
        ..ReplicaSet::default()
    })
}

fn pod(n: usize) -> Pod {
    let requests = Some(amounts(&[("cpu", "100m"), ("memory", "64Mi")]));
    let resources = Some(ResourceRequirements { requests, ..ResourceRequirements::default() });
    let owner = OwnerReference { api_version: "apps/v1".into(), kind: "ReplicaSet".into(), name: "web".into(), uid: "set".into(), controller: Some(true), ..OwnerReference::default() };
    Pod {
        metadata: ObjectMeta {
            name: Some(format!("pod-{n}")),
            namespace: Some("default".into()),
            uid: Some(format!("uid-{n}")),
            labels: Some(labels(&[("app", "web")])),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec { containers: vec![Container { name: "main".into(), image: Some("nginx".into()), resources, ..Container::default() }], ..PodSpec::default() }),
        ..Pod::default()
    }
}

struct Run {
    tables: Tables,
    brain: Brain,
    revision: u64,
    hearing: Duration,
    cycles: Duration,
}

impl Run {
    fn new(nodes: usize) -> Self {
        let brain = Brain::new(&[ProfileConfig::default()]);
        let mut run = Self { tables: Tables::default(), brain, revision: 0, hearing: Duration::ZERO, cycles: Duration::ZERO };
        run.write(set());
        for n in 0..nodes {
            run.write(node(n));
        }
        run.brain.rebuild(&run.tables.snapshot(), Timestamp::UNIX_EPOCH);
        run
    }
    fn write(&mut self, object: Object) -> Option<cache::Change> {
        self.revision += 1;
        let (key, resource, revision) = (object.key(), object.resource(), Revision(self.revision));
        let entry = Entry::new(key.clone(), object, Bytes::new(), revision);
        self.tables.apply(Write { resource, key, revision, entry: Some(Arc::new(entry)) })
    }
    fn tell(&mut self, object: Object) {
        let change = self.write(object);
        let snapshot = self.tables.snapshot();
        let began = Instant::now();
        if let Some(c) = change {
            self.brain.hear(&snapshot, &c, Timestamp::UNIX_EPOCH);
        }
        self.hearing += began.elapsed();
    }
    fn pods(&mut self, from: usize, to: usize) {
        (from..to).for_each(|n| self.tell(Object::from(pod(n))));
        loop {
            let snapshot = self.tables.snapshot();
            let began = Instant::now();
            let decision = self.brain.step(&snapshot, self.revision, Timestamp::UNIX_EPOCH);
            self.cycles += began.elapsed();
            let Some(d) = decision else { return };
            let Outcome::Bind { node, .. } = &d.outcome else { panic!("{:?}", d.outcome) };
            let mut bound = Pod::clone(&d.pod.pod);
            bound.spec.get_or_insert_default().node_name = Some(node.to_string());
            self.brain.bound(&d.pod);
            self.tell(Object::from(bound));
        }
    }
}

fn main() {
    for (nodes, pods) in [(1, 100), (100, 1000), (1000, 1000), (10_000, 1000)] {
        let mut run = Run::new(nodes);
        run.pods(0, pods);
        let (cycle, heard) = (run.cycles / pods as u32, run.hearing / (2 * pods) as u32);
        let a_second = pods as f64 / (run.cycles + run.hearing).as_secs_f64();
        println!("{nodes:>6} nodes {pods:>5} pods: {a_second:>8.0} pods/s, a cycle {cycle:?}, a change {heard:?}");
        let counts: Vec<usize> = run.brain.table.iter().map(|n| n.pods.len()).collect();
        println!("        pods a node: {} to {}", counts.iter().min().unwrap_or(&0), counts.iter().max().unwrap_or(&0));
        run.brain.table.audit(&run.tables.snapshot()).unwrap_or_else(|e| panic!("{e}"));
    }
}
