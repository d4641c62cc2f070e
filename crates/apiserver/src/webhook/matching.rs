//! Which webhooks a request goes to: rules, scope, equivalent resources, selectors of namespaces and objects. Pure.
//! Docs: "Dynamic Admission Control: Matching requests".

use cache::Entry;
use kinds::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kinds::api::core::v1::Namespace;
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{ApiError, Kind, LabelSelector, Object, Resource, Selector};
use registry::Speaks;
use registry::admit::Ask;
use rules::Operation;
use rules::policies::Conditions;
use std::sync::Arc;
use std::time::Duration;

/// Waiting for a webhook that does not say how long.
const TIMEOUT_DEFAULT_S: i32 = 10;

/// Group, version and plural.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gvr {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
}

/// Group, version and kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gvk {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
}

/// One webhook of a configuration, taken apart.
pub(super) struct Hook {
    /// Configuration, name and how often that name came before: unique.
    pub(super) uid: String,
    pub(super) configuration: String,
    pub(super) name: String,
    rules: Vec<RuleWithOperations>,
    equivalent: bool,
    namespaces: Selector,
    objects: Selector,
    pub(super) ignore_failures: bool,
    /// Whether it can be called when nothing is to be kept.
    pub(super) dry_runs: bool,
    pub(super) again: bool,
    pub(super) timeout: Duration,
    pub(super) versions: Vec<String>,
    pub(super) client: WebhookClientConfig,
    /// Expressions that must all hold.
    pub(super) conditions: Conditions,
}

/// What a webhook is shown: the resource and kind that its rule matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invocation {
    pub(super) resource: Gvr,
    pub(super) kind: Gvk,
}

/// The webhooks of configurations as they stand in a table.
pub(super) struct Compiled {
    of: Vec<Arc<Entry>>,
    pub(super) hooks: Vec<Arc<Hook>>,
}

impl Compiled {
    /// Whether the table still has these very entries.
    pub(super) fn is_of(&self, table: &cache::Table) -> bool {
        self.of.len() == table.len() && self.of.iter().zip(table.iter()).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// Takes a table apart: configurations by name, webhooks in their order.
    pub(super) fn of(table: &cache::Table) -> Self {
        let of: Vec<_> = table.iter().cloned().collect();
        let mut hooks = Vec::new();
        for entry in &of {
            let first = hooks.len();
            match entry.object() {
                Object::MutatingWebhookConfiguration(c) => hooks.extend(mutating(c)),
                Object::ValidatingWebhookConfiguration(c) => hooks.extend(validating(c)),
                _ => {}
            }
            for i in first..hooks.len() {
                let before = hooks[first..i].iter().filter(|h| h.name == hooks[i].name).count();
                hooks[i].uid = format!("{}/{}/{before}", entry.key.name, hooks[i].name);
                hooks[i].configuration.clone_from(&entry.key.name);
            }
        }
        Self { of, hooks: hooks.into_iter().map(Arc::new).collect() }
    }
}

fn everything_unless(selector: Option<&LabelSelector>) -> Selector {
    selector.map_or_else(Selector::everything, |s| Selector::from_label_selector(Some(s)))
}

macro_rules! hook {
    ($w:expr, $again:expr) => {
        Hook {
            uid: String::new(),
            configuration: String::new(),
            name: $w.name.clone(),
            rules: $w.rules.clone().unwrap_or_default(),
            equivalent: $w.match_policy.as_deref() != Some("Exact"),
            namespaces: everything_unless($w.namespace_selector.as_ref()),
            objects: everything_unless($w.object_selector.as_ref()),
            ignore_failures: $w.failure_policy.as_deref() == Some("Ignore"),
            dry_runs: matches!($w.side_effects.as_str(), "None" | "NoneOnDryRun"),
            again: $again,
            timeout: Duration::from_secs(u64::try_from($w.timeout_seconds.unwrap_or(TIMEOUT_DEFAULT_S)).unwrap_or(1).max(1)),
            versions: $w.admission_review_versions.clone(),
            client: $w.client_config.clone(),
            conditions: Conditions::compile($w.match_conditions.as_deref().unwrap_or_default()),
        }
    };
}

fn mutating(c: &MutatingWebhookConfiguration) -> Vec<Hook> {
    let all = c.webhooks.iter().flatten();
    all.map(|w| hook!(w, w.reinvocation_policy.as_deref() == Some("IfNeeded"))).collect()
}

fn validating(c: &ValidatingWebhookConfiguration) -> Vec<Hook> {
    c.webhooks.iter().flatten().map(|w| hook!(w, false)).collect()
}

/// The operation as rules and reviews spell it.
pub(super) fn operation(o: Operation) -> &'static str {
    match o {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
        Operation::Connect => "CONNECT",
    }
}

