//! Admission webhooks: those that change are called one after the other, those that refuse all at once; failures count by
//! their policy; a second round for those that ask for it. Docs: "Dynamic Admission Control".

use super::caller::{CallError, Caller};
use super::images::ImagePolicy;
use super::matching::{self, Compiled, Hook};
use super::metrics::{ErrorType, HookMetrics};
use super::place::{PORT, Place};
use super::review::{self, Verdict};
use base::Ids;
use cache::Snapshot;
use futures_util::future::join_all;
use kinds::api::admissionregistration::v1::WebhookClientConfig;
use kinds::api::core::v1::Pod;
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{ApiError, Fut, Kind, Object, Resource};
use parking_lot::RwLock;
use rules::policies::{Asked, Authority, Gvk, Invocation, operation};
use rules::policies::conditions::Input;
use registry::admit::{Ask, Hooks, Phase, Round};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// What the audit log knows a webhook's change, patch and failure by.
const MUTATION: &str = "mutation.webhook.admission.k8s.io";
const PATCH: &str = "patch.webhook.admission.k8s.io";
const FAILED_OPEN_MUTATING: &str = "failed-open.mutation.webhook.admission.k8s.io";
const FAILED_OPEN_VALIDATING: &str = "failed-open.validating.webhook.admission.k8s.io";

/// The webhooks of the cluster.
pub struct Webhooks {
    pub(super) caller: Arc<Caller>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) metrics: Arc<HookMetrics>,
    mutating: RwLock<Option<Arc<Compiled>>>,
    validating: RwLock<Option<Arc<Compiled>>>,
    images: Option<ImagePolicy>,
}

/// Why a webhook did not let a request pass.
enum Failure {
    /// It could not be asked: its failure policy decides.
    Calling { why: String, code: u16 },
    /// It said no.
    Denied(ApiError),
    /// Its answer could not be carried out.
    Internal(ApiError),
}

/// What one call came to.
struct Called {
    object: Option<Object>,
    /// The options of a CONNECT, if the webhook changed them.
    options: Option<Value>,
    changed: bool,
}

fn kind_of(phase: Phase) -> Kind {
    match phase {
        Phase::Mutate => Kind::MutatingWebhookConfiguration,
        Phase::Validate => Kind::ValidatingWebhookConfiguration,
    }
}

/// The type as metrics name it.
fn label(phase: Phase) -> &'static str {
    match phase {
        Phase::Mutate => "admit",
        Phase::Validate => "validating",
    }
}

impl Webhooks {
    /// Webhooks that are called through `caller`.
    #[must_use]
    pub fn new(caller: Arc<Caller>, ids: Arc<dyn Ids>, metrics: Arc<HookMetrics>) -> Self {
        Self { caller, ids, metrics, mutating: RwLock::default(), validating: RwLock::default(), images: None }
    }

    /// With a service that judges images.
    #[must_use]
    pub fn with_images(self, images: Option<ImagePolicy>) -> Self {
        Self { images, ..self }
    }

    /// The webhooks of a phase, taken apart once for each state of their table; none: there is no configuration.
    fn compiled(&self, phase: Phase, snapshot: &Snapshot) -> Option<Arc<Compiled>> {
        let table = snapshot.table(&kind_of(phase).into()).filter(|t| !t.is_empty())?;
        let place = if phase == Phase::Mutate { &self.mutating } else { &self.validating };
        if let Some(have) = place.read().as_ref().filter(|c| c.is_of(table)) {
            return Some(Arc::clone(have));
        }
        let made = Arc::new(Compiled::of(table));
        *place.write() = Some(Arc::clone(&made));
        Some(made)
    }

    /// Whether and as what a webhook is called, its expressions included: they see what the webhook would be shown.
    async fn invocation(&self, hook: &Hook, ask: &Ask<'_>, asked: &Asked<'_>) -> Result<Option<Invocation>, ApiError> {
        let Some(found) = hook.matches(asked)? else { return Ok(None) };
        if hook.conditions.is_empty() {
            return Ok(Some(found));
        }
        let object = self.spoken(ask, &found.kind, asked.object).await?;
        let old = self.spoken(ask, &found.kind, asked.old).await?;
        let holds = holds(hook, ask, (&asked.named, &found), (object.as_deref(), old.as_deref()))?;
        Ok(holds.then_some(found))
    }

