//! What remains, and what is deleted next.

use super::conditions::{Remaining, conditions};
use crate::controller::Ctx;
use crate::numbers::filled;
use crate::plan::{Pace, Plan, Propagation, Step};
use cache::{Entry, Snapshot};
use kinds::api::core::v1::{Namespace, NamespaceStatus};
use kinds::{Kind, ObjectKey, Resource};
use std::sync::Arc;

/// The finalizer in `spec.finalizers` that this controller takes away.
const FINALIZER: &str = "kubernetes";

/// A terminating namespace and everything in it.
#[derive(Debug)]
pub struct Seen {
    pub namespace: Arc<Namespace>,
    pub content: Vec<(Resource, Vec<Arc<Entry>>)>,
}

/// Gathers it; `None` when the namespace is gone or not terminating.
pub fn observe(snapshot: &Snapshot, key: &ObjectKey) -> Option<Seen> {
    let namespace = snapshot.find::<Namespace>(key).filter(|n| n.metadata.deletion_timestamp.is_some())?;
    let finalizers = namespace.spec.as_ref().and_then(|s| s.finalizers.as_ref());
    if !finalizers.is_some_and(|f| f.iter().any(|f| f == FINALIZER)) {
        return None;
    }
    let tables = snapshot.tables().filter(|(r, _)| r.namespaced());
    let content = tables.map(|(r, t)| (r.clone(), t.range(&key.name, None).cloned().collect::<Vec<_>>()));
    Some(Seen { namespace: Arc::clone(namespace), content: content.filter(|(_, e)| !e.is_empty()).collect() })
}

/// What is to be done for one namespace.
#[must_use]
pub fn decide(seen: &Seen, ctx: &Ctx) -> Plan {
    if seen.content.is_empty() {
        return Plan::because("the namespace is empty").step(finalize(&seen.namespace));
    }
    let pods = seen.content.iter().find(|(r, _)| *r == Kind::Pod.into());
    let next: Vec<&Arc<Entry>> = match pods {
        Some((_, pods)) => pods.iter().collect(),
        None => seen.content.iter().flat_map(|(_, e)| e).collect(),
    };
    let delete = |e: &&Arc<Entry>| Step::delete(e.object()).propagating(Propagation::Background);
    let steps = next.iter().filter(|e| e.meta().deletion_timestamp.is_none()).map(delete).collect();
    Plan::because(format!("{} kinds remain", seen.content.len())).wave(Pace::Parallel, steps).status(status(seen, ctx))
}

fn finalize(namespace: &Namespace) -> Step {
    let mut next = namespace.clone();
    if let Some(spec) = &mut next.spec {
        let rest = spec.finalizers.take().unwrap_or_default().into_iter().filter(|f| f != FINALIZER).collect();
        spec.finalizers = filled(rest);
    }
    Step::update_sub(next, "finalize").lenient()
}

fn status(seen: &Seen, ctx: &Ctx) -> Option<Step> {
    let now = seen.namespace.status.clone().unwrap_or_default();
    let remaining = Remaining::of(&seen.content);
    let all = conditions(now.conditions.clone().unwrap_or_default(), &remaining, ctx);
    let next = NamespaceStatus { conditions: filled(all), phase: Some("Terminating".to_owned()) };
    let changed = next != now;
    changed.then(|| Step::update_status(Namespace { status: Some(next), ..Namespace::clone(&seen.namespace) }).lenient())
}
