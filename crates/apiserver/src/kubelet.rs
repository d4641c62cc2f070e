//! Requests that another server answers: logs, exec, attach and port-forward by the pod's kubelet, `proxy` by a pod, a
//! service's endpoint or a node. Upgraded connections are relayed byte by byte, so that both ends speak the streaming
//! protocol with each other. Docs: "Manually constructing apiserver proxy URLs".

use crate::arriving::Arriving;
use crate::audit::Trail;
use crate::call::Call;
use crate::links::{Place, Rewriter};
use crate::respond::{Body, Reply};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kinds::api::core::v1::{Node, Pod, Service};
use kinds::{ApiError, FieldErrors, IntOrString, Kind, ObjectKey, Path};
use rustls_pki_types::ServerName;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Connecting to a kubelet or a pod may take this long.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// The kubelet's port where the node does not say another.
const KUBELET_PORT: u16 = 10_250;

/// Pieces of a page that wait for a slow client.
const PAGE_FRAMES_MAX: usize = 8;

/// Where a request goes on.
struct Upstream {
    host: String,
    port: u16,
    tls: Tls,
    path: String,
    /// Links of what comes back are moved below this place.
    place: Option<Place>,
}

/// How an upstream is spoken to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tls {
    Plain,
    /// Both sides show certificates of the cluster.
    Kubelet,
    /// Pods have certificates of anybody's making; they are not judged, and get none of ours.
    Any,
}

/// Answers `log`, `exec`, `attach` and `portforward`.
pub(crate) async fn stream(mut call: Call) -> Result<Reply, ApiError> {
    let verb = call.info.subresource.clone();
    if verb == "log" {
        check_log_options(&call)?;
    }
    let key = ObjectKey::new(call.info.namespace.clone(), call.info.name.clone());
    let snapshot = call.shared.registry.snapshot();
    let pod = snapshot.find::<Pod>(&key).ok_or_else(|| ApiError::not_found(&Kind::Pod.into(), &key.name))?.clone();
    if verb == "log" && call.request.method() != Method::GET {
        return Err(ApiError::no_such_verb());
    }
    let container = if verb == "portforward" { String::new() } else { container(&pod, call.info.param("container"), &verb)? };
    let node_name = pod.spec.as_ref().and_then(|s| s.node_name.clone()).unwrap_or_default();
    if node_name.is_empty() {
        // Logs of a pod that has not started are empty, not an error.
        return match verb.as_str() {
            "log" => Ok(crate::respond::text(200, "")),
            _ => Err(ApiError::bad_request(format!("pod {} does not have a host assigned", key.name))),
        };
    }
    let node = snapshot.get::<Node>("", &node_name).ok_or_else(|| ApiError::not_found(&Kind::Pod.into(), &node_name))?;
    let base = format!("{}/{}", key.namespace, key.name);
    let path = match verb.as_str() {
        "log" => format!("/containerLogs/{base}/{container}?{}", log_query(&call)),
        "exec" => format!("/exec/{base}/{container}?{}", exec_query(&call, true)?),
        "attach" => format!("/attach/{base}/{container}?{}", exec_query(&call, false)?),
        _ => format!("/portForward/{base}?{}", port_query(&call)),
    };
    let upstream = Upstream { path, ..kubelet(node)? };
    let socket = if verb == "log" { crate::sockets::take(&mut call.request)? } else { None };
    let reply = relay(call, upstream).await?;
    match socket {
        Some(socket) => socket.carry(reply),
        None => Ok(reply),
    }
}

fn container(pod: &Pod, asked: Option<&str>, verb: &str) -> Result<String, ApiError> {
    let spec = pod.spec.as_ref();
    let main: Vec<&str> = spec.iter().flat_map(|s| &s.containers).map(|c| c.name.as_str()).collect();
    let init: Vec<&str> = spec.iter().flat_map(|s| s.init_containers.iter().flatten()).map(|c| c.name.as_str()).collect();
    let ephemeral: Vec<&str> =
        spec.iter().flat_map(|s| s.ephemeral_containers.iter().flatten()).map(|c| c.name.as_str()).collect();
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    match asked.filter(|c| !c.is_empty()) {
        Some(c) if main.iter().chain(&init).chain(&ephemeral).any(|n| *n == c) => Ok(c.to_owned()),
        Some(c) => Err(ApiError::bad_request(format!("container {c} is not valid for pod {pod_name}"))),
        None => match main[..] {
            [one] => Ok(one.to_owned()),
            _ => {
                let default = pod.metadata.annotations.as_ref().and_then(|a| a.get("kubectl.kubernetes.io/default-container"));
                if let Some(d) = default.filter(|d| main.contains(&d.as_str()) && verb != "log") {
                    return Ok(d.clone());
                }
                let mut text = format!("a container name must be specified for pod {pod_name}, choose one of: [{}]", main.join(" "));
                if !init.is_empty() {
                    text.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
                }
                Err(ApiError::bad_request(text))
            }
        },
    }
}

