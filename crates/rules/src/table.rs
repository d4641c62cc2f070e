//! The table of rules: a row of fn pointers for each kind, and the macros that rows are written with.
//!
//! The order in which the registry uses a row: `default`, `prepare_*`, admission, `validate*`, `warnings`.

use crate::meta;
use crate::names::NameRule;
use kinds::{DeleteOptions, FieldErrors, Kind, Object, Path};

/// Changes an object by itself.
pub type Edit = fn(&mut Object);
/// Changes a new object in view of the stored one.
pub type EditWithOld = fn(&mut Object, &Object);
/// Judges an object.
pub type Check = fn(&Object, &mut FieldErrors);
/// Judges a changed object: (new, old).
pub type CheckWithOld = fn(&Object, &Object, &mut FieldErrors);
/// Values that field selectors may ask for.
pub type Fields = fn(&Object) -> Vec<(&'static str, String)>;

/// How one kind behaves.
#[derive(Clone, Copy)]
pub struct Rules {
    pub kind: Kind,
    pub name: NameRule,
    /// Fills in defaults, and spells quantities canonically. Idempotent.
    pub default: Edit,
    /// Before a create: status cleared, generation 1, …
    pub prepare_create: Edit,
    /// Before an update: status kept, generation moved on when the spec changed.
    pub prepare_update: EditWithOld,
    /// Before an update of the `status` subresource: everything but status kept; `None` without one.
    pub prepare_status_update: Option<EditWithOld>,
    /// A new object.
    pub validate: Check,
    /// A changed object, as a whole: `validate` is not asked again.
    pub validate_update: CheckWithOld,
    pub validate_status_update: CheckWithOld,
    /// Texts for `Warning:` headers: (new, old).
    pub warnings: fn(&Object, Option<&Object>) -> Vec<String>,
    /// The grace period of a delete in seconds, for kinds that end gracefully.
    pub graceful_delete: Option<fn(&Object, &DeleteOptions) -> i64>,
    pub allow_create_on_update: bool,
    pub allow_unconditional_update: bool,
    pub fields: Fields,
}

impl Rules {
    /// A kind with nothing but metadata.
    pub(crate) const fn plain(kind: Kind, name: NameRule) -> Self {
        Self {
            kind,
            name,
            default: |_| {},
            prepare_create: |_| {},
            prepare_update: |_, _| {},
            prepare_status_update: None,
            validate: check_new,
            validate_update: check_changed,
            validate_status_update: check_changed,
            warnings: |_, _| Vec::new(),
            graceful_delete: None,
            allow_create_on_update: false,
            allow_unconditional_update: true,
            fields: meta_fields,
        }
    }
}

/// The rules of a kind. Kinds that are views answer with the row of the kind that they are stored as.
#[must_use]
pub fn rules(kind: Kind) -> &'static Rules {
    crate::rows::row(kind.stored_as())
}

/// Metadata of a new object of any kind.
pub(crate) fn check_new(o: &Object, e: &mut FieldErrors) {
    let (namespaced, rule) = match o.kind() {
        Some(k) => (k.namespaced(), rules(k).name),
        None => (o.resource().namespaced(), NameRule::DnsSubdomain),
    };
    meta::validate(o.meta(), namespaced, rule, &Path::new("metadata"), e);
    finalizers(o, e);
}

/// Definitions, registrations and custom objects may have any.
fn finalizers(o: &Object, e: &mut FieldErrors) {
    if o.kind().is_some_and(|k| !matches!(k, Kind::CustomResourceDefinition | Kind::APIService)) {
        meta::standard_finalizers(o.meta(), &Path::new("metadata"), e);
    }
}

/// Metadata of a changed object of any kind.
pub(crate) fn check_changed(n: &Object, o: &Object, e: &mut FieldErrors) {
    // Once for all kinds, and once more by the kind itself.
    for _ in 0..2 {
        meta::validate_update(n.meta(), o.meta(), &Path::new("metadata"), e);
    }
    finalizers(n, e);
}

/// `metadata.name` and, where there is one, `metadata.namespace`.
pub(crate) fn meta_fields(o: &Object) -> Vec<(&'static str, String)> {
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    vec![("metadata.name", text(&o.meta().name)), ("metadata.namespace", text(&o.meta().namespace))]
}

/// Validation of a custom resource's metadata, for kinds that have no row.
pub fn validate_dynamic(o: &Object, e: &mut FieldErrors) {
    check_new(o, e);
}

