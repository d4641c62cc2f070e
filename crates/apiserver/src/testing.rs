//! For tests: an HTTPS service of the test's own, with a certificate of its own authority.

use crate::pki::{Authority, Request, Usage};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// A running service.
pub(crate) struct Service {
    pub(crate) url: String,
    pub(crate) ca: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves JSON: from a path and a body (null without one) to an answer.
pub(crate) async fn service(answer: impl Fn(&str, Value) -> Value + Send + Sync + 'static) -> Service {
    let now = jiff::Timestamp::now();
    let authority = Authority::create("test", Duration::from_secs(3600), now).expect("an authority");
    let issued = authority.issue(
        Request {
            common_name: "localhost".into(),
            organizations: Vec::new(),
            dns_names: vec!["localhost".into()],
            addresses: vec![std::net::Ipv4Addr::LOCALHOST.into()],
            usage: Usage::Server,
            lifetime: Duration::from_secs(3600),
        },
        now,
    );
    let issued = issued.expect("a certificate");
    let chain = vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("PEM");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let tls = tls.with_no_client_auth().with_single_cert(chain, key).expect("a configuration");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("binds");
    let port = listener.local_addr().expect("an address").port();
    let answer = Arc::new(answer);
    let task = tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(tcp).await else { return };
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let answer = Arc::clone(&answer);
                    async move {
                        let path = request.uri().path().to_owned();
                        let body = request.into_body().collect().await.expect("a body").to_bytes();
                        let json = serde_json::from_slice(&body).unwrap_or_default();
                        let bytes = Bytes::from(answer(&path, json).to_string());
                        Ok::<_, Infallible>(http::Response::builder().header("content-type", "application/json").body(Full::new(bytes)).expect("a response"))
                    }
                });
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tls), service).await;
            });
        }
    });
    Service { url: format!("https://127.0.0.1:{port}"), ca: authority.pem().to_owned(), task }
}

/// A kubeconfig that leads to the service.
pub(crate) fn kubeconfig(service: &Service, dir: &std::path::Path) -> std::path::PathBuf {
    use base64::Engine;
    let ca = base64::engine::general_purpose::STANDARD.encode(&service.ca);
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: '{}/hook', certificate-authority-data: {ca}}}}}]\nusers: [{{name: u, user: {{}}}}]\n",
        service.url
    );
    let path = dir.join("kubeconfig");
    std::fs::write(&path, text).expect("writes");
    path
}

/// The client configuration of that kubeconfig.
pub(crate) fn config(path: &std::path::Path) -> client::Config {
    let file = client::Kubeconfig::load(Some(path)).expect("a kubeconfig");
    file.config(&client::Overrides::default()).expect("a configuration")
}

/// A registry over memory.
pub(crate) async fn registry() -> Arc<registry::Registry> {
    let engine = store::Embedded::open_on(Arc::new(store::MemoryDisk::default()), store::Options::default()).expect("opens");
    registry_on(Arc::new(engine), registry::sealing::Storage::default()).await.expect("loads")
}

/// A registry over an engine.
pub(crate) async fn registry_on(
    engine: Arc<store::Embedded>,
    storage: registry::sealing::Storage,
) -> Result<Arc<registry::Registry>, registry::ImageError> {
    let config = rules::Config {
        service_cidrs: vec![],
        node_ports: (30_000, 32_767),
        cluster_domain: "cluster.local".into(),
        advertise_address: std::net::Ipv4Addr::LOCALHOST.into(),
        secure_port: 6443,
        plugins: rules::Plugins::default(),
        admission: rules::AdmissionSettings::default(),
    };
    let settings = registry::Settings { config, gates: rules::Gates::default(), hooks: None };
    let (clock, ids) = (Arc::new(testkit::FakeClock::default()), Arc::new(testkit::FakeIds::default()));
    let (registry, follow) = registry::Registry::open_stored(engine, clock, ids, settings, storage).await?;
    tokio::spawn(follow);
    Ok(registry)
}
