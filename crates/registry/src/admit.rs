//! Admission of a write, in one order for every verb. Docs: "Dynamic Admission Control", "Admission Control in Kubernetes".
//!
//! ```text
//!  mutate:    in-tree plugins -> policies -> webhooks -> (default, prune) -> once more when a webhook changed something
//!  (prepare, allocate, validate by the rules)
//!  validate:  in-tree plugins -> policies -> webhooks -> quota
//! ```
//! Webhooks are a port ([`Hooks`]) that the registry is given. A write that no configuration concerns pays for one look at
//! a table of the snapshot: no future is boxed, nothing is encoded.

mod invocation;
mod notes;
mod policies;
mod port;
#[cfg(test)]
mod tests;

pub use invocation::options;
pub use notes::Notes;
pub use port::{Ask, Connect, Given, Hooks, Phase, Round, Speaks};

use crate::fieldowners::whole;
use crate::registry::{Caller, Registry};
use kinds::{ApiError, ManagedFieldsEntry, Object, ObjectKey, Target, WriteOptions};
use rules::admission;
use rules::admission::quota::Charge;
use rules::{Ctx, Operation, Request};
use serde_json::Value;

/// One write on its way through admission.
pub(crate) struct Admission<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) caller: &'a Caller,
    pub(crate) ctx: &'a Ctx<'a>,
    pub(crate) request: Request,
    pub(crate) given: Given<'a>,
    /// What an object goes through after a webhook has changed it: defaults, pruning.
    pub(crate) settle: &'a (dyn Fn(&mut Object) + Sync),
    /// What a CONNECT shows in place of an object.
    pub(crate) connect: Option<Connect<'a>>,
}

