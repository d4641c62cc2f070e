//! Stay, go, or be let go.

use super::observe::{OwnerState, Seen};
use super::{FOREGROUND, ORPHAN, has_finalizer};
use crate::numbers::filled;
use crate::plan::{Event, Pace, Plan, Propagation, Step};
use cache::Entry;
use kinds::ObjectMeta;
use kinds::api::core::v1::ObjectReference;
use std::time::Duration;

/// How soon an object with an owner of an unknown kind is looked at again.
const UNKNOWN_OWNER_RECHECK: Duration = Duration::from_secs(30);

/// What is to be done for one object.
#[must_use]
pub fn decide(seen: &Seen) -> Plan {
    let meta = seen.item.meta();
    if meta.deletion_timestamp.is_some() {
        if has_finalizer(meta, ORPHAN) {
            return orphan_dependents(seen);
        }
        if has_finalizer(meta, FOREGROUND) {
            return wait_for_dependents(seen);
        }
        return Plan::because("it is being deleted already");
    }
    if seen.owners.is_empty() {
        return Plan::because("it has no owner");
    }
    collect(seen)
}

fn is(seen: &Seen, state: OwnerState) -> bool {
    seen.owners.iter().any(|(_, s)| *s == state)
}

fn collect(seen: &Seen) -> Plan {
    if is(seen, OwnerState::Unknown) {
        return unknown(seen);
    }
    let (waiting, dangling) = (is(seen, OwnerState::Waiting), is(seen, OwnerState::Dangling));
    if is(seen, OwnerState::Solid) {
        let plan = Plan::because("an owner exists");
        if !waiting && !dangling {
            return plan;
        }
        let gone = |uid: &str| seen.owners.iter().any(|(r, s)| r.uid == uid && *s != OwnerState::Solid);
        return plan.step(without_owners(&seen.item, gone));
    }
    let delete = Step::delete(seen.item.object()).at(seen.item.meta().resource_version.as_ref());
    if waiting && !seen.dependents.is_empty() {
        let mut plan = Plan::because("an owner waits, and it has dependents itself");
        if seen.dependents.iter().any(|d| blocks(d, seen.item.uid()) && waits(d)) {
            // A circle of waiting: this one must not block its owners any more.
            plan = plan.step(unblock(&seen.item));
        } else {
            plan = plan.step(delete.propagating(Propagation::Foreground));
        }
        return plan;
    }
    let meta = seen.item.meta();
    let how = match () {
        () if has_finalizer(meta, ORPHAN) => Propagation::Orphan,
        () if has_finalizer(meta, FOREGROUND) => Propagation::Foreground,
        () => Propagation::Background,
    };
    Plan::because("no owner exists any more").step(delete.propagating(how))
}

fn unknown(seen: &Seen) -> Plan {
    let plan = Plan::because("an owner is of a kind that nothing serves here").again(Some(UNKNOWN_OWNER_RECHECK));
    // A namespaced kind as the owner of a cluster-scoped object can never be right: that is told once a round.
    let bad = seen.owners.iter().find(|(_, s)| *s == OwnerState::Unknown).filter(|_| seen.item.key.namespace.is_empty());
    let served = |r: &kinds::OwnerReference| kinds::Kind::from_api_version(&r.api_version, &r.kind).is_some();
    match bad.filter(|(r, _)| served(r)) {
        Some((r, _)) => Plan { again: None, ..plan }.event(Event::warning(
            reference(&seen.item),
            "OwnerRefInvalidNamespace",
            format!(
                "ownerRef [{}/{}, namespace: , name: {}, uid: {}] does not exist in namespace \"\"",
                r.api_version, r.kind, r.name, r.uid
            ),
        )),
        None => plan,
    }
}

fn reference(e: &Entry) -> ObjectReference {
    ObjectReference {
        api_version: Some(e.object().api_version()),
        kind: Some(e.object().kind_name().to_owned()),
        name: Some(e.key.name.clone()),
        namespace: Some(e.key.namespace.clone()).filter(|n| !n.is_empty()),
        uid: Some(e.uid().to_owned()),
        ..ObjectReference::default()
    }
}

/// Whether the dependent holds up the foreground deletion of the owner with that uid.
fn blocks(dependent: &Entry, uid: &str) -> bool {
    dependent.meta().owner_references.iter().flatten().any(|r| r.uid == uid && r.block_owner_deletion == Some(true))
}

fn waits(e: &Entry) -> bool {
    e.meta().deletion_timestamp.is_some() && has_finalizer(e.meta(), FOREGROUND)
}

fn wait_for_dependents(seen: &Seen) -> Plan {
    let left = seen.dependents.iter().filter(|d| blocks(d, seen.item.uid())).count();
    let plan = Plan::because(format!("{left} dependents block its deletion"));
    if left > 0 { plan } else { plan.step(without_finalizer(&seen.item, FOREGROUND)) }
}

fn orphan_dependents(seen: &Seen) -> Plan {
    let uid = seen.item.uid();
    let steps = seen.dependents.iter().map(|d| without_owners(d, |u| u == uid).lenient()).collect();
    Plan::because("its dependents are let go")
        .wave(Pace::Parallel, steps)
        .step(without_finalizer(&seen.item, ORPHAN))
}

fn without_owners(e: &Entry, gone: impl Fn(&str) -> bool) -> Step {
    changed(e, |m| {
        let refs = m.owner_references.take().unwrap_or_default();
        m.owner_references = filled(refs.into_iter().filter(|r| !gone(&r.uid)).collect());
    })
}

fn unblock(e: &Entry) -> Step {
    changed(e, |m| {
        for r in m.owner_references.iter_mut().flatten() {
            r.block_owner_deletion = Some(false);
        }
    })
}

fn without_finalizer(e: &Entry, name: &str) -> Step {
    changed(e, |m| {
        let all = m.finalizers.take().unwrap_or_default();
        m.finalizers = filled(all.into_iter().filter(|f| f != name).collect());
    })
    .lenient()
}

fn changed(e: &Entry, change: impl FnOnce(&mut ObjectMeta)) -> Step {
    let mut meta = e.meta().clone();
    change(&mut meta);
    Step::patch_meta(e.object().resource(), &meta)
}