    /// Asks one webhook.
    async fn ask(
        &self,
        phase: Phase,
        hook: &Hook,
        ask: &Ask<'_>,
        (asked, shown): (&Invocation, &Invocation),
        (object, old): (Option<&[u8]>, Option<&[u8]>),
    ) -> Result<Verdict, Failure> {
        let calling = |why: String, code: u16| Failure::Calling { why, code };
        if ask.request.dry_run && !hook.dry_runs {
            let text = format!("admission webhook {:?} does not support dry run", hook.name);
            return Err(Failure::Internal(ApiError::bad_request(text)));
        }
        let version = review::version(&hook.versions).map_err(|e| calling(format!("could not create admission objects: {e}"), 400))?;
        let uid = self.ids.uid();
        let request = review::request(ask, (&uid, asked, shown));
        let body = review::body(version, &request, object, old);
        let place = place_of(ask.ctx.snapshot, &hook.client, hook.timeout.as_secs());
        let place = place.map_err(|e| calling(format!("could not get REST client: {e}"), 500))?;
        let answer = self.caller.post(&place, body, hook.timeout).await;
        let answer = answer.map_err(|e| calling(format!("failed to call webhook: {e}"), code_of(&e)))?;
        let verdict = review::verdict(phase, version, &uid, &answer);
        let verdict = verdict.map_err(|e| calling(format!("received invalid webhook response: {e}"), 503))?;
        if let Some(notes) = &ask.caller.notes {
            for (k, v) in &verdict.annotations {
                notes.annotate(format!("{}/{k}", hook.name), v.as_str());
            }
            verdict.warnings.iter().for_each(|w| notes.warn(w.as_str()));
        }
        if verdict.allowed { Ok(verdict) } else { Err(Failure::Denied(review::denial(&hook.name, &verdict.status))) }
    }

    /// Counts a finished call; what comes back is the refusal, if it is one.
    fn settle(&self, phase: Phase, hook: &Hook, ask: &Ask<'_>, failure: Option<Failure>, begun: Instant) -> Option<Refusal> {
        let (kind, operation) = (label(phase), operation(ask.request.operation));
        let count = |rejected: bool, code: u16| {
            self.metrics.called(kind, &hook.name, operation, (rejected, code), begun.elapsed());
        };
        match failure {
            None => {
                count(false, 200);
                None
            }
            Some(Failure::Calling { why, code }) => {
                let text = format!("failed calling webhook {:?}: {why}", hook.name);
                count(!hook.ignore_failures, code);
                if hook.ignore_failures {
                    self.metrics.failed_open(kind, &hook.name);
                    tracing::warn!(webhook = hook.name, err = text, "Failed calling a webhook; its policy lets the request pass");
                    return Some(Refusal::Open);
                }
                self.metrics.rejected(kind, &hook.name, operation, ErrorType::Calling, code);
                Some(Refusal::Closed(ApiError::internal(text)))
            }
            Some(Failure::Denied(e)) => {
                count(true, e.code);
                self.metrics.rejected(kind, &hook.name, operation, ErrorType::None, e.code);
                Some(Refusal::Closed(e))
            }
            Some(Failure::Internal(e)) => {
                count(true, e.code);
                self.metrics.rejected(kind, &hook.name, operation, ErrorType::ApiServer, 0);
                Some(Refusal::Closed(e))
            }
        }
    }

    async fn change(
        &self,
        hook: &Hook,
        ask: &Ask<'_>,
        (asked, shown): (&Invocation, &Invocation),
        (object, old): (Option<&Object>, Option<&Object>),
        (options, mark): (Option<&Value>, &str),
    ) -> Result<Called, Failure> {
        let spoken = self.spoken(ask, &shown.kind, object).await.map_err(Failure::Internal)?;
        let spoken_old = self.spoken(ask, &shown.kind, old).await.map_err(Failure::Internal)?;
        let object_json = object_json(options, spoken.as_deref());
        let old_json = spoken_old.map(|o| codec::encode(&o));
        let jsons = (object_json.as_deref(), old_json.as_deref());
        let verdict = self.ask(Phase::Mutate, hook, ask, (asked, shown), jsons).await?;
        let unchanged = || Called { object: object.cloned(), options: None, changed: false };
        let patched = match &spoken {
            _ if is_empty_patch(&verdict.patch)? => None,
            None if options.is_some() => {
                let before = options.cloned().unwrap_or_default();
                let after = patched_tree(hook, before.clone(), &verdict)?;
                let changed = before != after;
                note_mutation(ask, hook, mark, changed, &verdict);
                return Ok(Called { options: changed.then_some(after), changed, ..unchanged() });
            }
            Some(o) => Some((o.as_ref(), patched(hook, o, &shown.kind, &ask.request.resource, &verdict)?)),
            None => {
                let text = format!("admission webhook {:?} attempted to modify the object, which is not supported for this operation", hook.name);
                return Err(Failure::Internal(ApiError::internal(text)));
            }
        };
        let changed = patched.as_ref().is_some_and(|(before, after)| *before != after);
        note_mutation(ask, hook, mark, changed, &verdict);
        let Some((_, mut after)) = patched else { return Ok(unchanged()) };
        if spoken.as_deref() != object {
            after = self.stored(ask, after, object).await.map_err(Failure::Internal)?;
        }
        (ask.settle)(&mut after);
        Ok(Called { object: Some(after), options: None, changed })
    }

