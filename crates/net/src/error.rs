//! What can go wrong at the kernel's network door, and whether trying again can help.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use nix::errno::Errno;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The kernel refused a netlink request.
    #[error("{op}: {}{}", .errno.desc(), .detail.as_deref().map(|d| format!(" ({d})")).unwrap_or_default())]
    Netlink {
        /// What was asked for.
        op: &'static str,
        /// The kernel's answer.
        errno: Errno,
        /// The kernel's own sentence (extended acknowledgement), when it gave one.
        detail: Option<String>,
    },
    /// The kernel's answer could not be read as netlink.
    #[error("{0}: malformed netlink answer")]
    Malformed(&'static str),
    /// A file or namespace operation failed.
    #[error("{op} {}: {source}", path.display())]
    File {
        /// What was tried.
        op: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another system call failed.
    #[error("{op}: {source}")]
    System {
        /// What was tried.
        op: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// No address is left in the range.
    #[error("no free address in {0}")]
    Exhausted(ipnet::IpNet),
    /// The wanted address is used by someone else.
    #[error("address {0} is in use by {1}")]
    AddressInUse(IpAddr, String),
    /// The configuration makes no sense.
    #[error("{0}")]
    Config(String),
    /// A thread inside a network namespace panicked.
    #[error("network namespace thread panicked")]
    ThreadPanicked,
}

/// Whether repeating a failed call can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call may succeed soon.
    Later,
    /// Something outside has to change first.
    Never,
}

/// Refusals that may be over at the next attempt.
const SOON: [Errno; 6] = [Errno::EAGAIN, Errno::EINTR, Errno::EBUSY, Errno::ENOBUFS, Errno::ENOMEM, Errno::ERESTART];

impl NetError {
    /// Whether repeating the call can help.
    pub fn class(&self) -> Retry {
        match self {
            NetError::Exhausted(_) => Retry::Later,
            NetError::Netlink { errno, .. } if SOON.contains(errno) => Retry::Later,
            _ => Retry::Never,
        }
    }

    /// The kernel's error number, when it was the kernel that refused.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            NetError::Netlink { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    pub(crate) fn system(op: &'static str, errno: Errno) -> Self {
        NetError::System { op, source: errno.into() }
    }

    pub(crate) fn file(op: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        NetError::File { op, path: path.into(), source: source.into() }
    }
}
