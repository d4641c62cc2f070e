//! Policies against requests, trails to files, and files that turn over.

use super::*;
use http::Method;

fn policy(text: &str) -> Policy {
    Policy::parse(&format!("apiVersion: audit.k8s.io/v1\nkind: Policy\n{text}")).expect("a policy")
}

fn info(method: &Method, path: &str) -> RequestInfo {
    RequestInfo::parse(method, path, "")
}

#[test]
fn the_first_rule_that_fits_decides() {
    let p = policy(
        "omitStages: [RequestReceived]
rules:
- {level: None, users: ['system:kube-proxy'], verbs: [watch]}
- {level: Metadata, resources: [{group: '', resources: [secrets, pods/log, '*/scale']}]}
- {level: Request, resources: [{group: '', resources: ['pods/*']}, {group: apps}], namespaces: [a], omitStages: [ResponseComplete]}
- {level: None, nonResourceURLs: ['/healthz*']}
- {level: RequestResponse, userGroups: ['system:masters'], omitManagedFields: true}
",
    );
    let (user, master) = (User::new("u", &["g"]), User::new("m", &["system:masters"]));
    let level = |user: &User, method: &Method, path: &str| p.judge(&info(method, path), Some(user)).level;
    assert_eq!(level(&user, &Method::GET, "/api/v1/secrets"), Level::Metadata);
    assert_eq!(level(&user, &Method::GET, "/api/v1/namespaces/a/secrets/x/status"), Level::None);
    assert_eq!(level(&user, &Method::GET, "/api/v1/namespaces/a/pods/p/log"), Level::Metadata);
    assert_eq!(level(&user, &Method::PUT, "/api/v1/namespaces/a/replicationcontrollers/p/scale"), Level::Metadata);
    assert_eq!(level(&user, &Method::PUT, "/apis/apps/v1/namespaces/a/deployments/d"), Level::Request);
    assert_eq!(level(&user, &Method::PUT, "/apis/apps/v1/namespaces/b/deployments/d"), Level::None);
    assert_eq!(level(&master, &Method::GET, "/healthz/ping"), Level::None);
    assert_eq!(level(&master, &Method::GET, "/version"), Level::RequestResponse);
    let wanted = p.judge(&info(&Method::PUT, "/apis/apps/v1/namespaces/a/deployments/d"), Some(&user));
    assert_eq!(wanted.omit_stages, [policy::Stage::RequestReceived, policy::Stage::ResponseComplete]);
    assert!(p.judge(&info(&Method::GET, "/version"), Some(&master)).omit_managed_fields);
}

#[test]
fn bad_policies_are_refused() {
    for text in [
        "kind: Policy\napiVersion: audit.k8s.io/v1beta1\nrules: [{level: None}]",
        "kind: Policy\napiVersion: audit.k8s.io/v1",
        "kind: Policy\napiVersion: audit.k8s.io/v1\nrules: [{level: Everything}]",
        "kind: Policy\napiVersion: audit.k8s.io/v1\nrules: [{level: None, nonResourceURLs: [healthz]}]",
        "kind: Policy\napiVersion: audit.k8s.io/v1\nrules: [{level: None, nonResourceURLs: ['/a*b']}]",
        "kind: Policy\napiVersion: audit.k8s.io/v1\nrules: [{level: None, nonResourceURLs: ['/a'], namespaces: [x]}]",
        "kind: Policy\napiVersion: audit.k8s.io/v1\nrules: [{level: None, unknown: 1}]",
    ] {
        assert!(Policy::parse(text).is_err(), "{text}");
    }
}

fn open(dir: &std::path::Path, p: Policy, format: Format, max_size_mb: u64) -> Arc<Audit> {
    let target = Target::File(dir.join("audit.log"));
    let log = LogOptions { mode: Mode::Blocking, truncate: None, target, format, max_age_days: 0, max_backups: 2, max_size_mb, compress: false };
    Audit::open(Options { policy: p, log: Some(log), webhook: None }, &MetricRegistry::default()).expect("opens")
}

fn begin(audit: &Arc<Audit>, info: &RequestInfo, user: &User) -> Option<Arc<Trail>> {
    let mut headers = HeaderMap::new();
    headers.insert("user-agent", http::HeaderValue::from_static("kubectl/v1.33"));
    headers.insert("x-forwarded-for", http::HeaderValue::from_static("192.0.2.1"));
    let at = Timestamp::from_second(1_800_000_000).expect("in range");
    let address = Some(([127, 0, 0, 1], 5).into());
    audit.begin(info, Some(user), &Arrival { audit_id: "id", uri: info.path.clone(), headers: &headers, address, at })
}

fn lines(dir: &std::path::Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(dir.join("audit.log")).expect("a log");
    text.lines().map(|l| serde_json::from_str(l).expect("json")).collect()
}

