//! A range becomes ready, and goes when nothing needs it.

use super::*;
use crate::harness::Harness;
use kinds::api::networking::v1::{IPAddressSpec, ParentReference, ServiceCIDRSpec};
use kinds::{ObjectMeta, Time};

fn range(name: &str, net: &str, going: bool, ctx: &Harness) -> ServiceCIDR {
    use base::Clock;
    let metadata = ObjectMeta {
        name: Some(name.into()),
        finalizers: going.then(|| vec![FINALIZER.to_owned()]),
        deletion_timestamp: going.then(|| Time(ctx.world.clock.now().checked_sub(SignedDuration::from_secs(60)).expect("in range"))),
        ..ObjectMeta::default()
    };
    ServiceCIDR { metadata, spec: Some(ServiceCIDRSpec { cidrs: Some(vec![net.into()]) }), status: None }
}

fn address(ip: &str) -> IPAddress {
    let parent_ref = ParentReference { resource: "services".into(), name: "s".into(), namespace: Some("a".into()), ..ParentReference::default() };
    let metadata = ObjectMeta { name: Some(ip.into()), ..ObjectMeta::default() };
    IPAddress { metadata, spec: IPAddressSpec { parent_ref } }
}

fn ready(c: &ServiceCIDR) -> (String, String) {
    let c = c.status.iter().flat_map(|s| s.conditions.iter().flatten()).next().expect("a condition");
    (c.status.clone(), c.reason.clone())
}

#[test]
fn a_new_range_is_held_and_ready() {
    let mut h = Harness::new(&[&CONTROLLER]);
    h.world.given(range("more", "10.200.0.0/24", false, &h));
    h.settle();
    let c = h.world.get::<ServiceCIDR>("", "more");
    assert!(has_finalizer(&c.metadata, FINALIZER));
    assert_eq!(ready(&c), ("True".into(), String::new()));
}

#[test]
fn a_range_goes_when_no_address_needs_it() {
    let mut h = Harness::new(&[&CONTROLLER]);
    let going = range("more", "10.200.0.0/24", true, &h);
    h.world.given(going);
    h.world.given(address("10.200.0.7"));
    h.settle();
    assert_eq!(ready(&h.world.get::<ServiceCIDR>("", "more")), ("False".into(), "Terminating".into()));
    // Another range holds the address too.
    let other = range("other", "10.200.0.0/16", false, &h);
    h.world.given(other);
    h.settle();
    assert!(h.world.snapshot().get::<ServiceCIDR>("", "more").is_none_or(|c| !has_finalizer(&c.metadata, FINALIZER)));
}
