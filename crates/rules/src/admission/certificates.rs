//! CertificateApproval, CertificateSigning and CertificateSubjectRestriction, and who a request is from.
//!
//! Docs: "Certificates and Certificate Signing Requests".

use super::forbidden;
use crate::context::{Ctx, Operation, Request};
use crate::rbac::{Attributes, authorize};
use kinds::api::certificates::v1::CertificateSigningRequest;
use kinds::{ApiError, Object};
use std::sync::Arc;

/// Writes down who asks for a certificate.
pub(super) fn requester(ctx: &Ctx<'_>, request: &Request, object: &mut Object, _: Option<&Object>) -> Result<(), ApiError> {
    let Object::CertificateSigningRequest(c) = object else { return Ok(()) };
    if request.operation != Operation::Create {
        return Ok(());
    }
    let spec = &mut Arc::make_mut(c).spec;
    let some = |t: &str| Some(t.to_owned()).filter(|t| !t.is_empty());
    spec.username = some(&ctx.user.name);
    spec.uid = some(&ctx.user.uid);
    spec.groups = Some(ctx.user.groups.clone()).filter(|g| !g.is_empty());
    spec.extra = Some(ctx.user.extra.clone()).filter(|x| !x.is_empty());
    Ok(())
}

/// Whether the user has a verb on a signer, by its name or by its whole domain.
fn on_signer(ctx: &Ctx<'_>, verb: &str, signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or(signer);
    [signer.to_owned(), format!("{domain}/*")].into_iter().any(|name| {
        let asked = Attributes {
            verb: verb.into(),
            group: "certificates.k8s.io".into(),
            resource: "signers".into(),
            name,
            is_resource: true,
            ..Attributes::default()
        };
        authorize(ctx.snapshot, ctx.user, &asked).allowed
    })
}

/// Approving needs `approve` on the signer, signing needs `sign`.
pub(super) fn on_behalf_of_signer(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Result<(), ApiError> {
    let (Object::CertificateSigningRequest(new), Some(Object::CertificateSigningRequest(old))) = (object, old) else {
        return Ok(());
    };
    let verb = match request.subresource {
        "approval" => "approve",
        "status" if signs(new, old) => "sign",
        _ => return Ok(()),
    };
    let signer = &old.spec.signer_name;
    if request.operation != Operation::Update || on_signer(ctx, verb, signer) {
        return Ok(());
    }
    Err(forbidden(request, object, format!("user not permitted to {verb} requests with signerName {signer:?}")))
}

/// Whether a status update issues a certificate or says that it failed.
fn signs(new: &CertificateSigningRequest, old: &CertificateSigningRequest) -> bool {
    let status = |c: &CertificateSigningRequest| c.status.clone().unwrap_or_default();
    let (new, old) = (status(new), status(old));
    let failed = |l: &Option<Vec<kinds::api::certificates::v1::CertificateSigningRequestCondition>>| {
        l.iter().flatten().any(|c| c.type_ == "Failed")
    };
    new.certificate != old.certificate || failed(&new.conditions) != failed(&old.conditions)
}

/// The signer of client certificates never signs for `system:masters`.
pub(super) fn subject(_: &Ctx<'_>, request: &Request, object: &Object, _: Option<&Object>) -> Result<(), ApiError> {
    let Object::CertificateSigningRequest(c) = object else { return Ok(()) };
    if request.operation != Operation::Create || c.spec.signer_name != "kubernetes.io/kube-apiserver-client" {
        return Ok(());
    }
    if crate::pem::organizations(&c.spec.request.0).iter().any(|o| o == "system:masters") {
        let why = "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed";
        return Err(forbidden(request, object, why));
    }
    Ok(())
}
