//! Jobs that complete, fail, stop, resume and follow their policies.

use super::*;
use crate::harness::Harness;
use kinds::api::batch::v1::{
    JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule, SuccessPolicy, SuccessPolicyRule,
};
use kinds::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, PodStatus};
use testkit::build::{meta, selector, template};

fn harness(change: impl FnOnce(&mut JobSpec)) -> Harness {
    let h = Harness::new(&[&CONTROLLER]);
    let mut spec = JobSpec {
        selector: Some(selector(&[("app", "work")])),
        template: template("work", "v1"),
        parallelism: Some(1),
        completions: Some(1),
        backoff_limit: Some(6),
        ..JobSpec::default()
    };
    change(&mut spec);
    h.world.given(Job { metadata: meta("default", "work"), spec: Some(spec), status: None });
    h
}

fn indexed(n: i32) -> impl FnOnce(&mut JobSpec) {
    move |s| {
        s.completion_mode = Some("Indexed".into());
        (s.completions, s.parallelism) = (Some(n), Some(n));
    }
}

/// Ends every pod that is not over.
fn end(h: &Harness, phase: &str, code: i32) {
    for p in h.world.all::<Pod>().iter().filter(|p| !kinds::pod::is_terminal(p)) {
        end_one(h, p, phase, code);
    }
}

fn end_one(h: &Harness, p: &Pod, phase: &str, code: i32) {
    let terminated = ContainerStateTerminated { exit_code: code, finished_at: Some(h.world.time()), ..Default::default() };
    let c = ContainerStatus {
        name: "main".into(),
        state: Some(ContainerState { terminated: Some(terminated), ..ContainerState::default() }),
        ..ContainerStatus::default()
    };
    let status = PodStatus { phase: Some(phase.into()), container_statuses: Some(vec![c]), ..PodStatus::default() };
    let name = p.metadata.name.clone().expect("name");
    h.world.edit::<Pod>("default", &name, |p| p.status = Some(status));
}

fn status(h: &Harness) -> kinds::api::batch::v1::JobStatus {
    h.world.get::<Job>("default", "work").status.clone().expect("status")
}

fn conditions(h: &Harness) -> Vec<(String, String)> {
    let all = status(h).conditions.unwrap_or_default();
    all.into_iter().map(|c| (c.type_, c.reason.unwrap_or_default())).collect()
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[test]
fn a_job_runs_counts_and_completes() {
    let mut h = harness(|s| (s.completions, s.parallelism) = (Some(3), Some(2)));
    h.settle();
    assert_eq!((h.world.all::<Pod>().len(), status(&h).active), (2, Some(2)));
    assert!(h.world.all::<Pod>().iter().all(|p| crate::garbage::has_finalizer(&p.metadata, TRACKING)));
    end(&h, "Succeeded", 0);
    h.settle();
    assert_eq!((h.world.all::<Pod>().len(), status(&h).succeeded), (3, Some(2)));
    end(&h, "Succeeded", 0);
    h.settle();
    assert_eq!(conditions(&h), [pair("SuccessCriteriaMet", "CompletionsReached"), pair("Complete", "CompletionsReached")]);
    let s = status(&h);
    assert_eq!((s.succeeded, s.active, s.failed), (Some(3), None, None));
    assert!(s.completion_time.is_some() && s.uncounted_terminated_pods == Some(Default::default()));
    assert!(h.world.all::<Pod>().iter().all(|p| p.metadata.finalizers.is_none()));
    assert!(h.told().contains(&"Completed: Job completed".to_owned()));
}

#[test]
fn failures_back_off_and_then_fail_the_job() {
    let mut h = harness(|s| s.backoff_limit = Some(1));
    h.settle();
    end(&h, "Failed", 1);
    h.settle();
    assert_eq!(h.world.all::<Pod>().len(), 1, "ten seconds of rest");
    let plan = h.plan(&CONTROLLER, &Subject::named(Kind::Job, "default", "work"), None).expect("a plan");
    assert_eq!(plan.again, Some(std::time::Duration::from_secs(10)));
    h.wait(10);
    h.settle();
    assert_eq!(h.world.all::<Pod>().len(), 2);
    end(&h, "Failed", 1);
    h.settle();
    assert_eq!(conditions(&h), [pair("FailureTarget", "BackoffLimitExceeded"), pair("Failed", "BackoffLimitExceeded")]);
    assert_eq!(status(&h).failed, Some(2));
    assert!(h.told().contains(&"BackoffLimitExceeded: Job has reached the specified backoff limit".to_owned()));
}

#[test]
fn a_late_job_stops_its_pods() {
    let mut h = harness(|s| s.active_deadline_seconds = Some(30));
    h.settle();
    h.wait(31);
    h.settle_running();
    assert_eq!(conditions(&h)[1], pair("Failed", "DeadlineExceeded"));
    assert_eq!(status(&h).failed, Some(1));
}

#[test]
fn indexes_are_completed_one_by_one() {
    let mut h = harness(indexed(4));
    h.settle();
    let mut pods = h.world.all::<Pod>();
    pods.sort_by_key(|p| indexes::index_of(p));
    assert!(pods[2].metadata.name.as_ref().expect("name").starts_with("work-2-"));
    let spec = pods[2].spec.as_ref().expect("spec");
    assert_eq!(spec.hostname.as_deref(), Some("work-2"));
    assert_eq!(spec.containers[0].env.as_ref().expect("env")[0].name, "JOB_COMPLETION_INDEX");
    for i in [0, 1, 3] {
        end_one(&h, &pods[i], "Succeeded", 0);
    }
    h.settle();
    assert_eq!(status(&h).completed_indexes.as_deref(), Some("0,1,3"));
    end(&h, "Succeeded", 0);
    h.settle();
    assert_eq!(status(&h).completed_indexes.as_deref(), Some("0-3"));
    assert_eq!(conditions(&h)[1].0, "Complete");
}

#[test]
fn policies_fail_ignore_and_succeed() {
    let rule = |action: &str, code: i32| PodFailurePolicyRule {
        action: action.into(),
        on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
            container_name: None,
            operator: "In".into(),
            values: vec![code],
        }),
        on_pod_conditions: None,
    };
    let policy = PodFailurePolicy { rules: vec![rule("FailJob", 42), rule("Ignore", 7)] };
    let mut h = harness(|s| s.pod_failure_policy = Some(policy));
    h.settle();
    end(&h, "Failed", 7);
    h.wait(10);
    h.settle();
    assert_eq!(status(&h).failed, None, "ignored");
    h.wait(60);
    h.settle();
    end(&h, "Failed", 42);
    h.settle();
    assert_eq!(conditions(&h)[1], pair("Failed", "PodFailurePolicy"));
    let message = status(&h).conditions.expect("conditions")[1].message.clone().expect("message");
    assert!(message.ends_with("failed with exit code 42 matching FailJob rule at index 0"), "{message}");

    let mut h = harness(|s| {
        indexed(3)(s);
        let rule = SuccessPolicyRule { succeeded_count: None, succeeded_indexes: Some("0".into()) };
        s.success_policy = Some(SuccessPolicy { rules: vec![rule] });
    });
    h.settle();
    let leader = h.world.all::<Pod>().into_iter().find(|p| indexes::index_of(p) == Some(0)).expect("index 0");
    end_one(&h, &leader, "Succeeded", 0);
    h.settle_running();
    assert_eq!(conditions(&h), [pair("SuccessCriteriaMet", "SuccessPolicy"), pair("Complete", "SuccessPolicy")]);
}

