//! The objects that `create`, `run` and `expose` make from flags.

mod access;

use crate::failure::{Failure, Outcome, wrong};
use crate::discovery::Discovery;
use crate::flags::Given;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use std::path::Path;

/// A container's name from its image: the last part of the name, without what names must not have.
pub(crate) fn container_name(image: &str) -> String {
    let base = image.rsplit('/').next().unwrap_or(image);
    let base = base.split(['@', ':']).next().unwrap_or(base);
    base.chars().map(|c| if c == '_' || c == '.' { '-' } else { c }).filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect::<String>().to_lowercase()
}

fn required<'a>(given: &Given<'a>, flag: &str) -> Outcome<&'a str> {
    given.text(flag).filter(|t| !t.is_empty()).ok_or_else(|| Failure::text(format!("required flag(s) \"{flag}\" not set")))
}

fn name<'a>(given: &Given<'a>) -> Outcome<&'a str> {
    match given.args()[..] {
        [name] | [name, ..] if given.args().len() == 1 || given.command.ends_with("configmap") && given.args().len() == 1 => Ok(name),
        [] => Err(Failure::usage("exactly one NAME is required, got 0", &given.command)),
        _ => Err(Failure::usage(format!("exactly one NAME is required, got {}", given.args().len()), &given.command)),
    }
}

/// The object of a `create` subcommand.
pub(crate) fn object(given: &Given<'_>, served: Option<&Discovery>) -> Outcome<Value> {
    let words: Vec<&str> = given.command.split(' ').skip(1).collect();
    match words[..] {
        ["deployment"] => deployment(given),
        ["service", kind] => service(given, kind),
        ["job"] => job(given),
        ["cronjob"] => cronjob(given),
        ["configmap"] => configmap(given),
        ["secret", kind] => secret(given, kind),
        ["namespace"] => Ok(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name(given)? }, "spec": {}, "status": {} })),
        ["serviceaccount"] => Ok(json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name(given)? } })),
        ["role" | "clusterrole"] => access::role(given, served, words[0] == "clusterrole"),
        ["rolebinding" | "clusterrolebinding"] => access::binding(given, words[0] == "clusterrolebinding"),
        ["ingress"] => ingress(given),
        ["poddisruptionbudget"] => budget(given),
        ["quota"] => quota(given),
        ["priorityclass"] => priority(given),
        _ => wrong(format!("unknown command \"{}\"", words.join(" "))),
    }
}

fn deployment(given: &Given<'_>) -> Outcome<Value> {
    let images = given.list("image");
    if images.is_empty() {
        return wrong("required flag(s) \"image\" not set");
    }
    let name = name(given)?;
    let command = given.rest();
    if images.len() > 1 && !command.is_empty() {
        return wrong("cannot specify multiple --image options and command");
    }
    // `--image=` is a list of none.
    let mut containers: Vec<Value> = images.iter().filter(|i| !i.is_empty()).map(|image| json!({ "name": container_name(image), "image": image, "resources": {} })).collect();
    if !command.is_empty() {
        containers[0]["command"] = json!(command);
    }
    if let Some(port) = given.number("port")?.filter(|p| *p >= 0) {
        containers[0]["ports"] = json!([{ "containerPort": port }]);
    }
    let labels = json!({ "app": name });
    Ok(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "labels": labels },
        "spec": {
            "replicas": given.number("replicas")?.unwrap_or(1), "selector": { "matchLabels": labels }, "strategy": {},
            "template": { "metadata": { "labels": labels }, "spec": { "containers": containers } },
        },
        "status": {},
    }))
}

