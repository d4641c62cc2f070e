//! One pull's conversation: tokens, redirects, retries with back-off, and every endpoint in turn.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use http::{Method, Response, StatusCode, header};
use hyper::body::Incoming;
use url::Url;

use super::auth::{self, Challenge};
use super::body::{self, Download};
use super::http::Http;
use super::{Endpoint, RegistryConfig};
use crate::cri::Auth;
use crate::image::digest::Digest;
use crate::image::manifest::{Descriptor, MANIFEST_TYPES};
use crate::image::reference::Reference;
use crate::image::{ImageError, guard};

/// Most tries of one request that a busy server refuses, and of one blob that breaks off without progress.
const MAX_TRIES: u32 = 5;
/// First pause between tries; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause, also when the server asks for more.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Most redirects of one request.
const MAX_REDIRECTS: usize = 10;
/// Most challenges that one request answers.
const MAX_CHALLENGES: usize = 3;

/// A conversation about one repository.
pub(crate) struct Session {
    http: Http,
    endpoints: Vec<Endpoint>,
    reference: Reference,
    auth: Option<Auth>,
    /// `Authorization` values that an endpoint accepted, by its base URL.
    tokens: Mutex<HashMap<String, String>>,
}

/// Why an endpoint did not give what was asked for.
enum Refusal {
    NotFound,
    Other(String),
}

impl Session {
    pub(crate) fn new(config: &RegistryConfig, reference: &Reference, auth: Option<Auth>) -> Result<Session, ImageError> {
        Ok(Session {
            http: Http::new(config.ca_files.clone()),
            endpoints: config.endpoints(reference)?,
            reference: reference.clone(),
            auth,
            tokens: Mutex::default(),
        })
    }

    /// The digest that the reference stands for now.
    pub(crate) async fn resolve(&self) -> Result<Digest, ImageError> {
        let object = format!("{}/manifests/{}", self.reference.repository, self.reference.object());
        let mut first_error = None;
        for endpoint in &self.endpoints {
            match self.head(endpoint, &object).await {
                Ok(digest) => return Ok(digest),
                Err(Refusal::NotFound) => {}
                Err(Refusal::Other(why)) => drop(first_error.get_or_insert(why)),
            }
        }
        match first_error {
            Some(why) => Err(ImageError::Registry(why)),
            None => Err(ImageError::NotFound { what: self.reference.to_string() }),
        }
    }

    async fn head(&self, endpoint: &Endpoint, object: &str) -> Result<Digest, Refusal> {
        let response = self.ask(endpoint, &Method::HEAD, object, None).await;
        if let Ok(response) = &response
            && let Some(digest) = response.headers().get("docker-content-digest")
            && let Some(digest) = digest.to_str().ok().and_then(|d| Digest::parse(d).ok())
        {
            return Ok(digest);
        }
        match response {
            Err(Refusal::NotFound) => Err(Refusal::NotFound),
            // No digest, or no HEAD at all: the manifest itself has one.
            Ok(_) => self.digest_by_get(endpoint, object).await,
            Err(Refusal::Other(why)) if why.ends_with("405 Method Not Allowed") => self.digest_by_get(endpoint, object).await,
            Err(other) => Err(other),
        }
    }

    async fn digest_by_get(&self, endpoint: &Endpoint, object: &str) -> Result<Digest, Refusal> {
        let response = self.ask(endpoint, &Method::GET, object, None).await?;
        let bytes = body::document(response.into_body()).await.map_err(Refusal::Other)?;
        Ok(Digest::of(&bytes))
    }

