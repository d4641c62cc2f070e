//! The zygote: forks shims on request. Its channel to the main process is its standard input, a packet socket; the end of
//! the channel is its own end.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use super::{pod, wire};
use crate::container::sys::{self, Fork};

/// The first argument (or the name) that makes the binary a zygote.
pub(crate) const ZYGOTE_ARGUMENT: &str = "timonel-shim";
/// A request is a path.
const MAX_REQUEST_BYTES: usize = 8192;

/// Serves until the main process is gone.
pub(super) fn serve() -> ! {
    let channel = std::io::stdin().as_raw_fd();
    // Children are collected by the kernel: a dead shim leaves no zombie here. Shims undo this for themselves.
    sys::ignore_signal(libc::SIGCHLD);
    sys::ignore_signal(libc::SIGINT);
    sys::ignore_signal(libc::SIGTERM);
    let _ = nix::unistd::setsid();
    let _ = nix::sys::prctl::set_name(c"timonel-shim");
    sys::close_from(3);
    let mut buffer = vec![0; MAX_REQUEST_BYTES];
    loop {
        let (length, mut descriptors) = match wire::receive(&channel, &mut buffer) {
            Ok((0, _)) => sys::exit_now(0),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => sys::exit_now(1),
            Ok(request) => request,
        };
        let (Some(report), Ok(directory)) = (descriptors.pop(), std::str::from_utf8(&buffer[..length])) else { continue };
        match sys::fork() {
            Ok(Fork::Child) => pod::run(Path::new(directory), report),
            Ok(Fork::Parent(_)) => {}
            Err(e) => {
                let _ = wire::send(&report, format!("fork: {e}").as_bytes(), &[]);
            }
        }
    }
}

/// The main process' handle on its zygote; starts one when there is none (any more).
pub(crate) struct Zygote {
    program: PathBuf,
    channel: Mutex<Option<OwnedFd>>,
}

impl Zygote {
    /// Remembers which binary to run; nothing is started yet.
    pub(crate) fn new(program: PathBuf) -> Zygote {
        Zygote { program, channel: Mutex::new(None) }
    }

    /// Forks a shim for the sandbox directory. The returned socket delivers one packet when it is set up
    /// ([`pod::READY`] or what went wrong), and an end without a packet if it died.
    pub(crate) fn fork_shim(&self, directory: &Path) -> io::Result<OwnedFd> {
        let (ours, theirs) = wire::pair()?;
        let request = directory.as_os_str().as_encoded_bytes();
        let mut channel = self.channel.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(live) = channel.as_ref()
            && wire::send(live, request, &[theirs.as_raw_fd()]).is_ok()
        {
            return Ok(ours);
        }
        let fresh = self.spawn()?;
        wire::send(&fresh, request, &[theirs.as_raw_fd()])?;
        *channel = Some(fresh);
        Ok(ours)
    }

    /// Starts the zygote ahead of the first pod.
    pub(crate) fn warm(&self) -> io::Result<()> {
        let mut channel = self.channel.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if channel.is_none() {
            *channel = Some(self.spawn()?);
        }
        Ok(())
    }

    fn spawn(&self) -> io::Result<OwnedFd> {
        let (ours, theirs) = wire::pair()?;
        let mut child = Command::new(&self.program)
            .arg(ZYGOTE_ARGUMENT)
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .spawn()?;
        // It ends when the channel does; a thread is not needed to collect it before that.
        std::thread::Builder::new()
            .name("zygote-wait".to_owned())
            .stack_size(64 * 1024)
            .spawn(move || drop(child.wait()))?;
        Ok(ours)
    }
}

/// What a fresh shim's only packet means. `Ok` is ready.
pub(crate) fn readiness(word: &[u8]) -> Result<(), String> {
    match word {
        pod::READY => Ok(()),
        [] => Err("the shim died during set-up".to_owned()),
        text => Err(String::from_utf8_lossy(text).into_owned()),
    }
}
