//! PodSecurity: a namespace's labels say how much its pods may ask of the node.
//!
//! Docs: "Pod Security Admission", "Pod Security Standards".

use super::forbidden;
use crate::context::{Ctx, Operation, Request};
use kinds::api::core::v1::{Container, Namespace, Pod, PodSpec, PodTemplateSpec};
use kinds::{ApiError, Kind, Object, ObjectMeta, Resource};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

mod checks;
mod policy;

use policy::PREFIX;
pub use policy::{Demand, Level, PodSecurity, Policy, Version};

/// Pods that are looked at when a namespace is made stricter.
const EXISTING_MAX: usize = 3000;

/// What of a pod breaks a level, each with its reason: baseline checks first.
fn violations(demand: &Demand, meta: Option<&ObjectMeta>, spec: &PodSpec) -> Vec<String> {
    let mut all = Vec::new();
    let restricted = demand.level == Level::Restricted;
    if demand.level >= Level::Baseline {
        checks::baseline(meta, spec, demand.version.minor(), restricted, &mut all);
    }
    if restricted {
        checks::restricted(spec, demand.version.minor(), &mut all);
    }
    all
}

/// Whether pods are judged by this request: new ones, and those whose containers or images change.
fn concerns(request: &Request, pod: &Pod, old: Option<&Object>) -> bool {
    let ours = request.resource == Resource::from(Kind::Pod) && ["", "ephemeralcontainers", "resize"].contains(&request.subresource);
    if !ours || !matches!(request.operation, Operation::Create | Operation::Update) {
        return false;
    }
    let Some(Object::Pod(old)) = old else { return true };
    let images = |p: &Pod| -> Vec<(u8, String, Option<String>)> {
        let Some(spec) = &p.spec else { return Vec::new() };
        let of = |n, list: &[Container]| list.iter().map(move |c| (n, String::new(), c.image.clone())).collect::<Vec<_>>();
        let mut all = of(0, &spec.containers);
        all.extend(of(1, spec.init_containers.as_deref().unwrap_or_default()));
        all.extend(spec.ephemeral_containers.iter().flatten().map(|c| (2, c.name.clone(), c.image.clone())));
        all
    };
    images(pod) != images(old)
}

/// What is judged of a request, and by what.
struct Judged<'a> {
    policy: Policy,
    /// Labels that cannot be read.
    errors: kinds::FieldErrors,
    meta: Option<&'a ObjectMeta>,
    spec: &'a PodSpec,
    is_pod: bool,
}

