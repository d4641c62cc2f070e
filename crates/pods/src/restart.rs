//! Whether a container that ended runs again: the pod's restart policy, a container's own, and its rules
//! (docs: "Pod lifecycle", KEP-5307 container restart rules).

use kinds::api::core::v1::{Container, ContainerRestartRule, PodSpec};

fn rule_matches(rule: &ContainerRestartRule, exit_code: i32) -> bool {
    let Some(on) = &rule.exit_codes else { return false };
    let listed = on.values.iter().flatten().any(|v| *v == exit_code);
    match on.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        _ => false,
    }
}

/// Whether a container of that pod, having ended with that code, is started again.
#[must_use]
pub fn restarts(container: &Container, spec: &PodSpec, exit_code: i32) -> bool {
    let rules = container.restart_policy_rules.iter().flatten();
    for rule in rules {
        if rule_matches(rule, exit_code) && rule.action.starts_with("Restart") {
            return true;
        }
    }
    match policy(container, spec) {
        "Never" => false,
        "OnFailure" => exit_code != 0,
        _ => true,
    }
}

/// The policy that counts for a container: its own, or the pod's.
#[must_use]
pub fn policy<'a>(container: &'a Container, spec: &'a PodSpec) -> &'a str {
    container.restart_policy.as_deref().or(spec.restart_policy.as_deref()).unwrap_or("Always")
}

/// Whether a plain init container, having failed, is tried again: `Always` of the pod means `OnFailure` here.
#[must_use]
pub fn init_restarts(container: &Container, spec: &PodSpec, exit_code: i32) -> bool {
    exit_code != 0 && restarts(container, spec, exit_code)
}
