//! The kubelet API (docs: "Kubelet authentication/authorization"): logs, exec, attach, port-forward, pods, statistics,
//! metrics, over TLS with client certificates.

mod answer;
mod auth;
mod cadvisor;
mod channels;
mod configz;
mod exec;
mod forward;
mod logs;
mod query;
pub(crate) mod spdy;
mod stats;
mod summary;
pub(crate) mod websocket;

use crate::config::Tls;
use crate::hands::Hands;
use crate::pod_loop::Pods;
use crate::pod_task::Seen;
use crate::start::StartError;
use answer::{Answer, Body};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// A client that does not finish its handshake is dropped.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 1024;

/// What every request may use.
pub(crate) struct Server {
    hands: Arc<Hands>,
    pods: Pods,
    metrics: base::metrics::Registry,
    rates: summary::Rates,
}

#[cfg(test)]
impl Server {
    pub(crate) fn for_tests(hands: Arc<Hands>, pods: Pods) -> Self {
        Self { hands, pods, metrics: base::metrics::Registry::default(), rates: summary::Rates::default() }
    }
}

/// Listens and serves until `stop`. Gives the address that it listens on.
pub(crate) async fn start(
    listen: SocketAddr,
    tls: Tls,
    hands: Arc<Hands>,
    pods: Pods,
    metrics: base::metrics::Registry,
    stop: CancellationToken,
) -> Result<(SocketAddr, JoinHandle<()>), StartError> {
    let acceptor = TlsAcceptor::from(Arc::new(auth::tls(tls).map_err(StartError::Tls)?));
    let listened = TcpListener::bind(listen).await.and_then(|l| Ok((l.local_addr()?, l)));
    let (address, listener) = listened.map_err(|source| StartError::Listen { address: listen, source })?;
    let server = Arc::new(Server { hands, pods, metrics, rates: summary::Rates::default() });
    Ok((address, tokio::spawn(accept(listener, acceptor, server, stop))))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, server: Arc<Server>, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(e) => {
                    tracing::warn!(err = %e, "Failed to accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let (server, acceptor, stop) = (Arc::clone(&server), acceptor.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = connection(stream, acceptor, server) => {}
            }
            drop(permit);
        });
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, server: Arc<Server>) {
    // Interactive sessions want every keystroke at once; without it they are only slower.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(tls)) = timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await else { return };
    let client = tls.get_ref().1.peer_certificates().and_then(|c| c.first()).and_then(auth::common_name);
    converse(TokioIo::new(tls), client, server).await;
}

/// Serves the requests of one connection whose client is known by that name.
pub(crate) async fn converse<I>(io: I, client: Option<String>, server: Arc<Server>)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let client: Arc<Option<String>> = Arc::new(client);
    let service = service_fn(move |request| {
        let (server, client) = (Arc::clone(&server), Arc::clone(&client));
        async move { Ok::<_, Infallible>(server.serve(request, (*client).as_deref()).await) }
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(io, service).with_upgrades();
    if let Err(e) = served.await {
        tracing::debug!(err = %e, "A kubelet API connection ended");
    }
}

impl Server {
    async fn serve(&self, request: Request<Incoming>, client: Option<&str>) -> Response<Body> {
        let Some(user) = client else { return answer::text(StatusCode::UNAUTHORIZED, "Unauthorized") };
        if !self.hands.config.api_clients.iter().any(|c| c == user) {
            let verb = request.method().as_str().to_ascii_lowercase();
            let text = format!("Forbidden (user={user}, verb={verb}, resource=nodes, subresource(s)=[proxy])");
            return answer::text(StatusCode::FORBIDDEN, &text);
        }
        match self.route(request).await {
            Ok(response) => response,
            Err(e) => answer::error(&e),
        }
    }

    async fn route(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().trim_matches('/').to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        let get = request.method() == Method::GET;
        match parts[..] {
            ["healthz" | "livez"] => Ok(answer::text(StatusCode::OK, "ok")),
            ["containerLogs", namespace, pod, container] if get => {
                logs::answer(self, namespace, pod, container, request.uri().query().unwrap_or_default()).await
            }
            ["exec", namespace, pod, container] => exec::exec(self, namespace, pod, container, request),
            ["attach", namespace, pod, container] => exec::attach(self, namespace, pod, container, request),
            ["run", namespace, pod, container] => exec::run(self, namespace, pod, container, &request).await,
            ["portForward", namespace, pod] => forward::answer(self, namespace, pod, request),
            ["pods"] if get => Ok(self.pod_list()),
            ["metrics"] if get => Ok(answer::metrics(self.metrics.expose())),
            ["metrics", "cadvisor"] if get => cadvisor::answer(self).await,
            ["metrics", "resource"] if get => stats::resource(self).await,
            ["stats", "summary"] if get => summary::answer(self).await,
            ["configz"] if get => Ok(configz::answer(self)),
            _ => Ok(answer::text(StatusCode::NOT_FOUND, "404 page not found")),
        }
    }

    /// The pod of that name, as its task sees it.
    fn pod(&self, namespace: &str, name: &str) -> Option<Seen> {
        let pods = self.pods.read();
        let seen = pods.values().map(|h| h.seen.read().clone());
        let mut found = seen.filter(|s| pods::roster::namespace(&s.pod) == namespace && pods::roster::name(&s.pod) == name);
        found.next_back()
    }

    fn pod_list(&self) -> Response<Body> {
        let snapshot = self.hands.source.snapshot();
        let mut out = br#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":["#.to_vec();
        let resource = kinds::Kind::Pod.into();
        let mut first = true;
        for p in snapshot.pods_on(&self.hands.config.node_name) {
            let Some(entry) = snapshot.entry(&resource, &kinds::ObjectKey::of(&p.metadata)) else { continue };
            if !std::mem::replace(&mut first, false) {
                out.push(b',');
            }
            out.extend_from_slice(&entry.json);
        }
        out.extend_from_slice(b"]}");
        answer::json(StatusCode::OK, out)
    }
}
