//! Whole documents: which there are, and the pieces of each in their order.

use super::definition::{SCHEMAS, definition, is_wrapper, walk};
use super::operation::{MEDIA, OK, Operation, path_item};
use super::routes::{Route, base};
use super::sink::{Sink, V2, V3};
use super::text::Descriptions;
use super::{Format, Pair, Parameters, Part, Served, custom, names};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

const API_GROUP: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroup";
const API_GROUP_LIST: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroupList";
const API_RESOURCE_LIST: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList";
const API_VERSIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.APIVersions";
const VERSION_INFO: &str = "io.k8s.apimachinery.pkg.version.Info";
/// Documents that are not of a group.
const SINGLES: &[&str] = &[".well-known/openid-configuration", "api", "apis", "openid/v1/jwks", "version"];

fn group_versions(served: &Served<'_>) -> BTreeSet<(&'static str, &'static str)> {
    schema::resources().iter().filter(|r| (served.builtin)(r)).map(|r| (r.group, r.version)).collect()
}

fn custom_versions(served: &Served<'_>) -> BTreeSet<(String, String)> {
    let each = served.customs.iter().flat_map(|c| {
        c.spec.versions.iter().filter(|v| v.served).map(|v| (c.spec.group.clone(), v.name.clone()))
    });
    each.collect()
}

/// See [`Served::index`].
pub(super) fn index(served: &Served<'_>) -> Vec<String> {
    let mut all: BTreeSet<String> = SINGLES.iter().map(|s| (*s).to_owned()).collect();
    for (group, version) in group_versions(served) {
        all.insert(base(group, version)[1..].to_owned());
        if !group.is_empty() {
            all.insert(format!("apis/{group}"));
        }
    }
    all.extend(custom_versions(served).iter().map(|(g, v)| base(g, v)[1..].to_owned()));
    all.into_iter().collect()
}

/// An operation that is not about objects.
fn plain(id: String, text: &str, tag: String, model: Option<&str>, media: &'static [&'static str]) -> Value {
    let schema = model.map_or_else(|| json!({ "type": "string" }), super::definition::reference);
    let text = text.to_owned();
    let operation =
        Operation { id, text, tag, action: None, parameters: Vec::new(), body: None, answers: OK, schema, media };
    path_item(vec![("get", operation)])
}

fn single(path: &str) -> Option<(String, Value)> {
    let item = match path {
        "api" => plain("getCoreAPIVersions".into(), "get available API versions", "core".into(), Some(API_VERSIONS), MEDIA),
        "apis" => plain("getAPIVersions".into(), "get available API versions", "apis".into(), Some(API_GROUP_LIST), MEDIA),
        "version" => plain(
            "getCodeVersion".into(),
            "get the version information for this server",
            "version".into(),
            Some(VERSION_INFO),
            &["application/json"],
        ),
        "openid/v1/jwks" => plain(
            "getServiceAccountIssuerOpenIDKeyset".into(),
            "get the keys that verify service account tokens",
            "openid".into(),
            None,
            &["application/jwk-set+json"],
        ),
        ".well-known/openid-configuration" => plain(
            "getServiceAccountIssuerOpenIDConfiguration".into(),
            "get the OpenID configuration of the service account issuer",
            "WellKnown".into(),
            None,
            &["application/json"],
        ),
        _ => return None,
    };
    Some((format!("/{path}/"), item))
}

fn group_item(group: &str) -> (String, Value) {
    let id = format!("get{}APIGroup", names::group_title(group));
    let item = plain(id, "get information of a group", names::group_tag(group), Some(API_GROUP), MEDIA);
    (format!("/apis/{group}/"), item)
}

/// The paths of a group-version, sorted.
fn version_items(served: &Served<'_>, group: &str, version: &str) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let builtin = schema::resources().iter().filter(|r| (served.builtin)(r) && r.group == group && r.version == version);
    for r in builtin {
        all.extend(Route::builtin(r).paths());
    }
    if !all.is_empty() {
        let id = format!("get{}APIResources", names::version_title(group, version));
        let tag = names::version_tag(group, version);
        let item = plain(id, "get available resources", tag, Some(API_RESOURCE_LIST), MEDIA);
        all.insert(format!("{}/", base(group, version)), item);
    }
    let customs = served.customs.iter().filter(|c| c.spec.group == group);
    for route in customs.filter_map(|c| custom::route(c, version)) {
        all.extend(route.paths());
    }
    all
}

fn split(path: &str) -> Option<(&str, &str)> {
    match path.split('/').collect::<Vec<_>>()[..] {
        ["api", version] => Some(("", version)),
        ["apis", group, version] => Some((group, version)),
        _ => None,
    }
}

