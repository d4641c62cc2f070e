//! Runs a history: life after life, deed after deed, the laws asked all the while.

use super::chance::Chance;
use super::gate::Way;
use super::life::{Life, Outside};
use super::machine::Machine;
use super::step::{Deed, Part, Step, history};
use super::truth::Truth;
use super::watcher::{self, Watcher};
use super::{laws, workload};
use base::Clock;
use cache::Change;
use kinds::ApiError;
use parking_lot::Mutex;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use store::MemoryDisk;
use store::disk::Faults;
use tokio::time::{sleep, timeout};

/// Machines of a simulated cluster.
pub const NODES: u64 = 4;
/// Deeds of a history.
pub const LENGTH: usize = 28;
/// A person gives up on a deed after this.
const DEED_MAX: Duration = Duration::from_secs(90);
/// The laws are asked at least so often.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Everything comes to rest within this, once faults have ended: unreachable nodes' pods go after five minutes, back-offs
/// last up to five.
const REST_MAX: Duration = Duration::from_secs(2400);
const REST_STEP: Duration = Duration::from_secs(20);

/// What broke, and during which step.
#[derive(Clone, Debug)]
pub struct Failure {
    pub step: usize,
    pub what: String,
}

/// What a whole run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Everything that was written, in order, a line each.
    pub story: Vec<String>,
    /// How often the program was started.
    pub lives: u64,
    /// How long it lasted, in virtual time.
    pub lasted: Duration,
}

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Has panics of the calling thread noted; tasks swallow them.
fn note_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.with_borrow_mut(|p| p.push(info.to_string()));
            before(info);
        }));
    });
    PANICS.with_borrow_mut(Vec::clear);
}

/// Runs the history of a seed.
///
/// # Errors
/// The law that broke.
pub fn run(seed: u64) -> Result<Outcome, Failure> {
    carry_out(seed, &history(seed, NODES, LENGTH))
}

/// Runs some history.
///
/// # Errors
/// The law that broke.
pub fn carry_out(seed: u64, steps: &[Step]) -> Result<Outcome, Failure> {
    note_panics();
    let mut outside = Outside {
        disk: MemoryDisk::default(),
        machines: (0..NODES).map(|n| Arc::new(Machine::new(n as u8))).collect(),
        chance: Arc::new(Chance::new(seed ^ 0x5eed)),
        elapsed: Duration::ZERO,
    };
    let truth: Arc<Mutex<Truth>> = Arc::default();
    let watchers = watcher::all();
    let mut outcome = Outcome::default();
    let mut at = 0;
    while at < steps.len() {
        outcome.lives += 1;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let ended = runtime.block_on(live(&outside, &truth, &watchers, steps, &mut at));
        // Everything in memory goes, in the middle of whatever it was at.
        drop(runtime);
        let elapsed = ended?;
        outside.elapsed = elapsed;
        outside.disk = outside.disk.after_crash(outside.chance.next());
        let truth = truth.lock();
        outcome.lasted = elapsed;
        outcome.story.extend(truth.changes.iter().map(|c| line(c)));
    }
    Ok(outcome)
}

fn line(c: &Change) -> String {
    let said = match (&c.old, &c.new) {
        (None, _) => "created",
        (_, None) => "deleted",
        _ => "changed",
    };
    let json = c.new.as_ref().map_or(&b""[..], |e| &e.json);
    format!("{} {} {} {said} {}", c.revision, c.resource.plural(), c.key(), String::from_utf8_lossy(json))
}

/// One life; gives how long the simulation has lasted when it ends.
async fn live(
    outside: &Outside,
    truth: &Arc<Mutex<Truth>>,
    watchers: &[Arc<Watcher>],
    steps: &[Step],
    at: &mut usize,
) -> Result<Duration, Failure> {
    let failed = |step: usize| move |what: String| Failure { step, what };
    let mut life = Life::begin(outside, Arc::clone(truth)).await.map_err(failed(*at))?;
    for w in watchers {
        tokio::spawn(Arc::clone(w).run(Arc::clone(&life.registry), Arc::new(Chance::new(outside.chance.next()))));
    }
    while *at < steps.len() {
        let step = &steps[*at];
        let mut died = life.died.clone();
        let crash = matches!(step.deed, Deed::Crash { .. });
        let lived = tokio::select! {
            biased;
            _ = died.changed() => Ok(false),
            result = take(&mut life, outside, watchers, step) => result.map(|()| true),
        };
        let panic = PANICS.with_borrow(|p| p.first().cloned());
        let lived = lived.and_then(|l| panic.map_or(Ok(l), Err)).map_err(failed(*at))?;
        if !lived && !crash {
            let why = life.died.borrow().clone().unwrap_or_default();
            return Err(Failure { step: *at, what: format!("the store died: {why}") });
        }
        *at += 1;
        if crash {
            break;
        }
    }
    truth.lock().last_seen(life.snapshot());
    watchers.iter().for_each(|w| w.compared());
    Ok(life.clock.elapsed())
}

/// One step and the time after it.
async fn take(life: &mut Life, outside: &Outside, watchers: &[Arc<Watcher>], step: &Step) -> Result<(), String> {
    if step.deed == Deed::Calm {
        return calm(life, outside, watchers).await;
    }
    let said = timeout(DEED_MAX, act(life, outside, &step.deed)).await;
    if let Ok(Err(e)) = &said
        && e.code == 500
    {
        return Err(format!("an internal error: {e} ({:?})", e.internal));
    }
    let mut left = Duration::from_millis(step.then_ms);
    loop {
        laws::always(life, &outside.machines)?;
        if left.is_zero() {
            return Ok(());
        }
        let slice = left.min(ASK_EVERY);
        sleep(slice).await;
        left -= slice;
    }
}

