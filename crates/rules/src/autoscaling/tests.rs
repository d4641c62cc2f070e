//! Tables and laws of `autoscaling`.

use crate::rules;
use kinds::api::autoscaling::v2::*;
use kinds::{FieldErrors, Kind, Object, ObjectMeta};

fn errors(change: impl FnOnce(&mut HorizontalPodAutoscalerSpec)) -> Vec<String> {
    let mut spec = HorizontalPodAutoscalerSpec {
        max_replicas: 5,
        scale_target_ref: CrossVersionObjectReference { kind: "Deployment".into(), name: "web".into(), api_version: Some("apps/v1".into()) },
        ..Default::default()
    };
    change(&mut spec);
    let metadata = ObjectMeta { name: Some("web".into()), namespace: Some("default".into()), ..Default::default() };
    let mut o = Object::from(HorizontalPodAutoscaler { metadata, spec, ..Default::default() });
    (rules(Kind::HorizontalPodAutoscaler).default)(&mut o);
    let mut e = FieldErrors::default();
    (rules(Kind::HorizontalPodAutoscaler).validate)(&o, &mut e);
    e.0.iter().map(ToString::to_string).collect()
}

#[test]
fn autoscalers() {
    assert_eq!(errors(|_| {}), Vec::<String>::new());
    assert_eq!(errors(|s| s.min_replicas = Some(6)), ["spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`"]);
    assert_eq!(
        errors(|s| s.metrics = Some(vec![MetricSpec { type_: "Pods".into(), ..Default::default() }])),
        ["spec.metrics[0].pods: Required value: must populate information for the given metric source"]
    );
    assert_eq!(errors(|s| s.behavior = Some(Default::default())), Vec::<String>::new());
}
