//! What the main process and a shim say to each other: one JSON message a packet over a `SOCK_SEQPACKET` Unix socket, so
//! that packets frame themselves and descriptors (pipes, terminals, sockets) travel with the message they belong to.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind,
    connect, listen, recvmsg, sendmsg, socket, socketpair,
};
use serde::{Deserialize, Serialize};

use crate::container::spec::Identity;
use crate::cri::NamespaceMode;

/// The longest message: what the kernel's default socket buffer takes in one packet, with room for its bookkeeping.
pub(crate) const MAX_MESSAGE_BYTES: usize = 192 * 1024;
/// Descriptors that travel with one message.
const MAX_DESCRIPTORS: usize = 4;
/// The shim's socket in the sandbox's directory.
const SOCKET_NAME: &str = "shim.sock";

/// From the main process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) call: Call,
}

/// What a shim can be asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    /// Start the container whose `spec.json` lies in its directory.
    Start(Start),
    /// Signal the container's first process, or every process it has.
    Kill { container: String, signal: i32, all: bool },
    /// Run a command in a container. Descriptors: those of stdin, stdout, stderr that are wanted, in that order.
    Exec { container: String, argv: Vec<String>, tty: bool, streams: [bool; 3] },
    /// Kill a command that `Exec` started, by the number its answer gave.
    KillExec { exec: u64 },
    /// Copy output to these descriptors (stdout, stderr, as wanted). The answer carries the input, if there is one.
    Attach { container: String, streams: [bool; 2] },
    /// No more input: the shim lets go of the container's stdin.
    CloseStdin { container: String },
    /// The log was moved away: start a new file.
    ReopenLog { container: String },
    /// A TCP socket in the pod's network namespace.
    Socket { v6: bool },
    /// Kill everything and exit.
    Shutdown,
}

/// How to start a container; the rest is in its directory.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) container: String,
    pub(crate) log_path: PathBuf,
    pub(crate) stdin: bool,
    pub(crate) stdin_once: bool,
    pub(crate) tty: bool,
    pub(crate) cgroup: String,
    pub(crate) pid_mode: NamespaceMode,
}

/// From the shim.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    Answer { id: u64, result: Result<Answer, Failure> },
    /// A start succeeded (also told to a main process that did not ask for it).
    Started { container: String, record: Record },
    Exited { container: String, record: Record },
    ExecExited { exec: u64, exit_code: i32 },
}

/// What a call returns when it went well.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Started(Record),
    /// With the terminal's master when one was asked for.
    Exec { exec: u64 },
}

/// Why a call failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// No such container, or it does not run.
    NotFound(String),
    /// The program could not be started; the text is for users.
    Start(String),
    Other(String),
}

/// What became of a container. On disk (`state.json`) before anybody is told. Times are nanoseconds since the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    pub(crate) pid: i32,
    pub(crate) started_at_ns: i64,
    pub(crate) finished_at_ns: i64,
    pub(crate) exit_code: i32,
    pub(crate) signal: i32,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) identity: Option<Identity>,
}

/// Two connected packet sockets.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Sends one packet with descriptors.
pub(crate) fn send(socket: &impl AsRawFd, bytes: &[u8], descriptors: &[RawFd]) -> io::Result<()> {
    let rights = [ControlMessage::ScmRights(descriptors)];
    let control: &[ControlMessage] = if descriptors.is_empty() { &[] } else { &rights };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// Receives one packet; length 0 is the end.
pub(crate) fn receive(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = nix::cmsg_space!([RawFd; MAX_DESCRIPTORS]);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            descriptors.extend(numbers.into_iter().map(crate::container::sys::adopt));
        }
    }
    if message.flags.contains(MsgFlags::MSG_TRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message is too long"));
    }
    Ok((message.bytes, descriptors))
}

/// Encodes a message of ours.
pub(crate) fn encode(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("plain structs of strings and numbers always encode")
}

/// A path to the socket that fits into 108 bytes however long the directory is.
fn address(directory: &OwnedFd) -> io::Result<UnixAddr> {
    let path = format!("/proc/self/fd/{}/{SOCKET_NAME}", directory.as_raw_fd());
    Ok(UnixAddr::new(Path::new(&path))?)
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(std::fs::File::open(path)?.into())
}

fn packet_socket() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?)
}

/// The shim's listening socket in its directory.
pub(crate) fn listen_in(directory: &Path) -> io::Result<OwnedFd> {
    let _ = std::fs::remove_file(directory.join(SOCKET_NAME));
    let handle = open_directory(directory)?;
    let listener = packet_socket()?;
    bind(listener.as_raw_fd(), &address(&handle)?)?;
    listen(&listener, Backlog::new(4)?)?;
    Ok(listener)
}

/// Connects to the shim of a sandbox directory. Refused or not found: it is gone.
pub(crate) fn connect_in(directory: &Path) -> io::Result<OwnedFd> {
    let handle = open_directory(directory)?;
    let connection = packet_socket()?;
    connect(connection.as_raw_fd(), &address(&handle)?)?;
    Ok(connection)
}

/// Takes one waiting connection.
pub(crate) fn accept(listener: &OwnedFd) -> io::Result<OwnedFd> {
    let fd = accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
    Ok(crate::container::sys::adopt(fd))
}
