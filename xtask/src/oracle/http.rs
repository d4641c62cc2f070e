//! Requests as the corpus says them, header for header, over one HTTP/2 connection a server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked of both.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Ask {
    /// A request with a JSON body.
    pub(crate) fn json(method: &str, path: &str, body: &serde_json::Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { method: method.into(), path: path.into(), headers, body: body.to_string().into() }
    }

    /// A request without a body.
    pub(crate) fn bare(method: &str, path: &str) -> Self {
        Self { method: method.into(), path: path.into(), ..Self::default() }
    }
}

/// What was answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub code: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Reply {
    /// All values of a header.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }

    /// The body as a tree, where it is JSON or YAML.
    pub(crate) fn tree(&self) -> Option<serde_json::Value> {
        if self.header("content-type").iter().any(|t| t.starts_with("application/yaml")) {
            return codec::yaml::parse(std::str::from_utf8(&self.body).ok()?).ok().map(|d| d.value);
        }
        serde_json::from_slice(&self.body).ok()
    }
}

/// A server that can be asked.
#[derive(Clone)]
pub(crate) struct Server {
    send: SendRequest<Full<Bytes>>,
}

impl Server {
    /// Connects as the administrator whose certificate lies in Timonel's `pki` directory.
    pub(crate) async fn connect(pki: &Path, port: u16) -> Result<Self> {
        let tls = TlsConnector::from(Arc::new(tls(pki)?));
        let tcp = TcpStream::connect(("127.0.0.1", port)).await.context("connecting")?;
        tcp.set_nodelay(true)?;
        let stream = tls.connect(ServerName::try_from("localhost")?, tcp).await.context("TLS")?;
        let (send, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(Self { send })
    }

    /// Asks. A server that breaks the stream off, or does not answer in time, has answered with code 0.
    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Reply> {
        let mut request = Request::builder().method(ask.method.as_str()).uri(format!("https://localhost{}", ask.path));
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(ask.body.clone())).with_context(|| format!("{} {}", ask.method, ask.path))?;
        let mut send = self.send.clone();
        let answered = async {
            let response = send.send_request(request).await?;
            let code = response.status().as_u16();
            let text = |v: &hyper::header::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
            let headers = response.headers().iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect();
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Reply { code, headers, body })
        };
        Ok(match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(e)) => Reply { body: format!("{:?}", anyhow::Error::from(e)).lines().take(4).collect::<String>().into(), ..Reply::default() },
            Err(_) => Reply { body: "no answer".into(), ..Reply::default() },
        })
    }
}

fn tls(pki: &Path) -> Result<rustls::ClientConfig> {
    let read = |name: &str| std::fs::read(pki.join(name)).with_context(|| format!("reading {name}"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&read("ca.crt")?)?)?;
    let chain = vec![CertificateDer::from_pem_slice(&read("admin.crt")?)?];
    let key = PrivateKeyDer::from_pem_slice(&read("admin.key")?)?;
    let mut tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(tls)
}
