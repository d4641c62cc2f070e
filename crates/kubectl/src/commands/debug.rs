//! `kubectl debug` (docs: "Debug Running Pods", "Debugging Kubernetes Nodes With Kubectl"): an ephemeral container in a pod, a copy of
//! a pod, or a pod in a node's namespaces.

use crate::commands::exec::attach_to;
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::generate;
use crate::pods;
use crate::print::{say, tell};
use crate::select;
use crate::session::Session;
use client::PatchType;
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
const PROFILES: [&str; 6] = ["legacy", "general", "baseline", "restricted", "netadmin", "sysadmin"];

/// Five letters as generated names end with.
fn suffix() -> String {
    use std::hash::{BuildHasher, Hasher};
    let mut seed = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let mut next = || {
        let letter = LETTERS[usize::try_from(seed % LETTERS.len() as u64).unwrap_or_default()];
        seed /= LETTERS.len() as u64;
        char::from(letter)
    };
    (0..SUFFIX_LENGTH).map(|_| next()).collect()
}

/// What the person wants to look with.
struct Tool<'a> {
    image: &'a str,
    profile: &'a str,
    interactive: bool,
    tty: bool,
    words: Vec<&'a str>,
}

impl<'a> Tool<'a> {
    fn of(given: &Given<'a>, words: Vec<&'a str>) -> Self {
        let interactive = given.on("stdin");
        Self { image: given.text_or("image", ""), profile: given.text_or("profile", "legacy"), interactive, tty: given.on("tty"), words }
    }

    fn container(&self, given: &Given<'_>, name: &str) -> Outcome<Value> {
        let mut out = json!({ "name": name, "image": self.image, "resources": {}, "terminationMessagePolicy": "File" });
        out["imagePullPolicy"] = given.text_or("image-pull-policy", "").into();
        if out["imagePullPolicy"] == "" {
            drop(out.as_object_mut().and_then(|m| m.remove("imagePullPolicy")));
        }
        for (flag, on) in [("stdin", self.interactive), ("tty", self.tty)] {
            if on {
                out[flag] = true.into();
            }
        }
        if !self.words.is_empty() {
            let key = if given.on("arguments-only") { "args" } else { "command" };
            out[key] = json!(self.words);
        }
        let mut env = Vec::new();
        for pair in given.list("env") {
            let Some((key, value)) = pair.split_once('=') else { return wrong(format!("invalid env: {pair}")) };
            env.push(json!({ "name": key, "value": value }));
        }
        if !env.is_empty() {
            out["env"] = env.into();
        }
        Ok(out)
    }

    /// What a profile gives the container.
    fn security(&self, place: Place) -> Option<Value> {
        match (self.profile, place) {
            ("restricted", _) => Some(json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } })),
            ("netadmin", Place::Node) => Some(json!({ "capabilities": { "add": ["NET_ADMIN", "NET_RAW"] }, "privileged": true })),
            ("netadmin", _) => Some(json!({ "capabilities": { "add": ["NET_ADMIN", "NET_RAW"] } })),
            ("sysadmin", _) => Some(json!({ "privileged": true })),
            ("general", Place::Pod | Place::Copy) => Some(json!({ "capabilities": { "add": ["SYS_PTRACE"] } })),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Pod,
    Copy,
    Node,
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    let args = given.args();
    let rest = given.rest();
    let copy = given.text_or("copy-to", "");
    if given.text_or("image", "").is_empty() && copy.is_empty() {
        return wrong("you must specify --image when not using --copy-to.");
    }
    if !copy.is_empty() && given.text_or("image", "").is_empty() && given.text_or("set-image", "").is_empty() && rest.is_empty() {
        return wrong("you must specify --image, --set-image or command arguments.");
    }
    let tool = Tool::of(given, rest);
    if tool.tty && !tool.interactive {
        return wrong("-i/--stdin is required for containers with -t/--tty=true");
    }
    if !PROFILES.contains(&tool.profile) {
        return wrong(format!("unknown profile: {}", tool.profile));
    }
    if given.text_or("target", "") != "" && !copy.is_empty() {
        return wrong("--target is incompatible with --copy-to. Use --share-processes instead.");
    }
    if args.is_empty() {
        return wrong("NAME or TYPE/NAME is required for debug");
    }
    if tool.profile == "legacy" {
        tell("--profile=legacy is deprecated and will be removed in the future. It is recommended to explicitly specify a profile, for example \"--profile=general\".");
    }
    let session = Session::open(given)?;
    for word in args {
        let full = if word.contains('/') { word.to_owned() } else { format!("pods/{word}") };
        let targets = select::targets(&session, &[&full]).await?;
        let [select::Target { mapping, name: Some(name) }] = &targets[..] else { return wrong("expected one object") };
        let object = session.client.get(&mapping.object(Some(&session.namespace), name)).await?;
        let (pod, container) = match mapping.kind.as_str() {
            "Node" => node(&session, given, &tool, name).await?,
            "Pod" if copy.is_empty() => ephemeral(&session, given, &tool, object).await?,
            "Pod" => copied(&session, given, &tool, object, copy).await?,
            other => return wrong(format!("\"{}\" not supported by debug", other.to_lowercase())),
        };
        session.show_warnings();
        if given.on_or("attach", tool.interactive) {
            join(&session, given, &tool, &pod, &container).await?;
        }
    }
    Ok(())
}

