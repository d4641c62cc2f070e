//! PersistentVolumeClaims.

use kinds::api::core::v1::PersistentVolumeClaimSpec;
use kinds::{FieldErrors, Path};

pub(crate) fn spec(_: &PersistentVolumeClaimSpec, _: &Path, _: &mut FieldErrors) {}
