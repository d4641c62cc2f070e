//! What the server is and serves: `api-resources`, `api-versions`, `version`, `cluster-info`, `auth`, `events`, `top`.

use crate::commands::describe::event_age;
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::print::tabwriter::{TABLE, align};
use crate::print::{Format, say, tell};
use crate::query::Query;
use crate::session::Session;
use serde_json::{Value, json};

/// The version whose behaviour this is.
const VERSION: &str = "v1.36.0";

/// `kubectl api-resources`.
pub(crate) async fn resources(given: &Given<'_>) -> Outcome {
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
        "" => false,
        other => return wrong(format!("unable to match a printer suitable for the output format \"{other}\", allowed formats are: json,name,wide,yaml")),
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
    let session = Session::open(given)?;
    let mut all = session.discovery().await?.versions();
    all.sort();
    all.iter().for_each(|v| say(&format!("{v}\n")));
    Ok(())
}

/// `kubectl version`.
pub(crate) async fn version(given: &Given<'_>) -> Outcome {
    let own = json!({ "major": "1", "minor": "36", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "clean", "buildDate": "", "goVersion": "", "compiler": "rustc", "platform": format!("linux/{}", if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }) });
    let server = if given.on("client") { Ok(Value::Null) } else { Session::open(given)?.client.get("/version").await };
    let text = given.text_or("output", "");
    let mut both = json!({ "clientVersion": own, "kustomizeVersion": "none" });
    if let Ok(server) = &server && !server.is_null() {
        both["serverVersion"] = server.clone();
    }
    match text {
        "json" => say(&crate::print::json(&both)),
        "yaml" => say(&codec::yaml::write(&both)),
        "" => {
            say(&format!("Client Version: {VERSION}\nKustomize Version: none\n"));
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
        return rules(&session, given).await;
    }
    let [verb, what, ref rest @ ..] = args[..] else {
        return wrong("you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'kubectl auth can-i -h' for help and examples.");
    };
    let spec = if what.starts_with('/') {
        json!({ "nonResourceAttributes": { "verb": verb, "path": what } })
    } else {
        let (word, name) = what.split_once('/').map_or((what, rest.first().copied().unwrap_or_default()), |(w, n)| (w, n));
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

async fn rules(session: &Session, given: &Given<'_>) -> Outcome {
    let body = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": { "namespace": session.namespace } });
    let answer = session.client.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", &body).await?;
    let list = |v: &Value| format!("[{}]", v.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(" "));
    let mut out = if given.on("no-headers") { String::new() } else { "Resources\tNon-Resource URLs\tResource Names\tVerbs\n".to_owned() };
    for rule in answer["status"]["resourceRules"].as_array().into_iter().flatten() {
        for resource in rule["resources"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            for group in rule["apiGroups"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let name = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
                out.push_str(&format!("{name}\t[]\t{}\t{}\n", list(&rule["resourceNames"]), list(&rule["verbs"])));
            }
        }
    }
    for rule in answer["status"]["nonResourceRules"].as_array().into_iter().flatten() {
        out.push_str(&format!("\t{}\t[]\t{}\n", list(&rule["nonResourceURLs"]), list(&rule["verbs"])));
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
        say(&format.text(&answer)?);
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
    let session = Session::open(given)?;
    let everywhere = given.on("all-namespaces");
    let place = if everywhere { "/api/v1/events".to_owned() } else { format!("/api/v1/namespaces/{}/events", session.namespace) };
    let mut fields = Vec::new();
    if let Some((kind, name)) = given.text("for").and_then(|f| f.split_once('/')) {
        let mapping = session.mapping(kind).await?;
        fields = vec![format!("involvedObject.kind={}", mapping.kind), format!("involvedObject.name={name}")];
    }
    let list = session.client.get(&format!("{place}{}", Query::default().and_some("fieldSelector", Some(&fields.join(","))).text())).await?;
    let types = given.list("types");
    let mut all: Vec<&Value> = list["items"].as_array().into_iter().flatten().filter(|e| types.is_empty() || types.iter().any(|t| e["type"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(t)))).collect();
    if all.is_empty() {
        tell(&if everywhere { "No events found.".to_owned() } else { format!("No events found in {} namespace.", session.namespace) });
        return Ok(());
    }
    all.sort_by_key(|e| e["lastTimestamp"].as_str().or_else(|| e["eventTime"].as_str()).unwrap_or_default().to_owned());
    let head = if everywhere { "NAMESPACE\t" } else { "" };
    let mut out = if given.on("no-headers") { String::new() } else { format!("{head}LAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\n") };
    for e in all {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        if everywhere {
            out.push_str(&format!("{}\t", text(&e["metadata"]["namespace"])));
        }
        out.push_str(&format!("{}\t{}\t{}\t{}/{}\t{}\n", event_age(e), text(&e["type"]), text(&e["reason"]), text(&e["involvedObject"]["kind"]), text(&e["involvedObject"]["name"]), text(&e["message"]).trim()));
    }
    say(&align(&out, TABLE));
    Ok(())
}
