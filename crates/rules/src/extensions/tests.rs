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
    let unstored = errors(|c| c.spec.versions[0].storage = false);
    assert!(unstored[0].starts_with("spec.versions: Invalid value: [{\"Name\":\"v1\",") && unstored[0].ends_with("must have exactly one version marked as storage version"), "{unstored:?}");
    assert_eq!(unstored[1..], ["status.storedVersions: Invalid value: null: must have at least one stored version"]);
    assert_eq!(
        errors(|c| c.spec.versions[0].schema = None),
        ["spec.versions[0].schema.openAPIV3Schema: Required value"]
    );
    assert_eq!(
        errors(|c| {
            let root = c.spec.versions[0].schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()).expect("schema");
            root.properties = Some([("a".to_owned(), JSONSchemaProps::default())].into());
        }),
        ["spec.validation.openAPIV3Schema.properties[a].type: Required value: must not be empty for specified object fields"]
    );
}

fn property(c: &mut CustomResourceDefinition, name: &str, p: JSONSchemaProps) {
    for v in &mut c.spec.versions {
        let root = v.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()).expect("schema");
        root.properties.get_or_insert_default().insert(name.to_owned(), p.clone());
    }
}

fn typed(name: &str) -> JSONSchemaProps {
    JSONSchemaProps { type_: Some(name.into()), ..JSONSchemaProps::default() }
}

#[test]
fn defaults_satisfy_their_schema_and_its_rules() {
    let with = |default: serde_json::Value, rule: Option<&str>| {
        errors(|c| {
            let rules = rule.map(|r| vec![ValidationRule { rule: r.into(), ..ValidationRule::default() }]);
            let p = JSONSchemaProps {
                properties: Some([("min".to_owned(), typed("integer"))].into()),
                default: Some(JSON(default)),
                x_kubernetes_validations: rules,
                ..typed("object")
            };
            property(c, "worker", p);
        })
    };
    let at = "spec.validation.openAPIV3Schema.properties[worker].default";
    assert_eq!(with(serde_json::json!({ "min": 1 }), Some("self.min >= 1")), Vec::<String>::new());
    assert_eq!(
        with(serde_json::json!({}), Some("self.min >= 1")),
        [format!("{at}: Invalid value: \"object\": no such key: min evaluating rule: self.min >= 1")]
    );
    assert_eq!(with(serde_json::json!({ "max": 1 }), None), [format!("{at}: Invalid value: {{\"max\":1}}: must be pruned")]);
    assert!(with(serde_json::json!({ "min": "x" }), None)[0].starts_with(&format!("{at}.min: Invalid value: \"string\": ")));
}

#[test]
fn keys_of_map_lists_are_always_there() {
    let found = errors(|c| {
        let item = JSONSchemaProps { properties: Some([("port".to_owned(), typed("integer"))].into()), ..typed("object") };
        let list = JSONSchemaProps {
            items: Some(JSONSchemaPropsOrArray::Schema(Box::new(item))),
            x_kubernetes_list_type: Some("map".into()),
            x_kubernetes_list_map_keys: Some(vec!["port".into()]),
            ..typed("array")
        };
        property(c, "ports", list);
    });
    assert_eq!(
        found,
        ["spec.validation.openAPIV3Schema.properties[ports].items.properties[port].default: Required value: this property is in \
          x-kubernetes-list-map-keys, so it must have a default or be a required property"]
    );
}

#[test]
fn fields_to_select_by_are_scalars_of_the_schema() {
    let with = |path: &str, versions: usize| {
        errors(|c| {
            property(c, "color", typed("string"));
            property(c, "parts", typed("object"));
            c.spec.versions[0].selectable_fields = Some(vec![SelectableField { json_path: path.into() }]);
            for i in 1..versions {
                let mut next = CustomResourceDefinitionVersion { name: format!("v{}", i + 1), storage: false, ..c.spec.versions[0].clone() };
                next.schema = Some(CustomResourceValidation { open_api_v3_schema: Some(typed("object")) });
                c.spec.versions.push(next);
            }
        })
    };
    let at = "spec.selectableFields[0].jsonPath: Invalid value";
    assert_eq!(with(".color", 1), Vec::<String>::new());
    assert_eq!(with(".nope", 1), [format!("{at}: \".nope\": is an invalid path: does not refer to a valid field")]);
    let scalar = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
    assert_eq!(with(".parts", 1), [format!("{at}: \".parts\": {scalar}")]);
    assert_eq!(with(".color", 2), ["spec.selectableFields: Invalid value: \"\": may only be set when validations.schema is included"]);
}

/// What a change of a stored definition is answered: of the whole, and of its status.
fn changed(change: impl FnOnce(&mut CustomResourceDefinition)) -> [Vec<String>; 2] {
    let names = CustomResourceDefinitionNames { plural: "tabs".into(), kind: "Tab".into(), ..Default::default() };
    let version = CustomResourceDefinitionVersion { name: "v1".into(), served: true, storage: true, ..Default::default() };
    let spec = CustomResourceDefinitionSpec { group: "example.com".into(), scope: "Cluster".into(), names, versions: vec![version], ..Default::default() };
    let metadata = ObjectMeta { name: Some("tabs.example.com".into()), resource_version: Some("1".into()), ..Default::default() };
    let mut old = Object::from(CustomResourceDefinition { metadata, spec, status: None });
    let r = rules(Kind::CustomResourceDefinition);
    (r.default)(&mut old);
    let mut new = old.clone();
    let Object::CustomResourceDefinition(c) = &mut new else { panic!("a definition") };
    change(std::sync::Arc::make_mut(c));
    [r.validate_update, r.validate_status_update].map(|judge| {
        let mut e = FieldErrors::default();
        judge(&new, &old, &mut e);
        e.0.iter().map(|x| x.path.to_string()).filter(|p| !p.contains("schema")).collect()
    })
}

#[test]
fn a_changed_definition() {
    let [whole, _] = changed(|c| c.spec.names.plural = "other".into());
    assert_eq!(whole, ["spec.names.plural"], "that the name fits is asked of new ones alone");
    let accepted = |c: &mut CustomResourceDefinition| {
        let names = CustomResourceDefinitionNames { plural: "Bad!".into(), ..Default::default() };
        c.status.get_or_insert_default().accepted_names = Some(names);
    };
    assert_eq!(changed(accepted)[1], ["status.acceptedNames.plural"]);
}
