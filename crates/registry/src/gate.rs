//! TEMPORARY until rules lands admission.
use kinds::{ApiError, Object, FieldErrors};
use rules::{Ctx, Request};
pub(crate) fn mutate(_: &Ctx<'_>, _: &Request, _: &mut Object, _: Option<&Object>) -> Result<(), ApiError> { Ok(()) }
pub(crate) fn validate(_: &Ctx<'_>, _: &Request, _: &Object, _: Option<&Object>) -> Result<(), ApiError> { Ok(()) }
pub(crate) fn allocate(_: &Ctx<'_>, _: &mut Object, _: Option<&Object>) -> Result<(), ApiError> { Ok(()) }
pub(crate) fn validate_subresource(_: &str, _: &Object, _: &Object, _: &mut FieldErrors) {}