/// `--tcp=80` or `--tcp=80:8080`.
fn tcp(given: &Given<'_>) -> Outcome<Vec<Value>> {
    let mut out = Vec::new();
    for text in given.list("tcp") {
        let (port, target) = text.split_once(':').unwrap_or((text, text));
        let target = target.split(':').next().unwrap_or_default();
        let why = if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) { "value out of range" } else { "invalid syntax" };
        let number: u16 = port.parse().map_err(|_| Failure::text(format!("strconv.ParseUint: parsing \"{port}\": {why}")))?;
        let target = match target.parse::<i64>() {
            Ok(n) if text.contains(':') && !(1..=65_535).contains(&n) => return wrong("must be between 1 and 65535, inclusive"),
            Ok(n) => json!(n),
            Err(_) => json!(target),
        };
        out.push(json!({ "name": text.replace(':', "-"), "port": number, "protocol": "TCP", "targetPort": target }));
    }
    Ok(out)
}

fn service(given: &Given<'_>, kind: &str) -> Outcome<Value> {
    let name = name(given)?;
    let mut ports = tcp(given)?;
    let labels = json!({ "app": name });
    let mut spec = json!({ "selector": labels });
    match kind {
        "externalname" => {
            spec["externalName"] = required(given, "external-name")?.into();
            spec["type"] = "ExternalName".into();
        }
        "nodeport" => spec["type"] = "NodePort".into(),
        "loadbalancer" => spec["type"] = "LoadBalancer".into(),
        _ => {
            spec["type"] = "ClusterIP".into();
            if let Some(ip) = given.text("clusterip") {
                spec["clusterIP"] = ip.into();
            }
        }
    }
    if ports.is_empty() && kind != "externalname" && spec["clusterIP"] != "None" {
        return wrong("at least one tcp port specifier must be provided");
    }
    if let (Some(node_port), Some(first)) = (given.number("node-port")?.filter(|p| *p > 0), ports.first_mut()) {
        first["nodePort"] = node_port.into();
    }
    if !ports.is_empty() {
        spec["ports"] = ports.into();
    }
    Ok(json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "labels": labels }, "spec": spec, "status": { "loadBalancer": {} } }))
}

fn pod_spec(given: &Given<'_>, name: &str, restart: &str) -> Outcome<Value> {
    let mut container = json!({ "name": name, "image": required(given, "image")?, "resources": {} });
    if !given.rest().is_empty() {
        container["command"] = json!(given.rest());
    }
    Ok(json!({ "metadata": {}, "spec": { "containers": [container], "restartPolicy": restart } }))
}

fn job(given: &Given<'_>) -> Outcome<Value> {
    let name = name(given)?;
    if given.text("image").is_none_or(str::is_empty) {
        return wrong("either --image or --from must be specified");
    }
    let template = pod_spec(given, name, "Never")?;
    Ok(json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name }, "spec": { "template": template }, "status": {} }))
}

/// A Job made of a CronJob (`create job --from=cronjob/x`).
pub(crate) fn job_from(name: &str, cronjob: &Value) -> Value {
    let mut annotations = json!({ "cronjob.kubernetes.io/instantiate": "manual" });
    if let (Value::Object(all), Some(more)) = (&mut annotations, cronjob.pointer("/spec/jobTemplate/metadata/annotations").and_then(Value::as_object)) {
        all.extend(more.clone());
    }
    let mut metadata = json!({ "name": name, "annotations": annotations, "ownerReferences": [{
        "apiVersion": "batch/v1", "kind": "CronJob", "name": cronjob["metadata"]["name"], "uid": cronjob["metadata"]["uid"], "controller": true }] });
    if let Some(labels) = cronjob.pointer("/spec/jobTemplate/metadata/labels") {
        metadata["labels"] = labels.clone();
    }
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": cronjob["spec"]["jobTemplate"]["spec"], "status": {} })
}

