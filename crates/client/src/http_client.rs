//! The verbs over untyped JSON: one pool of kept-alive connections, credentials on every request, errors as the server words
//! them, warnings collected for whoever shows them.

use crate::dial::Dialer;
use crate::error::from_answer;
use crate::kubeconfig::Config;
use crate::watch::{Lines, Watch};
use crate::{Error, credentials, tls};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT, WARNING};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The largest answer that is read whole.
const ANSWER_MAX_BYTES: usize = 1 << 30;
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
const AGENT: &str = concat!("kubectl/v1.36.0 (linux) timonel/", env!("CARGO_PKG_VERSION"));
/// Warnings kept until somebody takes them.
const WARNINGS_MAX: usize = 1000;

/// How a patch is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchType {
    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

/// The body of a request.
#[derive(Clone, Debug)]
pub enum RequestBody {
    Empty,
    Json(Value),
    Bytes(&'static str, Bytes),
}

struct Inner {
    pool: legacy::Client<Dialer, Full<Bytes>>,
    base: String,
    config: Config,
    token: Option<String>,
    warnings: Mutex<Vec<String>>,
}

/// A client of one server; cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut at = Some(error);
    while let Some(e) = at {
        if e.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        at = e.source();
    }
    false
}

impl Client {
    /// A client of the server that the configuration names; runs its credential plugin.
    ///
    /// # Errors
    /// Certificates or keys that cannot be read; a plugin that fails.
    pub fn new(config: Config) -> Result<Self, Error> {
        let given = credentials::run(&config)?;
        let certificate = given.certificate.as_deref().or(config.client_certificate.as_deref());
        let key = given.key.as_deref().or(config.client_key.as_deref());
        let tls = tls::configuration(config.ca.as_deref(), config.insecure, certificate, key)?;
        let dialer = Dialer { tls: Arc::new(tls), server_name: config.tls_server_name.clone() };
        let pool = legacy::Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE_TIMEOUT).build(dialer);
        let token = given.token.or_else(|| config.token.clone());
        let base = config.server.trim_end_matches('/').to_owned();
        Ok(Self { inner: Arc::new(Inner { pool, base, config, token, warnings: Mutex::new(Vec::new()) }) })
    }

    /// The configuration behind it.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// `https://host:port` without a slash at its end.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.inner.base
    }

    /// The warnings that answers carried since the last call.
    #[must_use]
    pub fn take_warnings(&self) -> Vec<String> {
        self.inner.warnings.lock().map(|mut w| std::mem::take(&mut *w)).unwrap_or_default()
    }

    fn authorization(&self) -> Result<Option<String>, Error> {
        let config = &self.inner.config;
        if let Some(token) = &self.inner.token {
            return Ok(Some(format!("Bearer {token}")));
        }
        if let Some(path) = &config.token_file {
            let token = std::fs::read_to_string(path).map_err(|e| Error::Config(format!("unable to read {}: {e}", path.display())))?;
            return Ok(Some(format!("Bearer {}", token.trim())));
        }
        Ok(config.basic.as_ref().map(|(name, password)| format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))))
    }

    /// A request with our credentials on it.
    pub(crate) fn request(&self, method: Method, path: &str, accept: &str, body: RequestBody) -> Result<Request<Full<Bytes>>, Error> {
        let config = &self.inner.config;
        let uri = format!("{}{path}", self.inner.base);
        let mut request = Request::builder().method(method).uri(&uri).header(USER_AGENT, AGENT).header(ACCEPT, accept);
        if let Some(authorization) = self.authorization()? {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(user) = &config.impersonate {
            request = request.header(HeaderName::from_static("impersonate-user"), user);
        }
        for group in &config.impersonate_groups {
            request = request.header(HeaderName::from_static("impersonate-group"), group);
        }
        if let Some(uid) = &config.impersonate_uid {
            request = request.header(HeaderName::from_static("impersonate-uid"), uid);
        }
        let bytes = match body {
            RequestBody::Empty => Bytes::new(),
            RequestBody::Json(value) => {
                request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Bytes::from(value.to_string())
            }
            RequestBody::Bytes(kind, bytes) => {
                request = request.header(CONTENT_TYPE, HeaderValue::from_static(kind));
                bytes
            }
        };
        request.body(Full::new(bytes)).map_err(|e| Error::Config(format!("{uri}: {e}")))
    }

    /// Sends a request as it is; whatever the answer is, it is returned.
    pub(crate) async fn raw(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        let address = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let sending = self.inner.pool.request(request);
        let sent = match self.inner.config.timeout {
            Some(limit) => tokio::time::timeout(limit, sending).await.map_err(|_| Error::TimedOut)?,
            None => sending.await,
        };
        let response = sent.map_err(|e| if refused(&e) { Error::Refused(address) } else { Error::Connect(chain(&e)) })?;
        self.note_warnings(&response);
        Ok(response)
    }

    fn note_warnings(&self, response: &Response<Incoming>) {
        let texts = response.headers().get_all(WARNING).iter().filter_map(|v| v.to_str().ok()).filter_map(warning_text);
        if let Ok(mut all) = self.inner.warnings.lock() {
            for text in texts {
                if all.len() < WARNINGS_MAX && !all.contains(&text) {
                    all.push(text);
                }
            }
        }
    }

    /// Sends a request; an answer that is no success is an error.
    ///
    /// # Errors
    /// No connection, or the server's own error.
    pub async fn send(&self, method: Method, path: &str, accept: &str, body: RequestBody) -> Result<Response<Incoming>, Error> {
        let response = self.raw(self.request(method, path, accept, body)?).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let code = response.status().as_u16();
        Err(from_answer(code, &whole(response).await?))
    }

    /// Passes somebody's request on with our credentials; the answer comes back as it is.
    ///
    /// # Errors
    /// No connection.
    pub async fn pass(&self, method: Method, path: &str, headers: &http::HeaderMap, body: Bytes) -> Result<Response<Incoming>, Error> {
        let accept = headers.get(ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or("*/*");
        let mut request = self.request(method, path, accept, RequestBody::Empty)?;
        if let Some(kind) = headers.get(CONTENT_TYPE) {
            request.headers_mut().insert(CONTENT_TYPE, kind.clone());
        }
        // The server writes otherwise for people than for programs.
        if let Some(agent) = headers.get(USER_AGENT) {
            request.headers_mut().insert(USER_AGENT, agent.clone());
        }
        *request.body_mut() = Full::new(body);
        self.raw(request).await
    }

    /// Sends a request and reads its answer whole.
    ///
    /// # Errors
    /// No connection, or the server's own error.
    pub async fn bytes(&self, method: Method, path: &str, accept: &str, body: RequestBody) -> Result<Bytes, Error> {
        whole(self.send(method, path, accept, body).await?).await
    }

    /// Sends a request and reads JSON.
    ///
    /// # Errors
    /// No connection, the server's own error, or an answer that is no JSON.
    pub async fn json(&self, method: Method, path: &str, accept: &str, body: RequestBody) -> Result<Value, Error> {
        let bytes = self.bytes(method, path, accept, body).await?;
        serde_json::from_slice(&bytes).map_err(|e| Error::Answer(format!("couldn't understand the server's answer: {e}")))
    }

    /// GET.
    ///
    /// # Errors
    /// As [`Client::json`].
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        self.json(Method::GET, path, "application/json", RequestBody::Empty).await
    }

    /// POST.
    ///
    /// # Errors
    /// As [`Client::json`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.json(Method::POST, path, "application/json", RequestBody::Json(body.clone())).await
    }

    /// PUT.
    ///
    /// # Errors
    /// As [`Client::json`].
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.json(Method::PUT, path, "application/json", RequestBody::Json(body.clone())).await
    }

    /// PATCH.
    ///
    /// # Errors
    /// As [`Client::json`].
    pub async fn patch(&self, path: &str, kind: PatchType, body: &Value) -> Result<Value, Error> {
        let bytes = Bytes::from(body.to_string());
        self.json(Method::PATCH, path, "application/json", RequestBody::Bytes(kind.content_type(), bytes)).await
    }

    /// PATCH with a body that may be anything.
    ///
    /// # Errors
    /// As [`Client::json`].
    pub async fn patch_text(&self, path: &str, kind: PatchType, body: String) -> Result<Value, Error> {
        self.json(Method::PATCH, path, "application/json", RequestBody::Bytes(kind.content_type(), Bytes::from(body))).await
    }

    /// DELETE with `DeleteOptions`.
    ///
    /// # Errors
    /// As [`Client::json`].
    pub async fn delete(&self, path: &str, options: &Value) -> Result<Value, Error> {
        self.json(Method::DELETE, path, "application/json", RequestBody::Json(options.clone())).await
    }

    /// A watch; the path carries `watch=true` and the rest of its options.
    ///
    /// # Errors
    /// No connection, or the server's own error.
    pub async fn watch(&self, path: &str, accept: &str) -> Result<Watch, Error> {
        Ok(Watch::new(self.lines(path, accept).await?))
    }

    /// An answer that arrives line by line.
    ///
    /// # Errors
    /// No connection, or the server's own error.
    pub async fn lines(&self, path: &str, accept: &str) -> Result<Lines, Error> {
        Ok(Lines::new(self.send(Method::GET, path, accept, RequestBody::Empty).await?.into_body()))
    }
}

/// `299 - "text"`.
fn warning_text(header: &str) -> Option<String> {
    let (_, quoted) = header.split_once('"')?;
    let inner = quoted.rsplit_once('"')?.0;
    Some(inner.replace("\\\"", "\"").replace("\\\\", "\\"))
}

pub(crate) async fn whole(response: Response<Incoming>) -> Result<Bytes, Error> {
    let read = Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect().await;
    read.map(http_body_util::Collected::to_bytes).map_err(|e| Error::Answer(format!("unexpected EOF: {e}")))
}
