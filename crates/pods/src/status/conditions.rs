//! The pod's conditions that the kubelet owns, with Kubernetes' reasons and messages.

use super::{Seen, time};
use crate::roster;
use kinds::api::core::v1::{ContainerStatus, PodCondition};
use kinds::pod::is_sidecar;

/// Condition types that only the kubelet writes.
pub const OWNED: &[&str] = &["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodResizePending", "PodResizeInProgress"];

struct Claim {
    kind: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

fn claim(kind: &'static str, holds: bool, reason: &'static str, message: String) -> Claim {
    Claim { kind, holds, reason, message }
}

fn names<'a>(list: impl Iterator<Item = &'a str>) -> String {
    list.collect::<Vec<_>>().join(" ")
}

fn initialized(seen: &Seen<'_>, phase: &str, inits: &[ContainerStatus]) -> Claim {
    let incomplete = roster::init(seen.pod).zip(inits).filter(|(c, s)| {
        if is_sidecar(c) { s.started != Some(true) && s.restart_count == 0 } else { !s.ready }
    });
    let text = names(incomplete.map(|(c, _)| c.name.as_str()));
    if phase == "Succeeded" {
        return claim("Initialized", true, "PodCompleted", String::new());
    }
    let past = roster::apps(seen.pod).any(|c| seen.view.newest(&c.name).is_some());
    if text.is_empty() || past {
        return claim("Initialized", true, "", String::new());
    }
    claim("Initialized", false, "ContainersNotInitialized", format!("containers with incomplete status: [{text}]"))
}

fn containers_ready(seen: &Seen<'_>, phase: &str, inits: &[ContainerStatus], apps: &[ContainerStatus]) -> Claim {
    if phase == "Succeeded" {
        return claim("ContainersReady", false, "PodCompleted", String::new());
    }
    if phase == "Failed" {
        return claim("ContainersReady", false, "PodFailed", String::new());
    }
    let sidecars = roster::init(seen.pod).zip(inits).filter(|(c, _)| is_sidecar(c)).map(|(_, s)| s);
    let unready = names(sidecars.chain(apps).filter(|s| !s.ready).map(|s| s.name.as_str()));
    if unready.is_empty() {
        return claim("ContainersReady", true, "", String::new());
    }
    claim("ContainersReady", false, "ContainersNotReady", format!("containers with unready status: [{unready}]"))
}

fn ready(seen: &Seen<'_>, containers: &Claim) -> Claim {
    if !containers.holds {
        return claim("Ready", false, containers.reason, containers.message.clone());
    }
    let mut unmet = Vec::new();
    for gate in roster::spec(seen.pod).readiness_gates.iter().flatten() {
        let kind = &gate.condition_type;
        match kinds::conditions::pod_condition(seen.pod, kind) {
            None => unmet.push(format!("corresponding condition of pod readiness gate \"{kind}\" does not exist.")),
            Some(c) if c.status != "True" => {
                unmet.push(format!("the status of pod readiness gate \"{kind}\" is not \"True\", but {}", c.status));
            }
            Some(_) => {}
        }
    }
    if unmet.is_empty() {
        return claim("Ready", true, "", String::new());
    }
    claim("Ready", false, "ReadinessGatesNotReady", unmet.join(", "))
}

fn condition(seen: &Seen<'_>, c: Claim) -> PodCondition {
    let status = if c.holds { "True" } else { "False" };
    let old = seen.previous.and_then(|p| p.conditions.as_ref()).and_then(|l| l.iter().find(|o| o.type_ == c.kind));
    let since = old.filter(|o| o.status == status).and_then(|o| o.last_transition_time.clone());
    let text = |t: &str| Some(t.to_owned()).filter(|t| !t.is_empty());
    PodCondition {
        type_: c.kind.to_owned(),
        status: status.to_owned(),
        reason: text(c.reason),
        message: text(&c.message),
        last_probe_time: None,
        last_transition_time: Some(since.unwrap_or_else(|| time(seen.now))),
        observed_generation: seen.pod.metadata.generation,
    }
}

/// A resize that waits, and one that is under way (KEP-1287).
fn resizes(seen: &Seen<'_>) -> impl Iterator<Item = PodCondition> {
    let pending = seen.resize_pending.map(|p| {
        let reason = if p.reason == "Infeasible" { "Infeasible" } else { "Deferred" };
        (claim("PodResizePending", true, reason, p.message.clone()), p.generation)
    });
    let progress = seen.resize_progress.map(|p| {
        let reason = if p.error.is_some() { "Error" } else { "" };
        (claim("PodResizeInProgress", true, reason, p.error.clone().unwrap_or_default()), p.generation)
    });
    let of = |(c, generation)| PodCondition { observed_generation: generation, ..condition(seen, c) };
    pending.map(of).into_iter().chain(progress.map(of))
}

/// All conditions, in the kubelet's order.
#[must_use]
pub fn all(seen: &Seen<'_>, phase: &str, inits: &[ContainerStatus], apps: &[ContainerStatus]) -> Vec<PodCondition> {
    let sandboxed = seen.view.ready_sandbox().is_some();
    let mut claims = vec![claim("PodReadyToStartContainers", sandboxed, "", String::new())];
    claims.push(initialized(seen, phase, inits));
    let containers = containers_ready(seen, phase, inits, apps);
    claims.push(ready(seen, &containers));
    claims.push(containers);
    claims.push(claim("PodScheduled", true, "", String::new()));
    if let Some(e) = seen.ending.filter(|e| e.disruption) {
        claims.insert(0, claim("DisruptionTarget", true, "TerminationByKubelet", e.message.clone()));
    }
    let mut all: Vec<PodCondition> = claims.into_iter().map(|c| condition(seen, c)).collect();
    all.extend(resizes(seen));
    all
}
