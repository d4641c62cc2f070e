//! The suites: which requests are made of the corpus, and in which order.

mod verbs;

use std::path::PathBuf;

use anyhow::Result;
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Value, json};

use super::Args;
use super::compare;
use super::corpus::{self, NAMESPACE, Seed};
use super::http::{Ask, Reply};
use super::mutate::mutants;
use super::report::{Case, Report};
use super::servers::Servers;

/// So many requests are under way at once where their order does not matter.
const AT_ONCE: usize = 16;
const DRY_RUN: &str = "?dryRun=All&fieldManager=oracle";
/// What lists are asked as, beside JSON.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PARTIAL: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json";

/// Runs the chosen suites.
pub(crate) async fn run(args: &Args, servers: &Servers, report: &mut Report) -> Result<()> {
    let corpus = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/oracle"));
    let mut seeds = corpus::seeds(&corpus.join("seeds"))?;
    seeds.retain(|s| s.label().contains(&args.focus));
    prepare(servers).await?;
    if args.wants("discovery") {
        report.begin("discovery");
        discovery(servers, report).await?;
    }
    if args.wants("bootstrap") {
        bootstrap(servers, report).await?;
    }
    if args.wants("objects") {
        report.begin("objects");
        objects(servers, report, &seeds).await?;
    }
    if args.wants("fields") {
        report.begin("fields");
        together(servers, report, seeds.iter().flat_map(fields).collect()).await?;
    }
    for (suite, subresource) in [("updates", ""), ("statuses", "/status")] {
        if args.wants(suite) {
            report.begin(suite);
            changes(servers, report, &seeds, subresource).await?;
        }
    }
    verbs::run(args, servers, report, &seeds).await?;
    if args.wants("requests") {
        report.begin("requests");
        for script in corpus::scripts(&corpus.join("scripts"))?.iter().filter(|s| s.name.contains(&args.focus)) {
            for step in &script.steps {
                let case = Case { verb: format!("{} {}", script.name, step.name), kind: String::new(), label: String::new(), ask: step.ask.clone() };
                one(servers, report, &case).await?;
            }
        }
    }
    Ok(())
}

