//! Slices that fill and empty with the pods behind a service.

use super::*;
use crate::harness::Harness;
use kinds::api::core::v1::{ServicePort, ServiceSpec};
use kinds::api::discovery::v1::EndpointSlice;
use kinds::{IntOrString, ObjectMeta};
use testkit::build::{labels, meta, running, template};

fn service(name: &str) -> Service {
    let port = ServicePort { name: Some("http".into()), port: 80, target_port: Some(IntOrString::Int(8080)), ..ServicePort::default() };
    Service {
        metadata: meta("default", name),
        spec: Some(ServiceSpec {
            selector: Some(labels(&[("app", "web")])),
            ports: Some(vec![port]),
            ip_families: Some(vec!["IPv4".into()]),
            cluster_ip: Some("10.96.0.5".into()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn pod(h: &Harness, n: usize) {
    let metadata = ObjectMeta { labels: Some(labels(&[("app", "web")])), ..meta("default", &format!("web-{n}")) };
    let status = running(&format!("10.0.{}.{}", n / 250, n % 250 + 1), h.world.time());
    h.world.given(Pod { metadata, spec: template("web", "v1").spec, status: Some(status) });
}

fn endpoints(h: &Harness) -> Vec<usize> {
    let mut n: Vec<usize> = h.world.all::<EndpointSlice>().iter().map(|s| s.endpoints.as_ref().map_or(0, Vec::len)).collect();
    n.sort_unstable();
    n
}

#[test]
fn slices_fill_and_empty() {
    let mut h = Harness::new(&[&CONTROLLER]);
    h.world.given(service("web"));
    h.settle();
    assert_eq!(endpoints(&h), [0], "an empty slice stands for no endpoints");
    (0..130).for_each(|n| pod(&h, n));
    h.settle();
    assert_eq!(endpoints(&h), [30, 100]);
    let slice = &h.world.all::<EndpointSlice>()[0];
    let l = slice.metadata.labels.as_ref().expect("labels");
    assert_eq!(l["kubernetes.io/service-name"], "web");
    assert_eq!(l["endpointslice.kubernetes.io/managed-by"], "endpointslice-controller.k8s.io");
    assert_eq!(slice.ports.as_ref().expect("ports")[0].port, Some(8080));
    h.world.edit::<Pod>("default", "web-0", |p| p.status.as_mut().expect("status").conditions = None);
    h.settle();
    let unready = h.world.all::<EndpointSlice>().iter().flat_map(|s| s.endpoints.clone().unwrap_or_default()).filter(|e| {
        e.conditions.as_ref().is_some_and(|c| c.ready == Some(false))
    }).count();
    assert_eq!(unready, 1);
    (0..130).for_each(|n| h.world.erase::<Pod>("default", &format!("web-{n}")));
    h.settle();
    assert_eq!(endpoints(&h), [0]);
}

#[test]
fn a_pod_that_joins_wakes_its_services() {
    let h = Harness::new(&[&CONTROLLER]);
    h.world.given(service("web"));
    pod(&h, 1);
    let change = h.world.changes().pop().expect("a change");
    assert_eq!(wakes(&change, &h.world.snapshot()), [Subject::named(Kind::Service, "default", "web")]);
}
