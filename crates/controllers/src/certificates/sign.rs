//! Signs approved requests of the four built-in signers.

use super::{Asked, CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY, certificate, condition, kubelet_client, kubelet_serving, with};
use crate::controller::{Controller, Ctx, Subject, Watches, every, itself};
use crate::plan::{Plan, Step};
use cache::{Change, Snapshot};
use kinds::api::certificates::v1::CertificateSigningRequest;
use kinds::{ByteString, Kind};
use std::time::Duration;

/// `--cluster-signing-duration`.
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// No certificate lives shorter.
const LIFETIME_MIN: Duration = Duration::from_secs(600);

/// The signer.
pub const CONTROLLER: Controller = Controller {
    name: "csrsigning",
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
    let open = certificate(c).is_none() && condition(c, "Denied").is_none() && condition(c, "Failed").is_none();
    if !open || condition(c, "Approved").is_none() {
        return Plan::because("it is not approved, or it is done");
    }
    let ours = [CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY].contains(&c.spec.signer_name.as_str());
    let Some(issuer) = ctx.config.issuer.as_deref().filter(|_| ours) else { return Plan::because("it is not ours to sign") };
    let fail = |why: &str| {
        let next = with(c, "Failed", "SignerValidationFailure", why, ctx.time());
        Plan::because("it is not what its signer signs").step(Step::update_status(next))
    };
    let Some(asked) = issuer.read(&c.spec.request.0) else { return fail("unable to parse csr") };
    let usages = c.spec.usages.clone().unwrap_or_default();
    if let Err(why) = permitted(c, &asked, &usages) {
        return fail(why);
    }
    let asked_for = c.spec.expiration_seconds.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs);
    let lifetime = asked_for.map_or(LIFETIME, |d| d.clamp(LIFETIME_MIN, LIFETIME));
    match issuer.sign(&c.spec.request.0, &usages, lifetime, ctx.now) {
        Ok(pem) => {
            let mut next = c.clone();
            next.status.get_or_insert_default().certificate = Some(ByteString(pem.into_bytes()));
            Plan::because("it is approved").step(Step::update_status(next))
        }
        Err(why) => fail(&why),
    }
}

fn permitted(c: &CertificateSigningRequest, asked: &Asked, usages: &[String]) -> Result<(), &'static str> {
    match c.spec.signer_name.as_str() {
        CLIENT => {
            let known = ["key encipherment", "digital signature", "client auth"];
            if !usages.iter().any(|u| u == "client auth") || usages.iter().any(|u| !known.contains(&u.as_str())) {
                return Err("invalid usage for client certificate");
            }
            Ok(())
        }
        KUBELET_CLIENT => kubelet_client(asked, usages),
        KUBELET_SERVING => {
            kubelet_serving(asked, usages)?;
            let own = c.spec.username.as_deref() == Some(asked.common_name.as_str());
            if own { Ok(()) } else { Err("requested subject common name does not match the requesting user") }
        }
        _ => Ok(()),
    }
}
