//! The one HTTPS caller: `POST` of JSON with a deadline, a bundle of authorities, connections kept open and used again.
//! Errors are worded as Go's HTTP client words them: they end up in statuses that people search for.

use super::place::{Place, join};
use super::trust::{self, Identity, Trust};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

/// Calls that may be under way at once; further ones wait, within their own deadlines.
const CALLS_MAX: usize = 1024;
/// Connections kept open without use, over all places.
const IDLE_MAX: usize = 256;
/// How long a connection is kept without use (Go's default).
const IDLE_FOR: Duration = Duration::from_secs(90);
/// TLS settings kept: one for each bundle in use.
const CONFIGS_MAX: usize = 256;
/// Dialling one address may take this long.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// A shared connection on which nothing comes is asked after this whether it still lives, and given so long to say so.
const PING_AFTER: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// Largest answer that is read.
const ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;
/// What servers see.
const AGENT: &str = "kube-apiserver-admission";

/// A call that brought no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The call did not come to an answer.
    Transport { text: String, timed_out: bool },
    /// An answer that is no success.
    Status { code: u16, text: String, retry_after_s: Option<u64> },
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport { text, .. } | Self::Status { text, .. } => f.write_str(text),
        }
    }
}

impl std::error::Error for CallError {}

impl CallError {
    /// The status code that is told of it: the server's own, or 503 where there was none.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Transport { .. } => 503,
            Self::Status { code, .. } => *code,
        }
    }

    /// Whether calling again may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Status { code, retry_after_s, .. } => retry_after_s.is_some() || matches!(code, 429 | 500..=599),
        }
    }
}

/// How often and how far apart a call is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    pub tries: u32,
    pub first: Duration,
    pub factor: f64,
}

impl Retry {
    /// kube-apiserver's default for webhook authenticators and authorizers.
    pub const DEFAULT: Self = Self { tries: 5, first: Duration::from_millis(500), factor: 1.5 };
}

/// An open connection: HTTP/1.1 carries one call at a time, HTTP/2 many.
enum Line {
    One(http1::SendRequest<Full<Bytes>>),
    Many(http2::SendRequest<Full<Bytes>>),
}

impl Line {
    fn is_closed(&self) -> bool {
        match self {
            Self::One(l) => l.is_closed(),
            Self::Many(l) => l.is_closed(),
        }
    }

