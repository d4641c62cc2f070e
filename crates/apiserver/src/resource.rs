//! The verbs on resources: from a request to one call of the registry, and from its answer to bytes.

use crate::body;
use crate::call::Call;
use crate::output;
use crate::request::RequestInfo;
use crate::respond::{self, Reply};
use crate::server::Served;
use crate::watching;
use cache::Entry;
use kinds::error::Details;
use kinds::selector::parse_fields;
use kinds::{
    ApiError, DeleteOptions, FieldErrors, Kind, Object, ObjectKey, Patch, PatchKind, Path, Resource, Revision, Selector, Target, WriteOptions,
};
use registry::{Answer, Asked, Continue, FieldValidation, ListQuery, VersionMatch};
use registry::scaling;
use rules::scale;
use std::sync::Arc;

/// Longest field manager name.
const MANAGER_MAX: usize = 128;

/// Serves one request on a resource. What changes something is large and takes its own memory; a read is small.
pub(crate) async fn serve(mut call: Call, served: Served) -> Result<Reply, ApiError> {
    if served.definition.is_some() {
        // Custom resources have no protobuf form of their own.
        call.accept = call.accept.without_protobuf(call.request.headers())?;
    }
    check_scope(&call, &served)?;
    check_verb(&call, &served)?;
    match (call.info.verb, call.info.subresource.as_str()) {
        ("list", "") => Box::pin(list(call, served)).await,
        ("watch", "") => Box::pin(watching::watch(call, served)).await,
        ("get", "scale") => get_scale(&call, &served),
        ("update", "scale") => Box::pin(put_scale(call, served)).await,
        ("patch", "scale") => Box::pin(patch_scale(call, served)).await,
        ("get", sub) => get(&call, &served, sub).await,
        ("create", "") => Box::pin(create(call, served)).await,
        ("create", "binding" | "eviction" | "token") => Box::pin(create_below(call, served)).await,
        ("update", _) => Box::pin(update(call, served)).await,
        ("patch", _) => Box::pin(patch(call, served)).await,
        ("delete", "") => Box::pin(delete(call, served)).await,
        ("deletecollection", "") => Box::pin(delete_collection(call, served)).await,
        _ => Err(ApiError::method_not_supported(&served.resource, call.info.verb)),
    }
}

fn check_scope(call: &Call, served: &Served) -> Result<(), ApiError> {
    let (namespaced, given) = (served.resource.namespaced(), !call.info.namespace.is_empty());
    let own = served.resource.builtin() == Some(Kind::Namespace);
    let across = matches!(call.info.verb, "list" | "watch");
    if namespaced && !given && !across && call.info.name.is_empty() && served.kind.is_some() {
        return Err(ApiError::no_such_verb());
    }
    if (given && !namespaced && !own) || (namespaced && !given && !across) {
        return Err(ApiError::no_such_path());
    }
    let sub = call.info.subresource.as_str();
    if !sub.is_empty() && !has_subresource(served, sub) {
        return Err(match served.kind {
            Some(_) => ApiError::no_such_path(),
            None => ApiError::not_found(&served.resource, &call.info.name),
        });
    }
    Ok(())
}

/// Whether the resource, or its subresource, has the verb at all, and the path the name that it needs.
pub(crate) fn check_verb(call: &Call, served: &Served) -> Result<(), ApiError> {
    let (verb, sub) = (call.info.verb, call.info.subresource.as_str());
    let nameless = call.info.name.is_empty();
    if verb.is_empty() || (nameless && matches!(verb, "update" | "patch")) || (!nameless && verb == "create" && sub.is_empty()) {
        return Err(ApiError::no_such_verb());
    }
    // Custom resources have them all.
    let Some(row) = schema::resources().by_gvr(&served.group, &served.version, served.resource.plural()) else { return Ok(()) };
    let has = match row.subresource(sub) {
        Some(s) => s.verbs.contains(&verb),
        None => !sub.is_empty() || row.verbs.contains(&verb),
    };
    if has { Ok(()) } else { Err(ApiError::no_such_verb()) }
}

fn has_subresource(served: &Served, sub: &str) -> bool {
    match &served.definition {
        Some(crd) => crd.spec.versions.iter().filter(|v| v.name == served.version).any(|v| {
            v.subresources.as_ref().is_some_and(|s| (sub == "status" && s.status.is_some()) || (sub == "scale" && s.scale.is_some()))
        }),
        None => {
            let plural = served.resource.plural();
            let row = schema::resources().by_gvr(&served.group, &served.version, plural);
            row.is_some_and(|r| r.subresource(sub).is_some()) || (sub == "scale" && scale::is_scalable(&served.resource))
        }
    }
}

