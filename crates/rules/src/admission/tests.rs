//! Tables and laws of `admission`.

use super::*;
use crate::testing::World;
use kinds::api::core::v1::*;
use kinds::api::scheduling::v1::PriorityClass;
use kinds::{Kind, ObjectMeta, QuantityText, Resource};

fn meta(name: &str, namespace: &str) -> ObjectMeta {
    let namespace = Some(namespace.to_owned()).filter(|n| !n.is_empty());
    ObjectMeta { name: Some(name.into()), namespace, ..Default::default() }
}

fn namespace(name: &str, phase: &str) -> Object {
    let status = Some(NamespaceStatus { phase: Some(phase.into()), ..Default::default() });
    Namespace { metadata: meta(name, ""), status, ..Default::default() }.into()
}

fn account() -> Object {
    ServiceAccount { metadata: meta("default", "default"), ..Default::default() }.into()
}

fn web() -> Pod {
    let c = Container { name: "c".into(), image: Some("nginx:1".into()), ..Default::default() };
    Pod { metadata: meta("web", "default"), spec: Some(PodSpec { containers: vec![c], ..Default::default() }), ..Default::default() }
}

fn request(kind: Kind, operation: Operation, namespace: &str, name: &str) -> Request {
    Request {
        operation,
        resource: Resource::from(kind),
        subresource: "",
        namespace: namespace.into(),
        name: name.into(),
        dry_run: false,
    }
}

fn admit(w: &World, pod: Pod) -> Result<Pod, String> {
    let r = request(Kind::Pod, Operation::Create, "default", "web");
    let mut o = Object::from(pod);
    mutate(&w.ctx(), &r, &mut o, None).map_err(|e| e.message)?;
    validate(&w.ctx(), &r, &o, None).map_err(|e| e.message)?;
    charge(&w.ctx(), &r, &o, None).map_err(|e| e.message)?;
    Ok((**o.typed::<Pod>().expect("a pod")).clone())
}

fn q(pairs: &[(&str, &str)]) -> Option<std::collections::BTreeMap<String, QuantityText>> {
    Some(pairs.iter().map(|(k, v)| ((*k).to_owned(), QuantityText((*v).into()))).collect())
}

#[test]
fn namespaces_must_live() {
    let w = World::new(vec![namespace("default", "Active"), namespace("going", "Terminating"), account()]);
    let try_in = |ns: &str| {
        let mut o = Object::from(Pod { metadata: meta("web", ns), ..web() });
        mutate(&w.ctx(), &request(Kind::Pod, Operation::Create, ns, "web"), &mut o, None)
    };
    let e = try_in("nowhere").expect_err("no namespace");
    assert_eq!((e.code, e.message.as_str()), (404, "namespaces \"nowhere\" not found"));
    let e = try_in("going").expect_err("ending");
    assert_eq!((e.code, e.message.as_str()), (403, "pods \"web\" is forbidden: unable to create new content in namespace going because it is being terminated"));
    assert_eq!(e.details.expect("details").causes[0].reason, "NamespaceTerminating");
    let o = namespace("default", "Active");
    let e = validate(&w.ctx(), &request(Kind::Namespace, Operation::Delete, "", "default"), &o, Some(&o)).expect_err("immortal");
    assert_eq!(e.message, "namespaces \"default\" is forbidden: this namespace may not be deleted");
}

#[test]
fn pods_get_an_account_a_token_and_time() {
    let w = World::new(vec![namespace("default", "Active"), account()]);
    let pod = admit(&w, web()).expect("admitted");
    let spec = pod.spec.expect("spec");
    assert_eq!(spec.service_account_name.as_deref(), Some("default"));
    let volume = &spec.volumes.expect("volumes")[0];
    assert!(volume.name.starts_with("kube-api-access-") && volume.name.len() == 21, "{}", volume.name);
    assert_eq!(spec.containers[0].volume_mounts.as_ref().expect("mounts")[0].name, volume.name);
    assert_eq!((spec.priority, spec.preemption_policy.as_deref()), (Some(0), Some("PreemptLowerPriority")));
    assert_eq!(spec.tolerations.expect("tolerations").len(), 2);
    let mut p = web();
    p.spec.as_mut().expect("spec").service_account_name = Some("bob".into());
    assert_eq!(
        admit(&w, p).expect_err("no account"),
        "pods \"web\" is forbidden: error looking up service account default/bob: serviceaccount \"bob\" not found"
    );
}

