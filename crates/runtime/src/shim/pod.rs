//! How a fresh shim becomes the holder of a pod: namespaces, host name, kernel parameters, control groups, shared memory.
//!
//! The shim itself lives in the pod's network, UTS and IPC namespaces, so containers inherit them. Shared memory is the
//! root of a mount namespace that holds nothing else, so that no mount of it is ever seen (or leaked) on the host.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::loops::Pod;
use super::wire;
use crate::container::cgroup::Cgroup;
use crate::container::layout::{self, SandboxFile};
use crate::container::sys::{self, Fork};
use crate::cri::NamespaceMode;

/// The word of a shim that is set up.
pub(super) const READY: &[u8] = b"ready";
/// In a pod's own network every port and ICMP echo is for everybody, as containerd has it.
const NETWORK_DEFAULTS: [(&str, &str); 2] =
    [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", "0 2147483647")];
/// Size of the pod's `/dev/shm`.
const SHM_OPTIONS: &str = "mode=1777,size=65536k";

/// Runs as the shim of a sandbox directory. Never returns.
pub(super) fn run(directory: &Path, report: OwnedFd) -> ! {
    match set_up(directory) {
        Ok(pod) => {
            let _ = wire::send(&report, READY, &[]);
            drop(report);
            sys::trim_heap();
            pod.run()
        }
        Err(text) => {
            let _ = wire::send(&report, text.as_bytes(), &[]);
            sys::exit_now(1)
        }
    }
}

fn doing<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {}", crate::container::plain(&error.to_string()))
}

fn set_up(directory: &Path) -> Result<Pod, String> {
    become_daemon(directory).map_err(doing("daemonise"))?;
    let sandbox: SandboxFile = layout::read(&directory.join(layout::SANDBOX)).map_err(doing("read the sandbox"))?;
    let config = &sandbox.config;
    let group = Cgroup::at(&sandbox.cgroup());
    let parent = Cgroup::at(&config.cgroup_parent);
    parent.create().map_err(doing("create the pod's cgroup"))?;
    parent.limit(&config.resources).map_err(doing("limit the pod's cgroup"))?;
    group.create().map_err(doing("create the sandbox' cgroup"))?;
    let own_pid_namespace: OwnedFd = fs::File::open("/proc/self/ns/pid").map_err(doing("open /proc/self/ns/pid"))?.into();
    let mut flags = CloneFlags::empty();
    if let Some(path) = &config.netns {
        let namespace = fs::File::open(path).map_err(doing(format!("open network namespace {}", path.display())))?;
        setns(namespace, CloneFlags::CLONE_NEWNET).map_err(doing("join the network namespace"))?;
        flags |= CloneFlags::CLONE_NEWUTS;
    }
    let own_ipc = config.ipc_mode != NamespaceMode::Node;
    if own_ipc {
        flags |= CloneFlags::CLONE_NEWIPC;
    }
    unshare(flags).map_err(doing("create the pod's namespaces"))?;
    if config.netns.is_some() && !config.hostname.is_empty() {
        nix::unistd::sethostname(&config.hostname).map_err(doing("set the host name"))?;
    }
    let shm = if own_ipc { Some(hold_shm(directory).map_err(doing("create /dev/shm"))?) } else { None };
    if config.netns.is_some() {
        for (name, value) in NETWORK_DEFAULTS {
            // An older kernel without one of these is no reason not to run.
            let _ = write_sysctl(name, value);
        }
    }
    for (name, value) in &config.sysctls {
        write_sysctl(name, value).map_err(doing(format!("write sysctl key {name}")))?;
    }
    let pid_namespace = match config.pid_mode {
        NamespaceMode::Pod => Some(start_pause(&own_pid_namespace, &group).map_err(doing("create the pid namespace"))?),
        _ => None,
    };
    move_aside(&group);
    let signals = block_child_signal().map_err(doing("watch children"))?;
    let listener = wire::listen_in(directory).map_err(doing("listen"))?;
    Ok(Pod::new(directory.to_owned(), own_pid_namespace, pid_namespace, shm, signals, listener))
}

