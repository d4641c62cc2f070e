//! The network hands of the node: namespaces, links, addresses, the pod network, nftables and connection tracking, all by
//! netlink from inside this process (no `ip`, `nft` or `conntrack` program is needed). Knows bytes, addresses and links;
//! knows no Kubernetes kind.
//!
//! Every call is synchronous and short (a few system calls); async callers use `spawn_blocking` where they care.
//! The netlink encoding is our own (`netlink`): a hundred lines of type-length-value writing are less than the glue that the
//! asynchronous crates need, work inside a namespace thread without a runtime, and let one nftables transaction be one buffer.

pub mod conntrack;
mod error;
pub mod link;
pub mod netlink;
pub mod netns;
pub mod nft;
pub mod pod;
pub mod probe;
mod sysctl;
#[cfg(test)]
mod testing;

pub use error::{NetError, Retry};
pub use netns::NetNs;
pub use pod::{Attachment, HostPort, Ipam, Lease, PodInterface, PodNetwork, PodNetworkConfig, Transport};
pub use probe::{Missing, probe, probe_ranges};
