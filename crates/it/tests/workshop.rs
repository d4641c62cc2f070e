//! The workshop, start to end, with the stock kubectl of the machine: everything of a first Kubernetes course
//! (issue 2, "The demo: the workshop"), on real containers. The steps are in `tests/steps`, written as the course has them.
//!
//! All steps run even when one fails; then a table tells, and the test fails when a step that decides did.

use it::cluster::{Cluster, NODE};
use it::{compare, machine};
use it::script::Said;
use it::steps::{self, Report, Step};
use std::time::{Duration, Instant};

/// The course in its order, before the program is killed.
const COURSE: [&str; 7] = [
    include_str!("steps/nodes.sh"),
    include_str!("steps/pods.sh"),
    include_str!("steps/app.sh"),
    include_str!("steps/services.sh"),
    include_str!("steps/daemons.sh"),
    include_str!("steps/rollouts.sh"),
    include_str!("steps/config.sh"),
];
/// What is written down before a stop and compared after the next start.
const BEFORE: &str = include_str!("steps/before.sh");
const AFTER: &str = include_str!("steps/after.sh");
/// A short run for other versions of kubectl.
const SMOKE: &str = include_str!("steps/smoke.sh");
/// Commands on containers for which our own kubectl must say what the stock one says.
const COMPARED: &str = include_str!("steps/compare_node.txt");
/// The version that ours is compared with.
const COMPARED_WITH: &str = "1.33";
/// The end of the cluster.
const LAST: &str = "uninstall leaves nothing";
/// Versions of kubectl beside the main one.
const OTHERS: [&str; 2] = ["1.27", "1.30"];

#[test]
fn the_workshop() {
    if let Some(reason) = machine::missing() {
        println!("SKIP the_workshop: {reason}");
        return;
    }
    let mut cluster = Cluster::prepare().expect("a cluster can be prepared");
    let mut report = Report::default();
    run(&mut report, "the cluster starts", || cluster.start().map(|()| cluster.log()));
    run(&mut report, "an image is imported beside the running program", || cluster.import_late());
    for file in COURSE {
        take(&mut report, &cluster, file, "");
    }
    take(&mut report, &cluster, BEFORE, "");
    run(&mut report, "kill -9, and start again", || {
        cluster.stop("KILL")?;
        cluster.start().map(|()| cluster.log())
    });
    take(&mut report, &cluster, AFTER, " after kill -9");
    take(&mut report, &cluster, BEFORE, " once more");
    run(&mut report, "Ctrl-C, and start again", || {
        let well = cluster.stop("INT")?;
        let said = cluster.log();
        anyhow::ensure!(well && said.contains("keep running") && said.contains("timonel uninstall"), "{said}");
        cluster.start().map(|()| said)
    });
    take(&mut report, &cluster, AFTER, " after Ctrl-C");
    for version in OTHERS {
        match machine::kubectl(Some(version)) {
            None => println!("SKIP the_workshop with kubectl {version}: it is not on this machine"),
            Some(program) => {
                cluster.use_kubectl(&program).expect("a link can be made");
                take(&mut report, &cluster, SMOKE, &format!(" with kubectl {version}"));
            }
        }
    }
    cluster.use_kubectl(&machine::timonel().expect("it is built")).expect("a link can be made");
    take(&mut report, &cluster, SMOKE, " with our own kubectl");
    beside(&mut report, &cluster);
    let log = cluster.log();
    run(&mut report, LAST, || cluster.remove().map(|()| String::new()));
    report.table();
    println!("--- the program's last words\n{}", log.lines().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n"));
    let failed = report.failed();
    assert!(failed.is_empty(), "{} steps failed on {NODE}: {}", failed.len(), failed.join("; "));
}

/// Our own kubectl beside the stock one, on containers.
fn beside(report: &mut Report, cluster: &Cluster) {
    let Some(stock) = machine::kubectl(Some(COMPARED_WITH)) else {
        println!("SKIP our kubectl beside kubectl {COMPARED_WITH}: it is not on this machine");
        return;
    };
    for (number, part) in compare::read(COMPARED).into_iter().enumerate() {
        run(report, &format!("our kubectl beside kubectl {COMPARED_WITH}: {}", part.name), || {
            let found = cluster.place().compare(&part, number, &stock, &machine::timonel()?)?;
            anyhow::ensure!(found.is_empty(), "{} of {} commands differ\n{}", found.len(), part.commands.len(), found.join("\n"));
            Ok(String::new())
        });
    }
}

/// Runs the steps of a file.
fn take(report: &mut Report, cluster: &Cluster, file: &str, suffix: &str) {
    for mut step in steps::read(file) {
        let said = match cluster.bash(&step.script, step.deadline) {
            Ok(said) => said,
            Err(e) => Said { text: format!("{e:#}"), ok: false, took: Duration::ZERO },
        };
        step.name.push_str(suffix);
        report.add(step, said);
    }
}

/// A step that is not a script.
fn run(report: &mut Report, name: &str, act: impl FnOnce() -> anyhow::Result<String>) {
    let begun = Instant::now();
    let (ok, text) = match act() {
        Ok(text) => (true, text),
        Err(e) => (false, format!("{e:#}")),
    };
    let step = Step { name: name.to_owned(), script: String::new(), deadline: Duration::ZERO, decides: true };
    report.add(step, Said { text, ok, took: begun.elapsed() });
}
