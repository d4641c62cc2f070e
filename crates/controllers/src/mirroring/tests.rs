//! Endpoints written by hand, mirrored.

use super::*;
use crate::harness::Harness;
use kinds::api::core::v1::ServiceSpec;
use testkit::build::meta;

#[test]
fn endpoints_written_by_hand_are_mirrored() {
    let mut h = Harness::new(&[&CONTROLLER]);
    h.world.given(Service { metadata: meta("default", "db"), spec: Some(ServiceSpec::default()), status: None });
    let address = |ip: &str| EndpointAddress { ip: ip.to_owned(), ..EndpointAddress::default() };
    let port = kinds::api::core::v1::EndpointPort { port: 5432, ..kinds::api::core::v1::EndpointPort::default() };
    let subset = EndpointSubset {
        addresses: Some(vec![address("192.0.2.1"), address("2001:db8::1")]),
        not_ready_addresses: None,
        ports: Some(vec![port]),
    };
    h.world.given(Endpoints { metadata: meta("default", "db"), subsets: Some(vec![subset]) });
    h.settle();
    let mut types: Vec<String> = h.world.all::<EndpointSlice>().iter().map(|s| s.address_type.clone()).collect();
    types.sort();
    assert_eq!(types, ["IPv4", "IPv6"]);
    h.world.edit::<Endpoints>("default", "db", |e| e.subsets = None);
    h.settle();
    assert!(h.world.all::<EndpointSlice>().is_empty());
}
