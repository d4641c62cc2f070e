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
    assert_eq!(with(serde_json::json!({ "max": 1 }), None), [format!("{at}: Invalid value: {{\"max\":1}}: must not have unknown fields")]);
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

/// What is said of a schema; with `status`, objects have a status subresource.
fn judged(schema: &str, status: bool) -> Vec<String> {
    let found = errors(|c| {
        let root: JSONSchemaProps = kinds_schema(schema);
        c.spec.versions[0].schema = Some(CustomResourceValidation { open_api_v3_schema: Some(root) });
        if status {
            let status = Some(CustomResourceSubresourceStatus(serde_json::json!({})));
            c.spec.versions[0].subresources = Some(CustomResourceSubresources { status, ..Default::default() });
        }
    });
    found.into_iter().map(|text| text.replace("spec.validation.openAPIV3Schema", "$")).collect()
}

/// A schema of the keywords that the tables below use.
fn kinds_schema(text: &str) -> JSONSchemaProps {
    fn read(v: &serde_json::Value) -> JSONSchemaProps {
        let text = |k: &str| v[k].as_str().map(str::to_owned);
        let flag = |k: &str| v[k].as_bool();
        let list = |k: &str| v[k].as_array().map(|l| l.iter().map(read).collect::<Vec<_>>());
        let texts = |k: &str| v[k].as_array().map(|l| l.iter().filter_map(|t| t.as_str().map(str::to_owned)).collect::<Vec<_>>());
        JSONSchemaProps {
            type_: text("type"),
            format: text("format"),
            description: text("description"),
            id: text("id"),
            schema: text("$schema"),
            default: v.get("default").map(|d| JSON(d.clone())),
            nullable: flag("nullable"),
            max_properties: v["maxProperties"].as_i64(),
            required: texts("required"),
            items: v.get("items").map(|i| JSONSchemaPropsOrArray::Schema(Box::new(read(i)))),
            all_of: list("allOf"),
            any_of: list("anyOf"),
            one_of: list("oneOf"),
            not: v.get("not").map(|n| Box::new(read(n))),
            properties: v["properties"].as_object().map(|m| m.iter().map(|(k, p)| (k.clone(), read(p))).collect()),
            additional_properties: v.get("additionalProperties").map(|a| match a.as_bool() {
                Some(b) => JSONSchemaPropsOrBool::Bool(b),
                None => JSONSchemaPropsOrBool::Schema(Box::new(read(a))),
            }),
            x_kubernetes_preserve_unknown_fields: flag("keep"),
            x_kubernetes_embedded_resource: flag("embedded"),
            x_kubernetes_int_or_string: flag("either"),
            x_kubernetes_list_type: text("list"),
            x_kubernetes_list_map_keys: texts("keys"),
            x_kubernetes_map_type: text("map"),
            ..JSONSchemaProps::default()
        }
    }
    read(&serde_json::from_str(text).expect("JSON"))
}

