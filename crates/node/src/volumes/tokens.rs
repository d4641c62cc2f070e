//! Tokens of service accounts for projected volumes: requested when missing, renewed at 80 % of their life or after a
//! day (docs: "ServiceAccount token volume projection").

use super::Ready;
use crate::hands::Hands;
use jiff::{SignedDuration, Timestamp};
use kinds::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use kinds::api::core::v1::Pod;
use kinds::{Kind, ObjectKey, Target, Typed, WriteOptions};
use parking_lot::Mutex;
use pods::plan::{Content, FileEntry};
use pods::roster;
use std::collections::BTreeMap;

/// No token is used longer, however long it lives.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(24);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    uid: String,
    audience: Option<String>,
    expiration_s: i64,
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    renew_at: Timestamp,
}

/// Tokens in use.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<BTreeMap<Key, Token>>);

impl Tokens {
    /// The file with its bytes; for tokens also when it wants to be renewed.
    pub(crate) async fn fill(&self, hands: &Hands, pod: &Pod, e: &FileEntry) -> Result<(Ready, Option<Timestamp>), String> {
        let ready = |bytes: Vec<u8>| Ready { path: e.path.clone(), bytes, mode: e.mode, uid: e.uid };
        match &e.content {
            Content::Bytes(b) => Ok((ready(b.clone()), None)),
            Content::Token { audience, expiration_s } => {
                let key = Key { uid: roster::uid(pod).to_owned(), audience: audience.clone(), expiration_s: *expiration_s };
                let token = self.get(hands, pod, key).await?;
                Ok((ready(token.text.into_bytes()), Some(token.renew_at)))
            }
        }
    }

    async fn get(&self, hands: &Hands, pod: &Pod, key: Key) -> Result<Token, String> {
        let now = hands.clock.now();
        let have = self.0.lock().get(&key).cloned();
        if let Some(t) = have.as_ref().filter(|t| t.renew_at > now) {
            return Ok(t.clone());
        }
        match request(hands, pod, &key, now).await {
            Ok(t) => {
                self.0.lock().insert(key, t.clone());
                Ok(t)
            }
            // The old one still lives for a fifth of its time.
            Err(e) => have.map(|t| Token { renew_at: now + SignedDuration::from_secs(30), ..t }).ok_or(e),
        }
    }

    /// Forgets the tokens of a pod.
    pub(crate) fn forget(&self, uid: &str) {
        self.0.lock().retain(|k, _| k.uid != uid);
    }
}

async fn request(hands: &Hands, pod: &Pod, key: &Key, now: Timestamp) -> Result<Token, String> {
    let account = roster::spec(pod).service_account_name.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| "default".into());
    let namespace = roster::namespace(pod);
    let bound = BoundObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        name: Some(roster::name(pod).to_owned()),
        uid: Some(key.uid.clone()),
    };
    let spec = TokenRequestSpec {
        audiences: key.audience.clone().map(|a| vec![a]),
        expiration_seconds: Some(key.expiration_s),
        bound_object_ref: Some(bound),
    };
    let ask = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    let target = Target::new(Kind::ServiceAccount, ObjectKey::new(namespace, &account)).sub("token");
    let answer = hands.api.create(target, ask.into(), WriteOptions::default()).await;
    let answer = answer.map_err(|e| format!("failed to fetch token: {e}"))?;
    let answer = TokenRequest::from_object(answer).map_err(|_| "failed to fetch token: unexpected answer".to_owned())?;
    let status = answer.status.clone().ok_or("failed to fetch token: empty answer")?;
    let (text, until) = status.token.zip(status.expiration_timestamp).ok_or("failed to fetch token: empty answer")?;
    let life = until.0.duration_since(now);
    let renew_at = now + (life * 4 / 5).min(AGE_MAX);
    Ok(Token { text, renew_at })
}
