//! What the runtime says of a pod: its sandboxes and containers, newest first, as plain values.

use jiff::Timestamp;

/// A pod sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxView {
    pub id: String,
    pub attempt: u32,
    pub ready: bool,
    pub created_at: Timestamp,
    /// Addresses of the pod's network; empty on the node's network.
    pub ips: Vec<String>,
}

/// How far a container has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    Created,
    Running,
    Exited,
    Unknown,
}

/// The user of a container's first process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserView {
    pub uid: i64,
    pub gid: i64,
    pub groups: Vec<i64>,
}

/// One container that was created for the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerView {
    pub id: String,
    pub sandbox_id: String,
    /// Its name in the pod's spec.
    pub name: String,
    /// The restart count that it was created with.
    pub attempt: u32,
    pub state: RunState,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub exit_code: i32,
    pub signal: i32,
    pub reason: String,
    pub message: String,
    /// As `status.containerStatuses[].imageID` says it.
    pub image_id: String,
    /// As `status.containerStatuses[].image` says it.
    pub image: String,
    /// Hash of the spec that it was made from; empty when unknown.
    pub spec_hash: String,
    pub user: Option<UserView>,
}

impl ContainerView {
    /// Whether its process may still run.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == RunState::Running
    }
    /// Whether it ran and ended.
    #[must_use]
    pub fn is_exited(&self) -> bool {
        self.state == RunState::Exited
    }
}

/// Everything the runtime holds of one pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Newest (highest attempt) first.
    pub sandboxes: Vec<SandboxView>,
    /// Newest first within a name.
    pub containers: Vec<ContainerView>,
}

impl View {
    /// Puts newest first.
    pub fn sort(&mut self) {
        self.sandboxes.sort_by_key(|s| std::cmp::Reverse((s.attempt, s.created_at)));
        self.containers.sort_by_key(|c| std::cmp::Reverse((c.attempt, c.created_at)));
    }
    /// The newest sandbox, ready or not.
    #[must_use]
    pub fn sandbox(&self) -> Option<&SandboxView> {
        self.sandboxes.first()
    }
    /// The newest sandbox if it is ready.
    #[must_use]
    pub fn ready_sandbox(&self) -> Option<&SandboxView> {
        self.sandbox().filter(|s| s.ready)
    }
    /// The newest container of that name.
    #[must_use]
    pub fn newest(&self, name: &str) -> Option<&ContainerView> {
        self.containers.iter().find(|c| c.name == name)
    }
    /// The newest container of that name if it belongs to the given sandbox.
    #[must_use]
    pub fn newest_in(&self, name: &str, sandbox: &str) -> Option<&ContainerView> {
        self.newest(name).filter(|c| c.sandbox_id == sandbox)
    }
    /// The container before the newest of that name.
    #[must_use]
    pub fn previous(&self, name: &str) -> Option<&ContainerView> {
        self.containers.iter().filter(|c| c.name == name).nth(1)
    }
    /// By id.
    #[must_use]
    pub fn container(&self, id: &str) -> Option<&ContainerView> {
        self.containers.iter().find(|c| c.id == id)
    }
    /// Replaces or adds a container. A container that ended does not come to life again (late news is dropped).
    pub fn put(&mut self, container: ContainerView) {
        match self.containers.iter_mut().find(|c| c.id == container.id) {
            Some(c) if c.is_exited() && !container.is_exited() => {}
            Some(c) => *c = container,
            None => self.containers.push(container),
        }
        self.sort();
    }
    /// Replaces or adds a sandbox.
    pub fn put_sandbox(&mut self, sandbox: SandboxView) {
        self.sandboxes.retain(|s| s.id != sandbox.id);
        self.sandboxes.push(sandbox);
        self.sort();
    }
    /// The containers whose process runs.
    pub fn running(&self) -> impl Iterator<Item = &ContainerView> {
        self.containers.iter().filter(|c| c.is_running())
    }
}

/// What a container needs to know of its image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// The runtime's id (digest of the config).
    pub id: String,
    /// What `imageID` shows: a repository digest where there is one.
    pub shown_id: String,
    /// What `image` shows: the fully qualified name.
    pub shown_name: String,
    pub size_bytes: u64,
    pub uid: Option<i64>,
    pub username: Option<String>,
}
