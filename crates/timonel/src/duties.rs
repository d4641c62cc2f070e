//! What a server does for the store again and again: forget history, let objects go that nobody reads, mend allocations, say
//! that it lives.

use jiff::SignedDuration;
use registry::Registry;
use registry::masters::{MASTER_EVERY, MASTER_LIVES, Master};
use registry::presence::{ABSENT_EVERY, PRESENT_EVERY, Presence};
use registry::repair::Leaks;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// History older than this is compacted (kube-apiserver's interval).
const COMPACT_EVERY: Duration = Duration::from_secs(300);
/// How often decoded objects that nobody reads are let go: the memory of an object that rests is that of its JSON after twice this.
const COOL_EVERY: Duration = Duration::from_secs(15);
/// Addresses and node ports are compared with what services have so often (kube-apiserver's interval).
const REPAIR_EVERY: Duration = Duration::from_secs(180);
/// A server that ends takes its address away within this time, or leaves it to its lease.
const WITHDRAW_TIMEOUT: Duration = Duration::from_secs(3);

/// Waits; `false` when the server ends.
async fn rest(long: Duration, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        () = tokio::time::sleep(long) => true,
        () = shutdown.cancelled() => false,
    }
}

/// Starts them all.
pub(crate) fn start(registry: &Arc<Registry>, master: Master, presence: Presence, shutdown: &CancellationToken) {
    tokio::spawn(compact(Arc::clone(registry), shutdown.clone()));
    tokio::spawn(cool(Arc::clone(registry), shutdown.clone()));
    tokio::spawn(repair(Arc::clone(registry), shutdown.clone()));
    tokio::spawn(announce(Arc::clone(registry), master, shutdown.clone()));
    tokio::spawn(present(Arc::clone(registry), presence, shutdown.clone()));
    tokio::spawn(sweep(Arc::clone(registry), shutdown.clone()));
}

/// Forgets history that is older than one interval, and Events that nobody needs any more, as often as that.
async fn compact(registry: Arc<Registry>, shutdown: CancellationToken) {
    let mut before = registry.snapshot().revision();
    while rest(COMPACT_EVERY, &shutdown).await {
        if before.0 > 0
            && let Err(e) = registry.compact(before).await
        {
            tracing::warn!(err = %e, "Compaction failed");
        }
        registry.expire_events().await;
        before = registry.snapshot().revision();
    }
}

/// Lets go of decoded objects that rest.
async fn cool(registry: Arc<Registry>, shutdown: CancellationToken) {
    while rest(COOL_EVERY, &shutdown).await {
        let dropped = registry.cool();
        tracing::debug!(dropped, "Let go of decoded objects that nobody reads");
    }
}

async fn repair(registry: Arc<Registry>, shutdown: CancellationToken) {
    let mut leaks = Leaks::default();
    loop {
        if let Err(e) = registry.repair_allocations(&mut leaks).await {
            tracing::warn!(err = %e, "Addresses and node ports were not compared with the services");
        }
        if !rest(REPAIR_EVERY, &shutdown).await {
            return;
        }
    }
}

/// A renewal that fails is tried again soon: the lease must not run out meanwhile.
async fn announce(registry: Arc<Registry>, master: Master, shutdown: CancellationToken) {
    loop {
        let renewed = tokio::time::timeout(MASTER_LIVES, registry.renew_master(master)).await;
        let pause = match renewed {
            Ok(Ok(())) => MASTER_EVERY,
            Ok(Err(e)) => {
                tracing::warn!(err = %e, "The endpoints of the kubernetes service could not be kept");
                MASTER_EVERY / 10
            }
            Err(_) => Duration::ZERO,
        };
        if !rest(pause, &shutdown).await {
            return;
        }
    }
}

/// Keeps the lease that says who this server is.
async fn present(registry: Arc<Registry>, presence: Presence, shutdown: CancellationToken) {
    loop {
        if let Err(e) = registry.renew_presence(&presence).await {
            tracing::warn!(err = %e, "The lease of this server was not renewed");
        }
        if !rest(PRESENT_EVERY, &shutdown).await {
            return;
        }
    }
}

async fn sweep(registry: Arc<Registry>, shutdown: CancellationToken) {
    while rest(ABSENT_EVERY, &shutdown).await {
        if let Err(e) = registry.sweep_presence().await {
            tracing::warn!(err = %e, "Leases of servers that are gone stay for now");
        }
    }
}

/// Takes the server's address away.
pub(crate) async fn withdraw(registry: &Registry, master: Master) {
    match tokio::time::timeout(WITHDRAW_TIMEOUT, registry.withdraw_master(master)).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => tracing::warn!(err = %e, "The server's address goes with its lease"),
        Err(_) => tracing::warn!(after = %SignedDuration::try_from(WITHDRAW_TIMEOUT).unwrap_or_default(), "The server's address goes with its lease"),
    }
}