/// What a client may ask of logs; it is judged before anything is looked for.
fn check_log_options(call: &Call) -> Result<(), ApiError> {
    let mut wrong = FieldErrors::default();
    let number = |name: &str| match call.info.param(name).map(str::parse::<i64>) {
        Some(Err(_)) => Err(ApiError::bad_request(format!("{name}: invalid syntax"))),
        other => Ok(other.and_then(Result::ok)),
    };
    let (tail, bytes, since) = (number("tailLines")?, number("limitBytes")?, number("sinceSeconds")?);
    if let Some(n) = tail.filter(|n| *n < 0) {
        wrong.invalid(&Path::new("tailLines"), n, "must be greater than or equal to 0");
    }
    if let Some(n) = bytes.filter(|n| *n < 1) {
        wrong.invalid(&Path::new("limitBytes"), n, "must be greater than 0");
    }
    if since.is_some() && call.info.param("sinceTime").is_some() {
        wrong.forbidden(&Path::new("[]"), "at most one of `sinceTime` or `sinceSeconds` may be specified");
    } else if let Some(n) = since.filter(|n| *n < 1) {
        wrong.invalid(&Path::new("sinceSeconds"), n, "must be greater than 0");
    }
    log_stream(call, tail, &mut wrong);
    if wrong.is_empty() { Ok(()) } else { Err(ApiError::invalid("", "PodLogOptions", &call.info.name, &wrong)) }
}

/// One of the two streams alone (KEP-3288).
fn log_stream(call: &Call, tail: Option<i64>, wrong: &mut FieldErrors) {
    const STREAMS: [&str; 3] = ["All", "Stderr", "Stdout"];
    let Some(stream) = call.info.param("stream") else { return };
    if !call.shared.registry.settings().gates.on("PodLogsQuerySplitStreams") {
        wrong.forbidden(&Path::new("stream"), "may not be specified");
        return;
    }
    if !STREAMS.contains(&stream) {
        wrong.not_supported(&Path::new("stream"), stream, &STREAMS);
    }
    if stream != "All" && tail.is_some() {
        wrong.forbidden(&Path::new("[]"), "`tailLines` and specific `stream` are mutually exclusive for now");
    }
}

fn log_query(call: &Call) -> String {
    let mut out = url::form_urlencoded::Serializer::new(String::new());
    for k in ["follow", "previous", "timestamps"] {
        if call.info.flag(k) {
            out.append_pair(k, "true");
        }
    }
    for k in ["tailLines", "sinceSeconds", "limitBytes", "sinceTime", "stream"] {
        if let Some(v) = call.info.param(k) {
            out.append_pair(k, v);
        }
    }
    out.finish()
}

