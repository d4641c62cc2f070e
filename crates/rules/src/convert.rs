//! Between served versions of one stored kind: `events.k8s.io/v1` and core `v1` Events, `autoscaling/v1` and `v2`
//! HorizontalPodAutoscalers. Docs: the API reference of each; KEP-383 for Events.

use kinds::api::autoscaling::{v1 as hpa1, v2 as hpa2};
use kinds::api::core::v1 as core;
use kinds::api::events::v1 as events;
use kinds::{Kind, Object};

/// The annotation in which `autoscaling/v1` keeps what it has no field for.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";

/// A conversion that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoConversion(String);

impl std::fmt::Display for NoConversion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown conversion of {}", self.0)
    }
}

/// A spoken object in the version that is stored.
///
/// # Errors
/// Kinds that are no views.
pub fn to_stored(object: Object) -> Result<Object, NoConversion> {
    match &object {
        Object::EventsEvent(e) => Ok(event_in(e).into()),
        Object::HorizontalPodAutoscalerV1(h) => Ok(hpa_in(h).into()),
        other => Err(NoConversion(other.kind_name().to_owned())),
    }
}

/// A stored object as `kind` speaks it.
///
/// # Errors
/// Kinds that are no views of it.
pub fn to_served(kind: Kind, object: Object) -> Result<Object, NoConversion> {
    match (kind, &object) {
        (Kind::EventsEvent, Object::Event(e)) => Ok(event_out(e).into()),
        (Kind::HorizontalPodAutoscalerV1, Object::HorizontalPodAutoscaler(h)) => Ok(hpa_out(h).into()),
        (_, other) => Err(NoConversion(other.kind_name().to_owned())),
    }
}

/// The selectable field of the stored version that a field of `kind` is selected by.
#[must_use]
pub fn stored_field(kind: Kind, field: &str) -> &str {
    match (kind, field) {
        (Kind::EventsEvent, "reportingController") => "reportingComponent",
        (Kind::EventsEvent, "regarding.kind") => "involvedObject.kind",
        (Kind::EventsEvent, "regarding.namespace") => "involvedObject.namespace",
        (Kind::EventsEvent, "regarding.name") => "involvedObject.name",
        (Kind::EventsEvent, "regarding.uid") => "involvedObject.uid",
        (Kind::EventsEvent, "regarding.apiVersion") => "involvedObject.apiVersion",
        (Kind::EventsEvent, "regarding.resourceVersion") => "involvedObject.resourceVersion",
        (Kind::EventsEvent, "regarding.fieldPath") => "involvedObject.fieldPath",
        _ => field,
    }
}

fn event_in(e: &events::Event) -> core::Event {
    let source = e.deprecated_source.clone();
    core::Event {
        metadata: e.metadata.clone(),
        involved_object: e.regarding.clone().unwrap_or_default(),
        related: e.related.clone(),
        reason: e.reason.clone(),
        message: e.note.clone(),
        type_: e.type_.clone(),
        event_time: e.event_time.clone(),
        action: e.action.clone(),
        reporting_component: e.reporting_controller.clone(),
        reporting_instance: e.reporting_instance.clone(),
        series: e.series.as_ref().map(|s| core::EventSeries {
            count: Some(s.count),
            last_observed_time: Some(s.last_observed_time.clone()).filter(|t| t.0.as_second() != NO_TIME_S),
        }),
        source,
        first_timestamp: e.deprecated_first_timestamp.clone(),
        last_timestamp: e.deprecated_last_timestamp.clone(),
        count: e.deprecated_count,
    }
}

/// The second of a time that nobody gave.
const NO_TIME_S: i64 = -62_135_596_800;