#[test]
fn schemas_are_structural() {
    let one = |part: &str, want: &str| {
        let found = judged(&format!("{{\"type\":\"object\",{part}}}"), false);
        assert_eq!(found, want.split('|').filter(|w| !w.is_empty()).collect::<Vec<_>>(), "{part}");
    };
    one(r#""properties":{"a":{"anyOf":[{"type":"integer"},{"type":"string"}],"either":true}}"#, "");
    one(r#""properties":{"a":{"allOf":[{"anyOf":[{"type":"integer"},{"type":"string"}]}],"either":true}}"#, "");
    one(r#""properties":{"a":{"type":"string","anyOf":[{"type":"string"}]}}"#, "$.properties[a].anyOf[0].type: Forbidden: must be empty to be structural");
    one(r#""properties":{"a":{"type":"object","not":{"nullable":true,"default":1}}}"#,
        "$.properties[a].not.default: Forbidden: must be undefined to be structural|$.properties[a].not.nullable: Forbidden: must be false to be structural");
    one(r#""allOf":[{"properties":{"a":{}}}]"#, "$.properties[a]: Required value: because it is defined in $.allOf[0].properties[a]");
    one(r#""anyOf":[{"properties":{"metadata":{}}}]"#,
        "$.anyOf[0].properties[metadata]: Forbidden: must not be specified in a nested context|$.properties[metadata]: Required value: because it is defined in $.anyOf[0].properties[metadata]");
    one(r#""properties":{"l":{"type":"array","items":{}}}"#, "$.properties[l].items.type: Required value: must not be empty for specified array items");
    one(r#""additionalProperties":false"#, "$.additionalProperties: Forbidden: must not be used at the root");
    one(r#""properties":{"metadata":{"type":"object","properties":{"name":{"type":"string"}}}}"#, "");
    one(r#""properties":{"metadata":{"type":"object","properties":{"labels":{"type":"object"}}}}"#,
        "$.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified");
    one(r#""properties":{"kind":{"type":"integer"}}"#, "$.properties[kind].type: Invalid value: \"integer\": must be string");
    one(r#""properties":{"e":{"type":"object","embedded":true}}"#,
        "$.properties[e].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields");
    one(r#""properties":{"e":{"keep":true,"embedded":true}}"#, "$.properties[e].type: Required value: must be object if x-kubernetes-embedded-resource is true");
    one(r#""properties":{"e":{"keep":true,"either":true}}"#,
        "$.properties[e].x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true");
}

#[test]
fn keywords_fit_each_other() {
    let one = |part: &str, want: &str| {
        let found = judged(&format!("{{\"type\":\"object\",\"properties\":{{\"a\":{{{part}}}}}}}"), false);
        assert_eq!(found, want.split('|').filter(|w| !w.is_empty()).collect::<Vec<_>>(), "{part}");
    };
    one(r#""type":"object","map":"atomic""#, "");
    one(r#""type":"object","map":"x""#, "$.properties[a].x-kubernetes-map-type: Unsupported value: \"x\": supported values: \"atomic\", \"granular\"");
    one(r#""type":"string","map":"atomic""#, "$.properties[a].type: Invalid value: \"string\": must be object if x-kubernetes-map-type is specified");
    one(r#""keep":true,"list":"set""#, "$.properties[a].type: Required value: must be array if x-kubernetes-list-type is specified");
    one(r#""type":"array","items":{"type":"object"},"list":"set""#,
        "$.properties[a].items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set");
    one(r#""type":"array","items":{"type":"string"},"keys":["k"],"list":"atomic""#,
        "$.properties[a].x-kubernetes-list-type: Invalid value: \"atomic\": must be map if x-kubernetes-list-map-keys is non-empty");
    one(r#""type":"array","items":{"type":"string"},"keys":["k"],"list":"map""#,
        "$.properties[a].items.type: Invalid value: \"string\": must be object if parent array's x-kubernetes-list-type is map");
    one(r#""type":"array","items":{"type":"object","properties":{"k":{"type":"string"}},"required":["k"]},"keys":["k","k"],"list":"map""#,
        "$.properties[a].x-kubernetes-list-map-keys: Invalid value: [\"k\",\"k\"]: must not contain duplicate entries");
    one(r#""type":"array","items":{"type":"string","nullable":true},"list":"set""#,
        "$.properties[a].items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set");
    one(r#""type":"object","keep":false"#, "$.properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined");
    one(r#""type":"object","properties":{"b":{"type":"string"}},"additionalProperties":true"#, "");
    one(r#""type":"object","properties":{"b":{"type":"string"}},"additionalProperties":false"#,
        "$.properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive");
    one(r#""type":"object","id":"x""#, "$.properties[a].id: Forbidden: id is not supported");
    one(r#""type":"object","$schema":"x""#, "$: Invalid value: \"\": OpenAPIV3Schema 'schema' is not supported");
}

#[test]
fn the_root_beside_a_status() {
    assert_eq!(judged(r#"{"type":"object","description":"d","required":["spec"]}"#, true), Vec::<String>::new());
    assert_eq!(judged(r#"{"type":"object","nullable":true}"#, false), ["$.nullable: Forbidden: nullable cannot be true at the root"]);
    for part in ["\"maxProperties\":1", "\"not\":{}", "\"allOf\":[{}]", "\"map\":\"atomic\"", "\"either\":true"] {
        let found = judged(&format!("{{\"type\":\"object\",{part}}}"), true);
        let (begins, ends) = ("$: Invalid value: {\"ID\":\"\",\"Schema\":\"\",\"Ref\":null,", "fields are allowed at the root of the schema if the status subresource is enabled");
        assert!(found.len() == 1 && found[0].starts_with(begins) && found[0].ends_with(ends), "{part}: {found:?}");
    }
}

#[test]
fn conversions() {
    let with = |conversion: CustomResourceConversion| errors(|c| c.spec.conversion = Some(conversion));
    let hook = |versions: &[&str], url: &str| CustomResourceConversion {
        strategy: "Webhook".into(),
        webhook: Some(WebhookConversion {
            client_config: Some(WebhookClientConfig { url: Some(url.into()), ..Default::default() }),
            conversion_review_versions: versions.iter().map(|v| (*v).to_owned()).collect(),
        }),
    };
    let at = "spec.conversion";
    assert_eq!(with(hook(&["v1"], "https://a/b")), Vec::<String>::new());
    assert_eq!(with(CustomResourceConversion::default()), [format!("{at}.strategy: Required value")]);
    assert_eq!(
        with(hook(&["v9", "v9"], "http://a")),
        [
            format!("{at}.webhookClientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]"),
            format!("{at}.conversionReviewVersions[1]: Invalid value: \"v9\": duplicate version"),
            format!("{at}.conversionReviewVersions: Invalid value: [\"v9\",\"v9\"]: must include at least one of v1, v1beta1"),
        ]
    );
    let none = |webhook| with(CustomResourceConversion { strategy: "None".into(), webhook: Some(webhook) });
    assert_eq!(none(WebhookConversion::default()), Vec::<String>::new());
    let asked = WebhookConversion { conversion_review_versions: vec!["v1".into()], ..Default::default() };
    assert_eq!(none(asked), [format!("{at}.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook")]);
}

#[test]
fn unknown_formats_are_warned_of() {
    let warned = |format: &str, before: &str| {
        let of = |format: &str| {
            let root = JSONSchemaProps { format: Some(format.into()), ..typed("string") };
            let schema = Some(CustomResourceValidation { open_api_v3_schema: Some(root) });
            let versions = vec![CustomResourceDefinitionVersion { schema, ..Default::default() }];
            CustomResourceDefinition { spec: CustomResourceDefinitionSpec { versions, ..Default::default() }, ..Default::default() }
        };
        (rules(Kind::CustomResourceDefinition).warnings)(&of(format).into(), Some(&of(before).into()))
    };
    assert_eq!(warned("date-time", ""), Vec::<String>::new());
    assert_eq!(warned("hue", ""), ["unrecognized format \"hue\""]);
    assert_eq!(warned("hue", "hue"), Vec::<String>::new());
}
