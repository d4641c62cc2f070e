//! Negotiation, the bounded store of documents, entity tags and compression.

use super::*;

fn accept(text: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(text))])
}

#[test]
fn clients_get_the_form_they_ask_for() {
    let ask = |text| negotiate(&accept(text), V2_PROTOBUF).map(|c| c.0);
    assert_eq!(ask("application/com.github.proto-openapi.spec.v2@v1.0+protobuf").expect("known"), Format::Protobuf);
    assert_eq!(ask("application/json;q=0.5, application/com.github.proto-openapi.spec.v2@v1.0+protobuf").expect("known"), Format::Protobuf);
    let (_, media) = negotiate(&accept(V2_PROTOBUF[0]), V2_PROTOBUF).expect("known");
    assert!(!media.contains('@'));
    assert_eq!(ask("text/html, */*").expect("known"), Format::Json);
    assert_eq!(ask("text/html").expect_err("unknown").code, 406);
}

#[test]
fn kept_documents_are_bounded_and_the_oldest_goes_first() {
    let mut kept = Kept { bytes: 0, documents: VecDeque::new() };
    let half = Bytes::from(vec![0; KEPT_BYTES / 2]);
    let key = |name: &str| (name.to_owned(), Format::Json);
    kept.put(key("a"), &half);
    kept.put(key("b"), &half);
    assert!(kept.get(&key("a")).is_some());
    kept.put(key("c"), &half);
    assert!(kept.get(&key("b")).is_none() && kept.get(&key("a")).is_some());
    assert_eq!(kept.bytes, KEPT_BYTES);
}

#[test]
fn a_document_is_unpacked_for_who_cannot_and_not_sent_again() {
    let served = Served { builtin, customs: &[], tree: &|_| serde_json::Value::Null, enums: true };
    let hash = hash("version", true, std::iter::empty());
    let write: Box<Writer<'_>> = Box::new(|out| served.write_v3("version", Format::Json, out));
    let packed = packed(&hash, Format::Json, write).expect("memory").expect("served");
    let plain = document(&HeaderMap::new(), &hash, JSON, packed.clone()).expect("whole");
    assert_eq!(plain.status(), 200);
    assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
    let etag = plain.headers()[header::ETAG].clone();
    let again = document(&HeaderMap::from_iter([(header::IF_NONE_MATCH, etag)]), &hash, JSON, packed.clone()).expect("whole");
    assert_eq!(again.status(), 304);
    let gzip = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
    let packed = document(&gzip, &hash, JSON, packed).expect("whole");
    assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
}
