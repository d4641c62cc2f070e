//! Sandboxes: starting a pod's shim, stopping it with all it holds, removing what is left.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::cgroup::Cgroup;
use super::layout::{self, SandboxFile, now_ns};
use super::link::{self, Link};
use super::{Core, Sandbox, blocking, errors, new_id, not_found};
use crate::cri::{Event, Resources, RuntimeError, SandboxConfig};
use crate::shim;
use crate::shim::wire::Call;

/// How long killed containers may take to be gone before the sandbox goes on stopping.
const KILL_WAIT: Duration = Duration::from_secs(10);
/// How long a shim may take to set itself up.
const SHIM_WAIT: Duration = Duration::from_secs(10);
/// How often a busy control group is tried again while its last processes leave.
const REMOVE_TRIES: usize = 50;
const REMOVE_PAUSE: Duration = Duration::from_millis(10);

impl Core {
    /// Makes a sandbox and waits until its shim is set up.
    pub(super) async fn run_sandbox(self: &Arc<Core>, mut config: SandboxConfig) -> Result<String, RuntimeError> {
        if config.userns.is_some() {
            return Err(RuntimeError::CreateSandbox("user namespaces are not supported by this runtime".to_owned()));
        }
        let id = new_id()?;
        config.cgroup_parent = join_cgroup(&self.config.cgroup_root, &config.cgroup_parent)?;
        let directory = self.pods_dir().join(&id);
        let file = SandboxFile { id: id.clone(), created_at_ns: now_ns(), config, stopped: false };
        let sandbox = Sandbox { file, directory, link: None };
        match self.start_shim(&sandbox).await {
            Ok(link) => {
                let id = sandbox.file.id.clone();
                self.index().sandboxes.insert(id.clone(), Sandbox { link: Some(link.clone()), ..sandbox });
                self.listen(id.clone(), link);
                Ok(id)
            }
            Err(e) => {
                let _ = blocking(move || {
                    clear(&sandbox)?;
                    let _ = Cgroup::at(&sandbox.file.config.cgroup_parent).remove();
                    Ok(())
                })
                .await;
                Err(e)
            }
        }
    }

    async fn start_shim(self: &Arc<Core>, sandbox: &Sandbox) -> Result<Arc<Link>, RuntimeError> {
        let (core, fresh) = (self.clone(), sandbox.clone());
        let failed = |e: io::Error| RuntimeError::CreateSandbox(super::plain(&e.to_string()));
        let report = blocking(move || {
            write_files(&fresh)?;
            core.zygote.fork_shim(&fresh.directory).map_err(failed)
        })
        .await?;
        let word = tokio::time::timeout(SHIM_WAIT, link::one_packet(report)).await;
        let word = word.map_err(|_| RuntimeError::CreateSandbox("the shim does not answer".to_owned()))?.map_err(failed)?;
        shim::readiness(&word).map_err(RuntimeError::CreateSandbox)?;
        Link::connect(&sandbox.directory).map_err(failed)
    }

    /// Hands on what a shim tells, until it is gone.
    pub(super) fn listen(self: &Arc<Core>, id: String, link: Arc<Link>) {
        let core = self.clone();
        tokio::spawn(async move {
            link.read(|message| core.hear(message)).await;
            core.shim_ended(&id).await;
        });
    }

    /// Kills every container of a sandbox and ends its shim.
    pub(super) async fn stop_sandbox(self: &Arc<Core>, id: &str) -> Result<(), RuntimeError> {
        let Ok(sandbox) = self.sandbox(id) else { return Ok(()) };
        let running: Vec<_> = {
            let index = self.index();
            index.containers.values().filter(|c| c.sandbox_id == id && c.is_running()).cloned().collect()
        };
        if let Some(link) = &sandbox.link {
            // All at once: a shim that hangs costs one time-out, and then its group is killed with it in it.
            let kills = running.iter().map(|container| {
                link.call_soon(Call::Kill { container: container.file.id.clone(), signal: libc::SIGKILL, all: true })
            });
            let healthy = futures_util::future::join_all(kills).await.iter().all(Result::is_ok);
            let all_gone = async {
                for container in &running {
                    let _ = container.record.subscribe().wait_for(|record| record.finished_at_ns != 0).await;
                }
            };
            if healthy {
                let _ = tokio::time::timeout(KILL_WAIT, all_gone).await;
                // It ends instead of answering.
                let _ = link.call_soon(Call::Shutdown).await;
            }
        }
        let core = self.clone();
        let id = id.to_owned();
        blocking(move || {
            core.mark_stopped(&id)?;
            remove_groups(&sandbox.file.cgroup());
            Ok(())
        })
        .await
    }

