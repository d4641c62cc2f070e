//! From what is told to what is written: repeated events are counted, floods of similar ones are combined, and an
//! object that is told about all the time is told about less.

use controllers::Event;
use jiff::Timestamp;
use kinds::api::core::v1::{Event as EventObject, EventSource, ObjectReference};
use kinds::{ObjectMeta, Time};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Keys remembered a table; the longest unused goes first.
const KEYS_MAX: usize = 4096;
/// More messages than this of one reason about one object …
const SIMILAR_MAX: usize = 10;
/// … within this time are combined.
const SIMILAR_WINDOW: Duration = Duration::from_secs(600);
/// So many events about one object at once …
const BURST: f64 = 25.0;
/// … and then one in this time.
const REFILL_S: f64 = 300.0;
const COMBINED: &str = "(combined from similar events): ";

/// An event as it is to be written.
#[derive(Clone, Debug)]
pub struct Told {
    pub event: EventObject,
    /// It is new; otherwise count, time and message of the one with that name change.
    pub first: bool,
}

#[derive(Clone, Debug)]
struct Known {
    name: String,
    first: Time,
    count: i32,
    used: Timestamp,
}

#[derive(Clone, Debug)]
struct Similar {
    messages: BTreeSet<String>,
    used: Timestamp,
}

#[derive(Clone, Debug)]
struct Bucket {
    tokens: f64,
    used: Timestamp,
}

trait Used {
    fn used(&self) -> Timestamp;
}
macro_rules! used {
    ($($t:ty),*) => { $(impl Used for $t { fn used(&self) -> Timestamp { self.used } })* };
}
used!(Known, Similar, Bucket);

/// What was told before.
#[derive(Debug, Default)]
pub struct Correlator {
    known: HashMap<String, Known>,
    similar: HashMap<String, Similar>,
    buckets: HashMap<String, Bucket>,
    /// Makes names differ within one instant.
    serial: u64,
}

fn whole(t: Timestamp) -> Time {
    Time(Timestamp::from_second(t.as_second()).unwrap_or(t))
}

fn make_room<V: Used>(map: &mut HashMap<String, V>) {
    if map.len() < KEYS_MAX {
        return;
    }
    if let Some(oldest) = map.iter().min_by_key(|(_, v)| v.used()).map(|(k, _)| k.clone()) {
        map.remove(&oldest);
    }
}

fn about_key(component: &str, o: &ObjectReference) -> String {
    let part = |p: &Option<String>| p.clone().unwrap_or_default();
    [component.to_owned(), part(&o.kind), part(&o.namespace), part(&o.name), part(&o.uid), part(&o.api_version)].join("|")
}

impl Correlator {
    /// What is to be written, if anything.
    pub fn correlate(&mut self, component: &str, event: &Event, now: Timestamp) -> Option<Told> {
        let about = about_key(component, &event.about);
        let field = event.about.field_path.as_deref().unwrap_or_default();
        let similar = format!("{about}|{field}|{}|{}", event.severity.as_str(), event.reason);
        let (key, message) = if self.is_flood(&similar, &event.message, now) {
            (similar, format!("{COMBINED}{}", event.message))
        } else {
            (format!("{similar}|{}", event.message), event.message.clone())
        };
        let (known, first) = self.count(key, &event.about, now);
        if !self.allowed(about, now) {
            return None;
        }
        Some(Told { event: object(component, event, message, &known, now), first })
    }

    fn is_flood(&mut self, key: &str, message: &str, now: Timestamp) -> bool {
        if !self.similar.contains_key(key) {
            make_room(&mut self.similar);
        }
        let s = self.similar.entry(key.to_owned()).or_insert_with(|| Similar { messages: BTreeSet::new(), used: now });
        if now.duration_since(s.used).unsigned_abs() > SIMILAR_WINDOW {
            s.messages.clear();
        }
        s.used = now;
        s.messages.insert(message.to_owned());
        if s.messages.len() < SIMILAR_MAX {
            return false;
        }
        s.messages.pop_first();
        true
    }

    fn count(&mut self, key: String, about: &ObjectReference, now: Timestamp) -> (Known, bool) {
        if let Some(k) = self.known.get_mut(&key) {
            (k.count, k.used) = (k.count.saturating_add(1), now);
            return (k.clone(), false);
        }
        make_room(&mut self.known);
        self.serial += 1;
        let stamp = u64::try_from(now.as_nanosecond()).unwrap_or(0).wrapping_add(self.serial);
        let name = format!("{}.{stamp:x}", about.name.as_deref().unwrap_or_default());
        let known = Known { name, first: whole(now), count: 1, used: now };
        self.known.insert(key, known.clone());
        (known, true)
    }

    fn allowed(&mut self, key: String, now: Timestamp) -> bool {
        if !self.buckets.contains_key(&key) {
            make_room(&mut self.buckets);
        }
        let b = self.buckets.entry(key).or_insert(Bucket { tokens: BURST, used: now });
        let passed = now.duration_since(b.used).as_secs_f64().max(0.0);
        b.tokens = (b.tokens + passed / REFILL_S).min(BURST);
        b.used = now;
        if b.tokens < 1.0 {
            return false;
        }
        b.tokens -= 1.0;
        true
    }
}

fn object(component: &str, event: &Event, message: String, known: &Known, now: Timestamp) -> EventObject {
    let namespace = event.about.namespace.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| "default".to_owned());
    EventObject {
        metadata: ObjectMeta { name: Some(known.name.clone()), namespace: Some(namespace), ..ObjectMeta::default() },
        involved_object: event.about.clone(),
        reason: Some(event.reason.to_owned()),
        message: Some(message),
        source: Some(EventSource { component: Some(component.to_owned()), host: None }),
        first_timestamp: Some(known.first.clone()),
        last_timestamp: Some(whole(now)),
        count: Some(known.count),
        type_: Some(event.severity.as_str().to_owned()),
        reporting_component: Some(component.to_owned()),
        reporting_instance: Some(String::new()),
        ..EventObject::default()
    }
}