    /// An object as the kind that a webhook's rule matched.
    async fn spoken<'o>(&self, ask: &Ask<'_>, kind: &Gvk, object: Option<&'o Object>) -> Result<Option<Cow<'o, Object>>, ApiError> {
        let Some(object) = object else { return Ok(None) };
        match object {
            Object::Dynamic(_) => {
                let wanted = format!("{}/{}", kind.group, kind.version);
                if object.api_version() == wanted || ask.request.subresource == "scale" {
                    return Ok(Some(Cow::Borrowed(object)));
                }
                self.as_version(ask.ctx.snapshot, object, &wanted).await.map(|o| Some(Cow::Owned(o)))
            }
            _ => match Kind::from_gvk(&kind.group, &kind.version, &kind.kind) {
                Some(k) if Some(k) != object.kind() && k.stored_as() == object.resource().builtin().unwrap_or(k) => {
                    rules::convert::to_served(k, object.clone()).map(|o| Some(Cow::Owned(o))).map_err(ApiError::internal)
                }
                _ => Ok(Some(Cow::Borrowed(object))),
            },
        }
    }

    /// The way back, to the version that `like` is in.
    async fn stored(&self, ask: &Ask<'_>, object: Object, like: Option<&Object>) -> Result<Object, ApiError> {
        match &object {
            Object::Dynamic(_) => {
                let wanted = like.map(Object::api_version).unwrap_or_default();
                self.as_version(ask.ctx.snapshot, &object, &wanted).await
            }
            _ => rules::convert::to_stored(object).map_err(ApiError::internal),
        }
    }

    /// A custom resource in another of its versions.
    async fn as_version(&self, snapshot: &Snapshot, object: &Object, wanted: &str) -> Result<Object, ApiError> {
        let mut turned = object.clone();
        let Object::Dynamic(d) = &mut turned else { return Ok(turned) };
        let name = format!("{}.{}", d.resource.plural(), d.resource.group());
        let crd = snapshot.get::<CustomResourceDefinition>("", &name);
        if let Some(crd) = crd.filter(|c| c.spec.conversion.as_ref().is_some_and(|c| c.strategy == "Webhook")) {
            let mut all = self.convert_objects(snapshot, crd, vec![turned], wanted).await?;
            return all.pop().ok_or_else(|| ApiError::internal("a conversion without a result"));
        }
        Arc::make_mut(d).api_version = wanted.to_owned();
        Ok(turned)
    }

    async fn refuse(
        &self,
        hook: &Hook,
        ask: &Ask<'_>,
        (asked, shown): (&Invocation, &Invocation),
        (object, old): (Option<&Object>, Option<&Object>),
    ) -> Result<(), Failure> {
        let spoken = self.spoken(ask, &shown.kind, object).await.map_err(Failure::Internal)?;
        let spoken_old = self.spoken(ask, &shown.kind, old).await.map_err(Failure::Internal)?;
        let object_json = object_json(ask.connect.map(|c| c.options), spoken.as_deref());
        let old_json = spoken_old.map(|o| codec::encode(&o));
        let jsons = (object_json.as_deref(), old_json.as_deref());
        self.ask(Phase::Validate, hook, ask, (asked, shown), jsons).await.map(|_| ())
    }
}

/// What a failure means for the request.
enum Refusal {
    /// Nothing: the policy is to go on.
    Open,
    Closed(ApiError),
}

fn code_of(e: &CallError) -> u16 {
    e.code()
}

