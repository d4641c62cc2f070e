//! The one seam between the node and whatever runs containers: the verbs and values of the CRI (`runtime.v1`), in Rust.
//!
//! The embedded runtime implements it in this crate; a client of containerd's socket can implement it too. Units are in
//! the names; ids are opaque strings that the runtime chose. No Kubernetes kind appears here.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use serde::{Deserialize, Serialize};

/// A boxed future, so that the trait is object-safe.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// Labels and annotations.
pub type Map = BTreeMap<String, String>;

/// Whose view of a namespace a process gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceMode {
    /// One namespace for the whole pod (the default of network and ipc).
    #[default]
    Pod,
    /// One namespace a container (the default of pid).
    Container,
    /// The node's own.
    Node,
    /// That of another container of the same pod, by container id (ephemeral containers with a target).
    Target(String),
}

/// What a pod sandbox is made from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxConfig {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub attempt: u32,
    pub hostname: String,
    /// Contents of the pod's `/etc/resolv.conf`; `None`: the node's own file.
    pub resolv_conf: Option<String>,
    /// Where container logs of this pod go (absolute directory, created by the runtime).
    pub log_directory: PathBuf,
    /// An existing, configured network namespace to run in; `None`: the node's network.
    pub netns: Option<PathBuf>,
    pub pid_mode: NamespaceMode,
    pub ipc_mode: NamespaceMode,
    /// Run in a user namespace of its own: (host id of container id 0, length).
    pub userns: Option<(u32, u32)>,
    /// Relative parent in the runtime's cgroup root, e.g. `kubepods/burstable/pod<uid>`.
    pub cgroup_parent: String,
    /// Limits of the whole pod's cgroup.
    pub resources: Resources,
    pub sysctls: Map,
    pub labels: Map,
    pub annotations: Map,
}

/// cgroup limits. `None` leaves the kernel's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    pub cpu_shares: Option<u64>,
    pub cpu_quota_us: Option<i64>,
    pub cpu_period_us: Option<u64>,
    pub memory_limit_bytes: Option<i64>,
    pub pids_limit: Option<i64>,
    pub oom_score_adj: Option<i32>,
    pub cpuset_cpus: Option<String>,
    /// Huge page limits: page size as the kernel spells it (`2MB`) to bytes.
    pub hugepages_bytes: BTreeMap<String, u64>,
}

/// Which seccomp or AppArmor profile confines a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Profile {
    #[default]
    RuntimeDefault,
    Unconfined,
    /// A profile file on the node (seccomp JSON) or a loaded profile's name (AppArmor).
    Localhost(String),
}

/// The security part of a container.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    pub privileged: bool,
    pub add_capabilities: Vec<String>,
    pub drop_capabilities: Vec<String>,
    pub run_as_user: Option<i64>,
    pub run_as_group: Option<i64>,
    /// A user name to look up in the image's `/etc/passwd` (from the image's config).
    pub run_as_username: Option<String>,
    pub supplemental_groups: Vec<i64>,
    /// `Strict`: ignore groups that the image's `/etc/group` gives the user.
    pub supplemental_groups_strict: bool,
    pub readonly_rootfs: bool,
    pub no_new_privs: bool,
    pub seccomp: Profile,
    pub apparmor: Profile,
    /// `procMount: Unmasked`: no masked and read-only paths.
    pub unmasked_proc: bool,
}

/// How mounts under a bind mount travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    #[default]
    Private,
    HostToContainer,
    Bidirectional,
}

/// A bind mount from the node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    pub container_path: PathBuf,
    pub host_path: PathBuf,
    pub readonly: bool,
    pub recursive_readonly: bool,
    pub propagation: Propagation,
}

/// A device node passed through.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    pub container_path: PathBuf,
    pub host_path: PathBuf,
    /// Of `rwm`.
    pub permissions: String,
}

/// What a container is made from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerConfig {
    pub name: String,
    pub attempt: u32,
    /// Image id, as `ImageStatus::id` gave it.
    pub image_id: String,
    /// The image as the pod's spec names it (reported back).
    pub image_ref: String,
    /// Replaces the image's entrypoint when not empty.
    pub command: Vec<String>,
    /// Replaces the image's cmd when not empty (or when `command` is given).
    pub args: Vec<String>,
    pub working_dir: String,
    pub envs: Vec<(String, String)>,
    pub mounts: Vec<Mount>,
    pub devices: Vec<Device>,
    /// File name below the sandbox's log directory, e.g. `web/0.log`.
    pub log_path: PathBuf,
    pub stdin: bool,
    pub stdin_once: bool,
    pub tty: bool,
    pub resources: Resources,
    pub security: Security,
    pub pid_mode: NamespaceMode,
    /// Overrides the image's stop signal, e.g. `SIGUSR1`.
    pub stop_signal: Option<String>,
    pub labels: Map,
    pub annotations: Map,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxState {
    Ready,
    NotReady,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    Created,
    Running,
    Exited,
    Unknown,
}

