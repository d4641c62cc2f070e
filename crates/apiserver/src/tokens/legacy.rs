//! Tokens that are kept in Secrets and do not expire: good while their Secret holds them and their account is the same.
//! Docs: "Managing Service Accounts: Manual Secret management for ServiceAccounts"; KEP-2799 (their use is noted).

use super::Tokens;
use cache::Snapshot;
use jiff::Timestamp;
use jsonwebtoken::Header;
use kinds::api::core::v1::{Secret, ServiceAccount};
use kinds::{ApiError, Kind, ObjectKey, Patch, PatchKind, Target, WriteOptions};
use registry::{Caller, Registry};
use rules::User;
use serde_json::json;
use serde::{Deserialize, Serialize};

const ISSUER: &str = "kubernetes/serviceaccount";
/// A label of a Secret: the day on which its token was last used.
const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    namespace: String,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name")]
    secret: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name")]
    account: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.uid")]
    uid: String,
    sub: String,
}

impl Tokens {
    /// A token for the account, to be kept in the secret.
    #[must_use]
    pub fn sign_legacy(&self, namespace: &str, account: &str, uid: &str, secret: &str) -> Option<String> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            namespace: namespace.to_owned(),
            secret: secret.to_owned(),
            account: account.to_owned(),
            uid: uid.to_owned(),
            sub: format!("system:serviceaccount:{namespace}:{account}"),
        };
        let mut header = Header::new(self.algorithm);
        header.typ = None;
        header.kid = Some(self.key_id.clone());
        jsonwebtoken::encode(&header, &claims, &self.encoding).ok()
    }

    /// The user that such a token speaks for, and the Secret if nobody noted yet that it is used today.
    #[must_use]
    pub fn verify_legacy(&self, token: &str, snapshot: &Snapshot, now: Timestamp) -> Option<(User, Option<ObjectKey>)> {
        let claims: Claims = self.signed(token)?;
        let secret = snapshot.get::<Secret>(&claims.namespace, &claims.secret)?;
        let held = secret.data.as_ref()?.get("token")?;
        let withdrawn = secret.metadata.labels.as_ref().is_some_and(|l| l.contains_key(INVALID_SINCE));
        let account = snapshot.get::<ServiceAccount>(&claims.namespace, &claims.account)?;
        let fits = claims.iss == ISSUER
            && claims.sub == format!("system:serviceaccount:{}:{}", claims.namespace, claims.account)
            && held.0 == token.as_bytes()
            && secret.metadata.deletion_timestamp.is_none()
            && !withdrawn
            && account.metadata.uid.as_deref() == Some(claims.uid.as_str());
        let today = day(now);
        let noted = secret.metadata.labels.as_ref().and_then(|l| l.get(LAST_USED)) == Some(&today);
        let user = User {
            groups: vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{}", claims.namespace)],
            name: claims.sub,
            uid: claims.uid,
            ..User::default()
        };
        fits.then(|| (user, (!noted).then(|| ObjectKey::new(claims.namespace, claims.secret))))
    }
}

/// A day as the label has it.
fn day(now: Timestamp) -> String {
    now.strftime("%Y-%m-%d").to_string()
}

/// Notes at a Secret that its token was used today.
pub(crate) async fn note_use(registry: &Registry, key: &ObjectKey, now: Timestamp) -> Result<(), ApiError> {
    let caller = Caller::new("system:apiserver", &["system:masters"]);
    let body = json!({ "metadata": { "labels": { LAST_USED: day(now) } } });
    let patch = Patch { kind: PatchKind::Merge, body: body.to_string().into_bytes() };
    registry.patch(&caller, &Target::new(Kind::Secret, key.clone()), &patch, &WriteOptions::default()).await.map(drop)
}