/// Writes a kernel parameter of the namespaces this process is in. Dots separate; a slash in the name stands for a dot.
fn write_sysctl(name: &str, value: &str) -> io::Result<()> {
    let swapped: String = name
        .chars()
        .map(|c| match c {
            '.' => '/',
            '/' => '.',
            other => other,
        })
        .collect();
    fs::write(Path::new("/proc/sys").join(swapped), value)
}

/// A session of its own, nothing of the main process' open, orphans come here, messages go to a file.
fn become_daemon(directory: &Path) -> io::Result<()> {
    nix::unistd::setsid()?;
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let messages = fs::OpenOptions::new().append(true).create(true).open(directory.join(layout::SHIM_LOG))?;
    for (from, to) in [(null.as_raw_fd(), 0), (null.as_raw_fd(), 1), (messages.as_raw_fd(), 2)] {
        sys::dup_onto(from, to)?;
    }
    sys::default_signal(libc::SIGCHLD);
    nix::sys::prctl::set_child_subreaper(true)?;
    // Without CAP_SYS_RESOURCE the score stays what it is.
    let _ = fs::write("/proc/self/oom_score_adj", "-998");
    Ok(())
}

fn block_child_signal() -> io::Result<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

/// Moving into cgroups waits for every CPU (a grace period, about 15 ms), so a child does that while the shim gets ready.
fn move_aside(group: &Cgroup) {
    let shim = std::process::id() as i32;
    if let Ok(Fork::Child) = sys::fork() {
        let _ = group.join(shim);
        sys::exit_now(0);
    }
}

/// A mount namespace whose root is the pod's shared memory, as a descriptor.
fn hold_shm(directory: &Path) -> io::Result<OwnedFd> {
    let (ours, theirs) = wire::pair()?;
    if let Fork::Child = sys::fork()? {
        let made = make_shm(directory).and_then(|namespace| wire::send(&theirs, b"ok", &[namespace.as_raw_fd()]));
        if let Err(e) = made {
            let _ = wire::send(&theirs, e.to_string().as_bytes(), &[]);
        }
        sys::exit_now(0);
    }
    drop(theirs);
    let mut buffer = [0; 512];
    let (length, mut descriptors) = wire::receive(&ours, &mut buffer)?;
    descriptors.pop().ok_or_else(|| io::Error::other(String::from_utf8_lossy(&buffer[..length]).into_owned()))
}

fn make_shm(directory: &Path) -> io::Result<OwnedFd> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    nix::mount::mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    let flags = libc::MS_NOSUID | libc::MS_NOEXEC | libc::MS_NODEV;
    sys::mount_fs("tmpfs", "shm", directory, flags, SHM_OPTIONS)?;
    let namespace = fs::File::open("/proc/self/ns/mnt")?;
    std::env::set_current_dir(directory)?;
    nix::unistd::pivot_root(".", ".")?;
    nix::mount::umount2(".", MntFlags::MNT_DETACH)?;
    Ok(namespace.into())
}

/// The first process of a pid namespace that the pod's containers share: it only collects orphans and sleeps.
fn start_pause(own: &OwnedFd, group: &Cgroup) -> io::Result<OwnedFd> {
    unshare(CloneFlags::CLONE_NEWPID)?;
    let forked = sys::fork();
    if let Ok(Fork::Child) = forked {
        pause(group);
    }
    setns(own, CloneFlags::CLONE_NEWPID)?;
    match forked? {
        Fork::Parent(pid) => Ok(fs::File::open(PathBuf::from(format!("/proc/{pid}/ns/pid")))?.into()),
        Fork::Child => unreachable!("the child sleeps for ever"),
    }
}

fn pause(group: &Cgroup) -> ! {
    let _ = nix::sys::prctl::set_name(c"pause");
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    sys::ignore_signal(libc::SIGCHLD);
    let _ = group.join(0);
    sys::close_from(0);
    loop {
        nix::unistd::pause();
    }
}