impl Admission<'_> {
    fn ask(&self) -> Ask<'_> {
        Ask {
            ctx: self.ctx,
            request: &self.request,
            caller: self.caller,
            given: self.given,
            settle: self.settle,
            connect: self.connect,
        }
    }

    /// The webhooks, when a configuration of that phase may concern this write.
    fn hooks(&self, phase: Phase, ask: &Ask<'_>) -> Option<&dyn Hooks> {
        let plugin = match phase {
            Phase::Mutate => "MutatingAdmissionWebhook",
            Phase::Validate => "ValidatingAdmissionWebhook",
        };
        self.registry.hooks().filter(|h| self.ctx.config.plugins.keeps(plugin) && h.concern(phase, ask))
    }

    /// A stored object with the managed fields that the image leaves out: webhooks see objects as clients do.
    fn whole(&self, old: Option<&Object>) -> Option<Object> {
        let key = ObjectKey::new(self.request.namespace.clone(), self.request.name.clone());
        let entry = self.ctx.snapshot.entry(&self.request.resource, &key)?;
        let same = |o: &&Object| o.kind() == entry.object().kind() && o.meta().resource_version == entry.meta().resource_version;
        old.filter(same).map(|o| whole(o, &entry.json))
    }

    /// Lets everything change the object that may. `old` is the stored object of an update.
    pub(crate) async fn mutate(&self, mut object: Object, old: Option<&Object>) -> Result<Object, ApiError> {
        admission::mutate(self.ctx, &self.request, &mut object, old)?;
        object = self.policies_mutate(object, old, false).await?;
        let ask = self.ask();
        let Some(hooks) = self.hooks(Phase::Mutate, &ask) else { return Ok(object) };
        let owners = object.meta().managed_fields.clone();
        let whole = self.whole(old);
        let old = whole.as_ref().or(old);
        let mut round = Round::default();
        object = call(hooks, &ask, object, old, &mut round).await?;
        if round.changed {
            round.again();
            admission::mutate(self.ctx, &self.request, &mut object, old)?;
            object = self.policies_mutate(object, old, true).await?;
            object = call(hooks, &ask, object, old, &mut round).await?;
        }
        self.mend_owners(&mut object, owners);
        Ok(object)
    }

    /// Field owners that a webhook left in no usable state are what they were before.
    fn mend_owners(&self, object: &mut Object, before: Option<Vec<ManagedFieldsEntry>>) {
        let now = &object.meta().managed_fields;
        let Some(why) = now.iter().flatten().find_map(unusable).filter(|_| *now != before) else { return };
        if let Some(notes) = &self.caller.notes {
            notes.warn(format!(
                ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated \
                 mutating admission controller; please fix your requests: {why}"
            ));
        }
        object.meta_mut().managed_fields = before;
    }

    /// Lets everything refuse the object that may; quota counts last, and says what the write takes.
    /// What the writer is warned of is added to `warnings`; of a write that is refused it is told at once.
    pub(crate) async fn validate(&self, object: &Object, old: Option<&Object>, warnings: &mut Vec<String>) -> Result<Vec<Charge>, ApiError> {
        let done = self.validate_all(object, old, warnings).await;
        self.tell_refused(done, warnings)
    }

    /// The same without anything that calls out: what is written is not what webhooks are shown.
    pub(crate) fn validate_here(&self, object: &Object, old: Option<&Object>, warnings: &mut Vec<String>) -> Result<Vec<Charge>, ApiError> {
        let done = self.validate_in_tree(object, old, warnings).and_then(|()| admission::charge(self.ctx, &self.request, object, old));
        self.tell_refused(done, warnings)
    }

    fn tell_refused<T>(&self, done: Result<T, ApiError>, warnings: &mut Vec<String>) -> Result<T, ApiError> {
        if let (Err(_), Some(notes)) = (&done, &self.caller.notes) {
            warnings.drain(..).for_each(|w| notes.warn(w));
        }
        done
    }

    fn validate_in_tree(&self, object: &Object, old: Option<&Object>, warnings: &mut Vec<String>) -> Result<(), ApiError> {
        admission::validate(self.ctx, &self.request, object, old)?;
        warnings.extend(admission::warnings(self.ctx, &self.request, object, old));
        Ok(())
    }

    async fn validate_all(&self, object: &Object, old: Option<&Object>, warnings: &mut Vec<String>) -> Result<Vec<Charge>, ApiError> {
        if let Some(notes) = &self.caller.notes {
            admission::annotations(self.ctx, &self.request, object, old).into_iter().for_each(|(k, v)| notes.annotate(k, v));
        }
        self.validate_in_tree(object, old, warnings)?;
        self.plugins_outside(object).await?;
        self.validate_outside(Some(object), old).await?;
        admission::charge(self.ctx, &self.request, object, old)
    }

    /// The plugins that need more than a look: one counts, the other asks somebody.
    async fn plugins_outside(&self, object: &Object) -> Result<(), ApiError> {
        let (request, plugins) = (&self.request, &self.ctx.config.plugins);
        let writes = matches!(request.operation, Operation::Create | Operation::Update);
        match object {
            Object::Event(e) if writes && !request.dry_run && plugins.adds("EventRateLimit") && self.caller.speaks.view().is_none() => {
                self.registry.event_rate.lock().accept((&request.namespace, self.ctx.user), Some(e), self.ctx.now)
            }
            Object::Pod(pod) if writes && matches!(request.subresource, "" | "ephemeralcontainers") && plugins.adds("ImagePolicyWebhook") => {
                match self.registry.hooks() {
                    Some(hooks) => hooks.images(&self.ask(), pod).await,
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// The webhooks that change, for what in-tree plugins have no word on: deletes, connects, reviews, parts of objects.
    pub(crate) async fn mutate_outside(&self, object: Option<Object>, old: Option<&Object>) -> Result<Option<Object>, ApiError> {
        self.rounds(object, old).await.map(|(object, _)| object)
    }

    /// What the webhooks made of the object, and of the options of a CONNECT.
    async fn rounds(&self, mut object: Option<Object>, old: Option<&Object>) -> Result<(Option<Object>, Option<Value>), ApiError> {
        if let Some(o) = object {
            object = Some(self.policies_mutate(o, old, false).await?);
        }
        let ask = self.ask();
        let Some(hooks) = self.hooks(Phase::Mutate, &ask) else { return Ok((object, None)) };
        let whole = self.whole(old);
        let old = whole.as_ref().or(old);
        let mut round = Round::default();
        object = hooks.mutate(&ask, object, old, &mut round).await?;
        if round.changed {
            round.again();
            object = hooks.mutate(&ask, object, old, &mut round).await?;
        }
        Ok((object, round.options))
    }

    /// The policies and webhooks that refuse.
    pub(crate) async fn validate_outside(&self, object: Option<&Object>, old: Option<&Object>) -> Result<(), ApiError> {
        self.policies_validate(object, old).await?;
        let ask = self.ask();
        match self.hooks(Phase::Validate, &ask) {
            Some(hooks) => {
                let whole = self.whole(old);
                hooks.validate(&ask, object, whole.as_ref().or(old)).await
            }
            None => Ok(()),
        }
    }
}

async fn call(
    hooks: &dyn Hooks,
    ask: &Ask<'_>,
    object: Object,
    old: Option<&Object>,
    round: &mut Round,
) -> Result<Object, ApiError> {
    let object = hooks.mutate(ask, Some(object), old, round).await?;
    object.ok_or_else(|| ApiError::internal("admission took the object away"))
}

/// What is wrong with an entry of the field owners.
fn unusable(entry: &ManagedFieldsEntry) -> Option<String> {
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    match (text(&entry.operation).as_str(), text(&entry.fields_type).as_str()) {
        ("Apply" | "Update", "FieldsV1") if !text(&entry.api_version).is_empty() => None,
        ("Apply" | "Update", "FieldsV1") => Some("missing apiVersion".to_owned()),
        ("Apply" | "Update", other) => Some(format!("unsupported fields type {other:?}")),
        (other, _) => Some(format!("unsupported operation {other:?}")),
    }
}

/// Defaults of the object's kind.
pub(crate) fn settle(object: &mut Object) {
    if let Some(kind) = object.kind() {
        (rules::rules(kind).default)(object);
    }
}

impl Registry {
    /// Admits what is posted and not stored as it is: reviews, token requests, bindings, evictions.
    ///
    /// # Errors
    /// The refusal of a webhook or policy.
    pub async fn admit_posted(
        &self,
        caller: &Caller,
        target: &Target,
        object: Object,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        self.admit_part(caller, (target, Operation::Create, Given::Create(options)), object, None).await
    }

    /// Notes who sent what is answered and not stored.
    pub fn own_posted(&self, caller: &Caller, options: &WriteOptions, subresource: &str, object: &mut Object) {
        let (manager, now) = (self.manager(options, caller), self.now());
        settle(object);
        let writing = crate::fieldowners::Writing { manager: &manager, subresource, now, view: None, version: None, tongues: None };
        crate::fieldowners::settle(object, None, &writing);
    }

    /// The same for a part of a stored object (`scale`).
    pub(crate) async fn admit_part(
        &self,
        caller: &Caller,
        (target, operation, given): (&Target, Operation, Given<'_>),
        object: Object,
        old: Option<&Object>,
    ) -> Result<Object, ApiError> {
        let snapshot = self.snapshot();
        let ctx = self.ctx(&snapshot, caller);
        let request = request_of(target, operation, given.dry_run());
        let admission = Admission { registry: self, caller, ctx: &ctx, request, given, settle: &settle, connect: None };
        let object = admission.mutate_outside(Some(object), old).await?;
        admission.validate_outside(object.as_ref(), old).await?;
        object.ok_or_else(|| ApiError::internal("admission took the object away"))
    }

    /// Admits a connection to a pod, service or node: `exec`, `attach`, `portforward`, `proxy`. What comes back are its options,
    /// if a webhook changed them.
    ///
    /// # Errors
    /// The refusal of a webhook or policy.
    pub async fn admit_connect(&self, caller: &Caller, target: &Target, connect: Connect<'_>) -> Result<Option<Value>, ApiError> {
        let snapshot = self.snapshot();
        let ctx = self.ctx(&snapshot, caller);
        let request = request_of(target, Operation::Connect, false);
        let given = Given::Nothing;
        let mut admission = Admission { registry: self, caller, ctx: &ctx, request, given, settle: &settle, connect: Some(connect) };
        let (_, changed) = admission.rounds(None, None).await?;
        if let Some(options) = &changed {
            admission.connect = Some(Connect { options, ..connect });
        }
        admission.validate_outside(None, None).await?;
        Ok(changed)
    }
}

/// The request that a target stands for.
pub(crate) fn request_of(target: &Target, operation: Operation, dry_run: bool) -> Request {
    Request {
        operation,
        resource: target.resource.clone(),
        subresource: target.subresource,
        namespace: target.key.namespace.clone(),
        name: target.key.name.clone(),
        dry_run,
    }
}
