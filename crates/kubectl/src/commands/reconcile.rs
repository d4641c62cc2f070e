//! `kubectl auth reconcile` (docs: "kubectl auth reconcile"): roles and bindings brought to what manifests say, adding what is
//! missing, and with flags removing what is too much; a binding to another role is made anew.

use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::manifest;
use crate::print::{DryRun, Results, tell};
use crate::query::Query;
use crate::session::Session;
use serde_json::{Map, Value, json};

/// One permission.
type Right = (String, String, String, String, String);

fn strings(v: &Value) -> Vec<String> {
    v.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A rule taken apart into single rights.
fn rights(rule: &Value) -> Vec<Right> {
    let mut out = Vec::new();
    let names = strings(&rule["resourceNames"]);
    let names = if names.is_empty() { vec![String::new()] } else { names };
    for verb in strings(&rule["verbs"]) {
        for url in strings(&rule["nonResourceURLs"]) {
            out.push((verb.clone(), String::new(), String::new(), String::new(), url));
        }
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                out.extend(names.iter().map(|n| (verb.clone(), group.clone(), resource.clone(), n.clone(), String::new())));
            }
        }
    }
    out
}

fn covers(all: &[Right], one: &Right) -> bool {
    let fits = |have: &str, want: &str| have == "*" || have == want;
    all.iter().any(|(verb, group, resource, name, url)| {
        let path = url == &one.4 || url.strip_suffix('*').is_some_and(|p| !one.4.is_empty() && one.4.starts_with(p));
        fits(verb, &one.0) && fits(group, &one.1) && fits(resource, &one.2) && (name.is_empty() || *name == one.3) && path
    })
}

fn rule_of(right: &Right) -> Value {
    if !right.4.is_empty() {
        return json!({ "verbs": [right.0], "nonResourceURLs": [right.4] });
    }
    let mut rule = json!({ "verbs": [right.0], "apiGroups": [right.1], "resources": [right.2] });
    if !right.3.is_empty() {
        rule["resourceNames"] = json!([right.3]);
    }
    rule
}

/// Rules of `wanted` that `have` does not cover.
fn uncovered(have: &Value, wanted: &Value) -> Vec<Value> {
    let all: Vec<Right> = have.as_array().into_iter().flatten().flat_map(rights).collect();
    let every = wanted.as_array().into_iter().flatten().flat_map(rights);
    every.filter(|r| !covers(&all, r)).map(|r| rule_of(&r)).collect()
}

fn show_rule(rule: &Value) -> String {
    let list = |k: &str| strings(&rule[k]).join(" ");
    format!("{{Verbs:[{}] APIGroups:[{}] Resources:[{}] ResourceNames:[{}] NonResourceURLs:[{}]}}", list("verbs"), list("apiGroups"), list("resources"), list("resourceNames"), list("nonResourceURLs"))
}

fn show_subject(s: &Value) -> String {
    let t = |k: &str| s[k].as_str().unwrap_or_default();
    format!("{{Kind:{} APIGroup:{} Name:{} Namespace:{}}}", t("kind"), t("apiGroup"), t("name"), t("namespace"))
}

fn say_all(title: &str, lines: &[String]) {
    if !lines.is_empty() {
        tell(&format!("\t{title}:"));
        lines.iter().for_each(|l| tell(&format!("\t\t{l}")));
    }
}

