//! HTTP probes: one request, redirects of the same host followed, certificates not verified
//! (docs: "Configure liveness, readiness and startup probes").

use super::call::{dial_text, host_port};
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use pods::probe::Verdict;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

const REDIRECTS_MAX: usize = 10;
const BODY_BYTES_MAX: usize = 10 << 10;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) scheme: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Ask {
    fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, host_port(&self.host, self.port), self.path)
    }
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

static TLS: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider has both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Arc::new(config)
});

struct Answer {
    status: StatusCode,
    location: Option<String>,
}

async fn send<S>(stream: S, ask: &Ask) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    let driver = tokio::spawn(connection);
    let mut request = Request::get(&ask.path).header(header::CONNECTION, "close");
    let given = |name: &str| ask.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    for (n, v) in ask.headers.iter().filter(|(n, v)| !(n.eq_ignore_ascii_case("Accept") && v.is_empty())) {
        request = request.header(n, v);
    }
    for (name, value) in [("user-agent", "kube-probe/1.36"), ("accept", "*/*")] {
        if !given(name) {
            request = request.header(name, value);
        }
    }
    if !given("host") {
        request = request.header(header::HOST, host_port(&ask.host, ask.port));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|e| e.to_string())?;
    let response = sender.send_request(request).await.map_err(|e| e.to_string());
    let answer = match response {
        Ok(r) => {
            let location = r.headers().get(header::LOCATION).and_then(|l| l.to_str().ok()).map(str::to_owned);
            let status = r.status();
            // A body that is too long or cut off does not make the answer worse.
            let _ = Limited::new(r.into_body(), BODY_BYTES_MAX).collect().await;
            Ok(Answer { status, location })
        }
        Err(e) => Err(e),
    };
    driver.abort();
    answer
}

async fn once(ask: &Ask) -> Result<Answer, String> {
    let address = host_port(&ask.host, ask.port);
    let tcp = TcpStream::connect(&address).await.map_err(|e| dial_text(&address, &e))?;
    if ask.scheme != "https" {
        return send(tcp, ask).await;
    }
    let name = ServerName::try_from(ask.host.clone()).map_err(|e| e.to_string())?;
    let tls = tokio_rustls::TlsConnector::from(Arc::clone(&TLS)).connect(name, tcp).await;
    send(tls.map_err(|e| e.to_string())?, ask).await
}

/// Where a redirect leads: on the same host the next request, else nothing.
fn follow(ask: &Ask, location: &str) -> Option<Ask> {
    let uri: Uri = location.parse().ok()?;
    let path = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let Some(authority) = uri.authority() else { return Some(Ask { path, ..ask.clone() }) };
    if authority.host() != ask.host {
        return None;
    }
    let scheme = uri.scheme_str().unwrap_or(&ask.scheme).to_owned();
    let port = authority.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some(Ask { scheme, port, path, ..ask.clone() })
}

async fn run(ask: &Ask) -> Verdict {
    let mut ask = ask.clone();
    for _ in 0..=REDIRECTS_MAX {
        let answer = match once(&ask).await {
            Ok(a) => a,
            Err(e) => return Verdict::Failure(format!("Get \"{}\": {e}", ask.url())),
        };
        let code = answer.status.as_u16();
        if answer.status.is_redirection()
            && let Some(location) = &answer.location
        {
            match follow(&ask, location) {
                Some(next) => ask = next,
                None => return Verdict::Warning(format!("Probe terminated redirects, Response body: {location}")),
            }
            continue;
        }
        if (200..400).contains(&code) {
            return Verdict::Success;
        }
        return Verdict::Failure(format!("HTTP probe failed with statuscode: {code}"));
    }
    Verdict::Failure(format!("Get \"{}\": stopped after {REDIRECTS_MAX} redirects", ask.url()))
}

/// Makes one HTTP probe.
pub(crate) async fn probe(ask: &Ask, limit: Duration) -> Verdict {
    match timeout(limit, run(ask)).await {
        Ok(v) => v,
        Err(_) => {
            let why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
            Verdict::Failure(format!("Get \"{}\": {why}", ask.url()))
        }
    }
}
