//! Containers in the shim: starting them, copying their output, recording their end.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::pipe2;

use super::attach::Attached;
use super::log::{Log, Stream};
use super::loops::{Pod, ReplyTo};
use super::wire::{self, Answer, Failure, Message, Record, Start};
use crate::container::cgroup::Cgroup;
use crate::container::init::{Init, Stdio};
use crate::container::layout::{self, now_ns};
use crate::container::sys::{self, Fork};
use crate::cri::NamespaceMode;

/// How long output may still come after the first process ended (others may hold the pipes).
const DRAIN: Duration = Duration::from_secs(2);
/// One read of output.
const CHUNK_BYTES: usize = 16 * 1024;
/// The most that is copied from one stream before others get their turn.
const CHUNKS_A_TURN: usize = 8;
/// Exit code of a container that could not be started.
const START_FAILED: i32 = 128;

/// A container that is starting or running.
pub(super) struct Container {
    pub(super) pid: i32,
    pub(super) attached: Vec<Attached>,
    directory: PathBuf,
    cgroup: Cgroup,
    /// It has a pid namespace of its own: its first process takes all others along.
    own_pids: bool,
    log: Log,
    /// stdout (or the terminal) and stderr.
    outputs: [Option<File>; 2],
    tty: bool,
    stdin: Option<OwnedFd>,
    starting: Option<(OwnedFd, ReplyTo)>,
    failure: Option<String>,
    record: Record,
    ended: Option<(i32, i32, Instant)>,
}

impl Container {
    /// The set-up channel, while it is open.
    pub(super) fn report(&self) -> Option<RawFd> {
        self.starting.as_ref().map(|(fd, _)| fd.as_raw_fd())
    }

    /// Streams to read from: those open that no attached client holds back.
    pub(super) fn readable(&self) -> impl Iterator<Item = (Stream, RawFd)> + '_ {
        [Stream::Stdout, Stream::Stderr]
            .into_iter()
            .filter(|stream| !self.is_held_back(*stream))
            .filter_map(|stream| Some((stream, self.outputs[stream as usize].as_ref()?.as_raw_fd())))
    }

    /// A slow client holds the output back while the container runs; what is left at its end must reach the log.
    fn is_held_back(&self, stream: Stream) -> bool {
        self.ended.is_none() && self.attached.iter().any(|client| client.is_full(stream))
    }

    /// Ends of attached clients.
    pub(super) fn sinks(&self) -> impl Iterator<Item = (RawFd, bool)> + '_ {
        self.attached.iter().flat_map(Attached::ends)
    }

    /// When it is over even if output is still open.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ended.map(|(_, _, at)| at)
    }

    /// Where input goes: the terminal or the pipe.
    pub(super) fn input(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        use std::os::fd::AsFd;
        match (&self.stdin, &self.outputs[0]) {
            (Some(pipe), _) => Some(pipe.as_fd()),
            (None, Some(terminal)) if self.tty => Some(terminal.as_fd()),
            _ => None,
        }
    }

    /// The container sees the end of its input (once all copies are closed).
    pub(super) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Goes on in a new log file.
    pub(super) fn reopen_log(&mut self) -> io::Result<()> {
        self.log.reopen()
    }

    /// Copies what is there to the log and to attached clients.
    pub(super) fn copy_output(&mut self, stream: Stream) {
        let mut chunk = [0; CHUNK_BYTES];
        for _ in 0..CHUNKS_A_TURN {
            if self.is_held_back(stream) {
                return;
            }
            let Some(file) = &mut self.outputs[stream as usize] else { return };
            match file.read(&mut chunk) {
                Ok(length) if length > 0 => {
                    self.log.take(stream, &chunk[..length]);
                    self.attached.iter_mut().for_each(|client| client.give(stream, &chunk[..length]));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // The end of a pipe, or EIO: the last user of the terminal has closed it.
                Ok(_) | Err(_) => {
                    self.close_output(stream);
                    break;
                }
            }
        }
        self.forget_gone();
    }

    fn close_output(&mut self, stream: Stream) {
        self.outputs[stream as usize] = None;
        self.log.finish(stream);
        self.attached.iter_mut().for_each(|client| client.end(stream));
    }

    /// Writes what attached clients wait for.
    pub(super) fn flush_attached(&mut self) {
        self.attached.iter_mut().for_each(Attached::flush);
        self.forget_gone();
    }

    fn forget_gone(&mut self) {
        self.attached.retain(|client| !client.is_gone());
    }

    fn save(&self) {
        if let Err(e) = layout::write(&self.directory.join(layout::STATE), &self.record) {
            eprintln!("cannot write {}: {e}", self.directory.join(layout::STATE).display());
        }
    }
}

