//! Answers: statuses, negotiated encodings, and the one body type.

#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame};
use kinds::ApiError;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Bodies larger than this are compressed for clients that ask for it (kube-apiserver's threshold).
const GZIP_MIN_BYTES: usize = 128 * 1024;

/// Pieces of a body are gathered into frames of at most this size (a larger piece is a frame of its own).
const GATHER_BYTES: usize = 64 * 1024;

/// All warnings of an answer together; when they are more, each is cut to [`WARNING_SHORT`] (kube-apiserver's numbers).
const WARNINGS_MAX_BYTES: usize = 4096;
/// What remains of a long warning among many.
const WARNING_SHORT: usize = 256;

/// A response body.
pub enum Body {
    /// Pieces that are all there.
    Pieces(VecDeque<Bytes>),
    /// The same, with the seats that serving them takes.
    Held(VecDeque<Bytes>, crate::fairness::Permit),
    /// Pieces as they come.
    Stream(mpsc::Receiver<Bytes>),
    /// A body that another server sends, and the trail that is complete when it ends.
    Relay(hyper::body::Incoming, Option<std::sync::Arc<crate::audit::Trail>>),
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Pieces(VecDeque::from([Bytes::from(bytes)]))
    }
}
impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Pieces(VecDeque::from([bytes]))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Pieces(p) | Self::Held(p, _) => Poll::Ready(gather(p).map(|b| Ok(Frame::data(b)))),
            Self::Stream(rx) => rx.poll_recv(cx).map(|b| b.map(|b| Ok(Frame::data(b)))),
            Self::Relay(b, _) => Pin::new(b).poll_frame(cx).map(|f| f.map(|f| f.map_err(Into::into))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Pieces(p) | Self::Held(p, _) if p.is_empty())
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Pieces(p) | Self::Held(p, _) => http_body::SizeHint::with_exact(p.iter().map(|b| b.len() as u64).sum()),
            _ => http_body::SizeHint::default(),
        }
    }
}

/// The next frame: small pieces go out together, because a frame and a TLS record each cost more than copying them.
fn gather(pieces: &mut VecDeque<Bytes>) -> Option<Bytes> {
    let (mut count, mut size) = (0, 0);
    for piece in pieces.iter() {
        if count > 0 && size + piece.len() > GATHER_BYTES {
            break;
        }
        count += 1;
        size += piece.len();
    }
    if count < 2 {
        return pieces.pop_front();
    }
    let mut frame = BytesMut::with_capacity(size);
    pieces.drain(..count).for_each(|piece| frame.extend_from_slice(&piece));
    Some(frame.freeze())
}

/// A whole answer.
pub type Reply = Response<Body>;

/// How the client wants to read objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    #[default]
    Json,
    Yaml,
    Protobuf,
}

impl Encoding {
    /// What an entry of an `Accept` header asks for.
    fn of(entry: &str) -> Option<Self> {
        match entry.split(';').next()?.trim() {
            "application/json" | "*/*" | "application/*" => Some(Self::Json),
            "application/yaml" => Some(Self::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }
}

/// Into what the client wants objects turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    #[default]
    Object,
    Table,
    PartialMetadata,
    PartialMetadataList,
}

/// The outcome of content negotiation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    pub encoding: Encoding,
    pub form: Form,
    pub pretty: bool,
}

impl Accept {
    /// Chooses from the `Accept` header; the first acceptable entry wins.
    ///
    /// # Errors
    /// 406 when nothing fits.
    pub fn negotiate(headers: &HeaderMap, pretty: bool) -> Result<Self, ApiError> {
        Self::choose(headers, pretty, |_| true)
    }

    /// The same for kinds that no table can be made of.
    ///
    /// # Errors
    /// 406 when nothing but a table is asked for.
    pub fn negotiate_without_tables(headers: &HeaderMap, pretty: bool) -> Result<Self, ApiError> {
        Self::choose(headers, pretty, |a| a.form != Form::Table)
    }

    /// The same for kinds that have no protobuf form: their tables and metadata have one.
    ///
    /// # Errors
    /// 406 when nothing but protobuf is asked for.
    pub fn without_protobuf(self, headers: &HeaderMap) -> Result<Self, ApiError> {
        let fits = |a: &Self| a.encoding != Encoding::Protobuf || a.form != Form::Object;
        if fits(&self) { Ok(self) } else { Self::choose(headers, self.pretty, fits) }
    }

