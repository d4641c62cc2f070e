//! The node's pods: those of the API that are bound to it, those of its manifests, those that a previous run left. One
//! task hears of all changes and gives each to the pod that it concerns; nothing is polled.

use crate::config::ReadManifest;
use crate::hands::{Hands, SandboxOwner, network_owner};
use crate::pod_task::{self, PodHandle};
use crate::recorder::pod_reference;
use crate::{static_pods, translate};
use cache::{Batch, Change, Interest};
use kinds::Kind;
use kinds::api::core::v1::{ConfigMap, Node, PersistentVolume, PersistentVolumeClaim, Pod, Secret};
use parking_lot::RwLock;
use pods::plan::sandbox::label;
use pods::{Input, Note, Origin, View, Worker, admission, roster};
use runtime::cri::{Event, RuntimeError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// The pods of the node by uid, for everyone who looks.
pub(crate) type Pods = Arc<RwLock<BTreeMap<String, PodHandle>>>;

pub(crate) struct PodLoop {
    hands: Arc<Hands>,
    pods: Pods,
    ended_in: mpsc::UnboundedSender<String>,
    /// What the runtime had when this process came up, for pods that are yet to be heard of.
    left: BTreeMap<String, View>,
    /// What nodes offer, before the API has our status.
    own_node: Arc<Node>,
    read_manifest: Option<ReadManifest>,
    /// The API's pods were heard once.
    synced: bool,
    /// The pods of the manifests, once these were read.
    manifests: Option<Vec<Arc<Pod>>>,
    /// What a previous run left was cleaned up.
    cleaned: bool,
}

/// Everything that the runtime has, by pod uid.
async fn survey(hands: &Hands) -> Result<BTreeMap<String, View>, RuntimeError> {
    let (sandboxes, containers) = tokio::try_join!(hands.runtime.sandboxes(), hands.runtime.containers())?;
    let mut views: BTreeMap<String, View> = BTreeMap::new();
    for s in sandboxes {
        let uid = s.labels.get(label::POD_UID).cloned().unwrap_or_else(|| s.uid.clone());
        let owner = SandboxOwner { uid: uid.clone(), attempt: s.attempt };
        hands.sandboxes.lock().insert(s.id.clone(), owner);
        let ips = hands.network.addresses(&network_owner(&uid, s.attempt));
        views.entry(uid).or_default().sandboxes.push(translate::sandbox_view(&s, ips));
    }
    for c in containers {
        let uid = c.labels.get(label::POD_UID).cloned().unwrap_or_default();
        let view = hands.view_of(c).await;
        views.entry(uid).or_default().containers.push(view);
    }
    Ok(views)
}

impl PodLoop {
    pub(crate) fn new(
        hands: Arc<Hands>,
        pods: Pods,
        own_node: Arc<Node>,
        read_manifest: Option<ReadManifest>,
    ) -> (Self, mpsc::UnboundedReceiver<String>) {
        let (ended_in, ended) = mpsc::unbounded_channel();
        let this = Self { hands, pods, ended_in, left: BTreeMap::new(), own_node, read_manifest, synced: false, manifests: None, cleaned: false };
        (this, ended)
    }

    /// Runs until `stop`, or until the source ends.
    pub(crate) async fn run(mut self, mut ended: mpsc::UnboundedReceiver<String>, stop: CancellationToken) {
        let mut events = self.hands.runtime.events();
        match survey(&self.hands).await {
            Ok(left) => self.left = left,
            Err(e) => tracing::error!(err = %e, "The runtime did not say what it has"),
        }
        let kinds = [Kind::Pod, Kind::ConfigMap, Kind::Secret, Kind::PersistentVolumeClaim, Kind::PersistentVolume];
        let mut changes = self.hands.source.subscribe(Interest::Only(kinds.map(Into::into).to_vec()));
        let mut deaf = false;
        let (manifests_in, mut manifests) = mpsc::channel(1);
        static_pods::watch(&self.hands.config, self.read_manifest.clone(), manifests_in, stop.clone());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                batch = changes.next() => match batch {
                    Some(batch) => self.batch(batch).await,
                    None => return,
                },
                event = events.recv(), if !deaf => deaf = self.runtime_event(event).await,
                Some(uid) = ended.recv() => self.forget(&uid).await,
                Some(pods) = manifests.recv() => self.put_manifests(pods).await,
            }
        }
    }

    async fn batch(&mut self, batch: Batch) {
        if batch.lagged {
            self.look_at_all(&batch).await;
        }
        for change in &batch.changes {
            self.change(change).await;
        }
        if !std::mem::replace(&mut self.synced, true) {
            self.settle().await;
        }
    }

    async fn look_at_all(&mut self, batch: &Batch) {
        let mut mine: Vec<Arc<Pod>> = batch.snapshot.pods_on(&self.hands.config.node_name).cloned().collect();
        mine.sort_by_key(|p| p.metadata.creation_timestamp.as_ref().map(|t| t.0));
        let there: BTreeSet<String> = mine.iter().map(|p| roster::uid(p).to_owned()).collect();
        for pod in mine {
            self.put(pod, Origin::Api).await;
        }
        let known: Vec<(String, PodHandle)> = self.pods.read().iter().map(|(u, h)| (u.clone(), h.clone())).collect();
        for (uid, handle) in known {
            let is_static = static_pods::is_static(&handle.seen.read().pod);
            if !there.contains(&uid) && !is_static {
                self.send(&uid, Input::Gone).await;
            } else {
                self.send(&uid, Input::World).await;
            }
        }
    }

    async fn change(&mut self, change: &Change) {
        let mine = |p: &&Arc<Pod>| p.spec.as_ref().and_then(|s| s.node_name.as_deref()) == Some(&self.hands.config.node_name);
        match change.resource.builtin() {
            Some(Kind::Pod) => {
                let (old, new) = (change.old_as::<Pod>().filter(mine).cloned(), change.new_as::<Pod>().filter(mine).cloned());
                let replaced = old.filter(|o| new.as_ref().is_none_or(|n| n.metadata.uid != o.metadata.uid));
                if let Some(old) = replaced {
                    self.send(roster::uid(&old), Input::Gone).await;
                }
                if let Some(new) = new {
                    self.put(new, Origin::Api).await;
                }
            }
            Some(Kind::ConfigMap) => self.world_of::<ConfigMap>(change, false).await,
            Some(Kind::Secret) => self.world_of::<Secret>(change, true).await,
            Some(Kind::PersistentVolumeClaim) => {
                let namespace = change.key().namespace.clone();
                if change.new_as::<PersistentVolumeClaim>().is_some() {
                    self.world(|p| roster::namespace(p) == namespace && uses_claims(p)).await;
                }
            }
            Some(Kind::PersistentVolume) if change.new_as::<PersistentVolume>().is_some() => self.world(uses_claims).await,
            _ => {}
        }
    }

    async fn world_of<K: kinds::Typed>(&self, change: &Change, secret: bool) {
        let key = change.key().clone();
        let reference = (secret, key.name.clone());
        self.world(|p| roster::namespace(p) == key.namespace && pods::plan::volume::references(p).contains(&reference)).await;
    }

    /// Wakes the pods that are concerned.
    async fn world(&self, concerns: impl Fn(&Pod) -> bool) {
        let concerned: Vec<PodHandle> = {
            let pods = self.pods.read();
            pods.values().filter(|h| concerns(&h.seen.read().pod)).cloned().collect()
        };
        for handle in concerned {
            // A task that has just ended needs no news.
            let _ = handle.mailbox.send(Input::World).await;
        }
    }

    async fn send(&self, uid: &str, input: Input) {
        let handle = self.pods.read().get(uid).cloned();
        if let Some(handle) = handle {
            // A task that has just ended needs no news.
            let _ = handle.mailbox.send(input).await;
        }
    }

    /// A pod is new or has changed.
    async fn put(&mut self, pod: Arc<Pod>, origin: Origin) {
        if origin == Origin::Api && static_pods::is_mirror(&pod) {
            return;
        }
        let uid = roster::uid(&pod).to_owned();
        if self.pods.read().contains_key(&uid) {
            self.send(&uid, Input::Spec(pod)).await;
            return;
        }
        let left = self.left.remove(&uid);
        let nothing_left = left.is_none();
        if nothing_left && kinds::pod::is_terminal(&pod) && pod.metadata.deletion_timestamp.is_none() {
            return;
        }
        let worker = self.admit(&pod, origin, nothing_left);
        let handle = pod_task::spawn(worker, Arc::clone(&self.hands), self.ended_in.clone());
        self.pods.write().insert(uid.clone(), handle);
        self.send(&uid, Input::Spec(pod)).await;
        self.send(&uid, Input::Runtime(left.unwrap_or_default())).await;
    }

    fn admit(&self, pod: &Arc<Pod>, origin: Origin, fresh: bool) -> Worker {
        let facts = Arc::clone(&self.hands.facts);
        let new = fresh && pod.metadata.deletion_timestamp.is_none() && origin == Origin::Api;
        if !new {
            return Worker::new(Arc::clone(pod), origin, facts);
        }
        let snapshot = self.hands.source.snapshot();
        // A pod whose object is gone or says that it ended has ended, whether its task has heard of that yet or not: for the
        // scheduler its place is free, and its successor may be here first.
        let there = |p: &Pod| {
            let now = snapshot.get::<Pod>(roster::namespace(p), p.metadata.name.as_deref().unwrap_or_default());
            static_pods::is_static(p) || now.is_some_and(|n| n.metadata.uid == p.metadata.uid && !kinds::pod::is_terminal(n))
        };
        let others: Vec<Arc<Pod>> = {
            let pods = self.pods.read();
            let seen = pods.values().map(|h| h.seen.read());
            seen.filter(|s| s.holds_resources && there(&s.pod)).map(|s| Arc::clone(&s.pod)).collect()
        };
        let known = snapshot.get::<Node>("", &self.hands.config.node_name);
        let known = known.filter(|n| n.status.as_ref().is_some_and(|s| s.allocatable.is_some()));
        match admission::admit(pod, known.unwrap_or(&self.own_node), &others) {
            Ok(()) => Worker::new(Arc::clone(pod), origin, facts),
            Err(refusal) => {
                let note = Note { warning: true, reason: reason_of(&refusal.reason), message: refusal.message.clone(), field_path: String::new() };
                self.hands.recorder.note(pod_reference(pod), note);
                Worker::rejected(Arc::clone(pod), refusal.ending(), facts)
            }
        }
    }

    /// Passes on what the runtime tells. Gives whether it will never tell more.
    async fn runtime_event(&mut self, event: Result<Event, broadcast::error::RecvError>) -> bool {
        match event {
            Ok(Event::ContainerExited { sandbox_id, container_id }) => {
                let owner = self.hands.sandboxes.lock().get(&sandbox_id).map(|o| o.uid.clone());
                let Some(handle) = owner.and_then(|uid| self.pods.read().get(&uid).cloned()) else { return false };
                let hands = Arc::clone(&self.hands);
                tokio::spawn(async move {
                    if let Ok(Some(view)) = hands.look(&container_id).await {
                        // A task that has just ended needs no news.
                        let _ = handle.mailbox.send(Input::Container(view)).await;
                    }
                });
            }
            Ok(Event::SandboxGone { sandbox_id }) => {
                let owner = self.hands.sandboxes.lock().get(&sandbox_id).map(|o| o.uid.clone());
                if let Some(uid) = owner {
                    self.look_again(Some(&uid)).await;
                }
            }
            Ok(Event::ContainerStarted { .. }) => {}
            Ok(Event::Lagged) | Err(broadcast::error::RecvError::Lagged(_)) => self.look_again(None).await,
            Err(broadcast::error::RecvError::Closed) => return true,
        }
        false
    }

    /// Asks the runtime for everything, and gives each pod (or the one) its part.
    async fn look_again(&self, only: Option<&str>) {
        let mut views = match survey(&self.hands).await {
            Ok(v) => v,
            Err(e) => {
                tracing::warn!(err = %e, "The runtime did not say what it has");
                return;
            }
        };
        let uids: Vec<String> = self.pods.read().keys().filter(|u| only.is_none_or(|o| o == *u)).cloned().collect();
        for uid in uids {
            let view = views.remove(&uid).unwrap_or_default();
            self.send(&uid, Input::Runtime(view)).await;
        }
    }

    async fn forget(&mut self, uid: &str) {
        self.pods.write().remove(uid);
        self.hands.sandboxes.lock().retain(|_, o| o.uid != uid);
        // The same pod may stand in a manifest or in the API again by now.
        let snapshot = self.hands.source.snapshot();
        let again = snapshot.pods_on(&self.hands.config.node_name).find(|p| roster::uid(p) == uid).cloned();
        if let Some(pod) = again.filter(|p| !kinds::pod::is_terminal(p)) {
            self.put(pod, Origin::Api).await;
        }
    }

    /// What a previous run left and nobody wants: stopped and removed.
    async fn remove_orphans(&mut self) {
        let orphans = std::mem::take(&mut self.left);
        for (uid, view) in orphans {
            tracing::info!(uid, "Removing a pod that nobody knows any more");
            for s in &view.sandboxes {
                for outcome in [self.hands.stop_sandbox(&s.id).await, self.hands.remove_sandbox(&s.id).await] {
                    if let pods::Outcome::Failed(f) = outcome {
                        tracing::warn!(uid, err = %f.message, "Failed to remove an orphaned sandbox");
                    }
                }
            }
        }
        for uid in self.hands.volumes.known() {
            let wanted = self.pods.read().contains_key(&uid);
            if !wanted && let Err(e) = self.hands.volumes.unmount(&self.hands, &uid).await {
                tracing::warn!(uid, err = %e, "Failed to remove the volumes of an orphaned pod");
            }
        }
        let live: BTreeSet<String> = self.hands.sandboxes.lock().values().map(|o| network_owner(&o.uid, o.attempt)).collect();
        let network = Arc::clone(&self.hands.network);
        if let Err(e) = crate::hands::blocking(move || network.audit(&live)).await {
            tracing::warn!(err = %e, "Failed to clean up the pod network");
        }
    }

    /// Once the API and the manifests have both said what they want, the rest goes.
    async fn settle(&mut self) {
        let reads = self.hands.config.manifest_dir.is_some() && self.read_manifest.is_some();
        if !self.synced || (reads && self.manifests.is_none()) {
            return;
        }
        if let Some(wanted) = &self.manifests {
            static_pods::remove_stale_mirrors(&self.hands, wanted);
        }
        if !std::mem::replace(&mut self.cleaned, true) {
            self.remove_orphans().await;
        }
    }

    async fn put_manifests(&mut self, wanted: Vec<Arc<Pod>>) {
        let there: BTreeSet<String> = wanted.iter().map(|p| roster::uid(p).to_owned()).collect();
        let known: Vec<String> = {
            let pods = self.pods.read();
            pods.iter().filter(|(_, h)| static_pods::is_static(&h.seen.read().pod)).map(|(u, _)| u.clone()).collect()
        };
        for uid in known.iter().filter(|u| !there.contains(*u)) {
            self.send(uid, Input::Gone).await;
        }
        self.manifests = Some(wanted.clone());
        for pod in wanted {
            static_pods::ensure_mirror(Arc::clone(&self.hands), Arc::clone(&pod));
            if !known.contains(&roster::uid(&pod).to_owned()) {
                self.put(pod, Origin::Static).await;
            }
        }
        self.settle().await;
    }
}

fn uses_claims(pod: &Pod) -> bool {
    let mut volumes = roster::spec(pod).volumes.iter().flatten();
    volumes.any(|v| v.persistent_volume_claim.is_some() || v.ephemeral.is_some())
}

/// Events carry constant reasons; refusals have a closed set of them.
fn reason_of(reason: &str) -> &'static str {
    match reason {
        "NodeAffinity" => "NodeAffinity",
        "NodePorts" => "NodePorts",
        "TaintToleration" => "TaintToleration",
        "OutOfcpu" => "OutOfcpu",
        "OutOfmemory" => "OutOfmemory",
        "OutOfpods" => "OutOfpods",
        "OutOfephemeral-storage" => "OutOfephemeral-storage",
        _ => "UnexpectedAdmissionError",
    }
}
