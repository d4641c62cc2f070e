//! The way of a request, in one fixed order: parse, authenticate, impersonate, authorize, dispatch, answer.

use crate::authn::{self, Peer, impersonation};
use crate::call::Call;
use crate::request::RequestInfo;
use crate::respond::{self, Accept, Reply};
use crate::server::Shared;
use crate::arriving::Arriving;
use crate::audit::{self, Trail};
use crate::{aggregate, authz, connect, deadline, discovery, fairness, health, kubelet, openapi, profiling, resource, reviews, zpages};
use http::{HeaderMap, HeaderValue, Method, Request, header};
use kinds::ApiError;
use kinds::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use registry::Caller;
use rules::User;
use rules::rbac::Attributes;
use std::sync::Arc;
use std::time::Instant;

/// Names a request in the audit log; a client may choose it.
const AUDIT_ID: header::HeaderName = header::HeaderName::from_static("audit-id");

/// On the answer to who said nothing of who they are, or nothing true: over HTTP/2, which is dear and easily abused, they get
/// no second request on the connection (feature gate `UnauthenticatedHTTP2DOSMitigation`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stranger;

/// Answers one request. Never fails: errors are answers.
pub(crate) async fn handle(shared: Arc<Shared>, peer: Arc<Peer>, request: Request<Arriving>) -> Reply {
    let begun = Instant::now();
    let (method, uri) = (request.method(), request.uri());
    let info = Arc::new(RequestInfo::parse(method, uri.path(), uri.query().unwrap_or_default()));
    let head = method == Method::HEAD;
    let headers = request.headers();
    let encodings = headers.get(header::ACCEPT_ENCODING).cloned();
    let (verb, metrics, target) = (info.verb, Arc::clone(&shared), Arc::clone(&info));
    let id = audit_id(headers, &shared);
    let mut reply = route(shared, &peer, info, request, &id).await;
    reply.headers_mut().entry(AUDIT_ID).or_insert(id);
    if !reply.headers().contains_key(header::CACHE_CONTROL) {
        reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    }
    reply = respond::compress(reply, encodings.as_ref(), || metrics.registry.settings().gates.on("APIResponseCompression"));
    if head {
        respond::headless(&mut reply);
    }
    metrics.metrics.request(verb, &target, reply.status().as_u16(), begun.elapsed());
    tracing::debug!(verb, path = target.path, code = reply.status().as_u16(), took = ?begun.elapsed(), "Request served");
    reply
}

fn audit_id(headers: &HeaderMap, shared: &Shared) -> HeaderValue {
    let given = headers.get(AUDIT_ID).filter(|v| !v.is_empty() && v.len() <= 64 && v.to_str().is_ok()).cloned();
    given.or_else(|| HeaderValue::from_str(&shared.ids.uid()).ok()).unwrap_or(HeaderValue::from_static(""))
}

/// Authenticates, and writes the trail of what follows.
async fn route(shared: Arc<Shared>, peer: &Peer, info: Arc<RequestInfo>, request: Request<Arriving>, id: &HeaderValue) -> Reply {
    // A body may not be looked at from two threads; the rest may, while others are asked.
    let (head, body) = request.into_parts();
    let headers = &head.headers;
    let accept = Accept::negotiate(headers, info.flag("pretty"));
    let plain = accept.as_ref().copied().unwrap_or_default();
    let arrival = shared.audit.as_ref().map(|_| audit::Arrival {
        audit_id: id.to_str().unwrap_or_default(),
        uri: head.uri.path_and_query().map_or_else(|| info.path.clone(), ToString::to_string),
        headers,
        address: peer.address,
        at: shared.registry.now(),
    });
    let begin = |user: Option<&User>| shared.audit.as_ref()?.begin(&info, user, arrival.as_ref()?);
    let Some(user) = authenticate(&shared, peer, &info, headers).await else {
        let mut reply = respond::failure(&ApiError::unauthorized(), plain);
        estrange(&shared, &mut reply);
        if let Some(trail) = begin(None) {
            trail.unauthenticated(&reply, authn::attempted(peer, headers));
        }
        return reply;
    };
    let trail = begin(Some(&user));
    drop(arrival);
    let stranger = user.name == "system:anonymous" || user.in_group("system:unauthenticated");
    let unknown = stranger.then(|| Arc::clone(&shared));
    if let Some(trail) = &trail
        && !trail.is_told().await
    {
        return respond::text(500, format!("Internal Server Error: {:?}: failed to store audit event\n", head.uri.to_string()));
    }
    let mut reply = match impersonate(&shared, user, &info, headers, trail.as_deref()).await {
        Ok(user) => limited(shared, user, info, accept, Request::from_parts(head, body), trail.clone()).await,
        Err(e) => respond::failure(&e, plain),
    };
    if let Some(trail) = trail {
        trail.answered(&reply);
        trail.delivered().await;
    }
    if let Some(shared) = unknown {
        estrange(&shared, &mut reply);
    }
    reply
}

