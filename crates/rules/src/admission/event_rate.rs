//! EventRateLimit: how many events are taken, of everyone, a namespace, a user, or a source and its object.
//!
//! Docs: "Admission Control in Kubernetes: EventRateLimit". Time is an argument; the caller keeps the buckets.

use crate::context::User;
use jiff::Timestamp;
use kinds::ApiError;
use kinds::api::core::v1::Event;
use std::collections::BTreeMap;

/// Buckets of a limit where its configuration does not say how many.
const BUCKETS: usize = 4096;

/// Who shares a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    Server,
    Namespace,
    User,
    SourceAndObject,
}

impl Shared {
    /// Reads the name of a type of limit.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Server, Self::Namespace, Self::User, Self::SourceAndObject].into_iter().find(|s| s.word() == text)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Server => "Server",
            Self::Namespace => "Namespace",
            Self::User => "User",
            Self::SourceAndObject => "SourceAndObject",
        }
    }

    fn key(self, namespace: &str, user: &User, event: Option<&Event>) -> String {
        match (self, event) {
            (Self::Namespace, _) => namespace.to_owned(),
            (Self::User, _) => user.name.clone(),
            (Self::SourceAndObject, Some(e)) => {
                let (source, object) = (e.source.as_ref(), &e.involved_object);
                let of = |text: &Option<String>| text.clone().unwrap_or_default();
                [
                    source.map(|s| of(&s.component)).unwrap_or_default(),
                    source.map(|s| of(&s.host)).unwrap_or_default(),
                    of(&object.kind),
                    of(&object.namespace),
                    of(&object.name),
                    of(&object.uid),
                    of(&object.api_version),
                ]
                .concat()
            }
            _ => String::new(),
        }
    }
}

/// One limit as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLimit {
    pub shared: Shared,
    /// Events a second.
    pub qps: u32,
    /// Events at once.
    pub burst: u32,
    /// Buckets that are kept; zero: as many as by default.
    pub buckets: usize,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Timestamp,
    used: u64,
}

/// The buckets of one limit; the one that was not used for the longest time goes first.
#[derive(Clone, Debug)]
struct Buckets {
    limit: EventLimit,
    by_key: BTreeMap<String, Bucket>,
    /// Keys by when they were used last.
    order: BTreeMap<u64, String>,
    uses: u64,
}

impl Buckets {
    fn take(&mut self, key: &str, now: Timestamp) -> bool {
        let (qps, burst) = (f64::from(self.limit.qps), f64::from(self.limit.burst));
        self.uses += 1;
        let mut bucket = self.by_key.get(key).copied().unwrap_or(Bucket { tokens: burst, at: now, used: 0 });
        self.order.remove(&bucket.used);
        let passed = now.duration_since(bucket.at).as_secs_f64().max(0.0);
        bucket.tokens = (bucket.tokens + passed * qps).min(burst);
        let taken = bucket.tokens >= 1.0;
        if taken {
            bucket.tokens -= 1.0;
        }
        (bucket.at, bucket.used) = (now, self.uses);
        self.order.insert(self.uses, key.to_owned());
        self.by_key.insert(key.to_owned(), bucket);
        let most = if self.limit.buckets == 0 { BUCKETS } else { self.limit.buckets };
        while self.by_key.len() > most {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.by_key.remove(&oldest);
        }
        taken
    }
}

/// All limits with their buckets.
#[derive(Clone, Debug, Default)]
pub struct EventRate(Vec<Buckets>);

impl EventRate {
    /// With full buckets.
    #[must_use]
    pub fn new(limits: &[EventLimit]) -> Self {
        let full = |limit: &EventLimit| Buckets { limit: limit.clone(), by_key: BTreeMap::new(), order: BTreeMap::new(), uses: 0 };
        Self(limits.iter().map(full).collect())
    }

    /// Takes one event out of every bucket that it belongs to. An event of `events.k8s.io` has no source that would count.
    ///
    /// # Errors
    /// 429, with every limit that is reached.
    pub fn accept(&mut self, (namespace, user): (&str, &User), event: Option<&Event>, now: Timestamp) -> Result<(), ApiError> {
        let mut reached = Vec::new();
        for buckets in &mut self.0 {
            let shared = buckets.limit.shared;
            let key = shared.key(namespace, user, event);
            if !buckets.take(&key, now) {
                reached.push(format!("limit reached on type {} for key {key}", shared.word()));
            }
        }
        if reached.is_empty() {
            return Ok(());
        }
        Err(ApiError::new(429, "TooManyRequests", format!("Too many requests: {}", super::aggregate(reached))))
    }
}

#[cfg(test)]
mod tests {
    use super::{EventLimit, EventRate, Shared};
    use crate::context::User;
    use jiff::{SignedDuration, Timestamp};

    #[test]
    fn buckets_empty_and_fill() {
        let limit = |shared, burst, buckets| EventLimit { shared, qps: 2, burst, buckets };
        let mut rate = EventRate::new(&[limit(Shared::Server, 3, 0), limit(Shared::User, 2, 1)]);
        let (ann, ben) = (User::new("ann", &[]), User::new("ben", &[]));
        let start = Timestamp::UNIX_EPOCH;
        let mut take = |user: &User, ms: i64| {
            let at = start.checked_add(SignedDuration::from_millis(ms)).expect("a time");
            rate.accept(("default", user), None, at).map_err(|e| e.message)
        };
        assert_eq!([take(&ann, 0), take(&ann, 0)], [Ok(()), Ok(())]);
        assert_eq!(take(&ann, 0), Err("Too many requests: limit reached on type User for key ann".to_owned()));
        assert_eq!(take(&ben, 0), Err("Too many requests: limit reached on type Server for key ".to_owned()));
        assert_eq!(take(&ann, 500), Ok(()), "there is room for one user, and a bucket that comes back is full");
    }
}
