//! A feed over etcd's watch stream: one stream a feed, reopened at another member from where it stood, so that the
//! reader sees one unbroken history. The notifications of progress that a watch sends by itself become batches without
//! events. Nobody asks for progress: until 3.4.25 and 3.5.8 the answer overtakes events that are still on their way
//! (etcd-io/etcd#15220), and who believes it loses them. A feed that has to come further is given an event (see `Touch`).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::Revision;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tonic::metadata::MetadataValue;
use tonic::{Request, Streaming};

use super::pb::watch_client::WatchClient;
use super::pb::watch_request::RequestUnion;
use super::root::Root;
use super::{Shared, convert, pb, pool, touch};
use crate::api::{Batch, Event, Feed, FeedError, Fut, WatchRequest};

/// First and last wait before a broken stream is opened again.
const REOPEN_FIRST: Duration = Duration::from_millis(20);
const REOPEN_LAST: Duration = Duration::from_secs(2);
/// A stream must be confirmed by then.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// All living feeds.
#[derive(Default)]
pub(super) struct Feeds {
    all: Mutex<Vec<Weak<Standing>>>,
    closed: AtomicBool,
}

/// Where a feed stands, for those who wait for it.
struct Standing {
    seen: AtomicU64,
    closing: Notify,
}

impl Feeds {
    fn add(&self, standing: &Arc<Standing>) {
        let mut all = self.all.lock();
        all.retain(|w| w.strong_count() > 0);
        all.push(Arc::downgrade(standing));
    }

    /// How far the last of them has seen; `None` without any.
    pub(super) fn seen(&self) -> Option<Revision> {
        let all = self.all.lock();
        all.iter().filter_map(Weak::upgrade).map(|s| Revision(s.seen.load(Ordering::Acquire))).min()
    }

    /// Whether they have ended.
    pub(super) fn are_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends all feeds.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for standing in self.all.lock().iter().filter_map(Weak::upgrade) {
            standing.closing.notify_one();
        }
    }
}

/// One feed.
pub(super) struct EtcdFeed {
    shared: Arc<Shared>,
    request: WatchRequest,
    /// The next revision to deliver; zero until the first answer when the watch began at "what comes next".
    position: Revision,
    standing: Arc<Standing>,
    stream: Option<Stream>,
    pause: Duration,
}

/// An open stream, and the member at its other end.
struct Stream {
    at: usize,
    answers: Streaming<pb::WatchResponse>,
    /// The stream ends when no further request can come.
    _requests: mpsc::Sender<pb::WatchRequest>,
}

impl EtcdFeed {
    pub(super) fn new(shared: Arc<Shared>, request: WatchRequest) -> Self {
        let seen = AtomicU64::new(request.from.0.saturating_sub(1));
        let standing = Arc::new(Standing { seen, closing: Notify::new() });
        shared.feeds.add(&standing);
        Self { position: request.from, shared, request, standing, stream: None, pause: REOPEN_FIRST }
    }

    /// Opens a stream at the current member, from where the feed stands.
    async fn open(&mut self) {
        let (at, channel) = self.shared.pool.current();
        let (requests, queue) = mpsc::channel(1);
        let root = &self.shared.root;
        let create = pb::WatchCreateRequest {
            key: root.outward(self.request.start.clone()),
            range_end: convert::range_end(&root.outward(self.request.end.clone())),
            start_revision: convert::number(self.position),
            progress_notify: true,
            prev_kv: self.request.previous,
        };
        let create = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        requests.try_send(create).expect("a new queue has room");
        let outgoing = futures_from(queue);
        let mut request = self.shared.pool.signed(Request::new(outgoing));
        // A member without a leader ends the stream instead of staying silent.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        let mut client = WatchClient::new(channel).max_decoding_message_size(pool::MESSAGE_BYTES);
        match tokio::time::timeout(OPEN_TIMEOUT, client.watch(request)).await {
            Ok(Ok(answer)) => {
                self.stream = Some(Stream { at, answers: answer.into_inner(), _requests: requests });
            }
            Ok(Err(status)) => {
                self.shared.pool.sign_in_again(&status).await;
                self.lose(at).await;
            }
            Err(_) => self.lose(at).await,
        }
    }

