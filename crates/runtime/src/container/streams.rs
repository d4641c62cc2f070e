//! Commands and attached clients: joining the caller's byte streams to pipes and terminals.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, Interest};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::link::{self, Link, Reply};
use super::{Core, errors, sys};
use crate::cri::{ExecOutput, ExecRequest, RuntimeError, Streams};
use crate::shim::wire::Call;

/// The most output that a collected command may have; the rest is read and dropped.
const MAX_COLLECTED_BYTES: usize = 16 * 1024 * 1024;
/// How long output may still come after a command ended (what it started may hold the pipes).
const DRAIN: Duration = Duration::from_secs(2);
const CHUNK_BYTES: usize = 16 * 1024;

/// A terminal's master in the event loop. The end of its last user reads as the end.
struct Terminal(AsyncFd<File>);

impl Terminal {
    fn new(fd: OwnedFd) -> io::Result<Arc<Terminal>> {
        nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
        Ok(Arc::new(Terminal(crate::container::sys::watch(File::from(fd))?)))
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.async_io(Interest::READABLE, |mut file| file.read(buffer)).await {
            Err(e) if e.raw_os_error() == Some(libc::EIO) => Ok(0),
            other => other,
        }
    }

    async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.0.async_io(Interest::WRITABLE, |mut file| file.write(bytes)).await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    fn resize(&self, columns: u16, rows: u16) {
        // A terminal whose session has ended takes no size.
        let _ = sys::set_window_size(self.0.get_ref(), columns, rows);
    }
}

/// Ends a task when its owner goes.
struct Abort(JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn task(work: impl Future<Output = ()> + Send + 'static) -> Abort {
    Abort(tokio::spawn(work))
}

/// The ends of a set of pipes that a process gets, and ours.
#[derive(Default)]
struct Pipes {
    theirs: Vec<OwnedFd>,
    stdin: Option<pipe::Sender>,
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
}

impl Pipes {
    fn new(stdin: bool, stdout: bool, stderr: bool) -> Result<Pipes, RuntimeError> {
        let mut pipes = Pipes::default();
        let fail = errors::io("create pipes");
        let mut make = || -> io::Result<()> {
            if stdin {
                let (ours, theirs) = pipe::pipe()?;
                pipes.stdin = Some(ours);
                pipes.theirs.push(theirs.into_blocking_fd()?);
            }
            for (wanted, slot) in [(stdout, &mut pipes.stdout), (stderr, &mut pipes.stderr)] {
                if wanted {
                    let (theirs, ours) = pipe::pipe()?;
                    *slot = Some(ours);
                    pipes.theirs.push(theirs.into_blocking_fd()?);
                }
            }
            Ok(())
        };
        make().map_err(fail)?;
        Ok(pipes)
    }
}

/// Copies until either side ends.
async fn copy_out(mut from: pipe::Receiver, mut to: DuplexStream) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

/// Copies until the client has no more input, then closes the pipe: the process sees the end.
async fn copy_in(mut from: DuplexStream, mut to: pipe::Sender) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

async fn terminal_out(terminal: Arc<Terminal>, mut to: DuplexStream) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(length @ 1..) = terminal.read(&mut buffer).await {
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

async fn terminal_in(mut from: DuplexStream, terminal: Arc<Terminal>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if terminal.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
}

async fn follow_size(mut sizes: mpsc::Receiver<(u16, u16)>, terminal: Arc<Terminal>) {
    while let Some((columns, rows)) = sizes.recv().await {
        terminal.resize(columns, rows);
    }
}

/// Reads to the end, keeping a bounded part.
async fn collect(pipe: Option<pipe::Receiver>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        let room = MAX_COLLECTED_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..length.min(room)]);
    }
}

/// Kills a command whose caller has gone or lost patience.
struct KillOnDrop {
    link: Arc<Link>,
    exec: Option<u64>,
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let (Some(exec), Ok(runtime)) = (self.exec.take(), tokio::runtime::Handle::try_current()) {
            let link = self.link.clone();
            runtime.spawn(async move {
                let _ = link.call_soon(Call::KillExec { exec }).await;
            });
        }
    }
}

impl Core {
    async fn start_exec(
        &self,
        id: &str,
        argv: Vec<String>,
        tty: bool,
        streams: [bool; 3],
        descriptors: Vec<OwnedFd>,
    ) -> Result<(Reply, Arc<Link>), RuntimeError> {
        let (container, link) = self.reach(id)?;
        if !container.is_running() {
            return Err(RuntimeError::Internal(format!("container {id:?} is not running")));
        }
        if argv.is_empty() {
            return Err(RuntimeError::InvalidArgument("command is empty".to_owned()));
        }
        let call = Call::Exec { container: id.to_owned(), argv, tty, streams };
        let reply = link.call(call, &link::raw(&descriptors)).await.map_err(|failure| errors::of_exec(failure, id))?;
        Ok((reply, link))
    }

