//! Between the store's words and etcd's messages: pure, and tested without a server.

use std::collections::BTreeSet;

use base::Revision;
use bytes::Bytes;
use tonic::{Code, Status};

use super::{pb, pool};
use crate::api::{CommitError, Expect, KeyValue, Op, Txn, TxnOp};

/// What etcd says of a lease that has run out.
pub(super) const LEASE_GONE: &str = "requested lease not found";
/// etcd's spelling of "to the end of all keys".
const ALL_FROM_HERE: &[u8] = b"\0";

pub(super) fn revision(number: i64) -> Revision {
    Revision(u64::try_from(number).unwrap_or(0))
}

pub(super) fn number(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

pub(super) fn range_end(end: &Bytes) -> Bytes {
    if end.is_empty() { Bytes::from_static(ALL_FROM_HERE) } else { end.clone() }
}

/// The smallest key after this one.
pub(super) fn after(key: &Bytes) -> Bytes {
    let mut next = key.to_vec();
    next.push(0);
    next.into()
}

pub(super) fn key_value(kv: pb::KeyValue) -> KeyValue {
    KeyValue {
        key: kv.key,
        value: kv.value,
        create_revision: revision(kv.create_revision),
        mod_revision: revision(kv.mod_revision),
        version: u64::try_from(kv.version).unwrap_or(0),
    }
}

/// What etcd would refuse in other words.
pub(super) fn check(txn: &Txn) -> Result<(), CommitError> {
    let mut keys = BTreeSet::new();
    match txn.ops.iter().find(|op| !keys.insert(&op.key)) {
        Some(twice) => Err(CommitError::DuplicateKey(twice.key.clone())),
        None => Ok(()),
    }
}

/// Compares on mod revisions (an absent key has none, which is zero); where they fail, the guarded keys are read. What does not
/// live for ever gets the lease.
pub(super) fn txn(txn: &Txn, lease: i64) -> pb::TxnRequest {
    let guarded = || txn.ops.iter().filter(|op| op.expect != Expect::Any);
    pb::TxnRequest {
        compare: guarded().map(compare).collect(),
        success: txn.ops.iter().filter_map(|op| request_op(op, lease)).collect(),
        failure: guarded().map(|op| read(&op.key)).collect(),
    }
}

fn compare(op: &TxnOp) -> pb::Compare {
    let wanted = if let Expect::At(revision) = op.expect { number(revision) } else { 0 };
    pb::Compare {
        result: pb::compare::CompareResult::Equal.into(),
        target: pb::compare::CompareTarget::Mod.into(),
        key: op.key.clone(),
        target_union: Some(pb::compare::TargetUnion::ModRevision(wanted)),
    }
}

fn request_op(op: &TxnOp, lease: i64) -> Option<pb::RequestOp> {
    use pb::request_op::Request;
    let key = op.key.clone();
    let request = match &op.op {
        Op::Put { value, lives, .. } => {
            let lease = if lives.is_some() { lease } else { 0 };
            Request::RequestPut(pb::PutRequest { key, value: value.clone(), lease })
        }
        Op::Delete => Request::RequestDeleteRange(pb::DeleteRangeRequest { key, range_end: Bytes::new() }),
        Op::Check => return None,
    };
    Some(pb::RequestOp { request: Some(request) })
}

fn read(key: &Bytes) -> pb::RequestOp {
    let range = pb::RangeRequest { key: key.clone(), ..Default::default() };
    pb::RequestOp { request: Some(pb::request_op::Request::RequestRange(range)) }
}

/// Whether a transaction that went through changed anything.
pub(super) fn changed(answer: &pb::TxnResponse) -> bool {
    use pb::response_op::Response;
    answer.responses.iter().any(|r| match &r.response {
        Some(Response::ResponsePut(_)) => true,
        Some(Response::ResponseDeleteRange(d)) => d.deleted > 0,
        _ => false,
    })
}

/// The first key whose expectation fails, and what it holds.
pub(super) fn conflict(txn: &Txn, answer: &pb::TxnResponse) -> (Bytes, Option<KeyValue>) {
    let found = answer.responses.iter().map(|r| match &r.response {
        Some(pb::response_op::Response::ResponseRange(range)) => range.kvs.first().cloned().map(key_value),
        _ => None,
    });
    let guarded = txn.ops.iter().filter(|op| op.expect != Expect::Any);
    let failed = guarded.zip(found).find(|(op, found)| match (op.expect, found) {
        (Expect::Absent, found) => found.is_some(),
        (Expect::At(revision), Some(kv)) => kv.mod_revision != revision,
        (Expect::At(_), None) => true,
        (Expect::Any, _) => false,
    });
    failed.map_or_else(Default::default, |(op, found)| (op.key.clone(), found))
}

pub(super) fn commit_error(status: &Status) -> CommitError {
    let text = pool::told(status);
    match status.code() {
        _ if text.contains("request is too large") || text.contains("too many operations") => CommitError::TooLarge,
        _ if text.contains("database space exceeded") => CommitError::NoSpace(text),
        Code::PermissionDenied | Code::Unauthenticated => CommitError::ReadOnly(text),
        // Refused as a whole; another lease will do.
        _ if text.contains(LEASE_GONE) => CommitError::Unavailable(text),
        // The connection was never made: nothing was sent.
        Code::Unavailable if text.contains("connect error") => CommitError::Unavailable(text),
        _ => CommitError::Unknown(text),
    }
}
