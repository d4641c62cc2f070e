//! Service account tokens: JWTs that name a service account and, when bound, a pod, node or secret (KEP-1205).

mod legacy;

pub(crate) use legacy::note_use;

use crate::pki::{Key, pem};
use cache::Snapshot;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use kinds::api::core::v1::{Node, Pod, Secret, ServiceAccount};
use kinds::{ObjectMeta, Time};
use parking_lot::Mutex;
use rules::User;
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
    /// PEM of further public keys (RSA or P-256) whose tokens are accepted.
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
    /// Only our own key is published: of the others nothing but the PEM is known.
    id: Option<String>,
}

/// Signs and checks tokens.
pub struct Tokens {
    options: TokenOptions,
    encoding: EncodingKey,
    verifiers: Vec<Verifier>,
    verified: Mutex<HashMap<[u8; 32], Claims>>,
    key_id: String,
    public_pem: String,
    public_der: Vec<u8>,
}

impl Tokens {
    /// From the service account key.
    ///
    /// # Errors
    /// Further keys that are none.
    pub fn new(key: &Key, options: TokenOptions) -> Result<Self, String> {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let public_pem = pem("PUBLIC KEY", &key.public_der());
        let key_id = URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(key.public_der()));
        let own = DecodingKey::from_ec_pem(public_pem.as_bytes()).expect("our own public key is PEM");
        let mut verifiers = vec![Verifier { key: own, algorithm: Algorithm::ES256, id: Some(key_id.clone()) }];
        for pem in &options.keys {
            let ec = DecodingKey::from_ec_pem(pem).map(|key| (key, Algorithm::ES256));
            let either = ec.or_else(|_| DecodingKey::from_rsa_pem(pem).map(|key| (key, Algorithm::RS256)));
            let (key, algorithm) = either.map_err(|e| format!("data does not contain any valid RSA or ECDSA public keys: {e}"))?;
            verifiers.push(Verifier { key, algorithm, id: None });
        }
        Ok(Self {
            options,
            encoding: EncodingKey::from_ec_der(key.pkcs8()),
            verifiers,
            verified: Mutex::default(),
            key_id,
            public_pem,
            public_der: key.public_der(),
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
    /// The public key as PEM.
    #[must_use]
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// The public key as a JWK set (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> serde_json::Value {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        // An uncompressed P-256 point closes the SubjectPublicKeyInfo: 0x04, then x and y of 32 bytes each.
        let point = &self.public_der[self.public_der.len() - 64..];
        let (x, y) = point.split_at(32);
        serde_json::json!({ "keys": [{
            "use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }] })
    }

    /// Signs claims.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> Option<String> {
        let mut header = Header::new(Algorithm::ES256);
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

    /// The claims of a token whose signature is right. That is checked once a token; all else is looked at each time.
    fn checked(&self, token: &str) -> Option<Claims> {
        let hash: [u8; 32] = sha2::Sha256::digest(token.as_bytes()).into();
        if let Some(claims) = self.verified.lock().get(&hash) {
            return Some(claims.clone());
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        let claims = self.verifiers.iter().filter(|v| v.algorithm == header.alg && (v.id.is_none() || v.id == header.kid)).find_map(|v| {
            let mut validation = Validation::new(v.algorithm);
            validation.validate_exp = false;
            validation.validate_aud = false;
            validation.required_spec_claims.clear();
            jsonwebtoken::decode::<Claims>(token, &v.key, &validation).ok()
        })?;
        let mut verified = self.verified.lock();
        if verified.len() >= VERIFIED_MAX {
            verified.clear();
        }
        verified.insert(hash, claims.claims.clone());
        Some(claims.claims)
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
