//! The few system calls that neither std nor nix offers safely, each wrapped once: fork, the mount API of Linux 5.2-5.12,
//! capabilities, seccomp, pidfds, bpf, descriptor ranges. All `unsafe` of the container path is in this file.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Which side of a fork this is.
pub(crate) enum Fork {
    Child,
    Parent(i32),
}

/// Forks. Only ever called in the single-threaded shim, so the child may go on as an ordinary program.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: the calling process has one thread (the shim and its zygote start none), so no lock is held elsewhere.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Ends this process at once, running no destructors.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = check(result)?;
    // SAFETY: the kernel just returned this descriptor to us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// A detached copy of the mount (tree) at `path`, ready for [`move_mount`].
pub(crate) fn open_tree(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= libc::AT_RECURSIVE as libc::c_uint;
    }
    // SAFETY: `path` is a valid C string for the length of the call.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

/// Attaches a detached mount at the object that `target` refers to (an `O_PATH` descriptor).
pub(crate) fn move_mount(mount: &impl AsRawFd, target: &impl AsRawFd) -> io::Result<()> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    let empty = c"".as_ptr();
    // SAFETY: both descriptors are open and both paths are valid empty C strings.
    check(unsafe { libc::syscall(libc::SYS_move_mount, mount.as_raw_fd(), empty, target.as_raw_fd(), empty, flags) })?;
    Ok(())
}

/// What [`mount_setattr`] changes.
#[derive(Default, Clone, Copy)]
pub(crate) struct MountAttr {
    pub(crate) set: u64,
    pub(crate) clear: u64,
    pub(crate) propagation: u64,
    pub(crate) userns: Option<RawFd>,
}

/// Changes flags or propagation of a mount (recursively when asked).
pub(crate) fn mount_setattr(mount: &impl AsRawFd, recursive: bool, attr: MountAttr) -> io::Result<()> {
    let mut raw = libc::mount_attr {
        attr_set: attr.set,
        attr_clr: attr.clear,
        propagation: attr.propagation,
        userns_fd: 0,
    };
    if let Some(fd) = attr.userns {
        raw.attr_set |= libc::MOUNT_ATTR_IDMAP;
        raw.userns_fd = fd as u64;
    }
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    let size = std::mem::size_of::<libc::mount_attr>();
    // SAFETY: `raw` lives through the call and `size` is its size; the path is a valid empty C string.
    check(unsafe {
        libc::syscall(libc::SYS_mount_setattr, mount.as_raw_fd(), c"".as_ptr(), flags, &raw as *const libc::mount_attr, size)
    })?;
    Ok(())
}

/// `mount(2)` of a new file system.
pub(crate) fn mount_fs(kind: &str, source: &str, target: &Path, flags: libc::c_ulong, data: &str) -> io::Result<()> {
    nix::mount::mount(
        Some(source),
        target,
        Some(kind),
        nix::mount::MsFlags::from_bits_retain(flags),
        if data.is_empty() { None } else { Some(data) },
    )
    .map_err(io::Error::from)
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: u32) {
    // SAFETY: callers hold no owned descriptor from `first` on that they will use or drop again.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// Duplicates `from` onto the fixed number `to` (inheritable).
pub(crate) fn dup_onto(from: RawFd, to: RawFd) -> io::Result<()> {
    if from == to {
        // SAFETY: clearing the flags of a descriptor touches no memory.
        check(unsafe { libc::fcntl(to, libc::F_SETFD, 0) } as libc::c_long)?;
        return Ok(());
    }
    // SAFETY: `dup2` only replaces entry `to` of the descriptor table; callers pass 0, 1 or 2.
    check(unsafe { libc::dup2(from, to) } as libc::c_long)?;
    Ok(())
}

/// A descriptor number that std opened elsewhere, taken over.
pub(crate) fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: callers name a descriptor that this process inherited and that nothing else owns.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The three capability sets that `capset` takes.
pub(crate) fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let header = Header { version: 0x2008_0522, pid: 0 };
    let half = |shift: u32| Data {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 of the interface takes exactly this header and two data blocks.
    check(unsafe { libc::syscall(libc::SYS_capset, &header as *const Header, data.as_ptr()) })?;
    Ok(())
}

/// One `prctl` whose arguments are plain numbers.
pub(crate) fn prctl(option: i32, arg2: u64, arg3: u64) -> io::Result<i32> {
    // SAFETY: callers use options whose arguments are numbers, never addresses.
    check(unsafe { libc::prctl(option, arg2, arg3, 0u64, 0u64) } as libc::c_long).map(|v| v as i32)
}

/// Installs a seccomp filter on this thread.
pub(crate) fn seccomp_install(program: &[libc::sock_filter], flags: u32) -> io::Result<()> {
    let prog = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: `prog` points at `program`, which outlives the call; the kernel copies it.
    check(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &prog as *const libc::sock_fprog)
    })?;
    Ok(())
}

