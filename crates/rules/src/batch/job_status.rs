//! The status of Jobs: what whoever manages one may write, and which steps back are refused. KEP-4368 (managedBy): a rule about
//! a field is asked only where the field changes.

use crate::checks::not_negative_opt;
use crate::meta::IMMUTABLE;
use crate::read::{items, on, s};
use kinds::api::batch::v1::{Job, JobSpec, JobStatus};
use kinds::field::Bare;
use kinds::{FieldErrors, Path, Time};

/// A job with its status, neither of them absent.
struct Seen<'a> {
    spec: &'a JobSpec,
    status: &'a JobStatus,
}

impl Seen<'_> {
    fn is(&self, condition: &str) -> bool {
        self.says(condition, "True")
    }

    fn says(&self, condition: &str, word: &str) -> bool {
        items(&self.status.conditions).iter().any(|c| c.type_ == condition && c.status == word)
    }

    fn finished(&self) -> bool {
        self.is("Complete") || self.is("Failed")
    }

    fn indexed(&self) -> bool {
        s(&self.spec.completion_mode) == "Indexed"
    }
}

/// An update of the status.
pub(super) fn validate(n: &Job, o: &Job, e: &mut FieldErrors) {
    let (no_spec, no_status) = (JobSpec::default(), JobStatus::default());
    let new = Seen { spec: n.spec.as_ref().unwrap_or(&no_spec), status: n.status.as_ref().unwrap_or(&no_status) };
    let old = Seen { spec: o.spec.as_ref().unwrap_or(&no_spec), status: o.status.as_ref().unwrap_or(&no_status) };
    let path = Path::new("status");
    numbers(new.status, &path, e);
    uncounted(new.status, &path.child("uncountedTerminatedPods"), e);
    conditions_fit(&new, &old, &path, e);
    finished_fits(&new, &old, &path, e);
    indexes_fit(&new, &old, &path, e);
    if changed(&new, &old, |s| (s.ready, s.active.unwrap_or_default()))
        && let Some(ready) = new.status.ready.filter(|r| *r > new.status.active.unwrap_or_default())
    {
        e.invalid(&path.child("ready"), ready, "cannot set more ready pods than active");
    }
    success_fits(&new, &path.child("conditions"), e);
    steps_back(&new, &old, &path, e);
}

fn changed<T: PartialEq>(new: &Seen<'_>, old: &Seen<'_>, part: impl Fn(&JobStatus) -> T) -> bool {
    part(new.status) != part(old.status)
}

fn numbers(st: &JobStatus, path: &Path, e: &mut FieldErrors) {
    for (name, v) in [
        ("active", st.active),
        ("succeeded", st.succeeded),
        ("failed", st.failed),
        ("ready", st.ready),
        ("terminating", st.terminating),
    ] {
        not_negative_opt(v, &path.child(name), e);
    }
}

fn uncounted(st: &JobStatus, path: &Path, e: &mut FieldErrors) {
    let Some(pods) = &st.uncounted_terminated_pods else { return };
    let mut seen: Vec<&str> = Vec::new();
    for (name, list) in [("succeeded", &pods.succeeded), ("failed", &pods.failed)] {
        for (i, uid) in items(list).iter().enumerate() {
            let at = path.child(name).index(i);
            if uid.is_empty() {
                e.invalid(&at, uid, "must not be empty");
            } else if seen.contains(&uid.as_str()) {
                e.duplicate(&at, uid);
            } else {
                seen.push(uid);
            }
        }
    }
}

/// Words about conditions show no value.
fn refused(path: &Path, why: &str, e: &mut FieldErrors) {
    e.invalid(&path.child("conditions"), Bare(String::new()), why);
}

fn time(t: Option<&Time>) -> Bare {
    Bare(t.map_or_else(|| "null".to_owned(), |t| format!("\"{}\"", t.0)))
}

