//! The types of the API (`data/types.txt`). A line `=name flags [attributes]` opens a type, the lines after it are its
//! fields in declaration order: `json tag kind ref flags [attributes]`, all separated by tabs. A `ref` that opens with a
//! dot is in the same package.

use std::sync::OnceLock;

use crate::field::{Field, MapType};
use crate::parse;

/// Types whose JSON form is not the field-by-field form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Special {
    /// Seconds and nanoseconds; RFC 3339 with seconds in JSON.
    Time,
    /// As `Time` with six decimals in JSON.
    MicroTime,
    /// Nanoseconds; a Go duration string in JSON.
    Duration,
    /// A resource quantity: one string.
    Quantity,
    /// An integer or a string.
    IntOrString,
    /// Any JSON object, carried as bytes.
    RawExtension,
    /// Any JSON value, carried as bytes.
    RawJson,
    /// The field set of a managed-fields entry, carried as bytes.
    FieldsV1,
    /// A message with one repeated string; a plain array in JSON.
    ListWrapper,
    /// A schema or an array of schemas.
    SchemaOrArray,
    /// A schema or a boolean.
    SchemaOrBool,
    /// A schema or an array of strings.
    SchemaOrStringArray,
    /// `runtime.Unknown`.
    UnknownEnvelope,
    /// Occurs in protobuf only.
    ProtoOnly,
}

/// How a type occurs in the OpenAPI document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenApi {
    /// It has a definition.
    Defined,
    /// Only flattened into other definitions.
    Inlined,
    /// Not at all.
    Absent,
}

/// A message of the API.
pub struct Type {
    pub(crate) name: &'static str,
    /// Flag letters, then tab-separated attributes.
    pub(crate) rest: &'static str,
    pub(crate) first: u16,
    pub(crate) count: u16,
    pub(crate) flat_first: u16,
    pub(crate) flat_count: u16,
    pub(crate) special: Option<Special>,
    pub(crate) index: u16,
}

impl Type {
    /// The OpenAPI definition name, such as `io.k8s.api.apps.v1.Deployment`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The last segment of the name: the Go struct's name.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }

    /// The full protobuf message name, if the type has a protobuf form.
    pub fn proto(&self) -> Option<String> {
        let rest = self.name.strip_prefix("io.k8s.")?;
        self.flag('P').then(|| format!("k8s.io.{}", rest.replace('-', "_")))
    }

    /// Whether the type can be sent as protobuf.
    pub fn has_proto(&self) -> bool {
        self.flag('P')
    }

    /// Its place in the OpenAPI document.
    pub fn openapi(&self) -> OpenApi {
        match (self.flag('O'), self.flag('I')) {
            (true, _) => OpenApi::Defined,
            (_, true) => OpenApi::Inlined,
            _ => OpenApi::Absent,
        }
    }

    /// Whether its JSON has `apiVersion` and `kind` (which travel in the envelope in protobuf).
    pub fn type_meta(&self) -> bool {
        self.flag('M')
    }

    /// Whether it is an option or event type that is registered in every group-version.
    pub fn any_group_version(&self) -> bool {
        self.flag('Y')
    }

    /// Whether it is marked as a union.
    pub fn union(&self) -> bool {
        self.flag('U')
    }

    /// The special JSON form, if it has one.
    pub fn special(&self) -> Option<Special> {
        self.special
    }

    /// The struct's `x-kubernetes-map-type`.
    pub fn map_type(&self) -> Option<MapType> {
        match self.attribute('M')? {
            "a" => Some(MapType::Atomic),
            _ => Some(MapType::Granular),
        }
    }

    /// The group-version-kinds under which it is registered.
    pub fn gvks(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> + use<> {
        self.attribute('G').unwrap_or_default().split(',').filter_map(|gvk| {
            let (group, rest) = gvk.split_once('/')?;
            let (version, kind) = rest.split_once('/')?;
            Some((group, version, kind))
        })
    }

    /// The OpenAPI shape of a special type, as JSON text.
    pub fn schema(&self) -> Option<&'static str> {
        self.attribute('Z')
    }

