//! What a fresh control plane creates for itself, one JSON object a line. `rbac.jsonl`: `object`, and optionally `gates`
//! (it exists only with those on) and `gatedRules` (`gate`, `rule`). `objects.jsonl`: `createdBy`, `object`, and optionally
//! `when` (a flag it depends on); `${...}` stands for values of an installation.

/// The default ClusterRoles, Roles and their bindings, as JSON lines.
pub fn bootstrap_rbac() -> impl Iterator<Item = &'static str> {
    include_str!("../data/rbac.jsonl").lines()
}

/// The other objects that exist on a fresh control plane, as JSON lines.
pub fn bootstrap_objects() -> impl Iterator<Item = &'static str> {
    include_str!("../data/objects.jsonl").lines()
}
