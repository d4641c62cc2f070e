//! Pods and pod templates in words.

use super::{Page, controller, each, or_none, plain};
use crate::times;
use serde_json::Value;

/// A pod.
pub(super) fn pod(page: &mut Page, pod: &Value) {
    let (meta, spec, status) = (&pod["metadata"], &pod["spec"], &pod["status"]);
    page.pair(0, "Name", plain(&meta["name"]));
    page.pair(0, "Namespace", plain(&meta["namespace"]));
    if spec["priority"].is_i64() || spec["priority"].is_u64() {
        page.pair(0, "Priority", plain(&spec["priority"]));
    }
    page.some(0, "Priority Class Name", &spec["priorityClassName"]);
    page.some(0, "Runtime Class Name", &spec["runtimeClassName"]);
    page.pair(0, "Service Account", plain(&spec["serviceAccountName"]));
    let node = plain(&spec["nodeName"]);
    page.pair(0, "Node", if node.is_empty() { "<none>".to_owned() } else { format!("{node}/{}", plain(&status["hostIP"])) });
    if let Some(start) = status["startTime"].as_str() {
        page.pair(0, "Start Time", times::long(start));
    }
    page.map(0, "Labels", &meta["labels"], "=");
    page.map(0, "Annotations", &meta["annotations"], ": ");
    match meta["deletionTimestamp"].as_str() {
        Some(deleted) => {
            page.pair(0, "Status", format!("Terminating (lasts {})", times::age(Some(deleted))));
            page.pair(0, "Termination Grace Period", format!("{}s", plain(&meta["deletionGracePeriodSeconds"])));
        }
        None => page.pair(0, "Status", plain(&status["phase"])),
    }
    page.some(0, "Reason", &status["reason"]);
    page.some(0, "Message", &status["message"]);
    page.pair(0, "IP", plain(&status["podIP"]));
    if each(&status["podIPs"]).next().is_some() {
        page.line(0, "IPs:");
        each(&status["podIPs"]).for_each(|ip| page.pair(1, "IP", plain(&ip["ip"])));
    } else {
        page.pair(0, "IPs", "<none>");
    }
    if let Some(owner) = controller(pod) {
        page.pair(0, "Controlled By", owner);
    }
    for (label, list, statuses) in [("Init Containers", "initContainers", "initContainerStatuses"), ("Containers", "containers", "containerStatuses"), ("Ephemeral Containers", "ephemeralContainers", "ephemeralContainerStatuses")] {
        containers(page, label, &spec[list], Some(&status[statuses]), 0);
    }
    if each(&status["conditions"]).next().is_some() {
        page.line(0, "Conditions:");
        page.line(1, "Type\tStatus");
        each(&status["conditions"]).for_each(|c| page.line(1, format!("{} \t{} ", plain(&c["type"]), plain(&c["status"]))));
    }
    volumes(page, &spec["volumes"], 0);
    page.pair(0, "QoS Class", plain(&status["qosClass"]));
    page.map(0, "Node-Selectors", &spec["nodeSelector"], "=");
    tolerations(page, &spec["tolerations"], 0);
}

/// A pod template, under `Pod Template:`.
pub(super) fn template(page: &mut Page, template: &Value) {
    page.line(0, "Pod Template:");
    page.map(1, "Labels", &template["metadata"]["labels"], "=");
    if template["metadata"]["annotations"].as_object().is_some_and(|m| !m.is_empty()) {
        page.map(1, "Annotations", &template["metadata"]["annotations"], ": ");
    }
    let spec = &template["spec"];
    let account = plain(&spec["serviceAccountName"]);
    if !account.is_empty() {
        page.pair(1, "Service Account", account);
    }
    containers(page, "Init Containers", &spec["initContainers"], None, 1);
    containers(page, "Containers", &spec["containers"], None, 1);
    volumes(page, &spec["volumes"], 1);
    page.some(1, "Priority Class Name", &spec["priorityClassName"]);
    page.map(1, "Node-Selectors", &spec["nodeSelector"], "=");
    tolerations(page, &spec["tolerations"], 1);
}

