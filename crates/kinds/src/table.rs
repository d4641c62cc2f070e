//! Every built-in kind that v1.36 serves by default, once: variant, type, group, version, kind, plural, singular, scope,
//! standing. `Kind`, `Object` and `Typed` are made from these rows (facts of `resources.json`).

use crate::object::{Object, Typed};
use crate::{ObjectMeta, api, apiextensions_apiserver, kube_aggregator};
use std::sync::Arc;

/// Whether objects of a kind live in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Namespaced,
    Cluster,
}

/// How a kind is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Has a table of its own.
    Stored,
    /// Another served version of a stored kind (`Kind::stored_as`).
    View,
    /// Answered, never stored (reviews, bindings, subresource bodies).
    Virtual,
}

/// The facts of one kind.
#[derive(Debug)]
pub struct KindInfo {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    pub scope: Scope,
    pub standing: Standing,
}

macro_rules! kinds {
    ($($v:ident: $ty:ty, $g:literal, $ver:literal, $k:literal, $pl:literal, $si:literal, $sc:ident, $st:ident;)*) => {
        /// A built-in kind in one group and version.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Kind { $($v),* }

        impl Kind {
            /// All kinds, in the order of the table.
            pub const ALL: &'static [Kind] = &[$(Kind::$v),*];
        }

        static INFOS: &[KindInfo] = &[$(KindInfo {
            group: $g, version: $ver, kind: $k, plural: $pl, singular: $si, scope: Scope::$sc, standing: Standing::$st,
        }),*];

        $(impl Typed for $ty {
            const KIND: Kind = Kind::$v;
            fn into_object(self: Arc<Self>) -> Object { Object::$v(self) }
            fn of(object: &Object) -> Option<&Arc<Self>> {
                match object { Object::$v(o) => Some(o), _ => None }
            }
            fn from_object(object: Object) -> Result<Arc<Self>, Object> {
                match object { Object::$v(o) => Ok(o), other => Err(other) }
            }
            fn meta(&self) -> &ObjectMeta { &self.metadata }
            fn meta_mut(&mut self) -> &mut ObjectMeta { &mut self.metadata }
        }
        impl From<$ty> for Object {
            fn from(o: $ty) -> Self { Object::$v(Arc::new(o)) }
        })*

    };
}

impl Kind {
    /// The facts of this kind.
    #[must_use]
    pub fn info(self) -> &'static KindInfo {
        &INFOS[self as usize]
    }

    /// `group/version`, or `version` alone in the core group.
    #[must_use]
    pub fn api_version(self) -> String {
        let i = self.info();
        if i.group.is_empty() { i.version.to_owned() } else { format!("{}/{}", i.group, i.version) }
    }

    /// The kind of that group, version and kind name.
    #[must_use]
    pub fn from_gvk(group: &str, version: &str, kind: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|k| {
            let i = k.info();
            i.kind == kind && i.group == group && i.version == version
        })
    }

    /// The kind served as that group, version and plural.
    #[must_use]
    pub fn from_gvr(group: &str, version: &str, plural: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|k| {
            let i = k.info();
            i.plural == plural && i.group == group && i.version == version
        })
    }

    /// The kind of an `apiVersion` and `kind` pair as objects and owner references spell them.
    #[must_use]
    pub fn from_api_version(api_version: &str, kind: &str) -> Option<Self> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self::from_gvk(group, version, kind)
    }

    /// The kind whose table holds objects of this one.
    #[must_use]
    pub fn stored_as(self) -> Self {
        match self {
            Self::HorizontalPodAutoscalerV1 => Self::HorizontalPodAutoscaler,
            Self::EventsEvent => Self::Event,
            other => other,
        }
    }

    /// Whether its objects live in namespaces.
    #[must_use]
    pub fn namespaced(self) -> bool {
        self.info().scope == Scope::Namespaced
    }

    /// Every kind with a table of its own.
    pub fn stored() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|k| k.info().standing == Standing::Stored)
    }
}

