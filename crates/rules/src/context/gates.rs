//! Feature gates: what v1.36 has on by default, and what this installation changes of it (`--feature-gates`).
//!
//! Docs: "Feature Gates".

use super::needs::NEEDS;
use schema::{Feature, Stage, features};
use std::collections::BTreeMap;

/// Why a list of gates is refused, in the words of the API server's flag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// A part that is no `name=value`.
    #[error("missing bool value for {0}")]
    NoValue(String),
    /// A value that is no truth.
    #[error("invalid value of {name}={value}, err: strconv.ParseBool: parsing {value:?}: invalid syntax")]
    NoBool { name: String, value: String },
    /// A gate that v1.36 does not have.
    #[error("unrecognized feature gate: {0}")]
    Unknown(String),
    /// A gate that cannot be turned any more.
    #[error("cannot set feature gate {name} to {value}, feature is locked to {locked}")]
    Locked { name: String, value: bool, locked: bool },
    /// Gates that are on without those that they need.
    #[error("{0}")]
    Needs(String),
}

/// The gates that change what Timonel does. Other features are there or not, whatever their gates say.
const HEEDED: &[&str] = &[
    "APIResponseCompression",
    "APIServerIdentity",
    "AllowParsingUserUIDFromCertAuth",
    "AuthorizePodWebsocketUpgradeCreatePermission",
    "ClearingNominatedNodeNameAfterBinding",
    "ClusterTrustBundle",
    "ClusterTrustBundleProjection",
    "ComponentFlagz",
    "ComponentStatusz",
    "ConstrainedImpersonation",
    "ContainerRestartRules",
    "ContainerStopSignals",
    "CoordinatedLeaderElection",
    "CrossNamespaceVolumeDataSource",
    "DRAConsumableCapacity",
    "DRADeviceBindingConditions",
    "DRADeviceTaints",
    "DRAExtendedResource",
    "DRAListTypeAttributes",
    "DRANodeAllocatableResources",
    "DRAPartitionableDevices",
    "DRAPrioritizedList",
    "DRAResourceClaimDeviceStatus",
    "DRAResourceClaimGranularStatusAuthorization",
    "DeploymentReplicaSetTerminatingReplicas",
    "EnvFiles",
    "GenericWorkload",
    "HPAConfigurableTolerance",
    "HPAScaleToZero",
    "HostnameOverride",
    "ImageVolumeWithDigest",
    "InPlacePodLevelResourcesVerticalScaling",
    "InPlacePodVerticalScalingInitContainers",
    "MatchLabelKeysInPodTopologySpread",
    "MatchLabelKeysInPodTopologySpreadSelectorMerge",
    "MaxUnavailableStatefulSet",
    "MutablePVNodeAffinity",
    "MutablePodResourcesForSuspendedJobs",
    "MutableSchedulingDirectivesForSuspendedJobs",
    "MutatingAdmissionPolicy",
    "NodeDeclaredFeatures",
    "OpenAPIEnums",
    "PodCertificateRequest",
    "PodDeletionCost",
    "PodLevelResources",
    "PodLogsQuerySplitStreams",
    "PodTopologyLabelsAdmission",
    "RelaxedServiceNameValidation",
    "RemoteRequestHeaderUID",
    "ResourceHealthStatus",
    "ResourceHealthStatusMessage",
    "RestartAllContainersOnContainerExits",
    "SELinuxMount",
    "ServiceAccountNodeAudienceRestriction",
    "ServiceCIDRStatusFieldWiping",
    "SizeBasedListCostEstimate",
    "StorageVersionHash",
    "StrictIPCIDRValidation",
    "StructuredAuthenticationConfigurationEgressSelector",
    "TaintTolerationComparisonOperators",
    "TokenRequestServiceAccountUIDValidation",
    "UnauthenticatedHTTP2DOSMitigation",
    "UnknownVersionInteroperabilityProxy",
    "UserNamespacesHostNetworkSupport",
    "VolumeAttributesClass",
    "VolumeLimitScaling",
    "WatchList",
];

