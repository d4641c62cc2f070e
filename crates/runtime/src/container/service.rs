//! [`ContainerRuntime`] for [`Embedded`]: each verb handed to where it is done, records turned into statuses.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::sync::broadcast;

use super::cgroup::Cgroup;
use super::{Container, Core, Embedded, Sandbox, blocking, errors};
use crate::cri::{
    Auth, ContainerConfig, ContainerRuntime, ContainerState, ContainerStatus, Event, ExecOutput, ExecRequest, Fut,
    ImageStatus, Resources, RuntimeError, SandboxConfig, SandboxState, SandboxStatus, Streams, Usage,
};
use crate::shim::wire::Call;

impl ContainerRuntime for Embedded {
    fn version(&self) -> (String, String) {
        ("timonel".to_owned(), env!("CARGO_PKG_VERSION").to_owned())
    }

    fn run_sandbox(&self, config: SandboxConfig) -> Fut<'_, Result<String, RuntimeError>> {
        Box::pin(self.core.run_sandbox(config))
    }

    fn stop_sandbox<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), RuntimeError>> {
        Box::pin(self.core.stop_sandbox(id))
    }

    fn remove_sandbox<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), RuntimeError>> {
        Box::pin(self.core.remove_sandbox(id))
    }

    fn sandboxes(&self) -> Fut<'_, Result<Vec<SandboxStatus>, RuntimeError>> {
        let list = self.core.index().sandboxes.values().map(sandbox_status).collect();
        Box::pin(std::future::ready(Ok(list)))
    }

    fn create_container<'a>(&'a self, sandbox_id: &'a str, config: ContainerConfig) -> Fut<'a, Result<String, RuntimeError>> {
        Box::pin(self.core.create_container(sandbox_id, config))
    }

    fn start_container<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), RuntimeError>> {
        Box::pin(self.core.start_container(id))
    }

    fn stop_container<'a>(&'a self, id: &'a str, grace_s: u64) -> Fut<'a, Result<(), RuntimeError>> {
        Box::pin(self.core.stop_container(id, Duration::from_secs(grace_s)))
    }

    fn remove_container<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), RuntimeError>> {
        Box::pin(self.core.remove_container(id))
    }

    fn update_sandbox<'a>(&'a self, id: &'a str, resources: Resources) -> Fut<'a, Result<(), RuntimeError>> {
        Box::pin(self.core.update_sandbox(id, resources))
    }
    fn update_resources<'a>(&'a self, id: &'a str, resources: Resources) -> Fut<'a, Result<(), RuntimeError>> {
        Box::pin(self.core.update_resources(id, resources))
    }

    fn containers(&self) -> Fut<'_, Result<Vec<ContainerStatus>, RuntimeError>> {
        let containers: Vec<Container> = self.core.index().containers.values().cloned().collect();
        let list = containers.iter().map(|container| self.core.container_status(container)).collect();
        Box::pin(std::future::ready(Ok(list)))
    }

    fn container<'a>(&'a self, id: &'a str) -> Fut<'a, Result<ContainerStatus, RuntimeError>> {
        let found = self.core.container(id).map(|container| self.core.container_status(&container));
        Box::pin(std::future::ready(found))
    }

    fn reopen_log<'a>(&'a self, id: &'a str) -> Fut<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            let (_, link) = self.core.reach(id)?;
            let call = Call::ReopenLog { container: id.to_owned() };
            link.call_soon(call).await.map(|_| ()).map_err(errors::of_call)
        })
    }

    fn exec_sync<'a>(
        &'a self,
        id: &'a str,
        command: Vec<String>,
        timeout_s: Option<u64>,
    ) -> Fut<'a, Result<ExecOutput, RuntimeError>> {
        Box::pin(self.core.exec_sync(id, command, timeout_s.map(Duration::from_secs)))
    }

    fn exec(&self, request: ExecRequest, streams: Streams) -> Fut<'_, Result<i32, RuntimeError>> {
        Box::pin(self.core.exec(request, streams))
    }

    fn attach<'a>(&'a self, id: &'a str, streams: Streams) -> Fut<'a, Result<(), RuntimeError>> {
        Box::pin(self.core.attach(id, streams))
    }

    fn port_forward<'a>(&'a self, sandbox_id: &'a str, port: u16, stream: DuplexStream) -> Fut<'a, Result<(), RuntimeError>> {
        Box::pin(self.core.port_forward(sandbox_id, port, stream))
    }

    fn sandbox_usage<'a>(&'a self, id: &'a str) -> Fut<'a, Result<Usage, RuntimeError>> {
        Box::pin(async move {
            let (sandbox, core) = (self.core.sandbox(id)?, self.core.clone());
            let id = id.to_owned();
            blocking(move || {
                let mut usage = Cgroup::at(&sandbox.file.config.cgroup_parent).usage();
                let pid = core.index().containers.values().filter(|c| c.sandbox_id == id && c.is_running()).map(|c| c.record.borrow().pid).next();
                if let (Some(pid), true) = (pid, sandbox.file.config.netns.is_some()) {
                    usage.interfaces = crate::cri::interfaces(&std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default());
                }
                Ok(usage)
            })
            .await
        })
    }

    fn container_usage<'a>(&'a self, id: &'a str) -> Fut<'a, Result<Usage, RuntimeError>> {
        Box::pin(async move {
            let (container, core) = (self.core.container(id)?, self.core.clone());
            blocking(move || {
                let mut usage = Cgroup::at(&container.file.cgroup).usage();
                let written = core.images.rootfs_usage(&container.file.id)?;
                (usage.rootfs_used_bytes, usage.rootfs_inodes_used) = (written.bytes, written.inodes);
                Ok(usage)
            })
            .await
        })
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.core.events.subscribe()
    }

    fn image<'a>(&'a self, reference: &'a str) -> Fut<'a, Result<Option<ImageStatus>, RuntimeError>> {
        Box::pin(std::future::ready(self.core.images.image_status(reference)))
    }

    fn images(&self) -> Fut<'_, Result<Vec<ImageStatus>, RuntimeError>> {
        Box::pin(std::future::ready(Ok(self.core.images.list())))
    }

    fn pull_image<'a>(&'a self, reference: &'a str, auth: Option<Auth>) -> Fut<'a, Result<String, RuntimeError>> {
        Box::pin(self.core.images.pull_image(reference, auth))
    }

    fn remove_image<'a>(&'a self, reference: &'a str) -> Fut<'a, Result<(), RuntimeError>> {
        Box::pin(self.core.images.remove_image(reference))
    }

    fn mount_image<'a>(&'a self, reference: &'a str, key: &'a str, target: &'a Path) -> Fut<'a, Result<(), RuntimeError>> {
        let (images, reference, key, target) = (self.core.images.clone(), reference.to_owned(), key.to_owned(), target.to_owned());
        Box::pin(blocking(move || Ok(images.mount_volume(&reference, &key, &target)?)))
    }

    fn unmount_images<'a>(&'a self, prefix: &'a str) -> Fut<'a, Result<(), RuntimeError>> {
        let (images, prefix) = (self.core.images.clone(), prefix.to_owned());
        Box::pin(blocking(move || Ok(images.unmount_volumes(&prefix)?)))
    }

    fn image_fs(&self) -> Fut<'_, Result<(u64, u64, PathBuf), RuntimeError>> {
        Box::pin(self.core.images.image_fs())
    }
}

