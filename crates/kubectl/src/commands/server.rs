//! What the server is and serves: `api-resources`, `api-versions`, `version`, `cluster-info`, `auth`, `events`, `top`.

use crate::commands::describe::event_age;
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::print::tabwriter::{TABLE, align, align_with};
use crate::print::{Format, say, tell};
use crate::query::Query;
use crate::session::Session;
use serde_json::{Value, json};

/// The version whose behaviour this is.
const VERSION: &str = "v1.36.0";
/// The version whose kustomizations we read a part of.
const KUSTOMIZE: &str = "v5.7.1";
const VERBS: &[&str] = &["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "use", "bind", "impersonate", "escalate", "approve", "sign", "attest", "*", "proxy"];
const URL_VERBS: &[&str] = &["get", "put", "post", "head", "options", "delete", "patch", "*"];

/// `kubectl api-resources`.
pub(crate) async fn resources(given: &Given<'_>) -> Outcome {
    given.no_args()?;
    if !matches!(given.text_or("output", ""), "" | "name" | "wide") {
        return wrong(format!("--output {} is not available", given.text_or("output", "")));
    }
    if !matches!(given.text_or("sort-by", ""), "" | "name" | "kind") {
        return wrong("--sort-by accepts only name or kind");
    }
    let session = Session::open(given)?;
    let discovery = session.discovery().await?;
    let verbs = given.list("verbs");
    let categories = given.list("categories");
    let mut all: Vec<_> = discovery.all.iter().filter(|m| discovery.is_preferred(m)).collect();
    all.retain(|m| {
        let scope = given.text("namespaced").is_none_or(|_| m.namespaced == given.on("namespaced"));
        let group = given.text("api-group").is_none_or(|g| m.group == g);
        scope && group && verbs.iter().all(|v| m.can(v)) && categories.iter().all(|c| m.categories.iter().any(|o| o == c)) && !m.verbs.is_empty()
    });
    match given.text_or("sort-by", "") {
        "name" => all.sort_by(|a, b| a.plural.cmp(&b.plural)),
        "kind" => all.sort_by(|a, b| a.kind.cmp(&b.kind)),
        _ => all.sort_by(|a, b| (&a.group, &a.plural).cmp(&(&b.group, &b.plural))),
    }
    let wide = match given.text_or("output", "") {
        "name" => {
            all.iter().for_each(|m| say(&format!("{}\n", m.full_plural())));
            return Ok(());
        }
        "wide" => true,
        _ => false,
    };
    let mut out = String::new();
    if !given.on("no-headers") {
        out.push_str(if wide { "NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND\tVERBS\tCATEGORIES\n" } else { "NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND\n" });
    }
    for m in all {
        out.push_str(&format!("{}\t{}\t{}\t{}\t{}", m.plural, m.short_names.join(","), m.api_version(), m.namespaced, m.kind));
        if wide {
            out.push_str(&format!("\t{}\t{}", m.verbs.join(","), m.categories.join(",")));
        }
        out.push('\n');
    }
    say(&align(&out, TABLE));
    Ok(())
}

/// `kubectl api-versions`.
pub(crate) async fn versions(given: &Given<'_>) -> Outcome {
    given.no_args()?;
    let session = Session::open(given)?;
    let mut all = session.discovery().await?.versions();
    all.sort();
    all.iter().for_each(|v| say(&format!("{v}\n")));
    Ok(())
}

/// `kubectl version`.
pub(crate) async fn version(given: &Given<'_>) -> Outcome {
    if !given.args().is_empty() {
        return wrong(format!("extra arguments: [{}]", given.args().join(" ")));
    }
    if !matches!(given.text_or("output", ""), "" | "yaml" | "json") {
        return wrong("--output must be 'yaml' or 'json'");
    }
    let own = json!({ "major": "1", "minor": "36", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "clean", "buildDate": "", "goVersion": "", "compiler": "rustc", "platform": format!("linux/{}", if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }) });
    let server = if given.on("client") { Ok(Value::Null) } else { Session::open(given)?.client.get("/version").await };
    let text = given.text_or("output", "");
    let mut both = json!({ "clientVersion": own, "kustomizeVersion": KUSTOMIZE });
    if let Ok(server) = &server && !server.is_null() {
        both["serverVersion"] = server.clone();
    }
    match text {
        "json" => say(&crate::print::json(&both)),
        "yaml" => say(&codec::yaml::write(&both)),
        "" => {
            say(&format!("Client Version: {VERSION}\nKustomize Version: {KUSTOMIZE}\n"));
            if let Ok(server) = &server && !server.is_null() {
                say(&format!("Server Version: {}\n", server["gitVersion"].as_str().unwrap_or_default()));
            }
        }
        _ => return wrong("--output must be 'yaml' or 'json'"),
    }
    server.map(|_| ()).map_err(Failure::from)
}

