//! Looking up what pods refer to, in a snapshot.

use cache::Snapshot;
use kinds::api::core::v1::{ConfigMap, Node, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service};
use pods::resize::Room;
use std::sync::Arc;

/// A snapshot as the brain sees it, on the node of that name.
pub struct SnapshotWorld<'a>(pub Snapshot, pub &'a str);

impl pods::World for SnapshotWorld<'_> {
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
    fn room(&self, pod: &Pod) -> Room {
        let Some(node) = self.0.get::<Node>("", self.1) else { return Room::Free };
        let others = self.0.pods_on(self.1).filter(|p| p.metadata.uid != pod.metadata.uid && !kinds::pod::is_terminal(p));
        pods::admission::resize_room(pod, node, &others.cloned().collect::<Vec<_>>())
    }
}
