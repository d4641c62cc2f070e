//! Selectors that name fields of a version that only a webhook can make.

use super::*;
use crate::admit::{Ask, Hooks, Phase, Round};
use crate::list::ListQuery;
use crate::tests::{caller, open_with};
use kinds::selector::parse_fields;
use kinds::{DeleteOptions, Fut, Kind, ObjectKey, Target, WriteOptions};
use serde_json::{Value, json};
use store::MemoryDisk;

/// Turns `at: a:b` of v1 into `a` and `b` of v2, and back.
struct Turner;

impl Turner {
    fn turn(object: &Object, to: &str) -> Object {
        let mut o = object.clone();
        let Object::Dynamic(d) = &mut o else { panic!("a custom resource") };
        let d = Arc::make_mut(d);
        let text = |d: &kinds::Dynamic, f: &str| d.body.get(f).and_then(Value::as_str).unwrap_or_default().to_owned();
        if to.ends_with("/v2") {
            let (host, port) = text(d, "at").split_once(':').map(|(h, p)| (h.to_owned(), p.to_owned())).unwrap_or_default();
            d.body.insert("host".into(), host.into());
            d.body.insert("port".into(), port.into());
            d.body.remove("at");
        } else {
            let at = format!("{}:{}", text(d, "host"), text(d, "port"));
            d.body.insert("at".into(), at.into());
            d.body.remove("host");
            d.body.remove("port");
        }
        to.clone_into(&mut d.api_version);
        o
    }
}

impl Hooks for Turner {
    fn concern(&self, _: Phase, _: &Ask<'_>) -> bool {
        false
    }
    fn mutate<'a>(
        &'a self,
        _: &'a Ask<'a>,
        object: Option<Object>,
        _: Option<&'a Object>,
        _: &'a mut Round,
    ) -> Fut<'a, Option<Object>> {
        Box::pin(async move { Ok(object) })
    }
    fn validate<'a>(&'a self, _: &'a Ask<'a>, _: Option<&'a Object>, _: Option<&'a Object>) -> Fut<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    fn convert<'a>(
        &'a self,
        _: &'a Snapshot,
        _: &'a CustomResourceDefinition,
        objects: Vec<Object>,
        to: &'a str,
    ) -> Fut<'a, Vec<Object>> {
        Box::pin(async move { Ok(objects.iter().map(|o| Self::turn(o, to)).collect()) })
    }
}

fn definition() -> Value {
    let version = |name: &str, fields: &[&str]| {
        let properties: serde_json::Map<String, Value> = fields.iter().map(|f| ((*f).to_owned(), json!({ "type": "string" }))).collect();
        let selectable: Vec<Value> = fields.iter().map(|f| json!({ "jsonPath": format!(".{f}") })).collect();
        json!({
            "name": name, "served": true, "storage": name == "v1", "selectableFields": selectable,
            "schema": { "openAPIV3Schema": { "type": "object", "properties": properties } },
        })
    };
    let client = json!({ "url": "https://127.0.0.1:1/" });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": "places.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": { "plural": "places", "kind": "Place" },
            "versions": [version("v1", &["at"]), version("v2", &["host", "port"])],
            "conversion": { "strategy": "Webhook", "webhook": { "clientConfig": client, "conversionReviewVersions": ["v1"] } },
        },
    })
}

async fn with_places(places: &[(&str, &str, &str)]) -> (Arc<Registry>, Resource) {
    let r = open_with(Arc::new(MemoryDisk::default()), Some(Arc::new(Turner))).await;
    let kind = Kind::CustomResourceDefinition;
    let crd = codec::from_value(&kind.into(), definition()).expect("decodes");
    let options = WriteOptions::default();
    let made = r.create(&caller(), &Target::new(kind, ObjectKey::default()), crd, &options).await.expect("created");
    let resource = crate::customs::resource_of(made.entry.object().typed::<CustomResourceDefinition>().expect("a definition"));
    for (name, host, port) in places {
        let place = json!({
            "apiVersion": "example.com/v2", "kind": "Place", "metadata": { "name": name, "namespace": "a" }, "host": host, "port": port,
        });
        let place = codec::from_value(&resource, place).expect("decodes");
        let target = Target::new(resource.clone(), ObjectKey::new("a", *name));
        r.create(&caller(), &target, place, &options).await.expect("created");
    }
    (r, resource)
}

fn query(version: &str, fields: &str) -> ListQuery {
    ListQuery { version: version.into(), fields: parse_fields(fields).expect("parses"), ..ListQuery::default() }
}

async fn names(r: &Registry, resource: &Resource, query: &ListQuery) -> Vec<String> {
    let listing = r.list_spoken(resource, query).await.expect("listed");
    listing.entries.iter().map(|e| e.key.name.clone()).collect()
}

