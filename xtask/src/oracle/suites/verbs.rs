//! The suites of the other verbs: patches of every form, deletes with their options, lists with selectors and as Tables.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{Args, Ask, Case, DRY_RUN, NAMESPACE, Report, Seed, Servers, TABLE, both, mutants, one, together};

/// Runs the chosen ones.
pub(super) async fn run(args: &Args, servers: &Servers, report: &mut Report, seeds: &[Seed]) -> Result<()> {
    if args.wants("patches") {
        report.begin("patches");
        for seed in seeds.iter().filter(|s| s.resource.verbs.contains(&"patch")) {
            patches(servers, report, seed).await?;
        }
    }
    if args.wants("deletes") {
        report.begin("deletes");
        for seed in seeds.iter().filter(|s| s.resource.verbs.contains(&"delete")) {
            deletes(servers, report, seed).await?;
        }
    }
    if args.wants("lists") {
        report.begin("lists");
        lists(args, servers, report).await?;
    }
    Ok(())
}

/// Each wrong field once, the four forms of patches taking turns.
async fn patches(servers: &Servers, report: &mut Report, seed: &Seed) -> Result<()> {
    let Some(ty) = seed.resource.ty() else { return Ok(()) };
    let (kube, timonel) = both(servers, &Ask::json("POST", &format!("{}?fieldManager=oracle", seed.collection()), &seed.object)).await?;
    if kube.code == 201 && timonel.code == 201 {
        let all = mutants(&seed.object, ty, &seed.skip).into_iter().enumerate().map(|(i, m)| {
            let (form, body) = patch(i % 4, &seed.object, &m.object);
            let mut ask = Ask::json("PATCH", &format!("{}{DRY_RUN}&force={}", seed.path(), form == "apply-patch"), &body);
            if form != "apply-patch" {
                ask.path = format!("{}{DRY_RUN}", seed.path());
            }
            ask.headers[0].1 = format!("application/{form}+{}", if form == "apply-patch" { "yaml" } else { "json" });
            Case { verb: form.into(), kind: seed.resource.kind.into(), label: format!("{}: {} {}", seed.label(), m.path, m.change), ask }
        });
        together(servers, report, all.collect()).await?;
    }
    both(servers, &Ask::bare("DELETE", &format!("{}?gracePeriodSeconds=0", seed.path()))).await?;
    Ok(())
}

/// A patch that makes one object the other: whole members at the top.
fn patch(form: usize, from: &Value, to: &Value) -> (&'static str, Value) {
    let none = Map::new();
    let (old, new) = (from.as_object().unwrap_or(&none), to.as_object().unwrap_or(&none));
    let gone = old.keys().filter(|k| !new.contains_key(*k)).map(|k| (k, Value::Null));
    let other = new.iter().filter(|(k, v)| old.get(*k) != Some(v)).map(|(k, v)| (k, v.clone()));
    match form {
        0 => ("merge-patch", gone.chain(other).map(|(k, v)| (k.clone(), v)).collect()),
        1 => ("strategic-merge-patch", gone.chain(other).map(|(k, v)| (k.clone(), v)).collect()),
        2 => {
            let removes = gone.map(|(k, _)| json!({"op": "remove", "path": format!("/{k}")}));
            let adds = other.map(|(k, v)| json!({"op": "add", "path": format!("/{k}"), "value": v}));
            ("json-patch", removes.chain(adds).collect())
        }
        _ => ("apply-patch", to.clone()),
    }
}

/// An object deleted in every way, at last for good.
async fn deletes(servers: &Servers, report: &mut Report, seed: &Seed) -> Result<()> {
    let case = |label: &str, ask: Ask| Case {
        verb: "delete".into(),
        kind: seed.resource.kind.into(),
        label: format!("{}: {label}", seed.label()),
        ask,
    };
    both(servers, &Ask::json("POST", &seed.collection(), &seed.object)).await?;
    let path = seed.path();
    let bodies = [
        ("bad policy", json!({"propagationPolicy": "Bogus"})),
        ("other uid", json!({"preconditions": {"uid": "x"}})),
        ("old version", json!({"preconditions": {"resourceVersion": "1"}})),
        ("dry run", json!({"dryRun": ["All"]})),
        ("dry run in the foreground", json!({"dryRun": ["All"], "propagationPolicy": "Foreground"})),
        ("dry run, orphans", json!({"dryRun": ["All"], "orphanDependents": true})),
        ("of another version", json!({"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"], "gracePeriodSeconds": 0})),
        ("with grace", json!({"gracePeriodSeconds": 5, "dryRun": ["All"]})),
    ];
    for (label, body) in bodies {
        one(servers, report, &case(label, Ask::json("DELETE", &path, &body))).await?;
    }
    one(servers, report, &case("foreground", Ask::bare("DELETE", &format!("{path}?propagationPolicy=Foreground&gracePeriodSeconds=0")))).await?;
    one(servers, report, &case("again", Ask::bare("DELETE", &format!("{path}?gracePeriodSeconds=0")))).await?;
    let mut free = Ask::json("PATCH", &path, &json!({"metadata": {"finalizers": null}}));
    free.headers[0].1 = "application/merge-patch+json".into();
    one(servers, report, &case("finalizers taken away", free)).await?;
    both(servers, &Ask::bare("DELETE", &format!("{path}?gracePeriodSeconds=0&propagationPolicy=Background"))).await?;
    Ok(())
}

/// What every listable resource says to selectors, and its Table.
async fn lists(args: &Args, servers: &Servers, report: &mut Report) -> Result<()> {
    let served = schema::resources().iter().filter(|r| r.served_by_default && r.verbs.contains(&"list"));
    for r in served.filter(|r| r.kind.contains(&args.focus)) {
        let root = if r.group.is_empty() { format!("/api/{}", r.version) } else { format!("/apis/{}/{}", r.group, r.version) };
        let all = format!("{root}/{}", r.plural);
        let here = if r.namespaced { format!("{root}/namespaces/{NAMESPACE}/{}", r.plural) } else { all.clone() };
        let mut asks: Vec<(String, Ask)> = ["metadata.name", "metadata.namespace", "spec.bogus"]
            .into_iter()
            .chain(r.field_selectors.iter().copied())
            .map(|f| (format!("by {f}"), Ask::bare("GET", &format!("{all}?fieldSelector={f}%3Dnothing"))))
            .collect();
        for (label, query) in [("label", "labelSelector=a%20in%20(nothing)"), ("bad label", "labelSelector=a%20on%20b"), ("bad field", "fieldSelector=metadata.name"), ("unlike", "fieldSelector=metadata.name!%3Dx&labelSelector=none")] {
            asks.push((label.into(), Ask::bare("GET", &format!("{here}?{query}"))));
        }
        for accept in [TABLE, "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"] {
            let mut ask = Ask::bare("GET", &format!("{here}?labelSelector=none"));
            ask.headers.push(("accept".into(), accept.into()));
            asks.push(("as a table or in part".into(), ask));
        }
        for (label, ask) in asks {
            one(servers, report, &Case { verb: "list".into(), kind: r.kind.into(), label, ask }).await?;
        }
    }
    Ok(())
}
