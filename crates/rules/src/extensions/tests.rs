//! Tables and laws of `extensions`.

use crate::rules;
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::*;
use kinds::{FieldErrors, Kind, Object, ObjectMeta};

fn errors(change: impl FnOnce(&mut CustomResourceDefinition)) -> Vec<String> {
    let schema = JSONSchemaProps { type_: Some("object".into()), ..Default::default() };
    let version = CustomResourceDefinitionVersion {
        name: "v1".into(),
        served: true,
        storage: true,
        schema: Some(CustomResourceValidation { open_api_v3_schema: Some(schema) }),
        ..Default::default()
    };
    let mut c = CustomResourceDefinition {
        metadata: ObjectMeta { name: Some("tabs.example.com".into()), ..Default::default() },
        spec: CustomResourceDefinitionSpec {
            group: "example.com".into(),
            scope: "Namespaced".into(),
            names: CustomResourceDefinitionNames { plural: "tabs".into(), kind: "Tab".into(), ..Default::default() },
            versions: vec![version],
            ..Default::default()
        },
        ..Default::default()
    };
    change(&mut c);
    let mut o = Object::from(c);
    let r = rules(Kind::CustomResourceDefinition);
    (r.default)(&mut o);
    (r.prepare_create)(&mut o);
    let mut e = FieldErrors::default();
    (r.validate)(&o, &mut e);
    e.0.iter().map(ToString::to_string).collect()
}

#[test]
fn definitions() {
    assert_eq!(errors(|_| {}), Vec::<String>::new());
    assert_eq!(
        errors(|c| c.metadata.name = Some("x".into())),
        ["metadata.name: Invalid value: \"x\": must be spec.names.plural+\".\"+spec.group"]
    );
    assert_eq!(
        errors(|c| c.spec.versions[0].storage = false),
        ["spec.versions: Invalid value: []: must have exactly one version marked as storage version"]
    );
    assert_eq!(
        errors(|c| c.spec.versions[0].schema = None),
        ["spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required"]
    );
    assert_eq!(
        errors(|c| {
            let root = c.spec.versions[0].schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()).expect("schema");
            root.properties = Some([("a".to_owned(), JSONSchemaProps::default())].into());
        }),
        ["spec.versions[0].schema.openAPIV3Schema.properties[a].type: Required value: must not be empty for specified object fields"]
    );
}
