//! Which writes a policy, a binding or a webhook is about: rules, exclusions, equivalent resources, selectors of namespaces
//! and objects. Docs: "Match constraints"; "Dynamic Admission Control: Matching requests".

use crate::context::{Ctx, Operation, Request};
use crate::read::items;
use kinds::api::admissionregistration::v1::{MatchResources, NamedRuleWithOperations, RuleWithOperations};
use kinds::api::core::v1::Namespace;
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{ApiError, Kind, LabelSelector, Object, Resource, Selector};
use serde_json::Value;

/// What no policy is asked about, by group. Docs: "API kinds exempt from admission validation".
const EXEMPT: &[(&str, &[&str])] = &[
    ("admissionregistration.k8s.io", &[
        "validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
    ]),
    ("authentication.k8s.io", &["selfsubjectreviews", "tokenreviews"]),
    ("authorization.k8s.io", &[
        "localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews",
    ]),
];

/// Group, version and plural.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gvr {
    pub group: String,
    pub version: String,
    pub plural: String,
}

/// Group, version and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gvk {
    pub group: String,
    pub version: String,
    pub kind: String,
}

impl Gvk {
    /// What a tree says that it is.
    #[must_use]
    pub fn of(tree: &Value) -> Self {
        let text = |key: &str| tree[key].as_str().unwrap_or_default();
        let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        Self { group: group.into(), version: version.into(), kind: text("kind").into() }
    }

    /// `group/version`, or the version alone in the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// A resource and the kind of what is sent to it: as the client named them, or as the rule that matched does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    pub resource: Gvr,
    pub kind: Gvk,
}

/// A write, as policies and webhooks are asked about it.
pub struct Asked<'a> {
    pub ctx: &'a Ctx<'a>,
    pub request: &'a Request,
    /// As the client named them.
    pub named: Invocation,
    pub object: Option<&'a Object>,
    pub old: Option<&'a Object>,
}

/// One rule, of a policy or of a webhook.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'r> {
    /// Names of objects; none: any.
    names: &'r [String],
    operations: &'r [String],
    groups: &'r [String],
    /// `None`: any.
    versions: Option<&'r [String]>,
    resources: &'r [String],
    scope: Option<&'r str>,
}

impl<'r> From<&'r NamedRuleWithOperations> for Rule<'r> {
    fn from(r: &'r NamedRuleWithOperations) -> Self {
        Self {
            names: items(&r.resource_names),
            operations: items(&r.operations),
            groups: items(&r.api_groups),
            versions: Some(items(&r.api_versions)),
            resources: items(&r.resources),
            scope: r.scope.as_deref(),
        }
    }
}

impl<'r> From<&'r RuleWithOperations> for Rule<'r> {
    fn from(r: &'r RuleWithOperations) -> Self {
        Self {
            names: &[],
            operations: items(&r.operations),
            groups: items(&r.api_groups),
            versions: Some(items(&r.api_versions)),
            resources: items(&r.resources),
            scope: r.scope.as_deref(),
        }
    }
}

impl Rule<'_> {
    /// The same for any version.
    #[must_use]
    pub fn of_any_version(self) -> Self {
        Self { versions: None, ..self }
    }
}

fn of_kind(k: Kind) -> Gvr {
    let i = k.info();
    Gvr { group: i.group.into(), version: i.version.into(), plural: i.plural.into() }
}

