//! Which admission plugins an installation runs (`--enable-admission-plugins`, `--disable-admission-plugins`).
//!
//! Docs: "Admission Control in Kubernetes: Which plugins are enabled by default?".

use std::collections::BTreeSet;

/// Plugins that run unless they are disabled.
const BY_DEFAULT: &[&str] = &[
    "CertificateApproval",
    "CertificateSubjectRestriction",
    "DefaultIngressClass",
    "DefaultStorageClass",
    "DefaultTolerationSeconds",
    "LimitRanger",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook",
    "NamespaceLifecycle",
    "NodeRestriction",
    "PersistentVolumeClaimResize",
    "PodSecurity",
    "PodTopologyLabels",
    "Priority",
    "ResourceQuota",
    "RuntimeClass",
    "ServiceAccount",
    "StorageObjectInUseProtection",
    "TaintNodesByCondition",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook",
];

/// Plugins that run where they are enabled.
const ON_REQUEST: &[&str] = &[
    "AlwaysAdmit",
    "AlwaysDeny",
    "AlwaysPullImages",
    "DenyServiceExternalIPs",
    "EventRateLimit",
    "ExtendedResourceToleration",
    "ImagePolicyWebhook",
    "LimitPodHardAntiAffinityTopology",
    "NamespaceAutoProvision",
    "NamespaceExists",
    "OwnerReferencesPermissionEnforcement",
    "PodNodeSelector",
    "PodTolerationRestriction",
];

/// Plugins of v1.36 whose rules are part of others here, or of features that are off: they cannot be disabled.
const ALWAYS: &[&str] = &[
    "CertificateSigning",
    "ClusterTrustBundleAttest",
    "JobValidation",
    "NodeDeclaredFeatureValidator",
    "PodGroupProtection",
    "PodGroupWorkloadExists",
    "PodResizeValidator",
];

/// Why a choice of plugins is refused; the first two in the API server's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// A name that v1.36 does not have.
    #[error("{flag}-admission-plugins plugin {name:?} is unknown")]
    Unknown { flag: &'static str, name: String },
    /// In both lists.
    #[error("{0} in enable-admission-plugins and disable-admission-plugins overlapped")]
    Both(String),
    /// Timonel cannot do without the plugin.
    #[error("disable-admission-plugins: the rules of {0:?} cannot be switched off")]
    Always(String),
}

/// The plugins of an installation.
#[derive(Clone, Debug, Default)]
pub struct Plugins {
    enabled: BTreeSet<&'static str>,
    disabled: BTreeSet<&'static str>,
}

impl Plugins {
    /// The defaults, with changes.
    ///
    /// # Errors
    /// Names that there are not, that stand in both lists, or that cannot be chosen.
    pub fn with(enable: &[String], disable: &[String]) -> Result<Self, PluginError> {
        let mut plugins = Self::default();
        for name in named(disable) {
            match () {
                () if ALWAYS.contains(&name) => return Err(PluginError::Always(name.to_owned())),
                () => {
                    let known = known(name).ok_or_else(|| PluginError::Unknown { flag: "disable", name: name.to_owned() })?;
                    plugins.disabled.insert(known);
                }
            }
        }
        for name in named(enable) {
            match () {
                () if named(disable).any(|d| d == name) => return Err(PluginError::Both(name.to_owned())),
                () if ALWAYS.contains(&name) => {}
                () => {
                    let known = known(name).ok_or_else(|| PluginError::Unknown { flag: "enable", name: name.to_owned() })?;
                    plugins.enabled.insert(known);
                }
            }
        }
        Ok(plugins)
    }

    /// Whether a plugin runs that is on by default.
    #[must_use]
    pub fn keeps(&self, name: &str) -> bool {
        self.disabled.is_empty() || !self.disabled.contains(name)
    }

    /// Whether a plugin runs that is off by default.
    #[must_use]
    pub fn adds(&self, name: &str) -> bool {
        !self.enabled.is_empty() && self.enabled.contains(name)
    }
}

fn named(list: &[String]) -> impl Iterator<Item = &str> {
    list.iter().map(|name| name.trim()).filter(|name| !name.is_empty())
}

fn known(name: &str) -> Option<&'static str> {
    BY_DEFAULT.iter().chain(ON_REQUEST).copied().find(|n| *n == name)
}

#[cfg(test)]
mod tests {
    use super::{PluginError, Plugins};

    fn with(enable: &str, disable: &str) -> Result<Plugins, PluginError> {
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        Plugins::with(&list(enable), &list(disable))
    }

    #[test]
    fn plugins_are_added_and_left_out() {
        let plugins = with("AlwaysPullImages,LimitRanger", "Priority").expect("plugins");
        assert!(plugins.adds("AlwaysPullImages") && !plugins.adds("AlwaysDeny"));
        assert!(plugins.keeps("LimitRanger") && !plugins.keeps("Priority"));
        assert!(Plugins::default().keeps("Priority") && !Plugins::default().adds("AlwaysPullImages"));
    }

    #[test]
    fn a_choice_that_cannot_be_made_is_refused() {
        let refused = |enable: &str, disable: &str| with(enable, disable).expect_err("a refusal").to_string();
        assert_eq!(refused("Nothing", ""), r#"enable-admission-plugins plugin "Nothing" is unknown"#);
        assert_eq!(refused("", "Nothing"), r#"disable-admission-plugins plugin "Nothing" is unknown"#);
        assert_eq!(refused("Priority", "Priority"), "Priority in enable-admission-plugins and disable-admission-plugins overlapped");
        assert_eq!(refused("", "CertificateSigning"), r#"disable-admission-plugins: the rules of "CertificateSigning" cannot be switched off"#);
        assert!(with("CertificateSigning", "EventRateLimit").is_ok());
    }
}
