//! `/exec`, `/attach` and `/run`: which container, which streams, and over which carrier.

use super::answer::{self, Answer};
use super::channels::Session;
use super::query::Query;
use super::{Server, spdy, websocket};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use kinds::ApiError;
use std::sync::Arc;

/// WebSocket protocols, the best first.
const PROTOCOLS: &[&str] = &["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"];
/// A command of `/run` may take this long.
const RUN_MAX_S: u64 = 300;

fn container(server: &Server, namespace: &str, pod: &str, name: &str) -> Result<String, ApiError> {
    let seen = server.pod(namespace, pod).ok_or_else(|| ApiError::new(404, "NotFound", format!("pods \"{pod}\" not found")))?;
    match seen.view.newest(name) {
        Some(c) if c.is_running() => Ok(c.id.clone()),
        Some(_) => {
            let text = format!("cannot exec in a stopped container: container \"{name}\" of pod \"{pod}\" is not running");
            Err(ApiError::internal(text))
        }
        None => Err(ApiError::new(404, "NotFound", format!("unable to upgrade connection: container not found (\"{name}\")"))),
    }
}

fn session(request: &Request<Incoming>, container: String, command: bool) -> Result<Session, ApiError> {
    let q = Query::parse(request.uri().query().unwrap_or_default());
    let words: Vec<String> = q.all("command").map(str::to_owned).collect();
    let any = |a: &str, b: &str| q.flag(a) || q.flag(b);
    let s = Session {
        container,
        command: command.then_some(words),
        tty: q.flag("tty"),
        stdin: any("input", "stdin"),
        stdout: any("output", "stdout"),
        stderr: any("error", "stderr"),
        tells_status: true,
    };
    if !s.stdin && !s.stdout && !s.stderr {
        return Err(ApiError::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    Ok(s)
}

fn carry(server: &Server, request: Request<Incoming>, s: Session) -> Answer {
    let hands = Arc::clone(&server.hands);
    if websocket::is_websocket(&request) {
        let protocol = websocket::choose(&request, PROTOCOLS);
        let closes = protocol == Some("v5.channel.k8s.io");
        let s = Session { tells_status: !matches!(protocol, None | Some("channel.k8s.io")), ..s };
        return websocket::accept(request, protocol, move |socket| websocket::session(hands, socket, s, closes));
    }
    if spdy::is_spdy(&request) {
        return spdy::exec::accept(request, hands, s);
    }
    Err(ApiError::bad_request("Upgrade request required"))
}

pub(crate) fn exec(server: &Server, namespace: &str, pod: &str, name: &str, request: Request<Incoming>) -> Answer {
    let id = container(server, namespace, pod, name)?;
    let s = session(&request, id, true)?;
    if s.command.as_ref().is_none_or(Vec::is_empty) {
        return Err(ApiError::bad_request("you must specify a command"));
    }
    carry(server, request, s)
}

pub(crate) fn attach(server: &Server, namespace: &str, pod: &str, name: &str, request: Request<Incoming>) -> Answer {
    let id = container(server, namespace, pod, name)?;
    let s = session(&request, id, false)?;
    carry(server, request, s)
}

pub(crate) async fn run(server: &Server, namespace: &str, pod: &str, name: &str, request: &Request<Incoming>) -> Answer {
    let id = container(server, namespace, pod, name)?;
    let q = Query::parse(request.uri().query().unwrap_or_default());
    let command: Vec<String> = q.get("cmd").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let ran = server.hands.runtime.exec_sync(&id, command, Some(RUN_MAX_S)).await.map_err(ApiError::internal)?;
    Ok(answer::text(StatusCode::OK, &String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat())))
}
