//! Completion indexes: on pods, and as the intervals of the status (`0-2,5`).

use kinds::api::core::v1::Pod;
use std::collections::BTreeSet;

/// The label and annotation that carry a pod's index.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// The pod's index.
pub(super) fn index_of(pod: &Pod) -> Option<i32> {
    let of = |m: &Option<std::collections::BTreeMap<String, String>>| m.as_ref()?.get(INDEX)?.parse().ok();
    of(&pod.metadata.annotations).or_else(|| of(&pod.metadata.labels)).filter(|n| *n >= 0)
}

/// Reads intervals, keeping indexes below `completions`.
pub(super) fn parse(text: Option<&str>, completions: i32) -> BTreeSet<i32> {
    let mut out = BTreeSet::new();
    for part in text.unwrap_or_default().split(',').filter(|p| !p.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(from), Ok(to)) = (from.parse::<i32>(), to.parse::<i32>()) {
            out.extend(from.max(0)..=to.min(completions - 1));
        }
    }
    out
}

/// Writes intervals; two neighbours are a list, three are a range.
pub(super) fn format(set: &BTreeSet<i32>) -> String {
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for n in set {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == *n => *end = *n,
            _ => runs.push((*n, *n)),
        }
    }
    let text = |(a, b): &(i32, i32)| match b - a {
        0 => a.to_string(),
        1 => format!("{a},{b}"),
        _ => format!("{a}-{b}"),
    };
    runs.iter().map(text).collect::<Vec<_>>().join(",")
}
