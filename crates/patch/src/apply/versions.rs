//! Owners in other versions of a kind than the one a request speaks: what a write changes is compared in the version in
//! which the owner names its fields, so that a field of another name there has the same owner (docs: "Server-Side Apply:
//! Version conversion").

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde_json::Value;

use super::managed::{Id, Managed, Owned};
use super::set::Set;
use super::walk::{compare, field_set, remove};
use super::{Comparison, Writer, bare, strip_comparison};
use crate::Shape;

/// Objects of one kind in their other versions.
pub trait Versions: Debug + Sync {
    /// The object in a version; `None` where there is no such version (any more).
    fn turned(&self, object: &Value, to: &str) -> Option<Value>;
    /// The shape of the object in a version.
    fn shape(&self, version: &str) -> Shape<'_>;
}

/// The object in a version.
fn at(object: &Value, to: &str, versions: &dyn Versions) -> Option<Value> {
    if object["apiVersion"] == to { Some(object.clone()) } else { versions.turned(object, to) }
}

/// What a write changes, by the versions that its owners know the fields in. A version that is not there any more has
/// nothing: its owners own nothing.
pub(super) struct Differences<'a> {
    own: &'a Comparison,
    others: BTreeMap<String, Option<Comparison>>,
}

impl<'a> Differences<'a> {
    /// From what was and what is to be, and what that changes in the request's own version.
    pub(super) fn new(managed: &Managed, id: &Id, (old, new): (Option<&Value>, &Value), own: &'a Comparison, writer: Writer<'_>) -> Self {
        let mut others = BTreeMap::new();
        let (Some(versions), Some(old)) = (writer.versions, old) else { return Self { own, others } };
        let foreign = managed.managers.iter().filter(|(other, owned)| *other != id && owned.api_version != writer.api_version);
        for (_, Owned { api_version, .. }) in foreign {
            if !others.contains_key(api_version) {
                let both = at(old, api_version, versions).zip(at(new, api_version, versions));
                let shape = versions.shape(api_version);
                let found = both.map(|(old, new)| strip_comparison(compare(&bare(old, shape), &bare(new, shape), shape), writer.ignore));
                others.insert(api_version.clone(), found);
            }
        }
        Self { own, others }
    }

    /// What the write changes in a version.
    pub(super) fn in_version(&self, version: &str) -> Option<&Comparison> {
        self.others.get(version).map_or(Some(self.own), Option::as_ref)
    }
}

/// What is left of a merged object when that goes which its applier gave up and nobody else owns: judged first in the version
/// in which it was applied, then in those of the other owners.
pub(super) fn pruned(merged: &Value, last: &Owned, managed: &Managed, shape: Shape<'_>, writer: Writer<'_>) -> Value {
    let elsewhere = |owned: &Owned| owned.api_version != writer.api_version;
    let versions = writer.versions.filter(|_| elsewhere(last) || managed.managers.values().any(elsewhere));
    let Some(versions) = versions else {
        let owned = managed.all_fields();
        return remove(merged, &last.set.orphans(&owned), &owned, shape);
    };
    if last.set.is_empty() {
        return merged.clone();
    }
    let mut owners: BTreeMap<&str, Set> = BTreeMap::new();
    for owned in managed.managers.values() {
        owners.entry(&owned.api_version).or_default().unite(&owned.set);
    }
    let Some(mut whole) = at(merged, &last.api_version, versions) else { return merged.clone() };
    let owned = owners.remove(last.api_version.as_str()).unwrap_or_default();
    let mut left = remove(&whole, &last.set.orphans(&owned), &owned, versions.shape(&last.api_version));
    for (version, mut owned) in owners {
        let (Some(before), Some(after)) = (at(&whole, version, versions), at(&left, version, versions)) else { continue };
        let shape = versions.shape(version);
        let stays = field_set(&after, shape);
        let gone = field_set(&before, shape).without(&stays).orphans(&owned);
        owned.unite(&stays);
        left = remove(&before, &gone, &owned, shape);
        whole = before;
    }
    at(&left, writer.api_version, versions).unwrap_or_else(|| merged.clone())
}
