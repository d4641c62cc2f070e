//! Tables and laws of `core`.

use crate::rules;
use kinds::api::core::v1::*;
use kinds::{ByteString, FieldErrors, Kind, Object, ObjectMeta};

fn meta(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.into()), namespace: Some("default".into()), resource_version: Some("1".into()), ..Default::default() }
}

fn ready(o: impl Into<Object>) -> Object {
    let mut o = o.into();
    let r = rules(o.kind().expect("built in"));
    (r.default)(&mut o);
    (r.prepare_create)(&mut o);
    o
}

fn check(o: impl Into<Object>, want: &[&str]) {
    let o = ready(o);
    let mut e = FieldErrors::default();
    (rules(o.kind().expect("built in")).validate)(&o, &mut e);
    assert_eq!(e.0.iter().map(ToString::to_string).collect::<Vec<_>>(), want);
}

fn update(n: impl Into<Object>, o: impl Into<Object>) -> Vec<String> {
    let (mut n, o) = (n.into(), ready(o));
    let r = rules(o.kind().expect("built in"));
    (r.default)(&mut n);
    (r.prepare_update)(&mut n, &o);
    let mut e = FieldErrors::default();
    (r.validate_update)(&n, &o, &mut e);
    e.0.iter().map(ToString::to_string).collect()
}

fn service(change: impl FnOnce(&mut ServiceSpec)) -> Service {
    let mut spec = ServiceSpec { ports: Some(vec![ServicePort { port: 80, ..Default::default() }]), ..Default::default() };
    change(&mut spec);
    Service { metadata: meta("web"), spec: Some(spec), ..Default::default() }
}

#[test]
fn services() {
    check(service(|_| {}), &[]);
    check(service(|s| s.ports = None), &["spec.ports: Required value"]);
    check(service(|s| { s.cluster_ip = Some("None".into()); s.ports = None; }), &[]);
    check(service(|s| s.type_ = Some("Magic".into())), &["spec.type: Unsupported value: \"Magic\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\""]);
    check(service(|s| { s.type_ = Some("ExternalName".into()); s.ports = None; }), &["spec.externalName: Required value"]);
    check(
        service(|s| s.ports.as_mut().expect("ports")[0].node_port = Some(30001)),
        &["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    );
    check(
        service(|s| s.ports.as_mut().expect("ports").push(ServicePort { port: 81, ..Default::default() })),
        &["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
    );
}

#[test]
fn cluster_ips_stay() {
    let old = service(|s| s.cluster_ip = Some("10.96.0.5".into()));
    assert_eq!(update(service(|_| {}), old.clone()), Vec::<String>::new());
    assert_eq!(
        update(service(|s| s.cluster_ip = Some("10.96.0.6".into())), old.clone()),
        ["spec.clusterIPs[0]: Invalid value: [\"10.96.0.6\"]: may not change once set"]
    );
    let out = service(|s| { s.type_ = Some("ExternalName".into()); s.external_name = Some("a.b".into()); s.cluster_ip = Some("10.96.0.5".into()); s.cluster_ips = Some(vec!["10.96.0.5".into()]); });
    assert_eq!(update(out, old), Vec::<String>::new());
}

#[test]
fn config_maps_and_secrets() {
    let map = |immutable, v: &str| ConfigMap { metadata: meta("c"), immutable, data: Some([("a".to_owned(), v.to_owned())].into()), ..Default::default() };
    check(map(None, "x"), &[]);
    assert_eq!(update(map(Some(true), "y"), map(Some(true), "x")), ["data: Forbidden: field is immutable when `immutable` is set"]);
    assert_eq!(update(map(None, "x"), map(Some(true), "x")), ["immutable: Forbidden: field is immutable when `immutable` is set"]);
    let secret = |t: &str, data: &[(&str, &str)]| Secret {
        metadata: meta("s"),
        type_: Some(t.into()),
        data: Some(data.iter().map(|(k, v)| ((*k).to_owned(), ByteString(v.as_bytes().to_vec()))).collect()),
        ..Default::default()
    };
    check(secret("kubernetes.io/tls", &[("tls.crt", "x")]), &["data[tls.key]: Required value"]);
    check(secret("kubernetes.io/ssh-auth", &[]), &["data[ssh-privatekey]: Required value"]);
    assert_eq!(update(secret("b", &[]), secret("a", &[])), ["type: Invalid value: \"b\": field is immutable"]);
    let o = ready(Secret { metadata: meta("s"), string_data: Some([("k".to_owned(), "v".to_owned())].into()), ..Default::default() });
    let Object::Secret(x) = o else { panic!() };
    assert_eq!((x.type_.as_deref(), &x.data.as_ref().expect("data")["k"].0[..]), (Some("Opaque"), &b"v"[..]));
}

#[test]
fn namespaces_carry_their_name() {
    let n = Namespace { metadata: ObjectMeta { name: Some("a".into()), ..Default::default() }, ..Default::default() };
    let Object::Namespace(n) = ready(n) else { panic!() };
    assert_eq!(n.metadata.labels.as_ref().expect("labels")["kubernetes.io/metadata.name"], "a");
    assert_eq!(n.spec.as_ref().and_then(|s| s.finalizers.clone()), Some(vec!["kubernetes".to_owned()]));
    check(Namespace { metadata: ObjectMeta { name: Some("A".into()), ..Default::default() }, ..Default::default() }, &["metadata.name: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"]);
}

#[test]
fn claims_keep_their_spec() {
    let claim = |size: &str, mode: &str| PersistentVolumeClaim {
        metadata: meta("c"),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![mode.into()]),
            resources: Some(VolumeResourceRequirements { requests: Some([("storage".to_owned(), kinds::QuantityText(size.into()))].into()), ..Default::default() }),
            ..Default::default()
        }),
        ..Default::default()
    };
    check(claim("1Gi", "ReadWriteOnce"), &[]);
    check(claim("1Gi", "Never"), &["spec.accessModes: Unsupported value: \"Never\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\""]);
    let errors = update(claim("1Gi", "ReadOnlyMany"), claim("1Gi", "ReadWriteOnce"));
    assert!(errors[0].starts_with("spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"), "{errors:?}");
}

#[test]
fn nodes_have_sound_taints() {
    let taint = |effect: &str| Taint { key: "a".into(), effect: effect.into(), ..Default::default() };
    let node = |taints| Node { metadata: ObjectMeta { name: Some("n".into()), ..Default::default() }, spec: Some(NodeSpec { taints: Some(taints), ..Default::default() }), ..Default::default() };
    check(node(vec![taint("NoSchedule")]), &[]);
    check(node(vec![taint("Never")]), &["metadata.taints[0].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\""]);
    assert_eq!(rules(Kind::Node).kind, Kind::Node);
}
