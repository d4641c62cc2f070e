//! Volumes that are promised to claims whose binding is not seen yet.

use kinds::ObjectKey;
use std::collections::BTreeMap;

/// Volume name to the claim that it is promised to, and the claims that wait for a node's volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reservations {
    volumes: BTreeMap<String, ObjectKey>,
    /// Claims for which a volume is to be made on that node.
    provisioned: BTreeMap<ObjectKey, String>,
}

impl Reservations {
    /// Promises a volume.
    pub fn promise(&mut self, volume: &str, claim: ObjectKey) {
        self.volumes.insert(volume.to_owned(), claim);
    }
    /// Notes that a volume is to be made for a claim near a node.
    pub fn provision(&mut self, claim: ObjectKey, node: &str) {
        self.provisioned.insert(claim, node.to_owned());
    }
    /// Takes back every promise to a claim.
    pub fn release(&mut self, claim: &ObjectKey) {
        self.volumes.retain(|_, c| c != claim);
        self.provisioned.remove(claim);
    }
    /// To whom a volume is promised.
    #[must_use]
    pub fn of_volume(&self, volume: &str) -> Option<&ObjectKey> {
        self.volumes.get(volume)
    }
    /// Which volume a claim was promised.
    #[must_use]
    pub fn of_claim(&self, claim: &ObjectKey) -> Option<&str> {
        self.volumes.iter().find(|(_, c)| *c == claim).map(|(v, _)| v.as_str())
    }
    /// The node for which a claim's volume is being made.
    #[must_use]
    pub fn node_of(&self, claim: &ObjectKey) -> Option<&str> {
        self.provisioned.get(claim).map(String::as_str)
    }
}
