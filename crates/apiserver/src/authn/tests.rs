//! Issuers, webhooks, front proxies, anonymous and impersonation, over real TLS where they are remote.

use super::config::{Configuration, Jwt};
use super::*;
use crate::pki::Key;
use crate::testing;
use crate::tokens::{TokenOptions, Tokens};
use http::HeaderValue;
use parking_lot::Mutex;
use serde_json::{Value, json};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("in range")
}

fn tokens() -> Arc<Tokens> {
    let options = TokenOptions {
        issuers: vec!["https://own".into()],
        audiences: vec!["https://own".into()],
        keys: Vec::new(),
        jwks_uri: None,
        longest_s: None,
        extend: true,
    };
    Arc::new(Tokens::new(&Key::generate().expect("a key"), options).expect("tokens"))
}

/// An issuer with one key, and what signs with it.
async fn issuer() -> (testing::Service, impl Fn(&Value) -> String, Arc<Mutex<Vec<String>>>) {
    let key = Key::generate().expect("a key");
    let options = TokenOptions { issuers: vec!["x".into()], audiences: vec!["x".into()], keys: Vec::new(), jwks_uri: None, longest_s: None, extend: true };
    let published = Tokens::new(&key, options).expect("tokens");
    let (jwks, id) = (published.jwks(), published.key_id().to_owned());
    let url = Arc::new(Mutex::new(String::new()));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (known, log) = (Arc::clone(&url), Arc::clone(&asked));
    let service = testing::service(move |path, _| {
        log.lock().push(path.to_owned());
        match path {
            "/.well-known/openid-configuration" => json!({ "issuer": *known.lock(), "jwks_uri": format!("{}/keys", known.lock()) }),
            "/keys" => jwks.clone(),
            _ => Value::Null,
        }
    })
    .await;
    url.lock().clone_from(&service.url);
    let encoding = jsonwebtoken::EncodingKey::from_ec_der(key.pkcs8());
    let sign = move |claims: &Value| {
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        header.kid = Some(id.clone());
        jsonwebtoken::encode(&header, claims, &encoding).expect("signs")
    };
    (service, sign, asked)
}

fn jwt(service: &testing::Service, more: &str) -> Jwt {
    let ca = service.ca.lines().map(|l| format!("      {l}\n")).collect::<String>();
    let text = format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer:\n    url: {}\n    audiences: [me]\n    certificateAuthority: |\n{ca}{more}",
        service.url
    );
    Configuration::parse(&text).expect("a configuration").jwt.remove(0)
}

async fn authenticators(configuration: Configuration) -> Arc<Authenticators> {
    Authenticators::new(tokens(), AuthnOptions { configuration, ..AuthnOptions::default() }).expect("authenticators")
}

const NAMES: &str = "  claimMappings:\n    username: {claim: sub, prefix: 'oidc:'}\n    groups: {claim: groups, prefix: 'g:'}\n";

#[tokio::test]
async fn tokens_of_an_issuer() {
    let registry = testing::registry().await;
    let snapshot = registry.snapshot();
    let (service, sign, asked) = issuer().await;
    let configuration = Configuration { jwt: vec![jwt(&service, NAMES)], ..Configuration::default() };
    let all = authenticators(configuration).await;
    let at = now().as_second();
    let good = json!({ "iss": service.url, "aud": ["other", "me"], "sub": "ann", "groups": ["a", "b"], "exp": at + 60, "jti": "7" });
    let (user, audiences) = all.token(&sign(&good), &[], &snapshot, now()).await.expect("known").expect("right");
    assert_eq!((user.name.as_str(), user.groups), ("oidc:ann", vec!["g:a".to_owned(), "g:b".to_owned()]));
    assert_eq!(audiences, ["https://own"]);
    assert_eq!(user.extra["authentication.kubernetes.io/credential-id"], ["JTI=7"]);
    for _ in 0..5 {
        all.token(&sign(&good), &[], &snapshot, now()).await.expect("known");
    }
    assert_eq!(asked.lock().len(), 2, "the keys are fetched once: {:?}", asked.lock());
    for (claim, value, words) in [
        ("aud", json!("someone"), "expected audience"),
        ("exp", json!(at - 1), "token is expired"),
        ("exp", Value::Null, "token has no expiry"),
        ("nbf", json!(at + 1000), "before the nbf"),
        ("sub", Value::Null, "parse claims"),
    ] {
        let mut bad = good.clone();
        bad[claim] = value;
        let why = all.token(&sign(&bad), &[], &snapshot, now()).await.expect_err("refused");
        assert!(why.contains(words), "{claim}: {why}");
    }
    // Signed by someone else, with a key id that the issuer does not know.
    let (_other, forged, _) = issuer().await;
    assert!(all.token(&forged(&good), &[], &snapshot, now()).await.is_err());
    // Someone else's token altogether.
    let stranger = json!({ "iss": "https://elsewhere", "aud": "me", "sub": "ann", "exp": at + 60 });
    assert_eq!(all.token(&sign(&stranger), &[], &snapshot, now()).await, Ok(None));
    // Good for nothing but the API server's audiences.
    assert_eq!(all.token(&sign(&good), &["vault".to_owned()], &snapshot, now()).await, Ok(None));
}

