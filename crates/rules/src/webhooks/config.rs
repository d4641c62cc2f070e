//! Mutating and validating webhook configurations.

use crate::checks::complain;
use crate::meta::{self, Values};
use crate::names::{self, NameRule};
use crate::read::{items, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old};
use kinds::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhook,
    ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kinds::{FieldErrors, Kind, LabelSelector, Path};
use std::collections::BTreeSet;

/// How long a webhook may take by default and at most.
const TIMEOUT_S: i32 = 10;
const TIMEOUT_S_MAX: i32 = 30;
/// Versions of AdmissionReview that the API server speaks.
const REVIEWS: &[&str] = &["v1", "v1beta1"];

macro_rules! fill_webhook {
    ($w:expr) => {{
        let w = $w;
        w.failure_policy.get_or_insert_with(|| "Fail".into());
        w.match_policy.get_or_insert_with(|| "Equivalent".into());
        w.namespace_selector.get_or_insert_with(LabelSelector::default);
        w.object_selector.get_or_insert_with(LabelSelector::default);
        w.timeout_seconds.get_or_insert(TIMEOUT_S);
        if let Some(service) = &mut w.client_config.service {
            service.port.get_or_insert(443);
        }
        for r in w.rules.iter_mut().flatten() {
            r.scope.get_or_insert_with(|| "*".into());
        }
    }};
}

pub(crate) const MUTATING_ROW: Rules = Rules {
    default: edit!(MutatingWebhookConfiguration, |c: &mut MutatingWebhookConfiguration| {
        for w in c.webhooks.iter_mut().flatten() {
            fill_webhook!(&mut *w);
            w.reinvocation_policy.get_or_insert_with(|| "Never".into());
        }
    }),
    prepare_create: edit!(MutatingWebhookConfiguration, |c: &mut MutatingWebhookConfiguration| c.metadata.generation = Some(1)),
    prepare_update: edit_with_old!(MutatingWebhookConfiguration, |n: &mut MutatingWebhookConfiguration, o: &MutatingWebhookConfiguration| {
        let was = o.metadata.generation.unwrap_or_default();
        n.metadata.generation = Some(if n.webhooks == o.webhooks { was } else { was + 1 });
    }),
    validate: check!(MutatingWebhookConfiguration, mutating),
    validate_update: check_with_old!(MutatingWebhookConfiguration, |n: &MutatingWebhookConfiguration, _: &MutatingWebhookConfiguration, e: &mut FieldErrors| mutating(n, e)),
    allow_unconditional_update: false,
    ..Rules::plain(Kind::MutatingWebhookConfiguration, NameRule::DnsSubdomain)
};

pub(crate) const VALIDATING_ROW: Rules = Rules {
    default: edit!(ValidatingWebhookConfiguration, |c: &mut ValidatingWebhookConfiguration| {
        for w in c.webhooks.iter_mut().flatten() {
            fill_webhook!(&mut *w);
        }
    }),
    prepare_create: edit!(ValidatingWebhookConfiguration, |c: &mut ValidatingWebhookConfiguration| c.metadata.generation = Some(1)),
    prepare_update: edit_with_old!(ValidatingWebhookConfiguration, |n: &mut ValidatingWebhookConfiguration, o: &ValidatingWebhookConfiguration| {
        let was = o.metadata.generation.unwrap_or_default();
        n.metadata.generation = Some(if n.webhooks == o.webhooks { was } else { was + 1 });
    }),
    validate: check!(ValidatingWebhookConfiguration, validating),
    validate_update: check_with_old!(ValidatingWebhookConfiguration, |n: &ValidatingWebhookConfiguration, _: &ValidatingWebhookConfiguration, e: &mut FieldErrors| validating(n, e)),
    allow_unconditional_update: false,
    ..Rules::plain(Kind::ValidatingWebhookConfiguration, NameRule::DnsSubdomain)
};

/// What both kinds of webhook have in common.
struct Webhook<'a> {
    name: &'a str,
    rules: &'a [RuleWithOperations],
    failure_policy: &'a Option<String>,
    match_policy: &'a Option<String>,
    side_effects: &'a str,
    timeout_s: Option<i32>,
    namespaces: Option<&'a LabelSelector>,
    objects: Option<&'a LabelSelector>,
    client: &'a WebhookClientConfig,
    reviews: &'a [String],
    conditions: &'a [MatchCondition],
}

