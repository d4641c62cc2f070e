//! Carrying out what people do, through the API as anyone would.

use super::life::Life;
use super::step::{How, Load};
use kinds::api::core::v1::{Node, Pod};
use kinds::{Api, ApiError, DeleteOptions, Kind, Object, ObjectKey, Patch, PatchKind, Target, WriteOptions};
use serde_json::{Value, json};
use std::sync::Arc;

type Done = Result<(), ApiError>;

fn namespace(ns: u64) -> String {
    format!("ns{ns}")
}

fn kind(load: Load) -> Kind {
    match load {
        Load::Deployment => Kind::Deployment,
        Load::StatefulSet => Kind::StatefulSet,
        Load::DaemonSet => Kind::DaemonSet,
        Load::Job => Kind::Job,
    }
}

fn letter(load: Load) -> char {
    match load {
        Load::Deployment => 'd',
        Load::StatefulSet => 's',
        Load::DaemonSet => 'x',
        Load::Job => 'j',
    }
}

fn key(load: Load, ns: u64, name: u64) -> ObjectKey {
    ObjectKey::new(namespace(ns), format!("{}{name}", letter(load)))
}

fn patch(body: &Value) -> Patch {
    Patch { kind: PatchKind::Merge, body: body.to_string().into_bytes() }
}

async fn create(life: &Life, kind: Kind, tree: Value) -> Done {
    let mut object = codec::from_value(&kind.into(), tree).map_err(ApiError::internal)?;
    if kind == Kind::Namespace {
        object.meta_mut().namespace = None;
    }
    let target = Target::new(kind, object.key());
    life.api().create(target, object, WriteOptions::default()).await.map(drop)
}

async fn change(life: &Life, kind: Kind, key: ObjectKey, body: Value) -> Done {
    life.api().patch(Target::new(kind, key), patch(&body), WriteOptions::default()).await.map(drop)
}

async fn delete(life: &Life, kind: Kind, key: ObjectKey, policy: Option<&str>) -> Done {
    let options = DeleteOptions { propagation_policy: policy.map(str::to_owned), ..DeleteOptions::default() };
    life.api().delete(Target::new(kind, key), options).await.map(drop)
}

/// Creates a namespace.
pub async fn create_namespace(life: &Life, ns: u64) -> Done {
    create(life, Kind::Namespace, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(ns)}})).await
}

/// Deletes a namespace.
pub async fn delete_namespace(life: &Life, ns: u64) -> Done {
    delete(life, Kind::Namespace, ObjectKey::cluster(namespace(ns)), None).await
}

fn template(app: &str, image: &str, milli: u64, restart: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {
            "restartPolicy": restart,
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 5,
            "containers": [{"name": "main", "image": image, "resources": {"requests": {"cpu": format!("{milli}m"), "memory": "64Mi"}}}],
        },
    })
}

/// Creates a workload.
pub async fn create_load(life: &Life, load: Load, ns: u64, name: u64, size: u64) -> Done {
    let app = format!("{}{name}", letter(load));
    let meta = json!({"name": app, "namespace": namespace(ns), "labels": {"app": app}});
    let selector = json!({"matchLabels": {"app": app}});
    // Large enough that a cluster that has lost nodes runs full.
    let milli = 100 + 200 * (size % 3);
    let tree = match load {
        Load::Deployment => json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {
            "replicas": size, "selector": selector, "template": template(&app, "run:1", milli, "Always")}}),
        Load::StatefulSet => json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta, "spec": {
            "replicas": size, "serviceName": app, "selector": selector,
            "podManagementPolicy": if size % 2 == 0 { "Parallel" } else { "OrderedReady" },
            "template": template(&app, "run:1", milli, "Always")}}),
        Load::DaemonSet => json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": meta, "spec": {
            "selector": selector, "template": template(&app, "run:1", 50, "Always")}}),
        Load::Job => json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {
            "completions": size, "parallelism": 1 + size % 3, "backoffLimit": 2,
            "ttlSecondsAfterFinished": if size % 2 == 0 { json!(60) } else { Value::Null },
            "template": template(&app, if size == 5 { "fail:1" } else { "work:1" }, milli, if size % 2 == 0 { "Never" } else { "OnFailure" })}}),
    };
    create(life, kind(load), tree).await
}

/// Asks for another number of replicas.
pub async fn scale(life: &Life, load: Load, ns: u64, name: u64, size: u64) -> Done {
    let body = match load {
        Load::DaemonSet => return Ok(()),
        Load::Job => json!({"spec": {"parallelism": size}}),
        _ => json!({"spec": {"replicas": size}}),
    };
    change(life, kind(load), key(load, ns, name), body).await
}

/// Asks for another image.
pub async fn roll(life: &Life, load: Load, ns: u64, name: u64, tag: u64) -> Done {
    if load == Load::Job {
        return change(life, Kind::Job, key(load, ns, name), json!({"spec": {"suspend": tag % 2 == 0}})).await;
    }
    let body = json!({"spec": {"template": {"metadata": {"annotations": {"roll": tag.to_string()}}}}});
    change(life, kind(load), key(load, ns, name), body).await
}

/// Deletes a workload.
pub async fn delete_load(life: &Life, load: Load, ns: u64, name: u64, how: How) -> Done {
    let policy = match how {
        How::Background => "Background",
        How::Foreground => "Foreground",
        How::Orphan => "Orphan",
    };
    delete(life, kind(load), key(load, ns, name), Some(policy)).await
}

