//! Values of a running expression. Data is looked at where it lies (`serde_json` trees, with their declaration if they have
//! one); only what an expression makes is owned.

use crate::error::EvalError;
use crate::opaque::Opaque;
use crate::text::{self, Text};
use crate::types::{Decl, ListKind, Shape, Type, unescape};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A value.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    Bytes(Arc<[u8]>),
    Timestamp(Timestamp),
    Duration(SignedDuration),
    List(List<'a>),
    Map(Map<'a>),
    Kind(Type),
    Optional(Option<Arc<Value<'a>>>),
    /// A construction of a named type, e.g. an apply configuration.
    Struct(Arc<Struct<'a>>),
    Opaque(Opaque<'a>),
    /// Fields that are computed when they are first asked for.
    Lazy(&'a dyn Lazy<'a>),
}

/// Fields that are computed when they are first asked for (`variables` of admission policies).
pub trait Lazy<'a> {
    /// The value of a field; what it cost is the second part.
    ///
    /// # Errors
    /// Whatever the computation fails with.
    fn field(&'a self, name: &str, budget: u64) -> Result<(Value<'a>, u64), EvalError>;
}

impl<'b> fmt::Debug for dyn Lazy<'b> + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lazy fields")
    }
}

/// A list, seen or made.
#[derive(Clone, Debug)]
pub enum List<'a> {
    Seen(&'a [Json], Option<&'a Decl>),
    Own(Arc<Vec<Value<'a>>>),
}

/// A map (or an object of data), seen or made.
#[derive(Clone, Debug)]
pub enum Map<'a> {
    Seen(&'a serde_json::Map<String, Json>, Option<&'a Decl>),
    Own(Arc<BTreeMap<Key, (Value<'a>, Value<'a>)>>),
}

/// A construction.
#[derive(Clone, Debug)]
pub struct Struct<'a> {
    pub name: Arc<str>,
    pub fields: Vec<(Arc<str>, Value<'a>)>,
}

/// A map's key: equal numbers are equal keys, whatever their type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Bool(bool),
    Number(i128),
    Text(Box<str>),
}

const NOT_NULLABLE: &str = "invalid data, got null for schema with nullable=false";

impl<'a> Value<'a> {
    /// A view of data.
    ///
    /// # Errors
    /// Data that is not of its declaration.
    pub fn seen(json: &'a Json, decl: Option<&'a Decl>) -> Result<Self, EvalError> {
        let Some(decl) = decl.filter(|d| !matches!(d.shape, Shape::Any)) else { return Ok(Self::plain(json)) };
        let odd = |wanted: &str| {
            let found = match json {
                Json::Null => return EvalError::new(NOT_NULLABLE),
                Json::Bool(_) => "bool",
                Json::Number(n) if n.is_f64() => "float64",
                Json::Number(_) => "int64",
                Json::String(_) => "string",
                Json::Array(_) => "[]interface {}",
                Json::Object(_) => "map[string]interface {}",
            };
            EvalError::new(format!("invalid data, expected {wanted} value, got {found}"))
        };
        Ok(match (&decl.shape, json) {
            (_, Json::Null) => Self::Null,
            (Shape::Bool, Json::Bool(b)) => Self::Bool(*b),
            (Shape::Int, Json::Number(n)) => match (n.as_i64(), n.as_f64()) {
                (Some(n), _) => Self::Int(n),
                (None, Some(f)) if f.fract() == 0.0 => Self::Int(f as i64),
                _ => return Err(odd("int")),
            },
            (Shape::Double, Json::Number(n)) => Self::Double(n.as_f64().unwrap_or_default()),
            (Shape::Text, Json::String(s)) => Self::Text(Text::Ref(s)),
            (Shape::Bytes, Json::String(s)) => match text::from_base64(s) {
                Some(b) => Self::Bytes(b.into()),
                None => return Err(EvalError::new(format!("byte array must be base64 encoded: {s}"))),
            },
            (Shape::Timestamp, Json::String(s)) => match crate::time::parse_timestamp_or_day(s) {
                Some(t) => Self::Timestamp(t),
                None => return Err(EvalError::new(format!("invalid date-time string: {s}"))),
            },
            (Shape::Duration, Json::String(s)) => match crate::time::parse_duration(s) {
                Some(d) => Self::Duration(d),
                None => return Err(EvalError::new(format!("invalid duration string: {s}"))),
            },
            (Shape::List(..), Json::Array(list)) => Self::List(List::Seen(list, Some(decl))),
            (Shape::Map(_) | Shape::Object(_), Json::Object(map)) => Self::Map(Map::Seen(map, Some(decl))),
            (Shape::Typed(_) | Shape::Any | Shape::Null | Shape::Uint, _) => Self::plain(json),
            (Shape::Bool, _) => return Err(odd("bool")),
            (Shape::Int, _) => return Err(odd("int")),
            (Shape::Double, _) => return Err(odd("double")),
            (Shape::List(..), _) => return Err(odd("list")),
            (Shape::Map(_), _) => return Err(odd("map")),
            (Shape::Object(_), _) => return Err(odd("object")),
            _ => return Err(odd("string")),
        })
    }