#[test]
fn priority_comes_from_the_class() {
    let class = PriorityClass { metadata: meta("high", ""), value: Some(1000), ..Default::default() };
    let w = World::new(vec![namespace("default", "Active"), account(), class.into()]);
    let with = |name: &str, n: Option<i32>| {
        let mut p = web();
        let spec = p.spec.as_mut().expect("spec");
        (spec.priority_class_name, spec.priority) = (Some(name.into()), n);
        admit(&w, p)
    };
    assert_eq!(with("high", None).expect("admitted").spec.expect("spec").priority, Some(1000));
    assert_eq!(with("low", None).expect_err("unknown"), "pods \"web\" is forbidden: no PriorityClass with name low was found");
    assert_eq!(with("high", Some(7)).expect_err("given"), "pods \"web\" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 1000 from the given PriorityClass name");
}

#[test]
fn limits_are_filled_in_and_kept() {
    let item = LimitRangeItem {
        type_: "Container".into(),
        max: q(&[("memory", "1Gi")]),
        default: q(&[("memory", "512Mi")]),
        default_request: q(&[("memory", "256Mi")]),
        ..Default::default()
    };
    let range = LimitRange { metadata: meta("l", "default"), spec: Some(LimitRangeSpec { limits: vec![item] }) };
    let w = World::new(vec![namespace("default", "Active"), account(), range.into()]);
    let pod = admit(&w, web()).expect("admitted");
    let r = pod.spec.expect("spec").containers[0].resources.clone().expect("resources");
    assert_eq!((r.requests, r.limits), (q(&[("memory", "256Mi")]), q(&[("memory", "512Mi")])));
    assert_eq!(
        pod.metadata.annotations.expect("annotations")["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: memory request for container c; memory limit for container c"
    );
    let mut p = web();
    p.spec.as_mut().expect("spec").containers[0].resources = Some(ResourceRequirements { limits: q(&[("memory", "2Gi")]), ..Default::default() });
    assert_eq!(
        admit(&w, p).expect_err("too much"),
        "pods \"web\" is forbidden: [maximum memory usage per Container is 1Gi, but limit is 2Gi]".replace(['[', ']'], "")
    );
}

#[test]
fn quotas_are_kept() {
    let quota = |hard| Object::from(ResourceQuota { metadata: meta("q", "default"), spec: Some(ResourceQuotaSpec { hard, ..Default::default() }), ..Default::default() });
    let other = Object::from(Pod { metadata: meta("old", "default"), ..web() });
    let w = World::new(vec![namespace("default", "Active"), account(), quota(q(&[("pods", "1")])), other]);
    assert_eq!(admit(&w, web()).expect_err("full"), "pods \"web\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1");
    let w = World::new(vec![namespace("default", "Active"), account(), quota(q(&[("limits.cpu", "1"), ("requests.cpu", "1")]))]);
    assert_eq!(admit(&w, web()).expect_err("unstated"), "pods \"web\" is forbidden: failed quota: q: must specify limits.cpu for: c; requests.cpu for: c");
    let mut p = web();
    p.spec.as_mut().expect("spec").containers[0].resources = Some(ResourceRequirements { limits: q(&[("cpu", "2")]), ..Default::default() });
    assert_eq!(
        admit(&w, p).expect_err("too much"),
        "pods \"web\" is forbidden: exceeded quota: q, requested: limits.cpu=2,requests.cpu=2, used: limits.cpu=0,requests.cpu=0, limited: limits.cpu=1,requests.cpu=1"
    );
}

#[test]
fn kubelets_write_only_their_own() {
    let mut w = World::new(vec![namespace("default", "Active"), account()]);
    w.user = crate::User::new("system:node:n1", &["system:nodes"]);
    let node = |name: &str| Object::from(Node { metadata: meta(name, ""), ..Default::default() });
    let r = request(Kind::Node, Operation::Create, "", "n2");
    let e = validate(&w.ctx(), &r, &node("n2"), None).expect_err("another");
    assert_eq!(e.message, "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\"");
    let mut mine = node("n1");
    let r = request(Kind::Node, Operation::Create, "", "n1");
    mutate(&w.ctx(), &r, &mut mine, None).expect("own");
    validate(&w.ctx(), &r, &mine, None).expect("own");
    let Object::Node(n) = mine else { panic!() };
    assert_eq!(n.spec.as_ref().and_then(|s| s.taints.as_ref()).map(|t| t[0].key.as_str()), Some("node.kubernetes.io/not-ready"));
    let r = request(Kind::Pod, Operation::Create, "default", "web");
    let e = validate(&w.ctx(), &r, &Object::from(web()), None).expect_err("no mirror");
    assert_eq!(e.message, "pods \"web\" is forbidden: pod does not have \"kubernetes.io/config.mirror\" annotation, node \"n1\" can only create mirror pods");
}

#[test]
fn namespaces_demand_security() {
    let demanding = |level: &str| {
        let mut metadata = meta("default", "");
        metadata.labels = Some([("pod-security.kubernetes.io/enforce".to_owned(), level.to_owned())].into());
        World::new(vec![Namespace { metadata, ..Default::default() }.into(), account()])
    };
    assert_eq!(
        admit(&demanding("restricted"), web()).expect_err("too free"),
        "pods \"web\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    );
    admit(&demanding("baseline"), web()).expect("plain");
    let mut p = web();
    let spec = p.spec.as_mut().expect("spec");
    spec.host_network = Some(true);
    spec.containers[0].security_context = Some(SecurityContext { privileged: Some(true), ..Default::default() });
    assert_eq!(
        admit(&demanding("baseline"), p).expect_err("host"),
        "pods \"web\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true), privileged (container \"c\" must not set securityContext.privileged=true)"
    );
    assert_eq!(plugins().filter(|p| *p == "PodSecurity").count(), 1);
}

#[test]
fn tokens_for_nodes() {
    use kinds::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
    let source = VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection { audience: Some("vault".into()), path: "t".into(), ..Default::default() }),
        ..Default::default()
    };
    let volume = Volume { name: "v".into(), projected: Some(ProjectedVolumeSource { sources: Some(vec![source]), ..Default::default() }), ..Default::default() };
    let mut p = web();
    p.metadata.uid = Some("u1".into());
    let spec = p.spec.as_mut().expect("spec");
    (spec.node_name, spec.volumes) = (Some("n1".into()), Some(vec![volume]));
    let mut w = World::new(vec![namespace("default", "Active"), account(), p.into()]);
    w.user = crate::User::new("system:node:n1", &["system:nodes"]);
    let r = Request { subresource: "token", ..request(Kind::ServiceAccount, Operation::Create, "default", "default") };
    let bound = |uid: &str| Some(BoundObjectReference { api_version: Some("v1".into()), kind: Some("Pod".into()), name: Some("web".into()), uid: Some(uid.into()) });
    let ask = |w: &World, bound_object_ref, audiences: &[&str]| {
        let audiences = Some(audiences.iter().map(|a| (*a).to_owned()).collect());
        let spec = TokenRequestSpec { bound_object_ref, audiences, ..Default::default() };
        validate(&w.ctx(), &r, &TokenRequest { spec: Some(spec), ..Default::default() }.into(), None).map_err(|e| e.message)
    };
    let refused = |why: &str| Err(format!("serviceaccounts \"default\" is forbidden: {why}"));
    assert_eq!(ask(&w, bound("u1"), &["vault"]), Ok(()));
    assert_eq!(ask(&w, None, &["vault"]), refused("node requested token not bound to a pod"));
    assert_eq!(ask(&w, bound(""), &["vault"]), refused("node requested token with a pod binding without a uid"));
    assert_eq!(ask(&w, bound("u1"), &["a", "b"]), refused("node may only request 0 or 1 audiences"));
    assert_eq!(
        ask(&w, bound("u1"), &["other"]),
        refused("audience \"other\" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience")
    );
    w.user = crate::User::new("system:node:n2", &["system:nodes"]);
    assert_eq!(ask(&w, bound("u1"), &["vault"]), refused("node requested token bound to a pod scheduled on a different node"));
}

