//! More pods or fewer: parallelism, indexes, and how long to wait after failures.
//!
//! Docs: "Jobs: controlling parallelism", "completion mode", "pod backoff failure policy".

use super::TRACKING;
use super::count::{FAILURE_COUNT, Tally, failures_before};
use super::indexes::{INDEX, index_of};
use super::observe::{Seen, Standing};
use super::policy::{Verdict, verdict};
use crate::controller::Ctx;
use crate::numbers::{Chance, generate_name, since};
use crate::plan::{Note, Step, reference};
use crate::template;
use base::Backoff;
use kinds::Time;
use kinds::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// At most this many pods are created in one round.
const CREATIONS_MAX: usize = 500;
/// Between a failure and the pod that replaces the failed one.
const AFTER_FAILURE: Backoff = Backoff { initial: Duration::from_secs(10), max: Duration::from_secs(600) };
const INDEX_ENV: &str = "JOB_COMPLETION_INDEX";

/// What a round does to pods.
#[derive(Debug, Default)]
pub(super) struct Moves {
    pub create: Vec<Step>,
    pub delete: Vec<Step>,
    pub again: Option<Duration>,
}

/// The deletion of an active pod.
pub(super) fn deletion(seen: &Seen, pod: &Pod) -> Step {
    let ok = Note::new("SuccessfulDelete", format!("Deleted pod: {}", pod.metadata.name.clone().unwrap_or_default()));
    let failed = Note::new("FailedDelete", "Error deleting: ");
    Step::delete_typed(pod).telling(reference(&*seen.job), Some(ok), Some(failed))
}

/// How many pods should be active.
fn wanted(seen: &Seen, tally: &Tally, active: usize) -> usize {
    let parallelism = seen.spec().parallelism.unwrap_or(1);
    let succeeded = tally.totals().0;
    let n = match seen.spec().completions {
        // Without a number of completions the first success ends the growing.
        None if succeeded > 0 => return active,
        None => parallelism,
        Some(c) => {
            let failed = i32::try_from(tally.failed_indexes.len()).unwrap_or(0);
            parallelism.min(c - succeeded - if seen.indexed() { failed } else { 0 })
        }
    };
    usize::try_from(n).unwrap_or(0)
}

/// The moves of a job that goes on.
pub(super) fn moves(seen: &Seen, tally: &Tally, ctx: &Ctx) -> Moves {
    let active: Vec<&Arc<Pod>> = seen.of(Standing::Active).collect();
    let (keep, mut surplus) = if seen.indexed() { sort_indexes(seen, tally, &active) } else { (active, Vec::new()) };
    let wanted = wanted(seen, tally, keep.len());
    let mut moves = Moves::default();
    if keep.len() > wanted {
        surplus.extend(least_worthy(&keep, keep.len() - wanted));
    }
    moves.delete = surplus.iter().map(|p| deletion(seen, p)).collect();
    let leaving = seen.of(Standing::Leaving).count();
    let missing = wanted.saturating_sub(keep.len()).saturating_sub(leaving).min(CREATIONS_MAX);
    if missing == 0 || !moves.delete.is_empty() {
        return moves;
    }
    if seen.indexed() {
        create_indexed(seen, tally, &keep, missing, ctx, &mut moves);
    } else if let Some(rest) = rest_after_failures(seen.pods.iter().map(|(p, s)| (&**p, *s)), ctx) {
        moves.again = Some(rest);
    } else {
        let mut chance = Chance::new(ctx.seed);
        moves.create = (0..missing).map(|_| creation(seen, None, 0, &mut chance)).collect();
    }
    moves
}

/// Pods of done, doubled or impossible indexes are surplus.
fn sort_indexes<'a>(seen: &Seen, tally: &Tally, active: &[&'a Arc<Pod>]) -> (Vec<&'a Arc<Pod>>, Vec<&'a Arc<Pod>>) {
    let completions = seen.spec().completions.unwrap_or(0);
    let mut taken = BTreeSet::new();
    let useful = |p: &&Arc<Pod>, taken: &mut BTreeSet<i32>| {
        index_of(p).is_some_and(|i| {
            i < completions && !tally.completed.contains(&i) && !tally.failed_indexes.contains(&i) && taken.insert(i)
        })
    };
    active.iter().copied().partition(|p| useful(p, &mut taken))
}

fn least_worthy<'a>(pods: &[&'a Arc<Pod>], n: usize) -> Vec<&'a Arc<Pod>> {
    let mut all = pods.to_vec();
    let running = |p: &Pod| p.spec.as_ref().is_some_and(|s| s.node_name.is_some());
    all.sort_by_key(|p| {
        let born = p.metadata.creation_timestamp.clone();
        (running(p), kinds::pod::phase(p) == "Running", kinds::pod::is_ready(p), std::cmp::Reverse(born), p.metadata.name.clone())
    });
    all.truncate(n);
    all
}

