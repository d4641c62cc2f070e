//! Plugins by which a namespace says where its pods run: PodNodeSelector and PodTolerationRestriction, with what the
//! installation says for namespaces that say nothing.
//!
//! Docs: "Admission Control in Kubernetes: PodNodeSelector, PodTolerationRestriction".

use crate::context::{Ctx, Operation, Request};
use crate::read::{items, s};
use kinds::api::core::v1::{Namespace, Pod, Toleration};
use kinds::{ApiError, Kind, Object, Resource};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

type Labels = BTreeMap<String, String>;

/// The annotation with a namespace's node selector.
const NODE_SELECTOR: &str = "scheduler.alpha.kubernetes.io/node-selector";
/// The entry of the configuration for namespaces without that annotation.
const CLUSTER_DEFAULT: &str = "clusterDefaultNodeSelector";
const DEFAULT_TOLERATIONS: &str = "scheduler.alpha.kubernetes.io/defaultTolerations";
const ALLOWED_TOLERATIONS: &str = "scheduler.alpha.kubernetes.io/tolerationsWhitelist";

/// Tolerations of the installation (`podtolerationrestriction.admission.k8s.io`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tolerations {
    /// What pods get.
    pub default: Vec<Toleration>,
    /// What pods may tolerate; empty: anything.
    pub allowed: Vec<Toleration>,
}

impl Tolerations {
    /// Reads both lists.
    ///
    /// # Errors
    /// What is no toleration.
    pub fn read(default: &Value, allowed: &Value) -> Result<Self, String> {
        let list = |json: &Value| if json.is_null() { Ok(Vec::new()) } else { crate::json::tolerations(json) };
        Ok(Self { default: list(default)?, allowed: list(allowed)? })
    }
}

/// A pod that is written itself, not one of its subresources.
fn pod_of<'o>(request: &Request, object: &'o Object, operations: &[Operation]) -> Option<&'o Arc<Pod>> {
    let ours = request.resource == Resource::from(Kind::Pod) && request.subresource.is_empty() && operations.contains(&request.operation);
    if let (Object::Pod(pod), true) = (object, ours) { Some(pod) } else { None }
}

fn annotation<'c>(ctx: &'c Ctx<'_>, namespace: &str, key: &str) -> Result<Option<&'c str>, ApiError> {
    let found = ctx.snapshot.get::<Namespace>("", namespace);
    let found = found.ok_or_else(|| ApiError::internal(format!("namespace {namespace} does not exist")))?;
    Ok(found.metadata.annotations.as_ref().and_then(|a| a.get(key)).map(String::as_str))
}

/// `a=b,c=d`.
fn labels(text: &str) -> Result<Labels, ApiError> {
    let pairs = text.split(',').filter(|_| !text.is_empty());
    let pair = |part: &str| {
        let (key, value) = part.split_once('=').ok_or_else(|| ApiError::new(500, "", format!("invalid selector: [{part}]")))?;
        Ok((key.trim().to_owned(), value.trim().to_owned()))
    };
    pairs.map(pair).collect()
}

fn node_selector(ctx: &Ctx<'_>, namespace: &str) -> Result<Labels, ApiError> {
    let configured = || ctx.config.admission.node_selectors.get(CLUSTER_DEFAULT).map_or("", String::as_str);
    labels(annotation(ctx, namespace, NODE_SELECTOR)?.unwrap_or_else(configured))
}

fn selected(pod: &Pod) -> Labels {
    pod.spec.as_ref().and_then(|x| x.node_selector.clone()).unwrap_or_default()
}

fn conflicts(a: &Labels, b: &Labels) -> bool {
    a.iter().any(|(k, v)| b.get(k).is_some_and(|other| other != v))
}

fn refused(pod: &Pod, why: &str) -> ApiError {
    ApiError::forbidden(&Kind::Pod.into(), s(&pod.metadata.name), why)
}

/// Pods run where their namespace says, and where they say besides.
pub(super) fn select_nodes(ctx: &Ctx<'_>, request: &Request, object: &mut Object, _: Option<&Object>) -> Result<(), ApiError> {
    let Some(pod) = pod_of(request, object, &[Operation::Create]) else { return Ok(()) };
    let (of_namespace, own) = (node_selector(ctx, &request.namespace)?, selected(pod));
    if conflicts(&of_namespace, &own) {
        return Err(refused(pod, "pod node label selector conflicts with its namespace node label selector"));
    }
    if let (Object::Pod(pod), false) = (&mut *object, of_namespace.is_empty()) {
        let merged = Arc::make_mut(pod).spec.get_or_insert_default().node_selector.get_or_insert_default();
        for (k, v) in of_namespace {
            merged.entry(k).or_insert(v);
        }
    }
    selects_nodes(ctx, request, object, None)
}

