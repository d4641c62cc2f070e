//! Containers of a pod: app, init and ephemeral ones.

use super::default::to_container;
use super::{env, mounts, probes, resources, security};
use crate::checks::{complain, one_of, one_of_opt, port};
use crate::names;
use crate::read::{has, items, on, s};
use kinds::api::core::v1::{Container, ContainerPort, EphemeralContainer, PodSpec};
use kinds::field::Bare;
use kinds::{FieldErrors, Path};
use std::collections::BTreeSet;

/// What the checks of one container need to know of its pod.
pub(super) struct Within<'a> {
    pub spec: &'a PodSpec,
    /// Whether host users are the pod's users (`hostUsers` is not false).
    pub host_users: bool,
}

/// App containers.
pub(super) fn app(w: &Within<'_>, path: &Path, e: &mut FieldErrors) {
    let list = &w.spec.containers;
    if list.is_empty() {
        e.required(path, "");
        return;
    }
    let mut names = BTreeSet::new();
    for (i, c) in list.iter().enumerate() {
        let at = path.index(i);
        common(c, w, &at, e);
        if has_name(c) && !names.insert(&c.name) {
            e.duplicate(&at.child("name"), &c.name);
        }
        probes::lifecycle(c, w.spec, &at.child("lifecycle"), e);
        probes::liveness(c, w.spec, &at.child("livenessProbe"), e);
        probes::readiness(c, w.spec, &at.child("readinessProbe"), e);
        probes::startup(c, w.spec, &at.child("startupProbe"), e);
        one_of_opt(&c.restart_policy, &["Always", "Never", "OnFailure"], &at.child("restartPolicy"), e);
        restart_rules(c, &at, e);
    }
    host_ports(list, path, e);
}

/// Init containers: app containers' names are taken, probes belong to sidecars only.
pub(super) fn init(w: &Within<'_>, path: &Path, e: &mut FieldErrors) {
    let mut names: BTreeSet<&str> = w.spec.containers.iter().map(|c| c.name.as_str()).collect();
    for (i, c) in items(&w.spec.init_containers).iter().enumerate() {
        let at = path.index(i);
        common(c, w, &at, e);
        if has_name(c) && !names.insert(&c.name) {
            e.duplicate(&at.child("name"), &c.name);
        }
        one_of_opt(&c.restart_policy, &["Always", "Never", "OnFailure"], &at.child("restartPolicy"), e);
        restart_rules(c, &at, e);
        if kinds::pod::is_sidecar(c) {
            probes::lifecycle(c, w.spec, &at.child("lifecycle"), e);
            probes::liveness(c, w.spec, &at.child("livenessProbe"), e);
            probes::readiness(c, w.spec, &at.child("readinessProbe"), e);
            probes::startup(c, w.spec, &at.child("startupProbe"), e);
        } else {
            let why = "may not be set for init containers without restartPolicy=Always";
            for (set, name) in [
                (c.lifecycle.is_some(), "lifecycle"),
                (c.liveness_probe.is_some(), "livenessProbe"),
                (c.readiness_probe.is_some(), "readinessProbe"),
                (c.startup_probe.is_some(), "startupProbe"),
            ] {
                if set {
                    e.forbidden(&at.child(name), why);
                }
            }
        }
    }
}

