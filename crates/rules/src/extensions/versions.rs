//! The versions of a definition. What all of them share is told where a definition had it before it had versions:
//! `spec.validation.openAPIV3Schema`, `spec.subresources`, `spec.additionalPrinterColumns`, `spec.selectableFields`. Docs:
//! "Versions in CustomResourceDefinitions", "Selectable fields" (KEP-4358).

use super::keywords::Asked;
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

/// The versions of a definition; what all of them share counts as the definition's own.
pub(super) struct Versions<'a> {
    list: &'a [Version],
    asked: Asked,
    schema: bool,
    subresources: bool,
    columns: bool,
    fields: bool,
}

fn same<T: PartialEq>(list: &[Version], part: impl Fn(&Version) -> &T) -> bool {
    list.windows(2).all(|pair| part(&pair[0]) == part(&pair[1]))
}

impl<'a> Versions<'a> {
    pub(super) fn of(list: &'a [Version], asked: Asked) -> Self {
        Self {
            list,
            asked,
            schema: same(list, |v| &v.schema),
            subresources: same(list, |v| &v.subresources),
            columns: same(list, |v| &v.additional_printer_columns),
            fields: same(list, |v| &v.selectable_fields),
        }
    }

    /// What each version says for itself.
    pub(super) fn each(&self, path: &Path, e: &mut FieldErrors) {
        let at = path.child("versions");
        if self.list.is_empty() {
            return e.invalid(&at, Bare("null".into()), ONE_STORED);
        }
        for (i, _) in self.list.iter().enumerate().filter(|(_, v)| root(v).is_none()) {
            e.required(&at.index(i).child("schema").child("openAPIV3Schema"), "");
        }
        let mut seen = BTreeSet::new();
        let mut unique = true;
        for (i, v) in self.list.iter().enumerate() {
            unique &= seen.insert(&v.name);
            self.own(v, &at.index(i), e);
        }
        let shown = || Bare(super::shown::versions(self.list, [self.schema, self.subresources, self.columns, self.fields]));
        if !unique {
            e.invalid(&at, shown(), "must contain unique version names");
        }
        if self.list.iter().filter(|v| v.storage).count() != 1 {
            e.invalid(&at, shown(), ONE_STORED);
        }
        let first = &self.list[0].name;
        if !first.is_empty() {
            complain(&path.child("version"), first, names::dns1035_label(first), e);
        }
    }

    fn own(&self, v: &Version, at: &Path, e: &mut FieldErrors) {
        complain(&at.child("name"), &v.name, names::dns1035_label(&v.name), e);
        warning(v, &at.child("deprecationWarning"), e);
        if let Some(root) = root(v).filter(|_| !self.schema) {
            schema::validate(root, has_status(v), self.asked, &at.child("schema").child("openAPIV3Schema"), e);
        }
        if !self.subresources {
            scale(v, &at.child("subresources"), e);
        }
        if !self.columns {
            printed(v, &at.child("additionalPrinterColumns"), e);
        }
        if !self.fields && !items(&v.selectable_fields).is_empty() {
            let at = at.child("selectableFields");
            match root(v) {
                Some(root) => fields(items(&v.selectable_fields), root, &at, e),
                None => e.invalid(&at, "", "may only be set when `version.schema.openAPIV3Schema` is not included"),
            }
        }
    }

    /// What all versions say alike.
    pub(super) fn shared(&self, path: &Path, e: &mut FieldErrors) {
        let Some(v) = self.list.first() else { return };
        if let Some(root) = root(v).filter(|_| self.schema) {
            let status = self.list.iter().any(has_status);
            schema::validate(root, status, self.asked, &path.child("validation").child("openAPIV3Schema"), e);
        }
        if self.subresources {
            scale(v, &path.child("subresources"), e);
        }
        if self.columns {
            printed(v, &path.child("additionalPrinterColumns"), e);
        }
        if self.fields && !items(&v.selectable_fields).is_empty() {
            let at = path.child("selectableFields");
            match root(v).filter(|_| self.schema) {
                Some(root) => fields(items(&v.selectable_fields), root, &at, e),
                None => e.invalid(&at, "", "may only be set when validations.schema is included"),
            }
        }
    }
}

const ONE_STORED: &str = "must have exactly one version marked as storage version";
/// The longest text that may warn of a version.
const WARNING_MAX_BYTES: usize = 256;

/// The schema of a version.
pub(super) fn root(v: &Version) -> Option<&JSONSchemaProps> {
    v.schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref())
}

fn has_status(v: &Version) -> bool {
    v.subresources.as_ref().is_some_and(|s| s.status.is_some())
}

fn warning(v: &Version, at: &Path, e: &mut FieldErrors) {
    let Some(text) = v.deprecation_warning.as_deref() else { return };
    if !on(v.deprecated) {
        return e.invalid(at, text, "can only be set for deprecated versions");
    }
    if text.len() > WARNING_MAX_BYTES {
        e.invalid(at, text, format!("must be <= {WARNING_MAX_BYTES} characters long"));
    }
    if text.is_empty() {
        e.invalid(at, text, "must not be an empty string");
    }
    if let Some((i, _)) = text.char_indices().find(|(_, c)| c.is_control() || (c.is_whitespace() && *c != ' ')) {
        e.invalid(at, text, format!("must only contain printable UTF-8 characters; non-printable character found at index {i}"));
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
