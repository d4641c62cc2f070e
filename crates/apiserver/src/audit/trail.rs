//! One request's trail: what the layers tell of it, and the events that come of it. The last one to let go of it writes
//! the final event, so that a watch is complete when its stream ends.

use super::event::{Event, Metadata, ObjectRef, Outcome, Who};
use super::policy::{Level, Stage, Wanted};
use super::webhook::Delivered;
use super::{Arrival, Audit, Record};
use crate::request::RequestInfo;
use crate::respond::{Body, Reply};
use bytes::Bytes;
use http::{HeaderMap, header};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use rules::User;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Says that an event's objects were too large.
const TRUNCATED: &str = "audit.k8s.io/truncated";
/// Longest user agent that is recorded.
const AGENT_MAX: usize = 1024;
/// Requests that take longer say how long.
const SLOW: Duration = Duration::from_millis(500);
/// Longest value of an annotation.
const ANNOTATION_MAX_BYTES: usize = 10 * 1024;

#[derive(Default)]
struct Told {
    object: Option<ObjectRef>,
    impersonated: Option<Who>,
    constraint: Option<String>,
    request: Option<Box<RawValue>>,
    response: Option<Box<RawValue>>,
    outcome: Option<Outcome>,
    annotations: BTreeMap<String, String>,
    /// Its arrival could not be written, and had to be.
    unwritten: bool,
    /// Nothing was answered yet: dropping it writes nothing.
    answered: bool,
    /// Whether the last event was written already.
    closed: bool,
    /// Events that a webhook is being told, for which the request waits.
    on_their_way: Vec<Delivered>,
}

/// The trail.
pub struct Trail {
    audit: Arc<Audit>,
    wanted: Wanted,
    audit_id: String,
    uri: String,
    verb: &'static str,
    user: Who,
    source_ips: Vec<String>,
    agent: String,
    long_running: bool,
    /// Whether it is about the API's objects or groups: answers of other paths are not recorded.
    of_api: bool,
    received: Timestamp,
    began: Instant,
    told: Mutex<Told>,
}

impl Trail {
    pub(super) fn new(audit: Arc<Audit>, wanted: Wanted, info: &RequestInfo, user: Option<&User>, arrival: &Arrival<'_>) -> Self {
        let text = |n: header::HeaderName| arrival.headers.get(n).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let mut agent = text(header::USER_AGENT).to_owned();
        if agent.len() > AGENT_MAX {
            agent = format!("{}...TRUNCATED", agent.chars().take(AGENT_MAX).collect::<String>());
        }
        Self {
            audit,
            wanted,
            audit_id: arrival.audit_id.to_owned(),
            uri: arrival.uri.clone(),
            verb: info.verb,
            user: user.map(Who::from).unwrap_or_default(),
            source_ips: sources(arrival),
            agent,
            long_running: info.is_long_running(),
            of_api: info.path.starts_with("/api"),
            received: arrival.at,
            began: Instant::now(),
            told: Mutex::new(Told { object: info.is_resource.then(|| reference(info)), ..Told::default() }),
        }
    }

    pub(super) fn received(&self) {
        let written = self.emit(Stage::RequestReceived);
        self.told.lock().unwritten = !written;
    }

    /// Whether the request may go on: its arrival is told where it has to be.
    pub(crate) async fn is_told(&self) -> bool {
        let delivered = self.delivered().await;
        (delivered || !self.audit.is_strict()) && !self.told.lock().unwritten
    }

    /// Waits for the webhook, where requests wait for it; `false` when it did not get all events.
    pub(crate) async fn delivered(&self) -> bool {
        let on_their_way = std::mem::take(&mut self.told.lock().on_their_way);
        let mut all = true;
        for event in on_their_way {
            all &= event.await.unwrap_or(false);
        }
        all
    }

    /// Whom the request acts as, and the permission that it came by.
    pub(crate) fn impersonates(&self, user: &User, constraint: Option<String>) {
        let mut told = self.told.lock();
        told.impersonated = Some(user.into());
        told.constraint = constraint;
    }

    /// A fact for the annotations; the first one told under a key stays.
    pub(crate) fn annotate(&self, key: &str, value: &str) {
        let mut value = value.to_owned();
        if value.len() > ANNOTATION_MAX_BYTES {
            let mut end = ANNOTATION_MAX_BYTES;
            while !value.is_char_boundary(end) {
                end -= 1;
            }
            value.truncate(end);
        }
        self.told.lock().annotations.entry(key.to_owned()).or_insert(value);
    }

    /// The body of the request; `json` makes JSON of it where it is something else.
    pub(crate) fn request(&self, headers: &HeaderMap, body: &Bytes, raw: bool) {
        if body.is_empty() {
            return;
        }
        let patch = self.verb == "patch";
        let json = if patch { Some(body.clone()) } else { crate::body::to_json(headers, body.clone()).ok() };
        let Some(json) = json else { return };
        if !patch {
            self.complete_reference(&json);
        }
        if raw && self.wanted.level >= Level::Request {
            self.told.lock().request = self.raw(&json);
        }
    }

