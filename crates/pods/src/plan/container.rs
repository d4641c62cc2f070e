//! One container as the runtime is to make it.

use super::downward::Addresses;
use super::env::{self, Env};
use super::network;
use super::resources::{self, Limits};
use super::sandbox::{self, Sharing, label};
use super::security::{self, SecurityPlan};
use super::{mounts, volume::VolumePlan};
use crate::facts::{Facts, World};
use crate::roster;
use crate::text::expand;
use crate::view::ImageFacts;
use kinds::api::core::v1::{Container, Pod};
use std::collections::BTreeMap;

/// How mounts below a bind mount travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    #[default]
    Private,
    HostToContainer,
    Bidirectional,
}

/// A path below a volume, to be resolved without leaving it; created when it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubPath {
    pub volume: String,
    pub path: String,
    pub create: bool,
}

/// A bind mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPlan {
    pub container_path: String,
    pub host_path: String,
    pub sub_path: Option<SubPath>,
    pub readonly: bool,
    pub recursive_readonly: bool,
    pub propagation: Propagation,
}

/// Where a container leaves its last words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminationLog {
    pub host_path: String,
    /// Without words and with an error, the end of the log counts.
    pub fall_back_to_logs: bool,
}

/// Annotations on containers by which the node knows again what it made.
pub mod annotation {
    pub const HASH: &str = "io.kubernetes.container.hash";
    pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
    pub const TERMINATION_PATH: &str = "io.timonel.terminationMessageFile";
    pub const TERMINATION_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
    pub const IMAGE_ID: &str = "io.timonel.imageID";
    pub const IMAGE: &str = "io.timonel.image";
}

/// The container to make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerPlan {
    pub name: String,
    pub attempt: u32,
    pub image_id: String,
    pub image_ref: String,
    pub command: Vec<String>,
    pub args: Vec<String>,
    pub working_dir: String,
    pub envs: Env,
    pub mounts: Vec<MountPlan>,
    /// The managed `/etc/hosts`: (file on the node, its content).
    pub hosts_file: Option<(String, String)>,
    pub termination_log: Option<TerminationLog>,
    /// Relative to the sandbox's log directory.
    pub log_path: String,
    pub stdin: bool,
    pub stdin_once: bool,
    pub tty: bool,
    pub limits: Limits,
    pub security: SecurityPlan,
    pub pid: Sharing,
    pub stop_signal: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// What a container is planned from.
pub struct Ask<'a> {
    pub pod: &'a Pod,
    pub container: &'a Container,
    pub attempt: u32,
    pub image: &'a ImageFacts,
    pub pod_ips: &'a [String],
    pub volumes: &'a [VolumePlan],
    pub facts: &'a Facts,
    pub world: &'a dyn World,
}

/// Changes when the container must be made anew: of its name and image.
#[must_use]
pub fn spec_hash(c: &Container) -> String {
    kinds::hash::content_hash(&(&c.name, &c.image), None)
}

const HOSTS_PATH: &str = "/etc/hosts";
const TERMINATION_PATH: &str = "/dev/termination-log";

fn pid_of(ask: &Ask<'_>) -> Sharing {
    let ephemeral = roster::spec(ask.pod).ephemeral_containers.iter().flatten().find(|e| e.name == ask.container.name);
    match ephemeral.and_then(|e| e.target_container_name.clone()).filter(|t| !t.is_empty()) {
        Some(target) => Sharing::Target(target),
        None => sandbox::pid_sharing(roster::spec(ask.pod)),
    }
}

fn bind(container_path: &str, host_path: &str) -> MountPlan {
    MountPlan {
        container_path: container_path.to_owned(),
        host_path: host_path.to_owned(),
        sub_path: None,
        readonly: false,
        recursive_readonly: false,
        propagation: Propagation::Private,
    }
}

impl Ask<'_> {
    fn termination_log(&self) -> TerminationLog {
        let c = self.container;
        let dir = format!("{}/containers/{}", self.facts.pod_dir(roster::uid(self.pod)), c.name);
        TerminationLog {
            host_path: format!("{dir}/{}", self.attempt),
            fall_back_to_logs: c.termination_message_policy.as_deref() == Some("FallbackToLogsOnError"),
        }
    }

    fn annotations(&self, log: &TerminationLog) -> BTreeMap<String, String> {
        let policy = if log.fall_back_to_logs { "FallbackToLogsOnError" } else { "File" };
        [
            (annotation::HASH, spec_hash(self.container)),
            (annotation::RESTART_COUNT, self.attempt.to_string()),
            (annotation::TERMINATION_PATH, log.host_path.clone()),
            (annotation::TERMINATION_POLICY, policy.to_owned()),
            (annotation::IMAGE_ID, self.image.shown_id.clone()),
            (annotation::IMAGE, self.image.shown_name.clone()),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v))
        .collect()
    }

    /// The container.
    ///
    /// # Errors
    /// The message of a `CreateContainerConfigError`.
    pub fn plan(&self) -> Result<ContainerPlan, String> {
        let (pod, c, facts) = (self.pod, self.container, self.facts);
        let addresses = Addresses { pod_ips: self.pod_ips };
        let envs = env::environment(pod, c, &addresses, facts, self.world)?;
        let vars: BTreeMap<String, String> = envs.iter().cloned().collect();
        let expanded = |list: &Option<Vec<String>>| list.iter().flatten().map(|s| expand(s, &vars)).collect::<Vec<_>>();
        let mut binds = mounts::volumes(c, self.volumes, &envs)?;
        let mut hosts_file = None;
        if !binds.iter().any(|m| m.container_path == HOSTS_PATH) {
            let path = format!("{}/etc-hosts", facts.pod_dir(roster::uid(pod)));
            let name = network::hostname(pod, facts)?;
            binds.push(bind(HOSTS_PATH, &path));
            hosts_file = Some((path, network::hosts(pod, facts, &name, self.pod_ips)));
        }
        let log = self.termination_log();
        binds.push(bind(c.termination_message_path.as_deref().unwrap_or(TERMINATION_PATH), &log.host_path));
        let mut labels = sandbox::labels(pod);
        labels.insert(label::CONTAINER_NAME.to_owned(), c.name.clone());
        Ok(ContainerPlan {
            name: c.name.clone(),
            attempt: self.attempt,
            image_id: self.image.id.clone(),
            image_ref: c.image.clone().unwrap_or_default(),
            command: expanded(&c.command),
            args: expanded(&c.args),
            working_dir: c.working_dir.clone().unwrap_or_default(),
            envs,
            mounts: binds,
            hosts_file,
            annotations: self.annotations(&log),
            termination_log: Some(log),
            log_path: format!("{}/{}.log", c.name, self.attempt),
            stdin: c.stdin == Some(true),
            stdin_once: c.stdin_once == Some(true),
            tty: c.tty == Some(true),
            limits: resources::container(pod, c, facts),
            security: security::resolve(pod, c, self.image)?,
            pid: pid_of(self),
            stop_signal: c.lifecycle.as_ref().and_then(|l| l.stop_signal.clone()),
            labels,
        })
    }
}
