//! Tables and laws of `queue`.

use super::*;
use crate::kit::{at, pod};
use crate::reason::{NodeRefusal, Refusal};

fn named(name: &str, priority: i32) -> Arc<PodInfo> {
    pod(&format!("metadata: {{name: {name}}}\nspec: {{priority: {priority}, containers: [{{name: c}}]}}"))
}

fn why(plugin: &'static str) -> Arc<Unschedulable> {
    let nodes = vec![NodeRefusal { node: "n1".into(), why: Refusal::resolvable(plugin, "no") }];
    Arc::new(Unschedulable { total: 1, nodes, ..Unschedulable::default() })
}

fn pop(q: &mut Queue, s: i64) -> Option<String> {
    q.pop(at(s)).map(|w| w.pod.key.name.clone())
}

fn left() -> Event {
    Event::PodLeft(named("gone", 0))
}

#[test]
fn the_important_go_first_and_then_the_oldest() {
    let mut q = Queue::default();
    for (name, priority, s) in [("a", 0, 0), ("b", 5, 1), ("c", 0, 2), ("d", 5, 3)] {
        q.add(named(name, priority), None, at(s));
    }
    let order: Vec<_> = std::iter::from_fn(|| pop(&mut q, 4)).collect();
    assert_eq!(order, ["b", "d", "a", "c"]);
    assert_eq!(q.depths(), Depths::default());
    assert_eq!(q.iter().count(), 4, "all are in flight");
}

#[test]
fn gated_pods_wait_for_their_gates() {
    let mut q = Queue::default();
    q.add(named("a", 0), Some("SchedulingGates"), at(0));
    assert_eq!((pop(&mut q, 600), q.depths().gated), (None, 1));
    q.hear(&left(), |_, _| true, at(601));
    assert_eq!(pop(&mut q, 602), None);
    q.update(named("a", 0), None, |_| false, at(603));
    assert_eq!(pop(&mut q, 603).as_deref(), Some("a"));
}

#[test]
fn only_events_that_help_wake_the_stuck() {
    let mut q = Queue::default();
    q.add(named("a", 0), None, at(0));
    assert_eq!(pop(&mut q, 0).as_deref(), Some("a"));
    q.refused(&ObjectKey::new("default", "a"), why("NodeResourcesFit"), at(0));
    assert_eq!((pop(&mut q, 1), q.next_wake()), (None, Some(at(300))));
    q.hear(&left(), |_, plugin| plugin == "NodePorts", at(1));
    assert_eq!(q.depths().unschedulable, 1);
    q.update(named("a", 0), None, |_| false, at(1));
    assert_eq!(q.depths().unschedulable, 1, "its own status is no help");
    q.hear(&left(), |_, plugin| plugin == "NodeResourcesFit", at(2));
    assert_eq!((q.depths().active, pop(&mut q, 2).as_deref()), (1, Some("a")));
}

#[test]
fn whoever_was_just_refused_backs_off_while_others_are_active() {
    let mut q = Queue::default();
    q.add(named("a", 0), None, at(0));
    pop(&mut q, 0);
    q.refused(&ObjectKey::new("default", "a"), why("NodeResourcesFit"), at(0));
    q.add(named("b", 0), None, at(0));
    q.hear(&left(), |_, _| true, at(0));
    assert_eq!((q.depths().backoff, q.depths().active), (1, 1));
    assert_eq!(pop(&mut q, 0).as_deref(), Some("b"));
    assert_eq!(pop(&mut q, 0).as_deref(), Some("a"), "nobody else is active: no need to wait");
}

#[test]
fn errors_back_off_longer_and_longer() {
    let mut q = Queue::default();
    let key = ObjectKey::new("default", "a");
    q.add(named("a", 0), None, at(0));
    let mut now = 0;
    for delay in [1, 2, 4, 8, 10, 10] {
        assert_eq!(pop(&mut q, now).as_deref(), Some("a"));
        q.failed(&key, at(now));
        assert_eq!((pop(&mut q, now + delay - 1), q.next_wake()), (None, Some(at(now + delay))));
        now += delay;
    }
    q.pop(at(now));
    q.refused(&key, why("x"), at(now));
    assert_eq!(q.get(&key).map(|w| w.errors), Some(0), "errors in a row");
}

#[test]
fn nobody_waits_for_an_event_forever() {
    let mut q = Queue::default();
    q.add(named("a", 0), None, at(0));
    pop(&mut q, 0);
    q.refused(&ObjectKey::new("default", "a"), why("x"), at(0));
    assert_eq!(pop(&mut q, 299), None);
    let w = q.pop(at(300)).expect("flushed");
    assert!(w.flushed && w.attempts == 2);
}

#[test]
fn help_that_comes_during_an_eviction_is_not_missed() {
    let mut q = Queue::default();
    let (a, key) = (named("a", 0), ObjectKey::new("default", "a"));
    q.add(Arc::clone(&a), None, at(0));
    for helped in [false, true] {
        q.pop(at(0));
        q.hold(&a, why("NodeResourcesFit"));
        q.update(Arc::clone(&a), None, |_| true, at(0));
        if helped {
            q.hear(&left(), |_, _| true, at(0));
        }
        assert_eq!(pop(&mut q, 0), None, "it is in flight");
        q.unhold(&key, at(0));
        assert_eq!((q.depths().unschedulable, q.is_ready()), (usize::from(!helped), helped));
        q.hear(&left(), |_, _| true, at(0));
    }
}

#[test]
fn removed_pods_are_gone_from_wherever_they_were() {
    let mut q = Queue::default();
    for (n, place) in ["active", "stuck", "errors", "flight"].into_iter().enumerate() {
        q.add(named(place, i32::try_from(n).expect("small")), None, at(0));
    }
    for (name, key) in [("flight", "flight"), ("errors", "errors"), ("stuck", "stuck")] {
        assert_eq!(pop(&mut q, 0).as_deref(), Some(name));
        let key = ObjectKey::new("default", key);
        match name {
            "errors" => q.failed(&key, at(0)),
            "stuck" => q.refused(&key, why("x"), at(0)),
            _ => {}
        }
    }
    for name in ["active", "stuck", "errors", "flight"] {
        assert!(q.remove(&ObjectKey::new("default", name)).is_some());
    }
    assert_eq!((q.depths(), q.next_wake(), q.iter().count()), (Depths::default(), None, 0));
}
