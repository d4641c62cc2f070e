//! ConfigMaps and Secrets. Docs: "ConfigMaps", "Secrets" (types and their required keys), KEP-1412 (immutable).

use crate::checks::complain;
use crate::meta;
use crate::names::{self, NameRule};
use crate::read::{fill, has, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, fields, warnings};
use kinds::api::core::v1::{ConfigMap, Secret};
use kinds::{ByteString, FieldErrors, Kind, Path};
use serde_json::Value;

/// What a TLS secret holds that is no PEM at all.
fn unreadable_pair(n: &Secret) -> Vec<String> {
    if s(&n.type_) != "kubernetes.io/tls" {
        return Vec::new();
    }
    let has_pem = |key: &str| n.data.as_ref().and_then(|d| d.get(key)).is_some_and(|b| b.0.windows(10).any(|w| w == b"-----BEGIN"));
    let missing = [("tls.crt", "certificate"), ("tls.key", "key")].into_iter().find(|(key, _)| !has_pem(key));
    missing.map(|(_, what)| format!("tls: failed to find any PEM data in {what} input")).into_iter().collect()
}

/// The most that one object may hold.
pub(crate) const BYTES_MAX: usize = 1024 * 1024;

pub(crate) const MAP_ROW: Rules = Rules {
    validate: check!(ConfigMap, validate_map),
    validate_update: check_with_old!(ConfigMap, |n: &ConfigMap, o: &ConfigMap, e: &mut FieldErrors| {
        if o.immutable == Some(true) {
            kept(n.immutable == Some(true), n.data == o.data, n.binary_data == o.binary_data, true, e);
        }
        validate_map(n, e);
    }),
    ..Rules::plain(Kind::ConfigMap, NameRule::DnsSubdomain)
};

pub(crate) const SECRET_ROW: Rules = Rules {
    warnings: warnings!(Secret, |n: &Secret, _: Option<&Secret>| unreadable_pair(n)),
    default: edit!(Secret, default),
    prepare_update: edit_with_old!(Secret, |n: &mut Secret, o: &Secret| {
        // A type that is left out stays what it was.
        if !has(&n.type_) {
            n.type_.clone_from(&o.type_);
        }
    }),
    validate: check!(Secret, validate_secret),
    validate_update: check_with_old!(Secret, |n: &Secret, o: &Secret, e: &mut FieldErrors| {
        meta::immutable_text(s(&n.type_), s(&o.type_), &Path::new("type"), e);
        if o.immutable == Some(true) {
            kept(n.immutable == Some(true), n.data == o.data, true, false, e);
        }
        validate_secret(n, e);
    }),
    fields: fields!(Secret, |x: &Secret| vec![("type", s(&x.type_).to_owned())]),
    ..Rules::plain(Kind::Secret, NameRule::DnsSubdomain)
};

fn kept(flag: bool, data: bool, binary: bool, map: bool, e: &mut FieldErrors) {
    let why = "field is immutable when `immutable` is set";
    let fields = if map { [("immutable", flag), ("data", data), ("binaryData", binary)] } else { [("immutable", flag), ("data", data), ("", true)] };
    for (name, same) in fields {
        if !same {
            e.forbidden(&Path::new(name), why);
        }
    }
}

fn validate_map(c: &ConfigMap, e: &mut FieldErrors) {
    let mut bytes = 0;
    for (k, v) in c.data.iter().flatten() {
        let at = Path::new("data").key(k);
        complain(&at, k, names::config_key(k), e);
        if c.binary_data.as_ref().is_some_and(|b| b.contains_key(k)) {
            e.invalid(&at, k, "duplicate of key present in binaryData");
        }
        bytes += v.len();
    }
    for (k, v) in c.binary_data.iter().flatten() {
        complain(&Path::new("binaryData").key(k), k, names::config_key(k), e);
        bytes += v.0.len();
    }
    if bytes > BYTES_MAX {
        // The whole object is meant, and that is how its path is printed.
        e.too_long(&Path::new("[]"), BYTES_MAX);
    }
}

/// `stringData` is written into `data` when it is stored, and never read back.
fn default(x: &mut Secret) {
    fill(&mut x.type_, "Opaque");
    if let Some(text) = x.string_data.take() {
        let data = x.data.get_or_insert_default();
        data.extend(text.into_iter().map(|(k, v)| (k, ByteString(v.into_bytes()))));
    }
}

fn validate_secret(x: &Secret, e: &mut FieldErrors) {
    let (data, none) = (Path::new("data"), Default::default());
    let map = x.data.as_ref().unwrap_or(&none);
    let mut bytes = 0;
    for (k, v) in map {
        complain(&data.key(k), k, names::config_key(k), e);
        bytes += v.0.len();
    }
    if bytes > BYTES_MAX {
        e.too_long(&data, BYTES_MAX);
    }
    let required = |key: &str, e: &mut FieldErrors| {
        if !map.contains_key(key) {
            e.required(&data.key(key), "");
        }
    };
    match s(&x.type_) {
        "kubernetes.io/service-account-token" => {
            let name = x.metadata.annotations.as_ref().and_then(|a| a.get("kubernetes.io/service-account.name"));
            if name.is_none_or(String::is_empty) {
                e.required(&Path::new("metadata.annotations").key("kubernetes.io/service-account.name"), "");
            }
        }
        "kubernetes.io/dockercfg" => docker(map.get(".dockercfg"), ".dockercfg", e),
        "kubernetes.io/dockerconfigjson" => docker(map.get(".dockerconfigjson"), ".dockerconfigjson", e),
        "kubernetes.io/basic-auth"
            if !map.contains_key("username") && !map.contains_key("password") => {
                e.required(&data.key("username"), "");
                e.required(&data.key("password"), "");
            }
        "kubernetes.io/ssh-auth"
            if map.get("ssh-privatekey").is_none_or(|v| v.0.is_empty()) => {
                e.required(&data.key("ssh-privatekey"), "");
            }
        "kubernetes.io/tls" => {
            required("tls.crt", e);
            required("tls.key", e);
        }
        _ => {}
    }
}

fn docker(bytes: Option<&ByteString>, key: &str, e: &mut FieldErrors) {
    let at = Path::new("data").key(key);
    match bytes {
        None => e.required(&at, ""),
        Some(b) => {
            let object = serde_json::from_slice::<Value>(&b.0).is_ok_and(|v| v.is_object());
            if !object {
                let why = serde_json::from_slice::<Value>(&b.0).err().map_or_else(
                    || "json: cannot unmarshal non-object".to_owned(),
                    |_| if b.0.is_empty() { "unexpected end of JSON input".to_owned() } else { "invalid character in JSON input".to_owned() },
                );
                e.invalid(&at, "<secret contents redacted>", why);
            }
        }
    }
}
