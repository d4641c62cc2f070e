//! ObjectMeta: what every object must satisfy when it is created and when it is changed.
//!
//! Docs: "Object Names and IDs", "Labels", "Annotations", "Finalizers", "Owners and Dependents".

use crate::names::{self, NameRule};
use crate::read::{entries, has, items, s, same_time};
use kinds::field::Bare;
use kinds::{FieldErrors, LabelSelector, ObjectMeta, OwnerReference, Path};
use serde_json::json;
use std::collections::BTreeMap;

/// All annotations together: keys and values.
pub const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
/// The text of every field that may not change.
pub const IMMUTABLE: &str = "field is immutable";
const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

/// Kinds that may own nothing.
const BANNED_OWNERS: &[(&str, &str)] = &[("v1", "Event")];

fn complain(path: &Path, value: &str, why: Vec<String>, e: &mut FieldErrors) {
    for m in why {
        e.invalid(path, value, m);
    }
}

/// The metadata of a new object.
pub fn validate(meta: &ObjectMeta, namespaced: bool, rule: NameRule, path: &Path, e: &mut FieldErrors) {
    if has(&meta.generate_name) {
        let name = s(&meta.generate_name);
        complain(&path.child("generateName"), name, rule.check(name, true), e);
    }
    if !has(&meta.name) {
        e.required(&path.child("name"), "name or generateName is required");
    } else {
        complain(&path.child("name"), s(&meta.name), rule.check(s(&meta.name), false), e);
    }
    namespace(meta, namespaced, path, e);
    common(meta, path, e);
}

fn namespace(meta: &ObjectMeta, namespaced: bool, path: &Path, e: &mut FieldErrors) {
    let ns = s(&meta.namespace);
    let path = path.child("namespace");
    match (namespaced, ns.is_empty()) {
        (true, true) => e.required(&path, ""),
        (true, false) => complain(&path, ns, names::dns_label(ns), e),
        (false, false) => e.forbidden(&path, "not allowed on this type"),
        (false, true) => {}
    }
}

fn common(meta: &ObjectMeta, path: &Path, e: &mut FieldErrors) {
    if let Some(g) = meta.generation.filter(|g| *g < 0) {
        e.invalid(&path.child("generation"), g, NOT_NEGATIVE);
    }
    if meta.labels.is_some() {
        labels(meta.labels.as_ref(), &path.child("labels"), e);
    }
    if meta.annotations.is_some() {
        annotations(meta.annotations.as_ref(), &path.child("annotations"), e);
    }
    if meta.owner_references.is_some() {
        owners(items(&meta.owner_references), &path.child("ownerReferences"), e);
    }
    if meta.finalizers.is_some() {
        finalizers(items(&meta.finalizers), &path.child("finalizers"), e);
    }
}

/// A set of labels.
pub fn labels(labels: Option<&BTreeMap<String, String>>, path: &Path, e: &mut FieldErrors) {
    for (k, v) in labels.into_iter().flatten() {
        complain(path, k, names::qualified_name(k), e);
        complain(path, v, names::label_value(v), e);
    }
}

/// Of the metadata in a template of a claim, only labels and annotations are taken over.
pub fn template(m: &ObjectMeta, at: &Path, e: &mut FieldErrors) {
    annotations(m.annotations.as_ref(), &at.child("annotations"), e);
    labels(m.labels.as_ref(), &at.child("labels"), e);
    for (name, given) in [
        ("name", has(&m.name)),
        ("generateName", has(&m.generate_name)),
        ("namespace", has(&m.namespace)),
        ("selfLink", has(&m.self_link)),
        ("uID", has(&m.uid)),
        ("resourceVersion", has(&m.resource_version)),
        ("generation", m.generation.unwrap_or_default() != 0),
        ("creationTimestamp", m.creation_timestamp.is_some()),
        ("deletionTimestamp", m.deletion_timestamp.is_some()),
        ("deletionGracePeriodSeconds", m.deletion_grace_period_seconds.is_some()),
        ("ownerReferences", m.owner_references.is_some()),
        ("finalizers", m.finalizers.is_some()),
        ("managedFields", m.managed_fields.is_some()),
    ] {
        if given {
            e.forbidden(&at.child(name), "cannot be set");
        }
    }
}

/// A set of annotations: keys and the size of all.
pub fn annotations(annotations: Option<&BTreeMap<String, String>>, path: &Path, e: &mut FieldErrors) {
    let mut bytes = 0;
    for (k, v) in annotations.into_iter().flatten() {
        complain(path, k, names::qualified_name(&k.to_lowercase()), e);
        bytes += k.len() + v.len();
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        e.too_long(path, ANNOTATIONS_BYTES_MAX);
    }
}

pub(crate) fn owner_json(o: &OwnerReference) -> Bare {
    let mut members: Vec<String> = [("apiVersion", &o.api_version), ("kind", &o.kind), ("name", &o.name), ("uid", &o.uid)]
        .map(|(k, v)| format!("{k:?}:{}", json!(v)))
        .to_vec();
    let flags = [("controller", o.controller), ("blockOwnerDeletion", o.block_owner_deletion)];
    members.extend(flags.iter().filter_map(|(k, f)| f.map(|f| format!("{k:?}:{f}"))));
    Bare(format!("{{{}}}", members.join(",")))
}

