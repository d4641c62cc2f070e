//! The use of a quota, written.

use super::*;
use crate::harness::Harness;
use kinds::api::core::v1::{ConfigMap, ResourceQuotaSpec};
use testkit::build::meta;

#[test]
fn use_is_written_and_follows() {
    let mut h = Harness::new(&[&CONTROLLER]);
    h.config.quota_used = |s, ns, _, _| {
        let n = i64::try_from(s.list::<ConfigMap>(ns).count()).expect("few");
        [("configmaps".to_owned(), Quantity::milli(n * 1000))].into()
    };
    let hard = [("configmaps".to_owned(), kinds::QuantityText("10".into()))].into();
    let spec = ResourceQuotaSpec { hard: Some(hard), ..ResourceQuotaSpec::default() };
    h.world.given(ResourceQuota { metadata: meta("default", "q"), spec: Some(spec), status: None });
    h.world.given(ConfigMap { metadata: meta("default", "m"), ..ConfigMap::default() });
    let change = h.world.changes().pop().expect("a change");
    assert_eq!(wakes(&change, &h.world.snapshot()).len(), 1);
    h.settle();
    let used = h.world.get::<ResourceQuota>("default", "q").status.clone().and_then(|s| s.used).expect("used");
    assert_eq!(used["configmaps"].0, "1");
}
