//! Commands in running containers (`exec`): their streams are the main process' own pipes, passed through; the shim only
//! starts them and tells how they ended.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::loops::{Pod, ReplyTo};
use super::wire::{self, Answer, Failure, Message};
use crate::container::init::{Init, Stdio};
use crate::container::layout;
use crate::container::spec::Spec;
use crate::container::sys::{self, Fork};

/// A command that is starting or running.
pub(super) struct Exec {
    pub(super) pid: i32,
    to: ReplyTo,
    starting: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
    failure: Option<String>,
}

impl Exec {
    /// The set-up channel, while it is open.
    pub(super) fn report(&self) -> Option<RawFd> {
        self.starting.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// The connection that asked for it.
    pub(super) fn client(&self) -> u64 {
        self.to.client
    }

    /// Kills it with its process group.
    pub(super) fn kill(&self) {
        let _ = sys::kill(-self.pid, libc::SIGKILL);
        let _ = sys::kill(self.pid, libc::SIGKILL);
    }
}

impl Pod {
    /// Starts a command; the answer comes when it runs, or could not.
    pub(super) fn exec(
        &mut self,
        to: ReplyTo,
        id: &str,
        argv: Vec<String>,
        tty: bool,
        streams: [bool; 3],
        descriptors: Vec<OwnedFd>,
    ) {
        let pid = match self.containers.get(id) {
            Some(container) if container.pid > 0 && container.report().is_none() => container.pid,
            _ => return self.answer(to, Err(Failure::NotFound(format!("running container {id}"))), None),
        };
        let mut descriptors = descriptors.into_iter();
        let mut next = |wanted: bool| if wanted { descriptors.next() } else { None };
        let stdio = Stdio { stdin: next(streams[0]), stdout: next(streams[1]), stderr: next(streams[2]) };
        match self.launch_exec(id, pid, argv, tty, stdio) {
            Ok((pid, report)) => {
                let number = self.number();
                self.execs.insert(number, Exec { pid, to, starting: Some(report), terminal: None, failure: None });
            }
            Err(e) => self.answer(to, Err(Failure::Other(crate::container::plain(&e.to_string()))), None),
        }
    }

    fn launch_exec(&self, id: &str, pid: i32, argv: Vec<String>, tty: bool, stdio: Stdio) -> io::Result<(i32, OwnedFd)> {
        let (ours, theirs) = wire::pair()?;
        match self.fork_beside(pid)? {
            (Fork::Parent(pid), _) => Ok((pid, ours)),
            (Fork::Child, namespaces) => {
                let path = self.directory.join(layout::CONTAINERS).join(id).join(layout::SPEC);
                let mut spec: Spec = match layout::read(&path) {
                    Ok(spec) => spec,
                    Err(e) => {
                        let _ = wire::send(&theirs, format!("eread the spec: {e}").as_bytes(), &[]);
                        sys::exit_now(1);
                    }
                };
                (spec.argv, spec.tty) = (argv, tty);
                if tty {
                    spec.env.push("TERM=xterm".to_owned());
                }
                let mut init = Init::new(spec, stdio, theirs);
                init.namespaces = namespaces;
                init.run_exec()
            }
        }
    }

    /// A packet from a command on its way; the end means that it runs.
    pub(super) fn hear_exec(&mut self, number: u64) {
        let Some(exec) = self.execs.get_mut(&number) else { return };
        let Some(report) = &exec.starting else { return };
        let mut buffer = [0; 8192];
        match wire::receive(report, &mut buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return,
            Ok((length, descriptors)) if length > 0 => {
                match buffer[0] {
                    b'c' => exec.terminal = descriptors.into_iter().next(),
                    b'e' => exec.failure = Some(String::from_utf8_lossy(&buffer[1..length]).into_owned()),
                    _ => {}
                }
                return;
            }
            Ok(_) | Err(_) => {}
        }
        exec.starting = None;
        let (to, terminal) = (exec.to, exec.terminal.take());
        let result = match exec.failure.clone() {
            None => Ok(Answer::Exec { exec: number }),
            Some(text) => Err(Failure::Start(text)),
        };
        self.answer(to, result, terminal);
    }

    /// It ended: its client is told, unless it never ran.
    pub(super) fn exec_ended(&mut self, number: u64, code: i32) {
        while self.execs.get(&number).is_some_and(|exec| exec.starting.is_some()) {
            self.hear_exec(number);
        }
        if let Some(exec) = self.execs.remove(&number).filter(|exec| exec.failure.is_none()) {
            self.send(exec.to.client, &Message::ExecExited { exec: number, exit_code: code }, None);
        }
    }
}
