//! Round trips of typed objects and the hole for the resource version.

use crate::object::{decode, encode, is_readable, with_revision};
use kinds::{Kind, Revision};

#[test]
fn an_object_round_trips_and_gets_its_revision() {
    let json = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":{"metadata":"{"}},"data":{"k":"v"}}"#;
    let object = decode(Kind::ConfigMap, json).expect("valid");
    let bytes = encode(&object);
    let filled = with_revision(&bytes, Revision(7));
    let again = decode(Kind::ConfigMap, &filled).expect("valid");
    assert_eq!(again.meta().resource_version.as_deref(), Some("7"));
    assert_eq!(again.meta().labels, object.meta().labels);
    let empty = with_revision(&encode(&kinds::Object::empty(Kind::Pod)), Revision(1));
    assert!(decode(Kind::Pod, &empty).is_ok());
}

#[test]
fn only_the_outermost_metadata_gets_the_revision() {
    let json = br#"{"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{"name":"a"},"revision":1,
        "data":{"spec":{"template":{"metadata":{"labels":{"a":"b"}}}}}}"#;
    let object = decode(Kind::ControllerRevision, json).expect("valid");
    let filled = with_revision(&encode(&object), Revision(7));
    let again = decode(Kind::ControllerRevision, &filled).expect("valid");
    assert_eq!(again.meta().resource_version.as_deref(), Some("7"));
    let (kinds::Object::ControllerRevision(a), kinds::Object::ControllerRevision(b)) = (&again, &object) else {
        panic!("of its kind");
    };
    assert_eq!(a.data, b.data);
    let moved = crate::object::replace_revision(&filled, Revision(7), Revision(1234));
    assert_eq!(decode(Kind::ControllerRevision, &moved).expect("valid").meta().resource_version.as_deref(), Some("1234"));
}

#[test]
fn a_condition_may_have_no_time() {
    let json = br#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"status":{"conditions":[
        {"type":"A","status":"True","reason":"R","message":"m","lastTransitionTime":null}]}}"#;
    let object = decode(Kind::Service, json).expect("null is no time");
    let text = String::from_utf8(encode(&object)).expect("JSON");
    assert!(text.contains("\"lastTransitionTime\":null"), "{text}");
    assert!(decode(Kind::Service, text.as_bytes()).is_ok());
    assert!(decode(Kind::Service, br#"{"apiVersion":"v1","kind":"Pod"}"#).is_err());
}

#[test]
fn what_is_deeper_than_a_parser_reads_is_told() {
    let nested = |levels: usize| format!("{{\"a[\\\"{{\":{}1{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    for (levels, readable) in [(1, true), (127, true), (128, false), (1000, false)] {
        let json = nested(levels);
        assert_eq!(is_readable(json.as_bytes()), readable, "{levels}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), readable, "{levels}");
    }
    assert!(is_readable(format!("[{}]", ["{}"; 500].join(",")).as_bytes()), "wide is not deep");
}
