//! The chain of authorizers, and a webhook over real TLS.

use super::*;
use crate::testing;
use parking_lot::Mutex;
use serde_json::{Value, json};

fn ask(verb: &str, resource: &str) -> Attributes {
    Attributes { verb: verb.into(), version: "v1".into(), resource: resource.into(), namespace: "a".into(), is_resource: true, ..Attributes::default() }
}

async fn chain(text: &str) -> Authorizers {
    let text = format!("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n{text}");
    let configuration = Configuration::parse(&text).expect("a configuration");
    let decisions = MetricRegistry::default().counter("x", "x", &["decision", "name", "type"]);
    Authorizers { chain: ArcSwap::from_pointee(build(&configuration).expect("a chain")), decisions }
}

#[tokio::test]
async fn the_first_opinion_decides() {
    let registry = testing::registry().await;
    let snapshot = registry.snapshot();
    let (user, master) = (User::new("u", &[]), User::new("m", &["system:masters"]));
    let deny = chain("- {type: AlwaysDeny, name: d}\n").await;
    let verdict = deny.decide(&snapshot, &user, &ask("get", "pods")).await;
    assert_eq!((verdict.allowed, verdict.reason.as_str()), (false, "Everything is forbidden."));
    assert!(deny.decide(&snapshot, &master, &ask("get", "pods")).await.allowed);
    let both = chain("- {type: RBAC, name: r}\n- {type: AlwaysAllow, name: a}\n").await;
    assert!(both.decide(&snapshot, &user, &ask("get", "pods")).await.allowed);
    assert!(Configuration::of_modes(&["Node".into(), "Node".into()], None, None).is_err());
    assert!(Configuration::of_modes(&["Webhook".into()], None, None).is_err());
    assert!(Configuration::of_modes(&["Magic".into()], None, None).is_err());
}

#[tokio::test]
async fn a_webhook_is_asked_once() {
    let registry = testing::registry().await;
    let snapshot = registry.snapshot();
    let asked = Arc::new(Mutex::new(Vec::<Value>::new()));
    let log = Arc::clone(&asked);
    let service = testing::service(move |_, review| {
        log.lock().push(review.clone());
        match review["spec"]["resourceAttributes"]["verb"].as_str() {
            Some("get") => json!({ "status": { "allowed": true, "reason": "because" } }),
            Some("delete") => json!({ "status": { "allowed": false, "denied": true, "reason": "never" } }),
            Some("patch") => json!({ "status": { "allowed": true, "denied": true } }),
            _ => json!({ "status": { "allowed": false, "reason": "hm" } }),
        }
    })
    .await;
    let dir = tempfile::tempdir().expect("a directory");
    let kubeconfig = testing::kubeconfig(&service, dir.path());
    let entry = |policy: &str| {
        format!(
            "- type: Webhook\n  name: w\n  webhook:\n    subjectAccessReviewVersion: v1\n    matchConditionSubjectAccessReviewVersion: v1\n    failurePolicy: {policy}\n    timeout: 3s\n    connectionInfo: {{type: KubeConfigFile, kubeConfigFile: {}}}\n- {{type: AlwaysAllow, name: a}}\n",
            kubeconfig.display()
        )
    };
    let (lenient, strict) = (chain(&entry("NoOpinion")).await, chain(&entry("Deny")).await);
    let user = User { name: "u".into(), uid: "1".into(), groups: vec!["g".into()], extra: [("k".to_owned(), vec!["v".to_owned()])].into() };
    for _ in 0..3 {
        let verdict = lenient.decide(&snapshot, &user, &ask("get", "pods")).await;
        assert_eq!((verdict.allowed, verdict.reason.as_str()), (true, "because"));
    }
    assert_eq!(asked.lock().len(), 1, "answers are kept");
    assert_eq!(
        asked.lock()[0]["spec"],
        json!({ "resourceAttributes": { "namespace": "a", "verb": "get", "version": "v1", "resource": "pods" },
            "user": "u", "groups": ["g"], "uid": "1", "extra": { "k": ["v"] } })
    );
    let verdict = lenient.decide(&snapshot, &user, &ask("delete", "pods")).await;
    assert_eq!((verdict.allowed, verdict.reason.as_str()), (false, "never"));
    assert!(lenient.decide(&snapshot, &user, &ask("list", "pods")).await.allowed, "no opinion: the next one decides");
    assert!(lenient.decide(&snapshot, &user, &ask("patch", "pods")).await.allowed, "a failure is no opinion");
    assert!(!strict.decide(&snapshot, &user, &ask("patch", "pods")).await.allowed, "or a refusal");
}

#[tokio::test]
async fn policies_out_of_a_file() {
    let text = r#"
        # Who may what.
        {"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"alice","namespace":"*","resource":"*","apiGroup":"*"}}
        {"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"group":"dev","namespace":"a","resource":"pods","readonly":true}}
        {"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"*","nonResourcePath":"/version*","readonly":true}}
        {"user":"old","resource":"secrets"}"#;
    let policies = Policies::parse(text).expect("policies");
    let known = |name: &str, group: &str| User::new(name, &["system:authenticated", group]);
    let path = |verb: &str, path: &str| Attributes { verb: verb.into(), path: path.into(), ..Attributes::default() };
    for (user, asked, allowed) in [
        (known("alice", ""), ask("delete", "secrets"), true),
        (known("alice", ""), path("get", "/metrics"), false),
        (known("bob", "dev"), ask("list", "pods"), true),
        (known("bob", "dev"), ask("delete", "pods"), false),
        (known("bob", "dev"), Attributes { namespace: "b".into(), ..ask("list", "pods") }, false),
        (known("bob", ""), path("get", "/version/x"), true),
        (User::new("system:anonymous", &["system:unauthenticated"]), path("get", "/version"), false),
        (known("old", ""), Attributes { group: "g".into(), ..ask("create", "secrets") }, true),
        (known("old", ""), ask("create", "pods"), false),
    ] {
        assert_eq!(policies.allow(&user, &asked), allowed, "{user:?} {asked:?}");
    }
    assert!(Policies::parse(r#"{"apiVersion":"x/v1","kind":"Policy","spec":{}}"#).is_err() && Policies::parse("{").is_err());
    assert!(Configuration::of_modes(&["ABAC".into()], None, None).is_err());
    assert!(Configuration::parse("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers: [{type: Abac, name: a}]").is_err());
    let configuration = Configuration::of_modes(&["ABAC".into()], None, Some(policies)).expect("a configuration");
    let decisions = MetricRegistry::default().counter("x", "x", &["decision", "name", "type"]);
    let chain = Authorizers { chain: ArcSwap::from_pointee(build(&configuration).expect("a chain")), decisions };
    let registry = testing::registry().await;
    assert_eq!(chain.decide(&registry.snapshot(), &known("x", ""), &ask("get", "pods")).await.reason, "No policy matched.");
}
