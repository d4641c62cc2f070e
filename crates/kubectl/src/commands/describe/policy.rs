//! Autoscalers, network policies, disruption budgets, quotas, limit ranges, priority classes.

use super::{Page, each, or_none, plain};
use crate::pods::selector_text;
use crate::times;
use serde_json::Value;

fn number(v: &Value) -> i64 {
    v.as_i64().unwrap_or_default()
}

pub(super) fn autoscaler(page: &mut Page, object: &Value) {
    let (spec, status) = (&object["spec"], &object["status"]);
    page.head(object, true);
    page.pair(0, "CreationTimestamp", times::long(&plain(&object["metadata"]["creationTimestamp"])));
    page.pair(0, "Reference", format!("{}/{}", plain(&spec["scaleTargetRef"]["kind"]), plain(&spec["scaleTargetRef"]["name"])));
    if each(&spec["metrics"]).next().is_some() {
        page.line(0, "Metrics:\t( current / target )");
    }
    for (i, metric) in each(&spec["metrics"]).enumerate() {
        let current = &status["currentMetrics"][i];
        metric_line(page, metric, current);
    }
    page.pair(0, "Min replicas", if spec["minReplicas"].is_null() { "<unset>".to_owned() } else { plain(&spec["minReplicas"]) });
    page.pair(0, "Max replicas", plain(&spec["maxReplicas"]));
    behavior(page, &spec["behavior"]);
    page.pair(0, &format!("{} pods", plain(&spec["scaleTargetRef"]["kind"])), format!("{} current / {} desired", number(&status["currentReplicas"]), number(&status["desiredReplicas"])));
    if each(&status["conditions"]).next().is_some() {
        page.line(0, "Conditions:\n  Type\tStatus\tReason\tMessage\n  ----\t------\t------\t-------");
        each(&status["conditions"]).for_each(|c| page.line(1, format!("{}\t{}\t{}\t{}", plain(&c["type"]), plain(&c["status"]), plain(&c["reason"]), plain(&c["message"]))));
    }
}

fn metric_line(page: &mut Page, metric: &Value, current: &Value) {
    let or_unknown = |v: &Value| if v.is_null() { "<unknown>".to_owned() } else { plain(v) };
    match metric["type"].as_str().unwrap_or_default() {
        kind @ ("Resource" | "ContainerResource") => {
            let key = if kind == "Resource" { "resource" } else { "containerResource" };
            let (source, now) = (&metric[key], &current[key]["current"]);
            let name = plain(&source["name"]);
            let place = if kind == "Resource" { "on pods".to_owned() } else { format!("of container \"{}\" on pods", plain(&source["container"])) };
            page.text.push_str(&format!("  resource {name} {place}"));
            if source["target"]["averageValue"].is_null() {
                let shown = if now["averageUtilization"].is_null() { "<unknown>".to_owned() } else { format!("{}% ({})", plain(&now["averageUtilization"]), plain(&now["averageValue"])) };
                let target = if source["target"]["averageUtilization"].is_null() { "<auto>".to_owned() } else { format!("{}%", plain(&source["target"]["averageUtilization"])) };
                page.text.push_str(&format!("  (as a percentage of request):\t{shown} / {target}\n"));
            } else {
                page.text.push_str(&format!(":\t{} / {}\n", or_unknown(&now["averageValue"]), plain(&source["target"]["averageValue"])));
            }
        }
        "Pods" => page.line(1, format!("\"{}\" on pods:\t{} / {}", plain(&metric["pods"]["metric"]["name"]), or_unknown(&current["pods"]["current"]["averageValue"]), plain(&metric["pods"]["target"]["averageValue"]))),
        "Object" => {
            let source = &metric["object"];
            let target = if source["target"]["value"].is_null() { &source["target"]["averageValue"] } else { &source["target"]["value"] };
            page.line(1, format!("\"{}\" on {}/{} (target value):\t{} / {}", plain(&source["metric"]["name"]), plain(&source["describedObject"]["kind"]), plain(&source["describedObject"]["name"]), or_unknown(&current["object"]["current"]["value"]), plain(target)));
        }
        "External" => {
            let source = &metric["external"];
            let average = !source["target"]["averageValue"].is_null();
            let (word, key) = if average { ("target average value", "averageValue") } else { ("target value", "value") };
            page.line(1, format!("\"{}\" ({word}):\t{} / {}", plain(&source["metric"]["name"]), or_unknown(&current["external"]["current"][key]), plain(&source["target"][key])));
        }
        other => page.line(1, format!("<unknown metric type \"{other}\">")),
    }
}