#[tokio::test]
async fn a_webhook_knows_tokens() {
    let registry = testing::registry().await;
    let snapshot = registry.snapshot();
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let service = testing::service(move |_, review| {
        *count.lock() += 1;
        assert_eq!((&review["kind"], &review["apiVersion"]), (&"TokenReview".into(), &"authentication.k8s.io/v1".into()));
        match review["spec"]["token"].as_str() {
            Some("good") => json!({ "status": { "authenticated": true, "user": { "username": "w", "uid": "1", "groups": ["g"], "extra": { "k": ["v"] } } } }),
            Some("odd") => json!({ "status": { "authenticated": false, "error": "odd token" } }),
            _ => json!({ "status": { "authenticated": false } }),
        }
    })
    .await;
    let dir = tempfile::tempdir().expect("a directory");
    let config = testing::config(&testing::kubeconfig(&service, dir.path()));
    let webhook = HookOptions { config, cache_ttl: std::time::Duration::from_secs(120), version: "v1".into() };
    let options = AuthnOptions { webhook: Some(webhook), ..AuthnOptions::default() };
    let all = Authenticators::new(tokens(), options).expect("authenticators");
    for _ in 0..3 {
        let (user, audiences) = all.token("good", &[], &snapshot, now()).await.expect("known").expect("right");
        assert_eq!((user.name.as_str(), user.extra["k"].as_slice()), ("w", &["v".to_owned()][..]));
        assert_eq!(audiences, ["https://own"]);
        assert_eq!(all.token("bad", &[], &snapshot, now()).await, Ok(None));
    }
    assert_eq!(*asked.lock(), 2, "answers are kept");
    assert_eq!(all.token("odd", &[], &snapshot, now()).await, Err("odd token".into()));
}

#[tokio::test]
async fn front_proxies_anonymous_and_static_tokens() {
    let registry = testing::registry().await;
    let snapshot = registry.snapshot();
    let joe = User { name: "joe".into(), uid: "1".into(), groups: vec!["a".into()], ..User::default() };
    let text = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nanonymous: {enabled: true, conditions: [{path: /healthz}]}\n";
    let options = AuthnOptions {
        configuration: Configuration::parse(text).expect("a configuration"),
        static_tokens: vec![("abc".into(), joe)],
        ..AuthnOptions::default()
    };
    let all = Authenticators::new(tokens(), options).expect("authenticators");
    let ask = async |peer: &Peer, headers: &HeaderMap, path: &str| {
        all.authenticate(peer, headers, path, (&snapshot, now())).await.map(|u| (u.name.clone(), u.groups.clone()))
    };
    let (nobody, none) = (Peer::default(), HeaderMap::new());
    assert_eq!(ask(&nobody, &none, "/healthz").await.map(|u| u.0).as_deref(), Some("system:anonymous"));
    assert_eq!(ask(&nobody, &none, "/api").await, None, "anonymous is for that path alone");
    let mut bearer = HeaderMap::new();
    bearer.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer abc"));
    assert_eq!(ask(&nobody, &bearer, "/api").await, Some(("joe".into(), vec!["a".into(), AUTHENTICATED.into()])));
    bearer.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer abd"));
    assert_eq!(ask(&nobody, &bearer, "/healthz").await, None, "a wrong token is not anonymous");
    let mut forwarded = HeaderMap::new();
    for (k, v) in [("x-remote-user", "ann"), ("x-remote-group", "g1"), ("x-remote-group", "g2"), ("x-remote-extra-acme.com%2fproject", "p")] {
        forwarded.append(http::HeaderName::from_bytes(k.as_bytes()).expect("a name"), HeaderValue::from_static(v));
    }
    let proxy = |name: &str| Peer { front_proxy: Some(name.into()), ..Peer::default() };
    assert_eq!(ask(&proxy("front-proxy-client"), &forwarded, "/api").await, Some(("ann".into(), vec!["g1".into(), "g2".into(), AUTHENTICATED.into()])));
    assert_eq!(ask(&proxy("someone"), &forwarded, "/api").await, None);
    assert_eq!(ask(&nobody, &forwarded, "/api").await, None, "headers alone are nothing");
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut all = HeaderMap::new();
    for (k, v) in pairs {
        all.append(http::HeaderName::from_bytes(k.to_lowercase().as_bytes()).expect("a name"), HeaderValue::from_bytes(v.as_bytes()).expect("a value"));
    }
    all
}