fn cronjob(given: &Given<'_>) -> Outcome<Value> {
    let missing: Vec<String> = ["image", "schedule"].iter().filter(|f| given.text(f).is_none()).map(|f| format!("\"{f}\"")).collect();
    if !missing.is_empty() {
        return wrong(format!("required flag(s) {} not set", missing.join(", ")));
    }
    let name = name(given)?;
    let restart = given.text_or("restart", "OnFailure");
    let template = pod_spec(given, name, restart)?;
    Ok(json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": name },
        "spec": { "jobTemplate": { "metadata": { "name": name }, "spec": { "template": template } }, "schedule": required(given, "schedule")? },
        "status": {},
    }))
}

/// Files and literals as pairs of key and bytes.
fn sources(given: &Given<'_>, kind: &str) -> Outcome<Vec<(String, Vec<u8>)>> {
    let mut out: Vec<(String, Vec<u8>)> = Vec::new();
    let why = |path: &str, e: &std::io::Error| Failure::text(format!("error reading {path}: {}", crate::failure::opening(path, e).split_once(": ").map(|(_, w)| w.to_owned()).unwrap_or_default()));
    let read = |path: &str| std::fs::read(path).map_err(|e| why(path, &e));
    let base = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let (files, literals, envs) = (given.list("from-file"), given.list("from-literal"), given.list("from-env-file"));
    if !envs.is_empty() && !(files.is_empty() && literals.is_empty()) {
        return wrong("from-env-file cannot be combined with from-file or from-literal");
    }
    for file in files {
        match file.split_once('=') {
            Some((_, rest)) if rest.contains('=') => return wrong("key names or file paths cannot contain '='"),
            Some(("", path)) => return wrong(format!("key name for file path {path} missing")),
            Some((key, "")) => return wrong(format!("file path for key name {key} missing")),
            Some((_, path)) if Path::new(path).is_dir() => return wrong("cannot give a key name for a directory path"),
            Some((key, path)) => out.push((key.to_owned(), read(path)?)),
            None if Path::new(file).is_dir() => {
                let mut entries: Vec<_> = std::fs::read_dir(file)?.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| p.is_file()).collect();
                entries.sort();
                for entry in entries {
                    out.push((base(&entry), std::fs::read(&entry)?));
                }
            }
            None => out.push((base(Path::new(file)), read(file)?)),
        }
    }
    for literal in literals {
        let Some((key, value)) = literal.split_once('=').filter(|(k, _)| !k.is_empty()) else {
            return wrong(format!("invalid literal source {literal}, expected key=value"));
        };
        out.push((key.to_owned(), value.as_bytes().to_vec()));
    }
    for file in envs {
        let text = String::from_utf8_lossy(&read(file)?).into_owned();
        for line in text.lines().map(str::trim_start).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            match line.split_once('=') {
                Some((key, value)) => out.push((key.to_owned(), value.as_bytes().to_vec())),
                None => out.push((line.to_owned(), std::env::var(line).unwrap_or_default().into_bytes())),
            }
        }
    }
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    for (i, (key, _)) in out.iter().enumerate() {
        if !key.chars().all(good) {
            return wrong(format!("\"{key}\" is not a valid key name for a {kind}: a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"));
        }
        if out[..i].iter().any(|(k, _)| k == key) {
            return wrong(format!("cannot add key \"{key}\", another key by that name already exists in Data for {kind} \"{}\"", name(given)?));
        }
    }
    Ok(out)
}

/// `--append-hash`.
fn hashed(given: &Given<'_>, mut object: Value) -> Value {
    if given.on("append-hash") {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let hash = crate::kustomize::content_hash(&object, &name, given.command.starts_with("create"));
        object["metadata"]["name"] = format!("{name}-{hash}").into();
    }
    object
}

fn configmap(given: &Given<'_>) -> Outcome<Value> {
    let (mut data, mut binary) = (Map::new(), Map::new());
    name(given)?;
    for (key, bytes) in sources(given, "ConfigMap")? {
        match String::from_utf8(bytes) {
            Ok(text) => drop(data.insert(key, text.into())),
            Err(e) => drop(binary.insert(key, STANDARD.encode(e.as_bytes()).into())),
        }
    }
    let mut object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name(given)? } });
    for (key, map) in [("data", data), ("binaryData", binary)] {
        if !map.is_empty() {
            object[key] = Value::Object(map);
        }
    }
    Ok(hashed(given, object))
}

