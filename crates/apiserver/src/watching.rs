//! Watch requests: a stream of framed events, bookmarks each minute, an end after the asked-for time.

use crate::call::Call;
use crate::output::{self, Shown};
use crate::resource::{list_query, revision_of};
use crate::respond::{self, Body, Encoding, Form, Reply, status_tree};
use crate::server::Served;
use bytes::{BufMut, Bytes, BytesMut};
use cache::Entry;
use kinds::{ApiError, Revision};
use registry::{Watch, WatchEvent, WatchQuery};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Frames that may wait for a slow client; its place in the journal is all it costs beyond them.
const FRAMES_MAX: usize = 4;
/// Events are gathered into frames of about this size.
const FRAME_BYTES: usize = 32 * 1024;
/// Bookmarks come this often.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// Watches without a timeout end after this and up to twice this long.
const TIMEOUT_MIN: Duration = Duration::from_secs(1800);
/// And no watch lasts longer, whatever it asks for.
const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Starts a watch and answers with its stream.
pub(crate) async fn watch(call: Call, served: Served) -> Result<Reply, ApiError> {
    let mut list = list_query(&call, &served)?;
    if call.accept.encoding == Encoding::Yaml {
        let text = "only the following media types are accepted: application/json;stream=watch, \
                    application/vnd.kubernetes.protobuf;stream=watch";
        return Err(ApiError::new(406, "NotAcceptable", text));
    }
    let info = &call.info;
    let from = revision_of(info.param("resourceVersion").unwrap_or_default())?;
    list.limit = 0;
    list.page = None;
    (list.revision, list.version_match) = (None, registry::VersionMatch::Unset);
    let send_initial = info.flag("sendInitialEvents");
    let mut from = from.filter(|r| *r != Revision::ZERO);
    let fresh = match from {
        Some(r) if send_initial => call.shared.registry.at_least(r).await,
        Some(_) => Ok(()),
        None => {
            call.shared.registry.catch_up().await?;
            Ok(())
        }
    };
    if from.is_none() && !send_initial && info.param("sendInitialEvents").is_some() {
        // Who says that the initial objects are not wanted begins with what comes now.
        from = Some(call.shared.registry.snapshot().revision());
    }
    let query = WatchQuery { list, from, send_initial };
    let asked = info.param("timeoutSeconds").and_then(|t| t.parse().ok()).filter(|t| *t > 0).map(Duration::from_secs);
    let own = || TIMEOUT_MIN + Duration::from_secs(call.shared.ids.below(1800));
    let timeout = asked.map_or_else(own, |t| t.min(TIMEOUT_MAX));
    let bookmarks = info.flag("allowWatchBookmarks");
    let media = match call.accept.encoding {
        Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        _ => "application/json",
    };
    let (tx, rx) = mpsc::channel(FRAMES_MAX);
    match fresh.and_then(|()| call.shared.registry.watch(&served.resource, &query)) {
        Ok(watch) => {
            let converts = served.converts();
            let pump = Pump { call, served, watch, bookmarks, out: BytesMut::new(), tx, columns_sent: false, converts };
            tokio::spawn(pump.run(Instant::now() + timeout));
        }
        Err(e) if matches!(e.code, 410 | 504) => {
            let line = frame_json("ERROR", &serde_json::to_vec(&status_tree(&e)).map_err(ApiError::internal)?);
            let framed = if call.accept.encoding == Encoding::Protobuf { frame_proto("ERROR", &status_tree(&e)) } else { line };
            let _ = tx.try_send(framed);
        }
        Err(e) => return Err(e),
    }
    Ok(respond::with_media(200, Body::Stream(rx), media))
}

struct Pump {
    call: Call,
    served: Served,
    watch: Watch,
    bookmarks: bool,
    out: BytesMut,
    tx: mpsc::Sender<Bytes>,
    columns_sent: bool,
    /// Whether a webhook has to turn objects into the served version.
    converts: bool,
}

