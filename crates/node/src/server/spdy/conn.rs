//! One connection: a task that reads frames and hands out streams, a task that writes.

use super::frame::{self, Frame};
use super::headers::{Headers, Packer, Unpacker};
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// Frames that wait for one stream's reader; a slow one holds the connection back.
const STREAM_QUEUE_MAX: usize = 32;
const WRITE_QUEUE_MAX: usize = 64;
const READ_BYTES: usize = 64 << 10;
/// Streams at once.
const STREAMS_MAX: usize = 1024;
/// Data is cut into frames of this size.
const DATA_BYTES_MAX: usize = 64 << 10;

enum Write {
    Reply(u32),
    Data { stream: u32, bytes: Bytes, fin: bool },
    Ping(u32),
}

/// A stream that the peer opened.
pub(crate) struct Incoming {
    pub(crate) headers: Headers,
    /// Its bytes; ends when the peer has sent its last, or the connection has gone.
    pub(crate) bytes: mpsc::Receiver<Bytes>,
    pub(crate) out: Outgoing,
}

/// Our direction of a stream.
#[derive(Clone)]
pub(crate) struct Outgoing {
    stream: u32,
    writes: mpsc::Sender<Write>,
}

impl Outgoing {
    /// Sends bytes. Gives whether the connection still stands.
    pub(crate) async fn send(&self, mut bytes: Bytes) -> bool {
        while !bytes.is_empty() {
            let part = bytes.split_to(bytes.len().min(DATA_BYTES_MAX));
            if self.writes.send(Write::Data { stream: self.stream, bytes: part, fin: false }).await.is_err() {
                return false;
            }
        }
        true
    }
    /// Sends the end.
    pub(crate) async fn finish(&self) {
        // The connection may have gone.
        let _ = self.writes.send(Write::Data { stream: self.stream, bytes: Bytes::new(), fin: true }).await;
    }
}

async fn write<W: AsyncWrite + Unpin>(mut io: W, mut writes: mpsc::Receiver<Write>) {
    let mut packer = Packer::new();
    let mut out = BytesMut::new();
    while let Some(w) = writes.recv().await {
        match w {
            Write::Reply(stream) => frame::reply(stream, &packer.block(&Headers::new()), &mut out),
            Write::Data { stream, bytes, fin } => frame::data(stream, &bytes, fin, &mut out),
            Write::Ping(id) => frame::ping(id, &mut out),
        }
        if io.write_all(&out).await.is_err() || io.flush().await.is_err() {
            return;
        }
        out.clear();
    }
    // The peer may have gone first.
    let _ = io.shutdown().await;
}

struct Reader {
    streams: BTreeMap<u32, mpsc::Sender<Bytes>>,
    unpacker: Unpacker,
    writes: mpsc::Sender<Write>,
    opened: mpsc::Sender<Incoming>,
}

impl Reader {
    /// Takes a frame. Gives whether the connection goes on.
    async fn take(&mut self, frame: Frame) -> bool {
        match frame {
            Frame::Syn { stream, fin, block } => return self.open(stream, fin, &block).await,
            Frame::Data { stream, fin, bytes } => {
                if let Some(to) = self.streams.get(&stream)
                    && !bytes.is_empty()
                    && to.send(bytes).await.is_err()
                {
                    // Nobody reads this stream any more; others go on.
                    self.streams.remove(&stream);
                }
                if fin {
                    self.streams.remove(&stream);
                }
            }
            Frame::Reset { stream } => drop(self.streams.remove(&stream)),
            Frame::Ping { id } => return self.writes.send(Write::Ping(id)).await.is_ok(),
            Frame::GoAway => return false,
            Frame::Other => {}
        }
        true
    }

    async fn open(&mut self, stream: u32, fin: bool, block: &Bytes) -> bool {
        let Ok(headers) = self.unpacker.headers(block) else { return false };
        if self.streams.len() >= STREAMS_MAX {
            return false;
        }
        let (to, bytes) = mpsc::channel(STREAM_QUEUE_MAX);
        if !fin {
            self.streams.insert(stream, to);
        }
        let out = Outgoing { stream, writes: self.writes.clone() };
        self.writes.send(Write::Reply(stream)).await.is_ok() && self.opened.send(Incoming { headers, bytes, out }).await.is_ok()
    }
}

async fn read<R: AsyncRead + Unpin>(mut io: R, mut reader: Reader) {
    let mut buffer = BytesMut::new();
    loop {
        loop {
            match frame::read(&mut buffer) {
                Ok(Some(frame)) => {
                    if !reader.take(frame).await {
                        return;
                    }
                }
                Ok(None) => break,
                Err(e) => {
                    tracing::debug!(err = %e, "A SPDY connection ended badly");
                    return;
                }
            }
        }
        buffer.reserve(READ_BYTES);
        match io.read_buf(&mut buffer).await {
            Ok(n) if n > 0 => {}
            _ => return,
        }
    }
}

/// Serves a connection: streams that the peer opens come out of the receiver, which ends with the connection.
pub(crate) fn serve<S>(io: S) -> mpsc::Receiver<Incoming>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (r, w) = tokio::io::split(io);
    let (writes, to_write) = mpsc::channel(WRITE_QUEUE_MAX);
    let (opened, streams) = mpsc::channel(STREAM_QUEUE_MAX);
    tokio::spawn(write(w, to_write));
    let reader = Reader { streams: BTreeMap::new(), unpacker: Unpacker::new(), writes, opened };
    tokio::spawn(async move {
        // Whoever waits for streams learns of the end of the connection, also when nothing is being read.
        let gone = reader.opened.clone();
        tokio::select! {
            () = read(r, reader) => {}
            () = gone.closed() => {}
        }
    });
    streams
}
