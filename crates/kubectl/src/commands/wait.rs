//! `kubectl wait` and `kubectl drain`.

use crate::commands::change::update;
use crate::commands::delete::until_gone;
use crate::commands::rollout::next_version;
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::print::jsonpath::{Template, text};
use crate::print::{DryRun, Results, say, tell};
use crate::query::Query;
use crate::select::{self, Item};
use crate::session::Session;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const DEFAULT: Duration = Duration::from_secs(30);
const FOREVER: Duration = Duration::from_secs(7 * 24 * 3600);
const AGAIN: Duration = Duration::from_secs(5);

/// What is waited for.
enum For {
    Delete,
    Create,
    Condition(String, String),
    Path(Template, Option<String>),
}

impl For {
    fn parse(spec: &str) -> Outcome<Self> {
        let lower = spec.to_lowercase();
        if lower == "delete" {
            return Ok(Self::Delete);
        }
        if lower == "create" {
            return Ok(Self::Create);
        }
        if let Some(condition) = spec.strip_prefix("condition=") {
            let (name, value) = condition.split_once('=').unwrap_or((condition, "true"));
            return Ok(Self::Condition(name.to_owned(), value.to_owned()));
        }
        if let Some(path) = spec.strip_prefix("jsonpath=") {
            let end = path.rfind('}').map_or(0, |i| i + 1);
            let (expression, value) = path.split_at(end.max(path[end..].find('=').map_or(path.len(), |i| end + i)));
            let value = value.strip_prefix('=').map(|v| v.trim_matches(['"', '\'']).to_owned());
            if value.as_deref() == Some("") {
                return wrong("jsonpath wait has to have a value after equal sign, like --for=jsonpath='{.status.readyReplicas}'=3");
            }
            let parsed = Template::relaxed(expression.trim_matches(['"', '\''])).map_err(Failure::text)?;
            return Ok(Self::Path(parsed, value));
        }
        wrong(format!("unrecognized condition: \"{spec}\""))
    }

