//! Plain bytes over WebSocket (`binary.k8s.io`, `base64.binary.k8s.io`): what is an ordinary streamed answer otherwise,
//! such as a pod's log, goes out as messages (docs: "Kubernetes API Concepts", WebSocket clients of `log`).

use crate::arriving::Arriving;
use crate::respond::{Body, Reply};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::SinkExt;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use kinds::ApiError;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

const BINARY: &str = "binary.k8s.io";
const BASE64: &str = "base64.binary.k8s.io";

/// A request's wish to become a WebSocket, taken out of it.
pub(crate) struct Socket {
    upgrade: OnUpgrade,
    accept: String,
    protocol: Option<&'static str>,
}

/// Takes the wish out of a request; what is left is an ordinary request. `None`: it has none.
///
/// # Errors
/// A handshake without its key, or for other protocols.
pub(crate) fn take(request: &mut Request<Arriving>) -> Result<Option<Socket>, ApiError> {
    let upgrade = request.headers().get(header::UPGRADE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !upgrade.eq_ignore_ascii_case("websocket") {
        return Ok(None);
    }
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).ok_or_else(|| ApiError::bad_request("missing Sec-WebSocket-Key"))?;
    let accept = derive_accept_key(key.as_bytes());
    let asked = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let asked: Vec<&str> = asked.iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim).collect();
    let protocol = [BINARY, BASE64].into_iter().find(|p| asked.contains(p));
    if protocol.is_none() && !asked.is_empty() {
        return Err(ApiError::bad_request(format!("requested protocol(s) are not supported: {asked:?}; supports [{BINARY} {BASE64}]")));
    }
    let upgrade = hyper::upgrade::on(&mut *request);
    let headers = request.headers_mut();
    for name in [
        header::UPGRADE,
        header::CONNECTION,
        header::SEC_WEBSOCKET_KEY,
        header::SEC_WEBSOCKET_VERSION,
        header::SEC_WEBSOCKET_PROTOCOL,
        header::SEC_WEBSOCKET_EXTENSIONS,
    ] {
        headers.remove(name);
    }
    Ok(Some(Socket { upgrade, accept, protocol }))
}

impl Socket {
    /// Sends a relayed answer's body as messages. Errors stay what they are.
    ///
    /// # Errors
    /// None in practice: the key's digest is a header value.
    pub(crate) fn carry(self, reply: Reply) -> Result<Reply, ApiError> {
        if reply.status() != StatusCode::OK {
            return Ok(reply);
        }
        let accept = HeaderValue::from_str(&self.accept).map_err(ApiError::internal)?;
        let mut switched = Response::new(Body::from(Vec::new()));
        *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = switched.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        if let Some(p) = self.protocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(p));
        }
        tokio::spawn(send(self.upgrade, reply.into_body(), self.protocol == Some(BASE64)));
        Ok(switched)
    }
}

async fn send(upgrade: OnUpgrade, mut body: Body, encoded: bool) {
    let Ok(upgraded) = upgrade.await else { return };
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    let message = |bytes: Bytes| match encoded {
        true => Message::Text(STANDARD.encode(&bytes).into()),
        false => Message::Binary(bytes),
    };
    // An empty message tells the client that the stream is open.
    let mut open = socket.send(message(Bytes::new())).await.is_ok();
    while open && let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            open = socket.send(message(data)).await.is_ok();
        }
    }
    // The client may have gone first.
    let _ = socket.send(Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))).await;
}
