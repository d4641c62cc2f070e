//! A certificate authority and what it issues.

use super::key::{Asn1Signature, Key, pem};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use jiff::{SignedDuration, Timestamp};
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{self, Builder, CertificateBuilder};
use x509_cert::certificate::{Certificate, TbsCertificate};
use x509_cert::der::asn1::{GeneralizedTime, Ia5String, ObjectIdentifier, OctetString, UtcTime};
use x509_cert::der::{self, Decode, DecodePem, Encode};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};

/// Certificates begin a little in the past, for clocks that lag.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);
/// `serverAuth`, `clientAuth`: RFC 5280, 4.2.1.12.
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// Key usages together.
pub(super) type Flags = x509_cert::der::flagset::FlagSet<KeyUsages>;

/// What went wrong with a key or certificate.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("{0}")]
    Key(&'static str),
    #[error("encoding a certificate: {0}")]
    Der(#[from] der::Error),
    #[error("building a certificate: {0}")]
    Build(#[from] builder::Error),
    #[error("{path}: {source}")]
    Io { path: String, source: std::io::Error },
}

/// What a certificate may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    Client,
    Server,
    Both,
    Authority,
}

/// What is asked of an authority.
#[derive(Clone, Debug)]
pub struct Request {
    pub common_name: String,
    /// Each one is an `O=`, which Kubernetes reads as a group.
    pub organizations: Vec<String>,
    pub dns_names: Vec<String>,
    pub addresses: Vec<IpAddr>,
    pub usage: Usage,
    pub lifetime: Duration,
}

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

/// A CA: certificate and key.
pub struct Authority {
    certificate: Certificate,
    pem: String,
    key: Key,
}

/// All that a certificate says beside its key and its time.
pub(super) struct Profile {
    pub(super) subject: Name,
    pub(super) names: Vec<GeneralName>,
    pub(super) usages: Flags,
    pub(super) purposes: Vec<ObjectIdentifier>,
    authority: bool,
}

/// A profile with the name of who issues it.
struct Issuing {
    issuer: Name,
    /// What the authority's certificate calls its key; older ones hash it otherwise than we do.
    issuer_key_id: Option<OctetString>,
    profile: Profile,
}

impl Profile {
    /// Of a certificate that is no authority's.
    pub(super) fn leaf(subject: Name, names: Vec<GeneralName>, usages: Flags, purposes: Vec<ObjectIdentifier>) -> Self {
        Self { subject, names, usages, purposes, authority: false }
    }

    fn of(r: &Request) -> der::Result<Self> {
        let authority = r.usage == Usage::Authority;
        let usages = match authority {
            true => KeyUsages::KeyCertSign | KeyUsages::CRLSign | KeyUsages::DigitalSignature,
            false => KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment,
        };
        let purposes = match r.usage {
            Usage::Client => vec![CLIENT_AUTH],
            Usage::Server => vec![SERVER_AUTH],
            Usage::Both => vec![SERVER_AUTH, CLIENT_AUTH],
            Usage::Authority => vec![],
        };
        Ok(Self { subject: subject(r)?, names: alternative_names(r)?, usages, purposes, authority })
    }
}

impl BuilderProfile for Issuing {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.clone()
    }
    fn get_subject(&self) -> Name {
        self.profile.subject.clone()
    }
    fn build_extensions(
        &self,
        own: SubjectPublicKeyInfoRef<'_>,
        issuer: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        let (mut all, p): (Vec<Extension>, _) = (Vec::new(), &self.profile);
        if !p.usages.is_empty() {
            all.push(KeyUsage(p.usages).to_extension(tbs.subject(), &all)?);
        }
        all.push(BasicConstraints { ca: p.authority, path_len_constraint: None }.to_extension(tbs.subject(), &all)?);
        if !p.purposes.is_empty() {
            all.push(ExtendedKeyUsage(p.purposes.clone()).to_extension(tbs.subject(), &all)?);
        }
        if p.authority {
            all.push(SubjectKeyIdentifier::try_from(own)?.to_extension(tbs.subject(), &all)?);
        } else {
            let mut by = AuthorityKeyIdentifier::try_from(issuer)?;
            by.key_identifier = self.issuer_key_id.clone().or(by.key_identifier);
            all.push(by.to_extension(tbs.subject(), &all)?);
        }
        if !p.names.is_empty() {
            all.push(SubjectAltName(p.names.clone()).to_extension(tbs.subject(), &all)?);
        }
        Ok(all)
    }
}

