//! In-place resize of pods (KEP-1287; docs: "Resize CPU and Memory Resources assigned to Containers"): what the spec asks
//! for, what the node has granted, and what has been written to the kernel are three things. Pure parts: comparison,
//! the pod as granted, and the words of its events.

use crate::plan::Limits;
use crate::roster;
use kinds::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, ResourceRequirements};
use kinds::{Quantity, QuantityText};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// The resources that can be resized.
pub const RESIZABLE: [&str; 2] = ["cpu", "memory"];

type List = BTreeMap<String, QuantityText>;

/// What was granted to each container (and init container) of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Granted(BTreeMap<String, ResourceRequirements>);

/// Whether the node has room for a pod as its spec now asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Room {
    Free,
    /// Not now: the reason (`OutOfcpu`) and the message of the refusal.
    Deferred { reason: String, message: String },
}

/// A resize that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub reason: String,
    pub message: String,
    pub generation: Option<i64>,
}

/// A resize that is being written to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub generation: Option<i64>,
    pub error: Option<String>,
}

fn amount(list: Option<&List>, name: &str) -> Option<Quantity> {
    list?.get(name).and_then(|q| Quantity::parse(&q.0).ok())
}

fn same(a: Option<&List>, b: Option<&List>, name: &str) -> bool {
    match (amount(a, name), amount(b, name)) {
        (Some(a), Some(b)) => a.milli_value() == b.milli_value(),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// Which of the resizable resources differ.
#[must_use]
pub fn differences(a: &ResourceRequirements, b: &ResourceRequirements) -> Vec<&'static str> {
    let equal = |name: &&str| {
        same(a.requests.as_ref(), b.requests.as_ref(), name) && same(a.limits.as_ref(), b.limits.as_ref(), name)
    };
    RESIZABLE.into_iter().filter(|n| !equal(n)).collect()
}

fn own(c: &Container) -> ResourceRequirements {
    c.resources.clone().unwrap_or_default()
}

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    roster::init(pod).chain(roster::apps(pod))
}

fn containers_mut(spec: &mut PodSpec) -> impl Iterator<Item = &mut Container> {
    spec.init_containers.iter_mut().flatten().chain(&mut spec.containers)
}

impl Granted {
    /// What a previous run of the node had granted, by the pod's status; else what the spec asks.
    #[must_use]
    pub fn remembered(pod: &Pod) -> Self {
        let status = pod.status.as_ref();
        let lists = status.map(|s| (s.init_container_statuses.as_deref(), s.container_statuses.as_deref()));
        let (inits, apps) = lists.map_or((&[][..], &[][..]), |(i, a)| (i.unwrap_or_default(), a.unwrap_or_default()));
        let of = |c: &Container| {
            let found: Option<&ContainerStatus> = inits.iter().chain(apps).find(|s| s.name == c.name);
            let mut mine = own(c);
            if let Some(shown) = found.and_then(|s| s.resources.as_ref().map(|r| (s, r))) {
                let requests = shown.0.allocated_resources.as_ref().or(shown.1.requests.as_ref());
                take(&mut mine.requests, requests);
                take(&mut mine.limits, shown.1.limits.as_ref());
            }
            (c.name.clone(), mine)
        };
        Self(containers(pod).map(of).collect())
    }

    /// All that the spec asks.
    #[must_use]
    pub fn asked(pod: &Pod) -> Self {
        Self(containers(pod).map(|c| (c.name.clone(), own(c))).collect())
    }

    /// Whether the spec asks for something else.
    #[must_use]
    pub fn differs(&self, pod: &Pod) -> bool {
        containers(pod).any(|c| self.0.get(&c.name).is_some_and(|g| !differences(g, &own(c)).is_empty()))
    }

    /// The pod with what it was granted in place of what it asks.
    #[must_use]
    pub fn applied_to(&self, pod: &Arc<Pod>) -> Arc<Pod> {
        if !self.differs(pod) {
            return Arc::clone(pod);
        }
        let mut granted = (**pod).clone();
        if let Some(spec) = granted.spec.as_mut() {
            for c in containers_mut(spec) {
                if let Some(g) = self.0.get(&c.name) {
                    c.resources = Some(g.clone());
                }
            }
        }
        Arc::new(granted)
    }
}

/// Takes over the resizable part of a list.
fn take(into: &mut Option<List>, from: Option<&List>) {
    let mut list = into.take().unwrap_or_default();
    for name in RESIZABLE {
        match from.and_then(|f| f.get(name)) {
            Some(q) => drop(list.insert(name.to_owned(), q.clone())),
            None => drop(list.remove(name)),
        }
    }
    *into = Some(list).filter(|l| !l.is_empty());
}

/// Whether the container's policy wants a restart for one of these resources.
#[must_use]
pub fn wants_restart(c: &Container, changed: &[&str]) -> bool {
    let mut policies = c.resize_policy.iter().flatten();
    policies.any(|p| p.restart_policy == "RestartContainer" && changed.contains(&p.resource_name.as_str()))
}

/// Limits that hold both what was and what will be, for the pod's own group while containers move.
#[must_use]
pub fn widest(a: &Limits, b: &Limits) -> Limits {
    fn most<T: Ord + Copy>(a: Option<T>, b: Option<T>) -> Option<T> {
        Some(a?.max(b?))
    }
    let quota = most(a.cpu_quota_us, b.cpu_quota_us);
    Limits {
        cpu_shares: most(a.cpu_shares, b.cpu_shares),
        cpu_quota_us: quota,
        cpu_period_us: b.cpu_period_us.or(a.cpu_period_us).filter(|_| quota.is_some()),
        memory_bytes: most(a.memory_bytes, b.memory_bytes),
        ..b.clone()
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => drop(write!(out, "\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out + "\""
}

fn list(name: &str, of: Option<&List>) -> Option<String> {
    let items: Vec<String> = of?.iter().map(|(k, v)| format!("{}:{}", quoted(k), quoted(&v.0))).collect();
    Some(format!("\"{name}\":{{{}}}", items.join(","))).filter(|_| !items.is_empty())
}

fn summary<'a>(group: &str, of: impl Iterator<Item = &'a Container>) -> Option<String> {
    let one = |c: &Container| {
        let r = own(c);
        let parts = [list("limits", r.limits.as_ref()), list("requests", r.requests.as_ref())];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        format!("{{\"name\":{},\"resources\":{{{}}}}}", quoted(&c.name), parts.join(","))
    };
    let all: Vec<String> = of.map(one).collect();
    Some(format!("\"{group}\":[{}]", all.join(","))).filter(|_| !all.is_empty())
}

/// The message of a resize event: what happened, and the resources in question as JSON.
#[must_use]
pub fn event_text(what: &str, pod: &Pod, generation: Option<i64>, error: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(summary("initContainers", roster::init(pod)));
    parts.extend(summary("containers", roster::apps(pod)));
    parts.push(format!("\"generation\":{}", generation.unwrap_or(0)));
    if !error.is_empty() {
        parts.push(format!("\"error\":{}", quoted(error)));
    }
    format!("Pod resize {what}: {{{}}}", parts.join(","))
}
