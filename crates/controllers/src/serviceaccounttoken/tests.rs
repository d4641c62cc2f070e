//! Secrets that are filled in, stay, and go with their account.

use super::*;
use crate::harness::Harness;
use std::sync::Arc;
use testkit::build::meta;

#[derive(Debug)]
struct Fake;
impl Signer for Fake {
    fn sign(&self, namespace: &str, name: &str, _: &str, secret: &str) -> Option<String> {
        Some(format!("{namespace}/{name} in {secret}"))
    }
}

fn secret(name: &str, account: &str) -> Secret {
    let mut metadata = meta("a", name);
    metadata.annotations = Some([(ACCOUNT_NAME.to_owned(), account.to_owned())].into());
    Secret { metadata, type_: Some(TOKEN_TYPE.into()), ..Secret::default() }
}

#[test]
fn tokens_are_filled_in_and_go_with_their_account() {
    let mut h = Harness::new(&[&CONTROLLER]);
    h.config.tokens = Some(Arc::new(Fake));
    h.config.root_ca_pem = "ca".to_owned();
    h.world.given(ServiceAccount { metadata: meta("a", "robot"), ..ServiceAccount::default() });
    h.world.given(secret("t", "robot"));
    h.world.given(secret("orphan", "nobody"));
    h.settle();
    let all = h.world.all::<Secret>();
    assert_eq!(all.len(), 1);
    let text = |k: &str| String::from_utf8_lossy(&all[0].data.as_ref().expect("data")[k].0).into_owned();
    assert_eq!([text("token"), text("namespace"), text("ca.crt")], ["a/robot in t", "a", "ca"]);
    h.world.erase::<ServiceAccount>("a", "robot");
    h.settle();
    assert!(h.world.all::<Secret>().is_empty());
}
