//! Server-side apply and field ownership (KEP-555, docs: "Server-Side Apply").
//!
//! [`track`] follows plain writes: whoever writes a field owns it, and its former owners lose it. [`apply`] merges a
//! configuration: it refuses to change what others own unless forced, and takes away what the same manager applied before,
//! does not apply any more, and nobody else owns.

mod managed;
mod migrate;
mod path;
mod scale;
mod set;
#[cfg(test)]
mod tests;
mod typed;
mod versions;
mod walk;

pub use managed::{ANCIENT_CHANGES, BEFORE_FIRST_APPLY, Id, MAX_UPDATE_MANAGERS, Managed, Operation, Owned};
pub use migrate::{LAST_APPLIED, upgrade_client_side};
pub use path::{Element, Scalar};
pub use scale::SCALE_VERSION;
pub use set::{Node, Set};
pub use typed::complete;
pub use versions::Versions;
pub use walk::{Comparison, compare, field_set, merge, remove};

use std::sync::OnceLock;

use serde_json::Value;

use self::versions::Differences;
use crate::Shape;

/// Who writes, and how.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The field manager.
    pub manager: &'a str,
    /// The version of the request's object.
    pub api_version: &'a str,
    /// The subresource; empty for the object itself.
    pub subresource: &'a str,
    /// Now, RFC 3339 in whole seconds.
    pub now: &'a str,
    /// Dotted paths that this endpoint resets and so nobody comes to own by it (`status`, or `spec` for the status endpoint).
    pub ignore: &'a [&'a str],
    /// The other versions of the object, for owners that know its fields by those; without, there are none.
    pub versions: Option<&'a dyn Versions>,
}

/// One field that somebody else owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// `conflict with "kubectl" using apps/v1`
    pub message: String,
    /// `.spec.replicas`
    pub field: String,
}

/// Why a configuration is not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Others own fields that it would change (409, a cause `FieldManagerConflict` for each).
    #[error("{message}")]
    Conflicts {
        /// `Apply failed with 1 conflict: …`
        message: String,
        /// Each field.
        causes: Vec<Conflict>,
    },
    /// It does not fit the schema.
    #[error("failed to create typed patch object ({0}")]
    Typed(String),
    /// It must not be sent (400).
    #[error("{0}")]
    BadRequest(&'static str),
}

/// Fields that are never owned.
const NEVER_OWNED: [&str; 12] = [
    "apiVersion",
    "kind",
    "metadata",
    "metadata.name",
    "metadata.namespace",
    "metadata.creationTimestamp",
    "metadata.selfLink",
    "metadata.uid",
    "metadata.clusterName",
    "metadata.generation",
    "metadata.managedFields",
    "metadata.resourceVersion",
];

fn path_of(dotted: &str) -> Vec<Element> {
    dotted.split('.').map(|name| Element::Field(name.to_owned())).collect()
}

fn set_of(dotted: &[&str]) -> Set {
    let mut set = Set::default();
    dotted.iter().for_each(|path| set.insert(&path_of(path)));
    set
}

/// The set without what nobody owns and what the endpoint resets.
fn stripped(set: &Set, ignore: &[&str]) -> Set {
    static NEVER: OnceLock<Set> = OnceLock::new();
    let never = NEVER.get_or_init(|| set_of(&NEVER_OWNED));
    let owned = set.without(never);
    if ignore.is_empty() { owned } else { owned.without_below(&set_of(ignore)) }
}

fn strip_comparison(mut found: Comparison, ignore: &[&str]) -> Comparison {
    for set in [&mut found.added, &mut found.modified, &mut found.removed].into_iter().filter(|set| !set.is_empty()) {
        *set = stripped(set, ignore);
    }
    found
}

/// The object without its managed fields, completed.
fn bare(mut object: Value, shape: Shape<'_>) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    complete(&mut object, shape);
    object
}

/// Whether the request clears the managed fields (`managedFields: [{}]`).
fn clears(object: &Value) -> bool {
    object["metadata"]["managedFields"].as_array().is_some_and(|list| matches!(list.as_slice(), [Value::Object(map)] if map.is_empty()))
}

/// Follows a create (`live` is `None`), update or patch: sets the managed fields of `new`.
pub fn track(live: Option<&Value>, new: &mut Value, shape: Shape<'_>, writer: Writer<'_>) {
    let managed = tracked(live.cloned(), new.clone(), shape, writer);
    managed.write(new);
}

