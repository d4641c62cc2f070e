//! FlowSchemas and PriorityLevelConfigurations. Docs: "API Priority and Fairness".

use crate::checks::{complain, present};
use crate::names::{self, NameRule};
use crate::read::items;
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, fresh, keep_spec, keep_status};
use kinds::api::flowcontrol::v1::{
    FlowSchema, FlowSchemaSpec, NonResourcePolicyRule, PriorityLevelConfiguration, QueuingConfiguration, ResourcePolicyRule, Subject,
};
use kinds::{FieldErrors, Kind, Path};

pub(crate) const SCHEMA_ROW: Rules = Rules {
    default: edit!(FlowSchema, |f: &mut FlowSchema| {
        let spec = f.spec.get_or_insert_default();
        if spec.matching_precedence.unwrap_or_default() == 0 {
            spec.matching_precedence = Some(1000);
        }
    }),
    prepare_create: fresh!(FlowSchema, FlowSchema),
    prepare_update: keep_status!(FlowSchema, FlowSchema),
    prepare_status_update: keep_spec!(FlowSchema, FlowSchema),
    validate: check!(FlowSchema, schema),
    validate_update: check_with_old!(FlowSchema, |n: &FlowSchema, _: &FlowSchema, e: &mut FieldErrors| schema(n, e)),
    validate_status_update: check_with_old!(FlowSchema, |n: &FlowSchema, _: &FlowSchema, e: &mut FieldErrors| {
        let types = n.status.iter().flat_map(|s| items(&s.conditions)).map(|c| c.type_.as_deref().unwrap_or_default());
        condition_types(types, e);
    }),
    ..Rules::plain(Kind::FlowSchema, NameRule::DnsSubdomain)
};

const PRECEDENCE_MAX: i32 = 10_000;
/// Who a flow can be from.
const SUBJECTS: &[&str] = &["Group", "ServiceAccount", "User"];

fn schema(f: &FlowSchema, e: &mut FieldErrors) {
    let none = FlowSchemaSpec::default();
    let spec = f.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    let p = spec.matching_precedence.unwrap_or_default();
    if p <= 0 {
        e.invalid(&path.child("matchingPrecedence"), p, "must be a positive value");
    }
    if p > PRECEDENCE_MAX {
        e.invalid(&path.child("matchingPrecedence"), p, format!("must not be greater than {PRECEDENCE_MAX}"));
    }
    let exempt = f.metadata.name.as_deref() == Some("exempt");
    if p == 1 && !exempt {
        e.invalid(&path.child("matchingPrecedence"), p, "only the schema named 'exempt' may have matchingPrecedence 1");
    }
    if let Some(m) = &spec.distinguisher_method {
        if !["ByNamespace", "ByUser"].contains(&m.type_.as_str()) {
            let shown = kinds::field::Bare(format!("{{\"Type\":{:?}}}", m.type_));
            e.not_supported(&path.child("distinguisherMethod").child("type"), shown, &["ByNamespace", "ByUser"]);
        }
    }
    let name = &spec.priority_level_configuration.name;
    if name.is_empty() {
        e.required(&path.child("priorityLevelConfiguration").child("name"), "must reference a priority level");
    } else {
        complain(&path.child("priorityLevelConfiguration").child("name"), name, names::dns_subdomain(name), e);
    }
    for (i, r) in items(&spec.rules).iter().enumerate() {
        let at = path.child("rules").index(i);
        if r.subjects.is_empty() {
            e.required(&at.child("subjects"), "subjects must contain at least one value");
        }
        for (j, x) in r.subjects.iter().enumerate() {
            subject(x, &at.child("subjects").index(j), e);
        }
        if items(&r.resource_rules).is_empty() && items(&r.non_resource_rules).is_empty() {
            e.required(&at, "at least one of resourceRules and nonResourceRules has to be non-empty");
        }
        for (j, x) in items(&r.resource_rules).iter().enumerate() {
            resource_rule(x, &at.child("resourceRules").index(j), e);
        }
        for (j, x) in items(&r.non_resource_rules).iter().enumerate() {
            path_rule(x, &at.child("nonResourceRules").index(j), e);
        }
    }
}

