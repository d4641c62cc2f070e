//! Which webhooks a request goes to: rules, scope, equivalent resources, selectors of namespaces and objects. Pure.
//! Docs: "Dynamic Admission Control: Matching requests".

use cache::Entry;
use kinds::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kinds::{ApiError, Kind, LabelSelector, Object, Resource, Selector};
use registry::admit::Ask;
use rules::policies::{Asked, Conditions, Invocation, Rule};
use std::sync::Arc;
use std::time::Duration;

/// Waiting for a webhook that does not say how long.
const TIMEOUT_DEFAULT_S: i32 = 10;

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

impl Hook {
    fn rules(&self) -> impl Iterator<Item = Rule<'_>> + Clone {
        self.rules.iter().map(Rule::from)
    }

    /// Whether it is called for this request, and as what.
    ///
    /// # Errors
    /// 404 when its selector needs a namespace that is not there.
    pub(super) fn matches(&self, asked: &Asked<'_>) -> Result<Option<Invocation>, ApiError> {
        let selected = asked.in_selected_namespace(&self.namespaces);
        if matches!(selected, Ok(false)) || !asked.has_selected_labels(&self.objects) {
            return Ok(None);
        }
        let Some(found) = asked.by_rules(self.rules(), self.equivalent) else { return Ok(None) };
        selected.map(|_| Some(found))
    }

    /// Whether its rules alone match: selectors are looked at later. The version of a custom resource counts as matching
    /// where nobody knows it yet.
    pub(super) fn may_match(&self, asked: &Asked<'_>) -> bool {
        if asked.named.resource.version.is_empty() {
            return asked.by_rules(self.rules().map(Rule::of_any_version), false).is_some();
        }
        asked.by_rules(self.rules(), self.equivalent).is_some()
    }
}
