//! Formats of a schema that nothing is checked for: a writer is warned of them. Docs: "CustomResourceDefinition: format".

use super::said::item;
use super::schema::DEPTH_MAX;
use crate::read::{items, s};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrBool};

/// Formats of texts, without their dashes.
const TEXTS: &[&str] = &[
    "bsonobjectid", "uri", "email", "hostname", "ipv4", "ipv6", "cidr", "mac", "uuid", "uuid3", "uuid4", "uuid5", "isbn", "isbn10", "isbn13",
    "creditcard", "ssn", "hexcolor", "rgbcolor", "byte", "password", "date", "duration", "datetime", "k8sshortname", "k8slongname",
];

/// What is warned of: formats that are unknown, and were not there before.
pub(super) fn warnings(new: &CustomResourceDefinition, old: Option<&CustomResourceDefinition>) -> Vec<String> {
    let before = old.map(unknown).unwrap_or_default();
    unknown(new).into_iter().filter(|f| !before.contains(f)).map(|f| format!("unrecognized format {f:?}")).collect()
}

fn unknown(c: &CustomResourceDefinition) -> Vec<&str> {
    let mut roots: Vec<&JSONSchemaProps> = c.spec.versions.iter().filter_map(super::versions::root).collect();
    // What all versions share is looked at once.
    if roots.windows(2).all(|pair| pair[0] == pair[1]) {
        roots.truncate(1);
    }
    let mut found = Vec::new();
    roots.into_iter().for_each(|root| walk(root, 0, &mut found));
    found
}

fn walk<'a>(x: &'a JSONSchemaProps, depth: usize, found: &mut Vec<&'a str>) {
    if depth > DEPTH_MAX {
        return;
    }
    let format = s(&x.format);
    let known = match s(&x.type_) {
        "" | "string" => TEXTS.contains(&format.replace('-', "").as_str()),
        "integer" => ["int32", "int64"].contains(&format),
        "number" => ["float", "double"].contains(&format),
        _ => false,
    };
    if !format.is_empty() && !known {
        found.push(format);
    }
    for p in x.properties.iter().flatten().map(|(_, p)| p).chain(item(x)) {
        walk(p, depth + 1, found);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(a)) = &x.additional_properties {
        walk(a, depth + 1, found);
    }
    for v in [&x.all_of, &x.any_of, &x.one_of].into_iter().flat_map(|l| items(l)).chain(x.not.as_deref()) {
        walk(v, depth + 1, found);
    }
}
