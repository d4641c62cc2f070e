//! The embedded container runtime: [`Embedded`] implements [`ContainerRuntime`](crate::cri::ContainerRuntime).
//!
//! ```text
//! kubelet ─ cri ─> Embedded (service, sandbox, lifecycle, streams)      this process, tokio
//!                     │ files: layout      │ packets: link <-> shim::wire
//!                     ▼                    ▼
//!                  pods/…/*.json        shim, one a pod                 single-threaded, survives us
//!                                          │ fork
//!                                          ▼
//!                                       init: a table of steps -> the container's program
//! ```
//! The state of a pod is in its shim and its files; what is here is an index that `open` can always rebuild. Why our own
//! start path and not libcontainer's is argued in `init`.

mod apparmor;
pub(crate) mod capability;
pub(crate) mod cgroup;
mod compose;
mod devices;
mod errors;
mod groups;
pub(crate) mod init;
pub(crate) mod layout;
mod lifecycle;
mod link;
mod port_forward;
mod recover;
mod sandbox;
mod seccomp;
mod service;
pub(crate) mod spec;
mod streams;
pub(crate) mod sys;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, watch};

use crate::cri::{Event, RuntimeError};
use crate::image::ImageStore;
use crate::shim::Zygote;
use crate::shim::wire::Record;
use layout::{ContainerFile, SandboxFile};
use link::Link;

pub use groups::{group_usage, remove_group, set_group};

pub(crate) use errors::start_error;
pub(crate) use init::plain;

/// Events kept for a slow reader before it is told to list again.
const EVENT_BACKLOG: usize = 1024;

/// Where and how the embedded runtime works.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// Directory of sandboxes and containers; on a file system that keeps it across restarts.
    pub state_dir: PathBuf,
    /// Prefix of every cgroup path (empty: `cgroup_parent` counts from the root of each hierarchy).
    pub cgroup_root: String,
    /// The binary to run as the zygote of shims; it must call `runtime::shim::main` when `runtime::shim::is_shim` says so.
    pub shim_program: PathBuf,
}

impl EmbeddedConfig {
    /// The usual: this binary as the shim, cgroups from the root.
    pub fn new(state_dir: impl Into<PathBuf>) -> EmbeddedConfig {
        EmbeddedConfig { state_dir: state_dir.into(), cgroup_root: String::new(), shim_program: "/proc/self/exe".into() }
    }
}

/// The embedded runtime. Cheap to clone; all clones are one runtime.
#[derive(Clone)]
pub struct Embedded {
    core: Arc<Core>,
}

/// What all verbs share.
struct Core {
    config: EmbeddedConfig,
    images: ImageStore,
    zygote: Zygote,
    index: Mutex<Index>,
    events: broadcast::Sender<Event>,
    apparmor: Option<&'static str>,
}

/// What there is, by id.
#[derive(Default)]
struct Index {
    sandboxes: HashMap<String, Sandbox>,
    containers: HashMap<String, Container>,
}

/// A sandbox that is not removed.
#[derive(Clone)]
struct Sandbox {
    file: SandboxFile,
    directory: PathBuf,
    /// Its shim; `None` once it is stopped or lost.
    link: Option<Arc<Link>>,
}

/// A container that is not removed.
#[derive(Clone)]
struct Container {
    file: Arc<ContainerFile>,
    sandbox_id: String,
    directory: PathBuf,
    /// What became of it, to read and to wait for.
    record: Arc<watch::Sender<Record>>,
}

impl Container {
    /// True between a start and its end.
    fn is_running(&self) -> bool {
        let record = self.record.borrow();
        record.started_at_ns != 0 && record.finished_at_ns == 0
    }
}

impl Core {
    fn index(&self) -> MutexGuard<'_, Index> {
        // Every critical section leaves the index whole, so a panic elsewhere does not spoil it.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pods_dir(&self) -> PathBuf {
        self.config.state_dir.join("pods")
    }

    fn sandbox(&self, id: &str) -> Result<Sandbox, RuntimeError> {
        self.index().sandboxes.get(id).cloned().ok_or_else(|| not_found("sandbox", id))
    }

    fn container(&self, id: &str) -> Result<Container, RuntimeError> {
        self.index().containers.get(id).cloned().ok_or_else(|| not_found("container", id))
    }

    /// A container with the link to its pod's shim.
    fn reach(&self, id: &str) -> Result<(Container, Arc<Link>), RuntimeError> {
        let container = self.container(id)?;
        let link = self.sandbox(&container.sandbox_id)?.link;
        let link = link.ok_or_else(|| RuntimeError::Internal(format!("sandbox {} is not running", container.sandbox_id)))?;
        Ok((container, link))
    }

    fn tell(&self, event: Event) {
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }
}

fn not_found(what: &str, id: &str) -> RuntimeError {
    RuntimeError::NotFound { what: format!("{what} {id:?}") }
}

/// A fresh id: 64 hexadecimal digits.
fn new_id() -> Result<String, RuntimeError> {
    use std::io::Read;
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).map_err(errors::io("read /dev/urandom"))?;
    Ok(hex::encode(bytes))
}

/// Runs file work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
) -> Result<T, RuntimeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(RuntimeError::Internal(format!("container runtime: {e}"))),
    }
}

/// Where a container's files are.
fn container_directory(sandbox_directory: &Path, id: &str) -> PathBuf {
    sandbox_directory.join(layout::CONTAINERS).join(id)
}