    /// Runs a command to its end and keeps its output.
    pub(super) async fn exec_sync(
        &self,
        id: &str,
        command: Vec<String>,
        timeout: Option<Duration>,
    ) -> Result<ExecOutput, RuntimeError> {
        let mut pipes = Pipes::new(false, true, true)?;
        let theirs = std::mem::take(&mut pipes.theirs);
        let (reply, link) = self.start_exec(id, command, false, [false, true, true], theirs).await?;
        let mut guard = KillOnDrop { link, exec: reply.exec() };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let exit = reply.exit;
        let run = async {
            let outputs = async { tokio::join!(collect(pipes.stdout, &mut stdout), collect(pipes.stderr, &mut stderr)) };
            tokio::pin!(outputs);
            let ended = exit_code(exit);
            tokio::pin!(ended);
            tokio::select! {
                code = &mut ended => {
                    let _ = tokio::time::timeout(DRAIN, outputs).await;
                    code
                }
                _ = &mut outputs => ended.await,
            }
        };
        let exit_code = match timeout {
            None => run.await?,
            Some(limit) => match tokio::time::timeout(limit, run).await {
                Ok(code) => code?,
                Err(_) => return Err(RuntimeError::Timeout { seconds: limit.as_secs() }),
            },
        };
        guard.exec = None;
        Ok(ExecOutput { stdout, stderr, exit_code })
    }

    /// Runs a command joined to the caller's streams.
    pub(super) async fn exec(&self, request: ExecRequest, streams: Streams) -> Result<i32, RuntimeError> {
        let tty = request.tty;
        let wanted = [request.stdin && !tty, request.stdout && !tty, request.stderr && !tty];
        let mut pipes = Pipes::new(wanted[0], wanted[1], wanted[2])?;
        let theirs = std::mem::take(&mut pipes.theirs);
        let (reply, _link) = self.start_exec(&request.container_id, request.command, tty, wanted, theirs).await?;
        let exit = reply.exit;
        let mut inputs = Vec::new();
        let mut outputs = Vec::new();
        if tty {
            let fd = reply.descriptor.ok_or_else(|| RuntimeError::Internal("the terminal is missing".to_owned()))?;
            let terminal = Terminal::new(fd).map_err(errors::io("use the terminal"))?;
            inputs.extend(streams.resize.map(|sizes| task(follow_size(sizes, terminal.clone()))));
            inputs.extend(streams.stdin.map(|stdin| task(terminal_in(stdin, terminal.clone()))));
            outputs.extend(streams.stdout.map(|stdout| task(terminal_out(terminal.clone(), stdout))));
        } else {
            inputs.extend(streams.stdin.zip(pipes.stdin).map(|(from, to)| task(copy_in(from, to))));
            outputs.extend(streams.stdout.zip(pipes.stdout).map(|(to, from)| task(copy_out(from, to))));
            outputs.extend(streams.stderr.zip(pipes.stderr).map(|(to, from)| task(copy_out(from, to))));
        }
        let code = exit_code(exit).await?;
        drop(inputs);
        let drained = async {
            for output in &mut outputs {
                let _ = (&mut output.0).await;
            }
        };
        let _ = tokio::time::timeout(DRAIN, drained).await;
        Ok(code)
    }

    /// Joins a container's own streams until it ends or the caller goes.
    pub(super) async fn attach(&self, id: &str, streams: Streams) -> Result<(), RuntimeError> {
        let (container, link) = self.reach(id)?;
        let config = &container.file.config;
        let wanted = [streams.stdout.is_some(), streams.stderr.is_some() && !config.tty];
        let mut pipes = Pipes::new(false, wanted[0], wanted[1])?;
        let theirs = std::mem::take(&mut pipes.theirs);
        let call = Call::Attach { container: id.to_owned(), streams: wanted };
        let reply = link.call(call, &link::raw(&theirs)).await.map_err(errors::of_call)?;
        drop(theirs);
        let mut inputs = Vec::new();
        if let Some(fd) = reply.descriptor {
            if config.tty {
                let terminal = Terminal::new(fd).map_err(errors::io("use the terminal"))?;
                inputs.extend(streams.resize.map(|sizes| task(follow_size(sizes, terminal.clone()))));
                inputs.extend(streams.stdin.map(|stdin| task(terminal_in(stdin, terminal.clone()))));
            } else if let Some(stdin) = streams.stdin {
                let pipe = pipe::Sender::from_owned_fd(fd).map_err(errors::io("use the input pipe"))?;
                let once = config.stdin_once.then(|| (link.clone(), id.to_owned()));
                inputs.push(task(async move {
                    copy_in(stdin, pipe).await;
                    if let Some((link, container)) = once {
                        let _ = link.call(Call::CloseStdin { container }, &[]).await;
                    }
                }));
            }
        }
        let (stdout, stderr) = (streams.stdout.zip(pipes.stdout), streams.stderr.zip(pipes.stderr));
        if stdout.is_none() && stderr.is_none() {
            let _ = container.record.subscribe().wait_for(|record| record.finished_at_ns != 0).await;
            return Ok(());
        }
        let copy = |ends: Option<(DuplexStream, pipe::Receiver)>| async move {
            if let Some((to, from)) = ends {
                copy_out(from, to).await;
            }
        };
        tokio::join!(copy(stdout), copy(stderr));
        Ok(())
    }
}

async fn exit_code(exit: Option<tokio::sync::oneshot::Receiver<i32>>) -> Result<i32, RuntimeError> {
    let lost = || RuntimeError::Internal("the pod's shim ended while the command ran".to_owned());
    exit.ok_or_else(lost)?.await.map_err(|_| lost())
}
