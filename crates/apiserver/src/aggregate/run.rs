//! The loop of the aggregation layer: it registers what custom resources need, asks servers whether they are there, and
//! writes what came of it. It wakes when one of its objects changes, and every half minute.

use super::available::{self, Verdict};
use super::{Aggregator, Remote, headers, register};
use futures_util::future::{join_all, select_all};
use codec::openapi::Foreign;
use http::{HeaderMap, HeaderValue, header};
use kinds::kube_aggregator::pkg::apis::apiregistration::v1::{APIService, ServiceReference};
use kinds::{ApiError, DeleteOptions, Kind, ObjectKey, Target, Time, WriteOptions};
use registry::{Caller as Writer, Registry};
use rules::User;
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A server that answered is asked again after this.
const RECHECK: Duration = Duration::from_secs(30);
/// One that did not is asked again after this, doubled each time, up to `RECHECK`.
const RETRY: Duration = Duration::from_secs(1);
/// An answer may take this long.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Changes are gathered for this long.
const GATHER: Duration = Duration::from_millis(100);
/// What wakes the loop.
const WAKES: [Kind; 4] = [Kind::APIService, Kind::CustomResourceDefinition, Kind::Service, Kind::EndpointSlice];
/// Who asks and writes.
const AGGREGATOR: &str = "system:kube-aggregator";
/// The manager that kube-apiserver writes as.
const FIELD_MANAGER: &str = "kube-apiserver";

/// What was found out about one server.
struct Known {
    /// What the answer depends on, as text: when that changes, it is asked at once.
    of: String,
    at: Instant,
    verdict: Verdict,
    failures: u32,
}

impl Known {
    fn due(&self) -> Duration {
        let pause = if self.verdict.available { RECHECK } else { RETRY.saturating_mul(1 << self.failures.min(5)).min(RECHECK) };
        pause.saturating_sub(self.at.elapsed())
    }
}

impl Aggregator {
    /// Runs until `stop` ends.
    pub async fn run(self: Arc<Self>, registry: Arc<Registry>, stop: impl Future<Output = ()>) {
        let mut doors = WAKES.map(|k| registry.image().changes_of(&k.into()));
        let mut known = BTreeMap::new();
        tokio::pin!(stop);
        loop {
            doors.iter_mut().for_each(tokio::sync::watch::Receiver::mark_unchanged);
            self.register(&registry).await;
            let wait = self.pass(&registry, &mut known).await;
            let woken = select_all(doors.iter_mut().map(|d| Box::pin(d.changed())));
            tokio::select! {
                _ = woken => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(wait) => {}
                () = &mut stop => return,
            }
        }
    }

    async fn register(&self, registry: &Registry) {
        let work = register::plan(&registry.snapshot());
        let writer = Writer::new("system:apiserver", &["system:masters"]);
        for object in work.create {
            let target = Target::new(Kind::APIService, object.key());
            note(registry.create(&writer, &target, object, &WriteOptions::default()).await.map(|_| ()));
        }
        for name in work.delete {
            let target = Target::new(Kind::APIService, ObjectKey::cluster(name));
            note(registry.delete(&writer, &target, &DeleteOptions::default()).await.map(|_| ()));
        }
    }

    /// Asks everyone who is due; how long nobody else is.
    async fn pass(&self, registry: &Registry, known: &mut BTreeMap<String, Known>) -> Duration {
        let snapshot = registry.snapshot();
        let remote = |s: &&Arc<APIService>| s.spec.as_ref().is_some_and(|s| s.service.is_some());
        let all: Vec<Arc<APIService>> = snapshot.list::<APIService>("").filter(remote).cloned().collect();
        let names: Vec<String> = all.iter().map(|s| name_of(s)).collect();
        known.retain(|k, _| names.contains(k));
        self.remotes.write().retain(|k, _| names.contains(k));
        let due = |s: &Arc<APIService>, of: &str| known.get(&name_of(s)).is_none_or(|k| k.of != of || k.due().is_zero());
        let world = &snapshot;
        let checks = all.iter().filter_map(|s| {
            let of = depends_on(world, s);
            due(s, &of).then(move || async move { (Arc::clone(s), of, self.check(world, s).await) })
        });
        let found: Vec<_> = join_all(checks).await;
        for (service, of, (verdict, remote)) in found {
            self.write(registry, &service, &verdict).await;
            let name = name_of(&service);
            self.remember(&name, remote);
            let before = known.get(&name).map_or(0, |k| k.failures);
            let failures = if verdict.available { 0 } else { before + 1 };
            known.insert(name, Known { of, at: Instant::now(), verdict, failures });
        }
        known.values().map(Known::due).min().unwrap_or(RECHECK).max(GATHER)
    }

