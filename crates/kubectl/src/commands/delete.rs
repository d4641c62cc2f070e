//! `kubectl delete`: by name, file, selector or all of a type, with cascading, grace and waiting.

use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::manifest;
use crate::print::{DryRun, say, tell};
use crate::select::{self, Item, Scope};
use crate::session::Session;
use crate::query::Query;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long `--wait` waits without `--timeout`.
const WAIT_DEFAULT: Duration = Duration::from_secs(7 * 24 * 3600);
/// A watch that ends early is begun again after this time.
const AGAIN: Duration = Duration::from_millis(200);

/// How objects are deleted.
#[derive(Clone, Debug)]
pub(crate) struct How {
    pub(crate) cascade: &'static str,
    /// Negative: the object's own.
    pub(crate) grace_s: i64,
    pub(crate) force: bool,
    pub(crate) dry_run: DryRun,
}

impl How {
    /// Reads the flags.
    pub(crate) fn of(given: &Given<'_>) -> Outcome<Self> {
        let cascade = match given.text_or("cascade", "background") {
            "background" | "true" => "Background",
            "orphan" | "false" => "Orphan",
            "foreground" => "Foreground",
            other => return wrong(format!("invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\"")),
        };
        let (force, mut grace_s) = (given.on("force"), given.number("grace-period")?.unwrap_or(-1));
        if given.on("now") {
            if grace_s != -1 {
                return wrong("--now and --grace-period cannot be specified together");
            }
            grace_s = 1;
        }
        if grace_s == 0 && !force {
            // Without force, "at once" is one second.
            grace_s = 1;
        }
        if force && grace_s < 0 {
            grace_s = 0;
        }
        if force && grace_s > 0 {
            return wrong("--force and --grace-period greater than 0 cannot be specified together");
        }
        Ok(Self { cascade, grace_s, force, dry_run: DryRun::of(given)? })
    }

    fn options(&self) -> Value {
        let mut options = json!({ "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": self.cascade });
        if self.grace_s >= 0 {
            options["gracePeriodSeconds"] = self.grace_s.into();
        }
        if self.dry_run == DryRun::Server {
            options["dryRun"] = json!(["All"]);
        }
        options
    }
}

/// Deletes one object; gives its uid.
pub(crate) async fn delete_one(session: &Session, item: &Item, how: &How) -> Outcome<String> {
    let answer = session.client.delete(&item.path(), &how.options()).await?;
    let uid = answer["metadata"]["uid"].as_str().or_else(|| answer["details"]["uid"].as_str());
    Ok(uid.or_else(|| item.object["metadata"]["uid"].as_str()).unwrap_or_default().to_owned())
}

