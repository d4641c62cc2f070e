//! Garbage of the node: unused images above the disk threshold (docs: "Garbage collection of unused containers and
//! images"), and pods of a previous run that nobody knows any more.

use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Images go when the disk is fuller than this.
pub const HIGH_PERCENT: u64 = 85;
/// Until it is as full as this.
pub const LOW_PERCENT: u64 = 80;
/// With this much free no image has to go, however full the disk is.
pub const ENOUGH_BYTES: u64 = 10 << 30;
/// Younger images stay.
pub const AGE_MIN: SignedDuration = SignedDuration::from_mins(2);

/// An image that is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub id: String,
    pub size_bytes: u64,
    pub pinned: bool,
}

/// When images were first seen and last used.
#[derive(Clone, Debug, Default)]
pub struct ImageLedger(BTreeMap<String, (Timestamp, Timestamp)>);

impl ImageLedger {
    /// Takes note of what is there and in use now.
    pub fn observe(&mut self, present: &[Image], used: &BTreeSet<String>, now: Timestamp) {
        self.0.retain(|id, _| present.iter().any(|i| i.id == *id));
        for i in present {
            let entry = self.0.entry(i.id.clone()).or_insert((now, Timestamp::UNIX_EPOCH));
            if used.contains(&i.id) {
                entry.1 = now;
            }
        }
    }

    /// What to remove so that `excess_bytes` are freed: least recently used first.
    #[must_use]
    pub fn victims(&self, present: &[Image], used: &BTreeSet<String>, excess_bytes: u64, now: Timestamp) -> Vec<String> {
        let mut free: Vec<(&Image, (Timestamp, Timestamp))> = present
            .iter()
            .filter(|i| !i.pinned && !used.contains(&i.id))
            .filter_map(|i| Some((i, *self.0.get(&i.id)?)))
            .filter(|(_, (seen, last))| now.duration_since((*seen).max(*last)) >= AGE_MIN)
            .collect();
        free.sort_by_key(|(_, (seen, last))| (*last, *seen));
        let (mut out, mut freed) = (Vec::new(), 0u64);
        for (i, _) in free {
            if freed >= excess_bytes {
                break;
            }
            freed = freed.saturating_add(i.size_bytes);
            out.push(i.id.clone());
        }
        out
    }
}

/// How many bytes must go; `None`: the disk is not full enough.
#[must_use]
pub fn excess_bytes(capacity_bytes: u64, available_bytes: u64) -> Option<u64> {
    if capacity_bytes == 0 || available_bytes >= ENOUGH_BYTES {
        return None;
    }
    let used = capacity_bytes.saturating_sub(available_bytes);
    if used.saturating_mul(100) / capacity_bytes < HIGH_PERCENT {
        return None;
    }
    Some(used.saturating_sub(capacity_bytes / 100 * LOW_PERCENT))
}
