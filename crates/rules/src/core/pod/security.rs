//! Security contexts of pods and containers.

use crate::checks::{descending_path, one_of, one_of_opt};
use crate::read::{has, items, on, s};
use kinds::api::core::v1::{
    AppArmorProfile, Capabilities, PodSpec, SeccompProfile, SecurityContext, Sysctl,
};
use kinds::field::Bare;
use kinds::{FieldErrors, Path};
use serde_json::{Map, json};
use std::collections::BTreeSet;

/// User and group ids of Linux containers.
const ID_MAX: i64 = i32::MAX as i64;

fn id(n: Option<i64>, path: &Path, e: &mut FieldErrors) {
    if let Some(n) = n.filter(|n| !(0..=ID_MAX).contains(n)) {
        e.invalid(path, n, format!("must be between 0 and {ID_MAX}, inclusive"));
    }
}

/// A container's context as field errors print it: the set fields, as the server names them inside.
fn shown(c: &SecurityContext) -> Bare {
    let mut m = Map::new();
    if let Some(x) = &c.capabilities {
        m.insert("Capabilities".into(), json!({"Add": x.add, "Drop": x.drop}));
    }
    for (name, flag) in [
        ("Privileged", c.privileged),
        ("RunAsNonRoot", c.run_as_non_root),
        ("ReadOnlyRootFilesystem", c.read_only_root_filesystem),
        ("AllowPrivilegeEscalation", c.allow_privilege_escalation),
    ] {
        m.insert(name.into(), json!(flag));
    }
    Bare(serde_json::Value::Object(m).to_string())
}

/// A container's security context.
pub(super) fn container(c: Option<&SecurityContext>, host_users: bool, path: &Path, e: &mut FieldErrors) {
    let Some(c) = c else { return };
    id(c.run_as_user, &path.child("runAsUser"), e);
    id(c.run_as_group, &path.child("runAsGroup"), e);
    if let Some(p) = &c.proc_mount {
        if !["Default", "Unmasked"].contains(&p.as_str()) {
            e.not_supported(&path.child("procMount"), p, &["Default", "Unmasked"]);
        }
        if host_users && p == "Unmasked" {
            e.invalid(&path.child("procMount"), p, "`hostUsers` must be false to use `Unmasked`");
        }
    }
    seccomp(c.seccomp_profile.as_ref(), &path.child("seccompProfile"), e);
    if c.allow_privilege_escalation == Some(false) {
        if on(c.privileged) {
            e.invalid(path, shown(c), "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        }
        if adds_admin(c.capabilities.as_ref()) {
            let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            e.invalid(path, shown(c), why);
        }
    }
    app_armor(c.app_armor_profile.as_ref(), &path.child("appArmorProfile"), e);
}


fn adds_admin(c: Option<&Capabilities>) -> bool {
    c.is_some_and(|c| items(&c.add).iter().any(|c| c == "CAP_SYS_ADMIN"))
}

fn seccomp(p: Option<&SeccompProfile>, path: &Path, e: &mut FieldErrors) {
    let Some(p) = p else { return };
    local_profile(&p.type_, &p.localhost_profile, ("seccomp type", "seccompProfile"), path, e);
}

fn app_armor(p: Option<&AppArmorProfile>, path: &Path, e: &mut FieldErrors) {
    let Some(p) = p else { return };
    local_profile(&p.type_, &p.localhost_profile, ("AppArmor type", "appArmorProfile"), path, e);
}

fn local_profile(kind: &str, file: &Option<String>, (what, field): (&str, &str), path: &Path, e: &mut FieldErrors) {
    known_profile(kind, field, path, e);
    if kind == "Localhost" {
        if file.is_none() || (what == "AppArmor type" && !has(file)) {
            e.required(&path.child("localhostProfile"), format!("must be set when {what} is Localhost"));
        } else {
            descending_path(s(file), &path.child("localhostProfile"), e);
        }
    } else if let Some(f) = file {
        let why = format!("can only be set when {what} is Localhost");
        let at = path.child("localhostProfile");
        match what {
            "AppArmor type" if ["RuntimeDefault", "Unconfined"].contains(&kind) => e.invalid(&at, f, why),
            "AppArmor type" => {}
            // The whole profile is shown.
            _ => e.invalid(&at, Bare(format!("{{\"Type\":{kind:?},\"LocalhostProfile\":{f:?}}}")), why),
        }
    }
}

fn known_profile(kind: &str, field: &str, path: &Path, e: &mut FieldErrors) {
    if kind.is_empty() {
        e.required(&path.child("type"), format!("type is required when {field} is set"));
    } else {
        one_of(kind, &["Localhost", "RuntimeDefault", "Unconfined"], &path.child("type"), e);
    }
}

/// The pod's own context, host namespaces and sysctls.
pub(super) fn pod(spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    super::containers::host_network_ports(spec, path, e);
    if on(spec.share_process_namespace) && on(spec.host_pid) {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        e.invalid(&path.child("securityContext").child("shareProcessNamespace"), true, why);
    }
    let Some(c) = &spec.security_context else { return };
    let path = path.child("securityContext");
    id(c.fs_group, &path.child("fsGroup"), e);
    id(c.run_as_user, &path.child("runAsUser"), e);
    id(c.run_as_group, &path.child("runAsGroup"), e);
    for (i, g) in items(&c.supplemental_groups).iter().enumerate() {
        id(Some(*g), &path.child("supplementalGroups").index(i), e);
    }
    sysctls(spec, items(&c.sysctls), &path.child("sysctls"), e);
    one_of_opt(&c.fs_group_change_policy, &["Always", "OnRootMismatch"], &path.child("fsGroupChangePolicy"), e);
    seccomp(c.seccomp_profile.as_ref(), &path.child("seccompProfile"), e);
    app_armor(c.app_armor_profile.as_ref(), &path.child("appArmorProfile"), e);
    one_of_opt(&c.supplemental_groups_policy, &["Merge", "Strict"], &path.child("supplementalGroupsPolicy"), e);
}

fn sysctls(spec: &PodSpec, list: &[Sysctl], path: &Path, e: &mut FieldErrors) {
    let mut seen = BTreeSet::new();
    for (i, x) in list.iter().enumerate() {
        let at = path.index(i).child("name");
        let ok = |n: &str| {
            !n.is_empty()
                && n.len() <= 253
                && n.split(['.', '/']).all(|p| {
                    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                    edge(p.bytes().next())
                        && edge(p.bytes().last())
                        && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
                })
        };
        if x.name.is_empty() {
            e.required(&at, "");
        } else if !ok(&x.name) {
            let why = "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            e.invalid(&at, &x.name, why);
        } else if !seen.insert(&x.name) {
            e.duplicate(&at, &x.name);
        }
        let name = x.name.replace('/', ".");
        let of_ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|p| name.starts_with(p)) || name == "kernel.sem";
        for (shared, own, field) in [(spec.host_ipc, of_ipc, "hostIPC"), (spec.host_network, name.starts_with("net."), "hostNetwork")] {
            if own && on(shared) {
                e.invalid(&at, &x.name, format!("may not be specified when '{field}' is true"));
            }
        }
    }
}
