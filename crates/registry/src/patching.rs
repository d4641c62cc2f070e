//! Patches: from the stored object to the next one through its JSON tree. Docs: "Update API Objects in Place Using
//! kubectl patch", "Server-Side Apply".

use crate::fieldowners::{self, Owners};
use crate::modify::Next;
use crate::registry::{Answer, Caller, Registry};
use crate::tongues::Tongues;
use cache::Entry;
use kinds::field::Bare;
use kinds::{ApiError, FieldErrors, Kind, Object, Patch, PatchKind, Path, Resource, Target, WriteOptions};
use parking_lot::Mutex;
use kinds::error::{Cause, Details};
use patch::apply::{ApplyError, Writer};
use patch::{PatchError, Shape};
use serde_json::Value;

/// `fieldValidation`: what unknown and duplicate fields lead to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// How a client asks for a patch.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The resource in the version of the request: a view's fields are patched as the view has them.
    pub spoken: Resource,
    pub validation: FieldValidation,
}

impl Asked {
    /// The version of the request, when something else is stored.
    fn view(&self) -> Option<Kind> {
        self.spoken.builtin().filter(|k| k.stored_as() != *k)
    }

    /// A stored object as the client sees it.
    fn tree(&self, old: &Entry) -> Result<Value, ApiError> {
        match self.view() {
            Some(kind) => {
                let seen = rules::convert::to_served(kind, fieldowners::whole(old.object(), &old.json)).map_err(ApiError::internal)?;
                Ok(codec::to_value(&seen))
            }
            None => serde_json::from_slice(&old.json).map_err(ApiError::internal),
        }
    }

    /// What is to be stored, from what the client sees.
    pub(crate) fn decode(&self, target: &Target, mut tree: Value, patch: &Patch, judged: Option<Judged>) -> Result<Object, ApiError> {
        let ty = self.ty();
        if let (PatchKind::Strategic | PatchKind::Apply, Some(ty)) = (patch.kind, ty) {
            codec::restore::narrow(&mut tree, ty);
        }
        let mut judged = judged;
        if let Some(why) = ty.and_then(|ty| misfit(&tree, patch, ty, &mut judged)) {
            return Err(match patch.kind {
                PatchKind::Apply => self.unconverted(patch, &why),
                _ => unreadable(&tree, patch, &why),
            });
        }
        // What is empty is dropped when the owners are worked out, and those of an applied configuration are.
        let applied = patch.kind == PatchKind::Apply;
        let dropped = applied && ty.is_some_and(|ty| codec::emit::drop_empty(&mut tree, ty));
        let object = match judged.filter(|_| !dropped) {
            Some(judged) => codec::decode_resource(&self.spoken, &judged.text),
            None => codec::from_value(&self.spoken, tree),
        };
        let object = object.map_err(|e| {
            let mut errors = FieldErrors::default();
            let body = String::from_utf8_lossy(&patch.body).into_owned();
            errors.invalid(&Path::new("patch"), Bare(format!("{body:?}")), e.to_string());
            ApiError::invalid(self.spoken.group(), self.spoken.kind_name(), &target.key.name, &errors)
        })?;
        match self.view() {
            Some(_) => rules::convert::to_stored(object).map_err(ApiError::internal),
            None => Ok(object),
        }
    }

    /// The kind's structs.
    fn ty(&self) -> Option<&'static schema::Type> {
        codec::type_of(self.spoken.builtin()?)
    }

    /// 500 about an applied configuration after which the object cannot be read.
    fn unconverted(&self, patch: &Patch, why: &str) -> ApiError {
        let config: Value = serde_json::from_slice(&patch.body).unwrap_or_default();
        let text = |k: &str| config["metadata"][k].as_str().unwrap_or_default().to_owned();
        let kind = self.spoken.builtin().map_or_else(String::new, |k| {
            let i = k.info();
            format!("{}/{}, Kind={}", i.group, i.version, i.kind)
        });
        let (namespace, name) = (text("namespace"), text("name"));
        let why = format!(
            "failed to convert new object ({namespace}/{name}; {kind}) to proper version: unable to convert unstructured object to {kind}: {why}"
        );
        ApiError::new(500, "", why)
    }
}