fn tolerations(page: &mut Page, tolerations: &Value, level: usize) {
    let mut lines: Vec<String> = Vec::new();
    for t in each(tolerations) {
        let (key, value, effect) = (plain(&t["key"]), plain(&t["value"]), plain(&t["effect"]));
        let mut text = key.clone();
        if !value.is_empty() {
            text.push_str(&format!("={value}"));
        }
        if !effect.is_empty() {
            text.push_str(&format!(":{effect}"));
        }
        if t["operator"] == "Exists" && value.is_empty() {
            text.push_str(if key.is_empty() && effect.is_empty() { "op=Exists" } else { " op=Exists" });
        }
        if let Some(seconds) = t["tolerationSeconds"].as_i64() {
            text.push_str(&format!(" for {seconds}s"));
        }
        lines.push(text);
    }
    lines.sort();
    let pad = "  ".repeat(level);
    match lines.split_first() {
        None => page.pair(level, "Tolerations", "<none>"),
        Some((first, rest)) => {
            page.pair(level, "Tolerations", first);
            rest.iter().for_each(|l| page.line(0, format!("{pad}\t{l}")));
        }
    }
}

fn containers(page: &mut Page, label: &str, list: &Value, statuses: Option<&Value>, level: usize) {
    if each(list).next().is_none() {
        if label == "Containers" {
            page.pair(level, label, "<none>");
        }
        return;
    }
    page.line(level, format!("{label}:"));
    for container in each(list) {
        let status = statuses.and_then(|s| each(s).find(|s| s["name"] == container["name"]));
        page.line(level, format!("{}{}:", if level == 0 { "  " } else { " " }, plain(&container["name"])));
        one(page, container, status, statuses.is_some());
    }
}

fn one(page: &mut Page, container: &Value, status: Option<&Value>, live: bool) {
    let at = 2;
    if let Some(status) = status {
        page.pair(at, "Container ID", plain(&status["containerID"]));
    }
    page.pair(at, "Image", plain(&container["image"]));
    if let Some(status) = status {
        page.pair(at, "Image ID", plain(&status["imageID"]));
    }
    let ports: Vec<String> = each(&container["ports"]).map(|p| format!("{}/{}{}", plain(&p["containerPort"]), p["protocol"].as_str().unwrap_or("TCP"), p["name"].as_str().map(|n| format!(" ({n})")).unwrap_or_default())).collect();
    let host: Vec<String> = each(&container["ports"]).map(|p| format!("{}/{}{}", p["hostPort"].as_i64().unwrap_or_default(), p["protocol"].as_str().unwrap_or("TCP"), p["name"].as_str().map(|n| format!(" ({n})")).unwrap_or_default())).collect();
    let several = if ports.len() > 1 { "s" } else { "" };
    page.pair(at, &format!("Port{several}"), or_none(ports.join(", ")));
    page.pair(at, &format!("Host Port{several}"), or_none(host.join(", ")));
    for (key, label) in [("command", "Command"), ("args", "Args")] {
        if each(&container[key]).next().is_some() {
            page.line(at, format!("{label}:"));
            each(&container[key]).for_each(|w| plain(w).lines().for_each(|l| page.line(at + 1, l)));
        }
    }
    if live {
        if let Some(status) = status {
            state(page, at, "State", &status["state"]);
            if status["lastState"].as_object().is_some_and(|m| !m.is_empty()) {
                state(page, at, "Last State", &status["lastState"]);
            }
            page.pair(at, "Ready", if status["ready"] == true { "True" } else { "False" });
            page.pair(at, "Restart Count", plain(&status["restartCount"]));
        }
    }
    for (key, label) in [("limits", "Limits"), ("requests", "Requests")] {
        if let Some(map) = container["resources"][key].as_object().filter(|m| !m.is_empty()) {
            page.line(at, format!("{label}:"));
            map.iter().for_each(|(k, v)| page.pair(at + 1, k, plain(v)));
        }
    }
    for (key, label) in [("livenessProbe", "Liveness"), ("readinessProbe", "Readiness"), ("startupProbe", "Startup")] {
        if container[key].is_object() {
            page.pair(at, label, probe(&container[key]));
        }
    }
    environment(page, container, at);
    mounts(page, container, at);
}

