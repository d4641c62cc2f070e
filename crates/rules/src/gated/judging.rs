//! What gates change of verdicts. The rows judge as v1.36 does by default; with a gate turned some errors come and some go.
//! KEP-5532 (restarting all containers), KEP-1710 (SELinux mounts), KEP-5471 (comparing taints), KEP-127 (user namespaces), KEP-2255
//! (deletion costs), KEP-5278 (nominations), KEP-4858 (addresses), KEP-5311 (service names), KEP-2021 (scaling to zero).

use super::{pod_spec, pods, resizing};
use crate::Gates;
use crate::checks::complain;
use crate::names;
use crate::read::{items, s};
use kinds::api::autoscaling::v2::HorizontalPodAutoscaler;
use kinds::api::batch::v1::Job;
use kinds::api::core::v1::{Container, Pod, PodSpec, PodStatus};
use kinds::api::networking::v1::Ingress;
use kinds::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kinds::field::{FieldError, Wrong};
use kinds::{FieldErrors, Object, Path};

/// Adds and takes away what the gates do.
pub(super) fn judge(gates: &Gates, subresource: &str, new: &Object, old: Option<&Object>, e: &mut FieldErrors) {
    match (new, old) {
        (Object::ConfigMap(_) | Object::Secret(_) | Object::Event(_), _) => return,
        (Object::Pod(n), Some(Object::Pod(o))) if subresource == "status" => status(gates, n, o, e),
        (Object::Pod(n), Some(Object::Pod(o))) if subresource == "resize" => {
            pod(gates, new, old, e);
            resizing::judge(gates, n, o, e);
        }
        (
            Object::Pod(_) | Object::PodTemplate(_) | Object::ReplicationController(_) | Object::ReplicaSet(_) | Object::Deployment(_)
            | Object::DaemonSet(_) | Object::StatefulSet(_) | Object::CronJob(_),
            _,
        ) if subresource != "status" => pod(gates, new, old, e),
        (Object::Job(n), _) if subresource != "status" => {
            pod(gates, new, old, e);
            if let Some(Object::Job(o)) = old {
                job(gates, n, o, e);
            }
        }
        (Object::HorizontalPodAutoscaler(h), _) if subresource != "status" => scale_to_zero(gates, h, old, e),
        (Object::PersistentVolume(_), Some(_)) if subresource.is_empty() && !e.is_empty() && gates.on("MutablePVNodeAffinity") => {
            e.0.retain(|x| x.path != Path::new("nodeAffinity"));
        }
        (Object::Service(_), None) if !gates.on("RelaxedServiceNameValidation") => service_name(new.meta(), e),
        (Object::Ingress(i), _) if !gates.on("RelaxedServiceNameValidation") => ingress(i, old, e),
        (Object::ResourceClaim(_) | Object::ResourceClaimTemplate(_), _) if !e.is_empty() && !gates.on("DRAConsumableCapacity") => {
            attributes(e);
        }
        _ => {}
    }
    // The names of addresses, and ranges of them, were always strict.
    let newer = matches!(new, Object::IPAddress(_) | Object::ServiceCIDR(_));
    if !e.is_empty() && !newer && !gates.on("StrictIPCIDRValidation") {
        e.0.retain(|x| !names::only_strictly_wrong(&x.detail));
    }
}

/// Errors at a path of which something holds.
fn drop_at(e: &mut FieldErrors, gone: impl Fn(&FieldError) -> bool) {
    e.0.retain(|x| !gone(x));
}

/// Pods and templates of pods.
fn pod(gates: &Gates, new: &Object, old: Option<&Object>, e: &mut FieldErrors) {
    let Some((spec, at)) = pod_spec(new) else { return };
    let before = old.and_then(pod_spec).map(|(s, _)| s);
    if let Some(meta) = super::pod_meta(new) {
        deletion_cost(gates, meta, old.and_then(super::pod_meta), at, e);
    }
    selinux(gates, spec, before, at, e);
    if pods::restarts_all(spec) || spoiled(e, "].restartPolicyRules[") {
        restart_all(gates, spec, before, at, e);
    }
    if items(&spec.topology_spread_constraints).iter().any(|c| !items(&c.match_label_keys).is_empty()) {
        let merged = super::SPREAD_MERGE.iter().all(|g| gates.on(g));
        spread_keys(merged, spec, before, at, e);
    }
    if !e.is_empty() {
        relaxed(gates, spec, before, at, e);
    }
}

