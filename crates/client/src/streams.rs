//! exec, attach and port-forward over WebSocket: the protocols `v5.channel.k8s.io` (KEP-4006) and `v4.channel.k8s.io`, whose
//! messages carry their channel in the first byte.

use crate::error::{from_answer, from_status};
use crate::http_client::{RequestBody, whole};
use crate::{Client, Error};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Method, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

const EXEC_PROTOCOLS: &[&str] = &["v5.channel.k8s.io", "v4.channel.k8s.io"];
const FORWARD_PROTOCOLS: &[&str] = &["v4.channel.k8s.io"];
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;
const CHUNK_BYTES: usize = 32 << 10;
/// How often the peer is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(5);
/// How long output may still come after a local connection has ended.
const FORWARD_LINGER: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// An accepted exec or attach.
pub struct Session {
    socket: Socket,
    /// Whether the end of standard input can be told.
    can_close: bool,
}

/// The ends of a session on our side.
pub struct Ends<I, O, E> {
    pub stdin: Option<I>,
    pub stdout: O,
    pub stderr: E,
    /// Columns and rows of the terminal, now and whenever they change.
    pub sizes: mpsc::Receiver<(u16, u16)>,
}

impl Client {
    /// Opens a WebSocket; the chosen protocol is returned beside it.
    async fn websocket(&self, path: &str, protocols: &[&str]) -> Result<(Socket, String), Error> {
        let mut request = self.request(Method::GET, path, "*/*", RequestBody::Empty)?;
        let key = generate_key();
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let text = |s: &str| HeaderValue::from_str(s).map_err(|e| Error::Config(e.to_string()));
        headers.insert(SEC_WEBSOCKET_KEY, text(&key)?);
        headers.insert(SEC_WEBSOCKET_PROTOCOL, text(&protocols.join(", "))?);
        let response = self.raw(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let code = response.status().as_u16();
            return Err(from_answer(code, &whole(response).await?));
        }
        let header = |name: &http::HeaderName| response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        if header(&SEC_WEBSOCKET_ACCEPT) != derive_accept_key(key.as_bytes()) {
            return Err(Error::Answer("websocket: bad handshake".to_owned()));
        }
        let protocol = header(&SEC_WEBSOCKET_PROTOCOL);
        let upgraded = hyper::upgrade::on(response).await.map_err(|e| Error::Answer(format!("websocket: {e}")))?;
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await;
        Ok((socket, protocol))
    }

    /// Opens `…/pods/x/exec?…` or `…/attach?…`.
    ///
    /// # Errors
    /// The server's own error, before anything runs.
    pub async fn session(&self, path: &str) -> Result<Session, Error> {
        let (socket, protocol) = self.websocket(path, EXEC_PROTOCOLS).await?;
        Ok(Session { socket, can_close: protocol == "v5.channel.k8s.io" })
    }

    /// Joins a local connection with a port of a pod until one of them ends; gives what the node says went wrong.
    ///
    /// # Errors
    /// The server's own error.
    pub async fn forward<S>(&self, path: &str, local: S) -> Result<Option<String>, Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let (socket, _) = self.websocket(path, FORWARD_PROTOCOLS).await?;
        Ok(join(socket, local).await)
    }
}

fn framed(channel: u8, bytes: &[u8]) -> Message {
    let mut out = BytesMut::with_capacity(bytes.len() + 1);
    out.put_u8(channel);
    out.extend_from_slice(bytes);
    Message::Binary(out.freeze())
}

async fn join<S: AsyncRead + AsyncWrite + Send + Unpin>(socket: Socket, local: S) -> Option<String> {
    let (mut sink, mut source) = socket.split();
    let (mut read, mut write) = tokio::io::split(local);
    let outward = async {
        let mut buffer = vec![0; CHUNK_BYTES];
        while let Ok(n) = read.read(&mut buffer).await {
            if n == 0 || sink.send(framed(0, &buffer[..n])).await.is_err() {
                break;
            }
        }
        // The other direction may still have something to say.
        tokio::time::sleep(FORWARD_LINGER).await;
    };
    let inward = async {
        // The first message of each channel is the port's number.
        let mut started = [false; 2];
        while let Some(Ok(message)) = source.next().await {
            let Message::Binary(bytes) = message else { continue };
            let Some(channel @ (0 | 1)) = bytes.first().copied() else { continue };
            if !std::mem::replace(&mut started[usize::from(channel)], true) {
                continue;
            }
            if channel == 1 {
                return Some(String::from_utf8_lossy(&bytes[1..]).into_owned());
            }
            if write.write_all(&bytes[1..]).await.is_err() {
                break;
            }
        }
        // The local end may have gone already.
        let _ = write.shutdown().await;
        None
    };
    tokio::select! {
        () = outward => None,
        wrong = inward => wrong,
    }
}

