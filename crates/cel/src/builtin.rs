//! Declarations of the built-in kinds, from the table of the API's types; fields are looked up when an expression names them.

use crate::types::{Decl, ListKind, Lookup, Object, Shape, escape};
use schema::{Kind, ListType, Special};
use std::sync::Arc;

/// The declaration of a kind of the API.
#[must_use]
pub fn decl(group: &str, version: &str, kind: &str) -> Option<Decl> {
    let ty = schema::types().by_gvk(group, version, kind)?;
    Some(of_type(ty))
}

struct Table(&'static schema::Type);

fn of_type(ty: &'static schema::Type) -> Decl {
    let shape = match ty.special() {
        Some(Special::Time | Special::MicroTime) => Shape::Timestamp,
        Some(Special::Duration) => Shape::Duration,
        Some(Special::Quantity | Special::IntOrString | Special::RawExtension | Special::RawJson) => Shape::Any,
        Some(_) => Shape::Any,
        None => Shape::Object(Arc::new(Object::of_table(ty.name(), Box::new(Table(ty))))),
    };
    Decl::new(shape, u64::MAX, 2)
}

fn plain(kind: Kind, format: Option<&str>, ty: Option<&'static schema::Type>) -> Decl {
    let shape = match kind {
        Kind::String | Kind::Enum if format == Some("date-time") => Shape::Timestamp,
        Kind::String | Kind::Enum => Shape::Text,
        Kind::Int32 | Kind::Int64 => Shape::Int,
        Kind::Bool => Shape::Bool,
        Kind::Double => Shape::Double,
        Kind::Bytes => Shape::Bytes,
        Kind::Object => return ty.map_or_else(|| Decl::new(Shape::Any, u64::MAX, 1), of_type),
        Kind::List | Kind::Map | Kind::Any => Shape::Any,
    };
    Decl::new(shape, u64::MAX, 2)
}

impl Lookup for Table {
    fn field(&self, name: &str) -> Option<Arc<Decl>> {
        if self.0.type_meta() && matches!(name, "apiVersion" | "kind") {
            return Some(Arc::new(Decl::new(Shape::Text, u64::MAX, 2)));
        }
        let field = self.0.json_fields().find(|f| escape(f.json()).is_some_and(|n| n == name))?;
        let decl = match field.kind() {
            Kind::List => {
                let kind = match field.list_type() {
                    Some(ListType::Set) => ListKind::Set,
                    Some(ListType::Map) => ListKind::Map(field.list_map_keys().map(str::to_owned).collect()),
                    _ => ListKind::Atomic,
                };
                Decl::new(Shape::List(Arc::new(plain(field.item(), field.item_format(), field.ty())), kind), u64::MAX, 2)
            }
            Kind::Map if field.value_items() => {
                let texts = Shape::List(Arc::new(Decl::new(Shape::Text, u64::MAX, 2)), ListKind::Atomic);
                Decl::new(Shape::Map(Arc::new(Decl::new(texts, u64::MAX, 2))), u64::MAX, 2)
            }
            Kind::Map => Decl::new(Shape::Map(Arc::new(plain(field.item(), field.item_format(), field.ty()))), u64::MAX, 2),
            kind => plain(kind, field.format(), field.ty()),
        };
        Some(Arc::new(decl))
    }
}