/// Ephemeral containers: no probes, ports, resources or lifecycle, and a target that exists.
pub(super) fn ephemeral(w: &Within<'_>, path: &Path, e: &mut FieldErrors) {
    let targets: Vec<&str> = w.spec.containers.iter().map(|c| c.name.as_str()).collect();
    let mut names: BTreeSet<String> =
        w.spec.containers.iter().chain(items(&w.spec.init_containers)).map(|c| c.name.clone()).collect();
    for (i, x) in items(&w.spec.ephemeral_containers).iter().enumerate() {
        let at = path.index(i);
        let (c, _) = to_container(x.clone());
        common(&c, w, &at, e);
        if has_name(&c) && !names.insert(c.name.clone()) {
            e.duplicate(&at.child("name"), &c.name);
        }
        only_ephemeral_fields(x, &at, e);
        let target = s(&x.target_container_name);
        if !target.is_empty() && !targets.contains(&target) {
            e.not_found(&at.child("targetContainerName"), target);
        }
        for (j, m) in items(&x.volume_mounts).iter().enumerate() {
            let at = at.child("volumeMounts").index(j);
            for (set, name) in [(has(&m.sub_path), "subPath"), (has(&m.sub_path_expr), "subPathExpr")] {
                if set {
                    e.forbidden(&at.child(name), "cannot be set for an Ephemeral Container");
                }
            }
        }
    }
}

fn only_ephemeral_fields(x: &EphemeralContainer, at: &Path, e: &mut FieldErrors) {
    let resources = x.resources.as_ref().is_some_and(|r| {
        let any = |m: &Option<std::collections::BTreeMap<_, _>>| m.as_ref().is_some_and(|m| !m.is_empty());
        any(&r.limits) || any(&r.requests) || !items(&r.claims).is_empty()
    });
    for (set, name) in [
        (!items(&x.ports).is_empty(), "ports"),
        (x.liveness_probe.is_some(), "livenessProbe"),
        (x.readiness_probe.is_some(), "readinessProbe"),
        (x.startup_probe.is_some(), "startupProbe"),
        (x.lifecycle.is_some(), "lifecycle"),
        (resources, "resources"),
        (has(&x.restart_policy), "restartPolicy"),
        (!items(&x.resize_policy).is_empty(), "resizePolicy"),
    ] {
        if set {
            e.forbidden(&at.child(name), "cannot be set for an Ephemeral Container");
        }
    }
}

fn has_name(c: &Container) -> bool {
    !c.name.is_empty()
}

fn common(c: &Container, w: &Within<'_>, at: &Path, e: &mut FieldErrors) {
    if has_name(c) {
        complain(&at.child("name"), &c.name, names::dns_label(&c.name), e);
    } else {
        e.required(&at.child("name"), "");
    }
    let image = s(&c.image);
    if image.is_empty() {
        e.required(&at.child("image"), "");
    } else if image.trim() != image {
        e.invalid(&at.child("image"), image, "must not have leading or trailing whitespace");
    }
    let policies = ["File", "FallbackToLogsOnError"];
    one_of(s(&c.termination_message_policy), &policies, &at.child("terminationMessagePolicy"), e);
    ports(items(&c.ports), &at.child("ports"), e);
    env::list(items(&c.env), w.spec, &at.child("env"), e);
    env::from(items(&c.env_from), &at.child("envFrom"), e);
    mounts::mounts(c, w.spec, at, e);
    one_of(s(&c.image_pull_policy), &["Always", "IfNotPresent", "Never"], &at.child("imagePullPolicy"), e);
    resources::requirements(c.resources.as_ref(), w.spec, &at.child("resources"), e);
    resize_policy(c, w.spec, &at.child("resizePolicy"), e);
    security::container(c.security_context.as_ref(), w.host_users, &at.child("securityContext"), e);
}

fn ports(list: &[ContainerPort], path: &Path, e: &mut FieldErrors) {
    let mut names = BTreeSet::new();
    for (i, p) in list.iter().enumerate() {
        let at = path.index(i);
        if has(&p.name) {
            let why = names::port_name(s(&p.name));
            if !why.is_empty() {
                complain(&at.child("name"), s(&p.name), why, e);
            } else if !names.insert(s(&p.name)) {
                e.duplicate(&at.child("name"), s(&p.name));
            }
        }
        if p.container_port == 0 {
            e.required(&at.child("containerPort"), "");
        } else {
            port(p.container_port, &at.child("containerPort"), e);
        }
        if let Some(n) = p.host_port.filter(|n| *n != 0) {
            port(n, &at.child("hostPort"), e);
        }
        one_of(s(&p.protocol), &["SCTP", "TCP", "UDP"], &at.child("protocol"), e);
    }
}

