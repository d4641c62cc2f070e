//! Which row belongs to which kind.

use crate::names::NameRule::{self, DnsSubdomain, PathSegment};
use crate::table::Rules;
use crate::{apps, batch, core};
use kinds::Kind;

/// A kind without more than metadata.
macro_rules! plain {
    ($kind:ident, $name:expr) => {
        Rules::plain(Kind::$kind, $name)
    };
}

/// A row by kind; `Rules::plain` where a kind has nothing of its own.
pub(crate) fn row(kind: Kind) -> &'static Rules {
    macro_rules! table {
        ($($kind:ident => $row:expr,)*) => {
            match kind {
                $(Kind::$kind => { static R: Rules = $row; &R })*
            }
        };
    }
    table! {
        Pod => core::pod::ROW,
        ConfigMap => core::config::MAP_ROW,
        Endpoints => core::endpoints::ROW,
        Event => core::event::ROW,
        EventsEvent => core::event::ROW,
        LimitRange => core::limits::ROW,
        Namespace => core::namespace::ROW,
        Node => core::node::ROW,
        PersistentVolumeClaim => core::claim::ROW,
        PersistentVolume => core::volume::ROW,
        PodTemplate => core::controller::TEMPLATE_ROW,
        ReplicationController => core::controller::ROW,
        ResourceQuota => core::quota::ROW,
        Secret => core::config::SECRET_ROW,
        ServiceAccount => core::namespace::ACCOUNT_ROW,
        Service => core::service::ROW,
        MutatingAdmissionPolicy => plain!(MutatingAdmissionPolicy, DnsSubdomain),
        MutatingAdmissionPolicyBinding => plain!(MutatingAdmissionPolicyBinding, DnsSubdomain),
        MutatingWebhookConfiguration => plain!(MutatingWebhookConfiguration, DnsSubdomain),
        ValidatingAdmissionPolicy => plain!(ValidatingAdmissionPolicy, DnsSubdomain),
        ValidatingAdmissionPolicyBinding => plain!(ValidatingAdmissionPolicyBinding, DnsSubdomain),
        ValidatingWebhookConfiguration => plain!(ValidatingWebhookConfiguration, DnsSubdomain),
        CustomResourceDefinition => plain!(CustomResourceDefinition, DnsSubdomain),
        APIService => plain!(APIService, PathSegment),
        ControllerRevision => apps::revision::ROW,
        DaemonSet => apps::daemonset::ROW,
        Deployment => apps::deployment::ROW,
        ReplicaSet => apps::replicaset::ROW,
        StatefulSet => apps::statefulset::ROW,
        HorizontalPodAutoscaler => plain!(HorizontalPodAutoscaler, DnsSubdomain),
        HorizontalPodAutoscalerV1 => plain!(HorizontalPodAutoscaler, DnsSubdomain),
        CronJob => batch::cronjob::ROW,
        Job => batch::job::ROW,
        CertificateSigningRequest => plain!(CertificateSigningRequest, NameRule::Own(|_, _| Vec::new())),
        Lease => plain!(Lease, DnsSubdomain),
        EndpointSlice => plain!(EndpointSlice, DnsSubdomain),
        FlowSchema => plain!(FlowSchema, DnsSubdomain),
        PriorityLevelConfiguration => plain!(PriorityLevelConfiguration, DnsSubdomain),
        IngressClass => plain!(IngressClass, DnsSubdomain),
        Ingress => plain!(Ingress, DnsSubdomain),
        IPAddress => plain!(IPAddress, NameRule::Own(|n, _| crate::names::ip(n))),
        NetworkPolicy => plain!(NetworkPolicy, DnsSubdomain),
        ServiceCIDR => plain!(ServiceCIDR, DnsSubdomain),
        RuntimeClass => plain!(RuntimeClass, DnsSubdomain),
        PodDisruptionBudget => plain!(PodDisruptionBudget, DnsSubdomain),
        ClusterRoleBinding => plain!(ClusterRoleBinding, PathSegment),
        ClusterRole => plain!(ClusterRole, PathSegment),
        RoleBinding => plain!(RoleBinding, PathSegment),
        Role => plain!(Role, PathSegment),
        DeviceClass => plain!(DeviceClass, DnsSubdomain),
        ResourceClaim => plain!(ResourceClaim, DnsSubdomain),
        ResourceClaimTemplate => plain!(ResourceClaimTemplate, DnsSubdomain),
        ResourceSlice => plain!(ResourceSlice, DnsSubdomain),
        PriorityClass => plain!(PriorityClass, DnsSubdomain),
        CSIDriver => plain!(CSIDriver, DnsSubdomain),
        CSINode => plain!(CSINode, DnsSubdomain),
        CSIStorageCapacity => plain!(CSIStorageCapacity, DnsSubdomain),
        StorageClass => plain!(StorageClass, DnsSubdomain),
        VolumeAttachment => plain!(VolumeAttachment, DnsSubdomain),
        VolumeAttributesClass => plain!(VolumeAttributesClass, DnsSubdomain),
        Binding => plain!(Binding, DnsSubdomain),
        ComponentStatus => plain!(ComponentStatus, DnsSubdomain),
        SelfSubjectReview => plain!(SelfSubjectReview, DnsSubdomain),
        TokenReview => plain!(TokenReview, DnsSubdomain),
        LocalSubjectAccessReview => plain!(LocalSubjectAccessReview, DnsSubdomain),
        SelfSubjectAccessReview => plain!(SelfSubjectAccessReview, DnsSubdomain),
        SelfSubjectRulesReview => plain!(SelfSubjectRulesReview, DnsSubdomain),
        SubjectAccessReview => plain!(SubjectAccessReview, DnsSubdomain),
        Eviction => plain!(Eviction, DnsSubdomain),
        Scale => plain!(Scale, DnsSubdomain),
        TokenRequest => plain!(TokenRequest, DnsSubdomain),
    }
}
