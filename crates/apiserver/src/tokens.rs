//! Service account tokens: JWTs that name a service account and, when bound, a pod, node or secret (KEP-1205).

mod legacy;

pub(crate) use legacy::note_use;

use crate::pki::{Key, PublicKey};
use cache::Snapshot;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use kinds::api::core::v1::{Node, Pod, Secret, ServiceAccount};
use kinds::{ObjectMeta, Time};
use parking_lot::Mutex;
use rules::User;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Digest;
use std::collections::{BTreeMap, HashMap};

/// A pod's token is renewed early; it stays valid a little longer for pods that are slow to re-read it.
pub const WARN_AFTER_S: i64 = 3600 + 7;

/// What is being deleted keeps its tokens alive for this long: clocks differ, and pods end in peace.
const DELETED_FOR_S: i64 = 60;

/// The id of a token that was just signed.
pub(crate) fn id_of(token: &str) -> Option<String> {
    use base64::Engine;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    claims["jti"].as_str().map(str::to_owned)
}

/// An object that a token dies with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

/// The private claim.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Kubernetes {
    pub namespace: String,
    pub serviceaccount: Bound,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Bound>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Bound>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Bound>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnafter: Option<i64>,
}

/// All claims of a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    pub aud: Vec<String>,
    pub exp: i64,
    pub iat: i64,
    pub iss: String,
    pub jti: String,
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: Kubernetes,
    pub nbf: i64,
    pub sub: String,
}

/// Signatures of tokens that need not be checked again.
const VERIFIED_MAX: usize = 4096;

/// What the flags say of service account tokens.
#[derive(Clone, Debug)]
pub struct TokenOptions {
    /// The first one signs; all are accepted.
    pub issuers: Vec<String>,
    /// Those that the API server accepts; the first is the default.
    pub audiences: Vec<String>,
    /// PEM of further public keys (RSA, P-256, P-384) whose tokens are accepted; also the halves of private keys and certificates.
    pub keys: Vec<Vec<u8>>,
    /// Where the issuer's document says that the keys are.
    pub jwks_uri: Option<String>,
    /// The longest lifetime of a requested token.
    pub longest_s: Option<i64>,
    /// Whether pods' tokens outlive their rotation, for clients that do not read them again.
    pub extend: bool,
}

struct Verifier {
    key: DecodingKey,
    algorithm: Algorithm,
    id: String,
}

/// Signs and checks tokens.
pub struct Tokens {
    options: TokenOptions,
    encoding: EncodingKey,
    algorithm: Algorithm,
    verifiers: Vec<Verifier>,
    verified: Mutex<HashMap<[u8; 32], Claims>>,
    public: Vec<PublicKey>,
    key_id: String,
}

impl Tokens {
    /// From the service account key.
    ///
    /// # Errors
    /// Further keys that are none.
    pub fn new(key: &Key, options: TokenOptions) -> Result<Self, String> {
        let own = key.public();
        let mut public = vec![own.clone()];
        for pem in &options.keys {
            for key in PublicKey::all_of(pem).map_err(|e| e.to_string())? {
                if !public.contains(&key) {
                    public.push(key);
                }
            }
        }
        let verifier = |key: &PublicKey| {
            let checks = key.decoding().map_err(|e| e.to_string())?;
            Ok(Verifier { key: checks, algorithm: key.algorithm().of_tokens(), id: key.id() })
        };
        let verifiers = public.iter().map(verifier).collect::<Result<_, String>>()?;
        Ok(Self {
            options,
            encoding: key.encoding().map_err(|e| e.to_string())?,
            algorithm: own.algorithm().of_tokens(),
            verifiers,
            verified: Mutex::default(),
            key_id: own.id(),
            public,
        })
    }

