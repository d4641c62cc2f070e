//! Custom resources as their definitions name them.

use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{CustomResource, Resource};
use rules::Rules;
use std::sync::Arc;

/// How every custom resource behaves; its schema is enforced beside this.
pub(crate) static RULES: Rules = Rules {
    kind: kinds::Kind::CustomResourceDefinition,
    name: rules::NameRule::DnsSubdomain,
    default: |_| {},
    prepare_create: |o| o.meta_mut().generation = Some(1),
    prepare_update: |new, old| {
        let (kinds::Object::Dynamic(n), kinds::Object::Dynamic(o)) = (&*new, old) else { return };
        let spec_of = |d: &kinds::Dynamic| d.body.iter().filter(|(k, _)| *k != "status").map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>();
        if spec_of(n) != spec_of(o) {
            let next = old.meta().generation.unwrap_or(0) + 1;
            new.meta_mut().generation = Some(next);
        }
    },
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
