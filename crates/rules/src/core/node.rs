//! Nodes. Docs: "Nodes", "Taints and Tolerations".

use crate::checks::complain;
use crate::core::pod::resources::resource_amount;
use crate::names::{self, NameRule};
use crate::quantities::round_up_milli;
use crate::read::{has, items, on, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old};
use kinds::api::core::v1::{Node, NodeSpec, NodeStatus, Taint};
use kinds::{FieldErrors, Kind, Object, Path};

pub(crate) const ROW: Rules = Rules {
    default: edit!(Node, default),
    prepare_create: edit!(Node, |n: &mut Node| {
        n.status.get_or_insert_default();
    }),
    prepare_update: edit_with_old!(Node, |n: &mut Node, o: &Node| n.status.clone_from(&o.status)),
    prepare_status_update: Some(edit_with_old!(Node, |n: &mut Node, o: &Node| {
        n.spec.clone_from(&o.spec);
        n.status.get_or_insert_default();
    })),
    validate: check!(Node, validate),
    validate_update: check_with_old!(Node, validate_update),
    validate_status_update: check_with_old!(Node, validate_update),
    fields: |o: &Object| {
        let name = ("metadata.name", o.meta().name.clone().unwrap_or_default());
        let cordoned = match o {
            Object::Node(n) => on(n.spec.as_ref().and_then(|s| s.unschedulable)),
            _ => false,
        };
        vec![name, ("spec.unschedulable", cordoned.to_string())]
    },
    ..Rules::plain(Kind::Node, NameRule::DnsSubdomain)
};

/// What can be used is what there is, unless said otherwise.
fn default(n: &mut Node) {
    n.spec.get_or_insert_default();
    let st = n.status.get_or_insert_default();
    round_up_milli(&mut st.capacity);
    round_up_milli(&mut st.allocatable);
    if st.allocatable.as_ref().is_none_or(|a| a.is_empty()) && st.capacity.as_ref().is_some_and(|c| !c.is_empty()) {
        st.allocatable.clone_from(&st.capacity);
    }
}

fn validate(n: &Node, e: &mut FieldErrors) {
    let (none, no_status) = (NodeSpec::default(), NodeStatus::default());
    let (spec, status) = (n.spec.as_ref().unwrap_or(&none), n.status.as_ref().unwrap_or(&no_status));
    taints(items(&spec.taints), &Path::new("spec.taints"), e);
    for (name, map) in [("capacity", &status.capacity), ("allocatable", &status.allocatable)] {
        for (k, q) in map.iter().flatten() {
            resource_amount(k, q, &Path::new("status").child(name).key(k), e);
        }
    }
    pod_cidrs(spec, e);
}

fn pod_cidrs(spec: &NodeSpec, e: &mut FieldErrors) {
    let list = items(&spec.pod_cidrs);
    let path = Path::new("spec.podCIDRs");
    for (i, c) in list.iter().enumerate() {
        complain(&path.index(i), c, names::cidr(c), e);
    }
    if list.len() > 2 {
        let why = "may specify no more than one CIDR for each IP family";
        e.invalid(&path, crate::json::list(list), why);
    }
}

/// Taints of a node: well-formed, one a key and effect.
pub(crate) fn taints(list: &[Taint], path: &Path, e: &mut FieldErrors) {
    for (i, t) in list.iter().enumerate() {
        let at = path.index(i);
        complain(&at.child("key"), &t.key, names::qualified_name(&t.key), e);
        let why = names::label_value(s(&t.value));
        if !why.is_empty() {
            e.invalid(&at.child("value"), s(&t.value), why.join(";"));
        }
        if t.effect.is_empty() {
            e.required(&at.child("effect"), "");
        } else if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&t.effect.as_str()) {
            e.not_supported(&at.child("effect"), &t.effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
        if list[..i].iter().any(|x| x.key == t.key && x.effect == t.effect) {
            let shown = format!("{{\"Key\":{:?},\"Value\":{:?},\"Effect\":{:?},\"TimeAdded\":null}}", t.key, s(&t.value), t.effect);
            e.duplicate(&at, kinds::field::Bare(shown));
            e.0.last_mut().expect("just pushed").detail = "taints must be unique by key and effect pair".into();
        }
    }
}

fn validate_update(n: &Node, o: &Node, e: &mut FieldErrors) {
    validate(n, e);
    let (none, other) = (NodeSpec::default(), NodeSpec::default());
    let (new, old) = (n.spec.as_ref().unwrap_or(&none), o.spec.as_ref().unwrap_or(&other));
    if !items(&old.pod_cidrs).is_empty() && items(&new.pod_cidrs) != items(&old.pod_cidrs) {
        let why = "node updates may not change podCIDR except from \"\" to valid";
        e.forbidden(&Path::new("spec.podCIDRs"), why);
    }
    if has(&old.provider_id) && s(&new.provider_id) != s(&old.provider_id) {
        e.forbidden(&Path::new("spec.providerID"), "node updates may not change providerID except from \"\" to valid");
    }
    for (i, a) in items(&n.status.as_ref().and_then(|s| s.addresses.clone())).iter().enumerate() {
        let all = n.status.as_ref().and_then(|s| s.addresses.clone()).unwrap_or_default();
        if all[..i].contains(a) {
            let shown = format!("{{\"Type\":{:?},\"Address\":{:?}}}", a.type_, a.address);
            e.duplicate(&Path::new("status.addresses").index(i), kinds::field::Bare(shown));
        }
    }
}