async fn chosen(session: &Session, given: &Given<'_>) -> Outcome<(Vec<Item>, Vec<Failure>)> {
    let args = given.args();
    let bare = |mapping: &crate::discovery::Mapping, namespace: &str, name: &str| Item {
        mapping: mapping.clone(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        object: Value::Null,
        source: None,
    };
    if manifest::given_any(given) {
        if !args.is_empty() {
            return wrong("when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well");
        }
        let (mut out, mut failures) = (Vec::new(), Vec::new());
        for m in manifest::gather(given, "delete").await? {
            match session.mapping_of(&m.object, &m.source).await {
                Ok(mapping) => {
                    let namespace = session.namespace_of(&m.object, &mapping)?;
                    let name = m.object["metadata"]["name"].as_str().unwrap_or_default();
                    out.push(Item { source: Some(m.source), ..bare(&mapping, &namespace, name) });
                }
                Err(e) => failures.push(e),
            }
        }
        return Ok((out, failures));
    }
    if args.is_empty() {
        return wrong(select::NOTHING);
    }
    let scope = Scope::of(session, given);
    let (all, selected) = (given.on("all"), scope.selector.is_some() || scope.fields.is_some());
    if all && scope.selector.is_some() {
        return wrong("setting 'all' parameter but found a non empty selector. ");
    }
    let (mut out, mut failures) = (Vec::new(), Vec::new());
    for target in select::targets(session, &args).await? {
        match &target.name {
            Some(_) if all || scope.selector.is_some() => return wrong("name cannot be provided when a selector is specified"),
            Some(_) if given.on("all-namespaces") => return wrong("a resource cannot be retrieved by name across all namespaces"),
            Some(name) => out.push(bare(&target.mapping, if target.mapping.namespaced { &session.namespace } else { "" }, name)),
            None if !all && !selected => return wrong("resource(s) were provided, but no name was specified"),
            None => match select::list(session, &target.mapping, &scope).await {
                Ok(list) => out.extend(list["items"].as_array().into_iter().flatten().map(|o| Item::of(&target.mapping, o.clone()))),
                Err(e) => failures.push(e),
            },
        }
    }
    Ok((out, failures))
}

/// Asks the person, and reads one line.
fn confirmed(items: &[Item]) -> Outcome<bool> {
    say(&format!("You are about to delete the following {} resource(s):\n", items.len()));
    items.iter().for_each(|i| say(&format!("{}\n", i.mapping.named(&i.name))));
    say("Do you want to continue? (y/n): ");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim().eq_ignore_ascii_case("y"))
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    let session = Session::open(given)?;
    if let Some(path) = given.text("raw").filter(|p| !p.is_empty()) {
        return crate::commands::edit::raw(&session, given, http::Method::DELETE, path).await;
    }
    if !matches!(given.text_or("output", ""), "" | "name") {
        return wrong(format!("unexpected -o output mode: {}. We only support '-o name'", given.text_or("output", "")));
    }
    let how = How::of(given)?;
    if how.force && how.dry_run == DryRun::None {
        tell("Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.");
    }
    let (items, mut failures) = chosen(&session, given).await?;
    if given.on("interactive") && !items.is_empty() && !confirmed(&items)? {
        say("deletion is cancelled\n");
        return Ok(());
    }
    let ignore = given.on_or("ignore-not-found", given.on("all"));
    let short = given.text_or("output", "") == "name";
    let mut gone = Vec::new();
    for item in &items {
        let uid = match how.dry_run {
            DryRun::Client => session.client.get(&item.path()).await.map(|_| String::new()).map_err(Failure::from),
            _ => delete_one(&session, item, &how).await,
        };
        let uid = match uid {
            Ok(uid) => uid,
            Err(e) if e.is_not_found() && ignore => continue,
            Err(e) => {
                failures.push(match &item.source {
                    Some(source) => e.doing(|| format!("error when deleting \"{source}\"")),
                    None => e,
                });
                continue;
            }
        };
        if short {
            say(&format!("{}\n", item.mapping.named(&item.name)));
        } else {
            let place = item.place();
            let forced = if how.force { " force" } else { "" };
            say(&format!("{} \"{}\"{forced} deleted{place}{}\n", item.mapping.full_singular(), item.name, how.dry_run.suffix()));
        }
        gone.push((item, uid));
    }
    session.show_warnings();
    if items.is_empty() && failures.is_empty() {
        say("No resources found\n");
    }
    if given.on_or("wait", true) && how.dry_run == DryRun::None && how.cascade != "Orphan" {
        let limit = given.duration("timeout")?.filter(|t| !t.is_zero()).unwrap_or(WAIT_DEFAULT);
        let deadline = Instant::now() + limit;
        for (item, uid) in gone {
            if let Err(e) = until_gone(&session, item, &uid, deadline).await {
                failures.push(e);
            }
        }
    }
    Failure::collect(failures)
}

/// Where a watch of one object can begin: the list's own revision, which no compaction has taken yet; nothing if it has gone.
pub(crate) async fn revision_to_watch(session: &Session, item: &Item) -> Outcome<Option<String>> {
    let query = Query::default().and("fieldSelector", &format!("metadata.name={}", item.name));
    let list = session.client.get(&format!("{}{}", item.mapping.collection(Some(&item.namespace)), query.text())).await?;
    let there = list["items"].as_array().is_some_and(|i| !i.is_empty());
    Ok(there.then(|| list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()))
}

/// Waits until an object (or at least the one of that uid) is no more.
pub(crate) async fn until_gone(session: &Session, item: &Item, uid: &str, deadline: Instant) -> Outcome {
    let timed_out = || Failure::text(format!("timed out waiting for the condition on {}/{}", item.mapping.plural, item.name));
    loop {
        let object = match session.client.get(&item.path()).await {
            Ok(object) => object,
            Err(e) if e.is_not_found() => return Ok(()),
            // Who may delete may not always read.
            Err(e) if e.api().is_some_and(|a| a.code == 403 || a.code == 405) => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        if !uid.is_empty() && object["metadata"]["uid"] != uid {
            return Ok(());
        }
        let Some(revision) = revision_to_watch(session, item).await? else { return Ok(()) };
        let query = Query::default().and("watch", "true").and("fieldSelector", &format!("metadata.name={}", item.name)).and("resourceVersion", &revision);
        let path = format!("{}{}", item.mapping.collection(Some(&item.namespace)), query.text());
        let left = deadline.saturating_duration_since(Instant::now());
        let waiting = async {
            let mut watch = session.client.watch(&path, "application/json").await?;
            while let Some(event) = watch.next().await? {
                if event.kind == "DELETED" {
                    return Ok::<bool, client::Error>(true);
                }
            }
            Ok(false)
        };
        match tokio::time::timeout(left, waiting).await {
            Err(_) => return Err(timed_out()),
            Ok(Ok(true)) => return Ok(()),
            Ok(_) => tokio::time::sleep(AGAIN.min(left)).await,
        }
        if Instant::now() >= deadline {
            return Err(timed_out());
        }
    }
}