fn estrange(shared: &Shared, reply: &mut Reply) {
    if shared.registry.settings().gates.on("UnauthenticatedHTTP2DOSMitigation") {
        reply.extensions_mut().insert(Stranger);
    }
}

/// Past the door: with seats and within its time.
async fn limited(
    shared: Arc<Shared>,
    user: Arc<User>,
    info: Arc<RequestInfo>,
    accept: Result<Accept, ApiError>,
    request: Request<Arriving>,
    trail: Option<Arc<Trail>>,
) -> Reply {
    let plain = accept.as_ref().copied().unwrap_or_default();
    let time = match deadline::of(&info, shared.fairness.timeout()) {
        Ok(time) => time,
        Err(e) => return respond::failure(&e, plain),
    };
    let mut permit = match shared.fairness.enter(&shared.registry, &user, &info).await {
        fairness::Entry::In(permit) => permit,
        fairness::Entry::Refused(reply) => return reply,
    };
    let marks = permit.as_ref().and_then(fairness::Permit::marks);
    let of_watch = permit.take_if(|_| info.verb == "watch");
    let streams = info.is_long_running();
    // Work that waits in memory of its own costs no copies on its way, and a stream that is answered does not keep its room.
    let work = Box::pin(permitted(shared, user, info, accept, request, (of_watch, trail)));
    let done = if streams { work.await } else { deadline::within(time, work).await };
    let reply = done.unwrap_or_else(|e| respond::failure(&e, plain));
    fairness::hold(reply, marks, permit)
}

/// Authorizes and dispatches what the door let in.
async fn permitted(
    shared: Arc<Shared>,
    user: Arc<User>,
    info: Arc<RequestInfo>,
    accept: Result<Accept, ApiError>,
    request: Request<Arriving>,
    (permit, trail): (Option<fairness::Permit>, Option<Arc<Trail>>),
) -> Result<Reply, ApiError> {
    authorize(&shared, &user, &info, trail.as_deref()).await?;
    let streams = matches!(info.subresource.as_str(), "log" | "exec" | "attach" | "portforward" | "proxy");
    let accept = match accept {
        Ok(a) => a,
        Err(_) if streams || !info.is_resource => Accept::default(),
        Err(e) => return Err(e),
    };
    dispatch(Call { shared, info, accept, caller: Caller::noted(user), request, permit, trail }).await
}

async fn authenticate(shared: &Shared, peer: &Peer, info: &RequestInfo, headers: &HeaderMap) -> Option<Arc<User>> {
    let snapshot = shared.registry.snapshot();
    shared.authn.authenticate(peer, headers, &info.path, (&snapshot, shared.registry.now())).await
}