fn behavior(page: &mut Page, behavior: &Value) {
    if !behavior.is_object() {
        return;
    }
    page.line(0, "Behavior:");
    for (key, label) in [("scaleUp", "Scale Up"), ("scaleDown", "Scale Down")] {
        let rules = &behavior[key];
        if !rules.is_object() {
            continue;
        }
        page.line(1, format!("{label}:"));
        if !rules["stabilizationWindowSeconds"].is_null() {
            page.line(2, format!("Stabilization Window: {} seconds", plain(&rules["stabilizationWindowSeconds"])));
        }
        if each(&rules["policies"]).next().is_some() {
            page.line(2, format!("Select Policy: {}", rules["selectPolicy"].as_str().unwrap_or("Max")));
            page.line(2, "Policies:");
            each(&rules["policies"]).for_each(|p| page.line(3, format!("- Type: {}\tValue: {}\tPeriod: {} seconds", plain(&p["type"]), plain(&p["value"]), plain(&p["periodSeconds"]))));
        }
    }
}

pub(super) fn network(page: &mut Page, object: &Value) {
    let spec = &object["spec"];
    page.pair(0, "Name", plain(&object["metadata"]["name"]));
    page.pair(0, "Namespace", plain(&object["metadata"]["namespace"]));
    let created = plain(&object["metadata"]["creationTimestamp"]).replace('T', " ").replace('Z', " +0000 UTC");
    page.pair(0, "Created on", created);
    page.map(0, "Labels", &object["metadata"]["labels"], "=");
    page.map(0, "Annotations", &object["metadata"]["annotations"], ": ");
    page.line(0, "Spec:");
    let selector = selector_text(&spec["podSelector"]);
    page.line(1, format!("PodSelector:     {}", if selector.is_empty() { "<none> (Allowing the specific traffic to all pods in this namespace)".to_owned() } else { selector }));
    let types: Vec<String> = each(&spec["policyTypes"]).map(plain).collect();
    for (kind, key, peers, to) in [("Ingress", "ingress", "from", "From"), ("Egress", "egress", "to", "To")] {
        let word = key;
        if !types.iter().any(|t| t == kind) {
            page.line(1, format!("Not affecting {word} traffic"));
            continue;
        }
        page.line(1, format!("Allowing {word} traffic:"));
        rules(page, &spec[key], peers, to, kind);
    }
    page.line(1, format!("Policy Types: {}", types.join(", ")));
}

fn rules(page: &mut Page, rules: &Value, peers: &str, to: &str, kind: &str) {
    let all: Vec<&Value> = each(rules).collect();
    if all.is_empty() {
        page.line(2, format!("<none> (Selected pods are isolated for {} connectivity)", kind.to_lowercase()));
    }
    for (i, rule) in all.iter().enumerate() {
        if each(&rule["ports"]).next().is_none() {
            page.line(2, "To Port: <any> (traffic allowed to all ports)");
        }
        for port in each(&rule["ports"]) {
            let range = if port["endPort"].is_null() { String::new() } else { format!("-{}", plain(&port["endPort"])) };
            let shown = if port["port"].is_null() { "<any>".to_owned() } else { plain(&port["port"]) + &range };
            page.line(2, format!("To Port: {shown}/{}", port["protocol"].as_str().unwrap_or("TCP")));
        }
        if each(&rule[peers]).next().is_none() {
            page.line(2, format!("{to}: <any> (traffic not restricted by {})", if to == "From" { "source" } else { "destination" }));
        }
        for peer in each(&rule[peers]) {
            page.line(2, format!("{to}:"));
            let show = |key: &str| or_none(selector_text(&peer[key]));
            if peer["podSelector"].is_object() && peer["namespaceSelector"].is_object() {
                page.line(3, format!("NamespaceSelector: {}", show("namespaceSelector")));
                page.line(3, format!("PodSelector: {}", show("podSelector")));
            } else if peer["podSelector"].is_object() {
                page.line(3, format!("PodSelector: {}", show("podSelector")));
            } else if peer["namespaceSelector"].is_object() {
                page.line(3, format!("NamespaceSelector: {}", show("namespaceSelector")));
            } else if peer["ipBlock"].is_object() {
                page.line(3, "IPBlock:");
                page.line(4, format!("CIDR: {}", plain(&peer["ipBlock"]["cidr"])));
                page.line(4, format!("Except: {}", each(&peer["ipBlock"]["except"]).map(plain).collect::<Vec<_>>().join(", ")));
            }
        }
        if i + 1 < all.len() {
            page.line(2, "----------");
        }
    }
}

pub(super) fn budget(page: &mut Page, object: &Value) {
    let (spec, status) = (&object["spec"], &object["status"]);
    page.pair(0, "Name", plain(&object["metadata"]["name"]));
    page.pair(0, "Namespace", plain(&object["metadata"]["namespace"]));
    if spec["minAvailable"].is_null() {
        page.some(0, "Max unavailable", &spec["maxUnavailable"]);
    } else {
        page.pair(0, "Min available", plain(&spec["minAvailable"]));
    }
    page.pair(0, "Selector", if spec["selector"].is_null() { "<unset>".to_owned() } else { or_none(selector_text(&spec["selector"])) });
    page.line(0, "Status:");
    for (label, key) in [("Allowed disruptions", "disruptionsAllowed"), ("Current", "currentHealthy"), ("Desired", "desiredHealthy"), ("Total", "expectedPods")] {
        page.pair(2, label, number(&status[key]).to_string());
    }
}