/// Joins the debugging container once it runs; its output, if it has ended by then.
async fn join(session: &Session, given: &Given<'_>, tool: &Tool<'_>, pod: &Value, container: &str) -> Outcome {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let states = ["containerStatuses", "ephemeralContainerStatuses"];
    let state = |p: &Value| states.iter().flat_map(|l| p["status"][*l].as_array().cloned().unwrap_or_default()).find(|s| s["name"] == container).map(|s| s["state"].clone()).unwrap_or_default();
    let begun = |p: &Value| {
        let state = state(p);
        if let Some(why) = state["waiting"]["message"].as_str().filter(|m| !m.is_empty()) {
            crate::print::tell(&format!("Warning: container {container}: {why}"));
        }
        state.get("running").is_some() || state.get("terminated").is_some()
    };
    let pod = pods::until(session, &session.namespace, name, PATIENCE, begun).await?;
    let tty = tool.tty && crate::terminal::is_terminal();
    if state(&pod).get("running").is_some() {
        return attach_to(session, &pod, container.to_owned(), tool.interactive, tty, given.on("quiet")).await;
    }
    let path = format!("/api/v1/namespaces/{}/pods/{name}/log?container={container}", session.namespace);
    say(&String::from_utf8_lossy(&session.client.bytes(http::Method::GET, &path, "*/*", client::RequestBody::Empty).await?));
    Ok(())
}

fn debugger(given: &Given<'_>) -> String {
    match given.text("container").filter(|c| !c.is_empty()) {
        Some(name) => name.to_owned(),
        None => {
            let name = format!("debugger-{}", suffix());
            if !given.on("quiet") {
                tell(&format!("Defaulting debug container name to {name}."));
            }
            name
        }
    }
}

async fn ephemeral(session: &Session, given: &Given<'_>, tool: &Tool<'_>, pod: Value) -> Outcome<(Value, String)> {
    let target = given.text_or("target", "");
    if !target.is_empty() {
        say(&format!("Targeting container \"{target}\". If you don't see processes from this container it may be because the container runtime doesn't support this feature.\n"));
    }
    let name = debugger(given);
    let mut container = tool.container(given, &name)?;
    if !target.is_empty() {
        container["targetContainerName"] = target.into();
    }
    if let Some(security) = tool.security(Place::Pod) {
        container["securityContext"] = security;
    }
    let path = format!("/api/v1/namespaces/{}/pods/{}/ephemeralcontainers", session.namespace, pod["metadata"]["name"].as_str().unwrap_or_default());
    let patch = json!({ "spec": { "ephemeralContainers": [container] } });
    let pod = session.client.patch(&path, PatchType::Strategic, &patch).await?;
    Ok((pod, name))
}

