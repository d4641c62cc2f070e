//! Node-pressure eviction (docs: "Node-pressure Eviction"): which signals are under pressure, which pod goes first, and
//! in which words.

use crate::plan::resources::CRITICAL_PRIORITY;
use crate::roster;
use crate::status::Ending;
use kinds::api::core::v1::Pod;
use std::cmp::Reverse;
use std::sync::Arc;

/// What the node has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    pub memory_available_bytes: i64,
    pub memory_capacity_bytes: i64,
    pub nodefs_available_bytes: i64,
    pub nodefs_capacity_bytes: i64,
    pub nodefs_inodes_free: i64,
    pub nodefs_inodes: i64,
    pub pids_available: i64,
    pub pids_max: i64,
}

/// Of the disk: the kubelet's own default is 10 %, which on large disks is far more than a node needs to stay healthy.
const NODEFS_MIN_PERCENT: i64 = 5;
/// Never ask for more free disk than this, unless told.
const NODEFS_ENOUGH_BYTES: i64 = 2 << 30;

/// How much of a resource must be left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Least {
    /// So many bytes, inodes or process ids.
    Amount(i64),
    /// So much of the whole.
    Percent(f64),
    /// The smaller of both.
    Either(f64, i64),
}

impl Least {
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    pub(crate) fn of(self, whole: i64) -> i64 {
        let part = |p: f64| (whole as f64 * p / 100.0) as i64;
        match self {
            Self::Amount(n) => n,
            Self::Percent(p) => part(p),
            Self::Either(p, n) => part(p).min(n),
        }
    }
}

impl std::fmt::Display for Least {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Amount(n) if *n > 0 && n % (1 << 20) == 0 => write!(f, "{}Mi", n >> 20),
            Self::Amount(n) => write!(f, "{n}"),
            Self::Percent(p) | Self::Either(p, _) => write!(f, "{p}%"),
        }
    }
}

/// The hard eviction thresholds (docs: "Node-pressure Eviction"; the kubelet's `--eviction-hard`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    pub memory_available: Least,
    pub nodefs_available: Least,
    pub nodefs_inodes_free: Least,
    pub imagefs_available: Least,
    pub imagefs_inodes_free: Least,
    pub pid_available: Least,
}

impl Default for Thresholds {
    fn default() -> Self {
        let disk = Least::Either(NODEFS_MIN_PERCENT as f64, NODEFS_ENOUGH_BYTES);
        Self {
            memory_available: Least::Amount(100 << 20),
            nodefs_available: disk,
            nodefs_inodes_free: Least::Percent(5.0),
            imagefs_available: disk,
            imagefs_inodes_free: Least::Percent(5.0),
            pid_available: Least::Amount(1),
        }
    }
}

impl Thresholds {
    /// Reads `memory.available<100Mi,nodefs.available<10%`. Signals that are not named have no threshold, as with the kubelet.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let never = Least::Amount(0);
        let mut all = Self {
            memory_available: never,
            nodefs_available: never,
            nodefs_inodes_free: never,
            imagefs_available: never,
            imagefs_inodes_free: never,
            pid_available: never,
        };
        let mut seen = std::collections::BTreeSet::new();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (signal, value) = part.split_once('<').ok_or_else(|| format!("{part:?}: write SIGNAL<VALUE, as memory.available<100Mi"))?;
            let slot = match signal.trim() {
                "memory.available" => &mut all.memory_available,
                "nodefs.available" => &mut all.nodefs_available,
                "nodefs.inodesFree" => &mut all.nodefs_inodes_free,
                "imagefs.available" => &mut all.imagefs_available,
                "imagefs.inodesFree" => &mut all.imagefs_inodes_free,
                "pid.available" => &mut all.pid_available,
                other => return Err(format!("unsupported eviction signal {other:?}")),
            };
            if !seen.insert(signal.trim()) {
                return Err(format!("found duplicate eviction threshold for signal {}", signal.trim()));
            }
            *slot = least(value.trim()).ok_or_else(|| format!("{part:?}: {value:?} is neither a quantity nor a percentage below 100%"))?;
        }
        Ok(all)
    }

    /// Each signal with its threshold, as the kubelet's configuration writes them.
    #[must_use]
    pub fn named(&self) -> [(&'static str, Least); 6] {
        [
            ("imagefs.available", self.imagefs_available),
            ("imagefs.inodesFree", self.imagefs_inodes_free),
            ("memory.available", self.memory_available),
            ("nodefs.available", self.nodefs_available),
            ("nodefs.inodesFree", self.nodefs_inodes_free),
            ("pid.available", self.pid_available),
        ]
    }
}

fn least(value: &str) -> Option<Least> {
    match value.strip_suffix('%') {
        Some(p) => p.parse().ok().filter(|p: &f64| (0.0..100.0).contains(p)).map(Least::Percent),
        None => kinds::Quantity::parse(value).ok().map(|q| q.value()).filter(|n| *n >= 0).map(Least::Amount),
    }
}

/// A resource that runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    Memory,
    Disk,
    Pids,
}

impl Pressure {
    /// The signal that tells it.
    #[must_use]
    pub fn signal(self) -> &'static str {
        match self {
            Self::Memory => "memory.available",
            Self::Disk => "nodefs.available",
            Self::Pids => "pid.available",
        }
    }
    /// As messages name it.
    #[must_use]
    pub fn resource(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "ephemeral-storage",
            Self::Pids => "pids",
        }
    }
}

