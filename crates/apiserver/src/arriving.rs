//! A request's body as it arrives. Who is refused before the body was looked at may not have sent it yet: a connection that
//! is closed then loses the answer, or the next request. So what a handler leaves is read behind it, as far as Go's server
//! reads it too.

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// So much that nobody wants is read; the connection ends with a longer rest.
const LEFT_MAX_BYTES: usize = 256 * 1024;
/// The rest has to come within this time.
const LEFT_TIMEOUT: Duration = Duration::from_secs(5);

/// The body. Reading it to the end, or dropping it, leaves the connection usable.
pub(crate) struct Arriving(Option<Incoming>);

impl Arriving {
    /// What hyper hands out.
    pub(crate) fn new(body: Incoming) -> Self {
        Self(Some(body))
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let Some(body) = self.0.take().filter(|b| !b.is_end_stream())
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(LEFT_TIMEOUT, read(body)));
        }
    }
}

async fn read(mut body: Incoming) {
    let mut size = 0;
    while let Some(Ok(frame)) = body.frame().await {
        size += frame.data_ref().map_or(0, Bytes::len);
        if size > LEFT_MAX_BYTES {
            return;
        }
    }
}