macro_rules! webhook {
    ($w:expr) => {
        Webhook {
            name: &$w.name,
            rules: items(&$w.rules),
            failure_policy: &$w.failure_policy,
            match_policy: &$w.match_policy,
            side_effects: &$w.side_effects,
            timeout_s: $w.timeout_seconds,
            namespaces: $w.namespace_selector.as_ref(),
            objects: $w.object_selector.as_ref(),
            client: &$w.client_config,
            reviews: &$w.admission_review_versions,
            conditions: items(&$w.match_conditions),
        }
    };
}

fn mutating(c: &MutatingWebhookConfiguration, e: &mut FieldErrors) {
    let all: &[MutatingWebhook] = items(&c.webhooks);
    let mut seen = BTreeSet::new();
    for (i, w) in all.iter().enumerate() {
        let at = Path::new("webhooks").index(i);
        check_webhook(&webhook!(w), &at, e);
        if w.reinvocation_policy.is_some() && !["IfNeeded", "Never"].contains(&s(&w.reinvocation_policy)) {
            e.not_supported(&at.child("reinvocationPolicy"), s(&w.reinvocation_policy), &["IfNeeded", "Never"]);
        }
        if !seen.insert(&w.name) {
            e.duplicate(&at.child("name"), &w.name);
        }
    }
}

fn validating(c: &ValidatingWebhookConfiguration, e: &mut FieldErrors) {
    let all: &[ValidatingWebhook] = items(&c.webhooks);
    let mut seen = BTreeSet::new();
    for (i, w) in all.iter().enumerate() {
        let at = Path::new("webhooks").index(i);
        check_webhook(&webhook!(w), &at, e);
        if !seen.insert(&w.name) {
            e.duplicate(&at.child("name"), &w.name);
        }
    }
}

fn check_webhook(w: &Webhook<'_>, at: &Path, e: &mut FieldErrors) {
    // The name is a domain of at least three labels.
    if w.name.is_empty() {
        e.required(&at.child("name"), "");
    } else {
        let why = names::dns_subdomain(w.name);
        let fits = why.is_empty();
        complain(&at.child("name"), w.name, why, e);
        if fits && w.name.split('.').count() < 3 {
            e.invalid(&at.child("name"), w.name, "should be a domain with at least three segments separated by dots");
        }
    }
    for (i, r) in w.rules.iter().enumerate() {
        rule(r, &at.child("rules").index(i), e);
    }
    let policies = |v: &Option<String>, allowed: &[&str], name: &str, e: &mut FieldErrors| {
        if v.is_some() && !allowed.contains(&s(v)) {
            e.not_supported(&at.child(name), s(v), allowed);
        }
    };
    policies(w.failure_policy, &["Fail", "Ignore"], "failurePolicy", e);
    policies(w.match_policy, &["Equivalent", "Exact"], "matchPolicy", e);
    if w.side_effects.is_empty() {
        e.required(&at.child("sideEffects"), "must specify one of None, NoneOnDryRun");
    } else if !["None", "NoneOnDryRun"].contains(&w.side_effects) {
        e.not_supported(&at.child("sideEffects"), w.side_effects, &["None", "NoneOnDryRun"]);
    }
    if let Some(n) = w.timeout_s.filter(|n| !(1..=TIMEOUT_S_MAX).contains(n)) {
        e.invalid(&at.child("timeoutSeconds"), n, format!("the timeout value must be between 1 and {TIMEOUT_S_MAX} seconds"));
    }
    meta::label_selector(w.namespaces, Values::Strict, &at.child("namespaceSelector"), e);
    meta::label_selector(w.objects, Values::Strict, &at.child("objectSelector"), e);
    client(w.client, &at.child("clientConfig"), e);
    reviews(w.reviews, &at.child("admissionReviewVersions"), e);
    conditions(w.conditions, &at.child("matchConditions"), e);
    crate::policies::condition_texts(w.conditions, &at.child("matchConditions"), e);
}

fn reviews(list: &[String], at: &Path, e: &mut FieldErrors) {
    if list.is_empty() {
        e.required(at, "must specify one of v1, v1beta1");
        return;
    }
    for (i, v) in list.iter().enumerate() {
        complain(&at.index(i), v, names::dns1035_label(v), e);
        if list[..i].contains(v) {
            e.invalid(&at.index(i), v, "duplicate version");
        }
    }
    if !list.iter().any(|v| REVIEWS.contains(&v.as_str())) {
        e.invalid(at, crate::json::list(list), "must include at least one of v1, v1beta1");
    }
}

fn client(c: &WebhookClientConfig, at: &Path, e: &mut FieldErrors) {
    match (&c.url, &c.service) {
        (None, None) | (Some(_), Some(_)) => e.required(at, "exactly one of url or service is required"),
        (Some(u), None) => url(u, &at.child("url"), e),
        (None, Some(x)) => service((&x.namespace, &x.name), x.path.as_deref(), x.port, &at.child("service"), e),
    }
}