/// As [`track`], for who needs neither tree afterwards: the managed fields that `new` comes to have.
pub fn tracked(live: Option<Value>, new: Value, shape: Shape<'_>, writer: Writer<'_>) -> Managed {
    if clears(&new) {
        return Managed::default();
    }
    let given = if writer.subresource.is_empty() { Managed::read(&new).filter(|managed| !managed.managers.is_empty()) } else { None };
    let mut managed = given.or_else(|| live.as_ref().and_then(Managed::read)).unwrap_or_default();
    // What was never tracked stays so: only a creation starts it.
    if live.is_some() && managed.managers.is_empty() {
        return managed;
    }
    let (old, new) = (live.map(|live| bare(live, shape)), bare(new, shape));
    let found = match &old {
        Some(old) => compare(old, &new, shape),
        None => compare(&typed::empty(shape), &new, shape),
    };
    let found = strip_comparison(found, writer.ignore);
    let id = Id {
        manager: writer.manager.to_owned(),
        operation: Operation::Update,
        api_version: writer.api_version.to_owned(),
        subresource: writer.subresource.to_owned(),
    };
    let differences = Differences::new(&managed, &id, (old.as_ref(), &new), &found, writer);
    disown(&mut managed, &id, &differences);
    record_update(&mut managed, &id, &found, writer.now);
    managed.cap();
    managed
}

fn record_update(managed: &mut Managed, id: &Id, found: &Comparison, now: &str) {
    let written = found.written();
    let own = managed.managers.entry(id.clone()).or_insert_with(|| Owned { api_version: id.api_version.clone(), time: String::new(), set: Set::default() });
    if !found.removed.is_empty() {
        own.set = own.set.without(&found.removed);
    }
    if !written.is_empty() {
        own.set.unite(&written);
        now.clone_into(&mut own.time);
    }
    managed.managers.retain(|_, owned| !owned.set.is_empty());
}

/// Takes written and removed fields from everybody else, by the names that each knows them by.
fn disown(managed: &mut Managed, own: &Id, differences: &Differences<'_>) {
    for (_, owned) in managed.managers.iter_mut().filter(|(id, _)| *id != own) {
        owned.set = match differences.in_version(&owned.api_version) {
            Some(found) => owned.set.without(&found.written()).without(&found.removed),
            None => Set::default(),
        };
    }
    managed.managers.retain(|id, owned| id == own || !owned.set.is_empty());
}

/// Applies a configuration. The answer is the whole object with its managed fields; it equals `live` if nothing changed.
///
/// # Errors
/// Conflicts with other managers (unless `force`), a configuration that does not fit its schema.
pub fn apply(live: Option<&Value>, config: &Value, shape: Shape<'_>, writer: Writer<'_>, force: bool) -> Result<Value, ApplyError> {
    if config["metadata"]["managedFields"].as_array().is_some_and(|list| !list.is_empty()) {
        return Err(ApplyError::BadRequest("metadata.managedFields must be nil"));
    }
    check(config, shape)?;
    let (old, mut managed) = start(live, shape, writer);
    let id = Id { manager: writer.manager.to_owned(), operation: Operation::Apply, api_version: String::new(), subresource: writer.subresource.to_owned() };
    let last = managed.managers.get(&id).cloned();
    let set = stripped(&field_set(config, shape), writer.ignore);
    let time = last.as_ref().map_or_else(String::new, |owned| owned.time.clone());
    managed.managers.insert(id.clone(), Owned { api_version: writer.api_version.to_owned(), time, set });

    let merged = merge(&old, config, shape);
    let mut object = match &last {
        Some(last) => versions::pruned(&merged, last, &managed, shape, writer),
        None => merged,
    };
    let found = strip_comparison(compare(&old, &object, shape), writer.ignore);
    let differences = Differences::new(&managed, &id, (live.is_some().then_some(&old), &object), &found, writer);
    let conflicts = conflicts(&managed, &id, &differences);
    if !force && !conflicts.is_empty() && !migrate::forgiven(&old, &conflicts, shape, writer) {
        return Err(conflict_error(&conflicts));
    }
    disown(&mut managed, &id, &differences);
    migrate::renew_last_applied(&mut object, config, writer);
    finish(live, object, managed, &id, writer)
}

/// Whether a configuration fits its schema.
///
/// # Errors
/// [`ApplyError::Typed`].
pub fn check(config: &Value, shape: Shape<'_>) -> Result<(), ApplyError> {
    match typed::check(config, shape) {
        Some(problem) => Err(ApplyError::Typed(format!("{}): {problem}", identity(config)))),
        None => Ok(()),
    }
}