fn secret(given: &Given<'_>, kind: &str) -> Outcome<Value> {
    let mut object = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name(given)? } });
    let mut data = Map::new();
    match kind {
        "tls" => {
            let (Ok(cert), Ok(key)) = (required(given, "cert"), required(given, "key")) else { return wrong("key and cert must be specified") };
            let read = |path: &str| std::fs::read(path).map_err(|e| Failure::text(format!("Cannot read file {path}, {}", crate::failure::opening(path, &e))));
            let (cert, key) = (read(cert)?, read(key)?);
            fitting(&cert, &key)?;
            data.insert("tls.crt".to_owned(), STANDARD.encode(cert).into());
            data.insert("tls.key".to_owned(), STANDARD.encode(key).into());
            object["type"] = "kubernetes.io/tls".into();
        }
        "docker-registry" => {
            object["type"] = "kubernetes.io/dockerconfigjson".into();
            let files: Vec<(String, Vec<u8>)> = sources(given, "Secret")?;
            let config = match files.first() {
                Some((_, bytes)) => bytes.clone(),
                None => docker_config(given)?.into_bytes(),
            };
            data.insert(".dockerconfigjson".to_owned(), STANDARD.encode(config).into());
        }
        _ => {
            for (key, bytes) in sources(given, "Secret")? {
                data.insert(key, STANDARD.encode(bytes).into());
            }
            if let Some(kind) = given.text("type") {
                object["type"] = kind.into();
            }
        }
    }
    if !data.is_empty() {
        object["data"] = Value::Object(data);
    }
    Ok(hashed(given, object))
}

/// Whether a key belongs to a certificate, both in PEM.
fn fitting(cert: &[u8], key: &[u8]) -> Outcome {
    for (bytes, what) in [(cert, "certificate"), (key, "key")] {
        if !String::from_utf8_lossy(bytes).contains("-----BEGIN ") {
            return wrong(format!("tls: failed to find any PEM data in {what} input"));
        }
    }
    client::check_pair(cert, key).map_err(|e| Failure::text(e.to_string()))
}

fn docker_config(given: &Given<'_>) -> Outcome<String> {
    let (user, password) = (given.text_or("docker-username", ""), given.text_or("docker-password", ""));
    if user.is_empty() || password.is_empty() {
        return wrong("either --from-file or the combination of --docker-username, --docker-password and --docker-server is required");
    }
    let server = given.text_or("docker-server", "https://index.docker.io/v1/");
    let text = |t: &str| crate::print::json_line(&Value::from(t));
    let email = given.text("docker-email").filter(|e| !e.is_empty()).map(|e| format!("\"email\":{},", text(e))).unwrap_or_default();
    let auth = STANDARD.encode(format!("{user}:{password}"));
    Ok(format!("{{\"auths\":{{{}:{{\"username\":{},\"password\":{},{email}\"auth\":{}}}}}}}", text(server), text(user), text(password), text(&auth)))
}

/// `a=b,c=d` as an object.
pub(crate) fn pairs(text: &str) -> Outcome<Value> {
    let mut out = Map::new();
    for pair in text.split(',').filter(|p| !p.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else { return wrong(format!("unexpected label spec: {pair}")) };
        out.insert(key.to_owned(), value.into());
    }
    Ok(Value::Object(out))
}

fn backend(text: &str) -> Outcome<Value> {
    let Some((service, port)) = text.split_once(':') else { return wrong("default-backend should be in format servicename:serviceport") };
    let port = port.parse::<u16>().map_or_else(|_| json!({ "name": port }), |n| json!({ "number": n }));
    Ok(json!({ "service": { "name": service, "port": port } }))
}

