//! The registry itself: what every verb shares, and create.

use crate::admit::{Admission, Given, Hooks, Notes, Speaks, request_of};
use crate::beside::{CLASH_TRIES, Refused};
use crate::customs;
use crate::fieldowners::{self, Owners};
use crate::retold::retold;
use crate::image::{Image, ImageError};
use crate::keys;
use crate::prepared::Prepared;
use crate::sealing::{Seals, Storage};
use base::{Clock, Ids};
use cache::{Entry, Snapshot};
use jiff::Timestamp;
use kinds::{ApiError, FieldErrors, Kind, Object, ObjectKey, Resource, Target, Time, WriteOptions};
use rules::admission::quota::Charge;
use rules::{Config, Ctx, Gates, Operation, Rules, User, admission};
use kinds::api::authentication::v1::TokenRequest;
use kinds::api::core::v1::Namespace;
use std::sync::{Arc, OnceLock};
use store::{CommitError, Engine, Expect, Op, Txn};

/// How often a name from `generateName` is drawn anew when it is taken (as kube-apiserver does since v1.30).
const GENERATE_TRIES: usize = 8;
/// Locks that namespaces with quotas share, each the one that its name falls to.
const QUOTA_LOCKS: usize = 64;
/// Longest base of a generated name: 63 less the suffix.
const GENERATE_BASE_MAX: usize = 58;
/// Characters of a generated suffix.
const GENERATE_SUFFIX: usize = 5;

/// Largest stored object (etcd's limit of a request), with etcd's words when it is passed.
const OBJECT_MAX_BYTES: usize = 1536 * 1024;

/// Settings of the registry.
pub struct Settings {
    pub config: Config,
    pub gates: Gates,
    /// Admission webhooks; without the port none is called.
    pub hooks: Option<Arc<dyn Hooks>>,
}

/// On whose behalf a verb runs.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    pub user: Arc<User>,
    /// The version that the request speaks.
    pub speaks: Speaks,
    /// Where warnings and audit annotations of this request go; without it they are dropped.
    pub notes: Option<Arc<Notes>>,
}

impl Caller {
    /// A caller of that name and groups.
    #[must_use]
    pub fn new(name: &str, groups: &[&str]) -> Self {
        Self { user: Arc::new(User::new(name, groups)), ..Self::default() }
    }
}

impl Caller {
    /// A client of this server: warnings and annotations for it are kept.
    #[must_use]
    pub fn noted(user: Arc<User>) -> Self {
        Self { user, speaks: Speaks::default(), notes: Some(Arc::default()) }
    }
}

/// What a write came to.
#[derive(Clone, Debug)]
pub struct Answer {
    pub entry: Arc<Entry>,
    /// Texts for `Warning: 299` headers.
    pub warnings: Vec<String>,
    /// Whether the object is new.
    pub created: bool,
}

/// What a write holds so that its verdict still stands when it is committed. It is this process's part of it: other servers
/// meet the guards of `beside`.
pub(crate) struct Turn<'a> {
    services: Option<tokio::sync::MutexGuard<'a, ()>>,
    quota: Option<tokio::sync::MutexGuard<'a, ()>>,
}

/// Signs service account tokens: a port, because keys and JWTs are the API server's business.
pub type TokenIssuer = Box<dyn Fn(&Snapshot, &ObjectKey, &TokenRequest) -> Result<TokenRequest, ApiError> + Send + Sync>;

/// The verbs over one store.
pub struct Registry {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) image: Arc<Image>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) settings: Settings,
    token_issuer: OnceLock<TokenIssuer>,
    pub(crate) seals: Arc<Seals>,
    pub(crate) form: codec::storage::Form,
    /// Held from choosing cluster IPs and node ports until the image shows them: nobody else may choose the same.
    allocating: tokio::sync::Mutex<()>,
    /// Held, by namespace, from judging a quota until the image shows the write: two writes may not fit into the same rest.
    quotas: [tokio::sync::Mutex<()>; QUOTA_LOCKS],
    pub(crate) definitions: crate::customs::Definitions,
    /// The expressions of admission policies, compiled.
    pub(crate) policies: rules::policies::Programs,
    /// What is left of the limits on events.
    pub(crate) event_rate: parking_lot::Mutex<rules::admission::event_rate::EventRate>,
}

