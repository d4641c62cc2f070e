//! Who asks: client certificates, front proxies, bearer tokens, anonymous; and whom they act as.
//! Docs: "Authenticating".

mod chain;
pub mod config;
pub(crate) mod hook;
pub(crate) mod impersonation;
mod jwt;
mod keys;
mod proxy;

#[cfg(test)]
mod tests;

use base64::Engine;
use cache::Snapshot;
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use kinds::api::core::v1::Secret;
use rules::User;
use std::sync::Arc;
use x509_parser::prelude::*;

pub use chain::{Authenticators, AuthnOptions};
pub use hook::HookOptions;
pub use proxy::Proxy;

/// The group of everyone who is known.
pub const AUTHENTICATED: &str = "system:authenticated";

/// The common name that a front proxy's certificate must have (`requestheader-allowed-names`).
pub const FRONT_PROXY: &str = "front-proxy-client";

/// What the connection proved about its client.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// The user of a verified client certificate.
    pub certificate: Option<Arc<User>>,
    /// Whether a verified certificate says something that cannot be believed: it is nobody's, and not anonymous either.
    pub wrong_certificate: bool,
    /// The common name of a verified certificate of the front-proxy authority: it says in headers who asks.
    pub front_proxy: Option<String>,
    pub address: Option<std::net::SocketAddr>,
}

/// The user that a verified client certificate names: `CN` and every `O`, and the uid where that is wanted (feature gate
/// `AllowParsingUserUIDFromCertAuth`). `Ok(None)`: it names nobody.
///
/// # Errors
/// Uids that cannot be.
pub fn certificate_user(der: &[u8], with_uid: bool) -> Result<Option<Arc<User>>, String> {
    use sha2::Digest;
    let Ok((_, cert)) = X509Certificate::from_der(der) else { return Ok(None) };
    let Some(name) = cert.subject().iter_common_name().next().and_then(|n| n.as_str().ok()).filter(|n| !n.is_empty()) else { return Ok(None) };
    let name = name.to_owned();
    let uid = if with_uid { uid(cert.subject())? } else { String::new() };
    let groups = cert.subject().iter_organization().filter_map(|o| o.as_str().ok().map(str::to_owned)).collect();
    let id = format!("X509SHA256={}", hex(&sha2::Sha256::digest(der)));
    let extra = [("authentication.kubernetes.io/credential-id".to_owned(), vec![id])].into();
    Ok(Some(known(User { name, uid, groups, extra })))
}

/// A user's uid in the name of a certificate: below Kubernetes' number among enterprises.
const UID: x509_parser::oid_registry::Oid<'static> = x509_parser::oid_registry::asn1_rs::oid!(1.3.6.1.4.1.57683.2);

/// The one uid of a name, or none.
fn uid(name: &X509Name<'_>) -> Result<String, String> {
    let texts = name.iter_by_oid(&UID).map(|a| a.as_str().map_err(|_| "unable to parse UID into a string".to_owned()));
    let uids: Vec<&str> = texts.collect::<Result<_, _>>()?;
    match uids[..] {
        [] => Ok(String::new()),
        [""] => Err("UID cannot be an empty string".to_owned()),
        [one] => Ok(one.to_owned()),
        _ => Err(format!("expected 1 UID, but found multiple: [{}]", uids.join(" "))),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The common name of a certificate.
#[must_use]
pub fn common_name(der: &[u8]) -> Option<String> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    cert.subject().iter_common_name().next()?.as_str().ok().map(str::to_owned)
}

/// The user that a front proxy names in the usual headers. Docs: "Authenticating Proxy".
#[must_use]
pub fn remote_user(headers: &HeaderMap) -> Option<User> {
    Proxy::default().user(FRONT_PROXY, headers)
}

/// The bearer token of a request.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(bearer_of);
    given.or_else(|| websocket_bearer(headers))
}

/// What kind of credentials were tried, for the audit log.
#[must_use]
pub fn attempted(peer: &Peer, headers: &HeaderMap) -> &'static str {
    let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match given.split(' ').next() {
        Some(s) if s.eq_ignore_ascii_case("bearer") => "bearer",
        Some(s) if s.eq_ignore_ascii_case("basic") => "basic",
        _ if peer.certificate.is_some() => "x509",
        _ => "no credentials",
    }
}

/// Everyone who is known is in that group.
fn known(mut user: User) -> Arc<User> {
    if !user.in_group(AUTHENTICATED) && !user.in_group("system:unauthenticated") {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    Arc::new(user)
}

fn bearer_of(value: &str) -> Option<String> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// Browsers cannot set headers on a WebSocket: the token travels as a subprotocol.
fn websocket_bearer(headers: &HeaderMap) -> Option<String> {
    let offered = headers.get("sec-websocket-protocol")?.to_str().ok()?;
    let encoded = offered.split(',').find_map(|p| p.trim().strip_prefix("base64url.bearer.authorization.k8s.io."))?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(encoded).ok()?;
    String::from_utf8(bytes).ok()
}

/// Docs: "Authenticating with Bootstrap Tokens".
fn bootstrap_user(token: &str, snapshot: &Snapshot, now: Timestamp) -> Option<User> {
    let (id, secret) = token.split_once('.')?;
    let word = |s: &str, n: usize| s.len() == n && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !word(id, 6) || !word(secret, 16) {
        return None;
    }
    let stored = snapshot.get::<Secret>("kube-system", &format!("bootstrap-token-{id}"))?;
    let data = |k: &str| stored.data.as_ref()?.get(k).and_then(|v| std::str::from_utf8(&v.0).ok());
    let fits = stored.type_.as_deref() == Some("bootstrap.kubernetes.io/token")
        && stored.metadata.deletion_timestamp.is_none()
        && data("token-id") == Some(id)
        && data("token-secret") == Some(secret)
        && data("usage-bootstrap-authentication") == Some("true");
    let expired = data("expiration").is_some_and(|e| e.parse::<Timestamp>().map_or(true, |at| at <= now));
    if !fits || expired {
        return None;
    }
    let mut groups = vec!["system:bootstrappers".to_owned()];
    groups.extend(data("auth-extra-groups").unwrap_or_default().split(',').filter(|g| !g.is_empty()).map(str::to_owned));
    Some(User { name: format!("system:bootstrap:{id}"), groups, ..User::default() })
}

/// The value of a header that names somebody. HTTP lets it be any bytes; Go takes them as UTF-8, and so do we: a name that
/// was left out for its letters would let the request go on as somebody else.
fn words(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// A key out of the name of a header.
fn unescape(key: &str) -> String {
    url::form_urlencoded::parse(format!("k={}", key.replace('+', "%2B")).as_bytes())
        .next()
        .map_or_else(|| key.to_owned(), |(_, v)| v.into_owned())
}
