//! The nouns of Kubernetes: typed structs (re-exported from k8s-openapi, which no other crate names), the table of
//! kinds, object keys, quantities, selectors, owner references, the API's error, and the one verb port [`Api`].

pub mod apiport;
pub mod conditions;
pub mod error;
pub mod field;
pub mod hash;
pub mod key;
pub mod object;
pub mod owner;
pub mod pod;
pub mod quantity;
pub mod resource;
pub mod selector;
pub mod table;

pub use base::Revision;
pub use k8s_openapi::api;
pub use k8s_openapi::apiextensions_apiserver;
pub use k8s_openapi::apimachinery;
pub use k8s_openapi::apimachinery::pkg::api::resource::Quantity as QuantityText;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    Condition, DeleteOptions, LabelSelector, ListMeta, ManagedFieldsEntry, MicroTime, ObjectMeta, OwnerReference, Time,
};
pub use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
pub use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
pub use k8s_openapi::kube_aggregator;
pub use k8s_openapi::{ByteString, List};

pub use apiport::{Api, Fut, Patch, PatchKind, Target, WriteOptions};
pub use error::ApiError;
pub use field::{FieldError, FieldErrors, Path};
pub use key::ObjectKey;
pub use object::{Dynamic, Object, Typed};
pub use quantity::Quantity;
pub use resource::{CustomResource, Resource};
pub use selector::Selector;
pub use table::{Kind, KindInfo, Scope, Standing};

#[cfg(test)]
mod tests;
