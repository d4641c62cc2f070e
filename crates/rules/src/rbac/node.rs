//! The node authorizer: a kubelet reads only what the pods bound to its node use.
//! Docs: "Using Node Authorization".

use super::Attributes;
use cache::Snapshot;
use kinds::api::core::v1::{Pod, PodSpec, Volume};

/// Resources a kubelet may use without looking at pods: (group, resource, subresource, verbs).
const ALWAYS: &[(&str, &str, &str, &[&str])] = &[
    ("authentication.k8s.io", "tokenreviews", "", &["create"]),
    ("authorization.k8s.io", "subjectaccessreviews", "", &["create"]),
    ("authorization.k8s.io", "localsubjectaccessreviews", "", &["create"]),
    ("", "services", "", &["get", "list", "watch"]),
    ("discovery.k8s.io", "endpointslices", "", &["get", "list", "watch"]),
    ("", "nodes", "", &["create", "get", "list", "watch", "update", "patch"]),
    ("", "nodes", "status", &["update", "patch"]),
    ("", "events", "", &["create", "update", "patch"]),
    ("events.k8s.io", "events", "", &["create", "update", "patch"]),
    ("", "pods", "", &["get", "list", "watch", "create", "delete"]),
    ("", "pods", "status", &["update", "patch"]),
    ("", "pods", "eviction", &["create"]),
    ("certificates.k8s.io", "certificatesigningrequests", "", &["create", "get", "list", "watch"]),
    ("node.k8s.io", "runtimeclasses", "", &["get", "list", "watch"]),
    ("storage.k8s.io", "csidrivers", "", &["get", "list", "watch"]),
    ("storage.k8s.io", "volumeattachments", "", &["get"]),
    ("networking.k8s.io", "servicecidrs", "", &["list", "watch"]),
    ("certificates.k8s.io", "clustertrustbundles", "", &["get", "list", "watch"]),
];

/// Whether the node may; the error says why not.
pub(super) fn authorize(snapshot: &Snapshot, node: &str, a: &Attributes) -> Result<(), String> {
    if !a.is_resource {
        return Err(String::new());
    }
    let read = matches!(a.verb.as_str(), "get" | "list" | "watch");
    match (a.group.as_str(), a.resource.as_str(), a.subresource.as_str()) {
        ("", "secrets" | "configmaps", "") if read => used(snapshot, node, a, names_of),
        ("", "persistentvolumeclaims", "") if a.verb == "get" => used(snapshot, node, a, names_of),
        ("", "persistentvolumes", "") if a.verb == "get" => Ok(()),
        ("", "serviceaccounts", "token") if a.verb == "create" => used(snapshot, node, a, account_of),
        ("", "serviceaccounts", "") if a.verb == "get" => used(snapshot, node, a, account_of),
        ("coordination.k8s.io", "leases", "") => own(a, "kube-node-lease", node),
        ("storage.k8s.io", "csinodes", "") => own(a, "", node),
        ("resource.k8s.io", "resourceslices", "") => Ok(()),
        ("resource.k8s.io", "resourceclaims", "") if a.verb == "get" => Ok(()),
        (g, r, s) => {
            let known = ALWAYS.iter().any(|(g2, r2, s2, verbs)| (*g2, *r2, *s2) == (g, r, s) && verbs.contains(&a.verb.as_str()));
            if known { Ok(()) } else { Err(String::new()) }
        }
    }
}

fn own(a: &Attributes, namespace: &str, node: &str) -> Result<(), String> {
    let mine = a.namespace == namespace && (a.name == node || a.verb == "create");
    if mine { Ok(()) } else { Err(format!("can only access {} with the same name as the requesting node", a.resource)) }
}

type Names = fn(&PodSpec, &str) -> Vec<String>;

fn used(snapshot: &Snapshot, node: &str, a: &Attributes, names: Names) -> Result<(), String> {
    if a.name.is_empty() {
        return Err("can only read resources of this type by name".to_owned());
    }
    let holds = |p: &Pod| {
        p.metadata.namespace.as_deref() == Some(a.namespace.as_str())
            && p.spec.as_ref().is_some_and(|s| names(s, &a.resource).contains(&a.name))
    };
    if snapshot.pods_on(node).any(|p| holds(p)) {
        return Ok(());
    }
    Err(format!("no relationship found between node '{node}' and this object"))
}

fn account_of(spec: &PodSpec, _: &str) -> Vec<String> {
    spec.service_account_name.clone().into_iter().collect()
}

fn names_of(spec: &PodSpec, resource: &str) -> Vec<String> {
    let mut names = Vec::new();
    let secret = resource == "secrets";
    if secret {
        names.extend(spec.image_pull_secrets.iter().flatten().map(|s| s.name.clone()));
    }
    for v in spec.volumes.iter().flatten() {
        match resource {
            "secrets" => volume_secrets(v, &mut names),
            "configmaps" => volume_config_maps(v, &mut names),
            _ => names.extend(v.persistent_volume_claim.as_ref().map(|c| c.claim_name.clone())),
        }
    }
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let envs = containers.flat_map(|c| {
        let from = c.env_from.iter().flatten().filter_map(move |e| {
            if secret { e.secret_ref.as_ref().map(|s| s.name.clone()) } else { e.config_map_ref.as_ref().map(|c| c.name.clone()) }
        });
        let single = c.env.iter().flatten().filter_map(|e| e.value_from.as_ref()).filter_map(move |v| {
            if secret {
                v.secret_key_ref.as_ref().map(|s| s.name.clone())
            } else {
                v.config_map_key_ref.as_ref().map(|c| c.name.clone())
            }
        });
        from.chain(single)
    });
    if resource != "persistentvolumeclaims" {
        names.extend(envs);
    }
    names
}

fn volume_secrets(v: &Volume, names: &mut Vec<String>) {
    names.extend(v.secret.as_ref().and_then(|s| s.secret_name.clone()));
    let sources = v.projected.iter().flat_map(|p| p.sources.iter().flatten());
    names.extend(sources.filter_map(|s| s.secret.as_ref().map(|s| s.name.clone())));
    names.extend(v.csi.as_ref().and_then(|c| c.node_publish_secret_ref.as_ref().map(|r| r.name.clone())));
}

fn volume_config_maps(v: &Volume, names: &mut Vec<String>) {
    names.extend(v.config_map.as_ref().map(|c| c.name.clone()));
    let sources = v.projected.iter().flat_map(|p| p.sources.iter().flatten());
    names.extend(sources.filter_map(|s| s.config_map.as_ref().map(|c| c.name.clone())));
}
