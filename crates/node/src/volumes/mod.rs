//! The hands of volumes: directories, tmpfs, checked host paths, files replaced together; and their end.

mod files;
mod host_path;
mod image;
pub(crate) mod subpath;
mod tokens;
mod unmount;

use crate::hands::{Hands, blocking};
use jiff::Timestamp;
use kinds::api::core::v1::Pod;
use pods::plan::{VolumeKind, VolumePlan};
use pods::{Failure, roster};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a file is written with: path below the volume, content, mode, owner.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: Option<i64>,
}

/// A volume whose contents are all at hand.
struct Job {
    plan: VolumePlan,
    files: Vec<Ready>,
}

/// The volumes of the node.
pub(crate) struct Volumes {
    root: PathBuf,
    tokens: tokens::Tokens,
}

fn mkdir(path: &Path, mode: u32) -> Result<(), String> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(|e| format!("mkdir {}: {e}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|e| format!("chmod {}: {e}", path.display()))
}

/// Gives a directory of the pod's own to its group.
fn own_group(path: &Path, group: Option<i64>) -> Result<(), String> {
    let Some(gid) = group.and_then(|g| u32::try_from(g).ok()) else { return Ok(()) };
    chown(path, None, Some(gid)).map_err(|e| format!("chown {}: {e}", path.display()))?;
    let mode = fs::metadata(path).map_err(|e| e.to_string())?.permissions().mode();
    let mode = fs::Permissions::from_mode(mode | 0o2070);
    fs::set_permissions(path, mode).map_err(|e| format!("chmod {}: {e}", path.display()))
}

fn tmpfs(path: &Path, size_bytes: Option<i64>) -> Result<(), String> {
    use nix::mount::{MsFlags, mount};
    if unmount::is_mount(path) {
        return Ok(());
    }
    let options = size_bytes.map(|n| format!("size={n}")).unwrap_or_default();
    mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
        .map_err(|e| format!("mount tmpfs at {}: {e}", path.display()))
}

fn make(job: &Job) -> Result<(), String> {
    let path = Path::new(&job.plan.path);
    match &job.plan.kind {
        VolumeKind::EmptyDir => {
            mkdir(path, 0o777)?;
            own_group(path, job.plan.fs_group)
        }
        VolumeKind::Memory { size_bytes } => {
            mkdir(path, 0o777)?;
            tmpfs(path, *size_bytes)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).map_err(|e| e.to_string())?;
            own_group(path, job.plan.fs_group)
        }
        VolumeKind::HostPath { type_ } => host_path::check(path, type_),
        // The runtime has put it there.
        VolumeKind::Image { .. } => Ok(()),
        VolumeKind::Files { memory, .. } => {
            mkdir(path, 0o755)?;
            if *memory {
                tmpfs(path, None)?;
                fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
            }
            files::write(path, &job.files, job.plan.fs_group)
        }
    }
}

impl Volumes {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), tokens: tokens::Tokens::default() }
    }

    fn pod_dir(&self, uid: &str) -> PathBuf {
        self.root.join("pods").join(uid)
    }

    /// Makes all volumes of a pod, or brings them up to date. Gives when tokens among them want to be renewed.
    pub(crate) async fn mount(&self, hands: &Hands, pod: &Arc<Pod>, plans: Vec<VolumePlan>) -> Result<Option<Timestamp>, Failure> {
        let mut refresh_at: Option<Timestamp> = None;
        let mut jobs = Vec::new();
        for plan in plans {
            let mut files = Vec::new();
            if let VolumeKind::Image { reference, policy } = &plan.kind {
                image::mount(hands, pod, &plan, reference, policy.as_deref()).await.map_err(|message| Failure {
                    volume: Some(plan.shown.clone()),
                    ..Failure::new(message)
                })?;
            }
            if let VolumeKind::Files { files: entries, .. } = &plan.kind {
                for e in entries {
                    let (ready, renew_at) = self.tokens.fill(hands, pod, e).await.map_err(|message| Failure {
                        volume: Some(plan.shown.clone()),
                        ..Failure::new(message)
                    })?;
                    files.push(ready);
                    refresh_at = refresh_at.into_iter().chain(renew_at).min();
                }
            }
            jobs.push(Job { plan, files });
        }
        let dir = self.pod_dir(roster::uid(pod));
        let made = tokio::task::spawn_blocking(move || {
            mkdir(&dir, 0o750).map_err(|m| (None, m))?;
            jobs.iter().try_for_each(|j| make(j).map_err(|m| (Some(j.plan.shown.clone()), m)))
        });
        match made.await {
            Ok(Ok(())) => Ok(refresh_at),
            Ok(Err((volume, message))) => Err(Failure { volume, ..Failure::new(message) }),
            Err(e) => Err(Failure::new(format!("a worker thread failed: {e}"))),
        }
    }

    /// Takes everything of a pod away.
    pub(crate) async fn unmount(&self, hands: &Hands, uid: &str) -> Result<(), String> {
        self.tokens.forget(uid);
        let dir = self.pod_dir(uid);
        blocking(move || unmount::remove_tree(&dir)).await?;
        image::unmount_all(hands, uid).await
    }

    /// Uids that have a directory on the node.
    pub(crate) fn known(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root.join("pods")).into_iter().flatten().flatten();
        entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    }
}

#[cfg(test)]
mod tests;
