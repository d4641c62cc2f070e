//! The containers of a pod in one shape: init, sidecar, app and ephemeral.

use kinds::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec};
use kinds::pod::is_sidecar;

/// What a container is to its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Init,
    Sidecar,
    App,
    Ephemeral,
}

/// The spec; pods without one do not pass validation.
#[must_use]
pub fn spec(pod: &Pod) -> &PodSpec {
    pod.spec.as_ref().expect("validation requires a spec")
}

/// Init containers (sidecars included), in order.
pub fn init(pod: &Pod) -> impl DoubleEndedIterator<Item = &Container> {
    spec(pod).init_containers.iter().flatten()
}

/// App containers, in order.
pub fn apps(pod: &Pod) -> impl DoubleEndedIterator<Item = &Container> {
    spec(pod).containers.iter()
}

/// Ephemeral containers, in order, as containers.
pub fn ephemeral(pod: &Pod) -> impl Iterator<Item = Container> {
    spec(pod).ephemeral_containers.iter().flatten().map(as_container)
}

/// The container of that name and its role.
#[must_use]
pub fn find(pod: &Pod, name: &str) -> Option<(Role, Container)> {
    let init = init(pod).find(|c| c.name == name);
    if let Some(c) = init {
        return Some((if is_sidecar(c) { Role::Sidecar } else { Role::Init }, c.clone()));
    }
    if let Some(c) = apps(pod).find(|c| c.name == name) {
        return Some((Role::App, c.clone()));
    }
    ephemeral(pod).find(|c| c.name == name).map(|c| (Role::Ephemeral, c))
}

/// Every container's name.
pub fn names(pod: &Pod) -> impl Iterator<Item = &str> {
    let s = spec(pod);
    let init = s.init_containers.iter().flatten().map(|c| c.name.as_str());
    let ephemeral = s.ephemeral_containers.iter().flatten().map(|c| c.name.as_str());
    init.chain(s.containers.iter().map(|c| c.name.as_str())).chain(ephemeral)
}

/// The pod's uid.
#[must_use]
pub fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// The pod's namespace.
#[must_use]
pub fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// The pod's name.
#[must_use]
pub fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// An ephemeral container has the fields of a container, but for its target.
#[must_use]
pub fn as_container(e: &EphemeralContainer) -> Container {
    Container {
        name: e.name.clone(),
        image: e.image.clone(),
        command: e.command.clone(),
        args: e.args.clone(),
        working_dir: e.working_dir.clone(),
        env: e.env.clone(),
        env_from: e.env_from.clone(),
        resources: e.resources.clone(),
        volume_mounts: e.volume_mounts.clone(),
        termination_message_path: e.termination_message_path.clone(),
        termination_message_policy: e.termination_message_policy.clone(),
        image_pull_policy: e.image_pull_policy.clone(),
        security_context: e.security_context.clone(),
        stdin: e.stdin,
        stdin_once: e.stdin_once,
        tty: e.tty,
        ..Container::default()
    }
}
