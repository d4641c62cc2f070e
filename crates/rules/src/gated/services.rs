//! Leases and ranges of addresses. KEP-4355 (coordinated leader election), KEP-1880 (ranges).

use super::Part;
use crate::Gates;
use kinds::Object;
use kinds::api::coordination::v1::{Lease, LeaseSpec};
use kinds::api::networking::v1::ServiceCIDRStatus;
use std::sync::Arc;

fn spec(l: &Lease, has: impl Fn(&LeaseSpec) -> bool) -> bool {
    l.spec.as_ref().is_some_and(has)
}

pub(super) const LEASE: &[Part<Lease>] = &[
    Part::new(
        &["CoordinatedLeaderElection"],
        |l| spec(l, |s| s.strategy.is_some()),
        |l| l.spec.iter_mut().for_each(|s| s.strategy = None),
    ),
    Part::new(
        &["CoordinatedLeaderElection"],
        |l| spec(l, |s| s.preferred_holder.is_some()),
        |l| l.spec.iter_mut().for_each(|s| s.preferred_holder = None),
    ),
];

/// The status that a writer of a range gives, where it is not kept from writing one.
pub(super) fn kept(gates: &Gates, object: &Object) -> Option<Option<ServiceCIDRStatus>> {
    match object {
        Object::ServiceCIDR(range) if !gates.on("ServiceCIDRStatusFieldWiping") => Some(range.status.clone()),
        _ => None,
    }
}

/// Puts that status back.
pub(super) fn keep(object: &mut Object, kept: Option<Option<ServiceCIDRStatus>>) {
    if let (Object::ServiceCIDR(range), Some(status)) = (object, kept) {
        Arc::make_mut(range).status = status;
    }
}
