//! CustomResourceDefinitions and APIServices. Docs: "Extend the Kubernetes API", "API Aggregation".

use crate::checks::{complain, one_of, present};
use crate::meta::immutable_text;
use crate::names::{self, NameRule};
use crate::read::{has, items, on, s};
use self::keywords::Asked;
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, warnings};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionNames, CustomResourceDefinitionStatus,
};
use kinds::kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceStatus};
use kinds::{FieldErrors, Kind, Path};

mod at;
mod conversion;
mod defaults;
mod formats;
mod keywords;
mod said;
mod schema;
mod shown;
mod structural;
#[cfg(test)]
mod tests;
mod versions;

pub(crate) const DEFINITION_ROW: Rules = Rules {
    default: edit!(CustomResourceDefinition, default),
    prepare_create: edit!(CustomResourceDefinition, |c: &mut CustomResourceDefinition| {
        let mut stored: Vec<String> = c.spec.versions.iter().filter(|v| v.storage).map(|v| v.name.clone()).collect();
        stored.dedup();
        c.status = Some(CustomResourceDefinitionStatus {
            accepted_names: Some(CustomResourceDefinitionNames::default()),
            conditions: None,
            stored_versions: Some(stored),
            ..Default::default()
        });
        c.metadata.generation = Some(1);
    }),
    prepare_update: edit_with_old!(CustomResourceDefinition, |n: &mut CustomResourceDefinition, o: &CustomResourceDefinition| {
        n.status.clone_from(&o.status);
        let was = o.metadata.generation.unwrap_or_default();
        n.metadata.generation = Some(if n.spec == o.spec { was } else { was + 1 });
        // A version that stores objects from now on is remembered until they are migrated.
        let stored: Vec<String> = n.spec.versions.iter().filter(|v| v.storage).map(|v| v.name.clone()).collect();
        let list = n.status.get_or_insert_default().stored_versions.get_or_insert_default();
        for v in stored {
            if !list.contains(&v) {
                list.push(v);
            }
        }
    }),
    prepare_status_update: Some(edit_with_old!(CustomResourceDefinition, |n: &mut CustomResourceDefinition, o: &CustomResourceDefinition| {
        n.spec.clone_from(&o.spec);
        n.metadata.generation = o.metadata.generation;
    })),
    validate: check!(CustomResourceDefinition, definition),
    validate_update: check_with_old!(CustomResourceDefinition, |n: &CustomResourceDefinition, o: &CustomResourceDefinition, e: &mut FieldErrors| {
        let asked = o.spec.versions.iter().filter_map(versions::root).fold(Asked::ALL, Asked::after);
        specified(n, asked, e);
        kept(n, o, e);
        status(n, e);
        remembered(n, e);
        if approval(n) != approval(o) {
            protected(n, e);
        }
        if !on(o.spec.preserve_unknown_fields) {
            preserving(n, e);
        }
    }),
    validate_status_update: check_with_old!(CustomResourceDefinition, |n: &CustomResourceDefinition, _: &CustomResourceDefinition, e: &mut FieldErrors| {
        status(n, e);
    }),
    warnings: warnings!(CustomResourceDefinition, formats::warnings),
    allow_unconditional_update: false,
    ..Rules::plain(Kind::CustomResourceDefinition, NameRule::DnsSubdomain)
};

fn default(c: &mut CustomResourceDefinition) {
    let spec = &mut c.spec;
    if !has(&spec.names.singular) {
        spec.names.singular = Some(spec.names.kind.to_lowercase());
    }
    if !has(&spec.names.list_kind) && !spec.names.kind.is_empty() {
        spec.names.list_kind = Some(format!("{}List", spec.names.kind));
    }
    let status = c.status.get_or_insert_default();
    if items(&status.stored_versions).is_empty()
        && let Some(v) = spec.versions.iter().find(|v| v.storage)
    {
        status.stored_versions = Some(vec![v.name.clone()]);
    }
    let none = || CustomResourceConversion { strategy: "None".into(), webhook: None };
    let conversion = spec.conversion.get_or_insert_with(none);
    let client = conversion.webhook.as_mut().and_then(|w| w.client_config.as_mut());
    if let Some(service) = client.and_then(|c| c.service.as_mut()) {
        service.port.get_or_insert(443);
    }
}

fn definition(c: &CustomResourceDefinition, e: &mut FieldErrors) {
    let spec = &c.spec;
    let name = format!("{}.{}", spec.names.plural, spec.group);
    if s(&c.metadata.name) != name {
        e.invalid(&Path::new("metadata.name"), s(&c.metadata.name), "must be spec.names.plural+\".\"+spec.group");
    }
    specified(c, Asked::ALL, e);
    remembered(c, e);
    protected(c, e);
    preserving(c, e);
}

