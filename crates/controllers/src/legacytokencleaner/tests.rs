//! Unused tokens in virtual time.

use super::*;
use crate::harness::Harness;
use base::Clock;
use kinds::ObjectMeta;
use kinds::api::core::v1::{ObjectReference, PodSpec, SecretVolumeSource, Volume};
use testkit::build::meta;

const YEAR_S: u64 = 365 * 24 * 60 * 60;

fn harness() -> Harness {
    let h = Harness::new(&[&CONTROLLER]);
    let (home, map, key) = TRACKING;
    let since = day(h.world.clock.now()).to_string();
    h.world.given(ConfigMap { metadata: meta(home, map), data: Some([(key.to_owned(), since)].into()), ..ConfigMap::default() });
    h
}

fn token(h: &Harness, name: &str, listed: bool) {
    let listing = listed.then(|| vec![ObjectReference { name: Some(name.into()), ..ObjectReference::default() }]);
    let account = format!("{name}-account");
    h.world.given(ServiceAccount { metadata: meta("default", &account), secrets: listing, ..ServiceAccount::default() });
    let uid = h.world.get::<ServiceAccount>("default", &account).metadata.uid.clone().unwrap_or_default();
    let notes = [(ACCOUNT_NAME.to_owned(), account), (ACCOUNT_UID.to_owned(), uid)].into();
    let metadata = ObjectMeta { annotations: Some(notes), ..meta("default", name) };
    h.world.given(Secret { metadata, type_: Some(TOKEN_TYPE.into()), ..Secret::default() });
}

fn label(h: &Harness, name: &str, key: &str) -> Option<String> {
    h.world.get::<Secret>("default", name).metadata.labels.as_ref().and_then(|l| l.get(key).cloned())
}

fn names(h: &Harness) -> Vec<String> {
    h.world.all::<Secret>().iter().filter_map(|s| s.metadata.name.clone()).collect()
}

#[test]
fn an_unused_token_is_withdrawn_and_goes_a_year_later() {
    let mut h = harness();
    token(&h, "t", true);
    h.wait(YEAR_S);
    h.settle();
    assert_eq!(label(&h, "t", INVALID_SINCE), None, "the first day does not count");
    h.wait(2 * 24 * 60 * 60);
    h.settle();
    assert_eq!(label(&h, "t", INVALID_SINCE), Some(day(h.world.clock.now()).to_string()));
    h.wait(YEAR_S);
    h.settle();
    assert_eq!(names(&h), ["t"], "withdrawn for a year to the day");
    h.wait(24 * 60 * 60);
    h.settle();
    assert!(names(&h).is_empty());
}

#[test]
fn used_named_and_made_ones_stay() {
    let mut h = harness();
    for (name, listed) in [("used", true), ("mounted", true), ("made", false), ("odd", true), ("unused", true)] {
        token(&h, name, listed);
    }
    let volume = Volume { name: "v".into(), secret: Some(SecretVolumeSource { secret_name: Some("mounted".into()), ..SecretVolumeSource::default() }), ..Volume::default() };
    let spec = PodSpec { volumes: Some(vec![volume]), ..PodSpec::default() };
    h.world.given(Pod { metadata: meta("default", "p"), spec: Some(spec), ..Pod::default() });
    h.wait(YEAR_S + 2 * 24 * 60 * 60);
    let today = day(h.world.clock.now()).to_string();
    for (name, used) in [("used", today.as_str()), ("odd", "yesterday")] {
        h.world.edit::<Secret>("default", name, |s| {
            s.metadata.labels.get_or_insert_default().insert(LAST_USED.to_owned(), used.to_owned());
        });
    }
    h.settle();
    let withdrawn: Vec<String> = names(&h).into_iter().filter(|n| label(&h, n, INVALID_SINCE).is_some()).collect();
    assert_eq!(withdrawn, ["unused"]);
}

#[test]
fn nothing_happens_before_uses_are_noted() {
    let mut h = Harness::new(&[&CONTROLLER]);
    token(&h, "t", true);
    h.wait(3 * YEAR_S);
    h.settle();
    assert_eq!(label(&h, "t", INVALID_SINCE), None);
}

#[test]
fn the_period_is_a_flag() {
    let mut h = harness();
    h.config.legacy_token_period = Duration::from_secs(60);
    token(&h, "t", true);
    h.wait(2 * 24 * 60 * 60);
    h.settle();
    assert!(label(&h, "t", INVALID_SINCE).is_some());
    h.wait(2 * 24 * 60 * 60);
    h.settle();
    assert!(names(&h).is_empty());
}
