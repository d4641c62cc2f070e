//! Conditions and policies over small worlds.

use super::conditions::{Conditions, Input};
use super::{Change, compiled};
use crate::policies::mutating;
use kinds::api::admissionregistration::v1::MatchCondition;
use serde_json::{Value, json};

struct Nobody;

impl cel::Authorizer for Nobody {
    fn decide(&self, q: &cel::Question) -> cel::Decision {
        cel::Decision { allowed: q.verb == "get" && q.resource == "pods", ..cel::Decision::default() }
    }
}

fn holds(expressions: &[&str]) -> Result<bool, String> {
    let list: Vec<MatchCondition> =
        expressions.iter().map(|e| MatchCondition { name: "c".into(), expression: (*e).to_owned() }).collect();
    let conditions = Conditions::compile(&list);
    let object = json!({ "metadata": { "name": "x", "labels": { "a": "b" } }, "spec": { "replicas": 3 } });
    let request = json!({ "operation": "CREATE", "resource": { "group": "", "resource": "pods" }, "userInfo": { "username": "u", "groups": ["g"] } });
    conditions.evaluate(&Input { object: &object, old: &Value::Null, request: &request, authorizer: &Nobody })
}

#[test]
fn conditions_must_all_hold() {
    assert_eq!(holds(&[]), Ok(true));
    assert_eq!(holds(&["object.spec.replicas > 2", "request.userInfo.username == 'u'", "oldObject == null"]), Ok(true));
    assert_eq!(holds(&["object.spec.nope == 1", "object.spec.replicas > 5"]), Ok(false));
    assert_eq!(holds(&["object.spec.nope == 1"]), Err("expression 'object.spec.nope == 1' resulted in error: no such key: nope".to_owned()));
    assert_eq!(holds(&["authorizer.group('').resource('pods').check('get').allowed()"]), Ok(true));
    assert_eq!(holds(&["authorizer.requestResource.check('get').allowed()"]), Ok(true));
    assert_eq!(holds(&["authorizer.requestResource.check('delete').allowed()"]), Ok(false));
    assert!(holds(&["object.spec.replicas"]).is_err_and(|e| e.ends_with("must evaluate to bool")));
}

#[test]
fn mutations_make_patches() {
    use kinds::api::admissionregistration::v1::{ApplyConfiguration, JSONPatch, MutatingAdmissionPolicy, MutatingAdmissionPolicySpec, Mutation};
    let apply = "Object{metadata: Object.metadata{labels: Object.metadata.labels{env: variables.env}}}";
    let patch = "has(object.x) ? [] : [JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b'), value: 'c'}]";
    let policy = MutatingAdmissionPolicy {
        spec: Some(MutatingAdmissionPolicySpec {
            variables: Some(vec![kinds::api::admissionregistration::v1::Variable { name: "env".into(), expression: "'test'".into() }]),
            mutations: Some(vec![
                Mutation {
                    patch_type: "ApplyConfiguration".into(),
                    apply_configuration: Some(ApplyConfiguration { expression: Some(apply.into()) }),
                    ..Mutation::default()
                },
                Mutation {
                    patch_type: "JSONPatch".into(),
                    json_patch: Some(JSONPatch { expression: Some(patch.into()) }),
                    ..Mutation::default()
                },
            ]),
            ..MutatingAdmissionPolicySpec::default()
        }),
        ..MutatingAdmissionPolicy::default()
    };
    let compiled = compiled::mutating(&policy);
    let (object, request) = (json!({ "metadata": {} }), json!({}));
    let question = super::environment::question(&request);
    let given = super::Given {
        object: &object, old: &Value::Null, request: &request, params: &Value::Null, namespace: &Value::Null, authorizer: &Nobody,
        question: &question,
    };
    let mut left = 1_000_000;
    let changes: Vec<Change> = compiled.mutations.iter().map(|m| mutating::change(&compiled, m, &given, &mut left).expect("a change")).collect();
    assert_eq!(changes[0], Change::Apply(json!({ "metadata": { "labels": { "env": "test" } } })));
    assert_eq!(changes[1], Change::Json(json!([{ "op": "add", "path": "/metadata/labels/a~1b", "value": "c" }])));
}