fn asking(enable: &[&str], objects: Vec<Object>) -> World {
    let mut w = World::new(objects);
    let names: Vec<String> = enable.iter().map(|n| (*n).to_owned()).collect();
    w.config.plugins = crate::Plugins::with(&names, &[]).expect("plugins");
    w
}

#[test]
fn plugins_run_where_they_are_asked_for() {
    let here = || vec![namespace("default", "Active"), account()];
    let w = asking(&["AlwaysPullImages", "ExtendedResourceToleration"], here());
    let mut pod = web();
    let requests = q(&[("cpu", "1"), ("example.com/device", "1"), ("example.com/other", "2")]);
    pod.spec.as_mut().expect("a spec").containers[0].resources =
        Some(ResourceRequirements { requests: requests.clone(), limits: requests, ..Default::default() });
    let spec = admit(&w, pod).expect("admitted").spec.expect("a spec");
    assert_eq!(spec.containers[0].image_pull_policy.as_deref(), Some("Always"));
    let tolerated: Vec<_> = spec.tolerations.iter().flatten().filter(|t| t.effect.as_deref() == Some("NoSchedule")).collect();
    let keys: Vec<_> = tolerated.iter().filter_map(|t| t.key.as_deref()).collect();
    assert_eq!(keys, ["example.com/device", "example.com/other"]);
    assert!(tolerated.iter().all(|t| t.operator.as_deref() == Some("Exists") && t.toleration_seconds.is_none()));

    let w = asking(&["AlwaysDeny"], here());
    assert_eq!(admit(&w, web()), Err("pods \"web\" is forbidden: admission control is denying all modifications".into()));

    let w = asking(&["LimitPodHardAntiAffinityTopology"], here());
    let mut pod = web();
    let term = PodAffinityTerm { topology_key: "zone".into(), ..Default::default() };
    let away = PodAntiAffinity { required_during_scheduling_ignored_during_execution: Some(vec![term]), ..Default::default() };
    pod.spec.as_mut().expect("a spec").affinity = Some(Affinity { pod_anti_affinity: Some(away), ..Default::default() });
    let e = admit(&w, pod.clone()).expect_err("another topology");
    assert!(e.ends_with("has TopologyKey zone but only key kubernetes.io/hostname is allowed"), "{e}");
    assert!(admit(&World::new(here()), pod).is_ok(), "by default it does not run");
}

