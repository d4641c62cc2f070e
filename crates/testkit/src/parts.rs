//! The spec and status of objects, as far as the world must tell them apart.

use kinds::Object;
use std::sync::Arc;

macro_rules! parts {
    ($($v:ident),*) => {
        /// `new` as a write of the main resource leaves it: the status is the old one's.
        pub(crate) fn keep_status(new: &mut Object, old: &Object) {
            match (new, old) {
                $((Object::$v(n), Object::$v(o)) => { Arc::make_mut(n).status.clone_from(&o.status); })*
                _ => {}
            }
        }
        /// `old` with the status of `new`, as a write of the status leaves it.
        pub(crate) fn only_status(new: Object, old: &Object) -> Object {
            match (new, old) {
                $((Object::$v(n), Object::$v(o)) => {
                    let mut out = (**o).clone();
                    out.status.clone_from(&n.status);
                    Object::from(out)
                })*
                (new, _) => new,
            }
        }
        /// Whether the specs differ.
        pub(crate) fn spec_differs(a: &Object, b: &Object) -> bool {
            match (a, b) {
                $((Object::$v(a), Object::$v(b)) => a.spec != b.spec,)*
                _ => false,
            }
        }
    };
}
parts!(
    Pod, Node, Namespace, Service, PersistentVolume, PersistentVolumeClaim, ReplicationController, ResourceQuota,
    Deployment, ReplicaSet, DaemonSet, StatefulSet, Job, CronJob, PodDisruptionBudget
);