impl Pump {
    async fn run(mut self, end: Instant) {
        let _counted = self.call.shared.fairness.watching(&self.call.info);
        let initial = self.call.info.flag("sendInitialEvents");
        let mut stopping = self.call.shared.stopping.clone();
        let mut bookmark = Instant::now() + BOOKMARK_EVERY;
        loop {
            let event = tokio::select! {
                event = self.watch.next() => event,
                () = tokio::time::sleep_until(bookmark) => {
                    bookmark = Instant::now() + BOOKMARK_EVERY;
                    Ok(WatchEvent::Bookmark { revision: self.watch.progress(), initial: false })
                }
                () = tokio::time::sleep_until(end) => break,
                () = self.tx.closed() => return,
                () = crate::server::stopped(&mut stopping) => break,
            };
            let begun = !initial || matches!(event, Ok(WatchEvent::Bookmark { initial: true, .. }));
            let failed = match self.converts {
                true => match self.turned(event).await {
                    Ok(event) => {
                        event.iter().for_each(|e| self.put(e));
                        false
                    }
                    Err(e) => {
                        self.put_raw("ERROR", &status_tree(&e));
                        true
                    }
                },
                false => self.gather(event),
            };
            if self.flush().await.is_err() || failed {
                return;
            }
            if begun {
                self.call.permit = None;
            }
        }
        if self.bookmarks {
            let revision = self.watch.progress();
            self.put(&WatchEvent::Bookmark { revision, initial: false });
            let _ = self.flush().await;
        }
    }

    /// An event in the version that is served, through the definition's conversion webhook; `None` when fields of that
    /// version tell that the watcher does not mean it.
    async fn turned(&self, event: Result<WatchEvent, ApiError>) -> Result<Option<WatchEvent>, ApiError> {
        let filter = self.watch.filter();
        Ok(match event? {
            WatchEvent::Added(e) => {
                let e = self.spoken(e).await?;
                filter.matches_spoken(&e).then_some(WatchEvent::Added(e))
            }
            WatchEvent::Modified { old, new } => self.changed(old, new).await?,
            WatchEvent::Deleted { object, json, revision } => {
                let e = self.spoken(Arc::new(Entry::new(object.key(), object, json, revision))).await?;
                let gone = WatchEvent::Deleted { object: e.object().clone(), json: e.json.clone(), revision };
                filter.matches_spoken(&e).then_some(gone)
            }
            bookmark @ WatchEvent::Bookmark { .. } => Some(bookmark),
        })
    }

    async fn changed(&self, old: Arc<Entry>, new: Arc<Entry>) -> Result<Option<WatchEvent>, ApiError> {
        let filter = self.watch.filter();
        let new = self.spoken(new).await?;
        if !filter.is_deferred() {
            return Ok(Some(WatchEvent::Modified { old, new }));
        }
        let old = self.spoken(old).await?;
        Ok(match (filter.matches_spoken(&old), filter.matches_spoken(&new)) {
            (true, true) => Some(WatchEvent::Modified { old, new }),
            (false, true) => Some(WatchEvent::Added(new)),
            (true, false) => Some(WatchEvent::left(&old, new.revision)),
            (false, false) => None,
        })
    }

    async fn spoken(&self, entry: Arc<Entry>) -> Result<Arc<Entry>, ApiError> {
        let (resource, to) = (&self.served.resource, self.served.api_version());
        let mut all = self.call.shared.registry.spoken(resource, &to, vec![entry]).await?;
        all.pop().ok_or_else(|| ApiError::internal("a conversion without a result"))
    }

