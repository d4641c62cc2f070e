//! The flow schemas and priority levels of one moment, made ready: schemas in the order of precedence, each tied to its
//! level's queues. Levels live on from plan to plan, so that what runs and waits in them stays.

use super::meters::{FlowMeters, Meters};
use super::seats::{Running, Waiter};
use http::HeaderValue;
use kinds::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use parking_lot::Mutex;
use rules::fairness::{self, Asked, Demand, Lender, LevelConfig, Queuing, Schema};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

/// A priority level with its queues.
pub(super) struct Level {
    pub(super) name: String,
    pub(super) exempt: bool,
    pub(super) core: Mutex<fairness::Level<Waiter>>,
    pub(super) running: Mutex<Running>,
    /// Seats that one request may take.
    pub(super) widest: AtomicU32,
    pub(super) lender: Mutex<Lender>,
    pub(super) dispatched: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) timed_out: AtomicU64,
    /// Whether someone looks after the level by time already.
    pub(super) alarmed: AtomicBool,
}

/// A flow schema tied to its level.
pub(super) struct Flow {
    pub(super) schema: Schema,
    pub(super) level: Arc<Level>,
    pub(super) schema_uid: HeaderValue,
    pub(super) level_uid: HeaderValue,
    pub(super) meters: FlowMeters,
}

/// All of them.
pub(super) struct Plan {
    pub(super) flows: Vec<Arc<Flow>>,
    pub(super) levels: Vec<Arc<Level>>,
    total: u32,
}

impl Plan {
    /// The flow schema of the request: the first by precedence and name that matches.
    pub(super) fn classify(&self, asked: &Asked<'_>) -> &Arc<Flow> {
        let found = self.flows.iter().find(|f| f.schema.matches(asked));
        found.or(self.flows.last()).expect("the catch-all schema is always there")
    }

    /// Lends idle seats; called every adjustment period.
    pub(super) fn lend(&self, now_ns: u64, meters: &Meters) -> Vec<(Arc<Level>, Vec<(Waiter, fairness::Ticket)>)> {
        let mut lenders = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            let demand: Demand = level.core.lock().take_demand(now_ns);
            let mut lender = level.lender.lock();
            lender.observe(&demand);
            meters.demand(&level.name, &demand, &lender);
            lenders.push(*lender);
        }
        let (limits, fraction) = fairness::allot(self.total, &lenders);
        meters.fair_fraction(fraction);
        let mut woken = Vec::new();
        for (level, limit) in self.levels.iter().zip(limits) {
            let mut next = Vec::new();
            level.core.lock().set_limit(limit, now_ns, &mut next);
            meters.limit(&level.name, limit);
            woken.push((Arc::clone(level), next));
        }
        woken
    }
}

/// Builds a plan; levels of the same name are taken over from `before`.
pub(super) fn build(
    schemas: &[Arc<FlowSchema>],
    levels: &[Arc<PriorityLevelConfiguration>],
    before: Option<&Plan>,
    total: u32,
    meters: &Meters,
    now_ns: u64,
) -> Plan {
    let (mut schemas, mut levels) = (schemas.to_vec(), levels.to_vec());
    mandatory(&mut schemas, &mut levels);
    let shares: Vec<u32> = levels.iter().map(|l| shares(l)).collect();
    let nominal = fairness::nominal(total, &shares);
    let made: Vec<(Arc<Level>, HeaderValue)> = levels
        .iter()
        .zip(nominal)
        .map(|(object, nominal)| (level(object, nominal, before, total, meters, now_ns), uid(object.metadata.uid.as_deref())))
        .collect();
    let mut flows: Vec<Arc<Flow>> = schemas.iter().filter_map(|s| flow(s, &made, meters)).map(Arc::new).collect();
    flows.sort_by(|a, b| (a.schema.precedence, &a.schema.name).cmp(&(b.schema.precedence, &b.schema.name)));
    Plan { flows, levels: made.into_iter().map(|(l, _)| l).collect(), total }
}

