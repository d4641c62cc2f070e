//! HTTP/1.1 over TCP or TLS, with keep-alive, and errors worded as users of Kubernetes know them.

use std::error::Error as _;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;
use url::Url;

/// How long a connection, with its TLS handshake, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may think before it answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Sends requests; connections live as long as this value.
pub(super) struct Http {
    client: Client<Connector, Empty<Bytes>>,
}

impl Http {
    pub(super) fn new(ca_files: Vec<PathBuf>) -> Http {
        let connector = Connector { tls: Arc::new(Tls { ca_files, config: OnceLock::new() }) };
        Http { client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// One request, one answer; the error is what went wrong between us and the server.
    pub(super) async fn send(&self, method: &Method, url: &Url, headers: &[(&str, String)]) -> Result<Response<Incoming>, String> {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(url.as_str())
            .header("user-agent", concat!("timonel/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Empty::new()).map_err(|e| e.to_string())?;
        match tokio::time::timeout(ANSWER_TIMEOUT, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(e)) => Err(root_cause(&e)),
            Err(_) => Err("net/http: timeout awaiting response headers".to_owned()),
        }
    }
}

/// The innermost error says what happened; those around it say where.
fn root_cause(error: &hyper_util::client::legacy::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    loop {
        if let Some(e) = cause.downcast_ref::<DialError>() {
            return e.0.clone();
        }
        match cause.source() {
            Some(inner) => cause = inner,
            None if error.source().is_none() => return error.to_string(),
            None => return if cause.to_string() == "connection closed before message completed" { "EOF".into() } else { cause.to_string() },
        }
    }
}

/// A failed connection, in Go's words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct DialError(String);

#[derive(Clone)]
struct Connector {
    tls: Arc<Tls>,
}

/// TLS is set up when the first `https` URL needs it.
struct Tls {
    ca_files: Vec<PathBuf>,
    config: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    fn config(&self) -> Result<Arc<ClientConfig>, DialError> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for file in &self.ca_files {
            let bad = |e: String| DialError(format!("read certificate authority {}: {e}", file.display()));
            let pem = fs::read(file).map_err(|e| bad(e.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|e| bad(e.to_string()))?;
                roots.add(certificate).map_err(|e| bad(e.to_string()))?;
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| DialError(format!("tls: {e}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(self.config.get_or_init(|| Arc::new(config)).clone())
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.tls.clone();
        Box::pin(async move {
            match tokio::time::timeout(CONNECT_TIMEOUT, connect(&uri, &tls)).await {
                Ok(result) => result.map(TokioIo::new),
                Err(_) => Err(DialError(format!("dial tcp {}: i/o timeout", uri.host().unwrap_or_default()))),
            }
        })
    }
}

async fn connect(uri: &Uri, tls: &Tls) -> Result<Stream, DialError> {
    let secure = uri.scheme_str() == Some("https");
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let addresses: Vec<_> = match tokio::net::lookup_host((host.as_str(), port)).await {
        Ok(addresses) => addresses.collect(),
        Err(_) => Vec::new(),
    };
    let mut failure = DialError(format!("dial tcp: lookup {host}: no such host"));
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                // Small requests on a fresh connection: waiting to fill a segment only costs time.
                let _ = tcp.set_nodelay(true);
                return if secure { handshake(&host, tcp, tls).await } else { Ok(Stream::Plain(tcp)) };
            }
            Err(e) => failure = DialError(format!("dial tcp {address}: connect: {}", os_words(&e))),
        }
    }
    Err(failure)
}

fn os_words(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".into(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".into(),
        io::ErrorKind::HostUnreachable => "no route to host".into(),
        io::ErrorKind::TimedOut => "connection timed out".into(),
        _ => e.to_string(),
    }
}

async fn handshake(host: &str, tcp: TcpStream, tls: &Tls) -> Result<Stream, DialError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|e| DialError(format!("tls: {e}")))?;
    match TlsConnector::from(tls.config()?).connect(name, tcp).await {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
        Err(e) => Err(DialError(tls_words(&e))),
    }
}

fn tls_words(e: &io::Error) -> String {
    use rustls::{CertificateError, Error};
    match e.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "tls: failed to verify certificate: x509: certificate signed by unknown authority".into()
        }
        Some(Error::InvalidCertificate(why)) => format!("tls: failed to verify certificate: x509: {why}"),
        Some(Error::InvalidMessage(_)) => "http: server gave HTTP response to HTTPS client".into(),
        _ if e.kind() == io::ErrorKind::UnexpectedEof => "EOF".into(),
        _ => format!("tls: {e}"),
    }
}

/// A connection.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_read(cx, buffer),
            Stream::Tls(s) => Pin::new(s).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_write(cx, bytes),
            Stream::Tls(s) => Pin::new(s).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_flush(cx),
            Stream::Tls(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Tls(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}
