//! Metric primitives: atomics with labels, written out in the Prometheus text format 0.0.4.
//!
//! A crate declares a struct of families and registers them once; names, labels and buckets are Kubernetes' own
//! (`metrics.json` of the spec), so that existing dashboards and alerts work.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// At most this many label combinations a family; later ones are counted on the last one's `overflow` series.
pub const SERIES_MAX: usize = 4096;

/// A monotonically growing count.
#[derive(Default, Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
    /// The present value.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A value that goes up and down.
#[derive(Default, Debug)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Replaces the value.
    pub fn set(&self, v: f64) {
        self.0.store(v.to_bits(), Ordering::Relaxed);
    }
    /// Adds `delta`, which may be negative.
    pub fn add(&self, delta: f64) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |b| Some((f64::from_bits(b) + delta).to_bits()));
    }
    /// The present value.
    pub fn value(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// Observations counted in buckets.
#[derive(Debug)]
pub struct Histogram {
    bounds: Arc<[f64]>,
    counts: Box<[AtomicU64]>,
    sum: Gauge,
}

impl Histogram {
    fn new(bounds: &Arc<[f64]>) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds: Arc::clone(bounds), counts, sum: Gauge::default() }
    }
    /// Counts one observation.
    pub fn observe(&self, v: f64) {
        let at = self.bounds.partition_point(|b| *b < v);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        self.sum.add(v);
    }
}

/// One labelled set of metrics of the same name.
pub struct Family<M> {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    make: Box<dyn Fn() -> M + Send + Sync>,
    series: RwLock<Series<M>>,
}

/// The series of a family by the hash of their label values: one is found without building its key.
struct Series<M> {
    by_hash: HashMap<u64, Vec<(Vec<String>, Arc<M>)>>,
    count: usize,
}

impl<M> Default for Series<M> {
    fn default() -> Self {
        Self { by_hash: HashMap::new(), count: 0 }
    }
}

impl<M> Series<M> {
    fn get<T: AsRef<str>>(&self, hash: u64, values: &[T]) -> Option<&Arc<M>> {
        let same = |k: &[String]| k.len() == values.len() && k.iter().zip(values).all(|(a, b)| a == b.as_ref());
        self.by_hash.get(&hash)?.iter().find(|(k, _)| same(k)).map(|(_, m)| m)
    }
}

fn hash_of<T: AsRef<str>>(values: &[T]) -> u64 {
    let mut hasher = DefaultHasher::new();
    values.iter().for_each(|v| v.as_ref().hash(&mut hasher));
    hasher.finish()
}

impl<M> Family<M> {
    /// The metric with these label values, in the order of the family's label names.
    pub fn with(&self, values: &[&str]) -> Arc<M> {
        debug_assert_eq!(values.len(), self.labels.len(), "label count of {}", self.name);
        let hash = hash_of(values);
        if let Some(m) = self.series.read().unwrap_or_else(PoisonError::into_inner).get(hash, values) {
            return Arc::clone(m);
        }
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let full = series.count >= SERIES_MAX;
        let key: Vec<String> = values.iter().map(|v| if full { "overflow" } else { *v }.to_owned()).collect();
        let hash = hash_of(&key);
        if let Some(m) = series.get(hash, &key) {
            return Arc::clone(m);
        }
        series.count += 1;
        let made = Arc::new((self.make)());
        series.by_hash.entry(hash).or_default().push((key, Arc::clone(&made)));
        made
    }
}

/// A family that can write itself in the text format.
trait Expose: Send + Sync {
    fn expose(&self, out: &mut String);
}

fn labels_text(names: &[&str], values: &[String], extra: Option<(&str, String)>) -> String {
    let mut parts: Vec<String> = names.iter().zip(values).map(|(n, v)| format!("{n}=\"{}\"", escape(v))).collect();
    if let Some((n, v)) = extra {
        parts.push(format!("{n}=\"{v}\""));
    }
    if parts.is_empty() { String::new() } else { format!("{{{}}}", parts.join(",")) }
}

fn escape(v: &str) -> String {
    v.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

impl<M: Send + Sync> Family<M> {
    fn head(&self, kind: &str, out: &mut String) {
        let _ = writeln!(out, "# HELP {} {}\n# TYPE {} {kind}", self.name, self.help, self.name);
    }
    fn each(&self, mut f: impl FnMut(&[String], &M)) {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<&(Vec<String>, Arc<M>)> = series.by_hash.values().flatten().collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all.into_iter().for_each(|(k, m)| f(k, m));
    }
}

impl Expose for Family<Counter> {
    fn expose(&self, out: &mut String) {
        self.head("counter", out);
        self.each(|k, m| {
            let _ = writeln!(out, "{}{} {}", self.name, labels_text(self.labels, k, None), m.value());
        });
    }
}

impl Expose for Family<Gauge> {
    fn expose(&self, out: &mut String) {
        self.head("gauge", out);
        self.each(|k, m| {
            let _ = writeln!(out, "{}{} {}", self.name, labels_text(self.labels, k, None), m.value());
        });
    }
}

impl Expose for Family<Histogram> {
    fn expose(&self, out: &mut String) {
        self.head("histogram", out);
        self.each(|k, m| {
            let mut total = 0;
            for (i, c) in m.counts.iter().enumerate() {
                total += c.load(Ordering::Relaxed);
                let le = m.bounds.get(i).map_or_else(|| "+Inf".to_owned(), ToString::to_string);
                let _ = writeln!(out, "{}_bucket{} {total}", self.name, labels_text(self.labels, k, Some(("le", le))));
            }
            let _ = writeln!(out, "{}_sum{} {}", self.name, labels_text(self.labels, k, None), m.sum.value());
            let _ = writeln!(out, "{}_count{} {total}", self.name, labels_text(self.labels, k, None));
        });
    }
}

/// All families of one process.
#[derive(Default, Clone)]
pub struct Registry(Arc<Mutex<Vec<Arc<dyn Expose>>>>);

impl Registry {
    fn add<M: Send + Sync + 'static>(&self, f: Family<M>) -> Arc<Family<M>>
    where
        Family<M>: Expose,
    {
        let f = Arc::new(f);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&f) as Arc<dyn Expose>);
        f
    }
    /// Registers a family of counters.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Arc<Family<Counter>> {
        self.add(Family { name, help, labels, make: Box::new(Counter::default), series: RwLock::default() })
    }
    /// Registers a family of gauges.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Arc<Family<Gauge>> {
        self.add(Family { name, help, labels, make: Box::new(Gauge::default), series: RwLock::default() })
    }
    /// Registers a family of histograms with the given upper bounds, ascending.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        bounds: &[f64],
    ) -> Arc<Family<Histogram>> {
        let bounds: Arc<[f64]> = bounds.into();
        self.add(Family { name, help, labels, make: Box::new(move || Histogram::new(&bounds)), series: RwLock::default() })
    }
    /// Everything in the text format 0.0.4.
    pub fn expose(&self) -> String {
        let mut out = String::new();
        for f in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            f.expose(&mut out);
        }
        out
    }
}
