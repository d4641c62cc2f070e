//! Writes of the `scale` subresource: a `Scale` is replaced, patched or applied, and what comes of it are the replicas of the
//! scaled object and who owns them. API reference: autoscaling/v1 Scale; KEP-555 for the owners.

#[cfg(test)]
mod tests;

use crate::admit::Given;
use crate::customs;
use crate::fieldowners;
use crate::modify::{CONFLICT_TRIES, Next};
use crate::patching::{self, Asked, FieldValidation};
use crate::registry::{Answer, Caller, Registry};
use cache::Entry;
use kinds::api::autoscaling::v1::Scale;
use kinds::{ApiError, FieldErrors, Kind, Object, ObjectKey, Patch, PatchKind, Path, Resource, Target, WriteOptions};
use patch::Shape;
use patch::apply::{Managed, SCALE_VERSION, Writer};
use rules::Operation;
use serde_json::Value;

/// The subresource.
const SCALE: &str = "scale";
/// Where built-in kinds have their replicas.
const REPLICAS: &str = "spec.replicas";

/// What becomes of the stored `Scale`.
enum Wish<'a> {
    Replace(&'a Scale),
    Patch(&'a Patch, FieldValidation),
}

/// A scale as it is shown: no replicas are wanted by not saying how many.
#[must_use]
pub fn shown(mut scale: Scale) -> Object {
    if let Some(spec) = &mut scale.spec {
        spec.replicas = spec.replicas.filter(|n| *n != 0);
    }
    Object::from(scale)
}

fn shape() -> Shape<'static> {
    let i = Kind::Scale.info();
    Shape::of_kind(i.group, i.version, i.kind)
}

impl Registry {
    /// Sets the replicas that a `Scale` asks for.
    ///
    /// # Errors
    /// As an update of the scaled object.
    pub async fn set_scale(
        &self,
        caller: &Caller,
        resource: &Resource,
        key: &ObjectKey,
        scale: &Scale,
        options: &WriteOptions,
    ) -> Result<Answer, ApiError> {
        let target = Target::new(resource.clone(), key.clone()).sub(SCALE);
        self.scaled(caller, &target, &Wish::Replace(scale), options).await
    }

    /// Patches or applies a `Scale`.
    ///
    /// # Errors
    /// As [`Registry::patch_checked`].
    pub async fn patch_scale(
        &self,
        caller: &Caller,
        (resource, key): (&Resource, &ObjectKey),
        patch: &Patch,
        options: &WriteOptions,
        validation: FieldValidation,
    ) -> Result<Answer, ApiError> {
        let target = Target::new(resource.clone(), key.clone()).sub(SCALE);
        let mut tries = 1;
        loop {
            match self.scaled(caller, &target, &Wish::Patch(patch, validation), options).await {
                // Somebody wrote between: what the patch says of versions is judged anew.
                Err(e) if e.is_conflict() && tries < CONFLICT_TRIES && self.moved(&target, &e) => tries += 1,
                done => return done,
            }
        }
    }

    /// Whether a conflict is about the version of the object, and not about owners.
    fn moved(&self, target: &Target, e: &ApiError) -> bool {
        e.message == ApiError::modified(&target.resource, &target.key.name).message
    }

    async fn scaled(&self, caller: &Caller, target: &Target, wish: &Wish<'_>, options: &WriteOptions) -> Result<Answer, ApiError> {
        let (resource, key) = (&target.resource, &target.key);
        let stored = self.get(resource, key)?;
        let before = self.scale_of(resource, stored.object())?;
        let manager = self.manager(options, caller);
        if let Wish::Replace(Scale { metadata, .. }) = wish
            && let Some(name) = metadata.name.as_deref().filter(|n| *n != key.name)
        {
            let why = format!("the name of the object ({name}) does not match the name on the URL ({})", key.name);
            return Err(ApiError::bad_request(why));
        }
        let Wanted { scale, owners, warnings } = match wish {
            Wish::Replace(scale) => Wanted { scale: (*scale).clone(), owners: None, warnings: Vec::new() },
            Wish::Patch(patch, validation) => self.patched(target, &stored, (patch, *validation), (&manager, options.force))?,
        };
        let how = (target, Operation::Update, Given::Update(options));
        let admitted = self.admit_part(caller, how, Object::from(scale), Some(&Object::from(before))).await?;
        let Object::Scale(scale) = &admitted else { return Err(ApiError::internal("a scale became something else")) };
        let replicas = scale.spec.as_ref().and_then(|s| s.replicas).unwrap_or(0);
        if replicas < 0 {
            let mut errors = FieldErrors::default();
            errors.invalid(&Path::new(REPLICAS), replicas, "must be greater than or equal to 0");
            return Err(ApiError::invalid("autoscaling", "Scale", &key.name, &errors));
        }
        let version = scale.metadata.resource_version.clone().filter(|v| !v.is_empty());
        let uid = scale.metadata.uid.clone().filter(|u| !u.is_empty());
        let next = |old: &Entry| {
            let mut object = old.object().clone();
            self.set_replicas(resource, &mut object, replicas)?;
            let settled = match &owners {
                Some(owners) => Owning::Are(owners.clone()),
                None => Owning::Update { manager: &manager, replicas },
            };
            self.own_scaled(resource, &mut object, old, settled)?;
            // Without a version of the client's it is the stored one: some kinds take no unconditional update.
            if version.is_some() {
                object.meta_mut().resource_version.clone_from(&version);
            }
            if uid.is_some() {
                object.meta_mut().uid.clone_from(&uid);
            }
            Ok(object)
        };
        let whole = Target::new(resource.clone(), key.clone());
        let mut answer = self.modify(caller, &whole, options, Next::Scale(&next)).await?;
        answer.warnings.extend(warnings);
        Ok(answer)
    }

