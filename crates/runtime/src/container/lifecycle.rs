//! Containers: create (files only), start, stop with grace, remove; and what shims tell about them.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::cgroup::Cgroup;
use super::compose::{self, Places};
use super::layout::{self, ContainerFile, now_ns};
use super::{Container, Core, Sandbox, blocking, container_directory, devices, errors, new_id};
use crate::cri::{ContainerConfig, Event, Mount, Propagation, Resources, RuntimeError};
use crate::shim::wire::{Answer, Call, Message, Record, Start};

/// How long after SIGKILL a process may take to be gone (it may sit in the kernel).
const KILL_WAIT: Duration = Duration::from_secs(30);

impl Core {
    /// Writes down a container and prepares its root; nothing runs yet.
    pub(super) async fn create_container(
        self: &Arc<Core>,
        sandbox_id: &str,
        config: ContainerConfig,
    ) -> Result<String, RuntimeError> {
        let sandbox = self.sandbox(sandbox_id)?;
        if sandbox.link.is_none() {
            return Err(RuntimeError::Internal(format!("sandbox container {sandbox_id:?} is not running")));
        }
        let core = self.clone();
        let container = blocking(move || core.write_container(&sandbox, config)).await?;
        let id = container.file.id.clone();
        self.index().containers.insert(id.clone(), container);
        Ok(id)
    }

    fn write_container(&self, sandbox: &Sandbox, mut config: ContainerConfig) -> Result<Container, RuntimeError> {
        let id = new_id()?;
        let directory = container_directory(&sandbox.directory, &id);
        let made = self.write_container_files(sandbox, &mut config, &id, &directory);
        if made.is_err() {
            let _ = fs::remove_dir_all(&directory);
            let _ = self.images.remove_rootfs(&id);
        }
        Ok(Container {
            file: Arc::new(made?),
            sandbox_id: sandbox.file.id.clone(),
            directory,
            record: Arc::new(watch::Sender::new(Record::default())),
        })
    }

    fn write_container_files(
        &self,
        sandbox: &Sandbox,
        config: &mut ContainerConfig,
        id: &str,
        directory: &Path,
    ) -> Result<ContainerFile, RuntimeError> {
        let invalid = RuntimeError::InvalidArgument;
        let rootfs = self.images.prepare_rootfs(&config.image_id, id)?;
        config.mounts.iter_mut().try_for_each(prepare_source)?;
        let devices = if config.security.privileged { devices::all() } else { Vec::new() };
        let requested = devices::requested(&config.devices).map_err(errors::io("look at devices"))?;
        let cgroup = format!("{}/{id}", sandbox.file.config.cgroup_parent);
        let places = Places {
            sandbox_directory: &sandbox.directory,
            rootfs: &rootfs,
            cgroup: &cgroup,
            devices: [requested, devices].concat(),
            apparmor_default: self.apparmor,
        };
        let spec = compose::compose(&sandbox.file.config, config, places).map_err(invalid)?;
        let stop_signal = compose::stop_signal(config, &rootfs.image_config).map_err(invalid)?;
        let file = ContainerFile { id: id.to_owned(), created_at_ns: now_ns(), config: config.clone(), stop_signal, cgroup };
        fs::create_dir(directory)
            .and_then(|()| layout::write(&directory.join(layout::SPEC), &spec))
            .and_then(|()| layout::write(&directory.join(layout::CONFIG), &file))
            .map_err(errors::io("write the container"))?;
        Ok(file)
    }

