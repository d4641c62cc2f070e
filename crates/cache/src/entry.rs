//! One stored object: decoded, and encoded as every reader of its JSON gets it.

use bytes::Bytes;
use kinds::{Object, ObjectKey, ObjectMeta, Revision};

/// An object at one revision.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: ObjectKey,
    /// The decoded object; its `metadata.resourceVersion` is `revision`. Its `managedFields` are left out: as trees they
    /// weigh more than all the rest, and who needs them finds them in `json`.
    pub object: Object,
    /// The same as JSON in its storage version, resourceVersion included.
    pub json: Bytes,
    /// The revision of its last write.
    pub revision: Revision,
}

impl Entry {
    /// Its metadata.
    #[must_use]
    pub fn meta(&self) -> &ObjectMeta {
        self.object.meta()
    }
    /// Its uid, empty when it has none.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.meta().uid.as_deref().unwrap_or_default()
    }
}
