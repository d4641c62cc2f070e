//! Update, status update and patch: one loop from the current object to the next one.

use crate::admit::{Admission, Given, Speaks, request_of};
use crate::beside::{CLASH_TRIES, Refused};
use crate::customs;
use crate::fieldowners;
use crate::keys;
use crate::registry::{Answer, Caller, Registry, fit_namespace, refuse, rules_of, unsaved};
use cache::{Entry, Snapshot};
use kinds::{ApiError, FieldErrors, Kind, ManagedFieldsEntry, Object, Resource, Target, WriteOptions};
use crate::retold::retold;
use crate::tongues::Tongues;
use rules::admission::quota::Charge;
use rules::customs::Definition;
use rules::{Operation, Rules, admission};
use store::Expect;

/// How often a patch is tried again on the newest object before it reports the conflict (kube-apiserver's number).
pub(crate) const CONFLICT_TRIES: usize = 5;

/// How the next object comes about.
pub(crate) enum Next<'a> {
    /// The client sent it whole.
    Replace(Object),
    /// It is computed from the current one, and again when that has changed.
    Compute(&'a (dyn Fn(&Entry) -> Result<Object, ApiError> + Sync)),
    /// The same; nobody comes to own what changes.
    Unowned(&'a (dyn Fn(&Entry) -> Result<Object, ApiError> + Sync)),
    /// The same through the `scale` subresource: admission is shown scales, and the field owners are settled.
    Scale(&'a (dyn Fn(&Entry) -> Result<Object, ApiError> + Sync)),
    /// The same, with its field owners settled (server-side apply).
    Apply(&'a (dyn Fn(&Entry) -> Result<Object, ApiError> + Sync)),
}

/// Whether an update that was refused is worth another try on the newest object.
enum Again {
    No,
    /// Where the object itself was changed meanwhile.
    Modified,
    /// Something beside it was.
    Clashed,
}

impl Registry {
    /// Replaces an object or, with `target.subresource`, its status.
    ///
    /// # Errors
    /// Whatever admission, validation or the store object to; `Conflict` when the resource version is not current.
    pub async fn update(
        &self,
        caller: &Caller,
        target: &Target,
        mut object: Object,
        options: &WriteOptions,
    ) -> Result<Answer, ApiError> {
        fit_namespace(&target.resource, &target.key.namespace, &mut object)?;
        let name = object.meta().name.clone().unwrap_or_default();
        if name.is_empty() {
            let why = "was undeterminable: name must be provided";
            return Err(ApiError::bad_request(format!("the name of the object ({} based on URL) {why}", target.key.name)));
        }
        if !name.is_empty() && name != target.key.name {
            return Err(ApiError::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                target.key.name
            )));
        }
        object.meta_mut().name = Some(target.key.name.clone());
        let missing = self.snapshot().entry(&target.resource, &target.key).is_none();
        if missing && target.subresource.is_empty() && rules_of(&target.resource).allow_create_on_update {
            object.meta_mut().resource_version = None;
            return self.create(caller, target, object, options).await;
        }
        self.modify(caller, target, options, Next::Replace(object)).await
    }

    pub(crate) async fn modify(
        &self,
        caller: &Caller,
        target: &Target,
        options: &WriteOptions,
        next: Next<'_>,
    ) -> Result<Answer, ApiError> {
        let (mut tries, mut clashes) = (0, 0);
        let late = self.calls_out();
        let _turn = if late { None } else { Some(self.turn(target).await) };
        loop {
            match self.attempt(caller, (target, late), options, &next).await {
                Err((e, Again::Modified)) if e.is_conflict() && tries + 1 < CONFLICT_TRIES => tries += 1,
                Err((_, Again::Clashed)) if clashes < CLASH_TRIES => clashes += 1,
                done => return done.map_err(|(e, _)| e),
            }
            self.catch_up().await?;
        }
    }

    async fn attempt(
        &self,
        caller: &Caller,
        (target, late): (&Target, bool),
        options: &WriteOptions,
        next: &Next<'_>,
    ) -> Result<Answer, (ApiError, Again)> {
        let resource = &target.resource;
        let fail = |e: ApiError| (e, Again::No);
        let snapshot = self.image.snapshot();
        let old = snapshot.entry(resource, &target.key).cloned();
        let old = fieldowners::unfolded(old.ok_or_else(|| fail(ApiError::not_found(resource, &target.key.name)))?);
        let sent = if let Next::Replace(o) = next { Some(o) } else { None };
        let turned = self.seen(caller, &snapshot, resource, &old, sent).await.map_err(fail)?;
        let seen = turned.as_ref().unwrap_or(&*old);
        let object = match next {
            Next::Replace(o) => o.clone(),
            Next::Compute(f) | Next::Unowned(f) | Next::Scale(f) | Next::Apply(f) => f(seen).map_err(fail)?,
        };
        let unconditional = object.meta().resource_version.as_deref().is_none_or(str::is_empty);
        let whole = matches!(next, Next::Replace(_));
        if !whole {
            check_name(target, &object).map_err(fail)?;
        }
        check_version(resource, seen, &object, (whole, unconditional)).map_err(fail)?;
        let (mut object, warnings, mut charges) =
            self.prepare_update(caller, (target, next), &snapshot, seen, object, options).await.map_err(fail)?;
        let what = (target, Operation::Update, options.dry_run);
        let _turn = match late {
            true => {
                let (turn, now) = self.late_turn(caller, what, &mut object, Some(old.object())).await.map_err(fail)?;
                charges = now;
                Some(turn)
            }
            false => None,
        };
        if options.dry_run {
            return Ok(Answer { entry: unsaved(object), warnings, created: false });
        }
        let version = object.meta_mut().resource_version.take();
        let stale = self.seals.is_stale(resource, &keys::encode(resource, &target.key));
        let value = changed(&old, &mut object).or_else(|| stale.then(|| codec::encode(&object)));
        let Some(value) = value else { return Ok(Answer { entry: old, warnings, created: false }) };
        if is_finished(&object) {
            object.meta_mut().resource_version = version;
            let entry = unsaved(object);
            let gone = self.remove(resource, &target.key, Expect::At(old.revision)).await;
            return gone.map(|()| Answer { entry, warnings, created: false }).map_err(|e| (e, Again::Modified));
        }
        let again = if unconditional || !matches!(next, Next::Replace(_)) { Again::Modified } else { Again::No };
        let put = self.put_charged(resource, object, value, Expect::At(old.revision), &charges).await;
        put.map(|entry| Answer { entry, warnings, created: false }).map_err(|refused| match refused {
            Refused::Api(e) => (e, again),
            Refused::Clash(e) => (e, Again::Clashed),
        })
    }

    async fn prepare_update(
        &self,
        caller: &Caller,
        (target, next): (&Target, &Next<'_>),
        snapshot: &Snapshot,
        old: &Entry,
        mut object: Object,
        options: &WriteOptions,
    ) -> Result<(Object, Vec<String>, Vec<Charge>), ApiError> {
        let rules = rules_of(&target.resource);
        let ctx = self.ctx(snapshot, caller);
        (rules.default)(&mut object);
        rules::gated::fill(ctx.gates, &mut object);
        let definition = self.definition(snapshot, &target.resource);
        let definition = definition.as_deref();
        customs::shape(definition, &mut object);
        keep_system_fields(&mut object, old);
        let manager = self.manager(options, caller);
        let tongues = Tongues::new(target.resource.builtin(), definition);
        // What admission adds is owned by nobody; what an endpoint drops later is owned all the same, as upstream.
        let mut given_as = None;
        match next {
            Next::Apply(_) | Next::Scale(_) => {}
            Next::Unowned(_) => object.meta_mut().managed_fields = codec::managed_fields(&old.json),
            Next::Replace(_) | Next::Compute(_) => {
                let part = (target, manager.as_str(), caller.speaks.view());
                given_as = self.own(&mut object, old, part, (snapshot, &tongues, definition)).await;
            }
        }
        let settle = |o: &mut Object| {
            crate::admit::settle(o);
            customs::shape(definition, o);
        };
        let request = request_of(target, Operation::Update, options.dry_run);
        let (given, connect) = (Given::Update(options), None);
        let admission = Admission { registry: self, caller, ctx: &ctx, request, given, settle: &settle, connect };
        object = self.mutate_update(&admission, next, object, old).await?;
        let whole = rules::gated::prepare_update(ctx.gates, target.subresource, &mut object, old.object(), |object| match definition {
            Some(d) => customs::prepare_update(d, target.subresource, object, old.object()),
            None => prepare(rules, target.subresource, object, old.object()),
        });
        if whole {
            rules::allocate(&ctx, &mut object, Some(old.object()), options.dry_run)?;
        }
        let judge = |object: &Object, errors: &mut FieldErrors| {
            match (target.subresource, whole) {
                ("status", _) => {
                    let verb = if matches!(next, Next::Replace(_)) { "update" } else { "patch" };
                    rules::devices::authority::judge_status(&ctx, verb, object, old.object(), errors);
                    (rules.validate_status_update)(object, old.object(), errors);
                }
                (sub, _) if !sub.is_empty() => rules::validate_subresource(sub, object, old.object(), errors),
                // It judges the whole new object too: what only a create must satisfy stands in `validate`.
                _ => (rules.validate_update)(object, old.object(), errors),
            }
            rules::gated::judge(ctx.gates, target.subresource, object, Some(old.object()), errors);
            if let (Speaks::View(Kind::EventsEvent), Object::Event(new), Object::Event(old)) = (&caller.speaks, object, old.object()) {
                rules::core::event::validate_new_style_update(new, old, errors);
            }
            customs::judge(definition, object, Some(old.object()), errors);
        };
        let mut errors = FieldErrors::default();
        judge(&object, &mut errors);
        let errors = retold(errors, &object, given_as.as_ref(), judge);
        refuse(&object, &errors)?;
        let mut warnings = match target.subresource {
            "" => (rules.warnings)(&object, Some(old.object())),
            _ => Vec::new(),
        };
        let charges = match is_part(&admission, next) {
            true => admission.validate_here(&object, Some(old.object()), &mut warnings)?,
            false => admission.validate(&object, Some(old.object()), &mut warnings).await?,
        };
        let object = self.store_as(snapshot, &target.resource, object).await?;
        Ok((object, warnings, charges))
    }

    /// Admission that may change an update. Bindings and scales were shown to webhooks in their own form.
    /// Works out who owns what after a change. Where an owner's version cannot be had, everything stays as the object says.
    /// What the object was before empty fields were dropped comes back, if there were any.
    async fn own(
        &self,
        object: &mut Object,
        old: &Entry,
        (target, manager, view): (&Target, &str, Option<Kind>),
        (snapshot, tongues, definition): (&Snapshot, &Tongues<'_>, Option<&Definition>),
    ) -> Option<Object> {
        let mut whole = None;
        let given = object.meta().managed_fields.clone();
        loop {
            let version = customs::spoken(definition, object);
            let (subresource, now) = (target.subresource, self.now());
            let writing = fieldowners::Writing { manager, subresource, now, view, version, tongues: Some(tongues) };
            whole = fieldowners::settle(object, Some(old), &writing).or(whole);
            match tongues.ask(self, snapshot, &target.resource).await {
                Ok(false) => return whole,
                Ok(true) => object.meta_mut().managed_fields.clone_from(&given),
                Err(_) => {
                    object.meta_mut().managed_fields = given.or_else(|| codec::managed_fields(&old.json));
                    return whole;
                }
            }
        }
    }

    async fn mutate_update(
        &self,
        admission: &Admission<'_>,
        next: &Next<'_>,
        mut object: Object,
        old: &Entry,
    ) -> Result<Object, ApiError> {
        if is_part(admission, next) {
            admission::mutate(admission.ctx, &admission.request, &mut object, Some(old.object()))?;
            return Ok(object);
        }
        object = admission.mutate(object, Some(old.object())).await?;
        let (name, namespace) = (&old.key.name, &old.key.namespace);
        let meta = object.meta();
        let mut errors = FieldErrors::default();
        if meta.name.as_ref() != Some(name) {
            let given = meta.name.as_deref().unwrap_or_default();
            errors.invalid(&kinds::Path::new("metadata.name"), given, "field is immutable");
        }
        if meta.namespace.as_deref().unwrap_or_default() != namespace.as_str() {
            let given = meta.namespace.as_deref().unwrap_or_default();
            errors.invalid(&kinds::Path::new("metadata.namespace"), given, "field is immutable");
        }
        refuse(old.object(), &errors)?;
        keep_system_fields(&mut object, old);
        Ok(object)
    }
}

/// Whether webhooks are shown something else than the object that is written.
fn is_part(admission: &Admission<'_>, next: &Next<'_>) -> bool {
    admission.request.subresource == "binding" || matches!(next, Next::Scale(_))
}

/// Runs the strategy of the part that is being written; `true` when it is the whole object.
fn prepare(rules: &Rules, subresource: &str, object: &mut Object, old: &Object) -> bool {
    match subresource {
        "" => {
            (rules.prepare_update)(object, old);
            true
        }
        "status" => {
            if let Some(p) = rules.prepare_status_update {
                p(object, old);
            }
            false
        }
        other => {
            crate::subresources::keep_all_but(other, object, old);
            false
        }
    }
}

/// A patch does not give an object another name.
fn check_name(target: &Target, object: &Object) -> Result<(), ApiError> {
    match object.meta().name.as_deref() {
        Some(name) if name != target.key.name => {
            let why = format!("the name of the object ({name}) does not match the name on the URL ({})", target.key.name);
            Err(ApiError::bad_request(why))
        }
        _ => Ok(()),
    }
}

fn check_version(resource: &Resource, old: &Entry, new: &Object, (whole, unconditional): (bool, bool)) -> Result<(), ApiError> {
    let (given, name) = (new.meta(), &old.key.name);
    // Of a patched object, validation judges the uid.
    let given_uid = given.uid.as_ref().filter(|u| whole && !u.is_empty());
    if let (Some(have), Some(want)) = (old.meta().uid.as_ref(), given_uid) {
        if have != want {
            return Err(ApiError::conflict(resource, name, wrong_uid(resource, old, want, have)));
        }
    }
    if unconditional {
        if rules_of(resource).allow_unconditional_update {
            return Ok(());
        }
        let mut errors = FieldErrors::default();
        let text = "must be specified for an update";
        errors.invalid(&kinds::Path::new("metadata.resourceVersion"), kinds::field::Bare("0".into()), text);
        return refuse(new, &errors);
    }
    let version = given.resource_version.as_deref().unwrap_or_default();
    if version.parse::<u64>().is_err() {
        return Err(ApiError::new(500, "", format!("strconv.ParseUint: parsing {version:?}: invalid syntax")));
    }
    if version == old.revision.to_string() { Ok(()) } else { Err(ApiError::modified(resource, name)) }
}

/// What the storage says of an object that is another one than was meant.
pub(crate) fn wrong_uid(resource: &Resource, old: &Entry, want: &str, have: &str) -> String {
    let key = keys::encode(resource, &old.key);
    format!(
        "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: \
         Precondition failed: UID in precondition: {want}, UID in object meta: {have}"
    )
}

/// What no update may change, whoever sends it: filled in from the old object where it is left out.
fn keep_system_fields(object: &mut Object, old: &Entry) {
    let was = old.meta();
    let meta = object.meta_mut();
    meta.uid = meta.uid.take().filter(|u| !u.is_empty()).or_else(|| was.uid.clone());
    meta.creation_timestamp.clone_from(&was.creation_timestamp);
    // What is left out stays; validation refuses another one.
    meta.deletion_timestamp = meta.deletion_timestamp.take().or_else(|| was.deletion_timestamp.clone());
    meta.deletion_grace_period_seconds = meta.deletion_grace_period_seconds.or(was.deletion_grace_period_seconds);
    meta.generate_name = meta.generate_name.take().or_else(|| was.generate_name.clone());
    meta.self_link = None;
    if meta.generation.is_none_or(|g| g == 0) {
        meta.generation = was.generation;
    }
    meta.resource_version.clone_from(&was.resource_version);
}

/// The object (without its resource version) as it will be stored; `None` when that would change nothing.
fn changed(old: &Entry, new: &mut Object) -> Option<Vec<u8>> {
    let value = codec::encode(new);
    if codec::is_at_revision(&old.json, &value, old.revision) {
        return None;
    }
    // A write that would only move the times of managed fields is none.
    let owners = new.meta_mut().managed_fields.take();
    new.meta_mut().resource_version.clone_from(&old.meta().resource_version);
    let same_rest = *new == *old.object();
    let meta = new.meta_mut();
    (meta.resource_version, meta.managed_fields) = (None, owners);
    let only_times = same_rest && only_times_differ(&codec::managed_fields(&old.json), &new.meta().managed_fields);
    (!only_times).then_some(value)
}

fn only_times_differ(old: &Option<Vec<ManagedFieldsEntry>>, new: &Option<Vec<ManagedFieldsEntry>>) -> bool {
    let (old, new) = (old.as_deref().unwrap_or_default(), new.as_deref().unwrap_or_default());
    let plain = |m: &ManagedFieldsEntry| ManagedFieldsEntry { time: None, ..m.clone() };
    old.len() == new.len()
        && old.iter().zip(new).any(|(a, b)| a.time != b.time)
        && old.iter().zip(new).all(|(a, b)| plain(a) == plain(b))
}

/// A deleted object whose last finalizer is gone and whose grace is over goes with this write.
fn is_finished(object: &Object) -> bool {
    let meta = object.meta();
    let no_finalizers = meta.finalizers.as_ref().is_none_or(Vec::is_empty);
    let spec_finalizers = object
        .typed::<kinds::api::core::v1::Namespace>()
        .and_then(|n| n.spec.as_ref())
        .and_then(|s| s.finalizers.as_ref())
        .is_some_and(|f| !f.is_empty());
    meta.deletion_timestamp.is_some()
        && no_finalizers
        && !spec_finalizers
        && meta.deletion_grace_period_seconds.is_none_or(|g| g == 0)
}

