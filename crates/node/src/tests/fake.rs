//! Fakes of the node's ports.

use cache::{Batch, Change, Entry, Interest, Snapshot, Source, Subscription, Tables};
use cache::snapshot::Write;
use kinds::api::core::v1::{Event as KubeEvent, Pod};
use kinds::{Api, ApiError, DeleteOptions, Fut as ApiFut, Object, ObjectKey, Patch, Resource, Revision, Target, WriteOptions};
use parking_lot::Mutex;
use runtime::cri::*;
use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{Notify, broadcast, watch};

/// An API server and its cache, in memory.
pub(crate) struct Cluster {
    state: Arc<Mutex<(Tables, Vec<Arc<Change>>)>>,
    grown: watch::Sender<usize>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self { state: Arc::default(), grown: watch::channel(0).0 }
    }
}

impl Cluster {
    fn write(&self, resource: Resource, key: ObjectKey, object: Option<Object>) -> Option<Object> {
        let mut state = self.state.lock();
        let revision = state.0.revision().next();
        let entry = object.map(|mut object| {
            object.meta_mut().resource_version = Some(revision.to_string());
            Arc::new(Entry::new(key.clone(), object, Default::default(), revision))
        });
        let out = entry.as_ref().map(|e| e.object().clone());
        let change = state.0.apply(Write { resource, key, revision, entry });
        state.1.extend(change.map(Arc::new));
        let n = state.1.len();
        drop(state);
        self.grown.send_replace(n);
        out
    }
    pub(crate) fn put(&self, object: Object) {
        self.write(object.resource(), object.key(), Some(object));
    }
    pub(crate) fn snapshot_now(&self) -> Snapshot {
        self.state.lock().0.snapshot()
    }
    pub(crate) fn pod(&self, name: &str) -> Option<Arc<Pod>> {
        self.snapshot_now().get::<Pod>("default", name).cloned()
    }
    /// Waits for the next write after this call.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> + use<> {
        let mut grown = self.grown.subscribe();
        async move {
            grown.changed().await.expect("lives");
        }
    }
    pub(crate) async fn until_event(&self, text: &str) {
        let seen = tokio::time::timeout(std::time::Duration::from_secs(10), async {
            loop {
                let changed = self.changed();
                if self.snapshot_now().list::<KubeEvent>("").any(|e| e.message.as_deref() == Some(text)) {
                    return;
                }
                changed.await;
            }
        });
        assert!(seen.await.is_ok(), "no event {text:?}");
    }
}

impl Api for Cluster {
    fn get(&self, t: Target) -> ApiFut<'_, Object> {
        let found = self.snapshot_now().entry(&t.resource, &t.key).map(|e| e.object().clone());
        Box::pin(async move { found.ok_or_else(|| ApiError::not_found(&t.resource, &t.key.name)) })
    }
    fn list(&self, _: Resource, _: String) -> ApiFut<'_, (Vec<Object>, Revision)> {
        unimplemented!("the node does not list")
    }
    fn create(&self, t: Target, o: Object, _: WriteOptions) -> ApiFut<'_, Object> {
        let out = self.write(t.resource, t.key, Some(o)).expect("written");
        Box::pin(async move { Ok(out) })
    }
    fn update(&self, t: Target, o: Object, _: WriteOptions) -> ApiFut<'_, Object> {
        let current = self.snapshot_now().entry(&t.resource, &t.key).map(|e| e.revision.to_string());
        let result = match current {
            None => Err(ApiError::not_found(&t.resource, &t.key.name)),
            Some(r) if o.meta().resource_version.as_ref().is_some_and(|v| *v != r) => {
                Err(ApiError::modified(&t.resource, &t.key.name))
            }
            Some(_) => Ok(self.write(t.resource, t.key, Some(o)).expect("written")),
        };
        Box::pin(async move { result })
    }
    fn patch(&self, t: Target, _: Patch, _: WriteOptions) -> ApiFut<'_, Object> {
        self.get(t)
    }
    fn delete(&self, t: Target, _: DeleteOptions) -> ApiFut<'_, Option<Object>> {
        self.write(t.resource, t.key, None);
        Box::pin(async { Ok(None) })
    }
}

struct Cursor {
    state: Arc<Mutex<(Tables, Vec<Arc<Change>>)>>,
    at: Option<usize>,
    grown: watch::Receiver<usize>,
}

impl Subscription for Cursor {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Batch>> + Send + '_>> {
        Box::pin(async move {
            loop {
                {
                    let state = self.state.lock();
                    let (snapshot, n) = (state.0.snapshot(), state.1.len());
                    match self.at.replace(n) {
                        None => return Some(Batch { snapshot, changes: vec![], lagged: true }),
                        Some(at) if at < n => {
                            return Some(Batch { snapshot, changes: state.1[at..].to_vec(), lagged: false });
                        }
                        Some(_) => {}
                    }
                }
                self.grown.changed().await.ok()?;
            }
        })
    }
}

impl Source for Cluster {
    fn snapshot(&self) -> Snapshot {
        self.snapshot_now()
    }
    fn subscribe(&self, _: Interest) -> Box<dyn Subscription> {
        Box::new(Cursor { state: Arc::clone(&self.state), at: None, grown: self.grown.subscribe() })
    }
}