fn key(call: &Call) -> ObjectKey {
    let namespace = match call.info.resource.as_str() {
        "namespaces" if call.info.group.is_empty() => String::new(),
        _ => call.info.namespace.clone(),
    };
    ObjectKey::new(namespace, call.info.name.clone())
}

/// Subresources that the registry knows, as static text.
fn subresource(call: &Call) -> Result<&'static str, ApiError> {
    const KNOWN: &[&str] =
        &["", "status", "scale", "binding", "eviction", "token", "finalize", "approval", "ephemeralcontainers", "resize"];
    KNOWN.iter().copied().find(|s| *s == call.info.subresource).ok_or_else(ApiError::no_such_path)
}

fn target(call: &Call, served: &Served) -> Result<Target, ApiError> {
    Ok(Target { resource: served.resource.clone(), key: key(call), subresource: subresource(call)? })
}

/// What the options of a verb are called.
pub(crate) fn options_kind(call: &Call) -> &'static str {
    match call.info.verb {
        "update" => "UpdateOptions",
        "patch" => "PatchOptions",
        "delete" | "deletecollection" => "DeleteOptions",
        _ => "CreateOptions",
    }
}

/// The write options of the query.
pub(crate) fn options(call: &Call) -> Result<WriteOptions, ApiError> {
    let dry_run = match call.info.params("dryRun").collect::<Vec<_>>()[..] {
        [] | [""] => false,
        ["All"] => true,
        [other, ..] => {
            let shown = kinds::field::Bare(format!("[{other:?}]"));
            return Err(ApiError::invalid_options(options_kind(call), |e| e.not_supported(&Path::new("dryRun"), shown, &["All"])));
        }
    };
    let manager = match call.info.param("fieldManager") {
        Some(m) => m.to_owned(),
        None => default_manager(call),
    };
    if manager.len() > MANAGER_MAX || manager.chars().any(char::is_control) {
        return Err(ApiError::invalid_options(options_kind(call), |e| e.too_long(&Path::new("fieldManager"), MANAGER_MAX)));
    }
    Ok(WriteOptions { dry_run, field_manager: manager, force: call.info.flag("force") })
}