#[test]
fn plugins_do_not_run_where_they_are_disabled() {
    let mut w = World::new(vec![namespace("going", "Terminating"), account()]);
    let r = request(Kind::Pod, Operation::Create, "going", "web");
    let new = || Object::from(Pod { metadata: meta("web", "going"), ..web() });
    assert!(mutate(&w.ctx(), &r, &mut new(), None).is_err());
    let off = ["NamespaceLifecycle", "ServiceAccount", "DefaultTolerationSeconds"].map(str::to_owned);
    w.config.plugins = crate::Plugins::with(&[], &off).expect("plugins");
    let mut object = new();
    mutate(&w.ctx(), &r, &mut object, None).expect("nobody minds");
    let spec = object.typed::<Pod>().and_then(|p| p.spec.clone()).expect("a spec");
    assert_eq!((spec.service_account_name, spec.tolerations), (None, None));
}

#[test]
fn owners_are_named_by_who_may_delete_and_block_by_who_may_set_finalizers() {
    use kinds::OwnerReference;
    use kinds::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject};
    let allow = |verb: &str, resource: &str, group: &str| -> Vec<Object> {
        let one = |s: &str| Some(vec![s.to_owned()]);
        let rule = PolicyRule { api_groups: one(group), resources: one(resource), verbs: vec![verb.into()], ..Default::default() };
        let name = format!("{verb}-{}", resource.replace('/', "-"));
        let to = RoleRef { api_group: Some("rbac.authorization.k8s.io".into()), kind: "ClusterRole".into(), name: name.clone() };
        let who = Subject { kind: "User".into(), name: "alice".into(), ..Default::default() };
        vec![
            ClusterRole { metadata: meta(&name, ""), rules: Some(vec![rule]), ..Default::default() }.into(),
            ClusterRoleBinding { metadata: meta(&name, ""), role_ref: to, subjects: Some(vec![who]) }.into(),
        ]
    };
    let owned = |blocks: Option<bool>| {
        let owner = OwnerReference {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            name: "rs".into(),
            uid: "u".into(),
            block_owner_deletion: blocks,
            ..Default::default()
        };
        let mut pod = web();
        pod.metadata.owner_references = Some(vec![owner]);
        Object::from(pod)
    };
    let judge = |allowed: Vec<Object>, operation, new: &Object, old: Option<&Object>| {
        let w = asking(&["OwnerReferencesPermissionEnforcement"], allowed);
        validate(&w.ctx(), &request(Kind::Pod, operation, "default", "web"), new, old).map_err(|e| e.message)
    };
    let plain = Object::from(web());
    assert_eq!(judge(vec![], Operation::Create, &owned(None), None), Ok(()), "who creates may not have created");
    let e = judge(vec![], Operation::Update, &owned(None), Some(&plain)).expect_err("may not delete");
    assert_eq!(e, "pods \"web\" is forbidden: cannot set an ownerRef on a resource you can't delete: , <nil>");
    assert_eq!(judge(allow("delete", "pods", ""), Operation::Update, &owned(None), Some(&plain)), Ok(()));
    let e = judge(vec![], Operation::Create, &owned(Some(true)), None).expect_err("may not set finalizers");
    let why = "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: , <nil>";
    assert_eq!(e, format!("pods \"web\" is forbidden: {why}"));
    assert_eq!(judge(allow("update", "replicasets/finalizers", "apps"), Operation::Create, &owned(Some(true)), None), Ok(()));
    assert_eq!(judge(vec![], Operation::Update, &owned(Some(true)), Some(&owned(Some(true)))), Ok(()), "nothing changes");
}