fn sandbox_status(sandbox: &Sandbox) -> SandboxStatus {
    let config = &sandbox.file.config;
    SandboxStatus {
        id: sandbox.file.id.clone(),
        name: config.name.clone(),
        namespace: config.namespace.clone(),
        uid: config.uid.clone(),
        attempt: config.attempt,
        state: if sandbox.link.is_some() { SandboxState::Ready } else { SandboxState::NotReady },
        created_at_ns: sandbox.file.created_at_ns,
        pid: sandbox.link.as_ref().and_then(|link| link.pid()),
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
    }
}

impl Core {
    fn container_status(&self, container: &Container) -> ContainerStatus {
        let record = container.record.borrow().clone();
        let config = &container.file.config;
        let state = match (record.started_at_ns, record.finished_at_ns) {
            (0, 0) => ContainerState::Created,
            (_, 0) => ContainerState::Running,
            _ => ContainerState::Exited,
        };
        let log_directory = self.sandbox(&container.sandbox_id).map(|s| s.file.config.log_directory).unwrap_or_default();
        ContainerStatus {
            id: container.file.id.clone(),
            sandbox_id: container.sandbox_id.clone(),
            name: config.name.clone(),
            attempt: config.attempt,
            state,
            created_at_ns: container.file.created_at_ns,
            started_at_ns: record.started_at_ns,
            finished_at_ns: record.finished_at_ns,
            exit_code: record.exit_code,
            signal: record.signal,
            reason: record.reason,
            message: record.message,
            image_id: config.image_id.clone(),
            image_ref: config.image_ref.clone(),
            log_path: log_directory.join(&config.log_path),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            pid: (state == ContainerState::Running).then(|| u32::try_from(record.pid).ok()).flatten(),
            resources: config.resources.clone(),
            user: record.identity.map(|id| {
                (i64::from(id.uid), i64::from(id.gid), id.groups.into_iter().map(i64::from).collect())
            }),
        }
    }
}
