//! ServiceCIDRs: ready once they hold a finalizer, and gone only when no service's address needs them.
//! Docs: "Extend Service IP Ranges"; KEP-1880.
//!
//! ```text
//!  new ──> finalizer ──> Ready=True
//!  deletionTimestamp ──> addresses that no other range holds? ── yes ──> Ready=False (Terminating), and waits
//!                                                             └─ no ───> after a while: drop the finalizer
//! ```
//! Laws: 1. a range whose addresses are in use and lie in no other living range keeps its finalizer. 2. What is ready is not
//! written again.

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself};
use crate::garbage::has_finalizer;
use crate::plan::{Plan, Step};
use cache::{Change, Snapshot};
use ipnet::IpNet;
use jiff::SignedDuration;
use kinds::Kind;
use kinds::api::networking::v1::{IPAddress, ServiceCIDR};
use kinds::apimachinery::pkg::apis::meta::v1::Condition;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
mod tests;

const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
const READY: &str = "Ready";
/// Other servers may still give out addresses of a range for so long after its deletion has begun.
const GRACE: Duration = Duration::from_secs(10);
const IN_USE: &str = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";

/// The controller of service ranges.
pub const CONTROLLER: Controller = Controller {
    name: "service-cidr-controller",
    account: "service-cidrs-controller",
    component: "service-cidr-controller",
    watches: Watches::Kinds(&[Kind::ServiceCIDR, Kind::IPAddress]),
    wakes,
    subjects: every::<ServiceCIDR>,
    plan,
};

fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    let own = itself(change, Kind::ServiceCIDR);
    // Addresses and other ranges matter to those that wait to go.
    let going = snapshot.list::<ServiceCIDR>("").filter(|c| c.metadata.deletion_timestamp.is_some()).map(|c| Subject::of(&**c));
    let mut all: Vec<Subject> = own.into_iter().chain(going).collect();
    all.dedup();
    all
}

fn nets(cidr: &ServiceCIDR) -> Vec<IpNet> {
    cidr.spec.iter().flat_map(|s| s.cidrs.iter().flatten()).filter_map(|n| n.parse().ok()).collect()
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    let cidr = snapshot.find::<ServiceCIDR>(&subject.key)?;
    if cidr.metadata.deletion_timestamp.is_none() {
        return Some(keep(cidr, ctx));
    }
    Some(release(cidr, is_needed(snapshot, cidr), ctx))
}

/// Whether an address of the range lies in no other range that stays.
fn is_needed(snapshot: &Snapshot, cidr: &ServiceCIDR) -> bool {
    let own = nets(cidr);
    let stays = |c: &&Arc<ServiceCIDR>| c.metadata.deletion_timestamp.is_none() && c.metadata.name != cidr.metadata.name;
    let others: Vec<IpNet> = snapshot.list::<ServiceCIDR>("").filter(stays).flat_map(|c| nets(c)).collect();
    let used = snapshot.list::<IPAddress>("").filter_map(|a| a.metadata.name.as_ref()?.parse::<IpAddr>().ok());
    used.filter(|ip| own.iter().any(|n| n.contains(ip))).any(|ip| !others.iter().any(|n| n.contains(&ip)))
}

fn keep(cidr: &ServiceCIDR, ctx: &Ctx) -> Plan {
    if !has_finalizer(&cidr.metadata, FINALIZER) {
        let mut meta = cidr.metadata.clone();
        meta.finalizers.get_or_insert_default().push(FINALIZER.to_owned());
        return Plan::because("it must not go while its addresses are in use").step(Step::patch_meta(Kind::ServiceCIDR, &meta));
    }
    match with_ready(cidr, ("True", "", "Kubernetes Service CIDR is ready"), ctx) {
        Some(next) => Plan::because("addresses may be taken out of it").step(Step::update_status(next)),
        None => Plan::because("it is ready"),
    }
}

fn release(cidr: &ServiceCIDR, needed: bool, ctx: &Ctx) -> Plan {
    if !has_finalizer(&cidr.metadata, FINALIZER) {
        return Plan::because("others hold it");
    }
    if needed {
        return match with_ready(cidr, ("False", "Terminating", IN_USE), ctx) {
            Some(next) => Plan::because("addresses need it").step(Step::update_status(next)),
            None => Plan::because("addresses need it, as its status says"),
        };
    }
    let since = cidr.metadata.deletion_timestamp.as_ref().map_or(SignedDuration::MAX, |t| ctx.now.duration_since(t.0));
    let left = SignedDuration::try_from(GRACE).unwrap_or_default() - since.min(SignedDuration::from_hours(1));
    if left > SignedDuration::ZERO {
        return Plan::because("others may still take addresses out of it").again(Duration::try_from(left).ok());
    }
    let mut meta = cidr.metadata.clone();
    let rest: Vec<String> = meta.finalizers.take().unwrap_or_default().into_iter().filter(|f| f != FINALIZER).collect();
    meta.finalizers = crate::numbers::filled(rest);
    Plan::because("no address needs it").step(Step::patch_meta(Kind::ServiceCIDR, &meta))
}

/// The range with that condition; `None` when it says so already.
fn with_ready(cidr: &ServiceCIDR, (status, reason, message): (&str, &str, &str), ctx: &Ctx) -> Option<ServiceCIDR> {
    let mut next = cidr.clone();
    let conditions = next.status.get_or_insert_default().conditions.get_or_insert_default();
    let before = conditions.iter().position(|c| c.type_ == READY);
    if before.is_some_and(|i| conditions[i].status == status && conditions[i].reason == reason) {
        return None;
    }
    let since = before.filter(|i| conditions[*i].status == status).map(|i| conditions[i].last_transition_time.clone());
    let condition = Condition {
        type_: READY.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: since.unwrap_or_else(|| ctx.time()),
        observed_generation: None,
    };
    match before {
        Some(i) => conditions[i] = condition,
        None => conditions.push(condition),
    }
    Some(next)
}
