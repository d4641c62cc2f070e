//! Between the brain's plans and the runtime's words, field by field.

use jiff::Timestamp;
use pods::plan::container::{Propagation, annotation};
use pods::plan::sandbox::{Sharing, label};
use pods::plan::security::Confinement;
use pods::plan::{ContainerPlan, Limits, SandboxPlan, SecurityPlan};
use pods::view::UserView;
use pods::{ContainerView, ImageFacts, RunState, SandboxView};
use runtime::cri;
use std::path::PathBuf;

pub(crate) fn resources(l: &Limits) -> cri::Resources {
    cri::Resources {
        cpu_shares: l.cpu_shares,
        cpu_quota_us: l.cpu_quota_us,
        cpu_period_us: l.cpu_period_us,
        memory_limit_bytes: l.memory_bytes,
        pids_limit: None,
        oom_score_adj: l.oom_score_adj,
        cpuset_cpus: None,
        hugepages_bytes: l.hugepages_bytes.clone(),
    }
}

/// Limits that take the place of others: those that are not there any more are lifted.
pub(crate) fn replaced(l: &Limits) -> cri::Resources {
    const NONE: i64 = -1;
    let all = resources(l);
    cri::Resources {
        cpu_quota_us: all.cpu_quota_us.or(Some(NONE)),
        memory_limit_bytes: all.memory_limit_bytes.or(Some(NONE)),
        ..all
    }
}

fn sharing(s: &Sharing, target: Option<String>) -> cri::NamespaceMode {
    match s {
        Sharing::Pod => cri::NamespaceMode::Pod,
        Sharing::Container => cri::NamespaceMode::Container,
        Sharing::Node => cri::NamespaceMode::Node,
        Sharing::Target(_) => target.map_or(cri::NamespaceMode::Container, cri::NamespaceMode::Target),
    }
}

pub(crate) fn sandbox(p: &SandboxPlan, netns: Option<PathBuf>, userns: Option<(u32, u32)>) -> cri::SandboxConfig {
    cri::SandboxConfig {
        name: p.name.clone(),
        namespace: p.namespace.clone(),
        uid: p.uid.clone(),
        attempt: p.attempt,
        hostname: p.hostname.clone(),
        resolv_conf: Some(p.resolv_conf.clone()),
        log_directory: PathBuf::from(&p.log_directory),
        netns,
        pid_mode: sharing(&p.pid, None),
        ipc_mode: sharing(&p.ipc, None),
        userns,
        cgroup_parent: p.cgroup_parent.clone(),
        resources: resources(&p.limits),
        sysctls: p.sysctls.clone(),
        labels: p.labels.clone(),
        annotations: p.annotations.clone(),
    }
}

fn profile(c: &Confinement, root: &str) -> cri::Profile {
    match c {
        Confinement::RuntimeDefault => cri::Profile::RuntimeDefault,
        Confinement::Unconfined => cri::Profile::Unconfined,
        Confinement::Localhost(name) => cri::Profile::Localhost(format!("{root}{name}")),
    }
}

fn security(s: &SecurityPlan, root_dir: &str) -> cri::Security {
    cri::Security {
        privileged: s.privileged,
        add_capabilities: s.add_capabilities.clone(),
        drop_capabilities: s.drop_capabilities.clone(),
        run_as_user: s.run_as_user,
        run_as_group: s.run_as_group,
        run_as_username: s.run_as_username.clone(),
        supplemental_groups: s.supplemental_groups.clone(),
        supplemental_groups_strict: s.supplemental_groups_strict,
        readonly_rootfs: s.readonly_rootfs,
        no_new_privs: s.no_new_privs,
        seccomp: profile(&s.seccomp, &format!("{root_dir}/seccomp/")),
        apparmor: profile(&s.apparmor, ""),
        unmasked_proc: s.unmasked_proc,
    }
}