/// Whom the request acts as.
async fn impersonate(
    shared: &Shared,
    user: Arc<User>,
    info: &RequestInfo,
    headers: &HeaderMap,
    trail: Option<&Trail>,
) -> Result<Arc<User>, ApiError> {
    let Some(wanted) = impersonation::wanted(headers)? else { return Ok(user) };
    let snapshot = shared.registry.snapshot();
    let constrained = shared.registry.settings().gates.on("ConstrainedImpersonation");
    let asker = impersonation::Asker { authz: &shared.authz, snapshot: &snapshot, request: &attributes(info), constrained };
    let (user, constraint) = Box::pin(asker.become_someone(&user, &wanted)).await?;
    if let Some(trail) = trail {
        trail.impersonates(&user, constraint);
    }
    Ok(Arc::new(user))
}

/// The attributes of a request.
pub(crate) fn attributes(info: &RequestInfo) -> Attributes {
    let (fields, labels) = authz::selectors::of_request(info);
    Attributes {
        fields,
        labels,
        verb: info.verb.to_owned(),
        group: info.group.clone(),
        version: info.version.clone(),
        resource: info.resource.clone(),
        subresource: info.subresource.clone(),
        namespace: info.namespace.clone(),
        name: info.name.clone(),
        path: info.path.clone(),
        is_resource: info.is_resource,
    }
}

async fn authorize(shared: &Shared, user: &User, info: &RequestInfo, trail: Option<&Trail>) -> Result<(), ApiError> {
    let attributes = attributes(info);
    let snapshot = shared.registry.snapshot();
    let verdict = shared.authz.decide(&snapshot, user, &attributes).await;
    if let Some(trail) = trail {
        trail.annotate("authorization.k8s.io/decision", if verdict.allowed { "allow" } else { "forbid" });
        trail.annotate("authorization.k8s.io/reason", &verdict.reason);
    }
    if verdict.allowed { Ok(()) } else { Err(rules::rbac::forbidden(user, &attributes, &verdict)) }
}

/// WebSockets begin with a GET: who may only read may not run anything for all that.
async fn may_create(call: &Call) -> Result<(), ApiError> {
    let (shared, info) = (&call.shared, &call.info);
    if info.verb == "create" || !shared.registry.settings().gates.on("AuthorizePodWebsocketUpgradeCreatePermission") {
        return Ok(());
    }
    let asked = Attributes { verb: "create".to_owned(), ..attributes(info) };
    let verdict = shared.authz.decide(&shared.registry.snapshot(), &call.caller.user, &asked).await;
    if verdict.allowed { Ok(()) } else { Err(ApiError::forbidden(&kinds::Kind::Pod.into(), &info.name, verdict.reason)) }
}

/// What every request for Endpoints is told.
const ENDPOINTS_ARE_OLD: &str = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";

/// Answers, with what webhooks and policies warn of: they are heard whether the request succeeds or not.
async fn dispatch(call: Call) -> Result<Reply, ApiError> {
    let (notes, accept, trail) = (call.caller.notes.clone(), call.accept, call.trail.clone());
    let old = call.info.is_resource && call.info.resource == "endpoints" && call.info.group.is_empty();
    let mut reply = answer(call).await.unwrap_or_else(|e| respond::failure(&e, accept));
    if old {
        respond::warn(&mut reply, &[ENDPOINTS_ARE_OLD.to_owned()]);
    }
    if let Some(notes) = notes {
        respond::warn(&mut reply, &notes.warnings());
        if let Some(trail) = trail {
            notes.annotations().iter().for_each(|(key, value)| trail.annotate(key, value));
        }
    }
    Ok(reply)
}

