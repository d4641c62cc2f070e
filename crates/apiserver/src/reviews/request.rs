//! `serviceaccounts/token`: tokens for accounts, bound to pods, secrets or nodes.
//! Docs: "Managing Service Accounts: bound service account tokens"; KEP-1205, KEP-4193.

use crate::call::Call;
use crate::output;
use crate::respond::{self, Reply};
use crate::tokens::{Bound, Claims, Kubernetes, Tokens, WARN_AFTER_S};
use jiff::{SignedDuration, Timestamp};
use kinds::api::authentication::v1::{TokenRequest, TokenRequestSpec, TokenRequestStatus};
use kinds::api::core::v1::{Node, Pod, Secret, ServiceAccount};
use kinds::error::Details;
use kinds::{ApiError, FieldErrors, Kind, Object, ObjectKey, Path, Time};

/// Shortest and longest lifetime of a requested token.
const TOKEN_LIFETIME_S: (i64, i64) = (600, 1 << 32);
/// Lifetime when none is asked for.
const TOKEN_DEFAULT_S: i64 = 3600;
/// The lifetime pods ask for, which is stretched to a year for clients that do not re-read their token.
const TOKEN_POD_S: i64 = 3607;
const TOKEN_STRETCHED_S: i64 = 365 * 24 * 3600;

/// `serviceaccounts/token`.
pub(crate) fn token(call: &Call, key: &ObjectKey, request: &TokenRequest) -> Result<Reply, ApiError> {
    let asked = request.spec.as_ref().and_then(|s| s.expiration_seconds);
    let request = call.shared.registry.issue_token(key, request)?;
    let given = request.spec.as_ref().and_then(|s| s.expiration_seconds);
    let token = request.status.as_ref().and_then(|s| s.token.as_deref());
    if let (Some(trail), Some(id)) = (&call.trail, token.and_then(crate::tokens::id_of)) {
        trail.annotate("authentication.kubernetes.io/issued-credential-id", &format!("JTI={id}"));
    }
    let mut reply = output::object(call, 201, &Object::from(request))?;
    if let (Some(asked), Some(given)) = (asked, given) {
        if given < asked {
            respond::warn(&mut reply, &[format!("requested expiration of {asked} seconds shortened to {given} seconds")]);
        }
    }
    Ok(reply)
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
    judges_uid: bool,
) -> Result<TokenRequest, ApiError> {
    named_alike(key, request)?;
    let account = snapshot.find::<ServiceAccount>(key);
    let account = account.ok_or_else(|| ApiError::not_found(&Kind::ServiceAccount.into(), &key.name))?;
    let uid = account.metadata.uid.as_deref().unwrap_or_default();
    if let Some(other) = request.metadata.uid.as_deref().filter(|u| judges_uid && !u.is_empty() && *u != uid) {
        let why = format!("the UID in the token request ({other}) does not match the UID of the service account ({uid})");
        let text = format!("Operation cannot be fulfilled on TokenRequest.authentication.k8s.io {:?}: {why}", key.name);
        let details = Details { name: key.name.to_string(), group: "authentication.k8s.io".into(), kind: "TokenRequest".into(), ..Details::default() };
        return Err(ApiError::new(409, "Conflict", text).with_details(details));
    }
    let mut request = request.clone();
    let mut spec = request.spec.take().unwrap_or_default();
    let asked = spec.audiences.take().filter(|a| !a.is_empty());
    let audiences = asked.unwrap_or_else(|| tokens.audiences().to_vec());
    spec.audiences = Some(audiences.clone());
    let seconds = lifetime(spec.expiration_seconds)?.min(tokens.options().longest_s.unwrap_or(i64::MAX));
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
    if request.metadata.uid.as_deref().unwrap_or_default().is_empty() {
        request.metadata.uid.clone_from(&account.metadata.uid);
    }
    request.metadata.creation_timestamp = Some(Time(Timestamp::from_second(now).unwrap_or_default()));
    Ok(request)
}

/// A body that names something names what the URL does.
fn named_alike(key: &ObjectKey, request: &TokenRequest) -> Result<(), ApiError> {
    let meta = &request.metadata;
    let pairs = [
        ("metadata.name", &meta.name, &key.name, "must match the service account name if specified"),
        ("metadata.namespace", &meta.namespace, &key.namespace, "must match the service account namespace if specified"),
    ];
    for (path, given, wanted, why) in pairs {
        let Some(given) = given.as_ref().filter(|g| !g.is_empty() && *g != wanted) else { continue };
        let mut e = FieldErrors::default();
        e.invalid(&Path::new(path), given.as_str(), why);
        return Err(ApiError::invalid("authentication.k8s.io", "TokenRequest", &key.name, &e));
    }
    Ok(())
}

fn lifetime(asked: Option<i64>) -> Result<i64, ApiError> {
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
    if e.is_empty() { Ok(seconds) } else { Err(ApiError::invalid("authentication.k8s.io", "TokenRequest", "", &e)) }
}

fn bind_token(
    snapshot: &cache::Snapshot,
    key: &ObjectKey,
    spec: &TokenRequestSpec,
    bound: &mut Kubernetes,
) -> Result<(), ApiError> {
    let Some(r) = &spec.bound_object_ref else { return Ok(()) };
    let name = r.name.clone().unwrap_or_default();
    let (group, version) = r.api_version.as_deref().unwrap_or_default().split_once('/').unwrap_or(("", r.api_version.as_deref().unwrap_or_default()));
    let (kind, uid) = match (group, r.kind.as_deref().unwrap_or_default()) {
        ("", "Pod") => (Kind::Pod, snapshot.get::<Pod>(&key.namespace, &name).and_then(|p| p.metadata.uid.clone())),
        ("", "Secret") => (Kind::Secret, snapshot.get::<Secret>(&key.namespace, &name).and_then(|s| s.metadata.uid.clone())),
        ("", "Node") => (Kind::Node, snapshot.get::<Node>("", &name).and_then(|n| n.metadata.uid.clone())),
        (_, kind) => return Err(ApiError::bad_request(format!("cannot bind token to object of type {group}/{version}, Kind={kind}"))),
    };
    let uid = uid.ok_or_else(|| ApiError::not_found(&kind.into(), &name))?;
    if kind == Kind::Pod {
        let pod = snapshot.get::<Pod>(&key.namespace, &name);
        if pod.and_then(|p| p.spec.as_ref()?.service_account_name.as_deref()).unwrap_or_default() != key.name {
            let account = &key.name;
            return Err(ApiError::bad_request(format!("cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name.")));
        }
    }
    if let Some(want) = r.uid.as_ref().filter(|u| !u.is_empty() && **u != uid) {
        let why = format!("the UID in the bound object reference ({want}) does not match the UID in record. The object might have been deleted and then recreated");
        return Err(ApiError::conflict(&kind.into(), &name, why));
    }
    let b = Some(Bound { name: name.clone(), uid });
    match kind {
        Kind::Pod => {
            let pod = snapshot.get::<Pod>(&key.namespace, &name);
            let spec = pod.and_then(|p| p.spec.as_ref());
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