async fn send_input<I: AsyncRead + Unpin>(stdin: Option<I>, out: mpsc::Sender<Message>, can_close: bool) {
    let Some(mut stdin) = stdin else { return };
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match stdin.read(&mut buffer).await {
            Ok(n) if n > 0 => {
                if out.send(framed(STDIN, &buffer[..n])).await.is_err() {
                    return;
                }
            }
            _ => break,
        }
    }
    if can_close {
        // A session that has ended needs no end of input.
        let _ = out.send(framed(CLOSE, &[STDIN])).await;
    }
}

async fn send_sizes(mut sizes: mpsc::Receiver<(u16, u16)>, out: mpsc::Sender<Message>) {
    while let Some((columns, rows)) = sizes.recv().await {
        let size = json!({ "Width": columns, "Height": rows }).to_string();
        if out.send(framed(RESIZE, size.as_bytes())).await.is_err() {
            return;
        }
    }
}

async fn write_out(mut sink: SplitSink<Socket, Message>, mut queue: mpsc::Receiver<Message>) {
    let mut ticker = tokio::time::interval(PING_EVERY);
    loop {
        let message = tokio::select! {
            message = queue.recv() => message,
            _ = ticker.tick() => Some(Message::Ping(Bytes::new())),
        };
        let Some(message) = message else { break };
        if sink.send(message).await.is_err() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

async fn receive<O, E>(mut source: SplitStream<Socket>, stdout: &mut O, stderr: &mut E) -> Result<Value, Error>
where
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
{
    let broken = |e: std::io::Error| Error::Answer(e.to_string());
    while let Some(message) = source.next().await {
        let bytes: Bytes = match message {
            Ok(Message::Binary(bytes)) => bytes,
            Ok(Message::Close(_)) => break,
            Ok(_) => continue,
            Err(e) => return Err(Error::Answer(format!("error reading from error stream: next reader: {e}"))),
        };
        let Some((channel, data)) = bytes.split_first() else { continue };
        match *channel {
            STDOUT => {
                stdout.write_all(data).await.map_err(broken)?;
                stdout.flush().await.map_err(broken)?;
            }
            STDERR => {
                stderr.write_all(data).await.map_err(broken)?;
                stderr.flush().await.map_err(broken)?;
            }
            ERROR if !data.is_empty() => {
                return serde_json::from_slice(data).map_err(|e| Error::Answer(format!("error stream protocol error: {e}")));
            }
            _ => {}
        }
    }
    Err(Error::Answer("error reading from error stream: next reader: EOF".to_owned()))
}

impl Session {
    /// Runs the session to its end; gives the exit code of the command.
    ///
    /// # Errors
    /// A connection that broke; a command that could not run.
    pub async fn run<I, O, E>(self, mut ends: Ends<I, O, E>) -> Result<i32, Error>
    where
        I: AsyncRead + Send + Unpin,
        O: AsyncWrite + Send + Unpin,
        E: AsyncWrite + Send + Unpin,
    {
        let (sink, source) = self.socket.split();
        let (out, queue) = mpsc::channel(32);
        let inputs = async {
            tokio::join!(send_input(ends.stdin, out.clone(), self.can_close), send_sizes(ends.sizes, out));
            std::future::pending::<()>().await;
        };
        let status = tokio::select! {
            status = receive(source, &mut ends.stdout, &mut ends.stderr) => status?,
            () = async { tokio::join!(inputs, write_out(sink, queue)); } => return Err(Error::Answer("the session ended without a status".to_owned())),
        };
        exit_code(&status)
    }
}

fn exit_code(status: &Value) -> Result<i32, Error> {
    if status["status"] == "Success" {
        return Ok(0);
    }
    if status["reason"] == "NonZeroExitCode" {
        let causes = status["details"]["causes"].as_array().into_iter().flatten();
        let code = causes.filter(|c| c["reason"] == "ExitCode").find_map(|c| c["message"].as_str()?.parse().ok());
        return Ok(code.unwrap_or(1));
    }
    Err(Error::Api(Box::new(from_status(status, 500))))
}