impl Signals {
    /// Every resource below its threshold: (resource, threshold, available).
    #[must_use]
    pub fn pressures(&self, thresholds: &Thresholds) -> Vec<(Pressure, i64, i64)> {
        let mut found = Vec::new();
        let memory_min = thresholds.memory_available.of(self.memory_capacity_bytes);
        if self.memory_available_bytes < memory_min {
            found.push((Pressure::Memory, memory_min, self.memory_available_bytes));
        }
        // Images lie on the same file system as everything else.
        let capacity = self.nodefs_capacity_bytes;
        let disk_min = thresholds.nodefs_available.of(capacity).max(thresholds.imagefs_available.of(capacity));
        let inodes = self.nodefs_inodes;
        let inodes_min = thresholds.nodefs_inodes_free.of(inodes).max(thresholds.imagefs_inodes_free.of(inodes));
        if self.nodefs_available_bytes < disk_min || self.nodefs_inodes_free < inodes_min {
            found.push((Pressure::Disk, disk_min, self.nodefs_available_bytes));
        }
        let pids_min = thresholds.pid_available.of(self.pids_max);
        if self.pids_available < pids_min {
            found.push((Pressure::Pids, pids_min, self.pids_available));
        }
        found
    }
}

/// A pod and what it uses.
#[derive(Clone, Debug)]
pub struct Usage {
    pub pod: Arc<Pod>,
    pub memory_bytes: i64,
    pub disk_bytes: i64,
    pub pids: i64,
}

fn request(pod: &Pod, resource: &str) -> i64 {
    kinds::pod::requests(roster::spec(pod)).get(resource).map_or(0, kinds::Quantity::value)
}

impl Usage {
    fn used(&self, of: Pressure) -> i64 {
        match of {
            Pressure::Memory => self.memory_bytes,
            Pressure::Disk => self.disk_bytes,
            Pressure::Pids => self.pids,
        }
    }
    fn above_request(&self, of: Pressure) -> i64 {
        self.used(of) - request(&self.pod, of.resource())
    }
}

/// Pods in the order in which they would go: those above their request first, then by priority, then by how far above.
/// Static and node-critical pods never go.
#[must_use]
pub fn rank(mut pods: Vec<Usage>, of: Pressure) -> Vec<Usage> {
    let critical = |p: &Pod| {
        let annotations = p.metadata.annotations.as_ref();
        roster::spec(p).priority.unwrap_or(0) >= CRITICAL_PRIORITY
            || annotations.is_some_and(|a| a.contains_key("kubernetes.io/config.source") || a.contains_key("kubernetes.io/config.mirror"))
    };
    pods.retain(|u| !critical(&u.pod));
    pods.sort_by_key(|u| {
        let above = u.above_request(of);
        (Reverse(above > 0), roster::spec(&u.pod).priority.unwrap_or(0), Reverse(above))
    });
    pods
}

/// The words of an eviction.
#[must_use]
pub fn ending(victim: &Usage, of: Pressure, threshold: i64, available: i64) -> Ending {
    let quantity = |n: i64| kinds::Quantity::units(n / 1024, kinds::quantity::Format::DecimalSi).to_string() + "Ki";
    let name = of.resource();
    let (threshold, available) = match of {
        Pressure::Pids => (threshold.to_string(), available.to_string()),
        _ => (quantity(threshold), quantity(available)),
    };
    let mut message =
        format!("The node was low on resource: {name}. Threshold quantity: {threshold}, available: {available}. ");
    let (used, asked) = (victim.used(of), request(&victim.pod, name));
    if used > asked {
        let first = roster::spec(&victim.pod).containers.first().map(|c| c.name.clone()).unwrap_or_default();
        message += &format!(
            "Container {first} was using {}, request is {}, has larger consumption of {name}. ",
            quantity(used),
            if asked == 0 { "0".to_owned() } else { quantity(asked) }
        );
    }
    Ending { reason: "Evicted".to_owned(), message, disruption: true }
}

/// What a pod has written to the node's disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes of each `emptyDir` on disk, by volume.
    pub empty_dirs: Vec<(String, i64)>,
    /// Bytes of each container's writable layer and logs.
    pub containers: Vec<(String, i64)>,
}

/// Whether a pod has written more than it may (docs: "Local ephemeral storage"): the words of its eviction.
#[must_use]
pub fn over_limit(pod: &Pod, written: &Written) -> Option<Ending> {
    let parse = |q: &kinds::QuantityText| kinds::Quantity::parse(&q.0).ok();
    let evicted = |message: String| Some(Ending { reason: "Evicted".to_owned(), message, disruption: true });
    let spec = roster::spec(pod);
    for v in spec.volumes.iter().flatten() {
        let Some(limit) = v.empty_dir.as_ref().and_then(|e| e.size_limit.as_ref()).and_then(parse) else { continue };
        let used = written.empty_dirs.iter().find(|(n, _)| *n == v.name).map_or(0, |(_, b)| *b);
        if limit.value() > 0 && used > limit.value() {
            return evicted(format!("Usage of EmptyDir volume \"{}\" exceeds the limit \"{limit}\". ", v.name));
        }
    }
    let whole = kinds::pod::limits(spec).get("ephemeral-storage").copied();
    let total: i64 = written.empty_dirs.iter().chain(&written.containers).map(|(_, b)| b).sum();
    if let Some(limit) = whole.filter(|l| l.value() > 0 && total > l.value()) {
        return evicted(format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "));
    }
    for c in &spec.containers {
        let Some(limit) = kinds::pod::container_limits(c).get("ephemeral-storage").copied() else { continue };
        let used = written.containers.iter().find(|(n, _)| *n == c.name).map_or(0, |(_, b)| *b);
        if used > limit.value() {
            return evicted(format!("Container {} exceeded its local ephemeral storage limit \"{limit}\". ", c.name));
        }
    }
    None
}

#[cfg(test)]
mod tests;