fn exec_query(call: &Call, command: bool) -> Result<String, ApiError> {
    let mut out = url::form_urlencoded::Serializer::new(String::new());
    let (mut any, tty) = (false, call.info.flag("tty"));
    for (theirs, ours) in [("stdin", "input"), ("stdout", "output"), ("stderr", "error")] {
        // A terminal has no separate standard error.
        if call.info.flag(theirs) && !(tty && theirs == "stderr") {
            any = true;
            out.append_pair(ours, "1");
        }
    }
    if !any {
        return Err(ApiError::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    if tty {
        out.append_pair("tty", "1");
    }
    if command {
        let words: Vec<&str> = call.info.params("command").collect();
        if words.is_empty() {
            return Err(ApiError::bad_request("you must specify a command"));
        }
        words.iter().for_each(|w| {
            out.append_pair("command", w);
        });
    }
    Ok(out.finish())
}

fn port_query(call: &Call) -> String {
    let mut out = url::form_urlencoded::Serializer::new(String::new());
    for p in call.info.params("ports") {
        p.split(',').for_each(|p| {
            out.append_pair("port", p);
        });
    }
    out.finish()
}

fn kubelet(node: &Node) -> Result<Upstream, ApiError> {
    let status = node.status.as_ref();
    let addresses: Vec<_> = status.iter().flat_map(|s| s.addresses.iter().flatten()).collect();
    let of = |t: &str| addresses.iter().find(|a| a.type_ == t).map(|a| a.address.clone());
    let host = of("InternalIP").or_else(|| of("ExternalIP")).or_else(|| of("Hostname"));
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let host = host.ok_or_else(|| ApiError::internal(format!("no preferred addresses found for node {name}")))?;
    let port = status.and_then(|s| s.daemon_endpoints.as_ref()?.kubelet_endpoint.as_ref().map(|k| k.port));
    let port = port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p > 0).unwrap_or(KUBELET_PORT);
    Ok(Upstream { host, port, tls: Tls::Kubelet, path: String::new(), place: None })
}

/// Answers `proxy` of pods, services and nodes.
pub(crate) async fn proxy(call: Call) -> Result<Reply, ApiError> {
    let (scheme, name, port) = split_name(&call.info.name);
    let query = call.request.uri().query().map(|q| format!("?{q}")).unwrap_or_default();
    let asked = call.request.uri().path();
    let reads = matches!(*call.request.method(), Method::GET | Method::HEAD);
    if call.info.rest.is_empty() && reads && !is_upgrade(call.request.headers()) {
        return moved_permanently(&format!("{asked}/{query}"));
    }
    let rest = if call.info.rest.is_empty() { "/".to_owned() } else { call.info.rest.clone() };
    let path = format!("{rest}{query}");
    let place = Some(place(&call.request, &call.info.rest));
    let tls = if scheme == "https" { Tls::Any } else { Tls::Plain };
    let snapshot = call.shared.registry.snapshot();
    let ns = call.info.namespace.as_str();
    let upstream = match call.info.resource.as_str() {
        "nodes" => {
            let node = snapshot.get::<Node>("", name).ok_or_else(|| ApiError::not_found(&Kind::Node.into(), name))?;
            Upstream { path, place, ..kubelet(node)? }
        }
        "pods" => {
            let pod = snapshot.get::<Pod>(ns, name).ok_or_else(|| ApiError::not_found(&Kind::Pod.into(), name))?;
            let host = pod.status.as_ref().and_then(|s| s.pod_ip.clone()).unwrap_or_default();
            if host.is_empty() {
                return Err(ApiError::bad_request("address not allowed"));
            }
            let first = pod.spec.iter().flat_map(|s| &s.containers).flat_map(|c| c.ports.iter().flatten()).next();
            let port = if port.is_empty() { first.map_or(80, |p| p.container_port) } else { pod_port(pod, port)? };
            Upstream { host, port: port_number(port)?, tls, path, place }
        }
        _ => {
            let (host, port) = endpoint(&snapshot, ns, name, port, &call)?;
            Upstream { host, port, tls, path, place }
        }
    };
    relay(call, upstream).await
}

/// Pages that are asked for without a path have relative links that would lead elsewhere: the client is sent to the path
/// with a slash at its end.
fn moved_permanently(to: &str) -> Result<Reply, ApiError> {
    let mut reply = Response::new(Body::from(Vec::new()));
    *reply.status_mut() = StatusCode::MOVED_PERMANENTLY;
    let to = HeaderValue::from_str(to).map_err(|e| ApiError::bad_request(e.to_string()))?;
    reply.headers_mut().insert(header::LOCATION, to);
    Ok(reply)
}

fn place(request: &Request<Arriving>, rest: &str) -> Place {
    let uri = request.uri();
    let named = request.headers().get(header::HOST).and_then(|h| h.to_str().ok());
    let host = named.or_else(|| uri.authority().map(http::uri::Authority::as_str)).unwrap_or_default().to_owned();
    let prefix = uri.path().strip_suffix(rest).unwrap_or(uri.path()).to_owned();
    Place { prefix, host }
}

/// `[scheme:]name[:port]`.
fn split_name(text: &str) -> (&str, &str, &str) {
    match text.split(':').collect::<Vec<_>>()[..] {
        [scheme, name, port] => (scheme, name, port),
        [name, port] => ("", name, port),
        _ => ("", text, ""),
    }
}

fn port_number(port: i32) -> Result<u16, ApiError> {
    u16::try_from(port).map_err(|_| ApiError::bad_request(format!("invalid port {port}")))
}

fn pod_port(pod: &Pod, text: &str) -> Result<i32, ApiError> {
    if let Ok(n) = text.parse() {
        return Ok(n);
    }
    let mut ports = pod.spec.iter().flat_map(|s| &s.containers).flat_map(|c| c.ports.iter().flatten());
    let found = ports.find(|p| p.name.as_deref() == Some(text)).map(|p| p.container_port);
    found.ok_or_else(|| ApiError::bad_request(format!("no port {text:?}")))
}

fn endpoint(
    snapshot: &cache::Snapshot,
    ns: &str,
    name: &str,
    port: &str,
    call: &Call,
) -> Result<(String, u16), ApiError> {
    let service = snapshot.get::<Service>(ns, name).ok_or_else(|| ApiError::not_found(&Kind::Service.into(), name))?;
    let ports = service.spec.as_ref().and_then(|s| s.ports.as_ref());
    let wanted = ports.into_iter().flatten().find(|p| {
        let target = p.target_port.as_ref().is_some_and(|t| match t {
            IntOrString::Int(n) => n.to_string() == port,
            IntOrString::String(s) => s == port,
        });
        port.is_empty() || p.name.as_deref() == Some(port) || p.port.to_string() == port || target
    });
    let none = || ApiError::unavailable(format!("no endpoints available for service {:?}", call.info.name));
    let wanted = wanted.ok_or_else(none)?;
    let mut found = Vec::new();
    for slice in snapshot.slices_of(ns, name) {
        let name_of = |n: &Option<String>| n.clone().unwrap_or_default();
        let port = slice.ports.iter().flatten().find(|p| name_of(&p.name) == name_of(&wanted.name)).and_then(|p| p.port);
        let Some(port) = port else { continue };
        for e in slice.endpoints.iter().flatten() {
            if e.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true) {
                found.extend(e.addresses.iter().map(|a| (a.clone(), port)));
            }
        }
    }
    if found.is_empty() {
        return Err(none());
    }
    let pick = usize::try_from(call.shared.ids.below(found.len() as u64)).unwrap_or(0);
    let (host, port) = found.swap_remove(pick);
    Ok((host, port_number(port)?))
}