/// Kinds that no webhook is ever asked about: a broken one could not be mended otherwise.
pub(super) fn is_exempt(resource: &Resource) -> bool {
    resource.builtin().is_some_and(|k| {
        let i = k.info();
        let kinds = ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"];
        let policies = ["ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"];
        i.group == "admissionregistration.k8s.io"
            && (kinds.contains(&i.kind) || policies.iter().any(|p| i.kind.strip_suffix("Binding").unwrap_or(i.kind) == *p))
    })
}

/// The namespace of a request as admission has it: a namespace is in itself.
pub(super) fn namespace<'a>(ask: &Ask<'a>) -> &'a str {
    if ask.request.resource.builtin() == Some(Kind::Namespace) { &ask.request.name } else { &ask.request.namespace }
}

fn of_kind(k: Kind) -> Gvr {
    let i = k.info();
    Gvr { group: i.group.into(), version: i.version.into(), plural: i.plural.into() }
}

/// The resource as the client named it, and the kind of what it sent.
pub(super) fn requested(ask: &Ask<'_>, object: Option<&Object>, old: Option<&Object>) -> Invocation {
    let resource = match (&ask.request.resource, &ask.caller.speaks) {
        (Resource::Builtin(_), Speaks::View(k)) => of_kind(*k),
        (Resource::Builtin(k), _) => of_kind(*k),
        (Resource::Custom(c), speaks) => {
            let own = object.or(old).map(Object::api_version).unwrap_or_default();
            let version = match speaks {
                Speaks::Version(v) => v.to_string(),
                _ => own.rsplit('/').next().unwrap_or_default().to_owned(),
            };
            Gvr { group: c.group.clone(), version, plural: c.plural.clone() }
        }
    };
    let kind = kind_of(ask, &resource, object);
    Invocation { resource, kind }
}

/// The kind that a resource's requests carry: its own, or that of the subresource.
fn kind_of(ask: &Ask<'_>, resource: &Gvr, object: Option<&Object>) -> Gvk {
    if let Some(c) = &ask.connect {
        return Gvk { group: String::new(), version: "v1".into(), kind: c.kind.into() };
    }
    let sub = ask.request.subresource;
    let other = object.filter(|_| matches!(sub, "scale" | "binding" | "eviction" | "token"));
    if let Some(o) = other {
        let api_version = o.api_version();
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        return Gvk { group: group.into(), version: version.into(), kind: o.kind_name().into() };
    }
    let name = match &ask.request.resource {
        Resource::Custom(c) => c.kind.clone(),
        Resource::Builtin(k) => {
            let view = Kind::from_gvr(&resource.group, &resource.version, &resource.plural);
            view.unwrap_or(*k).info().kind.to_owned()
        }
    };
    Gvk { group: resource.group.clone(), version: resource.version.clone(), kind: name }
}

/// Other names under which the same objects are served.
fn equivalents(ask: &Ask<'_>, own: &Gvr) -> Vec<Gvr> {
    let all: Vec<Gvr> = match &ask.request.resource {
        Resource::Builtin(k) => {
            let same = Kind::ALL.iter().filter(|o| o.stored_as() == k.stored_as());
            same.map(|o| of_kind(*o)).collect()
        }
        Resource::Custom(c) => {
            let name = format!("{}.{}", c.plural, c.group);
            let crd = ask.ctx.snapshot.get::<CustomResourceDefinition>("", &name);
            let served = crd.into_iter().flat_map(|d| &d.spec.versions).filter(|v| v.served);
            let of = |v: &str| Gvr { group: c.group.clone(), version: v.to_owned(), plural: c.plural.clone() };
            served.map(|v| of(&v.name)).collect()
        }
    };
    all.into_iter().filter(|g| g != own).collect()
}

fn listed(all: &Option<Vec<String>>, value: &str) -> bool {
    all.iter().flatten().any(|a| a == "*" || a == value)
}

