//! Events counted, combined and throttled.

use super::*;
use jiff::Timestamp;
use kinds::api::core::v1::ObjectReference;

fn event(message: &str) -> Event {
    let about = ObjectReference {
        kind: Some("Pod".into()),
        namespace: Some("default".into()),
        name: Some("web".into()),
        uid: Some("u".into()),
        ..ObjectReference::default()
    };
    Event::normal(about, "Pulled", message)
}

fn at(s: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + s).expect("a time")
}

#[test]
fn repeats_are_counted_under_one_name() {
    let mut c = Correlator::default();
    let first = c.correlate("kubelet", &event("a"), at(0)).expect("told");
    let again = c.correlate("kubelet", &event("a"), at(5)).expect("told");
    assert!(first.first && !again.first);
    assert_eq!(first.event.metadata.name, again.event.metadata.name);
    assert_eq!((again.event.count, again.event.first_timestamp), (Some(2), first.event.last_timestamp));
    assert!(c.correlate("other", &event("a"), at(5)).expect("told").first, "another source");
}

#[test]
fn floods_are_combined_and_then_throttled() {
    let mut c = Correlator::default();
    let mut told: Vec<Told> = (0..40).filter_map(|n| c.correlate("kubelet", &event(&format!("m{n}")), at(0))).collect();
    assert_eq!(told.len(), 25, "the burst");
    let last = told.pop().expect("some").event;
    assert_eq!(last.message.as_deref(), Some("(combined from similar events): m24"));
    assert_eq!(last.count, Some(16));
    assert!(c.correlate("kubelet", &event("late"), at(301)).is_some(), "one more after five minutes");
    assert!(c.correlate("kubelet", &event("late2"), at(301)).is_none());
}
