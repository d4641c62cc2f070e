//! The metrics of priority and fairness, under Kubernetes' names. A flow's own are looked up once, when its plan is made.

use base::metrics::{Counter, Family, Gauge, Histogram, Registry};
use rules::fairness::{Demand, Lender, Work};
use std::sync::Arc;

const SECONDS: &[f64] = &[0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0];
const SEATS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0];
const FLOW: &[&str] = &["flow_schema", "priority_level"];
const LEVEL: &[&str] = &["priority_level"];

/// All families.
pub(super) struct Meters {
    dispatched: Arc<Family<Counter>>,
    rejected: Arc<Family<Counter>>,
    executing: Arc<Family<Gauge>>,
    executing_seats: Arc<Family<Gauge>>,
    in_queue: Arc<Family<Gauge>>,
    waited: Arc<Family<Histogram>>,
    executed: Arc<Family<Histogram>>,
    estimated: Arc<Family<Histogram>>,
    nominal: Arc<Family<Gauge>>,
    lower: Arc<Family<Gauge>>,
    upper: Arc<Family<Gauge>>,
    current: Arc<Family<Gauge>>,
    target: Arc<Family<Gauge>>,
    average: Arc<Family<Gauge>>,
    deviation: Arc<Family<Gauge>>,
    high: Arc<Family<Gauge>>,
    smoothed: Arc<Family<Gauge>>,
    fraction: Arc<Family<Gauge>>,
}

impl Meters {
    pub(super) fn new(r: &Registry) -> Self {
        Self {
            dispatched: r.counter("apiserver_flowcontrol_dispatched_requests_total", "Number of requests executed by API Priority and Fairness subsystem", FLOW),
            rejected: r.counter("apiserver_flowcontrol_rejected_requests_total", "Number of requests rejected by API Priority and Fairness subsystem", &["flow_schema", "priority_level", "reason"]),
            executing: r.gauge("apiserver_flowcontrol_current_executing_requests", "Number of requests in initial (for a WATCH) or any (for a non-WATCH) execution stage", FLOW),
            executing_seats: r.gauge("apiserver_flowcontrol_current_executing_seats", "Seats occupied by executing requests", FLOW),
            in_queue: r.gauge("apiserver_flowcontrol_current_inqueue_requests", "Number of requests waiting in queues", FLOW),
            waited: r.histogram("apiserver_flowcontrol_request_wait_duration_seconds", "Length of time a request spent waiting in its queue", &["execute", "flow_schema", "priority_level"], SECONDS),
            executed: r.histogram("apiserver_flowcontrol_request_execution_seconds", "Duration of initial stage (for a WATCH) or any (for a non-WATCH) stage of request execution", &["flow_schema", "priority_level", "type"], SECONDS),
            estimated: r.histogram("apiserver_flowcontrol_work_estimated_seats", "Number of estimated seats (maximum of initial and final seats) associated with requests", FLOW, SEATS),
            nominal: r.gauge("apiserver_flowcontrol_nominal_limit_seats", "Nominal number of execution seats configured for each priority level", LEVEL),
            lower: r.gauge("apiserver_flowcontrol_lower_limit_seats", "Configured lower bound on number of execution seats available to each priority level", LEVEL),
            upper: r.gauge("apiserver_flowcontrol_upper_limit_seats", "Configured upper bound on number of execution seats available to each priority level", LEVEL),
            current: r.gauge("apiserver_flowcontrol_current_limit_seats", "Current derived number of execution seats available to each priority level", LEVEL),
            target: r.gauge("apiserver_flowcontrol_target_seats", "Seat allocation targets", LEVEL),
            average: r.gauge("apiserver_flowcontrol_demand_seats_average", "Time-weighted average, over last adjustment period, of demand_seats", LEVEL),
            deviation: r.gauge("apiserver_flowcontrol_demand_seats_stdev", "Time-weighted standard deviation, over last adjustment period, of demand_seats", LEVEL),
            high: r.gauge("apiserver_flowcontrol_demand_seats_high_watermark", "High watermark, over last adjustment period, of demand_seats", LEVEL),
            smoothed: r.gauge("apiserver_flowcontrol_demand_seats_smoothed", "Smoothed seat demands", LEVEL),
            fraction: r.gauge("apiserver_flowcontrol_seat_fair_frac", "Fair fraction of server's concurrency to allocate to each priority level that can use it", &[]),
        }
    }

