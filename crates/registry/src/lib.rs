//! The verbs, in one fixed order over rules, codec, patch, cache and store; `kinds::Api` in-process; a change feed.
//!
//! ```text
//!  create/update/patch/delete: default -> admit -> prepare -> validate -> admit again -> encode once -> commit -> image
//!  get/list/watch:             snapshot and journal of the image; lists of older revisions read the store
//! ```
//! See docs/request-path.md.

pub mod admit;
pub mod api;
pub mod backup;
mod beside;
pub mod bootstrap;
pub mod conversion;
pub mod customs;
pub mod delete;
mod door;
mod expiry;
mod fieldowners;
mod flowkeeping;
mod history;
pub mod image;
pub mod keys;
pub mod list;
pub mod masters;
pub mod presence;
pub mod modify;
pub mod patching;
mod ports;
pub mod prepared;
pub mod registry;
mod retold;
pub mod repair;
pub mod scaling;
pub mod sealing;
pub mod source;
pub mod subresources;
mod tongues;
pub mod watch;

pub use admit::{Hooks, Notes, Speaks};
pub use api::LocalApi;
pub use fieldowners::whole;
pub use image::{Image, ImageError};
pub use source::Feed;
pub use list::{Continue, ListQuery, Listing, VersionMatch};
pub use patching::{Asked, FieldValidation};
pub use registry::{Answer, Caller, Registry, Settings};
pub use watch::{Watch, WatchEvent, WatchQuery};


#[cfg(test)]
mod tests;