    /// Starts a created container; returns when its program runs.
    pub(super) async fn start_container(self: &Arc<Core>, id: &str) -> Result<(), RuntimeError> {
        let (container, link) = self.reach(id)?;
        let record = container.record.borrow().clone();
        if record != Record::default() {
            return Err(RuntimeError::StartContainer(format!("container {id:?} is not in created state")));
        }
        let sandbox = self.sandbox(&container.sandbox_id)?;
        let config = &container.file.config;
        let log = &sandbox.file.config.log_directory;
        let without_log = log.as_os_str().is_empty() || config.log_path.as_os_str().is_empty();
        let start = Start {
            container: id.to_owned(),
            log_path: if without_log { Default::default() } else { log.join(&config.log_path) },
            stdin: config.stdin,
            stdin_once: config.stdin_once,
            tty: config.tty,
            cgroup: container.file.cgroup.clone(),
            pid_mode: compose::pid_mode(&sandbox.file.config, config),
        };
        match link.call(Call::Start(start), &[]).await {
            Ok(reply) => {
                if let Answer::Started(record) = reply.answer {
                    self.set_started(id, record);
                }
                Ok(())
            }
            Err(failure) => {
                let error = errors::of_start(failure);
                self.record_failed_start(&container, &error);
                Err(error)
            }
        }
    }

    /// The shim wrote the same record when it got as far as a child; a failure before that is written here.
    fn record_failed_start(&self, container: &Container, error: &RuntimeError) {
        const START_FAILED: i32 = 128;
        let path = container.directory.join(layout::STATE);
        let record = layout::read(&path).unwrap_or_else(|_| Record {
            finished_at_ns: now_ns(),
            exit_code: START_FAILED,
            reason: "StartError".to_owned(),
            message: error.to_string(),
            ..Record::default()
        });
        // A state that cannot be written is still told; the next reader of the disk finds a container never started.
        let _ = layout::write(&path, &record);
        container.record.send_replace(record);
        self.tell_exited(container);
    }

    fn set_started(&self, id: &str, record: Record) {
        let Ok(container) = self.container(id) else { return };
        let changed = container.record.send_if_modified(|now| {
            // Its end may have been told first.
            let newer = now.started_at_ns == 0;
            if newer {
                *now = record;
            }
            newer
        });
        if changed {
            self.tell(Event::ContainerStarted { sandbox_id: container.sandbox_id, container_id: id.to_owned() });
        }
    }

    /// Takes in what a shim tells.
    pub(super) fn hear(&self, message: Message) {
        match message {
            Message::Started { container, record } => self.set_started(&container, record),
            Message::Exited { container, record } => {
                if let Ok(container) = self.container(&container) {
                    container.record.send_replace(record);
                    self.tell_exited(&container);
                }
            }
            Message::Answer { .. } | Message::ExecExited { .. } => {}
        }
    }

    /// Tells that a container has ended.
    pub(super) fn tell_exited(&self, container: &Container) {
        self.tell(Event::ContainerExited {
            sandbox_id: container.sandbox_id.clone(),
            container_id: container.file.id.clone(),
        });
    }

