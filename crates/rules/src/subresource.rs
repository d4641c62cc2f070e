//! Validation of updates through subresources other than `status`, for registries that merge the part themselves.

use crate::core::pod::{resize, update};
use crate::table::check_changed;
use kinds::{FieldErrors, Object};

/// Judges a changed object that came through a subresource.
pub fn validate_subresource(subresource: &str, new: &Object, old: &Object, e: &mut FieldErrors) {
    check_changed(new, old, e);
    if let (Object::Pod(n), Object::Pod(o)) = (new, old) {
        match subresource {
            "ephemeralcontainers" => update::validate_ephemeral(n, o, e),
            "resize" => resize::validate(n, o, e),
            _ => {}
        }
    }
}
