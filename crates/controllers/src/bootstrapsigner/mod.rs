//! Bootstrap signer: the kubeconfig in `kube-public/cluster-info` carries a signature for each bootstrap token that may
//! sign, so that a machine that knows a token can trust what it reads there without credentials.
//!
//! Docs: "Authenticating with Bootstrap Tokens: ConfigMap Signing". Signatures are detached JWS with HS256 (RFC 7515,
//! RFC 2104): the token's secret is the key, its id the key id.
//!
//! Laws: 1. a signature for every token that may sign and has not expired, none for others. 2. signing again changes nothing.

#[cfg(test)]
mod tests;

use crate::controller::{Controller, Ctx, Subject, Watches};
use crate::plan::{Plan, Step};
use cache::{Change, Snapshot};
use jiff::Timestamp;
use kinds::Kind;
use kinds::api::core::v1::{ConfigMap, Secret};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const MAP: (&str, &str) = ("kube-public", "cluster-info");
const TOKENS: &str = "kube-system";
const TOKEN_TYPE: &str = "bootstrap.kubernetes.io/token";
const KUBECONFIG: &str = "kubeconfig";
const SIGNATURE: &str = "jws-kubeconfig-";
/// SHA-256 works on blocks of this size.
const BLOCK: usize = 64;

/// The bootstrap signer.
pub const CONTROLLER: Controller = Controller {
    name: "bootstrap_signer_queue",
    account: "bootstrap-signer",
    component: "bootstrap-signer",
    watches: Watches::Kinds(&[Kind::ConfigMap, Kind::Secret]),
    wakes: |change: &Change, _| {
        let key = change.key();
        let map = change.resource.builtin() == Some(Kind::ConfigMap) && (key.namespace.as_str(), key.name.as_str()) == MAP;
        let token = change.resource.builtin() == Some(Kind::Secret) && key.namespace == TOKENS && key.name.starts_with("bootstrap-token-");
        if map || token { vec![subject()] } else { Vec::new() }
    },
    subjects: |_| vec![subject()],
    plan: |s: &Snapshot, _, ctx| {
        let map = s.get::<ConfigMap>(MAP.0, MAP.1)?;
        let tokens: Vec<&Secret> = s.list::<Secret>(TOKENS).map(|x| &**x).collect();
        Some(decide(map, &tokens, ctx))
    },
};

fn subject() -> Subject {
    Subject::named(Kind::ConfigMap, MAP.0, MAP.1)
}

/// What is to be done for the map.
#[must_use]
pub fn decide(map: &ConfigMap, tokens: &[&Secret], ctx: &Ctx) -> Plan {
    let data = map.data.clone().unwrap_or_default();
    let Some(content) = data.get(KUBECONFIG) else { return Plan::because("there is no kubeconfig to sign") };
    let mut wanted: BTreeMap<String, String> = data.iter().filter(|(k, _)| !k.starts_with(SIGNATURE)).map(|(k, v)| (k.clone(), v.clone())).collect();
    for token in tokens {
        if let Some((id, secret)) = signing(token, ctx.now) {
            wanted.insert(format!("{SIGNATURE}{id}"), sign(content, id, secret));
        }
    }
    if wanted == data {
        return Plan::because("all signatures are there");
    }
    Plan::because("signatures are missing or too many").step(Step::update(ConfigMap { data: Some(wanted), ..map.clone() }))
}

/// Id and secret of a token that may sign.
fn signing(token: &Secret, now: Timestamp) -> Option<(&str, &str)> {
    let data = |k: &str| token.data.as_ref()?.get(k).and_then(|v| std::str::from_utf8(&v.0).ok());
    let fits = token.type_.as_deref() == Some(TOKEN_TYPE)
        && token.metadata.deletion_timestamp.is_none()
        && data("usage-bootstrap-signing") == Some("true");
    let expired = data("expiration").is_some_and(|e| e.parse::<Timestamp>().map_or(true, |at| at <= now));
    if fits && !expired { data("token-id").zip(data("token-secret")) } else { None }
}

/// A detached JWS: the payload in the middle is left out.
fn sign(content: &str, id: &str, secret: &str) -> String {
    let head = base64url(format!("{{\"alg\":\"HS256\",\"kid\":\"{id}\"}}").as_bytes());
    let signed = format!("{head}.{}", base64url(content.as_bytes()));
    format!("{head}..{}", base64url(&hmac(secret.as_bytes(), signed.as_bytes())))
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |with: u8| block.map(|b| b ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            out.push(char::from(ALPHABET[(n >> (18 - 6 * i)) as usize & 63]));
        }
    }
    out
}