#[test]
fn impersonation_headers() {
    let of = |pairs: &[(&str, &str)]| impersonation::wanted(&headers(pairs));
    assert_eq!(of(&[]), Ok(None));
    let why = of(&[("Impersonate-Group", "g"), ("Impersonate-Uid", "7")]).expect_err("nobody");
    assert_eq!(
        (why.code, why.message.as_str()),
        (400, "requested &user.DefaultInfo{Name:\"\", UID:\"7\", Groups:[]string{\"g\"}, Extra:map[string][]string(nil)} without impersonating a user name")
    );
    let named = of(&[("Impersonate-User", "u"), ("Impersonate-Group", "g"), ("Impersonate-Extra-Acme.com%2Fproject", "p")]);
    let named = named.expect("headers").expect("someone");
    assert_eq!((named.groups, &named.extra["acme.com/project"]), (vec!["g".to_owned()], &vec!["p".to_owned()]));
    // A name of other letters is a name: without it the request would go on as whoever sends it.
    let other = of(&[("Impersonate-User", "jörg"), ("Impersonate-Group", "träger")]).expect("headers").expect("someone");
    assert_eq!((other.name.as_str(), other.groups), ("jörg", vec!["träger".to_owned()]));
    let proxied = remote_user(&headers(&[("X-Remote-User", "jörg"), ("X-Remote-Group", "träger")])).expect("someone");
    assert_eq!((proxied.name.as_str(), proxied.groups), ("jörg", vec!["träger".to_owned()]));
}

/// Cluster roles `ROLE` of rules `(groups, resources, names, verbs)`, bound to the user of the same name.
fn granted(rules: &[(&str, &str, &str, &str, &[&str])]) -> Snapshot {
    use cache::{Entry, Tables, Write};
    use kinds::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject};
    use kinds::{Object, ObjectMeta, Revision};
    let mut tables = Tables::default();
    let meta = |n: usize| ObjectMeta { name: Some(format!("r{n}")), ..ObjectMeta::default() };
    let one = |x: &str| Some(vec![x.to_owned()]);
    let objects = rules.iter().enumerate().flat_map(|(n, (user, group, resource, name, verbs))| {
        let rule = PolicyRule {
            api_groups: one(group),
            resources: one(resource),
            resource_names: (!name.is_empty()).then(|| vec![(*name).to_owned()]),
            verbs: verbs.iter().map(|v| (*v).to_owned()).collect(),
            ..PolicyRule::default()
        };
        let role = ClusterRole { metadata: meta(n), rules: Some(vec![rule]), ..ClusterRole::default() };
        let role_ref = RoleRef { api_group: Some("rbac.authorization.k8s.io".into()), kind: "ClusterRole".into(), name: format!("r{n}") };
        let subject = Subject { kind: "User".into(), name: (*user).into(), ..Subject::default() };
        [Object::from(role), ClusterRoleBinding { metadata: meta(n), role_ref, subjects: Some(vec![subject]) }.into()]
    });
    for (i, object) in objects.enumerate() {
        let (key, resource, revision) = (object.key(), object.resource(), Revision(i as u64 + 1));
        let entry = Entry::new(key.clone(), object, Default::default(), revision);
        tables.apply(Write { resource, key, revision, entry: Some(Arc::new(entry)) });
    }
    tables.snapshot()
}

