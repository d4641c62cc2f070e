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

const PREFIX: &str = "pod-security.kubernetes.io/";
const LATEST: &str = "latest";
/// Pods that are looked at when a namespace is made stricter.
const EXISTING_MAX: usize = 3000;

/// The levels, from everything allowed to almost nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Self {
        match text {
            "privileged" => Self::Privileged,
            "baseline" => Self::Baseline,
            // What cannot be read is taken at its strictest.
            _ => Self::Restricted,
        }
    }
    fn word(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// A level in a version of the standard, as labels name it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Demand {
    level: Level,
    /// `latest` or `v1.x`.
    version: String,
}

impl Demand {
    /// Its minor version.
    fn minor(&self) -> u32 {
        self.version.strip_prefix("v1.").and_then(|m| m.parse().ok()).unwrap_or(u32::MAX)
    }
}

impl std::fmt::Display for Demand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.level.word(), self.version)
    }
}

/// What a namespace demands in one mode. Who enforces a level without a word on warnings warns of it too, for what is no pod.
fn demanded(ns: &Namespace, mode: &str) -> Demand {
    let label = |suffix: &str| ns.metadata.labels.as_ref().and_then(|l| l.get(&format!("{PREFIX}{mode}{suffix}")));
    let level = label("").map(|t| Level::parse(t));
    let version = label("-version").cloned();
    if mode == "warn" && level.is_none() {
        let enforced = demanded(ns, "enforce");
        if enforced.level > Level::Privileged {
            return Demand { version: version.unwrap_or(enforced.version), ..enforced };
        }
    }
    Demand { level: level.unwrap_or(Level::Privileged), version: version.unwrap_or_else(|| LATEST.to_owned()) }
}

/// What of a pod breaks a level, each with its reason: baseline checks first.
fn violations(demand: &Demand, meta: Option<&ObjectMeta>, spec: &PodSpec) -> Vec<String> {
    let mut all = Vec::new();
    let restricted = demand.level == Level::Restricted;
    if demand.level >= Level::Baseline {
        checks::baseline(meta, spec, demand.minor(), restricted, &mut all);
    }
    if restricted {
        checks::restricted(spec, demand.minor(), &mut all);
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

/// Refuses pods that break the level which their namespace enforces.
pub(super) fn enforce(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Result<(), ApiError> {
    let Object::Pod(pod) = object else { return Ok(()) };
    let Some(ns) = ctx.snapshot.get::<Namespace>("", &request.namespace).filter(|_| concerns(request, pod, old)) else { return Ok(()) };
    let Some(spec) = &pod.spec else { return Ok(()) };
    let demand = demanded(ns, "enforce");
    let broken = violations(&demand, Some(&pod.metadata), spec);
    if broken.is_empty() {
        return Ok(());
    }
    Err(forbidden(request, object, format!("violates PodSecurity \"{demand}\": {}", broken.join(", "))))
}

/// What the audit log is told: the level that a pod was judged by, and what breaks the level of the mode `audit`.
pub(super) fn annotations(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    if !has_pods(object) {
        return all;
    }
    let Some(ns) = ctx.snapshot.get::<Namespace>("", &request.namespace) else { return all };
    let demand = demanded(ns, "audit");
    let broken = match object {
        Object::Pod(pod) if concerns(request, pod, old) => {
            all.push(("pod-security.kubernetes.io/enforce-policy", demanded(ns, "enforce").to_string()));
            pod.spec.as_ref().map(|s| violations(&demand, Some(&pod.metadata), s))
        }
        Object::Pod(_) => None,
        _ if !writes(request) => None,
        other => of_template(&demand, other),
    };
    if let Some(broken) = broken.filter(|b| !b.is_empty()) {
        all.push(("pod-security.kubernetes.io/audit-violations", would_violate(&demand, &broken)));
    }
    all
}

fn writes(request: &Request) -> bool {
    matches!(request.operation, Operation::Create | Operation::Update) && request.subresource.is_empty()
}

fn would_violate(demand: &Demand, broken: &[String]) -> String {
    format!("would violate PodSecurity \"{demand}\": {}", broken.join(", "))
}

fn of_template(demand: &Demand, object: &Object) -> Option<Vec<String>> {
    let template = template(object)?;
    Some(violations(demand, template.metadata.as_ref(), template.spec.as_ref()?))
}

/// Whether anything of the object is judged.
fn has_pods(object: &Object) -> bool {
    matches!(object, Object::Pod(_)) || template(object).is_some()
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
    if let (Object::Namespace(new), Some(Object::Namespace(old)), true) = (object, old, writes(request)) {
        return existing(ctx, new, old);
    }
    if !has_pods(object) {
        return Vec::new();
    }
    let Some(ns) = ctx.snapshot.get::<Namespace>("", &request.namespace) else { return Vec::new() };
    let demand = demanded(ns, "warn");
    let broken = match object {
        Object::Pod(p) if concerns(request, p, old) => p.spec.as_ref().map(|s| violations(&demand, Some(&p.metadata), s)),
        Object::Pod(_) => None,
        _ if !writes(request) => None,
        other => of_template(&demand, other),
    };
    match broken {
        Some(broken) if !broken.is_empty() => vec![would_violate(&demand, &broken)],
        _ => Vec::new(),
    }
}

/// The pods of a namespace that break what it newly enforces, gathered by what they break.
fn existing(ctx: &Ctx<'_>, new: &Namespace, old: &Namespace) -> Vec<String> {
    let (demand, before) = (demanded(new, "enforce"), demanded(old, "enforce"));
    if demand.level == Level::Privileged || (demand.version == before.version && demand.level <= before.level) {
        return Vec::new();
    }
    let name = new.metadata.name.as_deref().unwrap_or_default();
    let pods = first_of_each(ctx.snapshot.list::<Pod>(name).collect());
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

/// Labels that this plugin reads must be readable.
pub(super) fn labels(_: &Ctx<'_>, request: &Request, object: &Object, _: Option<&Object>) -> Result<(), ApiError> {
    let Object::Namespace(ns) = object else { return Ok(()) };
    if !matches!(request.operation, Operation::Create | Operation::Update) || !request.subresource.is_empty() {
        return Ok(());
    }
    let mut errors = kinds::FieldErrors::default();
    for (k, v) in ns.metadata.labels.iter().flatten() {
        let Some(mode) = k.strip_prefix(PREFIX) else { continue };
        let at = kinds::Path::new("metadata.labels").key(k);
        if ["enforce", "audit", "warn"].contains(&mode) {
            if !["privileged", "baseline", "restricted"].contains(&v.as_str()) {
                errors.invalid(&at, v, "must be one of privileged, baseline, restricted");
            }
        } else if ["enforce-version", "audit-version", "warn-version"].contains(&mode) && !is_version(v) {
            errors.invalid(&at, v, "must be \"latest\" or \"v1.x\"");
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    let name = ns.metadata.name.clone().unwrap_or_default();
    Err(ApiError::invalid("", "Namespace", &name, &errors))
}


fn is_version(text: &str) -> bool {
    let minor = text.strip_prefix("v1.");
    text == "latest" || minor.is_some_and(|m| !m.is_empty() && m.bytes().all(|b| b.is_ascii_digit()))
}