    pub(super) async fn check(&self, snapshot: &cache::Snapshot, service: &APIService) -> (Verdict, Remote) {
        let spec = service.spec.clone().unwrap_or_default();
        let mut remote = Remote {
            group: spec.group.clone().unwrap_or_default(),
            version: spec.version.clone().unwrap_or_default(),
            group_priority: u32::try_from(spec.group_priority_minimum).unwrap_or_default(),
            version_priority: u32::try_from(spec.version_priority).unwrap_or_default(),
            stale: true,
            ..Remote::default()
        };
        if let Err(verdict) = available::reachable(snapshot, &spec.service.clone().unwrap_or_default()) {
            return (verdict, remote);
        }
        let path = format!("/apis/{}/{}", remote.group, remote.version);
        let answer = match self.place(snapshot, &spec, &path) {
            Ok(place) => {
                let asked = self.caller.get(&place, ours(), CHECK_TIMEOUT).await;
                asked.map_err(|e| format!("failing or missing response from {}: {}", place.shown, e))
            }
            Err(e) => Err(e),
        };
        match answer {
            Err(why) => (available::failed(why), remote),
            Ok(answer) => {
                remote.resources = serde_json::from_slice(&answer.body).unwrap_or_default();
                remote.stale = false;
                remote.openapi = self.openapi(snapshot, service, &remote).await;
                remote.v2 = self.openapi_v2(snapshot, service, &remote).await;
                (available::passed(), remote)
            }
        }
    }

    /// The query of the server's OpenAPI document of its group-version, if it publishes one.
    async fn openapi(&self, snapshot: &cache::Snapshot, service: &APIService, remote: &Remote) -> Option<String> {
        let place = self.place(snapshot, service.spec.as_ref()?, "/openapi/v3").ok()?;
        let answer = self.caller.get(&place, ours(), CHECK_TIMEOUT).await.ok()?;
        let index: Value = serde_json::from_slice(&answer.body).ok()?;
        let url = index["paths"][format!("apis/{}/{}", remote.group, remote.version)]["serverRelativeURL"].as_str()?;
        Some(url.split_once('?').map(|(_, q)| q.to_owned()).unwrap_or_default())
    }

    /// What the server publishes of its group-version in OpenAPI v2: read again only when it has changed.
    async fn openapi_v2(&self, snapshot: &cache::Snapshot, service: &APIService, remote: &Remote) -> Option<(String, Arc<Foreign>)> {
        let before = self.remotes.read().get(&name_of(service)).and_then(|r| r.v2.clone());
        let place = self.place(snapshot, service.spec.as_ref()?, "/openapi/v2").ok()?;
        let mut headers = ours();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(tag) = before.as_ref().and_then(|(tag, _)| HeaderValue::from_str(tag).ok()) {
            headers.insert(header::IF_NONE_MATCH, tag);
        }
        let answer = self.caller.get(&place, headers, CHECK_TIMEOUT).await.ok()?;
        let tag = answer.headers.get(header::ETAG).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let tag = tag.unwrap_or_else(|| fingerprint(&answer.body));
        if answer.code == 304 || before.as_ref().is_some_and(|(known, _)| *known == tag) {
            return before;
        }
        let read = || Foreign::read(&answer.body, &remote.group, &remote.version);
        Some((tag, Arc::new(crate::openapi::aside(read)?)))
    }

    /// Keeps what the server said before while it says nothing.
    fn remember(&self, name: &str, mut remote: Remote) {
        let mut all = self.remotes.write();
        if let Some(before) = all.get(name).filter(|_| remote.stale) {
            remote.resources = before.resources.clone();
            remote.openapi.clone_from(&before.openapi);
            remote.v2.clone_from(&before.v2);
        }
        all.insert(name.to_owned(), remote);
    }

    async fn write(&self, registry: &Registry, service: &APIService, verdict: &Verdict) {
        let name = name_of(service);
        self.unavailable.with(&[&name]).set(if verdict.available { 0.0 } else { 1.0 });
        let now = jiff::Timestamp::from_second(registry.now().as_second()).unwrap_or_default();
        let Some(next) = available::conclude(service, verdict, Time(now)) else { return };
        if !verdict.available {
            self.unavailable_total.with(&[&name, verdict.reason]).inc();
        }
        let target = Target::new(Kind::APIService, ObjectKey::cluster(name)).sub("status");
        let writer = Writer::new(AGGREGATOR, &["system:masters"]);
        let options = WriteOptions { field_manager: FIELD_MANAGER.to_owned(), ..WriteOptions::default() };
        note(registry.update(&writer, &target, next.into(), &options).await.map(|_| ()));
    }
}

/// The headers of our own questions.
pub(super) fn ours() -> HeaderMap {
    let mut all = HeaderMap::new();
    headers::identify(&mut all, &User::new(AGGREGATOR, &["system:masters"]), true);
    all
}

/// A tag for documents of servers that give none.
fn fingerprint(body: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(body).iter().map(|b| format!("{b:02x}")).collect()
}

fn name_of(service: &APIService) -> String {
    service.metadata.name.clone().unwrap_or_default()
}

/// What the verdict on a service depends on.
fn depends_on(snapshot: &cache::Snapshot, service: &APIService) -> String {
    let Some(spec) = &service.spec else { return String::new() };
    let none = ServiceReference::default();
    let (namespace, name, port) = super::service_of(spec.service.as_ref().unwrap_or(&none));
    let behind = crate::webhook::place::members(snapshot, namespace, name, port);
    format!("{:?} {spec:?} {behind:?}", service.metadata.uid)
}

/// What could not be written now is written with the next change or pass.
fn note(done: Result<(), ApiError>) {
    match done {
        Err(e) if !(e.is_conflict() || e.is_not_found() || e.is_already_exists()) => {
            tracing::warn!(err = %e, "Keeping an APIService up to date failed");
        }
        _ => {}
    }
}
