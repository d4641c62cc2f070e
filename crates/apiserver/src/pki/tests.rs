//! Tables and laws of `pki`.

use super::*;
use jiff::Timestamp;
use std::time::Duration;
use x509_parser::prelude::*;

fn now() -> Timestamp {
    "2026-11-21T08:00:00Z".parse().expect("a time")
}

#[test]
fn every_group_survives_in_the_subject() {
    let ca = Authority::create("kubernetes", Duration::from_secs(3600), now()).expect("a CA");
    let request = Request {
        common_name: "kubernetes-admin".into(),
        organizations: vec!["kubeadm:cluster-admins".into(), "a,b+c=\"d/é".into()],
        dns_names: vec!["localhost".into()],
        addresses: vec!["127.0.0.1".parse().expect("an address")],
        usage: Usage::Both,
        lifetime: Duration::from_secs(60),
    };
    let issued = ca.issue(request, now()).expect("a certificate");
    let (_, pem) = parse_x509_pem(issued.certificate.as_bytes()).expect("PEM");
    let cert = pem.parse_x509().expect("X.509");
    let groups: Vec<_> = cert.subject().iter_organization().map(|o| o.as_str().expect("text")).collect();
    assert_eq!(groups, ["kubeadm:cluster-admins", "a,b+c=\"d/é"]);
    let (_, root) = parse_x509_pem(ca.pem().as_bytes()).expect("PEM");
    let root = root.parse_x509().expect("X.509");
    assert_eq!(cert.issuer(), root.subject());
    assert!(root.is_ca() && !cert.is_ca());
    assert_eq!(cert.validity().not_after.timestamp(), now().as_second() + 60);
}

#[test]
fn files_are_made_once_and_reused() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = Files::open(dir.path().join("pki")).expect("opens");
    let (a, b) = (files.material(now()).expect("made"), files.material(now()).expect("read"));
    assert_eq!(a.ca.pem(), b.ca.pem());
    let request = Request {
        common_name: "x".into(),
        organizations: vec![],
        dns_names: vec![],
        addresses: vec![],
        usage: Usage::Client,
        lifetime: Duration::from_secs(365 * 24 * 3600),
    };
    let one = files.certificate("x", &a.ca, request.clone(), now()).expect("issued");
    let two = files.certificate("x", &b.ca, request.clone(), now()).expect("read");
    assert_eq!(one.certificate, two.certificate);
    let later = now().checked_add(jiff::SignedDuration::from_hours(24 * 300)).expect("a time");
    assert_ne!(files.certificate("x", &b.ca, request, later).expect("renewed").certificate, one.certificate);
}

/// A request that `openssl req` made: every kind of name, two groups, a P-384 key under SHA-256.
const REQUEST: &str = include_str!("request.pem");

#[test]
fn a_request_is_signed_with_all_that_it_names() {
    let wanted = requests::read(REQUEST.as_bytes()).expect("its own key signed it");
    assert_eq!((wanted.common_name.as_str(), &wanted.organizations[..]), ("jané", &["dev".to_owned(), "ops".to_owned()][..]));
    let ca = Authority::create("kubernetes", Duration::from_secs(3600), now()).expect("a CA");
    let usages = ["client auth", "digital signature", "code signing"].map(str::to_owned);
    let pem = requests::sign(&ca, wanted.clone(), &usages, Duration::from_secs(60), now()).expect("a certificate");
    let (_, pem) = parse_x509_pem(pem.as_bytes()).expect("PEM");
    let cert = pem.parse_x509().expect("X.509");
    assert_eq!(cert.subject().to_string(), "C=DE, O=dev + O=ops, OU=unit, L=town, ST=land, CN=jané");
    let names = cert.subject_alternative_name().expect("well-formed").expect("there").value.general_names.clone();
    let shown: Vec<_> = names.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["DNSName(a.example.com)", "RFC822Name(jane@example.com)", "IPAddress(0a:00:00:07)", "URI(spiffe://example.com/x)"]);
    let usage = cert.key_usage().expect("well-formed").expect("there").value;
    assert!(usage.digital_signature() && !usage.key_encipherment());
    let purposes = cert.extended_key_usage().expect("well-formed").expect("there").value;
    assert!(purposes.client_auth && purposes.code_signing && !purposes.server_auth);
    assert!(requests::sign(&ca, wanted, &["flying".to_owned()], Duration::from_secs(60), now()).is_err());
    let broken = REQUEST.replacen('M', "N", 1);
    assert!(requests::read(broken.as_bytes()).is_none());
}
