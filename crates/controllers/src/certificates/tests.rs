//! Requests of every signer, with an issuer that reads a made-up form.

use super::*;
use crate::harness::Harness;
use kinds::ByteString;
use kinds::api::certificates::v1::CertificateSigningRequestSpec;
use std::sync::Arc;
use testkit::build::meta;

/// Reads `CN|O,O|dns|ip` instead of ASN.1.
#[derive(Debug)]
struct Fake;

impl Issuer for Fake {
    fn read(&self, pem: &[u8]) -> Option<Asked> {
        let text = std::str::from_utf8(pem).ok()?;
        let mut parts = text.split('|');
        let mut list = || parts.next().map(|p| p.split(',').filter(|x| !x.is_empty()).map(str::to_owned).collect::<Vec<_>>());
        let (cn, o, dns, ip) = (list()?, list()?, list()?, list()?);
        Some(Asked { common_name: cn.first()?.clone(), organizations: o, dns_names: dns, addresses: ip, ..Asked::default() })
    }
    fn sign(&self, _: &[u8], usages: &[String], lifetime: Duration, _: Timestamp) -> Result<String, String> {
        Ok(format!("{} for {}", usages.join("+"), lifetime.as_secs()))
    }
    fn ends(&self, _: &[u8]) -> Option<Timestamp> {
        None
    }
}

fn harness() -> Harness {
    let mut h = Harness::new(&[&APPROVER, &SIGNER, &CLEANER]);
    h.config.issuer = Some(Arc::new(Fake));
    h.config.may_request = |_, spec, permission| {
        (spec.username.as_deref() == Some("system:bootstrap:abcdef") && permission == "nodeclient")
            || (spec.username.as_deref() == Some("system:node:n1") && permission == "selfnodeclient")
    };
    h
}

fn request(signer: &str, user: &str, text: &str, usages: &[&str]) -> CertificateSigningRequest {
    let spec = CertificateSigningRequestSpec {
        request: ByteString(text.as_bytes().to_vec()),
        signer_name: signer.into(),
        username: Some(user.into()),
        usages: Some(usages.iter().map(|u| (*u).to_owned()).collect()),
        expiration_seconds: Some(3600),
        ..CertificateSigningRequestSpec::default()
    };
    CertificateSigningRequest { metadata: meta("", "r"), spec, ..CertificateSigningRequest::default() }
}

const TLS: &[&str] = &["digital signature", "key encipherment", "client auth"];
const SERVE: &[&str] = &["digital signature", "server auth"];

/// Conditions and certificate of a request after everything settled; `approved` by somebody first.
fn after(signer: &str, user: &str, text: &str, usages: &[&str], approved: bool) -> (Vec<String>, String) {
    let mut h = harness();
    let mut c = request(signer, user, text, usages);
    if approved {
        c = with(&c, "Approved", "ByHand", "", h.world.time());
    }
    h.world.given(c);
    h.settle();
    let c = h.world.all::<CertificateSigningRequest>().remove(0);
    let told = conditions(&c).iter().map(|x| format!("{} {}", x.type_, x.message.clone().unwrap_or_default()).trim().to_owned()).collect();
    (told, certificate(&c).map(|b| String::from_utf8_lossy(b).into_owned()).unwrap_or_default())
}

#[test]
fn kubelets_are_approved_and_signed() {
    let node = "system:node:n1|system:nodes||";
    let signed = "digital signature+key encipherment+client auth for 3600";
    let (told, pem) = after(KUBELET_CLIENT, "system:bootstrap:abcdef", node, TLS, false);
    assert_eq!((told, pem.as_str()), (vec!["Approved Auto approving kubelet client certificate after SubjectAccessReview.".to_owned()], signed));
    let (told, pem) = after(KUBELET_CLIENT, "system:node:n1", node, TLS, false);
    assert_eq!((told, pem.as_str()), (vec!["Approved Auto approving self kubelet client certificate after SubjectAccessReview.".to_owned()], signed));
    for (user, text, usages) in [
        ("joe", node, TLS),
        ("system:bootstrap:abcdef", "system:node:n1|system:masters||", TLS),
        ("system:bootstrap:abcdef", "system:node:n1|system:nodes|x|", TLS),
        ("system:bootstrap:abcdef", "joe|system:nodes||", TLS),
        ("system:bootstrap:abcdef", node, SERVE),
    ] {
        assert_eq!(after(KUBELET_CLIENT, user, text, usages, false), (Vec::new(), String::new()), "{user} {text}");
    }
}

#[test]
fn each_signer_signs_what_it_may() {
    let failed = |why: &str| vec!["Approved".to_owned(), format!("Failed {why}")];
    let of = |signer, user, text, usages| after(signer, user, text, usages, true);
    assert_eq!(of(CLIENT, "joe", "joe|dev||", &["client auth"]).1, "client auth for 3600");
    assert_eq!(of(CLIENT, "joe", "joe|dev||", SERVE).0, failed("invalid usage for client certificate"));
    assert_eq!(of(KUBELET_SERVING, "system:node:n1", "system:node:n1|system:nodes|n1|", SERVE).1, "digital signature+server auth for 3600");
    assert_eq!(of(KUBELET_SERVING, "system:node:n1", "system:node:n1|system:nodes||", SERVE).0, failed("DNS or IP subjectAltName is required"));
    assert_eq!(of(KUBELET_SERVING, "system:node:n2", "system:node:n1|system:nodes|n1|", SERVE).0, failed("requested subject common name does not match the requesting user"));
    assert_eq!(of(LEGACY, "joe", "x|||", &["any"]).1, "any for 3600");
    assert_eq!(of("example.com/other", "joe", "x|||", &["any"]), (vec!["Approved".to_owned()], String::new()));
    assert_eq!(after(CLIENT, "joe", "joe|dev||", &["client auth"], false), (Vec::new(), String::new()), "only what is approved");
}

#[test]
fn requests_are_forgotten() {
    let mut h = harness();
    h.world.given(with(&request(CLIENT, "joe", "joe|||", &["client auth"]), "Denied", "ByHand", "", h.world.time()));
    h.settle();
    assert_eq!(h.world.all::<CertificateSigningRequest>().len(), 1);
    h.wait(3600);
    h.settle();
    assert!(h.world.all::<CertificateSigningRequest>().is_empty());
    h.world.given(request(CLIENT, "joe", "joe|||", &["client auth"]));
    h.settle();
    h.wait(24 * 3600);
    h.settle();
    assert!(h.world.all::<CertificateSigningRequest>().is_empty());
}
