//! `/statusz` and `/flagz`: what the process is and how it was started, as a page for people or, when the client asks for a
//! version of it, as an object. Docs: "Kubernetes z-pages"; KEP-4827, KEP-4828 (both on by default in v1.36).

use crate::call::Call;
use crate::discovery;
use crate::respond::{self, Reply};
use http::{HeaderMap, header};
use jiff::Timestamp;
use kinds::ApiError;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How the process was started.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// When.
    pub at: Timestamp,
    /// Every flag with its value.
    pub flags: BTreeMap<String, String>,
}

/// The name under which the server speaks of itself.
const NAME: &str = "apiserver";
const GROUP: &str = "config.k8s.io";
/// Versions of the objects, the newest first; the others are deprecated.
const VERSIONS: [&str; 2] = ["v1beta1", "v1alpha1"];
/// What else a person may look at.
const PATHS: [&str; 7] = ["/flagz", "/healthz", "/livez", "/metrics", "/readyz", "/statusz", "/version"];
const WARNING: &str =
    "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only.";

/// Whether a path is served as far as the gates of these pages are concerned.
pub(crate) fn is_on(call: &Call, path: &str) -> bool {
    let gate = match path {
        "/statusz" => "ComponentStatusz",
        "/flagz" => "ComponentFlagz",
        _ => return true,
    };
    call.shared.registry.settings().gates.on(gate)
}

/// An answer, when the path is one of these.
pub(crate) fn answer(call: &Call) -> Option<Result<Reply, ApiError>> {
    let (page, kind): (fn(&Call) -> Page, _) = match call.info.path.as_str() {
        "/statusz" => (status, "Statusz"),
        "/flagz" => (flags, "Flagz"),
        _ => return None,
    };
    if !is_on(call, &call.info.path) {
        return None;
    }
    Some(Form::negotiate(call.request.headers(), kind).map(|form| page(call).reply(form, kind)).ok_or_else(not_acceptable))
}

fn not_acceptable() -> ApiError {
    ApiError::new(406, "NotAcceptable", "only the following media types are accepted: application/json, application/yaml, text/plain")
}

/// How the page is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Json(&'static str),
    Yaml(&'static str),
}

impl Form {
    /// The first entry of `Accept` that can be met: text, or an object whose group, version and kind are all named.
    fn negotiate(headers: &HeaderMap, kind: &str) -> Option<Self> {
        let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if accept.trim().is_empty() {
            return Some(Self::Text);
        }
        accept.split(',').find_map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let parameters: BTreeMap<&str, &str> = parts.filter_map(|p| p.split_once('=')).collect();
            let version = VERSIONS.into_iter().find(|v| parameters.get("v") == Some(v));
            let object = parameters.get("g") == Some(&GROUP) && parameters.get("as") == Some(&kind);
            match (media, version.filter(|_| object)) {
                ("application/json", Some(version)) => Some(Self::Json(version)),
                ("application/yaml", Some(version)) => Some(Self::Yaml(version)),
                ("text/plain" | "text/*" | "*/*", _) if !parameters.contains_key("as") => Some(Self::Text),
                _ => None,
            }
        })
    }
}

/// A page in both of its forms.
struct Page {
    lines: String,
    members: Value,
}

impl Page {
    fn reply(self, form: Form, kind: &str) -> Reply {
        let (version, media) = match form {
            Form::Text => return respond::text(200, format!("\n{NAME} {}\n{WARNING}\n{}", kind.to_lowercase(), self.lines)),
            Form::Json(version) => (version, "application/json"),
            Form::Yaml(version) => (version, "application/yaml"),
        };
        let mut object = json!({ "kind": kind, "apiVersion": format!("{GROUP}/{version}"), "metadata": { "name": NAME } });
        if let (Value::Object(object), Value::Object(members)) = (&mut object, self.members) {
            object.extend(members);
        }
        let body = match form {
            Form::Yaml(_) => codec::yaml::write(&object),
            _ => serde_json::to_string_pretty(&object).unwrap_or_default(),
        };
        let mut reply = respond::with_media(200, body.into_bytes().into(), &format!("{media};g={GROUP};v={version};as={kind}"));
        if version != VERSIONS[0] {
            let page = kind.to_lowercase();
            respond::warn(&mut reply, &[format!("This version of the {page} endpoint is deprecated. Please use a newer version.")]);
        }
        reply
    }
}

fn status(call: &Call) -> Page {
    let started = call.shared.start.at;
    let up = call.shared.registry.now().duration_since(started).as_secs().max(0);
    let version = discovery::version();
    let text = |key: &str| version[key].as_str().unwrap_or_default().trim_start_matches('v').to_owned();
    let (go, binary) = (text("goVersion"), text("gitVersion"));
    let emulated = format!("{}.{}", text("emulationMajor"), text("emulationMinor"));
    let paths: Vec<&str> = PATHS.into_iter().filter(|p| is_on(call, p)).collect();
    let mut lines = String::new();
    let _ = writeln!(lines, "\nStarted:  {}", started.strftime("%a %b %e %H:%M:%S UTC %Y"));
    let _ = writeln!(lines, "Up:  {} hr {:02} min {:02} sec", up / 3600, up / 60 % 60, up % 60);
    let _ = writeln!(lines, "Go version:  {go}\nBinary version:  {binary}\nEmulation version:  {emulated}\nPaths:  {}", paths.join(" "));
    let members = json!({
        "startTime": started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), "uptimeSeconds": up, "goVersion": go,
        "binaryVersion": binary, "emulationVersion": emulated, "paths": paths,
    });
    Page { lines, members }
}

fn flags(call: &Call) -> Page {
    let flags = &call.shared.start.flags;
    let lines = flags.iter().fold(String::new(), |mut lines, (name, value)| {
        let _ = writeln!(lines, "{name}: {value}");
        lines
    });
    Page { lines, members: json!({ "flags": flags }) }
}

#[cfg(test)]
mod tests {
    use super::Form;
    use http::{HeaderMap, HeaderValue, header};

    fn asked(accept: &'static str) -> Option<Form> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        Form::negotiate(&headers, "Statusz")
    }

    #[test]
    fn an_object_is_sent_to_who_names_its_version() {
        assert_eq!(asked("application/json;v=v1alpha1;g=config.k8s.io;as=Statusz"), Some(Form::Json("v1alpha1")));
        assert_eq!(asked("application/yaml; as=Statusz; g=config.k8s.io; v=v1beta1"), Some(Form::Yaml("v1beta1")));
        for wrong in ["application/json", "text/html", "application/json;v=v1;g=config.k8s.io;as=Statusz", "application/json;v=v1beta1;g=config.k8s.io;as=Flagz"] {
            assert_eq!(asked(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn people_get_text() {
        assert_eq!(Form::negotiate(&HeaderMap::new(), "Statusz"), Some(Form::Text));
        for wanted in ["*/*", "text/plain", "text/html,application/xhtml+xml,*/*;q=0.8"] {
            assert_eq!(asked(wanted), Some(Form::Text), "{wanted}");
        }
    }
}
