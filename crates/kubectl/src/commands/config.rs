//! `kubectl config`: looking at kubeconfig files and changing them.

use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::print::tabwriter::{TABLE, align};
use crate::print::{Format, say};
use crate::session::overrides;
use base64::{Engine, engine::general_purpose::STANDARD};
use client::{Kubeconfig, kubeconfig};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub(crate) fn run(given: &Given<'_>, what: &str) -> Outcome {
    let overrides = overrides(given)?;
    let flag = overrides.kubeconfig.as_deref().filter(|f| f.exists());
    let files = kubeconfig::files(overrides.kubeconfig.as_deref(), std::env::var_os("KUBECONFIG"), std::env::var_os("HOME"));
    let missing = overrides.kubeconfig.as_ref().is_some_and(|f| !f.exists());
    let config = if missing { Kubeconfig { merged: kubeconfig::empty(), files: files.clone() } } else { Kubeconfig::load(flag)? };
    let args = given.args();
    let current = config.current(&overrides).to_owned();
    let names = |list: &str| -> Vec<String> { config.merged[list].as_array().into_iter().flatten().filter_map(|e| e["name"].as_str()).map(str::to_owned).collect() };
    let unexpected = || Failure::text(format!("Unexpected args: [{}]", args.join(" ")));
    let first = || args.first().copied().ok_or_else(unexpected);
    match what {
        "view" => view(given, &config, &current),
        "current-context" if current.is_empty() => wrong("current-context is not set"),
        "current-context" => Ok(say(&format!("{current}\n"))),
        "get-contexts" => contexts(given, &config, &current),
        "get-clusters" | "get-users" => {
            say("NAME\n");
            names(what.trim_start_matches("get-")).iter().for_each(|n| say(&format!("{n}\n")));
            Ok(())
        }
        "use-context" => {
            let name = first()?;
            if !names("contexts").iter().any(|n| n == name) {
                return wrong(format!("no context exists with the name: \"{name}\""));
            }
            change(&files, None, |document| document["current-context"] = name.into())?;
            Ok(say(&format!("Switched to context \"{name}\".\n")))
        }
        "rename-context" => {
            let [old, new] = args[..] else { return Err(unexpected()) };
            if !names("contexts").iter().any(|n| n == old) {
                return wrong(format!("cannot rename the context \"{old}\", it's not in {}", files.first().map(|f| f.display().to_string()).unwrap_or_default()));
            }
            if names("contexts").iter().any(|n| n == new) {
                return wrong(format!("cannot rename the context \"{old}\", the context \"{new}\" already exists in {}", files.first().map(|f| f.display().to_string()).unwrap_or_default()));
            }
            change(&files, Some(("contexts", old)), |document| {
                for entry in document["contexts"].as_array_mut().into_iter().flatten().filter(|e| e["name"] == old) {
                    entry["name"] = new.into();
                }
                if document["current-context"] == old {
                    document["current-context"] = new.into();
                }
            })?;
            Ok(say(&format!("Context \"{old}\" renamed to \"{new}\".\n")))
        }
        "delete-context" | "delete-cluster" | "delete-user" => delete(&files, what.trim_start_matches("delete-"), first()?),
        "set-context" | "set-cluster" | "set-credentials" => entry(given, &files, what, &current),
        "set" if args.len() != 2 => Err(unexpected()),
        "unset" if args.len() != 1 => Err(unexpected()),
        "set" | "unset" => property(&files, first()?, if what == "set" { args.get(1).copied() } else { None }),
        _ => wrong(format!("unknown command \"{what}\" for \"kubectl config\"")),
    }
}

fn view(given: &Given<'_>, config: &Kubeconfig, current: &str) -> Outcome {
    let mut document = config.merged.clone();
    if given.on("minify") {
        let Some(context) = config.entry("contexts", current).cloned() else { return wrong(format!("cannot locate context {current}")) };
        document["current-context"] = current.into();
        let keep = [("contexts", current.to_owned()), ("clusters", context["cluster"].as_str().unwrap_or_default().to_owned()), ("users", context["user"].as_str().unwrap_or_default().to_owned())];
        for (list, name) in keep {
            if let Some(all) = document[list].as_array_mut() {
                all.retain(|e| e["name"] == name.as_str());
            }
        }
    }
    if !given.on("raw") && !given.on("flatten") {
        for entry in document["clusters"].as_array_mut().into_iter().flatten() {
            hide(&mut entry["cluster"], &["certificate-authority-data"], "DATA+OMITTED");
        }
        for entry in document["users"].as_array_mut().into_iter().flatten() {
            hide(&mut entry["user"], &["client-certificate-data", "client-key-data"], "DATA+OMITTED");
            hide(&mut entry["user"], &["token", "password"], "REDACTED");
        }
    }
    let format = Format::of(given)?;
    if matches!(format, Format::Json) {
        say(&crate::print::typed::kubeconfig(&document));
        return Ok(());
    }
    say(&if format.is_human() { codec::yaml::write(&document) } else { format.text(&document)? });
    Ok(())
}

