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