#[tokio::test]
async fn fields_of_a_converted_version_select() {
    let (r, resource) = with_places(&[("x", "h1", "80"), ("y", "h1", "8080"), ("z", "h2", "80")]).await;
    assert_eq!(names(&r, &resource, &query("v2", "host=h1")).await, ["x", "y"]);
    assert_eq!(names(&r, &resource, &query("v2", "host=h1,port!=80")).await, ["y"]);
    assert_eq!(names(&r, &resource, &query("v2", "host=h1,metadata.name=z")).await, [""; 0]);
    assert_eq!(names(&r, &resource, &query("v1", "at=h1:80")).await, ["x"]);
    let e = r.list(&resource, &query("v1", "host=h1")).expect_err("a field of another version");
    assert_eq!(e.message, "field label not supported: host");
    let caller = Caller { speaks: Speaks::Version("v2".into()), ..caller() };
    r.delete_collection(&caller, &resource, &query("v2", "host=h1"), &DeleteOptions::default()).await.expect("deleted");
    assert_eq!(names(&r, &resource, &query("v2", "")).await, ["z"]);
}

async fn create(r: &Registry, resource: &Resource, tree: Value) -> Result<Value, ApiError> {
    let object = codec::from_value(resource, tree).expect("decodes");
    let key = object.key();
    let made = r.create(&caller(), &Target::new(resource.clone(), key), object, &WriteOptions::default()).await?;
    Ok(codec::to_value(made.entry.object()))
}

#[tokio::test]
async fn policies_see_the_version_that_their_rules_match() {
    let (r, resource) = with_places(&[]).await;
    let constraints = |group: &str, version: &str, plural: &str| {
        json!({ "resourceRules": [{ "apiGroups": [group], "apiVersions": [version], "resources": [plural], "operations": ["CREATE"] }] })
    };
    let validating = |name: &str, constraints: Value, expression: &str| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name },
            "spec": { "matchConstraints": constraints, "validations": [{ "expression": expression, "messageExpression": "request.kind.version + ' of ' + request.requestKind.version" }] },
        })
    };
    let mutating = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": { "name": "ports" },
        "spec": {
            "matchConstraints": constraints("example.com", "v2", "places"), "reinvocationPolicy": "Never", "failurePolicy": "Fail",
            "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression": "[JSONPatch{op: 'replace', path: '/port', value: '9' + object.port}]" } }],
        },
    });
    let binding = |kind: &str, name: &str, spec: Value| {
        let mut spec = spec;
        spec["policyName"] = name.into();
        json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": { "name": name }, "spec": spec })
    };
    let hosts = validating("hosts", constraints("example.com", "v2", "places"), "object.host.startsWith('h')");
    let scalers = validating("scalers", constraints("autoscaling", "v1", "horizontalpodautoscalers"), "object.spec.targetCPUUtilizationPercentage < 50");
    for (kind, tree) in [(Kind::ValidatingAdmissionPolicy, hosts), (Kind::ValidatingAdmissionPolicy, scalers), (Kind::MutatingAdmissionPolicy, mutating)] {
        let name = tree["metadata"]["name"].as_str().expect("a name").to_owned();
        create(&r, &kind.into(), tree).await.expect("a policy");
        let (bound, spec) = match kind {
            Kind::MutatingAdmissionPolicy => (Kind::MutatingAdmissionPolicyBinding, json!({})),
            _ => (Kind::ValidatingAdmissionPolicyBinding, json!({ "validationActions": ["Deny"] })),
        };
        create(&r, &bound.into(), binding(bound.info().kind, &name, spec)).await.expect("a binding");
    }
    let place = |name: &str, at: &str| json!({ "apiVersion": "example.com/v1", "kind": "Place", "metadata": { "name": name, "namespace": "a" }, "at": at });
    let made = create(&r, &resource, place("x", "h1:80")).await.expect("admitted");
    assert_eq!((&made["apiVersion"], &made["at"]), (&json!("example.com/v1"), &json!("h1:980")));
    let e = create(&r, &resource, place("y", "g1:80")).await.expect_err("refused");
    assert!(e.message.ends_with("ValidatingAdmissionPolicy 'hosts' with binding 'hosts' denied request: v2 of v1"), "{}", e.message);
    let scaler = |percent: i32| {
        json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": format!("s{percent}"), "namespace": "a" },
            "spec": {
                "maxReplicas": 3, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "d" },
                "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": percent } } }],
            },
        })
    };
    let kind = Kind::HorizontalPodAutoscaler.into();
    create(&r, &kind, scaler(40)).await.expect("admitted");
    let e = create(&r, &kind, scaler(60)).await.expect_err("refused");
    assert!(e.message.ends_with("denied request: v1 of v2"), "{}", e.message);
}