/// No two containers of a pod may take the same port of the host.
fn host_ports(list: &[Container], path: &Path, e: &mut FieldErrors) {
    let mut taken = BTreeSet::new();
    for (i, c) in list.iter().enumerate() {
        for (j, p) in items(&c.ports).iter().enumerate() {
            let Some(n) = p.host_port.filter(|n| *n != 0) else { continue };
            let word = format!("{}/{}/{n}", s(&p.protocol), s(&p.host_ip));
            if taken.contains(&word) {
                e.duplicate(&path.index(i).child("ports").index(j).child("hostPort"), &word);
            }
            taken.insert(word);
        }
    }
}

/// With `hostNetwork`, a container's port and the host's are one.
pub(super) fn host_network_ports(spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    if !on(spec.host_network) {
        return;
    }
    let groups = [("containers", spec.containers.as_slice()), ("initContainers", items(&spec.init_containers))];
    for (group, list) in groups {
        for (i, c) in list.iter().enumerate() {
            for (j, p) in items(&c.ports).iter().enumerate() {
                if p.host_port != Some(p.container_port) {
                    let at = path.child(group).index(i).child("ports").index(j).child("hostPort");
                    e.invalid(&at, p.host_port.unwrap_or_default(), "must match `containerPort` when `hostNetwork` is true");
                }
            }
        }
    }
}

fn resize_policy(c: &Container, spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let mut seen = BTreeSet::new();
    let at = path;
    for (i, p) in items(&c.resize_policy).iter().enumerate() {
        if !seen.insert(&p.resource_name) {
            e.duplicate(&path.index(i), &p.resource_name);
        }
        match p.resource_name.as_str() {
            "cpu" | "memory" => {}
            "" => e.required(at, ""),
            other => e.not_supported(at, other, &["cpu", "memory"]),
        }
        match p.restart_policy.as_str() {
            "NotRequired" | "RestartContainer" => {}
            "" => e.required(at, ""),
            other => e.not_supported(at, other, &["NotRequired", "RestartContainer"]),
        }
        if s(&spec.restart_policy) == "Never" && p.restart_policy != "NotRequired" {
            e.invalid(at, &p.restart_policy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
        }
    }
}

/// Restart rules by exit code (KEP-5307).
fn restart_rules(c: &Container, at: &Path, e: &mut FieldErrors) {
    let rules = items(&c.restart_policy_rules);
    let path = at.child("restartPolicyRules");
    if rules.is_empty() {
        return;
    }
    if !has(&c.restart_policy) {
        e.required(&at.child("restartPolicy"), "must specify restartPolicy when restart rules are used");
    }
    const RULES_MAX: usize = 20;
    if rules.len() > RULES_MAX {
        e.too_many(&path, rules.len(), RULES_MAX);
    }
    for (i, r) in rules.iter().enumerate() {
        let at = path.index(i);
        if !["Restart", "RestartAllContainers"].contains(&r.action.as_str()) {
            e.not_supported(&at.child("action"), &r.action, &["Restart", "RestartAllContainers"]);
        }
        let Some(x) = &r.exit_codes else {
            e.required(&at.child("exitCodes"), "must be specified");
            continue;
        };
        one_of(&x.operator, &["In", "NotIn"], &at.child("exitCodes").child("operator"), e);
        let n = items(&x.values).len();
        const CODES_MAX: usize = 255;
        if n == 0 {
            e.invalid(&at.child("exitCodes").child("values"), Bare("[]".into()), "must have at least one value");
        } else if n > CODES_MAX {
            e.too_many(&at.child("exitCodes").child("values"), n, CODES_MAX);
        }
    }
}
