//! Field ownership through the `scale` subresource: who owns an object's replicas owns the replicas of its `Scale`, and the
//! other way round. KEP-555 ("Subresources"); docs: "Server-Side Apply".

use super::managed::{Id, Managed, Operation, Owned};
use super::{Set, set_of};

/// The version of `Scale`.
pub const SCALE_VERSION: &str = "autoscaling/v1";
/// Its replicas.
const REPLICAS: &str = "spec.replicas";

/// The same manager in another version; appliers are one in every version.
fn in_version(id: &Id, api_version: &str) -> Id {
    let api_version = if id.operation == Operation::Update { api_version.to_owned() } else { String::new() };
    Id { api_version, ..id.clone() }
}

fn has(owned: &Owned, field: &Set) -> bool {
    !owned.set.shared(field).is_empty()
}

impl Managed {
    /// The managers of an object's `Scale`: those who own its replicas, which stand at the dotted path.
    #[must_use]
    pub fn as_scale(&self, replicas: &str) -> Self {
        let (theirs, ours) = (set_of(&[replicas]), set_of(&[REPLICAS]));
        let mut scale = Self::default();
        for (id, owned) in self.managers.iter().filter(|(_, owned)| has(owned, &theirs)) {
            let owned = Owned { api_version: SCALE_VERSION.to_owned(), time: owned.time.clone(), set: ours.clone() };
            scale.managers.insert(in_version(id, SCALE_VERSION), owned);
        }
        scale
    }

    /// The managers of an object after its `Scale` came to be owned by `scale`. When that was is not noted, as upstream.
    #[must_use]
    pub fn with_scale(&self, scale: &Self, replicas: &str, api_version: &str) -> Self {
        let (theirs, ours) = (set_of(&[replicas]), set_of(&[REPLICAS]));
        let mut left = scale.managers.clone();
        left.retain(|_, owned| has(owned, &ours));
        let mut parent = self.clone();
        for (id, owned) in parent.managers.iter_mut().filter(|(_, owned)| has(owned, &theirs)) {
            if left.remove(&in_version(id, SCALE_VERSION)).is_none() {
                owned.set = owned.set.without(&theirs);
            }
        }
        for id in left.keys() {
            let own = Owned { api_version: api_version.to_owned(), time: String::new(), set: Set::default() };
            parent.managers.entry(in_version(id, api_version)).or_insert(own).set.unite(&theirs);
        }
        parent.managers.retain(|_, owned| !owned.set.is_empty());
        parent
    }
}