fn owners(owners: &[OwnerReference], path: &Path, e: &mut FieldErrors) {
    let mut first: Option<&OwnerReference> = None;
    for o in owners {
        // Which of them is not told.
        let at = path;
        let version = o.api_version.rsplit('/').next().unwrap_or_default();
        for (name, value, why) in [
            ("apiVersion", version, "version must not be empty"),
            ("kind", &o.kind, "must not be empty"),
            ("name", &o.name, "must not be empty"),
            ("uid", &o.uid, "must not be empty"),
        ] {
            if value.is_empty() {
                e.invalid(&at.child(name), value, why);
            }
        }
        if BANNED_OWNERS.contains(&(o.api_version.as_str(), o.kind.as_str())) {
            let gvk = format!("/{}, Kind={}", o.api_version, o.kind);
            e.invalid(path, owner_json(o), format!("{gvk} is disallowed from being an owner"));
        }
        if o.controller == Some(true) {
            if let Some(f) = first {
                let all = owners.iter().map(|o| owner_json(o).0).collect::<Vec<_>>().join(",");
                let why = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
                    f.name, o.name
                );
                e.invalid(path, Bare(format!("[{all}]")), why);
            }
            first = Some(o);
        }
    }
}

fn finalizers(finalizers: &[String], path: &Path, e: &mut FieldErrors) {
    for f in finalizers {
        complain(path, f, names::qualified_name(f), e);
    }
    let has = |n: &str| finalizers.iter().any(|f| f == n);
    if has("orphan") && has("foregroundDeletion") {
        e.invalid(
            path,
            crate::json::list(finalizers),
            "finalizer orphan and foregroundDeletion cannot be both set",
        );
    }
}

/// Finalizers without a domain.
const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

/// Finalizers of Kubernetes' own kinds have a domain, or are among the old ones.
pub fn standard_finalizers(meta: &ObjectMeta, path: &Path, e: &mut FieldErrors) {
    for (i, f) in items(&meta.finalizers).iter().enumerate() {
        if !f.contains('/') && !STANDARD_FINALIZERS.contains(&f.as_str()) {
            e.invalid(&path.child("finalizers").index(i), f, "name is neither a standard finalizer name nor is it fully qualified");
        }
    }
}

/// The metadata of a changed object. `resourceVersion`, `uid`, `creationTimestamp` that the client left out have been
/// copied from the stored object before.
pub fn validate_update(new: &ObjectMeta, old: &ObjectMeta, path: &Path, e: &mut FieldErrors) {
    if old.deletion_timestamp.is_some() {
        let added: Vec<&String> =
            items(&new.finalizers).iter().filter(|f| !items(&old.finalizers).contains(f)).collect();
        if !added.is_empty() {
            let list = added.iter().map(|f| format!("{f:?}")).collect::<Vec<_>>().join(", ");
            let why = format!("no new finalizers can be added if the object is being deleted, found new finalizers []string{{{list}}}");
            e.forbidden(&path.child("finalizers"), why);
        }
    }
    if !has(&new.resource_version) {
        e.invalid(&path.child("resourceVersion"), "", "must be specified for an update");
    }
    let (was, is) = (old.generation.unwrap_or_default(), new.generation.unwrap_or_default());
    if is < was {
        e.invalid(&path.child("generation"), is, "must not be decremented");
    }
    immutable_text(s(&new.name), s(&old.name), &path.child("name"), e);
    immutable_text(s(&new.namespace), s(&old.namespace), &path.child("namespace"), e);
    immutable_text(s(&new.uid), s(&old.uid), &path.child("uid"), e);
    for (name, n, o) in [
        ("creationTimestamp", &new.creation_timestamp, &old.creation_timestamp),
        ("deletionTimestamp", &new.deletion_timestamp, &old.deletion_timestamp),
    ] {
        if !same_time(n.as_ref(), o.as_ref()) {
            let shown = n.as_ref().map_or("null".into(), |t| format!("\"{}\"", t.0));
            e.invalid(&path.child(name), Bare(shown), IMMUTABLE);
        }
    }
    if new.deletion_grace_period_seconds != old.deletion_grace_period_seconds {
        let shown = new.deletion_grace_period_seconds.map_or("null".into(), |n| n.to_string());
        e.invalid(&path.child("deletionGracePeriodSeconds"), Bare(shown), IMMUTABLE);
    }
    common(new, path, e);
}

/// A text that may not change.
pub fn immutable_text(new: &str, old: &str, path: &Path, e: &mut FieldErrors) {
    if new != old {
        e.invalid(path, new, IMMUTABLE);
    }
}

/// How strict a label selector is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Values must be label values.
    Strict,
    /// Values that were stored before may stay as they are.
    Loose,
}

/// A `LabelSelector`.
pub fn label_selector(selector: Option<&LabelSelector>, values: Values, path: &Path, e: &mut FieldErrors) {
    let Some(sel) = selector else { return };
    labels(sel.match_labels.as_ref(), &path.child("matchLabels"), e);
    for (i, r) in items(&sel.match_expressions).iter().enumerate() {
        let at = path.child("matchExpressions").index(i);
        let list = items(&r.values);
        match r.operator.as_str() {
            "In" | "NotIn" if list.is_empty() => {
                e.required(&at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !list.is_empty() => {
                e.forbidden(&at.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => e.invalid(&at.child("operator"), other, "not a valid selector operator"),
        }
        complain(&at.child("key"), &r.key, names::qualified_name(&r.key), e);
        if values == Values::Strict {
            for (j, v) in list.iter().enumerate() {
                complain(&at.child("values").index(j), v, names::label_value(v), e);
            }
        }
    }
}

/// Whether a selector has no requirement at all.
#[must_use]
pub fn is_empty_selector(s: &LabelSelector) -> bool {
    entries(&s.match_labels).next().is_none() && items(&s.match_expressions).is_empty()
}