/// `ns/name; apps/v1, Kind=Deployment`
fn identity(config: &Value) -> String {
    let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let version = text("/apiVersion");
    let slash = if version.contains('/') { "" } else { "/" };
    format!("{}/{}; {slash}{version}, Kind={}", text("/metadata/namespace"), text("/metadata/name"), text("/kind"))
}

/// What an apply starts from: the object without managed fields, and its managers; an object that was never tracked gets
/// a manager for what is there.
fn start(live: Option<&Value>, shape: Shape<'_>, writer: Writer<'_>) -> (Value, Managed) {
    let Some(live) = live else { return (Value::Object(serde_json::Map::new()), Managed::default()) };
    let mut old = live.clone();
    if let Some(metadata) = old["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    let mut managed = Managed::read(live).unwrap_or_default();
    if managed.managers.is_empty() {
        let found = strip_comparison(compare(&typed::empty(shape), &bare(live.clone(), shape), shape), &[]);
        let id = Id { manager: BEFORE_FIRST_APPLY.to_owned(), operation: Operation::Update, api_version: writer.api_version.to_owned(), subresource: String::new() };
        record_update(&mut managed, &id, &found, writer.now);
    }
    (old, managed)
}

fn finish(live: Option<&Value>, mut object: Value, mut managed: Managed, id: &Id, writer: Writer<'_>) -> Result<Value, ApplyError> {
    managed.managers.retain(|_, owned| !owned.set.is_empty());
    managed.cap();
    let mut same_times = object.clone();
    managed.write(&mut same_times);
    // Who applies what is there already comes to own it without a time.
    if live.is_some_and(|live| same_but_owners(live, &object)) {
        return Ok(same_times);
    }
    if let Some(owned) = managed.managers.get_mut(id) {
        writer.now.clone_into(&mut owned.time);
    }
    managed.write(&mut object);
    Ok(object)
}

/// Whether two objects are the same but for who owns their fields.
fn same_but_owners(live: &Value, new: &Value) -> bool {
    let bare = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        object
    };
    bare(live) == bare(new)
}

fn conflicts(managed: &Managed, own: &Id, differences: &Differences<'_>) -> Vec<(Id, Vec<Element>)> {
    let others = managed.managers.iter().filter(|(id, _)| *id != own);
    let shared = |owned: &Owned| differences.in_version(&owned.api_version).map(|found| owned.set.shared(&found.written()));
    others.flat_map(|(id, owned)| shared(owned).into_iter().flat_map(|set| set.paths()).map(move |path| (id.clone(), path))).collect()
}

fn conflict_error(conflicts: &[(Id, Vec<Element>)]) -> ApplyError {
    let causes: Vec<Conflict> = conflicts.iter().map(|(id, path)| Conflict { message: format!("conflict with {}", id.show()), field: path::show(path) }).collect();
    let message = match causes.as_slice() {
        [one] => format!("Apply failed with 1 conflict: {}: {}", one.message, one.field),
        many => {
            let mut lines = Vec::new();
            let mut last = None;
            for ((id, _), cause) in conflicts.iter().zip(many) {
                if last != Some(id) {
                    lines.push(format!("conflicts with {}:", id.show()));
                    last = Some(id);
                }
                lines.push(format!("- {}", cause.field));
            }
            format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
        }
    };
    ApplyError::Conflicts { message, causes }
}

/// Whether two objects differ in nothing but the times of their managed fields and their resource version: a write that
/// changes only those is none.
pub fn same_but_times(old: &Value, new: &Value) -> bool {
    let plain = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
            for entry in metadata.get_mut("managedFields").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(entry) = entry.as_object_mut() {
                    entry.remove("time");
                }
            }
            if let Some(list) = metadata.get_mut("managedFields").and_then(Value::as_array_mut) {
                list.sort_by_key(ToString::to_string);
            }
        }
        object
    };
    plain(old) == plain(new)
}

/// Longest name of a field manager, in bytes.
pub const MAX_MANAGER_BYTES: usize = 128;

/// The manager of a request: the one it names, or what its user agent begins with.
pub fn manager_name(field_manager: &str, user_agent: &str) -> String {
    if !field_manager.is_empty() {
        return field_manager.to_owned();
    }
    let mut name = String::new();
    for c in user_agent.split('/').next().unwrap_or_default().chars().filter(|c| !c.is_control()) {
        if name.len() + c.len_utf8() > MAX_MANAGER_BYTES {
            break;
        }
        name.push(c);
    }
    name
}
