//! The API as a client sees it: HTTP/2 with the administrator's certificate, on as many connections as wanted.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::CipherSuite;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Flow-control window: a list of 24 MB shall not wait for us.
const WINDOW_BYTES: u32 = 16 << 20;

/// Connections to one API server.
#[derive(Clone)]
pub(super) struct Api {
    connections: Vec<SendRequest<Full<Bytes>>>,
    next: Arc<AtomicUsize>,
}

impl Api {
    /// Connects with a kubeconfig that the program wrote.
    pub(super) async fn connect(kubeconfig: &Path, port: u16, connections: usize) -> Result<Self> {
        let tls = TlsConnector::from(Arc::new(tls(kubeconfig)?));
        let mut open = Vec::new();
        for _ in 0..connections {
            let tcp = TcpStream::connect(("127.0.0.1", port)).await.context("connecting")?;
            tcp.set_nodelay(true)?;
            let stream = tls.connect(ServerName::try_from("localhost")?, tcp).await.context("TLS")?;
            let (send, driver) = http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(WINDOW_BYTES)
                .initial_connection_window_size(WINDOW_BYTES)
                .handshake(TokioIo::new(stream))
                .await?;
            tokio::spawn(driver);
            open.push(send);
        }
        Ok(Self { connections: open, next: Arc::default() })
    }

    /// One connection of these, for one worker.
    fn one(&self) -> SendRequest<Full<Bytes>> {
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        self.connections[at].clone()
    }

    /// Sends a request; the body of the answer is still to come.
    pub(super) async fn open(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>> {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder()
            .method(method)
            .uri(format!("https://localhost{path}"))
            .header("content-type", kind)
            .body(Full::new(body))?;
        let response = self.one().send_request(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let why = response.into_body().collect().await?.to_bytes();
        bail!("{path}: {status}: {}", String::from_utf8_lossy(&why))
    }

    /// Sends a request and reads the answer to its end; says how many bytes it had.
    pub(super) async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<usize> {
        let mut answer = self.open(method, path, body).await?.into_body();
        let mut bytes = 0;
        while let Some(frame) = answer.frame().await {
            bytes += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok(bytes)
    }

    /// Sends a request and parses the answer.
    pub(super) async fn tree(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let answer = self.open(method, path, body).await?;
        Ok(serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?)
    }

    /// Opens a watch.
    pub(super) async fn watch(&self, path: &str) -> Result<Watch> {
        let response = self.open(Method::GET, path, Bytes::new()).await?;
        Ok(Watch { body: response.into_body(), rest: Vec::new() })
    }
}

/// Events of a watch, a line each.
pub(super) struct Watch {
    body: Incoming,
    rest: Vec<u8>,
}

impl Watch {
    /// The next event.
    pub(super) async fn next(&mut self) -> Result<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(serde_json::from_slice(&line)?);
            }
            let frame = self.body.frame().await.context("the watch ended")??;
            if let Some(data) = frame.data_ref() {
                self.rest.extend_from_slice(data);
            }
        }
    }
}

/// How the administrator's kubeconfig speaks to the server.
pub(super) fn tls(kubeconfig: &Path) -> Result<rustls::ClientConfig> {
    let text = std::fs::read_to_string(kubeconfig).with_context(|| format!("reading {}", kubeconfig.display()))?;
    let pem = |name: &str| -> Result<Vec<u8>> {
        let line = text.lines().find_map(|l| l.trim().trim_start_matches("- ").strip_prefix(name));
        let data = line.and_then(|l| l.strip_prefix(':')).with_context(|| format!("no {name} in the kubeconfig"))?;
        Ok(STANDARD.decode(data.trim().trim_matches('"'))?)
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem("certificate-authority-data")?)?)?;
    let chain = vec![CertificateDer::from_pem_slice(&pem("client-certificate-data")?)?];
    let key = PrivateKeyDer::from_pem_slice(&pem("client-key-data")?)?;
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    // The order in which Go's clients offer them.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions()?;
    let mut tls = tls.with_root_certificates(roots).with_client_auth_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(tls)
}
