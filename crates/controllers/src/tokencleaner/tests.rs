//! Bootstrap tokens that expire.

use super::*;
use crate::harness::Harness;
use kinds::ByteString;
use testkit::build::meta;

#[test]
fn expired_tokens_go() {
    let mut h = Harness::new(&[&CONTROLLER]);
    let data = [("expiration".to_owned(), ByteString(b"2026-01-01T00:10:00Z".to_vec()))].into();
    let token = Secret { metadata: meta(NAMESPACE, "t"), type_: Some(TOKEN_TYPE.into()), data: Some(data), ..Secret::default() };
    h.world.given(token);
    h.settle();
    assert_eq!(h.world.all::<Secret>().len(), 1);
    h.wait(600);
    h.settle();
    assert!(h.world.all::<Secret>().is_empty());
}
