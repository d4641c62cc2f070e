//! Tables and laws of `pod`.

use crate::rules;
use kinds::api::core::v1::*;
use kinds::{FieldErrors, IntOrString, Kind, Object, ObjectMeta, QuantityText};

fn web() -> Pod {
    Pod {
        metadata: ObjectMeta { name: Some("web".into()), namespace: Some("default".into()), ..Default::default() },
        spec: Some(PodSpec {
            containers: vec![Container { name: "c".into(), image: Some("nginx".into()), ..Default::default() }],
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn errors(change: impl FnOnce(&mut Pod)) -> Vec<String> {
    let mut p = web();
    change(&mut p);
    let mut o = Object::from(p);
    (rules(Kind::Pod).default)(&mut o);
    let mut e = FieldErrors::default();
    (rules(Kind::Pod).validate)(&o, &mut e);
    e.0.iter().map(ToString::to_string).collect()
}

fn check(change: impl FnOnce(&mut Pod), want: &[&str]) {
    assert_eq!(errors(change), want);
}

fn c(p: &mut Pod) -> &mut Container {
    &mut p.spec.as_mut().expect("spec").containers[0]
}

fn spec(p: &mut Pod) -> &mut PodSpec {
    p.spec.as_mut().expect("spec")
}

#[test]
fn a_plain_pod_is_fine_and_defaulted() {
    check(|_| {}, &[]);
    let mut o = Object::from(web());
    (rules(Kind::Pod).default)(&mut o);
    let once = o.clone();
    (rules(Kind::Pod).default)(&mut o);
    assert_eq!(once, o);
    let Object::Pod(p) = &o else { panic!() };
    let s = p.spec.as_ref().expect("spec");
    assert_eq!(s.restart_policy.as_deref(), Some("Always"));
    assert_eq!(s.containers[0].image_pull_policy.as_deref(), Some("Always"));
    assert_eq!(s.termination_grace_period_seconds, Some(30));
}

#[test]
fn names_and_images() {
    check(|p| p.metadata.name = Some("Web".into()), &["metadata.name: Invalid value: \"Web\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"]);
    check(|p| p.metadata.name = None, &["metadata.name: Required value: name or generateName is required"]);
    check(|p| c(p).image = None, &["spec.containers[0].image: Required value"]);
    check(|p| spec(p).containers.clear(), &["spec.containers: Required value"]);
    check(|p| { let x = c(p).clone(); spec(p).containers.push(x); }, &["spec.containers[1].name: Duplicate value: \"c\""]);
}

#[test]
fn volumes_and_mounts() {
    check(
        |p| c(p).volume_mounts = Some(vec![VolumeMount { name: "v".into(), mount_path: "/x".into(), ..Default::default() }]),
        &["spec.containers[0].volumeMounts[0].name: Not found: \"v\""],
    );
    check(
        |p| spec(p).volumes = Some(vec![Volume { name: "v".into(), secret: Some(Default::default()), config_map: Some(ConfigMapVolumeSource { name: "a".into(), ..Default::default() }), ..Default::default() }]),
        &["spec.volumes[0].secret.secretName: Required value", "spec.volumes[0].configMap: Forbidden: may not specify more than 1 volume type"],
    );
}

#[test]
fn requests_do_not_exceed_limits() {
    let q = |t: &str| QuantityText(t.into());
    check(
        |p| c(p).resources = Some(ResourceRequirements {
            limits: Some([("cpu".to_owned(), q("0.5"))].into()),
            requests: Some([("cpu".to_owned(), q("1")), ("foo".to_owned(), q("1"))].into()),
            ..Default::default()
        }),
        &[
            "spec.containers[0].resources.requests: Invalid value: \"1\": must be less than or equal to cpu limit of 500m",
            "spec.containers[0].resources.requests[foo]: Invalid value: \"foo\": must be a standard resource type or fully qualified",
            "spec.containers[0].resources.requests[foo]: Invalid value: \"foo\": must be a standard resource for containers",
        ],
    );
}

#[test]
fn probes_and_ports() {
    check(
        |p| c(p).liveness_probe = Some(Probe { success_threshold: Some(2), ..Default::default() }),
        &[
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ],
    );
    check(
        |p| c(p).readiness_probe = Some(Probe { http_get: Some(HTTPGetAction { port: IntOrString::Int(70000), ..Default::default() }), ..Default::default() }),
        &["spec.containers[0].readinessProbe.httpGet.port: Invalid value: 70000: must be between 1 and 65535, inclusive"],
    );
}

#[test]
fn updates() {
    let mut o = Object::from(web());
    (rules(Kind::Pod).default)(&mut o);
    o.meta_mut().resource_version = Some("1".into());
    let mut n = o.clone();
    if let Object::Pod(p) = &mut n {
        c(std::sync::Arc::make_mut(p)).image = Some("nginx:2".into());
    }
    let mut e = FieldErrors::default();
    (rules(Kind::Pod).validate_update)(&n, &o, &mut e);
    assert!(e.is_empty(), "{e:?}");
    if let Object::Pod(p) = &mut n {
        c(std::sync::Arc::make_mut(p)).command = Some(vec!["x".into()]);
    }
    (rules(Kind::Pod).validate_update)(&n, &o, &mut e);
    codec::internal::tell(&mut e);
    let text = e.aggregate();
    assert!(text.starts_with("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"), "{text}");
    assert!(text.contains("\n+") && text.contains("\"x\""), "{text}");
}

/// A look through the list for each of its items takes minutes here.
#[test]
fn long_lists_are_checked_in_little_time() {
    let many = 60_000;
    let all = errors(|p| {
        c(p).volume_devices = Some((0..many).map(|i| VolumeDevice { name: format!("d{i}"), device_path: format!("/{i}") }).collect());
        c(p).volume_mounts = Some((0..many).map(|i| VolumeMount { name: "w".into(), mount_path: format!("/m{i}"), ..Default::default() }).collect());
        spec(p).volumes = Some((0..many).map(|i| Volume { name: format!("v{i}"), ..Default::default() }).collect());
    });
    assert_eq!(all.iter().filter(|e| e.contains("volumeDevices")).count(), many, "none of the volumes is there");
}
