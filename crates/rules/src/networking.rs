//! The networking group: Ingresses and their classes, NetworkPolicies, IPAddresses, ServiceCIDRs.

pub(crate) mod address;
pub(crate) mod ingress;
pub(crate) mod policy;
#[cfg(test)]
mod tests;
