//! Where volumes and block devices appear inside containers.

use crate::checks::{descending_path, present, repeated};
use crate::read::{has, items, on, s};
use kinds::api::core::v1::{Container, PodSpec, Volume};
use kinds::{FieldErrors, Path};
use std::collections::{BTreeMap, BTreeSet};

/// Volume mounts and volume devices of a container.
pub(super) fn mounts(c: &Container, spec: &PodSpec, at: &Path, e: &mut FieldErrors) {
    let (mut seen, devices) = (BTreeSet::new(), items(&c.volume_devices));
    // The first of a name counts.
    let volumes: BTreeMap<&str, &Volume> = items(&spec.volumes).iter().rev().map(|v| (v.name.as_str(), v)).collect();
    let device_names: BTreeSet<&str> = devices.iter().map(|d| d.name.as_str()).collect();
    let device_paths: BTreeSet<&str> = devices.iter().map(|d| d.device_path.as_str()).collect();
    for (i, m) in items(&c.volume_mounts).iter().enumerate() {
        let path = at.child("volumeMounts");
        let at = path.index(i);
        if m.name.is_empty() {
            e.required(&at.child("name"), "");
        }
        if !volumes.contains_key(m.name.as_str()) {
            e.not_found(&at.child("name"), &m.name);
        }
        present(&m.mount_path, &at.child("mountPath"), e);
        if !seen.insert(&m.mount_path) {
            e.invalid(&at.child("mountPath"), &m.mount_path, "must be unique");
        }
        if device_names.contains(m.name.as_str()) && !m.name.is_empty() {
            e.invalid(&at.child("name"), &m.name, "must not already exist in volumeDevices");
        }
        if device_paths.contains(m.mount_path.as_str()) {
            e.invalid(&at.child("mountPath"), &m.mount_path, "must not already exist as a path in volumeDevices");
        }
        if has(&m.sub_path) {
            descending_path(s(&m.sub_path), &at.child("subPath"), e);
        }
        if has(&m.sub_path_expr) {
            if has(&m.sub_path) {
                let why = "subPathExpr and subPath are mutually exclusive";
                e.invalid(&at.child("subPathExpr"), s(&m.sub_path_expr), why);
            }
            descending_path(s(&m.sub_path_expr), &at.child("subPathExpr"), e);
        }
        if let Some(p) = &m.mount_propagation {
            propagation(p, c, &path.child("mountPropagation"), e);
        }
        if let Some(r) = &m.recursive_read_only {
            recursive(r, on(m.read_only), m.mount_propagation.as_deref(), &path.child("recursiveReadOnly"), e);
        }
    }
    let again = repeated(devices.iter().map(|d| &d.device_path));
    let named_again = repeated(devices.iter().map(|d| &d.name));
    for (i, d) in devices.iter().enumerate() {
        let at = at.child("volumeDevices").index(i);
        if d.name.is_empty() {
            e.required(&at.child("name"), "");
        }
        match volumes.get(d.name.as_str()) {
            None => e.not_found(&at.child("name"), &d.name),
            Some(v) if v.persistent_volume_claim.is_none() && v.ephemeral.is_none() => {
                let why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                e.invalid(&at.child("name"), &d.name, why);
            }
            Some(_) => {}
        }
        if named_again[i] {
            e.invalid(&at.child("name"), &d.name, "must be unique");
        }
        present(&d.device_path, &at.child("devicePath"), e);
        if !d.device_path.is_empty() {
            crate::checks::no_backsteps(&d.device_path, &at.child("devicePath"), e);
        }
        if again[i] {
            e.invalid(&at.child("devicePath"), &d.device_path, "must be unique");
        }
    }
}

fn propagation(p: &str, c: &Container, path: &Path, e: &mut FieldErrors) {
    let allowed = ["Bidirectional", "HostToContainer", "None"];
    if !allowed.contains(&p) {
        e.not_supported(path, p, &allowed);
    }
    let privileged = c.security_context.as_ref().is_some_and(|s| on(s.privileged));
    if p == "Bidirectional" && !privileged {
        e.forbidden(path, "Bidirectional mount propagation is available only to privileged containers");
    }
}

fn recursive(r: &str, read_only: bool, propagation: Option<&str>, path: &Path, e: &mut FieldErrors) {
    match r {
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !read_only {
                e.forbidden(path, "may only be specified when readOnly is true");
            }
            if propagation.is_some_and(|p| p != "None") {
                e.forbidden(path, "may only be specified when mountPropagation is None or not specified");
            }
        }
        other => e.not_supported(path, other, &["Disabled", "Enabled", "IfPossible"]),
    }
}
