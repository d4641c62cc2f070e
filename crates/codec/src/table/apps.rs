//! Rows of the apps group.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Printer;
use super::cells::{View, containers, labels, selector};

pub(super) fn printer(kind: &str) -> Option<Printer> {
    Some(match kind {
        "Deployment" => deployment,
        "ReplicaSet" => replica_set,
        "StatefulSet" => stateful_set,
        "DaemonSet" => daemon_set,
        "ControllerRevision" => controller_revision,
        _ => return None,
    })
}

fn deployment(object: View<'_>, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(object.at("/spec/template/spec"));
    vec![
        object.name(),
        json!(format!("{}/{}", object.int("/status/readyReplicas"), object.int("/spec/replicas"))),
        json!(object.int("/status/updatedReplicas")),
        json!(object.int("/status/availableReplicas")),
        object.age(now),
        names,
        images,
        json!(selector(object.at("/spec/selector"))),
    ]
}

fn replica_set(object: View<'_>, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(object.at("/spec/template/spec"));
    vec![
        object.name(),
        json!(object.int("/spec/replicas")),
        json!(object.int("/status/replicas")),
        json!(object.int("/status/readyReplicas")),
        object.age(now),
        names,
        images,
        json!(selector(object.at("/spec/selector"))),
    ]
}

fn stateful_set(object: View<'_>, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(object.at("/spec/template/spec"));
    let ready = format!("{}/{}", object.int("/status/readyReplicas"), object.int("/spec/replicas"));
    vec![object.name(), json!(ready), object.age(now), names, images]
}

fn daemon_set(object: View<'_>, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(object.at("/spec/template/spec"));
    vec![
        object.name(),
        json!(object.int("/status/desiredNumberScheduled")),
        json!(object.int("/status/currentNumberScheduled")),
        json!(object.int("/status/numberReady")),
        json!(object.int("/status/updatedNumberScheduled")),
        json!(object.int("/status/numberAvailable")),
        json!(labels(object.at("/spec/template/spec/nodeSelector"))),
        object.age(now),
        names,
        images,
        json!(selector(object.at("/spec/selector"))),
    ]
}

fn controller_revision(object: View<'_>, now: Timestamp) -> Vec<Value> {
    let owner = object.list("/metadata/ownerReferences").find(|owner| owner.flag("/controller"));
    let controller = owner.map_or_else(
        || "<none>".to_owned(),
        |owner| {
            let kind = owner.text("/kind").to_lowercase();
            match owner.text("/apiVersion").split_once('/') {
                Some((group, _)) => format!("{kind}.{group}/{}", owner.text("/name")),
                None => format!("{kind}/{}", owner.text("/name")),
            }
        },
    );
    vec![object.name(), json!(controller), json!(object.int("/revision")), object.age(now)]
}