/// The namespace and the account that pods need: no controller makes it here.
async fn prepare(servers: &Servers) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    both(servers, &Ask::json("POST", "/api/v1/namespaces", &namespace)).await?;
    both(servers, &Ask::json("POST", &format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts"), &account)).await?;
    Ok(())
}

async fn both(servers: &Servers, ask: &Ask) -> Result<(Reply, Reply)> {
    let (kube, timonel) = tokio::join!(servers.kube.ask(ask), servers.timonel.ask(ask));
    Ok((kube?, timonel?))
}

async fn one(servers: &Servers, report: &mut Report, case: &Case) -> Result<(Reply, Reply)> {
    let (kube, timonel) = both(servers, &case.ask).await?;
    let found = compare::replies(&kube, &timonel);
    report.take(case, (&kube, &timonel), found);
    Ok((kube, timonel))
}

/// Asks many things at once.
async fn together(servers: &Servers, report: &mut Report, cases: Vec<Case>) -> Result<()> {
    let asked = |case: Case| async move { both(servers, &case.ask).await.map(|replies| (case, replies)) };
    let mut answers = stream::iter(cases).map(asked).buffered(AT_ONCE);
    while let Some(answer) = answers.next().await {
        let (case, (kube, timonel)) = answer?;
        let found = compare::replies(&kube, &timonel);
        report.take(&case, (&kube, &timonel), found);
    }
    Ok(())
}

async fn discovery(servers: &Servers, report: &mut Report) -> Result<()> {
    let mut paths: Vec<String> = ["/", "/api", "/apis", "/api/v1", "/version/x", "/openapi/v3"].map(str::to_owned).to_vec();
    let groups: std::collections::BTreeSet<_> = schema::resources().iter().map(|r| (r.group, r.version)).collect();
    for (group, version) in groups.into_iter().filter(|(g, _)| !g.is_empty()) {
        paths.extend([format!("/apis/{group}"), format!("/apis/{group}/{version}")]);
    }
    for path in paths {
        let case = Case { verb: "discovery".into(), kind: path.clone(), label: String::new(), ask: Ask::bare("GET", &path) };
        one(servers, report, &case).await?;
    }
    for path in ["/api", "/apis"] {
        let mut ask = Ask::bare("GET", path);
        ask.headers.push(("accept".into(), "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList".into()));
        one(servers, report, &Case { verb: "aggregated discovery".into(), kind: path.into(), label: String::new(), ask }).await?;
    }
    Ok(())
}

/// What a fresh cluster contains.
async fn bootstrap(servers: &Servers, report: &mut Report) -> Result<()> {
    let served = schema::resources().iter().filter(|r| r.served_by_default && r.verbs.contains(&"list"));
    for r in served {
        let root = if r.group.is_empty() { format!("/api/{}", r.version) } else { format!("/apis/{}/{}", r.group, r.version) };
        let (kube, timonel) = both(servers, &Ask::bare("GET", &format!("{root}/{}", r.plural))).await?;
        let (kube, timonel) = (by_name(kube.tree()), by_name(timonel.tree()));
        let mut found = Vec::new();
        compare::trees("", &kube, &timonel, &mut found);
        for d in &found {
            report.note(&format!("fresh {}", r.plural), d);
        }
    }
    Ok(())
}

/// A list as a map, without the field owners.
fn by_name(list: Option<Value>) -> Value {
    let mut all = serde_json::Map::new();
    for mut item in list.and_then(|mut l| l["items"].as_array_mut().map(std::mem::take)).unwrap_or_default() {
        let name = format!("{}/{}", item["metadata"]["namespace"].as_str().unwrap_or_default(), item["metadata"]["name"].as_str().unwrap_or_default());
        if let Some(meta) = item["metadata"].as_object_mut() {
            meta.remove("managedFields");
        }
        all.insert(name, super::normalise::tree(item));
    }
    Value::Object(all)
}

/// Each seed created, read in every form, applied, and deleted.
async fn objects(servers: &Servers, report: &mut Report, seeds: &[Seed]) -> Result<()> {
    for seed in seeds {
        let case = |verb: &str, ask: Ask| Case { verb: verb.into(), kind: seed.resource.kind.into(), label: seed.label(), ask };
        let stored = seed.resource.verbs.contains(&"get");
        let created = Ask::json("POST", &format!("{}?fieldManager=oracle", seed.collection()), &seed.object);
        one(servers, report, &case("create", created)).await?;
        if !stored {
            continue;
        }
        for (form, accept) in [("get", "application/json"), ("table", TABLE), ("partial", PARTIAL), ("yaml", "application/yaml")] {
            let mut ask = Ask::bare("GET", &seed.path());
            ask.headers.push(("accept".into(), accept.into()));
            one(servers, report, &case(form, ask)).await?;
        }
        let patch = json!({"metadata": {"labels": {"patched": "yes"}}});
        for (form, kind) in [("merge patch", "merge-patch"), ("strategic patch", "strategic-merge-patch")] {
            let mut ask = Ask::json("PATCH", &format!("{}?fieldManager=oracle", seed.path()), &patch);
            ask.headers[0].1 = format!("application/{kind}+json");
            one(servers, report, &case(form, ask)).await?;
        }
        let mut apply = Ask::json("PATCH", &format!("{}?fieldManager=applier", seed.path()), &seed.object);
        apply.headers[0].1 = "application/apply-patch+yaml".into();
        one(servers, report, &case("apply", apply.clone())).await?;
        apply.path.push_str("&force=true");
        one(servers, report, &case("forced apply", apply)).await?;
        one(servers, report, &case("delete", Ask::bare("DELETE", &format!("{}?gracePeriodSeconds=0", seed.path())))).await?;
        one(servers, report, &case("get gone", Ask::bare("GET", &seed.path()))).await?;
    }
    Ok(())
}

/// Creations that are not to be, field by field.
fn fields(seed: &Seed) -> Vec<Case> {
    let Some(ty) = seed.resource.ty() else { return Vec::new() };
    let path = format!("{}{DRY_RUN}", seed.collection());
    let case = |m: super::mutate::Mutant| Case {
        verb: "create".into(),
        kind: seed.resource.kind.into(),
        label: format!("{}: {} {}", seed.label(), m.path, m.change),
        ask: Ask::json("POST", &path, &m.object),
    };
    mutants(&seed.object, ty, &seed.skip).into_iter().map(case).collect()
}

/// A change and the object of each server that it was made in.
type Pair = (String, Value, Value);

/// What is stored, as each server has it, with the same changes.
fn live_mutants(seed: &Seed, ty: &'static schema::Type, (kube, timonel): (&Reply, &Reply)) -> Vec<Pair> {
    let changed = |reply: &Reply| -> Vec<(String, Value)> {
        let mut object = reply.tree().unwrap_or_default();
        if let Some(meta) = object["metadata"].as_object_mut() {
            meta.remove("managedFields");
        }
        mutants(&object, ty, &seed.skip).into_iter().map(|m| (format!("{}: {} {}", seed.label(), m.path, m.change), m.object)).collect()
    };
    let mut ours = std::collections::HashMap::<String, std::collections::VecDeque<Value>>::new();
    for (label, object) in changed(timonel) {
        ours.entry(label).or_default().push_back(object);
    }
    let pair = |(label, theirs): (String, Value)| ours.get_mut(&label).and_then(std::collections::VecDeque::pop_front).map(|o| (label, theirs, o));
    changed(kube).into_iter().filter_map(pair).collect()
}

/// Asks once more with the newest version where a server's own controller wrote meanwhile: kube-apiserver has some.
async fn current(server: &super::http::Server, ask: &Ask) -> Result<Reply> {
    let reply = server.ask(ask).await?;
    let modified = reply.code == 409 && String::from_utf8_lossy(&reply.body).contains("the object has been modified");
    let (Some(path), true) = (ask.path.split(['?']).next(), modified) else { return Ok(reply) };
    let now = server.ask(&Ask::bare("GET", path.trim_end_matches("/status"))).await?;
    let mut again: Value = serde_json::from_slice(&ask.body)?;
    again["metadata"]["resourceVersion"] = now.tree().unwrap_or_default()["metadata"]["resourceVersion"].clone();
    server.ask(&Ask { body: again.to_string().into(), ..ask.clone() }).await
}

/// Puts each server's own object.
async fn pairs(servers: &Servers, report: &mut Report, pairs: Vec<Pair>, (verb, path): (&str, &str)) -> Result<()> {
    let asked = |(label, theirs, ours): Pair| async move {
        let (theirs, ours) = (Ask::json("PUT", path, &theirs), Ask::json("PUT", path, &ours));
        let (kube, timonel) = tokio::join!(current(&servers.kube, &theirs), current(&servers.timonel, &ours));
        Ok::<_, anyhow::Error>((label, theirs, kube?, timonel?))
    };
    let mut answers = stream::iter(pairs).map(asked).buffered(AT_ONCE);
    while let Some(answer) = answers.next().await {
        let (label, ask, kube, timonel) = answer?;
        let kind = label.split(' ').next().unwrap_or_default().to_owned();
        let case = Case { verb: verb.into(), kind, label, ask };
        let found = compare::replies(&kube, &timonel);
        report.take(&case, (&kube, &timonel), found);
    }
    Ok(())
}

/// Updates of what is stored, field by field.
async fn changes(servers: &Servers, report: &mut Report, seeds: &[Seed], subresource: &str) -> Result<()> {
    for seed in seeds.iter().filter(|s| s.resource.verbs.contains(&"update")) {
        if !subresource.is_empty() && seed.resource.subresource("status").is_none() {
            continue;
        }
        let Some(ty) = seed.resource.ty() else { continue };
        let (kube, timonel) = both(servers, &Ask::json("POST", &seed.collection(), &seed.object)).await?;
        if kube.code == 201 && timonel.code == 201 {
            let path = format!("{}{subresource}{DRY_RUN}", seed.path());
            let verb = if subresource.is_empty() { "update" } else { "status update" };
            pairs(servers, report, live_mutants(seed, ty, (&kube, &timonel)), (verb, &path)).await?;
        }
        both(servers, &Ask::bare("DELETE", &format!("{}?gracePeriodSeconds=0", seed.path()))).await?;
    }
    Ok(())
}
