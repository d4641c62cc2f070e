//! What the pods of a node have to do with: their secrets, config maps, volumes, claims and accounts.

use super::Attributes;
use cache::Snapshot;
use kinds::api::core::v1::{
    ConfigMapEnvSource, ConfigMapKeySelector, EnvFromSource, EnvVar, PersistentVolume, PersistentVolumeSpec, Pod, PodSpec, SecretEnvSource,
    SecretKeySelector, Volume,
};
use kinds::api::resource::v1::ResourceSlice;
use kinds::api::storage::v1::VolumeAttachment;

/// Pods that were read from a file of the node give it nothing.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Whether a pod of the node has to do with the object that is asked for.
pub(super) fn relates(snapshot: &Snapshot, node: &str, a: &Attributes) -> bool {
    let name = a.name.as_str();
    let mut pods = snapshot.pods_on(node);
    let mut of_pods = |uses: fn(&Pod, &PodSpec, &str) -> bool| {
        pods.any(|p| is_in(p, &a.namespace) && !is_mirror(p) && p.spec.as_ref().is_some_and(|s| uses(p, s, name)))
    };
    match a.resource.as_str() {
        "pods" => snapshot.get::<Pod>(&a.namespace, name).is_some_and(|p| on(p) == Some(node)),
        "secrets" => of_pods(|_, s, n| secrets(s).any(|x| x == n)) || secret_of_volume(snapshot, node, a),
        "configmaps" => of_pods(|_, s, n| config_maps(s).any(|x| x == n)),
        "persistentvolumeclaims" => of_pods(|p, s, n| claims(p, s).any(|x| x == n)),
        "resourceclaims" => of_pods(|p, s, n| devices(p, s).any(|x| x == n)),
        "serviceaccounts" => of_pods(|_, s, n| s.service_account_name.as_deref() == Some(n)),
        "persistentvolumes" => snapshot.get::<PersistentVolume>("", name).is_some_and(|v| is_claimed(snapshot, node, v)),
        "volumeattachments" => snapshot.get::<VolumeAttachment>("", name).is_some_and(|v| v.spec.node_name == node),
        "resourceslices" => snapshot.get::<ResourceSlice>("", name).is_some_and(|s| s.spec.node_name.as_deref() == Some(node)),
        _ => false,
    }
}

fn is_in(pod: &Pod, namespace: &str) -> bool {
    pod.metadata.namespace.as_deref() == Some(namespace)
}

fn is_mirror(pod: &Pod) -> bool {
    pod.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(MIRROR))
}

