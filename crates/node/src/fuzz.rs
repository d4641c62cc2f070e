//! What clients send down an upgraded connection, for the fuzz targets: bytes go in, streams and messages come out, and
//! whatever the bytes are the connection ends.

use crate::server::{spdy, websocket};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

const PIPE_BYTES: usize = 1 << 20;
/// A connection that has not ended by then hangs.
const END_MAX: Duration = Duration::from_secs(20);

fn run(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ended = runtime.block_on(async { tokio::time::timeout(END_MAX, body).await });
    ended.expect("the connection ends when the peer has gone");
}

/// A SPDY/3.1 connection: as the bytes are, and (behind a one) with each part after a length byte as a packed header block.
pub fn spdy(data: &[u8]) {
    let stream = match data.split_first() {
        Some((1, rest)) => spdy::with_headers(rest),
        _ => data.to_vec(),
    };
    run(async move {
        let (ours, theirs) = duplex(PIPE_BYTES);
        let mut streams = spdy::serve(ours);
        let (mut read, mut write) = tokio::io::split(theirs);
        let feed = async move {
            // The server may have hung up on the first bytes.
            let _ = write.write_all(&stream).await;
            let _ = write.shutdown().await;
        };
        let drain = async move {
            let mut sink = Vec::new();
            let _ = read.read_to_end(&mut sink).await;
        };
        let serve = async move {
            while let Some(mut s) = streams.recv().await {
                while s.bytes.recv().await.is_some() {}
                s.out.finish().await;
            }
        };
        tokio::join!(feed, drain, serve);
    });
}

/// A WebSocket connection: frames of the carrier, channels in them, and a tunnel.
pub fn websocket(data: &[u8]) {
    websocket::take_in(data);
    let bytes = data.to_vec();
    run(async move {
        let (ours, theirs) = duplex(PIPE_BYTES);
        let mut tunnel = websocket::tunnel(websocket::raw(ours).await);
        let (mut read, mut write) = tokio::io::split(theirs);
        let feed = async move {
            // The server may have hung up on the first bytes.
            let _ = write.write_all(&bytes).await;
            let _ = write.shutdown().await;
        };
        let drain = async move {
            let mut sink = Vec::new();
            let _ = read.read_to_end(&mut sink).await;
        };
        let serve = async move {
            let mut sink = Vec::new();
            let _ = tunnel.read_to_end(&mut sink).await;
        };
        tokio::join!(feed, drain, serve);
    });
}
