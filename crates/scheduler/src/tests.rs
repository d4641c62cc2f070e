//! The whole: sentences, preemption, and laws over random histories.

use crate::brain::Brain;
use crate::cycle::{Outcome, enough};
use crate::kit::{Cluster, at, node, objects, placed, pod};
use crate::profile::ProfileConfig;
use crate::PodInfo;
use cache::{Change, Entry, Tables, Write};
use kinds::{Object, ObjectKey, Revision};
use proptest::prelude::*;
use std::sync::Arc;

const NOT: &str = "no new claims to deallocate, preemption:";

fn wants(cpu: &str, priority: i32, more: &str) -> Arc<PodInfo> {
    pod(&format!(
        "metadata: {{name: p, labels: {{app: web}}}}\nspec: {{priority: {priority}, {more}containers: [{{name: c, resources: {{requests: {{cpu: '{cpu}'}}}}}}]}}"
    ))
}

#[test]
fn sentences() {
    assert_eq!(Cluster::new("").says(&wants("1", 0, "")), "no nodes available to schedule pods");
    let three = node("n1", "4", "disk: ssd", "")
        + &node("n2", "4", "disk: ssd", "taints: [{key: k, effect: NoSchedule}]")
        + &node("n3", "4", "", "")
        + &placed("a", "n1", "3500m", "", 0);
    assert_eq!(
        Cluster::new(&three).says(&wants("1", 0, "nodeSelector: {disk: ssd}, ")),
        format!(
            "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector, \
             1 node(s) had untolerated taint(s). {NOT} 0/3 nodes are available: \
             1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
        )
    );
    // More than the node will ever have: evictions cannot help.
    assert_eq!(
        Cluster::new(&node("n1", "4", "", "")).says(&wants("64", 0, "")),
        format!("0/1 nodes are available: 1 Insufficient cpu. {NOT} 0/1 nodes are available: 1 Preemption is not helpful for scheduling.")
    );
    // A DaemonSet's pod names its node by a field.
    let pinned = "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [n1]}]}]}}}, ";
    assert_eq!(
        Cluster::new(&three).says(&wants("1", 0, pinned)),
        format!(
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. {NOT} \
             0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
        )
    );
}

#[test]
fn preemption_takes_the_least() {
    let one = |more: &str| Cluster::new(&(node("n1", "2", "", "") + more));
    let two = placed("a", "n1", "1", "app: a", 1) + &placed("b", "n1", "1", "app: b", 2);
    assert_eq!(one(&two).says(&wants("1", 10, "")), "preempt on n1: a");
    assert_eq!(one(&two).says(&wants("2", 10, "")), "preempt on n1: b,a");
    let never = one(&two).says(&wants("1", 10, "preemptionPolicy: Never, "));
    assert_eq!(never, format!("0/1 nodes are available: 1 Insufficient cpu. {NOT} not eligible due to preemptionPolicy=Never."));
    assert!(one(&two).says(&wants("1", 1, "")).contains("1 No preemption victims found for incoming pod."));
    // Not enough even without all who are less important.
    let partly = one(&two).says(&wants("2", 2, ""));
    assert_eq!(partly, format!("0/1 nodes are available: 1 Insufficient cpu. {NOT} 0/1 nodes are available: 1 Insufficient cpu."));
    let budget = "---\n{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: b}, spec: {selector: {matchLabels: {app: a}}}, status: {disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1}}\n";
    assert_eq!(one(&(two.clone() + budget)).says(&wants("1", 10, "")), "preempt on n1: b");
    // The node whose victims matter least.
    let nodes = node("n1", "1", "", "") + &node("n2", "1", "", "") + &node("n3", "1", "", "");
    let spread = placed("a", "n1", "1", "", 5) + &placed("b", "n2", "1", "", 3) + &placed("c", "n3", "1", "", 4);
    assert_eq!(Cluster::new(&(nodes + &spread)).says(&wants("1", 10, "")), "preempt on n2: b");
}

#[test]
fn preemption_sees_through_affinity() {
    let apart = "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: db}}}]}}, ";
    let world = node("n1", "4", "", "") + &placed("db", "n1", "1", "app: db", 0) + &placed("x", "n1", "1", "", 0);
    assert_eq!(Cluster::new(&world).says(&wants("1", 10, apart)), "preempt on n1: db");
    let spread = "topologySpreadConstraints: [{topologyKey: kubernetes.io/hostname, maxSkew: 1, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}], ";
    let world = node("n1", "4", "", "") + &node("n2", "0", "", "") + &placed("w", "n1", "1", "app: web", 0);
    assert_eq!(Cluster::new(&world).says(&wants("1", 10, spread)), "preempt on n1: w");
}

#[test]
fn only_as_many_nodes_are_looked_at_as_needed() {
    for (nodes, expect) in [(1, 1), (99, 99), (100, 100), (1000, 420), (5000, 500), (10_000, 500), (1, 1)] {
        assert_eq!(enough(nodes, None), expect, "{nodes}");
    }
    assert_eq!(enough(1000, Some(50)), 500);
}

/// A history that a brain hears, with what the hands would do.
struct Story {
    tables: Tables,
    brain: Brain,
    revision: u64,
    now: i64,
    bound: Vec<(Arc<PodInfo>, Arc<str>)>,
    log: Vec<String>,
}

