//! Times that the server notes in the status of what it creates. Docs: API reference, "PodStatus", "PersistentVolumeStatus".

use jiff::Timestamp;
use kinds::{Object, Time};
use std::sync::Arc;

/// Fills them in.
pub fn on_create(object: &mut Object, now: Timestamp) {
    let now = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
    match object {
        Object::Pod(p) if has_undated_condition(p) => {
            let status = Arc::make_mut(p).status.get_or_insert_default();
            for c in status.conditions.iter_mut().flatten() {
                c.last_transition_time.get_or_insert_with(|| now.clone());
            }
        }
        Object::PersistentVolume(v) => {
            let status = Arc::make_mut(v).status.get_or_insert_default();
            status.last_phase_transition_time.get_or_insert(now);
        }
        _ => {}
    }
}

fn has_undated_condition(pod: &kinds::api::core::v1::Pod) -> bool {
    let status = pod.status.as_ref();
    status.is_some_and(|s| s.conditions.iter().flatten().any(|c| c.last_transition_time.is_none()))
}
