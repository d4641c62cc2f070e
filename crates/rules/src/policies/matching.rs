//! Which writes a policy or binding is about: rules, exclusions, equivalent resources, selectors of namespaces and objects.
//! Docs: "Match constraints".

use crate::context::{Ctx, Operation, Request};
use crate::read::items;
use kinds::api::admissionregistration::v1::{MatchResources, NamedRuleWithOperations};
use kinds::api::core::v1::Namespace;
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{ApiError, Kind, LabelSelector, Object, Resource, Selector};

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

/// A write, as policies are asked about it.
pub struct Asked<'a> {
    pub ctx: &'a Ctx<'a>,
    pub request: &'a Request,
    /// The resource and kind as the client named them.
    pub resource: Gvr,
    pub kind: Gvk,
    pub object: Option<&'a Object>,
    pub old: Option<&'a Object>,
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
        EXEMPT.iter().any(|(group, plurals)| *group == self.resource.group && plurals.contains(&&*self.resource.plural))
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
        all.into_iter().filter(|g| *g != self.resource).collect()
    }

    /// Whether the write is matched, and as what.
    ///
    /// # Errors
    /// A selector that needs a namespace which is not there.
    pub fn matched(&self, m: Option<&MatchResources>) -> Result<Option<(Gvr, Gvk)>, ApiError> {
        let own = || (self.resource.clone(), self.kind.clone());
        let Some(m) = m else { return Ok(Some(own())) };
        let namespaced = self.in_selected_namespace(m.namespace_selector.as_ref());
        if matches!(namespaced, Ok(false)) || !self.has_selected_labels(m.object_selector.as_ref()) {
            return Ok(None);
        }
        let equivalent = m.match_policy.as_deref() != Some("Exact");
        if self.by_rules(items(&m.exclude_resource_rules), equivalent).is_some() {
            return Ok(None);
        }
        let rules = items(&m.resource_rules);
        let found = if rules.is_empty() { Some(own()) } else { self.by_rules(rules, equivalent) };
        match found {
            Some(found) => namespaced.map(|_| Some(found)),
            None => Ok(None),
        }
    }

    fn by_rules(&self, rules: &[NamedRuleWithOperations], equivalent: bool) -> Option<(Gvr, Gvk)> {
        if rules.iter().any(|r| self.fits(r, &self.resource)) {
            return Some((self.resource.clone(), self.kind.clone()));
        }
        if !equivalent || rules.is_empty() {
            return None;
        }
        let others = self.equivalents();
        let found = rules.iter().find_map(|r| others.iter().find(|o| self.fits(r, o)))?;
        let kind = Kind::from_gvr(&found.group, &found.version, &found.plural);
        let kind = kind.map_or_else(|| self.kind.kind.clone(), |k| k.info().kind.to_owned());
        Some((found.clone(), Gvk { group: found.group.clone(), version: found.version.clone(), kind }))
    }

    fn fits(&self, rule: &NamedRuleWithOperations, resource: &Gvr) -> bool {
        let listed = |all: &Option<Vec<String>>, value: &str| items(all).iter().any(|a| a == "*" || a == value);
        let cluster = self.request.resource.builtin() == Some(Kind::Namespace) || self.namespace().is_empty();
        let scope = match rule.scope.as_deref() {
            Some("Namespaced") => !cluster,
            Some("Cluster") => cluster,
            _ => true,
        };
        let resources = items(&rule.resources).iter().any(|r| {
            let (plural, sub) = r.split_once('/').unwrap_or((r, ""));
            (plural == "*" || plural == resource.plural) && (sub == "*" || sub == self.request.subresource)
        });
        let names = items(&rule.resource_names);
        scope
            && resources
            && (names.is_empty() || names.contains(&self.request.name))
            && listed(&rule.operations, super::operation(self.request.operation))
            && listed(&rule.api_groups, &resource.group)
            && listed(&rule.api_versions, &resource.version)
    }

    fn in_selected_namespace(&self, selector: Option<&LabelSelector>) -> Result<bool, ApiError> {
        let Some(selector) = selector.map(|s| Selector::from_label_selector(Some(s))) else { return Ok(true) };
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

    fn has_selected_labels(&self, selector: Option<&LabelSelector>) -> bool {
        let Some(selector) = selector.map(|s| Selector::from_label_selector(Some(s))) else { return true };
        selector.is_everything()
            || [self.object, self.old].into_iter().flatten().any(|o| selector.matches(o.meta().labels.as_ref()))
    }
}