/// Loads a device program and attaches it to the cgroup directory (cgroup v2 has no device files).
pub(crate) fn attach_device_program(cgroup: &impl AsRawFd, instructions: &[u64]) -> io::Result<()> {
    const BPF_PROG_LOAD: libc::c_long = 5;
    const BPF_PROG_ATTACH: libc::c_long = 8;
    const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
    const BPF_CGROUP_DEVICE: u32 = 6;
    const BPF_F_ALLOW_MULTI: u32 = 2;
    #[repr(C, align(8))]
    #[derive(Default)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        rest: [u64; 13],
    }
    #[repr(C, align(8))]
    #[derive(Default)]
    struct Attach {
        target: u32,
        program: u32,
        kind: u32,
        flags: u32,
        rest: [u64; 14],
    }
    let load = Load {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: c"Apache".as_ptr() as u64,
        ..Load::default()
    };
    // SAFETY: `load` and the memory it points at live through the call and its size is passed.
    let program =
        owned(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &load as *const Load, std::mem::size_of::<Load>()) })?;
    let attach = Attach {
        target: cgroup.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
        ..Attach::default()
    };
    // SAFETY: as above.
    check(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &attach as *const Attach, std::mem::size_of::<Attach>())
    })?;
    Ok(())
}

/// Replaces this process. Returns only on failure.
pub(crate) fn execve(program: &CStr, argv: &[CString], env: &[CString]) -> io::Error {
    match nix::unistd::execve(program, argv, env) {
        Ok(never) => match never {},
        Err(errno) => errno.into(),
    }
}

/// Makes the terminal on descriptor 0 the controlling one of this session.
pub(crate) fn take_terminal() -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes a number.
    check(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } as libc::c_long)?;
    Ok(())
}

/// Tells a terminal (either side) its size.
pub(crate) fn set_window_size(terminal: &impl AsRawFd, columns: u16, rows: u16) -> io::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one `winsize`.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &size as *const libc::winsize) } as libc::c_long)?;
    Ok(())
}

/// The name of the slave side of a pty master, and the slave made usable.
pub(crate) fn unlock_terminal(master: &impl AsRawFd) -> io::Result<u32> {
    let unlock: libc::c_int = 0;
    let mut number: libc::c_uint = 0;
    // SAFETY: TIOCSPTLCK reads an int, TIOCGPTN writes an unsigned int; both live through the calls.
    unsafe {
        check(libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &unlock as *const libc::c_int) as libc::c_long)?;
        check(libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &mut number as *mut libc::c_uint) as libc::c_long)?;
    }
    Ok(number)
}

/// Puts every signal back to its default action and unblocks all: Rust's runtime ignores SIGPIPE, the shim blocks SIGCHLD.
pub(crate) fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL installs no code; failures (SIGKILL, SIGSTOP, reserved numbers) are harmless.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
}

/// Ignores a signal for this process.
pub(crate) fn ignore_signal(signal: i32) {
    // SAFETY: SIG_IGN installs no code.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Restores the default action of a signal.
pub(crate) fn default_signal(signal: i32) {
    // SAFETY: SIG_DFL installs no code.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Gives freed heap back to the kernel.
pub(crate) fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` has no preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// File mode creation mask of this process.
pub(crate) fn umask(mask: u32) {
    // SAFETY: `umask` cannot fail and touches no memory.
    unsafe { libc::umask(mask as libc::mode_t) };
}

/// Waits for descriptors. Interruptions count as nothing ready.
pub(crate) fn poll(fds: &mut [libc::pollfd], timeout_ms: i32) {
    // SAFETY: the slice is valid and its length is passed.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout_ms) };
    if ready < 0 {
        fds.iter_mut().for_each(|fd| fd.revents = 0);
    }
}

/// Any signal by number, to a process or (negative) a process group.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::kill(pid, signal) } as libc::c_long)?;
    Ok(())
}

/// Registers a descriptor with the event loop.
pub(crate) fn watch<T: Into<OwnedFd> + AsRawFd>(fd: T) -> io::Result<tokio::io::unix::AsyncFd<T>> {
    // SAFETY: what turns into an `OwnedFd` owns its descriptor and keeps the same number open until it is dropped.
    unsafe { tokio::io::unix::AsyncFd::register(fd) }.map_err(Into::into)
}

/// The next child that has ended: pid, exit code as a shell gives it, signal (0 if none). Not nix's, which loses children
/// that a real-time signal killed.
pub(crate) fn collect_child() -> Option<(i32, i32, i32)> {
    const SIGNALLED: i32 = 128;
    let mut status = 0;
    // SAFETY: the kernel writes one int.
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
    (pid > 0).then(|| match libc::WIFSIGNALED(status) {
        true => (pid, SIGNALLED + libc::WTERMSIG(status), libc::WTERMSIG(status)),
        false => (pid, libc::WEXITSTATUS(status), 0),
    })
}

/// A session keyring of this process' own, so that it sees no key of the node.
pub(crate) fn fresh_keyring() {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name makes an anonymous keyring; no memory is read. Kernels without keys have none to hide.
    unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>()) };
}
