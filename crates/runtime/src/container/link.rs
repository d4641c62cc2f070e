//! The main process' end of one shim: calls and answers, exit messages, and the shim's end noticed at once.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::shim::wire::{self, Answer, Call, Failure, Message, Request};

/// How long a healthy shim may take for a signal or a reopened file on a very busy machine.
const SOON: Duration = Duration::from_secs(5);

/// What came back for a call.
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    /// A terminal, an input pipe or a socket.
    pub(crate) descriptor: Option<OwnedFd>,
    /// For a command that was started: its exit code, when it has one.
    pub(crate) exit: Option<oneshot::Receiver<i32>>,
}

impl Reply {
    /// The number of a command that was started.
    pub(crate) fn exec(&self) -> Option<u64> {
        match self.answer {
            Answer::Exec { exec } => Some(exec),
            _ => None,
        }
    }
}

type Waiter = oneshot::Sender<Result<Reply, Failure>>;

#[derive(Default)]
struct Pending {
    calls: HashMap<u64, Waiter>,
    execs: HashMap<u64, oneshot::Sender<i32>>,
    closed: bool,
}

/// A connection to a shim.
pub(crate) struct Link {
    socket: AsyncFd<OwnedFd>,
    pid: Option<u32>,
    next: AtomicU64,
    pending: Mutex<Pending>,
}

impl Link {
    /// Connects to the shim of a sandbox directory. Must run inside the tokio runtime.
    pub(crate) fn connect(directory: &Path) -> io::Result<Arc<Link>> {
        let socket = wire::connect_in(directory)?;
        let peer = getsockopt(&socket, sockopt::PeerCredentials).ok().and_then(|c| u32::try_from(c.pid()).ok());
        Ok(Arc::new(Link {
            socket: crate::container::sys::watch(socket)?,
            pid: peer.filter(|pid| *pid != 0),
            next: AtomicU64::new(1),
            pending: Mutex::default(),
        }))
    }

    /// The shim's process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pid
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the shim, passing descriptors along.
    pub(crate) async fn call(&self, call: Call, descriptors: &[RawFd]) -> Result<Reply, Failure> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let bytes = wire::encode(&Request { id, call });
        if bytes.len() > wire::MAX_MESSAGE_BYTES {
            return Err(Failure::Other(format!("argument list too long ({} bytes)", bytes.len())));
        }
        let (answered, answer) = oneshot::channel();
        {
            let mut pending = self.pending();
            if pending.closed {
                return Err(gone());
            }
            pending.calls.insert(id, answered);
        }
        let sent = self.socket.async_io(tokio::io::Interest::WRITABLE, |fd| wire::send(fd, &bytes, descriptors)).await;
        if sent.is_err() {
            self.pending().calls.remove(&id);
            return Err(gone());
        }
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Asks for something that a healthy shim does at once. One that does not answer in time counts as gone.
    pub(crate) async fn call_soon(&self, call: Call) -> Result<Reply, Failure> {
        tokio::time::timeout(SOON, self.call(call, &[])).await.unwrap_or_else(|_| Err(gone()))
    }

    /// Reads until the shim is gone, handing on what it tells.
    pub(crate) async fn read(&self, mut told: impl FnMut(Message)) {
        thread_local! {
            static BUFFER: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; wire::MAX_MESSAGE_BYTES]);
        }
        loop {
            let received = self.socket.async_io(tokio::io::Interest::READABLE, |fd| {
                BUFFER.with_borrow_mut(|buffer| {
                    let (length, descriptors) = wire::receive(fd, buffer)?;
                    let message = (length > 0).then(|| serde_json::from_slice::<Message>(&buffer[..length]));
                    Ok((message, descriptors))
                })
            });
            match received.await {
                Ok((Some(Ok(message)), descriptors)) => self.dispatch(message, descriptors, &mut told),
                Ok((Some(Err(_)) | None, _)) | Err(_) => break,
            }
        }
        let mut pending = self.pending();
        pending.closed = true;
        pending.calls.clear();
        pending.execs.clear();
    }

    fn dispatch(&self, message: Message, descriptors: Vec<OwnedFd>, told: &mut impl FnMut(Message)) {
        match message {
            Message::Answer { id, result } => {
                let mut pending = self.pending();
                let Some(waiter) = pending.calls.remove(&id) else { return };
                let mut exit = None;
                if let Ok(Answer::Exec { exec }) = &result {
                    let (ended, end) = oneshot::channel();
                    pending.execs.insert(*exec, ended);
                    exit = Some(end);
                }
                let descriptor = descriptors.into_iter().next();
                let _ = waiter.send(result.map(|answer| Reply { answer, descriptor, exit }));
            }
            Message::ExecExited { exec, exit_code } => {
                if let Some(waiter) = self.pending().execs.remove(&exec) {
                    let _ = waiter.send(exit_code);
                }
            }
            other => told(other),
        }
    }
}

fn gone() -> Failure {
    Failure::NotFound("the pod's shim".to_owned())
}

/// Waits for a packet on a socket that only says one thing.
pub(crate) async fn one_packet(socket: OwnedFd) -> io::Result<Vec<u8>> {
    const MAX_WORD_BYTES: usize = 4096;
    nix::fcntl::fcntl(&socket, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
    let socket = crate::container::sys::watch(socket)?;
    let mut buffer = vec![0; MAX_WORD_BYTES];
    let length = socket.async_io(tokio::io::Interest::READABLE, |fd| Ok(wire::receive(fd, &mut buffer)?.0)).await?;
    buffer.truncate(length);
    Ok(buffer)
}

/// Raw numbers of the descriptors to pass.
pub(crate) fn raw(descriptors: &[OwnedFd]) -> Vec<RawFd> {
    descriptors.iter().map(AsRawFd::as_raw_fd).collect()
}
