//! The `metadata.managedFields` of an object: who owns which fields, read, written, kept sorted and bounded.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::set::Set;

/// Entries of plain updates that are kept; older ones are merged into one.
pub const MAX_UPDATE_MANAGERS: usize = 10;
/// The manager of the merged entries.
pub const ANCIENT_CHANGES: &str = "ancient-changes";
/// The manager of what was there before the first apply.
pub const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// What an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Server-side apply.
    Apply,
    /// Any other write.
    Update,
}

impl Operation {
    fn text(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// What tells one manager from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// Its name.
    pub manager: String,
    /// What it does.
    pub operation: Operation,
    /// The version it writes; empty for appliers, which are one manager in every version.
    pub api_version: String,
    /// The subresource it writes.
    pub subresource: String,
}

impl Id {
    /// As conflict messages name it: `"kubectl" with subresource "status" using v1`.
    pub fn show(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }
}

/// The fields of one manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The version in which the fields are named.
    pub api_version: String,
    /// When they were last written, RFC 3339; empty for never told.
    pub time: String,
    /// The fields.
    pub set: Set,
}

/// All managers of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Managed {
    /// By manager.
    pub managers: BTreeMap<Id, Owned>,
}

impl Managed {
    /// Reads `metadata.managedFields`; `None` if it is malformed.
    pub fn read(object: &Value) -> Option<Self> {
        let mut managed = Self::default();
        let entries = match &object["metadata"]["managedFields"] {
            Value::Null => return Some(managed),
            entries => entries.as_array()?,
        };
        for entry in entries {
            let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
            let operation = match entry["operation"].as_str()? {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            };
            let set = match &entry["fieldsV1"] {
                Value::Null => Set::default(),
                fields => Set::from_fields_v1(fields)?,
            };
            let version = if operation == Operation::Apply { String::new() } else { text("apiVersion") };
            let id = Id { manager: text("manager"), operation, api_version: version, subresource: text("subresource") };
            managed.managers.insert(id, Owned { api_version: text("apiVersion"), time: text("time"), set });
        }
        Some(managed)
    }

    /// Writes `metadata.managedFields`; nothing when nobody owns anything.
    pub fn write(&self, object: &mut Value) {
        let Some(metadata) = object.as_object_mut().map(|map| map.entry("metadata").or_insert_with(|| json!({}))).and_then(Value::as_object_mut) else { return };
        let entries = self.entries();
        if entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), Value::Array(entries));
        }
    }

    /// The list that stands in `metadata.managedFields`, in its order.
    pub fn entries(&self) -> Vec<Value> {
        let mut all: Vec<(&Id, &Owned)> = self.managers.iter().filter(|(_, owned)| !owned.set.is_empty()).collect();
        all.sort_by(|(a, x), (b, y)| {
            let key = |id: &Id| (id.manager.clone(), id.subresource.clone());
            a.operation.cmp(&b.operation).then_with(|| x.time.cmp(&y.time)).then_with(|| key(a).0.cmp(&key(b).0)).then_with(|| x.api_version.cmp(&y.api_version)).then_with(|| key(a).1.cmp(&key(b).1))
        });
        all.into_iter().map(|(id, owned)| entry(id, owned)).collect()
    }

    /// The union of all managers' fields.
    pub fn all_fields(&self) -> Set {
        let mut all = Set::default();
        self.managers.values().for_each(|owned| all.unite(&owned.set));
        all
    }

    /// Merges the oldest update entries into one, until few enough are left.
    pub(super) fn cap(&mut self) {
        let mut updates: Vec<(String, Id)> = self.managers.iter().filter(|(id, _)| id.operation == Operation::Update).map(|(id, owned)| (owned.time.clone(), id.clone())).collect();
        if updates.len() <= MAX_UPDATE_MANAGERS {
            return;
        }
        updates.sort();
        let mut left = updates.len();
        for (_, id) in updates {
            if left <= MAX_UPDATE_MANAGERS {
                break;
            }
            if id.manager == ANCIENT_CHANGES {
                continue;
            }
            let Some(owned) = self.managers.remove(&id) else { continue };
            let bucket = Id { manager: ANCIENT_CHANGES.to_owned(), subresource: String::new(), ..id };
            match self.managers.get_mut(&bucket) {
                Some(before) => {
                    before.set.unite(&owned.set);
                    before.time = before.time.clone().max(owned.time);
                    left -= 1;
                }
                None => drop(self.managers.insert(bucket, owned)),
            }
        }
    }
}

fn entry(id: &Id, owned: &Owned) -> Value {
    let mut map = Map::new();
    map.insert("manager".to_owned(), json!(id.manager));
    map.insert("operation".to_owned(), json!(id.operation.text()));
    map.insert("apiVersion".to_owned(), json!(owned.api_version));
    if !owned.time.is_empty() {
        map.insert("time".to_owned(), json!(owned.time));
    }
    map.insert("fieldsType".to_owned(), json!("FieldsV1"));
    map.insert("fieldsV1".to_owned(), owned.set.to_fields_v1());
    if !id.subresource.is_empty() {
        map.insert("subresource".to_owned(), json!(id.subresource));
    }
    Value::Object(map)
}