    /// Another hold on a connection that can be shared.
    fn share(&self) -> Option<Self> {
        match self {
            Self::One(_) => None,
            Self::Many(l) => Some(Self::Many(l.clone())),
        }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<http::Response<Incoming>> {
        match self {
            Self::One(l) => {
                l.ready().await?;
                l.send_request(request).await
            }
            Self::Many(l) => {
                l.ready().await?;
                l.send_request(request).await
            }
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Key {
    authority: String,
    server_name: String,
    trust: Trust,
    identity: usize,
}

struct Idle {
    key: Key,
    /// The address that it leads to: one that left its service is not used again.
    to: (String, u16),
    line: Line,
    since: Instant,
}

/// The caller. One for the process: its connections and TLS settings are shared.
pub struct Caller {
    places: Semaphore,
    idle: Mutex<VecDeque<Idle>>,
    configs: Mutex<VecDeque<((Trust, usize), Arc<ClientConfig>)>>,
}

impl Default for Caller {
    fn default() -> Self {
        Self { places: Semaphore::new(CALLS_MAX), idle: Mutex::default(), configs: Mutex::default() }
    }
}

impl Caller {
    /// Posts JSON and returns the answer's body.
    ///
    /// # Errors
    /// What went wrong, as Go words it.
    pub async fn post(&self, place: &Place, body: Vec<u8>, timeout: Duration) -> Result<Bytes, CallError> {
        let message = Message { method: Method::POST, headers: HeaderMap::new(), body: body.into() };
        self.call(place, &message, timeout).await.map(|a| a.body)
    }

    /// Gets a document, with further headers.
    ///
    /// # Errors
    /// As [`Caller::post`].
    pub async fn get(&self, place: &Place, headers: HeaderMap, timeout: Duration) -> Result<Answer, CallError> {
        self.call(place, &Message { method: Method::GET, headers, body: Bytes::new() }, timeout).await
    }

    async fn call(&self, place: &Place, message: &Message, timeout: Duration) -> Result<Answer, CallError> {
        let verb = if message.method == Method::GET { "Get" } else { "Post" };
        let text = |why: &str| format!("{verb} {:?}: {why}", place.shown);
        let whole = async {
            let _place = self.places.acquire().await.map_err(|e| Failed::Lost(e.to_string()))?;
            self.exchange(place, message).await
        };
        match tokio::time::timeout(timeout, whole).await {
            Err(_) => Err(CallError::Transport { text: text("context deadline exceeded"), timed_out: true }),
            Ok(Err(Failed::Lost(why))) => Err(CallError::Transport { text: text(&why), timed_out: false }),
            Ok(Err(Failed::Refused(e))) => Err(e),
            Ok(Ok(answer)) => Ok(answer),
        }
    }

    /// The same, tried again with growing pauses while that may help.
    ///
    /// # Errors
    /// The last failure.
    pub async fn post_retrying(
        &self,
        place: &Place,
        body: &[u8],
        timeout: Duration,
        retry: Retry,
    ) -> Result<Bytes, CallError> {
        let mut pause = retry.first;
        let mut tries = 1;
        loop {
            match self.post(place, body.to_vec(), timeout).await {
                Err(e) if e.is_transient() && tries < retry.tries => tokio::time::sleep(pause).await,
                done => return done,
            }
            tries += 1;
            pause = pause.mul_f64(retry.factor);
        }
    }

    async fn exchange(&self, place: &Place, message: &Message) -> Result<Answer, Failed> {
        let key = key_of(place);
        loop {
            let addresses = place.dial.as_ref().map_err(|e| Failed::Lost(e.clone()))?;
            let (line, reused) = match self.take(&key, addresses) {
                Some(line) => (line, true),
                None => {
                    let (line, to) = self.connect(place, addresses).await.map_err(Failed::Lost)?;
                    if let Some(shared) = line.share() {
                        self.keep(key.clone(), to.clone(), shared);
                    }
                    ((line, to), false)
                }
            };
            match self.send(&key, line, place, message).await {
                // A kept connection that the server had closed meanwhile: that says nothing about the server.
                Err(Failed::Lost(_)) if reused => self.forget_shared(&key),
                done => return done,
            }
        }
    }

    async fn send(&self, key: &Key, (mut line, to): (Line, (String, u16)), place: &Place, message: &Message) -> Result<Answer, Failed> {
        let shared = matches!(line, Line::Many(_));
        let request = message.request(key, place, shared).map_err(|e| Failed::Lost(e.to_string()))?;
        let answer = line.send(request).await.map_err(|e| Failed::Lost(worded(&e)))?;
        let (parts, body) = answer.into_parts();
        let body = whole(body).await?;
        if !shared {
            self.keep(key.clone(), to, line);
        }
        if parts.status.is_success() || parts.status == StatusCode::NOT_MODIFIED {
            return Ok(Answer { code: parts.status.as_u16(), headers: parts.headers, body });
        }
        let retry = parts.headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
        let text = refusal(parts.status, &body);
        Err(Failed::Refused(CallError::Status { code: parts.status.as_u16(), text, retry_after_s: retry }))
    }

    /// A new connection to the first address that answers.
    async fn connect(&self, place: &Place, addresses: &[(String, u16)]) -> Result<(Line, (String, u16)), String> {
        let config = self.config(&place.trust, place.identity.as_ref())?;
        let mut why = "no addresses".to_owned();
        for (host, port) in addresses {
            match dial(host, *port).await {
                Ok(tcp) => {
                    let line = secure(tcp, config, &place.server_name).await?;
                    return Ok((line, (host.clone(), *port)));
                }
                Err(e) => why = e,
            }
        }
        Err(why)
    }

    pub(crate) fn config(&self, trust: &Trust, identity: Option<&Arc<Identity>>) -> Result<Arc<ClientConfig>, String> {
        let key = (trust.clone(), identity.map_or(0, |i| Arc::as_ptr(i) as usize));
        let mut all = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = all.iter().find(|(k, _)| *k == key) {
            return Ok(Arc::clone(found));
        }
        let made = Arc::new(trust::config(trust, identity.map(AsRef::as_ref))?);
        if all.len() >= CONFIGS_MAX {
            all.pop_front();
        }
        all.push_back((key, Arc::clone(&made)));
        Ok(made)
    }

    fn take(&self, key: &Key, addresses: &[(String, u16)]) -> Option<(Line, (String, u16))> {
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|i| i.since.elapsed() < IDLE_FOR && !i.line.is_closed());
        let at = all.iter().rposition(|i| i.key == *key && addresses.contains(&i.to))?;
        if let Some(shared) = all[at].line.share() {
            all[at].since = Instant::now();
            return Some((shared, all[at].to.clone()));
        }
        all.remove(at).map(|i| (i.line, i.to))
    }

    /// Connections that are shared and do not work any more are not shared any more.
    fn forget_shared(&self, key: &Key) {
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|i| i.key != *key || matches!(i.line, Line::One(_)));
    }

    fn keep(&self, key: Key, to: (String, u16), line: Line) {
        if line.is_closed() {
            return;
        }
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= IDLE_MAX {
            all.pop_front();
        }
        all.push_back(Idle { key, to, line, since: Instant::now() });
    }
}

/// What is sent.
struct Message {
    method: Method,
    headers: HeaderMap,
    body: Bytes,
}

impl Message {
    fn request(&self, key: &Key, place: &Place, shared: bool) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut target = match place.url.query() {
            Some(q) => format!("{}?{q}", place.url.path()),
            None => place.url.path().to_owned(),
        };
        if shared {
            target = format!("https://{}{target}", key.authority);
        }
        let mut request = Request::builder().method(self.method.clone()).uri(target).header(header::USER_AGENT, AGENT);
        if !shared {
            request = request.header(header::HOST, key.authority.as_str());
        }
        if self.method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if !self.headers.contains_key(header::ACCEPT) {
            request = request.header(header::ACCEPT, "application/json, */*");
        }
        let mut request = request.body(Full::new(self.body.clone()))?;
        for (k, v) in place.headers.iter().chain(&self.headers) {
            request.headers_mut().append(k, v.clone());
        }
        Ok(request)
    }
}

/// A successful answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

enum Failed {
    Lost(String),
    Refused(CallError),
}

fn key_of(place: &Place) -> Key {
    let host = place.url.host_str().unwrap_or_default();
    let authority = match place.url.port() {
        Some(p) => format!("{host}:{p}"),
        None => host.to_owned(),
    };
    Key {
        authority,
        server_name: place.server_name.clone(),
        trust: place.trust.clone(),
        identity: place.identity.as_ref().map_or(0, |i| Arc::as_ptr(i) as usize),
    }
}

/// A TCP connection, or the reason in Go's words.
pub(crate) async fn dial(host: &str, port: u16) -> Result<TcpStream, String> {
    let at = join(host, port);
    let tcp = match tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect((host, port))).await {
        Err(_) => return Err(format!("dial tcp {at}: i/o timeout")),
        Ok(Err(e)) => return Err(undialled(&at, host, &e)),
        Ok(Ok(tcp)) => tcp,
    };
    let _ = tcp.set_nodelay(true);
    Ok(tcp)
}

