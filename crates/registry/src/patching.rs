//! Patches: from the stored object to the next one through its JSON tree. Docs: "Update API Objects in Place Using
//! kubectl patch", "Server-Side Apply".

use crate::fieldowners::{self, Owners};
use crate::modify::Next;
use crate::registry::{Answer, Caller, Registry};
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
    fn decode(&self, target: &Target, tree: Value, patch: &Patch) -> Result<Object, ApiError> {
        let object = codec::from_value(&self.spoken, tree).map_err(|e| {
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
        let Asked { spoken, validation } = asked;
        let warnings = Mutex::new(Vec::new());
        let next = |old: &Entry| {
            let mut tree = asked.tree(old)?;
            apply(&mut tree, patch, spoken.builtin())?;
            let found = self.strict(spoken, &tree, *validation)?;
            if *validation == FieldValidation::Strict && !found.is_empty() {
                return Err(refused(target, patch, &found));
            }
            *warnings.lock() = found;
            asked.decode(target, tree, patch)
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
        let mut config: Value =
            serde_json::from_slice(&patch.body).map_err(|e| ApiError::bad_request(format!("error decoding YAML: {e}")))?;
        check_config(&config, target)?;
        let namespaced = target.resource.namespaced();
        if namespaced {
            config["metadata"]["namespace"] = target.key.namespace.as_str().into();
        }
        let api_version = config["apiVersion"].as_str().unwrap_or_default().to_owned();
        let time = fieldowners::stamp(self.now());
        let sample = codec::from_value(spoken, config.clone()).map_err(|e| ApiError::bad_request(e.to_string()))?;
        let definition = self.definition(&self.snapshot(), &target.resource);
        let version = definition.as_deref().map(|d| d.version(&api_version));
        let (shape, ignore) =
            (fieldowners::shape(&sample, version), fieldowners::reset_by(target.subresource, &sample, version));
        let writer = Writer {
            manager: &options.field_manager,
            api_version: &api_version,
            subresource: target.subresource,
            now: &time,
            ignore,
        };
        let done = |live: Option<&Value>| -> Result<Object, ApiError> {
            let tree = patch::apply::apply(live, &config, shape, writer, options.force).map_err(conflicts)?;
            asked.decode(target, tree, patch)
        };
        if self.snapshot().entry(&target.resource, &target.key).is_none() {
            if !target.subresource.is_empty() {
                return Err(ApiError::not_found(&target.resource, &target.key.name));
            }
            let object = done(None)?;
            match self.create_owned(caller, target, object, options, Owners::Settled).await {
                Err(e) if e.is_already_exists() => self.catch_up().await?,
                made => return made,
            }
        }
        let next = |old: &Entry| done(Some(&asked.tree(old)?));
        self.modify(caller, target, options, Next::Apply(&next)).await
    }
}

fn conflicts(e: ApplyError) -> ApiError {
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

fn apply(tree: &mut Value, patch: &Patch, kind: Option<Kind>) -> Result<(), ApiError> {
    let parsed = || serde_json::from_slice::<Value>(&patch.body).map_err(|e| ApiError::bad_request(e.to_string()));
    match patch.kind {
        PatchKind::Json => patch::json::apply(tree, &patch.body).map_err(|e| status(&e))?,
        PatchKind::Merge => {
            let body = parsed()?;
            if !body.is_object() {
                return Err(ApiError::bad_request("json: cannot unmarshal into Go value of type map[string]interface {}"));
            }
            patch::merge::apply(tree, body);
        }
        PatchKind::Strategic => {
            let Some(kind) = kind else { return Err(unsupported_media()) };
            let i = kind.info();
            let shape = Shape::of_kind(i.group, i.version, i.kind);
            patch::strategic::apply(tree, parsed()?, shape).map_err(|e| status(&e))?;
        }
        // Answered before it comes here.
        PatchKind::Apply => return Err(unsupported_media()),
    }
    Ok(())
}

/// What an applied configuration must say of itself.
fn check_config(config: &Value, target: &Target) -> Result<(), ApiError> {
    let name = config["metadata"]["name"].as_str().unwrap_or_default();
    if config["apiVersion"].as_str().is_none() || config["kind"].as_str().is_none() {
        return Err(ApiError::bad_request("invalid object type: apiVersion and kind must be set"));
    }
    if !name.is_empty() && name != target.key.name {
        return Err(ApiError::bad_request(format!(
            "name in URL does not match name in apply: {} != {name}", target.key.name
        )));
    }
    Ok(())
}

fn unsupported_media() -> ApiError {
    ApiError::new(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
    )
}

fn status(error: &PatchError) -> ApiError {
    match error {
        PatchError::Malformed(m) => ApiError::bad_request(m.clone()),
        PatchError::Unprocessable(m) | PatchError::TestFailed(m) => ApiError::new(422, "Invalid", m.clone()),
        PatchError::TooLarge(m) => ApiError::new(413, "RequestEntityTooLarge", m.clone()),
    }
}

impl Registry {
    fn strict(&self, resource: &Resource, tree: &Value, validation: FieldValidation) -> Result<Vec<String>, ApiError> {
        if validation == FieldValidation::Ignore {
            return Ok(Vec::new());
        }
        let Some(kind) = resource.builtin() else {
            return Ok(self.unknown_fields(resource, tree["apiVersion"].as_str().unwrap_or_default(), tree));
        };
        let i = kind.info();
        let json = serde_json::to_vec(tree).map_err(ApiError::internal)?;
        let ty = schema::types().by_gvk(i.group, i.version, i.kind);
        codec::strict::check(&json, ty).map(|f| f.strict).map_err(|e| ApiError::bad_request(e.to_string()))
    }
}

fn refused(target: &Target, patch: &Patch, found: &[String]) -> ApiError {
    let mut errors = FieldErrors::default();
    let text = format!("strict decoding error: {}", found.join(", "));
    errors.invalid(&Path::new("patch"), String::from_utf8_lossy(&patch.body).as_ref(), text);
    ApiError::invalid(target.resource.group(), target.resource.kind_name(), &target.key.name, &errors)
}
