//! Tables and laws of `services`.

use super::*;
use crate::rules;
use crate::testing::World;
use kinds::api::core::v1::ServicePort;
use kinds::{Kind, ObjectMeta};

fn service(name: &str, change: impl FnOnce(&mut ServiceSpec)) -> Object {
    let mut spec = ServiceSpec { ports: Some(vec![ServicePort { port: 80, ..Default::default() }]), ..Default::default() };
    change(&mut spec);
    let metadata = ObjectMeta { name: Some(name.into()), namespace: Some("default".into()), ..Default::default() };
    let mut o = Object::from(Service { metadata, spec: Some(spec), ..Default::default() });
    (rules(Kind::Service).default)(&mut o);
    (rules(Kind::Service).prepare_create)(&mut o);
    o
}

fn spec(o: &Object) -> ServiceSpec {
    o.typed::<Service>().and_then(|s| s.spec.clone()).expect("a service")
}

#[test]
fn addresses_come_from_the_upper_band() {
    let w = World::new(vec![]);
    let mut o = service("a", |_| {});
    allocate(&w.ctx(), &mut o, None, false).expect("free");
    let s = spec(&o);
    assert_eq!(s.cluster_ip.as_deref(), Some("10.96.1.0"));
    assert_eq!(s.cluster_ips, Some(vec!["10.96.1.0".to_owned()]));
    assert_eq!((s.ip_families, s.ip_family_policy.as_deref()), (Some(vec!["IPv4".to_owned()]), Some("SingleStack")));
}

#[test]
fn explicit_addresses_are_checked() {
    let w = World::new(vec![service("a", |s| s.cluster_ip = Some("10.96.0.7".into()))]);
    for (ip, why) in [
        ("10.96.0.7", "provided IP is already allocated"),
        ("10.96.0.1", "provided IP is already allocated"),
        ("10.1.0.1", "the provided network does not match the current range"),
    ] {
        let mut o = service("b", |s| s.cluster_ip = Some(ip.into()));
        let e = allocate(&w.ctx(), &mut o, None, false).expect_err(ip);
        assert_eq!(
            e.message,
            format!("Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"{ip}\"]: failed to allocate IP {ip}: {why}")
        );
    }
    let mut o = service("b", |s| s.cluster_ip = Some("10.96.0.10".into()));
    allocate(&w.ctx(), &mut o, None, false).expect("free");
}

#[test]
fn node_ports() {
    let node = |name: &str, port| service(name, |s| {
        s.type_ = Some("NodePort".into());
        s.ports.as_mut().expect("ports")[0].node_port = port;
    });
    let w = World::new(vec![node("a", Some(30001))]);
    let mut o = node("b", Some(30001));
    let e = allocate(&w.ctx(), &mut o, None, false).expect_err("taken");
    assert_eq!(e.message, "Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated");
    let mut o = node("b", Some(80));
    let e = allocate(&w.ctx(), &mut o, None, false).expect_err("out of range");
    assert_eq!(e.message, "Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767");
    let mut o = node("b", None);
    allocate(&w.ctx(), &mut o, None, false).expect("free");
    let n = spec(&o).ports.expect("ports")[0].node_port.expect("a port");
    assert!((30_086..=32_767).contains(&n), "{n}");
}

#[test]
fn headless_and_external_services_have_no_address() {
    let w = World::new(vec![]);
    let mut o = service("a", |s| s.cluster_ip = Some("None".into()));
    allocate(&w.ctx(), &mut o, None, false).expect("headless");
    assert_eq!(spec(&o).ip_families, Some(vec!["IPv4".to_owned(), "IPv6".to_owned()]));
    let mut o = service("a", |s| {
        s.type_ = Some("ExternalName".into());
        s.external_name = Some("x.y".into());
    });
    allocate(&w.ctx(), &mut o, None, false).expect("external");
    assert_eq!(spec(&o).cluster_ip, None);
}

#[test]
fn an_update_keeps_what_it_has() {
    let old = service("a", |s| {
        s.cluster_ip = Some("10.96.0.9".into());
        s.type_ = Some("NodePort".into());
        s.ports.as_mut().expect("ports")[0].node_port = Some(30005);
    });
    let w = World::new(vec![old.clone()]);
    let mut n = service("a", |s| s.type_ = Some("NodePort".into()));
    (rules(Kind::Service).prepare_update)(&mut n, &old);
    allocate(&w.ctx(), &mut n, Some(&old), false).expect("kept");
    assert_eq!(spec(&n).cluster_ip.as_deref(), Some("10.96.0.9"));
    assert_eq!(spec(&n).ports.expect("ports")[0].node_port, Some(30005));
}

#[test]
fn what_is_not_in_earnest_may_have_what_others_have() {
    let w = World::new(vec![service("a", |s| s.cluster_ip = Some("10.96.0.7".into()))]);
    let mut o = service("b", |s| {
        s.cluster_ip = Some("10.96.0.7".into());
        s.type_ = Some("NodePort".into());
        s.ports.as_mut().expect("ports")[0].node_port = Some(80);
    });
    allocate(&w.ctx(), &mut o, None, true).expect("a dry run");
    let mut o = service("b", |s| s.cluster_ip = Some("10.1.0.1".into()));
    let e = allocate(&w.ctx(), &mut o, None, true).expect_err("out of range");
    let why = "the provided IP (10.1.0.1) is not in the valid range. The range of valid IPs is 10.96.0.0/12";
    assert!(e.message.ends_with(why), "{}", e.message);
}
