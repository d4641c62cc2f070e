//! NodeRestriction of token requests: a kubelet asks only for tokens of pods that run on it, for audiences that their
//! volumes name. Docs: "NodeRestriction"; KEP-4412 (audiences).

use crate::context::{Ctx, Request};
use crate::rbac::{self, Attributes};
use crate::read::{items, s};
use kinds::Object;
use kinds::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Volume};
use kinds::api::storage::v1::CSIDriver;

/// The permission for other audiences; the audience stands where a resource does.
const VERB: &str = "request-serviceaccounts-token-audience";

/// Whether the node may have the token; the error says why not.
pub(super) fn check(ctx: &Ctx<'_>, me: &str, request: &Request, object: &Object) -> Result<(), String> {
    let Object::TokenRequest(asked) = object else { return Ok(()) };
    let none = Default::default();
    let spec = asked.spec.as_ref().unwrap_or(&none);
    let fits = spec.bound_object_ref.as_ref().filter(|r| s(&r.api_version) == "v1" && s(&r.kind) == "Pod" && !s(&r.name).is_empty());
    let Some(bound) = fits else { return Err("node requested token not bound to a pod".into()) };
    if s(&bound.uid).is_empty() {
        return Err("node requested token with a pod binding without a uid".into());
    }
    let name = s(&bound.name);
    let Some(pod) = ctx.snapshot.get::<Pod>(&request.namespace, name) else { return Err(format!("pods {name:?} not found")) };
    if s(&pod.metadata.uid) != s(&bound.uid) {
        let uid = s(&bound.uid);
        return Err(format!("the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"));
    }
    if pod.spec.as_ref().is_none_or(|p| s(&p.node_name) != me) {
        return Err("node requested token bound to a pod scheduled on a different node".into());
    }
    if !ctx.gates.on("ServiceAccountNodeAudienceRestriction") {
        return Ok(());
    }
    let audience = match spec.audiences.as_deref().unwrap_or_default() {
        [] => "",
        [one] => one,
        _ => return Err("node may only request 0 or 1 audiences".into()),
    };
    if names(ctx, pod, audience) || may(ctx, request, audience) {
        return Ok(());
    }
    Err(format!("audience {audience:?} not found in pod spec volume, {} is not authorized to request tokens for this audience", ctx.user.name))
}

fn may(ctx: &Ctx<'_>, request: &Request, audience: &str) -> bool {
    let asked = Attributes {
        verb: VERB.to_owned(),
        resource: audience.to_owned(),
        namespace: request.namespace.clone(),
        name: request.name.clone(),
        is_resource: true,
        ..Attributes::default()
    };
    rbac::authorize(ctx.snapshot, ctx.user, &asked).allowed
}

/// Whether a volume of the pod asks for tokens of that audience: projected ones, and those that storage drivers want.
fn names(ctx: &Ctx<'_>, pod: &Pod, audience: &str) -> bool {
    let volumes = pod.spec.as_ref().map(|p| items(&p.volumes)).unwrap_or_default();
    volumes.iter().any(|v| {
        let sources = v.projected.as_ref().map(|p| items(&p.sources)).unwrap_or_default();
        let projected = sources.iter().filter_map(|x| x.service_account_token.as_ref()).any(|t| s(&t.audience) == audience);
        projected || driver(ctx, pod, v).is_some_and(|d| wants(ctx, &d, audience))
    })
}

/// The storage driver behind a volume.
fn driver(ctx: &Ctx<'_>, pod: &Pod, v: &Volume) -> Option<String> {
    if let Some(csi) = &v.csi {
        return Some(csi.driver.clone());
    }
    let claim = match (&v.persistent_volume_claim, &v.ephemeral) {
        (Some(c), _) => c.claim_name.clone(),
        (_, Some(_)) => format!("{}-{}", s(&pod.metadata.name), v.name),
        _ => return None,
    };
    let claim = ctx.snapshot.get::<PersistentVolumeClaim>(s(&pod.metadata.namespace), &claim)?;
    let volume = ctx.snapshot.get::<PersistentVolume>("", s(&claim.spec.as_ref()?.volume_name))?;
    Some(volume.spec.as_ref()?.csi.as_ref()?.driver.clone())
}

fn wants(ctx: &Ctx<'_>, driver: &str, audience: &str) -> bool {
    let driver = ctx.snapshot.get::<CSIDriver>("", driver);
    driver.is_some_and(|d| items(&d.spec.token_requests).iter().any(|t| t.audience == audience))
}