async fn relay(call: Call, upstream: Upstream) -> Result<Reply, ApiError> {
    let host = if upstream.host.parse::<IpAddr>().is_ok_and(|a| a.is_ipv6()) { format!("[{}]", upstream.host) } else { upstream.host.clone() };
    let authority = format!("{host}:{}", upstream.port);
    let failed = |e: &dyn std::fmt::Display| {
        ApiError::new(503, "ServiceUnavailable", format!("error trying to reach service: dial tcp {authority}: {e}"))
    };
    let dial = tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect(&authority)).await;
    let tcp = dial.map_err(|_| failed(&"i/o timeout"))?.map_err(|e| failed(&e))?;
    let _ = tcp.set_nodelay(true);
    let uri: Uri = upstream.path.parse().map_err(|e| ApiError::bad_request(format!("{e}")))?;
    let (inner, trail) = (call.request, call.trail);
    let reply = if upstream.tls == Tls::Plain {
        forward(tcp, (inner, trail), uri, &authority, &failed).await?
    } else {
        let name = ServerName::try_from(upstream.host.clone()).map_err(|e| failed(&e))?;
        let config = if upstream.tls == Tls::Kubelet { call.shared.kubelet_tls.clone() } else { crate::strangers::tls() };
        let tls = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.map_err(|e| failed(&e))?;
        forward(tls, (inner, trail), uri, &authority, &failed).await?
    };
    Ok(match upstream.place {
        Some(place) => resettle(reply, place),
        None => reply,
    })
}

