//! What may change of a pod that exists: images, a shorter deadline, more tolerations, fewer gates; resources through
//! `resize`, ephemeral containers through their own subresource.

use crate::read::{has, items, s};
use kinds::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec, Toleration};
use kinds::{FieldErrors, Object, Path};

const OTHER_FIELDS: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(super) fn spec(p: &Pod) -> PodSpec {
    p.spec.clone().unwrap_or_default()
}

/// An update of the pod itself.
pub(super) fn validate(n: &Pod, o: &Pod, e: &mut FieldErrors) {
    let path = Path::new("spec");
    let (new, old) = (spec(n), spec(o));
    super::spec::validate(&new, &path, e);
    for (name, a, b, word) in [
        ("containers", new.containers.len(), old.containers.len(), "containers"),
        ("initContainers", items(&new.init_containers).len(), items(&old.init_containers).len(), "containers"),
    ] {
        if a != b {
            e.forbidden(&path.child(name), format!("pod updates may not add or remove {word}"));
            return;
        }
    }
    images(&new, &path, e);
    if !deadline(&new, &old, &path, e) {
        return;
    }
    tolerations(items(&new.tolerations), items(&old.tolerations), &path.child("tolerations"), e);
    gates(&new, &old, &path.child("schedulingGates"), e);
    let munged = munge(&new, &old);
    if munged != old {
        let shown = Pod { spec: Some(munged), ..n.clone() };
        e.forbidden_change(&path, ("PodSpec", "/spec"), (shown.into(), o.clone().into()), OTHER_FIELDS);
    }
}

fn images(new: &PodSpec, path: &Path, e: &mut FieldErrors) {
    for (group, list) in [("containers", new.containers.as_slice()), ("initContainers", items(&new.init_containers))] {
        for (i, c) in list.iter().enumerate() {
            if !has(&c.image) {
                e.required(&path.child(group).index(i).child("image"), "");
            }
        }
    }
}

/// A deadline comes closer only; `false` where nothing more is looked at.
fn deadline(new: &PodSpec, old: &PodSpec, path: &Path, e: &mut FieldErrors) -> bool {
    let path = path.child("activeDeadlineSeconds");
    match (new.active_deadline_seconds, old.active_deadline_seconds) {
        (Some(n), _) if !(0..=i64::from(i32::MAX)).contains(&n) => {
            e.invalid(&path, n, "must be between 0 and 2147483647, inclusive");
            return false;
        }
        (Some(n), Some(o)) if n > o => {
            e.invalid(&path, n, "must be less than or equal to previous value");
            return false;
        }
        (None, Some(_)) => {
            e.invalid(&path, crate::json::null(), "must not update from a positive integer to nil value");
        }
        _ => {}
    }
    true
}

fn tolerations(new: &[Toleration], old: &[Toleration], path: &Path, e: &mut FieldErrors) {
    let same = |a: &Toleration, b: &Toleration| {
        s(&a.key) == s(&b.key)
            && s(&a.effect) == s(&b.effect)
            && s(&a.value) == s(&b.value)
            && s(&a.operator) == s(&b.operator)
    };
    if old.iter().all(|o| new.iter().any(|n| same(n, o))) {
        // They are looked at once more.
        super::placement::tolerations(new, path, e);
    } else {
        e.forbidden(path, "existing toleration can not be modified except its tolerationSeconds");
    }
}

fn gates(new: &PodSpec, old: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let had = items(&old.scheduling_gates);
    for (i, g) in items(&new.scheduling_gates).iter().enumerate() {
        if !had.contains(g) {
            e.forbidden(&path.index(i).child("name"), format!("only deletion is allowed, but found new scheduling gate '{}'", g.name));
        }
    }
}

/// The new spec with everything that may change put back to what it was.
fn munge(new: &PodSpec, old: &PodSpec) -> PodSpec {
    let mut m = new.clone();
    let image = |c: &mut Container, o: &Container| c.image.clone_from(&o.image);
    m.containers.iter_mut().zip(&old.containers).for_each(|(c, o)| image(c, o));
    m.init_containers.iter_mut().flatten().zip(items(&old.init_containers)).for_each(|(c, o)| image(c, o));
    m.active_deadline_seconds = old.active_deadline_seconds;
    m.tolerations.clone_from(&old.tolerations);
    m.scheduling_gates.clone_from(&old.scheduling_gates);
    if old.termination_grace_period_seconds.is_some_and(|g| g < 0) && m.termination_grace_period_seconds == Some(1) {
        m.termination_grace_period_seconds = old.termination_grace_period_seconds;
    }
    // While gates hold the pod back, its node selector and affinity may become stricter.
    if !items(&old.scheduling_gates).is_empty() {
        let stricter = old.node_selector.iter().flatten().all(|(k, v)| new.node_selector.as_ref().and_then(|n| n.get(k)) == Some(v));
        if stricter {
            m.node_selector.clone_from(&old.node_selector);
        }
        let node = |p: &PodSpec| p.affinity.as_ref().and_then(|a| a.node_affinity.clone());
        if node(old).is_none_or(|n| n.required_during_scheduling_ignored_during_execution.is_none()) && node(new).is_some() {
            let a = m.affinity.get_or_insert_default();
            a.node_affinity = node(old);
            if *a == Default::default() {
                m.affinity.clone_from(&old.affinity);
            }
        }
    }
    if s(&m.service_account) == s(&old.service_account_name) {
        m.service_account.clone_from(&old.service_account);
    }
    m
}

/// `pods/ephemeralcontainers`: they can be added, never changed or taken away.
pub fn validate_ephemeral(n: &Pod, o: &Pod, e: &mut FieldErrors) {
    let path = Path::new("spec.ephemeralContainers");
    let (new, old) = (spec(n), spec(o));
    super::spec::validate(&new, &Path::new("spec"), e);
    for was in items(&old.ephemeral_containers) {
        match items(&new.ephemeral_containers).iter().find(|c| c.name == was.name) {
            None => e.forbidden(&path, format!("existing ephemeral containers {:?} may not be removed\n", was.name)),
            Some(c) if c != was => {
                let alone = |c: &EphemeralContainer| -> Object {
                    let spec = PodSpec { ephemeral_containers: Some(vec![c.clone()]), ..PodSpec::default() };
                    Pod { spec: Some(spec), ..Pod::default() }.into()
                };
                let why = format!("existing ephemeral containers {:?} may not be changed", was.name);
                e.forbidden_change(&path, ("EphemeralContainer", "/spec/ephemeralContainers/0"), (alone(c), alone(was)), why);
            }
            Some(_) => {}
        }
    }
}
