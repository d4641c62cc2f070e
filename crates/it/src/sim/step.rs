//! What people and chance do to a cluster, one step after the other, by seed. Steps name what they touch by small numbers,
//! so that a history from which some were taken away still means something.

use super::chance::Chance;
use std::fmt;

/// Namespaces that the steps use.
pub const NAMESPACES: u64 = 3;
/// Names a kind and namespace.
pub const NAMES: u64 = 2;

/// A workload's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Load {
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
}

/// How things are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Background,
    Foreground,
    Orphan,
}

/// A component that can be paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Manager,
    Scheduler,
}

/// One deed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    CreateNamespace { ns: u64 },
    DeleteNamespace { ns: u64 },
    Create { load: Load, ns: u64, name: u64, size: u64 },
    Scale { load: Load, ns: u64, name: u64, size: u64 },
    Roll { load: Load, ns: u64, name: u64, tag: u64 },
    Delete { load: Load, ns: u64, name: u64, how: How },
    Service { ns: u64, name: u64 },
    DeleteService { ns: u64, name: u64 },
    DeletePods { ns: u64, every: u64 },
    Relabel { ns: u64, every: u64, tier: u64 },
    Drain { node: u64 },
    Uncordon { node: u64 },
    Taint { node: u64, execute: bool },
    Untaint { node: u64 },
    /// Other writers touch everything at once.
    Quarrel { ns: u64, rounds: u64 },
    SlowDisk { ms: u64 },
    LoseNode { node: u64 },
    FindNode { node: u64 },
    PowerOff { node: u64 },
    PowerOn { node: u64 },
    /// Somebody deletes the object of a node that has no power.
    RemoveNode { node: u64 },
    Pause { part: Part },
    Resume { part: Part },
    FailStarts { node: u64, count: u64 },
    /// The power of the server goes during that many changes of its disk from now.
    Crash { changes: u64 },
    /// Faults end, and everything must come to rest.
    Calm,
}

/// A deed and how long nothing else happens after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub deed: Deed,
    pub then_ms: u64,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, then {} ms", self.deed, self.then_ms)
    }
}

fn load(c: &Chance) -> Load {
    [Load::Deployment, Load::Deployment, Load::StatefulSet, Load::DaemonSet, Load::Job][c.below(5) as usize]
}

fn how(c: &Chance) -> How {
    [How::Background, How::Background, How::Foreground, How::Orphan][c.below(4) as usize]
}

fn work(c: &Chance) -> Deed {
    let (ns, name) = (c.below(NAMESPACES), c.below(NAMES));
    match c.below(20) {
        0 => Deed::CreateNamespace { ns },
        1 => Deed::DeleteNamespace { ns },
        2..=7 => Deed::Create { load: load(c), ns, name, size: 1 + c.below(5) },
        8..=9 => Deed::Scale { load: load(c), ns, name, size: c.below(7) },
        10..=11 => Deed::Roll { load: load(c), ns, name, tag: c.below(4) },
        12..=13 => Deed::Delete { load: load(c), ns, name, how: how(c) },
        14..=15 => Deed::Service { ns, name },
        16 => Deed::DeleteService { ns, name },
        17 => Deed::DeletePods { ns, every: 1 + c.below(3) },
        _ => Deed::Relabel { ns, every: 1 + c.below(3), tier: c.below(3) },
    }
}

fn trouble(c: &Chance, nodes: u64) -> Deed {
    let node = c.below(nodes);
    let part = if c.one_in(2) { Part::Manager } else { Part::Scheduler };
    match c.below(18) {
        0 => Deed::Drain { node },
        1 => Deed::Uncordon { node },
        2 => Deed::Taint { node, execute: c.one_in(2) },
        3 => Deed::Untaint { node },
        4..=5 => Deed::Quarrel { ns: c.below(NAMESPACES), rounds: 1 + c.below(4) },
        6 => Deed::SlowDisk { ms: [1, 50, 400, 7000][c.below(4) as usize] },
        7 => Deed::LoseNode { node },
        8 => Deed::FindNode { node },
        9 => Deed::PowerOff { node },
        10 => Deed::PowerOn { node },
        11 => Deed::RemoveNode { node },
        12 => Deed::Pause { part },
        13 => Deed::Resume { part },
        14..=15 => Deed::FailStarts { node, count: 1 + c.below(5) },
        _ => Deed::Crash { changes: 1 + c.below(120) },
    }
}

fn pause_ms(c: &Chance) -> u64 {
    match c.below(10) {
        0..=4 => c.below(800),
        5..=7 => 1_000 + c.below(6_000),
        8 => 10_000 + c.below(40_000),
        _ => 60_000 + c.below(300_000),
    }
}

/// The history of a seed.
#[must_use]
pub fn history(seed: u64, nodes: u64, length: usize) -> Vec<Step> {
    let c = Chance::new(seed);
    let mut steps: Vec<Step> =
        (0..NAMESPACES).map(|ns| Step { deed: Deed::CreateNamespace { ns }, then_ms: 10 }).collect();
    for n in 0..length {
        // The first few build something that can go wrong.
        let deed = if n < 6 || !c.one_in(3) { work(&c) } else { trouble(&c, nodes) };
        steps.push(Step { deed, then_ms: pause_ms(&c) });
        if n == length / 2 {
            steps.push(Step { deed: Deed::Calm, then_ms: 0 });
        }
    }
    steps.push(Step { deed: Deed::Calm, then_ms: 0 });
    steps
}
