//! Answers from upstream, kept for a short while.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use dns::proto::op::{Message, ResponseCode};
use dns::proto::rr::{Name, RData, RecordType};

/// No answer is kept longer (`cache 30`).
const MAX_TTL: Duration = Duration::from_secs(30);
/// No more answers are kept.
const MAX_ENTRIES: usize = 10_000;

/// What an answer depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    name: Name,
    kind: RecordType,
    dnssec: bool,
    checking_disabled: bool,
}

impl Key {
    pub(super) fn of(query: &Message) -> Option<Self> {
        let q = query.queries.first()?;
        Some(Self {
            name: q.name().to_lowercase(),
            kind: q.query_type(),
            dnssec: query.edns.as_ref().is_some_and(|e| e.flags().dnssec_ok),
            checking_disabled: query.metadata.checking_disabled,
        })
    }
}

#[derive(Debug)]
struct Kept {
    reply: Message,
    since: Instant,
    until: Instant,
}

/// The kept answers.
#[derive(Debug, Default)]
pub(super) struct Table(HashMap<Key, Kept>);

impl Table {
    /// A kept answer, in the words of this query, with what is left of its time.
    pub(super) fn get(&self, key: &Key, query: &Message, now: Instant) -> Option<Message> {
        let kept = self.0.get(key).filter(|k| now < k.until)?;
        let mut reply = kept.reply.clone();
        reply.metadata.id = query.metadata.id;
        reply.metadata.recursion_desired = query.metadata.recursion_desired;
        reply.queries.clone_from(&query.queries);
        if query.edns.is_none() {
            reply.edns = None;
        }
        let age = u32::try_from(now.duration_since(kept.since).as_secs()).unwrap_or(u32::MAX);
        for r in reply.answers.iter_mut().chain(&mut reply.authorities).chain(&mut reply.additionals) {
            r.ttl = r.ttl.saturating_sub(age);
        }
        Some(reply)
    }

    /// Keeps an answer that may be kept.
    pub(super) fn put(&mut self, key: Key, reply: &Message, now: Instant) {
        let Some(ttl) = lifetime(reply) else { return };
        if self.0.len() >= MAX_ENTRIES {
            self.0.retain(|_, k| now < k.until);
        }
        if self.0.len() >= MAX_ENTRIES {
            // All are fresh: room for a tenth is made at random, in the table's own order.
            let mut n = 0;
            self.0.retain(|_, _| {
                n += 1;
                n % 10 != 0
            });
        }
        self.0.insert(key, Kept { reply: reply.clone(), since: now, until: now + ttl });
    }
}

/// How long an answer may be kept: its shortest record, or the zone's word for denials (RFC 2308).
fn lifetime(reply: &Message) -> Option<Duration> {
    let code = reply.metadata.response_code;
    if reply.metadata.truncation || !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return None;
    }
    let seconds = if reply.answers.is_empty() || code == ResponseCode::NXDomain {
        reply.authorities.iter().find_map(|r| match &r.data {
            RData::SOA(soa) => Some(r.ttl.min(soa.minimum)),
            _ => None,
        })?
    } else {
        reply.answers.iter().map(|r| r.ttl).min()?
    };
    Some(Duration::from_secs(seconds.into()).min(MAX_TTL)).filter(|d| !d.is_zero())
}
