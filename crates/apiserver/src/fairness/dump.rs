//! `/debug/api_priority_and_fairness/dump_*`: what the door knows, as tables of comma-separated columns.
//! Docs: "API Priority and Fairness: Debug endpoints".

use super::Fairness;
use super::plan::{Level, Plan};
use crate::call::Call;
use crate::request::RequestInfo;
use crate::respond::{self, Reply};
use jiff::{SignedDuration, Timestamp};
use rules::fairness::Work;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const PREFIX: &str = "/debug/api_priority_and_fairness/";

/// An answer, when the path is one of these.
pub(crate) fn answer(call: &Call) -> Option<Reply> {
    let what = call.info.path.strip_prefix(PREFIX)?;
    let door = &call.shared.fairness;
    if !door.limits.fair {
        return None;
    }
    let plan = door.plan.load_full();
    let rows = match what {
        "dump_priority_levels" => levels(&plan),
        "dump_queues" => queues(&plan),
        "dump_requests" => requests(door, &plan, call.info.flag("includeRequestDetails"), call.shared.registry.now()),
        _ => return None,
    };
    Some(respond::text(200, table(&rows)))
}

type Rows = Vec<Vec<String>>;

/// Columns padded to their widest cell, a comma after each but the last.
fn table(rows: &Rows) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns).map(|c| rows.iter().map(|r| r.get(c).map_or(0, String::len) + 1).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(out, "{:<1$} ", format!("{cell},"), width);
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

fn levels(plan: &Plan) -> Rows {
    let mut rows = vec![head(&[
        "PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests",
        "DispatchedRequests", "RejectedRequests", "TimedoutRequests", "CancelledRequests",
    ])];
    for level in &plan.levels {
        let s = level.core.lock().stats();
        let idle = s.executing == 0 && s.waiting == 0;
        let count = |c: &std::sync::atomic::AtomicU64| c.load(Ordering::Relaxed).to_string();
        rows.push(vec![
            level.name.clone(),
            s.active_queues.to_string(),
            idle.to_string(),
            "false".to_owned(),
            s.waiting.to_string(),
            s.executing.to_string(),
            count(&level.dispatched),
            count(&level.rejected),
            count(&level.timed_out),
            "0".to_owned(),
        ]);
    }
    rows
}

fn queues(plan: &Plan) -> Rows {
    let mut rows = vec![head(&[
        "PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR",
        "InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum",
    ])];
    for level in &plan.levels {
        for q in level.core.lock().queues() {
            rows.push(vec![
                level.name.clone(),
                q.index.to_string(),
                q.waiting.to_string(),
                q.executing.to_string(),
                q.executing_seats.to_string(),
                format!("{:.8}ss", q.next_start),
                q.waiting_seats.to_string(),
                q.waiting_seats_max.to_string(),
                format!("{:.8}ss", q.work_sum),
            ]);
        }
    }
    rows
}

pub(super) fn requests(door: &Arc<Fairness>, plan: &Plan, details: bool, now: Timestamp) -> Rows {
    let mut names = head(&[
        "PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher", "ArriveTime",
        "InitialSeats", "FinalSeats", "AdditionalLatency", "StartTime",
    ]);
    if details {
        names.extend(head(&["UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource"]));
    }
    let mut rows = vec![names];
    let clocks = Clocks { now, now_ns: door.now_ns() };
    for level in &plan.levels {
        waiting(level, details, clocks, &mut rows);
        running(level, details, clocks, &mut rows);
    }
    rows
}

/// One moment by the wall's clock and by the door's.
#[derive(Clone, Copy)]
struct Clocks {
    now: Timestamp,
    now_ns: u64,
}

impl Clocks {
    /// An instant of the door's as the wall's clock has it.
    fn at(self, at_ns: u64) -> String {
        let ago = i64::try_from(self.now_ns.saturating_sub(at_ns)).unwrap_or(i64::MAX);
        self.now.checked_sub(SignedDuration::from_nanos(ago)).unwrap_or(self.now).to_string()
    }
}

fn row(level: &Level, (schema, distinguisher): (&str, &str), (queue, position): (&str, &str), work: Work, times: (String, String)) -> Vec<String> {
    let mut row = head(&[&level.name, schema, queue, position, distinguisher]);
    let extra = codec::duration::format(i64::try_from(work.extra_ns).unwrap_or(i64::MAX));
    row.extend([times.0, work.seats.to_string(), work.final_seats.to_string(), extra, times.1]);
    row
}

fn detail(row: &mut Vec<String>, user: &str, i: &RequestInfo) {
    let api = if i.group.is_empty() { i.version.clone() } else { format!("{}/{}", i.group, i.version) };
    row.extend(head(&[user, i.verb, &i.path, &i.namespace, &i.name, &api, &i.resource, &i.subresource]));
}

fn waiting(level: &Level, details: bool, clocks: Clocks, rows: &mut Rows) {
    for w in level.core.lock().waiting() {
        let p = w.payload;
        let place = (w.queue.to_string(), w.position.to_string());
        let times = (clocks.at(w.arrived_ns), "0001-01-01T00:00:00Z".to_owned());
        let mut row = row(level, (&p.schema, &p.distinguisher), (&place.0, &place.1), w.work, times);
        if details {
            detail(&mut row, &p.user, &p.info);
        }
        rows.push(row);
    }
}

/// What has its seats stands in no queue any more; of a level with queues the one that it came by is told.
fn running(level: &Level, details: bool, clocks: Clocks, rows: &mut Rows) {
    let queues = level.core.lock().queues().next().is_some();
    for r in level.running.lock().iter() {
        let queue = if queues { r.ticket.queue().to_string() } else { "-1".to_owned() };
        let asked = super::asked(&r.asker.user, &r.asker.info);
        let schema = &r.flow.schema;
        let times = (clocks.at(r.arrived_ns), clocks.at(r.ticket.started_ns()));
        let mut row = row(level, (&schema.name, schema.distinguish(&asked)), (&queue, "-1"), r.ticket.work(), times);
        if details {
            detail(&mut row, &r.asker.user.name, &r.asker.info);
        }
        rows.push(row);
    }
}
