//! Nodes. Docs: "Nodes", "Taints and Tolerations".

use crate::checks::{complain, repeated};
use crate::core::pod::resources::resource_amount;
use crate::names::{self, NameRule};
use crate::quantities::round_up_milli;
use crate::read::{has, items, on, s, unset_empty};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old};
use kinds::api::core::v1::{Node, NodeSpec, NodeStatus, Taint};
use kinds::{FieldErrors, Kind, Object, Path};

pub(crate) const ROW: Rules = Rules {
    default: edit!(Node, default),
    prepare_create: edit!(Node, |n: &mut Node| {
        n.status.get_or_insert_default().config = None;
        n.spec.get_or_insert_default().config_source = None;
    }),
    prepare_update: edit_with_old!(Node, |n: &mut Node, o: &Node| {
        n.status.clone_from(&o.status);
        drop_config(n, o);
    }),
    prepare_status_update: Some(edit_with_old!(Node, |n: &mut Node, o: &Node| {
        n.spec.clone_from(&o.spec);
        n.status.get_or_insert_default();
        drop_config(n, o);
    })),
    validate: check!(Node, validate),
    validate_update: check_with_old!(Node, validate_update),
    validate_status_update: check_with_old!(Node, changed),
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

/// Kubelets are no longer configured through the API.
fn drop_config(n: &mut Node, o: &Node) {
    if o.spec.as_ref().is_some_and(|s| s.config_source.is_some()) {
        return;
    }
    n.spec.get_or_insert_default().config_source = None;
    n.status.get_or_insert_default().config = None;
}

/// What can be used is what there is, unless said otherwise.
fn default(n: &mut Node) {
    let spec = n.spec.get_or_insert_default();
    unset_empty(&mut spec.pod_cidr);
    // The single range is the older spelling: what it says counts, and it is always the first of the list.
    if let Some(one) = &spec.pod_cidr
        && items(&spec.pod_cidrs).first() != Some(one)
    {
        spec.pod_cidrs = Some(vec![one.clone()]);
    }
    spec.pod_cidr = items(&spec.pod_cidrs).first().cloned();
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
    // Where upstream says that they stand.
    taints(items(&spec.taints), &Path::new("metadata.taints"), e);
    amounts(status, e);
    features(items(&status.declared_features), &Path::new("status.declaredFeatures"), e);
    pod_cidrs(spec, e);
}

fn amounts(status: &NodeStatus, e: &mut FieldErrors) {
    for (name, map) in [("capacity", &status.capacity), ("allocatable", &status.allocatable)] {
        for (k, q) in map.iter().flatten() {
            resource_amount(k, q, &Path::new("status").child(name).child(k), e);
        }
    }
}

const FEATURE_BYTES_MAX: usize = 253;

/// Features that a node declares (KEP-5328): camel-cased names, sorted, each once.
fn features(list: &[String], path: &Path, e: &mut FieldErrors) {
    let word = |w: &str, upper: bool| {
        let first = w.bytes().next();
        first.is_some_and(|b| if upper { b.is_ascii_uppercase() } else { b.is_ascii_alphabetic() }) && w.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    for (i, f) in list.iter().enumerate() {
        if f.len() > FEATURE_BYTES_MAX {
            e.invalid(&path.index(i), f, format!("invalid feature name {f:?}: must be no more than {FEATURE_BYTES_MAX} characters"));
        } else if !f.split('/').enumerate().all(|(k, w)| word(w, k == 0)) {
            let why = format!(
                "invalid feature name {f:?}: must start with an UpperCamelCase segment, with subsequent segments separated by '/' \
                 (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes"
            );
            e.invalid(&path.index(i), f, why);
        }
        match list.get(i + 1) {
            Some(next) if next == f => e.duplicate(&path.index(i + 1), next),
            Some(next) if next < f => e.invalid(&path.index(i + 1), next, "list must be sorted alphabetically"),
            _ => {}
        }
    }
}

fn pod_cidrs(spec: &NodeSpec, e: &mut FieldErrors) {
    let list = items(&spec.pod_cidrs);
    let path = Path::new("spec.podCIDRs");
    for (i, c) in list.iter().enumerate() {
        complain(&path.index(i), c, names::cidr(c), e);
    }
    let six = |c: &String| c.contains(':');
    if list.len() > 2 || (list.len() > 1 && list.iter().all(six) == list.iter().any(six)) {
        let why = "may specify no more than one CIDR for each IP family";
        e.invalid(&path, crate::json::list(list), why);
    }
}

/// Taints of a node: well-formed, one a key and effect.
pub(crate) fn taints(list: &[Taint], path: &Path, e: &mut FieldErrors) {
    let again = repeated(list.iter().map(|t| (&t.key, &t.effect)));
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
        if again[i] {
            let shown = format!("{{\"Key\":{:?},\"Value\":{:?},\"Effect\":{:?},\"TimeAdded\":null}}", t.key, s(&t.value), t.effect);
            e.duplicate(&at, kinds::field::Bare(shown));
            e.0.last_mut().expect("just pushed").detail = "taints must be unique by key and effect pair".into();
        }
    }
}

fn validate_update(n: &Node, o: &Node, e: &mut FieldErrors) {
    validate(n, e);
    changed(n, o, e);
}

/// What may change, also through the status.
fn changed(n: &Node, o: &Node, e: &mut FieldErrors) {
    let (none, other, no_status) = (NodeSpec::default(), NodeSpec::default(), NodeStatus::default());
    let (new, old) = (n.spec.as_ref().unwrap_or(&none), o.spec.as_ref().unwrap_or(&other));
    let status = n.status.as_ref().unwrap_or(&no_status);
    amounts(status, e);
    features(items(&status.declared_features), &Path::new("status.declaredFeatures"), e);
    let all = items(&status.addresses);
    let again = repeated(all.iter().map(|a| (&a.type_, &a.address)));
    for (i, a) in all.iter().enumerate().filter(|(i, _)| again[*i]) {
        let shown = format!("{{\"Type\":{:?},\"Address\":{:?}}}", a.type_, a.address);
        e.duplicate(&Path::new("status.addresses").index(i), kinds::field::Bare(shown));
    }
    let (is, was) = (items(&new.pod_cidrs), items(&old.pod_cidrs));
    if !was.is_empty() {
        let differ = if is.len() == was.len() { is.iter().zip(was).filter(|(a, b)| a != b).count() } else { 1 };
        for _ in 0..differ {
            e.forbidden(&Path::new("spec.podCIDRs"), "node updates may not change podCIDR except from \"\" to valid");
        }
    }
    if has(&old.provider_id) && s(&new.provider_id) != s(&old.provider_id) {
        e.forbidden(&Path::new("spec.providerID"), "node updates may not change providerID except from \"\" to valid");
    }
    taints(items(&new.taints), &Path::new("metadata.taints"), e);
    if s(&new.external_id) != s(&old.external_id) {
        e.forbidden(&Path::new("spec.externalID"), "may not be updated");
    }
}
