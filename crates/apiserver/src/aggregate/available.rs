//! Whether an APIService can be served: its service, the port, endpoints, and at last whether its server answers. Reasons
//! and messages are kube-aggregator's. Pure, but for the question itself, which `run` asks.

use super::service_of;
use cache::Snapshot;
use kinds::Time;
use kinds::api::core::v1::Service;
use kinds::kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceCondition, ServiceReference};

/// The condition's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) available: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

fn no(reason: &'static str, message: String) -> Verdict {
    Verdict { available: false, reason, message }
}

/// Everything is as it should be.
pub(super) fn passed() -> Verdict {
    Verdict { available: true, reason: "Passed", message: "all checks passed".to_owned() }
}

/// The server did not answer, or not well.
pub(super) fn failed(why: String) -> Verdict {
    no("FailedDiscoveryCheck", why)
}

/// What the cluster's own objects say; `Ok`: the server is to be asked.
pub(super) fn reachable(snapshot: &Snapshot, reference: &ServiceReference) -> Result<(), Verdict> {
    let (namespace, name, port) = service_of(reference);
    let service = snapshot.get::<Service>(namespace, name);
    let service = service.ok_or_else(|| no("ServiceNotFound", format!("service/{name} in {namespace:?} is not present")))?;
    let spec = service.spec.as_ref();
    if spec.and_then(|s| s.type_.as_deref()).unwrap_or("ClusterIP") != "ClusterIP" {
        return Ok(());
    }
    let found = spec.into_iter().flat_map(|s| s.ports.iter().flatten()).find(|p| p.port == port);
    let text = || format!("service/{name} in {namespace:?} is not listening on port {port}");
    let found = found.ok_or_else(|| no("ServicePortError", text()))?;
    let wanted = found.name.as_deref().unwrap_or_default();
    let mut slices = snapshot.slices_of(namespace, name).peekable();
    if slices.peek().is_none() {
        return Err(no("EndpointsNotFound", format!("cannot find endpointslices for service/{name} in {namespace:?}")));
    }
    let ready = slices.any(|s| {
        let named = s.ports.iter().flatten().any(|p| p.name.as_deref().unwrap_or_default() == wanted && p.port.is_some());
        let up = |e: &kinds::api::discovery::v1::Endpoint| e.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true);
        named && s.endpoints.iter().flatten().any(up)
    });
    let text = || format!("endpoints for service/{name} in {namespace:?} have no addresses with port name {wanted:?}");
    if ready { Ok(()) } else { Err(no("MissingEndpoints", text())) }
}

/// The APIService with that verdict; `None` when it says so already.
pub(super) fn conclude(service: &APIService, verdict: &Verdict, now: Time) -> Option<APIService> {
    let status = if verdict.available { "True" } else { "False" };
    let all = service.status.as_ref().and_then(|s| s.conditions.as_ref());
    let have = all.into_iter().flatten().find(|c| c.type_ == "Available");
    let same = |c: &APIServiceCondition| {
        c.status == status && c.reason.as_deref() == Some(verdict.reason) && c.message.as_deref() == Some(&verdict.message)
    };
    if have.is_some_and(same) {
        return None;
    }
    let since = have.filter(|c| c.status == status).and_then(|c| c.last_transition_time.clone());
    let condition = APIServiceCondition {
        type_: "Available".into(),
        status: status.into(),
        reason: Some(verdict.reason.into()),
        message: Some(verdict.message.clone()),
        last_transition_time: since.or(Some(now)),
    };
    let mut next = service.clone();
    let conditions = next.status.get_or_insert_default().conditions.get_or_insert_default();
    match conditions.iter_mut().find(|c| c.type_ == "Available") {
        Some(c) => *c = condition,
        None => conditions.push(condition),
    }
    Some(next)
}
