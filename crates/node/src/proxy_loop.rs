//! The service proxy's hands: waits for changes of Services, EndpointSlices and nodes, plans the ruleset, and writes the
//! difference to the kernel in one transaction. UDP flows that lead to endpoints that are gone are forgotten.
//!
//! Laws: the ruleset in the kernel is the last one applied or, after any refusal, written anew; a burst of changes costs one
//! transaction; what somebody else removed from the table is put back.

mod health;
mod metrics;
mod translate;

use std::sync::Arc;
use std::time::Duration;

use cache::{Interest, Source, Subscription};
use kinds::Kind;
use net::{NetError, conntrack, link::Rtnl, nft};
use proxy::{Config, HealthCheck, Ruleset};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use translate::transactions;

/// Changes that come so soon after one another share a transaction.
const SETTLE: Duration = Duration::from_millis(5);
/// Never wait longer than this for changes to settle.
const SETTLE_AT_MOST: Duration = Duration::from_millis(50);
/// How often the kernel's tables are compared with what should be there.
const AUDIT_INTERVAL: Duration = Duration::from_secs(60);
/// Waits between attempts when the kernel refuses.
const RETRY: base::Backoff = base::Backoff { initial: Duration::from_millis(200), max: Duration::from_secs(30) };
const UDP: u8 = 17;

/// The running proxy.
#[derive(Debug)]
pub struct ProxyHandle {
    /// Health check ports that should be served, with their counts of local endpoints.
    pub health_checks: watch::Receiver<Vec<HealthCheck>>,
    /// Turns true when the rules were written for the first time.
    pub synced: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl ProxyHandle {
    /// Waits for the end of the loop, after `stop` was cancelled. The rules stay: connections of pods go on.
    pub async fn stopped(self) {
        if let Err(e) = self.task.await {
            warn!(error = %e, "the proxy loop ended badly");
        }
    }
}

/// Starts the proxy loop.
pub fn start_proxy(config: Config, source: Arc<dyn Source>, registry: &base::metrics::Registry, stop: CancellationToken) -> ProxyHandle {
    let (health_out, health_checks) = watch::channel(Vec::new());
    let (synced_out, synced) = watch::channel(false);
    let metrics = metrics::Metrics::new(registry);
    tokio::spawn(health::serve(health_checks.clone(), stop.clone()));
    let task = tokio::spawn(async move {
        let interest = [Kind::Service, Kind::EndpointSlice, Kind::Node, Kind::ServiceCIDR].map(Into::into);
        let subscription = source.subscribe(Interest::Only(interest.to_vec()));
        let mut proxy = Loop { config, subscription, last: None, failures: 0, metrics, health_out, synced_out };
        tokio::select! {
            () = stop.cancelled() => {}
            () = proxy.run() => {}
        }
    });
    ProxyHandle { health_checks, synced, task }
}

struct Loop {
    config: Config,
    subscription: Box<dyn Subscription>,
    /// What the kernel holds; `None`: unknown.
    last: Option<Ruleset>,
    failures: u32,
    metrics: metrics::Metrics,
    health_out: watch::Sender<Vec<HealthCheck>>,
    synced_out: watch::Sender<bool>,
}

/// One step of the loop, on a thread that may block.
struct Step {
    ruleset: Ruleset,
    result: Result<Forgotten, NetError>,
}

/// UDP flows that were forgotten because they led to former endpoints.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// Of IPv4.
    pub v4: u64,
    /// Of IPv6.
    pub v6: u64,
}

impl Loop {
    async fn run(&mut self) {
        let Some(mut batch) = self.subscription.next().await else { return };
        loop {
            batch = match self.settle(batch).await {
                Some(b) => b,
                None => return,
            };
            let plan = proxy::plan(&batch.snapshot, &self.config);
            self.health_out.send_if_modified(|h| std::mem::replace(h, plan.health_checks.clone()) != plan.health_checks);
            self.step(plan.ruleset).await;
            let wake = if self.failures > 0 { RETRY.delay(self.failures) } else { AUDIT_INTERVAL };
            batch = match self.next_before(Instant::now() + wake).await {
                Wake::Batch(b) => b,
                Wake::Time => {
                    self.audit().await;
                    batch
                }
                Wake::End => return,
            };
        }
    }

    /// Takes in what follows at once.
    async fn settle(&mut self, mut batch: cache::Batch) -> Option<cache::Batch> {
        let until = Instant::now() + SETTLE_AT_MOST;
        while Instant::now() < until {
            match timeout(SETTLE, self.subscription.next()).await {
                Ok(next) => batch = next?,
                Err(_) => break,
            }
        }
        Some(batch)
    }

