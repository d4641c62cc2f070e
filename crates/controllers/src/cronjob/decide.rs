//! Book-keeping of the active list, then the schedule.

use super::schedule::{Schedule, due, parse};
use crate::controller::Ctx;
use crate::job::{finished, is_finished};
use crate::numbers::filled;
use crate::plan::{Event, Note, Plan, Propagation, Step, reference};
use cache::Snapshot;
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use kinds::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use kinds::api::core::v1::ObjectReference;
use kinds::owner::{controller_ref, is_controlled_by};
use kinds::{ObjectKey, ObjectMeta, Time};
use std::sync::Arc;
use std::time::Duration;

const SCHEDULED_AT: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// A little later than the moment itself, so that it has come for sure.
const LAG: Duration = Duration::from_millis(100);

/// One cron job with the jobs that it made.
#[derive(Debug)]
pub struct Seen {
    pub cron: Arc<CronJob>,
    /// Oldest first.
    pub jobs: Vec<Arc<Job>>,
}

/// Gathers it; `None` when it is gone.
pub fn observe(snapshot: &Snapshot, key: &ObjectKey) -> Option<Seen> {
    let cron = snapshot.find::<CronJob>(key)?;
    let uid = cron.metadata.uid.as_deref().unwrap_or_default();
    let own = snapshot.owned_as::<Job>(uid).filter(|j| is_controlled_by(&j.metadata, uid));
    let mut jobs: Vec<_> = own.cloned().collect();
    jobs.sort_by_key(|j| (started(j), j.metadata.name.clone()));
    Some(Seen { cron: Arc::clone(cron), jobs })
}

fn started(job: &Job) -> Option<Time> {
    job.status.as_ref().and_then(|s| s.start_time.clone()).or_else(|| job.metadata.creation_timestamp.clone())
}

/// What is to be done for one cron job.
#[must_use]
pub fn decide(seen: &Seen, ctx: &Ctx) -> Plan {
    let mut round = Round::new(seen, ctx);
    round.keep_the_books();
    if seen.cron.metadata.deletion_timestamp.is_none() {
        round.clean_up();
        round.schedule();
    }
    round.plan()
}

struct Round<'a> {
    seen: &'a Seen,
    ctx: &'a Ctx<'a>,
    status: CronJobStatus,
    plan: Plan,
}