    /// Whether the request's object is wanted.
    pub(crate) fn wants_object(&self) -> bool {
        self.wanted.level >= Level::Request
    }

    /// The request's object as it was understood, defaults included, instead of the body.
    pub(crate) fn understood(&self, json: &[u8]) {
        self.told.lock().request = self.raw(json);
    }

    /// What the request's object says of itself, where the URL did not say it.
    fn complete_reference(&self, json: &[u8]) {
        #[derive(serde::Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Meta {
            name: Option<String>,
            namespace: Option<String>,
            uid: Option<String>,
            resource_version: Option<String>,
        }
        #[derive(serde::Deserialize)]
        struct Object {
            #[serde(default)]
            metadata: Meta,
        }
        let Ok(object) = serde_json::from_slice::<Object>(json) else { return };
        let mut told = self.told.lock();
        let Some(r) = &mut told.object else { return };
        let m = object.metadata;
        for (at, value) in [(&mut r.name, m.name), (&mut r.namespace, m.namespace), (&mut r.uid, m.uid), (&mut r.resource_version, m.resource_version)] {
            if at.is_empty() {
                *at = value.unwrap_or_default();
            }
        }
    }

    /// What is answered. Streams have begun by it, everything else is complete.
    pub(crate) fn answered(&self, reply: &Reply) {
        let code = reply.status().as_u16();
        let mut outcome = Outcome { code, ..Outcome::default() };
        let whole = match reply.body() {
            Body::Pieces(p) | Body::Held(p, _) if self.verb != "watch" => {
                let wanted = self.wanted.level >= Level::RequestResponse || code >= 400 || self.verb == "delete";
                wanted.then(|| p.iter().fold(Vec::new(), |mut all, b| { all.extend_from_slice(b); all }))
            }
            _ => None,
        };
        let json = whole.and_then(|bytes| to_json(reply.headers(), bytes));
        if let Some(json) = &json {
            tell_status(json, &mut outcome);
            if self.wanted.level >= Level::RequestResponse && self.of_api && (!self.long_running || code >= 400) {
                self.told.lock().response = self.raw(json);
            }
        }
        if self.began.elapsed() > SLOW && !self.long_running {
            self.annotate("apiserver.latency.k8s.io/total", &go_duration(self.began.elapsed()));
        }
        let mut told = self.told.lock();
        told.outcome = Some(outcome);
        told.answered = true;
        drop(told);
        if self.long_running {
            self.emit(Stage::ResponseStarted);
        } else if self.audit.is_waited_for() && matches!(reply.body(), Body::Pieces(_) | Body::Held(..)) {
            // All of it is there: its client waits until the webhook knows.
            self.told.lock().closed = true;
            self.emit(Stage::ResponseComplete);
        }
    }

    /// The credentials were wrong: nobody asked, so there is but this one event.
    pub(crate) fn unauthenticated(&self, reply: &Reply, tried: &str) {
        let mut told = self.told.lock();
        let message = format!("Authentication failed, attempted: {tried}");
        told.outcome = Some(Outcome { code: reply.status().as_u16(), message, ..Outcome::default() });
        told.closed = true;
        drop(told);
        self.emit(Stage::ResponseStarted);
    }

    fn raw(&self, json: &[u8]) -> Option<Box<RawValue>> {
        if !self.wanted.omit_managed_fields {
            return std::str::from_utf8(json).ok().and_then(|t| RawValue::from_string(t.to_owned()).ok());
        }
        let mut tree: Value = serde_json::from_slice(json).ok()?;
        without_managers(&mut tree);
        tree.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten().for_each(without_managers);
        RawValue::from_string(tree.to_string()).ok()
    }

    /// Writes an event; `false` when the request must not go on without it.
    fn emit(&self, stage: Stage) -> bool {
        if self.wanted.omit_stages.contains(&stage) {
            return true;
        }
        let now = self.received.checked_add(SignedDuration::try_from(self.began.elapsed()).unwrap_or_default()).unwrap_or(self.received);
        let told = self.told.lock();
        let mut event = Event {
            kind: "Event",
            api_version: "audit.k8s.io/v1",
            level: self.wanted.level.name(),
            audit_id: &self.audit_id,
            stage: stage.name(),
            request_uri: &self.uri,
            verb: self.verb,
            user: &self.user,
            impersonated_user: told.impersonated.as_ref(),
            authentication_metadata: told.constraint.as_deref().map(|impersonation_constraint| Metadata { impersonation_constraint }),
            source_ips: &self.source_ips,
            user_agent: &self.agent,
            object_ref: told.object.as_ref(),
            response_status: told.outcome.as_ref(),
            request_object: told.request.as_deref(),
            response_object: told.response.as_deref(),
            request_received_timestamp: micros(self.received),
            stage_timestamp: micros(now),
            annotations: &told.annotations,
        };
        let Ok(json) = serde_json::to_vec(&event) else { return true };
        let large = self.audit.truncate.is_some_and(|most| json.len() > most);
        let (mut short, mut annotations) = (None, BTreeMap::new());
        if large && (event.request_object.is_some() || event.response_object.is_some()) {
            annotations.clone_from(&told.annotations);
            annotations.insert(TRUNCATED.to_owned(), "true".to_owned());
            (event.request_object, event.response_object, event.annotations) = (None, None, &annotations);
            short = serde_json::to_vec(&event).map(Bytes::from).ok();
        }
        let legacy = self.legacy(stage, now, &told);
        drop(told);
        let (written, delivered) = self.audit.write(Record { json: json.into(), short, legacy });
        self.told.lock().on_their_way.extend(delivered);
        written
    }

    fn legacy(&self, stage: Stage, now: Timestamp, told: &Told) -> String {
        let or = |s: &str, none: &str| if s.is_empty() { none.to_owned() } else { s.to_owned() };
        let listed = |groups: &[String]| match groups.is_empty() {
            true => "<lookup>".to_owned(),
            false => groups.iter().map(|g| format!("{g:?}")).collect::<Vec<_>>().join(","),
        };
        let (acting, acting_groups) = match &told.impersonated {
            Some(w) => (w.name().to_owned(), listed(w.groups())),
            None => ("<self>".to_owned(), "<lookup>".to_owned()),
        };
        let namespace = told.object.as_ref().map(|o| o.namespace.clone()).unwrap_or_default();
        let response = told.outcome.as_ref().map_or("<deferred>".to_owned(), |o| o.code.to_string());
        format!(
            "{now:.9} AUDIT: id={:?} stage={:?} ip={:?} method={:?} user={:?} groups={:?} as={:?} asgroups={:?} user-agent={:?} namespace={:?} uri={:?} response={:?}\n",
            self.audit_id,
            stage.name(),
            self.source_ips.first().map_or("<unknown>", String::as_str),
            self.verb,
            or(self.user.name(), "<none>"),
            listed(self.user.groups()),
            acting,
            acting_groups,
            self.agent,
            or(&namespace, "<none>"),
            self.uri,
            response,
        )
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        let told = self.told.get_mut();
        if told.answered && !told.closed {
            told.closed = true;
            self.emit(Stage::ResponseComplete);
        }
    }
}