    pub(super) fn flow(&self, schema: &str, level: &str) -> FlowMeters {
        let rejected = ["queue-full", "concurrency-limit", "time-out", "cancelled"];
        FlowMeters {
            dispatched: self.dispatched.with(&[schema, level]),
            rejected: rejected.map(|reason| (reason, Lazy { family: Arc::clone(&self.rejected), schema: schema.to_owned(), level: level.to_owned() })),
            executing: self.executing.with(&[schema, level]),
            executing_seats: self.executing_seats.with(&[schema, level]),
            in_queue: self.in_queue.with(&[schema, level]),
            waited: [self.waited.with(&["false", schema, level]), self.waited.with(&["true", schema, level])],
            executed: [self.executed.with(&[schema, level, "regular"]), self.executed.with(&[schema, level, "watch"])],
            estimated: self.estimated.with(&[schema, level]),
        }
    }

    pub(super) fn bounds(&self, level: &str, nominal: u32, min: u32, max: u32) {
        self.nominal.with(&[level]).set(f64::from(nominal));
        self.lower.with(&[level]).set(f64::from(min));
        self.upper.with(&[level]).set(f64::from(max));
    }

    pub(super) fn limit(&self, level: &str, limit: u32) {
        self.current.with(&[level]).set(f64::from(limit));
    }

    pub(super) fn demand(&self, level: &str, d: &Demand, lender: &Lender) {
        self.average.with(&[level]).set(d.average);
        self.deviation.with(&[level]).set(d.deviation);
        self.high.with(&[level]).set(d.high);
        self.smoothed.with(&[level]).set(lender.smoothed);
        self.target.with(&[level]).set(lender.target());
    }

    pub(super) fn fair_fraction(&self, fraction: f64) {
        self.fraction.with(&[]).set(fraction);
    }
}

struct Lazy {
    family: Arc<Family<Counter>>,
    schema: String,
    level: String,
}

/// The metrics of one flow schema.
pub(super) struct FlowMeters {
    dispatched: Arc<Counter>,
    rejected: [(&'static str, Lazy); 4],
    executing: Arc<Gauge>,
    executing_seats: Arc<Gauge>,
    in_queue: Arc<Gauge>,
    waited: [Arc<Histogram>; 2],
    executed: [Arc<Histogram>; 2],
    estimated: Arc<Histogram>,
}

impl FlowMeters {
    pub(super) fn arrived(&self, work: Work) {
        self.estimated.observe(f64::from(work.widest()));
    }

    pub(super) fn began(&self, work: Work, waited_s: f64) {
        self.dispatched.inc();
        self.executing.add(1.0);
        self.executing_seats.add(f64::from(work.seats));
        self.waited(true, waited_s);
    }

    pub(super) fn ended(&self, work: Work, took_ns: u64, watch: bool) {
        self.executing.add(-1.0);
        self.executing_seats.add(-f64::from(work.seats));
        self.executed[usize::from(watch)].observe(took_ns as f64 / 1e9);
    }

    pub(super) fn queued(&self, delta: f64) {
        self.in_queue.add(delta);
    }

    pub(super) fn waited(&self, execute: bool, seconds: f64) {
        self.waited[usize::from(execute)].observe(seconds);
    }

    pub(super) fn rejected(&self, reason: &str) {
        if let Some((reason, lazy)) = self.rejected.iter().find(|(r, _)| *r == reason) {
            lazy.family.with(&[&lazy.schema, &lazy.level, reason]).inc();
        }
    }
}