/// The first word of the user agent, as kube-apiserver names managers that do not name themselves.
fn default_manager(call: &Call) -> String {
    let agent = call.request.headers().get(http::header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or("unknown");
    agent.split('/').next().unwrap_or("unknown").chars().take(MANAGER_MAX).collect()
}

/// The selectors, page and version of a list or watch.
pub(crate) fn list_query(call: &Call, served: &Served) -> Result<ListQuery, ApiError> {
    let info = &call.info;
    let labels = info.param("labelSelector").unwrap_or_default();
    let labels = Selector::parse(labels).map_err(ApiError::bad_request)?;
    let mut fields = parse_fields(info.param("fieldSelector").unwrap_or_default()).map_err(ApiError::bad_request)?;
    if let Some(kind) = served.kind {
        fields.iter_mut().for_each(|f| f.field = rules::convert::stored_field(kind, &f.field).to_owned());
    }
    let mut limit = usize::try_from(number(info.param("limit"))?).unwrap_or(0);
    number(info.param("timeoutSeconds"))?;
    let version_match = version_match(info, gates(call).on("WatchList"))?;
    let page = info.param("continue").filter(|c| !c.is_empty()).map(Continue::decode).transpose()?;
    let revision = revision_of(info.param("resourceVersion").unwrap_or_default());
    let revision = revision.map_err(|e| match info.verb {
        // kube-apiserver's watches say it without a reason.
        "watch" => ApiError::new(500, "", e.message),
        _ => ApiError::bad_request(format!("invalid resource version: {}", e.message)),
    })?;
    if page.is_some() && revision.is_some_and(|r| r != Revision::ZERO) {
        return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
    }
    if revision == Some(Revision::ZERO) && page.is_none() && served.kind.is_none_or(|k| k.stored_as() != Kind::Event) {
        // "Any" is answered out of the watch cache, which has no pages; events are not in it.
        limit = 0;
    }
    let namespace = if served_namespaced(call) { info.namespace.clone() } else { String::new() };
    Ok(ListQuery { namespace, labels, fields, limit, page, revision, version_match, version: served.version.as_str().into() })
}

/// A number of the query, with Go's words for what is none.
fn number(text: Option<&str>) -> Result<i64, ApiError> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(0) };
    let why = |e: &std::num::ParseIntError| match e.kind() {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    text.parse().map_err(|e| ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: {}", why(&e))))
}

fn served_namespaced(call: &Call) -> bool {
    !(call.info.group.is_empty() && call.info.resource == "namespaces")
}

/// The option that says how a revision is meant.
const MATCH: &str = "resourceVersionMatch";
/// The option that asks a watch for the objects as they are.
const INITIAL: &str = "sendInitialEvents";

fn gates(call: &Call) -> &rules::Gates {
    &call.shared.registry.settings().gates
}

/// How the revision is meant, once everything fits together.
fn version_match(info: &RequestInfo, watch_list: bool) -> Result<VersionMatch, ApiError> {
    let asked = info.param(MATCH).unwrap_or_default();
    let continued = info.param("continue").is_some_and(|c| !c.is_empty());
    let mut wrong = FieldErrors::default();
    match info.verb {
        "watch" => check_watch_match(asked, info.param(INITIAL).map(|_| watch_list), continued, &mut wrong),
        _ => check_list_match(asked, info.param("resourceVersion").unwrap_or_default(), continued, &mut wrong),
    }
    if info.verb != "watch" && info.param(INITIAL).is_some() {
        wrong.forbidden(&Path::new(INITIAL), "sendInitialEvents is forbidden for list");
    }
    if !wrong.is_empty() {
        return Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", &wrong));
    }
    Ok(match asked {
        "Exact" => VersionMatch::Exact,
        "NotOlderThan" => VersionMatch::NotOlderThan,
        _ => VersionMatch::Unset,
    })
}

fn check_list_match(asked: &str, revision: &str, continued: bool, wrong: &mut FieldErrors) {
    let path = Path::new(MATCH);
    if asked.is_empty() {
        return;
    }
    if revision.is_empty() {
        wrong.forbidden(&path, "resourceVersionMatch is forbidden unless resourceVersion is provided");
    }
    if continued {
        wrong.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
    }
    if !matches!(asked, "Exact" | "NotOlderThan") {
        wrong.not_supported(&path, asked, &["Exact", "NotOlderThan", ""]);
    }
    if asked == "Exact" && revision == "0" {
        wrong.forbidden(&path, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    }
}

/// `initial`: where initial events are asked for, whether there are any.
fn check_watch_match(asked: &str, initial: Option<bool>, continued: bool, wrong: &mut FieldErrors) {
    let path = Path::new(MATCH);
    if initial.is_some() && asked != "NotOlderThan" {
        wrong.forbidden(&path, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
    if initial == Some(false) {
        wrong.forbidden(&Path::new(INITIAL), "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled");
    }
    if asked.is_empty() {
        return;
    }
    if initial.is_none() {
        wrong.forbidden(&path, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    }
    if asked != "NotOlderThan" {
        wrong.not_supported(&path, asked, &["NotOlderThan"]);
    }
    if continued {
        wrong.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
    }
}

/// A resource version of a query; empty is none.
pub(crate) fn revision_of(text: &str) -> Result<Option<Revision>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let bad = || ApiError::new(400, "BadRequest", format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"));
    Revision::parse(text).map(Some).ok_or_else(bad)
}

/// Entries in the version that is served, where a conversion webhook has to turn them.
async fn spoken(call: &Call, served: &Served, entries: Vec<Arc<Entry>>) -> Result<Vec<Arc<Entry>>, ApiError> {
    if !served.converts() {
        return Ok(entries);
    }
    call.shared.registry.spoken(&served.resource, &served.api_version(), entries).await
}

/// An entry as the answer to a request.
async fn shown(call: &Call, served: &Served, code: u16, entry: Arc<Entry>) -> Result<Reply, ApiError> {
    let entry = match served.converts() {
        true => spoken(call, served, vec![entry]).await?.pop().ok_or_else(|| ApiError::internal("no entry"))?,
        false => entry,
    };
    output::entry(call, served, code, &entry)
}

async fn list(call: Call, served: Served) -> Result<Reply, ApiError> {
    let query = list_query(&call, &served)?;
    if query.revision.is_none() && query.page.is_none() {
        call.shared.registry.catch_up().await?;
    }
    let listing = call.shared.registry.list_spoken(&served.resource, &query).await?;
    output::list(&call, &served, &listing)
}

async fn get(call: &Call, served: &Served, sub: &str) -> Result<Reply, ApiError> {
    let _ = sub;
    let least = revision_of(call.info.param("resourceVersion").unwrap_or_default());
    match least.map_err(|e| ApiError::new(500, "", e.message))? {
        None => call.shared.registry.catch_up().await?,
        Some(r) => call.shared.registry.at_least(r).await?,
    }
    let entry = call.shared.registry.get(&served.resource, &key(call))?;
    shown(call, served, 200, entry).await
}

async fn create(mut call: Call, served: Served) -> Result<Reply, ApiError> {
    if !call.info.name.is_empty() {
        return Err(ApiError::method_not_supported(&served.resource, "create"));
    }
    let options = options(&call)?;
    let target = target(&call, &served)?;
    let bytes = body::read(&mut call).await?;
    let json = body::to_json(call.request.headers(), bytes)?;
    let (object, mut warnings) = body::object(&call, &served, &json)?;
    let object = stored(object)?;
    tell(&call, &served, &object);
    check_new_event(&served, &object)?;
    let answer = call.shared.registry.create(&call.caller, &target, object, &options).await;
    let answer = answer.map_err(|e| e.warning(&warnings))?;
    warnings.extend(answer.warnings);
    let mut reply = shown(&call, &served, 201, answer.entry).await?;
    respond::warn(&mut reply, &warnings);
    Ok(reply)
}

/// Tells the audit log what the request's object is understood as, with its defaults and in the request's version.
fn tell(call: &Call, served: &Served, object: &Object) {
    let Some(trail) = call.trail.as_ref().filter(|t| t.wants_object()) else { return };
    let object = call.shared.registry.understood(&served.resource, object.clone());
    let json = codec::encode(&object).into();
    if let Ok(json) = output::spoken(served, &(&object, &json)) {
        trail.understood(&json);
    }
}

/// The same of an object that is answered and not stored.
pub(crate) fn tell_posted(call: &Call, object: &Object) {
    if let Some(trail) = call.trail.as_ref().filter(|t| t.wants_object()) {
        trail.understood(&codec::encode(object));
    }
}

/// `events.k8s.io` asks more of a new Event than the core group does.
fn check_new_event(served: &Served, object: &Object) -> Result<(), ApiError> {
    let (Some(Kind::EventsEvent), Object::Event(event)) = (served.kind, object) else { return Ok(()) };
    let mut errors = FieldErrors::default();
    rules::core::event::validate_new_style(event, &mut errors);
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid("", "Event", event.metadata.name.as_deref().unwrap_or_default(), &errors))
}

/// A spoken kind as it is stored.
fn stored(object: Object) -> Result<Object, ApiError> {
    match object.kind() {
        Some(k) if k.stored_as() != k => rules::convert::to_stored(object).map_err(ApiError::internal),
        _ => Ok(object),
    }
}

async fn update(mut call: Call, served: Served) -> Result<Reply, ApiError> {
    let options = options(&call)?;
    let target = target(&call, &served)?;
    let bytes = body::read(&mut call).await?;
    let json = body::to_json(call.request.headers(), bytes)?;
    let (object, mut warnings) = body::object(&call, &served, &json)?;
    let object = stored(object)?;
    tell(&call, &served, &object);
    let answer = call.shared.registry.update(&call.caller, &target, object, &options).await;
    let answer = answer.map_err(|e| e.warning(&warnings))?;
    warnings.extend(answer.warnings);
    let mut reply = shown(&call, &served, if answer.created { 201 } else { 200 }, answer.entry).await?;
    respond::warn(&mut reply, &warnings);
    Ok(reply)
}

fn patch_kind(call: &Call, served: &Served) -> Result<PatchKind, ApiError> {
    Ok(match body::media(call.request.headers()) {
        "application/json-patch+json" => PatchKind::Json,
        "application/merge-patch+json" => PatchKind::Merge,
        "application/strategic-merge-patch+json" if served.kind.is_some() => PatchKind::Strategic,
        "application/apply-patch+yaml" => PatchKind::Apply,
        _ if served.kind.is_none() => {
            let text = "the body of the request was in an unknown format - accepted media types include: \
                        application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
            return Err(ApiError::new(415, "UnsupportedMediaType", text));
        }
        _ => {
            return Err(ApiError::new(415, "UnsupportedMediaType", "415: Unsupported Media Type").with_details(Details::default()));
        }
    })
}

fn check_patch_options(call: &Call, kind: PatchKind) -> Result<(), ApiError> {
    if kind == PatchKind::Apply && call.info.param("fieldManager").is_none_or(str::is_empty) {
        let wrong = |e: &mut FieldErrors| e.required(&Path::new("fieldManager"), "is required for apply patch");
        return Err(ApiError::invalid_options("PatchOptions", wrong));
    }
    if kind != PatchKind::Apply && call.info.param("force").is_some() {
        let wrong = |e: &mut FieldErrors| e.forbidden(&Path::new("force"), "may not be specified for non-apply patch");
        return Err(ApiError::invalid_options("PatchOptions", wrong));
    }
    Ok(())
}

async fn patch(mut call: Call, served: Served) -> Result<Reply, ApiError> {
    let options = options(&call)?;
    let target = target(&call, &served)?;
    let kind = patch_kind(&call, &served)?;
    check_patch_options(&call, kind)?;
    let spoken = served.kind.map_or_else(|| served.resource.clone(), Resource::Builtin);
    let asked = Asked { spoken, validation: body::validation(&call)? };
    let bytes = body::read(&mut call).await?;
    let twice = if kind == PatchKind::Apply { duplicates(&bytes, asked.validation)? } else { None };
    let patch = Patch { kind, body: patch_body(kind, &bytes)? };
    let answer: Answer =
        call.shared.registry.patch_checked(&call.caller, &target, &patch, &options, &asked).await?;
    let mut reply = shown(&call, &served, if answer.created { 201 } else { 200 }, answer.entry).await?;
    respond::warn(&mut reply, &answer.warnings);
    respond::warn(&mut reply, twice.as_slice());
    Ok(reply)
}

/// What a strict reader says of keys that stand twice in an applied configuration.
fn duplicates(bytes: &[u8], validation: FieldValidation) -> Result<Option<String>, ApiError> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let found = codec::yaml::parse(text).ok().and_then(|d| d.strict_error());
    match (found, validation) {
        (None, _) | (_, FieldValidation::Ignore) => Ok(None),
        (Some(why), FieldValidation::Warn) => Ok(Some(format!("error converting YAML to JSON: {why}"))),
        (Some(why), FieldValidation::Strict) => {
            Err(ApiError::bad_request(format!("error strict decoding YAML: error converting YAML to JSON: {why}")))
        }
    }
}

fn patch_body(kind: PatchKind, bytes: &[u8]) -> Result<Vec<u8>, ApiError> {
    if kind == PatchKind::Json || bytes.first() == Some(&b'{') {
        return Ok(bytes.to_vec());
    }
    let text = std::str::from_utf8(bytes).map_err(|e| ApiError::bad_request(e.to_string()))?;
    let tree = codec::yaml::parse(text).map_err(|e| ApiError::bad_request(format!("error decoding YAML: error converting YAML to JSON: {e}")))?.value;
    serde_json::to_vec(&tree).map_err(ApiError::internal)
}

/// Delete options from the body; where there is none, from the query.
async fn delete_options(call: &mut Call) -> Result<DeleteOptions, ApiError> {
    let bytes = body::read(call).await?;
    let options = if bytes.is_empty() {
        queried_delete_options(call)?
    } else {
        let json = body::to_json(call.request.headers(), bytes)?;
        body::check_delete_options(&json)?;
        codec::decode_delete_options(&json).map_err(|e| ApiError::bad_request(e.to_string()))?
    };
    let dry_run = options.dry_run.as_deref().unwrap_or_default();
    if dry_run.iter().any(|how| how != "All") {
        let shown = kinds::field::Bare(serde_json::json!(dry_run).to_string());
        return Err(ApiError::invalid_options("DeleteOptions", |e| e.not_supported(&Path::new("dryRun"), shown, &["All"])));
    }
    Ok(options)
}

fn queried_delete_options(call: &Call) -> Result<DeleteOptions, ApiError> {
    let mut options = DeleteOptions::default();
    if let Some(s) = call.info.param("gracePeriodSeconds") {
        let bad = || ApiError::bad_request("gracePeriodSeconds: invalid syntax");
        options.grace_period_seconds = Some(s.parse().map_err(|_| bad())?);
    }
    if let Some(p) = call.info.param("propagationPolicy") {
        options.propagation_policy = Some(p.to_owned());
    }
    if let Some(o) = call.info.param("orphanDependents") {
        options.orphan_dependents = Some(o == "true" || o == "1");
    }
    if let Some(how) = call.info.param("dryRun") {
        options.dry_run = Some(vec![how.to_owned()]);
    }
    Ok(options)
}

/// Kinds whose deletion is answered with the object, not with a Status.
const SHOWN_WHEN_GONE: &[Kind] = &[
    Kind::Pod,
    Kind::Service,
    Kind::ServiceAccount,
    Kind::Namespace,
    Kind::PersistentVolume,
    Kind::PersistentVolumeClaim,
    Kind::ResourceQuota,
    Kind::PodTemplate,
    Kind::ResourceClaim,
    Kind::ResourceClaimTemplate,
    Kind::ResourceSlice,
    Kind::DeviceClass,
    Kind::CSIDriver,
    Kind::CSINode,
    Kind::StorageClass,
    Kind::VolumeAttachment,
    Kind::VolumeAttributesClass,
];

/// What a client hears that deletes a Job without a word on its pods.
const JOB_ORPHANS: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them \
                           or set propagationPolicy=Orphan to suppress this warning";

/// Kinds that leave their dependents alone unless they are told otherwise.
const ORPHANING: &[Kind] = &[Kind::Job, Kind::ReplicationController];

async fn delete(mut call: Call, served: Served) -> Result<Reply, ApiError> {
    let mut options = delete_options(&mut call).await?;
    let unsaid = options.orphan_dependents.is_none() && options.propagation_policy.is_none();
    let target = target(&call, &served)?;
    if unsaid && served.kind.is_some_and(|k| ORPHANING.contains(&k)) && !propagates(&call, &target) {
        options.propagation_policy = Some("Orphan".to_owned());
    }
    let mut reply = deleted(&call, &served, &target, &options).await?;
    if unsaid && served.kind == Some(Kind::Job) {
        respond::warn(&mut reply, &[JOB_ORPHANS.to_owned()]);
    }
    Ok(reply)
}

/// Whether an earlier deletion said already what becomes of the dependents.
fn propagates(call: &Call, target: &Target) -> bool {
    let snapshot = call.shared.registry.snapshot();
    let finalizers = snapshot.entry(&target.resource, &target.key).and_then(|e| e.meta().finalizers.clone());
    finalizers.unwrap_or_default().iter().any(|f| f == registry::delete::FOREGROUND || f == registry::delete::ORPHAN)
}

async fn deleted(call: &Call, served: &Served, target: &Target, options: &DeleteOptions) -> Result<Reply, ApiError> {
    match call.shared.registry.delete(&call.caller, target, options).await? {
        registry::delete::Deleted::Lingers(entry) => shown(call, served, 200, entry).await,
        registry::delete::Deleted::Gone(entry) if served.resource.builtin().is_some_and(|k| SHOWN_WHEN_GONE.contains(&k)) => {
            output::entry(call, served, 200, &entry)
        }
        registry::delete::Deleted::Gone(entry) => Ok(respond::tree(200, &gone(served, &entry), call.accept)),
    }
}

fn gone(served: &Served, entry: &cache::Entry) -> serde_json::Value {
    let mut details = serde_json::json!({ "name": entry.key.name, "kind": served.resource.plural(), "uid": entry.uid() });
    if !served.group.is_empty() {
        details["group"] = served.group.as_str().into();
    }
    serde_json::json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details })
}

async fn delete_collection(mut call: Call, served: Served) -> Result<Reply, ApiError> {
    let query = list_query(&call, &served)?;
    let options = delete_options(&mut call).await?;
    let listing = call.shared.registry.delete_collection(&call.caller, &served.resource, &query, &options).await?;
    output::list(&call, &served, &listing)
}

/// Evictions are taken in this version too, though it is not served.
const OLD_EVICTION: &str = "policy/v1beta1";

async fn create_below(mut call: Call, served: Served) -> Result<Reply, ApiError> {
    let options = options(&call)?;
    let bytes = body::read(&mut call).await?;
    let mut json = body::to_json(call.request.headers(), bytes)?;
    let kind = match call.info.subresource.as_str() {
        "binding" => Kind::Binding,
        "eviction" => Kind::Eviction,
        _ => Kind::TokenRequest,
    };
    let i = kind.info();
    let spoken = Served { kind: Some(kind), group: i.group.into(), version: i.version.into(), ..served.clone() };
    if kind == Kind::Eviction {
        json = body::renamed(json, OLD_EVICTION, "policy/v1");
    }
    let (mut object, _) = body::object(&call, &spoken, &json)?;
    tell_posted(&call, &object);
    let key = key(&call);
    let registry = &call.shared.registry;
    match &object {
        Object::Binding(b) if b.metadata.name.as_deref().unwrap_or_default() != key.name => {
            Err(ApiError::bad_request("name in URL does not match name in Binding object"))
        }
        Object::Binding(b) => {
            check_binding(b)?;
            registry.bind(&call.caller, &key, b, &options).await?;
            Ok(success(&call, 201))
        }
        Object::Eviction(e) if e.metadata.name.as_deref().is_some_and(|n| !n.is_empty() && n != key.name) => {
            Err(ApiError::bad_request("name in URL does not match name in Eviction object"))
        }
        Object::Eviction(e) => {
            registry.evict(&call.caller, &key, e, options.dry_run).await?;
            Ok(success(&call, 201))
        }
        Object::TokenRequest(_) => {
            let target = Target::new(served.resource.clone(), key.clone()).sub("token");
            registry.own_posted(&call.caller, &options, "token", &mut object);
            let shown = registry.admit_posted(&call.caller, &target, object, &options).await?;
            let Object::TokenRequest(t) = &shown else { return Err(ApiError::no_such_path()) };
            crate::reviews::token(&call, &key, t)
        }
        _ => Err(ApiError::no_such_path()),
    }
}

/// What a binding must name. kube-apiserver answers 500 without a reason here.
pub(crate) fn check_binding(binding: &kinds::api::core::v1::Binding) -> Result<(), ApiError> {
    let mut errors = FieldErrors::default();
    let kind = binding.target.kind.as_deref().unwrap_or_default();
    if !["", "Node"].contains(&kind) {
        errors.not_supported(&Path::new("target.kind"), kind, &["Node", "<empty>"]);
    }
    if binding.target.name.as_deref().unwrap_or_default().is_empty() {
        errors.required(&Path::new("target.name"), "");
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::new(500, "", errors.aggregate())) }
}

