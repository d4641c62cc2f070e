//! CertificateSigningRequests. Docs: "Certificates and Certificate Signing Requests".

use crate::checks::repeated;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crate::names::{self, NameRule};
use crate::read::items;
use crate::table::{Rules, check, check_with_old, edit, edit_with_old};
use kinds::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestStatus};
use kinds::field::Bare;
use kinds::{FieldErrors, Kind, Object, Path};

pub(crate) const ROW: Rules = Rules {
    prepare_create: edit!(CertificateSigningRequest, |c: &mut CertificateSigningRequest| {
        c.status = Some(CertificateSigningRequestStatus::default());
    }),
    prepare_update: edit_with_old!(CertificateSigningRequest, |n: &mut CertificateSigningRequest, o: &CertificateSigningRequest| {
        n.spec.clone_from(&o.spec);
        n.status.clone_from(&o.status);
    }),
    prepare_status_update: Some(edit_with_old!(CertificateSigningRequest, |n: &mut CertificateSigningRequest, o: &CertificateSigningRequest| {
        n.spec.clone_from(&o.spec);
    })),
    validate: check!(CertificateSigningRequest, validate),
    validate_update: check_with_old!(CertificateSigningRequest, conditions_kept),
    validate_status_update: check_with_old!(CertificateSigningRequest, |n: &CertificateSigningRequest, o: &CertificateSigningRequest, e: &mut FieldErrors| {
        let cert = |c: &CertificateSigningRequest| c.status.as_ref().and_then(|s| s.certificate.clone()).unwrap_or_default();
        if !cert(o).0.is_empty() && cert(n) != cert(o) {
            e.forbidden(&Path::new("status.certificate"), "updates may not modify a certificate that is already set");
        }
        conditions_kept(n, o, e);
    }),
    fields: |o: &Object| {
        let name = ("metadata.name", o.meta().name.clone().unwrap_or_default());
        match o {
            Object::CertificateSigningRequest(c) => vec![name, ("spec.signerName", c.spec.signer_name.clone())],
            _ => vec![name],
        }
    },
    ..Rules::plain(Kind::CertificateSigningRequest, NameRule::Own(|_, _| Vec::new()))
};

const USAGES: &[&str] = &[
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
    "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping",
];
/// A certificate lives at least ten minutes.
const LIFE_S_MIN: i32 = 600;
const SIGNER_MAX: usize = 571;

fn validate(c: &CertificateSigningRequest, e: &mut FieldErrors) {
    let path = Path::new("spec");
    let at = path.child("request");
    match crate::pem::request(&c.spec.request.0) {
        None if c.spec.request.0.is_empty() => e.invalid(&at, crate::json::null(), "PEM block type must be CERTIFICATE REQUEST"),
        None => e.invalid(&at, Bare(serde_json::json!(c.spec.request).to_string()), "PEM block type must be CERTIFICATE REQUEST"),
        Some(block) => {
            if let Some(why) = crate::pem::problem(&block) {
                e.invalid(&at, STANDARD.encode(&c.spec.request.0), why);
            }
        }
    }
    let usages = items(&c.spec.usages);
    if usages.is_empty() {
        e.required(&path.child("usages"), "");
    }
    let again = repeated(usages);
    for (i, u) in usages.iter().enumerate() {
        let at = path.child("usages").index(i);
        if !USAGES.contains(&u.as_str()) {
            e.not_supported(&at, u, USAGES);
        }
        if again[i] {
            e.duplicate(&at, u);
        }
    }
    signer(&c.spec.signer_name, &path.child("signerName"), e);
    if let Some(n) = c.spec.expiration_seconds.filter(|n| *n < LIFE_S_MIN) {
        e.invalid(&path.child("expirationSeconds"), n, "may not specify a duration less than 600 seconds (10 minutes)");
    }
}

/// `domain/path` with a qualified domain.
fn signer(name: &str, at: &Path, e: &mut FieldErrors) {
    if name.is_empty() {
        e.required(at, "");
        return;
    }
    let Some((domain, rest)) = name.split_once('/') else {
        e.invalid(at, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'");
        return;
    };
    if rest.contains('/') {
        e.invalid(at, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'");
        return;
    }
    for m in names::dns_subdomain(domain) {
        e.invalid(at, domain, format!("validating label {domain:?}: {m}"));
    }
    if domain.split('.').count() < 2 {
        e.invalid(at, domain, "should be a domain with at least two segments separated by dots");
    }
    for m in names::dns_subdomain(rest) {
        e.invalid(at, rest, format!("validating label {rest:?}: {m}"));
    }
    if name.len() > SIGNER_MAX {
        e.too_long(at, SIGNER_MAX);
    }
}

/// What has been approved or denied stays so.
fn conditions_kept(n: &CertificateSigningRequest, o: &CertificateSigningRequest, e: &mut FieldErrors) {
    let list = |c: &CertificateSigningRequest| c.status.as_ref().and_then(|x| x.conditions.clone()).unwrap_or_default();
    let (new, old) = (list(n), list(o));
    for kind in ["Approved", "Denied", "Failed"] {
        let of = |l: &[kinds::api::certificates::v1::CertificateSigningRequestCondition]| {
            l.iter().filter(|c| c.type_ == kind).cloned().collect::<Vec<_>>()
        };
        let (a, b) = (of(&old), of(&new));
        if !a.is_empty() && b.len() < a.len() {
            e.forbidden(&Path::new("status.conditions"), format!("updates may not remove a condition of type {kind:?}"));
        }
    }
    let has = |kind: &str| new.iter().any(|c| c.type_ == kind);
    if has("Approved") && has("Denied") {
        let at = Path::new("status.conditions");
        e.invalid(&at, "Denied", "Approved and Denied conditions are mutually exclusive");
    }
    for (i, c) in new.iter().enumerate() {
        let at = Path::new("status.conditions").index(i);
        if c.type_.is_empty() {
            e.required(&at.child("type"), "");
        }
        let allowed: &[&str] = if ["Approved", "Denied", "Failed"].contains(&c.type_.as_str()) { &["True"] } else { &["False", "True", "Unknown"] };
        crate::checks::one_of(&c.status, allowed, &at.child("status"), e);
        if new[..i].iter().any(|x| x.type_ == c.type_) {
            e.duplicate(&at.child("type"), &c.type_);
        }
    }
}
