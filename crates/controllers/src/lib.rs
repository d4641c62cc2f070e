//! Every controller of kube-controller-manager as a pure function: `observe` gathers from a snapshot what one object's
//! decision needs, `decide` answers with a [`Plan`]. Nothing here writes, waits, reads a clock or rolls dice; the crate
//! `manager` runs all of them in one loop.

pub mod controller;
pub mod plan;

mod claim;
mod history;
mod numbers;
mod placement;
mod template;

pub mod bootstrapsigner;
pub mod certificates;
pub mod clusterrole;
pub mod crd;
pub mod cronjob;
pub mod daemonset;
pub mod deployment;
pub mod disruption;
pub mod endpoints;
pub mod endpointslice;
pub mod garbage;
pub mod job;
pub mod legacytokencleaner;
pub mod mirroring;
pub mod namespace;
pub mod node;
pub mod podgc;
pub mod policystatus;
pub mod replicas;
pub mod resourcequota;
pub mod rootca;
pub mod serviceaccount;
pub mod serviceaccounttoken;
pub mod servicecidr;
pub mod statefulset;
pub mod tokencleaner;
pub mod ttlafterfinished;
pub mod volumes;

pub use controller::{Config, Controller, Ctx, Failed, Subject, Watches};
pub use plan::{Action, Event, Note, Pace, Plan, Propagation, Severity, Step, Wave};

/// Every controller, in the order in which their queues are served.
pub const ALL: &[&Controller] = &[
    &namespace::CONTROLLER,
    &serviceaccount::CONTROLLER,
    &rootca::CONTROLLER,
    &deployment::CONTROLLER,
    &replicas::REPLICASET,
    &replicas::REPLICATIONCONTROLLER,
    &daemonset::CONTROLLER,
    &statefulset::CONTROLLER,
    &job::CONTROLLER,
    &cronjob::CONTROLLER,
    &endpoints::CONTROLLER,
    &endpointslice::CONTROLLER,
    &mirroring::CONTROLLER,
    &garbage::CONTROLLER,
    &node::LIFECYCLE,
    &node::EVICTION,
    &node::IPAM,
    &podgc::CONTROLLER,
    &ttlafterfinished::CONTROLLER,
    &disruption::CONTROLLER,
    &resourcequota::CONTROLLER,
    &volumes::BINDER,
    &volumes::CLAIM_PROTECTION,
    &volumes::VOLUME_PROTECTION,
    &volumes::CLASS_PROTECTION,
    &volumes::EPHEMERAL,
    &tokencleaner::CONTROLLER,
    &bootstrapsigner::CONTROLLER,
    &serviceaccounttoken::CONTROLLER,
    &legacytokencleaner::CONTROLLER,
    &certificates::APPROVER,
    &certificates::SIGNER,
    &certificates::CLEANER,
    &clusterrole::CONTROLLER,
    &crd::CONTROLLER,
    &policystatus::CONTROLLER,
    &servicecidr::CONTROLLER,
];

#[cfg(test)]
mod harness;
#[cfg(test)]
mod laws;
