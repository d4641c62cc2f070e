//! ServiceAccount: every pod runs as one, with a token that lives as long as the pod.
//!
//! Docs: "Configure Service Accounts for Pods", "Bound service account tokens" (KEP-1205).

use super::forbidden;
use crate::context::{Ctx, Operation, Request};
use crate::read::{has, items, s};
use kinds::api::core::v1::{
    ConfigMapProjection, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath, ObjectFieldSelector, Pod, PodSpec,
    ProjectedVolumeSource, ServiceAccount, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};
use kinds::{ApiError, Kind, Object, Resource};
use std::sync::Arc;

const DEFAULT: &str = "default";
const VOLUME_PREFIX: &str = "kube-api-access-";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// One hour, and seven seconds by which such tokens are told apart.
const TOKEN_S: i64 = 3607;
/// Pods that a kubelet runs by itself and only mirrors here.
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";
const SUFFIX_LEN: usize = 5;

fn is_new_pod(request: &Request) -> bool {
    request.resource == Resource::from(Kind::Pod)
        && request.subresource.is_empty()
        && request.operation == Operation::Create
}

fn is_mirror(pod: &Pod) -> bool {
    pod.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(MIRROR))
}

/// Gives a new pod its account, the account's pull secrets and its token.
pub(super) fn mutate(ctx: &Ctx<'_>, request: &Request, object: &mut Object, _: Option<&Object>) -> Result<(), ApiError> {
    if !is_new_pod(request) {
        return Ok(());
    }
    let Object::Pod(pod) = object else { return Ok(()) };
    if is_mirror(pod) {
        return Ok(());
    }
    let pod = Arc::make_mut(pod);
    let spec = pod.spec.get_or_insert_default();
    if !has(&spec.service_account_name) {
        spec.service_account_name = Some(DEFAULT.into());
    }
    spec.service_account.clone_from(&spec.service_account_name);
    let name = s(&spec.service_account_name).to_owned();
    let Some(account) = ctx.snapshot.get::<ServiceAccount>(&request.namespace, &name) else {
        let why = format!("error looking up service account {}/{name}: serviceaccount {name:?} not found", request.namespace);
        return Err(forbidden(request, object, why));
    };
    let automount = spec.automount_service_account_token.or(account.automount_service_account_token).unwrap_or(true);
    if automount {
        mount_token(ctx, spec);
    }
    if items(&spec.image_pull_secrets).is_empty() && !items(&account.image_pull_secrets).is_empty() {
        spec.image_pull_secrets.clone_from(&account.image_pull_secrets);
    }
    Ok(())
}

fn mount_token(ctx: &Ctx<'_>, spec: &mut PodSpec) {
    let existing = items(&spec.volumes).iter().find(|v| v.name.starts_with(VOLUME_PREFIX)).map(|v| v.name.clone());
    let is_new = existing.is_none();
    let name = existing.unwrap_or_else(|| loop {
        let name = format!("{VOLUME_PREFIX}{}", ctx.ids.suffix(SUFFIX_LEN));
        if items(&spec.volumes).iter().all(|v| v.name != name) {
            break name;
        }
    });
    let mut used = false;
    for c in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        if items(&c.volume_mounts).iter().any(|m| m.mount_path == MOUNT_PATH) {
            continue;
        }
        used = true;
        c.volume_mounts.get_or_insert_default().push(VolumeMount {
            name: name.clone(),
            read_only: Some(true),
            mount_path: MOUNT_PATH.into(),
            ..VolumeMount::default()
        });
    }
    if used && is_new {
        spec.volumes.get_or_insert_default().push(token_volume(name));
    }
}

/// Token, the cluster's CA and the namespace, in one directory.
fn token_volume(name: String) -> Volume {
    let namespace = DownwardAPIVolumeFile {
        path: "namespace".into(),
        field_ref: Some(ObjectFieldSelector { api_version: Some("v1".into()), field_path: "metadata.namespace".into() }),
        ..DownwardAPIVolumeFile::default()
    };
    let sources = vec![
        VolumeProjection {
            service_account_token: Some(ServiceAccountTokenProjection {
                path: "token".into(),
                expiration_seconds: Some(TOKEN_S),
                audience: None,
            }),
            ..VolumeProjection::default()
        },
        VolumeProjection {
            config_map: Some(ConfigMapProjection {
                name: "kube-root-ca.crt".into(),
                items: Some(vec![KeyToPath { key: "ca.crt".into(), path: "ca.crt".into(), mode: None }]),
                optional: None,
            }),
            ..VolumeProjection::default()
        },
        VolumeProjection {
            downward_api: Some(DownwardAPIProjection { items: Some(vec![namespace]) }),
            ..VolumeProjection::default()
        },
    ];
    let projected = ProjectedVolumeSource { default_mode: Some(0o644), sources: Some(sources) };
    Volume { name, projected: Some(projected), ..Volume::default() }
}

/// A mirror pod refers to nothing of the API, since its kubelet started it without.
pub(super) fn validate(_: &Ctx<'_>, request: &Request, object: &Object, _: Option<&Object>) -> Result<(), ApiError> {
    let Object::Pod(pod) = object else { return Ok(()) };
    if !is_new_pod(request) || !is_mirror(pod) {
        return Ok(());
    }
    let Some(spec) = &pod.spec else { return Ok(()) };
    if has(&spec.service_account_name) {
        return Err(forbidden(request, object, "a mirror pod may not reference service accounts"));
    }
    for c in spec.containers.iter().chain(items(&spec.init_containers)) {
        let secret_env = items(&c.env).iter().any(|v| v.value_from.as_ref().is_some_and(|f| f.secret_key_ref.is_some()));
        if secret_env || items(&c.env_from).iter().any(|f| f.secret_ref.is_some()) {
            return Err(forbidden(request, object, "a mirror pod may not reference secrets"));
        }
    }
    for v in items(&spec.volumes) {
        let sources = v.projected.as_ref().map(|p| items(&p.sources)).unwrap_or_default();
        if v.secret.is_some() || sources.iter().any(|x| x.secret.is_some()) {
            return Err(forbidden(request, object, "a mirror pod may not reference secrets"));
        }
        if sources.iter().any(|x| x.service_account_token.is_some()) {
            let why = "a mirror pod may not use ServiceAccountToken volume projections";
            return Err(forbidden(request, object, why));
        }
        if v.persistent_volume_claim.is_some() {
            return Err(forbidden(request, object, "a mirror pod may not reference persistentvolumeclaims"));
        }
    }
    Ok(())
}
