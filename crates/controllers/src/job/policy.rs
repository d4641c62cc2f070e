//! The pod failure policy and the success policy.
//!
//! Docs: "Jobs: pod failure policy", "success policy"; KEP-3329, KEP-3998.

use super::indexes::parse;
use kinds::api::batch::v1::{JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule, SuccessPolicy};
use kinds::api::core::v1::Pod;
use std::collections::BTreeSet;

/// What a rule says of a failed pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Count,
    Ignore,
    FailIndex,
    /// With the message of the condition.
    FailJob(String),
}

/// The verdict of the first rule that matches.
pub(super) fn verdict(spec: &JobSpec, pod: &Pod) -> Verdict {
    for (n, rule) in spec.pod_failure_policy.iter().flat_map(|p| &p.rules).enumerate() {
        if let Some(why) = matching(rule, n, pod) {
            return match rule.action.as_str() {
                "FailJob" => Verdict::FailJob(why),
                "Ignore" => Verdict::Ignore,
                "FailIndex" if spec.backoff_limit_per_index.is_some() => Verdict::FailIndex,
                _ => Verdict::Count,
            };
        }
    }
    Verdict::Count
}

fn matching(rule: &PodFailurePolicyRule, n: usize, pod: &Pod) -> Option<String> {
    let (ns, name) = (pod.metadata.namespace.as_deref().unwrap_or_default(), pod.metadata.name.as_deref().unwrap_or_default());
    if let Some(codes) = &rule.on_exit_codes {
        let (container, code) = exit_code(codes, pod)?;
        let action = &rule.action;
        return Some(format!(
            "Container {container} for pod {ns}/{name} failed with exit code {code} matching {action} rule at index {n}"
        ));
    }
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    let wanted = rule.on_pod_conditions.iter().flatten();
    let found = wanted.into_iter().find_map(|w| {
        let status = w.status.as_deref().unwrap_or("True");
        conditions.into_iter().flatten().find(|c| c.type_ == w.type_ && c.status == status)
    })?;
    Some(format!("Pod {ns}/{name} has condition {} matching {} rule at index {n}", found.type_, rule.action))
}

fn exit_code(wanted: &PodFailurePolicyOnExitCodesRequirement, pod: &Pod) -> Option<(String, i32)> {
    let status = pod.status.as_ref()?;
    let all = status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten());
    all.filter(|c| wanted.container_name.as_ref().is_none_or(|n| *n == c.name)).find_map(|c| {
        let code = c.state.as_ref()?.terminated.as_ref()?.exit_code;
        let listed = wanted.values.contains(&code);
        let matches = code != 0 && if wanted.operator == "In" { listed } else { !listed };
        matches.then(|| (c.name.clone(), code))
    })
}

/// The index of the first success rule that the completed indexes satisfy.
pub(super) fn success(policy: &SuccessPolicy, completed: &BTreeSet<i32>, completions: i32) -> Option<usize> {
    policy.rules.iter().position(|r| {
        let among = r.succeeded_indexes.as_deref().map(|t| parse(Some(t), completions));
        let have = among.as_ref().map_or(completed.len(), |a| a.intersection(completed).count());
        let need = match (r.succeeded_count, &among) {
            (Some(n), _) => usize::try_from(n).unwrap_or(0),
            (None, Some(a)) => a.len(),
            (None, None) => return false,
        };
        have >= need
    })
}