/// What happens to a request.
enum Way<'a> {
    /// It has nothing to do with pods.
    None,
    /// It is not judged, for that reason.
    Exempt(&'static str),
    /// A pod in a namespace that demands nothing.
    Privileged,
    Judged(Judged<'a>),
}

fn way<'a>(ctx: &Ctx<'_>, request: &Request, object: &'a Object, old: Option<&Object>) -> Way<'a> {
    let settings = &ctx.config.admission.pod_security;
    let (meta, spec, is_pod) = match object {
        Object::Pod(p) => (Some(&p.metadata), p.spec.as_ref(), true),
        other => match template(other) {
            Some(t) => (t.metadata.as_ref(), t.spec.as_ref(), false),
            None => return Way::None,
        },
    };
    let concerned = if let Object::Pod(p) = object { concerns(request, p, old) } else { writes(request) };
    let (Some(spec), true) = (spec, concerned) else { return Way::None };
    let Some(ns) = ctx.snapshot.get::<Namespace>("", &request.namespace) else { return Way::None };
    if let Some(why) = settings.exempts(&request.namespace, &ctx.user.name, None) {
        return Way::Exempt(why);
    }
    let (policy, errors) = Policy::of(ns, &settings.defaults);
    if errors.is_empty() && policy.is_privileged() {
        return if is_pod { Way::Privileged } else { Way::None };
    }
    match settings.exempts("", "", spec.runtime_class_name.as_deref()) {
        Some(why) => Way::Exempt(why),
        None => Way::Judged(Judged { policy, errors, meta, spec, is_pod }),
    }
}

/// Refuses pods that break the level which their namespace enforces.
pub(super) fn enforce(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Result<(), ApiError> {
    if !matches!(object, Object::Pod(_)) {
        return Ok(());
    }
    let Way::Judged(judged) = way(ctx, request, object, old) else { return Ok(()) };
    let demand = judged.policy.enforce;
    let broken = violations(&demand, judged.meta, judged.spec);
    if broken.is_empty() {
        return Ok(());
    }
    Err(forbidden(request, object, format!("violates PodSecurity \"{demand}\": {}", broken.join(", "))))
}

/// What the audit log is told: the level that a pod was judged by or why it was not, and what breaks the level of the mode `audit`.
pub(super) fn annotations(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Vec<(&'static str, String)> {
    const ENFORCED: &str = "pod-security.kubernetes.io/enforce-policy";
    let judged = match way(ctx, request, object, old) {
        Way::None => return Vec::new(),
        Way::Exempt(why) => return vec![("pod-security.kubernetes.io/exempt", why.to_owned())],
        Way::Privileged => return vec![(ENFORCED, Demand::default().to_string())],
        Way::Judged(judged) => judged,
    };
    let mut all = Vec::new();
    if !judged.errors.is_empty() {
        let told = super::aggregate(judged.errors.0.iter().map(ToString::to_string).collect());
        all.push(("pod-security.kubernetes.io/error", format!("Failed to parse policy: {told}")));
    }
    if judged.is_pod {
        all.push((ENFORCED, judged.policy.enforce.to_string()));
    }
    let broken = violations(&judged.policy.audit, judged.meta, judged.spec);
    if !broken.is_empty() {
        all.push(("pod-security.kubernetes.io/audit-violations", would_violate(&judged.policy.audit, &broken)));
    }
    all
}

fn writes(request: &Request) -> bool {
    matches!(request.operation, Operation::Create | Operation::Update) && request.subresource.is_empty()
}

fn would_violate(demand: &Demand, broken: &[String]) -> String {
    format!("would violate PodSecurity \"{demand}\": {}", broken.join(", "))
}

/// The template of a workload.
fn template(object: &Object) -> Option<&PodTemplateSpec> {
    match object {
        Object::Deployment(o) => o.spec.as_ref().map(|s| &s.template),
        Object::DaemonSet(o) => o.spec.as_ref().map(|s| &s.template),
        Object::StatefulSet(o) => o.spec.as_ref().map(|s| &s.template),
        Object::ReplicaSet(o) => o.spec.as_ref().and_then(|s| s.template.as_ref()),
        Object::ReplicationController(o) => o.spec.as_ref().and_then(|s| s.template.as_ref()),
        Object::Job(o) => o.spec.as_ref().map(|s| &s.template),
        Object::CronJob(o) => o.spec.job_template.spec.as_ref().map(|s| &s.template),
        Object::PodTemplate(o) => o.template.as_ref(),
        _ => None,
    }
}

/// What the namespace wants its writers to be warned of: pods and templates that break the `warn` level, and pods that are
/// there already when the namespace is made stricter.
pub(super) fn warnings(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Vec<String> {
    if let Object::Namespace(new) = object {
        return if writes(request) { of_namespace(ctx, new, old) } else { Vec::new() };
    }
    let Way::Judged(judged) = way(ctx, request, object, old) else { return Vec::new() };
    let broken = violations(&judged.policy.warn, judged.meta, judged.spec);
    if broken.is_empty() { Vec::new() } else { vec![would_violate(&judged.policy.warn, &broken)] }
}

fn of_namespace(ctx: &Ctx<'_>, new: &Namespace, old: Option<&Object>) -> Vec<String> {
    let settings = &ctx.config.admission.pod_security;
    let policy = Policy::of(new, &settings.defaults).0;
    if let Some(Object::Namespace(old)) = old {
        let (demand, before) = (policy.enforce, Policy::of(old, &settings.defaults).0.enforce);
        if demand.level == Level::Privileged || (demand.version == before.version && demand.level <= before.level) {
            return Vec::new();
        }
        if !settings.exempts_namespace(new.metadata.name.as_deref().unwrap_or_default()) {
            return existing(ctx, new, demand);
        }
    }
    ignored(settings, new, &policy)
}

/// Labels of a namespace that is exempt come to nothing.
fn ignored(settings: &PodSecurity, ns: &Namespace, policy: &Policy) -> Vec<String> {
    let name = ns.metadata.name.as_deref().unwrap_or_default();
    if !settings.exempts_namespace(name) || policy.is_privileged() || policy.is_like(&settings.defaults) {
        return Vec::new();
    }
    let says = |mode: &str| {
        let has = |key: String| ns.metadata.labels.as_ref().is_some_and(|l| l.contains_key(&key));
        has(format!("{PREFIX}{mode}")) || has(format!("{PREFIX}{mode}-version"))
    };
    let modes = [("enforce", policy.enforce), ("audit", policy.audit), ("warn", policy.warn)];
    let said = modes.iter().filter(|(mode, d)| d.level != Level::Privileged && says(mode)).map(|(mode, d)| format!("{mode}={d}"));
    let said = said.collect::<Vec<_>>().join(", ");
    vec![format!("namespace {name:?} is exempt from Pod Security, and the policy ({said}) will be ignored")]
}

/// The pods of a namespace that break what it newly enforces, gathered by what they break.
fn existing(ctx: &Ctx<'_>, new: &Namespace, demand: Demand) -> Vec<String> {
    let name = new.metadata.name.as_deref().unwrap_or_default();
    let settings = &ctx.config.admission.pod_security;
    let exempt = |p: &Pod| settings.exempts("", "", p.spec.as_ref().and_then(|s| s.runtime_class_name.as_deref())).is_some();
    let pods = first_of_each(ctx.snapshot.list::<Pod>(name).filter(|p| !exempt(p)).collect());
    let mut found: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for pod in pods.iter().take(EXISTING_MAX) {
        let broken = pod.spec.as_ref().map(|s| violations(&demand, Some(&pod.metadata), s)).unwrap_or_default();
        if broken.is_empty() {
            continue;
        }
        // The reason stands before what it is about.
        let reasons: Vec<&str> = broken.iter().map(|b| b.split_once(" (").map_or(b.as_str(), |(reason, _)| reason)).collect();
        let pod = pod.metadata.name.clone().unwrap_or_default();
        let first = found.entry(reasons.join(", ")).or_insert_with(|| (pod.clone(), 0));
        first.0 = pod.min(first.0.clone());
        first.1 += 1;
    }
    let mut all = Vec::new();
    if pods.len() > EXISTING_MAX {
        all.push(format!("new PodSecurity enforce level only checked against the first {EXISTING_MAX} of {} existing pods", pods.len()));
    }
    if !found.is_empty() {
        all.push(format!("existing pods in namespace {name:?} violate the new PodSecurity enforce level \"{demand}\""));
    }
    let mut lines: Vec<String> = found
        .into_iter()
        .map(|(reasons, (pod, count))| match count {
            1 => format!("{pod}: {reasons}"),
            2 => format!("{pod} (and 1 other pod): {reasons}"),
            n => format!("{pod} (and {} other pods): {reasons}", n - 1),
        })
        .collect();
    lines.sort();
    all.extend(lines);
    all
}

/// Pods with one of each controller first, so that a look at some of them sees as many kinds as it can.
fn first_of_each(pods: Vec<&Arc<Pod>>) -> Vec<&Arc<Pod>> {
    let mut seen = BTreeSet::new();
    let (mut all, again): (Vec<_>, Vec<_>) = pods.into_iter().partition(|p| {
        let owner = p.metadata.owner_references.iter().flatten().find(|o| o.controller == Some(true));
        owner.is_none_or(|o| seen.insert(o.uid.clone()))
    });
    all.extend(again);
    all
}

/// Labels that this plugin reads must be readable, unless they were not before.
pub(super) fn labels(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Result<(), ApiError> {
    let Object::Namespace(ns) = object else { return Ok(()) };
    if !writes(request) {
        return Ok(());
    }
    let defaults = &ctx.config.admission.pod_security.defaults;
    let errors = Policy::of(ns, defaults).1;
    let before = match old {
        Some(Object::Namespace(old)) => Policy::of(old, defaults).1,
        _ => kinds::FieldErrors::default(),
    };
    if errors.is_empty() || errors == before {
        return Ok(());
    }
    let name = ns.metadata.name.clone().unwrap_or_default();
    Err(ApiError::invalid("", "Namespace", &name, &errors))
}