    /// New limits for the group above all containers.
    pub(super) async fn update_sandbox(self: &Arc<Core>, id: &str, resources: Resources) -> Result<(), RuntimeError> {
        let group = self.sandbox(id)?.file.config.cgroup_parent.clone();
        blocking(move || Cgroup::at(&group).limit(&resources).map_err(errors::io("update the pod's cgroup"))).await
    }

    /// Writes down that a sandbox is over. True when it was not before.
    pub(super) fn mark_stopped(&self, id: &str) -> Result<bool, RuntimeError> {
        let sandbox = {
            let mut index = self.index();
            let Some(sandbox) = index.sandboxes.get_mut(id) else { return Ok(false) };
            sandbox.link = None;
            if std::mem::replace(&mut sandbox.file.stopped, true) {
                return Ok(false);
            }
            sandbox.clone()
        };
        layout::write(&sandbox.directory.join(layout::SANDBOX), &sandbox.file).map_err(errors::io("write the sandbox"))?;
        self.tell(Event::SandboxGone { sandbox_id: id.to_owned() });
        Ok(true)
    }

    /// Removes a sandbox, its containers' records and their root file systems.
    pub(super) async fn remove_sandbox(self: &Arc<Core>, id: &str) -> Result<(), RuntimeError> {
        let Ok(sandbox) = self.sandbox(id) else { return Ok(()) };
        self.stop_sandbox(id).await?;
        let ids: Vec<String> = {
            let index = self.index();
            index.containers.values().filter(|c| c.sandbox_id == id).map(|c| c.file.id.clone()).collect()
        };
        for container in ids {
            self.remove_container(&container).await?;
        }
        self.index().sandboxes.remove(id);
        let parent = sandbox.file.config.cgroup_parent.clone();
        let shared = self.index().sandboxes.values().any(|other| other.file.config.cgroup_parent == parent);
        blocking(move || {
            clear(&sandbox)?;
            if !shared {
                // Others may have put groups beside ours; then it is theirs to remove.
                let _ = Cgroup::at(&parent).remove();
            }
            Ok(())
        })
        .await
    }
}

/// The cgroup path below the runtime's root; it must not climb out of it.
fn join_cgroup(root: &str, parent: &str) -> Result<String, RuntimeError> {
    let path = format!("{}/{}", root.trim_matches('/'), parent.trim_matches('/'));
    let path = path.trim_matches('/').to_owned();
    if path.is_empty() || path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err(RuntimeError::InvalidArgument(format!("cgroup parent {parent:?} is not a path below the root")));
    }
    Ok(path)
}

fn write_files(sandbox: &Sandbox) -> Result<(), RuntimeError> {
    const NODE_RESOLV_CONF: &str = "/etc/resolv.conf";
    let directory = &sandbox.directory;
    let config = &sandbox.file.config;
    let make = |path: &Path, mode: u32| {
        fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(errors::io(format!("create {}", path.display())))
    };
    make(directory, 0o711)?;
    make(&directory.join(layout::CONTAINERS), 0o711)?;
    if !config.log_directory.as_os_str().is_empty() {
        make(&config.log_directory, 0o755)?;
    }
    let resolv_conf = match &config.resolv_conf {
        Some(text) => text.clone(),
        None => fs::read_to_string(NODE_RESOLV_CONF).unwrap_or_default(),
    };
    // Whatever the umask: every user of the pod reads these.
    let write = |name: &str, text: String| {
        let path = directory.join(name);
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o644)))
            .map_err(errors::io(format!("write {name}")))
    };
    write("hostname", format!("{}\n", config.hostname))?;
    write("resolv.conf", resolv_conf)?;
    layout::write(&directory.join(layout::SANDBOX), &sandbox.file).map_err(errors::io("write the sandbox"))
}

/// Deletes a sandbox's directory and groups.
fn clear(sandbox: &Sandbox) -> Result<(), RuntimeError> {
    remove_groups(&sandbox.file.cgroup());
    match fs::remove_dir_all(&sandbox.directory) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(RuntimeError::Io { doing: format!("remove {}", sandbox.directory.display()), source: e })
        }
        _ => Ok(()),
    }
}

/// Removes the shim's group; it empties when the kernel is done with its processes.
fn remove_groups(path: &str) {
    let group = Cgroup::at(path);
    for _ in 0..REMOVE_TRIES {
        group.kill();
        if group.remove_tree().is_ok() {
            return;
        }
        std::thread::sleep(REMOVE_PAUSE);
    }
}

/// Finds a sandbox or says so.
impl Core {
    /// The link to a running sandbox.
    pub(super) fn sandbox_link(&self, id: &str) -> Result<Arc<Link>, RuntimeError> {
        self.sandbox(id)?.link.ok_or_else(|| not_found("running sandbox", id))
    }
}
