//! Answers of the kubelet API: bodies, and errors as metav1.Status (the API server hands them on as they are).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use kinds::ApiError;
use std::convert::Infallible;
use tokio::sync::mpsc;

/// A body of any making.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;
/// What a handler gives.
pub(crate) type Answer = Result<Response<Body>, ApiError>;

/// A body that is all there.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

fn respond(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Plain text.
pub(crate) fn text(status: StatusCode, text: &str) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", full(text.to_owned()))
}

/// The Prometheus text format.
pub(crate) fn metrics(text: String) -> Response<Body> {
    respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", full(text))
}

/// JSON.
pub(crate) fn json(status: StatusCode, bytes: Vec<u8>) -> Response<Body> {
    respond(status, "application/json", full(bytes))
}

/// Text that comes by and by.
pub(crate) fn stream(mut from: mpsc::Receiver<Bytes>) -> Response<Body> {
    let frames = futures_util::stream::poll_fn(move |cx| from.poll_recv(cx).map(|b| b.map(|b| Ok(Frame::data(b)))));
    respond(StatusCode::OK, "text/plain; charset=utf-8", StreamBody::new(frames).boxed_unsync())
}

/// An error.
pub(crate) fn error(e: &ApiError) -> Response<Body> {
    let status = serde_json::json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": e.message,
        "reason": e.reason,
        "code": e.code,
    });
    json(StatusCode::from_u16(e.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), status.to_string().into_bytes())
}
