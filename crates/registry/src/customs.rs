//! Custom resources as their definitions name them.

use jiff::Timestamp;
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionCondition,
};
use kinds::{CustomResource, Object, Resource, Time};
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