    /// A view of data without a declaration.
    #[must_use]
    pub fn plain(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(b) => Self::Bool(*b),
            Json::Number(n) => match (n.as_i64(), n.as_u64()) {
                (Some(n), _) => Self::Int(n),
                (None, Some(n)) => Self::Uint(n),
                _ => Self::Double(n.as_f64().unwrap_or_default()),
            },
            Json::String(s) => Self::Text(Text::Ref(s)),
            Json::Array(list) => Self::List(List::Seen(list, None)),
            Json::Object(map) => Self::Map(Map::Seen(map, None)),
        }
    }

    /// A text of its own.
    pub fn text(s: impl Into<Arc<str>>) -> Self {
        Self::Text(Text::Own(s.into()))
    }

    /// A list of its own.
    #[must_use]
    pub fn list(items: Vec<Self>) -> Self {
        Self::List(List::Own(Arc::new(items)))
    }

    /// A map of its own, from texts.
    pub fn map_of(entries: impl IntoIterator<Item = (String, Self)>) -> Self {
        let entry = |(k, v): (String, Self)| (Key::Text(k.as_str().into()), (Self::text(k), v));
        Self::Map(Map::Own(Arc::new(entries.into_iter().map(entry).collect())))
    }

    pub(crate) fn some(value: Self) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    /// The text inside.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(t) => Some(t),
            _ => None,
        }
    }

    /// The truth inside.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The type at run time.
    #[must_use]
    pub fn kind(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Uint(_) => Type::Uint,
            Self::Double(_) => Type::Double,
            Self::Text(_) => Type::Text,
            Self::Bytes(_) => Type::Bytes,
            Self::Timestamp(_) => Type::Timestamp,
            Self::Duration(_) => Type::Duration,
            Self::List(_) => Type::list(Type::Dyn),
            Self::Map(_) | Self::Lazy(_) => Type::map(Type::Dyn, Type::Dyn),
            Self::Kind(_) => Type::Kind(Arc::new(Type::Dyn)),
            Self::Optional(_) => Type::optional(Type::Dyn),
            Self::Struct(s) => Type::Object(Arc::new(crate::types::Object::new(Arc::clone(&s.name), []))),
            Self::Opaque(o) => Type::Opaque(o.name()),
        }
    }

    pub(crate) fn key(&self) -> Option<Key> {
        Some(match self {
            Self::Bool(b) => Key::Bool(*b),
            Self::Int(n) => Key::Number(i128::from(*n)),
            Self::Uint(n) => Key::Number(i128::from(*n)),
            Self::Double(d) if d.fract() == 0.0 && d.abs() < 1e19 => Key::Number(*d as i128),
            Self::Text(t) => Key::Text((**t).into()),
            _ => return None,
        })
    }

    /// How much there is of a value, as costs count it: elements, or bytes of a text.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Text(t) => t.chars().count() as u64,
            Self::Bytes(b) => b.len() as u64,
            Self::List(l) => l.len() as u64,
            Self::Map(m) => m.len() as u64,
            Self::Optional(Some(v)) => v.size(),
            _ => 1,
        }
    }

    /// The value as JSON; errors for what has no such form.
    ///
    /// # Errors
    /// Values of the libraries, and maps whose keys are not texts.
    pub fn to_json(&self) -> Result<Json, EvalError> {
        Ok(match self {
            Self::Null | Self::Optional(None) => Json::Null,
            Self::Bool(b) => (*b).into(),
            Self::Int(n) => (*n).into(),
            Self::Uint(n) => (*n).into(),
            Self::Double(d) if d.fract() == 0.0 && d.abs() < 9e15 => (*d as i64).into(),
            Self::Double(d) => (*d).into(),
            Self::Text(t) => (**t).into(),
            Self::Bytes(b) => text::to_base64(b).into(),
            Self::Timestamp(t) => t.to_string().into(),
            Self::Duration(d) => crate::time::show_duration(*d).into(),
            Self::List(List::Seen(list, _)) => Json::Array(list.to_vec()),
            Self::List(List::Own(list)) => Json::Array(list.iter().map(Value::to_json).collect::<Result<_, _>>()?),
            Self::Map(Map::Seen(map, _)) => Json::Object((*map).clone()),
            Self::Map(Map::Own(map)) => {
                let entry = |(key, (_, v)): (&Key, &(Value, Value))| match key {
                    Key::Text(t) => Ok((t.to_string(), v.to_json()?)),
                    _ => Err(EvalError::new("unsupported map key type, only strings are allowed")),
                };
                Json::Object(map.iter().map(entry).collect::<Result<_, _>>()?)
            }
            Self::Optional(Some(v)) => v.to_json()?,
            Self::Struct(s) => {
                let entry = |(k, v): &(Arc<str>, Value)| Ok((unescape(k), v.to_json()?));
                Json::Object(s.fields.iter().map(entry).collect::<Result<_, EvalError>>()?)
            }
            other => return Err(EvalError::new(format!("unsupported type conversion from '{}' to google.protobuf.Value", other.kind()))),
        })
    }

    /// Whether two values are equal; different types are not, except for numbers.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => **a == **b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::List(a), Self::List(b)) => a.equals(b),
            (Self::Map(a), Self::Map(b)) => a.equals(b),
            (Self::Kind(a), Self::Kind(b)) => a == b,
            (Self::Optional(a), Self::Optional(b)) => match (a, b) {
                (Some(a), Some(b)) => a.equals(b),
                (a, b) => a.is_none() == b.is_none(),
            },
            (Self::Struct(a), Self::Struct(b)) => a.equals(b),
            (Self::Opaque(a), Self::Opaque(b)) => a.equals(b),
            _ => self.is_number() && other.is_number() && numbers(self, other) == Some(Ordering::Equal),
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Uint(_) | Self::Double(_))
    }

    /// The order of two values of an ordered type.
    #[must_use]
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some((**a).cmp(&**b)),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            _ if self.is_number() && other.is_number() => numbers(self, other),
            _ => None,
        }
    }
}

