//! Spellings: durations as Go prints them, pods as the kubelet's messages name them, shell-like `$(VAR)` expansion.

use kinds::api::core::v1::Pod;
use std::collections::BTreeMap;

/// A duration in milliseconds as Go's `time.Duration` prints it: `345ms`, `1.2s`, `1m5s`, `5m0s`.
#[must_use]
pub fn go_duration(ms: u64) -> String {
    let seconds = |ms: u64| {
        let (whole, rest) = (ms / 1000, ms % 1000);
        if rest == 0 {
            format!("{whole}s")
        } else {
            format!("{whole}.{}s", format!("{rest:03}").trim_end_matches('0'))
        }
    };
    match ms {
        0 => "0s".to_owned(),
        1..1000 => format!("{ms}ms"),
        1000..60_000 => seconds(ms),
        60_000..3_600_000 => format!("{}m{}", ms / 60_000, seconds(ms % 60_000)),
        _ => format!("{}h{}m{}", ms / 3_600_000, ms / 60_000 % 60, seconds(ms % 60_000)),
    }
}

/// `name_namespace(uid)`: how the kubelet names a pod in messages.
#[must_use]
pub fn pod_text(pod: &Pod) -> String {
    let m = &pod.metadata;
    let part = |s: &Option<String>| s.clone().unwrap_or_default();
    format!("{}_{}({})", part(&m.name), part(&m.namespace), part(&m.uid))
}

/// Replaces `$(NAME)` with its value; unknown references stay as they are, `$$(` is a literal `$(`.
#[must_use]
pub fn expand(input: &str, vars: &BTreeMap<String, String>) -> String {
    let (mut out, mut rest) = (String::with_capacity(input.len()), input);
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        if let Some(after) = tail.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = tail.strip_prefix('(').and_then(|t| t.split_once(')')) {
            match vars.get(name) {
                Some(v) => out.push_str(v),
                None => out.push_str(&rest[at..=at + name.len() + 2]),
            }
            rest = after;
        } else {
            out.push('$');
            rest = tail;
        }
    }
    out.push_str(rest);
    out
}