fn event_out(e: &core::Event) -> events::Event {
    events::Event {
        metadata: e.metadata.clone(),
        regarding: Some(e.involved_object.clone()),
        related: e.related.clone(),
        reason: e.reason.clone(),
        note: e.message.clone(),
        type_: e.type_.clone(),
        event_time: e.event_time.clone(),
        action: e.action.clone(),
        reporting_controller: e.reporting_component.clone().filter(|c| !c.is_empty()),
        reporting_instance: e.reporting_instance.clone().filter(|i| !i.is_empty()),
        series: e.series.as_ref().map(|s| events::EventSeries {
            count: s.count.unwrap_or_default(),
            last_observed_time: s.last_observed_time.clone().unwrap_or(kinds::MicroTime(jiff::Timestamp::UNIX_EPOCH)),
        }),
        deprecated_source: e.source.clone(),
        deprecated_first_timestamp: e.first_timestamp.clone(),
        deprecated_last_timestamp: e.last_timestamp.clone(),
        deprecated_count: e.count,
    }
}

fn cpu(target: i32) -> hpa2::MetricSpec {
    hpa2::MetricSpec {
        type_: "Resource".into(),
        resource: Some(hpa2::ResourceMetricSource {
            name: "cpu".into(),
            target: hpa2::MetricTarget {
                type_: "Utilization".into(),
                average_utilization: Some(target),
                ..hpa2::MetricTarget::default()
            },
        }),
        ..hpa2::MetricSpec::default()
    }
}

fn hpa_in(h: &hpa1::HorizontalPodAutoscaler) -> hpa2::HorizontalPodAutoscaler {
    let s = &h.spec;
    let spec = hpa2::HorizontalPodAutoscalerSpec {
        max_replicas: s.max_replicas,
        min_replicas: s.min_replicas,
        metrics: s.target_cpu_utilization_percentage.map(|t| vec![cpu(t)]),
        scale_target_ref: hpa2::CrossVersionObjectReference {
            api_version: s.scale_target_ref.api_version.clone(),
            kind: s.scale_target_ref.kind.clone(),
            name: s.scale_target_ref.name.clone(),
        },
        behavior: None,
    };
    let status = h.status.as_ref().map(|s| hpa2::HorizontalPodAutoscalerStatus {
        current_replicas: Some(s.current_replicas),
        desired_replicas: s.desired_replicas,
        last_scale_time: s.last_scale_time.clone(),
        observed_generation: s.observed_generation,
        ..hpa2::HorizontalPodAutoscalerStatus::default()
    });
    let mut metadata = h.metadata.clone();
    if let Some(a) = &mut metadata.annotations {
        a.remove(METRICS);
    }
    hpa2::HorizontalPodAutoscaler { metadata, spec, status }
}

fn hpa_out(h: &hpa2::HorizontalPodAutoscaler) -> hpa1::HorizontalPodAutoscaler {
    let target = |s: &hpa2::HorizontalPodAutoscalerSpec| {
        let mut metrics = s.metrics.iter().flatten().filter_map(|m| m.resource.as_ref());
        metrics.find(|r| r.name == "cpu").and_then(|r| r.target.average_utilization)
    };
    let s = &h.spec;
    let spec = hpa1::HorizontalPodAutoscalerSpec {
        max_replicas: s.max_replicas,
        min_replicas: s.min_replicas,
        target_cpu_utilization_percentage: target(s),
        scale_target_ref: hpa1::CrossVersionObjectReference {
            api_version: s.scale_target_ref.api_version.clone(),
            kind: s.scale_target_ref.kind.clone(),
            name: s.scale_target_ref.name.clone(),
        },
    };
    let status = h.status.as_ref().map(|s| hpa1::HorizontalPodAutoscalerStatus {
        current_replicas: s.current_replicas.unwrap_or_default(),
        desired_replicas: s.desired_replicas,
        last_scale_time: s.last_scale_time.clone(),
        observed_generation: s.observed_generation,
        current_cpu_utilization_percentage: None,
    });
    hpa1::HorizontalPodAutoscaler { metadata: h.metadata.clone(), spec, status }
}
