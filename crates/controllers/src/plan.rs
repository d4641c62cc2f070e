//! A plan: what a controller wants done, in which order and at which pace, and why. It is a value; the shell carries it
//! out and comes back with what failed.

use kinds::api::core::v1::{ObjectReference, Pod, PodCondition};
use kinds::{Object, ObjectKey, ObjectMeta, OwnerReference, Patch, PatchKind, Resource, Target, Typed};
use serde_json::json;
use std::time::Duration;

/// What becomes of the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

impl Propagation {
    /// As `DeleteOptions` spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

/// One write.
#[derive(Clone, Debug)]
pub enum Action {
    Create { object: Object },
    /// Replaces the object (`""`) or one of its subresources (`"status"`, `"finalize"`).
    Update { object: Object, subresource: &'static str },
    Patch { target: Target, patch: Patch },
    Delete {
        target: Target,
        uid: Option<String>,
        resource_version: Option<String>,
        propagation: Option<Propagation>,
        grace_s: Option<i64>,
    },
    /// Posts an eviction-like body to a subresource.
    Post { target: Target, object: Object },
}

/// Whether an event is good news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Normal,
    Warning,
}

impl Severity {
    /// As `event.type` spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Something to be told to whoever looks at an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub about: ObjectReference,
    pub severity: Severity,
    pub reason: &'static str,
    pub message: String,
}

/// What a step tells when it is over. On failure the API's message follows `message`.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    pub reason: &'static str,
    pub message: String,
}

/// One write with what it tells and what it forgives.
#[derive(Clone, Debug)]
pub struct Step {
    pub action: Action,
    /// Whom the notes are about.
    pub about: Option<ObjectReference>,
    pub ok: Option<Note>,
    pub failed: Option<Note>,
    /// Not finding the object (or finding it there already, for a creation) is as good as success.
    pub lenient: bool,
}

/// How the steps of a wave follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One by one; the first failure ends the plan.
    Ordered,
    /// At once; a failure ends the plan after the wave.
    Parallel,
    /// 1, 2, 4, 8, … at once, stopping at the first batch with a failure.
    SlowStart,
}

/// Steps that go together.
#[derive(Clone, Debug)]
pub struct Wave {
    pub pace: Pace,
    pub steps: Vec<Step>,
}

/// What is to be done.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub waves: Vec<Wave>,
    /// Written after the waves; written alone when a round is only to report a failure.
    pub status: Option<Step>,
    pub events: Vec<Event>,
    /// Look again after this long even if nothing changes.
    pub again: Option<Duration>,
    /// Why, for the log.
    pub because: String,
}

impl Plan {
    /// A plan that does nothing, yet.
    pub fn because(why: impl Into<String>) -> Self {
        Self { because: why.into(), ..Self::default() }
    }
    /// Adds one step.
    #[must_use]
    pub fn step(self, step: Step) -> Self {
        self.wave(Pace::Ordered, vec![step])
    }
    /// Adds steps; none at all adds nothing.
    #[must_use]
    pub fn wave(mut self, pace: Pace, steps: Vec<Step>) -> Self {
        if !steps.is_empty() {
            self.waves.push(Wave { pace, steps });
        }
        self
    }
    /// Sets the status to be written.
    #[must_use]
    pub fn status(mut self, step: Option<Step>) -> Self {
        self.status = step;
        self
    }
    /// Asks to look again after that long, or sooner if that was asked before.
    #[must_use]
    pub fn again(mut self, after: Option<Duration>) -> Self {
        self.again = match (self.again, after) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self
    }
    /// Adds an event.
    #[must_use]
    pub fn event(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }
    /// Whether carrying it out changes nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waves.is_empty() && self.status.is_none() && self.events.is_empty()
    }
    /// All steps, the status last.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.waves.iter().flat_map(|w| &w.steps).chain(&self.status)
    }
}

