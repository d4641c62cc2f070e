//! `kubectl logs`: of one container, of all, of every pod behind a workload or a selector, followed or not.

use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::pods;
use crate::print::{say, tell};
use crate::query::Query;
use crate::select::{self, Target};
use crate::session::Session;
use serde_json::Value;
use std::time::Duration;
use tokio::task::JoinSet;

/// Lines of each container when a selector is given and `--tail` is not.
const SELECTOR_TAIL: i64 = 10;
const PATIENCE: Duration = Duration::from_secs(20);

/// One stream of lines.
#[derive(Clone, Debug)]
struct Source {
    path: String,
    prefix: String,
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    let args = given.args();
    let selector = given.text("selector");
    if let Some(text) = given.text("since-time").filter(|t| t.parse::<jiff::Timestamp>().is_err()) {
        return wrong(format!("parsing time \"{text}\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"{text}\" as \"2006\""));
    }
    let session = Session::open(given)?;
    let (word, container) = match (&args[..], selector) {
        ([], Some(_)) => (None, None),
        (_, Some(_)) if !args.is_empty() => return Err(Failure::usage("only a selector (-l) or a POD name is allowed", &given.command)),
        ([word], _) => (Some(*word), None),
        ([word, container], _) => (Some(*word), Some(*container)),
        _ => return Err(Failure::usage("expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command", &given.command)),
    };
    if given.text("since").is_some() && given.text("since-time").is_some() {
        return wrong("at most one of `sinceTime` or `sinceSeconds` may be specified");
    }
    let container = given.text("container").or(container);
    if given.on("all-containers") && container.is_some() {
        return wrong(format!("--all-containers=true should not be specified with container name {}", container.unwrap_or_default()));
    }
    let chosen = chosen(&session, given, word, selector).await?;
    if chosen.is_empty() {
        tell(&format!("No resources found in {} namespace.", session.namespace));
        return Ok(());
    }
    let sources = sources(given, &chosen, container, selector.is_some())?;
    let most = given.number("max-log-requests")?.unwrap_or(5);
    if given.on("follow") && i64::try_from(sources.len()).unwrap_or(i64::MAX) > most {
        return wrong(format!("you are attempting to follow {} log streams, but maximum allowed concurrency is {most}, use --max-log-requests to increase the limit", sources.len()));
    }
    if given.on("follow") && sources.len() > 1 {
        return together(&session, given, sources).await;
    }
    for source in &sources {
        match copy(&session, source).await {
            Err(e) if given.on("ignore-errors") => tell(&e.message()),
            other => other?,
        }
    }
    Ok(())
}

async fn chosen(session: &Session, given: &Given<'_>, word: Option<&str>, selector: Option<&str>) -> Outcome<Vec<Value>> {
    if let Some(selector) = selector {
        return pods::selected(session, &session.namespace, selector).await;
    }
    let word = word.unwrap_or_default();
    if !word.contains('/') {
        return match pods::one(session, word, PATIENCE).await {
            Err(Failure::Client(client::Error::Api(e), _)) if e.is_not_found() => {
                wrong(format!("error from server (NotFound): {} in namespace \"{}\"", e.message, session.namespace))
            }
            other => Ok(vec![other?]),
        };
    }
    let targets = select::targets(session, &[word]).await?;
    let [Target { mapping, name: Some(name) }] = &targets[..] else { return wrong("expected one object") };
    if mapping.kind == "Pod" {
        return Ok(vec![session.client.get(&mapping.object(Some(&session.namespace), name)).await?]);
    }
    let object = session.client.get(&mapping.object(Some(&session.namespace), name)).await?;
    let text = pods::selector_of(mapping, &object).map_err(|_| {
        let go = format!("*{}.{}", mapping.version, mapping.kind);
        Failure::text(format!("cannot get the logs from {go}: selector for {go} not implemented"))
    })?;
    let found = pods::selected(session, &session.namespace, &text).await?;
    if given.on("all-pods") {
        return Ok(found);
    }
    let several = found.len();
    let Some(first) = found.into_iter().next() else { return Ok(vec![pods::one(session, word, PATIENCE).await?]) };
    if several > 1 {
        tell(&format!("Found {several} pods, using pod/{}", first["metadata"]["name"].as_str().unwrap_or_default()));
    }
    Ok(vec![first])
}

fn options(given: &Given<'_>, selector: bool) -> Outcome<Query> {
    let mut query = Query::default();
    query = query.when(given.on("follow"), "follow", "true").when(given.on("previous"), "previous", "true").when(given.on("timestamps"), "timestamps", "true");
    let tail = given.number("tail")?.unwrap_or(if selector { SELECTOR_TAIL } else { -1 });
    if tail < -1 {
        return wrong("--tail must be greater than or equal to -1");
    }
    if tail >= 0 {
        query = query.and("tailLines", &tail.to_string());
    }
    if let Some(since) = given.duration("since")?.filter(|s| !s.is_zero()) {
        query = query.and("sinceSeconds", &since.as_secs_f64().ceil().to_string());
    }
    query = query.and_some("sinceTime", given.text("since-time"));
    if let Some(limit) = given.number("limit-bytes")?.filter(|l| *l > 0) {
        query = query.and("limitBytes", &limit.to_string());
    }
    Ok(query.when(given.on("insecure-skip-tls-verify-backend"), "insecureSkipTLSVerifyBackend", "true"))
}

fn sources(given: &Given<'_>, chosen: &[Value], container: Option<&str>, selector: bool) -> Outcome<Vec<Source>> {
    let query = options(given, selector)?;
    let prefixed = given.on("prefix") || given.on("all-pods");
    let mut out = Vec::new();
    for pod in chosen {
        let text = |k: &str| pod["metadata"][k].as_str().unwrap_or_default();
        let mut push = |name: &str| {
            out.push(Source {
                path: format!("/api/v1/namespaces/{}/pods/{}/log{}", text("namespace"), text("name"), query.clone().and("container", name).text()),
                prefix: if prefixed { format!("[pod/{}/{name}] ", text("name")) } else { String::new() },
            });
        };
        if given.on("all-containers") {
            ["initContainers", "containers", "ephemeralContainers"].iter().flat_map(|l| pods::names(pod, l)).for_each(&mut push);
        } else {
            match container.filter(|c| !c.is_empty()) {
                Some(c) if !["containers", "initContainers", "ephemeralContainers"].iter().any(|l| pods::names(pod, l).contains(&c)) => {
                    return wrong(format!("container {c} is not valid for pod {}", text("name")));
                }
                asked => push(&pods::container(pod, asked, false)?),
            }
        }
    }
    Ok(out)
}

async fn copy(session: &Session, source: &Source) -> Outcome {
    let mut lines = session.client.lines(&source.path, "application/json, */*").await?;
    while let Some(line) = lines.line().await? {
        say(&format!("{}{}", source.prefix, String::from_utf8_lossy(&line)));
    }
    Ok(())
}

async fn together(session: &Session, given: &Given<'_>, sources: Vec<Source>) -> Outcome {
    let mut tasks = JoinSet::new();
    for source in sources {
        let client = session.client.clone();
        tasks.spawn(async move {
            let mut lines = client.lines(&source.path, "application/json, */*").await?;
            while let Some(line) = lines.line().await? {
                say(&format!("{}{}", source.prefix, String::from_utf8_lossy(&line)));
            }
            Ok::<(), client::Error>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(Err(e)) if given.on("ignore-errors") => tell(&format!("error: {e}")),
            Ok(Err(e)) => return Err(e.into()),
            _ => {}
        }
    }
    Ok(())
}
