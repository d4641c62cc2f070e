//! Small objects to start tests from.

use kinds::api::apps::v1::{Deployment, DeploymentSpec};
use kinds::api::core::v1::{
    Container, Namespace, NamespaceSpec, NamespaceStatus, Node, NodeCondition, NodeStatus, PodCondition, PodIP, PodSpec,
    PodStatus, PodTemplateSpec,
};
use kinds::{LabelSelector, ObjectMeta, Time};
use std::collections::BTreeMap;

/// Labels from pairs.
#[must_use]
pub fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// Metadata with a namespace (may be empty) and a name.
#[must_use]
pub fn meta(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        ..ObjectMeta::default()
    }
}

/// A selector of exactly these labels.
#[must_use]
pub fn selector(pairs: &[(&str, &str)]) -> LabelSelector {
    LabelSelector { match_labels: Some(labels(pairs)), match_expressions: None }
}

/// A pod template with one container of that image, labelled `app=<app>`.
#[must_use]
pub fn template(app: &str, image: &str) -> PodTemplateSpec {
    let container = Container { name: "main".to_owned(), image: Some(image.to_owned()), ..Container::default() };
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels(&[("app", app)])), ..ObjectMeta::default() }),
        spec: Some(PodSpec { containers: vec![container], ..PodSpec::default() }),
    }
}

/// A deployment in `default`, as defaulting leaves it.
#[must_use]
pub fn deployment(name: &str, replicas: i32) -> Deployment {
    Deployment {
        metadata: meta("default", name),
        spec: Some(DeploymentSpec {
            replicas: Some(replicas),
            selector: selector(&[("app", name)]),
            template: template(name, "v1"),
            progress_deadline_seconds: Some(600),
            revision_history_limit: Some(10),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// An active namespace.
#[must_use]
pub fn namespace(name: &str) -> Namespace {
    Namespace {
        metadata: meta("", name),
        spec: Some(NamespaceSpec { finalizers: Some(vec!["kubernetes".to_owned()]) }),
        status: Some(NamespaceStatus { phase: Some("Active".to_owned()), conditions: None }),
    }
}

/// A ready node.
#[must_use]
pub fn node(name: &str) -> Node {
    let ready = NodeCondition { type_: "Ready".to_owned(), status: "True".to_owned(), ..NodeCondition::default() };
    Node {
        metadata: ObjectMeta {
            labels: Some(labels(&[("kubernetes.io/hostname", name)])),
            ..meta("", name)
        },
        spec: None,
        status: Some(NodeStatus { conditions: Some(vec![ready]), ..NodeStatus::default() }),
    }
}

/// The status of a pod that runs and is ready since `since`, at `ip`.
#[must_use]
pub fn running(ip: &str, since: Time) -> PodStatus {
    let ready = PodCondition {
        type_: "Ready".to_owned(),
        status: "True".to_owned(),
        last_transition_time: Some(since),
        ..PodCondition::default()
    };
    PodStatus {
        phase: Some("Running".to_owned()),
        conditions: Some(vec![ready]),
        pod_ip: Some(ip.to_owned()),
        pod_ips: Some(vec![PodIP { ip: ip.to_owned() }]),
        ..PodStatus::default()
    }
}