/// Verdicts that exclude each other, or need one another.
fn conditions_fit(new: &Seen<'_>, old: &Seen<'_>, path: &Path, e: &mut FieldErrors) {
    let turned = |condition: &str| new.is(condition) != old.is(condition);
    let ended = changed(new, old, |s| s.completion_time.clone());
    let complete = new.is("Complete");
    if (turned("Complete") || turned("Failed")) && complete && new.is("Failed") {
        refused(path, "cannot set Complete=True and Failed=true conditions", e);
    }
    if (turned("Complete") || turned("FailureTarget")) && complete && new.is("FailureTarget") {
        refused(path, "cannot set Complete=True and FailureTarget=true conditions", e);
    }
    let at = path.child("completionTime");
    if turned("Complete") || ended {
        match &new.status.completion_time {
            Some(t) if !complete => e.invalid(&at, time(Some(t)), "cannot set completionTime when there is no Complete=True condition"),
            None if complete => e.required(&at, "completionTime is required for Complete jobs"),
            _ => {}
        }
    }
    if (ended || changed(new, old, |s| s.start_time.clone()))
        && let (Some(start), Some(end)) = (&new.status.start_time, &new.status.completion_time)
        && end.0 < start.0
    {
        e.invalid(&at, time(Some(end)), "must be equal to or after `startTime`");
    }
    if (turned("Failed") || changed(new, old, |s| s.failed_indexes.clone())) && new.is("Failed") && !new.is("FailureTarget") {
        refused(path, "cannot set Failed=True condition without the FailureTarget=true condition", e);
    }
    if (turned("Complete") || turned("SuccessCriteriaMet")) && complete && !new.is("SuccessCriteriaMet") {
        refused(path, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition", e);
    }
}

/// What a job that is over cannot have.
fn finished_fits(new: &Seen<'_>, old: &Seen<'_>, path: &Path, e: &mut FieldErrors) {
    if !new.finished() {
        return;
    }
    let (st, turned) = (new.status, !old.finished());
    let active = st.active.unwrap_or_default();
    if (turned || active != old.status.active.unwrap_or_default()) && active > 0 {
        e.invalid(&path.child("active"), active, "active>0 is invalid for finished job");
    }
    let never_ran = on(new.spec.suspend) && new.spec.completions == Some(0);
    if (turned || changed(new, old, |s| s.start_time.clone())) && !never_ran && st.start_time.is_none() {
        e.required(&path.child("startTime"), "startTime is required for finished job");
    }
    if let Some(pods) = &st.uncounted_terminated_pods
        && (turned || changed(new, old, |s| s.uncounted_terminated_pods.clone()))
        && items(&pods.failed).len() + items(&pods.succeeded).len() > 0
    {
        let list = |l: &Option<Vec<String>>| l.as_ref().map_or_else(|| "null".to_owned(), |l| crate::json::list(l).0);
        let shown = format!("{{\"Succeeded\":{},\"Failed\":{}}}", list(&pods.succeeded), list(&pods.failed));
        e.invalid(&path.child("uncountedTerminatedPods"), Bare(shown), "must be empty for finished job");
    }
    if let Some(n) = st.terminating.filter(|n| *n > 0)
        && (turned || changed(new, old, |s| s.terminating))
    {
        e.invalid(&path.child("terminating"), n, "terminating>0 is invalid for finished job");
    }
}

/// Lists of indexes: their form, and for which jobs they are.
fn indexes_fit(new: &Seen<'_>, old: &Seen<'_>, path: &Path, e: &mut FieldErrors) {
    let (completed_at, failed_at) = (path.child("completedIndexes"), path.child("failedIndexes"));
    let completed = s(&new.status.completed_indexes);
    let failed = new.status.failed_indexes.as_deref();
    let completed_changed = completed != s(&old.status.completed_indexes);
    let failed_changed = failed != old.status.failed_indexes.as_deref();
    let (completions, per_index) = (new.spec.completions, new.spec.backoff_limit_per_index);
    if completed_changed && let Some(n) = completions && let Err(why) = intervals(completed, n) {
        e.invalid(&completed_at, completed, format!("error parsing completedIndexes: {why}"));
    }
    if failed_changed && per_index.is_some() && let (Some(n), Some(text)) = (completions, failed) && let Err(why) = intervals(text, n) {
        e.invalid(&failed_at, text, format!("error parsing failedIndexes: {why}"));
    }
    if completed_changed && !completed.is_empty() && !new.indexed() {
        e.invalid(&completed_at, completed, "cannot set non-empty completedIndexes when non-indexed completion mode");
    }
    if failed_changed && per_index.is_none() && let Some(text) = failed {
        e.invalid(&failed_at, text, "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
    }
    if (failed_changed || completed_changed)
        && let (Some(n), Some(text)) = (completions, failed)
        && let Some(both) = overlap(completed, text, n)
    {
        e.invalid(&failed_at, text, format!("failedIndexes and completedIndexes overlap at index: {both}"));
    }
}

type Interval = (i32, i32);

/// `3` or `5-7`.
fn interval(text: &str, completions: i32) -> Result<Interval, String> {
    let number = |t: &str| t.parse::<i32>().map_err(|_| format!("cannot convert string to integer for index: {t:?}"));
    let below = |n: i32, text: &str| if n < completions { Ok(n) } else { Err(format!("too large index: {text:?}")) };
    match text.split('-').collect::<Vec<_>>()[..] {
        [one] => number(one).and_then(|n| below(n, one)).map(|n| (n, n)),
        [from, to] => {
            let x = number(from).and_then(|x| below(x, from))?;
            let y = number(to).and_then(|y| below(y, to))?;
            if x < y { Ok((x, y)) } else { Err(format!("non-increasing order, previous: {x}, current: {y}")) }
        }
        _ => Err(format!("the fragment {text:?} violates the requirement that an index interval can have at most two parts separated by '-'")),
    }
}

fn intervals(text: &str, completions: i32) -> Result<Vec<Interval>, String> {
    let mut all: Vec<Interval> = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let next = interval(part, completions)?;
        if let Some(last) = all.last().filter(|last| last.1 >= next.0) {
            return Err(format!("non-increasing order, previous: {}, current: {}", last.1, next.0));
        }
        all.push(next);
    }
    Ok(all)
}

/// The first index that is in both; what is none is passed over.
fn overlap(completed: &str, failed: &str, completions: i32) -> Option<i32> {
    let read = |text: &str| -> Vec<Interval> { text.split(',').filter_map(|t| interval(t, completions).ok()).collect() };
    let (completed, failed) = (read(completed), read(failed));
    failed.iter().flat_map(|f| completed.iter().map(move |c| (f, c))).find(|(f, c)| c.0 <= f.1 && f.0 <= c.1).map(|(f, c)| f.0.max(c.0))
}

fn success_fits(new: &Seen<'_>, at: &Path, e: &mut FieldErrors) {
    let mut told = |why: &str| e.invalid(at, Bare(String::new()), why);
    let met = new.is("SuccessCriteriaMet");
    if met && new.is("Failed") {
        told("cannot set SuccessCriteriaMet=True and Failed=true conditions");
    }
    if met && new.is("FailureTarget") {
        told("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
    }
    if new.spec.success_policy.is_some() && !met && new.is("Complete") {
        told("cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True");
    }
}

/// What was said once is not taken back.
fn steps_back(new: &Seen<'_>, old: &Seen<'_>, path: &Path, e: &mut FieldErrors) {
    for condition in ["Failed", "Complete", "FailureTarget"] {
        if old.is(condition) && !new.is(condition) {
            refused(path, &format!("cannot disable the terminal {condition}=True condition"), e);
        }
    }
    let (is, was) = (new.status, old.status);
    let elastic = new.indexed() && new.spec.completions == new.spec.parallelism;
    if is.failed.unwrap_or_default() < was.failed.unwrap_or_default() {
        e.invalid(&path.child("failed"), is.failed.unwrap_or_default(), "cannot decrease the failed counter");
    }
    if !elastic && is.succeeded.unwrap_or_default() < was.succeeded.unwrap_or_default() {
        e.invalid(&path.child("succeeded"), is.succeeded.unwrap_or_default(), "cannot decrease the succeeded counter");
    }
    if let (Some(t), Some(before)) = (&is.completion_time, &was.completion_time)
        && t != before
    {
        e.invalid(&path.child("completionTime"), time(Some(t)), IMMUTABLE);
    }
    let resuming = old.is("Suspended") && new.says("Suspended", "False");
    if was.start_time.is_some() && was.start_time != is.start_time && !resuming && !on(new.spec.suspend) {
        e.invalid(&path.child("startTime"), time(is.start_time.as_ref()), "field is immutable for unsuspended job once set");
    }
    if old.is("SuccessCriteriaMet") && !new.is("SuccessCriteriaMet") {
        refused(path, "cannot disable the SuccessCriteriaMet=True condition", e);
    }
    if old.is("Complete") && !old.is("SuccessCriteriaMet") && new.is("SuccessCriteriaMet") {
        refused(path, "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions", e);
    }
}
