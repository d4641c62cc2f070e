//! Cluster DNS as a function: an image of the cluster and a query in, an answer out.
//!
//! Answers to the Kubernetes DNS-Based Service Discovery specification 1.1.0 and, where that leaves room, does what CoreDNS with
//! kubeadm's configuration does (`pods insecure`, `ttl 30`, reverse zones that fall through).
//!
//! ```text
//!   svc.ns.svc.ZONE                 A AAAA   cluster IPs, or the ready endpoints of a headless service; CNAME of an alias
//!   host.svc.ns.svc.ZONE            A AAAA   one endpoint, by hostname or dashed address
//!   _port._proto.svc.ns.svc.ZONE    SRV      the port, or each endpoint's
//!   1-2-3-4.ns.pod.ZONE             A AAAA   the address that the name says
//!   4.3.2.1.in-addr.arpa            PTR      the service of a cluster IP, or an endpoint with a hostname
//!   dns-version.ZONE                TXT      "1.1.0"
//! ```

mod answer;
mod find;
mod question;
mod reply;

pub use answer::{Outcome, answer};
pub use question::{Config, PodRecords, Zone};
pub use reply::{failure, fit};

pub use hickory_proto as proto;

#[cfg(test)]
mod tests;