    /// Puts the event and everything that is ready behind it into one frame; `true` ends the watch.
    fn gather(&mut self, first: Result<WatchEvent, ApiError>) -> bool {
        let mut next = first.map(Some);
        loop {
            match next {
                Ok(Some(event)) => self.put(&event),
                Ok(None) => return false,
                Err(e) => {
                    self.put_raw("ERROR", &status_tree(&e));
                    return true;
                }
            }
            if self.out.len() >= FRAME_BYTES {
                return false;
            }
            next = self.watch.poll_ready();
        }
    }

    async fn flush(&mut self) -> Result<(), ()> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.tx.send(self.out.split().freeze()).await.map_err(|_| ())
    }

    fn put(&mut self, event: &WatchEvent) {
        match event {
            WatchEvent::Added(e) => self.put_object("ADDED", &**e),
            WatchEvent::Modified { new, .. } => self.put_object("MODIFIED", &**new),
            WatchEvent::Deleted { object, json, .. } => self.put_object("DELETED", &(object, json)),
            WatchEvent::Bookmark { revision, initial } => {
                if self.bookmarks {
                    self.put_bookmark(*revision, *initial);
                }
            }
        }
    }

    fn put_object(&mut self, verb: &str, shown: &dyn Shown) {
        match self.call.accept.form {
            Form::Object => {
                let Ok(json) = output::spoken(&self.served, shown) else { return };
                self.put_json(verb, &json);
            }
            Form::Table => {
                let meta = json!({ "resourceVersion": shown.object().meta().resource_version });
                let mut table = output::table(&self.call, &self.served, &[shown], meta);
                if std::mem::replace(&mut self.columns_sent, true) {
                    table["columnDefinitions"] = Value::Null;
                }
                self.put_raw(verb, &table);
            }
            Form::PartialMetadata | Form::PartialMetadataList => self.put_raw(verb, &output::partial(shown.json())),
        }
    }

    fn put_bookmark(&mut self, revision: Revision, initial: bool) {
        let kind = self.served.kind.map_or_else(|| self.served.resource.kind_name().to_owned(), |k| k.info().kind.to_owned());
        let mut meta = json!({ "resourceVersion": revision.to_string() });
        if initial {
            meta["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let object = match self.call.accept.form {
            Form::Object => {
                let object = json!({ "kind": kind, "apiVersion": self.served.api_version(), "metadata": meta });
                let json = serde_json::to_vec(&object).unwrap_or_default();
                let printed = self.served.kind.and_then(|kind| codec::unset::print_unset(kind, &json));
                return self.put_json("BOOKMARK", &printed.unwrap_or(json));
            }
            Form::Table => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": { "resourceVersion": revision.to_string() },
                "columnDefinitions": null, "rows": [{ "cells": [], "object": {
                    "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta } }],
            }),
            _ => json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta }),
        };
        self.put_raw("BOOKMARK", &object);
    }

    fn put_raw(&mut self, verb: &str, object: &Value) {
        let json = serde_json::to_vec(object).unwrap_or_default();
        self.put_json(verb, &json);
    }

    fn put_json(&mut self, verb: &str, json: &[u8]) {
        if self.call.accept.encoding == Encoding::Protobuf {
            if let Ok(object) = codec::proto::encode(json) {
                self.out.put_slice(&codec::proto::watch_frame(verb, &object));
            }
            return;
        }
        self.out.reserve(json.len() + 40);
        self.out.put_slice(b"{\"type\":\"");
        self.out.put_slice(verb.as_bytes());
        self.out.put_slice(b"\",\"object\":");
        self.out.put_slice(json);
        self.out.put_slice(b"}\n");
    }
}

fn frame_json(verb: &str, json: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_slice(format!("{{\"type\":\"{verb}\",\"object\":").as_bytes());
    out.put_slice(json);
    out.put_slice(b"}\n");
    out.freeze()
}

fn frame_proto(verb: &str, object: &Value) -> Bytes {
    let json = serde_json::to_vec(object).unwrap_or_default();
    codec::proto::encode(&json).map(|o| codec::proto::watch_frame(verb, &o).into()).unwrap_or_default()
}
