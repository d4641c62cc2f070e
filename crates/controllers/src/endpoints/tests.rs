//! Ready and not-ready addresses of a service.

use super::*;
use crate::harness::Harness;
use kinds::ObjectMeta;
use kinds::api::core::v1::{Pod, ServicePort, ServiceSpec};
use testkit::build::{labels, meta, running, template};

#[test]
fn ready_and_not_ready_addresses_and_the_end() {
    let mut h = Harness::new(&[&CONTROLLER]);
    let spec = ServiceSpec {
        selector: Some(labels(&[("app", "web")])),
        ports: Some(vec![ServicePort { port: 80, ..ServicePort::default() }]),
        cluster_ip: Some("10.96.0.5".into()),
        ..ServiceSpec::default()
    };
    h.world.given(Service { metadata: meta("default", "web"), spec: Some(spec), status: None });
    for n in 1..=3 {
        let metadata = ObjectMeta { labels: Some(labels(&[("app", "web")])), ..meta("default", &format!("web-{n}")) };
        let status = Some(running(&format!("10.0.0.{n}"), h.world.time()));
        h.world.given(Pod { metadata, spec: template("web", "v1").spec, status });
    }
    h.world.edit::<Pod>("default", "web-2", |p| p.status.as_mut().expect("status").conditions = None);
    h.settle();
    let e = h.world.get::<Endpoints>("default", "web");
    let s = &e.subsets.as_ref().expect("subsets")[0];
    let ips = |a: &Option<Vec<kinds::api::core::v1::EndpointAddress>>| -> Vec<String> {
        a.iter().flatten().map(|a| a.ip.clone()).collect()
    };
    assert_eq!((ips(&s.addresses), ips(&s.not_ready_addresses)), (vec!["10.0.0.1".into(), "10.0.0.3".into()], vec!["10.0.0.2".into()]));
    h.world.erase::<Service>("default", "web");
    let plan = h.plan(&CONTROLLER, &Subject::named(Kind::Service, "default", "web"), None).expect("a plan");
    assert_eq!(plan.steps().count(), 1, "its deletion");
}