/// What the spec of a definition must satisfy, new or changed.
fn specified(c: &CustomResourceDefinition, asked: Asked, e: &mut FieldErrors) {
    let (spec, path) = (&c.spec, Path::new("spec"));
    if spec.group.is_empty() {
        e.required(&path.child("group"), "");
    } else {
        complain(&path.child("group"), &spec.group, names::dns_subdomain(&spec.group), e);
        if names::dns_subdomain(&spec.group).is_empty() && spec.group.split('.').count() < 2 {
            e.invalid(&path.child("group"), &spec.group, "should be a domain with at least one dot");
        }
    }
    one_of(&spec.scope, &["Cluster", "Namespaced"], &path.child("scope"), e);
    let defaults = || spec.versions.iter().filter_map(versions::root).any(schema::has_default);
    if on(spec.preserve_unknown_fields) && defaults() {
        e.invalid(&path.child("preserveUnknownFields"), true, "must be false in order to use defaults in the schema");
    }
    let versions = versions::Versions::of(&spec.versions, asked);
    versions.each(&path, e);
    names_of(&spec.names, &path.child("names"), e);
    versions.shared(&path, e);
    if let Some(x) = &spec.conversion {
        if x.strategy != "None" && on(spec.preserve_unknown_fields) {
            e.invalid(&path.child("conversion").child("strategy"), &x.strategy, "must be None if spec.preserveUnknownFields is true");
        }
        conversion::validate(x, &path.child("conversion"), e);
    }
}

fn preserving(c: &CustomResourceDefinition, e: &mut FieldErrors) {
    if on(c.spec.preserve_unknown_fields) {
        let why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        e.invalid(&Path::new("spec.preserveUnknownFields"), true, why);
    }
}

fn status(c: &CustomResourceDefinition, e: &mut FieldErrors) {
    if let Some(accepted) = c.status.as_ref().and_then(|x| x.accepted_names.as_ref()) {
        names_given(accepted, &Path::new("status.acceptedNames"), e);
    }
}

const APPROVAL: &str = "api-approved.kubernetes.io";

/// What a definition says of its approval; an empty text is none.
fn approval(c: &CustomResourceDefinition) -> Option<&str> {
    c.metadata.annotations.as_ref()?.get(APPROVAL).map(String::as_str).filter(|t| !t.is_empty())
}

fn protected(c: &CustomResourceDefinition, e: &mut FieldErrors) {
    let group = &c.spec.group;
    let ours = ["k8s.io", "kubernetes.io"].iter().any(|d| group == d || group.ends_with(&format!(".{d}")));
    if !ours {
        return;
    }
    let at = Path::new("metadata.annotations").key(APPROVAL);
    match approval(c) {
        None => {
            e.required(&at, "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111");
        }
        Some(v) if v.starts_with("unapproved") || v.starts_with("https://") || v.starts_with("http://") => {}
        Some(v) => {
            let why = "protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL or a reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111";
            e.invalid(&at, v, why);
        }
    }
}

fn names_of(n: &CustomResourceDefinitionNames, path: &Path, e: &mut FieldErrors) {
    for (name, v) in [("plural", n.plural.as_str()), ("singular", s(&n.singular)), ("kind", n.kind.as_str()), ("listKind", s(&n.list_kind))] {
        if v.is_empty() {
            e.required(&path.child(name), "");
        }
    }
    names_given(n, path, e);
}

/// What is said of names must be well-formed.
fn names_given(n: &CustomResourceDefinitionNames, path: &Path, e: &mut FieldErrors) {
    for (name, v) in [("plural", n.plural.as_str()), ("singular", s(&n.singular))].into_iter().filter(|(_, v)| !v.is_empty()) {
        complain(&path.child(name), v, names::dns1035_label(v), e);
    }
    for (name, v) in [("kind", n.kind.as_str()), ("listKind", s(&n.list_kind))].into_iter().filter(|(_, v)| !v.is_empty()) {
        for m in names::dns1035_label(&v.to_lowercase()) {
            e.invalid(&path.child(name), v, format!("may have mixed case, but should otherwise match: {m}"));
        }
    }
    let each = |name: &str, list: &Option<Vec<String>>, e: &mut FieldErrors| {
        for (i, v) in items(list).iter().enumerate() {
            complain(&path.child(name).index(i), v, names::dns1035_label(v), e);
        }
    };
    each("shortNames", &n.short_names, e);
    if !n.kind.is_empty() && n.kind == s(&n.list_kind) {
        e.invalid(&path.child("listKind"), s(&n.list_kind), "kind and listKind may not be the same");
    }
    each("categories", &n.categories, e);
}

fn kept(n: &CustomResourceDefinition, o: &CustomResourceDefinition, e: &mut FieldErrors) {
    let path = Path::new("spec");
    let established = o.status.as_ref().is_some_and(|x| items(&x.conditions).iter().any(|c| c.type_ == "Established" && c.status == "True"));
    if established {
        immutable_text(&n.spec.scope, &o.spec.scope, &path.child("scope"), e);
        immutable_text(&n.spec.names.kind, &o.spec.names.kind, &path.child("names").child("kind"), e);
    }
    immutable_text(&n.spec.group, &o.spec.group, &path.child("group"), e);
    immutable_text(&n.spec.names.plural, &o.spec.names.plural, &path.child("names").child("plural"), e);
}