impl Asked<'_> {
    /// The namespace of the request; a namespace is in itself.
    #[must_use]
    pub fn namespace(&self) -> &str {
        if self.request.resource.builtin() == Some(Kind::Namespace) { &self.request.name } else { &self.request.namespace }
    }

    /// Whether policies are never asked: a broken one could not be mended otherwise, and nobody could ask who may do what.
    #[must_use]
    pub fn is_exempt(&self) -> bool {
        EXEMPT.iter().any(|(group, plurals)| *group == self.named.resource.group && plurals.contains(&&*self.named.resource.plural))
    }

    /// Other names under which the same objects are served.
    fn equivalents(&self) -> Vec<Gvr> {
        let all: Vec<Gvr> = match &self.request.resource {
            Resource::Builtin(k) => {
                let same = Kind::ALL.iter().filter(|o| o.stored_as() == k.stored_as());
                same.map(|o| of_kind(*o)).collect()
            }
            Resource::Custom(c) => {
                let crd = self.ctx.snapshot.get::<CustomResourceDefinition>("", &format!("{}.{}", c.plural, c.group));
                let served = crd.into_iter().flat_map(|d| &d.spec.versions).filter(|v| v.served);
                served.map(|v| Gvr { group: c.group.clone(), version: v.name.clone(), plural: c.plural.clone() }).collect()
            }
        };
        all.into_iter().filter(|g| *g != self.named.resource).collect()
    }

    /// Whether the write is matched, and as what.
    ///
    /// # Errors
    /// A selector that needs a namespace which is not there.
    pub fn matched(&self, m: Option<&MatchResources>) -> Result<Option<Invocation>, ApiError> {
        let Some(m) = m else { return Ok(Some(self.named.clone())) };
        let selector = |s: &Option<LabelSelector>| s.as_ref().map_or_else(Selector::everything, |s| Selector::from_label_selector(Some(s)));
        let namespaced = self.in_selected_namespace(&selector(&m.namespace_selector));
        if matches!(namespaced, Ok(false)) || !self.has_selected_labels(&selector(&m.object_selector)) {
            return Ok(None);
        }
        let equivalent = m.match_policy.as_deref() != Some("Exact");
        let by = |rules: &[NamedRuleWithOperations]| self.by_rules(rules.iter().map(Rule::from), equivalent);
        if by(items(&m.exclude_resource_rules)).is_some() {
            return Ok(None);
        }
        let rules = items(&m.resource_rules);
        let found = if rules.is_empty() { Some(self.named.clone()) } else { by(rules) };
        match found {
            Some(found) => namespaced.map(|_| Some(found)),
            None => Ok(None),
        }
    }

    /// What the first rule that fits knows the write as; with `equivalent`, other versions of the resource fit too.
    pub fn by_rules<'r>(&self, rules: impl Iterator<Item = Rule<'r>> + Clone, equivalent: bool) -> Option<Invocation> {
        let own = &self.named;
        if rules.clone().any(|r| self.fits(&r, &own.resource)) {
            return Some(own.clone());
        }
        if !equivalent || rules.clone().next().is_none() {
            return None;
        }
        let others = self.equivalents();
        let mut rules = rules;
        let found = rules.find_map(|r| others.iter().find(|o| self.fits(&r, o)))?;
        // A subresource's kind is the same under every name of its resource.
        let resources_own = (&own.kind.group, &own.kind.version) == (&own.resource.group, &own.resource.version);
        let kind = if resources_own {
            let kind = Kind::from_gvr(&found.group, &found.version, &found.plural);
            let kind = kind.map_or_else(|| own.kind.kind.clone(), |k| k.info().kind.to_owned());
            Gvk { group: found.group.clone(), version: found.version.clone(), kind }
        } else {
            own.kind.clone()
        };
        Some(Invocation { resource: found.clone(), kind })
    }

    fn fits(&self, rule: &Rule<'_>, resource: &Gvr) -> bool {
        let listed = |all: &[String], value: &str| all.iter().any(|a| a == "*" || a == value);
        let cluster = self.request.resource.builtin() == Some(Kind::Namespace) || self.namespace().is_empty();
        let scope = match rule.scope {
            Some("Namespaced") => !cluster,
            Some("Cluster") => cluster,
            _ => true,
        };
        let resources = rule.resources.iter().any(|r| {
            let (plural, sub) = r.split_once('/').unwrap_or((r, ""));
            (plural == "*" || plural == resource.plural) && (sub == "*" || sub == self.request.subresource)
        });
        scope
            && resources
            && (rule.names.is_empty() || rule.names.contains(&self.request.name))
            && listed(rule.operations, super::operation(self.request.operation))
            && listed(rule.groups, &resource.group)
            && rule.versions.is_none_or(|v| listed(v, &resource.version))
    }

    /// Whether the namespace of the write is selected.
    ///
    /// # Errors
    /// 404 when the selector needs a namespace that is not there.
    pub fn in_selected_namespace(&self, selector: &Selector) -> Result<bool, ApiError> {
        let own = self.request.resource.builtin() == Some(Kind::Namespace);
        let name = self.namespace();
        if selector.is_everything() || (name.is_empty() && !own) {
            return Ok(true);
        }
        let written = matches!(self.request.operation, Operation::Create | Operation::Update);
        if own && written && self.request.subresource.is_empty() {
            return Ok(selector.matches(self.object.and_then(|o| o.meta().labels.as_ref())));
        }
        let found = self.ctx.snapshot.get::<Namespace>("", name);
        let found = found.ok_or_else(|| ApiError::not_found(&Kind::Namespace.into(), name))?;
        Ok(selector.matches(found.metadata.labels.as_ref()))
    }

    /// Whether the object, or the one that was, has labels that are selected.
    #[must_use]
    pub fn has_selected_labels(&self, selector: &Selector) -> bool {
        selector.is_everything()
            || [self.object, self.old].into_iter().flatten().any(|o| selector.matches(o.meta().labels.as_ref()))
    }
}