fn on(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// Whether a pod of the node uses the claim that the volume is bound to.
fn is_claimed(snapshot: &Snapshot, node: &str, volume: &PersistentVolume) -> bool {
    let Some(claim) = volume.spec.as_ref().and_then(|s| s.claim_ref.as_ref()) else { return false };
    let (Some(namespace), Some(name)) = (claim.namespace.as_deref(), claim.name.as_deref()) else { return false };
    snapshot.pods_on(node).any(|p| is_in(p, namespace) && !is_mirror(p) && p.spec.as_ref().is_some_and(|s| claims(p, s).any(|c| c == name)))
}

/// Secrets that volumes of the node need to be mounted.
fn secret_of_volume(snapshot: &Snapshot, node: &str, a: &Attributes) -> bool {
    let named = |v: &PersistentVolume| v.spec.as_ref().is_some_and(|s| volume_secrets(s).any(|(ns, n)| ns == a.namespace && n == a.name));
    snapshot.list::<PersistentVolume>("").any(|v| named(v) && is_claimed(snapshot, node, v))
}

/// Namespaces and names of the secrets of a persistent volume that kubelets read.
fn volume_secrets(s: &PersistentVolumeSpec) -> impl Iterator<Item = (&str, &str)> {
    let claimed = s.claim_ref.as_ref().and_then(|c| c.namespace.as_deref()).unwrap_or_default();
    let csi = s.csi.iter().flat_map(|c| [&c.node_publish_secret_ref, &c.node_stage_secret_ref, &c.node_expand_secret_ref]);
    let others = [
        s.flex_volume.as_ref().map(|v| &v.secret_ref),
        s.iscsi.as_ref().map(|v| &v.secret_ref),
        s.rbd.as_ref().map(|v| &v.secret_ref),
        s.cephfs.as_ref().map(|v| &v.secret_ref),
        s.cinder.as_ref().map(|v| &v.secret_ref),
    ];
    let named = csi.chain(others.into_iter().flatten()).filter_map(Option::as_ref);
    let azure = s.azure_file.iter().map(move |v| (v.secret_namespace.as_deref().unwrap_or(claimed), v.secret_name.as_str()));
    named.map(move |r| (r.namespace.as_deref().filter(|n| !n.is_empty()).unwrap_or(claimed), r.name.as_deref().unwrap_or_default())).chain(azure)
}

/// Claims of a pod's volumes; an ephemeral volume's is called after both.
fn claims<'a>(pod: &'a Pod, s: &'a PodSpec) -> impl Iterator<Item = String> + 'a {
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    s.volumes.iter().flatten().filter_map(move |v| match (&v.persistent_volume_claim, &v.ephemeral) {
        (Some(c), _) => Some(c.claim_name.clone()),
        (_, Some(_)) => Some(format!("{pod_name}-{}", v.name)),
        _ => None,
    })
}

/// Device claims: named by the pod, or made for it.
fn devices<'a>(pod: &'a Pod, s: &'a PodSpec) -> impl Iterator<Item = &'a str> {
    let named = s.resource_claims.iter().flatten().filter_map(|c| c.resource_claim_name.as_deref());
    let status = pod.status.iter();
    let made = status.clone().flat_map(|s| s.resource_claim_statuses.iter().flatten()).filter_map(|c| c.resource_claim_name.as_deref());
    named.chain(made).chain(status.filter_map(|s| s.extended_resource_claim_status.as_ref()).map(|c| c.resource_claim_name.as_str()))
}

fn secrets(s: &PodSpec) -> impl Iterator<Item = &str> {
    let pulls = s.image_pull_secrets.iter().flatten().map(|r| r.name.as_str());
    let all = env_from(s).filter_map(|e| e.secret_ref.as_ref()).map(|SecretEnvSource { name, .. }| name.as_str());
    let keys = env(s).filter_map(|e| e.value_from.as_ref()?.secret_key_ref.as_ref()).map(|SecretKeySelector { name, .. }| name.as_str());
    pulls.chain(all).chain(keys).chain(s.volumes.iter().flatten().flat_map(secrets_of))
}

fn config_maps(s: &PodSpec) -> impl Iterator<Item = &str> {
    let all = env_from(s).filter_map(|e| e.config_map_ref.as_ref()).map(|ConfigMapEnvSource { name, .. }| name.as_str());
    let keys = env(s).filter_map(|e| e.value_from.as_ref()?.config_map_key_ref.as_ref()).map(|ConfigMapKeySelector { name, .. }| name.as_str());
    all.chain(keys).chain(s.volumes.iter().flatten().flat_map(config_maps_of))
}

/// Containers of all three kinds.
fn env(s: &PodSpec) -> impl Iterator<Item = &EnvVar> {
    let lasting = s.containers.iter().chain(s.init_containers.iter().flatten()).map(|c| &c.env);
    lasting.chain(s.ephemeral_containers.iter().flatten().map(|c| &c.env)).flatten().flatten()
}

fn env_from(s: &PodSpec) -> impl Iterator<Item = &EnvFromSource> {
    let lasting = s.containers.iter().chain(s.init_containers.iter().flatten()).map(|c| &c.env_from);
    lasting.chain(s.ephemeral_containers.iter().flatten().map(|c| &c.env_from)).flatten().flatten()
}

fn secrets_of(v: &Volume) -> impl Iterator<Item = &str> {
    let projected = v.projected.iter().flat_map(|p| p.sources.iter().flatten()).filter_map(|s| s.secret.as_ref()).map(|s| s.name.as_str());
    let references = [
        v.csi.as_ref().and_then(|c| c.node_publish_secret_ref.as_ref()),
        v.flex_volume.as_ref().and_then(|x| x.secret_ref.as_ref()),
        v.iscsi.as_ref().and_then(|x| x.secret_ref.as_ref()),
        v.rbd.as_ref().and_then(|x| x.secret_ref.as_ref()),
        v.cephfs.as_ref().and_then(|x| x.secret_ref.as_ref()),
        v.cinder.as_ref().and_then(|x| x.secret_ref.as_ref()),
    ];
    let plain = v.secret.iter().filter_map(|s| s.secret_name.as_deref());
    let azure = v.azure_file.iter().map(|x| x.secret_name.as_str());
    plain.chain(azure).chain(projected).chain(references.into_iter().flatten().map(|r| r.name.as_str()))
}

fn config_maps_of(v: &Volume) -> impl Iterator<Item = &str> {
    let projected = v.projected.iter().flat_map(|p| p.sources.iter().flatten()).filter_map(|s| s.config_map.as_ref()).map(|c| c.name.as_str());
    v.config_map.iter().map(|c| c.name.as_str()).chain(projected)
}