/// A sandbox as it stands.
#[derive(Clone, Debug)]
pub struct SandboxStatus {
    pub id: String,
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub attempt: u32,
    pub state: SandboxState,
    pub created_at_ns: i64,
    /// The shim's pid: the process that holds the pod's shared namespaces.
    pub pid: Option<u32>,
    pub labels: Map,
    pub annotations: Map,
}

/// A container as it stands. Times are nanoseconds since the epoch, 0 when it has not happened.
#[derive(Clone, Debug)]
pub struct ContainerStatus {
    pub id: String,
    pub sandbox_id: String,
    pub name: String,
    pub attempt: u32,
    pub state: ContainerState,
    pub created_at_ns: i64,
    pub started_at_ns: i64,
    pub finished_at_ns: i64,
    pub exit_code: i32,
    /// The signal that ended it, 0 if none.
    pub signal: i32,
    /// `OOMKilled`, `Completed`, `Error`, `ContainerCannotRun`, `StartError`.
    pub reason: String,
    pub message: String,
    pub image_id: String,
    pub image_ref: String,
    pub log_path: PathBuf,
    pub labels: Map,
    pub annotations: Map,
    pub pid: Option<u32>,
    pub resources: Resources,
    /// The user that the first process runs as: (uid, gid, supplemental groups).
    pub user: Option<(i64, i64, Vec<i64>)>,
}

/// Something happened to a container or a sandbox. The stream carries ids; read the status for the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    ContainerStarted { sandbox_id: String, container_id: String },
    ContainerExited { sandbox_id: String, container_id: String },
    SandboxGone { sandbox_id: String },
    /// Events were lost (a slow reader): list again.
    Lagged,
}

/// What `exec` and `attach` join. Byte streams; a resize is (columns, rows).
pub struct ExecRequest {
    pub container_id: String,
    pub command: Vec<String>,
    pub tty: bool,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// The client's ends of a streaming session. Bytes are `tokio` pipes so that both HTTP skins can drive them.
pub struct Streams {
    pub stdin: Option<tokio::io::DuplexStream>,
    pub stdout: Option<tokio::io::DuplexStream>,
    pub stderr: Option<tokio::io::DuplexStream>,
    pub resize: Option<tokio::sync::mpsc::Receiver<(u16, u16)>>,
}

/// The outcome of a command that ran to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub exit_code: i32,
}

/// Resource usage of a container or sandbox, cumulative since its start.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    pub cpu_usage_ns: u64,
    pub memory_usage_bytes: u64,
    pub memory_working_set_bytes: u64,
    pub memory_rss_bytes: u64,
    pub page_faults: u64,
    pub major_page_faults: u64,
    pub pids: u64,
    pub rootfs_used_bytes: u64,
    pub rootfs_inodes_used: u64,
    pub cpu_user_ns: u64,
    pub cpu_system_ns: u64,
    /// CPU periods that had something to run, and of those the ones that ran into the quota.
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_ns: u64,
    pub memory_cache_bytes: u64,
    pub memory_swap_bytes: u64,
    pub memory_mapped_bytes: u64,
    pub memory_active_file_bytes: u64,
    pub memory_inactive_file_bytes: u64,
    pub memory_kernel_bytes: u64,
    pub memory_max_bytes: u64,
    /// How often the limit was hit.
    pub memory_failures: u64,
    pub oom_kills: u64,
    pub processes: u64,
    /// Of sandboxes with a network of their own.
    pub interfaces: Vec<InterfaceUsage>,
}

/// What one network device has carried: (bytes, packets, errors, dropped) each way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceUsage {
    pub name: String,
    pub received: [u64; 4],
    pub sent: [u64; 4],
}

/// The devices of the network that a process is in, from the text of its `/proc/PID/net/dev`; without the loopback.
#[must_use]
pub fn interfaces(text: &str) -> Vec<InterfaceUsage> {
    let row = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        let n: Vec<u64> = rest.split_whitespace().filter_map(|f| f.parse().ok()).collect();
        let four = |at: usize| Some([*n.get(at)?, *n.get(at + 1)?, *n.get(at + 2)?, *n.get(at + 3)?]);
        Some(InterfaceUsage { name: name.trim().to_owned(), received: four(0)?, sent: four(8)? })
    };
    text.lines().filter_map(row).filter(|i| i.name != "lo").collect()
}

/// An image that is present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageStatus {
    /// `sha256:` digest of the image's config.
    pub id: String,
    /// `registry/name:tag` spellings, fully qualified.
    pub repo_tags: Vec<String>,
    /// `registry/name@sha256:…` spellings.
    pub repo_digests: Vec<String>,
    pub size_bytes: u64,
    /// The image config's user, split: a number or a name.
    pub uid: Option<i64>,
    pub username: Option<String>,
    pub pinned: bool,
}

/// Credentials for one pull.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    pub username: String,
    pub password: String,
    /// A bearer token that replaces both.
    pub token: Option<String>,
}

