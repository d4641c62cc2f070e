//! Environment of containers, and the downward API's field and resource references.

use crate::checks::{complain, local_path, present};
use crate::names;
use crate::read::{amount, has, items, s};
use kinds::api::core::v1::{
    EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector, PodSpec, ResourceFieldSelector,
};
use kinds::{FieldErrors, Path};

/// Fields that an environment variable can take from its pod.
const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Fields that a file can take from its pod.
pub(super) const FILE_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// The variables of a container.
pub(super) fn list(vars: &[EnvVar], spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    for (i, v) in vars.iter().enumerate() {
        let at = path.index(i);
        if v.name.is_empty() {
            e.required(&at.child("name"), "");
        } else {
            complain(&at.child("name"), &v.name, names::env_name(&v.name), e);
        }
        if let Some(f) = &v.value_from {
            value_from(v, f, spec, &at.child("valueFrom"), e);
        }
    }
}

fn value_from(v: &EnvVar, f: &EnvVarSource, spec: &PodSpec, at: &Path, e: &mut FieldErrors) {
    let mut n = 0;
    if let Some(r) = &f.field_ref {
        n += 1;
        field(r, ENV_FIELDS, &at.child("fieldRef"), e);
    }
    if let Some(r) = &f.resource_field_ref {
        n += 1;
        resource(r, false, &at.child("resourceFieldRef"), e);
    }
    if let Some(r) = &f.config_map_key_ref {
        n += 1;
        key_ref(&r.name, &r.key, &at.child("configMapKeyRef"), e);
    }
    if let Some(r) = &f.secret_key_ref {
        n += 1;
        key_ref(&r.name, &r.key, &at.child("secretKeyRef"), e);
    }
    if let Some(r) = &f.file_key_ref {
        n += 1;
        let at = at.child("fileKeyRef");
        present(&r.key, &at.child("key"), e);
        if !r.key.is_empty() {
            complain(&at.child("key"), &r.key, names::env_name(&r.key), e);
        }
        present(&r.volume_name, &at.child("volumeName"), e);
        if r.path.is_empty() {
            e.required(&at.child("path"), "");
        } else {
            local_path(&r.path, &at.child("path"), e);
        }
        let volume = items(&spec.volumes).iter().find(|v| v.name == r.volume_name);
        if volume.is_none() {
            e.not_found(&at.child("volumeName"), &r.volume_name);
        } else if volume.is_some_and(|v| v.empty_dir.is_none()) {
            e.invalid(&at.child("volumeName"), &r.volume_name, "must be an emptyDir volume");
        }
    }
    if n == 0 {
        let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        e.invalid(at, "", why);
    } else if has(&v.value) {
        e.invalid(at, "", "may not be specified when `value` is not empty");
    } else if n > 1 {
        e.invalid(at, "", "may not have more than one field specified at a time");
    }
}

fn key_ref(name: &str, key: &str, at: &Path, e: &mut FieldErrors) {
    complain(&at.child("name"), name, names::dns_subdomain(name), e);
    if key.is_empty() {
        e.required(&at.child("key"), "");
    } else {
        complain(&at.child("key"), key, names::config_key(key), e);
    }
}

/// Splits `metadata.labels['app']` into the field and the key.
fn subscript(path: &str) -> (&str, Option<&str>) {
    match path.strip_suffix("']").and_then(|p| p.split_once("['")) {
        Some((field, key)) => (field, Some(key)),
        None => (path, None),
    }
}

/// Fields that the pod API can name at all in a reference.
const KNOWN_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.hostIP",
    "status.hostIPs",
    "status.nominatedNodeName",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "spec.host",
];

/// A reference to a field of the pod.
pub(super) fn field(r: &ObjectFieldSelector, allowed: &[&str], at: &Path, e: &mut FieldErrors) {
    if !has(&r.api_version) {
        e.required(&at.child("apiVersion"), "");
        return;
    }
    if r.field_path.is_empty() {
        e.required(&at.child("fieldPath"), "");
        return;
    }
    let at = at.child("fieldPath");
    let (field, key) = subscript(&r.field_path);
    if s(&r.api_version) != "v1" || !KNOWN_FIELDS.contains(&field) {
        let why = if s(&r.api_version) == "v1" {
            format!("error converting fieldPath: field label not supported: {}", r.field_path)
        } else {
            format!("error converting fieldPath: unsupported pod version: {}", s(&r.api_version))
        };
        e.invalid(&at, &r.field_path, why);
        return;
    }
    match (field, key) {
        ("metadata.annotations", Some(k)) => complain(&at, k, names::qualified_name(&k.to_lowercase()), e),
        ("metadata.labels", Some(k)) => complain(&at, k, names::qualified_name(k), e),
        (_, Some(_)) => e.invalid(&at, field, "does not support subscript"),
        (_, None) if !allowed.contains(&field) => {
            e.not_supported(&at, field, allowed);
        }
        (_, None) => {}
    }
}

/// A reference to a container's requests or limits.
pub(super) fn resource(r: &ResourceFieldSelector, volume: bool, at: &Path, e: &mut FieldErrors) {
    if volume && !has(&r.container_name) {
        e.required(&at.child("containerName"), "");
        return;
    }
    if r.resource.is_empty() {
        e.required(&at.child("resource"), "");
        return;
    }
    let huge = r.resource.strip_prefix("limits.hugepages-").or_else(|| r.resource.strip_prefix("requests.hugepages-"));
    if !RESOURCES.contains(&r.resource.as_str()) && huge.is_none() {
        e.not_supported(&at.child("resource"), &r.resource, RESOURCES);
        return;
    }
    let Some(d) = &r.divisor else { return };
    if amount(d).is_zero() {
        return;
    }
    let unit = r.resource.split('.').nth(1).unwrap_or_default();
    const SIZES: &[&str] = &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let (allowed, words): (&[&str], String) = if unit == "cpu" {
        (&["1m", "1"], "only divisor's values 1m and 1 are supported with the cpu resource".into())
    } else {
        let list = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";
        let noun = if unit == "ephemeral-storage" { "local ephemeral storage" } else if unit == "memory" { "memory" } else { "hugepages" };
        (SIZES, format!("only divisor's values {list} are supported with the {noun} resource"))
    };
    let spelled = amount(d).to_string();
    if !allowed.iter().any(|a| kinds::Quantity::canonical(a).as_deref() == Some(&spelled)) {
        e.invalid(&at.child("divisor"), &r.resource, words);
    }
}

fn whole(name: &str, at: &Path, e: &mut FieldErrors) {
    if name.is_empty() {
        e.required(&at.child("name"), "");
    } else {
        complain(&at.child("name"), name, names::dns_subdomain(name), e);
    }
}

/// Whole ConfigMaps and Secrets as environment.
pub(super) fn from(list: &[EnvFromSource], path: &Path, e: &mut FieldErrors) {
    for (i, f) in list.iter().enumerate() {
        let at = path.index(i);
        if has(&f.prefix) {
            complain(&at.child("prefix"), s(&f.prefix), names::env_name(s(&f.prefix)), e);
        }
        let mut n = 0;
        if let Some(c) = &f.config_map_ref {
            n += 1;
            whole(&c.name, &at.child("configMapRef"), e);
        }
        if let Some(c) = &f.secret_ref {
            n += 1;
            whole(&c.name, &at.child("secretRef"), e);
        }
        if n == 0 {
            e.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`");
        } else if n > 1 {
            e.invalid(path, "", "may not have more than one field specified at a time");
        }
    }
}
