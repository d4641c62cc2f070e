//! What a controller is: its name, the user it acts as, what wakes it, and the function from a snapshot to a plan.

use crate::plan::Plan;
use cache::{Change, Snapshot};
use ipnet::IpNet;
use jiff::Timestamp;
use kinds::api::admissionregistration::v1::{TypeChecking, ValidatingAdmissionPolicy};
use kinds::api::certificates::v1::CertificateSigningRequestSpec;
use kinds::api::core::v1::ResourceQuotaSpec;
use kinds::pod::Amounts;
use kinds::{Kind, Object, ObjectKey, Resource, Time, Typed};
use std::sync::Arc;
use std::time::Duration;

/// What one decision is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    pub resource: Resource,
    pub key: ObjectKey,
}

impl Subject {
    /// The object of that kind and key.
    pub fn new(resource: impl Into<Resource>, key: ObjectKey) -> Self {
        Self { resource: resource.into(), key }
    }
    /// The object of that kind, namespace and name.
    pub fn named(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self::new(kind, ObjectKey::new(namespace, name))
    }
    /// That typed object.
    pub fn of<K: Typed>(object: &K) -> Self {
        Self::new(K::KIND, ObjectKey::of(object.meta()))
    }
}

/// Whose changes a controller wants to hear of.
#[derive(Clone, Copy, Debug)]
pub enum Watches {
    Everything,
    Kinds(&'static [Kind]),
}

impl Watches {
    /// Whether changes of this resource are wanted.
    #[must_use]
    pub fn wants(self, resource: &Resource) -> bool {
        match self {
            Self::Everything => true,
            Self::Kinds(kinds) => resource.builtin().is_some_and(|k| kinds.contains(&k)),
        }
    }
}

/// One controller, as the shell sees it.
#[derive(Debug)]
pub struct Controller {
    /// Names its queue, its metrics and the source of its events.
    pub name: &'static str,
    /// The service account in `kube-system` that it acts as.
    pub account: &'static str,
    /// `source.component` of its events.
    pub component: &'static str,
    pub watches: Watches,
    /// Which subjects a change concerns.
    pub wakes: fn(&Change, &Snapshot) -> Vec<Subject>,
    /// Every subject there is: what to look at on start and after falling behind.
    pub subjects: fn(&Snapshot) -> Vec<Subject>,
    /// Observes and decides. `None`: there is nothing to decide about any more.
    pub plan: fn(&Snapshot, &Subject, &Ctx) -> Option<Plan>,
}

/// A failure that the previous round of the same subject met while it carried out its plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The event reason of the step that failed, e.g. `FailedCreate`.
    pub reason: &'static str,
    /// The API's message.
    pub message: String,
}

/// Everything a decision may depend on besides what it observes.
#[derive(Clone, Debug)]
pub struct Ctx<'a> {
    pub now: Timestamp,
    /// Chance: a fresh number a round; names are made from it.
    pub seed: u64,
    pub config: &'a Config,
    /// Set when the shell asks again right after a failed attempt, to have the failure told in the status.
    pub failed: Option<&'a Failed>,
}

impl Ctx<'_> {
    /// The present, as API times have it: whole seconds.
    #[must_use]
    pub fn time(&self) -> Time {
        Time(crate::numbers::whole_seconds(self.now))
    }
}

/// The flags of kube-controller-manager that we have, with its defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// The PEM bundle that `kube-root-ca.crt` carries.
    pub root_ca_pem: String,
    /// `--cluster-cidr`: one range an IP family.
    pub cluster_cidrs: Vec<IpNet>,
    /// Whether nodes are given a part of the cluster CIDR.
    pub allocate_node_cidrs: bool,
    pub node_mask_v4: u8,
    pub node_mask_v6: u8,
    /// `--service-cluster-ip-range`.
    pub service_cidrs: Vec<IpNet>,
    pub node_monitor_grace: Duration,
    pub node_startup_grace: Duration,
    /// When the controllers started: silence before that is no node's fault.
    pub started: Option<Timestamp>,
    /// `--terminated-pod-gc-threshold`.
    pub terminated_pod_threshold: usize,
    /// `--legacy-service-account-token-clean-up-period`.
    pub legacy_token_period: Duration,
    /// Decodes one object of a kind from its JSON tree: the codec, given as a value so that serde stays there.
    pub decode: fn(Kind, &serde_json::Value) -> Option<Object>,
    /// Counts what a namespace uses of a quota: admission's own count, given as a value so that there is only one.
    pub quota_used: fn(&Snapshot, &str, &ResourceQuotaSpec, Timestamp) -> Amounts,
    /// Checks the expressions of an admission policy: admission's own checker, given as a value.
    pub type_check: fn(&ValidatingAdmissionPolicy, &Snapshot) -> TypeChecking,
    /// Reads certificate requests and signs them; without one nothing is signed.
    pub issuer: Option<Arc<dyn crate::certificates::Issuer>>,
    /// Signs tokens that are kept in Secrets.
    pub tokens: Option<Arc<dyn crate::serviceaccounttoken::Signer>>,
    /// Whether the requester may create that subresource of certificate requests: a SubjectAccessReview.
    pub may_request: fn(&Snapshot, &CertificateSigningRequestSpec, &str) -> bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            root_ca_pem: String::new(),
            cluster_cidrs: Vec::new(),
            allocate_node_cidrs: true,
            node_mask_v4: 24,
            node_mask_v6: 64,
            service_cidrs: Vec::new(),
            node_monitor_grace: Duration::from_secs(50),
            node_startup_grace: Duration::from_secs(60),
            started: None,
            terminated_pod_threshold: 12_500,
            legacy_token_period: crate::legacytokencleaner::PERIOD,
            decode: |_, _| None,
            quota_used: |_, _, _, _| Amounts::new(),
            type_check: |_, _| TypeChecking::default(),
            issuer: None,
            tokens: None,
            may_request: |_, _, _| false,
        }
    }
}

/// The subjects of a controller whose subjects are all objects of one kind.
pub(crate) fn every<K: Typed>(snapshot: &Snapshot) -> Vec<Subject> {
    snapshot.list::<K>("").map(|o| Subject::of(&**o)).collect()
}

/// The object itself, when the change is about that kind.
pub(crate) fn itself(change: &Change, kind: Kind) -> Option<Subject> {
    (change.resource == kind.into()).then(|| Subject { resource: change.resource.clone(), key: change.key().clone() })
}

/// The controllers of that kind among the owners, before and after the change.
pub(crate) fn managing(change: &Change, kind: Kind) -> Vec<Subject> {
    let mut out = Vec::new();
    for entry in change.old.iter().chain(&change.new) {
        let Some(owner) = kinds::owner::controller_of(entry.meta()) else { continue };
        if owner.kind == kind.info().kind && owner.api_version == kind.api_version() {
            let subject = Subject::named(kind, entry.key.namespace.clone(), owner.name.clone());
            if !out.contains(&subject) {
                out.push(subject);
            }
        }
    }
    out
}
