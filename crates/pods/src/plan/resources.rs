//! From requests and limits to cgroup numbers (docs: "Resource management for pods and containers"), and the pod's place
//! in the cgroup tree: `kubepods[/burstable|/besteffort]/pod<uid>`.

use crate::facts::Facts;
use crate::roster;
use kinds::api::core::v1::{Container, Pod};
use kinds::pod::{Amounts, qos_class};
use std::collections::BTreeMap;

const SHARES_PER_CPU: i64 = 1024;
const SHARES_MIN: u64 = 2;
const SHARES_MAX: u64 = 262_144;
const PERIOD_US: u64 = 100_000;
const QUOTA_MIN_US: i64 = 1000;
/// The score of a process that the kernel must not kill first.
pub const OOM_GUARANTEED: i32 = -997;
const OOM_BEST_EFFORT: i32 = 1000;
const OOM_CRITICAL: i32 = -997;
/// Pods of at least this priority are critical to the node or the cluster.
pub const CRITICAL_PRIORITY: i32 = 2_000_000_000;

/// cgroup numbers; `None` leaves the kernel's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub cpu_shares: Option<u64>,
    pub cpu_quota_us: Option<i64>,
    pub cpu_period_us: Option<u64>,
    pub memory_bytes: Option<i64>,
    pub oom_score_adj: Option<i32>,
    pub hugepages_bytes: BTreeMap<String, u64>,
}

/// Shares of a CPU request in thousandths.
#[must_use]
pub fn shares(milli: i64) -> u64 {
    if milli <= 0 {
        return SHARES_MIN;
    }
    u64::try_from(milli * SHARES_PER_CPU / 1000).unwrap_or(SHARES_MAX).clamp(SHARES_MIN, SHARES_MAX)
}

/// The quota a period of a CPU limit in thousandths.
#[must_use]
pub fn quota_us(milli: i64) -> i64 {
    (milli * i64::try_from(PERIOD_US).unwrap_or(i64::MAX) / 1000).max(QUOTA_MIN_US)
}

fn milli(a: &Amounts, name: &str) -> Option<i64> {
    a.get(name).map(kinds::Quantity::milli_value)
}

fn bytes(a: &Amounts, name: &str) -> Option<i64> {
    a.get(name).map(kinds::Quantity::value)
}

/// `hugepages-2Mi` as the kernel spells it, `2MB`.
fn hugepage_size(resource: &str) -> Option<String> {
    let q = kinds::Quantity::parse(resource.strip_prefix("hugepages-")?).ok()?.value();
    Some(match q {
        q if q % (1 << 30) == 0 => format!("{}GB", q >> 30),
        q if q % (1 << 20) == 0 => format!("{}MB", q >> 20),
        q => format!("{}KB", q >> 10),
    })
}

fn numbers(requests: &Amounts, limits: &Amounts) -> Limits {
    let (cpu_limit, cpu_request) = (milli(limits, "cpu"), milli(requests, "cpu"));
    let quota = cpu_limit.filter(|m| *m > 0).map(quota_us);
    let pages = limits.iter().filter_map(|(k, v)| Some((hugepage_size(k)?, u64::try_from(v.value()).ok()?)));
    Limits {
        cpu_shares: Some(shares(cpu_request.or(cpu_limit).unwrap_or(0))),
        cpu_quota_us: quota,
        cpu_period_us: quota.map(|_| PERIOD_US),
        memory_bytes: bytes(limits, "memory").filter(|b| *b > 0),
        oom_score_adj: None,
        hugepages_bytes: pages.collect(),
    }
}

/// The numbers of one container.
#[must_use]
pub fn container(pod: &Pod, c: &Container, facts: &Facts) -> Limits {
    let mut n = numbers(&kinds::pod::container_requests(c), &kinds::pod::container_limits(c));
    n.oom_score_adj = Some(oom_score_adj(pod, c, facts));
    n
}

/// The numbers of the pod's own cgroup: a limit holds only when every container has one.
#[must_use]
pub fn whole_pod(pod: &Pod) -> Limits {
    let spec = roster::spec(pod);
    let (requests, mut limits) = (kinds::pod::requests(spec), kinds::pod::limits(spec));
    let pod_level = spec.resources.as_ref().and_then(|r| r.limits.as_ref());
    for name in ["cpu", "memory"] {
        let whole = pod_level.is_some_and(|l| l.contains_key(name));
        let all = roster::init(pod).chain(roster::apps(pod)).all(|c| kinds::pod::container_limits(c).contains_key(name));
        if !whole && !all {
            limits.remove(name);
        }
    }
    numbers(&requests, &limits)
}

/// The kernel's preference in choosing a victim, by QoS class and share of the node's memory.
#[must_use]
pub fn oom_score_adj(pod: &Pod, c: &Container, facts: &Facts) -> i32 {
    let spec = roster::spec(pod);
    if spec.priority.unwrap_or(0) >= CRITICAL_PRIORITY {
        return OOM_CRITICAL;
    }
    match qos_class(spec) {
        "Guaranteed" => OOM_GUARANTEED,
        "BestEffort" => OOM_BEST_EFFORT,
        _ => {
            let request = bytes(&kinds::pod::container_requests(c), "memory").unwrap_or(0);
            let score = 1000 - (1000 * request) / facts.memory_bytes.max(1);
            // Above guaranteed, below best effort.
            i32::try_from(score.clamp(3, 999)).unwrap_or(999)
        }
    }
}

/// Where in the cgroup tree the pod stands.
#[must_use]
pub fn cgroup_parent(pod: &Pod) -> String {
    let uid = roster::uid(pod);
    match qos_class(roster::spec(pod)) {
        "Guaranteed" => format!("kubepods/pod{uid}"),
        "Burstable" => format!("kubepods/burstable/pod{uid}"),
        _ => format!("kubepods/besteffort/pod{uid}"),
    }
}
