//! Leases for keys that go by themselves: one for all writes of the same lifetime within a short window, since each costs etcd
//! memory and a keep-alive's bookkeeping. Like kube-apiserver's, a shared lease outlives its first key by that window.
//! Reference: <https://etcd.io/docs/v3.6/learning/api/#lease-api>.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::Status;

use super::pb;
use super::pool::Pool;

/// A lease is given to new keys for this part of its lifetime …
const SHARED_PART: u32 = 20;
/// … but not longer than this …
const SHARED_MAX: Duration = Duration::from_secs(60);
/// … and to so many keys at most: etcd removes them in one go.
const KEYS_MAX: u32 = 1000;

/// The newest lease of each lifetime.
#[derive(Default)]
pub(super) struct Leases(Mutex<HashMap<Duration, Held>>);

struct Held {
    id: i64,
    until: Instant,
    keys: u32,
}

/// How long a lease of that lifetime is given to new keys.
fn window(lives: Duration) -> Duration {
    Duration::from_secs((lives / SHARED_PART).min(SHARED_MAX).as_secs())
}

impl Leases {
    /// A lease for a key that is to live so long.
    pub(super) async fn of(&self, pool: &Pool, lives: Duration) -> Result<i64, Status> {
        let mut all = self.0.lock().await;
        if let Some(held) = all.get_mut(&lives).filter(|h| h.keys < KEYS_MAX && Instant::now() < h.until) {
            held.keys += 1;
            return Ok(held.id);
        }
        let window = window(lives);
        let until = Instant::now() + window;
        let ttl = i64::try_from((lives + window).as_secs().max(1)).unwrap_or(i64::MAX);
        let granted = pool.grant(pb::LeaseGrantRequest { ttl, id: 0 }).await?;
        all.insert(lives, Held { id: granted.id, until, keys: 1 });
        Ok(granted.id)
    }

    /// A lease turned out to be gone: the next key gets a new one.
    pub(super) async fn forget(&self) {
        self.0.lock().await.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::window;
    use std::time::Duration;

    #[test]
    fn the_window_is_a_twentieth_and_at_most_a_minute() {
        let of = |s| window(Duration::from_secs(s)).as_secs();
        assert_eq!((of(3600), of(600), of(15)), (60, 30, 0));
    }
}
