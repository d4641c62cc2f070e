//! Static pods: manifests in a directory, run without the API, shown by mirror pods (docs: "Create static Pods").

use crate::config::{Config, ReadManifest};
use crate::hands::Hands;
use crate::hands::api::options;
use crate::watch::FileWatch;
use kinds::api::core::v1::{Node, Pod, Toleration};
use kinds::apimachinery::pkg::apis::meta::v1::Preconditions;
use kinds::{DeleteOptions, Kind, ObjectKey, ObjectMeta, OwnerReference, Target};
use pods::roster;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const SOURCE: &str = "kubernetes.io/config.source";
const HASH: &str = "kubernetes.io/config.hash";
const MIRROR: &str = "kubernetes.io/config.mirror";

fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Whether a pod came from a manifest.
pub(crate) fn is_static(pod: &Pod) -> bool {
    annotation(pod, SOURCE) == Some("file")
}

/// Whether a pod of the API only shows a static one.
pub(crate) fn is_mirror(pod: &Pod) -> bool {
    annotation(pod, MIRROR).is_some()
}

/// Whether `found` is the mirror of `pod`.
pub(crate) fn mirrors(found: &Pod, pod: &Pod) -> bool {
    is_static(pod) && annotation(found, MIRROR).is_some() && annotation(found, MIRROR) == annotation(pod, HASH)
}

/// The pod of a manifest: named after the node, with a uid made from its content.
fn adopt(mut pod: Pod, content: &[u8], config: &Config) -> Arc<Pod> {
    let hash = kinds::hash::content_hash(&(content, &config.node_name), None);
    let spread = format!("{:0>8}{:0>8}", hash, kinds::hash::content_hash(&(&hash, content), None));
    let m = &mut pod.metadata;
    m.name = Some(format!("{}-{}", m.name.clone().unwrap_or_default(), config.node_name));
    m.namespace.get_or_insert_with(|| "default".to_owned());
    m.uid = Some(spread.clone());
    let notes = m.annotations.get_or_insert_default();
    notes.insert(SOURCE.to_owned(), "file".to_owned());
    notes.insert(HASH.to_owned(), spread);
    let spec = pod.spec.get_or_insert_default();
    spec.node_name = Some(config.node_name.clone());
    let all = Toleration { operator: Some("Exists".into()), effect: Some("NoExecute".into()), ..Toleration::default() };
    spec.tolerations.get_or_insert_default().push(all);
    Arc::new(pod)
}

fn read_all(dir: &Path, read: &ReadManifest, config: &Config) -> Vec<Arc<Pod>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if hidden || !path.is_file() {
            continue;
        }
        let pod = std::fs::read(&path).map_err(|e| e.to_string()).and_then(|bytes| Ok((read(&bytes)?, bytes)));
        match pod {
            Ok((pod, bytes)) => found.push(adopt(pod, &bytes, config)),
            Err(e) => tracing::error!(path = %path.display(), err = %e, "Could not process a manifest file"),
        }
    }
    found
}

/// Tells all manifests now and whenever the directory changes.
pub(crate) fn watch(config: &Config, read: Option<ReadManifest>, out: mpsc::Sender<Vec<Arc<Pod>>>, stop: CancellationToken) {
    let (Some(dir), Some(read)) = (config.manifest_dir.clone(), read) else { return };
    let config = config.clone();
    tokio::spawn(async move {
        let watched = FileWatch::new().and_then(|w| w.directory(&dir).map(|()| w));
        let watched = match watched {
            Ok(w) => w,
            Err(e) => {
                tracing::error!(path = %dir.display(), err = %e, "Cannot watch the manifest directory");
                return;
            }
        };
        loop {
            if out.send(read_all(&dir, &read, &config)).await.is_err() {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = watched.changed() => if changed.is_err() { return },
            }
        }
    });
}

/// Makes the mirror of a static pod, replacing one of another manifest.
pub(crate) fn ensure_mirror(hands: Arc<Hands>, pod: Arc<Pod>) {
    tokio::spawn(async move {
        let key = ObjectKey::of(&pod.metadata);
        let snapshot = hands.source.snapshot();
        let found = snapshot.find::<Pod>(&key);
        if found.is_some_and(|f| mirrors(f, &pod)) {
            return;
        }
        let target = Target::new(Kind::Pod, key);
        if let Some(old) = found.filter(|f| is_mirror(f)) {
            let preconditions = Preconditions { uid: old.metadata.uid.clone(), resource_version: None };
            let now = DeleteOptions { grace_period_seconds: Some(0), preconditions: Some(preconditions), ..DeleteOptions::default() };
            if let Err(e) = hands.api.delete(target.clone(), now).await {
                tracing::warn!(err = %e, "Failed to delete an old mirror pod");
            }
        }
        if let Err(e) = hands.api.create(target, mirror(&hands, &pod).into(), options()).await {
            tracing::warn!(err = %e, pod = roster::name(&pod), "Failed to create a mirror pod");
        }
    });
}

/// Deletes the mirrors of this node that no manifest stands behind.
pub(crate) fn remove_stale_mirrors(hands: &Arc<Hands>, wanted: &[Arc<Pod>]) {
    let snapshot = hands.source.snapshot();
    let stale = snapshot.pods_on(&hands.config.node_name).filter(|p| is_mirror(p) && !wanted.iter().any(|w| mirrors(p, w)));
    for mirror in stale.cloned() {
        let hands = Arc::clone(hands);
        tokio::spawn(async move {
            if let pods::Outcome::Failed(f) = hands.delete(&mirror).await
                && !f.gone
            {
                tracing::warn!(err = %f.message, pod = roster::name(&mirror), "Failed to delete a mirror pod");
            }
        });
    }
}

fn mirror(hands: &Hands, pod: &Pod) -> Pod {
    let mut annotations = pod.metadata.annotations.clone().unwrap_or_default();
    let hash = annotations.get(HASH).cloned().unwrap_or_default();
    annotations.insert(MIRROR.to_owned(), hash);
    let node = hands.source.snapshot().get::<Node>("", &hands.config.node_name).cloned();
    let owner = node.map(|n| OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: hands.config.node_name.clone(),
        uid: n.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    });
    Pod {
        metadata: ObjectMeta {
            name: pod.metadata.name.clone(),
            namespace: pod.metadata.namespace.clone(),
            labels: pod.metadata.labels.clone(),
            annotations: Some(annotations),
            owner_references: owner.map(|o| vec![o]),
            ..ObjectMeta::default()
        },
        spec: pod.spec.clone(),
        status: None,
    }
}