    /// A manifest or index by digest, verified.
    pub(crate) async fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        self.document(&format!("{}/manifests/{digest}", self.reference.repository), digest, "manifest").await
    }

    /// A small blob (an image config), verified.
    pub(crate) async fn blob(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        self.document(&format!("{}/blobs/{digest}", self.reference.repository), digest, "config").await
    }

    async fn document(&self, object: &str, digest: &Digest, kind: &str) -> Result<Vec<u8>, ImageError> {
        let mut failure = None;
        for endpoint in &self.endpoints {
            let mut tries = 0;
            loop {
                tries += 1;
                let bytes = match self.ask(endpoint, &Method::GET, object, None).await {
                    Ok(response) => body::document(response.into_body()).await,
                    Err(refusal) => {
                        failure = Some(self.refused(refusal, digest));
                        break;
                    }
                };
                match bytes {
                    Ok(bytes) if digest.matches(&bytes) => return Ok(bytes),
                    Ok(bytes) => {
                        let (blob, actual) = (format!("{kind}-{digest}"), Digest::of(&bytes));
                        failure = Some(ImageError::WrongDigest { blob, actual, expected: digest.clone() });
                        break;
                    }
                    Err(why) if tries >= MAX_TRIES => {
                        failure = Some(ImageError::Registry(format!("failed to copy: {why}")));
                        break;
                    }
                    Err(_) => pause(tries, None).await,
                }
            }
        }
        Err(failure.unwrap_or_else(|| ImageError::NotFound { what: digest.to_string() }))
    }

    fn refused(&self, refusal: Refusal, digest: &Digest) -> ImageError {
        match refusal {
            Refusal::NotFound => {
                let what = format!("content at {}@{digest}", self.reference.name());
                ImageError::Registry(format!("failed to copy: httpReadSeeker: failed open: {what} not found: not found"))
            }
            Refusal::Other(why) => ImageError::Registry(format!("failed to copy: httpReadSeeker: failed open: {why}")),
        }
    }

    /// Streams a blob into its file, going on where a connection broke off.
    pub(crate) async fn download(&self, download: &mut Download<'_>) -> Result<(), ImageError> {
        let mut failure = None;
        for endpoint in &self.endpoints {
            match self.download_from(endpoint, download).await {
                Ok(()) => return Ok(()),
                // A full disk is the same with every mirror.
                Err(e @ ImageError::Io { .. }) => return Err(e),
                Err(e) => failure = Some(e),
            }
            download.restart()?;
        }
        Err(failure.unwrap_or_else(|| ImageError::NotFound { what: download.blob.digest.to_string() }))
    }

    async fn download_from(&self, endpoint: &Endpoint, download: &mut Download<'_>) -> Result<(), ImageError> {
        let Descriptor { digest, size, .. } = download.blob;
        let object = format!("{}/blobs/{digest}", self.reference.repository);
        let mut tries = 0;
        loop {
            let from = download.at;
            let range = (from > 0 && from < *size).then_some(from);
            let response = self.ask(endpoint, &Method::GET, &object, range).await;
            let response = response.map_err(|refusal| self.refused(refusal, digest))?;
            if range.is_some() && response.status() != StatusCode::PARTIAL_CONTENT {
                download.restart()?;
            }
            let ended = receive(response.into_body(), download).await?;
            if ended.is_ok() && download.at >= *size {
                return download.verify();
            }
            tries = if download.at > from { 1 } else { tries + 1 };
            if tries >= MAX_TRIES {
                let why = ended.err().unwrap_or_else(|| "unexpected EOF".to_owned());
                let (name, at) = (download.name(), download.at);
                return Err(ImageError::Registry(format!("failed to copy: {name}: read {at} of {size} bytes: {why}")));
            }
            pause(tries, None).await;
        }
    }

    /// One request with all that belongs to it: token, redirects, patience.
    async fn ask(&self, endpoint: &Endpoint, method: &Method, object: &str, from: Option<u64>) -> Result<Response<Incoming>, Refusal> {
        let mut url = endpoint.url(object).map_err(|e| Refusal::Other(e.to_string()))?;
        let home = url.clone();
        let (mut tries, mut redirects, mut challenges) = (0, 0, 0);
        loop {
            let headers = self.headers(endpoint, same_origin(&home, &url), from);
            let response = self.http.send(method, &url, &headers).await.map_err(|why| not_sent(method, &url, &why))?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if status.is_redirection() && redirects < MAX_REDIRECTS {
                redirects += 1;
                url = redirect(&url, &response).ok_or_else(|| unexpected(method, &url, status, ""))?;
                continue;
            }
            if status == StatusCode::UNAUTHORIZED && challenges < MAX_CHALLENGES && same_origin(&home, &url) {
                challenges += 1;
                self.answer(endpoint, &response, challenges > 1).await?;
                continue;
            }
            if patient(status) && tries + 1 < MAX_TRIES {
                tries += 1;
                pause(tries, retry_after(&response)).await;
                continue;
            }
            let page = if *method == Method::HEAD { Vec::new() } else { body::error_page(response.into_body()).await };
            return Err(match status {
                StatusCode::NOT_FOUND => Refusal::NotFound,
                StatusCode::UNAUTHORIZED => denied("authorization failed"),
                _ => unexpected(method, &url, status, &server_message(&page)),
            });
        }
    }

    fn headers(&self, endpoint: &Endpoint, at_home: bool, from: Option<u64>) -> Vec<(&'static str, String)> {
        let mut headers = vec![("accept", format!("{}, */*", MANIFEST_TYPES.join(", ")))];
        if let Some(from) = from {
            headers.push(("range", format!("bytes={from}-")));
        }
        if at_home {
            let known = guard(&self.tokens).get(endpoint.base.as_str()).cloned();
            let given = || self.credentials(endpoint)?.token.as_ref().map(|t| format!("Bearer {t}"));
            headers.extend(known.or_else(given).map(|value| ("authorization", value)));
        }
        headers
    }

    fn credentials(&self, endpoint: &Endpoint) -> Option<&Auth> {
        self.auth.as_ref().filter(|_| endpoint.is_upstream())
    }

    /// Gets what the challenge asks for; `again` when an answer was refused already.
    async fn answer(&self, endpoint: &Endpoint, response: &Response<Incoming>, again: bool) -> Result<(), Refusal> {
        let values = response.headers().get_all(header::WWW_AUTHENTICATE).iter();
        let challenges: Vec<Challenge> = values.filter_map(|v| Challenge::parse(v.to_str().ok()?)).collect();
        let basic = self.credentials(endpoint).and_then(auth::basic);
        let value = if let Some(bearer) = challenges.iter().find(|c| c.scheme == "bearer") {
            if again {
                let why = bearer.get("error").map(|e| format!("server message: {e}: "));
                return Err(denied(&format!("{}authorization failed", why.unwrap_or_default())));
            }
            let url = bearer.token_url(&self.reference.repository);
            let url = url.ok_or_else(|| Refusal::Other("failed to authorize: no usable realm in the challenge".into()))?;
            // A password goes only where nobody can read it on the way, or where the user chose plain HTTP.
            if basic.is_some() && url.scheme() != "https" && endpoint.base.scheme() == "https" {
                return Err(Refusal::Other(format!("failed to authorize: refusing to send credentials to {url}")));
            }
            format!("Bearer {}", self.token(&url, basic).await?)
        } else if challenges.iter().any(|c| c.scheme == "basic") {
            match basic {
                Some(value) if !again => value,
                Some(_) => return Err(denied("authorization failed")),
                None => return Err(denied("authorization failed: no basic auth credentials")),
            }
        } else {
            return Err(denied("authorization failed"));
        };
        guard(&self.tokens).insert(endpoint.base.to_string(), value);
        Ok(())
    }

    async fn token(&self, url: &Url, basic: Option<String>) -> Result<String, Refusal> {
        let kind = if basic.is_some() { "oauth" } else { "anonymous" };
        let failed = |why: String| Refusal::Other(format!("failed to authorize: failed to fetch {kind} token: {why}"));
        let headers: Vec<_> = basic.map(|value| ("authorization", value)).into_iter().collect();
        let mut tries = 0;
        loop {
            let response = self.http.send(&Method::GET, url, &headers).await;
            let response = response.map_err(|why| failed(format!("Get \"{url}\": {why}")))?;
            let status = response.status();
            if patient(status) && tries + 1 < MAX_TRIES {
                tries += 1;
                pause(tries, retry_after(&response)).await;
                continue;
            }
            if !status.is_success() {
                return Err(failed(format!("unexpected status from GET request to {url}: {}", words(status))));
            }
            let bytes = body::document(response.into_body()).await.map_err(&failed)?;
            return auth::token(&bytes).ok_or_else(|| failed("authorization server did not include a token in the response".into()));
        }
    }
}