fn alternative_names(r: &Request) -> der::Result<Vec<GeneralName>> {
    let dns = r.dns_names.iter().map(|n| Ia5String::new(n).map(GeneralName::DnsName));
    let ips = r.addresses.iter().map(|a| Ok(GeneralName::from(*a)));
    dns.chain(ips).collect()
}

/// RFC 4514 text with everything special escaped as hex.
fn escape(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b":-._@ ".contains(&b);
    value.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("\\{b:02x}") }).collect()
}

fn subject(r: &Request) -> der::Result<Name> {
    // The text form is written most specific first, so the sequence in the certificate is O, O, …, CN.
    let mut parts = vec![format!("CN={}", escape(&r.common_name))];
    parts.extend(r.organizations.iter().rev().map(|o| format!("O={}", escape(o))));
    Name::from_str(&parts.join(","))
}

fn time(at: Timestamp) -> der::Result<Time> {
    let since = Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    Ok(match UtcTime::from_unix_duration(since) {
        Ok(t) => Time::UtcTime(t),
        Err(_) => Time::GeneralTime(GeneralizedTime::from_unix_duration(since)?),
    })
}

fn serial() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0u8; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| PkiError::Key("no randomness for a serial number"))?;
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::new(&bytes)?)
}

impl Authority {
    /// A new self-signed authority.
    ///
    /// # Errors
    /// A broken random source or impossible names.
    pub fn create(common_name: &str, lifetime: Duration, now: Timestamp) -> Result<Self, PkiError> {
        let key = Key::generate()?;
        let request = Request {
            common_name: common_name.to_owned(),
            organizations: Vec::new(),
            dns_names: vec![common_name.to_owned()],
            addresses: Vec::new(),
            usage: Usage::Authority,
            lifetime,
        };
        let profile = Profile::of(&request)?;
        let certificate = build((profile.subject.clone(), None), profile, key.spki()?, &key, (lifetime, now))?;
        let pem = pem("CERTIFICATE", &certificate.to_der()?);
        Ok(Self { certificate, pem, key })
    }

    /// An authority from PEM texts.
    ///
    /// # Errors
    /// Texts that are no certificate and key.
    pub fn load(certificate: &str, key: &str) -> Result<Self, PkiError> {
        let parsed = Certificate::from_pem(certificate)?;
        Ok(Self { certificate: parsed, pem: certificate.to_owned(), key: Key::from_pem(key)? })
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The key as PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.pem()
    }

    /// The certificate as DER.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        self.certificate.to_der().expect("a parsed certificate encodes")
    }

    /// Issues a certificate with a fresh key.
    ///
    /// # Errors
    /// As [`Authority::create`].
    pub fn issue(&self, request: Request, now: Timestamp) -> Result<Issued, PkiError> {
        let key = Key::generate()?;
        let certificate = self.sign(Profile::of(&request)?, key.spki()?, (request.lifetime, now))?;
        Ok(Issued { certificate, key: key.pem() })
    }

    /// Issues a certificate that says exactly that, for a public key given as `SubjectPublicKeyInfo` DER.
    pub(super) fn issue_exactly(&self, profile: Profile, public_der: &[u8], time: (Duration, Timestamp)) -> Result<String, PkiError> {
        self.sign(profile, SubjectPublicKeyInfoOwned::from_der(public_der)?, time)
    }

    fn key_id(&self) -> Option<OctetString> {
        let found = self.certificate.tbs_certificate().get_extension::<SubjectKeyIdentifier>().ok()?;
        found.map(|(_, id)| id.0)
    }

    fn sign(&self, profile: Profile, spki: SubjectPublicKeyInfoOwned, time: (Duration, Timestamp)) -> Result<String, PkiError> {
        let issuer = self.certificate.tbs_certificate().subject().clone();
        let certificate = build((issuer, self.key_id()), profile, spki, &self.key, time)?;
        Ok(pem("CERTIFICATE", &certificate.to_der()?))
    }
}

fn build(
    (issuer, issuer_key_id): (Name, Option<OctetString>),
    profile: Profile,
    spki: SubjectPublicKeyInfoOwned,
    signer: &Key,
    (lifetime, now): (Duration, Timestamp),
) -> Result<Certificate, PkiError> {
    let lifetime = SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::MAX);
    let end = now.checked_add(lifetime).unwrap_or(Timestamp::MAX);
    let validity = Validity::new(time(now.checked_sub(BACKDATE).unwrap_or(now))?, time(end)?);
    let builder = CertificateBuilder::new(Issuing { issuer, issuer_key_id, profile }, serial()?, validity, spki)?;
    Ok(builder.build::<_, Asn1Signature>(signer)?)
}
