//! Kinds that are answered and never stored: token and access reviews, token requests, component statuses.
//! Docs: "Authorization: Checking API access", "Managing Service Accounts".

use crate::authn;
use crate::body;
use crate::handler::Call;
use crate::output;
use crate::respond::{Accept, Reply};
use crate::server::{Served, Shared};
use crate::tokens::{Bound, Claims, Kubernetes, Tokens, WARN_AFTER_S};
use codec::table::Include;
use jiff::{SignedDuration, Timestamp};
use kinds::api::authentication::v1::{
    SelfSubjectReview, SelfSubjectReviewStatus, TokenRequest, TokenRequestSpec, TokenRequestStatus, TokenReview, TokenReviewStatus,
    UserInfo,
};
use kinds::api::authorization::v1::{
    LocalSubjectAccessReview, NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview, SelfSubjectRulesReview,
    SubjectAccessReview, SubjectAccessReviewStatus,
};
use kinds::api::core::v1::{Node, Pod, Secret, ServiceAccount};
use kinds::{ApiError, FieldErrors, Kind, Object, ObjectKey, Path, Standing, Target, Time};
use rules::User;
use rules::rbac::{self, Attributes};

/// Shortest and longest lifetime of a requested token.
const TOKEN_LIFETIME_S: (i64, i64) = (600, 1 << 32);
/// Lifetime when none is asked for.
const TOKEN_DEFAULT_S: i64 = 3600;
/// The lifetime pods ask for, which is stretched to a year for clients that do not re-read their token.
const TOKEN_POD_S: i64 = 3607;
const TOKEN_STRETCHED_S: i64 = 365 * 24 * 3600;

/// Whether the resource is one of these.
pub(crate) fn is_virtual(served: &Served) -> bool {
    served.kind.is_some_and(|k| k.info().standing == Standing::Virtual)
}

/// Answers a review.
pub(crate) async fn answer(mut call: Call, served: &Served) -> Result<Reply, ApiError> {
    let kind = served.kind.ok_or_else(ApiError::no_such_path)?;
    if kind == Kind::ComponentStatus {
        return component_statuses(&call);
    }
    if call.info.verb != "create" || !call.info.name.is_empty() {
        return Err(ApiError::method_not_supported(&served.resource, call.info.verb));
    }
    call.accept = Accept::negotiate_without_tables(call.request.headers(), call.info.flag("pretty"))?;
    let bytes = body::read(&mut call).await?;
    let json = body::to_json(call.request.headers(), bytes)?;
    let (object, _) = body::object(&call, served, &json)?;
    if let Object::Binding(b) = &object {
        let key = ObjectKey::new(call.info.namespace.clone(), b.metadata.name.clone().unwrap_or_default());
        call.shared.registry.bind(&call.caller, &key, b, &kinds::WriteOptions::default()).await?;
        return output::object(&call, 201, &object);
    }
    let target = Target::new(kind, ObjectKey::new(call.info.namespace.clone(), String::new()));
    let dry_run = call.info.param("dryRun") == Some("All");
    let options = kinds::WriteOptions { dry_run, ..kinds::WriteOptions::default() };
    let object = call.shared.registry.admit_posted(&call.caller, &target, object, &options).await?;
    let done = review(&call, object).await?;
    output::object(&call, 201, &done)
}

