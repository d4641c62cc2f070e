//! One field of an API type: how it is named, encoded, merged and defaulted. A field is 40 bytes; its rarer facts stay as
//! the tab-separated text of its line and are looked up in it on demand.

use crate::types::{Type, types};

/// What a value is, in JSON and on the protobuf wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A JSON string.
    String,
    /// A 32-bit integer.
    Int32,
    /// A 64-bit integer.
    Int64,
    /// A boolean.
    Bool,
    /// A 64-bit floating point number.
    Double,
    /// Bytes, base64 in JSON.
    Bytes,
    /// A string out of a published set.
    Enum,
    /// A message: see [`Field::ty`].
    Object,
    /// A JSON array of [`Field::item`].
    List,
    /// A JSON object from strings to [`Field::item`].
    Map,
    /// Any JSON value.
    Any,
}

/// How a field behaves when it is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Emit {
    /// Set and unset differ: a zero that is present is a value.
    Presence,
    /// A plain value or collection left out of JSON when zero or empty.
    Nonzero,
    /// In JSON even when zero.
    Always,
    /// As `Presence`, but in JSON even when unset: as `null`.
    Null,
    /// Never observed on a server; treat as `Nonzero`, or as `Presence` where that is all the field can be.
    Unknown,
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListType {
    /// Replaced as a whole.
    Atomic,
    /// A set of scalars.
    Set,
    /// A map of objects by [`Field::list_map_keys`].
    Map,
}

/// `x-kubernetes-map-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapType {
    /// Replaced as a whole.
    Atomic,
    /// Merged key by key.
    Granular,
}

/// A field of a [`Type`].
#[derive(Clone, Copy)]
pub struct Field {
    pub(crate) json: &'static str,
    /// Tab-separated rest of the line: emit and other flag letters first, then `<letter><value>` attributes.
    pub(crate) rest: &'static str,
    pub(crate) reference: u16,
    pub(crate) tag: u16,
    pub(crate) kind: Kind,
    pub(crate) item: Kind,
    pub(crate) emit: Emit,
    pub(crate) bits: u8,
}

/// `Field::reference` of a field that refers to no type.
pub(crate) const NO_TYPE: u16 = u16::MAX;

pub(crate) const REQUIRED: u8 = 1;
pub(crate) const INLINE: u8 = 2;
pub(crate) const VALUE_ITEMS: u8 = 4;
pub(crate) const DISCRIMINATOR: u8 = 8;
pub(crate) const UNION_MEMBER: u8 = 16;
pub(crate) const LIST_MAP: u8 = 32;
pub(crate) const LIST_SET: u8 = 64;
pub(crate) const LIST_ATOMIC: u8 = 128;

