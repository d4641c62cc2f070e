//! Making, stopping and looking at containers.

use super::{Hands, blocking, chain, failed};
use crate::translate;
use crate::volumes::subpath;
use pods::plan::container::annotation;
use pods::plan::sandbox::Sharing;
use pods::plan::{ContainerPlan, MountPlan};
use pods::{ContainerView, Failure, Outcome, View};
use runtime::cri::{ContainerState, ContainerStatus, Mount, RuntimeError};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// How much a container may say at its end (docs: "Determine the reason for pod failure").
const TERMINATION_BYTES_MAX: usize = 4096;
const TERMINATION_LOG_BYTES_MAX: u64 = 2048;
const TERMINATION_LOG_LINES_MAX: usize = 80;

fn mount(m: &MountPlan, writable: bool) -> Result<Mount, String> {
    let host_path = match &m.sub_path {
        Some(s) => subpath::resolve(Path::new(&s.volume), &s.path, s.create && writable)?,
        None => PathBuf::from(&m.host_path),
    };
    Ok(Mount {
        container_path: PathBuf::from(&m.container_path),
        host_path,
        readonly: m.readonly,
        recursive_readonly: m.recursive_readonly,
        propagation: translate::propagation(m.propagation),
    })
}

fn io(what: &str, path: &str) -> impl FnOnce(std::io::Error) -> String {
    let text = format!("{what} {path}");
    move |e| format!("{text}: {e}")
}

/// The files that the node keeps for a container, and its mounts.
fn prepare(plan: &ContainerPlan) -> Result<Vec<Mount>, String> {
    if let Some((path, content)) = &plan.hosts_file {
        fs::write(path, content).map_err(io("write", path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).map_err(io("chmod", path))?;
    }
    if let Some(log) = &plan.termination_log {
        let dir = Path::new(&log.host_path).parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(dir).map_err(io("make directory of", &log.host_path))?;
        fs::write(&log.host_path, b"").map_err(io("write", &log.host_path))?;
        fs::set_permissions(&log.host_path, fs::Permissions::from_mode(0o666)).map_err(io("chmod", &log.host_path))?;
    }
    plan.mounts.iter().map(|m| mount(m, true)).collect()
}

fn tail(path: &Path) -> Option<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = fs::File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    // CRI lines carry about 40 bytes of header; read enough to fill the message.
    file.seek(SeekFrom::Start(size.saturating_sub(4 * TERMINATION_LOG_BYTES_MAX))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let lines = crate::log::parse::lines(&bytes);
    let from = lines.len().saturating_sub(TERMINATION_LOG_LINES_MAX);
    let text: Vec<u8> = lines[from..].iter().flat_map(|l| l.content.iter().copied()).collect();
    let from = text.len().saturating_sub(TERMINATION_LOG_BYTES_MAX as usize);
    Some(String::from_utf8_lossy(&text[from..]).into_owned())
}

/// What a container that ended had to say.
fn last_words(s: &ContainerStatus) -> Option<String> {
    let path = s.annotations.get(annotation::TERMINATION_PATH)?;
    let mut bytes = fs::read(path).unwrap_or_default();
    bytes.truncate(TERMINATION_BYTES_MAX);
    let fall_back = s.annotations.get(annotation::TERMINATION_POLICY).is_some_and(|p| p == "FallbackToLogsOnError");
    if bytes.is_empty() && fall_back && s.exit_code != 0 {
        return tail(&s.log_path).filter(|t| !t.is_empty());
    }
    Some(String::from_utf8_lossy(&bytes).into_owned()).filter(|t| !t.is_empty())
}

impl Hands {
    pub(crate) async fn view_of(&self, status: ContainerStatus) -> ContainerView {
        if status.state != ContainerState::Exited {
            return translate::container_view(&status, None);
        }
        let asked = status.clone();
        let words = blocking(move || Ok(last_words(&asked))).await.unwrap_or_default();
        translate::container_view(&status, words)
    }

    /// The container as it stands; `None`: the runtime does not know it.
    pub(crate) async fn look(&self, id: &str) -> Result<Option<ContainerView>, RuntimeError> {
        match self.runtime.container(id).await {
            Ok(status) => Ok(Some(self.view_of(status).await)),
            Err(RuntimeError::NotFound { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(crate) async fn start(&self, sandbox: &str, plan: ContainerPlan, view: &View) -> Outcome {
        let target = match &plan.pid {
            Sharing::Target(name) => view.newest(name).map(|c| c.id.clone()),
            _ => None,
        };
        let (mounts, plan) = match blocking(move || Ok((prepare(&plan)?, plan))).await {
            Ok(made) => made,
            Err(message) => return Outcome::Failed(Failure::new(message)),
        };
        let config = translate::container(&plan, mounts, target, &self.facts.root_dir);
        let id = match self.runtime.create_container(sandbox, config).await {
            Ok(id) => id,
            Err(e) => return failed(&e),
        };
        let started = self.runtime.start_container(&id).await;
        let seen = self.look(&id).await;
        match (started, seen) {
            (Ok(()), Ok(Some(view))) => Outcome::Container(Some(view)),
            (Ok(()), Ok(None)) => Outcome::Failed(Failure::new("the container vanished as it started")),
            (Ok(()), Err(e)) => failed(&e),
            (Err(e), seen) => {
                let container = seen.ok().flatten().map(Box::new);
                Outcome::Failed(Failure { container, ..Failure::new(chain(&e)) })
            }
        }
    }

    pub(crate) async fn stop(&self, id: &str, grace_s: u64) -> Outcome {
        match self.runtime.stop_container(id, grace_s).await {
            Ok(()) | Err(RuntimeError::NotFound { .. }) => {}
            Err(e) => return failed(&e),
        }
        match self.look(id).await {
            Ok(view) => Outcome::Container(view),
            Err(e) => failed(&e),
        }
    }

    pub(crate) async fn remove_container(&self, id: &str) -> Outcome {
        match self.runtime.remove_container(id).await {
            Ok(()) | Err(RuntimeError::NotFound { .. }) => Outcome::Done,
            Err(e) => failed(&e),
        }
    }
}
