//! How objects lie in a store: JSON as the embedded engine has it, or Kubernetes' own form, which is protobuf in the
//! `k8s\0` envelope for built-in kinds and JSON for custom ones. Reading tells them apart by the envelope's mark.
//! Docs: "Kubernetes API concepts", protobuf encoding; `--storage-media-type`.

use crate::object::{self, DecodeError};
use crate::proto::{self, ProtoError};
use kinds::{Object, Resource};
use serde_json::Value;

mod older;

/// What marks the envelope.
const MAGIC: &[u8] = b"k8s\0";

/// The form that new values are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// JSON for everything.
    #[default]
    Json,
    /// Protobuf for built-in kinds, JSON for custom resources: what a kube-apiserver reads and writes.
    Kubernetes,
}

/// Why a stored value cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    #[error(transparent)]
    Proto(#[from] ProtoError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// An object's JSON in the form that is stored; `None` when that is the JSON itself.
///
/// # Errors
/// Values that do not fit their protobuf fields.
pub fn to_stored(form: Form, resource: &Resource, json: &[u8]) -> Result<Option<Vec<u8>>, ProtoError> {
    match (form, resource) {
        (Form::Kubernetes, Resource::Builtin(_)) => proto::encode(json).map(Some),
        _ => Ok(None),
    }
}

/// The JSON of a stored value, with what `default` fills in; `None` when it is our own JSON already.
///
/// # Errors
/// Malformed bytes, or an object of another kind than the resource's.
pub fn from_stored(resource: &Resource, stored: &[u8], default: impl Fn(&mut Object)) -> Result<Option<Vec<u8>>, StoredError> {
    let tree = if stored.starts_with(MAGIC) {
        proto::decode_as(stored, |written| older::same_shape(resource, written))?
    } else {
        // What is no JSON is told by whoever reads it next.
        match (resource, serde_json::from_slice::<Value>(foreign(stored).unwrap_or_default())) {
            (Resource::Builtin(_), Ok(tree)) => older::renewed(tree),
            _ => return Ok(None),
        }
    };
    let mut object = object::from_value(resource, tree)?;
    default(&mut object);
    Ok(Some(object::encode(&object)))
}

/// JSON that we did not write: ours names the version first, kube-apiserver's the kind.
fn foreign(stored: &[u8]) -> Option<&[u8]> {
    (!stored.starts_with(b"{\"apiVersion\":")).then_some(stored)
}
