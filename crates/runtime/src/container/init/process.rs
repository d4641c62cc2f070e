//! The process side of a start: session, control group, limits, working directory, system call filter, standard streams.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{Init, InitError, doing, during_init};
use crate::container::cgroup::{Cgroup, DeviceRule};
use crate::container::seccomp::Filter;
use crate::container::sys;

/// Open files a container may have, where the hard limit allows it.
const OPEN_FILES: u64 = 1_048_576;

/// A session of its own with nothing inherited from the main process: no signal from the shim's, and a terminal can become its controlling one.
pub(super) fn session(_: &mut Init) -> Result<(), InitError> {
    sys::umask(0o022);
    sys::fresh_keyring();
    nix::unistd::setsid().map(|_| ()).map_err(doing("error creating a session"))
}

/// Makes the container's group, limits it, joins it.
pub(super) fn cgroup(init: &mut Init) -> Result<(), InitError> {
    let spec = &init.spec;
    let cgroup = Cgroup::at(&spec.cgroup.path);
    cgroup.create().map_err(doing("error creating the cgroup"))?;
    cgroup.limit(&spec.cgroup.resources).map_err(doing("error setting cgroup config for procHooks process"))?;
    cgroup.kill_together_on_oom();
    cgroup.limit_devices(&device_rules(init)).map_err(doing("error limiting devices"))?;
    cgroup.join(0).map_err(doing("error joining the cgroup"))
}

fn device_rules(init: &Init) -> Vec<DeviceRule> {
    if init.spec.privileged {
        return vec![DeviceRule::ANY];
    }
    let mut rules = DeviceRule::defaults();
    rules.extend(init.spec.devices.iter().map(|node| DeviceRule {
        kind: if node.block { 'b' } else { 'c' },
        major: Some(node.major),
        minor: Some(node.minor),
        access: DeviceRule::access_of(&node.permissions),
    }));
    rules
}

/// Joins the group of the running container.
pub(super) fn join_cgroup(init: &mut Init) -> Result<(), InitError> {
    Cgroup::at(&init.spec.cgroup.path).join(0).map_err(doing("error joining the cgroup"))
}

/// Priority for the out-of-memory killer and the number of open files. What this node may not do is warned about, as a
/// node without CAP_SYS_RESOURCE cannot lower scores below its own or raise hard limits.
pub(super) fn limits(init: &mut Init) -> Result<(), InitError> {
    if let Some(adjustment) = init.spec.oom_score_adj
        && let Err(e) = fs::write("/proc/self/oom_score_adj", adjustment.to_string())
    {
        init.warn(&format!("cannot set oom_score_adj to {adjustment}: {}", super::plain(&e.to_string())));
    }
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && let Err(e) = setrlimit(Resource::RLIMIT_NOFILE, hard.min(OPEN_FILES), hard)
    {
        init.warn(&format!("cannot set the limit of open files: {e}"));
    }
    Ok(())
}

/// Makes the working directory when the image lacks it; entering it comes after the change of user.
pub(super) fn make_working_directory(init: &mut Init) -> Result<(), InitError> {
    let cwd = Path::new(&init.spec.cwd);
    if !cwd.is_absolute() || cwd.is_dir() {
        return Ok(());
    }
    match super::paths::ensure_dir(cwd) {
        // A read-only volume or a file in the way: entering it will say so.
        Err(e) if e.kind() == std::io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        other => other.map_err(|e| {
            during_init(format!("mkdir {}: {}", init.spec.cwd, super::plain(&e.to_string())))
        }),
    }
}

/// Compiles the filter while files of the node may still be read.
pub(super) fn compile_filter(init: &mut Init) -> Result<(), InitError> {
    init.filter = Filter::compile(&init.spec.seccomp, init.spec.capabilities).map_err(during_init)?;
    Ok(())
}

/// Puts the streams on 0, 1 and 2 and takes the terminal.
pub(super) fn streams(init: &mut Init) -> Result<(), InitError> {
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null").map_err(doing("error opening /dev/null"))?;
    let wanted = [&init.stdio.stdin, &init.stdio.stdout, &init.stdio.stderr];
    for (number, stream) in wanted.into_iter().enumerate() {
        let from = stream.as_ref().map_or(null.as_raw_fd(), AsRawFd::as_raw_fd);
        sys::dup_onto(from, number as i32).map_err(doing("error duplicating standard streams"))?;
    }
    if init.spec.tty {
        sys::take_terminal().map_err(doing("error taking the terminal"))?;
    }
    Ok(())
}
