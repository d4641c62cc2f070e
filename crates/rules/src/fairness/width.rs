//! How many seats a request takes: lists by the size of what they hold at once (all are answered from the cache), writes by
//! the watchers they wake. Docs: "API Priority and Fairness: Seats Occupied by a Request".

use super::Work;

/// No request is taken for wider than this.
pub const SEATS_MAX: u32 = 10;
/// Of a level's nominal seats, one request may take this share.
const LEVEL_SHARE: f64 = 0.15;
/// Objects that a list goes through a seat, where their size does not count.
const OBJECTS_PER_SEAT: f64 = 100.0;
/// Bytes of objects that a list holds a seat.
const BYTES_PER_SEAT: f64 = 100_000.0;
/// A list out of the cache holds no more than this at once, as it is streamed.
const HELD_MAX_BYTES: usize = 1_000_000;
/// Watchers that a write wakes a seat.
const WATCHES_PER_SEAT: f64 = 10.0;
/// How long one seat of watch events is taken.
const EVENT_NS: u64 = 5_000_000;

/// The widest request of a level with that many nominal seats.
#[must_use]
pub fn seats_max(nominal: u32) -> u32 {
    ((f64::from(nominal) * LEVEL_SHARE).ceil() as u32).clamp(1, SEATS_MAX)
}

/// What is known of a list before it is served.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listing {
    /// Objects of the resource that are stored.
    pub stored: usize,
    /// Zero: none.
    pub limit: usize,
    /// How large one of them is, in bytes; `None`: sizes do not count (feature gate `SizeBasedListCostEstimate`).
    pub object_bytes: Option<usize>,
    /// Whether the list names a single object.
    pub single: bool,
}

/// Seats of a list, and of a watch that begins with one.
#[must_use]
pub fn list_seats(listing: &Listing, widest: u32) -> u32 {
    let seats = match listing.object_bytes {
        Some(bytes) => {
            let loaded = match (listing.single, listing.limit) {
                (true, _) => 1,
                (_, 0) => listing.stored,
                (_, limit) => limit.min(listing.stored),
            };
            loaded.saturating_mul(bytes).min(HELD_MAX_BYTES) as f64 / BYTES_PER_SEAT
        }
        None if listing.single => 1.0,
        None => listing.stored as f64 / OBJECTS_PER_SEAT,
    };
    (seats.ceil() as u32).clamp(1, widest)
}

/// Work of a write of a resource that so many watch.
#[must_use]
pub fn write_work(watchers: usize, widest: u32) -> Work {
    let wanted = (watchers as f64 / WATCHES_PER_SEAT).ceil();
    if watchers < WATCHES_PER_SEAT as usize {
        return Work::ONE;
    }
    let final_seats = (wanted as u32).min(widest);
    let extra_ns = (EVENT_NS as f64 * wanted / f64::from(final_seats)) as u64;
    Work { seats: 1, final_seats, extra_ns: extra_ns.min(HOLD_MAX_NS) }
}

/// Consequences of a write hold seats no longer than this: our events are encoded once and a watcher costs a place in a
/// journal, so a hundred thousand watchers are not a hundred thousand times the work.
const HOLD_MAX_NS: u64 = 10_000_000;