/// Both ends of the standard streams.
struct Pipes {
    child: Stdio,
    outputs: [Option<File>; 2],
    stdin: Option<OwnedFd>,
}

fn make_pipes(start: &Start) -> io::Result<Pipes> {
    let mut pipes = Pipes { child: Stdio::default(), outputs: [None, None], stdin: None };
    if start.tty {
        return Ok(pipes);
    }
    let output = || -> io::Result<(File, OwnedFd)> {
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
        nix::fcntl::fcntl(&ours, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok((File::from(ours), theirs))
    };
    let (stdout, stderr) = (output()?, output()?);
    pipes.outputs = [Some(stdout.0), Some(stderr.0)];
    (pipes.child.stdout, pipes.child.stderr) = (Some(stdout.1), Some(stderr.1));
    if start.stdin {
        let (theirs, ours) = pipe2(OFlag::O_CLOEXEC)?;
        (pipes.child.stdin, pipes.stdin) = (Some(theirs), Some(ours));
    }
    Ok(pipes)
}

impl Pod {
    /// Starts a container; the answer comes when its program runs, or could not.
    pub(super) fn start(&mut self, to: ReplyTo, start: Start) {
        if let Some(container) = self.containers.get(&start.container) {
            let result = match container.starting {
                Some(_) => Err(Failure::Other("the container is being started".to_owned())),
                None => Ok(Answer::Started(container.record.clone())),
            };
            return self.answer(to, result, None);
        }
        match self.launch(to, &start) {
            Ok(container) => drop(self.containers.insert(start.container, container)),
            Err(e) => self.answer(to, Err(Failure::Other(crate::container::plain(&e.to_string()))), None),
        }
    }

    fn launch(&mut self, to: ReplyTo, start: &Start) -> io::Result<Container> {
        let directory = self.directory.join(layout::CONTAINERS).join(&start.container);
        let log = Log::open(start.log_path.clone())?;
        let pipes = make_pipes(start)?;
        let (ours, theirs) = wire::pair()?;
        let pid = match self.fork_into(&start.pid_mode)? {
            Fork::Parent(pid) => pid,
            Fork::Child => {
                let spec = match layout::read(&directory.join(layout::SPEC)) {
                    Ok(spec) => spec,
                    Err(e) => {
                        let _ = wire::send(&theirs, format!("eread the spec: {e}").as_bytes(), &[]);
                        sys::exit_now(START_FAILED);
                    }
                };
                let mut init = Init::new(spec, pipes.child, theirs);
                init.shm = self.shm.as_ref().and_then(|fd| fd.try_clone().ok());
                init.run_container()
            }
        };
        Ok(Container {
            pid,
            attached: Vec::new(),
            directory,
            cgroup: Cgroup::at(&start.cgroup),
            own_pids: start.pid_mode == NamespaceMode::Container,
            log,
            outputs: pipes.outputs,
            tty: start.tty,
            stdin: pipes.stdin,
            starting: Some((ours, to)),
            failure: None,
            record: Record { pid, ..Record::default() },
            ended: None,
        })
    }

    /// Forks a child into the pid namespace that the mode means.
    fn fork_into(&self, mode: &NamespaceMode) -> io::Result<Fork> {
        match mode {
            NamespaceMode::Node => return sys::fork(),
            NamespaceMode::Container => unshare(CloneFlags::CLONE_NEWPID)?,
            NamespaceMode::Pod => {
                let shared = self.pid_namespace.as_ref().ok_or_else(|| io::Error::other("the pod shares no pid namespace"))?;
                setns(shared, CloneFlags::CLONE_NEWPID)?;
            }
            NamespaceMode::Target(id) => {
                let target = self.containers.get(id).ok_or_else(|| io::Error::other(format!("container {id} does not run")))?;
                setns(self.pids_of(target.pid)?, CloneFlags::CLONE_NEWPID)?;
            }
        }
        let forked = sys::fork();
        if !matches!(forked, Ok(Fork::Child)) {
            setns(&self.own_pid_namespace, CloneFlags::CLONE_NEWPID)?;
        }
        forked
    }

    fn pids_of(&self, pid: i32) -> io::Result<OwnedFd> {
        Ok(File::open(format!("/proc/{pid}/ns/pid"))?.into())
    }

    /// Forks a child into a running container's pid namespace, for a command; and the namespaces it will join itself.
    pub(super) fn fork_beside(&self, pid: i32) -> io::Result<(Fork, Vec<OwnedFd>)> {
        let mut namespaces = Vec::new();
        for name in ["cgroup", "mnt"] {
            namespaces.push(File::open(format!("/proc/{pid}/ns/{name}"))?.into());
        }
        setns(self.pids_of(pid)?, CloneFlags::CLONE_NEWPID)?;
        let forked = sys::fork();
        if !matches!(forked, Ok(Fork::Child)) {
            setns(&self.own_pid_namespace, CloneFlags::CLONE_NEWPID)?;
        }
        Ok((forked?, namespaces))
    }

    /// A packet from a child on its way: its terminal, who it is, a warning, an error; the end means that it runs.
    pub(super) fn hear_container(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let Some((report, to)) = &container.starting else { return };
        let to = *to;
        let mut buffer = [0; 8192];
        match wire::receive(report, &mut buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return,
            Ok((length, descriptors)) if length > 0 => {
                let text = String::from_utf8_lossy(&buffer[1..length]).into_owned();
                match buffer[0] {
                    b'c' => {
                        container.outputs[0] = descriptors.into_iter().next().map(|fd| {
                            let _ = nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
                            File::from(fd)
                        });
                    }
                    b'u' => container.record.identity = serde_json::from_str(&text).ok(),
                    b'e' => container.failure = Some(text),
                    _ => eprintln!("container {id}: {text}"),
                }
                return;
            }
            Ok(_) | Err(_) => {}
        }
        container.starting = None;
        match container.failure.clone() {
            None => {
                container.record.started_at_ns = now_ns();
                container.save();
                let record = container.record.clone();
                self.answer(to, Ok(Answer::Started(record.clone())), None);
                self.tell_all(&Message::Started { container: id.to_owned(), record });
            }
            Some(text) => {
                container.record = Record {
                    finished_at_ns: now_ns(),
                    exit_code: START_FAILED,
                    reason: "StartError".to_owned(),
                    message: crate::container::start_error(&text),
                    ..Record::default()
                };
                container.save();
                self.answer(to, Err(Failure::Start(text)), None);
            }
        }
    }

    /// The first process ended; what it left in the pipes may still be read.
    pub(super) fn container_ended(&mut self, id: &str, code: i32, signal: i32) {
        while self.containers.get(id).is_some_and(|c| c.starting.is_some()) {
            self.hear_container(id);
        }
        if let Some(container) = self.containers.get_mut(id) {
            container.ended = Some((code, signal, Instant::now() + DRAIN));
            container.pid = 0;
            if !container.own_pids {
                container.cgroup.kill();
            }
            container.copy_output(Stream::Stdout);
            container.copy_output(Stream::Stderr);
        }
    }

    /// Records the end of containers whose output is drained.
    pub(super) fn finish_ended(&mut self) {
        let now = Instant::now();
        let over = |c: &Container| {
            c.ended.is_some_and(|(_, _, deadline)| deadline <= now || c.outputs.iter().all(Option::is_none) || c.tty)
        };
        while let Some(id) = self.containers.iter().find(|(_, c)| over(c)).map(|(id, _)| id.clone()) {
            self.finish(&id);
        }
    }

    fn finish(&mut self, id: &str) {
        let Some(mut container) = self.containers.remove(id) else { return };
        let Some((code, signal, _)) = container.ended else { return };
        for stream in [Stream::Stdout, Stream::Stderr] {
            container.close_output(stream);
        }
        if container.failure.is_none() {
            let record = &mut container.record;
            (record.exit_code, record.signal, record.finished_at_ns) = (code, signal, now_ns());
            record.reason = match (container.cgroup.oom_kills(), code) {
                (0, 0) => "Completed",
                (0, _) => "Error",
                _ => "OOMKilled",
            }
            .to_owned();
            container.save();
            let record = container.record.clone();
            self.tell_all(&Message::Exited { container: id.to_owned(), record });
        }
        container.forget_gone();
        self.lingering.append(&mut container.attached);
        container.cgroup.kill();
        if let Err(e) = container.cgroup.remove() {
            eprintln!("container {id}: cannot remove its cgroup: {e}");
        }
        sys::trim_heap();
    }

    /// Signals a container's first process, or all of it.
    pub(super) fn kill(&mut self, id: &str, signal: i32, all: bool) -> Result<(), Failure> {
        let container = self.containers.get(id).ok_or_else(|| Failure::NotFound(format!("container {id}")))?;
        if all && !container.own_pids {
            container.cgroup.kill();
        }
        if container.pid > 0 {
            sys::kill(container.pid, signal).map_err(|e| Failure::Other(format!("kill: {e}")))?;
        }
        Ok(())
    }

    /// Kills everything, removes the sandbox' groups, ends.
    pub(super) fn shut_down(&mut self) -> ! {
        for container in self.containers.values() {
            container.cgroup.kill();
            if container.pid > 0 {
                let _ = sys::kill(container.pid, libc::SIGKILL);
            }
        }
        let _ = fs::remove_file(self.directory.join("shim.sock"));
        sys::exit_now(0)
    }
}
