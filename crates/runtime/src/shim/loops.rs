//! The shim's one loop: wait for descriptors, do what is due. Nothing blocks longer than a file write.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::Instant;

use nix::sys::signalfd::SignalFd;

use super::attach::Attached;
use super::containers::Container;
use super::exec::Exec;
use super::log::Stream;
use super::wire::{self, Answer, Call, Failure, Message, Request};
use crate::container::sys;

/// Messages kept for a main process that does not read; more and it is let go (it lists again when it comes back).
const MAX_QUEUED: usize = 1024;

/// Something to wait for.
enum Source {
    Signals,
    Listener,
    Client(u64),
    /// The set-up channel of a container that is starting.
    Starting(String),
    Output(String, Stream),
    Attached(String),
    Lingering,
    /// The set-up channel of a command that is starting.
    ExecStarting(u64),
}

/// A connected main process.
struct Client {
    socket: OwnedFd,
    queue: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
}

/// Where an answer goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplyTo {
    pub(super) client: u64,
    pub(super) id: u64,
}

/// Everything a shim holds.
pub(super) struct Pod {
    pub(super) directory: PathBuf,
    pub(super) own_pid_namespace: OwnedFd,
    /// The one that containers share, if they do.
    pub(super) pid_namespace: Option<OwnedFd>,
    pub(super) shm: Option<OwnedFd>,
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) execs: BTreeMap<u64, Exec>,
    /// Clients of containers that have ended, with output that they have not read yet.
    pub(super) lingering: Vec<Attached>,
    signals: SignalFd,
    listener: OwnedFd,
    clients: BTreeMap<u64, Client>,
    next: u64,
    buffer: Vec<u8>,
}

impl Pod {
    /// A pod that is set up and has no containers yet.
    pub(super) fn new(
        directory: PathBuf,
        own_pid_namespace: OwnedFd,
        pid_namespace: Option<OwnedFd>,
        shm: Option<OwnedFd>,
        signals: SignalFd,
        listener: OwnedFd,
    ) -> Pod {
        Pod {
            directory,
            own_pid_namespace,
            pid_namespace,
            shm,
            containers: BTreeMap::new(),
            execs: BTreeMap::new(),
            lingering: Vec::new(),
            signals,
            listener,
            clients: BTreeMap::new(),
            next: 1,
            // Only the pages that messages touch ever become memory.
            buffer: vec![0; wire::MAX_MESSAGE_BYTES],
        }
    }

    /// A number not used before.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Serves until told to shut down.
    pub(super) fn run(mut self) -> ! {
        loop {
            let mut sources = Vec::new();
            let mut fds = Vec::new();
            self.collect(&mut |source, fd, events| {
                sources.push(source);
                fds.push(libc::pollfd { fd, events, revents: 0 });
            });
            sys::poll(&mut fds, self.timeout_ms());
            for (source, fd) in sources.into_iter().zip(&fds).filter(|(_, fd)| fd.revents != 0) {
                self.handle(source, fd.revents);
            }
            self.finish_ended();
        }
    }

    fn collect(&self, add: &mut dyn FnMut(Source, RawFd, i16)) {
        add(Source::Signals, self.signals.as_raw_fd(), libc::POLLIN);
        add(Source::Listener, self.listener.as_raw_fd(), libc::POLLIN);
        for (number, client) in &self.clients {
            let out = if client.queue.is_empty() { 0 } else { libc::POLLOUT };
            add(Source::Client(*number), client.socket.as_raw_fd(), libc::POLLIN | out);
        }
        for (id, container) in &self.containers {
            if let Some(report) = container.report() {
                add(Source::Starting(id.clone()), report, libc::POLLIN);
            }
            for (stream, fd) in container.readable() {
                add(Source::Output(id.clone(), stream), fd, libc::POLLIN);
            }
            for (fd, waiting) in container.sinks() {
                add(Source::Attached(id.clone()), fd, if waiting { libc::POLLOUT } else { 0 });
            }
        }
        for (fd, _) in self.lingering.iter().flat_map(Attached::ends) {
            add(Source::Lingering, fd, libc::POLLOUT);
        }
        for (number, exec) in &self.execs {
            if let Some(report) = exec.report() {
                add(Source::ExecStarting(*number), report, libc::POLLIN);
            }
        }
    }

    fn timeout_ms(&self) -> i32 {
        let deadline = self.containers.values().filter_map(Container::deadline).min();
        deadline.map_or(-1, |at| at.saturating_duration_since(Instant::now()).as_millis() as i32 + 1)
    }

