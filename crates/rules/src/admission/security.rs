//! PodSecurity: a namespace's labels say how much its pods may ask of the node.
//!
//! Docs: "Pod Security Admission", "Pod Security Standards".

use super::forbidden;
use crate::context::{Ctx, Operation, Request};
use kinds::api::core::v1::{Namespace, PodSpec, PodTemplateSpec};
use kinds::{ApiError, Kind, Object, ObjectMeta, Resource};

mod checks;

const PREFIX: &str = "pod-security.kubernetes.io/";

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

/// What a namespace demands in one mode: the level, and the version as it is printed.
fn demanded(ns: &Namespace, mode: &str) -> (Level, String) {
    let label = |suffix: &str| {
        let key = format!("{PREFIX}{mode}{suffix}");
        ns.metadata.labels.as_ref().and_then(|l| l.get(&key)).cloned()
    };
    let level = label("").map_or(Level::Privileged, |t| Level::parse(&t));
    (level, label("-version").unwrap_or_else(|| "latest".into()))
}

/// What of a pod breaks a level, each with its reason: baseline checks first.
fn violations(level: Level, meta: Option<&ObjectMeta>, spec: &PodSpec) -> Vec<String> {
    let mut all = Vec::new();
    let restricted = level == Level::Restricted;
    if level >= Level::Baseline {
        checks::baseline(meta, spec, restricted, &mut all);
    }
    if restricted {
        checks::restricted(spec, &mut all);
    }
    all
}

/// Refuses pods that break the level which their namespace enforces.
pub(super) fn enforce(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Result<(), ApiError> {
    let Object::Pod(pod) = object else { return Ok(()) };
    let ours = request.resource == Resource::from(Kind::Pod) && ["", "ephemeralcontainers"].contains(&request.subresource);
    if !ours || !matches!(request.operation, Operation::Create | Operation::Update) {
        return Ok(());
    }
    if let Some(Object::Pod(o)) = old
        && o.spec == pod.spec
    {
        return Ok(());
    }
    let Some(ns) = ctx.snapshot.get::<Namespace>("", &request.namespace) else { return Ok(()) };
    let (level, version) = demanded(ns, "enforce");
    let Some(spec) = &pod.spec else { return Ok(()) };
    let broken = violations(level, Some(&pod.metadata), spec);
    if broken.is_empty() {
        return Ok(());
    }
    let why = format!("violates PodSecurity \"{}:{version}\": {}", level.word(), broken.join(", "));
    Err(forbidden(request, object, why))
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

/// What the namespace wants its writers to be warned of: pods and templates that break the `warn` level.
pub(super) fn warnings(ctx: &Ctx<'_>, request: &Request, object: &Object) -> Vec<String> {
    let writes = matches!(request.operation, Operation::Create | Operation::Update) && request.subresource.is_empty();
    let Some(ns) = ctx.snapshot.get::<Namespace>("", &request.namespace).filter(|_| writes) else { return Vec::new() };
    let (level, version) = demanded(ns, "warn");
    let broken = match object {
        Object::Pod(p) => p.spec.as_ref().map(|s| violations(level, Some(&p.metadata), s)),
        other => template(other).and_then(|t| t.spec.as_ref().map(|s| violations(level, t.metadata.as_ref(), s))),
    };
    let broken = broken.unwrap_or_default();
    if broken.is_empty() {
        return Vec::new();
    }
    vec![format!("would violate PodSecurity \"{}:{version}\": {}", level.word(), broken.join(", "))]
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