/// `kubectl cluster-info`.
pub(crate) async fn info(given: &Given<'_>) -> Outcome {
    let session = Session::open(given)?;
    let query = Query::default().and("labelSelector", "kubernetes.io/cluster-service=true");
    let list = session.client.get(&format!("/api/v1/namespaces/kube-system/services{}", query.text())).await?;
    say(&format!("Kubernetes control plane is running at {}\n", session.client.base()));
    for service in list["items"].as_array().into_iter().flatten() {
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        let shown = service["metadata"]["labels"]["kubernetes.io/name"].as_str().unwrap_or(name);
        let port = service["spec"]["ports"][0]["name"].as_str().map(|p| format!(":{p}")).unwrap_or_default();
        say(&format!("{shown} is running at {}/api/v1/namespaces/kube-system/services/{name}{port}/proxy\n", session.client.base()));
    }
    say("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.\n");
    Ok(())
}

/// `kubectl auth can-i`.
pub(crate) async fn can_i(given: &Given<'_>) -> Outcome {
    let session = Session::open(given)?;
    let args = given.args();
    if given.on("list") {
        if given.on("quiet") || given.on("all-namespaces") || given.text("subresource").is_some_and(|s| !s.is_empty()) {
            return wrong("list option can't be specified with neither quiet, all-namespaces nor subresource options");
        }
        if !args.is_empty() {
            return wrong("list option must be specified with no arguments");
        }
        return rules(&session, given).await;
    }
    let [verb, what] = args[..] else {
        return wrong("you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'kubectl auth can-i -h' for help and examples.");
    };
    let known = if what.starts_with('/') { URL_VERBS } else { VERBS };
    if !known.contains(&verb) {
        tell(&format!("Warning: verb '{verb}' is not a known verb\n"));
    }
    let spec = if what.starts_with('/') {
        json!({ "nonResourceAttributes": { "verb": verb, "path": what } })
    } else {
        let (word, name) = what.split_once('/').unwrap_or((what, ""));
        let mapping = if word == "*" { None } else { session.discovery().await?.find(word).cloned() };
        if mapping.is_none() && word != "*" {
            tell(&format!("Warning: the server doesn't have a resource type '{word}'\n"));
        }
        if let Some(mapping) = mapping.as_ref().filter(|m| !m.namespaced) {
            let group = if mapping.group.is_empty() { String::new() } else { format!(" in group '{}'", mapping.group) };
            tell(&format!("Warning: resource '{}' is not namespace scoped{group}\n", mapping.plural));
        }
        let (plural, group) = mapping.map_or_else(|| (word.to_owned(), if word == "*" { "*".to_owned() } else { String::new() }), |m| (m.plural, m.group));
        let namespace = if given.on("all-namespaces") { String::new() } else { session.namespace.clone() };
        json!({ "resourceAttributes": { "namespace": namespace, "verb": verb, "group": group, "resource": plural, "name": name, "subresource": given.text_or("subresource", "") } })
    };
    let body = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec });
    let answer = session.client.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &body).await?;
    let allowed = answer["status"]["allowed"] == true;
    if !given.on("quiet") {
        let reason = answer["status"]["reason"].as_str().filter(|r| !r.is_empty() && !allowed).map(|r| format!(" - {r}")).unwrap_or_default();
        say(&format!("{}{reason}\n", if allowed { "yes" } else { "no" }));
    }
    if allowed { Ok(()) } else { Err(Failure::Exit(1)) }
}

/// Rules with equal verbs, names and groups stand together; every resource and every path has a line of its own.
async fn rules(session: &Session, given: &Given<'_>) -> Outcome {
    let body = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": { "namespace": session.namespace } });
    let answer = session.client.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", &body).await?;
    if answer["status"]["incomplete"] == true {
        tell(&format!("warning: the list may be incomplete: {}", answer["status"]["evaluationError"].as_str().unwrap_or_default()));
    }
    let mut lines = crate::commands::describe::rule_lines(answer["status"]["resourceRules"].as_array().map_or(&[], Vec::as_slice));
    lines.extend(crate::commands::describe::rule_lines(answer["status"]["nonResourceRules"].as_array().map_or(&[], Vec::as_slice)));
    let mut out = if given.on("no-headers") { String::new() } else { "Resources\tNon-Resource URLs\tResource Names\tVerbs\n".to_owned() };
    for [resource, url, name, verbs] in lines {
        out.push_str(&format!("{resource}\t{url}\t{name}\t{verbs}\n"));
    }
    say(&align(&out, TABLE));
    Ok(())
}

