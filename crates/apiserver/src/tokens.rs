//! Service account tokens: JWTs that name a service account and, when bound, a pod, node or secret (KEP-1205).

use crate::pki::{Key, pem};
use cache::Snapshot;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use kinds::api::core::v1::{Node, Pod, Secret, ServiceAccount};
use rules::User;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A pod's token is renewed early; it stays valid a little longer for pods that are slow to re-read it.
pub const WARN_AFTER_S: i64 = 3600 + 7;

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

/// Signs and checks tokens.
pub struct Tokens {
    issuer: String,
    audiences: Vec<String>,
    encoding: EncodingKey,
    decoding: DecodingKey,
    key_id: String,
    public_pem: String,
    public_der: Vec<u8>,
}

impl Tokens {
    /// From the service account key; `audiences` are those the API server accepts (the first is the default).
    #[must_use]
    pub fn new(key: &Key, issuer: &str, audiences: Vec<String>) -> Self {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        use sha2::Digest;
        let public_pem = pem("PUBLIC KEY", &key.public_der());
        let key_id = URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(key.public_der()));
        Self {
            issuer: issuer.to_owned(),
            audiences,
            encoding: EncodingKey::from_ec_der(key.pkcs8()),
            decoding: DecodingKey::from_ec_pem(public_pem.as_bytes()).expect("our own public key is PEM"),
            key_id,
            public_pem,
            public_der: key.public_der(),
        }
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
    /// The audiences that the API server itself accepts.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
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
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation).ok()?.claims;
        let at = now.as_second();
        if claims.iss != self.issuer || claims.exp <= at || claims.nbf > at + 60 {
            return None;
        }
        let wanted = if wanted.is_empty() { &self.audiences } else { wanted };
        let audiences: Vec<String> = wanted.iter().filter(|a| claims.aud.contains(a)).cloned().collect();
        if audiences.is_empty() || !still_bound(&claims.kubernetes, snapshot) {
            return None;
        }
        Some((user(&claims), audiences))
    }
}

fn still_bound(k: &Kubernetes, snapshot: &Snapshot) -> bool {
    let same = |uid: Option<&String>, b: &Bound| b.uid.is_empty() || uid == Some(&b.uid);
    let account = snapshot.get::<ServiceAccount>(&k.namespace, &k.serviceaccount.name);
    let pod = |b: &Bound| snapshot.get::<Pod>(&k.namespace, &b.name).is_some_and(|p| same(p.metadata.uid.as_ref(), b));
    let secret = |b: &Bound| snapshot.get::<Secret>(&k.namespace, &b.name).is_some_and(|s| same(s.metadata.uid.as_ref(), b));
    let node = |b: &Bound| snapshot.get::<Node>("", &b.name).is_some_and(|n| same(n.metadata.uid.as_ref(), b));
    account.is_some_and(|a| same(a.metadata.uid.as_ref(), &k.serviceaccount))
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