#[derive(Clone, Debug)]
enum Op {
    Node(u8),
    NoNode(u8),
    Pod(u8, u8, u8),
    NoPod(u8),
    Step,
    /// The oldest binding is written and seen, or fails.
    Bound(bool),
    Wait(u16),
    Rebuild,
}

impl Story {
    fn new() -> Self {
        let brain = Brain::new(&[ProfileConfig::default()]);
        Self { tables: Tables::default(), brain, revision: 0, now: 0, bound: Vec::new(), log: Vec::new() }
    }
    fn apply(&mut self, key: ObjectKey, resource: kinds::Resource, object: Option<Object>) {
        self.revision += 1;
        let revision = Revision(self.revision);
        let entry = object.map(|object| Arc::new(Entry::new(key.clone(), object, bytes::Bytes::new(), revision)));
        let change: Option<Change> = self.tables.apply(Write { resource, key, revision, entry });
        if let Some(c) = change {
            self.brain.hear(&self.tables.snapshot(), &c, at(self.now));
        }
    }
    fn put(&mut self, yaml: &str) {
        let object = objects(yaml).pop().expect("one");
        self.apply(object.key(), object.resource(), Some(object));
    }
    fn play(&mut self, op: &Op) {
        match op {
            Op::Node(n) => self.put(&node(&format!("n{n}"), "4", &format!("zone: z{}", n % 2), "")),
            Op::NoNode(n) => self.apply(ObjectKey::cluster(format!("n{n}")), kinds::Kind::Node.into(), None),
            Op::Pod(n, cpu, priority) => {
                let known = self.tables.snapshot().get::<kinds::api::core::v1::Pod>("default", &format!("p{n}")).is_some();
                if !known {
                    let text = placed(&format!("p{n}"), "", &format!("{cpu}00m"), &format!("app: a{}", n % 3), i32::from(*priority));
                    let text = text.replace("{name: p", &format!("{{uid: u{}, name: p", self.revision));
                    self.put(&text.replace("priority:", "topologySpreadConstraints: [{topologyKey: zone, maxSkew: 3, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: a1}}}], priority:"));
                }
            }
            Op::NoPod(n) => self.apply(ObjectKey::new("default", format!("p{n}")), kinds::Kind::Pod.into(), None),
            Op::Step => self.step(),
            Op::Bound(ok) => self.bind(*ok),
            Op::Wait(s) => self.now += i64::from(*s),
            Op::Rebuild => self.brain.rebuild(&self.tables.snapshot(), at(self.now)),
        }
    }
    fn step(&mut self) {
        let Some(d) = self.brain.step(&self.tables.snapshot(), self.revision, at(self.now)) else { return };
        self.log.push(format!("{} {:?}", d.pod.key, d.outcome));
        match d.outcome {
            Outcome::Bind { node, .. } => self.bound.push((d.pod, node)),
            Outcome::Preempt { victims, .. } => {
                for v in victims {
                    self.apply(v.key.clone(), kinds::Kind::Pod.into(), None);
                }
                self.brain.preempted(&d.pod, at(self.now));
            }
            Outcome::Unschedulable(_) => {}
        }
    }
    fn bind(&mut self, ok: bool) {
        if self.bound.is_empty() {
            return;
        }
        // As the API: a binding is for one uid.
        let (pod, node) = self.bound.remove(0);
        let s = self.tables.snapshot();
        let there = s.find::<kinds::api::core::v1::Pod>(&pod.key).cloned();
        let Some(mut p) = there.filter(|p| ok && p.metadata.uid.as_deref() == Some(&*pod.uid)) else { return self.brain.failed(&s, &pod, at(self.now)) };
        Arc::make_mut(&mut p).spec.get_or_insert_default().node_name = Some(node.to_string());
        self.brain.bound(&pod);
        self.apply(pod.key.clone(), kinds::Kind::Pod.into(), Some(Object::Pod(p)));
    }
    fn check(&self) -> Result<(), String> {
        self.brain.table.audit(&self.tables.snapshot())?;
        for n in self.brain.table.iter() {
            if n.requested.cpu_milli > n.allocatable.cpu_milli || n.pods.len() > 110 {
                return Err(format!("{} is overcommitted: {:?}", n.name, n.requested));
            }
        }
        Ok(())
    }
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (0..4u8).prop_map(Op::Node),
        1 => (0..4u8).prop_map(Op::NoNode),
        6 => (0..20u8, 1..25u8, 0..3u8).prop_map(|(n, c, p)| Op::Pod(n, c, p)),
        2 => (0..20u8).prop_map(Op::NoPod),
        8 => Just(Op::Step),
        4 => any::<bool>().prop_map(Op::Bound),
        1 => (0..400u16).prop_map(Op::Wait),
        1 => Just(Op::Rebuild),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The incremental table equals one made from scratch, no node is overcommitted, and the same history gives the same
    /// decisions.
    #[test]
    fn histories_keep_the_laws(ops in prop::collection::vec(op(), 1..80)) {
        let (mut a, mut b) = (Story::new(), Story::new());
        for op in &ops {
            a.play(op);
            if let Err(e) = a.check() {
                return Err(TestCaseError::fail(format!("{op:?}: {e}")));
            }
            b.play(op);
        }
        prop_assert_eq!(a.log, b.log);
    }
}
