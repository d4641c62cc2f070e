//! The other engine: etcd's v3 API (<https://etcd.io/docs/v3.6/learning/api/>), so that several servers share one history.
//!
//! ```text
//!   commit -> Txn(compare on mod revisions) --\
//!   range/get -> Range, in pages               >-- pool: one connection a member, the next one when one fails
//!   watch -> one stream a feed, resumed from the revision after the last whole one
//! ```
//! Laws: 1 what `commit` acknowledged is in etcd; an answer that got lost, or is not there after a second, is settled by
//! sending the transaction again: its first expectation holds only once. Where that cannot tell either, because the first key
//! holds something that neither the caller nor the expectation knows, the caller hears `Unknown`. 2 A feed delivers whole
//! revisions in order, none before the one that it stands at, and survives the member it was connected to. 3 Companions are
//! not carried: other servers' events have none, so readers decode anyway.

mod convert;
mod feed;
mod leases;
mod pool;
mod root;
mod touch;
#[cfg(test)]
mod tests;

/// What `proto/etcd.proto` says, as Rust.
#[allow(clippy::all, clippy::pedantic, unreachable_pub, missing_docs)]
mod pb {
    tonic::include_proto!("etcdserverpb");
}

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::Revision;
use bytes::Bytes;
use thiserror::Error;
use tonic::Status;

use crate::api::{
    CommitError, Committed, Engine, Expect, Feed, FeedError, Fut, KeyValue, Op, RangeError, RangeRequest, RangeResult,
    Txn, TxnOp, WatchRequest,
};
use feed::{EtcdFeed, Feeds};
use leases::Leases;
use pool::Pool;
use root::Root;
use touch::Touch;

/// Pairs fetched in one answer when everything is wanted.
const PAGE_KEYS: usize = 1000;
/// How long each try of a guarded write may take. What the members had under way when their leader died is lost, and they say
/// so only after seven seconds; a second try reaches the next leader as soon as there is one.
const TRIES: [Duration; 6] = [
    Duration::from_millis(1000),
    Duration::from_millis(1000),
    Duration::from_millis(2000),
    Duration::from_millis(3000),
    Duration::from_millis(5000),
    Duration::from_millis(10_000),
];
/// Waits before a try after one that failed at once.
const TRY_PAUSE: Duration = Duration::from_millis(100);

/// Where etcd is and how to reach it.
#[derive(Clone, Debug, Default)]
pub struct EtcdOptions {
    /// `http://host:port` or `https://host:port`, one a member.
    pub endpoints: Vec<String>,
    /// PEM of the authority that members' certificates come from; `None` trusts nothing beyond plain HTTP.
    pub ca_pem: Option<Vec<u8>>,
    /// PEM of the client's certificate and key.
    pub identity_pem: Option<(Vec<u8>, Vec<u8>)>,
    /// A user of etcd's own and the password, where its authentication is on and the certificate does not say who asks.
    pub credentials: Option<(String, String)>,
    /// What keys begin with instead of `/registry`; empty: that.
    pub prefix: String,
}

/// Why etcd cannot be used at all.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// No member is named.
    #[error("no etcd server is given")]
    NoEndpoint,
    /// An address that is none.
    #[error("{endpoint:?} is not an address of an etcd server: {why}")]
    Endpoint {
        /// As it was given.
        endpoint: String,
        /// What is wrong with it.
        why: String,
    },
    /// No member answers.
    #[error("etcd does not answer at {endpoints}: {why}")]
    Unreachable {
        /// All addresses.
        endpoints: String,
        /// What the last one said.
        why: String,
    },
}

/// The engine.
pub struct Etcd {
    shared: Arc<Shared>,
}

/// What calls and feeds share.
struct Shared {
    pool: Pool,
    newest: AtomicU64,
    compacted: AtomicU64,
    size_bytes: AtomicU64,
    feeds: Feeds,
    touch: Touch,
    leases: Leases,
    root: Root,
}

impl Shared {
    /// Takes note of a revision that a member told, and returns it.
    fn seen(&self, header: Option<&pb::ResponseHeader>) -> Revision {
        let revision = convert::revision(header.map_or(0, |h| h.revision));
        self.newest.fetch_max(revision.0, Ordering::AcqRel);
        revision
    }

    fn compacted(&self) -> Revision {
        Revision(self.compacted.load(Ordering::Acquire))
    }

    /// What a failed read means.
    fn refusal(&self, asked: Option<Revision>, status: &Status) -> RangeError {
        let text = status.message();
        if text.contains("required revision has been compacted") {
            self.compacted.fetch_max(asked.map_or(0, |r| r.0), Ordering::AcqRel);
            return RangeError::Compacted { compacted: self.compacted() };
        }
        if text.contains("required revision is a future revision") {
            return RangeError::Future { current: Revision(self.newest.load(Ordering::Acquire)) };
        }
        RangeError::Unavailable(pool::told(status))
    }
}