/// `kubectl auth whoami`.
pub(crate) async fn whoami(given: &Given<'_>) -> Outcome {
    let session = Session::open(given)?;
    let body = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let answer = session.client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &body).await?;
    let format = Format::of(given)?;
    if !format.is_human() {
        say(&if matches!(format, Format::Json) { crate::print::typed::pretty(&answer) } else { format.text(&answer)? });
        return Ok(());
    }
    let info = &answer["status"]["userInfo"];
    let list = |v: &Value| format!("[{}]", v.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(" "));
    let mut out = "ATTRIBUTE\tVALUE\n".to_owned();
    out.push_str(&format!("Username\t{}\n", info["username"].as_str().unwrap_or_default()));
    if let Some(uid) = info["uid"].as_str().filter(|u| !u.is_empty()) {
        out.push_str(&format!("UID\t{uid}\n"));
    }
    if info["groups"].is_array() {
        out.push_str(&format!("Groups\t{}\n", list(&info["groups"])));
    }
    for (key, value) in info["extra"].as_object().into_iter().flatten() {
        out.push_str(&format!("Extra: {key}\t{}\n", list(value)));
    }
    say(&align(&out, TABLE));
    Ok(())
}

/// `kubectl events`.
pub(crate) async fn events(given: &Given<'_>) -> Outcome {
    for wanted in given.list("types") {
        if !["normal", "warning"].contains(&wanted.to_lowercase().as_str()) {
            return wrong("valid --types are Normal or Warning");
        }
    }
    let session = Session::open(given)?;
    let everywhere = given.on("all-namespaces");
    let place = if everywhere { "/api/v1/events".to_owned() } else { format!("/api/v1/namespaces/{}/events", session.namespace) };
    let mut fields = Vec::new();
    if let Some(target) = given.text("for").filter(|f| !f.is_empty()) {
        if target.matches('/').count() > 1 {
            return wrong("arguments in resource/name form may not have more than one slash");
        }
        let Some((kind, name)) = target.split_once('/') else { return wrong("--for must be in resource/name form") };
        let mapping = session.mapping(kind).await?;
        fields = vec![format!("involvedObject.kind={}", mapping.kind), format!("involvedObject.name={name}")];
    }
    let list = session.client.get(&format!("{place}{}", Query::default().and_some("fieldSelector", Some(&fields.join(","))).text())).await?;
    let types = given.list("types");
    let mut all: Vec<&Value> = list["items"].as_array().into_iter().flatten().filter(|e| typed(e, &types)).collect();
    if all.is_empty() && !given.on("watch") {
        tell(&if everywhere { "No events found.".to_owned() } else { format!("No events found in {} namespace.", session.namespace) });
        return Ok(());
    }
    all.sort_by_key(|e| e["series"]["lastObservedTime"].as_str().or_else(|| e["lastTimestamp"].as_str()).or_else(|| e["eventTime"].as_str()).unwrap_or_default().to_owned());
    let format = Format::of(given)?;
    let mut widths = Vec::new();
    let mut head = !given.on("no-headers");
    if format.is_human() {
        say(&align_with(&event_rows(&all, everywhere, head), TABLE, &mut widths));
        head = false;
    } else {
        let clean: Vec<Value> = all.iter().map(|e| {
            let mut e = (*e).clone();
            e["apiVersion"] = "v1".into();
            e["kind"] = "Event".into();
            if !given.on("show-managed-fields") {
                crate::print::without_managed_fields(&mut e);
            }
            e
        }).collect();
        say(&format.text(&json!({ "apiVersion": "v1", "kind": "EventList", "metadata": list["metadata"], "items": clean }))?);
    }
    if !given.on("watch") {
        return Ok(());
    }
    let query = Query::default().and_some("fieldSelector", Some(&fields.join(","))).and("watch", "true").and("resourceVersion", list["metadata"]["resourceVersion"].as_str().unwrap_or_default());
    let mut watch = session.client.watch(&format!("{place}{}", query.text()), "application/json").await?;
    while let Some(event) = watch.next().await? {
        if matches!(event.kind.as_str(), "DELETED" | "BOOKMARK") || !typed(&event.object, &types) {
            continue;
        }
        say(&if format.is_human() { align_with(&event_rows(&[&event.object], everywhere, head), TABLE, &mut widths) } else { format.text(&event.object)? });
        head = false;
    }
    Ok(())
}

fn typed(event: &Value, types: &[&str]) -> bool {
    types.is_empty() || types.iter().any(|t| event["type"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(t)))
}

fn event_rows(all: &[&Value], everywhere: bool, header: bool) -> String {
    let head = if everywhere { "NAMESPACE\t" } else { "" };
    let mut out = if !header { String::new() } else { format!("{head}LAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\n") };
    for e in all {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        if everywhere {
            out.push_str(&format!("{}\t", text(&e["metadata"]["namespace"])));
        }
        out.push_str(&format!("{}\t{}\t{}\t{}/{}\t{}\n", event_age(e), text(&e["type"]), text(&e["reason"]), text(&e["involvedObject"]["kind"]), text(&e["involvedObject"]["name"]), text(&e["message"]).trim()));
    }
    out
}