    fn handle(&mut self, source: Source, events: i16) {
        match source {
            Source::Signals => self.reap(),
            Source::Listener => self.accept(),
            Source::Client(number) => {
                if events & libc::POLLOUT != 0 {
                    self.flush(number);
                }
                if events & (libc::POLLIN | libc::POLLHUP | libc::POLLERR) != 0 {
                    self.read_client(number);
                }
            }
            Source::Starting(id) => self.hear_container(&id),
            Source::Output(id, stream) => {
                if let Some(container) = self.containers.get_mut(&id) {
                    container.copy_output(stream);
                }
            }
            Source::Attached(id) => {
                if let Some(container) = self.containers.get_mut(&id) {
                    container.flush_attached();
                }
            }
            Source::Lingering => {
                self.lingering.iter_mut().for_each(Attached::flush);
                self.lingering.retain(|client| !client.is_gone());
            }
            Source::ExecStarting(number) => self.hear_exec(number),
        }
    }

    fn reap(&mut self) {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        while let Some((pid, code, signal)) = sys::collect_child() {
            if let Some(id) = self.containers.iter().find(|(_, c)| c.pid == pid).map(|(id, _)| id.clone()) {
                self.container_ended(&id, code, signal);
            } else if let Some(number) = self.execs.iter().find(|(_, e)| e.pid == pid).map(|(number, _)| *number) {
                self.exec_ended(number, code);
            }
        }
    }

    fn accept(&mut self) {
        if let Ok(socket) = wire::accept(&self.listener) {
            let number = self.number();
            self.clients.insert(number, Client { socket, queue: VecDeque::new() });
        }
    }

    fn read_client(&mut self, number: u64) {
        let Some(client) = self.clients.get(&number) else { return };
        match wire::receive(&client.socket, &mut self.buffer) {
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Ok((length, descriptors)) if length > 0 => match serde_json::from_slice::<Request>(&self.buffer[..length]) {
                Ok(request) => self.serve(ReplyTo { client: number, id: request.id }, request.call, descriptors),
                Err(e) => {
                    eprintln!("a message that is none: {e}");
                    self.disconnect(number);
                }
            },
            Ok(_) | Err(_) => self.disconnect(number),
        }
    }

    /// A main process that is gone takes its commands with it; containers stay.
    fn disconnect(&mut self, number: u64) {
        self.clients.remove(&number);
        self.execs.values().filter(|exec| exec.client() == number).for_each(Exec::kill);
    }

    fn serve(&mut self, to: ReplyTo, call: Call, descriptors: Vec<OwnedFd>) {
        let done = match call {
            Call::Start(start) => return self.start(to, start),
            Call::Exec { container, argv, tty, streams } => return self.exec(to, &container, argv, tty, streams, descriptors),
            Call::Attach { container, streams } => return self.attach(to, &container, streams, descriptors),
            Call::Socket { v6 } => return self.give_socket(to, v6),
            Call::Shutdown => self.shut_down(),
            Call::Kill { container, signal, all } => self.kill(&container, signal, all),
            Call::KillExec { exec } => {
                self.execs.get(&exec).iter().for_each(|exec| exec.kill());
                Ok(())
            }
            Call::CloseStdin { container } => self.with(&container, |c| {
                c.close_stdin();
                Ok(())
            }),
            Call::ReopenLog { container } => {
                self.with(&container, |c| c.reopen_log().map_err(|e| Failure::Other(format!("reopen the log: {e}"))))
            }
        };
        self.answer(to, done.map(|()| Answer::Done), None);
    }

    fn with(&mut self, id: &str, act: impl FnOnce(&mut Container) -> Result<(), Failure>) -> Result<(), Failure> {
        act(self.containers.get_mut(id).ok_or_else(|| Failure::NotFound(format!("container {id}")))?)
    }

    fn give_socket(&mut self, to: ReplyTo, v6: bool) {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
        let family = if v6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
        match socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None) {
            Ok(socket) => self.answer(to, Ok(Answer::Done), Some(socket)),
            Err(e) => self.answer(to, Err(Failure::Other(format!("socket: {e}"))), None),
        }
    }

    /// Sends an answer.
    pub(super) fn answer(&mut self, to: ReplyTo, result: Result<Answer, Failure>, descriptor: Option<OwnedFd>) {
        self.send(to.client, &Message::Answer { id: to.id, result }, descriptor);
    }

    /// Tells every main process that is connected.
    pub(super) fn tell_all(&mut self, message: &Message) {
        let numbers: Vec<u64> = self.clients.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.send(number, message, None));
    }

    /// Sends one message, or queues it when the socket is full.
    pub(super) fn send(&mut self, number: u64, message: &Message, descriptor: Option<OwnedFd>) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        client.queue.push_back((wire::encode(message), descriptor));
        if client.queue.len() > MAX_QUEUED {
            return self.disconnect(number);
        }
        self.flush(number);
    }

    fn flush(&mut self, number: u64) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        while let Some((bytes, descriptor)) = client.queue.front() {
            let descriptors: Vec<RawFd> = descriptor.iter().map(AsRawFd::as_raw_fd).collect();
            match wire::send(&client.socket, bytes, &descriptors) {
                Ok(()) => drop(client.queue.pop_front()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.disconnect(number),
            }
        }
        client.queue.shrink_to(0);
    }
}