impl Etcd {
    /// Connects and makes sure that a member answers.
    ///
    /// # Errors
    /// Bad addresses or certificates, or nobody there.
    pub async fn connect(options: &EtcdOptions) -> Result<Self, ConnectError> {
        let pool = Pool::new(options)?;
        let shared = Shared {
            pool,
            newest: AtomicU64::new(0),
            compacted: AtomicU64::new(0),
            size_bytes: AtomicU64::new(0),
            feeds: Feeds::default(),
            touch: Touch::default(),
            leases: Leases::default(),
            root: Root::new(&options.prefix),
        };
        let etcd = Self { shared: Arc::new(shared) };
        let unreachable = |why: String| ConnectError::Unreachable { endpoints: options.endpoints.join(", "), why };
        etcd.look().await.map_err(|s| unreachable(pool::told(&s)))?;
        Ok(etcd)
    }

    /// Asks a member how it is.
    async fn look(&self) -> Result<(), Status> {
        let status = self.shared.pool.status().await?;
        self.shared.seen(status.header.as_ref());
        self.shared.size_bytes.store(u64::try_from(status.db_size).unwrap_or(0), Ordering::Release);
        Ok(())
    }

    async fn one_commit(&self, txn: &Txn, limit: Duration) -> Result<Committed, CommitError> {
        let lease = self.lease(txn).await.map_err(|s| convert::commit_error(&s))?;
        let answer = match self.shared.pool.txn(convert::txn(txn, lease), limit).await {
            Ok(answer) => answer,
            Err(status) => {
                if status.message().contains(convert::LEASE_GONE) {
                    self.shared.leases.forget().await;
                }
                return Err(convert::commit_error(&status));
            }
        };
        let revision = self.shared.seen(answer.header.as_ref());
        if answer.succeeded {
            return Ok(Committed { revision, changed: convert::changed(&answer) });
        }
        let (key, found) = convert::conflict(txn, &answer);
        Err(CommitError::Conflict { key, found: found.map(Box::new) })
    }

    /// The lease of what does not live for ever; zero is none.
    async fn lease(&self, txn: &Txn) -> Result<i64, Status> {
        let lives = txn.ops.iter().find_map(|op| if let Op::Put { lives, .. } = &op.op { *lives } else { None });
        match lives {
            Some(lives) => self.shared.leases.of(&self.shared.pool, lives).await,
            None => Ok(0),
        }
    }

    /// Commits; an outcome that got lost is settled by trying again and looking at what is there.
    async fn commit_settled(&self, mut txn: Txn) -> Result<Committed, CommitError> {
        convert::check(&txn)?;
        for op in &mut txn.ops {
            op.key = self.shared.root.outward(std::mem::take(&mut op.key));
        }
        let done = match guard(&txn) {
            Some(first) => self.commit_guarded(&txn, first).await,
            // Without an expectation a second try could undo what somebody else wrote in between.
            None => self.one_commit(&txn, pool::CALL_TIMEOUT).await,
        };
        done.map_err(|e| match e {
            CommitError::Conflict { key, found } => CommitError::Conflict {
                key: self.shared.root.inward(key),
                found: found.map(|kv| Box::new(self.shared.root.pair(*kv))),
            },
            other => other,
        })
    }

    async fn commit_guarded(&self, txn: &Txn, first: &TxnOp) -> Result<Committed, CommitError> {
        let (mut lost, mut last) = (None, None);
        for limit in TRIES {
            let begun = tokio::time::Instant::now();
            match self.one_commit(txn, limit).await {
                Err(e @ CommitError::Unknown(_)) => lost = Some(e),
                Err(e @ CommitError::Unavailable(_)) => last = Some(e),
                Err(CommitError::Conflict { key, found }) => {
                    let newest = Revision(self.shared.newest.load(Ordering::Acquire));
                    return settled(first, lost, (key, found), newest);
                }
                done => return done,
            }
            tokio::time::sleep_until(begun + TRY_PAUSE).await;
        }
        Err(lost.or(last).unwrap_or(CommitError::Closed))
    }

