//! Tables and laws of `escalation`.

use super::*;
use crate::testing::World;
use kinds::ObjectMeta;
use kinds::api::rbac::v1::{ClusterRoleBinding, RoleBinding, Subject};

fn meta(name: &str, namespace: &str) -> ObjectMeta {
    let namespace = Some(namespace.to_owned()).filter(|n| !n.is_empty());
    ObjectMeta { name: Some(name.into()), namespace, ..Default::default() }
}

fn rule(verbs: &[&str], resources: &[&str]) -> PolicyRule {
    let own = |l: &[&str]| l.iter().map(|x| (*x).to_owned()).collect::<Vec<_>>();
    PolicyRule { verbs: own(verbs), resources: Some(own(resources)), api_groups: Some(vec![String::new()]), ..Default::default() }
}

/// Alice may read pods in every namespace.
fn world() -> World {
    let reader = ClusterRole { metadata: meta("reader", ""), rules: Some(vec![rule(&["get", "list"], &["pods"])]), ..Default::default() };
    let admin = ClusterRole { metadata: meta("admin", ""), rules: Some(vec![rule(&["*"], &["*"])]), ..Default::default() };
    let role_ref = RoleRef { api_group: Some(GROUP.into()), kind: "ClusterRole".into(), name: "reader".into() };
    let alice = Subject { kind: "User".into(), name: "alice".into(), api_group: Some(GROUP.into()), namespace: None };
    let bound = ClusterRoleBinding { metadata: meta("b", ""), role_ref, subjects: Some(vec![alice]) };
    World::new(vec![reader.into(), admin.into(), bound.into()])
}

fn request(kind: Kind, namespace: &str) -> Request {
    Request {
        operation: Operation::Create,
        resource: kind.into(),
        subresource: "",
        namespace: namespace.into(),
        name: String::new(),
        dry_run: false,
    }
}

#[test]
fn roles_grant_only_what_is_held() {
    let w = world();
    let make = |r: PolicyRule| Object::from(Role { metadata: meta("r", "default"), rules: Some(vec![r]) });
    check(&w.ctx(), &request(Kind::Role, "default"), &make(rule(&["get"], &["pods"])), None).expect("held");
    let e = check(&w.ctx(), &request(Kind::Role, "default"), &make(rule(&["get", "delete"], &["pods"])), None).expect_err("more");
    assert_eq!(
        e.message,
        "roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"alice\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}"
    );
}

#[test]
fn bindings_bind_only_what_is_held() {
    let w = world();
    let make = |name: &str| {
        let role_ref = RoleRef { api_group: Some(GROUP.into()), kind: "ClusterRole".into(), name: name.into() };
        Object::from(RoleBinding { metadata: meta("rb", "default"), role_ref, subjects: None })
    };
    let r = request(Kind::RoleBinding, "default");
    check(&w.ctx(), &r, &make("reader"), None).expect("held");
    assert!(check(&w.ctx(), &r, &make("admin"), None).expect_err("more").message.contains("not currently held"));
    let e = check(&w.ctx(), &r, &make("ghost"), None).expect_err("missing");
    assert_eq!((e.code, e.message.as_str()), (404, "clusterroles.rbac.authorization.k8s.io \"ghost\" not found"));
}