fn quota_of(hard: &[(&str, &str)], scopes: &[(&str, &str, &[&str])]) -> Object {
    let demand = |(scope, operator, values): &(&str, &str, &[&str])| ScopedResourceSelectorRequirement {
        scope_name: (*scope).to_owned(),
        operator: (*operator).to_owned(),
        values: Some(values.iter().map(|v| (*v).to_owned()).collect()),
    };
    let selector = ScopeSelector { match_expressions: Some(scopes.iter().map(demand).collect()) };
    let spec = ResourceQuotaSpec { hard: q(hard), scope_selector: Some(selector).filter(|_| !scopes.is_empty()), ..Default::default() };
    ResourceQuota { metadata: meta("q", "default"), spec: Some(spec), ..Default::default() }.into()
}

#[test]
fn a_resize_is_charged_and_holds_the_most() {
    let w = World::new(vec![namespace("default", "Active"), quota_of(&[("requests.cpu", "3")], &[])]);
    let asks = |cpu: &str| {
        let mut p = web();
        p.spec.as_mut().expect("spec").containers[0].resources = Some(ResourceRequirements { requests: q(&[("cpu", cpu)]), ..Default::default() });
        p
    };
    let resize = |new: Pod, old: Pod| {
        let r = Request { subresource: "resize", ..request(Kind::Pod, Operation::Update, "default", "web") };
        charge(&w.ctx(), &r, &new.into(), Some(&old.into())).map(|c| c.len()).map_err(|e| e.message)
    };
    assert_eq!(resize(asks("3"), asks("1")), Ok(1));
    let over = "pods \"web\" is forbidden: exceeded quota: q, requested: requests.cpu=4, used: requests.cpu=0, limited: requests.cpu=3";
    assert_eq!(resize(asks("5"), asks("1")), Err(over.to_owned()));
    let mut shrinking = asks("1");
    let has = ResourceRequirements { requests: q(&[("cpu", "2")]), ..Default::default() };
    let status = ContainerStatus { name: "c".into(), resources: Some(has), ..Default::default() };
    shrinking.status = Some(PodStatus { container_statuses: Some(vec![status]), ..Default::default() });
    let held = quota::usage(&shrinking.into(), &w.snapshot, w.ctx().now);
    assert_eq!(held["requests.cpu"].text().0, "2", "what it has still counts");
}

