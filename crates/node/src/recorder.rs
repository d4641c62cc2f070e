//! Events of the kubelet: written as `v1/Event` objects, repeated ones counted on the first, chatter held down
//! (docs: "Event v1 core"; client-go's correlator: 10 minutes, bursts of 25 an object).

use crate::hands::api::options;
use base::Clock;
use jiff::{SignedDuration, Timestamp};
use kinds::api::core::v1::{Event, EventSource, Node, ObjectReference, Pod};
use kinds::{Api, Kind, ObjectKey, ObjectMeta, Patch, PatchKind, Target};
use pods::Note;
use pods::status::time;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Events that wait for the API server; more are dropped.
const QUEUE_MAX: usize = 1024;
/// Repetitions are remembered this long.
const MEMORY: SignedDuration = SignedDuration::from_mins(10);
/// At most this many remembered.
const MEMORY_MAX: usize = 4096;
/// An object's burst, and the time after which it may tell one more.
const BURST: f64 = 25.0;
const REFILL_S: f64 = 300.0;

struct Told {
    about: ObjectReference,
    note: Note,
    at: Timestamp,
}

/// Takes events; never waits.
#[derive(Clone)]
pub(crate) struct Recorder {
    queue: mpsc::Sender<Told>,
    clock: Arc<dyn Clock>,
}

/// How events point at a pod.
pub(crate) fn pod_reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        name: pod.metadata.name.clone(),
        namespace: pod.metadata.namespace.clone(),
        uid: pod.metadata.uid.clone(),
        resource_version: pod.metadata.resource_version.clone(),
        field_path: None,
    }
}

/// How events point at a node: by its name, also where a uid is asked for.
pub(crate) fn node_reference(node: &Node) -> ObjectReference {
    ObjectReference {
        kind: Some("Node".into()),
        name: node.metadata.name.clone(),
        uid: node.metadata.name.clone(),
        ..ObjectReference::default()
    }
}

impl Recorder {
    /// The recorder, and the task that writes; it ends when the last recorder is dropped.
    pub(crate) fn start(api: Arc<dyn Api>, clock: Arc<dyn Clock>, host: String) -> Self {
        let (queue, mut told) = mpsc::channel::<Told>(QUEUE_MAX);
        tokio::spawn(async move {
            let mut writer = Writer { api, host, known: BTreeMap::new(), budgets: BTreeMap::new() };
            while let Some(t) = told.recv().await {
                writer.write(t).await;
            }
        });
        Self { queue, clock }
    }

    /// Tells something about an object.
    pub(crate) fn note(&self, about: ObjectReference, note: Note) {
        let told = Told { about, note, at: self.clock.now() };
        if self.queue.try_send(told).is_err() {
            tracing::debug!("Dropped an event: the queue is full");
        }
    }
}

type Key = (String, String, &'static str, String);

struct Known {
    name: String,
    count: i32,
    last: Timestamp,
}

struct Writer {
    api: Arc<dyn Api>,
    host: String,
    known: BTreeMap<Key, Known>,
    /// Per object: what it may still tell, and since when.
    budgets: BTreeMap<String, (f64, Timestamp)>,
}

impl Writer {
    fn may_tell(&mut self, uid: &str, at: Timestamp) -> bool {
        if self.budgets.len() > MEMORY_MAX {
            self.budgets.clear();
        }
        let (left, since) = self.budgets.entry(uid.to_owned()).or_insert((BURST, at));
        *left = (*left + at.duration_since(*since).as_secs_f64() / REFILL_S).min(BURST);
        *since = at;
        let may = *left >= 1.0;
        if may {
            *left -= 1.0;
        }
        may
    }

    async fn write(&mut self, t: Told) {
        let uid = t.about.uid.clone().unwrap_or_default();
        if !self.may_tell(&uid, t.at) {
            return;
        }
        let key: Key = (uid, t.note.field_path.clone(), t.note.reason, t.note.message.clone());
        self.known.retain(|_, k| t.at.duration_since(k.last) < MEMORY);
        if self.known.len() > MEMORY_MAX {
            self.known.clear();
        }
        let result = match self.known.get_mut(&key) {
            Some(k) => {
                k.count += 1;
                k.last = t.at;
                let target = Target::new(Kind::Event, ObjectKey::new(namespace(&t.about), &k.name));
                let body = serde_json::json!({"count": k.count, "lastTimestamp": time(t.at).0.to_string()});
                let patch = Patch { kind: PatchKind::Merge, body: body.to_string().into_bytes() };
                self.api.patch(target, patch, options()).await.map(|_| ())
            }
            None => {
                let event = self.event(&t);
                let name = event.metadata.name.clone().unwrap_or_default();
                let target = Target::new(Kind::Event, ObjectKey::new(namespace(&t.about), &name));
                let made = self.api.create(target, event.into(), options()).await;
                if made.is_ok() {
                    self.known.insert(key.clone(), Known { name, count: 1, last: t.at });
                }
                made.map(|_| ())
            }
        };
        if let Err(e) = result {
            self.known.remove(&key);
            tracing::debug!(err = %e, reason = t.note.reason, "Did not record an event");
        }
    }

    fn event(&self, t: &Told) -> Event {
        let object = t.about.name.clone().unwrap_or_default();
        let field_path = Some(t.note.field_path.clone()).filter(|p| !p.is_empty());
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{object}.{:x}", t.at.as_nanosecond())),
                namespace: Some(namespace(&t.about)),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference { field_path, ..t.about.clone() },
            reason: Some(t.note.reason.to_owned()),
            message: Some(t.note.message.clone()),
            type_: Some(if t.note.warning { "Warning" } else { "Normal" }.to_owned()),
            count: Some(1),
            first_timestamp: Some(time(t.at)),
            last_timestamp: Some(time(t.at)),
            source: Some(EventSource { component: Some("kubelet".into()), host: Some(self.host.clone()) }),
            reporting_component: Some("kubelet".into()),
            reporting_instance: Some(self.host.clone()),
            ..Event::default()
        }
    }
}

fn namespace(about: &ObjectReference) -> String {
    about.namespace.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| "default".to_owned())
}