    fn choose(headers: &HeaderMap, pretty: bool, fits: impl Fn(&Self) -> bool) -> Result<Self, ApiError> {
        let pretty = pretty || is_person(headers);
        let text = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if text.trim().is_empty() {
            return Ok(Self { pretty, ..Self::default() });
        }
        let mut entries: Vec<(f32, &str)> = text.split(',').map(|e| (quality(e), e)).collect();
        entries.sort_by(|a, b| b.0.total_cmp(&a.0));
        let chosen = entries.iter().find_map(|(_, e)| Self::entry(e).filter(&fits));
        chosen.map(|a| Self { pretty, ..a }).ok_or_else(|| {
            if !entries.iter().any(|(_, e)| Encoding::of(e).is_some()) {
                let text = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
                            application/vnd.kubernetes.protobuf";
                return ApiError::new(406, "NotAcceptable", text).with_details(kinds::error::Details::default());
            }
            ApiError::new(
                406,
                "NotAcceptable",
                "only the following media types are accepted: application/json, application/yaml, \
                 application/vnd.kubernetes.protobuf",
            )
        })
    }

    fn entry(entry: &str) -> Option<Self> {
        let mut parts = entry.split(';').map(str::trim);
        let encoding = Encoding::of(parts.next()?)?;
        let params: Vec<(&str, &str)> = parts.filter_map(|p| p.split_once('=')).collect();
        let param = |k: &str| params.iter().find(|(n, _)| *n == k).map(|(_, v)| *v);
        if param("as").is_some() && (param("g") != Some("meta.k8s.io") || param("v") != Some("v1")) {
            return None;
        }
        let form = match param("as") {
            None => Form::Object,
            Some("Table") => Form::Table,
            Some("PartialObjectMetadata") => Form::PartialMetadata,
            Some("PartialObjectMetadataList") => Form::PartialMetadataList,
            Some(_) => return None,
        };
        Some(Self { encoding, form, pretty: false })
    }
}

/// Whether a person is likely to read the answer as it is: browsers and the usual programs of the command line.
fn is_person(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|known| agent.starts_with(known))
}

fn quality(entry: &str) -> f32 {
    let q = entry.split(';').filter_map(|p| p.trim().strip_prefix("q=")).next();
    q.and_then(|q| q.parse().ok()).unwrap_or(1.0)
}

/// A `metav1.Status` of failure as a tree.
#[must_use]
pub fn status_tree(e: &ApiError) -> Value {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": e.message, "code": e.code,
    });
    if let Some(token) = &e.resume {
        status["metadata"]["continue"] = token.as_str().into();
    }
    if !e.reason.is_empty() {
        status["reason"] = e.reason.as_ref().into();
    }
    if let Some(d) = &e.details {
        let mut details = json!({});
        for (k, v) in [("name", &d.name), ("group", &d.group), ("kind", &d.kind), ("uid", &d.uid)] {
            if !v.is_empty() {
                details[k] = v.as_str().into();
            }
        }
        if !d.causes.is_empty() {
            details["causes"] = d.causes.iter().map(cause_tree).collect();
        }
        if let Some(s) = d.retry_after_s {
            details["retryAfterSeconds"] = s.into();
        }
        status["details"] = details;
    }
    status
}

/// The same in the order of members that kube-apiserver writes.
fn status_json(e: &ApiError) -> Bytes {
    let tree = status_tree(e);
    let order = ["kind", "apiVersion", "metadata", "status", "message", "reason", "details", "code"];
    let members = order.iter().filter_map(|k| tree.get(k).map(|v| format!("\"{k}\":{v}")));
    format!("{{{}}}", members.collect::<Vec<_>>().join(",")).into()
}

fn cause_tree(c: &kinds::error::Cause) -> Value {
    let mut tree = json!({});
    for (k, v) in [("reason", &c.reason), ("message", &c.message), ("field", &c.field)] {
        if !v.is_empty() {
            tree[k] = v.as_str().into();
        }
    }
    tree
}

/// A tree in the client's encoding.
#[must_use]
pub fn tree(code: u16, value: &Value, accept: Accept) -> Reply {
    encoded(code, serde_json::to_vec(value).expect("a tree always encodes").into(), accept)
}