const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

/// The verbs of a rule: known ones, or all.
fn verbs(list: &[String], at: &Path, e: &mut FieldErrors) {
    let at = at.child("verbs");
    if list.is_empty() {
        e.required(&at, "verbs must contain at least one value");
    } else if list.iter().any(|v| v == "*") {
        if list.len() > 1 {
            e.invalid(&at, crate::json::list(list), "if '*' is present, must not specify other verbs");
        }
    } else if list.iter().any(|v| !VERBS.contains(&v.as_str())) {
        e.not_supported(&at, crate::json::list(list), VERBS);
    }
}

/// `*` stands alone.
fn all_or_some(list: &[String], what: &str, at: &Path, e: &mut FieldErrors) {
    if list.len() > 1 && list.iter().any(|v| v == "*") {
        e.invalid(at, crate::json::list(list), format!("if '*' is present, must not specify other {what}"));
    }
}

fn resource_rule(r: &ResourcePolicyRule, at: &Path, e: &mut FieldErrors) {
    verbs(&r.verbs, at, e);
    for (name, list, missing, what) in [
        ("apiGroups", &r.api_groups, "resource rules must supply at least one api group", "api groups"),
        ("resources", &r.resources, "resource rules must supply at least one resource", "resources"),
    ] {
        if list.is_empty() {
            e.required(&at.child(name), missing);
        }
        all_or_some(list, what, &at.child(name), e);
    }
    let (namespaces, at) = (items(&r.namespaces), at.child("namespaces"));
    if namespaces.is_empty() && r.cluster_scope != Some(true) {
        e.required(&at, "resource rules that are not cluster scoped must supply at least one namespace");
    } else if namespaces.len() > 1 && namespaces.iter().any(|n| n == "*") {
        all_or_some(namespaces, "namespaces", &at, e);
    } else {
        for (i, n) in namespaces.iter().enumerate().filter(|(_, n)| *n != "*") {
            for why in names::dns_label(n) {
                e.invalid(&at.index(i), n, format!("each member of this list must be '*' or a DNS-1123 label; {why}"));
            }
        }
    }
}

fn path_rule(r: &NonResourcePolicyRule, at: &Path, e: &mut FieldErrors) {
    verbs(&r.verbs, at, e);
    let (urls, at) = (&r.non_resource_urls, at.child("nonResourceURLs"));
    if urls.is_empty() {
        e.required(&at, "nonResourceURLs must contain at least one value");
    } else if urls.len() > 1 && urls.iter().any(|u| u == "*") {
        e.invalid(&at, crate::json::list(urls), "if '*' is present, must not specify other non-resource URLs");
    } else {
        urls.iter().enumerate().filter(|(_, u)| *u != "*").for_each(|(i, u)| path(u, &at.index(i), e));
    }
}

/// A URL path without a host: a star may end it, behind a slash.
fn path(url: &str, at: &Path, e: &mut FieldErrors) {
    if url.is_empty() {
        e.invalid(at, url, "must not be empty");
    } else if url == "/" {
    } else if !url.starts_with('/') {
        e.invalid(at, url, "must start with slash");
    } else if url.contains(' ') {
        e.invalid(at, url, "must not contain white-space");
    } else if url.contains("//") {
        e.invalid(at, url, "must not contain double slash");
    } else if let Some(head) = url.split_once('*').map(|(head, tail)| (head, tail.is_empty())) {
        if !(head.1 && head.0.ends_with('/')) {
            e.invalid(at, url, "wildcard can only do suffix matching");
        }
    }
}

