//! Removes requests that nobody needs any more: signed or decided for an hour, pending for a day, expired.

use super::{certificate, condition};
use crate::controller::{Controller, Ctx, Subject, Watches, every, itself};
use crate::plan::{Plan, Step};
use cache::{Change, Snapshot};
use jiff::Timestamp;
use kinds::Kind;
use kinds::api::certificates::v1::CertificateSigningRequest;
use std::time::Duration;

const DECIDED_FOR: Duration = Duration::from_secs(3600);
const PENDING_FOR: Duration = Duration::from_secs(24 * 3600);

/// The cleaner.
pub const CONTROLLER: Controller = Controller {
    name: "csrcleaner",
    account: "certificate-controller",
    component: "certificate-controller",
    watches: Watches::Kinds(&[Kind::CertificateSigningRequest]),
    wakes: |change: &Change, _| itself(change, Kind::CertificateSigningRequest).into_iter().collect(),
    subjects: every::<CertificateSigningRequest>,
    plan: |s: &Snapshot, subject: &Subject, ctx| Some(decide(s.find::<CertificateSigningRequest>(&subject.key)?, ctx)),
};

/// What is to be done for one request.
#[must_use]
pub(super) fn decide(c: &CertificateSigningRequest, ctx: &Ctx) -> Plan {
    let ends = certificate(c).and_then(|pem| ctx.config.issuer.as_deref()?.ends(pem));
    let goes = [("its certificate has expired", ends), ("nobody needs it any more", forgotten(c))];
    for (why, at) in goes {
        if at.is_some_and(|at| at <= ctx.now) {
            return Plan::because(why).step(Step::delete_typed(c));
        }
    }
    let next = goes.iter().filter_map(|(_, at)| *at).min();
    let wait = next.and_then(|at| Duration::try_from(at.duration_since(ctx.now)).ok());
    Plan::because("it is young").again(wait)
}

/// When a request has been left alone for long enough.
fn forgotten(c: &CertificateSigningRequest) -> Option<Timestamp> {
    let decided = ["Approved", "Denied", "Failed"].iter().find_map(|kind| {
        let condition = condition(c, kind)?;
        let waits = *kind == "Approved" && certificate(c).is_none() && condition_is_only(c);
        (!waits).then(|| condition.last_update_time.as_ref().map(|t| (t.0, DECIDED_FOR)))?
    });
    let (from, rest) = decided.or_else(|| Some((c.metadata.creation_timestamp.as_ref()?.0, PENDING_FOR)))?;
    from.checked_add(rest).ok()
}

/// Approved and nothing else: its signer may still come.
fn condition_is_only(c: &CertificateSigningRequest) -> bool {
    condition(c, "Denied").is_none() && condition(c, "Failed").is_none()
}