    /// What the flags say.
    #[must_use]
    pub fn options(&self) -> &TokenOptions {
        &self.options
    }
    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.options.issuers.first().map_or("", String::as_str)
    }
    /// The audiences that the API server itself accepts.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.options.audiences
    }
    /// The key's id (`kid`).
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }
    /// The public keys as a JWK set (RFC 7517), the one that signs first.
    #[must_use]
    pub fn jwks(&self) -> serde_json::Value {
        serde_json::json!({ "keys": self.public.iter().map(PublicKey::jwk).collect::<Vec<_>>() })
    }

    /// Signs claims.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> Option<String> {
        let mut header = Header::new(self.algorithm);
        header.typ = None;
        header.kid = Some(self.key_id.clone());
        jsonwebtoken::encode(&header, claims, &self.encoding).ok()
    }

    /// The user that a token speaks for, and the audiences it is good for. `None`: not a valid token of ours.
    #[must_use]
    pub fn verify(&self, token: &str, wanted: &[String], now: Timestamp, snapshot: &Snapshot) -> Option<(User, Vec<String>)> {
        let claims = self.checked(token)?;
        let at = now.as_second();
        if !self.options.issuers.contains(&claims.iss) || claims.exp <= at || claims.nbf > at + 60 {
            return None;
        }
        let wanted = if wanted.is_empty() { self.audiences() } else { wanted };
        let audiences: Vec<String> = wanted.iter().filter(|a| claims.aud.contains(a)).cloned().collect();
        if audiences.is_empty() || !still_bound(&claims.kubernetes, snapshot, now) {
            return None;
        }
        Some((user(&claims), audiences))
    }

    /// The keys that may have signed it: the one that it names, or all where that is none of ours.
    fn verifiers_for<'a>(&'a self, header: &Header) -> impl Iterator<Item = &'a Verifier> {
        let named = self.verifiers.iter().position(|v| Some(&v.id) == header.kid.as_ref());
        let (alg, fits) = (header.alg, move |n: usize| named.is_none_or(|at| at == n));
        self.verifiers.iter().enumerate().filter(move |(n, v)| v.algorithm == alg && fits(*n)).map(|(_, v)| v)
    }

    /// What a token says, when one of our keys signed it. Times and audiences are the caller's to judge.
    fn signed<T: DeserializeOwned>(&self, token: &str) -> Option<T> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        self.verifiers_for(&header).find_map(|v| {
            let mut validation = Validation::new(v.algorithm);
            validation.validate_exp = false;
            validation.validate_aud = false;
            validation.required_spec_claims.clear();
            jsonwebtoken::decode::<T>(token, &v.key, &validation).ok().map(|d| d.claims)
        })
    }

    /// The claims of a token whose signature is right. That is checked once a token; all else is looked at each time.
    fn checked(&self, token: &str) -> Option<Claims> {
        let hash: [u8; 32] = sha2::Sha256::digest(token.as_bytes()).into();
        if let Some(claims) = self.verified.lock().get(&hash) {
            return Some(claims.clone());
        }
        let claims: Claims = self.signed(token)?;
        let mut verified = self.verified.lock();
        if verified.len() >= VERIFIED_MAX {
            verified.clear();
        }
        verified.insert(hash, claims.clone());
        Some(claims)
    }
}

/// Whether everything that the token names is still there, and not deleted for long.
fn still_bound(k: &Kubernetes, snapshot: &Snapshot, now: Timestamp) -> bool {
    let lives = |meta: &ObjectMeta, b: &Bound| {
        let gone = |t: &Time| t.0.as_second() + DELETED_FOR_S < now.as_second();
        (b.uid.is_empty() || meta.uid.as_ref() == Some(&b.uid)) && !meta.deletion_timestamp.as_ref().is_some_and(gone)
    };
    let account = snapshot.get::<ServiceAccount>(&k.namespace, &k.serviceaccount.name);
    let pod = |b: &Bound| snapshot.get::<Pod>(&k.namespace, &b.name).is_some_and(|p| lives(&p.metadata, b));
    let secret = |b: &Bound| snapshot.get::<Secret>(&k.namespace, &b.name).is_some_and(|s| lives(&s.metadata, b));
    let node = |b: &Bound| snapshot.get::<Node>("", &b.name).is_some_and(|n| lives(&n.metadata, b));
    account.is_some_and(|a| lives(&a.metadata, &k.serviceaccount))
        && k.pod.as_ref().is_none_or(pod)
        && k.secret.as_ref().is_none_or(secret)
        && (k.pod.is_some() || k.node.as_ref().is_none_or(node))
}

fn user(claims: &Claims) -> User {
    let k = &claims.kubernetes;
    let mut extra = BTreeMap::new();
    let mut put = |key: &str, value: &str| {
        extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
    };
    put("credential-id", &format!("JTI={}", claims.jti));
    for (kind, bound) in [("pod", &k.pod), ("node", &k.node)] {
        if let Some(b) = bound {
            put(&format!("{kind}-name"), &b.name);
            put(&format!("{kind}-uid"), &b.uid);
        }
    }
    User {
        name: format!("system:serviceaccount:{}:{}", k.namespace, k.serviceaccount.name),
        uid: k.serviceaccount.uid.clone(),
        groups: vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{}", k.namespace)],
        extra,
    }
}