fn subject(x: &Subject, at: &Path, e: &mut FieldErrors) {
    if !["Group", "ServiceAccount", "User"].contains(&x.kind.as_str()) {
        e.not_supported(&at.child("kind"), &x.kind, &["Group", "ServiceAccount", "User"]);
    }
    for (kind, set, name) in [
        ("ServiceAccount", x.service_account.is_some(), "serviceAccount"),
        ("Group", x.group.is_some(), "group"),
        ("User", x.user.is_some(), "user"),
    ] {
        if set && x.kind != kind && SUBJECTS.contains(&x.kind.as_str()) {
            e.forbidden(&at.child(name), format!("{name} is forbidden when subject kind is not '{kind}'"));
        }
    }
    match x.kind.as_str() {
        "User" => match &x.user {
            None => e.required(&at.child("user"), "user is required when subject kind is 'User'"),
            Some(u) => present(&u.name, &at.child("user").child("name"), e),
        },
        "Group" => match &x.group {
            None => e.required(&at.child("group"), "group is required when subject kind is 'Group'"),
            Some(g) => present(&g.name, &at.child("group").child("name"), e),
        },
        "ServiceAccount" => match &x.service_account {
            None => e.required(&at.child("serviceAccount"), "serviceAccount is required when subject kind is 'ServiceAccount'"),
            Some(a) => {
                present(&a.name, &at.child("serviceAccount").child("name"), e);
                if !a.name.is_empty() && a.name != "*" {
                    complain(&at.child("serviceAccount").child("name"), &a.name, names::dns_subdomain(&a.name), e);
                }
                if a.namespace.is_empty() {
                    e.required(&at.child("serviceAccount").child("namespace"), "must specify namespace for service account");
                } else {
                    complain(&at.child("serviceAccount").child("namespace"), &a.namespace, names::dns_label(&a.namespace), e);
                }
            }
        },
        _ => {}
    }
}

/// Conditions have a type each, and no two the same.
fn condition_types<'a>(types: impl Iterator<Item = &'a str>, e: &mut FieldErrors) {
    let mut seen = Vec::new();
    for (i, kind) in types.enumerate() {
        let at = Path::new("status.conditions").index(i).child("type");
        if seen.contains(&kind) {
            e.duplicate(&at, kind);
        }
        seen.push(kind);
        if kind.is_empty() {
            e.required(&at, "");
        }
    }
}

pub(crate) const LEVEL_ROW: Rules = Rules {
    default: edit!(PriorityLevelConfiguration, level_defaults),
    prepare_create: fresh!(PriorityLevelConfiguration, PriorityLevelConfiguration),
    prepare_update: keep_status!(PriorityLevelConfiguration, PriorityLevelConfiguration),
    prepare_status_update: keep_spec!(PriorityLevelConfiguration, PriorityLevelConfiguration),
    validate: check!(PriorityLevelConfiguration, level),
    validate_update: check_with_old!(PriorityLevelConfiguration, |n: &PriorityLevelConfiguration, _: &PriorityLevelConfiguration, e: &mut FieldErrors| level(n, e)),
    validate_status_update: check_with_old!(PriorityLevelConfiguration, |n: &PriorityLevelConfiguration, _: &PriorityLevelConfiguration, e: &mut FieldErrors| {
        let types = n.status.iter().flat_map(|s| items(&s.conditions)).map(|c| c.type_.as_deref().unwrap_or_default());
        condition_types(types, e);
    }),
    ..Rules::plain(Kind::PriorityLevelConfiguration, NameRule::DnsSubdomain)
};

fn level_defaults(p: &mut PriorityLevelConfiguration) {
    let Some(spec) = &mut p.spec else { return };
    if spec.type_ == "Exempt" {
        let x = spec.exempt.get_or_insert_default();
        x.nominal_concurrency_shares.get_or_insert(0);
        x.lendable_percent.get_or_insert(0);
    }
    if let Some(l) = &mut spec.limited {
        l.nominal_concurrency_shares.get_or_insert(30);
        l.lendable_percent.get_or_insert(0);
        if let Some(q) = l.limit_response.as_mut().and_then(|r| r.queuing.as_mut()) {
            for (field, value) in [(&mut q.queues, 64), (&mut q.hand_size, 8), (&mut q.queue_length_limit, 50)] {
                if field.unwrap_or_default() == 0 {
                    *field = Some(value);
                }
            }
        }
    }
}

