//! UDP flows that must be forgotten. UDP has no end, so a flow that was tracked while a service led elsewhere (or nowhere) would
//! keep going there for as long as the client sends.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What a client addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Frontend {
    /// A service address and port.
    Address(IpAddr, u16),
    /// A node port, at any of the node's addresses.
    NodePort(u16),
}

/// The endpoints that each UDP frontend may lead to now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UdpFlows(pub BTreeMap<Frontend, BTreeSet<(IpAddr, u16)>>);

impl UdpFlows {
    /// Whether a tracked flow leads where it may not any more: sent to `original`, answered by `server`. Node ports count only
    /// where the original address is the node's own.
    #[must_use]
    pub fn is_stale(&self, original: (IpAddr, u16), original_is_local: bool, server: (IpAddr, u16)) -> bool {
        let by_address = self.0.get(&Frontend::Address(original.0, original.1));
        let by_port = || self.0.get(&Frontend::NodePort(original.1)).filter(|_| original_is_local);
        by_address.or_else(by_port).is_some_and(|endpoints| !endpoints.contains(&server))
    }

    /// Whether flows have to be looked at after the ruleset went from `old` to this: an endpoint left, or a service that
    /// had none got its first.
    #[must_use]
    pub fn needs_cleaning(&self, old: &Self) -> bool {
        self.0.iter().any(|(frontend, now)| match old.0.get(frontend) {
            Some(before) => !before.is_subset(now) || (before.is_empty() && !now.is_empty()),
            None => true,
        }) || old.0.keys().any(|f| !self.0.contains_key(f))
    }

    /// The frontends of `old` that are gone, leading nowhere: flows to them are stale too.
    #[must_use]
    pub fn with_gone(&self, old: &Self) -> Self {
        let mut all = self.clone();
        for frontend in old.0.keys() {
            all.0.entry(*frontend).or_default();
        }
        all
    }
}
