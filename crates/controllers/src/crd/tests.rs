//! Tables and laws of `crd`.

use super::*;
use crate::harness::Harness;
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinitionNames, CustomResourceDefinitionSpec};
use kinds::{DeleteOptions, Object, ObjectKey, ObjectMeta, Target};
use serde_json::Map;

fn definition(plural: &str, kind: &str, short: &str) -> CustomResourceDefinition {
    let names = CustomResourceDefinitionNames {
        plural: plural.to_owned(),
        kind: kind.to_owned(),
        singular: Some(kind.to_lowercase()),
        list_kind: Some(format!("{kind}List")),
        short_names: Some(vec![short.to_owned()]),
        ..CustomResourceDefinitionNames::default()
    };
    let spec = CustomResourceDefinitionSpec {
        group: "example.com".to_owned(),
        scope: "Namespaced".to_owned(),
        names,
        ..CustomResourceDefinitionSpec::default()
    };
    let metadata = ObjectMeta { name: Some(format!("{plural}.example.com")), ..ObjectMeta::default() };
    CustomResourceDefinition { metadata, spec, ..CustomResourceDefinition::default() }
}

fn says(h: &Harness, name: &str, kind: &str) -> String {
    let d = h.world.get::<CustomResourceDefinition>("", name);
    let c = conditions::find(&d, kind).cloned().unwrap_or_default();
    format!("{} {}: {}", c.status, c.reason.unwrap_or_default(), c.message.unwrap_or_default())
}

#[test]
fn free_names_are_accepted_and_taken_ones_wait() {
    let mut h = Harness::new(&[&CONTROLLER]);
    h.world.given(definition("crontabs", "CronTab", "ct"));
    h.settle();
    assert_eq!(says(&h, "crontabs.example.com", "NamesAccepted"), "True NoConflicts: no conflicts found");
    let established = "True InitialNamesAccepted: the initial names have been accepted";
    assert_eq!(says(&h, "crontabs.example.com", "Established"), established);
    h.world.given(definition("tables", "Table", "ct"));
    h.settle();
    assert_eq!(says(&h, "tables.example.com", "NamesAccepted"), "False ShortNamesConflict: \"ct\" is already in use");
    assert_eq!(says(&h, "tables.example.com", "Established"), "False NotAccepted: not all names are accepted");
    h.world.erase::<CustomResourceDefinition>("", "crontabs.example.com");
    h.settle();
    assert_eq!(says(&h, "tables.example.com", "Established"), established);
}

#[test]
fn instances_go_before_their_definition() {
    let mut h = Harness::new(&[&CONTROLLER]);
    let mut d = definition("crontabs", "CronTab", "ct");
    d.metadata.finalizers = Some(vec!["customresourcecleanup.apiextensions.k8s.io".to_owned()]);
    h.world.given(d);
    h.settle();
    let resource = Resource::Custom(Arc::new(kinds::CustomResource {
        group: "example.com".to_owned(),
        plural: "crontabs".to_owned(),
        kind: "CronTab".to_owned(),
        namespaced: true,
    }));
    let metadata = ObjectMeta { name: Some("x".into()), namespace: Some("default".into()), ..ObjectMeta::default() };
    let instance = kinds::Dynamic {
        resource: resource.clone(),
        api_version: "example.com/v1".to_owned(),
        kind: "CronTab".to_owned(),
        metadata,
        body: Map::new(),
    };
    h.world.create(Object::Dynamic(Arc::new(instance))).expect("created");
    assert!(h.world.snapshot().table(&resource).is_some_and(|t| t.len() == 1));
    let target = Target::new(Kind::CustomResourceDefinition, ObjectKey::cluster("crontabs.example.com"));
    h.world.delete(&target, &DeleteOptions::default()).expect("deleted");
    h.settle();
    assert!(h.world.snapshot().table(&resource).is_none_or(|t| t.is_empty()));
    assert!(h.world.all::<CustomResourceDefinition>().is_empty());
}