async fn act(life: &mut Life, outside: &Outside, deed: &Deed) -> Result<(), ApiError> {
    let machine = |node: u64| &outside.machines[(node % NODES) as usize];
    let name = |node: u64| machine(node).name.clone();
    let part = |part: Part| if part == Part::Manager { "manager" } else { "scheduler" };
    match *deed {
        Deed::CreateNamespace { ns } => workload::create_namespace(life, ns).await?,
        Deed::DeleteNamespace { ns } => workload::delete_namespace(life, ns).await?,
        Deed::Create { load, ns, name, size } => workload::create_load(life, load, ns, name, size).await?,
        Deed::Scale { load, ns, name, size } => workload::scale(life, load, ns, name, size).await?,
        Deed::Roll { load, ns, name, tag } => workload::roll(life, load, ns, name, tag).await?,
        Deed::Delete { load, ns, name, how } => workload::delete_load(life, load, ns, name, how).await?,
        Deed::Service { ns, name } => workload::service(life, ns, name).await?,
        Deed::DeleteService { ns, name } => workload::delete_service(life, ns, name).await?,
        Deed::DeletePods { ns, every } => workload::delete_pods(life, ns, every).await?,
        Deed::Relabel { ns, every, tier } => workload::relabel(life, ns, every, tier).await?,
        Deed::Drain { node } => workload::drain(life, &name(node)).await?,
        Deed::Uncordon { node } => workload::cordon(life, &name(node), false).await?,
        Deed::Taint { node, execute } => {
            workload::taint(life, &name(node), Some(if execute { "NoExecute" } else { "NoSchedule" })).await?;
        }
        Deed::Untaint { node } => workload::taint(life, &name(node), None).await?,
        Deed::Quarrel { ns, rounds } => workload::quarrel(life, ns, rounds).await?,
        Deed::SlowDisk { ms } => life.sync_ms.store(ms, Ordering::Relaxed),
        Deed::LoseNode { node } => life.gate(&name(node), Way::Lost),
        Deed::FindNode { node } => life.gate(&name(node), Way::Open),
        Deed::PowerOff { node } => {
            life.stop_kubelet(machine(node));
            machine(node).power_off(life.clock.now());
        }
        Deed::PowerOn { node } => power_on(life, machine(node)),
        Deed::RemoveNode { node } if !machine(node).is_up() => workload::remove_node(life, &name(node)).await?,
        Deed::RemoveNode { .. } => {}
        Deed::Pause { part: p } => life.gate(part(p), Way::Paused),
        Deed::Resume { part: p } => life.gate(part(p), Way::Open),
        Deed::FailStarts { node, count } => machine(node).fail_starts(count as u32),
        Deed::Crash { changes } => outside.disk.set_faults(Faults { crash_in: Some(changes), ..Faults::default() }),
        Deed::Calm => {}
    }
    Ok(())
}

fn power_on(life: &mut Life, machine: &Arc<Machine>) {
    machine.power_on();
    if !life.has_kubelet(machine) {
        life.start_kubelet(machine);
    }
}

/// Ends all faults and waits until the laws of rest hold, twice.
async fn calm(life: &mut Life, outside: &Outside, watchers: &[Arc<Watcher>]) -> Result<(), String> {
    life.sync_ms.store(1, Ordering::Relaxed);
    for part in life.gates.keys().cloned().collect::<Vec<_>>() {
        life.gate(&part, Way::Open);
    }
    for machine in &outside.machines {
        machine.fail_starts(0);
        power_on(life, machine);
        mend_node(life, &machine.name).await;
    }
    let mut rested = 0;
    let mut waited = Duration::ZERO;
    loop {
        sleep(REST_STEP).await;
        waited += REST_STEP;
        laws::always(life, &outside.machines)?;
        if let Some(panic) = PANICS.with_borrow(|p| p.first().cloned()) {
            return Err(panic);
        }
        match laws::at_rest(life, &outside.machines, watchers) {
            Ok(()) if rested == 1 => return Ok(()),
            Ok(()) => rested += 1,
            Err(why) if waited >= REST_MAX => return Err(format!("no rest: {why}")),
            Err(_) => rested = 0,
        }
    }
}

/// Takes away what the deeds put on a node; a conflict is tried again.
async fn mend_node(life: &Life, name: &str) {
    for _ in 0..10 {
        let cordon = workload::cordon(life, name, false).await;
        let taint = workload::taint(life, name, None).await;
        if !matches!((&cordon, &taint), (Err(e), _) | (_, Err(e)) if e.is_conflict()) {
            return;
        }
    }
}

/// Looks for a shorter history that fails too: first everything after the failure goes, then ever smaller parts.
#[must_use]
pub fn shorten(seed: u64, steps: &[Step], failure: &Failure, runs_max: usize) -> (Vec<Step>, Failure) {
    let mut best: Vec<Step> = steps[..=failure.step.min(steps.len() - 1)].to_vec();
    let calm = Step { deed: Deed::Calm, then_ms: 0 };
    if best.last() != Some(&calm) {
        best.push(calm);
    }
    let mut told = failure.clone();
    let mut part = best.len() / 2;
    let mut runs = 0;
    while part > 0 && runs < runs_max {
        let mut from = 0;
        while from + 1 < best.len() && runs < runs_max {
            let until = (from + part).min(best.len() - 1);
            let shorter: Vec<Step> = best[..from].iter().chain(&best[until..]).cloned().collect();
            runs += 1;
            match carry_out(seed, &shorter) {
                Err(f) => (best, told) = (shorter, f),
                Ok(_) => from = until,
            }
        }
        part /= 2;
    }
    (best, told)
}
