//! Deployment: rolls ReplicaSets so that pods of the newest template replace the older ones at a bounded pace.
//!
//! Docs: "Deployments"; KEP-3973 (terminating replicas).
//!
//! ```text
//!  deployment ── template ──> the new ReplicaSet (found by equal template, else created as name-hash)
//!      │                        ▲ grows to replicas + maxSurge in all
//!      └── older ReplicaSets ── ▼ shrink while replicas - maxUnavailable stay available; kept for rollback
//! ```
//! Laws: 1. one stage a round: claim, align the new set, grow, shrink, clean up; each write wakes the next round.
//! 2. A paused deployment scales but does not roll. 3. Revisions only grow. 4. A set with pods is never cleaned up.
//! 5. When nothing differs nothing is written.

mod condition;
mod decide;
mod observe;
mod revision;
mod rolling;
mod scale;
mod status;
#[cfg(test)]
mod tests;

pub use decide::decide;
pub use observe::{Seen, observe};

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself, managing};
use crate::plan::Plan;
use cache::{Change, Snapshot};
use kinds::api::apps::v1::{Deployment, ReplicaSet};
use kinds::api::core::v1::Pod;
use kinds::owner::controller_of;
use kinds::{Kind, Selector};

/// The Deployment controller.
pub const CONTROLLER: Controller = Controller {
    name: "deployment",
    account: "deployment-controller",
    component: "deployment-controller",
    watches: Watches::Kinds(&[Kind::Deployment, Kind::ReplicaSet, Kind::Pod]),
    wakes,
    subjects: every::<Deployment>,
    plan,
};

fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    if let Some(s) = itself(change, Kind::Deployment) {
        return vec![s];
    }
    if change.resource == Kind::Pod.into() {
        return pod_gone(change, snapshot);
    }
    let mut out = managing(change, Kind::Deployment);
    if let Some(set) = change.new_as::<ReplicaSet>().filter(|s| controller_of(&s.metadata).is_none()) {
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        let selecting = snapshot.list::<Deployment>(namespace).filter(|d| {
            let selector = d.spec.as_ref().map(|s| &s.selector);
            Selector::from_label_selector(selector).matches(set.metadata.labels.as_ref())
        });
        out.extend(selecting.map(|d| Subject::of(&**d)));
    }
    out
}

/// Only `Recreate` looks at pods: it waits until the old ones are gone or over.
fn pod_gone(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    let over = change.new_as::<Pod>().is_none_or(|p| kinds::pod::is_terminal(p));
    let Some(owner) = change.old.as_ref().filter(|_| over).and_then(|e| controller_of(e.meta())) else {
        return Vec::new();
    };
    let set = snapshot.get::<ReplicaSet>(&change.key().namespace, &owner.name);
    let Some(owner) = set.and_then(|s| controller_of(&s.metadata)) else { return Vec::new() };
    let deployment = snapshot.get::<Deployment>(&change.key().namespace, &owner.name);
    let recreates = deployment.is_some_and(|d| observe::recreates(d));
    recreates.then(|| Subject::named(Kind::Deployment, change.key().namespace.clone(), owner.name.clone())).into_iter().collect()
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    Some(decide(&observe(snapshot, &subject.key)?, ctx))
}
