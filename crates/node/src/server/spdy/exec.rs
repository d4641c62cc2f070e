//! Exec and attach over SPDY: a stream each for error, stdin, stdout, stderr, resize (`v4.channel.k8s.io`).

use super::{Outgoing, Stream};
use crate::hands::Hands;
use crate::server::answer::Answer;
use crate::server::channels::{self, Channel, FromClient, QUEUE_MAX, Session, ToClient, size};
use http::Request;
use hyper::body::Incoming;
use kinds::ApiError;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;

const PROTOCOLS: &[&str] = &["v5.channel.k8s.io", "v4.channel.k8s.io"];
/// All streams must be there by then.
const STREAMS_WAIT: Duration = Duration::from_secs(30);
/// After its end a session waits this long for the client to hang up.
const LINGER: Duration = Duration::from_secs(10);

pub(crate) fn accept(request: Request<Incoming>, hands: Arc<Hands>, s: Session) -> Answer {
    let Some(protocol) = super::choose(&request, PROTOCOLS) else {
        let text = format!("unable to upgrade: unable to negotiate protocol: server accepts {PROTOCOLS:?}");
        return Err(ApiError::new(403, "Forbidden", text));
    };
    super::accept(request, protocol, move |io| run(io, hands, s))
}

fn wanted(s: &Session) -> usize {
    1 + [s.stdin, s.stdout, s.stderr && !s.tty, s.tty].into_iter().filter(|w| *w).count()
}

async fn gather(opened: &mut mpsc::Receiver<Stream>, n: usize) -> Option<BTreeMap<String, Stream>> {
    let mut streams = BTreeMap::new();
    while streams.len() < n {
        let s = opened.recv().await?;
        streams.insert(s.headers.get("streamtype").cloned().unwrap_or_default(), s);
    }
    Some(streams)
}

/// Runs a session over a connection.
pub(crate) async fn run<S>(io: S, hands: Arc<Hands>, s: Session)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut opened = super::serve(io);
    let Ok(Some(mut streams)) = timeout(STREAMS_WAIT, gather(&mut opened, wanted(&s))).await else { return };
    let (from_in, from) = mpsc::channel(QUEUE_MAX);
    let (to_in, to) = mpsc::channel(QUEUE_MAX);
    let outs: BTreeMap<&'static str, Outgoing> =
        ["stdout", "stderr", "error"].into_iter().filter_map(|n| Some((n, streams.get(n)?.out.clone()))).collect();
    if let Some(stdin) = streams.remove("stdin") {
        tokio::spawn(stdin_of(stdin, from_in.clone()));
    }
    if let Some(resize) = streams.remove("resize") {
        tokio::spawn(sizes_of(resize, from_in.clone()));
    }
    // While this sender lives the session does; it goes when the client hangs up.
    let hung_up = async move {
        while opened.recv().await.is_some() {}
        drop(from_in);
    };
    let hung_up = tokio::spawn(hung_up);
    tokio::join!(channels::run(hands, s, from, to_in), write(to, outs));
    // The client closes once it has read everything.
    let _ = timeout(LINGER, hung_up).await;
}

async fn stdin_of(mut stream: Stream, to: mpsc::Sender<FromClient>) {
    while let Some(bytes) = stream.bytes.recv().await {
        if to.send(FromClient::Stdin(bytes)).await.is_err() {
            return;
        }
    }
    // The session may have ended.
    let _ = to.send(FromClient::StdinClosed).await;
}

async fn sizes_of(mut stream: Stream, to: mpsc::Sender<FromClient>) {
    while let Some(bytes) = stream.bytes.recv().await {
        for line in bytes.split(|b| *b == b'\n') {
            if let Some((w, h)) = size(line)
                && to.send(FromClient::Resize(w, h)).await.is_err()
            {
                return;
            }
        }
    }
}

async fn write(mut to: mpsc::Receiver<ToClient>, outs: BTreeMap<&'static str, Outgoing>) {
    let name = |c: Channel| match c {
        Channel::Stdout => "stdout",
        Channel::Stderr => "stderr",
        Channel::Error => "error",
    };
    while let Some(message) = to.recv().await {
        match message {
            ToClient::Data(c, bytes) => {
                if let Some(out) = outs.get(name(c))
                    && !out.send(bytes).await
                {
                    return;
                }
            }
            ToClient::End(c) => {
                if let Some(out) = outs.get(name(c)) {
                    out.finish().await;
                }
            }
        }
    }
}
