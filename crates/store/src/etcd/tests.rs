//! What the engine says to etcd and how it reads the answers, without a server. With servers: `tests/etcd.rs`.

use base::Revision;
use bytes::Bytes;
use tonic::{Code, Status};

use super::{convert, feed, pb, settled};
use crate::api::{CommitError, Event, Expect, KeyValue, Op, Txn, TxnOp};

fn kv(key: &str, value: &str, at: u64) -> KeyValue {
    let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
    KeyValue { key, value, create_revision: Revision(1), mod_revision: Revision(at), version: 1 }
}

#[test]
fn expectations_become_compares_and_their_keys_are_read_when_they_fail() {
    let txn = Txn::put("a", "1", Expect::Absent).and("b", Expect::At(Revision(7)), Op::Delete).and("c", Expect::Any, Op::Check);
    let sent = convert::txn(&txn, 0);
    let wanted: Vec<_> = sent.compare.iter().map(|c| (c.key.clone(), c.target_union.clone())).collect();
    let modified = |n| Some(pb::compare::TargetUnion::ModRevision(n));
    assert_eq!(wanted, [(Bytes::from("a"), modified(0)), (Bytes::from("b"), modified(7))]);
    assert_eq!((sent.success.len(), sent.failure.len()), (2, 2));
}

#[test]
fn the_first_failed_expectation_is_told() {
    let txn = Txn::put("a", "1", Expect::Absent).and("b", Expect::At(Revision(7)), Op::Delete);
    let found = |kvs: Vec<pb::KeyValue>| pb::ResponseOp {
        response: Some(pb::response_op::Response::ResponseRange(pb::RangeResponse { kvs, ..Default::default() })),
    };
    let other = pb::KeyValue { key: "b".into(), mod_revision: 9, ..Default::default() };
    let answer = pb::TxnResponse { responses: vec![found(vec![]), found(vec![other])], ..Default::default() };
    let (key, held) = convert::conflict(&txn, &answer);
    assert_eq!((key, held.map(|k| k.mod_revision)), (Bytes::from("b"), Some(Revision(9))));
}

#[test]
fn one_key_twice_is_refused_before_it_is_sent() {
    let txn = Txn::put("a", "1", Expect::Any).and("a", Expect::Any, Op::Delete);
    assert!(matches!(convert::check(&txn), Err(CommitError::DuplicateKey(_))));
}

#[test]
fn a_lost_answer_is_settled_by_what_is_there() {
    let lost = || Some(CommitError::Unknown("request timed out".into()));
    let judge = |op: &TxnOp, lost, at: &str, found: Option<KeyValue>| {
        settled(op, lost, (Bytes::copy_from_slice(at.as_bytes()), found.map(Box::new)), Revision(9)).map(|c| c.revision.0)
    };
    let put = TxnOp { key: "a".into(), expect: Expect::Absent, op: Op::Put { value: "1".into(), companion: None, lives: None } };
    let delete = TxnOp { key: "a".into(), expect: Expect::At(Revision(3)), op: Op::Delete };
    assert_eq!(judge(&put, lost(), "a", Some(kv("a", "1", 5))).ok(), Some(5), "an earlier try went through");
    assert_eq!(judge(&delete, lost(), "a", None).ok(), Some(9), "and so did the deletion");
    // Somebody else's value may have come before ours or over it, also where ours is gone again.
    for unknown in [judge(&put, lost(), "a", Some(kv("a", "2", 5))), judge(&delete, lost(), "a", Some(kv("a", "2", 5)))] {
        assert!(matches!(unknown, Err(CommitError::Unknown(_))), "{unknown:?}");
    }
    // The first expectation held, so nothing had gone through before; and where no answer got lost a conflict is one.
    for conflict in [judge(&put, lost(), "b", Some(kv("b", "1", 5))), judge(&put, None, "a", Some(kv("a", "1", 5)))] {
        assert!(matches!(conflict, Err(CommitError::Conflict { .. })), "{conflict:?}");
    }
}

/// Issues 15271 and 20221 of etcd: a stream that is opened again at a member that lags may tell of the past.
#[test]
fn what_a_lagging_member_tells_again_is_not_told_again() {
    let event = |at: u64| Event { revision: Revision(at), key: "a".into(), previous: None, put: Some(kv("a", "1", at)), companion: None };
    let told = feed::since(Revision(6), [4, 5, 6, 6, 8].into_iter().map(event));
    assert_eq!(told.iter().map(|e| e.revision.0).collect::<Vec<_>>(), [6, 6, 8]);
}

#[test]
fn refusals_keep_their_meaning() {
    let of = |code, text: &str| convert::commit_error(&Status::new(code, text));
    assert!(matches!(of(Code::InvalidArgument, "etcdserver: request is too large"), CommitError::TooLarge));
    assert!(matches!(of(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"), CommitError::NoSpace(_)));
    assert!(matches!(of(Code::Unavailable, "etcdserver: request timed out"), CommitError::Unknown(_)));
    assert!(matches!(of(Code::NotFound, "etcdserver: requested lease not found"), CommitError::Unavailable(_)));
    assert!(matches!(of(Code::PermissionDenied, "etcdserver: permission denied"), CommitError::ReadOnly(_)));
}