#[tokio::test]
async fn impersonation_narrow_and_wide() {
    const AUTH: &str = "authentication.k8s.io";
    let agent = "system:serviceaccount:a:agent";
    let snapshot = granted(&[
        ("old", "", "users", "jane", &["impersonate"]),
        ("old", "", "groups", "g", &["impersonate"]),
        ("new", AUTH, "users", "jane", &["impersonate:user-info"]),
        ("new", "", "pods", "", &["impersonate-on:user-info:list"]),
        (agent, AUTH, "nodes", "*", &["impersonate:associated-node"]),
        (agent, "", "pods", "", &["impersonate-on:associated-node:list"]),
        ("sa", AUTH, "serviceaccounts", "b", &["impersonate:serviceaccount"]),
        ("sa", "", "pods", "", &["impersonate-on:serviceaccount:list"]),
    ]);
    let modes = crate::authz::Configuration::of_modes(&["RBAC".to_owned()], None, None).expect("modes");
    let authz = crate::authz::Authorizers::new(&modes, None, &base::metrics::Registry::default()).expect("authorizers");
    let ask = async |who: &User, verb: &str, wanted: &User| {
        let request = rules::rbac::Attributes { verb: verb.into(), resource: "pods".into(), version: "v1".into(), is_resource: true, ..Default::default() };
        impersonation::Asker { authz: &authz, snapshot: &snapshot, request: &request, constrained: true }.become_someone(who, wanted).await.map_err(|e| e.message)
    };
    let (jane, node) = (User::new("jane", &[]), User::new("system:node:n1", &[]));
    let (user, by) = ask(&User::new("old", &[]), "get", &jane).await.expect("the old way");
    assert_eq!((user.groups, by), (vec![AUTHENTICATED.to_owned()], None));
    let (_, by) = ask(&User::new("new", &[]), "list", &jane).await.expect("the narrow way");
    assert_eq!(by.as_deref(), Some("impersonate:user-info"));
    assert_eq!(
        ask(&User::new("new", &[]), "get", &jane).await.expect_err("another verb"),
        "pods is forbidden: User \"new\" cannot impersonate-on:user-info:get resource \"pods\" in API group \"\" at the cluster scope"
    );
    assert!(ask(&User::new("old", &[]), "get", &User::new("jane", &["h"])).await.is_err(), "another group");
    let mut daemon = User::new(agent, &[]);
    daemon.extra.insert("authentication.kubernetes.io/node-name".into(), vec!["n1".into()]);
    let (user, by) = ask(&daemon, "list", &node).await.expect("its own node");
    assert_eq!((user.groups, by.as_deref()), (vec!["system:nodes".to_owned(), AUTHENTICATED.to_owned()], Some("impersonate:associated-node")));
    assert!(ask(&daemon, "list", &User::new("system:node:n2", &[])).await.is_err());
    let (user, _) = ask(&User::new("sa", &[]), "list", &User::new("system:serviceaccount:a:b", &[])).await.expect("an account");
    assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:a", AUTHENTICATED]);
    let master = User::new("m", &["system:masters"]);
    let (user, by) = ask(&master, "get", &User::new("system:anonymous", &["system:masters"])).await.expect("everything");
    assert_eq!((user.groups, by), (vec!["system:masters".to_owned(), "system:unauthenticated".to_owned()], None));
}

#[test]
fn wrong_configurations_are_refused() {
    let head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n";
    for (text, words) in [
        ("jwt: [{issuer: {url: 'http://x', audiences: [a]}}]", "URL scheme must be https"),
        ("jwt: [{issuer: {url: 'https://x'}}]", "issuer.audiences: Required value"),
        ("jwt: [{issuer: {url: 'https://x', audiences: [a, b]}, claimMappings: {username: {claim: sub, prefix: ''}}}]", "audienceMatchPolicy must be MatchAny"),
        ("jwt: [{issuer: {url: 'https://x', audiences: [a]}}]", "claim or expression is required"),
        ("jwt: [{issuer: {url: 'https://x', audiences: [a]}, claimMappings: {username: {claim: sub}}}]", "prefix is required when claim is set"),
        ("anonymous: {enabled: false, conditions: [{path: /x}]}", "enabled should be set to true"),
        ("jwts: []", "unknown field"),
    ] {
        let why = Configuration::parse(&format!("{head}{text}")).expect_err(text);
        assert!(why.contains(words), "{text}: {why}");
    }
}
#[tokio::test]
async fn claims_by_expressions() {
    let registry = testing::registry().await;
    let snapshot = registry.snapshot();
    let (service, sign, _) = issuer().await;
    let more = "  claimValidationRules:\n  - {claim: hd, requiredValue: example.com}\n  - {expression: 'claims.exp - claims.iat <= 3600', message: too long}\n  claimMappings:\n    username: {expression: \"claims.sub + '@' + claims.hd\"}\n    groups: {expression: \"claims.?roles.orValue([])\"}\n    uid: {claim: oid}\n    extra:\n    - {key: example.com/tenant, valueExpression: claims.tenant}\n  userValidationRules:\n  - {expression: \"!user.username.startsWith('system:')\", message: no system users}\n";
    let all = authenticators(Configuration { jwt: vec![jwt(&service, more)], ..Configuration::default() }).await;
    let at = now().as_second();
    let good = json!({ "iss": service.url, "aud": "me", "sub": "ann", "hd": "example.com", "oid": "1", "tenant": "t", "iat": at, "exp": at + 60, "roles": ["a"] });
    let (user, _) = all.token(&sign(&good), &[], &snapshot, now()).await.expect("known").expect("right");
    assert_eq!((user.name.as_str(), user.uid.as_str()), ("ann@example.com", "1"));
    assert_eq!((user.groups, &user.extra["example.com/tenant"]), (vec!["a".to_owned()], &vec!["t".to_owned()]));
    for (claim, value, words) in [
        ("hd", json!("evil.com"), "required claim hd value does not match"),
        ("exp", json!(at + 99_999), "too long"),
        ("sub", json!("system:admin"), "no system users"),
    ] {
        let mut bad = good.clone();
        bad[claim] = value;
        let why = all.token(&sign(&bad), &[], &snapshot, now()).await.expect_err("refused");
        assert!(why.contains(words), "{claim}: {why}");
    }
}