async fn review(call: &Call, object: Object) -> Result<Object, ApiError> {
    let user = &*call.caller.user;
    let shared = &*call.shared;
    Ok(match object {
        Object::SelfSubjectReview(r) => {
            let mut r = SelfSubjectReview::clone(&r);
            r.status = Some(SelfSubjectReviewStatus { user_info: Some(info_of(user)) });
            r.into()
        }
        Object::TokenReview(r) => {
            let mut r = TokenReview::clone(&r);
            r.status = Some(token_review(shared, &r).await);
            r.into()
        }
        Object::SubjectAccessReview(r) => {
            let mut r = SubjectAccessReview::clone(&r);
            let asked = asked_user(&r.spec)?;
            let spec = (r.spec.resource_attributes.as_ref(), r.spec.non_resource_attributes.as_ref());
            r.status = Some(verdict(shared, &asked, spec).await?);
            r.into()
        }
        Object::LocalSubjectAccessReview(r) => {
            let mut r = LocalSubjectAccessReview::clone(&r);
            let namespace = r.spec.resource_attributes.as_ref().and_then(|a| a.namespace.clone()).unwrap_or_default();
            if namespace != call.info.namespace {
                let mut e = FieldErrors::default();
                e.invalid(&Path::new("spec.resourceAttributes.namespace"), namespace.as_str(), "must match metadata.namespace");
                return Err(ApiError::invalid("authorization.k8s.io", "LocalSubjectAccessReview", "", &e));
            }
            let asked = asked_user(&r.spec)?;
            let spec = (r.spec.resource_attributes.as_ref(), r.spec.non_resource_attributes.as_ref());
            r.status = Some(verdict(shared, &asked, spec).await?);
            r.into()
        }
        Object::SelfSubjectAccessReview(r) => {
            let mut r = SelfSubjectAccessReview::clone(&r);
            let spec = (r.spec.resource_attributes.as_ref(), r.spec.non_resource_attributes.as_ref());
            r.status = Some(verdict(shared, user, spec).await?);
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
            authenticated: Some(false),
            error: Some(other.err().unwrap_or_else(|| "invalid bearer token".to_owned())),
            user: Some(UserInfo::default()),
            ..TokenReviewStatus::default()
        },
    }
}

fn asked_user(spec: &kinds::api::authorization::v1::SubjectAccessReviewSpec) -> Result<User, ApiError> {
    let user = User {
        name: spec.user.clone().unwrap_or_default(),
        uid: spec.uid.clone().unwrap_or_default(),
        groups: spec.groups.clone().unwrap_or_default(),
        extra: spec.extra.clone().unwrap_or_default(),
    };
    if user.name.is_empty() && user.groups.is_empty() {
        let mut e = FieldErrors::default();
        e.invalid(&Path::new("spec.user"), "", "at least one of user or group must be specified");
        return Err(ApiError::invalid("authorization.k8s.io", "SubjectAccessReview", "", &e));
    }
    Ok(user)
}

type Spec<'a> = (Option<&'a ResourceAttributes>, Option<&'a NonResourceAttributes>);

async fn verdict(shared: &Shared, user: &User, spec: Spec<'_>) -> Result<SubjectAccessReviewStatus, ApiError> {
    let text = |s: &Option<String>| s.clone().unwrap_or_default();
    let attributes = match spec {
        (Some(r), None) => Attributes {
            verb: text(&r.verb),
            group: text(&r.group),
            version: text(&r.version),
            resource: text(&r.resource),
            subresource: text(&r.subresource),
            namespace: text(&r.namespace),
            name: text(&r.name),
            path: String::new(),
            is_resource: true,
        },
        (None, Some(n)) => Attributes { verb: text(&n.verb), path: text(&n.path), is_resource: false, ..Attributes::default() },
        _ => {
            let mut e = FieldErrors::default();
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            e.invalid(&Path::new("spec.resourceAttributes"), kinds::field::Bare("null".into()), detail);
            return Err(ApiError::invalid("authorization.k8s.io", "SubjectAccessReview", "", &e));
        }
    };
    let v = shared.authz.decide(&shared.registry.snapshot(), user, &attributes).await;
    Ok(SubjectAccessReviewStatus {
        allowed: v.allowed,
        reason: (!v.reason.is_empty()).then(|| v.reason.clone()),
        ..SubjectAccessReviewStatus::default()
    })
}

/// `serviceaccounts/token`.
pub(crate) fn token(call: &Call, key: &ObjectKey, request: &TokenRequest) -> Result<Reply, ApiError> {
    let request = call.shared.registry.issue_token(key, request)?;
    output::object(call, 201, &Object::from(request))
}

/// Signs what a token request asks for.
///
/// # Errors
/// `NotFound`, lifetimes out of bounds, objects that cannot be bound to.
pub fn issue(
    tokens: &Tokens,
    ids: &dyn base::Ids,
    now: Timestamp,
    snapshot: &cache::Snapshot,
    key: &ObjectKey,
    request: &TokenRequest,
) -> Result<TokenRequest, ApiError> {
    let account = snapshot.find::<ServiceAccount>(key);
    let account = account.ok_or_else(|| ApiError::not_found(&Kind::ServiceAccount.into(), &key.name))?;
    let mut request = request.clone();
    let mut spec = request.spec.take().unwrap_or_default();
    let asked = spec.audiences.take().filter(|a| !a.is_empty());
    let audiences = asked.unwrap_or_else(|| tokens.audiences().to_vec());
    spec.audiences = Some(audiences.clone());
    let seconds = lifetime(spec.expiration_seconds, key)?.min(tokens.options().longest_s.unwrap_or(i64::MAX));
    spec.expiration_seconds = Some(seconds);
    let mut bound = Kubernetes {
        namespace: key.namespace.clone(),
        serviceaccount: Bound { name: key.name.clone(), uid: account.metadata.uid.clone().unwrap_or_default() },
        ..Kubernetes::default()
    };
    bind_token(snapshot, key, &spec, &mut bound)?;
    let now = now.as_second();
    let in_cluster = audiences.iter().all(|a| tokens.audiences().contains(a));
    let mut expires = now + seconds;
    if tokens.options().extend && seconds == TOKEN_POD_S && bound.pod.is_some() && in_cluster {
        bound.warnafter = Some(now + WARN_AFTER_S);
        expires = now + tokens.options().longest_s.map_or(TOKEN_STRETCHED_S, |l| l.min(TOKEN_STRETCHED_S));
    }
    let claims = Claims {
        aud: audiences,
        exp: expires,
        iat: now,
        iss: tokens.issuer().to_owned(),
        jti: ids.uid(),
        sub: format!("system:serviceaccount:{}:{}", key.namespace, key.name),
        kubernetes: bound,
        nbf: now,
    };
    let token = tokens.sign(&claims).ok_or_else(|| ApiError::internal("failed to generate token"))?;
    let end = Timestamp::from_second(now).unwrap_or_default().checked_add(SignedDuration::from_secs(seconds));
    let expiration_timestamp = Time(end.map_err(ApiError::internal)?);
    request.status = Some(TokenRequestStatus { token: Some(token), expiration_timestamp: Some(expiration_timestamp) });
    request.spec = Some(spec);
    request.metadata.name = Some(key.name.clone());
    request.metadata.namespace = Some(key.namespace.clone());
    request.metadata.creation_timestamp = Some(Time(Timestamp::from_second(now).unwrap_or_default()));
    Ok(request)
}

fn lifetime(asked: Option<i64>, key: &ObjectKey) -> Result<i64, ApiError> {
    let seconds = asked.unwrap_or(TOKEN_DEFAULT_S);
    let (min, max) = TOKEN_LIFETIME_S;
    let mut e = FieldErrors::default();
    let path = Path::new("spec.expirationSeconds");
    if seconds < min {
        e.invalid(&path, seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > max {
        e.invalid(&path, seconds, "may not specify a duration larger than 2^32 seconds");
    }
    if e.is_empty() { Ok(seconds) } else { Err(ApiError::invalid("authentication.k8s.io", "TokenRequest", &key.name, &e)) }
}

fn bind_token(
    snapshot: &cache::Snapshot,
    key: &ObjectKey,
    spec: &TokenRequestSpec,
    bound: &mut Kubernetes,
) -> Result<(), ApiError> {
    let Some(r) = &spec.bound_object_ref else { return Ok(()) };
    let name = r.name.clone().unwrap_or_default();
    let (kind, uid) = match r.kind.as_deref() {
        Some("Pod") => (Kind::Pod, snapshot.get::<Pod>(&key.namespace, &name).and_then(|p| p.metadata.uid.clone())),
        Some("Secret") => (Kind::Secret, snapshot.get::<Secret>(&key.namespace, &name).and_then(|s| s.metadata.uid.clone())),
        Some("Node") => (Kind::Node, snapshot.get::<Node>("", &name).and_then(|n| n.metadata.uid.clone())),
        other => {
            let gv = r.api_version.clone().unwrap_or_default();
            let text = format!("cannot bind token for serviceaccount {:?} to object of type {gv}, Kind={}", key.name, other.unwrap_or_default());
            return Err(ApiError::bad_request(text));
        }
    };
    let uid = uid.ok_or_else(|| ApiError::not_found(&kind.into(), &name))?;
    if let Some(want) = r.uid.as_ref().filter(|u| !u.is_empty() && **u != uid) {
        let why = format!("the UID in the bound object reference ({want}) does not match the UID in record. The object might have been deleted and then recreated");
        return Err(ApiError::conflict(&kind.into(), &name, why));
    }
    let b = Some(Bound { name: name.clone(), uid });
    match kind {
        Kind::Pod => {
            let pod = snapshot.get::<Pod>(&key.namespace, &name);
            let spec = pod.and_then(|p| p.spec.as_ref());
            if spec.and_then(|s| s.service_account_name.as_deref()).unwrap_or_default() != key.name {
                return Err(ApiError::bad_request(format!("cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.", key.name)));
            }
            if let Some(node) = spec.and_then(|s| s.node_name.clone()).filter(|n| !n.is_empty()) {
                let uid = snapshot.get::<Node>("", &node).and_then(|n| n.metadata.uid.clone()).unwrap_or_default();
                bound.node = Some(Bound { name: node, uid });
            }
            bound.pod = b;
        }
        Kind::Secret => bound.secret = b,
        _ => bound.node = b,
    }
    Ok(())
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
