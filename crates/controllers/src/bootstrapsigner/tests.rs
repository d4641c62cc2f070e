//! Signatures that come, stay and go; the example of RFC 7515, A.1.

use super::*;
use crate::harness::Harness;
use kinds::ByteString;
use testkit::build::meta;

fn token(name: &str, pairs: &[(&str, &str)]) -> Secret {
    let data = pairs.iter().map(|(k, v)| ((*k).to_owned(), ByteString(v.as_bytes().to_vec()))).collect();
    Secret { metadata: meta(TOKENS, name), type_: Some(TOKEN_TYPE.into()), data: Some(data), ..Secret::default() }
}

#[test]
fn tokens_that_may_sign_do() {
    let mut h = Harness::new(&[&CONTROLLER]);
    let data = [(KUBECONFIG.to_owned(), "apiVersion: v1".to_owned()), ("jws-kubeconfig-gone".to_owned(), "x".to_owned())].into();
    h.world.given(ConfigMap { metadata: meta(MAP.0, MAP.1), data: Some(data), ..ConfigMap::default() });
    h.world.given(token("bootstrap-token-abcdef", &[("token-id", "abcdef"), ("token-secret", "0123456789abcdef"), ("usage-bootstrap-signing", "true")]));
    h.world.given(token("bootstrap-token-silent", &[("token-id", "silent"), ("token-secret", "0123456789abcdef")]));
    h.settle();
    let map = h.world.all::<ConfigMap>().remove(0);
    let data = map.data.clone().expect("data");
    assert_eq!(data.keys().collect::<Vec<_>>(), ["jws-kubeconfig-abcdef", KUBECONFIG]);
    let parts: Vec<&str> = data["jws-kubeconfig-abcdef"].split('.').collect();
    assert_eq!((parts[0], parts[1], parts[2].len()), ("eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9", "", 43));
}

#[test]
fn the_rfcs_example() {
    let key: Vec<u8> = vec![
        3, 35, 53, 75, 43, 15, 165, 188, 131, 126, 6, 101, 119, 123, 166, 143, 90, 179, 40, 230, 240, 84, 201, 40, 169, 15, 132, 178, 210,
        80, 46, 191, 211, 251, 90, 146, 210, 6, 71, 239, 150, 138, 180, 195, 119, 98, 61, 34, 61, 46, 33, 114, 5, 46, 79, 8, 192, 205, 154,
        245, 103, 208, 128, 163,
    ];
    let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    assert_eq!(base64url(&hmac(&key, signed.as_bytes())), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}
