//! Port-forward over SPDY: a pair of streams (error, data) a connection, paired by their request id
//! (`portforward.k8s.io`).

use super::Stream;
use crate::server::answer::Answer;
use crate::server::forward::Target;
use bytes::BytesMut;
use http::Request;
use hyper::body::Incoming;
use kinds::ApiError;
use std::collections::BTreeMap;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const PROTOCOL: &str = "portforward.k8s.io";
const CHUNK_BYTES: usize = 64 << 10;
/// Halves of pairs that wait for their other half.
const HALVES_MAX: usize = 256;

pub(crate) fn accept(request: Request<Incoming>, target: Target) -> Answer {
    if super::choose(&request, &[PROTOCOL]).is_none() {
        return Err(ApiError::new(403, "Forbidden", format!("unable to upgrade: unable to negotiate protocol: server accepts [{PROTOCOL}]")));
    }
    super::accept(request, PROTOCOL, move |io| serve(io, target))
}

#[derive(Default)]
struct Pair {
    error: Option<Stream>,
    data: Option<Stream>,
}

/// Serves every pair of streams until the client hangs up.
pub(crate) async fn serve<S>(io: S, target: Target)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut opened = super::serve(io);
    let mut halves: BTreeMap<String, Pair> = BTreeMap::new();
    while let Some(stream) = opened.recv().await {
        let id = stream.headers.get("requestid").cloned().unwrap_or_default();
        let pair = halves.entry(id.clone()).or_default();
        match stream.headers.get("streamtype").map(String::as_str) {
            Some("error") => pair.error = Some(stream),
            Some("data") => pair.data = Some(stream),
            _ => continue,
        }
        if pair.error.is_some() && pair.data.is_some() {
            if let Some(Pair { error: Some(error), data: Some(data) }) = halves.remove(&id) {
                tokio::spawn(join(target.clone(), error, data));
            }
        } else if halves.len() > HALVES_MAX {
            halves.pop_first();
        }
    }
}

async fn join(target: Target, error: Stream, mut data: Stream) {
    let port = data.headers.get("port").and_then(|p| p.parse::<u16>().ok()).filter(|p| *p > 0);
    let Some(port) = port else {
        error.out.send(format!("invalid port {:?}", data.headers.get("port")).into()).await;
        error.out.finish().await;
        data.out.finish().await;
        return;
    };
    let (stream, mut wrong) = target.connect(port);
    let (mut read, mut write) = tokio::io::split(stream);
    let upward = tokio::spawn(async move {
        while let Some(bytes) = data.bytes.recv().await {
            if write.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // The other end may have closed first.
        let _ = write.shutdown().await;
    });
    let out = data.out.clone();
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK_BYTES);
        match read.read_buf(&mut buffer).await {
            Ok(n) if n > 0 && out.send(buffer.split().freeze()).await => {}
            _ => break,
        }
    }
    if let Some(text) = wrong.recv().await {
        error.out.send(text.into()).await;
    }
    out.finish().await;
    error.out.finish().await;
    upward.abort();
}