#[test]
fn back_off_per_index_fails_indexes_alone() {
    let mut h = harness(|s| {
        indexed(2)(s);
        (s.backoff_limit_per_index, s.backoff_limit) = (Some(1), None);
    });
    h.settle();
    for _ in 0..2 {
        let one = h.world.all::<Pod>().into_iter().find(|p| indexes::index_of(p) == Some(1) && !kinds::pod::is_terminal(p));
        end_one(&h, &one.expect("index 1 runs"), "Failed", 1);
        h.settle();
        h.wait(25);
        h.settle();
    }
    assert_eq!(status(&h).failed_indexes.as_deref(), Some("1"));
    end(&h, "Succeeded", 0);
    h.settle();
    assert_eq!(conditions(&h)[1], pair("Failed", "FailedIndexes"));
    assert_eq!((status(&h).succeeded, status(&h).failed), (Some(1), Some(2)));
}

#[test]
fn suspended_jobs_stop_and_resume() {
    let mut h = harness(|s| s.suspend = Some(true));
    h.settle();
    assert!(h.world.all::<Pod>().is_empty() && status(&h).start_time.is_none());
    h.world.edit::<Job>("default", "work", |j| j.spec.as_mut().expect("spec").suspend = Some(false));
    h.settle();
    assert_eq!(h.world.all::<Pod>().len(), 1);
    h.world.edit::<Job>("default", "work", |j| j.spec.as_mut().expect("spec").suspend = Some(true));
    h.settle_running();
    assert!(h.world.all::<Pod>().is_empty());
    assert_eq!((status(&h).failed, conditions(&h)[0].clone()), (None, pair("Suspended", "JobSuspended")));
    assert_eq!(h.told().iter().filter(|t| t.ends_with(": Job suspended") || t.ends_with(": Job resumed")).count(), 3);
}

#[test]
fn intervals_are_written_as_kubernetes_does() {
    for text in ["", "0", "0,1", "0-2", "0-2,5", "1,3-5,7,8"] {
        assert_eq!(indexes::format(&indexes::parse(Some(text), 100)), text);
    }
}

#[test]
fn a_pod_that_is_let_go_is_no_longer_tracked() {
    let mut h = harness(|s| (s.completions, s.parallelism) = (Some(2), Some(2)));
    h.settle();
    let name = h.world.all::<Pod>()[0].metadata.name.clone().expect("name");
    h.world.edit::<Pod>("default", &name, |p| p.metadata.labels = None);
    h.settle();
    let free = h.world.get::<Pod>("default", &name);
    assert!(free.metadata.owner_references.is_none() && free.metadata.finalizers.is_none(), "{:?}", free.metadata);
    assert_eq!(h.world.all::<Pod>().len(), 3);
    // It comes back as a third, with its finalizer.
    let labels = h.world.all::<Pod>().iter().find_map(|p| p.metadata.labels.clone());
    h.world.edit::<Pod>("default", &name, |p| p.metadata.labels = labels);
    h.settle_running();
    let back = h.world.all::<Pod>().into_iter().find(|p| p.metadata.name.as_ref() == Some(&name));
    assert!(back.is_none_or(|p| p.metadata.owner_references.is_some() && crate::garbage::has_finalizer(&p.metadata, TRACKING)));
}

#[test]
fn tracked_pods_without_a_job_are_let_go() {
    let mut h = harness(|_| {});
    h.settle();
    let mut stray = (*h.world.all::<Pod>()[0]).clone();
    stray.metadata = meta("default", "stray");
    stray.metadata.finalizers = Some(vec![TRACKING.into()]);
    h.world.given(stray);
    h.settle();
    assert!(h.world.get::<Pod>("default", "stray").metadata.finalizers.is_none());
}