    fn holds(&self, object: &Value) -> bool {
        match self {
            Self::Delete => false,
            Self::Create => true,
            Self::Condition(name, value) => {
                let stale = object["status"]["observedGeneration"].as_i64().is_some_and(|o| o < object["metadata"]["generation"].as_i64().unwrap_or_default());
                let found = object["status"]["conditions"].as_array().into_iter().flatten().find(|c| c["type"].as_str().is_some_and(|t| t.eq_ignore_ascii_case(name)));
                !stale && found.is_some_and(|c| c["status"].as_str().is_some_and(|s| s.eq_ignore_ascii_case(value)))
            }
            Self::Path(path, value) => {
                let found = path.find(object);
                match value {
                    Some(value) => found.first().is_some_and(|v| text(v) == *value),
                    None => !found.is_empty(),
                }
            }
        }
    }
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    let wanted = For::parse(given.text_or("for", ""))?;
    let results = Results::of(given)?;
    let limit = given.duration("timeout")?.unwrap_or(DEFAULT);
    let limit = if given.text("timeout").is_some_and(|t| t.starts_with('-')) { FOREVER } else { limit };
    let deadline = Instant::now() + limit;
    let session = Session::open(given)?;
    let (items, failures) = loop {
        let (items, failures) = select::items(&session, given, &given.args()).await?;
        if matches!(wanted, For::Create) && !failures.is_empty() && failures.iter().all(Failure::is_not_found) && Instant::now() >= deadline {
            return wrong("timed out waiting for the condition");
        }
        let missing = !failures.is_empty() && failures.iter().all(Failure::is_not_found) || items.is_empty();
        if !matches!(wanted, For::Create) || !missing || Instant::now() >= deadline {
            break (items, failures);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    if matches!(wanted, For::Delete) && failures.iter().all(Failure::is_not_found) && items.is_empty() {
        return Ok(());
    }
    let mut failures = failures;
    if items.is_empty() && failures.is_empty() {
        return wrong("no matching resources found");
    }
    for item in &items {
        match one(&session, item, &wanted, deadline).await {
            Ok(object) => results.print(&item.mapping, &object, "condition met")?,
            Err(e) => failures.push(e),
        }
    }
    Failure::collect(failures)
}

async fn one(session: &Session, item: &Item, wanted: &For, deadline: Instant) -> Outcome<Value> {
    if matches!(wanted, For::Delete) {
        until_gone(session, item, item.object["metadata"]["uid"].as_str().unwrap_or_default(), deadline).await?;
        return Ok(item.object.clone());
    }
    let waiting = async {
        let mut object = item.object.clone();
        while !wanted.holds(&object) {
            object = next_version(session, item, &object).await?;
        }
        Ok(object)
    };
    let left = deadline.saturating_duration_since(Instant::now());
    tokio::time::timeout(left, waiting).await.unwrap_or_else(|_| Err(Failure::Bare(format!("error: timed out waiting for the condition on {}/{}", item.mapping.plural, item.name))))
}

/// `kubectl drain`.
pub(crate) async fn drain(given: &Given<'_>) -> Outcome {
    let session = Session::open(given)?;
    let args = given.args();
    let mut words = vec!["nodes"];
    words.extend(args.iter().map(|a| a.trim_start_matches("node/").trim_start_matches("nodes/")));
    if words.len() == 1 && given.text("selector").is_none() {
        return Err(Failure::usage("USAGE: drain NODE [flags]", &given.command));
    }
    if words.len() > 1 && given.text("selector").is_some() {
        return Err(Failure::usage("cannot specify both a node name and a --selector option", &given.command));
    }
    if given.text("pod-selector").is_some_and(|s| kinds::Selector::parse(s).is_err()) {
        return wrong("--pod-selector=<pod_selector> must be a valid label selector");
    }
    let dry_run = DryRun::of(given)?;
    let (nodes, failures) = select::items(&session, given, &words).await?;
    Failure::collect(failures)?;
    for node in &nodes {
        let mut new = node.object.clone();
        new["spec"]["unschedulable"] = true.into();
        let (_, changed) = update(&session, given, node, new, dry_run, "kubectl-drain").await?;
        say(&format!("node/{} {}{}\n", node.name, if changed { "cordoned" } else { "already cordoned" }, dry_run.suffix()));
        evict_all(&session, given, node, dry_run).await?;
        say(&format!("node/{} drained{}\n", node.name, dry_run.suffix()));
    }
    Ok(())
}

async fn evict_all(session: &Session, given: &Given<'_>, node: &Item, dry_run: DryRun) -> Outcome {
    let query = Query::default().and("fieldSelector", &format!("spec.nodeName={}", node.name)).and_some("labelSelector", given.text("pod-selector"));
    let list = session.client.get(&format!("/api/v1/pods{}", query.text())).await?;
    let mapping = session.mapping("pods").await?;
    let (mut chosen, mut daemons, mut bare, mut local) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for pod in list["items"].as_array().into_iter().flatten() {
        let item = Item::of(&mapping, pod.clone());
        let full = format!("{}/{}", item.namespace, item.name);
        let owner = pod["metadata"]["ownerReferences"].as_array().into_iter().flatten().find(|r| r["controller"] == true);
        let finished = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        if !pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null() {
            continue;
        }
        if owner.is_some_and(|o| o["kind"] == "DaemonSet") {
            daemons.push(full);
            continue;
        }
        if owner.is_none() && !finished {
            bare.push(full.clone());
        }
        if !finished && pod["spec"]["volumes"].as_array().is_some_and(|v| v.iter().any(|v| v["emptyDir"].is_object())) {
            local.push(full);
        }
        chosen.push(item);
    }
    let mut why = Vec::new();
    if !daemons.is_empty() && !given.on("ignore-daemonsets") {
        why.push(format!("cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): {}", daemons.join(", ")));
    }
    if !bare.is_empty() && !given.on("force") {
        why.push(format!("cannot delete cannot delete Pods that declare no controller (use --force to override): {}", bare.join(", ")));
    }
    if !local.is_empty() && !given.on("delete-emptydir-data") {
        why.push(format!("cannot delete Pods with local storage (use --delete-emptydir-data to override): {}", local.join(", ")));
    }
    if !why.is_empty() {
        let joined = if why.len() == 1 { why[0].clone() } else { format!("[{}]", why.join(", ")) };
        return wrong(format!("unable to drain node \"{}\" due to error: {joined}, continuing command...\nThere are pending nodes to be drained:\n {}\n{}", node.name, node.name, joined.trim_matches(['[', ']'])));
    }
    let notes = [("ignoring DaemonSet-managed Pods", &daemons), ("deleting Pods that declare no controller", &bare), ("deleting Pods with local storage", &local)];
    let notes: Vec<String> = notes.into_iter().filter(|(_, all)| !all.is_empty()).map(|(word, all)| format!("{word}: {}", all.join(", "))).collect();
    if !notes.is_empty() {
        tell(&format!("Warning: {}", notes.join("; ")));
    }
    let limit = given.duration("timeout")?.filter(|t| !t.is_zero()).unwrap_or(FOREVER);
    let deadline = Instant::now() + limit;
    for item in &chosen {
        say(&format!("evicting pod {}/{}{}\n", item.namespace, item.name, dry_run.suffix()));
        if dry_run == DryRun::None {
            evict(session, given, item, deadline).await?;
        }
    }
    for item in chosen.iter().filter(|_| dry_run == DryRun::None) {
        until_gone(session, item, item.object["metadata"]["uid"].as_str().unwrap_or_default(), deadline).await?;
        say(&format!("pod/{} evicted\n", item.name));
    }
    Ok(())
}

async fn evict(session: &Session, given: &Given<'_>, item: &Item, deadline: Instant) -> Outcome {
    let mut body = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": item.name, "namespace": item.namespace } });
    if let Some(grace) = given.number("grace-period")?.filter(|g| *g >= 0) {
        body["deleteOptions"] = json!({ "gracePeriodSeconds": grace });
    }
    loop {
        match session.client.post(&format!("{}/eviction", item.path()), &body).await {
            Ok(_) => return Ok(()),
            Err(e) if e.is_not_found() => return Ok(()),
            Err(e) if e.api().is_some_and(|a| a.code == 429) && Instant::now() < deadline => {
                tell(&format!("error when evicting pods/\"{}\" -n \"{}\" (will retry after 5s): {e}", item.name, item.namespace));
                tokio::time::sleep(AGAIN).await;
            }
            Err(e) => return Err(e.into()),
        }
    }
}
