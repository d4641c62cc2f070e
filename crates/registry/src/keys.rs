//! Store keys: `/registry/<resource>/[<namespace>/]<name>`, with the spellings kube-apiserver uses in etcd, so that either
//! can read what the other wrote.

use kinds::{Kind, ObjectKey, Resource};
use std::collections::HashMap;
use std::sync::OnceLock;

/// The prefix of everything.
pub const ROOT: &str = "/registry/";

fn directory(resource: &Resource) -> String {
    match resource {
        Resource::Custom(c) => format!("{}/{}", c.group, c.plural),
        Resource::Builtin(kind) => builtin_directory(*kind),
    }
}

fn builtin_directory(kind: Kind) -> String {
    match kind {
        Kind::Node => "minions".to_owned(),
        Kind::Service => "services/specs".to_owned(),
        Kind::Endpoints => "services/endpoints".to_owned(),
        Kind::ReplicationController => "controllers".to_owned(),
        Kind::Ingress => "ingress".to_owned(),
        Kind::CustomResourceDefinition | Kind::APIService => format!("{}/{}", kind.info().group, kind.info().plural),
        other => other.info().plural.to_owned(),
    }
}

/// The prefix below which all objects of a resource lie.
#[must_use]
pub fn prefix(resource: &Resource) -> String {
    format!("{ROOT}{}/", directory(resource))
}

/// The store key of one object.
#[must_use]
pub fn encode(resource: &Resource, key: &ObjectKey) -> String {
    let dir = prefix(resource);
    if key.namespace.is_empty() { format!("{dir}{}", key.name) } else { format!("{dir}{}/{}", key.namespace, key.name) }
}

fn builtins() -> &'static HashMap<String, Kind> {
    static TABLE: OnceLock<HashMap<String, Kind>> = OnceLock::new();
    TABLE.get_or_init(|| Kind::stored().map(|k| (builtin_directory(k), k)).collect())
}

/// What a store key means. Custom resources are found through `custom(group, plural)`. `None`: not an object's key.
pub fn decode(key: &[u8], custom: impl Fn(&str, &str) -> Option<Resource>) -> Option<(Resource, ObjectKey)> {
    let rest = std::str::from_utf8(key).ok()?.strip_prefix(ROOT)?;
    let parts: Vec<&str> = rest.split('/').collect();
    let builtin = |dir: String| builtins().get(&dir).map(|k| Resource::Builtin(*k));
    let two = |p: &[&str]| (p.len() >= 2).then(|| format!("{}/{}", p[0], p[1]));
    let (resource, tail) = match two(&parts).and_then(builtin) {
        Some(r) => (r, &parts[2..]),
        None => match builtin(parts[0].to_owned()) {
            Some(r) => (r, &parts[1..]),
            None if parts.len() >= 3 => (custom(parts[0], parts[1])?, &parts[2..]),
            None => return None,
        },
    };
    match (resource.namespaced(), tail) {
        (true, [ns, name]) => Some((resource, ObjectKey::new(*ns, *name))),
        (false, [name]) => Some((resource, ObjectKey::cluster(*name))),
        _ => None,
    }
}