/// The address of a webhook.
pub(crate) fn url(u: &str, at: &Path, e: &mut FieldErrors) {
    let (scheme, rest) = u.split_once("://").unwrap_or(("", ""));
    if scheme != "https" {
        e.invalid(at, scheme, "'https' is the only allowed URL scheme; desired format: https://host[/path]");
    }
    if rest.split('/').next().is_none_or(str::is_empty) {
        e.invalid(at, "", "host must be specified; desired format: https://host[/path]");
    }
    for (bad, what) in [('@', "user information is not permitted in the URL"), ('#', "fragments are not permitted in the URL"), ('?', "query parameters are not permitted in the URL")] {
        if u.contains(bad) {
            e.invalid(at, u, what);
        }
    }
}

/// The service that a webhook runs behind.
pub(crate) fn service((namespace, name): (&str, &str), path: Option<&str>, port: Option<i32>, at: &Path, e: &mut FieldErrors) {
    // Upstream says one where it means the other.
    for (told, v) in [("name", namespace), ("namespace", name)] {
        if v.is_empty() {
            e.required(&at.child(told), "");
        }
    }
    if let Some(n) = port {
        for m in names::port_number(n) {
            e.invalid(&at.child("port"), n, format!("port is not valid: {m}"));
        }
    }
    if let Some(p) = path.filter(|p| !p.is_empty() && *p != "/") {
        service_path(p, &at.child("path"), e);
    }
}

fn service_path(path: &str, at: &Path, e: &mut FieldErrors) {
    let Some(rest) = path.strip_prefix('/') else {
        e.invalid(at, path, "must start with a '/'");
        for why in names::dns_subdomain(path.split('/').next().unwrap_or_default()) {
            e.invalid(at, path, format!("segment[0]: {why}"));
        }
        return;
    };
    let segments: Vec<&str> = rest.strip_suffix('/').unwrap_or(rest).split('/').collect();
    for (i, segment) in segments.iter().enumerate() {
        if segment.is_empty() {
            e.invalid(at, path, format!("segment[{i}] may not be empty"));
            continue;
        }
        for why in names::dns_subdomain(segment) {
            e.invalid(at, path, format!("segment[{i}]: {why}"));
        }
    }
}

/// A rule that chooses requests.
pub(super) fn rule(r: &RuleWithOperations, at: &Path, e: &mut FieldErrors) {
    let lists = [("operations", &r.operations), ("apiGroups", &r.api_groups), ("apiVersions", &r.api_versions), ("resources", &r.resources)];
    for (name, list) in lists {
        let list = items(list);
        if list.is_empty() {
            e.required(&at.child(name), "");
        }
        if list.len() > 1 && list.iter().any(|x| x == "*") {
            let why = "if '*' is present, must not specify other ".to_owned()
                + match name {
                    "apiGroups" => "API groups",
                    "apiVersions" => "API versions",
                    "operations" => "operations",
                    _ => "resources",
                };
            e.invalid(&at.child(name), crate::json::list(list), why);
        }
    }
    for (name, list) in [("apiVersions", &r.api_versions), ("resources", &r.resources)] {
        for (i, _) in items(list).iter().enumerate().filter(|(_, v)| v.is_empty()) {
            e.required(&at.child(name).index(i), "");
        }
    }
    const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    for (i, o) in items(&r.operations).iter().enumerate() {
        if !OPERATIONS.contains(&o.as_str()) {
            e.not_supported(&at.child("operations").index(i), o, OPERATIONS);
        }
    }
    if r.scope.is_some() && !["*", "Cluster", "Namespaced"].contains(&s(&r.scope)) {
        e.not_supported(&at.child("scope"), s(&r.scope), &["*", "Cluster", "Namespaced"]);
    }
}

const CONDITIONS_MAX: usize = 64;

/// CEL conditions under which a webhook or policy is asked.
pub(super) fn conditions(list: &[MatchCondition], at: &Path, e: &mut FieldErrors) {
    if list.len() > CONDITIONS_MAX {
        e.too_many(at, list.len(), CONDITIONS_MAX);
    }
    for (i, c) in list.iter().enumerate() {
        let at = at.index(i);
        if c.expression.trim().is_empty() {
            e.required(&at.child("expression"), "");
        }
        if c.name.is_empty() {
            e.required(&at.child("name"), "");
        } else {
            complain(&at.child("name"), &c.name, names::qualified_name(&c.name), e);
        }
        if list[..i].iter().any(|x| x.name == c.name) {
            e.duplicate(&at.child("name"), &c.name);
        }
    }
}
