//! Instructions that the server executes for one operation, counted by valgrind's callgrind: the figure that a busy machine
//! does not change. Everything the process does in the meantime counts, so a row is the difference of two loads.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::Value;

use super::cluster::Cluster;
use super::figures::{Figures, Server, create_map, get_map, patch_map, update_map};
use super::suite;
use super::wire::{Ask, Shape, Verb, Watches, load};

/// Operations of the small and of the large load.
const FEW: usize = 100;
const MANY: usize = 400;
/// Watchers of the event row.
const WATCHERS: usize = 20;
const WATCHED: &str = "/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=";

/// Asks for an object by its number.
type Asks = fn(usize) -> Ask;

/// Operations on objects that are there, changes first: one after which nothing is new to the server, the small and the large
/// load. Each changes something, or it would not be written.
const OTHERS: [(&str, Verb, [Asks; 3]); 3] = [
    ("instructions of an update", Verb::Put, [|i| update_map(i, "a"), |i| update_map(i, "b"), |i| update_map(i, "c")]),
    ("instructions of a merge patch", Verb::Merge, [|i| patch_map(i, "a"), |i| patch_map(i, "b"), |i| patch_map(i, "c")]),
    ("instructions of a get", Verb::Get, [get_map; 3]),
];

/// Runs a control plane under callgrind, if the machine has it.
pub(super) async fn measure(binary: &Path, dir: &Path, figures: &mut Figures) -> Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("  SKIP instructions: valgrind is not installed");
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    let mut cluster = Cluster::new(binary, dir.join("data"), false).under_callgrind(&dir.join("out"));
    let outcome = rows(&mut cluster, dir, figures).await;
    let removed = cluster.remove();
    outcome.and(removed)
}

async fn rows(cluster: &mut Cluster, dir: &Path, figures: &mut Figures) -> Result<()> {
    cluster.start().await.context("starting under callgrind")?;
    let server = suite::ours(cluster).await?;
    let counter = Counter { pid: cluster.pid()?, dir };
    // The first ones fill caches and tables.
    run(&server, Verb::Post, FEW, |i| create_map(1_000_000 + i)).await?;
    let few = counter.around(run(&server, Verb::Post, FEW, |i| create_map(10_000 + i))).await?;
    let many = counter.around(run(&server, Verb::Post, MANY, create_map)).await?;
    let create = (many.saturating_sub(few)) / (MANY - FEW) as u64;
    figures.add("instructions of a create", create.to_string(), String::new());
    for (what, verb, [warm, few, many]) in OTHERS {
        run(&server, verb, MANY, warm).await?;
        let few = counter.around(run(&server, verb, FEW, few)).await?;
        let many = counter.around(run(&server, verb, MANY, many)).await?;
        figures.add(what, (many.saturating_sub(few) / (MANY - FEW) as u64).to_string(), String::new());
    }
    let event = events(&server, &counter, create).await?;
    figures.add("instructions of a watch event", event.to_string(), String::new());
    Ok(())
}

/// A few creates that some watchers see, less what the creates cost by themselves.
async fn events(server: &Server, counter: &Counter<'_>, create: u64) -> Result<u64> {
    let list = server.api.tree(Method::GET, "/api/v1/namespaces/default/configmaps?limit=1", &Value::Null).await?;
    let revision = list["metadata"]["resourceVersion"].as_str().context("a list without a version")?;
    let shape = Shape { count: WATCHERS * FEW, at_once: WATCHERS, connections: 1 };
    let open = Watches::open(&server.target, shape, &format!("{WATCHED}{revision}")).await?;
    let all = counter
        .around(async {
            run(server, Verb::Post, FEW, |i| create_map(20_000 + i)).await?;
            open.finish().await.map(|_| ())
        })
        .await?;
    Ok(all.saturating_sub(create * FEW as u64) / (WATCHERS * FEW) as u64)
}

async fn run(server: &Server, verb: Verb, count: usize, ask: fn(usize) -> Ask) -> Result<()> {
    load(&server.target, Shape { count, at_once: 8, connections: 1 }, verb, ask).await.map(|_| ())
}

struct Counter<'a> {
    pid: u32,
    dir: &'a Path,
}

impl Counter<'_> {
    async fn around(&self, work: impl Future<Output = Result<()>>) -> Result<u64> {
        self.control("--zero")?;
        work.await?;
        let before = self.dumps()?;
        self.control("--dump")?;
        let fresh = self.dumps()?.into_iter().find(|name| !before.contains(name)).context("callgrind wrote no dump")?;
        let text = fs::read_to_string(self.dir.join(fresh))?;
        let line = text.lines().find_map(|l| l.strip_prefix("summary: ").or_else(|| l.strip_prefix("totals: ")));
        Ok(line.context("a dump without a sum")?.trim().parse()?)
    }

    fn control(&self, what: &str) -> Result<()> {
        let done = Command::new("callgrind_control").args([what, &self.pid.to_string()]).output()?;
        ensure!(done.status.success(), "callgrind_control: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    fn dumps(&self) -> Result<Vec<String>> {
        let names = fs::read_dir(self.dir)?.map(|e| e.map(|e| e.file_name().to_string_lossy().into_owned()));
        let names: Vec<String> = names.collect::<std::io::Result<_>>()?;
        Ok(names.into_iter().filter(|n| n.starts_with("out.")).collect())
    }
}