/// A Service in front of the Deployment (or, for odd names, the StatefulSet) of that name.
pub async fn service(life: &Life, ns: u64, name: u64) -> Done {
    let app = format!("{}{name}", if name % 2 == 0 { 'd' } else { 's' });
    create(life, Kind::Service, json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": app, "namespace": namespace(ns)},
        "spec": {"selector": {"app": app}, "ports": [{"port": 80, "protocol": "TCP"}]}})).await
}

/// Deletes it.
pub async fn delete_service(life: &Life, ns: u64, name: u64) -> Done {
    let app = format!("{}{name}", if name % 2 == 0 { 'd' } else { 's' });
    delete(life, Kind::Service, ObjectKey::new(namespace(ns), app), None).await
}

fn pods(life: &Life, ns: u64, every: u64) -> Vec<ObjectKey> {
    let snapshot = life.snapshot();
    let all = snapshot.list::<Pod>(&namespace(ns)).map(|p| ObjectKey::of(&p.metadata)).collect::<Vec<_>>();
    all.into_iter().step_by(every as usize).collect()
}

/// Deletes some pods.
pub async fn delete_pods(life: &Life, ns: u64, every: u64) -> Done {
    for key in pods(life, ns, every) {
        delete(life, Kind::Pod, key, None).await?;
    }
    Ok(())
}

/// Labels some pods; the third tier is none.
pub async fn relabel(life: &Life, ns: u64, every: u64, tier: u64) -> Done {
    let tier = [json!("a"), json!("b"), Value::Null][tier as usize].clone();
    for key in pods(life, ns, every) {
        change(life, Kind::Pod, key, json!({"metadata": {"labels": {"tier": tier}}})).await?;
    }
    Ok(())
}

/// Writers that know nothing of each other: patches, and updates of what may be stale by then.
pub async fn quarrel(life: &Life, ns: u64, rounds: u64) -> Done {
    for round in 0..rounds {
        let snapshot = life.snapshot();
        for kind in [Kind::Deployment, Kind::ReplicaSet, Kind::StatefulSet, Kind::Job, Kind::Pod] {
            let Some(table) = snapshot.table(&kind.into()) else { continue };
            for entry in table.range(&namespace(ns), None) {
                let target = Target::new(kind, entry.key.clone());
                let mut stale: Object = entry.object().clone();
                stale.meta_mut().annotations.get_or_insert_default().insert("update".into(), round.to_string());
                match life.api().update(target.clone(), stale, WriteOptions::default()).await {
                    Err(e) if !e.is_conflict() && !e.is_not_found() => return Err(e),
                    _ => {}
                }
                let body = json!({"metadata": {"annotations": {"patch": round.to_string()}}});
                match life.api().patch(target, patch(&body), WriteOptions::default()).await {
                    Err(e) if !e.is_conflict() && !e.is_not_found() => return Err(e),
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

fn node(name: &str) -> ObjectKey {
    ObjectKey::cluster(name.to_owned())
}

/// Cordons or uncordons.
pub async fn cordon(life: &Life, name: &str, on: bool) -> Done {
    change(life, Kind::Node, node(name), json!({"spec": {"unschedulable": if on { json!(true) } else { Value::Null }}})).await
}

/// Cordons a node and evicts its pods, as `kubectl drain --ignore-daemonsets` does.
pub async fn drain(life: &Life, name: &str) -> Done {
    cordon(life, name, true).await?;
    let snapshot = life.snapshot();
    let daemons = |p: &&Arc<Pod>| kinds::owner::controller_of(&p.metadata).is_some_and(|o| o.kind == "DaemonSet");
    let pods: Vec<ObjectKey> = snapshot.pods_on(name).filter(|p| !daemons(p)).map(|p| ObjectKey::of(&p.metadata)).collect();
    for key in pods {
        let tree = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": key.name, "namespace": key.namespace}});
        let eviction = codec::from_value(&Kind::Eviction.into(), tree).map_err(ApiError::internal)?;
        match life.api().create(Target::new(Kind::Pod, key).sub("eviction"), eviction, WriteOptions::default()).await {
            Err(e) if !e.is_not_found() && e.code != 429 => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// Puts a taint of ours on a node, or takes it away.
pub async fn taint(life: &Life, name: &str, effect: Option<&str>) -> Done {
    let snapshot = life.snapshot();
    let Some(found) = snapshot.get::<Node>("", name) else { return Ok(()) };
    let taints = found.spec.as_ref().and_then(|s| s.taints.clone()).unwrap_or_default();
    let mut tree: Vec<Value> = taints
        .iter()
        .filter(|t| t.key != "sim")
        .map(|t| json!({"key": t.key, "value": t.value, "effect": t.effect, "timeAdded": t.time_added.as_ref().map(|a| a.0.to_string())}))
        .collect();
    tree.extend(effect.map(|e| json!({"key": "sim", "value": "yes", "effect": e})));
    let version = found.metadata.resource_version.clone();
    change(life, Kind::Node, node(name), json!({"metadata": {"resourceVersion": version}, "spec": {"taints": tree}})).await
}

/// Deletes the object of a node.
pub async fn remove_node(life: &Life, name: &str) -> Done {
    delete(life, Kind::Node, node(name), None).await
}
