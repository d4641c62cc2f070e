//! Token cleaner: bootstrap tokens go when they expire.
//!
//! Docs: "Authenticating with Bootstrap Tokens: bootstrap token secret format".

#[cfg(test)]
mod tests;

use crate::controller::{Controller, Ctx, Subject, Watches, itself};
use crate::plan::{Plan, Step};
use cache::{Change, Snapshot};
use jiff::Timestamp;
use kinds::Kind;
use kinds::api::core::v1::Secret;
use std::time::Duration;

const NAMESPACE: &str = "kube-system";
const TOKEN_TYPE: &str = "bootstrap.kubernetes.io/token";
const EXPIRATION: &str = "expiration";

/// The token cleaner.
pub const CONTROLLER: Controller = Controller {
    name: "token_cleaner",
    account: "token-cleaner",
    component: "token-cleaner",
    watches: Watches::Kinds(&[Kind::Secret]),
    wakes: |change: &Change, _| itself(change, Kind::Secret).filter(|s| s.key.namespace == NAMESPACE).into_iter().collect(),
    subjects: |s| s.list::<Secret>(NAMESPACE).map(|x| Subject::of(&**x)).collect(),
    plan: |s: &Snapshot, subject, ctx| Some(decide(s.find::<Secret>(&subject.key)?, ctx)),
};

/// What is to be done for one secret.
#[must_use]
pub fn decide(secret: &Secret, ctx: &Ctx) -> Plan {
    if secret.type_.as_deref() != Some(TOKEN_TYPE) {
        return Plan::because("it is no bootstrap token");
    }
    let text = secret.data.as_ref().and_then(|d| d.get(EXPIRATION)).and_then(|v| std::str::from_utf8(&v.0).ok());
    let Some(at) = text.and_then(|t| t.parse::<Timestamp>().ok()) else {
        // No expiration never expires; one that cannot be read is refused where tokens are checked.
        return Plan::because("it does not expire");
    };
    match Duration::try_from(at.duration_since(ctx.now)) {
        Ok(left) if !left.is_zero() => Plan::because("it has not expired").again(Some(left)),
        _ => Plan::because("it has expired").step(Step::delete_typed(secret)),
    }
}
