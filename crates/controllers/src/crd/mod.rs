//! CustomResourceDefinitions: their names are accepted, they are established, and what they define goes before they go.
//!
//! Docs: "Extend the Kubernetes API with CustomResourceDefinitions" (name conflicts, finalizers), KEP-1111 (protected groups).
//!
//! ```text
//!  names free in the group ──> NamesAccepted ──> Established (and stays so)
//!  deletionTimestamp ──> Terminating ──> delete the instances ──> Terminating=False ──> drop the cleanup finalizer
//! ```
//! Laws: 1. of two definitions with the same names in a group, the one that was accepted first keeps them. 2. What was
//! established stays established. 3. The finalizer goes only when the table of the resource is empty.

mod cleanup;
mod conditions;
mod naming;
#[cfg(test)]
mod tests;

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself};
use crate::plan::Plan;
use cache::{Change, Snapshot};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{Kind, Resource};
use std::sync::Arc;

/// The naming, establishing, approval and finalizing of definitions.
pub const CONTROLLER: Controller = Controller {
    name: "crd",
    account: "apiextensions-controller",
    component: "apiextensions-controller",
    watches: Watches::Everything,
    wakes,
    subjects: every::<CustomResourceDefinition>,
    plan,
};

/// A definition and what its decision depends on.
#[derive(Debug)]
pub struct Seen {
    pub definition: Arc<CustomResourceDefinition>,
    /// The other definitions of its group.
    pub others: Vec<Arc<CustomResourceDefinition>>,
    /// The instances that are still there; gathered only while the definition is going.
    pub instances: Vec<Arc<cache::Entry>>,
}

fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    if let Resource::Custom(r) = &change.resource {
        if change.new.is_some() {
            return Vec::new();
        }
        let name = format!("{}.{}", r.plural, r.group);
        return snapshot.get::<CustomResourceDefinition>("", &name).map(|d| Subject::of(&**d)).into_iter().collect();
    }
    let Some(own) = itself(change, Kind::CustomResourceDefinition) else { return Vec::new() };
    let group = change.new_as::<CustomResourceDefinition>().or(change.old_as()).map(|d| d.spec.group.clone());
    let same = |d: &&Arc<CustomResourceDefinition>| Some(&d.spec.group) == group.as_ref();
    // Names that came free may be what another definition of the group waits for.
    let waits = |d: &&Arc<CustomResourceDefinition>| !conditions::is_true(d, conditions::NAMES_ACCEPTED);
    let mut out = vec![own];
    out.extend(snapshot.list::<CustomResourceDefinition>("").filter(same).filter(waits).map(|d| Subject::of(&**d)));
    out.dedup();
    out
}

/// Gathers what is decided about; `None` when the definition is gone.
#[must_use]
pub fn observe(snapshot: &Snapshot, subject: &Subject) -> Option<Seen> {
    let definition = Arc::clone(snapshot.find::<CustomResourceDefinition>(&subject.key)?);
    let other = |d: &&Arc<CustomResourceDefinition>| {
        d.spec.group == definition.spec.group && d.metadata.name != definition.metadata.name
    };
    let others = snapshot.list::<CustomResourceDefinition>("").filter(other).cloned().collect();
    let going = definition.metadata.deletion_timestamp.is_some();
    let instances = if going { cleanup::instances(snapshot, &definition) } else { Vec::new() };
    Some(Seen { definition, others, instances })
}

/// What is to be done for one definition.
#[must_use]
pub fn decide(seen: &Seen, ctx: &Ctx) -> Plan {
    if seen.definition.metadata.deletion_timestamp.is_some() { cleanup::decide(seen, ctx) } else { naming::decide(seen, ctx) }
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    Some(decide(&observe(snapshot, subject)?, ctx))
}
