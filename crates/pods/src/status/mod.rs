//! The status of a pod, from its spec and what the runtime says (docs: "Pod lifecycle").

pub mod conditions;
pub mod container;
pub mod phase;

use crate::facts::Facts;
use crate::resize::{Pending, Progress};
use crate::roster::{self, Role};
use crate::view::View;
use crate::worker::memo::Memo;
use jiff::Timestamp;
use kinds::Time;
use kinds::api::core::v1::{ContainerStatus, HostIP, Pod, PodIP, PodStatus};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why the kubelet itself ended a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// `Evicted`, `DeadlineExceeded`, `NodeShutdown`, `OutOfcpu`, …
    pub reason: String,
    pub message: String,
    /// Counts as a disruption (condition `DisruptionTarget`).
    pub disruption: bool,
}

/// What a status is made from.
pub struct Seen<'a> {
    pub pod: &'a Pod,
    /// The same with the resources that the node has granted.
    pub granted: Arc<Pod>,
    pub resize_pending: Option<&'a Pending>,
    pub resize_progress: Option<&'a Progress>,
    pub view: &'a View,
    pub memos: &'a BTreeMap<String, Memo>,
    pub ending: Option<&'a Ending>,
    /// No container will be started any more.
    pub ending_now: bool,
    /// No process is left and none will come.
    pub over: bool,
    pub started_at: Option<Timestamp>,
    pub facts: &'a Facts,
    pub previous: Option<&'a PodStatus>,
    pub now: Timestamp,
}

/// An instant as statuses carry it: whole seconds.
#[must_use]
pub fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

impl Seen<'_> {
    pub(crate) fn memo(&self, name: &str) -> Memo {
        self.memos.get(name).cloned().unwrap_or_default()
    }
    pub(crate) fn statuses(&self, role_is: fn(Role) -> bool) -> Vec<ContainerStatus> {
        let pod = self.pod;
        let init = roster::init(pod).map(|c| (if kinds::pod::is_sidecar(c) { Role::Sidecar } else { Role::Init }, c.clone()));
        let all = init.chain(roster::apps(pod).map(|c| (Role::App, c.clone())));
        let all = all.chain(roster::ephemeral(pod).map(|c| (Role::Ephemeral, c)));
        all.filter(|(r, _)| role_is(*r)).map(|(r, c)| container::status(self, r, &c)).collect()
    }
}

fn addresses(seen: &Seen<'_>) -> (Option<String>, Option<Vec<PodIP>>) {
    let ips: Vec<String> = if roster::spec(seen.pod).host_network == Some(true) {
        if seen.started_at.is_some() { seen.facts.host_ips.iter().map(ToString::to_string).collect() } else { Vec::new() }
    } else {
        let of = |s: &crate::view::SandboxView| (!s.ips.is_empty()).then(|| s.ips.clone());
        let old = || {
            let list = seen.previous.and_then(|p| p.pod_ips.as_ref());
            list.filter(|_| seen.ending_now).map(|l| l.iter().map(|i| i.ip.clone()).collect())
        };
        seen.view.sandbox().and_then(of).or_else(old).unwrap_or_default()
    };
    let list: Vec<PodIP> = ips.iter().map(|ip| PodIP { ip: ip.clone() }).collect();
    (ips.into_iter().next(), Some(list).filter(|l| !l.is_empty()))
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|l| !l.is_empty())
}

/// The pod's status.
#[must_use]
pub fn build(seen: &Seen<'_>) -> PodStatus {
    let inits = seen.statuses(|r| matches!(r, Role::Init | Role::Sidecar));
    let apps = seen.statuses(|r| r == Role::App);
    let ephemeral = seen.statuses(|r| r == Role::Ephemeral);
    let phase = phase::of(seen, &inits, &apps);
    let conditions = conditions::all(seen, phase, &inits, &apps);
    let (pod_ip, pod_ips) = addresses(seen);
    let host_ips: Vec<HostIP> = seen.facts.host_ips.iter().map(|ip| HostIP { ip: ip.to_string() }).collect();
    PodStatus {
        phase: Some(phase.to_owned()),
        reason: seen.ending.map(|e| e.reason.clone()),
        message: seen.ending.map(|e| e.message.clone()),
        conditions: Some(conditions),
        init_container_statuses: some(inits),
        container_statuses: some(apps),
        ephemeral_container_statuses: some(ephemeral),
        host_ip: host_ips.first().map(|h| h.ip.clone()),
        host_ips: some(host_ips),
        pod_ip,
        pod_ips,
        qos_class: Some(kinds::pod::qos_class(roster::spec(seen.pod)).to_owned()),
        start_time: seen.started_at.map(time),
        observed_generation: seen.pod.metadata.generation,
        ..PodStatus::default()
    }
}

/// The status of a pod that this node does not take.
#[must_use]
pub fn rejected(pod: &Pod, ending: &Ending, now: Timestamp) -> PodStatus {
    PodStatus {
        phase: Some("Failed".to_owned()),
        reason: Some(ending.reason.clone()),
        message: Some(ending.message.clone()),
        qos_class: Some(kinds::pod::qos_class(roster::spec(pod)).to_owned()),
        start_time: Some(time(now)),
        observed_generation: pod.metadata.generation,
        ..PodStatus::default()
    }
}

/// What is written: ours, with what others own in the present status kept (foreign conditions, claims, nomination).
#[must_use]
pub fn merge(current: &PodStatus, ours: &PodStatus) -> PodStatus {
    let mut merged = ours.clone();
    let mut conditions = ours.conditions.clone().unwrap_or_default();
    for c in current.conditions.iter().flatten() {
        match conditions.iter_mut().find(|o| o.type_ == c.type_) {
            Some(o) if o.status == c.status => o.last_transition_time.clone_from(&c.last_transition_time),
            Some(_) => {}
            None if conditions::OWNED.contains(&c.type_.as_str()) => {}
            None => conditions.push(c.clone()),
        }
    }
    merged.conditions = some(conditions);
    merged.resource_claim_statuses.clone_from(&current.resource_claim_statuses);
    merged.extended_resource_claim_status.clone_from(&current.extended_resource_claim_status);
    merged.nominated_node_name.clone_from(&current.nominated_node_name);
    if merged.start_time.is_some() && current.start_time.is_some() {
        merged.start_time.clone_from(&current.start_time);
    }
    if phase::is_terminal(current.phase.as_deref()) && !phase::is_terminal(merged.phase.as_deref()) {
        // A terminal phase is final.
        merged.phase.clone_from(&current.phase);
        merged.reason.clone_from(&current.reason);
        merged.message.clone_from(&current.message);
    }
    merged
}
