//! Pods of what a person names: the pod itself, or those behind a workload or a service; and their containers.

use crate::discovery::Mapping;
use crate::failure::{Failure, Outcome, wrong};
use crate::query::Query;
use crate::select::{self, Target};
use crate::session::Session;
use client::Error;
use serde_json::Value;
use std::time::Duration;

/// `a=b,c in (d,e)` of a LabelSelector or of a plain map.
pub(crate) fn selector_text(selector: &Value) -> String {
    let plain = selector.get("matchLabels").is_none() && selector.get("matchExpressions").is_none();
    let labels = if plain { selector.as_object() } else { selector["matchLabels"].as_object() };
    let mut parts: Vec<String> = labels.into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    for term in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = term["key"].as_str().unwrap_or_default();
        let values: Vec<&str> = term["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        parts.push(match term["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    parts.join(",")
}

/// The selector of the pods behind an object.
pub(crate) fn selector_of(mapping: &Mapping, object: &Value) -> Outcome<String> {
    let selector = &object["spec"]["selector"];
    if selector.as_object().is_none_or(serde_json::Map::is_empty) {
        return wrong(format!("cannot attach to *{}: selector is not set", mapping.kind));
    }
    Ok(selector_text(selector))
}

/// The pods that a selector leaves, the best first: running and ready before the rest.
pub(crate) async fn selected(session: &Session, namespace: &str, selector: &str) -> Outcome<Vec<Value>> {
    let path = format!("/api/v1/namespaces/{namespace}/pods{}", Query::default().and("labelSelector", selector).text());
    let mut list = session.client.get(&path).await?;
    let Value::Array(mut pods) = list["items"].take() else { return Ok(Vec::new()) };
    pods.sort_by_key(|p| {
        let ready = p["status"]["conditions"].as_array().is_some_and(|c| c.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"));
        (p["spec"]["nodeName"].is_null(), p["status"]["phase"] != "Running", !ready)
    });
    Ok(pods)
}

/// The pod that `NAME` or `TYPE/NAME` means; for workloads waits until one is there.
pub(crate) async fn one(session: &Session, word: &str, patience: Duration) -> Outcome<Value> {
    if !word.contains('/') {
        return Ok(session.client.get(&format!("/api/v1/namespaces/{}/pods/{word}", session.namespace)).await?);
    }
    let targets = select::targets(session, &[word]).await?;
    let [Target { mapping, name: Some(name) }] = &targets[..] else { return wrong("expected one object") };
    let object = session.client.get(&mapping.object(Some(&session.namespace), name)).await?;
    if mapping.kind == "Pod" {
        return Ok(object);
    }
    let selector = selector_of(mapping, &object)?;
    let deadline = std::time::Instant::now() + patience;
    loop {
        if let Some(pod) = selected(session, &session.namespace, &selector).await?.into_iter().next() {
            return Ok(pod);
        }
        if std::time::Instant::now() >= deadline {
            return wrong("timed out waiting for the condition");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Names of the containers of a kind (`containers`, `initContainers`, `ephemeralContainers`).
pub(crate) fn names<'a>(pod: &'a Value, list: &str) -> Vec<&'a str> {
    pod["spec"][list].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str()).collect()
}

/// The container to use: the one asked for, the annotated one, or the first; says so when there are several.
pub(crate) fn container(pod: &Value, asked: Option<&str>, quiet: bool) -> Outcome<String> {
    let main = names(pod, "containers");
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let all: Vec<&str> = main.iter().copied().chain(names(pod, "initContainers")).chain(names(pod, "ephemeralContainers")).collect();
    if let Some(asked) = asked.filter(|a| !a.is_empty()) {
        if all.contains(&asked) {
            return Ok(asked.to_owned());
        }
        return Err(Failure::Bare(format!("error: container not found (\"{asked}\") in pod {name}")).relabel(asked, name));
    }
    let default = pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].as_str();
    if let Some(default) = default.filter(|d| main.contains(d)) {
        return Ok(default.to_owned());
    }
    let first = main.first().ok_or_else(|| Failure::text(format!("pod {name} has no containers")))?;
    if all.len() > 1 && !quiet {
        let described: Vec<String> = main.iter().map(|c| (*c).to_owned()).chain(names(pod, "initContainers").iter().map(|c| format!("{c} (init)"))).chain(names(pod, "ephemeralContainers").iter().map(|c| format!("{c} (ephem)"))).collect();
        crate::print::tell(&format!("Defaulted container \"{first}\" out of: {}", described.join(", ")));
    }
    Ok((*first).to_owned())
}

impl Failure {
    fn relabel(self, container: &str, pod: &str) -> Self {
        Self::Text(format!("container {container} not found in pod {pod}"))
    }
}

/// Waits until a pod satisfies a condition; gives the pod as it then is. A pod that goes away is an error.
pub(crate) async fn until(session: &Session, namespace: &str, name: &str, limit: Duration, holds: impl Fn(&Value) -> bool + Send) -> Outcome<Value> {
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let waiting = async {
        loop {
            let pod = session.client.get(&format!("{path}/{name}")).await?;
            if holds(&pod) {
                return Ok(pod);
            }
            let query = Query::default().and("watch", "true").and("fieldSelector", &format!("metadata.name={name}"));
            let query = query.and("resourceVersion", pod["metadata"]["resourceVersion"].as_str().unwrap_or_default());
            let mut watch = session.client.watch(&format!("{path}{}", query.text()), "application/json").await?;
            while let Some(event) = watch.next().await? {
                if event.kind == "DELETED" {
                    return Err(Error::Answer(format!("pod {name} was deleted")));
                }
                if holds(&event.object) {
                    return Ok(event.object);
                }
            }
        }
    };
    match tokio::time::timeout(limit, waiting).await {
        Ok(done) => Ok(done?),
        Err(_) => wrong("timed out waiting for the condition"),
    }
}
