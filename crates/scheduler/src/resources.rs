//! Amounts of resources as integers, and how a pod's requests add up.
//!
//! Docs: "Resource Management for Pods and Containers", "Pod Overhead", "Sidecar Containers" (resource sharing), KEP-2837
//! (pod-level resources). CPU counts in thousandths, everything else in whole units.

use kinds::QuantityText;
use kinds::api::core::v1::{Container, ContainerStatus, Pod, PodSpec};
use kinds::pod::is_sidecar;
use kinds::quantity::Quantity;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a container without a CPU request counts for in scores.
pub const DEFAULT_CPU_MILLI: i64 = 100;
/// What a container without a memory request counts for in scores.
pub const DEFAULT_MEMORY_BYTES: i64 = 200 * 1024 * 1024;

/// Amounts. `scalars` is sorted by name and holds no zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    pub cpu_milli: i64,
    pub memory_bytes: i64,
    pub ephemeral_bytes: i64,
    /// Extended resources and huge pages.
    pub scalars: Vec<(Arc<str>, i64)>,
}

impl Resources {
    /// Reads a resource list; `pods` and what does not parse are left out.
    #[must_use]
    pub fn read(list: Option<&BTreeMap<String, QuantityText>>) -> Self {
        let mut r = Self::default();
        for (name, text) in list.into_iter().flatten() {
            let Ok(q) = Quantity::parse(&text.0) else { continue };
            match name.as_str() {
                "cpu" => r.cpu_milli = q.milli_value(),
                "memory" => r.memory_bytes = q.value(),
                "ephemeral-storage" => r.ephemeral_bytes = q.value(),
                "pods" => {}
                other => r.set_scalar(other, q.value()),
            }
        }
        r
    }
    /// The amount of an extended resource or of huge pages.
    #[must_use]
    pub fn scalar(&self, name: &str) -> i64 {
        self.scalars.binary_search_by(|(n, _)| (**n).cmp(name)).map_or(0, |i| self.scalars[i].1)
    }
    fn set_scalar(&mut self, name: &str, amount: i64) {
        match self.scalars.binary_search_by(|(n, _)| (**n).cmp(name)) {
            Ok(i) if amount == 0 => {
                self.scalars.remove(i);
            }
            Ok(i) => self.scalars[i].1 = amount,
            Err(_) if amount == 0 => {}
            Err(i) => self.scalars.insert(i, (name.into(), amount)),
        }
    }
    /// Adds.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }
    /// Takes away.
    pub fn sub(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
    }
    /// Keeps the larger of each.
    pub fn raise(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }
    fn combine(&mut self, other: &Self, f: fn(i64, i64) -> i64) {
        self.cpu_milli = f(self.cpu_milli, other.cpu_milli);
        self.memory_bytes = f(self.memory_bytes, other.memory_bytes);
        self.ephemeral_bytes = f(self.ephemeral_bytes, other.ephemeral_bytes);
        for (name, amount) in &other.scalars {
            self.set_scalar(name, f(self.scalar(name), *amount));
        }
    }
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.cpu_milli == 0 && self.memory_bytes == 0 && self.ephemeral_bytes == 0 && self.scalars.is_empty()
    }
}

/// How a container's own requests are read.
type Reader<'a> = &'a dyn Fn(&Container) -> Resources;

/// The larger of all running containers and the init peak: sidecars add up as they start, a plain init container runs
/// beside those that started before it.
fn total(spec: &PodSpec, of: Reader<'_>) -> Resources {
    let mut sum = Resources::default();
    for c in &spec.containers {
        sum.add(&of(c));
    }
    let (mut sidecars, mut peak) = (Resources::default(), Resources::default());
    for c in spec.init_containers.iter().flatten() {
        let mut own = of(c);
        if is_sidecar(c) {
            sum.add(&own);
            sidecars.add(&own);
            peak.raise(&sidecars);
        } else {
            own.add(&sidecars);
            peak.raise(&own);
        }
    }
    sum.raise(&peak);
    sum
}

fn requests(c: &Container) -> Resources {
    Resources::read(c.resources.as_ref().and_then(|r| r.requests.as_ref()))
}

/// While a resize is under way a container counts for the largest of what it should, may and does have.
fn resized(pod: &Pod, c: &Container) -> Resources {
    let mut spec = requests(c);
    let Some(status) = pod.status.as_ref() else { return spec };
    let statuses = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let Some(s): Option<&ContainerStatus> = statuses.into_iter().find(|s| s.name == c.name) else { return spec };
    let actual = s.resources.as_ref().and_then(|r| r.requests.as_ref());
    if s.allocated_resources.is_none() && actual.is_none() {
        return spec;
    }
    let infeasible = kinds::conditions::pod_condition(pod, "PodResizePending").is_some_and(|c| c.reason.as_deref() == Some("Infeasible"));
    let mut held = Resources::read(s.allocated_resources.as_ref());
    held.raise(&Resources::read(actual));
    if infeasible && !held.is_zero() {
        return held;
    }
    spec.raise(&held);
    spec
}

fn pod_level(spec: &PodSpec, sum: &mut Resources) {
    let Some(list) = spec.resources.as_ref().and_then(|r| r.requests.as_ref()) else { return };
    let own = Resources::read(Some(list));
    if list.contains_key("cpu") {
        sum.cpu_milli = own.cpu_milli;
    }
    if list.contains_key("memory") {
        sum.memory_bytes = own.memory_bytes;
    }
    for (name, amount) in &own.scalars {
        sum.set_scalar(name, *amount);
    }
}

/// What the pod as a whole asks for.
#[must_use]
pub fn pod_requests(pod: &Pod) -> Resources {
    let Some(spec) = &pod.spec else { return Resources::default() };
    let mut sum = total(spec, &|c| resized(pod, c));
    pod_level(spec, &mut sum);
    sum.add(&Resources::read(spec.overhead.as_ref()));
    sum
}

/// CPU and memory for scores, where a container without a request still counts for something.
#[must_use]
pub fn pod_nonzero(pod: &Pod) -> Resources {
    let Some(spec) = &pod.spec else { return Resources::default() };
    let (level_cpu, level_memory) = spec.resources.as_ref().and_then(|r| r.requests.as_ref()).map_or((false, false), |r| {
        (r.contains_key("cpu"), r.contains_key("memory"))
    });
    let mut sum = total(spec, &|c| {
        let asked = c.resources.as_ref().and_then(|r| r.requests.as_ref());
        let names = |n: &str| asked.is_some_and(|a| a.contains_key(n));
        let mut own = resized(pod, c);
        own.scalars.clear();
        own.ephemeral_bytes = 0;
        if !names("cpu") && !level_cpu {
            own.cpu_milli = DEFAULT_CPU_MILLI;
        }
        if !names("memory") && !level_memory {
            own.memory_bytes = DEFAULT_MEMORY_BYTES;
        }
        own
    });
    pod_level(spec, &mut sum);
    sum.add(&Resources::read(spec.overhead.as_ref()));
    sum.scalars.clear();
    sum.ephemeral_bytes = 0;
    sum
}
