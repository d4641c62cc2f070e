//! `url()`: absolute URLs and absolute paths, taken apart without being changed (as Go's `url.ParseRequestURI` does).

use super::{Answer, Cost, Row, text};
use crate::error::EvalError;
use crate::opaque::Opaque;
use crate::value::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const TABLE: &[Row] = &[
    Row { name: "url", cost: Cost::Text(0, 1, false), run: url, overloads: &[("string_to_url", "(string):kubernetes.URL")] },
    Row { name: "isURL", cost: Cost::Text(0, 1, false), run: is_url, overloads: &[("is_url_string", "(string):bool")] },
    Row { name: "getScheme", cost: Cost::Fixed(1), run: scheme, overloads: &[("url_get_scheme", "kubernetes.URL.():string")] },
    Row { name: "getHost", cost: Cost::Fixed(1), run: host, overloads: &[("url_get_host", "kubernetes.URL.():string")] },
    Row { name: "getHostname", cost: Cost::Fixed(1), run: hostname, overloads: &[("url_get_hostname", "kubernetes.URL.():string")] },
    Row { name: "getPort", cost: Cost::Fixed(1), run: port, overloads: &[("url_get_port", "kubernetes.URL.():string")] },
    Row { name: "getEscapedPath", cost: Cost::Fixed(1), run: path, overloads: &[("url_get_escaped_path", "kubernetes.URL.():string")] },
    Row { name: "getQuery", cost: Cost::Fixed(1), run: query, overloads: &[("url_get_query", "kubernetes.URL.():map<string,list<string>>")] },
];

/// A URL, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    scheme: String,
    user: String,
    host: String,
    path: String,
    query: String,
}

/// Takes a URL apart.
pub(crate) fn parse(text: &str) -> Option<Url> {
    if text.is_empty() || text.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return None;
    }
    let mut url = Url::default();
    let mut rest = text;
    if !text.starts_with('/') {
        let (scheme, after) = text.split_once(':')?;
        let first = scheme.chars().next()?;
        let fine = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        if !first.is_ascii_alphabetic() || !scheme.chars().all(fine) {
            return None;
        }
        url.scheme = scheme.to_ascii_lowercase();
        rest = after;
    }
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    url.query = query.to_owned();
    rest = before;
    let authority = rest.strip_prefix("//").filter(|_| !url.scheme.is_empty() || !rest.starts_with("///"));
    if let Some(after) = authority.filter(|_| !url.scheme.is_empty()) {
        let end = after.find('/').unwrap_or(after.len());
        let (user, host) = after[..end].rsplit_once('@').unwrap_or(("", &after[..end]));
        check_host(host)?;
        user.clone_into(&mut url.user);
        host.clone_into(&mut url.host);
        rest = &after[end..];
    } else if !url.scheme.is_empty() && !rest.starts_with('/') {
        // An opaque form (`mailto:x`) is no request URI of ours, but is absolute.
        return Some(url);
    }
    escapes(rest)?;
    rest.clone_into(&mut url.path);
    Some(url)
}

fn check_host(host: &str) -> Option<()> {
    let port = if let Some(inner) = host.strip_prefix('[') {
        let (address, after) = inner.split_once(']')?;
        address.split('%').next()?.parse::<std::net::Ipv6Addr>().ok()?;
        after
    } else {
        host.find(':').map_or("", |i| &host[i..])
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    let fine = |c: char| !"<>\"\\^`{|}".contains(c);
    (digits.chars().all(|c| c.is_ascii_digit()) && (port.is_empty() || port.starts_with(':')) && host.chars().all(fine)).then_some(())
}

/// Every percent sign begins an escape.
fn escapes(text: &str) -> Option<()> {
    text.match_indices('%').all(|(i, _)| text.get(i + 1..i + 3).is_some_and(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))).then_some(())
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut i) = (Vec::new(), 0);
    while i < bytes.len() {
        let hex = text.get(i + 1..i + 3).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[i], hex) {
            (b'%', Some(b)) => {
                out.push(b);
                i += 2;
            }
            (b'+', _) => out.push(b' '),
            (b, _) => out.push(b),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn url<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let s = text(args, 0)?;
    let parsed = parse(s).ok_or_else(|| EvalError::new(format!("URL parse error during conversion from string: parse {s:?}: invalid URI for request")))?;
    Ok(Value::Opaque(Opaque::Url(Arc::new(parsed))))
}
fn is_url<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(parse(text(args, 0)?).is_some()))
}
fn of<'v>(args: &'v [Value<'_>]) -> Result<&'v Url, EvalError> {
    match args.first() {
        Some(Value::Opaque(Opaque::Url(u))) => Ok(u),
        _ => Err(EvalError::overload()),
    }
}
fn scheme<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::text(of(args)?.scheme.as_str()))
}
fn host<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::text(of(args)?.host.as_str()))
}
fn divided(host: &str) -> (&str, &str) {
    match host.strip_prefix('[') {
        Some(inner) => inner.split_once(']').map_or((inner, ""), |(a, p)| (a, p.trim_start_matches(':'))),
        None => host.split_once(':').unwrap_or((host, "")),
    }
}
fn hostname<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::text(divided(&of(args)?.host).0))
}
fn port<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::text(divided(&of(args)?.host).1))
}
fn path<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::text(of(args)?.path.replace(' ', "%20")))
}
fn query<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for part in of(args)?.query.split('&').filter(|p| !p.is_empty()) {
        let (k, v) = part.split_once('=').unwrap_or((part, ""));
        found.entry(decode(k)).or_default().push(Value::text(decode(v)));
    }
    Ok(Value::map_of(found.into_iter().map(|(k, v)| (k, Value::list(v)))))
}