fn numbers(a: &Value, b: &Value) -> Option<Ordering> {
    let whole = |v: &Value| match v {
        Value::Int(n) => Some(i128::from(*n)),
        Value::Uint(n) => Some(i128::from(*n)),
        _ => None,
    };
    let float = |v: &Value| match v {
        Value::Double(d) => *d,
        other => whole(other).unwrap_or_default() as f64,
    };
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => float(a).partial_cmp(&float(b)),
    }
}

impl Struct<'_> {
    fn equals(&self, other: &Self) -> bool {
        let find = |k: &str| other.fields.iter().find(|(n, _)| &**n == k);
        self.name == other.name
            && self.fields.len() == other.fields.len()
            && self.fields.iter().all(|(k, v)| find(k).is_some_and(|(_, o)| v.equals(o)))
    }
}

impl<'a> List<'a> {
    /// How many elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Seen(list, _) => list.len(),
            Self::Own(list) => list.len(),
        }
    }
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    fn kind(&self) -> &ListKind {
        match self {
            Self::Seen(_, Some(Decl { shape: Shape::List(_, kind), .. })) => kind,
            _ => &ListKind::Atomic,
        }
    }
    /// An element.
    pub(crate) fn get(&self, index: usize) -> Option<Result<Value<'a>, EvalError>> {
        match self {
            Self::Seen(list, decl) => {
                let of = decl.and_then(|d| if let Shape::List(of, _) = &d.shape { Some(&**of) } else { None });
                list.get(index).map(|v| Value::seen(v, of))
            }
            Self::Own(list) => list.get(index).cloned().map(Ok),
        }
    }
    /// The elements; one that is not of its declaration is null.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).map(|i| self.get(i).and_then(Result::ok).unwrap_or(Value::Null))
    }

    fn equals(&self, other: &Self) -> bool {
        if self.len() != other.len() {
            return false;
        }
        if *self.kind() == ListKind::Atomic && *other.kind() == ListKind::Atomic {
            return self.iter().zip(other.iter()).all(|(a, b)| a.equals(&b));
        }
        // Sets and map lists are equal in any order.
        let others: Vec<Value> = other.iter().collect();
        self.iter().all(|a| others.iter().any(|b| a.equals(b)))
    }

    /// Two lists as one: sets keep one of equals, map lists let the second list's elements win.
    pub(crate) fn join(&self, other: &Self) -> Value<'a> {
        let mut all: Vec<Value> = self.iter().collect();
        match self.kind() {
            ListKind::Atomic => all.extend(other.iter()),
            ListKind::Set => {
                for v in other.iter() {
                    if !all.iter().any(|a| a.equals(&v)) {
                        all.push(v);
                    }
                }
            }
            ListKind::Map(keys) => {
                let part = |v: &Value<'a>, k: &str| if let Value::Map(m) = v { m.get_text(k) } else { None };
                let same = |a: &Value<'a>, b: &Value<'a>| {
                    keys.iter().all(|k| match (part(a, k), part(b, k)) {
                        (Some(Ok(a)), Some(Ok(b))) => a.equals(&b),
                        (a, b) => a.is_none() && b.is_none(),
                    })
                };
                for v in other.iter() {
                    match all.iter().position(|a| same(a, &v)) {
                        Some(i) => all[i] = v,
                        None => all.push(v),
                    }
                }
            }
        }
        Value::list(all)
    }
}