/// The text of a patched tree of a built-in kind, and what the strict pass over it found that is no matter of validation.
pub(crate) struct Judged {
    text: Vec<u8>,
    shape: Option<String>,
}

/// What does not fit the kind's structs. What was not judged yet is, unless the kind of patch asks for another look: then
/// nothing stays of the judgement, since the tree may have been narrowed.
fn misfit(tree: &Value, patch: &Patch, ty: &'static schema::Type, judged: &mut Option<Judged>) -> Option<String> {
    if matches!(patch.kind, PatchKind::Strategic | PatchKind::Apply) {
        *judged = None;
        return codec::restore::problem(tree, ty);
    }
    if judged.is_none() {
        let text = serde_json::to_vec(tree).ok()?;
        let shape = codec::strict::check(&text, Some(ty)).ok().and_then(|found| found.shape);
        *judged = Some(Judged { text, shape });
    }
    judged.as_mut().and_then(|judged| judged.shape.take())
}

/// 422 about no object in particular: what a patch led to cannot be read. A strategic patch is shown itself, as Go prints it.
fn unreadable(tree: &Value, patch: &Patch, why: &str) -> ApiError {
    let shown = match patch.kind {
        PatchKind::Strategic => serde_json::from_slice(&patch.body).map(|p: Value| patch::strategic::go_value(&p)).unwrap_or_default(),
        _ => tree.to_string(),
    };
    let mut errors = FieldErrors::default();
    errors.invalid(&Path::new("patch"), shown, why);
    ApiError::invalid("", "", "", &errors)
}

