//! Two answers, and in what they differ: each difference has a signature that the same fault has elsewhere too.

use std::collections::BTreeSet;

use serde_json::Value;

use super::http::Reply;
use super::normalise;

/// Headers that clients act on.
const HEADERS: &[&str] = &["content-type", "warning", "retry-after", "allow", "location"];

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The same for the same fault.
    pub signature: String,
    /// What both said here.
    pub detail: String,
}

/// Everything that differs.
pub(crate) fn replies(kube: &Reply, timonel: &Reply) -> Vec<Difference> {
    let mut out = Vec::new();
    headers(kube, timonel, &mut out);
    match (kube.tree(), timonel.tree()) {
        (Some(k), Some(t)) => bodies((kube.code, normalise::tree(k)), (timonel.code, normalise::tree(t)), &mut out),
        _ => {
            let (k, t) = (words(kube), words(timonel));
            if k != t || kube.code != timonel.code {
                out.push(told(format!("{} {} | {} {}", kube.code, cut(&k), timonel.code, cut(&t)), "", ""));
            }
        }
    }
    out
}

fn words(reply: &Reply) -> String {
    let text = String::from_utf8_lossy(&reply.body);
    // A watch is a line of JSON an event.
    let lines = text.lines().map(|l| match serde_json::from_str::<Value>(l) {
        Ok(tree) => normalise::tree(tree).to_string(),
        Err(_) => normalise::text(l),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn told(signature: String, kube: &str, timonel: &str) -> Difference {
    Difference { signature, detail: format!("kube {kube}\n    ours {timonel}") }
}

fn headers(kube: &Reply, timonel: &Reply, out: &mut Vec<Difference>) {
    for name in HEADERS {
        let (mut k, mut t) = (kube.header(name), timonel.header(name));
        (k.sort_unstable(), t.sort_unstable());
        if k != t {
            out.push(told(format!("header {name}: {} | {}", elide(&k.join(" + ")), elide(&t.join(" + "))), &k.join(" + "), &t.join(" + ")));
        }
    }
}

fn bodies((kube_code, kube): (u16, Value), (code, timonel): (u16, Value), out: &mut Vec<Difference>) {
    let is_status = |v: &Value| v["kind"] == "Status" && v["status"] == "Failure";
    if kube_code != code {
        let said = |c: u16, v: &Value| if is_status(v) { format!("{c} {}", v["message"].as_str().unwrap_or_default()) } else { c.to_string() };
        let (k, t) = (said(kube_code, &kube), said(code, &timonel));
        out.push(told(format!("{} | {}", elide(&k), elide(&t)), &k, &t));
        return;
    }
    if !(is_status(&kube) && is_status(&timonel)) {
        trees("", &kube, &timonel, out);
        return;
    }
    let (k, t) = (causes(&kube), causes(&timonel));
    for cause in k.difference(&t) {
        out.push(told(format!("missing {}", elide(cause)), cause, "nothing"));
    }
    for cause in t.difference(&k) {
        out.push(told(format!("extra {}", elide(cause)), "nothing", cause));
    }
    if k == t {
        let before = out.len();
        trees("", &kube, &timonel, out);
        if out.len() > before && kube["details"] != timonel["details"] && !k.is_empty() {
            out.truncate(before);
            out.push(told("another order of causes, or of their message".into(), &kube["message"].to_string(), &timonel["message"].to_string()));
        }
    }
}

fn causes(status: &Value) -> BTreeSet<String> {
    let list = status["details"]["causes"].as_array();
    list.into_iter().flatten().map(|c| format!("{}: {}", c["field"].as_str().unwrap_or_default(), c["message"].as_str().unwrap_or_default())).collect()
}

/// What stands for a member that is not there; `null` is there.
const ABSENT: &str = "<absent>";

/// Differences of two trees by path.
pub(crate) fn trees(path: &str, kube: &Value, timonel: &Value, out: &mut Vec<Difference>) {
    match (kube, timonel) {
        (Value::Object(k), Value::Object(t)) => {
            let absent = Value::from(ABSENT);
            for (name, value) in k {
                trees(&format!("{path}.{name}"), value, t.get(name).unwrap_or(&absent), out);
            }
            for (name, value) in t.iter().filter(|(n, _)| !k.contains_key(*n)) {
                trees(&format!("{path}.{name}"), &absent, value, out);
            }
        }
        (Value::Array(k), Value::Array(t)) if k.len() == t.len() => {
            k.iter().zip(t).enumerate().for_each(|(i, (k, t))| trees(&format!("{path}[{i}]"), k, t, out));
        }
        _ if kube != timonel => {
            let (k, t) = (kube.to_string(), timonel.to_string());
            out.push(told(format!("{}: {} | {}", elide(path), cut(&k), cut(&t)), &k, &t));
        }
        _ => {}
    }
}

fn cut(s: &str) -> String {
    const SHOWN: usize = 160;
    if s.chars().count() <= SHOWN { s.to_owned() } else { s.chars().take(SHOWN).collect::<String>() + "…" }
}

/// Indices and quoted values taken out.
pub(crate) fn elide(s: &str) -> String {
    let (mut out, mut quoted, mut index) = (String::new(), false, false);
    for c in s.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                out.push('"');
            }
            _ if quoted => {}
            '[' => {
                index = true;
                out.push('[');
            }
            ']' => {
                index = false;
                out.push(']');
            }
            d if index && d.is_ascii_digit() => {}
            c => out.push(c),
        }
    }
    cut(&out)
}