fn undialled(at: &str, host: &str, e: &std::io::Error) -> String {
    let why = match e.kind() {
        std::io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        std::io::ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        std::io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
        std::io::ErrorKind::TimedOut => "connect: connection timed out".to_owned(),
        _ if e.raw_os_error().is_none() => return format!("dial tcp: lookup {host}: no such host"),
        _ => format!("connect: {e}"),
    };
    format!("dial tcp {at}: {why}")
}

async fn secure(tcp: TcpStream, config: Arc<ClientConfig>, name: &str) -> Result<Line, String> {
    let server = ServerName::try_from(name.to_owned()).map_err(|e| e.to_string())?;
    let tls = TlsConnector::from(config).connect(server, tcp).await.map_err(|e| trust::words(&e, name))?;
    if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(PING_AFTER).keep_alive_timeout(PING_TIMEOUT);
        let (line, connection) = builder.handshake(TokioIo::new(tls)).await.map_err(|e| e.to_string())?;
        tokio::spawn(run(connection));
        return Ok(Line::Many(line));
    }
    let (line, connection) = http1::handshake(TokioIo::new(tls)).await.map_err(|e| e.to_string())?;
    tokio::spawn(run(connection));
    Ok(Line::One(line))
}

async fn run(connection: impl Future<Output = hyper::Result<()>>) {
    if let Err(e) = connection.await {
        tracing::debug!(err = %e, "A called server's connection ended");
    }
}

async fn whole(body: Incoming) -> Result<Bytes, Failed> {
    let read = Limited::new(body, ANSWER_MAX_BYTES).collect().await;
    read.map(http_body_util::Collected::to_bytes).map_err(|e| Failed::Lost(e.to_string()))
}

fn worded(e: &hyper::Error) -> String {
    if e.is_incomplete_message() || e.is_closed() || e.is_canceled() { "EOF".to_owned() } else { e.to_string() }
}

/// An answer that is no success, as client-go words what it does not know better.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let told = parsed.as_ref().filter(|v| v["kind"] == "Status").and_then(|v| v["message"].as_str());
    if let Some(text) = told.filter(|t| !t.is_empty()) {
        return text.to_owned();
    }
    let said = String::from_utf8_lossy(body).trim().chars().take(2048).collect::<String>();
    let said = if said.is_empty() { "unknown".to_owned() } else { said };
    match status.as_u16() {
        400 => "the server rejected our request for an unknown reason".to_owned(),
        401 => "the server has asked for the client to provide credentials".to_owned(),
        403 | 406 | 415 => said,
        404 => "the server could not find the requested resource".to_owned(),
        405 => "the server does not allow this method on the requested resource".to_owned(),
        409 => "the server reported a conflict".to_owned(),
        422 => "the server rejected our request due to an error in our request".to_owned(),
        429 => "the server has received too many requests and has asked us to try again later".to_owned(),
        503 => "the server is currently unable to handle the request".to_owned(),
        504 => "the server was unable to return a response in the time allotted, but may still be processing the request".to_owned(),
        code if code >= 500 => format!("an error on the server ({said:?}) has prevented the request from succeeding"),
        code => format!("the server responded with the status code {code} but did not return more information"),
    }
}