fn success(call: &Call, code: u16) -> Reply {
    let status = serde_json::json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code });
    respond::tree(code, &status, call.accept)
}

fn get_scale(call: &Call, served: &Served) -> Result<Reply, ApiError> {
    let entry = call.shared.registry.get(&served.resource, &key(call))?;
    output::object(call, 200, &scaling::shown(call.shared.registry.scale_of(&served.resource, entry.object())?))
}

async fn put_scale(mut call: Call, served: Served) -> Result<Reply, ApiError> {
    let options = options(&call)?;
    let key = key(&call);
    let bytes = body::read(&mut call).await?;
    let json = body::to_json(call.request.headers(), bytes)?;
    let i = Kind::Scale.info();
    let spoken = Served { kind: Some(Kind::Scale), group: i.group.into(), version: i.version.into(), definition: None, ..served.clone() };
    let (object, warnings) = body::object(&call, &spoken, &json)?;
    tell_posted(&call, &object);
    let Object::Scale(wanted) = object else { return Err(ApiError::no_such_path()) };
    let mut answer = call.shared.registry.set_scale(&call.caller, &served.resource, &key, &wanted, &options).await?;
    answer.warnings.extend(warnings);
    scaled(&call, &served, &answer)
}

async fn patch_scale(mut call: Call, served: Served) -> Result<Reply, ApiError> {
    let options = options(&call)?;
    let kind = patch_kind(&call, &served)?;
    check_patch_options(&call, kind)?;
    let validation = body::validation(&call)?;
    let bytes = body::read(&mut call).await?;
    let patch = Patch { kind, body: patch_body(kind, &bytes)? };
    let whose = (&served.resource, &key(&call));
    let answer = call.shared.registry.patch_scale(&call.caller, whose, &patch, &options, validation).await?;
    scaled(&call, &served, &answer)
}

fn scaled(call: &Call, served: &Served, answer: &Answer) -> Result<Reply, ApiError> {
    let scale = call.shared.registry.scale_of(&served.resource, answer.entry.object())?;
    let mut reply = output::object(call, 200, &scaling::shown(scale))?;
    respond::warn(&mut reply, &answer.warnings);
    Ok(reply)
}
