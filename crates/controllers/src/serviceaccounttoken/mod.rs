//! Tokens controller: Secrets of type `kubernetes.io/service-account-token` get a token that does not expire, and go with
//! their account.
//!
//! Docs: "Managing Service Accounts: Token controller", "Manually create a long-lived API token for a ServiceAccount".
//!
//! Laws: 1. a secret whose account is gone, or is another one of the same name, goes. 2. what is filled in already stays:
//! a token is signed once. 3. without a key nothing is signed.

#[cfg(test)]
mod tests;

use crate::controller::{Controller, Ctx, Subject, Watches, itself};
use crate::plan::{Plan, Step};
use cache::{Change, Snapshot};
use kinds::api::core::v1::{Secret, ServiceAccount};
use kinds::{ByteString, Kind};

const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// The tokens controller.
pub const CONTROLLER: Controller = Controller {
    name: "serviceaccount_tokens_secret",
    account: "tokens-controller",
    component: "serviceaccount-tokens-controller",
    watches: Watches::Kinds(&[Kind::Secret, Kind::ServiceAccount]),
    wakes,
    subjects: |s| s.list::<Secret>("").filter(|x| is_ours(x)).map(|x| Subject::of(&**x)).collect(),
    plan: |s: &Snapshot, subject: &Subject, ctx| {
        let secret = s.find::<Secret>(&subject.key).filter(|x| is_ours(x))?;
        let account = s.get::<ServiceAccount>(&subject.key.namespace, note(secret, ACCOUNT_NAME).unwrap_or_default());
        Some(decide(secret, account.map(|a| &**a), ctx))
    },
};

fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    if let Some(s) = itself(change, Kind::Secret) {
        return vec![s];
    }
    let key = change.key();
    let of = |s: &&std::sync::Arc<Secret>| is_ours(s) && note(s, ACCOUNT_NAME) == Some(key.name.as_str());
    snapshot.list::<Secret>(&key.namespace).filter(of).map(|s| Subject::of(&**s)).collect()
}

fn is_ours(secret: &Secret) -> bool {
    secret.type_.as_deref() == Some(TOKEN_TYPE)
}

fn note<'a>(secret: &'a Secret, key: &str) -> Option<&'a str> {
    secret.metadata.annotations.as_ref()?.get(key).map(String::as_str).filter(|v| !v.is_empty())
}

/// What is to be done for one secret.
#[must_use]
pub fn decide(secret: &Secret, account: Option<&ServiceAccount>, ctx: &Ctx) -> Plan {
    let uid = account.and_then(|a| a.metadata.uid.as_deref());
    let (Some(account), Some(uid)) = (account, uid) else {
        return Plan::because("its account is gone").step(Step::delete_typed(secret));
    };
    if note(secret, ACCOUNT_UID).is_some_and(|u| u != uid) {
        return Plan::because("its account is another one now").step(Step::delete_typed(secret));
    }
    let mut next = secret.clone();
    next.metadata.annotations.get_or_insert_default().insert(ACCOUNT_UID.to_owned(), uid.to_owned());
    let namespace = secret.metadata.namespace.clone().unwrap_or_default();
    let data = next.data.get_or_insert_default();
    data.insert("namespace".to_owned(), ByteString(namespace.clone().into_bytes()));
    data.insert("ca.crt".to_owned(), ByteString(ctx.config.root_ca_pem.clone().into_bytes()));
    if data.get("token").is_none_or(|t| t.0.is_empty()) {
        let name = account.metadata.name.as_deref().unwrap_or_default();
        let secret = secret.metadata.name.as_deref().unwrap_or_default();
        let Some(token) = ctx.config.tokens.as_ref().and_then(|t| t.sign(&namespace, name, uid, secret)) else {
            return Plan::because("there is no key to sign with");
        };
        data.insert("token".to_owned(), ByteString(token.into_bytes()));
    }
    if next == *secret {
        return Plan::because("it is filled in");
    }
    Plan::because("something of it is missing").step(Step::update(next))
}

/// Who signs tokens that do not expire.
pub trait Signer: std::fmt::Debug + Send + Sync {
    /// A token for the account `namespace/name` with that uid, kept in that secret.
    fn sign(&self, namespace: &str, name: &str, uid: &str, secret: &str) -> Option<String>;
}
