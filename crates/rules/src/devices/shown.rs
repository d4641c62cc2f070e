//! Claims as Go prints them when they may not change: every field of the structs, in their order.

use crate::read::{items, on, s};
use kinds::api::resource::v1::{
    CapacityRequirements, DeviceClaim, DeviceClaimConfiguration, DeviceConstraint, DeviceRequest, DeviceSelector, DeviceSubRequest,
    DeviceToleration, ExactDeviceRequest, OpaqueDeviceConfiguration, ResourceClaimSpec, ResourceClaimTemplateSpec,
};
use kinds::field::Bare;
use kinds::{ObjectMeta, Time};
use std::collections::BTreeMap;

/// The spec of a claim.
pub(super) fn claim(spec: &ResourceClaimSpec) -> Bare {
    Bare(claim_text(spec))
}

/// The spec of a template.
pub(super) fn template(t: &ResourceClaimTemplateSpec) -> Bare {
    let meta: Vec<String> = t.metadata.iter().flat_map(metadata).map(|(name, value)| format!("{name:?}:{value}")).collect();
    let (meta, spec) = (meta.join(","), claim_text(&t.spec));
    Bare(if meta.is_empty() { format!("{{\"Spec\":{spec}}}") } else { format!("{{{meta},\"Spec\":{spec}}}") })
}

/// What is set of the metadata, in the order of the struct.
fn metadata(m: &ObjectMeta) -> Vec<(&'static str, String)> {
    let text = |t: &Option<String>| t.as_ref().filter(|t| !t.is_empty()).map(|t| format!("{t:?}"));
    let map = |m: &Option<BTreeMap<String, String>>| m.as_ref().filter(|m| !m.is_empty()).map(|m| serde_json::json!(m).to_string());
    let time = |t: &Option<Time>| t.as_ref().map(|t| format!("\"{}\"", t.0));
    let list = |all: Vec<String>| (!all.is_empty()).then(|| format!("[{}]", all.join(",")));
    let number = |n: Option<i64>| n.map(|n| n.to_string());
    [
        ("name", text(&m.name)),
        ("generateName", text(&m.generate_name)),
        ("namespace", text(&m.namespace)),
        ("selfLink", text(&m.self_link)),
        ("uid", text(&m.uid)),
        ("resourceVersion", text(&m.resource_version)),
        ("generation", number(m.generation.filter(|n| *n != 0))),
        ("creationTimestamp", time(&m.creation_timestamp)),
        ("deletionTimestamp", time(&m.deletion_timestamp)),
        ("deletionGracePeriodSeconds", number(m.deletion_grace_period_seconds)),
        ("labels", map(&m.labels)),
        ("annotations", map(&m.annotations)),
        ("ownerReferences", list(items(&m.owner_references).iter().map(|o| crate::meta::owner_json(o).0).collect())),
        ("finalizers", list(items(&m.finalizers).iter().map(|f| format!("{f:?}")).collect())),
        ("managedFields", list(items(&m.managed_fields).iter().map(|_| "{}".to_owned()).collect())),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.map(|v| (name, v)))
    .collect()
}

fn claim_text(spec: &ResourceClaimSpec) -> String {
    let none = DeviceClaim::default();
    let d = spec.devices.as_ref().unwrap_or(&none);
    format!(
        "{{\"Devices\":{{\"Requests\":{},\"Constraints\":{},\"Config\":{}}}}}",
        list(items(&d.requests), request),
        list(items(&d.constraints), constraint),
        list(items(&d.config), config)
    )
}

fn list<T>(all: &[T], one: impl Fn(&T) -> String) -> String {
    if all.is_empty() {
        return "null".into();
    }
    format!("[{}]", all.iter().map(one).collect::<Vec<_>>().join(","))
}

fn or_null<T>(x: Option<&T>, one: impl Fn(&T) -> String) -> String {
    x.map_or_else(|| "null".into(), one)
}

fn texts(all: &[String]) -> String {
    list(all, |t| format!("{t:?}"))
}

fn request(r: &DeviceRequest) -> String {
    format!(
        "{{\"Name\":{:?},\"Exactly\":{},\"FirstAvailable\":{}}}",
        r.name,
        or_null(r.exactly.as_ref(), exactly),
        list(items(&r.first_available), alternative)
    )
}

fn exactly(x: &ExactDeviceRequest) -> String {
    format!(
        "{{\"DeviceClassName\":{:?},\"Selectors\":{},\"AllocationMode\":{:?},\"Count\":{},\"AdminAccess\":{},\"Tolerations\":{},\"Capacity\":{}}}",
        x.device_class_name,
        list(items(&x.selectors), selector),
        s(&x.allocation_mode),
        x.count.unwrap_or_default(),
        x.admin_access.map_or("null".to_owned(), |b| on(Some(b)).to_string()),
        list(items(&x.tolerations), toleration),
        or_null(x.capacity.as_ref(), capacity)
    )
}

fn alternative(x: &DeviceSubRequest) -> String {
    format!(
        "{{\"Name\":{:?},\"DeviceClassName\":{:?},\"Selectors\":{},\"AllocationMode\":{:?},\"Count\":{},\"Tolerations\":{},\"Capacity\":{}}}",
        x.name,
        x.device_class_name,
        list(items(&x.selectors), selector),
        s(&x.allocation_mode),
        x.count.unwrap_or_default(),
        list(items(&x.tolerations), toleration),
        or_null(x.capacity.as_ref(), capacity)
    )
}

fn capacity(x: &CapacityRequirements) -> String {
    format!("{{\"Requests\":{}}}", or_null(x.requests.as_ref(), |m| serde_json::json!(m).to_string()))
}

fn selector(x: &DeviceSelector) -> String {
    format!("{{\"CEL\":{}}}", or_null(x.cel.as_ref(), |c| format!("{{\"Expression\":{}}}", serde_json::json!(c.expression))))
}

fn toleration(t: &DeviceToleration) -> String {
    format!(
        "{{\"Key\":{:?},\"Operator\":{:?},\"Value\":{:?},\"Effect\":{:?},\"TolerationSeconds\":{}}}",
        s(&t.key),
        s(&t.operator),
        s(&t.value),
        s(&t.effect),
        t.toleration_seconds.map_or("null".to_owned(), |n| n.to_string())
    )
}

fn constraint(x: &DeviceConstraint) -> String {
    let text = |t: &Option<String>| t.as_ref().map_or("null".to_owned(), |t| format!("{t:?}"));
    format!(
        "{{\"Requests\":{},\"MatchAttribute\":{},\"DistinctAttribute\":{}}}",
        texts(items(&x.requests)),
        text(&x.match_attribute),
        text(&x.distinct_attribute)
    )
}

fn config(x: &DeviceClaimConfiguration) -> String {
    format!("{{\"Requests\":{},\"Opaque\":{}}}", texts(items(&x.requests)), or_null(x.opaque.as_ref(), opaque))
}

fn opaque(o: &OpaqueDeviceConfiguration) -> String {
    format!("{{\"Driver\":{:?},\"Parameters\":{}}}", o.driver, o.parameters.0)
}