/// Moves the links of an answer below the place that it is shown at.
fn resettle(mut reply: Reply, place: Place) -> Reply {
    let text = |h: HeaderName| reply.headers().get(h).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let (location, kind, coding) = (text(header::LOCATION), text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING));
    if !location.is_empty() {
        if let Some(to) = place.moved(&location).and_then(|l| HeaderValue::from_str(&l).ok()) {
            reply.headers_mut().insert(header::LOCATION, to);
        }
        return reply;
    }
    let html = kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/html");
    if !html || !coding.is_empty() {
        return reply;
    }
    let Body::Relay(body, trail) = std::mem::replace(reply.body_mut(), Body::from(Vec::new())) else { return reply };
    let (out, frames) = mpsc::channel(PAGE_FRAMES_MAX);
    tokio::spawn(async move {
        rewrite(body, Rewriter::new(place), out).await;
        drop(trail);
    });
    *reply.body_mut() = Body::Stream(frames);
    reply.headers_mut().remove(header::CONTENT_LENGTH);
    reply
}

async fn rewrite(mut body: Incoming, mut rewriter: Rewriter, out: mpsc::Sender<Bytes>) {
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        let page = rewriter.push(&data);
        if !page.is_empty() && out.send(page.into()).await.is_err() {
            return;
        }
    }
    let rest = rewriter.finish();
    if !rest.is_empty() {
        // The client has gone: nobody waits for the end.
        let _ = out.send(rest.into()).await;
    }
}

/// Headers that belong to one connection (RFC 9110, 7.6.1), and credentials that are not the upstream's business.
const OWN_HEADERS: &[HeaderName] = &[
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::AUTHORIZATION,
    header::HOST,
];

fn is_upgrade(headers: &HeaderMap) -> bool {
    let connection = headers.get(header::CONNECTION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    headers.contains_key(header::UPGRADE) && connection.to_ascii_lowercase().contains("upgrade")
}

/// Sends a request on over a connection, and its answer back; upgraded connections are spliced. The trail is let go of when
/// all is sent.
pub(crate) async fn forward<S>(
    stream: S,
    (mut from, trail): (Request<Arriving>, Option<Arc<Trail>>),
    uri: Uri,
    authority: &str,
    failed: &(dyn Fn(&dyn std::fmt::Display) -> ApiError + Sync),
) -> Result<Reply, ApiError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| failed(&e))?;
    tokio::spawn(async move {
        if let Err(e) = connection.with_upgrades().await {
            tracing::debug!(err = %e, "Relayed connection ended");
        }
    });
    let upgrade = is_upgrade(from.headers());
    let mine = upgrade.then(|| hyper::upgrade::on(&mut from));
    let (parts, body) = from.into_parts();
    let mut onward = Request::new(body);
    *onward.method_mut() = parts.method;
    *onward.uri_mut() = uri;
    for (k, v) in &parts.headers {
        if !OWN_HEADERS.contains(k) && !k.as_str().starts_with("impersonate-") {
            onward.headers_mut().append(k, v.clone());
        }
    }
    if upgrade {
        for k in [header::CONNECTION, header::UPGRADE] {
            if let Some(v) = parts.headers.get(&k) {
                onward.headers_mut().insert(k, v.clone());
            }
        }
    }
    let host = HeaderValue::from_str(authority).map_err(|e| ApiError::bad_request(e.to_string()))?;
    onward.headers_mut().insert(header::HOST, host);
    let mut answer = sender.send_request(onward).await.map_err(|e| failed(&e))?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let theirs = hyper::upgrade::on(&mut answer);
        if let Some(mine) = mine {
            tokio::spawn(async move {
                splice(mine, theirs).await;
                drop(trail);
            });
        }
        let mut reply = Response::new(Body::from(Vec::new()));
        *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *reply.headers_mut() = answer.headers().clone();
        return Ok(reply);
    }
    let (mut parts, body) = answer.into_parts();
    for h in [header::CONNECTION, header::TRANSFER_ENCODING] {
        parts.headers.remove(h);
    }
    Ok(Response::from_parts(parts, Body::Relay(body, trail)))
}

/// Copies both ways until either side ends.
async fn splice(mine: hyper::upgrade::OnUpgrade, theirs: hyper::upgrade::OnUpgrade) {
    let (Ok(mine), Ok(theirs)) = tokio::join!(mine, theirs) else { return };
    let (mut mine, mut theirs) = (TokioIo::new(mine), TokioIo::new(theirs));
    if let Err(e) = copy_bidirectional(&mut mine, &mut theirs).await {
        tracing::debug!(err = %e, "Relayed stream ended");
    }
}
