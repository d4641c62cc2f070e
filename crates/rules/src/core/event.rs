//! Events, one table for two spellings: core/v1 and events.k8s.io/v1. Docs: API reference "Event".

use crate::names::NameRule;
use crate::read::{has, s};
use crate::table::{Rules, check, check_with_old, edit, fields};
use kinds::api::core::v1::{Event, ObjectReference};
use kinds::field::Bare;
use kinds::{FieldErrors, Kind, Path, Time};

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

/// A series is more than one.
const SERIES_MIN: i32 = 2;
const INSTANCE_MAX: usize = 128;
const REASON_MAX: usize = 128;
const ACTION_MAX: usize = 128;
const NOTE_MAX: usize = 1024;

fn validate(x: &Event, e: &mut FieldErrors) {
    let involved = s(&x.involved_object.namespace);
    let namespace = s(&x.metadata.namespace);
    let at = Path::new("involvedObject.namespace");
    if involved.is_empty() {
        // Old ones, which tell no `eventTime`, are a little narrower.
        let fits: &[&str] = if x.event_time.is_some() { &["default", "kube-system"] } else { &["default"] };
        if !fits.contains(&namespace) {
            e.invalid(&at, involved, "does not match event.namespace");
        }
    } else if involved != namespace && x.event_time.is_none() {
        e.invalid(&at, involved, "does not match event.namespace");
    }
}

/// What events.k8s.io asks of a new event besides.
pub fn validate_new_style(x: &Event, e: &mut FieldErrors) {
    if x.event_time.is_some() {
        reported(x, e);
    }
    counted(x, e);
    if x.event_time.is_none() {
        e.required(&Path::new("eventTime"), "");
    }
    if !["Normal", "Warning"].contains(&s(&x.type_)) {
        let why = format!("has invalid value: {}", s(&x.type_));
        e.invalid(&Path::new("type"), "", why);
    }
    let source = x.source.as_ref();
    for (name, given) in [
        ("firstTimestamp", x.first_timestamp.is_some()),
        ("lastTimestamp", x.last_timestamp.is_some()),
        ("count", x.count.unwrap_or(0) != 0),
        ("source", source.is_some_and(|s| has(&s.component) || has(&s.host))),
    ] {
        if given {
            e.invalid(&Path::new(name), "", "needs to be unset");
        }
    }
}

/// A series has a count, and a time.
fn counted(x: &Event, e: &mut FieldErrors) {
    if let Some(series) = &x.series {
        if series.count.unwrap_or(0) < SERIES_MIN {
            e.invalid(&Path::new("series.count"), "", format!("should be at least {SERIES_MIN}"));
        }
        if series.last_observed_time.is_none() {
            e.required(&Path::new("series.lastObservedTime"), "");
        }
    }
}

/// What events.k8s.io asks of a changed event: only its series may change.
pub fn validate_new_style_update(x: &Event, old: &Event, e: &mut FieldErrors) {
    if x.event_time.is_some() {
        reported(x, e);
    }
    if x.series != old.series {
        counted(x, e);
    }
    let told = |t: Option<String>| t.map_or_else(|| "null".to_owned(), |t| format!("{t:?}"));
    let second = |t: &Option<Time>| told(t.as_ref().map(|t| t.0.to_string()));
    let text = |t: &Option<String>| format!("{:?}", s(t));
    let about = |r: &ObjectReference| {
        let of = |t: &Option<String>| format!("{:?}", s(t));
        format!(
            "{{\"Kind\":{},\"Namespace\":{},\"Name\":{},\"UID\":{},\"APIVersion\":{},\"ResourceVersion\":{},\"FieldPath\":{}}}",
            of(&r.kind), of(&r.namespace), of(&r.name), of(&r.uid), of(&r.api_version), of(&r.resource_version), of(&r.field_path)
        )
    };
    let source = |x: &Event| {
        let source = x.source.clone().unwrap_or_default();
        format!("{{\"Component\":{},\"Host\":{}}}", text(&source.component), text(&source.host))
    };
    let shown = |x: &Event| {
        [
            ("involvedObject", about(&x.involved_object)),
            ("reason", text(&x.reason)),
            ("message", text(&x.message)),
            ("source", source(x)),
            ("firstTimestamp", second(&x.first_timestamp)),
            ("lastTimestamp", second(&x.last_timestamp)),
            ("count", x.count.unwrap_or(0).to_string()),
            // It is looked at twice.
            ("reason", text(&x.reason)),
            ("type", text(&x.type_)),
            ("eventTime", told(x.event_time.as_ref().map(|t| format!("{:.6}", t.0)))),
            ("action", text(&x.action)),
            ("related", x.related.as_ref().map_or_else(|| "null".to_owned(), about)),
            ("reportingController", text(&x.reporting_component)),
            ("reportingInstance", text(&x.reporting_instance)),
        ]
    };
    for ((name, now), (_, before)) in shown(x).into_iter().zip(shown(old)) {
        if now != before {
            e.invalid(&Path::new(name), Bare(now), "field is immutable");
        }
    }
}

/// Who reports, and what is done.
fn reported(x: &Event, e: &mut FieldErrors) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use kinds::MicroTime;
    use kinds::api::core::v1::EventSeries;

    #[test]
    fn only_the_series_of_a_new_event_changes() {
        let at = MicroTime("2026-11-21T18:00:00.123456Z".parse().expect("a time"));
        let text = |t: &str| Some(t.to_owned());
        let old = Event {
            event_time: Some(at.clone()),
            reporting_component: text("c.io/x"),
            reporting_instance: text("i"),
            action: text("Do"),
            reason: text("Because"),
            type_: text("Normal"),
            ..Event::default()
        };
        let judge = |new: &Event| {
            let mut e = FieldErrors::default();
            validate_new_style_update(new, &old, &mut e);
            e.aggregate()
        };
        let series = |count| Some(EventSeries { count: Some(count), last_observed_time: Some(at.clone()) });
        assert_eq!(judge(&Event { series: series(2), ..old.clone() }), "[]");
        assert_eq!(judge(&Event { series: series(0), ..old.clone() }), "series.count: Invalid value: \"\": should be at least 2");
        assert_eq!(judge(&Event { reason: text("x"), ..old.clone() }), "reason: Invalid value: \"x\": field is immutable", "told twice, shown once");
        assert_eq!(judge(&Event { type_: text("x"), ..old.clone() }), "type: Invalid value: \"x\": field is immutable");
        let related = Some(ObjectReference { kind: text("Node"), ..ObjectReference::default() });
        let shown = "{\"Kind\":\"Node\",\"Namespace\":\"\",\"Name\":\"\",\"UID\":\"\",\"APIVersion\":\"\",\"ResourceVersion\":\"\",\"FieldPath\":\"\"}";
        assert_eq!(judge(&Event { related, ..old.clone() }), format!("related: Invalid value: {shown}: field is immutable"));
        let later = MicroTime("2026-11-21T18:00:01Z".parse().expect("a time"));
        let why = "eventTime: Invalid value: \"2026-11-21T18:00:01.000000Z\": field is immutable";
        assert_eq!(judge(&Event { event_time: Some(later), ..old.clone() }), why);
    }
}