impl Registry {
    /// Patches an object or one of its subresources; unknown fields are dropped.
    ///
    /// # Errors
    /// A patch that does not fit, and everything an update can fail with.
    pub async fn patch(
        &self,
        caller: &Caller,
        target: &Target,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Answer, ApiError> {
        let asked = Asked { spoken: target.resource.clone(), validation: FieldValidation::Ignore };
        self.patch_checked(caller, target, patch, options, &asked).await
    }

    /// The same in the version that the client speaks, with a word on unknown and duplicate fields.
    ///
    /// # Errors
    /// As [`Registry::patch`], and 422 under `Strict`.
    pub async fn patch_checked(
        &self,
        caller: &Caller,
        target: &Target,
        patch: &Patch,
        options: &WriteOptions,
        asked: &Asked,
    ) -> Result<Answer, ApiError> {
        if patch.kind == PatchKind::Apply {
            return self.apply(caller, target, patch, options, asked).await;
        }
        let spoken = &asked.spoken;
        let warnings = Mutex::new(Vec::new());
        let next = |old: &Entry| {
            let mut tree = asked.tree(old)?;
            apply(&mut tree, patch, spoken.builtin())?;
            let (found, judged) = self.strictly(asked, &tree, patch)?;
            *warnings.lock() = found;
            asked.decode(target, tree, patch, judged)
        };
        let answer = self.modify(caller, target, options, Next::Compute(&next)).await;
        answer.map(|mut a| {
            a.warnings.extend(warnings.into_inner());
            a
        })
    }

    /// Server-side apply: merges the configuration, or creates the object from it.
    async fn apply(
        &self,
        caller: &Caller,
        target: &Target,
        patch: &Patch,
        options: &WriteOptions,
        asked: &Asked,
    ) -> Result<Answer, ApiError> {
        // Unknown fields have no owner: applying them fails, whatever the validation.
        let spoken = &asked.spoken;
        let config = config(patch, spoken, target)?;
        let api_version = config["apiVersion"].as_str().unwrap_or_default().to_owned();
        let time = fieldowners::stamp(self.now());
        let definition = self.definition(&self.snapshot(), &target.resource);
        let version = definition.as_deref().map(|d| d.version(&api_version));
        let kind = spoken.builtin();
        let (shape, ignore) = (fieldowners::shape(kind, version), fieldowners::reset_by(target.subresource, kind, version));
        patch::apply::check(&config, shape).map_err(conflicts)?;
        let tongues = Tongues::new(kind, definition.as_deref());
        let writer = Writer {
            manager: &options.field_manager,
            api_version: &api_version,
            subresource: target.subresource,
            now: &time,
            ignore,
            versions: Some(&tongues),
        };
        let done = |live: Option<&Value>| -> Result<Object, ApiError> {
            let mut tree = patch::apply::apply(live, &config, shape, writer, options.force).map_err(conflicts)?;
            if live.is_none() && target.resource.namespaced() {
                tree["metadata"]["namespace"] = target.key.namespace.as_str().into();
            }
            asked.decode(target, tree, patch, None)
        };
        if self.snapshot().entry(&target.resource, &target.key).is_none() {
            if !target.subresource.is_empty() {
                return Err(ApiError::not_found(&target.resource, &target.key.name));
            }
            check_new(&config, target)?;
            let object = done(None)?;
            match self.create_owned(caller, target, object, options, Owners::Settled).await {
                Err(e) if e.is_already_exists() => self.catch_up().await?,
                made => return made,
            }
        }
        // Where an answer of a conversion webhook was needed, what came of the attempt without it does not count.
        let next = |old: &Entry| done(Some(&asked.tree(old)?)).and_then(|o| if tongues.wants() { Err(unanswered()) } else { Ok(o) });
        loop {
            let made = self.modify(caller, target, options, Next::Apply(&next)).await;
            if !tongues.ask(self, &self.snapshot(), &target.resource).await? {
                return made;
            }
        }
    }
}

/// Said to nobody: the attempt is made again.
fn unanswered() -> ApiError {
    ApiError::internal("a conversion is needed first")
}

pub(crate) fn conflicts(e: ApplyError) -> ApiError {
    match e {
        ApplyError::Conflicts { message, causes } => {
            let cause = |c: patch::apply::Conflict| Cause {
                reason: "FieldManagerConflict".into(),
                message: c.message,
                field: c.field,
            };
            let causes = causes.into_iter().map(cause).collect();
            ApiError::new(409, "Conflict", message).with_details(Details { causes, ..Details::default() })
        }
        ApplyError::Typed(_) => ApiError::new(500, "", e.to_string()),
        ApplyError::BadRequest(text) => ApiError::bad_request(text),
    }
}

/// An object that a configuration creates: it has no uid yet, and says its name.
fn check_new(config: &Value, target: &Target) -> Result<(), ApiError> {
    let text = |key: &str| config["metadata"][key].as_str().unwrap_or_default();
    let name = &target.key.name;
    if !text("uid").is_empty() {
        let why = format!("uid mismatch: the provided object specified uid {}, and no existing object was found", text("uid"));
        return Err(ApiError::conflict(&target.resource, name, why));
    }
    if text("name").is_empty() {
        let why = format!("the name of the object ({name} based on URL) was undeterminable: name must be provided");
        return Err(ApiError::bad_request(why));
    }
    Ok(())
}

/// A patch that is no JSON, in Go's words.
fn parsed(body: &[u8]) -> Result<Value, ApiError> {
    let bad = |why: String| ApiError::bad_request(format!("error decoding patch: {why}"));
    codec::strict::check(body, None).map_err(|e| bad(e.to_string()))?;
    serde_json::from_slice(body).map_err(|e| bad(e.to_string()))
}

/// The same that must be an object.
fn parsed_object(body: &[u8]) -> Result<Value, ApiError> {
    let tree = parsed(body)?;
    if tree.is_object() {
        return Ok(tree);
    }
    Err(ApiError::bad_request(format!("error decoding patch: {}", no_object(&tree))))
}

/// As Go says that something is no object.
fn no_object(tree: &Value) -> String {
    let word = match tree {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Null => "null",
    };
    format!("json: cannot unmarshal {word} into Go value of type map[string]interface {{}}")
}

pub(crate) fn apply(tree: &mut Value, patch: &Patch, kind: Option<Kind>) -> Result<(), ApiError> {
    match patch.kind {
        PatchKind::Json => {
            parsed(&patch.body)?;
            patch::json::apply(tree, &patch.body).map_err(|e| status(&e))?;
        }
        PatchKind::Merge => patch::merge::apply(tree, parsed_object(&patch.body)?),
        PatchKind::Strategic => {
            let Some(kind) = kind else { return Err(unsupported_media()) };
            let i = kind.info();
            let shape = Shape::of_kind(i.group, i.version, i.kind);
            let failed = |e: &PatchError| match e {
                PatchError::Malformed(m) => ApiError::new(500, "", m.clone()),
                other => status(other),
            };
            patch::strategic::apply(tree, parsed_object(&patch.body)?, shape).map_err(|e| failed(&e))?;
        }
        // Answered before it comes here.
        PatchKind::Apply => return Err(unsupported_media()),
    }
    Ok(())
}

/// What an applied configuration must say of itself.
pub(crate) fn config(patch: &Patch, spoken: &Resource, target: &Target) -> Result<Value, ApiError> {
    let config = serde_json::from_slice(&patch.body).map_err(|e| ApiError::bad_request(format!("error decoding YAML: {e}")))?;
    check_config(&config, spoken, target)?;
    Ok(config)
}

fn check_config(config: &Value, spoken: &Resource, target: &Target) -> Result<(), ApiError> {
    // Nothing at all is an object without members.
    if !config.is_object() && !config.is_null() {
        let why = no_object(config);
        return Err(ApiError::bad_request(format!("error decoding YAML: error unmarshaling JSON: while decoding JSON: {why}")));
    }
    let text = |key: &str| config[key].as_str().unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let known = spoken.builtin().is_none_or(|k| {
        let i = k.info();
        let wanted = if i.group.is_empty() { i.version.to_owned() } else { format!("{}/{}", i.group, i.version) };
        wanted == version && i.kind == kind
    });
    if version.is_empty() || kind.is_empty() || !known {
        let slash = if version.contains('/') { "" } else { "/" };
        return Err(ApiError::bad_request(format!("invalid object type: {slash}{version}, Kind={kind}")));
    }
    let name = config["metadata"]["name"].as_str().unwrap_or_default();
    if !name.is_empty() && name != target.key.name {
        let why = format!("the name of the object ({name}) does not match the name on the URL ({})", target.key.name);
        return Err(ApiError::bad_request(why));
    }
    Ok(())
}

/// Said where nothing more is.
const REJECTED: &str = "the server rejected our request due to an error in our request";

fn unsupported_media() -> ApiError {
    ApiError::new(415, "UnsupportedMediaType", "415: Unsupported Media Type").with_details(Details::default())
}

fn status(error: &PatchError) -> ApiError {
    match error {
        PatchError::Malformed(m) => ApiError::bad_request(m.clone()),
        PatchError::Unprocessable(_) | PatchError::TestFailed(_) => ApiError::new(422, "Invalid", REJECTED).with_details(Details::default()),
        PatchError::TooLarge(m) => ApiError::new(413, "RequestEntityTooLarge", m.clone()),
    }
}

impl Registry {
    /// What a strict reader says of a patched tree, and what else it found.
    pub(crate) fn strictly(&self, asked: &Asked, tree: &Value, patch: &Patch) -> Result<(Vec<String>, Option<Judged>), ApiError> {
        let (found, judged) = self.strict(&asked.spoken, tree, asked.validation)?;
        if asked.validation == FieldValidation::Strict && !found.is_empty() {
            return Err(unreadable(tree, patch, &format!("strict decoding error: {}", found.join(", "))));
        }
        Ok((found, judged))
    }

    fn strict(&self, resource: &Resource, tree: &Value, validation: FieldValidation) -> Result<(Vec<String>, Option<Judged>), ApiError> {
        if validation == FieldValidation::Ignore {
            return Ok((Vec::new(), None));
        }
        let Some(kind) = resource.builtin() else {
            return Ok((self.unknown_fields(resource, tree["apiVersion"].as_str().unwrap_or_default(), tree), None));
        };
        let text = serde_json::to_vec(tree).map_err(ApiError::internal)?;
        let found = codec::strict::check(&text, codec::type_of(kind)).map_err(|e| ApiError::bad_request(e.to_string()))?;
        Ok((found.strict, Some(Judged { text, shape: found.shape })))
    }
}
