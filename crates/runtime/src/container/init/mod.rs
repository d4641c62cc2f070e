//! How a forked child of the shim becomes a container's process: a table of named steps, run in order, first failure ends
//! it. Our own and not libcontainer's: the shim is single-threaded, so a plain fork is enough (no re-exec of a 30 MiB
//! binary, no intermediate processes, no JSON through pipes), a start costs a few milliseconds, the shim stays small,
//! and the parts where libcontainer is silent (seccomp without libseccomp, devices on cgroup v2, hybrid cgroups) are ours.
//!
//! Nothing is ever mounted on the host: the overlay, `/proc`, `/dev` and all binds exist only in the container's mount
//! namespace and vanish with its last process. Sources are opened (`open_tree`) before the root changes, so bind targets
//! resolve inside the container's root and can never lead out of it.
//!
//! Runs between fork and exec in a process of its own; errors are sent to the shim over a socket, which a successful exec
//! closes (namespaces(7), pivot_root(2), mount_setattr(2); kernel 5.12 and newer).

mod console;
mod dev;
mod enter;
mod filesystems;
mod identity;
mod paths;
mod process;
mod program;
mod rootfs;

#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;

use super::seccomp::Filter;
use super::spec::{Identity, Spec};
use super::sys;
use crate::shim::wire;

/// Why a step failed; the text is what users see behind `unable to start container process: `.
#[derive(Debug)]
pub(crate) struct InitError(pub(crate) String);

type Step = fn(&mut Init) -> Result<(), InitError>;

/// Standard streams handed to the process, by descriptor; `None` is `/dev/null`.
#[derive(Default)]
pub(crate) struct Stdio {
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
}

/// What the steps share.
pub(crate) struct Init {
    pub(crate) spec: Spec,
    pub(crate) stdio: Stdio,
    /// To the shim: terminal, identity, warnings, the error.
    pub(crate) report: OwnedFd,
    /// The mount namespace that holds the pod's `/dev/shm`.
    pub(crate) shm: Option<OwnedFd>,
    /// Exec: the running container's mount and cgroup namespaces.
    pub(crate) namespaces: Vec<OwnedFd>,
    /// Opened before the root changes.
    sources: rootfs::Sources,
    identity: Identity,
    filter: Option<Filter>,
}

/// A new container, from the shim's child to the program's first instruction.
const CONTAINER: &[(&str, Step)] = &[
    ("session", process::session),
    ("cgroup", process::cgroup),
    ("seccomp", process::compile_filter),
    ("mount namespace", rootfs::unshare),
    ("mount sources", rootfs::open_sources),
    ("root file system", rootfs::overlay),
    ("pivot", rootfs::pivot),
    ("kernel file systems", filesystems::mount),
    ("devices", dev::populate),
    ("volumes", rootfs::attach),
    ("masked paths", filesystems::mask),
    ("console", console::open),
    ("read-only root", rootfs::seal),
    ("user", identity::resolve),
    ("working directory", process::make_working_directory),
    ("limits", process::limits),
    ("standard streams", process::streams),
    ("identity", identity::assume),
];

/// One more process in a running container.
const EXEC: &[(&str, Step)] = &[
    ("session", process::session),
    ("cgroup", process::join_cgroup),
    ("seccomp", process::compile_filter),
    ("namespaces", enter::join),
    ("console", console::open),
    ("user", identity::resolve),
    ("limits", process::limits),
    ("standard streams", process::streams),
    ("identity", identity::assume),
];

impl Init {
    /// A child's work order.
    pub(crate) fn new(spec: Spec, stdio: Stdio, report: OwnedFd) -> Init {
        Init {
            spec,
            stdio,
            report,
            shm: None,
            namespaces: Vec::new(),
            sources: rootfs::Sources::default(),
            identity: Identity::default(),
            filter: None,
        }
    }

    /// Becomes the container's first process. Never returns.
    pub(crate) fn run_container(self) -> ! {
        self.run(CONTAINER)
    }

    /// Becomes another process of a running container. Never returns.
    pub(crate) fn run_exec(self) -> ! {
        self.run(EXEC)
    }

    fn run(mut self, steps: &[(&str, Step)]) -> ! {
        sys::reset_signals();
        let error = steps
            .iter()
            .try_for_each(|(_, step)| step(&mut self))
            .and_then(|()| program::replace(&mut self))
            .err()
            .unwrap_or_else(|| InitError("exec returned".to_owned()));
        let _ = wire::send(&self.report, format!("e{}", error.0).as_bytes(), &[]);
        const START_FAILED: i32 = 128;
        sys::exit_now(START_FAILED)
    }

    /// Tells the shim something that does not keep the container from starting.
    fn warn(&self, text: &str) {
        let _ = wire::send(&self.report, format!("w{text}").as_bytes(), &[]);
    }
}

/// The sentence that runc puts before errors of its own set-up work.
fn during_init(what: impl std::fmt::Display) -> InitError {
    InitError(format!("error during container init: {what}"))
}

/// For `map_err`: names what was being done.
fn doing<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> InitError {
    move |error| during_init(format!("{what}: {}", plain(&error.to_string())))
}

/// An operating system error as users of Linux know it: `no such file or directory`, not `No such … (os error 2)`.
pub(crate) fn plain(text: &str) -> String {
    match text.find(" (os error ") {
        Some(end) => {
            let head = &text[..end];
            let start = head.rfind(": ").map_or(0, |at| at + 2);
            let (before, message) = head.split_at(start);
            let mut letters = message.chars();
            let first = letters.next().map(|c| c.to_ascii_lowercase());
            format!("{before}{}{}", first.map(String::from).unwrap_or_default(), letters.as_str())
        }
        None => text.to_owned(),
    }
}
