//! Custom resources as their definitions have them: each definition is taken apart once a generation, and its rules are
//! applied where built-in kinds have a row of theirs. Docs: "Extend the Kubernetes API with CustomResourceDefinitions".

use jiff::Timestamp;
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionCondition,
};
use kinds::{CustomResource, Object, Resource, Time};
use crate::registry::Registry;
use cache::Snapshot;
use kinds::api::autoscaling::v1::Scale;
use kinds::{ApiError, FieldErrors};
use parking_lot::RwLock;
use rules::Rules;
use rules::customs::{self, Definition, Version};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How every custom resource behaves; its schema is enforced beside this.
pub(crate) static RULES: Rules = Rules {
    kind: kinds::Kind::CustomResourceDefinition,
    name: rules::NameRule::DnsSubdomain,
    default: |_| {},
    prepare_create: |o| o.meta_mut().generation = Some(1),
    prepare_update: |_, _| {},
    prepare_status_update: None,
    validate: rules::validate_dynamic,
    validate_update: rules::validate_dynamic_update,
    validate_status_update: rules::validate_dynamic_update,
    warnings: |_, _| Vec::new(),
    graceful_delete: None,
    allow_create_on_update: false,
    allow_unconditional_update: false,
    fields: |_| Vec::new(),
};

/// The resource that a definition defines.
#[must_use]
pub fn resource_of(crd: &CustomResourceDefinition) -> Resource {
    Resource::Custom(Arc::new(CustomResource {
        group: crd.spec.group.clone(),
        plural: crd.spec.names.plural.clone(),
        kind: crd.spec.names.kind.clone(),
        namespaced: crd.spec.scope == "Namespaced",
    }))
}

/// Holds a definition that is being deleted until its instances are gone, and says so.
pub(crate) fn hold(object: &mut Object, now: Timestamp) {
    const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
    let Object::CustomResourceDefinition(crd) = object else { return };
    let crd = Arc::make_mut(crd);
    let finalizers = crd.metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|f| f == FINALIZER) {
        finalizers.push(FINALIZER.to_owned());
    }
    let conditions = crd.status.get_or_insert_default().conditions.get_or_insert_default();
    conditions.retain(|c| c.type_ != "Terminating");
    conditions.push(CustomResourceDefinitionCondition {
        type_: "Terminating".to_owned(),
        status: "True".to_owned(),
        reason: Some("InstanceDeletionPending".to_owned()),
        message: Some("CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon".to_owned()),
        last_transition_time: Some(Time(now)),
        ..CustomResourceDefinitionCondition::default()
    });
}

/// So many definitions stay taken apart; the one that was needed longest ago makes room. Taking one apart costs a tenth of
/// a millisecond, keeping it a hundred kilobytes.
const TAKEN_APART_MAX: usize = 64;

/// A definition as of one generation.
struct Known {
    uid: String,
    generation: i64,
    /// Whether it is on its way out, which is no new generation.
    ending: bool,
    definition: Arc<Definition>,
    /// The count of uses when it was last needed.
    used: AtomicU64,
}

/// The definitions that were needed lately, taken apart.
#[derive(Default)]
pub(crate) struct Definitions {
    known: RwLock<HashMap<String, Known>>,
    uses: AtomicU64,
}

impl Definitions {
    fn get(&self, snapshot: &Snapshot, name: &str) -> Option<Arc<Definition>> {
        let Some(crd) = snapshot.get::<CustomResourceDefinition>("", name) else {
            if self.known.read().contains_key(name) {
                self.known.write().remove(name);
            }
            return None;
        };
        let (uid, generation) = (crd.metadata.uid.as_deref().unwrap_or_default(), crd.metadata.generation.unwrap_or_default());
        let ending = crd.metadata.deletion_timestamp.is_some();
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        let same = |k: &&Known| k.uid == uid && k.generation == generation && k.ending == ending;
        if let Some(k) = self.known.read().get(name).filter(same) {
            k.used.store(now, Ordering::Relaxed);
            return Some(Arc::clone(&k.definition));
        }
        let entry = snapshot.entry(&kinds::Kind::CustomResourceDefinition.into(), &kinds::ObjectKey::cluster(name))?;
        let definition = Arc::new(Definition::parse(&serde_json::from_slice(&entry.json).ok()?)?);
        let known =
            Known { uid: uid.to_owned(), generation, ending, definition: Arc::clone(&definition), used: AtomicU64::new(now) };
        self.keep(name, known);
        Some(definition)
    }

    fn keep(&self, name: &str, new: Known) {
        let mut known = self.known.write();
        if known.len() >= TAKEN_APART_MAX && !known.contains_key(name) {
            let oldest = known.iter().min_by_key(|(_, k)| k.used.load(Ordering::Relaxed)).map(|(n, _)| n.clone());
            oldest.map(|n| known.remove(&n));
        }
        known.insert(name.to_owned(), new);
    }
}

impl Registry {
    /// The definition of a custom resource, taken apart; `None` for built-ins.
    pub(crate) fn definition(&self, snapshot: &Snapshot, resource: &Resource) -> Option<Arc<Definition>> {
        let Resource::Custom(c) = resource else { return None };
        self.definitions.get(snapshot, &format!("{}.{}", c.plural, c.group))
    }

    /// The parsed definition of a custom resource as a snapshot has it.
    #[must_use]
    pub fn definition_at(&self, snapshot: &Snapshot, resource: &Resource) -> Option<Arc<Definition>> {
        self.definition(snapshot, resource)
    }

    /// An object as it is understood before admission: with its defaults, and without fields that its version does not know.
    #[must_use]
    pub fn understood(&self, resource: &Resource, mut object: Object) -> Object {
        (crate::registry::rules_of(resource).default)(&mut object);
        shape(self.definition(&self.snapshot(), resource).as_deref(), &mut object);
        object
    }