fn uid(text: Option<&str>) -> HeaderValue {
    text.and_then(|t| HeaderValue::from_str(t).ok()).unwrap_or(HeaderValue::from_static(""))
}

/// The two schemas and levels without which no request could be placed stand in until the cluster has its own.
fn mandatory(schemas: &mut Vec<Arc<FlowSchema>>, levels: &mut Vec<Arc<PriorityLevelConfiguration>>) {
    for object in registry::bootstrap::flow_objects() {
        let name = object.meta().name.clone();
        if !matches!(name.as_deref(), Some("exempt" | "catch-all")) {
            continue;
        }
        if let Some(s) = object.typed::<FlowSchema>().filter(|_| !schemas.iter().any(|s| s.metadata.name == name)) {
            schemas.push(Arc::clone(s));
        }
        if let Some(l) = object.typed::<PriorityLevelConfiguration>().filter(|_| !levels.iter().any(|l| l.metadata.name == name)) {
            levels.push(Arc::clone(l));
        }
    }
}

fn shares(l: &PriorityLevelConfiguration) -> u32 {
    let spec = l.spec.as_ref();
    let given = match spec.and_then(|s| s.limited.as_ref()) {
        Some(limited) => limited.nominal_concurrency_shares.unwrap_or(30),
        None => spec.and_then(|s| s.exempt.as_ref()).and_then(|e| e.nominal_concurrency_shares).unwrap_or(0),
    };
    u32::try_from(given).unwrap_or(0)
}

fn level(
    object: &PriorityLevelConfiguration,
    nominal: u32,
    before: Option<&Plan>,
    total: u32,
    meters: &Meters,
    now_ns: u64,
) -> Arc<Level> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let spec = object.spec.clone().unwrap_or_default();
    let exempt = spec.type_ == "Exempt";
    let limited = spec.limited.unwrap_or_default();
    let queuing = limited.limit_response.filter(|r| r.type_ == "Queue").map(|r| {
        let q = r.queuing.unwrap_or_default();
        let number = |n: Option<i32>, default| n.and_then(|n| u32::try_from(n).ok()).unwrap_or(default);
        Queuing { queues: number(q.queues, 64), hand: number(q.hand_size, 8), length_max: number(q.queue_length_limit, 50) }
    });
    let config = LevelConfig { exempt, queuing };
    let lendable = limited.lendable_percent.or(spec.exempt.and_then(|e| e.lendable_percent)).unwrap_or(0);
    let (min, max) = fairness::bounds(nominal, lendable, limited.borrowing_limit_percent, total);
    meters.bounds(&name, nominal, min, max);
    let known = before.and_then(|b| b.levels.iter().find(|l| l.name == name && l.exempt == exempt));
    let level = match known {
        Some(level) => {
            level.core.lock().configure(config);
            Arc::clone(level)
        }
        None => Arc::new(Level {
            name,
            exempt,
            core: Mutex::new(fairness::Level::new(config, nominal, now_ns)),
            widest: AtomicU32::new(1),
            running: Mutex::default(),
            lender: Mutex::new(Lender::default()),
            dispatched: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            alarmed: AtomicBool::new(false),
        }),
    };
    level.widest.store(fairness::seats_max(nominal), std::sync::atomic::Ordering::Relaxed);
    let mut lender = level.lender.lock();
    *lender = Lender { nominal, min, max, ..*lender };
    drop(lender);
    level
}

/// `None`: its level does not exist ("dangling"), so it matches nothing.
fn flow(object: &FlowSchema, levels: &[(Arc<Level>, HeaderValue)], meters: &Meters) -> Option<Flow> {
    let schema = Schema::new(object);
    let (level, level_uid) = levels.iter().find(|(l, _)| l.name == schema.level)?;
    Some(Flow {
        schema_uid: uid(object.metadata.uid.as_deref()),
        level_uid: level_uid.clone(),
        meters: meters.flow(&schema.name, &level.name),
        level: Arc::clone(level),
        schema,
    })
}