fn create_indexed(seen: &Seen, tally: &Tally, keep: &[&Arc<Pod>], missing: usize, ctx: &Ctx, moves: &mut Moves) {
    let per_index = seen.spec().backoff_limit_per_index.is_some();
    if !per_index
        && let Some(rest) = rest_after_failures(seen.pods.iter().map(|(p, s)| (&**p, *s)), ctx) {
            moves.again = Some(rest);
            return;
        }
    let busy: BTreeSet<i32> =
        keep.iter().copied().chain(seen.of(Standing::Leaving)).filter_map(|p| index_of(p)).collect();
    let mut chance = Chance::new(ctx.seed);
    for i in 0..seen.spec().completions.unwrap_or(0) {
        if moves.create.len() >= missing {
            break;
        }
        if busy.contains(&i) || tally.completed.contains(&i) || tally.failed_indexes.contains(&i) {
            continue;
        }
        let mut failures = 0;
        if per_index {
            let own = || seen.pods.iter().filter(|(p, _)| index_of(p) == Some(i)).map(|(p, s)| (&**p, *s));
            if let Some(rest) = rest_after_failures(own(), ctx) {
                moves.again = Some(moves.again.map_or(rest, |a| a.min(rest)));
                continue;
            }
            failures = own().filter(|(_, s)| *s == Standing::Failed).map(|(p, _)| next_count(seen, p)).max().unwrap_or(0);
        }
        moves.create.push(creation(seen, Some(i), failures, &mut chance));
    }
}

/// The failure count that the replacement of a failed pod starts with.
fn next_count(seen: &Seen, pod: &Pod) -> i32 {
    let ignored = kinds::pod::phase(pod) == "Failed" && verdict(seen.spec(), pod) == Verdict::Ignore;
    failures_before(pod) + i32::from(!ignored)
}

/// What is left of the rest after the failures since the last success.
fn rest_after_failures<'a>(pods: impl Iterator<Item = (&'a Pod, Standing)>, ctx: &Ctx) -> Option<Duration> {
    let mut ends: Vec<(Time, bool)> = Vec::new();
    for (p, s) in pods {
        match s {
            Standing::Succeeded => ends.extend(end_of(p).map(|t| (t, true))),
            Standing::Failed if p.metadata.deletion_timestamp.is_none() => ends.extend(end_of(p).map(|t| (t, false))),
            _ => {}
        }
    }
    ends.sort();
    let failures = ends.iter().rev().take_while(|(_, good)| !good).count();
    let (last, _) = ends.last().filter(|_| failures > 0)?;
    let rest = AFTER_FAILURE.delay(u32::try_from(failures).unwrap_or(u32::MAX)).saturating_sub(since(ctx.now, last));
    (!rest.is_zero()).then_some(rest)
}

/// When a pod ended: its last container's end, or the last change of its readiness.
fn end_of(pod: &Pod) -> Option<Time> {
    let status = pod.status.as_ref()?;
    let states = status.container_statuses.iter().flatten().filter_map(|c| c.state.as_ref()?.terminated.as_ref()?.finished_at.clone());
    let ready = || kinds::conditions::pod_condition(pod, "Ready").and_then(|c| c.last_transition_time.clone());
    states.max().or_else(ready).or_else(|| pod.metadata.creation_timestamp.clone())
}

fn creation(seen: &Seen, index: Option<i32>, failures: i32, chance: &mut Chance) -> Step {
    let mut pod = template::pod(&*seen.job, &seen.spec().template);
    let job = seen.job.metadata.name.as_deref().unwrap_or_default();
    pod.metadata.finalizers.get_or_insert_default().push(TRACKING.to_owned());
    let prefix = match index {
        Some(i) => {
            number(&mut pod, job, i);
            if seen.spec().backoff_limit_per_index.is_some() {
                let notes = pod.metadata.annotations.get_or_insert_default();
                notes.insert(FAILURE_COUNT.to_owned(), failures.to_string());
            }
            format!("{job}-{i}-")
        }
        None => format!("{job}-"),
    };
    generate_name(&mut pod.metadata, &prefix, chance);
    let ok = Note::new("SuccessfulCreate", format!("Created pod: {}", pod.metadata.name.clone().unwrap_or_default()));
    Step::create(pod).telling(reference(&*seen.job), Some(ok), Some(Note::new("FailedCreate", "Error creating: ")))
}

/// Gives a pod its index: label, annotation, host name and environment.
fn number(pod: &mut Pod, job: &str, index: i32) {
    let text = index.to_string();
    pod.metadata.labels.get_or_insert_default().insert(INDEX.to_owned(), text.clone());
    pod.metadata.annotations.get_or_insert_default().insert(INDEX.to_owned(), text);
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(format!("{job}-{index}"));
    let source = EnvVarSource {
        field_ref: Some(ObjectFieldSelector { api_version: None, field_path: format!("metadata.labels['{INDEX}']") }),
        ..EnvVarSource::default()
    };
    let add = |c: &mut Container| {
        let env = c.env.get_or_insert_default();
        if !env.iter().any(|e| e.name == INDEX_ENV) {
            env.push(EnvVar { name: INDEX_ENV.to_owned(), value: None, value_from: Some(source.clone()) });
        }
    };
    spec.init_containers.iter_mut().flatten().for_each(add);
    spec.containers.iter_mut().for_each(add);
}