fn rule_matches(rule: &RuleWithOperations, ask: &Ask<'_>, resource: &Gvr) -> bool {
    let sub = ask.request.subresource;
    let cluster = ask.request.resource.builtin() == Some(Kind::Namespace) || namespace(ask).is_empty();
    let scope = match rule.scope.as_deref() {
        Some("Namespaced") => !cluster,
        Some("Cluster") => cluster,
        _ => true,
    };
    let resources = rule.resources.iter().flatten().any(|r| {
        let (res, s) = r.split_once('/').unwrap_or((r, ""));
        (res == "*" || res == resource.plural) && (s == "*" || s == sub)
    });
    scope
        && resources
        && listed(&rule.operations, operation(ask.request.operation))
        && listed(&rule.api_groups, &resource.group)
        && listed(&rule.api_versions, &resource.version)
}

impl Hook {
    /// Whether its rules match, and as what.
    fn invocation(&self, ask: &Ask<'_>, asked: &Invocation) -> Option<Invocation> {
        if self.rules.iter().any(|r| rule_matches(r, ask, &asked.resource)) {
            return Some(asked.clone());
        }
        if !self.equivalent {
            return None;
        }
        let others = equivalents(ask, &asked.resource);
        let mut pairs = self.rules.iter().flat_map(|r| others.iter().map(move |o| (r, o)));
        let (_, found) = pairs.find(|(r, o)| rule_matches(r, ask, o))?;
        let own_kind = asked.kind.group == asked.resource.group && asked.kind.version == asked.resource.version;
        let kind = if own_kind {
            let view = Kind::from_gvr(&found.group, &found.version, &found.plural);
            let kind = view.map_or_else(|| asked.kind.kind.clone(), |k| k.info().kind.to_owned());
            Gvk { group: found.group.clone(), version: found.version.clone(), kind }
        } else {
            asked.kind.clone()
        };
        Some(Invocation { resource: found.clone(), kind })
    }

    /// Whether it is called for this request, and as what.
    ///
    /// # Errors
    /// 404 when its selector needs a namespace that is not there.
    pub(super) fn matches(
        &self,
        ask: &Ask<'_>,
        asked: &Invocation,
        (object, old): (Option<&Object>, Option<&Object>),
    ) -> Result<Option<Invocation>, ApiError> {
        let selected = in_selected_namespace(&self.namespaces, ask, object);
        if matches!(selected, Ok(false)) || !has_selected_labels(&self.objects, object, old) {
            return Ok(None);
        }
        let Some(found) = self.invocation(ask, asked) else { return Ok(None) };
        selected.map(|_| Some(found))
    }

    /// Whether its rules alone match: selectors are looked at later. The version of a custom resource counts as matching
    /// where nobody knows it yet.
    pub(super) fn may_match(&self, ask: &Ask<'_>, asked: &Invocation) -> bool {
        let open = asked.resource.version.is_empty();
        if open {
            let plain = |r: &RuleWithOperations| {
                let any = RuleWithOperations { api_versions: Some(vec!["*".into()]), ..r.clone() };
                rule_matches(&any, ask, &asked.resource)
            };
            return self.rules.iter().any(plain);
        }
        self.invocation(ask, asked).is_some()
    }
}

fn in_selected_namespace(selector: &Selector, ask: &Ask<'_>, object: Option<&Object>) -> Result<bool, ApiError> {
    let own = ask.request.resource.builtin() == Some(Kind::Namespace);
    let name = namespace(ask);
    if selector.is_everything() || (name.is_empty() && !own) {
        return Ok(true);
    }
    let written = matches!(ask.request.operation, Operation::Create | Operation::Update);
    if own && written && ask.request.subresource.is_empty() {
        return Ok(selector.matches(object.and_then(|o| o.meta().labels.as_ref())));
    }
    let found = ask.ctx.snapshot.get::<Namespace>("", name);
    let found = found.ok_or_else(|| ApiError::not_found(&Kind::Namespace.into(), name))?;
    Ok(selector.matches(found.metadata.labels.as_ref()))
}

fn has_selected_labels(selector: &Selector, object: Option<&Object>, old: Option<&Object>) -> bool {
    selector.is_everything()
        || [object, old].into_iter().flatten().any(|o| selector.matches(o.meta().labels.as_ref()))
}
