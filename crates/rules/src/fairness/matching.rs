//! Which FlowSchema a request matches, and which flow of it the request belongs to.

use crate::context::User;
use kinds::api::flowcontrol::v1::{FlowSchema, NonResourcePolicyRule, PolicyRulesWithSubjects, ResourcePolicyRule, Subject};

/// What matching looks at.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub user: &'a User,
    pub verb: &'a str,
    pub is_resource: bool,
    pub group: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    /// The URL path, for what is no resource.
    pub path: &'a str,
}

/// What tells flows of one schema apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distinguisher {
    None,
    ByUser,
    ByNamespace,
}

/// A FlowSchema made ready for matching.
#[derive(Clone, Debug)]
pub struct Schema {
    pub name: String,
    pub uid: String,
    pub precedence: i32,
    /// The priority level's name.
    pub level: String,
    pub distinguisher: Distinguisher,
    rules: Vec<PolicyRulesWithSubjects>,
    seed: u64,
}

impl Schema {
    /// From the object.
    #[must_use]
    pub fn new(object: &FlowSchema) -> Self {
        let name = object.metadata.name.clone().unwrap_or_default();
        let spec = object.spec.clone().unwrap_or_default();
        let distinguisher = match spec.distinguisher_method.as_ref().map(|m| m.type_.as_str()) {
            Some("ByUser") => Distinguisher::ByUser,
            Some("ByNamespace") => Distinguisher::ByNamespace,
            _ => Distinguisher::None,
        };
        Self {
            seed: hash_bytes(HASH_START, name.as_bytes()),
            uid: object.metadata.uid.clone().unwrap_or_default(),
            precedence: spec.matching_precedence.unwrap_or(1000),
            level: spec.priority_level_configuration.name,
            distinguisher,
            rules: spec.rules.unwrap_or_default(),
            name,
        }
    }

    /// Whether the request is one of this schema's.
    #[must_use]
    pub fn matches(&self, asked: &Asked<'_>) -> bool {
        self.rules.iter().any(|r| {
            r.subjects.iter().any(|s| subject(s, asked.user))
                && if asked.is_resource {
                    r.resource_rules.iter().flatten().any(|r| resource(r, asked))
                } else {
                    r.non_resource_rules.iter().flatten().any(|r| non_resource(r, asked))
                }
        })
    }

    /// The word that tells the request's flow from others of this schema.
    #[must_use]
    pub fn distinguish<'a>(&self, asked: &Asked<'a>) -> &'a str {
        match self.distinguisher {
            Distinguisher::None => "",
            Distinguisher::ByUser => &asked.user.name,
            Distinguisher::ByNamespace => asked.namespace,
        }
    }
}

/// The hash of one flow, from which its hand of queues is dealt.
#[must_use]
pub fn flow_hash(schema: &Schema, distinguisher: &str) -> u64 {
    mix(hash_bytes(schema.seed ^ 0x2c, distinguisher.as_bytes()))
}

/// FNV-1a's offset and prime.
const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;
const HASH_PRIME: u64 = 0x0100_0000_01b3;

fn hash_bytes(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |h, b| (h ^ u64::from(*b)).wrapping_mul(HASH_PRIME))
}

/// Spreads FNV's weak high bits (the finalizer of SplitMix64).
fn mix(mut h: u64) -> u64 {
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 31)
}

fn subject(s: &Subject, user: &User) -> bool {
    match s.kind.as_str() {
        "User" => s.user.as_ref().is_some_and(|u| u.name == "*" || u.name == user.name),
        "Group" => s.group.as_ref().is_some_and(|g| g.name == "*" || user.in_group(&g.name)),
        "ServiceAccount" => s.service_account.as_ref().is_some_and(|a| {
            user.service_account().is_some_and(|(ns, name)| a.namespace == ns && (a.name == "*" || a.name == name))
        }),
        _ => false,
    }
}

fn any(list: &[String], word: &str) -> bool {
    list.iter().any(|l| l == "*" || l == word)
}

fn resource(rule: &ResourcePolicyRule, a: &Asked<'_>) -> bool {
    let scope = if a.namespace.is_empty() {
        rule.cluster_scope.unwrap_or_default()
    } else {
        rule.namespaces.as_deref().is_some_and(|n| any(n, a.namespace))
    };
    scope && any(&rule.verbs, a.verb) && any(&rule.api_groups, a.group) && rule.resources.iter().any(|r| named(r, a))
}

fn named(rule: &str, a: &Asked<'_>) -> bool {
    if rule == "*" {
        return true;
    }
    match rule.split_once('/') {
        None => a.subresource.is_empty() && rule == a.resource,
        Some((r, s)) => r == a.resource && s == a.subresource,
    }
}

fn non_resource(rule: &NonResourcePolicyRule, a: &Asked<'_>) -> bool {
    any(&rule.verbs, a.verb)
        && rule.non_resource_urls.iter().any(|u| match u.strip_suffix('*') {
            Some(prefix) => a.path.starts_with(prefix),
            None => u == a.path,
        })
}
