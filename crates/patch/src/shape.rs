//! What a value is to a patch: how it merges, and the shapes inside it. One small copyable enum over the schema table and
//! over structural schemas (KEP-1152, `x-kubernetes-*` extensions), so that every walk is written once.

use schema::{Field, Kind, ListType, MapType, Special, Type};
use serde_json::Value;

/// The shape of a value.
#[derive(Clone, Copy, Debug)]
pub enum Shape<'a> {
    /// A message of a built-in type.
    Type(&'static Type),
    /// The value of a field of a built-in type.
    Field(&'static Field),
    /// An element of that list field, or a value of that map field.
    Element(&'static Field),
    /// The whole of a custom resource, by its OpenAPI v3 schema.
    Custom(&'a Value),
    /// A part of a custom resource.
    Part(&'a Value),
    /// A scalar.
    Scalar,
    /// Unknown: objects merge, lists are atomic.
    Any,
}

/// How a value merges in server-side apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One leaf.
    Scalar,
    /// A map or list that is one leaf.
    Atomic,
    /// An object, key by key.
    Granular,
    /// A list of distinct scalars.
    Set,
    /// A list of objects by [`Shape::keys`].
    Map,
    /// Not stated: objects are granular, lists atomic, the rest scalars.
    Deduced,
}

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

impl<'a> Shape<'a> {
    /// The shape of a built-in kind; of any value if there is no such kind.
    pub fn of_kind(group: &str, version: &str, kind: &str) -> Self {
        schema::types().by_gvk(group, version, kind).map_or(Self::Any, Shape::Type)
    }

    /// How the value merges.
    pub fn form(self) -> Form {
        match self {
            Shape::Type(ty) => message_form(ty),
            Shape::Field(field) => field_form(field),
            Shape::Element(field) => match (field.item(), field.ty()) {
                (Kind::Object, Some(ty)) => message_form(ty),
                (Kind::Any, _) => Form::Deduced,
                _ => Form::Scalar,
            },
            Shape::Custom(_) => Form::Granular,
            Shape::Part(schema) => custom_form(schema),
            Shape::Scalar => Form::Scalar,
            Shape::Any => Form::Deduced,
        }
    }

    /// The shape under a key of an object. `None`: the type has no such field.
    pub fn child(self, key: &str) -> Option<Self> {
        match self {
            Shape::Type(ty) => type_child(ty, key),
            Shape::Field(field) if field.kind() == Kind::Map => Some(Shape::Element(field)),
            Shape::Field(field) | Shape::Element(field) => field.ty().map_or(Some(Shape::Any), |ty| type_child(ty, key)),
            Shape::Custom(schema) => match key {
                "apiVersion" | "kind" => Some(Shape::Scalar),
                "metadata" => Some(schema::types().by_name(OBJECT_META).map_or(Shape::Any, Shape::Type)),
                _ => custom_child(schema, key),
            },
            Shape::Part(schema) if flag(schema, "x-kubernetes-embedded-resource") => Shape::Custom(schema).child(key),
            Shape::Part(schema) => custom_child(schema, key),
            Shape::Scalar => None,
            Shape::Any => Some(Shape::Any),
        }
    }

    /// Whether the key is a field that the type declares, not a key of a free map.
    pub fn declares(self, key: &str) -> bool {
        match self {
            Shape::Type(_) => self.child(key).is_some(),
            Shape::Field(field) => field.kind() == Kind::Object && self.child(key).is_some(),
            Shape::Element(field) => field.item() == Kind::Object && self.child(key).is_some(),
            Shape::Custom(schema) => matches!(key, "apiVersion" | "kind" | "metadata") || !schema["properties"][key].is_null(),
            Shape::Part(schema) => !schema["properties"][key].is_null(),
            Shape::Scalar | Shape::Any => false,
        }
    }

    /// The shape of the elements of a list.
    pub fn element(self) -> Self {
        match self {
            Shape::Field(field) if field.kind() == Kind::List => Shape::Element(field),
            Shape::Part(schema) if schema["items"].is_object() => Shape::Part(&schema["items"]),
            _ => Shape::Any,
        }
    }

    /// The keys by which a list of form [`Form::Map`] is indexed.
    pub fn keys(self) -> Vec<&'a str> {
        match self {
            Shape::Field(field) => field.list_map_keys().collect(),
            Shape::Part(schema) => strings(&schema["x-kubernetes-list-map-keys"]),
            _ => Vec::new(),
        }
    }

    /// The default of a key of a list element (`protocol` of a port).
    pub fn key_default(self, key: &str) -> Option<Value> {
        match self.element().child(key)? {
            Shape::Field(field) => {
                if let Some(text) = field.default() {
                    return serde_json::from_str(text).ok();
                }
                // What is always present has its zero value for a default.
                match field.kind() {
                    _ if field.emit() != schema::Emit::Always => None,
                    schema::Kind::String | schema::Kind::Enum => Some(Value::from("")),
                    schema::Kind::Int32 | schema::Kind::Int64 => Some(Value::from(0)),
                    _ => None,
                }
            }
            Shape::Part(schema) => schema.get("default").cloned(),
            _ => None,
        }
    }

    /// The built-in type of the value (or of the value under a field).
    pub(crate) fn ty(self) -> Option<&'static Type> {
        match self {
            Shape::Type(ty) => Some(ty),
            Shape::Field(field) | Shape::Element(field) => field.ty(),
            _ => None,
        }
    }
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

fn flag(schema: &Value, key: &str) -> bool {
    schema[key].as_bool().unwrap_or_default()
}

fn type_child<'a>(ty: &'static Type, key: &str) -> Option<Shape<'a>> {
    match ty.special() {
        Some(Special::RawExtension | Special::RawJson | Special::FieldsV1) => return Some(Shape::Any),
        Some(Special::SchemaOrArray | Special::SchemaOrBool | Special::SchemaOrStringArray) => return Some(Shape::Any),
        _ => {}
    }
    match ty.field(key) {
        Some(field) => Some(Shape::Field(field)),
        None if ty.type_meta() && matches!(key, "apiVersion" | "kind") => Some(Shape::Scalar),
        None => None,
    }
}

