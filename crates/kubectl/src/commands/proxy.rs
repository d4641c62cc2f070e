//! `kubectl proxy` (docs: "Use an HTTP Proxy to Access the Kubernetes API"): a local port whose requests go to the API server with
//! our credentials, filtered by host, path and method; files of a directory beside it.

use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::print::{say, tell};
use crate::session::Session;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use regex::Regex;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;

/// The largest request that is passed on.
const REQUEST_MAX_BYTES: usize = 64 << 20;
const HOSTS: &str = r"^localhost$,^127\.0\.0\.1$,^\[::1\]$";
const PATHS_REFUSED: &str = "^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach";

type Answer = Response<BoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>>;

/// Which requests pass.
struct Filter {
    hosts: Vec<Regex>,
    paths: Vec<Regex>,
    refused: Vec<Regex>,
    methods: Vec<Regex>,
    off: bool,
}

fn patterns(list: &str) -> Outcome<Vec<Regex>> {
    let one = |p: &str| Regex::new(p).map_err(|e| Failure::text(e.to_string()));
    list.split(',').filter(|p| !p.is_empty()).map(one).collect()
}

impl Filter {
    fn of(given: &Given<'_>) -> Outcome<Self> {
        Ok(Self {
            hosts: patterns(given.text_or("accept-hosts", HOSTS))?,
            paths: patterns(given.text_or("accept-paths", "^.*"))?,
            refused: patterns(given.text_or("reject-paths", PATHS_REFUSED))?,
            methods: patterns(given.text_or("reject-methods", "^$"))?,
            off: given.on("disable-filter"),
        })
    }

    fn lets(&self, method: &Method, host: &str, path: &str) -> bool {
        let any = |all: &[Regex], text: &str| all.iter().any(|r| r.is_match(text));
        let host = host.rsplit_once(':').filter(|(_, p)| p.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(h, _)| h);
        self.off || (!any(&self.methods, method.as_str()) && any(&self.hosts, host) && any(&self.paths, path) && !any(&self.refused, path))
    }
}

/// What every connection needs.
struct Proxy {
    client: client::Client,
    filter: Filter,
    prefix: String,
    files: Option<(String, PathBuf)>,
}

fn plain(code: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed());
    *answer.status_mut() = code;
    answer
}

/// A file below a directory, never above it.
fn file(dir: &Path, rest: &str) -> Answer {
    let mut path = dir.to_owned();
    for part in rest.split('/').filter(|p| !p.is_empty()) {
        if part == ".." {
            return plain(StatusCode::BAD_REQUEST, "invalid URL path\n");
        }
        path.push(part);
    }
    if path.is_dir() {
        path.push("index.html");
    }
    match std::fs::read(&path) {
        Ok(bytes) => plain(StatusCode::OK, bytes),
        Err(_) => plain(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

impl Proxy {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        if let Some((prefix, dir)) = &self.files
            && let Some(rest) = path.strip_prefix(prefix.as_str())
        {
            return file(dir, rest);
        }
        let Some(rest) = path.strip_prefix(&self.prefix) else { return plain(StatusCode::NOT_FOUND, "404 page not found\n") };
        let host = head.headers.get(http::header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
        if !self.filter.lets(&head.method, host, &path) {
            return plain(StatusCode::FORBIDDEN, "Forbidden\n");
        }
        let target = format!("/{rest}{}", head.uri.query().map(|q| format!("?{q}")).unwrap_or_default());
        let bytes = match Limited::new(body, REQUEST_MAX_BYTES).collect().await {
            Ok(all) => all.to_bytes(),
            Err(e) => return plain(StatusCode::PAYLOAD_TOO_LARGE, format!("{e}\n")),
        };
        match self.client.pass(head.method, &target, &head.headers, bytes).await {
            Ok(answer) => answer.map(|b| b.map_err(|e| Box::new(e) as Box<dyn std::error::Error + Send + Sync>).boxed()),
            Err(e) => {
                tell(&format!("Error while proxying request: {e}"));
                plain(StatusCode::BAD_GATEWAY, Bytes::new())
            }
        }
    }
}

async fn serve<S>(proxy: Arc<Proxy>, stream: S)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let proxy = Arc::clone(&proxy);
        async move { Ok::<Answer, Infallible>(proxy.answer(request).await) }
    });
    // A browser that goes away is no news.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn slashed(text: &str) -> String {
    let inner = text.trim_matches('/');
    if inner.is_empty() { "/".to_owned() } else { format!("/{inner}/") }
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    given.no_args()?;
    let port = given.number("port")?.unwrap_or(8001);
    let Ok(port) = u16::try_from(port) else { return wrong(format!("listen tcp: address {port}: invalid port")) };
    let session = Session::open(given)?;
    let files = given.text("www").filter(|w| !w.is_empty()).map(|dir| (slashed(given.text_or("www-prefix", "/static/")), PathBuf::from(dir)));
    let proxy = Arc::new(Proxy { client: session.client.clone(), filter: Filter::of(given)?, prefix: slashed(given.text_or("api-prefix", "/")), files });
    if let Some(path) = given.text("unix-socket").filter(|p| !p.is_empty()) {
        let listener = tokio::net::UnixListener::bind(path).map_err(|e| Failure::text(format!("listen unix {path}: bind: {e}")))?;
        say(&format!("Starting to serve on {path}\n"));
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(serve(Arc::clone(&proxy), stream));
        }
    }
    let address = given.text_or("address", "127.0.0.1");
    let listener = TcpListener::bind((address, port)).await.map_err(|e| {
        let why = if e.kind() == std::io::ErrorKind::AddrInUse { "address already in use".to_owned() } else { e.to_string() };
        Failure::text(format!("listen tcp {address}:{port}: bind: {why}"))
    })?;
    say(&format!("Starting to serve on {}\n", listener.local_addr()?));
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(Arc::clone(&proxy), stream));
    }
}