/// The versions that objects are stored in are served or kept for conversion, and the newest is among them.
fn remembered(n: &CustomResourceDefinition, e: &mut FieldErrors) {
    let path = Path::new("status.storedVersions");
    let stored = n.status.as_ref().map(|x| items(&x.stored_versions)).unwrap_or_default();
    if stored.is_empty() {
        return e.invalid(&path, crate::json::null(), "must have at least one stored version");
    }
    let mut left: Vec<&String> = stored.iter().collect();
    for v in &n.spec.versions {
        let before = left.len();
        left.retain(|name| **name != v.name);
        if v.storage && left.len() == before {
            e.invalid(&path, crate::json::list(stored), format!("must have the storage version {}", v.name));
        }
    }
    for (i, v) in stored.iter().enumerate().filter(|(_, v)| left.contains(v)) {
        let why = format!("missing from spec.versions; {v} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {v} and removes {v} from status.storedVersions");
        e.invalid(&path.index(i), v, why);
    }
}

pub(crate) const SERVICE_ROW: Rules = Rules {
    default: edit!(APIService, |a: &mut APIService| {
        if let Some(service) = a.spec.as_mut().and_then(|x| x.service.as_mut()) {
            service.port.get_or_insert(443);
        }
    }),
    prepare_create: edit!(APIService, |a: &mut APIService| {
        a.status = Some(APIServiceStatus::default());
        let local = a.spec.as_ref().is_some_and(|x| x.service.is_none());
        if local {
            a.status = Some(APIServiceStatus {
                conditions: Some(vec![kinds::kube_aggregator::pkg::apis::apiregistration::v1::APIServiceCondition {
                    type_: "Available".into(),
                    status: "True".into(),
                    reason: Some("Local".into()),
                    message: Some("Local APIServices are always available".into()),
                    last_transition_time: None,
                }]),
            });
        }
    }),
    prepare_update: edit_with_old!(APIService, |n: &mut APIService, o: &APIService| n.status.clone_from(&o.status)),
    prepare_status_update: Some(edit_with_old!(APIService, |n: &mut APIService, o: &APIService| {
        n.spec.clone_from(&o.spec);
        n.status.get_or_insert_default();
    })),
    validate: check!(APIService, service),
    validate_update: check_with_old!(APIService, |n: &APIService, _: &APIService, e: &mut FieldErrors| service(n, e)),
    allow_unconditional_update: false,
    ..Rules::plain(Kind::APIService, NameRule::PathSegment)
};

fn service(a: &APIService, e: &mut FieldErrors) {
    let none = Default::default();
    let spec = a.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    let (group, version) = (s(&spec.group), s(&spec.version));
    let wanted = format!("{version}.{group}");
    if s(&a.metadata.name) != wanted {
        let why = format!("must be `spec.version+\".\"+spec.group`: {wanted:?}");
        e.invalid(&Path::new("metadata.name"), s(&a.metadata.name), why);
    }
    if group.is_empty() {
        if version != "v1" {
            e.required(&path.child("group"), "only v1 may have an empty group and it better be legacy kube");
        }
    } else {
        complain(&path.child("group"), group, names::dns_subdomain(group), e);
    }
    complain(&path.child("version"), version, names::dns1035_label(version), e);
    for (name, n, max) in [("groupPriorityMinimum", spec.group_priority_minimum, 20_000), ("versionPriority", spec.version_priority, 1_000)] {
        if n <= 0 || n > max {
            e.invalid(&path.child(name), n, format!("must be positive and less than {max}"));
        }
    }
    let has_bundle = spec.ca_bundle.as_ref().is_some_and(|b| !b.0.is_empty());
    let Some(service) = &spec.service else {
        if has_bundle {
            e.invalid(&path.child("caBundle"), "<CA bundle>", "local APIServices may not have a caBundle");
        }
        if on(spec.insecure_skip_tls_verify) {
            e.invalid(&path.child("insecureSkipTLSVerify"), true, "local APIServices may not have insecureSkipTLSVerify");
        }
        return;
    };
    let at = path.child("service");
    present(s(&service.namespace), &at.child("namespace"), e);
    present(s(&service.name), &at.child("name"), e);
    if let Some(n) = service.port {
        for _ in names::port_number(n) {
            e.invalid(&at.child("port"), n, "port is not valid: must be between 1 and 65535, inclusive");
        }
    }
    if on(spec.insecure_skip_tls_verify) && has_bundle {
        e.invalid(&path.child("insecureSkipTLSVerify"), true, "may not be true if caBundle is present");
    }
}
