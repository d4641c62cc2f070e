//! A resource: the group and plural that name a table, built-in or defined by a CustomResourceDefinition.

use crate::table::Kind;
use std::fmt;
use std::sync::Arc;

/// What a CRD says of its resource, as far as every reader needs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomResource {
    pub group: String,
    pub plural: String,
    pub kind: String,
    pub namespaced: bool,
}

/// The identity of a table. Built-ins are named by their stored kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    Builtin(Kind),
    Custom(Arc<CustomResource>),
}

impl From<Kind> for Resource {
    fn from(kind: Kind) -> Self {
        Self::Builtin(kind.stored_as())
    }
}

impl Resource {
    /// The API group, empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        match self {
            Self::Builtin(k) => k.info().group,
            Self::Custom(c) => &c.group,
        }
    }
    /// The plural name as it stands in URLs.
    #[must_use]
    pub fn plural(&self) -> &str {
        match self {
            Self::Builtin(k) => k.info().plural,
            Self::Custom(c) => &c.plural,
        }
    }
    /// The kind's name.
    #[must_use]
    pub fn kind_name(&self) -> &str {
        match self {
            Self::Builtin(k) => k.info().kind,
            Self::Custom(c) => &c.kind,
        }
    }
    /// Whether its objects live in namespaces.
    #[must_use]
    pub fn namespaced(&self) -> bool {
        match self {
            Self::Builtin(k) => k.namespaced(),
            Self::Custom(c) => c.namespaced,
        }
    }
    /// The built-in kind, if it is one.
    #[must_use]
    pub fn builtin(&self) -> Option<Kind> {
        match self {
            Self::Builtin(k) => Some(*k),
            Self::Custom(_) => None,
        }
    }
}

/// `pods`, `deployments.apps`: as error messages spell it.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group().is_empty() { f.write_str(self.plural()) } else { write!(f, "{}.{}", self.plural(), self.group()) }
    }
}
