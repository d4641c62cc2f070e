//! `namespace/name`: what identifies an object within its resource.

use crate::ObjectMeta;
use std::cmp::Ordering;
use std::fmt;

/// Namespace (empty for cluster-scoped objects) and name. Ordered as `namespace/name` is, which is the order of lists:
/// `kube-system/x` stands before `kube/x`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ObjectKey {
    pub namespace: String,
    pub name: String,
}

impl ObjectKey {
    /// A key from its two parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of a cluster-scoped object.
    pub fn cluster(name: impl Into<String>) -> Self {
        Self::new("", name)
    }

    /// The key that metadata spells.
    #[must_use]
    pub fn of(meta: &ObjectMeta) -> Self {
        Self::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    }
}

impl Ord for ObjectKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.namespace.as_bytes(), other.namespace.as_bytes());
        match a.cmp(b) {
            Ordering::Equal => self.name.cmp(&other.name),
            // Where one begins with the other, the slash behind the shorter one decides.
            Ordering::Less => b.strip_prefix(a).map_or(Ordering::Less, |rest| b'/'.cmp(&rest[0])),
            Ordering::Greater => a.strip_prefix(b).map_or(Ordering::Greater, |rest| rest[0].cmp(&b'/')),
        }
    }
}

impl PartialOrd for ObjectKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}
