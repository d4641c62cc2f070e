//! Probes and lifecycle hooks: exec, HTTP, TCP, gRPC, sleep, with the words that the kubelet has for their failures.

use super::{Hands, chain, grpc, http};
use pods::probe::{Handler, Verdict};
use pods::{Failure, Outcome};
use runtime::cri::RuntimeError;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How much of a probe's output is told.
const OUTPUT_BYTES_MAX: usize = 10 << 10;

fn clipped(mut bytes: Vec<u8>) -> String {
    bytes.truncate(OUTPUT_BYTES_MAX);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `10.0.0.1:80`, `[::1]:80`.
pub(crate) fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Go's words for an error of connecting.
pub(crate) fn dial_text(address: &str, e: &std::io::Error) -> String {
    use std::io::ErrorKind;
    let why = match e.kind() {
        ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        ErrorKind::ConnectionReset => "connect: connection reset by peer".to_owned(),
        ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
        ErrorKind::TimedOut => "i/o timeout".to_owned(),
        _ => e.to_string(),
    };
    format!("dial tcp {address}: {why}")
}

async fn tcp(host: &str, port: u16, limit: Duration) -> Verdict {
    let address = host_port(host, port);
    match timeout(limit, TcpStream::connect(&address)).await {
        Ok(Ok(_)) => Verdict::Success,
        Ok(Err(e)) => Verdict::Failure(dial_text(&address, &e)),
        Err(_) => Verdict::Failure(format!("dial tcp {address}: i/o timeout")),
    }
}

impl Hands {
    async fn exec(&self, container: &str, command: Vec<String>, seconds: u64) -> Verdict {
        let shown = command.join(" ");
        match self.runtime.exec_sync(container, command, Some(seconds)).await {
            Ok(out) => {
                let text = clipped([out.stdout, out.stderr].concat());
                if out.exit_code == 0 { Verdict::Success } else { Verdict::Failure(text) }
            }
            Err(RuntimeError::Timeout { seconds }) => {
                Verdict::Failure(format!("command timed out: \"{shown}\" timed out after {seconds}s"))
            }
            Err(e) => Verdict::Error(chain(&e)),
        }
    }

    /// Makes one probe.
    pub(crate) async fn probe(&self, container: &str, handler: Handler, seconds: u64) -> Outcome {
        Outcome::Probed(self.call(container, handler, seconds).await)
    }

    async fn call(&self, container: &str, handler: Handler, seconds: u64) -> Verdict {
        let limit = Duration::from_secs(seconds);
        match handler {
            Handler::Exec(command) => self.exec(container, command, seconds).await,
            Handler::Tcp { host, port } => tcp(&host, port, limit).await,
            Handler::Http { scheme, host, port, path, headers } => {
                http::probe(&http::Ask { scheme, host, port, path, headers }, limit).await
            }
            Handler::Grpc { host, port, service } => grpc::probe(&host, port, &service, limit).await,
            Handler::Sleep { seconds } => {
                tokio::time::sleep(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(limit)).await;
                Verdict::Success
            }
        }
    }

    /// Runs one lifecycle hook.
    pub(crate) async fn hook(&self, container: &str, handler: Handler, seconds: u64) -> Outcome {
        match self.call(container, handler, seconds).await {
            Verdict::Success | Verdict::Warning(_) => Outcome::Done,
            Verdict::Failure(text) | Verdict::Error(text) => Outcome::Failed(Failure::new(text)),
        }
    }
}