/// Applies a configuration in the version that it names.
async fn apply(r: &Registry, resource: &Resource, manager: &str, version: &str, fields: &[(&str, &str)]) -> Result<Value, ApiError> {
    let mut body = json!({ "apiVersion": format!("example.com/{version}"), "kind": "Place", "metadata": { "name": "p", "namespace": "a" } });
    for (name, value) in fields {
        body[*name] = (*value).into();
    }
    let caller = Caller { speaks: Speaks::Version(version.into()), ..caller() };
    let patch = kinds::Patch { kind: kinds::PatchKind::Apply, body: body.to_string().into_bytes() };
    let options = WriteOptions { field_manager: manager.to_owned(), ..WriteOptions::default() };
    let target = Target::new(resource.clone(), ObjectKey::new("a", "p"));
    let made = r.patch(&caller, &target, &patch, &options).await?;
    Ok(serde_json::from_slice(&made.entry.json).expect("JSON"))
}

fn owned(object: &Value) -> Vec<(String, String, Value)> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let text = |e: &Value, key: &str| e[key].as_str().unwrap_or_default().to_owned();
    let mut all: Vec<_> = entries.map(|e| (text(e, "manager"), text(e, "apiVersion"), e["fieldsV1"].clone())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[tokio::test]
async fn owners_keep_and_lose_the_fields_of_their_version() {
    let (r, resource) = with_places(&[]).await;
    apply(&r, &resource, "a", "v2", &[("host", "h"), ("port", "80")]).await.expect("applied");
    let e = apply(&r, &resource, "b", "v1", &[("at", "h:81")]).await.expect_err("a has the port");
    assert_eq!(e.message, "Apply failed with 1 conflict: conflict with \"a\": .port");
    let both = apply(&r, &resource, "b", "v1", &[("at", "h:80")]).await.expect("the same value");
    let a = ("a".to_owned(), "example.com/v2".to_owned(), json!({ "f:host": {}, "f:port": {} }));
    let b = ("b".to_owned(), "example.com/v1".to_owned(), json!({ "f:at": {} }));
    assert_eq!(owned(&both), [a.clone(), b.clone()]);

    // What is given up in one version stays as long as somebody owns it in the other.
    let left = apply(&r, &resource, "a", "v2", &[]).await.expect("applied");
    assert_eq!((owned(&left), &left["at"]), (vec![b], &json!("h:80")));

    // A plain write takes what it changes, and nothing else.
    apply(&r, &resource, "a", "v2", &[("host", "h"), ("port", "80")]).await.expect("the same values");
    let caller = Caller { speaks: Speaks::Version("v2".into()), ..caller() };
    let patch = kinds::Patch { kind: kinds::PatchKind::Merge, body: br#"{"port":"82"}"#.to_vec() };
    let options = WriteOptions { field_manager: "c".to_owned(), ..WriteOptions::default() };
    let made = r.patch(&caller, &Target::new(resource.clone(), ObjectKey::new("a", "p")), &patch, &options).await.expect("patched");
    let c = ("c".to_owned(), "example.com/v2".to_owned(), json!({ "f:port": {} }));
    let a = ("a".to_owned(), a.1, json!({ "f:host": {} }));
    assert_eq!(owned(&serde_json::from_slice(&made.entry.json).expect("JSON")), [a, c]);
}

#[tokio::test]
async fn a_write_in_one_version_of_a_built_in_kind_leaves_what_others_own_in_another() {
    let r = open_with(Arc::new(MemoryDisk::default()), None).await;
    let (kind, view) = (Kind::HorizontalPodAutoscaler, Kind::HorizontalPodAutoscalerV1);
    let scaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "h", "namespace": "a" },
        "spec": {
            "maxReplicas": 3, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "d" },
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 } } }],
        },
    });
    let by = |manager: &str| WriteOptions { field_manager: manager.to_owned(), ..WriteOptions::default() };
    let target = Target::new(kind, ObjectKey::new("a", "h"));
    let object = codec::from_value(&kind.into(), scaler).expect("decodes");
    r.create(&caller(), &target, object, &by("a")).await.expect("created");
    let caller = Caller { speaks: Speaks::View(view), ..caller() };
    let asked = crate::patching::Asked { spoken: Resource::Builtin(view), validation: crate::FieldValidation::Ignore };
    let patch = kinds::Patch { kind: kinds::PatchKind::Merge, body: br#"{"spec":{"targetCPUUtilizationPercentage":70}}"#.to_vec() };
    let made = r.patch_checked(&caller, &target, &patch, &by("c"), &asked).await.expect("patched");
    let tree: Value = serde_json::from_slice(&made.entry.json).expect("JSON");
    let found = owned(&tree);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((&found[0].1, &found[1].1), (&"autoscaling/v2".to_owned(), &"autoscaling/v1".to_owned()));
    assert!(found[0].2["f:spec"].get("f:metrics").is_none(), "{}", found[0].2);
    assert_eq!(found[0].2["f:spec"]["f:maxReplicas"], json!({}));
    assert_eq!(found[1].2, json!({ "f:spec": { "f:targetCPUUtilizationPercentage": {} } }));
}