/// What comes of one object.
struct Plan {
    object: Value,
    operation: &'static str,
    notes: Vec<(&'static str, Vec<String>)>,
}

fn unite(live: &mut Value, wanted: &Value, key: &str) {
    for (k, v) in wanted["metadata"][key].as_object().cloned().unwrap_or_else(Map::new) {
        live["metadata"][key][k.as_str()] = v;
    }
}

fn plan(live: Option<&Value>, wanted: &Value, list: &'static str, remove: bool) -> Plan {
    let binding = list == "subjects";
    let Some(live) = live else {
        let lines = wanted[list].as_array().into_iter().flatten().map(if binding { show_subject } else { show_rule }).collect();
        return Plan { object: wanted.clone(), operation: "create", notes: vec![(if binding { "missing subjects added" } else { "missing rules added" }, lines)] };
    };
    let mut object = live.clone();
    unite(&mut object, wanted, "labels");
    unite(&mut object, wanted, "annotations");
    let (missing, extra) = if binding {
        let less = |a: &Value, b: &Value| -> Vec<Value> { a.as_array().into_iter().flatten().filter(|s| !b.as_array().is_some_and(|o| o.contains(s))).cloned().collect() };
        (less(&wanted[list], &live[list]), less(&live[list], &wanted[list]))
    } else {
        (uncovered(&live[list], &wanted[list]), uncovered(&wanted[list], &live[list]))
    };
    let show: fn(&Value) -> String = if binding { show_subject } else { show_rule };
    let mut notes = vec![(if binding { "missing subjects added" } else { "missing rules added" }, missing.iter().map(show).collect())];
    if remove {
        notes.push((if binding { "extra subjects removed" } else { "extra rules removed" }, extra.iter().map(show).collect()));
        if !missing.is_empty() || !extra.is_empty() {
            object[list] = wanted[list].clone();
        }
    } else if !missing.is_empty() {
        let mut all = object[list].as_array().cloned().unwrap_or_default();
        all.extend(missing);
        object[list] = all.into();
    }
    let recreate = binding && live["roleRef"] != wanted["roleRef"];
    if recreate {
        object["roleRef"] = wanted["roleRef"].clone();
    }
    let operation = if recreate { "recreate" } else if object == *live { "" } else { "update" };
    Plan { object, operation, notes }
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    if !manifest::given_any(given) {
        return wrong("must specify one of -f and -k");
    }
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    let mut failures = Vec::new();
    for m in manifest::gather(given, "reconcile").await? {
        let list = match m.object["kind"].as_str().unwrap_or_default() {
            "Role" | "ClusterRole" => "rules",
            "RoleBinding" | "ClusterRoleBinding" => "subjects",
            // Other objects are left alone.
            _ => continue,
        };
        if let Err(e) = one(&session, given, &results, &m, list).await {
            failures.push(e);
        }
    }
    Failure::collect(failures)
}

async fn one(session: &Session, given: &Given<'_>, results: &Results, m: &manifest::Manifest, list: &'static str) -> Outcome {
    let mapping = session.mapping_of(&m.object, &m.source).await?;
    let namespace = session.namespace_of(&m.object, &mapping)?;
    let mut wanted = m.object.clone();
    if !namespace.is_empty() {
        wanted["metadata"]["namespace"] = namespace.clone().into();
        let namespaces = session.client.get(&format!("/api/v1/namespaces/{namespace}")).await;
        if let Err(e) = namespaces
            && e.is_not_found()
            && results.dry_run != DryRun::Client
        {
            let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
            session.client.post("/api/v1/namespaces", &body).await?;
        }
    }
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let path = mapping.object(Some(&namespace), &name);
    let live = match session.client.get(&path).await {
        Ok(live) => Some(live),
        Err(e) if e.is_not_found() => None,
        Err(e) => return Err(e.into()),
    };
    let remove = given.on(if list == "rules" { "remove-extra-permissions" } else { "remove-extra-subjects" });
    let plan = plan(live.as_ref(), &wanted, list, remove);
    let mut object = plan.object;
    if results.dry_run != DryRun::Client {
        let query = Query::default().when(results.dry_run == DryRun::Server, "dryRun", "All");
        let collection = format!("{}{}", mapping.collection(Some(&namespace)), query.text());
        match plan.operation {
            "create" => object = session.client.post(&collection, &object).await?,
            "update" => object = session.client.put(&format!("{path}{}", query.text()), &object).await?,
            "recreate" => {
                session.client.delete(&format!("{path}{}", query.text()), &json!({ "apiVersion": "v1", "kind": "DeleteOptions" })).await?;
                for key in ["resourceVersion", "uid", "creationTimestamp"] {
                    if let Some(map) = object["metadata"].as_object_mut() {
                        map.remove(key);
                    }
                }
                object = session.client.post(&collection, &object).await?;
            }
            _ => {}
        }
    }
    results.print(&mapping, &object, "reconciled")?;
    if results.format.is_human() {
        if !plan.operation.is_empty() {
            tell(&format!("\treconciliation required {}", plan.operation));
        }
        plan.notes.iter().for_each(|(title, lines)| say_all(title, lines));
    }
    Ok(())
}
