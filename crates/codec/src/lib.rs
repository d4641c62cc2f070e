//! Bytes to and from objects: the only crate that instantiates serde over the kinds.

pub mod duration;
pub mod emit;
pub mod internal;
pub mod object;
pub mod openapi;
pub mod proto;
pub mod reader;
pub mod restore;
pub mod storage;
pub mod strict;
pub mod table;
pub mod unset;
pub mod validate_shape;
pub mod yaml;

pub use object::{
    DecodeError, decode, decode_delete_options, decode_dynamic, decode_resource, dynamic_from_tree, encode,
    from_value, is_at_revision, is_readable, managed_fields, metadata, replace_revision, to_value, type_of, with_revision,
};

#[cfg(test)]
mod object_tests;
#[cfg(test)]
mod strict_tests;