    async fn next_before(&mut self, deadline: Instant) -> Wake {
        tokio::select! {
            next = self.subscription.next() => next.map_or(Wake::End, Wake::Batch),
            () = sleep_until(deadline) => Wake::Time,
        }
    }

    async fn step(&mut self, next: Ruleset) {
        let last = self.last.take();
        if last.as_ref() == Some(&next) {
            self.last = last;
            return;
        }
        let begun = Instant::now();
        let done = tokio::task::spawn_blocking(move || {
            let result = write(last.as_ref(), &next);
            Step { ruleset: next, result }
        });
        let done = done.await;
        let forgotten = done.as_ref().ok().and_then(|step| step.result.as_ref().ok());
        self.metrics.synced(&self.config.families, begun.elapsed(), forgotten);
        match done {
            Ok(Step { ruleset, result: Ok(_) }) => {
                if self.failures > 0 {
                    info!("service rules are written again");
                }
                self.failures = 0;
                self.last = Some(ruleset);
                self.synced_out.send_replace(true);
            }
            Ok(Step { result: Err(e), .. }) => {
                self.failures += 1;
                warn!(error = %e, attempt = self.failures, "cannot write service rules");
            }
            Err(e) => {
                self.failures += 1;
                warn!(error = %e, "writing service rules panicked");
            }
        }
    }

    /// Finds out whether somebody changed our tables; if so, they are written anew.
    async fn audit(&mut self) {
        let Some(last) = self.last.take() else { return };
        let checked = tokio::task::spawn_blocking(move || (is_whole(&last), last)).await;
        match checked {
            Ok((true, last)) => self.last = Some(last),
            Ok((false, _)) => warn!("the service rules were changed by somebody else: writing them anew"),
            Err(e) => warn!(error = %e, "the check of service rules panicked"),
        }
    }
}

enum Wake {
    Batch(cache::Batch),
    Time,
    End,
}

/// Brings the kernel from `last` (`None`: anything) to `next`. Belongs to the network namespace of the calling thread.
pub fn write(last: Option<&Ruleset>, next: &Ruleset) -> Result<Forgotten, NetError> {
    let ops = match last {
        Some(last) => proxy::diff(last, next),
        None => proxy::rebuild(next),
    };
    let applied = nft::apply_all(&transactions(&ops))?;
    debug!(ops = applied.ops, bytes = applied.bytes, took_us = applied.took.as_micros() as u64, "service rules written");
    let nothing = proxy::UdpFlows::default();
    let before = last.map_or(&nothing, |l| &l.udp);
    if !next.udp.needs_cleaning(before) {
        return Ok(Forgotten::default());
    }
    // The rules hold all the same: old flows go on to where they led until they pause.
    Ok(forget_flows(&next.udp.with_gone(before)).unwrap_or_else(|e| {
        warn!(error = %e, "cannot forget UDP flows to former endpoints");
        Forgotten::default()
    }))
}

/// Deletes all rules of the proxy (uninstall). Belongs to the network namespace of the calling thread.
pub fn remove() -> Result<(), NetError> {
    for family in [net::nft::Family::Ip, net::nft::Family::Ip6] {
        if nft::list(family, proxy::TABLE)?.is_some() {
            let mut t = nft::Transaction::new(family, proxy::TABLE);
            t.push(nft::Op::DeleteTable);
            nft::apply(&t)?;
        }
    }
    Ok(())
}

fn forget_flows(udp: &proxy::UdpFlows) -> Result<Forgotten, NetError> {
    let local: Vec<std::net::IpAddr> = Rtnl::open()?.addresses()?.into_iter().map(|a| a.net.addr()).collect();
    let stale = |f: &conntrack::Flow| {
        let original = (f.original.dst, f.original.dst_port);
        f.original.proto == UDP && udp.is_stale(original, local.contains(&original.0), (f.reply.src, f.reply.src_port))
    };
    let v4 = conntrack::delete(|f| f.original.dst.is_ipv4() && stale(f))? as u64;
    let v6 = conntrack::delete(|f| f.original.dst.is_ipv6() && stale(f))? as u64;
    if v4 + v6 > 0 {
        debug!(flows = v4 + v6, "UDP flows to former endpoints are forgotten");
    }
    Ok(Forgotten { v4, v6 })
}

/// Whether the kernel has the chains, rules and sets of a ruleset.
fn is_whole(ruleset: &Ruleset) -> bool {
    ruleset.tables.iter().all(|(family, table)| {
        let Ok(Some(now)) = nft::list(translate::family(*family), proxy::TABLE) else { return false };
        let rules = |name: &String| now.chains.get(name).map(Vec::len);
        now.chains.len() == table.chains.len()
            && table.chains.iter().all(|(name, chain)| rules(name) == Some(chain.rules.len()))
            && now.sets.iter().eq(table.sets.keys())
    })
}

#[cfg(test)]
mod tests;