/// JSON text in the client's encoding.
#[must_use]
pub fn encoded(code: u16, json: Bytes, accept: Accept) -> Reply {
    let (body, media): (Bytes, &str) = match accept.encoding {
        Encoding::Json if accept.pretty => (pretty(&json), "application/json"),
        Encoding::Json => (json, "application/json"),
        Encoding::Yaml => (yaml(&json), "application/yaml"),
        Encoding::Protobuf => match codec::proto::encode(&json) {
            Ok(bytes) => (bytes.into(), "application/vnd.kubernetes.protobuf"),
            // Kinds without a protobuf form are answered in JSON, as kube-apiserver does for custom resources.
            Err(_) => (json, "application/json"),
        },
    };
    with_media(code, body.into(), media)
}

/// The same JSON with a line for each member, in the order it has.
fn pretty(json: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    for (i, &byte) in json.iter().enumerate() {
        if in_text {
            out.push(byte);
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => {}
            b'{' | b'[' => {
                out.push(byte);
                let closes = json[i + 1..].iter().find(|b| !b.is_ascii_whitespace());
                if !matches!(closes, Some(b'}' | b']')) {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                if !matches!(out.last(), Some(b'{' | b'[')) {
                    depth = depth.saturating_sub(1);
                    line(&mut out, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                in_text = byte == b'"';
                out.push(byte);
            }
        }
    }
    out.into()
}

fn yaml(json: &[u8]) -> Bytes {
    let value: Value = serde_json::from_slice(json).unwrap_or_default();
    codec::yaml::write(&value).into()
}

/// A body of a media type.
#[must_use]
pub fn with_media(code: u16, body: Body, media: &str) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = HeaderValue::from_str(media) {
        reply.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    reply
}

/// Plain text.
#[must_use]
pub fn text(code: u16, body: impl Into<String>) -> Reply {
    with_media(code, body.into().into_bytes().into(), "text/plain; charset=utf-8")
}

/// A failure in plain text, which nobody may take for something else.
#[must_use]
pub fn plain_error(code: u16, body: impl Into<String>) -> Reply {
    let mut reply = text(code, body);
    reply.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// A failure.
#[must_use]
pub fn failure(e: &ApiError, accept: Accept) -> Reply {
    let accept = Accept { form: Form::Object, ..accept };
    let mut reply = encoded(e.code, status_json(e), accept);
    let retry = e.details.as_ref().and_then(|d| d.retry_after_s);
    if let Some(s) = retry.filter(|_| matches!(e.code, 429 | 503 | 504)) {
        reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(s));
    }
    warn(&mut reply, &e.warnings);
    if e.code == 401 {
        reply.headers_mut().remove(header::WWW_AUTHENTICATE);
    }
    reply
}

/// Leaves the body out and says how long it would have been (RFC 9110, 9.3.2).
pub(crate) fn headless(reply: &mut Reply) {
    if let Body::Pieces(pieces) | Body::Held(pieces, _) = reply.body() {
        let length: usize = pieces.iter().map(Bytes::len).sum();
        reply.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    *reply.body_mut() = Body::Pieces(VecDeque::new());
}

/// Adds `Warning: 299` headers (RFC 7234, 5.5).
pub fn warn(reply: &mut Reply, warnings: &[String]) {
    let long = warnings.iter().map(String::len).sum::<usize>() > WARNINGS_MAX_BYTES;
    let mut left = WARNINGS_MAX_BYTES;
    for w in warnings {
        let w: String = if long { w.chars().take(WARNING_SHORT).collect() } else { w.clone() };
        let Some(rest) = left.checked_sub(w.len()) else { return };
        left = rest;
        let quoted = w.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
        if let Ok(v) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            reply.headers_mut().append(header::WARNING, v);
        }
    }
}

/// Compresses large answers for clients that take gzip, unless that is switched off.
#[must_use]
pub fn compress(mut reply: Reply, encodings: Option<&HeaderValue>, on: impl Fn() -> bool) -> Reply {
    let asked = encodings.and_then(|v| v.to_str().ok()).unwrap_or_default();
    let (Body::Pieces(pieces) | Body::Held(pieces, _)) = reply.body() else { return reply };
    if reply.headers().contains_key(header::CONTENT_ENCODING) {
        return reply;
    }
    let size: usize = pieces.iter().map(Bytes::len).sum();
    if size < GZIP_MIN_BYTES || !asked.split(',').any(|e| e.trim().starts_with("gzip")) || !on() {
        return reply;
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(size / 4), flate2::Compression::new(1));
    for piece in pieces {
        if std::io::Write::write_all(&mut encoder, piece).is_err() {
            return reply;
        }
    }
    let Ok(bytes) = encoder.finish() else { return reply };
    *reply.body_mut() = bytes.into();
    reply.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    reply.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    reply
}