#[test]
fn scopes_take_in_what_they_are_of() {
    let gold: &[(&str, &str, &[&str])] = &[("VolumeAttributesClass", "In", &["gold"])];
    let Object::ResourceQuota(of_gold) = quota_of(&[], gold) else { panic!("a quota") };
    let claim = |class: Option<&str>, current: Option<&str>| -> Object {
        let spec = PersistentVolumeClaimSpec { volume_attributes_class_name: class.map(str::to_owned), ..Default::default() };
        let status = PersistentVolumeClaimStatus { current_volume_attributes_class_name: current.map(str::to_owned), ..Default::default() };
        PersistentVolumeClaim { metadata: meta("c", "default"), spec: Some(spec), status: Some(status) }.into()
    };
    let within = |o: &Object| quota::in_scope(of_gold.spec.as_ref().expect("a spec"), o);
    assert!(within(&claim(Some("gold"), None)) && within(&claim(Some("iron"), Some("gold"))));
    assert!(!within(&claim(Some("iron"), None)) && !within(&claim(None, None)) && !within(&web().into()));
}

#[test]
fn what_is_limited_needs_a_quota() {
    let mut w = World::new(vec![namespace("default", "Active"), account()]);
    let scope = ScopedResourceSelectorRequirement { scope_name: "PriorityClass".into(), operator: "In".into(), values: Some(vec!["high".into()]) };
    let limited = quota::LimitedResource { resource: "pods".into(), match_contains: vec!["pods".into()], match_scopes: vec![scope], ..Default::default() };
    w.config.admission.limited_resources = vec![limited];
    assert_eq!(admit(&w, web()).expect_err("bare"), "pods \"web\" is forbidden: insufficient quota to consume: count/pods,pods");
    let quotas = || vec![namespace("default", "Active"), account(), quota_of(&[("pods", "2"), ("count/pods", "2")], &[])];
    w.snapshot = World::new(quotas()).snapshot;
    assert!(admit(&w, web()).is_ok());
    let mut p = web();
    p.spec.as_mut().expect("spec").priority_class_name = Some("high".into());
    let r = request(Kind::Pod, Operation::Create, "default", "web");
    let e = charge(&w.ctx(), &r, &p.into(), None).expect_err("no quota for the class");
    assert_eq!(e.message, "insufficient quota to match these scopes: [{PriorityClass In [high]}]");
}

