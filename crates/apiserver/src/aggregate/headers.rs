//! Who asks, in the headers that aggregated servers trust from the front proxy.
//! Docs: "Configure the Aggregation Layer: Kubernetes Apiserver Request Headers".

use http::{HeaderMap, HeaderName, HeaderValue};
use rules::User;

/// What only the front proxy may say.
const OURS: &str = "x-remote-";

/// Replaces whatever was said of the user by who really asks; with the uid where that is wanted (feature gate
/// `RemoteRequestHeaderUID`).
pub(super) fn identify(headers: &mut HeaderMap, user: &User, with_uid: bool) {
    let stale: Vec<HeaderName> = headers.keys().filter(|k| k.as_str().starts_with(OURS)).cloned().collect();
    stale.iter().for_each(|k| {
        headers.remove(k);
    });
    let mut put = |name: &str, value: &str| {
        if let (Ok(n), Ok(v)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes())) {
            headers.append(n, v);
        }
    };
    put("x-remote-user", &user.name);
    if with_uid && !user.uid.is_empty() {
        put("x-remote-uid", &user.uid);
    }
    user.groups.iter().for_each(|g| put("x-remote-group", g));
    for (key, values) in &user.extra {
        values.iter().for_each(|v| put(&format!("x-remote-extra-{}", escape(key)), v));
    }
}

/// A key as part of a header's name: what is no letter of a token (RFC 9110, 5.6.2) is percent-encoded.
fn escape(key: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&b);
    let mut out = String::with_capacity(key.len());
    for b in key.bytes() {
        if plain(b) {
            out.push(b.to_ascii_lowercase().into());
        } else {
            out.push_str(&format!("%{b:02x}"));
        }
    }
    out
}
