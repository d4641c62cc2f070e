//! Types of expressions and how they are written in messages (`map(string, int)`, as cel-go formats them), and the
//! declarations of data: types with the largest and smallest size that a value may have, from which costs are estimated.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Dyn,
    /// What an ill-typed expression has; it fits everywhere, so that one mistake is told once.
    Error,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Timestamp,
    Duration,
    List(Arc<Type>),
    Map(Arc<(Type, Type)>),
    Optional(Arc<Type>),
    /// The type of a type.
    Kind(Arc<Type>),
    Object(Arc<Object>),
    /// A type of a library, by its name.
    Opaque(&'static str),
    /// A type parameter of an overload.
    Param(u32),
}

impl Type {
    /// A list of.
    #[must_use]
    pub fn list(of: Self) -> Self {
        Self::List(Arc::new(of))
    }
    /// A map from and to.
    #[must_use]
    pub fn map(key: Self, value: Self) -> Self {
        Self::Map(Arc::new((key, value)))
    }
    /// An optional value of.
    #[must_use]
    pub fn optional(of: Self) -> Self {
        Self::Optional(Arc::new(of))
    }
    pub(crate) fn is_dyn(&self) -> bool {
        matches!(self, Self::Dyn | Self::Error)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Error => f.write_str("!error!"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::Text => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::List(of) => write!(f, "list({of})"),
            Self::Map(kv) => write!(f, "map({}, {})", kv.0, kv.1),
            Self::Optional(of) => write!(f, "optional_type({of})"),
            Self::Kind(of) => write!(f, "type({of})"),
            Self::Object(o) => f.write_str(&o.name),
            Self::Opaque(name) => f.write_str(name),
            Self::Param(n) => write!(f, "_var{n}"),
        }
    }
}

/// Finds the declaration of a field, for types that are taken from a table.
pub trait Lookup: Send + Sync {
    /// The field of that (escaped) name.
    fn field(&self, name: &str) -> Option<Arc<Decl>>;
}

/// An object type: a name and fields, which are kept or looked up.
pub struct Object {
    /// The name in messages and in constructions; equal names are equal types.
    pub name: Arc<str>,
    fields: BTreeMap<Box<str>, Arc<Decl>>,
    lookup: Option<Box<dyn Lookup>>,
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
impl Eq for Object {}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Object {
    /// An object with these fields, by their escaped names.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, fields: impl IntoIterator<Item = (String, Decl)>) -> Self {
        let fields = fields.into_iter().map(|(k, d)| (k.into_boxed_str(), Arc::new(d))).collect();
        Self { name: name.into(), fields, lookup: None }
    }
    /// An object whose fields are looked up.
    #[must_use]
    pub fn of_table(name: impl Into<Arc<str>>, lookup: Box<dyn Lookup>) -> Self {
        Self { name: name.into(), fields: BTreeMap::new(), lookup: Some(lookup) }
    }
    /// The declaration of a field, by its escaped name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Arc<Decl>> {
        self.fields.get(name).cloned().or_else(|| self.lookup.as_ref()?.field(name))
    }
    /// The same for objects that keep their fields.
    pub(crate) fn own_field(&self, name: &str) -> Option<&Decl> {
        self.fields.get(name).map(|d| &**d)
    }
}

/// How the elements of a list are told apart, which decides what equal lists are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListKind {
    #[default]
    Atomic,
    Set,
    /// By these fields (their names in the data).
    Map(Vec<String>),
}

/// The form of declared data.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Anything; numbers and texts as they come.
    Any,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    /// A text in base64.
    Bytes,
    /// A text that is a time (`date-time`) or a day (`date`).
    Timestamp,
    Duration,
    List(Arc<Decl>, ListKind),
    /// A map from texts.
    Map(Arc<Decl>),
    Object(Arc<Object>),
    /// A value of any other type.
    Typed(Type),
}

/// Declared data: its form, the most elements (or bytes) it can have and the fewest bytes it takes in JSON.
#[derive(Clone, Debug)]
pub struct Decl {
    pub shape: Shape,
    pub max: u64,
    pub min: u64,
    ty: OnceLock<Type>,
}

impl Decl {
    /// Data of a form and sizes.
    #[must_use]
    pub fn new(shape: Shape, max: u64, min: u64) -> Self {
        Self { shape, max, min, ty: OnceLock::new() }
    }

    /// A value of a type, without bounds.
    #[must_use]
    pub fn of(ty: Type) -> Self {
        let shape = match ty {
            Type::Dyn => Shape::Any,
            Type::Text => return Self::new(Shape::Text, u64::MAX, 2),
            Type::Object(o) => Shape::Object(o),
            other => Shape::Typed(other),
        };
        Self::new(shape, u64::MAX, 1)
    }

    /// The type of the data.
    #[must_use]
    pub fn ty(&self) -> Type {
        match &self.shape {
            Shape::Any => Type::Dyn,
            Shape::Null => Type::Null,
            Shape::Bool => Type::Bool,
            Shape::Int => Type::Int,
            Shape::Uint => Type::Uint,
            Shape::Double => Type::Double,
            Shape::Text => Type::Text,
            Shape::Bytes => Type::Bytes,
            Shape::Timestamp => Type::Timestamp,
            Shape::Duration => Type::Duration,
            Shape::List(of, _) => self.ty.get_or_init(|| Type::list(of.ty())).clone(),
            Shape::Map(of) => self.ty.get_or_init(|| Type::map(Type::Text, of.ty())).clone(),
            Shape::Object(o) => Type::Object(Arc::clone(o)),
            Shape::Typed(ty) => ty.clone(),
        }
    }
}

/// Names that the language keeps for itself, which properties get escaped from.
const KEPT: &[&str] = &[
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop",
    "package", "namespace", "return", "var", "void", "while",
];
const ESCAPES: [(&str, &str); 4] = [("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")];

/// The name by which an expression reaches a property; `None` when there is none.
#[must_use]
pub fn escape(name: &str) -> Option<String> {
    if KEPT.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let first = name.chars().next()?;
    let fine = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    if first.is_ascii_digit() || !name.chars().all(fine) {
        return None;
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while !rest.is_empty() {
        if let Some((from, to)) = ESCAPES.iter().find(|(from, _)| rest.starts_with(from)) {
            out.push_str(to);
            rest = &rest[from.len()..];
        } else {
            out.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    Some(out)
}

/// The property that an expression reaches by a name.
#[must_use]
pub fn unescape(name: &str) -> String {
    if let Some(kept) = name.strip_prefix("__").and_then(|n| n.strip_suffix("__")).filter(|n| KEPT.contains(n)) {
        return kept.to_owned();
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while !rest.is_empty() {
        if let Some((from, to)) = ESCAPES.iter().find(|(_, to)| rest.starts_with(to)) {
            out.push_str(from);
            rest = &rest[to.len()..];
        } else {
            let c = rest.chars().next().unwrap_or_default();
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}