impl<'a> Round<'a> {
    fn new(seen: &'a Seen, ctx: &'a Ctx<'a>) -> Self {
        let status = seen.cron.status.clone().unwrap_or_default();
        Self { seen, ctx, status, plan: Plan::because("the schedule") }
    }
    fn spec(&self) -> &'a CronJobSpec {
        &self.seen.cron.spec
    }
    fn about(&self) -> ObjectReference {
        reference(&*self.seen.cron)
    }
    fn tell(&mut self, event: Event) {
        self.plan.events.push(event);
    }
    fn active(&self) -> usize {
        self.status.active.as_ref().map_or(0, Vec::len)
    }

    /// The active list follows the jobs: finished and missing ones leave it.
    fn keep_the_books(&mut self) {
        let mut active = self.status.active.take().unwrap_or_default();
        for job in &self.seen.jobs {
            let listed = active.iter().any(|r| r.uid == job.metadata.uid);
            let name = job.metadata.name.clone().unwrap_or_default();
            match finished(job) {
                Some(c) if listed => {
                    active.retain(|r| r.uid != job.metadata.uid);
                    let text = format!("Saw completed job: {name}, condition: {}", c.type_);
                    self.tell(Event::normal(self.about(), "SawCompletedJob", text));
                }
                None if !listed => {
                    // Made in a round whose status was not written: it belongs to the list.
                    active.push(reference(&**job));
                }
                _ => {}
            }
            self.note_success(job);
        }
        let known = |r: &ObjectReference| self.seen.jobs.iter().any(|j| j.metadata.uid == r.uid);
        let (here, missing): (Vec<_>, Vec<_>) = active.into_iter().partition(known);
        for r in missing {
            let text = format!("Active job went missing: {}", r.name.unwrap_or_default());
            self.tell(Event::normal(self.about(), "MissingJob", text));
        }
        self.status.active = filled(here);
    }

    fn note_success(&mut self, job: &Job) {
        let Some(c) = finished(job).filter(|c| c.type_ == "Complete") else { return };
        let at = job.status.as_ref().and_then(|s| s.completion_time.clone()).or_else(|| c.last_transition_time.clone());
        if at > self.status.last_successful_time {
            self.status.last_successful_time = at;
        }
    }

    fn clean_up(&mut self) {
        let limits = [
            ("Complete", self.spec().successful_jobs_history_limit.unwrap_or(3)),
            ("Failed", self.spec().failed_jobs_history_limit.unwrap_or(1)),
        ];
        for (kind, limit) in limits {
            let all: Vec<_> = self.seen.jobs.iter().filter(|j| finished(j).is_some_and(|c| c.type_ == kind)).collect();
            let surplus = all.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
            for job in all.into_iter().take(surplus).filter(|j| j.metadata.deletion_timestamp.is_none()) {
                self.delete(job);
            }
        }
    }

    fn delete(&mut self, job: &Job) {
        let name = job.metadata.name.clone().unwrap_or_default();
        let ok = Note::new("SuccessfulDelete", format!("Deleted job {name}"));
        let failed = Note::new("FailedDelete", "Deleted job: ");
        let step = Step::delete_typed(job).propagating(Propagation::Background).telling(self.about(), Some(ok), Some(failed));
        let plan = std::mem::take(&mut self.plan);
        self.plan = plan.step(step);
    }

    fn zone(&mut self) -> Option<TimeZone> {
        let Some(name) = self.spec().time_zone.as_deref() else { return Some(TimeZone::UTC) };
        match TimeZoneDatabase::bundled().get(name) {
            Ok(tz) => Some(tz),
            Err(_) => {
                let text = format!("invalid timeZone: \"{name}\": unknown time zone {name}");
                self.tell(Event::warning(self.about(), "UnknownTimeZone", text));
                None
            }
        }
    }

    fn schedule(&mut self) {
        if self.spec().suspend == Some(true) {
            return;
        }
        let Some(tz) = self.zone() else { return };
        let text = &self.spec().schedule;
        let schedule = match parse(text) {
            Ok(s) => s,
            Err(e) => {
                let text = format!("unparseable schedule: \"{text}\" : {e}");
                return self.tell(Event::warning(self.about(), "UnparseableSchedule", text));
            }
        };
        let now = self.ctx.now;
        if let Some(next) = schedule.next(now, &tz) {
            let left = Duration::try_from(next.duration_since(now)).unwrap_or_default();
            self.plan.again = Some(left + LAG);
        }
        self.start_if_due(&schedule, &tz);
    }

    fn start_if_due(&mut self, schedule: &Schedule, tz: &TimeZone) {
        let now = self.ctx.now;
        let created = self.seen.cron.metadata.creation_timestamp.as_ref().map_or(now, |t| t.0);
        let mut earliest = self.status.last_schedule_time.as_ref().map_or(created, |t| t.0);
        let deadline = self.spec().starting_deadline_seconds;
        if let Some(d) = deadline {
            let limit = Timestamp::from_second(now.as_second().saturating_sub(d)).unwrap_or(earliest);
            earliest = earliest.max(limit);
        }
        let Some(due) = due(schedule, earliest, now, tz) else { return };
        if due.too_many {
            let text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            self.tell(Event::warning(self.about(), "TooManyMissedTimes", text));
        }
        if deadline.is_some_and(|d| due.latest.as_second().saturating_add(d) < now.as_second()) {
            let at = due.latest.to_zoned(tz.clone()).strftime("%a, %d %b %Y %H:%M:%S %z").to_string();
            let text = format!("Missed scheduled time to start a job: {at}");
            return self.tell(Event::warning(self.about(), "MissSchedule", text));
        }
        let name = format!("{}-{}", self.seen.cron.metadata.name.as_deref().unwrap_or_default(), due.latest.as_second() / 60);
        let made = self.seen.jobs.iter().any(|j| j.metadata.name.as_deref() == Some(&name));
        if made || self.status.last_schedule_time.as_ref().is_some_and(|t| t.0 == due.latest) {
            // Made already, in a round whose status was not written.
            self.status.last_schedule_time = Some(Time(due.latest));
            return;
        }
        match self.spec().concurrency_policy.as_deref() {
            Some("Forbid") if self.active() > 0 => {
                let text = "Not starting job because prior execution is running and concurrency policy is Forbid";
                return self.tell(Event::normal(self.about(), "JobAlreadyActive", text));
            }
            Some("Replace") => {
                let running: Vec<_> = self.seen.jobs.iter().filter(|j| !is_finished(j)).cloned().collect();
                running.iter().filter(|j| j.metadata.deletion_timestamp.is_none()).for_each(|j| self.delete(j));
                self.status.active = None;
            }
            _ => {}
        }
        self.start(name, due.latest, tz);
    }

    fn start(&mut self, name: String, at: Timestamp, tz: &TimeZone) {
        let template = &self.spec().job_template;
        let from = template.metadata.clone().unwrap_or_default();
        let mut annotations = from.annotations.unwrap_or_default();
        annotations.insert(SCHEDULED_AT.to_owned(), rfc3339(at, tz));
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            namespace: self.seen.cron.metadata.namespace.clone(),
            labels: from.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![controller_ref(&*self.seen.cron)]),
            ..ObjectMeta::default()
        };
        let job = Job { metadata, spec: template.spec.clone(), status: None };
        let ok = Note::new("SuccessfulCreate", format!("Created job {name}"));
        let failed = Note::new("FailedCreate", "Error creating job: ");
        let step = Step::create(job).lenient().telling(self.about(), Some(ok), Some(failed));
        let plan = std::mem::take(&mut self.plan);
        self.plan = plan.step(step);
        self.status.last_schedule_time = Some(Time(at));
    }

    fn plan(self) -> Plan {
        let changed = self.status != self.seen.cron.status.clone().unwrap_or_default();
        let cron = CronJob { status: Some(self.status), ..CronJob::clone(&self.seen.cron) };
        self.plan.status(changed.then(|| Step::update_status(cron)))
    }
}

/// RFC 3339 in that zone, `Z` for UTC.
fn rfc3339(at: Timestamp, tz: &TimeZone) -> String {
    let text = at.to_zoned(tz.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    text.strip_suffix("+00:00").map(|t| format!("{t}Z")).unwrap_or(text)
}
