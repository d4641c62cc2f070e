//! From what the kubelet and the image say to a [`Spec`]: pure but for looking at the node's devices, which are an argument.
//! Defaults are those of the CRI's common implementation: environment, capabilities, masked paths, stop signal.

use std::path::{Path, PathBuf};

use super::capability;
use super::spec::{CgroupSpec, DeviceNode, Root, Seccomp, Spec, UserSpec};
use crate::cri::{ContainerConfig, Mount, NamespaceMode, Profile, Propagation, SandboxConfig};
use crate::image::{ImageConfig, Rootfs};

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Hidden from containers (`procMount: Default`).
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// Readable only.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Where things of this container and its pod are.
pub(crate) struct Places<'a> {
    pub(crate) sandbox_directory: &'a Path,
    pub(crate) rootfs: &'a Rootfs,
    /// The container's group, below each hierarchy's root.
    pub(crate) cgroup: &'a str,
    /// Devices to pass through: of the config, or all of the node's for a privileged container.
    pub(crate) devices: Vec<DeviceNode>,
    /// The profile that `RuntimeDefault` means for AppArmor here; `None`: the kernel has no AppArmor.
    pub(crate) apparmor_default: Option<&'a str>,
}

/// Puts a container's spec together.
pub(crate) fn compose(sandbox: &SandboxConfig, config: &ContainerConfig, places: Places<'_>) -> Result<Spec, String> {
    let image = &places.rootfs.image_config;
    let security = &config.security;
    let masks = !security.privileged && !security.unmasked_proc;
    let paths = |list: &[&str]| if masks { list.iter().map(|p| (*p).to_owned()).collect() } else { Vec::new() };
    Ok(Spec {
        argv: argv(config, image)?,
        env: environment(sandbox, config, image),
        cwd: working_directory(config, image),
        tty: config.tty,
        root: Root {
            lowerdirs: places.rootfs.lowerdirs.clone(),
            upper: places.rootfs.upper.clone(),
            work: places.rootfs.work.clone(),
            merged: places.rootfs.merged.clone(),
            readonly: security.readonly_rootfs,
        },
        binds: binds(config, places.sandbox_directory),
        devices: places.devices,
        cgroup: CgroupSpec { path: places.cgroup.to_owned(), resources: config.resources.clone() },
        pid_mode: pid_mode(sandbox, config),
        host_ipc: sandbox.ipc_mode == NamespaceMode::Node,
        privileged: security.privileged,
        user: user(config, image)?,
        capabilities: capability::compute(security.privileged, &security.add_capabilities, &security.drop_capabilities)?,
        no_new_privs: security.no_new_privs,
        seccomp: match &security.seccomp {
            _ if security.privileged => Seccomp::Unconfined,
            Profile::RuntimeDefault => Seccomp::Default,
            Profile::Unconfined => Seccomp::Unconfined,
            Profile::Localhost(path) => Seccomp::File(PathBuf::from(path)),
        },
        apparmor: apparmor(config, places.apparmor_default)?,
        masked_paths: paths(&MASKED),
        readonly_paths: paths(&READ_ONLY),
        oom_score_adj: config.resources.oom_score_adj,
    })
}

/// `command` replaces the image's entrypoint and with it its cmd; `args` replaces only the cmd.
fn argv(config: &ContainerConfig, image: &ImageConfig) -> Result<Vec<String>, String> {
    let (mut argv, args) = match (config.command.is_empty(), config.args.is_empty()) {
        (true, true) => (image.entrypoint.clone(), &image.cmd),
        (true, false) => (image.entrypoint.clone(), &config.args),
        (false, _) => (config.command.clone(), &config.args),
    };
    argv.extend(args.iter().cloned());
    if argv.is_empty() { Err("no command specified".to_owned()) } else { Ok(argv) }
}

fn environment(sandbox: &SandboxConfig, config: &ContainerConfig, image: &ImageConfig) -> Vec<String> {
    let mut env = vec![DEFAULT_PATH.to_owned()];
    if config.tty {
        env.push("TERM=xterm".to_owned());
    }
    env.extend(image.env.iter().cloned());
    if !sandbox.hostname.is_empty() {
        env.push(format!("HOSTNAME={}", sandbox.hostname));
    }
    env.extend(config.envs.iter().map(|(key, value)| format!("{key}={value}")));
    env
}

fn working_directory(config: &ContainerConfig, image: &ImageConfig) -> String {
    [&config.working_dir, &image.working_dir].into_iter().find(|dir| !dir.is_empty()).cloned().unwrap_or_else(|| "/".into())
}