/// See [`Served::write_v3`].
pub(super) fn write_v3(served: &Served<'_>, path: &str, format: Format, out: &mut dyn Write) -> io::Result<bool> {
    let items: BTreeMap<String, Value> = match (single(path), split(path), path.strip_prefix("apis/")) {
        (Some(item), ..) => BTreeMap::from([item]),
        (_, Some((group, version)), _) => version_items(served, group, version),
        (.., Some(group)) if group_versions(served).iter().any(|(g, _)| *g == group) => BTreeMap::from([group_item(group)]),
        _ => BTreeMap::new(),
    };
    if items.is_empty() {
        return Ok(false);
    }
    let texts = Descriptions::unpack(served.enums);
    let mut sink = V3::begin(format, out)?;
    let mut wanted = BTreeSet::new();
    for (name, item) in &items {
        references(item, &mut wanted);
        sink.path(name, item)?;
    }
    let spoken = split(path);
    let customs = custom_definitions(served, spoken.into_iter().map(|(g, v)| (g.to_owned(), v.to_owned())));
    definitions(&mut sink, wanted, (served, &customs), &texts, spoken)?;
    sink.end()?;
    Ok(true)
}

/// The paths of what is built in, as the v2 document orders them, and the names that they refer to.
fn builtin_paths(served: &Served<'_>, sink: &mut V2<'_>) -> io::Result<BTreeSet<String>> {
    let own = Served { customs: &[], ..*served };
    let mut wanted = BTreeSet::new();
    let mut write = |(name, item): (String, Value)| {
        references(&item, &mut wanted);
        sink.path(&name, &item)
    };
    SINGLES.iter().filter_map(|s| single(s)).try_for_each(&mut write)?;
    let versions = group_versions(&own);
    let groups: BTreeSet<&str> = versions.iter().map(|(g, _)| *g).filter(|g| !g.is_empty()).collect();
    groups.into_iter().map(group_item).try_for_each(&mut write)?;
    versions.iter().flat_map(|(group, version)| version_items(&own, group, version)).try_for_each(&mut write)?;
    Ok(wanted)
}

/// See [`Served::write_v2`].
pub(super) fn write_v2(
    served: &Served<'_>,
    part: &Part<'_>,
    texts: &Descriptions,
    format: Format,
    (paths, definitions): Pair<'_>,
) -> io::Result<Parameters> {
    let mut sink = V2::part(format, matches!(part, Part::Builtin), paths, definitions);
    match part {
        Part::Builtin => {
            let wanted = builtin_paths(served, &mut sink)?;
            self::definitions(&mut sink, wanted, (served, &BTreeMap::new()), texts, None)?;
        }
        Part::Custom(crd) => {
            for version in crd.spec.versions.iter().filter(|v| v.served).map(|v| v.name.as_str()) {
                for (name, item) in custom::route(crd, version).iter().flat_map(super::routes::Route::paths) {
                    sink.path(&name, &item)?;
                }
                for (name, definition) in custom::definitions(crd, version) {
                    sink.definition(&name, &definition.make(served, texts))?;
                }
            }
        }
        Part::Foreign(foreign) => foreign.write(&mut sink)?,
    }
    Ok(sink.shared)
}

fn custom_definitions<'a>(
    served: &Served<'a>,
    versions: impl Iterator<Item = (String, String)>,
) -> BTreeMap<String, custom::Definition<'a>> {
    let mut all = BTreeMap::new();
    for (group, version) in versions {
        for crd in served.customs.iter().filter(|c| c.spec.group == group) {
            if crd.spec.versions.iter().any(|v| v.name == version && v.served) {
                all.extend(custom::definitions(crd, &version));
            }
        }
    }
    all
}

/// Writes the wanted definitions and all that they refer to, sorted by name.
fn definitions(
    sink: &mut dyn Sink,
    wanted: BTreeSet<String>,
    (served, customs): (&Served<'_>, &BTreeMap<String, custom::Definition<'_>>),
    texts: &Descriptions,
    spoken: Option<(&str, &str)>,
) -> io::Result<()> {
    let mut names = wanted.clone();
    let mut open: Vec<String> = wanted.into_iter().collect();
    while let Some(name) = open.pop() {
        let mut found = BTreeSet::new();
        match customs.get(&name) {
            Some(d) => found.extend(d.references()),
            None => below(&name, &mut found),
        }
        open.extend(found.into_iter().filter(|n| names.insert(n.clone())));
    }
    for name in &names {
        if let Some(d) = customs.get(name) {
            sink.definition(name, &d.make(served, texts))?;
        } else if let Some(ty) = schema::types().by_name(name) {
            sink.definition(name, &definition(ty, texts, spoken))?;
        }
    }
    Ok(())
}

/// The types that a built-in type refers to.
fn below(name: &str, found: &mut BTreeSet<String>) {
    let Some(ty) = schema::types().by_name(name).filter(|t| t.schema().is_none()) else { return };
    walk(ty, &mut |_, f| {
        if let Some(inner) = f.ty().filter(|_| !is_wrapper(f)) {
            found.insert(inner.name().to_owned());
        }
    });
}

/// Collects the names behind `$ref`.
fn references(tree: &Value, found: &mut BTreeSet<String>) {
    match tree {
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_str().filter(|_| key == "$ref").and_then(|r| r.strip_prefix(SCHEMAS)) {
                    Some(name) => drop(found.insert(name.to_owned())),
                    None => references(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}
