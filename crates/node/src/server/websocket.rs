//! WebSocket carriers: channels in the first byte of a message (`v5.channel.k8s.io` and its elders), port-forward
//! channels, and SPDY tunnelled in messages (KEP-4006).

use super::answer::{Answer, full};
use super::channels::{self, Channel, FromClient, QUEUE_MAX, Session, ToClient, size};
use crate::hands::Hands;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kinds::ApiError;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

const STDIN: u8 = 0;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;
const TUNNEL_BYTES: usize = 64 << 10;

/// An accepted WebSocket.
pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

fn number(c: Channel) -> u8 {
    match c {
        Channel::Stdout => 1,
        Channel::Stderr => 2,
        Channel::Error => 3,
    }
}

/// Whether a request wants to become a WebSocket.
pub(crate) fn is_websocket(request: &Request<Incoming>) -> bool {
    let value = request.headers().get(header::UPGRADE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.eq_ignore_ascii_case("websocket")
}

/// The best protocol that both sides know, in our order.
pub(crate) fn choose(request: &Request<Incoming>, ours: &[&'static str]) -> Option<&'static str> {
    let all = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let theirs: Vec<&str> = all.iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim).collect();
    ours.iter().find(|o| theirs.contains(o)).copied()
}

/// Accepts the upgrade; `then` gets the socket.
pub(crate) fn accept<F, Fut>(mut request: Request<Incoming>, protocol: Option<&'static str>, then: F) -> Answer
where
    F: FnOnce(Socket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).ok_or_else(|| ApiError::bad_request("missing Sec-WebSocket-Key"))?;
    let accepted = derive_accept_key(key.as_bytes());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(up) => then(WebSocketStream::from_raw_socket(TokioIo::new(up), Role::Server, None).await).await,
            Err(e) => tracing::debug!(err = %e, "A WebSocket was not upgraded"),
        }
    });
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accepted).map_err(ApiError::internal)?);
    if let Some(p) = protocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(p));
    }
    Ok(response)
}

/// A close that says "normal": clients take one without a code for an error (RFC 6455, 7.4.1).
fn goodbye() -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))
}

fn framed(channel: u8, bytes: &[u8]) -> Message {
    let mut out = BytesMut::with_capacity(bytes.len() + 1);
    out.put_u8(channel);
    out.extend_from_slice(bytes);
    Message::Binary(out.freeze())
}

fn received(message: &Bytes, closes: bool) -> Option<FromClient> {
    let (channel, rest) = (message.first()?, message.slice(1..));
    match *channel {
        STDIN => Some(FromClient::Stdin(rest)),
        RESIZE => size(&rest).map(|(w, h)| FromClient::Resize(w, h)),
        CLOSE if closes && rest.first() == Some(&STDIN) => Some(FromClient::StdinClosed),
        _ => None,
    }
}

/// Carries an exec or attach session.
pub(crate) async fn session(hands: Arc<Hands>, socket: Socket, s: Session, closes: bool) {
    let (mut sink, mut source) = socket.split();
    let (from_in, from) = mpsc::channel(QUEUE_MAX);
    let (to_in, mut to) = mpsc::channel(QUEUE_MAX);
    let first = if s.stdout { 1 } else if s.stderr { 2 } else { 3 };
    let reader = async move {
        while let Some(Ok(message)) = source.next().await {
            let bytes = match message {
                Message::Binary(b) => b,
                Message::Text(t) => Bytes::from(t.as_str().to_owned()),
                Message::Close(_) => return,
                _ => continue,
            };
            if let Some(m) = received(&bytes, closes)
                && from_in.send(m).await.is_err()
            {
                return;
            }
        }
    };
    let writer = async move {
        // An empty message tells the client that the session is established.
        let mut open = sink.send(framed(first, b"")).await.is_ok();
        while let Some(message) = to.recv().await {
            if let (ToClient::Data(c, bytes), true) = (message, open) {
                open = sink.send(framed(number(c), &bytes)).await.is_ok();
            }
        }
        // The client may have gone first.
        let _ = sink.send(goodbye()).await;
    };
    let reading = tokio::spawn(reader);
    tokio::join!(channels::run(hands, s, from, to_in), writer);
    reading.abort();
}

/// A socket over bytes that were never HTTP, and the reading of one message: for the fuzz target.
pub(crate) async fn raw(io: DuplexStream) -> WebSocketStream<DuplexStream> {
    WebSocketStream::from_raw_socket(io, Role::Server, None).await
}

/// Reads one message as both protocols do.
pub(crate) fn take_in(message: &[u8]) {
    let message = Bytes::copy_from_slice(message);
    for closes in [false, true] {
        drop(received(&message, closes));
    }
}

/// A byte stream inside the messages of a socket.
pub(crate) fn tunnel<S>(socket: WebSocketStream<S>) -> DuplexStream
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (ours, theirs) = duplex(TUNNEL_BYTES);
    let (mut read, mut write) = tokio::io::split(ours);
    let (mut sink, mut source) = socket.split();
    tokio::spawn(async move {
        while let Some(Ok(message)) = source.next().await {
            match message {
                Message::Binary(b) => {
                    if write.write_all(&b).await.is_err() {
                        return;
                    }
                }
                Message::Close(_) => break,
                _ => {}
            }
        }
        // The other side sees the end of the stream; it may have gone before.
        let _ = write.shutdown().await;
    });
    tokio::spawn(async move {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(TUNNEL_BYTES);
            match read.read_buf(&mut buffer).await {
                Ok(n) if n > 0 => {
                    if sink.send(Message::Binary(buffer.split().freeze())).await.is_err() {
                        return;
                    }
                }
                _ => break,
            }
        }
        // The client may have gone first.
        let _ = sink.send(goodbye()).await;
    });
    theirs
}
