//! Events, one table for two spellings: core/v1 and events.k8s.io/v1. Docs: API reference "Event".

use crate::names::NameRule;
use crate::read::{has, s};
use crate::table::{Rules, check, check_with_old, edit, fields};
use kinds::api::core::v1::Event;
use kinds::{FieldErrors, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    default: edit!(Event, |x: &mut Event| {
        x.source.get_or_insert_default();
        x.reporting_component.get_or_insert_default();
        x.reporting_instance.get_or_insert_default();
    }),
    validate: check!(Event, validate),
    validate_update: check_with_old!(Event, |n: &Event, _: &Event, e: &mut FieldErrors| validate(n, e)),
    allow_create_on_update: true,
    fields: fields!(Event, field_values),
    ..Rules::plain(Kind::Event, NameRule::DnsSubdomain)
};

const INSTANCE_MAX: usize = 128;
const REASON_MAX: usize = 128;
const ACTION_MAX: usize = 128;
const NOTE_MAX: usize = 1024;

fn validate(x: &Event, e: &mut FieldErrors) {
    let involved = s(&x.involved_object.namespace);
    let namespace = s(&x.metadata.namespace);
    let at = Path::new("involvedObject.namespace");
    if involved.is_empty() {
        if !["default", "kube-system"].contains(&namespace) {
            e.invalid(&at, involved, "does not match event.namespace");
        }
    } else if involved != namespace {
        e.invalid(&at, involved, "does not match event.namespace");
    }
}

/// What events.k8s.io asks of a new event besides.
pub fn validate_new_style(x: &Event, e: &mut FieldErrors) {
    if x.event_time.is_none() {
        e.required(&Path::new("eventTime"), "");
        return;
    }
    let controller = s(&x.reporting_component);
    if controller.is_empty() {
        e.required(&Path::new("reportingController"), "");
    }
    for m in crate::names::qualified_name(controller) {
        e.invalid(&Path::new("reportingController"), controller, m);
    }
    for (name, value, max) in [
        ("reportingInstance", &x.reporting_instance, INSTANCE_MAX),
        ("action", &x.action, ACTION_MAX),
        ("reason", &x.reason, REASON_MAX),
    ] {
        let path = Path::new(name);
        if !has(value) {
            e.required(&path, "");
        }
        if s(value).len() > max {
            e.invalid(&path, "", format!("can have at most {max} characters"));
        }
    }
    if s(&x.message).len() > NOTE_MAX {
        e.invalid(&Path::new("message"), "", format!("can have at most {NOTE_MAX} characters"));
    }
    if !["Normal", "Warning"].contains(&s(&x.type_)) {
        let why = format!("has invalid value: {}", s(&x.type_));
        e.invalid(&Path::new("type"), "", why);
    }
}

fn field_values(x: &Event) -> Vec<(&'static str, String)> {
    let o = &x.involved_object;
    let source = x.source.as_ref().and_then(|s| s.component.clone()).filter(|c| !c.is_empty());
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    vec![
        ("involvedObject.kind", text(&o.kind)),
        ("involvedObject.namespace", text(&o.namespace)),
        ("involvedObject.name", text(&o.name)),
        ("involvedObject.uid", text(&o.uid)),
        ("involvedObject.apiVersion", text(&o.api_version)),
        ("involvedObject.resourceVersion", text(&o.resource_version)),
        ("involvedObject.fieldPath", text(&o.field_path)),
        ("reason", text(&x.reason)),
        ("reportingComponent", text(&x.reporting_component)),
        ("source", source.unwrap_or_else(|| text(&x.reporting_component))),
        ("type", text(&x.type_)),
    ]
}
