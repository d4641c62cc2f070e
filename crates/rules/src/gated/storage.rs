//! Fields of storage. KEP-3294 (data sources of other namespaces), KEP-5030 (volume limits and scaling).

use super::Part;
use crate::read::has;
use kinds::api::core::v1::{PersistentVolumeClaim, TypedObjectReference};
use kinds::api::storage::v1::CSIDriver;
use std::sync::Arc;

fn source(c: &PersistentVolumeClaim) -> Option<&TypedObjectReference> {
    c.spec.as_ref()?.data_source_ref.as_ref()
}

pub(super) const CLAIM: &[Part<PersistentVolumeClaim>] = &[Part::new(
    &["CrossNamespaceVolumeDataSource"],
    |c: &PersistentVolumeClaim| source(c).is_some_and(|s| has(&s.namespace)),
    |c| c.spec.iter_mut().for_each(|s| s.data_source_ref = None),
)
.kept_by(|c| source(c).is_some())];

pub(super) const DRIVER: &[Part<CSIDriver>] = &[Part::new(
    &["VolumeLimitScaling"],
    |d| d.spec.prevent_pod_scheduling_if_missing.is_some(),
    |d| d.spec.prevent_pod_scheduling_if_missing = None,
)];

/// Pods are scheduled to nodes without the driver.
pub(super) fn fill(driver: &mut Arc<CSIDriver>) {
    if driver.spec.prevent_pod_scheduling_if_missing.is_none() {
        Arc::make_mut(driver).spec.prevent_pod_scheduling_if_missing = Some(false);
    }
}