    /// Fields that a version of a custom resource does not know: `unknown field "spec.imag"`.
    #[must_use]
    pub fn unknown_fields(&self, resource: &Resource, api_version: &str, tree: &Value) -> Vec<String> {
        let Some(definition) = self.definition(&self.snapshot(), resource) else { return Vec::new() };
        let Value::Object(map) = tree else { return Vec::new() };
        let own = |k: &str| matches!(k, "apiVersion" | "kind" | "metadata");
        let mut body = map.iter().filter(|(k, _)| !own(k)).map(|(k, v)| (k.clone(), v.clone())).collect();
        let gone = customs::prune(&definition.version(api_version).schema, &mut body);
        let mut found = unknown_metadata(&tree["metadata"]);
        found.extend(gone.iter().map(|path| format!("unknown field {path:?}")));
        found.sort();
        found
    }

    /// The `Scale` of an object of any scalable resource.
    ///
    /// # Errors
    /// 404 for what cannot be scaled, 500 for a custom resource that does not say how many replicas it wants.
    pub fn scale_of(&self, resource: &Resource, object: &Object) -> Result<Scale, ApiError> {
        let (Object::Dynamic(d), Some(definition)) = (object, self.definition(&self.snapshot(), resource)) else {
            return rules::scale::of(object).ok_or_else(ApiError::no_such_path);
        };
        let paths = scaled(&definition).ok_or_else(ApiError::no_such_path)?;
        let missing = || ApiError::internal(format!("the spec replicas field {:?} does not exist", paths.spec_replicas));
        customs::scale(paths, d).ok_or_else(missing)
    }

    /// Sets the replicas of an object of any scalable resource.
    pub(crate) fn set_replicas(&self, resource: &Resource, object: &mut Object, replicas: i32) -> Result<(), ApiError> {
        let definition = self.definition(&self.snapshot(), resource);
        if let (Object::Dynamic(d), Some(definition)) = (&mut *object, definition) {
            let paths = scaled(&definition).ok_or_else(ApiError::no_such_path)?;
            customs::set_replicas(paths, Arc::make_mut(d), replicas);
            return Ok(());
        }
        rules::scale::set_replicas(object, replicas).ok_or_else(ApiError::no_such_path)
    }
}

pub(crate) fn scaled(definition: &Definition) -> Option<&customs::ScalePaths> {
    let others = || definition.versions.iter().find_map(|v| v.scale.as_ref());
    definition.storage().scale.as_ref().or_else(others)
}

fn unknown_metadata(metadata: &Value) -> Vec<String> {
    const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    let (Some(ty), true) = (schema::types().by_name(OBJECT_META), metadata.is_object()) else { return Vec::new() };
    let found = codec::strict::check(metadata.to_string().as_bytes(), Some(ty)).map(|f| f.strict).unwrap_or_default();
    let unknown = found.iter().filter_map(|t| t.strip_prefix("unknown field \""));
    unknown.map(|path| format!("unknown field \"metadata.{path}")).collect()
}

/// Before admission: what the spoken version does not know goes, and its defaults come.
pub(crate) fn shape(definition: Option<&Definition>, object: &mut Object) {
    let (Some(definition), Object::Dynamic(d)) = (definition, object) else { return };
    let d = Arc::make_mut(d);
    let version = definition.version(&d.api_version);
    customs::prune(&version.schema, &mut d.body);
    customs::default(&version.schema, &mut d.body);
}

/// The version that an object speaks.
pub(crate) fn spoken<'a>(definition: Option<&'a Definition>, object: &Object) -> Option<&'a Version> {
    definition.map(|d| d.version(&object.api_version()))
}

/// Before a create.
///
/// # Errors
/// 405 while the definition is on its way out.
pub(crate) fn prepare_create(definition: Option<&Definition>, object: &mut Object) -> Result<(), ApiError> {
    let (Some(definition), Object::Dynamic(d)) = (definition, &mut *object) else { return Ok(()) };
    if definition.terminating {
        let mut e = ApiError::method_not_supported(&d.resource, "create");
        e.message = "create not allowed while custom resource definition is terminating".to_owned();
        return Err(e);
    }
    let d = Arc::make_mut(d);
    customs::prepare_create(definition.version(&d.api_version), d);
    Ok(())
}

/// Before an update; `true` when it is one of the whole object.
pub(crate) fn prepare_update(definition: &Definition, subresource: &str, new: &mut Object, old: &Object) -> bool {
    let (Object::Dynamic(n), Object::Dynamic(o)) = (new, old) else { return true };
    let n = Arc::make_mut(n);
    match subresource {
        "status" => customs::prepare_status_update(n, o),
        _ => customs::prepare_update(definition.version(&n.api_version), n, o),
    }
    subresource.is_empty()
}

/// Judges an object by the schema of the version that it speaks.
pub(crate) fn judge(definition: Option<&Definition>, new: &Object, old: Option<&Object>, errors: &mut FieldErrors) {
    let Some(version) = spoken(definition, new) else { return };
    let tree = codec::to_value(new);
    match old {
        Some(old) => customs::validate_update(version, &tree, &codec::to_value(old), errors),
        None => customs::validate(version, &tree, errors),
    }
}

/// What the spoken version does not know goes.
pub(crate) fn prune(definition: Option<&Definition>, object: &mut Object) {
    let (Some(definition), Object::Dynamic(d)) = (definition, object) else { return };
    let d = Arc::make_mut(d);
    customs::prune(&definition.version(&d.api_version).schema, &mut d.body);
}

#[cfg(test)]
mod tests;