    /// The stored `Scale` as a tree, with its owners.
    fn scale_tree(&self, resource: &Resource, stored: &Entry) -> Result<(Value, Managed), ApiError> {
        let mut tree = codec::to_value(&shown(self.scale_of(resource, stored.object())?));
        let object: Value = serde_json::from_slice(&stored.json).map_err(ApiError::internal)?;
        let parent = Managed::read(&object).unwrap_or_default();
        parent.as_scale(&self.replicas_path(resource)).write(&mut tree);
        Ok((tree, parent))
    }

    /// The `Scale` that a patch leads to.
    fn patched(
        &self,
        target: &Target,
        stored: &Entry,
        (patch, validation): (&Patch, FieldValidation),
        (manager, force): (&str, bool),
    ) -> Result<Wanted, ApiError> {
        let asked = Asked { spoken: Kind::Scale.into(), validation };
        let (mut tree, _) = self.scale_tree(&target.resource, stored)?;
        let (mut owners, mut warnings, mut judged) = (None, Vec::new(), None);
        if patch.kind == PatchKind::Apply {
            let config = patching::config(patch, &asked.spoken, target)?;
            let now = fieldowners::stamp(self.now());
            let writer = Writer { manager, api_version: SCALE_VERSION, subresource: SCALE, now: &now, ignore: &[], versions: None };
            patch::apply::check(&config, shape()).map_err(patching::conflicts)?;
            tree = patch::apply::apply(Some(&tree), &config, shape(), writer, force).map_err(patching::conflicts)?;
            owners = Managed::read(&tree);
        } else {
            tree["metadata"].as_object_mut().map(|meta| meta.remove("managedFields"));
            patching::apply(&mut tree, patch, asked.spoken.builtin())?;
            (warnings, judged) = self.strictly(&asked, &tree, patch)?;
        }
        let Object::Scale(scale) = asked.decode(target, tree, patch, judged)? else { return Err(ApiError::no_such_path()) };
        Ok(Wanted { scale: Scale::clone(&scale), owners, warnings })
    }

    /// Settles who owns what in a scaled object.
    fn own_scaled(&self, resource: &Resource, object: &mut Object, old: &Entry, owning: Owning<'_>) -> Result<(), ApiError> {
        let (live, parent) = self.scale_tree(resource, old)?;
        let scale = match owning {
            Owning::Are(scale) => scale,
            Owning::Update { manager, replicas } => {
                let mut new = live.clone();
                new["spec"]["replicas"] = replicas.into();
                let now = fieldowners::stamp(self.now());
                let writer = Writer { manager, api_version: SCALE_VERSION, subresource: SCALE, now: &now, ignore: &[], versions: None };
                patch::apply::tracked(Some(live), new, shape(), writer)
            }
        };
        let api_version = object.api_version();
        let managed = parent.with_scale(&scale, &self.replicas_path(resource), &api_version);
        object.meta_mut().managed_fields = fieldowners::entries(&managed);
        Ok(())
    }

    /// Where a resource has its replicas, dotted.
    fn replicas_path(&self, resource: &Resource) -> String {
        let definition = self.definition(&self.snapshot(), resource);
        let paths = definition.as_deref().and_then(customs::scaled);
        paths.map_or_else(|| REPLICAS.to_owned(), |p| p.spec_replicas.trim_start_matches('.').to_owned())
    }
}

/// A `Scale` that is to be, with its owners if they are settled.
struct Wanted {
    scale: Scale,
    owners: Option<Managed>,
    warnings: Vec<String>,
}

/// Who owns the replicas after a write.
enum Owning<'a> {
    /// These managers of the `Scale`.
    Are(Managed),
    /// Whoever updates them.
    Update { manager: &'a str, replicas: i32 },
}
