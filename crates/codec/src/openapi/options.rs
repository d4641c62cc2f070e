//! The query parameters of requests that connect to something: `exec`, `attach`, `portforward`, `proxy`, and of `log`. They
//! are the fields of the options kinds.

use super::definition::walk;
use super::operation::query_of;
use schema::Kind;
use serde_json::Value;

/// The plain fields of an options kind as query parameters.
pub(super) fn options(group: &str, version: &str, kind: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let Some(ty) = schema::types().by_gvk(group, version, kind) else { return all };
    walk(ty, &mut |_, f| {
        let word = match f.kind() {
            Kind::Bool => "boolean",
            Kind::Int32 | Kind::Int64 => "integer",
            Kind::String | Kind::Enum => "string",
            Kind::List if f.item() == Kind::String => "string",
            Kind::List if f.item() == Kind::Int32 => "integer",
            _ => return,
        };
        all.push(query_of(f.json(), word, option_text(f.json())));
    });
    all
}

fn option_text(name: &str) -> &'static str {
    match name {
        "command" => "The program and its arguments; not run in a shell.",
        "container" => "Which container; defaults to the only one of the pod.",
        "follow" => "Goes on with what is written from now on.",
        "insecureSkipTLSVerifyBackend" => "Does not check the certificate of the kubelet that the log comes from.",
        "limitBytes" => "Ends after so many bytes.",
        "path" => "Path of the URL that the request is passed on to.",
        "ports" => "Ports to forward, needed with WebSockets.",
        "previous" => "The log of the container before its last restart.",
        "sinceSeconds" => "Begins so many seconds before now.",
        "stderr" => "Passes on the standard error stream.",
        "stdin" => "Passes on the standard input stream.",
        "stdout" => "Passes on the standard output stream.",
        "stream" => "All, Stdout or Stderr.",
        "tailLines" => "Begins so many lines before the end.",
        "timestamps" => "Puts the time before every line.",
        "tty" => "Allocates a terminal.",
        _ => "",
    }
}