/// Where a webhook is called, with its deadline told in the query.
fn place_of(
    snapshot: &Snapshot,
    client: &WebhookClientConfig,
    timeout_s: u64,
) -> Result<Place, String> {
    let bundle = client.ca_bundle.as_ref().map_or(&[][..], |b| &b.0);
    let mut place = match (&client.service, &client.url) {
        (Some(s), _) => {
            let at = (s.namespace.as_str(), s.name.as_str(), s.port.unwrap_or(PORT));
            Place::of_service(snapshot, at, s.path.as_deref().unwrap_or_default(), bundle)?
        }
        (None, Some(url)) => Place::of_url(url, bundle)?,
        (None, None) => return Err("webhook configuration must have either service or URL".to_owned()),
    };
    place.ask("timeout", &format!("{timeout_s}s"));
    Ok(place)
}

fn object_json(options: Option<&Value>, object: Option<&Object>) -> Option<Vec<u8>> {
    match (object, options) {
        (Some(o), _) => Some(codec::encode(o)),
        (None, Some(options)) => serde_json::to_vec(options).ok(),
        (None, None) => None,
    }
}

fn is_empty_patch(patch: &[u8]) -> Result<bool, Failure> {
    if patch.is_empty() {
        return Ok(true);
    }
    let list: Vec<Value> = serde_json::from_slice(patch).map_err(|e| Failure::Internal(ApiError::internal(e)))?;
    Ok(list.is_empty())
}

/// A tree with a webhook's patch.
fn patched_tree(hook: &Hook, mut tree: Value, verdict: &Verdict) -> Result<Value, Failure> {
    if verdict.patch_type != "JSONPatch" {
        let why = format!("unsupported patch type {:?}", verdict.patch_type);
        tracing::debug!(webhook = hook.name, "A webhook answered with a patch of an unknown type");
        return Err(Failure::Calling { why, code: 500 });
    }
    patch::json::apply(&mut tree, &verdict.patch).map_err(|e| Failure::Internal(ApiError::internal(e)))?;
    Ok(tree)
}

fn patched(hook: &Hook, object: &Object, kind: &Gvk, resource: &Resource, verdict: &Verdict) -> Result<Object, Failure> {
    let tree = patched_tree(hook, codec::to_value(object), verdict)?;
    let internal = |e: codec::DecodeError| Failure::Internal(ApiError::internal(e));
    match Kind::from_gvk(&kind.group, &kind.version, &kind.kind).filter(|_| object.kind().is_some()) {
        Some(k) => {
            let json = serde_json::to_vec(&tree).map_err(|e| Failure::Internal(ApiError::internal(e)))?;
            codec::decode(k, &json).map_err(internal)
        }
        None => codec::from_value(resource, tree).map_err(internal),
    }
}

/// Whether a webhook's match conditions hold for a request.
fn holds(
    hook: &Hook,
    ask: &Ask<'_>,
    (asked, found): (&Invocation, &Invocation),
    (object, old): (Option<&Object>, Option<&Object>),
) -> Result<bool, ApiError> {
    let json = |o: Option<&Object>| o.map_or(Value::Null, codec::to_value);
    let request = Value::Object(review::request(ask, ("", asked, found)));
    let object = ask.connect.map_or_else(|| json(object), |c| c.options.clone());
    let authorizer = Authority { snapshot: ask.ctx.snapshot, user: ask.ctx.user };
    let input = Input { object: &object, old: &json(old), request: &request, authorizer: &authorizer };
    match hook.conditions.evaluate(&input) {
        Ok(holds) => Ok(holds),
        Err(_) if hook.ignore_failures => Ok(false),
        Err(why) => Err(ApiError::forbidden(&ask.request.resource, &ask.request.name, why)),
    }
}

fn note_mutation(ask: &Ask<'_>, hook: &Hook, mark: &str, changed: bool, verdict: &Verdict) {
    let Some(notes) = &ask.caller.notes else { return };
    let told = json!({ "configuration": hook.configuration, "webhook": hook.name, "mutated": changed });
    notes.annotate(format!("{MUTATION}/{mark}"), told.to_string());
    if changed {
        let patch: Value = serde_json::from_slice(&verdict.patch).unwrap_or_default();
        let told = json!({ "configuration": hook.configuration, "webhook": hook.name, "patch": patch, "patchType": verdict.patch_type });
        notes.annotate(format!("{PATCH}/{mark}"), told.to_string());
    }
}