fn hide(entry: &mut Value, keys: &[&str], with: &str) {
    for key in keys {
        if let Some(value) = entry.get_mut(*key) {
            *value = with.into();
        }
    }
}

fn contexts(given: &Given<'_>, config: &Kubeconfig, current: &str) -> Outcome {
    let wanted = given.args();
    let mut all: Vec<&Value> = config.merged["contexts"].as_array().into_iter().flatten().collect();
    all.sort_by_key(|e| e["name"].as_str().unwrap_or_default());
    if let Some(missing) = wanted.iter().find(|w| !all.iter().any(|e| e["name"] == **w)) {
        if given.text("output") != Some("name") && !given.on("no-headers") {
            say(&align("CURRENT\tNAME\tCLUSTER\tAUTHINFO\tNAMESPACE\n", TABLE));
        }
        return wrong(format!("context {missing} not found"));
    }
    all.retain(|e| wanted.is_empty() || wanted.iter().any(|w| e["name"] == *w));
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    if given.text("output") == Some("name") {
        all.iter().for_each(|e| say(&format!("{}\n", text(&e["name"]))));
        return Ok(());
    }
    let mut out = if given.on("no-headers") { String::new() } else { "CURRENT\tNAME\tCLUSTER\tAUTHINFO\tNAMESPACE\n".to_owned() };
    for entry in all {
        let c = &entry["context"];
        let mark = if entry["name"] == current { "*" } else { "" };
        out.push_str(&format!("{mark}\t{}\t{}\t{}\t{}\n", text(&entry["name"]), text(&c["cluster"]), text(&c["user"]), text(&c["namespace"])));
    }
    say(&align(&out, TABLE));
    Ok(())
}

/// Changes the file that holds an entry (or the first file) in one atomic step.
fn change(files: &[PathBuf], holds: Option<(&str, &str)>, edit: impl FnOnce(&mut Value)) -> Outcome {
    let has = |file: &&PathBuf| holds.is_some_and(|(list, name)| kubeconfig::read(file).is_ok_and(|d| d[list].as_array().is_some_and(|a| a.iter().any(|e| e["name"] == name))));
    let file = files.iter().find(has).or_else(|| files.first()).ok_or_else(|| Failure::text("no kubeconfig file to write to"))?;
    let mut document = kubeconfig::read(file)?;
    if !document.is_object() {
        document = kubeconfig::empty();
    }
    edit(&mut document);
    for list in ["clusters", "contexts", "users"] {
        match document[list].as_array_mut() {
            Some(all) if !all.is_empty() => all.sort_by_key(|e| e["name"].as_str().unwrap_or_default().to_owned()),
            _ => document[list] = Value::Null,
        }
    }
    write(file, &document)
}

fn write(file: &Path, document: &Value) -> Outcome {
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let temporary = file.with_extension(format!("new-{}", std::process::id()));
    let mut out = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    out.write_all(codec::yaml::write(document).as_bytes())?;
    out.sync_all()?;
    std::fs::rename(&temporary, file)?;
    Ok(())
}

fn delete(files: &[PathBuf], kind: &str, name: &str) -> Outcome {
    let list = format!("{kind}s");
    let mut found = false;
    change(files, Some((&list, name)), |document| {
        if let Some(all) = document[list.as_str()].as_array_mut() {
            let before = all.len();
            all.retain(|e| e["name"] != name);
            found = all.len() < before;
        }
    })?;
    let file = files.first().map(|f| f.display().to_string()).unwrap_or_default();
    if found && kind == "context" && kubeconfig::read(&files[0])?["current-context"] == name {
        crate::print::tell("warning: this removed your active context, use \"kubectl config use-context\" to select a different one");
    }
    if !found {
        return wrong(format!("cannot delete {kind} {name}, not in {file}"));
    }
    Ok(say(&format!("deleted {kind} {name} from {file}\n")))
}