/// A time with six decimals.
fn micros(at: Timestamp) -> String {
    format!("{at:.6}")
}

fn go_duration(d: Duration) -> String {
    format!("{}s", d.as_secs_f64())
}

fn reference(info: &RequestInfo) -> ObjectRef {
    ObjectRef {
        resource: info.resource.clone(),
        namespace: info.namespace.clone(),
        name: info.name.clone(),
        api_group: info.group.clone(),
        api_version: info.version.clone(),
        subresource: info.subresource.clone(),
        ..ObjectRef::default()
    }
}

/// Who says to have forwarded the request, then who really sent it.
fn sources(arrival: &Arrival<'_>) -> Vec<String> {
    let text = |n: &str| arrival.headers.get(n).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mut all: Vec<String> = text("x-forwarded-for").split(',').filter_map(|a| a.trim().parse::<std::net::IpAddr>().ok()).map(|a| a.to_string()).collect();
    let real = text("x-real-ip").trim().parse::<std::net::IpAddr>().ok().map(|a| a.to_string());
    let peer = arrival.address.map(|a| a.ip().to_canonical().to_string());
    for next in [real, peer].into_iter().flatten() {
        if all.last() != Some(&next) {
            all.push(next);
        }
    }
    all
}

fn to_json(headers: &HeaderMap, bytes: Vec<u8>) -> Option<Vec<u8>> {
    let media = crate::body::media(headers);
    match media {
        "application/json" => Some(bytes),
        "application/vnd.kubernetes.protobuf" => serde_json::to_vec(&codec::proto::decode(&bytes).ok()?).ok(),
        "application/yaml" => serde_json::to_vec(&codec::yaml::parse(std::str::from_utf8(&bytes).ok()?).ok()?.value).ok(),
        _ => None,
    }
}

fn tell_status(json: &[u8], outcome: &mut Outcome) {
    let Ok(tree) = serde_json::from_slice::<Value>(json) else { return };
    if tree["kind"] != "Status" {
        return;
    }
    let text = |k: &str| tree[k].as_str().unwrap_or_default().to_owned();
    (outcome.status, outcome.message, outcome.reason) = (text("status"), text("message"), text("reason"));
    outcome.details = tree["details"].clone();
}

fn without_managers(tree: &mut Value) {
    if let Some(meta) = tree.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("managedFields");
    }
}