#[test]
fn namespaces_say_where_pods_run() {
    let noted = |pairs: &[(&str, &str)]| {
        let mut o = namespace("default", "Active");
        o.meta_mut().annotations = Some(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        o
    };
    let plugins = ["PodNodeSelector".to_owned(), "PodTolerationRestriction".to_owned()];
    let world = |ns: Object| {
        let mut w = World::new(vec![ns, account()]);
        w.config.plugins = crate::Plugins::with(&plugins, &[]).expect("plugins");
        w.config.admission.node_selectors = [("clusterDefaultNodeSelector".to_owned(), "zone=a".to_owned())].into();
        w
    };
    let of = |pod: &Pod| pod.spec.as_ref().and_then(|s| s.node_selector.clone()).unwrap_or_default();
    assert_eq!(of(&admit(&world(noted(&[])), web()).expect("a pod"))["zone"], "a");
    let w = world(noted(&[("scheduler.alpha.kubernetes.io/node-selector", "zone=b,disk=ssd")]));
    assert_eq!(of(&admit(&w, web()).expect("a pod")).len(), 2);
    let mut p = web();
    p.spec.as_mut().expect("spec").node_selector = Some([("zone".to_owned(), "c".to_owned())].into());
    assert_eq!(admit(&w, p).expect_err("elsewhere"), "pods \"web\" is forbidden: pod node label selector conflicts with its namespace node label selector");
    let w = world(noted(&[
        ("scheduler.alpha.kubernetes.io/defaultTolerations", r#"[{"key":"a","operator":"Exists"}]"#),
        ("scheduler.alpha.kubernetes.io/tolerationsWhitelist", r#"[{"key":"a","operator":"Exists"},{"key":"node.kubernetes.io/not-ready","operator":"Exists"},{"key":"node.kubernetes.io/unreachable","operator":"Exists"}]"#),
    ]));
    let tolerated = admit(&w, web()).expect("a pod").spec.expect("spec").tolerations.unwrap_or_default();
    assert!(tolerated.iter().any(|t| t.key.as_deref() == Some("a")), "{tolerated:?}");
    let mut p = web();
    p.spec.as_mut().expect("spec").tolerations = Some(vec![Toleration { operator: Some("Exists".into()), ..Default::default() }]);
    let told = "pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace whitelist";
    assert_eq!(admit(&w, p).expect_err("everything"), told);
}

#[test]
fn the_installation_says_what_namespaces_do_not() {
    use security::{Demand, Level, PodSecurity, Policy};
    let mut w = World::new(vec![namespace("default", "Active"), account()]);
    let restricted = Demand { level: Level::Restricted, ..Demand::default() };
    w.config.admission.pod_security = PodSecurity {
        defaults: Policy { enforce: restricted, ..Policy::default() },
        usernames: vec!["bob".into()],
        runtime_classes: vec!["vm".into()],
        ..PodSecurity::default()
    };
    assert!(admit(&w, web()).expect_err("refused").starts_with("pods \"web\" is forbidden: violates PodSecurity \"restricted:latest\": "));
    let told = |w: &World, pod: Pod| annotations(&w.ctx(), &request(Kind::Pod, Operation::Create, "default", "web"), &pod.into(), None);
    let mut p = web();
    p.spec.as_mut().expect("spec").runtime_class_name = Some("vm".into());
    assert_eq!(told(&w, p), [("pod-security.kubernetes.io/exempt", "runtimeClass".to_owned())]);
    w.user.name = "bob".into();
    assert_eq!(told(&w, web()), [("pod-security.kubernetes.io/exempt", "user".to_owned())]);
    w.config.admission.pod_security.namespaces = vec!["default".into()];
    let mut ns = namespace("default", "Active");
    ns.meta_mut().labels = Some([("pod-security.kubernetes.io/enforce".to_owned(), "baseline".to_owned())].into());
    let warned = warnings(&w.ctx(), &request(Kind::Namespace, Operation::Create, "", "default"), &ns, None);
    assert_eq!(warned, ["namespace \"default\" is exempt from Pod Security, and the policy (enforce=baseline:latest) will be ignored"]);
}
