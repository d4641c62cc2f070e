//! What the engine says to etcd and how it reads the answers, without a server. With servers: `tests/etcd.rs`.

use base::Revision;
use bytes::Bytes;
use tonic::{Code, Status};

use super::{convert, pb, settled};
use crate::api::{CommitError, Expect, KeyValue, Op, Txn, TxnOp};

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
    let put = TxnOp { key: "a".into(), expect: Expect::Absent, op: Op::Put { value: "1".into(), companion: None, lives: None } };
    assert_eq!(settled(&put, Some(&kv("a", "1", 5))), Some(Some(Revision(5))), "an earlier try went through");
    assert_eq!(settled(&put, Some(&kv("a", "2", 5))), None, "somebody else was there");
    let delete = TxnOp { key: "a".into(), expect: Expect::At(Revision(3)), op: Op::Delete };
    assert_eq!(settled(&delete, None), Some(None));
    assert_eq!(settled(&delete, Some(&kv("a", "2", 5))), None);
}

#[test]
fn refusals_keep_their_meaning() {
    let of = |code, text: &str| convert::commit_error(&Status::new(code, text));
    assert!(matches!(of(Code::InvalidArgument, "etcdserver: request is too large"), CommitError::TooLarge));
    assert!(matches!(of(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"), CommitError::NoSpace(_)));
    assert!(matches!(of(Code::Unavailable, "etcdserver: request timed out"), CommitError::Unknown(_)));
    assert!(matches!(of(Code::PermissionDenied, "etcdserver: permission denied"), CommitError::ReadOnly(_)));
}
