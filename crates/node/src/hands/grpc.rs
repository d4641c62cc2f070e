//! gRPC probes: `grpc.health.v1.Health/Check` over HTTP/2 without TLS (KEP-2727).

use super::call::host_port;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pods::probe::Verdict;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

const ANSWER_BYTES_MAX: usize = 16 << 10;
const SERVING: u64 = 1;

/// A message in its five-byte frame: not compressed, length.
fn framed(message: &[u8]) -> Bytes {
    let mut out = vec![0];
    out.extend(u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
    out.extend(message);
    out.into()
}

/// `HealthCheckRequest{service = 1}`.
fn request(service: &str) -> Bytes {
    let name = &service.as_bytes()[..service.len().min(127)];
    let mut message = Vec::new();
    if !name.is_empty() {
        message.extend([0x0a, u8::try_from(name.len()).unwrap_or(0)]);
        message.extend(name);
    }
    framed(&message)
}

/// The status of a framed `HealthCheckResponse{status = 1}`: 0 unknown, 1 serving, 2 not serving, 3 service unknown.
fn status(body: &[u8]) -> u64 {
    match body.get(5..) {
        Some([0x08, n, ..]) => u64::from(*n),
        _ => 0,
    }
}

async fn check(address: &str, service: &str) -> Result<Verdict, String> {
    let tcp = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await;
    let (mut sender, connection) = handshake.map_err(|e| e.to_string())?;
    let driver = tokio::spawn(connection);
    let ask = Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header("te", "trailers")
        .header(header::USER_AGENT, "kube-probe/1.36")
        .body(Full::new(request(service)))
        .map_err(|e| e.to_string())?;
    let response = sender.send_request(ask).await.map_err(|e| e.to_string())?;
    let early = response.headers().get("grpc-status").cloned();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|e| e.to_string())?;
    let late = body.trailers().and_then(|t| t.get("grpc-status")).cloned();
    let code = early.or(late).and_then(|v| v.to_str().ok()?.parse::<u32>().ok()).unwrap_or(2);
    let answer = body.to_bytes();
    driver.abort();
    Ok(match code {
        0 => match status(&answer) {
            SERVING => Verdict::Success,
            n => {
                let name = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"].get(n as usize).unwrap_or(&"UNKNOWN");
                Verdict::Failure(format!("service unhealthy (responded with \"{name}\")"))
            }
        },
        12 => Verdict::Failure("error: this server does not implement the grpc health protocol (grpc.health.v1.Health)".to_owned()),
        n => Verdict::Failure(format!("error: health rpc probe failed: rpc error: code = {n}")),
    })
}

/// Makes one gRPC probe.
pub(crate) async fn probe(host: &str, port: u16, service: &str, limit: Duration) -> Verdict {
    let address = host_port(host, port);
    let slow = |why: &str| Verdict::Failure(format!("timeout: failed to connect service \"{address}\" within {}s: {why}", limit.as_secs()));
    match timeout(limit, check(&address, service)).await {
        Ok(Ok(v)) => v,
        Ok(Err(e)) => slow(&e),
        Err(_) => slow("context deadline exceeded"),
    }
}