    /// Gives a stream up, and waits a little longer each time.
    async fn lose(&mut self, at: usize) {
        self.stream = None;
        self.shared.pool.leave(at);
        let pause = self.pause;
        self.pause = (pause * 2).min(REOPEN_LAST);
        tokio::time::sleep(pause).await;
    }

    /// Waits for a message of the stream, and opens one first where there is none.
    async fn message(&mut self) -> Result<Option<pb::WatchResponse>, FeedError> {
        if self.shared.feeds.closed.load(Ordering::Acquire) {
            return Err(FeedError::Closed);
        }
        let standing = Arc::clone(&self.standing);
        let closing = standing.closing.notified();
        let Some(Stream { at, answers, .. }) = self.stream.as_mut() else {
            tokio::select! {
                () = self.open() => {}
                () = closing => {}
            }
            return Ok(None);
        };
        let at = *at;
        let got = tokio::select! {
            got = answers.message() => got,
            () = closing => return Err(FeedError::Closed),
        };
        if let Ok(Some(message)) = got {
            self.pause = REOPEN_FIRST;
            return Ok(Some(message));
        }
        self.lose(at).await;
        Ok(None)
    }

    /// What a message means for the reader, if anything.
    async fn take(&mut self, message: pb::WatchResponse) -> Result<Option<Batch>, FeedError> {
        let header = self.shared.seen(message.header.as_ref());
        if message.canceled {
            let compacted = convert::revision(message.compact_revision);
            if compacted > Revision::ZERO {
                self.shared.compacted.fetch_max(compacted.0, Ordering::AcqRel);
                return Err(FeedError::Compacted { compacted });
            }
            let at = self.stream.as_ref().map_or(0, |s| s.at);
            self.shared.pool.sign_in_again(&tonic::Status::unknown(message.cancel_reason)).await;
            self.lose(at).await;
            return Ok(None);
        }
        if message.created {
            if self.position == Revision::ZERO {
                self.position = header.next();
            }
            return Ok(None);
        }
        if message.watch_id < 0 {
            // Progress of the stream as a whole, which may be ahead of what it has sent.
            return Ok(None);
        }
        let revision = match message.events.last().and_then(|e| e.kv.as_ref()) {
            Some(kv) => convert::revision(kv.mod_revision),
            None => header,
        };
        if revision < self.position {
            return Ok(None);
        }
        let events = since(self.position, message.events.into_iter().filter_map(|e| event(&self.shared.root, e)).filter(|e| !touch::is(&e.key)));
        self.position = revision.next();
        self.standing.seen.store(revision.0, Ordering::Release);
        Ok(Some(Batch { revision, events }))
    }
}

/// A queue as the stream of requests that tonic wants.
fn futures_from(queue: mpsc::Receiver<pb::WatchRequest>) -> tokio_stream::wrappers::ReceiverStream<pb::WatchRequest> {
    queue.into()
}

/// Without what was told already: a member that lags behind the one before it may begin too early (etcd's issues 15271 and
/// 20221).
pub(super) fn since(position: Revision, events: impl Iterator<Item = Event>) -> Vec<Event> {
    events.filter(|e| e.revision >= position).collect()
}

fn event(root: &Root, event: pb::Event) -> Option<Event> {
    let deleted = event.r#type == i32::from(pb::event::EventType::Delete);
    let kv = root.pair(convert::key_value(event.kv?));
    Some(Event {
        revision: kv.mod_revision,
        key: kv.key.clone(),
        previous: event.prev_kv.map(|kv| root.pair(convert::key_value(kv))),
        put: (!deleted).then_some(kv),
        companion: None,
    })
}

impl Feed for EtcdFeed {
    fn next(&mut self) -> Fut<'_, Result<Batch, FeedError>> {
        Box::pin(async move {
            loop {
                if let Some(message) = self.message().await? {
                    if let Some(batch) = self.take(message).await? {
                        return Ok(batch);
                    }
                }
            }
        })
    }

    fn position(&self) -> Revision {
        self.position
    }
}
