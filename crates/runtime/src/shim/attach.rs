//! Clients that watch a container's output. A slow one holds the output back (as a full pipe would), it is never dropped;
//! one that has gone is forgotten.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::log::Stream;
use super::loops::{Pod, ReplyTo};
use super::wire::{Answer, Failure};

/// One attached client's ends.
#[derive(Default)]
pub(super) struct Attached {
    sinks: [Option<Sink>; 2],
}

struct Sink {
    file: File,
    waiting: Vec<u8>,
    /// Nothing more will come: it closes when it is empty.
    ending: bool,
}

impl Sink {
    /// Writes what it can; false when the client has gone.
    fn flush(&mut self) -> bool {
        while !self.waiting.is_empty() {
            match self.file.write(&self.waiting) {
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return true,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.waiting.shrink_to(0);
        true
    }

    /// A pipe whose reader has closed fails every write, also one of nothing.
    fn is_open(&self) -> bool {
        let mut fd = [libc::pollfd { fd: self.file.as_raw_fd(), events: 0, revents: 0 }];
        crate::container::sys::poll(&mut fd, 0);
        fd[0].revents & (libc::POLLERR | libc::POLLHUP) == 0
    }
}

impl Attached {
    /// Passes output on.
    pub(super) fn give(&mut self, stream: Stream, bytes: &[u8]) {
        if let Some(sink) = &mut self.sinks[stream as usize] {
            sink.waiting.extend_from_slice(bytes);
        }
        self.flush();
    }

    /// The stream ended: its sink closes once it is empty.
    pub(super) fn end(&mut self, stream: Stream) {
        if let Some(sink) = &mut self.sinks[stream as usize] {
            sink.ending = true;
        }
        self.flush();
    }

    /// Writes what waits and forgets sinks that are done or whose reader has gone.
    pub(super) fn flush(&mut self) {
        for slot in &mut self.sinks {
            if slot.as_mut().is_some_and(|sink| !sink.flush() || !sink.is_open() || (sink.ending && sink.waiting.is_empty())) {
                *slot = None;
            }
        }
    }

    /// True when output of the stream should wait.
    pub(super) fn is_full(&self, stream: Stream) -> bool {
        self.sinks[stream as usize].as_ref().is_some_and(|sink| !sink.waiting.is_empty())
    }

    /// Open ends and whether they wait to be writable.
    pub(super) fn ends(&self) -> impl Iterator<Item = (RawFd, bool)> + '_ {
        self.sinks.iter().flatten().map(|sink| (sink.file.as_raw_fd(), !sink.waiting.is_empty()))
    }

    /// True when nobody is left.
    pub(super) fn is_gone(&self) -> bool {
        self.sinks.iter().all(Option::is_none)
    }
}

impl Pod {
    /// Adds a client to a container; the answer carries the way in (the terminal or the input pipe), if there is one.
    pub(super) fn attach(&mut self, to: ReplyTo, id: &str, streams: [bool; 2], descriptors: Vec<OwnedFd>) {
        let Some(container) = self.containers.get_mut(id) else {
            return self.answer(to, Err(Failure::NotFound(format!("container {id}"))), None);
        };
        let mut descriptors = descriptors.into_iter();
        let mut attached = Attached::default();
        for (slot, wanted) in attached.sinks.iter_mut().zip(streams) {
            if let Some(fd) = wanted.then(|| descriptors.next()).flatten() {
                let _ = nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK));
                *slot = Some(Sink { file: File::from(fd), waiting: Vec::new(), ending: false });
            }
        }
        let input = container.input().and_then(|fd| fd.try_clone_to_owned().ok());
        container.attached.push(attached);
        self.answer(to, Ok(Answer::Done), input);
    }
}