/// Takes a body in. The inner result says whether it came to its end; the outer one is about our own disk.
async fn receive(mut body: Incoming, download: &mut Download<'_>) -> Result<Result<(), String>, ImageError> {
    loop {
        match body::chunk(&mut body).await {
            Ok(Some(data)) => download.write(&data)?,
            Ok(None) => return Ok(Ok(())),
            Err(why) => return Ok(Err(why)),
        }
    }
}

fn same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

fn redirect(from: &Url, response: &Response<Incoming>) -> Option<Url> {
    let to = from.join(response.headers().get(header::LOCATION)?.to_str().ok()?).ok()?;
    // Never from TLS to plain text.
    (matches!(to.scheme(), "http" | "https") && (to.scheme() == "https" || from.scheme() == "http")).then_some(to)
}

/// Worth trying again: the server is busy or broken for the moment.
fn patient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn pause(tries: u32, asked: Option<Duration>) {
    let own = FIRST_PAUSE * 2u32.saturating_pow(tries.saturating_sub(1));
    tokio::time::sleep(asked.unwrap_or(own).min(MAX_PAUSE)).await;
}

fn words(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or("")).trim_end().to_owned()
}

fn denied(why: &str) -> Refusal {
    Refusal::Other(format!("pull access denied, repository does not exist or may require authorization: {why}"))
}

fn not_sent(method: &Method, url: &Url, why: &str) -> Refusal {
    let verb = if *method == Method::HEAD { "Head" } else { "Get" };
    Refusal::Other(format!("failed to do request: {verb} \"{url}\": {why}"))
}

fn unexpected(method: &Method, url: &Url, status: StatusCode, message: &str) -> Refusal {
    let message = if message.is_empty() { String::new() } else { format!("\n{message}") };
    Refusal::Other(format!("unexpected status from {method} request to {url}: {}{message}", words(status)))
}

/// `toomanyrequests: You have reached your pull rate limit`, from the registry's error document.
fn server_message(page: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Page {
        #[serde(default)]
        errors: Vec<One>,
    }
    #[derive(serde::Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let errors = serde_json::from_slice::<Page>(page).map(|p| p.errors).unwrap_or_default();
    let words: Vec<String> =
        errors.iter().map(|e| format!("{}: {}", e.code.to_ascii_lowercase().replace('_', " "), e.message)).collect();
    words.join("\n")
}
