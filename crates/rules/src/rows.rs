//! Which row belongs to which kind.

use crate::names::NameRule::DnsSubdomain;
use crate::table::Rules;
use crate::{
    access, apps, autoscaling, batch, certificates, coordination, core, devices, extensions, flow, networking, policy, questions, storage, webhooks,
};
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
        MutatingAdmissionPolicy => webhooks::policies::MUTATING_ROW,
        MutatingAdmissionPolicyBinding => webhooks::policies::MUTATING_BINDING_ROW,
        MutatingWebhookConfiguration => webhooks::config::MUTATING_ROW,
        ValidatingAdmissionPolicy => webhooks::policies::VALIDATING_ROW,
        ValidatingAdmissionPolicyBinding => webhooks::policies::VALIDATING_BINDING_ROW,
        ValidatingWebhookConfiguration => webhooks::config::VALIDATING_ROW,
        CustomResourceDefinition => extensions::DEFINITION_ROW,
        APIService => extensions::SERVICE_ROW,
        ControllerRevision => apps::revision::ROW,
        DaemonSet => apps::daemonset::ROW,
        Deployment => apps::deployment::ROW,
        ReplicaSet => apps::replicaset::ROW,
        StatefulSet => apps::statefulset::ROW,
        HorizontalPodAutoscaler => autoscaling::ROW,
        HorizontalPodAutoscalerV1 => autoscaling::ROW,
        CronJob => batch::cronjob::ROW,
        Job => batch::job::ROW,
        CertificateSigningRequest => certificates::ROW,
        Lease => coordination::LEASE_ROW,
        EndpointSlice => coordination::SLICE_ROW,
        FlowSchema => flow::SCHEMA_ROW,
        PriorityLevelConfiguration => flow::LEVEL_ROW,
        IngressClass => networking::ingress::CLASS_ROW,
        Ingress => networking::ingress::ROW,
        IPAddress => networking::address::ROW,
        NetworkPolicy => networking::policy::ROW,
        ServiceCIDR => networking::address::CIDR_ROW,
        RuntimeClass => policy::RUNTIME_ROW,
        PodDisruptionBudget => policy::BUDGET_ROW,
        ClusterRoleBinding => access::CLUSTER_BINDING_ROW,
        ClusterRole => access::CLUSTER_ROLE_ROW,
        RoleBinding => access::BINDING_ROW,
        Role => access::ROLE_ROW,
        DeviceClass => devices::CLASS_ROW,
        ResourceClaim => devices::CLAIM_ROW,
        ResourceClaimTemplate => devices::TEMPLATE_ROW,
        ResourceSlice => devices::SLICE_ROW,
        PriorityClass => policy::PRIORITY_ROW,
        CSIDriver => storage::DRIVER_ROW,
        CSINode => storage::NODE_ROW,
        CSIStorageCapacity => storage::CAPACITY_ROW,
        StorageClass => storage::CLASS_ROW,
        VolumeAttachment => storage::ATTACHMENT_ROW,
        VolumeAttributesClass => storage::ATTRIBUTES_ROW,
        Binding => questions::BINDING_ROW,
        ComponentStatus => plain!(ComponentStatus, DnsSubdomain),
        SelfSubjectReview => plain!(SelfSubjectReview, DnsSubdomain),
        TokenReview => questions::REVIEW_ROW,
        LocalSubjectAccessReview => questions::LOCAL_ACCESS_ROW,
        SelfSubjectAccessReview => questions::SELF_ACCESS_ROW,
        SelfSubjectRulesReview => plain!(SelfSubjectRulesReview, DnsSubdomain),
        SubjectAccessReview => questions::ACCESS_ROW,
        Eviction => plain!(Eviction, DnsSubdomain),
        Scale => questions::SCALE_ROW,
        TokenRequest => questions::TOKEN_ROW,
    }
}
