//! The scheduler's metrics, by their Kubernetes names.

use base::metrics::{Counter, Family, Gauge, Histogram, Registry};
use jiff::Timestamp;
use scheduler::{Brain, Decision, Outcome};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const ATTEMPTS_SEPARATE_MAX: u32 = 15;

fn doubling(first: f64, n: i32) -> Vec<f64> {
    (0..n).map(|i| first * 2f64.powi(i)).collect()
}

/// The families.
pub(super) struct Metrics {
    attempts: Arc<Family<Counter>>,
    attempt: Arc<Family<Histogram>>,
    algorithm: Arc<Family<Histogram>>,
    pending: Arc<Family<Gauge>>,
    incoming: Arc<Family<Counter>>,
    pod_attempts: Arc<Family<Histogram>>,
    sli: Arc<Family<Histogram>>,
    preemptions: Arc<Family<Counter>>,
    victims: Arc<Family<Histogram>>,
    cache: Arc<Family<Gauge>>,
    unschedulable: Arc<Family<Gauge>>,
    after_flush: Arc<Family<Counter>>,
}

impl Metrics {
    /// Registers them.
    pub(super) fn new(r: &Registry) -> Self {
        let millis = doubling(0.001, 15);
        Self {
            attempts: r.counter(
                "scheduler_schedule_attempts_total",
                "Number of attempts to schedule pods, by the result.",
                &["profile", "result"],
            ),
            attempt: r.histogram(
                "scheduler_scheduling_attempt_duration_seconds",
                "Latency of a scheduling attempt, algorithm and binding.",
                &["profile", "result"],
                &millis,
            ),
            algorithm: r.histogram(
                "scheduler_scheduling_algorithm_duration_seconds",
                "Latency of the search for a node.",
                &[],
                &millis,
            ),
            pending: r.gauge("scheduler_pending_pods", "Number of waiting pods, by the queue.", &["queue"]),
            incoming: r.counter(
                "scheduler_queue_incoming_pods_total",
                "Number of pods put into queues, by event and queue.",
                &["event", "queue"],
            ),
            pod_attempts: r.histogram(
                "scheduler_pod_scheduling_attempts",
                "Number of attempts that it took to schedule a pod.",
                &[],
                &[1.0, 2.0, 4.0, 8.0, 16.0],
            ),
            sli: r.histogram(
                "scheduler_pod_scheduling_sli_duration_seconds",
                "Time from a pod's first attempt until it was bound.",
                &["attempts"],
                &doubling(0.01, 20),
            ),
            preemptions: r.counter("scheduler_preemption_attempts_total", "Number of attempts to make room by eviction.", &[]),
            victims: r.histogram("scheduler_preemption_victims", "Number of chosen victims.", &[], &doubling(1.0, 7)),
            cache: r.gauge("scheduler_cache_size", "Number of nodes, pods and assumed pods known.", &["type"]),
            unschedulable: r.gauge(
                "scheduler_unschedulable_pods",
                "Number of unschedulable pods, by the plugin that refused.",
                &["plugin", "profile"],
            ),
            after_flush: r.counter(
                "scheduler_pod_scheduled_after_flush_total",
                "Number of pods scheduled after a wait that no event ended.",
                &[],
            ),
        }
    }

    fn count(&self, d: &Decision, result: &str, took: Duration) {
        self.attempts.with(&[&d.profile, result]).inc();
        self.attempt.with(&[&d.profile, result]).observe(took.as_secs_f64());
    }

    /// A cycle is over.
    pub(super) fn decided(&self, d: &Decision, took: Duration) {
        self.algorithm.with(&[]).observe(took.as_secs_f64());
        match &d.outcome {
            Outcome::Bind { .. } => {}
            Outcome::Unschedulable(why) if why.error().is_some() => self.count(d, "error", took),
            Outcome::Unschedulable(_) => self.count(d, "unschedulable", took),
            Outcome::Preempt { victims, .. } => {
                self.count(d, "unschedulable", took);
                self.preemptions.with(&[]).inc();
                self.victims.with(&[]).observe(victims.len() as f64);
            }
        }
    }

    /// A pod was bound.
    pub(super) fn bound(&self, d: &Decision, took: Duration, now: Timestamp) {
        self.count(d, "scheduled", took);
        self.pod_attempts.with(&[]).observe(f64::from(d.attempts));
        let attempts =
            if d.attempts > ATTEMPTS_SEPARATE_MAX { format!("{ATTEMPTS_SEPARATE_MAX}+") } else { d.attempts.to_string() };
        self.sli.with(&[&attempts]).observe(now.duration_since(d.first_attempt).as_secs_f64().max(0.0));
        if d.flushed {
            self.after_flush.with(&[]).inc();
        }
    }

    /// A binding failed.
    pub(super) fn failed(&self, d: &Decision, took: Duration) {
        self.count(d, "error", took);
    }

    /// How many wait where, and what is known.
    pub(super) fn depths(&self, brain: &mut Brain) {
        let d = brain.queue.depths();
        for (queue, n) in
            [("active", d.active), ("backoff", d.backoff), ("unschedulable", d.unschedulable), ("gated", d.gated)]
        {
            self.pending.with(&[queue]).set(n as f64);
        }
        for (queue, event) in brain.queue.take_arrivals() {
            self.incoming.with(&[event, queue]).inc();
        }
        let (pods, assumed) = brain.table.pod_counts();
        for (kind, n) in [("nodes", brain.table.len()), ("pods", pods), ("assumed_pods", assumed)] {
            self.cache.with(&[kind]).set(n as f64);
        }
        let mut refused: HashMap<(&str, &str), usize> = HashMap::new();
        for w in brain.queue.iter() {
            for plugin in &w.rejectors {
                *refused.entry((plugin, w.pod.scheduler())).or_default() += 1;
            }
        }
        for p in &brain.profiles {
            for plugin in p.filters.iter().map(|f| f.name()).chain(p.gates.iter().map(|g| g.name())) {
                let n = refused.get(&(plugin, p.name.as_str())).copied().unwrap_or(0);
                self.unschedulable.with(&[plugin, &p.name]).set(n as f64);
            }
        }
    }
}
