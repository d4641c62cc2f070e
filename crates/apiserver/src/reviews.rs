//! Kinds that are answered and never stored: token and access reviews, token requests, component statuses.
//! Docs: "Authorization: Checking API access", "Managing Service Accounts".

mod access;
mod request;

use crate::authn;
use crate::body;
use crate::call::Call;
use crate::output;
use crate::respond::{Accept, Reply};
use crate::server::{Served, Shared};
use codec::table::Include;
use kinds::api::authentication::v1::{SelfSubjectReview, SelfSubjectReviewStatus, TokenReview, TokenReviewStatus, UserInfo};
use kinds::api::authorization::v1::{LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview};
use kinds::{ApiError, FieldErrors, Kind, Object, ObjectKey, Standing, Target};
use rules::User;
use rules::rbac;

pub use request::issue;
pub(crate) use request::token;

/// Whether the resource is one of these.
pub(crate) fn is_virtual(served: &Served) -> bool {
    served.kind.is_some_and(|k| k.info().standing == Standing::Virtual)
}

/// Answers a review.
pub(crate) async fn answer(mut call: Call, served: &Served) -> Result<Reply, ApiError> {
    let kind = served.kind.ok_or_else(ApiError::no_such_path)?;
    if kind == Kind::ComponentStatus {
        if !call.info.subresource.is_empty() {
            return Err(ApiError::no_such_path());
        }
        return component_statuses(&call);
    }
    if call.info.verb != "create" || !call.info.name.is_empty() {
        return Err(ApiError::method_not_supported(&served.resource, call.info.verb));
    }
    call.accept = Accept::negotiate_without_tables(call.request.headers(), call.info.flag("pretty"))?;
    let bytes = body::read(&mut call).await?;
    let json = body::to_json(call.request.headers(), bytes)?;
    let (mut object, warnings) = body::object(&call, served, &json)?;
    crate::resource::tell_posted(&call, &object);
    if let Object::Binding(b) = &object {
        let options = crate::resource::options(&call)?;
        if b.metadata.namespace.as_deref().is_some_and(|n| !n.is_empty() && n != call.info.namespace) {
            return Err(ApiError::bad_request("the namespace of the provided object does not match the namespace sent on the request"));
        }
        crate::resource::check_binding(b)?;
        let key = ObjectKey::new(call.info.namespace.clone(), b.metadata.name.clone().unwrap_or_default());
        call.shared.registry.bind(&call.caller, &key, b, &options).await?;
        let mut reply = output::object(&call, 201, &object)?;
        crate::respond::warn(&mut reply, &warnings);
        return Ok(reply);
    }
    let target = Target::new(kind, ObjectKey::new(call.info.namespace.clone(), String::new()));
    let dry_run = call.info.param("dryRun") == Some("All");
    let options = kinds::WriteOptions { dry_run, ..crate::resource::options(&call)? };
    call.shared.registry.own_posted(&call.caller, &options, "", &mut object);
    let object = call.shared.registry.admit_posted(&call.caller, &target, object, &options).await?;
    let done = review(&call, object).await?;
    let mut reply = output::object(&call, 201, &done)?;
    crate::respond::warn(&mut reply, &warnings);
    Ok(reply)
}

