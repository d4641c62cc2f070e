//! `AuthorizationConfiguration` (apiserver.config.k8s.io), and `--authorization-mode` said in its terms.
//! Docs: "Authorization: Configuring the API Server using an Authorization Config File".

use super::Policies;
use serde::Deserialize;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    pub api_version: String,
    pub kind: String,
    pub authorizers: Vec<Entry>,
    /// Of the authorizer that only a flag can bring.
    #[serde(skip)]
    pub policies: Policies,
}

/// A kind of authorizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Kind {
    Node,
    #[serde(rename = "RBAC")]
    Rbac,
    AlwaysAllow,
    AlwaysDeny,
    #[serde(skip_deserializing)]
    Abac,
    Webhook,
}

/// One authorizer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    #[serde(rename = "type")]
    pub kind: Kind,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub webhook: Option<WebhookSettings>,
}

/// A webhook's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookSettings {
    #[serde(default, rename = "authorizedTTL")]
    pub authorized_ttl: Option<String>,
    #[serde(default)]
    pub cache_authorized_requests: Option<bool>,
    #[serde(default, rename = "unauthorizedTTL")]
    pub unauthorized_ttl: Option<String>,
    #[serde(default)]
    pub cache_unauthorized_requests: Option<bool>,
    #[serde(default)]
    pub timeout: Option<String>,
    pub subject_access_review_version: String,
    #[serde(default)]
    pub match_condition_subject_access_review_version: Option<String>,
    pub failure_policy: String,
    pub connection_info: ConnectionInfo,
    #[serde(default)]
    pub match_conditions: Vec<MatchCondition>,
}

/// How to reach a webhook.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionInfo {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub kube_config_file: Option<String>,
}

/// When a webhook is asked at all.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchCondition {
    pub expression: String,
}

impl Configuration {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let tree = codec::yaml::parse(text).map_err(|e| e.to_string())?.value;
        let this: Self = serde_json::from_value(tree).map_err(|e| e.to_string())?;
        let known = ["v1", "v1beta1", "v1alpha1"].iter().any(|v| this.api_version == format!("apiserver.config.k8s.io/{v}"));
        if !known || this.kind != "AuthorizationConfiguration" {
            return Err(format!("no kind {:?} is registered for version {:?}", this.kind, this.api_version));
        }
        this.check()?;
        Ok(this)
    }

    /// From a list of modes; `webhook` is what the webhook flags say, `policies` the policy file.
    ///
    /// # Errors
    /// Modes that are not known, or said twice.
    pub fn of_modes(modes: &[String], webhook: Option<WebhookSettings>, policies: Option<Policies>) -> Result<Self, String> {
        let one = |mode: &String| {
            let kind = match mode.as_str() {
                "Node" => Kind::Node,
                "RBAC" => Kind::Rbac,
                "AlwaysAllow" => Kind::AlwaysAllow,
                "AlwaysDeny" => Kind::AlwaysDeny,
                "ABAC" => Kind::Abac,
                "Webhook" => Kind::Webhook,
                other => return Err(format!("authorization-mode {other:?} is not a valid mode")),
            };
            let webhook = (kind == Kind::Webhook).then(|| webhook.clone()).flatten();
            if kind == Kind::Webhook && webhook.is_none() {
                return Err("authorization-mode Webhook's authorization config file not passed".to_owned());
            }
            if kind == Kind::Abac && policies.is_none() {
                return Err("authorization-mode ABAC's authorization policy file not passed".to_owned());
            }
            Ok(Entry { kind, name: if kind == Kind::Webhook { "default".into() } else { mode.to_lowercase() }, webhook })
        };
        let authorizers = modes.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        for (i, e) in authorizers.iter().enumerate() {
            if authorizers[..i].iter().any(|x| x.kind == e.kind) {
                return Err(format!("authorization-mode {modes:?} has mode specified more than once"));
            }
        }
        if authorizers.is_empty() {
            return Err("at least one authorization-mode must be passed".to_owned());
        }
        Ok(Self { api_version: "apiserver.config.k8s.io/v1".into(), kind: "AuthorizationConfiguration".into(), authorizers, policies: policies.unwrap_or_default() })
    }

    fn check(&self) -> Result<(), String> {
        if self.authorizers.is_empty() {
            return Err("authorizers: Required value: at least one authorization mode must be defined".into());
        }
        for (i, e) in self.authorizers.iter().enumerate() {
            let at = format!("authorizers[{i}]");
            if e.name.is_empty() {
                return Err(format!("{at}.name: Required value"));
            }
            let before = &self.authorizers[..i];
            if before.iter().any(|x| x.name == e.name) {
                return Err(format!("{at}.name: Duplicate value: {:?}", e.name));
            }
            if e.kind != Kind::Webhook && before.iter().any(|x| x.kind == e.kind) {
                return Err(format!("{at}.type: Duplicate value: {:?}", e.kind));
            }
            match (&e.webhook, e.kind) {
                (None, Kind::Webhook) => return Err(format!("{at}.webhook: Required value: required when type=Webhook")),
                (Some(_), k) if k != Kind::Webhook => {
                    return Err(format!("{at}.webhook: Invalid value: \"non-null\": may only be specified when type=Webhook"));
                }
                (Some(w), _) => w.check().map_err(|why| format!("{at}.webhook.{why}"))?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl WebhookSettings {
    fn check(&self) -> Result<(), String> {
        if !matches!(self.subject_access_review_version.as_str(), "v1" | "v1beta1") {
            return Err(format!("subjectAccessReviewVersion: Unsupported value: {:?}: supported values: \"v1\", \"v1beta1\"", self.subject_access_review_version));
        }
        if !matches!(self.failure_policy.as_str(), "NoOpinion" | "Deny") {
            return Err(format!("failurePolicy: Unsupported value: {:?}: supported values: \"Deny\", \"NoOpinion\"", self.failure_policy));
        }
        match (self.connection_info.kind.as_str(), &self.connection_info.kube_config_file) {
            ("KubeConfigFile", Some(f)) if !f.is_empty() => Ok(()),
            ("KubeConfigFile", _) => Err("connectionInfo.kubeConfigFile: Required value".into()),
            ("InClusterConfig", None) => Ok(()),
            (other, _) => Err(format!("connectionInfo.type: Unsupported value: {other:?}: supported values: \"InClusterConfig\", \"KubeConfigFile\"")),
        }
    }
}
