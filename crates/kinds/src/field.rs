//! Validation errors with the path of the field, worded as Kubernetes words them.

use crate::Object;
use crate::error::Cause;
use std::fmt::{self, Display};

/// Where in an object: `spec.containers[0].image`, `metadata.labels[app]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// A path of one or more dotted names.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }
    /// A field below.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { self.with(&[".", name]) }
    }
    /// A list element.
    #[must_use]
    pub fn index(&self, i: usize) -> Self {
        Self(format!("{}[{i}]", self.0))
    }
    /// A map entry.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(&["[", key, "]"])
    }

    /// Paths are made for every object that is judged, and shown for hardly any.
    fn with(&self, parts: &[&str]) -> Self {
        let mut text = String::with_capacity(self.0.len() + parts.iter().map(|p| p.len()).sum::<usize>());
        text.push_str(&self.0);
        parts.iter().for_each(|p| text.push_str(p));
        Self(text)
    }
}

impl Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    Required,
    Invalid,
    NotSupported,
    Duplicate,
    NotFound,
    Forbidden,
    TooLong,
    TooMany,
    Internal,
    TypeInvalid,
}

impl Wrong {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Required => ("Required value", "FieldValueRequired"),
            Self::Invalid => ("Invalid value", "FieldValueInvalid"),
            Self::NotSupported => ("Unsupported value", "FieldValueNotSupported"),
            Self::Duplicate => ("Duplicate value", "FieldValueDuplicate"),
            Self::NotFound => ("Not found", "FieldValueNotFound"),
            Self::Forbidden => ("Forbidden", "FieldValueForbidden"),
            Self::TooLong => ("Too long", "FieldValueTooLong"),
            Self::TooMany => ("Too many", "FieldValueTooMany"),
            Self::Internal => ("Internal error", "InternalError"),
            Self::TypeInvalid => ("Invalid value", "FieldValueTypeInvalid"),
        }
    }
}

/// One field error. `value` is the bad value as it is printed (strings quoted), empty where none is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    pub wrong: Wrong,
    pub path: Path,
    pub value: String,
    pub detail: String,
    /// What is still to be shown of objects.
    pub told: Option<Box<Told>>,
}

/// A part of an object that is shown as Kubernetes' own struct of that name; with `old`, the difference from that.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The struct; `[]` before it for a list of such.
    pub layout: &'static str,
    /// A JSON pointer.
    pub at: &'static str,
    pub new: Object,
    pub old: Option<Object>,
}

impl FieldError {
    /// The text without the path.
    #[must_use]
    pub fn body(&self) -> String {
        let (words, _) = self.wrong.words();
        let mut text = words.to_owned();
        if !self.value.is_empty() {
            text = format!("{text}: {}", self.value);
        }
        if self.detail.is_empty() { text } else { format!("{text}: {}", self.detail) }
    }
}

impl Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}

/// Prints a value as Kubernetes does in field errors: strings in quotes, the rest bare.
pub trait Shown {
    /// The printed form.
    fn shown(&self) -> String;
}
impl Shown for str {
    fn shown(&self) -> String {
        format!("{self:?}")
    }
}
impl Shown for String {
    fn shown(&self) -> String {
        self.as_str().shown()
    }
}
impl<T: Shown + ?Sized> Shown for &T {
    fn shown(&self) -> String {
        (**self).shown()
    }
}
macro_rules! shown_bare {
    ($($t:ty),*) => { $(impl Shown for $t { fn shown(&self) -> String { self.to_string() } })* };
}
shown_bare!(i32, i64, u16, u32, u64, usize, bool, f64);

/// A value that is printed as it stands (structs, JSON text).
pub struct Bare(pub String);
impl Shown for Bare {
    fn shown(&self) -> String {
        self.0.clone()
    }
}

/// All that is wrong with an object, in the order it was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldErrors(pub Vec<FieldError>);

