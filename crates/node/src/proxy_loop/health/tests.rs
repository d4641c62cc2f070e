//! Health-check ports over real sockets: opened, answered by the count of local endpoints, closed.

use super::serve;
use proxy::HealthCheck;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

fn check(port: u16, local_endpoints: usize) -> HealthCheck {
    HealthCheck { namespace: "ns".into(), name: "web".into(), port, local_endpoints }
}

/// Asks until somebody listens (the port opens a moment after it is wanted).
async fn ask(port: u16) -> String {
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(stream) => break stream,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("answered");
    text
}

#[tokio::test]
async fn ports_follow_the_services() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let (wanted, checks) = watch::channel(vec![check(port, 2)]);
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(checks, stop.clone()));
    let text = ask(port).await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("x-load-balancing-endpoint-weight: 2\r\n"), "{text}");
    assert!(text.ends_with("{\n\t\"service\": {\n\t\t\"namespace\": \"ns\",\n\t\t\"name\": \"web\"\n\t},\n\t\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": true\n}"), "{text}");
    wanted.send_replace(vec![check(port, 0)]);
    while !ask(port).await.starts_with("HTTP/1.1 503 ") {}
    wanted.send_replace(Vec::new());
    while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    task.await.expect("ends");
}