fn drop_nulls(entry: &mut Value) {
    if let Some(fields) = entry.as_object_mut() {
        fields.retain(|_, v| !v.is_null());
    }
}

/// Flags of `set-…` and the keys that they write.
const KEYS: &[(&str, &str)] = &[
    ("cluster", "cluster"), ("user", "user"), ("namespace", "namespace"), ("server", "server"), ("tls-server-name", "tls-server-name"), ("certificate-authority", "certificate-authority"),
    ("client-certificate", "client-certificate"), ("client-key", "client-key"), ("proxy-url", "proxy-url"), ("token", "token"), ("username", "username"), ("password", "password"),
];

fn entry(given: &Given<'_>, files: &[PathBuf], what: &str, current: &str) -> Outcome {
    let (list, key, label) = match what {
        "set-context" => ("contexts", "context", "Context"),
        "set-cluster" => ("clusters", "cluster", "Cluster"),
        _ => ("users", "user", "User"),
    };
    let name = if given.on("current") { current } else { given.args().first().copied().unwrap_or_default() };
    if given.on("current") && !given.args().is_empty() {
        return wrong("you cannot specify both a context name and --current");
    }
    if name.is_empty() {
        return wrong(if key == "context" { "you must specify a non-empty context name or --current".to_owned() } else { format!("Unexpected args: [{}]", given.args().join(" ")) });
    }
    if key == "user" {
        let set = |f: &str| given.text(f).is_some_and(|t| !t.is_empty());
        let mut ways: Vec<&str> = Vec::new();
        ways.extend(set("token").then_some("--token"));
        ways.extend((set("username") || set("password")).then_some("--username/--password"));
        if ways.len() > 1 {
            return wrong(format!("you cannot specify more than one authentication method at the same time: {}", ways.join(", ")));
        }
    }
    let belongs: &[&str] = match key {
        "context" => &["cluster", "user", "namespace"],
        "cluster" => &["server", "tls-server-name", "certificate-authority", "proxy-url"],
        _ => &["client-certificate", "client-key", "token", "username", "password"],
    };
    let mut fields = Map::new();
    for (flag, field) in KEYS.iter().filter(|(f, _)| belongs.contains(f)) {
        if let Some(text) = given.text(flag) {
            let is_file = ["certificate-authority", "client-certificate", "client-key"].contains(flag);
            if is_file && given.on("embed-certs") {
                let bytes = std::fs::read(text).map_err(|e| Failure::text(format!("could not stat {flag} file {text}: {}", crate::failure::opening(text, &e).replacen("open", "stat", 1))))?;
                fields.insert(format!("{field}-data"), STANDARD.encode(bytes).into());
            } else {
                let text = if is_file { beside(files, text)? } else { text.to_owned() };
                fields.insert((*field).to_owned(), text.into());
            }
        }
    }
    if key == "cluster" && given.text("insecure-skip-tls-verify").is_some() {
        // False is what a cluster is when it says nothing.
        fields.insert("insecure-skip-tls-verify".to_owned(), if given.on("insecure-skip-tls-verify") { true.into() } else { Value::Null });
    }
    if key == "user" {
        plugins(given, &mut fields)?;
    }
    let mut created = true;
    change(files, Some((list, name)), |document| {
        if !document[list].is_array() {
            document[list] = json!([]);
        }
        let Some(all) = document[list].as_array_mut() else { return };
        match all.iter_mut().find(|e| e["name"] == name) {
            Some(found) => {
                created = false;
                if fields.contains_key("token") {
                    drop_keys(&mut found[key], &["username", "password"]);
                } else if fields.contains_key("username") || fields.contains_key("password") {
                    drop_keys(&mut found[key], &["token"]);
                }
                if fields.contains_key("certificate-authority") || fields.contains_key("certificate-authority-data") {
                    drop_keys(&mut found[key], &["insecure-skip-tls-verify", "certificate-authority-data", "certificate-authority"]);
                }
                if fields.get("insecure-skip-tls-verify").is_some_and(|v| v == true) {
                    drop_keys(&mut found[key], &["certificate-authority-data", "certificate-authority"]);
                }
                fields.into_iter().for_each(|(k, v)| found[key][k] = v);
                drop_nulls(&mut found[key]);
            }
            None if key == "context" => {
                let text = |k: &str| fields.get(k).cloned().unwrap_or_else(|| "".into());
                let mut context = json!({ "cluster": text("cluster"), "user": text("user") });
                if let Some(namespace) = fields.get("namespace") {
                    context["namespace"] = namespace.clone();
                }
                all.push(json!({ "name": name, key: context }));
            }
            None => {
                let mut fresh = Value::Object(fields);
                if key == "cluster" && fresh["server"].is_null() {
                    fresh["server"] = "".into();
                }
                drop_nulls(&mut fresh);
                all.push(json!({ "name": name, key: fresh }));
            }
        }
    })?;
    let done = if key != "context" { "set" } else if created { "created" } else { "modified" };
    Ok(say(&format!("{label} \"{name}\" {done}.\n")))
}

