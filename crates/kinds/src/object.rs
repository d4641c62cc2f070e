//! One object of any kind: an immutable `Arc` of its struct, or the untyped tree of a custom resource.

use crate::key::ObjectKey;
use crate::resource::Resource;
use crate::table::Kind;
use crate::{ObjectMeta, for_each_kind};
use serde_json::{Map, Value};
use std::sync::Arc;

/// A struct of a built-in kind.
pub trait Typed: Clone + Send + Sync + 'static {
    /// Its row in the table of kinds.
    const KIND: Kind;
    /// Wraps it.
    fn into_object(self: Arc<Self>) -> Object;
    /// Looks inside an object; `None` when it is of another kind.
    fn of(object: &Object) -> Option<&Arc<Self>>;
    /// Takes the struct out; the object comes back when it is of another kind.
    ///
    /// # Errors
    /// The object itself, unchanged.
    fn from_object(object: Object) -> Result<Arc<Self>, Object>;
    /// Its metadata.
    fn meta(&self) -> &ObjectMeta;
    /// Its metadata, for change.
    fn meta_mut(&mut self) -> &mut ObjectMeta;
}

/// An object of a custom resource: typed metadata, untyped rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Dynamic {
    pub resource: Resource,
    pub api_version: String,
    pub kind: String,
    pub metadata: ObjectMeta,
    /// Every other top-level field.
    pub body: Map<String, Value>,
}

macro_rules! object {
    ($($v:ident: $ty:ty;)*) => {
        /// One object of any kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Object {
            $($v(Arc<$ty>),)*
            Dynamic(Arc<Dynamic>),
        }

        impl Object {
            /// Its built-in kind; `None` for a custom resource.
            #[must_use]
            pub fn kind(&self) -> Option<Kind> {
                match self { $(Self::$v(_) => Some(Kind::$v),)* Self::Dynamic(_) => None }
            }
            /// Its metadata.
            #[must_use]
            pub fn meta(&self) -> &ObjectMeta {
                match self { $(Self::$v(o) => &o.metadata,)* Self::Dynamic(o) => &o.metadata }
            }
            /// Its metadata for change; clones the object first when it is shared.
            pub fn meta_mut(&mut self) -> &mut ObjectMeta {
                match self {
                    $(Self::$v(o) => &mut Arc::make_mut(o).metadata,)*
                    Self::Dynamic(o) => &mut Arc::make_mut(o).metadata,
                }
            }
            /// An empty object of a built-in kind.
            #[must_use]
            pub fn empty(kind: Kind) -> Self {
                match kind { $(Kind::$v => Self::$v(Arc::new(<$ty>::default())),)* }
            }
        }
    };
}
for_each_kind!(object);

impl Object {
    /// `namespace/name`.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        ObjectKey::of(self.meta())
    }

    /// The resource whose table it belongs to.
    #[must_use]
    pub fn resource(&self) -> Resource {
        match self {
            Self::Dynamic(d) => d.resource.clone(),
            other => Resource::Builtin(other.kind().expect("only Dynamic has no kind").stored_as()),
        }
    }

    /// `apiVersion` as it is written in JSON.
    #[must_use]
    pub fn api_version(&self) -> String {
        match self {
            Self::Dynamic(d) => d.api_version.clone(),
            other => other.kind().expect("only Dynamic has no kind").api_version(),
        }
    }

    /// `kind` as it is written in JSON.
    #[must_use]
    pub fn kind_name(&self) -> &str {
        match self {
            Self::Dynamic(d) => &d.kind,
            other => other.kind().expect("only Dynamic has no kind").info().kind,
        }
    }

    /// The struct inside, when it is of that kind.
    #[must_use]
    pub fn typed<K: Typed>(&self) -> Option<&Arc<K>> {
        K::of(self)
    }
}
