//! Tables and laws of `batch`.

use crate::rules;
use kinds::api::batch::v1::*;
use kinds::api::core::v1::*;
use kinds::{FieldErrors, Kind, Object, ObjectMeta};

fn pod(policy: &str) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: None,
        spec: Some(PodSpec {
            restart_policy: Some(policy.into()),
            containers: vec![Container { name: "c".into(), image: Some("busybox".into()), ..Default::default() }],
            ..Default::default()
        }),
    }
}

fn meta() -> ObjectMeta {
    ObjectMeta {
        name: Some("pi".into()),
        namespace: Some("default".into()),
        uid: Some("u-1".into()),
        resource_version: Some("1".into()),
        ..Default::default()
    }
}

fn job(policy: &str, change: impl FnOnce(&mut JobSpec)) -> (Object, Vec<String>) {
    let mut spec = JobSpec { template: pod(policy), ..Default::default() };
    change(&mut spec);
    let mut o = Object::from(Job { metadata: meta(), spec: Some(spec), ..Default::default() });
    let r = rules(Kind::Job);
    (r.default)(&mut o);
    (r.prepare_create)(&mut o);
    let mut e = FieldErrors::default();
    (r.validate)(&o, &mut e);
    (o, e.0.iter().map(ToString::to_string).collect())
}

#[test]
fn jobs_select_their_own_pods() {
    let (o, errors) = job("Never", |_| {});
    assert_eq!(errors, Vec::<String>::new());
    let Object::Job(j) = o else { panic!() };
    let spec = j.spec.clone().expect("spec");
    assert_eq!(spec.selector.expect("selector").match_labels.expect("labels")["batch.kubernetes.io/controller-uid"], "u-1");
    assert_eq!(spec.template.metadata.expect("meta").labels.expect("labels")["job-name"], "pi");
    assert_eq!((spec.completions, spec.backoff_limit), (Some(1), Some(6)));
    assert_eq!(j.metadata.labels.as_ref().expect("labels")["batch.kubernetes.io/job-name"], "pi");
}

#[test]
fn jobs_do_not_restart_always() {
    let (_, errors) = job("Always", |_| {});
    assert_eq!(errors, ["spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""]);
    let (_, errors) = job("Never", |s| s.completion_mode = Some("Indexed".into()));
    assert_eq!(errors.len(), 0, "{errors:?}");
    let (_, errors) = job("Never", |s| {
        s.completion_mode = Some("Indexed".into());
        s.parallelism = Some(2);
    });
    assert_eq!(errors, ["spec.completions: Required value: when completion mode is Indexed"]);
}

#[test]
fn templates_of_jobs_stay() {
    let (old, _) = job("Never", |_| {});
    let mut new = old.clone();
    if let Object::Job(j) = &mut new {
        let j = std::sync::Arc::make_mut(j);
        j.spec.as_mut().expect("spec").template.spec.as_mut().expect("pod").containers[0].image = Some("x".into());
    }
    let mut e = FieldErrors::default();
    (rules(Kind::Job).validate_update)(&new, &old, &mut e);
    assert!(e.aggregate().ends_with(": field is immutable"), "{}", e.aggregate());
    assert!(e.aggregate().starts_with("spec.template: Invalid value: "));
}

#[test]
fn schedules() {
    for (text, want) in [
        ("*/5 * * * *", None),
        ("@hourly", None),
        ("0 0 * * MON-FRI", None),
        ("* * * *", Some("expected exactly 5 fields, found 4: [* * * *]")),
        ("60 * * * *", Some("end of range (60) above maximum (59): 60")),
        ("a * * * *", Some("failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax")),
        ("5-1 * * * *", Some("beginning of range (5) beyond end of range (1): 5-1")),
        ("@soon", Some("unrecognized descriptor: @soon")),
    ] {
        assert_eq!(super::schedule::complaint(text).as_deref(), want, "{text}");
    }
}

#[test]
fn cron_jobs() {
    let c = CronJob {
        metadata: ObjectMeta { name: Some("x".repeat(53)), ..meta() },
        spec: CronJobSpec {
            schedule: "nope".into(),
            time_zone: Some("Mars/Base".into()),
            job_template: JobTemplateSpec { metadata: None, spec: Some(JobSpec { template: pod("OnFailure"), ..Default::default() }) },
            ..Default::default()
        },
        ..Default::default()
    };
    let mut o = Object::from(c);
    (rules(Kind::CronJob).default)(&mut o);
    let mut e = FieldErrors::default();
    (rules(Kind::CronJob).validate)(&o, &mut e);
    let texts: Vec<String> = e.0.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "spec.schedule: Invalid value: \"nope\": expected exactly 5 fields, found 1: [nope]".to_owned(),
            "spec.timeZone: Invalid value: \"Mars/Base\": unknown time zone Mars/Base".to_owned(),
            format!("metadata.name: Invalid value: {:?}: must be no more than 52 characters", "x".repeat(53)),
        ]
    );
}

/// What an update of a stored job is answered.
fn updated(old: &Object, change: impl FnOnce(&mut JobSpec)) -> Vec<String> {
    let mut new = old.clone();
    let Object::Job(j) = &mut new else { panic!("a job") };
    change(std::sync::Arc::make_mut(j).spec.as_mut().expect("spec"));
    let mut e = FieldErrors::default();
    (rules(Kind::Job).validate_update)(&new, old, &mut e);
    e.0.iter().map(|x| x.path.to_string()).collect()
}

#[test]
fn a_suspended_job_may_ask_for_other_resources() {
    let ask = |s: &mut JobSpec| {
        let claims = vec![kinds::api::core::v1::ResourceClaim { name: "r".into(), request: None }];
        let pod = s.template.spec.as_mut().expect("pod");
        pod.resource_claims = None;
        pod.containers[0].resources = Some(ResourceRequirements { claims: Some(claims), ..Default::default() });
        pod.containers[0].resources.as_mut().expect("set").claims = None;
        s.template.metadata.as_mut().expect("meta").generation = Some(1);
    };
    let (running, _) = job("Never", |_| {});
    assert_eq!(updated(&running, ask), ["spec.template"]);
    let (suspended, _) = job("Never", |s| s.suspend = Some(true));
    assert_eq!(updated(&suspended, ask), [""; 0]);
    let image = |s: &mut JobSpec| s.template.spec.as_mut().expect("pod").containers[0].image = Some("other".into());
    assert_eq!(updated(&suspended, image), ["spec.template.spec"]);
}

#[test]
fn a_selector_is_judged_behind_the_template() {
    let (old, _) = job("Never", |_| {});
    let both = ["spec.selector", "spec.template.metadata.labels"];
    let told = updated(&old, |s| s.selector = None);
    assert_eq!(told[..4], [both, both].concat(), "all of it is looked at twice: {told:?}");
}