    /// Stop signal, grace, SIGKILL. Returns when it has ended.
    pub(super) async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), RuntimeError> {
        let Ok(container) = self.container(id) else { return Ok(()) };
        if !container.is_running() {
            return Ok(());
        }
        let Ok((_, link)) = self.reach(id) else { return Ok(()) };
        let mut record = container.record.subscribe();
        let kill = |signal, all| Call::Kill { container: id.to_owned(), signal, all };
        if !grace.is_zero() {
            let _ = link.call_soon(kill(container.file.stop_signal, false)).await;
            if tokio::time::timeout(grace, record.wait_for(|r| r.finished_at_ns != 0)).await.is_ok() {
                return Ok(());
            }
        }
        if link.call_soon(kill(libc::SIGKILL, true)).await.is_err() {
            // A shim that hangs cannot kill; what it would have killed is this group.
            Cgroup::at(&container.file.cgroup).kill();
        }
        match tokio::time::timeout(KILL_WAIT, record.wait_for(|r| r.finished_at_ns != 0)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(RuntimeError::Timeout { seconds: KILL_WAIT.as_secs() }),
        }
    }

    /// Forgets a container; kills it first when it still runs.
    pub(super) async fn remove_container(self: &Arc<Core>, id: &str) -> Result<(), RuntimeError> {
        let Ok(container) = self.container(id) else { return Ok(()) };
        self.stop_container(id, Duration::ZERO).await?;
        let (core, name) = (self.clone(), id.to_owned());
        blocking(move || {
            core.images.remove_rootfs(&name)?;
            let _ = Cgroup::at(&container.file.cgroup).remove();
            match fs::remove_dir_all(&container.directory) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(errors::io("remove the container")(e)),
                _ => Ok(()),
            }
        })
        .await?;
        self.index().containers.remove(id);
        Ok(())
    }

    /// New limits, for a running container at once, for all at the next look.
    pub(super) async fn update_resources(self: &Arc<Core>, id: &str, resources: Resources) -> Result<(), RuntimeError> {
        let container = self.container(id)?;
        let running = container.is_running();
        let mut file = ContainerFile::clone(&container.file);
        merge(&mut file.config.resources, resources.clone());
        let directory = container.directory.clone();
        let file = blocking(move || {
            if running {
                Cgroup::at(&file.cgroup).limit(&resources).map_err(errors::io("update the cgroup"))?;
            }
            let spec_path = directory.join(layout::SPEC);
            let mut spec: super::spec::Spec = layout::read(&spec_path).map_err(errors::io("read the spec"))?;
            spec.cgroup.resources = file.config.resources.clone();
            layout::write(&spec_path, &spec)
                .and_then(|()| layout::write(&directory.join(layout::CONFIG), &file))
                .map_err(errors::io("write the container"))?;
            Ok(file)
        })
        .await?;
        if let Some(entry) = self.index().containers.get_mut(id) {
            entry.file = Arc::new(file);
        }
        Ok(())
    }
}

/// What is given replaces what was.
fn merge(old: &mut Resources, new: Resources) {
    fn set<T>(old: &mut Option<T>, new: Option<T>) {
        if new.is_some() {
            *old = new;
        }
    }
    set(&mut old.cpu_shares, new.cpu_shares);
    set(&mut old.cpu_quota_us, new.cpu_quota_us);
    set(&mut old.cpu_period_us, new.cpu_period_us);
    set(&mut old.memory_limit_bytes, new.memory_limit_bytes);
    set(&mut old.pids_limit, new.pids_limit);
    set(&mut old.oom_score_adj, new.oom_score_adj);
    set(&mut old.cpuset_cpus, new.cpuset_cpus);
    old.hugepages_bytes.extend(new.hugepages_bytes);
}

/// A bind source that does not exist becomes a directory, and links in it are followed now.
fn prepare_source(mount: &mut Mount) -> Result<(), RuntimeError> {
    let source = &mount.host_path;
    let fail = |e| errors::io(format!("failed to mkdir {:?}", source.display().to_string()))(e);
    if !source.exists() {
        fs::create_dir_all(source).map_err(fail)?;
    }
    mount.host_path = source.canonicalize().map_err(fail)?;
    let mountinfo = || fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    match mount.propagation {
        Propagation::Private => Ok(()),
        Propagation::HostToContainer => check_propagation(&mountinfo(), &mount.host_path, &["shared:", "master:"], "shared or slave"),
        Propagation::Bidirectional => check_propagation(&mountinfo(), &mount.host_path, &["shared:"], "shared"),
    }
}

/// A mount only travels when the one it is on is of a kind that lets it.
fn check_propagation(mountinfo: &str, path: &Path, kinds: &[&str], words: &str) -> Result<(), RuntimeError> {
    let found = mountinfo
        .lines()
        .filter_map(|line| {
            let (left, _) = line.split_once(" - ")?;
            let mut fields = left.split(' ').skip(4);
            let point = fields.next()?;
            Some((point, fields.skip(1).any(|field| kinds.iter().any(|kind| field.starts_with(kind)))))
        })
        .filter(|(point, _)| path.starts_with(point))
        .max_by_key(|(point, _)| point.len());
    match found {
        Some((point, false)) => Err(RuntimeError::InvalidArgument(format!(
            "path {:?} is mounted on {point:?} but it is not a {words} mount",
            path.display().to_string()
        ))),
        _ => Ok(()),
    }
}
