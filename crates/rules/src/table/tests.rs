//! Laws that hold for every kind.

use crate::rules;
use kinds::{FieldErrors, Kind, Object};

#[test]
fn every_kind_has_its_own_row() {
    for k in Kind::ALL {
        assert_eq!(rules(*k).kind, k.stored_as());
    }
}

#[test]
fn defaults_are_idempotent() {
    for k in Kind::stored() {
        let mut once = Object::empty(k);
        (rules(k).default)(&mut once);
        let mut twice = once.clone();
        (rules(k).default)(&mut twice);
        assert_eq!(once, twice, "{k:?}");
    }
}

#[test]
fn an_unchanged_object_keeps_its_generation() {
    for k in Kind::stored() {
        let r = rules(k);
        let mut old = Object::empty(k);
        (r.default)(&mut old);
        (r.prepare_create)(&mut old);
        (r.default)(&mut old);
        let mut new = old.clone();
        (r.prepare_update)(&mut new, &old);
        assert_eq!(new, old, "{k:?}");
    }
}

#[test]
fn nothing_panics_on_empty_objects() {
    for k in Kind::stored() {
        let (r, o) = (rules(k), Object::empty(k));
        let mut e = FieldErrors::default();
        (r.validate)(&o, &mut e);
        assert!(e.aggregate().contains("metadata.name: Required value"), "{k:?}: {}", e.aggregate());
        (r.validate_update)(&o, &o, &mut e);
        (r.validate_status_update)(&o, &o, &mut e);
        (r.warnings)(&o, Some(&o));
        assert!((r.fields)(&o).iter().any(|(n, _)| *n == "metadata.name"), "{k:?}");
    }
}

/// Kinds with a `status` subresource in v1.36 (facts of the spec's `resources.json`).
const WITH_STATUS: &[Kind] = &[
    Kind::Namespace, Kind::Node, Kind::PersistentVolumeClaim, Kind::PersistentVolume, Kind::Pod,
    Kind::ReplicationController, Kind::ResourceQuota, Kind::Service, Kind::ValidatingAdmissionPolicy,
    Kind::CustomResourceDefinition, Kind::APIService, Kind::DaemonSet, Kind::Deployment, Kind::ReplicaSet,
    Kind::StatefulSet, Kind::HorizontalPodAutoscaler, Kind::CronJob, Kind::Job, Kind::CertificateSigningRequest,
    Kind::FlowSchema, Kind::PriorityLevelConfiguration, Kind::Ingress, Kind::ServiceCIDR, Kind::PodDisruptionBudget,
    Kind::ResourceClaim, Kind::VolumeAttachment,
];

#[test]
fn status_subresources() {
    for k in Kind::stored() {
        assert_eq!(rules(k).prepare_status_update.is_some(), WITH_STATUS.contains(&k), "{k:?}");
    }
}

/// What field selectors may name beside `metadata.name`; kinds that are not listed have `metadata.namespace` alone
/// (facts of the spec's `resources.json`).
const FIELDS: &[(Kind, &[&str])] = &[
    (Kind::Namespace, &["status.phase"]),
    (Kind::Node, &["spec.unschedulable"]),
    (Kind::CertificateSigningRequest, &["spec.signerName"]),
    (Kind::ResourceSlice, &["spec.nodeName", "spec.driver"]),
    (Kind::ReplicationController, &["metadata.namespace", "status.replicas"]),
    (Kind::Secret, &["metadata.namespace", "type"]),
    (Kind::Service, &["metadata.namespace", "spec.clusterIP", "spec.type"]),
    (Kind::Job, &["metadata.namespace", "status.successful"]),
    (Kind::Pod, &[
        "metadata.namespace", "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
        "spec.hostNetwork", "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
    ]),
    (Kind::Event, &[
        "metadata.namespace", "involvedObject.kind", "involvedObject.namespace", "involvedObject.name",
        "involvedObject.uid", "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
        "reason", "reportingComponent", "source", "type",
    ]),
];

#[test]
fn selectable_fields() {
    for k in Kind::stored() {
        let names: Vec<&str> = (rules(k).fields)(&Object::empty(k)).into_iter().map(|(n, _)| n).collect();
        let own = FIELDS.iter().find(|(x, _)| *x == k).map_or(&["metadata.namespace"][..], |(_, f)| f);
        assert_eq!(names, [&["metadata.name"], own].concat(), "{k:?}");
    }
}