fn state(page: &mut Page, at: usize, label: &str, state: &Value) {
    let time = |v: &Value| v.as_str().map(times::long).unwrap_or_default();
    if let Some(s) = state.get("running") {
        page.pair(at, label, "Running");
        page.pair(at + 1, "Started", time(&s["startedAt"]));
    } else if let Some(s) = state.get("terminated") {
        page.pair(at, label, "Terminated");
        page.some(at + 1, "Reason", &s["reason"]);
        page.some(at + 1, "Message", &s["message"]);
        page.pair(at + 1, "Exit Code", plain(&s["exitCode"]));
        if s["signal"].as_i64().unwrap_or_default() > 0 {
            page.pair(at + 1, "Signal", plain(&s["signal"]));
        }
        page.pair(at + 1, "Started", time(&s["startedAt"]));
        page.pair(at + 1, "Finished", time(&s["finishedAt"]));
    } else {
        page.pair(at, label, "Waiting");
        page.some(at + 1, "Reason", &state["waiting"]["reason"]);
        page.some(at + 1, "Message", &state["waiting"]["message"]);
    }
}

fn probe(probe: &Value) -> String {
    let n = |k: &str| probe[k].as_i64().unwrap_or_default();
    let timing = format!("delay={}s timeout={}s period={}s #success={} #failure={}", n("initialDelaySeconds"), n("timeoutSeconds"), n("periodSeconds"), n("successThreshold"), n("failureThreshold"));
    let what = if let Some(exec) = probe.get("exec") {
        format!("exec [{}]", each(&exec["command"]).map(plain).collect::<Vec<_>>().join(" "))
    } else if let Some(http) = probe.get("httpGet") {
        format!("http-get {}://{}:{}{}", http["scheme"].as_str().unwrap_or("HTTP").to_lowercase(), plain(&http["host"]), plain(&http["port"]), plain(&http["path"]))
    } else if let Some(tcp) = probe.get("tcpSocket") {
        format!("tcp-socket {}:{}", plain(&tcp["host"]), plain(&tcp["port"]))
    } else if let Some(grpc) = probe.get("grpc") {
        format!("grpc <pod>:{} {}", plain(&grpc["port"]), plain(&grpc["service"]))
    } else {
        "unknown".to_owned()
    };
    format!("{what} {timing}")
}

fn environment(page: &mut Page, container: &Value, at: usize) {
    if each(&container["envFrom"]).next().is_some() {
        page.line(at, "Environment Variables from:");
        for from in each(&container["envFrom"]) {
            let (reference, kind) = if from["configMapRef"].is_object() { (&from["configMapRef"], "ConfigMap") } else { (&from["secretRef"], "Secret") };
            let prefix = from["prefix"].as_str().map(|p| format!(" with prefix '{p}'")).unwrap_or_default();
            page.line(at + 1, format!("{}\t{kind}{prefix}\tOptional: {}", plain(&reference["name"]), reference["optional"] == true));
        }
    }
    if each(&container["env"]).next().is_none() {
        page.pair(at, "Environment", "<none>");
        return;
    }
    page.line(at, "Environment:");
    for env in each(&container["env"]) {
        let name = plain(&env["name"]);
        let from = &env["valueFrom"];
        let key = |r: &Value, kind: &str| format!("<set to the key '{}' {kind} '{}'>\tOptional: {}", plain(&r["key"]), plain(&r["name"]), r["optional"] == true);
        let text = if from["fieldRef"].is_object() {
            format!(" ({}:{})", from["fieldRef"]["apiVersion"].as_str().unwrap_or("v1"), plain(&from["fieldRef"]["fieldPath"]))
        } else if from["resourceFieldRef"].is_object() {
            format!(" ({})", plain(&from["resourceFieldRef"]["resource"]))
        } else if from["secretKeyRef"].is_object() {
            key(&from["secretKeyRef"], "in secret")
        } else if from["configMapKeyRef"].is_object() {
            key(&from["configMapKeyRef"], "of config map")
        } else {
            plain(&env["value"]).replace('\n', &format!("\n{}\t", "  ".repeat(at + 1)))
        };
        page.pair(at + 1, &name, text);
    }
}

