//! The audit policy: what is recorded of whom. The first rule that fits decides. Docs: "Auditing: Audit policy".

use crate::request::RequestInfo;
use rules::User;
use serde::Deserialize;

/// How much is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Level {
    None,
    Metadata,
    Request,
    RequestResponse,
}

impl Level {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }
}

/// A moment in a request's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Stage {
    RequestReceived,
    ResponseStarted,
    ResponseComplete,
    Panic,
}

impl Stage {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}

/// Resources of one group.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct GroupResources {
    group: String,
    resources: Vec<String>,
    resource_names: Vec<String>,
}

/// One rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    level: Level,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    user_groups: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    resources: Vec<GroupResources>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    #[serde(default)]
    omit_managed_fields: Option<bool>,
}

/// The whole policy.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    api_version: String,
    kind: String,
    #[serde(default)]
    #[expect(dead_code, reason = "allowed in the file, means nothing")]
    metadata: serde_json::Value,
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    #[serde(default)]
    omit_managed_fields: bool,
}

/// What is to be recorded of one request.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) level: Level,
    pub(crate) omit_stages: Vec<Stage>,
    pub(crate) omit_managed_fields: bool,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, super::AuditError> {
        let bad = |e: String| super::AuditError::Policy(e);
        let tree = codec::yaml::parse(text).map_err(|e| bad(e.to_string()))?.value;
        let policy: Self = serde_json::from_value(tree).map_err(|e| bad(e.to_string()))?;
        if policy.api_version != "audit.k8s.io/v1" || policy.kind != "Policy" {
            return Err(bad(format!("unknown group version field {} in policy", policy.api_version)));
        }
        if policy.rules.is_empty() {
            return Err(bad("loaded illegal policy with 0 rules".to_owned()));
        }
        for (i, rule) in policy.rules.iter().enumerate() {
            rule.check(i).map_err(bad)?;
        }
        Ok(policy)
    }

    pub(crate) fn judge(&self, info: &RequestInfo, user: Option<&User>) -> Wanted {
        for rule in self.rules.iter().filter(|r| r.fits(info, user)) {
            let omit_stages = self.omit_stages.iter().chain(&rule.omit_stages).copied().collect();
            let omit_managed_fields = rule.omit_managed_fields.unwrap_or(self.omit_managed_fields);
            return Wanted { level: rule.level, omit_stages, omit_managed_fields };
        }
        Wanted { level: Level::None, omit_stages: self.omit_stages.clone(), omit_managed_fields: self.omit_managed_fields }
    }
}

impl Rule {
    fn check(&self, index: usize) -> Result<(), String> {
        let about_resources = !self.resources.is_empty() || !self.namespaces.is_empty();
        if about_resources && !self.non_resource_urls.is_empty() {
            return Err(format!(
                "rules[{index}].nonResourceURLs: Invalid value: {:?}: rules cannot apply to both regular resources and non-resource URLs",
                self.non_resource_urls
            ));
        }
        for url in &self.non_resource_urls {
            if url == "*" {
                continue;
            }
            if !url.starts_with('/') {
                return Err(format!("rules[{index}].nonResourceURLs: Invalid value: {url:?}: non-resource URL rules must begin with a '/' character"));
            }
            if url.find('*').is_some_and(|at| at + 1 < url.len()) {
                return Err(format!("rules[{index}].nonResourceURLs: Invalid value: {url:?}: non-resource URL wildcards '*' must be the final character of the rule"));
            }
        }
        for g in self.resources.iter().filter(|g| !g.resource_names.is_empty() && g.resources.is_empty()) {
            return Err(format!("rules[{index}].resources.resourceNames: Invalid value: {:?}: using resourceNames requires at least one resource", g.resource_names));
        }
        Ok(())
    }

    fn fits(&self, info: &RequestInfo, user: Option<&User>) -> bool {
        // Rules for users and groups mean nobody who is not known.
        if !self.users.is_empty() && user.is_none_or(|u| !self.users.contains(&u.name)) {
            return false;
        }
        if !self.user_groups.is_empty() && user.is_none_or(|u| !self.user_groups.iter().any(|g| u.in_group(g))) {
            return false;
        }
        if !self.verbs.is_empty() && !self.verbs.iter().any(|v| v == info.verb) {
            return false;
        }
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            return info.is_resource && self.fits_resource(info);
        }
        if !self.non_resource_urls.is_empty() {
            return !info.is_resource && self.non_resource_urls.iter().any(|u| fits_path(u, &info.path));
        }
        true
    }

    fn fits_resource(&self, info: &RequestInfo) -> bool {
        if !self.namespaces.is_empty() && !self.namespaces.contains(&info.namespace) {
            return false;
        }
        self.resources.is_empty() || self.resources.iter().any(|g| g.group == info.group && g.names(info))
    }
}

impl GroupResources {
    fn names(&self, info: &RequestInfo) -> bool {
        if self.resources.is_empty() {
            return true;
        }
        let named = self.resource_names.is_empty() || self.resource_names.contains(&info.name);
        named && self.resources.iter().any(|r| match r.split_once('/') {
            None if r == "*" => true,
            None => info.subresource.is_empty() && *r == info.resource,
            Some((res, "*")) => res == info.resource,
            Some((res, sub)) => (res == "*" || res == info.resource) && sub == info.subresource,
        })
    }
}

fn fits_path(rule: &str, path: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => rule == path,
    }
}