/// The same of what else has changed the pod meanwhile, and against what the installation allows in the namespace.
pub(super) fn selects_nodes(ctx: &Ctx<'_>, request: &Request, object: &Object, _: Option<&Object>) -> Result<(), ApiError> {
    let Some(pod) = pod_of(request, object, &[Operation::Create]) else { return Ok(()) };
    let own = selected(pod);
    if conflicts(&node_selector(ctx, &request.namespace)?, &own) {
        return Err(refused(pod, "pod node label selector conflicts with its namespace node label selector"));
    }
    let allowed = labels(ctx.config.admission.node_selectors.get(&request.namespace).map_or("", String::as_str))?;
    if !allowed.is_empty() && own.iter().any(|(k, v)| allowed.get(k) != Some(v)) {
        return Err(refused(pod, "pod node label selector labels conflict with its namespace whitelist"));
    }
    Ok(())
}

/// The tolerations of a namespace's annotation; an empty one says that there are none.
fn annotated(ctx: &Ctx<'_>, namespace: &str, key: &str) -> Result<Option<Vec<Toleration>>, ApiError> {
    let Some(text) = annotation(ctx, namespace, key)? else { return Ok(None) };
    if text.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let wrong = |why: String| ApiError::new(500, "", why);
    let tree = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
    crate::json::tolerations(&tree).map(Some).map_err(wrong)
}

/// Pods get what their namespace tolerates; those that ask for resources stay where memory is short.
pub(super) fn tolerate(ctx: &Ctx<'_>, request: &Request, object: &mut Object, _: Option<&Object>) -> Result<(), ApiError> {
    let Some(pod) = pod_of(request, object, &[Operation::Create, Operation::Update]) else { return Ok(()) };
    let mut more = Vec::new();
    if request.operation == Operation::Create {
        let configured = || ctx.config.admission.tolerations.default.clone();
        more = annotated(ctx, &request.namespace, DEFAULT_TOLERATIONS)?.unwrap_or_else(configured);
    }
    if pod.spec.as_ref().is_some_and(|spec| kinds::pod::qos_class(spec) != "BestEffort") {
        more.push(Toleration {
            key: Some("node.kubernetes.io/memory-pressure".to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some("NoSchedule".to_owned()),
            ..Toleration::default()
        });
    }
    if let (Object::Pod(pod), false) = (&mut *object, more.is_empty()) {
        let list = Arc::make_mut(pod).spec.get_or_insert_default().tolerations.get_or_insert_default();
        list.append(&mut more);
        *list = merged(list);
    }
    tolerates(ctx, request, object, None)
}

/// Whether a pod tolerates nothing but what it may.
pub(super) fn tolerates(ctx: &Ctx<'_>, request: &Request, object: &Object, _: Option<&Object>) -> Result<(), ApiError> {
    let Some(pod) = pod_of(request, object, &[Operation::Create, Operation::Update]) else { return Ok(()) };
    let own = pod.spec.as_ref().map(|x| items(&x.tolerations)).unwrap_or_default();
    if own.is_empty() {
        return Ok(());
    }
    let (allowed, scope) = match annotated(ctx, &request.namespace, ALLOWED_TOLERATIONS)? {
        Some(list) => (list, "namespace"),
        None => (ctx.config.admission.tolerations.allowed.clone(), "cluster"),
    };
    if allowed.is_empty() || own.iter().all(|t| allowed.iter().any(|a| includes(a, t))) {
        return Ok(());
    }
    let why = format!("pod tolerations (possibly merged with namespace default tolerations) conflict with its {scope} whitelist");
    Err(ApiError::new(500, "", why))
}

/// Without those that others include.
fn merged(all: &[Toleration]) -> Vec<Toleration> {
    let mut kept: Vec<Toleration> = Vec::new();
    for (i, t) in all.iter().enumerate() {
        let later = all[i + 1..].iter().any(|o| o != t && includes(o, t));
        if !later && !kept.iter().any(|k| includes(k, t)) {
            kept.push(t.clone());
        }
    }
    kept
}

/// Whether whatever `narrow` tolerates, `wide` does.
fn includes(wide: &Toleration, narrow: &Toleration) -> bool {
    let exists = s(&wide.operator) == "Exists";
    let everything = s(&wide.key).is_empty() && exists;
    let longer = |seconds: i64| narrow.toleration_seconds.is_some_and(|n| n <= seconds);
    let lasts = s(&wide.effect) != "NoExecute" || wide.toleration_seconds.is_none_or(longer);
    wide == narrow
        || (everything || s(&wide.key) == s(&narrow.key))
            && (s(&wide.effect).is_empty() || s(&wide.effect) == s(&narrow.effect))
            && lasts
            && (exists || matches!(s(&wide.operator), "Equal" | "") && s(&narrow.operator) == "Equal" && s(&narrow.value) == s(&wide.value))
}