/// What went wrong, in classes that the kubelet words differently.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("{what} not found")]
    NotFound { what: String },
    #[error("{0}")]
    InvalidArgument(String),
    /// The image does not exist or may not be pulled; the text is what the registry said.
    #[error("{0}")]
    ImagePull(String),
    #[error("failed to create sandbox: {0}")]
    CreateSandbox(String),
    #[error("failed to create containerd task: {0}")]
    StartContainer(String),
    #[error("command timed out after {seconds} s")]
    Timeout { seconds: u64 },
    #[error("{doing}: {source}")]
    Io { doing: String, source: std::io::Error },
    #[error("{0}")]
    Internal(String),
}

/// Runs pods: the CRI's RuntimeService and ImageService.
pub trait ContainerRuntime: Send + Sync {
    /// Name and version for node info, e.g. (`timonel`, `0.1.0`).
    fn version(&self) -> (String, String);

    fn run_sandbox(&self, config: SandboxConfig) -> Fut<'_, Result<String, RuntimeError>>;
    /// Stops every container of the sandbox and its shim. Idempotent.
    fn stop_sandbox<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), RuntimeError>>;
    /// Removes the sandbox and what is left of its containers. Idempotent.
    fn remove_sandbox<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), RuntimeError>>;
    fn sandboxes(&self) -> Fut<'_, Result<Vec<SandboxStatus>, RuntimeError>>;

    fn create_container<'a>(&'a self, sandbox_id: &'a str, config: ContainerConfig) -> Fut<'a, Result<String, RuntimeError>>;
    fn start_container<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), RuntimeError>>;
    /// Sends the stop signal, waits `grace_s`, then kills. Returns when it has exited. Idempotent.
    fn stop_container<'a>(&'a self, id: &'a str, grace_s: u64) -> Fut<'a, Result<(), RuntimeError>>;
    fn remove_container<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), RuntimeError>>;
    fn update_resources<'a>(&'a self, id: &'a str, resources: Resources) -> Fut<'a, Result<(), RuntimeError>>;
    /// New limits for the whole pod's cgroup.
    fn update_sandbox<'a>(&'a self, id: &'a str, resources: Resources) -> Fut<'a, Result<(), RuntimeError>>;
    /// Every container that is not removed.
    fn containers(&self) -> Fut<'_, Result<Vec<ContainerStatus>, RuntimeError>>;
    fn container<'a>(&'a self, id: &'a str) -> Fut<'a, Result<ContainerStatus, RuntimeError>>;
    /// Starts a new log file after the old one was moved away (rotation).
    fn reopen_log<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), RuntimeError>>;

    /// Runs a command to its end, collecting at most 16 MiB of output (probes, hooks).
    fn exec_sync<'a>(
        &'a self,
        id: &'a str,
        command: Vec<String>,
        timeout_s: Option<u64>,
    ) -> Fut<'a, Result<ExecOutput, RuntimeError>>;
    /// Runs a command joined to the given streams; returns its exit code when it has ended and its output is drained.
    fn exec(&self, request: ExecRequest, streams: Streams) -> Fut<'_, Result<i32, RuntimeError>>;
    /// Joins the container's own stdio until the client or the container ends.
    fn attach<'a>(&'a self, id: &'a str, streams: Streams) -> Fut<'a, Result<(), RuntimeError>>;
    /// Connects to a TCP port on the pod's loopback; the stream is the connection.
    fn port_forward<'a>(
        &'a self,
        sandbox_id: &'a str,
        port: u16,
        stream: tokio::io::DuplexStream,
    ) -> Fut<'a, Result<(), RuntimeError>>;

    /// Of the whole pod, with its network.
    fn sandbox_usage<'a>(&'a self, id: &'a str) -> Fut<'a, Result<Usage, RuntimeError>>;
    fn container_usage<'a>(&'a self, id: &'a str) -> Fut<'a, Result<Usage, RuntimeError>>;
    /// Changes from now on. Bounded; a slow reader gets `Event::Lagged`.
    fn events(&self) -> tokio::sync::broadcast::Receiver<Event>;

    /// The image of that name, tag, digest or id, if present.
    fn image<'a>(&'a self, reference: &'a str) -> Fut<'a, Result<Option<ImageStatus>, RuntimeError>>;
    fn images(&self) -> Fut<'_, Result<Vec<ImageStatus>, RuntimeError>>;
    /// Pulls and unpacks; returns the image's id.
    fn pull_image<'a>(&'a self, reference: &'a str, auth: Option<Auth>) -> Fut<'a, Result<String, RuntimeError>>;
    fn remove_image<'a>(&'a self, reference: &'a str) -> Fut<'a, Result<(), RuntimeError>>;
    /// Mounts an image's files at a directory of the node, to be read and not to be run. `key` names the mount for ever
    /// (it begins with `volume-`).
    fn mount_image<'a>(&'a self, reference: &'a str, key: &'a str, target: &'a Path) -> Fut<'a, Result<(), RuntimeError>>;
    /// Lets go of the images whose keys begin so. Idempotent.
    fn unmount_images<'a>(&'a self, prefix: &'a str) -> Fut<'a, Result<(), RuntimeError>>;
    /// (bytes used, inodes used) of the image file system and where it is mounted.
    fn image_fs(&self) -> Fut<'_, Result<(u64, u64, PathBuf), RuntimeError>>;
}
