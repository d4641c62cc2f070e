//! Approves kubelets' client certificates: for new nodes that RBAC lets in, and for nodes that renew their own.

use super::{KUBELET_CLIENT, certificate, conditions, kubelet_client, with};
use crate::controller::{Controller, Ctx, Subject, Watches, every, itself};
use crate::plan::{Plan, Step};
use cache::{Change, Snapshot};
use kinds::Kind;
use kinds::api::certificates::v1::CertificateSigningRequest;

/// The approver.
pub const CONTROLLER: Controller = Controller {
    name: "csrapproving",
    account: "certificate-controller",
    component: "certificate-controller",
    watches: Watches::Kinds(&[Kind::CertificateSigningRequest]),
    wakes: |change: &Change, _| itself(change, Kind::CertificateSigningRequest).into_iter().collect(),
    subjects: every::<CertificateSigningRequest>,
    plan: |s: &Snapshot, subject: &Subject, ctx| Some(decide(s, s.find::<CertificateSigningRequest>(&subject.key)?, ctx)),
};

/// What is to be done for one request.
#[must_use]
pub(super) fn decide(snapshot: &Snapshot, c: &CertificateSigningRequest, ctx: &Ctx) -> Plan {
    if certificate(c).is_some() || !conditions(c).is_empty() {
        return Plan::because("it is decided");
    }
    let Some(issuer) = ctx.config.issuer.as_deref().filter(|_| c.spec.signer_name == KUBELET_CLIENT) else {
        return Plan::because("it is not ours to approve");
    };
    let Some(asked) = issuer.read(&c.spec.request.0) else { return Plan::because("it is no request") };
    if kubelet_client(&asked, c.spec.usages.as_deref().unwrap_or_default()).is_err() {
        return Plan::because("it is not what a kubelet asks for");
    }
    let own = c.spec.username.as_deref() == Some(asked.common_name.as_str());
    let ways = [
        (own, "selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."),
        (true, "nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."),
    ];
    for (fits, permission, message) in ways {
        if fits && (ctx.config.may_request)(snapshot, &c.spec, permission) {
            let next = with(c, "Approved", "AutoApproved", message, ctx.time());
            return Plan::because("a node asks for its client certificate").step(Step::update_sub(next, "approval"));
        }
    }
    Plan::because("the requester may not have itself approved")
}