kinds! {
    Binding: api::core::v1::Binding, "", "v1", "Binding", "bindings", "binding", Namespaced, Virtual;
    ComponentStatus: api::core::v1::ComponentStatus, "", "v1", "ComponentStatus", "componentstatuses", "componentstatus", Cluster, Virtual;
    ConfigMap: api::core::v1::ConfigMap, "", "v1", "ConfigMap", "configmaps", "configmap", Namespaced, Stored;
    Endpoints: api::core::v1::Endpoints, "", "v1", "Endpoints", "endpoints", "endpoints", Namespaced, Stored;
    Event: api::core::v1::Event, "", "v1", "Event", "events", "event", Namespaced, Stored;
    LimitRange: api::core::v1::LimitRange, "", "v1", "LimitRange", "limitranges", "limitrange", Namespaced, Stored;
    Namespace: api::core::v1::Namespace, "", "v1", "Namespace", "namespaces", "namespace", Cluster, Stored;
    Node: api::core::v1::Node, "", "v1", "Node", "nodes", "node", Cluster, Stored;
    PersistentVolumeClaim: api::core::v1::PersistentVolumeClaim, "", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", "persistentvolumeclaim", Namespaced, Stored;
    PersistentVolume: api::core::v1::PersistentVolume, "", "v1", "PersistentVolume", "persistentvolumes", "persistentvolume", Cluster, Stored;
    Pod: api::core::v1::Pod, "", "v1", "Pod", "pods", "pod", Namespaced, Stored;
    PodTemplate: api::core::v1::PodTemplate, "", "v1", "PodTemplate", "podtemplates", "podtemplate", Namespaced, Stored;
    ReplicationController: api::core::v1::ReplicationController, "", "v1", "ReplicationController", "replicationcontrollers", "replicationcontroller", Namespaced, Stored;
    ResourceQuota: api::core::v1::ResourceQuota, "", "v1", "ResourceQuota", "resourcequotas", "resourcequota", Namespaced, Stored;
    Secret: api::core::v1::Secret, "", "v1", "Secret", "secrets", "secret", Namespaced, Stored;
    ServiceAccount: api::core::v1::ServiceAccount, "", "v1", "ServiceAccount", "serviceaccounts", "serviceaccount", Namespaced, Stored;
    Service: api::core::v1::Service, "", "v1", "Service", "services", "service", Namespaced, Stored;
    MutatingAdmissionPolicy: api::admissionregistration::v1::MutatingAdmissionPolicy, "admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicy", "mutatingadmissionpolicies", "mutatingadmissionpolicy", Cluster, Stored;
    MutatingAdmissionPolicyBinding: api::admissionregistration::v1::MutatingAdmissionPolicyBinding, "admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", "mutatingadmissionpolicybinding", Cluster, Stored;
    MutatingWebhookConfiguration: api::admissionregistration::v1::MutatingWebhookConfiguration, "admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "mutatingwebhookconfiguration", Cluster, Stored;
    ValidatingAdmissionPolicy: api::admissionregistration::v1::ValidatingAdmissionPolicy, "admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", "validatingadmissionpolicy", Cluster, Stored;
    ValidatingAdmissionPolicyBinding: api::admissionregistration::v1::ValidatingAdmissionPolicyBinding, "admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", "validatingadmissionpolicybinding", Cluster, Stored;
    ValidatingWebhookConfiguration: api::admissionregistration::v1::ValidatingWebhookConfiguration, "admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "validatingwebhookconfiguration", Cluster, Stored;
    CustomResourceDefinition: apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition, "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", "customresourcedefinition", Cluster, Stored;
    APIService: kube_aggregator::pkg::apis::apiregistration::v1::APIService, "apiregistration.k8s.io", "v1", "APIService", "apiservices", "apiservice", Cluster, Stored;
    ControllerRevision: api::apps::v1::ControllerRevision, "apps", "v1", "ControllerRevision", "controllerrevisions", "controllerrevision", Namespaced, Stored;
    DaemonSet: api::apps::v1::DaemonSet, "apps", "v1", "DaemonSet", "daemonsets", "daemonset", Namespaced, Stored;
    Deployment: api::apps::v1::Deployment, "apps", "v1", "Deployment", "deployments", "deployment", Namespaced, Stored;
    ReplicaSet: api::apps::v1::ReplicaSet, "apps", "v1", "ReplicaSet", "replicasets", "replicaset", Namespaced, Stored;
    StatefulSet: api::apps::v1::StatefulSet, "apps", "v1", "StatefulSet", "statefulsets", "statefulset", Namespaced, Stored;
    SelfSubjectReview: api::authentication::v1::SelfSubjectReview, "authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", "selfsubjectreview", Cluster, Virtual;
    TokenReview: api::authentication::v1::TokenReview, "authentication.k8s.io", "v1", "TokenReview", "tokenreviews", "tokenreview", Cluster, Virtual;
    LocalSubjectAccessReview: api::authorization::v1::LocalSubjectAccessReview, "authorization.k8s.io", "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews", "localsubjectaccessreview", Namespaced, Virtual;
    SelfSubjectAccessReview: api::authorization::v1::SelfSubjectAccessReview, "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", "selfsubjectaccessreview", Cluster, Virtual;
    SelfSubjectRulesReview: api::authorization::v1::SelfSubjectRulesReview, "authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", "selfsubjectrulesreview", Cluster, Virtual;
    SubjectAccessReview: api::authorization::v1::SubjectAccessReview, "authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", "subjectaccessreview", Cluster, Virtual;
    HorizontalPodAutoscalerV1: api::autoscaling::v1::HorizontalPodAutoscaler, "autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler", Namespaced, View;
    HorizontalPodAutoscaler: api::autoscaling::v2::HorizontalPodAutoscaler, "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler", Namespaced, Stored;
    CronJob: api::batch::v1::CronJob, "batch", "v1", "CronJob", "cronjobs", "cronjob", Namespaced, Stored;
    Job: api::batch::v1::Job, "batch", "v1", "Job", "jobs", "job", Namespaced, Stored;
    CertificateSigningRequest: api::certificates::v1::CertificateSigningRequest, "certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", "certificatesigningrequest", Cluster, Stored;
    Lease: api::coordination::v1::Lease, "coordination.k8s.io", "v1", "Lease", "leases", "lease", Namespaced, Stored;
    EndpointSlice: api::discovery::v1::EndpointSlice, "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "endpointslice", Namespaced, Stored;
    EventsEvent: api::events::v1::Event, "events.k8s.io", "v1", "Event", "events", "event", Namespaced, View;
    FlowSchema: api::flowcontrol::v1::FlowSchema, "flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "flowschemas", "flowschema", Cluster, Stored;
    PriorityLevelConfiguration: api::flowcontrol::v1::PriorityLevelConfiguration, "flowcontrol.apiserver.k8s.io", "v1", "PriorityLevelConfiguration", "prioritylevelconfigurations", "prioritylevelconfiguration", Cluster, Stored;
    IngressClass: api::networking::v1::IngressClass, "networking.k8s.io", "v1", "IngressClass", "ingressclasses", "ingressclass", Cluster, Stored;
    Ingress: api::networking::v1::Ingress, "networking.k8s.io", "v1", "Ingress", "ingresses", "ingress", Namespaced, Stored;
    IPAddress: api::networking::v1::IPAddress, "networking.k8s.io", "v1", "IPAddress", "ipaddresses", "ipaddress", Cluster, Stored;
    NetworkPolicy: api::networking::v1::NetworkPolicy, "networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", "networkpolicy", Namespaced, Stored;
    ServiceCIDR: api::networking::v1::ServiceCIDR, "networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs", "servicecidr", Cluster, Stored;
    RuntimeClass: api::node::v1::RuntimeClass, "node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", "runtimeclass", Cluster, Stored;
    PodDisruptionBudget: api::policy::v1::PodDisruptionBudget, "policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "poddisruptionbudget", Namespaced, Stored;
    ClusterRoleBinding: api::rbac::v1::ClusterRoleBinding, "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding", Cluster, Stored;
    ClusterRole: api::rbac::v1::ClusterRole, "rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", "clusterrole", Cluster, Stored;
    RoleBinding: api::rbac::v1::RoleBinding, "rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", "rolebinding", Namespaced, Stored;
    Role: api::rbac::v1::Role, "rbac.authorization.k8s.io", "v1", "Role", "roles", "role", Namespaced, Stored;
    DeviceClass: api::resource::v1::DeviceClass, "resource.k8s.io", "v1", "DeviceClass", "deviceclasses", "deviceclass", Cluster, Stored;
    ResourceClaim: api::resource::v1::ResourceClaim, "resource.k8s.io", "v1", "ResourceClaim", "resourceclaims", "resourceclaim", Namespaced, Stored;
    ResourceClaimTemplate: api::resource::v1::ResourceClaimTemplate, "resource.k8s.io", "v1", "ResourceClaimTemplate", "resourceclaimtemplates", "resourceclaimtemplate", Namespaced, Stored;
    ResourceSlice: api::resource::v1::ResourceSlice, "resource.k8s.io", "v1", "ResourceSlice", "resourceslices", "resourceslice", Cluster, Stored;
    PriorityClass: api::scheduling::v1::PriorityClass, "scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", "priorityclass", Cluster, Stored;
    CSIDriver: api::storage::v1::CSIDriver, "storage.k8s.io", "v1", "CSIDriver", "csidrivers", "csidriver", Cluster, Stored;
    CSINode: api::storage::v1::CSINode, "storage.k8s.io", "v1", "CSINode", "csinodes", "csinode", Cluster, Stored;
    CSIStorageCapacity: api::storage::v1::CSIStorageCapacity, "storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities", "csistoragecapacity", Namespaced, Stored;
    StorageClass: api::storage::v1::StorageClass, "storage.k8s.io", "v1", "StorageClass", "storageclasses", "storageclass", Cluster, Stored;
    VolumeAttachment: api::storage::v1::VolumeAttachment, "storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments", "volumeattachment", Cluster, Stored;
    VolumeAttributesClass: api::storage::v1::VolumeAttributesClass, "storage.k8s.io", "v1", "VolumeAttributesClass", "volumeattributesclasses", "volumeattributesclass", Cluster, Stored;
    Eviction: api::policy::v1::Eviction, "policy", "v1", "Eviction", "pods/eviction", "eviction", Namespaced, Virtual;
    Scale: api::autoscaling::v1::Scale, "autoscaling", "v1", "Scale", "scale", "scale", Namespaced, Virtual;
    TokenRequest: api::authentication::v1::TokenRequest, "authentication.k8s.io", "v1", "TokenRequest", "serviceaccounts/token", "tokenrequest", Namespaced, Virtual;
}

