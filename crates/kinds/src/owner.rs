//! Owner references: who controls an object, and how to say so.

use crate::object::Typed;
use crate::{ObjectMeta, OwnerReference};

/// The one owner that manages the object, if any.
#[must_use]
pub fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.as_ref()?.iter().find(|o| o.controller == Some(true))
}

/// Whether the object with that uid manages the one with this metadata.
#[must_use]
pub fn is_controlled_by(meta: &ObjectMeta, uid: &str) -> bool {
    controller_of(meta).is_some_and(|o| o.uid == uid)
}

/// A reference that makes `owner` the managing, deletion-blocking owner.
#[must_use]
pub fn controller_ref<K: Typed>(owner: &K) -> OwnerReference {
    let meta = owner.meta();
    OwnerReference {
        api_version: K::KIND.api_version(),
        kind: K::KIND.info().kind.to_owned(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
