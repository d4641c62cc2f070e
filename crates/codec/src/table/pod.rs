//! The STATUS, READY and RESTARTS of a pod, as `kubectl get pods` has always shown them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cells::View;
use super::human;

/// What the containers add up to.
#[derive(Default)]
struct Sum<'a> {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i64,
    sidecar_restarts: i64,
    last_restart: &'a str,
    last_sidecar_restart: &'a str,
}

/// The cells of a pod.
pub(super) fn pod(pod: View<'_>, now: Timestamp) -> Vec<Value> {
    let sum = sum(pod);
    let restarts = match (sum.restarts, sum.last_restart) {
        (0, _) | (_, "") => sum.restarts.to_string(),
        (n, last) => format!("{n} ({} ago)", human::since(last, now)),
    };
    vec![
        pod.name(),
        json!(format!("{}/{}", sum.ready, sum.total)),
        json!(sum.reason),
        json!(restarts),
        pod.age(now),
        json!(pod.list("/status/podIPs").next().map_or(pod.text_or("/status/podIP", "<none>"), |ip| ip.text_or("/ip", "<none>"))),
        json!(pod.text_or("/spec/nodeName", "<none>")),
        json!(pod.text_or("/status/nominatedNodeName", "<none>")),
        json!(gates(pod)),
    ]
}

fn gates(pod: View<'_>) -> String {
    let total = pod.count("/spec/readinessGates");
    if total == 0 {
        return "<none>".to_owned();
    }
    let met = pod.list("/spec/readinessGates").filter(|gate| pod.condition_is_true("/status/conditions", gate.text("/conditionType"))).count();
    format!("{met}/{total}")
}

fn is_sidecar(container: View<'_>) -> bool {
    container.text("/restartPolicy") == "Always"
}

fn sum(pod: View<'_>) -> Sum<'_> {
    let mut sum = Sum { reason: pod.text_or("/status/reason", pod.text("/status/phase")).to_owned(), ..Sum::default() };
    sum.total = pod.count("/spec/containers") + pod.list("/spec/initContainers").filter(|c| is_sidecar(*c)).count();
    if pod.condition("/status/conditions", "PodScheduled").is_some_and(|c| c.text("/reason") == "SchedulingGated") {
        "SchedulingGated".clone_into(&mut sum.reason);
    }
    let initializing = init_containers(pod, &mut sum);
    if !initializing || pod.condition_is_true("/status/conditions", "Initialized") {
        main_containers(pod, &mut sum);
    }
    if pod.has("/metadata/deletionTimestamp") {
        let finished = matches!(pod.text("/status/phase"), "Succeeded" | "Failed");
        if pod.text("/status/reason") == "NodeLost" {
            "Unknown".clone_into(&mut sum.reason);
        } else if !finished {
            "Terminating".clone_into(&mut sum.reason);
        }
    }
    sum
}

/// Reads the init containers up to the first that is not done; whether there is one.
fn init_containers<'a>(pod: View<'a>, sum: &mut Sum<'a>) -> bool {
    for (index, status) in pod.list("/status/initContainerStatuses").enumerate() {
        let sidecar = pod.list("/spec/initContainers").any(|c| c.text("/name") == status.text("/name") && is_sidecar(c));
        let restarts = status.int("/restartCount");
        sum.restarts += restarts;
        later(&mut sum.last_restart, status);
        if sidecar {
            sum.sidecar_restarts += restarts;
            later(&mut sum.last_sidecar_restart, status);
        }
        let terminated = status.at("/state/terminated");
        let waiting = status.text("/state/waiting/reason");
        if !terminated.0.is_null() && terminated.int("/exitCode") == 0 {
            continue;
        }
        if sidecar && status.flag("/started") {
            sum.ready += usize::from(status.flag("/ready"));
            continue;
        }
        sum.reason = if !terminated.0.is_null() {
            format!("Init:{}", ended(terminated))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{}", pod.count("/spec/initContainers"))
        };
        return true;
    }
    false
}

fn main_containers<'a>(pod: View<'a>, sum: &mut Sum<'a>) {
    sum.restarts = sum.sidecar_restarts;
    sum.last_restart = sum.last_sidecar_restart;
    let mut running = false;
    for status in pod.list("/status/containerStatuses").rev() {
        sum.restarts += status.int("/restartCount");
        later(&mut sum.last_restart, status);
        let terminated = status.at("/state/terminated");
        let waiting = status.text("/state/waiting/reason");
        if !waiting.is_empty() {
            waiting.clone_into(&mut sum.reason);
        } else if !terminated.0.is_null() {
            sum.reason = ended(terminated);
        } else if status.flag("/ready") && status.has("/state/running") {
            running = true;
            sum.ready += 1;
        }
    }
    if sum.reason == "Completed" && running {
        let ready = pod.condition_is_true("/status/conditions", "Ready");
        (if ready { "Running" } else { "NotReady" }).clone_into(&mut sum.reason);
    }
}

fn ended(terminated: View<'_>) -> String {
    match (terminated.text("/reason"), terminated.int("/signal")) {
        ("", 0) => format!("ExitCode:{}", terminated.int("/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

/// Keeps the later of a time and the end of a container's last run (RFC 3339 in UTC sorts as text).
fn later<'a>(last: &mut &'a str, status: View<'a>) {
    let finished = status.text("/lastState/terminated/finishedAt");
    if finished > *last {
        *last = finished;
    }
}

/// The row condition of a finished pod.
pub(super) fn row_condition(pod: View<'_>) -> Option<Value> {
    let (reason, message) = match pod.text("/status/phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!({"type": "Completed", "status": "True", "reason": reason, "message": message}))
}