#[test]
fn a_trail_tells_what_its_level_wants() {
    let dir = tempfile::tempdir().expect("a directory");
    let p = policy("rules: [{level: RequestResponse, omitManagedFields: true, verbs: [create]}, {level: Metadata}]");
    let audit = open(dir.path(), p, Format::Json, 0);
    let create = info(&Method::POST, "/api/v1/namespaces/a/configmaps");
    let trail = begin(&audit, &create, &User::new("u", &["g"])).expect("wanted");
    trail.impersonates(&User::new("other", &[]), Some("impersonate:user-info".into()));
    trail.annotate("authorization.k8s.io/decision", "allow");
    let body = br#"{"metadata":{"name":"m","managedFields":[1]},"data":{"a":"b"}}"#;
    trail.request(&HeaderMap::new(), &Bytes::from_static(body), true);
    let reply = crate::respond::tree(201, &serde_json::json!({ "kind": "ConfigMap" }), crate::respond::Accept::default());
    trail.answered(&reply);
    drop(trail);
    let read = begin(&audit, &info(&Method::GET, "/api/v1/namespaces/a/configmaps/x"), &User::new("u", &["g"])).expect("wanted");
    let accept = crate::respond::Accept::default();
    read.answered(&crate::respond::failure(&kinds::ApiError::not_found(&kinds::Kind::ConfigMap.into(), "x"), accept));
    drop(read);
    let all = lines(dir.path());
    assert_eq!(all.iter().map(|e| e["stage"].as_str().expect("a stage")).collect::<Vec<_>>(), [
        "RequestReceived", "ResponseComplete", "RequestReceived", "ResponseComplete"
    ]);
    let done = &all[1];
    assert_eq!(done["requestObject"], serde_json::json!({ "metadata": { "name": "m" }, "data": { "a": "b" } }));
    assert_eq!(done["responseObject"]["kind"], "ConfigMap");
    assert_eq!(done["objectRef"], serde_json::json!({ "resource": "configmaps", "namespace": "a", "name": "m", "apiVersion": "v1" }));
    assert_eq!(done["responseStatus"], serde_json::json!({ "metadata": {}, "code": 201 }));
    assert_eq!(done["authenticationMetadata"]["impersonationConstraint"], "impersonate:user-info");
    assert_eq!((&done["user"]["username"], &done["impersonatedUser"]["username"]), (&"u".into(), &"other".into()));
    assert_eq!(done["sourceIPs"], serde_json::json!(["192.0.2.1", "127.0.0.1"]));
    assert_eq!(done["requestReceivedTimestamp"], "2027-01-15T08:00:00.000000Z");
    assert_eq!(done["annotations"]["authorization.k8s.io/decision"], "allow");
    assert_eq!(all[3]["responseStatus"]["reason"], "NotFound");
    assert!(all[3].get("responseObject").is_none());
}

#[test]
fn the_log_turns_over_and_forgets() {
    let dir = tempfile::tempdir().expect("a directory");
    let audit = open(dir.path(), policy("rules: [{level: Metadata}]"), Format::Json, 1);
    for _ in 0..10 {
        // Files are told apart by the millisecond: two in one would be one.
        let now = Timestamp::now().as_millisecond();
        while Timestamp::now().as_millisecond() == now {
            std::thread::yield_now();
        }
        assert!(audit.write(Record { json: Bytes::from(vec![b'x'; 600 * 1024]), short: None, legacy: String::new() }).0);
    }
    let names: Vec<String> = std::fs::read_dir(dir.path()).expect("reads").map(|e| e.expect("entry").file_name().into_string().expect("text")).collect();
    assert_eq!(names.len(), 3, "the log and two old ones: {names:?}");
    assert_eq!(names.iter().filter(|n| n.starts_with("audit-2") && n.len() == "audit-2027-01-15T08-00-04.000.log".len()).count(), 2, "{names:?}");
}

#[test]
fn the_legacy_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let audit = open(dir.path(), policy("rules: [{level: Metadata}]"), Format::Legacy, 0);
    drop(begin(&audit, &info(&Method::GET, "/version"), &User::new("u", &["g"])));
    let text = std::fs::read_to_string(dir.path().join("audit.log")).expect("a log");
    assert!(text.contains(r#"AUDIT: id="id" stage="RequestReceived" ip="192.0.2.1" method="get" user="u" groups="\"g\"" as="<self>""#), "{text}");
}

#[test]
fn large_events_lose_their_objects_and_a_buffer_is_written_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let p = policy("omitStages: [RequestReceived]\nrules: [{level: Request}]");
    let target = Target::File(dir.path().join("audit.log"));
    let (mode, truncate) = (Mode::Batch(10), Some(2000));
    let log = LogOptions { mode, truncate, target, format: Format::Json, max_age_days: 0, max_backups: 0, max_size_mb: 0, compress: false };
    let audit = Audit::open(Options { policy: p, log: Some(log), webhook: None }, &MetricRegistry::default()).expect("opens");
    for size in [10, 5000] {
        let trail = begin(&audit, &info(&Method::POST, "/api/v1/namespaces/a/configmaps"), &User::new("u", &[])).expect("wanted");
        trail.request(&HeaderMap::new(), &format!("{{\"data\":\"{}\"}}", "x".repeat(size)).into(), true);
        trail.answered(&crate::respond::text(200, ""));
    }
    drop(audit);
    let all = lines(dir.path());
    assert_eq!(all.iter().map(|e| e.get("requestObject").is_some()).collect::<Vec<_>>(), [true, false]);
    assert_eq!(all[1]["annotations"]["audit.k8s.io/truncated"], "true");
}

#[tokio::test]
async fn a_strict_log_stops_requests_that_it_cannot_write() {
    let dir = tempfile::tempdir().expect("a directory");
    let target = Target::File("/dev/full".into());
    let open = |mode| {
        let log = LogOptions { mode, truncate: None, target: target.clone(), format: Format::Json, max_age_days: 0, max_backups: 0, max_size_mb: 0, compress: false };
        let p = policy("rules: [{level: Metadata}]");
        Audit::open(Options { policy: p, log: Some(log), webhook: None }, &MetricRegistry::default()).expect("opens")
    };
    for (mode, lost) in [(Mode::Blocking, false), (Mode::Strict, true)] {
        let trail = begin(&open(mode), &info(&Method::GET, "/version"), &User::new("u", &[])).expect("wanted");
        assert_eq!(!trail.is_told().await, lost);
    }
    drop(dir);
}
