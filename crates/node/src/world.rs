//! Looking up what pods refer to, in a snapshot.

use cache::Snapshot;
use kinds::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Secret, Service};
use std::sync::Arc;

/// A snapshot as the brain sees it.
pub(crate) struct SnapshotWorld(pub(crate) Snapshot);

impl pods::World for SnapshotWorld {
    fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<ConfigMap>> {
        self.0.get::<ConfigMap>(namespace, name).cloned()
    }
    fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>> {
        self.0.get::<Secret>(namespace, name).cloned()
    }
    fn services(&self, namespace: &str) -> Vec<Arc<Service>> {
        self.0.list::<Service>(namespace).cloned().collect()
    }
    fn claim(&self, namespace: &str, name: &str) -> Option<Arc<PersistentVolumeClaim>> {
        self.0.get::<PersistentVolumeClaim>(namespace, name).cloned()
    }
    fn volume(&self, name: &str) -> Option<Arc<PersistentVolume>> {
        self.0.get::<PersistentVolume>("", name).cloned()
    }
}