fn ingress(given: &Given<'_>) -> Outcome<Value> {
    name(given)?;
    let mut spec = json!({});
    let (mut rules, mut tls): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for rule in given.list("rule") {
        let (target, options) = rule.split_once(',').map_or((rule, ""), |(t, o)| (t, o));
        let Some((place, to)) = target.split_once('=') else {
            return wrong(format!("rule {rule} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]"));
        };
        let (host, path) = place.find('/').map_or((place, "/"), |i| (&place[..i], &place[i..]));
        let prefix = path.ends_with('*');
        let path = if prefix { &path[..path.len() - 1] } else { path };
        let bad = || Failure::text(format!("rule {rule} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]"));
        let entry = json!({ "backend": backend(to).map_err(|_| bad())?, "path": path, "pathType": if prefix { "Prefix" } else { "Exact" } });
        match rules.iter_mut().find(|r| r["host"].as_str().unwrap_or_default() == host) {
            Some(found) => {
                if let Some(paths) = found.pointer_mut("/http/paths").and_then(Value::as_array_mut) {
                    paths.push(entry);
                }
            }
            None if host.is_empty() => rules.push(json!({ "http": { "paths": [entry] } })),
            None => rules.push(json!({ "host": host, "http": { "paths": [entry] } })),
        }
        if let Some(secret) = options.strip_prefix("tls") {
            let mut one = json!({});
            if !host.is_empty() {
                one["hosts"] = json!([host]);
            }
            if let Some(secret) = secret.strip_prefix('=') {
                one["secretName"] = secret.into();
            }
            if one.as_object().is_some_and(|m| !m.is_empty()) {
                tls.push(one);
            }
        }
    }
    if rules.is_empty() && given.text("default-backend").is_none() {
        return wrong("not enough information provided: every ingress has to either specify a default-backend (which catches all traffic) or a list of rules (which catch specific paths)");
    }
    if let Some(class) = given.text("class") {
        spec["ingressClassName"] = class.into();
    }
    if let Some(text) = given.text("default-backend") {
        spec["defaultBackend"] = backend(text)?;
    }
    for (key, list) in [("rules", rules), ("tls", tls)] {
        if !list.is_empty() {
            spec[key] = list.into();
        }
    }
    let mut metadata = json!({ "name": name(given)? });
    for annotation in given.list("annotation") {
        let Some((key, value)) = annotation.split_once('=') else { return wrong(format!("annotation {annotation} is invalid and should be in format key=[value]")) };
        metadata["annotations"][key] = value.into();
    }
    Ok(json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec, "status": { "loadBalancer": {} } }))
}

fn amount(text: &str) -> Value {
    text.parse::<i64>().map_or_else(|_| text.into(), Value::from)
}

/// `a=b,c,!d` as a LabelSelector.
fn label_selector(text: &str) -> Outcome<Value> {
    let (mut labels, mut terms) = (Map::new(), Vec::new());
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        if part.contains("!=") {
            return wrong("\"!=\" is not a valid label selector operator");
        }
        match part.split_once("==").or_else(|| part.split_once('=')) {
            Some((k, v)) => drop(labels.insert(k.trim().to_owned(), v.trim().into())),
            None => terms.push(match part.strip_prefix('!') {
                Some(key) => json!({ "key": key, "operator": "DoesNotExist" }),
                None => json!({ "key": part, "operator": "Exists" }),
            }),
        }
    }
    let mut out = json!({});
    if !labels.is_empty() {
        out["matchLabels"] = Value::Object(labels);
    }
    if !terms.is_empty() {
        out["matchExpressions"] = terms.into();
    }
    Ok(out)
}

