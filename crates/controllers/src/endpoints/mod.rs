//! Endpoints: the older picture of what stands behind a Service, one object a service.
//!
//! Docs: "Service: Endpoints (deprecated)", "over-capacity endpoints".
//!
//! Laws: 1. one subset a set of resolved ports; addresses in order. 2. At most a thousand addresses, ready ones first,
//! and then an annotation says so. 3. The object goes with its service.

mod decide;
#[cfg(test)]
mod tests;

pub use decide::{Seen, decide, observe};

use crate::controller::{Controller, Ctx, Subject, Watches, itself};
use crate::endpointslice::{selecting, services_of};
use crate::plan::Plan;
use cache::{Change, Snapshot};
use kinds::api::core::v1::{Endpoints, Service};
use kinds::{Kind, ObjectKey};

/// The Endpoints controller.
pub const CONTROLLER: Controller = Controller {
    name: "endpoint",
    account: "endpoint-controller",
    component: "endpoint-controller",
    watches: Watches::Kinds(&[Kind::Service, Kind::Pod, Kind::Endpoints]),
    wakes,
    subjects,
    plan,
};

/// Services with a selector, and services that are gone and left their object behind.
fn subjects(snapshot: &Snapshot) -> Vec<Subject> {
    let left = |e: &&std::sync::Arc<Endpoints>| snapshot.find::<Service>(&ObjectKey::of(&e.metadata)).is_none();
    let orphans = snapshot.list::<Endpoints>("").filter(left).map(|e| Subject::new(Kind::Service, ObjectKey::of(&e.metadata)));
    selecting(snapshot).into_iter().chain(orphans).collect()
}

fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    match change.resource.builtin() {
        Some(Kind::Service) => itself(change, Kind::Service).into_iter().collect(),
        Some(Kind::Endpoints) => vec![Subject::new(Kind::Service, change.key().clone())],
        _ => services_of(change, snapshot),
    }
}

fn plan(snapshot: &Snapshot, subject: &Subject, _: &Ctx) -> Option<Plan> {
    Some(decide(&observe(snapshot, &subject.key)?))
}