/// Calls `$m! { Variant: Type; ... }` with every built-in kind.
#[macro_export]
macro_rules! for_each_kind {
    ($m:ident) => {
        $m! {
            Binding: $crate::api::core::v1::Binding;
            ComponentStatus: $crate::api::core::v1::ComponentStatus;
            ConfigMap: $crate::api::core::v1::ConfigMap;
            Endpoints: $crate::api::core::v1::Endpoints;
            Event: $crate::api::core::v1::Event;
            LimitRange: $crate::api::core::v1::LimitRange;
            Namespace: $crate::api::core::v1::Namespace;
            Node: $crate::api::core::v1::Node;
            PersistentVolumeClaim: $crate::api::core::v1::PersistentVolumeClaim;
            PersistentVolume: $crate::api::core::v1::PersistentVolume;
            Pod: $crate::api::core::v1::Pod;
            PodTemplate: $crate::api::core::v1::PodTemplate;
            ReplicationController: $crate::api::core::v1::ReplicationController;
            ResourceQuota: $crate::api::core::v1::ResourceQuota;
            Secret: $crate::api::core::v1::Secret;
            ServiceAccount: $crate::api::core::v1::ServiceAccount;
            Service: $crate::api::core::v1::Service;
            MutatingAdmissionPolicy: $crate::api::admissionregistration::v1::MutatingAdmissionPolicy;
            MutatingAdmissionPolicyBinding: $crate::api::admissionregistration::v1::MutatingAdmissionPolicyBinding;
            MutatingWebhookConfiguration: $crate::api::admissionregistration::v1::MutatingWebhookConfiguration;
            ValidatingAdmissionPolicy: $crate::api::admissionregistration::v1::ValidatingAdmissionPolicy;
            ValidatingAdmissionPolicyBinding: $crate::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
            ValidatingWebhookConfiguration: $crate::api::admissionregistration::v1::ValidatingWebhookConfiguration;
            CustomResourceDefinition: $crate::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
            APIService: $crate::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
            ControllerRevision: $crate::api::apps::v1::ControllerRevision;
            DaemonSet: $crate::api::apps::v1::DaemonSet;
            Deployment: $crate::api::apps::v1::Deployment;
            ReplicaSet: $crate::api::apps::v1::ReplicaSet;
            StatefulSet: $crate::api::apps::v1::StatefulSet;
            SelfSubjectReview: $crate::api::authentication::v1::SelfSubjectReview;
            TokenReview: $crate::api::authentication::v1::TokenReview;
            LocalSubjectAccessReview: $crate::api::authorization::v1::LocalSubjectAccessReview;
            SelfSubjectAccessReview: $crate::api::authorization::v1::SelfSubjectAccessReview;
            SelfSubjectRulesReview: $crate::api::authorization::v1::SelfSubjectRulesReview;
            SubjectAccessReview: $crate::api::authorization::v1::SubjectAccessReview;
            HorizontalPodAutoscalerV1: $crate::api::autoscaling::v1::HorizontalPodAutoscaler;
            HorizontalPodAutoscaler: $crate::api::autoscaling::v2::HorizontalPodAutoscaler;
            CronJob: $crate::api::batch::v1::CronJob;
            Job: $crate::api::batch::v1::Job;
            CertificateSigningRequest: $crate::api::certificates::v1::CertificateSigningRequest;
            Lease: $crate::api::coordination::v1::Lease;
            EndpointSlice: $crate::api::discovery::v1::EndpointSlice;
            EventsEvent: $crate::api::events::v1::Event;
            FlowSchema: $crate::api::flowcontrol::v1::FlowSchema;
            PriorityLevelConfiguration: $crate::api::flowcontrol::v1::PriorityLevelConfiguration;
            IngressClass: $crate::api::networking::v1::IngressClass;
            Ingress: $crate::api::networking::v1::Ingress;
            IPAddress: $crate::api::networking::v1::IPAddress;
            NetworkPolicy: $crate::api::networking::v1::NetworkPolicy;
            ServiceCIDR: $crate::api::networking::v1::ServiceCIDR;
            RuntimeClass: $crate::api::node::v1::RuntimeClass;
            PodDisruptionBudget: $crate::api::policy::v1::PodDisruptionBudget;
            ClusterRoleBinding: $crate::api::rbac::v1::ClusterRoleBinding;
            ClusterRole: $crate::api::rbac::v1::ClusterRole;
            RoleBinding: $crate::api::rbac::v1::RoleBinding;
            Role: $crate::api::rbac::v1::Role;
            DeviceClass: $crate::api::resource::v1::DeviceClass;
            ResourceClaim: $crate::api::resource::v1::ResourceClaim;
            ResourceClaimTemplate: $crate::api::resource::v1::ResourceClaimTemplate;
            ResourceSlice: $crate::api::resource::v1::ResourceSlice;
            PriorityClass: $crate::api::scheduling::v1::PriorityClass;
            CSIDriver: $crate::api::storage::v1::CSIDriver;
            CSINode: $crate::api::storage::v1::CSINode;
            CSIStorageCapacity: $crate::api::storage::v1::CSIStorageCapacity;
            StorageClass: $crate::api::storage::v1::StorageClass;
            VolumeAttachment: $crate::api::storage::v1::VolumeAttachment;
            VolumeAttributesClass: $crate::api::storage::v1::VolumeAttributesClass;
            Eviction: $crate::api::policy::v1::Eviction;
            Scale: $crate::api::autoscaling::v1::Scale;
            TokenRequest: $crate::api::authentication::v1::TokenRequest;
        }
    };
}