/// A network that gives everyone the same address.
#[derive(Default)]
pub(crate) struct FakeNetwork;

impl crate::Network for FakeNetwork {
    fn create(&self, owner: &str) -> Result<PathBuf, String> {
        Ok(PathBuf::from("/run/netns").join(owner))
    }
    fn attach(&self, _: &str, _: &[crate::network::HostPortPlan]) -> Result<Vec<String>, String> {
        Ok(vec!["10.244.0.5".into()])
    }
    fn remove(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
    fn addresses(&self, _: &str) -> Vec<String> {
        vec!["10.244.0.5".into()]
    }
    fn audit(&self, _: &BTreeSet<String>) -> Result<(), String> {
        Ok(())
    }
}

#[derive(Default)]
struct Kept {
    sandboxes: Vec<SandboxStatus>,
    containers: Vec<ContainerStatus>,
    log: Vec<String>,
    next: u32,
}

/// A runtime without processes.
pub(crate) struct FakeRuntime {
    kept: Mutex<Kept>,
    events: broadcast::Sender<Event>,
    logged: Notify,
}

fn now_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap()
}

fn ready<'a, T: Send + 'a>(v: T) -> Fut<'a, Result<T, RuntimeError>> {
    Box::pin(async move { Ok(v) })
}

impl FakeRuntime {
    pub(crate) fn new() -> Self {
        Self { kept: Mutex::default(), events: broadcast::channel(64).0, logged: Notify::new() }
    }
    pub(crate) fn log(&self) -> Vec<String> {
        self.kept.lock().log.clone()
    }
    fn say(&self, text: impl Into<String>) {
        self.kept.lock().log.push(text.into());
        self.logged.notify_waiters();
    }
    pub(crate) async fn until(&self, holds: impl Fn(&[String]) -> bool) {
        let seen = tokio::time::timeout(std::time::Duration::from_secs(10), async {
            loop {
                let logged = self.logged.notified();
                if holds(&self.log()) {
                    return;
                }
                logged.await;
            }
        });
        assert!(seen.await.is_ok(), "{:?}", self.log());
    }
    fn end(&self, c: &mut ContainerStatus, code: i32) {
        c.state = ContainerState::Exited;
        c.exit_code = code;
        c.finished_at_ns = now_ns();
        let event = Event::ContainerExited { sandbox_id: c.sandbox_id.clone(), container_id: c.id.clone() };
        let _ = self.events.send(event);
    }
    /// Ends a container's process.
    pub(crate) fn exit(&self, name: &str, code: i32) {
        let mut kept = self.kept.lock();
        let c = kept.containers.iter_mut().rfind(|c| c.name == name && c.state == ContainerState::Running).expect("runs");
        self.end(c, code);
    }
    /// A sandbox that no pod stands behind.
    pub(crate) fn stray(&self, uid: &str) {
        let config = SandboxConfig { uid: uid.into(), ..SandboxConfig::default() };
        self.kept.lock().sandboxes.push(sandbox("stray".into(), config));
    }
}

fn sandbox(id: String, c: SandboxConfig) -> SandboxStatus {
    SandboxStatus {
        id,
        name: c.name,
        namespace: c.namespace,
        uid: c.uid,
        attempt: c.attempt,
        state: SandboxState::Ready,
        created_at_ns: now_ns(),
        pid: None,
        labels: c.labels,
        annotations: c.annotations,
    }
}

