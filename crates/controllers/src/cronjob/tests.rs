//! Schedules, missed moments, policies and history of CronJobs.

use super::schedule::{due, parse};
use super::*;
use crate::harness::Harness;
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use kinds::api::batch::v1::{CronJobSpec, Job, JobCondition, JobSpec, JobStatus, JobTemplateSpec};
use testkit::build::{meta, template};

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn next(schedule: &str, from: &str, zone: &str) -> String {
    let tz = TimeZoneDatabase::bundled().get(zone).expect("a zone");
    parse(schedule).expect(schedule).next(at(from), &tz).expect("a moment").to_string()
}

#[test]
fn schedules_name_moments() {
    for (schedule, from, want) in [
        ("*/5 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"),
        ("0 0 * * *", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
        ("@daily", "2026-01-01T23:59:59Z", "2026-01-02T00:00:00Z"),
        ("@hourly", "2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z"),
        ("@every 1h30m", "2026-01-01T10:00:00Z", "2026-01-01T11:30:00Z"),
        ("30 8 * * mon-fri", "2026-01-02T09:00:00Z", "2026-01-05T08:30:00Z"),
        ("0 0 13 * fri", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("5/20 1,3 * JAN ?", "2026-01-01T01:46:00Z", "2026-01-01T03:05:00Z"),
    ] {
        assert_eq!(next(schedule, from, "UTC"), want, "{schedule}");
    }
    assert_eq!(next("0 9 * * *", "2026-01-01T00:00:00Z", "America/New_York"), "2026-01-01T14:00:00Z");
    // 02:30 does not exist on the day clocks go forward.
    assert_eq!(next("30 2 * * *", "2026-03-08T06:00:00Z", "America/New_York"), "2026-03-09T06:30:00Z");
    for bad in ["", "* * * *", "60 * * * *", "* * * * 8", "a * * * *", "@often", "*/0 * * * *", "5-1 * * * *"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_latest_missed_moment_is_found_quickly() {
    let s = parse("* * * * *").expect("a schedule");
    let (from, now) = (at("2020-01-01T00:00:00Z"), at("2026-01-01T00:00:30Z"));
    let found = due(&s, from, now, &TimeZone::UTC).expect("due");
    assert_eq!((found.latest, found.too_many), (at("2026-01-01T00:00:00Z"), true));
    assert!(due(&s, at("2026-01-01T00:00:00Z"), now, &TimeZone::UTC).is_none());
}

fn harness(change: impl FnOnce(&mut CronJobSpec)) -> Harness {
    let h = Harness::new(&[&CONTROLLER]);
    let job = JobSpec { template: template("tick", "v1"), ..JobSpec::default() };
    let mut spec = CronJobSpec {
        schedule: "* * * * *".into(),
        job_template: JobTemplateSpec { metadata: None, spec: Some(job) },
        ..CronJobSpec::default()
    };
    change(&mut spec);
    h.world.given(CronJob { metadata: meta("default", "tick"), spec, status: None });
    h
}

fn finish(h: &Harness, name: &str, kind: &str) {
    let c = JobCondition { type_: kind.into(), status: "True".into(), ..JobCondition::default() };
    let status = JobStatus { conditions: Some(vec![c]), completion_time: Some(h.world.time()), ..JobStatus::default() };
    h.world.edit::<Job>("default", name, |j| j.status = Some(status));
}

fn names(h: &Harness) -> Vec<String> {
    h.world.all::<Job>().iter().filter_map(|j| j.metadata.name.clone()).collect()
}

#[test]
fn a_minute_a_job_and_history_is_limited() {
    let mut h = harness(|s| s.successful_jobs_history_limit = Some(1));
    h.settle();
    assert!(names(&h).is_empty(), "the first moment has not come");
    h.wait(60);
    h.settle();
    let first = names(&h)[0].clone();
    assert_eq!(first, format!("tick-{}", 1_767_225_600 / 60 + 1));
    assert!(h.told().contains(&format!("SuccessfulCreate: Created job {first}")));
    let active = |h: &Harness| h.world.get::<CronJob>("default", "tick").status.clone().and_then(|s| s.active).map_or(0, |a| a.len());
    assert_eq!(active(&h), 1);
    finish(&h, &first, "Complete");
    h.settle();
    assert_eq!(active(&h), 0);
    assert!(h.told().contains(&format!("SawCompletedJob: Saw completed job: {first}, condition: Complete")));
    h.wait(60);
    h.settle();
    let second = names(&h)[1].clone();
    finish(&h, &second, "Complete");
    h.settle();
    assert_eq!(names(&h), [second]);
}

#[test]
fn policies_and_deadlines_decide() {
    let mut h = harness(|s| s.concurrency_policy = Some("Forbid".into()));
    h.wait(60);
    h.settle();
    h.wait(60);
    h.pass();
    assert_eq!(names(&h).len(), 1);
    assert!(h.told().iter().any(|t| t.starts_with("JobAlreadyActive: ")));
    let mut h = harness(|s| s.concurrency_policy = Some("Replace".into()));
    h.wait(60);
    h.settle();
    let first = names(&h)[0].clone();
    h.wait(60);
    h.settle();
    assert_ne!(names(&h), [first]);
    let mut h = harness(|s| s.suspend = Some(true));
    h.wait(600);
    h.settle();
    assert!(names(&h).is_empty());
    let mut h = harness(|s| {
        s.schedule = "0 * * * *".into();
        s.starting_deadline_seconds = Some(10);
    });
    h.wait(3700);
    h.settle();
    assert!(names(&h).is_empty(), "too late");
    let mut h = harness(|s| {
        s.schedule = "0 * * * *".into();
        s.starting_deadline_seconds = Some(i64::MAX);
    });
    h.wait(3700);
    h.settle();
    assert_eq!(names(&h).len(), 1, "never too late");
}
