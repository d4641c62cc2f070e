//! Fair queuing under virtual time: laws after every step, and the promises that users rely on.

use super::*;
use crate::context::User;
use kinds::api::flowcontrol::v1::FlowSchema;

const MS: u64 = 1_000_000;

fn queuing(queues: u32, hand: u32, length_max: u32) -> LevelConfig {
    LevelConfig { exempt: false, queuing: Some(Queuing { queues, hand, length_max }) }
}

fn seats(n: u32) -> Work {
    Work { seats: n, ..Work::ONE }
}

#[test]
fn hands_are_distinct_and_every_queue_is_dealt() {
    for (deck, hand) in [(128, 6), (64, 6), (16, 4), (8, 8), (1, 1), (5, 9)] {
        let dealer = Dealer::new(deck, hand);
        let mut seen = std::collections::BTreeSet::new();
        for i in 0..4000_u64 {
            let mut cards = Vec::new();
            dealer.deal(i.wrapping_mul(0x9e37_79b9_7f4a_7c15), |c| cards.push(c));
            assert_eq!(cards.len(), hand.min(deck) as usize);
            let set: std::collections::BTreeSet<_> = cards.iter().copied().collect();
            assert_eq!(set.len(), cards.len(), "{cards:?}");
            assert!(cards.iter().all(|c| *c < deck));
            seen.extend(set);
        }
        assert_eq!(seen.len(), deck as usize);
    }
}