    async fn read(&self, request: RangeRequest) -> Result<RangeResult, RangeError> {
        let mut result = RangeResult { kvs: Vec::new(), revision: Revision::ZERO, more: false, count: 0 };
        let root = &self.shared.root;
        let (mut start, mut at) = (root.outward(request.start.clone()), request.at);
        let end = root.outward(request.end.clone());
        loop {
            let wanted = if request.limit == 0 { PAGE_KEYS } else { PAGE_KEYS.min(request.limit - result.kvs.len()) };
            let page = pb::RangeRequest {
                key: start.clone(),
                range_end: convert::range_end(&end),
                limit: i64::try_from(wanted).unwrap_or(i64::MAX),
                revision: at.map_or(0, convert::number),
                keys_only: request.keys_only,
                ..Default::default()
            };
            let answer = self.shared.pool.range(page).await.map_err(|s| self.shared.refusal(at, &s))?;
            let newest = self.shared.seen(answer.header.as_ref());
            let read = *at.get_or_insert(newest);
            if result.kvs.is_empty() {
                result.count = u64::try_from(answer.count).unwrap_or(0);
            }
            result.revision = read;
            result.kvs.extend(answer.kvs.into_iter().map(|kv| root.pair(convert::key_value(kv))));
            result.more = answer.more;
            if !answer.more || (request.limit != 0 && result.kvs.len() >= request.limit) {
                return Ok(result);
            }
            let Some(last) = result.kvs.last() else { return Ok(result) };
            start = convert::after(&root.outward(last.key.clone()));
        }
    }
}

/// The first operation, when an expectation guards it: then the whole transaction goes through once at most, however often
/// it is sent.
fn guard(txn: &Txn) -> Option<&TxnOp> {
    txn.ops.first().filter(|op| op.expect != Expect::Any && !matches!(op.op, Op::Check))
}

/// What a conflict means when the answer to an earlier try was `lost`. Where another key than the guarded one is in the way no
/// try went through. Where the guarded key holds what this transaction would have left, an earlier try did. Anything else
/// there may stand over ours as well as before it.
fn settled(
    first: &TxnOp,
    lost: Option<CommitError>,
    (key, found): (Bytes, Option<Box<KeyValue>>),
    newest: Revision,
) -> Result<Committed, CommitError> {
    let Some(lost) = lost.filter(|_| key == first.key) else { return Err(CommitError::Conflict { key, found }) };
    match (&first.op, found) {
        (Op::Put { value, .. }, Some(kv)) if kv.value == *value => Ok(Committed { revision: kv.mod_revision, changed: true }),
        (Op::Delete, None) => Ok(Committed { revision: newest, changed: true }),
        _ => Err(lost),
    }
}

impl Engine for Etcd {
    fn commit(&self, txn: Txn) -> Fut<'_, Result<Committed, CommitError>> {
        Box::pin(self.commit_settled(txn))
    }

    fn get(&self, key: Bytes, at: Option<Revision>) -> Fut<'_, Result<Option<KeyValue>, RangeError>> {
        Box::pin(async move {
            let key = self.shared.root.outward(key);
            let request = pb::RangeRequest { key, revision: at.map_or(0, convert::number), ..Default::default() };
            let answer = self.shared.pool.small_range(request).await.map_err(|s| self.shared.refusal(at, &s))?;
            self.shared.seen(answer.header.as_ref());
            Ok(answer.kvs.into_iter().next().map(|kv| self.shared.root.pair(convert::key_value(kv))))
        })
    }

    fn range(&self, request: RangeRequest) -> Fut<'_, Result<RangeResult, RangeError>> {
        Box::pin(self.read(request))
    }

    fn watch(&self, request: WatchRequest) -> Result<Box<dyn Feed>, FeedError> {
        if request.from != Revision::ZERO && request.from <= self.shared.compacted() {
            return Err(FeedError::Compacted { compacted: self.shared.compacted() });
        }
        Ok(Box::new(EtcdFeed::new(Arc::clone(&self.shared), request)))
    }

    fn compact(&self, to: Revision) -> Fut<'_, Result<(), RangeError>> {
        Box::pin(async move {
            let request = pb::CompactionRequest { revision: convert::number(to), physical: false };
            let answer = self.shared.pool.compact(request).await.map_err(|s| self.shared.refusal(Some(to), &s))?;
            self.shared.seen(answer.header.as_ref());
            self.shared.compacted.fetch_max(to.0, Ordering::AcqRel);
            // Only the size would be stale.
            let _ = self.look().await;
            Ok(())
        })
    }

    fn revision(&self) -> Revision {
        Revision(self.shared.newest.load(Ordering::Acquire))
    }

    fn latest(&self) -> Fut<'_, Result<Revision, RangeError>> {
        Box::pin(async move {
            let request = pb::RangeRequest { key: Bytes::from_static(b"/"), count_only: true, ..Default::default() };
            let answer = self.shared.pool.small_range(request).await.map_err(|s| self.shared.refusal(None, &s))?;
            let latest = self.shared.seen(answer.header.as_ref());
            touch::until_seen(&self.shared, latest);
            Ok(latest)
        })
    }

    fn compacted(&self) -> Revision {
        self.shared.compacted()
    }

    fn size_bytes(&self) -> u64 {
        self.shared.size_bytes.load(Ordering::Acquire)
    }

    fn expires(&self) -> bool {
        true
    }

    fn close(&self) -> Fut<'_, ()> {
        Box::pin(async move { self.shared.feeds.close() })
    }
}