impl<'a> Map<'a> {
    /// How many entries.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Seen(map, _) => map.len(),
            Self::Own(map) => map.len(),
        }
    }
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a key leads to.
    pub(crate) fn get(&self, key: &Value<'a>) -> Option<Result<Value<'a>, EvalError>> {
        match (self, key) {
            (Self::Seen(..), Value::Text(t)) => self.get_text(t),
            (Self::Seen(..), _) => None,
            (Self::Own(map), key) => map.get(&key.key()?).map(|(_, v)| Ok(v.clone())),
        }
    }

    /// What a name leads to; properties of declared objects go by their escaped names.
    pub(crate) fn get_text(&self, name: &str) -> Option<Result<Value<'a>, EvalError>> {
        match self {
            Self::Seen(map, decl) => match decl.map(|d| &d.shape) {
                Some(Shape::Map(of)) => map.get(name).map(|v| Value::seen(v, Some(&**of))),
                Some(Shape::Object(o)) => {
                    let field = o.own_field(name);
                    let found = map.get(name).filter(|_| !name.contains("__"));
                    let found = found.or_else(|| map.get(&unescape(name)))?;
                    // What is set to null counts as not there, unless the schema lets it be null.
                    Some(Value::seen(found, field))
                }
                _ => map.get(name).or_else(|| if name.contains("__") { map.get(&unescape(name)) } else { None }).map(|v| Ok(Value::plain(v))),
            },
            Self::Own(map) => map.get(&Key::Text(name.into())).map(|(_, v)| Ok(v.clone())),
        }
    }

    /// The entries.
    pub fn iter(&self) -> Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + '_> {
        match self {
            Self::Seen(map, decl) => {
                let decl = *decl;
                Box::new(map.iter().map(move |(k, v)| {
                    let of = match decl.map(|d| &d.shape) {
                        Some(Shape::Map(of)) => Some(&**of),
                        Some(Shape::Object(o)) => crate::types::escape(k).and_then(|k| o.own_field(&k)),
                        _ => None,
                    };
                    (Value::Text(Text::Ref(k)), Value::seen(v, of).unwrap_or(Value::Null))
                }))
            }
            Self::Own(map) => Box::new(map.values().cloned()),
        }
    }

    fn equals(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().all(|(k, v)| match other.get(&k) {
                Some(Ok(o)) => v.equals(&o),
                _ => false,
            })
    }
}
