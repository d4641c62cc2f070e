//! FlowSchemas and PriorityLevelConfigurations. Docs: "API Priority and Fairness".

use crate::checks::{complain, present};
use crate::names::{self, NameRule};
use crate::read::items;
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, fresh, keep_spec, keep_status};
use kinds::api::flowcontrol::v1::{FlowSchema, FlowSchemaSpec, PriorityLevelConfiguration, Subject};
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
    ..Rules::plain(Kind::FlowSchema, NameRule::DnsSubdomain)
};

const PRECEDENCE_MAX: i32 = 10_000;

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
    }
}

fn subject(x: &Subject, at: &Path, e: &mut FieldErrors) {
    if !["Group", "ServiceAccount", "User"].contains(&x.kind.as_str()) {
        e.not_supported(&at.child("kind"), &x.kind, &["Group", "ServiceAccount", "User"]);
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
                if a.namespace.is_empty() {
                    e.required(&at.child("serviceAccount").child("namespace"), "must specify namespace for service account");
                }
            }
        },
        _ => {}
    }
}

pub(crate) const LEVEL_ROW: Rules = Rules {
    default: edit!(PriorityLevelConfiguration, level_defaults),
    prepare_create: fresh!(PriorityLevelConfiguration, PriorityLevelConfiguration),
    prepare_update: keep_status!(PriorityLevelConfiguration, PriorityLevelConfiguration),
    prepare_status_update: keep_spec!(PriorityLevelConfiguration, PriorityLevelConfiguration),
    validate: check!(PriorityLevelConfiguration, level),
    validate_update: check_with_old!(PriorityLevelConfiguration, |n: &PriorityLevelConfiguration, _: &PriorityLevelConfiguration, e: &mut FieldErrors| level(n, e)),
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
            let Some(r) = &l.limit_response else {
                e.required(&at.child("limitResponse").child("type"), "");
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
                    let (queues, hand) = (q.queues.unwrap_or_default(), q.hand_size.unwrap_or_default());
                    if hand > queues {
                        let why = format!("should not be greater than queues ({queues})");
                        e.invalid(&at.child("limitResponse").child("queuing").child("handSize"), hand, why);
                    }
                }
                _ => {}
            }
        }
        _ => {}
    }
}