/// Amounts in the order of their names.
fn amounts(hard: &Value) -> Vec<&String> {
    let mut names: Vec<&String> = hard.as_object().into_iter().flatten().map(|(k, _)| k).collect();
    names.sort();
    names
}

fn or_zero(v: &Value) -> String {
    if v.is_null() { "0".to_owned() } else { plain(v) }
}

pub(super) fn quota(page: &mut Page, object: &Value) {
    page.pair(0, "Name", plain(&object["metadata"]["name"]));
    page.pair(0, "Namespace", plain(&object["metadata"]["namespace"]));
    let scopes: Vec<String> = each(&object["spec"]["scopes"]).map(plain).collect();
    if !scopes.is_empty() {
        page.pair(0, "Scopes", scopes.join(", "));
        scopes.iter().for_each(|s| page.line(0, format!(" * {}", scope_text(s))));
    }
    page.line(0, "Resource\tUsed\tHard\n--------\t----\t----");
    let status = &object["status"];
    for name in amounts(&status["hard"]) {
        page.line(0, format!("{name}\t{}\t{}", or_zero(&status["used"][name]), plain(&status["hard"][name])));
    }
}

fn scope_text(scope: &str) -> &'static str {
    match scope {
        "Terminating" => "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being actively terminated by the system.",
        "NotTerminating" => "Matches all pods that do not have an active deadline. These pods usually include long running pods whose container command is not expected to terminate.",
        "BestEffort" => "Matches all pods that do not have resource requirements set. These pods have a best effort quality of service.",
        "NotBestEffort" => "Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed quality of service.",
        _ => "",
    }
}

/// Quotas and limits at the end of a namespace's page.
pub(super) fn of_namespace(page: &mut Page, quotas: &[Value], limits: &[Value]) {
    if quotas.is_empty() {
        page.line(0, "\nNo resource quota.");
    } else {
        page.line(0, "\nResource Quotas");
    }
    for (i, quota) in quotas.iter().enumerate() {
        if i > 0 {
            page.line(0, "");
        }
        page.pair(1, "Name", plain(&quota["metadata"]["name"]));
        let scopes: Vec<String> = each(&quota["spec"]["scopes"]).map(plain).collect();
        if !scopes.is_empty() {
            page.pair(1, "Scopes", scopes.join(", "));
        }
        page.line(1, "Resource\tUsed\tHard");
        page.line(1, "--------\t---\t---");
        let status = &quota["status"];
        for name in amounts(&status["hard"]) {
            page.line(1, format!("{name}\t{}\t{}", or_zero(&status["used"][name]), plain(&status["hard"][name])));
        }
    }
    if limits.is_empty() {
        page.line(0, "\nNo LimitRange resource.");
        return;
    }
    page.line(0, "\nResource Limits\n Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio\n ----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
    limits.iter().for_each(|l| limit_lines(page, l, " "));
}

fn limit_lines(page: &mut Page, object: &Value, lead: &str) {
    for item in each(&object["spec"]["limits"]) {
        let keys = ["min", "max", "defaultRequest", "default", "maxLimitRequestRatio"];
        let mut names: Vec<&String> = keys.iter().flat_map(|k| item[*k].as_object().into_iter().flatten().map(|(n, _)| n)).collect();
        names.sort();
        names.dedup();
        for name in names {
            let cells: Vec<String> = keys.iter().map(|k| if item[*k][name].is_null() { "-".to_owned() } else { plain(&item[*k][name]) }).collect();
            page.line(0, format!("{lead}{}\t{name}\t{}", plain(&item["type"]), cells.join("\t")));
        }
    }
}

pub(super) fn limits(page: &mut Page, object: &Value) {
    page.pair(0, "Name", plain(&object["metadata"]["name"]));
    page.pair(0, "Namespace", plain(&object["metadata"]["namespace"]));
    page.line(0, "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio\n----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
    limit_lines(page, object, "");
}

/// Annotations on one line each, as `key=value`.
pub(super) fn plain_annotations(page: &mut Page, object: &Value) {
    let map = object["metadata"]["annotations"].as_object();
    let all: Vec<String> = map.into_iter().flatten().map(|(k, v)| format!("{k}={}", plain(v))).collect();
    page.pair(0, "Annotations", or_none(all.join(",")));
}

pub(super) fn priority(page: &mut Page, object: &Value) {
    page.pair(0, "Name", plain(&object["metadata"]["name"]));
    page.pair(0, "Value", plain(&object["value"]));
    page.pair(0, "GlobalDefault", (object["globalDefault"] == true).to_string());
    page.pair(0, "PreemptionPolicy", plain(&object["preemptionPolicy"]));
    page.pair(0, "Description", plain(&object["description"]));
    plain_annotations(page, object);
}