fn level(p: &PriorityLevelConfiguration, e: &mut FieldErrors) {
    let none = Default::default();
    let spec = p.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    if !["Exempt", "Limited"].contains(&spec.type_.as_str()) {
        e.not_supported(&path.child("type"), &spec.type_, &["Exempt", "Limited"]);
    }
    let exempt = p.metadata.name.as_deref() == Some("exempt");
    if exempt != (spec.type_ == "Exempt") && !spec.type_.is_empty() {
        e.invalid(&path.child("type"), &spec.type_, "type must be 'Exempt' if and only if name is 'exempt'");
    }
    if spec.exempt.is_some() && spec.type_ == "Limited" {
        e.forbidden(&path.child("exempt"), "must be nil if the type is Limited");
    }
    match (&spec.limited, spec.type_.as_str()) {
        (None, "Limited") => e.required(&path.child("limited"), "must not be empty when type is Limited"),
        (Some(_), "Exempt") => e.forbidden(&path.child("limited"), "must be nil if the type is not Limited"),
        (Some(l), _) => {
            let at = path.child("limited");
            if let Some(n) = l.nominal_concurrency_shares.filter(|n| *n < 0) {
                e.invalid(&at.child("nominalConcurrencyShares"), n, "must be a non-negative integer");
            }
            if let Some(n) = l.lendable_percent.filter(|n| !(0..=100).contains(n)) {
                e.invalid(&at.child("lendablePercent"), n, "must be between 0 and 100, inclusive");
            }
            if let Some(n) = l.borrowing_limit_percent.filter(|n| *n < 0) {
                e.invalid(&at.child("borrowingLimitPercent"), n, "if specified, must be a non-negative integer");
            }
            let Some(r) = &l.limit_response else {
                e.not_supported(&at.child("limitResponse").child("type"), "", &["Queue", "Reject"]);
                return;
            };
            if !["Queue", "Reject"].contains(&r.type_.as_str()) {
                e.not_supported(&at.child("limitResponse").child("type"), &r.type_, &["Queue", "Reject"]);
            }
            match (&r.queuing, r.type_.as_str()) {
                (None, "Queue") => {
                    e.required(&at.child("limitResponse").child("queuing"), "must not be empty if limited.limitResponse.type is Limited");
                }
                (Some(_), "Reject") => {
                    e.forbidden(&at.child("limitResponse").child("queuing"), "must be nil if limited.limitResponse.type is not Limited");
                }
                (Some(q), _) => {
                    queuing(q, &at.child("limitResponse").child("queuing"), e);
                }
                _ => {}
            }
        }
        _ => {}
    }
}

/// A hand of cards may not need more bits of a hash than there are.
const ENTROPY_BITS_MAX: i32 = 60;
const QUEUES_MAX: i32 = 10_000_000;

fn queuing(q: &QueuingConfiguration, at: &Path, e: &mut FieldErrors) {
    let (queues, hand) = (q.queues.unwrap_or_default(), q.hand_size.unwrap_or_default());
    for (name, n) in [("queueLengthLimit", q.queue_length_limit.unwrap_or_default()), ("queues", queues)] {
        if n <= 0 {
            e.invalid(&at.child(name), n, "must be positive");
        }
    }
    if queues > QUEUES_MAX {
        e.invalid(&at.child("queues"), queues, format!("must not be greater than {QUEUES_MAX}"));
    }
    let at = at.child("handSize");
    if hand <= 0 {
        e.invalid(&at, hand, "must be positive");
    } else if hand > queues {
        e.invalid(&at, hand, format!("should not be greater than queues ({queues})"));
    } else {
        let bits = entropy_bits(queues, hand);
        if bits > ENTROPY_BITS_MAX {
            let why = format!("required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {ENTROPY_BITS_MAX}");
            e.invalid(&at, hand, why);
        }
    }
}

/// How many bits tell apart the hands that can be dealt.
fn entropy_bits(deck: i32, hand: i32) -> i32 {
    let bits: f64 = (0..hand).map(|i| f64::from(deck - i).log2()).sum();
    // Hands are small: no number of bits comes near the end of i32.
    #[allow(clippy::cast_possible_truncation)]
    let whole = bits.ceil() as i32;
    whole
}
