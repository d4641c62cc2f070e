//! Finding everything again: after a restart from the directories and the shims' sockets; after the death of a shim from
//! its containers' control groups.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::sync::{broadcast, watch};

use super::cgroup::Cgroup;
use super::layout::{self, ContainerFile, SandboxFile, now_ns};
use super::link::Link;
use super::{Container, Core, EVENT_BACKLOG, Embedded, EmbeddedConfig, Index, Sandbox, apparmor, blocking, errors};
use crate::cri::RuntimeError;
use crate::image::ImageStore;
use crate::shim::Zygote;
use crate::shim::wire::Record;

/// Exit code of a container whose end nobody saw.
const UNKNOWN_EXIT: i32 = 255;

impl Embedded {
    /// Opens the runtime on its directory: pods that run go on, pods that died meanwhile are recorded so. Must be called
    /// inside a tokio runtime with I/O and time enabled.
    pub async fn open(config: EmbeddedConfig, images: ImageStore) -> Result<Embedded, RuntimeError> {
        let core = Arc::new(Core {
            zygote: Zygote::new(config.shim_program.clone()),
            config,
            images,
            index: Mutex::new(Index::default()),
            events: broadcast::Sender::new(EVENT_BACKLOG),
            apparmor: apparmor::load_default(),
        });
        let preparing = core.clone();
        blocking(move || {
            let pods = preparing.pods_dir();
            // Specs hold the values of secrets: for root alone.
            let make = fs::DirBuilder::new().recursive(true).mode(0o700).create(&pods);
            make.map_err(errors::io(format!("create {}", pods.display())))?;
            preparing.zygote.warm().map_err(errors::io("start the zygote"))
        })
        .await?;
        core.find_all().await?;
        Ok(Embedded { core })
    }
}

impl Core {
    async fn find_all(self: &Arc<Core>) -> Result<(), RuntimeError> {
        let pods = self.pods_dir();
        for directory in entries(&pods) {
            let Ok(file) = layout::read::<SandboxFile>(&directory.join(layout::SANDBOX)) else {
                // Cut off before its first file was whole: nothing was started.
                let _ = fs::remove_dir_all(&directory);
                continue;
            };
            self.find_sandbox(file, directory).await;
        }
        let known = self.index().containers.keys().cloned().collect::<Vec<_>>();
        let core = self.clone();
        blocking(move || {
            for orphan in core.images.rootfs_ids().into_iter().filter(|id| !known.contains(id) && !id.starts_with("volume-")) {
                core.images.remove_rootfs(&orphan)?;
            }
            Ok(())
        })
        .await
    }

    async fn find_sandbox(self: &Arc<Core>, file: SandboxFile, directory: PathBuf) {
        // Connect before reading states: an end between the two is then told.
        let link = if file.stopped { None } else { Link::connect(&directory).ok() };
        let id = file.id.clone();
        {
            let mut index = self.index();
            for directory in entries(&directory.join(layout::CONTAINERS)) {
                let Ok(container) = layout::read::<ContainerFile>(&directory.join(layout::CONFIG)) else {
                    let _ = fs::remove_dir_all(&directory);
                    continue;
                };
                let record: Record = layout::read(&directory.join(layout::STATE)).unwrap_or_default();
                let entry = Container {
                    file: Arc::new(container),
                    sandbox_id: id.clone(),
                    directory,
                    record: Arc::new(watch::Sender::new(record)),
                };
                index.containers.insert(entry.file.id.clone(), entry);
            }
            index.sandboxes.insert(id.clone(), Sandbox { file, directory, link: link.clone() });
        }
        match link {
            Some(link) => self.listen(id, link),
            None => self.shim_ended(&id).await,
        }
    }

    /// A shim is gone: what it held is killed and recorded. After an orderly stop nothing is left to do.
    pub(super) async fn shim_ended(self: &Arc<Core>, id: &str) {
        let (core, sandbox_id) = (self.clone(), id.to_owned());
        let result = blocking(move || {
            let lost: Vec<Container> = {
                let index = core.index();
                index.containers.values().filter(|c| c.sandbox_id == sandbox_id && c.is_running()).cloned().collect()
            };
            for container in lost {
                core.bury(&container);
            }
            core.mark_stopped(&sandbox_id).map(|_| ())
        })
        .await;
        if let Err(e) = result {
            tracing::warn!(sandbox = id, "cannot record the end of a sandbox: {e}");
        }
    }

    fn bury(&self, container: &Container) {
        let group = Cgroup::at(&container.file.cgroup);
        group.kill();
        let now = container.record.borrow().clone();
        // The shim may have recorded an end that it could not tell any more.
        let on_disk: Option<Record> = layout::read(&container.directory.join(layout::STATE)).ok();
        let record = on_disk.filter(|r| r.finished_at_ns != 0).unwrap_or_else(|| Record {
            finished_at_ns: now_ns(),
            exit_code: UNKNOWN_EXIT,
            reason: "Unknown".to_owned(),
            message: "the pod's shim ended unexpectedly".to_owned(),
            ..now
        });
        let _ = layout::write(&container.directory.join(layout::STATE), &record);
        container.record.send_replace(record);
        self.tell_exited(container);
        let _ = group.remove();
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).map(|list| list.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}
