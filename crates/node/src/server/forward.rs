//! `/portForward`: connections to ports of a pod, over SPDY streams, SPDY tunnelled in a WebSocket, or WebSocket
//! channels.

use super::answer::Answer;
use super::query::Query;
use super::websocket::Socket;
use super::{Server, spdy, websocket};
use crate::hands::{Hands, chain};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use http::Request;
use hyper::body::Incoming;
use kinds::ApiError;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, WriteHalf, duplex};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

/// SPDY inside WebSocket messages (kubectl 1.31 and later).
const TUNNELLED: &str = "SPDY/3.1+portforward.k8s.io";
/// Channels inside WebSocket messages.
const CHANNELS: &[&str] = &["v4.channel.k8s.io"];
const PIPE_BYTES: usize = 64 << 10;
const QUEUE_MAX: usize = 32;
/// Ports of one WebSocket.
const PORTS_MAX: usize = 100;

/// A pod's ports.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) hands: Arc<Hands>,
    sandbox: String,
    pod: String,
    uid: String,
}

impl Target {
    /// Connects to a port; gives the client's end. The receiver gets what went wrong, if anything does.
    pub(crate) fn connect(&self, port: u16) -> (DuplexStream, mpsc::Receiver<String>) {
        let (ours, theirs) = duplex(PIPE_BYTES);
        let (wrong_in, wrong) = mpsc::channel(1);
        let this = self.clone();
        tokio::spawn(async move {
            if let Err(e) = this.hands.runtime.port_forward(&this.sandbox, port, theirs).await {
                let text = format!("error forwarding port {port} to pod {}, uid {}: {}", this.pod, this.uid, chain(&e));
                // The client may have gone.
                let _ = wrong_in.send(text).await;
            }
        });
        (ours, wrong)
    }
}

pub(crate) fn answer(server: &Server, namespace: &str, pod: &str, request: Request<Incoming>) -> Answer {
    let seen = server.pod(namespace, pod).ok_or_else(|| ApiError::new(404, "NotFound", format!("pods \"{pod}\" not found")))?;
    let Some(sandbox) = seen.view.ready_sandbox() else {
        return Err(ApiError::bad_request(format!("unable to forward port because pod is not running. Current status={}", kinds::pod::phase(&seen.pod))));
    };
    let target = Target {
        hands: Arc::clone(&server.hands),
        sandbox: sandbox.id.clone(),
        pod: pod.to_owned(),
        uid: pods::roster::uid(&seen.pod).to_owned(),
    };
    if websocket::is_websocket(&request) {
        if websocket::choose(&request, &[TUNNELLED]).is_some() {
            return websocket::accept(request, Some(TUNNELLED), move |socket| async move {
                spdy::forward::serve(websocket::tunnel(socket), target).await;
            });
        }
        let q = Query::parse(request.uri().query().unwrap_or_default());
        let ports: Result<Vec<u16>, _> = q.all("port").chain(q.all("ports")).flat_map(|p| p.split(',')).map(str::parse).collect();
        let ports = ports.ok().filter(|p| !p.is_empty() && p.len() <= PORTS_MAX);
        let ports = ports.ok_or_else(|| ApiError::bad_request("query parameter \"port\" is required"))?;
        let protocol = websocket::choose(&request, CHANNELS);
        return websocket::accept(request, protocol, move |socket| channels(socket, target, ports));
    }
    if spdy::is_spdy(&request) {
        return spdy::forward::accept(request, target);
    }
    Err(ApiError::bad_request("Upgrade request required"))
}

fn framed(channel: usize, bytes: &[u8]) -> Message {
    let mut out = BytesMut::with_capacity(bytes.len() + 1);
    out.put_u8(u8::try_from(channel).unwrap_or(u8::MAX));
    out.extend_from_slice(bytes);
    Message::Binary(out.freeze())
}

/// Two channels a port: data and error; the first message of each is the port, little-endian.
async fn channels(socket: Socket, target: Target, ports: Vec<u16>) {
    let (mut sink, mut source) = socket.split();
    let (to_in, mut to) = mpsc::channel::<Message>(QUEUE_MAX);
    let mut inputs: Vec<WriteHalf<DuplexStream>> = Vec::new();
    for (i, port) in ports.into_iter().enumerate() {
        for channel in [2 * i, 2 * i + 1] {
            if sink.send(framed(channel, &port.to_le_bytes())).await.is_err() {
                return;
            }
        }
        let (stream, mut wrong) = target.connect(port);
        let (mut read, write) = tokio::io::split(stream);
        inputs.push(write);
        let out = to_in.clone();
        tokio::spawn(async move {
            let mut buffer = BytesMut::new();
            loop {
                buffer.reserve(PIPE_BYTES);
                match read.read_buf(&mut buffer).await {
                    Ok(n) if n > 0 && out.send(framed(2 * i, &buffer.split())).await.is_ok() => {}
                    _ => break,
                }
            }
            if let Some(text) = wrong.recv().await {
                // The client may have gone.
                let _ = out.send(framed(2 * i + 1, text.as_bytes())).await;
            }
        });
    }
    drop(to_in);
    let reader = async move {
        while let Some(Ok(message)) = source.next().await {
            let Message::Binary(bytes) = message else { continue };
            let bytes: Bytes = bytes;
            let Some(channel) = bytes.first().map(|c| usize::from(*c)).filter(|c| c % 2 == 0) else { continue };
            if let Some(input) = inputs.get_mut(channel / 2) {
                // A port that was closed takes no more; the others go on.
                let _ = input.write_all(&bytes[1..]).await;
            }
        }
    };
    let writer = async {
        while let Some(message) = to.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = reader => {}
        () = writer => {}
    }
}