/// Validation of a changed custom resource's metadata.
pub fn validate_dynamic_update(n: &Object, o: &Object, e: &mut FieldErrors) {
    check_changed(n, o, e);
}

/// `fn(&mut K)` as `fn(&mut Object)`.
macro_rules! edit {
    ($v:ident, $f:expr) => {
        |o: &mut kinds::Object| {
            if let kinds::Object::$v(x) = o {
                $f(std::sync::Arc::make_mut(x));
            }
        }
    };
}

/// `fn(&mut K, &K)` as `fn(&mut Object, &Object)`.
macro_rules! edit_with_old {
    ($v:ident, $f:expr) => {
        |n: &mut kinds::Object, o: &kinds::Object| {
            if let (kinds::Object::$v(n), kinds::Object::$v(o)) = (n, o) {
                $f(std::sync::Arc::make_mut(n), &**o);
            }
        }
    };
}

/// `fn(&K, &mut FieldErrors)` after the metadata's own check.
macro_rules! check {
    ($v:ident, $f:expr) => {
        |o: &kinds::Object, e: &mut kinds::FieldErrors| {
            crate::table::check_new(o, e);
            if let kinds::Object::$v(x) = o {
                $f(&**x, e);
            }
        }
    };
}

/// `fn(&K, &K, &mut FieldErrors)` after the metadata's own check.
macro_rules! check_with_old {
    ($v:ident, $f:expr) => {
        |n: &kinds::Object, o: &kinds::Object, e: &mut kinds::FieldErrors| {
            crate::table::check_changed(n, o, e);
            if let (kinds::Object::$v(n), kinds::Object::$v(o)) = (n, o) {
                $f(&**n, &**o, e);
            }
        }
    };
}

/// `fn(&K) -> Vec<(&'static str, String)>` after the metadata's fields.
macro_rules! fields {
    ($v:ident, $f:expr) => {
        |o: &kinds::Object| {
            let mut all = crate::table::meta_fields(o);
            if let kinds::Object::$v(x) = o {
                all.extend($f(&**x));
            }
            all
        }
    };
}

/// `fn(&K, Option<&K>) -> Vec<String>`.
macro_rules! warnings {
    ($v:ident, $f:expr) => {
        |n: &kinds::Object, o: Option<&kinds::Object>| {
            let old = match o {
                Some(kinds::Object::$v(o)) => Some(&**o),
                _ => None,
            };
            match n {
                kinds::Object::$v(n) => $f(&**n, old),
                _ => Vec::new(),
            }
        }
    };
}

pub(crate) use {check, check_with_old, edit, edit_with_old, fields, warnings};

/// Status cleared and generation 1, for a kind with both.
macro_rules! fresh {
    ($v:ident, $t:ty) => {
        edit!($v, |o: &mut $t| {
            o.status = Some(Default::default());
            o.metadata.generation = Some(1);
        })
    };
}

/// Status kept, and generation moved on when the spec changed.
macro_rules! keep_status {
    ($v:ident, $t:ty) => {
        edit_with_old!($v, |n: &mut $t, o: &$t| {
            n.status.clone_from(&o.status);
            let was = o.metadata.generation.unwrap_or_default();
            n.metadata.generation = Some(if n.spec == o.spec { was } else { was + 1 });
        })
    };
}

/// Status kept, for kinds that count no generations.
macro_rules! keep_status_alone {
    ($v:ident, $t:ty) => {
        edit_with_old!($v, |n: &mut $t, o: &$t| n.status.clone_from(&o.status))
    };
}

/// Spec and generation kept: what an update of the status may not touch.
macro_rules! keep_spec {
    ($v:ident, $t:ty) => {
        Some(edit_with_old!($v, |n: &mut $t, o: &$t| {
            n.spec.clone_from(&o.spec);
            n.metadata.generation = o.metadata.generation;
            n.status.get_or_insert_default();
        }))
    };
}

/// Spec, generation and labels kept, as the status of workloads is updated.
macro_rules! keep_spec_and_labels {
    ($v:ident, $t:ty) => {
        Some(edit_with_old!($v, |n: &mut $t, o: &$t| {
            n.spec.clone_from(&o.spec);
            n.metadata.generation = o.metadata.generation;
            n.metadata.labels.clone_from(&o.metadata.labels);
            n.status.get_or_insert_default();
        }))
    };
}

pub(crate) use {fresh, keep_spec, keep_spec_and_labels, keep_status, keep_status_alone};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod verdicts;
