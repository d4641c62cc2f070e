//! A terminal for the process: a pty of the container's own devpts, whose master goes to the shim (pty(7)).

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;

use super::{Init, InitError, Stdio, doing, paths};
use crate::container::sys;
use crate::shim::wire;

/// Opens the pty, sends its master to the shim, keeps the slave as standard streams.
pub(super) fn open(init: &mut Init) -> Result<(), InitError> {
    if !init.spec.tty {
        return Ok(());
    }
    let terminal = |path: &Path| {
        fs::OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY | libc::O_CLOEXEC).open(path)
    };
    let master = terminal(Path::new("/dev/ptmx")).map_err(doing("error opening /dev/ptmx"))?;
    let number = sys::unlock_terminal(&master).map_err(doing("error unlocking the terminal"))?;
    let name = PathBuf::from(format!("/dev/pts/{number}"));
    let slave = terminal(&name).map_err(doing(format!("error opening {}", name.display())))?;
    if init.namespaces.is_empty() {
        // A new container: its first terminal is also its console.
        let console = Path::new("/dev/console");
        paths::ensure_file(console)
            .and_then(|()| {
                nix::mount::mount(Some(&name), console, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(Into::into)
            })
            .map_err(doing("error mounting /dev/console"))?;
    }
    wire::send(&init.report, b"c", &[master.as_raw_fd()]).map_err(doing("error handing over the terminal"))?;
    let copy = || slave.try_clone().map(Into::into).map_err(doing("error duplicating the terminal"));
    init.stdio = Stdio { stdin: Some(copy()?), stdout: Some(copy()?), stderr: Some(copy()?) };
    Ok(())
}
