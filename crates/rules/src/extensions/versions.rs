//! The versions of a definition. What all of them share is told where a definition had it before it had versions:
//! `spec.validation.openAPIV3Schema`, `spec.subresources`, `spec.additionalPrinterColumns`, `spec.selectableFields`. Docs:
//! "Versions in CustomResourceDefinitions", "Selectable fields" (KEP-4358).

use super::schema;
use crate::checks::{complain, present};
use crate::customs::expressions::field_path;
use crate::names;
use crate::read::{items, on, s};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinitionVersion as Version, JSONSchemaProps, SelectableField,
};
use kinds::field::Bare;
use kinds::{FieldErrors, Path};
use std::collections::BTreeSet;

/// How many fields a version may let select by.
const SELECTABLE_MAX: usize = 8;

/// A part that versions have each or all in common.
struct Part {
    shared: bool,
    own: &'static str,
    top: &'static str,
}

impl Part {
    fn of<T: PartialEq>(list: &[Version], (own, top): (&'static str, &'static str), part: impl Fn(&Version) -> &T) -> Self {
        Self { shared: list.iter().all(|v| part(v) == part(&list[0])), own, top }
    }
    /// Where errors of the `i`th version's part are told; nowhere when they were told already.
    fn at(&self, path: &Path, i: usize) -> Option<Path> {
        match (self.shared, i) {
            (false, _) => Some(path.child("versions").index(i).child(self.own)),
            (true, 0) => Some(path.child(self.top)),
            _ => None,
        }
    }
}

pub(super) fn validate(list: &[Version], path: &Path, e: &mut FieldErrors) {
    let at = path.child("versions");
    if list.is_empty() {
        e.invalid(&at, Bare("null".into()), ONE_STORED);
        return;
    }
    let mut seen = BTreeSet::new();
    let mut unique = true;
    for (i, v) in list.iter().enumerate() {
        let at = at.index(i);
        unique &= seen.insert(&v.name);
        complain(&at.child("name"), &v.name, names::dns1035_label(&v.name), e);
        if root(v).is_none() {
            e.required(&at.child("schema").child("openAPIV3Schema"), "");
        }
        if !on(v.deprecated) && v.deprecation_warning.is_some() {
            e.invalid(&at.child("deprecationWarning"), s(&v.deprecation_warning), "can only be set for deprecated versions");
        }
    }
    parts(list, path, e);
    if !unique {
        e.invalid(&at, shown(list), "must contain unique version names");
    }
    if list.iter().filter(|v| v.storage).count() != 1 {
        e.invalid(&at, shown(list), ONE_STORED);
    }
}

const ONE_STORED: &str = "must have exactly one version marked as storage version";

/// Versions as Go prints them, where nothing but their names and flags is set.
fn shown(list: &[Version]) -> Bare {
    let one = |v: &Version| {
        format!(
            "{{\"Name\":{:?},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":null,\"Schema\":null,\"Subresources\":null,\"AdditionalPrinterColumns\":null,\"SelectableFields\":null}}",
            v.name, v.served, v.storage, on(v.deprecated)
        )
    };
    Bare(format!("[{}]", list.iter().map(one).collect::<Vec<_>>().join(",")))
}

fn root(v: &Version) -> Option<&JSONSchemaProps> {
    v.schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref())
}

fn parts(list: &[Version], path: &Path, e: &mut FieldErrors) {
    let schemas = Part::of(list, ("schema", "validation"), |v| &v.schema);
    let subresources = Part::of(list, ("subresources", "subresources"), |v| &v.subresources);
    let columns = Part::of(list, ("additionalPrinterColumns", "additionalPrinterColumns"), |v| &v.additional_printer_columns);
    let selectable = Part::of(list, ("selectableFields", "selectableFields"), |v| &v.selectable_fields);
    for (i, v) in list.iter().enumerate() {
        if let (Some(root), Some(at)) = (root(v), schemas.at(path, i)) {
            schema::validate(root, &at.child("openAPIV3Schema"), e);
        }
        if let Some(at) = subresources.at(path, i) {
            scale(v, &at, e);
        }
        if let Some(at) = columns.at(path, i) {
            printed(v, &at, e);
        }
        if let Some(at) = selectable.at(path, i).filter(|_| !items(&v.selectable_fields).is_empty()) {
            // What all versions select by is looked for in the schema that all have.
            match root(v).filter(|_| schemas.shared || !selectable.shared) {
                Some(root) => fields(items(&v.selectable_fields), root, &at, e),
                None => e.invalid(&at, "", "may only be set when validations.schema is included"),
            }
        }
    }
}