impl ContainerRuntime for FakeRuntime {
    fn version(&self) -> (String, String) {
        ("timonel".into(), "0.1.0".into())
    }
    fn run_sandbox(&self, c: SandboxConfig) -> Fut<'_, Result<String, RuntimeError>> {
        self.say("run");
        let mut kept = self.kept.lock();
        kept.next += 1;
        let id = format!("s{}", kept.next);
        kept.sandboxes.push(sandbox(id.clone(), c));
        ready(id)
    }
    fn stop_sandbox<'a>(&'a self, _: &'a str) -> Fut<'a, Result<(), RuntimeError>> {
        self.say("stop sandbox");
        ready(())
    }
    fn remove_sandbox<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), RuntimeError>> {
        self.kept.lock().sandboxes.retain(|s| s.id != id);
        self.say("remove sandbox");
        ready(())
    }
    fn sandboxes(&self) -> Fut<'_, Result<Vec<SandboxStatus>, RuntimeError>> {
        ready(self.kept.lock().sandboxes.clone())
    }
    fn create_container<'a>(&'a self, s: &'a str, c: ContainerConfig) -> Fut<'a, Result<String, RuntimeError>> {
        self.say(format!("create {}", c.name));
        let mut kept = self.kept.lock();
        kept.next += 1;
        let id = format!("c{}", kept.next);
        kept.containers.push(ContainerStatus {
            id: id.clone(),
            sandbox_id: s.into(),
            name: c.name,
            attempt: c.attempt,
            state: ContainerState::Created,
            created_at_ns: now_ns(),
            started_at_ns: 0,
            finished_at_ns: 0,
            exit_code: 0,
            signal: 0,
            reason: String::new(),
            message: String::new(),
            image_id: c.image_id,
            image_ref: c.image_ref,
            log_path: c.log_path,
            labels: c.labels,
            annotations: c.annotations,
            pid: None,
            resources: c.resources,
            user: None,
        });
        ready(id)
    }
    fn start_container<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), RuntimeError>> {
        let mut kept = self.kept.lock();
        let c = kept.containers.iter_mut().find(|c| c.id == id).expect("created");
        c.state = ContainerState::Running;
        c.started_at_ns = now_ns();
        let text = format!("start {}", c.name);
        drop(kept);
        self.say(text);
        ready(())
    }
    fn stop_container<'a>(&'a self, id: &'a str, grace_s: u64) -> Fut<'a, Result<(), RuntimeError>> {
        let mut kept = self.kept.lock();
        let c = kept.containers.iter_mut().find(|c| c.id == id).expect("created");
        self.end(c, 143);
        let text = format!("stop {} {grace_s}", c.name);
        drop(kept);
        self.say(text);
        ready(())
    }
    fn remove_container<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), RuntimeError>> {
        self.kept.lock().containers.retain(|c| c.id != id);
        ready(())
    }
    fn update_sandbox<'a>(&'a self, _: &'a str, _: Resources) -> Fut<'a, Result<(), RuntimeError>> {
        Box::pin(async { Ok(()) })
    }
    fn update_resources<'a>(&'a self, _: &'a str, _: Resources) -> Fut<'a, Result<(), RuntimeError>> {
        ready(())
    }
    fn containers(&self) -> Fut<'_, Result<Vec<ContainerStatus>, RuntimeError>> {
        ready(self.kept.lock().containers.clone())
    }
    fn container<'a>(&'a self, id: &'a str) -> Fut<'a, Result<ContainerStatus, RuntimeError>> {
        let found = self.kept.lock().containers.iter().find(|c| c.id == id).cloned();
        Box::pin(async move { found.ok_or(RuntimeError::NotFound { what: "container".into() }) })
    }
    fn reopen_log<'a>(&'a self, _: &'a str) -> Fut<'a, Result<(), RuntimeError>> {
        ready(())
    }
    fn exec_sync<'a>(&'a self, _: &'a str, _: Vec<String>, _: Option<u64>) -> Fut<'a, Result<ExecOutput, RuntimeError>> {
        ready(ExecOutput::default())
    }
    fn exec(&self, request: ExecRequest, mut streams: Streams) -> Fut<'_, Result<i32, RuntimeError>> {
        Box::pin(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut input = Vec::new();
            if let Some(stdin) = &mut streams.stdin {
                stdin.read_to_end(&mut input).await.expect("reads");
            }
            if let Some(stdout) = &mut streams.stdout {
                stdout.write_all(request.command.join(" ").as_bytes()).await.expect("writes");
                stdout.write_all(&input).await.expect("writes");
            }
            Ok(7)
        })
    }
    fn attach<'a>(&'a self, _: &'a str, _: Streams) -> Fut<'a, Result<(), RuntimeError>> {
        ready(())
    }
    fn port_forward<'a>(&'a self, _: &'a str, _: u16, mut stream: tokio::io::DuplexStream) -> Fut<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut input = [0u8; 4];
            stream.read_exact(&mut input).await.expect("reads");
            stream.write_all(&input).await.expect("writes");
            Ok(())
        })
    }
    fn sandbox_usage<'a>(&'a self, _: &'a str) -> Fut<'a, Result<Usage, RuntimeError>> {
        ready(Usage::default())
    }
    fn mount_image<'a>(&'a self, _: &'a str, _: &'a str, _: &'a std::path::Path) -> Fut<'a, Result<(), RuntimeError>> {
        ready(())
    }
    fn unmount_images<'a>(&'a self, _: &'a str) -> Fut<'a, Result<(), RuntimeError>> {
        ready(())
    }
    fn container_usage<'a>(&'a self, _: &'a str) -> Fut<'a, Result<Usage, RuntimeError>> {
        ready(Usage::default())
    }
    fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
    fn image<'a>(&'a self, r: &'a str) -> Fut<'a, Result<Option<ImageStatus>, RuntimeError>> {
        ready(Some(ImageStatus { id: "sha256:1".into(), repo_tags: vec![format!("docker.io/library/{r}")], ..ImageStatus::default() }))
    }
    fn images(&self) -> Fut<'_, Result<Vec<ImageStatus>, RuntimeError>> {
        ready(vec![])
    }
    fn pull_image<'a>(&'a self, _: &'a str, _: Option<Auth>) -> Fut<'a, Result<String, RuntimeError>> {
        ready("sha256:1".into())
    }
    fn remove_image<'a>(&'a self, _: &'a str) -> Fut<'a, Result<(), RuntimeError>> {
        ready(())
    }
    fn image_fs(&self) -> Fut<'_, Result<(u64, u64, PathBuf), RuntimeError>> {
        ready((0, 0, PathBuf::from("/")))
    }
}