/// The pod's files, then the config's mounts, parents before children. A mount at the place of a pod file replaces it.
fn binds(config: &ContainerConfig, sandbox_directory: &Path) -> Vec<Mount> {
    const POD_FILES: [(&str, &str); 2] = [("/etc/hostname", "hostname"), ("/etc/resolv.conf", "resolv.conf")];
    let mut binds: Vec<Mount> = POD_FILES
        .iter()
        .filter(|(target, _)| !config.mounts.iter().any(|mount| mount.container_path == Path::new(target)))
        .map(|(target, name)| Mount {
            container_path: PathBuf::from(target),
            host_path: sandbox_directory.join(name),
            readonly: config.security.readonly_rootfs,
            propagation: Propagation::Private,
            ..Mount::default()
        })
        .collect();
    binds.extend(config.mounts.iter().cloned());
    binds.sort_by_key(|mount| mount.container_path.components().count());
    binds
}

/// A container follows its pod, unless it targets another container.
pub(crate) fn pid_mode(sandbox: &SandboxConfig, config: &ContainerConfig) -> NamespaceMode {
    match (&config.pid_mode, &sandbox.pid_mode) {
        (NamespaceMode::Target(id), _) => NamespaceMode::Target(id.clone()),
        (NamespaceMode::Node, _) | (NamespaceMode::Pod, NamespaceMode::Node) => NamespaceMode::Node,
        (NamespaceMode::Pod, NamespaceMode::Pod) => NamespaceMode::Pod,
        _ => NamespaceMode::Container,
    }
}

fn user(config: &ContainerConfig, image: &ImageConfig) -> Result<UserSpec, String> {
    let security = &config.security;
    let id = |what: &str, value: i64| u32::try_from(value).map_err(|_| format!("{what} {value} is out of range"));
    let mut user = match (security.run_as_user, &security.run_as_username) {
        (Some(uid), _) => id("runAsUser", uid)?.to_string(),
        (None, Some(name)) if !name.is_empty() => name.clone(),
        _ => image.user.clone(),
    };
    if let Some(gid) = security.run_as_group {
        let name = user.split(':').next().unwrap_or_default();
        user = format!("{}:{}", if name.is_empty() { "0" } else { name }, id("runAsGroup", gid)?);
    }
    let supplemental =
        security.supplemental_groups.iter().map(|gid| id("supplementalGroups", *gid)).collect::<Result<_, _>>()?;
    Ok(UserSpec { user, supplemental, strict: security.supplemental_groups_strict })
}

fn apparmor(config: &ContainerConfig, default: Option<&str>) -> Result<Option<String>, String> {
    match &config.security.apparmor {
        Profile::Unconfined => Ok(None),
        Profile::RuntimeDefault if config.security.privileged => Ok(None),
        Profile::RuntimeDefault => Ok(default.map(str::to_owned)),
        Profile::Localhost(_) if default.is_none() => Err("apparmor is not supported by this node's kernel".to_owned()),
        Profile::Localhost(name) => Ok(Some(name.clone())),
    }
}

/// The number of a signal by name (`SIGTERM`, `TERM`, `SIGRTMIN+3`) or number; SIGTERM for nothing.
pub(crate) fn stop_signal(config: &ContainerConfig, image: &ImageConfig) -> Result<i32, String> {
    const REAL_TIME_MIN: i32 = 34;
    const REAL_TIME_MAX: i32 = 64;
    let wanted = config.stop_signal.as_deref().filter(|s| !s.is_empty()).unwrap_or(&image.stop_signal);
    if wanted.is_empty() {
        return Ok(libc::SIGTERM);
    }
    if let Ok(number) = wanted.parse::<i32>() {
        return if (1..=REAL_TIME_MAX).contains(&number) { Ok(number) } else { Err(format!("invalid signal {wanted}")) };
    }
    let upper = wanted.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |rest: &str, base: i32| match rest {
        "" => Some(base),
        offset => offset.parse::<i32>().ok().map(|offset| base + offset),
    };
    let number = if let Some(rest) = bare.strip_prefix("RTMIN") {
        real_time(rest, REAL_TIME_MIN)
    } else if let Some(rest) = bare.strip_prefix("RTMAX") {
        real_time(rest, REAL_TIME_MAX)
    } else {
        format!("SIG{bare}").parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as i32)
    };
    number.filter(|n| (1..=REAL_TIME_MAX).contains(n)).ok_or_else(|| format!("invalid signal {wanted}"))
}
