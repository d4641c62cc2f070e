//! How Kubernetes names operations, tags and the models of custom resources.

/// Splits a group into words: `rbac.authorization.k8s.io` is `rbac`, `authorization`; the core group is `core`.
fn words(group: &str) -> impl Iterator<Item = &str> {
    let group = if group.is_empty() { "core" } else { group.strip_suffix(".k8s.io").unwrap_or(group) };
    group.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty())
}

/// A word with its first letter in upper case.
pub(super) fn title(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|c| c.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// `RbacAuthorization`.
pub(super) fn group_title(group: &str) -> String {
    words(group).map(title).collect()
}

/// `rbacAuthorization`.
pub(super) fn group_tag(group: &str) -> String {
    let titled = group_title(group);
    let mut letters = titled.chars();
    letters.next().map(|c| c.to_ascii_lowercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// `RbacAuthorizationV1`, as it stands in operation ids.
pub(super) fn version_title(group: &str, version: &str) -> String {
    group_title(group) + &title(version)
}

/// `rbacAuthorization_v1`.
pub(super) fn version_tag(group: &str, version: &str) -> String {
    format!("{}_{version}", group_tag(group))
}

/// `com.example.stable.v1.CronTab` for a kind of group `stable.example.com`.
pub(super) fn model(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.split('.').collect();
    parts.reverse();
    format!("{}.{version}.{kind}", parts.join("."))
}

/// A noun with its article: `a Pod`, `an Ingress`; plurals have none.
pub(super) fn with_article(noun: &str) -> String {
    let plural = noun.ends_with('s') && !noun.ends_with("ss");
    match noun.chars().next() {
        _ if plural => noun.to_owned(),
        Some(c) if "AEIOUaeiou".contains(c) => format!("an {noun}"),
        _ => format!("a {noun}"),
    }
}