/// A flood of one flow does not keep another flow's only request waiting behind it.
#[test]
fn a_flood_does_not_delay_a_small_flow() {
    let mut level = Level::<&str>::new(queuing(128, 6, 50), 2, 0);
    let mut running = Vec::new();
    for _ in 0..302 {
        match level.begin(0, 7, Work::ONE, |_| "flood") {
            Begun::Runs(t) => running.push(t),
            Begun::Waits(_) | Begun::Refused(Refusal::QueueFull) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(running.len(), 2);
    assert!(matches!(level.begin(MS, 8, Work::ONE, |_| "small"), Begun::Waits(_)));
    let mut now = MS;
    let mut rounds = 0;
    loop {
        now += 10 * MS;
        let mut out = Vec::new();
        level.finish(&running.remove(0), now, &mut out);
        level.audit().expect("counts hold");
        rounds += 1;
        running.extend(out.iter().map(|(_, t)| *t));
        if out.iter().any(|(w, _)| *w == "small") {
            break;
        }
        assert!(rounds < 16, "the small flow must not wait behind the flood");
    }
}

/// Two flows with unequal demand but enough of it share the seats evenly.
#[test]
fn busy_flows_share_evenly() {
    let mut level = Level::<u32>::new(queuing(64, 1, 500), 4, 0);
    let mut running: Vec<(u32, Ticket, u64)> = Vec::new();
    let mut served = [0_u32; 2];
    let mut now = 0;
    let ends = |flow: u32, now: u64| now + if flow == 0 { 20 * MS } else { 5 * MS };
    for flow in [0_u32, 1] {
        for _ in 0..400 {
            if let Begun::Runs(t) = level.begin(now, u64::from(flow) + 1, Work::ONE, |_| flow) {
                running.push((flow, t, ends(flow, now)));
            }
        }
    }
    let mut time = [0_u64; 2];
    for _ in 0..400 {
        running.sort_by_key(|r| r.2);
        let (flow, ticket, end) = running.remove(0);
        now = end;
        served[flow as usize] += 1;
        time[flow as usize] += end - ticket.started_ns();
        let mut out = Vec::new();
        level.finish(&ticket, now, &mut out);
        level.audit().expect("counts hold");
        running.extend(out.into_iter().map(|(f, t)| (f, t, ends(f, now))));
    }
    let ratio = time[0] as f64 / time[1] as f64;
    assert!((0.75..1.34).contains(&ratio), "seat time {time:?}, served {served:?}");
}

#[test]
fn wide_requests_limits_and_refusals() {
    let mut level = Level::<()>::new(LevelConfig { exempt: false, queuing: None }, 3, 0);
    let Begun::Runs(first) = level.begin(0, 1, seats(2), |_| ()) else { panic!("fits") };
    assert_eq!(level.begin(0, 1, seats(2), |_| ()), Begun::Refused(Refusal::ConcurrencyLimit));
    level.finish(&first, MS, &mut Vec::new());
    // Wider than the whole level: alone.
    let Begun::Runs(wide) = level.begin(MS, 1, seats(9), |_| ()) else { panic!("runs alone") };
    assert_eq!(level.begin(MS, 1, seats(1), |_| ()), Begun::Refused(Refusal::ConcurrencyLimit));
    level.finish(&wide, 2 * MS, &mut Vec::new());
    level.audit().expect("counts hold");
    let mut small = Level::<u64>::new(queuing(1, 1, 2), 1, 0);
    let Begun::Runs(held) = small.begin(0, 1, Work::ONE, |id| id) else { panic!("fits") };
    let Begun::Waits(a) = small.begin(0, 1, Work::ONE, |id| id) else { panic!("waits") };
    let Begun::Waits(b) = small.begin(0, 1, Work::ONE, |id| id) else { panic!("waits") };
    assert_eq!(small.begin(0, 1, Work::ONE, |id| id), Begun::Refused(Refusal::QueueFull));
    assert!(small.leave(a, MS) && !small.leave(a, MS));
    let mut out = Vec::new();
    small.finish(&held, 2 * MS, &mut out);
    assert_eq!(out.iter().map(|o| o.0).collect::<Vec<_>>(), [b]);
    small.audit().expect("counts hold");
    let mut exempt = Level::<()>::new(LevelConfig { exempt: true, queuing: None }, 0, 0);
    for _ in 0..100 {
        assert!(matches!(exempt.begin(0, 1, Work::ONE, |_| ()), Begun::Runs(_)));
    }
    exempt.audit().expect("counts hold");
}

#[test]
fn writes_hold_seats_for_their_watch_events() {
    let work = write_work(100, 10);
    assert_eq!((work.final_seats, work.extra_ns), (10, 5 * MS));
    assert_eq!(write_work(3, 10), Work::ONE);
    let mut level = Level::<()>::new(queuing(8, 2, 10), 10, 0);
    let Begun::Runs(t) = level.begin(0, 1, work, |_| ()) else { panic!("fits") };
    level.finish(&t, MS, &mut Vec::new());
    assert!(matches!(level.begin(2 * MS, 2, Work::ONE, |_| ()), Begun::Waits(_)));
    let mut out = Vec::new();
    assert_eq!(level.dispatch(3 * MS, &mut out), Some(6 * MS));
    assert!(out.is_empty());
    level.dispatch(6 * MS, &mut out);
    assert_eq!(out.len(), 1);
    level.audit().expect("counts hold");
}

#[test]
fn a_random_walk_keeps_the_counts() {
    let mut level = Level::<u64>::new(queuing(16, 4, 5), 7, 0);
    let (mut state, mut now) = (1_u64, 0);
    let mut running: Vec<Ticket> = Vec::new();
    let mut waiting = Vec::new();
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for _ in 0..20_000 {
        now += next() % (2 * MS);
        let mut out = Vec::new();
        match next() % 5 {
            0 | 1 => {
                let work = Work { seats: 1 + (next() % 9) as u32, final_seats: (next() % 3) as u32, extra_ns: next() % MS };
                match level.begin(now, next() % 40, work, |id| id) {
                    Begun::Runs(t) => running.push(t),
                    Begun::Waits(id) => waiting.push(id),
                    Begun::Refused(_) => {}
                }
            }
            2 | 3 if !running.is_empty() => {
                let at = next() as usize % running.len();
                level.finish(&running.swap_remove(at), now, &mut out);
            }
            4 if !waiting.is_empty() => {
                let at = next() as usize % waiting.len();
                level.leave(waiting.swap_remove(at), now);
            }
            _ => level.set_limit(1 + (next() % 12) as u32, now, &mut out),
        }
        waiting.retain(|id| !out.iter().any(|(w, _)| w == id));
        running.extend(out.into_iter().map(|(_, t)| t));
        level.audit().expect("counts hold");
        let stats = level.stats();
        assert_eq!((stats.waiting as usize, stats.executing as usize), (waiting.len(), running.len()));
    }
}

#[test]
fn idle_seats_are_lent() {
    let shares = [30, 40, 100, 20, 5];
    let nominal = nominal(600, &shares);
    assert_eq!(nominal, [93, 124, 308, 62, 16]);
    let total: u32 = 600;
    let lend = |i: usize, percent, smoothed: f64, high: f64| {
        let (min, max) = bounds(nominal[i], percent, None, total);
        Lender { nominal: nominal[i], min, max, high, smoothed }
    };
    let idle = [lend(0, 33, 1.0, 1.0), lend(1, 50, 0.0, 0.0), lend(2, 90, 2.0, 3.0), lend(3, 50, 400.0, 500.0), lend(4, 0, 0.0, 0.0)];
    let (limits, _) = allot(total, &idle);
    assert!(limits[3] > 300, "the busy level borrows: {limits:?}");
    assert!(limits[4] >= 16, "nothing of it may be lent");
    assert!(limits.iter().sum::<u32>().abs_diff(total) <= 5, "{limits:?}");
    let busy: Vec<Lender> = (0..5).map(|i| lend(i, 50, 900.0, 900.0)).collect();
    assert_eq!(allot(total, &busy).0, nominal, "when all are busy everyone has its nominal seats");
}

fn schema(json: serde_json::Value) -> Schema {
    let object = codec::from_value(&kinds::Kind::FlowSchema.into(), json).expect("a flow schema");
    Schema::new(object.typed::<FlowSchema>().expect("typed"))
}

#[test]
fn schemas_match_users_and_requests() {
    let row = |subjects: serde_json::Value, rules: serde_json::Value, none: serde_json::Value| {
        schema(serde_json::json!({
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": { "name": "x" },
            "spec": { "priorityLevelConfiguration": { "name": "l" }, "distinguisherMethod": { "type": "ByUser" },
                "rules": [{ "subjects": subjects, "resourceRules": rules, "nonResourceRules": none }] },
        }))
    };
    let leases = serde_json::json!([{ "apiGroups": ["coordination.k8s.io"], "namespaces": ["*"], "resources": ["leases"], "verbs": ["get", "update"] }]);
    let system = row(
        serde_json::json!([{ "kind": "ServiceAccount", "serviceAccount": { "namespace": "kube-system", "name": "*" } }]),
        leases,
        serde_json::json!([{ "nonResourceURLs": ["/healthz", "/logs/*"], "verbs": ["get"] }]),
    );
    let user = User::new("system:serviceaccount:kube-system:x", &["system:serviceaccounts"]);
    let other = User::new("system:serviceaccount:default:x", &["system:serviceaccounts"]);
    let lease = Asked {
        user: &user, verb: "update", is_resource: true, group: "coordination.k8s.io", resource: "leases", subresource: "",
        namespace: "kube-system", path: "",
    };
    assert!(system.matches(&lease));
    assert!(!system.matches(&Asked { user: &other, ..lease }));
    assert!(!system.matches(&Asked { verb: "list", ..lease }));
    assert!(!system.matches(&Asked { subresource: "status", ..lease }));
    assert!(!system.matches(&Asked { namespace: "", ..lease }), "the rule is not for the cluster's scope");
    let path = |path| Asked { is_resource: false, verb: "get", path, ..lease };
    assert!(system.matches(&path("/healthz")) && system.matches(&path("/logs/a")));
    assert!(!system.matches(&path("/healthz/ping")));
    assert_eq!(system.distinguish(&lease), user.name);
    assert_ne!(flow_hash(&system, "a"), flow_hash(&system, "b"));
}

#[test]
fn widths() {
    assert_eq!([seats_max(0), seats_max(10), seats_max(30), seats_max(600)], [1, 2, 5, 10]);
    let list = |stored, limit, bytes| list_seats(&Listing { stored, limit, object_bytes: Some(bytes), single: false }, 10);
    assert_eq!([list(0, 0, 0), list(100, 0, 1000), list(101, 0, 1000), list(100_000, 0, 10), list(100_000, 0, 100)], [1, 1, 2, 10, 10]);
    assert_eq!([list(100_000, 500, 1000), list(100_000, 1, 1000), list(3, 500, 1_000_000)], [5, 1, 10]);
    let single = |object_bytes| list_seats(&Listing { stored: 100_000, single: true, object_bytes, ..Listing::default() }, 10);
    assert_eq!([single(Some(1000)), single(Some(250_000)), single(None)], [1, 3, 1]);
    let counted = |stored, limit| list_seats(&Listing { stored, limit, ..Listing::default() }, 10);
    assert_eq!([counted(100, 0), counted(101, 0), counted(100_000, 500)], [1, 2, 10], "a limit makes the walk no shorter");
}