    /// `x-kubernetes-unions`, as JSON text.
    pub fn unions(&self) -> Option<&'static str> {
        self.attribute('N')
    }

    /// The fields in declaration order; inline messages are one field.
    pub fn fields(&self) -> &'static [Field] {
        let first = usize::from(self.first);
        &types().fields[first..first + usize::from(self.count)]
    }

    /// The field of that JSON name, looked for in inline messages too.
    pub fn field(&self, json: &str) -> Option<&'static Field> {
        self.place(json.as_bytes()).map(|(_, field)| field)
    }

    /// The same with its place among [`Type::json_fields`], which are fewer than 64.
    pub fn place(&self, json: &[u8]) -> Option<(usize, &'static Field)> {
        let table = types();
        let flat = self.flat_indexes();
        let at = flat.binary_search_by(|&i| table.fields[usize::from(i)].json.as_bytes().cmp(json)).ok()?;
        Some((at, &table.fields[usize::from(flat[at])]))
    }

    /// All fields that have a JSON name, those of inline messages included, sorted by JSON name.
    pub fn json_fields(&self) -> impl ExactSizeIterator<Item = &'static Field> + use<> {
        let table = types();
        self.flat_indexes().iter().map(|&i| &table.fields[usize::from(i)])
    }

    /// Whether the type, or one that it holds, has fields that stand in JSON without a value.
    pub fn prints_unset(&self) -> bool {
        static TABLE: OnceLock<Vec<bool>> = OnceLock::new();
        TABLE.get_or_init(printing)[usize::from(self.index)]
    }

    fn flat_indexes(&self) -> &'static [u16] {
        let first = usize::from(self.flat_first);
        &types().flat[first..first + usize::from(self.flat_count)]
    }

    fn flag(&self, letter: char) -> bool {
        self.rest.split('\t').next().is_some_and(|flags| flags.contains(letter))
    }

    fn attribute(&self, letter: char) -> Option<&'static str> {
        self.rest.split('\t').skip(1).find_map(|attribute| attribute.strip_prefix(letter))
    }
}

impl PartialEq for Type {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
    }
}

impl std::fmt::Debug for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Type({})", self.name)
    }
}

/// The whole table.
pub struct Types {
    pub(crate) types: Vec<Type>,
    pub(crate) fields: Vec<Field>,
    pub(crate) flat: Vec<u16>,
    /// Sorted by group, version, kind.
    pub(crate) gvks: Vec<(&'static str, &'static str, &'static str, u16)>,
    pub(crate) anywhere: Vec<u16>,
}

impl Types {
    /// The type of that OpenAPI definition name.
    pub fn by_name(&self, name: &str) -> Option<&Type> {
        let at = self.types.binary_search_by(|t| t.name.cmp(name)).ok()?;
        Some(&self.types[at])
    }

    /// The type registered under a group, version and kind; options and watch events are registered everywhere.
    pub fn by_gvk(&self, group: &str, version: &str, kind: &str) -> Option<&Type> {
        if let Ok(at) = self.gvks.binary_search_by(|&(g, v, k, _)| (g, v, k).cmp(&(group, version, kind))) {
            return self.get(self.gvks[at].3);
        }
        self.anywhere.iter().filter_map(|&i| self.get(i)).find(|t| t.short_name() == kind)
    }

    /// Every type, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Type> {
        self.types.iter()
    }

    pub(crate) fn get(&self, index: u16) -> Option<&Type> {
        self.types.get(usize::from(index))
    }
}

/// For every type whether it prints fields without a value. Types hold each other in circles, so it is asked until nothing changes.
fn printing() -> Vec<bool> {
    let all = &types().types;
    let mut prints = vec![false; all.len()];
    loop {
        let before = prints.clone();
        for ty in all {
            let below = |f: &Field| f.ty().is_some_and(|below| below.special.is_none() && prints[usize::from(below.index)]);
            let found = ty.json_fields().any(|f| f.always_printed() || below(f));
            prints[usize::from(ty.index)] = found;
        }
        if prints == before {
            return prints;
        }
    }
}

/// The table of types, indexed on first use (well under a millisecond in a release build).
pub fn types() -> &'static Types {
    static TABLE: OnceLock<Types> = OnceLock::new();
    TABLE.get_or_init(|| parse::types(include_str!("../data/types.txt")))
}
