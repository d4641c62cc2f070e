//! Tables and laws of `networking`.

use crate::rules;
use kinds::api::networking::v1::*;
use kinds::{FieldErrors, Object, ObjectMeta};

fn meta() -> ObjectMeta {
    ObjectMeta { name: Some("x".into()), namespace: Some("default".into()), ..Default::default() }
}

fn check(o: impl Into<Object>, want: &[&str]) {
    let mut o = o.into();
    let r = rules(o.kind().expect("built in"));
    (r.default)(&mut o);
    let mut e = FieldErrors::default();
    (r.validate)(&o, &mut e);
    assert_eq!(e.0.iter().map(ToString::to_string).collect::<Vec<_>>(), want);
}

#[test]
fn ingresses() {
    let with = |path: HTTPIngressPath| Ingress {
        metadata: meta(),
        spec: Some(IngressSpec {
            rules: Some(vec![IngressRule { host: Some("a.b".into()), http: Some(HTTPIngressRuleValue { paths: vec![path] }) }]),
            ..Default::default()
        }),
        ..Default::default()
    };
    let service = |number| IngressBackend {
        service: Some(IngressServiceBackend { name: "web".into(), port: Some(ServiceBackendPort { number, ..Default::default() }) }),
        ..Default::default()
    };
    check(with(HTTPIngressPath { path: Some("/".into()), path_type: "Prefix".into(), backend: service(Some(80)) }), &[]);
    check(
        with(HTTPIngressPath { path: Some("x".into()), path_type: "Exact".into(), backend: service(None) }),
        &[
            "spec.rules[0].http.paths[0].path: Invalid value: \"x\": must be an absolute path",
            "spec.rules[0].http.paths[0].backend: Required value: port name or number is required",
        ],
    );
    check(
        Ingress { metadata: meta(), ..Default::default() },
        &["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"],
    );
}

#[test]
fn policies() {
    let with = |peer| NetworkPolicy {
        metadata: meta(),
        spec: Some(NetworkPolicySpec {
            ingress: Some(vec![NetworkPolicyIngressRule { from: Some(vec![peer]), ..Default::default() }]),
            ..Default::default()
        }),
    };
    check(with(NetworkPolicyPeer::default()), &["spec.ingress[0].from[0]: Required value: must specify a peer"]);
    let block = IPBlock { cidr: "10.0.0.0/8".into(), except: Some(vec!["11.0.0.0/16".into()]) };
    check(
        with(NetworkPolicyPeer { ip_block: Some(block), ..Default::default() }),
        &["spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`"],
    );
}
