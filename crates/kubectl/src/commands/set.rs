//! `kubectl set image|env|resources|serviceaccount|selector|subject`: one thing of a pod template, a Service or a binding.

use crate::commands::change::{each, pod_spec};
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::print::{DryRun, say, tell};
use crate::select::{self, Item};
use crate::session::Session;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use std::io::Read;

const MANAGER: &str = "kubectl-set";
const QUANTITY: &str = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const NEEDED: &str = "one or more resources must be specified as <resource> <name> or <resource>/<name>";

pub(crate) async fn run(given: &Given<'_>, what: &str) -> Outcome {
    let all = given.args();
    match what {
        "image" => image(given, &all).await,
        "env" => env(given, &all).await,
        "resources" => resources(given, &all).await,
        "serviceaccount" => account(given, &all).await,
        "subject" => subject(given, &all).await,
        _ => selector(given, &all).await,
    }
}

async fn image(given: &Given<'_>, all: &[&str]) -> Outcome {
    let (pairs, args): (Vec<&str>, Vec<&str>) = all.iter().partition(|a| a.contains('='));
    if args.is_empty() && !crate::manifest::given_any(given) {
        return wrong(select::NOTHING);
    }
    if pairs.is_empty() {
        return wrong("at least one image update is required");
    }
    each(given, &args, MANAGER, "image updated", Some(""), |item, object| {
        let spec = pod_spec(item, object)?;
        for pair in &pairs {
            let (name, image) = pair.split_once('=').unwrap_or((pair, ""));
            let mut found = false;
            for list in ["initContainers", "containers"] {
                for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().filter(|c| name == "*" || c["name"] == name) {
                    container["image"] = image.into();
                    found = true;
                }
            }
            if !found {
                return wrong(format!("unable to find container named \"{name}\""));
            }
        }
        Ok(())
    })
    .await
}

/// The containers that `-c` names; says so when there are none.
fn chosen<'a>(given: &Given<'_>, item: &Item, spec: &'a mut Value) -> Vec<&'a mut Value> {
    let wanted = given.text_or("containers", "*").to_owned();
    let pattern = regex::Regex::new(&format!("^{}$", regex::escape(&wanted).replace("\\*", ".*").replace("\\?", "."))).ok();
    let fits = |c: &Value| pattern.as_ref().is_some_and(|p| p.is_match(c["name"].as_str().unwrap_or_default()));
    let mut out = Vec::new();
    for (list, all) in spec.as_object_mut().into_iter().flatten() {
        if matches!(list.as_str(), "containers" | "initContainers") {
            out.extend(all.as_array_mut().into_iter().flatten().filter(|c| fits(c)));
        }
    }
    if out.is_empty() {
        tell(&format!("Warning: {}/{} does not have any containers matching \"{wanted}\"", item.mapping.kind, item.name));
    }
    out
}

fn valid_name(name: &str) -> Outcome {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !name.is_empty() && name.chars().all(good) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(());
    }
    wrong(format!("\"{name}\" is not a valid key name: a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')"))
}

/// What `set env` puts in and takes out.
#[derive(Default)]
struct Wishes {
    put: Vec<Value>,
    remove: Vec<String>,
}

fn wishes(pairs: &[&str]) -> Outcome<Wishes> {
    let mut out = Wishes::default();
    for pair in pairs {
        match pair.split_once('=') {
            Some((name, value)) => {
                valid_name(name)?;
                out.put.push(json!({ "name": name, "value": value }));
            }
            None if pair.ends_with('-') => out.remove.push(pair.trim_end_matches('-').to_owned()),
            None => return wrong(format!("unknown environment variable definition: {pair}")),
        }
    }
    if out.put.iter().any(|e| out.remove.iter().any(|r| e["name"] == r.as_str())) {
        return wrong("can not both modify and remove the same environment variable in the same command");
    }
    Ok(out)
}

async fn from(session: &Session, given: &Given<'_>, source: &str) -> Outcome<Vec<Value>> {
    let targets = select::targets(session, &[source]).await?;
    let [select::Target { mapping, name: Some(name) }] = &targets[..] else { return wrong("unsupported resource specified in --from") };
    let object = session.client.get(&mapping.object(Some(&session.namespace), name)).await?;
    let key_ref = match mapping.kind.as_str() {
        "ConfigMap" => "configMapKeyRef",
        "Secret" => "secretKeyRef",
        _ => return wrong("unsupported resource specified in --from"),
    };
    let keys = given.list("keys");
    let mut out = Vec::new();
    for key in object["data"].as_object().into_iter().flatten().map(|(k, _)| k).filter(|k| keys.is_empty() || keys.contains(&k.as_str())) {
        let plain = key.to_uppercase().replace(['-', '.', '/'], "_");
        if plain != *key {
            tell(&format!("Warning: key {key} transferred to {plain}"));
        }
        out.push(json!({ "name": format!("{}{plain}", given.text_or("prefix", "")), "valueFrom": { key_ref: { "name": name, "key": key } } }));
    }
    Ok(out)
}

