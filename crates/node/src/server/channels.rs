//! A streaming session without its carrier: what the client sends, what it gets, and the runtime between them.
//!
//! Docs: "Container Runtime Interface streaming", remotecommand protocols v4 and v5 (KEP-4006).

use crate::hands::{Hands, chain};
use bytes::Bytes;
use runtime::cri::{ExecRequest, RuntimeError, Streams};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;

/// Bytes that wait on a pipe, one way.
const PIPE_BYTES: usize = 64 << 10;
const CHUNK_BYTES: usize = 32 << 10;
/// Messages that wait, one way.
pub(crate) const QUEUE_MAX: usize = 32;

/// What a client sends. The end of the queue is the end of the connection.
#[derive(Debug)]
pub(crate) enum FromClient {
    Stdin(Bytes),
    StdinClosed,
    /// Columns, rows.
    Resize(u16, u16),
}

/// Where output belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Stdout,
    Stderr,
    /// How it ended: a metav1.Status.
    Error,
}

/// What a client gets.
#[derive(Debug)]
pub(crate) enum ToClient {
    Data(Channel, Bytes),
    End(Channel),
}

/// What a session joins.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) container: String,
    /// Empty: attach to the container's own process.
    pub(crate) command: Option<Vec<String>>,
    pub(crate) tty: bool,
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    /// The protocol's fourth version and later: the end is told as a metav1.Status, also a good one. Before that only
    /// errors are told, as text.
    pub(crate) tells_status: bool,
}

/// A terminal's size as clients send it.
pub(crate) fn size(json: &[u8]) -> Option<(u16, u16)> {
    let v: serde_json::Value = serde_json::from_slice(json).ok()?;
    let n = |k: &str| v.get(k)?.as_u64().and_then(|n| u16::try_from(n).ok());
    Some((n("Width")?, n("Height")?))
}

fn status(result: Result<i32, RuntimeError>) -> serde_json::Value {
    match result {
        Ok(0) => serde_json::json!({"metadata": {}, "status": "Success"}),
        Ok(code) => serde_json::json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Err(e) => serde_json::json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("Internal error occurred: error executing command in container: {}", chain(&e)),
            "reason": "InternalError",
            "details": {"causes": [{"message": format!("error executing command in container: {}", chain(&e))}]},
            "code": 500,
        }),
    }
}

async fn input(mut from: mpsc::Receiver<FromClient>, mut stdin: Option<DuplexStream>, resize: mpsc::Sender<(u16, u16)>) {
    while let Some(message) = from.recv().await {
        match message {
            FromClient::Stdin(bytes) => {
                let broken = match &mut stdin {
                    Some(pipe) => pipe.write_all(&bytes).await.is_err(),
                    None => false,
                };
                if broken {
                    // The process reads no more; what follows is dropped.
                    stdin = None;
                }
            }
            FromClient::StdinClosed => stdin = None,
            // A size that nobody waits for is no loss: the next one counts.
            FromClient::Resize(w, h) => drop(resize.try_send((w, h))),
        }
    }
}

async fn output(pipe: Option<DuplexStream>, channel: Channel, to: mpsc::Sender<ToClient>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = bytes::BytesMut::new();
    loop {
        buffer.reserve(CHUNK_BYTES);
        match pipe.read_buf(&mut buffer).await {
            Ok(n) if n > 0 => {
                if to.send(ToClient::Data(channel, buffer.split().freeze())).await.is_err() {
                    return;
                }
            }
            _ => break,
        }
    }
    // The carrier has gone: nobody waits for the end.
    let _ = to.send(ToClient::End(channel)).await;
}

fn pipe(wanted: bool) -> (Option<DuplexStream>, Option<DuplexStream>) {
    if !wanted {
        return (None, None);
    }
    let (ours, theirs) = duplex(PIPE_BYTES);
    (Some(ours), Some(theirs))
}

/// Runs a session to its end: of the process, or of the client.
pub(crate) async fn run(hands: Arc<Hands>, s: Session, from: mpsc::Receiver<FromClient>, to: mpsc::Sender<ToClient>) {
    let (stdin, their_stdin) = pipe(s.stdin);
    let (stdout, their_stdout) = pipe(s.stdout);
    let (stderr, their_stderr) = pipe(s.stderr && !s.tty);
    let (resize_in, resize) = mpsc::channel(QUEUE_MAX);
    let tells_status = s.tells_status;
    let streams = Streams { stdin: their_stdin, stdout: their_stdout, stderr: their_stderr, resize: s.tty.then_some(resize) };
    let process = async {
        match s.command {
            Some(command) => {
                let request = ExecRequest {
                    container_id: s.container,
                    command,
                    tty: s.tty,
                    stdin: s.stdin,
                    stdout: s.stdout,
                    stderr: s.stderr && !s.tty,
                };
                hands.runtime.exec(request, streams).await
            }
            None => hands.runtime.attach(&s.container, streams).await.map(|()| 0),
        }
    };
    let (out, err) = (to.clone(), to.clone());
    let work = async {
        let ends = (output(stdout, Channel::Stdout, out), output(stderr, Channel::Stderr, err));
        let (result, (), ()) = tokio::join!(process, ends.0, ends.1);
        result
    };
    let result = tokio::select! {
        result = work => result,
        () = input(from, stdin, resize_in) => return,
    };
    let told = status(result);
    let text = match tells_status {
        true => Some(told.to_string()),
        false => told.get("message").and_then(serde_json::Value::as_str).map(str::to_owned),
    };
    if let Some(text) = text {
        // The carrier has gone: nobody wants to know.
        let _ = to.send(ToClient::Data(Channel::Error, text.into())).await;
    }
    let _ = to.send(ToClient::End(Channel::Error)).await;
}
