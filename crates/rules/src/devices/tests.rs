//! Tables and laws of `devices`.

use crate::rules;
use kinds::api::resource::v1::*;
use kinds::{FieldErrors, Kind, Object, ObjectMeta};

#[test]
fn claims() {
    let claim = |requests| ResourceClaim {
        metadata: ObjectMeta { name: Some("c".into()), namespace: Some("default".into()), ..Default::default() },
        spec: ResourceClaimSpec { devices: Some(DeviceClaim { requests: Some(requests), ..Default::default() }) },
        ..Default::default()
    };
    let errors = |c: ResourceClaim| {
        let mut o = Object::from(c);
        (rules(Kind::ResourceClaim).default)(&mut o);
        let mut e = FieldErrors::default();
        (rules(Kind::ResourceClaim).validate)(&o, &mut e);
        e.0.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let exactly = ExactDeviceRequest { device_class_name: "gpu".into(), ..Default::default() };
    let good = DeviceRequest { name: "a".into(), exactly: Some(exactly), ..Default::default() };
    assert_eq!(errors(claim(vec![good.clone()])), Vec::<String>::new());
    assert_eq!(errors(claim(vec![good.clone(), good])), ["spec.devices.requests[1]: Duplicate value: \"a\""]);
    assert_eq!(
        errors(claim(vec![DeviceRequest { name: "a".into(), ..Default::default() }])),
        ["spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required"]
    );
}