fn scale(v: &Version, at: &Path, e: &mut FieldErrors) {
    let Some(scale) = v.subresources.as_ref().and_then(|x| x.scale.as_ref()) else { return };
    let at = at.child("scale");
    json_path(&scale.spec_replicas_path, ".spec", &at.child("specReplicasPath"), e);
    json_path(&scale.status_replicas_path, ".status", &at.child("statusReplicasPath"), e);
    if let Some(text) = scale.label_selector_path.as_deref().filter(|t| !t.is_empty())
        && simple_path(text, &at.child("labelSelectorPath"), e)
        && ![".spec.", ".status."].iter().any(|below| text.starts_with(below))
    {
        e.invalid(&at.child("labelSelectorPath"), text, "should be a json path under either .spec or .status");
    }
}

fn printed(v: &Version, at: &Path, e: &mut FieldErrors) {
    for (j, c) in items(&v.additional_printer_columns).iter().enumerate() {
        let at = at.index(j);
        present(&c.name, &at.child("name"), e);
        let known = |list: &[&str], text: &str| list.contains(&text);
        if c.type_.is_empty() {
            e.required(&at.child("type"), format!("must be one of {}", COLUMN_TYPES.join(",")));
        } else if !known(COLUMN_TYPES, &c.type_) {
            e.invalid(&at.child("type"), &c.type_, format!("must be one of {}", COLUMN_TYPES.join(",")));
        }
        if let Some(f) = c.format.as_deref().filter(|f| !f.is_empty() && !known(COLUMN_FORMATS, f)) {
            e.invalid(&at.child("format"), f, format!("must be one of {}", COLUMN_FORMATS.join(",")));
        }
        let at = at.child("JSONPath");
        if c.json_path.is_empty() {
            e.required(&at, "");
        } else {
            simple_path(&c.json_path, &at, e);
        }
    }
}

const COLUMN_TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: &[&str] = &["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

/// A path of the simple kind: names behind dots.
fn simple_path(text: &str, at: &Path, e: &mut FieldErrors) -> bool {
    let simple = text.starts_with('.');
    if !simple {
        e.invalid(at, text, "must be a simple json path starting with .");
    }
    simple
}

fn json_path(text: &str, below: &str, at: &Path, e: &mut FieldErrors) {
    if text.is_empty() {
        e.required(at, "");
    } else if simple_path(text, at, e) && !text.starts_with(&format!("{below}.")) {
        e.invalid(at, text, format!("should be a json path under {below}"));
    }
}

fn fields(list: &[SelectableField], root: &JSONSchemaProps, at: &Path, e: &mut FieldErrors) {
    let mut seen = BTreeSet::new();
    for (i, f) in list.iter().enumerate() {
        let path = at.index(i).child("jsonPath");
        let text = f.json_path.as_str();
        if text.is_empty() {
            e.required(&path, "");
            continue;
        }
        if !text.starts_with(['.', '[']) {
            e.invalid(&path, text, format!("is an invalid path: expected [ or . but got: {text}"));
            continue;
        }
        let names = field_path(text).unwrap_or_default();
        let Some(found) = names.iter().try_fold(root, |s, n| s.properties.as_ref()?.get(n)).filter(|_| !names.is_empty()) else {
            e.invalid(&path, text, "is an invalid path: does not refer to a valid field");
            continue;
        };
        if names[0] == "metadata" {
            e.invalid(&path, text, "must not point to fields in metadata");
        }
        if !["string", "boolean", "integer"].contains(&s(&found.type_)) {
            let why = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            e.invalid(&path, text, why);
        }
        if !seen.insert(names) {
            e.duplicate(&path, text);
        }
    }
    if seen.len() > SELECTABLE_MAX {
        e.too_many(at, seen.len(), SELECTABLE_MAX);
    }
}