fn budget(given: &Given<'_>) -> Outcome<Value> {
    let selector = required(given, "selector").map_err(|_| Failure::text("a selector must be specified"))?;
    let mut spec = json!({ "selector": label_selector(selector)? });
    for flag in ["min-available", "max-unavailable"] {
        if given.text(flag).is_some_and(|t| t.trim_end_matches('%').parse::<u32>().is_err()) {
            return wrong(format!("invalid format specified for {flag}"));
        }
    }
    match (given.text("min-available"), given.text("max-unavailable")) {
        (Some(_), Some(_)) => return wrong("min-available and max-unavailable cannot be both specified"),
        (None, None) => return wrong("one of min-available or max-unavailable must be specified"),
        (Some(min), None) => spec["minAvailable"] = amount(min),
        (None, Some(max)) => spec["maxUnavailable"] = amount(max),
    }
    Ok(json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": name(given)? }, "spec": spec,
        "status": { "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0 } }))
}

fn quota(given: &Given<'_>) -> Outcome<Value> {
    let mut spec = json!({});
    if let Some(hard) = given.text("hard").filter(|h| !h.is_empty()) {
        spec["hard"] = json!({});
        for pair in hard.split(',') {
            let Some((key, value)) = pair.split_once('=') else { return wrong(format!("Invalid argument syntax {pair}, expected <resource>=<value>")) };
            kinds::Quantity::parse(value).map_err(|_| Failure::text("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"))?;
            spec["hard"][key] = value.into();
        }
    }
    if let Some(scopes) = given.text("scopes") {
        spec["scopes"] = json!(scopes.split(',').collect::<Vec<_>>());
    }
    Ok(json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": name(given)? }, "spec": spec, "status": {} }))
}

fn priority(given: &Given<'_>) -> Outcome<Value> {
    let mut object = json!({ "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": { "name": name(given)? },
        "value": given.number("value")?.unwrap_or_default(), "preemptionPolicy": given.text_or("preemption-policy", "PreemptLowerPriority") });
    if given.on("global-default") {
        object["globalDefault"] = true.into();
    }
    if let Some(text) = given.text("description") {
        object["description"] = text.into();
    }
    Ok(object)
}

/// The pod of `kubectl run`.
pub(crate) fn pod(given: &Given<'_>, name: &str, arguments: &[&str]) -> Outcome<Value> {
    let image = required(given, "image").map_err(|_| Failure::text("required flag(s) \"image\" not set"))?;
    let labels = given.text("labels").map_or_else(|| Ok(json!({ "run": name })), pairs)?;
    let mut container = json!({ "name": name, "image": image, "resources": {} });
    if let Some(policy) = given.text("image-pull-policy") {
        container["imagePullPolicy"] = policy.into();
    }
    if !arguments.is_empty() {
        container[if given.on("command") { "command" } else { "args" }] = json!(arguments);
    }
    let mut env = Vec::new();
    for pair in given.list("env") {
        let Some((key, value)) = pair.split_once('=') else { return wrong(format!("invalid env: {pair}")) };
        env.push(json!({ "name": key, "value": value }));
    }
    if !env.is_empty() {
        container["env"] = env.into();
    }
    if let Some(port) = given.number("port")? {
        container["ports"] = json!([{ "containerPort": port }]);
    }
    for (flag, key) in [("stdin", "stdin"), ("tty", "tty")] {
        if given.on(flag) {
            container[key] = true.into();
        }
    }
    if given.on("stdin") && !given.on("leave-stdin-open") {
        container["stdinOnce"] = true.into();
    }
    if given.on("privileged") {
        container["securityContext"] = json!({ "privileged": true });
    }
    let restart = given.text_or("restart", "Always");
    if !["Always", "OnFailure", "Never"].contains(&restart) {
        return wrong(format!("invalid restart policy: {restart}"));
    }
    let mut metadata = json!({ "name": name, "labels": labels });
    for annotation in given.list("annotations") {
        let (key, value) = annotation.split_once('=').unwrap_or((annotation, ""));
        metadata["annotations"][key] = value.into();
    }
    let spec = json!({ "containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": restart });
    Ok(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {} }))
}
