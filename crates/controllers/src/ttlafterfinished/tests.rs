//! Finished jobs and their time to live.

use super::*;
use crate::harness::Harness;
use kinds::api::batch::v1::{JobCondition, JobSpec, JobStatus};
use testkit::build::{meta, template};

#[test]
fn finished_jobs_go_after_their_time() {
    let mut h = Harness::new(&[&CONTROLLER, &crate::garbage::CONTROLLER]);
    let c = JobCondition {
        type_: "Complete".into(),
        status: "True".into(),
        last_transition_time: Some(h.world.time()),
        ..JobCondition::default()
    };
    let spec = JobSpec { ttl_seconds_after_finished: Some(60), template: template("a", "v1"), ..JobSpec::default() };
    let status = JobStatus { conditions: Some(vec![c]), ..JobStatus::default() };
    h.world.given(Job { metadata: meta("default", "done"), spec: Some(spec), status: Some(status) });
    h.settle();
    assert_eq!(h.world.all::<Job>().len(), 1);
    h.wait(60);
    h.settle();
    assert!(h.world.all::<Job>().is_empty());
}