/// A path as the kubeconfig keeps it: relative to the file's own directory where it lies below.
fn beside(files: &[PathBuf], path: &str) -> Outcome<String> {
    let full = std::path::absolute(path)?;
    let dir = files.first().map(std::path::absolute).transpose()?.and_then(|f| f.parent().map(Path::to_owned)).unwrap_or_default();
    Ok(full.strip_prefix(&dir).unwrap_or(&full).display().to_string())
}

fn drop_keys(entry: &mut Value, keys: &[&str]) {
    if let Some(map) = entry.as_object_mut() {
        map.retain(|k, _| !keys.contains(&k.as_str()));
    }
}

/// Credential plugins of `set-credentials`.
fn plugins(given: &Given<'_>, fields: &mut Map<String, Value>) -> Outcome {
    let pair = |text: &str| text.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).ok_or_else(|| Failure::text(format!("error: env {text} is not a key=value pair")));
    if let Some(command) = given.text("exec-command") {
        let mut exec = json!({ "apiVersion": given.text_or("exec-api-version", ""), "command": command, "args": Value::Null, "env": Value::Null, "provideClusterInfo": given.on("exec-provide-cluster-info") });
        if let Some(mode) = given.text("exec-interactive-mode") {
            exec["interactiveMode"] = mode.into();
        }
        if !given.list("exec-arg").is_empty() {
            exec["args"] = json!(given.list("exec-arg"));
        }
        let mut env = Vec::new();
        for text in given.list("exec-env") {
            let (name, value) = pair(text)?;
            env.push(json!({ "name": name, "value": value }));
        }
        if !env.is_empty() {
            exec["env"] = env.into();
        }
        fields.insert("exec".to_owned(), exec);
    }
    if let Some(provider) = given.text("auth-provider") {
        let mut config = Map::new();
        for text in given.list("auth-provider-arg") {
            let (key, value) = pair(text)?;
            config.insert(key, value.into());
        }
        fields.insert("auth-provider".to_owned(), json!({ "name": provider, "config": config }));
    }
    Ok(())
}

/// `set a.b.c value`, `unset a.b.c`.
fn property(files: &[PathBuf], path: &str, value: Option<&str>) -> Outcome {
    let parts: Vec<&str> = path.split('.').collect();
    if !["apiVersion", "kind", "clusters", "contexts", "users", "current-context", "preferences", "extensions"].contains(&parts[0]) {
        return wrong(format!("unable to parse {path} after [] at api.Config"));
    }
    change(files, None, |document| {
        let mut at = document;
        let mut rest = &parts[..];
        if let [list @ ("clusters" | "contexts" | "users"), name, more @ ..] = rest {
            if !at[*list].is_array() {
                at[*list] = json!([]);
            }
            let Some(all) = at[*list].as_array_mut() else { return };
            if more.is_empty() && value.is_none() {
                all.retain(|e| e["name"] != *name);
                return;
            }
            let i = all.iter().position(|e| e["name"] == *name).unwrap_or_else(|| {
                all.push(json!({ "name": name, list.trim_end_matches('s'): {} }));
                all.len() - 1
            });
            at = &mut all[i][list.trim_end_matches('s')];
            rest = more;
        }
        let Some((last, middle)) = rest.split_last() else { return };
        for part in middle {
            at = &mut at[*part];
        }
        match value {
            Some(value) => at[*last] = serde_json::from_str::<bool>(value).map_or_else(|_| value.into(), Value::from),
            None => {
                if let Some(map) = at.as_object_mut() {
                    map.remove(*last);
                }
            }
        }
    })?;
    Ok(say(&format!("Property \"{path}\" {}.\n", if value.is_some() { "set" } else { "unset" })))
}
