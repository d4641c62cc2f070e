//! The node authorizer: a kubelet reads only what the pods bound to its node use, and of lists only its own share.
//! Docs: "Using Node Authorization"; KEP-4601 (selectors).

mod uses;

#[cfg(test)]
mod tests;

use super::Attributes;
use cache::Snapshot;
use kinds::selector::Operator;

/// Resources a kubelet may use without looking at pods: (group, resource, subresource, verbs).
const ALWAYS: &[(&str, &str, &str, &[&str])] = &[
    ("authentication.k8s.io", "tokenreviews", "", &["create"]),
    ("authorization.k8s.io", "subjectaccessreviews", "", &["create"]),
    ("authorization.k8s.io", "localsubjectaccessreviews", "", &["create"]),
    ("", "services", "", READ),
    ("discovery.k8s.io", "endpointslices", "", READ),
    ("", "events", "", &["create", "update", "patch"]),
    ("events.k8s.io", "events", "", &["create", "update", "patch"]),
    ("certificates.k8s.io", "certificatesigningrequests", "", &["create", "get", "list", "watch"]),
    ("node.k8s.io", "runtimeclasses", "", READ),
    ("storage.k8s.io", "csidrivers", "", READ),
    ("networking.k8s.io", "servicecidrs", "", &["list", "watch"]),
    ("certificates.k8s.io", "clustertrustbundles", "", READ),
];

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["update", "patch"];
const OWN: &[&str] = &["get", "create", "update", "patch", "delete"];
const LEASES: &str = "kube-node-lease";

type Answer = Result<(), String>;

/// Whether the node may; the error says why not.
pub(super) fn authorize(snapshot: &Snapshot, node: &str, a: &Attributes) -> Answer {
    if !a.is_resource {
        return no("");
    }
    let question = Question { snapshot, node, a };
    match (a.group.as_str(), a.resource.as_str()) {
        ("", "secrets" | "configmaps") => question.read(),
        ("", "persistentvolumeclaims") if a.subresource == "status" => question.update_status(),
        ("", "persistentvolumeclaims" | "persistentvolumes") => question.get(),
        ("resource.k8s.io", "resourceclaims") | ("storage.k8s.io", "volumeattachments") => question.get(),
        ("", "serviceaccounts") if a.subresource == "token" => question.create_token(),
        ("", "serviceaccounts") => question.get(),
        ("coordination.k8s.io", "leases") => question.lease(),
        ("storage.k8s.io", "csinodes") => question.csi_node(),
        ("resource.k8s.io", "resourceslices") => question.slice(),
        ("", "nodes") => question.nodes(),
        ("", "pods") => question.pods(),
        (g, r) => {
            let one = |(g2, r2, s, verbs): &(&str, &str, &str, &[&str])| (*g2, *r2, *s) == (g, r, &a.subresource) && verbs.contains(&a.verb.as_str());
            if ALWAYS.iter().any(one) { Ok(()) } else { no("") }
        }
    }
}

fn no(why: &str) -> Answer {
    Err(why.to_owned())
}

struct Question<'a> {
    snapshot: &'a Snapshot,
    node: &'a str,
    a: &'a Attributes,
}

impl Question<'_> {
    fn verb_is(&self, verbs: &[&str]) -> bool {
        verbs.contains(&self.a.verb.as_str())
    }

    /// Whether a pod of the node has to do with it.
    fn related(&self) -> Answer {
        if self.a.name.is_empty() {
            return no("No Object name found");
        }
        match uses::relates(self.snapshot, self.node, self.a) {
            true => Ok(()),
            false => Err(format!("no relationship found between node '{}' and this object", self.node)),
        }
    }

    fn read(&self) -> Answer {
        match () {
            () if !self.verb_is(READ) => no("can only read resources of this type"),
            () if !self.a.subresource.is_empty() => no("cannot read subresource"),
            () if self.a.namespace.is_empty() => no("can only read namespaced object of this type"),
            () => self.related(),
        }
    }

    fn get(&self) -> Answer {
        match () {
            () if self.a.verb != "get" => no("can only get individual resources of this type"),
            () if !self.a.subresource.is_empty() => no("cannot get subresource"),
            () => self.related(),
        }
    }

    fn update_status(&self) -> Answer {
        if self.verb_is(WRITE) { self.related() } else { no("can only get/update/patch this type") }
    }

    fn create_token(&self) -> Answer {
        let one = self.a.verb == "create" && !self.a.name.is_empty();
        if one { self.related() } else { no("can only create tokens for individual service accounts") }
    }

    fn lease(&self) -> Answer {
        match () {
            () if !self.verb_is(OWN) => no("can only get, create, update, patch, or delete a node lease"),
            () if self.a.namespace != LEASES => Err(format!("can only access leases in the {LEASES:?} system namespace")),
            () if !self.is_own() => no("can only access node lease with the same name as the requesting node"),
            () => Ok(()),
        }
    }

    fn csi_node(&self) -> Answer {
        match () {
            () if !self.a.subresource.is_empty() => no("cannot authorize CSINode subresources"),
            () if !self.verb_is(OWN) => no("can only get, create, update, patch, or delete a CSINode"),
            () if !self.is_own() => no("can only access CSINode with the same name as the requesting node"),
            () => Ok(()),
        }
    }

    /// What is created has no name yet: admission looks at it.
    fn is_own(&self) -> bool {
        self.a.verb == "create" || self.a.name == self.node
    }

    fn slice(&self) -> Answer {
        if !self.a.subresource.is_empty() {
            return no("cannot authorize ResourceSlice subresources");
        }
        match self.a.verb.as_str() {
            "create" => Ok(()),
            "get" | "update" | "patch" | "delete" => self.related(),
            "list" | "watch" | "deletecollection" if self.selects("spec.nodeName") => Ok(()),
            "list" | "watch" | "deletecollection" => no("can only list/watch/deletecollection resourceslices with spec.nodeName field selector"),
            _ => no("only the following verbs are allowed for a ResourceSlice: create, get, update, patch, delete, list, watch, deletecollection"),
        }
    }

    fn nodes(&self) -> Answer {
        match (self.a.subresource.as_str(), self.a.verb.as_str()) {
            ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Ok(()),
            ("", "get" | "list" | "watch") if self.a.name == self.node => Ok(()),
            ("", "get" | "list" | "watch") if self.a.name.is_empty() => {
                Err(format!("node '{}' cannot read all nodes, only its own Node object", self.node))
            }
            ("", "get" | "list" | "watch") => {
                Err(format!("node '{}' cannot read '{}', only its own Node object", self.node, self.a.name))
            }
            _ => no(""),
        }
    }

    fn pods(&self) -> Answer {
        match (self.a.subresource.as_str(), self.a.verb.as_str()) {
            ("", "get") => self.get(),
            ("", "list" | "watch") if self.selects("spec.nodeName") => Ok(()),
            ("", "list" | "watch") if !self.a.name.is_empty() => self.related(),
            ("", "list" | "watch") => no("can only list/watch pods with spec.nodeName field selector"),
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Ok(()),
            _ => no(""),
        }
    }

    /// Whether a list is narrowed to what names the node in that field.
    fn selects(&self, field: &str) -> bool {
        let own = |values: &[String]| values.len() == 1 && values[0] == self.node;
        self.a.fields.iter().any(|r| r.key == field && r.operator == Operator::In && own(&r.values))
    }
}