fn message_form(ty: &Type) -> Form {
    match ty.special() {
        None if ty.map_type() == Some(MapType::Atomic) => Form::Atomic,
        None => Form::Granular,
        Some(Special::Time | Special::MicroTime | Special::Duration | Special::Quantity | Special::IntOrString) => Form::Scalar,
        Some(_) => Form::Atomic,
    }
}

fn field_form(field: &Field) -> Form {
    match field.kind() {
        Kind::List => match field.list_type() {
            Some(ListType::Map) => Form::Map,
            Some(ListType::Set) => Form::Set,
            _ => Form::Atomic,
        },
        Kind::Map if field.map_type() == Some(MapType::Atomic) => Form::Atomic,
        Kind::Map => Form::Granular,
        Kind::Object if field.map_type() == Some(MapType::Atomic) => Form::Atomic,
        // A field can say that its struct, atomic elsewhere, is not.
        Kind::Object if field.map_type() == Some(MapType::Granular) => Form::Granular,
        Kind::Object => field.ty().map_or(Form::Deduced, message_form),
        Kind::Any => Form::Deduced,
        _ => Form::Scalar,
    }
}

fn custom_form(schema: &Value) -> Form {
    if flag(schema, "x-kubernetes-int-or-string") {
        return Form::Scalar;
    }
    match schema["type"].as_str() {
        Some("object") if schema["x-kubernetes-map-type"] == "atomic" => Form::Atomic,
        Some("object") => Form::Granular,
        Some("array") => match schema["x-kubernetes-list-type"].as_str() {
            Some("map") => Form::Map,
            Some("set") => Form::Set,
            _ => Form::Atomic,
        },
        Some(_) => Form::Scalar,
        None => Form::Deduced,
    }
}

fn custom_child<'a>(schema: &'a Value, key: &str) -> Option<Shape<'a>> {
    let property = &schema["properties"][key];
    let additional = &schema["additionalProperties"];
    if property.is_object() {
        Some(Shape::Part(property))
    } else if additional.is_object() {
        Some(Shape::Part(additional))
    } else if additional == &Value::Bool(true) || flag(schema, "x-kubernetes-preserve-unknown-fields") || schema["type"].is_null() {
        Some(Shape::Any)
    } else {
        None
    }
}