pub(crate) fn container(p: &ContainerPlan, mounts: Vec<cri::Mount>, target: Option<String>, root_dir: &str) -> cri::ContainerConfig {
    cri::ContainerConfig {
        name: p.name.clone(),
        attempt: p.attempt,
        image_id: p.image_id.clone(),
        image_ref: p.image_ref.clone(),
        command: p.command.clone(),
        args: p.args.clone(),
        working_dir: p.working_dir.clone(),
        envs: p.envs.clone(),
        mounts,
        devices: Vec::new(),
        log_path: PathBuf::from(&p.log_path),
        stdin: p.stdin,
        stdin_once: p.stdin_once,
        tty: p.tty,
        resources: resources(&p.limits),
        security: security(&p.security, root_dir),
        pid_mode: sharing(&p.pid, target),
        stop_signal: p.stop_signal.clone(),
        labels: p.labels.clone(),
        annotations: p.annotations.clone(),
    }
}

pub(crate) fn propagation(p: Propagation) -> cri::Propagation {
    match p {
        Propagation::Private => cri::Propagation::Private,
        Propagation::HostToContainer => cri::Propagation::HostToContainer,
        Propagation::Bidirectional => cri::Propagation::Bidirectional,
    }
}

pub(crate) fn instant(ns: i64) -> Option<Timestamp> {
    (ns > 0).then(|| Timestamp::from_nanosecond(i128::from(ns)).ok()).flatten()
}

/// A container's view. `message` is its last words, where it has any.
pub(crate) fn container_view(s: &cri::ContainerStatus, message: Option<String>) -> ContainerView {
    let note = |key: &str| s.annotations.get(key).cloned().unwrap_or_default();
    ContainerView {
        id: s.id.clone(),
        sandbox_id: s.sandbox_id.clone(),
        name: s.labels.get(label::CONTAINER_NAME).cloned().unwrap_or_else(|| s.name.clone()),
        attempt: s.attempt,
        state: match s.state {
            cri::ContainerState::Created => RunState::Created,
            cri::ContainerState::Running => RunState::Running,
            cri::ContainerState::Exited => RunState::Exited,
            cri::ContainerState::Unknown => RunState::Unknown,
        },
        created_at: instant(s.created_at_ns).unwrap_or_default(),
        started_at: instant(s.started_at_ns),
        finished_at: instant(s.finished_at_ns),
        exit_code: s.exit_code,
        signal: s.signal,
        reason: s.reason.clone(),
        message: message.unwrap_or_else(|| s.message.clone()),
        image_id: Some(note(annotation::IMAGE_ID)).filter(|i| !i.is_empty()).unwrap_or_else(|| s.image_id.clone()),
        image: Some(note(annotation::IMAGE)).filter(|i| !i.is_empty()).unwrap_or_else(|| s.image_ref.clone()),
        spec_hash: note(annotation::HASH),
        user: s.user.clone().map(|(uid, gid, groups)| UserView { uid, gid, groups }),
    }
}

pub(crate) fn sandbox_view(s: &cri::SandboxStatus, ips: Vec<String>) -> SandboxView {
    SandboxView {
        id: s.id.clone(),
        attempt: s.attempt,
        ready: s.state == cri::SandboxState::Ready,
        created_at: instant(s.created_at_ns).unwrap_or_default(),
        ips,
    }
}

/// What a pod's container needs to know of an image that was asked for as `asked`.
pub(crate) fn image_facts(i: &cri::ImageStatus, asked: &str) -> ImageFacts {
    let repository = asked.split('@').next().unwrap_or(asked);
    let tagged = i.repo_tags.iter().find(|t| *t == asked || t.ends_with(&format!("/{asked}")));
    let stem = tagged.map(String::as_str).unwrap_or(repository);
    let stem = stem.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(stem, |(s, _)| s);
    let digest = i.repo_digests.iter().find(|d| d.starts_with(&format!("{stem}@"))).or_else(|| i.repo_digests.first());
    ImageFacts {
        id: i.id.clone(),
        shown_id: digest.cloned().unwrap_or_else(|| i.id.clone()),
        shown_name: tagged.cloned().unwrap_or_else(|| asked.to_owned()),
        size_bytes: i.size_bytes,
        uid: i.uid,
        username: i.username.clone(),
    }
}