async fn node(session: &Session, given: &Given<'_>, tool: &Tool<'_>, name: &str) -> Outcome<(Value, String)> {
    let pod_name = format!("node-debugger-{name}-{}", suffix());
    let container = given.text("container").filter(|c| !c.is_empty()).unwrap_or("debugger");
    if !given.on("quiet") {
        say(&format!("Creating debugging pod {pod_name} with container {container} on node {name}.\n"));
    }
    let mut one = tool.container(given, container)?;
    let mut spec = json!({ "nodeName": name, "restartPolicy": "Never", "tolerations": [{ "operator": "Exists" }] });
    let host = !matches!(tool.profile, "restricted" | "baseline");
    if host || tool.profile == "netadmin" {
        for key in ["hostIPC", "hostNetwork", "hostPID"] {
            if tool.profile != "netadmin" || key != "hostIPC" {
                spec[key] = true.into();
            }
        }
    }
    if matches!(tool.profile, "legacy" | "general" | "sysadmin") {
        spec["volumes"] = json!([{ "name": "host-root", "hostPath": { "path": "/" } }]);
        one["volumeMounts"] = json!([{ "name": "host-root", "mountPath": "/host" }]);
    }
    if let Some(security) = tool.security(Place::Node) {
        one["securityContext"] = security;
    }
    spec["containers"] = json!([one]);
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": pod_name, "labels": { "app.kubernetes.io/managed-by": "kubectl-debug" } }, "spec": spec });
    Ok((session.client.post(&format!("/api/v1/namespaces/{}/pods", session.namespace), &pod).await?, container.to_owned()))
}

async fn copied(session: &Session, given: &Given<'_>, tool: &Tool<'_>, pod: Value, to: &str) -> Outcome<(Value, String)> {
    let mut metadata = json!({ "name": to, "namespace": session.namespace });
    metadata["annotations"] = pod["metadata"]["annotations"].clone();
    let legacy = tool.profile == "legacy";
    if given.on_or("keep-labels", legacy) {
        metadata["labels"] = pod["metadata"]["labels"].clone();
    }
    let mut spec = pod["spec"].clone();
    if let Some(map) = spec.as_object_mut() {
        map.remove("ephemeralContainers");
        if !given.on("same-node") {
            map.remove("nodeName");
        }
        if !given.on_or("keep-init-containers", true) {
            map.remove("initContainers");
        }
    }
    for container in spec["containers"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        for (flag, key) in [("keep-liveness", "livenessProbe"), ("keep-readiness", "readinessProbe"), ("keep-startup", "startupProbe")] {
            if !given.on_or(flag, legacy) {
                container.remove(key);
            }
        }
    }
    if given.on_or("share-processes", true) {
        spec["shareProcessNamespace"] = true.into();
    }
    if let Some(images) = given.text("set-image") {
        for (name, image) in generate::pairs(images)?.as_object().into_iter().flatten() {
            for container in spec["containers"].as_array_mut().into_iter().flatten().filter(|c| name == "*" || c["name"] == name.as_str()) {
                container["image"] = image.clone();
            }
        }
    }
    let asked = given.text("container").filter(|c| !c.is_empty());
    let known = |spec: &Value, name: &str| spec["containers"].as_array().and_then(|all| all.iter().position(|c| c["name"] == name));
    let name = match asked {
        Some(name) => name.to_owned(),
        None if !tool.image.is_empty() => debugger(given),
        None => pods::names(&pod, "containers").first().map(|c| (*c).to_owned()).unwrap_or_default(),
    };
    match known(&spec, &name) {
        Some(i) => {
            let container = &mut spec["containers"][i];
            if !tool.image.is_empty() {
                container["image"] = tool.image.into();
            }
            if !tool.words.is_empty() {
                container[if given.on("arguments-only") { "args" } else { "command" }] = json!(tool.words);
                if !given.on("arguments-only") {
                    drop(container.as_object_mut().and_then(|m| m.remove("args")));
                }
            }
            for (key, on) in [("stdin", tool.interactive), ("tty", tool.tty)] {
                if on {
                    container[key] = true.into();
                }
            }
        }
        None if tool.image.is_empty() => return wrong("you must specify an existing container or a new image when specifying args."),
        None => {
            let mut container = tool.container(given, &name)?;
            if let Some(security) = tool.security(Place::Copy) {
                container["securityContext"] = security;
            }
            if let Some(all) = spec["containers"].as_array_mut() {
                all.push(container);
            }
        }
    }
    let collection = format!("/api/v1/namespaces/{}/pods", session.namespace);
    let made = session.client.post(&collection, &json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec })).await?;
    if given.on("replace") {
        let path = format!("{collection}/{}", pod["metadata"]["name"].as_str().unwrap_or_default());
        session.client.delete(&path, &json!({ "apiVersion": "v1", "kind": "DeleteOptions" })).await.map_err(Failure::from)?;
    }
    Ok((made, name))
}