async fn review(call: &Call, object: Object) -> Result<Object, ApiError> {
    let user = &*call.caller.user;
    let shared = &*call.shared;
    Ok(match object {
        Object::SelfSubjectReview(r) => {
            let mut r = SelfSubjectReview::clone(&r);
            r.metadata.creation_timestamp = Some(kinds::Time(shared.registry.now()));
            r.status = Some(SelfSubjectReviewStatus { user_info: Some(info_of(user)) });
            r.into()
        }
        Object::TokenReview(r) => {
            let mut r = TokenReview::clone(&r);
            if r.spec.token.is_empty() {
                return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
            }
            r.status = Some(token_review(shared, &r).await);
            r.into()
        }
        Object::SubjectAccessReview(r) => {
            let mut r = SubjectAccessReview::clone(&r);
            r.status = Some(access::of_anyone(shared, &r.spec, FieldErrors::default()).await?);
            r.into()
        }
        Object::LocalSubjectAccessReview(r) => {
            let mut r = LocalSubjectAccessReview::clone(&r);
            let errors = access::check_local(&r.spec, &call.info.namespace);
            r.status = Some(access::of_anyone(shared, &r.spec, errors).await?);
            r.into()
        }
        Object::SelfSubjectAccessReview(r) => {
            let mut r = SelfSubjectAccessReview::clone(&r);
            r.status = Some(access::of_oneself(shared, user, &r.spec).await?);
            r.into()
        }
        Object::SelfSubjectRulesReview(r) => {
            let mut r = SelfSubjectRulesReview::clone(&r);
            let namespace = r.spec.namespace.clone().unwrap_or_default();
            if namespace.is_empty() {
                return Err(ApiError::bad_request("no namespace on request"));
            }
            let mut status = rbac::rules_for(&shared.registry.snapshot(), user, &namespace);
            if shared.authz.is_opaque() {
                status.incomplete = true;
                status.evaluation_error = Some("webhook authorizer does not support user rule resolution".to_owned());
            }
            // The question is not repeated.
            r.spec = Default::default();
            r.metadata.managed_fields = None;
            r.status = Some(status);
            r.into()
        }
        _ => return Err(ApiError::no_such_path()),
    })
}

fn info_of(user: &User) -> UserInfo {
    let text = |s: &str| (!s.is_empty()).then(|| s.to_owned());
    UserInfo {
        username: text(&user.name),
        uid: text(&user.uid),
        groups: (!user.groups.is_empty()).then(|| user.groups.clone()),
        extra: (!user.extra.is_empty()).then(|| user.extra.clone()),
    }
}

async fn token_review(shared: &Shared, r: &TokenReview) -> TokenReviewStatus {
    let token = r.spec.token.clone();
    let audiences = r.spec.audiences.clone().unwrap_or_default();
    let snapshot = shared.registry.snapshot();
    match shared.authn.token(&token, &audiences, &snapshot, shared.registry.now()).await {
        Ok(Some((mut user, audiences))) => {
            if !user.in_group(authn::AUTHENTICATED) {
                user.groups.push(authn::AUTHENTICATED.to_owned());
            }
            TokenReviewStatus {
                authenticated: Some(true),
                audiences: Some(audiences),
                user: Some(info_of(&user)),
                error: None,
            }
        }
        other => TokenReviewStatus {
            error: Some(other.err().unwrap_or_else(|| "invalid bearer token".to_owned())),
            user: Some(UserInfo::default()),
            ..TokenReviewStatus::default()
        },
    }
}

fn component_statuses(call: &Call) -> Result<Reply, ApiError> {
    let healthy = (call.shared.readiness)().is_ok();
    let one = |name: &str, message: &str| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "ComponentStatus", "metadata": { "name": name },
            "conditions": [{ "type": "Healthy", "status": if healthy { "True" } else { "False" }, "message": message }],
        })
    };
    let mut all = vec![one("controller-manager", "ok"), one("scheduler", "ok"), one("etcd-0", "ok")];
    if call.info.verb == "get" {
        all.retain(|c| c["metadata"]["name"] == call.info.name.as_str());
    }
    let found = all.first().ok_or_else(|| ApiError::not_found(&Kind::ComponentStatus.into(), &call.info.name))?;
    let mut reply = if call.accept.form == crate::respond::Form::Table {
        let include = Include::parse(call.info.param("includeObject").unwrap_or_default()).unwrap_or_default();
        let gvk = ("", "v1", "ComponentStatus");
        let table = codec::table::table(gvk, serde_json::json!({}), all.iter(), include, call.shared.registry.now());
        crate::respond::tree(200, &table, call.accept)
    } else if call.info.verb == "get" {
        crate::respond::tree(200, found, call.accept)
    } else {
        let list = serde_json::json!({ "kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": all });
        crate::respond::tree(200, &list, call.accept)
    };
    crate::respond::warn(&mut reply, &["v1 ComponentStatus is deprecated in v1.19+".to_owned()]);
    Ok(reply)
}
