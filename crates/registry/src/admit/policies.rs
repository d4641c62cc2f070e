//! Admission policies on a write: what `rules::policies` says, carried out. The write is shown as JSON only when a policy
//! matches it. KEP-3488, KEP-3962.

use super::{Admission, Given, Speaks};
use crate::{customs, fieldowners};
use kinds::{ApiError, Kind, Object, Resource, WriteOptions};
use patch::{Form, PatchError, Shape};
use rules::policies::{self, Asked, Change, Gvk, Gvr};
use serde_json::{Value, json};

/// The resource as the client named it.
fn resource(admission: &Admission<'_>, object: Option<&Object>, old: Option<&Object>) -> Gvr {
    let of = |k: Kind| {
        let i = k.info();
        Gvr { group: i.group.into(), version: i.version.into(), plural: i.plural.into() }
    };
    match (&admission.request.resource, &admission.caller.speaks) {
        (Resource::Builtin(_), Speaks::View(k)) => of(*k),
        (Resource::Builtin(k), _) => of(*k),
        (Resource::Custom(c), speaks) => {
            let own = object.or(old).map(Object::api_version).unwrap_or_default();
            let version = match speaks {
                Speaks::Version(v) => v.to_string(),
                _ => own.rsplit('/').next().unwrap_or_default().to_owned(),
            };
            Gvr { group: c.group.clone(), version, plural: c.plural.clone() }
        }
    }
}

/// The kind that the request carries: the resource's own, or that of the subresource.
fn kind(admission: &Admission<'_>, resource: &Gvr, object: Option<&Object>) -> Gvk {
    if let Some(c) = &admission.connect {
        return Gvk { group: String::new(), version: "v1".into(), kind: c.kind.into() };
    }
    let part = matches!(admission.request.subresource, "scale" | "binding" | "eviction" | "token");
    if let Some(o) = object.filter(|_| part) {
        let api_version = o.api_version();
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        return Gvk { group: group.into(), version: version.into(), kind: o.kind_name().into() };
    }
    let view = Kind::from_gvr(&resource.group, &resource.version, &resource.plural);
    let name = view.map_or(admission.request.resource.kind_name(), |k| k.info().kind);
    Gvk { group: resource.group.clone(), version: resource.version.clone(), kind: name.to_owned() }
}

fn options(given: Given<'_>) -> Value {
    let write = |kind: &str, o: &WriteOptions| {
        let mut tree = json!({ "kind": kind, "apiVersion": "meta.k8s.io/v1" });
        if !o.field_manager.is_empty() {
            tree["fieldManager"] = o.field_manager.as_str().into();
        }
        if o.dry_run {
            tree["dryRun"] = json!(["All"]);
        }
        tree
    };
    match given {
        Given::Create(o) => write("CreateOptions", o),
        Given::Update(o) => write("UpdateOptions", o),
        Given::Delete(o) => {
            let mut tree = json!({ "kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1" });
            if let Some(s) = o.grace_period_seconds {
                tree["gracePeriodSeconds"] = s.into();
            }
            if let Some(p) = &o.propagation_policy {
                tree["propagationPolicy"] = p.as_str().into();
            }
            tree
        }
        Given::Nothing => Value::Null,
    }
}

fn json_of(object: Option<&Object>) -> Value {
    object.map_or(Value::Null, codec::to_value)
}

impl Admission<'_> {
    fn asked<'o>(&'o self, object: Option<&'o Object>, old: Option<&'o Object>) -> Asked<'o> {
        let resource = resource(self, object, old);
        let kind = kind(self, &resource, object);
        Asked { ctx: self.ctx, request: &self.request, resource, kind, object, old }
    }

    fn parts(&self, object: Option<&Object>, old: Option<&Object>) -> [Value; 3] {
        let shown = match &self.connect {
            Some(c) => c.options.clone(),
            None => json_of(object),
        };
        [shown, json_of(old), options(self.given)]
    }

    /// Whether there is a binding of that kind: without one, policies cost a look at a table.
    fn bound(&self, kind: Kind) -> bool {
        self.ctx.snapshot.table(&kind.into()).is_some_and(|t| !t.is_empty())
    }

    /// Lets the policies refuse.
    pub(super) fn policies_validate(&self, object: Option<&Object>, old: Option<&Object>) -> Result<(), ApiError> {
        if !self.bound(Kind::ValidatingAdmissionPolicyBinding) {
            return Ok(());
        }
        let asked = self.asked(object, old);
        let verdict = policies::validate(&asked, &self.registry.policies, &|| self.parts(object, old));
        if let Some(notes) = &self.caller.notes {
            verdict.warnings.into_iter().for_each(|w| notes.warn(w));
            verdict.annotations.into_iter().for_each(|(k, v)| notes.annotate(k, v));
        }
        verdict.denied.map_or(Ok(()), Err)
    }

    /// Lets the policies change the object.
    pub(super) fn policies_mutate(&self, object: Object, old: Option<&Object>, again: bool) -> Result<Object, ApiError> {
        if !self.bound(Kind::MutatingAdmissionPolicyBinding) {
            return Ok(object);
        }
        let asked = self.asked(Some(&object), old);
        let definition = self.registry.definition(self.ctx.snapshot, &self.request.resource);
        let version = customs::spoken(definition.as_deref(), &object);
        let shape = fieldowners::shape(object.kind(), version);
        let mut apply = |tree: &Value, change: &Change| changed(tree, change, shape);
        let parts = || self.parts(Some(&object), old);
        let next = policies::mutate(&asked, &self.registry.policies, &parts, (&mut apply, again))?;
        let Some(tree) = next else { return Ok(object) };
        let resource = match object.kind() {
            Some(k) => Resource::Builtin(k),
            None => self.request.resource.clone(),
        };
        let mut object = codec::from_value(&resource, tree).map_err(ApiError::internal)?;
        (self.settle)(&mut object);
        Ok(object)
    }
}

/// Carries out one change.
fn changed(tree: &Value, change: &Change, shape: Shape<'_>) -> Result<Value, String> {
    match change {
        Change::Json(operations) => {
            let mut next = tree.clone();
            match patch::json::apply(&mut next, operations.to_string().as_bytes()) {
                Ok(()) => Ok(next),
                // A patch with a test is a condition: where it does not hold, nothing changes.
                Err(PatchError::TestFailed(_)) => Ok(tree.clone()),
                Err(e) => Err(format!("JSON Patch: {e}")),
            }
        }
        Change::Apply(config) => {
            let mut found = Vec::new();
            atomics(config, shape, String::new(), &mut found);
            if !found.is_empty() {
                let list = found.join(", ");
                return Err(format!("error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {list}"));
            }
            Ok(patch::apply::merge(tree, config, shape))
        }
    }
}

/// Where a configuration sets something that can only be replaced as a whole. What stands in an element of a list belongs to
/// that element: a container is added with its arguments.
fn atomics(config: &Value, shape: Shape<'_>, path: String, found: &mut Vec<String>) {
    let whole = matches!(shape.form(), Form::Atomic) || (config.is_array() && shape.form() == Form::Deduced);
    match config {
        Value::Object(_) | Value::Array(_) if whole => found.push(path),
        Value::Object(map) => {
            for (key, v) in map {
                atomics(v, shape.child(key).unwrap_or(Shape::Any), format!("{path}.{key}"), found);
            }
        }
        _ => {}
    }
}
