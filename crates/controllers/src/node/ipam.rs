//! Node IPAM: every node gets its part of each cluster range.
//!
//! Docs: "kube-controller-manager --allocate-node-cidrs, --cluster-cidr, --node-cidr-mask-size".

use crate::controller::{Controller, Ctx, Subject, Watches};
use crate::plan::{Event, Plan, Step, reference};
use cache::{Change, Snapshot};
use ipnet::IpNet;
use kinds::api::core::v1::Node;
use kinds::{Kind, ObjectKey};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Ranges are given out in one round for all nodes, so that no two rounds can give the same.
pub const IPAM: Controller = Controller {
    name: "node",
    account: "node-controller",
    component: "cidrAllocator",
    watches: Watches::Kinds(&[Kind::Node]),
    wakes,
    subjects: |_| vec![everyone()],
    plan,
};

fn everyone() -> Subject {
    Subject::new(Kind::Node, ObjectKey::default())
}

fn ranges(node: &Node) -> Vec<&String> {
    let Some(spec) = &node.spec else { return Vec::new() };
    let mut all: Vec<&String> = spec.pod_cidrs.iter().flatten().collect();
    if all.is_empty() {
        all.extend(spec.pod_cidr.iter().filter(|c| !c.is_empty()));
    }
    all
}

fn wakes(change: &Change, _: &Snapshot) -> Vec<Subject> {
    let needs = change.new_as::<Node>().is_none_or(|n| ranges(n).is_empty());
    if needs { vec![everyone()] } else { Vec::new() }
}

fn plan(snapshot: &Snapshot, _: &Subject, ctx: &Ctx) -> Option<Plan> {
    let nodes: Vec<_> = snapshot.list::<Node>("").cloned().collect();
    Some(decide(&nodes, ctx))
}

/// What is to be done for all nodes.
#[must_use]
pub(super) fn decide(nodes: &[Arc<Node>], ctx: &Ctx) -> Plan {
    let plan = Plan::because("nodes without a pod range");
    if !ctx.config.allocate_node_cidrs || ctx.config.cluster_cidrs.is_empty() {
        return plan;
    }
    let mut used: BTreeSet<IpNet> = nodes.iter().flat_map(|n| ranges(n)).filter_map(|c| c.parse().ok()).collect();
    nodes.iter().filter(|n| ranges(n).is_empty() && n.metadata.deletion_timestamp.is_none()).fold(plan, |plan, node| {
        let given: Option<Vec<IpNet>> = ctx.config.cluster_cidrs.iter().map(|c| free(c, &used, ctx)).collect();
        let Some(given) = given else {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let text = format!("Node {name} status is now: CIDRNotAvailable");
            return plan.event(Event::normal(reference(&**node), "CIDRNotAvailable", text));
        };
        used.extend(given.iter().copied());
        let mut next = Node::clone(node);
        let spec = next.spec.get_or_insert_default();
        spec.pod_cidr = given.first().map(ToString::to_string);
        spec.pod_cidrs = Some(given.iter().map(ToString::to_string).collect());
        plan.step(Step::update(next))
    })
}

/// The first part of `range` that overlaps nothing in use.
fn free(range: &IpNet, used: &BTreeSet<IpNet>, ctx: &Ctx) -> Option<IpNet> {
    let mask = if matches!(range, IpNet::V4(_)) { ctx.config.node_mask_v4 } else { ctx.config.node_mask_v6 };
    let overlaps = |a: &IpNet| used.iter().any(|u| u.contains(a) || a.contains(u));
    range.subnets(mask.max(range.prefix_len())).ok()?.find(|s| !overlaps(s))
}
