//! Cleaner of legacy tokens: Secrets that were once made for every service account and that nobody has used for a long time
//! are withdrawn first, by a label, and go when they were withdrawn for as long.
//!
//! KEP-2799; docs: "Managing Service Accounts: Legacy ServiceAccount token cleaner".
//!
//! ```text
//!   unused for the period ──label invalid-since──> withdrawn ──the period again──> deleted
//!                                                     └── an administrator takes the label off: good again
//! ```
//! Laws: 1. nothing is touched before uses were noted for a whole period. 2. only tokens that their account lists are ours:
//! those that people made stay. 3. what a pod names stays.

mod uses;

#[cfg(test)]
mod tests;

use crate::controller::{Controller, Ctx, Subject, Watches};
use crate::plan::{Plan, Step};
use cache::{Change, Snapshot};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use kinds::api::core::v1::{ConfigMap, Pod, Secret, ServiceAccount};
use kinds::{Kind, ObjectKey, Patch, PatchKind, Target};
use serde_json::json;
use std::time::Duration;

/// How long a token is unused before it is withdrawn, and withdrawn before it goes; unless a flag says otherwise.
pub const PERIOD: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How often each is looked at: the labels have days.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";
/// Where the API server tells since when it has been noting uses.
const TRACKING: (&str, &str, &str) = ("kube-system", "kube-apiserver-legacy-service-account-token-tracking", "since");

/// The cleaner of legacy tokens.
pub const CONTROLLER: Controller = Controller {
    name: "legacy_service_account_token_cleaner",
    account: "legacy-service-account-token-cleaner",
    component: "legacy-service-account-token-cleaner",
    watches: Watches::Kinds(&[Kind::Secret]),
    wakes: |change: &Change, s| {
        let key = change.key();
        let secret = (change.resource == Kind::Secret.into()).then(|| s.find::<Secret>(key)).flatten();
        secret.filter(|x| is_token(x)).map(|x| Subject::of(&**x)).into_iter().collect()
    },
    subjects: |s| s.list::<Secret>("").filter(|x| is_token(x)).map(|x| Subject::of(&**x)).collect(),
    plan: |s: &Snapshot, subject, ctx| {
        let secret = s.find::<Secret>(&subject.key).filter(|x| is_token(x))?;
        Some(decide(secret, &observe(s, secret), ctx).again(Some(EVERY)))
    },
};

fn is_token(secret: &Secret) -> bool {
    secret.type_.as_deref() == Some(TOKEN_TYPE)
}

/// What a decision depends on beside the secret.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The day since which uses are noted.
    pub tracked_since: Option<Date>,
    /// Whether the token's account lists it.
    pub listed: bool,
    /// Whether a pod names it.
    pub mounted: bool,
}

/// Gathers that.
#[must_use]
pub fn observe(s: &Snapshot, secret: &Secret) -> Seen {
    let namespace = secret.metadata.namespace.as_deref().unwrap_or_default();
    let name = secret.metadata.name.as_deref().unwrap_or_default();
    let noted = |key: &str| secret.metadata.annotations.as_ref().and_then(|a| a.get(key)).map(String::as_str).filter(|v| !v.is_empty());
    let account = noted(ACCOUNT_NAME).and_then(|account| s.get::<ServiceAccount>(namespace, account));
    let same = account.filter(|a| noted(ACCOUNT_UID).is_none_or(|uid| a.metadata.uid.as_deref() == Some(uid)));
    let (home, map, key) = TRACKING;
    let since = s.get::<ConfigMap>(home, map).and_then(|m| m.data.as_ref()?.get(key)?.parse().ok());
    Seen {
        tracked_since: since,
        listed: same.is_some_and(|a| a.secrets.iter().flatten().any(|r| r.name.as_deref() == Some(name))),
        mounted: s.list::<Pod>(namespace).any(|pod| uses::names(pod, name)),
    }
}

/// What is to be done for one token.
#[must_use]
pub fn decide(secret: &Secret, seen: &Seen, ctx: &Ctx) -> Plan {
    let period = SignedDuration::try_from(ctx.config.legacy_token_period).unwrap_or(SignedDuration::MAX);
    let Some(since) = seen.tracked_since else { return Plan::because("nobody notes uses") };
    // The day on which that began may have been half over.
    let whole = midnight(since).checked_add(DAY).and_then(|t| t.checked_add(period));
    if whole.is_ok_and(|t| ctx.now < t) {
        return Plan::because("uses have not been noted for long enough");
    }
    let Ok(oldest) = ctx.now.checked_sub(period) else { return Plan::because("the period reaches behind the beginning of time") };
    let label = |key: &str| secret.metadata.labels.as_ref().and_then(|l| l.get(key));
    let kept_since = day(oldest);
    if secret.metadata.creation_timestamp.as_ref().is_none_or(|t| t.0 >= oldest) || secret.metadata.deletion_timestamp.is_some() {
        return Plan::because("it is young, or on its way out");
    }
    match label(LAST_USED).map(|used| used.parse::<Date>()) {
        Some(Err(_)) => return Plan::because("its last use cannot be read"),
        Some(Ok(used)) if used >= kept_since => return Plan::because("it was used"),
        _ => {}
    }
    if !seen.listed {
        return Plan::because("its account does not list it, so somebody made it");
    }
    if seen.mounted {
        return Plan::because("a pod names it");
    }
    match label(INVALID_SINCE).and_then(|l| l.parse::<Date>().ok()) {
        None => Plan::because("it is unused").step(withdraw(secret, day(ctx.now))),
        Some(withdrawn) if withdrawn >= kept_since => Plan::because("it was withdrawn not long ago"),
        Some(_) => Plan::because("it was withdrawn long ago")
            .step(Step::delete_typed(secret).at(secret.metadata.resource_version.as_ref())),
    }
}

fn withdraw(secret: &Secret, today: Date) -> Step {
    let body = json!({ "metadata": { "uid": secret.metadata.uid, "labels": { INVALID_SINCE: today.to_string() } } });
    let target = Target::new(Kind::Secret, ObjectKey::of(&secret.metadata));
    Step { lenient: true, ..Step::patch(target, Patch { kind: PatchKind::Merge, body: body.to_string().into_bytes() }) }
}

/// The day of an instant, in UTC.
fn day(at: Timestamp) -> Date {
    at.to_zoned(jiff::tz::TimeZone::UTC).date()
}

fn midnight(day: Date) -> Timestamp {
    day.to_zoned(jiff::tz::TimeZone::UTC).map_or(Timestamp::MAX, |z| z.timestamp())
}
