//! The decision, what is written, and how long a holder leads that cannot write.

use super::*;
use jiff::Timestamp;
use kinds::{DeleteOptions, Fut, Object, Patch, Resource, Revision};
use std::sync::atomic::{AtomicU64, Ordering};
use testkit::World;

fn seen(holder: &str, since: Instant) -> Seen {
    let spec = LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(15),
        lease_transitions: Some(3),
        ..LeaseSpec::default()
    };
    Seen { spec, since }
}

#[test]
fn only_what_was_watched_unrenewed_is_taken_over() {
    let start = Instant::now();
    let at = |s| start + Duration::from_secs(s);
    assert_eq!(decide(&seen("me", start), "me", at(100)), Act::Renew);
    assert_eq!(decide(&seen("", start), "me", start), Act::Take);
    assert_eq!(decide(&seen("other", start), "me", at(14)), Act::Wait);
    assert_eq!(decide(&seen("other", start), "me", at(15)), Act::Take);
}

#[test]
fn a_takeover_counts_and_a_renewal_does_not() {
    let (start, now) = (Instant::now(), MicroTime(Timestamp::UNIX_EPOCH));
    let old = seen("other", start).spec;
    let took = written(&old, "me", Act::Take, &now);
    assert_eq!((took.lease_transitions, took.acquire_time.is_some()), (Some(4), true));
    let kept = written(&took, "me", Act::Renew, &now);
    assert_eq!((kept.lease_transitions, kept.holder_identity.as_deref()), (Some(4), Some("me")));
}

/// A server that takes this long to say that a write is done.
#[derive(Default)]
struct Slow {
    world: World,
    answers_after_s: AtomicU64,
    updates: AtomicU64,
}

/// Nothing is done, and nothing said.
const NEVER: u64 = u64::MAX;

impl Api for Slow {
    fn get(&self, target: Target) -> Fut<'_, Object> {
        Api::get(&self.world, target)
    }
    fn list(&self, resource: Resource, namespace: String) -> Fut<'_, (Vec<Object>, Revision)> {
        Api::list(&self.world, resource, namespace)
    }
    fn create(&self, target: Target, object: Object, options: WriteOptions) -> Fut<'_, Object> {
        Api::create(&self.world, target, object, options)
    }
    fn update(&self, target: Target, object: Object, options: WriteOptions) -> Fut<'_, Object> {
        Box::pin(async move {
            let wait = self.answers_after_s.load(Ordering::Relaxed);
            if wait == NEVER {
                return std::future::pending().await;
            }
            let done = Api::update(&self.world, target, object, options).await;
            self.updates.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(wait)).await;
            done
        })
    }
    fn patch(&self, target: Target, patch: Patch, options: WriteOptions) -> Fut<'_, Object> {
        Api::patch(&self.world, target, patch, options)
    }
    fn delete(&self, target: Target, options: DeleteOptions) -> Fut<'_, Option<Object>> {
        Api::delete(&self.world, target, options)
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_stops_leading_before_others_may_begin_however_late_answers_are() {
    let slow = Arc::new(Slow::default());
    let (api, clock) = (Arc::clone(&slow) as Arc<dyn Api>, Arc::clone(&slow.world.clock) as Arc<dyn Clock>);
    let mut leads = elect(Candidate { lease: "l", identity: "me".into(), api, clock, shutdown: CancellationToken::new() });
    leads.wait_for(|l| *l).await.expect("it runs");
    // One renewal more goes through, and is heard of just before the deadline; the next ones do not.
    slow.answers_after_s.store(9, Ordering::Relaxed);
    let writes = || slow.updates.load(Ordering::Relaxed);
    let before = writes();
    while writes() == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let written = Instant::now();
    slow.answers_after_s.store(NEVER, Ordering::Relaxed);
    leads.wait_for(|l| !*l).await.expect("it runs");
    assert!(written.elapsed() <= RENEW_DEADLINE, "{:?}", written.elapsed());
}
