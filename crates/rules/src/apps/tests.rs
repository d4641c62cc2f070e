//! Tables and laws of `apps`.

use crate::rules;
use kinds::api::apps::v1::*;
use kinds::api::core::v1::*;
use kinds::{FieldErrors, Kind, LabelSelector, Object, ObjectMeta};
use std::sync::Arc;

fn labels(v: &str) -> Option<std::collections::BTreeMap<String, String>> {
    Some([("app".to_owned(), v.to_owned())].into())
}

fn deployment() -> Deployment {
    Deployment {
        metadata: ObjectMeta {
            name: Some("web".into()),
            namespace: Some("default".into()),
            resource_version: Some("1".into()),
            ..Default::default()
        },
        spec: Some(DeploymentSpec {
            selector: LabelSelector { match_labels: labels("web"), ..Default::default() },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: labels("web"), ..Default::default() }),
                spec: Some(PodSpec {
                    containers: vec![Container { name: "c".into(), image: Some("nginx:1".into()), ..Default::default() }],
                    ..Default::default()
                }),
            },
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn spec(d: &mut Deployment) -> &mut DeploymentSpec {
    d.spec.as_mut().expect("spec")
}

fn object(d: Deployment) -> Object {
    let mut o = Object::from(d);
    (rules(Kind::Deployment).default)(&mut o);
    o
}

fn check(change: impl FnOnce(&mut Deployment), want: &[&str]) {
    let mut d = deployment();
    change(&mut d);
    let mut e = FieldErrors::default();
    (rules(Kind::Deployment).validate)(&object(d), &mut e);
    assert_eq!(e.0.iter().map(ToString::to_string).collect::<Vec<_>>(), want);
}

#[test]
fn deployments() {
    check(|_| {}, &[]);
    check(|d| spec(d).replicas = Some(-1), &["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]);
    check(
        |d| spec(d).selector.match_labels = labels("other"),
        &["spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`"],
    );
    check(
        |d| spec(d).template.spec.as_mut().expect("spec").restart_policy = Some("Never".into()),
        &["spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""],
    );
    check(
        |d| spec(d).strategy = Some(DeploymentStrategy { type_: Some("Recreate".into()), rolling_update: Some(Default::default()) }),
        &["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
    );
    check(
        |d| spec(d).progress_deadline_seconds = Some(0),
        &["spec.progressDeadlineSeconds: Invalid value: 0: must be greater than minReadySeconds"],
    );
}

#[test]
fn the_selector_stays() {
    let old = object(deployment());
    let mut d = deployment();
    spec(&mut d).selector.match_labels = labels("x");
    spec(&mut d).template.metadata.as_mut().expect("meta").labels = labels("x");
    let mut e = FieldErrors::default();
    (rules(Kind::Deployment).validate_update)(&object(d), &old, &mut e);
    assert_eq!(e.aggregate(), "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"x\"}}: field is immutable");
}

#[test]
fn generation_counts_spec_changes() {
    let r = rules(Kind::Deployment);
    let mut old = object(deployment());
    (r.prepare_create)(&mut old);
    assert_eq!(old.meta().generation, Some(1));
    let mut new = old.clone();
    (r.prepare_update)(&mut new, &old);
    assert_eq!(new.meta().generation, Some(1));
    if let Object::Deployment(d) = &mut new {
        Arc::make_mut(d).spec.as_mut().expect("spec").replicas = Some(7);
    }
    (r.prepare_update)(&mut new, &old);
    assert_eq!(new.meta().generation, Some(2));
}

#[test]
fn statefulset_updates_are_narrow() {
    let r = rules(Kind::StatefulSet);
    let d = deployment();
    let set = StatefulSet {
        metadata: d.metadata.clone(),
        spec: Some(StatefulSetSpec {
            selector: d.spec.clone().expect("spec").selector,
            template: d.spec.expect("spec").template,
            service_name: Some("a".into()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut old = Object::from(set.clone());
    (r.default)(&mut old);
    let mut changed = set;
    changed.spec.as_mut().expect("spec").service_name = Some("b".into());
    let mut new = Object::from(changed);
    (r.default)(&mut new);
    let mut e = FieldErrors::default();
    (r.validate_update)(&new, &old, &mut e);
    assert_eq!(e.aggregate(), "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
}

#[test]
fn claims_of_a_statefulset_are_volumes_of_its_pods() {
    let d = deployment();
    let mut template = d.spec.clone().expect("spec").template;
    let container = &mut template.spec.as_mut().expect("spec").containers[0];
    container.volume_mounts = Some(vec![VolumeMount { name: "data".into(), mount_path: "/data".into(), ..Default::default() }]);
    let amount = [("storage".to_owned(), kinds::QuantityText("1Gi".into()))].into();
    let claim = |name: &str| PersistentVolumeClaim {
        metadata: ObjectMeta { name: Some(name.into()), ..Default::default() },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            resources: Some(VolumeResourceRequirements { requests: Some(std::collections::BTreeMap::clone(&amount)), ..Default::default() }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let verdict = |name: &str| {
        let mut set = Object::from(StatefulSet {
            metadata: d.metadata.clone(),
            spec: Some(StatefulSetSpec {
                selector: d.spec.clone().expect("spec").selector,
                template: template.clone(),
                volume_claim_templates: Some(vec![claim(name)]),
                ..Default::default()
            }),
            ..Default::default()
        });
        (rules(Kind::StatefulSet).default)(&mut set);
        let mut e = FieldErrors::default();
        (rules(Kind::StatefulSet).validate)(&set, &mut e);
        e.aggregate()
    };
    assert_eq!(verdict("data"), "[]");
    assert_eq!(verdict("other"), "spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"data\"");
}

#[test]
fn templates_of_claims_are_kept_with_their_status() {
    let template = deployment().spec.expect("spec").template;
    let claim = PersistentVolumeClaim { metadata: ObjectMeta { name: Some("data".into()), ..Default::default() }, ..Default::default() };
    let spec = StatefulSetSpec {
        selector: LabelSelector { match_labels: labels("web"), ..Default::default() },
        template,
        volume_claim_templates: Some(vec![claim]),
        ..Default::default()
    };
    let metadata = deployment().metadata;
    let mut old = Object::from(StatefulSet { metadata, spec: Some(spec), status: None });
    let r = rules(Kind::StatefulSet);
    (r.default)(&mut old);
    let judged = |change: &dyn Fn(&mut StatefulSetSpec)| {
        let mut new = old.clone();
        let Object::StatefulSet(s) = &mut new else { panic!("a set") };
        change(Arc::make_mut(s).spec.as_mut().expect("spec"));
        let mut e = FieldErrors::default();
        (r.validate_update)(&new, &old, &mut e);
        (e.aggregate(), (r.warnings)(&new, Some(&old)).len())
    };
    assert_eq!(judged(&|s| s.revision_history_limit = Some(-1)), ("[]".to_owned(), 1));
    let phase = |s: &mut StatefulSetSpec| {
        let claim = &mut s.volume_claim_templates.as_mut().expect("claims")[0];
        claim.status.get_or_insert_default().phase = Some("Bound".into());
    };
    assert!(judged(&phase).0.starts_with("spec: Forbidden: updates to statefulset spec"), "{:?}", judged(&phase));
}