fn spoiled(e: &FieldErrors, part: &str) -> bool {
    e.0.iter().any(|x| x.path.to_string().contains(part))
}

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

fn cost_is_wrong(meta: &ObjectMeta) -> Option<&str> {
    let text = meta.annotations.as_ref()?.get(DELETION_COST)?;
    // No plus sign and no leading zeros.
    let first = text == "0" || text.starts_with(|c: char| c == '-' || ('1'..='9').contains(&c));
    (!first || text.parse::<i32>().is_err()).then_some(text.as_str())
}

fn deletion_cost(gates: &Gates, meta: &ObjectMeta, old: Option<&ObjectMeta>, at: &str, e: &mut FieldErrors) {
    let Some(text) = cost_is_wrong(meta).filter(|_| gates.on("PodDeletionCost")) else { return };
    if old.and_then(cost_is_wrong).is_none() {
        let path = at.strip_suffix("spec").unwrap_or(at).to_owned() + "metadata.annotations";
        e.invalid(&Path::new(path).key(DELETION_COST), text, "must be a 32bit integer");
    }
}

/// How volumes get their labels. Whatever stood there before may be changed to any known one.
fn selinux(gates: &Gates, spec: &PodSpec, old: Option<&PodSpec>, at: &str, e: &mut FieldErrors) {
    let policy = |p: &PodSpec| p.security_context.as_ref().and_then(|c| c.se_linux_change_policy.clone());
    let Some(wanted) = policy(spec) else { return };
    if wanted == "Recursive" {
        return;
    }
    let any = old.is_some_and(|o| policy(o).is_some()) || gates.on("SELinuxMount");
    let known: &[&str] = if any { &["MountOption", "Recursive"] } else { &["Recursive"] };
    if !known.contains(&wanted.as_str()) {
        let at = Path::new(at).child("securityContext").child("seLinuxChangePolicy");
        let first = e.0.iter().position(|x| x.path == at || x.path == Path::new("spec"));
        e.not_supported(&at, &wanted, known);
        // Before what is said of other systems, and of what may not change.
        if let Some(i) = first {
            e.0[i..].rotate_right(1);
        }
    }
}

/// Without the gate a rule restarts its own container only, and sidecars have none.
fn restart_all(gates: &Gates, spec: &PodSpec, old: Option<&PodSpec>, at: &str, e: &mut FieldErrors) {
    if gates.on("RestartAllContainersOnContainerExits") || old.is_some_and(pods::restarts_all) {
        return;
    }
    let path = Path::new(at);
    let groups: [(&str, &[Container]); 2] = [("containers", &spec.containers), ("initContainers", items(&spec.init_containers))];
    for (group, list) in groups {
        for (i, c) in list.iter().enumerate().filter(|(_, c)| !items(&c.restart_policy_rules).is_empty()) {
            let at = path.child(group).index(i).child("restartPolicyRules");
            if group == "initContainers" && kinds::pod::is_sidecar(c) {
                let prefix = at.to_string();
                drop_at(e, |x| x.path.to_string().starts_with(&prefix));
                e.forbidden(&at, "restartPolicyRules are not allowed for init containers with restart policy Always");
                continue;
            }
            for (k, r) in items(&c.restart_policy_rules).iter().enumerate().filter(|(_, r)| r.action != "Restart") {
                let at = at.index(k).child("action");
                drop_at(e, |x| x.path == at);
                e.not_supported(&at, &r.action, &["Restart"]);
            }
        }
    }
}

/// Keys whose labels stand in the selector besides: of merged ones more than once.
fn spread_keys(merged: bool, spec: &PodSpec, old: Option<&PodSpec>, at: &str, e: &mut FieldErrors) {
    let twice = |p: &PodSpec| -> Vec<(usize, usize, String)> {
        let mut all = Vec::new();
        for (i, c) in items(&p.topology_spread_constraints).iter().enumerate() {
            let Some(selector) = &c.label_selector else { continue };
            for (k, key) in items(&c.match_label_keys).iter().enumerate() {
                let plain = selector.match_labels.iter().flatten().filter(|(label, _)| *label == key).count();
                let ruled = items(&selector.match_expressions).iter().filter(|x| x.key == *key).count();
                let times = if merged && ruled > 0 { plain + ruled - 1 } else if merged { 0 } else { plain + ruled };
                all.extend((0..times.min(1)).map(|_| (i, k, key.clone())));
            }
        }
        all
    };
    if old.is_some_and(|o| !twice(o).is_empty()) {
        return;
    }
    for (i, k, key) in twice(spec) {
        let at = Path::new(at).child("topologySpreadConstraints").index(i);
        // Of merged keys the place among the constraints is told, as upstream does.
        let at = if merged { at.index(k) } else { at.child("matchLabelKeys").index(k) };
        e.invalid(&at, &key, "exists in both matchLabelKeys and labelSelector");
    }
}