impl Field {
    /// The JSON name; empty for an inline message and for the inside of a special type.
    pub fn json(&self) -> &'static str {
        self.json
    }

    /// The protobuf field number; 0 where the type has no protobuf form.
    pub fn tag(&self) -> u32 {
        u32::from(self.tag)
    }

    /// What the field is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The kind of the elements of a list or of the values of a map; otherwise the kind itself.
    pub fn item(&self) -> Kind {
        self.item
    }

    /// The referenced type: of the object, of the list's items or of the map's values.
    pub fn ty(&self) -> Option<&'static Type> {
        types().get(self.reference)
    }

    /// How the field behaves when it is empty.
    pub fn emit(&self) -> Emit {
        self.emit
    }

    /// Whether the field stands in JSON even when it has no value.
    pub fn always_printed(&self) -> bool {
        matches!(self.emit, Emit::Always | Emit::Null)
    }

    /// Whether OpenAPI lists the field as required.
    pub fn required(&self) -> bool {
        self.bits & REQUIRED != 0
    }

    /// Whether the referenced message's fields stand in the parent's JSON object.
    pub fn inline(&self) -> bool {
        self.bits & INLINE != 0
    }

    /// Whether the values of the map are arrays of strings in OpenAPI.
    pub fn value_items(&self) -> bool {
        self.bits & VALUE_ITEMS != 0
    }

    /// Whether the field is the discriminator of its type's union.
    pub fn union_discriminator(&self) -> bool {
        self.bits & DISCRIMINATOR != 0
    }

    /// Whether the field is a member of its type's union.
    pub fn union_member(&self) -> bool {
        self.bits & UNION_MEMBER != 0
    }

    /// `x-kubernetes-list-type`; a list without one is atomic to server-side apply.
    pub fn list_type(&self) -> Option<ListType> {
        match self.bits & (LIST_MAP | LIST_SET | LIST_ATOMIC) {
            LIST_MAP => Some(ListType::Map),
            LIST_SET => Some(ListType::Set),
            LIST_ATOMIC => Some(ListType::Atomic),
            _ => None,
        }
    }

    /// `x-kubernetes-list-map-keys`.
    pub fn list_map_keys(&self) -> impl Iterator<Item = &'static str> + use<> {
        let keys = if self.bits & LIST_MAP != 0 { self.attribute('L').unwrap_or_default() } else { "" };
        keys.split(',').filter(|key| !key.is_empty())
    }

    /// `x-kubernetes-map-type` of the field itself; see also [`Type::map_type`].
    pub fn map_type(&self) -> Option<MapType> {
        match self.attribute('M')? {
            "a" => Some(MapType::Atomic),
            _ => Some(MapType::Granular),
        }
    }

    /// Whether strategic merge patch merges the list (or the map) instead of replacing it.
    pub fn patch_merge(&self) -> bool {
        self.patch_strategy().split(',').any(|s| s == "merge")
    }

    /// Whether strategic merge patch replaces the field as a whole.
    pub fn patch_replace(&self) -> bool {
        self.patch_strategy().split(',').any(|s| s == "replace")
    }

    /// Whether strategic merge patch drops what `$retainKeys` does not name.
    pub fn patch_retain_keys(&self) -> bool {
        self.patch_strategy().split(',').any(|s| s == "retainKeys")
    }

    /// `x-kubernetes-patch-strategy`, empty if none.
    pub fn patch_strategy(&self) -> &'static str {
        self.attribute('S').unwrap_or_default()
    }

    /// `x-kubernetes-patch-merge-key`.
    pub fn patch_merge_key(&self) -> Option<&'static str> {
        self.attribute('K')
    }

    /// The OpenAPI default, as JSON text.
    pub fn default(&self) -> Option<&'static str> {
        self.attribute('D')
    }

    /// What the server fills in on an otherwise empty object, as JSON text (`"$now"` is the current time).
    pub fn server_default(&self) -> Option<&'static str> {
        self.attribute('V')
    }

    /// The OpenAPI format of the field.
    pub fn format(&self) -> Option<&'static str> {
        self.attribute('F')
    }

    /// The OpenAPI format of the elements of a list or the values of a map.
    pub fn item_format(&self) -> Option<&'static str> {
        self.attribute('f').or_else(|| self.attribute('v'))
    }

    /// The allowed values of an enum field, as the server publishes them.
    pub fn enumeration(&self) -> Option<impl Iterator<Item = &'static str> + use<>> {
        self.attribute('E').map(|values| values.split('|'))
    }

    /// The allowed values of the elements of a list or the values of a map.
    pub fn item_enumeration(&self) -> Option<impl Iterator<Item = &'static str> + use<>> {
        self.attribute('e').or_else(|| self.attribute('w')).map(|values| values.split('|'))
    }

    /// The group of which exactly one must be set.
    pub fn one_of(&self) -> Option<&'static str> {
        self.attribute('O')
    }

    /// The group of which at most one may be set.
    pub fn zero_or_one_of(&self) -> Option<&'static str> {
        self.attribute('Z')
    }

    fn attribute(&self, letter: char) -> Option<&'static str> {
        self.rest.split('\t').skip(1).find_map(|attribute| attribute.strip_prefix(letter))
    }
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Field({} {} {:?})", self.json, self.tag, self.kind)
    }
}
