//! Health-check node ports (docs: "External traffic policy"): for each Service of type LoadBalancer with
//! `externalTrafficPolicy: Local` the node says on `healthCheckNodePort` whether it has endpoints of its own, so that load
//! balancers send traffic nowhere else. 200 with them, 503 without.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proxy::HealthCheck;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Questions at once on one port; more wait.
const CONNECTIONS_MAX: usize = 64;
/// A connection that asks nothing more is closed.
const CONNECTION_MAX: Duration = Duration::from_secs(60);
/// A port that cannot be listened on is tried again this often.
const RETRY: Duration = Duration::from_secs(10);

/// One served port.
struct Port {
    check: watch::Sender<HealthCheck>,
    stop: CancellationToken,
}

/// Serves what is asked for until `stop`.
pub(super) async fn serve(mut checks: watch::Receiver<Vec<HealthCheck>>, stop: CancellationToken) {
    let mut ports: BTreeMap<u16, Port> = BTreeMap::new();
    loop {
        let wanted = checks.borrow_and_update().clone();
        let complete = arrange(&mut ports, wanted, &stop).await;
        tokio::select! {
            () = stop.cancelled() => return,
            changed = checks.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(RETRY), if !complete => {}
        }
    }
}

/// Opens and closes ports. Gives whether all are open.
async fn arrange(ports: &mut BTreeMap<u16, Port>, wanted: Vec<HealthCheck>, stop: &CancellationToken) -> bool {
    ports.retain(|port, p| {
        let stays = wanted.iter().any(|w| w.port == *port);
        if !stays {
            p.stop.cancel();
        }
        stays
    });
    let mut complete = true;
    for check in wanted {
        if let Some(open) = ports.get(&check.port) {
            open.check.send_replace(check);
            continue;
        }
        match listen(check.port).await {
            Ok(listener) => {
                let (sender, state) = watch::channel(check.clone());
                let stop = stop.child_token();
                tokio::spawn(accept(listener, state, stop.clone()));
                ports.insert(check.port, Port { check: sender, stop });
            }
            Err(e) => {
                complete = false;
                tracing::warn!(service = format!("{}/{}", check.namespace, check.name), port = check.port, err = %e, "Failed to start a service's health check");
            }
        }
    }
    complete
}

/// Both families where the kernel has them, else IPv4.
async fn listen(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))).await,
    }
}

async fn accept(listener: TcpListener, state: watch::Receiver<HealthCheck>, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(e) => {
                    tracing::debug!(err = %e, "Failed to accept a health check");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(move |_: Request<Incoming>| {
                let answer = answer(&state.borrow());
                async move { Ok::<_, Infallible>(answer) }
            });
            let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // Load balancers hang up as they like.
            let _ = timeout(CONNECTION_MAX, served).await;
            drop(permit);
        });
    }
}

/// kube-proxy's answer.
fn answer(check: &HealthCheck) -> Response<Full<Bytes>> {
    let status = if check.local_endpoints > 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let text = format!(
        "{{\n\t\"service\": {{\n\t\t\"namespace\": \"{}\",\n\t\t\"name\": \"{}\"\n\t}},\n\t\"localEndpoints\": {},\n\t\"serviceProxyHealthy\": true\n}}",
        check.namespace, check.name, check.local_endpoints
    );
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("x-load-balancing-endpoint-weight", HeaderValue::from(check.local_endpoints));
    response
}