impl FieldErrors {
    fn push(&mut self, wrong: Wrong, path: &Path, value: String, detail: impl Into<String>) {
        self.0.push(FieldError { wrong, path: path.clone(), value, detail: detail.into(), told: None });
    }
    /// A field that must be there is not.
    pub fn required(&mut self, path: &Path, detail: impl Into<String>) {
        self.push(Wrong::Required, path, String::new(), detail);
    }
    /// A value breaks a rule.
    pub fn invalid(&mut self, path: &Path, value: impl Shown, detail: impl Into<String>) {
        self.push(Wrong::Invalid, path, value.shown(), detail);
    }
    /// A value breaks a rule, and is a part of `new`.
    pub fn invalid_part(&mut self, path: &Path, (layout, at): (&'static str, &'static str), new: Object, detail: impl Into<String>) {
        let told = Some(Box::new(Told { layout, at, new, old: None }));
        self.0.push(FieldError { wrong: Wrong::Invalid, path: path.clone(), value: String::new(), detail: detail.into(), told });
    }
    /// A part of `new` stands twice.
    pub fn duplicate_part(&mut self, path: &Path, (layout, at): (&'static str, &'static str), new: Object) {
        let told = Some(Box::new(Told { layout, at, new, old: None }));
        self.0.push(FieldError { wrong: Wrong::Duplicate, path: path.clone(), value: String::new(), detail: String::new(), told });
    }
    /// A part may not change; what changed is told.
    pub fn forbidden_change(&mut self, path: &Path, (layout, at): (&'static str, &'static str), (new, old): (Object, Object), detail: impl Into<String>) {
        let told = Some(Box::new(Told { layout, at, new, old: Some(old) }));
        self.0.push(FieldError { wrong: Wrong::Forbidden, path: path.clone(), value: String::new(), detail: detail.into(), told });
    }
    /// A value is none of the allowed ones.
    pub fn not_supported(&mut self, path: &Path, value: impl Shown, allowed: &[&str]) {
        let list: Vec<String> = allowed.iter().map(|a| format!("{a:?}")).collect();
        let detail = if list.is_empty() { String::new() } else { format!("supported values: {}", list.join(", ")) };
        self.push(Wrong::NotSupported, path, value.shown(), detail);
    }
    /// The same value or key stands twice.
    pub fn duplicate(&mut self, path: &Path, value: impl Shown) {
        self.push(Wrong::Duplicate, path, value.shown(), "");
    }
    /// A reference leads nowhere.
    pub fn not_found(&mut self, path: &Path, value: impl Shown) {
        self.push(Wrong::NotFound, path, value.shown(), "");
    }
    /// A reference leads nowhere, and where it should lead.
    pub fn not_found_in(&mut self, path: &Path, value: impl Shown, detail: impl Into<String>) {
        self.push(Wrong::NotFound, path, value.shown(), detail);
    }
    /// The field may not be set, or not be changed.
    pub fn forbidden(&mut self, path: &Path, detail: impl Into<String>) {
        self.push(Wrong::Forbidden, path, String::new(), detail);
    }
    /// Too long: at most that many bytes.
    pub fn too_long(&mut self, path: &Path, max_bytes: usize) {
        self.push(Wrong::TooLong, path, String::new(), format!("may not be more than {max_bytes} bytes"));
    }
    /// Too many items.
    pub fn too_many(&mut self, path: &Path, actual: usize, max: usize) {
        let noun = if max == 1 { "item" } else { "items" };
        self.push(Wrong::TooMany, path, actual.to_string(), format!("must have at most {max} {noun}"));
    }
    /// How much is wrong.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Takes over another's errors.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// One text for all: a single error bare, several in brackets, repeated ones once.
    #[must_use]
    pub fn aggregate(&self) -> String {
        let mut texts: Vec<String> = Vec::new();
        for e in &self.0 {
            let t = e.to_string();
            if !texts.contains(&t) {
                texts.push(t);
            }
        }
        match texts.len() {
            1 => texts.remove(0),
            _ => format!("[{}]", texts.join(", ")),
        }
    }

    /// The errors as causes of a status.
    #[must_use]
    pub fn causes(&self) -> Vec<Cause> {
        let cause = |e: &FieldError| Cause {
            reason: e.wrong.words().1.to_owned(),
            message: e.body(),
            field: e.path.to_string(),
        };
        self.0.iter().map(cause).collect()
    }
}
