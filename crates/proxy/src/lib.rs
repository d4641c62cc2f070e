//! The service proxy's brain: Services, EndpointSlices and a node's facts in, a ruleset out; two rulesets in, the operations
//! between them out. The ruleset follows the shape of kube-proxy's nftables mode (KEP-3866): maps from service addresses to
//! verdicts, a chain a service port, so that a change touches only what changed.
//!
//! Docs: "Virtual IPs and Service Proxies", "Service", "Topology Aware Routing", "Service ClusterIP allocation".

mod diff;
mod endpoints;
mod flows;
mod model;
mod plan;
mod print;
mod service;
mod service_rules;

pub use diff::{Op, Ops, diff, rebuild};
pub use endpoints::{Endpoint, Routable};
pub use flows::{Frontend, UdpFlows};
pub use model::{
    Base, Chain, Entry, Family, Field, FieldType, Hook, Key, Part, Protocol, Rule, Ruleset, Set, SetKind, Side, Stmt, TABLE, Table,
    Verdict,
};
pub use plan::{Config, HealthCheck, Plan, plan};
pub use print::Script;
pub use service::ServicePort;

#[cfg(test)]
mod tests;
