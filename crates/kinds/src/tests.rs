//! Tables and laws of `src`.

use crate::selector::parse_fields;
use crate::*;
use std::collections::BTreeMap;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn quantities_have_one_spelling() {
    for (given, want) in [
        ("0.1", "100m"),
        ("1.50Gi", "1536Mi"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("1000", "1k"),
        ("1024", "1024"),
        ("1024Ki", "1Mi"),
        ("512", "512"),
        ("0.5Ki", "512"),
        ("1e3", "1e3"),
        ("12E6", "12e6"),
        ("1E", "1E"),
        ("0", "0"),
        ("0Mi", "0"),
        ("-5", "-5"),
        ("100n", "100n"),
        ("0.1n", "1n"),
        (".5", "500m"),
        ("5.", "5"),
        ("999999999999999999999", "9223372036854775807"),
        ("12345678901234560.0000000001789", "12345678901234560000000001n"),
        ("12345678901234560000000002n", "12345678901234560000000002n"),
        ("0.0000000015", "2n"),
        ("0.000000001", "1n"),
    ] {
        assert_eq!(Quantity::canonical(given).as_deref(), Some(want), "{given}");
    }
    for bad in ["", "m", "1x", "1.2.3", "--1", "1 ", "e3", "1e"] {
        assert!(Quantity::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn quantities_round_up_and_add() {
    let q = |t| Quantity::parse(t).expect("a quantity");
    assert_eq!(q("1m").value(), 1);
    assert_eq!(q("1500m").value(), 2);
    assert_eq!((q("64Mi") + q("64Mi")).to_string(), "128Mi");
    assert_eq!((Quantity::default() + q("64Mi")).to_string(), "64Mi");
    assert!(q("1Gi") > q("1G"));
    assert_eq!(q("100m").milli_value(), 100);
}

#[test]
fn selectors_parse_and_match() {
    let web = labels(&[("app", "web"), ("n", "5")]);
    for (text, matches) in [
        ("", true),
        ("app=web", true),
        ("app==web", true),
        ("app!=web", false),
        ("app in (web, api)", true),
        ("app notin (api)", true),
        ("tier notin (api)", true),
        ("tier", false),
        ("!tier", true),
        ("n>3,n<6", true),
        ("app=", false),
    ] {
        let s = Selector::parse(text).expect(text);
        assert_eq!(s.matches(Some(&web)), matches, "{text}");
    }
    for bad in ["app in", "app in (", "=", "a b", "app=web,", "x>y", "-a=b"] {
        assert!(Selector::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(Selector::parse("b in (y,x),a=1").expect("valid").to_string(), "a=1,b in (x,y)");
}

#[test]
fn field_selectors_parse() {
    let got = parse_fields("spec.nodeName=a,status.phase!=Running").expect("valid");
    assert_eq!((got[0].field.as_str(), got[0].equal, got[1].equal), ("spec.nodeName", true, false));
    assert!(parse_fields("abc").is_err());
}

#[test]
fn kinds_are_found() {
    assert_eq!(Kind::from_gvr("apps", "v1", "deployments"), Some(Kind::Deployment));
    assert_eq!(Kind::from_api_version("v1", "Pod"), Some(Kind::Pod));
    assert_eq!(Object::from(api::core::v1::Pod::default()).kind_name(), "Pod");
    assert_eq!(Resource::from(Kind::EventsEvent).to_string(), "events");
    assert_eq!(Resource::from(Kind::Deployment).to_string(), "deployments.apps");
}

#[test]
fn errors_speak_kubernetes() {
    let e = ApiError::not_found(&Kind::Pod.into(), "web");
    assert_eq!((e.code, e.to_string().as_str()), (404, "pods \"web\" not found"));
    let mut f = FieldErrors::default();
    f.invalid(&Path::new("spec").child("replicas"), -1, "must be greater than or equal to 0");
    f.required(&Path::new("spec.template.spec.containers"), "");
    let e = ApiError::invalid("apps", "Deployment", "web", &f);
    assert_eq!(
        e.message,
        "Deployment.apps \"web\" is invalid: [spec.replicas: Invalid value: -1: must be greater than or equal to 0, \
         spec.template.spec.containers: Required value]"
    );
}