async fn env(given: &Given<'_>, all: &[&str]) -> Outcome {
    let is_pair = |a: &&str| *a != "-" && (a.contains('=') || (a.ends_with('-') && !a.contains('/')));
    let (mut pairs, mut args): (Vec<&str>, Vec<&str>) = all.iter().partition(|a| is_pair(a));
    pairs.extend(given.list("env"));
    let mut text = String::new();
    if args.contains(&"-") || pairs.contains(&"-") {
        args.retain(|a| *a != "-");
        pairs.retain(|a| *a != "-");
        std::io::stdin().read_to_string(&mut text)?;
    }
    pairs.extend(text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')));
    if args.is_empty() && !crate::manifest::given_any(given) {
        return wrong(NEEDED);
    }
    if given.on("list") {
        return list_env(given, &args).await;
    }
    let mut wishes = wishes(&pairs)?;
    if let Some(source) = given.text("from").filter(|f| !f.is_empty()) {
        wishes.put.extend(from(&Session::open(given)?, given, source).await?);
    }
    let overwrite = given.on_or("overwrite", true);
    each(given, &args, MANAGER, "env updated", Some(""), |item, object| {
        for container in chosen(given, item, pod_spec(item, object)?) {
            let mut env = container["env"].as_array().cloned().unwrap_or_default();
            for new in &wishes.put {
                match env.iter_mut().find(|e| e["name"] == new["name"]) {
                    Some(old) if !overwrite => {
                        let (name, value) = (new["name"].as_str().unwrap_or_default(), old["value"].as_str().unwrap_or_default());
                        return wrong(format!("{}/{} '{name}' already has a value ({value}), and --overwrite is false", item.mapping.plural, item.name));
                    }
                    Some(found) => *found = new.clone(),
                    None => env.push(new.clone()),
                }
            }
            env.retain(|e| !wishes.remove.iter().any(|r| e["name"] == r.as_str()));
            if let Some(map) = container.as_object_mut() {
                map.remove("env");
                if !env.is_empty() {
                    map.insert("env".to_owned(), env.into());
                }
            }
        }
        Ok(())
    })
    .await
}

/// The value behind a reference of a container's variable.
async fn resolved(session: &Session, namespace: &str, from: &Value) -> Outcome<String> {
    let at = |r: &Value, plural: &str| format!("/api/v1/namespaces/{namespace}/{plural}/{}", r["name"].as_str().unwrap_or_default());
    for (key, plural) in [("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")] {
        if let Some(r) = from.get(key) {
            let object = session.client.get(&at(r, plural)).await?;
            let value = object["data"][r["key"].as_str().unwrap_or_default()].as_str().unwrap_or_default().to_owned();
            return Ok(if plural == "secrets" { STANDARD.decode(&value).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default() } else { value });
        }
    }
    Ok(String::new())
}

fn source_text(from: &Value) -> String {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    if let Some(r) = from.get("configMapKeyRef") {
        format!("configmap {}, key {}", text(&r["name"]), text(&r["key"]))
    } else if let Some(r) = from.get("secretKeyRef") {
        format!("secret {}, key {}", text(&r["name"]), text(&r["key"]))
    } else if let Some(r) = from.get("fieldRef") {
        format!("field path {}", text(&r["fieldPath"]))
    } else {
        format!("resource {}", text(&from["resourceFieldRef"]["resource"]))
    }
}

async fn list_env(given: &Given<'_>, args: &[&str]) -> Outcome {
    let session = Session::open(given)?;
    let (items, failures) = select::items(&session, given, args).await?;
    for item in &items {
        let mut object = item.object.clone();
        for container in chosen(given, item, pod_spec(item, &mut object)?) {
            say(&format!("# {} {}, container {}\n", item.mapping.kind, item.name, container["name"].as_str().unwrap_or_default()));
            for env in container["env"].as_array().into_iter().flatten() {
                let name = env["name"].as_str().unwrap_or_default();
                match env.get("valueFrom") {
                    None => say(&format!("{name}={}\n", env["value"].as_str().unwrap_or_default())),
                    Some(from) if given.on("resolve") && (from.get("configMapKeyRef").is_some() || from.get("secretKeyRef").is_some()) => {
                        say(&format!("{name}={}\n", resolved(&session, &item.namespace, from).await?));
                    }
                    Some(from) => say(&format!("# {name} from {}\n", source_text(from))),
                }
            }
        }
    }
    Failure::collect(failures)
}

fn quantities(text: &str) -> Outcome<Map<String, Value>> {
    let mut out = Map::new();
    for pair in text.split(',').filter(|p| !p.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else { return wrong(format!("Invalid argument syntax {pair}, expected <resource>=<value>")) };
        kinds::Quantity::parse(value).map_err(|_| Failure::text(QUANTITY))?;
        out.insert(name.to_owned(), value.into());
    }
    Ok(out)
}

async fn resources(given: &Given<'_>, all: &[&str]) -> Outcome {
    let (limits, requests) = (given.text_or("limits", ""), given.text_or("requests", ""));
    if limits.is_empty() && requests.is_empty() {
        return wrong("you must specify an update to requests or limits (in the form of --requests/--limits)");
    }
    let sets = [("limits", quantities(limits)?), ("requests", quantities(requests)?)];
    let done = each(given, all, MANAGER, "resource requirements updated", Some(""), |item, object| {
        let wanted = given.text_or("containers", "*");
        let spec = pod_spec(item, object)?;
        if wanted != "*" && !spec["containers"].as_array().is_some_and(|all| all.iter().any(|c| c["name"] == wanted)) {
            return wrong(format!("unable to find container named {wanted}"));
        }
        let containers = chosen(given, item, spec);
        for container in containers {
            for (key, values) in sets.iter().filter(|(_, v)| !v.is_empty()) {
                for (name, value) in values {
                    container["resources"][*key][name.as_str()] = value.clone();
                }
            }
        }
        Ok(())
    });
    done.await.map_err(|e| match e {
        Failure::Client(inner @ client::Error::Api(_), _) if !inner.is_not_found() => Failure::text(format!("failed to patch resources update to pod template {inner}")),
        other => other,
    })
}

async fn account(given: &Given<'_>, all: &[&str]) -> Outcome {
    let Some((account, args)) = all.split_last() else { return wrong("serviceaccount is required") };
    if args.is_empty() && !crate::manifest::given_any(given) {
        return wrong(select::NOTHING);
    }
    let unchanged = if DryRun::of(given)? == DryRun::Client { "serviceaccount updated" } else { "" };
    each(given, args, MANAGER, "serviceaccount updated", Some(unchanged), |item, object| {
        pod_spec(item, object)?["serviceAccountName"] = (*account).into();
        Ok(())
    })
    .await
}

async fn selector(given: &Given<'_>, all: &[&str]) -> Outcome {
    let Some((text, args)) = all.split_last() else { return wrong("one resource and one selector are required") };
    let looks = text.contains(['=', ' ', '!', ',']);
    let Some(args) = Some(args).filter(|_| looks) else { return wrong("resource(s) were provided, but no name was specified") };
    kinds::Selector::parse(text).map_err(Failure::text)?;
    let mut pairs = Map::new();
    if let Some((key, values)) = text.split_once(" in ") {
        return wrong(format!("match expression [{{{key} In [{}]}}] not supported on this object", values.trim_matches(['(', ')']).replace(',', " ")));
    }
    for pair in text.split(',') {
        let (key, value) = pair.split_once("==").or_else(|| pair.split_once('=')).unwrap_or((pair, ""));
        pairs.insert(key.to_owned(), value.into());
    }
    each(given, args, MANAGER, "selector updated", Some("selector updated"), |item, object| {
        if item.mapping.kind != "Service" {
            return wrong("setting a selector is only supported for Services");
        }
        object["spec"]["selector"] = Value::Object(pairs.clone());
        Ok(())
    })
    .await
}

async fn subject(given: &Given<'_>, args: &[&str]) -> Outcome {
    let mut wanted = Vec::new();
    for (flag, kind) in [("user", "User"), ("group", "Group")] {
        wanted.extend(given.list(flag).into_iter().map(|n| json!({ "kind": kind, "apiGroup": "rbac.authorization.k8s.io", "name": n })));
    }
    for account in given.list("serviceaccount") {
        let parts: Vec<&str> = account.split(':').collect();
        let [namespace, name] = parts[..] else { return wrong("serviceaccount must be <namespace>:<name>") };
        wanted.push(json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name }));
    }
    if wanted.is_empty() {
        return wrong("you must specify at least one value of user, group or serviceaccount");
    }
    let same = |a: &Value, b: &Value| ["kind", "name", "namespace"].iter().all(|k| a[*k].as_str().unwrap_or_default() == b[*k].as_str().unwrap_or_default());
    each(given, args, MANAGER, "subjects updated", Some(""), |item, object| {
        if !matches!(item.mapping.kind.as_str(), "RoleBinding" | "ClusterRoleBinding") {
            return wrong(format!("{}/{} setting subjects is only supported for RoleBinding/ClusterRoleBinding", item.mapping.plural, item.name));
        }
        let mut all = object["subjects"].as_array().cloned().unwrap_or_default();
        for new in &wanted {
            if !all.iter().any(|s| same(s, new)) {
                all.push(new.clone());
            }
        }
        object["subjects"] = all.into();
        Ok(())
    })
    .await
}
