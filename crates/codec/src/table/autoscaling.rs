//! Rows of the autoscaling group.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Printer;
use super::cells::View;

pub(super) fn printer(kind: &str) -> Option<Printer> {
    Some(match kind {
        "HorizontalPodAutoscaler" => autoscaler,
        "Scale" => |o, now| vec![o.name(), json!(o.int("/spec/replicas")), json!(o.int("/status/replicas")), o.age(now)],
        _ => return None,
    })
}

const SHOWN_METRICS: usize = 2;

fn autoscaler(hpa: View<'_>, now: Timestamp) -> Vec<Value> {
    let target = hpa.at("/spec/scaleTargetRef");
    let minimum = if hpa.has("/spec/minReplicas") { hpa.int("/spec/minReplicas").to_string() } else { "<unset>".to_owned() };
    vec![
        hpa.name(),
        json!(format!("{}/{}", target.text("/kind"), target.text("/name"))),
        json!(targets(hpa)),
        json!(minimum),
        json!(hpa.int("/spec/maxReplicas")),
        json!(hpa.int("/status/currentReplicas")),
        hpa.age(now),
    ]
}

fn targets(hpa: View<'_>) -> String {
    if hpa.has("/spec/targetCPUUtilizationPercentage") {
        let current = hpa.at("/status/currentCPUUtilizationPercentage");
        let current = if current.0.is_null() { "<unknown>".to_owned() } else { format!("{}%", current.show()) };
        return format!("cpu: {current}/{}%", hpa.int("/spec/targetCPUUtilizationPercentage"));
    }
    let all: Vec<String> = hpa.list("/spec/metrics").enumerate().map(|(index, spec)| metric(spec, hpa.list("/status/currentMetrics").nth(index))).collect();
    match all.len() {
        0 => "<none>".to_owned(),
        n if n > SHOWN_METRICS => format!("{} + {} more...", all[..SHOWN_METRICS].join(", "), n - SHOWN_METRICS),
        _ => all.join(", "),
    }
}

fn metric(spec: View<'_>, status: Option<View<'_>>) -> String {
    let kind = spec.text("/type");
    let field = match kind {
        "External" => "/external",
        "Pods" => "/pods",
        "Object" => "/object",
        "Resource" => "/resource",
        "ContainerResource" => "/containerResource",
        _ => return "<unknown type>".to_owned(),
    };
    let (spec, current) = (spec.at(field), status.map(|s| s.at(field).at("/current")));
    let now = |pointer: &str, suffix: &str| match current {
        Some(view) if view.has(pointer) => format!("{}{suffix}", view.at(pointer).show()),
        _ => "<unknown>".to_owned(),
    };
    let name = match kind {
        "Resource" | "ContainerResource" => format!("{}: ", spec.text("/name")),
        _ => String::new(),
    };
    let average = spec.at("/target/averageValue");
    if spec.has("/target/averageUtilization") {
        return format!("{name}{}/{}%", now("/averageUtilization", "%"), spec.int("/target/averageUtilization"));
    }
    if !average.0.is_null() {
        let note = if matches!(kind, "External" | "Object") { " (avg)" } else { "" };
        return format!("{name}{}/{}{note}", now("/averageValue", ""), average.show());
    }
    if !name.is_empty() {
        return format!("{name}<unknown>/<auto>");
    }
    format!("{}/{}", now("/value", ""), spec.at("/target/value").show())
}