impl Step {
    fn of(action: Action) -> Self {
        Self { action, about: None, ok: None, failed: None, lenient: false }
    }
    /// Creates an object.
    pub fn create(object: impl Into<Object>) -> Self {
        Self::of(Action::Create { object: object.into() })
    }
    /// Replaces an object; its resourceVersion must be current.
    pub fn update(object: impl Into<Object>) -> Self {
        Self::of(Action::Update { object: object.into(), subresource: "" })
    }
    /// Replaces an object's status; its resourceVersion must be current.
    pub fn update_status(object: impl Into<Object>) -> Self {
        Self::of(Action::Update { object: object.into(), subresource: "status" })
    }
    /// Replaces what another subresource shows.
    pub fn update_sub(object: impl Into<Object>, subresource: &'static str) -> Self {
        Self::of(Action::Update { object: object.into(), subresource })
    }
    /// Patches an object.
    #[must_use]
    pub fn patch(target: Target, patch: Patch) -> Self {
        Self::of(Action::Patch { target, patch })
    }
    /// Brings an object's owner references and finalizers to those of `meta`, by a patch: many controllers may patch
    /// what they may not update. It conflicts unless `meta.resourceVersion` is current.
    #[must_use]
    pub fn patch_meta(resource: impl Into<Resource>, meta: &ObjectMeta) -> Self {
        let owner = |o: &OwnerReference| {
            let mut v = json!({ "apiVersion": o.api_version, "kind": o.kind, "name": o.name, "uid": o.uid });
            if let Some(c) = o.controller {
                v["controller"] = json!(c);
            }
            if let Some(b) = o.block_owner_deletion {
                v["blockOwnerDeletion"] = json!(b);
            }
            v
        };
        let owners = meta.owner_references.as_ref().map(|all| all.iter().map(owner).collect::<Vec<_>>());
        let body = json!({ "metadata": {
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
            "ownerReferences": owners,
            "finalizers": meta.finalizers,
        }});
        let target = Target::new(resource, ObjectKey::of(meta));
        Self::patch(target, Patch { kind: PatchKind::Merge, body: body.to_string().into_bytes() })
    }
    /// Adds or replaces one condition of a pod, and sets its phase if given.
    #[must_use]
    pub fn patch_pod_status(pod: &Pod, phase: Option<&str>, c: &PodCondition) -> Self {
        let condition = json!({
            "type": c.type_,
            "status": c.status,
            "reason": c.reason,
            "message": c.message,
            "lastTransitionTime": c.last_transition_time.as_ref().map(|t| t.0.to_string()),
            "observedGeneration": c.observed_generation,
        });
        let mut status = json!({ "conditions": [condition] });
        if let Some(phase) = phase {
            status["phase"] = json!(phase);
        }
        let body = json!({ "metadata": { "uid": pod.metadata.uid }, "status": status });
        let target = Target::new(kinds::Kind::Pod, ObjectKey::of(&pod.metadata)).sub("status");
        Self::patch(target, Patch { kind: PatchKind::Strategic, body: body.to_string().into_bytes() })
    }
    /// Sets a pod's phase.
    #[must_use]
    pub fn patch_pod_phase(pod: &Pod, phase: &str) -> Self {
        let body = json!({ "metadata": { "uid": pod.metadata.uid }, "status": { "phase": phase } });
        let target = Target::new(kinds::Kind::Pod, ObjectKey::of(&pod.metadata)).sub("status");
        Self::patch(target, Patch { kind: PatchKind::Strategic, body: body.to_string().into_bytes() })
    }
    /// Deletes exactly this object (its uid is a precondition); its being gone already is fine.
    pub fn delete(object: &Object) -> Self {
        let uid = object.meta().uid.clone();
        let target = Target::new(object.resource(), object.key());
        let action = Action::Delete { target, uid, resource_version: None, propagation: None, grace_s: None };
        Self { lenient: true, ..Self::of(action) }
    }
    /// Deletes exactly this typed object.
    pub fn delete_typed<K: Typed>(object: &K) -> Self {
        let meta = object.meta();
        let target = Target::new(K::KIND, ObjectKey::of(meta));
        let action =
            Action::Delete { target, uid: meta.uid.clone(), resource_version: None, propagation: None, grace_s: None };
        Self { lenient: true, ..Self::of(action) }
    }
    /// Sets what becomes of the dependents.
    #[must_use]
    pub fn propagating(mut self, how: Propagation) -> Self {
        if let Action::Delete { propagation, .. } = &mut self.action {
            *propagation = Some(how);
        }
        self
    }
    /// Sets the grace period of a deletion.
    #[must_use]
    pub fn within(mut self, seconds: i64) -> Self {
        if let Action::Delete { grace_s, .. } = &mut self.action {
            *grace_s = Some(seconds);
        }
        self
    }
    /// Deletes only while the object is at this revision.
    #[must_use]
    pub fn at(mut self, version: Option<&String>) -> Self {
        if let Action::Delete { resource_version, .. } = &mut self.action {
            *resource_version = version.cloned();
        }
        self
    }
    /// Forgives that there is nothing left to do.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }
    /// What to tell about whom.
    #[must_use]
    pub fn telling(mut self, about: ObjectReference, ok: Option<Note>, failed: Option<Note>) -> Self {
        (self.about, self.ok, self.failed) = (Some(about), ok, failed);
        self
    }
}

impl Note {
    /// A reason and its message.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl Event {
    /// Good news.
    pub fn normal(about: ObjectReference, reason: &'static str, message: impl Into<String>) -> Self {
        Self { about, severity: Severity::Normal, reason, message: message.into() }
    }
    /// Bad news.
    pub fn warning(about: ObjectReference, reason: &'static str, message: impl Into<String>) -> Self {
        Self { about, severity: Severity::Warning, reason, message: message.into() }
    }
}

/// The full reference that events carry.
#[must_use]
pub fn reference<K: Typed>(object: &K) -> ObjectReference {
    let meta = object.meta();
    ObjectReference {
        api_version: Some(K::KIND.api_version()),
        kind: Some(K::KIND.info().kind.to_owned()),
        name: meta.name.clone(),
        namespace: meta.namespace.clone().filter(|n| !n.is_empty()),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        field_path: None,
    }
}