/// Errors that go, or are worded otherwise.
fn relaxed(gates: &Gates, spec: &PodSpec, old: Option<&PodSpec>, at: &str, e: &mut FieldErrors) {
    const WITH_FILES: &str = "`configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
    if e.0.iter().any(|x| x.detail.ends_with(WITH_FILES)) && !gates.on("EnvFiles") && !old.is_some_and(pods::env_files) {
        for x in &mut e.0 {
            x.detail = x.detail.replace(WITH_FILES, "`configMapKeyRef` or `secretKeyRef`");
        }
    }
    let private = |p: &PodSpec| p.host_users == Some(false) && p.host_network == Some(true);
    if private(spec) && (gates.on("UserNamespacesHostNetworkSupport") || old.is_some_and(private)) {
        let network = Path::new(at).child("hostNetwork");
        drop_at(e, |x| x.path == network && x.wrong == Wrong::Forbidden && x.detail == "when `hostUsers` is false");
    }
    comparisons(gates, spec, old, at, e);
}

/// Tolerations that compare numbers.
fn comparisons(gates: &Gates, spec: &PodSpec, old: Option<&PodSpec>, at: &str, e: &mut FieldErrors) {
    let compares = |p: &PodSpec| items(&p.tolerations).iter().any(|t| ["Lt", "Gt"].contains(&s(&t.operator)));
    if !compares(spec) || !(gates.on("TaintTolerationComparisonOperators") || old.is_some_and(compares)) {
        return;
    }
    for (i, t) in items(&spec.tolerations).iter().enumerate().filter(|(_, t)| ["Lt", "Gt"].contains(&s(&t.operator))) {
        let at = Path::new(at).child("tolerations").index(i);
        let (operator, value) = (at.child("operator"), s(&t.value));
        drop_at(e, |x| x.path == operator && x.wrong == Wrong::NotSupported);
        if value.is_empty() {
            e.invalid(&at.child("value"), value, "must be non-empty");
        }
        let plain = value.is_empty() || value == "0" || value.strip_prefix('-').unwrap_or(value).starts_with(|c: char| ('1'..='9').contains(&c));
        if !plain || !value.strip_prefix('-').unwrap_or(value).bytes().all(|b| b.is_ascii_digit()) {
            e.invalid(&at.child("value"), value, NO_INTEGER);
        }
        if value.parse::<i64>().is_err() || value.starts_with('+') {
            let digits = value.trim_start_matches(['-', '+']);
            let too_big = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let why = if too_big { "value out of range" } else { "invalid syntax" };
            if too_big && value.parse::<i64>().is_ok() {
                continue;
            }
            e.invalid(&at.child("value"), value, format!("strconv.ParseInt: parsing {value:?}: {why}"));
        }
    }
}

const NO_INTEGER: &str = "must be a valid decimal integer in canonical form";

/// An update of a pod's status.
fn status(gates: &Gates, n: &Pod, _: &Pod, e: &mut FieldErrors) {
    if !e.is_empty() && !gates.on("ClearingNominatedNodeNameAfterBinding") {
        drop_at(e, |x| x.path == Path::new("status.nominatedNodeName") && x.wrong == Wrong::Forbidden);
    }
    if let Some(st) = &n.status {
        digests(st, e);
    }
}

const IMAGE_REF_BYTES_MAX: usize = 256;

