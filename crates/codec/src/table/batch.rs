//! Rows of the batch group.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cells::{View, containers, selector};
use super::{Printer, human};

pub(super) fn printer(kind: &str) -> Option<Printer> {
    Some(match kind {
        "Job" => job,
        "CronJob" => cron_job,
        _ => return None,
    })
}

fn job(job: View<'_>, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(job.at("/spec/template/spec"));
    let succeeded = job.int("/status/succeeded");
    let completions = match (job.at("/spec/completions").0.as_i64(), job.int("/spec/parallelism")) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallel) if parallel > 1 => format!("{succeeded}/1 of {parallel}"),
        (None, _) => format!("{succeeded}/1"),
    };
    vec![
        job.name(),
        json!(status(job)),
        json!(completions),
        json!(duration(job, now)),
        job.age(now),
        names,
        images,
        json!(selector(job.at("/spec/selector"))),
    ]
}

fn status(job: View<'_>) -> &'static str {
    let is = |kind: &str| job.condition_is_true("/status/conditions", kind);
    if is("Complete") {
        "Complete"
    } else if is("Failed") {
        "Failed"
    } else if job.has("/metadata/deletionTimestamp") {
        "Terminating"
    } else if is("Suspended") {
        "Suspended"
    } else if is("FailureTarget") {
        "FailureTarget"
    } else if is("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn duration(job: View<'_>, now: Timestamp) -> String {
    let Ok(start) = job.text("/status/startTime").parse::<Timestamp>() else { return String::new() };
    let end = job.text("/status/completionTime").parse::<Timestamp>().unwrap_or(now);
    human::duration(human::seconds_between(start, end))
}

fn cron_job(cron: View<'_>, now: Timestamp) -> Vec<Value> {
    let template = cron.at("/spec/jobTemplate/spec");
    let [names, images] = containers(template.at("/template/spec"));
    let suspend = match cron.at("/spec/suspend").0.as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    let last = match cron.text("/status/lastScheduleTime") {
        "" => "<none>".to_owned(),
        time => human::since(time, now),
    };
    vec![
        cron.name(),
        json!(cron.text("/spec/schedule")),
        json!(cron.text_or("/spec/timeZone", "<none>")),
        json!(suspend),
        json!(cron.count("/status/active")),
        json!(last),
        cron.age(now),
        names,
        images,
        json!(selector(template.at("/selector"))),
    ]
}
