//! What admission is told a request is about: the resource and kind as the client named them, and the options of the verb.
//! API reference: admission.k8s.io/v1 AdmissionRequest.

use super::{Ask, Given, Speaks};
use kinds::{DeleteOptions, Kind, Object, Resource, WriteOptions};
use rules::policies::{Asked, Gvk, Gvr, Invocation};
use serde_json::{Value, json};

/// Subresources whose objects are of a kind of their own.
const PARTS: [&str; 4] = ["scale", "binding", "eviction", "token"];

impl Ask<'_> {
    /// The question about an object, and the one that was.
    #[must_use]
    pub fn about<'o>(&'o self, object: Option<&'o Object>, old: Option<&'o Object>) -> Asked<'o> {
        let resource = self.resource(object, old);
        let kind = self.kind(&resource, object);
        Asked { ctx: self.ctx, request: self.request, named: Invocation { resource, kind }, object, old }
    }

    /// The resource as the client named it.
    fn resource(&self, object: Option<&Object>, old: Option<&Object>) -> Gvr {
        let of = |k: Kind| {
            let i = k.info();
            Gvr { group: i.group.into(), version: i.version.into(), plural: i.plural.into() }
        };
        match (&self.request.resource, &self.caller.speaks) {
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
    fn kind(&self, resource: &Gvr, object: Option<&Object>) -> Gvk {
        if let Some(c) = &self.connect {
            return Gvk { group: String::new(), version: "v1".into(), kind: c.kind.into() };
        }
        if let Some(o) = object.filter(|_| PARTS.contains(&self.request.subresource)) {
            let api_version = o.api_version();
            let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
            return Gvk { group: group.into(), version: version.into(), kind: o.kind_name().into() };
        }
        let view = Kind::from_gvr(&resource.group, &resource.version, &resource.plural);
        let name = view.map_or(self.request.resource.kind_name(), |k| k.info().kind);
        Gvk { group: resource.group.clone(), version: resource.version.clone(), kind: name.to_owned() }
    }
}

fn write_options(kind: &str, o: &WriteOptions) -> Value {
    let mut tree = json!({ "kind": kind, "apiVersion": "meta.k8s.io/v1" });
    if o.dry_run {
        tree["dryRun"] = json!(["All"]);
    }
    if !o.field_manager.is_empty() {
        tree["fieldManager"] = o.field_manager.as_str().into();
    }
    tree
}

fn delete_options(o: &DeleteOptions) -> Value {
    let mut tree = json!({ "kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1" });
    if let Some(d) = o.dry_run.as_ref().filter(|d| !d.is_empty()) {
        tree["dryRun"] = json!(d);
    }
    if let Some(s) = o.grace_period_seconds {
        tree["gracePeriodSeconds"] = s.into();
    }
    if let Some(b) = o.orphan_dependents {
        tree["orphanDependents"] = b.into();
    }
    if let Some(p) = &o.propagation_policy {
        tree["propagationPolicy"] = p.as_str().into();
    }
    if let Some(p) = &o.preconditions {
        let mut conditions = json!({});
        for (k, v) in [("uid", &p.uid), ("resourceVersion", &p.resource_version)] {
            if let Some(v) = v {
                conditions[k] = v.as_str().into();
            }
        }
        tree["preconditions"] = conditions;
    }
    tree
}

/// The options of the verb as webhooks and policies see them.
#[must_use]
pub fn options(given: Given<'_>) -> Value {
    match given {
        Given::Create(o) => write_options("CreateOptions", o),
        Given::Update(o) => write_options("UpdateOptions", o),
        Given::Nothing => Value::Null,
        Given::Delete(o) => delete_options(o),
    }
}
