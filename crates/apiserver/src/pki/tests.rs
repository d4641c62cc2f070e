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

/// A key as kubeadm makes it: RSA of 2048 bits in PKCS #1, which is what PKCS #8 has behind its head.
fn rsa_key() -> String {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    const HEAD_BYTES: usize = 26;
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("encodes");
    pem("RSA PRIVATE KEY", &der.as_ref()[HEAD_BYTES..])
}

#[test]
fn kubeadm_s_keys_are_read_and_ours_can_be_read() {
    let rsa = Key::from_pem(&rsa_key()).expect("PKCS #1");
    let again = Key::from_pem(&pem("PRIVATE KEY", rsa.pkcs8())).expect("PKCS #8");
    assert_eq!(rsa.public(), again.public());
    assert_eq!((rsa.public().jwk()["kty"].as_str(), rsa.public().jwk()["e"].as_str()), (Some("RSA"), Some("AQAB")));
    let ours = Key::generate().expect("a key");
    assert!(ours.plain_pem().starts_with("-----BEGIN EC PRIVATE KEY-----"));
    assert_eq!(Key::from_pem(&ours.plain_pem()).expect("SEC 1").public(), ours.public());
    let file = format!("{}{}{}", rsa.public().pem(), ours.plain_pem(), ours.public().pem());
    let ids: Vec<String> = PublicKey::all_of(file.as_bytes()).expect("keys").iter().map(PublicKey::id).collect();
    assert_eq!(ids, [rsa.public().id(), ours.public().id(), ours.public().id()]);
    assert!(PublicKey::all_of(b"nothing").is_err());
}

#[test]
fn an_rsa_authority_signs() {
    let request = |usage| Request { common_name: "x".into(), organizations: vec![], dns_names: vec![], addresses: vec![], usage, lifetime: Duration::from_secs(60) };
    // A certificate of the RSA key by another authority does for one: only names and keys count here.
    let other = Authority::create("kubernetes", Duration::from_secs(3600), now()).expect("a CA");
    let text = rsa_key();
    let key = Key::from_pem(&text).expect("a key");
    let (name, usage) = ("CN=kubernetes".parse().expect("a name"), x509_cert::ext::pkix::KeyUsages::KeyCertSign.into());
    let profile = authority::Profile::leaf(name, vec![], usage, vec![]);
    let crt = other.issue_exactly(profile, &key.public_der(), (Duration::from_secs(60), now())).expect("a certificate");
    let ca = Authority::load(&crt, &text).expect("an RSA authority");
    let issued = ca.issue(request(Usage::Client), now()).expect("a certificate");
    let (_, leaf) = parse_x509_pem(issued.certificate.as_bytes()).expect("PEM");
    let (_, root) = parse_x509_pem(crt.as_bytes()).expect("PEM");
    let (leaf, root) = (leaf.parse_x509().expect("X.509"), root.parse_x509().expect("X.509"));
    assert_eq!(leaf.signature_algorithm.algorithm.to_id_string(), "1.2.840.113549.1.1.11");
    let checks = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256, &*root.public_key().subject_public_key.data);
    checks.verify(leaf.tbs_certificate.as_ref(), &leaf.signature_value.data).expect("a good signature");
}