/// The gates of an installation.
#[derive(Clone, Debug, Default)]
pub struct Gates(BTreeMap<&'static str, bool>);

impl Gates {
    /// The defaults, changed by a list such as `A=true,B=false`. `AllAlpha` and `AllBeta` turn all gates of a stage that the list
    /// does not name.
    ///
    /// # Errors
    /// Gates that there are not or that are locked, and what is no truth.
    pub fn parse(list: &str) -> Result<Self, GateError> {
        let mut named = Vec::new();
        for part in list.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| GateError::NoValue(part.to_owned()))?;
            let (name, value) = (name.trim(), value.trim());
            let on = truth(value).ok_or_else(|| GateError::NoBool { name: name.to_owned(), value: value.to_owned() })?;
            let gate = feature(name).filter(|f| !f.client).ok_or_else(|| GateError::Unknown(name.to_owned()))?;
            if gate.locked && gate.default != on {
                return Err(GateError::Locked { name: name.to_owned(), value: on, locked: gate.default });
            }
            named.push((gate, on));
        }
        let mut gates = BTreeMap::new();
        for (all, on) in named.iter().filter(|(gate, _)| gate.meta) {
            let stage = if all.name == "AllAlpha" { Stage::Alpha } else { Stage::Beta };
            let of_stage = features().iter().filter(|f| f.stage == stage && !f.locked && !f.meta && !f.client);
            gates.extend(of_stage.map(|f| (f.name, *on)));
        }
        gates.extend(named.into_iter().map(|(gate, on)| (gate.name, on)));
        Self(gates).sound()
    }

    /// What is on has what it needs.
    fn sound(self) -> Result<Self, GateError> {
        let mut wrong = Vec::new();
        for (name, needed) in NEEDS.iter().filter(|(name, _)| self.on(name)) {
            let off: Vec<&str> = needed.iter().copied().filter(|n| !self.on(n)).collect();
            if !off.is_empty() {
                wrong.push(format!("{name} is enabled, but depends on features that are disabled: [{}]", off.join(" ")));
            }
        }
        match wrong.len() {
            0 => Ok(self),
            1 => Err(GateError::Needs(wrong.remove(0))),
            _ => Err(GateError::Needs(format!("[{}]", wrong.join(", ")))),
        }
    }

    /// Whether a gate is on. Unknown gates are off.
    #[must_use]
    pub fn on(&self, name: &str) -> bool {
        self.0.get(name).copied().unwrap_or_else(|| feature(name).is_some_and(|f| f.default))
    }

    /// Every gate of a server with its stage (empty: it is there to stay) and whether it is on.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        features().iter().filter(|f| !f.client).map(|f| {
            let stage = match f.stage {
                Stage::Alpha => "ALPHA",
                Stage::Beta => "BETA",
                Stage::Ga => "",
                Stage::Deprecated => "DEPRECATED",
            };
            (f.name, stage, self.on(f.name))
        })
    }

    /// The gates that are not as by default, of which nothing here takes notice.
    pub fn idle(&self) -> impl Iterator<Item = &'static str> {
        let changed = self.0.iter().filter(|(name, on)| feature(name).is_some_and(|f| f.default != **on));
        changed.map(|(name, _)| *name).filter(|name| !HEEDED.contains(name) && !name.starts_with("All"))
    }
}

fn feature(name: &str) -> Option<&'static Feature> {
    let all = features();
    all.binary_search_by(|f| f.name.cmp(name)).ok().map(|at| &all[at])
}

/// What Go reads as a truth.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Gates;

    #[test]
    fn a_list_changes_the_defaults() {
        let gates = Gates::parse("ContainerStopSignals=true, APIServerIdentity=false,UnknownVersionInteroperabilityProxy=false").expect("gates");
        assert!(gates.on("ContainerStopSignals") && !gates.on("APIServerIdentity"));
        assert!(gates.on("WatchList") && !Gates::default().on("ContainerStopSignals"), "the others are as they were");
        assert!(!Gates::default().on("NoSuchGate"));
    }

    #[test]
    fn gates_that_change_nothing_are_told() {
        assert!(super::HEEDED.iter().all(|name| super::feature(name).is_some()));
        let gates = Gates::parse("ContainerStopSignals=true,WatchList=true,ContextualLogging=false").expect("gates");
        let told: Vec<_> = gates.idle().collect();
        assert_eq!(told, ["ContextualLogging"]);
    }

    #[test]
    fn a_stage_is_turned_as_a_whole() {
        let gates = Gates::parse("AllAlpha=true,ContainerStopSignals=false").expect("gates");
        assert!(gates.on("GenericWorkload") && !gates.on("ContainerStopSignals"), "what is named stays as named");
        let gates = Gates::parse("AllBeta=false").expect("gates");
        assert!(!gates.on("APIServerIdentity") && gates.on("APIServerTracing"), "what is locked does not turn");
    }

    #[test]
    fn refusals_are_worded_as_the_flag_of_kube_apiserver() {
        let refused = |list: &str| Gates::parse(list).expect_err(list).to_string();
        assert_eq!(refused("NoSuchGate=true"), "unrecognized feature gate: NoSuchGate");
        assert_eq!(refused("WatchList"), "missing bool value for WatchList");
        assert_eq!(
            refused("WatchList=maybe"),
            r#"invalid value of WatchList=maybe, err: strconv.ParseBool: parsing "maybe": invalid syntax"#
        );
        assert_eq!(
            refused("APIServerIdentity=false"),
            "UnknownVersionInteroperabilityProxy is enabled, but depends on features that are disabled: [APIServerIdentity]"
        );
        assert_eq!(
            refused("APIServerTracing=false"),
            "cannot set feature gate APIServerTracing to false, feature is locked to true"
        );
    }
}