/// Of image volumes only what the gate lets in is left to be judged.
fn digests(st: &PodStatus, e: &mut FieldErrors) {
    let groups = [
        ("containerStatuses", &st.container_statuses),
        ("initContainerStatuses", &st.init_container_statuses),
        ("ephemeralContainerStatuses", &st.ephemeral_container_statuses),
    ];
    for (group, list) in groups {
        for (i, c) in items(list).iter().enumerate() {
            for (k, m) in items(&c.volume_mounts).iter().enumerate() {
                let Some(image) = m.volume_status.as_ref().and_then(|v| v.image.as_ref()) else { continue };
                let at = Path::new("status").child(group).index(i).child("volumeMounts").index(k);
                let at = at.child("volumeStatus").child("imageVolumeStatus").child("imageRef");
                if image.image_ref.is_empty() {
                    e.required(&at, "imageRef must not be empty");
                }
                if image.image_ref.len() > IMAGE_REF_BYTES_MAX {
                    e.too_long(&at, IMAGE_REF_BYTES_MAX);
                }
            }
        }
    }
}

/// What may change of a job that is halted.
fn job(gates: &Gates, n: &Job, o: &Job, e: &mut FieldErrors) {
    let (resources, scheduling) = (gates.on("MutablePodResourcesForSuspendedJobs"), gates.on("MutableSchedulingDirectivesForSuspendedJobs"));
    if resources && scheduling {
        return;
    }
    let paths = [Path::new("spec.template"), Path::new("spec.template.spec")];
    drop_at(e, |x| x.wrong == Wrong::Invalid && x.detail == crate::meta::IMMUTABLE && paths.contains(&x.path));
    crate::batch::job::template_kept(n, o, (resources, scheduling), e);
}

fn scale_to_zero(gates: &Gates, h: &HorizontalPodAutoscaler, old: Option<&Object>, e: &mut FieldErrors) {
    let Some(least) = h.spec.min_replicas.filter(|n| *n < 1) else { return };
    let was = matches!(old, Some(Object::HorizontalPodAutoscaler(o)) if o.spec.min_replicas == Some(0));
    let at = Path::new("spec.minReplicas");
    if was || gates.on("HPAScaleToZero") {
        drop_at(e, |x| x.path == at && x.wrong == Wrong::Invalid);
        if least < 0 {
            e.invalid(&at, least, "must be greater than or equal to 0");
        }
    }
}

/// Names of services begin with a letter.
fn service_name(meta: &ObjectMeta, e: &mut FieldErrors) {
    let at = Path::new("metadata.name");
    let name = s(&meta.name);
    if name.is_empty() || names::dns1035_label(name).is_empty() {
        return;
    }
    drop_at(e, |x| x.path == at && x.wrong == Wrong::Invalid);
    complain(&at, name, names::dns1035_label(name), e);
}

fn ingress(new: &Ingress, old: Option<&Object>, e: &mut FieldErrors) {
    let named = |i: &Ingress| -> Vec<(Path, String)> {
        let Some(spec) = &i.spec else { return Vec::new() };
        let path = Path::new("spec");
        let first = spec.default_backend.iter().map(|b| (path.child("defaultBackend"), b));
        let ruled = items(&spec.rules).iter().enumerate().flat_map(|(i, r)| {
            let at = path.child("rules").index(i).child("http").child("paths");
            let paths = r.http.as_ref().map(|h| h.paths.as_slice()).unwrap_or_default();
            paths.iter().enumerate().map(move |(k, p)| (at.index(k).child("backend"), &p.backend))
        });
        let services = first.chain(ruled).filter_map(|(at, b)| Some((at.child("service").child("name"), b.service.as_ref()?.name.clone())));
        services.filter(|(_, name)| !name.is_empty()).collect()
    };
    let digits = |name: &str| names::dns_label(name).is_empty() && !names::dns1035_label(name).is_empty();
    if matches!(old, Some(Object::Ingress(o)) if named(o).iter().any(|(_, name)| digits(name))) {
        return;
    }
    for (at, name) in named(new) {
        if !names::dns1035_label(&name).is_empty() {
            drop_at(e, |x| x.path == at && x.wrong == Wrong::Invalid);
            complain(&at, &name, names::dns1035_label(&name), e);
        }
    }
}

/// Without distinct attributes a constraint must name one to match.
fn attributes(e: &mut FieldErrors) {
    for x in &mut e.0 {
        let at = x.path.to_string();
        if x.wrong == Wrong::Required && x.detail.starts_with("exactly one of \"matchAttribute\"") && at.contains("devices.constraints[") {
            (x.path, x.detail) = (x.path.child("matchAttribute"), String::new());
        }
    }
}