/// The rules of a resource: a row of the table for built-ins, the common ones for custom resources.
pub(crate) fn rules_of(resource: &Resource) -> &'static Rules {
    match resource {
        Resource::Builtin(kind) => rules::rules(*kind),
        Resource::Custom(_) => &crate::customs::RULES,
    }
}

impl Registry {
    /// Loads the image and returns the registry with the task that keeps the image moving; the caller spawns it and
    /// stops the process when it ends.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn open(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        settings: Settings,
    ) -> Result<(Arc<Self>, impl Future<Output = Result<(), ImageError>> + Send + 'static), ImageError> {
        Self::open_stored(engine, clock, ids, settings, Storage::default()).await
    }

    /// The same with values that are stored in another form, or encrypted.
    ///
    /// # Errors
    /// A store that cannot be read, or decrypted.
    pub async fn open_stored(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        settings: Settings,
        storage: Storage,
    ) -> Result<(Arc<Self>, impl Future<Output = Result<(), ImageError>> + Send + 'static), ImageError> {
        let seals = Arc::new(Seals::new(storage.sealer, storage.root));
        let (image, feed) = Image::load(&*engine, Arc::clone(&seals)).await?;
        let follow = Arc::clone(&image).follow(feed);
        let event_rate = rules::admission::event_rate::EventRate::new(&settings.config.admission.event_limits);
        let registry = Self {
            event_rate: parking_lot::Mutex::new(event_rate),
            engine,
            image,
            clock,
            ids,
            settings,
            token_issuer: OnceLock::new(),
            seals,
            form: storage.form,
            allocating: tokio::sync::Mutex::default(),
            quotas: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            definitions: crate::customs::Definitions::default(),
            policies: rules::policies::Programs::default(),
        };
        Ok((Arc::new(registry), follow))
    }

    /// Connects the signer of tokens; only the first one counts.
    pub fn connect_token_issuer(&self, issuer: TokenIssuer) {
        let _ = self.token_issuer.set(issuer);
    }

    /// Answers a token request for a service account.
    ///
    /// # Errors
    /// `NotFound`, invalid requests, or no signer.
    pub fn issue_token(&self, key: &ObjectKey, request: &TokenRequest) -> Result<TokenRequest, ApiError> {
        let issuer = self.token_issuer.get().ok_or_else(|| ApiError::unavailable("no signer of tokens is connected"))?;
        issuer(&self.snapshot(), key, request)
    }

    /// The admission webhooks.
    pub(crate) fn hooks(&self) -> Option<&dyn Hooks> {
        self.settings.hooks.as_deref()
    }

    /// Whether writes may wait for webhooks: nothing is held meanwhile, and what was judged is judged again afterwards.
    pub(crate) fn calls_out(&self) -> bool {
        let snapshot = self.snapshot();
        let some = |k: Kind| snapshot.table(&k.into()).is_some_and(|t| !t.is_empty());
        self.settings.hooks.is_some()
            && (some(Kind::MutatingWebhookConfiguration) || some(Kind::ValidatingWebhookConfiguration))
    }

    /// Services are written one at a time, and so are the objects of a namespace that has quotas; everything else needs
    /// no lock.
    pub(crate) async fn turn(&self, target: &Target) -> Turn<'_> {
        let (allocates, limited) = self.contended(target);
        let services = if allocates { Some(self.allocating.lock().await) } else { None };
        let namespace = &target.key.namespace;
        let at = namespace.bytes().fold(0_usize, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into())) % QUOTA_LOCKS;
        let quota = if limited { Some(self.quotas[at].lock().await) } else { None };
        Turn { services, quota }
    }

    /// Whether addresses or ports are given out with a write, and whether quotas limit it.
    fn contended(&self, target: &Target) -> (bool, bool) {
        let namespace = &target.key.namespace;
        let limited = admission::quota::counts_writes_of(&target.resource, target.subresource)
            && !namespace.is_empty()
            && self.snapshot().list::<kinds::api::core::v1::ResourceQuota>(namespace).next().is_some();
        (target.resource.builtin() == Some(Kind::Service), limited)
    }

    /// A turn for a write that was prepared without one: what was allocated and charged must still fit.
    pub(crate) async fn late_turn(
        &self,
        caller: &Caller,
        (target, operation, dry_run): (&Target, Operation, bool),
        object: &mut Object,
        old: Option<&Object>,
    ) -> Result<(Turn<'_>, Vec<Charge>), ApiError> {
        let turn = self.turn(target).await;
        let snapshot = self.snapshot();
        let ctx = self.ctx(&snapshot, caller);
        if turn.services.is_some() {
            rules::allocate(&ctx, object, old, dry_run)?;
        }
        let mut charges = Vec::new();
        if turn.quota.is_some() {
            let name = object.meta().name.clone().unwrap_or_default();
            let request = rules::Request { name, ..request_of(target, operation, dry_run) };
            charges = admission::charge(&ctx, &request, object, old)?;
        }
        Ok((turn, charges))
    }

    /// The newest snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.image.snapshot()
    }

    /// The image, for feeds.
    #[must_use]
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Forgets history up to a revision.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn compact(&self, to: kinds::Revision) -> Result<(), store::RangeError> {
        self.engine.compact(to).await?;
        self.image.forget(to);
        Ok(())
    }

    /// As [`crate::image::Image::cool`].
    pub fn cool(&self) -> usize {
        self.image.cool()
    }

    pub(crate) fn ctx<'a>(&'a self, snapshot: &'a Snapshot, caller: &'a Caller) -> Ctx<'a> {
        Ctx {
            now: self.clock.now(),
            snapshot,
            user: &caller.user,
            gates: &self.settings.gates,
            config: &self.settings.config,
            ids: &*self.ids,
        }
    }

    /// Reads one object as the newest image shows it.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn get(&self, resource: &Resource, key: &ObjectKey) -> Result<Arc<Entry>, ApiError> {
        let snapshot = self.image.snapshot();
        snapshot.entry(resource, key).cloned().ok_or_else(|| ApiError::not_found(resource, &key.name))
    }

    /// Waits until the image includes everything that was acknowledged anywhere before the call.
    ///
    /// # Errors
    /// An engine that does not answer.
    pub async fn catch_up(&self) -> Result<(), ApiError> {
        let latest = self.engine.latest().await.map_err(|e| ApiError::unavailable(e.to_string()))?;
        self.image.reached(latest).await;
        Ok(())
    }

    /// Creates an object.
    ///
    /// # Errors
    /// Whatever admission, validation or the store object to.
    pub async fn create(
        &self,
        caller: &Caller,
        target: &Target,
        object: Object,
        options: &WriteOptions,
    ) -> Result<Answer, ApiError> {
        self.create_owned(caller, target, object, options, Owners::Track).await
    }

    pub(crate) async fn create_owned(
        &self,
        caller: &Caller,
        target: &Target,
        mut object: Object,
        options: &WriteOptions,
        owners: Owners,
    ) -> Result<Answer, ApiError> {
        let resource = &target.resource;
        let rules = rules_of(resource);
        fit_namespace(resource, &target.key.namespace, &mut object)?;
        (rules.default)(&mut object);
        rules::gated::fill(&self.settings.gates, &mut object);
        if self.settings.config.plugins.adds("NamespaceAutoProvision") && !options.dry_run {
            Box::pin(self.provide_namespace(target, object.meta().name.as_deref().unwrap_or_default())).await?;
        }
        let given_as;
        (object, given_as) = self.admit_create(caller, owners, target, object, options).await?;
        let late = self.calls_out();
        // What was chosen without a turn may be gone when the turn comes: it is chosen again.
        let chooses = late && resource.builtin() == Some(Kind::Service);
        // Kept for the next try; without one nothing is shared, so that filling the object in copies nothing.
        let again = self.contended(target) != (false, false);
        let given = (generates_name(&object) || again).then(|| object.clone());
        let _turn = if late { None } else { Some(self.turn(target).await) };
        let (mut tries, mut clashes) = (0, 0);
        loop {
            tries += 1;
            let generated = self.generate_name(&mut object);
            let (mut prepared, warnings, mut charges) = self.prepare_create(caller, rules, target, (object, given_as.as_ref()), options).await?;
            let what = (target, Operation::Create, options.dry_run);
            let turn = if late { self.late_turn(caller, what, &mut prepared, None).await.map(Some) } else { Ok(None) };
            let _turn = match turn {
                Err(_) if chooses && tries < GENERATE_TRIES => {
                    object = given.clone().expect("something is chosen, so what was given is kept");
                    continue;
                }
                Ok(Some((turn, now))) => {
                    charges = now;
                    Some(turn)
                }
                turn => turn?.map(|(turn, _)| turn),
            };
            if options.dry_run {
                if self.snapshot().entry(resource, &prepared.key()).is_some() {
                    return Err(self.taken(resource, &prepared.key()));
                }
                return Ok(Answer { entry: unsaved(prepared), warnings, created: true });
            }
            let key = prepared.key();
            let value = codec::encode(&prepared);
            match self.put_charged(resource, prepared, value, Expect::Absent, &charges).await {
                Err(Refused::Clash(_)) if given.is_some() && clashes < CLASH_TRIES => {
                    clashes += 1;
                    self.catch_up().await?;
                }
                Err(Refused::Api(e)) if e.is_already_exists() && generated && tries < GENERATE_TRIES => {}
                Err(Refused::Api(e)) if e.is_already_exists() => return Err(self.taken(resource, &key)),
                done => return Ok(done.map(|entry| Answer { entry, warnings, created: true })?),
            }
            object = given.clone().expect("a name was generated or something chosen, so what was given is kept");
        }
    }

    /// The plugin `NamespaceAutoProvision`: what is created in a namespace that there is not brings it along.
    async fn provide_namespace(&self, target: &Target, name_of: &str) -> Result<(), ApiError> {
        let name = &target.key.namespace;
        if name.is_empty() || self.snapshot().get::<Namespace>("", name).is_some() {
            return Ok(());
        }
        let metadata = kinds::ObjectMeta { name: Some(name.clone()), ..Default::default() };
        let namespace = Namespace { metadata, ..Default::default() };
        let caller = Caller::new("system:apiserver", &["system:masters"]);
        let of_namespace = Target::new(Kind::Namespace, ObjectKey::cluster(name.clone()));
        match self.create(&caller, &of_namespace, namespace.into(), &WriteOptions::default()).await {
            Err(e) if !e.is_already_exists() => Err(ApiError::forbidden(&target.resource, name_of, e.message)),
            _ => Ok(()),
        }
    }

    /// The refusal of a name that an object has, with a word on one that is on its way out.
    fn taken(&self, resource: &Resource, key: &ObjectKey) -> ApiError {
        let mut e = ApiError::already_exists(resource, &key.name);
        if self.snapshot().entry(resource, key).is_some_and(|o| o.meta().deletion_timestamp.is_some()) {
            e.message.insert_str(0, "object is being deleted: ");
        }
        e
    }

    /// The first half of a create, done once: field owners, and whoever may change the object. A name that is to be
    /// generated is not there yet, and what admission adds is owned by nobody. Beside the object, what it was before empty fields were
    /// dropped, if there were any.
    async fn admit_create(
        &self,
        caller: &Caller,
        owners: Owners,
        target: &Target,
        mut object: Object,
        options: &WriteOptions,
    ) -> Result<(Object, Option<Object>), ApiError> {
        let snapshot = self.image.snapshot();
        let ctx = self.ctx(&snapshot, caller);
        let definition = self.definition(&snapshot, &target.resource);
        let definition = definition.as_deref();
        let mut given_as = None;
        customs::shape(definition, &mut object);
        if owners == Owners::Track {
            let version = customs::spoken(definition, &object);
            let (manager, view) = (self.manager(options, caller), caller.speaks.view());
            let writing = fieldowners::Writing { manager: &manager, subresource: "", now: ctx.now, view, version, tongues: None };
            given_as = fieldowners::settle(&mut object, None, &writing);
        }
        let settle = |o: &mut Object| {
            crate::admit::settle(o);
            customs::shape(definition, o);
        };
        let request = create_request(target, &object, options);
        let (given, connect) = (Given::Create(options), None);
        let admission = Admission { registry: self, caller, ctx: &ctx, request, given, settle: &settle, connect };
        let mut object = admission.mutate(object, None).await?;
        fit_namespace(&target.resource, &target.key.namespace, &mut object)?;
        Ok((object, given_as))
    }

    async fn prepare_create(
        &self,
        caller: &Caller,
        rules: &Rules,
        target: &Target,
        (mut object, given_as): (Object, Option<&Object>),
        options: &WriteOptions,
    ) -> Result<(Object, Vec<String>, Vec<Charge>), ApiError> {
        let snapshot = self.image.snapshot();
        let ctx = self.ctx(&snapshot, caller);
        let definition = self.definition(&snapshot, &target.resource);
        let definition = definition.as_deref();
        (rules.default)(&mut object);
        rules::gated::fill(ctx.gates, &mut object);
        let versioned = object.meta().resource_version.as_deref().is_some_and(|v| !v.is_empty());
        self.fill_metadata(&mut object);
        rules::gated::prepare_create(ctx.gates, rules, &mut object);
        customs::prepare_create(definition, &mut object)?;
        rules::allocate(&ctx, &mut object, None, options.dry_run)?;
        rules::stamps::on_create(&mut object, ctx.now);
        let judge = |object: &Object, errors: &mut FieldErrors| {
            rules::devices::authority::judge_create(&ctx, &target.key.namespace, object, errors);
            (rules.validate)(object, errors);
            rules::gated::judge(ctx.gates, "", object, None, errors);
            customs::judge(definition, object, None, errors);
        };
        let mut errors = FieldErrors::default();
        judge(&object, &mut errors);
        let errors = retold(errors, &object, given_as, judge);
        refuse(&object, &errors)?;
        let request = create_request(target, &object, options);
        let (given, connect, settle) = (Given::Create(options), None, &crate::admit::settle);
        let admission = Admission { registry: self, caller, ctx: &ctx, request, given, settle, connect };
        let mut warnings = (rules.warnings)(&object, None);
        let charges = admission.validate(&object, None, &mut warnings).await?;
        if versioned && !options.dry_run {
            // The original says this without a reason.
            return Err(ApiError::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        let object = self.store_as(&snapshot, &target.resource, object).await?;
        Ok((object, warnings, charges))
    }

    pub(crate) fn manager(&self, options: &WriteOptions, caller: &Caller) -> String {
        if options.field_manager.is_empty() { caller.user.name.clone() } else { options.field_manager.clone() }
    }

    fn generate_name(&self, object: &mut Object) -> bool {
        if !generates_name(object) {
            return false;
        }
        let base = object.meta().generate_name.clone().unwrap_or_default();
        let mut end = base.len().min(GENERATE_BASE_MAX);
        while !base.is_char_boundary(end) {
            end -= 1;
        }
        object.meta_mut().name = Some(format!("{}{}", &base[..end], self.ids.suffix(GENERATE_SUFFIX)));
        true
    }

    pub(crate) fn fill_metadata(&self, object: &mut Object) {
        let (now, uid) = (whole_seconds(self.clock.now()), self.ids.uid());
        let meta = object.meta_mut();
        meta.creation_timestamp = Some(Time(now));
        meta.uid = Some(uid);
        meta.deletion_timestamp = None;
        meta.deletion_grace_period_seconds = None;
        meta.self_link = None;
        meta.resource_version = None;
    }

    /// Encodes, commits, and waits for the entry that comes of it.
    pub(crate) async fn put(&self, resource: &Resource, object: Object, expect: Expect) -> Result<Arc<Entry>, ApiError> {
        let value = codec::encode(&object);
        self.put_encoded(resource, object, value, expect).await
    }

    /// Commits what is encoded already.
    pub(crate) async fn put_encoded(
        &self,
        resource: &Resource,
        object: Object,
        value: Vec<u8>,
        expect: Expect,
    ) -> Result<Arc<Entry>, ApiError> {
        Ok(self.put_charged(resource, object, value, expect, &[]).await?)
    }

    /// The same, with what it takes of quotas.
    pub(crate) async fn put_charged(
        &self,
        resource: &Resource,
        object: Object,
        value: Vec<u8>,
        expect: Expect,
        charges: &[Charge],
    ) -> Result<Arc<Entry>, Refused> {
        let key = object.key();
        let path = keys::encode(resource, &key);
        let beside = self.beside(resource, &key, Some(&object), charges)?;
        let (value, plain) = self.stored(resource, &path, value)?;
        if value.len() > OBJECT_MAX_BYTES {
            return Err(ApiError::new(500, "", "etcdserver: request is too large").into());
        }
        let (prepared, arrived) = Prepared::new(resource.clone(), object, plain);
        let txn = Txn::default().and_put(path.clone(), value, expect, Some(prepared)).living(Self::lives(resource));
        let said = |e: &CommitError| commit_error(resource, &key, expect, e);
        let done = self.commit_beside(txn, beside, (resource, &key), said).await?;
        self.seals.written(resource, &path);
        if let Ok(entry) = arrived.await {
            return Ok(entry);
        }
        self.image.reached(done.revision).await;
        Ok(self.get(resource, &key)?)
    }

    /// Removes an object and waits until the image shows it.
    pub(crate) async fn remove(&self, resource: &Resource, key: &ObjectKey, expect: Expect) -> Result<(), ApiError> {
        let beside = self.beside(resource, key, None, &[])?;
        let txn = Txn::default().and(keys::encode(resource, key), expect, Op::Delete);
        let said = |e: &CommitError| commit_error(resource, key, expect, e);
        let done = self.commit_beside(txn, beside, (resource, key), said).await?;
        self.image.reached(done.revision).await;
        Ok(())
    }
}

/// A create of the object, by the name that it has so far.
fn create_request(target: &Target, object: &Object, options: &WriteOptions) -> rules::Request {
    let meta = object.meta();
    rules::Request {
        subresource: "",
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        ..request_of(target, Operation::Create, options.dry_run)
    }
}

/// Whether the name is to be generated.
fn generates_name(object: &Object) -> bool {
    let told = |text: &Option<String>| text.as_deref().is_some_and(|t| !t.is_empty());
    told(&object.meta().generate_name) && !told(&object.meta().name)
}

/// An answer's entry that was never stored (dry run).
pub(crate) fn unsaved(object: Object) -> Arc<Entry> {
    let json = codec::encode(&object).into();
    let revision = object.meta().resource_version.as_deref().and_then(kinds::Revision::parse).unwrap_or_default();
    Arc::new(Entry::new(object.key(), object, json, revision))
}

/// The instant without its fraction: metadata times have whole seconds.
pub(crate) fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Turns field errors into the 422 that names the object's kind.
pub(crate) fn refuse(object: &Object, errors: &FieldErrors) -> Result<(), ApiError> {
    if errors.is_empty() {
        return Ok(());
    }
    let api_version = object.api_version();
    let group = api_version.split_once('/').map_or("", |(g, _)| g);
    let name = object.meta().name.clone().unwrap_or_default();
    let mut errors = errors.clone();
    codec::internal::tell(&mut errors);
    Err(ApiError::invalid(group, object.kind_name(), &name, &errors))
}

/// Puts the request's namespace into the object, or refuses another one.
pub(crate) fn fit_namespace(resource: &Resource, namespace: &str, object: &mut Object) -> Result<(), ApiError> {
    let given = object.meta().namespace.clone().unwrap_or_default();
    if !resource.namespaced() {
        object.meta_mut().namespace = None;
        return Ok(());
    }
    if !given.is_empty() && given != namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    object.meta_mut().namespace = Some(namespace.to_owned());
    Ok(())
}

fn commit_error(resource: &Resource, key: &ObjectKey, expect: Expect, error: &CommitError) -> ApiError {
    match error {
        CommitError::Conflict { .. } if expect == Expect::Absent => ApiError::already_exists(resource, &key.name),
        CommitError::Conflict { .. } => ApiError::modified(resource, &key.name),
        CommitError::TooLarge => ApiError::new(413, "RequestEntityTooLarge", "etcdserver: request is too large"),
        CommitError::NoSpace(_) => ApiError::new(500, "", "etcdserver: mvcc: database space exceeded").log(error),
        CommitError::Closed | CommitError::Unavailable(_) => ApiError::unavailable(error.to_string()),
        CommitError::ReadOnly(_) | CommitError::DuplicateKey(_) | CommitError::Unknown(_) => ApiError::internal(error),
    }
}
