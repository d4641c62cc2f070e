//! ResourceQuota status: what of each quota is used. Admission refuses by the same count.
//!
//! Docs: "Resource Quotas".

#[cfg(test)]
mod tests;

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself};
use crate::plan::{Plan, Step};
use cache::{Change, Entry, Snapshot};
use kinds::api::core::v1::{Pod, ResourceQuota, ResourceQuotaStatus};
use kinds::pod::Amounts;
use kinds::{Kind, Quantity};

/// The resource quota controller.
pub const CONTROLLER: Controller = Controller {
    name: "resourcequota_primary",
    account: "resourcequota-controller",
    component: "resourcequota-controller",
    watches: Watches::Everything,
    wakes,
    subjects: every::<ResourceQuota>,
    plan,
};

fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    if let Some(s) = itself(change, Kind::ResourceQuota) {
        return vec![s];
    }
    let namespace = &change.key().namespace;
    let quotas = || snapshot.list::<ResourceQuota>(namespace);
    if namespace.is_empty() || quotas().next().is_none() || !changes_use(change) {
        return Vec::new();
    }
    quotas().map(|q| Subject::of(&**q)).collect()
}

/// Use changes when objects come and go, when a spec changes, when a pod ends, and when it is resized.
fn changes_use(change: &Change) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return true };
    let over = |e: &Entry| e.object().typed::<Pod>().is_some_and(|p| kinds::pod::is_terminal(p));
    let held = |e: &Entry| e.object().typed::<Pod>().map(|p| (kinds::pod::held_requests(p), kinds::pod::held_limits(p)));
    let always = matches!(new.object().kind(), Some(Kind::Service | Kind::PersistentVolumeClaim));
    always || over(old) != over(new) || held(old) != held(new) || old.meta().generation != new.meta().generation
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    let quota = snapshot.find::<ResourceQuota>(&subject.key)?;
    let used = (ctx.config.quota_used)(snapshot, &subject.key.namespace, quota.spec.as_ref()?, ctx.now);
    Some(decide(quota, &used))
}

/// What is to be done for one quota.
#[must_use]
pub fn decide(quota: &ResourceQuota, used: &Amounts) -> Plan {
    let hard = quota.spec.as_ref().and_then(|s| s.hard.clone()).unwrap_or_default();
    let of = |k: &String| used.get(k).copied().unwrap_or_else(Quantity::default).text();
    let used = hard.keys().map(|k| (k.clone(), of(k))).collect();
    let status = ResourceQuotaStatus { hard: Some(hard), used: Some(used) };
    if quota.status.as_ref() == Some(&status) {
        return Plan::because("the use is right");
    }
    let next = ResourceQuota { status: Some(status), ..quota.clone() };
    Plan::because("the use changed").status(Some(Step::update_status(next)))
}
