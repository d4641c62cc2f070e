//! The kubelet API over a pipe: authorisation, logs, exec over WebSocket, port-forward over WebSocket channels.

use super::{Lab, pod};
use crate::server::{Server, converse};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

fn dial(lab: &Lab, user: Option<&str>) -> DuplexStream {
    let (client, server) = duplex(1 << 16);
    let (hands, pods) = lab.node.as_ref().unwrap().inside.clone();
    let api = Arc::new(Server::for_tests(hands, pods));
    tokio::spawn(converse(TokioIo::new(server), user.map(str::to_owned), api));
    client
}

async fn get(lab: &Lab, user: Option<&str>, path: &str) -> (u16, String) {
    let io = TokioIo::new(dial(lab, user));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "n1").body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn lab() -> Lab {
    let lab = Lab::new().await;
    lab.cluster.put(pod().into());
    lab.until("ready", kinds::pod::is_ready).await;
    lab
}

type Socket = tokio_tungstenite::WebSocketStream<DuplexStream>;

async fn websocket(lab: &Lab, path: &str, protocol: &str) -> Socket {
    let mut request = format!("ws://n1{path}").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    let (socket, response) = tokio_tungstenite::client_async(request, dial(lab, Some("api"))).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], protocol);
    socket
}

async fn messages(mut socket: Socket) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(Ok(m)) = socket.next().await {
        match m {
            Message::Binary(b) => all.push(format!("{} {}", b[0], String::from_utf8_lossy(&b[1..]))),
            _ => break,
        }
    }
    all
}

#[tokio::test]
async fn strangers_are_refused() {
    let lab = lab().await;
    assert_eq!(get(&lab, None, "/pods").await, (401, "Unauthorized".into()));
    assert_eq!(get(&lab, Some("eve"), "/pods").await.0, 403);
    assert_eq!(get(&lab, Some("api"), "/healthz").await, (200, "ok".into()));
    assert_eq!(get(&lab, Some("api"), "/nothing").await.0, 404);
}

#[tokio::test]
async fn logs_are_read_and_absences_are_told() {
    let lab = lab().await;
    let dir = lab.config.log_dir.join("default_web_uid-1/web");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("0.log"), "2026-11-21T08:00:00.1Z stdout F hi\n2026-11-21T08:00:00.2Z stderr F there\n").unwrap();
    let logs = |q: &'static str| get(&lab, Some("api"), q);
    assert_eq!(logs("/containerLogs/default/web/web").await, (200, "hi\nthere\n".into()));
    assert_eq!(logs("/containerLogs/default/web/web?tailLines=1").await, (200, "there\n".into()));
    assert_eq!(logs("/containerLogs/default/web/web?stream=Stdout").await, (200, "hi\n".into()));
    let (code, text) = logs("/containerLogs/default/web/web?previous=true").await;
    assert_eq!(code, 400);
    assert!(text.contains(r#"previous terminated container \"web\" in pod \"web\" not found"#), "{text}");
    assert_eq!(logs("/containerLogs/default/nope/web").await.0, 404);
}

#[tokio::test]
async fn exec_over_websocket_tells_output_and_exit_code() {
    let lab = lab().await;
    let path = "/exec/default/web/web?command=echo&command=hi&input=1&output=1&error=1";
    let mut socket = websocket(&lab, path, "v5.channel.k8s.io").await;
    socket.send(Message::Binary(Bytes::from_static(b"\0 there"))).await.unwrap();
    socket.send(Message::Binary(Bytes::from_static(&[255, 0]))).await.unwrap();
    let all = messages(socket).await;
    assert_eq!(all[0], "1 ");
    let stdout: String = all.iter().filter_map(|m| m.strip_prefix("1 ")).collect();
    assert_eq!(stdout, "echo hi there");
    let status = all.iter().find_map(|m| m.strip_prefix("3 ")).unwrap();
    assert!(status.contains(r#""reason":"NonZeroExitCode""#) && status.contains(r#""message":"7""#), "{status}");
}

#[tokio::test]
async fn ports_are_forwarded_over_websocket_channels() {
    let lab = lab().await;
    let mut socket = websocket(&lab, "/portForward/default/web?port=80", "v4.channel.k8s.io").await;
    for channel in [0u8, 1] {
        let Some(Ok(Message::Binary(b))) = socket.next().await else { panic!("no port") };
        assert_eq!(b[..], [channel, 80, 0]);
    }
    socket.send(Message::Binary(Bytes::from_static(b"\0ping"))).await.unwrap();
    let Some(Ok(Message::Binary(b))) = socket.next().await else { panic!("no answer") };
    assert_eq!(b[..], *b"\0ping");
}