fn mounts(page: &mut Page, container: &Value, at: usize) {
    if each(&container["volumeMounts"]).next().is_none() {
        page.pair(at, "Mounts", "<none>");
        return;
    }
    page.line(at, "Mounts:");
    let mut all: Vec<&Value> = each(&container["volumeMounts"]).collect();
    all.sort_by_key(|m| plain(&m["mountPath"]));
    for mount in all {
        let mut flags = vec![if mount["readOnly"] == true { "ro" } else { "rw" }.to_owned()];
        flags.extend(mount["subPath"].as_str().map(|p| format!("path=\"{p}\"")));
        page.line(at + 1, format!("{} from {} ({})", plain(&mount["mountPath"]), plain(&mount["name"]), flags.join(",")));
    }
}

fn volumes(page: &mut Page, volumes: &Value, level: usize) {
    if each(volumes).next().is_none() {
        if level > 0 {
            page.pair(level, "Volumes", "<none>");
        }
        return;
    }
    page.line(level, "Volumes:");
    for volume in each(volumes) {
        page.line(level, format!("{}{}:", if level == 0 { "  " } else { " " }, plain(&volume["name"])));
        volume_source(page, volume, 2);
    }
}

pub(super) fn volume_source(page: &mut Page, volume: &Value, at: usize) {
    let Some((kind, v)) = volume.as_object().and_then(|m| m.iter().find(|(k, _)| *k != "name")) else { return };
    match kind.as_str() {
        "emptyDir" => {
            page.pair(at, "Type", "EmptyDir (a temporary directory that shares a pod's lifetime)");
            page.pair(at, "Medium", plain(&v["medium"]));
            page.pair(at, "SizeLimit", v["sizeLimit"].as_str().unwrap_or("<unset>"));
        }
        "hostPath" => {
            page.pair(at, "Type", "HostPath (bare host directory volume)");
            page.pair(at, "Path", plain(&v["path"]));
            page.pair(at, "HostPathType", plain(&v["type"]));
        }
        "configMap" => {
            page.pair(at, "Type", "ConfigMap (a volume populated by a ConfigMap)");
            page.pair(at, "Name", plain(&v["name"]));
            page.pair(at, "Optional", (v["optional"] == true).to_string());
        }
        "secret" => {
            page.pair(at, "Type", "Secret (a volume populated by a Secret)");
            page.pair(at, "SecretName", plain(&v["secretName"]));
            page.pair(at, "Optional", (v["optional"] == true).to_string());
        }
        "persistentVolumeClaim" => {
            page.pair(at, "Type", "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)");
            page.pair(at, "ClaimName", plain(&v["claimName"]));
            page.pair(at, "ReadOnly", (v["readOnly"] == true).to_string());
        }
        "projected" => {
            page.pair(at, "Type", "Projected (a volume that contains injected data from multiple sources)");
            for source in each(&v["sources"]) {
                if let Some(secret) = source.get("secret") {
                    page.pair(at, "SecretName", plain(&secret["name"]));
                    page.pair(at, "Optional", (secret["optional"] == true).to_string());
                } else if source.get("downwardAPI").is_some() {
                    page.pair(at, "DownwardAPI", "true");
                } else if let Some(map) = source.get("configMap") {
                    page.pair(at, "ConfigMapName", plain(&map["name"]));
                    page.pair(at, "Optional", (map["optional"] == true).to_string());
                } else if let Some(token) = source.get("serviceAccountToken") {
                    page.pair(at, "TokenExpirationSeconds", plain(&token["expirationSeconds"]));
                }
            }
        }
        "downwardAPI" => {
            page.pair(at, "Type", "DownwardAPI (a volume populated by information about the pod)");
            page.line(at, "Items:");
            each(&v["items"]).for_each(|i| page.line(at + 1, format!("{} -> {}", plain(&i["fieldRef"]["fieldPath"]), plain(&i["path"]))));
        }
        other => page.pair(at, "Type", other),
    }
}