async fn answer(mut call: Call) -> Result<Reply, ApiError> {
    if !call.info.is_resource {
        return Box::pin(nonresource(call)).await;
    }
    let info = &call.info;
    let known = kinds::Kind::from_gvr(&info.group, &info.version, &info.resource).is_some();
    if known && call.request.method() == Method::HEAD && info.subresource != "proxy" {
        return Err(ApiError::no_such_verb());
    }
    match info.subresource.as_str() {
        "log" if info.resource == "pods" && info.group.is_empty() => return Box::pin(kubelet::stream(call)).await,
        "exec" | "attach" | "portforward" if info.resource == "pods" && info.group.is_empty() => {
            Box::pin(may_create(&call)).await?;
            Box::pin(connect::admit(&mut call)).await?;
            return Box::pin(kubelet::stream(call)).await;
        }
        "proxy" if info.group.is_empty() && matches!(info.resource.as_str(), "pods" | "services" | "nodes") => {
            Box::pin(connect::admit(&mut call)).await?;
            return Box::pin(kubelet::proxy(call)).await;
        }
        _ => {}
    }
    if let Some(service) = elsewhere(&call) {
        return Box::pin(aggregate::proxy(call, &service)).await;
    }
    let Some(served) = call.shared.served(&info.group, &info.version, &info.resource) else { return missing(&info.path) };
    call.caller.speaks = served.speaks();
    if reviews::is_virtual(&served) {
        // What is only posted has no items.
        if !info.name.is_empty() && served.kind != Some(kinds::Kind::ComponentStatus) {
            return Err(ApiError::no_such_path());
        }
        resource::check_verb(&call, &served)?;
        return Box::pin(reviews::answer(call, &served)).await;
    }
    resource::serve(call, served).await
}

/// The APIService of what another server serves.
fn elsewhere(call: &Call) -> Option<Arc<APIService>> {
    let info = &call.info;
    if info.group.is_empty() || kinds::Kind::from_gvr(&info.group, &info.version, &info.resource).is_some() {
        return None;
    }
    aggregate::remote(&call.shared.registry.snapshot(), &info.group, &info.version)
}

async fn nonresource(call: Call) -> Result<Reply, ApiError> {
    if let Some(service) = elsewhere(&call) {
        return Box::pin(aggregate::proxy(call, &service)).await;
    }
    let path = call.info.path.as_str();
    let read = matches!(call.info.verb, "get" | "head");
    if (!read && (path.starts_with("/api/") || path.starts_with("/apis/"))) || (call.info.verb != "get" && only_got(path)) {
        return Err(ApiError::no_such_verb());
    }
    if let Some(reply) = health::answer(&call).or_else(|| fairness::debug(&call)).or_else(|| profiling::answer(&call)) {
        return Ok(reply);
    }
    if let Some(page) = zpages::answer(&call) {
        return page;
    }
    match path.trim_end_matches('/') {
        "/api" | "/apis" | "" => Ok(discovery::root(&call)),
        crate::backup::PATH => Ok(crate::backup::answer(&call)),
        "/version" => Ok(respond::tree(200, &discovery::version(), call.accept)),
        "/openapi/v2" => openapi::v2(&call),
        "/openapi/v3" => openapi::v3_index(&call),
        "/.well-known/openid-configuration" => Ok(discovery::issuer(&call)),
        "/openid/v1/jwks" => Ok(discovery::jwks(&call)),
        p if p.starts_with("/openapi/v3/") => openapi::v3_anywhere(&call, &p["/openapi/v3/".len()..]).await,
        p if p.starts_with("/api/") || p.starts_with("/apis/") => discovery::below(&call).map_or_else(|| missing(p), Ok),
        other => missing(other),
    }
}

/// Below the groups that are built in a `Status` says that something is not there; elsewhere a line of text does.
fn missing(path: &str) -> Result<Reply, ApiError> {
    let known = match path.trim_matches('/').split('/').collect::<Vec<_>>()[..] {
        ["api", _, ..] => true,
        ["apis", group, _, ..] => schema::resources().iter().any(|r| r.group == group),
        _ => false,
    };
    if known { Err(ApiError::no_such_path()) } else { Ok(respond::plain_error(404, "404 page not found\n")) }
}

/// Documents that answer GET and nothing else, not even HEAD.
fn only_got(path: &str) -> bool {
    match path.trim_matches('/').split('/').collect::<Vec<_>>()[..] {
        ["api" | "version"] | ["api", _] | [".well-known", "openid-configuration"] | ["openid", "v1", "jwks"] => true,
        ["apis", group, version] => schema::resources().iter().any(|r| (r.group, r.version) == (group, version)),
        _ => false,
    }
}

