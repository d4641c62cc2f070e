//! CronJobs. Docs: "CronJob".

use super::job;
use super::schedule::complaint;
use crate::checks::{not_negative, not_negative_opt, one_of};
use crate::names::{self, NameRule};
use crate::read::{fill, has, on, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, keep_spec, keep_status, warnings};
use kinds::api::batch::v1::{CronJob, CronJobStatus};
use kinds::{FieldErrors, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    default: edit!(CronJob, default),
    prepare_create: edit!(CronJob, |c: &mut CronJob| {
        c.status = Some(CronJobStatus::default());
        c.metadata.generation = Some(1);
    }),
    prepare_update: keep_status!(CronJob, CronJob),
    prepare_status_update: keep_spec!(CronJob, CronJob),
    validate: check!(CronJob, |c: &CronJob, e: &mut FieldErrors| validate(c, None, e)),
    validate_update: check_with_old!(CronJob, |n: &CronJob, o: &CronJob, e: &mut FieldErrors| validate(n, Some(o), e)),
    warnings: warnings!(CronJob, |n: &CronJob, _: Option<&CronJob>| warn(n)),
    ..Rules::plain(Kind::CronJob, NameRule::DnsSubdomain)
};

/// Room for the eleven characters that the names of its jobs add.
const NAME_MAX: usize = 63 - 11;

fn default(c: &mut CronJob) {
    let spec = &mut c.spec;
    fill(&mut spec.concurrency_policy, "Allow");
    spec.suspend.get_or_insert(false);
    spec.successful_jobs_history_limit.get_or_insert(3);
    spec.failed_jobs_history_limit.get_or_insert(1);
    spec.job_template.metadata.get_or_insert_default();
    let job = spec.job_template.spec.get_or_insert_default();
    job_defaults(job);
}

/// In a CronJob's template the counts stay open until a Job is made from it.
fn job_defaults(spec: &mut kinds::api::batch::v1::JobSpec) {
    let written = spec.clone();
    job::spec_defaults(spec);
    spec.parallelism = written.parallelism;
    spec.completions = written.completions;
    spec.backoff_limit = written.backoff_limit;
    spec.completion_mode = written.completion_mode;
    spec.suspend = written.suspend;
    spec.manual_selector = written.manual_selector;
    spec.pod_replacement_policy = written.pod_replacement_policy;
}

fn warn(c: &CronJob) -> Vec<String> {
    let mut all = Vec::new();
    let name = s(&c.metadata.name);
    let why = names::dns_label(name);
    if !why.is_empty() && !name.is_empty() {
        let list = why.join(" ");
        all.push(format!("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [{list}]"));
    }
    if c.spec.schedule.contains("TZ") {
        all.push("spec.schedule: CRON_TZ or TZ used in spec.schedule is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details".into());
    }
    if let Some(j) = &c.spec.job_template.spec {
        all.extend(crate::core::pod::warnings::template(&j.template, &Path::new("spec.jobTemplate.spec.template")));
    }
    all
}

fn validate(c: &CronJob, old: Option<&CronJob>, e: &mut FieldErrors) {
    let (spec, path) = (&c.spec, Path::new("spec"));
    if spec.schedule.is_empty() {
        e.required(&path.child("schedule"), "");
    } else {
        schedule(c, old, &path, e);
    }
    not_negative(spec.starting_deadline_seconds.unwrap_or_default(), &path.child("startingDeadlineSeconds"), e);
    if let Some(zone) = &spec.time_zone
        && old.is_none_or(|o| o.spec.time_zone.as_ref() != Some(zone))
    {
        time_zone(zone, &path.child("timeZone"), e);
    }
    let policies = ["Allow", "Forbid", "Replace"];
    one_of(s(&spec.concurrency_policy), &policies, &path.child("concurrencyPolicy"), e);
    let job = path.child("jobTemplate").child("spec");
    let none = Default::default();
    let job_spec = spec.job_template.spec.as_ref().unwrap_or(&none);
    job::validate_spec(job_spec, &job, false, e);
    if let Some(sel) = &job_spec.selector {
        e.invalid(&job.child("selector"), crate::json::selector(sel), "`selector` will be auto-generated");
    }
    if on(job_spec.manual_selector) {
        e.not_supported(&job.child("manualSelector"), true, &["nil", "false"]);
    }
    not_negative_opt(spec.successful_jobs_history_limit, &path.child("successfulJobsHistoryLimit"), e);
    not_negative_opt(spec.failed_jobs_history_limit, &path.child("failedJobsHistoryLimit"), e);
    let name = s(&c.metadata.name);
    if old.is_none() && name.len() > NAME_MAX {
        e.invalid(&Path::new("metadata.name"), name, format!("must be no more than {NAME_MAX} characters"));
    }
}

fn schedule(c: &CronJob, old: Option<&CronJob>, path: &Path, e: &mut FieldErrors) {
    let (spec, at) = (&c.spec, path.child("schedule"));
    let zoned = spec.schedule.contains("TZ");
    let (_, bare) = match spec.schedule.strip_prefix("TZ=").or_else(|| spec.schedule.strip_prefix("CRON_TZ=")) {
        Some(rest) => rest.split_once(' ').unwrap_or((rest, "")),
        None => ("", spec.schedule.as_str()),
    };
    if let Some(why) = complaint(bare) {
        e.invalid(&at, &spec.schedule, why);
        return;
    }
    let had = old.is_some_and(|o| o.spec.schedule.contains("TZ"));
    if zoned && has(&spec.time_zone) {
        e.invalid(&at, &spec.schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule");
    } else if zoned && !had {
        e.invalid(&at, &spec.schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
    }
}

fn time_zone(zone: &str, path: &Path, e: &mut FieldErrors) {
    if zone.is_empty() {
        e.invalid(path, zone, "timeZone must be nil or non-empty string");
        return;
    }
    if zone.eq_ignore_ascii_case("local") {
        e.invalid(path, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
        return;
    }
    let known = zone == "UTC" || jiff::tz::TimeZone::get(zone).is_ok();
    if !known {
        e.invalid(path, zone, format!("unknown time zone {zone}"));
    }
}