impl Hooks for Webhooks {
    fn images<'a>(&'a self, ask: &'a Ask<'a>, pod: &'a Pod) -> Fut<'a, ()> {
        Box::pin(async move {
            match &self.images {
                Some(policy) => policy.judge(ask, pod).await,
                None => Ok(()),
            }
        })
    }

    fn concern(&self, phase: Phase, ask: &Ask<'_>) -> bool {
        let Some(all) = self.compiled(phase, ask.ctx.snapshot) else { return false };
        if matching::is_exempt(&ask.request.resource) {
            return false;
        }
        let asked = ask.about(None, None);
        all.hooks.iter().any(|h| h.may_match(&asked))
    }

    fn mutate<'a>(
        &'a self,
        ask: &'a Ask<'a>,
        mut object: Option<Object>,
        old: Option<&'a Object>,
        round: &'a mut Round,
    ) -> Fut<'a, Option<Object>> {
        Box::pin(async move {
            let Some(all) = self.compiled(Phase::Mutate, ask.ctx.snapshot) else { return Ok(object) };
            let mut options = round.options.clone().or_else(|| ask.connect.map(|c| c.options.clone()));
            if round.second && round.left != object {
                // In-tree plugins changed it again: everyone who asked for it looks once more.
                round.due.append(&mut round.called.clone());
            }
            for (i, hook) in all.hooks.iter().enumerate() {
                if round.second && !round.due.contains(&hook.uid) {
                    continue;
                }
                let question = ask.about(object.as_ref(), old);
                let Some(shown) = self.invocation(hook, ask, &question).await? else { continue };
                let asked = question.named;
                let (begun, mark) = (Instant::now(), format!("round_{}_index_{i}", u8::from(round.second)));
                let outcome = self.change(hook, ask, (&asked, &shown), (object.as_ref(), old), (options.as_ref(), &mark)).await;
                let (changed, failure) = match outcome {
                    Ok(called) => {
                        object = called.object;
                        if called.options.is_some() {
                            options.clone_from(&called.options);
                            round.options = called.options;
                        }
                        (called.changed, None)
                    }
                    Err(f) => (false, Some(f)),
                };
                if changed {
                    round.due.append(&mut round.called.clone());
                    round.changed = true;
                }
                if hook.again {
                    round.called.insert(hook.uid.clone());
                }
                match self.settle(Phase::Mutate, hook, ask, failure, begun) {
                    Some(Refusal::Closed(e)) => return Err(e),
                    Some(Refusal::Open) => failed_open(ask, FAILED_OPEN_MUTATING, &mark, hook),
                    None => {}
                }
            }
            round.left.clone_from(&object);
            Ok(object)
        })
    }

    fn validate<'a>(&'a self, ask: &'a Ask<'a>, object: Option<&'a Object>, old: Option<&'a Object>) -> Fut<'a, ()> {
        Box::pin(async move {
            let Some(all) = self.compiled(Phase::Validate, ask.ctx.snapshot) else { return Ok(()) };
            let question = ask.about(object, old);
            let mut relevant = Vec::new();
            for hook in &all.hooks {
                if let Some(shown) = self.invocation(hook, ask, &question).await? {
                    relevant.push((hook, shown));
                }
            }
            let asked = &question.named;
            let calls = relevant.iter().enumerate().map(|(i, (hook, shown))| async move {
                let begun = Instant::now();
                let failure = self.refuse(hook, ask, (asked, shown), (object, old)).await.err();
                match self.settle(Phase::Validate, hook, ask, failure, begun) {
                    Some(Refusal::Closed(e)) => Err(e),
                    Some(Refusal::Open) => {
                        failed_open(ask, FAILED_OPEN_VALIDATING, &format!("round_0_index_{i}"), hook);
                        Ok(())
                    }
                    None => Ok(()),
                }
            });
            join_all(calls).await.into_iter().collect()
        })
    }

    fn convert<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        crd: &'a CustomResourceDefinition,
        objects: Vec<Object>,
        to: &'a str,
    ) -> Fut<'a, Vec<Object>> {
        Box::pin(self.convert_objects(snapshot, crd, objects, to))
    }
}

fn failed_open(ask: &Ask<'_>, prefix: &str, mark: &str, hook: &Hook) {
    if let Some(notes) = &ask.caller.notes {
        notes.annotate(format!("{prefix}/{mark}"), hook.name.as_str());
    }
}
