//! Pod templates, as all workloads carry them.

use crate::meta;
use crate::read::{items, s};
use kinds::api::core::v1::PodTemplateSpec;
use kinds::{FieldErrors, LabelSelector, Path, Selector};

/// A template by itself.
pub fn validate(t: &PodTemplateSpec, path: &Path, e: &mut FieldErrors) {
    let meta = t.metadata.as_ref();
    meta::labels(meta.and_then(|m| m.labels.as_ref()), &path.child("labels"), e);
    meta::annotations(meta.and_then(|m| m.annotations.as_ref()), &path.child("annotations"), e);
    let none = Default::default();
    let spec = t.spec.as_ref().unwrap_or(&none);
    super::spec::validate(spec, &path.child("spec"), e);
    if !items(&spec.ephemeral_containers).is_empty() {
        let at = path.child("spec").child("ephemeralContainers");
        e.forbidden(&at, "ephemeral containers not allowed in pod template");
    }
}

/// The template of a workload that keeps pods running: its labels match the selector, its pods restart always and have
/// no deadline. `owner` is the word in the deadline's complaint.
pub fn of_running(
    t: &PodTemplateSpec,
    selector: &Selector,
    owner: &str,
    path: &Path,
    e: &mut FieldErrors,
) {
    matches_selector(t, selector, path, e);
    validate(t, path, e);
    let none = Default::default();
    let spec = t.spec.as_ref().unwrap_or(&none);
    if s(&spec.restart_policy) != "Always" {
        e.not_supported(&path.child("spec").child("restartPolicy"), s(&spec.restart_policy), &["Always"]);
    }
    if spec.active_deadline_seconds.is_some() {
        let at = path.child("spec").child("activeDeadlineSeconds");
        e.forbidden(&at, format!("activeDeadlineSeconds in {owner} is not Supported"));
    }
}

/// The template's labels must satisfy the workload's selector.
pub fn matches_selector(t: &PodTemplateSpec, selector: &Selector, path: &Path, e: &mut FieldErrors) {
    if selector.is_everything() {
        return;
    }
    let labels = t.metadata.as_ref().and_then(|m| m.labels.as_ref());
    if !selector.matches(labels) {
        let shown = labels.map_or_else(crate::json::null, crate::json::map);
        let at = path.child("metadata").child("labels");
        e.invalid(&at, shown, "`selector` does not match template `labels`");
    }
}

/// A workload's selector: it must be there, well-formed and not empty.
pub fn selector(s: &LabelSelector, owner: &str, path: &Path, e: &mut FieldErrors) -> Selector {
    if meta::is_empty_selector(s) && s.match_labels.is_some() {
        // An empty selector, as opposed to none, has a set of no labels: the codec sees to that.
        let kind = match owner {
            "DaemonSet" => "daemonset",
            "StatefulSet" => "statefulset",
            _ => "deployment",
        };
        e.invalid(path, crate::json::selector(s), format!("empty selector is invalid for {kind}"));
        return Selector::everything();
    }
    if meta::is_empty_selector(s) {
        // Of a DaemonSet only its template is told: it fits nothing.
        if owner != "DaemonSet" {
            e.required(path, "");
        }
        return Selector::Nothing;
    }
    let before = e.len();
    meta::label_selector(Some(s), meta::Values::Strict, path, e);
    if e.len() > before {
        // A selector that cannot be read is told once more as a whole, and nothing is matched with it.
        match owner {
            "DaemonSet" => {}
            "StatefulSet" => e.invalid(path, crate::json::selector(s), ""),
            _ => e.invalid(path, crate::json::selector(s), "invalid label selector"),
        }
        return Selector::everything();
    }
    Selector::from_label_selector(Some(s))
}
