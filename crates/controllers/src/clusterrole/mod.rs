//! ClusterRole aggregation: a role with an aggregation rule carries the rules of all roles that it selects.
//!
//! Docs: "Using RBAC Authorization: aggregated ClusterRoles".
//!
//! Laws: 1. rules come in the order of the selectors, then of the roles' names, each once. 2. A role does not select
//! itself.

use crate::controller::{Controller, Ctx, Subject, Watches};
use crate::plan::{Plan, Step};
use cache::{Change, Snapshot};
use kinds::api::rbac::v1::{ClusterRole, PolicyRule};
use kinds::{Kind, ObjectKey, Selector};
use std::sync::Arc;

/// The ClusterRole aggregation controller.
pub const CONTROLLER: Controller = Controller {
    name: "ClusterRoleAggregator",
    account: "clusterrole-aggregation-controller",
    component: "clusterrole-aggregation-controller",
    watches: Watches::Kinds(&[Kind::ClusterRole]),
    wakes,
    subjects: aggregating,
    plan,
};

fn aggregating(snapshot: &Snapshot) -> Vec<Subject> {
    let roles = snapshot.list::<ClusterRole>("").filter(|r| r.aggregation_rule.is_some());
    roles.map(|r| Subject::of(&**r)).collect()
}

fn wakes(_: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    aggregating(snapshot)
}

/// An aggregating role and the roles that it selects, in order.
#[derive(Debug)]
pub struct Seen {
    pub role: Arc<ClusterRole>,
    pub parts: Vec<Arc<ClusterRole>>,
}

/// Gathers it; `None` when the role is gone or does not aggregate.
pub fn observe(snapshot: &Snapshot, key: &ObjectKey) -> Option<Seen> {
    let role = snapshot.find::<ClusterRole>(key)?;
    let selectors = role.aggregation_rule.as_ref()?.cluster_role_selectors.clone().unwrap_or_default();
    let mut parts = Vec::new();
    for s in &selectors {
        let selector = Selector::from_label_selector(Some(s));
        let chosen = |r: &&Arc<ClusterRole>| {
            selector.matches(r.metadata.labels.as_ref()) && r.metadata.name != role.metadata.name
        };
        parts.extend(snapshot.list::<ClusterRole>("").filter(chosen).cloned());
    }
    Some(Seen { role: Arc::clone(role), parts })
}

fn plan(snapshot: &Snapshot, subject: &Subject, _: &Ctx) -> Option<Plan> {
    Some(decide(&observe(snapshot, &subject.key)?))
}

/// What is to be done for one role.
#[must_use]
pub fn decide(seen: &Seen) -> Plan {
    let mut rules: Vec<PolicyRule> = Vec::new();
    for rule in seen.parts.iter().flat_map(|r| r.rules.iter().flatten()) {
        if !rules.contains(rule) {
            rules.push(rule.clone());
        }
    }
    if seen.role.rules.clone().unwrap_or_default() == rules {
        return Plan::because("the rules are right");
    }
    let role = ClusterRole { rules: crate::numbers::filled(rules), ..ClusterRole::clone(&seen.role) };
    Plan::because("selected rules changed").step(Step::update(role))
}
